package secret

import "encoding/binary"

// minContent is the length of the shortest text that can hold a secret.
const minContent = 12

// filter finds the places worth looking at in one pass. Each rule has an anchor of
// four bytes that its secret cannot lack. Of three bytes at every second place, one is
// the anchor's first or second three; so half the places are looked up, in a bitmap
// that stays in the first-level cache. Letters are compared without case: setting bit
// five folds them, and what else it folds the rule itself tells apart.
type filter struct {
	grams   [1024]uint64 // set of hashes of three folded bytes
	first   [256]uint16  // by hash of four folded bytes: 1 + index into anchors
	anchors []anchorAt
}

type anchorAt struct {
	core uint32 // four folded bytes, little endian
	next uint16 // 1 + index of the next with the same hash
	rule uint16 // index into Detector.rules
}

const fold = 0x20202020

func gramHash(v uint32) uint16 { return uint16((v & 0xffffff) * 0x9e3779b1 >> 16) }
func coreHash(v uint32) uint8  { return uint8(v * 0x9e3779b1 >> 24) }

func (t *filter) build(rules []rule) {
	for i, a := range rules {
		for _, core := range a.cores() {
			v := binary.LittleEndian.Uint32([]byte(core)) | fold
			for _, g := range [...]uint32{v, v >> 8} {
				h := gramHash(g)
				t.grams[h>>6] |= 1 << (h & 63)
			}
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
	i := 0
	for ; i+8 <= len(b); i += 6 {
		v := binary.LittleEndian.Uint64(b[i:]) | fold<<32 | fold
		h0, h1, h2 := gramHash(uint32(v)), gramHash(uint32(v>>16)), gramHash(uint32(v>>32))
		hit := t.grams[h0>>6]>>(h0&63) | t.grams[h1>>6]>>(h1&63) | t.grams[h2>>6]>>(h2&63)
		if hit&1 == 0 {
			continue
		}
		for k := i; k < i+6; k += 2 {
			d.look(f, k-1)
			d.look(f, k)
		}
	}
	for i = max(0, i-1); i+4 <= len(b); i++ {
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
