package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
)

func newWorkloads() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "workloads",
		Short: "What runs in clusters: whose it is, what it may do, how it is reached, what its images hold",
	}
	listing(cmd, newWorkloadsList())
	cmd.AddCommand(newWorkloadsShow())
	return cmd
}

func newWorkloadsList() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:   "list [FILTER]",
		Short: "List workloads, the riskiest first",
		Long: `List workloads, the riskiest first. FILTER is the language of the console's filter box:

  dockreeve workloads list 'platform:no reach:>=restricted owner:unowned'

Below the list stands what is not assessed, and why.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return lister(cmd, &f, func(ctx context.Context, c *clients) (*v1.ListWorkloadsResponse, error) {
				res, err := c.clusters.ListWorkloads(ctx, connect.NewRequest(&v1.ListWorkloadsRequest{Filter: strings.Join(args, " "), Order: f.order, PageSize: f.limit}))
				if err != nil {
					return nil, err
				}
				return res.Msg, nil
			}, printWorkloads)
		},
	}
	f.flags(cmd, "risk", "risk, name, alerts, critical, kev, reach, pods or created")
	return cmd
}

func printWorkloads(w io.Writer, res *v1.ListWorkloadsResponse, _ time.Time) error {
	if len(res.Workloads) > 0 {
		tw := columns(w)
		fmt.Fprintln(tw, "CLUSTER\tWORKLOAD\tOWNER\tTENANT\tREADY\tREACH\tMAY DO\tALERTS\tIMAGES")
		for _, x := range res.Workloads {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%d of %d\t%s\t%s\t%s\t%s\n", clean(x.Cluster), clean(x.Key), clean(x.Owner), orDash(clean(x.Tenant)), x.Ready, x.Wanted, orDash(clean(x.Reach)),
				some(mayDo(x), 3), worstWord(x.AlertsOpen, x.AlertsWorst), verdictWord(x))
		}
		if err := tw.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%d of %d workloads (%d in all)\n", len(res.Workloads), res.Total, res.TotalAll)
	return printGaps(w, res.NotAssessed)
}

// mayDo is everything dangerous of a workload: its identity's rights first.
func mayDo(x *v1.WorkloadRow) []string {
	out := append([]string(nil), x.Grants...)
	out = append(out, x.Powers...)
	for _, m := range x.Mounts {
		out = append(out, "mounts "+m)
	}
	return out
}

func worstWord(open int64, worst v1.Severity) string {
	if open == 0 {
		return "0"
	}
	return fmt.Sprintf("%d, %s", open, severityWord(worst))
}

// verdictWord is what is known of a workload's images in one line.
func verdictWord(x *v1.WorkloadRow) string {
	var parts []string
	if x.Verdict != "" {
		parts = append(parts, fmt.Sprintf("%d critical, %d high, %d exploited", x.Critical, x.High, x.Kev))
	}
	if x.VerdictNotAssessed != "" {
		parts = append(parts, "not assessed: "+clean(x.VerdictNotAssessed))
	}
	return strings.Join(parts, "; ")
}

func newWorkloadsShow() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:     "show CLUSTER NAMESPACE/KIND/NAME",
		Short:   "Show one workload: pods, images, rights, ways in, alerts",
		Example: "  dockreeve workloads show prod shop/Deployment/web",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return lister(cmd, &f, func(ctx context.Context, c *clients) (*v1.GetWorkloadResponse, error) {
				res, err := c.clusters.GetWorkload(ctx, connect.NewRequest(&v1.GetWorkloadRequest{Cluster: args[0], Key: args[1]}))
				if err != nil {
					return nil, err
				}
				return res.Msg, nil
			}, printWorkload)
		},
	}
	f.to.flags(cmd)
	cmd.Flags().StringVarP(&f.output, "output", "o", "table", "table or json")
	return cmd
}

func printWorkload(w io.Writer, res *v1.GetWorkloadResponse, now time.Time) error {
	x := res.Workload
	p := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	p("%s in %s", clean(x.Key), clean(x.Cluster))
	p("")
	from := ""
	if x.OwnerFrom != "" {
		from = " (" + clean(x.OwnerFrom) + ")"
	}
	p("owner     %s%s", clean(x.Owner), from)
	p("tenant    %s", orDash(clean(x.Tenant)))
	if len(x.SharedWith) > 0 {
		p("shares    its nodes with %s", some(x.SharedWith, 10))
	}
	p("ready     %d of %d, made %s", x.Ready, x.Wanted, ago(now, x.Created))
	if x.Schedule != "" {
		p("schedule  %s", clean(x.Schedule))
	}
	if res.Via != "" {
		p("made by   %s", clean(res.Via))
	}
	token := "its token is not mounted"
	if res.TokenMounted {
		token = "its token is mounted"
	}
	p("runs as   %s, %s", orDash(clean(x.Identity)), token)
	p("may do    %s", some(mayDo(x), 50))
	p("reached   %s", orDash(clean(x.Reach)))
	if len(x.Apps) > 0 {
		p("known as  %s", some(x.Apps, 10))
	}
	if len(res.Secrets) > 0 {
		p("secrets   %s", some(res.Secrets, 20))
	}
	p("alerts    %s", worstWord(x.AlertsOpen, x.AlertsWorst))
	tw := columns(w)
	fmt.Fprintln(tw, "\nCONTAINER\tIMAGE\tRUNS SINCE\tPODS\tCRITICAL\tHIGH\tEXPLOITED\tSCANNED")
	for _, i := range x.Images {
		name := clean(i.Container)
		if i.Role != "" {
			name += " (" + clean(i.Role) + ")"
		}
		if i.NotAssessed != "" {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%d\tnot assessed: %s\t\t\t\n", name, clean(i.Image), ago(now, i.Since), i.Pods, clean(i.NotAssessed))
			continue
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\n", name, clean(i.Image), ago(now, i.Since), i.Pods, i.Counts.GetCritical(), i.Counts.GetHigh(), i.Counts.GetKev(), ago(now, i.Scanned))
	}
	if len(res.Pods) > 0 {
		fmt.Fprintln(tw, "\nPOD\tNODE\tADDRESS\tPHASE\tSTARTED\tRESTARTS")
		for _, d := range res.Pods {
			phase := clean(d.Phase)
			if d.Reason != "" {
				phase += " (" + clean(d.Reason) + ")"
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%d\n", clean(d.Name), orDash(clean(d.Node)), orDash(clean(d.Ip)), phase, ago(now, d.Started), d.Restarts)
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if more := int(res.PodsTotal) - len(res.Pods); more > 0 {
		p("and %d more pods", more)
	}
	for _, e := range res.Exposures {
		p("\nway in    %s: %s, %s %s", clean(e.Key), clean(e.Reach), some(append(append([]string(nil), e.Hosts...), e.Addresses...), 5), some(e.Ports, 5))
	}
	if err := printRights(w, res.Rights, 0); err != nil {
		return err
	}
	return printNewest(w, res.Alerts, now)
}

// printNewest writes the newest alerts of what is shown.
func printNewest(w io.Writer, alerts []*v1.Alert, now time.Time) error {
	if len(alerts) == 0 {
		return nil
	}
	tw := columns(w)
	fmt.Fprintln(tw, "\nALERT\tSEVERITY\tSTATUS\tSEEN\tLAST\tWHAT")
	for _, a := range alerts {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%s\t%s\n", a.Id, severityWord(a.Severity), statusWord(a.Status), a.Count, ago(now, a.LastSeen), clean(a.Title))
	}
	return tw.Flush()
}
