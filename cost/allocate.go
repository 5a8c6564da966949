package cost

import (
	"fmt"
	"sort"
	"strings"
	"time"
)

// platform are the namespaces that serve all others of a cluster: what they use is shared.
var platform = map[string]bool{
	"kube-system": true, "kube-public": true, "kube-node-lease": true,
	"gatekeeper-system": true, "calico-system": true, "calico-apiserver": true, "tigera-operator": true,
	"aks-command": true, "aks-istio-system": true, "aks-istio-ingress": true, "aks-istio-egress": true,
	"app-routing-system": true, "azure-arc": true, "azure-arc-release": true, "azure-extensions-usage-system": true,
	"dataprotection-microsoft": true, "flux-system": true, "mdc": true, "dockreeve": true, "dockreeve-system": true,
}

// Unowned is the key of the allocation that nobody owns.
const Unowned = "unowned"

// parts is what became of the money of one cluster in the window.
type parts struct {
	namespaces map[string]*Allocation
	billed     Amount
	idle       Amount
	shared     Amount
	unmeasured Amount // nodes, at times nobody measured; in the allocation of the cluster as a whole
	widened    int    // charge periods divided by what was measured at other times
	noCapacity bool   // idle is not known: what nodes had was not told
	days       map[int64]*DayCost
	became     map[string]map[int64]Amount // by namespace, mixIdle, mixPlatform; by day
}

// give charges a namespace, or one of the shares that are none, with money of a day.
func (p *parts) give(cluster, ns string, day int64, a Amount) {
	if p.became[ns] == nil {
		p.became[ns] = map[int64]Amount{}
	}
	p.became[ns][day] += a
	switch ns {
	case mixIdle:
		p.idle += a
		p.days[day].Idle += a
	case mixPlatform:
		p.shared += a
	default:
		p.of(cluster, ns).Cost.Amount += a
	}
}

func (p *parts) of(cluster, ns string) *Allocation {
	a := p.namespaces[ns]
	if a == nil {
		a = &Allocation{Key: cluster, Cluster: cluster, Namespace: ns}
		if ns != "" {
			a.Key = cluster + "|" + ns
		}
		p.namespaces[ns] = a
	}
	return a
}

// period is a time that a cluster was billed for.
type period struct{ start, end int64 }

// pot is what a cluster was billed for one period.
type pot struct {
	nodes  Amount
	shared Amount
	direct map[string]Amount // by namespace
}

