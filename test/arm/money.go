package arm

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/demo/tenant"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// dollars is what the price list asks for a euro's worth, where USD is asked for.
const dollars = 1.08

// prices answers for the retail price list, which wants no token.
func (s *Server) prices(c *call) {
	currency := strings.Trim(c.r.URL.Query().Get("currencyCode"), "'")
	if currency == "" {
		currency = "USD"
	}
	list, err, asked := s.listOf(c, func(out func(json.RawMessage) error) error {
		return s.o.World.Whole(tenant.Ask{What: cloud.ReadPrices}, func(raw json.RawMessage) error {
			if currency == "EUR" {
				return out(raw)
			}
			var d map[string]any
			if err := json.Unmarshal(raw, &d); err != nil {
				return err
			}
			d["currencyCode"] = currency
			for _, key := range []string{"retailPrice", "unitPrice"} {
				if f, ok := d[key].(float64); ok {
					d[key] = math.Round(f*dollars*1e6) / 1e6
				}
			}
			b, err := json.Marshal(d)
			if err != nil {
				return err
			}
			return out(b)
		})
	})
	if err != nil {
		status := http.StatusInternalServerError
		if asked {
			status = http.StatusBadRequest
		}
		c.answer(status, map[string]any{"Error": map[string]any{"Code": strconv.Itoa(status), "Message": err.Error()}})
		return
	}
	from := 0
	if skip := c.r.URL.Query().Get("$skip"); skip != "" {
		if from, err = strconv.Atoi(skip); err != nil || from < 0 {
			c.answer(http.StatusBadRequest, map[string]any{"Error": map[string]any{"Code": "400", "Message": "$skip is no number"}})
			return
		}
	}
	from = min(from, len(list))
	to := min(from+s.o.PageSize, len(list))
	out := map[string]any{"BillingCurrency": currency, "CustomerEntityId": "Default", "CustomerEntityType": "Retail", "Items": list[from:to], "NextPageLink": nil, "Count": to - from}
	if to < len(list) {
		out["NextPageLink"] = c.next("$skip", strconv.Itoa(to))
	}
	c.answer(http.StatusOK, out)
}

// query is what of a Cost Management query is understood.
type query struct {
	Type       string
	Timeframe  string
	TimePeriod struct{ From, To string }
	Dataset    struct {
		Granularity string
		Aggregation map[string]struct{ Name, Function string }
		Grouping    []struct{ Type, Name string }
	}
}

// dimensions are what charges can be grouped by.
var dimensions = map[string]func(*cost.Charge) string{
	"resourceid": func(c *cost.Charge) string { return c.Resource }, "resourcetype": func(c *cost.Charge) string { return c.ResourceType },
	"resourcegroupname": func(c *cost.Charge) string {
		if p := strings.Split(c.Resource, "/"); len(p) > 4 && p[3] == "resourcegroups" {
			return p[4]
		}
		return ""
	},
	"resourcelocation": func(c *cost.Charge) string { return c.Region }, "servicename": func(c *cost.Charge) string { return c.Service },
	"metercategory": func(c *cost.Charge) string { return c.MeterCategory }, "metersubcategory": func(c *cost.Charge) string { return c.MeterSub }, "meter": func(c *cost.Charge) string { return c.Meter },
	"meterid": func(c *cost.Charge) string { return c.MeterID }, "subscriptionid": func(c *cost.Charge) string { return strings.TrimPrefix(c.SubAccount, "/subscriptions/") },
	"subscriptionname": func(c *cost.Charge) string { return c.SubAccountName }, "publishertype": func(*cost.Charge) string { return "Azure" },
	"chargetype": chargeType, "pricingmodel": pricingModel, "benefitid": func(c *cost.Charge) string { return c.Commitment },
}

// chargeType says a FOCUS category in Azure's words.
func chargeType(c *cost.Charge) string {
	switch {
	case c.CommitmentUse == "Unused":
		return "UnusedReservation"
	case c.Category == "Adjustment":
		return "RoundingAdjustment"
	}
	return c.Category
}

func pricingModel(c *cost.Charge) string {
	switch {
	case c.Commitment != "":
		return "Reservation"
	case strings.HasSuffix(c.Meter, " Spot"):
		return "Spot"
	}
	return "OnDemand"
}

// row is a sum of charges.
type row struct {
	day     string
	groups  []string
	billing string
	cost    cost.Amount
	usage   float64
}

