package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/server/client"
	"github.com/dockreeve/dockreeve/test/kube/lab"
)

// clusterRun is a control plane of the lab and a `dockreeve up` that looks after it.
type clusterRun struct {
	lab   *lab.Lab
	cmd   *exec.Cmd
	said  limited
	ended chan error
	state string
	c     *client.Client
	api   *http.Client
}

// startCluster brings both up and has the API server send its audit events over.
func startCluster(ctx context.Context, c config, o lab.Options) (_ *clusterRun, err error) {
	r := &clusterRun{ended: make(chan error, 1)}
	o.Log = os.Stderr
	if r.lab, err = lab.Up(ctx, o); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.stop())
		}
	}()
	if r.state, err = os.MkdirTemp("", "dockreeve-bench-"); err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(r.lab.File("pki/admin.crt"), r.lab.File("pki/admin.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(r.lab.File("pki/ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	r.api = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 32,
	}}
	return r, nil
}

// watch starts dockreeve up beside the lab and waits until it answers.
func (r *clusterRun) watch(ctx context.Context, c config) error {
	hook := fmt.Sprintf("127.0.0.1:%d", r.lab.ReceiverPort())
	r.cmd = exec.CommandContext(ctx, filepath.Join(c.bin, "dockreeve"), "up", "--state", r.state, "--listen", "127.0.0.1:0", "--cluster", "lab",
		"--kubeconfig", r.lab.Kubeconfig(), "--audit-webhook", hook, "--audit-webhook-client-ca", r.lab.File("pki/ca.crt"), "--audit-webhook-client-name", "kube-apiserver-audit")
	r.cmd.Stderr, r.cmd.Stdout = &r.said, io.Discard
	if err := r.cmd.Start(); err != nil {
		return err
	}
	go func() { r.ended <- r.cmd.Wait() }()
	for deadline := time.Now().Add(time.Minute); ; {
		b, err := os.ReadFile(filepath.Join(r.state, "address"))
		if err == nil {
			if r.c, err = client.New(client.Options{URL: strings.TrimSpace(string(b)), StateDir: r.state}); err == nil {
				_, err = r.c.Status.GetStatus(ctx, connect.NewRequest(&v1.GetStatusRequest{}))
			}
		}
		if err == nil {
			return nil
		}
		select {
		case ended := <-r.ended:
			r.ended <- ended
			return fmt.Errorf("dockreeve up ended: %s", r.said.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("dockreeve up does not answer: %w: %s", err, r.said.String())
		}
	}
}

func (r *clusterRun) stop() error {
	var errs []error
	if r.cmd != nil && r.cmd.Process != nil {
		_ = r.cmd.Process.Signal(os.Interrupt) // it may have ended
		select {
		case err := <-r.ended:
			errs = append(errs, err)
		case <-time.After(30 * time.Second):
			errs = append(errs, errors.New("dockreeve up does not end"), r.cmd.Process.Kill(), <-r.ended)
		}
	}
	errs = append(errs, r.lab.Down(context.Background()))
	if r.state != "" {
		errs = append(errs, os.RemoveAll(r.state))
	}
	return errors.Join(errs...)
}

func (r *clusterRun) call(ctx context.Context, method, path string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, method, r.lab.Server()+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := r.api.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// hop is what the audit webhook has counted.
func (r *clusterRun) hop(ctx context.Context) (in, out, lost uint64, err error) {
	st, err := r.c.Status.GetStatus(ctx, connect.NewRequest(&v1.GetStatusRequest{}))
	if err != nil {
		return 0, 0, 0, err
	}
	for _, h := range st.Msg.Hops {
		if strings.HasSuffix(h.Hop, "audit.webhook") {
			return h.In, h.Out, h.Lost, nil
		}
	}
	return 0, 0, 0, nil
}

// audited is the audit intake: as many events as the API server can make, every rule on.
func audited(ctx context.Context, c config) (s section, err error) {
	s.Method = "the lab's API server, dockreeve up with its audit webhook and all rules; sixteen clients create, read, change and delete objects as fast as the API server answers, and " +
		"20 times a second somebody takes a token, each time of another service account (an alert each). Made = different audit ids and stages in the API server's own audit log; received = what the webhook " +
		"counted in; times of alerts from ListOccurrences. The API server, etcd and Dockreeve share the cores"
	r, err := startCluster(ctx, c, lab.Options{})
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	if err := r.watch(ctx, c); err != nil {
		return s, err
	}
	if err := r.lab.AuditTo(ctx, fmt.Sprintf("https://127.0.0.1:%d/audit/lab", r.lab.ReceiverPort()), filepath.Join(r.state, "cluster", "lab", "audit-webhook", "tls.crt")); err != nil {
		return s, err
	}
	if err := r.call(ctx, "POST", "/api/v1/namespaces", []byte(`{"metadata":{"name":"bench"}}`)); err != nil {
		return s, err
	}
	before, err := cpuOf(r.cmd.Process.Pid)
	if err != nil {
		return s, err
	}
	made0, err := auditIDs(r.lab.AuditFile())
	if err != nil {
		return s, err
	}
	began := time.Now()
	load, cancel := context.WithTimeout(ctx, c.window)
	defer cancel()
	var calls atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := 0; load.Err() == nil; n++ {
				name := fmt.Sprintf("w%d-%d", i, n)
				pod := fmt.Appendf(nil, `{"metadata":{"name":%q},"spec":{"containers":[{"name":"c","image":"registry.example/app:%d","env":[{"name":"A","value":"b"}]}]}}`, name, n)
				for _, one := range []struct {
					method, path string
					body         []byte
				}{
					{"POST", "/api/v1/namespaces/bench/configmaps", fmt.Appendf(nil, `{"metadata":{"name":%q},"data":{"k":"v"}}`, name)},
					{"GET", "/api/v1/namespaces/bench/configmaps/" + name, nil},
					{"GET", "/api/v1/namespaces/bench/pods?limit=5", nil},
					{"POST", "/api/v1/namespaces/bench/pods", pod},
					{"DELETE", "/api/v1/namespaces/bench/pods/" + name, nil},
					{"DELETE", "/api/v1/namespaces/bench/configmaps/" + name, nil},
				} {
					if r.call(load, one.method, one.path, one.body) == nil {
						calls.Add(1)
					}
				}
			}
		})
	}
	alerts := 0
	for load.Err() == nil && alerts < c.alerts {
		sa := fmt.Sprintf("sa-%d", alerts)
		if r.call(load, "POST", "/api/v1/namespaces/bench/serviceaccounts", fmt.Appendf(nil, `{"metadata":{"name":%q}}`, sa)) == nil &&
			r.call(load, "POST", "/api/v1/namespaces/bench/serviceaccounts/"+sa+"/token", []byte(`{"spec":{}}`)) == nil {
			alerts++
		}
		select {
		case <-load.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	wg.Wait()
	took := time.Since(began)
	// The API server sends in batches: wait until nothing has come for three seconds.
	var in, out, lost uint64
	for quiet := 0; quiet < 3; {
		time.Sleep(time.Second)
		was := in
		if in, out, lost, err = r.hop(ctx); err != nil {
			return s, err
		}
		if quiet++; in != was {
			quiet = 0
		}
	}
	after, err := cpuOf(r.cmd.Process.Pid)
	if err != nil {
		return s, err
	}
	made, err := auditIDs(r.lab.AuditFile())
	if err != nil {
		return s, err
	}
	made -= made0
	rss, _, err := memoryOf(r.cmd.Process.Pid)
	if err != nil {
		return s, err
	}
	s.add("API calls made", float64(calls.Load())/took.Seconds(), "calls/s")
	s.add("audit events that the API server made meanwhile", float64(made)/took.Seconds(), "events/s")
	s.add("received by the webhook, its own start included", float64(in), "events")
	s.add("made and never received", float64(max(0, int64(made)-int64(in))), "events").atMost(0, "none lost")
	s.add("received and lost", float64(lost+(in-out-lost)), "events").atMost(0, "none lost")
	s.add("CPU of dockreeve up for one event, storing included", (after-before).Seconds()/float64(max(1, in))*1e6, "µs")
	s.add("memory of dockreeve up at the end", rss, "MiB")
	if err := r.delays(ctx, &s, alerts); err != nil {
		return s, err
	}
	return s, nil
}

// auditIDs counts the different events in an API server's audit log.
func auditIDs(file string) (int, error) {
	seen := map[string]struct{}{}
	names, err := filepath.Glob(strings.TrimSuffix(file, filepath.Ext(file)) + "*")
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if strings.Contains(name, "webhook") {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return 0, err
		}
		for line := range bytes.Lines(b) {
			var e struct{ AuditID, Stage string }
			if err := json.Unmarshal(line, &e); err == nil {
				seen[e.AuditID+e.Stage] = struct{}{}
			}
		}
	}
	return len(seen), nil
}

