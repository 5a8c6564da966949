//go:build conformance

package rule

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule/filter"
	"github.com/dockreeve/dockreeve/rule/internal/cppsource"
	"github.com/dockreeve/dockreeve/rule/internal/strmatch"
)

// These tests replay the assertions of libsinsp's own suites, read mechanically
// from a checked-out tree; docs/rules-evaluation.md lists what differs and why.

const (
	falcoLibs = "DOCKREEVE_FALCO_LIBS"
	libsTests = "userspace/libsinsp/test/"
)

// fake makes fields of constant values over the catalogue: strings, int64s,
// []string; nil is a field without a value.
func fake(values map[string]any) resolver {
	all := event.AllTypes()
	fields := map[string]*event.Field{}
	for name, v := range values {
		f := &event.Field{Name: name, Types: all}
		switch v := v.(type) {
		case string:
			f.Str = func(*event.Event, *event.Arg) (string, bool) { return v, true }
		case []byte:
			f.Type = event.TypeBytes
			f.Str = func(*event.Event, *event.Arg) (string, bool) { return string(v), true }
		case int64:
			f.Type = event.TypeInt
			f.Int = func(*event.Event, *event.Arg) (int64, bool) { return v, true }
		case []string:
			f.List = true
			f.Strs = func(_ *event.Event, _ *event.Arg, out []string) []string { return append(out, v...) }
		}
		fields[name] = f
	}
	return func(name string) (*event.Field, string, bool) {
		if f, ok := fields[name]; ok {
			return f, "", true
		}
		if base, arg, ok := strings.Cut(name, "evt.arg."); ok && base == "" {
			if f, ok := fields["evt.arg"]; ok {
				f.Arg = event.ArgKeyRequired
				return f, arg, true
			}
		}
		return event.ResolveField(name)
	}
}

func compileWith(resolve resolver, condition string) (*Rules, []Diagnostic) {
	e, err := filter.Parse(condition, filter.Options{MaxDepth: 100})
	if err != nil {
		return nil, []Diagnostic{{Message: err.Error()}}
	}
	src := &Source{Rules: []*Resolved{{Name: "r", Source: "syscall", Enabled: true, Condition: e, Output: "o"}}}
	return Compile(src, CompileOptions{resolve: resolve})
}

// replay runs the eval_filter assertions of one suite file against an event per
// test. skip says why an assertion is not ours.
func replay(t *testing.T, file string, tests map[string]struct {
	ev      *event.Event
	resolve resolver
}, skip func(cond string) string, atLeast int) {
	src := cppsource.Read(t, cppsource.Dir(t, falcoLibs), libsTests+file)
	want, done, skipped := "", 0, 0
	for _, c := range cppsource.Calls(src, "EXPECT_TRUE", "EXPECT_FALSE", "ASSERT_TRUE", "ASSERT_FALSE", "EXPECT_THROW", "eval_filter", "filter_compiles") {
		if c.Name != "eval_filter" && c.Name != "filter_compiles" {
			want = c.Name[strings.IndexByte(c.Name, '_')+1:]
			continue
		}
		env, ok := tests[c.Test]
		if !ok {
			continue
		}
		arg := c.Args[len(c.Args)-1]
		if c.Name == "eval_filter" && len(c.Args) >= 2 {
			arg = c.Args[1]
		}
		if !arg.Literal {
			continue
		}
		if why := skip(arg.Text); why != "" {
			t.Logf("line %d: not ours: %s (%s)", c.Line, arg.Text, why)
			skipped++
			continue
		}
		done++
		rules, diags := compileWith(env.resolve, arg.Text)
		compiles := len(diags) == 0 || !HasErrors(diags) && rules != nil
		switch {
		case want == "THROW" || c.Name == "filter_compiles":
			if compiles != (want == "TRUE") {
				t.Errorf("line %d: compiles: %v: %s", c.Line, compiles, arg.Text)
			}
		case !compiles:
			t.Errorf("line %d: %s: %v", c.Line, arg.Text, diags)
		default:
			if got := len(matches(NewMatcher(rules, First), env.ev)) == 1; got != (want == "TRUE") {
				t.Errorf("line %d: got %v: %s", c.Line, got, arg.Text)
			}
		}
	}
	t.Logf("%d assertions, %d not ours", done, skipped)
	if done < atLeast {
		t.Errorf("only %d assertions found: has the suite's form changed?", done)
	}
}

