package tenant

import (
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/cost"
)

// Facts of the bill.
const (
	negotiated = 0.88 // of the list price of Defender, in the month before this one
	reserved   = 0.62 // of the list price, where a reservation covers it
	hoursMonth = 730.0
	dollars    = 1.08 // for a euro, in the one subscription that is billed in USD
	// CommonSize is what the reservation of the demo covers.
	commonSize = "Standard_D4s_v5"
)

// Charges is the bill of Options.Days days, by day, resource and meter. At 2,000 clusters
// and 60 days it is some 740,000 rows and 550 MiB; EachCharge gives them without holding
// them.
func (w *World) Charges() []cost.Charge {
	n := 0
	count := func(cost.Charge) bool { n++; return true }
	for _, s := range w.subs {
		w.chargesOf(s, count)
	}
	out := make([]cost.Charge, 0, n) // a slice that grows would take twice as much
	for _, s := range w.subs {
		w.chargesOf(s, func(c cost.Charge) bool { out = append(out, c); return true })
	}
	return out
}

// EachCharge gives the rows of Charges one by one, and ends with the first error.
func (w *World) EachCharge(out func(cost.Charge) error) error {
	var err error
	for _, s := range w.subs {
		if !w.chargesOf(s, func(c cost.Charge) bool { err = out(c); return err == nil }) {
			return err
		}
	}
	return nil
}

// EachChargeOf gives those of one subscription, by its id.
func (w *World) EachChargeOf(subscription string, out func(cost.Charge) error) error {
	s := w.bySub[strings.ToLower(subscription)]
	if s == nil {
		return fmt.Errorf("charges: no subscription %q in the demo tenant", subscription)
	}
	var err error
	w.chargesOf(s, func(c cost.Charge) bool { err = out(c); return err == nil })
	return err
}

// biller writes the rows of one subscription.
type biller struct {
	w      *World
	s      *subscription
	prices map[string]price
	out    func(cost.Charge) bool
	ended  bool

	words map[string]string              // the same word of many rows, once
	tags  map[*cluster]map[string]string // of what carries a cluster's nodes
	ids   map[[4]string]string           // of meters
}

func (w *World) biller(s *subscription, out func(cost.Charge) bool) *biller {
	b := &biller{w: w, s: s, out: out, words: map[string]string{}, tags: map[*cluster]map[string]string{}, ids: map[[4]string]string{}}
	b.prices, _, _ = readPrices()
	return b
}

// word gives the first of all equal strings, so that rows share it.
func (b *biller) word(s string) string {
	if have, ok := b.words[s]; ok {
		return have
	}
	b.words[s] = s
	return s
}

func (b *biller) meterID(l *line) string {
	k := [4]string{l.Category, l.Sub, l.Meter, l.Region}
	id := b.ids[k]
	if id == "" {
		id = meterID(k[:]...)
		b.ids[k] = id
	}
	return id
}

func (b *biller) tagsOf(c *cluster) map[string]string {
	t := b.tags[c]
	if t == nil {
		t = c.nodeTags()
		b.tags[c] = t
	}
	return t
}

// line is a row before it is one.
type line struct {
	Resource, Type, Service, Category, Sub, Meter, Unit string
	Quantity, List, Amount                              float64 // Amount is what is paid
	Region                                              string
	Tags                                                map[string]string
	More                                                map[string]string
	Commitment                                          string // reservation that pays: nothing is billed
}

func (b *biller) row(n int, l line) cost.Charge {
	from := b.w.day(n)
	month := time.Date(from.Year(), from.Month(), 1, 0, 0, 0, 0, time.UTC)
	rate := 1.0
	if b.s.Currency == "USD" {
		rate = dollars
	}
	amount := cost.FromFloat(l.Amount * rate)
	resource := b.word(strings.ToLower(l.Resource))
	c := cost.Charge{Provider: "Microsoft", Publisher: "Microsoft", Issuer: "Microsoft", BillingAccount: "/providers/microsoft.billing/billingaccounts/8611537", SubAccount: b.s.id(), SubAccountName: b.s.Name,
		PeriodStart: month.UnixNano(), PeriodEnd: month.AddDate(0, 1, 0).UnixNano(), Start: from.UnixNano(), End: from.Add(24 * time.Hour).UnixNano(),
		Category: "Usage", Description: b.word(l.Category + " - " + l.Meter), Currency: b.s.Currency, Billed: amount, Effective: amount, List: cost.FromFloat(l.List * rate), Contracted: amount,
		Quantity: l.Quantity, QuantityUnit: l.Unit, Priced: l.Quantity, PricedUnit: l.Unit, Pricing: "Standard", Region: l.Region, Resource: resource,
		ResourceName: resource[strings.LastIndexByte(resource, '/')+1:], ResourceType: l.Type, Service: l.Service, Meter: l.Meter, MeterCategory: l.Category, MeterSub: l.Sub,
		MeterID: b.meterID(&l), Tags: l.Tags, CostCentre: b.s.Tags["costCentre"], More: l.More}
	c.SKU, c.SKUPrice = c.MeterID, b.word(c.MeterID+"/0001")
	if l.Commitment != "" {
		c.Billed, c.Contracted, c.Pricing, c.Commitment, c.CommitmentUse = 0, 0, "Committed", l.Commitment, "Used"
	}
	return c
}

