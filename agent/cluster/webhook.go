package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/source/kubeaudit"
)

// WebhookOptions say where the API server's audit webhook calls.
type WebhookOptions struct {
	Listen string   // host:port
	Hosts  []string // names and addresses that the API server calls it by; none = the host of Listen
	Dir    string   // where its certificate, token and the API server's kubeconfig are kept
	// ClientCA and ClientName let the API server prove itself with a certificate (PEM file
	// of its authority, common name) in the place of the token.
	ClientCA, ClientName string
}

// Files of WebhookOptions.Dir. The kubeconfig is what --audit-webhook-config-file of the
// API server takes; it holds the token.
const (
	hookCert       = "tls.crt"
	hookKey        = "tls.key"
	hookToken      = "token"
	HookKubeconfig = "kubeconfig"
)

// Webhook listens for the API server. It is a Way.
type Webhook struct {
	listener net.Listener
	server   *http.Server
	url      string
}

// Webhook takes the address and makes what is not there yet: a certificate of its own, a
// token, and the kubeconfig for the API server.
func (a *Agent) Webhook(opt WebhookOptions) (*Webhook, error) {
	host, _, err := net.SplitHostPort(opt.Listen)
	if err != nil {
		return nil, fmt.Errorf("audit webhook: listen address %q: want host:port: %w", opt.Listen, err)
	}
	if len(opt.Hosts) == 0 {
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			return nil, fmt.Errorf("audit webhook: %s is every address: say by which name the API server calls it (--audit-webhook-host)", opt.Listen)
		}
		opt.Hosts = []string{host}
	}
	if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("audit webhook: %w", err)
	}
	cert, err := ownCertificate(opt.Dir, opt.Hosts, a.opt.Clock.Now())
	if err != nil {
		return nil, fmt.Errorf("audit webhook: %w", err)
	}
	caller := kubeaudit.Caller{Cluster: a.opt.Name}
	conf := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if opt.ClientCA != "" {
		b, err := os.ReadFile(opt.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("audit webhook: authority of the API server: %w", err)
		}
		conf.ClientCAs = x509.NewCertPool()
		if !conf.ClientCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("audit webhook: %s holds no certificate", opt.ClientCA)
		}
		if opt.ClientName == "" {
			return nil, errors.New("audit webhook: an authority without the common name of the API server's certificate would let in everybody it knows: give the name too")
		}
		conf.ClientAuth, caller.CommonName = tls.RequireAndVerifyClientCert, opt.ClientName
	} else if caller.Token, err = ownToken(filepath.Join(opt.Dir, hookToken)); err != nil {
		return nil, fmt.Errorf("audit webhook: %w", err)
	}
	handler, err := a.intake.Webhook(kubeaudit.WebhookOptions{Callers: []kubeaudit.Caller{caller}})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", opt.Listen)
	if err != nil {
		return nil, fmt.Errorf("audit webhook: listen on %s: %w", opt.Listen, err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String()) // a TCP listener's address always splits
	w := &Webhook{listener: tls.NewListener(l, conf), url: "https://" + net.JoinHostPort(opt.Hosts[0], port) + "/audit/" + a.opt.Name}
	w.server = &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 5 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(a.opt.Log.Handler(), slog.LevelDebug),
	}
	if err := writeWhole(filepath.Join(opt.Dir, HookKubeconfig), []byte(w.kubeconfig(cert, caller)), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("audit webhook: %w", err), l.Close())
	}
	a.Way("webhook")
	return w, nil
}

// URL is what the API server calls.
func (w *Webhook) URL() string { return w.url }

// Run serves until ctx ends; what is being taken in then is finished.
func (w *Webhook) Run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- w.server.Serve(w.listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("audit webhook: %w", err)
	case <-ctx.Done():
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := w.server.Shutdown(stop); err != nil {
			return w.server.Close()
		}
		return nil
	}
}

func (w *Webhook) kubeconfig(cert tls.Certificate, caller kubeaudit.Caller) string {
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}))
	user := "{token: " + caller.Token + "}"
	if caller.Token == "" {
		user = "{client-certificate: /path/to/its.crt, client-key: /path/to/its.key}"
	}
	return `# For the API server: --audit-webhook-config-file. It holds a secret.
apiVersion: v1
kind: Config
clusters:
- name: dockreeve
  cluster: {server: "` + w.url + `", certificate-authority-data: ` + ca + `}
users:
- name: api-server
  user: ` + user + `
contexts:
- name: dockreeve
  context: {cluster: dockreeve, user: api-server}
current-context: dockreeve
`
}

// ownCertificate reads the certificate of a directory; where there is none, or one for
// other hosts or near its end, it makes one that is its own authority.
func ownCertificate(dir string, hosts []string, now time.Time) (tls.Certificate, error) {
	certFile, keyFile := filepath.Join(dir, hookCert), filepath.Join(dir, hookKey)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	switch {
	case err == nil:
		leaf, err := x509.ParseCertificate(cert.Certificate[0])
		if err != nil {
			return cert, err
		}
		known := func(h string) bool { return leaf.VerifyHostname(h) == nil }
		if now.Add(30*24*time.Hour).Before(leaf.NotAfter) && !slices.ContainsFunc(hosts, func(h string) bool { return !known(h) }) {
			return cert, nil
		}
	case !errors.Is(err, fs.ErrNotExist):
		return cert, fmt.Errorf("%s: %w: remove it and %s to have new ones made", certFile, err, keyFile)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return cert, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return cert, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Dockreeve audit webhook"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(2, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return cert, err
	}
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return cert, err
	}
	if err := writeWhole(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k}), 0o600); err != nil {
		return cert, err
	}
	if err := writeWhole(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return cert, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

func ownToken(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	token := rand.Text() + rand.Text()
	return token, writeWhole(file, []byte(token+"\n"), 0o600)
}

// writeWhole writes a file whole or not at all.
func writeWhole(file string, b []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
