package govern

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// protect fills the four rows of a cluster and whether it is protected. A row is closed
// when a provider that the configuration accepts closes it; a provider that the
// configuration does not accept is named in the sentence only.
func (x *index) protect(r *ClusterRow, c *cloud.Cluster, o *Observed) {
	rows := x.joined(x.sides(r, c, o))
	r.Inside, r.Images, r.Runtime = rows[0], rows[1], rows[2]
	r.Enforcement = x.enforcement(r, c, o)
	r.Protected = protectedBy(rows)
}

// sides is what the two providers say of the rows that protect: inside pods, images and
// runtime threats. Stopping things is a choice; seeing them is not.
type sides struct{ defender, ours [3]Row }

func (x *index) sides(r *ClusterRow, c *cloud.Cluster, o *Observed) *sides {
	t := &sides{defender: [3]Row{x.defenderInside(r, c, o), x.defenderImages(r)}, ours: [3]Row{x.ourInside(r, o), x.ourImages(r, o)}}
	t.defender[2], t.ours[2] = defenderRuntime(r, t.defender[0]), x.ourRuntime(o, t.ours[0])
	return t
}

// joined are the rows by the providers that the configuration accepts.
func (x *index) joined(t *sides) (out [3]Row) {
	for i := range out {
		out[i] = x.join(t.defender[i], t.ours[i])
	}
	return out
}

func protectedBy(rows [3]Row) inventory.Assessed {
	out := inventory.Assessed{Value: true}
	for i, name := range [3]string{"inside pods", "images", "runtime threats"} {
		switch rows[i].State {
		case RowOpen:
			return inventory.Assessed{}
		case RowNotAssessed:
			out = inventory.Assessed{NotAssessed: name + ": " + rows[i].Why}
		}
	}
	return out
}

// join makes one row of what the two providers say of it.
func (x *index) join(defender, ours Row) Row {
	var accepted []Row
	if x.config.Provider != providerDockreeve {
		accepted = append(accepted, defender)
	}
	if x.config.Provider != providerDefender && (x.anywhere || len(accepted) == 0) { // where nobody uses it, nobody need read that it is not there
		accepted = append(accepted, ours)
	}
	out := accepted[0]
	for _, r := range accepted[1:] {
		switch {
		case r.State == RowClosed && out.State == RowClosed:
			out.By = append(slices.Clone(out.By), r.By...)
			out.Why += "; " + r.Why
			if r.At > out.At {
				out.Proof, out.At = r.Proof, r.At
			}
		case r.State == RowClosed, r.State == RowNotAssessed && out.State == RowOpen:
			out = r
		case out.State == RowOpen && r.State == RowOpen:
			out.Why += "; " + r.Why
		}
	}
	if out.State == RowClosed {
		out.Do = ""
	}
	return out
}

func open(why, do string) Row    { return Row{State: RowOpen, Why: why, Do: do} }
func unknown(why, do string) Row { return Row{State: RowNotAssessed, Why: why, Do: do} }

