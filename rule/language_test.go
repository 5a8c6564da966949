package rule

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule/filter"
)

// openEvent is an open of /opt/dir/SUBDIR/file.txt by myexe, child of bash, in a container.
func openEvent() *event.Event {
	c := &event.Container{ID: "0123456789abcdef", Name: "web", ImageRepo: "reg/web", Privileged: event.No}
	sh := &event.Process{PID: 10, Comm: "bash", Cmdline: "bash -l", Exe: "bash"}
	p := &event.Process{PID: 11, Comm: "myexe", Parent: sh, Exe: "/bin/myexe", Args: []string{"-a", "b"}, Cmdline: "myexe -a b", UID: 33, LoginUID: 1<<32 - 1, Container: c, Cwd: "/opt/"}
	return &event.Event{
		Type: event.TypeOpenat, Flags: event.FlagHasFD | event.FlagHasRet, FD: 3, Ret: 3, FDKind: event.FDFile, ID: event.ID{Seq: 7}, CPU: 1,
		Path: "/opt/dir/SUBDIR/file.txt", Raw: "one two", SockPath: "hel\x00lo", OpenFlags: 0, Process: p, Container: c, Time: 1_700_000_000_123_456_789,
	}
}

func connectEvent(client, server string) *event.Event {
	e := openEvent()
	e.Type, e.Path, e.FDKind, e.L4, e.Role = event.TypeConnect, "", event.FDIPv4, event.L4TCP, event.RoleClient
	e.Client, e.Server = netip.MustParseAddrPort(client), netip.MustParseAddrPort(server)
	return e
}

func holds(t *testing.T, ev *event.Event, condition string) bool {
	t.Helper()
	return len(matches(NewMatcher(compileText(t, condition), First), ev)) == 1
}

