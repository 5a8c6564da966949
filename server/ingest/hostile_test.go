package ingest

import (
	"slices"
	"testing"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inuse"
	"github.com/dockreeve/dockreeve/link"
)

func TestNobodySpeaksUnderAnothersName(t *testing.T) {
	for origin, want := range map[string]string{"node/prod/n1": "prod/n1", "cluster/prod": "cluster/prod", "local/cluster": "n2", "": "n2"} {
		names := map[link.Kind]any{
			link.KindStatus:  &link.Status{Node: "n2", Since: 1},
			link.KindRules:   &link.RuleSet{Node: "n2"},
			link.KindUse:     &inuse.Report{Node: "n2", Container: "c", Since: 1, Until: 2},
			link.KindFinding: &finding.Finding{ID: "f", Fingerprint: "p", Rule: finding.Rule{ID: "r"}, Severity: finding.Low, Time: 1, Subject: finding.Subject{Node: "n2"}},
		}
		for kind, v := range names {
			it, _, err := decode(link.Envelope{Origin: origin, Lane: link.LaneStatus, Seq: 1, Kind: kind, Bytes: encode(t, v)})
			if err != nil {
				t.Fatal(err)
			}
			got, want := "", want
			switch {
			case it.Status != nil:
				got = it.Status.Node
			case it.Rules != nil:
				got = it.Rules.Node
			case it.Use != nil:
				got = it.Use.Node
			default:
				if origin == "node/prod/n1" {
					want = "n1" // its cluster stands beside it
				}
				if got = it.Finding.Subject.Node; origin == "cluster/prod" {
					want = "n2" // what an agent finds is on some node
				}
				if got != "n2" && it.Raw != nil {
					t.Error("the finding is stored as it was sent")
				}
			}
			if got != want {
				t.Errorf("kind %d of %q counts as %q, want %q", kind, origin, got, want)
			}
		}
	}
}

func TestAMadeUpAddressIsNotShownFirst(t *testing.T) {
	ev := event.Event{ID: event.ID{Node: 1, Lane: event.LaneAudit, Seq: 1}, Type: event.TypePluginevent, Source: event.SourceK8sAudit, Time: 1,
		JSON: []byte(`{"auditID":"x","sourceIPs":["10.0.0.1","203.0.113.9"],"dockreeve":{"cluster":"prod","source":"203.0.113.9"}}`)}
	a, err := decodeAudit(link.Envelope{Origin: "cluster/prod", Kind: link.KindAudit, Bytes: ev.AppendJSON(nil)})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a.Sources, []string{"203.0.113.9", "10.0.0.1"}) {
		t.Errorf("sources %q", a.Sources)
	}
}
