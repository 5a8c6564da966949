package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// report is one run. Its JSON is out/bench.json.
type report struct {
	Started  time.Time `json:"started"`
	Took     float64   `json:"tookSeconds"`
	Machine  machine   `json:"machine"`
	Load     [2]string `json:"loadAverage"` // before and after
	Note     string    `json:"note,omitempty"`
	Quick    bool      `json:"quick,omitempty"`
	Sections []section `json:"sections"`
}

// section is one part of a run.
type section struct {
	Name        string   `json:"name"`
	Method      string   `json:"method"`
	Rows        []row    `json:"rows"`
	NotMeasured []string `json:"notMeasured,omitempty"` // what, and why not
	Seconds     float64  `json:"tookSeconds"`
}

// row is one number, and what it is held against.
type row struct {
	What    string  `json:"what"`
	Value   float64 `json:"value"`
	Unit    string  `json:"unit"`
	Ratio   float64 `json:"ratio,omitempty"` // to what Against names, in the same run
	Against string  `json:"against,omitempty"`
	Goal    string  `json:"goal,omitempty"` // of the design, in words
	Met     *bool   `json:"met,omitempty"`  // whether the goal is; absent where there is none
}

func (s *section) add(what string, value float64, unit string) *row {
	s.Rows = append(s.Rows, row{What: what, Value: value, Unit: unit})
	return &s.Rows[len(s.Rows)-1]
}

// atMost and atLeast hold a row against its goal.
func (r *row) atMost(goal float64, words string) *row {
	met := r.Value <= goal
	r.Goal, r.Met = words, &met
	return r
}

func (r *row) atLeast(goal float64, words string) *row {
	met := r.Value >= goal
	r.Goal, r.Met = words, &met
	return r
}

// per divides by a limit or a peer of the same run.
func (r *row) per(other float64, what string) *row {
	if other != 0 {
		r.Ratio, r.Against = r.Value/other, what
	}
	return r
}

// times adds the usual three numbers of a latency.
func (s *section) times(what string, d distribution) (p50, p99 *row) {
	s.add(what+", p50", d.p50, "ms")
	s.add(what+", p99", d.p99, "ms")
	s.add(what+", max", d.max, "ms")
	n := len(s.Rows)
	return &s.Rows[n-3], &s.Rows[n-2]
}

func (r *report) print(w io.Writer) error {
	m := r.Machine
	fmt.Fprintf(w, "Dockreeve, measured %s in %.0f s\n%s, %d cores, %d MiB, kernel %s, %s, %s, files on %s\nload average %s before, %s after\n",
		r.Started.Format("2006-01-02 15:04 UTC"), r.Took, m.CPU, m.Cores, m.Memory, m.Kernel, m.System, m.Go, m.Disk, r.Load[0], r.Load[1])
	if r.Note != "" {
		fmt.Fprintln(w, "note:", r.Note)
	}
	if r.Quick {
		fmt.Fprintln(w, "note: a quick run, to try the harness; the numbers mean little")
	}
	for _, s := range r.Sections {
		fmt.Fprintf(w, "\n%s (%.0f s)\n", strings.ToUpper(s.Name), s.Seconds)
		if s.Method != "" {
			fmt.Fprintf(w, "  %s\n", s.Method)
		}
		tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		for _, x := range s.Rows {
			ratio, goal := "", ""
			if x.Against != "" {
				ratio = fmt.Sprintf("%s × %s", number(x.Ratio), x.Against)
			}
			if x.Goal != "" {
				goal = "goal " + x.Goal
				if x.Met != nil {
					goal += map[bool]string{true: ": met", false: ": NOT MET"}[*x.Met]
				}
			}
			fmt.Fprintf(tw, "  %s\t%s %s\t%s\t%s\n", x.What, number(x.Value), x.Unit, ratio, goal)
		}
		if err := tw.Flush(); err != nil {
			return err
		}
		for _, n := range s.NotMeasured {
			fmt.Fprintf(w, "  not measured: %s\n", n)
		}
	}
	return nil
}

// number prints three digits that mean something.
func number(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 1000 || v == float64(int64(v)):
		return grouped(int64(v + 0.5))
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func (r *report) write(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
