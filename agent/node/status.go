package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/agent"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/rule"
	"github.com/dockreeve/dockreeve/sensor"
)

// report runs work while it reports status, once at the start and once at the end.
func (n *Node) report(ctx context.Context, work func() error) error {
	if err := n.sendRules(); err != nil {
		return err
	}
	if err := n.sendStatus(); err != nil {
		return err
	}
	ended, reported := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(n.opt.StatusEvery)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				err := n.sendStatus()
				if err == nil && n.opt.Replay == "" {
					err = n.tellUse(now.UnixNano(), false)
				}
				if err != nil {
					n.stop() // the event goroutine then ends too
					reported <- err
					return
				}
			case <-ended:
				reported <- n.sendStatus()
				return
			}
		}
	}()
	err := work()
	close(ended)
	return errors.Join(err, n.failed, <-reported)
}

func (n *Node) sendStatus() error {
	b, err := json.Marshal(n.Status())
	if err != nil {
		return fmt.Errorf("encode status: %w", err)
	}
	if err := n.opt.Sender.Send(context.Background(), link.LaneStatus, link.KindStatus, b); err != nil && !errors.Is(err, link.ErrFull) {
		return fmt.Errorf("send status: %w", err)
	}
	return nil
}

// Status is what this node sees and does not see, now.
func (n *Node) Status() link.Status {
	n.mu.Lock()
	v := n.view
	n.mu.Unlock()
	st := link.Status{
		Node: n.opt.Name, Version: n.opt.Version, Kernel: kernelRelease(), Mode: v.mode, Time: time.Now().UnixNano(), Every: int64(n.opt.StatusEvery),
		Since: v.since, NotAssessed: v.notAssessed, Remedy: v.remedy, LastEvent: v.lastEvent, Events: v.events, Lost: v.lost, RulesHash: setHash(n.rules.Load()), Gaps: slices.Concat(n.ruleGaps(), v.gaps),
	}
	for _, r := range n.rules.Load().All() {
		switch i := r.Info(); {
		case !i.Enabled || elsewhere(i.Source) != "":
		case i.Assessment.State == rule.NotAssessed:
			st.RulesNotAssessed++
		default:
			st.RulesWatching++
		}
	}
	if v.sensor != nil {
		s := v.sensor.Stats()
		st.Containers = int64(len(v.sensor.Containers()))
		st.Processes = int64(s.Table.Alive)
		st.Gaps = slices.Concat(st.Gaps, blindSpots(s))
		for _, l := range []struct {
			name  string
			lane  sensor.Lane
			other uint64 // records that are not events
		}{{"sensor.process", s.Process, s.Cgroups}, {"sensor.activity", s.Activity, s.CompatBlank}, {"sensor.loads", s.Loads, s.HostLoads}} {
			unsent := l.lane.RingFull + l.lane.Nested + l.lane.TooLong
			st.Hops = append(st.Hops, link.Hop{Hop: l.name, In: l.lane.Sent + unsent - min(l.other, l.lane.Sent), Out: l.lane.Delivered, Lost: unsent + l.lane.Torn})
		}
	}
	st.Gaps = slices.Concat(st.Gaps, n.useGaps())
	if v.refused != nil {
		st.Gaps = append(st.Gaps, *v.refused)
	}
	st.Hops = append(st.Hops, link.Hop{Hop: "detect", In: v.events, Out: v.findings})
	if n.opt.Hops != nil {
		st.Hops = append(st.Hops, n.opt.Hops()...)
	}
	return st
}

// ruleGaps names the rules that cannot fire, or only in part.
func (n *Node) ruleGaps() []link.Gap {
	var gaps []link.Gap
	for _, r := range n.rules.Load().All() {
		i := r.Info()
		if !i.Enabled || elsewhere(i.Source) != "" {
			continue
		}
		if why := i.Assessment.Reason; why != "" && len(gaps) < link.MaxGaps/2 {
			gaps = append(gaps, link.Gap{What: "rule " + i.Name, Reason: why, Remedy: "none yet: nothing supplies it"})
		}
	}
	return gaps
}

// sensorGaps names the hooks that this machine's kernel does not have.
func sensorGaps(s *sensor.Sensor) []link.Gap {
	var gaps []link.Gap
	for _, m := range s.Missing() {
		gaps = append(gaps, link.Gap{What: "kernel hook", Reason: m, Remedy: "a newer kernel has it"})
	}
	return gaps
}

// blindSpots names what the sensor saw begin but cannot see into. Both are counted
// where they begin, so as long as nothing was counted nothing is hidden.
func blindSpots(s sensor.Stats) []link.Gap {
	var gaps []link.Gap
	if s.Uring > 0 {
		gaps = append(gaps, link.Gap{
			What:   "file and network work through io_uring",
			Reason: fmt.Sprintf("%d rings were set up since the start; what they do makes no system calls", s.Uring),
			Remedy: "sysctl -w kernel.io_uring_disabled=2",
		})
	}
	if s.Compat > 0 {
		gaps = append(gaps, link.Gap{
			What:   "32-bit system calls",
			Reason: fmt.Sprintf("%d were made since the start; they are counted, not decoded", s.Compat),
			Remedy: "run 64-bit images",
		})
	}
	return gaps
}

func (n *Node) sendRules() error {
	set := agent.RuleSet(n.opt.Name, n.rules.Load(), elsewhere)
	b, err := set.Encode()
	if err != nil {
		return err
	}
	if err := n.opt.Sender.Send(context.Background(), link.LaneStatus, link.KindRules, b); err != nil && !errors.Is(err, link.ErrFull) {
		return fmt.Errorf("send rules: %w", err)
	}
	return nil
}

// encode writes a finding, shortened where it would not fit an envelope, and then it
// says so: first the raw event goes, then far ancestors, then what the rule says of
// itself and long texts. What still does not fit wraps link.ErrTooBig.
func encode(f *finding.Finding) ([]byte, error) {
	b, err := json.Marshal(f)
	if err != nil || len(b) <= link.MaxBytes {
		return b, err
	}
	f.Event = []byte(`{"omitted":"too large to send"}`)
	f.Lineage = f.Lineage[:min(len(f.Lineage), 4)]
	if b, err = json.Marshal(f); err != nil || len(b) <= link.MaxBytes {
		return b, err
	}
	const most = 4 << 10
	for _, p := range []*string{&f.Summary, &f.Output, &f.Rule.Name, &f.Rule.Desc} {
		if len(*p) > most {
			*p = strings.ToValidUTF8((*p)[:most], "") + "… (cut: too large to send)"
		}
	}
	f.Rule.Response, f.Rule.Tags = nil, nil
	f.Why = f.Why[:min(len(f.Why), 64)]
	if b, err = json.Marshal(f); err == nil && len(b) > link.MaxBytes {
		err = fmt.Errorf("finding %s: %w", f.ID, link.ErrTooBig)
	}
	return b, err
}

func kernelRelease() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "not known: " + err.Error()
	}
	return strings.TrimSpace(string(b))
}

// environment names the distribution, for the header of a trace.
func environment() string {
	b, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			return strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	return ""
}
