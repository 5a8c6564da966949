package report

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory"
)

// A team is told each reason once, however many reads it cost.
func TestGapsOfATeamAreToldByTheirReason(t *testing.T) {
	ev := &govern.Evaluation{}
	for i := range 30 {
		ev.Gaps = append(ev.Gaps, inventory.Gap{What: fmt.Sprint("read ", i), Reason: "403"}, inventory.Gap{What: "price", Reason: fmt.Sprint("unknown size ", i/2)})
	}
	s := &Summary{}
	s.gaps(ev)
	if len(s.Gaps) != 11 || s.Gaps[0] != "read 0 and 29 more: 403" || s.Gaps[1] != "price and 1 more: unknown size 0" || s.Gaps[10] != "6 further reasons" {
		t.Errorf("told: %q", s.Gaps)
	}
}

// What a page has no room for is in the CSV, all of it.
func TestTheCSVHoldsEveryPartOfANumber(t *testing.T) {
	v := 1.0
	k := govern.KPI{ID: "k", Value: &v}
	for i := range 75 {
		k.By = append(k.By, govern.Slice{Name: fmt.Sprintf("owner-%02d", i), Values: map[string]float64{"n": float64(i)}})
	}
	got := newKPI(k)
	if len(got.By) != 30 || got.More != 45 || len(got.Rest) != 45 {
		t.Fatalf("%d shown, %d more, %d kept", len(got.By), got.More, len(got.Rest))
	}
	var b strings.Builder
	if err := writeCSV(&b, &document{KPIs: []kpi{got}}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "owner-00") || !strings.Contains(b.String(), "owner-74") || strings.Count(b.String(), "owner-") != 75 {
		t.Errorf("the CSV holds %d of 75", strings.Count(b.String(), "owner-"))
	}
}
