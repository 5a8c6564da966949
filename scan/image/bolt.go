package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// containerd keeps its names in a bbolt database that it holds locked while it runs.
// This reads such a file without the lock, page by page, where the library would map
// a copy of it into memory and trust it: on damaged pages it panics, faults or
// recurses without end.
//
// The format is that of bbolt version 2. A page that the current state reaches is
// never written again before the next but one state is committed, so what was read is
// one consistent state if the transaction number is the same before and after.
type bolt struct {
	r        io.ReaderAt
	pageSize int64
	root     uint64
	txid     uint64
	budget   int // pages left to read
}

// Bounds of a bolt file.
const (
	boltPages    = 1 << 18  // pages read for one question
	boltPageRun  = 16 << 20 // bytes of one page with its overflow
	boltDepth    = 32
	boltMagic    = 0xED0CDAED
	boltVersion  = 2
	boltBranch   = 0x01
	boltLeaf     = 0x02
	boltBucket   = 0x01 // flag of a leaf element
	boltHeader   = 16
	boltElement  = 16
	boltMetaSize = 64
)

var errBolt = errors.New("damaged or not a bbolt database")

// bucket is a tree of keys; small ones lie inline within their parent.
type bucket struct {
	root   uint64
	inline []byte
}

// openBolt finds the newer of the two valid meta pages.
func openBolt(r io.ReaderAt) (*bolt, error) {
	b := &bolt{r: r, budget: boltPages}
	if m, ok := readMeta(r, 0); ok {
		b.take(m)
		if m, ok := readMeta(r, b.pageSize); ok {
			b.take(m)
		}
		return b, nil
	}
	// The first is being written or broken; where the second lies depends on the page size.
	for size := int64(1024); size <= 64<<10; size *= 2 {
		if m, ok := readMeta(r, size); ok && m.pageSize == size {
			b.take(m)
			return b, nil
		}
	}
	return nil, errBolt
}

type boltMeta struct {
	pageSize   int64
	root, txid uint64
}

func (b *bolt) take(m boltMeta) {
	if b.pageSize == 0 || m.txid > b.txid && m.pageSize == b.pageSize {
		b.pageSize, b.root, b.txid = m.pageSize, m.root, m.txid
	}
}

func readMeta(r io.ReaderAt, at int64) (boltMeta, bool) {
	var p [boltHeader + boltMetaSize]byte
	if n, _ := r.ReadAt(p[:], at); n < len(p) {
		return boltMeta{}, false
	}
	m := p[boltHeader:]
	h := fnv.New64a()
	h.Write(m[:56])
	le := binary.LittleEndian
	size := int64(le.Uint32(m[8:]))
	if le.Uint32(m) != boltMagic || le.Uint32(m[4:]) != boltVersion || le.Uint64(m[56:]) != h.Sum64() ||
		size < 512 || size > 64<<10 || size&(size-1) != 0 {
		return boltMeta{}, false
	}
	return boltMeta{pageSize: size, root: le.Uint64(m[16:]), txid: le.Uint64(m[48:])}, true
}

// page reads one page and its overflow.
func (b *bolt) page(id uint64) ([]byte, error) {
	if b.budget--; b.budget < 0 {
		return nil, fmt.Errorf("%w: more than %d pages", errBolt, boltPages)
	}
	if id < 2 || id > 1<<40 {
		return nil, fmt.Errorf("%w: page %d", errBolt, id)
	}
	p := make([]byte, b.pageSize)
	if _, err := b.r.ReadAt(p, int64(id)*b.pageSize); err != nil {
		return nil, fmt.Errorf("%w: page %d: %w", errBolt, id, err)
	}
	if binary.LittleEndian.Uint64(p) != id {
		return nil, fmt.Errorf("%w: page %d is another one", errBolt, id)
	}
	more := int64(binary.LittleEndian.Uint32(p[12:]))
	if more == 0 {
		return p, nil
	}
	if (more+1)*b.pageSize > boltPageRun {
		return nil, fmt.Errorf("%w: page %d overflows into %d more", errBolt, id, more)
	}
	p = make([]byte, (more+1)*b.pageSize)
	if _, err := b.r.ReadAt(p, int64(id)*b.pageSize); err != nil {
		return nil, fmt.Errorf("%w: page %d: %w", errBolt, id, err)
	}
	return p, nil
}