// delays are the times from the event to the disk, for the alerts of taken tokens.
func (r *clusterRun) delays(ctx context.Context, s *section, want int) error {
	list, err := r.c.Alerts.ListAlerts(ctx, connect.NewRequest(&v1.ListAlertsRequest{PageSize: 100}))
	if err != nil {
		return err
	}
	var delays []float64
	for _, a := range list.Msg.Alerts {
		if a.RuleId != "k8s-token-request" {
			continue
		}
		cursor := ""
		for {
			o, err := r.c.Alerts.ListOccurrences(ctx, connect.NewRequest(&v1.ListOccurrencesRequest{AlertId: a.Id, PageSize: 500, Cursor: cursor}))
			if err != nil {
				return err
			}
			for _, one := range o.Msg.Occurrences {
				delays = append(delays, float64(one.StoredAt-one.Time)/1e6)
			}
			if cursor = o.Msg.NextCursor; cursor == "" {
				break
			}
		}
	}
	if len(delays) == 0 {
		return errors.New("no alert came in")
	}
	slices.Sort(delays)
	at := func(q float64) float64 { return delays[min(len(delays)-1, int(q*float64(len(delays))))] }
	s.add(fmt.Sprintf("audit event → stored, p50 of %d occurrences (%d tokens taken)", len(delays), want), at(0.5), "ms")
	s.add("audit event → stored, p99", at(0.99), "ms")
	return nil
}

