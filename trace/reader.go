package trace

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/process"
)

// ReaderOptions tune a Reader. The zero value is ready to use.
type ReaderOptions struct {
	// SkipBad counts bad lines and goes on; otherwise the first one ends the trace.
	SkipBad bool
	// MaxSnapshot bounds the records of the snapshot, default 262,144.
	MaxSnapshot int
}

// Record is one record of a trace. Exactly one of Event, Loss and Old is set.
type Record struct {
	Line int // in the file, from 1

	Event *event.Event // without Process and Container: process.Table.Apply fills them
	Facts *event.Facts // set with Event; empty for audit events

	Loss *event.Loss

	// Old was replaced by New, as in process.Table.SetContainer.
	Old, New *event.Container
}

// Reader reads one trace. It keeps the snapshot, one line, and the last 4,096
// containers. It is not safe for concurrent use.
type Reader struct {
	in     *bufio.Reader
	opt    ReaderOptions
	header Header
	snap   process.Snapshot

	buf        []byte
	line       int
	skipped    uint64
	seen       End
	end        *End
	containers map[uint64]*event.Container
	last       uint64 // highest container number

	pending bool // Next returns rec as it is
	rec     Record
	err     error // returned by every later Next

	ev    event.Event
	facts event.Facts
	loss  event.Loss
}

// rawLine is the outer shape of every line but the first.
type rawLine struct {
	Container json.RawMessage `json:"container"`
	N         uint64          `json:"n"`
	Process   json.RawMessage `json:"process"`
	Written   json.RawMessage `json:"written"`
	Pipe      json.RawMessage `json:"pipe"`
	Socket    uint64          `json:"socket,string"`
	Event     json.RawMessage `json:"event"`
	Facts     json.RawMessage `json:"facts"`
	In        uint64          `json:"in"`
	HealIn    []uint64        `json:"heal_in"`
	Replace   uint64          `json:"replace"`
	Loss      json.RawMessage `json:"loss"`
	End       *End            `json:"end"`
}

// NewReader reads the header and the snapshot. A trace cut inside its snapshot
// is still opened; Next then reports ErrCut. Other errors wrap ErrFormat or
// ErrLine.
func NewReader(in io.Reader, opt ReaderOptions) (*Reader, error) {
	if opt.MaxSnapshot <= 0 {
		opt.MaxSnapshot = 262144
	}
	r := &Reader{in: bufio.NewReaderSize(in, 64<<10), opt: opt, containers: map[uint64]*event.Container{}}
	line, tooLong, err := r.read(true)
	if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%w: it is empty", ErrFormat)
		}
		return nil, err
	}
	if tooLong {
		return nil, fmt.Errorf("%w: line 1 is longer than %d bytes, so it is not the header of a %s", ErrFormat, MaxLine, Format)
	}
	if err := strict(line, &r.header); err != nil || r.header.Format != Format {
		if err == nil {
			err = fmt.Errorf("format is %q", r.header.Format)
		}
		return nil, fmt.Errorf("%w: line 1 is not the header of a %s: %w", ErrFormat, Format, err)
	}
	if r.header.Version != Version {
		return nil, fmt.Errorf("%w: version %d, this program reads version %d", ErrFormat, r.header.Version, Version)
	}
	r.snap.HostMntNS, r.snap.Exact = r.header.HostMntNS, r.header.Exact
	for n := 0; ; n++ {
		kept, err := r.step(true)
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, ErrCut) {
				r.err = err
				return r, nil
			}
			return nil, err
		}
		if !kept {
			break
		}
		if n >= opt.MaxSnapshot {
			return nil, fmt.Errorf("%w %d: the snapshot has more than %d records", ErrLine, r.line, opt.MaxSnapshot)
		}
	}
	r.pending = true
	if h := &r.header; len(r.snap.Processes) < h.Processes || len(r.snap.Written) < h.Written || len(r.snap.Pipes) < h.Pipes || len(r.snap.Sockets) < h.Sockets {
		if !opt.SkipBad {
			return nil, fmt.Errorf("%w %d: the snapshot is short: %d of %d processes, %d of %d files, %d of %d pipes, %d of %d sockets", ErrLine, r.line,
				len(r.snap.Processes), h.Processes, len(r.snap.Written), h.Written, len(r.snap.Pipes), h.Pipes, len(r.snap.Sockets), h.Sockets)
		}
	}
	return r, nil
}

// Header returns the first line.
func (r *Reader) Header() Header { return r.header }

// Snapshot returns what to seed a process table with.
func (r *Reader) Snapshot() process.Snapshot { return r.snap }

// Skipped returns how many bad lines were skipped.
func (r *Reader) Skipped() uint64 { return r.skipped }

