package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Container is what containerd's metadata say of a container: what it was made of.
type Container struct {
	Namespace, ID string
	Image         string // the name it was made from; "" = of no image
	// Digest is the manifest's and ConfigDigest the configuration's, of the image whose
	// layers the container stands on. "" = the store has none such.
	Digest, ConfigDigest string
	// Chain names the file system that the container started with, by the layers it is
	// made of; "" = it was not made of layers.
	Chain string
	// Unknown says why Digest is "".
	Unknown string
}

// maxContainerImages bounds the images opened to find the one that a container stands on.
const maxContainerImages = 200

// ContainerOf finds a container in containerd's store by its id. The name it was made
// from may mean another image by now: what decides is the layers it stands on. The error
// wraps ErrNotFound where no store knows it, and says so where several namespaces do.
func ContainerOf(ctx context.Context, id string, opt Options) (Container, error) {
	if id == "" || len(id) > 256 {
		return Container{}, fmt.Errorf("container %q: %w", clip(id, 40), ErrNotFound)
	}
	roots := containerdRoots
	if opt.ContainerdRoot != "" {
		roots = []string{opt.ContainerdRoot}
	}
	var errs []error
	for _, root := range roots {
		f, err := os.Open(filepath.Join(root, containerdMeta))
		if err != nil {
			if opt.ContainerdRoot != "" || !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
			continue
		}
		list, err := findContainers(f, id, opt.ContainerdNamespace)
		f.Close()
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", root, err))
		case len(list) > 1:
			return Container{}, fmt.Errorf("container %s is in the namespaces %s and %s of %s: nothing tells which one is meant", clip(id, 40), list[0].Namespace, list[1].Namespace, root)
		case len(list) == 1:
			c := list[0]
			opt.ContainerdRoot, opt.ContainerdNamespace = root, c.Namespace
			c.identify(ctx, opt)
			return c, nil
		}
	}
	if len(errs) > 0 {
		return Container{}, errors.Join(errs...)
	}
	return Container{}, fmt.Errorf("container %s: %w in containerd's store", clip(id, 40), ErrNotFound)
}

// identify finds the image whose layers are those of the container: first under the
// name it was made from, then under all others.
func (c *Container) identify(ctx context.Context, opt Options) {
	if c.Chain == "" {
		c.Unknown = "it was not made of an image's layers"
		return
	}
	f, err := os.Open(filepath.Join(opt.ContainerdRoot, containerdMeta))
	if err != nil {
		c.Unknown = err.Error()
		return
	}
	defer f.Close()
	names, err := storeNames(f, c.Namespace)
	if err != nil {
		c.Unknown = err.Error()
		return
	}
	var own, others []string
	seen := map[string]bool{}
	for _, n := range names {
		switch {
		case n.name == c.Image:
			own = append(own, n.digest)
		case !seen[n.digest] && len(others) < maxContainerImages:
			seen[n.digest] = true
			others = append(others, n.digest)
		}
	}
	for _, digest := range append(own, others...) {
		if ctx.Err() != nil {
			c.Unknown = ctx.Err().Error()
			return
		}
		opened, err := Open(ctx, "containerd:"+digest, opt)
		if err != nil {
			continue // another image's trouble, or none for this machine
		}
		for _, o := range opened {
			if c.Digest == "" && o.chain() == c.Chain {
				c.Digest, c.ConfigDigest = o.Image.Digest, o.Image.ConfigDigest
			}
			_ = o.Close() // it was only looked at
		}
		if c.Digest != "" {
			return
		}
	}
	c.Unknown = "no image in containerd's store has its layers any more"
}

// chain is the id of the file system that all layers make.
func (o *Opened) chain() string {
	if len(o.diffIDs) == 0 {
		return ""
	}
	return chainID(o.diffIDs, len(o.diffIDs)-1)
}

func findContainers(f *os.File, id, namespace string) ([]Container, error) {
	for range 8 {
		b, err := openBolt(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", containerdMeta, err)
		}
		list, err := b.containers(id, namespace)
		if b.changed() {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", containerdMeta, err)
		}
		return list, nil
	}
	return nil, fmt.Errorf("%s: containerd kept writing to it while it was read: try again", containerdMeta)
}

// containers finds those of an id, one of each namespace.
func (b *bolt) containers(id, namespace string) ([]Container, error) {
	v1, err := b.find("v1")
	if err != nil || v1 == nil {
		return nil, err
	}
	var spaces []string
	err = b.each(*v1, func(ns, _ []byte, sub *bucket) error {
		if sub != nil && len(ns) <= 256 && (namespace == "" || namespace == string(ns)) && len(spaces) < 10_000 {
			spaces = append(spaces, string(ns))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []Container
	for _, ns := range spaces {
		at, err := b.find("v1", ns, "containers", id)
		if err != nil {
			return nil, err
		}
		if at == nil {
			continue
		}
		c := Container{Namespace: ns, ID: id}
		text := func(key string) string {
			v, _, ok, e := b.get(*at, key)
			if e != nil || !ok || len(v) > 4096 {
				err = errors.Join(err, e)
				return ""
			}
			return string(v)
		}
		c.Image = text("image")
		snapshotter, key := text("snapshotter"), text("snapshotKey")
		if err != nil {
			return nil, err
		}
		if snapshotter != "" && key != "" {
			snap, err := b.find("v1", ns, "snapshots", snapshotter, key)
			if err != nil {
				return nil, err
			}
			if snap != nil {
				v, _, ok, err := b.get(*snap, "parent")
				if err != nil {
					return nil, err
				}
				if ok && strings.HasPrefix(string(v), "sha256:") && validDigest(string(v)) == nil {
					c.Chain = string(v)
				}
			}
		}
		out = append(out, c)
	}
	return out, nil
}
