package govern

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// enforcement is the fourth row. What the API server answers to the canary that must be
// denied goes before what anybody says of himself, whoever the provider is: it is what
// holds in the cluster. Where it is not known, the row is what Azure says.
func (x *index) enforcement(r *ClusterRow, c *cloud.Cluster, o *Observed) Row {
	said := x.join(x.defenderEnforcement(r, c, o), x.ourEnforcement(r, o))
	d, why := x.denial(o)
	if why != "" {
		return said
	}
	when := ago(x.now-d.Sent) + " ago"
	if d.Denied == d.Sent {
		out := Row{State: RowClosed, By: []string{d.By}, Why: "what must not run is denied by " + d.By, Proof: "denied " + when + " by " + d.By, At: d.Denied}
		if said.State == RowClosed && !strings.Contains(said.Why, d.By) {
			out.Why += "; " + said.Why
		}
		return out
	}
	if said.State == RowClosed || r.PolicyAddon.Value {
		return open(fmt.Sprintf("a pod with the powers of its node was let in %s, although %s (%s)", when, inName(r, x), d.Answer), inNameDo)
	}
	return open(fmt.Sprintf("a pod with the powers of its node was let in %s: nobody denied it (%s)", when, d.Answer), "kubectl label namespace … pod-security.kubernetes.io/enforce=baseline")
}

// inNameDo is what to do about policies that let in what they should deny.
const inNameDo = "set the effect of the assigned policies to deny, and look what they leave out"

// inName is what there is that should have denied it.
func inName(r *ClusterRow, x *index) string {
	if n := x.denies[strings.ToLower(r.ID)]; r.PolicyAddon.Value && n > 0 {
		return fmt.Sprintf("the Azure Policy add-on runs, with %d verdicts of policies that deny", n)
	}
	if r.PolicyAddon.Value {
		return "the Azure Policy add-on runs"
	}
	return "Defender's gate is on, which judges images only"
}

// inNameOnly tells of clusters that policies should protect which let in what they deny:
// policies that deny have verdicts there, and the canary was let through all the same.
func inNameOnly(ev *Evaluation, x *index, tell teller) {
	for i := range ev.Clusters {
		r := &ev.Clusters[i]
		n := x.denies[strings.ToLower(r.ID)]
		c, why := x.denial(&Observed{Canaries: r.Canaries})
		if n == 0 || r.Stopped || !r.PolicyAddon.Value || why != "" || c.Denied == c.Sent {
			continue
		}
		tell(RuleInName, finding.Medium, ref(r, "", ""), r.Ownership.Owner, fmt.Sprintf("cluster %s has verdicts of %d policies that deny, and let in a pod with the powers of its node on %s: they are in place in name only", r.Name, n, date(c.Sent)), inNameDo)
	}
}

// denial is how the denial canary of a cluster fared last, where that is still a proof;
// why says what is missing else.
func (x *index) denial(o *Observed) (c Canary, why string) {
	if o == nil {
		return c, "nobody looked into the cluster"
	}
	for _, k := range o.Canaries {
		if k.Kind == CanaryDenial && k.Node == "" {
			c = k
		}
	}
	switch {
	case c.Sent == 0:
		return c, cmp.Or(c.NotAssessed, "no canary was sent")
	case x.now-c.Sent > x.canaryStale(&c) && c.Denied == c.Sent:
		return c, cmp.Or(c.NotAssessed, fmt.Sprintf("%s denied last %s ago, and nobody tried since", c.By, ago(x.now-c.Sent)))
	case x.now-c.Sent > x.canaryStale(&c):
		return c, cmp.Or(c.NotAssessed, "it was tried last "+ago(x.now-c.Sent)+" ago")
	}
	return c, ""
}

func (x *index) defenderEnforcement(r *ClusterRow, c *cloud.Cluster, o *Observed) Row {
	addon := r.PolicyAddon.Value || o != nil && o.PolicyAddon.Seen && x.lately(cmp.Or(o.PolicyAddon.At, o.LastWord))
	switch {
	case c == nil && !addon && r.Unread != "":
		return unknown("whether something stops workloads there is not known: "+r.Unread, mend(r.Unread))
	case c == nil && !addon:
		return open("nothing is known that stops workloads there", "")
	case c != nil && c.DefenderGating != nil && *c.DefenderGating && r.Plan.Value:
		return Row{State: RowClosed, By: []string{providerDefender}, Why: "Defender's gate judges images before they run", Proof: "ARM: securityProfile.defender.securityGating", At: x.tenant.Collected}
	case addon:
		seen := "the Azure Policy add-on runs"
		if d := x.denies[strings.ToLower(r.ID)]; d > 0 {
			return unknown(fmt.Sprintf("the Azure Policy add-on runs, and Azure Policy has %d verdicts of policies that deny; that they do is not proven", d), "docs/governance.md: canaries")
		}
		if n := x.verdicts[strings.ToLower(r.ID)]; n[0]+n[1] > 0 {
			seen = fmt.Sprintf("the Azure Policy add-on runs, and Azure Policy has %d verdicts on the cluster, %d of them not compliant", n[0]+n[1], n[1])
		}
		return unknown(seen+"; that one of them denies, and not only audits, is not proven", "docs/governance.md: canaries")
	case r.PolicyAddon.NotAssessed != "":
		return unknown("whether the Azure Policy add-on is on is not known: "+r.PolicyAddon.NotAssessed, mend(r.PolicyAddon.NotAssessed))
	}
	return open("neither the Azure Policy add-on nor Defender's gate is on", policyOn(r))
}

// ourEnforcement is what is known of enforcement from within where no canary tells of it.
func (x *index) ourEnforcement(r *ClusterRow, o *Observed) Row {
	if o == nil {
		return open("Dockreeve is not there", r.Onboard)
	}
	_, why := x.denial(o)
	return unknown("whether anything denies what must not run is not proven: "+why, "docs/governance.md: canaries")
}
