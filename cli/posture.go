package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/dockreeve/dockreeve/posture"
	"github.com/dockreeve/dockreeve/report"
)

func newPosture() *cobra.Command {
	var f tenantFlags
	var framework, verdict, cluster string
	var under float64
	cmd := &cobra.Command{
		Use:   "posture",
		Short: "Compliance: controls judged from evidence, scored by benchmark",
		Long: `Judge controls (CIS AKS 1.8, Microsoft's container recommendations, mapped to PCI DSS, ISO 27001,
SOC 2 and NIST 800-53) from what Azure says, what clusters hold and what their nodes tell.

A pass is impossible without evidence; what could not be seen is not assessed, which is
neither a pass nor a fail and always counted beside the score.

  dockreeve posture --snapshot snapshot.json
  dockreeve posture --snapshot snapshot.json --framework cis-aks-1.8 --verdict fail
  dockreeve posture --snapshot snapshot.json --framework cis-aks-1.8 --verdict fail --cluster payments-prd

With --cluster it says of that cluster alone what each control found and how to mend it.
With --fail-under it exits 1 when the score is lower, and 4 when nothing could be assessed.`,
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
			if cluster != "" {
				id, err := clusterNamed(list, cluster)
				if err != nil {
					return err
				}
				list = filterResults(list, func(r *posture.Result) bool { return r.Cluster == id })
			}
			scores, whole := posture.Scores(list), list
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
			case "table":
				if err = printScores(w, scores, framework); err != nil {
					return err
				}
				if cluster != "" {
					err = printClusterControls(w, list, controls, framework)
				} else {
					err = printControls(w, whole, list, controls)
				}
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
	fl.StringVar(&cluster, "cluster", "", "only this cluster, by name or ARM id, with what was found and how to mend it")
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

// clusterNamed finds a cluster by its id, or by the last of it where only one is called so.
func clusterNamed(list []posture.Result, name string) (string, error) {
	var found []string
	for i := range list {
		id := list[i].Cluster
		if strings.EqualFold(id, name) {
			return id, nil
		}
		if strings.EqualFold(id[strings.LastIndexByte(id, '/')+1:], name) && !slices.Contains(found, id) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return "", withCode(exitUsage, "--cluster %s: no verdict is of a cluster of that name; \"dockreeve coverage --all\" lists them", name)
	case 1:
		return found[0], nil
	}
	return "", withCode(exitUsage, "--cluster %s: %d clusters are called so, name one by its id:\n  %s", name, len(found), strings.Join(found, "\n  "))
}

func printScores(w io.Writer, scores []posture.Score, framework string) error {
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
	_, err := fmt.Fprint(w, "A score is passed ÷ (passed + failed); what was not assessed is in neither.\n\n")
	return err
}

// printControls counts each control's verdicts over everything, whatever of them is listed.
func printControls(w io.Writer, whole, list []posture.Result, controls map[string]*posture.Control) error {
	type sum struct {
		control                    string
		pass, fail, unknown, other int
		why                        string
		listed                     bool
	}
	by := map[string]*sum{}
	for i := range whole {
		r := &whole[i]
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
	var sums []*sum
	for i := range list {
		if s := by[list[i].Control]; !s.listed {
			s.listed = true
			sums = append(sums, s)
		}
	}
	slices.SortFunc(sums, func(a, b *sum) int { return cmp.Or(cmp.Compare(b.fail, a.fail), cmp.Compare(a.control, b.control)) })
	t := columns(w).dropping("EXEMPT OR NOT APPLICABLE", "NOT ASSESSED", "PASS")
	fmt.Fprintln(t, "CONTROL\tPASS\tFAIL\tNOT ASSESSED\tEXEMPT OR NOT APPLICABLE\tTITLE\tFIRST FAILURE")
	for _, s := range sums {
		title := ""
		if c := controls[s.control]; c != nil {
			title = c.Title
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\t%s\n", s.control, s.pass, s.fail, s.unknown, s.other, clean(title), clean(s.why))
	}
	return t.Flush()
}

// printClusterControls writes what was found in one cluster, what fails first.
func printClusterControls(w io.Writer, list []posture.Result, controls map[string]*posture.Control, framework string) error {
	order := []posture.Verdict{posture.Fail, posture.NotAssessed, posture.Pass, posture.Exempt, posture.NotRelevant}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b posture.Result) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Verdict), slices.Index(order, b.Verdict)), cmp.Compare(severityRank(controls[a.Control]), severityRank(controls[b.Control])), cmp.Compare(a.Control, b.Control))
	})
	for i := range list {
		r := &list[i]
		c := controls[r.Control]
		if c == nil {
			c = &posture.Control{ID: r.Control}
		}
		ids := ""
		if framework != "" {
			ids = ", " + framework + " " + strings.Join(c.Maps[framework], ", ")
		}
		fmt.Fprintf(w, "%s  %s (%s, %s%s)\n", strings.ToUpper(string(r.Verdict)), clean(c.Title), clean(r.Control), c.Severity, clean(ids))
		fmt.Fprintf(w, "  %s\n", clean(r.Reason))
		for n, e := range r.Evidence {
			if n == 3 {
				fmt.Fprintf(w, "    and %d more (-o json)\n", len(r.Evidence)-n)
				break
			}
			fmt.Fprintf(w, "    %s: %s = %s\n", clean(e.Where[strings.LastIndexByte(e.Where, '/')+1:]), clean(e.Field), clean(e.Value))
		}
		if r.Exempted != "" {
			fmt.Fprintf(w, "  exempt: %s\n", clean(r.Exempted))
		}
		if r.Verdict == posture.Fail {
			for _, line := range c.Remediation {
				fmt.Fprintf(w, "  > %s\n", clean(filledIn(line, r.Cluster)))
			}
		}
	}
	if len(list) == 0 {
		fmt.Fprintln(w, "No verdict of this cluster is so.")
	}
	return nil
}

// filledIn puts a cluster's own names into the command of a remediation, where they are such
// that a shell takes them for what they are.
func filledIn(line, id string) string {
	part := strings.Split(id, "/") // "", subscriptions, ID, resourcegroups, GROUP, providers, …, NAME
	if len(part) < 9 || strings.ContainsFunc(id, func(r rune) bool {
		return r > 'z' || !strings.ContainsRune("/.-_", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		return line
	}
	name := part[len(part)-1]
	return strings.NewReplacer("--subscription SUBSCRIPTION", "--subscription "+part[2], "--resource-group GROUP", "--resource-group "+part[4], "--name CLUSTER", "--name "+name, "--cluster-name CLUSTER", "--cluster-name "+name, "--resource CLUSTER_ID", "--resource "+id).Replace(line)
}

// severityRank puts the gravest first.
func severityRank(c *posture.Control) int {
	if c == nil {
		return 9
	}
	return slices.Index([]string{"critical", "high", "medium", "low"}, c.Severity)
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
