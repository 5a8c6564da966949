package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/dockreeve/dockreeve/detect"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/process"
	"github.com/dockreeve/dockreeve/trace"
)

func newRulesReplay() *cobra.Command {
	var f ruleFlags
	var output string
	var skipBad bool
	cmd := &cobra.Command{
		Use:   "replay TRACE",
		Short: "Run rules over a recorded trace and print what they find",
		Long: `Run rules over a trace (- for standard input) exactly as the sensor would have: the same
events give the same findings, ids included.

Exits with 1 when something was found, with 4 when the trace is cut short: what came
before the cut was judged all the same.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf(output, "text", "json", "falco"); err != nil {
				return err
			}
			which, err := f.which()
			if err != nil {
				return err
			}
			set, diags, err := f.load()
			if err != nil {
				return err
			}
			printDiagnostics(cmd.ErrOrStderr(), errorsOnly(diags))
			in := cmd.InOrStdin()
			if args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return withCode(exitFailed, "%w", err)
				}
				defer file.Close()
				in = file
			}
			r, err := trace.NewReader(in, trace.ReaderOptions{SkipBad: skipBad})
			if err != nil {
				return withCode(exitFailed, "%s: %w", args[0], err)
			}
			w := cmd.OutOrStdout()
			engine := detect.New(detect.Options{Rules: set, Which: which, Node: r.Header().Node})
			var printErr error
			show := func(fd *finding.Finding) {
				if printErr == nil {
					printErr = printFinding(w, fd, output)
				}
			}
			var lost uint64
			err = trace.Replay(r, process.New(process.Options{}), func(rec *trace.Record) error {
				switch {
				case rec.Event != nil:
					engine.Observe(rec.Event, show)
				case rec.Loss != nil:
					lost += rec.Loss.Count
					engine.ObserveLoss(*rec.Loss)
				}
				return printErr
			})
			engine.Flush(show)
			if printErr != nil {
				return withCode(exitFailed, "%w", printErr)
			}
			c, of := engine.Counts(), r.Header().Node
			if of == "" && r.Header().Cluster != "" {
				of = "cluster " + r.Header().Cluster
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d events of %s judged by %d rules: %d findings standing for %d matches; %d events were lost while recording, %d lines skipped\n",
				c.Events, clean(of), len(set.All()), c.Findings, c.Findings+c.Folded, lost, r.Skipped())
			switch {
			case errors.Is(err, trace.ErrCut):
				return withCode(exitData, "%s: %w", args[0], err)
			case err != nil:
				return withCode(exitFailed, "%s: %w", args[0], err)
			case c.Findings > 0:
				return &exitError{exitFindings, errors.New("")}
			}
			return nil
		},
	}
	f.flags(cmd)
	f.whichFlag(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text, json (a finding a line) or falco (Falco's one-line text)")
	cmd.Flags().BoolVar(&skipBad, "skip-bad-lines", false, "count and skip lines that cannot be read instead of stopping")
	return cmd
}

func printFinding(w io.Writer, f *finding.Finding, output string) error {
	switch output {
	case "json":
		return writeJSONLine(w, f)
	case "falco":
		_, err := fmt.Fprintf(w, "%s: %s %s\n", clockTime(f.Time), f.Rule.Priority, clean(f.Output))
		return err
	}
	_, err := fmt.Fprintf(w, "%s  %-13s %-28s %s\n", stamp(f.Time), f.Severity, clean(f.Rule.ID), clean(f.Summary))
	return err
}
