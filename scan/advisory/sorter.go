package advisory

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/klauspost/compress/s2"
)

// sorter sorts more pairs than fit in memory: it keeps up to limit bytes, writes what
// is beyond as sorted, compressed runs into one temporary file, and merges them. Pairs
// with equal keys come out in the order they were added.
type sorter struct {
	dir   string
	limit int
	buf   []byte
	at    []span
	runs  []run
	file  *os.File
	size  int64
}

type span struct{ key, value, end int }

type run struct{ offset, length int64 }

// maxRuns bounds how many runs are merged at once; with the limits used here that is
// far more advisories than exist.
const maxRuns = 512

func newSorter(dir string, limit int) *sorter { return &sorter{dir: dir, limit: limit} }

func (s *sorter) add(key, value []byte) error {
	from := len(s.buf)
	s.buf = append(s.buf, key...)
	s.buf = append(s.buf, value...)
	s.at = append(s.at, span{from, from + len(key), len(s.buf)})
	if len(s.buf)+len(s.at)*24 >= s.limit {
		return s.spill()
	}
	return nil
}

func (s *sorter) sort() {
	slices.SortStableFunc(s.at, func(a, b span) int { return bytes.Compare(s.buf[a.key:a.value], s.buf[b.key:b.value]) })
}

func (s *sorter) spill() error {
	if len(s.at) == 0 {
		return nil
	}
	if len(s.runs) >= maxRuns {
		return fmt.Errorf("more than %d sorted runs: the feeds are larger than the database may grow", maxRuns)
	}
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, ".sort-*")
		if err != nil {
			return err
		}
		// The name is not needed: the space is given back whatever happens.
		_ = os.Remove(f.Name())
		s.file = f
	}
	s.sort()
	out := &countWriter{w: s.file}
	w := s2.NewWriter(out, s2.WriterConcurrency(1), s2.WriterBlockSize(64<<10))
	var head []byte
	for _, p := range s.at {
		head = binary.AppendUvarint(head[:0], uint64(p.value-p.key))
		head = binary.AppendUvarint(head, uint64(p.end-p.value))
		if _, err := w.Write(head); err != nil {
			return err
		}
		if _, err := w.Write(s.buf[p.key:p.end]); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	s.runs = append(s.runs, run{s.size, out.n})
	s.size += out.n
	s.buf, s.at = s.buf[:0], s.at[:0]
	return nil
}

// each calls f with every pair in order; key and value are valid during the call. It
// may be called once.
func (s *sorter) each(f func(key, value []byte) error) error {
	if len(s.runs) == 0 {
		s.sort()
		for _, p := range s.at {
			if err := f(s.buf[p.key:p.value], s.buf[p.value:p.end]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.spill(); err != nil {
		return err
	}
	s.buf, s.at = nil, nil
	m := &merge{}
	for i, r := range s.runs {
		in := s2.NewReader(io.NewSectionReader(s.file, r.offset, r.length), s2.ReaderMaxBlockSize(64<<10), s2.ReaderAllocBlock(64<<10))
		src := &source{run: i, in: bufio.NewReaderSize(in, 4<<10)}
		ok, err := src.step()
		if err != nil {
			return err
		}
		if ok {
			m.list = append(m.list, src)
		}
	}
	heap.Init(m)
	for len(m.list) > 0 {
		src := m.list[0]
		if err := f(src.key, src.value); err != nil {
			return err
		}
		ok, err := src.step()
		if err != nil {
			return err
		}
		if ok {
			heap.Fix(m, 0)
		} else {
			heap.Pop(m)
		}
	}
	return nil
}

func (s *sorter) close() {
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
	s.buf, s.at = nil, nil
}

// source is one run being merged.
type source struct {
	run        int
	in         *bufio.Reader
	b          []byte
	key, value []byte
}

func (s *source) step() (bool, error) {
	k, err := binary.ReadUvarint(s.in)
	if errors.Is(err, io.EOF) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	v, err := binary.ReadUvarint(s.in)
	if err != nil {
		return false, err
	}
	if uint64(cap(s.b)) < k+v {
		s.b = make([]byte, k+v+k/2)
	}
	s.b = s.b[:k+v]
	if _, err := io.ReadFull(s.in, s.b); err != nil {
		return false, err
	}
	s.key, s.value = s.b[:k], s.b[k:]
	return true, nil
}

type merge struct{ list []*source }

func (m *merge) Len() int { return len(m.list) }
func (m *merge) Less(i, j int) bool {
	if c := bytes.Compare(m.list[i].key, m.list[j].key); c != 0 {
		return c < 0
	}
	return m.list[i].run < m.list[j].run
}
func (m *merge) Swap(i, j int) { m.list[i], m.list[j] = m.list[j], m.list[i] }
func (m *merge) Push(x any)    { m.list = append(m.list, x.(*source)) }
func (m *merge) Pop() any {
	x := m.list[len(m.list)-1]
	m.list = m.list[:len(m.list)-1]
	return x
}
