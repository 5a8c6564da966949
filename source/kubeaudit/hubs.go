package kubeaudit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// HubsOptions say which event hub to read, through the Kafka endpoint of its namespace
// (Standard tier or above), and as whom. Any Kafka 1.0 or newer will do.
type HubsOptions struct {
	// ConnectionString is of the namespace or the hub, with the right to listen. It gives
	// Brokers and, with EntityPath, Topics where these are not set. It is a secret.
	ConnectionString string
	// Token returns an Entra access token for https://NAMESPACE.servicebus.windows.net/ in
	// the place of a connection string. It is called for each connection: cache in it.
	Token func(context.Context) (string, error)

	Brokers []string // host:port; NAMESPACE.servicebus.windows.net:9093
	Topics  []string // event hubs
	Group   string   // consumer group; "" = $Default, which nothing else should then use
	AtEnd   bool     // a group without offsets begins with what comes from now on, not with what is kept

	TLS       *tls.Config // nil = the system's authorities
	Plaintext bool        // no TLS: for a broker on this machine only
}

// Hubs reads event hubs as a member of a consumer group. The hub itself keeps where the
// group stands: an offset is committed only after the handler has taken every event up to
// it, so that a restart loses nothing, and what was not committed comes again under the
// same ids.
type Hubs struct {
	in  *Intake
	opt []kgo.Opt

	mu      sync.Mutex
	revoked map[string]map[int32]bool // since the last poll
}

// Hubs returns a way in for event hubs. Its hop is named hubs. The error says what is
// missing of the options; nothing is connected before Run.
func (in *Intake) Hubs(opt HubsOptions) (*Hubs, error) {
	h := &Hubs{in: in}
	var mechanism sasl.Mechanism
	if opt.ConnectionString != "" {
		c, err := parseConnection(opt.ConnectionString)
		if err != nil {
			return nil, err
		}
		if len(opt.Brokers) == 0 {
			opt.Brokers = []string{c.host + ":9093"}
		}
		if len(opt.Topics) == 0 && c.entity != "" {
			opt.Topics = []string{c.entity}
		}
		mechanism = plain.Auth{User: "$ConnectionString", Pass: opt.ConnectionString}.AsMechanism()
	}
	if opt.Token != nil {
		if mechanism != nil {
			return nil, errors.New("event hubs: both a connection string and a token are set: want one")
		}
		mechanism = oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
			t, err := opt.Token(ctx)
			return oauth.Auth{Token: t}, err
		})
	}
	switch {
	case len(opt.Brokers) == 0:
		return nil, errors.New("event hubs: no broker: want NAMESPACE.servicebus.windows.net:9093, or a connection string")
	case len(opt.Topics) == 0:
		return nil, errors.New("event hubs: no event hub is named: want Topics, or EntityPath in the connection string")
	case opt.Plaintext && mechanism != nil && !local(opt.Brokers):
		return nil, errors.New("event hubs: without TLS the credentials would cross the network in the clear")
	}
	if opt.Group == "" {
		opt.Group = "$Default"
	}
	start := kgo.NewOffset().AtStart()
	if opt.AtEnd {
		start = kgo.NewOffset().AtEnd()
	}
	h.opt = []kgo.Opt{
		kgo.SeedBrokers(opt.Brokers...),
		kgo.ConsumeTopics(opt.Topics...),
		kgo.ConsumerGroup(opt.Group),
		kgo.ClientID("dockreeve"),
		kgo.ConsumeStartOffset(start),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // what is read again is a repeat; what is skipped is lost
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.FetchMaxBytes(8 << 20),
		kgo.FetchMaxPartitionBytes(2 << 20),
		kgo.BrokerMaxReadBytes(64 << 20),
		kgo.OnPartitionsRevoked(h.gone),
		kgo.OnPartitionsLost(h.gone),
		kgo.WithHooks(hubHooks{in}),
		kgo.WithLogger(hubLog{in.opt.Log}),
	}
	if mechanism != nil {
		h.opt = append(h.opt, kgo.SASL(mechanism))
	}
	if !opt.Plaintext {
		c := opt.TLS
		if c == nil {
			c = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		h.opt = append(h.opt, kgo.DialTLSConfig(c))
	}
	return h, nil
}

