package main

import (
	stdgzip "compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/klauspost/compress/gzip"

	"github.com/dockreeve/dockreeve/test/testimage"
)

// used is what a finished program used.
type used struct {
	cpu, wall float64 // seconds
	rss       float64 // MiB at the peak
}

// measureRun runs a program and says what it used. Exit codes that say what was found
// are no failure.
func measureRun(ctx context.Context, name string, args ...string) (used, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var said limited
	cmd.Stderr = &said
	began := time.Now()
	err := cmd.Run()
	wall := time.Since(began).Seconds()
	var exit *exec.ExitError
	if errors.As(err, &exit) && (exit.ExitCode() == 1 || exit.ExitCode() == 4) {
		err = nil
	}
	if err != nil {
		return used{}, fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, said.String())
	}
	ru := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return used{cpu: (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), wall: wall, rss: float64(ru.Maxrss) / 1024}, nil
}

// floor is a program of its own: it only decompresses and hashes every layer of a
// docker archive, which no scanner can do without. mode is std or fast, by the
// decompressor: Go's own, or the one the scanner uses.
func floor(args []string) error {
	if len(args) != 2 {
		return errors.New("floor: want std|fast and an archive")
	}
	img, err := tarball.ImageFromPath(args[1], nil)
	if err != nil {
		return err
	}
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		r, err := l.Compressed()
		if err != nil {
			return err
		}
		var z io.Reader
		if args[0] == "fast" {
			z, err = gzip.NewReader(r)
		} else {
			z, err = stdgzip.NewReader(r)
		}
		if err != nil {
			return err
		}
		h := sha256.New()
		if _, err := io.CopyBuffer(struct{ io.Writer }{h}, z, make([]byte, 64<<10)); err != nil {
			return err
		}
		if err := r.Close(); err != nil {
			return err
		}
	}
	return nil
}

// scanning is what a scan of one real image costs, beside what no scanner can do
// without, in turn.
func scanning(ctx context.Context, c config) (s section, err error) {
	s.Method = "a Debian image that the benchmark makes (debootstrap, apt, npm, go build; Java, Python, Node and Go content) as a docker archive with gzip layers; whole processes, medians of 7 rounds in turn; the floor only decompresses and hashes"
	path, err := testimage.Big(ctx, testimage.BigOptions{Dir: filepath.Join(c.repo, "out", "bench-image"), Module: c.repo, Log: os.Stderr})
	if err != nil {
		return s, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return s, err
	}
	s.add("archive", float64(info.Size())/(1<<20), "MiB")
	tmp, err := os.MkdirTemp("", "dockreeve-bench-")
	if err != nil {
		return s, err
	}
	defer os.RemoveAll(tmp)
	dockreeve := filepath.Join(c.bin, "dockreeve")
	db := filepath.Join(tmp, "advisories.db")
	pack := os.Getenv("DOCKREEVE_ADVISORIES")
	if pack == "" {
		pack = filepath.Join(c.repo, "../shared/advisories")
	}
	if _, err := os.Stat(filepath.Join(pack, "osv")); err == nil {
		u, err := measureRun(ctx, dockreeve, "db", "import", "--db", db, filepath.Join(pack, "osv"), filepath.Join(pack, "kev"), filepath.Join(pack, "epss"))
		if err != nil {
			return s, err
		}
		size, err := os.Stat(db)
		if err != nil {
			return s, err
		}
		s.add("import of the advisory pack: CPU", u.cpu, "s")
		s.add("import of the advisory pack: peak memory", u.rss, "MiB")
		s.add("database on disk", float64(size.Size())/(1<<20), "MiB")
	} else {
		s.NotMeasured = append(s.NotMeasured, "matching and import: no advisories at "+pack+" (DOCKREEVE_ADVISORIES names another place)")
	}
	warm := filepath.Join(tmp, "warm")
	scan := func(more ...string) func() (used, error) {
		return func() (used, error) {
			return measureRun(ctx, dockreeve, append([]string{"scan", path, "--db", db, "-q", "-o", "json=" + filepath.Join(tmp, "out.json")}, more...)...)
		}
	}
	runs := []struct {
		name string
		do   func() (used, error)
	}{
		{"floor, Go's gzip", func() (used, error) { return measureRun(ctx, c.self, "floor", "std", path) }},
		{"floor, the scanner's gzip", func() (used, error) { return measureRun(ctx, c.self, "floor", "fast", path) }},
		{"cold, packages and vulnerabilities", scan("--no-cache", "--scanners", "vuln")},
		{"cold, with secrets and configuration", scan("--no-cache")},
		{"warm layer cache, with secrets and configuration", scan("--cache-dir", warm)},
	}
	if _, err := runs[len(runs)-1].do(); err != nil { // fills the cache
		return s, err
	}
	rounds := 7
	if c.count == 1 {
		rounds = 1
	}
	cpu, wall, rss := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
	for range rounds {
		for _, r := range runs {
			u, err := r.do()
			if err != nil {
				return s, err
			}
			cpu[r.name], wall[r.name], rss[r.name] = append(cpu[r.name], u.cpu), append(wall[r.name], u.wall), append(rss[r.name], u.rss)
		}
	}
	base := median(cpu[runs[0].name])
	fast := median(cpu[runs[1].name])
	for i, r := range runs {
		row := s.add(r.name+": CPU", median(cpu[r.name]), "s")
		switch {
		case i == 1:
			row.per(base, "floor, Go's gzip")
		case i == 2:
			row.per(base, "floor, Go's gzip").atMost(1.25*base, "≤ 1.25 × the floor")
			s.add(r.name+": CPU against the floor with the scanner's own gzip", median(cpu[r.name]), "s").per(fast, "floor, the scanner's gzip")
		case i == 3:
			row.per(base, "floor, Go's gzip")
		}
		w := s.add(r.name+": wall", median(wall[r.name]), "s")
		if i == 4 {
			w.atMost(0.1, "≤ 0.1 s")
		}
		m := s.add(r.name+": peak memory", median(rss[r.name]), "MiB")
		if i == 2 || i == 3 {
			m.atMost(70, "≤ 70 MB")
		}
	}
	return s, nil
}

// fleet is what comes after the scans: thousands of stored images against new advisories.
func fleet(ctx context.Context, c config) (s section, err error) {
	s.Method = "server/images.BenchmarkRematch, store.BenchmarkAreWeAffected: 10,000 stored images of 300 packages; 1,000 changed advisories"
	for _, b := range []struct{ pkg, pattern, words, goal string }{
		{"./server/images", "^BenchmarkRematch$", "10,000 stored images against an update of 1,000 advisories", "< 10 s"},
		{"./store", "^BenchmarkAreWeAffected$", "are we affected by one id, over all of them", "< 1 s"},
	} {
		got, err := goBench(ctx, c, b.pkg, b.pattern, nil, "-benchtime", "1x")
		if err != nil {
			return s, err
		}
		limit := 10.0
		if b.goal == "< 1 s" {
			limit = 1
		}
		for name, m := range got {
			s.add(b.words+" ("+name+")", m["ns/op"]/1e9, "s").atMost(limit, b.goal)
		}
	}
	return s, nil
}
