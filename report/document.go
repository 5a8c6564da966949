package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory"
)

// document is the playbook in words: the formats differ in how they set it, not in what it says.
type document struct {
	Title, Name, Version string
	At, TenantAt, Tenant string
	made                 time.Time
	Headline             string
	Checks, Pitfalls     []check
	KPIs                 []kpi
	Recommendations      []recommendation
	MoreRecommendations  int
	Fixed                int
	Findings             []told
	MoreFindings         int
	Gaps                 []inventory.Gap
	lines                int // of evidence
}

// check is an item of the playbook or a pitfall.
type check struct {
	ID, Title, State, Word string
	N, Of, Unknown         int
	Goal                   float64
	Count                  string // 17 of 200 (8.5 %)
	Why, Rule, Note        string
	Evidence               []govern.Ref
	More                   int
	pitfall                bool
}

// kpi is a number with its trend.
type kpi struct {
	ID, Title, Value, Unit, Count string
	Why, Rule, Note               string
	Change, ChangeState           string // ChangeState: better, worse, same
	Trend                         []govern.Point
	Span                          string // of the trend
	Columns                       []string
	By                            []slice
	Rest                          []slice // further ones, which only the CSV has room for
	More                          int     // how many
	raw                           *float64
	n, of                         float64
}

type slice struct {
	Name  string
	Cells []string
}

type recommendation struct {
	govern.Recommendation
	Due, Sources, Where string
}

type told struct {
	Severity, Summary, Owner, Rule string
}

var stateWords = map[string]string{govern.CheckDone: "done", govern.CheckOpen: "open", govern.CheckNotAssessed: "not assessed"}
var pitfallWords = map[string]string{govern.CheckDone: "not found", govern.CheckOpen: "found", govern.CheckNotAssessed: "not assessed"}

func newDocument(ev *govern.Evaluation, o Options, format string) *document {
	d := &document{Title: cmp.Or(o.Title, "Container protection playbook"), Name: o.Name, Version: o.Version, At: moment(ev.At), Tenant: ev.TenantID, made: time.Unix(0, ev.At).UTC()}
	d.lines = o.Evidence
	if d.lines <= 0 {
		d.lines = map[bool]int{true: 25, false: govern.MaxMissing}[format == "pdf" || format == "md"]
	}
	d.TenantAt = "Azure was not read"
	if ev.TenantAt > 0 {
		d.TenantAt = "Azure as read on " + moment(ev.TenantAt)
	}
	done, open, unknown := 0, 0, 0
	for _, c := range ev.Playbook {
		d.Checks = append(d.Checks, d.check(c, false))
		switch c.State {
		case govern.CheckDone:
			done++
		case govern.CheckOpen:
			open++
		default:
			unknown++
		}
	}
	found := 0
	for _, c := range ev.Pitfalls {
		d.Pitfalls = append(d.Pitfalls, d.check(c, true))
		if c.State == govern.CheckOpen {
			found++
		}
	}
	d.Headline = fmt.Sprintf("%d of %d items are done, %d open, %d not assessed; %d of %d pitfalls found.", done, len(ev.Playbook), open, unknown, found, len(ev.Pitfalls))
	for _, k := range ev.KPIs {
		d.KPIs = append(d.KPIs, newKPI(k))
	}
	top := cmp.Or(max(0, o.Top), Top)
	for _, r := range ev.Recommendations {
		switch {
		case r.Fixed > 0:
			d.Fixed++
		case len(d.Recommendations) < top:
			d.Recommendations = append(d.Recommendations, newRecommendation(r, ev.At))
		default:
			d.MoreRecommendations++
		}
	}
	d.Fixed += o.Rest.Fixed
	d.MoreRecommendations += o.Rest.Recommendations
	list := slices.Clone(ev.Findings)
	slices.SortStableFunc(list, func(a, b govern.Finding) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Key, b.Key))
	})
	d.MoreFindings = max(0, len(list)-top) + o.Rest.Findings
	for _, f := range list[:min(len(list), top)] {
		d.Findings = append(d.Findings, told{strings.ReplaceAll(f.Severity.String(), "_", " "), f.Summary, f.Owner, f.Rule})
	}
	d.Gaps = ev.Gaps
	return d
}

