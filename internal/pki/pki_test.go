package pki

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func authority(t *testing.T) (*Tokens, *clock, string) {
	t.Helper()
	dir, c := t.TempDir(), &clock{time.Now()}
	ca, err := OpenCA(dir, c.now)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := OpenTokens(dir, ca)
	if err != nil {
		t.Fatal(err)
	}
	return tokens, c, dir
}

func request(t *testing.T, curve elliptic.Curve) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

var n1 = Identity{Role: RoleNode, Cluster: "c1", Node: "n1"}

func TestTokensWorkOnceInTheirRoleAndTime(t *testing.T) {
	tokens, clock, dir := authority(t)
	tok, end, err := tokens.Issue(RoleNode, "c1", time.Minute)
	if err != nil || end != clock.at.Add(time.Minute).UnixNano() {
		t.Fatal(end, err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, tokenFile)); err != nil || strings.Contains(string(b), tok.Secret) {
		t.Fatalf("the secret itself is kept: %v", err)
	}
	csr, other := request(t, elliptic.P256()), request(t, elliptic.P256())
	cluster := Identity{Role: RoleCluster, Cluster: "c1"}
	for _, tc := range []struct {
		what, text string
		who, via   Identity
		csr        []byte
		want       error
	}{
		{"garbage", "dr1.node.x.y", n1, Identity{}, csr, ErrToken},
		{"another secret", Token{Role: RoleNode, Secret: strings.Repeat("A", 43), CA: tok.CA}.String(), n1, Identity{}, csr, ErrToken},
		{"role changed in the text", strings.Replace(tok.String(), ".node.", ".cluster.", 1), cluster, Identity{}, csr, ErrToken},
		{"as a cluster", tok.String(), cluster, Identity{}, csr, ErrToken},
		{"another cluster", tok.String(), Identity{Role: RoleNode, Cluster: "c2", Node: "n1"}, Identity{}, csr, ErrToken},
		{"through another cluster's agent", tok.String(), n1, Identity{Role: RoleCluster, Cluster: "c2"}, csr, ErrIdentity},
		{"through a node", tok.String(), n1, n1, csr, ErrIdentity},
		{"good", tok.String(), n1, cluster, csr, nil},
		{"the same key again", tok.String(), n1, Identity{}, csr, nil},
		{"the same key, another name", tok.String(), Identity{Role: RoleNode, Cluster: "c1", Node: "n2"}, Identity{}, csr, ErrUsed},
		{"another key", tok.String(), n1, Identity{}, other, ErrUsed},
	} {
		if _, err := tokens.Redeem(tc.text, tc.who, tc.csr, tc.via); !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
			t.Errorf("%s: %v, want %v", tc.what, err, tc.want)
		}
	}
	again, err := OpenTokens(dir, tokens.ca) // after a restart
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Redeem(tok.String(), n1, other, Identity{}); !errors.Is(err, ErrUsed) {
		t.Errorf("after a restart: %v", err)
	}
	late, _, err := tokens.Issue(RoleNode, "c1", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	clock.at = clock.at.Add(time.Minute)
	if _, err := tokens.Redeem(late.String(), n1, other, Identity{}); !errors.Is(err, ErrToken) {
		t.Errorf("past its time: %v", err)
	}
	if _, err := tokens.ca.Sign(request(t, elliptic.P384()), n1); err == nil {
		t.Error("a key of another curve was signed")
	}
}

func TestIdentities(t *testing.T) {
	for _, s := range []string{"hub", "cluster/c1", "node/c1/n1", "node/c1/ip-10.0.0.1_x"} {
		i, err := ParseIdentity(s)
		if err != nil || i.String() != s {
			t.Errorf("%s: %v %v", s, i, err)
		}
	}
	for _, s := range []string{"", "hub/x", "cluster", "cluster/", "node/c1", "node//n", "node/c1/n1/x", "node/c1/..", "node/c1/-a", "node/c1/a b", "admin", "cluster/c1\n", "node/" + strings.Repeat("a", 254) + "/n"} {
		if i, err := ParseIdentity(s); !errors.Is(err, ErrIdentity) {
			t.Errorf("%.80q was taken for %v", s, i)
		}
	}
	c1 := Identity{Role: RoleCluster, Cluster: "c1"}
	for _, tc := range []struct {
		who    Identity
		origin string
		may    bool
	}{
		{n1, "node/c1/n1", true}, {n1, "node/c1/n2", false}, {n1, "cluster/c1", false},
		{c1, "cluster/c1", true}, {c1, "node/c1/n9", true}, {c1, "node/c2/n1", false}, {c1, "cluster/c2", false}, {c1, "node/c1/../x", false}, {c1, "hub", false},
		{Identity{Role: RoleHub}, "hub", false}, {Identity{}, "", false},
	} {
		if got := tc.who.May(tc.origin); got != tc.may {
			t.Errorf("%v as %q: %v", tc.who, tc.origin, got)
		}
	}
}

func TestAKeyThatOthersReadIsRefusedAndALostOneIsNotReplaced(t *testing.T) {
	_, _, dir := authority(t)
	key := filepath.Join(dir, caKeyFile)
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info, err)
	}
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCA(dir, nil); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("%v", err)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCA(dir, nil); err == nil || !strings.Contains(err.Error(), "not its key") {
		t.Errorf("%v", err)
	}
}

// serve listens as a hub does and returns the address.
func serve(t *testing.T, tokens *Tokens) string {
	t.Helper()
	cfg, err := tokens.ca.ServerTLS()
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: tokens.Handler(), TLSConfig: cfg}
	done := make(chan struct{})
	go func() { defer close(done); _ = web.ServeTLS(ln, "", "") }() // ends with Close
	t.Cleanup(func() { web.Close(); <-done })
	return "https://" + ln.Addr().String()
}

func TestJoiningTrustsOnlyTheTokensHubAndRenewsInTime(t *testing.T) {
	tokens, clock, _ := authority(t)
	addr := serve(t, tokens)
	other, _, _ := authority(t)
	tok, _, err := other.Issue(RoleNode, "c1", 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if _, err := Join(ctx, addr, tok.String(), t.TempDir(), n1, clock.now); !errors.Is(err, ErrToken) || !strings.Contains(err.Error(), "not of the hub that made this token") {
		t.Fatalf("joined another hub than the token's: %v", err)
	}
	if tok, _, err = tokens.Issue(RoleNode, "c1", 0); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c, err := Join(ctx, addr, tok.String(), dir, n1, clock.now)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = Join(ctx, addr, "", dir, n1, clock.now); err != nil { // from the directory
		t.Fatal(err)
	}
	if _, err := Load(dir, Identity{Role: RoleNode, Cluster: "c1", Node: "n2"}, clock.now); !errors.Is(err, ErrIdentity) {
		t.Errorf("another's certificate: %v", err)
	}
	if did, err := c.Renew(ctx, addr); did || err != nil {
		t.Fatal(did, err)
	}
	ends := c.Ends()
	clock.at = ends.Add(-CertValid / 4)
	if did, err := c.Renew(ctx, addr); !did || err != nil || !c.Ends().After(ends) {
		t.Fatal(did, err, c.Ends())
	}
	clock.at = c.Ends().Add(time.Second)
	if _, err := Load(dir, n1, clock.now); !errors.Is(err, ErrNotJoined) || !strings.Contains(err.Error(), "join again") {
		t.Errorf("past its end: %v", err)
	}
}
