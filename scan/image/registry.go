package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/google/go-containerregistry/pkg/name"
)

// reference is an image name, understood.
type reference struct {
	repo   name.Repository
	id     string // tag or digest, as the manifest is asked for
	tag    string
	digest string
}

func parseReference(s string) (reference, error) {
	if len(s) > 1024 {
		return reference{}, errors.New("an image reference has at most 1024 characters")
	}
	bare, digest, pinned := strings.Cut(s, "@")
	if pinned {
		if err := validDigest(digest); err != nil {
			return reference{}, err
		}
	}
	t, err := name.NewTag(bare)
	if err != nil {
		return reference{}, fmt.Errorf("%s: %w", clip(s, 200), err)
	}
	r := reference{repo: t.Repository, id: t.TagStr(), tag: t.TagStr(), digest: digest}
	if pinned {
		r.id = digest
		if !strings.HasSuffix(bare, ":"+t.TagStr()) {
			r.tag = ""
		}
	}
	return r, nil
}

// repositoryName spells Docker Hub as everyone else does.
func repositoryName(r name.Repository) string {
	host := r.RegistryStr()
	if host == name.DefaultRegistry {
		host = "docker.io"
	}
	return host + "/" + r.RepositoryStr()
}

// openRegistry opens an image by its registry.
func (s *source) openRegistry(ctx context.Context, ref string) ([]*Opened, error) {
	r, err := parseReference(ref)
	if err != nil {
		return nil, err
	}
	c, err := NewClient(s.opt.Registry, s.opt.getenv)
	if err != nil {
		return nil, err
	}
	s.kind, s.repo = scan.KindRegistry, repositoryName(r.repo)
	if r.tag != "" {
		s.tags = []string{s.repo + ":" + r.tag}
	}
	p := &pull{client: c, ref: r}
	root, raw, err := p.resolve(ctx)
	if err != nil {
		return nil, err
	}
	s.content = &overlay{content: p, digest: root.Digest, raw: raw}
	return s.owning(c.Close, func() ([]*Opened, error) { return s.open(ctx, root) })
}

// pull reads one repository.
type pull struct {
	client *Client
	ref    reference
}

const acceptManifest = typeOCIIndex + ", " + typeDockerList + ", " + typeOCIManifest + ", " + typeDockerManifest

// resolve turns tag or digest into the manifest.
func (p *pull) resolve(ctx context.Context) (descriptor, []byte, error) {
	what := repositoryName(p.ref.repo)
	if p.ref.digest != "" {
		what += "@" + short(p.ref.digest)
	} else {
		what += ":" + p.ref.tag
	}
	raw, _, err := p.manifest(ctx, p.ref.id)
	if err != nil {
		return descriptor{}, nil, fmt.Errorf("%s: %w", what, err)
	}
	d := descriptor{Digest: digestOf(raw), Size: int64(len(raw))}
	if p.ref.digest != "" && d.Digest != p.ref.digest {
		return descriptor{}, nil, fmt.Errorf("%s: the registry sent a manifest with digest %s: damaged or tampered with", what, d.Digest)
	}
	return d, raw, nil
}

func (p *pull) manifest(ctx context.Context, id string) ([]byte, string, error) {
	res, err := p.client.Get(ctx, p.ref.repo, "manifests/"+id, acceptManifest)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	if res.ContentLength > MaxDocument {
		return nil, "", fmt.Errorf("manifest larger than %d MiB: no image needs that; it was not read", MaxDocument>>20)
	}
	b, err := readDocument(res.Body, "manifest")
	if err == nil && res.ContentLength >= 0 && int64(len(b)) < res.ContentLength {
		err = fmt.Errorf("manifest: %w", io.ErrUnexpectedEOF)
	}
	return b, res.Header.Get("Content-Type"), err
}

func (p *pull) document(ctx context.Context, d descriptor) ([]byte, error) {
	b, _, err := p.manifest(ctx, d.Digest)
	if err != nil {
		return nil, err
	}
	if got := digestOf(b); got != d.Digest {
		return nil, fmt.Errorf("the registry sent a manifest with digest %s: damaged or tampered with", got)
	}
	return b, nil
}

func (p *pull) blob(ctx context.Context, d descriptor) (io.ReadCloser, error) {
	if len(d.URLs) > 0 && p.client.opt.ForeignLayers {
		return p.client.foreign(ctx, d)
	}
	return p.client.blob(ctx, p.ref.repo, d)
}

// absent: only asking would tell.
func (p *pull) absent(descriptor) error { return nil }

// statusError is an answer that is not 200.
type statusError struct {
	status int
	url    string
	detail string
}

func (e *statusError) Error() string {
	s := fmt.Sprintf("%s answers %d %s", e.url, e.status, http.StatusText(e.status))
	if e.detail != "" {
		s += ": " + e.detail
	}
	switch e.status {
	case http.StatusUnauthorized:
		s += loginRemedy
	case http.StatusForbidden:
		s += "; the credentials have no right to pull it"
	case http.StatusTooManyRequests:
		s += "; the registry limits the rate: log in, wait, or use a mirror"
	}
	return s
}

func (e *statusError) Is(target error) bool {
	return target == ErrNotFound && e.status == http.StatusNotFound
}
