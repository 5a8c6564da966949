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

func newExposure() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exposure",
		Short: "What of clusters can be reached from outside, through which object",
	}
	listing(cmd, newExposureList())
	return cmd
}

func newExposureList() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:   "list [FILTER]",
		Short: "List ways into clusters, those that reach furthest first",
		Long: `List the ways into clusters, those that reach furthest first. FILTER is the language of
the console's filter box:

  dockreeve exposure list 'reach:internet risk:*'

Below the list stands what is not assessed, and why.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return lister(cmd, &f, func(ctx context.Context, c *clients) (*v1.ListExposuresResponse, error) {
				res, err := c.clusters.ListExposures(ctx, connect.NewRequest(&v1.ListExposuresRequest{Filter: strings.Join(args, " "), Order: f.order, PageSize: f.limit}))
				if err != nil {
					return nil, err
				}
				return res.Msg, nil
			}, printExposures)
		},
	}
	f.flags(cmd, "reach", "reach, name, risk or created")
	return cmd
}

func printExposures(w io.Writer, res *v1.ListExposuresResponse, _ time.Time) error {
	if len(res.Exposures) > 0 {
		tw := columns(w)
		fmt.Fprintln(tw, "CLUSTER\tREACH\tTHROUGH\tAT\tPORTS\tTLS\tTO\tWHAT\tRISKS\tOWNER")
		for _, x := range res.Exposures {
			at := append(append([]string(nil), x.Hosts...), x.Addresses...)
			reach := clean(x.Reach)
			if len(x.Sources) > 0 {
				reach += " from " + some(x.Sources, 3)
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", clean(x.Cluster), reach, clean(x.Key), some(at, 3), some(x.Ports, 4), yesNo(x.Tls), some(x.Workloads, 2), some(x.Apps, 3), some(x.Risks, 4), clean(x.Owner))
		}
		if err := tw.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%d of %d ways in (%d in all)\n", len(res.Exposures), res.Total, res.TotalAll)
	for _, x := range res.Exposures {
		if x.NotAssessed != "" {
			fmt.Fprintf(w, "  not assessed: %s in %s: %s\n", clean(x.Key), clean(x.Cluster), clean(x.NotAssessed))
		}
	}
	return printGaps(w, res.NotAssessed)
}
