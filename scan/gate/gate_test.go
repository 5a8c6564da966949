package gate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/gate"
	"github.com/dockreeve/dockreeve/scan/match"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC).UnixNano()

// report holds one finding of each kind that rules tell apart.
func report() *scan.Report {
	return &scan.Report{
		Catalog: scan.Catalog{
			Image:  scan.Image{Name: "registry.example/app:1", Layers: []scan.Layer{{DiffID: "sha256:a"}}},
			Distro: scan.Distro{ID: "debian", Version: "12"},
			Packages: []scan.Package{
				{Type: scan.Deb, Name: "libssl3", Version: "3.0.11-1", Source: "openssl", PURL: "pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12", Location: "var/lib/dpkg/status"},
				{Type: scan.NPM, Name: "lodash", Version: "4.17.4", PURL: "pkg:npm/lodash@4.17.4", Location: "app/node_modules/lodash/package.json"},
				{Type: scan.NPM, Name: "lodash", Version: "4.17.4", PURL: "pkg:npm/lodash@4.17.4", Location: "app/node_modules/x/node_modules/lodash/package.json"},
			},
			Secrets: []scan.Secret{{Rule: "private-key", Severity: finding.High, Path: "root/.ssh/id_rsa"}},
			Config:  []scan.Misstep{{Check: "no-healthcheck", Severity: finding.Low}, {Check: "root-user", Severity: finding.Medium}},
			Malware: []scan.Malware{{Path: "eicar.com", Name: "EICAR"}},
		},
		Vulnerabilities: []scan.Vulnerability{
			{ID: "CVE-2024-0001", Package: 0, Severity: finding.Critical, Status: scan.Fixed, FixedIn: "3.0.13", KEV: &scan.KEV{}, EPSS: &scan.EPSS{Score: 0.5, Percentile: 0.97}, Use: scan.Use{State: scan.Loaded}},
			{ID: "CVE-2024-0002", Package: 1, Severity: finding.High, Status: scan.Unfixed, Aliases: []string{"GHSA-aaaa-bbbb-cccc"}, CVSS: 7.5, Vector: "v", Use: scan.Use{State: scan.NotSeen}},
			{ID: "CVE-2024-0002", Package: 2, Severity: finding.High, Status: scan.Unfixed, Aliases: []string{"GHSA-aaaa-bbbb-cccc"}, CVSS: 7.5, Vector: "v", Use: scan.Use{State: scan.NotSeen}},
			{ID: "CVE-2024-0003", Package: 0, Severity: finding.Low, Status: scan.WontFix, EPSS: &scan.EPSS{Score: 0.1, Percentile: 0.5}, Use: scan.Use{State: scan.NotSeen}},
			{ID: "CVE-2024-0004", Package: 1, Status: scan.Fixed, FixedIn: "5.0.0", Use: scan.Use{State: scan.NotSeen}},
		},
		Database: scan.DatabaseInfo{Built: now, Feeds: []scan.FeedInfo{{Name: "kev", Records: 1}, {Name: "epss", Records: 1}}},
	}
}

func parse(t *testing.T, lists ...string) gate.Policy {
	t.Helper()
	p, err := gate.ParsePolicy(lists...)
	if err != nil {
		t.Fatal(err)
	}
	p.Now = now
	return p
}

func TestRulesCountWhatTheyName(t *testing.T) {
	for policy, want := range map[string]string{
		"":                        "",
		"critical":                "critical 1",
		"high":                    "high 2", // lodash twice in the image is one finding
		"medium":                  "medium 2",
		"low":                     "low 3",
		"any":                     "any 4",
		"unrated":                 "unrated 1",
		"severity>=high":          "severity>=high 2",
		"severity>high":           "severity>high 1",
		"kev":                     "kev 1",
		"ransomware":              "",
		"epss>=0.5":               "epss>=0.5 1",
		"epss>0.5":                "",
		"epss>=10%":               "epss>=10% 2",
		"percentile>=0.5":         "percentile>=0.5 2",
		"cvss>=7.5":               "cvss>=7.5 1",
		"cvss>7.5":                "",
		"fixable":                 "fixable 2",
		"high+fixable":            "high+fixable 1",
		"High + Fixable":          "high+fixable 1",
		"high,fixable":            "high+fixable 1",
		"high,fixable,kev":        "high+fixable 1; kev+fixable 1",
		"fixable,secret":          "fixable 2; secret 1",
		"high+in-use":             "high+in-use 1",
		"in-use":                  "in-use 1",
		"secret":                  "secret 1",
		"secret>=critical":        "",
		"misstep":                 "misstep 2",
		"misstep>=medium":         "misstep>=medium 1",
		"misstep>=high":           "",
		"malware":                 "malware 1",
		"eol":                     "",
		"critical, secret,":       "critical 1; secret 1",
		"unrated+fixable+any,kev": "unrated+fixable+any 1; kev 1",
	} {
		v := gate.Evaluate(report(), parse(t, policy))
		var got []string
		for _, r := range v.Reasons {
			got = append(got, r.Rule+" "+string(rune('0'+r.Count)))
			if len(r.Examples) == 0 {
				t.Errorf("%s: no example", policy)
			}
		}
		if s := strings.Join(got, "; "); s != want {
			t.Errorf("%q: %q, want %q", policy, s, want)
		}
		if v.Passed != (want == "") || v.ExitCode() != map[bool]int{true: 0, false: 1}[want == ""] {
			t.Errorf("%q: passed %v, exit %d", policy, v.Passed, v.ExitCode())
		}
	}
}

