package kubeaudit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/dockreeve/dockreeve/internal/clock"
)

const (
	hub        = "insights-logs-kube-audit"
	connString = "Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=listen;SharedAccessKey=c2VjcmV0;EntityPath=" + hub
)

// broker is a Kafka with one hub of three partitions that wants SASL PLAIN.
type broker struct {
	t    *testing.T
	c    *kfake.Cluster
	send *kgo.Client
}

func newBroker(t *testing.T, opts ...kfake.Opt) *broker {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(3, hub), kfake.EnableSASL(), kfake.Superuser("PLAIN", "$ConnectionString", connString)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	send, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.SASL(plain.Auth{User: "$ConnectionString", Pass: connString}.AsMechanism()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(send.Close)
	return &broker{t, c, send}
}

// put sends one message for each text, over the partitions in turn.
func (b *broker) put(texts ...string) {
	b.t.Helper()
	for i, text := range texts {
		r := &kgo.Record{Topic: hub, Partition: int32(i % 3), Value: []byte(text)}
		if err := b.send.ProduceSync(context.Background(), r).FirstErr(); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *broker) options() HubsOptions {
	return HubsOptions{ConnectionString: connString, Brokers: b.c.ListenAddrs(), Plaintext: true, Group: "dockreeve"}
}

// run starts a consumer; stop ends it as a process ends.
func (b *broker) run(in *Intake, opt HubsOptions) (stop func()) {
	b.t.Helper()
	h, err := in.Hubs(opt)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	return func() {
		b.t.Helper()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			b.t.Errorf("Run = %v", err)
		}
	}
}

// wait returns once n events have come.
func (s *sink) wait(t *testing.T, n int) {
	t.Helper()
	deadline := time.After(time.Minute)
	for range n {
		select {
		case <-s.came:
		case <-deadline:
			t.Fatalf("waited in vain for %d events, have %v", n, s.ids())
		}
	}
}

// once checks that every event from a to b came exactly once.
func (s *sink) once(t *testing.T, from, to int) {
	t.Helper()
	seen := map[string]int{}
	for _, id := range s.ids() {
		seen[id]++
	}
	for i := from; i < to; i++ {
		if n := seen[fmt.Sprint(i)]; n != 1 {
			t.Errorf("event %d came %d times", i, n)
		}
		delete(seen, fmt.Sprint(i))
	}
	if len(seen) > 0 {
		t.Errorf("and there came %v", seen)
	}
}

func envelopes(from, to int) []string {
	var out []string
	for i := from; i < to; i += 2 {
		out = append(out, `{"records":[`+record("kube-audit", audit(fmt.Sprint(i)))+","+record("kube-audit-admin", audit(fmt.Sprint(i+1)))+`]}`)
	}
	return out
}

// hubIntake has real time: the protocol has it too.
func hubIntake(s *sink) *Intake {
	return New(Options{Handler: s.handler(), Clock: clock.Real{}, Log: quiet()})
}

// TestHubsGoOnAfterARestart: nothing lost, nothing doubled, by the hub's own offsets.
func TestHubsGoOnAfterARestart(t *testing.T) {
	b := newBroker(t)
	b.put(envelopes(0, 20)...)
	var s sink
	in := hubIntake(&s)
	stop := b.run(in, b.options())
	s.wait(t, 20)
	b.put(envelopes(20, 26)...)
	s.wait(t, 6)
	stop()
	s.once(t, 0, 26)
	for _, e := range s.events {
		if e.Cluster != "aks-shop" || e.Category == "" || e.Way != "hubs" {
			t.Fatalf("event of %+v", e.Source)
		}
	}
	kept := s.events
	b.put(envelopes(26, 40)...)
	s2 := &sink{}
	in2 := hubIntake(s2)
	stop = b.run(in2, b.options())
	s2.wait(t, 14)
	b.put(envelopes(40, 46)...)
	s2.wait(t, 6)
	stop()
	ids := map[string]bool{}
	for _, e := range kept {
		ids[e.ID.String()] = true
	}
	for _, e := range s2.events {
		if ids[e.ID.String()] {
			t.Errorf("%s came again after the restart", e.doc)
		}
	}
	s2.once(t, 26, 46)
	hop(t, in2, "hubs")
}

// TestHubsDoNotCommitWhatWasRefused: a process that ends while its handler refuses leaves
// the message to the next.
func TestHubsDoNotCommitWhatWasRefused(t *testing.T) {
	b := newBroker(t)
	b.put(envelopes(0, 12)...)
	var s sink
	refused := make(chan struct{}, 1000)
	s.fail = func(n int) error {
		if n < 5 {
			return nil
		}
		refused <- struct{}{}
		return errors.New("the spool is full")
	}
	in := hubIntake(&s)
	stop := b.run(in, b.options())
	<-refused
	stop()
	equal(t, "counted", hop(t, in, "hubs").Errors["handler"] > 0, true)
	s2 := &sink{}
	stop = b.run(hubIntake(s2), b.options())
	s2.wait(t, 7) // at least
	seen := map[string]bool{}
	all := func() int {
		for _, id := range append(s.ids(), s2.ids()...) {
			seen[id] = true
		}
		return len(seen)
	}
	for all() < 12 {
		s2.wait(t, 1)
	}
	stop()
	ids := map[string]string{}
	for _, e := range append(s.events, s2.events...) { // what came twice has one id
		id := e.ID.String()
		if was, ok := ids[id]; ok && was != e.doc {
			t.Errorf("one id for two events")
		}
		ids[id] = e.doc
	}
	equal(t, "different events", len(ids), 12)
}

// TestHubsTryAgain: refused once, a message is offered again, in order, without losing
// its place.
func TestHubsTryAgain(t *testing.T) {
	b := newBroker(t)
	var s sink
	tries := 0
	s.fail = func(n int) error {
		if tries++; tries == 3 {
			return errors.New("not now")
		}
		return nil
	}
	in := hubIntake(&s)
	stop := b.run(in, b.options())
	b.put(envelopes(0, 12)...)
	s.wait(t, 12)
	stop()
	s.once(t, 0, 12)
	equal(t, "counted", hop(t, in, "hubs").Errors["handler"], 1)
}

// TestPoisonMessages: what cannot be read is counted, and the rest goes on.
func TestPoisonMessages(t *testing.T) {
	b := newBroker(t)
	b.put("", "\x00\xff", `{"records":`, strings.Repeat("[", 100_000), string(zip("x")[:10]), string(zip(strings.Repeat(" ", 17<<20))), `{"records":[{"category":"kube-audit","properties":{"log":7}}]}`)
	b.put(envelopes(0, 6)...)
	b.put(string(zip(envelopes(6, 8)[0])))
	var s sink
	in := hubIntake(&s)
	stop := b.run(in, b.options())
	s.wait(t, 8)
	stop()
	s.once(t, 0, 8)
	h := hop(t, in, "hubs")
	for reason, n := range map[string]uint64{"empty": 1, "not_json": 2, "cut": 1, "gzip_broken": 1, "gzip_too_big": 1} {
		if h.Lost[reason] != n {
			t.Errorf("lost by %s: %d, want %d (%v)", reason, h.Lost[reason], n, h.Lost)
		}
	}
}

// TestBrokersComeAndGo: connections break, fetches fail, requests are throttled.
func TestBrokersComeAndGo(t *testing.T) {
	b := newBroker(t)
	var s sink
	in := hubIntake(&s)
	fetches := 0
	b.c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.c.KeepControl()
		if fetches++; fetches%3 == 1 && fetches < 10 {
			return nil, errors.New("the broker went away"), true // closes the connection
		}
		return nil, nil, false
	})
	stop := b.run(in, b.options())
	b.put(envelopes(0, 40)...)
	s.wait(t, 40)
	stop()
	s.once(t, 0, 40)
}

