package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"connectrpc.com/connect"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/api/dockreeve/v1/dockreevev1connect"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/server/governance"
)

// Bounds of what is handed in.
const (
	maxPiece   = 1 << 20 // bytes of one piece of a stream
	maxTenants = 2       // snapshots and bills taken in at once
	maxScope   = 1024
	maxReview  = 4096
	maxDue     = 2 * 366 * 24 * time.Hour
)

// maxGovernance is how many bytes a stream to a path may have; 0 = it is none of these. A
// piece may come as base64.
func maxGovernance(path string) int64 {
	switch path {
	case dockreevev1connect.GovernanceServiceSubmitSnapshotProcedure:
		return governance.MaxSnapshot/3*4 + 64<<20
	case dockreevev1connect.GovernanceServiceSubmitChargesProcedure:
		return governance.MaxCharges/3*4 + 64<<20
	}
	return 0
}

func (a *API) noGovernance() error {
	return connect.NewError(connect.CodeUnimplemented, errors.New("this server evaluates no governance: hand it to one that dockreeve server or dockreeve up started"))
}

// AddReview records that somebody looked.
func (a *API) AddReview(ctx context.Context, req *connect.Request[v1.AddReviewRequest]) (*connect.Response[v1.AddReviewResponse], error) {
	m := req.Msg
	now := a.now()
	subjects := []string{govern.ReviewRecommendations, govern.ReviewExemptions, govern.ReviewSuppressions, govern.ReviewAccess, govern.ReviewRules}
	invalid := func(format string, args ...any) error {
		return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf(format, args...))
	}
	switch {
	case !slices.Contains(subjects, m.Subject):
		return nil, invalid("subject %.40q: want one of %s", m.Subject, strings.Join(subjects, ", "))
	case len(m.Scope) > maxScope || strings.ContainsFunc(m.Scope, func(r rune) bool { return r < ' ' }):
		return nil, invalid("scope: an ARM id, a cluster or an owner of at most %d bytes; empty is everything", maxScope)
	case len(m.Note) > maxReview || !utf8.ValidString(m.Note):
		return nil, invalid("note: at most %d bytes", maxReview)
	case m.NextDue != 0 && (m.NextDue <= now || m.NextDue > now+int64(maxDue)):
		return nil, invalid("next_due: Unix nanoseconds within two years from now; 0 leaves it to the configuration")
	}
	var id [16]byte
	rand.Read(id[:])
	r := govern.Review{ID: hex.EncodeToString(id[:]), Subject: m.Subject, Scope: m.Scope, By: a.opt.Who(ctx), At: now, NextDue: m.NextDue, Note: m.Note}
	var err error
	if r.Items, err = a.openItems(ctx, r.Subject, r.Scope); err != nil {
		return nil, a.fail(err)
	}
	if err := a.opt.DB.AddReview(ctx, r); err != nil {
		return nil, a.fail(err)
	}
	if a.opt.Governance != nil {
		a.opt.Governance.Changed()
	}
	b, err := json.Marshal(&r)
	if err != nil {
		return nil, a.fail(err)
	}
	return connect.NewResponse(&v1.AddReviewResponse{ReviewJson: text(string(b))}), nil
}

// taking limits how many streams are taken in at once.
func (a *API) taking() (done func(), err error) {
	select {
	case a.tenants <- struct{}{}:
		return func() { <-a.tenants }, nil
	default:
		return nil, connect.NewError(connect.CodeResourceExhausted, errors.New("other snapshots or bills are being taken in: try again when they are done"))
	}
}

// pieces reads a stream of pieces as bytes. Each must come within the limit of one read; the
// whole may take as long as it takes.
type pieces struct {
	ctx  context.Context
	next func() ([]byte, bool)
	err  func() error
	rest []byte
}

func (p *pieces) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		if rc, ok := p.ctx.Value(connKey{}).(*http.ResponseController); ok {
			rc.SetReadDeadline(time.Now().Add(readLimit)) // a writer that has none, as tests use, goes without
		}
		data, ok := p.next()
		if !ok {
			if err := p.err(); err != nil {
				return 0, err
			}
			return 0, io.EOF
		}
		p.rest = data
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// answered gives the answer to a long stream its time.
func answered(ctx context.Context) {
	if rc, ok := ctx.Value(connKey{}).(*http.ResponseController); ok {
		rc.SetReadDeadline(time.Time{})
		rc.SetWriteDeadline(time.Now().Add(evaluateLimit))
	}
}

// evaluateLimit is how long an evaluation and its answer may take.
const evaluateLimit = 10 * time.Minute

// SubmitSnapshot takes a snapshot in the place of the one before.
func (a *API) SubmitSnapshot(ctx context.Context, stream *connect.ClientStream[v1.SubmitSnapshotRequest]) (*connect.Response[v1.SubmitSnapshotResponse], error) {
	if a.opt.Governance == nil {
		return nil, a.noGovernance()
	}
	done, err := a.taking()
	if err != nil {
		return nil, err
	}
	defer done()
	r := &pieces{ctx: ctx, err: stream.Err, next: func() ([]byte, bool) {
		if !stream.Receive() {
			answered(ctx)
			return nil, false
		}
		answered(ctx)
		return stream.Msg().Data, true
	}}
	s, err := a.opt.Governance.Submit(ctx, r)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.SubmitSnapshotResponse{Records: int64(s.Records), Clusters: int64(s.Clusters), Subscriptions: int64(s.Subscriptions), Evaluated: s.Evaluated}
	for i := range s.Gaps {
		out.Gaps = append(out.Gaps, inventoryGap(&s.Gaps[i]))
	}
	return connect.NewResponse(out), nil
}

// SubmitCharges takes rows of a bill.
func (a *API) SubmitCharges(ctx context.Context, stream *connect.ClientStream[v1.SubmitChargesRequest]) (*connect.Response[v1.SubmitChargesResponse], error) {
	if a.opt.Governance == nil {
		return nil, a.noGovernance()
	}
	done, err := a.taking()
	if err != nil {
		return nil, err
	}
	defer done()
	if !stream.Receive() {
		if err := stream.Err(); err != nil {
			return nil, err
		}
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("the stream is empty: want lines of charges as JSON"))
	}
	first := slices.Clone(stream.Msg().Data)
	replace := stream.Msg().ReplaceDays
	r := &pieces{ctx: ctx, err: stream.Err, rest: first, next: func() ([]byte, bool) {
		if !stream.Receive() {
			answered(ctx)
			return nil, false
		}
		answered(ctx)
		return stream.Msg().Data, true
	}}
	d, err := a.opt.Governance.SubmitCharges(ctx, r, replace)
	if err != nil {
		return nil, a.fail(err)
	}
	return connect.NewResponse(&v1.SubmitChargesResponse{Rows: int64(d.Rows), Stored: int64(d.Stored), Bad: int64(d.Bad), Days: d.Days}), nil
}

// Reevaluate judges everything again, now.
func (a *API) Reevaluate(ctx context.Context, _ *connect.Request[v1.ReevaluateRequest]) (*connect.Response[v1.ReevaluateResponse], error) {
	if a.opt.Governance == nil {
		return nil, a.noGovernance()
	}
	answered(ctx)
	e, err := a.opt.Governance.Reevaluate(ctx)
	if err != nil {
		return nil, a.fail(err)
	}
	return connect.NewResponse(&v1.ReevaluateResponse{At: e.At, TookMs: e.Took.Milliseconds()}), nil
}