func (d *document) check(c govern.Check, pitfall bool) check {
	words := stateWords
	if pitfall {
		words = pitfallWords
	}
	out := check{ID: c.ID, Title: c.Title, State: c.State, Word: words[c.State], N: c.Ratio.N, Of: c.Ratio.Of, Unknown: c.Ratio.Unknown, Goal: c.Ratio.Goal, Rule: c.Rule, Note: c.Note, Why: c.Ratio.NotAssessed, pitfall: pitfall}
	if out.Word == "" { // a state from elsewhere is no reason to say "done"
		out.State, out.Word = govern.CheckNotAssessed, "not assessed"
	}
	out.Count = "nothing was counted"
	if c.Ratio.Of > 0 {
		out.Count = fmt.Sprintf("%d of %d (%s %%)", c.Ratio.N, c.Ratio.Of, decimal(percent(c.Ratio.N, c.Ratio.Of)))
		if c.Ratio.Unknown > 0 {
			out.Count += fmt.Sprintf(", %d not assessed", c.Ratio.Unknown)
		}
		if c.Ratio.Goal > 0 && c.Ratio.Goal < 1 {
			out.Count += fmt.Sprintf(", goal %s %%", decimal(100*c.Ratio.Goal))
		}
	}
	lines := slices.Concat(c.Found, c.Ratio.Missing)
	out.Evidence = lines[:min(len(lines), d.lines)]
	out.More = c.Ratio.More + len(lines) - len(out.Evidence)
	return out
}

// percent never rounds up to all, nor down to nothing: 199 of 200 is 99.5, 9,999 of 10,000 is 99.9.
func percent(n, of int) float64 {
	p := 100 * float64(n) / float64(of)
	if r := math.Round(p*10) / 10; n < of && r >= 100 {
		return 99.9
	} else if n > 0 && r == 0 {
		return 0.1
	} else {
		return r
	}
}

// decimal writes a number as people read it: no more than needed.
func decimal(f float64) string {
	switch a := math.Abs(f); {
	case a != 0 && a < 0.01:
		return strconv.FormatFloat(f, 'g', 2, 64)
	case a < 1:
		return trim(strconv.FormatFloat(f, 'f', 3, 64))
	case a < 1000:
		return trim(strconv.FormatFloat(f, 'f', 1, 64))
	}
	return grouped(math.Round(f))
}

