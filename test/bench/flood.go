package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/link"
)

// floodRule tells every marked program, so that each can be looked for.
const floodRule = `
- rule: Marked program started
  desc: A program of the flood measurement started.
  condition: evt.type in (execve, execveat) and proc.cmdline contains "marker-"
  output: marked program %proc.cmdline
  priority: NOTICE
`

// floodLoss opens files as fast as it goes with known programs in between, and holds
// what came out of the node against what went into the kernel.
func floodLoss(ctx context.Context, c config) (s section, err error) {
	seconds := max(5, int(c.window.Seconds())/2)
	execs := 80 * seconds // below what is folded of one rule and container: each is to be seen by itself
	s.Method = fmt.Sprintf("two processes of a container open and close a file as fast as they can for %d s while %d marked programs start; dockreeve-node with our rules and one that tells each marked program; "+
		"lost = opens made that did not reach the rules, counted = what the node says it lost", seconds, execs)
	dir, err := os.MkdirTemp("", "dockreeve-bench-")
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	rules := filepath.Join(dir, "flood.yaml")
	if err := os.WriteFile(rules, []byte(floodRule), 0o600); err != nil {
		return s, err
	}
	box, err := victim(ctx, c)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, box.Close()) }()

	var mu sync.Mutex
	seen := map[int]finding.Finding{}
	twice := 0
	n, err := startNode(ctx, c, func(f *finding.Finding) {
		i, ok := marked(f)
		if !ok {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if _, ok := seen[i]; ok {
			twice++
		}
		seen[i] = *f
	}, "-rules", rules)
	if err != nil {
		return s, err
	}
	before, _ := n.now()
	cmd := box.Command(ctx, harnessPath, "flood", "-seconds", strconv.Itoa(seconds), "-execs", strconv.Itoa(execs))
	var said limited
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return s, errors.Join(fmt.Errorf("flood: %w: %s", err, said.String()), n.stop())
	}
	if err := n.stop(); err != nil {
		return s, err
	}
	var did flooded
	if err := json.Unmarshal(out, &did); err != nil {
		return s, fmt.Errorf("flood: %w: %q", err, out)
	}
	after, _ := n.now()
	misplaced := 0
	for _, f := range seen {
		if f.Subject.Container == nil || f.Subject.Container.ID != box.Name || len(f.Lineage) < 2 ||
			f.Lineage[1].Path != harnessPath || int(f.Lineage[1].VPID) != did.PID {
			misplaced++
		}
	}
	act, was := hop(after, "sensor.activity"), hop(before, "sensor.activity")
	in, delivered, lost := float64(act.In-was.In), float64(act.Out-was.Out), float64(act.Lost-was.Lost)
	var told, missed float64
	for _, l := range n.losses {
		switch {
		case l.Reason == "missed_hook":
			missed += float64(l.Count)
		case l.Lane == 2 && strings.HasPrefix(l.Hop, "sensor.") && l.Hop != "sensor.blind":
			told += float64(l.Count)
		}
	}
	s.add("opens made", float64(did.Opens), "")
	s.add("opens made a second", float64(did.Opens)/did.Seconds, "/s")
	s.add("activity the kernel told of", in, "").per(float64(did.Opens), "opens made; the rest of the machine is in it")
	s.add("activity delivered to rules", delivered, "")
	s.add("activity delivered a second", delivered/did.Seconds, "/s")
	s.add("activity lost, counted by the sensor", lost, "").per(in, "of what the kernel told of")
	s.add("unaccounted: told of − delivered − counted as lost", in-delivered-lost, "").atMost(0, "0")
	s.add("told in the loss lines − counted", told-lost, "").atMost(0, "0")
	s.add("hook runs the kernel skipped, counted", missed, "")
	s.add("marked programs started", float64(did.Execs), "")
	s.add("marked programs lost", float64(did.Execs-len(seen)), "").atMost(0, "0")
	s.add("marked programs told twice", float64(twice), "").atMost(0, "0")
	s.add("marked programs in the wrong container or under the wrong parent", float64(misplaced), "").atMost(0, "0")
	life := hop(after, "sensor.process")
	s.add("process records lost", float64(life.Lost), "").atMost(0, "0")
	return s, nil
}

func marked(f *finding.Finding) (int, bool) {
	if len(f.Lineage) == 0 {
		return 0, false
	}
	_, num, ok := strings.Cut(f.Lineage[0].Cmdline, "marker-")
	i, err := strconv.Atoi(num)
	return i, ok && err == nil
}

func hop(s link.Status, name string) link.Hop {
	for _, h := range s.Hops {
		if h.Hop == name {
			return h
		}
	}
	return link.Hop{}
}
