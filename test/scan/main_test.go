// Package scan_test tries `dockreeve scan` as people run it: the built command, real
// images, real files. What it should find is told by somebody else each time: dpkg,
// npm, go, the official schemas, or by hand from advisories that the tests invent
// around the versions really installed. Nothing of the scanner's own code is asked.
package scan_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// module is the root of the repository; program the command built from it.
var module, program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if module, err = filepath.Abs("../.."); err != nil {
			panic(err)
		}
		// A released command can be tried instead of one built here.
		if program = os.Getenv("DOCKREEVE_PROGRAM"); program != "" {
			return m.Run()
		}
		dir, err := os.MkdirTemp("", "dockreeve-test-scan-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "dockreeve")
		c := exec.Command("go", "build", "-trimpath", "-o", program, "./cmd/dockreeve")
		c.Dir = module
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := c.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build dockreeve: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// home is one user's world: a home directory, a state directory and a database.
type home struct {
	t   testing.TB
	dir string
	env []string // beside the fixed ones
	pre []string // command to run the program with, as in unshare -n
}

func newHome(t testing.TB) *home {
	t.Helper()
	return &home{t: t, dir: t.TempDir()}
}

func (h *home) path(name string) string { return filepath.Join(h.dir, name) }

func (h *home) write(name string, content []byte) string {
	h.t.Helper()
	p := h.path(name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(p, content, 0o644); err != nil {
		h.t.Fatal(err)
	}
	return p
}

// outcome is how a run of the command ended.
type outcome struct {
	code           int
	stdout, stderr string
	peak           int64 // bytes of memory, resident at most
	took           time.Duration
}

func (h *home) command(ctx context.Context, args ...string) *exec.Cmd {
	all := append(slices.Clone(h.pre), append([]string{program}, args...)...)
	c := exec.CommandContext(ctx, all[0], all[1:]...)
	c.Dir = h.dir
	c.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir, "DOCKREEVE_STATE=" + h.path("state"), "XDG_CACHE_HOME=" + h.path("cache"), "CI=1", "LC_ALL=C"}, h.env...)
	return c
}

// run runs the command to its end. It is killed after a time no scan here needs.
func (h *home) run(stdin io.Reader, args ...string) outcome {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c := h.command(ctx, args...)
	var out, errs bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = stdin, &out, &errs
	start := time.Now()
	err := c.Start()
	peak := make(chan int64)
	done := make(chan struct{})
	if err == nil {
		go func() { peak <- watchMemory(c.Process.Pid, done) }()
		err = c.Wait()
		close(done)
	} else {
		h.t.Fatal(err)
	}
	o := outcome{stdout: out.String(), stderr: errs.String(), took: time.Since(start)}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Fatalf("dockreeve %s: %v", strings.Join(args, " "), err)
	}
	o.code = c.ProcessState.ExitCode()
	o.peak = <-peak
	if o.code < 0 || o.code > 4 || strings.Contains(o.stderr, "goroutine ") {
		h.t.Fatalf("dockreeve %s ended with %v:\n%s", strings.Join(args, " "), c.ProcessState, o.stderr)
	}
	return o
}

// watchMemory gives the most memory that a process had resident, as the kernel keeps
// it. The usage that wait gives would count this process too, which it was forked from.
func watchMemory(pid int, done chan struct{}) (peak int64) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err == nil && !bytes.Contains(b, []byte("scan.test")) {
			if _, rest, ok := bytes.Cut(b, []byte("VmHWM:")); ok {
				var kb int64
				if _, err := fmt.Sscan(string(rest[:min(len(rest), 40)]), &kb); err == nil {
					peak = max(peak, kb<<10)
				}
			}
		}
		select {
		case <-done:
			return peak
		case <-tick.C:
		}
	}
}

// want runs the command and fails the test unless it ends with code.
func (h *home) want(code int, args ...string) outcome {
	h.t.Helper()
	o := h.run(nil, args...)
	if o.code != code {
		h.t.Fatalf("dockreeve %s: exit code %d, want %d\nstdout: %.2000s\nstderr: %.4000s", strings.Join(args, " "), o.code, code, o.stdout, o.stderr)
	}
	return o
}

