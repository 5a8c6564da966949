package cost

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"

	"github.com/dockreeve/dockreeve/internal/ahead"
)

var errLongRow = fmt.Errorf("a row is longer than %d KiB: is a quote not closed?", mostRowBytes>>10)

func (f *focusReader) read(r io.Reader) error {
	in := bufio.NewReaderSize(r, 64<<10)
	if m, _ := in.Peek(2); len(m) == 2 && m[0] == 0x1f && m[1] == 0x8b {
		z, err := gzip.NewReader(in)
		if err != nil {
			return fmt.Errorf("cost file: its gzip heading: %w", err)
		}
		unzipped := ahead.NewReader(z)
		defer unzipped.Close()
		in = bufio.NewReaderSize(unzipped, 64<<10)
	}
	if err := refuse(in); err != nil {
		return err
	}
	if m, _ := in.Peek(3); string(m) == "\ufeff" {
		in.Discard(3)
	}
	first, peekErr := in.Peek(32 << 10)
	if len(first) == 0 {
		if peekErr != nil && peekErr != io.EOF {
			return fmt.Errorf("cost file: %w", peekErr)
		}
		return fmt.Errorf("cost file: it is empty")
	}
	f.sum.Separator = f.opt.Separator
	skipped := 0
	if line, rest, ok := strings.Cut(string(first), "\n"); ok && len(strings.TrimSpace(line)) == 5 && strings.HasPrefix(strings.ToLower(line), "sep=") {
		if f.sum.Separator == 0 {
			f.sum.Separator = rune(line[4])
		}
		in.Discard(len(line) + 1)
		first, skipped = []byte(rest), 1
	}
	if f.sum.Separator == 0 {
		f.sum.Separator = separatorOf(string(first))
	}
	if s := f.sum.Separator; s == '"' || s == '\r' || s == '\n' || !utf8.ValidRune(s) || s == utf8.RuneError {
		return fmt.Errorf("cost file: %q cannot separate columns", s)
	}
	f.rows = newRows(in, f.sum.Separator)
	if f.closely {
		f.rows.sep = 0
	}
	for headed := false; ; {
		rec, err := f.rows.next()
		line := f.rows.line + skipped
		var wrong *csv.ParseError
		switch {
		case err == io.EOF:
			if !headed {
				return fmt.Errorf("cost file: it has no heading")
			}
			return f.finish()
		case errors.As(err, &wrong) && !errors.Is(err, errLongRow):
			if wrong.Line != wrong.StartLine || !headed {
				return fmt.Errorf("cost file, line %d: a quote is not closed as it should be (%w): what follows could not be read, after %d rows", line, wrong.Err, f.sum.Rows)
			}
			f.bad(line, "", wrong.Err.Error(), "", "")
			continue
		case err != nil:
			// What is held was read whole: it is given, before the error is.
			if e := f.finish(); e != nil {
				err = errors.Join(err, e)
			}
			return fmt.Errorf("cost file: cut short after %d rows: %w", f.sum.Rows, err)
		}
		plain := rec == nil
		if plain && headed {
			if done, err := f.quick(line); err != nil {
				return err
			} else if done {
				continue
			}
		}
		if plain {
			rec = f.rows.record()
		}
		if !headed {
			headed = true
			if err := f.heading(rec); err != nil {
				return err
			}
			f.alikes = newAlikes(f.columns)
			continue
		}
		f.fresh = plain
		if err := f.row(line, rec); err != nil {
			return err
		}
	}
}

// refuse says what to do with files of other kinds.
func refuse(in *bufio.Reader) error {
	m, _ := in.Peek(4)
	switch s := string(m); {
	case s == "PAR1":
		return fmt.Errorf("cost file: it is Parquet, which is not read: let Cost Management export CSV, or convert it, e.g. duckdb -c \"copy 'bill.parquet' to 'bill.csv'\"")
	case strings.HasPrefix(s, "PK\x03\x04"):
		return fmt.Errorf("cost file: it is a zip archive or a workbook: unpack it, or save the sheet as CSV (UTF-8)")
	case strings.HasPrefix(s, "\xff\xfe"), strings.HasPrefix(s, "\xfe\xff"):
		return fmt.Errorf("cost file: it is UTF-16: save it as CSV in UTF-8")
	case strings.HasPrefix(s, "{"), strings.HasPrefix(s, "["):
		return fmt.Errorf("cost file: it is JSON: expected CSV with a heading")
	case strings.HasPrefix(s, "\x1f\x8b"):
		return fmt.Errorf("cost file: it is compressed twice")
	}
	return nil
}

// separatorOf finds what separates the columns of a heading.
func separatorOf(s string) rune {
	n := map[rune]int{}
	quoted := false
	for _, c := range s {
		if c == '"' {
			quoted = !quoted
		}
		if quoted {
			continue
		}
		if c == '\n' {
			break
		}
		n[c]++
	}
	best := ','
	for _, c := range []rune{';', '\t', '|'} {
		if n[c] > n[best] {
			best = c
		}
	}
	return best
}
