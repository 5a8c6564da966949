package govern

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/finding"
)

// pitfalls looks for the four ways in which a team that did everything is still not safe.
func pitfalls(in *Input, ev *Evaluation) {
	config := in.Config.with()
	ev.Pitfalls = []Check{
		lowIgnored(in),
		tuning(in),
		controlPlane(in, ev),
		forgotten(in, config),
	}
	for i := range ev.Pitfalls {
		c := &ev.Pitfalls[i]
		c.judge()
		if c.State == CheckDone && len(c.Found) > 0 {
			c.State = CheckOpen
		}
		if n := len(c.Found) - MaxMissing; n > 0 {
			c.Found, c.Ratio.More = c.Found[:MaxMissing], c.Ratio.More+n
		}
	}
}

// lowIgnored finds low alerts that nobody took and that an attack followed.
func lowIgnored(in *Input) Check {
	c := Check{ID: "low-ignored", Title: "Low severities are not ignored"}
	c.Rule = "alerts of high or critical severity before which no low or informational alert of the same workload or identity lay open for up to " + hours(in.thresholds().FollowedWithin) + " ÷ all such alerts"
	if in.Alerts == nil {
		c.Ratio.NotAssessed = "no alerts are kept"
		return c
	}
	followedWithin := in.thresholds().FollowedWithin
	low := map[string][]*AlertFact{}
	for i := range in.Alerts.Alerts {
		a := &in.Alerts.Alerts[i]
		if a.Workload != "" && (a.Severity == finding.Low || a.Severity == finding.Informational) {
			low[a.Cluster+"|"+a.Workload] = append(low[a.Cluster+"|"+a.Workload], a)
		}
	}
	for i := range in.Alerts.Alerts {
		a := &in.Alerts.Alerts[i]
		if !a.high() || a.Workload == "" || a.Status == finding.Dismissed { // dismissed: it was no attack
			continue
		}
		c.Ratio.Of++
		var before []*AlertFact
		for _, l := range low[a.Cluster+"|"+a.Workload] {
			taken := cmp.Or(l.Acked, l.Closed)
			ignored := l.Status == finding.Open || taken > a.First
			if ignored && l.First < a.First && a.First-l.First <= int64(followedWithin) {
				before = append(before, l)
			}
		}
		if len(before) == 0 {
			c.Ratio.N++
			continue
		}
		l := slices.MinFunc(before, func(x, y *AlertFact) int { return cmp.Or(cmp.Compare(x.First, y.First), strings.Compare(x.ID, y.ID)) })
		c.Found = append(c.Found, Ref{Kind: "alert", ID: l.ID, Name: cmp.Or(l.Title, l.Rule),
			Why: fmt.Sprintf("%s of %s, %d in all, not taken; %s later: %s (%s)", l.Severity, l.Workload, len(before), hours(time.Duration(a.First-l.First)), cmp.Or(a.Title, a.Rule), a.ID)})
	}
	if c.Ratio.Of == 0 {
		c.Ratio.NotAssessed = "no high alert is known since " + date(in.Alerts.Since) + ": there is nothing that a low one could have preceded"
	}
	return c
}

