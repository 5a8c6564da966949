package govern

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/posture"
)

const testDay = int64(24 * time.Hour)

func denied(t *cloud.Tenant, sub string) *cloud.Tenant {
	for _, what := range []string{cloud.ReadClusters, cloud.ReadArc, cloud.ReadPlan, cloud.ReadRegistries} {
		t.Reads = append(t.Reads, cloud.Read{What: what, Scope: sub, Outcome: cloud.ReadDenied, Reason: "AuthorizationFailed"})
	}
	return t
}

func has(ev *Evaluation, rule, name string) bool {
	return slices.ContainsFunc(ev.Findings, func(f Finding) bool { return f.Rule == rule && (name == "" || f.Subject.Name == name) })
}

// Rights that expire for a day take no cluster out of a denominator, delete none, and set
// no clock back.
func TestRightsThatExpireHideNoCluster(t *testing.T) {
	a, b := aks(subA, "kept", yes(), map[string]string{"env": "production", "owner": "team-a"}), aks(subB, "lost", no(), map[string]string{"env": "production", "owner": "team-b"})
	b.Created = 0
	day := func(i int, tenant *cloud.Tenant, history ...Day) *Evaluation {
		now := testNow + int64(i)*testDay
		tenant.Collected, tenant.Finished = now-int64(time.Hour), now
		return Evaluate(&Input{Now: now, Tenant: tenant, History: history})
	}
	first := day(0, tenantOf(a, b))
	gone := tenantOf(a)
	gone.Subscriptions[1].Plan = nil
	second := day(1, denied(gone, subB), first.Day)
	if got := second.Coverage.Production; got.Of != 2 || got.N != 1 || got.Unknown != 1 {
		t.Errorf("production while subscription beta cannot be read: %d of %d, %d unknown; want 1 of 2, 1 unknown", got.N, got.Of, got.Unknown)
	}
	if got := second.Coverage.Clusters; len(got.Missing) != 1 || !strings.Contains(got.Missing[0].Why, "AuthorizationFailed") {
		t.Errorf("missing: %+v", got.Missing)
	}
	if has(second, RuleGone, "") {
		t.Error("a cluster whose subscription cannot be read is told as gone")
	}
	if r := rowNamed(t, second, "lost"); r.Ownership.Owner != "team-b" || r.FirstSeen != testNow || r.UncoveredSince != testNow || r.Stopped {
		t.Errorf("%+v", r)
	}
	third := day(2, tenantOf(a, b), first.Day, second.Day)
	if r := rowNamed(t, third, "lost"); r.FirstSeen != testNow || r.UncoveredSince != testNow {
		t.Errorf("first seen %s, uncovered since %s after the clocks began at %s", date(r.FirstSeen), date(r.UncoveredSince), date(testNow))
	}
	// Where it can be read and is not there, it is gone, and says so.
	for _, evening := range []*Evaluation{day(1, tenantOf(a), first.Day), day(2, tenantOf(a), first.Day, second.Day)} {
		if !has(evening, RuleGone, "lost") || evening.Coverage.Clusters.Of != 1 {
			t.Errorf("a deleted cluster is not gone: %+v", evening.Coverage.Drift)
		}
	}
}

// A protected cluster that nobody can look at for a day is unknown that day; it was not
// uncovered since it exists.
func TestUnreadDayIsNotUncoveredSinceBirth(t *testing.T) {
	c := aks(subA, "c", yes(), nil)
	first := Evaluate(&Input{Now: testNow, Tenant: tenantOf(c)})
	tenant := tenantOf()
	tenant.Collected, tenant.Finished = testNow+testDay, testNow+testDay
	second := Evaluate(&Input{Now: testNow + testDay, Tenant: denied(tenant, subA), History: []Day{first.Day}})
	c.DefenderProfile = no()
	tenant = tenantOf(c)
	tenant.Collected, tenant.Finished = testNow+2*testDay, testNow+2*testDay
	third := Evaluate(&Input{Now: testNow + 2*testDay, Tenant: tenant, History: []Day{first.Day, second.Day}})
	if r := rowNamed(t, third, "c"); r.UncoveredSince != testNow+testDay {
		t.Errorf("uncovered since %s, want since it was last seen covered: %s", date(r.UncoveredSince), date(testNow+testDay))
	}
}

