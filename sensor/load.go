package sensor

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/sensor/bpf"
	"github.com/dockreeve/dockreeve/sensor/container"
)

// loadNames are the endings of file names by which interpreters and virtual machines
// load code: what opens such a file for reading is taken to load it. A name that ends
// in .deps.json counts too; the kernel half knows that by itself.
var loadNames = []string{
	"py", "pyc", "pyo", "pyd", "pth", "egg", "whl", "so",
	"js", "mjs", "cjs", "node", "wasm",
	"jar", "war", "ear", "class", "jmod",
	"rb", "php", "phar", "phtml", "pl", "pm", "lua", "tcl", "r",
	"dll", "exe", "beam", "el", "elc",
}

// loadKey is an ending as the kernel half computes it: its bytes, the last lowest.
func loadKey(ext string) (k uint64) {
	for i := range len(ext) {
		k = k<<8 | uint64(ext[i])
	}
	return k
}

// nameLoads tells the kernel half the endings.
func (k *kernel) nameLoads() error {
	for _, ext := range loadNames {
		if err := k.objs.LoadsNamed.Put(loadKey(ext), uint32(1)); err != nil {
			return fmt.Errorf("name the files that interpreters load: %w", err)
		}
	}
	return nil
}

// hostCgroup keeps the kernel half from telling loads of a cgroup of the host's own.
// Where that fails its loads come here and are dropped, as before.
func (k *kernel) hostCgroup(id uint64) { _ = k.objs.LoadsHost.Put(id, uint32(1)) }

// noCgroup takes that back: the cgroup is gone, or turned out to be a container's.
// Mostly it is not there, which is as good.
func (k *kernel) noCgroup(id uint64) { _ = k.objs.LoadsHost.Delete(id) }

func (c *converter) load(b []byte, received int64) error {
	var r bpf.SensorLoadRec
	tx, err := unpack(b, &r)
	if err != nil {
		return err
	}
	comps, err := tx.next(int(r.PathLen))
	if err != nil {
		return err
	}
	c.begin(&r.H, event.TypeLoad, event.LaneLoad, received)
	e := &c.ev
	c.path = appendPath(c.path[:0], comps, r.PathState)
	e.Path, e.FDKind, e.Dev, e.Ino = view(c.path), event.FDFile, uint64(r.Dev), r.Ino
	if r.Fd >= 0 {
		e.Flags |= event.FlagHasFD
		e.FD = int64(r.Fd)
	}
	if r.How == loadMapped {
		e.Flags |= event.FlagMapped
	}
	if r.Upper != 0 {
		e.Flags |= event.FlagUpper
	}
	if r.PathState != pathRoot {
		e.Flags |= event.FlagPathPartial
	}
	return nil
}

// Bounds of what is read of the processes there are at the start.
const (
	maxMaps      = 4 << 20 // bytes of one process's maps
	maxMapsTotal = 64 << 20
	maxFound     = 1 << 16 // files of all containers
	mapsTime     = 2 * time.Second
)

// found is a file that a process had mapped executable when the watch began.
type found struct {
	pid      int32
	dev, ino uint64
	path     string
}

// foundLoads are the files mapped executable by the containers' processes at the
// start: what was loaded before the watch began and is loaded still. cut counts
// processes that could not be looked through.
type foundLoads struct {
	files []found
	cut   uint64
}

