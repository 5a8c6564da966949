package image

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// wrapped is a real registry with something before it.
type wrapped struct {
	inner  http.Handler
	before atomic.Value // func(http.ResponseWriter, *http.Request) bool
	calls  atomic.Int64
}

func (w *wrapped) set(f func(http.ResponseWriter, *http.Request) bool) { w.before.Store(f) }

func (w *wrapped) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.calls.Add(1)
	if f, ok := w.before.Load().(func(http.ResponseWriter, *http.Request) bool); ok && f(rw, r) {
		return
	}
	w.inner.ServeHTTP(rw, r)
}

func wrap() *wrapped { return &wrapped{inner: registry.New(registry.Logger(discard()))} }

// patient never really waits.
func patient(waits *[]time.Duration) Registry {
	var mu sync.Mutex
	return Registry{Keychain: authn.NewMultiKeychain(), Wait: func(_ context.Context, d time.Duration) error {
		mu.Lock()
		defer mu.Unlock()
		if waits != nil {
			*waits = append(*waits, d)
		}
		return nil
	}}
}

func start(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func TestRetriesHonourRetryAfter(t *testing.T) {
	w := wrap()
	host := start(t, w)
	tars := twoLayers(t)
	img := makeImage(t, "amd64", tars...)
	push(t, host+"/app:1", img)
	var n atomic.Int64
	w.set(func(rw http.ResponseWriter, r *http.Request) bool {
		switch n.Add(1) % 3 {
		case 1:
			rw.Header().Set("Retry-After", "11")
			rw.WriteHeader(http.StatusTooManyRequests)
		case 2:
			rw.Header().Set("Retry-After", "Thu, 26 Nov 2026 12:00:30 GMT")
			rw.WriteHeader(http.StatusServiceUnavailable)
		default:
			return false
		}
		return true
	})
	var waits []time.Duration
	opt := Options{Registry: patient(&waits)}
	opt.Registry.Now = func() int64 { return time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC).UnixNano() }
	same(t, open(t, "registry:"+host+"/app:1", opt)[0], img, tars, true)
	if len(waits) < 4 || waits[0] != 11*time.Second || waits[1] != 30*time.Second {
		t.Errorf("waited %v", waits)
	}

	w.set(func(rw http.ResponseWriter, r *http.Request) bool {
		rw.Header().Set("Retry-After", "86400")
		rw.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	before := w.calls.Load()
	if err := refused(t, "registry:"+host+"/app:1", opt); !strings.Contains(err.Error(), "429") && !strings.Contains(err.Error(), "TOOMANYREQUESTS") {
		t.Errorf("%v", err)
	}
	if w.calls.Load()-before > 3 {
		t.Error("a registry that asks for a day was asked again and again")
	}
}

func TestBrokenConnectionsGoOnWhereTheyBroke(t *testing.T) {
	w := wrap()
	host := start(t, w)
	tars := [][]byte{layerTar(t, "big", strings.Repeat("0123456789abcdef", 40_000))}
	img := makeImage(t, "amd64", tars...)
	// Stored without compression, so that there is something to break.
	img, err := mutate.AppendLayers(makeImage(t, "amd64"), static.NewLayer(tars[0], types.OCIUncompressedLayer))
	if err != nil {
		t.Fatal(err)
	}
	push(t, host+"/app:1", img)
	digest := sum(tars[0])
	for _, ranges := range []bool{true, false} {
		var sent atomic.Int64
		w.set(func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/blobs/"+digest) || r.Method != http.MethodGet {
				return false
			}
			from := 0
			if ranges {
				fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
			}
			rest := tars[0][from:]
			rw.Header().Set("Content-Length", fmt.Sprint(len(rest)))
			if from > 0 {
				rw.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(tars[0])-1, len(tars[0])))
				rw.WriteHeader(http.StatusPartialContent)
			}
			if n := sent.Add(1); n < 3 {
				rw.Write(rest[:int(n)*100_000])
				rw.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}
			rw.Write(rest)
			return true
		})
		o := open(t, "registry:"+host+"/app:1", Options{Registry: patient(nil)})[0]
		if got := plain(t, o, 0); !bytes.Equal(got, tars[0]) || sent.Load() != 3 {
			t.Errorf("ranges %v: %d bytes of %d in %d goes", ranges, len(got), len(tars[0]), sent.Load())
		}
	}
	// One that always breaks ends with an error that says where.
	w.set(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/blobs/"+digest) {
			return false
		}
		rw.Header().Set("Content-Length", fmt.Sprint(len(tars[0])))
		rw.Write(tars[0][:1000])
		rw.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	o := open(t, "registry:"+host+"/app:1", Options{Registry: patient(nil)})[0]
	r, err := o.Layer(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); err == nil || !strings.Contains(err.Error(), "byte 1000 of") {
		t.Errorf("%v", err)
	}
}

