// Package ci holds deploy/ci to what it promises: the files parse, use only flags that
// the program has, pin what they use, and never run an input as a part of a script.
package ci

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/dockreeve/dockreeve/cli"
)

const root = "../../deploy/ci"

var files = []string{"github/action.yml", "azure-pipelines/dockreeve-scan.yml"}

// flags are those that `dockreeve scan` and `dockreeve db update` promise to pipelines.
// TestFlagsExist holds them against the program itself.
var flags = []string{"--platform", "--fail-on", "--ignore-file", "--vex", "-o", "--scanners", "--db", "--max-db-age", "--server", "--record",
	"--commit", "--pipeline", "--offline", "--timeout", "--severity", "--in-use"}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// documents are the YAML files, and the YAML examples of the README.
func documents(t *testing.T) map[string]*yaml.Node {
	t.Helper()
	texts := map[string]string{}
	for _, name := range files {
		texts[name] = read(t, name)
	}
	for i, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(read(t, "README.md"), -1) {
		texts["README.md example "+string(rune('1'+i))] = m[1]
	}
	docs := map[string]*yaml.Node{}
	for name, text := range texts {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		docs[name] = &n
	}
	if len(docs) < 4 {
		t.Fatalf("only %d documents", len(docs))
	}
	return docs
}

// walk calls f at every key and its value.
func walk(n *yaml.Node, f func(key string, value *yaml.Node)) {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			f(n.Content[i].Value, n.Content[i+1])
		}
	}
	for _, c := range n.Content {
		walk(c, f)
	}
}

func scripts(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for name, doc := range documents(t) {
		walk(doc, func(key string, value *yaml.Node) {
			if slices.Contains([]string{"run", "bash", "script", "inlineScript", "powershell", "pwsh"}, key) {
				out[name] = append(out[name], value.Value)
			}
		})
	}
	for _, name := range files {
		if len(out[name]) < 2 {
			t.Errorf("%s: only %d scripts found", name, len(out[name]))
		}
	}
	return out
}

func TestNoExpressionIsRunAsScript(t *testing.T) {
	for name, list := range scripts(t) {
		for _, s := range list {
			for _, bad := range []string{"${{", "$(Build.", "$(System.", "$(Agent.", "$[", "eval ", "xargs"} {
				if strings.Contains(s, bad) {
					t.Errorf("%s: a script has %q: give it through env:\n%s", name, bad, s)
				}
			}
		}
	}
}

func TestScriptsAreSoundShell(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	for name, list := range scripts(t) {
		for _, s := range list {
			cmd := exec.Command(bash, "-n")
			cmd.Stdin = strings.NewReader(s)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", name, err, out)
			}
			// Every variable is quoted: an image called "a --fail-on none" is one word.
			unquoted := regexp.MustCompile(`(^|[ =(])\$\{?[A-Z_]+`)
			for line := range strings.SplitSeq(s, "\n") {
				bare := regexp.MustCompile(`"[^"]*"|'[^']*'`).ReplaceAllString(line, `""`)
				if unquoted.MatchString(bare) && !strings.HasPrefix(strings.TrimSpace(line), "#") && !regexp.MustCompile(`^\s*[A-Z]+=`).MatchString(line) {
					t.Errorf("%s: unquoted variable: %s", name, line)
				}
			}
		}
	}
}

func TestVersionsArePinned(t *testing.T) {
	sha := regexp.MustCompile(`@([0-9a-f]{40}|FULL_COMMIT_SHA)$`)
	for name, doc := range documents(t) {
		walk(doc, func(key string, value *yaml.Node) {
			switch key {
			case "uses":
				if !sha.MatchString(value.Value) && !strings.HasPrefix(value.Value, "./") {
					t.Errorf("%s: %s is not pinned to a commit", name, value.Value)
				}
			case "task":
				if !regexp.MustCompile(`@[0-9]+$`).MatchString(value.Value) {
					t.Errorf("%s: %s has no version", name, value.Value)
				}
			case "runs-on", "vmImage":
				if strings.Contains(value.Value, "latest") {
					t.Errorf("%s: %s moves", name, value.Value)
				}
			}
		})
		for _, list := range scripts(t) {
			for _, s := range list {
				if strings.Contains(s, "@latest") || strings.Contains(s, ":latest") || strings.Contains(s, "| sh") || strings.Contains(s, "| bash") {
					t.Errorf("%s: a script fetches what may change:\n%s", name, s)
				}
			}
		}
	}
}

// used are the flags that a script gives to the program.
func used(t *testing.T) map[string][]string {
	flag := regexp.MustCompile(`(?:[(\s])(--[a-z][a-z-]+|-o)\b`)
	own := map[string]bool{"rm": true, "mkdir": true, "go": true, "docker": true, "set": true, "printf": true, "curl": true}
	out := map[string][]string{}
	for name, list := range scripts(t) {
		for _, s := range list {
			for line := range strings.SplitSeq(s, "\n") {
				words := strings.Fields(strings.TrimLeft(line, " ("))
				if len(words) == 0 || own[words[0]] || words[0] == "#" || strings.Contains(line, "go build") || strings.Contains(line, "rm -f") {
					continue
				}
				for _, m := range flag.FindAllStringSubmatch(line, -1) {
					out[name] = append(out[name], m[1])
				}
			}
		}
	}
	return out
}

