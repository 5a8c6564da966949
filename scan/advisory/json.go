package advisory

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// jsonReader walks a large JSON document piece by piece. No single piece may be larger
// than its bound, so memory stays bounded whatever the document holds.
type jsonReader struct {
	dec *json.Decoder
	in  *leash
}

// leash stops a reader that has run too far ahead of what was used of it, which is
// when one value or token is larger than the bound.
type leash struct {
	r    io.Reader
	read int64
	used func() int64
	max  int64
}

var errTooLarge = errors.New("too large")

func (l *leash) Read(p []byte) (int, error) {
	if l.used != nil && l.read-l.used() > l.max {
		return 0, fmt.Errorf("one value of more than %d bytes: %w", l.max, errTooLarge)
	}
	n, err := l.r.Read(p[:min(len(p), 64<<10)])
	l.read += int64(n)
	return n, err
}

func newJSON(r io.Reader, largest int64) *jsonReader {
	in := &leash{r: r, max: largest}
	d := &jsonReader{dec: json.NewDecoder(in), in: in}
	in.used = d.dec.InputOffset
	return d
}

func (d *jsonReader) delim(want json.Delim, what string) error {
	tok, err := d.dec.Token()
	if err != nil {
		return d.at(err)
	}
	if tok != want {
		return d.at(fmt.Errorf("want %s, found %.40q", what, fmt.Sprint(tok)))
	}
	return nil
}

func (d *jsonReader) at(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("at byte %d: %w", d.dec.InputOffset(), err)
}

// object calls f for every key of an object; f reads the value.
func (d *jsonReader) object(f func(key string) error) error {
	if err := d.delim('{', "an object"); err != nil {
		return err
	}
	for d.dec.More() {
		tok, err := d.dec.Token()
		if err != nil {
			return d.at(err)
		}
		if err := f(tok.(string)); err != nil {
			return err
		}
	}
	return d.delim('}', "the end of an object")
}

// array calls f for every element; f reads it.
func (d *jsonReader) array(f func(i int) error) error {
	if err := d.delim('[', "a list"); err != nil {
		return err
	}
	for i := 0; d.dec.More(); i++ {
		if err := f(i); err != nil {
			return err
		}
	}
	return d.delim(']', "the end of a list")
}

// value reads the next value into v.
func (d *jsonReader) value(v any) error {
	if err := d.dec.Decode(v); err != nil {
		return d.at(err)
	}
	return nil
}

// skip reads over the next value.
func (d *jsonReader) skip() error {
	var raw json.RawMessage
	return d.value(&raw)
}

// bad tells a record of a wrong type, which is skipped, from a document that cannot be
// read on.
func (d *jsonReader) bad(err error, skip func(error)) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		skip(fmt.Errorf("%s is %s, not %s", wrong.Field, wrong.Value, wrong.Type))
		return nil
	}
	return err
}

// open enters an object or list. Anything else is read over and gives false.
func (d *jsonReader) open(want json.Delim) (bool, error) {
	tok, err := d.dec.Token()
	if err != nil {
		return false, d.at(err)
	}
	if tok == want {
		return true, nil
	}
	// Read over the rest of a value of another shape.
	for depth := nesting(tok); depth > 0; {
		if tok, err = d.dec.Token(); err != nil {
			return false, d.at(err)
		}
		depth += nesting(tok)
	}
	return false, nil
}

func nesting(tok json.Token) int {
	switch tok {
	case json.Delim('{'), json.Delim('['):
		return 1
	case json.Delim('}'), json.Delim(']'):
		return -1
	}
	return 0
}

// key reads the next key of an object.
func (d *jsonReader) key() (string, error) {
	tok, err := d.dec.Token()
	if err != nil {
		return "", d.at(err)
	}
	s, ok := tok.(string)
	if !ok {
		return "", d.at(fmt.Errorf("want a key, found %v", tok))
	}
	return s, nil
}

// rest calls f for every element of what open entered, then leaves it.
func (d *jsonReader) rest(end json.Delim, f func() error) error {
	for d.dec.More() {
		if err := f(); err != nil {
			return err
		}
	}
	return d.delim(end, "the end of an object or list")
}
