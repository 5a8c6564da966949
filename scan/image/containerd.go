package image

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// Where containerd keeps its state, as it ships and as others embed it.
var containerdRoots = []string{
	"/var/lib/containerd",
	"/var/lib/rancher/k3s/agent/containerd",
	"/var/lib/k0s/containerd",
	"/var/snap/microk8s/common/var/lib/containerd",
	"/var/lib/docker/containerd/daemon",
}

const (
	containerdMeta     = "io.containerd.metadata.v1.bolt/meta.db"
	containerdContent  = "io.containerd.content.v1.content"
	containerdSnapshot = "io.containerd.snapshotter.v1.overlayfs"
	maxNames           = 200_000 // images of a store
)

// stored is a name in containerd's store.
type stored struct {
	namespace, name string
	digest          string
}

// openContainerd reads an image from containerd's files, without its socket.
func (s *source) openContainerd(ctx context.Context, ref string) ([]*Opened, error) {
	match, err := containerdMatch(ref)
	if err != nil {
		return nil, err
	}
	roots := containerdRoots
	if s.opt.ContainerdRoot != "" {
		roots = []string{s.opt.ContainerdRoot}
	}
	var errs []error
	for _, root := range roots {
		if _, err := os.Stat(filepath.Join(root, containerdMeta)); err != nil {
			if s.opt.ContainerdRoot != "" || errors.Is(err, os.ErrPermission) {
				errs = append(errs, err)
			}
			continue
		}
		one := *s
		out, err := one.openStore(ctx, root, ref, match)
		if err == nil {
			return out, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", root, err))
	}
	if len(errs) == 0 {
		return nil, fmt.Errorf("no containerd store (%s and the like)", containerdRoots[0])
	}
	if err := errors.Join(errs...); errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("%w: reading containerd's store needs root", err)
	}
	return nil, errors.Join(errs...)
}

// containerdMatch says which names of a store ref may mean.
func containerdMatch(ref string) (func(stored) bool, error) {
	if validDigest(ref) == nil {
		return func(n stored) bool {
			return n.digest == ref || n.name == ref || strings.HasSuffix(n.name, "@"+ref)
		}, nil
	}
	r, err := parseReference(ref)
	if err != nil {
		return nil, err
	}
	full := repositoryName(r.repo)
	if r.digest != "" {
		return func(n stored) bool {
			return n.name == full+"@"+r.digest || n.digest == r.digest && repositoryOf(n.name) == full || n.name == ref
		}, nil
	}
	return func(n stored) bool { return n.name == full+":"+r.tag || n.name == ref }, nil
}

func (s *source) openStore(ctx context.Context, root, ref string, match func(stored) bool) ([]*Opened, error) {
	meta, err := os.Open(filepath.Join(root, containerdMeta))
	if err != nil {
		return nil, err
	}
	defer meta.Close()
	names, err := storeNames(meta, s.opt.ContainerdNamespace)
	if err != nil {
		return nil, err
	}
	dir, err := os.OpenRoot(filepath.Join(root, containerdContent))
	if err != nil {
		return nil, err
	}
	s.kind = scan.KindContainerd
	return s.owning(dir.Close, func() ([]*Opened, error) {
		files := &layout{files: dirFiles{dir}}
		s.content = containerdBlobs{files}
		var digest, namespace string
		for _, n := range names {
			if match(n) {
				if digest == "" {
					digest, namespace = n.digest, n.namespace
				}
				if digest != n.digest {
					return nil, fmt.Errorf("%s names different images in the namespaces %s and %s: choose one namespace", ref, namespace, n.namespace)
				}
			}
		}
		if digest == "" && validDigest(ref) == nil && files.absent(descriptor{Digest: ref}) == nil {
			digest = ref // the manifest of one platform has no name of its own
		}
		if digest == "" {
			return nil, fmt.Errorf("%w among the %d names of its store", ErrNotFound, len(names))
		}
		if namespace == "" {
			namespace = "k8s.io"
		}
		for _, n := range names {
			if n.digest == digest && strings.Contains(n.name, ":") && !strings.Contains(n.name, "@") && !strings.HasPrefix(n.name, "sha256:") && !slices.Contains(s.tags, n.name) {
				s.tags = append(s.tags, n.name)
			}
		}
		if len(s.tags) > 0 {
			s.repo = repositoryOf(s.tags[0])
		}
		s.rescue = func(cfg *configFile, i int) *layer { return snapshotLayer(root, namespace, cfg, i) }
		return s.open(ctx, descriptor{Digest: digest})
	})
}

