package govern

import (
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// Defender's suppressions are judged as Defender does: by type, subscription and scope; what
// has no end or reason, or is past its end, is named; what cannot be judged says so.
func TestDefendersSuppressionsAreApplied(t *testing.T) {
	rule := func(name, typ string, scope ...cloud.SuppressionScope) cloud.Suppression {
		return cloud.Suppression{ID: subA + "/providers/microsoft.security/alertssuppressionrules/" + name, Type: typ, State: "Enabled", Reason: "Noise", Expires: testNow + testDay, Scope: scope}
	}
	alert := func(id, typ, namespace, status string) cloud.DefenderAlert {
		return cloud.DefenderAlert{ID: subA + "/alerts/" + id, Type: typ, Namespace: namespace, Status: status, Start: testNow - testDay, Severity: "High"}
	}
	namespace := cloud.SuppressionScope{Field: "entities.kubernetesnamespace.name", In: []string{"Build"}}
	tenant := tenantOf()
	tenant.DefenderAlerts = []cloud.DefenderAlert{
		alert("1", "K8S_A", "build", "Dismissed"), alert("2", "K8S_A", "shop", "Dismissed"), alert("3", "K8S_A", "build", "Active"), alert("4", "K8S_B", "", "Dismissed"),
	}
	mute := rule("mute", "K8S_C")
	mute.Reason = ""
	past := rule("past", "K8S_D")
	past.Expires = testNow - testDay
	tenant.Suppressions = []cloud.Suppression{rule("scoped", "K8S_A", namespace), rule("mood", "K8S_B", cloud.SuppressionScope{Field: "entities.host.mood", In: []string{"x"}}), mute, past}
	in := &Input{Now: testNow, Tenant: tenant, Alerts: &AlertFacts{Since: testNow - 60*testDay}}
	in.Config.Thresholds.BroadQuiet = 1
	if n := dismissedBy(in, &tenant.Suppressions[0]); n != 1 {
		t.Errorf("%d dismissed by a rule that covers one that is, one that is not and one elsewhere", n)
	}
	c := tuning(in)
	var found []string
	for _, f := range c.Found {
		found = append(found, f.ID+": "+f.Why)
	}
	text := strings.Join(found, "\n")
	if len(c.Found) != 2 || c.Ratio.Of != 4 || !strings.Contains(text, "K8S_C: over-tuned: gives no reason") || !strings.Contains(text, "K8S_D: over-tuned: ended on") {
		t.Errorf("%d of %d:\n%s", c.Ratio.N, c.Ratio.Of, text)
	}
	if !strings.Contains(c.Note, "1 of 3 alerts that stand dismissed") || !strings.Contains(c.Note, "of 1 it is not assessed, as their scope asks for entities.host.mood") {
		t.Error(c.Note)
	}
	other := alert("5", "K8S_A", "build", "Dismissed")
	other.ID = subB + "/alerts/5"
	if yes, unknown := tenant.Suppressions[0].Covers(&other); yes || unknown != "" {
		t.Error("a rule of one subscription covers an alert of another")
	}
}
