package govern

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

var testNow = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC).UnixNano()

const (
	subA = "/subscriptions/11111111-0000-0000-0000-000000000001"
	subB = "/subscriptions/11111111-0000-0000-0000-000000000002"
)

func yes() *bool { b := true; return &b }
func no() *bool  { b := false; return &b }

func fullPlan() *cloud.Plan {
	p := &cloud.Plan{Standard: true}
	for _, e := range []string{cloud.ExtRegistries, cloud.ExtDiscovery, cloud.ExtVMScanning, cloud.ExtSensor, cloud.ExtIntegrity} {
		p.Extensions = append(p.Extensions, cloud.Extension{Name: e, Enabled: true})
	}
	return p
}

func okReads() []cloud.Read {
	var out []cloud.Read
	for _, what := range []string{cloud.ReadSubscriptions, cloud.ReadClusters, cloud.ReadArc, cloud.ReadRegistries, cloud.ReadRoles, cloud.ReadDiagnostics, cloud.ReadPlan, cloud.ReadExtensions} {
		out = append(out, cloud.Read{What: what, Outcome: cloud.ReadOK})
	}
	return out
}

func aks(sub, name string, profile *bool, tags map[string]string) cloud.Cluster {
	return cloud.Cluster{ID: sub + "/resourcegroups/rg-" + name + "/providers/microsoft.containerservice/managedclusters/" + name, Name: name, Kind: cloud.KindAKS,
		Subscription: sub, ResourceGroup: "rg-" + name, Power: "Running", DefenderProfile: profile, PolicyAddon: yes(), Tags: tags, Created: testNow - int64(240*time.Hour)}
}

func tenantOf(clusters ...cloud.Cluster) *cloud.Tenant {
	return &cloud.Tenant{ID: "t", Collected: testNow - int64(time.Hour), Finished: testNow, Reads: okReads(), Clusters: clusters,
		Subscriptions: []cloud.Subscription{{ID: subA, Name: "alpha", Plan: fullPlan()}, {ID: subB, Name: "beta", Plan: &cloud.Plan{}}}}
}

func watched(c *cloud.Cluster, canary int64) Observed {
	back := func(kind, node string) Canary {
		return Canary{Kind: kind, Node: node, Sent: testNow - canary, Seen: testNow - canary, Every: int64(24 * time.Hour)}
	}
	return Observed{Cluster: "here-" + c.Name, ID: c.ID, Agent: "1", LastWord: testNow - int64(time.Minute), Nodes: 3, NodesWatched: 3, AuditLast: testNow - int64(time.Minute),
		Sensor: Sighting{}, Running: map[string]int{"critical": 2}, AlertsOpen: map[string]int{"high": 1},
		Canaries: []Canary{back(CanaryExec, "n1"), back(CanaryExec, "n2"), back(CanaryExec, "n3"), back(CanaryAudit, "")}}
}

func rowNamed(t *testing.T, ev *Evaluation, name string) *ClusterRow {
	t.Helper()
	for i := range ev.Clusters {
		if ev.Clusters[i].Name == name {
			return &ev.Clusters[i]
		}
	}
	t.Fatalf("no row of cluster %s", name)
	return nil
}

