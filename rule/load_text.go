package rule

import (
	"container/heap"
	"strings"
)

// textBuilder builds a condition's text and remembers where its parts come from.
type textBuilder struct {
	b    []byte
	segs []segment
}

// fixed appends text that stands for one place as a whole.
func (t *textBuilder) fixed(s string, at Place) {
	if s == "" {
		return
	}
	if n := len(t.segs); n == 0 || !t.segs[n-1].fixed || t.segs[n-1].place != at {
		t.segs = append(t.segs, segment{start: len(t.b), fixed: true, place: at})
	}
	t.b = append(t.b, s...)
}

// copy appends m.text[from:to] with its places.
func (t *textBuilder) copy(m mapped, from, to int) {
	if from >= to {
		return
	}
	lo := segmentAt(m.segs, from)
	for i := lo; i < len(m.segs) && m.segs[i].start < to; i++ {
		s := m.segs[i]
		skip := max(from-s.start, 0)
		s.start = len(t.b) + max(s.start, from) - from
		if !s.fixed {
			s.off += skip
		}
		t.segs = append(t.segs, s)
	}
	t.b = append(t.b, m.text[from:to]...)
}

// trim drops the bytes from n on.
func (t *textBuilder) trim(n int) {
	t.b = t.b[:n]
	for len(t.segs) > 0 && t.segs[len(t.segs)-1].start >= n {
		t.segs = t.segs[:len(t.segs)-1]
	}
}

func (t *textBuilder) done() mapped { return mapped{text: string(t.b), segs: t.segs} }

// segmentAt finds the segment that holds offset off.
func segmentAt(segs []segment, off int) int {
	lo, hi := 0, len(segs)
	for lo < hi {
		mid := (lo + hi) / 2
		if segs[mid].start <= off {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return max(lo-1, 0)
}

// at gives the place of a byte of the text.
func (m mapped) at(off int) Place {
	p, _ := (&Positions{texts: []textMap{{segs: m.segs}}}).placeIn(0, off)
	return p
}

// joinText puts one blank between two texts.
func joinText(a, b mapped) mapped {
	var t textBuilder
	t.copy(a, 0, len(a.text))
	t.fixed(" ", b.at(0))
	t.copy(b, 0, len(b.text))
	return t.done()
}

// isListEdge tells the bytes that may stand beside the name of a list in a condition.
func isListEdge(c byte) bool { return isYAMLBlank(c) || c == '(' || c == ')' || c == ',' || c == '=' }

// expandLists replaces names of lists by their items, textually, list by list
// in order of definition, exactly as Falco does: it knows no grammar, so it
// also replaces a value or a macro of the same name.
func (l *loader) expandLists(m mapped, item string) (mapped, *fault) {
	var todo intHeap
	queued := map[int]bool{}
	note := func(text string, after int) {
		for _, name := range strings.FieldsFunc(text, func(r rune) bool { return r < 0x80 && isListEdge(byte(r)) }) {
			if len(name) > l.longest {
				continue
			}
			if info := l.lists[name]; info != nil && info.index > after && !queued[info.index] {
				queued[info.index] = true
				heap.Push(&todo, info.index)
			}
		}
	}
	byIndex := func(i int) *listInfo { return l.listAt[i] }
	note(m.text, -1)
	for _, info := range l.oddLists { // names that are more than one word
		if !queued[info.index] {
			queued[info.index] = true
			heap.Push(&todo, info.index)
		}
	}
	l.work += len(m.text)
	for todo.Len() > 0 {
		info := byIndex(heap.Pop(&todo).(int))
		next, used := l.expandList(m, info)
		l.work += len(m.text) + len(next.text)
		if len(next.text) > maxConditionText || l.work > maxExpandWork {
			return m, faultAt(CodeCompileCondition, m.at(0), item, "putting the lists into this condition makes it too large", "split the condition or its lists")
		}
		m = next
		if used {
			info.used = true
			for _, it := range info.expanded {
				note(it, info.index)
			}
		}
	}
	return m, nil
}

// expandList replaces one list's name throughout.
func (l *loader) expandList(m mapped, info *listInfo) (mapped, bool) {
	name, text := info.name, m.text
	if name == "" || !strings.Contains(text, name) {
		return m, false
	}
	var t textBuilder
	used := false
	from, search := 0, 0
	edge := false // what stands before from is an edge, though not in text
	for {
		i := strings.Index(text[min(search, len(text)):], name)
		if i < 0 {
			break
		}
		start := search + i
		end := start + len(name)
		left := start == 0 || start == from && edge || isListEdge(text[start-1])
		if !left || end < len(text) && !isListEdge(text[end]) {
			search = start + 1
			continue
		}
		at := m.at(start)
		t.copy(m, from, start)
		for end < len(text) && isYAMLBlank(text[end]) {
			end++
		}
		n := len(t.b)
		for n > 0 && isYAMLBlank(t.b[n-1]) {
			n--
		}
		if len(info.text) == 0 { // an empty list takes a comma with it
			if n > 0 && t.b[n-1] == ',' {
				n--
			} else if end < len(text) && text[end] == ',' {
				end++
			}
		}
		t.trim(n)
		from, search, edge = end, end, true
		if n > 0 {
			t.fixed(" ", at)
		} else {
			search++ // upstream looks on one byte later here
		}
		t.fixed(info.text, at)
		t.fixed(" ", at)
		used = true
		if len(t.b) > maxConditionText {
			break
		}
	}
	if !used {
		return m, false
	}
	t.copy(m, from, len(text))
	return t.done(), true
}

// intHeap is a heap of list indices.
type intHeap []int

func (h intHeap) Len() int           { return len(h) }
func (h intHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h intHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *intHeap) Push(x any)        { *h = append(*h, x.(int)) }
func (h *intHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
