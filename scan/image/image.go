// Package image opens container images wherever they are: in a registry, in a Docker
// or containerd store, in archives, in OCI layouts, on standard input; and root file
// systems and the running machine, which have no layers.
//
// It reads manifests and configurations at once and hands out layers as they are
// stored, in any order, without unpacking any of them to disk. It holds to bounds
// whatever a source says of itself, and one layer that cannot be read never hides the
// others. It does not decompress layers (scan/catalog does) and does not look inside
// SBOM files (scan/sbom does).
package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/scan"
)

// Bounds of what is read into memory and of what a source may be made of.
const (
	MaxDocument = 8 << 20 // bytes of one manifest, index or configuration
	MaxLayers   = 1024    // layers of one image
	maxHistory  = 8192    // steps of one image's history
	maxDepth    = 4       // indexes within indexes
	maxImages   = 256     // manifests looked at in one index, nested ones included
	maxEntries  = 200_000 // files of an archive
)

// Sentinels of what Open may return, for errors.Is.
var (
	// ErrSBOM: the file is a software bill of materials and no image. The error is a
	// *SBOMError, which carries the content.
	ErrSBOM = errors.New("a software bill of materials, not an image")
	// ErrUsage: what was asked for cannot be meant.
	ErrUsage = errors.New("wrong usage")
	// ErrPlatform: there is no image for the platform asked for.
	ErrPlatform = errors.New("no image for the platform")
	// ErrNotFound: the source answered, and does not have the image.
	ErrNotFound = errors.New("image not found")
	// ErrOffline: only a registry may have it, and none may be asked.
	ErrOffline = errors.New("no registry is asked while offline")
	// ErrLayerMissing: the source names a layer, or another blob, but does not hold it.
	ErrLayerMissing = errors.New("content is not there")
	// ErrNotImage: what the reference names is a chart, a signature or another
	// artifact that registries keep beside images.
	ErrNotImage = errors.New("not a container image")
)

// SBOMError says that a file is an SBOM. Content is at its first byte; whoever gets
// the error closes it.
type SBOMError struct {
	Name    string
	Content io.ReadCloser
}

func (e *SBOMError) Error() string        { return e.Name + ": " + ErrSBOM.Error() }
func (e *SBOMError) Is(target error) bool { return target == ErrSBOM }

// Options say how images are opened. The zero value opens the machine's platform with
// Docker's and Podman's credentials.
type Options struct {
	// Platform is os/arch or os/arch/variant; "all" is every runnable one; "" is
	// Linux on this machine's architecture, or the only one there is.
	Platform string
	// Redact takes the secrets out of a text before it enters scan.Image: an
	// environment entry NAME=value, a history step, a label key=value, an argument.
	// The values of names that look secret are hidden with or without it.
	Redact func(string) string

	Stdin    io.Reader // read for "-"; nil = os.Stdin
	TempDir  string    // for archives that must be spooled; "" = the system's
	MaxSpool int64     // bytes one spooled archive may take; 0 = 32 GiB

	DockerHost          string // unix:///path or tcp://host:port; "" = DOCKER_HOST, else /var/run/docker.sock
	ContainerdRoot      string // "" = /var/lib/containerd
	ContainerdNamespace string // "" = every namespace

	Registry Registry

	// Progress is told, from several goroutines, how many more stored bytes of layers
	// have been read; nil = nobody watches.
	Progress func(n int64)

	Getenv func(string) string // nil = os.Getenv
}

func (o *Options) getenv(name string) string {
	if o.Getenv != nil {
		return o.Getenv(name)
	}
	return os.Getenv(name)
}

// Opened is one image of one platform, or a root file system. Layer may be called
// from several goroutines.
type Opened struct {
	Image scan.Image
	// Root is the directory of a root file system or of the host ("/"), which has no
	// layers; "" for images.
	Root string
	// Unredacted is the configuration with its secrets, for looking for secrets in
	// it. It must never be stored, sent or printed.
	Unredacted scan.Config `json:"-"`
	// Gaps is what was seen missing while opening, layers excepted: who has seen the
	// same layer elsewhere lacks nothing when its content is not here. See Missing.
	Gaps []scan.Gap

	layers   []layer
	shared   *shared
	progress func(int64)
	diffIDs  []string // as the configuration has them, also of layers that are made anew
}

// layer is where one layer's bytes are.
type layer struct {
	size   int64  // stored bytes; -1 unknown
	digest string // of the stored bytes; "" = the source names none
	open   func(context.Context) (io.ReadCloser, error)
	err    error // known at opening: there is no content
	// rebuilt: the tar is made anew from an unpacked snapshot.
	rebuilt bool
}

// Layer opens the bytes of layer i as they are stored: a tar, plain or compressed
// with gzip or zstd (their first bytes tell). Reading to the end verifies the digest
// of compressed bytes where the source names one, and returns an error in place of
// io.EOF if it differs. Plain tars are not hashed here: their digest is the layer's
// DiffID, which whoever reads the tar computes anyway.
func (o *Opened) Layer(ctx context.Context, i int) (io.ReadCloser, error) {
	if i < 0 || i >= len(o.layers) {
		return nil, fmt.Errorf("layer %d: the image has %d", i, len(o.layers))
	}
	l := &o.layers[i]
	if l.err != nil {
		return nil, fmt.Errorf("layer %d: %w", i, l.err)
	}
	r, err := l.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("layer %d: %w", i, err)
	}
	what := fmt.Sprintf("layer %d (%s)", i, short(l.digest))
	if o.progress != nil {
		r = &watched{r, o.progress}
	}
	if l.digest == "" || l.digest == o.Image.Layers[i].DiffID {
		if l.size < 0 {
			return r, nil
		}
		return &sized{r: r, left: l.size, what: what}, nil
	}
	return verify(r, l.digest, l.size, what), nil
}

// Missing is why the content of layer i is known not to be there before anyone asks
// Layer for it, which then returns the same; nil = as far as is known it is there.
func (o *Opened) Missing(i int) error {
	if i < 0 || i >= len(o.layers) {
		return nil
	}
	return o.layers[i].err
}

// watched tells how much is read.
type watched struct {
	io.ReadCloser
	progress func(int64)
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.progress(int64(n))
	return n, err
}

// LayerSize is how many bytes Layer will give, for showing progress; -1 is unknown.
func (o *Opened) LayerSize(i int) int64 {
	if i < 0 || i >= len(o.layers) {
		return -1
	}
	return o.layers[i].size
}

// Rebuilt says of layer i that its tar is made anew from the files that a runtime
// unpacked, because it did not keep the layer: the same files, but other bytes, which
// do not hash to the layer's DiffID; scan.Layer.DiffID is therefore empty.
func (o *Opened) Rebuilt(i int) bool { return i >= 0 && i < len(o.layers) && o.layers[i].rebuilt }

// Close lets go of files and connections and removes what was spooled. Images opened
// together share them: the last Close does it.
func (o *Opened) Close() error {
	s := o.shared
	o.shared = nil
	return s.release()
}

// shared is a resource that several Opened use.
type shared struct {
	mu    sync.Mutex
	users int
	close func() error
}

func (s *shared) take() *shared {
	if s != nil {
		s.mu.Lock()
		s.users++
		s.mu.Unlock()
	}
	return s
}

func (s *shared) release() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
	if s.users > 0 || s.close == nil {
		return nil
	}
	c := s.close
	s.close = nil
	return c()
}

// wait is the default of Registry.Wait.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func short(digest string) string {
	if len(digest) > len("sha256:")+12 {
		return digest[:len("sha256:")+12]
	}
	if digest == "" {
		return "no digest"
	}
	return digest
}
