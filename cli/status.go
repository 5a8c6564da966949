package cli

import (
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
)

func newStatus() *cobra.Command {
	var to target
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say what is watched, since when, what was lost, and what is not assessed",
		Long: `Say what is watched, since when, what was lost, and what is not assessed.

Exits with 4 when nothing is watched or a node is silent, so that a script can ask.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(output, "text", "json"); err != nil {
				return err
			}
			c, err := to.dial()
			if err != nil {
				return err
			}
			res, err := c.status.GetStatus(cmd.Context(), connect.NewRequest(&v1.GetStatusRequest{}))
			if err != nil {
				return to.explain(err)
			}
			st := res.Msg
			if output == "json" {
				err = printJSON(cmd.OutOrStdout(), st)
			} else {
				err = printStatus(cmd.OutOrStdout(), st, time.Now())
			}
			if err != nil {
				return err
			}
			if why := st.Watched.GetNotAssessed(); why != "" {
				return withCode(exitData, "nothing is watched: %s", clean(why))
			}
			for _, n := range st.Nodes {
				if !n.Reporting {
					return withCode(exitData, "node %s is silent since %s", clean(n.Name), stamp(n.LastReport))
				}
			}
			return nil
		},
	}
	to.flags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

func printStatus(w io.Writer, st *v1.GetStatusResponse, now time.Time) error {
	fmt.Fprintf(w, "%s\n", watchedSentence(st.Watched, now))
	fmt.Fprintf(w, "rules: %d watching, %d not assessed\n\n", st.RulesWatching, st.RulesNotAssessed)
	tw := columns(w)
	fmt.Fprintln(tw, "NODE\tSTATE\tMODE\tSINCE\tCONTAINERS\tPROCESSES\tEVENTS\tLOST")
	for _, n := range st.Nodes {
		state := "reporting"
		if !n.Reporting {
			state = "SILENT since " + stamp(n.LastReport)
		}
		containers, processes := fmt.Sprint(n.Containers), fmt.Sprint(n.Processes)
		if n.NotAssessed != "" {
			state, containers, processes = "not assessed: "+clean(n.NotAssessed), "–", "–"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\n", clean(n.Name), state, clean(n.Mode), ago(now, n.Since), containers, processes, n.Events, n.Lost)
	}
	fmt.Fprintln(tw, "\nHOP\tIN\tOUT\tLOST")
	for _, h := range st.Hops {
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\n", clean(h.Hop), h.In, h.Out, h.Lost)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, l := range st.Losses {
		fmt.Fprintf(w, "LOST %d at %s (%s, %s lane), last %s\n", l.Count, clean(l.Hop), clean(l.Reason), clean(l.Lane), ago(now, l.To))
	}
	if len(st.NotAssessed) > 0 {
		fmt.Fprintln(w, "\nNot assessed")
		for _, g := range st.NotAssessed {
			fmt.Fprintf(w, "  %s: %s", clean(g.What), clean(g.Reason))
			if g.Remedy != "" {
				fmt.Fprintf(w, " (%s)", clean(g.Remedy))
			}
			fmt.Fprintln(w)
		}
	}
	return nil
}
