package tenant

import (
	"fmt"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/govern"
)

// weeksKept is how long alerts are kept.
const weeksKept = 8

// rules of Dockreeve's that fire in the demo: id, title, severity.
var rules = []struct {
	ID, Title string
	Severity  finding.Severity
	Weight    int
}{
	{"shell-in-container", "A shell was started in a container", finding.Medium, 30}, {"read-credentials", "A program read credentials it has no use for", finding.High, 14},
	{"drift-executed", "A program ran that is not part of the image", finding.High, 12}, {"outbound-rare", "A connection to an address never seen before", finding.Low, 26},
	{"privileged-pod", "A privileged pod was made", finding.Medium, 10}, {"anonymous-request", "The API server answered somebody without a name", finding.High, 4},
	{"escape-attempt", "A container reached for its node", finding.Critical, 2}, {"mode-changed", "File modes were opened to everybody", finding.High, 8},
}

const (
	// RisenRule is the rule that fires more since a deployment, at RisenWork.
	RisenRule = "mode-changed"
	// MinerRule is the rule that saw the miner.
	MinerRule = "miner-started"
)

// Alerts are the alerts of eight weeks, of Dockreeve and of Defender.
func (w *World) Alerts() *govern.AlertFacts {
	f := &govern.AlertFacts{Since: w.ago(weeksKept * 7 * 24 * time.Hour).UnixNano(), NodeDays: map[string]float64{}}
	for _, c := range w.clusters {
		f.Alerts = append(f.Alerts, w.alertsOf(c)...)
		if !c.Here {
			continue
		}
		for n := weeksKept*7 - 1; n >= 0; n-- {
			day := w.day(n)
			if day.Before(c.Created) {
				continue
			}
			part := 1.0
			if n == 0 {
				part = w.now.Sub(day).Hours() / 24
			}
			year, week := day.ISOWeek()
			for i := range c.Pools {
				f.NodeDays[fmt.Sprintf("%d-W%02d", year, week)] += part * w.nodesOn(c, &c.Pools[i], n)
			}
		}
	}
	f.Suppressed = []govern.Suppressed{
		{Rule: "outbound-rare", By: teams[12].mail(), Why: "update servers of the base images", Since: w.ago(200 * 24 * time.Hour).UnixNano(), Count30d: 4210, Source: "dockreeve"},
		{Rule: "privileged-pod", By: teams[12].mail(), Why: "build agents", Since: w.ago(90 * 24 * time.Hour).UnixNano(), Expires: w.now.AddDate(0, 1, 0).UnixNano(), Count30d: 66, Source: "dockreeve"},
		{Rule: "*", Why: "", Since: w.ago(400 * 24 * time.Hour).UnixNano(), Count30d: 93, Source: "defender"},
		{Rule: "K8S_PrivilegedContainer", Why: "build agents need it", Since: w.ago(300 * 24 * time.Hour).UnixNano(), Count30d: 12, Source: "defender"},
	}
	return f
}

func (w *World) alertsOf(c *cluster) []govern.AlertFact {
	if !c.Here {
		return nil
	}
	r := w.rng("own-alerts|"+c.Name, 0)
	var out []govern.AlertFact
	owner := teams[c.Team].mail()
	work := w.workOf(c)
	sum := 0
	for _, x := range rules {
		sum += x.Weight
	}
	add := func(rule, title string, sev finding.Severity, at time.Time, key string, count int64) *govern.AlertFact {
		if at.After(w.now) || at.Before(c.Created) {
			return &govern.AlertFact{}
		}
		a := govern.AlertFact{ID: w.guidOf("own-alert", c.Name, rule, micro(at), fmt.Sprint(len(out))), Rule: rule, Title: title, Severity: sev, Status: finding.Open, Cluster: c.Name, Workload: key, Owner: owner, Source: "dockreeve",
			First: at.UnixNano(), Last: at.Add(time.Duration(r.IntN(7200)) * time.Second).UnixNano(), Count: count, Image: w.imageOf(c, key), Digest: digestOf(w.imageOf(c, key))}
		a.Last = min(a.Last, w.now.UnixNano())
		out = append(out, a)
		return &out[len(out)-1]
	}
	n := r.IntN(8)
	if c.Rich {
		n += 6
	}
	for range n {
		d, i := r.IntN(sum), 0
		for d >= rules[i].Weight {
			d -= rules[i].Weight
			i++
		}
		at := w.ago(time.Duration(1+r.IntN(weeksKept*7*24-2)) * time.Hour)
		a := add(rules[i].ID, rules[i].Title, rules[i].Severity, at, one(r, work), int64(1+r.IntN(12)))
		w.handle(a, at, r.IntN(100), r.IntN(300))
	}
	switch c.Story {
	case "miner":
		at := w.day(3).Add(2*time.Hour + 38*time.Minute)
		a := add(MinerRule, "A coin miner was started", finding.Critical, at, minerWork, 41)
		a.Miner, a.Last = true, w.ago(6*time.Minute).UnixNano()
		// A low one, two days before, that nobody looked at: how it began.
		add("outbound-rare", "A connection to an address never seen before", finding.Low, at.Add(-50*time.Hour), minerWork, 3)
	case "alert-rise":
		for n := 9; n >= 0; n-- {
			for k := range 3 {
				at := w.day(n).Add(time.Duration(13+3*k) * time.Hour)
				a := add(RisenRule, "File modes were opened to everybody", finding.High, at, c.App+"/Deployment/web", int64(2+k))
				if n > 6 {
					w.handle(a, at, 40, 90)
				}
			}
		}
	}
	return out
}

