package hostile

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// head begins every hand-written trace.
const head = `{"format":"dockreeve-trace","version":1,"node":"n","started":"1700000000000000000"}` + "\n"

// evil is what an attacker names things: escapes in 7 and 8 bits, marks of direction,
// separators of lines, characters nobody sees, a NUL.
const evil = "x\x1b]0;pwned\a\x1b[2J\u009b31m\u202egnp\u2066\u200b\u2028y\x7f\x00\U000E0041"

// everyExec fires on every exec.
const everyExec = `- rule: "Any exec \u202e\u001b[31m"
  desc: "every exec \u001b[2J"
  condition: evt.type = execve
  output: "exec of %proc.cmdline in %container.name by %user.name as %proc.name \u001b[5m"
  priority: CRITICAL
  tags: ["t\u001b[4m"]
`

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func quote(t *testing.T, s string) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// evilTrace has one exec, every name of which is hostile.
func evilTrace(t *testing.T) string {
	q := quote(t, evil)
	ev := fmt.Sprintf(`{"id":"1-2-1-1","type":"execve","time":"1700000000000000001","boot":"5"}`)
	image := fmt.Sprintf(`{"pid":7,"start":"4","comm":%s,"exe":%s,"exe_path":%s,"cmdline":%s,"cwd":%s,"user":%s}`, q, q, q, q, q, q)
	return fmt.Sprintf(head+`{"container":{"id":"abcdef","name":%s,"image":%s,"runtime":%s},"n":1}`+"\n"+
		`{"event":%s,"facts":{"pid":7,"start":"4","image":%s},"in":1}`+"\n"+`{"end":{"events":1,"losses":0,"lost":0,"ended":"1700000000000000001"}}`+"\n", q, q, q, ev, image)
}

// What a container calls things is shown, never obeyed, by every command.
func TestTerminalIsSafe(t *testing.T) {
	rules, tape := write(t, "r.yaml", everyExec), write(t, "t.ndjson", evilTrace(t))
	for _, args := range [][]string{
		{"rules", "check", rules}, {"rules", "check", "-o", "json", rules}, {"rules", "list", rules}, {"rules", "list", "-o", "json", rules},
		{"rules", "explain", "-r", rules, "--no-builtin-rules", "nosuch\x1b[31m"},
		{"rules", "replay", "-r", rules, "--no-builtin-rules", tape}, {"rules", "replay", "-r", rules, "--no-builtin-rules", "-o", "json", tape},
		{"rules", "replay", "-r", rules, "--no-builtin-rules", "-o", "falco", tape},
	} {
		out, errs, code := command(t, args...)
		safe(t, strings.Join(args[:2], " "), out+errs)
		if args[1] == "replay" && (code != 1 || !strings.Contains(out, "pwned")) {
			t.Errorf("%v found nothing: %d %s%s", args, code, out, errs)
		}
	}
	h := up(t, t.TempDir(), "--replay", tape, "-r", rules, "--no-builtin-rules")
	var list []alert
	until(t, "the alert of the replay", func() bool { list = h.alerts(t); return len(list) == 1 })
	for _, args := range [][]string{
		{"alerts", "list"}, {"alerts", "list", "-o", "json"}, {"alerts", "show", list[0].ID}, {"alerts", "show", "-o", "json", list[0].ID},
		{"status"}, {"status", "-o", "json"}, {"alerts", "show", "\x1b[31m"}, {"alerts", "list", "\x1b[31m:"},
	} {
		out, errs, _ := h.call(t, args...)
		safe(t, strings.Join(args, " "), out+errs)
	}
	for _, o := range []string{"text", "json"} {
		w := start(t, nil, "dockreeve", "alerts", "watch", "-o", o, "--state", h.state)
		until(t, "watch shows the alert", func() bool {
			// Each change of status is told to those who watch.
			h.call(t, "alerts", "set", "acknowledged", list[0].ID, "--why", evil[:1])
			h.call(t, "alerts", "set", "open", list[0].ID)
			return strings.Contains(w.out.String(), "pwned")
		})
		if code := w.stop(t); code != 0 {
			t.Errorf("alerts watch ended with %d", code)
		}
		safe(t, "alerts watch", w.out.String()+w.err.String())
	}
	h.stop(t)
	safe(t, "up", h.out.String()+h.err.String())
}

