package scenario

import (
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/process"
	"github.com/dockreeve/dockreeve/trace"
)

// Record is what a scenario's line becomes: an event with its facts, or a loss.
type Record struct {
	Event *event.Event
	Facts event.Facts
	Loss  *event.Loss
}

// Tape is a scenario as records, with what is expected after which of them.
type Tape struct {
	Cluster   string          // of the audit events; "" when it has none
	Processes []event.Process // there already when the story begins; flat
	Records   []Record
	Expect    []Expectation
}

// Expectation stands after the first After records.
type Expectation struct {
	Line  int
	After int
	Rule  string // "" = nothing
	Opt   map[string]string
}

// The story's clock: it starts here and moves a millisecond a line.
const (
	startWall = int64(1_700_000_000_000_000_000)
	startBoot = int64(3_600_000_000_000)
	tick      = int64(1_000_000)
)

type teller struct {
	tape       Tape
	containers map[string]*event.Container
	procs      map[int32]*told
	n          int64
	later      int64 // what was waited, nanoseconds
	seq        [4]uint64
	cluster    *cluster
}

// told is what the teller knows of a process, enough to write the next line.
type told struct {
	start int64
	gen   uint32
	in    *event.Container
	image event.Process
}

// Tell turns a scenario into records.
func (s Scenario) Tell() (Tape, error) {
	t := &teller{containers: map[string]*event.Container{}, procs: map[int32]*told{}, cluster: newCluster()}
	for _, st := range s.Steps {
		t.n++
		if err := t.step(st); err != nil {
			return Tape{}, fmt.Errorf("%s:%d: %w", s.File, st.Line, err)
		}
	}
	return t.tape, nil
}

func (t *teller) step(st Step) error {
	switch st.Verb {
	case "container":
		return t.container(st)
	case "expect":
		e := Expectation{Line: st.Line, After: len(t.tape.Records), Rule: st.Words[0], Opt: st.Opt}
		if e.Rule == "nothing" {
			e.Rule = ""
		}
		t.tape.Expect = append(t.tape.Expect, e)
		return nil
	case "wait":
		d, err := time.ParseDuration(st.Words[0])
		if err != nil || d < 0 {
			return fmt.Errorf("wait: %q is not a duration such as 90s or 72h", st.Words[0])
		}
		t.later += int64(d)
		return nil
	case "cluster", "object", "gone", "audit":
		return t.clusterStep(st)
	case "loss":
		n, err := strconv.ParseUint(st.Words[1], 10, 64)
		if err != nil {
			return fmt.Errorf("loss: %q is not a count", st.Words[1])
		}
		t.tape.Records = append(t.tape.Records, Record{Loss: &event.Loss{Hop: "sensor.ring", Reason: st.Words[0], Lane: event.LaneActivity, Count: n, From: t.wall() - tick, To: t.wall()}})
		return nil
	}
	pid, err := strconv.ParseInt(st.Words[0], 10, 32)
	if err != nil {
		return fmt.Errorf("%s: %q is not a process id", st.Verb, st.Words[0])
	}
	if st.Verb == "process" {
		return t.process(int32(pid), st)
	}
	p := t.procs[int32(pid)]
	if p == nil {
		return fmt.Errorf("%s: no process %d was told of before", st.Verb, pid)
	}
	switch st.Verb {
	case "fork":
		return t.fork(int32(pid), p, st)
	case "exec":
		return t.exec(int32(pid), p, st)
	case "exit":
		ev := t.event(event.TypeProcexit, event.LaneProcess, int32(pid))
		t.add(ev, event.Facts{PID: int32(pid), Start: p.start, ExecGen: p.gen, ReaperPID: 1})
		delete(t.procs, int32(pid))
		return nil
	case "open":
		return t.open(int32(pid), p, st)
	case "connect":
		return t.connect(int32(pid), p, st)
	}
	return t.dup(int32(pid), p, st)
}

func (t *teller) wall() int64 { return startWall + t.n*tick + t.later }

func (t *teller) boot() int64 { return startBoot + t.n*tick + t.later }

