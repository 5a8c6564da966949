package inuse

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/dockreeve/dockreeve/event"
)

// Interest is what the kernel has to collect for a Tracker.
func Interest() event.Interest {
	var i event.Interest
	i.Add(event.Need{
		Reason: "packages in use: programs, libraries and interpreters' files that containers load",
		Types:  event.NewTypeSet(event.TypeLoad, event.TypeIoUringSetup),
	})
	return i
}

// Intervals of reports, nanoseconds of the events' own clock.
const (
	second     = int64(1e9)
	FullEvery  = 300 * second // a container's report with everything known
	DeltaEvery = 5 * second   // its reports of what is new, at most this often
	EndAfter   = 10 * second  // without a process this long, a container has ended
)

// Bounds of one report, so that it fits an envelope of the link (1 MiB) also where JSON
// writes each byte of a path as six; of the processes that tell whether a container
// lives; and of texts, as the hub takes them.
const (
	maxReportLoads = 2048
	maxReportBytes = 96 << 10 // of paths
	maxProcesses   = 1 << 17
	maxPath        = 4096
	maxName        = 1024
	maxID          = 200
)

// Options of a Tracker. The zero value works.
type Options struct {
	Node string // whose reports these are
	// NotWatched says why loads are not among the events, "" that they are: then
	// where images run is reported all the same.
	NotWatched string
}

// Tracker turns events into reports. It is a function of what it is given and when
// Due is asked: a replayed trace gives the reports of the live run. It holds at most
// MaxContainers containers of MaxPaths files. Not safe for concurrent use.
type Tracker struct {
	opt   Options
	begun int64 // from when on events are whole; 0 = Begin was not called
	boxes map[string]*box
	procs map[process]*box
	last  *event.Container // of the last event, known to be current
	now   int64            // time of the last event
	paths int              // of all boxes
	done  []Report         // last reports of lives that another one of the same name followed
	broke int64            // up to when losses broke the watch
	why   string           // which
	stats Stats
}

// Stats count what a Tracker holds and what it could not.
type Stats struct {
	Containers int    // tracked now
	Paths      int    // files of all of them
	Untracked  uint64 // events of containers beyond MaxContainers
	Unnamed    uint64 // events of containers whose id is not known
	Outside    uint64 // loads of files that lie in no container's file system
	Breaks     uint64 // losses that broke the watch
}

// process is the identity of one process.
type process struct {
	pid   int32
	start int64
}

// box is one container.
type box struct {
	c       *event.Container
	loads   map[string]*load
	fresh   []string // paths not reported yet
	pids    map[process]bool
	since   int64
	born    int64  // its first event, where its set-up was seen; 0 = it was not
	after   int64  // when the one that had its name before ended; 0 = none had
	blind   string // why loads of this container cannot be known, for its whole life
	broken  string // why since was moved
	changed bool   // something but loads has changed since the last report
	seen    int64  // time of the last event
	empty   int64  // since when it has no process; 0 = it has one
	full    int64  // time of the last full report; 0 = none yet
	told    int64  // time of the last report
}

type load struct {
	path        string
	first, last int64
	changed     bool
}

// New returns an empty tracker.
func New(opt Options) *Tracker {
	return &Tracker{opt: opt, boxes: map[string]*box{}, procs: map[process]*box{}}
}

// Begin tells what there was when the watch began, at a time in Unix nanoseconds:
// processes with their containers. Their programs are loaded from then on. Call it
// before the first Observe.
func (t *Tracker) Begin(at int64, have []event.Kept) {
	t.begun, t.now = at, at
	for _, k := range have {
		p := k.Process
		if p == nil || p.ExitTime != 0 {
			continue
		}
		b := t.box(p.Container, at, false)
		if b == nil {
			continue
		}
		t.join(b, process{p.PID, p.Start})
		if p.Phase == event.PhaseRun {
			t.program(b, p, at)
		}
	}
}

