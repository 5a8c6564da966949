package link

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/internal/pki"
)

// ServeOptions say what Serve serves. Listener and TLS are needed.
type ServeOptions struct {
	Listener *Listener
	TLS      *tls.Config  // of pki: asks callers for their certificate
	Join     http.Handler // joining and renewing; nil = nobody can
	Conns    int          // connections at once; 0 = 4,096
	// Patience is how long a connection may take for its handshake or the head of a request,
	// and how long it may have none; 0 = 10 s.
	Patience time.Duration
	Log      *slog.Logger
}

// Serve takes the link's streams and joins on ln until ctx ends. It is meant to face a
// cluster's network: whoever has no certificate may ask to join and nothing else, and
// who is slow is cut off.
func Serve(ctx context.Context, ln net.Listener, opt ServeOptions) error {
	if opt.Conns <= 0 {
		opt.Conns = 4096
	}
	if opt.Patience <= 0 {
		opt.Patience = 10 * time.Second
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	mux := http.NewServeMux()
	mux.Handle(Path, opt.Listener)
	if opt.Join != nil {
		join := http.TimeoutHandler(opt.Join, time.Minute, `{"error":"it took too long: try again"}`)
		mux.Handle(pki.JoinPath, join)
		mux.Handle(pki.RenewPath, join)
	}
	web := &http.Server{
		Handler: mux, ReadHeaderTimeout: opt.Patience, IdleTimeout: opt.Patience, MaxHeaderBytes: 16 << 10,
		ErrorLog:    slog.NewLogLogger(opt.Log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
		Protocols:   new(http.Protocols),
		HTTP2:       &http.HTTP2Config{MaxConcurrentStreams: 8},
		TLSConfig:   opt.TLS.Clone(),
	}
	web.Protocols.SetHTTP2(true)
	bounded := &boundedListener{Listener: ln, room: make(chan struct{}, opt.Conns), closed: make(chan struct{})}
	stopped := make(chan struct{})
	defer context.AfterFunc(ctx, func() {
		defer close(stopped)
		opt.Listener.hangUp()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if web.Shutdown(stop) != nil {
			web.Close()
		}
	})()
	err := web.ServeTLS(bounded, "", "")
	if errors.Is(err, http.ErrServerClosed) {
		<-stopped
		return nil
	}
	return err
}

// hangUp ends every stream; the listener goes on taking what comes.
func (l *Listener) hangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sessions {
		if s.ack == nil {
			s.end("the other end stops")
		}
	}
}

// boundedListener takes no more connections than it has room for; the others wait in
// the kernel.
type boundedListener struct {
	net.Listener
	room   chan struct{}
	once   sync.Once
	closed chan struct{}
}

func (b *boundedListener) Accept() (net.Conn, error) {
	select {
	case b.room <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.room
		return nil, err
	}
	return &boundedConn{Conn: c, free: sync.OnceFunc(func() { <-b.room })}, nil
}

func (b *boundedListener) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

type boundedConn struct {
	net.Conn
	free func()
}

func (c *boundedConn) Close() error {
	defer c.free()
	return c.Conn.Close()
}
