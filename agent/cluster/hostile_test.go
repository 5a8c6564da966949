package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/internal/clock"
	"github.com/dockreeve/dockreeve/link"
)

// says returns the reasons of all that the agent says is not assessed.
func says(t *testing.T, a *Agent, s *sink) (status link.Status, cluster string) {
	t.Helper()
	if err := a.sendStatus(context.Background()); err != nil {
		t.Fatal(err)
	}
	sent := s.kind(link.KindStatus)
	if err := json.Unmarshal(sent[len(sent)-1], &status); err != nil {
		t.Fatal(err)
	}
	a.describe()
	for _, d := range a.State().Full() {
		if d.Cluster != nil {
			for _, g := range d.Cluster.Gaps {
				cluster += g.What + ": " + g.Reason + "\n"
			}
		}
	}
	return status, cluster
}

func heard(t *testing.T, a *Agent, doc string) {
	t.Helper()
	if err := a.Intake().Reader(strings.NewReader(doc)).Run(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestAnAPIServerThatFellSilentIsNotCalledWatched(t *testing.T) {
	now := clock.NewManual(time.Unix(1_790_000_000, 0))
	s := &sink{}
	a := agentWith(t, s, func(o *Options) { o.Clock = now })
	a.Way("webhook")
	heard(t, a, string(request("one", "jo", "get", "pods", "red").JSON))
	now.Advance(10 * time.Minute)
	if st, said := says(t, a, s); st.NotAssessed != "" || strings.Contains(said, "has come for") {
		t.Errorf("after ten minutes: %q, %s", st.NotAssessed, said)
	}
	now.Advance(50 * time.Minute)
	st, said := says(t, a, s)
	if !strings.Contains(st.NotAssessed, "for 1h0m0s") || !strings.Contains(said, "for 1h0m0s") {
		t.Errorf("an hour after the last event the API server counts as watched: %q, %s", st.NotAssessed, said)
	}
	heard(t, a, string(request("again", "jo", "get", "pods", "red").JSON))
	if st, said := says(t, a, s); st.NotAssessed != "" || strings.Contains(said, "has come for") {
		t.Errorf("heard again: %q, %s", st.NotAssessed, said)
	}
}

func TestWhatCouldNotBeLookedIntoIsSaid(t *testing.T) {
	s := &sink{}
	a := agentWith(t, s, nil)
	a.Way("webhook")
	heard(t, a, string(request("read", "jo", "get", "pods", "red").JSON))
	if _, said := says(t, a, s); strings.Contains(said, "could not be looked into") {
		t.Errorf("of a read: %s", said)
	}
	for i := range 5 { // an audit policy of metadata only
		heard(t, a, string(request(fmt.Sprint("write", i), "jo", "create", "pods", "red").JSON))
	}
	st, said := says(t, a, s)
	if !strings.Contains(said, "at least 4 requests") || !strings.Contains(said, "create pods") {
		t.Errorf("of pods created, with objects that are not recorded: %s", said)
	}
	found := false
	for _, g := range st.Gaps {
		found = found || strings.Contains(g.Reason, "at least 4 requests")
	}
	if !found {
		t.Errorf("the status does not say it: %+v", st.Gaps)
	}
}

func TestATriedChangeIsNoneAndAWayInIsNotTried(t *testing.T) {
	for uri, want := range map[string]int{
		"/api/v1/namespaces/red/pods?dryRun=All&fieldManager=x":                0,
		"/api/v1/namespaces/red/pods?fieldManager=x":                           1,
		"/api/v1/namespaces/red/pods?dryRun=All;x":                             1,
		"/api/v1/namespaces/red/pods/web/exec?command=sh&dryRun=All":           1,
		"/api/v1/namespaces/red/serviceaccounts/default/token?dryRun=All":      1,
		"/api/v1/namespaces/red/pods?fieldManager=dryRun&x=%64ryRun=All&dry=1": 1,
	} {
		s := &sink{}
		a := agentWith(t, s, nil)
		doc := string(request("one", "jo", "create", "pods", "red").JSON)
		switch {
		case strings.Contains(uri, "/exec"):
			doc = strings.Replace(doc, `"resource":"pods"`, `"resource":"pods","subresource":"exec","name":"web"`, 1)
		case strings.Contains(uri, "/token"):
			doc = strings.Replace(doc, `"resource":"pods"`, `"resource":"serviceaccounts","subresource":"token","name":"default"`, 1)
		}
		doc = strings.Replace(doc, `"requestURI":"/api"`, `"requestURI":"`+uri+`","requestObject":{"spec":{"containers":[{"name":"c","image":"a","securityContext":{"privileged":true}}]}}`, 1)
		heard(t, a, doc)
		if got := len(s.kind(link.KindFinding)); got != want {
			t.Errorf("%s: %d findings, want %d", uri, got, want)
		}
	}
}