// Counts returns what was read so far.
func (r *Reader) Counts() End { return r.seen }

// Next returns the next record, valid until the next call. After the last it
// returns io.EOF when the trace is whole, an error wrapping ErrCut when it ends
// too soon, and one wrapping ErrLine at a bad line that is not to be skipped.
func (r *Reader) Next() (*Record, error) {
	if r.err != nil {
		return nil, r.err
	}
	if !r.pending {
		if _, err := r.step(false); err != nil {
			r.err = err
			return nil, err
		}
	}
	r.pending = false
	return &r.rec, nil
}

// Replay seeds the table with the snapshot and hands each record to fn, after
// applying it to the table; audit events pass by it. It returns nil at the end of a whole trace, fn's
// error, or Next's.
func Replay(r *Reader, t *process.Table, fn func(*Record) error) error {
	t.Seed(r.snap)
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case rec.Event != nil && rec.Event.Source == event.SourceK8sAudit: // no process did it
		case rec.Event != nil:
			t.Apply(rec.Event, rec.Facts)
		case rec.Old != nil:
			t.SetContainer(rec.Old, rec.New)
		}
		if err := fn(rec); err != nil {
			return err
		}
	}
}

// step reads lines until one makes a record in r.rec. With snapshot it also
// returns, with kept true, after each record of the snapshot.
func (r *Reader) step(snapshot bool) (kept bool, err error) {
	for {
		line, tooLong, err := r.read(false)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if len(line) == 0 && err != nil {
			return false, r.finish()
		}
		if len(bytes.TrimSpace(line)) == 0 && !tooLong {
			continue
		}
		if r.end != nil {
			if bad := r.bad(errors.New("a record after the end record")); bad != nil {
				return false, bad
			}
			continue
		}
		partial := err != nil // the last line lacks its newline
		var done bool
		if tooLong {
			err = fmt.Errorf("longer than %d bytes", MaxLine)
		} else {
			done, kept, err = r.parse(line, snapshot)
		}
		switch {
		case err != nil && partial:
			return false, fmt.Errorf("%w in line %d: %w", ErrCut, r.line, err)
		case err != nil:
			if bad := r.bad(err); bad != nil {
				return false, bad
			}
		case done || kept:
			return kept, nil
		}
	}
}

// bad counts a bad line, or makes it the error that ends the trace.
func (r *Reader) bad(cause error) error {
	if r.opt.SkipBad {
		r.skipped++
		return nil
	}
	return fmt.Errorf("%w %d: %w", ErrLine, r.line, cause)
}

// finish judges the end of the file.
func (r *Reader) finish() error {
	switch {
	case r.end == nil:
		return fmt.Errorf("%w after line %d: no end record; %d events before it are good", ErrCut, r.line, r.seen.Events)
	case (r.end.Events != r.seen.Events || r.end.Losses != r.seen.Losses) && r.skipped == 0:
		return fmt.Errorf("%w: its end record counts %d events and %d losses, found %d and %d",
			ErrCut, r.end.Events, r.end.Losses, r.seen.Events, r.seen.Losses)
	}
	return io.EOF
}

// parse reads one line. done means that r.rec holds a record, kept that the
// snapshot grew.
func (r *Reader) parse(line []byte, snapshot bool) (done, kept bool, err error) {
	var raw rawLine
	if err := strict(line, &raw); err != nil {
		return false, false, err
	}
	kinds := 0
	for _, has := range [...]bool{
		raw.Container != nil, raw.Process != nil, raw.Written != nil, raw.Pipe != nil, raw.Socket != 0,
		raw.Event != nil, raw.Replace != 0, raw.Loss != nil, raw.End != nil,
	} {
		if has {
			kinds++
		}
	}
	if kinds != 1 {
		return false, false, fmt.Errorf("%d kinds of record in one line, want one of container, process, written, pipe, socket, event, replace, loss, end", kinds)
	}
	if !snapshot && (raw.Process != nil || raw.Written != nil || raw.Pipe != nil || raw.Socket != 0) {
		return false, false, errors.New("a record of the snapshot after the first event")
	}
	r.rec = Record{Line: r.line}
	switch {
	case raw.Container != nil:
		return false, snapshot, r.container(&raw)
	case raw.Process != nil:
		var k event.Kept
		if err := k.UnmarshalJSON(raw.Process); err != nil {
			return false, false, err
		}
		if k.Process == nil {
			return false, false, errors.New("a process record without process")
		}
		if k.Process.Container, err = r.find(raw.In); err != nil {
			return false, false, err
		}
		r.snap.Processes = append(r.snap.Processes, k)
		return false, true, nil
	case raw.Written != nil:
		var w event.WrittenFile
		if err := w.UnmarshalJSON(raw.Written); err != nil {
			return false, false, err
		}
		r.snap.Written = append(r.snap.Written, w)
		return false, true, nil
	case raw.Pipe != nil:
		var p event.PipeEnds
		if err := p.UnmarshalJSON(raw.Pipe); err != nil {
			return false, false, err
		}
		r.snap.Pipes = append(r.snap.Pipes, p)
		return false, true, nil
	case raw.Socket != 0:
		r.snap.Sockets = append(r.snap.Sockets, raw.Socket)
		return false, true, nil
	case raw.Event != nil:
		return true, false, r.event(&raw)
	case raw.Replace != 0:
		if r.rec.Old, err = r.find(raw.Replace); err != nil {
			return false, false, err
		}
		r.rec.New, err = r.find(raw.In)
		return err == nil, false, err
	case raw.Loss != nil:
		if err := r.loss.UnmarshalJSON(raw.Loss); err != nil {
			return false, false, err
		}
		r.rec.Loss = &r.loss
		r.seen.Losses++
		r.seen.Lost += r.loss.Count
		return true, false, nil
	}
	r.end = raw.End
	return false, false, nil
}