// Whatever is given as a trace, replay says what is wrong with it and where.
func TestTracesThatAreNone(t *testing.T) {
	whole := evilTrace(t)
	for _, x := range []struct {
		name, text, says string
		code             int
	}{
		{"empty", "", "it is empty", 3},
		{"binary", "\x7fELF\x00\xff\n\x00", "line 1 is not the header", 3},
		{"another version", strings.Replace(whole, `"version":1`, `"version":2`, 1), "version 2, this program reads version 1", 3},
		{"a version beyond numbers", strings.Replace(whole, `"version":1`, `"version":1e99`, 1), "line 1", 3},
		{"cut in a line", whole[:len(whole)*2/3], "cut short", 4},
		{"no end", head, "cut short", 4},
		{"a line too long", head + strings.Repeat("x", 5<<20) + "\n", "longer than", 3},
		{"deep", head + strings.Repeat(`{"event":`, 200_000) + "\n", "line 2", 3},
		{"numbers out of range", head + `{"event":{"type":"execve"},"facts":{"pid":99999999999999999999}}` + "\n", "line 2", 3},
		{"a container nobody named", head + `{"event":{"type":"execve"},"facts":{"pid":1},"in":77}` + "\n", "no container 77", 3},
		{"a type nobody knows", head + `{"event":{"type":"frobnicate"},"facts":{"pid":1}}` + "\n", "line 2", 3},
	} {
		path := write(t, "t.ndjson", x.text)
		out, errs, code := command(t, "rules", "replay", path)
		if code != x.code || !strings.Contains(errs, x.says) || strings.Contains(errs, "goroutine") {
			t.Errorf("%s: exit %d, want %d saying %q: %s%.300s", x.name, code, x.code, x.says, out, errs)
		}
		safe(t, x.name, out+errs)
	}
	for _, path := range []string{"/dev/zero", "/dev/null", "/", "/nonexistent"} {
		if _, errs, code := command(t, "rules", "replay", path); code != 3 || !strings.Contains(errs, path) {
			t.Errorf("%s: exit %d, %s", path, code, errs)
		}
	}
}

// A pipe may be silent for ever: one interrupt ends the wait all the same.
func TestWaitingOnAPipeEndsWithOneInterrupt(t *testing.T) {
	for name, feed := range map[string]string{"nobody writes": "", "half a trace": head} {
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		if feed != "" {
			w, err := os.OpenFile(fifo, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if _, err := w.WriteString(feed); err != nil {
				t.Fatal(err)
			}
		}
		r := start(t, nil, "dockreeve", "rules", "replay", fifo)
		h := up(t, t.TempDir(), "--replay", fifo)
		if code := h.stop(t); code != 0 {
			t.Errorf("%s: up ended with %d: %s", name, code, h.err.String())
		}
		r.stop(t) // that it ends is the point: by the signal, or before it was ready for one
	}
	// A whole trace through a pipe is as good as a file.
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	text := evilTrace(t)
	go func() {
		if w, err := os.OpenFile(fifo, os.O_WRONLY, 0); err == nil {
			_, _ = w.WriteString(text) // what is missing shows in the count
			w.Close()
		}
	}()
	h := up(t, t.TempDir(), "--replay", fifo, "-r", write(t, "r.yaml", everyExec))
	until(t, "the alert of the piped trace", func() bool { return len(h.alerts(t)) == 1 })
}

// Rule files that are no rule files, or too much of one.
func TestRuleFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	fifo, loop := filepath.Join(dir, "fifo.yaml"), filepath.Join(dir, "loop.yaml")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, loop, "/dev/zero", dir, "/nonexistent"} {
		if _, errs, code := command(t, "rules", "check", path); code != 3 || !strings.Contains(errs, filepath.Base(path)) {
			t.Errorf("%s: exit %d, %s", path, code, errs)
		}
	}
	rule := func(condition string) string {
		return "- rule: Good\n  desc: d\n  condition: evt.type=execve\n  output: o\n  priority: ERROR\n- rule: Bad\n  desc: d\n  condition: " + condition + "\n  output: o\n  priority: ERROR\n"
	}
	bomb := "- macro: m0\n  condition: (proc.name=a or proc.name=b)\n"
	for i := range 9 {
		bomb += fmt.Sprintf("- macro: m%d\n  condition: (%s)\n", i+1, strings.Repeat(fmt.Sprintf("m%d or ", i), 9)+fmt.Sprintf("m%d", i))
	}
	alias := "- &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'z'; c++ {
		alias += fmt.Sprintf("- &%c [%s*%c]\n", c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 8), c-1)
	}
	for name, text := range map[string]string{
		"parentheses":  rule(strings.Repeat("(", 10_000) + "evt.type=execve" + strings.Repeat(")", 10_000)),
		"negations":    rule(strings.Repeat("not (", 10_000) + "evt.type=execve" + strings.Repeat(")", 10_000)),
		"transformers": rule(strings.Repeat("toupper(", 10_000) + "proc.name" + strings.Repeat(")", 10_000) + " = A"),
		"macro bomb":   rule("evt.type=execve and m9") + bomb + "- rule: Worse\n  desc: d\n  condition: evt.type=execve and m9\n  output: o\n  priority: ERROR\n",
		"alias bomb":   alias + rule("nonsense ("),
		"broken YAML":  rule("evt.type=execve") + "- rule: x\n  desc: \"open\n",
	} {
		out, errs, code := command(t, "rules", "check", write(t, "r.yaml", text))
		if code != 1 || !strings.Contains(out, "r.yaml:") || !strings.Contains(out, "error:") || strings.Contains(errs, "goroutine") {
			t.Errorf("%s: exit %d\n%.500s\n%.500s", name, code, out, errs)
		}
		if !strings.Contains(out, "1 watching") && !strings.Contains(out, "2 watching") {
			t.Errorf("%s took the good rule with it: %.300s", name, out)
		}
	}
}
