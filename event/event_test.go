package event

import (
	"net/netip"
	"slices"
	"testing"
)

// sample is a busy event: an open that created a file, in a container, with a
// lineage of three.
func sample() *Event {
	c := &Container{
		ID: "0123456789abcdef0123", Runtime: "containerd", Name: "web", Image: "reg.io/shop/web:1.2",
		ImageRepo: "reg.io/shop/web", ImageTag: "1.2", PodName: "web-1", PodNamespace: "shop",
		Labels:     []Label{{"app", "web"}, {"tier", "front"}},
		Mounts:     []Mount{{Source: "/proc/x", Dest: "/host", Mode: "ro", Propagation: "rprivate", ReadOnly: true}, {Source: "/etc", Dest: "/mnt/etc"}},
		Privileged: No, StartTime: 900,
	}
	init := &Process{PID: 1, Comm: "init", Exe: "/sbin/init", Cmdline: "init", SID: 1, PGID: 1}
	shell := &Process{PID: 20, PPID: 1, Parent: init, Comm: "bash", Exe: "bash", Args: []string{"-l"}, Cmdline: "bash -l", SID: 20, PGID: 20, VPID: 7, Container: c, Time: 500, Start: 400}
	p := &Process{
		PID: 30, PPID: 20, Parent: shell, Comm: "cat", Exe: "/bin/cat", ExePath: "/usr/bin/cat",
		Args: []string{"-n", "a b"}, Cmdline: "cat -n a b", Env: []string{"HOME=/root", "X=1"}, Cwd: "/tmp/",
		VPID: 9, PGID: 30, VPGID: 9, SID: 20, LoginUID: 1<<32 - 1, UID: 33, User: "www", CapEffective: 1<<21 | 1,
		ExeIno: 5, ExeCtime: 100, Time: 700, Start: 600, Container: c,
		Stdio: [3]Stream{{Kind: FDPipe, Ino: 77, Peer: "curl"}, {Kind: FDIPv4, Remote: netip.MustParseAddrPort("10.0.0.9:4444")}, {Kind: FDDevice}},
	}
	return &Event{
		ID: ID{Node: 1, Boot: 2, Lane: LaneActivity, Seq: 42}, Type: TypeOpenat, Flags: FlagHasFD | FlagHasRet | FlagCreated,
		Time: 1_000_000_000_000_001_000, Boot: 1000, CPU: 1, TID: 31, Ret: 3, Process: p, Container: c,
		FD: 3, FDKind: FDFile, Path: "/tmp/x/y.txt", Raw: "x//y.txt", OpenFlags: openWronly | openCreat | openTrunc | openCloexec, Mode: 0o755, Dev: 8<<20 | 3, Ino: 99,
	}
}

func sampleConnect() *Event {
	e := sample()
	e.Type, e.Flags, e.Path, e.Raw = TypeConnect, FlagHasFD|FlagHasRet, "", ""
	e.FDKind, e.Family, e.L4, e.Role, e.Ret = FDIPv4, 2, L4TCP, RoleClient, -115
	e.Client, e.Server = netip.MustParseAddrPort("10.0.0.2:5000"), netip.MustParseAddrPort("1.1.1.1:443")
	return e
}

// value reads a field as text, whatever its type; "" and false for no value.
func value(t *testing.T, e *Event, name string, a *Arg) (string, bool) {
	t.Helper()
	f, key, ok := ResolveField(name)
	if !ok {
		t.Fatalf("no field %s", name)
	}
	if key != "" {
		a = &Arg{Key: key}
	}
	return format(f, e, a)
}

