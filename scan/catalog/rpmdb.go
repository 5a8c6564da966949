package catalog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The three databases rpm keeps its headers in, read page by page so that a database
// bigger than memory can be read from a file. Only what rpm itself writes is
// understood: one table, one hash, one list.

const (
	maxBlob  = 64 << 20 // bytes of one package's header
	maxPages = 1 << 24
)

// eachRPM calls each for the header of every package. The bytes are valid during the call.
func eachRPM(k kind, r io.ReaderAt, size int64, each func(blob []byte) error) error {
	switch k {
	case rpmSQLite:
		return (&sqliteReader{r: r, size: size, each: each}).packages()
	case rpmNDB:
		return eachNDB(r, size, each)
	}
	return eachBDB(r, size, each)
}

func readAt(r io.ReaderAt, size, off int64, n int) ([]byte, error) {
	if off < 0 || n < 0 || off > size || int64(n) > size-off {
		return nil, fmt.Errorf("points to byte %d of %d", off, size)
	}
	b := make([]byte, n)
	_, err := r.ReadAt(b, off)
	if err == io.EOF {
		err = nil
	}
	return b, err
}

// sqliteReader walks the b-tree of the table Packages(hnum INTEGER PRIMARY KEY, blob BLOB).
type sqliteReader struct {
	r       io.ReaderAt
	size    int64
	page    int
	usable  int
	visited int64
	each    func([]byte) error
}

func (s *sqliteReader) packages() error {
	h, err := readAt(s.r, s.size, 0, 100)
	if err != nil || string(h[:16]) != "SQLite format 3\x00" {
		return errors.New("not an SQLite database")
	}
	s.page = int(binary.BigEndian.Uint16(h[16:]))
	if s.page == 1 {
		s.page = 65536
	}
	if s.page < 512 || s.page&(s.page-1) != 0 {
		return fmt.Errorf("an SQLite database with pages of %d bytes", s.page)
	}
	s.usable = s.page - int(h[20])
	if s.usable < 480 {
		return errors.New("an SQLite database with pages that hold nothing")
	}
	root := int64(0)
	err = s.tree(1, 0, func(_ int64, payload []byte) error {
		cols, err := sqliteRecord(payload)
		if err != nil {
			return err
		}
		if len(cols) >= 4 && string(cols[0].b) == "table" && string(cols[1].b) == "Packages" {
			root = cols[3].i
		}
		return nil
	})
	if err != nil {
		return err
	}
	if root <= 0 {
		return errors.New("an SQLite database without the table Packages")
	}
	return s.tree(root, 0, func(_ int64, payload []byte) error {
		cols, err := sqliteRecord(payload)
		if err != nil {
			return err
		}
		if len(cols) < 2 {
			return errors.New("a row of Packages without a header")
		}
		return s.each(cols[1].b)
	})
}

func (s *sqliteReader) read(n int64) ([]byte, error) {
	if s.visited++; s.visited > s.size/int64(s.page)+1 || s.visited > maxPages {
		return nil, errors.New("its pages go in circles")
	}
	if n < 1 || n > s.size/int64(s.page)+1 {
		return nil, fmt.Errorf("points to page %d, which is not there", n)
	}
	return readAt(s.r, s.size, (n-1)*int64(s.page), s.page)
}

func (s *sqliteReader) tree(n int64, depth int, row func(int64, []byte) error) error {
	if depth > 20 {
		return errors.New("a tree too deep")
	}
	p, err := s.read(n)
	if err != nil {
		return err
	}
	h := 0
	if n == 1 {
		h = 100
	}
	cells := int(binary.BigEndian.Uint16(p[h+3:]))
	at := h + 8
	interior := p[h] == 5
	if interior {
		at = h + 12
	} else if p[h] != 13 {
		return fmt.Errorf("page %d is of kind %d, not a table", n, p[h])
	}
	if at+2*cells > len(p) {
		return fmt.Errorf("page %d is damaged", n)
	}
	for i := range cells {
		c := int(binary.BigEndian.Uint16(p[at+2*i:]))
		if interior {
			if c+4 > len(p) {
				return fmt.Errorf("page %d is damaged", n)
			}
			if err := s.tree(int64(binary.BigEndian.Uint32(p[c:])), depth+1, row); err != nil {
				return err
			}
			continue
		}
		payload, id, err := s.cell(p, c)
		if err != nil {
			return fmt.Errorf("page %d: %w", n, err)
		}
		if err := row(id, payload); err != nil {
			return err
		}
	}
	if interior {
		return s.tree(int64(binary.BigEndian.Uint32(p[h+8:])), depth+1, row)
	}
	return nil
}