func (t *teller) event(typ event.Type, lane event.Lane, pid int32) *event.Event {
	t.seq[lane]++
	return &event.Event{
		ID: event.ID{Node: 1, Boot: 1, Lane: lane, Seq: t.seq[lane]}, Type: typ, Time: t.wall(), Boot: t.boot(),
		Received: t.wall(), TID: pid, FD: -1, Flags: event.FlagHasRet,
	}
}

func (t *teller) add(ev *event.Event, f event.Facts) {
	t.tape.Records = append(t.tape.Records, Record{Event: ev, Facts: f})
}

func (t *teller) facts(pid int32, p *told) event.Facts {
	return event.Facts{PID: pid, Start: p.start, ExecGen: p.gen, Comm: p.image.Comm, HasContainer: true, Container: p.in}
}

func (t *teller) container(st Step) error {
	name := st.Words[0]
	c := &event.Container{ID: fmt.Sprintf("%064x", len(t.containers)+1), Name: name, Runtime: "runc", StartTime: t.wall(), CreatedTime: t.wall(), Unknown: st.Opt["unknown"]}
	if ref := st.Opt["image"]; ref != "" {
		c.Image = ref
		c.ImageRepo, c.ImageTag = ref, "latest"
		if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
			c.ImageRepo, c.ImageTag = ref[:i], ref[i+1:]
		}
	}
	if pod := st.Opt["pod"]; pod != "" {
		ns, name, ok := strings.Cut(pod, "/")
		if !ok {
			return fmt.Errorf("pod=%s: want NAMESPACE/NAME", pod)
		}
		c.PodNamespace, c.PodName = ns, name
	}
	c.PodUID = st.Opt["uid"]
	for m := range strings.SplitSeq(st.Opt["mounts"], ",") {
		source, dest, ok := strings.Cut(m, ":")
		if m != "" && !ok {
			return fmt.Errorf("mounts=%s: want SOURCE:DEST", m)
		}
		if ok {
			c.Mounts = append(c.Mounts, event.Mount{Source: source, Dest: dest})
		}
	}
	c.Workload, c.Owner, c.Tenant = st.Opt["owned"], st.Opt["owner"], st.Opt["tenant"]
	t.containers[name] = c
	return nil
}

func (t *teller) in(st Step, was *event.Container) (*event.Container, error) {
	name, ok := st.Opt["in"]
	if !ok {
		return was, nil
	}
	c := t.containers[name]
	if c == nil {
		return nil, fmt.Errorf("in=%s: no such container was told of before", name)
	}
	return c, nil
}

func (t *teller) process(pid int32, st Step) error {
	c, err := t.in(st, nil)
	if err != nil {
		return err
	}
	p := &told{start: t.boot(), gen: 1, in: c}
	parent, err := number(st.Opt["parent"], 1)
	if err != nil {
		return err
	}
	p.image = event.Process{
		PID: pid, PPID: int32(parent), Start: p.start, Time: t.wall(), ExecGen: 1, Comm: st.Words[1], Exe: st.Words[2], ExePath: st.Words[2],
		Cmdline: st.Words[1], Cwd: "/", VPID: pid, PGID: pid, VPGID: pid, SID: pid, VSID: pid, User: userOf(st), Seeded: true, LoginUID: 1<<32 - 1,
	}
	if p.image.TTY, err = tty(st); err != nil {
		return err
	}
	t.procs[pid] = p
	seed := p.image
	seed.Container = c
	t.tape.Processes = append(t.tape.Processes, seed)
	return nil
}

func userOf(st Step) string {
	if u := st.Opt["user"]; u != "" {
		return u
	}
	return "root"
}

func number(s string, otherwise uint64) (uint64, error) {
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return n, nil
}

func tty(st Step) (uint32, error) {
	n, err := number(st.Opt["tty"], 0)
	return uint32(n), err
}

