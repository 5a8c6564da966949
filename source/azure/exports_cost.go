package azure

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// Rows of cost say neither which of the two readings they are (billed or amortised) nor
// that another file told them already. Counted twice they double a bill, so of each reading
// one file tells a subscription's day: the first that does, in the order of names. A later
// one is believed beside it only as a next page of a file that says that there was more, or
// where the two were asked of scopes of which neither holds the other.

// told is which export tells the cost of a subscription on a day.
type told struct {
	file  int
	scope string
	more  bool // the service had more than that file holds
}

type costDay struct{ what, sub, day string }

// tellers are the tellers of all days of cost that the exports hold so far.
type tellers struct {
	days map[costDay][]told
	rows map[uint64]bool // hashes of rows of pages, without their figures
	seed maphash.Seed
	left int    // rows of the present file that others told already
	sub  string // the one subscription of the present file, as far as it is read; "" = none or many
}

// amortizedIn says whether a file's documents have what only amortised cost has.
func amortizedIn(raw []byte, docs []json.RawMessage) bool {
	if !bytes.Contains(raw, []byte("nused")) {
		return false
	}
	return slices.ContainsFunc(docs, func(d json.RawMessage) bool {
		n, err := open(d)
		return err == nil && recognise(n) == cloud.ReadCosts && unusedCost(n)
	})
}

// unusedCost says whether a document has what only amortised cost has: a charge for what
// nothing used of a commitment.
func unusedCost(n node) bool {
	for row := range costRows(n) {
		if kind := strings.ToLower(row.get("chargetype").text()); strings.HasPrefix(kind, "unused") && row.get("cost", "pretaxcost", "costinbillingcurrency").number() != 0 {
			return true
		}
	}
	return false
}

// costRows gives the rows of a document of cost, with the place of each (−1 = the document
// is the row). What is odd in them is left for the Builder to count.
func costRows(n node) iter.Seq2[costRow, int] {
	return func(yield func(costRow, int) bool) {
		columns := n.prop("columns")
		if !columns.there() {
			row := costRow{columns: map[string]int{}, doc: n.doc}
			for _, k := range n.keys() {
				row.columns[strings.ToLower(k)] = len(row.cells)
				row.cells = append(row.cells, n.at(k))
			}
			yield(row, -1)
			return
		}
		at, width := map[string]int{}, 0
		for i, c := range columns.items() {
			at[strings.ToLower(c.at("name").text())], width = i, i+1
		}
		for i, r := range n.prop("rows").items() {
			if cells := r.items(); len(cells) == width && !yield(costRow{at, cells, n.doc}, i) {
				return
			}
		}
	}
}

// once gives a document of cost without the rows that are told already; nil = all are.
func (x *exports) once(what string, n node, d json.RawMessage, more bool) (json.RawMessage, error) {
	if x.cost.days == nil {
		x.cost = tellers{days: map[costDay][]told{}, rows: map[uint64]bool{}, seed: maphash.MakeSeed()}
	}
	id := n.at("id").id()
	scope, _, _ := strings.Cut("/"+strings.TrimPrefix(id, "/"), "/providers/microsoft.costmanagement/")
	me := told{x.files, scope, more}
	x.cost.sub = x.oneSub(n, me.scope)
	drop := map[int]bool{}
	for row, i := range costRows(n) {
		if x.again(what, me, row, i >= 0) {
			drop[i] = true
		}
	}
	if len(drop) == 0 {
		return d, nil
	}
	x.cost.left += len(drop)
	rows := n.prop("rows").items()
	if drop[-1] || len(drop) == len(rows) {
		return nil, nil
	}
	var kept []any
	for i, r := range rows {
		if !drop[i] {
			kept = append(kept, r.v)
		}
	}
	return json.Marshal(map[string]any{"id": n.at("id").v, "type": n.at("type").v, "columns": n.prop("columns").v, "rows": kept})
}

// oneSub says of which one subscription a document is: by its id, by its file's name, or
// because all its rows of a resource are of that one.
func (x *exports) oneSub(n node, scope string) string {
	if sub := cmp.Or(subscriptionOf(scope), x.name.sub); sub != "" {
		return sub
	}
	one := x.cost.sub
	for row := range costRows(n) {
		switch sub := subscriptionOf(row.get("resourceid").id()); {
		case sub == "" || sub == one:
		case one == "":
			one = sub
		default:
			return ""
		}
	}
	return one
}

// again says whether a row is told already; if not, it is from now on.
func (x *exports) again(what string, me told, row costRow, page bool) bool {
	sub := subscriptionOf(row.get("resourceid").id())
	if sub == "" {
		if s := strings.ToLower(row.get("subscriptionid").text()); isGUID(s) {
			sub = "/subscriptions/" + s
		} else {
			sub = x.cost.sub
		}
	}
	start := row.get("usagedate", "date", "billingmonth").time()
	if start == 0 {
		return false // the Builder counts it as broken
	}
	from := time.Unix(0, start).UTC()
	to := from.AddDate(0, 0, 1)
	if !row.get("usagedate", "date").there() {
		to = from.AddDate(0, 1, 0)
	}
	var of []costDay
	for at := from; at.Before(to); at = at.AddDate(0, 0, 1) {
		k := costDay{what, sub, at.Format(time.DateOnly)}
		of = append(of, k)
		for _, o := range x.cost.days[k] {
			switch {
			case o.file == me.file || apart(o.scope, me.scope):
			case page && o.more:
			default:
				return true
			}
		}
	}
	if page {
		h := x.cost.hash(what, sub, row)
		if x.cost.rows[h] {
			return true
		}
		x.cost.rows[h] = true
	}
	for _, k := range of {
		x.cost.add(k, me)
	}
	return false
}

func (t *tellers) add(k costDay, me told) {
	for i, o := range t.days[k] {
		if o.file == me.file && o.scope == me.scope {
			t.days[k][i].more = o.more || me.more
			return
		}
	}
	t.days[k] = append(t.days[k], me)
}

// apart says that neither of two scopes holds the other. Of a scope that is not told,
// nothing is known.
func apart(a, b string) bool {
	return strings.HasPrefix(a, "/subscriptions/") && strings.HasPrefix(b, "/subscriptions/") &&
		a != b && !strings.HasPrefix(a, b+"/") && !strings.HasPrefix(b, a+"/")
}

// hash is of all that tells a row from the others of its query: not its figures.
func (t *tellers) hash(what, sub string, row costRow) uint64 {
	var h maphash.Hash
	h.SetSeed(t.seed)
	h.WriteString(what + "|" + sub + "|" + fmt.Sprint(row.get("usagedate", "date", "billingmonth").v))
	for _, c := range row.cells {
		h.WriteByte(0)
		if s, ok := c.v.(string); ok {
			h.WriteString(s)
		}
	}
	return h.Sum64()
}

// twice says that a file held rows of cost that another told.
func (x *exports) twice(name string, known int) error {
	r := cloud.Read{What: cloud.ReadExport, Scope: name, At: x.at, Outcome: cloud.ReadPartial, Rows: known, Bad: x.cost.left,
		Reason: fmt.Sprintf("%d rows of cost left out: another export tells the cost of these days already", x.cost.left),
		Remedy: "keep one export of each day; name a file of amortised cost amortized-costs.SUBSCRIPTION.json, as its rows do not say what they are (docs/azure.md)"}
	return x.each(Record{What: r.What, Scope: name, Read: &r})
}
