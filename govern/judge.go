package govern

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/posture"
)

// Known is everything that is known, from which Judge makes an Input: what Input holds
// but Costs, Posture and Controls, and the grounds those are judged from.
type Known struct {
	Input                      // Costs, Posture and Controls are overwritten
	Money    *cost.Input       // nil = no bill and no prices; Now, Tenant, Owners, Here and Miners are filled in
	Clusters []posture.Cluster // from the inside
}

// Judge computes costs, judges controls and evaluates: the one way from what is known to
// an Evaluation, in CI and at the hub. It changes nothing that Known points to.
func Judge(k *Known) (*Evaluation, *Input) {
	in := k.Input
	in.Controls = posture.Controls()
	var group sync.WaitGroup // neither asks the other anything
	group.Go(func() {
		in.Posture = posture.Evaluate(&posture.Input{Now: in.Now, Tenant: in.Tenant, Clusters: k.Clusters, Exempt: in.Config.exempt(in.Now), Settings: in.Config.Posture, StaleTenant: int64(in.Config.with().StaleTenant)})
	})
	in.Costs = nil
	if k.Money != nil {
		m := *k.Money
		m.Now, m.Tenant = in.Now, in.Tenant
		m.Owners, m.Here = owners(&in)
		m.Miners = append(slices.Clone(m.Miners), miners(&in)...)
		if m.Currency == "" {
			m.Currency = in.Config.Currency
		}
		in.Costs = cost.Compute(&m)
	}
	group.Wait()
	ev := Evaluate(&in)
	writable(ev, in.Costs)
	return ev, &in
}

// exempt honours the exemptions of the configuration that have a date which is not over.
func (c Config) exempt(now int64) func(control, resource string) (string, bool) {
	if len(c.Exemptions) == 0 {
		return nil
	}
	return func(control, resource string) (string, bool) {
		for _, e := range c.Exemptions {
			if expiry(e) < now || e.By == "" || e.Control != "*" && !strings.EqualFold(e.Control, control) {
				continue
			}
			scope, r := strings.ToLower(strings.Trim(e.Scope, "/")), strings.ToLower(strings.Trim(resource, "/"))
			if scope == r || strings.HasPrefix(r, scope+"/") || !strings.Contains(scope, "/") && clusterName(r) == scope {
				return "by " + e.By + " until " + e.Expires + ": " + e.Why, true
			}
		}
		return "", false
	}
}

// clusterName is the name of the cluster that an ARM id in lower case is of or lies below.
func clusterName(id string) string {
	for _, kind := range []string{"/managedclusters/", "/connectedclusters/"} {
		if _, rest, ok := strings.Cut(id, kind); ok {
			name, _, _ := strings.Cut(rest, "/")
			return name
		}
	}
	return ""
}

// owners says whose each cluster and each of its namespaces is, and where Dockreeve runs.
func owners(in *Input) (map[string]string, map[string]bool) {
	x := newIndex(in)
	out, here := map[string]string{}, map[string]bool{}
	for i := range x.tenant.Clusters {
		c := &x.tenant.Clusters[i]
		out[strings.ToLower(c.ID)] = x.ownership(x.places(c), c.Subscription, nil, nil).Owner
	}
	for i := range in.Observed {
		o := &in.Observed[i]
		id := cmp.Or(strings.ToLower(o.ID), o.Cluster)
		if o.Agent != "" {
			here[id] = true
		}
		for _, n := range o.Namespaces {
			if n.Owner != "" && n.Owner != inventory.Unowned {
				out[id+"|"+n.Namespace] = x.spell(n.Owner)
			}
		}
	}
	return out, here
}

// miners are the alerts that say that something mines, by the cluster's id.
func miners(in *Input) []cost.Miner {
	if in.Alerts == nil {
		return nil
	}
	ids := map[string]string{}
	for i := range in.Observed {
		ids[in.Observed[i].Cluster] = cmp.Or(strings.ToLower(in.Observed[i].ID), in.Observed[i].Cluster)
	}
	var out []cost.Miner
	for i := range in.Alerts.Alerts {
		if a := &in.Alerts.Alerts[i]; a.Miner && a.Cluster != "" {
			ns, _, _ := strings.Cut(a.Workload, "/")
			out = append(out, cost.Miner{Alert: a.ID, Cluster: cmp.Or(ids[a.Cluster], strings.ToLower(a.Cluster)), Namespace: ns, Workload: a.Workload, First: a.First, Last: a.Last})
		}
	}
	return out
}
