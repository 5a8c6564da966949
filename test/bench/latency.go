package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/internal/sandbox"
	"github.com/dockreeve/dockreeve/server/client"
)

// kinds is how many programs raise alerts, each an alert of its own: enough that none
// happens so often that a burst of it is told as one.
const kinds = 50

// whole is a running `dockreeve up` in a state directory of its own.
type whole struct {
	cmd   *exec.Cmd
	said  limited
	ended chan error
	state string
	url   string
	c     *client.Client
}

func startWhole(ctx context.Context, c config) (_ *whole, err error) {
	w := &whole{ended: make(chan error, 1)}
	if w.state, err = os.MkdirTemp("", "dockreeve-bench-"); err != nil {
		return nil, err
	}
	w.cmd = exec.CommandContext(ctx, filepath.Join(c.bin, "dockreeve"), "up", "--state", w.state, "--listen", "127.0.0.1:0")
	w.cmd.Stderr, w.cmd.Stdout = &w.said, io.Discard
	if err := w.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(w.state))
	}
	go func() { w.ended <- w.cmd.Wait() }()
	for deadline := time.Now().Add(30 * time.Second); ; {
		err := w.dial(ctx)
		if err == nil {
			return w, nil
		}
		select {
		case ended := <-w.ended:
			w.ended <- ended
			return nil, errors.Join(fmt.Errorf("dockreeve up ended: %s", w.said.String()), w.stop())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("dockreeve up does not answer: %w: %s", err, w.said.String()), w.stop())
		}
	}
}

func (w *whole) dial(ctx context.Context) error {
	b, err := os.ReadFile(filepath.Join(w.state, "address"))
	if err != nil {
		return err
	}
	w.url = strings.TrimSpace(string(b))
	if w.c, err = client.New(client.Options{URL: w.url, StateDir: w.state}); err != nil {
		return err
	}
	st, err := w.c.Status.GetStatus(ctx, connect.NewRequest(&v1.GetStatusRequest{}))
	if err != nil {
		return err
	}
	if len(st.Msg.Nodes) != 1 || !st.Msg.Nodes[0].Reporting || st.Msg.Nodes[0].Since == 0 {
		return fmt.Errorf("it does not watch: %v", st.Msg.Watched)
	}
	return nil
}

func (w *whole) stop() error {
	_ = w.cmd.Process.Signal(os.Interrupt) // it may have ended
	var err error
	select {
	case err = <-w.ended:
	case <-time.After(20 * time.Second):
		err = errors.Join(errors.New("dockreeve up does not end"), w.cmd.Process.Kill(), <-w.ended)
	}
	return errors.Join(err, os.RemoveAll(w.state))
}

// events is how many events were delivered to rules so far, and when that was told.
func (w *whole) events(ctx context.Context) (n, at int64, err error) {
	st, err := w.c.Status.GetStatus(ctx, connect.NewRequest(&v1.GetStatusRequest{}))
	if err != nil {
		return 0, 0, err
	}
	if len(st.Msg.Nodes) != 1 {
		return 0, 0, fmt.Errorf("%d nodes report, want one", len(st.Msg.Nodes))
	}
	return st.Msg.Nodes[0].Events, st.Msg.Nodes[0].LastReport, nil
}

// rate is the events a second delivered to rules over d.
func (w *whole) rate(ctx context.Context, d time.Duration) (float64, error) {
	n0, t0, err := w.events(ctx)
	if err != nil {
		return 0, err
	}
	time.Sleep(d)
	n1, t1, err := w.events(ctx)
	if err == nil && t1 <= t0 {
		err = errors.New("the node told no status meanwhile")
	}
	return float64(n1-n0) / (float64(t1-t0) / 1e9), err
}

// latency is the way of an alert: from the kernel to the disk, to a client of the API,
// to the page of a browser, while the load of the goals runs.
func latency(ctx context.Context, c config) (s section, err error) {
	s.Method = fmt.Sprintf("dockreeve up and a container; a shell in it starts one of %d programs that were not in its image each time it reads a line, 40 times a second at random distances, one occurrence each; "+
		"kernel and stored times from ListOccurrences, visible = when an answer refetched on the change stream first held it; %d events/s of load in the same container", kinds, rate)
	disk, err := syncTimes(200)
	if err != nil {
		return s, err
	}
	w, err := startWhole(ctx, c)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	box, err := victim(ctx, c)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, box.Close()) }()
	t, err := startTrigger(ctx, box)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	load, err := startLoad(ctx, box)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, load.stop()) }()
	time.Sleep(time.Second)
	if _, err := load.aim(func() (float64, error) { return w.rate(ctx, settle) }); err != nil {
		return s, err
	}

	s.add("write 4 KiB and sync, here, no load: p50", disk.p50, "ms")
	if err := s.api(ctx, c, w, box, t, disk); err != nil {
		return s, err
	}
	if why, err := s.dom(ctx, c, w, box, t); err != nil {
		return s, err
	} else if why != "" {
		s.NotMeasured = append(s.NotMeasured, "kernel → DOM: "+why)
	}
	return s, nil
}

