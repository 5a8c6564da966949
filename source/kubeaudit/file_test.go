package kubeaudit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// logs is a directory with an audit log that tests write, rotate and follow.
type logs struct {
	t    *testing.T
	path string
	s    sink
	in   *Intake
	f    *File
	opt  FileOptions
	n    int
}

func newLogs(t *testing.T) *logs {
	dir := t.TempDir()
	l := &logs{t: t, path: filepath.Join(dir, "audit.log")}
	l.opt = FileOptions{Path: l.path, Checkpoints: Folder(filepath.Join(dir, "marks"))}
	return l
}

func (l *logs) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// write appends text to the log.
func (l *logs) write(text string) {
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	l.must(err)
	_, err = f.WriteString(text)
	l.must(err)
	l.must(f.Close())
}

// rotate renames the log to a name with a time later than those before.
func (l *logs) rotate(name string) string {
	l.n++
	to := filepath.Join(filepath.Dir(l.path), name)
	l.must(os.Rename(l.path, to))
	at := time.Now().Add(time.Duration(l.n-1000) * time.Second)
	l.must(os.Chtimes(to, at, at))
	return to
}

// start is a new process.
func (l *logs) start() {
	l.t.Helper()
	old := l.s.events
	in, _ := newIntake(&l.s)
	l.s.events = old
	l.in = in
	if l.f != nil {
		l.f.close()
	}
	l.f = l.in.File(l.opt)
	ctx := context.Background()
	m, known, err := l.f.load(ctx)
	l.must(err)
	if known {
		l.must(l.f.catchUp(ctx, m, time.Time{}))
	} else {
		l.must(l.f.begin(ctx))
	}
}

func (l *logs) step() {
	l.t.Helper()
	l.must(l.f.step(context.Background()))
}

func (l *logs) want(ids string) {
	l.t.Helper()
	equal(l.t, "events", strings.Join(l.s.ids(), " "), ids)
	hop(l.t, l.in, "file")
}

func line(id string) string { return audit(id) + "\n" }

func TestFileIsFollowed(t *testing.T) {
	l := newLogs(t)
	l.start() // before there is one
	l.step()
	l.write(line("a"))
	l.step()
	l.want("a")
	l.write(line("b")[:200])
	l.step()
	l.want("a") // the rest is not written yet
	l.write(line("b")[200:] + line("c"))
	l.step()
	l.want("a b c")
	equal(t, "lost", len(hop(t, l.in, "file").Lost), 0)
}

func TestFileIsRotated(t *testing.T) {
	for _, name := range []string{"audit-2026-11-20T08-00-00.000.log", "audit.log.1"} {
		l := newLogs(t)
		l.write(line("a"))
		l.start()
		l.step()
		l.write(line("b"))
		l.rotate(name)
		l.step() // renamed, and no new one yet
		l.want("a b")
		l.write(line("c"))
		l.step()
		l.step()
		l.want("a b c")
		// Two rotations between two looks.
		l.write(line("d"))
		l.rotate(strings.Replace(strings.Replace(name, "00.000", "01.000", 1), ".1", ".1.x", 1))
		l.write(line("e"))
		l.rotate(strings.Replace(strings.Replace(name, "00.000", "02.000", 1), ".1", ".1.y", 1))
		l.write(line("f"))
		l.step()
		l.step()
		l.want("a b c d e f")
		equal(t, "lost", len(hop(t, l.in, "file").Lost), 0)
	}
}

func TestFileIsRemovedOnRotation(t *testing.T) {
	l := newLogs(t)
	l.write(line("a"))
	l.start()
	l.step()
	l.write(line("b") + line("cut")[:100])
	l.must(os.Remove(l.rotate("audit.log.1")))
	l.write(line("c"))
	l.step()
	l.step()
	l.want("a b c")
	equal(t, "lost", fmt.Sprint(hop(t, l.in, "file").Lost), "map[cut:1]")
}

func TestFileIsCopiedAndTruncated(t *testing.T) {
	l := newLogs(t)
	l.write(line("a") + line("b"))
	l.start()
	l.step()
	l.write(line("c"))
	text, err := os.ReadFile(l.path)
	l.must(err)
	l.must(os.WriteFile(l.path+".1", text, 0o600)) // before c was read
	l.must(os.Truncate(l.path, 0))
	l.write(line("d") + line("e") + line("f") + line("g")) // longer than it was
	l.step()
	l.step()
	l.want("a b c d e f g")
	l.must(os.Remove(l.path + ".1"))
	l.must(os.Truncate(l.path, 0))
	l.step()
	l.write(line("h"))
	l.step()
	l.want("a b c d e f g h")
	equal(t, "lost", fmt.Sprint(hop(t, l.in, "file").Lost), "map[rotated_away:1]")
}

