package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory"
)

var update = flag.Bool("update", false, "write the golden files")

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC).UnixNano()

const day = int64(24 * time.Hour)

const hostile = `=HYPERLINK("http://x.example/","a")<script>alert(1)</script> | **b** ` + "`c`"

func sample() *govern.Evaluation {
	f := func(v float64) *float64 { return &v }
	trend := func(values ...float64) (out []govern.Point) {
		for i, v := range values {
			out = append(out, govern.Point{At: noon - int64(len(values)-i)*7*day, Value: v, Of: 100})
		}
		return out
	}
	owners := []govern.Slice{{Name: "payments", Values: map[string]float64{"p50": 6.5, "p90": 19, "n": 12, "open": 2, "openP50": 9, "oldest": 31}}, {Name: "unowned", Values: map[string]float64{"open": 4, "oldest": 77}}}
	id := func(n string) string {
		return "/subscriptions/0001/resourcegroups/rg/providers/microsoft.containerservice/managedclusters/" + n
	}
	return &govern.Evaluation{At: noon, TenantID: "contoso", TenantAt: noon - 3*day/24,
		Playbook: []govern.Check{
			{ID: "plan-enabled", Title: "The plan is on for every relevant subscription", State: govern.CheckOpen, Rule: "subscriptions with the plan ÷ relevant ones", Ratio: govern.Ratio{N: 17, Of: 20, Unknown: 2, Goal: 1,
				Missing: []govern.Ref{{Kind: "subscription", ID: "/subscriptions/0002", Name: "shop-test", Why: "the plan is off", Do: "az security pricing create --name Containers --tier Standard"}, {Kind: "subscription", ID: "/subscriptions/0003", Name: "Łódź Ω 東京", Why: "not assessed: rights are missing"}}}},
			{ID: "profile-deployed", Title: "The sensor is deployed to every production cluster", State: govern.CheckDone, Rule: "clusters with it ÷ clusters", Ratio: govern.Ratio{N: 112, Of: 112, Goal: 1}, Note: "4 stopped, left out"},
			{ID: "ci-gate", Title: "Scan results block in CI", State: govern.CheckNotAssessed, Rule: "gated ÷ running", Ratio: govern.Ratio{NotAssessed: "no gate was told of", Goal: 1}},
			{ID: "triage", Title: "Triage is in use", State: govern.CheckOpen, Rule: "in time ÷ due", Ratio: govern.Ratio{N: 31, Of: 44, Goal: 0.9, More: 3, Missing: []govern.Ref{{Kind: "alert", ID: "abc", Name: "Shell in a container", Why: "nobody took it"}}}},
			{ID: "owner-tags", Title: "Owner tags are set", State: govern.CheckOpen, Rule: "tagged ÷ all", Ratio: govern.Ratio{N: 183, Of: 200, Goal: 1, Missing: []govern.Ref{{Kind: "cluster", ID: id("evil"), Name: hostile, Why: hostile, Do: hostile}}}},
			{ID: "recommendations-reviewed", Title: "Recommendations are reviewed", State: govern.CheckDone, Rule: "reviewed ÷ owners", Ratio: govern.Ratio{N: 9, Of: 9, Goal: 1}},
		},
		KPIs: []govern.KPI{
			{ID: "mttr-critical", Title: "Time to remediate critical vulnerabilities", Unit: "days", Value: f(6.5), N: 12, Of: 18, Better: "down", Rule: "median of days", Note: "p90 19 days", Trend: trend(12, 11, 9.5, 8, 7.2), By: owners},
			{ID: "defender-profile", Title: "Clusters with the Defender profile enabled", Unit: "percent", Value: f(82.25), N: 164, Of: 200, Better: "up", Rule: "enabled ÷ all", Trend: trend(84, 83.5, 83)},
			{ID: "high-alerts", Title: "High-severity runtime alerts per node-day", Unit: "alerts per node-day", Value: f(0.0042), N: 14, Of: 3333, Better: "down", Rule: "alerts ÷ node-days", Trend: trend(.004, .0051, .0038, .0042, .0040, .0045, .0041, .0042)},
			{ID: "compliance", Title: "Compliance score, cis-aks-1.8", NotAssessed: "no control was judged", Better: "up", Rule: "pass ÷ (pass + fail)"},
		},
		Pitfalls: []govern.Check{
			{ID: "low-ignored", Title: "Low severities are not ignored", State: govern.CheckDone, Rule: "without ÷ all", Ratio: govern.Ratio{N: 8, Of: 8}},
			{ID: "tuning", Title: "Rules are neither untuned nor over-tuned", State: govern.CheckOpen, Rule: "fine ÷ all", Ratio: govern.Ratio{N: 40, Of: 41}, Found: []govern.Ref{{Kind: "rule", ID: "r", Name: "Port scan", Why: "untuned: 19 of 20 closed alerts were dismissed as benign"}}},
		},
		Recommendations: []govern.Recommendation{
			{ID: "aks-ranges", Title: "Limit who reaches the API server", Why: "Anybody can try to log in.", Do: []string{"az aks update --api-server-authorized-ip-ranges …"}, Sources: []string{"dockreeve", "defender"}, Severity: "high", Owner: "payments",
				Resources: []govern.Ref{{Kind: "cluster", ID: id("pay"), Name: "pay-prod"}}, Count: 4, Workloads: 210, Effort: 1, Rank: 2100, FirstSeen: noon - 45*day, Due: noon - 15*day, Overdue: true, Disagree: "Defender says unhealthy where Dockreeve passes, at 1: pay-dr"},
			{ID: "old", Title: "Done", Owner: "payments", Fixed: noon - day, Severity: "low"},
		},
		Findings: []govern.Finding{{Key: "k", Rule: "cost-anomaly", Severity: finding.High, Owner: "payments", Summary: "Spend of pay-prod rose by 140 EUR a day.", Money: &cost.Money{Amount: 140 * cost.Unit, Currency: "EUR"}}},
		Gaps:     []inventory.Gap{{What: "role-assignments", Reason: "rights are missing or expired", Remedy: "grant Reader at the management group"}},
		Clusters: []govern.ClusterRow{
			{ID: id("pay"), Name: "pay-prod", Production: true, Environment: "production", Ownership: govern.Ownership{Owner: "payments"}, MonthToDate: cost.Money{Amount: 4200 * cost.Unit, Currency: "EUR", AsOf: "2026-11-25"}, Budget: cost.Money{Amount: 5000 * cost.Unit, Currency: "EUR"}, Forecast: cost.Money{Amount: 5400 * cost.Unit, Currency: "EUR"}, Security: cost.Money{NotAssessed: "no price"}, Runtime: govern.Row{State: govern.RowClosed}, Inside: govern.Row{State: govern.RowClosed}, Images: govern.Row{State: govern.RowOpen}, Enforcement: govern.Row{State: govern.RowNotAssessed}, Risk: 61},
			{ID: id("evil"), Name: hostile, Environment: "test", Ownership: govern.Ownership{Owner: "unowned"}, MonthToDate: cost.Money{NotAssessed: "no bill"}},
		},
	}
}

