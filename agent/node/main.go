package node

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/dockreeve/dockreeve/detect"
	"github.com/dockreeve/dockreeve/rule"
)

// list is a flag that may be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// Main is the whole of dockreeve-node: it parses flags, runs the node until it is
// interrupted, and returns the exit code: 0 fine, 2 wrong usage, 3 could not do it.
// It uses the standard library's flags so that the small binary stays small.
func Main(args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("dockreeve-node", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprintf(stderr, "dockreeve-node watches this machine's kernel and writes findings, losses, status and what containers use as NDJSON.\nIt needs root and a kernel of 5.15 or newer with BTF.\n\n")
		fs.PrintDefaults()
	}
	var set RuleSet
	var paths, disable list
	fs.Var(&paths, "rules", "also load this rule `path`, a file or a directory (may be repeated)")
	fs.Var(&disable, "disable", "disable rules whose name contains this `text` (may be repeated)")
	fs.BoolVar(&set.NoBuiltin, "no-builtin-rules", false, "do not load Dockreeve's own rules")
	matches := fs.String("matches", "severest", "of the rules that match one event report the `severest`, the first or all")
	name := fs.String("name", "", "`name` of this node (default: the host's)")
	replay := fs.String("replay", "", "play this trace `file` instead of watching the kernel")
	var roots list
	fs.Var(&roots, "host-root", "also look for runtimes' state below this `directory`, a host's root mounted here (may be repeated; the root of process 1 and of runtimes outside of containers is found without)")
	every := fs.Duration("status-every", 10*time.Second, "`interval` of status lines")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "dockreeve-node: unexpected argument %q; see --help\n", fs.Arg(0))
		return 2
	}
	set.Paths, set.Disable = paths, disable
	compiled, diags, err := set.Load()
	if err != nil {
		fmt.Fprintln(stderr, "dockreeve-node:", err)
		return 3
	}
	for _, d := range diags {
		if d.Severity == rule.SeverityError {
			fmt.Fprintln(stderr, d.String())
		}
	}
	which, err := detect.ParseWhich(*matches)
	if err != nil {
		fmt.Fprintln(stderr, "dockreeve-node: --matches:", err)
		return 2
	}
	n, err := New(Options{
		Name: *name, Rules: compiled, Which: which, Sender: NewNDJSON(stdout), Replay: *replay, StatusEvery: *every, HostRoots: roots,
		Log: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		fmt.Fprintln(stderr, "dockreeve-node:", err)
		return 3
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := errors.Join(n.Run(ctx), n.Close()); err != nil {
		fmt.Fprintln(stderr, "dockreeve-node:", err)
		return 3
	}
	return 0
}