// allocate divides what clusters cost among their namespaces and owners. Every micro of
// the window's bill is in exactly one of: an allocation's Cost, Idle, Shared, Unassigned.
//
// What nodes cost is divided by core-hours, max(requested, used), hour by hour: an hour
// costs in proportion to the cores that the nodes had in it; cores that no pod is charged
// with are idle; where pods are charged with more than there was, they share it in
// proportion and nothing is idle. A charge for hours of which some were measured is
// divided by those; of which none was, by its days, else by the window; of a cluster that
// was never measured, it is an allocation of the cluster as a whole (Namespace ""), that
// its owner bears. Volumes and addresses go to the namespace that their tags name.
// Everything else of a cluster is shared, and so is what platform namespaces are charged
// with.
func allocate(in *Input, r *Report) {
	l := billOf(in)
	r.From, r.To, r.Rows = l.from, l.to, l.bill.Len()
	if l.currency != "" {
		r.Currency = l.currency
	}
	l.tell(r)
	if r.Clusters == nil {
		r.Clusters = map[string]ClusterCost{}
	}
	pots := map[string]map[period]*pot{}
	days, nobodys := map[int64]Amount{}, map[int64]Amount{}
	var billed, unassigned, committed Amount
	for c := range l.all() {
		if !l.within(c) {
			continue
		}
		if (c.Commitment != "" || c.Pricing == "Committed") && c.usage && c.cluster != "" {
			committed += c.spend - c.Billed
		}
		billed += c.Billed
		days[c.day] += c.Billed
		if c.cluster == "" {
			unassigned += c.Billed
			nobodys[c.day] += c.Billed
			continue
		}
		if pots[c.cluster] == nil {
			pots[c.cluster] = map[period]*pot{}
		}
		at := period{c.start, c.end}
		p := pots[c.cluster][at]
		if p == nil {
			p = &pot{direct: map[string]Amount{}}
			pots[c.cluster][at] = p
		}
		switch ns := namespaceOf(c.Charge); {
		case platform[ns]:
			p.shared += c.Billed
		case ns != "":
			p.direct[ns] += c.Billed
		case c.nodes:
			p.nodes += c.Billed
		default:
			p.shared += c.Billed
		}
	}
	var idle, shared, unmeasured Amount
	widened, noCapacity := 0, 0
	var all []Allocation
	over := overTime{teams: map[string]map[int64]Amount{}, idle: map[int64]Amount{}, shared: map[int64]Amount{}, unassigned: nobodys}
	for _, id := range sortedKeys(pots) {
		p := l.divide(id, pots[id])
		idle += p.idle
		shared += p.shared
		unmeasured += p.unmeasured
		widened += p.widened
		if p.noCapacity {
			noCapacity++
		}
		list := l.finish(r, id, p)
		over.add(p, list)
		all = append(all, list...)
	}
	l.months(r)
	sort.Slice(all, func(a, b int) bool {
		if all[a].Cost.Amount != all[b].Cost.Amount {
			return all[a].Cost.Amount > all[b].Cost.Amount
		}
		return all[a].Key < all[b].Key
	})
	r.Namespaces, r.Teams = all, teams(all)
	r.Billed, r.Idle, r.Shared, r.Unassigned = l.money(billed), l.money(idle), l.money(shared), l.money(unassigned)
	if len(l.rows) == 0 {
		r.Billed = l.none("there are no charges to add up")
		r.Idle, r.Shared, r.Unassigned = r.Billed, r.Billed, r.Billed
	} else if len(l.usage) == 0 {
		r.Idle = l.none("no agent told what nodes had and pods used")
	}
	l.daysOf(r, days)
	over.write(r)
	if unmeasured != 0 {
		r.Gaps = append(r.Gaps, Gap{What: fmt.Sprintf("%.2f %s of nodes", unmeasured.Float(), l.currency),
			Reason: "nobody measured these clusters: the money is allocated to the owner of the whole cluster, and what of it is idle is not known",
			Remedy: "run Dockreeve's agents there"})
	}
	if committed != 0 {
		r.Gaps = append(r.Gaps, Gap{What: fmt.Sprintf("%.2f %s of reservations and savings plans", committed.Float(), l.currency),
			Reason: "clusters used them, but they are billed where they were bought: allocations follow the bill, not the amortised cost"})
	}
	if widened > 0 {
		r.Gaps = append(r.Gaps, Gap{What: fmt.Sprintf("%d charge periods", widened), Reason: "no hour of theirs was measured: they are divided as the days around them"})
	}
	if noCapacity > 0 {
		r.Gaps = append(r.Gaps, Gap{What: fmt.Sprintf("idle of %d clusters", noCapacity), Reason: "what their nodes had was not told for some hours: idle cores of those hours are in the allocations"})
	}
}