// inventoried is the inventory at 1,000 nodes and 10,000 pods that kwok plays.
func inventoried(ctx context.Context, c config) (s section, err error) {
	s.Method = "the lab's control plane with kwok: 1,000 nodes and 10,000 pods of 100 deployments; then dockreeve cluster, alone, writing what it would send to a pipe that is read; " +
		"start = from its start to the whole statement of the inventory, RSS when it has been made, and a minute later"
	nodes, pods := 1000, 10_000
	if c.count == 1 {
		nodes, pods = 100, 1000
	}
	fast := []string{"--kube-api-qps=500", "--kube-api-burst=1000"}
	r, err := startCluster(ctx, c, lab.Options{Kwok: true, Flags: map[string][]string{"kube-controller-manager": fast, "kube-scheduler": fast}})
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	if err := r.lab.Kwok(); err != nil {
		return s, err
	}
	if err := r.populate(ctx, nodes, pods); err != nil {
		return s, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, "dockreeve"), "cluster", "--cluster", "lab", "--kubeconfig", r.lab.Kubeconfig(), "--state", r.state)
	var said limited
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return s, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return s, err
	}
	told := make(chan struct{})
	var docs, bytesSent int
	go func() {
		dec := json.NewDecoder(out)
		done := false
		for {
			var l struct {
				Kind string
				Data json.RawMessage
			}
			if dec.Decode(&l) != nil {
				return
			}
			if l.Kind != "inventory" || done {
				continue
			}
			var d struct {
				Done bool
				Put  []json.RawMessage
			}
			if json.Unmarshal(l.Data, &d) == nil {
				docs += len(d.Put)
				bytesSent += len(l.Data)
				if d.Done {
					done = true
					close(told)
				}
			}
		}
	}()
	select {
	case <-told:
	case <-time.After(5 * time.Minute):
		return s, errors.Join(fmt.Errorf("no whole statement within five minutes: %s", said.String()), cmd.Process.Kill(), cmd.Wait())
	}
	start := time.Since(began)
	rss, _, err := memoryOf(cmd.Process.Pid)
	if err != nil {
		return s, err
	}
	cpu, err := cpuOf(cmd.Process.Pid)
	if err != nil {
		return s, err
	}
	s.add(fmt.Sprintf("start, %d nodes and %d pods", nodes, pods), start.Seconds(), "s")
	s.add("CPU until then", cpu.Seconds(), "CPU-s")
	s.add("memory of dockreeve cluster then", rss, "MiB")
	s.add("documents stated", float64(docs), "documents")
	s.add("their size", float64(bytesSent)/(1<<20), "MiB")
	time.Sleep(time.Minute)
	later, _, err := memoryOf(cmd.Process.Pid)
	if err != nil {
		return s, err
	}
	s.add("memory a minute later", later, "MiB")
	_ = cmd.Process.Signal(os.Interrupt)
	return s, cmd.Wait()
}