// importing makes the database out of files.
func (h *home) importing(files ...string) {
	h.t.Helper()
	h.want(0, append([]string{"db", "import"}, files...)...)
}

// report is the JSON of a scan as docs/scan-format.md describes it, as far as these
// tests read it. It is written down here anew, so that a change of the form is noticed.
type report struct {
	Schema   string `json:"schema"`
	Assessed bool   `json:"assessed"`
	Counts   struct {
		Total, Critical, High, Medium, Low, Unrated, KEV, Fixable int
	} `json:"counts"`
	Image struct {
		Kind, Name, Digest, ConfigDigest, Platform string
		Layers                                     []struct{ Digest, DiffID, NotAssessed string }
	} `json:"image"`
	Distro   struct{ ID, Version string } `json:"distro"`
	Packages []struct {
		Type, Name, Version, Arch, Source, SourceVersion, PURL, Location, OwnedBy string
		Layer                                                                     int
		Dev                                                                       bool
	} `json:"packages"`
	Vulnerabilities []vulnerability `json:"vulnerabilities"`
	Suppressed      []vulnerability `json:"suppressed"`
	NotAssessed     []struct {
		What, Reason, Remedy string
		Data                 bool
	} `json:"notAssessed"`
	Malware []struct{ Path, Name string } `json:"malware"`
	Secrets []struct {
		Rule, Path, Redacted string
		Layer                int
		Deleted              bool
	} `json:"secrets"`
}

type vulnerability struct {
	ID, Status, FixedIn, Severity, Source string
	Aliases                               []string
	Package                               int
	KEV                                   *struct{ Added string }
	EPSS                                  *struct{ Score float64 }
	By, Reason                            string
}

func parse(t testing.TB, doc string) *report {
	t.Helper()
	r := &report{}
	if err := json.Unmarshal([]byte(doc), r); err != nil {
		t.Fatalf("not a report: %v\n%.2000s", err, doc)
	}
	if r.Schema != "dockreeve.scan/1" {
		t.Fatalf("schema %q", r.Schema)
	}
	return r
}

// scan scans and reads the report.
func (h *home) scan(code int, args ...string) *report {
	h.t.Helper()
	return parse(h.t, h.want(code, append([]string{"scan", "-o", "json"}, args...)...).stdout)
}

// gaps are the things not assessed, one a line.
func (r *report) gaps() string {
	var out []string
	for _, g := range r.NotAssessed {
		out = append(out, g.What+": "+g.Reason+" ("+g.Remedy+")")
	}
	for i, l := range r.Image.Layers {
		if l.NotAssessed != "" {
			out = append(out, fmt.Sprintf("layer %d: %s", i, l.NotAssessed))
		}
	}
	return strings.Join(out, "\n")
}

// packages are what was found of one type: name, version and whatever more tells two
// apart, sorted and each once.
func (r *report) packages(typ string) []string {
	var out []string
	for _, p := range r.Packages {
		if p.Type == typ {
			out = append(out, p.Name+" "+p.Version)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// findings are the vulnerabilities as lines that can be compared.
func (r *report) findings() []string {
	var out []string
	for _, v := range r.Vulnerabilities {
		p := r.Packages[v.Package]
		out = append(out, strings.Join([]string{p.Type, p.Name, p.Version, v.ID, v.Status, v.FixedIn, v.Severity}, " "))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// same fails unless two sorted lists hold the same lines.
func same(t testing.TB, what string, have, want []string) {
	t.Helper()
	for _, s := range without(want, have) {
		t.Errorf("%s: missing: %s", what, s)
	}
	for _, s := range without(have, want) {
		t.Errorf("%s: too much: %s", what, s)
	}
}

// without gives the first few lines of a that b has not.
func without(a, b []string) []string {
	in := map[string]bool{}
	for _, s := range b {
		in[s] = true
	}
	var out []string
	for _, s := range a {
		if !in[s] {
			if out = append(out, s); len(out) == 15 {
				return append(out, "…")
			}
		}
	}
	return out
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
