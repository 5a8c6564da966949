package trace

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/process"
)

// Writer writes one trace. It keeps at most 64 KiB and one line in memory. The
// first error of the writer below it is returned by every later call, and what
// comes after it is counted as lost. It is not safe for concurrent use.
type Writer struct {
	to   *bufio.Writer
	line []byte
	end  End
	err  error
	lost uint64

	numbers map[*event.Container]uint64
	next    uint64
}

// NewWriter writes the header and the snapshot that events will build on. Format,
// Version and the snapshot's counts in h are filled in.
func NewWriter(to io.Writer, h Header, snap process.Snapshot) (*Writer, error) {
	w := &Writer{to: bufio.NewWriterSize(to, 64<<10), numbers: map[*event.Container]uint64{}}
	h.Format, h.Version = Format, Version
	h.Processes, h.Written, h.Pipes, h.Sockets = len(snap.Processes), len(snap.Written), len(snap.Pipes), len(snap.Sockets)
	h.HostMntNS, h.Exact = snap.HostMntNS, snap.Exact
	seen := map[*event.Container]bool{}
	for _, k := range snap.Processes {
		if c := k.Process.Container; c != nil {
			seen[c] = true
		}
	}
	h.Containers = len(seen)
	head, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("trace header: %w", err)
	}
	w.put(head)
	for i := range snap.Processes {
		k := &snap.Processes[i]
		w.reserve(1)
		in := w.number(k.Process.Container)
		b := k.AppendJSON(append(w.line[:0], `{"process":`...))
		w.put(append(appendIn(b, in), '}'))
	}
	for i := range snap.Written {
		w.put(append(snap.Written[i].AppendJSON(append(w.line[:0], `{"written":`...)), '}'))
	}
	for i := range snap.Pipes {
		w.put(append(snap.Pipes[i].AppendJSON(append(w.line[:0], `{"pipe":`...)), '}'))
	}
	for _, ino := range snap.Sockets {
		w.put(append(strconv.AppendUint(append(w.line[:0], `{"socket":"`...), ino, 10), `"}`...))
	}
	return w, w.err
}

// Event writes one event with its facts, as they go into process.Table.Apply; an audit
// event has none, and what facts holds then is left out. An event too long for a line
// becomes a loss in its place.
func (w *Writer) Event(ev *event.Event, facts *event.Facts) error {
	if w.err != nil {
		w.lost++
		return w.err
	}
	if ev.Source == event.SourceK8sAudit {
		return w.putEvent(ev, append(ev.AppendSlots(append(w.line[:0], `{"event":`...)), '}'))
	}
	w.reserve(1 + len(facts.Heal))
	in := uint64(0)
	if facts.HasContainer {
		in = w.number(facts.Container)
	}
	for i := range facts.Heal {
		w.number(facts.Heal[i].Container) // their records come before the line is begun
	}
	b := ev.AppendSlots(append(w.line[:0], `{"event":`...))
	b = facts.AppendJSON(append(b, `,"facts":`...))
	b = appendIn(b, in)
	if len(facts.Heal) > 0 {
		b = append(b, `,"heal_in":[`...)
		for i := range facts.Heal {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendUint(b, w.number(facts.Heal[i].Container), 10)
		}
		b = append(b, ']')
	}
	return w.putEvent(ev, append(b, '}'))
}

func (w *Writer) putEvent(ev *event.Event, b []byte) error {
	if len(b) > MaxLine {
		w.line = b[:0]
		return w.Loss(event.Loss{Hop: "trace.writer", Reason: "too_long", Lane: ev.ID.Lane, Count: 1, From: ev.Time, To: ev.Time})
	}
	w.put(b)
	if w.err == nil {
		w.end.Events++
		w.end.Ended = ev.Time
	}
	return w.err
}

// Replace writes that a container's description was replaced, as in
// process.Table.SetContainer.
func (w *Writer) Replace(old, new *event.Container) error {
	if old == nil {
		return w.err
	}
	w.reserve(2)
	from := w.number(old)
	to := w.number(new)
	b := strconv.AppendUint(append(w.line[:0], `{"replace":`...), from, 10)
	b = strconv.AppendUint(append(b, `,"in":`...), to, 10)
	w.put(append(b, '}'))
	return w.err
}

// Loss writes a stretch of lost events where it happened.
func (w *Writer) Loss(l event.Loss) error {
	w.put(append(l.AppendJSON(append(w.line[:0], `{"loss":`...)), '}'))
	if w.err == nil {
		w.end.Losses++
		w.end.Lost += l.Count
	}
	return w.err
}

// Flush hands everything written so far to the writer below.
func (w *Writer) Flush() error {
	if err := w.to.Flush(); w.err == nil && err != nil {
		w.err = fmt.Errorf("trace: %w", err)
	}
	return w.err
}

// Close writes the end record and flushes; why is empty when the recording
// ended on request. The writer below stays open.
func (w *Writer) Close(why string) error {
	w.end.Why = why
	end, err := json.Marshal(struct {
		End End `json:"end"`
	}{w.end})
	if err != nil {
		return fmt.Errorf("trace end: %w", err)
	}
	w.put(end)
	return w.Flush()
}

// Counts returns what was written so far, and how many events came after the
// first error and were not.
func (w *Writer) Counts() (written End, lost uint64) { return w.end, w.lost }

// reserve makes room for n more numbers. When too many are in use the numbering
// starts over, which costs repeated records but keeps the memory bounded.
func (w *Writer) reserve(n int) {
	if len(w.numbers)+n > maxContainers {
		clear(w.numbers)
	}
}

// number gives a container its number, writing its record the first time.
func (w *Writer) number(c *event.Container) uint64 {
	if c == nil {
		return 0
	}
	if n, ok := w.numbers[c]; ok {
		return n
	}
	w.next++
	w.numbers[c] = w.next
	b := c.AppendJSON(append(w.line[:0], `{"container":`...))
	b = strconv.AppendUint(append(b, `,"n":`...), w.next, 10)
	w.put(append(b, '}'))
	return w.next
}

func appendIn(b []byte, n uint64) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendUint(append(b, `,"in":`...), n, 10)
}

// put writes one line and keeps its memory for the next.
func (w *Writer) put(line []byte) {
	w.line = line[:0]
	if w.err != nil {
		return
	}
	line = append(line, '\n')
	if _, err := w.to.Write(line); err != nil {
		w.err = fmt.Errorf("trace: %w", err)
	}
	w.line = line[:0]
}
