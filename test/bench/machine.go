package main

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// machine is what the numbers depend on.
type machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory int64  `json:"memoryMiB"`
	Kernel string `json:"kernel"`
	System string `json:"system"`
	Go     string `json:"go"`
	Disk   string `json:"disk,omitempty"` // file system of the temporary directory
}

func look() machine {
	m := machine{CPU: "not known", Cores: runtime.NumCPU(), Go: runtime.Version(), Kernel: oneLine("/proc/sys/kernel/osrelease")}
	each("/proc/cpuinfo", func(line string) bool {
		k, v, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(k) == "model name" {
			m.CPU = strings.TrimSpace(v)
			return false
		}
		return true
	})
	each("/proc/meminfo", func(line string) bool {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" {
			kib, _ := strconv.ParseInt(f[1], 10, 64) // a zero shows
			m.Memory = kib / 1024
			return false
		}
		return true
	})
	each("/etc/os-release", func(line string) bool {
		if v, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			m.System = strings.Trim(v, `"`)
			return false
		}
		return true
	})
	m.Disk = fileSystem(os.TempDir())
	return m
}

// fileSystem names the type of the mount that holds a path.
func fileSystem(path string) string {
	best, kind := "", ""
	each("/proc/self/mounts", func(line string) bool {
		if f := strings.Fields(line); len(f) > 2 && len(f[1]) >= len(best) && (f[1] == "/" || path == f[1] || strings.HasPrefix(path, f[1]+"/")) {
			best, kind = f[1], f[2]
		}
		return true
	})
	return kind
}

func oneLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "not known: " + err.Error()
	}
	return strings.TrimSpace(string(b))
}

// each gives a file's lines to f until it returns false; a file that cannot be read
// has none.
func each(path string, f func(string) bool) {
	file, err := os.Open(path)
	if err != nil {
		return
	}
	defer file.Close()
	for s := bufio.NewScanner(file); s.Scan(); {
		if !f(s.Text()) {
			return
		}
	}
}

func loadAverage() string {
	f := strings.Fields(oneLine("/proc/loadavg"))
	return strings.Join(f[:min(3, len(f))], " ")
}

// ticks is the unit of /proc/PID/stat: USER_HZ is 100 on every Linux that runs Go.
const ticks = 100

// cpuOf is the processor time a process has used so far, its ended children left out.
func cpuOf(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(b), ") ") // its name may hold blanks
	f := strings.Fields(rest)
	if !ok || len(f) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: not understood: %q", pid, b)
	}
	var sum int64
	for _, s := range f[11:13] {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		sum += n
	}
	return time.Duration(sum) * time.Second / ticks, nil
}

// memoryOf reads a process's resident and proportional sizes in MiB.
func memoryOf(pid int) (rss, pss float64, err error) {
	path := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
	each(path, func(line string) bool {
		if f := strings.Fields(line); len(f) == 3 {
			kib, _ := strconv.ParseFloat(f[1], 64)
			switch f[0] {
			case "Rss:":
				rss = kib / 1024
			case "Pss:":
				pss = kib / 1024
			}
		}
		return true
	})
	if rss == 0 {
		return 0, 0, fmt.Errorf("%s: no sizes in it", path)
	}
	return rss, pss, nil
}

// machineBusy is the share of all cores in use between two calls: it returns the
// busy and the whole time so far, in ticks.
func machineBusy() (busy, all float64) {
	f := strings.Fields(oneLine("/proc/stat"))
	for i := 1; i < len(f) && i <= 8 && strings.HasPrefix(f[0], "cpu"); i++ {
		n, err := strconv.ParseFloat(f[i], 64)
		if err != nil {
			break
		}
		all += n
		if i != 4 && i != 5 { // idle, iowait
			busy += n
		}
	}
	return busy, all
}

// usage is what a process used over a stretch of time.
type usage struct {
	millicores float64
	busy       float64 // of the whole machine, 0 to 1
	rss, pss   float64 // MiB, at the end
}

// watch measures a process over d.
func watch(pid int, d time.Duration) (usage, error) {
	c0, err := cpuOf(pid)
	if err != nil {
		return usage{}, err
	}
	b0, a0 := machineBusy()
	t0 := time.Now()
	time.Sleep(d)
	c1, err := cpuOf(pid)
	if err != nil {
		return usage{}, err
	}
	b1, a1 := machineBusy()
	u := usage{millicores: 1000 * (c1 - c0).Seconds() / time.Since(t0).Seconds(), busy: (b1 - b0) / max(1, a1-a0)}
	u.rss, u.pss, err = memoryOf(pid)
	return u, err
}

// distribution is quantiles of durations in milliseconds.
type distribution struct{ n, p50, p99, max float64 }

func distributionOf(ns []int64) distribution {
	if len(ns) == 0 {
		return distribution{}
	}
	slices.Sort(ns)
	at := func(q float64) float64 { return float64(ns[min(len(ns)-1, int(q*float64(len(ns))))]) / 1e6 }
	return distribution{float64(len(ns)), at(0.5), at(0.99), at(1)}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if len(v)%2 == 0 {
		return (v[len(v)/2-1] + v[len(v)/2]) / 2
	}
	return v[len(v)/2]
}

// syncTimes is what a small write takes until it is on the disk: the floor of
// everything that acknowledges after commit.
func syncTimes(n int) (distribution, error) {
	dir, err := os.MkdirTemp("", "dockreeve-bench-")
	if err != nil {
		return distribution{}, err
	}
	defer os.RemoveAll(dir)
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return distribution{}, err
	}
	defer f.Close()
	page := make([]byte, 4096)
	var took []int64
	for range n {
		t := time.Now()
		if _, err := f.Write(page); err != nil {
			return distribution{}, err
		}
		if err := f.Sync(); err != nil {
			return distribution{}, err
		}
		took = append(took, int64(time.Since(t)))
		time.Sleep(5 * time.Millisecond)
	}
	return distributionOf(took), nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
