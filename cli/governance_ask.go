package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"connectrpc.com/connect"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/posture"
)

// pieceBytes is how much of a file goes in one message.
const pieceBytes = 256 << 10

// ask fetches the server's evaluation, whole.
func (f *tenantFlags) ask(ctx context.Context) (*judged, error) {
	c, err := f.to.dial()
	if err != nil {
		return nil, err
	}
	res, err := c.governance.GetGovernance(ctx, connect.NewRequest(&v1.GetGovernanceRequest{}))
	if err != nil {
		return nil, f.to.explain(err)
	}
	if res.Msg.EvaluationJson == "" {
		return nil, withCode(exitData, "the server has evaluated nothing yet: %s\n%s", res.Msg.NotAssessed, res.Msg.Remedy)
	}
	j := &judged{ev: &govern.Evaluation{}, in: &govern.Input{}, from: c.url}
	if err := json.Unmarshal([]byte(res.Msg.EvaluationJson), j.ev); err != nil {
		return nil, withCode(exitFailed, "the server's evaluation: %w", err)
	}
	for _, err := range []error{
		everyItem(ctx, c, "cluster", &j.ev.Clusters), everyItem(ctx, c, "subscription", &j.ev.Subscriptions),
		everyItem(ctx, c, "recommendation", &j.ev.Recommendations), everyItem(ctx, c, "finding", &j.ev.Findings),
	} {
		if err != nil {
			return nil, f.to.explain(err)
		}
	}
	money, err := c.governance.GetCost(ctx, connect.NewRequest(&v1.GetCostRequest{}))
	if err != nil {
		return nil, f.to.explain(err)
	}
	if money.Msg.ReportJson != "" {
		j.in.Costs = &cost.Report{}
		if err := json.Unmarshal([]byte(money.Msg.ReportJson), j.in.Costs); err != nil {
			return nil, withCode(exitFailed, "the server's costs: %w", err)
		}
	}
	j.in.Now = j.ev.At
	return j, nil
}

// clusterCost fetches the money of one cluster, which the server's report leaves out.
func (f *tenantFlags) clusterCost(ctx context.Context, id string) (*cost.ClusterCost, error) {
	c, err := f.to.dial()
	if err != nil {
		return nil, err
	}
	res, err := c.governance.GetGovernanceCluster(ctx, connect.NewRequest(&v1.GetGovernanceClusterRequest{Id: id}))
	if err != nil {
		return nil, f.to.explain(err)
	}
	out := &cost.ClusterCost{}
	if res.Msg.CostJson == "" {
		return out, nil
	}
	if err := json.Unmarshal([]byte(res.Msg.CostJson), out); err != nil {
		return nil, withCode(exitFailed, "the server's costs of %s: %w", id, err)
	}
	return out, nil
}

// results fetches verdicts of controls that fit a filter.
func (f *tenantFlags) results(ctx context.Context) ([]posture.Result, error) {
	c, err := f.to.dial()
	if err != nil {
		return nil, err
	}
	var out []posture.Result
	if err := everyItem(ctx, c, "result", &out); err != nil {
		return nil, f.to.explain(err)
	}
	return out, nil
}

// everyItem reads all pages of a list.
func everyItem[T any](ctx context.Context, c *clients, kind string, into *[]T) error {
	*into = nil
	for cursor := ""; ; {
		res, err := c.governance.ListGovernance(ctx, connect.NewRequest(&v1.ListGovernanceRequest{Kind: kind, PageSize: 500, Cursor: cursor}))
		if err != nil {
			return err
		}
		for _, item := range res.Msg.Items {
			var v T
			if err := json.Unmarshal([]byte(item.DocJson), &v); err != nil {
				return fmt.Errorf("%s %s: %w", kind, item.Key, err)
			}
			*into = append(*into, v)
		}
		if cursor = res.Msg.NextCursor; cursor == "" {
			return nil
		}
	}
}

// pieces sends a reader in messages.
func pieces(r io.Reader, send func([]byte) error) error {
	buf := make([]byte, pieceBytes)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if err := send(bytes.Clone(buf[:n])); err != nil && !errors.Is(err, io.EOF) { // its reason comes with the answer
				return err
			} else if err != nil {
				return nil
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func submitSnapshot(ctx context.Context, c *clients, r io.Reader) (*v1.SubmitSnapshotResponse, error) {
	stream := c.governance.SubmitSnapshot(ctx)
	if err := pieces(r, func(b []byte) error { return stream.Send(&v1.SubmitSnapshotRequest{Data: b}) }); err != nil {
		return nil, err
	}
	res, err := stream.CloseAndReceive()
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}

// submitCharges sends charges as lines of JSON.
func submitCharges(ctx context.Context, c *clients, charges *cost.Bill) (*v1.SubmitChargesResponse, error) {
	stream := c.governance.SubmitCharges(ctx)
	var buf bytes.Buffer
	flush := func() error {
		if buf.Len() == 0 {
			return nil
		}
		err := stream.Send(&v1.SubmitChargesRequest{Data: bytes.Clone(buf.Bytes()), ReplaceDays: true})
		buf.Reset()
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	enc := json.NewEncoder(&buf)
	for charge := range charges.All() {
		if err := enc.Encode(&charge); err != nil {
			return nil, err
		}
		if buf.Len() >= pieceBytes {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	if err := flush(); err != nil {
		return nil, err
	}
	res, err := stream.CloseAndReceive()
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}