// TestLanguage is the language by example: each line is true, unless it starts
// with "false:".
func TestLanguage(t *testing.T) {
	open := openEvent()
	inet := connectEvent("172.40.111.222:54321", "142.251.111.147:443")
	six := connectEvent("[fe80::1]:1", "[2001:db8::8888]:443")
	six.FDKind = event.FDIPv6
	orphan := openEvent()
	orphan.Process = &event.Process{PID: 1, Comm: "init"}
	unknown := openEvent()
	unknown.Container = &event.Container{ID: "0123456789abcdef", Unknown: "the runtime has not answered"}
	for _, block := range []struct {
		name  string
		ev    *event.Event
		lines string
	}{
		{"text", open, `
			proc.name = myexe
			proc.name == myexe
			false: proc.name != myexe
			proc.name > 1
			false: proc.name < 1
			fd.name contains /dir
			false: fd.name contains /subdir
			fd.name icontains /subdir
			false: fd.name icontains nothere
			fd.name startswith /opt
			fd.name endswith .txt
			fd.name glob "/opt/*/file.???"
			false: fd.name glob "/OPT/*"
			fd.name iglob "/OPT/*"
			fd.name regex '/opt/.*txt'
			false: fd.name regex '/opt'
			fd.name in (a, /opt/dir/SUBDIR/file.txt)
			false: fd.name in ()
			fd.name intersects (/opt/dir/SUBDIR/file.txt)
			fd.name pmatch (/opt/dir)
			fd.name pmatch (/x, /opt/*/SUBDIR)
			false: fd.name pmatch (/opt/di)
			fd.name exists`},
		{"modifiers", open, `
			proc.name = oneof (myexe, bash)
			false: proc.name = oneof (myexe, myexe)
			proc.name = anyof (myexe, myexe)
			false: proc.name = allof (myexe, bash)
			proc.name != oneof (myexe, bash)
			proc.name != allof (bash, sh)
			proc.name contains allof (my, exe)
			false: proc.name startswith oneof (my, mye)
			proc.name regex anyof ('x', 'my.*')
			proc.name endswith anyof (a, exe)`},
		{"numbers", open, `
			fd.num = 3
			fd.num >= 0
			fd.num > -5
			false: fd.num < 0x3
			fd.num <= 0x3
			fd.num in (1, 2, 3)
			false: fd.num in (1, 2)
			user.uid = 33
			user.uid < 18446744073709551615
			false: user.uid < -1 and user.uid > -1
			user.loginuid = -1
			proc.duration exists or not proc.duration exists
			evt.num > 0
			false: evt.num = 0
			fd.num != anyof (3, 4)
			false: fd.num != allof (3, 4)`},
		{"booleans", open, `
			evt.is_open_read = true
			evt.is_open_read != false
			evt.is_open_read in (true, false)
			false: evt.is_open_write = true`},
		{"bytes", open, `
			t.bytes = "hel\x00lo"
			t.bytes contains lo
			t.bytes bcontains 6c006C
			t.bytes bstartswith 6865
			false: t.bytes bstartswith 65
			t.bytes startswith hel
			t.bytes endswith lo
			t.bytes in (x, "hel\x00lo")`},
		{"lists", open, `
			t.words in (one, two, three)
			false: t.words in (one)
			t.words intersects (two, x)
			false: t.words intersects (x)
			t.words exists
			len(t.words) = 2`},
		{"addresses", inet, `
			fd.ip = 142.251.111.147
			fd.ip = 172.40.111.222
			fd.sip = 142.251.111.147
			fd.cip = 172.40.111.222
			false: fd.ip != 142.251.111.147
			fd.ip != 1.1.1.1
			fd.sip != ::1
			false: fd.sip = ::1
			fd.ip in (1.1.1.1, 172.40.111.222)
			fd.net = 142.251.0.0/8
			fd.net != 10.0.0.0/8
			fd.net != "2001:db8:abcd:0012::0/64"
			fd.snet in (10.0.0.0/8, 142.0.0.0/8)
			false: fd.snet in (10.0.0.0/8)
			fd.sport = https
			fd.port = 443
			fd.port = 54321
			fd.port != 80
			false: fd.port != 443
			fd.port > 50000
			fd.sip = oneof (1.1.1.1, 142.251.111.147)
			false: fd.sip != anyof (142.251.111.147)
			fd.name = "172.40.111.222:54321->142.251.111.147:443"`},
		{"IPv6", six, `
			fd.sip = 2001:db8::8888
			false: fd.sip = 142.251.111.147
			fd.sip != 142.251.111.147
			fd.snet = "2001:db8::/32"
			fd.snet != 10.0.0.0/8`},
		{"no connection", open, `
			false: fd.ip = 1.1.1.1
			false: fd.ip != 1.1.1.1
			not fd.ip = 1.1.1.1
			false: fd.sport >= 0`},
		{"null", orphan, `
			false: proc.pname = x
			false: proc.pname != x
			not proc.pname = x
			not proc.pname exists
			false: proc.aname != x
			false: proc.pname = val(proc.name)
			false: proc.name = val(proc.pname)
			false: tolower(proc.pname) != x
			false: join(",", (proc.name, proc.pname)) exists`},
		{"ancestors", open, `
			proc.aname = bash
			false: proc.aname = myexe
			proc.aname[0] = myexe
			proc.aname[1] = bash
			false: proc.aname[2] exists
			proc.aname != x
			false: proc.aname != bash
			proc.aname in (zsh, bash)
			proc.aname startswith ba
			proc.acmdline contains -l
			proc.apid = 10
			proc.aname exists`},
		{"unknown container", unknown, `
			container.id = 0123456789ab
			false: container.name = web
			false: container.name != web
			false: not container.name = web
			false: not container.image.repository in (a, b)
			false: not container.name exists
			not container.name = web or proc.name = myexe
			not (container.name = web and proc.name = x)
			not proc.name in (a, b)`},
		{"transforms", open, `
			toupper(proc.name) = MYEXE
			tolower(fd.name) endswith /subdir/file.txt
			basename(fd.name) = file.txt
			len(proc.name) = 5
			len(fd.name) > 5
			b64("aGVsbG8=") = hello
			b64("aGVsbG8") = hello
			false: b64("*") exists
			false: b64("a") exists
			join("-", ("a", proc.name, fd.num)) = a-myexe-3
			join(",", ()) = ""
			concat(proc.name, "!", fd.name) startswith "myexe!/opt"
			len(concat("a", "b")) = 2
			toupper(join("", t.words)) = ONETWO
			tolower(toupper(proc.name)) = val(proc.name)
			getopt(("-p", "80", "-v"), "p:v") intersects ("80")
			getopt(("-p", "80", "-v"), "p:v")[p] = 80
			getopt(("-vp"), "p:v")[p] = ""
			false: getopt(("x", "-v"), "v")[v] exists
			getopt(("--long", "-v"), "v")[v] = v
			getopt(("-z"), "v") in ("?")
			fd.name contains val(container.id) or fd.name startswith val(proc.cwd)
			proc.name icontains toupper("YEX")`},
		{"logic", open, `
			not not proc.name = myexe
			not(not(proc.name = myexe))
			proc.name = a or proc.name = b and proc.name = c or proc.name = myexe
			false: (proc.name = myexe or proc.name = b) and proc.name = c`},
	} {
		for _, line := range strings.Split(block.lines, "\n") {
			line = strings.TrimSpace(line)
			cond, negative := strings.CutPrefix(line, "false: ")
			if cond == "" {
				continue
			}
			if holds(t, block.ev, cond) == negative {
				t.Errorf("%s: %s", block.name, line)
			}
			if e, err := filter.Parse(cond, filter.Options{}); err == nil && !strings.Contains(cond, "getopt") && !strings.Contains(cond, "[!") {
				if cond != `fd.name glob "/opt/*/file.???"` && (naive{testFields()}).holds(e, block.ev, false) == negative && !strings.Contains(cond, "duration") {
					t.Errorf("%s: the naive interpreter disagrees on %s", block.name, line)
				}
			}
		}
	}
}

