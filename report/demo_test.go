package report

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/demo/tenant"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/posture"
	"github.com/dockreeve/dockreeve/source/azure"
)

// demo evaluates the demo tenant with everything that is known of it.
func demo(t *testing.T) (*govern.Input, *govern.Evaluation) {
	t.Helper()
	w := tenant.New(tenant.Options{Seed: 1, Now: time.Unix(0, noon).UTC(), Subscriptions: 12, Clusters: 40, Resources: 400})
	b := azure.NewBuilder()
	if err := w.Records(b.Add); err != nil {
		t.Fatal(err)
	}
	s := b.Snapshot()
	in := &govern.Input{Now: noon, Tenant: s.Tenant, Observed: w.Observed(), Images: w.Images(), Alerts: w.Alerts(), Gates: w.Gates(), Reviews: w.Reviews(), History: w.History(), Controls: posture.Controls()}
	in.Posture = posture.Evaluate(&posture.Input{Now: noon, Tenant: s.Tenant, Clusters: w.Clusters()})
	owners := map[string]string{}
	for _, r := range govern.Evaluate(&govern.Input{Now: noon, Tenant: s.Tenant, Observed: in.Observed}).Clusters {
		owners[r.ID] = r.Ownership.Owner
	}
	in.Costs = cost.Compute(&cost.Input{Now: noon, Tenant: s.Tenant, Charges: w.Charges(), Prices: w.Prices(), Usage: w.Usage(), Owners: owners})
	return in, govern.Evaluate(in)
}

// The whole way over a believable tenant: what it says must be sayable in every format.
func TestDemoTenantInEveryFormat(t *testing.T) {
	in, ev := demo(t)
	for _, c := range ev.Playbook {
		t.Logf("%-26s %-13s %4d of %4d unknown %d goal %.2f %s| %s", c.ID, c.State, c.Ratio.N, c.Ratio.Of, c.Ratio.Unknown, c.Ratio.Goal, c.Ratio.NotAssessed, c.Note)
		if c.State == govern.CheckDone && (c.Ratio.Of == 0 || c.Ratio.NotAssessed != "") {
			t.Errorf("%s is done without a denominator", c.ID)
		}
	}
	for _, c := range ev.Pitfalls {
		t.Logf("%-26s %-13s %4d of %4d found %d %s| %s", c.ID, c.State, c.Ratio.N, c.Ratio.Of, len(c.Found), c.Ratio.NotAssessed, c.Note)
	}
	for _, k := range ev.KPIs {
		v := "nil"
		if k.Value != nil {
			v = decimal(*k.Value)
		}
		t.Logf("%-20s %8s %s (%s of %s) trend %d by %d %s| %s", k.ID, v, k.Unit, decimal(k.N), decimal(k.Of), len(k.Trend), len(k.By), k.NotAssessed, k.Note)
		if k.Value == nil {
			t.Errorf("%s is not assessed, though the demo knows everything: %s", k.ID, k.NotAssessed)
		}
	}
	rises := 0
	for _, f := range ev.Findings {
		if f.Rule == govern.RuleRise {
			rises++
			t.Logf("rise: %s %s", f.Severity, f.Summary)
		}
	}
	t.Logf("%d recommendations, %d findings, %d rises", len(ev.Recommendations), len(ev.Findings), rises)
	if len(ev.Recommendations) == 0 || len(Owners(ev)) == 0 {
		t.Fatal("a tenant with faults has no recommendations, or nobody owns anything")
	}
	dir := os.Getenv("DOCKREEVE_REPORTS") // where to leave them, to be looked at
	for _, f := range Formats() {
		var b bytes.Buffer
		if err := Playbook(&b, f, ev, Options{Name: "Demo", Version: "test"}); err != nil || b.Len() == 0 {
			t.Errorf("%s: %d bytes, %v", f, b.Len(), err)
		}
		if dir != "" {
			if err := os.WriteFile(filepath.Join(dir, "playbook."+f), b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%s: %d bytes", f, b.Len())
	}
	owner := Owners(ev)[0]
	s, err := Team(TeamOptions{Owner: owner, Evaluation: ev, Costs: in.Costs, Tenant: in.Tenant, Reviews: in.Reviews})
	if err != nil {
		t.Fatal(err)
	}
	var mail bytes.Buffer
	if err := s.Mail(&mail, MailOptions{From: "reeve@example.com", To: []string{"team@example.com"}, At: noon}); err != nil || !strings.Contains(mail.String(), "multipart/alternative") {
		t.Errorf("mail to %s: %v", owner, err)
	}
	if dir != "" {
		var page bytes.Buffer
		if err := s.HTML(&page); err != nil {
			t.Fatal(err)
		}
		os.WriteFile(filepath.Join(dir, "team.html"), page.Bytes(), 0o644)
	}
	var b bytes.Buffer
	o := EvidenceOptions{From: noon - 30*day, To: noon + 1, Evaluation: ev, Days: in.History, Tenant: in.Tenant, Reviews: in.Reviews, Alerts: in.Alerts, Images: in.Images, Gates: in.Gates, Results: in.Posture, Controls: in.Controls, Costs: in.Costs, Key: testKey()}
	if err := Evidence(&b, o); err != nil {
		t.Fatal(err)
	}
	v, err := verify(b.Bytes())
	if err != nil || v.Manifest.Counts["results"] != len(in.Posture) {
		t.Errorf("evidence: %v, %+v", err, v.Manifest.Counts)
	}
	t.Logf("evidence: %d bytes, %v", b.Len(), v.Manifest.Counts)
}
