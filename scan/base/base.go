// Package base names the image that another one is built on, from layers seen before,
// and says what a newer one would take away. It owns no memory of images: whoever has
// seen some (the server's store, the command line's cache) gives them as Known. It does
// no I/O and reads no clock.
package base

import (
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// Known is an image seen before.
type Known struct {
	Name    string   `json:"name"` // repository:tag
	Digest  string   `json:"digest,omitempty"`
	DiffIDs []string `json:"diffIDs"` // all its layers, lowest first
	Created int64    `json:"created,omitempty"`
}

// Labels in which a builder may name the base image (OCI image annotations).
const (
	labelName   = "org.opencontainers.image.base.name"
	labelDigest = "org.opencontainers.image.base.digest"
)

// Find names the base of an image: the known image with the most layers whose layers
// are the lowest ones of img, all of them and not all of img's. Where none is known
// the image's own labels are taken at their word and Layers is 0, which says that
// nothing was compared. nil = not known.
func Find(img *scan.Image, known []Known) *scan.BaseImage {
	var best *Known
	for i := range known {
		k := &known[i]
		if k.Digest != "" && k.Digest == img.Digest || len(k.DiffIDs) == 0 || len(k.DiffIDs) >= len(img.Layers) {
			continue
		}
		if best != nil && !better(k, best) {
			continue
		}
		if isPrefix(k.DiffIDs, img.Layers) {
			best = k
		}
	}
	if best == nil {
		name := img.Config.Labels[labelName]
		if name == "" {
			return nil
		}
		return &scan.BaseImage{Name: name, Digest: img.Config.Labels[labelDigest]}
	}
	b := &scan.BaseImage{Name: best.Name, Digest: best.Digest, Layers: len(best.DiffIDs)}
	if newer := Newer(best, known); newer != nil {
		b.Newer = newer.Name
		if newer.Digest != "" {
			b.Newer += "@" + newer.Digest
		}
	}
	return b
}

// better prefers more layers, then the younger image, then the name, so that the
// order of known does not matter.
func better(a, b *Known) bool {
	if len(a.DiffIDs) != len(b.DiffIDs) {
		return len(a.DiffIDs) > len(b.DiffIDs)
	}
	if a.Created != b.Created {
		return a.Created > b.Created
	}
	return a.Name < b.Name
}

func isPrefix(diffIDs []string, layers []scan.Layer) bool {
	for i, d := range diffIDs {
		if d == "" || d != layers[i].DiffID {
			return false
		}
	}
	return true
}

// Newer is the youngest known image of the same repository and track that is younger
// than base; nil = none is known. A track is the tag with its digits dropped, so that
// 12-slim follows 12-slim and 12.5-slim but never 12-alpine.
func Newer(base *Known, known []Known) *Known {
	repo, tag := split(base.Name)
	var best *Known
	for i := range known {
		k := &known[i]
		r, t := split(k.Name)
		if r != repo || track(t) != track(tag) || major(t) != major(tag) || k.Created <= base.Created || slices.Equal(k.DiffIDs, base.DiffIDs) {
			continue
		}
		if best == nil || k.Created > best.Created || k.Created == best.Created && k.Name < best.Name {
			best = k
		}
	}
	return best
}

// Repository is the part of a name before its tag.
func Repository(name string) string {
	repo, _ := split(name)
	return repo
}

func split(name string) (repo, tag string) {
	name, _, _ = strings.Cut(name, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i], name[i+1:]
	}
	return name, "latest"
}

// track is what a tag says beside its numbers: "12.5-slim" → "-slim".
func track(tag string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '.' {
			return -1
		}
		return r
	}, tag), "v")
}

// major is the first number of a tag: a newer base never means another release.
func major(tag string) string {
	tag = strings.TrimPrefix(tag, "v")
	end := strings.IndexFunc(tag, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(tag)
	}
	return tag[:end]
}

// Mark marks the layers of img that belong to its base.
func Mark(img *scan.Image, b *scan.BaseImage) {
	for i := range img.Layers {
		img.Layers[i].Base = b != nil && i < b.Layers
	}
}

// Compare counts what a newer base would change: vulnerabilities that r has in layers
// of its base and newer has not, and the other way round.
func Compare(r, newer *scan.Report) (removes, adds int) {
	if r.Base == nil {
		return 0, 0
	}
	have := ids(r, r.Base.Layers)
	want := ids(newer, len(newer.Image.Layers))
	for k := range have {
		if !want[k] {
			removes++
		}
	}
	for k := range want {
		if !have[k] {
			adds++
		}
	}
	return removes, adds
}

type key struct {
	id, name string
	t        scan.Type
}

func ids(r *scan.Report, layers int) map[key]bool {
	m := map[key]bool{}
	for i := range r.Vulnerabilities {
		v := &r.Vulnerabilities[i]
		if p := &r.Packages[v.Package]; p.Layer >= 0 && p.Layer < layers {
			m[key{v.ID, p.Name, p.Type}] = true
		}
	}
	return m
}
