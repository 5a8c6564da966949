package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"connectrpc.com/connect"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/demo/tenant"
	"github.com/dockreeve/dockreeve/server/auth"
	"github.com/dockreeve/dockreeve/server/client"
	"github.com/dockreeve/dockreeve/test/arm"
)

// The made tenant of the numbers, and a small one to try the harness with.
var tenantSizes = map[bool]tenant.Options{
	false: {Subscriptions: 500, Clusters: 2000, Resources: 20_000},
	true:  {Subscriptions: 25, Clusters: 100, Resources: 1000},
}

func sizeFlags(o tenant.Options, now time.Time) []string {
	return []string{"--seed", strconv.FormatInt(o.Seed, 10), "--at", now.Format(time.RFC3339), "--subscriptions", strconv.Itoa(o.Subscriptions), "--clusters", strconv.Itoa(o.Clusters), "--resources", strconv.Itoa(o.Resources)}
}

// servedArm is a program of its own, so that its memory and time are not the harness's:
// bench arm SEED TIME SUBSCRIPTIONS CLUSTERS RESOURCES. It prints its address and token,
// and ends with its standard input.
func servedArm(args []string) error {
	if len(args) != 5 {
		return errors.New("bench arm: want seed, time, subscriptions, clusters, resources")
	}
	var n [5]int
	now, err := time.Parse(time.RFC3339, args[1])
	for _, i := range []int{0, 2, 3, 4} {
		var bad error
		n[i], bad = strconv.Atoi(args[i])
		err = errors.Join(err, bad)
	}
	if err != nil {
		return err
	}
	s := arm.Serve(arm.Options{World: tenant.New(tenant.Options{Seed: int64(n[0]), Now: now, Subscriptions: n[2], Clusters: n[3], Resources: n[4]})})
	defer s.Close()
	fmt.Println(s.URL, s.Token())
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	fmt.Println(s.Total())
	return nil
}

// governed is Azure governance over a large made tenant: collecting it, judging it, and
// what each screen asks.
func governed(ctx context.Context, c config) (s section, err error) {
	o := tenantSizes[c.count == 1]
	o.Seed = 1
	now := time.Now().UTC().Truncate(time.Second)
	s.Method = fmt.Sprintf("a made tenant of %d subscriptions, %d clusters, %d resources and 60 days of bills; dockreeve azure collect against test/arm on this machine; dockreeve coverage on the snapshot and a FOCUS file, "+
		"whole processes with reading and parsing; the hub is dockreeve demo tenant, each call asked 50 times by one client, answers read whole. Memory is the peak (wait4), and the hub's at the end and at its peak (VmHWM), which is counted anew once the tenant is made; the facts that stand for what agents told remain in it", o.Subscriptions, o.Clusters, o.Resources)
	tmp, err := os.MkdirTemp("", "dockreeve-bench-")
	if err != nil {
		return s, err
	}
	defer os.RemoveAll(tmp)
	dockreeve := filepath.Join(c.bin, "dockreeve")

	collected := filepath.Join(tmp, "collected.json.gz")
	if err := collectAll(ctx, &s, c, o, now, collected); err != nil {
		return s, err
	}
	info, err := os.Stat(collected)
	if err != nil {
		return s, err
	}
	s.add("the snapshot, gzipped", float64(info.Size())/(1<<20), "MiB")

	if _, err := measureRun(ctx, dockreeve, append([]string{"demo", "tenant", "-o", tmp}, sizeFlags(o, now)...)...); err != nil {
		return s, err
	}
	at := []string{"--at", now.Format(time.RFC3339)}
	for _, r := range []struct {
		what string
		args []string
	}{
		{"coverage of the collected snapshot", []string{"coverage", "--snapshot", collected}},
		{"coverage of it with a FOCUS bill", []string{"coverage", "--snapshot", collected, "--charges", filepath.Join(tmp, "focus.csv.gz")}},
	} {
		u, err := measureRun(ctx, dockreeve, append(r.args, at...)...)
		if err != nil {
			return s, err
		}
		s.add(r.what+": wall", u.wall, "s").atMost(10, "< 10 s")
		s.add(r.what+": CPU", u.cpu, "s")
		s.add(r.what+": peak memory", u.rss, "MiB").atMost(500, "< 500 MiB")
	}
	return s, screens(ctx, &s, c, o, now, tmp)
}

