// Package gate judges a scan: whether it passes a policy, and which findings people have
// decided to leave out. It answers three ways, not two: passed, failed, and could not be
// judged. Everything here is a function of its arguments.
package gate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

// Policy is what a scan must not hold. The zero value lets everything pass that could
// be judged.
type Policy struct {
	Rules []Rule
	// AllowGaps lets a scan pass although layers could not be read. Missing advisory
	// data is not allowed by it.
	AllowGaps bool
	// Now (Unix nanoseconds) decides whether a distribution has reached its end of
	// life; 0 takes the time of the scan.
	Now int64

	text string
}

// String is the policy as it was written, rules joined by commas.
func (p Policy) String() string { return p.text }

// Rule fails a scan on every finding that meets all its conditions.
type Rule struct {
	Text  string // as written
	about subject
	conds []condition
}

// subject is what a rule looks at.
type subject uint8

const (
	aboutVulnerabilities subject = iota
	aboutSecrets
	aboutMissteps
	aboutMalware
	aboutEOL
)

// condition is one test of a vulnerability. needs says what must be known to test it.
type condition struct {
	meets func(*scan.Vulnerability) bool
	needs need
	// severity is the least severity of secrets and missteps that count.
	severity finding.Severity
}

type need uint8

const (
	needNothing need = iota
	needKEV
	needEPSS
	needUse
)

// maxPolicy bounds the text of a policy.
const maxPolicy = 4096

// words are what a rule may be made of, for suggestions.
var words = []string{"critical", "high", "medium", "low", "informational", "unrated", "any", "kev", "ransomware", "epss>=", "percentile>=", "cvss>=", "fixable", "in-use", "secret", "misstep", "malware", "eol"}

// ParsePolicy reads conditions as --fail-on takes them: rules separated by commas, the
// conditions of one rule joined with "+".
//
//	critical high medium low informational   a vulnerability of this severity or above
//	unrated any                              one nobody has rated; any at all
//	kev ransomware                           known to be exploited; by ransomware
//	epss>=0.5 epss>0.5 percentile>=0.9       chance of exploitation, 0–1 or with %
//	cvss>=9                                  base score
//	fixable                                  a fixed version exists
//	in-use                                   its package was seen loaded
//	secret misstep malware eol               other kinds of findings; secret>=high,
//	                                         misstep>=high from a severity on; eol: the
//	                                         distribution gets no fixes any more
//
// A rule that says only "fixable", beside other rules, restricts all of them that are
// about vulnerabilities. Errors name the character (from 1) of the list they are in.
func ParsePolicy(lists ...string) (Policy, error) {
	text := strings.Join(lists, ",")
	p := Policy{text: strings.TrimSpace(text)}
	if len(text) > maxPolicy {
		return Policy{}, fmt.Errorf("a policy of %d bytes: at most %d are read", len(text), maxPolicy)
	}
	if !utf8.ValidString(text) {
		return Policy{}, fmt.Errorf("the policy is not valid UTF-8 text")
	}
	at := 0
	onlyFixable := -1
	for part := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(part) != "" {
			r, err := parseRule(part, at)
			if err != nil {
				return Policy{}, err
			}
			if r.Text == "fixable" {
				onlyFixable = len(p.Rules)
			}
			p.Rules = append(p.Rules, r)
		}
		at += len(part) + 1
	}
	p.restrict(onlyFixable)
	return p, nil
}

// restrict turns a lone "fixable" beside other rules on vulnerabilities into a
// condition of each of them.
func (p *Policy) restrict(i int) {
	if i < 0 {
		return
	}
	fixable := p.Rules[i]
	others := 0
	for k := range p.Rules {
		if r := &p.Rules[k]; r.about == aboutVulnerabilities && r.Text != "fixable" {
			others++
			if !strings.Contains("+"+r.Text+"+", "+fixable+") {
				r.conds = append(slices.Clone(r.conds), fixable.conds...)
				r.Text += "+fixable"
			}
		}
	}
	if others > 0 {
		p.Rules = slices.DeleteFunc(p.Rules, func(r Rule) bool { return r.Text == "fixable" })
	}
}

func parseRule(part string, at int) (Rule, error) {
	r := Rule{}
	var names []string
	for i, word := range strings.Split(part, "+") {
		if i > 0 {
			at++
		}
		w := strings.ToLower(strings.Join(strings.Fields(word), ""))
		pos := at + len(word) - len(strings.TrimLeft(word, " \t\r\n")) + 1
		at += len(word)
		if w == "" {
			return r, fmt.Errorf("character %d: a condition is missing beside the +", pos)
		}
		about, c, err := parseCondition(w, pos)
		if err != nil {
			return r, err
		}
		if i > 0 && (about != aboutVulnerabilities || r.about != aboutVulnerabilities) {
			return r, fmt.Errorf("character %d: + joins conditions of vulnerabilities only; write %s and %s as two rules, with a comma", pos, names[0], w)
		}
		r.about = about
		r.conds = append(r.conds, c)
		names = append(names, w)
	}
	r.Text = strings.Join(names, "+")
	return r, nil
}

