package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/report"
)

func newCoverage() *cobra.Command {
	var f tenantFlags
	var under float64
	var all bool
	cmd := &cobra.Command{
		Use:   "coverage",
		Short: "Which clusters are protected, whose they are, and what changed since yesterday",
		Long: `Say for every subscription and cluster whether container protection is on, with the last
proof and the command that closes what is open.

A cluster is protected when an accepted provider (Defender, Dockreeve, or either) closes
three rows: eyes inside its pods, its images, and runtime threats. What could not be read
is unknown, stays in the denominator, and is named. Stopped clusters are outside it.

  dockreeve azure collect -o snapshot.json
  dockreeve coverage --snapshot snapshot.json --fail-under 100

With --fail-under it exits 1 when the share of protected production clusters is lower, and
4 when it could not be assessed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(oneOf(f.output, "table", "json", "csv"), percentage(under)); err != nil {
				return err
			}
			j, err := f.judge(cmd)
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			switch f.output {
			case "json":
				err = printValue(w, j.ev)
			case "csv":
				err = report.Clusters(w, j.ev)
			default:
				err = printCoverage(w, j, all)
			}
			if err != nil {
				return err
			}
			return failUnder("protection of production clusters", j.ev.Coverage.Production, under)
		},
	}
	f.flags(cmd, "table, json or csv")
	cmd.Flags().Float64Var(&under, "fail-under", 0, "exit 1 when less than this percentage of production clusters is protected")
	cmd.Flags().BoolVar(&all, "all", false, "list protected clusters too")
	return cmd
}

func printCoverage(w io.Writer, j *judged, all bool) error {
	c := &j.ev.Coverage
	fmt.Fprintf(w, "Protection, from %s", j.from)
	if j.ev.TenantAt > 0 {
		fmt.Fprintf(w, ", Azure as of %s", day(j.ev.TenantAt))
	}
	fmt.Fprint(w, "\n\n")
	t := columns(w)
	for _, l := range []struct {
		what string
		r    govern.Ratio
	}{
		{"relevant subscriptions with Defender for Containers on", c.Subscriptions},
		{"production clusters protected", c.Production},
		{"clusters protected", c.Clusters},
		{"clusters with the Defender profile enabled", c.Profile},
		{"clusters protected by any provider", c.Any},
		{"clusters with an owner", c.Owned},
	} {
		fmt.Fprintf(t, "%s\t%s\n", l.what, share(l.r))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprint(w, "\nCLUSTERS (by risk × money)\n")
	t = columns(w)
	fmt.Fprintln(t, "NAME\tENVIRONMENT\tOWNER\tINSIDE\tIMAGES\tRUNTIME\tENFORCEMENT\tPLAN\tPROFILE\tRISK\tWHAT IS MISSING")
	hidden, byID := 0, false
	for i := range j.ev.Clusters {
		r := &j.ev.Clusters[i]
		if r.Protected.Value && !all {
			hidden++
			continue
		}
		byID = byID || isID(r.Ownership.Owner)
		why := ""
		for _, row := range []govern.Row{r.Inside, r.Images, r.Runtime} {
			if row.State != govern.RowClosed {
				why = row.Why
				break
			}
		}
		if r.Stopped {
			why = "stopped"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.0f\t%s\n", short(r.Name, 34), short(r.Environment, 11), owner(r.Ownership), rowWord(r.Inside), rowWord(r.Images), rowWord(r.Runtime),
			rowWord(r.Enforcement), told(r.Plan), told(r.Profile), r.Risk, short(why, 48))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if byID {
		fmt.Fprintln(w, "An owner that is an id holds the role Owner; Azure gives no name with it: az ad sp list, az ad user show --id ID, or set the owner's tag.")
	}
	if hidden > 0 {
		fmt.Fprintf(w, "%d protected clusters are not listed (--all)\n", hidden)
	}
	printImagesProof(w, j.ev)
	if len(c.Drift) > 0 {
		fmt.Fprint(w, "\nSINCE YESTERDAY\n")
		for _, d := range c.Drift {
			sign := "+"
			if d.Worse {
				sign = "-"
			}
			fmt.Fprintf(w, "  %s %s: %s %s → %s\n", sign, clean(d.Name), d.What, clean(d.Before), clean(d.After))
		}
	}
	if n := len(c.NotOnboarded); n > 0 && len(j.in.Observed) > 0 {
		fmt.Fprintf(w, "\n%d clusters are not onboarded; the first: %s\n", n, clean(c.NotOnboarded[0].Do))
	}
	if j.in.Tenant != nil { // of a server's snapshot the alerts tell
		abuse := activityOf(j)
		fmt.Fprintf(w, "\nABUSE IN AZURE'S ACTIVITY LOG\n%d found in %s\n", len(abuse.Findings), activityWatched(abuse))
		for i := range abuse.Findings {
			f := &abuse.Findings[i]
			fmt.Fprintf(w, "  %s %s: %s\n", day(f.Time), f.Severity, clean(f.Summary))
		}
		if len(abuse.Findings) > 0 {
			fmt.Fprintln(w, "  more of each, and what to do: dockreeve azure activity")
		}
	}
	if len(j.ev.Gaps) > 0 {
		fmt.Fprintln(w)
		gapLines(w, j.ev.Gaps)
	}
	return nil
}

// owner writes whose a cluster is. ARM gives the holders of a role by their ids only.
func owner(o govern.Ownership) string {
	if isID(o.Owner) {
		return "role Owner " + o.Owner[:8]
	}
	return short(o.Owner, 30)
}

// isID says whether a name begins with a GUID.
func isID(name string) bool {
	if len(name) < 36 {
		return false
	}
	for i, r := range name[:36] {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (r == '-') || !dash && !strings.ContainsRune("0123456789abcdefABCDEF", r) {
			return false
		}
	}
	return true
}