// populate makes nodes and deployments and waits until nineteen of twenty pods are ready:
// kwok leaves a few that run without ever being so.
func (r *clusterRun) populate(ctx context.Context, nodes, pods int) error {
	group := make(chan struct{}, 8)
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	post := func(path string, body []byte) {
		group <- struct{}{}
		wg.Go(func() {
			defer func() { <-group }()
			if err := r.call(ctx, "POST", path, body); err != nil {
				failed.Store(&err)
			}
		})
	}
	for i := range nodes {
		post("/api/v1/nodes", fmt.Appendf(nil, `{"metadata":{"name":"kwok-%d","annotations":{"kwok.x-k8s.io/node":"fake"},"labels":{"type":"kwok","kubernetes.io/hostname":"kwok-%d"}},"status":{"allocatable":{"cpu":"32","memory":"256Gi","pods":"110"},"capacity":{"cpu":"32","memory":"256Gi","pods":"110"}}}`, i, i))
	}
	wg.Wait()
	for i := range 10 {
		post("/api/v1/namespaces", fmt.Appendf(nil, `{"metadata":{"name":"team-%d","labels":{"owner":"team-%d"}}}`, i, i))
	}
	wg.Wait()
	for i := range 100 {
		post(fmt.Sprintf("/apis/apps/v1/namespaces/team-%d/deployments", i%10), fmt.Appendf(nil, `{"metadata":{"name":"app%d","labels":{"app":"app%d"}},"spec":{"replicas":%d,"selector":{"matchLabels":{"app":"app%d"}},"template":{"metadata":{"labels":{"app":"app%d"}},"spec":{"nodeSelector":{"type":"kwok"},"containers":[{"name":"c","image":"registry.example/team/app%d:1.0","resources":{"requests":{"cpu":"10m","memory":"16Mi"}}}]}}}}`, i, i, pods/100, i, i, i))
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	for deadline := time.Now().Add(15 * time.Minute); time.Now().Before(deadline); time.Sleep(3 * time.Second) {
		b, err := r.lab.API(ctx, "GET", "/apis/apps/v1/deployments?limit=500", nil)
		if err != nil {
			return err
		}
		var list struct {
			Items []struct{ Status struct{ ReadyReplicas int } }
		}
		if err := json.Unmarshal(b, &list); err != nil {
			return err
		}
		ready := 0
		for _, d := range list.Items {
			ready += d.Status.ReadyReplicas
		}
		if ready >= pods-pods/20 {
			return nil
		}
	}
	return errors.New("the pods were not ready within fifteen minutes")
}
