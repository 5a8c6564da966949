package lab

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// goModule is what `go mod download -json` tells of one.
type goModule struct{ Version, Dir string }

func (b *builder) module(ctx context.Context, path string) (m goModule, err error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", path)
	cmd.Dir, cmd.Stderr = b.source, b.log
	out, err := cmd.Output()
	if err != nil {
		return m, fmt.Errorf("download %s: %w", path, err)
	}
	if err := json.Unmarshal(out, &m); err != nil {
		return m, fmt.Errorf("download %s: %w", path, err)
	}
	return m, nil
}

// keyImages depends on our two programs and on the machine's busybox.
func keyImages(b *builder, h io.Writer) error {
	if err := keyFiles("go.mod", "apicall", "pause")(b, h); err != nil {
		return err
	}
	box, err := busybox()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(box)
	if err != nil {
		return err
	}
	fmt.Fprintln(h, PauseImage, BusyboxImage, ToolsImage, len(text))
	_, err = h.Write(text)
	return err
}

func busybox() (string, error) {
	p, err := exec.LookPath("busybox")
	if err != nil {
		return "", fmt.Errorf("the lab's images are made of busybox: %w; install busybox-static", err)
	}
	return filepath.EvalSymlinks(p)
}

// makeImages writes pause.tar, busybox.tar and tools.tar, without any registry.
func makeImages(ctx context.Context, b *builder, dir string) error {
	work, err := os.MkdirTemp("", "dockreeve-lab-images-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	pause, tool := filepath.Join(work, "pause"), filepath.Join(work, "apicall")
	for _, p := range []string{pause, tool} {
		if err := b.run(ctx, b.source, nil, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", p, "./"+filepath.Base(p)); err != nil {
			return err
		}
	}
	if err := writeImage(filepath.Join(dir, "pause.tar"), PauseImage, v1.Config{Entrypoint: []string{"/pause"}, User: "65535:65535"}, map[string]string{"pause": pause}); err != nil {
		return err
	}
	box, err := busybox()
	if err != nil {
		return err
	}
	list, err := exec.CommandContext(ctx, box, "--list").Output()
	if err != nil {
		return fmt.Errorf("busybox --list: %w", err)
	}
	files := map[string]string{"bin/busybox": box, "etc/passwd": "=root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n", "etc/group": "=root:x:0:\nnobody:x:65534:\n",
		"etc/shadow": "=root:*:19000:0:99999:7:::\n", "tmp/": "", "root/": "", "proc/": "", "sys/": "", "dev/": "", "www/": ""}
	for a := range strings.FieldsSeq(string(list)) {
		if a != "busybox" {
			files["bin/"+a] = ">busybox"
		}
	}
	shell := v1.Config{Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, Cmd: []string{"sh"}}
	if err := writeImage(filepath.Join(dir, "busybox.tar"), BusyboxImage, shell, files); err != nil {
		return err
	}
	files["usr/bin/apicall"] = tool
	return writeImage(filepath.Join(dir, "tools.tar"), ToolsImage, shell, files)
}

// writeImage writes a Docker archive of one layer. A file is the path it is copied from,
// or "=" and its text, or ">" and where it links to; a name that ends in a slash is a
// directory.
func writeImage(out, ref string, conf v1.Config, files map[string]string) error {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, n := range sortedKeys(files) {
		what := files[n]
		h := &tar.Header{Name: n, Mode: 0o755, ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg}
		var text []byte
		switch {
		case strings.HasSuffix(n, "/"):
			h.Typeflag = tar.TypeDir
			if n == "tmp/" {
				h.Mode = 0o1777
			}
		case strings.HasPrefix(what, ">"):
			h.Typeflag, h.Linkname = tar.TypeSymlink, what[1:]
		case strings.HasPrefix(what, "="):
			text, h.Mode = []byte(what[1:]), 0o644
		default:
			var err error
			if text, err = os.ReadFile(what); err != nil {
				return err
			}
		}
		h.Size = int64(len(text))
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	if err != nil {
		return err
	}
	img, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		return err
	}
	cf, err := img.ConfigFile()
	if err != nil {
		return err
	}
	cf = cf.DeepCopy()
	cf.OS, cf.Architecture, cf.Config = "linux", runtime.GOARCH, conf
	if img, err = mutate.ConfigFile(img, cf); err != nil {
		return err
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(out, tag, img)
}
