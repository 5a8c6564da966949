package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/scan/image"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// paged wraps a real registry: its listings come in pages with Link headers, as those
// of distribution do.
type paged struct {
	inner http.Handler
	page  int
	heads atomic.Int64
	// before may answer in the registry's place.
	before func(http.ResponseWriter, *http.Request) bool
}

func (p *paged) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.before != nil && p.before(w, r) {
		return
	}
	key := ""
	switch {
	case r.URL.Path == "/v2/_catalog":
		key = "repositories"
	case strings.HasSuffix(r.URL.Path, "/tags/list"):
		key = "tags"
	}
	if r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/manifests/") {
		p.heads.Add(1)
	}
	if key == "" {
		p.inner.ServeHTTP(w, r)
		return
	}
	whole := httptest.NewRecorder()
	q := r.URL.Query()
	ask := r.Clone(r.Context())
	ask.URL.RawQuery = "n=10000"
	p.inner.ServeHTTP(whole, ask)
	if whole.Code != http.StatusOK {
		w.WriteHeader(whole.Code)
		w.Write(whole.Body.Bytes())
		return
	}
	var list map[string]any
	json.Unmarshal(whole.Body.Bytes(), &list)
	var names []string
	for _, n := range list[key].([]any) {
		names = append(names, n.(string))
	}
	slices.Sort(names)
	if last := q.Get("last"); last != "" {
		i, found := slices.BinarySearch(names, last)
		if found {
			i++
		}
		names = names[i:]
	}
	n, _ := strconv.Atoi(q.Get("n"))
	if n <= 0 || n > p.page {
		n = p.page
	}
	if len(names) > n {
		names = names[:n]
		w.Header().Set("Link", fmt.Sprintf(`<%s?last=%s&n=%d>; rel="next"`, r.URL.Path, url.QueryEscape(names[n-1]), n))
	}
	list[key] = names
	json.NewEncoder(w).Encode(list)
}

