package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/detect/rules"
	"github.com/dockreeve/dockreeve/test/need"
)

// fakeSource raises what the fake victim's commands deserve.
type fakeSource struct {
	alerts chan sighting
	broken error
}

func (f *fakeSource) Address() string                                 { return "http://127.0.0.1:7777" }
func (f *fakeSource) Close() error                                    { return nil }
func (f *fakeSource) Watch(ctx context.Context) (alertWatcher, error) { return f, nil }

func (f *fakeSource) Next(ctx context.Context) (sighting, error) {
	if f.broken != nil {
		return sighting{}, f.broken
	}
	select {
	case s := <-f.alerts:
		return s, nil
	case <-ctx.Done():
		return sighting{}, ctx.Err()
	}
}

// fakeVictim answers every command with the proof of every step.
type fakeVictim struct{ printed string }

func (f fakeVictim) ID() string { return "c0ffee" }
func (f fakeVictim) Run(context.Context, string, ...string) (string, error) {
	return f.printed, nil
}
func (f fakeVictim) Listen(context.Context, uint16, string, ...string) (func() (string, error), error) {
	return func() (string, error) { return f.printed, nil }, nil
}

// fakeDemo has one attack of two steps; raise says what each step raises.
func fakeDemo(raise func(step int, began int64) []sighting) (demoOptions, *bool) {
	src := &fakeSource{alerts: make(chan sighting, 64)}
	stopped := false
	at := time.Unix(1_700_000_000, 0)
	do := func(n int) func(context.Context, victim) (string, error) {
		return func(ctx context.Context, v victim) (string, error) {
			for _, s := range raise(n, at.UnixNano()) {
				src.alerts <- s
			}
			return v.Run(ctx, "")
		}
	}
	return demoOptions{
		attacks: []attack{{"story", "A story", []step{
			{"first", "$1", []string{"one", "two"}, do(1), "proof"},
			{"second", "$2", []string{"three"}, do(2), "proof"},
		}}},
		source: src, timeout: time.Minute, now: func() time.Time { return at }, progress: &bytes.Buffer{},
		start: func(context.Context) (victim, error) { return fakeVictim{"some\nproof\n"}, nil },
		stop:  func(victim) error { stopped = true; return nil },
	}, &stopped
}

const ms = int64(time.Millisecond)

