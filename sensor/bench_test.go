package sensor

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/internal/sandbox"
	"github.com/dockreeve/dockreeve/process"
	"github.com/dockreeve/dockreeve/test/need"
)

// What the benchmarks below measure, and how, is in docs/sensor.md. Run them with
//
//	go test ./sensor -run '^$' -bench . -benchtime 1x
//
// as root. They report CPU time, which a busy machine distorts less than wall time.

// work runs this binary as a measured process and returns its CPU time.
func work(b *testing.B, what string, args ...string) time.Duration {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), self, args...)
	cmd.Env = append(os.Environ(), childEnv+"="+what, "GOMAXPROCS=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v: %s", what, err, out)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

func ownCPU() time.Duration {
	var r unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &r) // cannot fail for oneself
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// during runs f while a sensor with this interest delivers to a handler that does
// nothing, and returns the agent's own CPU time and counts.
func during(b *testing.B, i event.Interest, f func(*Sensor)) (time.Duration, Stats) {
	b.Helper()
	s, err := Open(b.Context(), Options{Interest: i})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	before := ownCPU()
	go func() { done <- s.Run(ctx, Handler{Event: func(*event.Event, *event.Facts) {}}) }()
	f(s)
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	cpu := ownCPU() - before
	st := s.Stats()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	return cpu, st
}

func median(d []float64) float64 {
	slices.Sort(d)
	return d[len(d)/2]
}

// BenchmarkTraced is what watching costs the watched: the same loop in turn without
// a sensor, with process events only, and with everything; medians of the rounds,
// and their ratios within the same run.
func BenchmarkTraced(b *testing.B) {
	need.Root(b)
	file := b.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		b.Fatal(err)
	}
	for _, w := range []struct {
		name, child string
		n           int
		args        []string
	}{
		{"getppid", "getppid", 1000000, nil},
		{"open+close", "flood", 200000, []string{file}},
		{"fork+exec+exit", "spawn", 500, nil},
	} {
		b.Run(w.name, func(b *testing.B) {
			const rounds = 7
			var none, process, all, agent []float64
			per := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(w.n) }
			args := append(slices.Clone(w.args), strconv.Itoa(w.n))
			for range rounds {
				none = append(none, per(work(b, w.child, args...)))
				during(b, event.Interest{}, func(*Sensor) { process = append(process, per(work(b, w.child, args...))) })
				cpu, st := during(b, everything(), func(*Sensor) { all = append(all, per(work(b, w.child, args...))) })
				if n := st.Process.Delivered + st.Activity.Delivered; n > 0 {
					agent = append(agent, float64(cpu.Nanoseconds())/float64(n))
				}
			}
			base := median(none)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(base, "none-cpu-ns/op")
			b.ReportMetric(median(process), "process-cpu-ns/op")
			b.ReportMetric(median(all), "all-cpu-ns/op")
			b.ReportMetric(median(process)/base, "process-ratio")
			b.ReportMetric(median(all)/base, "all-ratio")
			if w.child != "getppid" {
				b.ReportMetric(median(agent), "agent-cpu-ns/event")
			}
		})
	}
}

// BenchmarkAgent is what the sensor itself costs at 2,000 events a second: opens
// with one exec in a hundred, for ten seconds, to a handler that does nothing but
// take the time from the kernel's stamp to its call.
func BenchmarkAgent(b *testing.B) {
	need.Root(b)
	const rate, seconds = 2000, 10
	file := b.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		b.Fatal(err)
	}
	s, err := Open(b.Context(), Options{Interest: everything()})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	late := make([]float64, 0, 4*rate*seconds)
	go func() {
		done <- s.Run(ctx, Handler{Event: func(e *event.Event, _ *event.Facts) {
			boot, _ := clocks()
			if len(late) < cap(late) {
				late = append(late, float64(boot-e.Boot)/1e6)
			}
		}})
	}()
	before, from := ownCPU(), time.Now()
	work(b, "pace", file, fmt.Sprint(rate), fmt.Sprint(seconds))
	cpu, took := ownCPU()-before, time.Since(from)
	rss, pss := memory(b)
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	st := s.Stats()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	slices.Sort(late)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(st.Process.Delivered+st.Activity.Delivered)/took.Seconds(), "events/s")
	b.ReportMetric(1000*cpu.Seconds()/took.Seconds(), "millicores")
	b.ReportMetric(rss, "RSS-MiB")
	b.ReportMetric(pss, "PSS-MiB")
	b.ReportMetric(late[len(late)/2], "p50-ms")
	b.ReportMetric(late[len(late)*99/100], "p99-ms")
	b.ReportMetric(float64(st.Process.RingFull+st.Activity.RingFull), "lost")
}

// memory reads this process's resident and proportional sizes in MiB.
func memory(b *testing.B) (rss, pss float64) {
	b.Helper()
	text, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) == 3 && (f[0] == "Rss:" || f[0] == "Pss:") {
			kib, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				b.Fatal(err)
			}
			if f[0] == "Rss:" {
				rss = kib / 1024
			} else {
				pss = kib / 1024
			}
		}
	}
	return rss, pss
}

// BenchmarkLoads is what following loads costs the containers followed: opening a file
// again and again, by a name that interpreters load and by one they do not, and mapping
// it executable; each in turn without a sensor, with what the process table asks for,
// and with loads too. Medians of the rounds, CPU time.
func BenchmarkLoads(b *testing.B) {
	need.Root(b)
	need.Command(b, need.Kernel, "busybox")
	need.Command(b, need.Kernel, "runc")
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	box, err := sandbox.Create(b.Context(), sandbox.Options{
		Binaries: map[string]string{"/bin/child": self}, Files: map[string]string{"/app/a.py": "x", "/app/a.txt": "x"},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := box.Close(); err != nil {
			b.Error(err)
		}
	}()
	without := process.Interest()
	with := process.Interest()
	with.Add(event.Need{Reason: "test", Types: event.NewTypeSet(event.TypeLoad)})
	for _, w := range []struct {
		name, child, file string
		n                 int
	}{{"open+close py", "flood", "/app/a.py", 100000}, {"open+close txt", "flood", "/app/a.txt", 100000}, {"mmap+munmap", "map", "/app/a.py", 100000}} {
		b.Run(w.name, func(b *testing.B) {
			one := func() float64 {
				cmd := box.Command(b.Context(), "/bin/env", childEnv+"="+w.child, "GOMAXPROCS=1", "/bin/child", w.file, strconv.Itoa(w.n))
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%s: %v: %s", w.child, err, out)
				}
				return float64((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Nanoseconds()) / float64(w.n)
			}
			var none, before, after []float64
			for range 5 {
				none = append(none, one())
				during(b, without, func(*Sensor) { before = append(before, one()) })
				during(b, with, func(*Sensor) { after = append(after, one()) })
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(none), "none-cpu-ns/op")
			b.ReportMetric(median(before), "without-cpu-ns/op")
			b.ReportMetric(median(after), "with-cpu-ns/op")
		})
	}
}
