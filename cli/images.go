package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
)

func newImages() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "images",
		Short: "What is known of every image ever seen: findings, where it runs, who is affected by a CVE",
	}
	listing(cmd, newImagesList())
	cmd.AddCommand(newImagesShow(), newImagesAffected(), newImagesRemediation())
	return cmd
}

func newImagesList() *cobra.Command {
	var to target
	var output, order string
	var limit int32
	cmd := &cobra.Command{
		Use:   "list [FILTER]",
		Short: "List images, the riskiest first",
		Long: `List images, the riskiest first. FILTER is the language of the console's filter box:

  dockreeve images list 'running:yes kev:yes'

Below the list stands how many of the running images have a verdict, and how old the
advisories are.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf(output, "table", "json"); err != nil {
				return err
			}
			c, err := to.dial()
			if err != nil {
				return err
			}
			res, err := c.images.ListImages(cmd.Context(), connect.NewRequest(&v1.ListImagesRequest{Filter: strings.Join(args, " "), Order: order, PageSize: limit}))
			if err != nil {
				return to.explain(err)
			}
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), res.Msg)
			}
			return printImages(cmd.OutOrStdout(), res.Msg, time.Now())
		},
	}
	to.flags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	cmd.Flags().StringVar(&order, "order", "risk", "risk, last_seen, name or critical; a leading - turns it round")
	cmd.Flags().Int32Var(&limit, "limit", 100, "at most this many, up to 500")
	return cmd
}

func printImages(w io.Writer, res *v1.ListImagesResponse, now time.Time) error {
	if len(res.Images) > 0 {
		tw := columns(w)
		fmt.Fprintln(tw, "IMAGE\tCRITICAL\tHIGH\tKEV\tFIXABLE\tIN USE\tRUNNING\tSCANNED\tKEY")
		for _, i := range res.Images {
			c, use := i.Counts, "not watched"
			switch {
			case i.Use.GetSince() > 0:
				use = fmt.Sprint(c.GetInUse())
			case c.GetInUse() > 0:
				use = fmt.Sprintf("%d or more", c.GetInUse()) // of the others it is not known
			}
			if i.NotAssessed != "" {
				fmt.Fprintf(tw, "%s\tnot assessed: %s\t\t\t\t\t%d\t%s\t%s\n", clean(i.Name), clean(i.NotAssessed), i.Running, ago(now, i.ScannedAt), clean(i.Key))
				continue
			}
			if i.Packages == 0 {
				fmt.Fprintf(tw, "%s\tno packages found, so nothing to match\t\t\t\t\t%d\t%s\t%s\n", clean(i.Name), i.Running, ago(now, i.ScannedAt), clean(i.Key))
				continue
			}
			gaps := ""
			if i.Gaps > 0 {
				gaps = fmt.Sprintf(" (%d parts not assessed)", i.Gaps)
			}
			fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%d\t%s\t%d\t%s%s\t%s\n", clean(i.Name), c.GetCritical(), c.GetHigh(), c.GetKev(), c.GetFixable(), use, i.Running, ago(now, i.ScannedAt), gaps, clean(i.Key))
		}
		if err := tw.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%d of %d images (%d in all)\n", len(res.Images), res.Total, res.TotalAll)
	return printScanCoverage(w, res.Coverage, now)
}

// printScanCoverage writes the denominators of every count of images.
func printScanCoverage(w io.Writer, c *v1.ScanCoverage, now time.Time) error {
	if !c.GetWatching() {
		fmt.Fprintln(w, "which images run is not assessed: no node reports containers")
	} else {
		fmt.Fprintf(w, "running images with a verdict: %d of %d; that passed a gate: %d of %d\n", c.RunningAssessed, c.Running, c.GatedRunning, c.Running)
	}
	for _, g := range c.GetNotAssessed() {
		fmt.Fprintf(w, "  not assessed: %s: %s\n", clean(g.What), clean(g.Reason))
	}
	a := c.GetAdvisories()
	switch {
	case a.GetNotAssessed() != "":
		fmt.Fprintf(w, "advisories: not assessed: %s\n", clean(a.NotAssessed))
	case a.GetStale():
		fmt.Fprintf(w, "advisories: TOO OLD, their data is of %s, at most %s is allowed\n", ago(now, a.Built), span(time.Duration(a.MaxAge)))
	case a.GetMaxAge() == 0 && a.GetBuilt() == 0:
		fmt.Fprintln(w, "advisories: not assessed: the server told nothing of them")
	default:
		fmt.Fprintf(w, "advisories: data of %s, all images matched %s\n", ago(now, a.GetBuilt()), ago(now, a.GetMatchedAt()))
	}
	printImageCanary(w, a.GetCanary(), now)
	return nil
}

func newImagesShow() *cobra.Command {
	var to target
	var output, filter string
	var limit int32
	cmd := &cobra.Command{
		Use:   "show KEY",
		Short: "Show one image: where it runs, its findings, what is loaded, its history",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf(output, "text", "json"); err != nil {
				return err
			}
			c, err := to.dial()
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			res, err := c.images.GetImage(ctx, connect.NewRequest(&v1.GetImageRequest{Key: args[0]}))
			if err != nil {
				return explainImage(&to, err)
			}
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), res.Msg)
			}
			vulns, err := c.images.ListImageVulnerabilities(ctx, connect.NewRequest(&v1.ListImageVulnerabilitiesRequest{Key: res.Msg.Image.Key, Filter: filter, PageSize: limit}))
			if err != nil {
				return to.explain(err)
			}
			return printImage(cmd.OutOrStdout(), res.Msg, vulns.Msg, time.Now())
		},
	}
	to.flags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	cmd.Flags().StringVar(&filter, "filter", "", "only vulnerabilities that match, in the console's filter language")
	cmd.Flags().Int32Var(&limit, "limit", 50, "at most this many vulnerabilities, up to 500")
	return cmd
}

func explainImage(to *target, err error) error {
	if connect.CodeOf(err) == connect.CodeNotFound {
		return withCode(exitFailed, "%w\n\"dockreeve images list\" names what there is.", err)
	}
	return to.explain(err)
}

func printImage(w io.Writer, d *v1.GetImageResponse, vulns *v1.ListImageVulnerabilitiesResponse, now time.Time) error {
	i := d.Image
	p := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	p("%s", clean(i.Name))
	p("key       %s", clean(i.Key))
	p("platform  %s   %s", orDash(clean(i.Platform)), orDash(clean(i.Distro)))
	if d.Base != nil {
		line := clean(d.Base.Name)
		if d.Base.Newer != "" {
			line += fmt.Sprintf("; a newer one, %s, would remove %d and add %d", clean(d.Base.Newer), d.Base.Removes, d.Base.Adds)
		}
		p("base      %s", line)
	}
	p("scanned   %s, matched %s", ago(now, i.ScannedAt), ago(now, i.MatchedAt))
	live := 0
	for _, r := range d.Running {
		if r.Until == 0 {
			live++
			p("runs as   %s on %s since %s", clean(r.Workload), clean(r.Node), stamp(r.Since))
		}
	}
	if live == 0 {
		p("runs      nowhere that is watched")
	}
	if i.NotAssessed != "" {
		p("\nNOT ASSESSED: %s", clean(i.NotAssessed))
	}
	for _, g := range d.NotAssessed {
		p("not assessed: %s: %s", clean(g.What), clean(g.Reason))
	}
	p("\n%d of %d vulnerabilities", len(vulns.Vulnerabilities), vulns.TotalAll)
	tw := columns(w)
	for _, v := range vulns.Vulnerabilities {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s %s\t%s\t%s\t%s\n", clean(v.Id), severityWord(v.Severity), marks(v), clean(v.Package), clean(v.Version), fixWord(v), useWord(v.Use, now), clean(v.Title))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, s := range d.Secrets {
		p("secret: %s in %s (%s)", clean(s.Title), orDash(clean(s.Path)), clean(s.Redacted))
	}
	for _, m := range d.Malware {
		p("MALWARE: %s: %s", clean(m.Path), clean(m.Name))
	}
	for _, m := range d.Missteps {
		p("%s: %s", severityWord(m.Severity), clean(m.Title))
	}
	return nil
}

func marks(v *v1.ImageVulnerability) string {
	var m []string
	if v.Kev != nil {
		m = append(m, "exploited")
	}
	if v.Epss != nil {
		m = append(m, fmt.Sprintf("EPSS %.1f%%", 100*v.GetEpss()))
	}
	return strings.Join(m, " ")
}

func fixWord(v *v1.ImageVulnerability) string {
	if v.FixedIn != "" {
		return "fixed in " + clean(v.FixedIn)
	}
	return clean(v.Status)
}

// useWord never says "not in use" without having watched.
func useWord(u *v1.Use, now time.Time) string {
	switch {
	case u.GetState() == "loaded":
		return "loaded " + ago(now, u.Last)
	case u.GetState() == "not-seen" && u.Since > 0:
		return "not seen loaded in " + span(now.Sub(time.Unix(0, u.Since)))
	case u.GetReason() != "":
		return "use not assessed: " + clean(u.Reason)
	}
	return "use not assessed"
}

func newImagesAffected() *cobra.Command {
	var to target
	var output string
	cmd := &cobra.Command{
		Use:   "affected ID",
		Short: "Are we affected by this CVE? Every image ever seen, and where it runs",
		Long: `Are we affected by this CVE (or GHSA, GO, DSA… id)? Answers for every image ever seen, from
what is stored: nothing is pulled. Exits with 1 when an image is affected, with 0 when none
is, and with 4 when that cannot be said: no advisories, or running images without a verdict.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf(output, "text", "json"); err != nil {
				return err
			}
			c, err := to.dial()
			if err != nil {
				return err
			}
			res, err := c.images.GetVulnerability(cmd.Context(), connect.NewRequest(&v1.GetVulnerabilityRequest{Id: args[0]}))
			if err != nil {
				return to.explain(err)
			}
			if output == "json" {
				err = printJSON(cmd.OutOrStdout(), res.Msg)
			} else {
				err = printAffected(cmd.OutOrStdout(), args[0], res.Msg, time.Now())
			}
			if err != nil {
				return err
			}
			cov := res.Msg.Coverage
			switch {
			case res.Msg.AffectedTotal > 0:
				return withCode(exitFindings, "")
			case !res.Msg.Known:
				return withCode(exitData, "whether anything is affected cannot be said: the advisories do not know %s", clean(args[0]))
			case cov.GetAdvisories().GetNotAssessed() != "" || cov.GetAdvisories().GetStale() || len(cov.GetNotAssessed()) > 0:
				return withCode(exitData, "whether anything is affected cannot be said for certain: see what is not assessed above")
			}
			return nil
		},
	}
	to.flags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

