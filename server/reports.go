package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/report"
	"github.com/dockreeve/dockreeve/store"
)

// reports serves documents of the current evaluation, to whoever is signed in.
func (s *Server) reports() http.Handler {
	mux := http.NewServeMux()
	turn := make(chan struct{}, reportsAtOnce)
	for _, format := range report.Formats() {
		mux.HandleFunc("GET /reports/playbook."+format, s.document(turn, "playbook."+format, func(ctx context.Context, w io.Writer) error {
			if format == "json" {
				ev, err := s.govern.Stored(ctx, store.GovRecommendation, store.GovFinding)
				if err != nil {
					return err
				}
				return report.Playbook(w, format, ev, report.Options{Version: s.opt.Version})
			}
			ev, rest, err := s.govern.StoredFirst(ctx, report.Top)
			if err != nil {
				return err
			}
			return report.Playbook(w, format, ev, report.Options{Version: s.opt.Version, Rest: rest})
		}))
	}
	mux.HandleFunc("GET /reports/clusters.csv", s.document(turn, "clusters.csv", func(ctx context.Context, w io.Writer) error {
		return report.ClusterRows(w, s.govern.StoredClusters(ctx))
	}))
	mux.HandleFunc("GET /reports/showback.csv", s.document(turn, "showback.csv", func(ctx context.Context, w io.Writer) error {
		costs, err := s.govern.StoredShowback(ctx)
		if err != nil {
			return err
		}
		return cost.WriteShowback(w, costs, cost.ShowbackCSV)
	}))
	mux.HandleFunc("GET /reports/focus.csv", s.focus)
	return mux
}

// reportPatience bounds the making of one document, and the wait for its turn.
const reportPatience = time.Minute

// reportsAtOnce is how many documents are made at a time: each holds much for a moment.
const reportsAtOnce = 2

var errTurn = errors.New("too many reports are being made")

// document makes a document whole before the first byte is sent, so that an error is one.
func (s *Server) document(turn chan struct{}, name string, write func(context.Context, io.Writer) error) http.HandlerFunc {
	kinds := map[string]string{"html": "text/html; charset=utf-8", "pdf": "application/pdf", "csv": "text/csv; charset=utf-8", "md": "text/markdown; charset=utf-8", "json": "application/json"}
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), reportPatience)
		defer cancel()
		var b bytes.Buffer
		err := errTurn
		select {
		case turn <- struct{}{}:
			err = write(ctx, &b)
			<-turn
		case <-ctx.Done():
		}
		if err != nil {
			s.noDocument(w, err)
			return
		}
		ext := name[bytes.LastIndexByte([]byte(name), '.')+1:]
		w.Header().Set("Content-Type", kinds[ext])
		w.Header().Set("Cache-Control", "no-store")
		if ext != "html" {
			w.Header().Set("Content-Disposition", `attachment; filename="dockreeve-`+name+`"`)
		} else { // it brings its styles along and needs nothing else
			w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'")
		}
		_, _ = w.Write(b.Bytes()) // the browser is gone: nobody to tell
	}
}

func (s *Server) noDocument(w http.ResponseWriter, err error) {
	if errors.Is(err, store.ErrNotFound) {
		http.Error(w, "nothing was evaluated yet: hand a snapshot in with \"dockreeve azure import\", or wait for the first evaluation", http.StatusNotFound)
		return
	}
	if errors.Is(err, errTurn) {
		http.Error(w, "too many reports are being made at once: try again", http.StatusServiceUnavailable)
		return
	}
	s.opt.Log.Error("a report could not be made", "error", err)
	http.Error(w, "the report could not be made: the server's log says why", http.StatusInternalServerError)
}

// focus streams the charges that are kept as FOCUS 1.2.
func (s *Server) focus(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Disposition", `attachment; filename="dockreeve-focus.csv"`)
	if err := s.govern.WriteFOCUS(r.Context(), w); err != nil {
		s.opt.Log.Error("the bill could not be written", "error", err)
		panic(http.ErrAbortHandler) // a bill that ends early must not look whole
	}
}
