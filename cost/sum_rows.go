package cost

import (
	"iter"
	"math"
	"strings"
)

// placed is what charges of the same facts are, and where they belong. It is found once
// for all of them; a bill has ten times as many rows, and is gone through often.
type placed struct {
	fact     uint32 // of the bill
	cluster  string
	sub      string // subscription
	resource string // in lower case
	usage    bool   // see isUsage
	nodes    bool   // see isNodes
	hours    bool   // its quantity is how many hours machines were billed for
	logs     logRow
	quantity dataUnit // of Quantity
	priced   dataUnit // of Priced
}

// logRow says whether a charge is for logs that a workspace takes in.
type logRow uint8

const (
	noLogs   logRow = iota
	logsByGB        // by what comes in
	logsTier        // by the day, whatever comes in
)

// dataUnit is a unit of data; 0 = it is none.
type dataUnit uint8

const (
	inGB dataUnit = iota + 1
	inMB
	inTB
)

// row is a charge that counts, good until the next one is read. Days and figures are its
// own; those of its Charge, which it shares with others, are 0.
type row struct {
	*Charge
	*placed
	Billed, Effective, List, Contracted Amount
	Quantity, Priced                    float64

	start int64
	end   int64
	day   int64 // since 1970, of start
	spend Amount
}

// all gives every row that counts. A row is good until the next one is asked for.
func (l *ledger) all() iter.Seq[*row] { return l.give(l.rows) }

// of gives the rows of a subscription; see all.
func (l *ledger) of(sub string) iter.Seq[*row] {
	if rows := l.bySub[sub]; rows != nil {
		return l.give(*rows)
	}
	return l.give(nil)
}

func (l *ledger) give(rows []uint32) iter.Seq[*row] {
	return func(yield func(*row) bool) {
		r := &row{}
		for _, i := range rows {
			e := l.bill.entry(int(i))
			if p := &l.facts[e.fact]; r.placed != p {
				r.placed, r.Charge = p, l.bill.facts[e.fact]
			}
			r.Billed, r.Effective, r.List, r.Contracted, r.Quantity, r.Priced = e.billed, e.effective, e.list, e.contracted, e.quantity, e.priced
			r.start, r.end, r.day, r.spend = e.start, e.ends(), e.start/day, e.billed
			if e.effective != 0 {
				r.spend = e.effective
			}
			if !yield(r) {
				return
			}
		}
	}
}

// place finds what charges of some facts are.
func (l *ledger) place(fact int) placed {
	c := l.bill.facts[fact]
	p := placed{fact: uint32(fact), sub: subOf(c), resource: lower(c.Resource), usage: isUsage(c), nodes: isNodes(c), logs: logsOf(c), quantity: dataUnitOf(c.QuantityUnit), priced: dataUnitOf(c.PricedUnit)}
	p.cluster, _ = clusterOf(l.in, c)
	if p.nodes {
		u := lower(c.QuantityUnit)
		p.hours = strings.Contains(u, "hour") && !strings.Contains(u, "100") && !strings.Contains(lower(c.MeterCategory), "licen")
	}
	return p
}

// logsOf says whether charges are for logs that a workspace takes in.
func logsOf(c *Charge) logRow {
	category := lower(c.MeterCategory)
	if category == "" {
		category = lower(c.Service)
	}
	switch category {
	case "log analytics", "azure monitor", "insight and analytics":
	default:
		return noLogs
	}
	meter := lower(c.Meter + " " + c.MeterSub + " " + c.Description)
	has := func(w string) bool { return strings.Contains(meter, w) }
	switch {
	case !has("ingest") && !has("analytics logs") && !has("basic logs") && !has("auxiliary logs") && !has("commitment tier"),
		has("retention"), has("archive"), has("metrics"):
		return noLogs
	case has("commitment tier"):
		return logsTier
	}
	return logsByGB
}

// ingested says whether a charge is for logs that a workspace takes in, and how many GB.
func (r *row) ingested() (gb float64, known, ok bool) {
	if r.logs == logsByGB {
		gb, known = r.gigabytes()
	}
	return gb, known, r.logs != noLogs
}

func dataUnitOf(unit string) dataUnit {
	switch strings.TrimPrefix(strings.ReplaceAll(lower(unit), " ", ""), "1") {
	case "gb", "gib", "gigabyte", "gigabytes":
		return inGB
	case "mb":
		return inMB
	case "tb":
		return inTB
	}
	return 0
}

// gigabytes is a quantity in GB, where it is one of data and within reason.
func (u dataUnit) gigabytes(q float64) (float64, bool) {
	switch u {
	case inGB:
		return q, q == q && q < 1e12 && q > -1e12
	case inMB:
		return q / 1000, q == q && q < 1e15 && q > -1e15
	case inTB:
		return q * 1000, q == q && q < 1e9 && q > -1e9
	}
	return 0, false
}

// gigabytes is the quantity of a charge, where it is one of data.
func (r *row) gigabytes() (float64, bool) {
	if q, ok := r.quantity.gigabytes(r.Quantity); ok {
		return q, true
	}
	return r.priced.gigabytes(r.Priced)
}

// nodeHours is for how many hours machines were billed, where a charge says that.
func (r *row) nodeHours() (float64, bool) {
	if !r.hours || !plain(math.Abs(r.Quantity)) {
		return 0, false
	}
	return r.Quantity, true
}