func TestProtectionRows(t *testing.T) {
	profiled, bare, helm, off := aks(subA, "profiled", yes(), nil), aks(subA, "bare", no(), nil), aks(subA, "helm", no(), nil), aks(subB, "off", yes(), nil)
	ours, silent, lying := aks(subB, "ours", no(), nil), aks(subB, "silent", no(), nil), aks(subA, "lying", yes(), nil)
	stopped := aks(subA, "stopped", no(), nil)
	stopped.Power = "Stopped"
	in := &Input{Now: testNow, Tenant: tenantOf(profiled, bare, helm, off, ours, silent, lying, stopped)}
	seen := watched(&helm, int64(time.Hour))
	seen.Sensor = Sighting{Seen: true, At: testNow, Where: []string{"kube-system/DaemonSet/microsoft-defender-collector-ds"}, Ready: 3, Wanted: 3}
	seen.Agent = "" // inspected once: no agents of ours
	quiet := watched(&silent, int64(90*time.Hour))
	in.Observed = []Observed{seen, watched(&ours, int64(time.Hour)), quiet, watched(&lying, int64(time.Hour))}
	in.Config.Provider = providerDefender
	defender := Evaluate(in)
	in.Config.Provider = ""
	either := Evaluate(in)
	for _, c := range []struct{ name, defender, either string }{
		{"profiled", RowClosed, RowClosed},
		{"bare", RowOpen, RowOpen},
		{"helm", RowClosed, RowClosed}, // the sensor that the standard check misses
		{"off", RowOpen, RowOpen},      // a profile without a plan reports nothing
		{"ours", RowOpen, RowClosed},
		{"silent", RowOpen, RowOpen},  // running is not detecting
		{"lying", RowOpen, RowClosed}, // a profile without a sensor
	} {
		if got := rowNamed(t, defender, c.name); got.Inside.State != c.defender {
			t.Errorf("%s by Defender: inside pods is %s (%s), want %s", c.name, got.Inside.State, got.Inside.Why, c.defender)
		}
		if got := rowNamed(t, either, c.name); got.Inside.State != c.either {
			t.Errorf("%s by either: inside pods is %s (%s), want %s", c.name, got.Inside.State, got.Inside.Why, c.either)
		}
	}
	if r := rowNamed(t, either, "silent"); !strings.Contains(r.Inside.Why, "did not come back") {
		t.Errorf("silent: %q does not say that its canary did not come back", r.Inside.Why)
	}
	if !slices.ContainsFunc(either.Findings, func(f Finding) bool { return f.Rule == RuleNoSensor && f.Subject.Name == "lying" }) {
		t.Error("a profile without a sensor is no finding")
	}
	if !slices.ContainsFunc(either.Findings, func(f Finding) bool { return f.Rule == RuleCanary && f.Subject.Name == "silent" }) {
		t.Error("an overdue canary is no finding")
	}
	if got := either.Coverage.Clusters.Of; got != 7 {
		t.Errorf("%d clusters in the denominator, want the 7 that are not stopped", got)
	}
	if got := either.Coverage.Subscriptions; got.N != 1 || got.Of != 2 || got.Missing[0].Name != "beta" {
		t.Errorf("subscriptions: %+v", got)
	}
}

// What could not be read is unknown, stays in the denominator, and is named.
func TestUnreadableIsNotCovered(t *testing.T) {
	c := aks(subA, "one", yes(), nil)
	tenant := tenantOf(c)
	tenant.Subscriptions[1].Plan = nil
	tenant.Reads = append(tenant.Reads,
		cloud.Read{What: cloud.ReadPlan, Scope: subB, Outcome: cloud.ReadDenied, Reason: "AuthorizationFailed"},
		cloud.Read{What: cloud.ReadClusters, Scope: subB, Outcome: cloud.ReadDenied, Reason: "AuthorizationFailed"})
	ev := Evaluate(&Input{Now: testNow, Tenant: tenant})
	got := ev.Coverage.Subscriptions
	if got.N != 1 || got.Of != 2 || got.Unknown != 1 || !strings.Contains(got.Missing[0].Why, "rights are missing") {
		t.Errorf("%+v", got)
	}
	if len(ev.Gaps) == 0 {
		t.Error("no gap is told")
	}
	nothing := Evaluate(&Input{Now: testNow})
	for name, r := range map[string]Ratio{"subscriptions": nothing.Coverage.Subscriptions, "profile": nothing.Coverage.Profile, "any": nothing.Coverage.Any, "owned": nothing.Coverage.Owned} {
		if r.NotAssessed == "" {
			t.Errorf("%s says %d of %d where nothing was read", name, r.N, r.Of)
		}
	}
}

