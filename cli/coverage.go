package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/report"
)

// coverageList says which list of `coverage` is asked for; none = clusters that are not
// protected.
type coverageList struct {
	all, owners, notOnboarded, commands bool
}

func newCoverage() *cobra.Command {
	var f tenantFlags
	var under float64
	var list coverageList
	cmd := &cobra.Command{
		Use:   "coverage",
		Short: "Which clusters are protected, whose they are, and what changed since yesterday",
		Long: `Say for every subscription and cluster whether container protection is on, and why not.

A cluster is protected when an accepted provider (Defender, Dockreeve, or either) closes
three rows: eyes inside its pods, its images, and runtime threats. What could not be read
is unknown, stays in the denominator, and is named. Stopped clusters are outside it.

  dockreeve azure collect -o snapshot.json
  dockreeve coverage --snapshot snapshot.json                    # what is not protected, and why
  dockreeve coverage --snapshot snapshot.json --commands >do.sh  # what closes it, to read and run
  dockreeve coverage --snapshot snapshot.json --owners           # owners and mandatory tags that are missing
  dockreeve coverage --not-onboarded                             # of the server: clusters without its agents
  dockreeve coverage --snapshot snapshot.json --fail-under 100   # in a pipeline (deploy/ci)

With --fail-under it exits 1 when the share of protected production clusters is lower, and
4 when it is not, but not all of the tenant was read: clusters may be missing from it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(oneOf(f.output, "table", "json", "csv"), percentage(under)); err != nil {
				return err
			}
			if f.output != "table" && (list.owners || list.notOnboarded || list.commands) {
				return withCode(exitUsage, "-o %s holds everything of every cluster; --owners, --not-onboarded and --commands go without it", f.output)
			}
			j, err := f.judge(cmd)
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			switch {
			case f.output == "json":
				err = printValue(w, j.ev)
			case f.output == "csv":
				err = report.Clusters(w, j.ev)
			case list.owners:
				err = printOwners(w, j)
			case list.notOnboarded:
				err = printNotOnboarded(w, j)
			case list.commands:
				err = printCommands(w, j)
			default:
				err = printCoverage(w, j, list.all)
			}
			if err != nil {
				return err
			}
			return coverageUnder(j, under)
		},
	}
	f.flags(cmd, "table, json or csv")
	fl := cmd.Flags()
	fl.Float64Var(&under, "fail-under", 0, "exit 1 when less than this percentage of production clusters is protected")
	fl.BoolVar(&list.all, "all", false, "list protected clusters too")
	fl.BoolVar(&list.owners, "owners", false, "list clusters whose owner or mandatory tags are missing, with suggestions")
	fl.BoolVar(&list.notOnboarded, "not-onboarded", false, "list clusters in which Dockreeve's agents do not run, with the command that onboards each")
	fl.BoolVar(&list.commands, "commands", false, "print the commands that close what is open, as a script to read before it is run")
	cmd.MarkFlagsMutuallyExclusive("all", "owners", "not-onboarded", "commands")
	return cmd
}

// coverageUnder is failUnder of production; a share that is high enough passes only where
// the whole tenant was read.
func coverageUnder(j *judged, under float64) error {
	const what = "protection of production clusters"
	r := &j.ev.Coverage.Production
	err := failUnder(what, *r, under)
	var e *exitError
	if asExit(err, &e) && e.code == exitFindings && len(r.Missing) > 0 {
		return withCode(exitFindings, "%w: %d of %d are not protected, %s first", err, r.Of-r.N, r.Of, clean(r.Missing[0].Name))
	}
	if err != nil || under == 0 {
		return err
	}
	for _, g := range j.ev.Gaps {
		switch what, _, _ := strings.Cut(g.What, " ("); what {
		case "Azure", cloud.ReadSubscriptions, cloud.ReadClusters, cloud.ReadArc:
			return withCode(exitData, "protection of the production clusters that are known is %s, but clusters may be missing: %s: %s", percent(*r), clean(g.What), clean(g.Reason))
		}
	}
	return nil
}

// summary is what coverage is in numbers.
func summary(w io.Writer, j *judged) error {
	c := &j.ev.Coverage
	fmt.Fprintf(w, "Protection, from %s", j.from)
	if j.ev.TenantAt > 0 {
		fmt.Fprintf(w, ", Azure as of %s UTC", minute(j.ev.TenantAt))
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
		{"clusters with an owner, by tag or by role", c.Owned},
		{"clusters with every mandatory tag", check(j.ev.Playbook, "owner-tags").Ratio},
	} {
		fmt.Fprintf(t, "%s\t%s\n", l.what, share(l.r))
	}
	return t.Flush()
}

// check finds an item of the playbook; one that is not there is not assessed.
func check(list []govern.Check, id string) govern.Check {
	for _, c := range list {
		if c.ID == id {
			return c
		}
	}
	return govern.Check{ID: id}
}

func printCoverage(w io.Writer, j *judged, all bool) error {
	if err := summary(w, j); err != nil {
		return err
	}
	fmt.Fprint(w, "\nCLUSTERS (by risk × money)\n")
	t := columns(w).dropping("PROFILE", "PLAN", "RISK", "ENFORCEMENT", "ENVIRONMENT", "OWNER")
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
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.0f\t%s\n", clean(r.Name), clean(r.Environment), owner(r.Ownership.Owner), rowWord(r.Inside), rowWord(r.Images), rowWord(r.Runtime),
			rowWord(r.Enforcement), told(r.Plan), told(r.Profile), r.Risk, clean(why))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "? is not assessed: it counts as not protected. What closes what is OPEN: --commands")
	if byID {
		fmt.Fprintln(w, ownersByID)
	}
	if hidden > 0 {
		fmt.Fprintf(w, "protected, and not listed (--all): %d\n", hidden)
	}
	printImagesProof(w, j.ev)
	printDrift(w, &j.ev.Coverage)
	if n := len(j.ev.Coverage.NotOnboarded); n > 0 {
		if j.offline {
			fmt.Fprintln(w, "\nIn which clusters Dockreeve's agents run is not assessed: only a server knows (dockreeve coverage --not-onboarded)")
		} else {
			fmt.Fprintf(w, "\n%d clusters are not onboarded (--not-onboarded lists them); the first: %s\n", n, clean(j.ev.Coverage.NotOnboarded[0].Do))
		}
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

func printDrift(w io.Writer, c *govern.Coverage) {
	if len(c.Drift) == 0 && c.DriftNotAssessed == "" {
		return
	}
	fmt.Fprint(w, "\nSINCE YESTERDAY (+ better, - worse, ? can no longer be told)\n")
	if c.DriftNotAssessed != "" {
		fmt.Fprintf(w, "  not assessed: %s\n", clean(c.DriftNotAssessed))
	}
	for _, d := range c.Drift {
		sign := "+"
		switch {
		case d.After == "unknown":
			sign = "?"
		case d.Worse:
			sign = "-"
		}
		fmt.Fprintf(w, "  %s %s: %s %s → %s\n", sign, clean(d.Name), d.What, clean(d.Before), clean(d.After))
	}
}

const ownersByID = "An owner that is an id holds the role Owner; Azure gives no name with it: az ad sp list, az ad user show --id ID, or set the owner's tag."

// printOwners lists clusters that lack an owner or a mandatory tag.
func printOwners(w io.Writer, j *judged) error {
	if err := summary(w, j); err != nil {
		return err
	}
	fmt.Fprint(w, "\nOWNERS AND MANDATORY TAGS THAT ARE MISSING\n")
	t := columns(w).dropping("OWNER FROM", "ENVIRONMENT")
	fmt.Fprintln(t, "NAME\tENVIRONMENT\tOWNER\tOWNER FROM\tMISSING TAGS\tSUGGESTED OWNER\tNOT ALLOWED")
	n, byID := 0, false
	for i := range j.ev.Clusters {
		r := &j.ev.Clusters[i]
		o := &r.Ownership
		if o.Owner != inventory.Unowned && len(o.Missing) == 0 && len(o.Invalid) == 0 {
			continue
		}
		n++
		byID = byID || isID(o.Owner)
		var wrong []string
		for _, tag := range slices.Sorted(maps.Keys(o.Invalid)) {
			wrong = append(wrong, tag+"="+o.Invalid[tag])
		}
		suggested := ""
		if len(o.Suggested) > 0 {
			suggested = o.Suggested[0].Owner
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", clean(r.Name), clean(r.Environment), owner(o.Owner), clean(o.From), orDash(clean(strings.Join(o.Missing, ", "))), orDash(owner(suggested)), orDash(clean(strings.Join(wrong, ", "))))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if byID {
		fmt.Fprintln(w, ownersByID)
	}
	fmt.Fprintf(w, "%d of %d clusters. Which tags are mandatory, and which values are allowed, says --governance (docs/governance.md).\n", n, len(j.ev.Clusters))
	return nil
}

// printNotOnboarded lists clusters in which Dockreeve's agents do not run.
func printNotOnboarded(w io.Writer, j *judged) error {
	if j.offline {
		fmt.Fprintln(w, "In which clusters Dockreeve's agents run is not assessed: only a server knows. All clusters of the snapshot:")
	} else {
		fmt.Fprintf(w, "%d of %d clusters are not onboarded:\n", len(j.ev.Coverage.NotOnboarded), len(j.ev.Clusters))
	}
	rows := map[string]*govern.ClusterRow{}
	for i := range j.ev.Clusters {
		rows[j.ev.Clusters[i].ID] = &j.ev.Clusters[i]
	}
	t := columns(w).dropping("SUBSCRIPTION", "ENVIRONMENT", "OWNER")
	fmt.Fprintln(t, "NAME\tSUBSCRIPTION\tENVIRONMENT\tOWNER\tCOMMAND")
	for _, ref := range j.ev.Coverage.NotOnboarded {
		r := rows[ref.ID]
		if r == nil {
			r = &govern.ClusterRow{}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", clean(ref.Name), orDash(clean(r.SubscriptionName)), orDash(clean(r.Environment)), orDash(owner(r.Ownership.Owner)), clean(ref.Do))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "The command prints a token, on the server's machine; what to do with it in the cluster: docs/clusters.md")
	return nil
}

// printCommands writes what closes what is open as a script: each command once, with the
// clusters that it is for. What is no command is a remark.
func printCommands(w io.Writer, j *judged) error {
	type step struct {
		why, do string
		names   []string
	}
	var steps []*step
	by := map[string]*step{}
	unknown := 0
	for i := range j.ev.Clusters {
		r := &j.ev.Clusters[i]
		if r.Protected.Value || r.Stopped {
			continue
		}
		known := false
		for _, row := range []govern.Row{r.Inside, r.Images, r.Runtime} {
			if row.State != govern.RowOpen || row.Do == "" {
				continue
			}
			known = true
			s := by[row.Do]
			if s == nil {
				s = &step{why: row.Why, do: row.Do}
				by[row.Do], steps = s, append(steps, s)
			}
			if !slices.Contains(s.names, r.Name) {
				s.names = append(s.names, r.Name)
			}
		}
		if !known {
			unknown++
		}
	}
	fmt.Fprintf(w, "# What closes what is open, from %s, the riskiest first.\n# Read it before you run it: plans and agents cost money (dockreeve cost).\n", clean(j.from))
	for _, s := range steps {
		fmt.Fprintf(w, "\n# %s: %s\n", clean(strings.Join(s.names, ", ")), clean(s.why))
		mark := "# "
		if strings.HasPrefix(s.do, "az ") || strings.HasPrefix(s.do, "dockreeve ") || strings.HasPrefix(s.do, "kubectl ") {
			mark = ""
		}
		fmt.Fprintln(w, mark+clean(s.do))
	}
	if unknown > 0 {
		fmt.Fprintf(w, "\n# %d more clusters are not protected as far as is known; why stands in \"dockreeve coverage\".\n", unknown)
	}
	return nil
}

// owner writes whose a cluster is. ARM gives the holders of a role by their ids only.
// Several are parted by commas.
func owner(name string) string {
	if !isID(name) {
		return clean(name)
	}
	var out []string
	for one := range strings.SplitSeq(name, ", ") {
		if isID(one) {
			one = one[:8]
		}
		out = append(out, one)
	}
	return "role Owner " + clean(strings.Join(out, ", "))
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