// TestOperatorsByType goes through every operator on every type: the error texts
// are part of the language, tools look for them.
func TestOperatorsByType(t *testing.T) {
	types := []struct{ field, literal, kind, ok string }{
		{"proc.name", "a", "string", "= != < <= > >= contains icontains startswith endswith glob iglob pmatch regex in intersects"},
		{"t.bytes", "61", "buffer", "= != contains bcontains startswith bstartswith endswith in intersects"},
		{"fd.num", "1", "numeric", "= != < <= > >= in intersects"},
		{"user.uid", "1", "numeric", "= != < <= > >= in intersects"},
		{"fd.sport", "1", "numeric", "= != < <= > >= in intersects"},
		{"proc.duration", "1", "numeric", "= != < <= > >= in intersects"},
		{"container.start_ts", "1", "numeric", "= != < <= > >= in intersects"},
		{"evt.is_open_read", "true", "numeric", "= != in intersects"},
		{"fd.sip", "1.1.1.1", "ip address and network", "= != in intersects"},
		{"fd.snet", "1.1.1.1/8", "ip address and network", "= != in intersects"},
		{"fd.ip", "1.1.1.1", "ip address and network", "= != in intersects"},
		{"t.words", "a", "", "in intersects"},
	}
	for _, typ := range types {
		for _, op := range filter.Operators() {
			literal := typ.literal
			switch {
			case filter.IsListOperator(op):
				literal = "(" + literal + ")"
			case filter.IsNumberOperator(op):
				literal = "1" // all the grammar takes
			case op == "exists":
				literal = ""
			}
			cond := typ.field + " " + op + " " + literal
			name := op
			if op == "==" {
				name = "="
			}
			want := ""
			switch {
			case op == "exists" || slices.Contains(strings.Fields(typ.ok), name):
			case typ.kind == "":
				want = fmt.Sprintf("filter error: '%s' operator not supported list filters", name)
			default:
				want = fmt.Sprintf("filter error: '%s' operator not supported for %s filters", name, typ.kind)
			}
			got := ""
			if _, diags := tryCompile(cond); HasErrors(diags) {
				got = diags[0].Message
			}
			if got != want {
				t.Errorf("%s: got %q, want %q", cond, got, want)
			}
		}
	}
}

