package rule

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/event"
)

// mixSize is the number of events of the fixed mix; one of them is a hit.
const mixSize = 10_000

// eventMix makes the fixed mix: 60 % file opens, 15 % connects, 10 % execs, 10 %
// forks and exits, 5 % dups, from 40 containers and a host with the programs one
// meets there, and one read of /etc/shadow in it. It is the same on every run.
func eventMix() []*event.Event {
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(s []string) string { return s[rnd.IntN(len(s))] }
	images := []string{"docker.io/library/nginx", "registry.example.com/shop/cart", "docker.io/library/postgres", "quay.io/team/api",
		"mcr.microsoft.com/dotnet/aspnet", "docker.io/library/redis", "registry.example.com/shop/front", "gcr.io/tools/worker"}
	programs := [][]string{{"nginx", "-g", "daemon off;"}, {"java", "-Xmx512m", "-jar", "/app/cart.jar", "--spring.profiles.active=prod"},
		{"postgres", "-D", "/var/lib/postgresql/data"}, {"python3", "/app/main.py", "--workers", "4"}, {"dotnet", "Api.dll"}, {"redis-server", "*:6379"},
		{"node", "server.js"}, {"worker", "--queue", "default", "--concurrency", "16"}}
	execs := [][]string{{"test", "-f", "/tmp/healthy"}, {"grpc-probe", "-addr=127.0.0.1:8080", "-connect-timeout=250ms"}, {"pg_isready", "-U", "postgres"},
		{"date", "+%s"}, {"grep", "-q", "ok", "/tmp/state"}, {"ls", "-la", "/app"}, {"env"}, {"sed", "-n", "1,20p", "/app/config.ini"}}
	reads := []string{"/etc/resolv.conf", "/etc/hosts", "/proc/self/status", "/proc/meminfo", "/app/config/settings.json", "/usr/share/zoneinfo/UTC",
		"/lib/x86_64-linux-gnu/libc.so.6", "/etc/ld.so.cache", "/usr/lib/locale/locale-archive", "/var/lib/postgresql/data/base/16384/%d",
		"/app/static/img/%d.png", "/sys/fs/cgroup/memory.current", "/usr/lib/python3/dist-packages/mod%d.py", "/tmp/cache/%d", "/etc/ssl/certs/ca-certificates.crt"}
	writes := []string{"/var/log/nginx/access.log", "/tmp/upload-%d", "/var/lib/postgresql/data/pg_wal/%d", "/dev/null", "/app/tmp/session-%d"}

	type place struct {
		c    *event.Container
		proc *event.Process
	}
	var places []place
	pid := int32(1)
	proc := func(parent *event.Process, c *event.Container, argv []string) *event.Process {
		pid++
		p := &event.Process{
			PID: pid, Parent: parent, Comm: argv[0], Exe: argv[0], ExePath: "/usr/bin/" + argv[0], Args: argv[1:], Cmdline: strings.Join(argv, " "),
			Cwd: "/app/", VPID: 2 + pid%100, UID: 1000, User: "app", LoginUID: 1<<32 - 1, Start: int64(pid) * 1e6, Time: 1e18 + int64(pid)*1e6, ExecTime: 1e18, Container: c,
			ExeIno: 99, ExeCtime: 1e17,
		}
		if parent != nil {
			p.PPID = parent.PID
		}
		return p
	}
	systemd := proc(nil, nil, []string{"systemd", "--switched-root"})
	for i := range 40 {
		image := images[i%len(images)]
		c := &event.Container{ID: fmt.Sprintf("%064x", 0xabcdef+i*7919), Runtime: "containerd", Name: "app", Image: image + ":1.4", ImageRepo: image, ImageTag: "1.4",
			PodName: fmt.Sprintf("app-%d", i), PodNamespace: "shop", StartTime: 1e18, Privileged: event.No,
			Mounts: []event.Mount{{Source: "/var/lib/kubelet/pods/x/volumes/token", Dest: "/var/run/secrets/kubernetes.io/serviceaccount", ReadOnly: true}}}
		shim := proc(systemd, nil, []string{"containerd-shim", "-namespace", "k8s.io", "-id", c.ID[:12]})
		init := proc(shim, c, programs[i%len(programs)])
		places = append(places, place{c, init}, place{c, proc(init, c, programs[i%len(programs)])})
	}
	for _, d := range []string{"kubelet", "containerd", "systemd-journald", "dockerd"} {
		places = append(places, place{nil, proc(systemd, nil, []string{d, "--config", "/etc/" + d + ".yaml"})})
	}
	name := func(s string) string {
		if strings.Contains(s, "%d") {
			return fmt.Sprintf(s, rnd.IntN(5000))
		}
		return s
	}
	out := make([]*event.Event, mixSize)
	for i := range out {
		at := places[rnd.IntN(len(places))]
		e := &event.Event{ID: event.ID{Node: 1, Boot: 1, Lane: event.LaneActivity, Seq: uint64(i + 1)}, Time: 1e18 + int64(i)*1000, TID: at.proc.PID,
			Process: at.proc, Container: at.c, Flags: event.FlagHasRet}
		switch n := rnd.IntN(100); {
		case n < 60:
			e.Type = event.TypeOpenat
			e.Flags |= event.FlagHasFD
			e.FD, e.FDKind, e.Path, e.Ret = 7, event.FDFile, name(pick(reads)), 7
			if rnd.IntN(6) == 0 {
				e.Path, e.OpenFlags = name(pick(writes)), 1|0x40
			}
			if rnd.IntN(20) == 0 {
				e.FD, e.FDKind, e.Ret = -2, event.FDNone, -2
			}
			e.Raw = e.Path
		case n < 75:
			e.Type = event.TypeConnect
			e.Flags |= event.FlagHasFD
			e.FD, e.FDKind, e.Family, e.L4, e.Role = 9, event.FDIPv4, 2, event.L4TCP, event.RoleClient
			e.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 244, byte(rnd.IntN(20)), byte(rnd.IntN(250))}), uint16(32768+rnd.IntN(20000)))
			e.Server = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 96, 0, byte(rnd.IntN(250))}), []uint16{443, 5432, 6379, 8080, 53}[rnd.IntN(5)])
			e.Ret = -115
		case n < 85:
			e.Type = event.TypeExecve
			e.Process = proc(at.proc, at.c, execs[rnd.IntN(len(execs))])
			for p := at.proc; p != nil && p.Comm == "postgres"; p = p.Parent {
				e.Process.Parent = p.Parent // stock rules call any child of a database a hit
			}
		case n < 90:
			e.Type = event.TypeClone
		case n < 95:
			e.Type = event.TypeProcexit
		default:
			e.Type = event.TypeDup2
			e.Flags |= event.FlagHasFD
			e.FD, e.OldFD, e.FDKind, e.Ret, e.Ino = 1, 5, event.FDPipe, 1, 4711
		}
		out[i] = e
	}
	hit := *out[0]
	hit.Type, hit.Path, hit.Raw, hit.FD, hit.FDKind, hit.OpenFlags, hit.Ret = event.TypeOpenat, "/etc/shadow", "/etc/shadow", 5, event.FDFile, 0, 5
	hit.Process = proc(places[0].proc, places[0].c, []string{"cat", "/etc/shadow"})
	hit.Container, hit.Flags = places[0].c, event.FlagHasFD|event.FlagHasRet
	out[mixSize/2] = &hit
	// Side by side in memory, as a reader's batch is.
	batch := make([]event.Event, mixSize)
	for i, e := range out {
		batch[i] = *e
		out[i] = &batch[i]
	}
	return out
}

