// Package scenario reads and plays the text files that say what a detection does and
// does not do. A file holds scenarios; each is a list of things that happen, in
// order, and of what is expected after them:
//
//	scenario: a web server starts a shell
//	  container web image=docker.io/library/nginx:1.27
//	  process 100 nginx /usr/sbin/nginx in=web
//	  fork 100 101
//	  exec 101 /bin/sh -c id
//	  expect shell-from-network-service severity=high process=sh
//
// `expect` consumes the findings made since the last one, so a finding nobody
// expects fails the scenario, and `expect nothing` says that there are none.
// docs/scenarios.md lists every line.
package scenario

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
)

// Scenario is one story of a file.
type Scenario struct {
	Name  string
	File  string
	Line  int
	Steps []Step
}

// Step is one line: a verb, its words, and its key=value options.
type Step struct {
	Line  int
	Verb  string
	Words []string
	Opt   map[string]string
}

// verbs maps each verb to the least number of words it needs.
var verbs = map[string]int{
	"container": 1, "process": 3, "fork": 2, "exec": 2, "exit": 1, "open": 3, "connect": 4, "dup": 4, "expect": 1, "loss": 2,
}

// options that a line may carry; any other word with '=' belongs to the words.
var options = map[string]bool{
	"image": true, "pod": true, "unknown": true, "in": true, "phase": true, "comm": true, "argv0": true, "tty": true, "user": true,
	"ino": true, "failed": true, "stdin": true, "stdout": true, "severity": true, "process": true, "workload": true, "object": true, "parent": true,
}

// Parse reads a scenario file. Its errors name file and line.
func Parse(file string, data []byte) ([]Scenario, error) {
	var out []Scenario
	sc := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; sc.Scan(); n++ {
		text := strings.TrimSpace(sc.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if name, ok := strings.CutPrefix(text, "scenario:"); ok {
			out = append(out, Scenario{Name: strings.TrimSpace(name), File: file, Line: n})
			continue
		}
		if len(out) == 0 {
			return nil, fmt.Errorf("%s:%d: %q stands before the first `scenario:` line", file, n, text)
		}
		words, err := split(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, n, err)
		}
		st := Step{Line: n, Verb: words[0].text, Opt: map[string]string{}}
		least, known := verbs[st.Verb]
		if !known {
			return nil, fmt.Errorf("%s:%d: unknown line %q; see docs/scenarios.md", file, n, st.Verb)
		}
		for _, w := range words[1:] {
			if k, v, ok := strings.Cut(w.text, "="); ok && !w.quoted && options[k] {
				st.Opt[k] = v
				continue
			}
			st.Words = append(st.Words, w.text)
		}
		if len(st.Words) < least {
			return nil, fmt.Errorf("%s:%d: %s needs at least %d words", file, n, st.Verb, least)
		}
		cur := &out[len(out)-1]
		cur.Steps = append(cur.Steps, st)
	}
	return out, sc.Err()
}

type word struct {
	text   string
	quoted bool
}

// split cuts a line at blanks; double quotes keep blanks together.
func split(s string) ([]word, error) {
	var out []word
	for i := 0; i < len(s); {
		switch {
		case s[i] == ' ' || s[i] == '\t':
			i++
		case s[i] == '#' && i > 0 && s[i-1] == ' ':
			return out, nil
		case s[i] == '"':
			end := strings.IndexByte(s[i+1:], '"')
			if end < 0 {
				return nil, fmt.Errorf("a double quote is not closed")
			}
			out = append(out, word{s[i+1 : i+1+end], true})
			i += end + 2
		default:
			end := strings.IndexAny(s[i:], " \t")
			if end < 0 {
				end = len(s) - i
			}
			out = append(out, word{s[i : i+end], false})
			i += end
		}
	}
	return out, nil
}
