package link

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dockreeve/dockreeve/event"
)

// A segment is a file of records: four bytes of length and four of CRC-32C, both of
// what follows, big-endian; a byte that says what it is; then an envelope as on the
// wire, or the place of an acknowledgement. docs/link.md is the format's page.
const (
	recordHead     = 8
	recordEnvelope = 1
	recordAck      = 2
	maxRecord      = 1 + maxEnvelope
)

// maxTracks bounds what is remembered of origins that have nothing in a lane.
const maxTracks = 4096

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // which crc32 makes once

// spoolLane is one lane on disk. Its owner locks.
type spoolLane struct {
	lane    Lane
	dir     string
	bound   Bound
	segment int64 // size from which the next segment is begun

	segs []*segment // oldest first; the last is written to
	q    []entry    // in order; the dead at the front are cut off
	sent int        // so many of q were delivered or are dead
	live int
	mass int64 // bytes of the living
	disk int64 // bytes of all segments

	seq    uint64 // last given to our own
	tracks map[place]*track
	gaps   []event.Loss
	cut    []string // what load found damaged, by reason
}

type segment struct {
	path     string
	number   uint64
	f        *os.File
	size     int64
	synced   int64
	live     int
	emptied  int // how often it was begun anew
	precious bool
	gone     bool
}

// entry is an envelope on disk.
type entry struct {
	seg   *segment
	off   int64
	size  int64
	track *track
	place place
	seq   uint64
	kind  Kind
	dead  bool // acknowledged, or replaced
}

// track is how far a place has come.
type track struct {
	last      uint64 // written
	delivered uint64
	entries   int
}

// spot is where something ends on disk.
type spot struct {
	seg     *segment
	end     int64
	emptied int
}

// onDisk says that it is there, or was and is not needed any more.
func (p spot) onDisk() bool {
	return p.seg.gone || p.seg.emptied != p.emptied || p.seg.synced >= p.end
}

func (l *spoolLane) hop() string { return HopSpool + "." + l.lane.String() }

func recordSize(e *Envelope) int64 {
	return int64(recordHead + 1 + envelopeHead + len(e.Origin) + len(e.Bytes))
}

func appendRecord(b []byte, kind byte, body func([]byte) []byte) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, kind)
	b = body(b)
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-recordHead))
	binary.BigEndian.PutUint32(b[at+4:], crc32.Checksum(b[at+recordHead:], castagnoli()))
	return b
}

// errDamaged says that a record is cut or altered.
var errDamaged = errors.New("damaged")

// readRecord reads one record and its size. Its body is valid until the next call with
// the same buf.
func readRecord(r io.Reader, buf []byte) (kind byte, body, keep []byte, size int64, err error) {
	var head [recordHead]byte
	if n, err := io.ReadFull(r, head[:]); err != nil {
		if n == 0 && err == io.EOF {
			return 0, nil, buf, 0, io.EOF
		}
		return 0, nil, buf, 0, errDamaged
	}
	n := int(binary.BigEndian.Uint32(head[:]))
	if n < 1 || n > maxRecord {
		return 0, nil, buf, 0, errDamaged
	}
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(r, buf); err != nil {
		return 0, nil, buf, 0, errDamaged
	}
	if crc32.Checksum(buf, castagnoli()) != binary.BigEndian.Uint32(head[4:]) {
		return 0, nil, buf, 0, errDamaged
	}
	return buf[0], buf[1:], buf, int64(recordHead + n), nil
}

