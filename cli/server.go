package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/server"
	"github.com/dockreeve/dockreeve/server/governance"
	"github.com/dockreeve/dockreeve/server/images"
	"github.com/dockreeve/dockreeve/store"
	"github.com/dockreeve/dockreeve/ui"
)

// defaultLink is where a server listens for cluster agents and nodes.
const defaultLink = ":7371"

func newServer() *cobra.Command {
	var o serverOptions
	var img imageFlags
	var hub governFlags
	var verbose bool
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run the hub: store, API and console for the clusters and nodes that join it",
		Long: `Run the hub alone: the store, the API and the console, for cluster agents and nodes that
join it over the network. It watches nothing itself.

Who joins needs a token of "dockreeve join-token", once. What joined proves who it is by
a certificate of this server's own authority, which is made at the first start and kept
in the state directory; so is the server's own. The console listens on the loopback
address only, unless --allow-remote says otherwise. docs/clusters.md walks through it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			level := slog.LevelWarn
			if verbose {
				level = slog.LevelDebug
			}
			o.log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
			if (o.cert == "") != (o.key == "") {
				return withCode(exitUsage, "--tls-cert and --tls-key go together")
			}
			if o.images, err = img.options(o.state, false); err != nil {
				return err
			}
			if o.governance, err = hub.options(o.state); err != nil {
				return err
			}
			if err := runServer(cmd.Context(), cmd.OutOrStdout(), &o); err != nil {
				return withCode(exitFailed, "%w", err)
			}
			return nil
		},
	}
	img.flags(cmd)
	hub.flags(cmd)
	fl := cmd.Flags()
	fl.StringVar(&o.listen, "listen", server.DefaultListen, "address of the console and the API; port 0 takes a free one")
	fl.StringVar(&o.linkListen, "link-listen", defaultLink, "address for cluster agents and nodes, host:port")
	fl.StringArrayVar(&o.push, "push-rules", nil, "rule file or directory that all cluster agents and nodes run beside their own; read again when it changes (may be repeated)")
	fl.StringVar(&o.state, "state", defaultState(), "directory of the database, the token and the authority")
	fl.BoolVar(&o.remote, "allow-remote", false, "let --listen be more than this machine")
	fl.StringSliceVar(&o.hosts, "host", nil, "further name that the console is called by, with its port (may be repeated)")
	fl.StringVar(&o.cert, "tls-cert", "", "certificate of the console and the API, PEM")
	fl.StringVar(&o.key, "tls-key", "", "its key, PEM")
	fl.BoolVarP(&verbose, "verbose", "v", false, "log what is going on")
	return cmd
}

// serverOptions say what `server` runs.
type serverOptions struct {
	listen, linkListen, state string
	remote                    bool
	hosts, push               []string
	cert, key                 string
	images                    images.Options
	governance                governance.Options
	log                       *slog.Logger
}

// hubRoom is how much memory the collector of a hub may let grow over what is in use, in
// percent, unless GOGC says otherwise. What a hub holds between evaluations is small
// beside what one needs for a moment; Go's own 100 would keep as much again for it.
const hubRoom = 50

// sparingly makes the collector of this process keep to hubRoom.
func sparingly() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(hubRoom)
	}
}

// runServer serves until ctx ends.
func runServer(ctx context.Context, out io.Writer, o *serverOptions) (err error) {
	sparingly()
	var tlsConfig *tls.Config
	if o.cert != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return fmt.Errorf("--tls-cert and --tls-key: %w", err)
		}
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	}
	db, err := store.Open(ctx, store.Options{Path: filepath.Join(o.state, "dockreeve.db")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	ledger := &link.Ledger{}
	l, err := server.OpenLink(server.LinkOptions{Listen: o.linkListen, StateDir: o.state, Ledger: ledger, Log: o.log, Rules: pushing(o.push)})
	if err != nil {
		return err
	}
	s, err := server.New(server.Options{
		DB: db, Link: l, Ledger: ledger, UI: ui.Handler(), Version: version, Listen: o.listen, AllowRemote: o.remote, Hosts: o.hosts,
		TLS: tlsConfig, StateDir: o.state, Log: o.log, Images: o.images, Governance: o.governance,
	})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if err := os.WriteFile(filepath.Join(o.state, addressFile), []byte(s.URL()+"\n"), 0o600); err != nil {
		return errors.Join(err, l.Close())
	}
	if err := os.WriteFile(filepath.Join(o.state, linkFile), []byte(l.Addr().String()+"\n"), 0o600); err != nil {
		return errors.Join(err, l.Close())
	}
	signIn, err := s.SignInURL(ctx)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	fmt.Fprintf(out, "Dockreeve server %s\n\n  console   %s\n  sign in   %s\n            (works once, for ten minutes; \"dockreeve login\" prints another)\n  link      %s, for cluster agents and nodes; \"dockreeve join-token\" lets one in\n  state     %s\n  images    %s\n",
		version, s.URL(), signIn, l.Addr(), o.state, advisories(&o.images))
	return s.Run(ctx)
}

// linkFile is where a server leaves the address it listens on for the link.
const linkFile = "link-address"
