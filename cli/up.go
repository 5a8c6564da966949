package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/dockreeve/dockreeve/agent/node"
	"github.com/dockreeve/dockreeve/detect"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/rule"
	"github.com/dockreeve/dockreeve/scan/advisory"
	"github.com/dockreeve/dockreeve/sensor"
	"github.com/dockreeve/dockreeve/server"
	"github.com/dockreeve/dockreeve/server/governance"
	"github.com/dockreeve/dockreeve/server/images"
	"github.com/dockreeve/dockreeve/store"
	"github.com/dockreeve/dockreeve/ui"
)

func newUp() *cobra.Command {
	var f ruleFlags
	var o upOptions
	var img imageFlags
	var hub governFlags
	var verbose bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run everything on this machine: sensor, rules, store, API and console",
		Long: `Run everything on this machine and print the console's address with a sign-in link
that works once.

Live events need root and a kernel of 5.15 or newer with BTF. Where they cannot be had
this says why and what to do, and goes on without them; --replay plays a recorded trace
instead. The console listens on the loopback address only.

The images of running containers are scanned from this machine's stores, or from the
container's own root file system. Vulnerabilities need the advisory database: see
"dockreeve db". Nothing is fetched unless --db-update, --pull-images or --registries
asks for it.

With --kubeconfig, --context or an --audit-… flag it looks after that cluster too, as
"dockreeve cluster" does; --node-name is then what the cluster calls this machine:

  dockreeve up --kubeconfig FILE --cluster lab --node-name node1 --audit-webhook 127.0.0.1:9443`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(o.push) > 0 && o.linkListen == "" {
				return withCode(exitUsage, "--push-rules needs --link-listen: it is for those who come there. What runs here is --rules")
			}
			if _, err := node.CanaryEvery(o.cluster.canary); err != nil {
				return withCode(exitUsage, "--canary-every %w", err)
			}
			which, err := f.which()
			if err != nil {
				return err
			}
			set, diags, err := f.load()
			if err != nil {
				return err
			}
			if bad, _ := printDiagnostics(cmd.ErrOrStderr(), errorsOnly(diags)); bad > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d rules are left out for these errors; the others run.\n", bad)
			}
			level := slog.LevelWarn
			if verbose {
				level = slog.LevelDebug
			}
			o.rules, o.which = set, which
			if o.images, err = img.options(o.state, o.replay == ""); err != nil {
				return err
			}
			if o.governance, err = hub.options(o.state); err != nil {
				return err
			}
			o.stdin = cmd.InOrStdin()
			o.log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
			u, err := startUp(cmd.Context(), o)
			if err != nil {
				return withCode(exitFailed, "%w", err)
			}
			if err := u.greet(cmd.Context(), cmd.OutOrStdout()); err != nil {
				return errors.Join(err, u.Close())
			}
			if err := u.Wait(); err != nil {
				return withCode(exitFailed, "%w", err)
			}
			return nil
		},
	}
	f.flags(cmd)
	f.whichFlag(cmd)
	img.flags(cmd)
	hub.flags(cmd)
	o.cluster.flags(cmd)
	cmd.Flags().StringVar(&o.node, "node-name", "", "name of this machine, as its cluster calls it (default: the host's)")
	cmd.Flags().StringVar(&o.listen, "listen", server.DefaultListen, "address of the console and the API; port 0 takes a free one")
	cmd.Flags().StringVar(&o.state, "state", defaultState(), "directory of the database and the token")
	cmd.Flags().StringVar(&o.replay, "replay", "", "play this trace instead of watching the kernel")
	cmd.Flags().StringVar(&o.linkListen, "link-listen", "", "address for cluster agents and nodes of other machines, host:port, as in "+defaultLink+" (default: nobody)")
	cmd.Flags().StringArrayVar(&o.push, "push-rules", nil, "with --link-listen: rule file or directory that cluster agents and nodes of other machines run beside their own (may be repeated)")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "log what is going on")
	return cmd
}

// upOptions say what `up` runs.
type upOptions struct {
	listen, state, replay string
	linkListen            string   // "" = nobody else sends
	push                  []string // rules for those who come there
	node                  string   // name of this machine; "" = the host's
	cluster               clusterFlags
	stdin                 io.Reader
	rules                 *rule.Rules
	which                 detect.Which
	images                images.Options
	governance            governance.Options
	log                   *slog.Logger
}