func parseCondition(w string, pos int) (subject, condition, error) {
	name, op, value := w, "", ""
	if i := strings.IndexAny(w, "<>="); i >= 0 {
		name = w[:i]
		rest := w[i:]
		n := len(rest) - len(strings.TrimLeft(rest, "<>="))
		op, value = rest[:n], rest[n:]
		if op != ">=" && op != ">" {
			return 0, condition{}, fmt.Errorf("character %d: %q: want >= or > after %s", pos+i, op, name)
		}
		if value == "" {
			return 0, condition{}, fmt.Errorf("character %d: a value is missing after %s%s", pos+len(w), name, op)
		}
	}
	valuePos := pos + len(name) + len(op)
	ranked := func(about subject) (subject, condition, error) {
		c := condition{severity: finding.SeverityNone}
		if op != "" {
			s, err := severityWord(value, valuePos)
			if err != nil {
				return 0, c, err
			}
			if op == ">" {
				if s == finding.Critical {
					return 0, c, fmt.Errorf("character %d: nothing is above critical", valuePos)
				}
				s++
			}
			c.severity = s
		}
		return about, c, nil
	}
	number := func(most float64, get func(*scan.Vulnerability) (float64, bool), needs need) (subject, condition, error) {
		if op == "" {
			return 0, condition{}, fmt.Errorf("character %d: %s needs a value, such as %s>=%v", pos, name, name, most/2)
		}
		limit, err := parseNumber(value, most)
		if err != nil {
			return 0, condition{}, fmt.Errorf("character %d: %w", valuePos, err)
		}
		strict := op == ">"
		return aboutVulnerabilities, condition{needs: needs, meets: func(v *scan.Vulnerability) bool {
			n, ok := get(v)
			return ok && (n > limit || !strict && n == limit)
		}}, nil
	}
	switch name {
	case "severity":
		if op == "" {
			return 0, condition{}, fmt.Errorf("character %d: severity needs a value, such as severity>=high", pos)
		}
		_, c, err := ranked(aboutVulnerabilities)
		least := c.severity
		c.meets = func(v *scan.Vulnerability) bool { return v.Severity >= least }
		return aboutVulnerabilities, c, err
	case "epss":
		return number(1, func(v *scan.Vulnerability) (float64, bool) {
			if v.EPSS == nil {
				return 0, false
			}
			return v.EPSS.Score, true
		}, needEPSS)
	case "percentile":
		return number(1, func(v *scan.Vulnerability) (float64, bool) {
			if v.EPSS == nil {
				return 0, false
			}
			return v.EPSS.Percentile, true
		}, needEPSS)
	case "cvss":
		return number(10, func(v *scan.Vulnerability) (float64, bool) { return v.CVSS, v.Vector != "" }, needNothing)
	case "secret", "secrets":
		return ranked(aboutSecrets)
	case "misstep", "missteps", "config":
		return ranked(aboutMissteps)
	}
	if op != "" && (slices.Contains(words, name) || slices.Contains(finding.SeverityWords(), name)) {
		return 0, condition{}, fmt.Errorf("character %d: %s takes no value; severities mean \"or above\" already", pos+len(name), name)
	}
	of := func(meets func(*scan.Vulnerability) bool, needs need) (subject, condition, error) {
		return aboutVulnerabilities, condition{meets: meets, needs: needs}, nil
	}
	switch name {
	case "kev":
		return of(func(v *scan.Vulnerability) bool { return v.KEV != nil }, needKEV)
	case "ransomware":
		return of(func(v *scan.Vulnerability) bool { return v.KEV != nil && v.KEV.Ransomware }, needKEV)
	case "fixable", "fixed":
		return of((*scan.Vulnerability).Fixable, needNothing)
	case "in-use", "inuse":
		return of(func(v *scan.Vulnerability) bool { return v.Use.State == scan.Loaded }, needUse)
	case "any":
		return of(func(*scan.Vulnerability) bool { return true }, needNothing)
	case "unrated":
		return of(func(v *scan.Vulnerability) bool { return v.Severity == finding.SeverityNone }, needNothing)
	case "malware":
		return aboutMalware, condition{}, nil
	case "eol", "end-of-life":
		return aboutEOL, condition{}, nil
	}
	if s, err := severityWord(name, pos); err == nil {
		return of(func(v *scan.Vulnerability) bool { return v.Severity >= s }, needNothing)
	}
	return 0, condition{}, unknownWord(name, pos, words)
}

func severityWord(w string, pos int) (finding.Severity, error) {
	switch w {
	case "info", "negligible":
		return finding.Informational, nil
	case "moderate":
		return finding.Medium, nil
	case "important":
		return finding.High, nil
	}
	s, err := finding.ParseSeverity(w)
	if err != nil || s == finding.SeverityNone {
		return 0, unknownWord(w, pos, finding.SeverityWords())
	}
	return s, nil
}

func unknownWord(w string, pos int, known []string) error {
	hint := "want one of " + strings.Join(known, ", ")
	if s := nearest(w, known); s != "" {
		hint = "did you mean " + s + "?"
	}
	if len(w) > 40 {
		w = w[:40] + "…"
	}
	return fmt.Errorf("character %d: %q is not a condition: %s", pos, w, hint)
}

// parseNumber reads 0.5 or 50% up to most.
func parseNumber(s string, most float64) (float64, error) {
	digits, percent := strings.CutSuffix(s, "%")
	n, err := strconv.ParseFloat(digits, 64)
	if percent {
		n *= most / 100
	}
	if err != nil || !(n >= 0 && n <= most) {
		return 0, fmt.Errorf("%q is not a number from 0 to %v", s, most)
	}
	return n, nil
}

// nearest is the known word that differs from w by a slip of the finger; "" none.
func nearest(w string, known []string) string {
	best, at := "", len(w)/3+1
	if len(w) > 32 {
		return ""
	}
	for _, k := range known {
		if d := distance(w, strings.TrimRight(k, ">=")); d <= at && (best == "" || d < at) {
			best, at = k, d
		}
	}
	return best
}

// distance counts the single-letter edits between two short words; letters that changed
// places are one.
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
