package ingest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/store"
)

func TestUseThatMakesNoSenseIsLeftOutAndCounted(t *testing.T) {
	hour := int64(time.Hour)
	good := inventory.Usage{Hour: 5 * hour, Namespace: "shop", Requested: 2, Charged: 2, Samples: 60}
	bad := func(f func(*inventory.Usage)) inventory.Usage { u := good; f(&u); return u }
	r := inventory.UsageReport{Cluster: "prod", Time: 9 * hour, List: []inventory.Usage{good,
		bad(func(u *inventory.Usage) { u.Hour++ }),
		bad(func(u *inventory.Usage) { u.Hour = 10 * hour }),
		bad(func(u *inventory.Usage) { u.Hour = 0 }),
		bad(func(u *inventory.Usage) { u.Charged = -1 }),
		bad(func(u *inventory.Usage) { u.Cores = 1e30 }),
		bad(func(u *inventory.Usage) { u.Egress = -1 }),
		bad(func(u *inventory.Usage) { u.Samples = -1 }),
		bad(func(u *inventory.Usage) { u.Namespace = string(make([]byte, 300)) }),
	}}
	it, dropped, err := decode(link.Envelope{Origin: "cluster/prod", Kind: link.KindUsage, Lane: link.LaneInventory, Bytes: encode(t, r)})
	if err != nil || dropped != 8 || len(it.Usage.List) != 1 || it.Usage.List[0].Cluster != "prod" {
		t.Fatal(it.Usage, dropped, err)
	}
	for _, origin := range []string{"cluster/dev", "node/prod/n1"} {
		if _, _, err := decode(link.Envelope{Origin: origin, Kind: link.KindUsage, Bytes: encode(t, r)}); err == nil {
			t.Errorf("%s spoke for prod", origin)
		}
	}
	r.List = make([]inventory.Usage, maxUsages+1)
	if _, _, err := decode(link.Envelope{Kind: link.KindUsage, Bytes: encode(t, r)}); err == nil {
		t.Error("too many hours were taken")
	}
}

func TestACanaryThatProvesNothingIsLeftOut(t *testing.T) {
	r := inventory.CanaryReport{Cluster: "prod", Time: 100, List: []inventory.Canary{
		{Kind: "exec", Node: "n1", Sent: 90, Seen: 91},
		{Kind: "denial", NotAssessed: "no webhook"},
		{Kind: "other", Sent: 90}, {Kind: "image", Sent: 90, Seen: 91}, {Kind: "exec", Sent: 101}, {Kind: "exec", Sent: 90, Seen: 101}, {Kind: "exec", Seen: 50}, {Kind: "exec", Every: -1},
	}}
	it, dropped, err := decode(link.Envelope{Origin: "cluster/prod", Kind: link.KindCanary, Bytes: encode(t, r)})
	if err != nil || dropped != 6 || len(it.Canaries.List) != 2 {
		t.Fatal(it.Canaries, dropped, err)
	}
	if _, _, err := decode(link.Envelope{Origin: "cluster/dev", Kind: link.KindCanary, Bytes: encode(t, r)}); err == nil {
		t.Error("another cluster spoke for prod")
	}
	it, _, err = decode(link.Envelope{Origin: "node/dev/n7", Kind: link.KindCanary, Bytes: encode(t, r)})
	if err != nil || it.Canaries.Cluster != "dev" || it.Canaries.List[0].Node != "n7" {
		t.Error("a node told of more than itself", it.Canaries, err)
	}
	denied := inventory.Canary{Kind: "denial", Sent: 90, Denied: 90, By: "a webhook", Answer: "no"}
	bad := func(f func(c *inventory.Canary)) inventory.Canary { c := denied; f(&c); return c }
	d := inventory.CanaryReport{Cluster: "prod", Time: 100, List: []inventory.Canary{denied, bad(func(c *inventory.Canary) { c.Denied, c.By = 0, "" }),
		bad(func(c *inventory.Canary) { c.By = "" }), bad(func(c *inventory.Canary) { c.Denied = 91 }), bad(func(c *inventory.Canary) { c.Denied = -1 }), bad(func(c *inventory.Canary) { c.Kind = "exec" }),
		bad(func(c *inventory.Canary) { c.Answer = string(make([]byte, 2000)) }), bad(func(c *inventory.Canary) { c.Untold = string(make([]byte, 2000)) })}}
	if it, dropped, err := decode(link.Envelope{Origin: "cluster/prod", Kind: link.KindCanary, Bytes: encode(t, d)}); err != nil || dropped != 6 || len(it.Canaries.List) != 2 {
		t.Error(it.Canaries, dropped, err)
	}
	// What a cluster denies, and whether its API server is watched, no node knows.
	if it, dropped, err := decode(link.Envelope{Origin: "node/prod/n7", Kind: link.KindCanary, Bytes: encode(t, d)}); err != nil || dropped != len(d.List) {
		t.Error(it.Canaries, dropped, err)
	}
	r.Time = 0
	if _, _, err := decode(link.Envelope{Kind: link.KindCanary, Bytes: encode(t, r)}); err == nil {
		t.Error("canaries of no time were taken")
	}
}

func TestACanaryThatCameBackIsNoAlert(t *testing.T) {
	f := finding.Finding{ID: "x", Fingerprint: "1:a", Rule: finding.Rule{ID: "canary-exec"}, Severity: finding.Low, Time: 7, Event: json.RawMessage("{}"), Subject: finding.Subject{Node: "n1"}}
	it, _, err := decode(link.Envelope{Origin: "node/prod/n1", Kind: link.KindFinding, Bytes: encode(t, f)})
	if err != nil || it.Finding != nil || it.CameBack == nil || *it.CameBack != (store.CameBack{Cluster: "prod", Node: "n1", Kind: "exec", Time: 7}) {
		t.Fatal(it.Finding, it.CameBack, err)
	}
	f.Rule.ID, f.Subject.Node = "canary-denial", ""
	it, _, err = decode(link.Envelope{Origin: "cluster/prod", Kind: link.KindFinding, Bytes: encode(t, f)})
	if err != nil || it.Finding != nil || it.CameBack == nil || *it.CameBack != (store.CameBack{Cluster: "prod", Kind: "denial", Time: 7}) {
		t.Fatal(it.Finding, it.CameBack, err)
	}
}
