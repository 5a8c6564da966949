package gate

import (
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/vex"
	"go.yaml.in/yaml/v3"
)

// Bounds of an ignore file. One beyond them is refused.
const (
	MaxIgnoreSize  = 1 << 20 // bytes
	MaxIgnoreRules = 10_000
)

// Ignores are the rules of one ignore file: findings that people have decided to leave
// out. They are not changed by use.
type Ignores struct {
	Name  string // file
	Rules []IgnoreRule
	// Warnings name what of the file is not understood and therefore not applied.
	Warnings []string
}

// IgnoreRule leaves out the findings that meet every field that is set.
type IgnoreRule struct {
	ID       string // of the vulnerability or one of its aliases, in any case
	Package  string // name, or its source package's; * stands for any letters
	Version  string
	Type     string // package type, as in a package URL
	PURLs    []string
	Paths    []string // * within one folder, ** across folders; of the package's location
	Image    string   // name, repository or digest; * as in Package
	Statuses []scan.Status
	Until    int64  // Unix nanoseconds from which on the rule applies no more; 0 = never
	UntilDay string // as written, YYYY-MM-DD
	Reason   string
	Line     int

	expression *regexp.Regexp // Grype's names are regular expressions
}

// Ignored says what the ignore files did to a report.
type Ignored struct {
	Suppressed int      // findings that moved
	Expired    []string // rules past their date, which would still have left something out
	Unused     []string // rules that met no finding of this report
	Warnings   []string
}

// ReadIgnores reads an ignore file. Its kind follows from its name and content: the own
// format, .trivyignore, .trivyignore.yaml, or Grype's configuration with ignore rules.
// Errors name the file and the line.
//
//	ignore:
//	  - id: CVE-2024-1234          # or an alias; id, package, purl or path is needed
//	    package: openssl           # or its source; * for any letters
//	    purl: pkg:deb/debian/openssl
//	    path: app/**
//	    image: registry.example/team/*
//	    until: 2026-12-31          # the last day it applies
//	    reason: why it may be left out   # needed
func ReadIgnores(name string, r io.Reader) (*Ignores, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxIgnoreSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(b) > MaxIgnoreSize {
		return nil, fmt.Errorf("%s: larger than %d KiB, the most that is read of an ignore file", name, MaxIgnoreSize>>10)
	}
	ig := &Ignores{Name: name}
	base := strings.ToLower(path.Base(strings.ReplaceAll(name, "\\", "/")))
	if strings.HasSuffix(base, "trivyignore") {
		err = ig.readTrivy(string(b))
	} else {
		err = ig.readYAML(b, base)
	}
	if err != nil {
		return nil, fmt.Errorf("%s:%w", name, err)
	}
	return ig, nil
}

// fault is an error of one line; ReadIgnores puts the file before it.
func fault(line int, format string, args ...any) error {
	return fmt.Errorf("%d: %w", line, fmt.Errorf(format, args...))
}

func (ig *Ignores) warn(line int, format string, args ...any) {
	ig.Warnings = append(ig.Warnings, fmt.Sprintf("%s:%d: ", ig.Name, line)+fmt.Sprintf(format, args...))
}

func (ig *Ignores) readYAML(b []byte, base string) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return fmt.Errorf(" %w", err)
	}
	if doc.Kind == 0 || len(doc.Content) == 0 {
		return nil // empty
	}
	top := doc.Content[0]
	if top.Kind != yaml.MappingNode {
		return fault(top.Line, `want "ignore:" with a list of rules`)
	}
	trivy := strings.Contains(base, "trivyignore")
	grype := strings.Contains(base, "grype")
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, list := top.Content[i], top.Content[i+1]
		switch {
		case trivy || key.Value == "vulnerabilities":
			if err := ig.readTrivySection(key, list); err != nil {
				return err
			}
			continue
		case key.Value == "ignore":
		case grype:
			continue // other settings of Grype's
		default:
			return fault(key.Line, "unknown key %q: %s", clip(key.Value), suggest(key.Value, []string{"ignore", "vulnerabilities"}))
		}
		if list.Kind == yaml.ScalarNode && list.Tag == "!!null" {
			continue
		}
		if list.Kind != yaml.SequenceNode {
			return fault(list.Line, "ignore: want a list of rules")
		}
		for _, n := range list.Content {
			var err error
			if grype || isGrype(n) {
				err = ig.readGrype(n)
			} else {
				err = ig.readOwn(n)
			}
			if err != nil {
				return err
			}
			if len(ig.Rules) > MaxIgnoreRules {
				return fault(n.Line, "more than %d rules", MaxIgnoreRules)
			}
		}
	}
	return nil
}

