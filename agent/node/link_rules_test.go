package node

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/link"
)

const sentRule = `- rule: Opened by order
  desc: any open
  condition: evt.type = openat
  output: opened %fd.name
  priority: CRITICAL
`

func sentFiles(text string) link.RuleFiles {
	return link.RuleFiles{Hash: "h", Files: []link.RuleFile{{Name: "x.yaml", Text: text}}}
}

// TestRulesSentFromAbove: a good set judges from the next event on and knows what was
// lost before it; a bad one changes nothing and is told; an empty one ends it.
func TestRulesSentFromAbove(t *testing.T) {
	o := &outbox{}
	n := newNode(t, o, "")
	n.stop = func() {}
	at := int64(1e18)
	seq := uint64(0)
	open := func() (out []finding.Finding) {
		t.Helper()
		seq++
		before := len(o.sent)
		n.event(&event.Event{
			ID: event.ID{Node: 1, Boot: 1, Lane: event.LaneActivity, Seq: seq}, Type: event.TypeOpenat, Time: at, Boot: at, FD: 3, FDKind: event.FDFile,
			Path: "/data/x", Raw: "/data/x", Flags: event.FlagHasFD | event.FlagHasRet, Process: &event.Process{PID: 9, Comm: "cat", ExePath: "/bin/cat"},
		}, &event.Facts{})
		for _, e := range o.sent[before:] {
			if e.Kind == link.KindFinding {
				var f finding.Finding
				if err := json.Unmarshal(e.Bytes, &f); err != nil {
					t.Fatal(err)
				}
				out = append(out, f)
			}
		}
		return out
	}
	if got := open(); len(got) != 0 {
		t.Fatalf("before anything was sent: %+v", got)
	}
	n.loss(event.Loss{Hop: "sensor.ring", Reason: "ring_full", Count: 7, From: at - 1e9, To: at})
	own := n.Status().RulesHash
	n.Rules(sentFiles(sentRule), RuleSet{})
	at += 1e9
	got := open()
	if len(got) != 1 || got[0].Rule.Name != "Opened by order" || len(got[0].Losses) != 1 || got[0].Subject.Node != "edge" {
		t.Fatalf("with the rule that was sent: %+v", got)
	}
	good := n.Status().RulesHash
	if good == own || o.kinds()[link.KindRules] != 1 {
		t.Fatalf("rules %s after %s, told %d times", good, own, o.kinds()[link.KindRules])
	}

	n.Rules(sentFiles("- rule: Broken\n  desc: x\n  condition: evt.type = \n  output: x\n  priority: CRITICAL\n"), RuleSet{})
	at += 61e9
	if got := open(); len(got) != 1 || got[0].Rule.Name != "Opened by order" {
		t.Fatalf("after a set that does not load: %+v", got)
	}
	said := func() bool {
		for _, g := range n.Status().Gaps {
			if g.What == "rules sent from above" && strings.Contains(g.Reason, "x.yaml") && g.Remedy != "" {
				return true
			}
		}
		return false
	}
	if !said() || n.Status().RulesHash != good {
		t.Fatalf("a refused set is not told, or took the place of another: %+v", n.Status())
	}
	n.Rules(sentFiles(sentRule), RuleSet{}) // said again after a reconnect
	if said() || o.kinds()[link.KindRules] != 1 {
		t.Fatalf("the same set again: gap %v, rules told %d times", said(), o.kinds()[link.KindRules])
	}
	n.Rules(link.RuleFiles{}, RuleSet{})
	at += 1e9
	if got := open(); len(got) != 0 || n.Status().RulesHash != own {
		t.Fatalf("after it was taken back: %+v", got)
	}
}
