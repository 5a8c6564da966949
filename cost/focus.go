package cost

import (
	"fmt"
	"io"
	"math"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// FOCUSOptions says what a file does not. The zero value asks the file for everything.
type FOCUSOptions struct {
	Separator rune   // of columns; 0 = the one the heading has
	Decimal   string // . or ,; "" = what the file's own numbers prove
	Dates     string // DayMonth or MonthDay; "" = what the file's own dates prove
	Lean      bool   // of the columns without a place, keep only those that judgements ask for
}

// FOCUSSummary says what was read of a file, and what was not.
type FOCUSSummary struct {
	Format     string    // "FOCUS", "Azure cost export"
	Rows       int       // of the file, without its heading
	Bad        int       // of these, not understood; the others are in the bill
	Problems   []Problem // the first 20 of them
	Billed     []Money   // billed sums of what was given, by currency
	BadBilled  []Money   // billed sums of those of Bad whose amount and currency can be read
	BadUnknown int       // rows of Bad whose money is not known
	BadTags    int       // rows whose tags were not understood: they are kept as text in More
	Assumed    int       // rows without effective cost: the billed one was taken
	Cut        int       // values of More that were too long or too many
	Amortised  bool      // the file tells amortised costs: what it calls billed is not what was billed
	Separator  rune
	Decimal    string // . or ,; "" = no number needed one
	Dates      string // "" = no date needed one
	From, To   int64  // of charge periods
}

// Problem is why a row was not understood.
type Problem struct {
	Line   int    // of the file, from 1
	Column string // "" = the row as a whole
	Reason string
}

func (p Problem) String() string {
	if p.Column == "" {
		return fmt.Sprintf("line %d: %s", p.Line, p.Reason)
	}
	return fmt.Sprintf("line %d, column %s: %s", p.Line, p.Column, p.Reason)
}

// Bounds of what is read.
const (
	mostRowBytes  = 1 << 20
	mostColumns   = 1000
	mostMore      = 150      // columns without a place, of one row
	mostMoreBytes = 4 << 10  // of one such value
	mostTextBytes = 16 << 10 // of any other value
	mostHeldRows  = 50_000   // while a file's number and date forms are not known
	mostHeldBytes = 64 << 20
	mostBadShown  = 20
	mostInterned  = 200_000
	mostCharges   = 5_000_000 // of a bill
	mostFactBytes = 1 << 30   // of what its charges tell beside days and figures
)

// ErrLarge says that a bill does not fit.
var ErrLarge = fmt.Errorf("the bill is larger than can be held (%d rows, %d MiB of what they tell beside days and figures): read fewer months at once, or an export with fewer columns", mostCharges, mostFactBytes>>20)

// ReadFOCUS reads a bill as CSV, plain or gzip: FOCUS 1.0 to 1.2 with Azure's x_ columns,
// or Azure's older cost exports, whose columns are put where FOCUS has them. It gives each
// row to the callback as it reads; memory is bounded whatever the file holds. Columns are
// known by name, in any order and case. A row that is not understood is counted and told,
// with the money it is about where that can be read; it is not given to the callback.
//
// The forms of numbers (1.234,56 or 1,234.56) and dates (03/04/2026) are those that the
// file's own values prove; rows are held back until one does. If none does and it matters,
// reading ends with an error that says which option to set. An amount is rounded to a
// millionth; what is left is carried to the next row, so that the sum of a file is exact.
//
// It ends with an error at a row it cannot get beyond, at a sum that overflows, when a file
// is cut short, or when the bill would become too large. The summary and the bill are then
// of what was read so far.
func ReadFOCUS(r io.Reader, opt FOCUSOptions, to *Bill) (FOCUSSummary, error) {
	return newFocusReader(opt, to).all(r)
}

func newFocusReader(opt FOCUSOptions, to *Bill) *focusReader {
	return &focusReader{opt: opt, bill: to, seen: map[string]string{}, tallies: map[string]*tally{}, badBilled: map[string]Amount{}}
}

func (f *focusReader) all(r io.Reader) (FOCUSSummary, error) {
	opt := f.opt
	f.sum.Dates = opt.Dates
	switch opt.Decimal {
	case "":
	case ".", ",":
		f.decimal = opt.Decimal[0]
	default:
		return f.sum, fmt.Errorf("cost file: the decimal separator is %.20q: expected . or ,", opt.Decimal)
	}
	if opt.Dates != "" && opt.Dates != DayMonth && opt.Dates != MonthDay {
		return f.sum, fmt.Errorf("cost file: the order of dates is %.20q: expected %s or %s", opt.Dates, DayMonth, MonthDay)
	}
	err := f.read(r)
	if f.decimal != 0 {
		f.sum.Decimal = string(rune(f.decimal))
	}
	billed := make(map[string]Amount, len(f.tallies))
	for c, l := range f.tallies {
		billed[c] = l.billed
	}
	f.sum.Billed, f.sum.BadBilled = moneyOf(billed), moneyOf(f.badBilled)
	if err == nil && f.sum.Bad > 0 && f.sum.Rows == f.sum.Bad {
		err = fmt.Errorf("cost file: none of its %d rows was understood; the first: %s", f.sum.Bad, f.sum.Problems[0])
	}
	return f.sum, err
}

func moneyOf(sums map[string]Amount) []Money {
	out := make([]Money, 0, len(sums))
	for _, c := range sortedKeys(sums) {
		out = append(out, Money{Amount: sums[c], Currency: c, Source: "bill"})
	}
	return out
}

type focusReader struct {
	opt       FOCUSOptions
	bill      *Bill
	rows      *rows
	alikes    *alikes
	closely   bool // every row is read by encoding/csv and understood by itself: tests hold the quick ways against it
	fresh     bool // the row that is read now is the plain one that rows is at
	sum       FOCUSSummary
	columns   []place
	older     bool
	decimal   byte // 0 = not known yet
	seen      map[string]string
	tallies   map[string]*tally // by currency
	badBilled map[string]Amount
	held      []heldRow
	heldBytes int
	stuck     *doubt // why rows are held
}

// place is what one column of a file is.
type place struct {
	column
	heading string
	special string // of older exports
	skip    bool
	amount4 int // which of the four amounts
}

// tally is what was billed in one currency, and what rounding left of each amount.
type tally struct {
	carries [4]carry
	billed  Amount
}

type heldRow struct {
	line   int
	fields []string
}

// doubt is a value that means two things.
type doubt struct {
	line   int
	column string
	value  string
	date   bool
}

func (d *doubt) Error() string {
	if d.date {
		return fmt.Sprintf("cost file, line %d, column %s: %.40q may be day or month first, and no other date of the file tells: say which (dates: %s or %s)", d.line, d.column, d.value, DayMonth, MonthDay)
	}
	return fmt.Sprintf("cost file, line %d, column %s: the separator in %.40q may be of decimals or of thousands, and no other number of the file tells: say which (decimal: . or ,)", d.line, d.column, d.value)
}

// heading finds out what each column is.
func (f *focusReader) heading(rec []string) error {
	if len(rec) > mostColumns {
		return fmt.Errorf("cost file, line 1: %d columns, at most %d are read", len(rec), mostColumns)
	}
	known := map[string]column{}
	for _, c := range focusColumns() {
		known[foldHeading(c.name)] = c
	}
	for _, s := range spellings() {
		known[foldHeading(s)] = column{name: s}
	}
	has := map[string]bool{}
	for _, h := range rec {
		has[foldHeading(h)] = true
	}
	f.sum.Format = "FOCUS"
	older := olderColumns()
	if !has[foldHeading("BilledCost")] {
		f.sum.Format, f.older = "Azure cost export", true
	}
	got := map[string]string{}
	amounts := map[string]int{"BilledCost": 0, "EffectiveCost": 1, "ListCost": 2, "ContractedCost": 3}
	names := map[string]bool{}
	for _, h := range rec {
		h = strings.TrimSpace(strings.TrimPrefix(h, "\ufeff"))
		p := place{heading: h}
		name := ""
		if f.older {
			name = older[foldHeading(h)]
			if name == "BilledCost" && foldHeading(h) != "costinbillingcurrency" && has["costinbillingcurrency"] {
				name = "" // in another currency
			}
		}
		switch c, ok := known[foldHeading(h)]; {
		case strings.HasPrefix(name, "*"):
			p.special = name
			p.name = name
		case name != "":
			p.column = known[foldHeading(name)]
			if p.name == "" {
				p.name = name
			}
		case ok && !f.older:
			p.column = c
		default:
			p.name = h
		}
		if p.amount != nil {
			p.amount4 = amounts[p.name]
		}
		placed := p.special != "" || p.text != nil || p.amount != nil || p.number != nil || p.date != nil || p.tags
		if was := got[p.name]; placed && was != "" {
			if !f.older {
				return fmt.Errorf("cost file, line 1: the columns %.60q and %.60q are both %s", was, h, p.name)
			}
			p = place{heading: h, column: column{name: h}} // the first of those that mean the same
			placed = false
		}
		if placed {
			got[p.name] = h
		} else if p.name == "" || names[p.name] || len(p.name) > 200 || f.opt.Lean && !judged(p.name) {
			p.skip = true
		}
		names[p.name] = true
		f.columns = append(f.columns, p)
	}
	need := []string{"BilledCost", "BillingCurrency", "ChargePeriodStart"}
	if f.older {
		need = []string{"BilledCost", "BillingCurrency", "*Date"}
	}
	var lack []string
	for _, n := range need {
		if got[n] == "" {
			lack = append(lack, strings.TrimPrefix(n, "*"))
		}
	}
	if len(lack) > 0 {
		sort.Strings(lack)
		return fmt.Errorf("cost file, line 1: no column %s among %d columns separated by %q: expected a FOCUS export (BilledCost, BillingCurrency, ChargePeriodStart…) or a cost export of Azure (Date, CostInBillingCurrency, BillingCurrency…)",
			strings.Join(lack, ", "), len(rec), f.sum.Separator)
	}
	return nil
}

// row reads a row, or holds it until the file's forms are known.
func (f *focusReader) row(line int, rec []string) error {
	if len(rec) != len(f.columns) {
		f.bad(line, "", fmt.Sprintf("%d columns, the heading has %d", len(rec), len(f.columns)), "", "")
		return nil
	}
	d := f.learn(line, rec)
	if f.stuck != nil && f.settled(f.stuck) {
		f.stuck = nil
		for _, h := range f.held {
			if f.stuck = f.learn(h.line, h.fields); f.stuck != nil {
				break
			}
		}
	}
	if f.stuck == nil {
		f.stuck = d
	}
	if f.stuck == nil {
		if err := f.release(); err != nil {
			return err
		}
		return f.give(line, rec)
	}
	for _, s := range rec {
		f.heldBytes += len(s) + 16
	}
	f.held = append(f.held, heldRow{line, rec})
	if len(f.held) > mostHeldRows || f.heldBytes > mostHeldBytes {
		return f.stuck
	}
	return nil
}

// learn looks for what a row proves about the file, and for what needs proof.
func (f *focusReader) learn(line int, rec []string) (d *doubt) {
	if f.decimal != 0 && f.sum.Dates != "" {
		return nil
	}
	for i := range f.columns {
		p := &f.columns[i]
		s := rec[i]
		if isNull(s) || len(s) > 100 {
			continue
		}
		if f.decimal == 0 && (p.amount != nil || p.number != nil) {
			says, sep := evidence(s)
			if says == saysEither && sep == '.' && f.sum.Separator != ';' {
				says = '.' // commas and tabs separate the columns of files that have decimal points
			}
			if _, err := canonical(s, says); says == '.' && err == nil || says == ',' && err == nil {
				f.decimal = says
			} else if says == saysEither && d == nil {
				d = &doubt{line: line, column: p.heading, value: s}
			}
		}
		if f.sum.Dates == "" && (p.date != nil || p.special == "*Date" || p.special == "*BillingPeriodEndDate") {
			_, shows, either, err := dateOf(s, "")
			if shows != "" && err == nil {
				f.sum.Dates = shows
			} else if either && d == nil {
				d = &doubt{line: line, column: p.heading, value: s, date: true}
			}
		}
	}
	if d != nil && f.settled(d) {
		return f.learn(line, rec) // another value of the row told; is there another doubt?
	}
	return d
}

func (f *focusReader) settled(d *doubt) bool {
	if d.date {
		return f.sum.Dates != ""
	}
	return f.decimal != 0
}

// release gives on what was held.
func (f *focusReader) release() error {
	held, fresh := f.held, f.fresh
	f.held, f.heldBytes, f.fresh = nil, 0, false
	for _, h := range held {
		if err := f.give(h.line, h.fields); err != nil {
			return err
		}
	}
	f.fresh = fresh
	return nil
}

func (f *focusReader) finish() error {
	if f.stuck != nil {
		return f.stuck
	}
	return f.release()
}

// bad counts a row that was not understood.
func (f *focusReader) bad(line int, column, reason, billed, currency string) {
	f.sum.Rows++
	f.sum.Bad++
	if len(f.sum.Problems) < mostBadShown {
		f.sum.Problems = append(f.sum.Problems, Problem{line, column, reason})
	}
	if s, err := canonical(billed, f.decimal); err == nil && isCurrency(currency) {
		if g, err := figureOf(s); err == nil {
			if sum, ok := add(f.badBilled[currency], g.micros); ok {
				f.badBilled[currency] = sum
				return
			}
		}
	}
	f.sum.BadUnknown++
}

// give turns a row into a charge and gives it on.
func (f *focusReader) give(line int, rec []string) error {
	var c Charge
	var figures [4]figure
	var special map[string]string
	effective := false
	cut, badTags := f.sum.Cut, f.sum.BadTags
	billed, currency := "", ""
	for i := range f.columns {
		switch f.columns[i].name {
		case "BilledCost":
			billed = rec[i]
		case "BillingCurrency":
			currency = strings.TrimSpace(rec[i])
		}
	}
	fail := func(column, reason string) error {
		f.bad(line, column, reason, billed, currency)
		return nil
	}
	for i := range f.columns {
		p, s := &f.columns[i], rec[i]
		if p.skip || isNull(s) {
			continue
		}
		if !utf8.ValidString(s) {
			s = strings.ToValidUTF8(s, "\ufffd")
		}
		if len(s) > mostTextBytes && !p.tags && (p.text != nil || p.special != "") {
			return fail(p.heading, fmt.Sprintf("%d bytes, at most %d are read", len(s), mostTextBytes))
		}
		switch {
		case p.special != "":
			if special == nil {
				special = map[string]string{}
			}
			special[p.special] = s
		case p.amount != nil:
			n, err := canonical(s, f.decimal)
			if err != nil {
				return fail(p.heading, err.Error())
			}
			g, err := figureOf(n)
			if err != nil {
				return fail(p.heading, err.Error())
			}
			figures[p.amount4] = g
			effective = effective || p.name == "EffectiveCost"
		case p.number != nil:
			n, err := canonical(s, f.decimal)
			if err != nil {
				return fail(p.heading, err.Error())
			}
			v, err := strconv.ParseFloat(n, 64)
			if err != nil || math.IsInf(v, 0) {
				return fail(p.heading, fmt.Sprintf("%.40q is larger than can be held", s))
			}
			*p.number(&c) = v
		case p.date != nil:
			t, _, _, err := dateOf(s, f.sum.Dates)
			if err != nil {
				return fail(p.heading, err.Error())
			}
			*p.date(&c) = t
		case p.tags:
			tags, err := Normalise(s)
			if err != nil {
				f.sum.BadTags++
				f.more(&c, "Tags", s)
				break
			}
			c.Tags = f.internAll(tags)
		case p.text != nil:
			if p.lower {
				s = lower(s)
			}
			*p.text(&c) = f.intern(s)
		default:
			f.more(&c, p.name, s)
		}
	}
	if f.older {
		if column, err := f.olderRow(&c, special); err != nil {
			return fail(column, err.Error())
		}
	}
	c.Currency = strings.ToUpper(strings.TrimSpace(c.Currency))
	switch {
	case isNull(strings.TrimSpace(billed)):
		return fail("BilledCost", "no amount")
	case !isCurrency(c.Currency):
		return fail("BillingCurrency", fmt.Sprintf("%.40q is no currency: expected three letters", c.Currency))
	case c.Start == 0:
		return fail("ChargePeriodStart", "no date")
	case c.End != 0 && c.End < c.Start:
		return fail("ChargePeriodEnd", "it is before ChargePeriodStart")
	}
	l := f.tallies[c.Currency]
	if l == nil {
		if len(f.tallies) == 1000 {
			return fmt.Errorf("cost file, line %d: more than 1000 currencies", line)
		}
		l = &tally{}
		f.tallies[c.Currency] = l
	}
	e := entry{start: c.Start, end: c.End, quantity: c.Quantity, priced: c.Priced, fact: f.bill.fact(&c)}
	if f.fresh {
		f.alikes.keep(f.rows, alike{fact: e.fact, tally: l, cut: f.sum.Cut - cut, badTags: f.sum.BadTags - badTags})
	}
	return f.accept(line, &e, figures, effective, l)
}

// accept rounds the amounts of a good row, adds it up and puts it into the bill.
func (f *focusReader) accept(line int, e *entry, figures [4]figure, effective bool, l *tally) error {
	if !effective {
		figures[1] = figures[0]
		if !f.older {
			f.sum.Assumed++
		}
	}
	for i, to := range []*Amount{&e.billed, &e.effective, &e.list, &e.contracted} {
		*to = l.carries[i].round(figures[i])
	}
	sum, ok := add(l.billed, e.billed)
	if !ok {
		return fmt.Errorf("cost file, line %d: the sum of what is billed in %s: %w", line, f.bill.facts[e.fact].Currency, ErrOverflow)
	}
	if f.bill.Len() >= mostCharges || f.bill.bytes > mostFactBytes {
		return fmt.Errorf("cost file, line %d: %w", line, ErrLarge)
	}
	l.billed = sum
	f.sum.Rows++
	if f.sum.From == 0 || e.start < f.sum.From {
		f.sum.From = e.start
	}
	f.sum.To = max(f.sum.To, e.end, e.start)
	f.bill.put(*e)
	return nil
}

// more keeps a value that has no place.
func (f *focusReader) more(c *Charge, name, s string) {
	if len(s) > mostMoreBytes || len(c.More) >= mostMore {
		f.sum.Cut++
		return
	}
	if c.More == nil {
		c.More = map[string]string{}
	}
	c.More[name] = f.intern(s)
}

// intern keeps one copy of a value: the fields of a row are parts of one string, and
// bills repeat themselves.
func (f *focusReader) intern(s string) string {
	if t, ok := f.seen[s]; ok {
		return t
	}
	s = strings.Clone(s)
	if len(f.seen) < mostInterned && len(s) <= 1024 {
		f.seen[s] = s
	}
	return s
}

func (f *focusReader) internAll(m map[string]string) map[string]string {
	if m == nil {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[f.intern(k)] = f.intern(v)
	}
	return out
}