func TestGetters(t *testing.T) {
	open, connect := sample(), sampleConnect()
	failed := sample()
	failed.Ret, failed.FD, failed.FDKind = -2, -2, FDNone
	unknown := sample()
	unknown.Container = &Container{ID: "0123456789abcdef", Name: "wrong", Unknown: "not seen yet", Privileged: Yes}
	host := sample()
	host.Container = nil
	orphan := sample()
	orphan.Process.Parent = nil
	dup := sampleConnect()
	dup.Type, dup.FD, dup.OldFD, dup.Ret, dup.Role = TypeDup2, 0, 3, 0, RoleUnknown
	const none = "<none>"
	num := func(n int) *Arg { return &Arg{Index: n, IsNum: true} }
	key := func(k string) *Arg { return &Arg{Key: k} }
	for _, c := range []struct {
		e    *Event
		name string
		arg  *Arg
		want string
	}{
		{open, "evt.type", nil, "openat"},
		{open, "evt.num", nil, "42"},
		{open, "evt.res", nil, "SUCCESS"},
		{failed, "evt.res", nil, "ENOENT"},
		{failed, "evt.failed", nil, "true"},
		{open, "evt.is_open_write", nil, "true"},
		{open, "evt.is_open_read", nil, "false"},
		{open, "evt.is_open_exec", nil, "true"},
		{open, "evt.is_open_create", nil, "true"},
		{connect, "evt.is_open_write", nil, "false"},
		{open, "evt.time", nil, "01:46:40.000001000"},
		{open, "evt.arg.flags", nil, "O_TRUNC|O_CREAT|O_WRONLY|O_CLOEXEC|O_F_CREATED"},
		{open, "evt.rawarg", key("flags"), "20742"},
		{open, "evt.arg.fd", nil, "<f>/tmp/x/y.txt"},
		{failed, "evt.arg.fd", nil, "ENOENT"},
		{open, "evt.arg.name", nil, "/tmp/x/y.txt"},
		{open, "evt.arg", num(4), "0755"},
		{open, "evt.arg.dev", nil, "803"},
		{open, "evt.arg.nothing", nil, none},
		{open, "evt.args", nil, "fd=3(<f>/tmp/x/y.txt) name=x//y.txt(/tmp/x/y.txt) flags=20742(O_TRUNC|O_CREAT|O_WRONLY|O_CLOEXEC|O_F_CREATED) mode=0755 dev=803 ino=99 "},
		{connect, "evt.arg.tuple", nil, "10.0.0.2:5000->1.1.1.1:443"},
		{connect, "evt.arg.fd", nil, "<4t>10.0.0.2:5000->1.1.1.1:443"},
		{connect, "evt.arg.res", nil, "EINPROGRESS"},
		{open, "fd.name", nil, "/tmp/x/y.txt"},
		{open, "fd.nameraw", nil, "x/y.txt"},
		{open, "fd.directory", nil, "/tmp/x"},
		{open, "fd.filename", nil, "y.txt"},
		{open, "fd.typechar", nil, "f"},
		{failed, "fd.typechar", nil, none},
		{failed, "fd.name", nil, "/tmp/x/y.txt"},
		{failed, "fd.directory", nil, "/tmp/x"},
		{open, "fd.dev.minor", nil, "3"},
		{connect, "fd.name", nil, "10.0.0.2:5000->1.1.1.1:443"},
		{connect, "fd.type", nil, "ipv4"},
		{connect, "fd.sip", nil, "1.1.1.1"},
		{connect, "fd.rport", nil, "443"},
		{connect, "fd.ip", nil, "10.0.0.2,1.1.1.1"},
		{connect, "fd.l4proto", nil, "tcp"},
		{connect, "fd.connected", nil, "false"},
		{connect, "fd.directory", nil, none},
		{dup, "fd.sip", nil, none},
		{dup, "fd.rip", nil, "1.1.1.1"},
		{dup, "fd.num", nil, "0"},
		{dup, "evt.arg.oldfd", nil, "<4t>10.0.0.2:5000->1.1.1.1:443"},
		{open, "proc.name", nil, "cat"},
		{open, "proc.args", nil, "-n a b"},
		{open, "proc.args", num(1), "a b"},
		{open, "proc.args", num(2), none},
		{open, "proc.cmdline", nil, "cat -n a b"},
		{open, "proc.exeline", nil, "/bin/cat -n a b"},
		{open, "proc.cmdlenargs", nil, "5"},
		{open, "proc.pname", nil, "bash"},
		{orphan, "proc.pname", nil, none},
		{open, "proc.aname", num(0), "cat"},
		{open, "proc.aname", num(2), "init"},
		{open, "proc.aname", num(3), none},
		{open, "proc.apid", num(1), "20"},
		{open, "proc.sname", nil, "bash"},
		{open, "proc.pgid.name", nil, "cat"},
		{open, "proc.env", nil, "HOME=/root X=1"},
		{open, "proc.env", key("HOME"), "/root"},
		{open, "proc.env", key("HOM"), none},
		{open, "proc.aargs", num(1), "-l"},
		{open, "proc.duration", nil, "400"},
		{open, "proc.is_vpgid_leader", nil, "true"},
		{open, "proc.loginshellid", nil, "20"},
		{open, "proc.exe_ino.ctime_duration_proc_start", nil, "600"},
		{open, "proc.phase", nil, "run"},
		{open, "proc.stdin.type", nil, "pipe"},
		{open, "proc.stdin.peer", nil, "curl"},
		{open, "proc.stdout.rip", nil, "10.0.0.9"},
		{open, "proc.stdout.rport", nil, "4444"},
		{open, "proc.stderr.type", nil, "file"},
		{open, "thread.cap_effective", nil, "CAP_CHOWN CAP_SYS_ADMIN"},
		{open, "thread.cap_permitted", nil, ""},
		{open, "thread.ismain", nil, "false"},
		{open, "user.loginuid", nil, "-1"},
		{open, "user.name", nil, "www"},
		{open, "group.name", nil, none},
		{open, "container.id", nil, "0123456789ab"},
		{host, "container.id", nil, "host"},
		{host, "container.name", nil, "host"},
		{host, "container.image", nil, none},
		{host, "k8s.ns.name", nil, none},
		{unknown, "container.id", nil, "0123456789ab"},
		{unknown, "container.name", nil, none},
		{unknown, "container.privileged", nil, none},
		{open, "container.privileged", nil, "false"},
		{open, "container.mount.dest", key("/proc*"), "/host"},
		{open, "container.mount.dest", key("/root*"), none},
		{open, "container.mount.source", key("/mnt/etc"), "/etc"},
		{open, "container.mount.rdwr", num(0), "false"},
		{open, "container.mount", num(1), "/etc:/mnt/etc::true:"},
		{open, "container.mounts", nil, "/proc/x:/host:ro:false:rprivate,/etc:/mnt/etc::true:"},
		{open, "container.label", key("tier"), "front"},
		{open, "container.labels", nil, "app:web, tier:front"},
		{open, "container.duration", nil, "1000000000000000100"},
		{open, "k8s.pod.name", nil, "web-1"},
		{open, "fs.path.name", nil, "/tmp/x/y.txt"},
		{open, "evt.truncated", nil, "false"},
		{open, "fd.created", nil, "true"},
	} {
		got, ok := value(t, c.e, c.name, c.arg)
		if !ok {
			got = none
		}
		if got != c.want {
			t.Errorf("%s %+v = %q, want %q", c.name, c.arg, got, c.want)
		}
	}
}