// containerdBlobs is the content store, which says its own word on missing layers.
type containerdBlobs struct{ *layout }

func (c containerdBlobs) absent(d descriptor) error {
	err := c.layout.absent(d)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("layer content not kept: containerd discarded blob %s after unpacking it: %w", short(d.Digest), ErrLayerMissing)
	}
	return err
}

// storeNames lists the images of a metadata database, of one namespace or of all.
func storeNames(f *os.File, namespace string) ([]stored, error) {
	for range 8 {
		names, changed, err := readStoreNames(f, namespace)
		if err == nil && !changed {
			return names, nil
		}
		if err != nil && !changed {
			return nil, fmt.Errorf("%s: %w", containerdMeta, err)
		}
	}
	return nil, fmt.Errorf("%s: containerd kept writing to it while it was read: try again", containerdMeta)
}

func readStoreNames(f *os.File, namespace string) (names []stored, changed bool, err error) {
	b, err := openBolt(f)
	if err != nil {
		return nil, false, err
	}
	names, err = b.names(namespace)
	return names, b.changed(), err
}

func (b *bolt) names(namespace string) ([]stored, error) {
	v1, err := b.find("v1")
	if err != nil || v1 == nil {
		return nil, err
	}
	var out []stored
	err = b.each(*v1, func(ns, _ []byte, sub *bucket) error {
		if sub == nil || namespace != "" && namespace != string(ns) {
			return nil
		}
		space := string(ns)
		_, images, ok, err := b.get(*sub, "images")
		if err != nil || !ok || images == nil {
			return err
		}
		return b.each(*images, func(name, _ []byte, img *bucket) error {
			if img == nil || len(name) > 4096 {
				return nil
			}
			_, target, ok, err := b.get(*img, "target")
			if err != nil || !ok || target == nil {
				return err
			}
			digest, _, ok, err := b.get(*target, "digest")
			if err != nil || !ok || validDigest(string(digest)) != nil {
				return err
			}
			if len(out) >= maxNames {
				return fmt.Errorf("more than %d images", maxNames)
			}
			out = append(out, stored{namespace: space, name: string(name), digest: string(digest)})
			return nil
		})
	})
	return out, err
}

// chainID names the file system made of layers 0 to i, as the OCI specification has it.
func chainID(diffIDs []string, i int) string {
	id := diffIDs[0]
	for _, d := range diffIDs[1 : i+1] {
		s := sha256.Sum256([]byte(id + " " + d))
		id = "sha256:" + hex.EncodeToString(s[:])
	}
	return id
}

// snapshotDir finds where the overlay snapshotter unpacked layer i; "" = nowhere.
func snapshotDir(root, namespace string, diffIDs []string, i int) string {
	if i >= len(diffIDs) {
		return ""
	}
	read := func(file string, ask func(*bolt) (string, error)) string {
		f, err := os.Open(filepath.Join(root, file))
		if err != nil {
			return ""
		}
		defer f.Close()
		for range 8 {
			b, err := openBolt(f)
			if err != nil {
				return ""
			}
			s, err := ask(b)
			if !b.changed() {
				if err != nil {
					return ""
				}
				return s
			}
		}
		return ""
	}
	name := read(containerdMeta, func(b *bolt) (string, error) {
		at, err := b.find("v1", namespace, "snapshots", "overlayfs", chainID(diffIDs, i))
		if err != nil || at == nil {
			return "", err
		}
		v, _, _, err := b.get(*at, "name")
		return string(v), err
	})
	if name == "" {
		return ""
	}
	id := read(containerdSnapshot+"/metadata.db", func(b *bolt) (string, error) {
		at, err := b.find("v1", "snapshots", name)
		if err != nil || at == nil {
			return "", err
		}
		v, _, ok, err := b.get(*at, "id")
		n, width := binary.Uvarint(v)
		if err != nil || !ok || width <= 0 {
			return "", err
		}
		return fmt.Sprint(n), nil
	})
	if id == "" {
		return ""
	}
	dir := filepath.Join(root, containerdSnapshot, "snapshots", id, "fs")
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return ""
	}
	return dir
}
