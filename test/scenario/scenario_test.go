package scenario

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/agent/node"
	"github.com/dockreeve/dockreeve/detect"
	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/process"
	"github.com/dockreeve/dockreeve/rule"
	"github.com/dockreeve/dockreeve/trace"
)

const rulesDir = "../../detect/rules"

func ownRules(t testing.TB) *rule.Rules {
	t.Helper()
	set, diags, err := node.RuleSet{}.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range diags {
		t.Errorf("%s", d)
	}
	return set
}

func read(t testing.TB) []Scenario {
	t.Helper()
	files, err := filepath.Glob(rulesDir + "/*.scenario")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios in %s: %v", rulesDir, err)
	}
	var all []Scenario
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		list, err := Parse(filepath.Base(file), data)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, list...)
	}
	return all
}

// play runs a tape through the process table and the rules.
func play(set *rule.Rules, tape Tape) [][]*finding.Finding {
	table := process.New(process.Options{})
	table.Seed(tape.Snapshot())
	engine := detect.New(detect.Options{Rules: set, Node: "test-node"})
	found := make([][]*finding.Finding, len(tape.Records))
	for i, r := range tape.Records {
		if r.Loss != nil {
			engine.ObserveLoss(*r.Loss)
			continue
		}
		ev, facts := *r.Event, r.Facts
		if ev.Source == event.SourceSyscall {
			table.Apply(&ev, &facts)
		}
		engine.Observe(&ev, func(f *finding.Finding) { found[i] = append(found[i], f) })
	}
	return found
}

func TestRulesDoWhatTheirScenariosSay(t *testing.T) {
	set := ownRules(t)
	for _, s := range read(t) {
		t.Run(strings.TrimSuffix(s.File, ".scenario")+"/"+s.Name, func(t *testing.T) {
			tape, err := s.Tell()
			if err != nil {
				t.Fatal(err)
			}
			if len(tape.Expect) == 0 {
				t.Fatalf("%s:%d: nothing is expected, so nothing can fail", s.File, s.Line)
			}
			for _, wrong := range tape.Check(s.File, play(set, tape)) {
				t.Error(wrong)
			}
		})
	}
}

func TestEveryRuleHasAStoryThatFiresAndEveryFileOneThatDoesNot(t *testing.T) {
	fires := map[string]bool{}
	quiet := map[string]bool{}
	for _, s := range read(t) {
		only := true
		for _, st := range s.Steps {
			if st.Verb == "expect" && st.Words[0] != "nothing" {
				fires[st.Words[0]] = true
				only = false
			}
		}
		if only {
			quiet[strings.TrimSuffix(s.File, ".scenario")] = true
		}
	}
	for _, r := range ownRules(t).All() {
		if id := r.Info().ID; !fires[id] {
			t.Errorf("rule %s has no scenario that fires it", id)
		}
	}
	rules, err := filepath.Glob(rulesDir + "/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range rules {
		name := strings.TrimSuffix(filepath.Base(f), ".yaml")
		if !strings.HasSuffix(name, "-words") && !quiet[name] {
			t.Errorf("%s has no scenario that expects nothing", filepath.Base(f))
		}
	}
}

// TestEveryRuleExplainsItself holds the promise that an alert says what it is,
// which technique, whose row it answers, and what to do.
func TestEveryRuleExplainsItself(t *testing.T) {
	for _, r := range ownRules(t).All() {
		i := r.Info()
		attack := !slices.Contains(i.Tags, "canary") // what Dockreeve does itself is none
		for what, missing := range map[string]bool{
			"tactic": attack && len(i.Tactics) == 0, "technique": attack && len(i.Techniques) == 0, // Much of what is done through the API was never in the list.
			"row it answers":     attack && len(i.Answers) == 0 && i.Source == "syscall",
			"step of what to do": len(i.Response) == 0, "summary": !r.HasSummary(), "description": i.Desc == "",
		} {
			if missing {
				t.Errorf("rule %s has no %s", i.ID, what)
			}
		}
		if i.Assessment.State != rule.AssessedFully || i.Assessment.Never {
			t.Errorf("rule %s cannot fire fully: %s", i.ID, i.Assessment.Reason)
		}
	}
}