var ownKeys = []string{"id", "package", "purl", "path", "image", "until", "reason"}

func (ig *Ignores) readOwn(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return fault(n.Line, "want a rule with keys %s", strings.Join(ownKeys, ", "))
	}
	r := IgnoreRule{Line: n.Line}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if v.Kind != yaml.ScalarNode {
			return fault(v.Line, "%s: want one value", clip(k.Value))
		}
		s := strings.TrimSpace(v.Value)
		switch k.Value {
		case "id":
			r.ID = s
		case "package":
			r.Package = s
		case "purl":
			if err := vex.CheckPURL(s); err != nil {
				return fault(v.Line, "purl: %w", err)
			}
			r.PURLs = []string{s}
		case "path":
			r.Paths = []string{strings.TrimPrefix(s, "/")}
		case "image":
			r.Image = s
		case "reason":
			r.Reason = s
		case "until":
			day, err := time.Parse(time.DateOnly, s)
			if err != nil {
				return fault(v.Line, "until %q: want a day such as 2026-12-31", clip(s))
			}
			r.UntilDay, r.Until = s, day.AddDate(0, 0, 1).UnixNano()
		default:
			return fault(k.Line, "unknown key %q: %s", clip(k.Value), suggest(k.Value, ownKeys))
		}
	}
	if r.Reason == "" {
		return fault(n.Line, "the rule has no reason: say why the finding may be left out")
	}
	if r.ID == "" && r.Package == "" && len(r.PURLs) == 0 && len(r.Paths) == 0 {
		return fault(n.Line, "the rule would leave out everything: it needs an id, package, purl or path")
	}
	ig.Rules = append(ig.Rules, r)
	return nil
}

// Apply moves what the rules leave out to r.Suppressed, by the first rule that meets
// it. now (Unix nanoseconds) decides which rules have expired.
func (ig *Ignores) Apply(r *scan.Report, now int64) Ignored {
	out := Ignored{Warnings: ig.Warnings}
	used, expired := make([]bool, len(ig.Rules)), make([]bool, len(ig.Rules))
	byID := map[string][]int{}
	var rest []int // rules without an id
	for i := range ig.Rules {
		if id := strings.ToUpper(ig.Rules[i].ID); id != "" {
			byID[id] = append(byID[id], i)
		} else {
			rest = append(rest, i)
		}
	}
	kept := make([]scan.Vulnerability, 0, len(r.Vulnerabilities))
	for i := range r.Vulnerabilities {
		v := r.Vulnerabilities[i]
		candidates := append([]int(nil), rest...)
		candidates = append(candidates, byID[strings.ToUpper(v.ID)]...)
		for _, a := range v.Aliases {
			candidates = append(candidates, byID[strings.ToUpper(a)]...)
		}
		best := -1
		for _, k := range candidates {
			rule := &ig.Rules[k]
			if used[k] && best >= 0 && best < k || !rule.meets(r, &v) {
				continue
			}
			if rule.Until != 0 && now >= rule.Until {
				expired[k] = true
				continue
			}
			used[k] = true
			if best < 0 || k < best {
				best = k
			}
		}
		if best < 0 {
			kept = append(kept, v)
			continue
		}
		rule := &ig.Rules[best]
		r.Suppressed = append(r.Suppressed, scan.Suppressed{Vulnerability: v, By: fmt.Sprintf("%s:%d", ig.Name, rule.Line), Reason: rule.Reason, Until: rule.UntilDay})
		out.Suppressed++
	}
	r.Vulnerabilities = kept
	for i := range ig.Rules {
		rule := &ig.Rules[i]
		where := fmt.Sprintf("%s:%d: %s", ig.Name, rule.Line, rule.name())
		switch {
		case expired[i]:
			out.Expired = append(out.Expired, where+" expired on "+rule.UntilDay+": its findings are shown again")
		case !used[i]:
			out.Unused = append(out.Unused, where)
		}
	}
	return out
}

