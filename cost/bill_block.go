package cost

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
)

// Block is charges as bytes, to be kept: Rows has the figures of each and which facts they
// are of, Facts those facts. They stand apart because most facts of a day are those of the
// day before, and a Loader that knows them need not look at Facts. Both compress well.
type Block struct {
	Len         int // how many charges
	Rows, Facts []byte
}

const blockVersion = 1

// ErrBlock says that bytes are no block of this version.
var ErrBlock = errors.New("no block of charges")

// keySize is the length of the hash by which facts are known across blocks.
const keySize = 16

// fieldsOf are the texts of a charge as blocks hold them. The order is part of the form.
func fieldsOf(c *Charge) [28]*string {
	return [28]*string{&c.Provider, &c.Publisher, &c.Issuer, &c.BillingAccount, &c.SubAccount, &c.SubAccountName, &c.Category, &c.Class, &c.Description, &c.Currency, &c.QuantityUnit, &c.PricedUnit, &c.Pricing, &c.Commitment,
		&c.CommitmentUse, &c.Region, &c.Resource, &c.ResourceName, &c.ResourceType, &c.Service, &c.ServiceClass, &c.SKU, &c.SKUPrice, &c.Meter, &c.MeterCategory, &c.MeterSub, &c.MeterID, &c.CostCentre}
}

// Distinct is how many charges there are that differ in more than day and figures: what
// a bill's memory depends on beside Len.
func (b *Bill) Distinct() int {
	if b == nil {
		return 0
	}
	return len(b.facts)
}

// Days gives the bill in blocks of at most most charges, by the day (UTC, nanoseconds)
// that they begin on, oldest first. A Loader gives the charges of a day in their order.
func (b *Bill) Days(most int) iter.Seq2[int64, Block] {
	return func(yield func(int64, Block) bool) {
		days := map[int64][]uint32{}
		for i := range b.Len() {
			d := floorDay(b.entry(i).start)
			days[d] = append(days[d], uint32(i))
		}
		for _, d := range slices.Sorted(maps.Keys(days)) {
			for rows := range slices.Chunk(days[d], most) {
				if !yield(d, b.block(rows)) {
					return
				}
			}
		}
	}
}

// block writes some charges as bytes.
func (b *Bill) block(of []uint32) Block {
	out := Block{Len: len(of)}
	place := map[uint32]uint32{} // fact → its place in the block
	var facts []uint32
	list := make([]entry, len(of))
	for i, k := range of {
		list[i] = *b.entry(int(k))
		at, ok := place[list[i].fact]
		if !ok {
			at = uint32(len(facts))
			place[list[i].fact], facts = at, append(facts, list[i].fact)
		}
		list[i].fact = at
	}
	rows := append(make([]byte, 0, 64+len(list)*40+len(facts)*keySize), blockVersion)
	rows = binary.AppendUvarint(rows, uint64(len(facts)))
	rows = binary.AppendUvarint(rows, uint64(len(list)))
	for _, f := range facts {
		begin := len(out.Facts)
		out.Facts = append(out.Facts, 0, 0, 0, 0)
		out.Facts = appendFact(out.Facts, b.facts[f])
		fact := out.Facts[begin+4:]
		binary.LittleEndian.PutUint32(out.Facts[begin:], uint32(len(fact)))
		key := sha256.Sum256(fact)
		rows = append(rows, key[:keySize]...)
	}
	for _, f := range blockColumns {
		var last uint64
		for i := range list {
			v := f.get(&list[i])
			rows = f.put(rows, v, last)
			last = v
		}
	}
	out.Rows = rows
	return out
}

// blockColumn is one figure of all rows of a block.
type blockColumn struct {
	get  func(*entry) uint64
	set  func(*entry, uint64)
	bits bool // of a float: eight bytes as they are; else the difference to the row before
}

var blockColumns = []blockColumn{
	{get: func(e *entry) uint64 { return uint64(e.fact) }, set: func(e *entry, v uint64) { e.fact = uint32(v) }},
	{get: func(e *entry) uint64 { return uint64(e.start) }, set: func(e *entry, v uint64) { e.start = int64(v) }},
	{get: func(e *entry) uint64 { return uint64(e.end) }, set: func(e *entry, v uint64) { e.end = int64(v) }},
	{get: func(e *entry) uint64 { return uint64(e.billed) }, set: func(e *entry, v uint64) { e.billed = Amount(v) }},
	{get: func(e *entry) uint64 { return uint64(e.effective - e.billed) }, set: func(e *entry, v uint64) { e.effective = e.billed + Amount(v) }},
	{get: func(e *entry) uint64 { return uint64(e.list - e.billed) }, set: func(e *entry, v uint64) { e.list = e.billed + Amount(v) }},
	{get: func(e *entry) uint64 { return uint64(e.contracted - e.billed) }, set: func(e *entry, v uint64) { e.contracted = e.billed + Amount(v) }},
	{bits: true, get: func(e *entry) uint64 { return math.Float64bits(e.quantity) }, set: func(e *entry, v uint64) { e.quantity = math.Float64frombits(v) }},
	{bits: true, get: func(e *entry) uint64 { return math.Float64bits(e.priced) ^ math.Float64bits(e.quantity) }, set: func(e *entry, v uint64) { e.priced = math.Float64frombits(v ^ math.Float64bits(e.quantity)) }},
}

func (c *blockColumn) put(to []byte, v, last uint64) []byte {
	if c.bits {
		return binary.LittleEndian.AppendUint64(to, v)
	}
	return binary.AppendVarint(to, int64(v-last)) // differences wrap, and wrap back
}