func TestAPolicyThatCannotBeReadSaysWhere(t *testing.T) {
	for policy, want := range map[string]string{
		"hgih":            `character 1: "hgih" is not a condition: did you mean high?`,
		"high,critcal":    `character 6: "critcal" is not a condition: did you mean critical?`,
		"high+fixible":    `character 6: "fixible" is not a condition: did you mean fixable?`,
		"high, xyzzyx":    `character 7: "xyzzyx" is not a condition: want one of critical`,
		"epss":            "character 1: epss needs a value, such as epss>=0.5",
		"epss>=":          "character 7: a value is missing after epss>=",
		"kev,epss>=1.5":   `character 11: "1.5" is not a number from 0 to 1`,
		"epss>=NaN":       `character 7: "nan" is not a number`,
		"epss<0.5":        `character 5: "<": want >= or > after epss`,
		"kev>=1":          "character 4: kev takes no value",
		"high>=2":         "character 5: high takes no value",
		"misstep>=hihg":   `character 10: "hihg" is not a condition: did you mean high?`,
		"secret>critical": "character 8: nothing is above critical",
		"high+":           "character 6: a condition is missing beside the +",
		"+":               "character 1: a condition is missing beside the +",
		"secret+high":     "character 8: + joins conditions of vulnerabilities only",
		"severity":        "character 1: severity needs a value",
		"epsss>=0.1":      `character 1: "epsss" is not a condition: did you mean epss>=?`,
	} {
		_, err := gate.ParsePolicy(policy)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", policy, err, want)
		}
	}
	if _, err := gate.ParsePolicy(strings.Repeat("high,", 1000)); err == nil {
		t.Error("5,000 bytes were read")
	}
	// Several lists count as one; positions go on.
	if _, err := gate.ParsePolicy("high", "kve"); err == nil || !strings.Contains(err.Error(), "character 6") {
		t.Errorf("%v", err)
	}
}

func TestWhatCouldNotBeJudgedIsNoPass(t *testing.T) {
	for name, tt := range map[string]struct {
		policy string
		allow  bool
		change func(*scan.Report)
		code   int
		says   string
	}{
		"no database":                        {"critical", false, func(r *scan.Report) { r.Database, r.Vulnerabilities = scan.DatabaseInfo{}, nil }, 4, "no advisory database was used"},
		"no database, not asked for":         {"misstep>=high", false, func(r *scan.Report) { r.Database, r.Vulnerabilities = scan.DatabaseInfo{}, nil }, 0, "gate passed"},
		"vulnerabilities not asked for":      {"", false, func(r *scan.Report) { r.Database = scan.DatabaseInfo{}; gap(r, "vulnerabilities", false) }, 0, "gate passed"},
		"an ecosystem is missing":            {"kev+unrated", false, func(r *scan.Report) { gap(r, "2 packages of npm", true) }, 4, "2 packages of npm"},
		"an ecosystem is missing, no policy": {"", false, func(r *scan.Report) { gap(r, "2 packages of npm", true) }, 4, "2 packages of npm"},
		"gaps allowed are not data":          {"ransomware", true, func(r *scan.Report) { gap(r, "2 packages of npm", true) }, 4, "2 packages of npm"},
		"a file could not be read":           {"ransomware", false, func(r *scan.Report) { gap(r, "usr/lib/app.jar", false) }, 0, "gate passed"},
		"a layer could not be read":          {"ransomware", false, func(r *scan.Report) { r.Image.Layers[0].NotAssessed = "corrupt" }, 3, "layer 0: corrupt"},
		"a layer as a gap":                   {"secret>=critical", false, func(r *scan.Report) { gap(r, "layer 0", false) }, 3, "layer 0"},
		"a layer, allowed":                   {"ransomware", true, func(r *scan.Report) { r.Image.Layers[0].NotAssessed = "corrupt" }, 0, "gate passed"},
		"a distribution nobody knows":        {"ransomware", false, func(r *scan.Report) { gap(r, match.UnknownDistribution+": 3 packages", false) }, 3, "3 packages"},
		"the use is not known":               {"high+in-use", false, func(r *scan.Report) { r.Vulnerabilities[0].Use, r.Vulnerabilities[1].Use = scan.Use{}, scan.Use{} }, 3, "high+in-use: use of 2 findings"},
		"no KEV list":                        {"ransomware", false, func(r *scan.Report) { r.Database.Feeds = r.Database.Feeds[1:] }, 4, "holds no KEV feed"},
		"no EPSS":                            {"epss>0.9", false, func(r *scan.Report) { r.Database.Feeds = r.Database.Feeds[:1] }, 4, "holds no EPSS feed"},
		"failed and missing data":            {"critical", false, func(r *scan.Report) { gap(r, "2 packages of npm", true) }, 4, "what could be judged failed"},
		"end of life":                        {"eol", false, func(r *scan.Report) { r.Distro.Version = "10" }, 1, "eol: 1 (debian 10: end of long-term support on 2024-06-30)"},
	} {
		r := report()
		tt.change(r)
		p := parse(t, tt.policy)
		p.AllowGaps = tt.allow
		v := gate.Evaluate(r, p)
		if v.ExitCode() != tt.code || !strings.Contains(v.String(), tt.says) {
			t.Errorf("%s: exit %d, want %d: %s", name, v.ExitCode(), tt.code, v)
		}
	}
}

