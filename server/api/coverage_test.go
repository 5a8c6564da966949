package api

import (
	"strings"
	"testing"
	"time"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/store"
)

const second = int64(time.Second)

func node(name string, since, reported int64, notAssessed string) store.Node {
	return store.Node{Status: link.Status{Node: name, Since: since, NotAssessed: notAssessed, Events: 10, LastEvent: reported}, ReceivedAt: reported}
}

func TestWatchedIsNeverABareZero(t *testing.T) {
	now := 1000 * second
	for name, c := range map[string]struct {
		nodes []store.Node
		since int64
		why   string
	}{
		"no node":      {nil, 0, "no node has reported yet"},
		"one watching": {[]store.Node{node("a", 5, now, "")}, 5, ""},
		"the later start counts: before it one was not watched": {[]store.Node{node("a", 5, now, ""), node("b", 9, now, "")}, 9, ""},
		"one cannot":   {[]store.Node{node("a", 0, now, "no BTF")}, 0, "a: no BTF"},
		"one silent":   {[]store.Node{node("a", 5, now-60*second, "")}, 0, "a: has not reported for 1m0s"},
		"one of two":   {[]store.Node{node("a", 5, now, ""), node("b", 0, now, "no BTF")}, 5, ""},
		"says nothing": {[]store.Node{node("a", 0, now, "")}, 0, "does not say since when"},
		"five silent":  {[]store.Node{node("a", 1, 1, ""), node("b", 1, 1, ""), node("c", 1, 1, ""), node("d", 1, 1, ""), node("e", 1, 1, "")}, 0, "and 2 more nodes"},
	} {
		w := watchedOf(c.nodes, []store.Loss{{Count: 3}, {Count: 4}}, now)
		if w.Since != c.since || !strings.Contains(w.NotAssessed, c.why) || (w.Since == 0) != (w.NotAssessed != "") || w.EventsLost != 7 {
			t.Errorf("%s: %v", name, w)
		}
	}
}

func TestACanaryThatDoesNotComeBackIsMissed(t *testing.T) {
	now := 1000 * second
	nodes := []store.Node{node("here", 5, now, ""), node("prod/n1", 5, now, ""), node("prod/n2", 5, now-600*second, ""), node("cluster/prod", 5, now, "")}
	late, fresh := now-300*second, now-60*second
	all := map[string][]inventory.Canary{
		"":     {{Kind: "exec", Node: "here", Sent: late, Seen: late - second}, {Kind: "exec", Node: "gone", Sent: late}},
		"prod": {{Kind: "audit", Sent: late, Seen: late + 1}, {Kind: "exec", Node: "n1", NotAssessed: "could not be started"}, {Kind: "exec", Node: "n2", Sent: late}},
	}
	told := func() (out []string) {
		for _, g := range missedCanaries(all, nodes, now) {
			out = append(out, g.What+": "+g.Reason)
		}
		return out
	}
	// A machine without a cluster is missed under its own name; n2 is silent, which is told elsewhere.
	if got := told(); len(got) != 2 || !strings.HasPrefix(got[0], "proof that the sensor of here sees: its canary of 1970-01-01T00:11:40Z did not come back") || got[1] != "proof that the sensor of n1 sees in prod: could not be started" {
		t.Errorf("%q", got)
	}
	all[""], all["prod"] = []inventory.Canary{{Kind: "exec", Node: "here", Sent: fresh}}, []inventory.Canary{{Kind: "audit", Sent: late, Seen: 1}}
	if got := told(); len(got) != 1 || !strings.HasPrefix(got[0], "proof that the audit log arrives in prod: its canary") {
		t.Errorf("one that is on its way is missed, or one that is late is not: %q", got)
	}
}

func TestReportingFollowsTheNodesOwnInterval(t *testing.T) {
	n := node("a", 1, 100*second, "")
	n.Every = 60 * second
	if !Reporting(&n, 279*second) || Reporting(&n, 281*second) {
		t.Error("a node that reports each minute is silent after three")
	}
}

// The API's enums carry the numbers of package finding.
func TestEnumsAgree(t *testing.T) {
	for i, w := range finding.SeverityWords() {
		if got := v1.Severity(i + 1).String(); got != "SEVERITY_"+strings.ToUpper(w) {
			t.Errorf("severity %d: %s, want %s", i+1, got, w)
		}
	}
	for i, w := range finding.StatusWords() {
		if got := v1.AlertStatus(i + 1).String(); got != "ALERT_STATUS_"+strings.ToUpper(w) {
			t.Errorf("status %d: %s, want %s", i+1, got, w)
		}
	}
	if len(v1.Severity_name) != len(finding.SeverityWords())+1 || len(v1.AlertStatus_name) != len(finding.StatusWords())+1 {
		t.Error("the API knows other words than the finding")
	}
}
