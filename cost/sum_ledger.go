package cost

import (
	"fmt"
	"math"
	"sort"
	"time"

	"github.com/dockreeve/dockreeve/inventory"
)

const (
	hour = int64(time.Hour)
	day  = 24 * hour

	// mostOfRow is the largest amount a row may have, either way: a trillion units.
	mostOfRow = Amount(1_000_000_000_000) * Unit
)

// ledger is the bill as all parts of a report read it: which rows count, in which
// currency, on which day, for which cluster. It is made once and not changed.
//
// The amounts of its rows, all taken as positive, add up to what an Amount can hold, in
// each currency. So no sum of some of them can overflow.
type ledger struct {
	in       *Input
	currency string
	from, to int64 // the window
	month    int64 // start of the month of Now
	bill     *Bill
	rows     []uint32             // of the bill, those that count
	facts    []placed             // of the bill's facts
	last     string               // newest day that has rows, YYYY-MM-DD
	lastDay  int64                // as a number of days since 1970
	bySub    map[string]*[]uint32 // rows by subscription; "" = of none
	known    map[string]dayset    // days for which a subscription has any row
	others   map[string]*others   // by currency
	bad      map[string]int       // reason → rows

	names    map[string]string            // name of a cluster → its id; "" = several have it
	usage    map[string][]inventory.Usage // of a cluster, by hour and namespace
	badUsage int
}

type others struct {
	sum  Amount
	rows int
}

type dayset map[int64]bool

// billOf gives the ledger of an input, which Compute made, or makes it.
func billOf(in *Input) *ledger {
	if in.bill != nil {
		return in.bill
	}
	return newLedger(in)
}

func newLedger(in *Input) *ledger {
	l := &ledger{in: in, currency: in.Currency, from: in.From, to: in.Now,
		bySub: map[string]*[]uint32{}, known: map[string]dayset{}, others: map[string]*others{}, bad: map[string]int{}}
	now := time.Unix(0, in.Now).UTC()
	l.month = time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC).UnixNano()
	if l.from == 0 {
		l.from = l.month
	}
	l.bill = in.whole()
	if l.currency == "" {
		l.currency = mostBilledIn(l.bill)
	}
	if in.belongs == nil {
		given := *in
		given.belongs = belongingOf(in)
		l.in = &given
	}
	l.names = map[string]string{}
	if in.Tenant != nil {
		for i := range in.Tenant.Clusters {
			alone(l.names, lower(in.Tenant.Clusters[i].Name), lower(in.Tenant.Clusters[i].ID))
		}
	}
	l.read()
	l.readUsage()
	return l
}

// idOf is the ARM id of a cluster that is told by its id or by a name that no other has;
// else what was told.
func (l *ledger) idOf(told string) string {
	told = lower(told)
	if !l.in.belongs.clusters[told] {
		if id := l.names[told]; id != "" {
			return id
		}
	}
	return told
}

// mostBilledIn is the currency of most rows; of several the first by name.
func mostBilledIn(b *Bill) string {
	n := map[string]int{}
	for i := range b.Len() {
		if c := b.facts[b.entry(i).fact].Currency; isCurrency(c) {
			n[c]++
		}
	}
	best := ""
	for c, k := range n {
		if best == "" || k > n[best] || k == n[best] && c < best {
			best = c
		}
	}
	return best
}

func isCurrency(c string) bool {
	if len(c) != 3 {
		return false
	}
	for i := 0; i < 3; i++ {
		if c[i] < 'A' || c[i] > 'Z' {
			return false
		}
	}
	return true
}

func (l *ledger) read() {
	sums := map[string]Amount{} // of absolute amounts
	l.facts = make([]placed, len(l.bill.facts))
	for i := range l.facts {
		l.facts[i] = l.place(i)
	}
	n := map[string]int{}
	for i := range l.bill.Len() {
		n[l.facts[l.bill.entry(i).fact].sub]++
	}
	for sub, n := range n {
		l.bySub[sub] = new(make([]uint32, 0, n))
	}
	l.rows = make([]uint32, 0, l.bill.Len())
	for i := range l.bill.Len() {
		e := l.bill.entry(i)
		currency, p, end := l.bill.facts[e.fact].Currency, &l.facts[e.fact], e.ends()
		billed, effective := absolute(e.billed), absolute(e.effective)
		switch {
		case !isCurrency(currency):
			l.bad["no currency of three capital letters"]++
			continue
		case e.start <= 0 || end <= 0 || end-e.start > 10*366*day:
			l.bad["no charge period"]++
			continue
		case billed > mostOfRow || effective > mostOfRow:
			l.bad["an amount above a trillion"]++
			continue
		}
		all, ok := add(sums[currency], max(billed, effective))
		if !ok {
			l.bad["the sum is larger than can be held"]++
			continue
		}
		sums[currency] = all
		if currency != l.currency {
			if e.start >= l.from && e.start < l.to {
				o := l.others[currency]
				if o == nil {
					o = &others{}
					l.others[currency] = o
				}
				o.sum += e.billed
				o.rows++
			}
			continue
		}
		if l.known[p.sub] == nil {
			l.known[p.sub] = dayset{}
		}
		if first := e.start / day; p.usage {
			known := l.known[p.sub]
			for d := first; d*day < end && d < first+32; d++ {
				known[d] = true
			}
			if e.start < l.to && first > l.lastDay {
				l.lastDay = first
			}
		}
		rows := l.bySub[p.sub]
		*rows = append(*rows, uint32(i))
		l.rows = append(l.rows, uint32(i))
	}
	if l.lastDay > 0 {
		l.last = dayName(l.lastDay)
	}
}

