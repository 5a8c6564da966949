// Package node is the composition root of the node role: events come from the kernel
// (or a recorded trace), pass the process table and the rules, and leave as findings
// on a link. It has two doors: in process under `dockreeve up`, and alone as
// `dockreeve-node`, which writes NDJSON.
//
// It links no Kubernetes, Azure, image or database library. One goroutine carries
// every event from the kernel to the link; a second one reports status.
package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dockreeve/dockreeve/detect"
	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inuse"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/process"
	"github.com/dockreeve/dockreeve/rule"
	"github.com/dockreeve/dockreeve/sensor"
	"github.com/dockreeve/dockreeve/sensor/container"
	"github.com/dockreeve/dockreeve/trace"
)

// Options tunes a Node.
type Options struct {
	Name    string       // of this node, shown to people; "" = the host's name
	Version string       // of the program, shown in status
	Rules   *rule.Rules  // compiled rules
	Which   detect.Which // of the rules that match one event, those that are reported
	Sender  link.Sender  // where findings, losses and status go
	Replay  string       // a trace to play instead of the kernel; "" = live
	Stay    bool         // after a replay has ended keep reporting, so that its end does not look like an outage
	Record  io.Writer    // also write every event as a trace; nil = do not
	Log     *slog.Logger // nil = silent
	// Hops are counters of what carries this node's envelopes, for its status; nil = none.
	Hops func() []link.Hop
	// HostRoots are further places with runtimes' state, as container.Options.Roots.
	HostRoots []string

	// StatusEvery is the interval of status reports; 0 means one second.
	StatusEvery time.Duration
	// CanaryEvery is how often the sensor has to prove that it sees; 0 means six hours,
	// less than 0 never. A replay sends none.
	CanaryEvery time.Duration
}

// Node runs the node role once.
type Node struct {
	opt    Options
	engine *detect.Engine
	rules  atomic.Pointer[rule.Rules] // that run, or will from the next event on
	next   atomic.Pointer[rule.Rules] // that the event goroutine has yet to take; nil = none
	sensor *sensor.Sensor             // nil until Open, and on a replay
	rec    *trace.Writer
	failed error // first failure of the sender or the recorder; ends the run
	stop   context.CancelFunc

	mu   sync.Mutex // guards what the status goroutine reads
	view view

	podsMu sync.Mutex               // guards what follows; taken before mu
	pods   map[string]container.Pod // told before the sensor was open, by uid; nil = nothing
	near   neighbours

	useMu    sync.Mutex // guards what follows; never taken together with mu
	use      *inuse.Tracker
	pruneUse bool  // process events were lost: some that seem to live may have ended
	askedUse int64 // of a replay: the event time at which reports were last asked for
}

// view is what the event goroutine publishes for the status goroutine.
type view struct {
	mode        string
	since       int64 // wall clock; watched without a break since
	notAssessed string
	remedy      string
	lastEvent   int64
	events      uint64
	findings    uint64
	lost        uint64
	gaps        []link.Gap // but those of the rules
	refused     *link.Gap  // rules that were sent and do not load
	sensor      *sensor.Sensor
	processes   int64
}

// New makes a node; Run runs it.
func New(opt Options) (*Node, error) {
	if opt.Rules == nil || opt.Sender == nil {
		return nil, errors.New("node: rules and a sender are required")
	}
	if opt.Name == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("node: this host has no name: %w", err)
		}
		opt.Name = name
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.StatusEvery <= 0 {
		opt.StatusEvery = time.Second
	}
	n := &Node{opt: opt, engine: detect.New(detect.Options{Rules: opt.Rules, Which: opt.Which, Node: opt.Name})}
	n.rules.Store(opt.Rules)
	return n, nil
}

// Open attaches the sensor: events queue in the kernel from then on until Run. Where
// the kernel cannot be watched the error is a *sensor.Unsupported; RunBlind then says
// so for as long as the program lives. A replay opens nothing.
func (n *Node) Open(ctx context.Context) error {
	if n.opt.Replay != "" {
		return nil
	}
	s, err := sensor.Open(ctx, sensor.Options{Interest: n.interest(), Containers: container.Options{Roots: n.opt.HostRoots}})
	if err != nil {
		return err
	}
	n.sensor = s
	n.set(func(v *view) {
		v.mode, v.since, v.sensor = link.ModeLive, time.Now().UnixNano(), s
		v.gaps = sensorGaps(s)
	})
	n.givePods()
	return nil
}

