package images

import (
	"context"
	"errors"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/base"
	"github.com/dockreeve/dockreeve/store"
)

// Base names the image that a stored one is built on, as far as images seen here tell,
// with what a newer one would change. nil = not known. It marks the layers of c that
// are the base's.
func (s *Images) Base(ctx context.Context, c *scan.Catalog) (*scan.BaseImage, error) {
	known, err := s.opt.DB.Bases(ctx, &c.Image)
	if err != nil {
		return nil, err
	}
	b := base.Find(&c.Image, known)
	if b == nil {
		return c.Base, nil // what whoever scanned it knew
	}
	base.Mark(&c.Image, b)
	_, digest, ok := strings.Cut(b.Newer, "@")
	if !ok {
		return b, nil
	}
	r, err := s.Verdict(ctx, c.Image.Key())
	if err != nil {
		return b, ignoreGone(err)
	}
	newer, err := s.Verdict(ctx, digest)
	if err != nil {
		return b, ignoreGone(err)
	}
	r.Base = b
	b.Removes, b.Adds = base.Compare(r, newer)
	return b, nil
}

// ignoreGone: an image that is no longer kept only cannot be compared.
func ignoreGone(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