// What Azure said weeks ago closes no row, and that is one finding, not one for each cluster.
func TestOldSnapshotProvesNothing(t *testing.T) {
	var list []cloud.Cluster
	for _, n := range []string{"a", "b", "c"} {
		list = append(list, aks(subA, n, yes(), map[string]string{"owner": "x"}))
	}
	off := aks(subA, "off", yes(), map[string]string{"owner": "x"})
	off.Power = "Stopped"
	tenant := tenantOf(append(list, off)...)
	fresh := Evaluate(&Input{Now: testNow, Tenant: tenant})
	if fresh.Coverage.Clusters.N != 3 || fresh.Coverage.Clusters.Of != 3 {
		t.Fatalf("%+v", fresh.Coverage.Clusters)
	}
	old := Evaluate(&Input{Now: testNow + 20*testDay, Tenant: tenant, History: []Day{fresh.Day}})
	if got := old.Coverage.Clusters; got.N != 0 || got.Of != 4 || got.Unknown != 4 {
		t.Errorf("%d of %d protected, %d unknown, of a snapshot 20 days old; want 0 of 4, 4 unknown: stopped then is not stopped now", got.N, got.Of, got.Unknown)
	}
	for name, r := range map[string]Ratio{"profile": old.Coverage.Profile, "subscriptions": old.Coverage.Subscriptions, "any": old.Coverage.Any} {
		if r.N != 0 || r.Unknown == 0 {
			t.Errorf("%s: %d of %d, %d unknown", name, r.N, r.Of, r.Unknown)
		}
	}
	n := 0
	for _, f := range old.Findings {
		if f.Rule == RuleWorse || f.Rule == RuleGone {
			n++
		}
	}
	if n > 0 || !has(old, RuleStale, "") {
		t.Errorf("one cause, %d findings of lost protection; stale told: %v", n, has(old, RuleStale, ""))
	}
	for _, c := range old.Playbook {
		if c.ID == "plan-enabled" && c.State == CheckDone {
			t.Error("the plan is ticked from a snapshot of 20 days ago")
		}
	}
}

// A DaemonSet that an agent told of before it fell silent proves nothing; what Azure says
// now is asked instead.
func TestSensorSeenLongAgoProvesNothing(t *testing.T) {
	c := aks(subA, "c", no(), nil)
	o := watched(&c, int64(time.Hour))
	o.LastWord, o.AuditLast = testNow-40*testDay, testNow-40*testDay
	o.Sensor = Sighting{Seen: true, At: o.LastWord, Where: []string{"x"}, Ready: 3, Wanted: 3}
	o.PolicyAddon = Sighting{Seen: true, At: o.LastWord}
	r := rowNamed(t, Evaluate(&Input{Now: testNow, Tenant: tenantOf(c), Observed: []Observed{o}}), "c")
	if r.Inside.State == RowClosed || r.Protected.Value {
		t.Errorf("closed by a sighting of 40 days ago: %+v", r.Inside)
	}
	if r.AuditExport.Value {
		t.Errorf("%+v", r.AuditExport)
	}
	c.DefenderProfile = yes()
	o.Sensor = Sighting{At: o.LastWord} // looked, and not there, 40 days ago
	ev := Evaluate(&Input{Now: testNow, Tenant: tenantOf(c), Observed: []Observed{o}})
	if has(ev, RuleNoSensor, "c") {
		t.Error("what was not seen 40 days ago is told as missing now")
	}
}

// Events that came once a year ago are no audit log that leaves the cluster.
func TestAuditLongAgoIsNoExport(t *testing.T) {
	c := aks(subA, "c", no(), nil)
	o := watched(&c, int64(time.Hour))
	o.AuditLast = testNow - 300*testDay
	r := rowNamed(t, Evaluate(&Input{Now: testNow, Tenant: tenantOf(c), Observed: []Observed{o}}), "c")
	if r.AuditExport.Value || slices.Contains(r.AuditExport.To, "dockreeve") {
		t.Errorf("%+v", r.AuditExport)
	}
	o.AuditLast = testNow
	o.Canaries[0].Node, o.Canaries[1].Seen = "n1", testNow
	if r := rowNamed(t, Evaluate(&Input{Now: testNow, Tenant: tenantOf(c), Observed: []Observed{o}}), "c"); !r.AuditExport.Value {
		t.Errorf("%+v", r.AuditExport)
	}
}