// TestGettersBare reads every field of an event that has nothing.
func TestGettersBare(t *testing.T) {
	for _, f := range Fields() {
		for _, a := range []*Arg{nil, {Key: "x"}, {Index: 3, IsNum: true}} {
			format(f, &Event{}, a)
		}
	}
}

func TestFieldShape(t *testing.T) {
	fields := Fields()
	if !slices.IsSortedFunc(fields, func(a, b *Field) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	}) {
		t.Error("fields are not sorted by name")
	}
	for _, f := range fields {
		n := 0
		for _, set := range []bool{f.Str != nil, f.Int != nil, f.Bool != nil, f.Addr != nil, f.Strs != nil, f.Ints != nil, f.Addrs != nil} {
			if set {
				n++
			}
		}
		if want := map[bool]int{true: 1, false: 0}[f.Supplied()]; n != want {
			t.Errorf("%s: %d getters, want %d", f.Name, n, want)
		}
		if f.Doc == "" {
			t.Errorf("%s has no meaning", f.Name)
		}
	}
}

// TestGettersDoNotAllocate reads every field twice on a reused event.
func TestGettersDoNotAllocate(t *testing.T) {
	for _, base := range []*Event{sample(), sampleConnect()} {
		var e Event
		strs, ints, addrs := make([]string, 0, 8), make([]int64, 0, 8), make([]netip.Addr, 0, 8)
		args := []*Arg{nil, {Key: "flags"}, {Key: "/proc*"}, {Index: 1, IsNum: true}}
		fields := Fields()
		run := func() {
			e.Reset()
			scratch, cache := e.scratch, e.derived
			e = *base
			e.scratch, e.derived = scratch, cache
			for _, f := range fields {
				for _, a := range args {
					switch {
					case f.Str != nil:
						f.Str(&e, a)
						f.Str(&e, a)
					case f.Int != nil:
						f.Int(&e, a)
					case f.Bool != nil:
						f.Bool(&e, a)
					case f.Addr != nil:
						f.Addr(&e, a)
					case f.Strs != nil:
						strs = f.Strs(&e, a, strs[:0])
					case f.Ints != nil:
						ints = f.Ints(&e, a, ints[:0])
					case f.Addrs != nil:
						addrs = f.Addrs(&e, a, addrs[:0])
					}
				}
			}
		}
		run()
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations", base.Type, n)
		}
	}
}