func collectAll(ctx context.Context, s *section, c config, o tenant.Options, now time.Time, to string) (err error) {
	server := exec.CommandContext(ctx, c.self, "arm", strconv.FormatInt(o.Seed, 10), now.Format(time.RFC3339), strconv.Itoa(o.Subscriptions), strconv.Itoa(o.Clusters), strconv.Itoa(o.Resources))
	server.Stderr = os.Stderr
	in, err := server.StdinPipe()
	if err != nil {
		return err
	}
	out, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	said := bufio.NewReader(out)
	defer func() {
		in.Close()
		calls, _ := said.ReadString('\n') // what it said is shown; that it ended well is asked below
		if n, bad := strconv.Atoi(strings.TrimSpace(calls)); bad == nil && err == nil {
			s.add("calls of Azure", float64(n), "calls")
		}
		err = errors.Join(err, server.Wait())
	}()
	line, err := said.ReadString('\n')
	url, token, ok := strings.Cut(strings.TrimSpace(line), " ")
	if err != nil || !ok {
		return fmt.Errorf("the server of Azure's answers said %q: %w", line, err)
	}
	if err := os.Setenv("DOCKREEVE_AZURE_TOKEN", token); err != nil { // for the child
		return err
	}
	defer os.Unsetenv("DOCKREEVE_AZURE_TOKEN")
	u, err := measureRun(ctx, filepath.Join(c.bin, "dockreeve"), "azure", "collect", "-q", "--endpoint", url, "--prices-endpoint", url, "-o", to)
	if err != nil {
		return err
	}
	s.add("collecting: wall", u.wall, "s")
	s.add("collecting: CPU", u.cpu, "s")
	s.add("collecting: peak memory", u.rss, "MiB")
	return nil
}