// A value that nobody knows is no word for "not production".
func TestUnknownEnvironmentIsProduction(t *testing.T) {
	for value, want := range map[string]bool{"prod-weu": true, "Produktion": true, "live2": true, "dev": false, "Staging": false, "sandbox": false, "perf": true, "QA": false, "production": true} {
		c := aks(subA, "c", no(), map[string]string{"environment": value})
		r := rowNamed(t, Evaluate(&Input{Now: testNow, Tenant: tenantOf(c)}), "c")
		if r.Production != want {
			t.Errorf("%s: production %v (%s)", value, r.Production, r.EnvironmentFrom)
		}
	}
	c := aks(subA, "c", no(), map[string]string{"environment": "perf"})
	in := &Input{Now: testNow, Tenant: tenantOf(c)}
	in.Config.Environments.Aliases = map[string]string{"perf": "perf"}
	if r := rowNamed(t, Evaluate(in), "c"); r.Production || r.Environment != "perf" {
		t.Errorf("an environment that the organisation names: %+v", r)
	}
}

// A cluster onboarded again under another name is one cluster.
func TestOneClusterUnderTwoNamesIsOne(t *testing.T) {
	c := aks(subA, "c", no(), nil)
	now, before := watched(&c, int64(time.Hour)), watched(&c, int64(time.Hour))
	before.Cluster, before.ID, before.LastWord = "before", strings.ToUpper(c.ID), testNow-30*testDay
	for _, list := range [][]Observed{{now, before}, {before, now}} {
		ev := Evaluate(&Input{Now: testNow, Tenant: tenantOf(c), Observed: list})
		if len(ev.Clusters) != 1 || ev.Coverage.Clusters.Of != 1 || ev.Clusters[0].Here != now.Cluster || !ev.Clusters[0].Protected.Value {
			t.Errorf("%d rows, %+v", len(ev.Clusters), ev.Coverage.Clusters)
		}
		if !slices.ContainsFunc(ev.Clusters[0].Gaps, func(g inventory.Gap) bool { return strings.Contains(g.Reason, "before") }) {
			t.Errorf("the other name is not told: %+v", ev.Clusters[0].Gaps)
		}
	}
}

// Stopped in the snapshot, and its agent reports since: it runs.
func TestStartedSinceTheSnapshotCounts(t *testing.T) {
	c := aks(subA, "c", no(), nil)
	c.Power = "Stopped"
	ev := Evaluate(&Input{Now: testNow, Tenant: tenantOf(c), Observed: []Observed{watched(&c, int64(time.Hour))}})
	if ev.Coverage.Clusters.Of != 1 || ev.Clusters[0].Stopped {
		t.Errorf("%+v", ev.Coverage.Clusters)
	}
}

// A subscription that was not listed and holds a cluster is one of the relevant ones.
func TestClusterOfUnlistedSubscription(t *testing.T) {
	tenant := tenantOf(aks("/subscriptions/99999999-0000-0000-0000-000000000009", "c", yes(), nil))
	tenant.Registries = append(tenant.Registries, cloud.Registry{ID: "/subscriptions/88888888-0000-0000-0000-000000000008/x", Subscription: "/subscriptions/88888888-0000-0000-0000-000000000008"})
	ev := Evaluate(&Input{Now: testNow, Tenant: tenant})
	if got := ev.Coverage.Subscriptions; got.Of != 2 || got.Unknown != 2 || got.N != 0 {
		t.Errorf("%+v", got)
	}
}

