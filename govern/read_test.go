package govern

import (
	"strings"
	"testing"
	"time"
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
	for text, want := range map[string]string{
		"provider: aws":     "none of defender",
		"providr: defender": "unknown field",
		"staleScan: 7":      "want a duration",
		"fix: 3d":           "want a duration by severity",
		"goal: 2":           "between 0 and 1",
		"tags: [{name: x}]": "tags[0]",
		"exemptions: [{control: a, scope: b, by: c, why: d}]": "an exemption has an end",
	} {
		if _, err := ReadConfig(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
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
