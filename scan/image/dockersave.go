package image

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// saved is one image of a docker save archive, an entry of its manifest.json.
type saved struct {
	Config   string   `json:"Config"`
	RepoTags []string `json:"RepoTags"`
	Layers   []string `json:"Layers"`
}

func parseSaved(b []byte, what string) ([]saved, error) {
	var list []saved
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("%s: manifest.json: not the list that docker save writes: %w", what, err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: manifest.json names no image", what)
	}
	if len(list) > maxImages {
		return nil, fmt.Errorf("%s: manifest.json names %d images; at most %d are read", what, len(list), maxImages)
	}
	for i := range list {
		if len(list[i].Layers) > MaxLayers {
			return nil, fmt.Errorf("%s: image %d has %d layers; at most %d are read", what, i, len(list[i].Layers), MaxLayers)
		}
	}
	return list, nil
}

// openSaved opens the images of a docker save archive that selector (a tag, or ""
// for all) names.
func (s *source) openSaved(ctx context.Context, ix *tarIndex, selector string) ([]*Opened, error) {
	b, err := ix.document("manifest.json")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	list, err := parseSaved(b, s.name)
	if err != nil {
		return nil, err
	}
	var chosen []saved
	var tags []string
	for _, m := range list {
		tags = append(tags, m.RepoTags...)
		if selector == "" || slices.ContainsFunc(m.RepoTags, func(t string) bool { return sameTag(t, selector) }) {
			chosen = append(chosen, m)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("%s: %w: no image is tagged %q; there is %s", s.name, ErrNotFound, clip(selector, 100), listing(tags))
	}
	var out []*Opened
	var have []platform
	for _, m := range chosen {
		o, p, err := s.openOneSaved(ctx, ix, m)
		if err != nil {
			for _, o := range out {
				o.Close()
			}
			return nil, err
		}
		have = append(have, p)
		if s.want.explicit && p.runnable() && !p.matches(s.want.platform) {
			o.Close()
			continue
		}
		if len(chosen) > 1 {
			if len(m.RepoTags) > 0 {
				o.Image.Name = s.name + ":" + m.RepoTags[0]
			} else {
				o.Image.Name = s.name + "@" + o.Image.ConfigDigest
			}
		}
		out = append(out, o)
	}
	if len(out) == 0 {
		return nil, noPlatform(s.name, s.want, have)
	}
	return out, nil
}

func (s *source) openOneSaved(ctx context.Context, ix *tarIndex, m saved) (*Opened, platform, error) {
	b, err := ix.document(m.Config)
	if err != nil {
		return nil, platform{}, fmt.Errorf("%s: configuration: %w", s.name, err)
	}
	cfg, err := parseConfig(b, fmt.Sprintf("%s: configuration %s", s.name, clip(m.Config, 80)))
	if err != nil {
		return nil, platform{}, err
	}
	o := &Opened{}
	o.Image = scan.Image{Kind: s.kind, Name: s.name, Repository: s.repo, ConfigDigest: digestOf(b)}
	if want, ok := digestName(m.Config); ok && want != o.Image.ConfigDigest {
		return nil, platform{}, fmt.Errorf("%s: the configuration %s has the digest %s: damaged or tampered with", s.name, clip(m.Config, 80), o.Image.ConfigDigest)
	}
	o.Image.Tags = append(slices.Clone(s.tags), m.RepoTags...)
	if len(o.Image.Tags) > 0 && s.repo == "" {
		o.Image.Repository = repositoryOf(o.Image.Tags[0])
	}
	o.layers = make([]layer, len(m.Layers))
	o.Image.Layers = make([]scan.Layer, len(m.Layers))
	original := s.original(ctx, ix, o.Image.ConfigDigest, len(m.Layers))
	for i, name := range m.Layers {
		e, err := ix.find(name)
		l := layer{size: -1, err: err}
		if err == nil {
			l.size = e.size
			l.open = func(context.Context) (io.ReadCloser, error) { return ix.section(e), nil }
			compressed := isCompressed(ix.section(e))
			if d, ok := digestName(name); ok && strings.Contains(name, "blobs/") {
				l.digest = d
			}
			if compressed {
				o.Image.Layers[i].Size = e.size
				o.Image.Layers[i].Digest = l.digest
			}
		}
		o.layers[i] = l
	}
	if original != nil {
		// The archive keeps the layers as they were pulled, so the manifest beside
		// them is the one that registries and pods know.
		o.Image.Digest, o.Image.IndexDigest = original.desc.Digest, original.index
		for i, d := range original.doc.Layers {
			o.Image.Layers[i].Digest, o.Image.Layers[i].Size = d.Digest, d.Size
		}
	}
	counted := map[string]bool{}
	for i, l := range o.Image.Layers {
		if !counted[m.Layers[i]] {
			counted[m.Layers[i]] = true
			o.Image.Size += l.Size
		}
	}
	if ix.damaged != nil {
		o.Gaps = append(o.Gaps, scan.Gap{What: "archive", Reason: ix.damaged.Error(), Remedy: "write or copy the archive again"})
	}
	o.describe(cfg, s.opt)
	o.shared = s.shared.take()
	return o, cfg.platform(), nil
}

// original looks for a manifest with compressed layers and this configuration in the
// OCI half that newer archives have too. nil: there is none; docker save of the old
// store writes one anew over uncompressed layers, which no registry has ever seen.
func (s *source) original(ctx context.Context, ix *tarIndex, config string, layers int) *found {
	if !ix.has("index.json") {
		return nil
	}
	lay := &layout{files: ix}
	root, err := lay.root(s.name)
	if err != nil {
		return nil
	}
	all := *s
	all.content, all.want = lay, wanted{all: true}
	w := &walk{source: &all, onPath: map[string]bool{}, seen: map[string]bool{}}
	for _, d := range root.Manifests {
		if w.visit(ctx, d, "", 0) != nil {
			continue
		}
	}
	for i := range w.found {
		f := &w.found[i]
		if f.doc == nil || f.doc.Config.Digest != config || len(f.doc.Layers) != layers {
			continue
		}
		plain := func(d descriptor) bool { return slices.Contains(f.cfg.RootFS.DiffIDs, d.Digest) }
		if layers == 0 || slices.ContainsFunc(f.doc.Layers, plain) {
			return nil
		}
		return f
	}
	return nil
}

// digestName is the digest that a file of an archive is named after.
func digestName(name string) (string, bool) {
	d := "sha256:" + strings.TrimPrefix(strings.TrimSuffix(path.Base(name), ".json"), "sha256:")
	return d, validDigest(d) == nil
}

// isCompressed looks at the first bytes.
func isCompressed(r io.Reader) bool {
	var b [4]byte
	n, _ := io.ReadFull(r, b[:])
	return compression(b[:n]) != ""
}

// sameTag compares a tag of an archive with one a person wrote.
func sameTag(tag, asked string) bool {
	norm := func(s string) string {
		s = strings.TrimPrefix(strings.TrimPrefix(s, "docker.io/"), "library/")
		if i := strings.LastIndexByte(s, '/'); !strings.Contains(s[i+1:], ":") {
			s += ":latest"
		}
		return s
	}
	return tag == asked || norm(tag) == norm(asked)
}

// repositoryOf cuts tag and digest off.
func repositoryOf(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		ref = ref[:i]
	}
	return ref
}

func listing(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	if len(names) > 20 {
		names = append(slices.Clone(names[:20]), "…")
	}
	return clip(strings.Join(names, ", "), 2000)
}
