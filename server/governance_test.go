package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/api/dockreeve/v1/dockreevev1connect"
	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/demo/tenant"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/posture"
	"github.com/dockreeve/dockreeve/source/azure"
)

// snapshotOf is a made tenant as dockreeve azure collect would write it.
func snapshotOf(t *testing.T, now time.Time, more ...azure.Record) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w, err := azure.NewWriter(z, azure.Head{Source: "demo", Tenant: "t", Started: now.Add(-time.Minute).UnixNano()})
	if err != nil {
		t.Fatal(err)
	}
	world := tenant.New(tenant.Options{Seed: 1, Now: now, Subscriptions: 6, Clusters: 12, Resources: 60})
	if err := world.Records(w.Write); err != nil {
		t.Fatal(err)
	}
	for _, r := range more {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(now); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func submitSnapshot(ctx context.Context, c dockreevev1connect.GovernanceServiceClient, snapshot []byte) (*v1.SubmitSnapshotResponse, error) {
	s := c.SubmitSnapshot(ctx)
	for len(snapshot) > 0 {
		n := min(60_000, len(snapshot))
		if err := s.Send(&v1.SubmitSnapshotRequest{Data: snapshot[:n]}); err != nil {
			break // CloseAndReceive tells why
		}
		snapshot = snapshot[n:]
	}
	res, err := s.CloseAndReceive()
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}

func items[T any](t *testing.T, c dockreevev1connect.GovernanceServiceClient, kind, filter string) []T {
	t.Helper()
	var out []T
	for cursor := ""; ; {
		res, err := c.ListGovernance(t.Context(), connect.NewRequest(&v1.ListGovernanceRequest{Kind: kind, Filter: filter, Cursor: cursor, PageSize: 50}))
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range res.Msg.Items {
			var v T
			if err := json.Unmarshal([]byte(it.DocJson), &v); err != nil {
				t.Fatal(err)
			}
			out = append(out, v)
		}
		if cursor = res.Msg.NextCursor; cursor == "" {
			if int(res.Msg.Total) != len(out) {
				t.Errorf("%s %q: total %d of %d", kind, filter, res.Msg.Total, len(out))
			}
			return out
		}
	}
}

func TestGovernanceOverTheAPI(t *testing.T) {
	h := startAs(t, "local")
	c := h.client(t).Governance
	ctx := t.Context()

	// Nothing was evaluated: no answer is a bare nought.
	got, err := c.GetGovernance(ctx, connect.NewRequest(&v1.GetGovernanceRequest{}))
	if err != nil || got.Msg.EvaluationJson != "" || got.Msg.NotAssessed == "" || got.Msg.Remedy == "" {
		t.Fatal(got, err)
	}
	list, err := c.ListGovernance(ctx, connect.NewRequest(&v1.ListGovernanceRequest{Kind: "cluster"}))
	if err != nil || len(list.Msg.NotAssessed) == 0 || list.Msg.At != 0 {
		t.Fatal(list, err)
	}
	costs, err := c.GetCost(ctx, connect.NewRequest(&v1.GetCostRequest{}))
	if err != nil || costs.Msg.NotAssessed == "" {
		t.Fatal(costs, err)
	}
	compliance, err := c.GetCompliance(ctx, connect.NewRequest(&v1.GetComplianceRequest{}))
	if err != nil || compliance.Msg.NotAssessed == "" {
		t.Fatal(compliance, err)
	}

	now := time.Now()
	h.seedCluster(t, now.UnixNano())
	done, err := submitSnapshot(ctx, c, snapshotOf(t, now))
	if err != nil || done.Clusters != 12 || done.Subscriptions == 0 || done.Evaluated == 0 || done.Records < 100 {
		t.Fatal(done, err)
	}
	if info, err := os.Stat(filepath.Join(h.dir, "azure-snapshot.ndjson.gz")); err != nil || info.Mode().Perm() != 0o600 {
		t.Error("the snapshot is not kept for its owner's eyes", info, err)
	}

	if got, err = c.GetGovernance(ctx, connect.NewRequest(&v1.GetGovernanceRequest{})); err != nil || got.Msg.At != done.Evaluated || len(got.Msg.Gaps) != 0 {
		t.Fatal(got, err)
	}
	var ev govern.Evaluation
	if err := json.Unmarshal([]byte(got.Msg.EvaluationJson), &ev); err != nil || len(ev.KPIs) == 0 || len(ev.Playbook) == 0 || ev.Clusters != nil || ev.Findings != nil {
		t.Fatalf("%+v %v", ev, err)
	}
	rows := items[govern.ClusterRow](t, c, "cluster", "")
	if len(rows) != 13 || ev.Coverage.Clusters.Of == 0 {
		t.Fatalf("%d rows: twelve of Azure and one that only Dockreeve knows", len(rows))
	}
	for i := 1; i < len(rows); i++ {
		if rows[i-1].RiskMoney < rows[i].RiskMoney {
			t.Error("rows are not ordered by risk and money")
		}
	}
	if own := items[govern.ClusterRow](t, c, "cluster", "onboarded:yes"); len(own) != 1 || own[0].Here != "prod" {
		t.Errorf("%+v", own)
	}
	if subs := items[govern.SubscriptionRow](t, c, "subscription", ""); len(subs) == 0 {
		t.Error("no subscriptions")
	}
	failing := items[posture.Result](t, c, "result", "verdict:fail")
	if len(failing) == 0 || failing[0].Verdict != posture.Fail || len(failing[0].Evidence) == 0 {
		t.Errorf("%+v", failing)
	}
	if len(items[govern.Recommendation](t, c, "recommendation", "fixed:no")) == 0 {
		t.Error("no recommendations")
	}
	found := items[govern.Finding](t, c, "finding", "severity:>=medium")
	if len(found) == 0 {
		t.Fatal("no findings")
	}
	for _, bad := range []*v1.ListGovernanceRequest{{Kind: "other"}, {Kind: "cluster", Filter: "colour:red"}, {Kind: "cluster", Order: "colour"}, {Kind: "cluster", PageSize: 10_000}, {Kind: "cluster", Cursor: "x"}} {
		if _, err := c.ListGovernance(ctx, connect.NewRequest(bad)); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%v: %v", bad, err)
		}
	}

	one, err := c.GetGovernanceCluster(ctx, connect.NewRequest(&v1.GetGovernanceClusterRequest{Id: rows[0].ID}))
	if err != nil {
		t.Fatal(err)
	}
	var results []posture.Result
	var history map[string][]govern.Point
	var anomalies []cost.Anomaly
	for doc, to := range map[string]any{one.Msg.ResultsJson: &results, one.Msg.HistoryJson: &history, one.Msg.AnomaliesJson: &anomalies} {
		if err := json.Unmarshal([]byte(doc), to); err != nil {
			t.Errorf("%s: %v", doc, err)
		}
	}
	if len(results) == 0 || history["score"] == nil {
		t.Error(results, history)
	}
	own, err := c.GetGovernanceCluster(ctx, connect.NewRequest(&v1.GetGovernanceClusterRequest{Id: "prod"}))
	if err != nil || len(own.Msg.Alerts) == 0 {
		t.Error(own, err)
	}
	if _, err := c.GetGovernanceCluster(ctx, connect.NewRequest(&v1.GetGovernanceClusterRequest{Id: "none"})); connect.CodeOf(err) != connect.CodeNotFound {
		t.Error(err)
	}
	if compliance, err = c.GetCompliance(ctx, connect.NewRequest(&v1.GetComplianceRequest{})); err != nil || compliance.Msg.NotAssessed != "" {
		t.Fatal(compliance, err)
	}
	var controls []posture.Control
	var counts map[string]map[string]int64
	if err := json.Unmarshal([]byte(compliance.Msg.ControlsJson), &controls); err != nil || len(controls) == 0 {
		t.Error(controls, err)
	}
	if err := json.Unmarshal([]byte(compliance.Msg.ResultsJson), &counts); err != nil || len(counts) == 0 {
		t.Error(counts, err)
	}

	// What the first one made alerts of, the second one has seen. From then on nothing is
	// new: no alert counts twice.
	if _, err := c.Reevaluate(ctx, connect.NewRequest(&v1.ReevaluateRequest{})); err != nil {
		t.Fatal(err)
	}
	seq, before := h.db.Seq(), h.alertCounts(t)
	if len(before) == 0 {
		t.Error("what governance found is no alert")
	}
	if _, err := c.Reevaluate(ctx, connect.NewRequest(&v1.ReevaluateRequest{})); err != nil {
		t.Fatal(err)
	}
	if after := h.alertCounts(t); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("alerts before %v, after %v", before, after)
	}
	if h.db.Seq() <= seq {
		t.Error("nobody was told of an evaluation")
	}
}

