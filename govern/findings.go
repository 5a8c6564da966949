package govern

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/posture"
)

// MaxFindings bounds Evaluation.Findings: the gravest are kept, and a gap says how many
// are not.
const MaxFindings = 5000

// The rules of governance, as findings name them.
const (
	RulePlanOff        = "azure-plan-off"
	RuleUnprotected    = "cluster-unprotected"
	RuleNoSensor       = "profile-without-sensor"
	RuleCanary         = "canary-overdue"
	RuleWorse          = "protection-lost"
	RuleGone           = "cluster-gone"
	RuleUnowned        = "cluster-unowned"
	RuleTag            = "tag-not-allowed"
	RuleExemption      = "exemption-overdue"
	RuleBudget         = "budget-at-risk"
	RuleReconcile      = "bill-differs"
	RuleAnomaly        = "cost-anomaly"
	RuleMining         = "cryptomining-cost"
	RuleStale          = "coverage-stale"
	RuleRise           = "alerts-rise"
	RulePlanIncomplete = "azure-plan-incomplete"
	RuleUnread         = "clusters-unreadable"
	RuleInName         = "policy-in-name-only"
)

// findings says what of all this somebody should be told.
func findings(in *Input, ev *Evaluation) {
	x := newIndex(in)
	out, ownerOf := ev.Findings, ownersOf(ev)
	tell := func(rule string, s finding.Severity, subject Ref, owner, summary string, do ...string) *Finding {
		do = slices.DeleteFunc(do, func(d string) bool { return d == "" })
		out = append(out, Finding{Key: rule + "|" + subject.ID, Rule: rule, Severity: s, Subject: subject, Owner: cmp.Or(owner, inventory.Unowned), Summary: summary, Do: do, At: in.Now})
		return &out[len(out)-1]
	}
	blind := scansUnproven(ev, x, tell)
	planOff := map[string]bool{} // subscriptions that a finding of their own tells of
	for i := range ev.Subscriptions {
		s := &ev.Subscriptions[i]
		if s.Relevant.NotAssessed != "" || !s.Relevant.Value || s.Plan.NotAssessed != "" {
			continue
		}
		subject := Ref{Kind: "subscription", ID: s.ID, Name: s.Name}
		holds := count(s.Clusters, "cluster") + " and " + count(s.Registries, "registry")
		if !s.Plan.Value {
			if x.config.Provider != providerDockreeve {
				planOff[guid(s.ID)] = true
				tell(RulePlanOff, finding.High, subject, s.Owner.Owner, "Defender for Containers is off in subscription "+s.Name+", which holds "+holds,
					planOn(s.ID))
			}
		} else if len(s.Missing) > 0 {
			tell(RulePlanIncomplete, finding.Medium, subject, s.Owner.Owner, "Defender for Containers is on in subscription "+s.Name+" without "+strings.Join(s.Missing, ", "), "")
		}
	}
	for i := range ev.Clusters {
		r := &ev.Clusters[i]
		subject := ref(r, "", "")
		owner := r.Ownership.Owner
		if r.Ownership.Owner == inventory.Unowned {
			do := []string{"az tag update --resource-id " + shellWord(r.ID) + " --operation Merge --tags owner=…"}
			for _, s := range r.Ownership.Suggested {
				do = append(do, "perhaps "+s.Owner+": "+s.Why)
			}
			tell(RuleUnowned, finding.Medium, subject, owner, "nobody answers for cluster "+r.Name+": "+r.Ownership.From, do...)
		}
		for _, tag := range sortedKeys(r.Ownership.Invalid) {
			f := tell(RuleTag, finding.Low, subject, owner, fmt.Sprintf("cluster %s carries %s = %q, which is not among the allowed values", r.Name, tag, r.Ownership.Invalid[tag]), "")
			f.Key += "|" + tag
		}
		if r.Stopped {
			continue
		}
		why, do := weakest(r)
		if r.Production && r.Protected.NotAssessed == "" && !r.Protected.Value {
			s := finding.High
			if r.Environment == unknownEnvironment {
				s = finding.Medium
			}
			if planOff[guid(r.Subscription)] && r.Plan.NotAssessed == "" && !r.Plan.Value {
				s = finding.Low // one cause is one alert: that of the subscription; the cluster stays in its owner's list
			}
			if blind[r.ID] {
				s = finding.Low // that of the test image
			}
			tell(RuleUnprotected, s, subject, owner, "production cluster "+r.Name+" is not protected: "+why+since(in.Now, r.UncoveredSince), do)
		}
		if r.Profile.Value && r.Sensor.NotAssessed == "" && !r.Sensor.Seen {
			tell(RuleNoSensor, finding.High, subject, owner, "Defender's profile is on at cluster "+r.Name+", but no sensor runs in it", r.Inside.Do)
		}
		for _, c := range r.Canaries {
			if c.Kind == CanaryImage {
				continue // one for all clusters
			}
			stale := x.canaryStale(&c)
			if c.NotAssessed == "" && c.Untold == "" && c.Sent > 0 && (c.Seen == 0 || in.Now-c.Seen > stale) {
				f := tell(RuleCanary, finding.High, subject, owner, fmt.Sprintf("the %s canary of cluster %s%s has not come back%s: it is watched in name only", c.Kind, r.Name, onNode(c.Node), since(in.Now, c.Seen)), "dockreeve status")
				f.Key += "|" + c.Kind + "|" + c.Node
			}
		}
	}
	inNameOnly(ev, x, tell)
	unread := unreadFinding(ev, x, tell)
	for _, c := range ev.Coverage.Drift {
		owner := ownerOf(c.ID)
		switch {
		case c.What == "gone":
			tell(RuleGone, finding.Medium, c.Ref, owner, "cluster "+c.Name+" was there yesterday and is not seen any more: what could be read does not tell of it")
		case c.What == "protected" && c.Worse && !unread[c.ID] && !blind[c.ID]:
			tell(RuleWorse, finding.High, c.Ref, owner, "cluster "+c.Name+" was protected yesterday and is now "+map[string]string{"no": "not", "unknown": "not known to be"}[c.After]+": "+c.Why, c.Do)
		}
	}
	exemptionFindings(in, x, tell)
	costAlertFindings(x, ownerOf, tell)
	if in.Costs != nil {
		moneyFindings(in, ownerOf, tell)
	}
	for _, g := range ev.Gaps {
		if g.What == "Azure" && in.Tenant != nil {
			tell(RuleStale, finding.Medium, Ref{Kind: "tenant", ID: x.tenant.ID, Name: x.tenant.Name}, "", "what is known of Azure "+g.Reason, g.Remedy)
		}
	}
	out = append(out, rises(in, ev)...)
	slices.SortStableFunc(out, func(a, b Finding) int { return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Key, b.Key)) })
	if len(out) > MaxFindings {
		ev.Gaps = append(ev.Gaps, inventory.Gap{What: "findings", Reason: fmt.Sprintf("%d of the lesser ones are not told: there are more than %d", len(out)-MaxFindings, MaxFindings), Remedy: "mend the gravest first"})
		out = out[:MaxFindings]
	}
	ev.Findings = out
}

