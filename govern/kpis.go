package govern

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/posture"
)

// maxTrend bounds KPI.Trend, maxSlices KPI.By.
const (
	maxTrend  = 90
	maxSlices = 200
)

const dayLength = int64(24 * time.Hour)

// kpis computes every number with its denominator; each says why where it means nothing.
func kpis(in *Input, ev *Evaluation) {
	config := in.Config.with()
	ev.KPIs = []KPI{
		mttr(in, ev),
		shareKPI("defender-profile", "Clusters with the Defender profile enabled", ev.Coverage.Profile,
			"clusters whose Defender profile Azure reports as enabled ÷ all clusters that run; stopped ones are left out, those that could not be read stay in", stopped(ev)),
		shareKPI("protected-any", "Clusters protected by any provider", ev.Coverage.Any,
			"clusters protected by Defender, by Dockreeve's own agents or by both ÷ all clusters that run; those that could not be read stay in", stopped(ev)),
		highAlerts(in),
		compliance(in, ev, config.Benchmark),
		shareKPI("owned", "Clusters with an owner", ev.Coverage.Owned, "clusters for which the chain of tags and roles ends at a person or team ÷ all clusters", ""),
		attributed(in),
		perVCore(in, ev),
		securityShare(ev),
		budgetBurn(in),
		exemptions(in, config),
	}
	for i := range ev.KPIs {
		k := &ev.KPIs[i]
		if k.Trend == nil {
			k.Trend = trend(in.History, "kpi."+k.ID)
		}
		if len(k.By) > maxSlices {
			k.Note = join(k.Note, fmt.Sprintf("%d more slices are not shown", len(k.By)-maxSlices))
			k.By = k.By[:maxSlices]
		}
	}
}

// trend is a value over the days that are kept, newest last.
func trend(days []Day, key string) []Point {
	var out []Point
	for _, d := range days {
		if v, ok := d.Values[key]; ok {
			out = append(out, Point{At: d.At, Value: v, Of: d.Values[key+".of"]})
		}
	}
	return out[max(0, len(out)-maxTrend):]
}

func join(parts ...string) string {
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	return strings.Join(parts, "; ")
}

// shareKPI is a Ratio as a KPI, in percent.
func shareKPI(id, title string, r Ratio, rule, note string) KPI {
	k := KPI{ID: id, Title: title, Unit: "percent", Better: "up", Rule: rule, N: float64(r.N), Of: float64(r.Of), NotAssessed: r.NotAssessed, Note: note}
	if r.Unknown > 0 {
		k.Note = join(k.Note, fmt.Sprintf("%d of %d could not be assessed and count as not covered", r.Unknown, r.Of))
	}
	if r.Of == 0 && k.NotAssessed == "" {
		k.NotAssessed = "there is nothing to count"
	}
	k.set(100*float64(r.N), float64(r.Of))
	return k
}

// set gives the value n/of, unless something makes it meaningless.
func (k *KPI) set(n, of float64) {
	if k.NotAssessed == "" && of > 0 {
		v := n / of
		k.Value = &v
	}
}

