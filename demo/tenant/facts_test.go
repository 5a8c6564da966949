package tenant

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/source/azure"
)

func TestTheBillOfDefenderIsVCoresTimesPrice(t *testing.T) {
	w := testWorld(0)
	prices, _, _ := readPrices()
	sums, lists := map[string]float64{}, map[string]float64{}
	for _, c := range w.Charges() {
		if c.Meter == prices["defender.vcore-month"].Meter && c.Currency == "EUR" {
			sums[c.SubAccount] += c.Billed.Float()
			lists[c.SubAccount] += c.List.Float()
		}
	}
	checked := 0
	for _, s := range w.subs {
		if s.Currency != "EUR" {
			continue
		}
		want := 0.0
		for n := w.opts.Days; n >= 1; n-- {
			if s.Plan == planTrial && w.day(n).Before(s.Since) {
				continue
			}
			want += w.defended(s, n) * 24 / hoursMonth * prices["defender.vcore-month"].Amount
		}
		if want == 0 {
			if sums[s.id()] != 0 {
				t.Errorf("%s pays %.2f for nothing", s.Name, sums[s.id()])
			}
			continue
		}
		checked++
		if got := lists[s.id()]; math.Abs(got-want) > 0.01*want {
			t.Errorf("%s: list price %.2f, want %.2f within 1 %%", s.Name, got, want)
		}
		switch got := sums[s.id()]; {
		case s.Plan == planTrial && got != 0:
			t.Errorf("%s pays %.2f in its trial", s.Name, got)
		case s.Plan != planTrial && (got >= lists[s.id()] || got < negotiated*0.98*lists[s.id()]):
			t.Errorf("%s pays %.2f of %.2f: want a month at the negotiated price", s.Name, got, lists[s.id()])
		}
	}
	if checked < 10 {
		t.Errorf("only %d subscriptions with the plan", checked)
	}
}

func TestTheBillHoldsWhatBillsHold(t *testing.T) {
	w := testWorld(0)
	all := w.Charges()
	n := 0
	if err := w.EachCharge(func(c cost.Charge) error { n++; return nil }); err != nil || n != len(all) {
		t.Errorf("EachCharge gave %d rows, Charges %d (%v)", n, len(all), err)
	}
	seen := map[string]int{}
	perDay := map[int64]cost.Amount{}
	miner := w.storyOf("miner")
	for _, c := range all {
		if c.Resource != strings.ToLower(c.Resource) || c.SubAccount == "" || c.Currency == "" || c.End-c.Start != int64(24*time.Hour) || c.Meter == "" {
			t.Fatalf("row %+v", c)
		}
		seen[c.Category+c.Class+c.CommitmentUse]++
		seen[c.Currency]++
		seen[c.MeterCategory]++
		if c.Billed < 0 {
			seen["negative"]++
		}
		if strings.HasPrefix(c.Resource, strings.ToLower(miner.sub.path()+"/resourcegroups/"+miner.nodeGroup()+"/")) {
			perDay[c.Start] += c.Effective
		}
	}
	for _, want := range []string{"UsageUsed", "UsageUnused", "Purchase", "Credit", "UsageCorrection", "EUR", "USD", "negative", "Virtual Machines", "Log Analytics", "Microsoft Defender for Cloud", "Storage", "Load Balancer", "Bandwidth"} {
		if seen[want] == 0 {
			t.Errorf("the bill has no %s", want)
		}
	}
	if before, after := perDay[w.day(10).UnixNano()], perDay[w.day(2).UnixNano()]; after < before*2 {
		t.Errorf("the miner's cluster cost %.2f a day before and %.2f after: no jump", before.Float(), after.Float())
	}
}

func TestWhatAgentsSawFitsTheTenant(t *testing.T) {
	w := testWorld(0)
	names := map[string]*cluster{}
	for _, c := range w.clusters {
		if names[c.Name] != nil {
			t.Errorf("two clusters of the name %s", c.Name)
		}
		names[c.Name] = c
	}
	helm, denied, inside := 0, 0, map[string]int{}
	for _, p := range w.Clusters() {
		if names[p.Name] == nil || names[p.Name].id() != p.ID {
			t.Errorf("inventory of %s (%s), which is no cluster", p.Name, p.ID)
		}
		inside[p.ID] = len(p.Workloads)
		for _, d := range p.Workloads {
			if d.Template == nil || len(d.Images) == 0 || d.Owner == "" || len(d.Images[0].Digest) != len("sha256:")+64 {
				t.Fatalf("%s: workload %+v", p.Name, d)
			}
		}
	}
	rich := 0
	for _, n := range inside {
		if n >= 30 {
			rich++
		}
	}
	if rich < 3 || len(inside) < 60 {
		t.Errorf("%d clusters with an inventory, %d of them with 30 workloads or more", len(inside), rich)
	}
	for _, o := range w.Observed() {
		if o.ID == "" {
			continue
		}
		c := names[o.Cluster]
		if inside[o.ID] == 0 {
			t.Errorf("%s is observed and has no inventory", o.Cluster)
		}
		if c.Helm && o.Sensor.Seen && !c.Profile {
			helm++
		}
		if c.sub.Fault == faultDenied {
			denied++
		}
		if o.LastWord > w.now.UnixNano() || o.AuditLast > o.LastWord {
			t.Errorf("%s: last word in the future", o.Cluster)
		}
		for _, k := range o.Canaries {
			if k.Sent > o.LastWord && k.Kind != govern.CanaryImage || // that is the hub's
				k.Seen > w.now.UnixNano() {
				t.Errorf("%s: canary %+v after its last word", o.Cluster, k)
			}
		}
	}
	if helm == 0 || denied == 0 {
		t.Errorf("%d clusters with a sensor from Helm, %d observed in denied subscriptions; want some of both", helm, denied)
	}
}