// divide gives the money of one cluster to its namespaces.
func (l *ledger) divide(id string, pots map[period]*pot) *parts {
	out := &parts{namespaces: map[string]*Allocation{}, days: map[int64]*DayCost{}, became: map[string]map[int64]Amount{}}
	for i, us := 0, l.hours(id, l.from, l.to); i < len(us); i++ {
		if ns := us[i].Namespace; ns != "" && !platform[ns] {
			a := out.of(id, ns)
			a.CoreHours += us[i].Charged
			a.Requested += us[i].Requested
			a.Used += us[i].Used
			if us[i].UsedWhy != "" {
				a.UsedWhy = us[i].UsedWhy
			}
			if a.Owner == "" {
				a.Owner = us[i].Owner
			}
		}
	}
	var window *mix
	for at, p := range pots {
		on := at.start / day
		d := out.days[on]
		if d == nil {
			d = &DayCost{Day: dayName(on)}
			out.days[on] = d
		}
		out.give(id, mixPlatform, on, p.shared)
		sum := p.nodes + p.shared
		for ns, a := range p.direct {
			out.give(id, ns, on, a)
			sum += a
		}
		d.Billed += sum
		out.billed += sum
		if p.nodes == 0 {
			continue
		}
		m := l.mix(id, at.start, at.end)
		if m == nil {
			from, to := at.start-at.start%day, at.end+day-1
			if m = l.mix(id, from, to-to%day); m == nil {
				if window == nil {
					window = l.mix(id, l.from, l.to)
				}
				m = window
			}
			if m != nil {
				out.widened++
			}
		}
		if m == nil {
			out.give(id, "", on, p.nodes)
			out.of(id, "").UsedWhy = "nobody measured this cluster: its nodes are not divided among namespaces"
			out.unmeasured += p.nodes
			continue
		}
		out.noCapacity = out.noCapacity || m.noCapacity
		got, _ := split(p.nodes, m.shares)
		for i, s := range m.shares {
			if s.key == "" {
				if got[i] == 0 {
					continue
				}
				out.of(id, "").UsedWhy = "some hours were measured for the cluster as a whole only: no namespace is known for them"
			}
			out.give(id, s.key, on, got[i])
		}
	}
	return out
}

// The shares of a mix that are no namespaces; no namespace can have such a name.
const (
	mixIdle     = "(idle)"
	mixPlatform = "(platform)"
)

// mix is how the nodes of a cluster were used in a time.
type mix struct {
	shares     []share // by key
	noCapacity bool
}

// mix adds up the measured hours of a time; nil if there are none that say anything.
func (l *ledger) mix(cluster string, from, to int64) *mix {
	us := l.hours(cluster, from, to)
	// What a measured hour weighs is what nodes had in it; where that was not told, what
	// they had on average in the others.
	var had float64
	told := 0
	for i := range us {
		if us[i].Namespace == "" && us[i].Cores > 0 {
			had += us[i].Cores
			told++
		}
	}
	average := 1.0
	if told > 0 {
		average = had / float64(told)
	}
	weights := map[string]float64{}
	out := &mix{}
	for i := 0; i < len(us); {
		k, cores, charged, total := i, 0.0, 0.0, 0.0
		for ; k < len(us) && us[k].Hour == us[i].Hour; k++ {
			if us[k].Namespace == "" {
				cores, total = us[k].Cores, us[k].Charged
			} else {
				charged += us[k].Charged
			}
		}
		// What the cluster is charged with and no namespace was told of is the whole cluster's.
		unnamed := total - charged
		if unnamed > 1e-6*total {
			charged = total
		} else {
			unnamed = 0
		}
		weigh := cores
		if cores == 0 {
			weigh = average
			if charged > 0 {
				out.noCapacity = true
			}
		}
		if of := max(cores, charged); of > 0 {
			for ; i < k; i++ {
				if ns := us[i].Namespace; platform[ns] {
					weights[mixPlatform] += weigh * us[i].Charged / of
				} else if ns != "" {
					weights[ns] += weigh * us[i].Charged / of
				}
			}
			weights[mixIdle] += weigh * max(0, cores-charged) / of
			weights[""] += weigh * unnamed / of
		}
		i = k
	}
	any := false
	for _, k := range sortedKeys(weights) {
		out.shares = append(out.shares, share{k, weights[k]})
		any = any || weights[k] > 0
	}
	if !any {
		return nil
	}
	return out
}