// trigger starts programs in a container without delay.
type trigger struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	said limited
}

func startTrigger(ctx context.Context, box *sandbox.Sandbox) (*trigger, error) {
	// The programs are written here and now: that is what makes them an alert.
	const copies = "for f in a d; do i=10; while [ $i -lt %d ]; do cp /bin/busybox /tmp/busybox-$f$i || exit 1; i=$((i+1)); done; done"
	if _, err := box.Exec(ctx, "/bin/sh", "-c", fmt.Sprintf(copies, 10+kinds)); err != nil {
		return nil, err
	}
	t := &trigger{cmd: box.Command(ctx, "/bin/sh", "-c", `while read n; do "/tmp/busybox-$n" true; done`)}
	t.cmd.Stderr = &t.said
	var err error
	if t.in, err = t.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return t, t.cmd.Start()
}

func program(family string, i int) string { return fmt.Sprintf("%s%d", family, 10+i%kinds) }

func (t *trigger) pull(family string, i int) error {
	_, err := io.WriteString(t.in, program(family, i)+"\n")
	return err
}

// pulls triggers n times at random distances of 25 ms on average.
func (t *trigger) pulls(ctx context.Context, family string, n int) error {
	for i := range n {
		time.Sleep(10*time.Millisecond + rand.N(30*time.Millisecond))
		if err := errors.Join(ctx.Err(), t.pull(family, i)); err != nil {
			return err
		}
	}
	return nil
}

func (t *trigger) close() error {
	err := errors.Join(t.in.Close(), t.cmd.Wait())
	if t.said.String() != "" {
		err = errors.Join(err, fmt.Errorf("the shell that starts programs: %s", t.said.String()))
	}
	return err
}

// happening is one occurrence of an alert.
type happening struct{ kernel, stored, visible int64 }

// eye refetches alerts as they change and notes when each occurrence was first there.
type eye struct {
	w    *whole
	box  string
	mu   sync.Mutex
	seen map[string]happening // by finding id
	skip map[string]bool      // alerts about something else
	err  error
}

func (e *eye) watch(ctx context.Context) error {
	stream, err := e.w.c.Changes.Watch(ctx, connect.NewRequest(&v1.WatchRequest{}))
	if err != nil {
		return err
	}
	if !stream.Receive() {
		return fmt.Errorf("the change stream ended before it began: %w", stream.Err())
	}
	go func() {
		for stream.Receive() {
			for _, ch := range stream.Msg().Changes {
				if ch.Kind != "alert" || e.skip[ch.Id] {
					continue
				}
				if err := e.look(ctx, ch.Id); err != nil {
					e.mu.Lock()
					e.err = errors.Join(e.err, err)
					e.mu.Unlock()
					return
				}
			}
		}
	}()
	return nil
}

func (e *eye) look(ctx context.Context, id string) error {
	if _, known := e.skip[id]; !known {
		a, err := e.w.c.Alerts.GetAlert(ctx, connect.NewRequest(&v1.GetAlertRequest{Id: id}))
		if err != nil {
			return err
		}
		x := a.Msg.Alert.Alert
		e.skip[id] = x.RuleId != "drift" || x.Subject.GetContainer().GetId() != e.box || !strings.HasPrefix(x.Subject.Executable, "/tmp/busybox-a")
		if e.skip[id] {
			return nil
		}
	}
	r, err := e.w.c.Alerts.ListOccurrences(ctx, connect.NewRequest(&v1.ListOccurrencesRequest{AlertId: id, PageSize: 10}))
	if err != nil {
		return err
	}
	now := time.Now().UnixNano()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, o := range r.Msg.Occurrences {
		if _, ok := e.seen[o.FindingId]; !ok {
			e.seen[o.FindingId] = happening{o.Time, o.StoredAt, now}
		}
	}
	return nil
}

func (e *eye) count() (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.seen), e.err
}