// alertCounts are the alerts of governance and how often each happened.
func (h *hub) alertCounts(t *testing.T) map[string]int64 {
	t.Helper()
	res, err := h.client(t).Alerts.ListAlerts(t.Context(), connect.NewRequest(&v1.ListAlertsRequest{Filter: "rule:governance/*", PageSize: 500}))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	for _, a := range res.Msg.Alerts {
		out[a.Id] = a.Count
	}
	return out
}

func TestASnapshotThatIsNotUnderstoodChangesNothing(t *testing.T) {
	h := start(t)
	c := h.client(t).Governance
	now := time.Now()
	good := snapshotOf(t, now)
	if _, err := submitSnapshot(t.Context(), c, good); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(h.dir, "azure-snapshot.ndjson.gz")
	kept, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(kept, good) {
		t.Fatal("the snapshot is not kept as it came", err)
	}
	bomb := func() []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write(bytes.Repeat([]byte("a"), 80<<20))
		z.Close()
		return b.Bytes()
	}
	for name, bad := range map[string][]byte{
		"empty": {}, "text": []byte("hello"), "json": []byte(`{"clusters":[]}`), "newer": []byte(`{"format":"dockreeve-azure-snapshot","version":99}` + "\n"),
		"cut short": good[:len(good)/2], "a line without end": bomb(), "older": snapshotOf(t, now.Add(-time.Hour)),
	} {
		_, err := submitSnapshot(t.Context(), c, bad)
		if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "the one before stays") {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(err.Error(), h.dir) {
			t.Errorf("%s: tells of this machine: %v", name, err)
		}
	}
	if kept, err = os.ReadFile(path); err != nil || !bytes.Equal(kept, good) {
		t.Error("a bad one took its place", err)
	}
	left, err := filepath.Glob(filepath.Join(h.dir, ".azure-snapshot-*"))
	if err != nil || len(left) != 0 {
		t.Error("files are left behind", left)
	}
	// A caller that breaks off in the middle leaves the one before.
	ctx, cancel := context.WithCancel(t.Context())
	s := c.SubmitSnapshot(ctx)
	if err := s.Send(&v1.SubmitSnapshotRequest{Data: good[:100]}); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := s.CloseAndReceive(); err == nil {
		t.Error("a stream that broke off was taken")
	}
	if rows := items[govern.ClusterRow](t, c, "cluster", ""); len(rows) != 12 {
		t.Error(len(rows))
	}
}

