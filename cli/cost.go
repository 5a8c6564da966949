package cli

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
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
			var in cost.Input
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
					if err := cost.WriteFOCUS(file, slices.Values(in.Charges)); err != nil {
						return withCode(exitFailed, "%w", err)
					}
					return file.Close()
				}
				return cost.WriteFOCUS(out, slices.Values(in.Charges))
			}
			c, err := f.to.dial()
			if err != nil {
				return err
			}
			res, err := submitCharges(cmd.Context(), c, in.Charges)
			if err != nil {
				return f.to.explain(err)
			}
			days := "no days"
			if n := len(res.Days); n > 0 {
				days = res.Days[0] + " to " + res.Days[n-1]
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The server took %d of %d rows, %s; %d were not understood.\n", res.Stored, res.Rows, days, res.Bad)
			return nil
		},
	}
	f.to.flags(cmd)
	cmd.Flags().StringVar(&f.decimal, "decimal", "", "of the bill's numbers, where the file does not tell: . or ,")
	cmd.Flags().StringVar(&focus, "focus", "", "write FOCUS 1.2 to this file, - for standard output, and send nothing")
	return cmd
}

func printCost(w io.Writer, j *judged) error {
	r := j.in.Costs
	fmt.Fprintf(w, "Cost from %s to %s, from %s; %d rows of the bill", day(r.From), day(r.To), j.from, r.Rows)
	if r.Bad > 0 {
		fmt.Fprintf(w, ", %d more were not understood and are missing", r.Bad)
	}
	fmt.Fprintf(w, "\nbilled %s, idle %s, shared %s, of no cluster %s\n", money(r.Billed), money(r.Idle), money(r.Shared), money(r.Unassigned))
	for _, m := range r.Others {
		fmt.Fprintf(w, "in another currency, kept apart: %s\n", money(m))
	}
	fmt.Fprint(w, "\nPROTECTION\n")
	t := columns(w)
	fmt.Fprintln(t, "PROVIDER\tPLAN\tSCANS\tLOGS\tAGENTS\tTOTAL\tVCORES\tCLUSTERS\t")
	for _, p := range r.Protection {
		note := p.Note
		if p.Hypothetic {
			note = "if it were on; " + note
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%.0f\t%d\t%s\n", p.Provider, money(p.Plan), money(p.Scans), money(p.Ingestion), money(p.Agents), money(p.Total), p.VCores, p.Clusters, clean(note))
	}
	if err := t.Flush(); err != nil {
		return err
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
	fmt.Fprintln(t, "NAME\tSPENT\tOF\tBURN\tPERIOD OVER\tFORECAST\tBREAKS")
	for _, b := range r.Budgets {
		breaks := b.Breach
		if breaks == "" {
			breaks = "–"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%.0f %%\t%.0f %%\t%s\t%s\n", clean(b.Name), money(b.Spent), money(b.Amount), 100*b.Burn, 100*b.Expected, money(b.Forecast), breaks)
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
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", clean(x.What), clean(x.Scope[strings.LastIndexByte(x.Scope, '/')+1:]), money(x.Computed), money(x.Billed), diff, clean(strings.Join(x.Why, "; ")))
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
			fmt.Fprintf(w, "; %s\n", clean(strings.Join(a.Causes, "; ")))
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
