package image

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

// addContainer writes a container as containerd's metadata keep it.
func addContainer(t testing.TB, root, namespace, id, image, parent string) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(root, containerdMeta), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(func(tx *bbolt.Tx) error {
		c, err := bucketAt(tx, "v1", namespace, "containers", id)
		if err != nil {
			return err
		}
		c.Put([]byte("image"), []byte(image))
		if parent == "" {
			return nil
		}
		c.Put([]byte("snapshotter"), []byte("overlayfs"))
		c.Put([]byte("snapshotKey"), []byte("snap-"+id))
		s, err := bucketAt(tx, "v1", namespace, "snapshots", "overlayfs", "snap-"+id)
		if err != nil {
			return err
		}
		s.Put([]byte("name"), []byte(namespace+"/7/snap-"+id))
		return s.Put([]byte("parent"), []byte(parent))
	}); err != nil {
		t.Fatal(err)
	}
}

func TestContainerOf(t *testing.T) {
	img := makeImage(t, "amd64", twoLayers(t)...)
	d, _ := img.Digest()
	cfg, _ := img.ConfigName()
	file, _ := img.ConfigFile()
	var diffIDs []string
	for _, x := range file.RootFS.DiffIDs {
		diffIDs = append(diffIDs, x.String())
	}
	// By the OCI specification, of two layers: the hash of both ids with a blank between.
	chain := sum([]byte(diffIDs[0] + " " + diffIDs[1]))
	moved, gone := sum([]byte("another image")), sum([]byte("of no image here"))
	root := writeStore(t, map[[2]string]string{
		{"k8s.io", "r.example/app:1"}:   d.String(),
		{"k8s.io", "r.example/moved:1"}: moved,
		{"two", "r.example/app:1"}:      d.String(),
	}, img)
	addContainer(t, root, "k8s.io", "plain", "r.example/app:1", chain)
	addContainer(t, root, "k8s.io", "moved", "r.example/moved:1", chain)
	addContainer(t, root, "k8s.io", "gone", "r.example/app:1", gone)
	addContainer(t, root, "k8s.io", "dir", "", "")
	addContainer(t, root, "k8s.io", "twice", "r.example/app:1", chain)
	addContainer(t, root, "two", "twice", "r.example/app:1", chain)
	opt := Options{ContainerdRoot: root}
	for _, c := range []struct {
		id, image, digest, config, chain, unknown string
	}{
		{"plain", "r.example/app:1", d.String(), cfg.String(), chain, ""},
		{"moved", "r.example/moved:1", d.String(), cfg.String(), chain, ""}, // its tag was given to another image
		{"gone", "r.example/app:1", "", "", gone, "no image in containerd's store has its layers"},
		{"dir", "", "", "", "", "it was not made of an image's layers"},
	} {
		got, err := ContainerOf(t.Context(), c.id, opt)
		if err != nil {
			t.Errorf("%s: %v", c.id, err)
			continue
		}
		if got.Namespace != "k8s.io" || got.ID != c.id || got.Image != c.image || got.Digest != c.digest || got.ConfigDigest != c.config || got.Chain != c.chain ||
			!strings.Contains(got.Unknown, c.unknown) || (c.unknown == "") != (got.Unknown == "") {
			t.Errorf("%s: %+v", c.id, got)
		}
	}
	if _, err := ContainerOf(t.Context(), "none", opt); !errors.Is(err, ErrNotFound) {
		t.Errorf("a container that is not there: %v", err)
	}
	if _, err := ContainerOf(t.Context(), "twice", opt); err == nil || !strings.Contains(err.Error(), "k8s.io and two") {
		t.Errorf("a container in two namespaces: %v", err)
	}
	// Layers that were thrown away after unpacking change nothing.
	layers, _ := img.Layers()
	for _, l := range layers {
		blob, _ := l.Digest()
		if err := os.Remove(filepath.Join(root, containerdContent, blobName(blob.String()))); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := ContainerOf(t.Context(), "plain", opt); err != nil || got.Digest != d.String() {
		t.Errorf("without layers: %+v, %v", got, err)
	}
	opt.ContainerdNamespace = "two"
	if got, err := ContainerOf(t.Context(), "twice", opt); err != nil || got.Digest != d.String() || got.Namespace != "two" {
		t.Errorf("by namespace: %+v, %v", got, err)
	}
	if _, err := ContainerOf(t.Context(), "plain", Options{ContainerdRoot: t.TempDir()}); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("no store where one should be: %v", err)
	}
}