// cell returns a row's payload, gathered from its overflow pages.
func (s *sqliteReader) cell(p []byte, c int) ([]byte, int64, error) {
	if c >= len(p) {
		return nil, 0, errors.New("a cell beyond its end")
	}
	n, a := sqliteVarint(p[c:])
	id, b := sqliteVarint(p[min(len(p), c+a):])
	c += a + b
	if a == 0 || b == 0 || n < 0 || n > maxBlob {
		return nil, 0, errors.New("a row of impossible size")
	}
	total, local := int(n), int(n)
	if most := s.usable - 35; total > most {
		least := (s.usable-12)*32/255 - 23
		if local = least + (total-least)%(s.usable-4); local > most {
			local = least
		}
	}
	if local < 0 || c+local > len(p) {
		return nil, 0, errors.New("a row beyond its end")
	}
	if local == total {
		return p[c : c+local], id, nil
	}
	if c+local+4 > len(p) {
		return nil, 0, errors.New("a row beyond its end")
	}
	out := append(make([]byte, 0, min(total, 1<<20)), p[c:c+local]...)
	next := int64(binary.BigEndian.Uint32(p[c+local:]))
	for len(out) < total {
		o, err := s.read(next)
		if err != nil {
			return nil, 0, err
		}
		next = int64(binary.BigEndian.Uint32(o))
		out = append(out, o[4:4+min(s.usable-4, total-len(out))]...)
	}
	return out, id, nil
}

type sqliteColumn struct {
	b []byte
	i int64
}

// sqliteRecord splits a row into its columns.
func sqliteRecord(p []byte) ([]sqliteColumn, error) {
	n, used := sqliteVarint(p)
	if used == 0 || n < int64(used) || n > int64(len(p)) {
		return nil, errors.New("a damaged row")
	}
	types, body := p[used:n], p[n:]
	var out []sqliteColumn
	for len(types) > 0 && len(out) < 64 {
		t, used := sqliteVarint(types)
		if used == 0 {
			return nil, errors.New("a damaged row")
		}
		types = types[used:]
		size := 0
		switch {
		case t < 0 || t > 2*maxBlob:
			return nil, errors.New("a damaged row")
		case t >= 12:
			size = int(t-12) / 2
		case t >= 1 && t <= 4:
			size = int(t)
		case t == 5:
			size = 6
		case t == 6, t == 7:
			size = 8
		}
		if size > len(body) {
			return nil, errors.New("a damaged row")
		}
		c := sqliteColumn{b: body[:size]}
		if t >= 1 && t <= 6 {
			c.i = int64(int8(body[0]))
			for _, x := range body[1:size] {
				c.i = c.i<<8 | int64(x)
			}
		} else if t == 9 {
			c.i = 1
		}
		out = append(out, c)
		body = body[size:]
	}
	return out, nil
}

// sqliteVarint reads a big-endian number of 1 to 9 bytes; used is 0 where b is too short.
func sqliteVarint(b []byte) (v int64, used int) {
	for i := 0; i < 8; i++ {
		if i >= len(b) {
			return 0, 0
		}
		v = v<<7 | int64(b[i]&0x7f)
		if b[i] < 0x80 {
			return v, i + 1
		}
	}
	if len(b) < 9 {
		return 0, 0
	}
	return v<<8 | int64(b[8]), 9
}

