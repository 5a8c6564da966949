package cost

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// useDay is what of a cluster ran on one day.
type useDay struct {
	hours      float64 // of the day that count: in the window, after the cluster was made
	vcoreHours float64
	nodeHours  float64
	how        string // one of the used… words
	why        string // why vCores are not known
	pools      []poolDay
}

// How it is known what ran, in order of trust.
const (
	usedBill  = "billed hours of its VMs"
	usedAgent = "cores that agents saw"
	usedCount = "present node counts"
	usedArc   = "cores that Arc tells"
)

// poolDay is what of a node pool ran on one day.
type poolDay struct {
	pool      string
	size      string
	vcpus     int
	memory    float64
	nodeHours float64
	perHour   float64 // of a node, in units of currency
	cost      Amount  // where billed
	billed    bool
	priceWhy  string
	source    string // of the price
	spot      bool
	windows   bool
}

func (u *useDay) onlyWindows() bool {
	any := false
	for i := range u.pools {
		if u.pools[i].nodeHours > 0 {
			if !u.pools[i].windows {
				return false
			}
			any = true
		}
	}
	return any
}

// clusterBill is what a bill says of one cluster.
type clusterBill struct {
	days   map[int]map[string]*vmDay // day of the window → pool or resource
	rows   int
	spend  map[int]Amount // effective, without protection billed on the cluster itself
	odd    int            // VM rows whose unit is not plain hours
	billed Amount
}

type vmDay struct {
	hours float64
	cost  Amount
	size  string
}

// kindOf is what meters say that charges of some facts are for.
type kindOf struct {
	what  string
	known bool
}

func (p *protector) kind(r *row) string {
	if p.kinds == nil {
		p.kinds = make([]kindOf, len(p.l.facts))
	}
	k := &p.kinds[r.fact]
	if !k.known {
		*k = kindOf{p.meters.kind(r.Charge), true}
	}
	return k.what
}

// pooled is the node pool of charges; no name = it was not looked for yet.
type pooled struct {
	name string
	pool *cloud.Pool
}

// readBill sorts the rows of clusters by day and pool.
func (p *protector) readBill() {
	p.bills = map[string]*clusterBill{}
	pools := map[string][]cloud.Pool{}
	for i := range p.in.Tenant.Clusters {
		c := &p.in.Tenant.Clusters[i]
		pools[lower(c.ID)] = c.Pools
	}
	named := make([]pooled, len(p.l.facts))
	effective := map[string]bool{} // clusters for which the bill has effective costs
	for row := range p.l.all() {
		if row.cluster == "" || !p.l.within(row) {
			continue
		}
		k := p.index(row.day)
		if k < 0 {
			continue
		}
		b := p.bills[row.cluster]
		if b == nil {
			b = &clusterBill{days: map[int]map[string]*vmDay{}, spend: map[int]Amount{}}
			p.bills[row.cluster] = b
		}
		b.rows++
		b.billed += row.Billed
		if row.Effective != 0 {
			effective[row.cluster] = true
		}
		kind := p.kind(row)
		if kind != MeterPlan && kind != MeterScans {
			b.spend[k] += row.Effective
		}
		if kind != MeterCompute {
			continue
		}
		in := &named[row.fact]
		if in.name == "" {
			in.name, in.pool = poolOf(row.Charge, pools[row.cluster])
		}
		name, pool := in.name, in.pool
		v := b.days[k][name]
		if v == nil {
			if b.days[k] == nil {
				b.days[k] = map[string]*vmDay{}
			}
			v = &vmDay{}
			b.days[k][name] = v
		}
		v.cost += row.Effective
		if v.size == "" {
			v.size = p.sizeOf(row.Charge, pool)
		}
		switch {
		case !row.usage:
		case plainHours(row.QuantityUnit) && row.Quantity >= 0 && row.Quantity < 1e9:
			v.hours += row.Quantity
		default:
			b.odd++
		}
	}
}

// plainHours says whether a unit is an hour of a machine. Where it is ten or a hundred,
// exports differ in what the quantity beside it means.
func plainHours(unit string) bool {
	switch lower(strings.TrimSpace(unit)) {
	case "hours", "hour", "1 hour", "1 hours":
		return true
	}
	return false
}

