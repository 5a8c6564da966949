package catalog

import (
	"archive/tar"
	"bufio"
	"bytes"
	stdgzip "compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/test/need"
	"github.com/klauspost/compress/gzip"
)

// onDisk is an image whose layers are files.
type onDisk struct {
	Image scan.Image
	Files []string
}

func (d *onDisk) Layer(_ context.Context, i int) (io.ReadCloser, error) { return os.Open(d.Files[i]) }

// debianImage makes an image of about 300 MB from what Debian's package manager
// installed on this machine: a base, Python, Node with npm, Java libraries, and a Go
// program built here; four layers, gzip. It is kept below $DOCKREEVE_BENCH_DIR when set.
func debianImage(tb testing.TB) *onDisk {
	tb.Helper()
	need.Command(tb, need.Shared, "dpkg-query")
	dir := os.Getenv("DOCKREEVE_BENCH_DIR")
	if dir == "" {
		dir = tb.TempDir()
	}
	d := &onDisk{}
	if b, err := os.ReadFile(filepath.Join(dir, "image.json")); err == nil && json.Unmarshal(b, d) == nil {
		return d
	}
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Priority} ${Package} ${binary:Package}\n").Output()
	if err != nil {
		need.Skip(tb, need.Shared, "dpkg-query: "+err.Error())
	}
	var base, lang, java []string
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		switch name := f[1]; {
		case f[0] == "required" || f[0] == "important":
			base = append(base, f[2])
		case strings.HasPrefix(name, "python3") || strings.HasPrefix(name, "libpython3") || name == "nodejs" || strings.HasPrefix(name, "perl"):
			lang = append(lang, f[2])
		case strings.HasPrefix(name, "lib") && strings.HasSuffix(name, "-java"):
			java = append(java, f[2])
		}
	}
	goBinary := filepath.Join(tb.TempDir(), "dockreeve")
	build := exec.Command("go", "build", "-o", goBinary, "github.com/dockreeve/dockreeve/cmd/dockreeve")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		need.Skip(tb, need.Shared, "go build: "+string(out))
	}
	d.Image = scan.Image{Name: "bench"}
	seen := map[string]bool{}
	for i, packages := range [][]string{base, lang, java, nil} {
		name := filepath.Join(dir, fmt.Sprintf("layer%d.tar.gz", i))
		f, err := os.Create(name)
		if err != nil {
			tb.Fatal(err)
		}
		z := gzip.NewWriter(f)
		h := sha256.New()
		w := tar.NewWriter(io.MultiWriter(z, h))
		budget := [...]int64{90, 130, 20, 100}[i] << 20
		add := func(from, to string) {
			info, err := os.Lstat(from)
			if err != nil || seen[to] || budget < info.Size() || info.Size() > 110<<20 {
				return
			}
			seen[to] = true
			link, _ := os.Readlink(from)
			hdr, err := tar.FileInfoHeader(info, link)
			if err != nil {
				return
			}
			hdr.Name = to
			if info.IsDir() {
				hdr.Name += "/"
			}
			if err := w.WriteHeader(hdr); err != nil {
				tb.Fatal(err)
			}
			if info.Mode().IsRegular() {
				src, err := os.Open(from)
				if err != nil {
					tb.Fatal(err)
				}
				n, err := io.Copy(w, src)
				src.Close()
				if err != nil {
					tb.Fatal(err)
				}
				budget -= n
			}
		}
		if i == 0 {
			for _, l := range []string{"bin", "sbin", "lib", "lib64"} {
				add("/"+l, l)
			}
			add("/etc/os-release", "etc/os-release")
			add("/usr/lib/os-release", "usr/lib/os-release")
		}
		var status bytes.Buffer
		for _, p := range packages {
			for _, list := range []string{p, strings.Split(p, ":")[0], p + ":amd64"} {
				from := "/var/lib/dpkg/info/" + list + ".list"
				b, err := os.ReadFile(from)
				if err != nil {
					continue
				}
				for path := range strings.Lines(string(b)) {
					path = strings.TrimSpace(path)
					if real, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
						path = filepath.Join(real, filepath.Base(path))
					}
					if len(path) > 2 {
						add(path, path[1:])
					}
				}
				add(from, from[1:])
				break
			}
		}
		if i == 3 {
			add(goBinary, "usr/local/bin/dockreeve")
			_ = filepath.WalkDir("/usr/lib/node_modules", func(path string, _ os.DirEntry, err error) error {
				if err == nil {
					add(path, path[1:])
				}
				return nil
			})
		}
		if len(packages) > 0 {
			all := append([][]string{base}, lang, java)[:i+1]
			for _, p := range slices.Concat(all...) {
				out, err := exec.Command("dpkg-query", "-s", p).Output()
				if err == nil {
					status.Write(out)
					status.WriteByte('\n')
				}
			}
			if err := w.WriteHeader(&tar.Header{Name: "var/lib/dpkg/status", Mode: 0o644, Size: int64(status.Len())}); err != nil {
				tb.Fatal(err)
			}
			_, _ = w.Write(status.Bytes())
		}
		w.Close()
		z.Close()
		f.Close()
		d.Files = append(d.Files, name)
		d.Image.Layers = append(d.Image.Layers, scan.Layer{DiffID: fmt.Sprintf("sha256:%x", h.Sum(nil))})
	}
	if b, err := json.Marshal(d); err == nil {
		_ = os.WriteFile(filepath.Join(dir, "image.json"), b, 0o600)
	}
	return d
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func floor(tb testing.TB, d *onDisk, std bool) int64 {
	var n int64
	for _, name := range d.Files {
		f, err := os.Open(name)
		if err != nil {
			tb.Fatal(err)
		}
		var z io.Reader
		if std {
			z, err = stdgzip.NewReader(bufio.NewReaderSize(f, 64<<10))
		} else {
			z, err = gzip.NewReader(bufio.NewReaderSize(f, 64<<10))
		}
		if err != nil {
			tb.Fatal(err)
		}
		h := sha256.New()
		m, err := io.CopyBuffer(h, struct{ io.Reader }{z}, make([]byte, 128<<10))
		if err != nil {
			tb.Fatal(err)
		}
		n += m
		f.Close()
	}
	return n
}

