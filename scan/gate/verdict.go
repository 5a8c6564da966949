package gate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/match"
)

// Verdict is what a policy says of one scan.
type Verdict struct {
	// Passed: no rule was broken by what could be looked at. Read it together with
	// NoData and Unread: a scan that could not be judged has not passed.
	Passed  bool     `json:"passed"`
	Reasons []Reason `json:"reasons,omitempty"` // why not; in the order of the rules
	// NotAssessed is what the verdict cannot speak of.
	NotAssessed []scan.Gap `json:"notAssessed,omitempty"`
	NoData      bool       `json:"noData,omitempty"` // advisory data that the policy needs is missing or too old
	Unread      bool       `json:"unread,omitempty"` // parts of the image could not be read, and the policy does not allow that
}

// Reason is one rule that was broken.
type Reason struct {
	Rule     string   `json:"rule"`
	Count    int      `json:"count"`    // distinct findings
	Examples []string `json:"examples"` // the highest ranked first, at most MaxExamples
}

// MaxExamples is how many findings a Reason names.
const MaxExamples = 3

// The exit codes of a verdict, as the command line has them everywhere.
const (
	ExitPassed = 0
	ExitFailed = 1
	ExitUnread = 3
	ExitNoData = 4
)

// ExitCode is the verdict as an exit code. What could not be judged outweighs what
// failed: missing data has to be mended first, whatever the rest says.
func (v Verdict) ExitCode() int {
	switch {
	case v.NoData:
		return ExitNoData
	case v.Unread:
		return ExitUnread
	case !v.Passed:
		return ExitFailed
	}
	return ExitPassed
}

// Words are the reasons as sentences: what was broken, then what could not be judged.
func (v Verdict) Words() []string {
	var out []string
	for _, r := range v.Reasons {
		s := fmt.Sprintf("%s: %d", r.Rule, r.Count)
		if len(r.Examples) > 0 {
			s += " (" + strings.Join(r.Examples, ", ")
			if r.Count > len(r.Examples) {
				s += ", …"
			}
			s += ")"
		}
		out = append(out, s)
	}
	if v.NoData || v.Unread {
		for _, g := range v.NotAssessed {
			s := "not assessed: " + g.What + ": " + g.Reason
			if g.Remedy != "" {
				s += "; " + g.Remedy
			}
			out = append(out, s)
		}
	}
	return out
}

// String says the verdict in one line for each reason.
func (v Verdict) String() string {
	head := "passed"
	switch {
	case v.NoData:
		head = "could not be judged: advisory data is missing or too old"
	case v.Unread:
		head = "could not be judged: not everything could be read (--allow-gaps lets that pass)"
	case !v.Passed:
		head = "failed"
	}
	if !v.Passed && (v.NoData || v.Unread) {
		head += "; what could be judged failed"
	}
	words := v.Words()
	if len(words) == 0 {
		return "gate " + head
	}
	return "gate " + head + "\n  " + strings.Join(words, "\n  ")
}

// Evaluate judges a report. It changes nothing.
func Evaluate(r *scan.Report, p Policy) Verdict {
	v := Verdict{Passed: true}
	asks := false // about vulnerabilities
	for i := range p.Rules {
		rule := &p.Rules[i]
		var reason Reason
		switch rule.about {
		case aboutVulnerabilities:
			asks = true
			reason = v.vulnerabilities(r, rule)
		case aboutSecrets:
			reason = each(rule, len(r.Secrets), func(i int) (finding.Severity, string) {
				s := &r.Secrets[i]
				return s.Severity, s.Rule + " in " + place(s.Path, s.Where)
			})
			v.looked(r, rule, scan.GapSecrets)
		case aboutMissteps:
			reason = each(rule, len(r.Config), func(i int) (finding.Severity, string) {
				m := &r.Config[i]
				return m.Severity, place(m.Check, m.Path)
			})
			v.looked(r, rule, scan.GapConfig)
		case aboutMalware:
			reason = each(rule, len(r.Malware), func(i int) (finding.Severity, string) {
				return finding.Critical, r.Malware[i].Name + " in " + r.Malware[i].Path
			})
			v.looked(r, rule, scan.GapMalware)
		case aboutEOL:
			reason = v.endOfLife(r, p.Now)
		}
		if reason.Count > 0 {
			reason.Rule = rule.Text
			v.Reasons = append(v.Reasons, reason)
			v.Passed = false
		}
	}
	v.gaps(r, p, asks)
	return v
}