// tuning finds rules that only make noise, and suppressions that keep quiet too much.
func tuning(in *Input) Check {
	c := Check{ID: "tuning", Title: "Rules are neither untuned nor over-tuned"}
	t := in.thresholds()
	c.Rule = fmt.Sprintf("rules and suppressions without fault ÷ all that were seen in 60 days; a rule is untuned where at least %d of its alerts were closed and at least %.0f %% of those were dismissed; a suppression is over-tuned where it has no end, or keeps quiet a rule that raised high severities, or more than %d a month", t.LoudRule, 100*t.BenignShare, t.BroadQuiet)
	if in.Alerts == nil {
		c.Ratio.NotAssessed = "no alerts are kept"
		return c
	}
	type sum struct {
		closed, dismissed, n int
		worst                finding.Severity
		title                string
	}
	rules := map[string]*sum{}
	for i := range in.Alerts.Alerts {
		a := &in.Alerts.Alerts[i]
		s := rules[a.Rule]
		if s == nil {
			s = &sum{title: a.Title}
			rules[a.Rule] = s
		}
		s.n++
		s.worst = max(s.worst, a.Severity)
		switch a.Status {
		case finding.Dismissed:
			s.closed++
			s.dismissed++
		case finding.Resolved:
			s.closed++
		}
	}
	for _, id := range sortedKeys(rules) {
		s := rules[id]
		c.Ratio.Of++
		if s.closed >= t.LoudRule && float64(s.dismissed) >= t.BenignShare*float64(s.closed) {
			c.Found = append(c.Found, Ref{Kind: "rule", ID: id, Name: cmp.Or(s.title, id), Why: fmt.Sprintf("untuned: %d of %d closed alerts were dismissed as benign", s.dismissed, s.closed), Do: "narrow the rule, or suppress it for the workloads named, with an end"})
			continue
		}
		c.Ratio.N++
	}
	quiet := slices.Clone(in.Alerts.Suppressed)
	if in.Tenant != nil {
		have := map[string]bool{}
		for _, s := range quiet {
			have[s.Source+"|"+s.Rule] = true
		}
		for i := range in.Tenant.Suppressions {
			s := &in.Tenant.Suppressions[i]
			if !strings.EqualFold(s.State, "Enabled") || have["defender|"+s.Type] {
				continue
			}
			n := dismissedBy(in, s)
			quiet = append(quiet, Suppressed{Rule: s.Type, Why: s.Reason, Expires: s.Expires, Count30d: n, Source: "defender", end: s.Expires > 0 && s.Expires <= in.Now})
		}
		c.Note = defenderQuiet(in)
	}
	for _, s := range quiet {
		if s.Expires > 0 && s.Expires <= in.Now && !s.end {
			continue
		}
		c.Ratio.Of++
		var why []string
		if s.end {
			why = append(why, "ended on "+date(s.Expires)+" and is still enabled there")
		}
		if s.Source == "defender" && strings.TrimSpace(s.Why) == "" {
			why = append(why, "gives no reason")
		}
		if s.Expires == 0 {
			why = append(why, "has no end")
		}
		if r := rules[s.Rule]; r != nil && r.worst >= finding.High {
			why = append(why, "keeps quiet a rule that raised "+r.worst.String()+" alerts")
		}
		if s.Count30d > int64(t.BroadQuiet) {
			why = append(why, fmt.Sprintf("kept quiet %d in 30 days", s.Count30d))
		}
		if s.Rule == "" || s.Rule == "*" {
			why = append(why, "is for every rule")
		}
		if len(why) == 0 {
			c.Ratio.N++
			continue
		}
		c.Found = append(c.Found, Ref{Kind: "suppression", ID: s.Rule, Name: s.Rule, Why: "over-tuned: " + strings.Join(why, ", ") + by(s.By) + " (" + s.Source + ")", Do: "give it an end and the narrowest scope that still helps"})
	}
	if c.Ratio.Of == 0 {
		c.Ratio.NotAssessed = "no alert and no suppression is known since " + date(in.Alerts.Since)
	}
	return c
}

func by(who string) string {
	if who == "" {
		return ""
	}
	return ", by " + who
}

// controlPlane finds clusters whose API server nobody watches: exported is not watched.
func controlPlane(in *Input, ev *Evaluation) Check {
	c := Check{ID: "control-plane", Title: "The control plane is watched"}
	auditSilent := in.thresholds().AuditSilent
	c.Rule = fmt.Sprintf("clusters that run and whose audit events Dockreeve received in the last %s, or for which the Defender plan reads them ÷ all clusters that run; logs that are only exported are not watched", hours(auditSilent))
	seen := map[string]*Observed{}
	for i := range in.Observed {
		o := &in.Observed[i]
		seen[strings.ToLower(o.Cluster)] = o
		if o.ID != "" {
			seen[strings.ToLower(o.ID)] = o
		}
	}
	for i := range ev.Clusters {
		row := &ev.Clusters[i]
		if row.Stopped {
			continue
		}
		c.Ratio.Of++
		o := seen[strings.ToLower(row.ID)]
		if o == nil {
			o = seen[strings.ToLower(row.Here)]
		}
		switch {
		case o != nil && o.AuditLast > 0 && in.Now-o.AuditLast <= int64(auditSilent), row.Plan.NotAssessed == "" && row.Plan.Value:
			c.Ratio.N++
		case row.Plan.NotAssessed != "" && (o == nil || o.AuditLast == 0):
			c.Ratio.Unknown++
			c.Ratio.Missing = append(c.Ratio.Missing, refOf(row, "not assessed: "+row.Plan.NotAssessed, ""))
		default:
			why := "nobody reads its audit log"
			switch {
			case o != nil && o.AuditLast > 0:
				why = "the last audit event came on " + date(o.AuditLast)
			case row.AuditExport.NotAssessed == "" && row.AuditExport.Value:
				why = "its audit log is exported to " + strings.Join(row.AuditExport.To, ", ") + ", where nothing is known to read it"
			}
			c.Found = append(c.Found, refOf(row, why, row.Onboard))
		}
	}
	return c
}

