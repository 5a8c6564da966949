package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/dockreeve/dockreeve/internal/pki"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
)

// Uplink is a node's way to its cluster agent or hub: credentials, a spool on disk and
// a client.
type Uplink struct {
	opt    UplinkOptions
	creds  *pki.Credentials
	spool  *link.Spool
	client *link.Client
	down   func(link.Down)
}

// UplinkOptions say where a node sends what it finds. URL, State, Cluster and Name are
// needed.
type UplinkOptions struct {
	URL     string // https://HOST:PORT of a cluster agent or of the hub
	Token   string // a join token, needed until joined
	State   string // directory of the certificate and the spool
	Cluster string // that this node belongs to
	Name    string // of this node
	Log     *slog.Logger
}

// OpenUplink joins where that was not done yet, and opens the spool: what an earlier
// process did not get through is sent first.
func OpenUplink(ctx context.Context, opt UplinkOptions) (*Uplink, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	who := pki.Identity{Role: pki.RoleNode, Cluster: opt.Cluster, Node: opt.Name}
	if err := who.Check(); err != nil {
		return nil, err
	}
	u := &Uplink{opt: opt}
	var err error
	if u.creds, err = pki.Join(ctx, opt.URL, opt.Token, filepath.Join(opt.State, "link"), who, nil); err != nil {
		if errors.Is(err, pki.ErrNotJoined) {
			return nil, fmt.Errorf("%w: give --join with a token of \"dockreeve join-token --role node --cluster %s\"", err, opt.Cluster)
		}
		return nil, err
	}
	// Lazy: the goroutine that judges events must not wait for a disk at each finding.
	if u.spool, err = link.OpenSpool(link.SpoolOptions{Dir: filepath.Join(opt.State, "spool"), Origin: who.String(), Lazy: true}); err != nil {
		return nil, err
	}
	u.client, err = link.NewClient(link.ClientOptions{
		URL: opt.URL, TLS: u.creds.ClientTLS(), Source: u.spool, Log: opt.Log,
		Down:   func(d link.Down) { u.down(d) },
		Before: func(ctx context.Context) error { _, err := u.creds.Renew(ctx, opt.URL); return err },
	})
	if err != nil {
		return nil, errors.Join(err, u.spool.Close())
	}
	return u, nil
}

// Sender is where the node sends.
func (u *Uplink) Sender() link.Sender { return u.spool }

// Hops are the uplink's counters, for the node's status.
func (u *Uplink) Hops() []link.Hop { return u.spool.Ledger().Hops() }

// Carry runs work and carries what it sends, and gives the node what comes down. After
// work it waits up to patience for the rest to get through; what does not is kept for
// the next start, and left says how much that is.
func (u *Uplink) Carry(n *Node, base RuleSet, patience time.Duration, work func() error) (left int, err error) {
	var ended atomic.Bool
	u.down = func(d link.Down) {
		if !ended.Load() { // rules for a node that ends would only have it answer once more
			u.take(n, base, d)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.client.Run(ctx) }()
	err = work()
	ended.Store(true)
	for end := time.Now().Add(patience); u.pending() > 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	err = errors.Join(err, <-done)
	left = u.pending()
	return left, errors.Join(err, u.spool.Close())
}

func (u *Uplink) pending() int {
	n := 0
	for _, l := range []link.Lane{link.LaneAlert, link.LaneLoss, link.LaneStatus, link.LaneEvent, link.LaneInventory} {
		n += u.spool.Pending(l)
	}
	return n
}

// take hands on what came down. What is not understood is for a newer node.
func (u *Uplink) take(n *Node, base RuleSet, d link.Down) {
	switch d.Kind {
	case link.KindPods:
		var p inventory.PodsFor
		if err := json.Unmarshal(d.Bytes, &p); err != nil {
			u.opt.Log.Error("pods from above are not understood", "err", err)
			return
		}
		n.Pods(p)
	case link.KindRuleFiles:
		var m link.RuleFiles
		if err := json.Unmarshal(d.Bytes, &m); err != nil {
			u.opt.Log.Error("rules from above are not understood", "err", err)
			return
		}
		n.Rules(m, base)
	default:
		u.opt.Log.Warn("a message from above is of a kind that this version does not know", "kind", d.Kind)
	}
}

// uplinkFlags are what --link and its companions say.
type uplinkFlags struct {
	url, token, state, cluster string
}

// options checks the flags and reads the token where it is a file: @FILE keeps it off
// the list of processes.
func (f *uplinkFlags) options(name string, log *slog.Logger) (UplinkOptions, error) {
	if f.cluster == "" {
		return UplinkOptions{}, errors.New("--link needs --cluster: the name of the cluster that this node belongs to")
	}
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return UplinkOptions{}, fmt.Errorf("this host has no name, give it one with --name: %w", err)
		}
		name = host
	}
	token, err := pki.ReadToken(f.token)
	if err != nil {
		return UplinkOptions{}, fmt.Errorf("--join: %w", err)
	}
	return UplinkOptions{URL: f.url, Token: token, State: f.state, Cluster: f.cluster, Name: name, Log: log}, nil
}
