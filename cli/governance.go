package cli

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dockreeve/dockreeve/agent/node"
	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/posture"
	"github.com/dockreeve/dockreeve/source/azure"
)

// tenantFlags say what governance is judged from: a snapshot or exports, with bills and
// prices from files. Without a snapshot the server is asked.
type tenantFlags struct {
	to       target
	snapshot string
	charges  []string
	prices   string
	config   string
	at       string
	decimal  string
	dates    string
	output   string
}

func (f *tenantFlags) flags(cmd *cobra.Command, outputs string) {
	f.to.flags(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.snapshot, "snapshot", "", "judge this `FILE` of \"dockreeve azure collect\", or a folder of \"az … -o json\" exports, instead of asking the server")
	fl.StringArrayVar(&f.charges, "charges", nil, "with --snapshot: bill as CSV, FOCUS or an Azure cost export, gzipped or not (may be repeated)")
	fl.StringVar(&f.prices, "prices", "", "with --snapshot: price file that goes before the prices that come with Dockreeve (docs/cost.md)")
	fl.StringVar(&f.config, "governance", "", "with --snapshot: what your organisation decides: provider, tags, environments, exemptions (docs/governance.md)")
	fl.StringVar(&f.at, "at", "", "with --snapshot: judge as of this time, RFC 3339 or YYYY-MM-DD (default: now)")
	f.formFlags(cmd)
	fl.StringVarP(&f.output, "output", "o", "table", outputs)
}

// formFlags say what a bill itself may not tell.
func (f *tenantFlags) formFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.decimal, "decimal", "", "of the bill's numbers, where the file does not tell: . or ,")
	cmd.Flags().StringVar(&f.dates, "dates", "", "order of the bill's dates such as 03/04/2026, where the file does not tell: day-month or month-day")
}

// focusOptions are what formFlags say.
func (f *tenantFlags) focusOptions() (cost.FOCUSOptions, error) {
	o := cost.FOCUSOptions{Decimal: f.decimal}
	if f.decimal != "" && f.decimal != "." && f.decimal != "," {
		return o, withCode(exitUsage, "--decimal %q: want . or ,", f.decimal)
	}
	switch f.dates {
	case "":
	case "day-month":
		o.Dates = cost.DayMonth
	case "month-day":
		o.Dates = cost.MonthDay
	default:
		return o, withCode(exitUsage, "--dates %q: want day-month or month-day", f.dates)
	}
	return o, nil
}

// judged is what was judged, and where it came from.
type judged struct {
	ev   *govern.Evaluation
	in   *govern.Input
	from string // for people: snapshot FILE, server URL

	offline bool // from files: what only agents know is not in it
}

// collectorRoom is how much memory the collector may let grow over what is in use while
// files are read and judged, in percent (GOGC).
const collectorRoom = 30

// judge reads what the flags name and judges it, as the hub does.
func (f *tenantFlags) judge(cmd *cobra.Command) (*judged, error) {
	if f.snapshot == "" {
		for name, set := range map[string]bool{"--charges": len(f.charges) > 0, "--prices": f.prices != "", "--governance": f.config != "", "--at": f.at != ""} {
			if set {
				return nil, withCode(exitUsage, "%s goes with --snapshot; without it the server is asked, which has its own", name)
			}
		}
		return f.ask(cmd.Context())
	}
	// What is read is large and short-lived: the collector's room over it would be as much
	// again. A command that ends soon pays for that with a little time.
	defer debug.SetGCPercent(debug.SetGCPercent(collectorRoom))
	k := &govern.Known{}
	k.Now = time.Now().UnixNano()
	if f.at != "" {
		t, err := time.Parse(time.RFC3339, f.at)
		if err != nil {
			if t, err = time.Parse(time.DateOnly, f.at); err != nil {
				return nil, withCode(exitUsage, "--at %q: want a time as in 2026-11-26T09:00:00Z or a date as in 2026-11-26", f.at)
			}
		}
		k.Now = t.UnixNano()
	}
	if f.config != "" {
		var err error
		if k.Config, err = readGovernance(f.config); err != nil {
			return nil, err
		}
	}
	// The snapshot and the bills are read at once: each keeps about one core busy. Where the
	// snapshot cannot be read, nobody waits for the bills.
	money := &cost.Input{Bill: &cost.Bill{}}
	var told bytes.Buffer // what is said of the bills, once they are read
	bills := make(chan error, 1)
	go func() { bills <- f.bills(&told, money) }()
	snap, err := azure.Open(f.snapshot)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, withCode(exitData, "%w\nMake one with \"dockreeve azure collect -o snapshot.json\", or look around with \"dockreeve demo tenant\".", err)
	case err != nil:
		return nil, withCode(exitData, "%w", err)
	}
	billed := <-bills
	_, _ = told.WriteTo(cmd.ErrOrStderr())
	if billed != nil {
		return nil, billed
	}
	k.Tenant = snap.Tenant
	shipped := cost.Shipped()
	money.Prices, money.Sizes, money.Agents, money.Meters, money.AuditLoses = snap.Prices, cost.ShippedSizes(), shipped.Agents, shipped.Meters, auditLoses()
	if twice := money.Bill.Merge(snap.Bill); twice > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d rows of the snapshot's cost query are left out: the files tell the same days.\n", twice)
	}
	if f.prices != "" {
		own, err := readPrices(f.prices)
		if err != nil {
			return nil, err
		}
		money.Prices, money.Meters = append(own.Prices, money.Prices...), append(own.Meters, money.Meters...)
		if len(own.Agents) > 0 {
			money.Agents = own.Agents
		}
	}
	money.Prices = append(money.Prices, shipped.Prices...)
	money.HereWhy = "files do not tell where Dockreeve's agents run; the server knows"
	k.Money = money
	ev, in := govern.Judge(k)
	return &judged{ev: ev, in: in, from: "snapshot " + f.snapshot, offline: true}, nil
}

