package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dockreeve/dockreeve/detect/activity"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
)

func newAzureActivity() *cobra.Command {
	var f tenantFlags
	var failOn string
	cmd := &cobra.Command{
		Use:   "activity --snapshot FILE",
		Short: "Abuse that Azure's Activity Log shows: identities of clusters outside their use",
		Long: `Judge the Activity Log of a snapshot: managed identities of clusters that do what their use
never needs (keys listed, rights given, machines written…), administrator's credentials
fetched by strangers, protection and logs of clusters switched off.

  dockreeve azure collect -o snapshot.json
  dockreeve azure activity --snapshot snapshot.json --fail-on high

With --fail-on it exits 1 when something at least as grave was found, and 4 when nothing was
and the log could not be judged as a whole. A server judges each snapshot that it takes in,
and makes alerts of what it finds.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(f.output, "table", "json"); err != nil {
				return err
			}
			if f.snapshot == "" {
				return withCode(exitUsage, "name what to judge: --snapshot snapshot.json\nWhat a server found there are alerts: dockreeve alerts list 'rule:azure-*'")
			}
			least := finding.SeverityNone
			if failOn != "" {
				var err error
				if least, err = finding.ParseSeverity(failOn); err != nil {
					return withCode(exitUsage, "--fail-on: %w", err)
				}
			}
			j, err := f.judge(cmd)
			if err != nil {
				return err
			}
			out := activityOf(j)
			w := cmd.OutOrStdout()
			if f.output == "json" {
				err = printValue(w, out)
			} else {
				err = printActivity(w, j, out)
			}
			if err != nil {
				return err
			}
			return activityVerdict(out, least)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.snapshot, "snapshot", "", "`FILE` of \"dockreeve azure collect\", or a folder of \"az … -o json\" exports")
	fl.StringVar(&f.config, "governance", "", "what your organisation decides, for owners (docs/governance.md)")
	fl.StringVarP(&f.output, "output", "o", "table", "table or json")
	fl.StringVar(&failOn, "fail-on", "", "exit 1 when something of this severity or above is found: "+strings.Join(finding.SeverityWords(), ", "))
	return cmd
}

// activityOf judges the Activity Log of what was judged, with its owners.
func activityOf(j *judged) *activity.Report {
	in := &activity.Input{Tenant: j.in.Tenant, Owners: map[string]string{}, Names: map[string]string{}}
	for i := range j.ev.Clusters {
		c := &j.ev.Clusters[i]
		in.Owners[strings.ToLower(c.ID)], in.Names[strings.ToLower(c.ID)] = c.Ownership.Owner, cmp.Or(c.Here, c.Name)
	}
	return activity.Judge(in)
}

func activityVerdict(out *activity.Report, least finding.Severity) error {
	if least == finding.SeverityNone {
		return nil
	}
	n := 0
	for i := range out.Findings {
		if out.Findings[i].Severity >= least {
			n++
		}
	}
	switch {
	case n > 0:
		return withCode(exitFindings, "%d findings of severity %s or above", n, least)
	case len(out.Gaps) > 0:
		return withCode(exitData, "nothing of severity %s or above was found, but not all could be judged: %s: %s", least, clean(out.Gaps[0].What), clean(out.Gaps[0].Reason))
	}
	return nil
}

func printActivity(w io.Writer, j *judged, out *activity.Report) error {
	fmt.Fprintf(w, "Activity Log, from %s: %s\n\n", j.from, activityWatched(out))
	for i := range out.Findings {
		f := &out.Findings[i]
		fmt.Fprintf(w, "%s  %s  %s\n", strings.ToUpper(f.Severity.String()), minute(f.Time), clean(f.Summary))
		t := columns(w)
		for _, line := range [][2]string{{"rule", f.Rule.ID}, {"cluster", cmp.Or(f.Subject.Cluster, "of the subscription "+f.Subject.Workload)}, {"owner", cmp.Or(f.Subject.Owner, inventory.Unowned)}, {"what", f.Output}, {"do", strings.Join(f.Rule.Response, "\n")}} {
			for n, text := range strings.Split(line[1], "\n") {
				name := line[0]
				if n > 0 {
					name = ""
				}
				fmt.Fprintf(t, "  %s\t%s\n", name, clean(text))
			}
		}
		if err := t.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	if len(out.Findings) == 0 {
		fmt.Fprintln(w, "No abuse was found in it.")
	}
	gapLines(w, out.Gaps)
	return nil
}

// activityWatched says what a number of findings rests on.
func activityWatched(out *activity.Report) string {
	if out.Events == 0 {
		return "no record was read"
	}
	s := fmt.Sprintf("%d records of %d operations, %s to %s.\n%d of %d identities of clusters did something: %d operations that their use needs, %d others that are usual for them",
		out.Events, out.Acts, day(out.From), day(out.To), out.Active, out.Identities, out.Expected, out.Usual)
	if out.Learning > 0 {
		s += fmt.Sprintf("; whether %d early ones were new is not assessed: what is usual was being learned", out.Learning)
	}
	return s + "."
}