// await waits until count gives n, for as long as patience.
func await(ctx context.Context, n int, count func() (int, error)) error {
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		got, err := count()
		if err = errors.Join(err, ctx.Err()); err != nil || got >= n || time.Now().After(deadline) {
			return err // what is missing is told as lost
		}
	}
}

func (s *section) api(ctx context.Context, c config, w *whole, box *sandbox.Sandbox, t *trigger, disk distribution) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e := &eye{w: w, box: box.Name, seen: map[string]happening{}, skip: map[string]bool{}}
	if err := e.watch(ctx); err != nil {
		return err
	}
	// The first of each kind warms up what a first time costs.
	if err := t.pulls(ctx, "a", kinds); err != nil {
		return err
	}
	if err := await(ctx, kinds, e.count); err != nil {
		return err
	}
	e.mu.Lock()
	warm := len(e.seen)
	first := e.seen
	e.seen = map[string]happening{}
	for id := range first {
		e.seen[id] = happening{}
	}
	e.mu.Unlock()
	if warm != kinds {
		return fmt.Errorf("%d of %d programs raised their alert: %s", warm, kinds, t.said.String())
	}

	n0, t0, err := w.events(ctx)
	if err != nil {
		return err
	}
	used := make(chan usage, 1)
	spent := time.Duration(c.alerts) * 25 * time.Millisecond
	go func() {
		u, err := watch(w.cmd.Process.Pid, spent)
		if err != nil {
			u = usage{}
		}
		used <- u
	}()
	own, _ := cpuOf(os.Getpid())
	began := time.Now()
	if err := t.pulls(ctx, "a", c.alerts); err != nil {
		return err
	}
	if err := await(ctx, warm+c.alerts, e.count); err != nil {
		return err
	}
	ownEnd, _ := cpuOf(os.Getpid())
	took := time.Since(began)
	n1, t1, err := w.events(ctx)
	if err != nil {
		return err
	}
	u := <-used
	var stored, visible []int64
	e.mu.Lock()
	for id, h := range e.seen {
		if _, warmed := first[id]; !warmed {
			stored, visible = append(stored, h.stored-h.kernel), append(visible, h.visible-h.kernel)
		}
	}
	e.mu.Unlock()
	s.add("alerts triggered", float64(c.alerts), "")
	s.add("alerts triggered a second", float64(c.alerts)/took.Seconds(), "/s")
	s.add("alerts that did not come", float64(c.alerts-len(stored)), "").atMost(0, "0")
	if t1 > t0 {
		s.add("events/s delivered to rules meanwhile, by GetStatus", float64(n1-n0)/(float64(t1-t0)/1e9), "/s")
	}
	d := distributionOf(stored)
	p50, _ := s.times("kernel → stored", d)
	p50.per(disk.p50, "one synced write, p50")
	d = distributionOf(visible)
	_, p99 := s.times("kernel → visible through the API", d)
	p99.atMost(1000, "< 1 s in the browser")
	s.add("dockreeve up meanwhile: CPU", u.millicores, "millicores")
	s.add("dockreeve up meanwhile: RSS", u.rss, "MiB")
	s.add("the harness's own CPU", 1000*(ownEnd-own).Seconds()/took.Seconds(), "millicores")
	s.add("machine busy", 100*u.busy, "%")
	return nil
}

