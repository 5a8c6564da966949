// Package catalog reads what a container image holds: its packages, distribution, and
// the facts other rooms judge, in one streaming pass over each layer.
//
//	layer bytes ─▶ decompress, hash ─▶ tar walk ─▶ wanted files ─▶ record ─▶ merge ─▶ scan.Catalog
//
// A layer is decompressed and hashed once; only files that a parser wants are looked
// at, the rest is skipped where it lies. What a layer yields is a record that depends
// on its bytes alone, so it is cached by the digest of the uncompressed layer, and an
// image whose layers are all known is not read at all. The records are then applied
// lowest first: whiteouts, overwrites, hard and symbolic links.
//
// Everything here comes from strangers. Sizes, counts, depths and ratios are bounded
// (see Limits); what a bound or a fault cut off is a scan.Gap with its reason, the rest
// of the image is reported all the same. Nothing from an image is ever executed or
// unpacked, except single files into an unnamed temporary file where a parser needs
// random access to more than fits into memory.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/image"
	"github.com/dockreeve/dockreeve/scan/malware"
	"github.com/dockreeve/dockreeve/scan/secret"
)

// Version changes whenever the same bytes would give another record; cached records of
// other versions are misses.
const Version = 2

// Options of a read. The zero value reads packages, without a cache.
type Options struct {
	// Cache is a directory for records of layers; "" = none. Processes may share it.
	Cache string
	// CacheBytes bounds the directory; the least recently used records go first. 0 = 1 GiB.
	CacheBytes int64
	// LockFiles also reports what lock files speak of, with Package.Dev set: such
	// packages are named, not installed.
	LockFiles bool
	// Secrets also looks for credentials in files, those of deleted files too.
	Secrets bool
	// Config also judges what files say of how the image was built: modes, caches,
	// settings. See scan/config.
	Config bool
	// Malware also compares files with lists of hashes, and knows the EICAR test file;
	// nil = none. Records made with lists that hold anything are not cached.
	Malware *malware.Lists
	// Parallel is how many layers are read at once, each by two goroutines. 0 = half
	// the processors, at least one, at most four.
	Parallel int
	// Limits are the bounds against hostile images; zero fields mean the defaults.
	Limits Limits
	// Temp is the directory for files too big for memory; "" = os.TempDir().
	Temp string
	// Now is the clock, in Unix nanoseconds; nil = the system's. It sets Catalog.ScannedAt
	// and the age of cached records.
	Now func() int64
}

// Limits bound what an image may make the reader do. Zero fields mean the defaults.
type Limits struct {
	LayerBytes int64 // uncompressed bytes of one layer; 0 = 32 GiB
	LayerRatio int64 // uncompressed over compressed, judged beyond 4 GiB; 0 = 200
	Entries    int   // tar entries of one layer, or files of a tree; 0 = 4,000,000
	FileBytes  int64 // a text file that is parsed; 0 = 64 MiB
	SpillBytes int64 // a jar, database or program that is parsed; 0 = 1 GiB
	Files      int   // parsed files kept per layer; 0 = 400,000
	Packages   int   // packages per layer; 0 = 500,000
	// ImagePackages bounds the packages of all layers, those that upper layers replace
	// too; 0 = 1,000,000.
	ImagePackages int
	Links         int   // symbolic and hard links kept per layer; 0 = 500,000
	Window        int64 // zstd window; 0 = 128 MiB, what zstd --ultra needs
	NestedBytes   int64 // all archives nested in one jar, unpacked; 0 = 1 GiB
}

func (l Limits) orDefault() Limits {
	set := func(p *int64, d int64) {
		if *p <= 0 {
			*p = d
		}
	}
	setInt := func(p *int, d int) {
		if *p <= 0 {
			*p = d
		}
	}
	set(&l.LayerBytes, 32<<30)
	set(&l.LayerRatio, 200)
	setInt(&l.Entries, 4_000_000)
	set(&l.FileBytes, 64<<20)
	set(&l.SpillBytes, 1<<30)
	setInt(&l.Files, 400_000)
	setInt(&l.Packages, 500_000)
	setInt(&l.ImagePackages, 1_000_000)
	setInt(&l.Links, 500_000)
	set(&l.Window, 128<<20)
	set(&l.NestedBytes, 1<<30)
	return l
}

