package govern

import (
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/posture"
	"pgregory.net/rapid"
)

func check(t *testing.T, list []Check, id string) Check {
	t.Helper()
	for _, c := range list {
		if c.ID == id {
			return c
		}
	}
	t.Fatalf("no check %s", id)
	return Check{}
}

func play(t *testing.T, in *Input, ev *Evaluation, id string) Check {
	t.Helper()
	ev.At = in.Now
	playbook(in, ev)
	return check(t, ev.Playbook, id)
}

func pit(t *testing.T, in *Input, ev *Evaluation, id string) Check {
	t.Helper()
	ev.At = in.Now
	pitfalls(in, ev)
	return check(t, ev.Pitfalls, id)
}

// However the numbers stand, an item is done only where what is known reaches the goal:
// unknown never helps.
func TestNotAssessedIsNeverDone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		of := rapid.IntRange(0, 50).Draw(t, "of")
		n := rapid.IntRange(0, of).Draw(t, "n")
		r := Ratio{N: n, Of: of, Unknown: rapid.IntRange(0, of-n).Draw(t, "unknown"), Goal: rapid.SampledFrom([]float64{0, 0.5, 0.9, 1}).Draw(t, "goal")}
		if rapid.Bool().Draw(t, "unread") {
			r.NotAssessed = "unread"
		}
		c := Check{Ratio: r}
		c.judge()
		goal := r.Goal
		if goal == 0 {
			goal = 1
		}
		want := r.NotAssessed == "" && of > 0 && float64(n)/float64(of) >= goal-1e-9
		if (c.State == CheckDone) != want {
			t.Fatalf("%+v is %s", r, c.State)
		}
		if c.State == CheckNotAssessed && c.Ratio.NotAssessed == "" {
			t.Fatalf("%+v is not assessed and does not say why", r)
		}
	})
}

func TestProfileByProvider(t *testing.T) {
	yes, no, unknown := inventory.Assessed{Value: true}, inventory.Assessed{}, inventory.Assessed{NotAssessed: "denied"}
	rows := []ClusterRow{
		{Name: "a", Production: true, Profile: yes, Agents: no},
		{Name: "b", Production: true, Profile: no, Agents: yes},
		{Name: "c", Production: true, Profile: unknown, Agents: no},
		{Name: "d", Production: true, Profile: no, Agents: no, Stopped: true},
		{Name: "e", Profile: no, Agents: no},
	}
	for provider, want := range map[string][4]int{"": {2, 3, 1, 1}, "defender": {1, 3, 1, 2}, "dockreeve": {1, 3, 0, 2}} {
		c := play(t, &Input{Now: noon, Config: Config{Provider: provider}}, &Evaluation{Clusters: rows}, "profile-deployed")
		if got := [4]int{c.Ratio.N, c.Ratio.Of, c.Ratio.Unknown, len(c.Ratio.Missing)}; got != want {
			t.Errorf("provider %q: n, of, unknown, missing are %v, want %v", provider, got, want)
		}
		if c.State == CheckDone || !strings.Contains(c.Note, "1 stopped") {
			t.Errorf("provider %q: %+v", provider, c)
		}
	}
	c := play(t, &Input{Now: noon}, &Evaluation{Clusters: rows[:2]}, "profile-deployed")
	if c.State != CheckDone {
		t.Errorf("both are protected by either: %+v", c)
	}
}

func TestGateCounts(t *testing.T) {
	in := &Input{Now: noon, Gates: &GateFacts{Running: 10, Gated: 10, Failed: 1, Without: []string{"x"}}}
	if c := play(t, in, &Evaluation{}, "ci-gate"); c.State != CheckOpen || c.Ratio.N != 9 || !strings.Contains(c.Note, "1 run although") {
		t.Errorf("one runs although it was refused: %+v", c)
	}
	in.Gates = &GateFacts{Running: 10, Gated: 10}
	if c := play(t, in, &Evaluation{}, "ci-gate"); c.State != CheckDone {
		t.Errorf("%+v", c)
	}
	in.Gates = &GateFacts{}
	if c := play(t, in, &Evaluation{}, "ci-gate"); c.State != CheckNotAssessed {
		t.Errorf("nothing runs, nothing is shown: %+v", c)
	}
}

