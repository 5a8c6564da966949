package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// content is where the documents and layers of an image are kept by digest: a
// registry, an OCI layout, containerd's store.
type content interface {
	// document reads and verifies a manifest or an index.
	document(ctx context.Context, d descriptor) ([]byte, error)
	// blob opens a configuration or a layer; the reader need not verify.
	blob(ctx context.Context, d descriptor) (io.ReadCloser, error)
	// absent says why a layer's content is known not to be there; nil: try it.
	absent(d descriptor) error
}

// source is what all images opened at once have in common.
type source struct {
	content content
	kind    scan.Kind
	name    string // as asked for
	repo    string
	tags    []string
	opt     *Options
	want    wanted
	shared  *shared
	foreign bool // fetch foreign layers
	// rescue finds a layer elsewhere when its content is absent; nil = nowhere.
	rescue func(cfg *configFile, i int) *layer
}

// walk is the state of choosing images within nested indexes.
type walk struct {
	*source
	onPath map[string]bool // indexes being walked: a cycle is a digest met again
	seen   map[string]bool // manifests taken
	count  int
	have   []platform
	found  []found
	errs   []error
}

// found is one image that may be chosen.
type found struct {
	desc  descriptor
	index string // digest of the outermost index
	doc   *document
	raw   int // bytes of the manifest
	cfg   *configFile
	plat  platform
}

// open chooses the images that root leads to and fills each in.
func (s *source) open(ctx context.Context, root descriptor) ([]*Opened, error) {
	w := &walk{source: s, onPath: map[string]bool{}, seen: map[string]bool{}}
	if err := w.visit(ctx, root, "", 0); err != nil {
		return nil, err
	}
	chosen, err := w.choose()
	if err != nil {
		return nil, err
	}
	var out []*Opened
	for i := range chosen {
		o, err := s.fill(ctx, &chosen[i])
		if err != nil {
			if !s.want.all {
				return nil, err
			}
			w.errs = append(w.errs, err)
			continue
		}
		out = append(out, o)
	}
	if len(out) == 0 {
		return nil, errors.Join(w.errs...)
	}
	for _, err := range w.errs {
		// One platform that cannot be read does not hide the others, nor itself.
		out[0].Gaps = append(out[0].Gaps, scan.Gap{What: "another platform of " + s.name, Reason: err.Error()})
	}
	return out, nil
}

func (w *walk) visit(ctx context.Context, d descriptor, index string, depth int) error {
	what := fmt.Sprintf("%s: manifest %s", w.name, short(d.Digest))
	if depth > maxDepth {
		return fmt.Errorf("%s: more than %d indexes within each other", what, maxDepth)
	}
	if w.onPath[d.Digest] {
		return fmt.Errorf("%s: the index leads back to itself", what)
	}
	if w.count++; w.count > maxImages {
		return fmt.Errorf("%s: more than %d manifests in one index", w.name, maxImages)
	}
	raw, err := w.content.document(ctx, d)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	doc, err := parseDocument(raw, what)
	if err != nil {
		return err
	}
	if !doc.index() {
		return w.manifest(ctx, d, index, doc, len(raw), what)
	}
	if index == "" {
		index = d.Digest
	}
	w.onPath[d.Digest] = true
	defer delete(w.onPath, d.Digest)
	for _, m := range doc.Manifests {
		if attestation(m) {
			continue
		}
		if m.Platform != nil && m.Platform.runnable() {
			w.have = append(w.have, *m.Platform)
			if w.want.explicit && !m.Platform.matches(w.want.platform) {
				continue // its manifest need not be fetched
			}
			if !w.want.all && !w.want.explicit && !m.Platform.matches(w.want.platform) {
				// Fetched only when it turns out to be the only one: see choose.
				w.found = append(w.found, found{desc: m, index: index, plat: *m.Platform})
				continue
			}
		} else if m.Platform != nil && (m.Platform.OS == "unknown" || m.Platform.Architecture == "unknown") {
			continue
		}
		if err := w.visit(ctx, m, index, depth+1); err != nil {
			if w.errs = append(w.errs, err); ctx.Err() != nil || len(w.errs) > 20 {
				return errors.Join(w.errs...)
			}
		}
	}
	return nil
}

