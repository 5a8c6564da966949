package azure

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/dockreeve/dockreeve/internal/ahead"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// Format and Version are what a snapshot's header says.
const (
	Format  = "dockreeve-azure-snapshot"
	Version = 1
)

// maxLine bounds one line of a snapshot; a document is bounded alike.
const maxLine = maxDoc + 64<<10

// Head is the first line of a snapshot. Times are Unix nanoseconds.
type Head struct {
	Format   string `json:"format"`
	Version  int    `json:"version"`
	Tenant   string `json:"tenant,omitempty"` // directory id
	Name     string `json:"name,omitempty"`
	Source   string `json:"source,omitempty"` // live, snapshot, exports, demo
	Started  int64  `json:"started"`
	Finished int64  `json:"-"` // told by the last line; 0 = it is missing
	Records  int    `json:"-"` // read
}

// tail is the last line of a snapshot.
type tail struct {
	End      bool  `json:"end"`
	Records  int   `json:"records"`
	Finished int64 `json:"finished"`
}

// ErrFormat is of a file that is no snapshot, or one of a version that is not understood.
var ErrFormat = errors.New("no Azure snapshot")

// Writer writes a snapshot. Not safe for concurrent use.
type Writer struct {
	w *bufio.Writer
	n int
}

// NewWriter writes the header; Format and Version are filled in.
func NewWriter(w io.Writer, h Head) (*Writer, error) {
	h.Format, h.Version = Format, Version
	out := &Writer{w: bufio.NewWriterSize(w, 64<<10)}
	if err := out.line(h); err != nil {
		return nil, err
	}
	return out, nil
}

func (w *Writer) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing the snapshot: %w", err)
	}
	if len(b) > maxLine {
		return fmt.Errorf("writing the snapshot: record of %d bytes: want at most %d", len(b), maxLine)
	}
	if _, err = w.w.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("writing the snapshot: %w", err)
	}
	return nil
}

// Write writes one record. The end of a read is written through, so that what came before
// an interruption can be taken over.
func (w *Writer) Write(r Record) error {
	if err := w.line(r); err != nil {
		return err
	}
	w.n++
	if r.Read == nil {
		return nil
	}
	if err := w.w.Flush(); err != nil {
		return fmt.Errorf("writing the snapshot: %w", err)
	}
	return nil
}

// Close writes the last line; without it a snapshot counts as cut short. It does not close
// the writer below.
func (w *Writer) Close(finished time.Time) error {
	if err := w.line(tail{End: true, Records: w.n, Finished: finished.UnixNano()}); err != nil {
		return err
	}
	if err := w.w.Flush(); err != nil {
		return fmt.Errorf("writing the snapshot: %w", err)
	}
	return nil
}

// ReadRecords reads a snapshot, gzipped or not, and gives each record to each. A file cut
// short is no error: what stands before is given, then the end of a read of
// cloud.ReadSnapshot that is partial and says where it broke off; Head.Finished is 0. A
// line that is no record is passed over and counted there too. An error is of the file as
// a whole, or from each.
func ReadRecords(r io.Reader, each func(Record) error) (Head, error) {
	return readRecords(r, func(string, string, []byte) bool { return false }, each)
}

// readRecords offers each document to page first, which takes it or leaves it to each; what
// page takes must be sound. It is offered before anything else is known of it.
func readRecords(r io.Reader, page func(what, scope string, doc []byte) bool, each func(Record) error) (Head, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return Head{}, fmt.Errorf("%w: broken gzip: %w", ErrFormat, err)
		}
		unzipped := ahead.NewReader(z)
		defer unzipped.Close()
		in = bufio.NewReaderSize(unzipped, 64<<10)
	}
	s := &snapshotReader{in: in, page: page}
	h, err := s.head()
	if err != nil {
		return h, err
	}
	for !s.done {
		if err := s.next(each); err != nil {
			return h, err
		}
	}
	h.Records, h.Finished = s.records, s.finished
	if s.reason == "" {
		return h, nil
	}
	end := cloud.Read{What: cloud.ReadSnapshot, At: h.Started, Outcome: cloud.ReadPartial, Reason: s.reason, Rows: s.records, Bad: s.bad,
		Remedy: "collect again; what was read before can be taken over"}
	return h, each(Record{What: cloud.ReadSnapshot, Read: &end})
}

type snapshotReader struct {
	in       *bufio.Reader
	page     func(what, scope string, doc []byte) bool
	whole    []byte // a line that the buffer could not hold; valid until the next
	n        int    // lines read
	records  int
	bad      int
	reason   string // the first thing that was wrong
	finished int64
	done     bool
}

