package govern

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/posture"
)

func TestReadConfig(t *testing.T) {
	c, err := ReadConfig(strings.NewReader("provider: defender\nfix: {critical: 3d}\nstaleAgent: 20m\nexemptions:\n- {control: '*', scope: /subscriptions/a, by: kim, why: migration, expires: 2027-01-01}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Fix["critical"] != 72*time.Hour || c.StaleAgent != 20*time.Minute || c.with().Fix["high"] != 720*time.Hour {
		t.Errorf("%+v", c)
	}
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	ex := c.exempt(now)
	if _, ok := ex("x", "/Subscriptions/A/resourceGroups/g"); !ok {
		t.Error("a scope below is not exempt")
	}
	if _, ok := ex("x", "/subscriptions/ab"); ok {
		t.Error("a neighbour is exempt")
	}
	if _, ok := c.exempt(now+int64(60*24*time.Hour))("x", "/subscriptions/a"); ok {
		t.Error("an exemption that ended is honoured")
	}
	byName := Config{Exemptions: []Exemption{{Control: "x", Scope: "Shop", By: "kim", Why: "w", Expires: "2027-01-01"}}}.exempt(now)
	if _, ok := byName("x", "/subscriptions/a/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/shop"); !ok {
		t.Error("a cluster's name does not exempt it")
	}
	if _, ok := byName("x", "/subscriptions/a/resourceGroups/shop/providers/Microsoft.ContainerService/managedClusters/b"); ok {
		t.Error("a resource group of that name is exempt")
	}
	for text, want := range map[string]string{
		"provider: aws":                           "none of defender",
		"providr: defender":                       "unknown field",
		"staleScan: 7":                            "want a duration",
		"posture: {staleAfter: 24}":               "posture.staleAfter: want a duration",
		"posture: {servicePorts: [0]}":            "no port",
		"posture: {hostPaths: [var]}":             "no path from the root",
		"posture: {registries: ['https://a.io']}": "no host",
		"posture: {register: [a.io]}":             "unknown field",
		"fix: 3d":                                 "want a duration by severity",
		"goal: 2":                                 "between 0 and 1",
		"tags: [{name: x}]":                       "tags[0]",
		"exemptions: [{control: a, scope: b, by: c, why: d}]": "an exemption has an end",
	} {
		if _, err := ReadConfig(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestWhatAnOrganisationDecidesReachesControls reads a configuration as a file has it and
// judges a cluster by it: its settings and its exemptions change verdicts, until they end.
func TestWhatAnOrganisationDecidesReachesControls(t *testing.T) {
	inside := posture.Gather("shop", testNow-int64(30*time.Hour), []inventory.Document{
		{Cluster: &inventory.ClusterDoc{Shape: inventory.Shape}},
		{Workload: &inventory.WorkloadDoc{Key: "web/Deployment/web", Namespace: "web", Kind: "Deployment", Name: "web", Owner: "a",
			Template: &inventory.PodSpec{Volumes: []inventory.PodVolume{{Name: "v", Type: "hostPath", Source: "/var/log/app"}}, Containers: []inventory.Container{{Name: "c", Image: "registry.example.com/team/web:1"}}}}},
		{Exposure: &inventory.ExposureDoc{Key: "web/Service/web", Namespace: "web", Kind: "Service", Ports: []string{"443/TCP"}}},
	})
	judge := func(text string) map[string]posture.Result {
		c, err := ReadConfig(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		_, in := Judge(&Known{Input: Input{Now: testNow, Config: c, Observed: []Observed{{Cluster: "shop"}}}, Clusters: []posture.Cluster{inside}})
		out := map[string]posture.Result{}
		for _, r := range in.Posture {
			out[r.Control] = r
		}
		return out
	}
	want := func(text, control string, v posture.Verdict, reason string) {
		t.Helper()
		if r := judge(text)[control]; r.Verdict != v || !strings.Contains(r.Reason, reason) {
			t.Errorf("%s: %s is %q, %q", text, control, r.Verdict, r.Reason)
		}
	}
	const fresh = "posture: {staleAfter: 2d"
	paths, images, ports := "pods-host-paths", "pods-registries", "service-ports"
	want("{}", paths, posture.NotAssessed, "last heard") // a day is the default
	want(fresh+"}", paths, posture.Fail, "")
	want(fresh+", hostPaths: [/var/log]}", paths, posture.Pass, "")
	want(fresh+", systemNamespaces: [web]}", paths, posture.NotRelevant, "outside of system namespaces") // the only one is left out
	want(fresh+"}", images, posture.NotAssessed, "no registry is approved")
	want(fresh+", registries: [registry.example.com/other]}", images, posture.Fail, "")
	want(fresh+", registries: [registry.example.com/team]}", images, posture.Pass, "")
	want(fresh+"}", ports, posture.NotAssessed, "not decided")
	want(fresh+", servicePorts: [443]}", ports, posture.Pass, "")
	want(fresh+", servicePorts: [80]}", ports, posture.Fail, "")
	let := fresh + "}\nexemptions: [{control: " + paths + ", scope: shop, by: kim, why: logs, expires: "
	day := func(d int) string { return time.Unix(0, testNow).UTC().AddDate(0, 0, d).Format(time.DateOnly) }
	want(let+day(20)+"}]", paths, posture.Exempt, "")
	want(let+day(-20)+"}]", paths, posture.Fail, "")
	want(strings.Replace(let, "scope: shop", "scope: other", 1)+day(20)+"}]", paths, posture.Fail, "")
	want(let+day(20)+"}]", ports, posture.NotAssessed, "not decided") // another control
}

func FuzzReadConfig(f *testing.F) {
	f.Add("provider: defender\nfix: {critical: 3d}")
	f.Add("exemptions: [{}]")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ReadConfig(strings.NewReader(s))
		if err == nil {
			Evaluate(&Input{Now: testNow, Config: c, Tenant: tenantOf(aks(subA, "a", nil, map[string]string{"env": "x"}))})
		}
	})
}

func TestThresholdsAreSetAndBounded(t *testing.T) {
	c, err := ReadConfig(strings.NewReader("thresholds: {auditSilent: 2d, loudRule: 3, benignShare: 0.5}\n"))
	if err != nil {
		t.Fatal(err)
	}
	in := &Input{Config: c}
	if got := in.thresholds(); got.AuditSilent != 48*time.Hour || got.LoudRule != 3 || got.BenignShare != 0.5 || got.RiseFactor != 1.5 || got.KeepUnlisted != 30*24*time.Hour {
		t.Errorf("%+v", got)
	}
	for text, want := range map[string]string{
		"provider: either\nthresholds:\n  loudRule: 3\n  benignShare: 1.2\n": "line 4: thresholds.benignShare: 1.2 is no share between 0.01 and 1",
		"thresholds:\n  auditSilent: 1m\n":                                   "line 2: thresholds.auditSilent: 1m is no duration between 5m and 30d",
		"thresholds:\n  loudRule: 2.5\n":                                     "line 2: thresholds.loudRule: 2.5 is no count between 1 and 10000",
		"thresholds:\n  auditSilent: 26\n":                                   "line 2: thresholds.auditSilent: 26 is no duration",
		"thresholds:\n  riseWeeks: 0\n":                                      "line 2: thresholds.riseWeeks: 0 is no count between 2 and 8",
		"thresholds:\n\n  riseFaktor: 2\n":                                   "line 3: thresholds.riseFaktor is not known: want some of followedWithin, ",
		"goal: 1\nthresholds: many\n":                                        "line 2: thresholds: want values by name",
		"{\"goal\": 1,\n \"thresholds\": {\n  \"triageGoal\": \"much\"}}":    "line 3: thresholds.triageGoal: much is no share",
	} {
		if _, err := ReadConfig(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// TestEveryThresholdIsOneOfTheFile holds that thresholds.json and the type tell the same, and
// that each has a default and says why.
func TestEveryThresholdIsOneOfTheFile(t *testing.T) {
	table := shippedThresholds()
	typ := reflect.TypeFor[Thresholds]()
	if len(table.all) != typ.NumField() || reflect.ValueOf(table.defaults).IsZero() {
		t.Fatalf("%d in the file, %d in the type", len(table.all), typ.NumField())
	}
	zero := Thresholds{}
	if zero.with() != table.defaults {
		t.Errorf("defaults are not filled in: %+v", zero.with())
	}
	docs, err := os.ReadFile("../docs/governance.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range table.all {
		tag, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		if x.Key != tag || x.Why == "" || reflect.ValueOf(table.defaults).Field(i).IsZero() {
			t.Errorf("%+v is not %s", x, tag)
		}
		if line := fmt.Sprintf("| `%s` | %v | %v – %v |", x.Key, x.Default, x.Least, x.Most); !strings.Contains(string(docs), line) {
			t.Errorf("docs/governance.md lacks %s", line)
		}
	}
}

// A threshold that is set is the one that judges, and the rule in words says so.
func TestASetThresholdJudges(t *testing.T) {
	facts := &AlertFacts{Since: testNow - 60*testDay}
	for range 4 {
		facts.Alerts = append(facts.Alerts, AlertFact{Rule: "noisy", Severity: finding.Low, Status: finding.Dismissed, First: testNow - testDay})
	}
	in := &Input{Now: testNow, Alerts: facts}
	if c := tuning(in); len(c.Found) != 0 {
		t.Errorf("four closed alerts judge a rule: %+v", c.Found)
	}
	in.Config.Thresholds.LoudRule = 4
	if c := tuning(in); len(c.Found) != 1 || !strings.Contains(c.Rule, "at least 4 of its alerts") {
		t.Errorf("%+v %s", c.Found, c.Rule)
	}
}