func TestEnvironmentAndOwnership(t *testing.T) {
	tagged := aks(subA, "tagged", yes(), map[string]string{"Env": "PRD", "Owner": "shop@example.org", "cost_center": "77"})
	inherited, orphan := aks(subA, "inherited", yes(), nil), aks(subB, "orphan", yes(), map[string]string{"environment": "dev"})
	tenant := tenantOf(tagged, inherited, orphan)
	tenant.ResourceGroups = []cloud.ResourceGroup{{ID: subA + "/resourcegroups/rg-inherited", Name: "rg-inherited", Tags: map[string]string{"team": "billing", "environment": "test"}}}
	tenant.Groups = []cloud.Group{{ID: "/providers/microsoft.management/managementgroups/live", Name: "live"}}
	tenant.Subscriptions[0].Group = tenant.Groups[0].ID
	ev := Evaluate(&Input{Now: testNow, Tenant: tenant})
	if r := rowNamed(t, ev, "tagged"); r.Environment != production || !r.Production || r.Ownership.Owner != "shop@example.org" || r.Ownership.CostCentre != "77" || !slices.Equal(r.Ownership.Missing, []string{tagUnit}) {
		t.Errorf("tagged: %+v", r.Ownership)
	}
	if r := rowNamed(t, ev, "inherited"); r.Environment != "test" || r.Production || r.Ownership.Owner != "billing" || !strings.Contains(r.Ownership.From, "resource group") {
		t.Errorf("inherited: %s %+v", r.Environment, r.Ownership)
	}
	r := rowNamed(t, ev, "orphan")
	if r.Environment != "development" || r.Ownership.Owner != inventory.Unowned {
		t.Errorf("orphan: %s %+v", r.Environment, r.Ownership)
	}
	if !slices.ContainsFunc(ev.Findings, func(f Finding) bool { return f.Rule == RuleUnowned && f.Subject.Name == "orphan" }) {
		t.Error("an unowned cluster is no finding")
	}
	tenant.Roles = []cloud.RoleHolder{{Scope: subB, Role: "Owner", Principal: "p", Kind: "ServicePrincipal"}, {Scope: subB, Role: "Owner", Principal: "q", Kind: "User", Name: "kim@example.org"}}
	if r := rowNamed(t, Evaluate(&Input{Now: testNow, Tenant: tenant}), "orphan"); r.Ownership.Owner != "kim@example.org" || !slices.Contains(r.Ownership.Missing, tagOwner) {
		t.Errorf("the chain does not end at the subscription's owner: %+v", r.Ownership)
	}
	tenant.Clusters[2].Tags = nil
	if r := rowNamed(t, Evaluate(&Input{Now: testNow, Tenant: tenant}), "orphan"); r.Environment != unknownEnvironment || !r.Production {
		t.Errorf("an unknown environment is %q, production %v", r.Environment, r.Production)
	}
	in := &Input{Now: testNow, Tenant: tenant}
	in.Config.Environments.Groups = map[string]string{"LIVE": "prod"}
	tenant.ResourceGroups = nil
	if r := rowNamed(t, Evaluate(in), "inherited"); r.Environment != production || r.EnvironmentFrom != "management group live" {
		t.Errorf("%s from %s", r.Environment, r.EnvironmentFrom)
	}
	in.Config.Tags = []MandatoryTag{{Name: tagOwner, Tags: []string{"owner"}, Allowed: []string{"*@corp.example"}}}
	if r := rowNamed(t, Evaluate(in), "tagged"); r.Ownership.Invalid[tagOwner] != "shop@example.org" {
		t.Errorf("%+v", r.Ownership)
	}
}

// Yesterday's evaluation, given back as history, says what changed since.
func TestDrift(t *testing.T) {
	a, b := aks(subA, "a", yes(), nil), aks(subA, "b", yes(), nil)
	before := Evaluate(&Input{Now: testNow, Tenant: tenantOf(a, b)})
	a.DefenderProfile = no()
	c := aks(subA, "c", no(), nil)
	later := testNow + int64(25*time.Hour)
	tenant := tenantOf(a, c)
	tenant.Collected = later
	in := &Input{Now: later, Tenant: tenant, History: []Day{before.Day}}
	ev := Evaluate(in)
	got := map[string]bool{}
	for _, d := range ev.Coverage.Drift {
		got[fmt.Sprintf("%s %s %v", d.Name, d.What, d.Worse)] = true
	}
	for _, want := range []string{"a protected true", "a profile true", "b gone true", "c appeared true"} {
		if !got[want] {
			t.Errorf("drift lacks %q: %v", want, got)
		}
	}
	if r := rowNamed(t, ev, "a"); r.UncoveredSince != later {
		t.Errorf("a is uncovered since %d, want %d", r.UncoveredSince, later)
	}
	if r := rowNamed(t, ev, "c"); r.UncoveredSince != c.Created {
		t.Errorf("c was never covered: uncovered since %d, want its creation", r.UncoveredSince)
	}
	in.Now, in.History = later+int64(24*time.Hour), []Day{before.Day, ev.Day}
	if r := rowNamed(t, Evaluate(in), "a"); r.UncoveredSince != later {
		t.Errorf("a day later a is uncovered since %d, want still %d", r.UncoveredSince, later)
	}
}

