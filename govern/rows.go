package govern

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/posture"
)

// rows makes one row of each cluster that Azure or Dockreeve knows, and of each
// subscription, and orders clusters by risk × money.
func rows(in *Input, ev *Evaluation) {
	x := newIndex(in)
	ev.TenantID, ev.TenantAt = x.tenant.ID, x.tenant.Collected
	wholeGaps(in, x, ev)
	changers := x.changers()
	seen := observedByID(in.Observed)
	byCluster := resultsByCluster(in.Posture)
	again := namedTwice(in.Observed, seen)
	last := lastDay(in.History, in.Now)
	for i := range x.tenant.Clusters {
		c := &x.tenant.Clusters[i]
		o := seen[strings.ToLower(c.ID)]
		row := x.clusterRow(c, o)
		row.Ownership = x.ownership(x.places(c), c.Subscription, o, suggestChanger(changers[strings.ToLower(c.ID)]))
		row.Gaps = append(row.Gaps, x.gapsOf(c.ID)...)
		ev.Clusters = append(ev.Clusters, row)
	}
	known := map[string]bool{}
	for i := range ev.Clusters {
		known[strings.ToLower(ev.Clusters[i].ID)] = true
	}
	before := newestDay(in.History)
	for i := range in.Observed {
		o := &in.Observed[i]
		id := strings.ToLower(o.ID)
		if id == "" || seen[id] == o && !known[id] {
			ev.Clusters = append(ev.Clusters, x.outsider(o, before.Clusters[id]))
			known[cmp.Or(id, o.Cluster)] = true
		}
	}
	for _, id := range sortedKeys(before.Clusters) {
		if why := x.lost(id, before.Clusters[id]); why != "" && !known[id] {
			ev.Clusters = append(ev.Clusters, x.kept(id, before.Clusters[id], why, nil))
		}
	}
	for i := range ev.Clusters {
		r := &ev.Clusters[i]
		r.Gaps = append(r.Gaps, again[strings.ToLower(r.ID)]...)
		scored(in, r, byCluster)
		spent(in, r)
		past(in, r, last)
		risk(r)
	}
	slices.SortStableFunc(ev.Clusters, func(a, b ClusterRow) int {
		return cmp.Or(cmp.Compare(b.RiskMoney, a.RiskMoney), cmp.Compare(b.Risk, a.Risk), cmp.Compare(a.ID, b.ID))
	})
	subscriptionRows(x, before, ev)
	ev.Scores = scoresOf(in, ev)
}

// wholeGaps says what is not known of everything.
func wholeGaps(in *Input, x *index, ev *Evaluation) {
	if in.Tenant == nil {
		ev.Gaps = append(ev.Gaps, inventory.Gap{What: "Azure", Reason: "no tenant was read: clusters that are not onboarded here cannot be seen", Remedy: "dockreeve azure collect -o snapshot.json"})
	} else {
		if x.tenant.Finished == 0 {
			ev.Gaps = append(ev.Gaps, inventory.Gap{What: "Azure", Reason: "collection did not end: what follows is of a part of the tenant", Remedy: "dockreeve azure collect --resume"})
		}
		if age := in.Now - x.tenant.Collected; age > int64(x.config.StaleTenant) {
			ev.Gaps = append(ev.Gaps, inventory.Gap{What: "Azure", Reason: "was read " + ago(age) + " ago: what changed since is not known", Remedy: "dockreeve azure collect -o snapshot.json"})
		}
		failed := map[string]int{}
		why, do := map[string]string{}, map[string][]*cloud.Read{}
		for i := range x.tenant.Reads {
			r := &x.tenant.Reads[i]
			if !good(r.Outcome) && r.Outcome != cloud.ReadSkipped {
				failed[r.What]++
				why[r.What] = cmp.Or(why[r.What], scopeName(x, r.Scope)+": "+reasonOf(r))
				do[r.What] = append(do[r.What], r)
			}
			if r.Bad > 0 {
				what := r.What + " (rows not understood)"
				failed[what] += r.Bad
				why[what] = cmp.Or(why[what], scopeName(x, r.Scope)+": "+cmp.Or(r.Reason, "of another shape"))
				do[what] = append(do[what], r)
			}
		}
		for _, what := range sortedKeys(failed) {
			ev.Gaps = append(ev.Gaps, inventory.Gap{What: what, Reason: fmt.Sprintf("%d not read; first %s", failed[what], why[what]), Remedy: remedyOf(do[what])})
		}
	}
	for _, g := range []struct {
		nothing      bool
		what, reason string
		remedy       string
	}{
		{in.Costs == nil, "cost", "no bill and no prices were read", "--charges FILE, dockreeve cost import FILE for a server, or rights on Cost Management"},
		{in.Alerts == nil, "alerts", "no alerts are kept where this was computed", "dockreeve coverage without --snapshot asks the server, which knows"},
		{in.Images == nil, "images", "running images are not known where this was computed", "dockreeve coverage without --snapshot asks the server, which knows"},
		{in.Gates == nil, "gates", "no pipeline told the outcome of a gate", "docs/images.md: scan --record"},
	} {
		if g.nothing {
			ev.Gaps = append(ev.Gaps, inventory.Gap{What: g.what, Reason: g.reason, Remedy: g.remedy})
		}
	}
}