// TestResetForgets shows that nothing derived survives into the next event.
func TestResetForgets(t *testing.T) {
	e := sampleConnect()
	if s, _ := value(t, e, "fd.name", nil); s == "" {
		t.Fatal("no name")
	}
	e.Reset()
	if s, ok := value(t, e, "fd.name", nil); ok {
		t.Errorf("fd.name = %q after Reset", s)
	}
}

func TestTypeSet(t *testing.T) {
	all := AllTypes()
	if all.Len() != int(typeCount)-1 {
		t.Errorf("all types: %d, want %d", all.Len(), typeCount-1)
	}
	var s TypeSet
	for ty := range all.All() {
		if got, ok := TypeByName(ty.String()); !ok || got != ty {
			t.Fatalf("TypeByName(%q) = %v, %v", ty.String(), got, ok)
		}
		s.Add(ty)
	}
	s.Add(TypeNone)
	s.Add(typeCount)
	if s != all {
		t.Error("adding each type does not give all types")
	}
	one := NewTypeSet(TypeConnect)
	rest := one.Complement()
	if both := one.Intersect(rest); !both.Empty() {
		t.Error("a set and its complement share a type")
	}
	if one.Union(rest) != all {
		t.Error("a set and its complement are not everything")
	}
	sup := SuppliedTypes()
	if sup.Len() != 13 || !sup.Has(TypeExecve) {
		t.Errorf("supplied: %d types", sup.Len())
	}
	if _, ok := TypeByName("no_such_call"); ok {
		t.Error("found a type that is none")
	}
}

func TestInterest(t *testing.T) {
	var i Interest
	i.Add(Need{Reason: "rule A", Types: NewTypeSet(TypeOpen), Opens: OpenReads, Env: []string{"LD_PRELOAD"}})
	i.Add(Need{Reason: "rule A", Types: NewTypeSet(TypeOpenat), Env: []string{"A", "LD_PRELOAD"}})
	var o Interest
	o.Add(Need{Reason: "drift", Types: NewTypeSet(TypeOpen), Opens: OpenWrites})
	i.Merge(o)
	if len(i.Needs) != 2 || !i.Wants(OpenWrites) || i.Wants(OpenFailures) || !slices.Equal(i.Env, []string{"A", "LD_PRELOAD"}) {
		t.Errorf("merged: %+v", i)
	}
	if why := i.Why(TypeOpen); !slices.Equal(why, []string{"rule A", "drift"}) {
		t.Errorf("why open: %v", why)
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"/proc*", "/proc/a/b", true}, {"/proc*", "/pro", false}, {"*", "", true}, {"a?c", "abc", true},
		{"[a-c]x", "bx", true}, {"[!a-c]x", "bx", false}, {`\*`, "*", true}, {`\*`, "a", false}, {"[", "[", true},
		{"*a*b*", "xxaxxbxx", true}, {"*a*b", "xxaxxbxx", false},
	} {
		if got := glob(c.pattern, c.s); got != c.want {
			t.Errorf("glob(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}

// TestHostPath translates what a container calls a file into what its host calls it.
func TestHostPath(t *testing.T) {
	c := &Container{Mounts: []Mount{
		{Source: "/", Dest: "/host"}, {Source: "/srv/keys", Dest: "/host/keys/"}, {Source: "tmpfs", Dest: "/tmp"},
		{Source: "/old", Dest: "/data"}, {Source: "/new", Dest: "/data"},
	}}
	unknown := &Container{Unknown: "not asked yet", Mounts: c.Mounts}
	out := &Process{HostRoot: Yes}
	f, _ := LookupField("fd.host_path")
	for _, tc := range []struct {
		c          *Container
		p          *Process
		path, want string // "" = no value
	}{
		{c, nil, "/host/etc/crontab", "/etc/crontab"}, {c, nil, "/host", "/"}, {c, nil, "/hosts", ""}, {c, nil, "/etc/crontab", ""},
		{c, nil, "/host/keys/a", "/srv/keys/a"}, {c, nil, "/tmp/a", ""}, {c, nil, "/data/a", "/new/a"}, {c, nil, "", ""},
		{unknown, nil, "/host/etc/crontab", ""}, {nil, nil, "/etc/crontab", ""},
		{c, out, "/data/a", "/data/a"}, {unknown, out, "/etc/crontab", "/etc/crontab"}, {nil, out, "/etc/crontab", ""},
	} {
		e := &Event{Path: tc.path, Container: tc.c, Process: tc.p}
		if got, ok := f.Str(e, nil); got != tc.want || ok != (tc.want != "") {
			t.Errorf("%s is %q (%v) on the host, want %q", tc.path, got, ok, tc.want)
		}
	}
}
