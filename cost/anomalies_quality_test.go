package cost

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// injected is something that a made year holds and that should be found.
type injected struct {
	cluster  string
	kind     string // spike, step, ramp
	from, to int64  // days
}

// madeYear bills 200 clusters in 20 subscriptions for a year: weekends, holidays, noise,
// slow growth, small releases, refunds, purchases, days without a bill, and what is
// injected. Some clusters have nothing injected at all.
func madeYear(seed uint64) (*Input, []injected) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	first := now.UnixNano()/day - 365
	in := &Input{Now: now.UnixNano(), From: first * day, Tenant: &cloud.Tenant{}}
	var truth []injected
	for i := range 200 {
		sub := fmt.Sprintf("/subscriptions/00000000-0000-0000-0000-0000000000%02d", i%20)
		id := fmt.Sprintf("%s/resourcegroups/g%d/providers/microsoft.containerservice/managedclusters/c%d", sub, i, i)
		group := fmt.Sprintf("n%d", i)
		in.Tenant.Clusters = append(in.Tenant.Clusters, cloud.Cluster{ID: id, Name: fmt.Sprint("c", i), Kind: "aks", NodeGroup: group})
		level := 15 * math.Exp(rnd.Float64()*4)
		noise := 0.02 + 0.08*rnd.Float64()
		weekend := []float64{1, 1, 0.7, 0.3}[rnd.IntN(4)]
		growth := 0.3 * rnd.Float64() / 365
		factor := make([]float64, 365)
		for d := range factor {
			factor[d] = 1 + growth*float64(d)
		}
		for range rnd.IntN(4) { // releases that change a little
			by := 0.88 + 0.24*rnd.Float64()
			for d := rnd.IntN(365); d < 365; d++ {
				factor[d] *= by
			}
		}
		// Injections lie 70 days apart, so that it is clear which of them was found.
		for at := 60 + rnd.IntN(40); at < 350; at += 70 + rnd.IntN(30) {
			x := injected{cluster: id, from: first + int64(at)}
			switch rnd.IntN(6) {
			case 0, 1:
				n := 1 + rnd.IntN(6)
				by := 1.6 + 3*rnd.Float64()
				for d := at; d < min(365, at+n); d++ {
					factor[d] *= by
				}
				x.kind, x.to = "spike", x.from+int64(n)
			case 2:
				by := 1.5 + rnd.Float64()
				for d := at; d < 365; d++ {
					factor[d] *= by
				}
				x.kind, x.to = "step", x.from+settles
			case 3:
				n, by := 25+rnd.IntN(16), 0.6+1.4*rnd.Float64()
				if at+n > 350 {
					continue
				}
				for d := at; d < 365; d++ {
					factor[d] *= 1 + by*math.Min(1, float64(d-at)/float64(n))
				}
				x.kind, x.to = "ramp", x.from+int64(n)+15
			default:
				continue // most of the time nothing happens
			}
			truth = append(truth, x)
		}
		drift := 0.0
		for d := range 365 {
			t := first + int64(d)
			if (i%20)%7 == d%61 {
				continue // the subscription's bill misses a day
			}
			drift = 0.6*drift + noise*rnd.NormFloat64()*0.8
			v := level * factor[d] * math.Max(0.05, 1+drift)
			if w := weekday(t); w == 0 || w == 6 {
				v *= weekend
			}
			c := Charge{SubAccount: sub, Start: t * day, End: (t + 1) * day, Category: "Usage", Currency: "EUR", Billed: FromFloat(v * 0.8), Effective: FromFloat(v * 0.8),
				Resource: sub + "/resourcegroups/" + group + "/providers/microsoft.compute/virtualmachinescalesets/p", MeterCategory: "Virtual Machines", Meter: "D4"}
			lb := c
			lb.Resource, lb.MeterCategory, lb.Meter = sub+"/resourcegroups/"+group+"/providers/microsoft.network/loadbalancers/l", "Load Balancer", "Rules"
			lb.Billed, lb.Effective = FromFloat(v*0.2), FromFloat(v*0.2)
			in.Charges = append(in.Charges, c, lb)
			if rnd.IntN(90) == 0 {
				c.Class, c.Billed, c.Effective = "Correction", -3*c.Billed, -3*c.Effective
				in.Charges = append(in.Charges, c)
			}
			if rnd.IntN(120) == 0 {
				c.Class, c.Category, c.Billed, c.Effective = "", "Purchase", FromFloat(v*20), 0
				in.Charges = append(in.Charges, c)
			}
		}
	}
	return in, truth
}

type quality struct {
	precision            float64
	recall               map[string]float64
	found, wrong, missed int
	longest              int64
}

func judge(t *testing.T, in *Input, truth []injected) quality {
	l := newLedger(in)
	found, _, _ := l.unusual(in.From)
	hit := make([]bool, len(truth))
	q := quality{recall: map[string]float64{}}
	for _, a := range found {
		right := false
		for i, x := range truth {
			if x.cluster == a.Cluster && a.From < x.to*day && a.To > x.from*day {
				hit[i], right = true, true
			}
		}
		q.found++
		q.longest = max(q.longest, (a.To-a.From)/day)
		if !right {
			q.wrong++
			if testing.Verbose() {
				t.Logf("wrong: %s %s–%s %.1f → %.1f, z %.1f %v", lastOf(a.Cluster), dayName(a.From/day), dayName(a.To/day), a.Expected, a.Got, a.Score, a.Causes)
			}
		}
	}
	all := map[string]float64{}
	for i, x := range truth {
		all[x.kind]++
		if hit[i] {
			q.recall[x.kind]++
		} else {
			q.missed++
		}
	}
	for k, n := range all {
		q.recall[k] /= n
		t.Logf("%s: %.0f injected, %.3f found", k, n, q.recall[k])
	}
	q.precision = 1 - float64(q.wrong)/float64(max(1, q.found))
	t.Logf("%d found, %d wrong: precision %.3f; %d of %d missed: recall %.3f; longest %d days", q.found, q.wrong, q.precision,
		q.missed, len(truth), 1-float64(q.missed)/float64(len(truth)), q.longest)
	return q
}