// Close detaches the sensor. Call it after Run has returned.
func (n *Node) Close() error {
	if n.sensor == nil {
		return nil
	}
	s := n.sensor
	n.sensor = nil
	n.set(func(v *view) { v.sensor = nil })
	return s.Close()
}

// Run watches until ctx ends, then returns nil with everything it saw handed to the
// sender; it opens the node if that was not done. A replay ends by itself.
func (n *Node) Run(ctx context.Context) error {
	ctx, n.stop = context.WithCancel(ctx)
	defer n.stop()
	if n.opt.Replay != "" {
		return n.replay(ctx)
	}
	if n.sensor == nil {
		if err := n.Open(ctx); err != nil {
			return err
		}
	}
	if n.opt.Record != nil {
		var err error
		n.rec, err = trace.NewWriter(n.opt.Record, n.header(), n.sensor.Snapshot())
		if err != nil {
			return fmt.Errorf("record: %w", err)
		}
	}
	n.beginUse(n.sensor.Since(), n.sensor.Snapshot().Processes, "")
	go n.canaries(ctx)
	go n.tellFiles(ctx)
	return n.report(ctx, func() error {
		err := n.sensor.Run(ctx, sensor.Handler{Event: n.event, Loss: n.loss, Replace: n.replace})
		n.engine.Flush(n.send)
		return errors.Join(err, n.tellUse(0, true), n.closeRecord("stopped"))
	})
}

// RunBlind reports, until ctx ends, that this node is not watched and why.
func (n *Node) RunBlind(ctx context.Context, why *sensor.Unsupported) error {
	ctx, n.stop = context.WithCancel(ctx)
	defer n.stop()
	n.set(func(v *view) {
		v.mode, v.notAssessed, v.remedy = link.ModeLive, why.Why, why.Remedy
		if why.Err != nil {
			v.notAssessed += ": " + why.Err.Error()
		}
	})
	return n.report(ctx, func() error { <-ctx.Done(); return nil })
}

// interest is what the kernel has to collect: for the rules, and for what the
// process table keeps for them.
func (n *Node) interest() event.Interest {
	i := n.rules.Load().Interest()
	i.Merge(process.Interest())
	i.Merge(inuse.Interest())
	return i
}

func (n *Node) header() trace.Header {
	return trace.Header{Kernel: kernelRelease(), Node: n.opt.Name, Started: n.sensor.Since(), Environment: environment(), Loads: true}
}

// event carries one event: recorded, judged, sent.
func (n *Node) event(ev *event.Event, facts *event.Facts) {
	if n.next.Load() != nil {
		n.takeRules()
	}
	if n.rec != nil && n.failed == nil {
		if err := n.rec.Event(ev, facts); err != nil {
			n.fail(fmt.Errorf("record: %w", err))
		}
	}
	n.mu.Lock()
	if ev.Type != event.TypeLoad { // which no rule sees
		n.view.events++
	}
	n.view.lastEvent = ev.Time
	n.mu.Unlock()
	n.useMu.Lock()
	if n.use != nil {
		n.use.Observe(ev)
	}
	n.useMu.Unlock()
	n.engine.Observe(ev, n.send)
}

// replace notes that a container's metadata arrived late.
func (n *Node) replace(old, new *event.Container) {
	n.useMu.Lock()
	if n.use != nil {
		n.use.Replace(old, new)
	}
	n.useMu.Unlock()
	if n.rec != nil && n.failed == nil {
		if err := n.rec.Replace(old, new); err != nil {
			n.fail(fmt.Errorf("record: %w", err))
		}
	}
}

func (n *Node) loss(l event.Loss) {
	if n.rec != nil && n.failed == nil {
		if err := n.rec.Loss(l); err != nil {
			n.fail(fmt.Errorf("record: %w", err))
		}
	}
	n.mu.Lock()
	n.view.lost += l.Count
	n.mu.Unlock()
	n.engine.ObserveLoss(l)
	n.useMu.Lock()
	if n.use != nil {
		n.use.Loss(l)
		n.pruneUse = n.pruneUse || l.Lane == event.LaneProcess
	}
	n.useMu.Unlock()
	n.put(link.LaneLoss, link.KindLoss, l.AppendJSON(nil))
}