func charges(ctx context.Context, c dockreevev1connect.GovernanceServiceClient, replace bool, lines ...any) (*v1.SubmitChargesResponse, error) {
	s := c.SubmitCharges(ctx)
	for _, l := range lines {
		b, ok := l.(string)
		if !ok {
			j, err := json.Marshal(l)
			if err != nil {
				return nil, err
			}
			b = string(j)
		}
		half := len(b) / 2 // a line may come in two pieces
		for _, p := range []string{b[:half], b[half:] + "\n"} {
			if err := s.Send(&v1.SubmitChargesRequest{Data: []byte(p), ReplaceDays: replace}); err != nil {
				break
			}
		}
	}
	res, err := s.CloseAndReceive()
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}

func TestBillsOverTheAPI(t *testing.T) {
	h := start(t)
	c := h.client(t).Governance
	ctx := t.Context()
	today := time.Now().UTC().Truncate(24 * time.Hour)
	month := time.Date(today.Year(), today.Month(), 1, 0, 0, 0, 0, time.UTC)
	of := func(meter string, units float64) cost.Charge {
		return cost.Charge{SubAccount: "/subscriptions/1", Start: month.UnixNano(), End: month.AddDate(0, 0, 1).UnixNano(), Category: "Usage", Currency: "EUR", Resource: "/subscriptions/1/vm", Meter: meter, Billed: cost.FromFloat(units), Effective: cost.FromFloat(units)}
	}
	billed := func() cost.Money {
		t.Helper()
		if _, err := c.Reevaluate(ctx, connect.NewRequest(&v1.ReevaluateRequest{})); err != nil {
			t.Fatal(err)
		}
		res, err := c.GetCost(ctx, connect.NewRequest(&v1.GetCostRequest{}))
		if err != nil {
			t.Fatal(err)
		}
		var r cost.Report
		if err := json.Unmarshal([]byte(res.Msg.ReportJson), &r); err != nil {
			t.Fatal(err)
		}
		return r.Billed
	}
	res, err := charges(ctx, c, true, of("cores", 10), of("disk", 5), `{"start":1}`, `no json`, "")
	if err != nil || res.Rows != 4 || res.Stored != 2 || res.Bad != 2 || len(res.Days) != 1 || res.Days[0] != month.Format(time.DateOnly) {
		t.Fatal(res, err)
	}
	if m := billed(); m.Amount != cost.FromFloat(15) || m.Currency != "EUR" {
		t.Errorf("%+v", m)
	}
	if _, err := charges(ctx, c, false, of("cores", 10), of("disk", 7)); err != nil {
		t.Fatal(err)
	}
	if m := billed(); m.Amount != cost.FromFloat(17) {
		t.Errorf("told again it counts again: %+v", m)
	}
	for _, bad := range [][]any{nil, {"none", "of", "these"}, {strings.Repeat("x", 70<<10)}} {
		if _, err := charges(ctx, c, true, bad...); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%.40v: %v", bad, err)
		}
	}
	if m := billed(); m.Amount != cost.FromFloat(17) {
		t.Errorf("what was refused changed the bill: %+v", m)
	}
	for _, bad := range []*v1.GetCostRequest{{From: -1}, {From: 5, To: 4}} {
		if _, err := c.GetCost(ctx, connect.NewRequest(bad)); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Error(bad, err)
		}
	}
}

