package govern

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
)

// The states of a check.
const (
	CheckDone        = "done"
	CheckOpen        = "open"
	CheckNotAssessed = "not-assessed"
)

// triageWindow is over which time it is counted how many high alerts were taken in time.
const triageWindow = 30 * 24 * time.Hour

// playbook judges the checklist. No item takes anything but data: what was not assessed is
// never done.
func playbook(in *Input, ev *Evaluation) {
	config := in.Config.with()
	ev.Playbook = []Check{
		planEnabled(ev, config),
		profileDeployed(ev, config),
		gated(in),
		triaged(in, config),
		ownerTags(ev),
		reviewed(in, ev, config),
	}
	for i := range ev.Playbook {
		ev.Playbook[i].judge()
	}
}

// judge says what a ratio comes to. The state is never an input.
func (c *Check) judge() {
	r := &c.Ratio
	if r.Goal == 0 {
		r.Goal = 1
	}
	if n := len(r.Missing) - MaxMissing; n > 0 {
		r.Missing, r.More = r.Missing[:MaxMissing], r.More+n
	}
	switch {
	case r.NotAssessed != "":
		c.State = CheckNotAssessed
	case r.Of == 0:
		c.State, r.NotAssessed = CheckNotAssessed, cmp.Or(r.NotAssessed, "there is nothing to count")
	case float64(r.N) >= r.Goal*float64(r.Of)-1e-9:
		c.State = CheckDone
	case float64(r.N+r.Unknown) >= r.Goal*float64(r.Of)-1e-9:
		c.State = CheckNotAssessed // all that is missing is what could not be read
		r.NotAssessed = fmt.Sprintf("%d of %d could not be read", r.Unknown, r.Of)
	default:
		c.State = CheckOpen
	}
}

func refOf(c *ClusterRow, why, do string) Ref {
	return Ref{Kind: "cluster", ID: c.ID, Name: c.Name, Why: why, Do: do}
}

func planEnabled(ev *Evaluation, config Config) Check {
	c := Check{ID: "plan-enabled", Title: "The plan is on for every relevant subscription", Ratio: ev.Coverage.Subscriptions}
	c.Rule = "subscriptions that hold a cluster or a registry and whose Defender for Containers plan is Standard ÷ all subscriptions that hold one; a subscription that could not be read stays in the denominator; done at all of them"
	if config.Provider != providerDockreeve {
		return c
	}
	c.Rule = "subscriptions in which Dockreeve's agents run in every cluster that runs ÷ all subscriptions that hold such a cluster (the accepted provider is Dockreeve); done at all of them"
	c.Ratio = Ratio{}
	type sum struct {
		of, n, unknown int
		name           string
	}
	subs := map[string]*sum{}
	for i := range ev.Clusters {
		row := &ev.Clusters[i]
		if row.Stopped || row.Subscription == "" {
			continue
		}
		s := subs[row.Subscription]
		if s == nil {
			s = &sum{name: cmp.Or(row.SubscriptionName, row.Subscription)}
			subs[row.Subscription] = s
		}
		s.of++
		switch {
		case row.Agents.NotAssessed != "":
			s.unknown++
		case row.Agents.Value:
			s.n++
		}
	}
	for _, id := range sortedKeys(subs) {
		s := subs[id]
		c.Ratio.Of++
		switch {
		case s.n == s.of:
			c.Ratio.N++
			continue
		case s.n+s.unknown == s.of:
			c.Ratio.Unknown++
		}
		c.Ratio.Missing = append(c.Ratio.Missing, Ref{Kind: "subscription", ID: id, Name: s.name, Why: fmt.Sprintf("agents run in %d of %d clusters, %d unknown", s.n, s.of, s.unknown)})
	}
	return c
}

