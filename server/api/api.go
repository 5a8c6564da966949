// Package api answers the calls of the contract api/dockreeve/v1 from the store.
// It promises that a count is never given without what stands behind it, that
// cursors are opaque, and that every error says what to do. It judges nothing,
// and knows nothing of sign-in: the handler around it must let in only those who may.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"connectrpc.com/connect"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/api/dockreeve/v1/dockreevev1connect"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/internal/clock"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/query"
	"github.com/dockreeve/dockreeve/server/governance"
	"github.com/dockreeve/dockreeve/server/images"
	"github.com/dockreeve/dockreeve/server/ingest"
	"github.com/dockreeve/dockreeve/store"
)

// Options say what the API answers from. DB is needed.
type Options struct {
	DB     *store.DB
	Ingest *ingest.Ingest // nil = nothing comes in here, and status says so
	Images *images.Images // nil = images are only shown, and status says so
	// Governance evaluates; nil = what is stored is only shown, and status says so.
	Governance *governance.Governance
	Version    string
	Who        func(context.Context) string // the signed-in name; nil = "unknown"
	// JoinToken makes a token with which a cluster's agent or a node joins once; nil = this
	// server takes nothing in from other machines.
	JoinToken func(ctx context.Context, role, cluster string, ttl time.Duration) (token string, expires time.Time, caHash string, err error)
	Clock     clock.Clock  // nil means the machine's
	Log       *slog.Logger // nil means nowhere
	// MaxWatchers bounds the change streams open at once; 0 = 256.
	MaxWatchers int
}

// API implements the services. Safe for concurrent use.
type API struct {
	opt     Options
	watches chan struct{} // one token per open stream
	submits chan struct{} // one token per scan being taken in
	tenants chan struct{} // one token per snapshot or bill being taken in
}

var (
	_ dockreevev1connect.AlertServiceHandler  = (*API)(nil)
	_ dockreevev1connect.ChangeServiceHandler = (*API)(nil)
	_ dockreevev1connect.StatusServiceHandler = (*API)(nil)
)

// MaxRequest bounds the bytes of one request.
const MaxRequest = 256 << 10

// New returns the services.
func New(opt Options) *API {
	if opt.Clock == nil {
		opt.Clock = clock.Real{}
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Who == nil {
		opt.Who = func(context.Context) string { return "unknown" }
	}
	if opt.MaxWatchers <= 0 {
		opt.MaxWatchers = 256
	}
	return &API{opt: opt, watches: make(chan struct{}, opt.MaxWatchers), submits: make(chan struct{}, maxSubmits), tenants: make(chan struct{}, maxTenants)}
}

// Paths are the prefixes under which Register puts the services.
func (a *API) Paths() []string {
	return []string{"/" + dockreevev1connect.AlertServiceName + "/", "/" + dockreevev1connect.ChangeServiceName + "/", "/" + dockreevev1connect.StatusServiceName + "/",
		"/" + dockreevev1connect.ImageServiceName + "/", "/" + dockreevev1connect.ClusterServiceName + "/",
		"/" + dockreevev1connect.GovernanceServiceName + "/"}
}

// Register puts the services on mux, under Paths.
func (a *API) Register(mux *http.ServeMux) {
	opts := []connect.HandlerOption{
		connect.WithReadMaxBytes(MaxRequest),
		connect.WithRecover(func(_ context.Context, s connect.Spec, _ http.Header, r any) error {
			a.opt.Log.Error("panic in a call", "procedure", s.Procedure, "panic", r)
			return connect.NewError(connect.CodeInternal, errors.New("the server failed at this call; its log says more"))
		}),
	}
	mux.Handle(dockreevev1connect.NewAlertServiceHandler(a, opts...))
	mux.Handle(dockreevev1connect.NewChangeServiceHandler(a, opts...))
	mux.Handle(dockreevev1connect.NewStatusServiceHandler(a, opts...))
	mux.Handle(dockreevev1connect.NewClusterServiceHandler(a, opts...))
	mux.Handle(dockreevev1connect.NewGovernanceServiceHandler(a, append(opts, connect.WithReadMaxBytes(maxPiece+4096))...))
	mux.Handle(dockreevev1connect.NewImageServiceHandler(a, append(opts, connect.WithReadMaxBytes(MaxScan+4096))...))
}

// fail gives an error its code. What is the caller's doing is told whole; what is
// ours is logged, and told when it says what to do.
func (a *API) fail(err error) error {
	var q *query.Error
	code := connect.CodeInternal
	switch {
	case errors.As(err, &q), errors.Is(err, store.ErrCursor), errors.Is(err, store.ErrOrder), errors.Is(err, store.ErrImageOrder), errors.Is(err, store.ErrLimit),
		errors.Is(err, store.ErrGovKind), errors.Is(err, governance.ErrSnapshot), errors.Is(err, governance.ErrCharges):
		code = connect.CodeInvalidArgument
	case errors.Is(err, store.ErrNotFound):
		code = connect.CodeNotFound
	case errors.Is(err, finding.ErrTransition):
		code = connect.CodeFailedPrecondition
	case errors.Is(err, store.ErrFull):
		code = connect.CodeResourceExhausted
	case errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrBusy):
		code = connect.CodeUnavailable
	case errors.Is(err, store.ErrCorrupt):
		code = connect.CodeDataLoss
	case errors.Is(err, context.Canceled):
		code = connect.CodeCanceled
	case errors.Is(err, context.DeadlineExceeded):
		code = connect.CodeDeadlineExceeded
	}
	if code == connect.CodeInternal || code == connect.CodeDataLoss {
		a.opt.Log.Error("call failed", "error", err)
	}
	return connect.NewError(code, err)
}