// findLoads reads the maps of the processes in containers. A process that has ended
// meanwhile has none, and loads nothing.
func (s *Sensor) findLoads() {
	type file struct {
		cgroup, dev, ino uint64
	}
	seen := map[file]bool{}
	total, until := 0, time.Now().Add(mapsTime)
	pids := make([]int32, 0, len(s.tasks.by))
	for pid, p := range s.tasks.by {
		if p.Container != nil && p.Phase != event.PhaseInit {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	f := &s.found
	for _, pid := range pids {
		p := s.tasks.by[pid]
		if total >= maxMapsTotal || len(f.files) >= maxFound || time.Now().After(until) {
			f.cut++
			continue
		}
		r, err := os.Open("/proc/" + strconv.Itoa(int(pid)) + "/maps")
		if err != nil {
			continue // it has ended
		}
		n, err := readMaps(r, func(m mapped) {
			key := file{p.CgroupID, m.dev, m.ino}
			if seen[key] || len(f.files) >= maxFound || strings.HasPrefix(m.path, "/memfd:") || strings.HasPrefix(m.path, "/SYSV") {
				return
			}
			seen[key] = true
			f.files = append(f.files, found{pid: pid, dev: m.dev, ino: m.ino, path: m.path})
		})
		_ = r.Close() // only read
		total += n
		if err != nil {
			f.cut++
		}
	}
}

// mapped is one file mapped executable, as /proc/PID/maps says.
type mapped struct {
	path     string
	dev, ino uint64
}

// readMaps reads a maps file and calls f for each mapping of a file that may be
// executed, in order, with repetitions. It returns the bytes read; its error says
// that there was more, or that a line was not understood.
func readMaps(r io.Reader, f func(mapped)) (n int, err error) {
	sc := bufio.NewScanner(io.LimitReader(r, maxMaps))
	sc.Buffer(make([]byte, 0, 8<<10), 32<<10) // a path of 4 KiB, each byte escaped as four
	for sc.Scan() {
		line := sc.Bytes()
		n += len(line) + 1
		m, ok, err := parseMap(line)
		if err != nil {
			return n, err
		}
		if ok {
			f(m)
		}
	}
	if err := sc.Err(); err != nil {
		return n, fmt.Errorf("read maps: %w", err)
	}
	if n >= maxMaps {
		return n, fmt.Errorf("maps are longer than %d bytes", maxMaps)
	}
	return n, nil
}

// parseMap reads a line of maps: address range, permissions, offset, device, inode,
// path. ok is false for what is no executable mapping of a file with a path. A file
// deleted since keeps the path it had.
func parseMap(line []byte) (m mapped, ok bool, err error) {
	rest := line
	word := func() []byte {
		rest = bytes.TrimLeft(rest, " ")
		w, r, _ := bytes.Cut(rest, []byte{' '})
		rest = r
		return w
	}
	word()
	perm := word()
	word()
	dev, ino := word(), word()
	if len(perm) != 4 || len(ino) == 0 {
		return m, false, fmt.Errorf("maps line %.80q has no permissions or inode", line)
	}
	path := bytes.TrimLeft(rest, " ")
	if perm[2] != 'x' || len(path) == 0 || path[0] != '/' {
		return m, false, nil
	}
	major, minor, colon := bytes.Cut(dev, []byte{':'})
	ma, err1 := strconv.ParseUint(string(major), 16, 32)
	mi, err2 := strconv.ParseUint(string(minor), 16, 32)
	in, err3 := strconv.ParseUint(string(ino), 10, 64)
	if !colon || err1 != nil || err2 != nil || err3 != nil {
		return m, false, fmt.Errorf("maps line %.80q has no device or inode", line)
	}
	m.path = unescapeMap(bytes.TrimSuffix(path, []byte(" (deleted)")))
	m.dev, m.ino = ma<<20|mi, in
	return m, true, nil
}

// unescapeMap undoes the kernel's octal escapes of a newline and a backslash in maps.
func unescapeMap(p []byte) string {
	if !bytes.ContainsRune(p, '\\') {
		return string(p)
	}
	out := make([]byte, 0, len(p))
	for i := 0; i < len(p); i++ {
		if p[i] == '\\' && i+3 < len(p) {
			if n, err := strconv.ParseUint(string(p[i+1:i+4]), 8, 8); err == nil {
				out = append(out, byte(n))
				i += 3
				continue
			}
		}
		out = append(out, p[i])
	}
	return string(out)
}

// tellFound hands over what was loaded already when the watch began, as loads of that
// moment.
func (s *Sensor) tellFound() {
	f := s.found
	s.found = foundLoads{}
	boot, wall := s.clock()
	for i := range f.files {
		file := &f.files[i]
		p, ok := s.tasks.by[file.pid]
		if !ok {
			continue
		}
		h := bpf.SensorHdr{Boot: uint64(s.begun), Start: uint64(p.Start), Pid: uint32(p.PID), Tid: uint32(p.PID), Gen: p.ExecGen, Cgroup: p.CgroupID}
		for k := 0; k < len(p.Comm) && k < len(h.Comm)-1; k++ {
			h.Comm[k] = int8(p.Comm[k])
		}
		c := &s.conv
		c.begin(&h, event.TypeLoad, event.LaneLoad, wall)
		e := &c.ev
		e.CPU, e.Time = -1, s.since // the offset of the clocks has been measured again since
		e.Path, e.FDKind, e.Dev, e.Ino = file.path, event.FDFile, file.dev, file.ino
		e.Flags |= event.FlagMapped
		c.facts.HasContainer, c.facts.Container = true, s.containerOf(&h)
		s.hand()
	}
	if f.cut > 0 {
		s.h.Loss(event.Loss{Hop: "sensor.seed", Reason: "maps_unread", Lane: event.LaneLoad, Count: f.cut, From: s.since, To: boot + s.conv.wall})
	}
}

// hostLoad notes that a load came from the host itself, so that no more do. The
// answer may still change while a cgroup is new; then it is taken back.
func (s *Sensor) hostLoad(cgroup uint64) {
	s.n.hostLoads++
	if s.resolver.Get(cgroup, 0).Status == container.Host {
		s.k.hostCgroup(cgroup)
	}
}