func profileDeployed(ev *Evaluation, config Config) Check {
	c := Check{ID: "profile-deployed", Title: "The sensor is deployed to every production cluster"}
	what := map[string]string{providerDefender: "the Defender profile is enabled", providerDockreeve: "Dockreeve's agents run", providerEither: "the Defender profile is enabled or Dockreeve's agents run"}[config.Provider]
	c.Rule = "production clusters that run and where " + what + " ÷ all production clusters that run; an environment that is not known counts as production, a cluster that could not be read stays in the denominator; done at the goal"
	c.Ratio.Goal = config.Goal
	profile, agents, stopped := 0, 0, 0
	for i := range ev.Clusters {
		row := &ev.Clusters[i]
		if !row.Production {
			continue
		}
		if row.Stopped {
			stopped++
			continue
		}
		c.Ratio.Of++
		p, a := row.Profile.NotAssessed == "" && row.Profile.Value, row.Agents.NotAssessed == "" && row.Agents.Value
		if p {
			profile++
		}
		if a {
			agents++
		}
		unknown := row.Profile.NotAssessed
		ok := p
		switch config.Provider {
		case providerDockreeve:
			ok, unknown = a, row.Agents.NotAssessed
		case providerEither:
			ok = p || a
		}
		switch {
		case ok:
			c.Ratio.N++
		case unknown != "":
			c.Ratio.Unknown++
			c.Ratio.Missing = append(c.Ratio.Missing, refOf(row, "not assessed: "+unknown, row.Onboard))
		default:
			c.Ratio.Missing = append(c.Ratio.Missing, refOf(row, "neither profile nor agents", cmp.Or(row.Runtime.Do, row.Onboard)))
		}
	}
	c.Note = fmt.Sprintf("Defender profile on %d, Dockreeve's agents on %d of %d", profile, agents, c.Ratio.Of)
	if stopped > 0 {
		c.Note += fmt.Sprintf("; %d stopped, left out", stopped)
	}
	return c
}

func gated(in *Input) Check {
	c := Check{ID: "ci-gate", Title: "Scan results block in CI"}
	c.Rule = "running image digests that passed a gate in a pipeline (or passed with warnings) ÷ all running digests; a digest that runs although a gate refused it does not count; done at all of them"
	g := in.Gates
	if g == nil {
		c.Ratio.NotAssessed = "no gate was told of: report the results of `dockreeve scan` in pipelines to the hub"
		return c
	}
	c.Ratio.N, c.Ratio.Of = min(g.Gated, max(0, g.Running-g.Failed)), g.Running
	if g.Running == 0 {
		c.Ratio.NotAssessed = "no running image is known"
	}
	for _, name := range g.Without {
		c.Ratio.Missing = append(c.Ratio.Missing, Ref{Kind: "image", ID: name, Name: name, Why: "passed no gate"})
	}
	c.Ratio.More = max(0, c.Ratio.Of-c.Ratio.N-len(c.Ratio.Missing))
	if g.Failed > 0 {
		c.Note = fmt.Sprintf("%d run although a gate refused them", g.Failed)
	}
	if g.Last > 0 {
		c.Note = join(c.Note, "last result of a gate: "+date(g.Last))
	}
	return c
}

func triaged(in *Input, config Config) Check {
	c := Check{ID: "triage", Title: "Triage is in use"}
	c.Rule = fmt.Sprintf("alerts of high or critical severity that began in the last 30 days and were acknowledged (or closed) within %s (critical) or %s (high) ÷ all of them whose time is over; those of which the time of acknowledgement is not told stay in the denominator; done at %.0f %%",
		hours(config.Acknowledge["critical"]), hours(config.Acknowledge["high"]), 100*config.Thresholds.TriageGoal)
	c.Ratio.Goal = config.Thresholds.TriageGoal
	if in.Alerts == nil {
		c.Ratio.NotAssessed = "no alerts are kept"
		return c
	}
	waiting := 0
	for i := range in.Alerts.Alerts {
		a := &in.Alerts.Alerts[i]
		if !a.high() || a.First < in.Now-int64(triageWindow) || a.First > in.Now {
			continue
		}
		due := a.First + int64(config.Acknowledge[a.Severity.String()])
		taken := cmp.Or(a.Acked, a.Closed)
		if a.Acked > 0 && a.Closed > 0 {
			taken = min(a.Acked, a.Closed)
		}
		switch {
		case taken == 0 && in.Now <= due:
			waiting++
			continue
		case taken > 0 && taken <= due:
			c.Ratio.N++
		default:
			why := "nobody took it"
			if taken > 0 {
				why = "taken after " + hours(time.Duration(taken-a.First))
			} else if a.Status != finding.Open {
				c.Ratio.Unknown++
				why = "when it was taken is not told (" + a.Source + ")"
			}
			c.Ratio.Missing = append(c.Ratio.Missing, Ref{Kind: "alert", ID: a.ID, Name: cmp.Or(a.Title, a.Rule), Why: why + ", began " + date(a.First) + at(a)})
		}
		c.Ratio.Of++
	}
	if c.Ratio.Of == 0 {
		c.Ratio.NotAssessed = "no high alert came due in 30 days: nothing shows that triage is in use"
	}
	if waiting > 0 {
		c.Note = fmt.Sprintf("%d more are still inside their time", waiting)
	}
	if in.Alerts.Since > in.Now-int64(triageWindow) {
		c.Note = join(c.Note, "alerts are kept only since "+date(in.Alerts.Since))
	}
	if in.Alerts.Dropped > 0 {
		c.Note = join(c.Note, fmt.Sprintf("%d alerts beyond the bound of what is read are missing", in.Alerts.Dropped))
	}
	return c
}

