//go:build conformance

package rule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/rule/internal/cppsource"
)

// TestConformanceStockRules loads upstream's own rule files from directories
// that a person provides: not one error is allowed, and formatting them must
// change neither their rules nor, a second time, their text.
func TestConformanceStockRules(t *testing.T) {
	for _, set := range []struct {
		env    string
		rules  int
		groups []string
	}{
		{"DOCKREEVE_FALCO_RULES", 93, []string{
			"rules/falco_rules.yaml", "rules/falco-incubating_rules.yaml", "rules/falco-sandbox_rules.yaml",
			"archive/falco-deprecated_rules.yaml", "archive/application_rules.yaml",
			"rules/falco_rules.yaml rules/falco-incubating_rules.yaml rules/falco-sandbox_rules.yaml",
		}},
		{"DOCKREEVE_FALCO_PLUGINS", 48, []string{
			"plugins/k8saudit/rules/k8s_audit_rules.yaml",
			"plugins/k8saudit/rules/k8s_audit_rules.yaml plugins/k8saudit-gke/rules/k8s_audit_rules_gke.yaml",
		}},
	} {
		t.Run(set.env, func(t *testing.T) {
			dir := cppsource.Dir(t, set.env)
			last := 0
			for _, group := range set.groups {
				var files []File
				for _, name := range strings.Fields(group) {
					data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
					if err != nil {
						t.Fatal(err)
					}
					files = append(files, File{Name: name, Data: data})
				}
				for _, strict := range []bool{true, false} {
					src, diags := Load(files, LoadOptions{Strict: strict})
					codes := map[string]int{}
					for _, d := range diags {
						codes[d.Code]++
						if d.Severity == SeverityError {
							t.Error(d)
						}
					}
					last = len(src.Rules)
					t.Logf("%s: %d rules, %d macros, %d lists; %v", group, len(src.Rules), len(src.Macros), len(src.Lists), codes)
				}
				if len(files) > 1 {
					continue
				}
				again, diags := formatFile(files[0])
				if HasErrors(diags) {
					t.Errorf("format: %v", diags)
					continue
				}
				sameRules(t, files[0], File{Name: files[0].Name, Data: again})
			}
			if last < set.rules {
				t.Errorf("%d rules in all, expected %d", last, set.rules)
			}
		})
	}
}
