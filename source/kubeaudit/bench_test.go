package kubeaudit

import (
	"context"
	"testing"

	"github.com/dockreeve/dockreeve/event"
)

// BenchmarkIntake takes in lists of a hundred pods' creations, as a webhook brings them.
func BenchmarkIntake(b *testing.B) {
	pod := `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"shop","labels":{"app":"web"}},"spec":{"containers":[{"name":"web","image":"shop.azurecr.io/web:1.2","command":["/web","--port=8080"],"env":[{"name":"MODE","value":"fast"},{"name":"DB_PASSWORD","value":"hunter2horse"}],"resources":{"limits":{"cpu":"1","memory":"512Mi"}}}],"serviceAccountName":"web"}}`
	var events []string
	for range 100 {
		events = append(events, audit("a", "requestObject", pod, "responseObject", pod))
	}
	body := []byte(list(events...))
	in := New(Options{Handler: Handler{Event: func(*event.Event, Source) error { return nil }}, Log: quiet()})
	bt := in.batch("webhook")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		in.recent = recent{}
		if err := bt.message(context.Background(), body, Source{Way: "webhook"}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "events/s")
}
