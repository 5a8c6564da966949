package detect

import (
	"hash/maphash"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/rule"
)

// A rule that matches thousands of times a second must not cost thousands of findings:
// the pipeline would fall behind, and a flood of one alert would blind the sensor to
// everything else. So of one burst, the matches of a rule on the same container,
// executable and object (of an audit event: identity, workload and object) within burstWindow, the first burstWhole pass whole; the rest
// are counted and told by one more finding when the window ends (Finding.Repeats).
//
// An attacker chooses object names, so there is a second, wider limit: of one rule on
// one container or identity, spreadWhole matches of any object pass in a window. What is folded
// there stands, as Repeats, behind a finding of that rule and container or identity whose object
// is only the latest of many.
const (
	burstWindow = int64(10e9) // event time, nanoseconds
	burstWhole  = 20
	spreadWhole = 1000
	maxBursts   = 16384 // held at once, wide ones too; matches beyond that pass whole
)

type burst struct {
	key   uint64
	start int64
	whole uint64           // how many pass
	n     uint64           // matches in the window
	last  *finding.Finding // stands for those that did not pass; nil when all did
}

// folder holds the bursts of the current window, oldest first.
type folder struct {
	seed  maphash.Seed
	by    map[uint64]*burst
	order []*burst
	head  int
}

func newFolder() folder { return folder{seed: maphash.MakeSeed(), by: map[uint64]*burst{}} }

// keys names the burst a match belongs to: that of its object, and the wide one of
// its rule and container or identity.
func (f *folder) keys(r *rule.Rule, ev *event.Event) (narrow, wide uint64) {
	var h maphash.Hash
	h.SetSeed(f.seed)
	h.WriteString(r.Info().ID)
	h.WriteByte(0)
	if ev.Source == event.SourceK8sAudit {
		q := requestOf(ev)
		h.WriteString(q.cluster)
		h.WriteByte(0)
		h.WriteString(q.identity)
		wide = h.Sum64()
		h.WriteByte(0)
		h.WriteString(q.matter())
		h.WriteByte(0)
		h.WriteString(q.class())
		return h.Sum64(), wide
	}
	if ev.Container != nil {
		h.WriteString(ev.Container.ID)
		h.WriteString(ev.Container.CgroupPath)
	}
	wide = h.Sum64()
	h.WriteByte(0)
	if ev.Process != nil {
		h.WriteString(ev.Process.ExePath)
	}
	h.WriteByte(0)
	_, class := object(ev)
	h.WriteString(class)
	return h.Sum64(), wide
}

// count takes note of a match and says whether it passes whole. One that does not
// belongs to the burst returned, which may ask for it to stand for the rest.
func (f *folder) count(r *rule.Rule, ev *event.Event) (b *burst, whole bool) {
	narrow, wide := f.keys(r, ev)
	b = f.by[narrow]
	if b != nil && b.n >= b.whole {
		b.n++
		return b, false
	}
	// The wide burst is asked before a new narrow one is begun, so that a flood of
	// names cannot fill the table either.
	w := f.burst(wide, ev.Time, spreadWhole)
	if w != nil && w.n >= w.whole {
		w.n++
		return w, false
	}
	if b == nil {
		b = f.burst(narrow, ev.Time, burstWhole)
	}
	for _, x := range [...]*burst{b, w} {
		if x != nil {
			x.n++
		}
	}
	return b, true
}

// burst finds or begins a burst; nil where there is no room.
func (f *folder) burst(key uint64, now int64, whole uint64) *burst {
	b := f.by[key]
	if b == nil {
		if len(f.by) >= maxBursts {
			return nil
		}
		b = &burst{key: key, start: now, whole: whole}
		f.by[key] = b
		f.order = append(f.order, b)
	}
	return b
}

// represent reports whether this match should stand for those folded so far: at each
// doubling, so that the finding is recent and building it costs little.
func (b *burst) represent() bool {
	n := b.n - b.whole
	return n&(n-1) == 0
}

// end hands over the stand-ins of bursts whose window is over.
func (f *folder) end(now int64, emit func(*finding.Finding)) (folded uint64) {
	for f.head < len(f.order) {
		b := f.order[f.head]
		if now-b.start < burstWindow && now >= b.start {
			break
		}
		f.order[f.head] = nil
		f.head++
		delete(f.by, b.key)
		if b.last != nil {
			b.last.Repeats = b.n - b.whole - 1
			folded += b.last.Repeats
			emit(b.last)
		}
	}
	if f.head > 0 && f.head*2 >= len(f.order) {
		f.order = append(f.order[:0], f.order[f.head:]...)
		f.head = 0
	}
	return folded
}