// vulnerabilities applies one rule; the same vulnerability of the same package and
// version counts once, however many files carry it.
func (v *Verdict) vulnerabilities(r *scan.Report, rule *Rule) Reason {
	type key struct {
		id, name, version string
		t                 scan.Type
	}
	seen := map[key]bool{}
	var reason Reason
	unused := 0 // would count if their package were known to be in use
	for i := range r.Vulnerabilities {
		f := &r.Vulnerabilities[i]
		meets, unsure := true, false
		for _, c := range rule.conds {
			if c.meets(f) {
				continue
			}
			if c.needs == needUse && f.Use.State == scan.UseNotAssessed {
				unsure = true
				continue
			}
			meets = false
			break
		}
		if !meets {
			continue
		}
		k := key{id: f.ID}
		if f.Package >= 0 && f.Package < len(r.Packages) {
			p := &r.Packages[f.Package]
			k.name, k.version, k.t = p.Name, p.Version, p.Type
		}
		if seen[k] {
			continue
		}
		seen[k] = true
		if unsure {
			unused++
			continue
		}
		reason.Count++
		if len(reason.Examples) < MaxExamples {
			reason.Examples = append(reason.Examples, strings.TrimSpace(f.ID+" "+k.name))
		}
	}
	if unused > 0 {
		v.Unread = true
		v.NotAssessed = append(v.NotAssessed, scan.Gap{
			What:   fmt.Sprintf("%s: use of %d findings", rule.Text, unused),
			Reason: "whether their packages are loaded at run time is not known",
			Remedy: "watch the image where it runs and ask with --server, or leave in-use out of the rule",
		})
	}
	for _, c := range rule.conds {
		feed := map[need]string{needKEV: "kev", needEPSS: "epss"}[c.needs]
		if feed != "" && r.Database.Built != 0 && !hasFeed(&r.Database, feed) {
			v.NoData = true
			v.NotAssessed = append(v.NotAssessed, scan.Gap{
				What:   rule.Text,
				Reason: "the advisory database holds no " + strings.ToUpper(feed) + " feed, so the rule can never be met",
				Remedy: "update the database with the " + feed + " feed", Data: true,
			})
		}
	}
	return reason
}

func hasFeed(d *scan.DatabaseInfo, name string) bool {
	for i := range d.Feeds {
		if strings.EqualFold(d.Feeds[i].Name, name) && d.Feeds[i].Records > 0 {
			return true
		}
	}
	return false
}

// each counts findings from the rule's severity on.
func each(rule *Rule, n int, at func(int) (finding.Severity, string)) Reason {
	var reason Reason
	for i := range n {
		s, example := at(i)
		if s < rule.conds[0].severity {
			continue
		}
		reason.Count++
		if len(reason.Examples) < MaxExamples {
			reason.Examples = append(reason.Examples, example)
		}
	}
	return reason
}

func (v *Verdict) endOfLife(r *scan.Report, now int64) Reason {
	if now == 0 {
		now = r.ScannedAt
	}
	day, what, over, known := match.Ended(r.Distro, now)
	if over {
		return Reason{Count: 1, Examples: []string{place(r.Distro.ID+" "+r.Distro.Version, "end of "+what+" on "+day)}}
	}
	if !known && r.Distro.ID != "" {
		v.NotAssessed = append(v.NotAssessed, scan.Gap{
			What:   "end of life of " + strings.TrimSpace(r.Distro.ID+" "+r.Distro.Version),
			Reason: "no date is known until when it gets fixes",
		})
	}
	return Reason{}
}

// looked keeps a rule about findings that nobody looked for from being met by silence.
func (v *Verdict) looked(r *scan.Report, rule *Rule, what string) {
	for _, g := range r.NotAssessed {
		if slices.Contains(strings.Split(g.What, ", "), what) {
			g.What = rule.Text + ": " + g.What
			v.Unread = true
			v.NotAssessed = append(v.NotAssessed, g)
			return
		}
	}
}

// gaps takes over what bears on the verdict: missing data where the policy rests on
// advisories, layers that could not be read, packages nobody could judge. A policy
// without rules rests on whatever was asked of the scan.
func (v *Verdict) gaps(r *scan.Report, p Policy, asks bool) {
	advisories := asks || len(p.Rules) == 0
	for i := range r.Image.Layers {
		if why := r.Image.Layers[i].NotAssessed; why != "" {
			v.NotAssessed = append(v.NotAssessed, scan.Gap{What: fmt.Sprintf("layer %d", i), Reason: why})
			v.Unread = v.Unread || !p.AllowGaps
		}
	}
	for _, g := range r.NotAssessed {
		switch {
		case g.Data && advisories:
			v.NoData = true
		case g.Unread, strings.HasPrefix(g.What, "layer "), strings.HasPrefix(g.What, match.UnknownDistribution) && advisories:
			v.Unread = true
		default:
			continue
		}
		v.NotAssessed = append(v.NotAssessed, g)
	}
	if asks && r.Database.Built == 0 && !v.NoData {
		v.NoData = true
		v.NotAssessed = append(v.NotAssessed, scan.Gap{
			What: "vulnerabilities", Reason: "no advisory database was used, so nothing was matched",
			Remedy: "dockreeve db update, or leave out the rules about vulnerabilities", Data: true,
		})
	}
	if p.AllowGaps {
		v.Unread = false
	}
}

func place(a, b string) string {
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	switch {
	case a == "":
		return b
	case b == "":
		return a
	}
	return a + ": " + b
}
