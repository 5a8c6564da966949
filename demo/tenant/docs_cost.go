package tenant

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/cost"
)

// computeHour is what package cost calls the price of a VM.
const computeHour = "compute.vm-hour"

// Prices are the prices of the demo in EUR, as a tenant's own price list would give them.
func (w *World) Prices() []cost.Price {
	all, order, asOf := readPrices()
	const source = "price list of the demo tenant: round figures, no publisher's"
	var out []cost.Price
	for _, key := range order {
		p := all[key]
		out = append(out, cost.Price{Key: key, Meter: p.Meter, MeterID: meterID(p.Category, p.Sub, p.Meter, ""), Service: p.Service, Type: "Consumption", Unit: p.Unit, Amount: cost.FromFloat(p.Amount), Currency: "EUR", AsOf: asOf, Source: source})
	}
	for _, g := range regions {
		for _, s := range w.sizes {
			meter := strings.ReplaceAll(s.Name[len("Standard_"):], "_", " ")
			p := cost.Price{Key: computeHour, Meter: meter, Service: "Virtual Machines", Region: g.Name, SKU: s.Name, Type: "Consumption", Unit: "1 Hour", Amount: cost.FromFloat(s.Hour), Currency: "EUR", AsOf: asOf, Source: source}
			p.MeterID = meterID("Virtual Machines", seriesOf(s.Name), meter, g.Name)
			out = append(out, p)
			p.Meter, p.Amount = meter+" Spot", cost.FromFloat(s.Spot)
			p.MeterID = meterID("Virtual Machines", seriesOf(s.Name), p.Meter, g.Name)
			out = append(out, p)
		}
	}
	return out
}

// priceDocs are the same as items of the retail price list.
func (w *World) priceDocs(out emit) error {
	all, order, asOf := readPrices()
	item := func(id, meter, product, sku, service, region, armSKU, unit string, amount float64) error {
		return out(doc{"currencyCode": "EUR", "tierMinimumUnits": 0.0, "retailPrice": amount, "unitPrice": amount, "armRegionName": region, "location": region, "effectiveStartDate": asOf + "T00:00:00Z",
			"meterId": id, "meterName": meter, "productId": "DZH" + id[:9], "skuId": "DZH" + id[:9] + "/" + id[9:13], "productName": product, "skuName": sku, "serviceName": service, "serviceId": "DZH318Z0BQ35",
			"serviceFamily": "Compute", "unitOfMeasure": unit, "type": "Consumption", "isPrimaryMeterRegion": true, "armSkuName": armSKU})
	}
	for _, key := range order {
		p := all[key]
		product := p.Sub
		if product == "" {
			product = p.Category
		}
		if err := item(meterID(p.Category, p.Sub, p.Meter, ""), p.Meter, product, "Standard", p.Service, "", "", p.Unit, p.Amount); err != nil {
			return err
		}
		if p.Service != "Log Analytics" && p.Service != "Azure Monitor" {
			continue
		}
		for _, g := range regions { // sold by region, and asked for by region
			if err := item(meterID(p.Category, p.Sub, p.Meter, g.Name), p.Meter, product, "Standard", p.Service, g.Name, "", p.Unit, p.Amount); err != nil {
				return err
			}
		}
	}
	for _, g := range regions {
		for _, s := range w.sizes {
			meter := strings.ReplaceAll(s.Name[len("Standard_"):], "_", " ")
			product := "Virtual Machines " + seriesOf(s.Name)
			if err := item(meterID("Virtual Machines", seriesOf(s.Name), meter, g.Name), meter, product, meter, "Virtual Machines", g.Name, s.Name, "1 Hour", s.Hour); err != nil {
				return err
			}
			if err := item(meterID("Virtual Machines", seriesOf(s.Name), meter+" Spot", g.Name), meter+" Spot", product, meter+" Spot", "Virtual Machines", g.Name, s.Name, "1 Hour", s.Spot); err != nil {
				return err
			}
		}
	}
	return nil
}