// forgotten finds what was set up once and is no longer looked after.
func forgotten(in *Input, config Config) Check {
	c := Check{ID: "set-and-forget", Title: "Nothing is set and forgotten"}
	c.Rule = fmt.Sprintf("scans of running images younger than %s, agents heard within %s, canaries that came back within %s, exemptions with an end no further than %s away, and reviews that are not overdue ÷ all of them",
		hours(config.StaleScan), hours(config.StaleAgent), hours(config.StaleCanary), hours(config.MaxExemption))
	look := func(ok bool, ref Ref) {
		c.Ratio.Of++
		if ok {
			c.Ratio.N++
			return
		}
		c.Found = append(c.Found, ref)
	}
	age := func(t int64) time.Duration { return time.Duration(in.Now - t) }
	if i := in.Images; i != nil && i.Running > 0 {
		fresh := max(0, min(i.Scanned, i.Running)-i.Stale)
		c.Ratio.Of, c.Ratio.N = c.Ratio.Of+i.Running, c.Ratio.N+fresh
		if n := i.Running - fresh; n > 0 {
			c.Found = append(c.Found, Ref{Kind: "images", ID: "images", Name: "Scans of running images", Why: fmt.Sprintf("%d of %d: %d older than %s, %d never scanned", n, i.Running, i.Stale, hours(config.StaleScan), i.Running-i.Scanned)})
		}
		if i.Advisories > 0 {
			look(age(i.Advisories) <= config.Thresholds.StaleAdvisory, Ref{Kind: "advisories", ID: "advisories", Name: "Advisory database", Why: "is from " + date(i.Advisories), Do: "dockreeve db update"})
		}
	} else {
		c.Note = "running images were not assessed"
	}
	tested := false // the test image is one for all clusters
	for _, o := range in.Observed {
		ref := Ref{Kind: "cluster", ID: cmp.Or(o.ID, o.Cluster), Name: o.Cluster}
		if o.Agent != "" {
			ref.Why = "its agents were last heard on " + date(o.LastWord)
			look(age(o.LastWord) <= config.StaleAgent, ref)
		}
		for _, k := range o.Canaries {
			if k.Sent == 0 || k.Untold != "" || k.Kind == CanaryImage && tested {
				continue
			}
			from := ref
			if k.Kind == CanaryImage {
				tested, from = true, hubRef()
			}
			from.Why = "its canary “" + k.Kind + "” never came back"
			if k.Seen > 0 {
				from.Why = "its canary “" + k.Kind + "” last came back on " + date(k.Seen)
			}
			if k.Failed >= failedTries {
				from.Why = fmt.Sprintf("its canary “%s” came back wrong %d times in a row", k.Kind, k.Failed)
			}
			look(k.Seen > 0 && age(k.Seen) <= config.StaleCanary && k.Failed < failedTries, from)
		}
	}
	for _, e := range config.Exemptions {
		ends := expiry(e)
		look(ends > in.Now && ends-in.Now <= int64(config.MaxExemption), Ref{Kind: "exemption", ID: e.Control + " at " + e.Scope, Name: e.Control, Why: endWords(in.Now, ends, e.Expires) + by(e.By)})
	}
	if t := in.Tenant; t != nil {
		for _, e := range t.Exemptions {
			look(e.Expires > in.Now && e.Expires-in.Now <= int64(config.MaxExemption), Ref{Kind: "exemption", ID: e.ID, Name: cmp.Or(e.Title, last(e.ID)), Why: endWords(in.Now, e.Expires, "") + by(e.By)})
		}
		look(age(t.Collected) <= config.StaleTenant, Ref{Kind: "tenant", ID: t.ID, Name: "What is known of Azure", Why: "is from " + date(t.Collected), Do: "dockreeve azure collect"})
	} else {
		c.Note = join(c.Note, "Azure's exemptions were not assessed: no cloud was read")
	}
	told := map[string]bool{}
	for _, r := range in.Reviews {
		if told[r.Subject+"|"+r.Scope] {
			continue
		}
		told[r.Subject+"|"+r.Scope] = true
		if r, ok := LastReview(in.Reviews, r.Subject, r.Scope, in.Now); ok {
			look(!r.Overdue(in.Now, config.ReviewEvery), Ref{Kind: "review", ID: r.ID, Name: "Review of " + join(r.Subject, r.Scope), Why: "the next was due on " + date(r.Due(config.ReviewEvery))})
		}
	}
	if len(in.Reviews) == 0 {
		look(false, Ref{Kind: "review", ID: "reviews", Name: "Reviews", Why: "no review was ever recorded"})
	}
	return c
}

func endWords(now, ends int64, written string) string {
	switch {
	case ends == 0 && written != "":
		return fmt.Sprintf("its end %q is not a date", written)
	case ends == 0:
		return "has no end"
	case ends <= now:
		return "ended on " + date(ends)
	}
	return "ends only on " + date(ends)
}