// syntheticRules makes a rule set of the shape that real ones have: macros for the
// kinds of events, lists of programs and paths, exceptions.
func syntheticRules() []File {
	var b strings.Builder
	b.WriteString(`
- list: shells
  items: [sh, bash, dash, zsh, ksh]
- list: package_tools
  items: [apt, apt-get, dpkg, rpm, yum, dnf, apk, pip, npm]
- macro: opened_read
  condition: (evt.type in (open, openat, openat2) and evt.is_open_read=true and fd.typechar='f' and fd.num>=0)
- macro: opened_write
  condition: (evt.type in (open, openat, openat2) and evt.is_open_write=true and fd.typechar='f' and fd.num>=0)
- macro: started
  condition: (evt.type in (execve, execveat))
- macro: in_container
  condition: (container.id != host)
- macro: out
  condition: (evt.type=connect and fd.typechar in (4, 6) and fd.l4proto=tcp)
- rule: Shadow read
  desc: d
  condition: opened_read and in_container and fd.name=/etc/shadow and not proc.name in (package_tools)
  output: read %fd.name by %proc.cmdline
  priority: WARNING
`)
	for i := range 30 {
		fmt.Fprintf(&b, `
- rule: Read of area %[1]d
  desc: d
  condition: opened_read and (fd.name startswith /secret/%[1]d/ or fd.name contains /.key%[1]d/ or fd.name endswith .pem%[1]d) and not proc.name in (package_tools) and not proc.pname in (shells)
  output: read %%fd.name
  priority: NOTICE
- rule: Write to area %[1]d
  desc: d
  condition: opened_write and in_container and fd.name startswith /opt/area%[1]d/ and not proc.name in (tool%[1]d, package_tools) and not proc.aname[2] in (shells)
  output: write %%fd.name
  priority: NOTICE
- rule: Program %[1]d started
  desc: d
  condition: started and in_container and (proc.name = prog%[1]d or proc.cmdline contains "--mode%[1]d" or proc.exepath startswith /x/%[1]d/) and not proc.aname in (shells)
  output: started %%proc.cmdline
  priority: NOTICE
- rule: Port %[1]d used
  desc: d
  condition: out and fd.sport = %[1]d and not fd.snet in (10.0.0.0/8, 192.168.0.0/16)
  output: connect %%fd.name
  priority: NOTICE
`, i)
	}
	return []File{{Name: "synthetic.yaml", Data: []byte(b.String())}}
}

