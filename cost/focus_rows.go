package cost

import (
	"bufio"
	"encoding/csv"
	"errors"
	"io"
	"strings"
)

// budget is a reader that gives out only so much before it is renewed: a row that never
// ends must not fill the memory. What ended once has ended.
type budget struct {
	r    io.Reader
	left int
	end  error
}

func (b *budget) Read(p []byte) (int, error) {
	if b.end != nil {
		return 0, b.end
	}
	if b.left <= 0 {
		return 0, errLongRow
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	b.end = err
	return n, err
}

// rows reads the rows of a CSV file. What a row is, encoding/csv says. But a plain one, a
// line of fields that are bare or wholly in quotes, is found right in the buffer; where it
// ends up being another, encoding/csv reads it from the same buffer. A fuzz test holds the
// two together.
type rows struct {
	in     *bufio.Reader
	source *budget
	csv    *csv.Reader
	sep    byte // 0 = more than one byte: no row is plain
	ends   [256]bool
	line   int // of the present row, from 1
	plain  int // lines that encoding/csv did not see
	seen   int // lines that it did
	raw    []byte
	cells  []cell // of a plain row; valid until next
}

// cell is where the text of a field is in the bytes of a row.
type cell struct {
	from, to int
	doubled  bool // it has quotes, written twice
}

func newRows(r io.Reader, separator rune) *rows {
	s := &budget{r: r, left: mostRowBytes}
	in := bufio.NewReaderSize(s, 256<<10)
	out := &rows{in: in, source: s, csv: csv.NewReader(in)} // which takes a buffer of this size as it is
	out.csv.Comma, out.csv.FieldsPerRecord = separator, -1
	if separator < 0x80 {
		out.sep = byte(separator)
		out.ends['"'], out.ends['\n'], out.ends[out.sep] = true, true, true
	}
	return out
}

// next goes to the next row. For a plain one rec is nil: see raw, cells and record.
func (r *rows) next() (rec []string, err error) {
	r.source.left = mostRowBytes
	for r.sep != 0 {
		d, _ := r.in.Peek(r.in.Buffered())
		n, plain := r.scan(d)
		if n == 0 {
			if more, _ := r.in.Peek(r.in.Size()); len(more) > len(d) {
				continue
			}
			break // the last row, or a long one
		}
		if !plain {
			break
		}
		_, _ = r.in.Discard(n) // it is in the buffer
		r.plain++
		if len(r.cells) > 0 {
			r.line = r.seen + r.plain
			return nil, nil
		}
	}
	rec, err = r.csv.Read()
	if wrong := (*csv.ParseError)(nil); errors.As(err, &wrong) {
		r.line, r.seen = wrong.StartLine+r.plain, wrong.Line
	} else if len(rec) > 0 {
		at, _ := r.csv.FieldPos(0)
		r.line, r.seen = at+r.plain, at
		for _, s := range rec {
			r.seen += strings.Count(s, "\n")
		}
	}
	return rec, err
}

// scan finds the cells of the row that d begins with, and how long it is with its end; 0 =
// d ends before. An empty line has no cells.
func (r *rows) scan(d []byte) (n int, plain bool) {
	r.cells = r.cells[:0]
	switch {
	case len(d) > 0 && d[0] == '\n':
		return 1, true
	case len(d) > 1 && d[0] == '\r' && d[1] == '\n':
		return 2, true
	}
	for i := 0; i < len(d); i++ {
		from, to, doubled := i, 0, false
		if d[i] != '"' {
			for i < len(d) && !r.ends[d[i]] {
				i++
			}
			to = i
		} else {
			i++
			from = i
			for closed := false; !closed; {
				for i < len(d) && d[i] != '"' && d[i] != '\n' {
					i++
				}
				switch {
				case i+1 >= len(d):
					return 0, false
				case d[i] == '\n':
					return 1, false // it goes on in the next line
				case d[i+1] == '"':
					doubled = true
					i += 2
				default:
					closed = true
				}
			}
			to = i
			i++
			if d[i] == '\r' {
				i++
				if i < len(d) && d[i] != '\n' {
					return 1, false
				}
			}
		}
		if i >= len(d) {
			return 0, false
		}
		switch c := d[i]; {
		case c == r.sep:
			r.cells = append(r.cells, cell{from, to, doubled})
		case c == '\n':
			if to == i && to > from && d[to-1] == '\r' {
				to--
			}
			r.cells = append(r.cells, cell{from, to, doubled})
			r.raw = d[:i]
			return i + 1, true
		default:
			return 1, false // a quote where none belongs
		}
	}
	return 0, false
}

// record gives the fields of a plain row.
func (r *rows) record() []string {
	s := string(r.raw)
	rec := make([]string, len(r.cells))
	for i, c := range r.cells {
		rec[i] = s[c.from:c.to]
		if c.doubled {
			rec[i] = strings.ReplaceAll(rec[i], `""`, `"`)
		}
	}
	return rec
}