// finish writes what became of one cluster's money into the report.
func (l *ledger) finish(r *Report, id string, p *parts) []Allocation {
	names := sortedKeys(p.namespaces)
	byCost := make([]share, len(names))
	byCores := make([]share, len(names))
	for i, ns := range names {
		a := p.namespaces[ns]
		byCost[i] = share{ns, a.Cost.Amount.Float()}
		byCores[i] = share{ns, a.CoreHours}
		if ns == "" {
			byCores[i].weight = 0
		}
	}
	idle, idleOK := split(p.idle, byCost)
	if !idleOK {
		idle, idleOK = split(p.idle, byCores)
	}
	c := r.Clusters[id]
	protection, why := protectionOf(c, l.currency, l.in.HereWhy)
	protected, coresOK := split(protection, byCores)
	out := make([]Allocation, 0, len(names))
	for i, ns := range names {
		a := *p.namespaces[ns]
		a.Owner = l.owner(id, ns, a.Owner)
		a.Cost = l.money(a.Cost.Amount)
		a.IdleShare, a.Protection = l.money(idle[i]), l.money(protected[i])
		a.Protection.Source = "cluster's protection by core-hours"
		switch {
		case ns == "" || !idleOK:
			a.IdleShare = l.none("what is idle is not known: nobody measured it")
		}
		switch {
		case why != "":
			a.Protection = l.none("%s", why)
		case ns == "" && len(names) == 1:
			a.Protection.Amount = protection
		case !coresOK:
			a.Protection = l.none("no core-hours to divide the cluster's protection by")
		}
		if a.Protection.NotAssessed == "" && l.in.HereWhy != "" {
			a.Protection.NotAssessed = "in part: without Dockreeve's: " + l.in.HereWhy
		}
		out = append(out, a)
	}
	c.Idle = l.money(p.idle)
	if len(l.usage[id]) == 0 {
		c.Idle = l.none("nobody measured this cluster")
	}
	for _, d := range p.days {
		i := sort.Search(len(c.Days), func(i int) bool { return c.Days[i].Day >= d.Day })
		if i == len(c.Days) || c.Days[i].Day != d.Day {
			c.Days = append(c.Days, DayCost{})
			copy(c.Days[i+1:], c.Days[i:])
			c.Days[i] = DayCost{Day: d.Day}
		}
		c.Days[i].Billed, c.Days[i].Idle = d.Billed, d.Idle
	}
	r.Clusters[id] = c
	return out
}

// protectionOf adds up what protection costs a cluster, in the report's currency; without
// Dockreeve's where nobody could tell where its agents run.
func protectionOf(c ClusterCost, currency, hereWhy string) (sum Amount, why string) {
	if len(c.Protection) == 0 {
		return 0, "what protection costs this cluster is not known"
	}
	for _, p := range c.Protection {
		if p.Provider == ProviderDockreeve && hereWhy != "" {
			continue
		}
		if p.Total.NotAssessed != "" {
			return 0, p.Provider + ": " + p.Total.NotAssessed
		}
		if p.Total.Currency != currency {
			return 0, fmt.Sprintf("%s is priced in %s, the bill is in %s", p.Provider, p.Total.Currency, currency)
		}
		var ok bool
		if sum, ok = add(sum, p.Total.Amount); !ok {
			return 0, ErrOverflow.Error()
		}
	}
	return sum, ""
}

func (l *ledger) owner(cluster, ns, told string) string {
	if ns != "" {
		if o := l.in.Owners[cluster+"|"+ns]; o != "" {
			return o
		}
		if told != "" {
			return told
		}
	}
	return l.in.Owners[cluster]
}

// teams adds allocations up by owner.
func teams(all []Allocation) []Allocation {
	by := map[string]*Allocation{}
	for _, a := range all {
		key := a.Owner
		if key == "" {
			key = Unowned
		}
		t := by[key]
		if t == nil {
			t = &Allocation{Key: key, Owner: a.Owner, Cost: a.Cost, IdleShare: a.IdleShare, Protection: a.Protection,
				CoreHours: a.CoreHours, Requested: a.Requested, Used: a.Used, UsedWhy: a.UsedWhy}
			by[key] = t
			continue
		}
		t.CoreHours += a.CoreHours
		t.Requested += a.Requested
		t.Used += a.Used
		if t.UsedWhy == "" {
			t.UsedWhy = a.UsedWhy
		}
		t.Cost.Amount += a.Cost.Amount
		t.IdleShare = plus(t.IdleShare, a.IdleShare)
		t.Protection = plus(t.Protection, a.Protection)
	}
	out := make([]Allocation, 0, len(by))
	for _, k := range sortedKeys(by) {
		out = append(out, *by[k])
	}
	sort.SliceStable(out, func(a, b int) bool { return out[a].Cost.Amount > out[b].Cost.Amount })
	return out
}

