package cli

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/govern"
)

// costPrinter writes costs for people.
type costPrinter struct {
	w io.Writer
	*judged
	all    bool
	doubts doubts
	doubt  bool                                       // one of the figures written is doubtful
	ask    func(id string) (*cost.ClusterCost, error) // for what a server's report leaves out; nil = it is whole
	names  map[string]string                          // lower ARM id → name
}

// listMost is how much of a list is written without --all.
const listMost = 20

func (p *costPrinter) print() error {
	p.names = map[string]string{}
	for i := range p.ev.Subscriptions {
		p.names[strings.ToLower(p.ev.Subscriptions[i].ID)] = p.ev.Subscriptions[i].Name
	}
	r := p.in.Costs
	fmt.Fprintf(p.w, "Cost from %s to %s, from %s; %d rows of the bill", day(r.From), day(r.To), p.from, r.Rows)
	if r.Bad > 0 {
		fmt.Fprintf(p.w, ", %d more were not understood and are missing", r.Bad)
	}
	fmt.Fprintf(p.w, "\nbilled %s, of that idle %s, shared %s, of no cluster %s\n", moneyAsOf(r.Billed), moneyOrWhy(r.Idle), moneyOrWhy(r.Shared), moneyOrWhy(r.Unassigned))
	for _, m := range r.Others {
		fmt.Fprintf(p.w, "in another currency, kept apart: %s\n", money(m))
	}
	for _, part := range []func() error{p.clusters, p.protection, p.teams, p.budgets, p.reconciled} {
		if err := part(); err != nil {
			return err
		}
	}
	p.anomalies()
	p.increases()
	if p.doubt {
		fmt.Fprintln(p.w, "\n~ rests on a price that was not read at its publisher (docs/cost.md): give your own with --prices")
	}
	if len(r.Gaps) > 0 {
		fmt.Fprintln(p.w)
		for _, g := range r.Gaps {
			fmt.Fprintf(p.w, "  not assessed: %s: %s\n", clean(g.What), clean(g.Reason))
		}
	}
	return nil
}

// money is doubts.money, remembered.
func (p *costPrinter) money(m cost.Money, parts ...cost.Money) string {
	s := p.doubts.money(m, parts...)
	p.doubt = p.doubt || strings.HasPrefix(s, "~")
	return s
}

// moneyOrWhy writes an amount, or that there is none.
func moneyOrWhy(m cost.Money) string {
	if s := money(m); s != "–" {
		return s
	}
	return "not assessed"
}

// name is what people call a scope: of a subscription its name, else the last of its id.
func (p *costPrinter) name(scope string) string {
	if n := p.names[strings.ToLower(scope)]; n != "" {
		return clean(n)
	}
	last := scope[strings.LastIndexByte(scope, '/')+1:]
	if n := p.names["/subscriptions/"+strings.ToLower(last)]; n != "" {
		return clean(n)
	}
	return clean(last)
}

// more tells how much of a list is not written.
func (p *costPrinter) more(n int, of string) {
	if n > 0 {
		fmt.Fprintf(p.w, "and %d more %s (--all)\n", n, of)
	}
}

func (p *costPrinter) most(n int) int {
	if p.all {
		return n
	}
	return min(n, listMost)
}