// name is what a rule is about, shortly.
func (r *IgnoreRule) name() string {
	parts := []string{r.ID, r.Package}
	parts = append(append(parts, r.PURLs...), r.Paths...)
	for _, p := range parts {
		if p != "" {
			return clip(p)
		}
	}
	return "rule"
}

func (r *IgnoreRule) meets(report *scan.Report, v *scan.Vulnerability) bool {
	if v.Package < 0 || v.Package >= len(report.Packages) {
		return false
	}
	p := &report.Packages[v.Package]
	switch {
	case r.ID != "" && !hasID(v, r.ID),
		r.expression == nil && r.Package != "" && !globName(r.Package, p.Name) && (p.Source == "" || !globName(r.Package, p.Source)),
		r.expression != nil && !r.expression.MatchString(p.Name),
		r.Version != "" && r.Version != p.Version,
		r.Type != "" && r.Type != string(p.Type),
		r.Image != "" && !imageIs(r.Image, &report.Image):
		return false
	}
	if len(r.Statuses) > 0 {
		ok := false
		for _, s := range r.Statuses {
			ok = ok || s == v.Status
		}
		if !ok {
			return false
		}
	}
	if len(r.Paths) > 0 {
		ok := false
		for _, g := range r.Paths {
			ok = ok || globPath(g, strings.TrimPrefix(p.Location, "/"))
		}
		if !ok {
			return false
		}
	}
	if len(r.PURLs) > 0 {
		for _, u := range r.PURLs {
			if ok, _ := vex.MatchPURL(u, p); ok {
				return true
			}
		}
		return false
	}
	return true
}

func hasID(v *scan.Vulnerability, id string) bool {
	if strings.EqualFold(v.ID, id) {
		return true
	}
	for _, a := range v.Aliases {
		if strings.EqualFold(a, id) {
			return true
		}
	}
	return false
}

func imageIs(pattern string, img *scan.Image) bool {
	for _, s := range []string{img.Name, img.Repository, img.Digest, img.IndexDigest, img.ConfigDigest} {
		if s != "" && globName(pattern, s) {
			return true
		}
	}
	return false
}

// globName matches a name with * for any letters.
func globName(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	rest, ok := strings.CutPrefix(name, parts[0])
	if !ok {
		return false
	}
	last := parts[len(parts)-1]
	if rest, ok = strings.CutSuffix(rest, last); !ok {
		return false
	}
	for _, p := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(rest, p)
		if !found {
			return false
		}
		rest = after
	}
	return true
}

// maxSegments bounds the folders that a path is compared by.
const maxSegments = 128

// globPath matches a path: * within one folder's name, ** for any folders. A pattern
// that names a folder means all below it.
func globPath(pattern, name string) bool {
	ps, ns := strings.Split(strings.TrimSuffix(pattern, "/"), "/"), strings.Split(name, "/")
	if len(ps) > maxSegments || len(ns) > maxSegments {
		return pattern == name
	}
	// reach[j]: the first i segments of the pattern match the first j of the name.
	reach := make([]bool, len(ns)+1)
	reach[0] = true
	for _, p := range ps {
		next := make([]bool, len(ns)+1)
		if p == "**" {
			on := false
			for j := range reach {
				on = on || reach[j]
				next[j] = on
			}
		} else {
			for j := range ns {
				next[j+1] = reach[j] && globName(p, ns[j])
			}
		}
		reach = next
	}
	for _, ok := range reach[1:] {
		if ok {
			return true // all of the name, or a folder of it
		}
	}
	return false
}

func suggest(w string, known []string) string {
	if s := nearest(strings.ToLower(w), known); s != "" {
		return "did you mean " + s + "?"
	}
	return "want one of " + strings.Join(known, ", ")
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}

// errNoID is a rule that would leave out everything.
var errNoID = errors.New("the rule would leave out everything: it is not applied")
