package rule

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule/filter"
)

func TestFormat(t *testing.T) {
	ev := openEvent()
	ev.Path = "/tmp/a\nb\x1b[31m\xffé"
	for _, c := range []struct{ format, want string }{
		{"plain", "plain"},
		{"*%proc.name", "myexe"},
		{"%proc.name.", "myexe."},
		{"%proc.name)", "myexe)"},
		{"a%proc.nameb", "amyexeb"},
		{"%3proc.name|%8proc.name|", "mye|myexe   |"},
		{"%proc.pexepath", "<NA>"},
		{"%proc.aname[1] %proc.aname[9]", "bash <NA>"},
		{"%proc.args[0] %proc.args", "-a -a b"},
		{"%toupper(proc.name) %basename( proc.exe )", "MYEXE myexe"},
		{"%user.uid %user.loginuid %fd.num %evt.is_open_read", "33 -1 3 true"},
		{"%fd.name", `/tmp/a\nb\u001b[31m` + "\uFFFDé"},
		{"%container.id%%proc.name", "!"},
		{"100% sure", "!"},
		{"%", "!"},
		{"%12", "!"},
		{"%99999proc.name", "!"},
		{"", "!"},
		{"%proc.nothing", "!"},
		{"%ka.verb", "!"},
		{"%toupper(proc.name", "!"},
		{"%toupper(fd.num)", "!"},
		{"%val(proc.name)", "!"},
		{"%fd.ip", "<NA>"},
		{"%evt.arg.flags|%evt.arg[2]", "O_RDONLY|/tmp/a\\nb\\u001b[31m\uFFFDé"},
	} {
		f, err := ParseFormat(c.format, "syscall")
		if err != nil {
			if c.want != "!" {
				t.Errorf("%q: %v", c.format, err)
			}
			continue
		}
		if got := string(f.Append(nil, ev)); got != c.want && !strings.Contains(c.format, "evt.arg") || c.want == "!" {
			t.Errorf("%q: got %q, want %q", c.format, got, c.want)
		}
	}
}

func TestRuleJSON(t *testing.T) {
	e, err := filter.Parse("evt.type = openat", filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	src := &Source{Rules: []*Resolved{{Name: "A \"rule\"", Source: "syscall", Enabled: true, Condition: e, Priority: Informational, Tags: []string{"a", "b"},
		Output: "Opened %fd.name by %proc.name (%proc.pexepath, uid %user.uid, %evt.time)"}}}
	rules, diags := Compile(src, CompileOptions{})
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	ev := openEvent()
	r := rules.All()[0]
	golden(t, "rule.json.golden", string(r.AppendJSON(nil, ev, "node-1"))+"\n"+string(r.AppendLine(nil, ev, true))+"\n")
	if !json.Valid(r.AppendJSON(nil, ev, "x")) {
		t.Error("not JSON")
	}
}

func FuzzFormat(f *testing.F) {
	for _, s := range []string{"%proc.name %evt.arg.flags", "%10toupper(concat(proc.name, \"x\"))[a]", "%join(\"->\", (proc.name, fd.num))", "%", "%%%", "%proc.aname[", "*%9"} {
		f.Add(s, "x\xff\x00")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		format, err := ParseFormat(text, "syscall")
		if err != nil {
			return
		}
		ev := openEvent()
		ev.Process.Comm, ev.Path = name, name
		out := format.Append(nil, ev)
		if !utf8.Valid(out) || strings.ContainsAny(string(out), "\n\r\x00\x1b") {
			t.Fatalf("%q prints %q", text, out)
		}
		if j := format.AppendJSON(nil, ev); !json.Valid(j) {
			t.Fatalf("%q gives %s", text, j)
		}
	})
}

// FuzzCompile compiles any condition that parses, then runs and explains it on
// events of several kinds: nothing may panic or hang.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		"evt.type = open and fd.name startswith /etc", "not (proc.aname in (a, b) or fd.sport = 443)", "proc.name = val(proc.pname)",
		"getopt((\"-x\"), \"x\")[x] exists", "fd.net != 10.0.0.0/8", "b64(proc.name) contains oneof (a, b)", "evt.arg.flags contains O_CREAT", "fd.name pmatch (/a/*/b)",
	} {
		f.Add(s, "name")
	}
	f.Fuzz(func(t *testing.T, cond, name string) {
		if len(cond) > 4096 {
			return
		}
		rules, diags := tryCompile(cond, "proc.name exists")
		if HasErrors(diags) {
			return
		}
		open, connect := openEvent(), connectEvent("1.2.3.4:5", "[::1]:443")
		open.Process.Comm = name
		m := NewMatcher(rules, All)
		for _, ev := range []*event.Event{open, connect, {Type: event.TypeExecve}} {
			m.Match(ev, func(r *Rule) { m.Explain(r, ev) })
			m.Explain(rules.All()[0], ev)
		}
	})
}

// TestHostileConditions: conditions that expand without end, nest deeply or list
// very much compile in the time their text takes.
func TestHostileConditions(t *testing.T) {
	// Each level uses the one below twice, as macros can: 2^40 checks when expanded.
	var e filter.Expr = parse(t, "proc.name = x and evt.type = open")
	for range 40 {
		e = &filter.And{Kids: []filter.Expr{&filter.Or{Kids: []filter.Expr{e, parse(t, "fd.num = 1")}}, &filter.Not{Kid: e}}}
	}
	deep := parse(t, "fd.num = 1")
	for range 100_000 {
		deep = &filter.Not{Kid: deep}
	}
	items := strings.Repeat("abcdefgh, ", 50_000)
	long := parse(t, "proc.name in ("+items+" x)")
	src := &Source{}
	for i, c := range []filter.Expr{e, deep, long} {
		src.Rules = append(src.Rules, &Resolved{Name: string(rune('a' + i)), Source: "syscall", Enabled: true, Condition: c, Output: "o"})
	}
	rules, diags := Compile(src, CompileOptions{})
	if HasErrors(diags) {
		t.Fatal(diags)
	}
	ev := openEvent()
	m := NewMatcher(rules, All)
	m.Match(ev, func(*Rule) {})
	for _, r := range rules.All() {
		for _, c := range m.Explain(r, ev) {
			if len(c.Expr) > 1000 {
				t.Errorf("an explanation of %d bytes", len(c.Expr))
			}
		}
	}
	if in := rules.Interest(); in.Types.Empty() {
		t.Error("no interest")
	}
}

func parse(t *testing.T, cond string) filter.Expr {
	t.Helper()
	e, err := filter.Parse(cond, filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}
