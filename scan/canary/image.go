package canary

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
)

// NonceFile is a file of each image that makes it unlike all others: no cache knows its
// layer, and nobody can say beforehand what its digest is.
const NonceFile = "etc/dockreeve-canary"

// Image makes the archive of an OCI layout that holds one image of one layer: a few files
// from which a scanner reads the package of the case at a version. It is a few kilobytes.
// The error is a case that Choose did not make.
func (c *Case) Image(version string, nonce int64) ([]byte, error) {
	i, release := familyOf(c.Ecosystem)
	if i < 0 {
		return nil, fmt.Errorf("no test image can be made of %q", c.Ecosystem)
	}
	files := families[i].files(c, release, version)
	files[NonceFile] = strconv.FormatInt(nonce, 10) + "\n"
	layer, err := archive(files)
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"User": "65534", "Labels": map[string]string{"dockreeve.canary": c.Record}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest(layer)}},
	})
	if err != nil {
		return nil, err
	}
	const kind = "application/vnd.oci.image."
	type descriptor struct {
		MediaType string `json:"mediaType"`
		Digest    string `json:"digest"`
		Size      int    `json:"size"`
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": kind + "manifest.v1+json",
		"config": descriptor{kind + "config.v1+json", digest(config), len(config)},
		"layers": []descriptor{{kind + "layer.v1.tar", digest(layer), len(layer)}},
	})
	if err != nil {
		return nil, err
	}
	index, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": kind + "index.v1+json",
		"manifests": []descriptor{{kind + "manifest.v1+json", digest(manifest), len(manifest)}},
	})
	if err != nil {
		return nil, err
	}
	out := map[string]string{"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": string(index)}
	for _, blob := range [][]byte{layer, config, manifest} {
		out["blobs/sha256/"+digest(blob)[len("sha256:"):]] = string(blob)
	}
	return archive(out)
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// archive is a tar of files, by name.
func archive(files map[string]string) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg}); err != nil {
			return nil, err
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
