package tenant

import (
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory"
)

// AgentVersion is what Dockreeve's agents say they are.
const AgentVersion = "0.5.0"

// Observed are the clusters that Dockreeve's agents see, among them some whose
// subscription cannot be read, and two that are no Azure clusters.
func (w *World) Observed() []govern.Observed {
	var out []govern.Observed
	for _, c := range w.clusters {
		if c.Here {
			out = append(out, w.observe(c))
		}
	}
	for i, name := range []string{"eks-partner-eu-01", "k3s-plant-north"} {
		out = append(out, govern.Observed{Cluster: name, UID: w.guidOf("uid", name), Platform: []string{"EKS", "k3s"}[i], Agent: AgentVersion, LastWord: w.ago(20 * time.Second).UnixNano(), Nodes: 3 + i, NodesWatched: 3 + i,
			AuditLast: w.ago(time.Minute).UnixNano(), Sensor: govern.Sighting{At: w.now.UnixNano()}, PolicyAddon: govern.Sighting{At: w.now.UnixNano()}, Workloads: 14, Unowned: 3,
			Running: map[string]int{"critical": i, "high": 6, "medium": 20}, AlertsOpen: map[string]int{"medium": 1}, NodeDays7d: float64(7 * (3 + i))})
	}
	return out
}

func (w *World) observe(c *cluster) govern.Observed {
	r := w.rng("observed|"+c.Name, 0)
	nodes := 0
	for i := range c.Pools {
		if !c.Pools[i].Stopped {
			nodes += c.Pools[i].Nodes
		}
	}
	last := w.lastWord(c)
	o := govern.Observed{Cluster: c.Name, ID: c.id(), UID: w.guidOf("kube-system", c.Name), Platform: "AKS", Agent: AgentVersion, LastWord: last, Nodes: nodes, NodesWatched: nodes}
	o.IDFrom = "its nodes are of the cluster's node resource group"
	if c.Arc {
		o.Platform, o.IDFrom = "k3s", "its agent was told its ARM id"
	}
	if chance(r, 12) && nodes > 1 {
		o.NodesWatched-- // one node the sensor does not run on
	}
	if c.Quiet {
		o.NodesWatched = 0
	}
	if chance(r, 80) {
		o.AuditLast, o.AuditAs = last-int64(time.Duration(r.IntN(40))*time.Second), "kube-audit"
		if c.Logs.Kind == "kube-audit-admin" {
			o.AuditAs = "kube-audit-admin"
		}
	}
	o.Sensor = govern.Sighting{At: last}
	if c.Profile || c.Helm {
		o.Sensor = govern.Sighting{Seen: true, At: last, Where: []string{sensorSpace(c) + "/DaemonSet/microsoft-defender-collector-ds", "CustomResourceDefinition/runtimepolicies.defender.microsoft.com"}, Ready: nodes, Wanted: nodes}
		if c.Flags>>37&15 == 0 && c.Story == "" {
			o.Sensor.Ready = max(0, nodes-1)
		}
	}
	o.PolicyAddon = govern.Sighting{At: last}
	if c.Policy {
		o.PolicyAddon = govern.Sighting{Seen: true, At: last, Where: []string{"kube-system/Deployment/azure-policy", "gatekeeper-system/Deployment/gatekeeper-controller"}, Ready: 3, Wanted: 3}
	}
	work := w.workOf(c)
	by := map[string]int{}
	for _, key := range work {
		ns, _, _ := splitWork(key)
		by[ns]++
	}
	for _, ns := range c.namespaces() {
		if by[ns] == 0 {
			continue
		}
		owner, from := w.ownerIn(c, ns)
		o.Namespaces = append(o.Namespaces, govern.NamespaceOwner{Namespace: ns, Owner: owner, From: from, Workloads: by[ns]})
		if owner == inventory.Unowned {
			o.Unowned += by[ns]
		}
	}
	o.Workloads = len(work)
	if c.few(41) {
		o.RunningWhy = "its registry refuses the scanner"
	} else {
		o.Running = map[string]int{"critical": r.IntN(4), "high": r.IntN(25), "medium": r.IntN(60), "low": r.IntN(80)}
		if chance(r, 50) {
			o.Running["critical"] = 0
		}
		if o.Running["critical"] > 1 && chance(r, 50) {
			o.Exploited = 1
		}
	}
	o.Canaries = w.canaries(c, o, last)
	o.AlertsOpen = map[string]int{}
	for _, a := range w.alertsOf(c) {
		if a.Source == "dockreeve" && (a.Status == finding.Open || a.Status == finding.Acknowledged) {
			o.AlertsOpen[a.Severity.String()]++
		}
		if a.Source == "dockreeve" && a.Severity >= finding.High && a.First > w.ago(7*24*time.Hour).UnixNano() {
			o.HighAlerts7d++
		}
	}
	o.NodeDays7d = float64(o.NodesWatched) * 7
	return o
}

