package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newLogin() *cobra.Command {
	var to target
	var pipeline string
	var scopes []string
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Print a link that signs one browser in, once, within ten minutes; or a token for a pipeline",
		Long: `Print a link that signs one browser in, once, within ten minutes.

With --pipeline NAME print a token for DOCKREEVE_TOKEN in a pipeline instead. For a year it
may do what its scopes say, and nothing else:

  images       hand in scans, ask for verdicts, record gates
  governance   hand in snapshots and bills; read coverage, cost, posture and reports

  dockreeve login --pipeline nightly --scope governance

"dockreeve tokens" lists such tokens, and ends them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if pipeline == "" && len(scopes) > 0 {
				return withCode(exitUsage, "--scope goes with --pipeline: a link signs in an operator, who may do everything")
			}
			c, err := to.dial()
			if err != nil {
				return err
			}
			link, err := "", error(nil)
			if pipeline != "" {
				link, err = c.raw.PipelineToken(cmd.Context(), pipeline, scopes)
			} else {
				link, err = c.raw.SignInURL(cmd.Context())
			}
			if err != nil {
				return withCode(exitFailed, "%w", err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), link)
			return err
		},
	}
	to.flags(cmd)
	cmd.Flags().StringVar(&pipeline, "pipeline", "", "print a token for this pipeline instead of a link")
	cmd.Flags().StringSliceVar(&scopes, "scope", nil, "with --pipeline: what the token may do, images or governance, or both with a comma between (default: images)")
	return cmd
}

func newTokens() *cobra.Command {
	cmd := &cobra.Command{Use: "tokens", Short: "Tokens of pipelines: list them, end them"}
	listing(cmd, newTokensList())
	cmd.AddCommand(newTokensEnd())
	return cmd
}

func newTokensList() *cobra.Command {
	var to target
	var output string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tokens of pipelines: whose, what they may do, until when; never the secret",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(output, "table", "json"); err != nil {
				return err
			}
			c, err := to.dial()
			if err != nil {
				return err
			}
			list, err := c.raw.PipelineTokens(cmd.Context())
			if err != nil {
				return withCode(exitFailed, "%w", err)
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), list)
			}
			t := columns(cmd.OutOrStdout())
			fmt.Fprintln(t, "ID\tPIPELINE\tMAY DO\tMADE\tUNTIL")
			for _, p := range list {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", p.ID, clean(p.Label), strings.Join(p.Scopes, ", "), time.Unix(0, p.Created).UTC().Format(time.DateOnly), time.Unix(0, p.Expires).UTC().Format(time.DateOnly))
			}
			return t.Flush()
		},
	}
	to.flags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}

func newTokensEnd() *cobra.Command {
	var to target
	cmd := &cobra.Command{
		Use:   "end ID",
		Short: "End a pipeline's token at once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := to.dial()
			if err != nil {
				return err
			}
			if err := c.raw.EndPipelineToken(cmd.Context(), args[0]); err != nil {
				return withCode(exitFailed, "%w", err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "The token %s works no more.\n", clean(args[0]))
			return err
		},
	}
	to.flags(cmd)
	return cmd
}