func attestation(d descriptor) bool {
	return d.Annotations["vnd.docker.reference.type"] == "attestation-manifest"
}

// manifest takes an image manifest into the choice.
func (w *walk) manifest(ctx context.Context, d descriptor, index string, doc *document, raw int, what string) error {
	if w.seen[d.Digest] {
		return nil
	}
	w.seen[d.Digest] = true
	if err := doc.notImage(what); err != nil {
		if index != "" {
			return nil // signatures and the like beside the images
		}
		return err
	}
	f := found{desc: d, index: index, doc: doc, raw: raw}
	if err := w.config(ctx, &f); err != nil {
		return err
	}
	w.have = append(w.have, f.plat)
	w.found = append(w.found, f)
	return nil
}

// config reads a found image's configuration, which knows its platform best.
func (w *walk) config(ctx context.Context, f *found) error {
	what := fmt.Sprintf("%s: configuration %s", w.name, short(f.doc.Config.Digest))
	if f.doc.Config.Size > MaxDocument {
		return fmt.Errorf("%s: larger than %d MiB: no image needs that; it was not read", what, MaxDocument>>20)
	}
	r, err := w.content.blob(ctx, *f.doc.Config)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer r.Close()
	b, err := readDocument(verify(r, f.doc.Config.Digest, f.doc.Config.Size, what), what)
	if err != nil {
		return err
	}
	if f.cfg, err = parseConfig(b, what); err != nil {
		return err
	}
	f.plat = f.cfg.platform()
	if f.desc.Platform != nil && f.desc.Platform.runnable() {
		f.plat = *f.desc.Platform
	}
	return nil
}

// choose picks what was asked for among what was found.
func (w *walk) choose() ([]found, error) {
	var match []found
	runnable := w.found[:0:0]
	for _, f := range w.found {
		if f.plat.OS == "unknown" || f.plat.Architecture == "unknown" {
			continue
		}
		runnable = append(runnable, f)
		if w.want.all || f.plat.matches(w.want.platform) {
			match = append(match, f)
		}
	}
	switch {
	case len(match) > 0 && w.want.all:
		return match, nil
	case len(match) > 0:
		// Several variants match arm without one: the highest is what a machine of
		// today would take. Equal ones: the first, as other tools do.
		slices.SortStableFunc(match, func(a, b found) int { return strings.Compare(b.plat.Variant, a.plat.Variant) })
		return match[:1], nil
	case len(w.errs) > 0:
		return nil, errors.Join(w.errs...)
	case len(runnable) == 1 && !w.want.explicit:
		// The only one there is: a scan runs nothing, so it need not fit the machine.
		return runnable, nil
	}
	return nil, noPlatform(w.name, w.want, w.have)
}

