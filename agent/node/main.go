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
		fmt.Fprintf(stderr, "dockreeve-node watches this machine's kernel and writes findings, losses, status and what containers use as NDJSON,\nor sends them to a cluster agent or server with --link. It needs root and a kernel of 5.15 or newer with BTF.\n\n")
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
	canary := fs.Duration("canary-every", canaryEvery, "how often the sensor proves that it sees, by a harmless program that must come back as a finding; 0 = never")
	var up uplinkFlags
	fs.StringVar(&up.url, "link", "", "send to this cluster agent or server, `https://HOST:PORT`, instead of writing NDJSON")
	fs.StringVar(&up.token, "join", "", "`token` to join it with, or @FILE that holds it; needed once")
	fs.StringVar(&up.state, "state", "/var/lib/dockreeve-node", "`directory` of the certificate and of what is not sent yet, with --link")
	fs.StringVar(&up.cluster, "cluster", "", "`name` of the cluster that this node belongs to, with --link")
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
	proof, err := CanaryEvery(*canary)
	if err != nil {
		fmt.Fprintln(stderr, "dockreeve-node: --canary-every:", err)
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
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	opt := Options{Name: *name, Rules: compiled, Which: which, Sender: NewNDJSON(stdout), Replay: *replay, StatusEvery: *every, CanaryEvery: proof, HostRoots: roots, Log: log}
	if err := run(ctx, opt, set, up); err != nil {
		fmt.Fprintln(stderr, "dockreeve-node:", err)
		if errors.Is(err, errUsage) {
			return 2
		}
		return 3
	}
	return 0
}

var errUsage = errors.New("wrong usage")

// drainPatience is how long a node that ends waits for what it has sent to be stored.
const drainPatience = 10 * time.Second

// run watches until ctx ends or a replay does, and writes or sends what it finds.
func run(ctx context.Context, opt Options, set RuleSet, up uplinkFlags) error {
	if up.url == "" {
		if up.token != "" || up.cluster != "" {
			return fmt.Errorf("%w: --join and --cluster need --link", errUsage)
		}
		n, err := New(opt)
		if err != nil {
			return err
		}
		return errors.Join(n.Run(ctx), n.Close())
	}
	uo, err := up.options(opt.Name, opt.Log)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	u, err := OpenUplink(ctx, uo)
	if err != nil {
		return err
	}
	opt.Name, opt.Sender, opt.Hops = uo.Name, u.Sender(), u.Hops
	n, err := New(opt)
	if err != nil {
		return errors.Join(err, u.spool.Close())
	}
	left, err := u.Carry(n, set, drainPatience, func() error { return errors.Join(n.Run(ctx), n.Close()) })
	if left > 0 {
		opt.Log.Warn("not everything got through; it is kept and sent at the next start", "envelopes", left, "in", uo.State)
	}
	return err
}
