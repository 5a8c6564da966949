// Package house holds docs/architecture.md to the real import graph: the edges
// between packages, the packages that may read no clock and do no I/O, and that
// the page names every room that exists.
package house

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/dockreeve/dockreeve/"

type pkg struct {
	ImportPath string
	Imports    []string
	GoFiles    []string
	Dir        string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,GoFiles,Dir", "./...")
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var pkgs []pkg
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// rooms reads the table of docs/architecture.md: package → what it may import.
func rooms(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z/]+)` \\| [^|]+ \\| ([^|]+) \\|$")
	table := map[string][]string{}
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		may := []string{}
		for _, s := range strings.Split(m[2], ",") {
			if s = strings.TrimSpace(s); s != "–" {
				may = append(may, s)
			}
		}
		table[m[1]] = may
	}
	if len(table) < 10 {
		t.Fatalf("docs/architecture.md: only %d rooms read from the table; has its shape changed?", len(table))
	}
	return table
}

// room finds the longest row that covers a path within the module.
func room(table map[string][]string, path string) string {
	for p := path; p != "."; p = filepath.Dir(p) {
		if _, ok := table[p]; ok {
			return p
		}
	}
	return ""
}

func TestImportsFollowTheArchitecturePage(t *testing.T) {
	table := rooms(t)
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		from := room(table, path)
		if from == "" {
			t.Errorf("package %s has no room in docs/architecture.md: add its row, or move it into a room that exists", path)
			continue
		}
		for _, imp := range p.Imports {
			if !strings.HasPrefix(imp, module) {
				continue
			}
			target := strings.TrimPrefix(imp, module)
			to := room(table, target)
			if to == from || to == "internal" || slices.Contains(table[from], "*") && to != "cmd" || slices.Contains(table[from], to) {
				continue
			}
			t.Errorf("%s imports %s: the page lets %s import only %v", path, target, from, table[from])
		}
	}
}

// pure packages judge; judgement must replay from a file.
var pure = []string{"event", "process", "rule", "rule/filter", "detect", "triage", "finding", "query", "inuse", "inventory", "detect/audit", "detect/activity", "scan", "scan/match", "scan/gate", "posture", "cost", "govern", "inventory/cloud"}

func TestJudgementReadsNoClockAndDoesNoInputOutput(t *testing.T) {
	clock := regexp.MustCompile(`\btime\.(Now|Since|Until|Sleep|After|Tick|NewTimer|NewTicker)\(`)
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		if !slices.Contains(pure, path) {
			continue
		}
		for _, imp := range p.Imports {
			if slices.Contains([]string{"net/http", "os/exec", "database/sql", "syscall"}, imp) || imp == "os" && path != "rule" {
				t.Errorf("%s imports %s: packages that judge do no input or output", path, imp)
			}
		}
		for _, f := range p.GoFiles {
			src, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil {
				t.Fatal(err)
			}
			if at := clock.FindIndex(src); at != nil {
				t.Errorf("%s/%s:%d reads the clock; take the time as an argument", path, f, 1+bytes.Count(src[:at[0]], []byte("\n")))
			}
		}
	}
}

// TestKeptResultsHaveNoInputOutside holds the packages whose results `make test` may take from
// an earlier run to what Go can know of: their code, and files and variables that they read themselves.
func TestKeptResultsHaveNoInputOutside(t *testing.T) {
	script, err := os.ReadFile("../setup/suite.sh")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^kept='([^']+)'$`).FindSubmatch(script)
	if m == nil {
		t.Fatal("test/setup/suite.sh names no packages whose results are kept")
	}
	cmd := exec.Command("go", append([]string{"list", "-f", `{{.ImportPath}} {{join .TestImports " "}} {{join .XTestImports " "}}`}, strings.Fields(string(m[1]))...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	variable := regexp.MustCompile(`os\.(?:Getenv|LookupEnv)\("([A-Z_]+)"\)`)
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		for _, imp := range f[1:] {
			if slices.Contains([]string{"os/exec", "net", "net/http", "plugin"}, imp) {
				t.Errorf("%s: its tests import %s, and suite.sh keeps their results", f[0], imp)
			}
		}
		files, err := filepath.Glob(filepath.Join("../..", strings.TrimPrefix(f[0], module), "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range variable.FindAllSubmatch(src, -1) {
				if !bytes.Contains(script, append([]byte("${"), v[1]...)) {
					t.Errorf("%s reads %s: suite.sh must keep no results where it is set", name, v[1])
				}
			}
		}
	}
}

func TestEveryRowOfThePageIsARoomThatExists(t *testing.T) {
	for name := range rooms(t) {
		if _, err := os.Stat(filepath.Join("../..", name)); err != nil {
			t.Errorf("docs/architecture.md names %s, which does not exist", name)
		}
	}
}

// TestTheNodeStaysSmall holds that dockreeve-node links no database, server, command
// line or Kubernetes library: it runs on every node, as root.
func TestTheNodeStaysSmall(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "./cmd/dockreeve-node")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{
		"modernc.org/sqlite", "github.com/pressly/goose", "github.com/spf13/cobra", "github.com/prometheus/client_golang",
		"connectrpc.com/connect", "google.golang.org/grpc", "k8s.io/", "sigs.k8s.io/", "github.com/twmb/", "github.com/Azure/", module + "source", module + "agent/cluster", module + "store", module + "server", module + "ui", module + "api",
	} {
		for _, dep := range strings.Fields(string(out)) {
			if dep == bad || strings.HasPrefix(dep, bad) && (strings.HasSuffix(bad, "/") || strings.HasPrefix(dep, bad+"/")) {
				t.Errorf("dockreeve-node links %s", dep)
			}
		}
	}
}