func (s *snapshotReader) head() (Head, error) {
	var h Head
	line, whole, err := s.line()
	if err != nil && !errors.Is(err, io.EOF) && len(line) == 0 {
		return h, fmt.Errorf("line 1: %w", err)
	}
	if !whole && len(line) == 0 {
		return h, fmt.Errorf("%w: the file is empty", ErrFormat)
	}
	if json.Unmarshal(line, &h) != nil || h.Format != Format {
		return Head{}, fmt.Errorf("%w: line 1 is not its header: want {\"format\":%q,…}; `dockreeve azure collect` writes one", ErrFormat, Format)
	}
	switch {
	case h.Version > Version:
		return h, fmt.Errorf("%w that can be read here: it has version %d, this program knows up to %d; use a newer dockreeve, or collect again", ErrFormat, h.Version, Version)
	case h.Version < 1:
		return h, fmt.Errorf("%w: line 1: version %d: want 1 to %d", ErrFormat, h.Version, Version)
	}
	return h, nil
}

// line reads one line without its end; whole is false where the file ended first. It is
// valid until the next.
func (s *snapshotReader) line() (line []byte, whole bool, err error) {
	s.n++
	if line = s.whole[:0]; cap(line) > 4<<20 {
		line = nil
	}
	defer func() { s.whole = line }()
	for {
		part, err := s.in.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			return nil, false, fmt.Errorf("longer than %d bytes", maxLine)
		}
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		return bytes.TrimRight(line, "\r\n"), err == nil, err
	}
}

func (s *snapshotReader) wrong(format string, args ...any) {
	s.bad++
	if s.reason == "" {
		s.reason = fmt.Sprintf("line %d: ", s.n) + fmt.Sprintf(format, args...)
	}
}

func (s *snapshotReader) next(each func(Record) error) error {
	line, whole, err := s.line()
	if err != nil && len(line) == 0 { // the end, before the last line of a snapshot came
		s.done = true
		if s.n > 1 && errors.Is(err, io.EOF) {
			s.bad-- // nothing is lost in this line: there is none
			s.wrong("the file ends here: it is cut short")
		} else {
			s.wrong("%v", err)
		}
		return nil
	}
	if what, scope, doc, ok := split(line); ok {
		if s.page(what, scope, doc) {
			s.records++
			return nil
		}
		if what != "" && json.Valid(doc) {
			s.records++
			return each(Record{What: what, Scope: scope, Doc: bytes.Clone(doc)})
		}
	}
	var l struct {
		Record
		tail
	}
	if bad := json.Unmarshal(line, &l); bad != nil {
		s.done = !whole
		if whole {
			s.wrong("no record: %v", bad)
		} else {
			s.wrong("the file ends within this line: it is cut short")
		}
		return nil
	}
	if l.End {
		s.done, s.finished = true, l.Finished
		if l.Records != s.records+s.bad {
			s.wrong("the end tells of %d records, %d came", l.Records, s.records+s.bad)
		}
		return nil
	}
	if l.What == "" || (l.Read == nil) == (len(l.Doc) == 0) || l.Read != nil && l.Read.What != l.What {
		s.wrong("no record: want \"what\", and \"doc\" or \"read\"")
		return nil
	}
	s.records++
	return each(l.Record)
}

// split takes a line of a document apart as Writer writes it. Another line, and one with
// anything in it that JSON escapes, is not ok. The document may be none.
func split(line []byte) (what, scope string, doc []byte, ok bool) {
	what, rest, ok := member(line, `{"what":`)
	if !ok {
		return "", "", nil, false
	}
	if name, after, told := member(rest, `,"scope":`); told {
		scope, rest = name, after
	}
	doc, ok = bytes.CutPrefix(rest, []byte(`,"doc":`))
	if !ok || len(doc) < 3 || doc[0] != '{' || doc[len(doc)-2] != '}' || doc[len(doc)-1] != '}' {
		return "", "", nil, false
	}
	return what, scope, doc[:len(doc)-1], true
}

// ReadFile reads a snapshot file; see ReadRecords.
func ReadFile(path string, each func(Record) error) (Head, error) {
	return readFile(path, func(r io.Reader) (Head, error) { return ReadRecords(r, each) })
}

func readFile(path string, read func(io.Reader) (Head, error)) (Head, error) {
	f, err := os.Open(path)
	if err != nil {
		return Head{}, fmt.Errorf("opening the snapshot: %w", err)
	}
	defer f.Close()
	h, err := read(f)
	if err != nil {
		return h, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}

// Open reads what was collected before: a snapshot file, or a folder of az's JSON output.
func Open(path string) (*Snapshot, error) {
	b := NewBuilder()
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("opening the snapshot: %w", err)
	}
	var h Head
	if info.IsDir() {
		h, err = ReadExports(path, b.Add)
	} else if h, err = readFile(path, func(r io.Reader) (Head, error) { return readRecords(r, b.addPage, b.Add) }); err == nil && h.Source != "demo" {
		h.Source = "snapshot"
	}
	if err != nil {
		return nil, err
	}
	b.Describe(h)
	return b.Snapshot(), nil
}