// BenchmarkRead sets the processor time of a read beside that of only inflating and
// hashing the same layers.
func BenchmarkRead(b *testing.B) {
	d := debianImage(b)
	run := func(name string, do func()) {
		b.Run(name, func(b *testing.B) {
			start := cpu()
			for b.Loop() {
				do()
			}
			b.ReportMetric((cpu()-start).Seconds()/float64(b.N), "cpu-s/op")
		})
	}
	run("floor-klauspost", func() { floor(b, d, false) })
	run("floor-std", func() { floor(b, d, true) })
	readAll := func(opt Options) *scan.Catalog {
		c, err := ReadLayers(context.Background(), d.Image, d, opt)
		if err != nil {
			b.Fatal(err)
		}
		for _, g := range c.NotAssessed {
			b.Logf("gap: %s: %s", g.What, g.Reason)
		}
		return c
	}
	run("cold", func() { readAll(Options{}) })
	run("cold-all", func() { readAll(Options{Secrets: true, Config: true}) })
	cache := b.TempDir()
	c := readAll(Options{Cache: cache})
	counts := map[scan.Type]int{}
	for _, p := range c.Packages {
		counts[p.Type]++
	}
	b.Logf("%d bytes, packages %v", floor(b, d, false), counts)
	run("warm", func() { readAll(Options{Cache: cache}) })
}

// TestPeakMemory is a child of BenchmarkMemory.
func TestPeakMemory(t *testing.T) {
	file := os.Getenv("DOCKREEVE_BENCH_CHILD")
	if file == "" {
		return // nothing to test: BenchmarkMemory starts this program again with a file
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var d onDisk
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadLayers(context.Background(), d.Image, &d, Options{Cache: os.Getenv("DOCKREEVE_BENCH_CACHE")}); err != nil {
		t.Fatal(err)
	}
	b, err = os.ReadFile("/proc/self/status") // the parent's view would count what it had itself when it forked
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			fmt.Println("peak", strings.Fields(v)[0])
		}
	}
}

// BenchmarkMemory measures the peak resident size and times of processes of their own.
func BenchmarkMemory(b *testing.B) {
	d := debianImage(b)
	dir := b.TempDir()
	file := filepath.Join(dir, "image.json")
	text, _ := json.Marshal(d)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"cold", "warm"} {
		b.Run(name, func(b *testing.B) {
			var peak, used, wall float64
			for b.Loop() {
				if name == "cold" {
					_ = os.RemoveAll(filepath.Join(dir, "cache"))
				}
				cmd := exec.Command(os.Args[0], "-test.run=^TestPeakMemory$")
				cmd.Env = append(os.Environ(), "DOCKREEVE_BENCH_CHILD="+file, "DOCKREEVE_BENCH_CACHE="+filepath.Join(dir, "cache"))
				start := time.Now()
				out, err := cmd.CombinedOutput()
				if err != nil {
					b.Fatalf("%v: %s", err, out)
				}
				var kib float64
				if _, err := fmt.Sscanf(string(out), "peak %f", &kib); err != nil {
					b.Fatalf("%v: %s", err, out)
				}
				wall += time.Since(start).Seconds()
				peak = max(peak, kib/1024)
				used += cmd.ProcessState.SystemTime().Seconds() + cmd.ProcessState.UserTime().Seconds()
			}
			b.ReportMetric(peak, "MB-peak")
			b.ReportMetric(used/float64(b.N), "cpu-s/op")
			b.ReportMetric(wall/float64(b.N), "wall-s/op")
		})
	}
}
