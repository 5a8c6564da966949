package rule

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule/filter"
)

// testFields are fields of shapes the catalogue does not supply yet.
func testFields() resolver {
	all := event.AllTypes()
	words := func(e *event.Event, _ *event.Arg, out []string) []string {
		return append(out, strings.Fields(e.Raw)...)
	}
	fields := []event.Field{
		{Name: "t.words", Type: event.TypeString, List: true, Types: all, Strs: words},
		{Name: "t.numbers", Type: event.TypeUint, List: true, Types: all, Ints: func(e *event.Event, _ *event.Arg, out []int64) []int64 {
			for i := range len(e.Raw) % 4 {
				out = append(out, int64(i))
			}
			return out
		}},
		{Name: "t.bytes", Type: event.TypeBytes, Types: all, Str: func(e *event.Event, _ *event.Arg) (string, bool) { return e.SockPath, e.SockPath != "" }},
		{Name: "t.raw", Type: event.TypeString, Types: all, Str: func(e *event.Event, _ *event.Arg) (string, bool) { return e.Raw, true }},
		{Name: "t.bool", Type: event.TypeBool, Types: all, Bool: func(e *event.Event, _ *event.Arg) (bool, bool) { return e.Ret > 0, e.Ret != 0 }},
	}
	return func(name string) (*event.Field, string, bool) {
		for i := range fields {
			if fields[i].Name == name {
				return &fields[i], "", true
			}
		}
		return event.ResolveField(name)
	}
}

// compileText compiles conditions, one rule each, named r0, r1…
func compileText(tb testing.TB, conditions ...string) *Rules {
	tb.Helper()
	rules, diags := tryCompile(conditions...)
	for _, d := range diags {
		if d.Severity == SeverityError {
			tb.Fatal(d)
		}
	}
	return rules
}

func tryCompile(conditions ...string) (*Rules, []Diagnostic) {
	return tryCompileFor("syscall", conditions...)
}

func tryCompileFor(source string, conditions ...string) (*Rules, []Diagnostic) {
	src := &Source{}
	var diags []Diagnostic
	for i, c := range conditions {
		e, err := filter.Parse(c, filter.Options{})
		if err != nil {
			diags = append(diags, Diagnostic{Severity: SeverityError, Message: c + ": " + err.Error()})
			continue
		}
		src.Rules = append(src.Rules, &Resolved{Name: fmt.Sprintf("r%d", i), Source: source, Index: i, Enabled: true, Condition: e, ConditionText: c, Output: "x"})
	}
	rules, more := Compile(src, CompileOptions{resolve: testFields()})
	return rules, append(diags, more...)
}

func matches(m *Matcher, ev *event.Event) []string {
	var out []string
	m.Match(ev, func(r *Rule) { out = append(out, r.info.Name) })
	return out
}

// The generators draw from few words, so that conditions are often true.
var (
	genText   = rapid.SampledFrom([]string{"a", "b", "ab", "/a", "/a/b", "/ab", "abc", "B", "", "/a/b/c", "YWI=", "x y"})
	genPath   = rapid.SampledFrom([]string{"", "/a", "/a/b", "/a/b/c", "/ab", "/b", "/abc/B"})
	genNumber = rapid.SampledFrom([]string{"0", "1", "2", "3", "-1", "0x2", "100"})
	genAddr   = rapid.SampledFrom([]string{"10.0.0.1", "10.0.0.2", "10.1.0.1", "::1", "fe80::1"})
	genNet    = rapid.SampledFrom([]string{"10.0.0.0/8", "10.0.0.0/24", "10.0.0.1/32", "::1/128", "fe80::/10"})
	genPort   = rapid.SampledFrom([]string{"443", "22", "https", "ssh", "80"})
	genType   = rapid.SampledFrom([]string{"open", "openat", "execve", "connect", "dup2", "close"})
)

type genField struct {
	name  string
	class string
}

var genFields = []genField{
	{"proc.name", "text"}, {"proc.pname", "text"}, {"proc.aname", "text"}, {"proc.aname[2]", "text"}, {"fd.name", "text"}, {"fd.filename", "text"},
	{"proc.cmdline", "text"}, {"container.image.repository", "text"}, {"container.id", "text"}, {"container.name", "text"}, {"t.raw", "text"},
	{"fd.sip.name", "text"}, {"evt.arg.name", "text"}, {"tolower(proc.name)", "text"}, {"toupper(fd.name)", "text"}, {"basename(fd.name)", "text"},
	{"b64(t.raw)", "text"}, {"concat(proc.name, fd.name)", "text"}, {`join("/", (proc.name, user.uid, "a"))`, "text"}, {`join(",", t.words)`, "text"},
	{"evt.type", "type"}, {"syscall.type", "plaintype"}, {"t.bytes", "bytes"},
	{"fd.num", "number"}, {"user.uid", "number"}, {"proc.pid", "number"}, {"proc.apid", "number"}, {"len(fd.name)", "number"}, {"len(t.words)", "number"},
	{"evt.num", "number"}, {"fd.sport", "port"}, {"fd.port", "port"}, {"evt.is_open_read", "bool"}, {"t.bool", "bool"}, {"container.privileged", "bool"},
	{"fd.sip", "addr"}, {"fd.ip", "addr"}, {"fd.snet", "net"}, {"fd.net", "net"}, {"t.words", "texts"}, {"tolower(t.words)", "texts"}, {"t.numbers", "numbers"},
}