func TestUsageAddsUp(t *testing.T) {
	w := testWorld(0)
	type key struct {
		cluster string
		hour    int64
	}
	sums, totals := map[key]float64{}, map[key]inventory.Usage{}
	for _, u := range w.Usage() {
		k := key{u.Cluster, u.Hour}
		if w.byID[u.Cluster] == nil || u.Hour+int64(time.Hour) > w.now.UnixNano() {
			t.Fatalf("usage %+v", u)
		}
		if u.Namespace == "" {
			totals[k] = u
		} else {
			sums[k] += u.Charged
		}
	}
	for k, s := range sums {
		u := totals[k]
		if math.Abs(u.Charged-s) > 1e-6 || u.Charged > u.Cores*1.05 || u.Charged+1e-9 < max(u.Requested, u.Used) {
			t.Fatalf("%v: charged %.3f of %.3f cores, namespaces add to %.3f", k, u.Charged, u.Cores, s)
		}
	}
	m := w.storyOf("miner")
	before, after := totals[key{m.id(), w.day(5).Add(4 * time.Hour).UnixNano()}], totals[key{m.id(), w.day(2).Add(4 * time.Hour).UnixNano()}]
	if after.Used < before.Used+100 || after.Nodes < before.Nodes+5 {
		t.Errorf("the miner is not seen: %+v before, %+v after", before, after)
	}
}

func TestAlertsTellTheirStories(t *testing.T) {
	w := testWorld(0)
	f := w.Alerts()
	risen, mined, low := map[bool]int{}, false, 0
	rise := w.storyOf("alert-rise")
	for _, a := range f.Alerts {
		if a.ID == "" || a.First < f.Since || a.Last > w.now.UnixNano() || a.Acked != 0 && a.Acked < a.First || a.Closed != 0 && a.Closed < a.Acked {
			t.Fatalf("alert %+v", a)
		}
		if (a.Status == finding.Open) != (a.Acked == 0) {
			t.Fatalf("alert %+v: status and times do not agree", a)
		}
		if a.Cluster == rise.Name && a.Rule == RisenRule && strings.HasSuffix(a.Workload, "/web") {
			risen[a.First > w.day(9).UnixNano()]++
		}
		mined = mined || a.Miner && a.Cluster == w.storyOf("miner").Name
		if a.Workload == minerWork && a.Severity == finding.Low {
			low++
		}
	}
	if risen[true] < 15 || risen[false] > 3 || !mined || low == 0 {
		t.Errorf("rise %v, miner %v, low ones before it %d", risen, mined, low)
	}
	if len(f.NodeDays) < weeksKept {
		t.Errorf("node-days of %d weeks", len(f.NodeDays))
	}
}

func TestTheRestIsThere(t *testing.T) {
	w := testWorld(0)
	g, im := w.Gates(), w.Images()
	if g.Running == 0 || g.Gated+g.Failed+len(g.Without) > g.Running || im.Scanned > im.Running || im.Stale > im.Scanned {
		t.Errorf("gates %+v, images %d/%d/%d", g, im.Running, im.Scanned, im.Stale)
	}
	open := 0
	for _, m := range im.Remediation {
		if m.To != 0 && m.To < m.From || m.To > w.now.UnixNano() {
			t.Fatalf("remedy %+v", m)
		}
		if m.To == 0 {
			open++
		}
	}
	if open == 0 || open == len(im.Remediation) {
		t.Errorf("%d of %d remedies are open", open, len(im.Remediation))
	}
	if len(w.Reviews()) == 0 || len(w.Prices()) < 20 {
		t.Error("no reviews, or too few prices")
	}
}

// TestBetweenYesterdayAndTodayLieTheStories holds history to what an evaluation says today:
// drift is the profile that was lost, and nothing the history made up.
func TestBetweenYesterdayAndTodayLieTheStories(t *testing.T) {
	w := New(Options{Seed: 7, Now: testNow, Clusters: 120})
	h := w.History()
	if len(h) != 60 || !slices.IsSortedFunc(h, func(a, b govern.Day) int { return cmp.Compare(a.At, b.At) }) || h[59].At > w.now.UnixNano() {
		t.Fatalf("%d days, or out of order", len(h))
	}
	b := azure.NewBuilder()
	if err := w.each(func(what string) bool { return what != cloud.ReadCosts && what != cloud.ReadAmortized }, b.Add); err != nil {
		t.Fatal(err)
	}
	ev := govern.Evaluate(&govern.Input{Now: w.now.UnixNano(), Tenant: b.Snapshot().Tenant, Observed: w.Observed(), Alerts: w.Alerts(), Images: w.Images(), Gates: w.Gates(), History: h})
	lost := w.storyOf("lost-profile")
	found := false
	for _, c := range ev.Coverage.Drift {
		if c.ID == lost.id() {
			found = true
		} else if c.Worse {
			t.Errorf("drift %s of %s: %s → %s", c.What, c.Name, c.Before, c.After)
		}
	}
	if !found {
		t.Error("the profile that was lost is no drift")
	}
	first, last := h[0].Values, h[59].Values
	for _, key := range []string{"kpi.defender-profile", "kpi.protected-any"} {
		if first[key] >= last[key] {
			t.Errorf("%s went from %.1f to %.1f", key, first[key], last[key])
		}
	}
	for _, d := range h {
		for key, v := range d.Values {
			if name, ok := strings.CutSuffix(key, ".n"); ok && v > d.Values[name+".of"] {
				t.Fatalf("%s: %v of %v", name, v, d.Values[name+".of"])
			}
		}
	}
}
