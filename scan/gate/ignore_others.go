package gate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/vex"
	"go.yaml.in/yaml/v3"
)

// readTrivy reads .trivyignore: an id a line, exp:YYYY-MM-DD behind it, comments from #.
// A comment above an id, or behind it, is taken as its reason.
func (ig *Ignores) readTrivy(text string) error {
	said := ""
	line := 0
	for l := range strings.Lines(text) {
		line++
		code, comment, has := strings.Cut(strings.TrimPrefix(l, "\ufeff"), "#")
		comment = strings.TrimSpace(comment)
		f := strings.Fields(code)
		if len(f) == 0 {
			said = ""
			if has {
				said = comment
			}
			continue
		}
		r := IgnoreRule{ID: f[0], Line: line, Reason: "listed in " + ig.Name}
		if comment == "" {
			comment = said
		}
		if comment != "" {
			r.Reason = comment
		}
		bad := ""
		for _, w := range f[1:] {
			day, ok := strings.CutPrefix(w, "exp:")
			if !ok {
				bad = w
				break
			}
			t, err := time.Parse(time.DateOnly, day)
			if err != nil {
				return fault(line, "exp:%s: want a day such as exp:2026-12-31", clip(day))
			}
			r.UntilDay, r.Until = day, t.UnixNano()
		}
		if bad != "" {
			ig.warn(line, "%q is not understood: the line is not applied", clip(bad))
			continue
		}
		ig.Rules = append(ig.Rules, r)
		if len(ig.Rules) > MaxIgnoreRules {
			return fault(line, "more than %d rules", MaxIgnoreRules)
		}
	}
	return nil
}

// readTrivySection reads one list of .trivyignore.yaml. Only vulnerabilities are left
// out by it; other lists are warned of.
func (ig *Ignores) readTrivySection(key, list *yaml.Node) error {
	if key.Value != "vulnerabilities" {
		if len(list.Content) > 0 {
			ig.warn(key.Line, "%q: only vulnerabilities can be left out; these %d entries are not applied", clip(key.Value), len(list.Content))
		}
		return nil
	}
	if list.Kind == yaml.ScalarNode && list.Tag == "!!null" {
		return nil
	}
	if list.Kind != yaml.SequenceNode {
		return fault(list.Line, "vulnerabilities: want a list")
	}
	for _, n := range list.Content {
		if n.Kind != yaml.MappingNode {
			return fault(n.Line, "want an entry with an id")
		}
		r := IgnoreRule{Line: n.Line, Reason: "listed in " + ig.Name}
		bad := ""
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			var err error
			switch k.Value {
			case "id":
				r.ID = strings.TrimSpace(v.Value)
			case "statement":
				if v.Value != "" {
					r.Reason = v.Value
				}
			case "paths":
				r.Paths, err = texts(v)
			case "purls":
				if r.PURLs, err = texts(v); err == nil {
					for _, u := range r.PURLs {
						if e := vex.CheckPURL(u); e != nil {
							return fault(v.Line, "purls: %w", e)
						}
					}
				}
			case "expired_at":
				t, e := time.Parse(time.DateOnly, v.Value)
				if e != nil {
					if t, e = time.Parse(time.RFC3339, v.Value); e != nil {
						return fault(v.Line, "expired_at %q: want a day such as 2026-12-31", clip(v.Value))
					}
				}
				r.UntilDay, r.Until = t.Format(time.DateOnly), t.UnixNano()
			default:
				bad = k.Value
			}
			if err != nil {
				return fault(v.Line, "%s: %w", k.Value, err)
			}
		}
		switch {
		case bad != "":
			ig.warn(n.Line, "key %q is not supported: the rule is not applied", clip(bad))
			continue
		case r.ID == "":
			return fault(n.Line, "the entry has no id")
		}
		ig.Rules = append(ig.Rules, r)
		if len(ig.Rules) > MaxIgnoreRules {
			return fault(n.Line, "more than %d rules", MaxIgnoreRules)
		}
	}
	return nil
}