// local reports whether all brokers are on this machine.
func local(brokers []string) bool {
	for _, b := range brokers {
		if !strings.HasPrefix(b, "127.") && !strings.HasPrefix(b, "localhost:") && !strings.HasPrefix(b, "[::1]:") {
			return false
		}
	}
	return true
}

type connection struct{ host, entity string }

// parseConnection reads an Azure connection string. Its errors do not repeat it.
func parseConnection(s string) (c connection, err error) {
	var key bool
	for _, part := range strings.Split(s, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch strings.ToLower(name) {
		case "endpoint":
			c.host = strings.Trim(strings.TrimPrefix(value, "sb://"), "/")
			c.host, _, _ = strings.Cut(c.host, ":")
		case "entitypath":
			c.entity = value
		case "sharedaccesskey", "sharedaccesssignature":
			key = value != ""
		}
	}
	switch {
	case c.host == "" || !clusterName(c.host):
		return c, errors.New("event hubs: the connection string has no Endpoint=sb://NAMESPACE.servicebus.windows.net/")
	case !key:
		return c, errors.New("event hubs: the connection string has neither SharedAccessKey nor SharedAccessSignature")
	}
	return c, nil
}

// gone notes partitions that went to another member.
func (h *Hubs) gone(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for topic, list := range parts {
		for _, p := range list {
			if h.revoked[topic] == nil {
				h.revoked[topic] = map[int32]bool{}
			}
			h.revoked[topic][p] = true
		}
	}
}

func (h *Hubs) mine(r *kgo.Record) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.revoked[r.Topic][r.Partition]
}

// pollMax bounds how many messages are under way.
const pollMax = 200

// Run reads until ctx is done, whose error it returns. Troubles of the network, the
// brokers and the credentials are counted and logged, and tried again for as long as it
// takes.
func (h *Hubs) Run(ctx context.Context) error {
	h.revoked = map[string]map[int32]bool{}
	cl, err := kgo.NewClient(h.opt...)
	if err != nil {
		return fmt.Errorf("event hubs: %w", err)
	}
	defer cl.CloseAllowingRebalance()
	b := h.in.batch("hubs")
	next := map[string]map[int32]int64{} // the offset expected next: what is skipped was lost at the hub
	for {
		fetches := cl.PollRecords(ctx, pollMax)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		h.mu.Lock()
		for topic, parts := range h.revoked {
			for p := range parts {
				delete(next[topic], p)
			}
		}
		clear(h.revoked)
		h.mu.Unlock()
		failed := false
		fetches.EachError(func(topic string, p int32, err error) {
			failed = true
			h.trouble(b, topic, p, err)
		})
		taken, err := h.takeAll(ctx, cl, b, fetches.RecordIter(), next)
		if len(taken) > 0 {
			if err := h.commit(ctx, cl, taken); err != nil {
				h.in.trouble("hubs", "commit", err) // they come again, under the same ids
			}
		}
		if err != nil {
			return err
		}
		cl.AllowRebalance()
		if failed && len(taken) == 0 {
			if err := h.in.wait(ctx, time.Second); err != nil {
				return err
			}
		}
	}
}

// takeAll hands on what one poll brought and returns what the handler has taken of it,
// also when there is an error.
func (h *Hubs) takeAll(ctx context.Context, cl *kgo.Client, b *batch, it *kgo.FetchesRecordIter, next map[string]map[int32]int64) (taken []*kgo.Record, err error) {
	committed := cl.CommittedOffsets()
	for !it.Done() {
		r := it.Next()
		if !h.mine(r) {
			continue
		}
		want, known := next[r.Topic][r.Partition]
		if !known {
			if o, ok := committed[r.Topic][r.Partition]; ok && o.Offset > 0 {
				want, known = o.Offset, true
			}
		}
		gap := uint64(0)
		if known && r.Offset > want {
			gap = uint64(r.Offset - want)
		}
		ok, err := h.take(ctx, cl, b, r, gap)
		if ok {
			if next[r.Topic] == nil {
				next[r.Topic] = map[int32]int64{}
			}
			next[r.Topic][r.Partition] = r.Offset + 1
			taken = append(taken, r)
		}
		if err != nil {
			return taken, err
		}
	}
	return taken, nil
}

