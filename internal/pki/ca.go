package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// How long what is signed is valid. It begins an hour early, for clocks behind ours.
const (
	caValid   = 10 * 365 * 24 * time.Hour
	CertValid = 365 * 24 * time.Hour
	early     = time.Hour
)

// Files of an authority's directory.
const (
	caCertFile = "ca.crt"
	caKeyFile  = "ca.key"
)

// maxFile bounds every file read here.
const maxFile = 256 << 10

// CA is the authority of one hub. Safe for concurrent use.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	now  func() time.Time
	all  []*x509.Certificate // what is trusted: the first signs; room for the one before or after it
}

// OpenCA reads the authority of a directory, or makes one where there is none. The key
// is readable by its owner only; one that others can read is refused. now nil means
// the machine's clock.
func OpenCA(dir string, now func() time.Time) (*CA, error) {
	if now == nil {
		now = time.Now
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	key, err := readKey(filepath.Join(dir, caKeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(filepath.Join(dir, caCertFile)); err == nil {
			return nil, fmt.Errorf("authority: %s has %s but not its key %s: bring the key back, or remove both to make a new authority, which everybody must join again", dir, caCertFile, caKeyFile)
		}
		return makeCA(dir, now)
	}
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	all, err := readCerts(filepath.Join(dir, caCertFile))
	if errors.Is(err, fs.ErrNotExist) { // ended between the two writes: nobody knows that key yet
		if err := os.Remove(filepath.Join(dir, caKeyFile)); err != nil {
			return nil, fmt.Errorf("authority: %w", err)
		}
		return makeCA(dir, now)
	}
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	if pub, ok := all[0].PublicKey.(*ecdsa.PublicKey); !ok || !pub.Equal(&key.PublicKey) {
		return nil, fmt.Errorf("authority: the key in %s is not that of the first certificate in %s", caKeyFile, caCertFile)
	}
	return &CA{cert: all[0], key: key, now: now, all: all}, nil
}

func makeCA(dir string, now func() time.Time) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	serial, err := serial()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Dockreeve link authority"},
		NotBefore: now().Add(-early), NotAfter: now().Add(caValid),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	if err := writeKey(filepath.Join(dir, caKeyFile), key); err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	if err := writeFile(filepath.Join(dir, caCertFile), certPEM(der), 0o644); err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	return &CA{cert: cert, key: key, now: now, all: []*x509.Certificate{cert}}, nil
}

// Hash is the SHA-256 of the certificate that signs, in hex: what a join token carries.
func (c *CA) Hash() string { return hashOf(c.cert) }

func hashOf(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// PEM is every certificate that is trusted, the one that signs first.
func (c *CA) PEM() []byte {
	var b []byte
	for _, one := range c.all {
		b = append(b, certPEM(one.Raw)...)
	}
	return b
}

// Pool is what PEM is, to check with.
func (c *CA) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	for _, one := range c.all {
		p.AddCert(one)
	}
	return p
}

// Sign answers a certificate request (PEM) with a certificate for who, good for both
// ends of a connection. Of the request only the key is taken: whoever asks does not
// say who they are.
func (c *CA) Sign(csrPEM []byte, who Identity) ([]byte, error) {
	csr, err := parseCSR(csrPEM)
	if err != nil {
		return nil, err
	}
	der, err := c.sign(csr.PublicKey, who)
	if err != nil {
		return nil, err
	}
	return certPEM(der), nil
}

func (c *CA) sign(pub any, who Identity) ([]byte, error) {
	if err := who.Check(); err != nil {
		return nil, err
	}
	serial, err := serial()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: who.String()},
		NotBefore: c.now().Add(-early), NotAfter: c.now().Add(CertValid),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, c.cert, pub, c.key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate for %s: %w", who, err)
	}
	return der, nil
}

// ServerTLS is how the hub listens: with a certificate made for this run, renewed well
// before it ends.
func (c *CA) ServerTLS() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	own := &renewing{make: func() (*tls.Certificate, error) {
		der, err := c.sign(&key.PublicKey, Identity{Role: RoleHub})
		if err != nil {
			return nil, err
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		return &tls.Certificate{Certificate: [][]byte{der, c.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
	}, now: c.now}
	if _, err := own.get(); err != nil {
		return nil, err
	}
	return serverTLS(c.Pool(), c.now, own.get), nil
}

func serial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, err
	}
	return n.Add(n, big.NewInt(1)), nil
}

// parseCSR reads a request and checks that who asks holds the key. Only P-256: the
// other end chooses the key, and a strange one could be costly.
func parseCSR(b []byte) (*x509.CertificateRequest, error) {
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("certificate request: want exactly one PEM block CERTIFICATE REQUEST")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	if pub, ok := csr.PublicKey.(*ecdsa.PublicKey); !ok || pub.Curve != elliptic.P256() {
		return nil, errors.New("certificate request: want an ECDSA key on P-256")
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	return csr, nil
}
