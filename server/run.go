package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// Run serves until ctx ends or a part fails, then stops the parts in order: no
// new requests, then the intake. It closes the listener but not the store.
func (s *Server) Run(ctx context.Context) error {
	if s.opt.StateDir != "" {
		if err := s.auth.TokenFile(ctx, filepath.Join(s.opt.StateDir, "token")); err != nil {
			s.listener.Close()
			return err
		}
	}
	web := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		TLSConfig:         s.opt.TLS,
		ErrorLog:          slog.NewLogLogger(s.opt.Log.Handler(), slog.LevelDebug),
		Protocols:         new(http.Protocols),
	}
	web.Protocols.SetHTTP1(true)
	web.Protocols.SetHTTP2(true)
	web.Protocols.SetUnencryptedHTTP2(true) // gRPC clients without TLS
	group, ctx := errgroup.WithContext(ctx)
	web.BaseContext = func(net.Listener) context.Context { return ctx } // open streams end with Run
	group.Go(func() error {
		var err error
		if s.opt.TLS != nil {
			err = web.ServeTLS(s.listener, "", "")
		} else {
			err = web.Serve(s.listener)
		}
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return fmt.Errorf("serve %s: %w", s.Addr(), err)
	})
	group.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := web.Shutdown(stop); err != nil {
			return web.Close()
		}
		return nil
	})
	if s.ingest != nil {
		group.Go(func() error { return s.ingest.Run(ctx) })
	}
	if s.opt.Link != nil {
		group.Go(func() error { return s.opt.Link.Run(ctx) })
	}
	group.Go(func() error { return s.images.Run(ctx) })
	group.Go(func() error { return s.govern.Run(ctx) })
	group.Go(func() error { return s.keep(ctx) })
	return group.Wait()
}
