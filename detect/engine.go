// Package detect turns events into findings. It owns the engine that runs rules over
// events and explains each match; detect/rules is the pack that ships with it.
//
// It does no I/O and reads no clock: the same events give the same findings, ids
// included, live and on replay. An Engine is used by one goroutine.
package detect

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/rule"
)

// Options tunes an Engine.
type Options struct {
	Rules *rule.Rules
	Which Which  // of the rules that match one event, those that are reported
	Node  string // name put into findings
}

// Which says which of the rules that match one event are reported.
type Which uint8

const (
	// Severest reports the rule of the highest priority, the first of them in load
	// order: one finding an event, and never a mild rule in the place of a grave one.
	// Rules with the tag canary are told beside it: that a canary came back is no less true
	// where its event means something else too.
	Severest Which = iota
	// First reports the first in load order, as Falco does by default.
	First
	// All reports every rule.
	All
)

// ParseWhich reads the word of a flag: severest, first or all.
func ParseWhich(word string) (Which, error) {
	for i, w := range [...]string{"severest", "first", "all"} {
		if word == w {
			return Which(i), nil
		}
	}
	return 0, fmt.Errorf("%q is none of severest, first, all", word)
}

// Engine runs rules over events.
type Engine struct {
	which   Which
	best    *rule.Rule
	rules   *rule.Rules
	match   *rule.Matcher
	node    string
	counts  Counts
	losses  [maxLosses]event.Loss
	lossPos int
	buf     []byte
	folds   folder

	ev   *event.Event
	emit func(*finding.Finding)
	on   func(*rule.Rule)
}

// maxLosses bounds the recent losses an engine remembers to mark findings with.
const maxLosses = 16

// lossWindow is how long after a loss a finding may be affected by it, nanoseconds.
const lossWindow = int64(60e9)

// maxEventJSON bounds the raw event kept in a finding, bytes.
const maxEventJSON = 64 << 10

// maxOutput and maxSummary bound the texts of a finding, bytes: rules may print what an
// attacker made long.
const (
	maxOutput  = 16 << 10
	maxSummary = 2 << 10
)

// Counts says what an engine has done.
type Counts struct {
	Events   uint64 // observed
	Findings uint64 // emitted
	Folded   uint64 // matches told only as Repeats of another finding
}

// New makes an engine.
func New(opt Options) *Engine {
	mode := rule.All
	if opt.Which == First {
		mode = rule.First
	}
	e := &Engine{which: opt.Which, rules: opt.Rules, match: rule.NewMatcher(opt.Rules, mode), node: opt.Node, folds: newFolder()}
	e.on = e.found
	if opt.Which == Severest {
		e.on = e.weigh
	}
	return e
}

// Next is an engine for other rules in this one's place, which is to be flushed first and
// used no more: it knows the losses of the last minute and goes on counting.
func (e *Engine) Next(rules *rule.Rules) *Engine {
	n := New(Options{Rules: rules, Which: e.which, Node: e.node})
	n.losses, n.lossPos, n.counts = e.losses, e.lossPos, e.counts
	return n
}

// Observe judges one event and hands each finding to emit, which owns it. The
// event is only read. Loads are passed over: they tell of a file only now and then, so
// a rule that saw them would be right by chance.
func (e *Engine) Observe(ev *event.Event, emit func(*finding.Finding)) {
	if ev.Type == event.TypeLoad {
		return
	}
	e.counts.Events++
	if len(e.folds.by) > 0 {
		e.counts.Folded += e.folds.end(ev.Time, e.count(emit))
	}
	e.ev, e.emit = ev, emit
	e.match.Match(ev, e.on)
	if e.best != nil {
		e.found(e.best)
		e.best = nil
	}
	e.ev, e.emit = nil, nil
}

// Flush ends every burst: call it when there will be no more events.
func (e *Engine) Flush(emit func(*finding.Finding)) {
	e.counts.Folded += e.folds.end(math.MaxInt64, e.count(emit))
}

func (e *Engine) count(emit func(*finding.Finding)) func(*finding.Finding) {
	return func(f *finding.Finding) {
		e.counts.Findings++
		emit(f)
	}
}

// ObserveLoss tells the engine that events are missing from the stream; findings
// of the following minute say so.
func (e *Engine) ObserveLoss(l event.Loss) {
	e.losses[e.lossPos%maxLosses] = l
	e.lossPos++
}

// Counts returns what the engine has done so far.
func (e *Engine) Counts() Counts { return e.counts }

// besides is the tag of rules that are told beside the gravest one.
const besides = "canary"

// weigh keeps the gravest of the rules that match; Priority 0 is the gravest.
func (e *Engine) weigh(r *rule.Rule) {
	if slices.Contains(r.Info().Tags, besides) {
		e.found(r)
		return
	}
	if e.best == nil || r.Info().Priority < e.best.Info().Priority {
		e.best = r
	}
}