func TestTriageClock(t *testing.T) {
	ago := func(d time.Duration) int64 { return noon - int64(d) }
	in := &Input{Now: noon, Alerts: &AlertFacts{Since: ago(60 * 24 * time.Hour), Alerts: []AlertFact{
		{ID: "in time", Severity: finding.High, Status: finding.Acknowledged, First: ago(48 * time.Hour), Acked: ago(45 * time.Hour)},
		{ID: "late", Severity: finding.Critical, Status: finding.Acknowledged, First: ago(48 * time.Hour), Acked: ago(45 * time.Hour)},
		{ID: "never", Severity: finding.High, Status: finding.Open, First: ago(48 * time.Hour)},
		{ID: "waiting", Severity: finding.High, Status: finding.Open, First: ago(time.Hour)},
		{ID: "untold", Severity: finding.High, Status: finding.Resolved, First: ago(48 * time.Hour), Source: "defender"},
		{ID: "old", Severity: finding.High, Status: finding.Open, First: ago(31 * 24 * time.Hour)},
		{ID: "low", Severity: finding.Low, Status: finding.Open, First: ago(48 * time.Hour)},
	}}}
	c := play(t, in, &Evaluation{}, "triage")
	if c.Ratio.N != 1 || c.Ratio.Of != 4 || c.Ratio.Unknown != 1 || len(c.Ratio.Missing) != 3 || c.State != CheckOpen || !strings.Contains(c.Note, "1 more are still inside") {
		t.Fatalf("%+v, want 1 of 4, one unknown, one waiting", c)
	}
}

func TestReviewsAreRecords(t *testing.T) {
	in := &Input{Now: noon, Posture: []posture.Result{verdict("a", "one", posture.Fail)}}
	ev := &Evaluation{Recommendations: []Recommendation{{ID: "a", Owner: "ann", Overdue: true}, {ID: "b", Owner: "bob"}, {ID: "c", Owner: "carl", Fixed: 1}}}
	for _, c := range []struct {
		name    string
		reviews []Review
		state   string
		n       int
	}{
		{"none", nil, CheckOpen, 0},
		{"of everything", []Review{{Subject: ReviewRecommendations, By: "eve", At: noon - dayLength}}, CheckDone, 2},
		{"of one owner", []Review{{Subject: ReviewRecommendations, Scope: "ann", By: "eve", At: noon - dayLength}}, CheckOpen, 1},
		{"too long ago", []Review{{Subject: ReviewRecommendations, By: "eve", At: noon - 31*dayLength}}, CheckOpen, 0},
		{"due sooner than the interval", []Review{{Subject: ReviewRecommendations, By: "eve", At: noon - 10*dayLength, NextDue: noon - dayLength}}, CheckOpen, 0},
		{"due later than the interval allows", []Review{{Subject: ReviewRecommendations, By: "eve", At: noon - 31*dayLength, NextDue: noon + dayLength}}, CheckOpen, 0},
		{"of something else", []Review{{Subject: ReviewAccess, By: "eve", At: noon - dayLength}}, CheckOpen, 0},
		{"by nobody", []Review{{Subject: ReviewRecommendations, At: noon - dayLength}}, CheckOpen, 0},
		{"from the future", []Review{{Subject: ReviewRecommendations, By: "eve", At: noon + dayLength}}, CheckOpen, 0},
	} {
		in.Reviews = c.reviews
		got := play(t, in, ev, "recommendations-reviewed")
		if got.State != c.state || got.Ratio.N != c.n || got.Ratio.Of != 2 || !strings.Contains(got.Note, "1 recommendations are overdue") {
			t.Errorf("%s: %+v, want %s, %d of 2", c.name, got, c.state, c.n)
		}
	}
}

func TestOwnerTags(t *testing.T) {
	bad := row("two", "bob")
	bad.Ownership.Missing = []string{"costCentre"}
	wrong := row("three", "bob")
	wrong.Ownership.Invalid = map[string]string{"environment": "<b>"}
	c := play(t, &Input{Now: noon}, &Evaluation{Clusters: []ClusterRow{row("one", "ann"), bad, wrong, row("four", inventory.Unowned)}}, "owner-tags")
	if c.Ratio.N != 1 || c.Ratio.Of != 4 || len(c.Ratio.Missing) != 3 || !strings.Contains(c.Note, "3 of 4") {
		t.Fatalf("%+v", c)
	}
}

func TestLowAlertsThatAnAttackFollowed(t *testing.T) {
	at := func(d int) int64 { return noon - int64(d)*dayLength }
	in := &Input{Now: noon, Alerts: &AlertFacts{Since: at(60), Alerts: []AlertFact{
		{ID: "l1", Rule: "scan", Severity: finding.Low, Status: finding.Open, Workload: "w", First: at(10)},
		{ID: "h1", Rule: "miner", Severity: finding.High, Status: finding.Open, Workload: "w", First: at(6)},
		{ID: "l2", Rule: "scan", Severity: finding.Low, Status: finding.Acknowledged, Acked: at(9), Workload: "x", First: at(10)},
		{ID: "h2", Rule: "miner", Severity: finding.High, Status: finding.Open, Workload: "x", First: at(6)},
		{ID: "l3", Rule: "scan", Severity: finding.Low, Status: finding.Open, Workload: "y", First: at(20)},
		{ID: "h3", Rule: "miner", Severity: finding.High, Status: finding.Open, Workload: "y", First: at(6)},
		{ID: "h4", Rule: "miner", Severity: finding.High, Status: finding.Dismissed, Workload: "w", First: at(9)},
	}}}
	c := pit(t, in, &Evaluation{}, "low-ignored")
	if c.State != CheckOpen || c.Ratio.Of != 3 || c.Ratio.N != 2 || len(c.Found) != 1 || c.Found[0].ID != "l1" || !strings.Contains(c.Found[0].Why, "4 days later") {
		t.Fatalf("%+v, want only l1: l2 was taken, l3 is too old, h4 was no attack", c)
	}
}

