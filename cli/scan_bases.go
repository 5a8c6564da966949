package cli

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/base"
)

// Bounds of what is remembered of images scanned on this machine.
const (
	maxRemembered  = 500
	maxSeenCatalog = 64 << 20 // bytes of one catalogue, unpacked
)

// scanned remembers images scanned on this machine, so that the base of another one can be
// named and held against a newer one. It is a cache: what cannot be read is not there.
// Safe for concurrent use.
type scanned struct {
	dir string // "" = remembers nothing

	mu    sync.Mutex
	known []base.Known
}

func openSeen(dir string) *scanned {
	s := &scanned{dir: dir}
	if dir == "" {
		return s
	}
	b, err := os.ReadFile(s.index())
	if err != nil || json.Unmarshal(b, &s.known) != nil || len(s.known) > maxRemembered {
		s.known = nil
	}
	return s
}

func (s *scanned) index() string { return filepath.Join(s.dir, "index.json") }

func (s *scanned) file(digest string) string {
	return filepath.Join(s.dir, strings.ReplaceAll(digest, ":", "-")+".json.gz")
}

// add remembers an image, the newest last; the oldest beyond the bound are forgotten.
func (s *scanned) add(c *scan.Catalog) error {
	key := c.Image.Key()
	if s.dir == "" || key == "" || len(c.Image.Layers) == 0 {
		return nil
	}
	k := base.Known{Name: c.Image.Name, Digest: key, Created: c.Image.Created}
	if len(c.Image.Tags) > 0 {
		k.Name = c.Image.Tags[0]
	}
	for _, l := range c.Image.Layers {
		k.DiffIDs = append(k.DiffIDs, l.DiffID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = slices.DeleteFunc(s.known, func(o base.Known) bool { return o.Digest == key })
	s.known = append(s.known, k)
	for len(s.known) > maxRemembered {
		if err := os.Remove(s.file(s.known[0].Digest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		s.known = s.known[1:]
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	// Only what is matched: secrets and settings stay with the image.
	keep := scan.Catalog{Image: scan.Image{Kind: c.Image.Kind, Name: k.Name, Digest: c.Image.Digest, ConfigDigest: c.Image.ConfigDigest, Layers: c.Image.Layers}, Distro: c.Distro, Packages: slices.Clone(c.Packages)}
	for i := range keep.Packages {
		keep.Packages[i].Files, keep.Packages[i].Dirs, keep.Packages[i].Licenses = nil, nil, nil
	}
	err := writeFile(s.file(key), func(w io.Writer) error {
		z := gzip.NewWriter(w)
		if err := json.NewEncoder(z).Encode(&keep); err != nil {
			return err
		}
		return z.Close()
	})
	if err != nil {
		return err
	}
	return writeFile(s.index(), func(w io.Writer) error { return json.NewEncoder(w).Encode(s.known) })
}

// catalog is what an image held when it was scanned.
func (s *scanned) catalog(digest string) (*scan.Catalog, error) {
	f, err := os.Open(s.file(digest))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(z, maxSeenCatalog+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxSeenCatalog {
		return nil, fmt.Errorf("over %d MiB", maxSeenCatalog>>20)
	}
	c := &scan.Catalog{}
	return c, json.Unmarshal(b, c)
}

// compare fills in what a newer base would change, where one was scanned here.
func (s *scanned) compare(r *scan.Report, report func(*scan.Catalog) (*scan.Report, error)) {
	if r.Base == nil || r.Base.Newer == "" {
		return
	}
	_, digest, _ := strings.Cut(r.Base.Newer, "@")
	c, err := s.catalog(digest)
	if err != nil {
		return // named all the same; only the comparison is missing
	}
	newer, err := report(c)
	if err != nil {
		return
	}
	r.Base.Removes, r.Base.Adds = base.Compare(r, newer)
}
