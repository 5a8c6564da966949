package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
)

// listFlags are those of every list of clusters.
type listFlags struct {
	to     target
	output string
	order  string
	limit  int32
}

func (f *listFlags) flags(cmd *cobra.Command, order, orders string) {
	f.to.flags(cmd)
	cmd.Flags().StringVarP(&f.output, "output", "o", "table", "table or json")
	if orders != "" {
		cmd.Flags().StringVar(&f.order, "order", order, orders+"; a leading - turns it round")
	}
	cmd.Flags().Int32Var(&f.limit, "limit", 100, "at most this many, up to 500")
}

// lister runs one list: call asks for it, print writes it for people.
func lister[M proto.Message](cmd *cobra.Command, f *listFlags, call func(context.Context, *clients) (M, error), print func(io.Writer, M, time.Time) error) error {
	if err := oneOf(f.output, "table", "json"); err != nil {
		return err
	}
	c, err := f.to.dial()
	if err != nil {
		return err
	}
	res, err := call(cmd.Context(), c)
	if err != nil {
		return f.to.explainCluster(err)
	}
	if f.output == "json" {
		return printJSON(cmd.OutOrStdout(), res)
	}
	return print(cmd.OutOrStdout(), res, time.Now())
}

// explainCluster is explain with a remedy that fits what clusters hold.
func (t *target) explainCluster(err error) error {
	if connect.CodeOf(err) == connect.CodeNotFound {
		return withCode(exitFailed, "%w\n\"dockreeve clusters list\" names the clusters, \"dockreeve workloads list\" and \"dockreeve identities list\" what they hold.", err)
	}
	return t.explain(err)
}

// printGaps writes what is not assessed below a list.
func printGaps(w io.Writer, gaps []*v1.Gap) error {
	for _, g := range gaps {
		remedy := ""
		if g.Remedy != "" {
			remedy = " (" + clean(g.Remedy) + ")"
		}
		if _, err := fmt.Fprintf(w, "  not assessed: %s: %s%s\n", clean(g.What), clean(g.Reason), remedy); err != nil {
			return err
		}
	}
	return nil
}

// some joins a list, cut where a line would become too long for a screen.
func some(list []string, most int) string {
	if len(list) == 0 {
		return "–"
	}
	s := strings.Join(cleanAll(list[:min(len(list), most)]), ", ")
	if len(list) > most {
		s += fmt.Sprintf(" and %d more", len(list)-most)
	}
	return s
}

func newClusters() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "clusters",
		Short: "The clusters known to the server: what they hold, what is watched there",
	}
	listing(cmd, newClustersList())
	cmd.AddCommand(newClustersShow())
	return cmd
}

