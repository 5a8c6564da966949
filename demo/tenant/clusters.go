package tenant

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

func (w *World) makeClusters() {
	// Every seventh subscription holds no cluster: its plan is no question.
	var prod, non, sand, plat []*subscription
	for _, s := range w.subs {
		switch {
		case s.Env == "sandbox":
			sand = append(sand, s)
		case s.Env == "platform":
			plat = append(plat, s)
		case s.i%7 == 6 && s.Fault == "":
		case s.Env == "production":
			prod = append(prod, s)
		default:
			non = append(non, s)
		}
	}
	used := map[string]int{}
	for i := range w.opts.Clusters {
		r := w.rng("cluster", i)
		from := prod
		switch d := r.IntN(100); {
		case d >= 55 && d < 90 && len(non) > 0:
			from = non
		case d >= 90 && d < 96 && len(sand) > 0:
			from = sand
		case d >= 96 && len(plat) > 0:
			from = plat
		}
		if len(from) == 0 {
			from = w.subs
		}
		c := w.makeCluster(r, i, from[i%len(from)], used)
		w.clusters = append(w.clusters, c)
		w.byID[c.id()] = c
		c.sub.clusters = append(c.sub.clusters, c)
		rgTags := w.ownTags(r, teams[c.Team].mail(), c.Env, teams[c.Team].Unit, 65)
		c.sub.groups = append(c.sub.groups, &resourceGroup{sub: c.sub, Name: c.RG, Region: c.Region, Tags: rgTags})
		if !c.Arc {
			c.sub.groups = append(c.sub.groups, &resourceGroup{sub: c.sub, Name: c.nodeGroup(), Region: c.Region, ManagedBy: c.path(), Tags: c.Tags})
		}
	}
}

func (w *World) makeCluster(r *rand.Rand, i int, s *subscription, used map[string]int) *cluster {
	c := &cluster{i: i, sub: s, Region: s.Region, Flags: r.Uint64(), identity: map[string][3]string{}}
	if chance(r, 15) {
		c.Region = one(r, regions)
	}
	var mine []int
	for n, t := range teams {
		if t.Unit == s.Unit {
			mine = append(mine, n)
		}
	}
	c.Team = one(r, mine)
	c.App = one(r, teams[c.Team].Apps)
	switch s.Env {
	case "production", "platform":
		c.Env = "production"
	case "sandbox":
		c.Env = "sandbox"
	default:
		c.Env = one(r, []string{"staging", "test", "dev", "dev"})
	}
	c.Arc = chance(r, 11) && s.Env != "sandbox"
	word := map[string]string{"production": "prd", "staging": "stg", "test": "tst", "dev": "dev", "sandbox": "sbx"}[c.Env]
	kind := "aks"
	if c.Arc {
		kind = "arc"
	}
	base := fmt.Sprintf("%s-%s-%s-%s", kind, c.App, word, c.Region.Short)
	used[base]++
	c.Name = fmt.Sprintf("%s-%02d", base, used[base])
	c.RG = "rg-" + strings.TrimPrefix(c.Name, kind+"-")
	if chance(r, 15) {
		c.RG = "RG-" + strings.ToUpper(c.RG[3:])
	}
	c.Owner = w.someone(r)
	owner := teams[c.Team].mail()
	if chance(r, 35) {
		owner = c.Owner.Mail
	}
	c.Tags = w.ownTags(r, owner, c.Env, teams[c.Team].Unit, 62)
	c.Created = w.ago(time.Duration(70+r.IntN(1100))*24*time.Hour + time.Duration(r.IntN(86400))*time.Second)
	if chance(r, 4) { // new ones
		c.Created = w.ago(time.Duration(2+r.IntN(18))*24*time.Hour + time.Duration(r.IntN(80000))*time.Second)
	}
	c.Stopped = !c.Arc && c.Env != "production" && chance(r, 12)
	c.Version = one(r, []string{"1.33.5", "1.33.5", "1.34.2", "1.34.2", "1.32.9", "1.31.13", "1.29.15"})
	c.Tier = "Free"
	if c.production() {
		c.Tier = one(r, []string{"Standard", "Standard", "Standard", "Premium", "Free"})
	}
	w.makePools(r, c)

	planned := s.Plan != planOff && s.Fault != faultAbsent
	switch d := r.IntN(100); {
	case c.Arc:
		c.Profile = planned && d < 65 // its extension
	case planned && d < 76, !planned && d < 8:
		c.Profile = true
	case planned && d < 84:
		c.Helm = true
	}
	c.Gating = c.Profile && chance(r, 20)
	c.Policy = chance(r, map[bool]int{true: 72, false: 45}[c.production()])
	c.Insights = chance(r, 60)
	c.Private = c.production() && chance(r, 40)
	if !c.Private && chance(r, 45) {
		c.Ranges = []string{"203.0.113.0/24", fmt.Sprintf("198.51.100.%d/32", r.IntN(250))}
	}
	c.Local = chance(r, 45)
	if !c.Arc && planned && s.Plan == planOn && chance(r, 3) {
		c.Override = "Free"
	}
	if !c.Arc && !planned && s.Fault == "" && chance(r, 12) {
		c.Override = "Standard"
	}
	c.Logs = makeLogs(r)
	c.Here = !c.Stopped && chance(r, map[bool]int{true: 62, false: 35}[c.production()])
	c.Quiet = c.Here && chance(r, 6)
	for _, use := range []string{"kubelet", "cluster", "omsagent", "azurepolicy", "azureKeyvaultSecretsProvider"} {
		if use == "omsagent" && !c.Insights || use == "azurepolicy" && !c.Policy || use == "azureKeyvaultSecretsProvider" && !c.flag(3) {
			continue
		}
		c.Uses = append(c.Uses, use)
		c.identity[use] = [3]string{guid(r), guid(r), guid(r)} // client, object, tenant-wide name
	}
	return c
}

