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
	"slices"
	"strings"
)

// Scenario is one story of a file.
type Scenario struct {
	Name  string
	File  string
	Line  int
	Steps []Step
}

// Step is one line: a verb, its words, and its key=value options. A text on the lines
// that follow (<<END … END) is the value of the option it is written for, or Text.
type Step struct {
	Line  int
	Verb  string
	Words []string
	Opt   map[string]string
	Text  string
}

// verbs maps each verb to the least number of words it needs.
var verbs = map[string]int{
	"container": 1, "process": 3, "fork": 2, "exec": 2, "exit": 1, "open": 3, "connect": 4, "dup": 4, "expect": 1, "loss": 2,
	"cluster": 1, "object": 0, "gone": 2, "audit": 0, "wait": 1,
}

// options that a line may carry; any other word with '=' belongs to the words.
var options = map[string]bool{
	"image": true, "pod": true, "unknown": true, "in": true, "phase": true, "comm": true, "argv0": true, "tty": true, "user": true,
	"ino": true, "failed": true, "stdin": true, "stdout": true, "severity": true, "process": true, "workload": true, "object": true, "parent": true,
}

// moreOptions are those of one verb alone.
var moreOptions = map[string][]string{
	"container": {"owned", "owner", "tenant", "uid", "mounts"},
	"exec":      {"root"},
	"expect":    {"identity", "source", "cluster", "owner", "tenant", "summary"},
	"cluster":   {"learn", "config"},
	"gone":      {"ns"},
	"audit": {
		"ns", "name", "from", "agent", "code", "reason", "stage", "level", "decision", "as", "groups", "token", "query", "request", "response", "facts", "more", "times", "every",
	},
}

// Parse reads a scenario file. Its errors name file and line.
func Parse(file string, data []byte) ([]Scenario, error) {
	var out []Scenario
	sc := bufio.NewScanner(bytes.NewReader(data))
	n := 0
	// text reads the lines of <<END, up to the one that is END.
	text := func(end string) (string, error) {
		var b strings.Builder
		for from := n; sc.Scan(); {
			n++
			if strings.TrimSpace(sc.Text()) == end {
				return b.String(), nil
			}
			if b.Len() > maxText {
				return "", fmt.Errorf("the text that begins after line %d is longer than %d bytes", from, maxText)
			}
			b.WriteString(sc.Text())
			b.WriteByte('\n')
		}
		return "", fmt.Errorf("no line %s ends the text", end)
	}
	for sc.Scan() {
		n++
		line := strings.TrimSpace(sc.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if name, ok := strings.CutPrefix(line, "scenario:"); ok {
			out = append(out, Scenario{Name: strings.TrimSpace(name), File: file, Line: n})
			continue
		}
		if len(out) == 0 {
			return nil, fmt.Errorf("%s:%d: %q stands before the first `scenario:` line", file, n, line)
		}
		words, err := split(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, n, err)
		}
		st := Step{Line: n, Verb: words[0].text, Opt: map[string]string{}}
		least, known := verbs[st.Verb]
		if !known {
			return nil, fmt.Errorf("%s:%d: unknown line %q; see docs/scenarios.md", file, n, st.Verb)
		}
		for _, w := range words[1:] {
			if k, v, ok := strings.Cut(w.text, "="); ok && !w.quoted && (options[k] || slices.Contains(moreOptions[st.Verb], k)) {
				if end, ok := strings.CutPrefix(v, "<<"); ok {
					if v, err = text(end); err != nil {
						return nil, fmt.Errorf("%s:%d: %s: %w", file, st.Line, k, err)
					}
				}
				st.Opt[k] = v
				continue
			}
			if end, ok := strings.CutPrefix(w.text, "<<"); ok && !w.quoted && (st.Verb == "object" || st.Verb == "audit") {
				if st.Text, err = text(end); err != nil {
					return nil, fmt.Errorf("%s:%d: %w", file, st.Line, err)
				}
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

func isOption(key string) bool {
	for _, of := range moreOptions {
		if slices.Contains(of, key) {
			return true
		}
	}
	return options[key]
}

// maxText bounds a text of several lines, bytes.
const maxText = 1 << 20

type word struct {
	text   string
	quoted bool
}

// split cuts a line at blanks; double quotes keep blanks together, around a word or
// around the value of an option.
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
			if key, _, ok := strings.Cut(s[i:i+end], `="`); ok && isOption(key) {
				from := i + len(key) + 2
				closed := strings.IndexByte(s[from:], '"')
				if closed < 0 {
					return nil, fmt.Errorf("a double quote is not closed")
				}
				out = append(out, word{key + "=" + s[from:from+closed], false})
				i = from + closed + 1
				continue
			}
			out = append(out, word{s[i : i+end], false})
			i += end
		}
	}
	return out, nil
}
