// Hook is what the lab's API server talks to: a receiver of its audit webhook, which
// writes one audit event a line, and a validating admission webhook, which refuses
// objects with the label dockreeve.lab/deny=webhook. It is for labs only: it bounds
// nothing but the size of a request and keeps nothing but the files.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
)

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "hook:", err)
		os.Exit(1)
	}
}

func serve() error {
	addr := flag.String("addr", "127.0.0.1:9099", "address to listen on")
	cert := flag.String("cert", "", "certificate file")
	key := flag.String("key", "", "key file")
	ca := flag.String("client-ca", "", "file of the CA whose clients may use /audit; empty = anybody")
	audit := flag.String("audit", "", "file for audit events, one a line")
	reviews := flag.String("reviews", "", "file for admission requests, one a line")
	flag.Parse()
	a, err := newLines(*audit)
	if err != nil {
		return err
	}
	r, err := newLines(*reviews)
	if err != nil {
		return err
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if *ca != "" {
		pem, err := os.ReadFile(*ca)
		if err != nil {
			return err
		}
		conf.ClientCAs = x509.NewCertPool()
		if !conf.ClientCAs.AppendCertsFromPEM(pem) {
			return errors.New("no certificate in " + *ca)
		}
		conf.ClientAuth = tls.VerifyClientCertIfGiven
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/audit", func(w http.ResponseWriter, req *http.Request) {
		if *ca != "" && len(req.TLS.VerifiedChains) == 0 {
			http.Error(w, "a client certificate is required", http.StatusUnauthorized)
			return
		}
		var list struct {
			Items []json.RawMessage `json:"items"`
		}
		if !read(w, req, 64<<20, &list) {
			return
		}
		if err := a.add(list.Items...); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("/validate", func(w http.ResponseWriter, req *http.Request) {
		var review struct {
			APIVersion string          `json:"apiVersion"`
			Kind       string          `json:"kind"`
			Request    json.RawMessage `json:"request"`
		}
		if !read(w, req, 8<<20, &review) {
			return
		}
		var asked struct {
			UID    string `json:"uid"`
			Object struct {
				Metadata struct {
					Labels map[string]string `json:"labels"`
				} `json:"metadata"`
			} `json:"object"`
		}
		if err := json.Unmarshal(review.Request, &asked); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := r.add(review.Request); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer := map[string]any{"uid": asked.UID, "allowed": true}
		if asked.Object.Metadata.Labels["dockreeve.lab/deny"] == "webhook" {
			answer["allowed"] = false
			answer["status"] = map[string]any{"code": 403, "message": "refused by the lab's webhook"}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": review.APIVersion, "kind": review.Kind, "response": answer})
	})
	s := &http.Server{Addr: *addr, Handler: mux, TLSConfig: conf}
	return s.ListenAndServeTLS(*cert, *key)
}

func read(w http.ResponseWriter, req *http.Request, most int64, into any) bool {
	if err := json.NewDecoder(io.LimitReader(req.Body, most)).Decode(into); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

// lines is a file of one JSON value a line.
type lines struct {
	mu sync.Mutex
	f  *os.File
}

func newLines(path string) (*lines, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &lines{f: f}, nil
}

func (l *lines) add(values ...json.RawMessage) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range values {
		if _, err := l.f.Write(append(v, '\n')); err != nil {
			return err
		}
	}
	return nil
}