func (t *teller) fork(pid int32, p *told, st Step) error {
	n, err := strconv.ParseInt(st.Words[1], 10, 32)
	if err != nil {
		return fmt.Errorf("fork: %q is not a process id", st.Words[1])
	}
	c, err := t.in(st, p.in)
	if err != nil {
		return err
	}
	child := &told{start: t.boot(), gen: p.gen, in: c, image: p.image}
	img := p.image
	img.PID, img.PPID, img.Start, img.Time, img.Seeded, img.Container = int32(n), pid, child.start, t.wall(), false, nil
	img.VPID = int32(n)
	child.image = img
	t.procs[int32(n)] = child
	ev := t.event(event.TypeClone, event.LaneProcess, pid)
	ev.Ret = n
	raw := event.Process{PID: int32(n), PPID: pid, Start: child.start, Time: t.wall(), VPID: int32(n)}
	if st.Opt["phase"] == "init" {
		raw.Phase = event.PhaseInit
	}
	t.add(ev, event.Facts{PID: int32(n), Start: child.start, ExecGen: child.gen, Comm: img.Comm, Image: &raw, ForkPID: pid, ForkStart: p.start, HasContainer: true, Container: c})
	return nil
}

func (t *teller) exec(pid int32, p *told, st Step) error {
	exe := st.Words[1]
	args := slices.Clone(st.Words[2:])
	img := p.image
	img.ExeMemfd = false
	if i := slices.Index(args, "memfd"); i >= 0 {
		img.ExeMemfd = true
		args = slices.Delete(args, i, i+1)
	}
	img.ExePath, img.Exe, img.Comm, img.Args = exe, exe, filepath.Base(exe), args
	if v, ok := st.Opt["argv0"]; ok {
		img.Exe = v
	}
	if v, ok := st.Opt["comm"]; ok {
		img.Comm = v
	}
	if len(img.Comm) > 15 {
		img.Comm = img.Comm[:15]
	}
	img.Cmdline = strings.TrimRight(img.Comm+" "+strings.Join(args, " "), " ")
	switch st.Opt["root"] {
	case "host":
		img.HostRoot = event.Yes
	case "own":
		img.HostRoot = event.No
	case "":
	default:
		return fmt.Errorf("root=%s: want host or own", st.Opt["root"])
	}
	ino, err := number(st.Opt["ino"], 1)
	if err != nil {
		return err
	}
	img.ExeDev, img.ExeIno = 8, ino
	if img.TTY, err = tty(st); err != nil {
		return err
	}
	for i, key := range []string{"stdin", "stdout"} {
		if img.Stdio[i], err = stream(st.Opt[key]); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	if st.Opt["phase"] == "init" {
		img.Phase = event.PhaseInit
	} else {
		img.Phase = event.PhaseRun
	}
	p.gen++
	img.ExecGen, img.ExecTime = p.gen, t.wall()
	p.image = img
	ev := t.event(event.TypeExecve, event.LaneProcess, pid)
	raw := img
	raw.Container, raw.Parent = nil, nil
	f := t.facts(pid, p)
	f.Image = &raw
	t.add(ev, f)
	return nil
}

// stream reads pipe:INO, socket:ADDR:PORT or file.
func stream(s string) (event.Stream, error) {
	kind, rest, _ := strings.Cut(s, ":")
	switch kind {
	case "":
		return event.Stream{}, nil
	case "file":
		return event.Stream{Kind: event.FDFile}, nil
	case "pipe":
		n, err := number(rest, 0)
		return event.Stream{Kind: event.FDPipe, Ino: n}, err
	case "socket":
		far, err := netip.ParseAddrPort(rest)
		if err != nil {
			return event.Stream{}, err
		}
		return event.Stream{Kind: inet(far), Remote: far}, nil
	}
	return event.Stream{}, fmt.Errorf("%q is neither pipe:INO nor socket:ADDR:PORT nor file", s)
}

func inet(a netip.AddrPort) event.FDKind {
	if a.Addr().Is4() {
		return event.FDIPv4
	}
	return event.FDIPv6
}

var errnos = map[string]int64{"EPERM": 1, "ENOENT": 2, "EACCES": 13, "EEXIST": 17, "ENETUNREACH": 101, "ETIMEDOUT": 110, "ECONNREFUSED": 111, "EINPROGRESS": 115}

func (t *teller) fail(ev *event.Event, st Step) error {
	word := st.Opt["failed"]
	if word == "" {
		return nil
	}
	n, ok := errnos[word]
	if !ok {
		return fmt.Errorf("failed=%s: not an error name that scenarios know", word)
	}
	ev.Ret = -n
	return nil
}

func (t *teller) open(pid int32, p *told, st Step) error {
	ev := t.event(event.TypeOpenat, event.LaneActivity, pid)
	ev.Path, ev.Raw = st.Words[1], st.Words[1]
	ev.FDKind, ev.Flags = event.FDFile, ev.Flags|event.FlagHasFD
	read, write := false, false
	for _, w := range st.Words[2:] {
		switch w {
		case "read":
			read = true
		case "write":
			write = true
		case "create":
			write = true
			ev.OpenFlags |= 0o100
			ev.Flags |= event.FlagCreated
			ev.Mode = 0o644
		default:
			return fmt.Errorf("open: %q is none of read, write, create", w)
		}
	}
	switch {
	case read && write:
		ev.OpenFlags |= 2
	case write:
		ev.OpenFlags |= 1
	}
	var err error
	if ev.Ino, err = number(st.Opt["ino"], 1); err != nil {
		return err
	}
	ev.Dev, ev.FD, ev.Ret = 8, 3, 3
	if err := t.fail(ev, st); err != nil {
		return err
	}
	if ev.Ret < 0 {
		ev.FD, ev.FDKind = ev.Ret, event.FDNone
		ev.Flags |= event.FlagUserMemory
	}
	t.add(ev, t.facts(pid, p))
	return nil
}

func (t *teller) connect(pid int32, p *told, st Step) error {
	ev := t.event(event.TypeConnect, event.LaneActivity, pid)
	switch st.Words[1] {
	case "tcp":
		ev.L4 = event.L4TCP
	case "udp":
		ev.L4 = event.L4UDP
	default:
		return fmt.Errorf("connect: %q is neither tcp nor udp", st.Words[1])
	}
	if err := t.ends(ev, st.Words[2], st.Words[3], event.RoleClient); err != nil {
		return err
	}
	var err error
	if ev.Ino, err = number(st.Opt["ino"], 1); err != nil {
		return err
	}
	ev.FD, ev.Flags = 3, ev.Flags|event.FlagHasFD
	if err := t.fail(ev, st); err != nil {
		return err
	}
	t.add(ev, t.facts(pid, p))
	return nil
}

func (t *teller) ends(ev *event.Event, local, remote string, role event.Role) error {
	l, err := netip.ParseAddrPort(local)
	if err != nil {
		return err
	}
	r, err := netip.ParseAddrPort(remote)
	if err != nil {
		return err
	}
	ev.Role, ev.FDKind, ev.Family = role, inet(r), 2
	if !r.Addr().Is4() {
		ev.Family = 10
	}
	ev.Client, ev.Server = l, r
	if role == event.RoleServer {
		ev.Client, ev.Server = r, l
	}
	return nil
}

func (t *teller) dup(pid int32, p *told, st Step) error {
	oldfd, err1 := number(st.Words[1], 0)
	newfd, err2 := number(st.Words[2], 0)
	if err1 != nil || err2 != nil {
		return fmt.Errorf("dup: want dup PID OLD NEW …")
	}
	ev := t.event(event.TypeDup2, event.LaneActivity, pid)
	ev.OldFD, ev.FD, ev.Ret, ev.Flags = int64(oldfd), int64(newfd), int64(newfd), ev.Flags|event.FlagHasFD
	var err error
	if ev.Ino, err = number(st.Opt["ino"], 1); err != nil {
		return err
	}
	words := st.Words[3:]
	switch {
	case words[0] == "pipe":
		ev.FDKind = event.FDPipe
	case words[0] == "file" && len(words) == 2:
		ev.FDKind, ev.Path = event.FDFile, words[1]
	case (words[0] == "socket" || words[0] == "accepted") && len(words) == 3:
		ev.L4 = event.L4TCP
		role := event.RoleClient
		if words[0] == "accepted" {
			role = event.RoleServer
		}
		if err := t.ends(ev, words[1], words[2], role); err != nil {
			return err
		}
	default:
		return fmt.Errorf("dup: want socket LOCAL REMOTE, accepted LOCAL REMOTE, pipe, or file PATH after the two descriptors")
	}
	t.add(ev, t.facts(pid, p))
	return nil
}

// Snapshot is what was there when the story begins.
func (t Tape) Snapshot() process.Snapshot {
	var seed process.Snapshot
	for i := range t.Processes {
		p := t.Processes[i]
		seed.Processes = append(seed.Processes, event.Kept{Process: &p})
	}
	return seed
}

// WriteTrace writes the story as a trace that node recorded, or the cluster's agent when
// it has no processes.
func (t Tape) WriteTrace(to io.Writer, node string) error {
	if t.Cluster != "" && len(t.Processes) == 0 {
		node = ""
	}
	w, err := trace.NewWriter(to, trace.Header{Node: node, Cluster: t.Cluster, Started: startWall}, t.Snapshot())
	if err != nil {
		return err
	}
	for _, r := range t.Records {
		if r.Loss != nil {
			err = w.Loss(*r.Loss)
		} else {
			ev, facts := *r.Event, r.Facts
			err = w.Event(&ev, &facts)
		}
		if err != nil {
			return err
		}
	}
	return w.Close("")
}

// Check compares what was found with what was expected. found[i] holds the
// findings made by record i. Expectations with nothing between them are of the same findings.
func (t Tape) Check(file string, found [][]*finding.Finding) []string {
	var wrong []string
	from := 0
	for list := t.Expect; len(list) > 0; {
		n := 1
		for n < len(list) && list[n].After == list[0].After {
			n++
		}
		got := map[string][]*finding.Finding{}
		for _, fs := range found[from:list[0].After] {
			for _, f := range fs {
				got[f.Rule.ID] = append(got[f.Rule.ID], f)
			}
		}
		from = list[0].After
		last := list[n-1].Line
		for _, e := range list[:n] {
			wrong = append(wrong, e.check(file, got[e.Rule])...)
		}
		for _, e := range list[:n] {
			delete(got, e.Rule)
		}
		for _, fs := range got {
			for _, f := range fs {
				wrong = append(wrong, fmt.Sprintf("%s:%d: found %s, which nobody expects here: %s", file, last, f.Rule.ID, f.Output))
			}
		}
		list = list[n:]
	}
	for _, fs := range found[from:] {
		for _, f := range fs {
			wrong = append(wrong, fmt.Sprintf("%s: after the last expect, %s was found: %s", file, f.Rule.ID, f.Output))
		}
	}
	return wrong
}

// check says what is wrong with the findings of the rule that is expected.
func (e Expectation) check(file string, got []*finding.Finding) []string {
	if e.Rule == "" || slices.ContainsFunc(got, func(f *finding.Finding) bool { return len(e.mismatch(f)) == 0 }) {
		return nil
	}
	if len(got) > 0 {
		return []string{fmt.Sprintf("%s:%d: found %s, but %s", file, e.Line, e.Rule, strings.Join(e.mismatch(got[0]), ", "))}
	}
	return []string{fmt.Sprintf("%s:%d: expected %s, which was not found", file, e.Line, e.Rule)}
}

func (e Expectation) mismatch(f *finding.Finding) []string {
	have := map[string]string{"severity": f.Severity.String(), "process": f.Subject.Process, "workload": f.Subject.Workload, "object": f.Subject.Object,
		"identity": f.Subject.Identity, "source": f.Subject.Source, "cluster": f.Subject.Cluster, "owner": f.Subject.Owner, "tenant": f.Subject.Tenant, "summary": f.Summary}
	var out []string
	for k, want := range e.Opt {
		if have[k] != want {
			out = append(out, fmt.Sprintf("%s is %q, not %q", k, have[k], want))
		}
	}
	slices.Sort(out)
	return out
}
