package sensor

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernelRing reads one BPF ring buffer in place. It is ours rather than the library's
// because the two lanes are merged by time, which needs the head of each without
// taking it, and because mapping the data once instead of twice halves its
// resident size. Not safe for concurrent use.
type kernelRing struct {
	name string
	cons []byte // the page user space owns: consumer position
	prod []byte // the page the kernel owns, then the data
	data []byte
	mask uint64
	pos  uint64
	wrap []byte // a record that runs over the end, put together
}

const (
	ringBusy    = 1 << 31
	ringDiscard = 1 << 30
	ringHeader  = 8
)

func openRing(name string, fd, size int) (*kernelRing, error) {
	page := os.Getpagesize()
	cons, err := unix.Mmap(fd, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the consumer page of ring %s: %w", name, err)
	}
	prod, err := unix.Mmap(fd, int64(page), page+size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		_ = unix.Munmap(cons)
		return nil, fmt.Errorf("map %d bytes of ring %s: %w", size, name, err)
	}
	r := &kernelRing{name: name, cons: cons, prod: prod, data: prod[page : page+size], mask: uint64(size) - 1}
	r.pos = atomic.LoadUint64((*uint64)(unsafe.Pointer(&cons[0])))
	return r, nil
}

// peek returns the oldest record without taking it, or nil when there is none, or
// when it is still being written. The bytes are valid until take.
func (r *kernelRing) peek() []byte {
	for {
		if r.pos >= atomic.LoadUint64((*uint64)(unsafe.Pointer(&r.prod[0]))) {
			return nil
		}
		at := r.pos & r.mask
		head := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[at])))
		if head&ringBusy != 0 {
			return nil
		}
		n := uint64(head &^ (ringBusy | ringDiscard))
		if head&ringDiscard != 0 {
			r.advance(n)
			continue
		}
		from := (at + ringHeader) & r.mask
		if from+n <= uint64(len(r.data)) {
			return r.data[from : from+n]
		}
		first := r.data[from:]
		r.wrap = append(append(r.wrap[:0], first...), r.data[:n-uint64(len(first))]...)
		return r.wrap
	}
}

// take gives the record last seen by peek back to the kernel.
func (r *kernelRing) take() {
	at := r.pos & r.mask
	head := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[at])))
	r.advance(uint64(head &^ (ringBusy | ringDiscard)))
}

func (r *kernelRing) advance(n uint64) {
	r.pos += (n + ringHeader + 7) &^ 7
	atomic.StoreUint64((*uint64)(unsafe.Pointer(&r.cons[0])), r.pos)
}

// pending is how many bytes wait.
func (r *kernelRing) pending() uint64 {
	return atomic.LoadUint64((*uint64)(unsafe.Pointer(&r.prod[0]))) - r.pos
}

func (r *kernelRing) close() error {
	err := unix.Munmap(r.cons)
	if e := unix.Munmap(r.prod); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("unmap ring %s: %w", r.name, err)
	}
	return nil
}
