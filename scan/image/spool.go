package image

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxSpool is the default of Options.MaxSpool.
const maxSpool = 32 << 30

// keepFree is what spooling leaves of the disk for others.
const keepFree = 256 << 20

// compression tells from the first bytes: gzip, zstd, or "".
func compression(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return "gzip"
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return "zstd"
	}
	return ""
}

// spool copies r, decompressed if need be, into a temporary file that has no name any
// more, so that it goes away with the process whatever happens. What is larger than
// Options.MaxSpool or would fill the disk is an error.
func (o *Options) spool(ctx context.Context, r io.Reader, what string) (*os.File, int64, error) {
	in := bufio.NewReaderSize(r, 1<<16)
	head, err := in.Peek(4)
	if err != nil && len(head) == 0 {
		if err == io.EOF {
			return nil, 0, fmt.Errorf("%s: empty: nothing was written to it", what)
		}
		return nil, 0, fmt.Errorf("%s: %w", what, err)
	}
	var plain io.Reader = in
	switch compression(head) {
	case "gzip":
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: gzip: %w", what, err)
		}
		plain = z
	case "zstd":
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, 0, fmt.Errorf("%s: zstd: %w", what, err)
		}
		defer z.Close()
		plain = z
	}
	limit := o.MaxSpool
	if limit <= 0 {
		limit = maxSpool
	}
	f, err := os.CreateTemp(o.TempDir, "dockreeve-image-*")
	if err != nil {
		return nil, 0, fmt.Errorf("%s: temporary file: %w", what, err)
	}
	os.Remove(f.Name())
	n, err := o.fillSpool(ctx, f, plain, limit)
	if err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("%s: %w", what, err)
	}
	return f, n, nil
}

func (o *Options) fillSpool(ctx context.Context, f *os.File, r io.Reader, limit int64) (int64, error) {
	const step = 16 << 20 // between looks at the disk
	buf := make([]byte, 1<<18)
	var n, looked int64 = 0, -step
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		if n-looked >= step {
			looked = n
			if free, ok := freeSpace(f); ok && free < keepFree {
				return n, fmt.Errorf("after %d MiB the disk of %s has only %d MiB left: make room or choose another directory with TMPDIR", n>>20, f.Name(), free>>20)
			}
		}
		got, err := r.Read(buf)
		if n += int64(got); n > limit {
			return n, fmt.Errorf("larger than the %d MiB that one archive may take in temporary space", limit>>20)
		}
		if _, werr := f.Write(buf[:got]); werr != nil {
			return n, fmt.Errorf("temporary file %s: %w", f.Name(), werr)
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("after %d bytes: %w", n, err)
		}
	}
}