// poolOf finds the pool of a VM's charge by the name that AKS gives its machines.
func poolOf(c *Charge, pools []cloud.Pool) (name string, pool *cloud.Pool) {
	res := lower(c.Resource)
	machine := res[strings.LastIndexByte(res, '/')+1:]
	if strings.Contains(res, "/virtualmachinescalesets/") {
		machine, _, _ = strings.Cut(res[strings.Index(res, "/virtualmachinescalesets/")+len("/virtualmachinescalesets/"):], "/")
	}
	tagged := ""
	for k, v := range c.Tags {
		if lower(k) == "aks-managed-poolname" || lower(k) == "poolname" {
			tagged = lower(v)
		}
	}
	for i := range pools {
		n := lower(pools[i].Name)
		if n == "" {
			continue
		}
		if n == tagged || machine == "aks"+n || strings.HasPrefix(machine, "aks-"+n+"-") {
			if pool == nil || len(n) > len(pool.Name) {
				pool = &pools[i]
			}
		}
	}
	if pool != nil {
		return pool.Name, pool
	}
	if machine == "" {
		machine = "(not named)"
	}
	return machine, nil
}

// sizeOf finds the VM size of a charge: its own details, the pool, the meter's name.
func (p *protector) sizeOf(c *Charge, pool *cloud.Pool) string {
	for _, key := range []string{"x_SkuDetails", "AdditionalInfo"} {
		if s := c.More[key]; s != "" {
			var d struct{ ServiceType string }
			if json.Unmarshal([]byte(s), &d) == nil && d.ServiceType != "" {
				return d.ServiceType
			}
		}
	}
	if pool != nil && pool.Size != "" {
		return pool.Size
	}
	if _, ok := p.sizes.find(c.SKU); ok {
		return c.SKU
	}
	// "D4s v5 Spot", "E4 v3/E4s v3": names of sizes, found in the table or not at all.
	m, _, _ := strings.Cut(c.Meter, "/")
	m = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(m), " Spot"), " Low Priority")
	return "Standard_" + strings.ReplaceAll(m, " ", "_")
}

// measure finds out what ran of a cluster on each day, and what its nodes cost.
func (p *protector) measure(id string, x *protected, cc *ClusterCost) {
	c := x.cluster
	x.use = make([]useDay, len(p.days))
	b := p.bills[id]
	var vms []int // days with billed hours
	if b != nil {
		for k, ps := range b.days {
			for _, v := range ps {
				if v.hours > 0 {
					vms = append(vms, k)
					break
				}
			}
		}
		if b.odd > 0 {
			cc.Gaps = append(cc.Gaps, Gap{What: fmt.Sprintf("%d charges of its VMs", b.odd), Reason: "their quantity is not in plain hours: node-hours are not taken from them"})
		}
	}
	trust := len(vms) > 0 && b.odd == 0
	known := p.l.known[subscriptionOf(id)]
	counted := false
	for k := range p.days {
		u := &x.use[k]
		u.hours = p.hours[k]
		a, z := max(p.from, p.days[k]*day), min(p.l.to, (p.days[k]+1)*day)
		if c.Created >= z {
			u.hours, u.how = 0, usedCount
			continue
		}
		if c.Created > a {
			u.hours = float64(z-c.Created) / float64(hour)
		}
		complete := p.l.in.Now-(p.days[k]+1)*day >= billLag
		switch {
		case trust && known[p.days[k]] && complete:
			p.byBill(c, b.days[k], u)
		case p.byAgents(id, c, u, a, z):
		case trust && len(b.days[k]) > 0 && p.days[k]*day+day <= p.l.in.Now:
			p.byBill(c, b.days[k], u)
		case c.Kind == cloud.KindArc:
			p.byArc(c, u)
		default:
			p.byCount(c, u)
			counted = counted || u.vcoreHours > 0
		}
	}
	p.price(c, x)
	if counted {
		auto := false
		for i := range c.Pools {
			auto = auto || c.Pools[i].Autoscaled
		}
		why := "neither the bill nor agents tell what ran on some days: its nodes were counted as they are now"
		if auto {
			why += ", though pools of it are autoscaled"
			x.counted = true
		}
		cc.Gaps = append(cc.Gaps, Gap{What: "nodes", Reason: why})
	}
}

