package server

import (
	"context"
	"errors"
	"time"

	"github.com/dockreeve/dockreeve/server/api"
	"github.com/dockreeve/dockreeve/store"
)

const (
	silenceEvery = 2 * time.Second
	pruneEvery   = 5 * time.Minute
)

// keep does what must happen though nobody asks: notice nodes that fell silent,
// and prune. A store that fails is the intake's matter to report; here it only
// means trying again later.
func (s *Server) keep(ctx context.Context) error {
	reporting := map[string]bool{} // as of the last look; bounded by the store's bound on nodes
	pruned := s.opt.Clock.Now()
	failing := false // said once, not every two seconds
	for {
		ring, stop := s.opt.Clock.After(silenceEvery)
		select {
		case <-ring:
		case <-ctx.Done():
			stop()
			return nil
		}
		err := s.silence(ctx, reporting)
		if errors.Is(err, store.ErrClosed) {
			return nil
		}
		if err != nil && ctx.Err() == nil && !failing {
			s.opt.Log.Error("looking for silent nodes failed, trying again", "error", err)
		}
		failing = err != nil
		if now := s.opt.Clock.Now(); now.Sub(pruned) >= pruneEvery {
			pruned = now
			if _, err := s.opt.DB.Prune(ctx); err != nil && ctx.Err() == nil {
				s.opt.Log.Error("pruning failed", "error", err)
			}
		}
	}
}

func (s *Server) silence(ctx context.Context, reporting map[string]bool) error {
	nodes, err := s.opt.DB.Nodes(ctx)
	if err != nil {
		return err
	}
	now := s.opt.Clock.Now().UnixNano()
	known := make(map[string]bool, len(nodes))
	for i := range nodes {
		n := &nodes[i]
		known[n.Node] = true
		is := api.Reporting(n, now)
		was, seen := reporting[n.Node]
		if !is && (was || !seen) {
			if err := s.opt.DB.Silent(ctx, n.Node); err != nil {
				return err
			}
		}
		reporting[n.Node] = is
	}
	for name := range reporting {
		if !known[name] {
			delete(reporting, name)
		}
	}
	return nil
}