// fill turns a chosen manifest into an Opened.
func (s *source) fill(ctx context.Context, f *found) (*Opened, error) {
	if f.doc == nil {
		w := &walk{source: s, onPath: map[string]bool{}, seen: map[string]bool{}}
		if err := w.visit(ctx, f.desc, f.index, 1); err != nil {
			return nil, err
		}
		if len(w.found) == 0 || w.found[0].doc == nil {
			return nil, noPlatform(s.name, s.want, w.have)
		}
		*f = w.found[0]
	}
	o := &Opened{shared: s.shared.take()}
	o.Image = scan.Image{Kind: s.kind, Name: s.name, Repository: s.repo, Tags: s.tags,
		Digest: f.desc.Digest, IndexDigest: f.index, ConfigDigest: f.doc.Config.Digest, Platform: f.plat.String()}
	o.layers = make([]layer, len(f.doc.Layers))
	o.Image.Layers = make([]scan.Layer, len(f.doc.Layers))
	counted := map[string]bool{}
	for i, d := range f.doc.Layers {
		o.Image.Layers[i] = scan.Layer{Digest: d.Digest, Size: d.Size}
		o.layers[i] = layer{size: d.Size, digest: d.Digest, open: func(ctx context.Context) (io.ReadCloser, error) {
			return s.content.blob(ctx, d)
		}}
		if !counted[d.Digest] {
			counted[d.Digest] = true
			o.Image.Size += d.Size
		}
		switch err := s.content.absent(d); {
		case err != nil:
			if s.rescue != nil {
				if l := s.rescue(f.cfg, i); l != nil {
					o.layers[i] = *l
					continue
				}
			}
			o.layers[i].err = err
		case strings.HasSuffix(d.MediaType, "+encrypted"):
			o.layers[i].err = errors.New("encrypted: it can be read only with a key, by the runtime that runs it")
		case !s.foreign && len(d.URLs) > 0 && (strings.Contains(d.MediaType, "foreign") || strings.Contains(d.MediaType, "nondistributable")):
			o.layers[i].err = fmt.Errorf("kept at another address (%s), which is not asked unless foreign layers are allowed: %w", clip(d.URLs[0], 100), ErrLayerMissing)
		}
	}
	o.describe(f.cfg, s.opt)
	return o, nil
}

// describe fills in what the configuration says.
func (o *Opened) describe(c *configFile, opt *Options) {
	red := redactor{opt.Redact}
	img := &o.Image
	img.Created = c.created()
	o.diffIDs = c.RootFS.DiffIDs
	if img.Platform == "" {
		img.Platform = c.platform().String()
	}
	if len(c.RootFS.DiffIDs) == len(img.Layers) {
		for i := range img.Layers {
			if !o.layers[i].rebuilt { // it would not hash to that
				img.Layers[i].DiffID = c.RootFS.DiffIDs[i]
			}
		}
	} else {
		o.Gaps = append(o.Gaps, scan.Gap{What: "diff ids",
			Reason: fmt.Sprintf("the configuration names %d layers and the manifest %d: contents cannot be checked against it", len(c.RootFS.DiffIDs), len(img.Layers))})
	}
	u := scan.Config{User: c.Config.User, Env: c.Config.Env, Entrypoint: c.Config.Entrypoint, Cmd: c.Config.Cmd,
		Ports: keys(c.Config.ExposedPorts), Volumes: keys(c.Config.Volumes), Labels: c.Config.Labels}
	if h := c.Config.Healthcheck; h != nil && len(h.Test) > 0 && h.Test[0] != "NONE" {
		u.Healthcheck = true
	}
	// Each step that is not empty made one layer. Where the counts differ the history
	// is of no use for telling which.
	full := 0
	for _, h := range c.History {
		if !h.EmptyLayer {
			full++
		}
	}
	next := 0
	for _, h := range c.History {
		u.History = append(u.History, h.CreatedBy)
		if !h.EmptyLayer && full == len(img.Layers) {
			img.Layers[next].CreatedBy = red.text(h.CreatedBy)
			next++
		}
	}
	o.Unredacted = u

	shown := u
	shown.Env = make([]string, len(u.Env))
	for i, e := range u.Env {
		shown.Env[i] = red.entry(e)
	}
	shown.Entrypoint, shown.Cmd, shown.History = red.args(u.Entrypoint), red.args(u.Cmd), red.texts(u.History)
	if u.Labels != nil {
		shown.Labels = make(map[string]string, len(u.Labels))
		for k, v := range u.Labels {
			shown.Labels[k] = v
			if entry := red.entry(k + "=" + v); entry != k+"="+v {
				_, shown.Labels[k], _ = strings.Cut(entry, "=")
			}
		}
	}
	img.Config = shown
}

func keys(m map[string]struct{}) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
