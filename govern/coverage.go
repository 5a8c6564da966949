package govern

import (
	"strings"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// coverage counts over the rows. Stopped clusters run nothing that could be watched and
// are outside every denominator here; what could not be assessed is inside.
func coverage(in *Input, ev *Evaluation) {
	x := newIndex(in)
	c := &ev.Coverage
	goal := x.config.Goal
	c.Subscriptions.Goal, c.Clusters.Goal, c.Production.Goal, c.Profile.Goal = goal, goal, goal, goal
	c.Rows, c.ByEnvironment, c.ByProvider = map[string]Ratio{}, map[string]Ratio{}, map[string]Ratio{}
	if in.Tenant == nil {
		c.Subscriptions.NotAssessed, c.Profile.NotAssessed = "no tenant was read", "no tenant was read"
	}
	for i := range ev.Subscriptions {
		s := &ev.Subscriptions[i]
		if s.Relevant.NotAssessed == "" && !s.Relevant.Value {
			continue
		}
		got := s.Plan
		if s.Relevant.NotAssessed != "" && !got.Value {
			got = inventory.Assessed{NotAssessed: s.Relevant.NotAssessed}
		}
		off := Ref{Kind: "subscription", ID: s.ID, Name: s.Name, Why: "Defender for Containers is off", Do: planOn(s.ID)}
		if got.NotAssessed != "" {
			off.Do = mend(got.NotAssessed) // what is not known need not be bought
		}
		c.Subscriptions.count(got, off)
	}
	byID, seen := map[string]*cloud.Cluster{}, observedByID(in.Observed)
	for i := range x.tenant.Clusters {
		byID[x.tenant.Clusters[i].ID] = &x.tenant.Clusters[i]
	}
	for i := range in.Observed {
		if o := &in.Observed[i]; o.ID == "" {
			seen[o.Cluster] = o
		}
	}
	providers := []string{providerDefender, providerDockreeve, providerEither}
	for i := range ev.Clusters {
		r := &ev.Clusters[i]
		owned := inventory.Assessed{Value: r.Ownership.Owner != inventory.Unowned}
		c.Owned.count(owned, ref(r, r.Ownership.From, "set a tag owner on it"))
		if r.Here == "" {
			c.NotOnboarded = append(c.NotOnboarded, ref(r, "Dockreeve's agents do not run there", r.Onboard))
		}
		if r.Stopped {
			continue
		}
		why, do := weakest(r)
		add(&c.Clusters, r.Protected, ref(r, why, do))
		if r.Production {
			add(&c.Production, r.Protected, ref(r, why, do))
		}
		env := c.ByEnvironment[r.Environment]
		add(&env, r.Protected, ref(r, why, do))
		c.ByEnvironment[r.Environment] = env
		if r.Kind == cloud.KindAKS || r.Kind == cloud.KindArc {
			off := ref(r, "Defender's profile is off, as Azure says", r.Inside.Do)
			if r.Profile.NotAssessed != "" {
				off.Do = mend(r.Profile.NotAssessed)
			}
			c.Profile.count(r.Profile, off)
		}
		o, ac := seen[strings.ToLower(r.ID)], byID[r.ID]
		by := x.by(providers, r, ac, o)
		for k, p := range providers {
			ratio := c.ByProvider[p]
			add(&ratio, by[k], ref(r, "not by "+p, ""))
			c.ByProvider[p] = ratio
		}
		for name, row := range map[string]Row{"inside": r.Inside, "images": r.Images, "runtime": r.Runtime, "enforcement": r.Enforcement} {
			ratio := c.Rows[name]
			add(&ratio, asAssessed(row), ref(r, row.Why, row.Do))
			c.Rows[name] = ratio
		}
	}
	c.Any = c.ByProvider[providerEither]
	c.Any.Goal = goal
	for _, e := range []*Ratio{&c.Subscriptions, &c.Clusters, &c.Production, &c.Profile, &c.Any, &c.Owned} {
		if e.Of == 0 && e.NotAssessed == "" {
			e.NotAssessed = "nothing is known that it could be asked of"
		}
	}
	c.Drift, c.DriftNotAssessed = drift(in, ev)
}

func add(r *Ratio, a inventory.Assessed, ref Ref) { r.count(a, ref) }

// count adds one thing: covered, not covered, or unknown, which is not covered.
func (r *Ratio) count(a inventory.Assessed, ref Ref) {
	r.Of++
	switch {
	case a.NotAssessed != "":
		r.Unknown++
		ref.Why = "not assessed: " + a.NotAssessed
	case a.Value:
		r.N++
		return
	}
	if len(r.Missing) < MaxMissing {
		r.Missing = append(r.Missing, ref)
	} else {
		r.More++
	}
}

// Share is N of Of, and whether that means anything.
func (r Ratio) Share() (float64, bool) {
	if r.NotAssessed != "" || r.Of == 0 {
		return 0, false
	}
	return float64(r.N) / float64(r.Of), true
}

func ref(r *ClusterRow, why, do string) Ref {
	return Ref{Kind: "cluster", ID: r.ID, Name: r.Name, Why: why, Do: do}
}

func asAssessed(r Row) inventory.Assessed {
	if r.State == RowNotAssessed {
		return inventory.Assessed{NotAssessed: r.Why}
	}
	return inventory.Assessed{Value: r.State == RowClosed}
}

// weakest is the sentence and the command of the first row that keeps a cluster from
// being protected.
func weakest(r *ClusterRow) (why, do string) {
	for _, state := range []string{RowOpen, RowNotAssessed} {
		for _, row := range []Row{r.Inside, r.Images, r.Runtime} {
			if row.State == state {
				return row.Why, row.Do
			}
		}
	}
	return "", ""
}

func word(a inventory.Assessed) string {
	switch {
	case a.NotAssessed != "":
		return "unknown"
	case a.Value:
		return "yes"
	}
	return "no"
}

// drift compares with yesterday. Where no tenant was read there is nothing to compare what
// Azure told with: notAssessed says so.
func drift(in *Input, ev *Evaluation) (out []Change, notAssessed string) {
	last := lastDay(in.History, in.Now)
	if last == nil {
		return nil, ""
	}
	read := tenantRead(in.Tenant)
	for id := range last.Clusters {
		if !read && strings.HasPrefix(id, "/subscriptions/") {
			notAssessed = "no tenant was read: what changed in Azure since yesterday is not known"
		}
	}
	x := newIndex(in)
	now := map[string]bool{}
	for i := range ev.Clusters {
		r := &ev.Clusters[i]
		now[r.ID] = true
		old, ok := last.Clusters[r.ID]
		if !ok {
			out = append(out, Change{Ref: ref(r, "", r.Onboard), What: "appeared", Before: "not there", After: "protected: " + word(r.Protected), Worse: !r.Protected.Value && !r.Stopped, Since: r.FirstSeen})
			continue
		}
		why, do := weakest(r)
		for _, c := range []struct{ what, before, after string }{
			{"protected", old.Protected, word(r.Protected)}, {"profile", old.Profile, word(r.Profile)}, {"plan", old.Plan, word(r.Plan)}, {"agents", old.Agents, word(r.Agents)}, {"owner", old.Owner, r.Ownership.Owner},
		} {
			if c.before == c.after || c.before == "" || c.what == "owner" && strings.EqualFold(c.before, c.after) || notAssessed != "" && c.what != "agents" && strings.HasPrefix(r.ID, "/subscriptions/") {
				continue
			}
			if c.after == "unknown" && (x.stale != "" || r.Unread != "" && c.what != "protected") {
				continue // nobody looked: that is told once, of all
			}
			worse := c.before == "yes" || c.what == "owner" && c.after == inventory.Unowned
			if c.what != "protected" {
				why, do = "", ""
			}
			out = append(out, Change{Ref: ref(r, why, do), What: c.what, Before: c.before, After: c.after, Worse: worse, Since: last.At})
		}
	}
	for _, id := range sortedKeys(last.Clusters) {
		if !now[id] && (read || !strings.HasPrefix(id, "/subscriptions/")) {
			out = append(out, Change{Ref: Ref{Kind: "cluster", ID: id, Name: id[strings.LastIndexByte(id, '/')+1:], Why: "it was there yesterday, and Azure, which was read there, does not tell of it"}, What: "gone", Before: "protected: " + last.Clusters[id].Protected, After: "not seen", Worse: true, Since: last.At})
		}
	}
	return out, notAssessed
}
