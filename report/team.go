package report

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

//go:embed team.html
var teamHTML string

// ErrOwner is returned where an owner is asked for who owns nothing.
var ErrOwner = errors.New("unknown owner")

// TeamOptions say what "my team" is computed from. Nil members are told as not known.
type TeamOptions struct {
	Owner      string
	Evaluation *govern.Evaluation // required
	Costs      *cost.Report
	Exemptions []govern.Exemption // Dockreeve's own
	Tenant     *cloud.Tenant      // Azure's exemptions
	Reviews    []govern.Review
	Link       string        // of the console; "" = none is shown
	Ahead      time.Duration // how far ahead things count as expiring: default 30 days
	Top        int           // fixes: default 5
	Version    string
}

// Summary is what a team is told: its clusters, its first fixes, its money, what expires.
type Summary struct {
	Owner    string        `json:"owner"`
	At       string        `json:"at"`
	Link     string        `json:"link,omitempty"`
	Version  string        `json:"version,omitempty"`
	Headline string        `json:"headline"`
	Clusters []TeamCluster `json:"clusters"`
	More     int           `json:"moreClusters,omitempty"`
	Fixes    []TeamFix     `json:"fixes"`
	Open     int           `json:"open"`    // recommendations
	Overdue  int           `json:"overdue"` // of them
	Fixed    int           `json:"fixed"`   // verified in the last 30 days
	Costs    []string      `json:"costs"`
	Expires  []TeamDate    `json:"expires"`
	Gaps     []string      `json:"gaps,omitempty"`
}

// TeamCluster is a cluster in a summary.
type TeamCluster struct {
	Name        string `json:"name"`
	Environment string `json:"environment"`
	Protection  string `json:"protection"` // open: images; not assessed: enforcement
	Good        bool   `json:"good"`
	Score       string `json:"score"`
	Critical    string `json:"critical"`
	Alerts      string `json:"alerts"`
	Cost        string `json:"cost"`
}

// TeamFix is one thing to do.
type TeamFix struct {
	Title    string   `json:"title"`
	Severity string   `json:"severity"`
	Why      string   `json:"why"`
	Do       []string `json:"do"`
	Where    string   `json:"where"`
	Due      string   `json:"due"`
	Overdue  bool     `json:"overdue,omitempty"`
}

// TeamDate is something that ends or is due.
type TeamDate struct {
	What string `json:"what"`
	On   string `json:"on"` // YYYY-MM-DD
	Past bool   `json:"past,omitempty"`
	at   int64
}

const teamClusters = 50

// Team computes the summary of one owner. Its error is ErrOwner where nothing is known of that owner.
func Team(o TeamOptions) (*Summary, error) {
	ev := o.Evaluation
	if ev == nil {
		return nil, errors.New("nothing was evaluated yet: run an evaluation first")
	}
	s := &Summary{Owner: o.Owner, At: moment(ev.At), Link: o.Link, Version: o.Version}
	mine := s.clusters(ev)
	s.fixes(&o)
	if len(mine) == 0 && s.Open+s.Fixed == 0 && !slices.ContainsFunc(ev.Subscriptions, func(r govern.SubscriptionRow) bool { return r.Owner.Owner == o.Owner }) {
		return nil, fmt.Errorf("%w %q: owners that are known: %s", ErrOwner, o.Owner, knownOwners(ev))
	}
	s.costs(&o, mine)
	s.expires(&o, mine)
	open := 0
	for _, c := range mine {
		if c.Protected.NotAssessed != "" || !c.Protected.Value {
			open++
		}
	}
	s.Headline = fmt.Sprintf("%s, %d of them not shown to be protected; %s open, %d overdue, %d fixed in the last 30 days.", counted(len(mine), "cluster"), open, counted(s.Open, "recommendation"), s.Overdue, s.Fixed)
	s.gaps(ev)
	return s, nil
}

