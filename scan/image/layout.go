package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// files is what a layout is read from: a directory, or the index of a tar.
type files interface {
	document(name string) ([]byte, error)
	open(name string) (io.ReadCloser, int64, error)
}

func (ix *tarIndex) open(name string) (io.ReadCloser, int64, error) {
	e, err := ix.find(name)
	if err != nil {
		return nil, 0, err
	}
	return ix.section(e), e.size, nil
}

// dirFiles reads files below a directory and never one outside of it, whatever links
// the directory holds.
type dirFiles struct{ root *os.Root }

func (d dirFiles) open(name string) (io.ReadCloser, int64, error) {
	// Not to hang on a pipe that lies in the place of a blob.
	if st, err := d.root.Stat(filepath.FromSlash(name)); err != nil {
		return nil, 0, err
	} else if !st.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := d.root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, st.Size(), nil
}

func (d dirFiles) document(name string) ([]byte, error) {
	r, _, err := d.open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readDocument(r, name)
}

// layout is an OCI image layout.
type layout struct{ files files }

// root reads index.json, the list of what the layout holds.
func (l *layout) root(what string) (*document, error) {
	b, err := l.files.document("index.json")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return parseLayoutIndex(b, what+": index.json")
}

func parseLayoutIndex(b []byte, what string) (*document, error) {
	doc, err := parseDocument(b, what)
	if err != nil {
		return nil, err
	}
	if !doc.index() {
		return nil, fmt.Errorf("%s: not an index of manifests", what)
	}
	if len(doc.Manifests) > maxEntries {
		return nil, fmt.Errorf("%s: more than %d manifests", what, maxEntries)
	}
	return doc, nil
}

func blobName(digest string) string {
	return "blobs/sha256/" + strings.TrimPrefix(digest, "sha256:")
}

func (l *layout) document(_ context.Context, d descriptor) ([]byte, error) {
	if d.Size > MaxDocument {
		return nil, fmt.Errorf("larger than %d MiB: no image needs that; it was not read", MaxDocument>>20)
	}
	b, err := l.files.document(blobName(d.Digest))
	if err != nil {
		return nil, missing(err)
	}
	if got := digestOf(b); got != d.Digest {
		return nil, fmt.Errorf("content is %s: damaged or tampered with", got)
	}
	return b, nil
}

func (l *layout) blob(_ context.Context, d descriptor) (io.ReadCloser, error) {
	r, _, err := l.files.open(blobName(d.Digest))
	return r, missing(err)
}

func (l *layout) absent(d descriptor) error {
	r, size, err := l.files.open(blobName(d.Digest))
	if err != nil {
		return missing(err)
	}
	r.Close()
	if size < d.Size {
		return fmt.Errorf("blob %s has %d bytes, the manifest promises %d: %w", short(d.Digest), size, d.Size, io.ErrUnexpectedEOF)
	}
	return nil
}

func missing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrLayerMissing, err)
	}
	return err
}

// Annotations that name an image within a layout: OCI's, and containerd's.
const (
	annotationRef  = "org.opencontainers.image.ref.name"
	annotationName = "io.containerd.image.name"
)

func (d *descriptor) names() []string {
	var out []string
	for _, key := range []string{annotationName, annotationRef} {
		if v := d.Annotations[key]; v != "" && len(v) < 1024 && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// openLayout opens the images of a layout that selector names: a tag, a digest, or ""
// for all. Manifests without any name that differ in platform are one image.
func (s *source) openLayout(ctx context.Context, l *layout, selector string) ([]*Opened, error) {
	s.content = l
	doc, err := l.root(s.name)
	if err != nil {
		return nil, err
	}
	var groups [][]descriptor
	byName := map[string]int{}
	var names []string
	for _, d := range doc.Manifests {
		if attestation(d) {
			continue
		}
		n := d.names()
		names = append(names, n...)
		if selector != "" && d.Digest != selector && !slices.ContainsFunc(n, func(x string) bool { return x == selector || sameTag(x, selector) }) {
			continue
		}
		key := strings.Join(n, "\x00")
		if d.Platform == nil && len(n) == 0 {
			key = d.Digest
		}
		if i, ok := byName[key]; ok {
			groups[i] = append(groups[i], d)
			continue
		}
		if len(groups) >= maxImages {
			return nil, fmt.Errorf("%s: more than %d images; choose one: %s:TAG", s.name, maxImages, s.name)
		}
		byName[key] = len(groups)
		groups = append(groups, []descriptor{d})
	}
	switch {
	case len(groups) == 0 && selector != "":
		return nil, fmt.Errorf("%s: %w: no image is called %q; there is %s", s.name, ErrNotFound, clip(selector, 100), listing(names))
	case len(groups) == 0:
		return nil, fmt.Errorf("%s: %w: index.json lists none", s.name, ErrNotFound)
	}
	var out []*Opened
	for _, g := range groups {
		one := *s
		if len(groups) > 1 {
			if n := g[0].names(); len(n) > 0 {
				one.name += ":" + n[0]
			} else {
				one.name += "@" + g[0].Digest
			}
		}
		for _, n := range g[0].names() {
			one.tags = append(slices.Clip(one.tags), n)
			if one.repo == "" && strings.ContainsAny(n, "/:") {
				one.repo = repositoryOf(n)
			}
		}
		opened, err := one.openGroup(ctx, g)
		if err != nil {
			for _, o := range out {
				o.Close()
			}
			return nil, err
		}
		out = append(out, opened...)
	}
	return out, nil
}

// openGroup opens manifests that are one image for several platforms.
func (s *source) openGroup(ctx context.Context, g []descriptor) ([]*Opened, error) {
	if len(g) == 1 {
		return s.open(ctx, g[0])
	}
	// Written as if an index named them.
	raw, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": g})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	root := descriptor{Digest: digestOf(raw), Size: int64(len(raw))}
	s.content = &overlay{content: s.content, digest: root.Digest, raw: raw}
	out, err := s.open(ctx, root)
	for _, o := range out {
		o.Image.IndexDigest = "" // exists nowhere but here
	}
	return out, err
}

// overlay is content with one more document.
type overlay struct {
	content
	digest string
	raw    []byte
}

func (o *overlay) document(ctx context.Context, d descriptor) ([]byte, error) {
	if d.Digest == o.digest {
		return o.raw, nil
	}
	return o.content.document(ctx, d)
}