func stopped(ev *Evaluation) string {
	n := 0
	for i := range ev.Clusters {
		if ev.Clusters[i].Stopped {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d stopped, left out", n)
}

// mttr is how long critical vulnerabilities run before the last pod with them is gone.
func mttr(in *Input, ev *Evaluation) KPI {
	k := KPI{ID: "mttr-critical", Title: "Time to remediate critical vulnerabilities", Unit: "days", Better: "down",
		Rule: "median of the days from the first time a critical vulnerability was seen in a running image to the replacement of the last pod that had it, over those that ended in the window; Of counts those that still run too, and their age is told beside it"}
	if in.Images == nil {
		k.NotAssessed = "no running images are watched"
		return k
	}
	of := map[string]string{} // of clusters by their name here: who answers where nobody is named for the workload
	for i := range ev.Clusters {
		if r := &ev.Clusters[i]; r.Here != "" {
			of[r.Here] = r.Ownership.Owner
		}
	}
	by := map[string]*ages{}
	all := &ages{}
	for _, r := range in.Images.Remediation {
		if !strings.EqualFold(r.Severity, "critical") || r.From <= 0 {
			continue
		}
		owner := cmp.Or(r.Owner, inventory.Unowned)
		if owner == inventory.Unowned {
			owner = cmp.Or(of[r.Cluster], inventory.Unowned)
		}
		if by[owner] == nil {
			by[owner] = &ages{}
		}
		for _, a := range []*ages{all, by[owner]} {
			a.add(r, in.Now)
		}
	}
	for _, o := range sortedKeys(by) {
		k.By = append(k.By, Slice{Name: o, Values: by[o].values()})
	}
	k.N, k.Of = float64(len(all.fixed)), float64(len(all.fixed)+len(all.open))
	if len(all.fixed) > 0 {
		v := quantile(all.fixed, 0.5)
		k.Value = &v
		k.Note = fmt.Sprintf("p90 %.1f days", quantile(all.fixed, 0.9))
	} else {
		k.NotAssessed = "none ended in the window"
	}
	if len(all.open) > 0 {
		k.Note = join(k.Note, fmt.Sprintf("%d still run, median age %.1f days, oldest %.1f", len(all.open), quantile(all.open, 0.5), slices.Max(all.open)))
	} else if len(all.fixed) == 0 {
		k.NotAssessed = fmt.Sprintf("no critical vulnerability was seen in the %d of %d running images that were scanned", in.Images.Scanned, in.Images.Running)
	}
	if left := in.Images.Running - in.Images.Scanned; left > 0 {
		k.Note = join(k.Note, fmt.Sprintf("%d of %d running images were never scanned", left, in.Images.Running))
	}
	return k
}

// ages are durations in days.
type ages struct{ fixed, open []float64 }

func (a *ages) add(r Remedy, now int64) {
	if r.To >= r.From {
		a.fixed = append(a.fixed, float64(r.To-r.From)/float64(dayLength))
	} else {
		a.open = append(a.open, math.Max(0, float64(now-r.From)/float64(dayLength)))
	}
}

func (a *ages) values() map[string]float64 {
	v := map[string]float64{"n": float64(len(a.fixed)), "open": float64(len(a.open))}
	if len(a.fixed) > 0 {
		v["p50"], v["p90"] = quantile(a.fixed, 0.5), quantile(a.fixed, 0.9)
	}
	if len(a.open) > 0 {
		v["openP50"], v["oldest"] = quantile(a.open, 0.5), slices.Max(a.open)
	}
	return v
}

// quantile is the nearest rank; values is not empty.
func quantile(values []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return s[max(0, int(math.Ceil(q*float64(len(s))))-1)]
}

// compliance is the score of the configured benchmark, with all others beside it.
func compliance(in *Input, ev *Evaluation, benchmark string) KPI {
	k := KPI{ID: "compliance", Title: "Compliance score, " + benchmark, Unit: "percent", Better: "up",
		Rule: "verdicts that pass ÷ verdicts that pass or fail, over all controls of the benchmark and all resources; not assessed, exempt and manual ones are outside it and told beside it"}
	scores := ev.Scores[""]
	if scores == nil {
		scores = posture.Scores(in.Posture)
	}
	k.NotAssessed = "no control of " + benchmark + " was judged"
	for _, s := range scores {
		v := map[string]float64{"pass": float64(s.Pass), "fail": float64(s.Fail), "notAssessed": float64(s.NotAssessed), "exempt": float64(s.Exempt), "manual": float64(s.Manual)}
		if s.Pass+s.Fail > 0 {
			v["percent"] = 100 * float64(s.Pass) / float64(s.Pass+s.Fail)
		}
		k.By = append(k.By, Slice{Name: s.Framework, Values: v})
		if s.Framework != benchmark {
			continue
		}
		k.N, k.Of = float64(s.Pass), float64(s.Pass+s.Fail)
		k.Note = fmt.Sprintf("%d not assessed, %d exempt, %d manual", s.NotAssessed, s.Exempt, s.Manual)
		if s.Pass+s.Fail > 0 {
			k.NotAssessed = ""
			k.set(100*k.N, k.Of)
		} else {
			k.NotAssessed = fmt.Sprintf("none of its verdicts passes or fails: %d not assessed", s.NotAssessed)
		}
	}
	if k.Trend = trend(in.History, "kpi.compliance"); len(k.Trend) == 0 { // days kept as shares only
		for _, p := range trend(in.History, "score."+benchmark) {
			k.Trend = append(k.Trend, Point{At: p.At, Value: 100 * p.Value, Of: p.Of})
		}
	}
	return k
}

// attributed is how much of the bill has an owner.
func attributed(in *Input) KPI {
	k := KPI{ID: "spend-attributed", Title: "Spend that has an owner", Unit: "percent", Better: "up",
		Rule: "money allocated to a team that is not “unowned” ÷ everything billed in the window, in the currency of the totals"}
	if in.Costs == nil || in.Costs.Billed.NotAssessed != "" || in.Costs.Billed.Amount <= 0 {
		k.NotAssessed = noMoney(in)
		return k
	}
	var owned cost.Amount
	for _, t := range in.Costs.Teams {
		owner := cmp.Or(t.Owner, t.Key)
		if t.Cost.NotAssessed != "" || t.Cost.Currency != in.Costs.Billed.Currency {
			continue
		}
		if owner != inventory.Unowned && owner != "" && !strings.HasPrefix(owner, "_") {
			owned += t.Cost.Amount
		}
		k.By = append(k.By, Slice{Name: owner, Values: map[string]float64{"cost": t.Cost.Amount.Float(), "idleShare": t.IdleShare.Amount.Float()}})
	}
	k.N, k.Of = owned.Float(), in.Costs.Billed.Amount.Float()
	k.set(100*k.N, k.Of)
	k.Note = money(in.Costs.Billed)
	if n := len(in.Costs.Others); n > 0 {
		k.Note = join(k.Note, fmt.Sprintf("%d other currencies are left out", n))
	}
	if in.Costs.Bad > 0 {
		k.Note = join(k.Note, fmt.Sprintf("%d rows of the bill were not understood", in.Costs.Bad))
	}
	return k
}

func noMoney(in *Input) string {
	switch {
	case in.Costs == nil:
		return "no bill and no prices were read"
	case in.Costs.Billed.NotAssessed != "":
		return in.Costs.Billed.NotAssessed
	}
	return "nothing was billed in the window"
}

func money(m cost.Money) string {
	return join("in "+m.Currency, m.Source, dated(m.AsOf))
}

func dated(d string) string {
	if d == "" {
		return ""
	}
	return "as of " + d
}

// perVCore is what protection costs for a vCore and month.
func perVCore(in *Input, ev *Evaluation) KPI {
	k := KPI{ID: "security-per-vcore", Title: "Protection cost per vCore", Better: "down",
		Rule: "what protection costs per vCore and month, averaged over clusters by their running vCores; plan, scans, log ingestion and what agents reserve"}
	if in.Costs == nil {
		k.NotAssessed = noMoney(in)
		return k
	}
	var sum, cores float64
	var asOf, sources []string
	left := 0
	for _, id := range sortedKeys(in.Costs.Clusters) {
		c := in.Costs.Clusters[id]
		if c.PerVCore.NotAssessed != "" || c.VCores <= 0 || c.PerVCore.Currency != in.Costs.Currency {
			left++
			continue
		}
		sum += c.PerVCore.Amount.Float() * c.VCores
		cores += c.VCores
		asOf, sources = append(asOf, c.PerVCore.AsOf), append(sources, c.PerVCore.Source)
	}
	k.Unit, k.N, k.Of = in.Costs.Currency+" per vCore and month", sum, cores
	if cores == 0 {
		k.NotAssessed = fmt.Sprintf("no cluster of %d has both a price and known vCores", len(in.Costs.Clusters))
		return k
	}
	k.set(sum, cores)
	k.Note = join(some(slices.DeleteFunc(sources, func(s string) bool { return s == "" }), 3), dated(slices.Min(asOf)))
	if left > 0 {
		k.Note = join(k.Note, fmt.Sprintf("%d of %d clusters could not be computed", left, len(in.Costs.Clusters)))
	}
	return k
}

// securityShare is protection as a share of what the protected clusters cost.
func securityShare(ev *Evaluation) KPI {
	k := KPI{ID: "security-share", Title: "Protection as a share of cluster cost", Unit: "percent", Better: "down",
		Rule: "protection cost of the month so far ÷ billed cost of the month so far, over clusters for which both are known in the same currency"}
	sum := map[string][2]float64{}
	left := 0
	for i := range ev.Clusters {
		c := &ev.Clusters[i]
		if c.Security.NotAssessed != "" || c.MonthToDate.NotAssessed != "" || c.MonthToDate.Amount <= 0 || c.Security.Currency != c.MonthToDate.Currency {
			left++
			continue
		}
		s := sum[c.Security.Currency]
		sum[c.Security.Currency] = [2]float64{s[0] + c.Security.Amount.Float(), s[1] + c.MonthToDate.Amount.Float()}
	}
	best := ""
	for _, cur := range sortedKeys(sum) {
		if best == "" || sum[cur][1] > sum[best][1] {
			best = cur
		}
	}
	if best == "" {
		k.NotAssessed = fmt.Sprintf("for none of %d clusters both costs are known", len(ev.Clusters))
		return k
	}
	k.N, k.Of = sum[best][0], sum[best][1]
	k.set(100*k.N, k.Of)
	k.Note = "in " + best
	if left > 0 {
		k.Note = join(k.Note, fmt.Sprintf("%d of %d clusters are left out", left, len(ev.Clusters)))
	}
	return k
}

// exemptions counts what is allowed to fail, and for how long it has been.
func exemptions(in *Input, config Config) KPI {
	k := KPI{ID: "exemptions", Title: "Exemptions in force", Unit: "exemptions", Better: "down",
		Rule: "exemptions of Dockreeve's configuration and of Azure Policy that have not ended; the age is of those that say when they were made"}
	var age []float64
	n, ended, open := 0, 0, 0
	count := func(expires, created int64) {
		switch {
		case expires > 0 && expires <= in.Now:
			ended++
			return
		case expires == 0:
			open++
		}
		n++
		if created > 0 {
			age = append(age, float64(in.Now-created)/float64(dayLength))
		}
	}
	for _, e := range config.Exemptions {
		count(expiry(e), 0)
	}
	if in.Tenant == nil {
		k.Note = "those of Azure Policy are not in it: no cloud was read"
		if len(config.Exemptions) == 0 {
			k.NotAssessed = "no cloud was read, and none is configured"
			return k
		}
	} else {
		for _, e := range in.Tenant.Exemptions {
			count(e.Expires, e.Created)
		}
		asked, unread := 0, 0
		for i := range in.Tenant.Reads {
			if r := &in.Tenant.Reads[i]; r.What == cloud.ReadExemptions && r.Outcome != cloud.ReadSkipped {
				asked++
				if !good(r.Outcome) {
					unread++
				}
			}
		}
		switch {
		case asked == unread && len(config.Exemptions) == 0:
			k.NotAssessed = "Azure Policy's exemptions could not be read anywhere, and none is configured"
			return k
		case unread > 0 || asked == 0:
			k.Note = fmt.Sprintf("those of Azure Policy could be read at %d of %d scopes", asked-unread, asked)
		default:
			k.Note = fmt.Sprintf("Azure Policy's were read at all %d scopes", asked)
		}
	}
	v := float64(n)
	k.Value, k.N, k.Of = &v, v, float64(n+ended)
	k.Note = join(k.Note, fmt.Sprintf("%d without an end, %d ended", open, ended))
	if len(age) > 0 {
		k.Note = join(k.Note, fmt.Sprintf("median age %.0f days, oldest %.0f, known of %d", quantile(age, 0.5), slices.Max(age), len(age)))
	}
	return k
}

// expiry is the end of the day on which an exemption ends; 0 = it names none, or none that can be read.
func expiry(e Exemption) int64 {
	t, err := time.Parse(time.DateOnly, e.Expires)
	if err != nil {
		return 0
	}
	return t.UnixNano() + dayLength - 1
}
