package rule

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/rule/filter"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what Load says into testdata/load")

// TestLoad reads testdata/load: rule files and what Load makes of them.
func TestLoad(t *testing.T) {
	names, err := filepath.Glob("testdata/load/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var files []File
			want := ""
			kept := ar.Files[:0]
			for _, f := range ar.Files {
				if f.Name == "expect" {
					want = string(f.Data)
					continue
				}
				kept = append(kept, f)
				files = append(files, File{Name: f.Name, Data: f.Data})
			}
			src, diags := Load(files, LoadOptions{Strict: strings.HasPrefix(string(ar.Comment), "strict\n")})
			got := describe(src, diags)
			if *update {
				ar.Files = append(kept, txtar.File{Name: "expect", Data: []byte(got)})
				if err := os.WriteFile(name, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// describe writes what Load returned, one fact a line.
func describe(src *Source, diags []Diagnostic) string {
	var b strings.Builder
	for _, d := range diags {
		fmt.Fprintln(&b, d)
	}
	for _, r := range src.Rules {
		fmt.Fprintf(&b, "\nrule %d %q %s %s", r.Index, r.Name, r.Source, r.Priority)
		for _, f := range []struct {
			on   bool
			text string
		}{
			{!r.Enabled, " disabled"}, {len(r.Tags) > 0, fmt.Sprintf(" tags=%v", r.Tags)}, {!r.WarnEvttypes, " no-evttype-warning"},
			{r.SkipIfUnknownFilter, " skip-unknown"}, {r.Capture, " capture"}, {r.CaptureDuration > 0, fmt.Sprintf(" %d ms", r.CaptureDuration)},
			{len(r.ExceptionFields) > 0, fmt.Sprintf(" exceptions=%v", r.ExceptionFields)},
		} {
			if f.on {
				b.WriteString(f.text)
			}
		}
		fmt.Fprintf(&b, "\n  %s: %s\n  %s: %q %q\n", r.Pos, filter.Format(r.Condition), r.OutputPos, r.Output, r.Desc)
		if m := r.Meta; m != nil {
			fmt.Fprintf(&b, "  %s: %s %q %v %v %v %q\n", m.Pos, m.ID, m.Summary, m.Tactics, m.Techniques, m.Answers, m.Response)
		}
	}
	for _, s := range src.Skipped {
		fmt.Fprintf(&b, "\nskipped %q (%s): %s\n", s.Name, s.Pos, s.Reason)
	}
	if src.RequiredEngine != "" {
		fmt.Fprintf(&b, "\nengine %s\n", src.RequiredEngine)
	}
	for _, p := range src.RequiredPlugins {
		fmt.Fprintf(&b, "plugin %v\n", p)
	}
	return b.String()
}

// TestPositions checks that every node of a condition leads to the text it came from.
func TestPositions(t *testing.T) {
	file := File{Name: "p.yaml", Data: []byte(`- list: shells
  items: [sh, bash]
- macro: opened
  condition: >
    evt.type = open and
      fd.num > 2
- rule: r
  desc: d
  condition: |
    opened and
    proc.name in (shells, zsh) and proc.pname = ünü and proc.cwd = here
  output: "  text"
  priority: INFO
  exceptions:
    - name: x
      fields: [user.name]
      values: [[root]]
`)}
	src, diags := Load([]File{file}, LoadOptions{})
	if len(diags) > 0 || len(src.Rules) != 1 {
		t.Fatal(diags)
	}
	lines := strings.Split(string(file.Data), "\n")
	r := src.Rules[0]
	seen := map[string]string{}
	filter.Walk(r.Condition, func(n any) bool {
		if f, ok := n.(*filter.Field); ok {
			p := r.Place(f.Pos)
			seen[f.Name] = lines[p.Line-1][p.Col-1:]
		}
		if f, ok := n.(*filter.Literal); ok {
			p := r.Place(f.Pos)
			seen["literal "+f.Text] = lines[p.Line-1][p.Col-1:]
		}
		return true
	})
	for name, want := range map[string]string{
		"evt.type": "evt.type = open and", "fd.num": "fd.num > 2", "literal 2": "2",
		"proc.name":    "proc.name in (shells, zsh) and proc.pname = ünü and proc.cwd = here",
		"literal bash": "shells, zsh) and proc.pname = ünü and proc.cwd = here",
		"literal zsh":  "zsh) and proc.pname = ünü and proc.cwd = here",
		"proc.cwd":     "proc.cwd = here", "literal here": "here",
		"user.name": "root]]", "literal root": "root]]",
	} {
		if seen[name] != want {
			t.Errorf("%s leads to %q, want %q", name, seen[name], want)
		}
	}
}

// TestLoadHostile feeds Load what would make a careless loader hang or run out of memory.
func TestLoadHostile(t *testing.T) {
	rule := func(name, cond string) string {
		return fmt.Sprintf("- {rule: %s, desc: d, output: o, priority: INFO, condition: %q}\n", name, cond)
	}
	var doubling, lists, deep strings.Builder
	doubling.WriteString("- {macro: m0, condition: proc.name = a}\n")
	for i := 1; i < 60; i++ {
		fmt.Fprintf(&doubling, "- {macro: m%d, condition: m%d or m%d}\n", i, i-1, i-1)
	}
	doubling.WriteString(rule("r", "m59"))
	lists.WriteString("- list: l\n  items: &l [" + strings.Repeat("aaaaaaaa, ", 50000) + "b]\n")
	for i := 0; i < 2000; i++ {
		fmt.Fprintf(&lists, "- {list: l%d, items: *l}\n", i)
	}
	lists.WriteString(rule("r", "proc.name in ("+strings.Repeat("l,", 2000)+"l)"))
	deep.WriteString("- {macro: m0, condition: proc.name = a}\n")
	for i := 1; i < 3000; i++ {
		fmt.Fprintf(&deep, "- {macro: m%d, condition: m%d and fd.num = 1}\n", i, i-1)
	}
	for name, c := range map[string]struct{ text, want string }{
		"doubling macros":     {doubling.String(), "more than the 100000 allowed"},
		"aliased lists":       {lists.String(), "once aliases are followed"},
		"list in condition":   {strings.Replace(lists.String(), "*l", "[x]", -1), "makes it too large"},
		"macros in macros":    {deep.String(), "more than 200 deep"},
		"deep YAML":           {strings.Repeat("[", 100000), "YAML"},
		"deep block":          {"- a:\n" + strings.Repeat(" ", 20) + strings.Repeat("- ", 50000), "YAML"},
		"deep condition":      {rule("r", strings.Repeat("(", 10000)), "nested too deeply"},
		"alias of itself":     {"- &a [*a]\n", "mapping"},
		"exception of itself": {"- {rule: r, desc: d, output: o, priority: INFO, condition: a.b=c, exceptions: &e [{name: x, fields: &f [*f], values: *f}]}\n", "nested too deeply"},
		"NUL":                 {"- rule: \x00\n", "YAML"},
		"not UTF-8":           {"- rule: \xff\n", "not valid UTF-8"},
		"UTF-16":              {"\xff\xfe-\x00", "not valid UTF-8"},
		"commas":              {strings.Repeat(",", maxYAMLTokens+1), "YAML elements"},
	} {
		t.Run(name, func(t *testing.T) {
			_, diags := Load([]File{{Name: "x.yaml", Data: []byte(c.text)}}, LoadOptions{})
			for _, d := range diags {
				if d.Severity == SeverityError && strings.Contains(d.Message, c.want) {
					return
				}
			}
			t.Errorf("no error says %q: %.600v", c.want, diags)
		})
	}
}

func TestReadPaths(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.yaml", "a.yml", "c.txt", "README", "sub.yaml/x.yaml", "one.rules"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("one.rules", filepath.Join(dir, "z.yaml")); err != nil {
		t.Fatal(err)
	}
	files, err := ReadPaths([]string{filepath.Join(dir, "one.rules"), dir})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, filepath.Base(f.Name)+"="+string(f.Data))
	}
	if want := "one.rules=one.rules a.yml=a.yml b.yaml=b.yaml z.yaml=one.rules"; strings.Join(got, " ") != want {
		t.Errorf("got %s", got)
	}
	if _, err := ReadPaths([]string{filepath.Join(dir, "absent.yaml")}); err == nil || !strings.Contains(err.Error(), "absent.yaml") {
		t.Errorf("absent file: %v", err)
	}
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, MaxFileBytes+1); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadPaths([]string{big}); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("big file: %v", err)
	}
	if _, err := ReadPaths([]string{os.DevNull}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("device: %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	names, err := filepath.Glob("testdata/load/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		ar, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range ar.Files {
			if file.Name != "expect" {
				f.Add(file.Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		file := File{Name: "f.yaml", Data: data}
		lines := strings.Count(string(data), "\n") + 1
		for _, strict := range []bool{false, true} {
			src, diags := Load([]File{file}, LoadOptions{Strict: strict})
			for _, d := range diags {
				if d.Message == "" || d.Code == "" || d.File != file.Name || d.Line > lines || d.Line < 0 {
					t.Fatalf("bad diagnostic %#v", d)
				}
			}
			for _, r := range src.Rules {
				filter.Walk(r.Condition, func(n any) bool {
					if e, ok := n.(filter.Expr); ok {
						if p := r.Place(e.Position()); p.Line < 1 || p.Line > lines || p.Col < 1 {
							t.Fatalf("place %v of %T outside of the file", p, n)
						}
					}
					return true
				})
			}
		}
		once, diags := formatFile(file)
		if HasErrors(diags) {
			return
		}
		twice, diags := formatFile(File{Name: "f.yaml", Data: once})
		if HasErrors(diags) || string(once) != string(twice) {
			t.Fatalf("formatting is not stable: %v\n%s\n---\n%s", diags, once, twice)
		}
	})
}
