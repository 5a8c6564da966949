package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/posture"
	"github.com/dockreeve/dockreeve/query"
)

const day = 24 * hour

func pointer[T any](v T) *T { return &v }

func money(units float64) cost.Money {
	return cost.Money{Amount: cost.FromFloat(units), Currency: "EUR"}
}

func governed(at int64) *Governance {
	yes, unknown := inventory.Assessed{Value: true}, inventory.Assessed{NotAssessed: "read denied"}
	row := func(id, owner, env string, risk float64) govern.ClusterRow {
		return govern.ClusterRow{ID: id, Name: id, Kind: "aks", Environment: env, Production: env == "production", Ownership: govern.Ownership{Owner: owner}, Risk: risk, RiskMoney: risk * 10,
			Protected: yes, Plan: yes, Profile: yes, MonthToDate: cost.Money{NotAssessed: "no bill"}}
	}
	a, b, c := row("a", "payments", "production", 80), row("b", "search", "staging", 10), row("c", inventory.Unowned, "production", 40)
	a.Here, a.Score, a.Critical, a.AlertsOpen, a.MonthToDate, a.Budget, a.Forecast = "prod-a", pointer(0.75), pointer(3), pointer(2), money(1234.5), money(1000), money(2000)
	b.Protected, b.Plan = inventory.Assessed{}, unknown
	b.Gaps = []inventory.Gap{{What: "defender-plan", Reason: "read denied"}}
	c.Protected, c.UncoveredSince, c.Anomaly = unknown, at-10*day, "spend"
	return &Governance{
		Evaluation: &govern.Evaluation{At: at, Clusters: []govern.ClusterRow{a, b, c},
			Subscriptions:   []govern.SubscriptionRow{{ID: "/subscriptions/1", Name: "one", Relevant: yes, Plan: unknown, Clusters: 3, Missing: []string{"ContainerSensor"}, Owner: govern.Ownership{Owner: "payments"}}},
			Recommendations: []govern.Recommendation{{ID: "aks-rbac", Title: "Turn RBAC on", Severity: "high", Owner: "payments", Sources: []string{"dockreeve", "defender"}, Rank: 5, Overdue: true, Due: at - day}, {ID: "aks-rbac", Title: "Turn RBAC on", Severity: "high", Owner: "search", Rank: 9}},
			Findings:        []govern.Finding{{Key: "unowned/c", Rule: "unowned", Severity: finding.Medium, Subject: govern.Ref{Kind: "cluster", ID: "c", Name: "c"}, Owner: inventory.Unowned, Summary: "nobody owns c", At: at}},
			Scores:          map[string][]posture.Score{"": {{Framework: "cis-aks-1.8", Pass: 3, Fail: 1, Ratio: 0.75}}, "cluster:a": {{Framework: "cis-aks-1.8", Pass: 1}}},
			Day:             govern.Day{At: at, Values: map[string]float64{"coverage": 0.5}, Clusters: map[string]govern.DayRow{"a": {Protected: "yes", Score: pointer(0.75)}}, Findings: map[string]int64{"unowned/c": at}},
		},
		Costs:    &cost.Report{Currency: "EUR", Billed: money(1234.5), Clusters: map[string]cost.ClusterCost{"a": {MonthToDate: money(1234.5)}}},
		Controls: []posture.Control{{ID: "aks-rbac", Severity: "high", Maps: map[string][]string{"cis-aks-1.8": {"5.4.1"}, "pci-dss-4": {"7.2"}}}, {ID: "ns-policy", Severity: "low"}},
		Results: []posture.Result{
			{Control: "aks-rbac", Cluster: "a", Resource: "a", Verdict: posture.Fail, Failing: 4}, {Control: "aks-rbac", Cluster: "b", Resource: "b", Verdict: posture.Pass},
			{Control: "ns-policy", Cluster: "a", Resource: "a", Verdict: posture.NotAssessed}, {Control: "ns-policy", Cluster: "c", Resource: "c", Verdict: posture.Fail},
		},
	}
}