func TestFileGoesOnWhereItWas(t *testing.T) {
	l := newLogs(t)
	l.write(line("a") + line("b")[:100])
	l.start()
	l.step()
	l.start()
	l.write(line("b")[100:])
	l.step()
	l.want("a b")
	// Rotated twice while it was down, once compressed.
	l.write(line("c"))
	first := l.rotate("audit-1.log")
	text, err := os.ReadFile(first)
	l.must(err)
	l.must(os.WriteFile(first+".gz", zip(string(text)), 0o600))
	at := time.Now().Add(-999 * time.Second)
	l.must(os.Chtimes(first+".gz", at, at))
	l.must(os.Remove(first))
	l.write(line("d"))
	l.rotate("audit-2.log")
	l.write(line("e"))
	l.must(os.WriteFile(filepath.Join(filepath.Dir(l.path), "auditors.txt"), []byte(line("not ours")), 0o600))
	l.start()
	l.step()
	l.want("a b c d e")
	equal(t, "lost", len(hop(t, l.in, "file").Lost), 0)
	l.start()
	l.step()
	l.want("a b c d e")
}

func TestFileThatWasRotatedAwayIsALoss(t *testing.T) {
	l := newLogs(t)
	l.write(line("a"))
	l.start()
	l.step()
	l.must(os.Remove(l.rotate("audit-1.log")))
	l.write(line("b"))
	l.start()
	l.step()
	l.want("a b")
	equal(t, "lost", hop(t, l.in, "file").Lost["rotated_away"], 1)
	if len(l.s.losses) == 0 || l.s.losses[len(l.s.losses)-1].Reason != "rotated_away" {
		t.Errorf("losses %v", l.s.losses)
	}
}

func TestFileFromItsEnd(t *testing.T) {
	l := newLogs(t)
	l.opt.AtEnd = true
	l.write(line("a") + line("b")[:100])
	l.start()
	l.step()
	l.want("")
	l.write(line("b")[100:])
	l.step()
	l.want("b")
	l.start()
	l.write(line("c"))
	l.step()
	l.want("b c")
}

// TestFileIsNotMarkedBeforeTheHandlerHasIt: killed while the handler refuses, the next
// process begins with what was refused.
func TestFileIsNotMarkedBeforeTheHandlerHasIt(t *testing.T) {
	l := newLogs(t)
	l.write(line("a") + line("b") + line("c"))
	l.start()
	ctx, cancel := context.WithCancel(context.Background())
	l.s.fail = func(n int) error {
		if n == 1 {
			cancel()
			return errors.New("the spool is full")
		}
		return nil
	}
	if err := l.f.step(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	l.want("a")
	l.s.fail = nil
	l.start()
	l.step()
	if got := strings.Join(l.s.ids(), " "); got != "a a b c" { // the same id both times: idempotent at the receiver
		t.Errorf("events %s", got)
	}
	equal(t, "id", l.s.events[0].ID, l.s.events[1].ID)
}

func TestFileRunsUntilToldToStop(t *testing.T) {
	l := newLogs(t)
	l.write(line("a"))
	in, c := newIntake(&l.s)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- in.File(l.opt).Run(ctx) }()
	<-l.s.came
	c.WaitTimers(1)
	l.write(line("b"))
	c.Advance(time.Second)
	<-l.s.came
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	equal(t, "events", strings.Join(l.s.ids(), " "), "a b")
}

func TestFileErrors(t *testing.T) {
	l := newLogs(t)
	in, _ := newIntake(&l.s)
	l.must(os.Mkdir(l.path, 0o700))
	if err := in.File(FileOptions{Path: l.path}).Run(context.Background()); err == nil || !strings.Contains(err.Error(), l.path) {
		t.Errorf("a directory: %v", err)
	}
	marks := Folder(t.TempDir())
	l.must(marks.Save(context.Background(), "file:"+l.path, []byte(strings.Repeat("x", maxMark+1))))
	if _, err := marks.Load(context.Background(), "file:"+l.path); err == nil || !strings.Contains(err.Error(), "remove it to begin anew") {
		t.Errorf("a large mark: %v", err)
	}
	for _, bad := range []string{"", "{", `{"offset":-1}`, `{"headLen":5000}`} {
		l := newLogs(t)
		l.write(line("a"))
		l.must(l.opt.Checkpoints.Save(context.Background(), "file:"+l.path, []byte(bad)))
		l.start()
		l.step()
		l.want("a")
		equal(t, "told", hop(t, l.in, "file").Errors["checkpoint"], 1)
	}
}