func TestConditionErrors(t *testing.T) {
	for _, c := range []struct{ cond, message, remedy string }{
		{"proc.nam = x", "filter_check called with nonexistent field proc.nam", "did you mean proc.name?"},
		{"ka.verb = get", "filter_check called with nonexistent field ka.verb", "ka.verb belongs to another event source"},
		{"proc.name[1] = x", "filter_check called with nonexistent field proc.name[1]", "proc.name takes no argument"},
		{"evt.arg = x", "field evt.arg requires an argument: write evt.arg[...]", ""},
		{"proc.aname[x] = a", `field proc.aname takes a number as its argument, not "x"`, ""},
		{"evt.type = opeN", "unknown event type opeN", ""},
		{"evt.type in (open, nonsense)", "unknown event type nonsense", ""},
		{"fd.num = one", "one is not a valid number", ""},
		{"fd.num = 1.0", "1.0 is not a valid number", ""},
		{"fd.sport = 70000", "70000 is not a port (0 to 65535)", ""},
		{"fd.sport = nosuch", "unrecognized protocol nosuch", ""},
		{"evt.is_open_read = yes", "filter error: unrecognized boolean value yes", ""},
		{"fd.sip = 1.2.3", "unrecognized IPv4 address 1.2.3", ""},
		{"fd.sip = zz", "unrecognized IPv6 address zz", ""},
		{"fd.snet = 10.0.0.0", "unrecognized IP network 10.0.0.0", ""},
		{"fd.snet = 10.0.0.0/33", "invalid netmask 33", ""},
		{"t.bytes bcontains 123", "filter error: bcontains and bstartswith operator support hex strings only", ""},
		{"t.bytes bstartswith zz", "filter error: bcontains and bstartswith operator support hex strings only", ""},
		{"proc.name regex '('", "invalid regex pattern: missing closing ): `(`", ""},
		{`proc.name regex '\\d'`, "invalid regex pattern: invalid escape sequence: `\\d`", ""},
		{`proc.name = "a\x00"`, `filter error: filter value cannot contain a NUL byte (\x00)`, ""},
		{"proc.name = val(fd.num)", "field 'proc.name' has type 'CHARBUF' while the right-hand side field 'fd.num' has incompatible type 'INT64'", ""},
		{"proc.name in val(t.words)", "field 'proc.name' has type 'CHARBUF' while the right-hand side field 't.words' has incompatible type 'CHARBUF (list)'", ""},
		{"proc.aname = val(proc.name)", "field 'proc.aname' doesn't support right-hand side fields", ""},
		{"proc.name = val(proc.aname)", "field 'proc.aname' can't be used as a right-hand side field", ""},
		{"fd.snet = val(fd.cnet)", "field type 'IPNET' doesn't support right-hand side fields", ""},
		{"proc.name pmatch val(fd.name)", "operator 'PMATCH' doesn't support right-hand side fields", ""},
		{"tolower(proc.aname) = x", "field 'proc.aname' does not support transformers", ""},
		{"tolower(fd.num) = x", "can't add field transformer: type 'INT64' is not supported by 'tolower' transformer applied on field 'fd.num'", ""},
		{"join(\"a\", \"b\") = x", "join() second argument must be a list", ""},
		{"concat(t.words, \"a\") = x", "concat() arguments must be strings", ""},
		{"getopt(\"a\", \"n\") intersects (n)", "getopt() first argument must be a list", ""},
		{"proc.name in some_list", "filter error: unexpected identifier 'some_list'", "no list has this name; write the values in parentheses"},
		{"some_macro", "filter error: unexpected identifier 'some_macro'", ""},
		{"fd.sip contains anyof (1.1.1.1)", "filter error: 'contains' with modifier not supported for ip address and network filters", ""},
	} {
		_, diags := tryCompile(c.cond)
		if len(diags) == 0 || diags[0].Severity != SeverityError || diags[0].Message != c.message || c.remedy != "" && diags[0].Remedy != c.remedy {
			t.Errorf("%s: %+v", c.cond, diags)
		}
	}
}

