package azure

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

func (b *Builder) budget(_ string, n node) error {
	id := n.at("id").id()
	if id == "" {
		return errNoID
	}
	out := cloud.Budget{
		ID: id, Name: nameOf(n, id), Scope: parentOf(id), Amount: n.prop("amount").number(), Grain: n.prop("timeGrain").text(),
		Start: n.prop("timePeriod", "startDate").time(), End: n.prop("timePeriod", "endDate").time(),
		Spent: n.prop("currentSpend", "amount").number(), Currency: n.prop("currentSpend", "unit").text(),
	}
	if f := n.prop("forecastSpend", "amount"); f.there() {
		out.Forecast = ptr(f.number())
		if out.Currency == "" {
			out.Currency = n.prop("forecastSpend", "unit").text()
		}
	}
	if !n.prop("amount").there() {
		return errors.New("amount: missing")
	}
	filter := n.prop("filter")
	all := filter.at("and").items()
	if len(all) == 0 && filter.there() {
		all = []node{filter}
	}
	for _, f := range all {
		for _, kind := range []string{"dimensions", "tags"} {
			if d := f.at(kind); d.there() && d.at("name").there() {
				out.Filters = append(out.Filters, cloud.BudgetFilter{Tag: kind == "tags", Name: d.at("name").text(), Values: d.at("values").strings()})
			}
		}
	}
	notes := n.prop("notifications")
	for _, k := range notes.keys() {
		note := notes.at(k)
		out.Notices = append(out.Notices, cloud.BudgetThreshold{
			Percent: note.at("threshold").number(), Enabled: note.at("enabled").is(),
			Forecasted: strings.EqualFold(note.at("thresholdType").text(), "Forecasted"), Contacts: note.at("contactEmails").strings(),
		})
	}
	return keep(b.budgets, id, out)
}

func (b *Builder) costAlert(_ string, n node) error {
	id := n.at("id").id()
	if id == "" {
		return errNoID
	}
	return keep(b.costAlerts, id, cloud.CostAlert{
		ID: id, Scope: parentOf(id), Type: n.prop("definition", "type").text(), Status: n.prop("status").text(),
		Text: n.prop("description").text(), At: n.prop("creationTime").time(),
	})
}

// size takes a VM size in, as Microsoft.Compute/skus or az vm list-sizes shows it.
func (b *Builder) size(_ string, n node) error {
	if kind := n.at("resourceType").text(); kind != "" && !strings.EqualFold(kind, "virtualMachines") {
		return nil
	}
	s := cloud.Size{Name: n.at("name").text(), Source: "Microsoft.Compute/skus"}
	if s.Name == "" {
		return errors.New("name: missing")
	}
	if cores := n.at("numberOfCores"); cores.there() {
		s.VCPUs, s.Memory = cores.count(), n.at("memoryInMB").number()/1024
	}
	available := 0
	for _, c := range n.at("capabilities").items() {
		v := c.at("value")
		switch strings.ToLower(c.at("name").text()) {
		case "vcpus":
			s.VCPUs = countText(v)
		case "vcpusavailable":
			available = countText(v)
		case "memorygb":
			s.Memory = v.number()
		case "gpus":
			s.GPUs = countText(v)
		}
	}
	if available > 0 {
		s.VCPUs = available
	}
	if s.VCPUs == 0 {
		return fmt.Errorf("size %s: no vCPUs told", s.Name)
	}
	return keep(b.sizes, strings.ToLower(s.Name), s)
}

func countText(n node) int { return node{v: n.number(), path: n.path, doc: n.doc}.count() }

// costs takes rows of a Cost Management query in: a whole page (columns and rows), or one
// row as an object.
func (b *Builder) costs(scope string, n node) error {
	return b.rowsOf(cloud.ReadCosts, &b.bill, scope, n)
}

func (b *Builder) amortizedCosts(scope string, n node) error {
	return b.rowsOf(cloud.ReadAmortized, &b.amortized, scope, n)
}

