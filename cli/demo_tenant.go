package cli

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/demo/tenant"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/server"
	"github.com/dockreeve/dockreeve/server/governance"
	"github.com/dockreeve/dockreeve/source/azure"
	"github.com/dockreeve/dockreeve/store"
	"github.com/dockreeve/dockreeve/ui"
)

func newDemoTenant() *cobra.Command {
	var o tenantDemo
	var at, out string
	cmd := &cobra.Command{
		Use:   "tenant",
		Short: "Explore governance with a made Azure tenant of 200 clusters",
		Long: `Make a believable Azure tenant that never was, and serve it: subscriptions, clusters, plans,
budgets, a bill of 60 days, alerts, scans, and a few things that went wrong. Nothing is
asked of Azure. With -o it is written to files for the offline commands instead:

  dockreeve demo tenant --state /tmp/made              # then: dockreeve coverage --state /tmp/made
  dockreeve demo tenant -o /tmp/tenant
  dockreeve coverage --snapshot /tmp/tenant/snapshot.json.gz
  dockreeve cost --snapshot /tmp/tenant/snapshot.json.gz --charges /tmp/tenant/focus.csv.gz`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			now := time.Now().UTC()
			if at != "" {
				var err error
				if now, err = time.Parse(time.RFC3339, at); err != nil {
					return withCode(exitUsage, "--at %q: want a time as in 2026-11-26T09:00:00Z", at)
				}
			}
			if o.clusters < 1 || o.clusters > 5000 {
				return withCode(exitUsage, "--clusters %d: want 1 to 5000", o.clusters)
			}
			o.world = tenant.New(tenant.Options{Seed: o.seed, Now: now, Clusters: o.clusters, Subscriptions: o.subscriptions, Resources: o.resources})
			if out != "" {
				return writeTenant(cmd.OutOrStdout(), o.world, out)
			}
			o.log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
			return o.serve(cmd.Context(), cmd.OutOrStdout())
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&out, "output", "o", "", "directory to write the tenant to, instead of serving it")
	fl.StringVar(&o.listen, "listen", "127.0.0.1:0", "address of the console and the API; port 0 takes a free one")
	fl.StringVar(&o.state, "state", "", "directory to keep the database in (default: one that is removed at the end)")
	fl.Int64Var(&o.seed, "seed", 1, "another number makes another tenant")
	fl.IntVar(&o.clusters, "clusters", 200, "how many clusters")
	fl.IntVar(&o.subscriptions, "subscriptions", 0, "how many subscriptions (default: one for five clusters)")
	fl.IntVar(&o.resources, "resources", 0, "how many resources of all types (default: eight for each cluster)")
	fl.StringVar(&at, "at", "", "when the tenant is looked at, RFC 3339 (default: now)")
	return cmd
}

// writeTenant writes what Azure would tell and the bill.
func writeTenant(w io.Writer, world *tenant.World, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return withCode(exitFailed, "%w", err)
	}
	snapshot, bill := filepath.Join(dir, "snapshot.json.gz"), filepath.Join(dir, "focus.csv.gz")
	zipped := func(path string, write func(io.Writer) error) error {
		return toFile(nil, path, func(w io.Writer) error {
			z := gzip.NewWriter(w)
			return errors.Join(write(z), z.Close())
		})
	}
	if err := zipped(snapshot, func(w io.Writer) error { return tenantSnapshot(w, world) }); err != nil {
		return withCode(exitFailed, "%w", err)
	}
	if err := zipped(bill, func(w io.Writer) error { return cost.WriteFOCUS(w, slices.Values(world.Charges())) }); err != nil {
		return withCode(exitFailed, "%w", err)
	}
	fmt.Fprintf(w, "%s\n%s\n\nTry: dockreeve coverage --snapshot %s --at %s\n", snapshot, bill, snapshot, world.Now().Format(time.RFC3339))
	return nil
}

func tenantSnapshot(w io.Writer, world *tenant.World) error {
	out, err := azure.NewWriter(w, azure.Head{Tenant: world.TenantID(), Name: "demo", Source: "demo", Started: world.Now().UnixNano()})
	if err != nil {
		return err
	}
	if err := world.Records(out.Write); err != nil {
		return err
	}
	return out.Close(world.Now())
}

// tenantDemo is a hub over a made tenant.
type tenantDemo struct {
	listen, state                      string
	seed                               int64
	clusters, subscriptions, resources int
	world                              *tenant.World
	log                                *slog.Logger
}