type teller func(rule string, s finding.Severity, subject Ref, owner, summary string, do ...string) *Finding

// exemptionFindings names exemptions that have no end, ended, or reach too far.
func exemptionFindings(in *Input, x *index, tell teller) {
	for i := range x.tenant.Exemptions {
		e := &x.tenant.Exemptions[i]
		subject := Ref{Kind: "exemption", ID: e.ID, Name: cmp.Or(e.Title, e.ID[strings.LastIndexByte(e.ID, '/')+1:])}
		switch {
		case e.Expires == 0:
			tell(RuleExemption, finding.Low, subject, e.By, "policy exemption "+subject.Name+" has no end", "give it a date")
		case e.Expires < in.Now:
			tell(RuleExemption, finding.Low, subject, e.By, "policy exemption "+subject.Name+" ended "+ago(in.Now-e.Expires)+" ago and still stands there", "delete it, or decide again")
		case e.Expires-in.Now > int64(x.config.MaxExemption):
			tell(RuleExemption, finding.Low, subject, e.By, "policy exemption "+subject.Name+" lasts longer than "+ago(int64(x.config.MaxExemption)), "shorten it")
		}
	}
	for _, e := range in.Config.Exemptions {
		ends := expiry(e)
		subject := Ref{Kind: "exemption", ID: "config:" + e.Control + "@" + e.Scope, Name: e.Control + " at " + e.Scope}
		switch {
		case ends == 0:
			tell(RuleExemption, finding.Low, subject, e.By, "exemption of "+subject.Name+" has no date that can be read and is not honoured", "write expires: YYYY-MM-DD")
		case e.Control != "*" && len(in.Controls) > 0 && !slices.ContainsFunc(in.Controls, func(c posture.Control) bool { return strings.EqualFold(c.ID, e.Control) }):
			tell(RuleExemption, finding.Low, subject, e.By, "exemption of "+subject.Name+" names no control and exempts nothing", "dockreeve posture lists the ids")
		case ends < in.Now:
			tell(RuleExemption, finding.Low, subject, e.By, "exemption of "+subject.Name+" ended on "+e.Expires, "remove it, or decide again")
		}
	}
}