func appendFact(to []byte, c *Charge) []byte {
	for _, s := range fieldsOf(c) {
		to = append(binary.AppendUvarint(to, uint64(len(*s))), *s...)
	}
	to = binary.AppendVarint(binary.AppendVarint(to, c.PeriodStart), c.PeriodEnd)
	for _, m := range [2]map[string]string{c.Tags, c.More} {
		if m == nil {
			to = append(to, 0)
			continue
		}
		to = binary.AppendUvarint(to, uint64(len(m))+1)
		for _, k := range slices.Sorted(maps.Keys(m)) {
			to = append(binary.AppendUvarint(to, uint64(len(k))), k...)
			to = append(binary.AppendUvarint(to, uint64(len(m[k]))), m[k]...)
		}
	}
	return to
}

// Loader puts the charges of blocks into one bill. What several facts say alike is held
// once. One goroutine uses it, and keeps it no longer than it loads.
type Loader struct {
	bill  *Bill
	seen  map[[keySize]byte]uint32
	texts map[string]string
	maps  map[string]map[string]string
}

// NewLoader returns a Loader that adds to a bill.
func NewLoader(to *Bill) *Loader {
	return &Loader{bill: to, seen: map[[keySize]byte]uint32{}, texts: map[string]string{}, maps: map[string]map[string]string{}}
}

// Add adds the charges of a block until the bill holds most, and returns how many it left
// out for that. facts is asked for Block.Facts where they are needed. An error wraps
// ErrBlock, or is that of facts; the bill is then as it was, but for facts that no charge is of.
func (l *Loader) Add(rows []byte, facts func() ([]byte, error), most int) (over int, err error) {
	r := &blockReader{b: rows}
	if v := r.bytes(1); r.bad || v[0] != blockVersion {
		return 0, fmt.Errorf("%w of version %d", ErrBlock, blockVersion)
	}
	known, n := r.count(keySize), r.count(1)
	keys := r.bytes(known * keySize)
	if r.bad {
		return 0, fmt.Errorf("%w: it ends early", ErrBlock)
	}
	at, err := l.facts(keys, facts)
	if err != nil {
		return 0, err
	}
	list := make([]entry, n)
	for k := range blockColumns {
		c := &blockColumns[k]
		var last uint64
		for i := range list {
			if c.bits {
				last = r.eight()
			} else {
				last += uint64(r.varint())
			}
			c.set(&list[i], last)
		}
	}
	if r.bad || len(r.b) > 0 {
		return 0, fmt.Errorf("%w: its rows are of another length", ErrBlock)
	}
	for i := range list {
		if uint64(list[i].fact) >= uint64(len(at)) {
			return 0, fmt.Errorf("%w: row %d is of no fact", ErrBlock, i+1)
		}
		list[i].fact = at[list[i].fact]
	}
	room := max(0, most-l.bill.Len())
	for i := range list[:min(room, n)] {
		l.bill.put(list[i])
	}
	return max(0, n-room), nil
}

// facts finds or adds the facts of these keys.
func (l *Loader) facts(keys []byte, read func() ([]byte, error)) ([]uint32, error) {
	at := make([]uint32, len(keys)/keySize)
	all := true
	for i := range at {
		var ok bool
		if at[i], ok = l.seen[[keySize]byte(keys[i*keySize:])]; !ok {
			all = false
			break
		}
	}
	if all {
		return at, nil
	}
	doc, err := read()
	if err != nil {
		return nil, err
	}
	r := &blockReader{b: doc}
	for i := range at {
		size := r.bytes(4)
		if r.bad {
			return nil, fmt.Errorf("%w: fact %d is not there", ErrBlock, i+1)
		}
		fact := r.bytes(int(binary.LittleEndian.Uint32(size)))
		if r.bad {
			return nil, fmt.Errorf("%w: fact %d ends early", ErrBlock, i+1)
		}
		key := [keySize]byte(keys[i*keySize:])
		known, ok := l.seen[key]
		if !ok {
			var c Charge
			if !l.fact(fact, &c) {
				return nil, fmt.Errorf("%w: fact %d is not understood", ErrBlock, i+1)
			}
			known = l.bill.fact(&c)
			l.seen[key] = known
		}
		at[i] = known
	}
	return at, nil
}

func (l *Loader) fact(b []byte, c *Charge) bool {
	r := &blockReader{b: b}
	for _, s := range fieldsOf(c) {
		*s = l.text(r.bytes(r.count(1)))
	}
	c.PeriodStart, c.PeriodEnd = r.varint(), r.varint()
	for _, to := range [2]*map[string]string{&c.Tags, &c.More} {
		n := r.count(1)
		if n == 0 || r.bad {
			continue
		}
		begin := r.b
		m := make(map[string]string, min(n-1, len(r.b)/2))
		for range n - 1 {
			k := l.text(r.bytes(r.count(1)))
			m[k] = l.text(r.bytes(r.count(1)))
			if r.bad {
				return false
			}
		}
		whole := begin[:len(begin)-len(r.b)]
		if have, ok := l.maps[string(whole)]; ok {
			m = have
		} else {
			l.maps[string(whole)] = m
		}
		*to = m
	}
	return !r.bad && len(r.b) == 0
}

func (l *Loader) text(b []byte) string {
	if s, ok := l.texts[string(b)]; ok {
		return s
	}
	s := string(b)
	l.texts[s] = s
	return s
}

// blockReader reads from bytes; bad says that they ended early or hold no number.
type blockReader struct {
	b   []byte
	bad bool
}

func (r *blockReader) bytes(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.b, r.bad = nil, true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

// count reads how many things follow, each of at least size bytes.
func (r *blockReader) count(size int) int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > uint64(len(r.b)/size)+1 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

func (r *blockReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *blockReader) eight() uint64 {
	b := r.bytes(8)
	if r.bad {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}
