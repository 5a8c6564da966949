package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/dockreeve/dockreeve/agent/node"
)

func newRecord() *cobra.Command {
	var output, comment string
	var duration time.Duration
	cmd := &cobra.Command{
		Use:   "record",
		Short: "Record what happens on this machine as a trace",
		Long: `Record every event that the sensor can supply as a trace, until interrupted or for a
given time. "dockreeve rules replay" runs rules over it, here or anywhere.

A trace holds file names, command lines and user names of this machine. It holds no
file contents and no environment variables.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ctx := cmd.Context()
			if duration > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, duration)
				defer cancel()
			}
			name, err := os.Hostname()
			if err != nil {
				return withCode(exitFailed, "this host has no name: %w", err)
			}
			var w io.Writer = cmd.OutOrStdout()
			if output != "-" {
				f, err := os.OpenFile(output, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
				if err != nil {
					return withCode(exitFailed, "%w", err)
				}
				defer func() {
					if cerr := f.Close(); err == nil && cerr != nil {
						err = withCode(exitFailed, "%w", cerr)
					}
				}()
				w = f
			}
			held, err := node.Record(ctx, w, node.RecordOptions{Name: name, Comment: comment})
			if err != nil {
				return withCode(exitFailed, "%w", err)
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "recorded %d events; %d lost, in %d places, each noted in the trace\n", held.Events, held.Lost, held.Losses)
			return err
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "-", "file to write, - for standard output")
	cmd.Flags().StringVar(&comment, "comment", "", "what the recording is for, kept in its header")
	cmd.Flags().DurationVar(&duration, "duration", 0, "stop after this time; 0 = when interrupted")
	return cmd
}
