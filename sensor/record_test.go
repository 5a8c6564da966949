package sensor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/sensor/bpf"
)

// encode lays a record out as the kernel does.
func encode[T fixed](t testing.TB, r T, kind uint16, parts ...string) []byte {
	t.Helper()
	size := int(unsafe.Sizeof(r))
	b := slices.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&r)), size))
	for _, p := range parts {
		b = append(b, p...)
	}
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	binary.LittleEndian.PutUint16(b[4:], kind)
	return b
}

func TestPaths(t *testing.T) {
	for _, tc := range []struct {
		comps string
		state uint8
		want  string
	}{
		{"", pathNone, ""},
		{"", pathRoot, "/"},
		{"shadow\x00etc\x00", pathRoot, "/etc/shadow"},
		{"runc\x00sbin\x00usr\x00", pathOutside, "/usr/sbin/runc"},
		{"leaf\x00deep\x00", pathCut, "…/deep/leaf"},
		{"cut", pathRoot, "/cut"}, // a NUL that did not make it
		{"\x00\x00", pathRoot, "//"},
	} {
		if got := string(appendPath(nil, []byte(tc.comps), tc.state)); got != tc.want {
			t.Errorf("path of %q (%d) = %q, want %q", tc.comps, tc.state, got, tc.want)
		}
	}
	for in, want := range map[string]string{
		"/a/./b//c/../d": "/a/b/d", "/..": "/", "/../../x": "/x", "/": "/", "": "", "/a/b/../..": "/", "…/a/../b": "…/a/../b", "/a/.../b": "/a/.../b",
	} {
		if got := string(clean([]byte(in))); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSocketAddresses(t *testing.T) {
	for _, tc := range []struct{ in, addr, path string }{
		{"\x02\x00\x00\x50\x7f\x00\x00\x01", "127.0.0.1:80", ""},
		{"\x0a\x00\x01\xbb\x00\x00\x00\x00" + strings.Repeat("\x00", 15) + "\x01\x00\x00\x00\x00", "[::1]:443", ""},
		{"\x0a\x00\x01\xbb\x00\x00\x00\x00" + strings.Repeat("\x00", 10) + "\xff\xff\x0a\x00\x00\x01", "10.0.0.1:443", ""},
		{"\x01\x00/run/x.sock\x00junk", "invalid AddrPort", "/run/x.sock"},
		{"\x01\x00\x00abstract", "invalid AddrPort", "@abstract"},
		{"\x01\x00", "invalid AddrPort", ""},
		{"\x02\x00\x00", "invalid AddrPort", ""},
		{"", "invalid AddrPort", ""},
	} {
		_, ap, sun := sockaddr([]byte(tc.in))
		if ap.String() != tc.addr || string(sockPath(nil, sun)) != tc.path {
			t.Errorf("sockaddr %q = %s %q, want %s %q", tc.in, ap, sockPath(nil, sun), tc.addr, tc.path)
		}
	}
}

func TestArgumentSplitting(t *testing.T) {
	for _, tc := range []struct {
		head, tail string
		cut        bool
		exe        string
		args       []string
	}{
		{"", "", false, "", nil},
		{"sh\x00", "", false, "sh", []string{}},
		{"sh\x00-c\x00\x00", "", false, "sh", []string{"-c", ""}},
		{"sh\x00-c\x00lon", "g\x00", false, "sh", []string{"-c", "long"}},
		{"sh\x00-c\x00lon", "end\x00z\x00", true, "sh", []string{"-c", "lon", "end", "z"}},
	} {
		p := event.Process{Comm: "sh", ArgsTruncated: tc.cut}
		at := setArgs(&p, []byte(tc.head), []byte(tc.tail))
		if at >= 0 != tc.cut || tc.cut && p.Args[at] != "end" {
			t.Errorf("%q + %q: cut at %d", tc.head, tc.tail, at)
		}
		if p.Exe != tc.exe || !slices.Equal(p.Args, tc.args) {
			t.Errorf("%q + %q: exe %q args %q", tc.head, tc.tail, p.Exe, p.Args)
		}
	}
	if got := keepEnv([]string{"A", "LD_PRELOAD"}, []byte("A=1\x00B=2\x00junk\x00LD_PRELOAD=/x=y\x00C=cut")); !slices.Equal(got, []string{"A=1", "LD_PRELOAD=/x=y"}) {
		t.Errorf("environment kept: %q", got)
	}
}

// TestExecIsRedacted: what an exec's record holds is without secrets as soon as it is
// an image, the rest of one behind a cut included.
func TestExecIsRedacted(t *testing.T) {
	c := &converter{env: []string{"DB_PASSWORD"}}
	head, tail, env := "app\x00--url=a://u:Pw1x@h\x00--password=Pw2", "x-rest\x00--last\x00", "DB_PASSWORD=Pw3x\x00"
	r := bpf.SensorTaskRec{T: bpf.SensorTaskInfo{ArgvLen: uint16(len(head)), TailLen: uint16(len(tail)), ArgvTotal: 9000, EnvLen: uint16(len(env))}}
	if err := c.exec(encode(t, r, kindExec, head, tail, env), 0); err != nil {
		t.Fatal(err)
	}
	p := c.facts.Image
	if !slices.Equal(p.Args, []string{"--url=a://u:***@h", "--password=***", "***", "--last"}) || !slices.Equal(p.Env, []string{"DB_PASSWORD=***"}) ||
		p.Cmdline != p.Comm+" --url=a://u:***@h --password=*** *** --last" {
		t.Errorf("got %q %q %q", p.Args, p.Env, p.Cmdline)
	}
}

func TestTornRecords(t *testing.T) {
	c := &converter{}
	whole := encode(t, bpf.SensorOpenRec{PathLen: 4, PathState: pathRoot, RawLen: 2}, kindOpen, "etc\x00", "x\x00")
	if err := c.open(whole, 0); err != nil || c.ev.Path != "/etc" || c.ev.Raw != "x" {
		t.Fatalf("%v %q %q", err, c.ev.Path, c.ev.Raw)
	}
	for n := range whole {
		if err := c.open(whole[:n], 0); !errors.Is(err, errTorn) {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
	bad := encode(t, bpf.SensorOpenRec{PathLen: 400}, kindOpen, "etc\x00")
	if err := c.open(bad, 0); !errors.Is(err, errTorn) {
		t.Errorf("a text longer than the record: %v", err)
	}
}

// FuzzConvert feeds any bytes as any kind of record: an error or an event, never a
// crash, and texts that stay inside the record.
func FuzzConvert(f *testing.F) {
	f.Add(encode(f, bpf.SensorOpenRec{PathLen: 4, PathState: pathRoot, RawLen: 2}, kindOpen, "etc\x00", "x\x00"))
	f.Add(encode(f, bpf.SensorConnectRec{AddrLen: 8, S: bpf.SensorStream{Family: afInet}}, kindConnect, "\x02\x00\x00\x50\x7f\x00\x00\x01"))
	f.Add(encode(f, bpf.SensorTaskRec{T: bpf.SensorTaskInfo{ExeLen: 3, ArgvLen: 3, EnvLen: 4}}, kindExec, "sh\x00", "sh\x00", "A=1\x00"))
	f.Add(encode(f, bpf.SensorForkRec{}, kindFork))
	f.Add(encode(f, bpf.SensorExitRec{}, kindExit))
	f.Add(encode(f, bpf.SensorDupRec{}, kindDup))
	f.Add(encode(f, bpf.SensorBlindRec{Nr: 5}, kindCompat))
	c := &converter{env: []string{"A"}}
	f.Fuzz(func(t *testing.T, b []byte) {
		var h bpf.SensorHdr
		if header(b, &h) != nil {
			return
		}
		before := bytes.Clone(b)
		var err error
		switch h.Kind {
		case kindFork:
			err = c.fork(b, 1)
		case kindExec:
			err = c.exec(b, 1)
		case kindExit:
			err = c.exit(b, 1)
		case kindTask:
			_, _, err = c.iterated(b)
		case kindOpen:
			err = c.open(b, 1)
		case kindConnect:
			err = c.connect(b, 1)
		case kindDup:
			err = c.dup(b, 1)
		case kindUring, kindCompat:
			err = c.blind(b, 1)
		default:
			return
		}
		if err != nil && !errors.Is(err, errTorn) {
			t.Fatalf("unexpected error %v", err)
		}
		if !bytes.Equal(b, before) {
			t.Fatal("the record was written to")
		}
		if err == nil && len(c.ev.Path)+len(c.ev.Raw) > 3*len(b)+16 {
			t.Fatalf("paths of %d bytes out of a record of %d", len(c.ev.Path)+len(c.ev.Raw), len(b))
		}
	})
}

func BenchmarkConvertOpen(b *testing.B) {
	rec := encode(b, bpf.SensorOpenRec{PathLen: 21, PathState: pathRoot, RawLen: 21}, kindOpen, "passwd\x00local\x00usr\x00etc\x00\x00", "/usr/local/etc/passwd")
	c := &converter{}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.open(rec, 1); err != nil {
			b.Fatal(err)
		}
	}
}