// TestATraceGivesTheSameFindings holds that judgement depends on nothing but the
// events: each story is written as a trace, read back and played again, and the
// findings are the same, byte for byte.
func TestATraceGivesTheSameFindings(t *testing.T) {
	set := ownRules(t)
	for _, s := range read(t) {
		tape, err := s.Tell()
		if err != nil {
			t.Fatal(err)
		}
		a, b := encodedAll(t, slices.Concat(play(set, tape)...)), encodedAll(t, replay(t, set, tape))
		if !slices.Equal(a, b) {
			t.Errorf("%s: %s: played and replayed differ\n%s\n%s", s.File, s.Name, strings.Join(a, "\n"), strings.Join(b, "\n"))
		}
	}
}

// replay writes a tape as a trace and plays what it reads back.
func replay(t *testing.T, set *rule.Rules, tape Tape) []*finding.Finding {
	t.Helper()
	var buf bytes.Buffer
	if err := tape.WriteTrace(&buf, "test-node"); err != nil {
		t.Fatal(err)
	}
	r, err := trace.NewReader(&buf, trace.ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	engine := detect.New(detect.Options{Rules: set, Node: "test-node"})
	var found []*finding.Finding
	err = trace.Replay(r, process.New(process.Options{}), func(rec *trace.Record) error {
		if rec.Loss != nil {
			engine.ObserveLoss(*rec.Loss)
		} else if rec.Event != nil {
			engine.Observe(rec.Event, func(f *finding.Finding) { found = append(found, f) })
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func encodedAll(t *testing.T, found []*finding.Finding) []string {
	t.Helper()
	var out []string
	for _, f := range found {
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	return out
}

func TestParseNamesThePlace(t *testing.T) {
	for text, want := range map[string]string{
		"fork 1 2":                       `x:1: "fork 1 2" stands before`,
		"scenario: a\n jump 1":           `x:2: unknown line "jump"`,
		"scenario: a\n exec 1":           `x:2: exec needs at least 2 words`,
		"scenario: a\n exec 1 \"/bin/sh": `x:2: a double quote is not closed`,
	} {
		_, err := Parse("x", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// A rule whose every story needs reads (get, list, watch) is lost where only
// kube-audit-admin is exported; the tag "reads" says so to people who choose.
func TestRulesThatNeedReadsAreTagged(t *testing.T) {
	set := ownRules(t)
	writes, fires := map[string]bool{}, map[string]bool{}
	for _, s := range read(t) {
		tape, err := s.Tell()
		if err != nil {
			t.Fatal(err)
		}
		var less Tape = tape
		less.Records = nil
		for _, r := range tape.Records {
			if r.Event != nil && r.Event.Source == event.SourceK8sAudit && isRead(r.Event.JSON) {
				continue
			}
			less.Records = append(less.Records, r)
		}
		for _, list := range play(set, tape) {
			for _, f := range list {
				fires[f.Rule.ID] = true
			}
		}
		for _, list := range play(set, less) {
			for _, f := range list {
				writes[f.Rule.ID] = true
			}
		}
	}
	for _, r := range set.All() {
		i := r.Info()
		if i.Source == "syscall" || !fires[i.ID] {
			continue
		}
		if tagged := slices.Contains(i.Tags, "reads"); tagged == writes[i.ID] {
			t.Errorf("rule %s fires without reads: %v; tagged as needing them: %v", i.ID, writes[i.ID], tagged)
		}
	}
}

func isRead(doc []byte) bool {
	var ev struct {
		Verb string `json:"verb"`
	}
	return json.Unmarshal(doc, &ev) == nil && slices.Contains([]string{"get", "list", "watch"}, ev.Verb)
}
