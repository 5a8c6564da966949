package cost

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Keys of prices. Those without a currency are facts that prices are read with.
const (
	PriceVCore       = "defender.vcore-month"      // Defender for Containers, per vCore of a worker node and month
	PriceScan        = "defender.image-scan"       // per image digest beyond the included ones
	PriceIncluded    = "defender.scans-included"   // fact: digests included per vCore-month
	PriceMonth       = "hours-per-month"           // fact: hours of the month that prices are quoted with
	PriceCPUShare    = "compute.cpu-share"         // convention: share of a node's price that its CPU is
	PriceAnalytics   = "logs.analytics-gb"         // Log Analytics, per GB ingested
	PriceBasic       = "logs.basic-gb"             //
	PriceAuxiliary   = "logs.auxiliary-gb"         //
	PriceThroughput  = "eventhubs.throughput-hour" // Event Hubs, per throughput unit and hour
	PriceEvents      = "eventhubs.events-million"  // per million events
	PriceStorage     = "storage.hot-gb-month"      // per GB and month
	PriceComputeHour = "compute.vm-hour"           // a VM of Price.SKU in Price.Region, per hour
)

// PriceFile is what LoadPrices reads: prices, what agents reserve, and by what a bill's
// meters are recognised.
type PriceFile struct {
	Format  string      `json:"format"` // dockreeve-prices
	Version int         `json:"version"`
	Prices  []Price     `json:"prices"`
	Agents  []AgentCost `json:"agents,omitempty"`
	Meters  []Meter     `json:"meters,omitempty"`
	Names   []PriceName `json:"names,omitempty"`
}

// PriceName says which key a published price has that came without one. Words are compared
// without case, in product and meter name.
type PriceName struct {
	Key      string   `json:"key"`
	Services []string `json:"services"`
	Contains []string `json:"contains,omitempty"` // all of these
	Unit     string   `json:"unit,omitempty"`     // part of the unit
	SKU      bool     `json:"sku,omitempty"`      // only prices of a SKU
	AsOf     string   `json:"asOf"`
	Source   string   `json:"source"`
	Verified bool     `json:"verified"`
}

// Meter says by what charges of one kind are recognised. Words are compared without case,
// in meter category, subcategory, meter name and description.
type Meter struct {
	What     string   `json:"what"`               // one of the Meter… words
	Category string   `json:"category"`           // the meter category, or the service's name where there is none
	Contains []string `json:"contains,omitempty"` // all of these
	With     []string `json:"with,omitempty"`     // at least one of these
	Unless   []string `json:"unless,omitempty"`   // none of these
	AsOf     string   `json:"asOf"`
	Source   string   `json:"source"`
	Verified bool     `json:"verified"`
}

// Kinds of charges.
const (
	MeterPlan      = "defender-plan"
	MeterScans     = "defender-scans"
	MeterUnits     = "defender-units" // pre-purchased commit units
	MeterIngestion = "ingestion"
	MeterEventHubs = "event-hubs"
	MeterCompute   = "compute"
)

const (
	mostPriceBytes = 64 << 20
	mostPrices     = 1_000_000
)

//go:embed data/prices.json
var shippedPrices []byte

// Shipped gives the prices, reservations and meters that come with Dockreeve. They are
// the last that are asked: what the tenant's own price lists say comes before them.
func Shipped() *PriceFile {
	f, err := LoadPrices(bytes.NewReader(shippedPrices))
	if err != nil {
		panic("cost/data/prices.json: " + err.Error()) // a mistake in this repository, which a test finds
	}
	return f
}

