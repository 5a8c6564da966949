package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/internal/sandbox"
	"github.com/dockreeve/dockreeve/link"
)

// alone is a dockreeve-node that runs by itself; what it says is read as it comes.
type alone struct {
	cmd    *exec.Cmd
	said   limited
	ended  chan struct{}
	broken error // why its output was not understood

	mu       sync.Mutex
	status   link.Status
	findings uint64
	losses   []event.Loss
}

// startNode starts bin/dockreeve-node and returns once it watches. found, which may
// be nil, gets each finding.
func startNode(ctx context.Context, c config, found func(*finding.Finding), flags ...string) (*alone, error) {
	n := &alone{ended: make(chan struct{})}
	n.cmd = exec.CommandContext(ctx, filepath.Join(c.bin, "dockreeve-node"), append([]string{"-name", "bench", "-status-every", "1s"}, flags...)...)
	n.cmd.Stderr = &n.said
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	watching := make(chan struct{})
	go func() {
		defer close(n.ended)
		told := false
		for s := bufio.NewReaderSize(out, 1<<20); ; {
			line, err := s.ReadBytes('\n')
			if err != nil {
				return // it ended; stop looks at how
			}
			var l struct {
				Kind string
				Data json.RawMessage
			}
			if err = json.Unmarshal(line, &l); err == nil {
				err = n.take(l.Kind, l.Data, found)
			}
			if err != nil && n.broken == nil {
				n.broken = fmt.Errorf("what the node wrote is not understood: %w", err)
			}
			if l.Kind == "status" && !told {
				told = true
				close(watching)
			}
		}
	}()
	select {
	case <-watching:
		return n, nil
	case <-n.ended:
		return nil, errors.Join(fmt.Errorf("dockreeve-node ended: %s", n.said.String()), n.cmd.Wait())
	}
}

func (n *alone) take(kind string, data []byte, found func(*finding.Finding)) error {
	switch kind {
	case "status":
		var st link.Status
		if err := json.Unmarshal(data, &st); err != nil {
			return err
		}
		n.mu.Lock()
		n.status = st
		n.mu.Unlock()
	case "finding":
		n.mu.Lock()
		n.findings++
		n.mu.Unlock()
		if found != nil {
			var f finding.Finding
			if err := json.Unmarshal(data, &f); err != nil {
				return err
			}
			found(&f)
		}
	case "loss":
		var l event.Loss
		if err := json.Unmarshal(data, &l); err != nil {
			return err
		}
		n.mu.Lock()
		n.losses = append(n.losses, l)
		n.mu.Unlock()
	}
	return nil
}

func (n *alone) now() (link.Status, uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.status, n.findings
}

// stop ends the node and waits until everything it said is read.
func (n *alone) stop() error {
	err := n.cmd.Process.Signal(os.Interrupt)
	select {
	case <-n.ended:
	case <-time.After(20 * time.Second):
		err = errors.Join(err, errors.New("dockreeve-node does not end"), n.cmd.Process.Kill())
		<-n.ended
	}
	if werr := n.cmd.Wait(); werr != nil {
		err = errors.Join(err, fmt.Errorf("dockreeve-node: %w: %s", werr, n.said.String()))
	}
	return errors.Join(err, n.broken)
}

// window measures a node for d: what it used, and what was delivered to its rules.
func (n *alone) window(d time.Duration) (u usage, events, findings float64, err error) {
	s0, f0 := n.now()
	if u, err = watch(n.cmd.Process.Pid, d); err != nil {
		return u, 0, 0, err
	}
	s1, f1 := n.now()
	if s1.Time <= s0.Time {
		return u, 0, 0, errors.New("the node told no status meanwhile")
	}
	return u, float64(s1.Events-s0.Events) / (float64(s1.Time-s0.Time) / 1e9), float64(f1 - f0), nil
}

// settle is how long a load or a node runs before it is measured.
const settle = 3 * time.Second