func printAffected(w io.Writer, id string, d *v1.GetVulnerabilityResponse, now time.Time) error {
	if v := d.Vulnerability; v != nil {
		fmt.Fprintf(w, "%s  %s  %s\n", clean(v.Id), severityWord(v.Severity), clean(v.Title))
		if v.Kev != nil {
			fmt.Fprintf(w, "known to be exploited since %s\n", clean(v.Kev.Added))
		}
	}
	switch {
	case d.AffectedTotal > 0:
		fmt.Fprintf(w, "\nAffected: %d images\n", d.AffectedTotal)
	case d.Known:
		fmt.Fprintf(w, "No image ever seen here is affected by %s.\n", clean(id))
	default:
		fmt.Fprintf(w, "The advisories know no %s, so no image can be said to be affected or not.\n", clean(id))
	}
	tw := columns(w)
	for _, a := range d.Affected {
		where := "runs nowhere that is watched"
		if len(a.Running) > 0 {
			var names []string
			for _, r := range a.Running {
				if r.Until == 0 {
					names = append(names, clean(r.Workload))
				}
			}
			if len(names) > 0 {
				where = "runs as " + strings.Join(names, ", ")
			}
		}
		for _, f := range a.Findings {
			fmt.Fprintf(tw, "  %s\t%s %s\t%s\t%s\t%s\t%s\n", clean(a.Image.GetName()), clean(f.Package), clean(f.Version), fixWord(f), useWord(f.Use, now), where, orDash(clean(a.Owner)))
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	return printScanCoverage(w, d.Coverage, now)
}

func newImagesRemediation() *cobra.Command {
	var to target
	var output string
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "remediation",
		Short: "How fast vulnerabilities leave what runs (MTTR), beside the ages of those still open",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(output, "table", "json"); err != nil {
				return err
			}
			c, err := to.dial()
			if err != nil {
				return err
			}
			res, err := c.images.GetRemediation(cmd.Context(), connect.NewRequest(&v1.GetRemediationRequest{Since: time.Now().Add(-since).UnixNano()}))
			if err != nil {
				return to.explain(err)
			}
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), res.Msg)
			}
			return printRemediation(cmd.OutOrStdout(), res.Msg)
		},
	}
	to.flags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	cmd.Flags().DurationVar(&since, "since", 90*24*time.Hour, "closed within this time")
	return cmd
}

func printRemediation(w io.Writer, d *v1.GetRemediationResponse) error {
	if d.NotAssessed != "" {
		_, err := fmt.Fprintf(w, "not assessed: %s\n", clean(d.NotAssessed))
		return err
	}
	age := func(n, ns int64) string {
		if n == 0 {
			return "–"
		}
		return span(time.Duration(ns))
	}
	tw := columns(w)
	fmt.Fprintln(tw, "WHAT\tFIXED\tP50\tP90\tGONE WITH ITS WORKLOAD\tOPEN\tP50 AGE\tP90 AGE\tOLDEST")
	for _, r := range d.Rows {
		fmt.Fprintf(tw, "%s\t%d\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", clean(r.Group), r.Closed, age(r.Closed, r.ClosedP50), age(r.Closed, r.ClosedP90), r.Gone, r.Open, age(r.Open, r.OpenP50), age(r.Open, r.OpenP90), age(r.Open, r.OpenMax))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nsince %s; the clock of a vulnerability belongs to a workload: it runs from its detection in a running image until no running instance has it\n", stamp(d.Since))
	return err
}
