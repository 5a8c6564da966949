package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// goBench runs benchmarks of a package and gives, for each, the median of each metric
// over the repetitions. Names come without "Benchmark" and the number of cores.
func goBench(ctx context.Context, c config, pkg, pattern string, env []string, flags ...string) (map[string]map[string]float64, error) {
	args := append([]string{"test", pkg, "-run", "^$", "-bench", pattern, "-benchmem", "-timeout", "9m"}, flags...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = c.repo
	cmd.Env = append(os.Environ(), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s%s", strings.Join(args, " "), err, out.Bytes(), errs.Bytes())
	}
	all := map[string]map[string][]float64{}
	cores := regexp.MustCompile(`-\d+$`)
	for s := bufio.NewScanner(&out); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name := cores.ReplaceAllString(strings.TrimPrefix(f[0], "Benchmark"), "")
		if all[name] == nil {
			all[name] = map[string][]float64{}
		}
		for i := 2; i+1 < len(f); i += 2 {
			v, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				return nil, fmt.Errorf("go test %s: not understood: %s", pkg, s.Text())
			}
			all[name][f[i+1]] = append(all[name][f[i+1]], v)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("go test %s -bench %s: no such benchmark\n%s", pkg, pattern, errs.Bytes())
	}
	mid := map[string]map[string]float64{}
	for name, metrics := range all {
		mid[name] = map[string]float64{}
		for unit, values := range metrics {
			mid[name][unit] = median(values)
		}
	}
	return mid, nil
}

// traced is what watching costs the watched.
func traced(ctx context.Context, c config) (s section, err error) {
	s.Method = "sensor.BenchmarkTraced: the same loop in turn with no sensor, with process events only and with everything; CPU time of the loop by wait4, medians of 7 rounds of each"
	got, err := goBench(ctx, c, "./sensor", "^BenchmarkTraced$", nil, "-benchtime", "1x")
	if err != nil {
		return s, err
	}
	for _, loop := range []struct{ name, words string }{{"getppid", "getppid, which nobody wants"}, {"open+close", "open + close"}, {"fork+exec+exit", "fork + exec + exit of /bin/true"}} {
		m := got["Traced/"+loop.name]
		if m == nil {
			return s, fmt.Errorf("sensor.BenchmarkTraced/%s did not run", loop.name)
		}
		base := m["none-cpu-ns/op"]
		s.add(loop.words+": no sensor", base/1000, "µs")
		s.add(loop.words+": process events only", m["process-cpu-ns/op"]/1000, "µs").per(base/1000, "no sensor")
		s.add(loop.words+": everything", m["all-cpu-ns/op"]/1000, "µs").per(base/1000, "no sensor")
	}
	return s, nil
}

// engine is the rule engine on one core.
func engine(ctx context.Context, c config) (s section, err error) {
	s.Method = fmt.Sprintf("rule.BenchmarkMatch: a fixed mix decoded beforehand, one core, CPU time of the thread, median of %d; "+
		"hot = 512 events over and over, cold = 10,000 events in 8 MB", c.count)
	sets := []struct{ name, dir string }{{"our rules", filepath.Join(c.repo, "detect/rules")}}
	if c.rulesDir != "" {
		sets = append(sets, struct{ name, dir string }{"the other rules", c.rulesDir})
	} else {
		s.NotMeasured = append(s.NotMeasured, noOtherRules)
	}
	number := regexp.MustCompile(`-(\d+)-rules/`)
	for _, set := range sets {
		dir, err := filepath.Abs(set.dir)
		if err != nil {
			return s, err
		}
		got, err := goBench(ctx, c, "./rule", "^BenchmarkMatch$/^"+regexp.QuoteMeta(filepath.Base(dir))+"-/^(first|all|first-cold)$",
			[]string{"DOCKREEVE_RULES_DIR=" + dir}, "-count", strconv.Itoa(c.count))
		if err != nil {
			return s, err
		}
		for _, mode := range []struct{ suffix, words string }{{"/first", "first match, hot"}, {"/all", "every match, hot"}, {"/first-cold", "first match, cold"}} {
			for name, m := range got {
				if !strings.HasSuffix(name, mode.suffix) {
					continue
				}
				n := "?"
				if f := number.FindStringSubmatch(name); f != nil {
					n = f[1]
				}
				r := s.add(fmt.Sprintf("%s (%s), %s", set.name, n, mode.words), m["events/cpu-s"], "events/s")
				if mode.suffix == "/first" {
					r.atLeast(1e6, "≥ 1 M/s")
					s.add(fmt.Sprintf("%s (%s), allocations for each event", set.name, n), m["allocs/op"], "").atMost(0, "0")
				}
			}
		}
	}
	return s, nil
}

// parts is what stands before and behind the rule engine, each by itself.
func parts(ctx context.Context, c config) (s section, err error) {
	s.Method = fmt.Sprintf("Go benchmarks on one core, median of %d: decode = kernel record → event (sensor.BenchmarkDecode), state = process.Table.Apply (BenchmarkApply here), "+
		"pipe to disk = findings of 4 KiB from Send to acknowledged (server/ingest)", c.count)
	for _, b := range []struct{ pkg, pattern, words string }{
		{"./sensor", "^BenchmarkDecode$", "decode"},
		{"./test/bench", "^BenchmarkApply$", "state"},
	} {
		got, err := goBench(ctx, c, b.pkg, b.pattern, nil, "-count", strconv.Itoa(c.count), "-benchtime", "0.5s")
		if err != nil {
			return s, err
		}
		for _, name := range sortedKeys(got) {
			m := got[name]
			s.add(b.words+": "+name, m["ns/op"], "ns/event")
			s.add(b.words+": "+name+", allocations", m["allocs/op"], "")
		}
	}
	got, err := goBench(ctx, c, "./server/ingest", "^BenchmarkPipeToDisk$", nil, "-benchtime", "2s")
	if err != nil {
		return s, err
	}
	for _, m := range got {
		s.add("pipe to disk", m["findings/s"], "findings/s")
	}
	return s, nil
}
