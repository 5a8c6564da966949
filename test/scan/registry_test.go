package scan_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// walked reads the closing line of a walk.
type walked struct{ repositories, tags, scanned, unchanged, failed int }

func closing(t testing.TB, o outcome) (w walked) {
	t.Helper()
	for line := range strings.Lines(o.stdout) {
		if n, _ := fmt.Sscanf(line, "%d repositories, %d tags: %d images scanned, %d unchanged since the last time, %d failed", &w.repositories, &w.tags, &w.scanned, &w.unchanged, &w.failed); n == 5 {
			return w
		}
	}
	t.Fatalf("no closing line: %s\n%s", o.stdout, o.stderr)
	return w
}

func manifests(asked []string) (out []string) {
	for _, a := range asked {
		if strings.HasPrefix(a, "GET ") && strings.Contains(a, "/blobs/") {
			out = append(out, a)
		}
	}
	return out
}

func TestScanRegistry(t *testing.T) {
	h := newHome(t)
	h.importing(h.write("npm.zip", osvZip(t, &lodash)), h.write("tracker.json", zlibOpen))
	s := serve(t)
	s.push(t, "team/one:1", small(t, "lodash", "4.17.4"))
	s.push(t, "team/one:2", small(t, "lodash", "4.17.21"))
	s.push(t, "team/one:latest", small(t, "lodash", "4.17.21")) // the same digest as 2
	s.push(t, "team/two:1", small(t, "minimist", "1.2.0"))
	s.push(t, "other/three:1", small(t, "lodash", "4.17.4"))
	walk := func(code int, more ...string) outcome {
		t.Helper()
		return h.want(code, append([]string{"scan", "registry", s.host, "--insecure-registry", s.host, "-o", "json=" + h.path("r-{}.json")}, more...)...)
	}
	reports := func() (out []string) {
		t.Helper()
		for _, f := range must(filepath.Glob(h.path("r-*.json")))(t) {
			x := parse(t, string(must(os.ReadFile(f))(t)))
			out = append(out, strings.TrimPrefix(x.Image.Name, s.host+"/")+" "+strings.Join(x.packages("npm"), ",")+" "+strings.Join(x.findings(), ","))
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
		slices.Sort(out)
		return out
	}
	bad := " npm lodash 4.17.4 CVE-2031-2000 fixed 4.17.5 critical"

	// All of it: five tags, four of them of a content of their own; one and three are the same digest in two repositories.
	o := walk(0)
	if w := closing(t, o); w.repositories != 3 || w.tags != 5 || w.failed != 0 || w.unchanged != 0 {
		t.Errorf("%+v\n%s", w, o.stdout)
	}
	got := reports()
	for _, want := range []string{"team/one:1 lodash 4.17.4" + bad, "team/two:1 minimist 1.2.0 ", "other/three:1 lodash 4.17.4" + bad} {
		if !slices.Contains(got, want) {
			t.Errorf("missing %q of %q", want, got)
		}
	}
	if n := len(slices.DeleteFunc(slices.Clone(got), func(s string) bool { return !strings.Contains(s, "4.17.21") })); n != 1 {
		t.Errorf("one digest with two tags was scanned %d times: %q", n, got)
	}

	// Nothing new: no layer is asked for.
	s.requests("")
	o = walk(0)
	if w := closing(t, o); w.scanned != 0 || w.failed != 0 || w.unchanged == 0 || len(reports()) != 0 {
		t.Errorf("%+v\n%s", w, o.stdout)
	}
	if pulled := manifests(s.requests("")); len(pulled) > 0 {
		t.Errorf("pulled what is known: %v", pulled)
	}

	// One new tag, and one that moved.
	s.push(t, "team/two:2", small(t, "lodash", "4.17.4"))
	s.push(t, "team/one:latest", small(t, "lodash", "4.17.20"))
	o = walk(0)
	if w := closing(t, o); w.scanned != 2 || w.failed != 0 {
		t.Errorf("%+v\n%s", w, o.stdout)
	}
	same(t, "what is new", reports(), []string{"team/one:latest lodash 4.17.20 ", "team/two:2 lodash 4.17.4" + bad})

	// A repository that is broken does not stop the rest, and is tried again.
	s.push(t, "other/three:2", small(t, "axios", "0.18.0"))
	s.push(t, "team/two:3", small(t, "axios", "0.19.0"))
	s.denying(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/v2/other/three/") {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	})
	o = walk(3)
	if !strings.Contains(o.stdout, "other/three") {
		t.Errorf("the broken one is not named:\n%s", o.stdout)
	}
	same(t, "beside the broken one", reports(), []string{"team/two:3 axios 0.19.0 "})
	s.denying(nil)
	o = walk(0)
	same(t, "mended", reports(), []string{"other/three:2 axios 0.18.0 "})

	// Chosen, excluded, again, and judged.
	o = walk(1, "--again", "--repository", "team/**", "--exclude", "team/one", "--fail-on", "critical")
	if w := closing(t, o); w.repositories != 1 || w.tags != 3 {
		t.Errorf("%+v\n%s", w, o.stdout)
	}
	if !strings.Contains(o.stderr, "CVE-2031-2000") {
		t.Errorf("why the gate failed is not said: %s", o.stderr)
	}
	reports()
	walk(2, "--offline")
	h.want(2, "scan", "registry", s.host, "-o", "json")
	o = h.want(3, "scan", "registry", "127.0.0.1:1", "--insecure-registry", "127.0.0.1:1")
	if !strings.Contains(o.stderr+o.stdout, "127.0.0.1:1") {
		t.Errorf("the registry is not named: %s", o.stderr)
	}
}

// TestInterruptedWalk kills a walk in the middle. What was done is not done again.
func TestInterruptedWalk(t *testing.T) {
	h := newHome(t)
	h.importing(h.write("npm.zip", osvZip(t, &lodash)), h.write("tracker.json", zlibOpen))
	s := serve(t)
	images := map[string]v1.Image{}
	for i := range 6 {
		images[fmt.Sprintf("r%d", i)] = small(t, "lodash", fmt.Sprintf("4.17.%d", i))
	}
	for n, img := range images {
		s.push(t, n+":1", img)
	}
	// The fourth repository's layers never come.
	release := make(chan struct{})
	stuck := make(chan struct{}, 100)
	config := must(images["r3"].ConfigName())(t).Hex
	s.denying(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/v2/r3/blobs/") && !strings.Contains(r.URL.Path, config) {
			stuck <- struct{}{}
			<-release
		}
		return false
	})
	args := []string{"scan", "registry", s.host, "--insecure-registry", s.host, "--concurrency", "1", "-o", "json=" + h.path("w-{}.json"), "--no-cache"}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := h.command(ctx, args...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-stuck:
	case <-ctx.Done():
		t.Fatalf("the walk never came to r3: %s", out.String())
	}
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	err := c.Wait()
	close(release)
	if err == nil || c.ProcessState.ExitCode() == 0 || ctx.Err() != nil {
		t.Errorf("an interrupted walk ended with %v\n%s", c.ProcessState, out.String())
	}
	before := must(filepath.Glob(h.path("w-*.json")))(t)
	s.denying(nil)
	s.requests("")
	o := h.want(0, args...)
	after := must(filepath.Glob(h.path("w-*.json")))(t)
	w := closing(t, o)
	if w.scanned+len(before) != 6 || len(before) == 0 || len(before) == 6 || len(after) != 6 {
		t.Errorf("%d before the interruption, %+v after, %d reports in all\n%s", len(before), w, len(after), o.stdout)
	}
	asked := s.requests("/blobs/")
	for n := range images {
		done := slices.ContainsFunc(before, func(f string) bool { return strings.Contains(f, n+"-1") })
		pulled := slices.ContainsFunc(asked, func(a string) bool { return strings.Contains(a, "/v2/"+n+"/") })
		if done == pulled {
			t.Errorf("%s: done before: %v, pulled after: %v", n, done, pulled)
		}
	}
}
