package cli

import (
	"fmt"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
)

func newJoinToken() *cobra.Command {
	var to target
	var role, cluster, output string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "join-token --cluster NAME",
		Short: "Print a token with which a cluster agent or a node joins the server once",
		Long: `Print a token with which one cluster agent or one node joins the server, once.

The token holds the hash of the server's authority, so that who joins trusts this server
and no other. Whoever has it may join in its role until it is used or its time is over:
hand it over as you would a password.

  dockreeve join-token --role cluster --cluster shop
  dockreeve join-token --role node --cluster shop >token    # dockreeve-node --join @token`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(output, "text", "json"); err != nil {
				return err
			}
			if role != "cluster" && role != "node" {
				return withCode(exitUsage, "--role %q: want cluster or node", role)
			}
			if cluster == "" {
				return withCode(exitUsage, "whose? Name the cluster that joins, or that the node belongs to, with --cluster")
			}
			if ttl < time.Second {
				return withCode(exitUsage, "--ttl %v: want a second or more", ttl)
			}
			c, err := to.dial()
			if err != nil {
				return err
			}
			res, err := c.raw.Clusters.CreateJoinToken(cmd.Context(), connect.NewRequest(&v1.CreateJoinTokenRequest{Role: role, Cluster: cluster, TtlSeconds: int64(ttl / time.Second)}))
			if err != nil {
				return to.explain(err)
			}
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), res.Msg)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), res.Msg.Token)
			return err
		},
	}
	to.flags(cmd)
	fl := cmd.Flags()
	fl.StringVar(&role, "role", "cluster", "what joins: cluster or node")
	fl.StringVar(&cluster, "cluster", "", "name of the cluster that joins, or that the node belongs to")
	fl.DurationVar(&ttl, "ttl", time.Hour, "how long the token works, at most seven days")
	fl.StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}