func newClustersList() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:   "list [FILTER]",
		Short: "List clusters by name",
		Long: `List clusters by name. FILTER is the language of the console's filter box:

  dockreeve clusters list 'audited:no'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return lister(cmd, &f, func(ctx context.Context, c *clients) (*v1.ListClustersResponse, error) {
				res, err := c.clusters.ListClusters(ctx, connect.NewRequest(&v1.ListClustersRequest{Filter: strings.Join(args, " "), Order: f.order, PageSize: f.limit}))
				if err != nil {
					return nil, err
				}
				return res.Msg, nil
			}, printClusters)
		},
	}
	f.flags(cmd, "name", "name, alerts or reported")
	return cmd
}

func printClusters(w io.Writer, res *v1.ListClustersResponse, now time.Time) error {
	if len(res.Clusters) > 0 {
		tw := columns(w)
		fmt.Fprintln(tw, "CLUSTER\tPLATFORM\tVERSION\tNODES WATCHED\tPODS\tWORKLOADS\tAPI SERVER\tALERTS\tINTERNET\tUNOWNED\tHEARD OF")
		for _, c := range res.Clusters {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%d of %d\t%d\t%d\t%s\t%s\t%d\t%d\t%s\n", clean(c.Name), orDash(clean(c.Platform)), orDash(clean(c.Version)), c.NodesWatched, c.Nodes, c.Pods, c.Workloads,
				auditWord(c), alertsWord(c), c.Exposed, c.Unowned, ago(now, c.Reported))
		}
		if err := tw.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	if res.TotalAll == 0 {
		_, err := fmt.Fprintln(w, "no cluster has reported yet: run \"dockreeve cluster\" in one, or \"dockreeve cluster inspect\" from here")
		return err
	}
	fmt.Fprintf(w, "%d of %d clusters (%d in all)\n", len(res.Clusters), res.Total, res.TotalAll)
	for _, c := range res.Clusters {
		if err := printGaps(w, c.Gaps); err != nil {
			return err
		}
	}
	return nil
}

// auditWord says how the API server is watched.
func auditWord(c *v1.ClusterRow) string {
	if c.AuditMode == "" {
		return "not watched"
	}
	if c.AuditAs != "" {
		return clean(c.AuditMode) + " (" + clean(c.AuditAs) + ")"
	}
	return clean(c.AuditMode)
}

func alertsWord(c *v1.ClusterRow) string {
	s := fmt.Sprint(c.AlertsOpen)
	if c.AlertsCritical > 0 {
		s += fmt.Sprintf(", %d critical", c.AlertsCritical)
	}
	if c.AlertsHigh > 0 {
		s += fmt.Sprintf(", %d high", c.AlertsHigh)
	}
	return s
}

func newClustersShow() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show one cluster: its nodes, namespaces and what was learned of it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return lister(cmd, &f, func(ctx context.Context, c *clients) (*v1.GetClusterResponse, error) {
				res, err := c.clusters.GetCluster(ctx, connect.NewRequest(&v1.GetClusterRequest{Name: args[0]}))
				if err != nil {
					return nil, err
				}
				return res.Msg, nil
			}, printCluster)
		},
	}
	f.to.flags(cmd)
	cmd.Flags().StringVarP(&f.output, "output", "o", "table", "table or json")
	return cmd
}

func printCluster(w io.Writer, res *v1.GetClusterResponse, now time.Time) error {
	c := res.Cluster
	p := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	p("%s  %s  %s", clean(c.Name), orDash(clean(c.Platform)), orDash(clean(c.Version)))
	p("")
	p("heard of    %s, inventory since %s", ago(now, c.Reported), stamp(c.Since))
	if c.AuditMode == "" {
		p("API server  not watched")
	} else {
		p("API server  %s, watched since %s, %d events, the last %s", auditWord(c), stamp(c.AuditSince), c.Audited, ago(now, c.AuditLast))
	}
	p("holds       %d nodes (%d ready, %d watched), %d namespaces, %d workloads (%d unowned), %d pods", c.Nodes, c.NodesReady, c.NodesWatched, c.Namespaces, c.Workloads, c.Unowned, c.Pods)
	if c.Tenants == 0 {
		p("tenants     none are configured")
	} else {
		p("tenants     %d", c.Tenants)
	}
	p("alerts      %s open; %d ways in from the internet", alertsWord(c), c.Exposed)
	if c.ResourceId != "" {
		p("resource    %s", clean(c.ResourceId))
	}
	if err := printGaps(w, c.Gaps); err != nil {
		return err
	}
	tw := columns(w)
	if len(res.Nodes) > 0 {
		fmt.Fprintln(tw, "\nNODE\tREADY\tSYSTEM\tKERNEL\tKUBELET\tRUNTIME\tPODS\tTENANTS\tWATCHED")
		for _, n := range res.Nodes {
			watched := "yes"
			if !n.Watched {
				watched = "no: " + clean(n.NotAssessed)
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", clean(n.Name), yesNo(n.Ready), orDash(clean(n.OsImage)), orDash(clean(n.Kernel)), orDash(clean(n.Kubelet)), orDash(clean(n.Runtime)), n.Pods, some(n.Tenants, 3), watched)
		}
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	if len(res.Namespaces) > 0 {
		fmt.Fprintln(tw, "\nNAMESPACE\tOWNER\tTENANT\tPODS\tPOD SECURITY\tISOLATED")
		for _, n := range res.Namespaces {
			isolated := yesNo(n.Isolated)
			if n.IsolatedNotAssessed != "" {
				isolated = "not assessed: " + clean(n.IsolatedNotAssessed)
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%s\t%s\n", clean(n.Name), clean(n.Owner), orDash(clean(n.Tenant)), n.Pods, orDash(clean(n.PodSecurity)), isolated)
		}
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	if len(res.Baselines) > 0 {
		fmt.Fprintln(tw, "\nMODEL\tLEARNS SINCE\tEVENTS\tKNOWN\tJUDGES")
		for _, b := range res.Baselines {
			judges := "yes"
			if !b.Ready {
				judges = "not yet"
				if b.ReadyAt > 0 {
					judges = "from " + stamp(b.ReadyAt)
				}
			}
			fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%s\n", clean(b.Model), stamp(b.Since), b.Events, b.Known, judges)
		}
	}
	return tw.Flush()
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
