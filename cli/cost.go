package cli

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dockreeve/dockreeve/cost"
)

func newCost() *cobra.Command {
	var f tenantFlags
	cmd := &cobra.Command{
		Use:   "cost",
		Short: "What clusters, teams and protection cost, against budgets and the bill",
		Long: `Say what each cluster, namespace and owner costs, what protection costs by Defender,
Dockreeve and both, how that compares with what was billed, and what is unusual.

Costs come from Cost Management (azure collect) or from exports of the bill, FOCUS or older:

  dockreeve cost --snapshot snapshot.json --charges focus.csv.gz
  dockreeve cost --snapshot snapshot.json -o csv >showback.csv

Every figure has a currency and the date of its price; one that nobody verified at its
publisher is marked with ~. See docs/cost.md.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(f.output, "table", "json", "csv"); err != nil {
				return err
			}
			j, err := f.judge(cmd)
			if err != nil {
				return err
			}
			if j.in.Costs == nil {
				return withCode(exitData, "no bill and no prices were read: see docs/cost.md")
			}
			w := cmd.OutOrStdout()
			switch f.output {
			case "json":
				return printValue(w, j.in.Costs)
			case "csv":
				return cost.WriteShowback(w, j.in.Costs, cost.ShowbackCSV)
			}
			return printCost(w, j)
		},
	}
	f.flags(cmd, "table, json, or csv (showback)")
	cmd.AddCommand(newCostImport())
	return cmd
}

func newCostImport() *cobra.Command {
	var f tenantFlags
	var focus string
	cmd := &cobra.Command{
		Use:   "import FILE…",
		Short: "Read a bill, and give it to the server or write it as FOCUS 1.2",
		Long: `Read exports of the bill (FOCUS 1.0 to 1.2, or Azure's older cost details; gzipped or not) and
give them to the server, which replaces the days that they hold. With --focus nothing is
sent: what was read is written as FOCUS 1.2.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := cost.Input{Bill: &cost.Bill{}}
			for _, path := range args {
				if err := f.bill(cmd.ErrOrStderr(), path, &in); err != nil {
					return err
				}
			}
			if focus != "" {
				out := cmd.OutOrStdout()
				if focus != "-" {
					file, err := os.Create(focus)
					if err != nil {
						return withCode(exitFailed, "%w", err)
					}
					defer file.Close()
					if err := cost.WriteFOCUS(file, in.Bill.All()); err != nil {
						return withCode(exitFailed, "%w", err)
					}
					return file.Close()
				}
				return cost.WriteFOCUS(out, in.Bill.All())
			}
			c, err := f.to.dial()
			if err != nil {
				return err
			}
			res, err := submitCharges(cmd.Context(), c, in.Bill)
			if err != nil {
				return f.to.explain(err)
			}
			days := "no days"
			if n := len(res.Days); n > 0 {
				days = res.Days[0] + " to " + res.Days[n-1]
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The server took %d of %d rows, %s; %d were not understood.\n", res.Stored, res.Rows+int64(in.Bad), days, res.Bad+int64(in.Bad))
			return nil
		},
	}
	f.to.flags(cmd)
	f.formFlags(cmd)
	cmd.Flags().StringVar(&focus, "focus", "", "write FOCUS 1.2 to this file, - for standard output, and send nothing")
	return cmd
}

func printCost(w io.Writer, j *judged) error {
	r := j.in.Costs
	fmt.Fprintf(w, "Cost from %s to %s, from %s; %d rows of the bill", day(r.From), day(r.To), j.from, r.Rows)
	if r.Bad > 0 {
		fmt.Fprintf(w, ", %d more were not understood and are missing", r.Bad)
	}
	fmt.Fprintf(w, "\nbilled %s, idle %s, shared %s, of no cluster %s\n", moneyAsOf(r.Billed), money(r.Idle), money(r.Shared), money(r.Unassigned))
	for _, m := range r.Others {
		fmt.Fprintf(w, "in another currency, kept apart: %s\n", money(m))
	}
	fmt.Fprint(w, "\nPROTECTION\n")
	d := newDoubts()
	doubtful := false
	t := columns(w)
	fmt.Fprintln(t, "PROVIDER\tPLAN\tSCANS\tLOGS\tAGENTS\tTOTAL\tVCORES\tCLUSTERS\tPRICES OF\tNOTE")
	for _, p := range r.Protection {
		note, parts := p.Note, []cost.Money{p.Plan, p.Scans, p.Ingestion, p.Agents}
		doubtful = doubtful || d.of(parts...)
		switch {
		case p.Hypothetic:
			note = "if it were on; " + note
		case p.Clusters == 0: // no figure is a price then
			fmt.Fprintf(t, "%s\t–\t–\t–\t–\t–\t–\t0\t\truns on no cluster that is known here\n", p.Provider)
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%.0f\t%d\t%s\t%s\n", p.Provider, d.money(p.Plan), d.money(p.Scans), d.money(p.Ingestion), d.money(p.Agents), d.money(p.Total, parts...), p.VCores, p.Clusters, cmp.Or(p.Total.AsOf, "–"), short(note, 90))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if doubtful {
		fmt.Fprintln(w, "~ rests on a price that was not read at its publisher (docs/cost.md): give your own with --prices")
	}
	fmt.Fprint(w, "\nTEAMS\n")
	t = columns(w)
	fmt.Fprintln(t, "OWNER\tCORE-HOURS\tCOST\tIDLE SHARE\tPROTECTION")
	for i, a := range r.Teams {
		if i == 20 {
			fmt.Fprintf(t, "and %d more (-o json)\t\t\t\t\n", len(r.Teams)-i)
			break
		}
		fmt.Fprintf(t, "%s\t%.0f\t%s\t%s\t%s\n", clean(a.Key), a.CoreHours, money(a.Cost), money(a.IdleShare), money(a.Protection))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprint(w, "\nBUDGETS\n")
	t = columns(w)
	fmt.Fprintln(t, "NAME\tOF WHAT\tSPENT\tOF\tBURN\tPERIOD OVER\tFORECAST\tBREAKS")
	for _, b := range r.Budgets {
		breaks := b.Breach
		if breaks == "" {
			breaks = "–"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.0f %%\t%.0f %%\t%s\t%s\n", short(b.Name, 40), short(b.Scope[strings.LastIndexByte(b.Scope, '/')+1:], 40), money(b.Spent), money(b.Amount), 100*b.Burn, 100*b.Expected, money(b.Forecast), breaks)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprint(w, "\nBILL AGAINST WHAT WAS COMPUTED\n")
	t = columns(w)
	fmt.Fprintln(t, "WHAT\tSCOPE\tCOMPUTED\tBILLED\tDIFFERENCE\tWHY")
	for _, x := range r.Reconciled {
		diff := "–"
		if x.Billed.NotAssessed == "" && x.Computed.NotAssessed == "" && !math.IsNaN(x.Difference) {
			diff = fmt.Sprintf("%+.1f %%", 100*x.Difference)
		}
		if x.Finding {
			diff += " !"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", clean(x.What), clean(x.Scope[strings.LastIndexByte(x.Scope, '/')+1:]), d.money(x.Computed), money(x.Billed), diff, short(strings.Join(x.Why, "; "), 90))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(r.Anomalies) > 0 {
		fmt.Fprint(w, "\nUNUSUAL\n")
		for _, a := range r.Anomalies {
			mark := " "
			if a.Mining {
				mark = "!"
			}
			fmt.Fprintf(w, "%s %s %s of %s: %.1f %s where %.1f was expected", mark, day(a.From), a.Series, clean(a.Key[strings.LastIndexByte(a.Key, '/')+1:]), a.Got, a.Unit, a.Expected)
			if a.PerHour.NotAssessed == "" && a.PerHour.Amount != 0 {
				fmt.Fprintf(w, ", %s an hour", money(a.PerHour))
			}
			fmt.Fprintln(w)
			for _, c := range a.Causes {
				fmt.Fprintf(w, "      %s\n", clean(c))
			}
		}
	}
	if len(r.Increases) > 0 {
		fmt.Fprint(w, "\nDEARER THAN THE WEEK BEFORE\n")
		for i, x := range r.Increases {
			if i == 15 {
				fmt.Fprintf(w, "  and %d more\n", len(r.Increases)-i)
				break
			}
			fmt.Fprintln(w, "  "+clean(x.Text))
		}
	}
	if len(r.Gaps) > 0 {
		fmt.Fprintln(w)
		for _, g := range r.Gaps {
			fmt.Fprintf(w, "  not assessed: %s: %s\n", clean(g.What), clean(g.Reason))
		}
	}
	return nil
}