func texts(n *yaml.Node) ([]string, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("want a list")
	}
	var out []string
	for _, c := range n.Content {
		if c.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("want a list of texts")
		}
		out = append(out, strings.TrimSpace(c.Value))
	}
	return out, nil
}

// isGrype tells one of Grype's rules by the keys that only it has.
func isGrype(n *yaml.Node) bool {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		switch n.Content[i].Value {
		case "vulnerability", "fix-state", "vex-status", "vex-justification", "match-type", "namespace", "include-aliases":
			return true
		case "package":
			if n.Content[i+1].Kind == yaml.MappingNode {
				return true
			}
		}
	}
	return false
}

// grypeTypes are Grype's words for package types.
var grypeTypes = map[string]scan.Type{"deb": scan.Deb, "apk": scan.Apk, "rpm": scan.RPM, "npm": scan.NPM, "python": scan.PyPI, "go-module": scan.Golang,
	"java-archive": scan.Maven, "gem": scan.Gem, "php-composer": scan.Composer, "dotnet": scan.NuGet, "rust-crate": scan.Cargo}

// readGrype reads one of Grype's ignore rules. What it cannot do it warns of by name,
// and leaves the whole rule out: half a rule would leave out too much.
func (ig *Ignores) readGrype(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return fault(n.Line, "want a rule with vulnerability, fix-state or package")
	}
	r := IgnoreRule{Line: n.Line, Reason: "listed in " + ig.Name}
	var bad []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch k.Value {
		case "vulnerability":
			r.ID = strings.TrimSpace(v.Value)
		case "reason":
			if v.Value != "" {
				r.Reason = v.Value
			}
		case "include-aliases": // aliases always count here
		case "fix-state":
			switch v.Value {
			case "fixed":
				r.Statuses = []scan.Status{scan.Fixed}
			case "not-fixed":
				r.Statuses = []scan.Status{scan.Unfixed, scan.Deferred, scan.EndOfLife}
			case "wont-fix":
				r.Statuses = []scan.Status{scan.WontFix}
			case "unknown":
				r.Statuses = []scan.Status{scan.UnderReview}
			default:
				return fault(v.Line, "fix-state %q: want fixed, not-fixed, wont-fix or unknown", clip(v.Value))
			}
		case "package":
			if v.Kind != yaml.MappingNode {
				return fault(v.Line, "package: want name, version, type or location below it")
			}
			for j := 0; j+1 < len(v.Content); j += 2 {
				pk, pv := v.Content[j], v.Content[j+1]
				switch pk.Value {
				case "name":
					e, err := regexp.Compile("^(?:" + pv.Value + ")$")
					if err != nil || len(pv.Value) > 200 {
						r.Package = pv.Value
						break
					}
					r.Package, r.expression = pv.Value, e
				case "version":
					r.Version = pv.Value
				case "type":
					t, ok := grypeTypes[pv.Value]
					if !ok {
						bad = append(bad, "package.type "+clip(pv.Value))
					}
					r.Type = string(t)
				case "location":
					r.Paths = []string{strings.TrimPrefix(pv.Value, "/")}
				default:
					bad = append(bad, "package."+clip(pk.Value))
				}
			}
		case "vex-status", "vex-justification":
			bad = append(bad, k.Value+" (give the VEX document itself: its statements are applied by their own status)")
		default:
			bad = append(bad, clip(k.Value))
		}
	}
	if r.ID == "" && r.Package == "" && r.Version == "" && r.Type == "" && len(r.Paths) == 0 && len(r.Statuses) == 0 && len(bad) == 0 {
		return fault(n.Line, "%w", errNoID)
	}
	if len(bad) > 0 {
		slices.Sort(bad)
		ig.warn(n.Line, "not supported: %s; the rule is not applied", strings.Join(bad, ", "))
		return nil
	}
	ig.Rules = append(ig.Rules, r)
	return nil
}