func (b *Builder) rowsOf(what string, into *cost.Bill, scope string, n node) error {
	columns := n.prop("columns")
	if !columns.there() {
		row := costRow{columns: map[string]int{}, doc: n.doc}
		for _, k := range n.keys() {
			row.columns[strings.ToLower(k)] = len(row.cells)
			row.cells = append(row.cells, n.at(k))
		}
		return b.chargeOf(into, scope, row)
	}
	at := map[string]int{}
	for i, c := range columns.items() {
		at[strings.ToLower(c.at("name").text())] = i
	}
	width := len(columns.items())
	key := readKey{what, scope}
	for i, r := range n.prop("rows").items() {
		r.doc = &document{} // each row has its own troubles
		cells := r.items()
		if len(cells) != width {
			b.countBad(key, true, fmt.Sprintf("rows[%d]: %d cells under %d columns", i, len(cells), width))
			continue
		}
		if err := b.chargeOf(into, scope, costRow{at, cells, r.doc}); err != nil {
			b.countBad(key, true, err.Error())
		} else if r.doc.wrong != "" {
			b.countBad(key, false, r.doc.wrong)
		}
	}
	return nil
}

// costRow is one row of cost: its cells, and which column (in lower case) is where.
type costRow struct {
	columns map[string]int
	cells   []node
	doc     *document
}

// get gives the first of some columns that is there.
func (r costRow) get(columns ...string) node {
	for _, c := range columns {
		if i, ok := r.columns[c]; ok && r.cells[i].there() {
			return r.cells[i]
		}
	}
	return node{doc: r.doc}
}

// maxCharges bounds the rows of cost that are kept.
const maxCharges = 5_000_000

var errNoCost = errors.New("cost row: no cost column: want Cost, PreTaxCost or CostInBillingCurrency")

func (b *Builder) chargeOf(into *cost.Bill, scope string, row costRow) error {
	get := row.get
	amount := get("cost", "pretaxcost", "costinbillingcurrency")
	if !amount.there() {
		return errNoCost
	}
	money, err := micros(amount)
	if err != nil {
		return err
	}
	day := get("usagedate", "date", "billingmonth")
	start := day.time()
	if start == 0 {
		return errors.New("cost row: no date: want UsageDate")
	}
	end := start + int64(24*time.Hour)
	if !get("usagedate", "date").there() {
		end = time.Unix(0, start).UTC().AddDate(0, 1, 0).UnixNano()
	}
	c := cost.Charge{
		Provider: "Microsoft", Start: start, End: end, Currency: strings.ToUpper(get("currency", "billingcurrency").text()), Billed: money, Effective: money,
		Quantity: get("usagequantity", "quantity").number(), QuantityUnit: get("unitofmeasure").text(), Region: region(get("resourcelocation").text()),
		Resource: get("resourceid").id(), ResourceType: strings.ToLower(get("resourcetype").text()), Service: get("servicename").text(),
		Meter: get("meter", "metername").text(), MeterCategory: get("metercategory").text(), MeterSub: get("metersubcategory").text(),
		MeterID: strings.ToLower(get("meterid").text()), Pricing: get("pricingmodel").text(), Publisher: get("publishertype").text(),
	}
	if c.Currency == "" {
		return errors.New("cost row: no currency")
	}
	chargeType(&c, get("chargetype").text())
	if c.SubAccount = subscriptionOf(c.Resource); c.SubAccount == "" {
		if s := strings.ToLower(get("subscriptionid").text()); isGUID(s) {
			c.SubAccount = "/subscriptions/" + s
		} else {
			c.SubAccount = subscriptionOf(scope)
		}
	}
	if i := strings.LastIndexByte(c.Resource, '/'); i >= 0 {
		c.ResourceName = c.Resource[i+1:]
		if c.ResourceType == "" {
			c.ResourceType = typeOfID(c.Resource)
		}
	}
	if into.Len() >= maxCharges {
		return fmt.Errorf("more than %d rows of cost: passed over", maxCharges)
	}
	into.Add(&c)
	return nil
}