// load reads the segments of an earlier process and begins a new one.
func (l *spoolLane) load() error {
	names, err := filepath.Glob(filepath.Join(l.dir, l.lane.String()+"-*.seg"))
	if err != nil {
		return err
	}
	for _, path := range names {
		base := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), l.lane.String()+"-"), ".seg")
		n, err := strconv.ParseUint(base, 16, 64)
		if err != nil {
			return fmt.Errorf("%s is no segment's name: remove it", path)
		}
		l.segs = append(l.segs, &segment{path: path, number: n, precious: l.lane.Precious()})
	}
	slices.SortFunc(l.segs, func(a, b *segment) int {
		if a.number < b.number {
			return -1
		}
		return 1
	})
	acked := map[place]uint64{}
	for _, g := range l.segs {
		if err := l.scan(g, acked); err != nil {
			return err
		}
	}
	for i := range l.q {
		if e := &l.q[i]; acked[e.place] >= e.seq {
			l.kill(e)
		}
	}
	l.trim()
	return l.roll()
}

// scan reads one segment. A cut end is what a power cut leaves; what follows damage
// cannot be told from it and is given up, both are counted.
func (l *spoolLane) scan(g *segment, acked map[place]uint64) (err error) {
	if g.f, err = os.OpenFile(g.path, os.O_RDWR, 0o600); err != nil {
		return err
	}
	r := bufio.NewReaderSize(g.f, 256<<10)
	var buf []byte
	for {
		kind, body, keep, size, err := readRecord(r, buf)
		buf = keep
		if err == io.EOF {
			break
		}
		var e Envelope
		if err == nil {
			var rest []byte
			if e, rest, err = parsePlace(body); err == nil && kind == recordEnvelope && len(rest) > 0 {
				e.Kind = Kind(rest[0])
			} else if err == nil && kind != recordAck {
				err = errDamaged
			}
		}
		if err != nil || e.Lane != l.lane {
			l.cut = append(l.cut, "torn")
			if err := g.f.Truncate(g.size); err != nil {
				return err
			}
			break
		}
		p := place{e.Origin, e.Epoch, e.Lane}
		if kind == recordAck {
			acked[p] = max(acked[p], e.Seq)
		} else if !l.known(&e) {
			l.enter(g, p, e.Seq, e.Kind, size)
		}
		g.size += size
	}
	g.synced = g.size
	l.disk += g.size
	return nil
}

// known reports whether an envelope was written already.
func (l *spoolLane) known(e *Envelope) bool {
	t := l.tracks[place{e.Origin, e.Epoch, e.Lane}]
	return t != nil && e.Seq <= t.last
}

// enter notes an envelope of the given size at the end of g.
func (l *spoolLane) enter(g *segment, p place, seq uint64, kind Kind, size int64) {
	t := l.tracks[p]
	if t == nil {
		if len(l.tracks) >= maxTracks {
			for k, t := range l.tracks {
				if t.entries == 0 {
					delete(l.tracks, k)
				}
			}
		}
		t = &track{}
		l.tracks[p] = t
	}
	t.last = max(t.last, seq)
	t.entries++
	g.live++
	l.live++
	l.mass += size
	l.q = append(l.q, entry{seg: g, off: g.size, size: size, track: t, place: p, seq: seq, kind: kind})
}

// room says whether so many bytes fit; dead ones are cleared away where that helps.
func (l *spoolLane) room(n int64) bool {
	if l.live >= l.bound.Envelopes {
		return false
	}
	if l.live == 0 || l.disk+n <= int64(l.bound.Bytes) {
		return true
	}
	if l.mass+n > int64(l.bound.Bytes) || l.disk-l.mass < l.segment {
		return false
	}
	return l.compact() == nil && l.disk+n <= int64(l.bound.Bytes)
}

// write appends an envelope.
func (l *spoolLane) write(e *Envelope) (spot, error) {
	g, size, err := l.record(recordEnvelope, func(b []byte) []byte { return appendEnvelope(b, e) })
	if err != nil {
		return spot{}, err
	}
	l.enter(g, place{e.Origin, e.Epoch, e.Lane}, e.Seq, e.Kind, size)
	g.size += size
	return spot{g, g.size, g.emptied}, nil
}