func serve(t *testing.T, p *paged) string {
	t.Helper()
	p.inner = registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	if p.page == 0 {
		p.page = 2
	}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func push(t *testing.T, ref string) string {
	t.Helper()
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	return pushImage(t, ref, img)
}

func pushImage(t *testing.T, ref string, img v1.Image) string {
	t.Helper()
	r, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(r, img); err != nil {
		t.Fatal(err)
	}
	d, _ := img.Digest()
	return d.String()
}

// recorder is a Scan that remembers.
type recorder struct {
	mu   sync.Mutex
	refs []string
	fail func(tag string) error
}

func (r *recorder) scan(_ context.Context, ref, tag, digest string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refs = append(r.refs, ref)
	if r.fail != nil {
		return r.fail(tag)
	}
	return nil
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.refs
	r.refs = nil
	slices.Sort(out)
	return out
}

func options(host string, r *recorder) Options {
	return Options{Host: host, Scan: r.scan, State: &State{}, Getenv: func(string) string { return "" },
		Client: image.Registry{Keychain: authn.NewMultiKeychain(), Wait: func(context.Context, time.Duration) error { return nil }}}
}

func walked(t *testing.T, opt Options) *Summary {
	t.Helper()
	sum, err := Walk(context.Background(), opt)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestWalkScansWhatIsNewOnce(t *testing.T) {
	p := &paged{}
	host := serve(t, p)
	var want []string
	for _, repo := range []string{"app", "base/alpine", "base/debian", "team/a", "team/b"} {
		for _, tag := range []string{"1.0", "1.1", "2.0"} {
			want = append(want, host+"/"+repo+"@"+push(t, host+"/"+repo+":"+tag))
		}
	}
	img, _ := random.Image(64, 1) // two tags of one digest
	d := pushImage(t, host+"/app:2.1", img)
	pushImage(t, host+"/app:latest", img)
	want = append(want, host+"/app@"+d)
	slices.Sort(want)

	r := &recorder{}
	opt := options(host, r)
	saves := 0
	opt.Save = func(*State) error { saves++; return nil }
	sum := walked(t, opt)
	if got := r.take(); !slices.Equal(got, want) {
		t.Errorf("scanned %q\nwant %q", got, want)
	}
	if sum.Repositories != 5 || sum.Tags != 17 || sum.Scanned != 16 || sum.Unchanged != 0 || len(sum.Gaps) != 0 || saves != 17 {
		t.Errorf("%+v, %d saves", sum, saves)
	}

	sum = walked(t, opt)
	if got := r.take(); len(got) != 0 || sum.Unchanged != 17 || sum.Scanned != 0 {
		t.Errorf("a second walk scanned %q: %+v", got, sum)
	}

	// A moved tag, a new tag of a known digest, and the state as a file.
	moved := push(t, host+"/team/a:2.0")
	pushImage(t, host+"/app:newest", img)
	file := filepath.Join(t.TempDir(), "state.json")
	if err := opt.State.Write(file); err != nil {
		t.Fatal(err)
	}
	var err error
	if opt.State, err = LoadState(file); err != nil {
		t.Fatal(err)
	}
	sum = walked(t, opt)
	if got := r.take(); !slices.Equal(got, []string{host + "/team/a@" + moved}) {
		t.Errorf("scanned %q", got)
	}
	if opt.State.Repositories["app"]["newest"] != d || opt.State.Repositories["team/a"]["2.0"] != moved || opt.State.Cursor != "" {
		t.Errorf("%+v", opt.State)
	}
	if _, err := Walk(context.Background(), Options{Host: "other.example", Scan: r.scan, State: opt.State}); err == nil || !strings.Contains(err.Error(), host) {
		t.Errorf("another registry's state: %v", err)
	}
}

func TestWalkChooses(t *testing.T) {
	host := serve(t, &paged{})
	for _, ref := range []string{"app:1", "app:1-dev", "team/a:1", "team/sub/b:1", "team/sub/old:1"} {
		push(t, host+"/"+ref)
	}
	for _, c := range []struct {
		in, out, tags []string
		want          string
	}{
		{nil, nil, nil, "app app team/a team/sub/b team/sub/old"},
		{[]string{"team/*"}, nil, nil, "team/a"},
		{[]string{"team/**"}, []string{"**/old"}, nil, "team/a team/sub/b"},
		{[]string{"**"}, []string{"team/**"}, []string{"*-dev"}, "app"},
		{[]string{"team/a", "app"}, nil, []string{"1"}, "app team/a"},
	} {
		r := &recorder{}
		opt := options(host, r)
		opt.Repositories, opt.Exclude, opt.Tags = c.in, c.out, c.tags
		walked(t, opt)
		var got []string
		for _, ref := range r.take() {
			repo, _, _ := strings.Cut(strings.TrimPrefix(ref, host+"/"), "@")
			got = append(got, repo)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v without %v, tags %v: %q, want %q", c.in, c.out, c.tags, got, c.want)
		}
	}
	if _, err := Walk(context.Background(), Options{Host: host, Scan: (&recorder{}).scan, Tags: []string{"["}}); err == nil {
		t.Error("a pattern that is none: no error")
	}
}

func TestOneBadRepositoryDoesNotStopTheOthers(t *testing.T) {
	p := &paged{}
	bad := func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Path == "/v2/bad/list/tags/list":
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path == "/v2/bad/cut/tags/list":
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, `{"tags":["1"`)
		case r.URL.Path == "/v2/bad/circle/tags/list":
			w.Header().Set("Link", `</v2/bad/circle/tags/list?n=200>; rel="next"`)
			io.WriteString(w, `{"tags":["1"]}`)
		case r.URL.Path == "/v2/bad/digest/manifests/1" && r.Method != http.MethodPut:
			w.WriteHeader(http.StatusInternalServerError)
		default:
			return false
		}
		return true
	}
	host := serve(t, p)
	for _, ref := range []string{"a:1", "bad/list:1", "bad/cut:1", "bad/circle:1", "bad/digest:1", "bad/scan:no", "z:1"} {
		push(t, host+"/"+ref)
	}
	p.before = bad
	r := &recorder{fail: func(tag string) error {
		if tag == "no" {
			return errors.New("cannot be read")
		}
		return nil
	}}
	opt := options(host, r)
	sum := walked(t, opt)
	if sum.Scanned != 3 || sum.Failed != 1 {
		t.Errorf("%+v", sum)
	}
	var what []string
	for _, g := range sum.Gaps {
		what = append(what, g.What)
	}
	slices.Sort(what)
	if want := "bad/circle bad/cut bad/digest:1 bad/list bad/scan:no"; strings.Join(what, " ") != want {
		t.Errorf("gaps %q, want %q: %+v", what, want, sum.Gaps)
	}
	// What failed is tried again, what went well is not.
	r.take()
	r.fail = nil
	walked(t, opt)
	if got := r.take(); len(got) != 1 || !strings.Contains(got[0], "/bad/scan@") {
		t.Errorf("the next walk scanned %q", got)
	}
}

