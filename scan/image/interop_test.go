package image

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/test/need"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	layoutlib "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// savedLayout is what docker save has written since version 25: an OCI layout with a
// manifest.json that points into its blobs.
func savedLayout(t *testing.T, img v1.Image, tag string) string {
	t.Helper()
	dir := t.TempDir()
	l, err := layoutlib.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.AppendImage(img, layoutlib.WithAnnotations(map[string]string{annotationName: tag})); err != nil {
		t.Fatal(err)
	}
	cfg, _ := img.ConfigName()
	m := saved{Config: blobName(cfg.String()), RepoTags: []string{tag}}
	layers, _ := img.Layers()
	for _, l := range layers {
		d, _ := l.Digest()
		m.Layers = append(m.Layers, blobName(d.String()))
	}
	b, _ := json.Marshal([]saved{m})
	os.WriteFile(filepath.Join(dir, "manifest.json"), b, 0o600)
	return tarDir(t, dir)
}

func TestDockerSaveWithLayout(t *testing.T) {
	tars := twoLayers(t)
	img := makeImage(t, "amd64", tars...)
	digest, _ := img.Digest()
	// The containerd store of Docker keeps what was pulled: the digest is the registry's.
	o := open(t, savedLayout(t, img, "docker.io/library/app:1"), Options{})[0]
	same(t, o, img, tars, true)
	if o.Image.Kind != scan.KindArchive || o.Image.Digest != digest.String() || o.Image.Size == 0 {
		t.Errorf("%+v", o.Image)
	}
	// The classic store writes a manifest over plain layers that no registry has seen.
	var add []mutate.Addendum
	for i, b := range tars {
		add = append(add, mutate.Addendum{Layer: static.NewLayer(b, types.OCIUncompressedLayer), History: v1.History{CreatedBy: "COPY step " + string(rune('0'+i))}})
	}
	anew, err := mutate.Append(makeImage(t, "amd64"), add...)
	if err != nil {
		t.Fatal(err)
	}
	o = open(t, savedLayout(t, anew, "docker.io/library/app:1"), Options{})[0]
	if o.Image.Digest != "" || o.Image.ConfigDigest == "" || o.Image.Size != 0 || o.Image.Layers[0].Digest != "" {
		t.Errorf("%+v", o.Image)
	}
	for i := range tars {
		if string(plain(t, o, i)) != string(tars[i]) {
			t.Errorf("layer %d differs", i)
		}
	}
}

// What skopeo writes and serves is another implementation's word.
func TestSkopeoInterop(t *testing.T) {
	skopeo := need.Command(t, need.Shared, "skopeo")
	tars := twoLayers(t)
	img := makeImage(t, "amd64", tars...)
	host := serve(t)
	push(t, host+"/team/app:1", img)
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), skopeo, append([]string{"--insecure-policy", "copy", "--src-tls-verify=false"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("skopeo copy %v: %v: %s", args, err, out)
		}
	}
	run("docker://"+host+"/team/app:1", "docker-archive:"+dir+"/docker.tar:team/app:1")
	run("docker://"+host+"/team/app:1", "oci-archive:"+dir+"/oci.tar:v1")
	run("docker://"+host+"/team/app:1", "oci:"+dir+"/oci:v1")
	run("--dest-oci-accept-uncompressed-layers", "--dest-compress-format=zstd", "--dest-compress", "docker://"+host+"/team/app:1", "oci:"+dir+"/zstd:v1")
	want := open(t, "registry:"+host+"/team/app:1", Options{Registry: patient(nil)})[0].Image
	for _, ref := range []string{dir + "/docker.tar", dir + "/oci.tar", "oci:" + dir + "/oci:v1"} {
		o := open(t, ref, Options{})[0]
		if len(o.Image.Layers) != len(tars) || o.Image.Config.User != want.Config.User || o.Image.Created != want.Created {
			t.Errorf("%s: %+v", ref, o.Image)
		}
		for i := range tars {
			if string(plain(t, o, i)) != string(tars[i]) || o.Image.Layers[i].DiffID != want.Layers[i].DiffID || o.Image.Layers[i].CreatedBy != want.Layers[i].CreatedBy {
				t.Errorf("%s: layer %d differs: %+v", ref, i, o.Image.Layers[i])
			}
		}
	}
	tag, _ := name.NewTag("team/app:1")
	if o := open(t, dir+"/docker.tar", Options{})[0]; len(o.Image.Tags) != 1 || !sameTag(o.Image.Tags[0], tag.String()) {
		t.Errorf("tags %q", o.Image.Tags)
	}
	z := open(t, dir+"/zstd", Options{})[0]
	r, err := z.Layer(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var head [4]byte
	if _, err := r.Read(head[:]); err != nil || compression(head[:]) == "" {
		t.Errorf("%x, %v", head, err)
	}
}