// costs answers a query of what a subscription cost: by day where that is asked, and by
// dimensions.
func (s *Server) costs(c *call, sub string) {
	var q query
	if err := json.Unmarshal(c.body, &q); err != nil {
		c.fail(http.StatusBadRequest, "BadRequest", "Invalid query definition: "+err.Error())
		return
	}
	from, to, ok := s.window(&q)
	if !ok {
		c.fail(http.StatusBadRequest, "BadRequest", "Invalid query definition: the time frame or its period is not valid.")
		return
	}
	if s.o.MaxGroups > 0 && len(q.Dataset.Grouping) > s.o.MaxGroups {
		c.fail(http.StatusBadRequest, "BadRequest", "Invalid query definition: too many dataset groupings, at most "+strconv.Itoa(s.o.MaxGroups)+" are allowed.")
		return
	}
	for _, g := range q.Dataset.Grouping {
		if dimensions[strings.ToLower(g.Name)] == nil || !strings.EqualFold(g.Type, "Dimension") {
			c.fail(http.StatusBadRequest, "BadRequest", "Invalid query definition: dimension '"+g.Name+"' is not known.")
			return
		}
	}
	daily, usage := strings.EqualFold(q.Dataset.Granularity, "Daily"), false
	for _, a := range q.Dataset.Aggregation {
		usage = usage || strings.EqualFold(a.Name, "UsageQuantity")
	}
	list, err := s.keep(c.path+"\n"+string(c.body), func() ([]json.RawMessage, error) {
		rows, err := s.sum(sub, &q, from, to, daily)
		if err != nil {
			return nil, err
		}
		out := make([]json.RawMessage, 0, len(rows))
		for _, r := range rows {
			b, err := json.Marshal(r.cells(daily, usage))
			if err != nil {
				return nil, err
			}
			out = append(out, b)
		}
		return out, nil
	})
	if err != nil {
		c.fail(http.StatusInternalServerError, "InternalServerError", err.Error())
		return
	}
	start, ok := offset(c.r.URL.Query().Get("$skiptoken"), len(list))
	if !ok {
		c.fail(http.StatusBadRequest, "BadRequest", "The skip token is not valid.")
		return
	}
	end := min(start+max(s.o.PageSize, 1000), len(list))
	var next any
	if end < len(list) {
		next = c.next("$skiptoken", "s"+strconv.Itoa(end))
	}
	c.w.Header().Set("x-ms-ratelimit-remaining-microsoft.costmanagement-qpu-remaining", "QueriesPerHour:395")
	c.answer(http.StatusOK, map[string]any{"id": sub + "/providers/Microsoft.CostManagement/query/q", "name": "q", "type": "Microsoft.CostManagement/query", "location": nil, "sku": nil, "eTag": nil,
		"properties": map[string]any{"nextLink": next, "columns": columns(&q, daily, usage), "rows": list[start:end]}})
}

// window is the time that a query is of: whole days, the end exclusive.
func (s *Server) window(q *query) (from, to int64, ok bool) {
	now := s.o.World.Now()
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	switch strings.ToLower(q.Timeframe) {
	case "monthtodate", "billingmonthtodate":
		return month.UnixNano(), now.UnixNano(), true
	case "thelastmonth", "thelastbillingmonth":
		return month.AddDate(0, -1, 0).UnixNano(), month.UnixNano(), true
	case "custom":
		a, errA := time.Parse(time.RFC3339, q.TimePeriod.From)
		b, errB := time.Parse(time.RFC3339, q.TimePeriod.To)
		return a.UnixNano(), b.UnixNano(), errA == nil && errB == nil && a.Before(b)
	}
	return 0, 0, false
}

// sum adds charges up, in the order in which groups first appear.
func (s *Server) sum(sub string, q *query, from, to int64, daily bool) (rows []*row, err error) {
	at := map[string]*row{}
	amortized := strings.EqualFold(q.Type, "AmortizedCost")
	err = s.o.World.EachChargeOf(sub, func(ch cost.Charge) error {
		if ch.Start < from || ch.Start >= to || !amortized && ch.CommitmentUse == "Unused" || amortized && ch.Category == "Purchase" {
			return nil
		}
		r := row{billing: ch.Currency}
		if daily {
			r.day = time.Unix(0, ch.Start).UTC().Format("20060102")
		}
		for _, g := range q.Dataset.Grouping {
			r.groups = append(r.groups, dimensions[strings.ToLower(g.Name)](&ch))
		}
		key := strings.Join(append(r.groups, r.day, r.billing), "\x00")
		have := at[key]
		if have == nil {
			have = &r
			at[key] = have
			rows = append(rows, have)
		}
		if amortized {
			have.cost += ch.Effective
		} else {
			have.cost += ch.Billed
		}
		have.usage += ch.Quantity
		return nil
	})
	return rows, err
}

func (r *row) cells(daily, usage bool) []any {
	out := []any{json.Number(strconv.FormatFloat(r.cost.Float(), 'f', 6, 64))}
	if usage {
		out = append(out, r.usage)
	}
	if daily {
		out = append(out, json.Number(r.day))
	}
	for _, g := range r.groups {
		out = append(out, g)
	}
	return append(out, r.billing)
}

func columns(q *query, daily, usage bool) []map[string]string {
	column := func(name, kind string) map[string]string { return map[string]string{"name": name, "type": kind} }
	out := []map[string]string{column("Cost", "Number")}
	if usage {
		out = append(out, column("UsageQuantity", "Number"))
	}
	if daily {
		out = append(out, column("UsageDate", "Number"))
	}
	for _, g := range q.Dataset.Grouping {
		out = append(out, column(g.Name, "String"))
	}
	return append(out, column("Currency", "String"))
}