func render(t *testing.T, format string, o Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Playbook(&b, format, sample(), o); err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	return b.Bytes()
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (write it with: go test ./report -update)", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not as it was: look at it, then go test ./report -update", name)
	}
}

func TestPlaybookIsAsItWas(t *testing.T) {
	for _, f := range Formats() {
		golden(t, "playbook."+f, render(t, f, Options{Name: "Contoso", Version: "1.0"}))
	}
	if err := Playbook(&bytes.Buffer{}, "docx", sample(), Options{}); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "html, pdf, csv") {
		t.Errorf("an unknown format: %v", err)
	}
}

func TestPageAsksForNothing(t *testing.T) {
	page := string(render(t, "html", Options{}))
	if !strings.Contains(page, `content="default-src &#39;none&#39;; style-src &#39;sha256-`) {
		t.Error("the page has no strict policy")
	}
	for _, bad := range []string{"<script", "src=", "@import", "url(", " style=", " onclick", "javascript:"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if strings.Contains(page, "<script>alert") || !strings.Contains(page, "&lt;script&gt;alert(1)") {
		t.Error("a cluster's name became markup")
	}
	for _, m := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if !strings.HasPrefix(m[1], "#") {
			t.Errorf("the page leads to %s", m[1])
		}
	}
}

func TestEveryNumberHasDenominatorAndRule(t *testing.T) {
	for _, f := range []string{"html", "md"} {
		page := string(render(t, f, Options{}))
		page = strings.NewReplacer("\\", "", "&#43;", "+").Replace(page)
		for _, want := range []string{"17 of 20 (85 %), 2 not assessed", "subscriptions with the plan ÷ relevant ones", "12 of 18", "median of days", "no gate was told of", "nothing was counted", "no control was judged", "4 stopped, left out", "31 of 44 (70.5 %), goal 90 %"} {
			if !strings.Contains(page, want) {
				t.Errorf("%s does not say %q", f, want)
			}
		}
	}
}