// The thresholds were chosen with the year of seed 1. These two were not looked at before
// they stood; docs/cost-anomalies.md has their numbers.
func TestAnomalyQualityOfAHeldOutYear(t *testing.T) {
	for _, seed := range []uint64{2, 3} {
		in, truth := madeYear(seed)
		q := judge(t, in, truth)
		if q.precision < 0.90 || q.recall["spike"] < 0.95 || q.recall["step"] < 0.97 || q.recall["ramp"] < 0.90 {
			t.Errorf("seed %d: precision %.3f, recall %v", seed, q.precision, q.recall)
		}
	}
}

// A hub keeps some sixty days of a bill. Each month of a held-out year is judged from that
// much, as it would be on the month's last day.
func TestAnomalyQualityWithSixtyDays(t *testing.T) {
	in, truth := madeYear(4)
	found, wrong, all, missed := 0, 0, 0, 0
	for month := range 10 {
		now := in.From/day + 65 + int64(month)*30
		part := &Input{Now: now * day, From: (now - 30) * day, Tenant: in.Tenant}
		for _, c := range in.Charges {
			if c.Start >= (now-60)*day && c.Start < now*day {
				part.Charges = append(part.Charges, c)
			}
		}
		as, _, _ := newLedger(part).unusual(part.From)
		hit := map[int]bool{}
		for _, a := range as {
			right := false
			for i, x := range truth {
				if x.cluster == a.Cluster && a.From < x.to*day && a.To > x.from*day {
					hit[i], right = true, true
				}
			}
			found++
			if !right {
				wrong++
			}
		}
		for i, x := range truth {
			if x.kind != "ramp" && x.from >= now-30 && x.from < now-1 {
				all++
				if !hit[i] {
					missed++
				}
			}
		}
	}
	precision, recall := 1-float64(wrong)/float64(found), 1-float64(missed)/float64(all)
	t.Logf("%d found, %d wrong: precision %.3f; %d of %d spikes and steps missed: recall %.3f", found, wrong, precision, missed, all, recall)
	if precision < 0.85 || recall < 0.95 {
		t.Errorf("precision %.3f, recall %.3f", precision, recall)
	}
}

// madeWeeks measures 40 clusters for eight weeks, by hour and namespace: working hours,
// batch at night, noise, hours without an agent. In every second cluster something mines
// in one namespace, for six to sixty hours of the last four weeks.
func madeWeeks(seed uint64) (*Input, []injected) {
	rnd := rand.New(rand.NewPCG(seed, 2))
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	first := now.UnixNano()/hour - 56*24
	in := &Input{Now: now.UnixNano(), From: now.UnixNano() - 28*day, Tenant: &cloud.Tenant{}}
	var truth []injected
	for i := range 40 {
		id := fmt.Sprintf("%s/resourcegroups/g%d/providers/microsoft.containerservice/managedclusters/c%d", subA, i, i)
		in.Tenant.Clusters = append(in.Tenant.Clusters, cloud.Cluster{ID: id, Kind: "aks"})
		victim, start, length, cores := -1, 0, 0, 0.0
		names := 3 + rnd.IntN(4)
		if i%2 == 0 {
			victim, start, length, cores = rnd.IntN(names), 28*24+rnd.IntN(24*25), 6+rnd.IntN(55), 4+20*rnd.Float64()
			truth = append(truth, injected{cluster: id, kind: "mining", from: (first + int64(start)) / 24, to: (first+int64(start+length))/24 + 1})
		}
		lost := rnd.IntN(56 * 24)
		total := make([]float64, 56*24)
		for ns := range names {
			level, noise, night := 0.2*math.Exp(rnd.Float64()*4), 0.03+0.12*rnd.Float64(), rnd.IntN(3) == 0
			flat := rnd.IntN(4) == 0
			for h := range 56 * 24 {
				if h >= lost && h < lost+9 {
					continue
				}
				t := first + int64(h)
				hod, wd := t%24, weekday(t/24)
				f := 0.4
				switch {
				case flat:
					f = 1
				case night && hod >= 1 && hod < 4:
					f = 3
				case !night && hod >= 7 && hod < 18 && wd != 0 && wd != 6:
					f = 1 + 0.5*math.Sin(float64(hod-7)/11*math.Pi)
				}
				v := level * f * math.Max(0, 1+noise*rnd.NormFloat64())
				if ns == victim && h >= start && h < start+length {
					v += cores
				}
				total[h] += v
				in.Usage = append(in.Usage, inventory.Usage{Cluster: id, Hour: t * hour, Namespace: fmt.Sprint("ns", ns), Used: v, Charged: v, Samples: 60})
			}
		}
		for h, v := range total {
			if h < lost || h >= lost+9 {
				in.Usage = append(in.Usage, inventory.Usage{Cluster: id, Hour: (first + int64(h)) * hour, Nodes: math.Ceil(v/6) + 2, Cores: 8 * (math.Ceil(v/6) + 2), Samples: 60})
			}
		}
	}
	return in, truth
}

func TestAnomalyQualityByTheHour(t *testing.T) {
	for _, seed := range []uint64{2, 3} {
		in, truth := madeWeeks(seed)
		q := judge(t, in, truth)
		if q.precision < 0.85 || q.recall["mining"] < 0.95 {
			t.Errorf("seed %d: precision %.3f, recall %v", seed, q.precision, q.recall)
		}
	}
}