func TestTuning(t *testing.T) {
	in := &Input{Now: noon, Alerts: &AlertFacts{Suppressed: []Suppressed{
		{Rule: "quiet", Expires: noon + dayLength}, {Rule: "grave", Expires: noon + dayLength, By: "eve"}, {Rule: "quiet", Source: "dockreeve"}, {Rule: "gone", Expires: noon - dayLength}}}}
	for range 10 {
		in.Alerts.Alerts = append(in.Alerts.Alerts, AlertFact{Rule: "noisy", Status: finding.Dismissed, Severity: finding.Low}, AlertFact{Rule: "grave", Status: finding.Resolved, Severity: finding.High})
	}
	in.Tenant = &cloud.Tenant{Suppressions: []cloud.Suppression{{Type: "K8S_X", State: "Enabled"}, {Type: "K8S_Y", State: "Disabled"}}}
	c := pit(t, in, &Evaluation{}, "tuning")
	var names []string
	for _, f := range c.Found {
		names = append(names, f.Name)
	}
	if got := strings.Join(names, " "); got != "noisy grave quiet K8S_X" || c.Ratio.Of != 6 || c.Ratio.N != 2 {
		t.Fatalf("found %q, %d of %d fine; want the loud rule, the one that hides high alerts, and two without an end", got, c.Ratio.N, c.Ratio.Of)
	}
}

func TestExportedIsNotWatched(t *testing.T) {
	exported := row("exported", "ann")
	exported.AuditExport = AuditExport{Assessed: inventory.Assessed{Value: true}, To: []string{"storage"}}
	plan := row("plan", "ann")
	plan.Plan.Value = true
	unread := row("unread", "ann")
	unread.Plan.NotAssessed = "denied"
	stopped := row("stopped", "ann")
	stopped.Stopped = true
	silent := row("silent", "ann")
	in := &Input{Now: noon, Observed: []Observed{{Cluster: "heard", AuditLast: noon - int64(time.Hour)}, {Cluster: "silent", AuditLast: noon - 3*dayLength}}}
	c := pit(t, in, &Evaluation{Clusters: []ClusterRow{exported, plan, unread, stopped, silent, row("heard", "ann")}}, "control-plane")
	if c.Ratio.Of != 5 || c.Ratio.N != 2 || c.Ratio.Unknown != 1 || len(c.Found) != 2 || !strings.Contains(c.Found[0].Why, "exported to storage") || !strings.Contains(c.Found[1].Why, "2026-11-23") {
		t.Fatalf("%+v", c)
	}
}

func TestSetAndForget(t *testing.T) {
	in := &Input{Now: noon, Images: &ImageFacts{Running: 10, Scanned: 8, Stale: 3, Advisories: noon - 5*dayLength},
		Observed: []Observed{{Cluster: "one", Agent: "1", LastWord: noon - dayLength, Canaries: []Canary{{Kind: CanaryExec, Sent: noon, Seen: noon}, {Kind: CanaryAudit, Sent: noon}}}},
		Config:   Config{Exemptions: []Exemption{{Control: "a", Expires: "2026-12-01"}, {Control: "b"}, {Control: "c", Expires: "soon"}, {Control: "d", Expires: "2030-01-01"}}},
		Tenant:   &cloud.Tenant{Collected: noon - int64(time.Hour)},
		Reviews:  []Review{{Subject: ReviewAccess, By: "eve", At: noon - 60*dayLength}, {Subject: ReviewRules, By: "eve", At: noon - dayLength}}}
	c := pit(t, in, &Evaluation{}, "set-and-forget")
	var why []string
	for _, f := range c.Found {
		why = append(why, f.Why)
	}
	for _, want := range []string{"3 older than 7 days, 2 never scanned", "is from 2026-11-21", "last heard on 2026-11-25", "“audit” never came back", "has no end", `"soon" is not a date`, "ends only on 2030-01-01", "was due on 2026-10-27"} {
		if !strings.Contains(strings.Join(why, "\n"), want) {
			t.Errorf("%q is not found in\n%s", want, strings.Join(why, "\n"))
		}
	}
	if len(why) != 8 || c.State != CheckOpen || c.Ratio.Of-c.Ratio.N != 5+7 {
		t.Errorf("%d found, %d of %d: %v", len(why), c.Ratio.N, c.Ratio.Of, why)
	}
}