func scopeName(x *index, scope string) string {
	if scope == "" {
		return "the tenant"
	}
	if s := x.subscription(scope); s != nil && strings.Count(strings.Trim(scope, "/"), "/") == 1 {
		return "subscription " + s.Name
	}
	return scope[strings.LastIndexByte(scope, '/')+1:]
}

func observedByID(list []Observed) map[string]*Observed {
	out := make(map[string]*Observed, len(list))
	for i := range list {
		id := strings.ToLower(list[i].ID)
		if old := out[id]; id != "" && (old == nil || old.LastWord < list[i].LastWord) { // onboarded again: who spoke last is it
			out[id] = &list[i]
		}
	}
	return out
}

// clusterRow is what Azure says of a cluster, with what Dockreeve sees in it (o may be nil).
func (x *index) clusterRow(c *cloud.Cluster, o *Observed) ClusterRow {
	r := ClusterRow{ID: c.ID, Name: c.Name, Kind: c.Kind, Subscription: "/subscriptions/" + guid(c.Subscription), ResourceGroup: c.ResourceGroup,
		Location: c.Location, Version: c.Version, Stopped: strings.EqualFold(c.Power, "Stopped"), FirstSeen: c.Created}
	if s := x.subscription(c.Subscription); s != nil {
		r.SubscriptionName = s.Name
	}
	r.Environment, r.EnvironmentFrom, r.Production = x.environment(c)
	r.Plan, r.PlanFrom, r.Extensions = x.plan(c)
	if r.Stopped && (x.stale != "" || o != nil && o.Agent != "" && o.LastWord > x.tenant.Collected) {
		r.Stopped = false // it was, when Azure was read
	}
	r.Profile = cloud.Told(c.DefenderProfile, "Azure did not say")
	if c.Kind == cloud.KindArc {
		r.Profile = x.arcSensor(c)
	}
	r.Profile = x.still(r.Profile)
	r.PolicyAddon = x.still(cloud.Told(c.PolicyAddon, "Azure did not say"))
	r.AuditExport = x.auditExport(c, o)
	switch {
	case r.Plan.NotAssessed != "":
		r.RegistryScan = r.Plan
	default:
		r.RegistryScan = inventory.Assessed{Value: r.Plan.Value && enabled(r.Extensions, cloud.ExtRegistries)}
	}
	x.here(&r, o)
	x.protect(&r, c, o)
	return r
}

// outsider is a cluster that Azure did not tell of; old is what is kept of it.
func (x *index) outsider(o *Observed, old DayRow) ClusterRow {
	if id := strings.ToLower(o.ID); old.First > 0 {
		if why := x.lost(id, old); why != "" {
			return x.kept(id, old, why, o)
		}
	}
	const why = "not among the clusters that Azure told of"
	no := inventory.Assessed{NotAssessed: why}
	r := ClusterRow{ID: cmp.Or(strings.ToLower(o.ID), o.Cluster), Name: o.Cluster, Kind: "other", Environment: unknownEnvironment, EnvironmentFrom: why + "; counted as production", Production: true,
		Plan: no, Profile: no, PolicyAddon: no, RegistryScan: no, AuditExport: x.auditExport(nil, o)}
	r.Ownership = x.ownership(nil, "", o, nil)
	x.here(&r, o)
	x.protect(&r, nil, o)
	return r
}

