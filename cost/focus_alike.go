package cost

import (
	"bytes"
	"hash/maphash"
	"strconv"
)

// Rows of a bill mostly tell what other rows told, but for days and figures. Those are read
// from their bytes; all other columns were understood when the first of such rows came, and
// are known again by being the same bytes.

const (
	mostAlike      = 100_000
	mostAlikeBytes = 64 << 20
	mostDates      = 4096
)

// alikes are the rows that were understood.
type alikes struct {
	varying []varying
	seed    maphash.Seed
	by      map[uint64]*alike
	bytes   int
	dates   map[string]int64
}

// alike is what rows that differ in days and figures have in common.
type alike struct {
	key          []byte // the bytes of all columns that do not vary
	fact         uint32
	tally        *tally
	cut, badTags int // what each such row adds to the summary
}

// varying is a column that may differ among rows that are alike.
type varying struct {
	column int
	kind   vary
	which  int // of the amounts
}

type vary int

const (
	varySkipped vary = iota
	varyAmount
	varyQuantity
	varyPriced
	varyStart
	varyEnd
	varyDay // of older exports: when the charge begins, for one day
)

func newAlikes(columns []place) *alikes {
	a := &alikes{seed: maphash.MakeSeed(), by: map[uint64]*alike{}, dates: map[string]int64{}}
	for i := range columns {
		p := &columns[i]
		v := varying{column: i}
		switch {
		case p.skip:
		case p.special == "*Date":
			v.kind = varyDay
		case p.special != "":
			continue
		case p.amount != nil:
			v.kind, v.which = varyAmount, p.amount4
		case p.name == "ConsumedQuantity":
			v.kind = varyQuantity
		case p.name == "PricingQuantity":
			v.kind = varyPriced
		case p.name == "ChargePeriodStart" && p.date != nil:
			v.kind = varyStart
		case p.name == "ChargePeriodEnd" && p.date != nil:
			v.kind = varyEnd
		default:
			continue
		}
		a.varying = append(a.varying, v)
	}
	return a
}

// parts gives the bytes between columns that vary. In such a row they tell which bytes are
// of which column, also when they stand together.
func (a *alikes) parts(r *rows, each func([]byte) bool) bool {
	from := 0
	for _, v := range a.varying {
		c := &r.cells[v.column]
		if !each(r.raw[from:c.from]) {
			return false
		}
		from = c.to
	}
	return each(r.raw[from:])
}

func (a *alikes) hash(r *rows) (h uint64) {
	a.parts(r, func(b []byte) bool {
		h = h*0x9e3779b97f4a7c15 + maphash.Bytes(a.seed, b)
		return true
	})
	return h
}

// find gives the rows that the present one is like; nil = there were none.
func (a *alikes) find(r *rows) *alike {
	found := a.by[a.hash(r)]
	if found == nil {
		return nil
	}
	key := found.key
	same := a.parts(r, func(b []byte) bool {
		if !bytes.HasPrefix(key, b) {
			return false
		}
		key = key[len(b):]
		return true
	})
	if !same || len(key) > 0 {
		return nil
	}
	return found
}

// keep remembers how the present row was understood, while there is room.
func (a *alikes) keep(r *rows, k alike) {
	if len(a.by) >= mostAlike || a.bytes >= mostAlikeBytes {
		return
	}
	a.parts(r, func(b []byte) bool {
		k.key = append(k.key, b...)
		return true
	})
	k.key = bytes.Clone(k.key)
	a.bytes += len(k.key)
	a.by[a.hash(r)] = &k
}