// ListAlerts answers one page.
func (a *API) ListAlerts(ctx context.Context, req *connect.Request[v1.ListAlertsRequest]) (*connect.Response[v1.ListAlertsResponse], error) {
	filter, err := query.Parse(store.AlertFields(), req.Msg.Filter)
	if err != nil {
		return nil, a.fail(err)
	}
	now := a.opt.Clock.Now().UnixNano()
	page, err := a.opt.DB.Alerts(ctx, store.AlertQuery{Filter: filter, Order: req.Msg.Order, Limit: int(req.Msg.PageSize), Cursor: req.Msg.Cursor, Now: now})
	if err != nil {
		return nil, a.fail(err)
	}
	cover, err := a.coverage(ctx, now)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.ListAlertsResponse{NextCursor: page.Next, Total: page.Total, TotalAll: page.TotalAll, ChangeSeq: page.Seq, Watched: cover.watched}
	for i := range page.Alerts {
		out.Alerts = append(out.Alerts, alertOf(&page.Alerts[i]))
	}
	return connect.NewResponse(out), nil
}

// GetAlert answers one alert whole.
func (a *API) GetAlert(ctx context.Context, req *connect.Request[v1.GetAlertRequest]) (*connect.Response[v1.GetAlertResponse], error) {
	d, err := a.opt.DB.Alert(ctx, req.Msg.Id)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.GetAlertResponse{Alert: detailOf(&d), ChangeSeq: d.Seq}
	// The condition as written is not part of a finding; a node that still has
	// the same rule can tell it.
	sets, err := a.opt.DB.RuleSets(ctx)
	if err != nil {
		return nil, a.fail(err)
	}
	if r := findRule(sets, d.Latest.Rule.ID, d.Latest.Rule.Hash); r != nil {
		out.Alert.Rule.Condition = r.Condition
		out.Alert.Rule.Enabled = r.Enabled
		out.Alert.Rule.NotAssessed = r.NotAssessed
	}
	return connect.NewResponse(out), nil
}

func findRule(sets []link.RuleSet, id, hash string) *link.Rule {
	for i := range sets {
		for j := range sets[i].Rules {
			if r := &sets[i].Rules[j]; r.ID == id && r.Hash == hash {
				return r
			}
		}
	}
	return nil
}

// ListOccurrences answers what is kept of an alert's occurrences.
func (a *API) ListOccurrences(ctx context.Context, req *connect.Request[v1.ListOccurrencesRequest]) (*connect.Response[v1.ListOccurrencesResponse], error) {
	list, next, err := a.opt.DB.Occurrences(ctx, req.Msg.AlertId, int(req.Msg.PageSize), req.Msg.Cursor)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.ListOccurrencesResponse{NextCursor: next}
	for _, o := range list {
		out.Occurrences = append(out.Occurrences, &v1.Occurrence{FindingId: o.FindingID, Time: o.Time, StoredAt: o.StoredAt, Summary: o.Summary, Cmdline: o.Cmdline})
	}
	return connect.NewResponse(out), nil
}