// Whatever is known or unknown, every ratio accounts for each thing in its denominator.
func TestDenominatorsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tri := rapid.SampledFrom([]*bool{nil, yes(), no()})
		tenant := tenantOf()
		tenant.Subscriptions[0].Plan = rapid.SampledFrom([]*cloud.Plan{nil, fullPlan(), {}, {Standard: true}}).Draw(t, "plan")
		in := &Input{Now: testNow, Tenant: tenant}
		in.Config.Provider = rapid.SampledFrom([]string{"", providerDefender, providerDockreeve}).Draw(t, "provider")
		running := 0
		for i := range rapid.IntRange(0, 12).Draw(t, "clusters") {
			c := aks(rapid.SampledFrom([]string{subA, subB, "/subscriptions/unknown"}).Draw(t, "sub"), fmt.Sprint("c", i), tri.Draw(t, "profile"), map[string]string{"env": rapid.SampledFrom([]string{"prod", "dev", ""}).Draw(t, "env")})
			c.Kind = rapid.SampledFrom([]string{cloud.KindAKS, cloud.KindArc}).Draw(t, "kind")
			c.Power = rapid.SampledFrom([]string{"Running", "Stopped", ""}).Draw(t, "power")
			c.PolicyAddon, c.DefenderGating = tri.Draw(t, "addon"), tri.Draw(t, "gating")
			tenant.Clusters = append(tenant.Clusters, c)
			seen := rapid.Bool().Draw(t, "seen")
			if c.Power != "Stopped" || seen { // an agent that reports since says that it was started
				running++
			}
			if seen {
				o := watched(&c, rapid.SampledFrom([]int64{int64(time.Hour), int64(900 * time.Hour)}).Draw(t, "canary"))
				o.Sensor.Seen = rapid.Bool().Draw(t, "sensor")
				in.Observed = append(in.Observed, o)
			}
		}
		ev := Evaluate(in)
		c := &ev.Coverage
		all := map[string]Ratio{"subscriptions": c.Subscriptions, "clusters": c.Clusters, "production": c.Production, "profile": c.Profile, "any": c.Any, "owned": c.Owned}
		for n, r := range c.Rows {
			all["row "+n] = r
		}
		for n, r := range c.ByProvider {
			all["provider "+n] = r
		}
		for n, r := range all {
			if r.N+len(r.Missing)+r.More != r.Of || r.Unknown > r.Of-r.N {
				t.Fatalf("%s: %d covered and %d named of %d, %d unknown", n, r.N, len(r.Missing)+r.More, r.Of, r.Unknown)
			}
		}
		sum := 0
		for _, r := range c.ByEnvironment {
			sum += r.Of
		}
		if sum != running || c.Clusters.Of != running {
			t.Fatalf("%d by environment, %d in all, %d run", sum, c.Clusters.Of, running)
		}
		if c.Any.N < max(c.ByProvider[providerDefender].N, c.ByProvider[providerDockreeve].N) {
			t.Fatalf("fewer protected by any than by one: %+v", c.ByProvider)
		}
		if len(ev.Clusters) != len(tenant.Clusters) {
			t.Fatalf("%d rows of %d clusters", len(ev.Clusters), len(tenant.Clusters))
		}
	})
}

// A tag that says nothing is no owner, and no environment.
func TestPlaceholdersSayNothing(t *testing.T) {
	for _, v := range []string{"?", "TBD", " - ", "n/a"} {
		ev := Evaluate(&Input{Now: testNow, Tenant: tenantOf(aks(subA, "a", yes(), map[string]string{"owner": v, "env": v}))})
		if r := rowNamed(t, ev, "a"); r.Ownership.Owner != inventory.Unowned || r.Environment != unknownEnvironment {
			t.Errorf("%q: owner %s, environment %s", v, r.Ownership.Owner, r.Environment)
		}
	}
}

// An agent cannot stretch the age of a proof by saying that it seldom proves anything.
func TestACanaryOnceAYearProvesNothing(t *testing.T) {
	c := aks(subB, "seldom", no(), nil)
	o := watched(&c, int64(60*24*time.Hour))
	for i := range o.Canaries {
		o.Canaries[i].Every = int64(365 * 24 * time.Hour)
	}
	if r := rowNamed(t, Evaluate(&Input{Now: testNow, Tenant: tenantOf(c), Observed: []Observed{o}}), "seldom"); r.Inside.State != RowOpen {
		t.Errorf("inside pods is %s: %s", r.Inside.State, r.Inside.Why)
	}
}

// A plan that is off is one alert, however many clusters it leaves open; each of them
// stays in its owner's list.
func TestOneCauseIsOneAlert(t *testing.T) {
	var clusters []cloud.Cluster
	for i := range 5 {
		clusters = append(clusters, aks(subB, fmt.Sprint("c", i), no(), map[string]string{"env": "prod", "owner": "kim"}))
	}
	clusters = append(clusters, aks(subA, "bare", no(), map[string]string{"env": "prod", "owner": "kim"}))
	ev := Evaluate(&Input{Now: testNow, Tenant: tenantOf(clusters...)})
	grave, listed := map[string]int{}, 0
	for _, f := range ev.Findings {
		if f.Severity >= finding.Medium {
			grave[f.Rule]++
		}
		if f.Rule == RuleUnprotected {
			listed++
		}
	}
	if grave[RulePlanOff] != 1 || grave[RuleUnprotected] != 1 || listed != 6 {
		t.Errorf("%v, %d clusters listed", grave, listed)
	}
}