func never0(string) string { return "" }

type replayEnv = struct {
	ev      *event.Event
	resolve resolver
}

func TestConformanceModifiers(t *testing.T) {
	ev := &event.Event{Type: event.TypeExecve, Process: &event.Process{Comm: "myexe"}}
	tests := map[string]replayEnv{}
	src := cppsource.Read(t, cppsource.Dir(t, falcoLibs), libsTests+"filterchecks/cmp_operator_modifiers.cpp")
	for _, c := range cppsource.Calls(src, "eval_filter") {
		tests[c.Test] = replayEnv{ev, event.ResolveField}
	}
	replay(t, "filterchecks/cmp_operator_modifiers.cpp", tests, never0, 90)
}

func TestConformanceOperators(t *testing.T) {
	open := &event.Event{Type: event.TypeOpen, Flags: event.FlagHasFD | event.FlagHasRet, FDKind: event.FDFile, FD: 1, Ret: 1, Path: "/opt/dir/subdir/file.txt"}
	upper := *open
	upper.Path = "/opt/dir/SUBDIR/file.txt"
	flags := fake(map[string]any{"evt.arg": "O_RDWR|O_CREAT"})
	buffer := func(s string) replayEnv {
		return replayEnv{open, fake(map[string]any{"evt.buffer": []byte(s)})}
	}
	replay(t, "filter_op_bytebuf.ut.cpp", map[string]replayEnv{
		"bytebuf_bcontains_bstartswith": buffer("hello"), "bytebuf_matches_nul": buffer("a\x00b")}, never0, 20)
	replay(t, "filter_op_contains.ut.cpp", map[string]replayEnv{"contains_icontains": {&upper, flags}}, never0, 6)
	replay(t, "filter_op_pmatch.ut.cpp", map[string]replayEnv{"pmatch": {open, event.ResolveField}}, never0, 16)

	signed := &event.Event{Type: event.TypeOpen, CPU: 1, Flags: event.FlagHasFD, FD: -1}
	replay(t, "filter_op_numeric_compare.ut.cpp", map[string]replayEnv{"signed_int_compare": {signed, event.ResolveField}}, func(c string) string {
		if strings.Contains(c, "rawarg") {
			return "evt.rawarg is text here"
		}
		return ""
	}, 10)

	inet := connectEvent("172.40.111.222:54321", "142.251.111.147:443")
	six := connectEvent("[::1]:54321", "[2001:4860:4860::8888]:443")
	six.FDKind = event.FDIPv6
	replay(t, "filter_op_net_compare.ut.cpp", map[string]replayEnv{
		"net_ipv4_compare": {inet, event.ResolveField}, "net_ipv6_compare": {six, event.ResolveField}, "net_modifier_ip_compare": {inet, event.ResolveField},
	}, func(c string) string {
		if strings.Contains(c, "fd.lip") || strings.Contains(c, "fd.rip") {
			return "local and remote follow the role here, not a list of interfaces"
		}
		return ""
	}, 30)
}

func TestConformanceTransforms(t *testing.T) {
	ev := &event.Event{Type: event.TypeOpen, Flags: event.FlagHasFD, FD: 3, FDKind: event.FDFile, Path: "/tmp/file_to_run", ID: event.ID{Seq: 1}}
	env := replayEnv{ev, fake(map[string]any{"fd.directory": "/tmp", "fd.types": []string{"file"}, "evt.arg": "x"})}
	tests := map[string]replayEnv{}
	for _, name := range []string{"basename_transformer", "len_transformer", "multivalue_transformer_join", "multivalue_transformer_concat",
		"multivalue_transformer_with_outer_transformer", "multivalue_transformer_getopt"} {
		tests[name] = env
	}
	replay(t, "filter_transformer.ut.cpp", tests, func(c string) string {
		switch c {
		case "len(fd.types) = 2", "len(evt.arg.data) == 6":
			return "a later event of the same test"
		}
		return ""
	}, 120)
}

