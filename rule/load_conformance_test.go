//go:build conformance

package rule

import (
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/rule/filter"
	"github.com/dockreeve/dockreeve/rule/internal/cppsource"
)

// compilerWarnings are upstream's warnings that need the field catalogue: the
// compiler gives them, not the loader.
var compilerWarnings = []string{"misused as a const", "WARNING_NO_EVTTYPE"}

// warningCodes maps parts of upstream's warnings to the code we give.
var warningCodes = map[string]string{
	"WARNING_APPEND":                    CodeDeprecatedItem,
	"WARNING_ENABLED":                   CodeDeprecatedItem,
	"Multiple definitions of exception": CodeExceptionNotUniq,
	"Unknown key":                       CodeUnknownKey,
	"invalid name":                      "LOAD_INVALID_",
	"Overriding/appending exception":    CodeAppendNoValues,
	"not referred to":                   "LOAD_UNUSED_",
	"Unknown source":                    CodeUnknownSource,
	"deprecated field":                  CodeDeprecatedItem,
	"container.info is deprecated":      CodeDeprecatedItem,
	"always evaluates to true":          CodeDeprecatedItem,
	"due to the drop of enter events":   CodeDeprecatedItem,
	"evt.dir":                           CodeDeprecatedItem,
}

// TestConformanceLoader replays Falco's rule loader tests: does a rule file
// load, does it warn, what does a rule's condition look like after expansion.
func TestConformanceLoader(t *testing.T) {
	src := cppsource.Read(t, cppsource.Dir(t, "DOCKREEVE_FALCO"), "unit_tests/engine/test_rule_loader.cpp")
	var (
		out                             *Source
		diags                           []Diagnostic
		loads, conditions, warns, other int
		compiler                        int
		expect                          string
	)
	calls := cppsource.Calls(src, "ASSERT_TRUE", "ASSERT_FALSE", "EXPECT_TRUE", "EXPECT_FALSE", "ASSERT_EQ", "EXPECT_EQ", "load_rules")
	for _, c := range calls {
		complain := func(format string, args ...any) {
			t.Helper()
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
			// Upstream prints some values without the quotes they need: then only the text can be compared.
			if (err != nil || !filter.Equal(want, r.Condition)) && bare(filter.Format(r.Condition)) != bare(c.Args[1].Text) {
				complain("condition of %q\n got %s\nwant %s (%v)", name, filter.Format(r.Condition), c.Args[1].Text, err)
			}
		case strings.HasPrefix(first(c), "check_warning_message(") || first(c) == "has_warnings()":
			if out == nil {
				continue
			}
			if containsAny(first(c), compilerWarnings) {
				compiler++
				continue
			}
			warns++
			code, mapped := "", false
			for part, is := range warningCodes {
				if strings.Contains(first(c), part) {
					code, mapped = is, true
				}
			}
			if !mapped && first(c) != "has_warnings()" {
				t.Logf("line %d: warning not mapped to a code: %s", c.Line, first(c))
			}
			has, hasCode := false, false
			for _, d := range diags {
				has = has || d.Severity == SeverityWarning
				hasCode = hasCode || d.Severity == SeverityWarning && strings.HasPrefix(d.Code, code)
			}
			if strings.HasSuffix(c.Name, "_TRUE") && !hasCode {
				complain("upstream warns (%s), we do not: %v", first(c), diags)
			}
			if strings.HasSuffix(c.Name, "_FALSE") && mapped && hasCode {
				complain("upstream does not warn (%s), we do: %v", first(c), diags)
			}
			if strings.HasSuffix(c.Name, "_FALSE") && first(c) == "has_warnings()" && has {
				complain("upstream does not warn, we do: %v", diags)
			}
		}
	}
	t.Logf("%d loads, %d conditions, %d assertions on warnings; %d loads computed, %d warnings left to the compiler", loads, conditions, warns, other, compiler)
	if loads < 80 || conditions < 20 {
		t.Error("too few assertions found: has the suite's form changed?")
	}
}

func containsAny(s string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}

func bare(s string) string {
	return strings.NewReplacer(`"`, "", "(", "", ")", "", " ", "").Replace(s)
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