func TestInterruptedWalkGoesOn(t *testing.T) {
	p := &paged{}
	host := serve(t, p)
	for i := range 8 {
		push(t, fmt.Sprintf("%s/r%d:1", host, i))
	}
	r := &recorder{}
	opt := options(host, r)
	opt.Concurrency = 1
	ctx, cancel := context.WithCancel(context.Background())
	opt.Scan = func(c context.Context, ref, tag, digest string) error {
		if strings.Contains(ref, "/r5@") {
			cancel()
			return c.Err()
		}
		return r.scan(c, ref, tag, digest)
	}
	if _, err := Walk(ctx, opt); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	if len(r.take()) != 5 || opt.State.Cursor == "" {
		t.Fatalf("state %+v", opt.State)
	}
	before := p.heads.Load()
	opt.Scan = r.scan
	sum := walked(t, opt)
	if got := r.take(); len(got) != 3 || !strings.Contains(got[0], "/r5@") {
		t.Errorf("went on with %q", got)
	}
	if n := p.heads.Load() - before; sum.Skipped == 0 || n+int64(sum.Skipped) != 8 {
		t.Errorf("%d tags asked for again, %d repositories skipped", n, sum.Skipped)
	}
	if opt.State.Cursor != "" || len(opt.State.Repositories) != 8 {
		t.Errorf("%+v", opt.State)
	}

	opt.State, opt.Save = &State{}, func(*State) error { return errors.New("disk full") }
	if _, err := Walk(context.Background(), opt); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("a state that cannot be saved: %v", err)
	}
}