func (x *index) defenderInside(r *ClusterRow, c *cloud.Cluster, o *Observed) Row {
	if c == nil && r.Unread != "" {
		return unknown("whether Defender watches it is not known: "+r.Unread, mend(r.Unread))
	}
	if c == nil {
		return open("Defender is not known to watch it", "")
	}
	do := "az aks update --enable-defender " + placeOf(r) + " --name " + shellWord(r.Name)
	if r.Kind == cloud.KindArc {
		do = "az k8s-extension create --extension-type microsoft.azuredefender.kubernetes --name microsoft.azuredefender.kubernetes --cluster-type connectedClusters " + placeOf(r) + " --cluster-name " + shellWord(r.Name)
	}
	switch {
	case r.Plan.NotAssessed != "":
		return unknown("whether Defender's plan is on is not known: "+r.Plan.NotAssessed, mend(r.Plan.NotAssessed))
	case !r.Plan.Value:
		return open("Defender's plan is off", planOn(r.Subscription))
	case r.Stopped:
		return unknown("the cluster is stopped", "")
	}
	looked := o != nil && r.Sensor.NotAssessed == ""
	switch {
	case looked && r.Sensor.Seen && r.Sensor.Ready < r.Sensor.Wanted:
		return open(fmt.Sprintf("Defender's sensor is ready on %d of %d nodes", r.Sensor.Ready, r.Sensor.Wanted), "kubectl -n kube-system describe daemonset microsoft-defender-collector-ds")
	case looked && r.Sensor.Seen:
		how := "as a profile"
		if !r.Profile.Value {
			how = "although Azure says that its profile is off: it was installed with Helm"
		}
		return Row{State: RowClosed, By: []string{providerDefender}, Why: "Defender's sensor runs, " + how, Proof: "seen in the cluster: " + strings.Join(slices.Concat(r.Sensor.Where, r.Sensor.Custom), ", "), At: r.Sensor.At}
	case looked && r.Profile.Value:
		return open("Defender's profile is on, but no sensor runs in the cluster"+remains(r), do)
	case r.Profile.NotAssessed != "":
		return unknown("whether Defender's profile is on is not known: "+r.Profile.NotAssessed, mend(r.Profile.NotAssessed))
	case r.Profile.Value:
		return Row{State: RowClosed, By: []string{providerDefender}, Why: "Defender's profile is on, as Azure says; nobody looked whether the sensor runs", Proof: "ARM: securityProfile.defender.securityMonitoring.enabled", At: x.tenant.Collected}
	case !looked:
		return open("Defender's profile is off, as Azure says; a sensor installed with Helm would not be seen", do)
	}
	return open("Defender's profile is off and no sensor runs in the cluster"+remains(r), do)
}

// remains says that what a sensor brings is there without it.
func remains(r *ClusterRow) string {
	if len(r.Sensor.Custom) == 0 {
		return ""
	}
	return "; its custom resources are there (" + strings.Join(r.Sensor.Custom, ", ") + "): one was taken away, or does not come up"
}

func (x *index) ourInside(r *ClusterRow, o *Observed) Row {
	if o == nil {
		return open("Dockreeve is not there", r.Onboard)
	}
	if why := x.agentsUp(o); why != "" {
		return open("Dockreeve: "+why, "dockreeve status")
	}
	return x.proven(CanaryExec, o, fmt.Sprintf("Dockreeve's sensor reports from all %d nodes", o.Nodes))
}

// maxCanaryEvery bounds what an agent may say of its own pace: a canary once a year
// proves nothing.
const maxCanaryEvery = int64(7 * 24 * time.Hour)

// canaryStale is the age beyond which a canary that came back proves nothing any more.
func (x *index) canaryStale(c *Canary) int64 {
	return max(int64(x.config.StaleCanary), 2*min(c.Every, maxCanaryEvery))
}

// proven closes a row only when the canary of its kind came back: running is not detecting.
func (x *index) proven(kind string, o *Observed, runs string) Row {
	var newest, oldest int64
	var silent []string
	n, why, named := 0, "", false
	for _, c := range o.Canaries {
		if c.Kind != kind {
			continue
		}
		named = named || c.Node != ""
		if c.NotAssessed != "" {
			why = c.NotAssessed
			continue
		}
		n++
		stale := x.canaryStale(&c)
		if c.Seen == 0 || x.now-c.Seen > stale {
			silent = append(silent, c.Node)
		}
		newest = max(newest, c.Seen)
		if oldest == 0 || c.Seen < oldest {
			oldest = c.Seen
		}
	}
	switch {
	case len(silent) > 0:
		slices.Sort(silent)
		at := strings.Join(slices.DeleteFunc(silent[:min(3, len(silent))], func(s string) bool { return s == "" }), ", ")
		if at != "" {
			at = " (" + at + ")"
		}
		return open(fmt.Sprintf("%s, but %d of %d canaries did not come back in time%s: it runs and does not detect", runs, len(silent), n, at), "dockreeve status")
	case n == 0:
		if why == "" {
			why = "no canary was sent"
		}
		return unknown(runs+"; that it detects is not proven: "+why, "docs/governance.md: canaries")
	}
	if named && n < o.Nodes { // what came back proves nothing of the other nodes
		return unknown(fmt.Sprintf("%s; that it detects is proven on %d of them: %s", runs, n, cmp.Or(why, "from the others no canary was sent yet")), "docs/governance.md: canaries")
	}
	return Row{State: RowClosed, By: []string{providerDockreeve}, Why: runs, Proof: fmt.Sprintf("canary came back %s ago", ago(x.now-oldest)), At: newest}
}