func TestReviewsOverTheAPI(t *testing.T) {
	h := start(t)
	c := h.client(t).Governance
	ctx := t.Context()
	due := time.Now().Add(24 * time.Hour).UnixNano()
	if _, err := c.AddReview(ctx, connect.NewRequest(&v1.AddReviewRequest{Subject: "recommendations", Scope: "payments", Note: "looked", NextDue: due})); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []*v1.AddReviewRequest{{Subject: "weather"}, {Subject: "rules", NextDue: 5}, {Subject: "rules", NextDue: due + int64(5*366*24*time.Hour)}, {Subject: "rules", Note: strings.Repeat("x", 5000)}, {Subject: "rules", Scope: "a\nb"}} {
		if _, err := c.AddReview(ctx, connect.NewRequest(bad)); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Error(bad, err)
		}
	}
	res, err := c.ListReviews(ctx, connect.NewRequest(&v1.ListReviewsRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	var list []govern.Review
	if err := json.Unmarshal([]byte(res.Msg.ReviewsJson), &list); err != nil || len(list) != 1 || list[0].By == "" || list[0].By == "unknown" || list[0].NextDue != due || list[0].ID == "" {
		t.Fatal(list, err)
	}
}

func TestGovernanceNeedsASignIn(t *testing.T) {
	h := start(t)
	for _, call := range []string{"GetGovernance", "ListGovernance", "SubmitSnapshot", "SubmitCharges", "AddReview", "Reevaluate"} {
		res, err := http.Post(h.URL()+"/"+dockreevev1connect.GovernanceServiceName+"/"+call, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a sign-in: %s", call, res.Status)
		}
	}
}

// alertOfDefender is an alert as ARM gives it.
func alertOfDefender(id, kind, status, cluster, namespace, pod string, at time.Time) azure.Record {
	doc := fmt.Sprintf(`{"id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.Security/locations/w/alerts/%s","name":"%s","type":"Microsoft.Security/Locations/alerts","properties":{
		"alertType":"%s","alertDisplayName":"Shell in a container","severity":"Medium","status":"%s","systemAlertId":"%s","startTimeUtc":"%s","endTimeUtc":"%s","timeGeneratedUtc":"%s","techniques":["T1059"],
		"resourceIdentifiers":[{"type":"AzureResource","azureResourceId":"%s"}],
		"entities":[{"$id":"1","type":"K8s-cluster","name":"c"},{"$id":"2","type":"K8s-namespace","name":"%s"},{"$id":"3","type":"K8s-pod","name":"%s","namespace":{"$ref":"2"}}]}}`,
		id, id, kind, status, id, at.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339), cluster, namespace, pod)
	return azure.Record{What: cloud.ReadAlerts, Scope: "/subscriptions/s", Doc: json.RawMessage(doc)}
}

