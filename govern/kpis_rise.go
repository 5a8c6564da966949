package govern

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/posture"
)

// What a rise looks like.
const (
	looksThreat    = "a persistent threat"
	looksMisconfig = "a misconfiguration"
	looksEither    = "either: treat it as a threat until it is known"
)

// chain is the order of ATT&CK's tactics.
var chain = []string{"reconnaissance", "resource development", "initial access", "execution", "persistence", "privilege escalation",
	"defense evasion", "credential access", "discovery", "lateral movement", "collection", "command and control", "exfiltration", "impact"}

// tally is a set of words with how often each came.
type tally map[string]int

func (c tally) top() []string {
	out := sortedKeys(c)
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Compare(c[b], c[a]) })
	return out
}

// explain makes the finding of one group of alerts that rose in a week.
func explain(in *Input, ev *Evaluation, w *alertWeek, g []*AlertFact, middle float64) Finding {
	rules, works, clusters, owners, digests := tally{}, tally{}, tally{}, tally{}, tally{}
	for _, a := range g {
		rules[a.Rule]++
		works[a.Workload]++
		owners[cmp.Or(a.Owner, inventory.Unowned)]++
		if a.Cluster != "" {
			clusters[a.Cluster]++
		}
		if a.Digest != "" {
			digests[a.Digest]++
		}
	}
	signs, threat, misconfig := symptoms(in, w, g, rules, works, digests)
	looks := looksEither
	severity := finding.High
	switch {
	case threat > misconfig:
		looks = looksThreat
		if threat >= 4 {
			severity = finding.Critical
		}
	case misconfig > threat:
		looks, severity = looksMisconfig, finding.Medium
	}
	rule := rules.top()[0]
	f := Finding{Key: RuleRise + "|" + w.name + "|" + rule + "|" + works.top()[0], Rule: RuleRise, Severity: severity, Owner: owners.top()[0], At: ev.At,
		Subject: Ref{Kind: "rule", ID: rule, Name: titleOf(g, rule), Why: looks}}
	change := changes(in, w, g, rules, digests)
	f.Summary = fmt.Sprintf("High-severity alerts rose in %s: since then %d began in %.1f node-days, where %.1f would be usual. %d of them come from %s in %s. It looks like %s: %s.",
		w.name, len(w.alerts), w.nodeDays, middle*w.nodeDays, len(g), some(rules.top(), 3), some(works.top(), 3), looks, strings.Join(signs, "; "))
	if len(change) > 0 {
		f.Summary += " What changed: " + strings.Join(change, "; ") + "."
	} else {
		f.Summary += " What changed is not known: no new image, rule or change through ARM was seen before it began."
	}
	f.Do = []string{"Look at the alerts of rule " + rule + " since " + date(g[0].First)}
	if looks == looksMisconfig {
		f.Do = append(f.Do, "If they are harmless, dismiss them with a reason and a suppression that ends, for that workload only")
	} else {
		f.Do = append(f.Do, "Isolate the workloads named, keep evidence, and follow the order of events in the incident")
	}
	fact := func(field, value, from string) {
		f.Facts = append(f.Facts, posture.Evidence{Where: some(clusters.top(), 3), Field: field, Value: value, From: from})
	}
	for i, a := range g {
		if i == 20 {
			fact("alerts", fmt.Sprintf("%d more", len(g)-i), "alerts")
			break
		}
		fact("alert", a.ID, "alerts")
	}
	for _, s := range signs {
		fact("sign", s, "alerts")
	}
	for _, c := range change {
		fact("change", c, "alerts and Activity Log")
	}
	return f
}

func titleOf(g []*AlertFact, rule string) string {
	for _, a := range g {
		if a.Rule == rule && a.Title != "" {
			return a.Title
		}
	}
	return rule
}