func (b *biller) add(n int, l line) {
	if !b.ended && l.Quantity != 0 {
		b.put(b.row(n, l))
	}
}

func (b *biller) put(c cost.Charge) { b.ended = b.ended || !b.out(c) }

// meter bills a quantity of one of the demo's own prices.
func (b *biller) meter(n int, key string, quantity float64, resource, kind, region string, tags, more map[string]string) {
	p := b.prices[key]
	sum := quantity * p.Amount
	b.add(n, line{Resource: resource, Type: kind, Service: p.Service, Category: p.Category, Sub: p.Sub, Meter: p.Meter, Unit: p.Unit, Quantity: quantity, List: sum, Amount: sum, Region: region, Tags: tags, More: more})
}

// meterID is a stable guid of a meter.
func meterID(words ...string) string {
	h := fnv.New128a()
	h.Write([]byte(strings.ToLower(strings.Join(words, "|"))))
	s := h.Sum(nil)
	return fmt.Sprintf("%x-%x-4%x-8%x-%x", s[:4], s[4:6], s[6:8], s[8:10], s[9:15])[:36]
}

// chargesOf gives the rows of one subscription, day by day; false = out had enough.
func (w *World) chargesOf(s *subscription, out func(cost.Charge) bool) bool {
	b := w.biller(s, out)
	for n := w.opts.Days; n >= 1 && !b.ended; n-- {
		for _, c := range s.clusters {
			b.cluster(c, n)
		}
		b.subscription(n)
	}
	return !b.ended
}

// reservation is the id of the subscription's reservation; "" = it has none.
func (s *subscription) reservation() string {
	if s.i%20 != 2 {
		return ""
	}
	return "/providers/microsoft.capacity/reservationorders/" + s.GUID + "/reservations/" + s.GUID
}

func (c *cluster) nodeTags() map[string]string {
	t := map[string]string{"aks-managed-cluster-name": c.Name, "aks-managed-cluster-rg": c.RG}
	for k, v := range c.Tags {
		t[k] = v
	}
	return t
}

func (c *cluster) nodeResource(kind, name string) string {
	return c.sub.path() + "/resourceGroups/" + c.nodeGroup() + "/providers/" + kind + "/" + name
}

func (b *biller) cluster(c *cluster, n int) {
	w := b.w
	if c.Arc || !c.Created.Before(w.day(n-1)) {
		return
	}
	tags := b.tagsOf(c)
	for i := range c.Pools {
		b.pool(c, &c.Pools[i], n, tags)
	}
	if c.Stopped {
		b.meter(n, "disk.month", 2/30.0, c.nodeResource("Microsoft.Compute/disks", "pvc-"+c.App), "microsoft.compute/disks", c.Region.Name, tags, nil)
		return
	}
	r := w.rng("day|"+c.Name, n)
	b.meter(n, "disk.month", float64(2+c.Flags%6)/30, c.nodeResource("Microsoft.Compute/disks", "pvc-"+c.App), "microsoft.compute/disks", c.Region.Name, tags, nil)
	b.meter(n, "lb.hour", 24, c.nodeResource("Microsoft.Network/loadBalancers", "kubernetes"), "microsoft.network/loadbalancers", c.Region.Name, tags, nil)
	b.meter(n, "bandwidth.gb", w.egressOn(c, n)*(0.97+0.06*r.Float64()), c.nodeResource("Microsoft.Network/publicIPAddresses", "kubernetes-"+c.App), "microsoft.network/publicipaddresses", c.Region.Name, tags, nil)
	if c.Tier != "Free" {
		b.meter(n, "aks.uptime-hour", 24, c.path(), "microsoft.containerservice/managedclusters", c.Region.Name, c.Tags, nil)
	}
}

// egressOn is what a cluster sends out in a day, in GB.
func (w *World) egressOn(c *cluster, n int) float64 {
	gb := 4 + float64(c.Flags%37)
	if c.Story == "miner" && n <= 3 {
		gb += 60
	}
	return gb
}