func (e *Engine) found(r *rule.Rule) {
	b, whole := e.folds.count(r, e.ev)
	switch {
	case whole:
		e.counts.Findings++
		e.emit(e.build(r))
	case b.represent():
		b.last = e.build(r)
	}
}

// build makes the finding of a match: everything that explains it, owned by itself.
func (e *Engine) build(r *rule.Rule) *finding.Finding {
	ev := e.ev
	info := r.Info()
	f := &finding.Finding{
		Rule: finding.Rule{
			ID: info.ID, Name: info.Name, Hash: info.Hash, Priority: info.Priority.String(), Desc: info.Desc, Tags: info.Tags,
			Tactics: info.Tactics, Techniques: info.Techniques, Answers: info.Answers, Response: info.Response,
			File: info.File, Line: info.Line,
		},
		Severity: Severity(info.Priority),
		Time:     ev.Time,
		Boot:     ev.Boot,
		Received: ev.Received,
		EventIDs: []string{ev.ID.String()},
	}
	e.buf = r.AppendOutput(e.buf[:0], ev)
	f.Output = clip(string(e.buf), maxOutput)
	var where, about string
	if ev.Source == event.SourceK8sAudit {
		q := requestOf(ev)
		f.Subject, where, about = q.subject(), q.place(), q.matter()
	} else {
		f.Subject = e.subject(ev)
		where, about = place(&f.Subject), matter(ev, &f.Subject)
	}
	f.Summary = e.summary(r, f, where)
	for _, c := range e.match.Explain(r, ev) {
		f.Why = append(f.Why, finding.Condition{
			Expr: c.Expr, Field: c.Field, Op: c.Op, Want: c.Want, Got: c.Got, Null: c.Null, True: c.True, Negate: c.Negate,
		})
	}
	f.Lineage = lineage(ev)
	f.Event = e.keep(ev)
	for _, l := range e.losses {
		if l.Count > 0 && ev.Time-l.To <= lossWindow && ev.Time >= l.From {
			f.Losses = append(f.Losses, l)
		}
	}
	f.ID = finding.ID(info.ID, ev.ID.String())
	actor := f.Subject.Executable
	if ev.Source == event.SourceK8sAudit {
		actor = f.Subject.Identity // who used the API takes the place of the program
	}
	f.Fingerprint = finding.Fingerprint(info.ID, about, actor, f.Subject.ObjectClass)
	return f
}

// keep is the event as a finding keeps it: whole, or what matters of it.
func (e *Engine) keep(ev *event.Event) []byte {
	e.buf = ev.AppendJSON(e.buf[:0])
	if len(e.buf) > maxEventJSON && ev.Source == event.SourceK8sAudit {
		e.buf = essence(ev).AppendJSON(e.buf[:0])
	}
	if len(e.buf) > maxEventJSON {
		return []byte(`{"omitted":"the event is larger than 64 KiB; its id is in eventIds"}`)
	}
	return append([]byte(nil), e.buf...)
}

func (e *Engine) summary(r *rule.Rule, f *finding.Finding, where string) string {
	var s string
	if r.HasSummary() {
		e.buf = r.AppendSummary(e.buf[:0], e.ev)
		s = string(e.buf)
	} else {
		s = f.Rule.Name + ": " + f.Output
	}
	return strings.TrimSuffix(clip(s, maxSummary), ".") + ", " + where + "."
}

// clip cuts a text after at most n bytes, between characters, and marks the cut.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// maxLineage bounds the ancestors kept in a finding.
const maxLineage = 24

// name is what people call a process: its kernel name, but for programs that start
// their own file again through /proc/self/exe, which the kernel then calls "exe",
// the name they gave themselves.
func name(p *event.Process) string {
	if p.Comm == "exe" && p.Exe != "" {
		return path.Base(strings.TrimPrefix(p.Exe, "-"))
	}
	return p.Comm
}

func lineage(ev *event.Event) []finding.Process {
	var out []finding.Process
	for p := ev.Process; p != nil && len(out) < maxLineage; p = p.Parent {
		out = append(out, finding.Process{
			PID: p.PID, VPID: p.VPID, Name: strings.Clone(name(p)), Path: strings.Clone(p.ExePath), Cmdline: strings.Clone(p.Cmdline),
			Cwd: strings.Clone(p.Cwd), User: strings.Clone(p.User), UID: p.UID, Start: p.Time, InCtr: p.Container != nil, Seeded: p.Seeded,
		})
		if p.Parent == p {
			break
		}
	}
	return out
}

// Severity maps the rule language's priorities to severities.
func Severity(p rule.Priority) finding.Severity {
	switch {
	case p <= rule.Critical:
		return finding.Critical
	case p == rule.Error:
		return finding.High
	case p == rule.Warning:
		return finding.Medium
	case p == rule.Notice:
		return finding.Low
	}
	return finding.Informational
}
