package azure

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// Most of a snapshot is pages of a cost query, and most of their rows tell what another
// told but for day, amount and quantity. Those three are read from the bytes; the rest was
// reduced when the first of such rows came, and is known again by being the same bytes.
// A page of another form than Azure's own, written without spaces, is read like any document.

const (
	maxPageCells = 1 << 20
	maxAlike     = 100_000
	maxAlikeSize = 64 << 20
	maxDays      = 4096
)

// pages reads pages of one kind into one bill.
type pages struct {
	into    *cost.Bill
	heading []byte         // bytes of the columns of the page before
	columns map[string]int // as rowsOf has them
	width   int
	varying []int // columns of amount, quantity and day, in their order; each 0 to width-1
	amount  int
	count   int // of quantity; -1 = none
	day     int
	cells   []span // of the present page
	alike   map[string]cost.Kind
	size    int
	days    map[string]int64
	key     []byte
}

// span is where a value is in a page.
type span struct{ from, to int }

// addPage takes in a page of rows of cost. false = it has another form, and nothing happened.
func (b *Builder) addPage(what, scope string, doc []byte) bool {
	p := b.pages[what]
	if p == nil {
		switch what {
		case cloud.ReadCosts:
			p = &pages{into: &b.bill}
		case cloud.ReadAmortized:
			p = &pages{into: &b.amortized}
		default:
			return false
		}
		p.days = map[string]int64{}
		b.pages[what] = p
	}
	key := readKey{what, armID(scope)}
	if len(doc) > maxDoc || b.seen[key] == 0 && len(b.seen) >= maxKind || !p.scan(doc) {
		return false
	}
	b.seen[key]++
	for i := 0; i*p.width < len(p.cells); i++ {
		p.row(b, key, doc, i, p.cells[i*p.width:(i+1)*p.width])
	}
	return true
}

// scan finds the cells of a page, and refuses what is not wholly of the form it knows.
func (p *pages) scan(doc []byte) bool {
	const first, second, last = `{"columns":[`, `],"rows":[`, `]}`
	at := bytes.Index(doc, []byte(second))
	if at < 0 || !bytes.HasPrefix(doc, []byte(first)) || !bytes.HasSuffix(doc, []byte(last)) || len(doc) < at+len(second)+len(last) {
		return false
	}
	if heading := doc[:at]; !bytes.Equal(heading, p.heading) && !p.headed(heading, heading[len(first):]) {
		return false
	}
	p.cells = p.cells[:0]
	end := len(doc) - len(last)
	for i := at + len(second); i < end; {
		if len(p.cells) > 0 {
			if doc[i] != ',' {
				return false
			}
			i++
		}
		if i >= end || doc[i] != '[' {
			return false
		}
		for n := 1; n <= p.width; n++ {
			i++
			to := value(doc[:end], i)
			if to < 0 || to >= end || len(p.cells) >= maxPageCells || n < p.width && doc[to] != ',' {
				return false
			}
			p.cells = append(p.cells, span{i, to})
			i = to
		}
		if doc[i] != ']' {
			return false
		}
		i++
	}
	return true
}

// value gives where a number, a text of plain ASCII or null ends that begins at i; -1 = it
// is another.
func value(d []byte, i int) int {
	if i >= len(d) {
		return -1
	}
	switch c := d[i]; {
	case c == '"':
		for i++; i < len(d); i++ {
			switch c := d[i]; {
			case c == '"':
				return i + 1
			case c < ' ' || c >= 0x7f || c == '\\':
				return -1
			}
		}
		return -1
	case c == 'n':
		if bytes.HasPrefix(d[i:], []byte("null")) {
			return i + 4
		}
		return -1
	}
	from := i
	if d[i] == '-' {
		i++
	}
	whole := i
	for i < len(d) && d[i] >= '0' && d[i] <= '9' {
		i++
	}
	if i == whole || d[whole] == '0' && i > whole+1 {
		return -1
	}
	if i < len(d) && d[i] == '.' {
		part := i + 1
		for i++; i < len(d) && d[i] >= '0' && d[i] <= '9'; i++ {
		}
		if i == part {
			return -1
		}
	}
	if i-from > 40 {
		return -1
	}
	return i
}