func (b *biller) pool(c *cluster, p *pool, n int, tags map[string]string) {
	hours := b.w.nodesOn(c, p, n) * 24
	if hours == 0 {
		return
	}
	each, name := 1.31*unknownCores/24, p.Size
	if s := b.w.bySize[p.Size]; s != nil {
		each = s.Hour
		if p.Spot {
			each = s.Spot
		}
	}
	meter := strings.ReplaceAll(strings.TrimPrefix(name, "Standard_"), "_", " ")
	list := hours * each
	l := line{Resource: c.nodeResource("Microsoft.Compute/virtualMachineScaleSets", vmss(c, p)), Type: "microsoft.compute/virtualmachinescalesets", Service: "Virtual Machines", Category: "Virtual Machines", Sub: b.word(seriesOf(name)),
		Meter: b.word(meter), Unit: "1 Hour", Quantity: hours, List: list, Amount: list, Region: c.Region.Name, Tags: tags}
	if p.Spot {
		l.Meter = b.word(l.Meter + " Spot")
	}
	if id := c.sub.reservation(); id != "" && p.Size == commonSize && !p.Spot {
		l.Commitment, l.Amount = id, list*reserved
	}
	b.add(n, l)
}

func vmss(c *cluster, p *pool) string {
	return fmt.Sprintf("aks-%s-%08d-vmss", p.Name, c.Flags%100_000_000)
}

// seriesOf is the family of a size: Dsv5 Series of Standard_D4s_v5.
func seriesOf(size string) string {
	s := strings.TrimPrefix(size, "Standard_")
	s = strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '-' {
			return -1
		}
		return r
	}, s[:strings.LastIndexByte("_"+s, '_')])
	return s + size[strings.LastIndexByte(size, '_')+1:] + " Series"
}

// tablesOf are the log tables that a cluster writes to in a day, in GB.
func (w *World) tablesOf(c *cluster, n int) map[string]float64 {
	gb := map[string]float64{}
	r := w.rng("logs|"+c.Name, n)
	jitter := 0.9 + 0.2*r.Float64()
	if c.Insights {
		gb["ContainerLogV2"] = (0.5 + w.vcoresOn(c, n)/24) * jitter
	}
	if c.Arc || c.Logs.To != "workspace" || c.Logs.Kind == "" {
		return gb
	}
	full := (1.2 + w.vcoresOn(c, n)/20) * jitter
	if c.Story == "audit-cost" && n <= 20 {
		full = full*3 + float64(20-n)*0.4
	}
	table := map[string]string{"kube-audit": "AKSAudit", "kube-audit-admin": "AKSAuditAdmin"}[c.Logs.Kind]
	if c.Logs.Kind == "kube-audit-admin" {
		full *= 0.18
	}
	if !c.Logs.Dedicated {
		table = "AzureDiagnostics"
	}
	gb[table] += full
	return gb
}

// defended are the vCores of a subscription for which the plan is paid, on average of a day.
func (w *World) defended(s *subscription, n int) (v float64) {
	for _, c := range s.clusters {
		if c.planned() && c.Created.Before(w.day(n-1)) {
			v += w.vcoresOn(c, n)
		}
	}
	return v
}

func (b *biller) subscription(n int) {
	w, s := b.w, b.s
	for _, g := range s.regs {
		if g.SKU == "Premium" && g.Created.Before(w.day(n)) {
			b.meter(n, "registry.day", 1, g.path(), "microsoft.containerregistry/registries", g.Region.Name, g.Tags, nil)
		}
	}
	b.logs(n)
	b.defender(n)
	if id := s.reservation(); id != "" {
		b.reservation(n, id)
	}
	if s.i%15 == 1 && n == 12 {
		c := b.row(n, line{Resource: s.path(), Service: "Virtual Machines", Category: "Virtual Machines", Meter: "Service credit", Quantity: 1, List: 0, Amount: -140, Unit: "1"})
		c.Category, c.Description = "Credit", "credit for an outage"
		b.put(c)
	}
	if s.i%15 == 3 && n == 33 && len(s.clusters) > 0 {
		b.correction(n, s.clusters[0])
	}
}

// logTables are the tables that clusters write to, in the order of the bill.
var logTables = []string{"AKSAudit", "AKSAuditAdmin", "AzureDiagnostics", "ContainerLogV2"}