// TestABrokenRuleSparesTheOthers also holds that every error of a condition is told, at its place.
func TestABrokenRuleSparesTheOthers(t *testing.T) {
	src, diags := Load([]File{{Name: "r.yaml", Data: []byte(`
- rule: good
  desc: d
  condition: evt.type = open
  output: o %proc.name
  priority: INFO
- rule: bad
  desc: d
  condition: >
    proc.nme = x
    or fd.num contains 1
  output: o
  priority: INFO
- rule: bad output
  desc: d
  condition: evt.type = open
  output: o %proc.nothing
  priority: INFO
- rule: skipped
  desc: d
  condition: evt.type = open and no.such.field = 1
  output: o
  priority: INFO
  skip-if-unknown-filter: true
`)}}, LoadOptions{})
	if HasErrors(diags) {
		t.Fatal(diags)
	}
	rules, diags := Compile(src, CompileOptions{})
	var got []string
	for _, d := range diags {
		got = append(got, d.String())
	}
	want := []string{
		`r.yaml:10:5: error: rule "bad": filter_check called with nonexistent field proc.nme; did you mean proc.name? [LOAD_ERR_COMPILE_CONDITION]`,
		`r.yaml:11:8: error: rule "bad": filter error: 'contains' operator not supported for numeric filters; fd.num has the type INT64 [LOAD_ERR_COMPILE_CONDITION]`,
		`r.yaml:17:11: error: rule "bad output": unknown filter: filter_check called with nonexistent field proc.nothing [LOAD_ERR_COMPILE_OUTPUT]`,
		`r.yaml:21:34: warning: rule "skipped": filter_check called with nonexistent field no.such.field [LOAD_UNKNOWN_FILTER]`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
	if len(rules.All()) != 1 || !slices.Equal(matches(NewMatcher(rules, First), &event.Event{Type: event.TypeOpen}), []string{"good"}) {
		t.Error("the good rule is gone")
	}
}

func TestFirstMatchIsLoadOrder(t *testing.T) {
	rules := compileText(t, "proc.name = x", "fd.num >= 0", "evt.type = openat", "proc.name = myexe")
	ev := openEvent()
	if got := matches(NewMatcher(rules, First), ev); !slices.Equal(got, []string{"r1"}) {
		t.Errorf("first: %v", got)
	}
	if got := matches(NewMatcher(rules, All), ev); !slices.Equal(got, []string{"r1", "r2", "r3"}) {
		t.Errorf("all: %v", got)
	}
}

func TestSelection(t *testing.T) {
	src := &Source{}
	for i, r := range []struct {
		name string
		tags []string
		on   bool
	}{{"Read file", []string{"file"}, true}, {"Write file", []string{"file", "pci"}, true}, {"Off by default", []string{"net"}, false}} {
		e, err := filter.Parse("evt.type = open", filter.Options{})
		if err != nil {
			t.Fatal(err)
		}
		src.Rules = append(src.Rules, &Resolved{Name: r.name, Source: "syscall", Index: i, Enabled: r.on, Condition: e, Output: "o", Tags: r.tags})
	}
	for _, c := range []struct {
		opt  CompileOptions
		want string
	}{
		{CompileOptions{}, "Read file, Write file"},
		{CompileOptions{Disable: []string{"Read"}}, "Write file"},
		{CompileOptions{Disable: []string{""}}, "Read file, Write file"},
		{CompileOptions{Select: OnlyTags("net")}, "Off by default"},
		{CompileOptions{Select: OnlyTags("pci", "net")}, "Write file, Off by default"},
		{CompileOptions{Select: []Selection{{Tag: "file"}}}, ""},
		{CompileOptions{Select: []Selection{{Name: "* file"}, {Enable: true, Name: "Read file"}}}, "Read file"},
		{CompileOptions{Select: []Selection{{Enable: true, Substring: "default"}}}, "Read file, Write file, Off by default"},
	} {
		rules, _ := Compile(src, c.opt)
		got := strings.Join(matches(NewMatcher(rules, All), &event.Event{Type: event.TypeOpen}), ", ")
		if got != c.want {
			t.Errorf("%+v: %s", c.opt, got)
		}
		if len(rules.All()) != 3 {
			t.Error("a disabled rule is still listed")
		}
	}
}

func TestAssessment(t *testing.T) {
	for _, c := range []struct {
		cond, reason string
		state        Assessed
		never        bool
	}{
		{"evt.type = openat and fd.name = /x", "", AssessedFully, false},
		{"evt.num = 0", "its condition can never be true", AssessedFully, true},
		{"evt.type = chmod", "nothing supplies event types chmod, so it cannot match", NotAssessed, false},
		{"evt.type in (open, chmod)", "nothing supplies event types chmod; what depends on them is blind", AssessedPartly, false},
		{"evt.type = open and proc.vmsize > 1", "nothing supplies fields proc.vmsize, so it cannot match", NotAssessed, false},
		{"evt.type = open and (proc.vmsize > 1 or fd.name = x)", "nothing supplies fields proc.vmsize; what depends on them is blind", AssessedPartly, false},
		{"evt.type = open and not proc.vmsize > 1", "nothing supplies fields proc.vmsize; what depends on them is blind", AssessedPartly, false},
		{"evt.type = execve and fd.name = x", "nothing supplies fields fd.name, so it cannot match", NotAssessed, false},
		{"evt.type = open and evt.type = connect", "its condition can never be true", AssessedFully, true},
		{"proc.name = x", "", AssessedFully, false},
	} {
		a := compileText(t, c.cond).All()[0].Info().Assessment
		if a.State != c.state || a.Reason != c.reason || a.Never != c.never {
			t.Errorf("%s: %+v", c.cond, a)
		}
	}
}

func TestInterest(t *testing.T) {
	for _, c := range []struct {
		cond  string
		types string
		opens event.Opens
		env   string
	}{
		{"evt.type in (open, openat) and evt.is_open_write = true", "open openat", event.OpenWrites, ""},
		{"evt.type = openat and evt.is_open_read = true and fd.num >= 0", "openat", event.OpenReads, ""},
		{"evt.type = openat and fd.created = true", "openat", event.OpenCreates, ""},
		{"evt.type = openat and fd.num < 0", "openat", event.OpenFailures, ""},
		{"evt.type = openat and fd.name = x", "openat", event.OpenReads | event.OpenWrites, ""},
		{"evt.type = execve and proc.env[LD_PRELOAD] exists", "execve", 0, "LD_PRELOAD"},
		{"evt.type in (execve, connect) and fd.sport = 1", "connect", 0, ""},
		{"evt.num = 0", "", 0, ""},
	} {
		in := compileText(t, c.cond).Interest()
		var types []string
		for typ := range in.Types.All() {
			types = append(types, typ.String())
		}
		if strings.Join(types, " ") != c.types || in.Opens != c.opens || strings.Join(in.Env, " ") != c.env {
			t.Errorf("%s: %v opens %b env %v", c.cond, types, in.Opens, in.Env)
		}
	}
}

func TestHashFollowsContent(t *testing.T) {
	load := func(text string) *Rule {
		rules := compileFiles(t, []File{{Name: "f", Data: []byte(text)}})
		return rules.All()[0]
	}
	const a = "- list: l\n  items: [a]\n- rule: r\n  desc: d\n  condition: evt.type = open and proc.name in (l)\n  output: o\n  priority: INFO\n"
	one := load(a)
	if one.Info().Hash != load("\n\n"+a).Info().Hash || one.Info().Hash == load(strings.Replace(a, "[a]", "[b]", 1)).Info().Hash {
		t.Error("the hash has to follow the resolved content and nothing else")
	}
	if one.Info().ID != "syscall/r" {
		t.Error(one.Info().ID)
	}
}

// TestExplainGolden holds what an explanation looks like.
func TestExplainGolden(t *testing.T) {
	rules := compileFiles(t, []File{{Name: "r.yaml", Data: []byte(`
- list: shells
  items: [bash, sh, zsh]
- macro: opened
  condition: (evt.type in (open, openat) and fd.num >= 0)
- rule: sample
  desc: d
  condition: >
    opened and (fd.name startswith /etc or fd.name startswith /opt) and proc.aname in (shells)
    and not proc.name in (apt, dpkg) and not (user.uid = 0 and proc.cmdline contains -x)
    and not container.privileged = true and not proc.pexepath exists
  output: o
  priority: INFO
`)}})
	ev := openEvent()
	ev.Process.ArgsTruncated = true
	m := NewMatcher(rules, First)
	var out strings.Builder
	m.Match(ev, func(r *Rule) {
		for _, c := range m.Explain(r, ev) {
			fmt.Fprintf(&out, "%s | got %q null %v true %v negate %v truncated %v at %s\n", c.Expr, c.Got, c.Null, c.True, c.Negate, c.Truncated, c.Pos)
		}
	})
	golden(t, "explain.golden", out.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n%s", path, got)
	}
}