func (o Options) orDefault() Options {
	o.Limits = o.Limits.orDefault()
	if o.CacheBytes <= 0 {
		o.CacheBytes = 1 << 30
	}
	if o.Parallel <= 0 {
		o.Parallel = min(4, max(1, runtime.GOMAXPROCS(0)/2))
	}
	if o.Now == nil {
		o.Now = func() int64 { return time.Now().UnixNano() }
	}
	return o
}

// detector is made once for all layers: it holds tables.
func (o *Options) detector() *secret.Detector {
	if !o.Secrets {
		return nil
	}
	return secret.New()
}

// Layers gives the bytes of an image's layers as they are stored: gzip, zstd or plain
// tar, lowest layer 0. *image.Opened is one. Layer is called from several goroutines,
// and a second time for a layer with a program that cannot be read while it streams by.
type Layers interface {
	Layer(ctx context.Context, i int) (io.ReadCloser, error)
}

// Read catalogues an opened image or root file system, with the secrets of its
// configuration where they are asked for. See ReadLayers and ReadRoot.
func Read(ctx context.Context, o *image.Opened, opt Options) (*scan.Catalog, error) {
	var c *scan.Catalog
	var err error
	if o.Root != "" {
		c, err = ReadRoot(ctx, o.Image, o.Root, opt)
	} else {
		c, err = ReadLayers(ctx, o.Image, o, opt)
	}
	if err != nil {
		return nil, err
	}
	c.NotAssessed = append(c.NotAssessed, o.Gaps...)
	if opt.Secrets {
		c.Secrets = append(c.Secrets, secret.New().FindConfig(o.Unredacted)...)
	}
	return c, nil
}

// ReadLayers catalogues an image from its layers. The image's layers must be listed;
// a layer without a DiffID is read but not verified. Faults of single layers and files
// are gaps of the catalogue; an error is returned only where ctx ended.
func ReadLayers(ctx context.Context, img scan.Image, layers Layers, opt Options) (*scan.Catalog, error) {
	opt = opt.orDefault()
	store := newCache(opt)
	secrets := opt.detector()
	img.Layers = append([]scan.Layer(nil), img.Layers...)
	records := make([]*record, len(img.Layers))

	// One slot per layer that may be read at once; a failed layer does not stop the others.
	slots := make(chan struct{}, opt.Parallel)
	var wg sync.WaitGroup
	var total atomic.Int64
	for i := range img.Layers {
		if r := store.get(img.Layers[i].DiffID); r != nil {
			records[i] = r
			total.Add(int64(r.packages()))
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			records[i] = readLayer(ctx, layers, i, &img.Layers[i], opt, secrets, store, &total)
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("catalogue of %s: %w", img.Name, err)
	}
	c := merge(img, records, opt)
	return c, nil
}

// readLayer reads one layer and puts it into the cache where it is whole and what the
// configuration says it is. It always returns a record.
func readLayer(ctx context.Context, layers Layers, i int, l *scan.Layer, opt Options, secrets *secret.Detector, store *cache, total *atomic.Int64) *record {
	name := fmt.Sprintf("layer %d", i)
	fail := func(r *record, reason, remedy string) *record {
		if r == nil {
			r = &record{}
		}
		l.NotAssessed = reason
		r.Gaps = append(r.Gaps, scan.Gap{What: name, Reason: reason, Remedy: remedy, Unread: true})
		return r
	}
	w := newWalker(opt, secrets)
	w.total = total
	open := func() (io.ReadCloser, error) { return layers.Layer(ctx, i) }
	diffID, err := w.layer(ctx, open)
	r := w.finish()
	switch {
	case err != nil:
		var bound *boundError
		if errors.As(err, &bound) {
			return fail(r, err.Error(), "raise the limit if the image is trusted")
		}
		return fail(r, err.Error(), "pull the image again; if it stays, build it again")
	case l.DiffID != "" && l.DiffID != diffID:
		return fail(r, fmt.Sprintf("its content hashes to %s, the image configuration says %s", diffID, l.DiffID),
			"pull the image again; if it stays, somebody changed it or its configuration")
	}
	l.DiffID = diffID
	if !w.passing {
		store.put(diffID, r)
	}
	return r
}

// boundError is a limit reached: the image asks for more than Limits grants.
type boundError struct{ what string }

func (e *boundError) Error() string { return e.what }

func bound(format string, args ...any) error { return &boundError{fmt.Sprintf(format, args...)} }
