package pki

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Errors of tokens. Callers test with errors.Is.
var (
	// ErrToken says that a token is none, is not known, or is past its time.
	ErrToken = errors.New("join token is not valid")
	// ErrUsed says that somebody has joined with the token already.
	ErrUsed = errors.New("join token was used already")
)

// Bounds of tokens.
const (
	DefaultTTL = time.Hour
	MaxTTL     = 30 * 24 * time.Hour
	maxTokens  = 1000
	tokenFile  = "tokens.json"
	tokenMark  = "dr1"
)

// Token is a join token's parts: dr1.ROLE.SECRET.HASH.
type Token struct {
	Role   string
	Secret string // 32 bytes, base64url
	CA     string // SHA-256 of the authority's certificate in hex: what the joiner trusts
}

// String is the token as it is handed over.
func (t Token) String() string { return strings.Join([]string{tokenMark, t.Role, t.Secret, t.CA}, ".") }

// ParseToken takes a token apart. Errors wrap ErrToken and never hold the secret.
func ParseToken(s string) (Token, error) {
	part := strings.Split(strings.TrimSpace(s), ".")
	if len(part) != 4 || part[0] != tokenMark {
		return Token{}, fmt.Errorf("%w: want %s.ROLE.SECRET.HASH, as \"dockreeve join-token\" prints it", ErrToken, tokenMark)
	}
	t := Token{Role: part[1], Secret: part[2], CA: part[3]}
	secret, err := base64.RawURLEncoding.Strict().DecodeString(t.Secret)
	if err != nil || len(secret) != 32 {
		return Token{}, fmt.Errorf("%w: its secret is cut or altered: copy it whole", ErrToken)
	}
	if sum, err := hex.DecodeString(t.CA); err != nil || len(sum) != sha256.Size || strings.ToLower(t.CA) != t.CA {
		return Token{}, fmt.Errorf("%w: its hash is cut or altered: copy it whole", ErrToken)
	}
	if t.Role != RoleCluster && t.Role != RoleNode {
		return Token{}, fmt.Errorf("%w: role %.40q: want %s or %s", ErrToken, t.Role, RoleCluster, RoleNode)
	}
	return t, nil
}

// issued is what is kept of a token: never its secret.
type issued struct {
	Hash    string `json:"hash"` // of the secret
	Role    string `json:"role"`
	Cluster string `json:"cluster,omitempty"` // that alone may be joined; "" = any
	Expires int64  `json:"expires"`           // Unix nanoseconds
	UsedBy  string `json:"usedBy,omitempty"`  // identity and hash of the key that joined
}

// Tokens are the join tokens of one authority, kept in a file beside it. Safe for
// concurrent use within one process.
type Tokens struct {
	ca   *CA
	path string

	mu   sync.Mutex
	list []issued
}

// OpenTokens reads the tokens of an authority's directory.
func OpenTokens(dir string, ca *CA) (*Tokens, error) {
	t := &Tokens{ca: ca, path: filepath.Join(dir, tokenFile)}
	b, err := readFile(t.path, true)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return nil, fmt.Errorf("join tokens: %w", err)
	}
	if err := json.Unmarshal(b, &t.list); err != nil {
		return nil, fmt.Errorf("join tokens: %s: %w: remove it, and issue new tokens", t.path, err)
	}
	return t, nil
}

// Issue makes a token with which one cluster agent or node joins. ttl zero means
// DefaultTTL. A node's token names the cluster; a cluster's may. It returns the text
// and when it ends, Unix nanoseconds.
func (t *Tokens) Issue(role, cluster string, ttl time.Duration) (Token, int64, error) {
	if ttl == 0 {
		ttl = DefaultTTL
	}
	if ttl < 0 || ttl > MaxTTL {
		return Token{}, 0, fmt.Errorf("join token for %v: want up to %v", ttl, MaxTTL)
	}
	switch {
	case role != RoleCluster && role != RoleNode:
		return Token{}, 0, fmt.Errorf("%w: role %.40q: want %s or %s", ErrIdentity, role, RoleCluster, RoleNode)
	case role == RoleNode && cluster == "":
		return Token{}, 0, fmt.Errorf("%w: a node's token names the cluster that the node belongs to", ErrIdentity)
	case cluster != "":
		if err := checkName("cluster", cluster); err != nil {
			return Token{}, 0, err
		}
	}
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return Token{}, 0, err
	}
	tok := Token{Role: role, Secret: base64.RawURLEncoding.EncodeToString(secret[:]), CA: t.ca.Hash()}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.ca.now()
	list := make([]issued, 0, len(t.list)+1)
	for _, one := range t.list {
		if one.Expires > now.UnixNano() {
			list = append(list, one)
		}
	}
	if len(list) >= maxTokens {
		return Token{}, 0, fmt.Errorf("%d join tokens are open: wait until some have ended", len(list))
	}
	one := issued{Hash: hashSecret(tok.Secret), Role: role, Cluster: cluster, Expires: now.Add(ttl).UnixNano()}
	if err := t.save(append(list, one)); err != nil {
		return Token{}, 0, err
	}
	return tok, one.Expires, nil
}

// Redeem signs a request with a token's right. It works once; the same key may ask
// again for the same name until the token ends, for the answer may have been lost on
// its way. via is the cluster agent that handed the request on; the zero value means
// that nobody did.
func (t *Tokens) Redeem(text string, who Identity, csrPEM []byte, via Identity) ([]byte, error) {
	tok, err := ParseToken(text)
	if err != nil {
		return nil, err
	}
	csr, err := parseCSR(csrPEM)
	if err != nil {
		return nil, err
	}
	if err := who.Check(); err != nil {
		return nil, err
	}
	if via.Role != "" && (via.Role != RoleCluster || who.Role != RoleNode || via.Cluster != who.Cluster) {
		return nil, fmt.Errorf("%w: %s does not speak for %s", ErrIdentity, via, who)
	}
	key := sha256.Sum256(csr.RawSubjectPublicKeyInfo)
	by := who.String() + " " + hex.EncodeToString(key[:])
	hash := hashSecret(tok.Secret)
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, one := range t.list {
		if one.Hash != hash {
			continue
		}
		switch {
		case one.Expires <= t.ca.now().UnixNano():
			return nil, fmt.Errorf("%w: its time is over", ErrToken)
		case one.Role != tok.Role || one.Role != who.Role:
			return nil, fmt.Errorf("%w: it is for a %s, not for a %s", ErrToken, one.Role, who.Role)
		case one.Cluster != "" && one.Cluster != who.Cluster:
			return nil, fmt.Errorf("%w: it is for cluster %s, not for %s", ErrToken, one.Cluster, who.Cluster)
		case one.UsedBy != "" && one.UsedBy != by:
			return nil, ErrUsed
		}
		if one.UsedBy == "" {
			// On disk before the certificate exists: a crash may cost the token, never its singleness.
			list := append([]issued(nil), t.list...)
			list[i].UsedBy = by
			if err := t.save(list); err != nil {
				return nil, err
			}
		}
		return t.ca.Sign(csrPEM, who)
	}
	return nil, fmt.Errorf("%w: the hub does not know it", ErrToken)
}

// save writes the list and, where that worked, takes it. The lock is held.
func (t *Tokens) save(list []issued) error {
	b, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if err := writeFile(t.path, b, 0o600); err != nil {
		return fmt.Errorf("join tokens: %w", err)
	}
	t.list = list
	return nil
}

// hashSecret needs no salt and no stretching: a secret is 32 random bytes.
func hashSecret(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