func genCheck(t *rapid.T) string {
	return genCheckOf(t, genFields, []string{"proc.name", "fd.name", "t.raw", "fd.sip.name"})
}

// genCheckOf makes a check on one of some fields; right are those that may stand on its right.
func genCheckOf(t *rapid.T, fields []genField, right []string) string {
	f := rapid.SampledFrom(fields).Draw(t, "field")
	list := func(g *rapid.Generator[string], quote bool) string {
		var items []string
		for _, v := range rapid.SliceOfN(g, 1, 6).Draw(t, "items") {
			if quote {
				v = filter.Quote(v)
			}
			items = append(items, v)
		}
		return "(" + strings.Join(items, ", ") + ")"
	}
	op := func(ops ...string) string { return rapid.SampledFrom(ops).Draw(t, "op") }
	g, quote := genText, true
	var o string
	switch f.class {
	case "text":
		o = op("=", "!=", "==", "<", ">=", "contains", "icontains", "startswith", "endswith", "glob", "iglob", "regex", "in", "in", "intersects", "pmatch", "exists",
			"= anyof", "!= allof", "startswith anyof", "contains oneof", "endswith allof", "!= oneof", "val")
	case "bytes":
		o = op("=", "!=", "contains", "startswith", "endswith", "in", "exists", "bcontains", "bstartswith")
		if strings.HasPrefix(o, "b") {
			return f.name + " " + o + " " + rapid.SampledFrom([]string{"61", "6162", "2f61", "00"}).Draw(t, "hex")
		}
	case "type", "plaintype":
		g, o = genType, op("=", "!=", "in", "in", "startswith", "exists", "= anyof", "!= allof")
	case "number":
		g, quote, o = genNumber, false, op("=", "!=", "<", "<=", ">", ">=", "in", "intersects", "exists", "= anyof", "!= oneof")
	case "port":
		g, quote, o = genPort, false, op("=", "!=", "in", "exists")
	case "bool":
		g, quote, o = rapid.SampledFrom([]string{"true", "false"}), false, op("=", "!=", "in", "exists", "= anyof")
	case "addr":
		g, o = genAddr, op("=", "!=", "in", "intersects", "exists", "= anyof", "!= allof", "!= anyof")
	case "net":
		g, o = genNet, op("=", "!=", "in", "intersects", "exists", "= oneof", "!= anyof")
	case "texts":
		o = op("in", "intersects", "exists")
	case "numbers":
		g, quote, o = genNumber, false, op("in", "intersects", "exists")
	}
	switch {
	case o == "exists":
		return f.name + " exists"
	case o == "val" && (strings.Contains(f.name, "aname")):
		return f.name + " exists"
	case o == "val":
		return f.name + " " + op("=", "!=", "contains", "startswith", "<", "in") + " val(" + rapid.SampledFrom(right).Draw(t, "right") + ")"
	case o == "regex":
		return f.name + " regex " + rapid.SampledFrom([]string{"'a.*'", "'[ab]+'", "'/a(/b)?'", "'.*b'", "'a|b'"}).Draw(t, "regex")
	case o == "glob" || o == "iglob":
		return f.name + " " + o + " " + rapid.SampledFrom([]string{"'a*'", "'?'", "'/a/*'", "'*B*'", "'/?b'"}).Draw(t, "glob")
	case o == "pmatch":
		return f.name + " pmatch " + list(rapid.SampledFrom([]string{"/a", "/a/b", "/", "/*/b", "ab", "/a?"}), true)
	case o == "in" || o == "intersects" || strings.Contains(o, "of"):
		return f.name + " " + o + " " + list(g, quote)
	case strings.ContainsAny(o, "<>") && f.class == "text":
		return f.name + " " + o + " " + genNumber.Draw(t, "number")
	}
	v := g.Draw(t, "value")
	if quote {
		v = filter.Quote(v)
	}
	return f.name + " " + o + " " + v
}

func genCondition(t *rapid.T, checks []string, depth int) string {
	pick := func() string { return rapid.SampledFrom(checks).Draw(t, "check") }
	if depth == 0 {
		return pick()
	}
	sub := func() string { return genCondition(t, checks, depth-1) }
	switch rapid.IntRange(0, 5).Draw(t, "shape") {
	case 0:
		return "not (" + sub() + ")"
	case 1, 2:
		return "(" + sub() + " and " + sub() + ")"
	case 3:
		return "(" + sub() + " or " + sub() + ")"
	case 4:
		return "(" + sub() + " and " + sub() + " and not " + pick() + ")"
	}
	return pick()
}