// chargeType writes Azure's charge type in FOCUS terms.
func chargeType(c *cost.Charge, typ string) {
	c.Category = "Usage"
	switch strings.ToLower(typ) {
	case "", "usage":
	case "purchase":
		c.Category = "Purchase"
	case "refund":
		c.Category, c.Class = "Purchase", "Correction"
	case "tax":
		c.Category = "Tax"
	case "credit":
		c.Category = "Credit"
	case "roundingadjustment", "adjustment":
		c.Category = "Adjustment"
	case "unusedreservation", "unusedsavingsplan":
		c.CommitmentUse = "Unused"
	default:
		c.More = map[string]string{"ChargeType": clip(typ, maxShort)}
	}
	switch strings.ToLower(c.Pricing) {
	case "ondemand":
		c.Pricing = "Standard"
	case "spot":
		c.Pricing = "Dynamic"
	case "reservation", "savingsplan":
		c.Pricing = "Committed"
	}
}

// micros reads an amount of money; one beyond nine billion units is not believed.
func micros(n node) (cost.Amount, error) {
	f := n.number()
	if n.doc.wrong != "" {
		return 0, errors.New(n.doc.wrong)
	}
	if math.Abs(f) > 9e9 {
		return 0, fmt.Errorf("amount %g: beyond what can be believed", f)
	}
	return cost.FromFloat(f), nil
}

// priced is a price and the quantity from which it holds: of a meter with tiers, the
// first tier that costs something is kept.
type priced struct {
	cost.Price
	From  float64
	scope string
}

func (b *Builder) price(scope string, n node) error {
	unit := n.at("retailPrice")
	if !unit.there() {
		unit = n.at("unitPrice")
	}
	if !unit.there() {
		return errors.New("retailPrice: missing")
	}
	money, err := micros(unit)
	if err != nil {
		return err
	}
	p := priced{Price: cost.Price{
		Meter: n.at("meterName").text(), MeterID: strings.ToLower(n.at("meterId").text()), Service: n.at("serviceName").text(), Region: region(n.at("armRegionName").text()),
		SKU: n.at("armSkuName").text(), Product: n.at("productName").text(), Type: n.at("type").text(), Unit: n.at("unitOfMeasure").text(), Amount: money,
		Currency: strings.ToUpper(n.at("currencyCode").text()), AsOf: date(n.at("effectiveStartDate").time()), Source: "Azure retail prices", Verified: true,
	}, From: n.at("tierMinimumUnits").number(), scope: scope}
	if term := n.at("reservationTerm").text(); term != "" {
		p.Unit = term // the whole term costs this, not an hour of it
	}
	if p.Meter == "" || p.Currency == "" || p.Unit == "" {
		return errors.New("meterName, currencyCode or unitOfMeasure: missing")
	}
	key := strings.Join([]string{p.MeterID, p.Meter, p.SKU, p.Product, p.Type, p.Region, p.Currency, p.Unit}, "|")
	old, had := b.prices[key]
	if had && (old.Amount > 0) != (p.Amount > 0) {
		if p.Amount > 0 {
			b.prices[key] = p
		}
		return nil
	}
	if had && old.From != p.From {
		if p.From < old.From {
			b.prices[key] = p
		}
		return nil
	}
	return keep(b.prices, key, p)
}

// allPrices dates prices by the day they were read, where that is known.
func (b *Builder) allPrices() []cost.Price {
	var out []cost.Price
	for _, p := range values(b.prices) {
		if r := b.reads[readKey{cloud.ReadPrices, p.scope}]; r != nil && r.At > 0 {
			p.AsOf = date(r.At)
		}
		out = append(out, p.Price)
	}
	return out
}

func date(at int64) string {
	if at == 0 {
		return ""
	}
	return time.Unix(0, at).UTC().Format(time.DateOnly)
}
