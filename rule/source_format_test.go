package rule

import (
	"testing"

	"github.com/dockreeve/dockreeve/rule/filter"
)

// sameRules wants two versions of a file to load to the same rules.
func sameRules(t *testing.T, a, b File) {
	t.Helper()
	x, _ := Load([]File{a}, LoadOptions{})
	y, diags := Load([]File{b}, LoadOptions{})
	if len(x.Rules) != len(y.Rules) {
		t.Errorf("%s: %d rules before, %d after: %v\n%s", a.Name, len(x.Rules), len(y.Rules), diags, b.Data)
		return
	}
	for i, r := range x.Rules {
		s := y.Rules[i]
		if r.Name != s.Name || r.Output != s.Output || r.Priority != s.Priority || r.Enabled != s.Enabled || !filter.Equal(r.Condition, s.Condition) {
			t.Errorf("%s: rule %q changed:\n%s\n%s", a.Name, r.Name, filter.Format(r.Condition), filter.Format(s.Condition))
		}
	}
	again, diags := FormatFile(b)
	if HasErrors(diags) || string(again) != string(b.Data) {
		t.Errorf("%s: formatting twice changes it again: %v\n%s\n---\n%s", a.Name, diags, b.Data, again)
	}
}