// A control that failed at a cluster which can no longer be read is not fixed because it
// passes at the others, and its clock goes on.
func TestUnreadableIsNotFixed(t *testing.T) {
	owner := map[string]string{"owner": "team"}
	a, b := aks(subA, "a", yes(), owner), aks(subB, "b", yes(), owner)
	day := func(i int, tenant *cloud.Tenant, results []posture.Result, history ...Day) *Evaluation {
		now := testNow + int64(i)*testDay
		tenant.Collected, tenant.Finished = now-int64(time.Hour), now
		return Evaluate(&Input{Now: now, Tenant: tenant, History: history, Controls: []posture.Control{{ID: "c", Title: "C", Severity: "high"}}, Posture: results})
	}
	at := func(c *cloud.Cluster, v posture.Verdict) posture.Result {
		return posture.Result{Control: "c", Resource: c.ID, Cluster: c.ID, Verdict: v}
	}
	first := day(0, tenantOf(a, b), []posture.Result{at(&a, posture.Pass), at(&b, posture.Fail)})
	if len(first.Recommendations) != 1 || first.Recommendations[0].Fixed != 0 {
		t.Fatalf("%+v", first.Recommendations)
	}
	second := day(1, denied(tenantOf(a), subB), []posture.Result{at(&a, posture.Pass)}, first.Day)
	for _, r := range second.Recommendations {
		if r.Fixed != 0 {
			t.Errorf("told as fixed while cluster b cannot be read: %+v", r)
		}
	}
	third := day(2, tenantOf(a, b), []posture.Result{at(&a, posture.Pass), at(&b, posture.Fail)}, first.Day, second.Day)
	if r := third.Recommendations[0]; r.FirstSeen != testNow || r.Due != testNow+int64(30*24*time.Hour) {
		t.Errorf("first seen %s, want %s: a day without rights sets the clock back", date(r.FirstSeen), date(testNow))
	}
	// A snapshot of long ago proves no repair either.
	old := tenantOf(a, b)
	late := Evaluate(&Input{Now: testNow + 20*testDay, Tenant: old, History: []Day{first.Day}, Controls: []posture.Control{{ID: "c", Title: "C", Severity: "high"}}, Posture: []posture.Result{at(&a, posture.Pass), at(&b, posture.Fail)}})
	if len(late.Recommendations) != 1 || late.Recommendations[0].Fixed != 0 {
		t.Errorf("%+v", late.Recommendations)
	}
}

// An exemption holds to the end of the day it names, here as in its count; one that names
// no control is told.
func TestExemptionsHoldToTheEndOfTheirDay(t *testing.T) {
	in := &Input{Now: testNow, Tenant: tenantOf(), Controls: []posture.Control{{ID: "pods-host-pid"}}}
	in.Config.Exemptions = []Exemption{{Control: "PODS-host-pid", Scope: "/" + strings.ToUpper(subA), By: "kim", Why: "w", Expires: "2026-11-26"}, {Control: "pods-hostpid", Scope: subA, By: "kim", Why: "w", Expires: "2026-12-26"}}
	exempt := in.Config.exempt(testNow)
	if _, ok := exempt("pods-host-pid", subA+"/resourcegroups/x"); !ok {
		t.Error("over at noon of its last day")
	}
	if _, ok := exempt("pods-host-pid", subA+"1/resourcegroups/x"); ok {
		t.Error("a subscription whose id begins alike is exempt")
	}
	if _, ok := in.Config.exempt(testNow+testDay)("pods-host-pid", subA); ok {
		t.Error("never over")
	}
	ev := Evaluate(in)
	if has(ev, RuleExemption, in.Config.Exemptions[0].Control+" at "+in.Config.Exemptions[0].Scope) {
		t.Error("told as ended on its last day")
	}
	if !has(ev, RuleExemption, "pods-hostpid at "+subA) {
		t.Error("a slip of the pen in an exemption is not told")
	}
}