// record writes to the end of the last segment; the caller adds the size.
func (l *spoolLane) record(kind byte, body func([]byte) []byte) (*segment, int64, error) {
	if l.segs[len(l.segs)-1].size >= l.segment {
		if err := l.roll(); err != nil {
			return nil, 0, err
		}
		l.trim()
	}
	g := l.segs[len(l.segs)-1]
	b := appendRecord(nil, kind, body)
	if _, err := g.f.WriteAt(b, g.size); err != nil {
		// What was written of it would be taken for a torn end.
		return nil, 0, errors.Join(err, g.f.Truncate(g.size))
	}
	l.disk += int64(len(b))
	return g, int64(len(b)), nil
}

// roll begins the next segment.
func (l *spoolLane) roll() error {
	n := uint64(1)
	if len(l.segs) > 0 {
		n = l.segs[len(l.segs)-1].number + 1
	}
	g := &segment{path: filepath.Join(l.dir, fmt.Sprintf("%s-%016x.seg", l.lane, n)), number: n, precious: l.lane.Precious()}
	var err error
	if g.f, err = os.OpenFile(g.path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if g.precious { // its name must survive too
		if err := syncDir(l.dir); err != nil {
			return errors.Join(err, g.f.Close(), os.Remove(g.path))
		}
	}
	l.segs = append(l.segs, g)
	return nil
}

// deliver reads the next waiting envelope. io.EOF says there is none; another error
// that it is damaged and given up. first says it was never delivered before.
func (l *spoolLane) deliver() (e Envelope, first bool, err error) {
	for l.sent < len(l.q) && l.q[l.sent].dead {
		l.sent++
	}
	if l.sent == len(l.q) {
		return e, false, io.EOF
	}
	at := &l.q[l.sent]
	l.sent++
	kind, body, _, _, err := readRecord(io.NewSectionReader(at.seg.f, at.off, at.size), nil)
	if err == nil {
		e, err = parseEnvelope(body)
	}
	if err != nil || kind != recordEnvelope || e.Seq != at.seq {
		l.kill(at)
		l.trim()
		return e, false, errDamaged
	}
	if first = e.Seq > at.track.delivered; first {
		at.track.delivered = e.Seq
	}
	return e, first, nil
}

// ack forgets what is stored elsewhere, and writes that down.
func (l *spoolLane) ack(p place, seq uint64) error {
	t := l.tracks[p]
	if t == nil {
		return nil
	}
	if seq > t.delivered && seq <= t.last {
		return fmt.Errorf("link: lane %s acknowledged to %d, delivered to %d: %w", l.lane, seq, t.delivered, ErrAck)
	}
	if seq > t.last {
		return fmt.Errorf("link: lane %s acknowledged to %d, sent to %d: %w", l.lane, seq, t.last, ErrAck)
	}
	n := 0
	for i := range l.q[:l.sent] {
		if e := &l.q[i]; !e.dead && e.place == p && e.seq <= seq {
			l.kill(e)
			n++
		}
	}
	if n == 0 {
		return nil
	}
	// Where this cannot be written the next process sends it again, which does no harm.
	if g, size, err := l.record(recordAck, func(b []byte) []byte { return appendPlace(b, p.origin, p.epoch, p.lane, seq) }); err == nil {
		g.size += size
	}
	l.trim()
	return nil
}

// supersede gives up what waits and says of the same things what e says newer.
func (l *spoolLane) supersede(e *Envelope) (n int) {
	if e.Kind == KindLoss {
		return 0 // says what happened, not how things are
	}
	p := place{e.Origin, e.Epoch, e.Lane}
	for i := l.sent; i < len(l.q)-1; i++ {
		if o := &l.q[i]; !o.dead && o.kind == e.Kind && o.place == p {
			l.kill(o)
			n++
		}
	}
	l.trim()
	return n
}

func (l *spoolLane) kill(e *entry) {
	e.dead = true
	e.track.entries--
	e.seg.live--
	l.live--
	l.mass -= e.size
}

// trim drops the dead at the front, and the segments that hold nothing else. Segments
// go oldest first: what they acknowledge lies in them or before.
func (l *spoolLane) trim() {
	n := 0
	for n < len(l.q) && l.q[n].dead {
		n++
	}
	if n > 0 {
		l.sent = max(0, l.sent-n)
		rest := copy(l.q, l.q[n:])
		clear(l.q[rest:])
		l.q = l.q[:rest]
	}
	for len(l.segs) > 1 && l.segs[0].live == 0 {
		l.remove(0)
	}
	// The last one is written to: emptied, its space is free as well.
	if len(l.segs) == 1 && l.live == 0 && l.segs[0].size >= keepDead {
		_ = l.empty(l.segs[0]) // where that fails it is tried again
	}
}

// keepDead is what a lane with nothing in it may hold of the disk.
const keepDead = 64 << 10

func (l *spoolLane) empty(g *segment) error {
	if err := g.f.Truncate(0); err != nil {
		return err
	}
	l.disk -= g.size
	g.size, g.synced = 0, 0
	g.emptied++
	return nil
}

func (l *spoolLane) remove(i int) {
	g := l.segs[i]
	g.gone = true
	g.f.Close()
	os.Remove(g.path) // what stays is read again, and passed over by its numbers
	l.disk -= g.size
	l.segs = slices.Delete(l.segs, i, i+1)
}

func (l *spoolLane) rewind() { l.sent = 0 }

// compact writes what lives into new segments and removes the old ones. A crash between
// leaves both; load passes over what it has seen.
func (l *spoolLane) compact() (err error) {
	old := len(l.segs)
	type move struct {
		seg *segment
		off int64
	}
	moves := make([]move, len(l.q))
	defer func() {
		if err != nil { // as if it had not been tried
			for len(l.segs) > old {
				l.remove(len(l.segs) - 1)
			}
		}
	}()
	if err := l.roll(); err != nil {
		return err
	}
	var b []byte
	for i := range l.q {
		e := &l.q[i]
		if e.dead {
			continue
		}
		if l.segs[len(l.segs)-1].size >= l.segment {
			if err := l.roll(); err != nil {
				return err
			}
		}
		g := l.segs[len(l.segs)-1]
		b = slices.Grow(b[:0], int(e.size))[:e.size]
		if _, err := e.seg.f.ReadAt(b, e.off); err != nil {
			return err
		}
		if _, err := g.f.WriteAt(b, g.size); err != nil {
			return err
		}
		moves[i] = move{g, g.size}
		g.size += e.size
		l.disk += e.size
	}
	for _, g := range l.segs[old:] {
		if !g.precious {
			continue
		}
		if err := g.f.Sync(); err != nil {
			return err
		}
		g.synced = g.size
	}
	for i := range l.q {
		if e := &l.q[i]; !e.dead {
			e.seg.live--
			e.seg, e.off = moves[i].seg, moves[i].off
			e.seg.live++
		}
	}
	// The newest of the old ones first: what is left after a crash must begin at the
	// beginning, or load would take the earlier ones for seen.
	for i := old - 1; i >= 0; i-- {
		l.remove(i)
	}
	return nil
}

// evict removes the oldest segment of which nothing is on its way and says how many
// envelopes that cost.
func (l *spoolLane) evict() int {
	on := map[*segment]bool{}
	for i := range l.q[:l.sent] {
		if !l.q[i].dead {
			on[l.q[i].seg] = true
		}
	}
	for i, g := range l.segs {
		if g.live == 0 || on[g] {
			continue
		}
		if i == len(l.segs)-1 {
			if err := l.empty(g); err != nil {
				return 0
			}
		}
		n := 0
		for j := range l.q {
			if e := &l.q[j]; e.seg == g && !e.dead {
				l.kill(e)
				n++
			}
		}
		if i < len(l.segs)-1 {
			l.remove(i)
		}
		l.trim()
		return n
	}
	return 0
}

func (l *spoolLane) close() error {
	var errs []error
	for _, g := range l.segs {
		errs = append(errs, g.f.Sync(), g.f.Close())
	}
	return errors.Join(errs...)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, b []byte) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
