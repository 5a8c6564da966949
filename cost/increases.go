package cost

import (
	"fmt"
	"sort"
	"strings"
)

const (
	mostIncreases = 500
	// An increase is told from one unit of the currency and a tenth of what was.
	leastMore  = Unit
	leastShare = 10
)

// series names what may become dearer.
type series struct{ cluster, what, table string }

type week struct {
	money   Amount
	gb      float64
	gbKnown bool
}

// increases compares the last seven days that the bill holds whole with the seven before,
// by cluster and meter, logs by category. Weeks of which a subscription misses more than
// one day are not compared, and told as a gap. At most 500 are told, the largest first.
func increases(in *Input, r *Report) {
	l := billOf(in)
	r.Increases = []Increase{}
	end := l.complete()
	skipped := 0
	whole := map[string]bool{}
	for sub, known := range l.known {
		before, after := 0, 0
		for d := end - 14; d < end; d++ {
			if known[d] && d < end-7 {
				before++
			} else if known[d] {
				after++
			}
		}
		if whole[sub] = before >= 6 && after >= 6; !whole[sub] {
			skipped++
		}
	}
	weeks := map[series]*[2]week{}
	at := func(k series) *[2]week {
		if weeks[k] == nil {
			weeks[k] = &[2]week{{gbKnown: true}, {gbKnown: true}}
		}
		return weeks[k]
	}
	of := make([]*[2]week, len(l.facts))
	for c := range l.all() {
		if c.day < end-14 || c.day >= end || !c.usage || c.cluster == "" || !whole[c.sub] {
			continue
		}
		if c.logs != noLogs {
			continue
		}
		if of[c.fact] == nil {
			meter := meterOf(c.Charge)
			of[c.fact] = at(series{cluster: c.cluster, what: meter, table: meter})
		}
		x := &of[c.fact][0]
		if c.day >= end-7 {
			x = &of[c.fact][1]
		}
		x.money += c.Billed
		gb, known := c.gigabytes()
		x.gb += gb
		x.gbKnown = x.gbKnown && known
	}
	g := newLogs(l)
	for w := range 2 {
		got := g.between(end-14+int64(w)*7, end-7+int64(w)*7)
		for id, by := range got {
			if !whole[subscriptionOf(id)] {
				continue
			}
			for what, s := range by {
				k := series{cluster: id, what: "logs " + what, table: s.table}
				if s.table == "" {
					k.table = what
				} else if s.table != what {
					k.what += " (" + s.table + ")"
				}
				x := &at(k)[w]
				x.money += s.money
				x.gb += s.gb
				x.gbKnown = x.gbKnown && s.gbKnown
			}
		}
	}
	for k, w := range weeks {
		more := w[1].money - w[0].money
		if more < leastMore || more < absolute(w[0].money)/leastShare {
			continue
		}
		inc := Increase{Cluster: k.cluster, Table: k.table, Before: l.money(w[0].money), After: l.money(w[1].money), More: l.money(more)}
		text := fmt.Sprintf("%s: %s cost %s %s more in the week from %s than in the one before (%s → %s %s)", lastOf(k.cluster), k.what,
			cents(more.String()), l.currency, dayName(end-7), cents(w[0].money.String()), cents(w[1].money.String()), l.currency)
		if w[0].gbKnown && w[1].gbKnown && (w[0].gb != 0 || w[1].gb != 0) {
			inc.GB = w[1].gb - w[0].gb
			text += fmt.Sprintf(", for %.1f GB more (%.1f → %.1f GB)", inc.GB, w[0].gb, w[1].gb)
		} else if strings.HasPrefix(k.what, "logs ") {
			text += "; the bill does not tell gigabytes"
		}
		inc.Text = text + "."
		r.Increases = append(r.Increases, inc)
	}
	sort.Slice(r.Increases, func(a, b int) bool {
		x, y := &r.Increases[a], &r.Increases[b]
		if x.More.Amount != y.More.Amount {
			return x.More.Amount > y.More.Amount
		}
		return x.Cluster+"\x00"+x.Table < y.Cluster+"\x00"+y.Table
	})
	if n := len(r.Increases); n > mostIncreases {
		var rest Amount
		for _, x := range r.Increases[mostIncreases:] {
			rest += x.More.Amount
		}
		r.Increases = r.Increases[:mostIncreases]
		r.Gaps = append(r.Gaps, Gap{What: fmt.Sprintf("%d smaller increases", n-mostIncreases), Reason: fmt.Sprintf("only the %d largest are told; these are %s %s together", mostIncreases, cents(rest.String()), l.currency)})
	}
	if skipped > 0 && len(l.rows) > 0 {
		r.Gaps = append(r.Gaps, Gap{What: fmt.Sprintf("increases in %d subscriptions", skipped), Reason: "the bill misses more than a day of the two weeks that would be compared"})
	}
}

func meterOf(c *Charge) string {
	switch {
	case c.MeterCategory != "" && c.Meter != "":
		return c.MeterCategory + " / " + c.Meter
	case c.Meter != "":
		return c.Meter
	case c.MeterCategory != "":
		return c.MeterCategory
	case c.Service != "":
		return c.Service
	}
	return "what the bill gives no meter"
}