func TestHubsWithTheWrongKey(t *testing.T) {
	b := newBroker(t)
	var s sink
	in := hubIntake(&s)
	opt := b.options()
	opt.ConnectionString = strings.Replace(connString, "c2VjcmV0", "d3Jvbmc=", 1)
	told := make(chan struct{}, 1000)
	in.opt.Log = tellLog(told)
	stop := b.run(in, opt)
	select {
	case <-told:
	case <-time.After(time.Minute):
		t.Fatal("nothing was said")
	}
	stop()
	if h := hop(t, in, "hubs"); h.Errors["auth"]+h.Errors["connect"]+h.Errors["broker"]+h.Errors["group"] == 0 {
		t.Errorf("not counted: %+v", h)
	}
}

// TestHubsTellWhatRetentionTook: the group stood at messages that the hub has deleted.
func TestHubsTellWhatRetentionTook(t *testing.T) {
	b := newBroker(t)
	var s sink
	in := hubIntake(&s)
	stop := b.run(in, b.options())
	b.put(envelopes(0, 6)...) // one in each partition
	s.wait(t, 6)
	b.put(envelopes(6, 12)...)
	s.wait(t, 6)
	stop()
	b.put(envelopes(12, 24)...) // two in each, which nobody reads
	req := kmsg.NewPtrDeleteRecordsRequest()
	topic := kmsg.NewDeleteRecordsRequestTopic()
	topic.Topic = hub
	for p := range int32(3) {
		part := kmsg.NewDeleteRecordsRequestTopicPartition()
		part.Partition, part.Offset = p, 4
		topic.Partitions = append(topic.Partitions, part)
	}
	req.Topics, req.TimeoutMillis = append(req.Topics, topic), 1000
	for _, shard := range b.send.RequestSharded(context.Background(), req) {
		if shard.Err != nil {
			t.Fatal(shard.Err)
		}
	}
	b.put(envelopes(24, 30)...)
	s2 := &sink{}
	in2 := hubIntake(s2)
	stop = b.run(in2, b.options())
	s2.wait(t, 6)
	stop()
	s2.once(t, 24, 30)
	h := hop(t, in2, "hubs")
	equal(t, "messages told lost", h.Lost["hub_gap"], 6)
}

func TestHubsOptions(t *testing.T) {
	in, _ := newIntake(&sink{})
	tok := func(context.Context) (string, error) { return "", nil }
	for _, c := range []struct {
		opt  HubsOptions
		want string
	}{
		{HubsOptions{}, "no broker"},
		{HubsOptions{Brokers: []string{"a:9093"}}, "no event hub is named"},
		{HubsOptions{ConnectionString: "Endpoint=sb://x.servicebus.windows.net/"}, "neither SharedAccessKey"},
		{HubsOptions{ConnectionString: "SharedAccessKey=x"}, "no Endpoint"},
		{HubsOptions{ConnectionString: "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKey=verysecret"}, "no event hub is named"},
		{HubsOptions{ConnectionString: connString, Token: tok}, "want one"},
		{HubsOptions{ConnectionString: connString, Plaintext: true}, "in the clear"},
	} {
		_, err := in.Hubs(c.opt)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "verysecret") {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	for _, opt := range []HubsOptions{{ConnectionString: connString}, {Token: tok, Brokers: []string{"a:9093"}, Topics: []string{"x"}}} {
		if _, err := in.Hubs(opt); err != nil {
			t.Error(err)
		}
	}
}