func TestDefendersAlertsAreMergedAndNotDoubled(t *testing.T) {
	h := startAs(t, "local")
	ctx := t.Context()
	now := time.Now()
	id := "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/c1"
	h.send(t, link.LaneInventory, link.KindInventory, inventory.Delta{Cluster: "prod", Generation: now.UnixNano(), Done: true, Time: now.UnixNano(), Put: []inventory.Document{{Cluster: &inventory.ClusterDoc{Name: "prod", Agent: "test", ResourceID: id}}}})
	f := sample(1)
	f.Time = now.UnixNano()
	f.Subject.Cluster, f.Subject.Workload, f.Subject.Container = "prod", web, &finding.Container{ID: "abc", Pod: "web-1", Namespace: "shop"}
	f.Rule.Answers = []string{"K8S.NODE_ShellInContainer"}
	h.send(t, link.LaneAlert, link.KindFinding, f)
	h.settled(t)
	snapshot := func(status string, at time.Time) []byte {
		return snapshotOf(t, at,
			alertOfDefender("a1", "K8S_ShellInContainer", "Active", id, "shop", "web-1", now.Add(-5*time.Minute)),
			alertOfDefender("a2", "K8S_ShellInContainer", status, id, "shop", "other-1", now.Add(-5*time.Minute)),
			alertOfDefender("a3", "K8S_OldThing", "Dismissed", id, "shop", "x", now.Add(-3*time.Hour)))
	}
	c := h.client(t)
	if _, err := submitSnapshot(ctx, c.Governance, snapshot("Active", now)); err != nil {
		t.Fatal(err)
	}
	ours, err := c.Alerts.GetAlert(ctx, connect.NewRequest(&v1.GetAlertRequest{Id: finding.AlertID(f.Fingerprint)}))
	if err != nil || !strings.Contains(ours.Msg.Alert.Alert.Note, "Defender for Cloud tells this too") || ours.Msg.Alert.Alert.Count != 1 {
		t.Fatal(ours, err)
	}
	theirs := func(filter string) []*v1.Alert {
		t.Helper()
		res, err := c.Alerts.ListAlerts(ctx, connect.NewRequest(&v1.ListAlertsRequest{Filter: filter + " cluster:prod rule:defender/*"}))
		if err != nil {
			t.Fatal(err)
		}
		return res.Msg.Alerts
	}
	if list := theirs(""); len(list) != 2 {
		t.Fatalf("one of its own, one dismissed there: %v", list)
	}
	if list := theirs("status:open"); len(list) != 1 || list[0].Subject.Workload != "shop/Pod/other-1" {
		t.Fatal(list)
	}
	if list := theirs("status:dismissed"); len(list) != 1 || list[0].RuleId != "defender/K8S_OldThing" {
		t.Fatal(list)
	}
	// Seen again it adds nothing; resolved there, it is resolved here.
	if _, err := submitSnapshot(ctx, c.Governance, snapshot("Resolved", now.Add(time.Second))); err != nil {
		t.Fatal(err)
	}
	list := theirs("")
	if len(list) != 2 || list[0].Count != 1 || list[1].Count != 1 || len(theirs("status:resolved")) != 1 {
		t.Fatal(list)
	}
	again, err := c.Alerts.GetAlert(ctx, connect.NewRequest(&v1.GetAlertRequest{Id: finding.AlertID(f.Fingerprint)}))
	if err != nil || again.Msg.Alert.Alert.Note != ours.Msg.Alert.Alert.Note {
		t.Error(again, err)
	}
}