// plus adds a part to a sum, of which some parts may not be known: the sum then says so
// and is what is known.
func plus(sum, part Money) Money {
	a, ok := add(sum.Amount, part.Amount)
	switch {
	case part.NotAssessed != "" && sum.NotAssessed == "":
		sum.NotAssessed = "in part: " + part.NotAssessed
	case part.NotAssessed != "":
	case !ok:
		sum.NotAssessed = ErrOverflow.Error()
	default:
		sum.Amount = a
		if sum.Source == "" {
			sum.Source, sum.AsOf = part.Source, part.AsOf
		}
		if sum.NotAssessed != "" && !strings.HasPrefix(sum.NotAssessed, "in part: ") {
			sum.NotAssessed = "in part: " + sum.NotAssessed
		}
	}
	return sum
}

// daysOf writes the days of everything, with what others wrote of the clusters' days.
func (l *ledger) daysOf(r *Report, billed map[int64]Amount) {
	by := map[string]*DayCost{}
	for d, a := range billed {
		by[dayName(d)] = &DayCost{Day: dayName(d), Billed: a}
	}
	over := false
	for _, id := range sortedKeys(r.Clusters) {
		for _, c := range r.Clusters[id].Days {
			d := by[c.Day]
			if d == nil {
				d = &DayCost{Day: c.Day}
				by[c.Day] = d
			}
			p, ok := add(d.Protection, c.Protection)
			if !ok {
				over = true
				continue
			}
			d.Protection = p
			d.Idle += c.Idle
			d.Nodes += c.Nodes
			d.VCores += c.VCores
		}
	}
	if over {
		r.Gaps = append(r.Gaps, Gap{What: "protection by day", Reason: ErrOverflow.Error()})
	}
	for _, d := range by {
		_, ok := billed[dayOf(d.Day)]
		d.NotBilled = !ok
	}
	r.Days = make([]DayCost, 0, len(by))
	for _, k := range sortedKeys(by) {
		r.Days = append(r.Days, *by[k])
	}
}

// dayOf is a day of a report as a number; -1 if it is none.
func dayOf(name string) int64 {
	t, err := time.Parse(time.DateOnly, name)
	if err != nil {
		return -1
	}
	return t.UnixNano() / day
}

// namespaceOf is the namespace that the tags of a volume or an address name.
func namespaceOf(c *Charge) string {
	for k, v := range c.Tags {
		switch lower(k) {
		case "kubernetes.io-created-for-pvc-namespace", "kubernetes.io/created-for/pvc/namespace":
			return lower(v)
		case "k8s-azure-service":
			ns, _, ok := strings.Cut(v, "/")
			if ok {
				return lower(ns)
			}
		}
	}
	return ""
}

// isNodes says whether a charge of a cluster is for its nodes: machines and their scale
// sets, but not what they send. A row that names neither resource nor meter is what is
// left when a bill was grouped by resource group, and nodes are most of that.
func isNodes(c *Charge) bool {
	if !isUsage(c) && c.Class == "" {
		return false
	}
	meter := lower(c.MeterCategory)
	if meter == "bandwidth" || meter == "virtual network" {
		return false
	}
	if meter == "virtual machines" || meter == "virtual machines licenses" {
		return true
	}
	res := lower(c.Resource)
	if strings.Contains(res, "/microsoft.compute/virtualmachine") {
		return true
	}
	if res != "" && clusterID(res) == "" && strings.Contains(res, "/providers/") {
		return false
	}
	svc := lower(c.Service)
	return svc == "virtual machines" || svc == "" && meter == "" && clusterID(res) == ""
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