// Observe takes one event, which is only read.
func (t *Tracker) Observe(e *event.Event) {
	t.now = max(t.now, e.Time)
	c := e.Container
	if c == nil {
		if e.Type == event.TypeProcexit {
			t.exit(e)
		}
		return
	}
	// Most events are of a container that is known, and say nothing new.
	switch e.Type {
	case event.TypeLoad, event.TypeExecve, event.TypeExecveat, event.TypeClone, event.TypeProcexit, event.TypeIoUringSetup:
	default:
		if c == t.last && e.Flags&event.FlagCompat == 0 {
			return
		}
	}
	p := e.Process
	b := t.box(c, e.Time, p != nil && p.Phase == event.PhaseInit)
	if b == nil {
		return
	}
	t.last = c
	b.seen = max(b.seen, e.Time)
	switch {
	case e.Flags&event.FlagCompat != 0:
		b.blinded("a 32-bit program runs in it, whose loads are not seen")
	case e.Type == event.TypeIoUringSetup && e.Ret >= 0:
		b.blinded("a program in it uses io_uring, whose reads are not seen")
	}
	if p == nil {
		return
	}
	if e.Type == event.TypeProcexit {
		t.exit(e)
		return
	}
	t.join(b, process{p.PID, p.Start})
	failed := e.Flags&event.FlagHasRet != 0 && e.Ret < 0
	if p.Phase == event.PhaseInit || failed {
		return
	}
	switch e.Type {
	case event.TypeExecve, event.TypeExecveat:
		t.program(b, p, e.Time)
		if s := script(p, e.Raw); s != "" {
			t.load(b, s, e.Time, false)
		}
	case event.TypeLoad:
		if e.Flags&event.FlagPathPartial != 0 {
			t.stats.Outside++
			return
		}
		t.load(b, e.Path, e.Time, e.Flags&event.FlagUpper != 0)
	}
}

// Replace says that a container is known better now, as process.Table.SetContainer.
func (t *Tracker) Replace(old, new *event.Container) {
	if old == nil || new == nil || t.boxes[old.ID] == nil || old.ID != new.ID {
		return
	}
	t.describe(t.boxes[old.ID], new)
}

// Loss breaks the watch of every container where what was lost may have been a load:
// nobody knows whose it was.
func (t *Tracker) Loss(l event.Loss) {
	if l.Lane != event.LaneLoad && l.Lane != event.LaneProcess && l.Reason != "missed_hook" {
		return
	}
	t.stats.Breaks++
	what := "loads"
	if l.Lane == event.LaneProcess {
		what = "process events"
	}
	why := fmt.Sprintf("%d %s were lost (%s, %s)", l.Count, what, l.Hop, l.Reason)
	if l.To < t.broke {
		return
	}
	t.broke, t.why = l.To, why
	for _, b := range t.boxes {
		t.breaks(b)
	}
}

// breaks moves the beginning of a container's watch behind what was lost: also where its
// first events were held back and come after the loss was told.
func (t *Tracker) breaks(b *box) {
	if t.broke > b.since {
		b.since, b.broken, b.changed = t.broke, t.why, true
	}
}

// Prune forgets processes that are not alive any more: exits get lost as other events
// do, and a container must not seem to run for ever.
func (t *Tracker) Prune(alive func(pid int32) bool) {
	for p, b := range t.procs {
		if !alive(p.pid) {
			t.leave(b, p, t.now)
		}
	}
}

// Stats counts what is held now.
func (t *Tracker) Stats() Stats {
	s := t.stats
	s.Containers, s.Paths = len(t.boxes), t.paths
	return s
}

// box finds or makes the container's record. setup says that the container is still
// being set up, so that none of its own programs has run unseen.
func (t *Tracker) box(c *event.Container, at int64, setup bool) *box {
	if c == nil {
		return nil
	}
	if c.ID == "" || len(c.ID) > maxID {
		t.stats.Unnamed++
		return nil
	}
	b := t.boxes[c.ID]
	after := int64(0)
	if b != nil && setup && b.empty != 0 && len(b.loads) > 0 {
		// What is set up where nothing runs any more is another life: the container was
		// started again, or another one got its name, maybe of another image.
		after = b.empty
		t.finish(b)
		b = nil
	}
	if b != nil {
		if b.c != c {
			t.describe(b, c)
		}
		return b
	}
	if len(t.boxes) >= MaxContainers {
		t.stats.Untracked++
		return nil
	}
	b = &box{c: c, loads: map[string]*load{}, pids: map[process]bool{}, since: at, seen: at, empty: at, blind: t.opt.NotWatched}
	if setup && t.begun != 0 {
		b.born, b.after = at, after
	}
	t.boxes[c.ID] = b
	t.breaks(b)
	return b
}