func trim(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// grouped is a whole number with its thousands apart.
func grouped(f float64) string {
	s := strconv.FormatFloat(math.Abs(f), 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if f < 0 {
		return "-" + s
	}
	return s
}

func moment(t int64) string {
	if t == 0 {
		return "unknown"
	}
	return time.Unix(0, t).UTC().Format("2006-01-02 15:04 UTC")
}

func date(t int64) string {
	if t == 0 {
		return "no date"
	}
	return time.Unix(0, t).UTC().Format(time.DateOnly)
}

var columnWords = map[string]string{"n": "fixed", "p50": "p50", "p90": "p90", "open": "still open", "openP50": "median open age", "oldest": "oldest", "alerts": "alerts", "nodeDays": "node-days", "rate": "per node-day",
	"defender": "Defender's", "pass": "pass", "fail": "fail", "notAssessed": "not assessed", "exempt": "exempt", "manual": "manual", "percent": "%", "cost": "cost", "idleShare": "share of idle",
	"burn": "burn %", "expected": "expected %", "spent": "spent", "amount": "budget"}

var columnOrder = []string{"percent", "rate", "p50", "p90", "n", "open", "openP50", "oldest", "alerts", "defender", "nodeDays", "pass", "fail", "notAssessed", "exempt", "manual", "cost", "idleShare", "burn", "expected", "spent", "amount"}

func newKPI(k govern.KPI) kpi {
	out := kpi{ID: k.ID, Title: k.Title, Unit: k.Unit, Value: "not assessed", Why: k.NotAssessed, Rule: k.Rule, Note: k.Note, Trend: k.Trend, raw: k.Value, n: k.N, of: k.Of}
	if k.Value != nil {
		out.Value, out.Why = decimal(*k.Value), ""
	} else {
		out.Unit = ""
	}
	out.Count = fmt.Sprintf("%s of %s", decimal(k.N), decimal(k.Of))
	switch {
	case k.Of == 0 && k.Value != nil: // a count of its own: the note says what was looked at
		out.Count = ""
	case k.Of == 0:
		out.Count = "nothing was counted"
	}
	if n := len(k.Trend); n > 1 {
		out.Span = date(k.Trend[0].At) + " to " + date(k.Trend[n-1].At)
		if k.Value != nil {
			was := k.Trend[0].Value
			by := *k.Value - was
			out.ChangeState = "same"
			switch {
			case math.Abs(by) < 1e-9:
				out.Change = "unchanged"
			case (by > 0) == (k.Better == "up"):
				out.ChangeState = "better"
			default:
				out.ChangeState = "worse"
			}
			if out.Change == "" {
				out.Change = fmt.Sprintf("%s from %s: %s", map[bool]string{true: "up", false: "down"}[by > 0], decimal(was), out.ChangeState)
			}
			out.Change += " since " + date(k.Trend[0].At)
		}
	}
	have := map[string]bool{}
	for _, s := range k.By {
		for c := range s.Values {
			have[c] = true
		}
	}
	for _, c := range append(slices.Clone(columnOrder), slices.Sorted(maps.Keys(have))...) {
		if have[c] {
			delete(have, c)
			out.Columns = append(out.Columns, c)
		}
	}
	const shown = 30
	out.More = max(0, len(k.By)-shown)
	for i, s := range k.By {
		row := slice{Name: s.Name}
		for _, c := range out.Columns {
			cell := "–"
			if v, ok := s.Values[c]; ok {
				cell = decimal(v)
			}
			row.Cells = append(row.Cells, cell)
		}
		if i < shown {
			out.By = append(out.By, row)
		} else {
			out.Rest = append(out.Rest, row)
		}
	}
	for i, c := range out.Columns {
		out.Columns[i] = cmp.Or(columnWords[c], c)
	}
	return out
}

func newRecommendation(r govern.Recommendation, now int64) recommendation {
	out := recommendation{Recommendation: r, Sources: strings.Join(r.Sources, " and "), Due: "no date"}
	if r.Due > 0 {
		out.Due = date(r.Due)
		if r.Overdue {
			out.Due += fmt.Sprintf(", %d days overdue", (now-r.Due)/int64(24*time.Hour))
		}
	}
	var names []string
	for _, ref := range r.Resources[:min(3, len(r.Resources))] {
		names = append(names, ref.Name)
	}
	out.Where = strings.Join(names, ", ")
	if n := r.Count - len(names); n > 0 {
		out.Where += fmt.Sprintf(" and %d more", n)
	}
	return out
}

// playbookJSON is the playbook for machines: the evaluation's own words.
type playbookJSON struct {
	Format          string                  `json:"format"` // dockreeve-playbook
	Version         int                     `json:"version"`
	Made            string                  `json:"madeBy,omitempty"`
	At              int64                   `json:"at"`
	TenantID        string                  `json:"tenantID,omitempty"`
	TenantAt        int64                   `json:"tenantAt,omitempty"`
	Coverage        govern.Coverage         `json:"coverage"`
	Playbook        []govern.Check          `json:"playbook"`
	KPIs            []govern.KPI            `json:"kpis"`
	Pitfalls        []govern.Check          `json:"pitfalls"`
	Recommendations []govern.Recommendation `json:"recommendations"`
	Findings        []govern.Finding        `json:"findings"`
	Gaps            []inventory.Gap         `json:"gaps"`
}

func writeJSON(w io.Writer, ev *govern.Evaluation, o Options) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(playbookJSON{"dockreeve-playbook", 1, o.Version, ev.At, ev.TenantID, ev.TenantAt, ev.Coverage, ev.Playbook, ev.KPIs, ev.Pitfalls, ev.Recommendations, ev.Findings, ev.Gaps})
}
