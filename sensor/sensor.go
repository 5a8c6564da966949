// Package sensor turns what the Linux kernel sees into events: processes starting,
// changing image and ending, files opened, connections made, descriptors copied
// onto standard streams, each with the process and the container behind it.
//
// It owns the eBPF programs (package bpf), the order of events, the healing of the
// process table, and the attribution to containers (package container). It promises
// that process events are never displaced by a flood of others, that every record
// it could not deliver is counted and announced in place, and that where eBPF
// cannot run it says exactly why (Unsupported). It judges nothing and blocks
// nothing.
package sensor

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/process"
	"github.com/dockreeve/dockreeve/sensor/bpf"
	"github.com/dockreeve/dockreeve/sensor/container"
)

// Options of a Sensor. The zero value collects process events only.
type Options struct {
	// Interest says what the kernel has to collect. Process events are always
	// collected. SetInterest changes it while running.
	Interest event.Interest

	ProcessRing  int // bytes of the process ring, a power of two; 0 = 4 MiB
	ActivityRing int // bytes of the activity ring, a power of two; 0 = 8 MiB
	LoadRing     int // bytes of the ring of loads, a power of two; 0 = 512 KiB

	// Wait bounds how long a record may sit in the kernel below the wake-up
	// mark; 0 = 20 ms.
	Wait time.Duration
	// HoldMetadata bounds how long the first records of a container wait for its
	// runtime's metadata; 0 = 200 ms.
	HoldMetadata time.Duration

	Processes  process.Options
	Containers container.Options
}

// Handler receives what the sensor delivers, on the goroutine that called Run, in
// event order. An event, its facts and their strings are valid only inside the
// call. Event is required; the others may be nil.
type Handler struct {
	// Event gets the event, its Process and Container filled in, and the facts
	// from which they came: what a trace has to record.
	Event func(*event.Event, *event.Facts)
	// Loss gets what was lost since the last loss, at its place in the stream.
	Loss func(event.Loss)
	// Replace says that a container is now known better, as in
	// process.Table.SetContainer, which has been called already.
	Replace func(old, new *event.Container)
}

// Sensor delivers kernel events. Run once; Stats, SetInterest and Missing may be
// called at any time from any goroutine.
type Sensor struct {
	o        Options
	k        *kernel
	resolver *container.Resolver
	table    *process.Table
	conv     converter
	iterated converter // for iter/task: a scan happens while conv holds an event
	missing  []string
	started  time.Time

	h      Handler
	holds  holds
	given  map[uint64]*event.Container // what was last said about a cgroup
	tasks  taskScan
	roots  map[fileID]bool // root directories of the host
	hostNS uint32          // its mount namespace
	hostAt fileID          // root directory of pid 1; zero = not known
	losses lossMeter
	clock  func() (boot, wall int64)
	synced int64 // boot time of the last look at the wall clock
	begun  int64 // boot time at which the hooks were on
	since  int64 // the same by the wall clock
	found  foundLoads

	stop context.CancelFunc
	wg   sync.WaitGroup

	mu  sync.Mutex // over kernel configuration
	pub atomic.Pointer[Stats]
	n   counts
}

// ErrRunning reports a second Run of the same sensor.
var ErrRunning = errors.New("the sensor runs already")

// Open loads the eBPF programs, attaches them and takes stock of the processes
// there are; events queue in the kernel from then on until Run. Where the kernel
// cannot do this the error is an *Unsupported.
func Open(ctx context.Context, o Options) (_ *Sensor, err error) {
	if err := Preflight(Look()); err != nil {
		return nil, err
	}
	if o.ProcessRing == 0 {
		o.ProcessRing = 4 << 20
	}
	if o.ActivityRing == 0 {
		o.ActivityRing = 8 << 20
	}
	if o.LoadRing == 0 {
		o.LoadRing = 512 << 10
	}
	if o.Wait == 0 {
		o.Wait = 20 * time.Millisecond
	}
	if o.HoldMetadata == 0 {
		o.HoldMetadata = 200 * time.Millisecond
	}
	for _, n := range []int{o.ProcessRing, o.ActivityRing, o.LoadRing} {
		if n < os.Getpagesize() || n&(n-1) != 0 || n > 1<<30 {
			return nil, fmt.Errorf("ring of %d bytes: want a power of two from %d to 1 GiB", n, os.Getpagesize())
		}
	}
	h, err := container.Detect("/proc")
	if err != nil {
		return nil, &Unsupported{Check: "cgroup", Why: "containers cannot be told apart", Remedy: "mount the host's cgroups at /sys/fs/cgroup", Err: err}
	}
	s := &Sensor{o: o, given: map[uint64]*event.Container{}, roots: map[fileID]bool{}, clock: clocks, started: time.Now()}
	s.k, err = loadKernel(kernelOptions{lifeBytes: o.ProcessRing, actBytes: o.ActivityRing, loadBytes: o.LoadRing,
		cgroupMode: uint32(h.Mode), cgroupHierarchy: h.ID})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	co := o.Containers
	told := co.Changed
	co.Changed = func() {
		s.k.wake()
		if told != nil {
			told()
		}
	}
	s.resolver = container.NewResolver(h, co)
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.wg.Go(func() { s.resolver.Run(run) })

	s.table = process.New(o.Processes)
	s.conv = converter{names: s.resolver, machine: fileHash("/etc/machine-id"), boot: fileHash("/proc/sys/kernel/random/boot_id")}
	s.iterated = converter{names: s.resolver}
	s.sync()
	// Sequences go on where no earlier run of this boot can have been, or its ids
	// would come again and the store would take new findings for old ones.
	boot, _ := s.clock()
	for i := range s.conv.seq {
		s.conv.seq[i] = uint64(boot)
	}
	s.holds = newHolds(int64(o.HoldMetadata))
	if err := s.SetInterest(o.Interest); err != nil {
		return nil, err
	}
	if s.missing, err = s.k.attach(); err != nil {
		return nil, err
	}
	s.begun, s.since = s.clock()
	if err := s.seed(ctx); err != nil {
		return nil, err
	}
	if o.Interest.Types.Has(event.TypeLoad) {
		s.findLoads()
	}
	s.publish()
	return s, nil
}

