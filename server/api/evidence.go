package api

import (
	"context"
	"encoding/json"
	"errors"

	"connectrpc.com/connect"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
)

// GetEvidence answers what an evidence bundle holds beyond the evaluation.
func (a *API) GetEvidence(ctx context.Context, req *connect.Request[v1.GetEvidenceRequest]) (*connect.Response[v1.GetEvidenceResponse], error) {
	if a.opt.Governance == nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, errors.New("this server evaluates nothing: run dockreeve server"))
	}
	if req.Msg.From < 0 || req.Msg.To <= req.Msg.From {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("from and to: want a period, in Unix nanoseconds"))
	}
	in, err := a.opt.Governance.Evidence(ctx, req.Msg.From, req.Msg.To)
	if err != nil {
		return nil, a.fail(err)
	}
	b, err := json.Marshal(in)
	if err != nil {
		return nil, a.fail(err)
	}
	return connect.NewResponse(&v1.GetEvidenceResponse{FactsJson: string(b)}), nil
}