// handle lets people deal with an alert: most in time, some late, some never.
func (w *World) handle(a *govern.AlertFact, at time.Time, d, minutes int) {
	if a.ID == "" || d >= 82 {
		return
	}
	delay := time.Duration(5+minutes) * time.Minute
	if d >= 70 {
		delay = time.Duration(20+minutes) * time.Hour
	}
	if at.Add(delay).After(w.now) {
		return
	}
	a.Status, a.Acked = finding.Acknowledged, at.Add(delay).UnixNano()
	if closed := at.Add(delay + 26*time.Hour); d < 62 && closed.Before(w.now) {
		a.Status, a.Closed = finding.Resolved, closed.UnixNano()
		if d < 8 {
			a.Status = finding.Dismissed
		}
	}
}

// Images are the clocks of vulnerabilities that run or ran.
func (w *World) Images() *govern.ImageFacts {
	f := &govern.ImageFacts{Advisories: w.ago(9 * time.Hour).UnixNano()}
	seen := map[string]bool{}
	for _, c := range w.clusters {
		if !c.Here {
			continue
		}
		r := w.rng("images|"+c.Name, 0)
		for _, key := range w.workOf(c) {
			d := digestOf(w.imageOf(c, key))
			if !seen[d] {
				seen[d] = true
				f.Running++
				switch k := r.IntN(100); {
				case k < 90:
					f.Scanned++
				case k < 96:
					f.Scanned++
					f.Stale++
				}
			}
			if !chance(r, 30) {
				continue
			}
			ns, _, _ := splitWork(key)
			owner, _ := w.ownerIn(c, ns)
			from := w.ago(time.Duration(24+r.IntN(100*24)) * time.Hour)
			m := govern.Remedy{Vulnerability: fmt.Sprintf("CVE-2026-%d", 20000+r.IntN(9000)), Severity: one(r, []string{"critical", "critical", "high", "high", "medium"}), Cluster: c.Name, Workload: key, Owner: owner, From: from.UnixNano()}
			days := 1 + r.IntN(25)
			if teams[c.Team].Unit == 2 { // one unit is slow
				days += 30
			}
			if to := from.Add(time.Duration(days)*24*time.Hour + time.Duration(r.IntN(86400))*time.Second); to.Before(w.now) && chance(r, 80) {
				m.To = to.UnixNano()
			}
			f.Remediation = append(f.Remediation, m)
		}
	}
	return f
}

// Gates say which of the images that run passed a gate.
func (w *World) Gates() *govern.GateFacts {
	f := &govern.GateFacts{Last: w.ago(40 * time.Minute).UnixNano()}
	seen := map[string]bool{}
	for _, c := range w.clusters {
		if !c.Here {
			continue
		}
		r := w.rng("gates|"+c.Name, 0)
		for _, key := range w.workOf(c) {
			image := w.imageOf(c, key)
			if seen[image] {
				continue
			}
			seen[image] = true
			f.Running++
			switch d := r.IntN(100); {
			case d < 74:
				f.Gated++
			case d < 78:
				f.Failed++
			case len(f.Without) < 50:
				f.Without = append(f.Without, image)
			}
		}
	}
	return f
}

// Reviews are the records of those who looked.
func (w *World) Reviews() []govern.Review {
	lead := "lead.security@" + Domain
	at := func(days int) int64 { return w.ago(time.Duration(days) * 24 * time.Hour).UnixNano() }
	in := func(days int) int64 { return w.now.AddDate(0, 0, days).UnixNano() }
	return []govern.Review{
		{ID: w.guidOf("review", "1"), Subject: "recommendations", By: lead, At: at(63), NextDue: at(33), Note: "first pass over everything", Items: 212},
		{ID: w.guidOf("review", "2"), Subject: "recommendations", By: lead, At: at(21), NextDue: in(9), Note: "profile first, then ranges of the API server", Items: 187},
		{ID: w.guidOf("review", "3"), Subject: "exemptions", By: lead, At: at(120), NextDue: at(90), Note: "", Items: 9},
		{ID: w.guidOf("review", "4"), Subject: "rules", By: teams[12].mail(), At: at(15), NextDue: in(15), Note: "two quieted for build agents", Items: 14},
		{ID: w.guidOf("review", "5"), Subject: "access", By: lead, At: at(48), NextDue: in(42), Items: 31},
	}
}
