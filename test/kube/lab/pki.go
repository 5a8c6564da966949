package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority signs the lab's certificates, which live for thirty days.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(dir, file, cn string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := certTemplate(pkix.Name{CommonName: cn})
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign|x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	if err := writePair(dir, file, der, key); err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{dir, cert, key}, err
}

// openAuthority reads one that newAuthority made.
func openAuthority(dir, file string) (*authority, error) {
	c, err := readPEM(filepath.Join(dir, file+".crt"))
	if err != nil {
		return nil, err
	}
	k, err := readPEM(filepath.Join(dir, file+".key"))
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(c)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParseECPrivateKey(k)
	return &authority{dir, cert, key}, err
}

func readPEM(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p, _ := pem.Decode(b)
	if p == nil {
		return nil, fmt.Errorf("%s holds no PEM block", path)
	}
	return p.Bytes, nil
}

// issue writes FILE.crt and FILE.key: a client's certificate, or, with names, a server's.
func (a *authority) issue(file string, subject pkix.Name, names ...string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := certTemplate(subject)
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	for _, n := range names {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		if ip := net.ParseIP(n); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return err
	}
	return writePair(a.dir, file, der, key)
}

func certTemplate(subject pkix.Name) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	now := time.Now()
	return &x509.Certificate{SerialNumber: serial, Subject: subject, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(30 * 24 * time.Hour)}
}

func writePair(dir, file string, cert []byte, key *ecdsa.PrivateKey) error {
	k, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	for name, block := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: cert}, ".key": {Type: "EC PRIVATE KEY", Bytes: k}} {
		if len(block.Bytes) == 0 { // a key without a certificate
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, file+name), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// makePKI writes everything the programs of a lab prove themselves with.
func (l *Lab) makePKI() error {
	dir := l.File("pki")
	ca, err := newAuthority(dir, "ca", "dockreeve-lab-ca")
	if err != nil {
		return err
	}
	front, err := newAuthority(dir, "front-proxy-ca", "dockreeve-lab-front-proxy-ca")
	if err != nil {
		return err
	}
	masters := func(cn string) pkix.Name { return pkix.Name{Organization: []string{"system:masters"}, CommonName: cn} }
	if err := front.issue("front-proxy-client", pkix.Name{CommonName: "front-proxy-client"}); err != nil {
		return err
	}
	for file, subject := range map[string]pkix.Name{
		"apiserver-kubelet-client": masters("kube-apiserver-kubelet-client"),
		"audit-client":             {CommonName: "kube-apiserver-audit"},
		"admin":                    masters("lab-admin"),
		"kube-controller-manager":  {CommonName: "system:kube-controller-manager"},
		"kube-scheduler":           {CommonName: "system:kube-scheduler"},
		"kube-proxy":               {CommonName: "system:kube-proxy"},
	} {
		if err := ca.issue(file, subject); err != nil {
			return err
		}
	}
	here := []string{"localhost", "127.0.0.1", l.APIIP}
	if err := ca.issue("apiserver", pkix.Name{CommonName: "kube-apiserver"}, append([]string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "10.96.0.1"}, here...)...); err != nil {
		return err
	}
	for _, file := range []string{"hook", "receiver"} {
		if err := ca.issue(file, pkix.Name{CommonName: file}, here...); err != nil {
			return err
		}
	}
	for _, n := range l.Nodes {
		of := pkix.Name{Organization: []string{"system:nodes"}, CommonName: "system:node:" + n.Name}
		if err := ca.issue("kubelet-"+n.Name, of); err != nil {
			return err
		}
		if err := ca.issue("kubelet-server-"+n.Name, of, n.Name, n.IP); err != nil {
			return err
		}
		if err := l.kubeconfig("kubelet-"+n.Name, l.certUser("kubelet-"+n.Name)); err != nil {
			return err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // signs service account tokens
	if err != nil {
		return err
	}
	if err := writePair(dir, "sa", nil, key); err != nil {
		return err
	}
	pub, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "sa.pub"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub}), 0o600); err != nil {
		return err
	}
	for _, n := range []string{"admin", "kube-controller-manager", "kube-scheduler", "kube-proxy"} {
		if err := l.kubeconfig(n, l.certUser(n)); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) certUser(file string) string {
	return fmt.Sprintf("{client-certificate: %q, client-key: %q}", l.File("pki/"+file+".crt"), l.File("pki/"+file+".key"))
}

// kubeconfig writes NAME.kubeconfig for a user given as YAML.
func (l *Lab) kubeconfig(name, user string) error {
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: %q, user: %s}]
contexts: [{name: lab, context: {cluster: lab, user: %q}}]
current-context: lab
`, l.Server(), l.File("pki/ca.crt"), name, user, name)
	return os.WriteFile(l.File(name+".kubeconfig"), []byte(text), 0o600)
}

// UserKubeconfig makes a user of the cluster, who proves who they are with a certificate
// and has the rights that are bound to the name and groups, and returns the file.
func (l *Lab) UserKubeconfig(user string, groups ...string) (string, error) {
	ca, err := openAuthority(l.File("pki"), "ca")
	if err != nil {
		return "", err
	}
	file := "user-" + safeName(user)
	if err := ca.issue(file, pkix.Name{CommonName: user, Organization: groups}); err != nil {
		return "", err
	}
	return l.File(file + ".kubeconfig"), l.kubeconfig(file, l.certUser(file))
}

// TokenKubeconfig is a kubeconfig that uses a bearer token.
func (l *Lab) TokenKubeconfig(name, token string) (string, error) {
	file := "token-" + safeName(name)
	return l.File(file + ".kubeconfig"), l.kubeconfig(file, fmt.Sprintf("{token: %q}", token))
}

// safeName makes a file name of any name.
func safeName(s string) string {
	b := []byte(s)
	for i, c := range b {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') {
			b[i] = '_'
		}
	}
	return string(b)
}