// maxWhy bounds the reason of a status change, in bytes.
const maxWhy = 4096

// SetAlertStatus moves alerts, all of them or none.
func (a *API) SetAlertStatus(ctx context.Context, req *connect.Request[v1.SetAlertStatusRequest]) (*connect.Response[v1.SetAlertStatusResponse], error) {
	to := finding.Status(req.Msg.Status)
	if req.Msg.Status < 0 || req.Msg.Status > 255 || !to.Valid() {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("status: want ALERT_STATUS_OPEN, ALERT_STATUS_ACKNOWLEDGED, ALERT_STATUS_RESOLVED or ALERT_STATUS_DISMISSED"))
	}
	if len(req.Msg.Why) > maxWhy {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("why: at most 4096 bytes"))
	}
	list, err := a.opt.DB.SetStatus(ctx, req.Msg.Ids, to, a.opt.Who(ctx), req.Msg.Why)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.SetAlertStatusResponse{}
	for i := range list {
		out.Alerts = append(out.Alerts, alertOf(&list[i]))
	}
	return connect.NewResponse(out), nil
}

// Stream timing. A beat tells a dead client from a quiet server; a write that
// takes longer than the deadline ends the stream.
const (
	beat          = 15 * time.Second
	writeDeadline = 30 * time.Second
	watchPage     = 500
)

// Watch streams changes until the client goes.
func (a *API) Watch(ctx context.Context, req *connect.Request[v1.WatchRequest], stream *connect.ServerStream[v1.WatchResponse]) error {
	select {
	case a.watches <- struct{}{}:
		defer func() { <-a.watches }()
	default:
		return connect.NewError(connect.CodeResourceExhausted, errors.New("too many open change streams: close one, or ask again later"))
	}
	lift(ctx)
	send := func(m *v1.WatchResponse) error {
		extend(ctx)
		return stream.Send(m)
	}
	since := req.Msg.SinceSeq
	if since == 0 {
		since = a.opt.DB.Seq()
	}
	if err := send(&v1.WatchResponse{Seq: since}); err != nil {
		return err
	}
	for {
		changed := a.opt.DB.Changed()
		list, reset, err := a.opt.DB.Changes(ctx, since, watchPage)
		if err != nil {
			return a.fail(err)
		}
		switch {
		case reset:
			since = a.opt.DB.Seq()
			if err := send(&v1.WatchResponse{Seq: since, Reset_: true}); err != nil {
				return err
			}
			continue
		case len(list) > 0:
			m := &v1.WatchResponse{}
			for _, c := range list {
				m.Changes = append(m.Changes, &v1.Change{Seq: c.Seq, Kind: c.Kind, Id: c.ID})
			}
			since = list[len(list)-1].Seq
			m.Seq = since
			if err := send(m); err != nil {
				return err
			}
			continue
		}
		ring, stop := a.opt.Clock.After(beat)
		select {
		case <-changed:
		case <-ring:
			if err := send(&v1.WatchResponse{Seq: since}); err != nil {
				return err
			}
		case <-ctx.Done():
			stop()
			return nil
		}
		stop()
	}
}

type connKey struct{}

// Limits of one request on the network. They are real time: sockets know no other.
const (
	readLimit  = 30 * time.Second
	writeLimit = 2 * time.Minute
)

// WithDeadlines ends requests that come in or are read too slowly. The change
// stream lifts them: it has its own, message by message.
func WithDeadlines(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		now := time.Now()
		// A writer that has no deadlines, as tests use, simply goes without.
		rc.SetReadDeadline(now.Add(readLimit))
		rc.SetWriteDeadline(now.Add(writeLimit))
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), connKey{}, rc)))
	})
}

// lift takes the limit off reading: the request is read, and the connection is
// watched only for its end.
func lift(ctx context.Context) {
	if rc, ok := ctx.Value(connKey{}).(*http.ResponseController); ok {
		rc.SetReadDeadline(time.Time{})
	}
}

func extend(ctx context.Context) {
	if rc, ok := ctx.Value(connKey{}).(*http.ResponseController); ok {
		rc.SetWriteDeadline(time.Now().Add(writeDeadline))
	}
}
