// Package cli is the command line: one thin file per command. It parses flags, calls
// the package that does the work, prints for people by default and for machines
// with -o, and turns errors into exit codes. No judgement lives here.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes, the same for every command.
const (
	exitOK       = 0
	exitFindings = 1 // findings over the threshold, or an expected alert missing
	exitUsage    = 2 // wrong usage
	exitFailed   = 3 // could not do it
	exitData     = 4 // data missing or too old
)

// version is set by the linker.
var version = "dev"

// exitError carries an exit code through cobra.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func withCode(code int, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(format, args...)}
}

// Main runs the program and returns its exit code. It stops cleanly on the first
// interrupt and at once on the second.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	context.AfterFunc(ctx, cancel) // a second interrupt kills
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var coded *exitError
	if errors.As(err, &coded) {
		if msg := coded.Error(); msg != "" {
			fmt.Fprintln(stderr, "dockreeve:", cleanLines(msg))
		}
		return coded.code
	}
	if errors.Is(err, context.Canceled) {
		return exitOK
	}
	fmt.Fprintln(stderr, "dockreeve:", cleanLines(err.Error()))
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "dockreeve",
		Short: "Container security and cost governance for any Kubernetes",
		Long: `Dockreeve watches what happens inside containers and says what is wrong with it.

Start everything on this machine with "dockreeve up", then try "dockreeve demo attack".

Exit codes: 0 fine, 1 findings over the threshold, 2 wrong usage, 3 could not do it, 4 data missing or too old.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return withCode(exitUsage, "%w\nSee \"%s --help\".", err, cmd.CommandPath())
	})
	root.AddCommand(newUp(), newServer(), newCluster(), newJoinToken(), newAlerts(), newClusters(), newWorkloads(), newIdentities(), newExposure(), newAudit(), newAzure(), newCoverage(), newCost(), newPosture(), newReport(), newScan(), newImages(), newDB(), newRules(), newRecord(), newDemo(), newLogin(), newTokens(), newStatus(), newVersion())
	usageErrors(root)
	return root
}

// listing makes a noun alone list everything, with the flags of its list.
func listing(noun, list *cobra.Command) {
	noun.AddCommand(list)
	noun.Flags().AddFlagSet(list.Flags())
	noun.RunE = list.RunE
	noun.Long = noun.Short + fmt.Sprintf(".\n\nAlone it lists them all, as \"list\" does; \"dockreeve %s list FILTER\" lists some.", noun.Name())
	noun.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown command %q for %q; a filter goes after \"list\"", args[0], cmd.CommandPath())
		}
		return nil
	}
}

// usageErrors makes wrong arguments exit with 2 in every command.
func usageErrors(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return withCode(exitUsage, "%w\nUsage: %s\nSee \"%s --help\".", err, c.UseLine(), c.CommandPath())
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		usageErrors(sub)
	}
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "dockreeve %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// defaultState is where `up` keeps its database and its token: the system's place
// for root, the user's own otherwise.
func defaultState() string {
	if dir := os.Getenv("DOCKREEVE_STATE"); dir != "" {
		return dir
	}
	if os.Getuid() == 0 {
		return "/var/lib/dockreeve"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "dockreeve")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return filepath.Join(os.TempDir(), fmt.Sprintf("dockreeve-%d", os.Getuid()))
	}
	return filepath.Join(home, ".local", "state", "dockreeve")
}