// here is what Dockreeve itself knows of the cluster.
func (x *index) here(r *ClusterRow, o *Observed) {
	if o == nil {
		const why = "Dockreeve's agent does not run there"
		r.Agents = inventory.Assessed{}
		r.Sensor = Sighting{NotAssessed: why + ": nobody looked into the cluster"}
		r.Onboard = "dockreeve join-token --role cluster --cluster " + shellWord(r.Name)
		return
	}
	r.Here, r.HereFrom, r.Sensor, r.Canaries = o.Cluster, o.IDFrom, o.Sensor, o.Canaries
	if at := cmp.Or(r.Sensor.At, o.LastWord); r.Sensor.NotAssessed == "" && !x.lately(at) {
		r.Sensor.NotAssessed = "the cluster was last looked into " + ago(x.now-at) + " ago"
	}
	r.Agents = inventory.Assessed{Value: x.agentsUp(o) == ""}
	if !r.PolicyAddon.Value && o.PolicyAddon.Seen && x.lately(cmp.Or(o.PolicyAddon.At, o.LastWord)) { // the add-on was installed by other means
		r.PolicyAddon = inventory.Assessed{Value: true}
	}
	for _, c := range o.Canaries {
		if c.Seen > 0 {
			r.CanaryAge = max(r.CanaryAge, x.now-c.Seen)
		}
	}
	if o.Running != nil {
		n := o.Running["critical"]
		r.Critical, r.Exploited = &n, o.Exploited
	} else {
		r.Gaps = append(r.Gaps, inventory.Gap{What: "running vulnerabilities", Reason: cmp.Or(o.RunningWhy, "its images were not scanned"), Remedy: "docs/images.md"})
	}
	if o.AlertsOpen != nil {
		n := o.AlertsOpen["critical"] + o.AlertsOpen["high"]
		r.AlertsOpen = &n
	}
}

// agentsUp says what is missing of Dockreeve's own agents; "" = all report.
func (x *index) agentsUp(o *Observed) string {
	switch {
	case o.Agent == "":
		return "it was inspected once, no agent stays there"
	case x.now-o.LastWord > int64(x.config.StaleAgent):
		return "its agent was last heard " + ago(x.now-o.LastWord) + " ago"
	case o.Nodes == 0:
		return "no node of it is known"
	case o.NodesWatched < o.Nodes:
		return fmt.Sprintf("the sensor reports from %d of %d nodes", o.NodesWatched, o.Nodes)
	}
	return ""
}

// plan is Defender for Containers as it holds for a cluster: set at the cluster itself,
// else by its subscription.
func (x *index) plan(c *cloud.Cluster) (on inventory.Assessed, from string, ext []cloud.Extension) {
	if p := c.Plan; p != nil && !p.Inherited {
		return x.still(inventory.Assessed{Value: p.Standard}), "set at the cluster", p.Extensions
	}
	s := x.subscription(c.Subscription)
	switch {
	case s == nil:
		return inventory.Assessed{NotAssessed: "its subscription was not read"}, "", nil
	case s.Plan == nil:
		return inventory.Assessed{NotAssessed: "the plan of subscription " + s.Name + " is not known: " + cmp.Or(x.unread(cloud.ReadPlan, s.ID), "Azure did not tell it")}, "", nil
	}
	from = "subscription " + s.Name
	if s.Plan.Legacy != "" {
		from += ", by the older plan " + s.Plan.Legacy
	}
	return x.still(inventory.Assessed{Value: s.Plan.Standard}), from, s.Plan.Extensions
}

func (x *index) arcSensor(c *cloud.Cluster) inventory.Assessed {
	for _, e := range c.Extensions {
		if strings.EqualFold(e.Name, "microsoft.azuredefender.kubernetes") {
			return inventory.Assessed{Value: e.Enabled}
		}
	}
	if why := x.unread(cloud.ReadExtensions, c.ID); why != "" {
		return inventory.Assessed{NotAssessed: "its extensions are not known: " + why}
	}
	return inventory.Assessed{}
}

func enabled(list []cloud.Extension, name string) bool {
	return slices.ContainsFunc(list, func(e cloud.Extension) bool { return e.Enabled && strings.EqualFold(e.Name, name) })
}

