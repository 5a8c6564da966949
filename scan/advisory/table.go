package advisory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
)

// A table is a sorted list of (key, value) pairs, cut into blocks that are compressed
// one by one, with an index of the first key of every block. It is written once from
// front to back and read by position, so a lookup costs one read of one block.

const (
	blockSize   = 8 << 10  // of uncompressed bytes, at which a block is closed
	maxBlock    = 64 << 20 // an uncompressed block beyond this is damage, or a package nobody has
	cachedBytes = 4 << 20  // of decoded blocks kept per table
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// block is one entry of a table's index.
type block struct {
	first   []byte // first key
	offset  int64
	length  uint32 // compressed
	sum     uint32 // CRC-32C of the compressed bytes
	ordinal uint64 // of its first pair within the table
}

// tableWriter writes one table to w at the place the file has reached.
type tableWriter struct {
	w       *countWriter
	enc     *zstd.Encoder // nil = blocks are stored as they are
	size    int           // of a block
	buf     []byte
	out     []byte
	first   []byte
	last    []byte
	blocks  []block
	count   uint64
	started uint64 // ordinal of the first pair in buf
	width   int    // of every pair so far; -1 = they differ
}

type countWriter struct {
	w io.Writer
	n int64
}

func (c *countWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// add appends a pair. Keys must come in ascending order; equal keys are allowed.
func (t *tableWriter) add(key, value []byte) error {
	if bytes.Compare(key, t.last) < 0 {
		return fmt.Errorf("table: key %q after %q: not sorted", key, t.last)
	}
	if len(value) > maxBlock-len(key)-32 {
		return fmt.Errorf("table: the value of %q has %d bytes, more than the %d a block may hold", key, len(value), maxBlock)
	}
	if len(t.buf) == 0 {
		t.first = append(t.first[:0], key...)
		t.started = t.count
	}
	t.last = append(t.last[:0], key...)
	before := len(t.buf)
	t.buf = binary.AppendUvarint(t.buf, uint64(len(key)))
	t.buf = append(t.buf, key...)
	t.buf = binary.AppendUvarint(t.buf, uint64(len(value)))
	t.buf = append(t.buf, value...)
	if w := len(t.buf) - before; t.width == 0 {
		t.width = w
	} else if t.width != w {
		t.width = -1
	}
	t.count++
	if len(t.buf) >= t.size {
		return t.flush()
	}
	return nil
}

func (t *tableWriter) flush() error {
	if len(t.buf) == 0 {
		return nil
	}
	data := t.buf
	if t.enc != nil {
		t.out = t.enc.EncodeAll(t.buf, t.out[:0])
		data = t.out
	}
	t.blocks = append(t.blocks, block{
		first: bytes.Clone(t.first), offset: t.w.n, length: uint32(len(data)),
		sum: crc32.Checksum(data, castagnoli), ordinal: t.started,
	})
	t.buf = t.buf[:0]
	_, err := t.w.Write(data)
	return err
}

// section says where in the file a table's index is.
type section struct {
	Offset int64  `json:"offset"`
	Length int    `json:"length"`
	Sum    uint32 `json:"sum"`
	Blocks int    `json:"blocks"`
	Count  uint64 `json:"count"`
	Plain  bool   `json:"plain,omitempty"` // blocks are not compressed
	Width  int    `json:"width,omitempty"` // bytes of every pair where all are alike, which lets a key be sought by halves
}

// finish writes the last block and the index.
func (t *tableWriter) finish() (section, error) {
	if err := t.flush(); err != nil {
		return section{}, err
	}
	var b []byte
	for _, k := range t.blocks {
		b = binary.AppendUvarint(b, uint64(len(k.first)))
		b = append(b, k.first...)
		b = binary.AppendUvarint(b, uint64(k.offset))
		b = binary.AppendUvarint(b, uint64(k.length))
		b = binary.LittleEndian.AppendUint32(b, k.sum)
		b = binary.AppendUvarint(b, k.ordinal)
	}
	s := section{Offset: t.w.n, Length: len(b), Sum: crc32.Checksum(b, castagnoli), Blocks: len(t.blocks), Count: t.count, Plain: t.enc == nil, Width: max(t.width, 0)}
	_, err := t.w.Write(b)
	return s, err
}

// table reads a table. Its methods may be called at the same time from many goroutines.
type table struct {
	r      io.ReaderAt
	dec    *zstd.Decoder // nil for plain blocks
	blocks []block
	count  uint64
	width  int // see section
	name   string

	// Decoded blocks, each in its place, so that reading one that is there takes no lock.
	slots []atomic.Pointer[[]byte]
	mu    sync.Mutex
	held  []int // the blocks in slots, oldest first
	bytes int   // of them
}

func openTable(r io.ReaderAt, size int64, name string, s section, dec *zstd.Decoder) (*table, error) {
	if s.Offset < 0 || s.Length < 0 || s.Offset+int64(s.Length) > size || s.Blocks < 0 || s.Blocks > s.Length {
		return nil, fmt.Errorf("index of table %s lies outside the file", name)
	}
	b := make([]byte, s.Length)
	if _, err := r.ReadAt(b, s.Offset); err != nil {
		return nil, fmt.Errorf("index of table %s at %d: %w", name, s.Offset, err)
	}
	if crc32.Checksum(b, castagnoli) != s.Sum {
		return nil, fmt.Errorf("index of table %s at %d: wrong checksum", name, s.Offset)
	}
	t := &table{r: r, name: name, count: s.Count, width: s.Width, blocks: make([]block, 0, s.Blocks)}
	if !s.Plain {
		t.dec = dec
	}
	in := &reader{b: b}
	for range s.Blocks {
		k := block{first: in.bytes(), offset: int64(in.uvarint()), length: uint32(in.uvarint())}
		if len(in.b) < 4 {
			in.fail()
			break
		}
		k.sum = binary.LittleEndian.Uint32(in.b)
		in.b = in.b[4:]
		k.ordinal = in.uvarint()
		if k.offset < 0 || k.offset+int64(k.length) > size {
			return nil, fmt.Errorf("index of table %s: block at %d lies outside the file", name, k.offset)
		}
		t.blocks = append(t.blocks, k)
	}
	if in.err != nil {
		return nil, fmt.Errorf("index of table %s: %w", name, in.err)
	}
	t.slots = make([]atomic.Pointer[[]byte], len(t.blocks))
	return t, nil
}

// read returns the decoded block i. The bytes are shared and must not be changed.
func (t *table) read(i int, keep bool) ([]byte, error) {
	if p := t.slots[i].Load(); p != nil {
		return *p, nil
	}
	k := t.blocks[i]
	raw := make([]byte, k.length)
	if _, err := t.r.ReadAt(raw, k.offset); err != nil {
		return nil, fmt.Errorf("table %s, block at %d: %w", t.name, k.offset, err)
	}
	if crc32.Checksum(raw, castagnoli) != k.sum {
		return nil, fmt.Errorf("table %s, block at %d: %w", t.name, k.offset, errChecksum)
	}
	if t.dec != nil {
		var err error
		if raw, err = t.dec.DecodeAll(raw, nil); err != nil {
			return nil, fmt.Errorf("table %s, block at %d: %w", t.name, k.offset, err)
		}
	}
	if keep && len(raw) <= cachedBytes/4 {
		t.hold(i, raw)
	}
	return raw, nil
}

// hold keeps a decoded block and drops the oldest ones beyond the bound.
func (t *table) hold(i int, data []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slots[i].Load() != nil {
		return // somebody else was as fast
	}
	t.slots[i].Store(&data)
	t.held = append(t.held, i)
	t.bytes += len(data)
	drop := 0
	for ; t.bytes > cachedBytes; drop++ {
		t.bytes -= len(*t.slots[t.held[drop]].Load())
		t.slots[t.held[drop]].Store(nil)
	}
	if drop > 0 {
		t.held = append(t.held[:0], t.held[drop:]...)
	}
}

var errChecksum = errors.New("wrong checksum: the file is damaged")

// pair reads the next pair of a decoded block.
func pair(b []byte) (key, value, rest []byte, err error) {
	r := reader{b: b}
	key = r.bytes()
	value = r.bytes()
	return key, value, r.b, r.err
}

// get returns the value of the first pair with this key, nil when there is none. The
// bytes are shared and must not be changed.
func (t *table) get(key []byte) ([]byte, error) {
	// The last block that starts below the key may hold it; equal keys may have begun
	// in the block before the first one that starts with it.
	i := sort.Search(len(t.blocks), func(i int) bool { return bytes.Compare(t.blocks[i].first, key) >= 0 })
	if i > 0 {
		i--
	}
	for ; i < len(t.blocks); i++ {
		if bytes.Compare(t.blocks[i].first, key) > 0 {
			return nil, nil
		}
		b, err := t.read(i, true)
		if err != nil {
			return nil, err
		}
		if n := len(b); t.width > 0 && n%t.width == 0 {
			// What stands before the last pair below the key cannot be it.
			at := sort.Search(n/t.width, func(i int) bool {
				k, _, _, err := pair(b[i*t.width:])
				return err != nil || bytes.Compare(k, key) >= 0
			})
			b = b[at*t.width:]
		}
		v, c, err := seek(b, key)
		if err != nil {
			return nil, fmt.Errorf("table %s, block %d: %w", t.name, i, err)
		}
		if c >= 0 {
			return v, nil
		}
	}
	return nil, nil
}

// seek looks for a key in a decoded block. c is 0 where it is there, above 0 where a
// greater key is and below where none is; v is nil then. It is most of the work of
// looking up scores, so it keeps a place instead of cutting slices.
func seek(b, key []byte) (v []byte, c int, err error) {
	at := 0
	length := func() int {
		if at < len(b) && b[at] < 0x80 {
			at++
			return int(b[at-1])
		}
		n, size := binary.Uvarint(b[at:])
		at += size
		if size <= 0 || n > uint64(len(b)-at) {
			return -1
		}
		return int(n)
	}
	for at < len(b) {
		n := length()
		if n < 0 || n > len(b)-at {
			return nil, 0, errShort
		}
		k := b[at : at+n]
		at += n
		n = length()
		if n < 0 || n > len(b)-at {
			return nil, 0, errShort
		}
		if c = bytes.Compare(k, key); c == 0 {
			return b[at : at+n : at+n], 0, nil
		} else if c > 0 {
			return nil, c, nil
		}
		at += n
	}
	return nil, -1, nil
}

// holding returns the block that holds the pair with this ordinal, -1 for none.
func (t *table) holding(ordinal uint64) int {
	if ordinal >= t.count {
		return -1
	}
	return sort.Search(len(t.blocks), func(i int) bool { return t.blocks[i].ordinal > ordinal }) - 1
}

// cursor walks a whole table once.
type cursor struct {
	t       *table
	next    int
	b       []byte
	key     []byte
	value   []byte
	ordinal uint64
	done    bool
}

func (t *table) cursor() *cursor { return &cursor{t: t, ordinal: ^uint64(0)} }

// step moves to the next pair; key and value are valid until the step after it.
func (c *cursor) step() (bool, error) {
	for len(c.b) == 0 {
		if c.done || c.next >= len(c.t.blocks) {
			c.done = true
			return false, nil
		}
		b, err := c.t.read(c.next, false)
		if err != nil {
			c.done = true
			return false, err
		}
		c.b = b
		c.next++
	}
	var err error
	if c.key, c.value, c.b, err = pair(c.b); err != nil {
		c.done = true
		return false, fmt.Errorf("table %s, block %d: %w", c.t.name, c.next-1, err)
	}
	c.ordinal++
	return true, nil
}