// nodeCost is what the node agent costs alone, at rest and at the load of the goals.
func nodeCost(ctx context.Context, c config) (s section, err error) {
	s.Method = fmt.Sprintf("bin/dockreeve-node alone, output to a pipe that is read; CPU by /proc/PID/stat over %.0f s, memory by smaps_rollup at the end; "+
		"events delivered to rules by its own status; the load runs in a container, paced in turns of 10 ms", c.window.Seconds())
	box, err := victim(ctx, c)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, box.Close()) }()
	sets := []struct {
		name  string
		flags []string
	}{{"our rules", nil}}
	if c.rulesDir != "" {
		sets = append(sets, struct {
			name  string
			flags []string
		}{"the other rules", []string{"-no-builtin-rules", "-rules", c.rulesDir}})
	} else {
		s.NotMeasured = append(s.NotMeasured, noOtherRules)
	}
	agent, err := goBench(ctx, c, "./sensor", "^BenchmarkAgent$", nil, "-benchtime", "1x")
	if err != nil {
		return s, err
	}
	bare := agent["Agent"]["millicores"]
	s.add("the sensor alone (sensor.BenchmarkAgent, no rules): events/s", agent["Agent"]["events/s"], "/s")
	s.add("the sensor alone: CPU, with the test around it", bare, "millicores")
	s.add("the sensor alone: kernel stamp → handler, p50", agent["Agent"]["p50-ms"], "ms")
	s.add("the sensor alone: kernel stamp → handler, p99", agent["Agent"]["p99-ms"], "ms")
	for _, set := range sets {
		if err := s.node(ctx, c, box, set.name, bare, set.flags); err != nil {
			return s, fmt.Errorf("%s: %w", set.name, err)
		}
	}
	return s, nil
}

func (s *section) node(ctx context.Context, c config, box *sandbox.Sandbox, name string, bare float64, flags []string) (err error) {
	n, err := startNode(ctx, c, nil, flags...)
	if err != nil {
		return err
	}
	running := true
	defer func() {
		if running {
			err = errors.Join(err, n.stop())
		}
	}()
	time.Sleep(settle)
	rest, quiet, _, err := n.window(c.window)
	if err != nil {
		return err
	}
	load, err := startLoad(ctx, box)
	if err != nil {
		return err
	}
	time.Sleep(settle)
	made, err := load.aim(func() (float64, error) {
		_, got, _, err := n.window(settle)
		return got, err
	})
	if err != nil {
		return errors.Join(err, load.stop())
	}
	busy, events, found, err := n.window(c.window)
	if err = errors.Join(err, load.stop()); err != nil {
		return err
	}
	lost, _ := n.now()
	running = false
	if err := n.stop(); err != nil {
		return err
	}
	st, _ := n.now()
	name = fmt.Sprintf("%s (%d)", name, st.RulesWatching)
	s.add(name+", at rest: events/s delivered", quiet, "/s")
	s.add(name+", at rest: CPU", rest.millicores, "millicores")
	s.add(name+", at rest: RSS", rest.rss, "MiB")
	s.add(name+", under load: operations/s made", float64(made), "/s")
	s.add(name+", under load: events/s delivered", events, "/s")
	s.add(name+", under load: CPU", busy.millicores, "millicores").per(bare, "the sensor alone").atMost(50, "≤ 50")
	if d := events - quiet; d > 0 {
		s.add(name+", under load: CPU for each event more", 1000*(busy.millicores-rest.millicores)/d, "µs")
	}
	s.add(name+", under load: RSS", busy.rss, "MiB").per(rest.rss, "at rest").atMost(60, "≤ 60 MiB")
	s.add(name+", under load: PSS", busy.pss, "MiB")
	s.add(name+", under load: findings", found, "")
	s.add(name+", under load: events lost", float64(lost.Lost), "")
	s.add(name+", under load: machine busy", 100*busy.busy, "%")
	return nil
}
