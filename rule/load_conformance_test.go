package rule

import (
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/rule/filter"
	"github.com/dockreeve/dockreeve/rule/internal/cppsource"
)

// knownLoadDivergence names upstream loader tests whose verdict differs here, and why.
var knownLoadDivergence = map[string]string{}

// TestConformanceLoader replays Falco's rule loader tests: does a rule file
// load, does it warn, what does a rule's condition look like after expansion.
func TestConformanceLoader(t *testing.T) {
	src := cppsource.Read(t, cppsource.Dir(t, "DOCKREEVE_FALCO"), "unit_tests/engine/test_rule_loader.cpp")
	var (
		out                             *Source
		diags                           []Diagnostic
		loads, conditions, warns, other int
		expect                          string
	)
	calls := cppsource.Calls(src, "ASSERT_TRUE", "ASSERT_FALSE", "EXPECT_TRUE", "EXPECT_FALSE", "ASSERT_EQ", "EXPECT_EQ", "load_rules")
	for i, c := range calls {
		why, known := knownLoadDivergence[c.Test]
		complain := func(format string, args ...any) {
			t.Helper()
			if known {
				t.Logf("line %d, %s differs as known: %s", c.Line, c.Test, why)
				return
			}
			t.Errorf("line %d, %s: "+format, append([]any{c.Line, c.Test}, args...)...)
		}
		switch {
		case c.Name == "load_rules":
			if !c.Args[0].Literal {
				t.Logf("line %d, %s: rules are computed: %s", c.Line, c.Test, c.Args[0].Text)
				other++
				out, diags, expect = nil, nil, ""
				continue
			}
			out, diags = Load([]File{{Name: c.Args[1].Text, Data: []byte(c.Args[0].Text)}},
				LoadOptions{Strict: true, Sources: []string{"syscall"}, ValidField: testValidField})
			loads++
			if expect != "" && (expect == "true") == HasErrors(diags) {
				complain("upstream expects success = %s, got %v\n%s", expect, diags, c.Args[0].Text)
			}
			expect = ""
		case strings.HasPrefix(first(c), "load_rules("):
			expect = "false"
			if strings.HasSuffix(c.Name, "_TRUE") {
				expect = "true"
			}
		case strings.HasSuffix(c.Name, "_EQ") && strings.HasPrefix(first(c), "get_compiled_rule_condition(") && out != nil:
			name := strings.TrimSuffix(strings.TrimPrefix(first(c), "get_compiled_rule_condition("), ")")
			conditions++
			r := ruleByName(out, name)
			if r == nil {
				complain("no rule %q", name)
				continue
			}
			want, err := filter.Parse(c.Args[1].Text, filter.Options{})
			if err != nil || !filter.Equal(want, r.Condition) {
				complain("condition of %q\n got %s\nwant %s (%v)", name, filter.Format(r.Condition), c.Args[1].Text, err)
			}
		case strings.HasPrefix(first(c), "check_warning_message(") || first(c) == "has_warnings()":
			if out == nil {
				continue
			}
			warns++
			has := false
			for _, d := range diags {
				has = has || d.Severity == SeverityWarning
			}
			if strings.HasSuffix(c.Name, "_TRUE") && !has {
				complain("upstream warns (%s), we do not", first(c))
			}
			if strings.HasSuffix(c.Name, "_FALSE") && first(c) == "has_warnings()" && has {
				complain("upstream does not warn, we do: %v", diags)
			}
		default:
			_ = i
		}
	}
	t.Logf("%d loads, %d conditions, %d assertions on warnings; %d loads computed", loads, conditions, warns, other)
	if loads < 80 || conditions < 20 {
		t.Error("too few assertions found: has the suite's form changed?")
	}
}

func first(c cppsource.Call) string {
	if len(c.Args) == 0 {
		return ""
	}
	return c.Args[0].Text
}

func ruleByName(s *Source, name string) *Resolved {
	for _, r := range s.Rules {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// testValidField stands in for the field catalogue: known families only.
func testValidField(_, lhs string) bool {
	op, err := filter.ParseOperand(lhs, filter.Options{})
	if err != nil {
		return false
	}
	ok := true
	filter.WalkValue(op, func(n any) bool {
		if f, is := n.(*filter.Field); is {
			switch strings.SplitN(f.Name, ".", 2)[0] {
			case "proc", "evt", "fd", "container", "user", "group", "thread", "k8s", "ka":
			default:
				ok = false
			}
		}
		return true
	})
	return ok
}