// gaps tells each reason once, with how much it keeps from being known.
func (s *Summary) gaps(ev *govern.Evaluation) {
	const most = 10
	var reasons []string
	by := map[string][]string{}
	for _, g := range ev.Gaps {
		if by[g.Reason] == nil {
			reasons = append(reasons, g.Reason)
		}
		by[g.Reason] = append(by[g.Reason], g.What)
	}
	for i, r := range reasons {
		if i == most {
			s.Gaps = append(s.Gaps, counted(len(reasons)-most, "further reason"))
			break
		}
		what := by[r][0]
		if n := len(by[r]) - 1; n > 0 {
			what += fmt.Sprintf(" and %d more", n)
		}
		s.Gaps = append(s.Gaps, what+": "+r)
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// knownOwners names owners, for somebody who mistyped one.
func knownOwners(ev *govern.Evaluation) string {
	of := map[string]bool{}
	for i := range ev.Clusters {
		of[ev.Clusters[i].Ownership.Owner] = true
	}
	list := sorted(of)
	if len(list) == 0 {
		return "none"
	}
	if n := len(list) - 20; n > 0 {
		return strings.Join(list[:20], ", ") + fmt.Sprintf(" and %d more", n)
	}
	return strings.Join(list, ", ")
}

// Owners lists who can be given a summary, in order; what is unowned is not among them.
func Owners(ev *govern.Evaluation) []string {
	of := map[string]bool{}
	for i := range ev.Clusters {
		of[ev.Clusters[i].Ownership.Owner] = true
	}
	for i := range ev.Subscriptions {
		of[ev.Subscriptions[i].Owner.Owner] = true
	}
	for i := range ev.Recommendations {
		of[ev.Recommendations[i].Owner] = true
	}
	delete(of, inventory.Unowned)
	delete(of, "")
	return sorted(of)
}

func (s *Summary) clusters(ev *govern.Evaluation) []*govern.ClusterRow {
	var mine []*govern.ClusterRow
	for i := range ev.Clusters {
		c := &ev.Clusters[i]
		if c.Ownership.Owner != s.Owner {
			continue
		}
		mine = append(mine, c)
		if len(mine) > teamClusters {
			s.More++
			continue
		}
		row := TeamCluster{Name: c.Name, Environment: c.Environment, Score: "not assessed", Critical: "not assessed", Alerts: "not watched", Cost: spell(c.MonthToDate)}
		row.Protection, row.Good = protection(c)
		if c.Score != nil {
			row.Score = decimal(100**c.Score) + " %"
		}
		if c.Critical != nil {
			row.Critical = fmt.Sprint(*c.Critical)
		}
		if c.AlertsOpen != nil {
			row.Alerts = fmt.Sprint(*c.AlertsOpen)
		}
		s.Clusters = append(s.Clusters, row)
	}
	return mine
}

func protection(c *govern.ClusterRow) (string, bool) {
	var open, unknown []string
	for _, r := range []struct {
		name string
		row  govern.Row
	}{{"inside pods", c.Inside}, {"images", c.Images}, {"runtime threats", c.Runtime}, {"enforcement", c.Enforcement}} {
		switch r.row.State {
		case govern.RowClosed:
		case govern.RowOpen:
			open = append(open, r.name)
		default:
			unknown = append(unknown, r.name)
		}
	}
	var parts []string
	if c.Stopped {
		parts = append(parts, "stopped")
	}
	if len(open) > 0 {
		parts = append(parts, "open: "+strings.Join(open, ", "))
	}
	if len(unknown) > 0 {
		parts = append(parts, "not assessed: "+strings.Join(unknown, ", "))
	}
	if len(parts) == 0 {
		return "closed", true
	}
	return strings.Join(parts, "; "), false
}

// spell is money as people read it, with its currency.
func spell(m cost.Money) string {
	if m.NotAssessed != "" {
		return "not assessed: " + m.NotAssessed
	}
	if m.Currency == "" {
		return "not assessed"
	}
	v := m.Amount.Float()
	text := decimal(v)
	if v > -1000 && v < 1000 {
		text = fmt.Sprintf("%.2f", v)
	}
	return text + " " + m.Currency
}

func (s *Summary) fixes(o *TeamOptions) {
	top := cmp.Or(max(0, o.Top), 5)
	for _, r := range o.Evaluation.Recommendations {
		if r.Owner != s.Owner {
			continue
		}
		if r.Fixed > 0 {
			s.Fixed++
			continue
		}
		s.Open++
		if r.Overdue {
			s.Overdue++
		}
		if len(s.Fixes) < top {
			n := newRecommendation(r, o.Evaluation.At)
			s.Fixes = append(s.Fixes, TeamFix{Title: r.Title, Severity: r.Severity, Why: r.Why, Do: r.Do, Where: n.Where, Due: n.Due, Overdue: r.Overdue})
		}
	}
}

func (s *Summary) costs(o *TeamOptions, mine []*govern.ClusterRow) {
	if o.Costs == nil {
		s.Costs = []string{"Not assessed: no bill and no prices were read."}
		return
	}
	for _, t := range o.Costs.Teams {
		if cmp.Or(t.Owner, t.Key) != s.Owner {
			continue
		}
		line := "Charged to you: " + spell(t.Cost) + dated(t.Cost) + ", from " + date(o.Costs.From) + " to " + date(o.Costs.To)
		if t.IdleShare.NotAssessed == "" && t.IdleShare.Amount > 0 {
			line += "; your share of idle capacity beside it: " + spell(t.IdleShare)
		}
		if t.Protection.NotAssessed == "" && t.Protection.Currency != "" {
			line += "; protection in it: " + spell(t.Protection)
		}
		s.Costs = append(s.Costs, line+".")
	}
	for _, c := range mine {
		if len(s.Costs) == 12 {
			break
		}
		if c.Budget.NotAssessed != "" || c.Forecast.NotAssessed != "" || c.Budget.Amount <= 0 || c.Budget.Currency != c.Forecast.Currency || c.Forecast.Amount <= c.Budget.Amount {
			continue
		}
		s.Costs = append(s.Costs, fmt.Sprintf("%s is on the way to %s this month, its budget is %s.", c.Name, spell(c.Forecast), spell(c.Budget)))
	}
	for _, c := range mine {
		if c.Anomaly != "" && len(s.Costs) < 12 {
			s.Costs = append(s.Costs, c.Name+": "+c.Anomaly)
		}
	}
	if len(s.Costs) == 0 {
		s.Costs = []string{"Nothing was charged to you in the window, as far as the bill was allocated."}
	}
}

func dated(m cost.Money) string {
	text := join(m.Source, map[bool]string{true: "as of " + m.AsOf}[m.AsOf != ""])
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// expires lists what ends, or ended without anybody looking.
func (s *Summary) expires(o *TeamOptions, mine []*govern.ClusterRow) {
	now := o.Evaluation.At
	ahead := now + int64(cmp.Or(o.Ahead, 30*24*time.Hour))
	scopes := map[string]bool{strings.ToLower(s.Owner): true}
	for _, c := range mine {
		scopes[strings.ToLower(c.ID)], scopes[strings.ToLower(c.Here)] = true, true
	}
	for i := range o.Evaluation.Subscriptions {
		if r := &o.Evaluation.Subscriptions[i]; r.Owner.Owner == s.Owner {
			scopes[strings.ToLower(r.ID)] = true
		}
	}
	delete(scopes, "")
	// It is the team's where the exemption lies at something of the team, or below it.
	ours := func(scope string) bool {
		scope = strings.ToLower(strings.TrimSuffix(scope, "/"))
		for scope != "" {
			if scopes[scope] {
				return true
			}
			scope = scope[:max(0, strings.LastIndexByte(scope, '/'))]
		}
		return false
	}
	add := func(what string, at int64) {
		if at > 0 && at <= ahead {
			s.Expires = append(s.Expires, TeamDate{what, date(at), at < now, at})
		}
	}
	for _, e := range o.Exemptions {
		if !ours(e.Scope) {
			continue
		}
		if at, err := time.Parse(time.DateOnly, e.Expires); err == nil {
			add("exemption from "+e.Control+" at "+tailOf(e.Scope)+" ("+join(e.By, e.Why)+")", at.UnixNano()+int64(24*time.Hour)-1)
		} else {
			s.Expires = append(s.Expires, TeamDate{What: "exemption from " + e.Control + " at " + tailOf(e.Scope) + ": it names no end, and should", On: "no date"})
		}
	}
	if o.Tenant != nil {
		for _, e := range o.Tenant.Exemptions {
			if !ours(e.Scope) {
				continue
			}
			name := "Azure Policy exemption " + cmp.Or(e.Title, e.ID)
			if e.Expires == 0 {
				s.Expires = append(s.Expires, TeamDate{What: name + ": it names no end, and should", On: "no date"})
			}
			add(name, e.Expires)
		}
	}
	for _, r := range o.Reviews {
		if strings.EqualFold(r.Scope, s.Owner) {
			if last, ok := govern.LastReview(o.Reviews, r.Subject, r.Scope, now); ok && last.ID == r.ID {
				add("next review of your "+r.Subject, r.NextDue)
			}
		}
	}
	for _, r := range o.Evaluation.Recommendations {
		if r.Owner == s.Owner && r.Fixed == 0 && !r.Overdue {
			add("due: "+r.Title, r.Due)
		}
	}
	slices.SortStableFunc(s.Expires, func(a, b TeamDate) int { return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.What, b.What)) })
	if n := len(s.Expires) - 40; n > 0 {
		s.Expires = append(s.Expires[:40], TeamDate{What: fmt.Sprintf("%d more", n), On: "later"})
	}
}

// tailOf is the last name of an ARM id.
func tailOf(id string) string {
	id = strings.TrimSuffix(id, "/")
	return id[strings.LastIndexByte(id, '/')+1:]
}

// oneLine takes line breaks and controls out of what others wrote.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), func(r rune) bool { return r == ' ' || r < 0x20 || r == 0x7f || r == '\u2028' || r == '\u2029' }), " ")
}