// TestConformanceCompile replays what has to compile, what has not, and how many
// warnings it draws.
func TestConformanceCompile(t *testing.T) {
	src := cppsource.Read(t, cppsource.Dir(t, falcoLibs), libsTests+"filter_compiler.ut.cpp")
	always := func(v string) map[string]any {
		return map[string]any{"c.true": v, "c.false": "0", "c.doublequote": `hello "quoted"`, "c.singlequote": "hello 'quoted'", "c.buffer": []byte("x")}
	}
	n := 0
	for _, c := range cppsource.Calls(src, "test_filter_run", "test_filter_compile") {
		switch {
		case c.Name == "test_filter_run" && len(c.Args) == 2 && c.Args[1].Literal:
			n++
			rules, diags := compileWith(fake(always("1")), c.Args[1].Text)
			if HasErrors(diags) {
				t.Errorf("line %d: %s: %v", c.Line, c.Args[1].Text, diags)
				continue
			}
			if got := len(matches(NewMatcher(rules, First), &event.Event{Type: event.TypeOpen})) == 1; got != (c.Args[0].Text == "true") {
				t.Errorf("line %d: got %v: %s", c.Line, got, c.Args[1].Text)
			}
		case c.Name == "test_filter_compile" && len(c.Args) >= 2 && c.Args[1].Literal && c.Test != "":
			n++
			fails := len(c.Args) > 2 && c.Args[2].Text == "true"
			rules, diags := compileWith(fake(always("1")), c.Args[1].Text)
			if (rules == nil || HasErrors(diags)) != fails {
				t.Errorf("line %d: should fail %v: %s: %v", c.Line, fails, c.Args[1].Text, diags)
				continue
			}
			if len(c.Args) > 3 {
				warnings := 0
				for _, d := range diags {
					if d.Code == CodeWarnCompileFilter {
						warnings++
					}
				}
				if want := strings.TrimSpace(c.Args[3].Text); want == "1" != (warnings == 1) {
					t.Errorf("line %d: %d warnings: %s: %v", c.Line, warnings, c.Args[1].Text, diags)
				}
			}
		}
	}
	t.Logf("%d assertions", n)
	if n < 250 {
		t.Errorf("only %d assertions found", n)
	}
}

func TestConformanceEventTypes(t *testing.T) {
	src := cppsource.Read(t, cppsource.Dir(t, falcoLibs), libsTests+"filter_ppm_codes.ut.cpp")
	openat := event.NewTypeSet(event.TypeOpenat)
	both := event.NewTypeSet(event.TypeOpenat, event.TypeClose)
	sets := map[string]event.TypeSet{"openat_only": openat, "not_openat": openat.Complement(), "openat_close_only": both,
		"not_openat_close": both.Complement(), "all_events": event.AllTypes(), "no_events": {}}
	types := func(text string) (event.TypeSet, bool) {
		e, err := filter.Parse(text, filter.Options{})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			return event.TypeSet{}, false
		}
		return newTypeAnalysis().of(e, false), true
	}
	n := 0
	for _, c := range cppsource.Calls(src, "ASSERT_FILTER_SET_EQ", "ASSERT_FILTER_EQ") {
		if len(c.Args) != 3 || !c.Args[1].Literal {
			continue
		}
		a, ok := types(c.Args[1].Text)
		if !ok {
			continue
		}
		want, known := sets[c.Args[2].Text]
		if c.Args[2].Literal {
			want, known = types(c.Args[2].Text)
		}
		if !known {
			t.Errorf("line %d: what is %s?", c.Line, c.Args[2].Text)
			continue
		}
		n++
		if a != want {
			t.Errorf("line %d: %s: %d types, want %d (%s)", c.Line, c.Args[1].Text, a.Len(), want.Len(), c.Args[2].Text)
		}
	}
	t.Logf("%d assertions", n)
	if n < 100 {
		t.Errorf("only %d assertions found", n)
	}
}

func TestConformancePathPrefixes(t *testing.T) {
	src := cppsource.Read(t, cppsource.Dir(t, falcoLibs), libsTests+"prefix_search.ut.cpp")
	var paths []string
	test, path, n := "", "", 0
	for _, c := range cppsource.Calls(src, "add_search_path", "match", "ASSERT_TRUE", "ASSERT_FALSE") {
		if c.Test != test {
			test, paths, path = c.Test, nil, ""
		}
		switch {
		case c.Name == "add_search_path":
			paths = append(paths, c.Args[0].Text)
		case c.Name == "match":
			path = c.Args[0].Text
		case c.Args[0].Text == "found":
			n++
			if got := strmatch.NewPaths(paths).Match(path); got != (c.Name == "ASSERT_TRUE") {
				t.Errorf("line %d: %q covers %q: %v", c.Line, paths, path, got)
			}
		}
	}
	t.Logf("%d assertions", n)
	if n < 14 {
		t.Errorf("only %d assertions found", n)
	}
}

