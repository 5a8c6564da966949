// Package ahead reads a stream ahead in a goroutine of its own, so that what makes the
// bytes (decompression) and what understands them use two cores.
package ahead

import (
	"io"
	"sync"
)

const (
	blockSize = 256 << 10
	blocks    = 4 // read and not yet taken
)

// Reader gives the bytes of another reader, and then its error, in order; of what is below
// it holds at most 1 MiB. One goroutine uses it. It must be closed.
type Reader struct {
	full    chan block
	empty   chan []byte
	done    chan struct{}
	stopped sync.WaitGroup
	now     block
	at      int
}

type block struct {
	b   []byte
	err error // after b
}

// NewReader begins to read r.
func NewReader(r io.Reader) *Reader {
	a := &Reader{full: make(chan block, blocks), empty: make(chan []byte, blocks), done: make(chan struct{})}
	for range blocks {
		a.empty <- make([]byte, blockSize)
	}
	a.stopped.Go(func() { a.run(r) })
	return a
}

func (a *Reader) run(r io.Reader) {
	for {
		var buf []byte
		select {
		case buf = <-a.empty:
		case <-a.done:
			return
		}
		n, err := 0, error(nil)
		for idle := 0; n < len(buf) && err == nil && idle < 100; idle++ {
			var m int
			if m, err = r.Read(buf[n:]); m > 0 {
				n, idle = n+m, 0
			}
		}
		if n == 0 && err == nil {
			err = io.ErrNoProgress
		}
		a.full <- block{buf[:n], err} // there is room: no more blocks than it holds
		if err != nil {
			return
		}
	}
}

// Read gives what was read. After the error of the reader below it gives that again.
func (a *Reader) Read(p []byte) (int, error) {
	for a.at == len(a.now.b) {
		if a.now.err != nil {
			return 0, a.now.err
		}
		if a.now.b != nil {
			a.empty <- a.now.b[:cap(a.now.b)] // there is room: it came from there
		}
		a.now, a.at = <-a.full, 0
	}
	n := copy(p, a.now.b[a.at:])
	a.at += n
	return n, nil
}

// Close ends the reading and returns when the reader below is no longer used. It does not
// close that.
func (a *Reader) Close() {
	close(a.done)
	a.stopped.Wait()
}