// auditExport says whether the API server's audit log leaves the cluster and which kind.
func (x *index) auditExport(c *cloud.Cluster, o *Observed) AuditExport {
	var a AuditExport
	if c != nil {
		for _, d := range c.Diagnostics {
			kept := false
			for _, k := range d.Categories {
				k = strings.ToLower(k)
				switch k {
				case "group:alllogs", "group:audit":
					k = "kube-audit"
				}
				if k == "kube-audit" || k == "kube-audit-admin" || k == "guard" {
					a.Kinds, kept = append(a.Kinds, k), kept || k != "guard"
				}
			}
			for to, id := range map[string]string{"workspace": d.Workspace, "storage": d.Storage, "event-hub": d.EventHub} {
				if kept && id != "" {
					a.To = append(a.To, to)
				}
			}
		}
	}
	if len(a.Kinds) > 0 && x.stale != "" {
		a.Kinds, a.To, a.NotAssessed = nil, nil, x.stale
	}
	if o != nil && o.AuditLast > 0 && x.now-o.AuditLast <= int64(x.config.Thresholds.AuditSilent) {
		a.NotAssessed = ""
		a.To = append(a.To, "dockreeve")
		a.Kinds = append(a.Kinds, cmp.Or(o.AuditAs, "kube-audit"))
	}
	slices.Sort(a.Kinds)
	slices.Sort(a.To)
	a.Kinds, a.To = slices.Compact(a.Kinds), slices.Compact(a.To)
	a.Value = slices.Contains(a.Kinds, "kube-audit") || slices.Contains(a.Kinds, "kube-audit-admin")
	if a.Value && !slices.Contains(a.Kinds, "kube-audit") {
		a.Loses = []string{"what is only read: secrets listed, exec probes, reconnaissance by get and list"}
	}
	if a.NotAssessed != "" {
		return a
	}
	if !a.Value && c != nil && c.Kind == cloud.KindAKS {
		if why := x.unread(cloud.ReadDiagnostics, c.ID); why != "" {
			a.NotAssessed = "its diagnostic settings are not known: " + why
		}
	} else if !a.Value {
		a.NotAssessed = "Azure does not hold the audit log of such a cluster"
	}
	return a
}

func shellWord(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@", r))
	}) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// ago writes a duration in nanoseconds as people say it.
func ago(ns int64) string {
	switch h := float64(ns) / 3.6e12; {
	case h < 0:
		return "less than a minute"
	case h < 1.0/60:
		return fmt.Sprintf("%d s", ns/1e9)
	case h < 2:
		return fmt.Sprintf("%d min", int(h*60))
	case h < 48:
		return fmt.Sprintf("%d h", int(h))
	default:
		return fmt.Sprintf("%d days", int(h/24))
	}
}

