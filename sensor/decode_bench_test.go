package sensor

import (
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/sensor/bpf"
)

// BenchmarkDecode is kernel record → event, nothing before or behind it: each kind by
// itself, and a mix of 70 opens, 10 connects, 8 forks, 8 execs and 4 dups.
func BenchmarkDecode(b *testing.B) {
	opened := encode(b, bpf.SensorOpenRec{PathLen: 21, PathState: pathRoot, RawLen: 21}, kindOpen, "passwd\x00local\x00usr\x00etc\x00\x00", "/usr/local/etc/passwd")
	argv := "python3\x00/app/main.py\x00--workers\x004\x00--queue\x00default\x00"
	exe, cwd, file := "python3.11\x00bin\x00usr\x00", "app\x00", "/usr/bin/python3\x00"
	kinds := []struct {
		name   string
		rec    []byte
		decode func(*converter, []byte, int64) error
		share  int
	}{
		{"open", opened, (*converter).open, 70},
		{"connect", encode(b, bpf.SensorConnectRec{AddrLen: 16, S: bpf.SensorStream{Ino: 9, Mode: 0o140777, Family: afInet, Rport: 443, Lport: 40000, Proto: 6}}, kindConnect,
			"\x02\x00\x01\xbb\x0a\x60\x00\x01"+strings.Repeat("\x00", 8)), (*converter).connect, 10},
		{"fork", encode(b, bpf.SensorForkRec{}, kindFork), (*converter).fork, 8},
		{"exec", encode(b, bpf.SensorTaskRec{T: bpf.SensorTaskInfo{ExeLen: uint16(len(exe)), ExeState: pathRoot, CwdLen: uint16(len(cwd)), CwdState: pathRoot, FileLen: uint16(len(file)),
			ArgvLen: uint16(len(argv)), ArgvTotal: uint32(len(argv))}}, kindExec, exe, cwd, file, argv), (*converter).exec, 8},
		{"dup", encode(b, bpf.SensorDupRec{}, kindDup), (*converter).dup, 4},
	}
	c := &converter{}
	var mix []int
	for i, k := range kinds {
		b.Run(k.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := k.decode(c, k.rec, 1); err != nil {
					b.Fatal(err)
				}
			}
		})
		for range k.share {
			mix = append(mix, i)
		}
	}
	b.Run("mix", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			k := &kinds[mix[n%len(mix)]]
			if n += 37; k.decode(c, k.rec, 1) != nil { // 37 and 100 share no factor: every one is met, well mixed
				b.Fatal("torn")
			}
		}
	})
}