// finish ends a box whose name another one takes. Its last report waits for Due.
func (t *Tracker) finish(b *box) {
	delete(t.boxes, b.c.ID)
	t.paths -= len(b.loads)
	t.last = nil
	if len(t.done) >= MaxContainers { // nobody asks for what is due
		t.stats.Untracked++
		return
	}
	b.full = 0 // all of it
	t.done = t.report(t.done, b, true)
}

func (t *Tracker) describe(b *box, c *event.Container) {
	b.c, b.changed, t.last = c, true, nil
}

func (b *box) blinded(why string) {
	if b.blind == "" {
		b.blind, b.changed = why, true
	}
}

// program notes what a process runs.
func (t *Tracker) program(b *box, p *event.Process, at int64) {
	if !p.ExeMemfd {
		t.load(b, p.ExePath, at, p.ExeUpper || p.ExeWritten)
	}
}

// script is the script that a process was started for: the kernel puts the name that
// was executed behind the interpreter's and its one argument. "" when the program
// itself was executed, or the script came by descriptor.
func script(p *event.Process, name string) string {
	if name == "" || name == p.ExePath || strings.HasPrefix(name, "/dev/fd/") {
		return ""
	}
	if i := slices.Index(p.Args[:min(len(p.Args), 2)], name); i < 0 {
		return ""
	}
	if name[0] != '/' {
		if p.Cwd == "" {
			return ""
		}
		name = p.Cwd + "/" + name
	}
	return clean(name)
}

// clean resolves dots and doubled slashes of an absolute path by text.
func clean(name string) string {
	var out []string
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case "", ".":
		case "..":
			out = out[:max(0, len(out)-1)]
		default:
			out = append(out, part)
		}
	}
	return "/" + strings.Join(out, "/")
}

// load notes a file. Paths that are not absolute, or longer than any program can say,
// name nothing in an image.
func (t *Tracker) load(b *box, path string, at int64, changed bool) {
	if len(path) < 2 || path[0] != '/' || len(path) > maxPath {
		t.stats.Outside++
		return
	}
	if path = path[1:]; !utf8.ValidString(path) {
		if path = strings.ToValidUTF8(path, "�"); len(path) > maxPath {
			t.stats.Outside++
			return
		}
	}
	l := b.loads[path]
	if l == nil {
		switch {
		case len(b.loads) >= MaxPaths:
			b.blinded(fmt.Sprintf("it loads more than %d files; the first of them are listed", MaxPaths))
			return
		case t.paths >= MaxNodePaths:
			b.blinded(fmt.Sprintf("the containers of this node load more than %d files; the first of them are listed", MaxNodePaths))
			return
		}
		l = &load{path: strings.Clone(path), first: at, last: at, changed: changed} // an event's strings do not last
		b.loads[l.path] = l
		b.fresh = append(b.fresh, l.path)
		t.paths++
		return
	}
	l.last = max(l.last, at)
	if changed && !l.changed {
		l.changed = true
		b.fresh = append(b.fresh, l.path)
	}
}

// join notes that a process is in a container; it leaves the one it was in.
func (t *Tracker) join(b *box, p process) {
	was := t.procs[p]
	if was == b {
		return
	}
	if was != nil {
		t.leave(was, p, t.now)
	}
	if len(t.procs) >= maxProcesses {
		return
	}
	t.procs[p] = b
	b.pids[p] = true
	b.empty = 0
}

func (t *Tracker) exit(e *event.Event) {
	if e.Process == nil {
		return
	}
	p := process{e.Process.PID, e.Process.Start}
	if b := t.procs[p]; b != nil {
		t.leave(b, p, e.Time)
	}
}

func (t *Tracker) leave(b *box, p process, at int64) {
	delete(t.procs, p)
	delete(b.pids, p)
	if len(b.pids) == 0 {
		b.empty = max(at, 1)
	}
}
