package cost

import (
	"cmp"
	"hash/maphash"
	"iter"
	"maps"
	"slices"
	"sort"
	"strings"
	"unsafe"
)

// Bill holds charges in little memory. Most rows of a bill tell the same every day but for
// the day and the figures: what they have in common is held once, and a further row takes
// 72 bytes. Nothing is lost: All gives each charge as it was added.
//
// The zero value and nil are empty bills; only Add, Merge and Sort change one. Safe for
// concurrent reading. A reader shares the maps of a Charge with the Bill and must not
// change them.
type Bill struct {
	seed  maphash.Seed
	facts []*Charge           // without days and figures
	by    map[uint64][]uint32 // hash → facts
	parts [][]entry           // all but the last hold entriesPart
	n     int
	bytes int // of facts
}

// entry is what tells a charge from others of the same facts.
type entry struct {
	start, end                          int64
	billed, effective, list, contracted Amount
	quantity, priced                    float64
	fact                                uint32
}

const entriesPart = 8192

// Len is how many charges there are.
func (b *Bill) Len() int {
	if b == nil {
		return 0
	}
	return b.n
}

// Add takes a charge in. The Bill keeps its maps.
func (b *Bill) Add(c *Charge) {
	e := entry{c.Start, c.End, c.Billed, c.Effective, c.List, c.Contracted, c.Quantity, c.Priced, b.fact(c)}
	b.put(e)
}

// Kind is what some charges of a Bill have in common: all but days and figures.
type Kind struct{ fact uint32 }

// Last is the kind of the charge that was added last; there must be one. It means nothing
// in another Bill.
func (b *Bill) Last() Kind { return Kind{b.entry(b.n - 1).fact} }

// AddOf adds a charge of a known kind; of c only the days and figures count.
func (b *Bill) AddOf(k Kind, c *Charge) {
	b.put(entry{c.Start, c.End, c.Billed, c.Effective, c.List, c.Contracted, c.Quantity, c.Priced, k.fact})
}

func (b *Bill) put(e entry) {
	if b.n%entriesPart == 0 {
		b.parts = append(b.parts, make([]entry, 0, entriesPart))
	}
	last := &b.parts[len(b.parts)-1]
	*last = append(*last, e)
	b.n++
}

func (b *Bill) entry(i int) *entry { return &b.parts[i/entriesPart][i%entriesPart] }

// fact finds or keeps what a charge has in common with others.
func (b *Bill) fact(c *Charge) uint32 {
	if b.by == nil {
		b.seed, b.by = maphash.MakeSeed(), map[uint64][]uint32{}
	}
	h := b.hash(c)
	for _, i := range b.by[h] {
		if sameFacts(b.facts[i], c) {
			return i
		}
	}
	f := *c
	f.Start, f.End, f.Billed, f.Effective, f.List, f.Contracted, f.Quantity, f.Priced = 0, 0, 0, 0, 0, 0, 0, 0
	i := uint32(len(b.facts))
	b.facts = append(b.facts, &f)
	b.bytes += factBytes(&f)
	b.by[h] = append(b.by[h], i)
	return i
}

// texts are the texts of a charge, those first that bills are sorted by.
func texts(c *Charge) [28]string {
	return [28]string{c.SubAccount, c.Resource, c.MeterCategory, c.MeterSub, c.Meter, c.MeterID, c.Category, c.Class, c.Pricing, c.CommitmentUse, c.Currency, c.QuantityUnit, c.Region, c.Service,
		c.Publisher, c.ResourceType, c.Provider, c.Issuer, c.BillingAccount, c.SubAccountName, c.Description, c.PricedUnit, c.Commitment, c.ResourceName, c.ServiceClass, c.SKU, c.SKUPrice, c.CostCentre}
}

func (b *Bill) hash(c *Charge) uint64 {
	var h maphash.Hash
	h.SetSeed(b.seed)
	for _, s := range texts(c) {
		h.WriteString(s)
		h.WriteByte(0)
	}
	sum := h.Sum64() ^ uint64(c.PeriodStart)*0x9e3779b97f4a7c15 ^ uint64(c.PeriodEnd)*0xc2b2ae3d27d4eb4f
	for n, m := range [2]map[string]string{c.Tags, c.More} {
		for k, v := range m { // in any order
			h.Reset()
			h.WriteByte(byte(n))
			h.WriteString(k)
			h.WriteByte(0)
			h.WriteString(v)
			sum += h.Sum64()
		}
	}
	return sum
}

// factBytes is about how much memory facts take.
func factBytes(c *Charge) int {
	n := int(unsafe.Sizeof(*c))
	for _, s := range texts(c) {
		n += len(s)
	}
	for _, m := range [2]map[string]string{c.Tags, c.More} {
		for k, v := range m {
			n += 64 + len(k) + len(v)
		}
	}
	return n
}