func genEvent(t *rapid.T) *event.Event {
	comm := func() string { return rapid.SampledFrom([]string{"a", "b", "ab", "B", "abc", ""}).Draw(t, "comm") }
	var parent *event.Process
	for i := range rapid.IntRange(0, 3).Draw(t, "ancestors") {
		parent = &event.Process{PID: int32(i), Comm: comm(), Parent: parent}
		parent.Cmdline = parent.Comm + " x"
	}
	e := &event.Event{
		Type:   rapid.SampledFrom([]event.Type{event.TypeOpen, event.TypeOpenat, event.TypeExecve, event.TypeConnect, event.TypeDup2, event.TypeProcexit, event.TypeClose}).Draw(t, "type"),
		Path:   genPath.Draw(t, "path"),
		Raw:    rapid.SampledFrom([]string{"", "a", "a b", "a b ab", "YWI", "/a  /a/b"}).Draw(t, "raw"),
		FD:     int64(rapid.IntRange(-1, 3).Draw(t, "fd")),
		Ret:    int64(rapid.IntRange(-1, 1).Draw(t, "ret")),
		FDKind: rapid.SampledFrom([]event.FDKind{event.FDNone, event.FDFile, event.FDIPv4, event.FDPipe}).Draw(t, "kind"),
		Flags:  rapid.SampledFrom([]event.Flags{0, event.FlagHasFD, event.FlagHasFD | event.FlagHasRet}).Draw(t, "flags"),
		ID:     event.ID{Seq: 3}, SockPath: rapid.SampledFrom([]string{"", "ab", "a\x00b", "/a"}).Draw(t, "sock"),
		OpenFlags: uint32(rapid.IntRange(0, 2).Draw(t, "open")),
	}
	if rapid.Bool().Draw(t, "process") {
		e.Process = &event.Process{PID: 2, Comm: comm(), Parent: parent, UID: uint32(rapid.IntRange(0, 3).Draw(t, "uid"))}
		e.Process.Cmdline = e.Process.Comm + " a"
	}
	switch rapid.IntRange(0, 3).Draw(t, "container") {
	case 0:
		e.Container = &event.Container{ID: "ab", Name: "a", ImageRepo: genText.Draw(t, "image"), Privileged: event.Yes}
	case 1:
		e.Container = &event.Container{ID: "ab", Unknown: "not asked yet"}
	}
	if e.FDKind == event.FDIPv4 {
		addr := func() netip.AddrPort {
			return netip.AddrPortFrom(netip.MustParseAddr(genAddr.Draw(t, "addr")), rapid.SampledFrom([]uint16{22, 80, 443}).Draw(t, "port"))
		}
		e.Client, e.Server, e.Role = addr(), addr(), rapid.SampledFrom([]event.Role{event.RoleUnknown, event.RoleClient, event.RoleServer}).Draw(t, "role")
	}
	return e
}

// TestEngineAgreesWithNaive compares the compiled program with the naive
// interpreter, on rules that share checks, in both modes.
func TestEngineAgreesWithNaive(t *testing.T) {
	n := naive{testFields()}
	rapid.Check(t, func(t *rapid.T) {
		var checks []string
		for range rapid.IntRange(2, 14).Draw(t, "checks") {
			checks = append(checks, genCheck(t))
		}
		var conditions []string
		for range rapid.IntRange(1, 12).Draw(t, "rules") {
			conditions = append(conditions, genCondition(t, checks, rapid.IntRange(0, 4).Draw(t, "depth")))
		}
		rules, diags := tryCompile(conditions...)
		for _, d := range diags {
			if d.Severity == SeverityError {
				t.Fatalf("%s in %q", d, conditions)
			}
		}
		all, first := NewMatcher(rules, All), NewMatcher(rules, First)
		for range 6 {
			ev := genEvent(t)
			var want []string
			for _, r := range rules.All() {
				if n.holds(r.res.Condition, ev, false) {
					want = append(want, r.info.Name)
				}
			}
			got := matches(all, ev)
			if !slices.Equal(got, want) {
				t.Fatalf("got %v, want %v\nrules %q\nevent %+v", got, want, conditions, *ev)
			}
			if got := matches(first, ev); !slices.Equal(got, want[:min(len(want), 1)]) {
				t.Fatalf("first: got %v, all %v", got, want)
			}
			for i, r := range rules.All() {
				x := first.Explain(r, ev)
				if len(x) == 0 || len(x) > MaxConditions {
					t.Fatalf("%d conditions explain %q", len(x), conditions[i])
				}
				hit := slices.Contains(want, r.info.Name)
				for _, c := range x {
					if c.True != hit && !strings.Contains(conditions[i], "not") {
						t.Fatalf("%q is %v because %q is %v", conditions[i], hit, c.Expr, c.True)
					}
				}
			}
		}
	})
}