// serve fills a hub with the world and serves it until ctx ends.
func (o *tenantDemo) serve(ctx context.Context, w io.Writer) (err error) {
	sparingly()
	state := o.state
	if state == "" {
		if state, err = os.MkdirTemp("", "dockreeve-tenant-*"); err != nil {
			return withCode(exitFailed, "%w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(state)) }()
	} else if err := os.MkdirAll(state, 0o700); err != nil {
		return withCode(exitFailed, "%w", err)
	}
	path := filepath.Join(state, "dockreeve.db")
	if _, err := os.Stat(path); err == nil {
		return withCode(exitUsage, "%s holds a database already: a made tenant must not be mixed with a real one", state)
	}
	db, err := store.Open(ctx, store.Options{Path: path})
	if err != nil {
		return withCode(exitFailed, "%w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	ledger := &link.Ledger{}
	pipe := link.NewPipe(link.PipeOptions{Ledger: ledger})
	facts := &tenantFacts{now: o.world.Now().UnixNano()}
	opt := governance.Options{Dir: filepath.Join(state, "azure"), AuditLoses: auditLoses(), Prices: o.world.Prices(), Amend: facts.amend, Every: 24 * time.Hour}
	s, err := server.New(server.Options{DB: db, Receiver: pipe, Ledger: ledger, UI: ui.Handler(), Version: version, Listen: o.listen, StateDir: state, Log: o.log, Governance: opt})
	if err != nil {
		return withCode(exitFailed, "%w", err)
	}
	if err := os.WriteFile(filepath.Join(state, addressFile), []byte(s.URL()+"\n"), 0o600); err != nil {
		return withCode(exitFailed, "%w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.Run(ctx) })
	group.Go(func() error {
		fmt.Fprintf(w, "Making a tenant of %d clusters; this takes half a minute or so…\n", o.clusters)
		if err := o.fill(ctx, db, s, pipe, facts); err != nil {
			return fmt.Errorf("fill the demo: %w", err)
		}
		signIn, err := s.SignInURL(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "\nA made tenant; nothing of it is real, and nothing is asked of Azure.\n\n  console   %s/governance\n  sign in   %s\n            (works once, for ten minutes; \"dockreeve login --state %s\" prints another)\n  commands  dockreeve coverage --state %s (and so cost, posture, report…)\n\nStop with Ctrl-C. What is in it to find:\n", s.URL(), signIn, state, state)
		for _, story := range o.world.Stories() {
			fmt.Fprintf(w, "  %s: %s\n", story.Name, story.Text)
		}
		o.world = nil // what it was made from need not stay in memory while it is looked at
		return nil
	})
	if err := group.Wait(); err != nil && ctx.Err() == nil {
		return withCode(exitFailed, "%w", err)
	}
	return nil
}

// tenantFacts is what agents, scans, people and earlier days would have told of the world.
type tenantFacts struct {
	now     int64         // the world's: its time stands still
	known   *govern.Known // nil until the world is there
	history []govern.Day
}

// amend puts the world's facts in the place of the store's, which has none.
func (f *tenantFacts) amend(k *govern.Known) {
	if f.known == nil {
		return
	}
	k.Now = f.now
	k.Observed, k.Clusters, k.Images, k.Alerts, k.Gates = f.known.Observed, f.known.Clusters, f.known.Images, f.known.Alerts, f.known.Gates
	for i := range k.Reviews {
		k.Reviews[i].At = min(k.Reviews[i].At, k.Now) // the world's time stands still: what is recorded in it happens now
	}
	k.History = f.history
	k.Money.Usage = f.known.Money.Usage
}

// fill makes the hub know the world.
func (o *tenantDemo) fill(ctx context.Context, db *store.DB, s *server.Server, pipe *link.Pipe, facts *tenantFacts) error {
	w := o.world
	k := &govern.Known{Clusters: w.Clusters(), Money: &cost.Input{Usage: w.Usage()}}
	k.Observed, k.Images, k.Alerts, k.Gates, k.Reviews = w.Observed(), w.Images(), w.Alerts(), w.Gates(), w.Reviews()
	facts.history = w.History()
	facts.known = k
	if err := db.SetGovDays(ctx, facts.history); err != nil {
		return err
	}
	for _, r := range k.Reviews {
		if err := db.AddReview(ctx, r); err != nil {
			return err
		}
	}
	if err := sendAlerts(ctx, pipe, k.Alerts); err != nil {
		return err
	}
	bills, out := io.Pipe()
	go func() { out.CloseWithError(chargeLines(out, w)) }()
	if _, err := s.Governance().SubmitCharges(ctx, bills, true); err != nil {
		return err
	}
	snapshot, into := io.Pipe()
	go func() { into.CloseWithError(tenantSnapshot(into, w)) }()
	if _, err := s.Governance().Submit(ctx, snapshot); err != nil {
		return err
	}
	_, err := s.Governance().Reevaluate(ctx)
	return err
}

func chargeLines(w io.Writer, world *tenant.World) error {
	buf := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(buf)
	if err := world.EachCharge(func(c cost.Charge) error { return enc.Encode(&c) }); err != nil {
		return err
	}
	return buf.Flush()
}

// sendAlerts sends the alerts of Dockreeve's own agents on the link, as they would.
func sendAlerts(ctx context.Context, pipe *link.Pipe, facts *govern.AlertFacts) error {
	if facts == nil {
		return nil
	}
	for i := range facts.Alerts {
		a := &facts.Alerts[i]
		if a.Source != "dockreeve" {
			continue // they come with the snapshot
		}
		rule := finding.Rule{ID: a.Rule, Name: a.Title, Hash: "demo", Desc: "Made for the demo.", Tactics: a.Tactics, Tags: []string{"demo"}}
		if a.Miner {
			rule.Techniques = []string{"T1496"}
		}
		for _, at := range slices.Compact([]int64{a.First, a.Last}) { // it began with the first, and was seen until the last
			f := &finding.Finding{ID: finding.ID("demo", a.ID, strconv.FormatInt(at, 10)), Fingerprint: finding.Fingerprint(a.Rule, a.Cluster+"/"+a.Workload, "", ""), Severity: a.Severity, Summary: a.Title, Output: a.Title,
				Time: at, Received: at, Event: []byte("{}"), EventIDs: []string{a.ID}, Rule: rule,
				Subject: finding.Subject{Node: "demo", Cluster: a.Cluster, Workload: a.Workload, Owner: a.Owner}}
			b, err := json.Marshal(f)
			if err != nil {
				return err
			}
			if err := pipe.Send(ctx, link.LaneAlert, link.KindFinding, b); err != nil {
				return err
			}
		}
	}
	return nil
}