func (p *costPrinter) clusters() error {
	rows := slices.Clone(p.ev.Clusters)
	slices.SortStableFunc(rows, func(a, b govern.ClusterRow) int { return cmp.Compare(b.MonthToDate.Amount, a.MonthToDate.Amount) })
	fmt.Fprint(p.w, "\nCLUSTERS (month to date: billed since the month began, the whole of each, with what is idle in it; the dearest first; protection is part of what a cluster costs)\n")
	t := columns(p.w).dropping("ENVIRONMENT", "BUDGET", "OWNER", "A VCORE AND MONTH")
	fmt.Fprintln(t, "NAME\tENVIRONMENT\tOWNER\tCOST\tFORECAST\tBUDGET\tDEFENDER\tDOCKREEVE\tA VCORE AND MONTH\tSHARE\tNOT ASSESSED")
	n := p.most(len(rows))
	for i := range rows[:n] {
		r := &rows[i]
		c, err := p.cluster(r)
		if err != nil {
			return err
		}
		share := "–"
		if c.ShareWhy == "" && money(c.MonthToDate) != "–" {
			share = fmt.Sprintf("%.1f %%", 100*c.Share)
		}
		of := map[string]cost.Money{}
		for _, x := range c.Protection {
			of[x.Provider] = x.Total
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", clean(r.Name), clean(r.Environment), owner(r.Ownership.Owner), money(r.MonthToDate), money(r.Forecast), money(r.Budget),
			p.money(of["defender"]), p.money(of["dockreeve"]), p.money(c.PerVCore), share, clean(p.gap(r, c, of)))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	p.more(len(rows)-n, "clusters")
	return nil
}

// cluster is one cluster's money.
func (p *costPrinter) cluster(r *govern.ClusterRow) (*cost.ClusterCost, error) {
	if p.ask != nil {
		return p.ask(r.ID)
	}
	c := p.in.Costs.Clusters[r.ID]
	return &c, nil
}

// gap says of the first figure that is missing why; what is missing everywhere is told
// below the tables.
func (p *costPrinter) gap(r *govern.ClusterRow, c *cost.ClusterCost, of map[string]cost.Money) string {
	for _, x := range []struct {
		what, why string
	}{{"cost", r.MonthToDate.NotAssessed}, {"Defender", of["defender"].NotAssessed}, {"Dockreeve", of["dockreeve"].NotAssessed}, {"share", c.ShareWhy}} {
		if x.why != "" && !slices.ContainsFunc(p.in.Costs.Gaps, func(g cost.Gap) bool { return g.Reason == x.why }) {
			return x.what + ": " + x.why
		}
	}
	return ""
}

func (p *costPrinter) protection() error {
	r := p.in.Costs
	for _, hypothetic := range []bool{false, true} {
		title := "PROTECTION AS IT IS"
		if hypothetic {
			title = "PROTECTION, WERE IT ON EVERYWHERE"
		}
		fmt.Fprintf(p.w, "\n%s (from %s to %s)\n", title, day(r.From), day(r.To))
		t := columns(p.w).dropping("PRICES OF", "VCORES", "LOGS", "SCANS")
		fmt.Fprintln(t, "PROVIDER\tPLAN\tSCANS\tLOGS\tAGENTS\tTOTAL\tVCORES\tCLUSTERS\tPRICES OF\tNOTE")
		for _, x := range r.Protection {
			if x.Hypothetic != hypothetic {
				continue
			}
			if !hypothetic && x.Clusters == 0 { // no figure is a price then
				n, note := "0", "runs on no cluster that is known here"
				if x.Total.NotAssessed != "" {
					n, note = "?", "not assessed: "+x.Total.NotAssessed
				}
				fmt.Fprintf(t, "%s\t–\t–\t–\t–\t–\t–\t%s\t–\t%s\n", x.Provider, n, clean(note))
				continue
			}
			parts := []cost.Money{x.Plan, x.Scans, x.Ingestion, x.Agents}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%.0f\t%d\t%s\t%s\n", x.Provider, p.money(x.Plan), p.money(x.Scans), p.money(x.Ingestion), p.money(x.Agents), p.money(x.Total, parts...), x.VCores, x.Clusters, cmp.Or(x.Total.AsOf, "–"), clean(x.Note))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (p *costPrinter) teams() error {
	list := p.in.Costs.Teams
	fmt.Fprintf(p.w, "\nOWNERS (showback from %s to %s: what is idle stands beside the cost, not in it: another sum than the clusters' month to date)\n", day(p.in.Costs.From), day(p.in.Costs.To))
	t := columns(p.w)
	fmt.Fprintln(t, "OWNER\tCORE-HOURS\tCOST\tIDLE SHARE\tPROTECTION")
	n := p.most(len(list))
	for _, a := range list[:n] {
		hours := "–"
		if a.UsedWhy == "" && a.CoreHours > 0 {
			hours = fmt.Sprintf("%.0f", a.CoreHours)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", owner(a.Key), hours, money(a.Cost), money(a.IdleShare), p.money(a.Protection))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	p.more(len(list)-n, "owners")
	return nil
}

// budgets lists what breaks and what burns faster than its period; what holds is counted.
func (p *costPrinter) budgets() error {
	list := slices.Clone(p.in.Costs.Budgets)
	fmt.Fprint(p.w, "\nBUDGETS\n")
	if len(list) == 0 {
		fmt.Fprintln(p.w, "none was read")
		return nil
	}
	slices.SortStableFunc(list, func(a, b cost.BudgetState) int {
		return cmp.Or(cmp.Compare(cmp.Or(a.Breach, "9"), cmp.Or(b.Breach, "9")), cmp.Compare(b.Burn, a.Burn))
	})
	n := len(list)
	if !p.all {
		n = 0
		for n < len(list) && list[n].Breach != "" {
			n++
		}
	}
	if n > 0 {
		t := columns(p.w).dropping("PERIOD OVER")
		fmt.Fprintln(t, "BREAKS\tSPENT\tOF\tBURN\tPERIOD OVER\tFORECAST\tNAME\tOF WHAT")
		for _, b := range list[:n] {
			burn := "–"
			if money(b.Spent) != "–" && money(b.Amount) != "–" {
				burn = fmt.Sprintf("%.0f %%", 100*b.Burn)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.0f %%\t%s\t%s\t%s\n", cmp.Or(b.Breach, "holds"), money(b.Spent), money(b.Amount), burn, 100*b.Expected, money(b.Forecast), clean(b.Name), p.name(b.Scope))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if holds := len(list) - n; holds > 0 {
		fmt.Fprintf(p.w, "%d of %d budgets hold as far as is known (--all)\n", holds, len(list))
	}
	return nil
}

// reconciled lists what differs from the bill and adds up what agrees and what could not be
// compared.
func (p *costPrinter) reconciled() error {
	list := p.in.Costs.Reconciled
	fmt.Fprint(p.w, "\nBILL AGAINST WHAT WAS COMPUTED\n")
	if len(list) == 0 {
		fmt.Fprintln(p.w, "nothing could be compared: there is no bill")
		return nil
	}
	type sum struct {
		compared, not, over int
		why                 string
	}
	sums := map[string]*sum{}
	t := columns(p.w)
	head := false
	for _, x := range list {
		s := sums[x.What]
		if s == nil {
			s = &sum{}
			sums[x.What] = s
		}
		diff := "–"
		if x.Billed.NotAssessed == "" && x.Computed.NotAssessed == "" && !math.IsNaN(x.Difference) {
			s.compared++
			diff = strings.Replace(fmt.Sprintf("%+.1f %%", 100*x.Difference), "-0.0", "+0.0", 1)
		} else {
			s.not++
			s.why = cmp.Or(s.why, p.name(x.Scope)+": "+cmp.Or(x.Computed.NotAssessed, x.Billed.NotAssessed, strings.Join(x.Why, "; ")))
		}
		if x.Finding {
			s.over++
			diff += " !"
		}
		if !x.Finding && !p.all {
			continue
		}
		if !head {
			fmt.Fprintln(t, "WHAT\tSCOPE\tCOMPUTED\tBILLED\tDIFFERENCE\tWHY")
			head = true
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", clean(x.What), p.name(x.Scope), p.money(x.Computed), money(x.Billed), diff, clean(strings.Join(x.Why, "; ")))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, what := range []string{"defender-plan", "defender-scans", "ingestion", "compute"} {
		s := sums[what]
		if s == nil {
			continue
		}
		fmt.Fprintf(p.w, "%s: %d compared, %d of them more than 2 %% apart", what, s.compared, s.over)
		if s.not > 0 {
			fmt.Fprintf(p.w, "; %d could not be compared, the first is %s", s.not, clean(s.why))
		}
		fmt.Fprintln(p.w)
	}
	return nil
}

func (p *costPrinter) anomalies() {
	list := p.in.Costs.Anomalies
	if len(list) == 0 {
		return
	}
	fmt.Fprint(p.w, "\nUNUSUAL\n")
	for _, a := range list {
		mark := " "
		if a.Mining {
			mark = "!"
		}
		fmt.Fprintf(p.w, "%s %s %s of %s: %.1f %s where %.1f was expected", mark, day(a.From), a.Series, p.name(a.Key), a.Got, a.Unit, a.Expected)
		if a.PerHour.NotAssessed == "" && a.PerHour.Amount != 0 {
			fmt.Fprintf(p.w, ", %s an hour", money(a.PerHour))
		}
		fmt.Fprintln(p.w)
		for _, c := range a.Causes {
			fmt.Fprintf(p.w, "      %s\n", clean(c))
		}
	}
}

func (p *costPrinter) increases() {
	list := p.in.Costs.Increases
	if len(list) == 0 {
		return
	}
	fmt.Fprint(p.w, "\nDEARER THAN THE WEEK BEFORE\n")
	n := p.most(len(list))
	for _, x := range list[:n] {
		fmt.Fprintln(p.w, "  "+clean(x.Text))
	}
	p.more(len(list)-n, "increases")
}