func TestFlagsExist(t *testing.T) {
	var known []string
	for _, args := range [][]string{{"scan", "--help"}, {"db", "update", "--help"}, {"azure", "collect", "--help"}, {"coverage", "--help"}, {"report", "playbook", "--help"}} {
		var out, errs bytes.Buffer
		if code := cli.Main(args, &out, &errs); code != 0 {
			t.Fatalf("dockreeve %v: exit code %d\n%s", args, code, errs.String())
		}
		for _, m := range regexp.MustCompile(`(?m)^\s+(?:(-[a-z]), )?(--[a-z][a-z-]*)`).FindAllStringSubmatch(out.String(), -1) {
			known = append(known, m[1], m[2])
		}
	}
	for _, f := range flags {
		if !slices.Contains(known, f) {
			t.Errorf("the program has no %s, which pipelines are promised", f)
		}
	}
	for name, list := range used(t) {
		if slices.Contains(files, name) && len(list) < 8 {
			t.Errorf("%s: only flags %v found", name, list)
		}
		for _, f := range list {
			if !slices.Contains(known, f) {
				t.Errorf("%s uses %s, which the program does not have", name, f)
			}
		}
	}
}

// Every input of the action and the template is used, and every variable that a script
// uses is given to it.
func TestInputsArriveInTheScripts(t *testing.T) {
	for _, name := range files {
		text := read(t, name)
		doc := documents(t)[name]
		var inputs []string
		for i := 0; i+1 < len(doc.Content[0].Content); i += 2 {
			key, value := doc.Content[0].Content[i].Value, doc.Content[0].Content[i+1]
			switch key {
			case "inputs":
				for j := 0; j < len(value.Content); j += 2 {
					inputs = append(inputs, "inputs."+value.Content[j].Value)
				}
			case "parameters":
				for _, p := range value.Content {
					inputs = append(inputs, "parameters."+p.Content[1].Value)
				}
			}
		}
		if len(inputs) < 10 {
			t.Fatalf("%s: only %v", name, inputs)
		}
		for _, in := range inputs {
			if !regexp.MustCompile(regexp.QuoteMeta(in) + `[ ,]`).MatchString(text) {
				t.Errorf("%s: %s is used nowhere", name, in)
			}
		}
		for _, step := range steps(doc) {
			env := map[string]bool{"RUNNER_TEMP": true, "GITHUB_OUTPUT": true, "GITHUB_SHA": true, "GITHUB_REPOSITORY": true, "GITHUB_WORKFLOW": true,
				"AGENT_TEMPDIRECTORY": true, "BUILD_SOURCEVERSION": true, "SYSTEM_TEAMPROJECT": true, "BUILD_DEFINITIONNAME": true}
			script := ""
			for i := 0; i+1 < len(step.Content); i += 2 {
				switch step.Content[i].Value {
				case "env":
					for j := 0; j < len(step.Content[i+1].Content); j += 2 {
						env[step.Content[i+1].Content[j].Value] = true
					}
				case "run", "bash":
					script = step.Content[i+1].Value
				}
			}
			for _, m := range regexp.MustCompile(`\$\{?([A-Z_]+)`).FindAllStringSubmatch(script, -1) {
				if !env[m[1]] {
					t.Errorf("%s: a script uses %s, which its env does not give", name, m[1])
				}
			}
		}
	}
}

// steps are the mappings that hold a script.
func steps(doc *yaml.Node) []*yaml.Node {
	var out []*yaml.Node
	var visit func(*yaml.Node)
	visit = func(n *yaml.Node) {
		if n.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(n.Content); i += 2 {
				if k := n.Content[i].Value; (k == "run" || k == "bash") && n.Content[i+1].Kind == yaml.ScalarNode {
					out = append(out, n)
				}
			}
		}
		for _, c := range n.Content {
			visit(c)
		}
	}
	visit(doc)
	return out
}

// The action's scripts run with a stand-in for the program: a hostile image name stays
// one argument, and the exit code comes through.
func TestTheScanStepRuns(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	for _, name := range files {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			program := filepath.Join(dir, "dockreeve")
			if err := os.WriteFile(program, []byte("#!/bin/sh\nfor a in \"$@\"; do printf '%s\\n' \"$a\" >> \"$ARGS\"; done\nexit 4\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			list := scripts(t)[name]
			image := `x"; touch pwned; $(touch pwned) --fail-on none`
			cmd := exec.Command(bash, "-c", list[len(list)-1])
			cmd.Dir = dir
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "ARGS=" + filepath.Join(dir, "args"), "BINARY=" + program, "IMAGE=" + image, "FAIL_ON=kev", "OUTPUT=html=a.html",
				"SARIF=out.sarif", "PLATFORM=", "SCANNERS=vuln", "SEVERITY=", "IGNORE_FILE=", "VEX=", "DB=", "MAX_DB_AGE=1h", "TIMEOUT=1m", "SERVER=https://s.example",
				"GITHUB_OUTPUT=" + filepath.Join(dir, "output"), "GITHUB_SHA=abc", "GITHUB_REPOSITORY=a/b", "GITHUB_WORKFLOW=w",
				"AGENT_TEMPDIRECTORY=" + dir + "/tmp", "BUILD_SOURCEVERSION=abc", "SYSTEM_TEAMPROJECT=a", "BUILD_DEFINITIONNAME=b"}
			out, err := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != 4 {
				t.Fatalf("exit code %d, want the program's 4: %v\n%s", code, err, out)
			}
			args, err := os.ReadFile(filepath.Join(dir, "args"))
			if err != nil {
				t.Fatal(err)
			}
			have := strings.Split(strings.TrimSpace(string(args)), "\n")
			if have[0] != "scan" || have[len(have)-1] != image || have[len(have)-2] != "--" {
				t.Errorf("arguments %q", have)
			}
			for _, want := range []string{"--fail-on", "kev", "--server", "https://s.example", "--record", "--commit", "abc"} {
				if !slices.Contains(have, want) {
					t.Errorf("arguments %q lack %s", have, want)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
				t.Error("the image's name was run")
			}
		})
	}
}
