// Command report turns `go test -json` into what a person wants to read: failures
// whole, one line a package, and, last, the table of what was skipped and why.
// It exits 1 when a test failed, a package did not build, one began and did not end, a
// file tells of no package, a test was skipped without a reason, or nothing ran.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"sort"
	"strings"
)

type line struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

type result struct {
	pkg, test string
	out       []string
}

func main() {
	final := flag.Bool("final", false, "print the skip table and the closing line")
	flag.Parse()
	os.Exit(run(flag.Args(), *final))
}

func run(files []string, final bool) int {
	var passed, failed int
	var skipped []result
	var broken []string
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			broken = append(broken, err.Error())
			continue
		}
		out := map[string][]string{}
		ended := map[string]bool{} // by package that began: whether it did
		sc := bufio.NewScanner(f)
		sc.Buffer(make([]byte, 1<<20), 64<<20)
		for sc.Scan() {
			var l line
			if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
				broken = append(broken, fmt.Sprintf("%s: not a test event: %.120s", name, sc.Text()))
				continue
			}
			key := l.Package + " " + l.Test
			switch l.Action {
			case "start":
				ended[l.Package] = false
			case "output", "build-output":
				if l.Action == "build-output" {
					key = l.ImportPath
				}
				if len(out[key]) < 4000 {
					out[key] = append(out[key], l.Output)
				}
			case "build-fail":
				broken = append(broken, l.ImportPath+" does not build:\n"+strings.Join(out[l.ImportPath], ""))
			case "pass", "fail", "skip":
				if l.Test == "" {
					ended[l.Package] = true
					if !final {
						mark := map[string]string{"pass": "ok  ", "fail": "FAIL", "skip": "none"}[l.Action]
						fmt.Printf("%s %-60s %7.1f s%s\n", mark, short(l.Package), l.Elapsed, cached(out[key]))
					}
					if l.Action == "fail" && !final {
						fmt.Print(indent(out[key]))
					}
					if l.Action == "fail" {
						broken = append(broken, l.Package)
					}
					continue
				}
				switch l.Action {
				case "pass":
					passed++
				case "fail":
					failed++
					if !final {
						fmt.Printf("--- FAIL: %s %s\n%s", l.Package, l.Test, indent(out[key]))
					}
				case "skip":
					skipped = append(skipped, result{l.Package, l.Test, out[key]})
					if reason(out[key]) == "" {
						broken = append(broken, l.Package+" "+l.Test+" is skipped and does not say why")
					}
				}
			}
		}
		if err := sc.Err(); err != nil {
			broken = append(broken, name+": "+err.Error())
		}
		f.Close()
		if len(ended) == 0 {
			broken = append(broken, name+" tells of no package: the suite did not run")
		}
		for _, p := range slices.Sorted(maps.Keys(ended)) {
			if !ended[p] {
				broken = append(broken, p+" began and did not end")
			}
		}
	}
	if !final {
		for _, b := range broken {
			fmt.Println("failed:", b)
		}
	}
	if final {
		sort.Slice(skipped, func(i, j int) bool { return skipped[i].pkg+skipped[i].test < skipped[j].pkg+skipped[j].test })
		if len(skipped) > 0 {
			fmt.Println("\nSkipped, and why:")
			for _, s := range skipped {
				fmt.Printf("  %-44s %-44s %s\n", short(s.pkg), s.test, cmp.Or(reason(s.out), "no reason given"))
			}
		} else {
			fmt.Println("\nNothing was skipped.")
		}
		for _, b := range broken {
			fmt.Println("failed:", b)
		}
		fmt.Printf("%d passed, %d failed, %d skipped\n", passed, failed, len(skipped))
	}
	if failed > 0 || len(broken) > 0 || passed == 0 && final {
		return 1
	}
	return 0
}

func short(pkg string) string { return strings.TrimPrefix(pkg, "github.com/dockreeve/dockreeve/") }

// cached says so where a result is the one of an earlier run of the same inputs.
func cached(out []string) string {
	if slices.ContainsFunc(out, func(s string) bool { return strings.HasSuffix(s, "\t(cached)\n") }) {
		return ", cached"
	}
	return ""
}

// reason is what a skipped test said last, "" = nothing.
func reason(out []string) string {
	for i := len(out) - 1; i >= 0; i-- {
		s := strings.TrimSpace(out[i])
		if s == "" || strings.HasPrefix(s, "---") || strings.HasPrefix(s, "===") {
			continue
		}
		if _, after, ok := strings.Cut(s, ".go:"); ok {
			if _, msg, ok := strings.Cut(after, ": "); ok {
				return msg
			}
		}
		return s
	}
	return ""
}

func indent(out []string) string {
	s := strings.Join(out, "")
	if len(s) > 20000 {
		s = s[:10000] + "\n…\n" + s[len(s)-10000:]
	}
	return "    " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n    ") + "\n"
}