func compileFiles(tb testing.TB, files []File) *Rules {
	tb.Helper()
	src, diags := Load(files, LoadOptions{ValidField: ValidField})
	rules, more := Compile(src, CompileOptions{})
	for _, d := range append(diags, more...) {
		if d.Severity == SeverityError {
			tb.Error(d)
		}
	}
	return rules
}

// BenchmarkMatch measures events per second on one core, decoded beforehand. The
// directory in DOCKREEVE_RULES_DIR is measured beside the built-in set.
func BenchmarkMatch(b *testing.B) {
	sets := map[string][]File{"synthetic": syntheticRules()}
	if dir := os.Getenv("DOCKREEVE_RULES_DIR"); dir != "" {
		sets[filepath.Base(dir)] = readRules(b, dir)
	}
	cold := eventMix()
	// A live reader refills the same few events: 512 of the mix, over and over, with
	// the hit once in ten thousand. The whole mix, 8 MB, measures memory as well.
	mix := make([]*event.Event, mixSize)
	for i := range mix {
		mix[i] = cold[i%512]
	}
	mix[mixSize/2] = cold[mixSize/2]
	for name, files := range sets {
		rules := compileFiles(b, files)
		prefix := fmt.Sprintf("%s-%d-rules/", name, len(rules.All()))
		b.Run(prefix+"first", func(b *testing.B) { benchmarkMix(b, rules, First, mix) })
		b.Run(prefix+"all", func(b *testing.B) { benchmarkMix(b, rules, All, mix) })
		b.Run(prefix+"first-cold", func(b *testing.B) { benchmarkMix(b, rules, First, cold) })
		for _, typ := range []event.Type{event.TypeOpenat, event.TypeConnect, event.TypeExecve, event.TypeDup2} {
			var part []*event.Event
			for _, e := range mix {
				if e.Type == typ {
					part = append(part, e)
				}
			}
			b.Run(prefix+"only-"+typ.String(), func(b *testing.B) { benchmarkMix(b, rules, First, part) })
		}
	}
}

func benchmarkMix(b *testing.B, rules *Rules, mode Mode, mix []*event.Event) {
	m := NewMatcher(rules, mode)
	hits := 0
	emit := func(*Rule) { hits++ }
	for _, e := range mix {
		m.Match(e, emit)
	}
	perMix := hits
	b.ReportAllocs()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b.ResetTimer()
	before := threadCPU(b)
	for i, k := 0, 0; i < b.N; i++ {
		e := mix[k]
		if k++; k == len(mix) {
			k = 0
		}
		e.Invalidate() // derived strings are part of the work
		m.Match(e, emit)
	}
	used := threadCPU(b) - before
	b.ReportMetric(float64(b.N)/used.Seconds(), "events/cpu-s")
	b.ReportMetric(float64(used.Nanoseconds())/float64(b.N), "cpu-ns/event")
	b.ReportMetric(float64(perMix)/float64(len(mix))*mixSize, "hits/10k")
}

// threadCPU is the processor time of the calling thread: what counts on a machine
// that others use too.
func threadCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	const thisThread = 1 // RUSAGE_THREAD
	if err := syscall.Getrusage(thisThread, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestMatchDoesNotAllocate holds the promise on the whole mix.
func TestMatchDoesNotAllocate(t *testing.T) {
	sets := [][]File{syntheticRules()}
	if dir := os.Getenv("DOCKREEVE_FALCO_RULES"); dir != "" {
		sets = append(sets, readRules(t, filepath.Join(dir, "rules")))
	}
	mix := eventMix()
	for _, files := range sets {
		m := NewMatcher(compileFiles(t, files), All)
		hits := 0
		emit := func(*Rule) { hits++ }
		run := func() {
			for _, e := range mix {
				e.Invalidate()
				m.Match(e, emit)
			}
		}
		run()
		if n := testing.AllocsPerRun(3, run); n != 0 {
			t.Errorf("%v allocations for %d events", n, len(mix))
		}
		if hits == 0 {
			t.Error("the mix has no hit")
		}
	}
}

// readRules reads every rule file under a directory, in order of their names.
func readRules(t testing.TB, dir string) []File {
	t.Helper()
	var names []string
	for _, pattern := range []string{"*.yaml", "*.yml", "rules/*.yaml"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	slices.Sort(names)
	var files []File
	for _, n := range names {
		data, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, File{Name: filepath.Base(n), Data: data})
	}
	return files
}
