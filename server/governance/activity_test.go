package governance

import (
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/store"
)

// stolen is unowned() with an identity whose token was stolen: it listed keys so often.
func stolen(times int) *cloud.Tenant {
	t := unowned()
	t.Clusters[0].Tags = map[string]string{"owner": "payments"}
	t.Clusters[0].Identities = []cloud.Identity{{Use: "omsagent", ObjectID: "thief"}}
	for i := range times {
		t.Activity = append(t.Activity, cloud.Activity{ID: string(rune('a' + i)), At: start.Add(-time.Hour + time.Duration(i)*time.Minute).UnixNano(), Subscription: "/subscriptions/s", Operation: "Microsoft.Storage/storageAccounts/listKeys/action",
			Resource: "/subscriptions/s/resourcegroups/o/providers/microsoft.storage/storageaccounts/x", Status: "Succeeded", Caller: "thief", ObjectID: "thief", Address: "198.51.100.9"})
	}
	return t
}

func (f *fixture) alertsOf(t *testing.T, rule string) (out []store.Alert) {
	t.Helper()
	page, err := f.db.Alerts(t.Context(), store.AlertQuery{Limit: store.MaxPage})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range page.Alerts {
		if a.Latest.Rule.ID == rule {
			out = append(out, a)
		}
	}
	return out
}

func TestAbuseInTheActivityLogIsOneAlert(t *testing.T) {
	f := open(t, Options{})
	f.judge(t, stolen(1))
	list := f.alertsOf(t, "azure-mi-keys")
	if len(list) != 1 {
		t.Fatalf("%d alerts", len(list))
	}
	a := list[0]
	if a.Severity != finding.High || a.Count != 1 || a.Latest.Subject.Cluster != "one" || a.Latest.Subject.Owner != "payments" || a.Note != "" {
		t.Errorf("%+v", a)
	}
	// The day goes on: the same alert, which says so, and nothing is raised anew.
	f.clock.Advance(time.Hour)
	if out := f.judge(t, stolen(3)); out.Raised.New != 0 {
		t.Errorf("raised again: %+v", out)
	}
	f.clock.Advance(time.Hour)
	f.judge(t, stolen(3))
	if a = f.alertsOf(t, "azure-mi-keys")[0]; strings.Count(a.Note, "3 times") != 1 || a.Count != 1 {
		t.Errorf("%d, %q", a.Count, a.Note)
	}
	// It leaves the log: that does not undo it.
	f.clock.Advance(8 * 24 * time.Hour)
	if out := f.judge(t, stolen(0)); out.Raised.Gone != 0 {
		t.Errorf("gone: %+v", out)
	}
	if a = f.alertsOf(t, "azure-mi-keys")[0]; a.Status != finding.Open || strings.Contains(a.Note, "no longer") {
		t.Errorf("%s, %q", a.Status, a.Note)
	}
}

func TestAbuseThatDefenderTellsTooIsOneAlert(t *testing.T) {
	f := open(t, Options{})
	w := stolen(1)
	// Another cluster of the same name, elsewhere, about which Defender says the same.
	far := strings.Replace(aks1, "/subscriptions/s/", "/subscriptions/far/", 1)
	w.Clusters = append(w.Clusters, cloud.Cluster{ID: far, Name: "one", Kind: cloud.KindAKS, Subscription: "/subscriptions/far", ResourceGroup: "g", Power: "Running"})
	at := start.Add(-time.Hour).UnixNano()
	for _, c := range []string{aks1, far} {
		w.DefenderAlerts = append(w.DefenderAlerts, cloud.DefenderAlert{ID: c + "/alert", Type: "K8S_AbnormalMiActivity", Title: "Unusual identity", Severity: "Medium", Status: "Active", Resource: c, Start: at, End: at, Techniques: []string{"T1528"}})
	}
	if out := f.judge(t, w); out.Raised.Merged != 1 {
		t.Errorf("%+v", out)
	}
	if list := f.alertsOf(t, "azure-mi-keys"); len(list) != 1 || !strings.Contains(list[0].Note, "Defender for Cloud tells this too") {
		t.Errorf("%+v", list)
	}
	if list := f.alertsOf(t, store.DefenderRule+"K8S_AbnormalMiActivity"); len(list) != 1 || list[0].Latest.Subject.Object != far {
		t.Errorf("%+v", list)
	}
}

func TestThatTheActivityLogIsStillLearnedIsTold(t *testing.T) {
	f := open(t, Options{})
	told := func() string {
		for _, g := range f.Status() {
			if g.What == "what is new in the Activity Log" {
				return g.Reason
			}
		}
		return ""
	}
	f.judge(t, stolen(3)) // two minutes of a log
	if r := told(); !strings.Contains(r, "are needed to say what is usual") {
		t.Errorf("two minutes of a log are said to suffice: %q, %+v", r, f.Status())
	}
	w := stolen(3)
	w.Activity[0].At = start.Add(-30 * 24 * time.Hour).UnixNano()
	f.clock.Advance(time.Hour)
	f.judge(t, w)
	if r := told(); r != "" {
		t.Errorf("thirty days of a log do not suffice: %q", r)
	}
}