// screens runs a hub over the tenant and asks what each screen asks.
func screens(ctx context.Context, s *section, c config, o tenant.Options, now time.Time, tmp string) (err error) {
	state := filepath.Join(tmp, "hub")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hub := exec.CommandContext(ctx, filepath.Join(c.bin, "dockreeve"), append([]string{"demo", "tenant", "--state", state}, sizeFlags(o, now)...)...)
	hub.Cancel = func() error { return hub.Process.Signal(syscall.SIGTERM) }
	hub.WaitDelay = 30 * time.Second
	var trouble limited
	hub.Stderr = &trouble
	out, err := hub.StdoutPipe()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := hub.Start(); err != nil {
		return err
	}
	defer func() {
		cancel()
		_ = hub.Wait() // it was ended
	}()
	address := ""
	lines := bufio.NewScanner(out)
	for address == "" && lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) == 2 && f[0] == "console" {
			address = strings.TrimSuffix(f[1], "/governance")
		}
	}
	if address == "" {
		return fmt.Errorf("the hub did not start: %s", trouble.String())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // until it ends
	s.add("the hub: tenant made, taken in and evaluated", time.Since(began).Seconds(), "s")
	cl, err := client.New(client.Options{URL: address, StateDir: state, HTTP: &http.Client{Timeout: 10 * time.Minute}})
	if err != nil {
		return err
	}
	g := cl.Governance
	token, err := auth.ReadToken(filepath.Join(state, "token"))
	if err != nil {
		return err
	}
	pid := hub.Process.Pid
	s.add("the hub: memory at its peak while the tenant is made and taken in", peakOf(pid), "MiB")
	if err := forgetPeak(pid); err != nil {
		return err
	}
	before, err := cpuOf(pid)
	if err != nil {
		return err
	}
	began = time.Now()
	if _, err := g.Reevaluate(ctx, connect.NewRequest(&v1.ReevaluateRequest{})); err != nil {
		return err
	}
	after, err := cpuOf(pid)
	if err != nil {
		return err
	}
	s.add("the hub: evaluating again, read, judged and stored: wall", time.Since(began).Seconds(), "s").atMost(10, "< 10 s")
	s.add("the hub: evaluating again: CPU", (after - before).Seconds(), "s")
	rows, err := g.ListGovernance(ctx, connect.NewRequest(&v1.ListGovernanceRequest{Kind: "cluster", PageSize: 100}))
	if err != nil {
		return err
	}
	if len(rows.Msg.Items) == 0 {
		return errors.New("the hub lists no clusters")
	}
	some := rows.Msg.Items[0].Key
	list := func(kind, filter, order string, size int32) func() error {
		return func() error {
			_, err := g.ListGovernance(ctx, connect.NewRequest(&v1.ListGovernanceRequest{Kind: kind, Filter: filter, Order: order, PageSize: size}))
			return err
		}
	}
	document := func(path string) func() error {
		return func() error { return fetch(ctx, address+path, token) }
	}
	before = after
	for _, a := range []struct {
		what string
		ask  func() error
	}{
		{"GetGovernance", func() error {
			_, err := g.GetGovernance(ctx, connect.NewRequest(&v1.GetGovernanceRequest{}))
			return err
		}},
		{"clusters, first page of 100", list("cluster", "", "", 100)},
		{"clusters, filtered", list("cluster", "environment:production protected:no", "", 100)},
		{"one cluster", func() error {
			_, err := g.GetGovernanceCluster(ctx, connect.NewRequest(&v1.GetGovernanceClusterRequest{Id: some}))
			return err
		}},
		{"GetCost", func() error { _, err := g.GetCost(ctx, connect.NewRequest(&v1.GetCostRequest{})); return err }},
		{"GetCompliance", func() error {
			_, err := g.GetCompliance(ctx, connect.NewRequest(&v1.GetComplianceRequest{}))
			return err
		}},
		{"results that fail, first page", list("result", "verdict:fail", "", 100)},
		{"recommendations, first page", list("recommendation", "", "", 100)},
		{"playbook as HTML", document("/reports/playbook.html")},
		{"playbook as PDF", document("/reports/playbook.pdf")},
		{"clusters as CSV", document("/reports/clusters.csv")},
		{"showback as CSV", document("/reports/showback.csv")},
	} {
		var took []int64
		for range 50 {
			t := time.Now()
			if err := a.ask(); err != nil {
				return fmt.Errorf("%s: %w", a.what, err)
			}
			took = append(took, int64(time.Since(t)))
		}
		d := distributionOf(took)
		s.add(a.what+", p50", d.p50, "ms")
		s.add(a.what+", p99", d.p99, "ms").atMost(500, "< 500 ms")
	}
	if after, err = cpuOf(pid); err != nil {
		return err
	}
	s.add("the hub: CPU of all of these", (after - before).Seconds(), "s")
	rss, _, err := memoryOf(pid)
	if err != nil {
		return err
	}
	s.add("the hub: memory after them", rss, "MiB").atMost(500, "< 500 MiB")
	s.add("the hub: memory at its peak, evaluating again and answering", peakOf(pid), "MiB")
	return nil
}

func fetch(ctx context.Context, url, token string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, res.Status)
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// forgetPeak has a process's largest resident size counted from now on (proc(5), clear_refs).
func forgetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// peakOf is a process's largest resident size so far in MiB; 0 = it was not told.
func peakOf(pid int) (mib float64) {
	each(fmt.Sprintf("/proc/%d/status", pid), func(line string) bool {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			kib, _ := strconv.ParseFloat(f[1], 64) // a zero shows
			mib = kib / 1024
		}
		return true
	})
	return mib
}
