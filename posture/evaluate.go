package posture

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// MaxEvidence bounds Result.Evidence of what fails, MaxProof that of what passes. Failing
// and Checked count all.
const (
	MaxEvidence = 20
	MaxProof    = 5
)

// Where evidence comes from.
const (
	FromARM        = "arm"
	FromKubernetes = "kubernetes"
	FromNode       = "node"
)

// What a control is judged at.
const (
	OnCluster      = "cluster"
	OnRegistry     = "registry"
	OnSubscription = "subscription"
)

// check judges one control at one subject and says what it saw to the tally.
type check func(*subject, *tally)

// Evaluate judges every control at everything it speaks of, ordered by control (as
// Controls orders them) and resource. The same input gives the same results. It keeps
// nothing of the input but texts.
func Evaluate(in *Input) []Result {
	w := newWorld(in)
	all := controls()
	byControl := make([][]Result, len(all))
	total := 0
	for _, scope := range []string{OnCluster, OnRegistry, OnSubscription} {
		for _, s := range w.subjects[scope] {
			for i := range all {
				if c := &all[i]; c.Scope == scope && c.within(in.Frameworks) {
					byControl[i] = append(byControl[i], w.judge(c, s))
					total++
				}
			}
			s.pods, s.judged = nil, false // what is large is needed no more
		}
	}
	out := make([]Result, 0, total)
	for _, list := range byControl {
		out = append(out, list...)
	}
	return out
}

func (w *world) judge(c *Control, s *subject) Result {
	t := tally{control: c}
	switch {
	case c.Manual:
		t.unknown("a person has to look: " + c.ManualWhy)
	case s.unread != "":
		t.unknown(s.unread)
	default:
		checks()[c.ID](s, &t)
	}
	return w.result(c, s, &t)
}

// within reports whether a control belongs to one of the frameworks; no names mean all.
func (c *Control) within(names []string) bool {
	return len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { _, ok := c.Maps[n]; return ok })
}

// tally gathers what a check sees. Its verdict follows from that alone, so that no check
// can say pass: a failing object fails, else what is not known makes it not assessed,
// else what was seen passes, and nothing seen proves nothing.
type tally struct {
	control   *Control
	checked   int
	failing   int
	bad, seen []Evidence
	unknowns  []string
	unfit     string // why the control says nothing here
	good      string // sentence of a pass
	wrong     string // sentence of a fail
	left      string // what was left out by rule
	at        int64
}

// saw notes something that is as it should be.
func (t *tally) saw(where, field, value, from string) {
	t.checked++
	if len(t.seen) < MaxProof {
		t.seen = append(t.seen, Evidence{Where: text(where), Field: text(field), Value: text(value), From: from})
	}
}

// fail notes something that is not.
func (t *tally) fail(where, field, value, from string) {
	t.checked++
	t.failing++
	if len(t.bad) < MaxEvidence {
		t.bad = append(t.bad, Evidence{Where: text(where), Field: text(field), Value: text(value), From: from})
	}
}

// judge notes something by whether it is as it should be.
func (t *tally) judge(ok bool, where, field, value, from string) {
	if ok {
		t.saw(where, field, value, from)
	} else {
		t.fail(where, field, value, from)
	}
}

// unknown notes why something could not be seen.
func (t *tally) unknown(why string) {
	if why == "" {
		why = "it is not said why"
	}
	if !slices.Contains(t.unknowns, why) && len(t.unknowns) < MaxEvidence {
		t.unknowns = append(t.unknowns, why)
	}
}

// notRelevant notes that the control says nothing of the subject.
func (t *tally) notRelevant(why string) { t.unfit = why }

// say sets the sentences of a pass and of a fail. {n} and {of} stand for the counts.
func (t *tally) say(good, wrong string) { t.good, t.wrong = good, wrong }

func (t *tally) sentence(s string) string {
	s = strings.Replace(s, "{n}", strconv.Itoa(t.failing), 1)
	return strings.Replace(s, "{of}", strconv.Itoa(t.checked), 1)
}

// result turns a tally into a verdict. It is the only place that makes one.
func (w *world) result(c *Control, s *subject, t *tally) Result {
	r := Result{Control: c.ID, Cluster: s.cluster, Resource: s.id, Failing: t.failing, Checked: t.checked, At: cmp.Or(t.at, w.at)}
	not := strings.Join(t.unknowns, "; ")
	switch {
	case t.failing > 0:
		r.Verdict, r.Evidence, r.Reason = Fail, t.bad, t.sentence(cmp.Or(t.wrong, "{n} of {of} are not as demanded"))
		if not != "" {
			r.Reason += "; not all could be seen: " + not
		}
		if why := w.exempted(c, s); why != "" {
			r.Verdict, r.Exempted = Exempt, why
		}
	case not != "":
		r.Verdict, r.Evidence, r.Reason = NotAssessed, t.seen, not
	case t.unfit != "":
		r.Verdict, r.Reason = NotRelevant, t.unfit
	case len(t.seen) == 0:
		r.Verdict, r.Reason = NotAssessed, "nothing was seen that would prove it"
	case w.old != "" && slices.ContainsFunc(t.seen, func(e Evidence) bool { return e.From == FromARM }):
		r.Verdict, r.Evidence, r.Reason = NotAssessed, t.seen, w.old
	default:
		r.Verdict, r.Evidence, r.Reason = Pass, t.seen, t.sentence(cmp.Or(t.good, "all {of} are as demanded"))
	}
	if t.left != "" && r.Verdict != NotRelevant {
		r.Reason += "; " + t.left
	}
	r.Reason = sentenceOf(r.Reason)
	return r
}

// exempted says by whom, why and until when a failure may stand; "" when it may not.
func (w *world) exempted(c *Control, s *subject) string {
	if w.in.Exempt != nil {
		if why, ok := w.in.Exempt(c.ID, s.id); ok {
			return cmp.Or(why, "no reason is given")
		}
	}
	for i := range w.exemptions {
		e := &w.exemptions[i]
		if e.allows(c) && covers(e.Scope, s.id) { // few controls are exempt anywhere
			return e.why
		}
	}
	return ""
}

// exemption is one of Azure Policy, with the policies that it speaks of.
type exemption struct {
	*cloud.Exemption
	policies []string // ids without path
	why      string
}

func (e *exemption) allows(c *Control) bool {
	return slices.ContainsFunc(e.policies, func(p string) bool { return slices.Contains(c.Assessments, p) })
}

// text bounds a text of evidence: it may be hostile.
func text(s string) string { return clip(s, 400) }

// sentenceOf bounds a reason.
func sentenceOf(s string) string { return clip(s, 2000) }

// clip cuts a text to n bytes at a rune's border, of valid UTF-8.
func clip(s string, n int) string {
	more := len(s) > n
	if more {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	if more {
		s += "…"
	}
	return s
}

// covers reports whether an ARM scope holds a resource.
func covers(scope, resource string) bool {
	scope, resource = strings.ToLower(strings.TrimSuffix(scope, "/")), strings.ToLower(resource)
	return scope != "" && (resource == scope || strings.HasPrefix(resource, scope+"/"))
}