// SetInterest changes what the kernel collects, from the next system call on.
func (s *Sensor) SetInterest(i event.Interest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := bpf.SensorConfig{Self: uint32(os.Getpid()), Opens: uint32(i.Opens), Raw: 1}
	if len(i.Env) > 0 {
		c.Env = 1
	}
	if i.Types.Has(event.TypeLoad) {
		c.Loads = 1
	}
	if err := s.k.configure(c); err != nil {
		return err
	}
	s.n.env.Store(&i.Env)
	return s.k.handle(switches(i.Types, &s.k.objs))
}

// Missing lists optional hooks that this kernel does not have, and why.
func (s *Sensor) Missing() []string { return s.missing }

// Hierarchy says by which cgroup hierarchy containers are told apart.
func (s *Sensor) Hierarchy() container.Hierarchy { return s.resolver.Hierarchy() }

// Since is the wall clock at which the hooks were on, Unix nanoseconds: from then on
// nothing went unseen but what losses tell.
func (s *Sensor) Since() int64 { return s.since }

// Snapshot is what a trace must begin with so that a replay starts where the
// events do. Call it from the goroutine of Run (inside the handler), or before Run.
func (s *Sensor) Snapshot() process.Snapshot { return s.table.Snapshot() }

// Containers lists the containers known now.
func (s *Sensor) Containers() []*event.Container { return s.resolver.Containers() }

// Run delivers events until ctx ends, then what the kernel still holds, and
// returns nil; any other error means that events can no longer be read.
func (s *Sensor) Run(ctx context.Context, h Handler) error {
	if h.Event == nil {
		return errors.New("run the sensor: the handler has no Event function")
	}
	if s.h.Event != nil {
		return ErrRunning
	}
	if h.Loss == nil {
		h.Loss = func(event.Loss) {}
	}
	if h.Replace == nil {
		h.Replace = func(_, _ *event.Container) {}
	}
	s.h = h
	defer context.AfterFunc(ctx, s.k.wake)()
	s.tellFound()
	for ctx.Err() == nil {
		if err := s.k.poll(s.wait()); err != nil {
			return err
		}
		if err := s.turn(ctx); err != nil {
			return err
		}
	}
	if err := s.turn(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	boot, _ := s.clock()
	s.release(boot, true)
	return s.lost(boot, true)
}

// Close detaches everything. Not concurrently with Run.
func (s *Sensor) Close() error {
	if s.stop != nil {
		s.stop()
		s.wg.Wait()
	}
	return s.k.close()
}

// wait is how long to sleep: shorter while records are held.
func (s *Sensor) wait() time.Duration {
	if s.holds.empty() {
		return s.o.Wait
	}
	return min(s.o.Wait, 5*time.Millisecond)
}

// sync looks at the wall clock: boot time orders, wall time is that plus an offset.
func (s *Sensor) sync() {
	boot, wall := s.clock()
	s.conv.wall, s.iterated.wall, s.synced = wall-boot, wall-boot, boot
}

// clocks reads the boot and the wall clock as one moment.
func clocks() (boot, wall int64) {
	var a, w, b unix.Timespec
	// These cannot fail: both clocks have existed since Linux 2.6.39.
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &a)
	_ = unix.ClockGettime(unix.CLOCK_REALTIME, &w)
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &b)
	return (a.Nano() + b.Nano()) / 2, w.Nano()
}

// fileHash is 64 bits of a file's hash; 0 when there is none.
func fileHash(path string) uint64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(string(b))))
	return binary.LittleEndian.Uint64(sum[:])
}