// canaries say how each fared last: most came back within the hour, some never.
func (w *World) canaries(c *cluster, o govern.Observed, last int64) []govern.Canary {
	every := int64(24 * time.Hour)
	sent := last - int64(time.Duration(10+c.Flags%600)*time.Minute)
	back := func(kind string, late bool) govern.Canary {
		k := govern.Canary{Kind: kind, Sent: sent, Seen: sent + int64(4*time.Second), Every: every}
		if late {
			k.Seen = sent - int64(time.Duration(3+c.Flags%9)*24*time.Hour)
		}
		return k
	}
	out := []govern.Canary{back(govern.CanaryExec, c.Flags>>29&31 == 0 && c.Story == "")}
	if o.Running != nil {
		out = append(out, w.imageCanary())
	}
	if o.AuditLast > 0 {
		out = append(out, back(govern.CanaryAudit, c.Flags>>24&31 == 0 && c.Story == ""))
	}
	denial := back(govern.CanaryDenial, false)
	deny := func(by, answer string) { denial.Denied, denial.By, denial.Answer = sent, by, answer }
	switch {
	case c.few(33): // nobody set it up
		denial = govern.Canary{Kind: govern.CanaryDenial, NotAssessed: "what the cluster denies is not tried: no right to create pods in a namespace dockreeve-canary, which admits none (kubectl apply -f deploy/kubernetes/canary.yaml)"}
	case c.Policy && c.few(41): // in place in name only: its namespaces are left out of the policy
		denial.Answer = "let in by everyone but the quota of its namespace"
	case c.Policy && !c.few(37):
		deny("admission webhook validation.gatekeeper.sh, azurepolicy-k8sazurev2noprivilege", "[azurepolicy-k8sazurev2noprivilege] a privileged container is not allowed: canary")
	case c.few(37):
		deny("Pod Security Admission (baseline)", "violates PodSecurity “baseline:latest”: host namespaces, hostPath volumes, privileged")
	default:
		denial.Answer = "let in by everyone but the quota of its namespace"
	}
	if o.AuditLast == 0 && denial.Sent > 0 {
		denial.Seen, denial.Untold = 0, "the API server is not watched: see docs/audit.md"
	}
	return append(out, denial)
}

// imageCanary is the test image of the hub that scans all these clusters' images: the same
// for each of them. The vulnerability is made up, as all here.
func (w *World) imageCanary() govern.Canary {
	sent := w.ago(3 * time.Hour).UnixNano()
	return govern.Canary{Kind: govern.CanaryImage, Sent: sent, Seen: sent + int64(2*time.Second), Every: int64(24 * time.Hour),
		Answer: "CVE-2026-90001 in demo-library 0-1, fixed in 1.4-2 (Debian:12); advisories of " + w.ago(5*time.Hour).UTC().Format(time.DateOnly)}
}

// Usage is what namespaces and clusters used, hour by hour, over the last seven days and
// today: the clusters of stories and some dozen more by namespace, the others where
// Dockreeve runs as a whole, and only in the hours 3, 11 and 19 of a day. Cluster is an
// ARM id, as cost.Input wants it.
func (w *World) Usage() []inventory.Usage {
	var out []inventory.Usage
	detailed := 0
	for _, c := range w.clusters {
		if !c.Here || c.Quiet {
			continue
		}
		full := c.Rich || c.Story != "" || detailed < 12
		if full {
			detailed++
		}
		for n := 7; n >= 0; n-- {
			for h := range 24 {
				hour := w.day(n).Add(time.Duration(h) * time.Hour)
				if hour.Add(time.Hour).After(w.now) || hour.Before(c.Created) {
					continue
				}
				if full || h%8 == 3 {
					out = w.hour(out, c, n, h, hour, full)
				}
			}
		}
	}
	return out
}

func (w *World) hour(out []inventory.Usage, c *cluster, n, h int, hour time.Time, full bool) []inventory.Usage {
	r := w.rng("usage|"+c.Name, n*24+h)
	nodes, cores := 0.0, 0.0
	for i := range c.Pools {
		p := &c.Pools[i]
		k := w.nodesOn(c, p, n)
		if p.Since.After(hour) {
			k = 0
		} else if p.Since.After(w.day(n)) {
			k = float64(p.Nodes)
		}
		nodes, cores = nodes+k, cores+k*float64(w.cores(p.Size))
	}
	busy := 0.35
	if h >= 7 && h < 19 {
		busy = 0.6
	}
	mining := 0.0
	if i := len(c.Pools) - 1; c.Story == "miner" && !c.Pools[i].Since.After(hour) {
		mining = float64(c.Pools[i].Nodes * w.cores(c.Pools[i].Size))
	}
	own := cores - mining
	total := inventory.Usage{Cluster: c.id(), Hour: hour.UnixNano(), Nodes: nodes, Cores: cores, Samples: 60}
	for i, ns := range c.namespaces() {
		share := []float64{0.55, 0.1, 0.12, 0.13, 0.1}[i]
		owner, _ := w.ownerIn(c, ns)
		u := inventory.Usage{Cluster: c.id(), Hour: hour.UnixNano(), Namespace: ns, Owner: owner, Requested: own * 0.6 * share, Used: own * busy * share * (0.9 + 0.2*r.Float64()), Memory: own * 2.2 * share, Egress: w.egressOn(c, 30) * 1e9 / 24 * share, Samples: 60}
		if ns == "batch" {
			u.Used += mining * 0.97
			if mining > 0 {
				u.Egress += 60e9 / 24
			}
		}
		u.Charged = max(u.Requested, u.Used) + 0.03*min(u.Requested, u.Used)
		total.Requested, total.Used, total.Charged = total.Requested+u.Requested, total.Used+u.Used, total.Charged+u.Charged
		total.Memory, total.Egress = total.Memory+u.Memory, total.Egress+u.Egress
		if full {
			out = append(out, u)
		}
	}
	return append(out, total)
}
