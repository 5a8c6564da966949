package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/dockreeve/dockreeve/agent/cluster"
	"github.com/dockreeve/dockreeve/agent/node"
	"github.com/dockreeve/dockreeve/internal/pki"
	"github.com/dockreeve/dockreeve/link"
)

func newCluster() *cobra.Command {
	var f clusterFlags
	var r ruleFlags
	var hub, join, state, listen string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Look after one cluster: its inventory and its API server",
		Long: `Look after one cluster: keep its inventory, judge what happens at its API server, tell
its nodes about their pods, and send everything to a Dockreeve server.

One of these runs in each cluster, as a pod (it then uses the pod's service account) or
anywhere with a --kubeconfig. It reads; it changes nothing. What must not be lost is kept
on disk until the server has stored it.

Join the server once with a token of "dockreeve join-token --role cluster"; without --hub
everything is written to standard output as NDJSON, and with --audit-stdin alone it ends
with its input. "dockreeve cluster inspect" looks at a cluster once, without a server.

  dockreeve cluster --cluster shop --kubeconfig FILE --audit-webhook :9443 \
      --hub https://HUB:7371 --join TOKEN --listen :7372
  dockreeve cluster --cluster shop --audit-stdin <PT1H.json

docs/clusters.md walks through it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			which, err := r.which()
			if err != nil {
				return err
			}
			set, diags, err := r.load()
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
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
			p := clusterParts{rules: set, which: which, dir: state, stdin: cmd.InOrStdin(), log: log, watched: f.kube.Kubeconfig != "" || !f.stdin && !onlyFiles(&f)}
			if join, err = pki.ReadToken(join); err != nil {
				return withCode(exitFailed, "--join: %w", err)
			}
			if hub == "" {
				if listen != "" || join != "" {
					return withCode(exitUsage, "--listen and --join need --hub: nodes and tokens belong to a server")
				}
				p.sender = node.NewNDJSON(cmd.OutOrStdout())
				a, err := f.agent(p)
				if err != nil {
					return err
				}
				a.greet(cmd.ErrOrStderr())
				ctx, done := context.WithCancel(cmd.Context())
				defer done()
				if a.server == "" && len(f.files) == 0 && f.webhook == "" && f.hub == "" {
					a.ended = done // nothing more can come
				}
				if err := a.Run(ctx, a.ways...); err != nil {
					return withCode(exitFailed, "%w", err)
				}
				return nil
			}
			if f.name == "" {
				return withCode(exitUsage, "what is the cluster called? Give --cluster NAME")
			}
			u := &uplink{hub: hub, token: join, dir: filepath.Join(state, "cluster", f.name), cluster: f.name, listen: listen, log: log, rules: r.set}
			if err := u.open(cmd.Context()); err != nil {
				return withCode(exitFailed, "%w", err)
			}
			p.sender, p.nodes = u.spool, u.nodes
			a, err := f.agent(p)
			if err != nil {
				return errors.Join(err, u.Close())
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Dockreeve cluster agent %s\n\n  hub       %s\n", version, hub)
			if u.nodes != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "  nodes     at https://%s\n", u.listener.Addr())
			}
			a.greet(cmd.ErrOrStderr())
			if err := errors.Join(u.run(cmd.Context(), a), u.Close()); err != nil {
				return withCode(exitFailed, "%w", err)
			}
			return nil
		},
	}
	f.flags(cmd)
	r.flags(cmd)
	r.whichFlag(cmd)
	fs := cmd.Flags()
	fs.StringVar(&hub, "hub", "", "address of the Dockreeve server's link, https://HOST:PORT")
	fs.StringVar(&join, "join", "", "token to join it with, or @FILE that holds it; needed once")
	fs.StringVar(&state, "state", defaultState(), "directory of certificates, of what is not sent yet and of what was learned")
	fs.StringVar(&listen, "listen", "", "address for the cluster's nodes, host:port (default: nodes do not come here)")
	fs.BoolVarP(&verbose, "verbose", "v", false, "log what is going on")
	cmd.AddCommand(newClusterInspect())
	return cmd
}

// onlyFiles reports whether audit events come without any API server being named.
func onlyFiles(f *clusterFlags) bool {
	_, inside := os.LookupEnv("KUBERNETES_SERVICE_HOST")
	_, named := os.LookupEnv("KUBECONFIG")
	return !inside && !named && f.kube.Context == "" && (len(f.files) > 0 || f.hub != "")
}

// uplink is a cluster agent's way to its hub, and its nodes' way to it.
type uplink struct {
	hub, token, dir, cluster, listen string
	log                              *slog.Logger
	rules                            node.RuleSet   // that the agent was started with
	agent                            *cluster.Agent // set before run

	creds    *pki.Credentials
	spool    *link.Spool
	client   *link.Client
	nodes    *link.Listener // nil = nodes do not come here
	listener net.Listener
}

// open joins the hub where that was not done, opens the spool and takes the address.
func (u *uplink) open(ctx context.Context) (err error) {
	who := pki.Identity{Role: pki.RoleCluster, Cluster: u.cluster}
	if u.creds, err = pki.Join(ctx, u.hub, u.token, filepath.Join(u.dir, "link"), who, nil); err != nil {
		if errors.Is(err, pki.ErrNotJoined) {
			return fmt.Errorf("%w: give --join with a token of \"dockreeve join-token --role cluster --cluster %s\"", err, u.cluster)
		}
		return fmt.Errorf("join %s: %w", u.hub, err)
	}
	if u.spool, err = link.OpenSpool(link.SpoolOptions{Dir: filepath.Join(u.dir, "spool"), Origin: who.String()}); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, u.Close())
		}
	}()
	u.client, err = link.NewClient(link.ClientOptions{
		URL: u.hub, TLS: u.creds.ClientTLS(), Source: u.spool, Log: u.log, Down: u.down,
		Before: func(ctx context.Context) error { _, err := u.creds.Renew(ctx, u.hub); return err },
	})
	if err != nil {
		return err
	}
	if u.listen == "" {
		return nil
	}
	u.nodes = link.NewListener(link.ListenerOptions{Ledger: u.spool.Ledger(), Log: u.log})
	u.listener, err = net.Listen("tcp", u.listen)
	if err != nil {
		return fmt.Errorf("listen for nodes on %s: %w", u.listen, err)
	}
	return os.WriteFile(filepath.Join(u.dir, linkFile), []byte(u.listener.Addr().String()+"\n"), 0o600)
}

// down takes what the hub says: rules are the agent's and its nodes'.
func (u *uplink) down(d link.Down) {
	if d.Kind != link.KindRuleFiles {
		u.log.Warn("a message from above is of a kind that this version does not know", "kind", d.Kind)
		return
	}
	var m link.RuleFiles
	if err := json.Unmarshal(d.Bytes, &m); err != nil {
		u.log.Error("rules from above are not understood", "error", err)
		return
	}
	u.agent.Rules(m, u.rules.With)
	if u.nodes == nil {
		return
	}
	if err := u.nodes.SetDownAll(d); err != nil {
		u.log.Error("nodes are not told of new rules", "error", err)
	}
}

// run runs the agent and its links until ctx ends; what was judged last is on disk then.
func (u *uplink) run(ctx context.Context, a *clusterAgent) error {
	u.agent = a.Agent
	group, ctx := errgroup.WithContext(ctx)
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group.Go(func() error {
		err := a.Run(ctx, a.ways...)
		// A last moment to send what is left; what does not go is on disk.
		time.AfterFunc(time.Second, stop)
		return err
	})
	group.Go(func() error { return u.client.Run(sending) })
	if u.nodes != nil {
		group.Go(func() error {
			return link.Serve(ctx, u.listener, link.ServeOptions{Listener: u.nodes, TLS: u.creds.ServerTLS(), Join: u.creds.Forward(u.hub), Log: u.log})
		})
		group.Go(func() error { return link.Relay(ctx, a.FromNodes(u.nodes), u.spool) })
	}
	return group.Wait()
}

// Close ends the spool.
func (u *uplink) Close() error {
	var errs []error
	if u.listener != nil {
		if err := u.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if u.nodes != nil {
		errs = append(errs, u.nodes.Close())
	}
	return errors.Join(append(errs, u.spool.Close())...)
}