// dom watches the list of alerts in a real browser, as dom.mjs tells what shows. It
// returns why it could not be measured, if so.
func (s *section) dom(ctx context.Context, c config, w *whole, box *sandbox.Sandbox, t *trigger) (string, error) {
	nodejs, err := exec.LookPath("node")
	if err != nil {
		return "Node is not installed", nil
	}
	if local := filepath.Join(c.repo, ".dockreeve/node/node_modules/node/bin/node"); executable(local) {
		nodejs = local
	}
	if _, err := os.Stat(filepath.Join(c.repo, "ui/node_modules/playwright-core")); err != nil {
		return "ui/node_modules is not there; `make test-ui` or `npm ci` in ui fetches it", nil
	}
	browser := os.Getenv("CHROMIUM")
	if browser == "" {
		if browser, err = exec.LookPath("chromium"); err != nil {
			return "chromium is not installed", nil
		}
	}
	// Rows that are there change in place; new ones wait for a click. So each row is
	// there before the page opens.
	if err := t.pulls(ctx, "d", kinds); err != nil {
		return "", err
	}
	rows := func() ([]*v1.Alert, error) {
		r, err := w.c.Alerts.ListAlerts(ctx, connect.NewRequest(&v1.ListAlertsRequest{Filter: "executable:/tmp/busybox-d*", PageSize: 500}))
		if err != nil {
			return nil, err
		}
		return r.Msg.Alerts, nil
	}
	if err := await(ctx, kinds, func() (int, error) { a, err := rows(); return len(a), err }); err != nil {
		return "", err
	}
	link, err := w.c.SignInURL(ctx)
	if err != nil {
		return "", err
	}
	page := exec.CommandContext(ctx, nodejs, filepath.Join(c.repo, "test/bench/dom.mjs"))
	page.Env = append(os.Environ(), "DOCKREEVE_URL="+w.url, "DOCKREEVE_LINK="+link, "CHROMIUM="+browser, fmt.Sprintf("ROWS=%d", kinds))
	var said limited
	page.Stderr = &said
	in, err := page.StdinPipe()
	if err != nil {
		return "", err
	}
	out, err := page.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := page.Start(); err != nil {
		return "", err
	}
	defer in.Close()
	// Each line is {"id","count","at"}, or {"ready":true} once.
	type sight struct {
		Ready bool
		ID    string
		Count int
		At    float64 // Unix milliseconds
	}
	var mu sync.Mutex
	shown := map[string][]sight{}
	total := map[string]int{}
	sum := func() (int, error) {
		mu.Lock()
		defer mu.Unlock()
		n := 0
		for _, c := range total {
			n += c
		}
		return n, nil
	}
	ready, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var x sight
			if json.Unmarshal(lines.Bytes(), &x) != nil {
				continue
			}
			if x.Ready {
				close(ready)
				continue
			}
			mu.Lock()
			shown[x.ID] = append(shown[x.ID], x)
			total[x.ID] = max(total[x.ID], x.Count)
			mu.Unlock()
		}
	}()
	select {
	case <-ready:
	case <-ended:
		return "", errors.Join(page.Wait(), fmt.Errorf("the page does not open: %s", said.String()))
	}
	n0, t0, err := w.events(ctx)
	if err != nil {
		return "", err
	}
	b0, a0 := machineBusy()
	if err := t.pulls(ctx, "d", c.alerts); err != nil {
		return "", err
	}
	if err := await(ctx, kinds+c.alerts, sum); err != nil {
		return "", err
	}
	b1, a1 := machineBusy()
	n1, t1, err := w.events(ctx)
	if err != nil {
		return "", err
	}
	if err := in.Close(); err != nil {
		return "", err
	}
	<-ended
	if err := page.Wait(); err != nil {
		return "", fmt.Errorf("the browser: %w: %s", err, said.String())
	}
	all, err := rows()
	if err != nil {
		return "", err
	}
	var late []int64
	for _, a := range all {
		times, err := occurrences(ctx, w, a.Id)
		if err != nil {
			return "", err
		}
		for k := 1; k < len(times); k++ { // the first was there when the page opened
			i := slices.IndexFunc(shown[a.Id], func(x sight) bool { return x.Count > k })
			if i >= 0 {
				late = append(late, int64(shown[a.Id][i].At*1e6)-times[k])
			}
		}
	}
	s.add("browser: alerts triggered", float64(c.alerts), "")
	s.add("browser: alerts that did not show", float64(c.alerts-len(late)), "").atMost(0, "0")
	if t1 > t0 {
		s.add("browser: events/s delivered to rules meanwhile", float64(n1-n0)/(float64(t1-t0)/1e9), "/s")
	}
	_, p99 := s.times("kernel → DOM", distributionOf(late))
	p99.atMost(1000, "< 1 s")
	s.add("browser: machine busy", 100*(b1-b0)/max(1, a1-a0), "%")
	return "", nil
}

// occurrences are the kernel times of an alert's, oldest first.
func occurrences(ctx context.Context, w *whole, id string) ([]int64, error) {
	var out []int64
	for cursor := ""; ; {
		r, err := w.c.Alerts.ListOccurrences(ctx, connect.NewRequest(&v1.ListOccurrencesRequest{AlertId: id, PageSize: 500, Cursor: cursor}))
		if err != nil {
			return nil, err
		}
		for _, o := range r.Msg.Occurrences {
			out = append(out, o.Time)
		}
		if cursor = r.Msg.NextCursor; cursor == "" {
			slices.Sort(out)
			return out, nil
		}
	}
}

func executable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode()&0o111 != 0
}