// quick reads a plain row that is like one before. done is false where it is not, or says
// anything that needs a closer look: nothing has happened then.
func (f *focusReader) quick(line int) (done bool, err error) {
	if f.stuck != nil || len(f.rows.cells) != len(f.columns) {
		return false, nil
	}
	known := f.alikes.find(f.rows)
	if known == nil {
		return false, nil
	}
	e := entry{fact: known.fact}
	var figures [4]figure
	var told [4]bool
	for _, v := range f.alikes.varying {
		c := &f.rows.cells[v.column]
		s, ok := f.rows.raw[c.from:c.to], true
		if len(s) == 0 || v.kind == varySkipped {
			continue
		}
		switch v.kind {
		case varyAmount:
			figures[v.which], ok = quickFigure(s, f.decimal)
			told[v.which] = true
		case varyQuantity:
			e.quantity, ok = quickNumber(s, f.decimal)
		case varyPriced:
			e.priced, ok = quickNumber(s, f.decimal)
		case varyStart:
			e.start, ok = f.quickDate(s)
		case varyEnd:
			e.end, ok = f.quickDate(s)
		case varyDay:
			e.start, ok = f.quickDate(s)
			e.end = e.start + day
		}
		if !ok {
			return false, nil
		}
	}
	if !told[0] || e.start == 0 || e.end != 0 && e.end < e.start {
		return false, nil
	}
	f.sum.Cut += known.cut
	f.sum.BadTags += known.badTags
	return true, f.accept(line, &e, figures, told[1], known.tally)
}

// quickFigure reads digits, with or without a sign and decimals, as canonical and figureOf
// do. It refuses what proves something about the file that is not known yet.
func quickFigure(s []byte, decimal byte) (f figure, ok bool) {
	negative := len(s) > 0 && s[0] == '-'
	if negative {
		s = s[1:]
	}
	whole, part, ok := decimals(s, decimal)
	if !ok || len(whole) > 12 || len(part) > 18 {
		return figure{}, false
	}
	for _, c := range whole {
		f.micros = f.micros*10 + Amount(c-'0')
	}
	for i := range 6 {
		f.micros *= 10
		if i < len(part) {
			f.micros += Amount(part[i] - '0')
		}
	}
	for i := 6; i < 18 && len(part) > 6; i++ {
		f.rest *= 10
		if i < len(part) {
			f.rest += int64(part[i] - '0')
		}
	}
	if negative {
		f.micros, f.rest = -f.micros, -f.rest
	}
	return f, true
}

// quickNumber reads the same form as a float.
func quickNumber(s []byte, decimal byte) (v float64, ok bool) {
	negative := len(s) > 0 && s[0] == '-'
	if negative {
		s = s[1:]
	}
	whole, part, ok := decimals(s, decimal)
	if !ok || len(s) > 40 {
		return 0, false
	}
	if len(whole)+len(part) <= 15 { // both are whole numbers that a float holds exactly
		n, unit := 0.0, 1.0
		for _, c := range whole {
			n = n*10 + float64(c-'0')
		}
		for _, c := range part {
			n, unit = n*10+float64(c-'0'), unit*10
		}
		v = n / unit
	} else {
		var b [48]byte
		plain := append(b[:0], whole...)
		if len(part) > 0 {
			plain = append(append(plain, '.'), part...)
		}
		var err error
		if v, err = strconv.ParseFloat(string(plain), 64); err != nil {
			return 0, false
		}
	}
	if negative {
		v = -v
	}
	return v, true
}

// decimals splits a number of digits only, of which at least one stands before the
// separator and one after it.
func decimals(s []byte, decimal byte) (whole, part []byte, ok bool) {
	at := -1
	for i, c := range s {
		switch {
		case c >= '0' && c <= '9':
		case c == decimal && c != 0 && at < 0:
			at = i
		default:
			return nil, nil, false
		}
	}
	if at < 0 {
		return s, nil, len(s) > 0
	}
	return s[:at], s[at+1:], at > 0 && at < len(s)-1
}

// quickDate reads a date that was read before.
func (f *focusReader) quickDate(s []byte) (int64, bool) {
	if t, ok := f.alikes.dates[string(s)]; ok {
		return t, true
	}
	if len(s) > 40 {
		return 0, false
	}
	text := string(s)
	t, shows, either, err := dateOf(text, f.sum.Dates)
	if err != nil || either || shows != "" && f.sum.Dates == "" {
		return 0, false
	}
	if len(f.alikes.dates) < mostDates {
		f.alikes.dates[text] = t
	}
	return t, true
}