// bills reads the files of charges, one after the other.
func (f *tenantFlags) bills(stderr io.Writer, into *cost.Input) error {
	for _, path := range f.charges {
		if err := f.bill(stderr, path, into); err != nil {
			return err
		}
	}
	return nil
}

// bill reads one file of charges; rows that were not understood are told.
func (f *tenantFlags) bill(stderr io.Writer, path string, into *cost.Input) error {
	file, err := os.Open(path)
	if err != nil {
		return withCode(exitData, "%w", err)
	}
	defer file.Close()
	o, err := f.focusOptions()
	if err != nil {
		return err
	}
	sum, err := cost.ReadFOCUS(file, o, into.Bill)
	into.Bad += sum.Bad
	tellBill(stderr, path, &sum)
	if err != nil {
		return withCode(exitData, "%s: %w%s", path, err, formHint(err))
	}
	return nil
}

// formHint names the flag that says what a file does not.
func formHint(err error) string {
	switch msg := err.Error(); {
	case strings.Contains(msg, "dates: "):
		return "\nSay it with --dates day-month or --dates month-day."
	case strings.Contains(msg, "decimal: "):
		return "\nSay it with --decimal . or --decimal ,"
	}
	return ""
}

// tellBill says what of a bill was not understood, and how much money is missing for it.
func tellBill(w io.Writer, path string, sum *cost.FOCUSSummary) {
	if sum.Bad > 0 {
		fmt.Fprintf(w, "%s: %d of %d rows were not understood and are missing from every sum", path, sum.Bad, sum.Rows)
		for i, m := range sum.BadBilled {
			if i == 0 {
				fmt.Fprint(w, ": billed")
			}
			fmt.Fprintf(w, " %.2f %s", m.Amount.Float(), m.Currency)
		}
		if sum.BadUnknown > 0 {
			fmt.Fprintf(w, "; of %d of them not even the money is known", sum.BadUnknown)
		}
		fmt.Fprintln(w)
		for _, p := range sum.Problems {
			at := fmt.Sprintf("%s:%d", path, p.Line)
			if p.Column != "" {
				at += ", column " + clean(p.Column)
			}
			fmt.Fprintf(w, "  %s: %s\n", at, clean(p.Reason))
		}
		if n := sum.Bad - len(sum.Problems); n > 0 {
			fmt.Fprintf(w, "  and %d more\n", n)
		}
	}
	if sum.BadTags > 0 {
		fmt.Fprintf(w, "%s: tags of %d rows were not understood: what belongs to whom may be missing there\n", path, sum.BadTags)
	}
	if sum.Cut > 0 {
		fmt.Fprintf(w, "%s: %d values of other columns were too long or too many, and cut\n", path, sum.Cut)
	}
	if sum.Amortised {
		fmt.Fprintf(w, "%s: amortised costs: what the file calls billed spreads purchases over their term and is not what was billed\n", path)
	}
	if sum.Assumed > 0 && !sum.Amortised {
		fmt.Fprintf(w, "%s: %d rows tell no effective cost: the billed one was taken\n", path, sum.Assumed)
	}
}

func readGovernance(path string) (govern.Config, error) {
	file, err := os.Open(path)
	if err != nil {
		return govern.Config{}, withCode(exitUsage, "%w", err)
	}
	defer file.Close()
	var raw bytes.Buffer
	c, err := govern.ReadConfig(io.TeeReader(file, &raw))
	if err == nil {
		return c, nil
	}
	if strings.Contains(err.Error(), "unknown field") {
		if keys := unknownKeys(raw.Bytes()); len(keys) > 0 {
			return c, withCode(exitUsage, "%s: %s\nAll keys: docs/governance.md", path, strings.Join(keys, "\n"+path+": "))
		}
	}
	return c, withCode(exitUsage, "%s: %w", path, err)
}

func readPrices(path string) (*cost.PriceFile, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, withCode(exitUsage, "%w", err)
	}
	defer file.Close()
	p, err := cost.LoadPrices(file)
	if err != nil {
		return nil, withCode(exitUsage, "%s: %w", path, err)
	}
	return p, nil
}

