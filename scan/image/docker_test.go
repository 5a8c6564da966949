package image

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// engine answers as the Docker Engine does, over a Unix socket.
func engine(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "engine") // short: a socket's path has a limit
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "docker.sock"))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: handler}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return "unix://" + l.Addr().String()
}

func engineWith(t *testing.T, ref string, img v1.Image, cut int64) string {
	path := filepath.Join(t.TempDir(), "saved.tar")
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(path, tag, img); err != nil {
		t.Fatal(err)
	}
	id, _ := img.ConfigName()
	cfg, _ := img.ConfigFile()
	saved, _ := os.ReadFile(path)
	return engine(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodGet:
			w.WriteHeader(http.StatusMethodNotAllowed)
		case r.URL.Path == "/images/"+ref+"/json" || r.URL.Path == "/images/"+id.String()+"/json":
			json.NewEncoder(w).Encode(map[string]any{"Id": id.String(), "RepoTags": []string{ref}, "RepoDigests": []string{},
				"Os": cfg.OS, "Architecture": cfg.Architecture, "Size": len(saved)})
		case r.URL.Path == "/images/"+ref+"/get" || r.URL.Path == "/images/"+id.String()+"/get":
			w.Header().Set("Content-Type", "application/x-tar")
			for at := 0; at < len(saved); at += 4096 {
				if cut > 0 && int64(at) > cut {
					panic(http.ErrAbortHandler) // the engine goes away
				}
				w.Write(saved[at:min(at+4096, len(saved))])
				w.(http.Flusher).Flush()
			}
		default:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			json.NewEncoder(w).Encode(map[string]string{"message": "No such image: " + strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/images/"), "/json")})
		}
	})
}

func TestDockerEngine(t *testing.T) {
	tars := twoLayers(t)
	img := makeImage(t, "amd64", tars...)
	id, _ := img.ConfigName()
	host := engineWith(t, "registry.example/team/app:1.2", img, 0)
	temp := t.TempDir()
	for _, ref := range []string{"docker:registry.example/team/app:1.2", "registry.example/team/app:1.2", "docker:" + id.String()} {
		o := open(t, ref, Options{DockerHost: host, TempDir: temp})[0]
		same(t, o, img, tars, false)
		if o.Image.Kind != scan.KindDocker || o.Image.Repository != "registry.example/team/app" || o.Image.Digest != "" || o.Image.Tags[0] != "registry.example/team/app:1.2" {
			t.Errorf("%s: %+v", ref, o.Image)
		}
	}
	if left, _ := os.ReadDir(temp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := refused(t, "docker:app:none", Options{DockerHost: host}); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "No such image") {
		t.Errorf("an image that is not there: %v", err)
	}
	if err := refused(t, "docker:registry.example/team/app:1.2", Options{DockerHost: host, Platform: "linux/s390x"}); !errors.Is(err, ErrPlatform) || !strings.Contains(err.Error(), "linux/amd64") {
		t.Errorf("a platform that is not there: %v", err)
	}
	if err := refused(t, "docker:registry.example/team/app:1.2", Options{DockerHost: host, MaxSpool: 4096}); !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a bound on temporary space: %v", err)
	}
}

func TestDockerEngineThatGoesAway(t *testing.T) {
	img := makeImage(t, "amd64", twoLayers(t)...)
	host := engineWith(t, "app.example/app:1", img, 3000)
	if err := refused(t, "docker:app.example/app:1", Options{DockerHost: host, TempDir: t.TempDir()}); !strings.Contains(err.Error(), "EOF") {
		t.Errorf("%v", err)
	}
}

func TestEveryPlaceIsNamedWhenNoneHasIt(t *testing.T) {
	host := serve(t)
	err := refused(t, host+"/team/none:1", Options{DockerHost: "unix:///nowhere/docker.sock", ContainerdRoot: t.TempDir(),
		Registry: Registry{Keychain: authn.NewMultiKeychain()}})
	for _, want := range []string{"Docker daemon: no Docker engine: no socket /nowhere/docker.sock", "containerd: ", "registry: " + host + "/team/none:1"} {
		if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	for _, bad := range []string{"UPPER/case", "a b", "./none", "/none.tar", "app@sha256:12", ""} {
		if err := refused(t, bad, Options{}); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}
