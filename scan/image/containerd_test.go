package image

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/test/need"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	layoutlib "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

// writeStore makes containerd's files by bbolt itself, in the schema containerd has.
func writeStore(t testing.TB, names map[[2]string]string, img v1.Image) string {
	t.Helper()
	root := t.TempDir()
	path := filepath.Join(root, containerdMeta)
	os.MkdirAll(filepath.Dir(path), 0o700)
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error {
		for n, digest := range names {
			b, err := bucketAt(tx, "v1", n[0], "images", n[1], "target")
			if err != nil {
				return err
			}
			b.Put([]byte("digest"), []byte(digest))
			b.Put([]byte("mediatype"), []byte(typeDockerManifest))
			b.Put([]byte("size"), binary.AppendVarint(nil, 500))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if img != nil {
		content := filepath.Join(root, containerdContent)
		os.MkdirAll(content, 0o700)
		l, err := layoutlib.Write(content, empty.Index)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.AppendImage(img); err != nil {
			t.Fatal(err)
		}
		os.Remove(filepath.Join(content, "index.json"))
		os.Remove(filepath.Join(content, "oci-layout"))
	}
	return root
}

func bucketAt(tx *bbolt.Tx, path ...string) (*bbolt.Bucket, error) {
	b, err := tx.CreateBucketIfNotExists([]byte(path[0]))
	for _, p := range path[1:] {
		if err != nil {
			return nil, err
		}
		b, err = b.CreateBucketIfNotExists([]byte(p))
	}
	return b, err
}

func TestContainerdStoreFiles(t *testing.T) {
	tars := twoLayers(t)
	img := makeImage(t, "amd64", tars...)
	d, _ := img.Digest()
	other := sum([]byte("other"))
	root := writeStore(t, map[[2]string]string{
		{"k8s.io", "docker.io/library/app:1"}:              d.String(),
		{"k8s.io", "docker.io/library/app@" + d.String()}:  d.String(),
		{"default", "docker.io/library/app:1"}:             d.String(),
		{"moby", "docker.io/library/gone:1"}:               other,
		{"default", "registry.example/two:1"}:              d.String(),
		{"k8s.io", "registry.example/two:1"}:               other,
		{"k8s.io", "sha256:" + strings.Repeat("0", 64)}:    other,
		{"k8s.io", "registry.example:5000/sub/app:v1.2-a"}: d.String(),
	}, img)
	for _, ref := range []string{"app:1", "docker.io/library/app:1", "containerd:app@" + d.String(), "containerd:" + d.String(), "registry.example:5000/sub/app:v1.2-a"} {
		o := open(t, ref, Options{ContainerdRoot: root, DockerHost: "unix:///nowhere"})[0]
		same(t, o, img, tars, true)
		if o.Image.Kind != scan.KindContainerd || o.Image.Digest != d.String() || len(o.Image.Tags) != 3 {
			t.Errorf("%s: %+v", ref, o.Image)
		}
	}
	if err := refused(t, "containerd:registry.example/two:1", Options{ContainerdRoot: root}); !strings.Contains(err.Error(), "choose one namespace") {
		t.Errorf("one name, two images: %v", err)
	}
	if o := open(t, "containerd:registry.example/two:1", Options{ContainerdRoot: root, ContainerdNamespace: "default"}); o[0].Image.Digest != d.String() {
		t.Errorf("by namespace: %+v", o[0].Image)
	}
	if err := refused(t, "containerd:none:1", Options{ContainerdRoot: root}); !errors.Is(err, ErrNotFound) {
		t.Errorf("an image that is not there: %v", err)
	}
	if err := refused(t, "containerd:gone:1", Options{ContainerdRoot: root}); !errors.Is(err, ErrLayerMissing) {
		t.Errorf("an image whose manifest is not there: %v", err)
	}

	// A layer that was discarded after unpacking does not hide the other.
	layers, _ := img.Layers()
	first, _ := layers[0].Digest()
	os.Remove(filepath.Join(root, containerdContent, blobName(first.String())))
	o := open(t, "containerd:app:1", Options{ContainerdRoot: root})[0]
	if _, err := o.Layer(t.Context(), 0); !errors.Is(err, ErrLayerMissing) || !strings.Contains(err.Error(), "layer content not kept") || o.Missing(0) == nil {
		t.Errorf("a discarded layer: %v, %v", err, o.Missing(0))
	}
	if got := plain(t, o, 1); !bytes.Equal(got, tars[1]) {
		t.Error("the layer that is there cannot be read")
	}
}

// What bbolt wrote, the reader finds: whatever the sizes, splits and overflows.
func TestBoltReaderAgreesWithBbolt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	rapid.Check(t, func(t *rapid.T) {
		os.Remove(path)
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true, PageSize: rapid.SampledFrom([]int{1024, 4096, 16384}).Draw(t, "page")})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		for range rapid.IntRange(1, 4).Draw(t, "transactions") {
			err := db.Update(func(tx *bbolt.Tx) error {
				for range rapid.IntRange(0, 200).Draw(t, "puts") {
					outer := rapid.StringMatching("[a-c]").Draw(t, "outer")
					key := rapid.StringMatching("[a-z]{1,40}").Draw(t, "key")
					b, err := bucketAt(tx, outer, "inner")
					if err != nil {
						return err
					}
					if rapid.IntRange(0, 9).Draw(t, "delete") == 0 {
						delete(want, outer+"/"+key)
						if err := b.Delete([]byte(key)); err != nil {
							return err
						}
						continue
					}
					value := strings.Repeat(key, rapid.SampledFrom([]int{0, 1, 30, 900}).Draw(t, "times"))
					want[outer+"/"+key] = value
					if err := b.Put([]byte(key), []byte(value)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		f, err := os.Open(path) // while bbolt holds its lock
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		b, err := openBolt(f)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, outer := range []string{"a", "b", "c"} {
			in, err := b.find(outer, "inner")
			if err != nil {
				t.Fatal(err)
			}
			if in == nil {
				continue
			}
			last := ""
			err = b.each(*in, func(k, v []byte, _ *bucket) error {
				if string(k) <= last {
					return fmt.Errorf("%q after %q", k, last)
				}
				last = string(k)
				got[outer+"/"+last] = string(v)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d keys, want %d", len(got), len(want))
		}
		for k, v := range want {
			b.budget = boltPages
			in, err := b.find(k[:1], "inner")
			if err != nil || in == nil {
				t.Fatal(err)
			}
			value, _, ok, err := b.get(*in, k[2:])
			if err != nil || !ok || string(value) != v || got[k] != v {
				t.Fatalf("%q: %v %v %d bytes, want %d", k, err, ok, len(value), len(v))
			}
			if _, _, ok, err := b.get(*in, k[2:]+"!"); ok || err != nil {
				t.Fatalf("%q: found what is not there: %v", k, err)
			}
		}
		if b.changed() {
			t.Fatal("nothing was written since")
		}
		if err := db.Update(func(tx *bbolt.Tx) error { _, err := bucketAt(tx, "z"); return err }); err != nil {
			t.Fatal(err)
		}
		if !b.changed() {
			t.Fatal("a commit went unseen")
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// A real containerd, its own root, and its own client to import.
func TestRealContainerd(t *testing.T) {
	daemon := need.Command(t, need.Kernel, "containerd")
	ctr := need.Command(t, need.Kernel, "ctr")
	need.Root(t)
	dir, err := os.MkdirTemp("", "ctrd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	root, sock := filepath.Join(dir, "root"), filepath.Join(dir, "s.sock")
	config := filepath.Join(dir, "config.toml")
	os.WriteFile(config, fmt.Appendf(nil, "version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n", root, filepath.Join(dir, "state"), sock), 0o600)
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), daemon, "--config", config)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })

	tars := [][]byte{layerTar(t, "etc/os-release", "ID=debian\n", "bin/app", "one", "etc/gone", "x"), layerTar(t, "bin/app", "two", "etc/.wh.gone", "")}
	img := makeImage(t, "amd64", tars...)
	archive := filepath.Join(dir, "app.tar")
	tag, _ := name.NewTag("registry.example/team/app:1.2")
	if err := tarball.WriteToFile(archive, tag, img); err != nil {
		t.Fatal(err)
	}
	var out []byte
	for range 50 { // until it listens; ctr itself waits for the socket
		if out, err = exec.CommandContext(t.Context(), ctr, "-a", sock, "--connect-timeout", "10s", "-n", "k8s.io", "images", "import", archive).CombinedOutput(); err == nil {
			break
		}
		if _, serr := os.Stat(sock); serr == nil {
			break
		}
	}
	unpacked := err == nil
	if err != nil {
		t.Logf("import with unpacking: %v: %s", err, out)
		if out, err = exec.CommandContext(t.Context(), ctr, "-a", sock, "-n", "k8s.io", "images", "import", "--no-unpack", archive).CombinedOutput(); err != nil {
			need.Skip(t, need.Kernel, fmt.Sprintf("containerd cannot import here: %v: %s\n%s", err, out, log.String()))
		}
	}
	cfg, _ := img.ConfigName()
	o := open(t, "containerd:registry.example/team/app:1.2", Options{ContainerdRoot: root, Platform: "linux/amd64"})[0]
	if o.Image.ConfigDigest != cfg.String() || o.Image.Repository != "registry.example/team/app" || o.Image.Digest == "" {
		t.Errorf("%+v", o.Image)
	}
	for i := range tars {
		if got := plain(t, o, i); !bytes.Equal(got, tars[i]) {
			t.Errorf("layer %d differs", i)
		}
	}
	if !unpacked {
		t.Skip("containerd could not unpack here: snapshots are not tried")
	}
	for _, l := range o.Image.Layers {
		if err := os.Remove(filepath.Join(root, containerdContent, blobName(l.Digest))); err != nil {
			t.Fatal(err)
		}
	}
	o = open(t, "containerd:registry.example/team/app:1.2", Options{ContainerdRoot: root, Platform: "linux/amd64"})[0]
	want := []string{"bin/ bin/app=one etc/ etc/gone=x etc/os-release=ID=debian\n", "bin/ bin/app=two etc/ etc/.wh.gone="}
	for i := range want {
		if !o.Rebuilt(i) {
			t.Fatalf("layer %d is not made from the snapshot: %v", i, o.Missing(i))
		}
		r, err := o.Layer(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for tr := tar.NewReader(r); ; {
			h, err := tr.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(tr)
			if h.Typeflag == tar.TypeDir {
				got = append(got, h.Name)
			} else {
				got = append(got, h.Name+"="+string(b))
			}
		}
		r.Close()
		if strings.Join(got, " ") != want[i] {
			t.Errorf("layer %d: %q, want %q", i, got, want[i])
		}
	}
}

// The store of a busy node: two thousand names.
func BenchmarkContainerdNames(b *testing.B) {
	names := map[[2]string]string{}
	for i := range 2000 {
		names[[2]string{"k8s.io", fmt.Sprintf("registry.example/team/app%d:1", i)}] = sum([]byte(fmt.Sprint(i)))
	}
	f, err := os.Open(filepath.Join(writeStore(b, names, nil), containerdMeta))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for b.Loop() {
		if got, err := storeNames(f, ""); err != nil || len(got) != len(names) {
			b.Fatal(len(got), err)
		}
	}
}