func TestRegistryThatLies(t *testing.T) {
	w := wrap()
	host := start(t, w)
	img := makeImage(t, "amd64", twoLayers(t)...)
	push(t, host+"/app:1", img)
	d, _ := img.Digest()
	manifest := func(body string) func(http.ResponseWriter, *http.Request) bool {
		return func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/manifests/") {
				return false
			}
			io.WriteString(rw, body)
			return true
		}
	}
	for _, c := range []struct {
		what, ref, body, want string
	}{
		{"other content than the digest", "/app@" + d.String(), `{"schemaVersion":2,"config":{"digest":"` + d.String() + `"}}`, "damaged or tampered with"},
		{"schema 1", "/app:1", `{"schemaVersion":1,"name":"app","fsLayers":[{"blobSum":"sha256:0"}]}`, "schema 1"},
		{"endless manifest", "/app:1", strings.Repeat(" ", MaxDocument+1), "larger than 8 MiB"},
		{"noise", "/app:1", "<html>", "not a manifest"},
	} {
		w.set(manifest(c.body))
		if err := refused(t, "registry:"+host+c.ref, Options{Registry: patient(nil)}); !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: want %q in: %v", c.what, c.want, err)
		}
	}
	w.set(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		http.Redirect(rw, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
		return true
	})
	if err := refused(t, "registry:"+host+"/app:1", Options{Registry: patient(nil)}); !strings.Contains(err.Error(), "refused") {
		t.Errorf("a redirect to the metadata service: %v", err)
	}
	w.set(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v2/" {
			return false
		}
		rw.WriteHeader(http.StatusNotFound)
		io.WriteString(rw, `{"errors":[{"code":"NAME_UNKNOWN","message":"no\u001b[31m such repository"}]}`)
		return true
	})
	if err := refused(t, "registry:"+host+"/app:1", Options{Registry: patient(nil)}); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "NAME_UNKNOWN") || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("%q", err)
	}
}

func TestStalledAnswersEnd(t *testing.T) {
	w := wrap()
	host := start(t, w)
	tars := twoLayers(t)
	img := makeImage(t, "amd64", tars...)
	push(t, host+"/app:1", img)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	layers, _ := img.Layers()
	d, _ := layers[0].Digest()
	w.set(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/blobs/"+d.String()) {
			return false
		}
		rw.Write([]byte{0x1f})
		rw.(http.Flusher).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return true
	})
	opt := Options{Registry: patient(nil)}
	opt.Registry.Timeout, opt.Registry.Retries = 50*time.Millisecond, -1
	o := open(t, "registry:"+host+"/app:1", opt)[0]
	r, err := o.Layer(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); err == nil || !strings.Contains(err.Error(), "sent nothing for") {
		t.Errorf("%v", err)
	}
}

func TestMirrors(t *testing.T) {
	origin, mirror, empty := wrap(), wrap(), wrap()
	oh, mh, eh := start(t, origin), start(t, mirror), start(t, empty)
	tars := twoLayers(t)
	img := makeImage(t, "amd64", tars...)
	push(t, mh+"/cache/team/app:1", img)
	opt := Options{Registry: patient(nil)}
	opt.Registry.Username, opt.Registry.Password = "user", "secret"
	opt.Registry.Mirrors = map[string][]string{oh: {eh, mh + "/cache"}}
	mirror.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "" {
			t.Error("the registry's credentials went to a mirror")
		}
		return false
	})
	o := open(t, "registry:"+oh+"/team/app:1", opt)[0]
	same(t, o, img, tars, true)
	if o.Image.Repository != oh+"/team/app" || origin.calls.Load() != 0 || empty.calls.Load() == 0 {
		t.Errorf("repository %s, %d calls of the origin, %d of the empty mirror", o.Image.Repository, origin.calls.Load(), empty.calls.Load())
	}
	// What no mirror has, the registry itself is asked for.
	other := makeImage(t, "amd64", tars[1])
	push(t, oh+"/team/other:1", other)
	if got := plain(t, open(t, "registry:"+oh+"/team/other:1", opt)[0], 0); !bytes.Equal(got, tars[1]) {
		t.Error("not the image of the origin")
	}
	if err := refused(t, "registry:"+oh+"/team/none:1", opt); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "mirror "+eh) {
		t.Errorf("%v", err)
	}
	opt.Registry.Mirrors = map[string][]string{"docker.io": {mh + "/cache"}}
	push(t, mh+"/cache/library/hub:1", img)
	if o := open(t, "registry:hub:1", opt)[0]; o.Image.Repository != "docker.io/library/hub" {
		t.Errorf("%+v", o.Image)
	}
}

