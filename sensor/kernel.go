package sensor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/dockreeve/dockreeve/sensor/bpf"
)

// kernel is the loaded half of the sensor: programs, maps, the three rings and the
// task iterator. One goroutine uses the rings; counters may be read from any.
type kernel struct {
	objs  bpf.SensorObjects
	links []link.Link
	iter  *link.Iter
	life  *kernelRing
	act   *kernelRing
	loads *kernelRing
	epoll int
	waker int // an eventfd: wakes poll from other goroutines
}

// kernelOptions are set once, when the programs are loaded; cgroupMode and
// cgroupHierarchy are those of container.Hierarchy.
type kernelOptions struct {
	lifeBytes, actBytes, loadBytes int
	cgroupMode                     uint32
	cgroupHierarchy                uint32
}

func loadKernel(o kernelOptions) (_ *kernel, err error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, loadError(err)
	}
	spec, err := bpf.LoadSensor()
	if err != nil {
		return nil, loadError(err)
	}
	spec.Maps["life"].MaxEntries = uint32(o.lifeBytes)
	spec.Maps["act"].MaxEntries = uint32(o.actBytes)
	spec.Maps["loads"].MaxEntries = uint32(o.loadBytes)
	if err := errors.Join(
		spec.Variables["cgroup_mode"].Set(o.cgroupMode),
		spec.Variables["cgroup_hierarchy"].Set(o.cgroupHierarchy),
	); err != nil {
		return nil, fmt.Errorf("set the constants of the eBPF programs: %w", err)
	}
	k := &kernel{epoll: -1, waker: -1}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.close())
		}
	}()
	if err := spec.LoadAndAssign(&k.objs, nil); err != nil {
		return nil, loadError(err)
	}
	if k.life, err = openRing("process", k.objs.Life.FD(), o.lifeBytes); err != nil {
		return nil, err
	}
	if k.act, err = openRing("activity", k.objs.Act.FD(), o.actBytes); err != nil {
		return nil, err
	}
	if k.loads, err = openRing("loads", k.objs.Loads.FD(), o.loadBytes); err != nil {
		return nil, err
	}
	if err := k.nameLoads(); err != nil {
		return nil, err
	}
	if k.iter, err = link.AttachIter(link.IterOptions{Program: k.objs.Tasks}); err != nil {
		return nil, fmt.Errorf("attach the task iterator: %w", err)
	}
	if k.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("create an epoll descriptor: %w", err)
	}
	if k.waker, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("create an event descriptor: %w", err)
	}
	for _, fd := range []int{k.objs.Life.FD(), k.objs.Act.FD(), k.objs.Loads.FD(), k.waker} {
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
		if fd != k.waker {
			// Edge-triggered: a ring is only ever signalled by a wake-up, and what
			// stays below the mark must not keep the reader spinning.
			ev.Events |= unix.EPOLLET
		}
		if err = unix.EpollCtl(k.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
			return nil, fmt.Errorf("watch a ring: %w", err)
		}
	}
	return k, nil
}

// attach switches the hooks on, lifecycle first so that no activity comes from a
// process whose birth went unseen. Cgroup hooks are optional: without them a
// container's path is looked up when its first record arrives. So is that of dynamic
// loaders: nothing else needs it.
func (k *kernel) attach() (missing []string, err error) {
	must := []*ebpf.Program{k.objs.OnFork, k.objs.OnExec, k.objs.OnExit}
	may := map[string]*ebpf.Program{
		"cgroup_mkdir": k.objs.OnCgroupMkdir, "cgroup_rmdir": k.objs.OnCgroupRmdir,
		"cgroup_attach_task": k.objs.OnCgroupAttach,
	}
	for name, p := range may {
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		if err != nil {
			missing = append(missing, name+": "+err.Error())
			continue
		}
		k.links = append(k.links, l)
	}
	for _, p := range append(must, k.objs.OnSysExit) {
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		if err != nil {
			return missing, loadError(fmt.Errorf("attach %s: %w", p, err))
		}
		k.links = append(k.links, l)
	}
	// Behind the hook on execs, so that its record is the later one.
	if l, err := link.AttachTracing(link.TracingOptions{Program: k.objs.OnExecLoad}); err != nil {
		missing = append(missing, "sched_process_exec, for the dynamic loaders of programs: "+err.Error())
	} else {
		k.links = append(k.links, l)
	}
	return missing, nil
}

