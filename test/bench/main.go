// Command bench measures Dockreeve as it is shipped: the built programs, a real
// container, the real kernel. `make bench` runs it and docs/benchmarks.md explains
// what it prints; out/bench.json holds the same for machines.
//
// It owns no benchmark of a single package: those stand in that package and are run
// from here. It starts loads in a throw-away container and ends everything it
// started. What it cannot measure on a machine it names, with the reason.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dockreeve/dockreeve/agent/node"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(3)
	}
}

// run is the harness itself or, by its first argument, one of the programs it
// starts: the loads, and a node with a profile of itself.
func run(args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "load":
			return load(args[1:])
		case "flood":
			return flood(args[1:])
		case "opens":
			return opens(args[1:])
		case "floor":
			return floor(args[1:])
		case "arm":
			return servedArm(args[1:])
		case "node":
			return profiledNode(args[1:])
		}
	}
	return bench(args)
}

// config is what every measurement gets.
type config struct {
	repo     string // its root
	bin      string // directory of the built programs
	self     string // this program, to run in a container
	rulesDir string // rules from elsewhere, for comparison; "" = none named
	window   time.Duration
	alerts   int // n of the latencies
	count    int // repetitions of Go benchmarks
}

// measurement is one part of the run.
type measurement struct {
	name string
	root bool // needs root
	do   func(context.Context, config) (section, error)
}

func measurements() []measurement {
	return []measurement{
		{"latency", true, latency},
		{"node", true, nodeCost},
		{"flood", true, floodLoss},
		{"traced", true, traced},
		{"engine", false, engine},
		{"parts", false, parts},
		{"scan", true, scanning},
		{"fleet", false, fleet},
		{"audit", false, audited},
		{"inventory", false, inventoried},
		{"governance", false, governed},
	}
}

func bench(args []string) error {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	var c config
	fs.StringVar(&c.repo, "repo", ".", "root of the repository")
	out := fs.String("o", "out/bench.json", "where to write the numbers, from the root of the repository")
	only := fs.String("only", "", "only these parts, comma separated: latency, node, flood, traced, engine, parts, scan, fleet, audit, inventory, governance")
	note := fs.String("note", os.Getenv("DOCKREEVE_BENCH_NOTE"), "what to write beside the numbers, such as what else the machine was doing")
	quick := fs.Bool("quick", false, "short windows, to try the harness: the numbers mean little")
	if err := fs.Parse(args); err != nil {
		return err
	}
	var err error
	if c.repo, err = filepath.Abs(c.repo); err != nil {
		return err
	}
	if c.self, err = os.Executable(); err != nil {
		return err
	}
	c.bin = filepath.Join(c.repo, "bin")
	c.rulesDir = otherRules()
	c.window, c.alerts, c.count = 20*time.Second, 1200, 5
	if *quick {
		c.window, c.alerts, c.count = 5*time.Second, 100, 1
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()

	rep := report{Machine: look(), Started: time.Now().UTC(), Note: *note, Quick: *quick}
	var wanted []string
	if *only != "" {
		wanted = strings.Split(*only, ",")
	}
	for _, name := range wanted {
		if !slices.ContainsFunc(measurements(), func(m measurement) bool { return m.name == name }) {
			return fmt.Errorf("-only %s: there is no such part", name)
		}
	}
	rep.Load[0] = loadAverage()
	failed := false
	for _, m := range measurements() {
		if wanted != nil && !slices.Contains(wanted, m.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s …\n", m.name)
		began := time.Now()
		if m.root && os.Geteuid() != 0 {
			rep.Sections = append(rep.Sections, section{Name: m.name, NotMeasured: []string{"it needs root"}})
			continue
		}
		s, err := m.do(ctx, c)
		s.Name, s.Seconds = m.name, time.Since(began).Seconds()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed = true
			s.NotMeasured = append(s.NotMeasured, "it failed: "+err.Error())
		}
		rep.Sections = append(rep.Sections, s)
	}
	rep.Load[1] = loadAverage()
	rep.Took = time.Since(rep.Started).Seconds()
	if err := rep.print(os.Stdout); err != nil {
		return err
	}
	path := *out
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.repo, path)
	}
	if err := rep.write(path); err != nil {
		return err
	}
	fmt.Printf("\nThe same for machines: %s\n", path)
	if failed {
		return errors.New("a part failed; it is named above")
	}
	return nil
}

// otherRules is the rule directory to compare with, as the benchmarks and tests of
// package rule name it.
func otherRules() string {
	if dir := os.Getenv("DOCKREEVE_RULES_DIR"); dir != "" {
		return dir
	}
	if dir := os.Getenv("DOCKREEVE_FALCO_RULES"); dir != "" {
		return filepath.Join(dir, "rules")
	}
	return ""
}

const noOtherRules = "rules from elsewhere: set DOCKREEVE_RULES_DIR to a directory of rule files"

// profiledNode is dockreeve-node with a CPU profile: bench node PROFILE [flags of dockreeve-node].
func profiledNode(args []string) error {
	if len(args) == 0 {
		return errors.New("bench node: want the path of the profile to write")
	}
	f, err := os.Create(args[0])
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	code := node.Main(args[1:], os.Stdout, os.Stderr)
	pprof.StopCPUProfile()
	if err := f.Close(); err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("the node ended with code %d", code)
	}
	return nil
}
