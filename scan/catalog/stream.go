package catalog

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	chunkBytes = 128 << 10 // stays in a core's second-level cache from inflating through hashing to parsing
	chunkCount = 4
	ratioFrom  = 4 << 30
)

// stream is an uncompressed layer as the parser sees it: chunks filled and hashed by
// one goroutine, consumed by another. It is an io.ReadSeeker only so far as archive/tar
// needs one to skip: forward from where it is.
type stream struct {
	chunks chan chunk
	free   chan []byte
	stop   chan struct{}

	cur   []byte
	whole []byte // the buffer cur is part of
	err   error
	pos   int64
	ahead int64 // consumed by take, which the tar reader does not know of yet

	sum [sha256.Size]byte // valid at the end
	n   int64             // uncompressed bytes, valid at the end
}

type chunk struct {
	b   []byte
	err error
}

// newStream starts inflating r. The caller must call close.
func newStream(ctx context.Context, r io.Reader, lim Limits) *stream {
	s := &stream{chunks: make(chan chunk, chunkCount), free: make(chan []byte, chunkCount), stop: make(chan struct{})}
	for range chunkCount {
		s.free <- nil
	}
	go s.fill(ctx, r, lim)
	return s
}

// close ends the filling goroutine; it returns when that has let go of the source.
func (s *stream) close() {
	close(s.stop)
	for range s.chunks {
	}
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (s *stream) fill(ctx context.Context, src io.Reader, lim Limits) {
	defer close(s.chunks)
	in := &counter{r: src}
	plain, done, err := decompress(in, lim)
	if err != nil {
		s.send(chunk{err: err})
		return
	}
	defer done()
	h := sha256.New()
	var total int64
	for {
		var buf []byte
		select {
		case buf = <-s.free:
		case <-s.stop:
			return
		}
		if buf == nil {
			buf = make([]byte, chunkBytes)
		}
		if ctx.Err() != nil {
			s.send(chunk{err: context.Cause(ctx)})
			return
		}
		n, err := 0, error(nil)
		for empty := 0; n < chunkBytes && err == nil && empty < 100; {
			var m int
			m, err = plain.Read(buf[n:chunkBytes])
			if n += m; m == 0 {
				empty++
			}
		}
		h.Write(buf[:n])
		total += int64(n)
		switch {
		case n == 0 && err == nil:
			err = fmt.Errorf("stalled after %d uncompressed bytes: %w", total, io.ErrNoProgress)
		case err != nil && err != io.EOF:
			err = fmt.Errorf("broken after %d uncompressed bytes: %w", total, err)
		case total > lim.LayerBytes:
			err = bound("more than %d uncompressed bytes", lim.LayerBytes)
		case total > ratioFrom && total/max(1, in.n) > lim.LayerRatio:
			err = bound("%d bytes unpack to more than %d: a decompression bomb", in.n, total)
		case err == io.EOF:
			h.Sum(s.sum[:0])
			s.n = total
		}
		if !s.send(chunk{buf[:n], err}) || err != nil {
			return
		}
	}
}

func (s *stream) send(c chunk) bool {
	select {
	case s.chunks <- c:
		return true
	case <-s.stop:
		return false
	}
}

// decompress sniffs how a layer is compressed; media types lie.
func decompress(r io.Reader, lim Limits) (io.Reader, func(), error) {
	br := bufio.NewReaderSize(r, 64<<10)
	magic, err := br.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, fmt.Errorf("cannot read its first bytes: %w", err)
	}
	none := func() {}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, nil, fmt.Errorf("not the gzip it begins as: %w", err)
		}
		return z, none, nil
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(magic) >= 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:4], []byte{0x2a, 0x4d, 0x18}):
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(uint64(lim.Window)), zstd.WithDecoderMaxMemory(uint64(lim.LayerBytes)))
		if err != nil {
			return nil, nil, fmt.Errorf("not the zstd it begins as: %w", err)
		}
		return z, z.Close, nil
	case bytes.HasPrefix(magic, []byte("BZh")):
		return nil, nil, errors.New("compressed with bzip2: layers are gzip, zstd or plain tar")
	case bytes.HasPrefix(magic, []byte{0xfd, '7', 'z', 'X', 'Z'}):
		return nil, nil, errors.New("compressed with xz: layers are gzip, zstd or plain tar")
	}
	return br, none, nil
}

// more makes cur non-empty, or returns why it cannot.
func (s *stream) more() error {
	for len(s.cur) == 0 {
		if s.err != nil {
			return s.err
		}
		if s.whole != nil {
			s.free <- s.whole // never blocks: there are chunkCount buffers
			s.whole = nil
		}
		c, ok := <-s.chunks
		if !ok {
			s.err = io.ErrUnexpectedEOF
			continue
		}
		s.cur, s.whole, s.err = c.b, c.b, c.err
	}
	return nil
}

// Read implements io.Reader for archive/tar.
func (s *stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if s.ahead > 0 { // already taken: the tar reader only throws it away
		n := min(int64(len(p)), s.ahead)
		clear(p[:n])
		s.ahead -= n
		return int(n), nil
	}
	if err := s.more(); err != nil {
		return 0, err
	}
	n := copy(p, s.cur)
	s.cur = s.cur[n:]
	s.pos += int64(n)
	return n, nil
}

// Seek implements what archive/tar skips with: forward, from here. What take has
// already given away counts as skipped.
func (s *stream) Seek(off int64, whence int) (int64, error) {
	if whence != io.SeekCurrent || off < 0 {
		return 0, errors.New("a layer can only be read forward")
	}
	told := s.pos - s.ahead
	if off == 0 {
		return told, nil
	}
	given := min(off, s.ahead)
	s.ahead -= given
	for skip := off - given; skip > 0; {
		if err := s.more(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		n := min(skip, int64(len(s.cur)))
		s.cur = s.cur[n:]
		s.pos += n
		skip -= n
	}
	return told + off, nil
}

// take returns up to n of the next bytes where they lie, valid until the next call, and
// has the tar reader skip them later. The caller stays within the current file.
func (s *stream) take(n int64) ([]byte, error) {
	if err := s.more(); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	b := s.cur[:min(n, int64(len(s.cur)))]
	s.cur = s.cur[len(b):]
	s.pos += int64(len(b))
	s.ahead += int64(len(b))
	return b, nil
}

// drain reads to the end of the layer, so that all of it is hashed.
func (s *stream) drain() error {
	for {
		s.cur = nil
		if err := s.more(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