func TestInsecureOnlyByName(t *testing.T) {
	tars := twoLayers(t)
	img := makeImage(t, "amd64", tars...)
	s := httptest.NewTLSServer(registry.New(registry.Logger(discard())))
	t.Cleanup(s.Close)
	host := strings.TrimPrefix(s.URL, "https://")
	ref, _ := name.ParseReference(host + "/app:1")
	if err := remote.Write(ref, img, remote.WithTransport(s.Client().Transport)); err != nil {
		t.Fatal(err)
	}
	opt := Options{Registry: patient(nil)}
	if err := refused(t, "registry:"+host+"/app:1", opt); !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
	opt.Registry.Insecure = []string{"other.example"}
	if err := refused(t, "registry:"+host+"/app:1", opt); !strings.Contains(err.Error(), "certificate") {
		t.Errorf("another one is insecure: %v", err)
	}
	opt.Registry.Insecure = []string{host}
	same(t, open(t, "registry:"+host+"/app:1", opt)[0], img, tars, true)

	opt.Registry.Insecure = nil
	opt.Registry.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	os.WriteFile(opt.Registry.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600)
	same(t, open(t, "registry:"+host+"/app:1", opt)[0], img, tars, true)
	os.WriteFile(opt.Registry.CAFile, []byte("nothing"), 0o600)
	if err := refused(t, "registry:"+host+"/app:1", opt); !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("%v", err)
	}

	// A private address is no reason for plain HTTP.
	c, err := NewClient(patient(nil), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequest(http.MethodGet, "http://10.1.2.3:5000/v2/", nil)
	if _, err := c.base.RoundTrip(req); err == nil || !strings.Contains(err.Error(), "plain HTTP") {
		t.Errorf("plain HTTP to a private address: %v", err)
	}
}

// tokens is a registry with a token service as distribution's and Azure's: for a
// refresh token or basic credentials it gives access tokens.
func tokens(host *string, exchange string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Path {
		case "/oauth2/exchange":
			if r.ParseForm(); r.Method != http.MethodPost || r.Form.Get("grant_type") != "access_token" || r.Form.Get("service") != *host || r.Form.Get("access_token") != exchange {
				w.WriteHeader(http.StatusUnauthorized)
				return true
			}
			json.NewEncoder(w).Encode(map[string]string{"refresh_token": "refresh"})
		case "/oauth2/token":
			user, pass, _ := r.BasicAuth()
			r.ParseForm()
			if r.Form.Get("refresh_token") == "refresh" && r.Form.Get("grant_type") == "refresh_token" || user == "reader" && pass == "right" {
				json.NewEncoder(w).Encode(map[string]string{"access_token": "access"})
				return true
			}
			w.WriteHeader(http.StatusUnauthorized)
		default:
			if r.Header.Get("Authorization") == "Bearer access" || r.Header.Get("Authorization") == "Bearer given" {
				return false
			}
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/oauth2/token",service=%q`, *host, *host))
			w.WriteHeader(http.StatusUnauthorized)
		}
		return true
	}
}