func (x *index) defenderImages(r *ClusterRow) Row {
	switch {
	case r.Kind == "other":
		return open("Defender is not known to scan its images", "")
	case r.Plan.NotAssessed != "":
		return unknown("whether Defender's plan is on is not known: "+r.Plan.NotAssessed, mend(r.Plan.NotAssessed))
	case !r.Plan.Value:
		return open("Defender's plan is off", planOn(r.Subscription))
	case !enabled(r.Extensions, cloud.ExtRegistries):
		return open("Defender's plan is on without its scanning of registries ("+cloud.ExtRegistries+")", "az security pricing create --name Containers --tier Standard --extensions name="+cloud.ExtRegistries+" isEnabled=True --subscription "+shellWord(guid(r.Subscription)))
	}
	return Row{State: RowClosed, By: []string{providerDefender}, Why: "Defender scans the registries of its subscription", Proof: "ARM: pricings/Containers, extension " + cloud.ExtRegistries, At: x.tenant.Collected}
}

func (x *index) ourImages(r *ClusterRow, o *Observed) Row {
	switch {
	case o == nil:
		return open("Dockreeve is not there", r.Onboard)
	case o.Running == nil:
		return unknown("Dockreeve has no verdict on its images: "+cmp.Or(o.RunningWhy, "none was scanned"), "docs/images.md")
	case x.now-o.LastWord > int64(x.config.StaleAgent):
		return open("what runs there was last heard "+ago(x.now-o.LastWord)+" ago", "dockreeve status")
	}
	row := x.proven(CanaryImage, o, "Dockreeve scans what runs there")
	i := slices.IndexFunc(o.Canaries, func(c Canary) bool { return c.Kind == CanaryImage })
	if i < 0 {
		return row
	}
	c := &o.Canaries[i]
	switch said := inBrackets(c.Answer); {
	case c.NotAssessed == "" && c.Failed >= failedTries:
		return open(fmt.Sprintf("Dockreeve scans what runs there, but its test image came back wrong %d times in a row: it runs and does not detect%s", c.Failed, said), "dockreeve status")
	case row.State == RowClosed && (c.Sent > c.Seen || c.Failed > 0) && c.Answer != "":
		row.Proof = fmt.Sprintf("test image was found vulnerable %s ago; the one after it did not come back: %s", ago(x.now-c.Seen), c.Answer)
	case row.State == RowClosed:
		row.Proof = fmt.Sprintf("test image was found vulnerable %s ago%s", ago(x.now-c.Seen), said)
	case row.State == RowOpen:
		row.Why = "Dockreeve scans what runs there, but its test image did not come back in time: it runs and does not detect" + said
	}
	return row
}

// inBrackets is what was said, in brackets; "" where nothing was.
func inBrackets(said string) string {
	if said == "" {
		return ""
	}
	return " (" + said + ")"
}

// defenderRuntime follows from what is said of the inside of its pods.
func defenderRuntime(r *ClusterRow, in Row) Row {
	if in.State == RowClosed {
		in.Why = strings.Replace(in.Why, "Defender's", "runtime threats and the API server are watched by Defender:", 1)
		return in
	}
	if in.State == RowOpen && r.Plan.Value {
		in.Why = "Defender watches the API server only: " + in.Why
	}
	return in
}

// ourRuntime follows from what is said of the inside of its pods.
func (x *index) ourRuntime(o *Observed, in Row) Row {
	if o == nil || in.State == RowOpen {
		return in
	}
	if o.AuditLast == 0 || x.now-o.AuditLast > int64(x.config.Thresholds.AuditSilent) {
		return open("Dockreeve's sensor runs, but its API server is not watched", "docs/audit.md")
	}
	audit := x.proven(CanaryAudit, o, "Dockreeve watches kernels and the API server")
	if audit.State != RowClosed || in.State == RowClosed {
		return audit
	}
	return in
}

// by reports whether each of some providers alone protects a cluster.
func (x *index) by(providers []string, r *ClusterRow, c *cloud.Cluster, o *Observed) []inventory.Assessed {
	t := x.sides(r, c, o)
	y := *x
	out := make([]inventory.Assessed, len(providers))
	for i, p := range providers {
		y.config.Provider = p
		out[i] = protectedBy(y.joined(t))
	}
	return out
}