// locked asks for basic credentials, or for tokens that its own service gives out.
func locked(bearer bool, host *string, tokens *atomic.Int64) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		user, pass, basic := r.BasicAuth()
		good := basic && user == "reader" && pass == "right"
		if r.URL.Path == "/token" {
			if !good {
				w.WriteHeader(http.StatusUnauthorized)
				return true
			}
			tokens.Add(1)
			json.NewEncoder(w).Encode(map[string]string{"token": "for " + strings.Join(r.URL.Query()["scope"], " ")})
			return true
		}
		scope := "registry:catalog:*"
		if parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v2/"), "/"); len(parts) > 2 {
			scope = "repository:" + strings.Join(parts[:len(parts)-2], "/") + ":pull"
		}
		if r.Method == http.MethodPut || r.Method == http.MethodPost || r.Method == http.MethodPatch {
			return false // the test fills it
		}
		if bearer {
			if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer for "); ok && (r.URL.Path == "/v2/" || strings.Contains(token, scope)) {
				return false
			}
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="test",scope=%q`, *host, scope))
		} else {
			if good {
				return false
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		}
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
}

func TestWalkAuthenticates(t *testing.T) {
	for _, bearer := range []bool{false, true} {
		var host string
		var tokens atomic.Int64
		p := &paged{}
		host = serve(t, p)
		push(t, host+"/team/a:1")
		push(t, host+"/team/b:1")
		p.before = locked(bearer, &host, &tokens)
		r := &recorder{}
		opt := options(host, r)
		opt.Client.Username, opt.Client.Password = "reader", "right"
		if sum := walked(t, opt); sum.Scanned != 2 || len(sum.Gaps) > 0 {
			t.Errorf("bearer %v: %+v", bearer, sum)
		}
		if bearer && tokens.Load() > 6 {
			t.Errorf("%d tokens asked for: they are not kept", tokens.Load())
		}
		opt = options(host, r)
		opt.Client.Username, opt.Client.Password = "reader", "wrong"
		if _, err := Walk(context.Background(), opt); err == nil || !strings.Contains(err.Error(), "401") && !strings.Contains(err.Error(), "UNAUTHORIZED") {
			t.Errorf("bearer %v: wrong password: %v", bearer, err)
		}
	}
}

func TestWalkHonoursRateLimits(t *testing.T) {
	var calls atomic.Int64
	p := &paged{}
	host := serve(t, p)
	push(t, host+"/a:1")
	push(t, host+"/b:1")
	p.before = func(w http.ResponseWriter, r *http.Request) bool {
		if calls.Add(1)%2 == 1 {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}
		return false
	}
	r := &recorder{}
	opt := options(host, r)
	opt.Concurrency = 1
	var waits []time.Duration
	opt.Client.Wait = func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }
	if sum := walked(t, opt); sum.Scanned != 2 || len(sum.Gaps) != 0 {
		t.Errorf("%+v", sum)
	}
	if len(waits) == 0 || slices.ContainsFunc(waits, func(d time.Duration) bool { return d != 7*time.Second }) {
		t.Errorf("waited %v, told to wait 7 s each time", waits)
	}
}

func TestAzureListings(t *testing.T) {
	p := &paged{}
	host := serve(t, p)
	old, mid, young := push(t, host+"/team/a:old"), push(t, host+"/team/a:mid"), push(t, host+"/team/a:young")
	_ = old
	p.before = func(w http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Path {
		case "/v2/_catalog":
			w.WriteHeader(http.StatusForbidden)
		case "/acr/v1/_catalog":
			io.WriteString(w, `{"repositories":["team/a"]}`)
		case "/acr/v1/team/a/_tags":
			if r.URL.Query().Get("orderby") != "timedesc" {
				w.WriteHeader(http.StatusBadRequest)
				return true
			}
			if r.URL.Query().Get("last") == "" {
				w.Header().Set("Link", `</acr/v1/team/a/_tags?last=young&n=1&orderby=timedesc>; rel="next"`)
				fmt.Fprintf(w, `{"registry":%q,"imageName":"team/a","tags":[{"name":"young","digest":%q}]}`, host, young)
			} else {
				fmt.Fprintf(w, `{"tags":[{"name":"mid","digest":%q},{"name":"old","digest":%q}]}`, mid, old)
			}
		default:
			return false
		}
		return true
	}
	p.heads.Store(0)
	r := &recorder{}
	opt := options(host, r)
	opt.Client.ACRHosts = []string{host}
	opt.Newest = 2
	sum := walked(t, opt)
	want := []string{host + "/team/a@" + mid, host + "/team/a@" + young}
	slices.Sort(want)
	if got := r.take(); !slices.Equal(got, want) || p.heads.Load() != 0 || len(sum.Gaps) != 0 {
		t.Errorf("scanned %q, want %q; %d heads; %+v", got, want, p.heads.Load(), sum)
	}
}

func TestWhatIsNoImageIsNotAskedForAgain(t *testing.T) {
	host := serve(t, &paged{})
	push(t, host+"/charts/a:1")
	push(t, host+"/charts/a:sha256-"+strings.Repeat("a", 64)+".sig")
	r := &recorder{fail: func(string) error { return fmt.Errorf("charts/a: %w", image.ErrNotImage) }}
	opt := options(host, r)
	if sum := walked(t, opt); sum.Scanned != 1 || sum.NotImages != 1 || sum.Failed != 0 || len(sum.Gaps) != 0 {
		t.Errorf("%+v", sum)
	}
	if sum := walked(t, opt); sum.Scanned != 0 || sum.Unchanged != 1 {
		t.Errorf("%+v", sum)
	}
}

func TestNewestElsewhereIsAGap(t *testing.T) {
	host := serve(t, &paged{})
	push(t, host+"/a:1")
	push(t, host+"/a:2")
	opt := options(host, &recorder{})
	opt.Newest = 1
	if sum := walked(t, opt); sum.Scanned != 2 || len(sum.Gaps) != 1 || !strings.Contains(sum.Gaps[0].Reason, "newest") {
		t.Errorf("%+v", sum)
	}
}