func gap(r *scan.Report, what string, data bool) {
	r.NotAssessed = append(r.NotAssessed, scan.Gap{What: what, Reason: "because", Data: data})
}

func FuzzParsePolicy(f *testing.F) {
	for _, s := range []string{"high+fixable,kev,epss>=0.5", "secret, misstep>=high", "percentile>=90%,,+", "severity>high"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := gate.ParsePolicy(s)
		if err != nil {
			return
		}
		gate.Evaluate(report(), p)
		if _, err := gate.ParsePolicy(p.String()); err != nil {
			t.Fatalf("%q reads, but what it says of itself does not: %v", s, err)
		}
	})
}

// A rule about findings that nobody looked for is not met by there being none.
func TestWhatNobodyLookedForIsNoPass(t *testing.T) {
	for rule, what := range map[string]string{"secret": scan.GapSecrets, "misstep>=low": scan.GapConfig, "malware": scan.GapMalware} {
		r := report()
		r.Secrets, r.Config, r.Malware = nil, nil, nil
		if v := gate.Evaluate(r, parse(t, rule)); v.ExitCode() != gate.ExitPassed {
			t.Errorf("%s, looked for and not there: exit %d, want a pass", rule, v.ExitCode())
		}
		r.NotAssessed = []scan.Gap{{What: what, Reason: "not asked for"}}
		if v := gate.Evaluate(r, parse(t, rule)); v.ExitCode() != gate.ExitUnread || !strings.Contains(v.String(), what+": not asked for") {
			t.Errorf("%s, never looked for: exit %d, want %d\n%s", rule, v.ExitCode(), gate.ExitUnread, v)
		}
		if v := gate.Evaluate(r, parse(t, "critical+kev+in-use+epss>0.9")); v.ExitCode() != gate.ExitPassed {
			t.Errorf("a policy without %s: exit %d, want a pass\n%s", rule, v.ExitCode(), v)
		}
		r.NotAssessed[0].What = "secrets, configuration, malware" // as an SBOM says it
		if v := gate.Evaluate(r, parse(t, rule)); v.ExitCode() != gate.ExitUnread {
			t.Errorf("%s of an SBOM: exit %d, want %d", rule, v.ExitCode(), gate.ExitUnread)
		}
		p := parse(t, rule)
		p.AllowGaps = true
		if v := gate.Evaluate(r, p); v.ExitCode() != gate.ExitPassed {
			t.Errorf("%s with gaps allowed: exit %d, want a pass", rule, v.ExitCode())
		}
	}
}

// A root file system has no layers: what could not be read of it weighs as much.
func TestUnreadPartsWithoutLayers(t *testing.T) {
	r := report()
	r.Image.Layers, r.Image.Kind = nil, scan.KindRootfs
	r.NotAssessed = []scan.Gap{{What: "var/lib/dpkg/status", Reason: "permission denied", Unread: true}}
	if v := gate.Evaluate(r, parse(t, "ransomware")); v.ExitCode() != gate.ExitUnread {
		t.Errorf("exit %d, want %d\n%s", v.ExitCode(), gate.ExitUnread, v)
	}
	r.NotAssessed[0].Unread = false
	if v := gate.Evaluate(r, parse(t, "ransomware")); v.ExitCode() != gate.ExitPassed {
		t.Errorf("a gap that is only told: exit %d\n%s", v.ExitCode(), v)
	}
}
