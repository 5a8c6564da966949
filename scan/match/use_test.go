package match_test

import (
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inuse"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/match"
	"pgregory.net/rapid"
)

func TestUseIsSaidOnlyAsFarAsItWasWatched(t *testing.T) {
	packages := []scan.Package{
		{Name: "libssl3", Files: []string{"lib/x86_64-linux-gnu/libssl.so.3"}},
		{Name: "flask", Dirs: []string{"usr/lib/python3/dist-packages/flask"}},
		{Name: "flask-extra", Dirs: []string{"usr/lib/python3/dist-packages/flask_extra"}},
		{Name: "tzdata"},
		{Name: "huge", Files: make([]string, scan.MaxFiles)},
	}
	loads := []inuse.Load{
		{Path: "usr/lib/x86_64-linux-gnu/libssl.so.3", First: 100, Last: 500},
		{Path: "usr/lib/python3/dist-packages/flask/app.py", First: 110, Last: 120},
		{Path: "usr/lib/python3/dist-packages/flask/views.py", First: 105, Last: 115},
	}
	whole := inuse.Report{Started: 90, Since: 90, Loads: loads}
	for name, tt := range map[string]struct {
		reports []inuse.Report
		state   map[string]scan.UseState
		reason  string
	}{
		"watched from the start": {[]inuse.Report{whole}, map[string]scan.UseState{"libssl3": scan.Loaded, "flask": scan.Loaded, "flask-extra": scan.NotSeen}, ""},
		"watched from later on":  {[]inuse.Report{{Started: 50, Since: 90, Loads: loads}}, map[string]scan.UseState{"libssl3": scan.Loaded, "flask": scan.Loaded}, "after its containers had started"},
		"start not known":        {[]inuse.Report{{Since: 90}}, nil, "after its containers had started"},
		"not watched":            {[]inuse.Report{{Started: 50, NotWatched: "lost events"}}, nil, "lost events"},
		"nobody":                 {nil, nil, "no container of this image has been watched"},
		"of two that run one was not watched whole": {[]inuse.Report{{Started: 50, Since: 60, Loads: loads[:1]}, {Started: 70, Since: 70}},
			map[string]scan.UseState{"libssl3": scan.Loaded}, "1 of its containers that run were not watched from their start"},
		"the one that was not watched whole has ended": {[]inuse.Report{{Started: 50, Since: 60, Ended: true, Loads: loads[:1]}, {Started: 70, Since: 70}},
			map[string]scan.UseState{"libssl3": scan.Loaded, "flask": scan.NotSeen, "flask-extra": scan.NotSeen}, ""},
	} {
		r := &scan.Report{Catalog: scan.Catalog{Packages: packages}}
		for i := range packages {
			r.Vulnerabilities = append(r.Vulnerabilities, scan.Vulnerability{ID: "CVE-2024-1", Package: i, Severity: finding.High})
		}
		match.Use(r, match.ViewOf(tt.reports))
		for _, v := range r.Vulnerabilities {
			p := packages[v.Package].Name
			if v.Use.State != tt.state[p] {
				t.Errorf("%s: %s is %q, want %q (%s)", name, p, v.Use.State, tt.state[p], v.Use.Reason)
			}
			if v.Use.State == scan.UseNotAssessed && v.Use.Reason == "" {
				t.Errorf("%s: nothing says why the use of %s is not assessed", name, p)
			}
			if p == "flask-extra" && tt.reason != "" && !strings.Contains(v.Use.Reason, tt.reason) {
				t.Errorf("%s: reason %q", name, v.Use.Reason)
			}
			if p == "flask" && v.Use.State == scan.Loaded && (v.Use.First != 105 || v.Use.Last != 120 || !strings.HasSuffix(v.Use.Path, "app.py")) {
				t.Errorf("%s: %+v", name, v.Use)
			}
		}
		if tt.state["libssl3"] == scan.Loaded && r.Vulnerabilities[0].Use.State != scan.Loaded {
			t.Errorf("%s: what is loaded does not stand first", name)
		}
	}
}

func TestNothingThatMakesAFindingWorseLowersItsRank(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := scan.Vulnerability{
			Severity: finding.Severity(rapid.IntRange(0, 5).Draw(t, "severity")),
			CVSS:     rapid.Float64Range(0, 10).Draw(t, "cvss"), Vector: rapid.SampledFrom([]string{"", "CVSS:3.1/…"}).Draw(t, "vector"),
			FixedIn: rapid.SampledFrom([]string{"", "1"}).Draw(t, "fixed"),
			Use:     scan.Use{State: rapid.SampledFrom([]scan.UseState{"", scan.Loaded, scan.NotSeen}).Draw(t, "use")},
		}
		if rapid.Bool().Draw(t, "epss") {
			v.EPSS = &scan.EPSS{Score: rapid.Float64Range(0, 1).Draw(t, "score")}
		}
		if rapid.Bool().Draw(t, "kev") {
			v.KEV = &scan.KEV{}
		}
		before := match.Rank(&v)
		if before < 0 || before > 1000 {
			t.Fatalf("rank %v", before)
		}
		worse := v
		switch rapid.IntRange(0, 5).Draw(t, "what") {
		case 0:
			worse.KEV = &scan.KEV{Ransomware: true}
		case 1:
			s := 0.0
			if v.EPSS != nil {
				s = v.EPSS.Score
			}
			worse.EPSS = &scan.EPSS{Score: rapid.Float64Range(s, 1).Draw(t, "higher score")}
		case 2:
			if v.Severity == finding.SeverityNone {
				return // unrated stands between low and medium
			}
			worse.Severity = finding.Severity(rapid.IntRange(int(v.Severity), 5).Draw(t, "higher severity"))
		case 3:
			worse.CVSS = rapid.Float64Range(v.CVSS, 10).Draw(t, "higher cvss")
		case 4:
			worse.FixedIn = "1"
		case 5:
			worse.Use.State = scan.Loaded
		}
		if after := match.Rank(&worse); after < before {
			t.Fatalf("rank fell from %v to %v", before, after)
		}
	})
}