func TestCSVIsNoProgram(t *testing.T) {
	rows, err := csv.NewReader(bytes.NewReader(render(t, "csv", Options{}))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, row := range rows {
		for _, c := range row {
			if c != "" && strings.ContainsAny(c[:1], "=+-@\t\r") {
				t.Errorf("cell %q is a formula", c)
			}
			found = found || strings.HasPrefix(c, "'=HYPERLINK")
		}
	}
	if !found {
		t.Error("the hostile name is not in the table at all")
	}
	for in, want := range map[string]string{"=1": "'=1", " =1": "' =1", "-1": "'-1", "@x": "'@x", "a=b": "a=b", "": "", "÷": "÷"} {
		if got := cell(in); got != want {
			t.Errorf("cell(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestMarkdownStaysText(t *testing.T) {
	page := regexp.MustCompile("`` .* ``").ReplaceAllString(string(render(t, "md", Options{})), "") // code is text
	if strings.Contains(page, "<script>") || strings.Contains(page, "**b**") {
		t.Error("a cluster's name became markup")
	}
}

func TestJSONIsTheEvaluation(t *testing.T) {
	var got playbookJSON
	if err := json.Unmarshal(render(t, "json", Options{Version: "1.0"}), &got); err != nil {
		t.Fatal(err)
	}
	if got.Format != "dockreeve-playbook" || len(got.Playbook) != 6 || got.KPIs[3].Value != nil || got.At != noon {
		t.Errorf("%+v", got)
	}
}

func TestPDF(t *testing.T) {
	one, two := render(t, "pdf", Options{}), render(t, "pdf", Options{})
	if !bytes.Equal(one, two) {
		t.Error("the same playbook gives two different documents")
	}
	if !bytes.HasPrefix(one, []byte("%PDF-1.")) || !bytes.HasSuffix(bytes.TrimSpace(one), []byte("%%EOF")) {
		t.Error("it is no whole PDF")
	}
	for _, bad := range []string{"/JavaScript", "/Launch", "/URI", "/Type /EmbeddedFile"} {
		if bytes.Contains(one, []byte(bad)) {
			t.Errorf("the PDF holds %s", bad)
		}
	}
	p := &pdf{}
	if got := p.latin("Łódź Ω €5 → x\x01"); got != "L\xf3dz ? \x805 -> x " || p.otherwise != 3 {
		t.Errorf("latin gives %q and counts %d, want three written otherwise", got, p.otherwise)
	}
}

func TestPercentNeverRoundsToAll(t *testing.T) {
	for _, c := range []struct {
		n, of int
		want  float64
	}{{9999, 10000, 99.9}, {1, 10000, 0.1}, {0, 10, 0}, {10, 10, 100}, {1, 3, 33.3}} {
		if got := percent(c.n, c.of); got != c.want {
			t.Errorf("percent(%d, %d) = %v, want %v", c.n, c.of, got, c.want)
		}
	}
}
