// Package pki makes and checks the certificates with which roles know each other: a
// certificate authority of one hub, join tokens that work once, and TLS configurations.
//
// Who somebody is stands in the certificate's common name as an Identity, and that is
// what the other end checks, never a host name: the authority signs nothing but
// identities, and an address may change. The authority's key never leaves the hub; a
// cluster agent hands its nodes' requests on. It revokes nothing: certificates last a
// year, and a new authority ends all of them.
package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// The roles.
const (
	RoleHub     = "hub"
	RoleCluster = "cluster"
	RoleNode    = "node"
)

// ErrIdentity says that a name is no identity, or not the one that was wanted.
var ErrIdentity = errors.New("wrong identity")

// maxName bounds a part of an identity, as Kubernetes bounds names.
const maxName = 253

// Identity is who a certificate is for: hub, cluster/NAME or node/CLUSTER/NAME. Its
// text is also the Origin of the envelopes that it sends.
type Identity struct {
	Role    string
	Cluster string // "" for the hub
	Node    string // of a node only
}

// String is the identity's text.
func (i Identity) String() string {
	switch i.Role {
	case RoleCluster:
		return RoleCluster + "/" + i.Cluster
	case RoleNode:
		return RoleNode + "/" + i.Cluster + "/" + i.Node
	}
	return i.Role
}

// Check refuses what could be mistaken for another identity.
func (i Identity) Check() error {
	switch i.Role {
	case RoleHub:
		if i.Cluster == "" && i.Node == "" {
			return nil
		}
	case RoleCluster:
		if i.Node == "" {
			return checkName("cluster", i.Cluster)
		}
	case RoleNode:
		return errors.Join(checkName("cluster", i.Cluster), checkName("node", i.Node))
	}
	return fmt.Errorf("%w: role %.40q with cluster %.80q and node %.80q", ErrIdentity, i.Role, i.Cluster, i.Node)
}

// ParseIdentity reads what String writes. Its errors wrap ErrIdentity.
func ParseIdentity(s string) (Identity, error) {
	if len(s) > 2*maxName+16 {
		return Identity{}, fmt.Errorf("%w: a name of %d bytes", ErrIdentity, len(s))
	}
	part := strings.Split(s, "/")
	i := Identity{Role: part[0]}
	switch len(part) {
	case 1:
	case 2:
		i.Cluster = part[1]
	case 3:
		i.Cluster, i.Node = part[1], part[2]
	default:
		return Identity{}, fmt.Errorf("%w: %.80q", ErrIdentity, s)
	}
	if err := i.Check(); err != nil || i.String() != s {
		return Identity{}, errors.Join(fmt.Errorf("%w: %.80q", ErrIdentity, s), err)
	}
	return i, nil
}

// May reports whether this identity may send in the name of origin: a node in its own
// only, a cluster agent in its own and in those of its nodes.
func (i Identity) May(origin string) bool {
	switch i.Role {
	case RoleNode:
		return origin == i.String()
	case RoleCluster:
		if origin == i.String() {
			return true
		}
		o, err := ParseIdentity(origin)
		return err == nil && o.Role == RoleNode && o.Cluster == i.Cluster
	}
	return false
}

// PeerOf is who the other end of a connection has proven to be.
func PeerOf(cs *tls.ConnectionState) (Identity, error) {
	if cs == nil || len(cs.VerifiedChains) == 0 || len(cs.PeerCertificates) == 0 {
		return Identity{}, fmt.Errorf("%w: no certificate was shown", ErrIdentity)
	}
	return identityOf(cs.PeerCertificates[0])
}

func identityOf(c *x509.Certificate) (Identity, error) {
	if c.IsCA {
		return Identity{}, fmt.Errorf("%w: the certificate of an authority names nobody", ErrIdentity)
	}
	return ParseIdentity(c.Subject.CommonName)
}

// checkName holds names to what is safe in a path, a log line and a screen.
func checkName(what, s string) error {
	if s == "" || len(s) > maxName {
		return fmt.Errorf("%w: %s name has %d bytes, want 1 to %d", ErrIdentity, what, len(s), maxName)
	}
	for n := range len(s) {
		c := s[n]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (n == 0 || c != '-' && c != '.' && c != '_') {
			return fmt.Errorf("%w: %s name %.80q: want letters, digits, and after the first - . _", ErrIdentity, what, s)
		}
	}
	return nil
}
