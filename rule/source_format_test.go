package rule

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dockreeve/dockreeve/rule/filter"
	"github.com/rogpeppe/go-internal/txtar"
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
	again, diags := formatFile(b)
	if HasErrors(diags) || string(again) != string(b.Data) {
		t.Errorf("%s: formatting twice changes it again: %v\n%s\n---\n%s", a.Name, diags, b.Data, again)
	}
}

// TestFormatFile reads testdata/load/format: a file and its canonical form.
func TestFormatFile(t *testing.T) {
	names, err := filepath.Glob("testdata/load/format/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range names {
		ar, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		in := File{Name: "in.yaml", Data: ar.Files[0].Data}
		got, diags := formatFile(in)
		for _, d := range diags {
			t.Error(d)
		}
		sameRules(t, in, File{Name: in.Name, Data: got})
		if *update {
			ar.Files = append(ar.Files[:1], txtar.File{Name: "out.yaml", Data: got})
			if err := os.WriteFile(name, txtar.Format(ar), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if string(got) != string(ar.Files[1].Data) {
			t.Errorf("%s: got\n%s", name, got)
		}
	}
}

func TestFormatRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"broken":    "- rule: \"x\n",
		"a mapping": "rule: x\n",
	} {
		got, err := FormatFile(File{Name: "x.yaml", Data: []byte(text)})
		if err == nil || string(got) != text {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
}