func makeLogs(r *rand.Rand) logs {
	l := logs{To: one(r, []string{"workspace", "workspace", "workspace", "event-hub", "storage"}), Dedicated: chance(r, 60)}
	switch d := r.IntN(100); {
	case d < 28:
		l.Kind, l.More = "kube-audit", []string{"kube-apiserver", "guard"}
	case d < 60:
		l.Kind, l.More = "kube-audit-admin", []string{"guard"}
	case d < 66:
		l.Kind, l.Group = "kube-audit", true
	case d < 74:
		l.More = []string{"kube-apiserver", "cluster-autoscaler"}
	}
	return l
}

func (w *World) makePools(r *rand.Rand, c *cluster) {
	users := r.IntN(3)
	if c.production() {
		users = 1 + r.IntN(3)
	}
	sys := pool{Name: "system", Size: one(r, []string{"Standard_D4s_v5", "Standard_D4ds_v5", "Standard_D2s_v5", "Standard_B4ms", "Standard_D4as_v5"}), Nodes: 2 + r.IntN(2), Mode: "System", OS: "Linux", Since: c.Created}
	c.Pools = []pool{sys}
	names := []string{"apps", "batch", "data", "edge", "spot", "win"}
	for u := range users {
		p := pool{Name: names[u], Mode: "User", OS: "Linux", Since: c.Created, Nodes: 1 + r.IntN(4),
			Size: one(r, []string{"Standard_D4s_v5", "Standard_D8s_v5", "Standard_D8ds_v5", "Standard_E4s_v5", "Standard_E8s_v5", "Standard_F8s_v2", "Standard_D8as_v5", "Standard_D16s_v5", "Standard_D4ps_v5", "Standard_L8s_v3", "Standard_E4-2ads_v5"})}
		switch d := r.IntN(100); {
		case d < 42:
			p.Autoscaled, p.Min = true, 1+r.IntN(2)
			p.Max = p.Min + 3 + r.IntN(6)
			p.Nodes = p.Min + 1 + r.IntN(2)
		case d < 52:
			p.Spot, p.Name, p.Autoscaled, p.Min, p.Max = true, "spot"+names[u][:1], true, 1, 8
			p.Nodes = 1 + r.IntN(3)
		case d < 56:
			p.Stopped = true
		case d < 59:
			p.OS, p.Name = "Windows", "win"+names[u][:1]
		}
		if c.Arc { // machines of our own: nothing breathes
			p.Name, p.Autoscaled, p.Spot, p.Stopped, p.Min, p.Max = names[u], false, false, false, 0, 0
		}
		c.Pools = append(c.Pools, p)
	}
	if teams[c.Team].Name == "ml" && !c.Arc {
		c.Pools = append(c.Pools, pool{Name: "gpu", Size: "Standard_NC4as_T4_v3", Mode: "User", OS: "Linux", Since: c.Created, Nodes: 1, Autoscaled: true, Min: 1, Max: 4})
	}
}

// cores are the vCPUs of a node of a size that guests have.
func (w *World) cores(name string) int {
	if s := w.bySize[name]; s != nil {
		return s.Available
	}
	return unknownCores
}

// nodesOn are the nodes that a pool had on the day that is n days before today, on
// average: autoscaled pools breathe with the week.
func (w *World) nodesOn(c *cluster, p *pool, n int) float64 {
	day := w.day(n)
	if c.Stopped || p.Stopped || !p.Since.Before(day.Add(24*time.Hour)) {
		return 0
	}
	nodes := float64(p.Nodes)
	if p.Autoscaled && n > 0 {
		r := w.rng("nodes|"+c.Name+"|"+p.Name, int(day.Unix()/86400))
		nodes = float64(p.Min) + (float64(p.Nodes-p.Min))*(0.7+0.6*r.Float64())
		if wd := day.Weekday(); wd == time.Saturday || wd == time.Sunday {
			nodes = float64(p.Min) + (nodes-float64(p.Min))*0.4
		}
		nodes = min(nodes, float64(p.Max))
	}
	if p.Since.After(day) { // the day it was made
		nodes *= day.Add(24*time.Hour).Sub(p.Since).Hours() / 24
	}
	return nodes
}

// vcoresOn are a cluster's vCores of that day, on average.
func (w *World) vcoresOn(c *cluster, n int) (v float64) {
	for i := range c.Pools {
		v += w.nodesOn(c, &c.Pools[i], n) * float64(w.cores(c.Pools[i].Size))
	}
	return v
}
