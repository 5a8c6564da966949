package kube

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
)

// kindOf reads what an object says it is.
func kindOf(doc []byte) (kind, apiVersion string) {
	var o struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
	}
	_ = json.Unmarshal(doc, &o) // what cannot be read stays empty
	return o.Kind, o.APIVersion
}

// jsonFile reads a file of JSON documents, one after the other. Items of a list are
// taken one by one, so that its length does not matter.
func (e *Export) jsonFile(name string, in *bufio.Reader) error {
	lines := &lineCounter{r: in}
	src := &allowance{r: lines}
	dec := json.NewDecoder(src)
	for {
		src.left = maxObjectBytes
		if _, err := dec.Token(); err == io.EOF {
			return nil
		} else if err != nil {
			return e.brokenJSON(name, lines, dec, err)
		}
		if err := e.jsonDocument(name, dec, src, lines); err != nil {
			return e.brokenJSON(name, lines, dec, err)
		}
	}
}

// brokenJSON names where a file ends to be JSON; what came before counts.
func (e *Export) brokenJSON(name string, lines *lineCounter, dec *json.Decoder, err error) error {
	if errors.Is(err, errFull) {
		return err
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = errors.New("the file ends in the middle of an object")
	}
	e.problem(name, lines.line(dec.InputOffset()), "not JSON: "+err.Error(), "")
	return nil
}

// jsonDocument reads the rest of an object whose brace was read: a list, or not.
func (e *Export) jsonDocument(name string, dec *json.Decoder, src *allowance, lines *lineCounter) error {
	start := lines.line(dec.InputOffset())
	var doc bytes.Buffer
	var listKind, listVersion string
	list := false
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		src.left = maxObjectBytes
		if key == "items" {
			open, err := dec.Token()
			if err != nil {
				return err
			}
			if open != json.Delim('[') {
				continue // null, or a field of that name in something else
			}
			list = true
			if err := e.jsonItems(name, dec, src, lines, listVersion, strings.TrimSuffix(listKind, "List")); err != nil {
				return err
			}
			continue
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return err
		}
		switch key {
		case "kind":
			_ = json.Unmarshal(value, &listKind) // of another type it is none
		case "apiVersion":
			_ = json.Unmarshal(value, &listVersion)
		}
		if doc.Len()+len(value) > maxObjectBytes {
			return errTooLarge
		}
		if doc.Len() > 0 {
			doc.WriteByte(',')
		}
		name, err := json.Marshal(key)
		if err != nil {
			return err
		}
		doc.Write(name)
		doc.WriteByte(':')
		doc.Write(value)
	}
	if err := delim(dec, '}'); err != nil {
		return err
	}
	if list {
		return nil
	}
	return e.add(name, start, slices.Concat([]byte("{"), doc.Bytes(), []byte("}")))
}

func (e *Export) jsonItems(name string, dec *json.Decoder, src *allowance, lines *lineCounter, apiVersion, kind string) error {
	for dec.More() {
		src.left = maxObjectBytes
		var item json.RawMessage
		if err := dec.Decode(&item); err != nil {
			return err
		}
		line := lines.line(dec.InputOffset() - int64(len(item)))
		doc := []byte(item)
		if k, _ := kindOf(doc); k == "" && kind != "" {
			doc = typed(doc, apiVersion, kind)
		}
		if err := e.add(name, line, doc); err != nil {
			return err
		}
	}
	return delim(dec, ']')
}

// lineCounter knows the line of offsets that go up: it keeps the line ends between what
// was asked last and what was read ahead.
type lineCounter struct {
	r      io.Reader
	at     int64   // read so far
	ends   []int64 // offsets of line ends that were not passed yet
	passed int
}

func (l *lineCounter) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for i, c := range p[:n] {
		if c == '\n' {
			l.ends = append(l.ends, l.at+int64(i))
		}
	}
	l.at += int64(n)
	return n, err
}

// line is the line, from 1, of an offset that is not smaller than those before it.
func (l *lineCounter) line(offset int64) int {
	i := 0
	for i < len(l.ends) && l.ends[i] < offset {
		i++
	}
	l.passed += i
	l.ends = l.ends[:copy(l.ends, l.ends[i:])]
	return l.passed + 1
}
