package sensor

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/sensor/bpf"
)

func TestReadMaps(t *testing.T) {
	const text = `55d0c0a00000-55d0c0a02000 r--p 00000000 00:2a 1234                       /usr/bin/app
55d0c0a02000-55d0c0a06000 r-xp 00002000 00:2a 1234                       /usr/bin/app
7f00c0a02000-7f00c0a06000 r-xp 00002000 103:02 99                        /lib/my lib.so (deleted)
7f00c0a12000-7f00c0a16000 rwxp 00000000 fd:01 7                          /lib/new\012line\134.so
7f00c0a22000-7f00c0a26000 r-xp 00000000 00:01 8                          /memfd:jit (deleted)
7f00c0b00000-7f00c0b01000 rwxp 00000000 00:00 0
7ffcd0d00000-7ffcd0d21000 rw-p 00000000 00:00 0                          [stack]
7ffcd0dfe000-7ffcd0e00000 r-xp 00000000 00:00 0                          [vdso]
`
	var got []mapped
	n, err := readMaps(strings.NewReader(text), func(m mapped) { got = append(got, m) })
	if err != nil || n != len(text) {
		t.Fatal(n, err)
	}
	want := []mapped{
		{"/usr/bin/app", 0x2a, 1234}, {"/lib/my lib.so", 0x103<<20 | 2, 99}, {"/lib/new\nline\\.so", 0xfd<<20 | 1, 7}, {"/memfd:jit", 1, 8},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, bad := range []string{"x", "a-b r-xp 0 zz 1 /x", "a-b r-xp 0 00:01 q /x", "a-b r-xp 0", "a-b r-xp 0 1 1 /x", strings.Repeat("x", 64<<10)} {
		if _, err := readMaps(strings.NewReader(bad), func(mapped) {}); err == nil {
			t.Errorf("%.40q was understood", bad)
		}
	}
	long := strings.Repeat("7ffcd0d00000-7ffcd0d21000 rw-p 00000000 00:00 0\n", maxMaps/48+10)
	if n, err := readMaps(strings.NewReader(long), func(mapped) {}); err == nil || n > maxMaps+64 {
		t.Errorf("%d bytes were read, %v", n, err)
	}
}

// TestOwnMaps reads this process's own maps, which the kernel wrote.
func TestOwnMaps(t *testing.T) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/exe", &st); err != nil {
		t.Fatal(err)
	}
	found := false
	if _, err := readMaps(f, func(m mapped) { found = found || m.path == exe && m.ino == st.Ino }); err != nil || !found {
		t.Errorf("this program is not in its own maps: %v", err)
	}
}

func FuzzReadMaps(f *testing.F) {
	f.Add([]byte("55d0c0a02000-55d0c0a06000 r-xp 00002000 00:2a 1234                       /usr/bin/app\n"))
	f.Add([]byte("7f00c0a12000-7f00c0a16000 rwxp 00000000 fd:01 7 /lib/new\\012line\\134.so (deleted)\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = readMaps(bytes.NewReader(b), func(m mapped) {
			if m.path == "" || m.path[0] != '/' || len(m.path) > len(b) {
				t.Fatalf("path %q", m.path)
			}
		})
	})
}

func loadRecord(change func(*bpf.SensorLoadRec), path string) []byte {
	var r bpf.SensorLoadRec
	size := int(unsafe.Sizeof(r))
	r.H = bpf.SensorHdr{Len: uint32(size + len(path)), Kind: kindLoad, Boot: 5, Start: 3, Pid: 7, Tid: 8, Gen: 2, Cgroup: 9}
	r.Fd, r.How, r.Ino, r.Dev, r.PathLen, r.PathState = 4, loadMapped, 11, 12, uint16(len(path)), pathRoot
	change(&r)
	return append(bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&r)), size)), path...)
}

func TestLoadRecords(t *testing.T) {
	var c converter
	if err := c.load(loadRecord(func(*bpf.SensorLoadRec) {}, "c.so\x00lib\x00"), 1); err != nil {
		t.Fatal(err)
	}
	e := &c.ev
	if e.Type != event.TypeLoad || e.ID.Lane != event.LaneLoad || e.Path != "/lib/c.so" || e.FD != 4 || e.Ino != 11 || e.Dev != 12 || e.FDKind != event.FDFile ||
		e.Flags != event.FlagHasFD|event.FlagMapped || c.facts.PID != 7 || c.facts.ExecGen != 2 {
		t.Errorf("%s", e.AppendJSON(nil))
	}
	if err := c.load(loadRecord(func(r *bpf.SensorLoadRec) { r.Fd, r.How, r.Upper, r.PathState = -1, 0, 1, pathOutside }, "x\x00"), 1); err != nil {
		t.Fatal(err)
	}
	if e.FD != -1 || e.Flags != event.FlagUpper|event.FlagPathPartial || e.Path != "/x" {
		t.Errorf("%s", e.AppendJSON(nil))
	}
	for _, b := range [][]byte{nil, loadRecord(func(*bpf.SensorLoadRec) {}, "c.so\x00")[:40], loadRecord(func(r *bpf.SensorLoadRec) { r.PathLen = 9000 }, "x")} {
		if err := c.load(b, 1); err == nil {
			t.Errorf("%d bytes were taken for a record", len(b))
		}
	}
}

func TestLoadNamesFitTheKernelHalf(t *testing.T) {
	seen := map[uint64]string{}
	for _, n := range loadNames {
		if n == "" || len(n) > 8 || n != strings.ToLower(n) || n == "json" {
			t.Errorf("%q: want 1 to 8 bytes in lower case, and not json, which the kernel half knows", n)
		}
		if was := seen[loadKey(n)]; was != "" {
			t.Errorf("%q and %q have one key", n, was)
		}
		seen[loadKey(n)] = n
	}
	if len(loadNames) > 64 {
		t.Errorf("%d endings, the kernel half holds 64", len(loadNames))
	}
	if loadKey("so") != 's'<<8|'o' {
		t.Error("the last byte is not the lowest")
	}
}
