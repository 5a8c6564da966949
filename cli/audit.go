package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
)

func newAudit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Who did what through the API servers of clusters, from where",
	}
	listing(cmd, newAuditList())
	cmd.AddCommand(newAuditShow())
	return cmd
}

func newAuditList() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:   "list [FILTER]",
		Short: "List audit events, the newest first",
		Long: `List audit events, the newest first. FILTER is the language of the console's filter box:

  dockreeve audit list 'resource:secrets verb:get,list identity:serviceaccount:shop/* age:<1h'

Below the list stands how far back it reaches, and what is not assessed.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return lister(cmd, &f, func(ctx context.Context, c *clients) (*v1.ListAuditResponse, error) {
				res, err := c.clusters.ListAudit(ctx, connect.NewRequest(&v1.ListAuditRequest{Filter: strings.Join(args, " "), PageSize: f.limit}))
				if err != nil {
					return nil, err
				}
				return res.Msg, nil
			}, printAudit)
		},
	}
	f.flags(cmd, "", "")
	return cmd
}

func printAudit(w io.Writer, res *v1.ListAuditResponse, now time.Time) error {
	if len(res.Events) > 0 {
		tw := columns(w)
		fmt.Fprintln(tw, "TIME\tCLUSTER\tWHO\tDID\tON\tANSWER\tFROM\tUNUSUAL\tEVENT")
		for _, e := range res.Events {
			who := clean(e.Identity)
			if e.Impersonator != "" {
				who += " by " + clean(e.Impersonator)
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", stamp(e.Time), clean(e.Cluster), orDash(who), clean(e.Verb), objectWord(e), answerWord(e), fromWord(e), some(e.Unusual, 3), clean(e.Id))
		}
		if err := tw.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	total := fmt.Sprint(res.Total)
	if res.Total < 0 {
		total = "more than 10000"
	}
	kept := "none is kept"
	if res.KeptSince > 0 {
		kept = "kept since " + stamp(res.KeptSince)
	}
	fmt.Fprintf(w, "%d of %s events; %s\n", len(res.Events), total, kept)
	return printGaps(w, res.NotAssessed)
}

func objectWord(e *v1.AuditRow) string {
	s := clean(e.Resource)
	switch {
	case e.Namespace != "" && e.Name != "":
		s += " " + clean(e.Namespace) + "/" + clean(e.Name)
	case e.Namespace != "" || e.Name != "":
		s += " " + clean(e.Namespace+e.Name)
	}
	return s
}

func answerWord(e *v1.AuditRow) string {
	if e.Code == 0 {
		return orDash(clean(e.Decision))
	}
	return strings.TrimSpace(fmt.Sprint(e.Code, " ", clean(e.Decision)))
}

func fromWord(e *v1.AuditRow) string {
	s := some(e.Sources, 2)
	if e.From != "" {
		s += " " + clean(e.From)
	}
	if e.FromName != "" {
		s += " " + clean(e.FromName)
	}
	return s
}

func newAuditShow() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:   "show EVENT",
		Short: "Show one audit event whole, what was made of it, and the alerts that rest on it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return lister(cmd, &f, func(ctx context.Context, c *clients) (*v1.GetAuditEventResponse, error) {
				res, err := c.clusters.GetAuditEvent(ctx, connect.NewRequest(&v1.GetAuditEventRequest{Id: args[0]}))
				if err != nil {
					return nil, err
				}
				return res.Msg, nil
			}, printAuditEvent)
		},
	}
	f.to.flags(cmd)
	cmd.Flags().StringVarP(&f.output, "output", "o", "table", "table or json")
	return cmd
}

func printAuditEvent(w io.Writer, res *v1.GetAuditEventResponse, _ time.Time) error {
	e := res.Event
	p := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	p("%s  %s %s", stamp(e.Time), clean(e.Verb), objectWord(e))
	p("")
	p("cluster   %s", orDash(clean(e.Cluster)))
	p("who       %s (%s)", orDash(clean(e.Identity)), clean(e.User))
	if e.Impersonator != "" {
		p("acted as  that one: it was %s", clean(e.Impersonator))
	}
	p("from      %s", fromWord(e))
	p("with      %s", orDash(clean(e.Agent)))
	p("answer    %s", answerWord(e))
	if e.Reason != "" {
		p("reason    %s", clean(e.Reason))
	}
	if len(e.Unusual) > 0 {
		p("unusual   %s", some(e.Unusual, 10))
	}
	if len(res.AlertIds) > 0 {
		p("alerts    %s", some(res.AlertIds, 20))
	}
	for _, doc := range []struct{ title, text string }{{"What was made of it", res.FactsJson}, {"The event", res.EventJson}} {
		if doc.text == "" {
			continue
		}
		var out bytes.Buffer
		if json.Indent(&out, []byte(doc.text), "  ", "  ") != nil {
			out.Reset()
			out.WriteString(clean(doc.text))
		}
		if _, err := fmt.Fprintf(w, "\n%s\n  %s\n", doc.title, cleanJSON(out.Bytes())); err != nil {
			return err
		}
	}
	return nil
}