// LoadPrices reads a price file (docs/cost.md). It reads at most 64 MiB and a million
// prices; an error names the entry and what is wrong with it.
func LoadPrices(r io.Reader) (*PriceFile, error) {
	data, err := io.ReadAll(io.LimitReader(r, mostPriceBytes+1))
	if err != nil {
		return nil, fmt.Errorf("price file: %w", err)
	}
	if len(data) > mostPriceBytes {
		return nil, fmt.Errorf("price file: larger than %d MiB", mostPriceBytes>>20)
	}
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	d.DisallowUnknownFields()
	f := &PriceFile{}
	if err := d.Decode(f); err != nil {
		return nil, fmt.Errorf("price file, byte %d: %w", d.InputOffset(), err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("price file, byte %d: something follows the document", d.InputOffset())
	}
	if f.Format != "dockreeve-prices" || f.Version != 1 {
		return nil, fmt.Errorf(`price file: "format" is %.40q and "version" %d: expected "dockreeve-prices" and 1`, f.Format, f.Version)
	}
	if len(f.Prices) > mostPrices {
		return nil, fmt.Errorf("price file: %d prices, at most %d are read", len(f.Prices), mostPrices)
	}
	for i := range f.Prices {
		if err := f.Prices[i].check(); err != nil {
			return nil, fmt.Errorf("price file: prices, entry %d (%.60q): %w", i+1, f.Prices[i].Key, err)
		}
	}
	for i, a := range f.Agents {
		if a.Provider == "" || a.AsOf == "" || a.Source == "" {
			return nil, fmt.Errorf("price file: agents, entry %d: provider, asOf and source are needed", i+1)
		}
		for _, v := range []float64{a.NodeCPU, a.NodeMemory, a.ClusterCPU, a.ClusterMemory} {
			if !(v >= 0 && v <= 1e6) {
				return nil, fmt.Errorf("price file: agents, entry %d: %g is no amount of cores or GiB", i+1, v)
			}
		}
	}
	for i, m := range f.Meters {
		if m.What == "" || m.Category == "" || m.AsOf == "" || m.Source == "" {
			return nil, fmt.Errorf("price file: meters, entry %d: what, category, asOf and source are needed", i+1)
		}
	}
	return f, nil
}

var isDate = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)

func (p *Price) check() error {
	switch {
	case p.Key == "":
		return fmt.Errorf(`"key" is empty`)
	case p.Unit == "":
		return fmt.Errorf(`"unit" is empty`)
	case !isDate.MatchString(p.AsOf):
		return fmt.Errorf(`"asOf" is %.40q: expected a date like 2026-11-30; a price without its date is none`, p.AsOf)
	case p.Source == "":
		return fmt.Errorf(`"source" is empty: say where the price is from`)
	case p.Amount < 0 || p.Amount > mostOfRow:
		return fmt.Errorf(`"amount" is %d millionths: expected 0 to a trillion units`, p.Amount)
	case p.Currency != "" && !isCurrency(p.Currency):
		return fmt.Errorf(`"currency" is %.40q: expected three capital letters`, p.Currency)
	}
	return nil
}

// priceBook finds prices. It notes those that were used.
type priceBook struct {
	by    map[string][]Price // by key, or key and SKU, in order of trust
	used  []Price
	noted map[Price]bool
	rates map[string]rate // price currency → currency of the report
	to    string          // currency of the report
}

// rate is an exchange rate that the bill itself names.
type rate struct {
	by  float64
	day string
}

func bookOf(in *Input, to string) *priceBook {
	b := &priceBook{by: map[string][]Price{}, noted: map[Price]bool{}, rates: map[string]rate{}, to: to}
	for _, p := range in.Prices {
		if p.Amount < 0 || p.Amount > mostOfRow || p.Key == "" {
			continue
		}
		k := priceKey(p.Key, p.SKU)
		if p.Key != PriceComputeHour {
			k = p.Key
		}
		b.by[k] = append(b.by[k], p)
	}
	for _, p := range Shipped().Prices {
		b.by[priceKey(p.Key, p.SKU)] = append(b.by[priceKey(p.Key, p.SKU)], p)
	}
	bill := in.whole()
	for i := range bill.Len() {
		e := bill.entry(i)
		c := bill.facts[e.fact]
		if len(c.More) == 0 {
			continue
		}
		from := c.More["x_PricingCurrency"]
		if from == "" {
			from = c.More["PricingCurrency"]
		}
		if c.Currency != to || from == "" || from == to || !isCurrency(from) {
			continue
		}
		by := parsed(c.More["x_BillingExchangeRate"])
		if by > 0 && by < 1e6 && (b.rates[from].by == 0 || dayName(e.start/day) > b.rates[from].day) {
			b.rates[from] = rate{by, dayName(e.start / day)}
		}
	}
	return b
}

// keyed gives prices of a published list their keys; those that are none of ours keep none.
func keyed(prices []Price) []Price {
	names := Shipped().Names
	out := make([]Price, len(prices))
	for i, p := range prices {
		for k := 0; k < len(names) && p.Key == ""; k++ {
			if names[k].holds(&p) {
				p.Key = names[k].Key
			}
		}
		out[i] = p
	}
	return out
}

