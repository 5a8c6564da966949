package cost

import "strings"

// Amortise gives the charges of a bill of actual cost their effective cost, as a second
// reading of the same money tells it: the one that spreads what reservations and savings
// plans were bought for over their use (Azure's AmortizedCost). Both must tell rows apart
// in the same way; told says of which subscriptions both were read whole. There, and in no
// other, effective cost becomes what the second tells: what it does not tell costs nothing
// (the purchase itself), and what only it tells was not billed (hours that nothing used).
// So the sums of both readings are kept to the micro. A row whose effective cost is more
// than what was billed was paid for by a commitment, if in part, and says so.
//
// Both bills are sorted by it. other is not changed otherwise.
func (b *Bill) Amortise(other *Bill, told func(sub string) bool) {
	if other.Len() == 0 {
		return
	}
	b.Sort()
	other.Sort()
	of, n := b.subs(), b.Len()
	know := map[string]bool{}
	knows := func(sub string) bool {
		k, ok := know[sub]
		if !ok {
			k = told(sub)
			know[sub] = k
		}
		return k
	}
	for i := range n {
		if e := b.entry(i); knows(of[e.fact]) {
			e.effective = 0
		}
	}
	type what struct {
		fact uint32
		end  int64
	}
	theirs, moved := other.subs(), map[uint32]uint32{} // their fact → ours
	at := map[what]int{}                               // of one time
	i := 0
	for j := range other.Len() {
		e := *other.entry(j)
		if !knows(theirs[e.fact]) {
			continue
		}
		f, ok := moved[e.fact]
		if !ok {
			f = b.fact(other.facts[e.fact])
			moved[e.fact] = f
		}
		e.fact = f
		for ; i < n && b.entry(i).start <= e.start; i++ {
			x := b.entry(i)
			if i > 0 && b.entry(i-1).start != x.start {
				clear(at)
			}
			if _, had := at[what{x.fact, x.end}]; !had {
				at[what{x.fact, x.end}] = i
			}
		}
		if k, ok := at[what{e.fact, e.end}]; ok && b.entry(k).start == e.start {
			b.entry(k).effective += e.effective
			continue
		}
		e.billed, e.list, e.contracted = 0, 0, 0
		b.put(e)
	}
	committed := map[uint32]uint32{} // fact → the same, paid for by a commitment
	for i := range b.Len() {
		e := b.entry(i)
		f := b.facts[e.fact]
		if e.effective <= e.billed || f.Category != "Usage" || f.Pricing != "" || !knows(strings.ToLower(f.SubAccount)) {
			continue
		}
		to, ok := committed[e.fact]
		if !ok {
			c := *f
			c.Pricing = "Committed"
			to = b.fact(&c)
			committed[e.fact] = to
		}
		e.fact = to
	}
	b.Sort()
}