func (f *fixture) governed(t *testing.T, g *Governance) GovStored {
	t.Helper()
	out, err := f.SetGovernance(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (f *fixture) govKeys(t *testing.T, kind, filter, order string) string {
	t.Helper()
	q, err := query.Parse(GovernanceFields(kind), filter)
	if err != nil {
		t.Fatal(err)
	}
	page, err := f.Governance(t.Context(), kind, ImageQuery{Filter: q, Order: order, Limit: MaxPage})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, it := range page.Items {
		keys = append(keys, it.Key)
	}
	if int(page.Total) != len(keys) {
		t.Errorf("%s %q: total %d of %d rows", kind, filter, page.Total, len(keys))
	}
	return strings.Join(keys, " ")
}

func TestGovernanceListsAreFilteredAndOrdered(t *testing.T) {
	f := open(t, Options{})
	at := f.now.Load()
	f.governed(t, governed(at))
	for _, c := range []struct{ kind, filter, order, want string }{
		{GovCluster, "", "", "a c b"},
		{GovCluster, "", "-risk", "b c a"},
		{GovCluster, "owner:payments", "", "a"},
		{GovCluster, "owner:unowned", "", "c"},
		{GovCluster, "env:production", "", "a c"},
		{GovCluster, "prod:no", "", "b"},
		{GovCluster, "protected:no,unknown", "name", "b c"},
		{GovCluster, "plan:unknown", "", "b"},
		{GovCluster, "onboarded:no", "name", "b c"},
		{GovCluster, `here:""`, "name", "b c"},
		{GovCluster, "score:<0.8", "", "a"},
		{GovCluster, "-score:<0.8", "", ""}, // not assessed is found by no filter
		{GovCluster, "critical:>0", "", "a"},
		{GovCluster, "alerts:>=2", "", "a"},
		{GovCluster, "cost:>1000", "", "a"},
		{GovCluster, "over:yes", "", "a"},
		{GovCluster, "", "cost", "a c b"},
		{GovCluster, "risk:>=40 anomaly:yes", "", "c"},
		{GovCluster, "uncovered:>7d", "", "c"},
		{GovCluster, "gap:*", "", "b"},
		{GovCluster, "pay", "", "a"},
		{GovSubscription, "plan:unknown missing:ContainerSensor", "", "/subscriptions/1"},
		{GovResult, "", "", "aks-rbac@a ns-policy@c ns-policy@a aks-rbac@b"},
		{GovResult, "verdict:fail severity:>=high", "", "aks-rbac@a"},
		{GovResult, "framework:cis-aks-1.8", "control", "aks-rbac@a aks-rbac@b"},
		{GovResult, "requirement:7.2 cluster:b", "", "aks-rbac@b"},
		{GovResult, `framework:""`, "control", "ns-policy@a ns-policy@c"},
		{GovResult, "owner:payments verdict:not-assessed", "", "ns-policy@a"},
		{GovRecommendation, "", "", "aks-rbac@search aks-rbac@payments"},
		{GovRecommendation, "source:defender overdue:yes", "", "aks-rbac@payments"},
		{GovRecommendation, "fixed:no sev:high owner:search", "", "aks-rbac@search"},
		{GovFinding, "rule:unowned kind:cluster sev:medium", "", "unowned/c"},
	} {
		if got := f.govKeys(t, c.kind, c.filter, c.order); got != c.want {
			t.Errorf("%s %q by %q: got %q, want %q", c.kind, c.filter, c.order, got, c.want)
		}
	}
	if _, err := f.Governance(t.Context(), "other", ImageQuery{}); !errors.Is(err, ErrGovKind) {
		t.Errorf("unknown kind: %v", err)
	}
	if _, err := f.Governance(t.Context(), GovCluster, ImageQuery{Order: "doc; DROP TABLE alerts"}); !errors.Is(err, ErrImageOrder) {
		t.Errorf("unknown order: %v", err)
	}
	row, costs, err := f.GovernanceCluster(t.Context(), "prod-a")
	if err != nil || row.Key != "a" || !strings.Contains(string(costs), `"micros":1234500000`) {
		t.Errorf("cluster by the name it has here: %s %s %v", row.Key, costs, err)
	}
	if _, _, err := f.GovernanceCluster(t.Context(), ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("cluster without a name: %v", err)
	}
	verdicts, err := f.GovernanceVerdicts(t.Context())
	if err != nil || verdicts["ns-policy"]["fail"] != 1 || verdicts["ns-policy"]["not-assessed"] != 1 || verdicts["aks-rbac"]["pass"] != 1 {
		t.Error(verdicts, err)
	}
	list, err := f.GovernanceResults(t.Context(), "a")
	if err != nil || len(list) != 2 || !strings.Contains(string(list[0]), `"fail"`) {
		t.Errorf("%s %v", list, err)
	}
	doc, when, _, err := f.GovDocument(t.Context(), GovEvaluation)
	if err != nil || when != at || strings.Contains(string(doc), "nobody owns c") || strings.Contains(string(doc), "cluster:a") {
		t.Errorf("the evaluation holds its lists: %s %v", doc, err)
	}
	if doc, _, _, err = f.GovDocument(t.Context(), GovScores); err != nil || !strings.Contains(string(doc), "cluster:a") {
		t.Errorf("%s %v", doc, err)
	}
}

// seqs are the change numbers of the clusters, by key.
func (f *fixture) seqs(t *testing.T) map[string]uint64 {
	t.Helper()
	page, err := f.Governance(t.Context(), GovCluster, ImageQuery{Limit: MaxPage})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]uint64{}
	for _, it := range page.Items {
		out[it.Key] = it.ChangeSeq
	}
	return out
}

func TestOnlyWhatChangedIsWritten(t *testing.T) {
	f := open(t, Options{})
	at := f.now.Load()
	if got := f.governed(t, governed(at)); got.Written != 3+1+4+2+1+1 || got.Gone+got.Same+got.Dropped != 0 {
		t.Fatalf("first: %+v", got)
	}
	before := f.seqs(t)
	if got := f.governed(t, governed(at)); got.Written != 0 || got.Gone != 0 || got.Same != 12 {
		t.Fatalf("again: %+v", got)
	}
	if after := f.seqs(t); !reflect.DeepEqual(before, after) {
		t.Errorf("what is as it was has another number: %v, %v", before, after)
	}
	g := governed(at + hour)
	g.Evaluation.Clusters = g.Evaluation.Clusters[:2]
	g.Evaluation.Clusters[0].Risk = 90
	g.Evaluation.Findings = nil
	// The row of the cluster that is gone, its finding; and the owner of its result.
	if got := f.governed(t, g); got.Gone != 2 {
		t.Fatalf("two are gone: %+v", got)
	}
	after := f.seqs(t)
	if _, ok := after["c"]; ok || after["b"] != before["b"] || after["a"] <= before["a"] {
		t.Errorf("before %v, after %v", before, after)
	}
	changes, _, err := f.Changes(t.Context(), before["b"], 100)
	if err != nil || !slices.ContainsFunc(changes, func(c Change) bool { return c.Kind == ChangeGovernance }) {
		t.Error("nobody was told", changes, err)
	}
}

// What is listed is what was stored last, whatever was stored before.
func TestTheLastEvaluationIsTheOneThatIsListed(t *testing.T) {
	f := open(t, Options{noSync: true})
	rapid.Check(t, func(t *rapid.T) {
		at := f.now.Add(hour)
		keys := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}), 0, 6, rapid.ID[string]).Draw(t, "clusters")
		g := &Governance{Evaluation: &govern.Evaluation{At: at}}
		want := map[string]string{}
		for _, k := range keys {
			owner := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "owner")
			want[k] = owner
			g.Evaluation.Clusters = append(g.Evaluation.Clusters, govern.ClusterRow{ID: k, Name: k, Ownership: govern.Ownership{Owner: owner}})
		}
		if _, err := f.SetGovernance(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		page, err := f.Governance(t.Context(), GovCluster, ImageQuery{})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, it := range page.Items {
			var r govern.ClusterRow
			if err := json.Unmarshal(it.Doc, &r); err != nil {
				t.Fatal(err)
			}
			got[it.Key] = r.Ownership.Owner
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestALargeEvaluationIsWrittenInSteps(t *testing.T) {
	f := open(t, Options{noSync: true})
	g := governed(f.now.Load())
	g.Results = nil
	for i := range 2*govOnce + 10 {
		g.Results = append(g.Results, posture.Result{Control: "x", Cluster: "a", Resource: fmt.Sprintf("r%05d", i), Verdict: posture.Fail})
	}
	g.Results = append(g.Results, g.Results[0]) // a key that came before
	seq := f.Seq()
	if got := f.governed(t, g); got.Dropped != 1 {
		t.Fatalf("%+v", got)
	}
	changes, _, err := f.Changes(t.Context(), seq, MaxPage)
	if err != nil || len(changes) < 3 {
		t.Errorf("one transaction held everything up: %v %v", changes, err)
	}
	page, err := f.Governance(t.Context(), GovResult, ImageQuery{Limit: 1})
	if err != nil || page.TotalAll != 2*govOnce+10 {
		t.Error(page.TotalAll, err)
	}
	if at, err := f.GovWriting(t.Context()); at != 0 || err != nil {
		t.Error("it is still being written", at, err)
	}
	doc, _, _, err := f.GovDocument(t.Context(), GovEvaluation)
	if err != nil || !strings.Contains(string(doc), "1 rows are not kept") {
		t.Errorf("what was dropped is not told: %s %v", doc, err)
	}
	losses, err := f.Losses(t.Context(), f.now.Load())
	if err != nil || !slices.ContainsFunc(losses, func(l Loss) bool { return l.Hop == HopGovernance && l.Count == 1 }) {
		t.Error("the loss is not counted", losses, err)
	}
}

func TestDaysAreOneADayAndBounded(t *testing.T) {
	f := open(t, Options{noSync: true})
	start := f.now.Load() - f.now.Load()%day
	for i := range govern.MaxDays + 5 {
		g := governed(start + int64(i)*day)
		f.governed(t, g)
		if i == 10 {
			g = governed(start + int64(i)*day + hour)
			g.Evaluation.Day.At, g.Evaluation.Day.Values["coverage"] = g.Evaluation.At, 0.75
			f.governed(t, g)
			f.governed(t, governed(start+int64(i)*day)) // an earlier one of that day does not undo it
		}
	}
	end := start + int64(govern.MaxDays+5)*day
	days, err := f.GovDays(t.Context(), end, 2)
	if err != nil || len(days) != govern.MaxDays || days[0].At != start+5*day {
		t.Fatal(len(days), err)
	}
	if days[5].Values["coverage"] != 0.75 {
		t.Errorf("the latest of a day is kept: %v", days[5])
	}
	last := days[len(days)-1]
	if days[len(days)-3].Clusters != nil || last.Clusters["a"].Protected != "yes" || days[len(days)-2].Findings["unowned/c"] == 0 {
		t.Errorf("the newest two are whole, the rest are numbers: %+v", days[len(days)-3:])
	}
	if days, err = f.GovDays(t.Context(), start+8*day, 2); err != nil || len(days) != 3 {
		t.Errorf("those before a time: %d %v", len(days), err)
	}
	at, rows, err := f.GovClusterDays(t.Context(), "a")
	if err != nil || len(rows) != maxClusterDays || at[0] >= at[1] || *rows[0].Score != 0.75 {
		t.Error(len(rows), err)
	}
}

func TestReviewsAreKept(t *testing.T) {
	f := open(t, Options{})
	for i, r := range []govern.Review{{ID: "1", Subject: "exemptions", By: "ann", At: 5}, {ID: "2", Subject: "access", By: "bob", At: 9, NextDue: 20}, {ID: "1", Subject: "changed"}} {
		if err := f.AddReview(t.Context(), r); err != nil {
			t.Fatal(i, err)
		}
	}
	list, err := f.Reviews(t.Context())
	if err != nil || len(list) != 2 || list[0].By != "bob" || list[1].Subject != "exemptions" {
		t.Fatal(list, err)
	}
}

func charge(at int64, resource, meter string, billed float64) cost.Charge {
	return cost.Charge{Start: at, End: at + day, Category: "Usage", Currency: "EUR", Resource: resource, Meter: meter, Billed: cost.FromFloat(billed)}
}

func (f *fixture) deliver(t *testing.T, replace bool, list ...cost.Charge) []string {
	t.Helper()
	d, err := f.NewDelivery(t.Context(), ChargesBill, replace)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if err := d.Add(t.Context(), &list[i]); err != nil {
			t.Fatal(err)
		}
	}
	days, err := d.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return days
}

func (f *fixture) charges(t *testing.T) (sum cost.Amount, n int) {
	t.Helper()
	bill, _, err := f.Bill(t.Context(), ChargesBill, "0000", "9999", math.MaxInt)
	if err != nil {
		t.Fatal(err)
	}
	for c := range bill.All() {
		sum += c.Billed
	}
	return sum, bill.Len()
}

func TestChargesAreReplacedByDayOrByMeter(t *testing.T) {
	f := open(t, Options{noSync: true})
	d0 := f.now.Load() - f.now.Load()%day - 3*day
	var many []cost.Charge
	for i := range 2*chargePart + 3 {
		many = append(many, charge(d0, fmt.Sprint("vm", i), "cores", 1))
	}
	many = append(many, charge(d0+day, "vm0", "cores", 7))
	if days := f.deliver(t, true, many...); !slices.Equal(days, []string{dayOf(d0), dayOf(d0 + day)}) {
		t.Fatal(days)
	}
	if sum, n := f.charges(t); n != 2*chargePart+4 || sum != cost.FromFloat(2*chargePart+3+7) {
		t.Fatal(sum, n)
	}
	// The same told again, whichever way, adds nothing.
	f.deliver(t, false, many...)
	f.deliver(t, true, many...)
	if sum, n := f.charges(t); n != 2*chargePart+4 || sum != cost.FromFloat(2*chargePart+3+7) {
		t.Fatal("told again it counts again", sum, n)
	}
	// Another price of one meter takes its place; another meter comes beside it.
	f.deliver(t, false, charge(d0+day, "vm0", "cores", 9), charge(d0+day, "vm0", "disk", 2))
	if sum, n := f.charges(t); n != 2*chargePart+5 || sum != cost.FromFloat(2*chargePart+3+11) {
		t.Fatal(sum, n)
	}
	// Two of one delivery that look alike are two.
	f.deliver(t, true, charge(d0, "vm", "cores", 1), charge(d0, "vm", "cores", 1))
	if sum, n := f.charges(t); n != 4 || sum != cost.FromFloat(13) {
		t.Fatal(sum, n)
	}
	// Another subscription's day stays, and so does the other origin.
	other := charge(d0, "vm", "cores", 3)
	other.SubAccount = "/subscriptions/2"
	f.deliver(t, true, other)
	if sum, n := f.charges(t); n != 5 || sum != cost.FromFloat(16) {
		t.Fatal(sum, n)
	}
	q, err := f.NewDelivery(t.Context(), ChargesQuery, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.deliver(t, true, other)
	days, err := f.ChargeDays(t.Context())
	if err != nil || days[dayOf(d0)] != 3 || days[dayOf(d0+day)] != 2 {
		t.Error(days, err)
	}
}

// A charge is read as it was written, whatever it holds.
func TestChargesAreKeptWhole(t *testing.T) {
	f := open(t, Options{})
	c := charge(f.now.Load(), "vm", "cores", -2.5)
	c.Tags, c.More, c.Quantity, c.Commitment, c.Class = map[string]string{"a": "b"}, map[string]string{"x_": ""}, 1.5, "r", "Correction"
	f.deliver(t, true, c)
	bill, over, err := f.Bill(t.Context(), ChargesBill, "0000", "9999", 9)
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Collect(bill.All()); over != 0 || len(got) != 1 || !reflect.DeepEqual(got[0], c) {
		t.Errorf("%+v", got)
	}
	// Charges of which none is like another are written in good time.
	var many []cost.Charge
	for i := range maxDistinct + 10 {
		many = append(many, charge(f.now.Load()-int64(i%30)*day, fmt.Sprint(i), "m", 1))
	}
	f.deliver(t, true, many...)
	if _, n := f.charges(t); n != len(many) {
		t.Error(n)
	}
	if bill, over, err := f.Bill(t.Context(), ChargesBill, "0000", "9999", 100); err != nil || bill.Len() != 100 || over != len(many)-100 {
		t.Error(bill.Len(), over, err)
	}
}

func TestADeliveryThatIsBrokenOffChangesNothing(t *testing.T) {
	f := open(t, Options{})
	at := f.now.Load()
	f.deliver(t, true, charge(at, "vm", "cores", 5))
	d, err := f.NewDelivery(t.Context(), ChargesBill, true)
	if err != nil {
		t.Fatal(err)
	}
	for range maxWaiting + 1 {
		c := charge(at, "vm", "cores", 1)
		if err := d.Add(t.Context(), &c); err != nil {
			t.Fatal(err)
		}
	}
	var parts int
	if err := f.read.QueryRow("SELECT COUNT(*) FROM gov_charges WHERE valid = 0").Scan(&parts); err != nil || parts == 0 {
		t.Fatal("nothing was written yet that could be broken off", parts, err)
	}
	if _, err := f.NewDelivery(t.Context(), ChargesBill, true); !errors.Is(err, ErrBusy) {
		t.Errorf("two at once: %v", err)
	}
	if sum, _ := f.charges(t); sum != cost.FromFloat(5) {
		t.Error("what is not committed is in force", sum)
	}
	if err := d.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if sum, _ := f.charges(t); sum != cost.FromFloat(5) {
		t.Error("broken off it changed something", sum)
	}
	f.deliver(t, true, charge(at, "vm", "cores", 6))
	if sum, _ := f.charges(t); sum != cost.FromFloat(6) {
		t.Error(sum)
	}
	f.now.Add(keepCharges*day + 2*day)
	if _, err := f.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, n := f.charges(t); n != 0 {
		t.Error("charges older than are kept are there")
	}
}

func TestUseIsReplacedByHourAndStart(t *testing.T) {
	f := open(t, Options{})
	h := f.now.Load()
	tell := func(boot int64, charged float64) {
		f.tell(t, Item{Usage: &inventory.UsageReport{Cluster: "prod", Time: h, List: []inventory.Usage{{Hour: h, Boot: boot, Namespace: "shop", Charged: charged}}}})
	}
	tell(1, 1)
	tell(1, 2) // the hour goes on
	tell(2, 5) // the agent started anew
	list, more, err := f.Usage(t.Context(), h, h+hour, 10)
	if err != nil || more || len(list) != 2 || list[0].Charged+list[1].Charged != 7 || list[0].Cluster != "prod" {
		t.Fatal(list, more, err)
	}
	if list, more, err = f.Usage(t.Context(), h, h+hour, 1); err != nil || !more || len(list) != 1 {
		t.Error("a bound cuts in silence", list, more, err)
	}
	if list, _, err = f.Usage(t.Context(), h+hour, h+2*hour, 10); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
	f.now.Add((keepUsage + 1) * day)
	if _, err := f.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, _, err = f.Usage(t.Context(), 0, h+day, 10); err != nil || len(list) != 0 {
		t.Error("use older than is kept is there", list, err)
	}
}

func TestCanariesGoForthAndComeBack(t *testing.T) {
	f := open(t, Options{})
	f.tell(t, Item{CameBack: &CameBack{Cluster: "prod", Node: "n1", Kind: "exec", Time: 95}}) // before the word that it was sent
	f.tell(t, Item{Canaries: &inventory.CanaryReport{Cluster: "prod", Time: 100, List: []inventory.Canary{{Kind: "exec", Node: "n1", Sent: 90, Every: 7}, {Kind: "denial", NotAssessed: "no webhook"}}}})
	f.tell(t, Item{Canaries: &inventory.CanaryReport{Cluster: "prod", Time: 50, List: []inventory.Canary{{Kind: "exec", Node: "n1", Sent: 40}}}}) // late
	f.tell(t, Item{CameBack: &CameBack{Cluster: "prod", Node: "n1", Kind: "exec", Time: 30}})
	got, err := f.Canaries(t.Context())
	want := map[string][]inventory.Canary{"prod": {{Kind: "denial", NotAssessed: "no webhook"}, {Kind: "exec", Node: "n1", Sent: 90, Seen: 95, Every: 7}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatal(got, err)
	}
}

func TestAlertFactsHaveTheirClocks(t *testing.T) {
	f := open(t, Options{})
	now := f.now.Load()
	miner := sample("miner", "shop/Deployment/web", 1, now-hour, finding.Critical)
	miner.Rule.Techniques, miner.Subject.Cluster, miner.Subject.Owner = []string{"T1496.001"}, "prod", "payments"
	own := sample(GovernanceRule+"unowned", "c", 1, now-hour, finding.Medium)
	theirs := sample(DefenderRule+"K8S_ExposedKubelet", "c", 1, now-hour, finding.Medium)
	f.put(t, miner, own, theirs, sample("old", "w", 1, now-90*day, finding.High), sample("quiet", "w", 1, now-2*hour, finding.Low))
	id := finding.AlertID(miner.Fingerprint)
	quiet := finding.AlertID(finding.Fingerprint("quiet", "w", "/bin/sh", ""))
	move := func(id string, to finding.Status) {
		if _, err := f.SetStatus(t.Context(), []string{id}, to, "ann", "benign"); err != nil {
			t.Fatal(err)
		}
	}
	f.now.Add(hour)
	move(id, finding.Acknowledged)
	f.now.Add(hour)
	move(id, finding.Resolved)
	move(quiet, finding.Dismissed)
	facts, err := f.AlertFacts(t.Context(), now-60*day, f.now.Load())
	if err != nil || len(facts.Alerts) != 3 {
		t.Fatal(facts, err)
	}
	by := map[string]govern.AlertFact{}
	for _, a := range facts.Alerts {
		by[a.Rule] = a
	}
	if a := by["miner"]; a.Acked != now+hour || a.Closed != now+2*hour || !a.Miner || a.Cluster != "prod" || a.Owner != "payments" || a.Source != "dockreeve" || a.Severity != finding.Critical {
		t.Errorf("%+v", a)
	}
	if a := by[theirs.Rule.ID]; a.Source != "defender" || a.Miner || a.Acked+a.Closed != 0 {
		t.Errorf("%+v", a)
	}
	if len(facts.Suppressed) != 1 || facts.Suppressed[0].Rule != "quiet" || facts.Suppressed[0].By != "ann" || facts.Suppressed[0].Count30d != 1 {
		t.Errorf("%+v", facts.Suppressed)
	}
	// It comes again: open, and not closed.
	f.put(t, sample("miner", "shop/Deployment/web", 2, f.now.Load(), finding.Critical))
	if facts, err = f.AlertFacts(t.Context(), now-60*day, f.now.Load()); err != nil {
		t.Fatal(err)
	}
	for _, a := range facts.Alerts {
		if a.Rule == "miner" && (a.Closed != 0 || a.Status != finding.Open) {
			t.Errorf("%+v", a)
		}
	}
}

func TestNotesGrowByLines(t *testing.T) {
	f := open(t, Options{})
	x := sample("r", "w", 1, f.now.Load(), finding.High)
	f.put(t, x)
	id := finding.AlertID(x.Fingerprint)
	for _, c := range []struct {
		line string
		want bool
	}{{"one", true}, {"two", true}, {"one", false}} {
		if added, err := f.AddNote(t.Context(), id, c.line); err != nil || added != c.want {
			t.Error(c, added, err)
		}
	}
	d, err := f.Alert(t.Context(), id)
	if err != nil || d.Note != "one\ntwo" {
		t.Error(d.Note, err)
	}
	for i := range 200 {
		if _, err := f.AddNote(t.Context(), id, fmt.Sprintf("%d %s", i, strings.Repeat("x", 100))); err != nil {
			t.Fatal(err)
		}
	}
	if d, err = f.Alert(t.Context(), id); err != nil || len(d.Note) > maxAlertNote || !strings.Contains(d.Note, "\n199 ") {
		t.Error(len(d.Note), err)
	}
	if _, err := f.AddNote(t.Context(), "none", "x"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestTwinsAreOursOfTheSameTimeAndCluster(t *testing.T) {
	f := open(t, Options{})
	now := f.now.Load()
	mk := func(rule, cluster string, at int64) *finding.Finding {
		x := sample(rule, cluster, 1, at, finding.High)
		x.Subject.Cluster, x.Rule.Answers = cluster, []string{"K8S_X"}
		return x
	}
	f.put(t, mk("ours", "prod", now), mk("ours", "dev", now), mk("ours2", "prod", now-day), mk(DefenderRule+"x", "prod", now), mk(GovernanceRule+"x", "prod", now))
	list, err := f.Twins(t.Context(), "prod", now-hour, now+hour)
	if err != nil || len(list) != 1 || list[0].Rule != "ours" || !slices.Equal(list[0].Answers, []string{"K8S_X"}) || !slices.Equal(list[0].Techniques, []string{"T1059"}) {
		t.Fatal(list, err)
	}
}

func TestWhatWasRaisedIsRemembered(t *testing.T) {
	f := open(t, Options{})
	if err := f.SetRaised(t.Context(), []Raised{{Key: "a", Hash: []byte{1}, Alert: "x", At: 5}, {Key: "b", Hash: []byte{2}, Alert: "y", At: 5, Gone: 6}}); err != nil {
		t.Fatal(err)
	}
	if err := f.SetRaised(t.Context(), []Raised{{Key: "a", Hash: []byte{3}, Alert: "x", At: 7}}); err != nil {
		t.Fatal(err)
	}
	got, err := f.Raised(t.Context())
	if err != nil || len(got) != 2 || got["a"].At != 7 || got["b"].Gone != 6 {
		t.Fatal(got, err)
	}
}

// One cluster is found in a day whatever its name, and nothing else is taken for it.
func TestOneClusterOfADay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"a", "a\"", "<a>", "\\", "protected", "clusters", "x\":{"}))
		d := govern.Day{At: 1, Clusters: map[string]govern.DayRow{}, Findings: map[string]int64{}, Recommendations: map[string]int64{}}
		for _, n := range rapid.SliceOfN(name, 0, 6).Draw(t, "clusters") {
			if utf8.ValidString(n) {
				d.Clusters[n] = govern.DayRow{Owner: name.Draw(t, "owner"), Since: rapid.Int64().Draw(t, "since")}
			}
		}
		for _, n := range rapid.SliceOfN(name, 0, 3).Draw(t, "findings") {
			d.Findings[n] = 1
		}
		doc, err := json.Marshal(&d)
		if err != nil {
			t.Fatal(err)
		}
		var back govern.Day
		if err := json.Unmarshal(doc, &back); err != nil {
			t.Fatal(err)
		}
		for _, id := range append(rapid.SliceOfN(name, 1, 4).Draw(t, "asked"), sortedIDs(d.Clusters)...) {
			want, there := back.Clusters[id]
			got, ok, err := dayRowOf(doc, id)
			if err != nil || ok != there || !reflect.DeepEqual(got, want) {
				t.Fatalf("%q: %+v %v %v, want %+v %v\n%s", id, got, ok, err, want, there, doc)
			}
		}
	})
}

func sortedIDs(m map[string]govern.DayRow) []string { return slices.Sorted(maps.Keys(m)) }