func (n *PriceName) holds(p *Price) bool {
	if p.Type == "Reservation" || n.SKU && p.SKU == "" || !strings.Contains(lower(p.Unit), n.Unit) {
		return false
	}
	is := false
	for _, s := range n.Services {
		is = is || strings.EqualFold(s, p.Service)
	}
	if !is {
		return false
	}
	text := lower(p.Product + " " + p.Meter)
	for _, w := range n.Contains {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// parsed is a number of a bill's column, 0 if it is none.
func parsed(s string) float64 {
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

func priceKey(key, sku string) string {
	if sku == "" {
		return key
	}
	return key + "|" + lower(sku)
}

// find gives the most trusted price in a currency: of one source the one for the region
// itself before the one for any.
func (b *priceBook) find(key, sku, region, currency string, accept func(*Price) bool) (Price, bool) {
	var best *Price
	all := b.by[priceKey(key, sku)]
	for i := range all {
		p := &all[i]
		if p.Currency != currency || p.Region != "" && !strings.EqualFold(p.Region, region) || accept != nil && !accept(p) {
			continue
		}
		if best != nil && p.Source != best.Source {
			break
		}
		if best == nil || best.Region == "" && p.Region != "" {
			best = p
		}
	}
	if best == nil {
		return Price{}, false
	}
	return *best, true
}

// price gives a price in the report's currency: one in it, or one in another at the
// bill's own exchange rate. Else the reason why there is none.
func (b *priceBook) price(key, sku, region string, accept func(*Price) bool) (Price, string) {
	if p, ok := b.find(key, sku, region, b.to, accept); ok {
		b.note(p)
		return p, ""
	}
	other := ""
	for _, q := range b.by[priceKey(key, sku)] {
		r, known := b.rates[q.Currency]
		p, ok := b.find(key, sku, region, q.Currency, accept)
		if !ok {
			continue
		}
		if !known {
			other = q.Currency
			continue
		}
		f := float64(p.Amount) * r.by
		if f > float64(mostOfRow) {
			continue
		}
		b.note(p)
		p.Amount, p.Currency = Amount(math.Round(f)), b.to
		p.Source += ", at the bill's exchange rate of " + r.day
		return p, ""
	}
	if other != "" {
		return Price{}, fmt.Sprintf("the price of %s is known in %s, not in %s, and the bill names no exchange rate: give prices in %s", key, other, b.to, b.to)
	}
	where := ""
	if region != "" {
		where = " in " + region
	}
	if sku != "" {
		where = " of " + sku + where
	}
	return Price{}, "no price " + key + where + " is known: collect retail prices, or give a price file"
}

// fact gives a number that prices are read with.
func (b *priceBook) fact(key string) float64 {
	p, ok := b.find(key, "", "", "", nil)
	if !ok {
		return 0
	}
	b.note(p)
	return p.Amount.Float()
}

func (b *priceBook) note(p Price) {
	if !b.noted[p] {
		b.noted[p] = true
		b.used = append(b.used, p)
	}
}

// perVCoreHour turns the plan's price into one of a vCore and hour, in units of currency.
func (b *priceBook) perVCoreHour(p Price) float64 {
	if strings.Contains(lower(p.Unit), "hour") {
		return p.Amount.Float()
	}
	if h := b.fact(PriceMonth); h > 0 {
		return p.Amount.Float() / h
	}
	return 0
}

// meters recognises charges by their meters.
type meters struct {
	by   map[string][]Meter
	seen map[[4]string]string
}

func metersOf(in *Input) *meters {
	all := in.Meters
	if len(all) == 0 {
		all = Shipped().Meters
	}
	m := &meters{by: map[string][]Meter{}, seen: map[[4]string]string{}}
	for _, x := range all {
		k := lower(x.Category)
		m.by[k] = append(m.by[k], x)
	}
	return m
}

// kind says which kind of charge this is, "" = none of those that are known.
func (m *meters) kind(c *Charge) string {
	category := c.MeterCategory
	if category == "" {
		category = c.Service
	}
	rules := m.by[lower(category)]
	if len(rules) == 0 {
		return ""
	}
	k := [4]string{category, c.MeterSub, c.Meter, c.Description}
	if what, ok := m.seen[k]; ok {
		return what
	}
	text := lower(strings.Join([]string{c.MeterSub, c.Meter, c.Description}, " "))
	what := ""
	for _, r := range rules {
		if r.holds(text) {
			what = r.What
			break
		}
	}
	if len(m.seen) < 10_000 {
		m.seen[k] = what
	}
	return what
}

func (m *Meter) holds(text string) bool {
	has := func(w string) bool { return strings.Contains(text, lower(w)) }
	for _, w := range m.Contains {
		if !has(w) {
			return false
		}
	}
	for _, w := range m.Unless {
		if has(w) {
			return false
		}
	}
	if len(m.With) == 0 {
		return true
	}
	for _, w := range m.With {
		if has(w) {
			return true
		}
	}
	return false
}