// moneyFindings are about budgets, bills and anomalies.
func moneyFindings(in *Input, ownerOf func(string) string, tell teller) {
	for i := range in.Costs.Budgets {
		b := &in.Costs.Budgets[i]
		subject := Ref{Kind: "budget", ID: b.ID, Name: b.Name}
		crossed := 0.0
		for _, t := range b.Thresholds {
			if t.Crossed {
				crossed = max(crossed, t.Percent)
			}
		}
		text := ""
		s := finding.Low
		switch {
		case b.Amount.NotAssessed != "" || b.Spent.NotAssessed != "":
			continue
		case b.Burn >= 1:
			s, text = finding.High, fmt.Sprintf("budget %s is overdrawn: %s of %s", b.Name, printed(b.Spent), printed(b.Amount))
		case b.Breach != "":
			s, text = finding.Medium, fmt.Sprintf("budget %s breaks on %s at this rate: %s of %s spent, %s expected", b.Name, b.Breach, printed(b.Spent), printed(b.Amount), printed(b.Forecast))
		case crossed > 0:
			text = fmt.Sprintf("budget %s crossed its threshold of %.0f %%: %s of %s", b.Name, crossed, printed(b.Spent), printed(b.Amount))
		default:
			continue
		}
		f := tell(RuleBudget, s, subject, ownerOf(b.Scope), text, "see Cost: Increases names what grew")
		f.Money = &b.Spent
	}
	for i := range in.Costs.Reconciled {
		r := &in.Costs.Reconciled[i]
		if r.Finding {
			f := tell(RuleReconcile, finding.Low, Ref{Kind: "bill", ID: r.What + "@" + r.Scope, Name: r.What}, ownerOf(r.Scope),
				fmt.Sprintf("%s of %s: computed %s, billed %s, a difference of %.1f %%", r.What, r.Scope, printed(r.Computed), printed(r.Billed), 100*r.Difference), r.Why...)
			f.Money = &r.Billed
		}
	}
	for i := range in.Costs.Anomalies {
		a := &in.Costs.Anomalies[i]
		rule, s := RuleAnomaly, finding.Medium
		text := fmt.Sprintf("%s of %s is unusual: %.1f %s where %.1f was expected", a.Series, a.Key, a.Got, a.Unit, a.Expected)
		if a.Mining {
			rule, s = RuleMining, finding.Critical
			text = fmt.Sprintf("somebody seems to mine in %s: a miner was found and %s rose from %.1f to %.1f %s", a.Key, a.Series, a.Expected, a.Got, a.Unit)
			if a.PerHour.NotAssessed == "" {
				text += ", " + printed(a.PerHour) + " an hour at risk"
			}
		}
		f := tell(rule, s, Ref{Kind: "anomaly", ID: a.ID, Name: a.Key, Why: strings.Join(a.Causes, "; ")}, ownerOf(a.Cluster), text, a.Causes...)
		f.Money, f.At = &a.PerHour, in.Now
		for _, e := range a.Evidence {
			f.Facts = append(f.Facts, posture.Evidence{Where: a.Key, Field: "rests on", Value: e, From: "dockreeve"})
		}
	}
}

// ownersOf says whose a scope is: the cluster's that it is, else the subscription's that it
// is or lies below, the longest first; "" = nobody's.
func ownersOf(ev *Evaluation) func(scope string) string {
	clusters, subscriptions := map[string]string{}, map[string]string{}
	put := func(to map[string]string, id, owner string) {
		if id = strings.ToLower(id); id != "" {
			if _, ok := to[id]; !ok {
				to[id] = owner
			}
		}
	}
	for i := range ev.Clusters {
		put(clusters, ev.Clusters[i].ID, ev.Clusters[i].Ownership.Owner)
	}
	for i := range ev.Subscriptions {
		put(subscriptions, ev.Subscriptions[i].ID, ev.Subscriptions[i].Owner.Owner)
	}
	return func(scope string) string {
		scope = strings.ToLower(scope)
		if owner, ok := clusters[scope]; ok {
			return owner
		}
		for scope != "" {
			if owner, ok := subscriptions[scope]; ok {
				return owner
			}
			scope = scope[:max(0, strings.LastIndexByte(scope, '/'))]
		}
		return ""
	}
}

func printed(m cost.Money) string {
	if m.NotAssessed != "" {
		return "not assessed"
	}
	return strings.TrimSpace(fmt.Sprintf("%.2f %s", m.Amount.Float(), m.Currency))
}

func since(now, at int64) string {
	if at == 0 {
		return ""
	}
	return ", since " + ago(now-at)
}

func onNode(n string) string {
	if n == "" {
		return ""
	}
	return " on node " + n
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if stem, ok := strings.CutSuffix(what, "y"); ok {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, what)
}