// ends is where a charge ends: one that does not say so is of a day.
func (e *entry) ends() int64 {
	if e.end <= e.start {
		return e.start + day
	}
	return e.end
}

// readUsage sorts what was used by cluster, hour and namespace (see wholeHours).
func (l *ledger) readUsage() {
	l.usage = map[string][]inventory.Usage{}
	n := map[string]int{}
	for i := range l.in.Usage {
		n[l.in.Usage[i].Cluster]++
	}
	ids := map[string]string{}
	for told := range n {
		ids[told] = l.idOf(told)
	}
	for i := range l.in.Usage {
		u := l.in.Usage[i]
		if u.Hour <= 0 || !plain(u.Requested) || !plain(u.Used) || !plain(u.Charged) || !plain(u.Cores) || !plain(u.Nodes) || !plain(u.Egress) {
			l.badUsage++
			continue
		}
		u.Hour -= u.Hour % hour
		id := ids[u.Cluster]
		if l.usage[id] == nil {
			l.usage[id] = make([]inventory.Usage, 0, n[u.Cluster])
		}
		l.usage[id] = append(l.usage[id], u)
	}
	for id, us := range l.usage {
		kept, again := wholeHours(us)
		l.badUsage += again
		l.usage[id] = kept
	}
}

// hours gives what a cluster used in a time, by hour and namespace.
func (l *ledger) hours(cluster string, from, to int64) []inventory.Usage {
	us := l.usage[cluster]
	lo := sort.Search(len(us), func(i int) bool { return us[i].Hour >= from })
	hi := lo + sort.Search(len(us)-lo, func(i int) bool { return us[lo+i].Hour >= to })
	return us[lo:hi]
}

// money is an amount of the bill.
func (l *ledger) money(a Amount) Money {
	return Money{Amount: a, Currency: l.currency, AsOf: l.last, Source: "bill"}
}

func (l *ledger) none(format string, args ...any) Money {
	return Money{Currency: l.currency, NotAssessed: fmt.Sprintf(format, args...)}
}

// within says whether a row is in the window: where its charge period begins decides.
func (l *ledger) within(r *row) bool { return r.start >= l.from && r.start < l.to }

// tell writes what of the bill was not used into the report.
func (l *ledger) tell(r *Report) {
	reasons := make([]string, 0, len(l.bad))
	for why := range l.bad {
		reasons = append(reasons, why)
	}
	sort.Strings(reasons)
	for _, why := range reasons {
		r.Bad += l.bad[why]
		r.Gaps = append(r.Gaps, Gap{What: fmt.Sprintf("%d rows of the bill", l.bad[why]), Reason: why + ": their amounts are in no total",
			Remedy: "export the bill again; if it stays, look at the rows in the export"})
	}
	if l.badUsage > 0 {
		r.Gaps = append(r.Gaps, Gap{What: fmt.Sprintf("%d hours of usage", l.badUsage), Reason: "they were told twice or hold numbers below zero or that are none"})
	}
	codes := make([]string, 0, len(l.others))
	for c := range l.others {
		codes = append(codes, c)
	}
	sort.Strings(codes)
	for _, c := range codes {
		o := l.others[c]
		r.Others = append(r.Others, Money{Amount: o.sum, Currency: c, AsOf: l.last, Source: "bill"})
		r.Gaps = append(r.Gaps, Gap{What: fmt.Sprintf("%d rows billed in %s", o.rows, c),
			Reason: "amounts of different currencies are never added: they are in no total, allocation or budget in " + l.currency,
			Remedy: "compute the report in " + c + " to see them allocated"})
	}
}

func subOf(c *Charge) string {
	if s := subscriptionOf(lower(c.Resource)); s != "" {
		return s
	}
	return lower(c.SubAccount)
}

// isUsage says whether a charge is for what ran: no purchase, tax, credit, adjustment
// and no correction of an earlier bill. Only such charges say what a day is like.
func isUsage(c *Charge) bool {
	return (c.Category == "" || c.Category == "Usage") && c.Class == ""
}

func absolute(a Amount) Amount {
	if a < 0 {
		if a == math.MinInt64 {
			return math.MaxInt64
		}
		return -a
	}
	return a
}

// plain says whether a number is one, and not below zero.
func plain(f float64) bool { return f >= 0 && f <= math.MaxFloat32 }

func dayName(d int64) string { return time.Unix(0, d*day).UTC().Format(time.DateOnly) }
