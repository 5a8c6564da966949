package rule

import "github.com/dockreeve/dockreeve/rule/filter"

// Positions turns places in condition texts into places in files. One value
// serves every rule of a Source; filter.Pos.Text says which text is meant.
type Positions struct{ texts []textMap }

// textMap maps one expanded condition text, by segments ordered by start.
type textMap struct{ segs []segment }

// segment says where the bytes from start (in the expanded text) on come from.
// Inside a fixed segment (a list's items) every byte stands for one place.
type segment struct {
	start int
	fixed bool
	place Place
	lines *scalarMap // nil: place holds for the segment's first byte only
	off   int        // offset in lines of the segment's first byte
}

// scalarMap maps byte offsets of a decoded YAML scalar to places.
type scalarMap struct {
	file   string
	starts []scalarLine
}

// scalarLine is one run of bytes that stand side by side in the file as well.
type scalarLine struct{ off, line, col int }

func (m *scalarMap) at(off int) Place {
	lo, hi := 0, len(m.starts)
	for lo < hi {
		mid := (lo + hi) / 2
		if m.starts[mid].off <= off {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return Place{File: m.file}
	}
	s := m.starts[lo-1]
	return Place{File: m.file, Line: s.line, Col: s.col + off - s.off}
}

// Place gives the file position of p, or false when it is not known.
func (ps *Positions) Place(p filter.Pos) (Place, bool) {
	if ps == nil || p.Text < 0 || p.Text >= len(ps.texts) {
		return Place{}, false
	}
	return ps.placeIn(p.Text, p.Idx)
}

func (ps *Positions) placeIn(text, off int) (Place, bool) {
	segs := ps.texts[text].segs
	if len(segs) == 0 {
		return Place{}, false
	}
	s := segs[segmentAt(segs, off)]
	if s.fixed || s.lines == nil {
		return s.place, true
	}
	if pl := s.lines.at(s.off + off - s.start); pl.Line > 0 {
		return pl, true
	}
	return s.place, true
}