// symptoms weighs what speaks for an attacker against what speaks for a mistake.
func symptoms(in *Input, w *alertWeek, g []*AlertFact, rules, works, digests tally) (signs []string, threat, misconfig int) {
	say := func(side *int, n int, format string, args ...any) {
		*side += n
		signs = append(signs, fmt.Sprintf(format, args...))
	}
	switch {
	case len(rules) > 1 && len(works) > 1:
		say(&threat, 2, "%d rules in %d workloads", len(rules), len(works))
	case len(rules) > 1:
		say(&threat, 1, "%d rules in one workload", len(rules))
	case len(works) == 1 || len(digests) == 1:
		say(&misconfig, 1, "one rule, one %s", map[bool]string{true: "workload", false: "image"}[len(works) == 1])
	default:
		say(&misconfig, 0, "one rule in %d workloads", len(works))
	}
	if n := chained(g); n >= 3 {
		say(&threat, 2, "%d tactics follow each other as an attack's do", n)
	}
	if len(works) > 1 && len(rules) > 1 && g[len(g)-1].First-g[0].First >= int64(10*time.Minute) {
		say(&threat, 1, "it spread from %s to %d more workloads", g[0].Workload, len(works)-1)
	}
	again, miner := 0, false
	for _, a := range g {
		if a.Closed > 0 && a.Last > a.Closed && a.Status != finding.Dismissed {
			again++
		}
		miner = miner || a.Miner
	}
	if again > 0 {
		say(&threat, 2, "%d came back after they had been resolved", again)
	}
	if miner {
		say(&threat, 2, "one of them says that something mines")
	}
	if len(digests) == 1 && newImage(in, w, g) {
		say(&misconfig, 2, "it begins with an image that raised nothing before")
	}
	closed, benign := 0, 0
	for i := range in.Alerts.Alerts {
		a := &in.Alerts.Alerts[i]
		if rules[a.Rule] > 0 && a.First < w.start && (a.Status == finding.Dismissed || a.Status == finding.Resolved) {
			closed++
			if a.Status == finding.Dismissed {
				benign++
			}
		}
	}
	if closed >= 3 && 2*benign >= closed {
		say(&misconfig, 2, "%d of %d earlier alerts of the rule were dismissed as benign", benign, closed)
	}
	return signs, threat, misconfig
}

// chained is the length of the longest run of different tactics that come in an attack's order.
func chained(g []*AlertFact) int {
	best := make([]int, len(chain)) // longest run that ends with a tactic
	for _, a := range g {
		next := slices.Clone(best)
		for _, t := range a.Tactics {
			i := slices.Index(chain, strings.ToLower(t))
			if i < 0 {
				continue
			}
			longest := 0
			for j := range i {
				longest = max(longest, best[j])
			}
			next[i] = max(next[i], longest+1)
		}
		best = next
	}
	return slices.Max(best)
}

// newImage says whether no alert before the week was of the images of the group.
func newImage(in *Input, w *alertWeek, g []*AlertFact) bool {
	of, before := map[string]bool{}, false
	for _, a := range g {
		of[a.Digest] = true
	}
	works := map[string]bool{}
	for _, a := range g {
		works[a.Workload] = true
	}
	for i := range in.Alerts.Alerts {
		a := &in.Alerts.Alerts[i]
		if a.First >= w.start || a.Digest == "" {
			continue
		}
		if of[a.Digest] {
			return false
		}
		before = before || works[a.Workload]
	}
	// That nothing is known of the workload before says nothing of its image, unless the whole window is clean of it.
	return before || in.Alerts.Since < w.start-7*dayLength
}

// changes says what is new about a rise: rules, images, and what was done through ARM in
// the two days before it began.
func changes(in *Input, w *alertWeek, g []*AlertFact, rules, digests tally) []string {
	var out []string
	old := map[string]bool{}
	for i := range in.Alerts.Alerts {
		if a := &in.Alerts.Alerts[i]; a.First < w.start {
			old["r|"+a.Rule], old["d|"+a.Digest] = true, true
		}
	}
	for _, r := range rules.top() {
		if !old["r|"+r] && len(out) < 5 {
			out = append(out, "rule "+r+" had not fired since "+date(in.Alerts.Since))
		}
	}
	told := map[string]bool{}
	for _, a := range g {
		if a.Digest != "" && !old["d|"+a.Digest] && !told[a.Digest] && len(told) < 5 {
			told[a.Digest] = true
			out = append(out, fmt.Sprintf("%s runs %s (%s), of which no alert is known before %s", a.Workload, cmp.Or(a.Image, "an image"), short(a.Digest), date(w.start)))
		}
	}
	if in.Tenant == nil {
		return out
	}
	ids := map[string]bool{}
	for _, a := range g {
		ids[strings.ToLower(a.Cluster)] = true
	}
	for _, o := range in.Observed {
		if ids[strings.ToLower(o.Cluster)] && o.ID != "" {
			ids[strings.ToLower(o.ID)] = true
		}
	}
	n := 0
	for i := range in.Tenant.Activity {
		a := &in.Tenant.Activity[i]
		res := strings.ToLower(a.Resource)
		if j := strings.Index(res, "/agentpools/"); j > 0 {
			res = res[:j]
		}
		if !ids[res] || a.At > g[0].First || a.At < g[0].First-2*dayLength || !strings.EqualFold(a.Status, "Succeeded") {
			continue
		}
		if n++; n <= 3 {
			out = append(out, fmt.Sprintf("%s did %s at %s", a.Caller, a.Operation, time.Unix(0, a.At).UTC().Format("2006-01-02 15:04")))
		}
	}
	if n > 3 {
		out = append(out, fmt.Sprintf("%d more changes through ARM", n-3))
	}
	return out
}

func short(digest string) string {
	if i := strings.IndexByte(digest, ':'); i >= 0 && len(digest) > i+13 {
		return digest[:i+13]
	}
	return digest
}