// What Azure said weeks ago passes no control; what it said to be wrong still fails.
func TestOldSnapshotPassesNoControl(t *testing.T) {
	good, bad := aks(subA, "good", yes(), nil), aks(subA, "bad", yes(), nil)
	good.RBAC, bad.RBAC = yes(), no()
	verdicts := func(now int64) (pass, fail int) {
		_, in := Judge(&Known{Input: Input{Now: now, Tenant: tenantOf(good, bad)}})
		for _, r := range in.Posture {
			if len(r.Evidence) > 0 && r.Evidence[0].From == posture.FromARM {
				switch r.Verdict {
				case posture.Pass:
					pass++
				case posture.Fail:
					fail++
				}
			}
		}
		return pass, fail
	}
	pass, fail := verdicts(testNow)
	oldPass, oldFail := verdicts(testNow + 20*testDay)
	if pass == 0 || fail == 0 || oldPass != 0 || oldFail != fail {
		t.Errorf("%d pass and %d fail now, %d and %d after 20 days", pass, fail, oldPass, oldFail)
	}
}

// A subscription that holds registries only, and that Azure no longer lists, is as unknown as
// one of clusters: it leaves no denominator for a month, and is named.
func TestRightsThatExpireHideNoRegistry(t *testing.T) {
	day := func(i int, tenant *cloud.Tenant, history ...Day) *Evaluation {
		now := testNow + int64(i)*testDay
		tenant.Collected, tenant.Finished = now-int64(time.Hour), now
		return Evaluate(&Input{Now: now, Tenant: tenant, History: history})
	}
	whole := func() *cloud.Tenant {
		tenant := tenantOf(aks(subA, "kept", yes(), nil))
		tenant.Subscriptions[1].Plan, tenant.Subscriptions[1].Tags = fullPlan(), map[string]string{"owner": "team-b"}
		tenant.Registries = []cloud.Registry{{ID: subB + "/resourcegroups/g/providers/microsoft.containerregistry/registries/r", Name: "r", Subscription: subB}}
		return tenant
	}
	without := func() *cloud.Tenant {
		tenant := tenantOf(aks(subA, "kept", yes(), nil))
		tenant.Subscriptions = tenant.Subscriptions[:1]
		return tenant
	}
	unknown := func(ev *Evaluation, what string) {
		t.Helper()
		got := ev.Coverage.Subscriptions
		if got.N != 1 || got.Of != 2 || got.Unknown != 1 || len(got.Missing) != 1 || got.Missing[0].Name != "beta" || !strings.Contains(got.Missing[0].Why, "does not list") {
			t.Errorf("%s: %d of %d, %d unknown, missing %+v; want 1 of 2, beta unknown", what, got.N, got.Of, got.Unknown, got.Missing)
		}
	}
	first := day(0, whole())
	if got := first.Coverage.Subscriptions; got.N != 2 || got.Of != 2 {
		t.Fatalf("%+v", got)
	}
	second := day(1, without(), first.Day)
	unknown(second, "the day its rights expired")
	if !slices.ContainsFunc(second.Findings, func(f Finding) bool { return f.Rule == RuleUnread && strings.Contains(f.Summary, "beta") }) {
		t.Errorf("nothing names it: %+v", second.Findings)
	}
	if s := second.Subscriptions[slices.IndexFunc(second.Subscriptions, func(s SubscriptionRow) bool { return s.Name == "beta" })]; s.Registries != 1 || s.Owner.Owner != "team-b" || s.Plan.NotAssessed == "" {
		t.Errorf("%+v", s)
	}
	third := day(30, without(), first.Day, second.Day)
	unknown(third, "after a month but a day")
	if last := day(33, without(), first.Day, second.Day, third.Day); last.Coverage.Subscriptions.Of != 1 || len(last.Day.Subscriptions) != 1 {
		t.Errorf("after a month: %+v", last.Coverage.Subscriptions)
	}
	back := day(5, whole(), first.Day, second.Day)
	if got := back.Coverage.Subscriptions; got.N != 2 || got.Of != 2 || back.Day.Subscriptions[subB].Unread != 0 {
		t.Errorf("back: %+v", got)
	}
	// Listed, and its registry is no more: that is known.
	if got := day(1, tenantOf(aks(subA, "kept", yes(), nil)), first.Day).Coverage.Subscriptions; got.Of != 1 || got.Unknown != 0 {
		t.Errorf("a deleted registry: %+v", got)
	}
}
