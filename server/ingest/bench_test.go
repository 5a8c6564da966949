package ingest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/store"
)

// BenchmarkPipeToDisk is one distinct finding of about 4 KiB from Send to
// committed and acknowledged, over 50 alerts, sent as fast as the link takes them.
func BenchmarkPipeToDisk(b *testing.B) {
	db, err := store.Open(b.Context(), store.Options{Path: filepath.Join(b.TempDir(), "x.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	pipe := link.NewPipe(link.PipeOptions{})
	in := New(Options{Store: db, Receiver: pipe})
	done := make(chan error, 1)
	go func() { done <- in.Run(b.Context()) }()
	payload := make([][]byte, b.N)
	for i := range payload {
		payload[i], err = json.Marshal(finding.Finding{
			ID: finding.ID("r", fmt.Sprint(i)), Fingerprint: finding.Fingerprint("r", fmt.Sprint(i%50), "", ""), Rule: finding.Rule{ID: "r", Name: "Rule"},
			Severity: finding.High, Time: time.Now().UnixNano(), Output: strings.Repeat("x", 3500), Event: json.RawMessage("{}"),
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for _, p := range payload {
		if err := pipe.Send(b.Context(), link.LaneAlert, link.KindFinding, p); err != nil {
			b.Fatal(err)
		}
	}
	if err := pipe.Close(); err != nil {
		b.Fatal(err)
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	if n := in.Latency().Count(); n != uint64(b.N) {
		b.Fatalf("%d stored of %d", n, b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "findings/s")
}

// BenchmarkLatency sends a finding every five milliseconds and reports how long
// after its time each was on disk.
func BenchmarkLatency(b *testing.B) {
	db, err := store.Open(b.Context(), store.Options{Path: filepath.Join(b.TempDir(), "x.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	pipe := link.NewPipe(link.PipeOptions{})
	in := New(Options{Store: db, Receiver: pipe})
	done := make(chan error, 1)
	go func() { done <- in.Run(b.Context()) }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := range b.N {
		<-tick.C
		p, err := json.Marshal(finding.Finding{
			ID: finding.ID("r", fmt.Sprint(i)), Fingerprint: finding.Fingerprint("r", fmt.Sprint(i%50), "", ""), Rule: finding.Rule{ID: "r", Name: "Rule"},
			Severity: finding.High, Time: time.Now().UnixNano(), Output: strings.Repeat("x", 3500), Event: json.RawMessage("{}"),
		})
		if err != nil {
			b.Fatal(err)
		}
		if err := pipe.Send(b.Context(), link.LaneAlert, link.KindFinding, p); err != nil {
			b.Fatal(err)
		}
	}
	if err := pipe.Close(); err != nil {
		b.Fatal(err)
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(in.Latency().Quantile(0.5))/1e6, "p50-ms")
	b.ReportMetric(float64(in.Latency().Quantile(0.99))/1e6, "p99-ms")
	b.ReportMetric(float64(in.Latency().Max())/1e6, "max-ms")
}