func sameFacts(a, b *Charge) bool {
	return texts(a) == texts(b) && a.PeriodStart == b.PeriodStart && a.PeriodEnd == b.PeriodEnd &&
		(a.Tags == nil) == (b.Tags == nil) && maps.Equal(a.Tags, b.Tags) && (a.More == nil) == (b.More == nil) && maps.Equal(a.More, b.More)
}

// read puts charge i where to points.
func (b *Bill) read(i int, to *Charge) {
	e := b.entry(i)
	*to = *b.facts[e.fact]
	e.figures(to)
}

func (e *entry) figures(to *Charge) {
	to.Start, to.End, to.Billed, to.Effective = e.start, e.end, e.billed, e.effective
	to.List, to.Contracted, to.Quantity, to.Priced = e.list, e.contracted, e.quantity, e.priced
}

// All gives every charge, in the order of Add until Sort.
func (b *Bill) All() iter.Seq[Charge] {
	return func(yield func(Charge) bool) {
		var c Charge
		for i := range b.Len() {
			b.read(i, &c)
			if !yield(c) {
				return
			}
		}
	}
}

// Merge takes in what another reading of the same bill tells beside this one. Where this
// one has rows of a subscription and a day (UTC), those of other for that day are left out:
// an export and the Cost Management query tell the same money twice. A row of other that
// names no subscription is left out where this one has rows of that day at all. It returns
// how many were left out; other is not changed.
func (b *Bill) Merge(other *Bill) (left int) {
	type where struct {
		sub string
		day int64
	}
	have := map[where]bool{}
	subs := b.subs()
	for i := range b.Len() {
		e := b.entry(i)
		for d := floorDay(e.start); d < max(e.end, e.start+1) && d < floorDay(e.start)+32*nanosPerDay; d += nanosPerDay {
			have[where{subs[e.fact], d}], have[where{"", d}] = true, true
		}
	}
	subs = other.subs()
	moved := map[uint32]uint32{} // their fact → ours
	for i := range other.Len() {
		e := *other.entry(i)
		if len(have) > 0 && have[where{subs[e.fact], floorDay(e.start)}] {
			left++
			continue
		}
		f, ok := moved[e.fact]
		if !ok {
			f = b.fact(other.facts[e.fact])
			moved[e.fact] = f
		}
		e.fact = f
		b.put(e)
	}
	return left
}

// subs are the subscriptions of the facts.
func (b *Bill) subs() []string {
	if b == nil {
		return nil
	}
	out := make([]string, len(b.facts))
	for i, f := range b.facts {
		out[i] = strings.ToLower(f.SubAccount)
	}
	return out
}

// Sort orders charges by when they begin, then by what they are and by their figures: the
// order of Add plays no part in it.
func (b *Bill) Sort() {
	order := make([]uint32, len(b.facts))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(x, y uint32) int { return compareFacts(b.facts[x], b.facts[y]) })
	rank := make([]uint32, len(order))
	for r, i := range order {
		rank[i] = uint32(r)
	}
	sort.Sort(&sorted{b, rank})
}

func compareFacts(a, b *Charge) int {
	x, y := texts(a), texts(b)
	return cmp.Or(slices.Compare(x[:], y[:]), cmp.Compare(a.PeriodStart, b.PeriodStart), cmp.Compare(a.PeriodEnd, b.PeriodEnd), compareMaps(a.Tags, b.Tags), compareMaps(a.More, b.More))
}

func compareMaps(a, b map[string]string) int {
	if (a == nil) != (b == nil) { // Facts tell them apart
		if a == nil {
			return -1
		}
		return 1
	}
	x, y := slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(b))
	if c := slices.Compare(x, y); c != 0 {
		return c
	}
	for _, k := range x {
		if c := strings.Compare(a[k], b[k]); c != 0 {
			return c
		}
	}
	return 0
}

type sorted struct {
	*Bill
	rank []uint32
}

func (s *sorted) Swap(i, j int) { x, y := s.entry(i), s.entry(j); *x, *y = *y, *x }
func (s *sorted) Less(i, j int) bool {
	x, y := s.entry(i), s.entry(j)
	if x.start != y.start {
		return x.start < y.start
	}
	if x.fact != y.fact {
		return s.rank[x.fact] < s.rank[y.fact]
	}
	return cmp.Or(cmp.Compare(x.billed, y.billed), cmp.Compare(x.quantity, y.quantity), cmp.Compare(x.end, y.end), cmp.Compare(x.effective, y.effective),
		cmp.Compare(x.list, y.list), cmp.Compare(x.contracted, y.contracted), cmp.Compare(x.priced, y.priced)) < 0
}

const nanosPerDay = int64(24 * 3600e9)

func floorDay(ns int64) int64 {
	d := ns % nanosPerDay
	if d < 0 {
		d += nanosPerDay
	}
	return ns - d
}