func TestConformanceFormat(t *testing.T) {
	src := cppsource.Read(t, cppsource.Dir(t, falcoLibs), libsTests+"eventformatter.ut.cpp")
	p := &event.Process{PID: 1, Comm: "init", Exe: "/sbin/init", Cmdline: "init"}
	ev := &event.Event{Type: event.TypeGetcwd, TID: 1, Process: p}
	bash := &event.Process{PID: 2, Comm: "bash", Exe: "bash", Cmdline: "bash", Parent: p}
	child := &event.Event{Type: event.TypeGetcwd, TID: 3, Process: &event.Process{PID: 3, Comm: "child", Exe: "child", Cmdline: "child", Parent: bash}}
	main := ev
	resolve := fake(map[string]any{"evt.arg": "/test/dir", "thread.tid": int64(1), "x.y": nil})
	withArgs := func(name string) (*event.Field, string, bool) {
		f, key, ok := resolve(name)
		if ok && name == "evt.arg" {
			f.Arg = event.ArgKeyRequired
		}
		return f, key, ok
	}
	var f *Format
	throws, isJSON, n := false, false, 0
	for _, c := range cppsource.Calls(src, "format", "EXPECT_THROW", "ASSERT_THROW", "ASSERT_NO_THROW", "EXPECT_EQ") {
		switch c.Name {
		case "EXPECT_THROW", "ASSERT_THROW":
			throws = true
			continue
		case "ASSERT_NO_THROW":
			throws = false
			continue
		case "format":
			if c.Test == "" || !c.Args[0].Literal {
				continue
			}
			var err *compileError
			f, err = compileFormat(c.Args[0].Text, event.SourceSyscall, withArgs)
			if (err != nil) != throws {
				t.Errorf("line %d: throws %v: %s: %v", c.Line, throws, c.Args[0].Text, err)
			}
			if throws {
				n++
			}
			throws = false
			switch ev = main; c.Args[len(c.Args)-1].Text {
			case "3":
				ev, p.Cmdline = child, "init context ls --format {{json .}}"
			case "2":
				ev = &event.Event{Type: event.TypeGetcwd, TID: 2, Process: bash}
			}
			isJSON = len(c.Args) > 1 && (strings.Contains(c.Args[1].Text, "OF_JSON") || c.Args[1].Text == "of" && strings.HasSuffix(c.Test, "json"))
			continue
		}
		if f == nil || len(c.Args) != 2 || !c.Args[1].Literal {
			continue
		}
		want := c.Args[1].Text
		var got string
		switch what := c.Args[0].Text; {
		case strings.HasPrefix(c.Test, "stop_on_null"), strings.Contains(c.Test, "excluded_json"):
			continue // here missing values always print, and transforms are always given
		case what == "m_last_output" && !isJSON:
			got = string(f.Append(nil, ev))
		case what == "m_last_output":
			got = string(f.AppendJSON(nil, ev))
			if want == "null" {
				want = "{}" // an object stays one
			}
			if !sameJSON(got, want) {
				t.Errorf("line %d: got %s, want %s", c.Line, got, want)
			}
			n++
			continue
		case strings.HasPrefix(what, "m_last_field_values"):
			key := strings.TrimSuffix(strings.TrimPrefix(what, "m_last_field_values["), "]")
			var s scratch
			s.reset(ev)
			found := false
			for _, v := range f.values {
				if v.name == key {
					found = true
					text, ok := v.value.render(&s)
					if !ok {
						text = NotAvailable
					}
					got = text
				}
			}
			if !found {
				t.Errorf("line %d: no value %s among %v", c.Line, key, f.Fields())
				continue
			}
		default:
			continue
		}
		n++
		if got != want {
			t.Errorf("line %d: %s: got %q, want %q", c.Line, c.Args[0].Text, got, want)
		}
	}
	t.Logf("%d assertions", n)
	if n < 100 {
		t.Errorf("only %d assertions found", n)
	}
}

func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}