// up is everything in one process: the node and the server in one error group over
// a link in memory. They share no other state.
type up struct {
	opt    upOptions
	db     *store.DB
	server *server.Server
	pipe   *link.Pipe
	link   *server.Link        // nil = nobody else sends
	agent  *clusterAgent       // nil = no cluster is looked after
	spool  *link.Spool         // of the agent: what it has told an API server to forget outlives this process
	blind  *sensor.Unsupported // why the kernel is not watched; nil = it is, or a trace is played
	stop   context.CancelFunc
	group  *errgroup.Group
}

// startUp opens the store, attaches the sensor and starts serving. When it returns
// without an error everything that happens from then on is seen.
func startUp(ctx context.Context, o upOptions) (_ *up, err error) {
	u := &up{opt: o}
	u.db, err = store.Open(ctx, store.Options{Path: filepath.Join(o.state, "dockreeve.db")})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, u.db.Close())
		}
	}()
	ledger := &link.Ledger{} // one for both ends, so that what the link loses reaches status
	u.pipe = link.NewPipe(link.PipeOptions{Ledger: ledger})
	so := server.Options{
		DB: u.db, Receiver: u.pipe, Ledger: ledger, UI: ui.Handler(), Version: version, Listen: o.listen, StateDir: o.state, Log: o.log, Images: o.images, Governance: o.governance,
	}
	if o.linkListen != "" {
		if u.link, err = server.OpenLink(server.LinkOptions{Listen: o.linkListen, StateDir: o.state, Ledger: ledger, Log: o.log, Rules: pushing(o.push)}); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, u.link.Close())
			}
		}()
		so.Link, so.Receiver = u.link, u.link.Receiver()
	}
	var many *link.Listener // takes in several senders; nil = there is only the node here
	if u.link != nil {
		many = u.link.Receiver()
	}
	if o.cluster.asked() && many == nil {
		many = link.NewListener(link.ListenerOptions{Ledger: ledger, Log: o.log})
		so.Receiver = many
	}
	canary, err := node.CanaryEvery(o.cluster.canary)
	if err != nil {
		return nil, fmt.Errorf("--canary-every %w", err)
	}
	n, err := node.New(node.Options{Name: o.node, Rules: o.rules, Which: o.which, Version: version, Sender: u.pipe, Replay: o.replay, Stay: true, CanaryEvery: canary, Log: o.log})
	if err != nil {
		return nil, err
	}
	if o.cluster.asked() {
		if err := u.openCluster(ledger, n.Pods); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, u.spool.Close())
			}
		}()
		so.Receiver = u.agent.FromNodes(many) // what this machine says of its files is for the cluster's node
	}
	if u.server, err = server.New(so); err != nil {
		return nil, err
	}
	if err := n.Open(ctx); err != nil && !errors.As(err, &u.blind) {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(o.state, addressFile), []byte(u.server.URL()+"\n"), 0o600); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	// The node stops first; what it sent is stored before the server stops.
	watching, stopNode := context.WithCancel(ctx)
	serving, stopServer := context.WithCancel(context.WithoutCancel(ctx))
	u.stop = stopNode
	u.group = &errgroup.Group{}
	u.group.Go(func() error {
		defer stopServer()
		senders, ctx := errgroup.WithContext(watching)
		senders.Go(func() error {
			if u.blind != nil {
				return n.RunBlind(ctx, u.blind)
			}
			return n.Run(ctx)
		})
		if u.agent != nil {
			senders.Go(func() error { return u.agent.Run(ctx, u.agent.ways...) })
		}
		return errors.Join(senders.Wait(), n.Close(), u.drain())
	})
	u.group.Go(func() error {
		defer stopNode()
		return u.server.Run(serving)
	})
	if many != nil { // the node here is then one of several that send
		u.group.Go(func() error { return many.Attach(serving, "local", u.pipe) })
	}
	if u.agent != nil {
		u.group.Go(func() error { return many.Attach(serving, u.spool.Origin(), u.spool) })
	}
	return u, nil
}

// openCluster makes the agent of the cluster that flags name. What
// it takes from an API server it must not lose, so it sends by way of the disk.
func (u *up) openCluster(ledger *link.Ledger, pods func(inventory.PodsFor)) (err error) {
	o := &u.opt
	u.spool, err = link.OpenSpool(link.SpoolOptions{Dir: filepath.Join(o.state, "cluster", "spool"), Origin: "local/cluster", Ledger: ledger})
	if err != nil {
		return err
	}
	u.agent, err = o.cluster.agent(clusterParts{
		sender: u.spool, alone: true, pods: pods, rules: o.rules, which: o.which, dir: o.state, stdin: o.stdin, log: o.log,
	})
	if err != nil {
		return errors.Join(err, u.spool.Close())
	}
	return nil
}