// Text writes the summary for a terminal and for the plain part of a mail.
func (s *Summary) Text(w io.Writer) error {
	var b strings.Builder
	line := func(format string, args ...any) {
		for i, a := range args {
			if t, ok := a.(string); ok {
				args[i] = oneLine(t)
			}
		}
		fmt.Fprintf(&b, format+"\n", args...)
	}
	line("%s, as of %s", s.Owner, s.At)
	line("%s", s.Headline)
	line("\nDO FIRST")
	for i, f := range s.Fixes {
		line("%d. %s (%s, due %s)", i+1, f.Title, f.Severity, f.Due)
		line("   at %s. %s", f.Where, f.Why)
		for _, d := range f.Do {
			line("   > %s", d)
		}
	}
	if len(s.Fixes) == 0 {
		line("Nothing is recommended, as far as it was assessed.")
	}
	line("\nCLUSTERS")
	for _, c := range s.Clusters {
		line("%s (%s): protection %s", c.Name, c.Environment, c.Protection)
		line("   score %s; critical running vulnerabilities %s; high alerts open %s; month to date %s", c.Score, c.Critical, c.Alerts, c.Cost)
	}
	if s.More > 0 {
		line("and %d more", s.More)
	}
	line("\nCOST")
	for _, c := range s.Costs {
		line("%s", c)
	}
	line("\nWHAT EXPIRES")
	for _, e := range s.Expires {
		past := ""
		if e.Past {
			past = "past: "
		}
		line("%-10s  "+past+"%s", e.On, e.What)
	}
	if len(s.Expires) == 0 {
		line("Nothing that is known.")
	}
	if len(s.Gaps) > 0 {
		line("\nWHAT THIS DOES NOT SAY")
		for _, g := range s.Gaps {
			line("%s", g)
		}
	}
	if s.Link != "" {
		line("\n%s", s.Link)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// HTML writes the summary as a page for mail readers: it loads nothing.
func (s *Summary) HTML(w io.Writer) error {
	t, err := template.New("team").Parse(teamHTML)
	if err != nil {
		return err
	}
	return t.Execute(w, s)
}
