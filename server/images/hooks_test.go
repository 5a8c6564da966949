package images

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/scan"
)

func (h *harbour) hook(t *testing.T, kind, body string, auth func(*http.Request)) int {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/hooks/registry/{kind}", h.Hook)
	req := httptest.NewRequest("POST", "/hooks/registry/"+kind, strings.NewReader(body))
	if auth != nil {
		auth(req)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, req)
	return w.Code
}

// pushed is what the distribution registry sends, by its documentation.
func pushed(host, repository, tag string, n int) string {
	return fmt.Sprintf(`{"events":[{"id":"1","timestamp":"2026-06-01T12:00:00Z","action":"push","target":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"repository":%q,"tag":%q,
		"url":"https://%s/v2/%s/manifests/%s"},"request":{"host":%q,"method":"PUT"}}]}`, digest(n), repository, tag, host, repository, digest(n), host)
}

func TestPushesAreBelievedOnlyFromWhoKnowsTheSecret(t *testing.T) {
	h := open(t, func(o *Options) {
		o.Registries = []Registry{{Host: "r.example", Secret: "s3cret", Repositories: []string{"team/**"}}, {Host: "open.example"}, {Host: "other.example", Secret: "another"}}
	})
	h.turnOver(t)
	bearer := func(s string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+s) }
	}
	basic := func(r *http.Request) { r.SetBasicAuth("registry", "s3cret") }
	body := pushed("r.example", "team/app", "v1", 1)
	for name, x := range map[string]struct {
		kind, body string
		auth       func(*http.Request)
		code, jobs int
	}{
		"no secret":             {"distribution", body, nil, 401, 0},
		"wrong secret":          {"distribution", body, bearer("guess"), 401, 0},
		"empty secret":          {"distribution", pushed("open.example", "team/app", "v1", 1), bearer(""), 401, 0},
		"bearer":                {"distribution", body, bearer("s3cret"), 202, 1},
		"basic":                 {"distribution", body, basic, 202, 1},
		"unknown kind":          {"docker", body, basic, 404, 0},
		"not JSON":              {"distribution", "hello", basic, 400, 0},
		"too long":              {"distribution", strings.Repeat(" ", maxHook+1), basic, 413, 0},
		"another registry":      {"distribution", pushed("other.example", "team/app", "v1", 1), basic, 202, 0},
		"unconfigured registry": {"distribution", pushed("169.254.169.254", "team/app", "v1", 1), basic, 202, 0},
		"unwanted repository":   {"distribution", pushed("r.example", "secret/app", "v1", 1), basic, 202, 0},
		"name that climbs":      {"distribution", pushed("r.example", "team/../../x", "v1", 1), basic, 400, 0},
	} {
		if code := h.hook(t, x.kind, x.body, x.auth); code != x.code {
			t.Errorf("%s: %d, want %d", name, code, x.code)
		}
		n := 0
		for {
			j, ok := h.work.pop()
			if !ok {
				break
			}
			if n++; j.ref != "r.example/team/app@"+digest(1) || j.name != "r.example/team/app:v1" {
				t.Errorf("%s: %+v", name, j)
			}
		}
		if n != x.jobs {
			t.Errorf("%s: %d jobs, want %d", name, n, x.jobs)
		}
	}
	acr := fmt.Sprintf(`{"id":"x","timestamp":"2026-06-01T12:00:00Z","action":"push","target":{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","size":524,"digest":%q,"length":524,"repository":"team/app","tag":"v2"},
		"request":{"id":"y","host":"r.example","method":"PUT","useragent":"docker"}}`, digest(2))
	if code := h.hook(t, "acr", acr, basic); code != 202 {
		t.Fatal(code)
	}
	h.have["registry:r.example/team/app@"+digest(2)] = func() ([]*scan.Catalog, error) { return []*scan.Catalog{catalogOf(2, "x", "zlib=1")}, nil }
	if !h.work.one(t.Context()) {
		t.Fatal("nothing waits")
	}
	d, err := h.db.Image(t.Context(), digest(2))
	if err != nil || d.Name != "r.example/team/app:v2" || d.History[0].Cause != "pushed to r.example" {
		t.Fatalf("%+v %v", d, err)
	}
}

func TestPushesThatFindNoRoomAreCountedAndRefused(t *testing.T) {
	h := open(t, func(o *Options) { o.Registries = []Registry{{Host: "r.example", Secret: "s"}} })
	basic := func(r *http.Request) { r.SetBasicAuth("", "s") }
	code := 0
	for n := range maxPushes + 1 {
		code = h.hook(t, "distribution", pushed("r.example", "app", "v1", n), basic)
	}
	if code != http.StatusServiceUnavailable || len(h.lost) != 1 || h.lost[0].Reason != "push_queue_full" || h.lost[0].Hop != Hop {
		t.Fatalf("%d %+v", code, h.lost)
	}
	// What cannot be pulled is tried three times, and then it is a loss.
	for range 3 * (maxPushes + 1) {
		h.work.one(t.Context())
	}
	if n := len(h.lost); n != 1+maxPushes || h.lost[n-1].Reason != "push_not_scanned" {
		t.Fatalf("%d losses", n)
	}
}
