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

func newIdentities() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "identities",
		Short: "Service accounts, users and groups: what each can do, has done, and is unusual",
	}
	listing(cmd, newIdentitiesList())
	cmd.AddCommand(newIdentitiesShow())
	return cmd
}

func newIdentitiesList() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:   "list [FILTER]",
		Short: "List identities, the most powerful first",
		Long: `List identities, the most powerful first. FILTER is the language of the console's filter box:

  dockreeve identities list 'grant:cluster-admin used:>90d platform:no'

Below the list stands what is not assessed: where an API server is not watched, what an
identity has done is not known.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return lister(cmd, &f, func(ctx context.Context, c *clients) (*v1.ListIdentitiesResponse, error) {
				res, err := c.clusters.ListIdentities(ctx, connect.NewRequest(&v1.ListIdentitiesRequest{Filter: strings.Join(args, " "), Order: f.order, PageSize: f.limit}))
				if err != nil {
					return nil, err
				}
				return res.Msg, nil
			}, printIdentities)
		},
	}
	f.flags(cmd, "risk", "risk, name, alerts, used, requests, denied or created")
	return cmd
}

func printIdentities(w io.Writer, res *v1.ListIdentitiesResponse, now time.Time) error {
	if len(res.Identities) > 0 {
		tw := columns(w)
		fmt.Fprintln(tw, "CLUSTER\tIDENTITY\tOWNER\tTENANT\tCAN\tIN\tRUNS\tALERTS\tUSED THE API")
		for _, x := range res.Identities {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", clean(x.Cluster), clean(x.Key), clean(x.Owner), orDash(clean(x.Tenant)), some(x.Grants, 3), orDash(clean(x.Scope)), some(x.Workloads, 1), x.AlertsOpen, usageWord(x, now))
		}
		if err := tw.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%d of %d identities (%d in all)\n", len(res.Identities), res.Total, res.TotalAll)
	return printGaps(w, res.NotAssessed)
}

// usageWord is what an identity has done in one line.
func usageWord(x *v1.IdentityRow, now time.Time) string {
	if x.UsageNotAssessed != "" {
		return "not assessed: " + clean(x.UsageNotAssessed)
	}
	if x.Requests == 0 {
		return "never since it is watched"
	}
	s := fmt.Sprintf("%d times, last %s", x.Requests, ago(now, x.LastUsed))
	if x.Denied > 0 {
		s += fmt.Sprintf(", %d refused", x.Denied)
	}
	if len(x.Unusual) > 0 {
		s += ", unusual: " + some(x.Unusual, 3)
	}
	return s
}

func newIdentitiesShow() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:     "show CLUSTER IDENTITY",
		Short:   "Show one identity: its rights, which of them it used, what it did",
		Example: "  dockreeve identities show prod serviceaccount:shop/web",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return lister(cmd, &f, func(ctx context.Context, c *clients) (*v1.GetIdentityResponse, error) {
				res, err := c.clusters.GetIdentity(ctx, connect.NewRequest(&v1.GetIdentityRequest{Cluster: args[0], Key: args[1]}))
				if err != nil {
					return nil, err
				}
				return res.Msg, nil
			}, printIdentity)
		},
	}
	f.to.flags(cmd)
	cmd.Flags().StringVarP(&f.output, "output", "o", "table", "table or json")
	return cmd
}

func printIdentity(w io.Writer, res *v1.GetIdentityResponse, now time.Time) error {
	x := res.Identity
	p := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	p("%s in %s", clean(x.Key), clean(x.Cluster))
	p("")
	from := ""
	if x.OwnerFrom != "" {
		from = " (" + clean(x.OwnerFrom) + ")"
	}
	p("owner     %s%s", clean(x.Owner), from)
	p("tenant    %s", orDash(clean(x.Tenant)))
	if len(x.Crosses) > 0 {
		p("reaches   into tenants %s", some(x.Crosses, 10))
	}
	p("can       %s, in: %s", some(x.Grants, 20), orDash(clean(x.Scope)))
	p("runs      %s", some(x.Workloads, 20))
	if x.CloudId != "" {
		p("in cloud  %s", clean(x.CloudId))
	}
	p("used API  %s", usageWord(x, now))
	if err := printRights(w, res.Rights, res.MoreRights); err != nil {
		return err
	}
	if len(res.Uses) > 0 {
		tw := columns(w)
		fmt.Fprintln(tw, "\nDID\tON\tNAMESPACE\tTIMES\tREFUSED\tFIRST\tLAST\tFROM\tWITH")
		for _, u := range res.Uses {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\n", clean(u.Verb), clean(u.Resource), orDash(clean(u.Namespace)), u.Count, u.Denied, ago(now, u.First), ago(now, u.Last), some(u.Sources, 2), some(u.Agents, 1))
		}
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	return printNewest(w, res.Alerts, now)
}

func printRights(w io.Writer, rights []*v1.Right, more int32) error {
	if len(rights) == 0 {
		return nil
	}
	tw := columns(w)
	fmt.Fprintln(tw, "\nMAY\tON\tNAMESPACE\tBY\tUSED")
	for _, r := range rights {
		on := append(append([]string(nil), r.Resources...), r.Urls...)
		where := "all"
		if r.Namespace != "" {
			where = clean(r.Namespace)
		}
		by := clean(r.Role) + " through " + clean(r.Binding)
		if r.Through != "" {
			by += " as " + clean(r.Through)
		}
		used := yesNo(r.Used)
		if r.UsedNotAssessed != "" {
			used = "not assessed: " + clean(r.UsedNotAssessed)
		}
		names := ""
		if len(r.Names) > 0 {
			names = " named " + some(r.Names, 3)
		}
		fmt.Fprintf(tw, "%s\t%s%s\t%s\t%s\t%s\n", some(r.Verbs, 8), some(on, 5), names, where, by, used)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if more > 0 {
		fmt.Fprintf(w, "and %d more rights\n", more)
	}
	return nil
}
