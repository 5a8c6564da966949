package secret

import "encoding/binary"

// minContent is the length of the shortest text that can hold a secret.
const minContent = 12

// filter finds the places worth looking at in one pass. Each rule has an anchor of
// four bytes that its secret cannot lack. Of three bytes at every second place, one is
// the anchor's first or last three; so half the places are looked up, in a table that
// stays in the first-level cache. Letters are compared without case: setting bit
// five folds them, and what else it folds the rule itself tells apart.
type filter struct {
	grams   [1 << 15]uint8 // by hash of three folded bytes: whether an anchor begins with them (1), ends with them (2)
	first   [256]uint16    // by hash of four folded bytes: 1 + index into anchors
	anchors []anchorAt
}

type anchorAt struct {
	core uint32 // four folded bytes, little endian
	next uint16 // 1 + index of the next with the same hash
	rule uint16 // index into Detector.rules
}

const fold = 0x20202020

func gramHash(v uint32) uint32 { return v << 8 * 0x9e3779b1 >> 17 }
func coreHash(v uint32) uint8  { return uint8(v * 0x9e3779b1 >> 24) }

func (t *filter) build(rules []rule) {
	for i, a := range rules {
		for _, core := range a.cores() {
			v := binary.LittleEndian.Uint32([]byte(core)) | fold
			t.grams[gramHash(v)] |= 1
			t.grams[gramHash(v>>8)] |= 2
			h := coreHash(v)
			t.anchors = append(t.anchors, anchorAt{v, t.first[h], uint16(i)})
			t.first[h] = uint16(len(t.anchors))
		}
	}
}

// run calls the rules of f at every anchor.
func (d *Detector) run(f *finder) {
	t := &d.filter
	b := f.content
	p := b
	for len(p) >= 16 { // six places, twelve bytes on
		v := binary.LittleEndian.Uint64(p) | fold<<32 | fold
		w := binary.LittleEndian.Uint64(p[6:]) | fold<<32 | fold
		g0, g1, g2 := t.grams[gramHash(uint32(v))], t.grams[gramHash(uint32(v>>16))], t.grams[gramHash(uint32(v>>32))]
		g3, g4, g5 := t.grams[gramHash(uint32(w))], t.grams[gramHash(uint32(w>>16))], t.grams[gramHash(uint32(w>>32))]
		if g0|g1|g2|g3|g4|g5 != 0 {
			i := len(b) - len(p)
			for k, g := range [...]uint8{g0, g1, g2, g3, g4, g5} {
				d.try(f, i+2*k, g)
			}
		}
		p = p[12:]
	}
	for i := max(0, len(b)-len(p)-1); i+4 <= len(b); i++ {
		d.look(f, i)
	}
}

// try looks where the three bytes at i say that an anchor may stand.
func (d *Detector) try(f *finder, i int, g uint8) {
	if g&2 != 0 {
		d.look(f, i-1)
	}
	if g&1 != 0 {
		d.look(f, i)
	}
}

// look calls the rules whose anchor stands at i.
func (d *Detector) look(f *finder, i int) {
	t := &d.filter
	if i < 0 || i+4 > len(f.content) {
		return
	}
	v := binary.LittleEndian.Uint32(f.content[i:]) | fold
	for n := t.first[coreHash(v)]; n != 0; {
		a := &t.anchors[n-1]
		if a.core == v {
			d.at(f, a.rule, i)
		}
		n = a.next
	}
}
