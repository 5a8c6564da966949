package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/dockreeve/dockreeve/cost"
)

func newCost() *cobra.Command {
	var f tenantFlags
	var all bool
	cmd := &cobra.Command{
		Use:   "cost",
		Short: "What clusters, teams and protection cost, against budgets and the bill",
		Long: `Say what each cluster, namespace and owner costs, what protection costs by Defender,
Dockreeve and both, how that compares with what was billed, and what is unusual.

Costs come from Cost Management (azure collect) or from exports of the bill, FOCUS or older:

  dockreeve cost --snapshot snapshot.json --charges focus.csv.gz
  dockreeve cost --snapshot snapshot.json --charges focus.csv.gz -o csv >showback.csv

A cluster's month to date is all that was billed for it since the month began; showback divides
the window's bill, with what is idle apart: docs/cost.md says why the two differ.

Every figure has a currency and the date of its bill or price; one that nobody verified at
its publisher is marked with ~, and – is what could not be assessed. See docs/cost.md.`,
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
			p := &costPrinter{w: w, judged: j, all: all, doubts: newDoubts()}
			if !j.offline {
				p.ask = func(id string) (*cost.ClusterCost, error) { return f.clusterCost(cmd.Context(), id) }
			}
			return p.print()
		},
	}
	f.flags(cmd, "table, json, or csv (showback)")
	cmd.Flags().BoolVar(&all, "all", false, "list everything: clusters and owners beyond the first twenty, budgets that hold, bills that agree")
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
sent: what was read is written as FOCUS 1.2.

  dockreeve cost import focus-2026-11.csv.gz
  dockreeve cost import details.csv --decimal , --focus focus.csv`,
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