func subscriptionRows(x *index, before *Day, ev *Evaluation) {
	clusters, registries := map[string]int{}, map[string]int{}
	for i := range x.tenant.Clusters {
		clusters[guid(x.tenant.Clusters[i].Subscription)]++
	}
	for i := range x.tenant.Registries {
		registries[guid(x.tenant.Registries[i].Subscription)]++
	}
	list := slices.Clone(x.tenant.Subscriptions)
	listed := map[string]bool{}
	for i := range list {
		listed[guid(list[i].ID)] = true
	}
	unlisted := map[string]bool{} // what is in a subscription that Azure did not list
	for i := range ev.Clusters {
		if g := guid(ev.Clusters[i].Subscription); g != "" && !listed[g] {
			unlisted[g] = true
			if ev.Clusters[i].Unread != "" {
				clusters[g]++
			}
		}
	}
	for g := range registries {
		if g != "" && !listed[g] {
			unlisted[g] = true
		}
	}
	for id, old := range before.Subscriptions {
		if g := guid(id); !listed[g] && x.stillCounts(old) {
			unlisted[g] = true
		}
	}
	for _, g := range sortedKeys(unlisted) {
		id := "/subscriptions/" + g
		list = append(list, cloud.Subscription{ID: id, Name: cmp.Or(before.Subscriptions[id].Name, g)})
	}
	for i := range list {
		s := &list[i]
		g := guid(s.ID)
		r := SubscriptionRow{ID: s.ID, Name: s.Name, Clusters: clusters[g], Registries: registries[g], Gaps: x.gapsOf(s.ID)}
		for _, m := range x.above(s) {
			r.Path = append([]string{cmp.Or(m.Title, m.Name)}, r.Path...)
		}
		r.Owner = x.ownership([]place{{"subscription " + s.Name, s.Tags}}, s.ID, nil, nil)
		x.heldBefore(&r, before.Subscriptions[strings.ToLower(s.ID)], unlisted[g])
		if r.Relevant.NotAssessed == "" {
			r.Relevant = inventory.Assessed{Value: r.Clusters+r.Registries > 0}
		}
		if !r.Relevant.Value && r.Relevant.NotAssessed == "" {
			for _, what := range []string{cloud.ReadClusters, cloud.ReadArc, cloud.ReadRegistries} {
				if why := x.unread(what, s.ID); why != "" {
					r.Relevant = inventory.Assessed{NotAssessed: what + " are not known: " + why}
					break
				}
			}
		}
		if s.Plan == nil {
			r.Plan = inventory.Assessed{NotAssessed: cmp.Or(x.unread(cloud.ReadPlan, s.ID), "Azure did not tell it")}
			if unlisted[g] {
				r.Plan.NotAssessed = notListed
			}
		} else {
			r.Plan, r.Extensions = x.still(inventory.Assessed{Value: s.Plan.Standard}), s.Plan.Extensions
			for _, e := range []string{cloud.ExtRegistries, cloud.ExtDiscovery, cloud.ExtVMScanning, cloud.ExtSensor, cloud.ExtIntegrity} {
				if s.Plan.Standard && !enabled(s.Plan.Extensions, e) {
					r.Missing = append(r.Missing, e)
				}
			}
		}
		ev.Subscriptions = append(ev.Subscriptions, r)
	}
	slices.SortStableFunc(ev.Subscriptions, func(a, b SubscriptionRow) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
}

func resultsByCluster(all []posture.Result) map[string][]posture.Result {
	out := map[string][]posture.Result{}
	for _, r := range all {
		out[strings.ToLower(r.Cluster)] = append(out[strings.ToLower(r.Cluster)], r)
	}
	return out
}

func scored(in *Input, r *ClusterRow, by map[string][]posture.Result) {
	mine := by[strings.ToLower(r.ID)]
	if r.Here != "" && !strings.EqualFold(r.Here, r.ID) {
		mine = append(slices.Clone(mine), by[strings.ToLower(r.Here)]...)
	}
	if len(mine) == 0 {
		return
	}
	r.Scores = posture.Scores(mine)
	want := in.Config.with().Benchmark
	for _, s := range r.Scores {
		if s.Framework == want && s.Pass+s.Fail > 0 {
			v := s.Ratio
			r.Score = &v
		}
	}
}

func scoresOf(in *Input, ev *Evaluation) map[string][]posture.Score {
	out := map[string][]posture.Score{"": posture.Scores(in.Posture)}
	owner, here := map[string]string{}, map[string]string{}
	for i := range ev.Clusters {
		r := &ev.Clusters[i]
		owner[strings.ToLower(r.ID)] = r.Ownership.Owner
		out["cluster:"+r.ID] = r.Scores
		if r.Here != "" {
			here[strings.ToLower(r.Here)] = r.Ownership.Owner
		}
	}
	by := map[string][]posture.Result{}
	for _, r := range in.Posture {
		o := cmp.Or(owner[strings.ToLower(r.Cluster)], here[strings.ToLower(r.Cluster)], inventory.Unowned)
		by[o] = append(by[o], r)
	}
	for o, list := range by {
		out["owner:"+o] = posture.Scores(list)
	}
	return out
}

func spent(in *Input, r *ClusterRow) {
	no := func(why string) cost.Money { return cost.Money{NotAssessed: why} }
	if in.Costs == nil {
		r.MonthToDate, r.Budget, r.Forecast, r.Security = no("no bill was read"), no("no bill was read"), no("no bill was read"), no("no prices were read")
		return
	}
	c, ok := in.Costs.Clusters[strings.ToLower(r.ID)]
	if !ok {
		why := "the bill does not name it"
		r.MonthToDate, r.Budget, r.Forecast, r.Security = no(why), no(why), no(why), no(why)
		return
	}
	r.MonthToDate, r.Budget, r.Forecast = c.MonthToDate, c.Budget, c.Forecast
	r.Security = no("no provider protects it, or its cost could not be computed")
	for _, p := range c.Protection {
		if p.Total.NotAssessed != "" || p.Provider == providerDefender && !r.Plan.Value || p.Provider == providerDockreeve && r.Here == "" {
			continue
		}
		switch {
		case r.Security.NotAssessed != "":
			r.Security = p.Total
		case r.Security.Currency == p.Total.Currency:
			r.Security.Amount += p.Total.Amount
		}
	}
	for _, a := range in.Costs.Anomalies {
		if strings.EqualFold(a.Cluster, r.ID) && (r.Anomaly == "" || a.Mining) {
			r.Anomaly = a.Series + ": " + a.ID
			if a.Mining {
				r.Anomaly = "mining: " + a.ID
			}
		}
	}
}

// risk weighs what is known to be wrong with a cluster; what is not known weighs half.
func risk(r *ClusterRow) {
	add := func(points float64, why string) {
		r.Risk += points
		r.RiskWhy = append(r.RiskWhy, why)
	}
	for _, p := range []struct {
		name   string
		row    Row
		weight float64
	}{{"nothing watches inside its pods", r.Inside, 18}, {"its images are not watched", r.Images, 10}, {"runtime threats are not detected", r.Runtime, 14}, {"nothing is stopped before it runs", r.Enforcement, 4}} {
		switch p.row.State {
		case RowOpen:
			add(p.weight, p.name)
		case RowNotAssessed:
			add(p.weight/2, p.name+", as far as is known")
		}
	}
	if r.Critical != nil && *r.Critical > 0 {
		add(min(12, 3+float64(*r.Critical)), fmt.Sprintf("%d critical vulnerabilities run", *r.Critical))
	}
	if r.Exploited > 0 {
		add(10, fmt.Sprintf("%d of its vulnerabilities are known to be exploited", r.Exploited))
	}
	if r.AlertsOpen != nil && *r.AlertsOpen > 0 {
		add(min(16, 6+2*float64(*r.AlertsOpen)), fmt.Sprintf("%d grave alerts are open", *r.AlertsOpen))
	}
	if r.Score != nil && *r.Score < 1 {
		add(10*(1-*r.Score), fmt.Sprintf("%.0f %% of the assessed controls fail", 100*(1-*r.Score)))
	}
	if strings.HasPrefix(r.Anomaly, "mining") {
		add(20, "it looks as if somebody mines there")
	}
	if r.Ownership.Owner == inventory.Unowned {
		add(4, "nobody answers for it")
	}
	if !r.Production {
		r.Risk /= 2
		r.RiskWhy = append(r.RiskWhy, "halved: "+r.Environment)
	}
	if r.Stopped {
		r.Risk /= 4
		r.RiskWhy = append(r.RiskWhy, "a quarter: it is stopped")
	}
	r.Risk = min(100, r.Risk)
	r.RiskMoney = r.Risk * max(1, r.Forecast.Amount.Float(), r.MonthToDate.Amount.Float())
}

// lastDay is the newest day that is at least 20 hours old: "yesterday", also where an
// evaluation comes a little early.
func lastDay(days []Day, now int64) *Day {
	for i := len(days) - 1; i >= 0; i-- {
		if now-days[i].At >= int64(20*3600e9) {
			return &days[i]
		}
	}
	return nil
}

// past joins what earlier days kept: since when it is known, and since when uncovered.
func past(in *Input, r *ClusterRow, last *Day) {
	if r.FirstSeen == 0 {
		r.FirstSeen = in.Now
	}
	newest := newestDay(in.History)
	for _, d := range []*Day{last, newest} {
		if d == nil {
			continue
		}
		if old, ok := d.Clusters[r.ID]; ok {
			if old.First > 0 {
				r.FirstSeen = min(r.FirstSeen, old.First)
			}
			r.UncoveredSince = 0 // covered on the newer day is covered in between
			if old.Since > 0 && !r.Protected.Value {
				r.UncoveredSince = old.Since
			}
		}
	}
	if !r.Protected.Value && r.UncoveredSince == 0 && !r.Stopped {
		r.UncoveredSince = in.Now
		if newest.Clusters[r.ID].First == 0 { // never seen covered: since it exists
			r.UncoveredSince = r.FirstSeen
		}
	}
	for i := len(in.History) - 1; i >= 0 && r.Score != nil; i-- {
		if in.Now-in.History[i].At >= int64(7*24*3600e9-4*3600e9) {
			if old, ok := in.History[i].Clusters[r.ID]; ok && old.Score != nil {
				d := *r.Score - *old.Score
				r.ScoreChange7d = &d
			}
			break
		}
	}
}

func severity(word string) finding.Severity {
	switch strings.ToLower(word) {
	case "critical":
		return finding.Critical
	case "high":
		return finding.High
	case "medium":
		return finding.Medium
	case "low":
		return finding.Low
	}
	return finding.Informational
}