func (r *Reader) container(raw *rawLine) error {
	c := new(event.Container)
	if err := c.UnmarshalJSON(raw.Container); err != nil {
		return err
	}
	if raw.N <= r.last || raw.N > r.last+1 {
		return fmt.Errorf("container number %d, want %d", raw.N, r.last+1)
	}
	r.last = raw.N
	r.containers[raw.N] = c
	delete(r.containers, raw.N-maxContainers)
	return nil
}

// find returns the container with number n, nil for 0, which is the host.
func (r *Reader) find(n uint64) (*event.Container, error) {
	if n == 0 {
		return nil, nil
	}
	c, ok := r.containers[n]
	if !ok {
		return nil, fmt.Errorf("no container %d among the last %d", n, maxContainers)
	}
	return c, nil
}

func (r *Reader) event(raw *rawLine) error {
	if err := r.ev.UnmarshalJSON(raw.Event); err != nil {
		return err
	}
	if raw.Facts == nil {
		if r.ev.Source != event.SourceK8sAudit {
			return errors.New("an event record without facts")
		}
		r.facts = event.Facts{}
	} else if err := r.facts.UnmarshalJSON(raw.Facts); err != nil {
		return err
	}
	if r.ev.Process != nil || r.ev.Container != nil {
		return errors.New("an event record brings its process in facts and its container in \"in\"")
	}
	var err error
	if r.facts.Container, err = r.find(raw.In); err != nil {
		return err
	}
	if raw.In != 0 {
		r.facts.HasContainer = true
	}
	if n := len(raw.HealIn); n != 0 && n != len(r.facts.Heal) {
		return fmt.Errorf("heal_in has %d items for %d healed processes", n, len(r.facts.Heal))
	}
	for i := range r.facts.Heal {
		r.facts.Heal[i].Parent, r.facts.Heal[i].Container = nil, nil
	}
	for i, n := range raw.HealIn {
		if r.facts.Heal[i].Container, err = r.find(n); err != nil {
			return err
		}
	}
	if r.facts.Image != nil { // a flat image, whatever the line says
		r.facts.Image.Parent, r.facts.Image.Container = nil, nil
	}
	r.rec.Event, r.rec.Facts = &r.ev, &r.facts
	r.seen.Events++
	r.seen.Ended = r.ev.Time
	return nil
}

// read returns the next line without its newline; io.EOF comes with a last line
// that has none. A line too long is not kept; it is read to its end, which a source
// without newlines never reaches, unless giveUp says not to.
func (r *Reader) read(giveUp bool) (line []byte, tooLong bool, err error) {
	r.buf = r.buf[:0]
	r.line++
	for {
		part, err := r.in.ReadSlice('\n')
		if !tooLong && len(r.buf)+len(part) > MaxLine+1 {
			tooLong = true
			r.buf = append(r.buf[:0], '!') // not empty, so that it is not taken for the end
			if giveUp {
				return r.buf, true, nil
			}
		}
		if !tooLong {
			r.buf = append(r.buf, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return nil, false, fmt.Errorf("trace line %d: %w", r.line, err)
		case err != nil && len(r.buf) == 0:
			r.line--
		}
		return bytes.TrimSuffix(r.buf, []byte{'\n'}), tooLong, err
	}
}

// strict decodes exactly one JSON value with known keys only.
func strict(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.InputOffset() != int64(len(data)) && len(bytes.TrimSpace(data[d.InputOffset():])) != 0 {
		return errors.New("text after the record")
	}
	return nil
}
