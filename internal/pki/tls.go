package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"
)

// renewing holds a certificate and makes the next one when a third of its life is left.
type renewing struct {
	make func() (*tls.Certificate, error)
	now  func() time.Time

	mu   sync.Mutex
	have *tls.Certificate
}

func (r *renewing) get() (*tls.Certificate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.have != nil && !Due(r.have.Leaf, r.now()) {
		return r.have, nil
	}
	c, err := r.make()
	if err != nil {
		return nil, err
	}
	r.have = c
	return c, nil
}

// Due reports whether less than a third of a certificate's life is left.
func Due(c *x509.Certificate, now time.Time) bool {
	return c.NotAfter.Sub(now) < c.NotAfter.Sub(c.NotBefore)/3
}

// serverTLS asks callers for a certificate and checks it where there is one: only
// joining is open to who has none, and the handlers of the rest ask PeerOf.
func serverTLS(pool *x509.CertPool, now func() time.Time, own func() (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool, Time: now,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own() },
		NextProtos:     []string{"h2"},
	}
}

// clientTLS checks the server by the authority and by who it is. Host names are not
// looked at: the authority signs identities, see the package's comment.
func clientTLS(now func() time.Time, check func([]*x509.Certificate) error) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Time: now, NextProtos: []string{"h2"},
		InsecureSkipVerify: true, // VerifyConnection does it instead, also on a resumed connection
		VerifyConnection:   func(cs tls.ConnectionState) error { return check(cs.PeerCertificates) },
	}
}

// checkServer verifies a chain against pool, and that its end is who is wanted.
func checkServer(chain []*x509.Certificate, pool *x509.CertPool, now time.Time, want func(Identity) bool) error {
	if len(chain) == 0 {
		return errors.New("the other end shows no certificate")
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
		return fmt.Errorf("the other end is not of this hub's authority: %w", err)
	}
	who, err := identityOf(chain[0])
	if err != nil {
		return err
	}
	if !want(who) {
		return fmt.Errorf("%w: the other end is %s", ErrIdentity, who)
	}
	return nil
}

// above says whom an identity reports to: a node to the agent of its cluster or to the
// hub, a cluster agent to the hub.
func above(who Identity) func(Identity) bool {
	return func(peer Identity) bool {
		return peer.Role == RoleHub || who.Role == RoleNode && peer.Role == RoleCluster && peer.Cluster == who.Cluster
	}
}
