package govern

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/finding"
)

// imagesOf is a cluster that only Dockreeve watches, with what its images' canary did.
func imagesOf(t *testing.T, k ...Canary) (*ClusterRow, *Evaluation) {
	t.Helper()
	c := aks(subB, "c", no(), nil)
	o := watched(&c, int64(time.Hour))
	o.Canaries = append(o.Canaries, k...)
	ev := Evaluate(&Input{Now: testNow, Tenant: tenantOf(c), Observed: []Observed{o}})
	return rowNamed(t, ev, "c"), ev
}

func TestImagesAreProvenByTheTestImage(t *testing.T) {
	const hour = int64(time.Hour)
	const found = "CVE-2024-1 in alpha 0-1, fixed in 1.2-3 (Debian:12); advisories of 2026-05-01"
	for name, x := range map[string]struct {
		canaries []Canary
		state    string
		says     string
		finding  bool
	}{
		"came back":    {[]Canary{{Kind: CanaryImage, Sent: testNow - 3*hour, Seen: testNow - 3*hour, Every: 24 * hour, Answer: found}}, RowClosed, "test image was found vulnerable 3 h ago (" + found + ")", false},
		"none sent":    {nil, RowNotAssessed, "that it detects is not proven: no canary was sent", false},
		"could not be": {[]Canary{{Kind: CanaryImage, NotAssessed: "there is no advisory database"}}, RowNotAssessed, "not proven: there is no advisory database", false},
		"long ago":     {[]Canary{{Kind: CanaryImage, Sent: testNow - hour, Seen: testNow - 90*hour, Every: 24 * hour, Answer: "alpha 0-1 was not found vulnerable"}}, RowOpen, "did not come back in time: it runs and does not detect (alpha 0-1 was not found vulnerable)", true},
		"never":        {[]Canary{{Kind: CanaryImage, Sent: testNow - hour, Every: 24 * hour, Answer: "x"}}, RowOpen, "it runs and does not detect (x)", true},
		"last one not": {[]Canary{{Kind: CanaryImage, Sent: testNow - hour, Seen: testNow - 20*hour, Every: 24 * hour, Answer: "x"}}, RowClosed, "test image was found vulnerable 20 h ago; the one after it did not come back: x", false},
		"on its way":   {[]Canary{{Kind: CanaryImage, Sent: testNow - 1, Seen: testNow - 24*hour, Every: 24 * hour}}, RowClosed, "test image was found vulnerable 24 h ago", false},
	} {
		t.Run(name, func(t *testing.T) {
			r, ev := imagesOf(t, x.canaries...)
			if r.Images.State != x.state || !strings.Contains(r.Images.Why+"|"+r.Images.Proof, x.says) {
				t.Errorf("%+v", r.Images)
			}
			i := slices.IndexFunc(ev.Findings, func(f Finding) bool { return f.Key == RuleCanary+"|images|image" })
			if i >= 0 != x.finding {
				t.Fatalf("%+v", ev.Findings)
			}
			if i >= 0 {
				if f := ev.Findings[i]; f.Severity != finding.High || f.Subject.Kind != "hub" || !strings.Contains(f.Summary, "images of 1 cluster are scanned in name only: c") {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

// The test image is the hub's: it fails for all clusters at once, and one cause is one
// alert, in the findings as among what was set and forgotten.
func TestATestImageThatFailsIsOneAlert(t *testing.T) {
	const hour = int64(time.Hour)
	in := &Input{Now: testNow, Tenant: tenantOf()}
	lost := Canary{Kind: CanaryImage, Sent: testNow - hour, Seen: testNow - 90*hour, Every: 24 * hour}
	for _, name := range []string{"a", "b", "c"} {
		c := aks(subB, name, no(), map[string]string{"environment": "production", "owner": "x"})
		o := watched(&c, hour)
		o.Canaries = append([]Canary{lost}, o.Canaries...)
		in.Tenant.Clusters, in.Observed = append(in.Tenant.Clusters, c), append(in.Observed, o)
	}
	in.Config.Provider = providerDockreeve
	ev := Evaluate(in)
	high := map[string]int{}
	for _, f := range ev.Findings {
		if f.Severity >= finding.Medium {
			high[f.Rule]++
		}
	}
	if high[RuleCanary] != 1 || high[RuleUnprotected] != 0 || high[RuleWorse] != 0 {
		t.Errorf("%v", high)
	}
	for i := range ev.Clusters {
		if r := &ev.Clusters[i]; r.Protected.Value || r.Protected.NotAssessed != "" {
			t.Errorf("%s is protected: %+v", r.Name, r.Images)
		}
	}
	check := forgotten(in, newIndex(in).config)
	n := 0
	for _, f := range check.Found {
		if strings.Contains(f.Why, "image") && f.Kind == "hub" {
			n++
		} else if f.Kind == "cluster" {
			t.Errorf("%+v", f)
		}
	}
	if n != 1 {
		t.Errorf("%+v", check.Found)
	}
	if other := slices.ContainsFunc(ev.Findings, func(f Finding) bool { return f.Rule == RuleUnprotected }); !other {
		t.Error("what is not protected is no finding at all")
	}
}