func TestCredentials(t *testing.T) {
	w := wrap()
	host := start(t, w)
	tars := twoLayers(t)
	img := makeImage(t, "amd64", tars...)
	push(t, host+"/app:1", img)
	w.set(tokens(&host, "entra"))
	home := t.TempDir()
	for _, v := range []string{"DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "REGISTRY_AUTH_FILE"} {
		t.Setenv(v, "")
	}
	t.Setenv("HOME", home)
	env := map[string]string{}
	opt := Options{Getenv: func(s string) string { return env[s] }}
	good := func(what string) {
		t.Helper()
		same(t, open(t, "registry:"+host+"/app:1", opt)[0], img, tars, true)
	}
	bad := func(what string) error {
		t.Helper()
		err := refused(t, "registry:"+host+"/app:1", opt)
		if StatusCode(err) != http.StatusUnauthorized {
			t.Errorf("%s: %v", what, err)
		}
		return err
	}
	bad("anonymous")
	env["DOCKREEVE_REGISTRY_USERNAME"], env["DOCKREEVE_REGISTRY_PASSWORD"] = "reader", "right"
	good("environment")
	env["DOCKREEVE_REGISTRY"] = "other.example"
	bad("environment of another registry")
	clear(env)
	env["DOCKREEVE_REGISTRY_TOKEN"] = "given"
	good("a token")
	clear(env)

	env["DOCKREEVE_ACR_TOKEN"] = "entra"
	bad("an Azure token is for Azure's registries only")
	opt.Registry.ACRHosts = []string{host}
	opt.Registry.Insecure = []string{host}
	w.set(tokens(&host, "entra"))
	good("an Azure token")
	env["DOCKREEVE_ACR_TOKEN"] = "expired"
	if err := refused(t, "registry:"+host+"/app:1", opt); !strings.Contains(err.Error(), "exchanging the Azure token") {
		t.Errorf("%v", err)
	}
	claims := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"Azure Container Registry"}`))
	if issuer("e30."+claims+".x") != "Azure Container Registry" || issuer("a.b.c") != "" || issuer("opaque") != "" {
		t.Error("the issuer of a token is read wrongly")
	}
	clear(env)
	opt.Registry.ACRHosts = nil

	// Docker's file: basic, an identity token, a helper; then Podman's.
	dir := filepath.Join(home, "docker")
	os.MkdirAll(dir, 0o700)
	write := func(v any) {
		b, _ := json.Marshal(v)
		os.WriteFile(filepath.Join(dir, "config.json"), b, 0o600)
	}
	t.Setenv("DOCKER_CONFIG", dir)
	write(map[string]any{"auths": map[string]any{host: map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("reader:right"))}}})
	good("docker login")
	write(map[string]any{"auths": map[string]any{host: map[string]string{"identitytoken": "refresh"}}})
	good("identity token")
	bin := t.TempDir()
	os.WriteFile(filepath.Join(bin, "docker-credential-test"), []byte("#!/bin/sh\ncat >/dev/null\necho '{\"ServerURL\":\"x\",\"Username\":\"reader\",\"Secret\":\"right\"}'\n"), 0o700)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	write(map[string]any{"credHelpers": map[string]string{host: "test"}})
	good("credential helper")
	write(map[string]any{"credHelpers": map[string]string{host: "none"}})
	if err := bad("a helper that is not there"); !strings.Contains(err.Error(), "docker-credential-none") {
		t.Errorf("%v", err)
	}
	t.Setenv("DOCKER_CONFIG", "")
	t.Setenv("XDG_RUNTIME_DIR", home)
	os.MkdirAll(filepath.Join(home, "containers"), 0o700)
	b, _ := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("reader:right"))}}})
	os.WriteFile(filepath.Join(home, "containers/auth.json"), b, 0o600)
	good("podman login")
}

func TestForeignLayersAreNotAskedFor(t *testing.T) {
	host := start(t, wrap())
	content := layerTar(t, "a", "1")
	var asked atomic.Int64
	elsewhere := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Write(content)
	}))
	base := makeImage(t, "amd64")
	img, err := mutate.Append(base, mutate.Addendum{Layer: static.NewLayer(content, types.DockerForeignLayer), URLs: []string{"http://" + elsewhere + "/layer"}, MediaType: types.DockerForeignLayer, History: v1.History{CreatedBy: "COPY step 0"}})
	if err != nil {
		t.Fatal(err)
	}
	push(t, host+"/app:1", img)
	o := open(t, "registry:"+host+"/app:1", Options{Registry: patient(nil)})[0]
	if _, err := o.Layer(t.Context(), 0); !errors.Is(err, ErrLayerMissing) || asked.Load() != 0 {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
	opt := Options{Registry: patient(nil)}
	opt.Registry.ForeignLayers = true
	if got := plain(t, open(t, "registry:"+host+"/app:1", opt)[0], 0); !bytes.Equal(got, content) || asked.Load() != 1 {
		t.Errorf("%d bytes, asked %d times", len(got), asked.Load())
	}
}