// sizeDocs are Microsoft.Compute/skus of the sizes that are known.
func (w *World) sizeDocs(out emit) error {
	for _, s := range w.sizes {
		has := func(name string, v any) doc { return doc{"name": name, "value": fmt.Sprint(v)} }
		caps := []doc{has("MaxResourceVolumeMB", 0), has("OSVhdSizeMB", 1047552), has("vCPUs", s.Cores), has("MemoryPreservingMaintenanceSupported", "True"), has("HyperVGenerations", "V1,V2"),
			has("MemoryGB", strconv.FormatFloat(s.Memory, 'f', -1, 64)), has("CpuArchitectureType", "x64"), has("vCPUsAvailable", s.Available), has("EncryptionAtHostSupported", "True")}
		if s.GPUs > 0 {
			caps = append(caps, has("GPUs", s.GPUs))
		}
		for _, g := range regions {
			if err := out(doc{"resourceType": "virtualMachines", "name": s.Name, "tier": "Standard", "size": s.Name[len("Standard_"):], "family": "standardFamily", "locations": []string{g.Name},
				"locationInfo": []doc{{"location": g.Name, "zones": []string{"1", "2", "3"}, "zoneDetails": []any{}}}, "capabilities": caps, "restrictions": []any{}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// monthOf adds the paid rows of a cluster in this month: until now, and as far as the
// month is over, what the whole will be.
func (w *World) monthOf(c *cluster) (spent, forecast float64) {
	var sum cost.Amount
	b := w.biller(c.sub, func(r cost.Charge) bool { sum += r.Effective; return true })
	days := w.now.Day() - 1
	for n := days; n >= 1; n-- {
		b.cluster(c, n)
	}
	length := time.Date(w.now.Year(), w.now.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
	if days == 0 {
		return 0, 0
	}
	return sum.Float(), sum.Float() / float64(days) * float64(length)
}

// securityOf adds what a subscription pays for protection this month.
func (w *World) securityOf(s *subscription) (spent, forecast float64) {
	var sum cost.Amount
	b := w.biller(s, func(r cost.Charge) bool {
		if r.MeterCategory == "Microsoft Defender for Cloud" || r.MeterCategory == "Log Analytics" {
			sum += r.Effective
		}
		return true
	})
	days := w.now.Day() - 1
	for n := days; n >= 1; n-- {
		b.subscription(n)
	}
	length := time.Date(w.now.Year(), w.now.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
	if days == 0 {
		return 0, 0
	}
	return sum.Float(), sum.Float() / float64(days) * float64(length)
}

// budget is a budget before it is a document.
type budget struct {
	Scope, Name     string
	Amount          float64
	Spent, Forecast float64
	Filter          doc
	Contact         string
}

// budgetsOf are the budgets of a subscription. A third of its clusters have one, at the
// resource group that holds their nodes.
func (w *World) budgetsOf(s *subscription) (out []budget) {
	all := 0.0
	allForecast := 0.0
	for _, c := range s.clusters {
		if c.Arc {
			continue
		}
		want := c.Story == "budget-breach" || c.Story == "miner" || c.Flags%3 == 0
		if !want && s.i%4 != 0 {
			continue
		}
		spent, forecast := w.monthOf(c)
		all, allForecast = all+spent, allForecast+forecast
		if !want {
			continue
		}
		amount := forecast * (1.02 + float64(c.Flags>>7%60)/100)
		if c.Story == "budget-breach" {
			amount = forecast * 0.93
		}
		out = append(out, budget{Scope: s.path() + "/resourceGroups/" + c.nodeGroup(), Name: "budget-" + c.Name, Amount: round(amount), Spent: spent, Forecast: forecast, Contact: teams[c.Team].mail()})
	}
	if s.i%4 == 0 && all > 0 {
		out = append(out, budget{Scope: s.path(), Name: "subscription", Amount: round(allForecast * (0.97 + float64(s.i%7)/20)), Spent: all, Forecast: allForecast, Contact: "finops@" + Domain})
	}
	if s.i%6 == 0 {
		if spent, forecast := w.securityOf(s); spent > 0 {
			factor := 1.15
			if s.i%12 == 0 {
				factor = 0.9
			}
			out = append(out, budget{Scope: s.path(), Name: "security-and-logs", Amount: round(forecast * factor), Spent: spent, Forecast: forecast, Contact: teams[12].mail(),
				Filter: doc{"dimensions": doc{"name": "MeterCategory", "operator": "In", "values": []string{"Microsoft Defender for Cloud", "Log Analytics"}}}})
		}
	}
	return out
}

// round makes an amount that people would choose.
func round(f float64) float64 { return max(50, float64(int(f/50+0.5))*50) }

func cents(f float64) json.Number { return json.Number(strconv.FormatFloat(f, 'f', 2, 64)) }

func (w *World) budgetDocs(s *subscription, out emit) error {
	start := time.Date(w.now.Year()-1, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, b := range w.budgetsOf(s) {
		notice := func(percent float64, kind string) doc {
			return doc{"enabled": true, "operator": "GreaterThan", "threshold": percent, "thresholdType": kind, "contactEmails": []string{b.Contact}, "contactRoles": []string{"Owner"}, "contactGroups": []string{}, "locale": "en-us"}
		}
		p := doc{"category": "Cost", "amount": b.Amount, "timeGrain": "Monthly", "timePeriod": doc{"startDate": stamp(start), "endDate": stamp(start.AddDate(10, 0, 0))},
			"currentSpend": doc{"amount": cents(b.Spent), "unit": s.Currency}, "forecastSpend": doc{"amount": cents(b.Forecast), "unit": s.Currency},
			"notifications": doc{"actual_GreaterThan_80_Percent": notice(80, "Actual"), "actual_GreaterThan_100_Percent": notice(100, "Actual"), "forecasted_GreaterThan_100_Percent": notice(100, "Forecasted")}}
		if b.Filter != nil {
			p["filter"] = b.Filter
		}
		if err := out(doc{"id": b.Scope + "/providers/Microsoft.Consumption/budgets/" + b.Name, "name": b.Name, "type": "Microsoft.Consumption/budgets", "eTag": `"1d` + w.guidOf("etag", b.Scope, b.Name)[:12] + `"`, "properties": p}); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) costAlertDocs(s *subscription, out emit) error {
	for _, b := range w.budgetsOf(s) {
		at, kind := 0.0, "Budget"
		criteria := ""
		switch {
		case b.Spent > 0.8*b.Amount:
			at, criteria = 0.8, "CostThresholdExceeded"
		case b.Forecast > b.Amount:
			at, criteria = 1, "ForecastCostThresholdExceeded"
		default:
			continue
		}
		id := w.guidOf("cost-alert", b.Scope, b.Name)
		made := w.ago(30 * time.Hour)
		if err := out(doc{"id": s.path() + "/providers/Microsoft.CostManagement/alerts/" + id, "name": id, "type": "Microsoft.CostManagement/alerts",
			"properties": doc{"definition": doc{"type": kind, "category": "Cost", "criteria": criteria}, "description": "", "source": "Preset", "status": "Active",
				"details":      doc{"timeGrainType": "Monthly", "periodStartDate": stamp(time.Date(w.now.Year(), w.now.Month(), 1, 0, 0, 0, 0, time.UTC)), "triggeredBy": b.Scope + "/providers/Microsoft.Consumption/budgets/" + b.Name, "threshold": at, "amount": b.Amount, "unit": s.Currency, "currentSpend": cents(b.Spent), "contactEmails": []string{b.Contact}, "overridingAlert": nil},
				"costEntityId": b.Name, "creationTime": stamp(made), "modificationTime": stamp(made), "statusModificationTime": stamp(made)}}); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) actualDocs(s *subscription, out emit) error    { return w.costDocs(s, false, out) }
func (w *World) amortizedDocs(s *subscription, out emit) error { return w.costDocs(s, true, out) }

// costDocs are the rows of a Cost Management query (ActualCost or AmortizedCost, by day, resource, meter
// and charge type) over the whole bill, in pages of columns and rows.
func (w *World) costDocs(s *subscription, amortized bool, out emit) error {
	type key struct{ day, resource, category, sub, meter, kind string }
	type sum struct {
		cost  cost.Amount
		usage float64
	}
	columns := []doc{{"name": "Cost", "type": "Number"}, {"name": "UsageQuantity", "type": "Number"}, {"name": "UsageDate", "type": "Number"}, {"name": "ResourceId", "type": "String"}, {"name": "MeterCategory", "type": "String"},
		{"name": "MeterSubcategory", "type": "String"}, {"name": "Meter", "type": "String"}, {"name": "ChargeType", "type": "String"}, {"name": "Currency", "type": "String"}}
	const page = 5000
	var rows [][]any
	day, sums, order := "", map[key]*sum{}, []key(nil)
	flush := func() error { // rows of one day; whole pages go out
		for _, k := range order {
			v := sums[k]
			rows = append(rows, []any{json.Number(strconv.FormatFloat(v.cost.Float(), 'f', 6, 64)), v.usage, json.Number(k.day), k.resource, k.category, k.sub, k.meter, k.kind, s.Currency})
		}
		clear(sums)
		order = order[:0]
		for len(rows) >= page {
			if err := out(doc{"columns": columns, "rows": rows[:page]}); err != nil {
				return err
			}
			rows = append([][]any(nil), rows[page:]...)
		}
		return nil
	}
	var failed error
	w.chargesOf(s, func(c cost.Charge) bool {
		kind := c.Category
		if c.CommitmentUse == "Unused" {
			kind = "UnusedReservation"
		}
		// What nothing used was not billed, what was bought is spread over its use.
		if amortized && c.Category == "Purchase" || !amortized && c.CommitmentUse == "Unused" {
			return true
		}
		k := key{time.Unix(0, c.Start).UTC().Format("20060102"), c.Resource, c.MeterCategory, c.MeterSub, c.Meter, kind}
		if k.day != day {
			if failed = flush(); failed != nil {
				return false
			}
			day = k.day
		}
		v := sums[k]
		if v == nil {
			v = &sum{}
			sums[k], order = v, append(order, k)
		}
		if amortized {
			v.cost += c.Effective
		} else {
			v.cost += c.Billed
		}
		v.usage += c.Quantity
		return true
	})
	if failed != nil {
		return failed
	}
	if err := flush(); err != nil || len(rows) == 0 {
		return err
	}
	return out(doc{"columns": columns, "rows": rows})
}