// element gives key and value (or, of a branch, key and page) of element i.
func element(p []byte, i int) (flags uint32, key, value []byte, child uint64, err error) {
	le := binary.LittleEndian
	at := boltHeader + i*boltElement
	if at+boltElement > len(p) {
		return 0, nil, nil, 0, errBolt
	}
	e := p[at : at+boltElement]
	cut := func(pos, size uint64) []byte {
		start := uint64(at) + pos
		if start+size > uint64(len(p)) {
			err = errBolt
			return nil
		}
		return p[start : start+size]
	}
	if le.Uint16(p[8:])&boltBranch != 0 {
		key = cut(uint64(le.Uint32(e)), uint64(le.Uint32(e[4:])))
		return 0, key, nil, le.Uint64(e[8:]), err
	}
	pos, ksize, vsize := uint64(le.Uint32(e[4:])), uint64(le.Uint32(e[8:])), uint64(le.Uint32(e[12:]))
	key, value = cut(pos, ksize), cut(pos+ksize, vsize)
	return le.Uint32(e), key, value, 0, err
}

// each calls fn for every key of a bucket, in order; sub is set for nested buckets.
// key and value must not be kept.
func (b *bolt) each(in bucket, fn func(key, value []byte, sub *bucket) error) error {
	p := in.inline
	if p == nil {
		var err error
		if p, err = b.page(in.root); err != nil {
			return err
		}
	}
	return b.walk(p, 0, fn)
}

func (b *bolt) walk(p []byte, depth int, fn func(key, value []byte, sub *bucket) error) error {
	if depth > boltDepth || len(p) < boltHeader {
		return errBolt
	}
	flags, count := binary.LittleEndian.Uint16(p[8:]), int(binary.LittleEndian.Uint16(p[10:]))
	if flags&(boltBranch|boltLeaf) == 0 {
		return fmt.Errorf("%w: neither branch nor leaf", errBolt)
	}
	for i := range count {
		ef, key, value, child, err := element(p, i)
		if err != nil {
			return err
		}
		if flags&boltBranch != 0 {
			next, err := b.page(child)
			if err != nil {
				return err
			}
			if err := b.walk(next, depth+1, fn); err != nil {
				return err
			}
			continue
		}
		var sub *bucket
		if ef&boltBucket != 0 {
			if sub, err = asBucket(value); err != nil {
				return err
			}
		}
		if err := fn(key, value, sub); err != nil {
			return err
		}
	}
	return nil
}

func asBucket(v []byte) (*bucket, error) {
	if len(v) < 16 {
		return nil, errBolt
	}
	s := &bucket{root: binary.LittleEndian.Uint64(v)}
	if s.root == 0 {
		s.inline = v[16:]
	}
	return s, nil
}

// get finds one key of a bucket; ok is false when it is not there.
func (b *bolt) get(in bucket, key string) (value []byte, sub *bucket, ok bool, err error) {
	p := in.inline
	if p == nil {
		if p, err = b.page(in.root); err != nil {
			return nil, nil, false, err
		}
	}
	for depth := 0; depth <= boltDepth && len(p) >= boltHeader; depth++ {
		flags, count := binary.LittleEndian.Uint16(p[8:]), int(binary.LittleEndian.Uint16(p[10:]))
		// The last element whose key is not behind the one looked for.
		lo, hi := 0, count
		for lo < hi {
			mid := (lo + hi) / 2
			_, k, _, _, err := element(p, mid)
			if err != nil {
				return nil, nil, false, err
			}
			if bytes.Compare(k, []byte(key)) <= 0 {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		if flags&boltBranch == 0 {
			if flags&boltLeaf == 0 {
				break
			}
			if lo == 0 {
				return nil, nil, false, nil
			}
			ef, k, v, _, err := element(p, lo-1)
			if err != nil || string(k) != key {
				return nil, nil, false, err
			}
			if ef&boltBucket != 0 {
				if sub, err = asBucket(v); err != nil {
					return nil, nil, false, err
				}
			}
			return v, sub, true, nil
		}
		_, _, _, child, err := element(p, max(lo-1, 0))
		if err != nil {
			return nil, nil, false, err
		}
		if p, err = b.page(child); err != nil {
			return nil, nil, false, err
		}
	}
	return nil, nil, false, errBolt
}

// find follows nested buckets; nil: one of them is not there.
func (b *bolt) find(path ...string) (*bucket, error) {
	at := &bucket{root: b.root}
	for _, name := range path {
		_, sub, ok, err := b.get(*at, name)
		if err != nil || !ok || sub == nil {
			return nil, err
		}
		at = sub
	}
	return at, nil
}

// changed: another transaction was committed since the file was opened.
func (b *bolt) changed() bool {
	now, err := openBolt(b.r)
	return err != nil || now.txid != b.txid
}
