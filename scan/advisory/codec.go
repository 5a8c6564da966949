package advisory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

// The database keeps records in a plain binary form: numbers as varints, texts and
// lists after their length. There are no field names and no versions in it, because
// the format number of the file covers it (see formatVersion).

var errShort = errors.New("record ends too early")

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendStrings(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

func appendRecord(b []byte, r *Record) []byte {
	b = appendHead(b, r)
	b = binary.AppendUvarint(b, uint64(len(r.Affected)))
	for i := range r.Affected {
		a := &r.Affected[i]
		b = appendString(b, a.Ecosystem)
		b = appendString(b, a.Name)
		b = appendAffected(b, a)
	}
	return b
}

// appendHead writes a record without its Affected.
func appendHead(b []byte, r *Record) []byte {
	b = appendString(b, r.ID)
	b = appendString(b, r.Feed)
	b = appendStrings(b, r.Aliases)
	b = appendStrings(b, r.Upstream)
	b = appendString(b, r.Title)
	b = append(b, byte(r.Severity))
	b = appendString(b, r.Vector)
	b = binary.AppendUvarint(b, uint64(math.Round(r.CVSS*10)))
	b = binary.AppendVarint(b, r.Published)
	b = binary.AppendVarint(b, r.Modified)
	return appendStrings(b, r.References)
}

var statusCodes = [...]scan.Status{"", scan.Fixed, scan.Unfixed, scan.WontFix, scan.Deferred, scan.EndOfLife, scan.UnderReview}

// appendAffected writes an Affected without its ecosystem and name.
func appendAffected(b []byte, a *Affected) []byte {
	var flags byte
	if a.NotAffected {
		flags |= 1
	}
	if a.Module != "" {
		flags |= 2
	}
	if len(a.Arches) > 0 {
		flags |= 4
	}
	if len(a.Versions) > 0 {
		flags |= 8
	}
	b = append(b, flags, byte(a.Severity))
	code := byte(0)
	for i, s := range statusCodes {
		if s == a.Status {
			code = byte(i)
		}
	}
	b = append(b, code)
	b = binary.AppendUvarint(b, uint64(len(a.Ranges)))
	for _, r := range a.Ranges {
		b = appendString(b, r.Introduced)
		b = appendString(b, r.Fixed)
		b = appendString(b, r.LastAffected)
	}
	if a.Module != "" {
		b = appendString(b, a.Module)
	}
	if len(a.Arches) > 0 {
		b = appendStrings(b, a.Arches)
	}
	if len(a.Versions) > 0 {
		b = appendStrings(b, a.Versions)
	}
	return b
}

// reader reads what the functions above wrote. It remembers the first error and then
// gives zero values, so that callers check once.
type reader struct {
	b   []byte
	src string // the same bytes as b had at first; texts are cut out of it. "" = each text is copied
	err error
}

// newReader reads texts out of one copy of b instead of copying each: a list of
// versions is hundreds of them.
func newReader(b []byte) *reader { return &reader{b: b, src: string(b)} }

// within returns a reader of the next length-prefixed part that shares src.
func (r *reader) within() reader {
	b := r.bytes()
	if r.err != nil || r.src == "" {
		return reader{b: b, err: r.err}
	}
	end := len(r.src) - len(r.b)
	return reader{b: b, src: r.src[end-len(b) : end]}
}

func (r *reader) fail() { r.b, r.err = nil, errShort }

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	s := r.b[:n]
	r.b = r.b[n:]
	return s
}

func (r *reader) string() string {
	b := r.bytes()
	if r.src == "" || len(b) == 0 {
		return string(b)
	}
	end := len(r.src) - len(r.b)
	return r.src[end-len(b) : end]
}

// count reads the length of a list. Every element takes a byte at least, so a length
// beyond what is left is damage and never an allocation.
func (r *reader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) strings() []string {
	n := r.count()
	if n == 0 {
		return nil
	}
	list := make([]string, 0, n)
	for range n {
		list = append(list, r.string())
	}
	return list
}

func (r *reader) head(rec *Record) {
	rec.ID = r.string()
	rec.Feed = r.string()
	rec.Aliases = r.strings()
	rec.Upstream = r.strings()
	rec.Title = r.string()
	rec.Severity = r.severity()
	rec.Vector = r.string()
	rec.CVSS = float64(r.uvarint()) / 10
	rec.Published = r.varint()
	rec.Modified = r.varint()
	rec.References = r.strings()
}

func (r *reader) severity() finding.Severity {
	s := finding.Severity(r.byte())
	if !s.Valid() {
		r.fail()
		return 0
	}
	return s
}

func (r *reader) affected(a *Affected) {
	flags := r.byte()
	a.NotAffected = flags&1 != 0
	a.Severity = r.severity()
	code := r.byte()
	if int(code) >= len(statusCodes) {
		r.fail()
		return
	}
	a.Status = statusCodes[code]
	if n := r.count(); n > 0 {
		a.Ranges = make([]Range, n)
		for i := range a.Ranges {
			a.Ranges[i] = Range{r.string(), r.string(), r.string()}
		}
	}
	if flags&2 != 0 {
		a.Module = r.string()
	}
	if flags&4 != 0 {
		a.Arches = r.strings()
	}
	if flags&8 != 0 {
		a.Versions = r.strings()
	}
}

func decodeRecord(b []byte) (*Record, error) {
	r := newReader(b)
	rec := &Record{}
	r.head(rec)
	if n := r.count(); n > 0 {
		rec.Affected = make([]Affected, n)
		for i := range rec.Affected {
			a := &rec.Affected[i]
			a.Ecosystem = r.string()
			a.Name = r.string()
			r.affected(a)
		}
	}
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("%d bytes left over after the record", len(r.b))
	}
	return rec, r.err
}

// decodeHead reads only what appendHead wrote.
func decodeHead(b []byte) (*Record, error) {
	r := newReader(b)
	rec := &Record{}
	r.head(rec)
	return rec, r.err
}