// headed reads the columns of a page: {"name":"…","type":"…"} each.
func (p *pages) headed(heading, list []byte) bool {
	p.heading = nil
	columns := map[string]int{}
	amount, count, day := -1, -1, -1
	width := 0
	for rest := list; ; width++ {
		name, after, ok := member(rest, `{"name":`)
		if !ok {
			return false
		}
		if _, after, ok = member(after, `,"type":`); !ok || len(after) == 0 || after[0] != '}' {
			return false
		}
		name = strings.ToLower(name)
		if _, twice := columns[name]; twice {
			return false
		}
		columns[name] = width
		to := map[string]*int{"cost": &amount, "pretaxcost": &amount, "costinbillingcurrency": &amount, "usagequantity": &count, "quantity": &count, "usagedate": &day, "date": &day}[name]
		if to != nil && *to >= 0 || name == "billingmonth" {
			return false // which of them counts, depends on the row
		}
		if to != nil {
			*to = width
		}
		if after = after[1:]; len(after) == 0 {
			width++
			break
		}
		if after[0] != ',' {
			return false
		}
		rest = after[1:]
	}
	if amount < 0 || day < 0 {
		return false
	}
	p.heading, p.columns, p.width, p.amount, p.count, p.day = bytes.Clone(heading), columns, width, amount, count, day
	p.varying = []int{amount, day}
	if count >= 0 {
		p.varying = append(p.varying, count)
	}
	slices.Sort(p.varying)
	p.alike, p.size = map[string]cost.Kind{}, 0
	return true
}

// member reads a text that follows a known beginning.
func member(d []byte, begin string) (text string, after []byte, ok bool) {
	if !bytes.HasPrefix(d, []byte(begin)) || len(d) == len(begin) || d[len(begin)] != '"' {
		return "", nil, false
	}
	to := value(d, len(begin))
	if to < 0 {
		return "", nil, false
	}
	return string(d[len(begin)+1 : to-1]), d[to:], true
}

// row takes in one row.
func (p *pages) row(b *Builder, key readKey, doc []byte, i int, cells []span) {
	p.key = append(append(p.key[:0], key.scope...), '\n')
	from := cells[0].from
	for _, v := range p.varying {
		p.key = append(p.key, doc[from:cells[v].from]...)
		from = cells[v].to
	}
	p.key = append(p.key, doc[from:cells[len(cells)-1].to]...)
	kind, known := p.alike[string(p.key)]
	if known && p.quick(kind, doc, cells) {
		return
	}
	before := p.into.Len()
	row := costRow{p.columns, make([]node, len(cells)), &document{}}
	for j, c := range cells {
		row.cells[j] = node{v: plain(doc[c.from:c.to]), path: ".rows[" + strconv.Itoa(i) + "][" + strconv.Itoa(j) + "]", doc: row.doc}
	}
	switch err := b.chargeOf(p.into, key.scope, row); {
	case err != nil:
		b.countBad(key, true, err.Error())
	case row.doc.wrong != "":
		b.countBad(key, false, row.doc.wrong)
	case p.into.Len() == before+1 && !known && len(p.alike) < maxAlike && p.size < maxAlikeSize:
		p.alike[string(p.key)] = p.into.Last()
		p.size += len(p.key)
	}
}

// quick takes in a row of a known kind. false = it needs a closer look, nothing happened.
func (p *pages) quick(kind cost.Kind, doc []byte, cells []span) bool {
	amount, ok := number(doc, cells[p.amount])
	if !ok || math.Abs(amount) > 9e9 || p.into.Len() >= maxCharges {
		return false
	}
	c := cost.Charge{Billed: cost.FromFloat(amount)}
	c.Effective = c.Billed
	if p.count >= 0 {
		if c.Quantity, ok = number(doc, cells[p.count]); !ok {
			return false
		}
	}
	day := doc[cells[p.day].from:cells[p.day].to]
	if c.Start, ok = p.days[string(day)]; !ok {
		n := node{v: plain(day), doc: &document{}}
		if c.Start = n.time(); c.Start == 0 || n.doc.wrong != "" {
			return false
		}
		if len(p.days) < maxDays {
			p.days[string(day)] = c.Start
		}
	}
	c.End = c.Start + int64(24*time.Hour)
	p.into.AddOf(kind, &c)
	return true
}

// plain gives what a value that scan knows means, as encoding/json does.
func plain(v []byte) any {
	switch {
	case v[0] == 'n':
		return nil
	case v[0] == '"':
		return string(v[1 : len(v)-1])
	}
	f, _ := strconv.ParseFloat(string(v), 64) // at most 40 digits
	return f
}

// number reads a number of a page.
func number(doc []byte, at span) (float64, bool) {
	v := doc[at.from:at.to]
	if v[0] == '"' || v[0] == 'n' {
		return 0, false
	}
	digits, unit, seen := 0.0, 1.0, false
	rest := v
	if v[0] == '-' {
		rest = v[1:]
	}
	if len(rest) > 15 {
		f, err := strconv.ParseFloat(string(v), 64)
		return f, err == nil
	}
	for _, c := range rest { // both stay whole numbers that a float holds exactly
		if c == '.' {
			seen = true
			continue
		}
		digits = digits*10 + float64(c-'0')
		if seen {
			unit *= 10
		}
	}
	if v[0] == '-' {
		digits = -digits
	}
	return digits / unit, true
}