func (n *Node) send(f *finding.Finding) {
	if n.opt.Replay == "" {
		n.podsMu.Lock()
		n.near.place(f)
		n.near.reach(f)
		n.podsMu.Unlock()
	}
	b, err := encode(f)
	if errors.Is(err, link.ErrTooBig) {
		l := event.Loss{Hop: "detect", Reason: "too_big", Count: 1, From: f.Time, To: f.Time}
		n.mu.Lock()
		n.view.lost++
		n.mu.Unlock()
		n.put(link.LaneLoss, link.KindLoss, l.AppendJSON(nil))
		return
	}
	if err != nil {
		n.fail(fmt.Errorf("encode finding %s: %w", f.ID, err))
		return
	}
	n.mu.Lock()
	n.view.findings++
	n.mu.Unlock()
	n.put(link.LaneAlert, link.KindFinding, b)
}

// put hands a payload to the link. It waits where the lane is full: the kernel's
// rings hold what happens meanwhile, and count what they cannot.
func (n *Node) put(lane link.Lane, kind link.Kind, payload []byte) {
	if n.failed != nil {
		return
	}
	if err := n.opt.Sender.Send(context.Background(), lane, kind, payload); err != nil && !errors.Is(err, link.ErrFull) {
		n.fail(fmt.Errorf("send on the link: %w", err))
	}
}

// fail ends the run: a node that cannot deliver must not look as if it watched.
func (n *Node) fail(err error) {
	if n.failed == nil {
		n.failed = err
		n.opt.Log.Error("the node stops", "err", err)
		n.stop()
	}
}

func (n *Node) closeRecord(why string) error {
	if n.rec == nil {
		return nil
	}
	if err := n.rec.Close(why); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}

// replay plays a trace as fast as the link takes it. Its times are those of the
// recording.
func (n *Node) replay(ctx context.Context) error {
	f, err := openReplay(ctx, n.opt.Replay)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	defer f.Close()
	// A pipe may never say more: the end of ctx must end the wait. What has no
	// deadlines, a regular file, does not make readers wait.
	defer context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })()
	r, err := trace.NewReader(f, trace.ReaderOptions{})
	if err != nil && ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("replay %s: %w", n.opt.Replay, err)
	}
	head := r.Header()
	n.set(func(v *view) {
		v.mode, v.since = link.ModeReplay, time.Now().UnixNano()
		v.gaps = []link.Gap{{
			What:   "this machine",
			Reason: fmt.Sprintf("a trace of %s from %s is played instead", head.Node, time.Unix(0, head.Started).UTC().Format("2006-01-02 15:04 UTC")),
			Remedy: "start without --replay, as root, to watch this machine",
		}}
	})
	unwatched := ""
	if !head.Loads {
		unwatched = "the trace holds no loads"
	}
	n.beginUse(head.Started, r.Snapshot().Processes, unwatched)
	return n.report(ctx, func() error {
		err := trace.Replay(r, process.New(process.Options{}), func(rec *trace.Record) error {
			switch {
			case rec.Event != nil:
				n.event(rec.Event, rec.Facts)
				if rec.Event.Time-n.askedUse >= inuse.DeltaEvery {
					n.askedUse = rec.Event.Time
					if err := n.tellUse(rec.Event.Time, false); err != nil {
						return err
					}
				}
			case rec.Old != nil:
				n.replace(rec.Old, rec.New)
			case rec.Loss != nil:
				n.loss(*rec.Loss)
			}
			return ctx.Err()
		})
		n.engine.Flush(n.send)
		err = errors.Join(err, n.tellUse(n.askedUse, true))
		if errors.Is(err, context.Canceled) || errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("replay %s: %w", n.opt.Replay, err)
		}
		if n.opt.Stay {
			<-ctx.Done()
		}
		return nil
	})
}

// openReplay opens a trace. To open a named pipe waits for somebody to write to it, so
// that is left behind when ctx ends first: the process is about to end too.
func openReplay(ctx context.Context, name string) (*os.File, error) {
	type opened struct {
		f   *os.File
		err error
	}
	done := make(chan opened, 1)
	go func() {
		f, err := os.Open(name)
		done <- opened{f, err}
	}()
	select {
	case o := <-done:
		return o.f, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *Node) set(change func(*view)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(&n.view)
}