// money writes an amount for people.
func money(m cost.Money) string {
	if m.NotAssessed != "" || m.Currency == "" {
		return "–"
	}
	v := m.Amount.Float()
	if math.Abs(v) >= 1000 {
		return fmt.Sprintf("%.0f %s", v, m.Currency)
	}
	return fmt.Sprintf("%.2f %s", v, m.Currency)
}

// doubts tell which figures rest on a shipped price that nobody read at its publisher, by
// the words of their sources.
type doubts []string

func newDoubts() doubts {
	var d doubts
	for _, p := range cost.Shipped().Prices {
		if !p.Verified && p.Source != "" && !slices.Contains(d, p.Source) {
			d = append(d, p.Source)
		}
	}
	return d
}

// of says whether one of the figures does.
func (d doubts) of(list ...cost.Money) bool {
	for _, m := range list {
		if m.NotAssessed == "" && m.Amount != 0 && slices.ContainsFunc(d, func(s string) bool { return strings.Contains(m.Source, s) }) {
			return true
		}
	}
	return false
}

// money writes an amount, with ~ where it, or what it is the sum of, is doubtful.
func (d doubts) money(m cost.Money, parts ...cost.Money) string {
	s := money(m)
	if s != "–" && (d.of(m) || d.of(parts...)) {
		return "~" + s
	}
	return s
}

// moneyAsOf is money with the date of its price or bill.
func moneyAsOf(m cost.Money) string {
	if m.NotAssessed != "" || m.AsOf == "" {
		return money(m)
	}
	return money(m) + " (" + m.AsOf + ")"
}

// share writes a ratio: 12 of 20 (60 %), 3 unknown.
func share(r govern.Ratio) string {
	if _, ok := r.Share(); !ok {
		return "not assessed: " + cmp.Or(r.NotAssessed, "nothing to count")
	}
	out := fmt.Sprintf("%d of %d (%s)", r.N, r.Of, percent(r))
	if r.Unknown > 0 {
		out += fmt.Sprintf(", %d unknown", r.Unknown)
	}
	return out
}

// percent writes a share, never rounded up to 100 nor down to 0.
func percent(r govern.Ratio) string {
	s, ok := r.Share()
	if !ok {
		return "not assessed"
	}
	v := math.Floor(1000*s) / 10
	if s > 0 {
		v = max(v, 0.1)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") + " %"
}

func told(a inventory.Assessed) string {
	switch {
	case a.NotAssessed != "":
		return "?"
	case a.Value:
		return "yes"
	}
	return "no"
}

func rowWord(r govern.Row) string {
	switch r.State {
	case govern.RowClosed:
		return "closed"
	case govern.RowOpen:
		return "OPEN"
	}
	return "?"
}

// gapLines writes what is not assessed; what has one reason in one line.
func gapLines(w io.Writer, gaps []inventory.Gap) {
	var order []inventory.Gap
	of := map[inventory.Gap][]string{}
	for _, g := range gaps {
		k := inventory.Gap{Reason: g.Reason, Remedy: g.Remedy}
		if of[k] == nil {
			order = append(order, k)
		}
		of[k] = append(of[k], g.What)
	}
	for _, k := range order {
		line := "  not assessed: " + clean(strings.Join(of[k], ", ")) + ": " + clean(k.Reason)
		if k.Remedy != "" {
			line += " (" + clean(k.Remedy) + ")"
		}
		fmt.Fprintln(w, line)
	}
}

// minute writes a time to the minute, in UTC.
func minute(ns int64) string { return time.Unix(0, ns).UTC().Format("2006-01-02 15:04") }

func day(ns int64) string {
	if ns == 0 {
		return "–"
	}
	return time.Unix(0, ns).UTC().Format(time.DateOnly)
}

// percentage checks --fail-under before anything is read.
func percentage(v float64) error {
	if v >= 0 && v <= 100 { // NaN is neither
		return nil
	}
	return withCode(exitUsage, "--fail-under %v: want a percentage, 0 to 100", v)
}

// failUnder turns a ratio that is below what was asked into exit code 1, and one that
// says nothing into 4.
func failUnder(what string, r govern.Ratio, under float64) error {
	if under == 0 {
		return nil
	}
	s, ok := r.Share()
	if !ok {
		return withCode(exitData, "%s is not assessed: %s", what, r.NotAssessed)
	}
	if 100*s < under {
		return withCode(exitFindings, "%s is %s, below %v %%", what, percent(r), under)
	}
	return nil
}

func filterResults(list []posture.Result, keep func(*posture.Result) bool) []posture.Result {
	return slices.DeleteFunc(slices.Clone(list), func(r posture.Result) bool { return !keep(&r) })
}

// auditLoses names the rules of the API server that need what kube-audit-admin leaves out:
// those that our own pack tags as needing reads.
func auditLoses() []string {
	set, _, err := node.RuleSet{}.Load()
	if err != nil {
		return nil // the cost of the cheaper log is then said to be not assessed
	}
	out := []string{}
	for _, r := range set.All() {
		if i := r.Info(); slices.Contains(i.Tags, "reads") {
			out = append(out, i.ID)
		}
	}
	return out
}
