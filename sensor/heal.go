package sensor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/process"
	"github.com/dockreeve/dockreeve/sensor/container"
)

// taskScan is the last run of iter/task, kept so that a burst of unknown processes
// costs one run.
type taskScan struct {
	at   int64 // boot time it began
	took int64
	by   map[int32]event.Process
}

// maxTasks bounds one scan; a node has 4,194,304 pids at most, and seldom 10,000
// processes.
const maxTasks = 1 << 17

func (s *Sensor) scan() error {
	begin, _ := s.clock()
	by, roots := map[int32]event.Process{}, map[int32]fileID{}
	err := s.k.tasks(func(b []byte) error {
		p, foreign, err := s.iterated.iterated(b)
		if err != nil {
			return err
		}
		// kthreadd stands in where something hides pid 1.
		if p.PID == 1 || p.PID == 2 && s.hostNS == 0 {
			s.hostNS, s.hostAt = p.MntNS, s.iterated.root
		}
		roots[p.PID] = s.iterated.root
		if foreign {
			p.Phase = event.PhaseInit // complete takes it back outside containers
		}
		if len(by) < maxTasks {
			by[p.PID] = p
		}
		return nil
	})
	for pid, p := range by {
		s.hostRoot(&p, roots[pid])
		p.HostRoot = s.onHostRoot(roots[pid])
		by[pid] = p
	}
	end, _ := s.clock()
	s.tasks = taskScan{at: begin, took: end - begin, by: by}
	s.n.scans++
	return err
}

// maxRoots bounds the root directories remembered as the host's; there is one, and
// one more for each chroot in use.
const maxRoots = 64

// hostRoot remembers the root directory of a process in the host's own mount
// namespace and outside containers.
func (s *Sensor) hostRoot(p *event.Process, root fileID) {
	if p.MntNS == s.hostNS && len(s.roots) < maxRoots && s.resolver.Get(p.CgroupID, p.PID).Status == container.Host {
		s.roots[root] = true
	}
}

// onHostRoot says whether a root directory is that of pid 1. The others of the host's are
// no witness: somebody on the host may have chrooted into a container's files.
func (s *Sensor) onHostRoot(root fileID) event.Tristate {
	switch {
	case s.hostAt.ino == 0 || root.ino == 0:
		return event.Unknown
	case root == s.hostAt:
		return event.Yes
	}
	return event.No
}

// heal adds a process that the table lacks, and those of its ancestors that it
// lacks too, to the facts of the event at hand. start 0 means whoever has the pid.
func (s *Sensor) heal(pid int32, start int64, boot uint64) {
	t := &s.tasks
	p, ok := t.by[pid]
	if !ok || start != 0 && p.Start != start || t.at < int64(boot) && s.table.Get(p.PID, p.Start) != nil {
		// Not seen yet, or what was seen is what the table has: look again,
		// leaving at least nine tenths of the time for other work.
		now, _ := s.clock()
		if now-t.at < max(int64(50*time.Millisecond), 10*t.took) {
			s.n.unhealed++
			return
		}
		if err := s.scan(); err != nil {
			s.n.unhealed++
			return
		}
		if p, ok = t.by[pid]; !ok || start != 0 && p.Start != start {
			s.n.unhealed++ // it has ended
			return
		}
	}
	var chain []event.Process
	for ok && len(chain) < event.MaxLineage {
		s.complete(&p)
		chain = append(chain, p)
		parent := s.table.Lookup(p.PPID)
		if parent != nil || p.PPID == 0 {
			break
		}
		p, ok = t.by[p.PPID]
	}
	for i := len(chain) - 1; i >= 0; i-- {
		s.conv.facts.Heal = append(s.conv.facts.Heal, chain[i])
	}
	s.n.healed += uint64(len(chain))
}

// complete adds what the kernel cannot tell of another process: its arguments and
// environment, from /proc, which that process may have rewritten.
func (s *Sensor) complete(p *event.Process) {
	p.Seeded = true
	p.Container = s.resolver.Get(p.CgroupID, p.PID).Container
	// Nobody saw it join its container or exec: it is still being set up while it
	// is in the host's mounts, or runs a program that the container does not have.
	switch {
	case p.Container == nil:
		p.Phase = event.PhaseRun
	case p.MntNS == s.hostNS:
		p.Phase = event.PhaseInit
	}
	dir := "/proc/" + strconv.Itoa(int(p.PID))
	if argv := readBounded(dir+"/cmdline", 5<<10); len(argv) > 0 {
		p.ArgsUser = true
		p.ArgsTruncated = len(argv) == 5<<10
		setArgs(p, argv, nil)
	}
	if env := s.n.env.Load(); env != nil && len(*env) > 0 {
		p.Env = keepEnv(*env, readBounded(dir+"/environ", 8<<10))
	}
	p.Redact()
}

// readBounded returns the beginning of a file, nothing where it cannot be read:
// the process may just have ended.
func readBounded(path string, n int64) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, n))
	if err != nil {
		return nil
	}
	return bytes.Clone(b)
}

// seed fills the table with the processes there are. Containers that run already
// have their metadata on disk, so a short wait gets it.
func (s *Sensor) seed(ctx context.Context) error {
	if err := s.scan(); err != nil {
		return fmt.Errorf("take stock of the processes: %w", err)
	}
	until := time.Now().Add(time.Second)
	cgroups := map[uint64]int32{}
	for _, p := range s.tasks.by {
		cgroups[p.CgroupID] = p.PID
	}
	for cg, pid := range cgroups {
		for s.resolver.Get(cg, pid).Status == container.Pending && time.Now().Before(until) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("take stock of the containers: %w", ctx.Err())
			case <-time.After(time.Millisecond):
			}
		}
	}
	snap := process.Snapshot{HostMntNS: s.hostNS}
	for pid, p := range s.tasks.by {
		s.complete(&p)
		p.User, p.Group = s.resolver.UserName(p.CgroupID, p.UID), s.resolver.GroupName(p.CgroupID, p.GID)
		s.tasks.by[pid] = p
		own := p
		snap.Processes = append(snap.Processes, event.Kept{Process: &own})
		s.given[p.CgroupID] = p.Container
	}
	for cg, pid := range cgroups {
		if s.resolver.Get(cg, pid).Status == container.Host {
			s.k.hostCgroup(cg)
		}
	}
	s.table.Seed(snap)
	s.n.seeded = uint64(len(snap.Processes))
	return nil
}