func (p *protector) pool(c *cloud.Cluster, name, size string) poolDay {
	n := poolDay{pool: name, size: size}
	for i := range c.Pools {
		if c.Pools[i].Name == name {
			n.spot = c.Pools[i].Spot
			n.windows = strings.EqualFold(c.Pools[i].OS, "windows")
		}
	}
	if s, ok := p.sizes.find(size); ok {
		n.vcpus, n.memory = s.VCPUs, s.Memory
	}
	return n
}

func (p *protector) byBill(c *cloud.Cluster, vms map[string]*vmDay, u *useDay) {
	u.how = usedBill
	for _, name := range sortedKeys(vms) {
		v := vms[name]
		n := p.pool(c, name, v.size)
		n.nodeHours, n.cost, n.billed = v.hours, v.cost, true
		u.add(n)
	}
}

// add adds a pool to a day.
func (u *useDay) add(n poolDay) {
	if n.vcpus == 0 && n.nodeHours > 0 {
		u.why = fmt.Sprintf("VM size %s of pool %s is in no table: its vCPUs are not guessed from its name", n.size, n.pool)
	}
	u.nodeHours += n.nodeHours
	u.vcoreHours += n.nodeHours * float64(n.vcpus)
	u.pools = append(u.pools, n)
}

// byAgents takes what agents saw, where they saw most of the day.
func (p *protector) byAgents(id string, c *cloud.Cluster, u *useDay, a, z int64) bool {
	var cores, nodes, seen float64
	us := p.l.hours(id, a, z)
	for i := range us {
		if us[i].Namespace == "" && us[i].Cores > 0 {
			cores += us[i].Cores
			nodes += us[i].Nodes
			seen++
		}
	}
	if seen == 0 || seen < 0.8*u.hours-1 {
		return false
	}
	u.how = usedAgent
	u.vcoreHours = cores / seen * u.hours
	u.nodeHours = nodes / seen * u.hours
	all := 0
	for i := range c.Pools {
		if !stopped(c, &c.Pools[i]) {
			all += c.Pools[i].Count
		}
	}
	for i := range c.Pools {
		if all == 0 || stopped(c, &c.Pools[i]) {
			continue
		}
		n := p.pool(c, c.Pools[i].Name, c.Pools[i].Size)
		n.nodeHours = u.nodeHours * float64(c.Pools[i].Count) / float64(all)
		u.pools = append(u.pools, n)
	}
	return true
}

func stopped(c *cloud.Cluster, pool *cloud.Pool) bool {
	return strings.EqualFold(c.Power, "Stopped") || strings.EqualFold(pool.Power, "Stopped")
}

func (p *protector) byCount(c *cloud.Cluster, u *useDay) {
	u.how = usedCount
	if len(c.Pools) == 0 && !strings.EqualFold(c.Power, "Stopped") {
		u.why = "no node pool is known of it"
		return
	}
	for i := range c.Pools {
		n := p.pool(c, c.Pools[i].Name, c.Pools[i].Size)
		if !stopped(c, &c.Pools[i]) && c.Pools[i].Count > 0 {
			n.nodeHours = float64(min(c.Pools[i].Count, 1_000_000)) * u.hours
		}
		u.add(n)
	}
}

func (p *protector) byArc(c *cloud.Cluster, u *useDay) {
	u.how = usedArc
	if c.Cores <= 0 {
		u.why = "Arc does not tell how many cores it has"
		return
	}
	u.vcoreHours = float64(min(c.Cores, 10_000_000)) * u.hours
	u.nodeHours = float64(min(max(c.Nodes, 0), 1_000_000)) * u.hours
}