// take hands on one message. While the handler cannot take it, other members may have
// the partition: then it reports false and lets go of it.
func (h *Hubs) take(ctx context.Context, cl *kgo.Client, b *batch, r *kgo.Record, gap uint64) (bool, error) {
	src := Source{Way: "hubs", Cluster: h.in.opt.Cluster}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := b.message(ctx, r.Value, src)
		if err == nil {
			if gap > 0 {
				b.loseN("hub_gap", gap)
			}
			ctx, cancel := lastly(ctx) // the losses belong to what is committed
			defer cancel()
			return true, b.done(ctx)
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		h.in.trouble("hubs", "handler", err)
		cl.AllowRebalance()
		if err := h.in.wait(ctx, wait); err != nil {
			return false, err
		}
		if !h.mine(r) {
			return false, nil
		}
	}
}

// commit keeps where the group stands, for the partitions that are still ours. It does so
// also when the process is about to end, so that what was handed on does not come again.
func (h *Hubs) commit(ctx context.Context, cl *kgo.Client, taken []*kgo.Record) error {
	still := taken[:0]
	for _, r := range taken {
		if h.mine(r) {
			still = append(still, r)
		}
	}
	ctx, cancel := lastly(ctx)
	defer cancel()
	return cl.CommitRecords(ctx, still...)
}

// lastly is a context for what is done although the process ends.
func lastly(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
}

// trouble sorts an error of a fetch.
func (h *Hubs) trouble(b *batch, topic string, p int32, err error) {
	var loss *kgo.ErrDataLoss
	var session *kgo.ErrGroupSession
	reason := "broker"
	switch {
	case errors.As(err, &loss):
		reason = "hub_reset" // what is missing shows as a gap of offsets
	case errors.As(err, &session):
		reason = "group"
	case isAuth(err):
		reason = "auth"
	}
	h.in.trouble("hubs", reason, fmt.Errorf("event hub %s, partition %d: %w", topic, p, err))
}

func isAuth(err error) bool {
	for _, e := range []error{kerr.SaslAuthenticationFailed, kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// hubHooks counts what the client lives through without telling.
type hubHooks struct{ in *Intake }

var (
	_ kgo.HookBrokerThrottle   = hubHooks{}
	_ kgo.HookBrokerConnect    = hubHooks{}
	_ kgo.HookGroupManageError = hubHooks{}
)

// OnBrokerThrottle counts that the hub told us to slow down: too few throughput units.
func (h hubHooks) OnBrokerThrottle(_ kgo.BrokerMetadata, d time.Duration, _ bool) {
	h.in.trouble("hubs", "throttled", fmt.Errorf("the event hub asks to wait %s: more throughput units may be needed", d))
}

// OnBrokerConnect counts failed connections, those refused for the credentials among them.
func (h hubHooks) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil {
		h.in.trouble("hubs", "connect", fmt.Errorf("broker %s: %w", meta.Host, err))
	}
}

// OnGroupManageError counts that the group could not be joined.
func (h hubHooks) OnGroupManageError(err error) {
	reason := "group"
	if isAuth(err) {
		reason = "auth"
	}
	h.in.trouble("hubs", reason, err)
}

// hubLog brings the client's own warnings to our log, where they are rare.
type hubLog struct{ log *slog.Logger }

func (hubLog) Level() kgo.LogLevel { return kgo.LogLevelError }

func (l hubLog) Log(_ kgo.LogLevel, msg string, keyvals ...any) {
	l.log.Debug("event hubs: "+msg, keyvals...)
}