// at says where an alert is.
func at(a *AlertFact) string {
	where := strings.Trim(a.Cluster+" "+a.Workload, " ")
	if where == "" {
		return ""
	}
	return ", at " + where
}

// hours is a duration as people say it.
func hours(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%.0f days", d.Hours()/24)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%.0f hours", d.Hours())
	}
	return fmt.Sprintf("%.0f minutes", d.Minutes())
}

func ownerTags(ev *Evaluation) Check {
	c := Check{ID: "owner-tags", Title: "Owner tags are set"}
	c.Rule = "clusters that carry every mandatory tag, on themselves, their resource group or their subscription, each with an allowed value ÷ all clusters; done at all of them"
	owned := 0
	for i := range ev.Clusters {
		row := &ev.Clusters[i]
		c.Ratio.Of++
		o := &row.Ownership
		if o.Owner != "" && o.Owner != inventory.Unowned {
			owned++
		}
		if len(o.Missing) == 0 && len(o.Invalid) == 0 && o.Owner != inventory.Unowned {
			c.Ratio.N++
			continue
		}
		why := []string{}
		if len(o.Missing) > 0 {
			why = append(why, "missing: "+strings.Join(o.Missing, ", "))
		}
		for _, tag := range sortedKeys(o.Invalid) {
			why = append(why, fmt.Sprintf("%s has the value %q, which is not allowed", tag, o.Invalid[tag]))
		}
		if len(why) == 0 {
			why = append(why, o.From)
		}
		ref := refOf(row, strings.Join(why, "; "), "")
		if len(o.Suggested) > 0 {
			ref.Why += "; suggested owner: " + o.Suggested[0].Owner
		}
		c.Ratio.Missing = append(c.Ratio.Missing, ref)
	}
	c.Note = fmt.Sprintf("%d of %d have an owner by tag or by role", owned, c.Ratio.Of)
	return c
}

func reviewed(in *Input, ev *Evaluation, config Config) Check {
	c := Check{ID: "recommendations-reviewed", Title: "Recommendations are reviewed"}
	c.Rule = fmt.Sprintf("owners with open recommendations of which a review is recorded in the last %s, and whose next one is not overdue ÷ all owners with open recommendations; done at all of them", hours(config.ReviewEvery))
	if len(in.Posture) == 0 && (in.Tenant == nil || len(in.Tenant.Assessments) == 0) {
		c.Ratio.NotAssessed = "nothing was judged: there are no recommendations to review"
		return c
	}
	open, overdue := tally{}, tally{}
	for i := range ev.Recommendations {
		r := &ev.Recommendations[i]
		if r.Fixed > 0 {
			continue
		}
		open[r.Owner]++
		if r.Overdue {
			overdue[r.Owner]++
		}
	}
	owners := sortedKeys(open)
	if len(owners) == 0 {
		owners = []string{""} // nothing is open; that must have been looked at as well
	}
	total := 0
	for _, o := range owners {
		c.Ratio.Of++
		total += overdue[o]
		r, ok := LastReview(in.Reviews, ReviewRecommendations, o, in.Now)
		name := cmp.Or(o, "everything")
		switch {
		case !ok:
			c.Ratio.Missing = append(c.Ratio.Missing, Ref{Kind: "owner", ID: o, Name: name, Why: fmt.Sprintf("never reviewed; %d open, %d overdue", open[o], overdue[o])})
		case r.Overdue(in.Now, config.ReviewEvery):
			c.Ratio.Missing = append(c.Ratio.Missing, Ref{Kind: "owner", ID: o, Name: name, Why: fmt.Sprintf("last review by %s on %s, the next was due on %s; %d open, %d overdue", r.By, date(r.At), date(r.Due(config.ReviewEvery)), open[o], overdue[o])})
		default:
			c.Ratio.N++
		}
	}
	c.Note = fmt.Sprintf("%d recommendations are overdue", total)
	slices.SortStableFunc(c.Ratio.Missing, func(a, b Ref) int { return cmp.Compare(overdue[b.ID], overdue[a.ID]) })
	return c
}