// drain waits until what the node sent is stored, a few seconds at most.
func (u *up) drain() error {
	const patience = 5 * time.Second
	deadline := time.Now().Add(patience)
	for {
		left := u.pipe.Pending(link.LaneAlert) + u.pipe.Pending(link.LaneLoss)
		if left == 0 {
			if u.spool != nil { // what is left of it is on disk, and goes next time
				return errors.Join(u.pipe.Close(), u.spool.Close())
			}
			return u.pipe.Close()
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("%d findings could not be stored within %v and are lost", left, patience), u.pipe.Close())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Wait returns when everything has ended.
func (u *up) Wait() error {
	return errors.Join(u.group.Wait(), u.db.Close())
}

// Close stops everything and waits for it.
func (u *up) Close() error {
	u.stop()
	return u.Wait()
}

// greet prints what a newcomer needs: where, how to get in, and what is watched.
func (u *up) greet(ctx context.Context, w io.Writer) error {
	link, err := u.server.SignInURL(ctx)
	if err != nil {
		return err
	}
	watching, partly, not := assessed(u.opt.rules)
	unheard := 0 // rules on what no API server tells
	if u.agent == nil || !u.agent.audited {
		unheard = onAPIServer(u.opt.rules)
		watching -= unheard
	}
	fmt.Fprintf(w, "Dockreeve %s\n\n  console   %s\n  sign in   %s\n            (works once, for ten minutes; \"dockreeve login\" prints another)\n  state     %s\n  rules     %d watching", version, u.server.URL(), link, u.opt.state, watching+partly)
	if partly > 0 {
		fmt.Fprintf(w, " (%d in part)", partly)
	}
	if not > 0 {
		fmt.Fprintf(w, ", %d not assessed: \"dockreeve rules list\" says why", not)
	}
	fmt.Fprintln(w)
	if unheard > 0 {
		fmt.Fprintf(w, "            %d on the API server are not assessed: no audit events are connected (docs/audit.md)\n", unheard)
	}
	fmt.Fprintf(w, "  images    %s\n", advisories(&u.opt.images))
	if u.agent != nil {
		u.agent.greet(w)
	}
	if u.link != nil {
		fmt.Fprintf(w, "  link      %s, for cluster agents and nodes; \"dockreeve join-token\" lets one in\n", u.link.Addr())
	}
	switch {
	case u.blind != nil:
		fmt.Fprintf(w, "\nNOT WATCHING this machine: %v.\nUntil then, play a recorded trace with --replay FILE.\n", u.blind)
	case u.opt.replay != "":
		fmt.Fprintf(w, "\nPlaying %s; this machine itself is not watched.\n", u.opt.replay)
	default:
		fmt.Fprintf(w, "\nWatching this machine. Try \"dockreeve demo attack\" in another terminal. Stop with Ctrl-C.\n")
	}
	return nil
}

// advisories says in one line what images are matched with.
func advisories(opt *images.Options) string {
	if opt.Database == "" {
		return "not scanned"
	}
	db, err := advisory.Open(opt.Database)
	if errors.Is(err, fs.ErrNotExist) {
		return "packages are listed; vulnerabilities are not assessed until \"dockreeve db update\" (or import) has made " + opt.Database
	}
	if err != nil {
		return "vulnerabilities are not assessed: " + err.Error()
	}
	defer db.Close()
	info := db.Info()
	of := "matched with advisories of " + time.Unix(0, advisory.AsOf(&info)).Format("2006-01-02 15:04")
	if advisory.TooOld(&info, time.Now().UnixNano(), int64(opt.MaxAge)) {
		return of + ", which are TOO OLD: \"dockreeve db update\""
	}
	return of
}

// startEmbedded runs a server for as long as a demo takes, in a directory of its own.
func startEmbedded(ctx context.Context) (alertSource, error) {
	set, _, err := (&ruleFlags{}).load()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "dockreeve-demo-")
	if err != nil {
		return nil, err
	}
	u, err := startUp(ctx, upOptions{listen: "127.0.0.1:0", state: dir, rules: set, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if u.blind != nil {
		return nil, errors.Join(u.blind, u.Close(), os.RemoveAll(dir))
	}
	to := target{server: u.server.URL(), state: dir}
	var c *clients
	for {
		// The token file is written as the server starts.
		if c, err = to.dial(); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, u.Close(), os.RemoveAll(dir))
		case <-time.After(10 * time.Millisecond):
		}
	}
	return &embedded{remote{c}, u, dir}, nil
}

type embedded struct {
	remote
	up  *up
	dir string
}

func (e *embedded) Close() error { return errors.Join(e.up.Close(), os.RemoveAll(e.dir)) }