// logs bills what the subscription's workspace took in, by table, and by cluster where
// the company has joined that to its bill: in every second subscription.
func (b *biller) logs(n int) {
	w, s := b.w, b.s
	write := func(table string, gb float64, from string) {
		more := map[string]string{"x_LogTable": table, "x_ResourceGroupName": "rg-observability"}
		if from != "" {
			more["x_SourceResourceId"] = from
		}
		b.meter(n, "logs.analytics-gb", gb, s.Workspace, "microsoft.operationalinsights/workspaces", s.Region.Name, nil, more)
	}
	joined := s.i%2 == 0
	sum := map[string]float64{}
	for _, c := range s.clusters {
		if c.Stopped || !c.Created.Before(w.day(n-1)) {
			continue
		}
		gb := w.tablesOf(c, n)
		for _, table := range logTables {
			if joined {
				write(table, gb[table], c.id())
			}
			sum[table] += gb[table]
		}
	}
	for _, table := range logTables {
		if !joined {
			write(table, sum[table], "")
		}
	}
}

// defender bills the plan: list price, negotiated in the month before this one, nothing
// while the trial lasts.
func (b *biller) defender(n int) {
	w, s := b.w, b.s
	vcores := w.defended(s, n)
	if vcores == 0 {
		return
	}
	p := b.prices["defender.vcore-month"]
	q := vcores * 24 / hoursMonth * (0.996 + 0.008*w.rng("meter|"+s.GUID, n).Float64())
	l := line{Resource: s.path() + "/providers/Microsoft.Security/pricings/Containers", Type: "microsoft.security/pricings", Service: p.Service, Category: p.Category, Sub: p.Sub, Meter: p.Meter, Unit: p.Unit,
		Quantity: q, List: q * p.Amount, Amount: q * p.Amount, Region: "global"}
	day := w.day(n)
	last := time.Date(w.now.Year(), w.now.Month()-1, 1, 0, 0, 0, 0, time.UTC)
	if day.Year() == last.Year() && day.Month() == last.Month() {
		l.Amount *= negotiated
	}
	if s.Plan == planTrial {
		if day.Before(s.Since) {
			return
		}
		l.Amount, l.More = 0, map[string]string{"x_SkuOfferId": "trial"}
	}
	b.add(n, l)
	if s.i%4 == 0 && n%3 == 0 && s.Plan == planOn {
		b.meter(n, "defender.image-scan", float64(3+s.i%9), l.Resource, l.Type, "global", nil, nil)
	}
}

// reservation bills its purchase at the start of a month, and every day the part that
// nothing used.
func (b *biller) reservation(n int, id string) {
	each := b.w.bySize[commonSize].Hour * reserved
	bought := 0.0
	for _, c := range b.s.clusters {
		for i := range c.Pools {
			if p := &c.Pools[i]; p.Size == commonSize && !p.Spot {
				bought += float64(p.Nodes)
			}
		}
	}
	bought = bought*1.25 + 2
	used := 0.0
	for _, c := range b.s.clusters {
		if c.Created.Before(b.w.day(n - 1)) {
			for i := range c.Pools {
				if p := &c.Pools[i]; p.Size == commonSize && !p.Spot {
					used += b.w.nodesOn(c, p, n)
				}
			}
		}
	}
	l := line{Resource: id, Type: "microsoft.capacity/reservationorders/reservations", Service: "Virtual Machines", Category: "Virtual Machines", Sub: seriesOf(commonSize), Meter: "D4s v5", Unit: "1 Hour"}
	if idle := bought - used; idle > 0 {
		l.Quantity, l.Amount = idle*24, idle*24*each
		c := b.row(n, l)
		c.Billed, c.List, c.Contracted, c.Pricing, c.Commitment, c.CommitmentUse, c.Description = 0, 0, 0, "Committed", id, "Unused", "reservation, not used"
		b.put(c)
	}
	if b.w.day(n).Day() == 1 {
		l.Quantity, l.Amount = bought, bought*each*hoursMonth
		c := b.row(n, l)
		c.Category, c.Effective, c.Commitment, c.Description = "Purchase", 0, id, "reservation, month"
		b.put(c)
	}
}

// correction takes a row of compute back and bills it again for less.
func (b *biller) correction(n int, c *cluster) {
	if c.Arc || c.Stopped || !c.Created.Before(b.w.day(n-1)) {
		return
	}
	p := &c.Pools[0]
	s := b.w.bySize[p.Size]
	if s == nil {
		return
	}
	hours := float64(p.Nodes) * 24
	for _, sign := range []float64{-1, 0.9} {
		r := b.row(n, line{Resource: c.nodeResource("Microsoft.Compute/virtualMachineScaleSets", vmss(c, p)), Type: "microsoft.compute/virtualmachinescalesets", Service: "Virtual Machines", Category: "Virtual Machines",
			Sub: seriesOf(p.Size), Meter: "correction of compute", Unit: "1 Hour", Quantity: sign * hours, List: sign * hours * s.Hour, Amount: sign * hours * s.Hour, Region: c.Region.Name, Tags: b.tagsOf(c)})
		r.Class = "Correction"
		b.put(r)
	}
}
