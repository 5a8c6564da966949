package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
)

func newAlerts() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "alerts",
		Short: "List, show, watch and settle alerts",
	}
	listing(cmd, newAlertsList())
	cmd.AddCommand(newAlertsShow(), newAlertsWatch(), newAlertsSet())
	return cmd
}

func newAlertsList() *cobra.Command {
	var to target
	var output, order string
	var limit int32
	cmd := &cobra.Command{
		Use:   "list [FILTER]",
		Short: "List alerts, newest first",
		Long: `List alerts, newest first. FILTER is the language of the console's filter box:

  dockreeve alerts list 'severity:>=high status:open age:<1d'

Below the list stands what was watched, since when, and what was lost.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf(output, "table", "json"); err != nil {
				return err
			}
			c, err := to.dial()
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			var all v1.ListAlertsResponse
			for {
				res, err := c.alerts.ListAlerts(ctx, connect.NewRequest(&v1.ListAlertsRequest{
					Filter: strings.Join(args, " "), Order: order, PageSize: min(limit-int32(len(all.Alerts)), 500), Cursor: all.NextCursor,
				}))
				if err != nil {
					return to.explain(err)
				}
				alerts := append(all.Alerts, res.Msg.Alerts...)
				proto.Reset(&all)
				proto.Merge(&all, res.Msg)
				all.Alerts = alerts
				if all.NextCursor == "" || len(all.Alerts) >= int(limit) {
					break
				}
			}
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), &all)
			}
			return printAlerts(cmd.OutOrStdout(), &all, time.Now())
		},
	}
	to.flags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	cmd.Flags().StringVar(&order, "order", "last_seen", "last_seen, first_seen, severity or count; a leading - turns it round")
	cmd.Flags().Int32Var(&limit, "limit", 100, "at most this many")
	return cmd
}

func printAlerts(w io.Writer, res *v1.ListAlertsResponse, now time.Time) error {
	if len(res.Alerts) > 0 {
		tw := columns(w)
		fmt.Fprintln(tw, "ID\tSEVERITY\tSTATUS\tSEEN\tLAST\tWHERE\tWHAT")
		for _, a := range res.Alerts {
			mark := ""
			if a.AffectedByLoss {
				mark = " (events were lost around it)"
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%s\t%s\t%s%s\n", a.Id, severityWord(a.Severity), statusWord(a.Status), a.Count,
				ago(now, a.LastSeen), clean(a.Subject.GetWorkload()), clean(a.Title), mark)
		}
		if err := tw.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	_, err := fmt.Fprintf(w, "%d of %d alerts (%d in all); %s\n", len(res.Alerts), res.Total, res.TotalAll, watchedSentence(res.Watched, now))
	return err
}

// watchedSentence is the denominator of every count this program prints.
func watchedSentence(w *v1.Watched, now time.Time) string {
	switch {
	case w == nil:
		return "what was watched is not known"
	case w.NotAssessed != "":
		return "not assessed: " + clean(w.NotAssessed)
	}
	s := fmt.Sprintf("watching for %s, %d events seen", span(now.Sub(time.Unix(0, w.Since))), w.EventsSeen)
	if w.EventsLost > 0 {
		return s + fmt.Sprintf(", %d LOST in 24 h", w.EventsLost)
	}
	return s + ", none lost in 24 h"
}

func newAlertsShow() *cobra.Command {
	var to target
	var output string
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one alert whole: what happened, why it fired, what to do",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf(output, "text", "json"); err != nil {
				return err
			}
			c, err := to.dial()
			if err != nil {
				return err
			}
			res, err := c.alerts.GetAlert(cmd.Context(), connect.NewRequest(&v1.GetAlertRequest{Id: args[0]}))
			if err != nil {
				return to.explain(err)
			}
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), res.Msg.Alert)
			}
			return printAlert(cmd.OutOrStdout(), res.Msg.Alert, time.Now())
		},
	}
	to.flags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

func printAlert(w io.Writer, d *v1.AlertDetail, now time.Time) error {
	a := d.Alert
	p := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	p("%s", clean(a.Summary))
	p("")
	p("%s  %s  seen %d times, first %s, last %s", strings.ToUpper(severityWord(a.Severity)), statusWord(a.Status), a.Count, ago(now, a.FirstSeen), stamp(a.LastSeen))
	p("rule      %s (%s)", clean(a.Title), clean(a.RuleId))
	if len(d.Rule.GetTactics())+len(d.Rule.GetTechniques()) > 0 {
		p("ATT&CK    %s  %s", clean(strings.Join(d.Rule.GetTactics(), ", ")), clean(strings.Join(d.Rule.GetTechniques(), " ")))
	}
	s := a.Subject
	p("where     %s", clean(s.GetWorkload()))
	if c := s.GetContainer(); c != nil {
		p("container %s  %s", clean(c.Name), clean(c.Id))
		if c.Unknown != "" {
			p("image     not assessed: %s", clean(c.Unknown))
		} else {
			p("image     %s", orDash(clean(c.Image)))
		}
	}
	if s.GetObject() != "" {
		p("object    %s", clean(s.Object))
	}
	for _, l := range d.Losses {
		p("LOSS      %d events lost at %s (%s) around this moment: the picture may be incomplete", l.Count, clean(l.Hop), clean(l.Reason))
	}
	if len(d.Lineage) > 0 {
		p("\nProcess tree")
	}
	for i := len(d.Lineage) - 1; i >= 0; i-- {
		pr := d.Lineage[i]
		mark := "  "
		if i == 0 {
			mark = "▶ "
		}
		p("%s%s%s  pid %d  %s  %s", mark, strings.Repeat("  ", len(d.Lineage)-1-i), clean(pr.Name), pr.Pid, orDash(clean(pr.User)), clean(pr.Cmdline))
	}
	p("\nWhy it fired")
	for _, c := range d.Why {
		mark := "✗"
		if c.True {
			mark = "✓"
		}
		got := clean(c.Got)
		if c.Null {
			got = "no value"
		}
		p("  %s %s  (was: %s)", mark, clean(c.Expr), got) // which says "not" itself
	}
	if len(d.Rule.GetResponse()) > 0 {
		p("\nWhat to do")
		for i, r := range d.Rule.Response {
			p("  %d. %s", i+1, clean(r))
		}
	}
	for _, h := range d.History {
		p("\n%s  %s → %s by %s %s", stamp(h.Time), statusWord(h.From), statusWord(h.To), clean(h.Who), clean(h.Why))
	}
	return nil
}

func newAlertsWatch() *cobra.Command {
	var to target
	var output, filter string
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Print alerts as they arrive, until interrupted",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(output, "text", "json"); err != nil {
				return err
			}
			c, err := to.dial()
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			return c.follow(cmd.Context(), filter, func(a *v1.Alert) error {
				if output == "json" {
					return printJSONLine(w, a)
				}
				_, err := fmt.Fprintf(w, "%s  %-13s %s  ×%d  %s\n", stamp(a.LastSeen), severityWord(a.Severity), a.Id, a.Count, clean(a.Summary))
				return err
			})
		},
	}
	to.flags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json (one object a line)")
	cmd.Flags().StringVar(&filter, "filter", "", "only alerts that match, in the console's filter language")
	return cmd
}

func newAlertsSet() *cobra.Command {
	var to target
	var why string
	words := map[string]v1.AlertStatus{
		"open": v1.AlertStatus_ALERT_STATUS_OPEN, "acknowledged": v1.AlertStatus_ALERT_STATUS_ACKNOWLEDGED,
		"resolved": v1.AlertStatus_ALERT_STATUS_RESOLVED, "dismissed": v1.AlertStatus_ALERT_STATUS_DISMISSED,
	}
	cmd := &cobra.Command{
		Use:   "set STATUS ID...",
		Short: "Move alerts to open, acknowledged, resolved or dismissed, with a reason",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			status, ok := words[args[0]]
			if !ok {
				return withCode(exitUsage, "unknown status %q: use open, acknowledged, resolved or dismissed", args[0])
			}
			c, err := to.dial()
			if err != nil {
				return err
			}
			res, err := c.alerts.SetAlertStatus(cmd.Context(), connect.NewRequest(&v1.SetAlertStatusRequest{Ids: args[1:], Status: status, Why: why}))
			if err != nil {
				return to.explain(err)
			}
			for _, a := range res.Msg.Alerts {
				fmt.Fprintf(cmd.OutOrStdout(), "%s is %s\n", a.Id, statusWord(a.Status))
			}
			return nil
		},
	}
	to.flags(cmd)
	cmd.Flags().StringVar(&why, "why", "", "the reason, kept in the alert's history")
	return cmd
}

// follow calls each for every alert that changes, from now on, until ctx ends. It
// reconnects where the stream breaks and continues from the last change it saw.
func (c *clients) follow(ctx context.Context, filter string, each func(*v1.Alert) error) error {
	since, backoff := uint64(0), 250*time.Millisecond
	for {
		err := c.followOnce(ctx, filter, &since, each)
		if ctx.Err() != nil {
			return nil
		}
		if connect.CodeOf(err) == connect.CodeUnauthenticated || connect.CodeOf(err) == connect.CodeInvalidArgument {
			return err
		}
		var stop *exitError
		if asExit(err, &stop) {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
			backoff = min(2*backoff, 5*time.Second)
		}
	}
}

func (c *clients) followOnce(ctx context.Context, filter string, since *uint64, each func(*v1.Alert) error) error {
	stream, err := c.changes.Watch(ctx, connect.NewRequest(&v1.WatchRequest{SinceSeq: *since}))
	if err != nil {
		return err
	}
	defer stream.Close()
	for stream.Receive() {
		msg := stream.Msg()
		for _, ch := range msg.Changes {
			if ch.Kind != "alert" {
				continue
			}
			res, err := c.alerts.ListAlerts(ctx, connect.NewRequest(&v1.ListAlertsRequest{Filter: strings.TrimSpace(filter + " id:" + ch.Id), PageSize: 1}))
			if err != nil {
				return err
			}
			for _, a := range res.Msg.Alerts {
				if err := each(a); err != nil {
					return &exitError{exitFailed, err}
				}
			}
		}
		*since = msg.Seq
	}
	return stream.Err()
}

func printJSON(w io.Writer, m proto.Message) error {
	b, err := protojson.MarshalOptions{Multiline: true, Indent: "  ", EmitUnpopulated: true}.Marshal(m)
	if err != nil {
		return err
	}
	// protojson varies its blanks on purpose; machines that compare output need one form.
	var v json.RawMessage = b
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", cleanJSON(out))
	return err
}

func printJSONLine(w io.Writer, m proto.Message) error {
	b, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(m)
	if err != nil {
		return err
	}
	out, err := json.Marshal(json.RawMessage(b))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", cleanJSON(out))
	return err
}
