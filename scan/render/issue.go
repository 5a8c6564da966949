package render

import (
	"fmt"
	"strings"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

// issue is one thing that is wrong, in the form the line-by-line formats share. Its
// texts are as the report has them: each format escapes them.
type issue struct {
	rule, title string
	severity    finding.Severity
	kind        string // vulnerability, secret, config, malware
	text        string // one sentence
	path        string // in the image; "" none
	line        int
	layer       int
	subject     string // package or file: what else tells one issue of a rule from another
	v           *scan.Vulnerability
	suppressed  *scan.Suppressed
	remedy      string
}

// issues lists what is wrong: malware, secrets, vulnerabilities by rank, faults of the
// configuration; one of each vulnerability per package and file. The suppressed
// vulnerabilities come last.
func issues(r *scan.Report, suppressed bool) []issue {
	var out []issue
	for i := range r.Malware {
		m := &r.Malware[i]
		out = append(out, issue{rule: "malware", title: "Malware", severity: finding.Critical, kind: "malware", path: m.Path, layer: m.Layer, subject: m.Path + " " + m.SHA256,
			text: fmt.Sprintf("%s is %s, by the list %s.", m.Path, m.Name, m.List), remedy: "Rebuild the image without it and find out how it came in."})
	}
	for i := range r.Secrets {
		s := &r.Secrets[i]
		out = append(out, issue{rule: "secret/" + s.Rule, title: s.Title, severity: s.Severity, kind: "secret", path: s.Path, line: s.Line, layer: s.Layer, subject: s.Path + " " + s.Where + " " + s.Hash,
			text: fmt.Sprintf("%s in %s, which begins %s.", s.Title, secretPlace(s), s.Redacted), remedy: "Revoke it, then take it out of the layer that holds it: deleting it later does not."})
	}
	seen := map[string]bool{}
	add := func(v *scan.Vulnerability, s *scan.Suppressed) {
		p := pkg(r, v)
		key := identity(r, v) + "\x00" + p.Location
		if seen[key] {
			return
		}
		seen[key] = true
		out = append(out, issue{rule: v.ID, title: v.Title, severity: v.Severity, kind: "vulnerability", path: p.Location, layer: p.Layer,
			subject: string(p.Type) + "/" + p.Name + " " + p.Location, v: v, suppressed: s, text: sentence(p, v), remedy: remedy(p, v)})
	}
	for i := range r.Vulnerabilities {
		add(&r.Vulnerabilities[i], nil)
	}
	for i := range r.Config {
		m := &r.Config[i]
		out = append(out, issue{rule: "config/" + m.Check, title: m.Title, severity: m.Severity, kind: "config", path: m.Path, layer: m.Layer, subject: m.Path,
			text: m.Title + ": " + strings.TrimSuffix(m.Detail, ".") + ".", remedy: m.Remedy})
	}
	if suppressed {
		for i := range r.Suppressed {
			add(&r.Suppressed[i].Vulnerability, &r.Suppressed[i])
		}
	}
	return out
}

// sentence says of a vulnerability what, where, and what makes it urgent.
func sentence(p *scan.Package, v *scan.Vulnerability) string {
	s := fmt.Sprintf("%s %s %s", typeWord(p.Type), p.Name, p.Version)
	if v.Title != "" {
		s += ": " + strings.TrimSuffix(v.Title, ".")
	}
	if v.Fixable() {
		s += ". Fixed in " + v.FixedIn
	} else {
		s += ". " + strings.ToUpper(fixWord(v)[:1]) + fixWord(v)[1:]
	}
	if v.KEV != nil {
		s += ". Known to be exploited since " + v.KEV.Added
	}
	if v.EPSS != nil {
		s += fmt.Sprintf(". EPSS %.1f%%", 100*v.EPSS.Score)
	}
	switch v.Use.State {
	case scan.Loaded:
		s += ". Seen loaded"
	case scan.NotSeen:
		s += ". Not seen loaded since " + day(v.Use.Since)
	}
	return s + "."
}

func remedy(p *scan.Package, v *scan.Vulnerability) string {
	if v.Fixable() {
		return fmt.Sprintf("Update %s to %s or later.", p.Name, v.FixedIn)
	}
	return "Without a fixed version: remove the package, or judge the risk and record it in the ignore file."
}