// handle switches system calls on and off: calls maps a number to its handler,
// nil for off.
func (k *kernel) handle(calls map[uint32]*ebpf.Program) error {
	for nr, p := range calls {
		var err error
		if p == nil {
			err = k.objs.Handlers.Delete(nr)
			if errors.Is(err, ebpf.ErrKeyNotExist) {
				err = nil
			}
		} else {
			err = k.objs.Handlers.Put(nr, p)
		}
		if err != nil {
			return fmt.Errorf("switch system call %d: %w", nr, err)
		}
	}
	return nil
}

func (k *kernel) configure(c bpf.SensorConfig) error {
	if err := k.objs.Cfg.Set(c); err != nil {
		return fmt.Errorf("configure the eBPF programs: %w", err)
	}
	return nil
}

// poll waits until a ring asks for attention, wake is called, or d passes.
func (k *kernel) poll(d time.Duration) error {
	var evs [4]unix.EpollEvent
	n, err := unix.EpollWait(k.epoll, evs[:], int(d.Milliseconds()))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for kernel records: %w", err)
	}
	for i := range max(n, 0) {
		if int(evs[i].Fd) == k.waker {
			var b [8]byte
			if _, err := unix.Read(k.waker, b[:]); err != nil && !errors.Is(err, unix.EAGAIN) {
				return fmt.Errorf("read the event descriptor: %w", err)
			}
		}
	}
	return nil
}

// wake makes a running poll return; safe from any goroutine.
func (k *kernel) wake() {
	one := [8]byte{1}
	// EAGAIN means the counter is already high: poll will return anyway.
	_, _ = unix.Write(k.waker, one[:])
}

// counters sums the kernel's own counts over all processors.
func (k *kernel) counters() (bpf.SensorCounters, error) {
	var per []bpf.SensorCounters
	var sum bpf.SensorCounters
	if err := k.objs.Counts.Lookup(uint32(0), &per); err != nil {
		return sum, fmt.Errorf("read the kernel's counters: %w", err)
	}
	for i := range per {
		for l := range sum.Out {
			sum.Out[l] += per[i].Out[l]
			sum.RingFull[l] += per[i].RingFull[l]
			sum.Nested[l] += per[i].Nested[l]
			sum.TooLong[l] += per[i].TooLong[l]
		}
		sum.Compat += per[i].Compat
		sum.Uring += per[i].Uring
	}
	return sum, nil
}

// missed sums the runs the kernel itself skipped because a program was already
// running on that processor.
func (k *kernel) missed() (n uint64, err error) {
	for _, p := range []*ebpf.Program{k.objs.OnFork, k.objs.OnExec, k.objs.OnExit, k.objs.OnSysExit, k.objs.OnExecLoad} {
		st, err := p.Stats()
		if err != nil {
			return n, fmt.Errorf("read the run counts of %s: %w", p, err)
		}
		n += st.RecursionMisses
	}
	return n, nil
}

// tasks runs the iterator and hands each process's record to f, which must not
// keep the bytes.
func (k *kernel) tasks(f func([]byte) error) error {
	r, err := k.iter.Open()
	if err != nil {
		return fmt.Errorf("open the task iterator: %w", err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read the task iterator: %w", err)
	}
	for len(b) >= headerSize {
		var h bpf.SensorHdr
		if err := header(b, &h); err != nil {
			return fmt.Errorf("read the task iterator: %w", err)
		}
		if err := f(b[:h.Len]); err != nil {
			return err
		}
		b = b[h.Len:]
	}
	return nil
}

func (k *kernel) close() error {
	var errs []error
	for _, l := range k.links {
		errs = append(errs, l.Close())
	}
	k.links = nil
	if k.iter != nil {
		errs = append(errs, k.iter.Close())
		k.iter = nil
	}
	for _, r := range []*kernelRing{k.life, k.act, k.loads} {
		if r != nil {
			errs = append(errs, r.close())
		}
	}
	k.life, k.act, k.loads = nil, nil, nil
	for _, fd := range []*int{&k.epoll, &k.waker} {
		if *fd >= 0 {
			errs = append(errs, os.NewSyscallError("close", unix.Close(*fd)))
			*fd = -1
		}
	}
	errs = append(errs, k.objs.Close())
	return errors.Join(errs...)
}
