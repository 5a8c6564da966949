package server

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/server/client"
)

// pipeline is a client with the token of a pipeline that may do what the scopes say.
func pipeline(t *testing.T, h *hub, scopes ...string) *client.Client {
	t.Helper()
	token, err := h.client(t).PipelineToken(t.Context(), "build", scopes)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Options{URL: h.URL(), Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// charge is a line of a bill as SubmitCharges takes it.
func charge(t *testing.T, now time.Time) []byte {
	t.Helper()
	day := now.UTC().Truncate(24 * time.Hour)
	b, err := json.Marshal(cost.Charge{Start: day.UnixNano(), End: day.Add(24 * time.Hour).UnixNano(), Category: "Usage", Currency: "EUR", Billed: 5, Effective: 5, SubAccount: "/subscriptions/x"})
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

func TestAPipelineHandsInATenantAndReadsItsGovernance(t *testing.T) {
	h := startAs(t, "local")
	ci := pipeline(t, h, "governance")
	ctx, now := t.Context(), time.Now()
	if _, err := submitSnapshot(ctx, ci.Governance, snapshotOf(t, now)); err != nil {
		t.Fatal(err)
	}
	bill := ci.Governance.SubmitCharges(ctx)
	if err := bill.Send(&v1.SubmitChargesRequest{Data: charge(t, now)}); err != nil {
		t.Fatal(err)
	}
	if res, err := bill.CloseAndReceive(); err != nil || res.Msg.Stored != 1 {
		t.Fatal(res, err)
	}
	if got, err := ci.Governance.GetGovernance(ctx, connect.NewRequest(&v1.GetGovernanceRequest{})); err != nil || got.Msg.EvaluationJson == "" {
		t.Fatal(got, err)
	}
	rows := items[struct{ ID string }](t, ci.Governance, "cluster", "")
	if len(rows) == 0 {
		t.Fatal("a pipeline sees no clusters")
	}
	_, costErr := ci.Governance.GetCost(ctx, connect.NewRequest(&v1.GetCostRequest{}))
	_, complianceErr := ci.Governance.GetCompliance(ctx, connect.NewRequest(&v1.GetComplianceRequest{}))
	_, clusterErr := ci.Governance.GetGovernanceCluster(ctx, connect.NewRequest(&v1.GetGovernanceClusterRequest{Id: rows[0].ID}))
	_, evidenceErr := ci.Governance.GetEvidence(ctx, connect.NewRequest(&v1.GetEvidenceRequest{From: 1, To: now.UnixNano()}))
	_, reviewsErr := ci.Governance.ListReviews(ctx, connect.NewRequest(&v1.ListReviewsRequest{}))
	for what, err := range map[string]error{"cost": costErr, "compliance": complianceErr, "cluster": clusterErr, "evidence": evidenceErr, "reviews": reviewsErr} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAPipelineMayDoWhatItsScopeSaysAndNothingElse(t *testing.T) {
	h := startAs(t, "local")
	ctx := t.Context()
	gov, images := pipeline(t, h, "governance"), pipeline(t, h)

	// Calls of people, with whichever scope.
	for who, c := range map[string]*client.Client{"governance": gov, "images": images} {
		_, review := c.Governance.AddReview(ctx, connect.NewRequest(&v1.AddReviewRequest{Subject: "recommendations"}))
		_, again := c.Governance.Reevaluate(ctx, connect.NewRequest(&v1.ReevaluateRequest{}))
		_, alerts := c.Alerts.ListAlerts(ctx, connect.NewRequest(&v1.ListAlertsRequest{}))
		_, closes := c.Alerts.SetAlertStatus(ctx, connect.NewRequest(&v1.SetAlertStatusRequest{}))
		_, joins := c.Clusters.CreateJoinToken(ctx, connect.NewRequest(&v1.CreateJoinTokenRequest{}))
		for what, err := range map[string]error{"review": review, "reevaluate": again, "alerts": alerts, "close": closes, "join": joins} {
			if connect.CodeOf(err) != connect.CodePermissionDenied || !strings.Contains(err.Error(), "no pipeline may do this") {
				t.Errorf("%s with %s: %v", what, who, err)
			}
		}
		if _, err := c.SignInURL(ctx); err == nil {
			t.Errorf("%s signs people in", who)
		}
		if _, err := c.PipelineToken(ctx, "more", []string{"images", "governance"}); err == nil {
			t.Errorf("%s makes itself a token", who)
		}
		if _, err := c.PipelineTokens(ctx); err == nil {
			t.Errorf("%s lists tokens", who)
		}
	}

	// Calls of the other scope are refused with the scope's name: unary calls, streams that
	// are larger than what a connection buffers, and documents.
	lacks := func(what, scope string, err error) {
		t.Helper()
		if connect.CodeOf(err) != connect.CodePermissionDenied || !strings.Contains(err.Error(), `lacks the scope "`+scope+`"`) || !strings.Contains(err.Error(), "--scope "+scope) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := gov.Images.RecordGate(ctx, connect.NewRequest(&v1.RecordGateRequest{}))
	lacks("gate", "images", err)
	_, err = images.Governance.GetCost(ctx, connect.NewRequest(&v1.GetCostRequest{}))
	lacks("cost", "governance", err)
	_, err = submitSnapshot(ctx, images.Governance, make([]byte, 4<<20))
	lacks("snapshot", "governance", err)
	if s, err := h.Governance().Stored(ctx); err == nil {
		t.Errorf("something was judged: %+v", s)
	}
	token, err := h.client(t).PipelineToken(ctx, "build", nil)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL()+"/reports/playbook.md", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("a document without the scope: %s", res.Status)
	}
	if both := pipeline(t, h, "governance", "images"); both != nil {
		if _, err := submit(t, both, catalogOf(2), true); err != nil {
			t.Errorf("both scopes: %v", err)
		}
		if _, err := both.Governance.GetCost(ctx, connect.NewRequest(&v1.GetCostRequest{})); err != nil {
			t.Errorf("both scopes: %v", err)
		}
	}
	if _, err := h.client(t).PipelineToken(ctx, "x", []string{"everything"}); err == nil || !strings.Contains(err.Error(), `scope "everything" is not known: want some of images, governance`) {
		t.Errorf("an unknown scope: %v", err)
	}
}

func TestPipelinesTokensAreListedAndEnded(t *testing.T) {
	h := startAs(t, "local")
	ctx := t.Context()
	ci := pipeline(t, h, "governance", "images")
	operator := h.client(t)
	list, err := operator.PipelineTokens(ctx)
	if err != nil || len(list) != 1 || list[0].Label != "build" || !slices.Equal(list[0].Scopes, []string{"images", "governance"}) || list[0].Expires <= list[0].Created {
		t.Fatal(list, err)
	}
	if err := operator.EndPipelineToken(ctx, "0123"); err == nil || !strings.Contains(err.Error(), "no pipeline's token has this id") {
		t.Errorf("an unknown id: %v", err)
	}
	if err := operator.EndPipelineToken(ctx, list[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := ci.Governance.GetCost(ctx, connect.NewRequest(&v1.GetCostRequest{})); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("an ended token: %v", err)
	}
	if list, err = operator.PipelineTokens(ctx); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
}