// eachNDB reads rpm's own format: pages of slots, each pointing to a blob.
func eachNDB(r io.ReaderAt, size int64, each func([]byte) error) error {
	const (
		page  = 4096
		block = 16
	)
	h, err := readAt(r, size, 0, 32)
	if err != nil || string(h[:4]) != "RpmP" {
		return errors.New("not an rpm package database")
	}
	if v := binary.LittleEndian.Uint32(h[4:]); v != 0 {
		return fmt.Errorf("an rpm package database of version %d", v)
	}
	pages := int64(binary.LittleEndian.Uint32(h[12:]))
	if pages <= 0 || pages > size/page || pages > maxPages {
		return fmt.Errorf("an rpm package database with %d pages of slots", pages)
	}
	var spent int64
	for n := range pages {
		p, err := readAt(r, size, n*page, page)
		if err != nil {
			return err
		}
		for off := 0; off < page; off += block {
			if n == 0 && off < 32 {
				continue
			}
			if string(p[off:off+4]) != "Slot" {
				return fmt.Errorf("slot %d of page %d is damaged", off/block, n)
			}
			index, at := binary.LittleEndian.Uint32(p[off+4:]), int64(binary.LittleEndian.Uint32(p[off+8:]))
			if index == 0 || at == 0 {
				continue // free
			}
			head, err := readAt(r, size, at*block, 16)
			if err != nil {
				return err
			}
			length := int64(binary.LittleEndian.Uint32(head[12:]))
			if string(head[:4]) != "BlbS" || binary.LittleEndian.Uint32(head[4:]) != index || length > maxBlob {
				return fmt.Errorf("package %d is damaged", index)
			}
			if spent += length; spent > size {
				return errors.New("its packages overlap")
			}
			blob, err := readAt(r, size, at*block+16, int(length))
			if err != nil {
				return err
			}
			if err := each(blob); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachBDB reads a Berkeley DB hash: every page of the hash, and the chains of pages
// that its values lie on.
func eachBDB(r io.ReaderAt, size int64, each func([]byte) error) error {
	const (
		header   = 26
		hashPage = 13
		unsorted = 2
		overflow = 7
		inline   = 1
		offPage  = 3
	)
	h, err := readAt(r, size, 0, 72)
	if err != nil {
		return errors.New("not a Berkeley DB")
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch {
	case order.Uint32(h[12:]) == 0x061561:
	case binary.BigEndian.Uint32(h[12:]) == 0x061561:
		order = binary.BigEndian
	default:
		return errors.New("not a Berkeley DB hash")
	}
	if h[24] != 0 {
		return errors.New("an encrypted Berkeley DB")
	}
	page := int64(order.Uint32(h[20:]))
	if page < 512 || page > 65536 || page&(page-1) != 0 {
		return fmt.Errorf("a Berkeley DB with pages of %d bytes", page)
	}
	last := min(int64(order.Uint32(h[32:])), size/page-1)
	if last > maxPages {
		return errors.New("a Berkeley DB with too many pages")
	}
	spent := int64(0)
	read := func(n int64) ([]byte, error) {
		if spent++; spent > 2*(size/page)+2 {
			return nil, errors.New("its pages go in circles")
		}
		return readAt(r, size, n*page, int(page))
	}
	for n := int64(1); n <= last; n++ {
		p, err := read(n)
		if err != nil {
			return err
		}
		if p[25] != hashPage && p[25] != unsorted {
			continue
		}
		entries := int(order.Uint16(p[20:]))
		if header+2*entries > len(p) {
			return fmt.Errorf("page %d is damaged", n)
		}
		for i := 1; i < entries; i += 2 { // key, value, key, value…
			at := int(order.Uint16(p[header+2*i:]))
			end := int(order.Uint16(p[header+2*(i-1):]))
			if at >= end || end > len(p) {
				return fmt.Errorf("page %d is damaged", n)
			}
			var value []byte
			switch p[at] {
			case inline:
				value = p[at+1 : end]
			case offPage:
				if end-at < 12 {
					return fmt.Errorf("page %d is damaged", n)
				}
				next, total := int64(order.Uint32(p[at+4:])), int64(order.Uint32(p[at+8:]))
				if total > maxBlob || total > size {
					return fmt.Errorf("page %d has a value of %d bytes", n, total)
				}
				for next != 0 && int64(len(value)) < total {
					o, err := read(next)
					if err != nil {
						return err
					}
					if o[25] != overflow {
						return fmt.Errorf("page %d is damaged", next)
					}
					used := int64(order.Uint16(o[22:]))
					if header+used > page {
						return fmt.Errorf("page %d is damaged", next)
					}
					value = append(value, o[header:header+used]...)
					next = int64(order.Uint32(o[16:]))
				}
			default:
				continue
			}
			if len(value) <= 8 {
				continue // rpm's counter
			}
			if err := each(value); err != nil {
				return err
			}
		}
	}
	return nil
}
