// Package vex reads statements on exploitability (OpenVEX, CSAF VEX, CycloneDX VEX) and
// applies them to reports: what is stated not to be affected, or to be fixed, moves to
// the suppressed findings. A statement that names a vulnerability of the report and does
// not apply always says why. Products are matched by package URL, by digest, and by
// repository with digest; never by CPE or by names that look alike.
package vex

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Bounds of a document. One beyond them is refused, not cut.
const (
	MaxSize       = 32 << 20 // bytes
	MaxStatements = 100_000  // vulnerabilities × statuses
	maxProducts   = 500_000  // products named by all statements together
)

// Document is one VEX document, whatever its format. It is not changed after Read.
type Document struct {
	Name       string // file it was read from, for messages
	Format     string // "OpenVEX", "CSAF" or "CycloneDX"
	ID         string // as it names itself
	Author     string
	Time       int64 // newest time it gives itself, Unix nanoseconds; 0 none
	Statements []Statement
}

// Statement says of products what one vulnerability means to them.
type Statement struct {
	Position      string   // where in the document: "statement 3", "vulnerability 2 (known_not_affected)"
	IDs           []string // of the vulnerability: its name and aliases
	Products      []Product
	Status        Status
	Justification string // the format's word, or the author's own sentences
	Detail        string // impact or action, in the author's words
	Time          int64  // Unix nanoseconds; the document's where it has none of its own
}

// Status is what a statement says.
type Status string

// The statuses.
const (
	NotAffected        Status = "not_affected"
	Fixed              Status = "fixed"
	Affected           Status = "affected"
	UnderInvestigation Status = "under_investigation"
)

// suppresses reports whether findings of this status are left out.
func (s Status) suppresses() bool { return s == NotAffected || s == Fixed }

// ErrFormat marks input that is none of the formats this package reads.
var ErrFormat = errors.New("not a VEX document")

// Load reads a document from a file.
func Load(name string) (*Document, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("VEX document: %w", err)
	}
	defer f.Close()
	return Read(name, f)
}

// Read reads a document of any of the formats, up to MaxSize bytes. name is for
// messages. Errors name it, and the statement where there is one.
func Read(name string, r io.Reader) (*Document, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%s: larger than %d MiB, the most that is read of a VEX document", name, MaxSize>>20)
	}
	d, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	d.Name = name
	if len(d.Statements) > MaxStatements {
		return nil, fmt.Errorf("%s: %d statements: at most %d are read", name, len(d.Statements), MaxStatements)
	}
	n := 0
	for i := range d.Statements {
		s := &d.Statements[i]
		n += len(s.Products)
		if s.Time == 0 {
			s.Time = d.Time
		}
	}
	if n > maxProducts {
		return nil, fmt.Errorf("%s: its statements name %d products: at most %d are read", name, n, maxProducts)
	}
	return d, nil
}

func decode(b []byte) (*Document, error) {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	var kind struct {
		Context   json.RawMessage `json:"@context"`
		Document  json.RawMessage `json:"document"`
		BOMFormat string          `json:"bomFormat"`
	}
	if err := json.Unmarshal(b, &kind); err != nil {
		return nil, fmt.Errorf("%w: not a JSON object: %w", ErrFormat, place(b, err))
	}
	switch {
	case strings.EqualFold(kind.BOMFormat, "CycloneDX"):
		return readCycloneDX(b)
	case bytes.Contains(kind.Context, []byte("openvex")):
		return readOpenVEX(b)
	case len(kind.Document) > 0:
		return readCSAF(b)
	}
	return nil, fmt.Errorf(`%w: want OpenVEX ("@context"), CSAF ("document") or CycloneDX ("bomFormat")`, ErrFormat)
}

// place adds the line to an error of the JSON decoder.
func place(b []byte, err error) error {
	at := int64(-1)
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	if errors.As(err, &syntax) {
		at = syntax.Offset
	} else if errors.As(err, &typ) {
		at = typ.Offset
	}
	if at < 0 || at > int64(len(b)) {
		return err
	}
	return fmt.Errorf("line %d: %w", 1+bytes.Count(b[:at], []byte("\n")), err)
}

// when reads a time; one that cannot be read counts as none.
func when(texts ...string) int64 {
	for _, s := range texts {
		if t, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(s)); err == nil && t.Year() > 1970 && t.Year() < 2262 {
			return t.UnixNano()
		}
	}
	return 0
}

// join puts what is not empty into one sentence.
func join(sep string, parts ...string) string {
	var out []string
	for _, p := range parts {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, sep)
}

// add appends a vulnerability's id unless it is empty or there.
func add(ids []string, more ...string) []string {
	for _, id := range more {
		id = strings.TrimSpace(id)
		if i := strings.LastIndexByte(id, '/'); i >= 0 && strings.Contains(id, "://") {
			id = id[i+1:] // an address of the vulnerability's page ends in its id
		}
		known := id == ""
		for _, have := range ids {
			known = known || strings.EqualFold(have, id)
		}
		if !known {
			ids = append(ids, id)
		}
	}
	return ids
}