// price gives each pool's nodes their price: as billed that day, as the pool was billed
// on other days of the window, else as priced for its size and region.
func (p *protector) price(c *cloud.Cluster, x *protected) {
	type sum struct {
		hours float64
		cost  Amount
	}
	same := p.book.to == p.l.currency
	bySize := map[string]*sum{}
	for k := range x.use {
		for i := range x.use[k].pools {
			n := &x.use[k].pools[i]
			if !n.billed || n.cost <= 0 || n.nodeHours == 0 || !same {
				continue
			}
			s := bySize[n.pool+"|"+n.size]
			if s == nil {
				s = &sum{}
				bySize[n.pool+"|"+n.size] = s
			}
			s.hours += n.nodeHours
			s.cost += n.cost
		}
	}
	type listed struct {
		p   Price
		why string
	}
	asked := map[string]listed{}
	for k := range x.use {
		for i := range x.use[k].pools {
			n := &x.use[k].pools[i]
			if n.nodeHours == 0 {
				continue
			}
			if n.billed && n.cost > 0 && same {
				n.perHour, n.source = n.cost.Float()/n.nodeHours, "bill"
				continue
			}
			if s := bySize[n.pool+"|"+n.size]; s != nil {
				n.perHour, n.source = s.cost.Float()/s.hours, "bill of other days"
				continue
			}
			key := fmt.Sprint(n.size, n.spot, n.windows)
			got, ok := asked[key]
			if !ok {
				got.p, got.why = p.vmPrice(n, c.Location)
				asked[key] = got
			}
			switch {
			case got.why != "":
				n.priceWhy = got.why
				if n.billed && n.cost == 0 {
					n.priceWhy = "the bill has its nodes at no cost (a reservation, in an export of actual costs), and " + got.why
				}
			default:
				n.perHour, n.source = got.p.Amount.Float(), got.p.Source
			}
		}
	}
}

// vmPrice gives the published price of a pool's nodes.
func (p *protector) vmPrice(n *poolDay, region string) (Price, string) {
	return p.book.price(PriceComputeHour, n.size, region, func(q *Price) bool {
		m := lower(q.Meter)
		return (q.Type == "" || q.Type == "Consumption") && !strings.Contains(m, "low priority") && strings.Contains(m, "spot") == n.spot &&
			strings.Contains(lower(q.Product), "windows") == n.windows
	})
}

// poolsOf adds pools up over the window, for the report.
func (p *protector) poolsOf(c *cloud.Cluster, x *protected) []PoolCost {
	type sum struct {
		PoolCost
		cost float64
		how  string
	}
	by := map[string]*sum{}
	get := func(pool, size string) *sum {
		s := by[pool+"|"+size]
		if s == nil {
			s = &sum{PoolCost: PoolCost{Pool: pool, Size: size}}
			by[pool+"|"+size] = s
		}
		return s
	}
	for i := range c.Pools {
		q := &c.Pools[i]
		s := get(q.Name, q.Size)
		s.Spot, s.Stopped = q.Spot, stopped(c, q)
		if size, ok := p.sizes.find(q.Size); ok {
			s.VCPUs = size.VCPUs
		}
	}
	var hours float64
	for k := range x.use {
		u := &x.use[k]
		hours += u.hours
		for i := range u.pools {
			n := &u.pools[i]
			s := get(n.pool, n.size)
			s.VCPUs, s.Spot = n.vcpus, s.Spot || n.spot
			s.Hours += n.nodeHours
			s.VCoreDays += n.nodeHours * float64(n.vcpus) / 24
			s.cost += n.perHour * n.nodeHours
			if n.priceWhy != "" && s.Compute.NotAssessed == "" {
				s.Compute.NotAssessed = n.priceWhy
			}
			if n.source != "" && s.how == "" {
				s.how = n.source
			} else if n.source != "" && s.how != n.source {
				s.how = "several"
			}
		}
	}
	out := make([]PoolCost, 0, len(by))
	for _, k := range sortedKeys(by) {
		s := by[k]
		if hours > 0 {
			s.Nodes = s.Hours / hours
		}
		s.Compute.Currency, s.Compute.Source = p.book.to, s.how
		switch {
		case s.Compute.NotAssessed != "":
		case s.cost > mostOfRow.Float():
			s.Compute.NotAssessed = ErrOverflow.Error()
		default:
			s.Compute.Amount = FromFloat(s.cost)
			if s.how == "" {
				s.Compute.Source = "did not run"
			}
		}
		out = append(out, s.PoolCost)
	}
	sort.SliceStable(out, func(a, b int) bool { return out[a].Pool < out[b].Pool })
	return out
}