func TestDemoEveryAlertComes(t *testing.T) {
	o, stopped := fakeDemo(func(n int, began int64) []sighting {
		seen := func(rule, container string, kernel int64) sighting {
			return sighting{Alert: "a-" + rule, Rule: rule, Title: "Title " + rule, Severity: "high", Container: container,
				Kernel: kernel, Stored: kernel + 3*ms, Seen: kernel + 5*ms}
		}
		if n == 1 {
			return []sighting{
				seen("one", "other", began+10*ms), // somebody else's container
				seen("one", "", began+10*ms),      // the host
				seen("two", "c0ffee", began+20*ms),
				seen("extra", "c0ffee", began+25*ms),
				seen("one", "c0ffee", began+30*ms),
				seen("three", "c0ffee", began-1000*ms), // before its step
			}
		}
		return []sighting{seen("one", "c0ffee", began+40*ms), seen("three", "c0ffee", began+50*ms)}
	})
	r, err := runDemo(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.verdict(); err != nil {
		t.Error(err)
	}
	if !*stopped {
		t.Error("the container was not stopped")
	}
	var got []string
	for _, a := range r.Alerts {
		got = append(got, a.Rule)
		if a.KernelToStored != 3 || a.KernelToVisible != 5 {
			t.Errorf("%s: stored after %v ms, seen after %v ms; want 3 and 5", a.Rule, a.KernelToStored, a.KernelToVisible)
		}
	}
	if want := []string{"two", "one", "three"}; !slices.Equal(got, want) {
		t.Errorf("alerts %v, want %v", got, want)
	}
	if r.Alerts[1].StepToVisible != 35 {
		t.Errorf("from the step to its sight %v ms, want 35", r.Alerts[1].StepToVisible)
	}
	also := map[string]int{}
	for _, e := range r.Also {
		also[e.Rule] = e.Count
	}
	if also["extra"] != 1 || also["three"] != 1 || also["one"] != 1 {
		t.Errorf("also raised: %v", also)
	}
	var out bytes.Buffer
	if err := printDemo(&out, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"3 of 3 expected alerts came", "35.0 ms", "Title extra"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestDemoMissingAlert(t *testing.T) {
	o, stopped := fakeDemo(func(n int, began int64) []sighting { return nil })
	o.timeout = time.Millisecond
	var progress bytes.Buffer
	o.progress = &progress
	r, err := runDemo(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var coded *exitError
	if err := r.verdict(); !errors.As(err, &coded) || coded.code != exitFindings || !strings.Contains(err.Error(), "one, two, three") {
		t.Errorf("verdict %v", err)
	}
	if !strings.Contains(progress.String(), "MISSING: no alert of rule three") {
		t.Errorf("the missing alert is not named:\n%s", progress.String())
	}
	if !*stopped {
		t.Error("the container was not stopped")
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), `"missing":["one","two","three"]`) {
		t.Errorf("JSON: %s", b)
	}
}

func TestDemoFailures(t *testing.T) {
	nothing := func(int, int64) []sighting { return nil }
	for name, c := range map[string]struct {
		change func(*demoOptions)
		want   string
	}{
		"the attack does not work": {func(o *demoOptions) {
			o.start = func(context.Context) (victim, error) { return fakeVictim{"\x1b[2Jno"}, nil }
		}, `it did not work, so no alert can be expected: want "proof" in what it printed: \u001b[2Jno`},
		"the server goes away": {func(o *demoOptions) { o.source = &fakeSource{broken: errors.New("gone")} }, "watch for alerts: gone"},
		"the container does not start": {func(o *demoOptions) {
			o.start = func(context.Context) (victim, error) { return nil, errors.New("no runc") }
		}, "no runc"},
		"the container does not stop": {func(o *demoOptions) { o.attacks = nil; o.stop = func(victim) error { return errors.New("stuck") } }, "stuck"},
	} {
		t.Run(name, func(t *testing.T) {
			o, _ := fakeDemo(nothing)
			c.change(&o)
			if _, err := runDemo(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestDemoInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o, stopped := fakeDemo(func(int, int64) []sighting { cancel(); return nil })
	if _, err := runDemo(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if !*stopped {
		t.Error("the container was not stopped")
	}
}

func TestDemoPicks(t *testing.T) {
	got, err := pick([]string{"reverse-shell", "web-shell"})
	if err != nil || len(got) != 2 || got[0].Name != "web-shell" {
		t.Errorf("got %v, %v", got, err)
	}
	var coded *exitError
	if _, err := pick([]string{"nope"}); !errors.As(err, &coded) || coded.code != exitUsage || !strings.Contains(err.Error(), "secrets") {
		t.Errorf("got %v", err)
	}
	if all, err := pick(nil); err != nil || len(all) != len(attacks()) {
		t.Errorf("got %v, %v", all, err)
	}
}

// TestDemoExpectsShippedRules holds the attacks to the rule pack.
func TestDemoExpectsShippedRules(t *testing.T) {
	files, err := rules.Files()
	if err != nil {
		t.Fatal(err)
	}
	var pack []byte
	for _, f := range files {
		pack = append(pack, f.Data...)
	}
	seen := map[string]bool{}
	for _, a := range attacks() {
		for _, s := range a.Steps {
			for _, id := range s.Expect {
				if !regexp.MustCompile(`(?m)^\s+id: ` + id + `$`).Match(pack) {
					t.Errorf("%s expects the rule %s, which is not in the pack", a.Name, id)
				}
				if seen[id] {
					t.Errorf("two steps expect %s", id)
				}
				seen[id] = true
			}
		}
	}
}

// TestDemoAttacksWork carries out every step in a real container.
func TestDemoAttacksWork(t *testing.T) {
	need.Root(t)
	need.Command(t, need.Kernel, "busybox")
	need.Command(t, need.Kernel, "runc")
	v, err := newVictim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.box.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, a := range attacks() {
		for _, s := range a.Steps {
			out, err := attackStep(t.Context(), time.Minute, v, s)
			if err != nil {
				t.Errorf("%s: %v", s.Say, err)
			}
			t.Logf("$ %s\n%s", s.Shown, out)
		}
	}
}
