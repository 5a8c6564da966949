package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dockreeve/dockreeve/posture"
	"github.com/dockreeve/dockreeve/report"
)

func newPosture() *cobra.Command {
	var f tenantFlags
	var framework, verdict string
	var under float64
	cmd := &cobra.Command{
		Use:   "posture",
		Short: "Compliance: controls judged from evidence, scored by benchmark",
		Long: `Judge controls (CIS AKS 1.8, Microsoft's container recommendations, mapped to PCI DSS, ISO 27001,
SOC 2 and NIST 800-53) from what Azure says, what clusters hold and what their nodes tell.

A pass is impossible without evidence; what could not be seen is not assessed, which is
neither a pass nor a fail and always counted beside the score.

  dockreeve posture --snapshot snapshot.json
  dockreeve posture --snapshot snapshot.json --framework cis-aks-1.8 --verdict fail`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(oneOf(f.output, "table", "json", "csv"), percentage(under)); err != nil {
				return err
			}
			if !slices.Contains([]string{"", string(posture.Pass), string(posture.Fail), string(posture.NotAssessed), string(posture.Exempt), string(posture.NotRelevant)}, verdict) {
				return withCode(exitUsage, "--verdict %q: want pass, fail, not-assessed, exempt, not-applicable", verdict)
			}
			var list []posture.Result
			if f.snapshot == "" {
				var err error
				if list, err = f.results(cmd.Context()); err != nil {
					return err
				}
			} else {
				j, err := f.judge(cmd)
				if err != nil {
					return err
				}
				list = j.in.Posture
			}
			controls := map[string]*posture.Control{}
			all := posture.Controls()
			for i := range all {
				controls[all[i].ID] = &all[i]
			}
			scores := posture.Scores(list)
			list = filterResults(list, func(r *posture.Result) bool {
				c := controls[r.Control]
				return (verdict == "" || string(r.Verdict) == verdict) && (framework == "" || c != nil && len(c.Maps[framework]) > 0)
			})
			if framework != "" && !slices.Contains(posture.Frameworks(), framework) {
				return withCode(exitUsage, "--framework %s is not known; \"dockreeve posture controls\" lists them", framework)
			}
			w := cmd.OutOrStdout()
			var err error
			switch f.output {
			case "json":
				err = printValue(w, list)
			case "csv":
				err = report.Results(w, list, all)
			default:
				err = printPosture(w, scores, list, controls, framework)
			}
			if err != nil {
				return err
			}
			return scoreUnder(scores, cmp.Or(framework, "cis-aks-1.8"), under)
		},
	}
	f.flags(cmd, "table, json or csv")
	fl := cmd.Flags()
	fl.StringVar(&framework, "framework", "", "only controls of this framework, as in cis-aks-1.8")
	fl.StringVar(&verdict, "verdict", "", "only pass, fail, not-assessed, exempt or not-applicable")
	fl.Float64Var(&under, "fail-under", 0, "exit 1 when the framework's score (default cis-aks-1.8) is below this percentage")
	cmd.AddCommand(newPostureControls())
	return cmd
}

func scoreUnder(scores []posture.Score, framework string, under float64) error {
	if under <= 0 {
		return nil
	}
	for _, s := range scores {
		if s.Framework != framework {
			continue
		}
		if s.Pass+s.Fail == 0 {
			return withCode(exitData, "%s: no control could be assessed", framework)
		}
		if 100*s.Ratio < under {
			return withCode(exitFindings, "%s: %.1f %% of assessed controls pass, below %.0f %%", framework, 100*s.Ratio, under)
		}
		return nil
	}
	return withCode(exitUsage, "--framework %s is not known; \"dockreeve posture controls\" lists them", framework)
}

func printPosture(w io.Writer, scores []posture.Score, list []posture.Result, controls map[string]*posture.Control, framework string) error {
	t := columns(w)
	fmt.Fprintln(t, "FRAMEWORK\tSCORE\tPASS\tFAIL\tNOT ASSESSED\tEXEMPT\tMANUAL")
	for _, s := range scores {
		if framework != "" && s.Framework != framework {
			continue
		}
		score := "–"
		if s.Pass+s.Fail > 0 {
			score = fmt.Sprintf("%.1f %%", 100*s.Ratio)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%d\n", cmp.Or(s.Framework, "all controls"), score, s.Pass, s.Fail, s.NotAssessed, s.Exempt, s.Manual)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	type sum struct {
		control                    string
		pass, fail, unknown, other int
		why                        string
	}
	by := map[string]*sum{}
	for i := range list {
		r := &list[i]
		s := by[r.Control]
		if s == nil {
			s = &sum{control: r.Control}
			by[r.Control] = s
		}
		switch r.Verdict {
		case posture.Pass:
			s.pass++
		case posture.Fail:
			s.fail++
			s.why = cmp.Or(s.why, r.Reason)
		case posture.NotAssessed:
			s.unknown++
		default:
			s.other++
		}
	}
	sums := make([]*sum, 0, len(by))
	for _, s := range by {
		sums = append(sums, s)
	}
	slices.SortFunc(sums, func(a, b *sum) int { return cmp.Or(cmp.Compare(b.fail, a.fail), cmp.Compare(a.control, b.control)) })
	fmt.Fprintln(w)
	t = columns(w)
	fmt.Fprintln(t, "CONTROL\tPASS\tFAIL\tNOT ASSESSED\tEXEMPT\tTITLE\tFIRST FAILURE")
	for _, s := range sums {
		title := ""
		if c := controls[s.control]; c != nil {
			title = c.Title
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\t%s\n", s.control, s.pass, s.fail, s.unknown, s.other, clean(title), short(s.why, 60))
	}
	return t.Flush()
}

func newPostureControls() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "controls",
		Short: "List the controls that this build knows, with their ids in each framework",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(output, "table", "json"); err != nil {
				return err
			}
			all := posture.Controls()
			if output == "json" {
				return printValue(cmd.OutOrStdout(), all)
			}
			t := columns(cmd.OutOrStdout())
			fmt.Fprintln(t, "CONTROL\tSEVERITY\tNEEDS\tTITLE\tIDS")
			for _, c := range all {
				needs := strings.Join(c.Needs, ", ")
				if c.Manual {
					needs = "a person"
				}
				var ids []string
				for _, f := range []string{"cis-aks-1.8", "mcsb"} {
					if len(c.Maps[f]) > 0 {
						ids = append(ids, f+" "+strings.Join(c.Maps[f], ", "))
					}
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", c.ID, c.Severity, needs, clean(c.Title), clean(strings.Join(ids, "; ")))
			}
			return t.Flush()
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}
