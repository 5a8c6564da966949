package inventory

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func podUsing(ns, name string, cpu int64) *Object {
	return &Object{Key: Key{Kind: KindPod, Namespace: ns, Name: name}, UID: ns + name, Pod: &Pod{NodeName: "n1", Phase: "Running", PodSpec: PodSpec{Containers: []Container{
		{Name: "init", Role: "init", CPU: 50}, {Name: "c", CPU: cpu, Memory: 1 << 30}}}}}
}

// However samples fall, an hour of looking is an hour of usage, across full hours and
// takes; what nobody looked at for longer than five minutes is not made up.
func TestSamplerAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewState(Options{Cluster: "c"})
		s.Put(&Object{Key: Key{Kind: KindNode, Name: "n1"}, Node: &Node{CPU: 4000, Ready: true}})
		s.Put(podUsing("shop", "a", 500))
		s.Put(podUsing("shop", "b", 250))
		sampler := Sampler{Cluster: "c", Boot: 7}
		start := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC).UnixNano() + rapid.Int64Range(0, 3600e9).Draw(t, "offset")
		sampler.Sample(s, nil, "no metrics", start)
		now, want := start, 0.0
		rows := map[string]Usage{}
		take := func() {
			for _, u := range sampler.Take(now) {
				rows[fmt.Sprint(u.Hour, u.Namespace)] = u
			}
		}
		for i := range rapid.IntRange(1, 60).Draw(t, "samples") {
			step := rapid.Int64Range(1e9, 400e9).Draw(t, "step")
			now += step
			want += float64(min(step, maxGap)) / 3600e9
			sampler.Sample(s, map[string]float64{"shop/a": 1, "shop/b": 0.1}, "", now)
			if i%7 == 0 {
				take()
			}
		}
		take()
		var requested, used, charged, cores float64
		for _, u := range rows {
			requested, used, charged, cores = requested+u.Requested, used+u.Used, charged+u.Charged, cores+u.Cores
		}
		for name, v := range map[string][2]float64{"requested": {requested, 0.75 * want}, "used": {used, 1.1 * want}, "charged": {charged, 1.25 * want}, "cores": {cores, 4 * want}} {
			if math.Abs(v[0]-v[1]) > 1e-6 {
				t.Fatalf("%s: %.6f core-hours, want %.6f", name, v[0], v[1])
			}
		}
	})
}

func TestSamplerSaysWhyUsageIsNotKnown(t *testing.T) {
	s := NewState(Options{Cluster: "c"})
	s.Put(podUsing("shop", "a", 500))
	at := time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC).UnixNano()
	sampler := Sampler{Cluster: "c"}
	sampler.Sample(s, nil, "no metrics API", at)
	sampler.Sample(s, nil, "no metrics API", at+60e9)
	for _, u := range sampler.Take(at + 60e9) {
		if u.Namespace == "shop" && (u.UsedWhy != "no metrics API" || u.Requested == 0 || u.Charged != u.Requested) {
			t.Errorf("%+v", u)
		}
	}
}
