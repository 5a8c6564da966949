package secret

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"

	"github.com/dockreeve/dockreeve/finding"
)

var (
	pemBegin   = []byte("-----BEGIN ")
	pemEnd     = []byte("-----END ")
	pemDashes  = []byte("-----")
	privateKey = []byte("PRIVATE KEY")
)

const maxKey = 64 << 10 // bytes of a key in PEM

var serviceAccount = kind{"gcp-service-account", "Google Cloud service account key", finding.Critical, 95, 0}

// matchPEM judges the private key whose "-----BEGIN" has its anchor at at.
func matchPEM(f *finder, k *kind, at int) {
	from := at - 3
	if from < 0 || !bytes.HasPrefix(f.content[from:], pemBegin) {
		return
	}
	key, to := readPEM(f.content[from:])
	if key == keyNone {
		return
	}
	r := *k
	severity := r.severity
	switch key {
	case keyEncrypted:
		r.title, severity = "Private key, encrypted", finding.Low
	case keyOpenSSH:
		r.title = "OpenSSH private key"
	case keyPGP:
		r.title = "PGP private key"
	}
	if key == keyPlain && bytes.Contains(f.content[max(0, from-4096):from], []byte(`service_account"`)) {
		r = serviceAccount
		severity = r.severity
	}
	f.foundAs(&r, severity, f.content[from:from+to], from, from+to)
}

type keyKind uint8

const (
	keyNone keyKind = iota
	keyPlain
	keyOpenSSH
	keyPGP
	keyEncrypted
)

// readPEM judges what b begins with, which is "-----BEGIN ", and returns where it ends.
// It wants a private key whose body decodes and has the structure of one; line ends may
// be written as \n.
func readPEM(b []byte) (keyKind, int) {
	b = b[:min(len(b), maxKey)]
	head := bytes.Index(b[len(pemBegin):min(len(b), 80)], pemDashes)
	if head < 0 {
		return keyNone, 0
	}
	label := b[len(pemBegin) : len(pemBegin)+head]
	if !bytes.Contains(label, privateKey) {
		return keyNone, 0
	}
	body := b[len(pemBegin)+head+len(pemDashes):]
	to := len(b)
	if i := bytes.Index(body, pemEnd); i >= 0 {
		to = len(b) - len(body) + i + len(pemEnd) + len(label) + len(pemDashes)
		to = min(to, len(b))
		body = body[:i]
	}
	der, encrypted := unarmor(body)
	if len(der) < 40 {
		return keyNone, 0
	}
	switch {
	case encrypted:
		return keyEncrypted, to
	case bytes.HasPrefix(label, []byte("OPENSSH")):
		const magic = "openssh-key-v1\x00\x00\x00\x00\x04none"
		switch {
		case bytes.HasPrefix(der, []byte(magic)):
			return keyOpenSSH, to
		case bytes.HasPrefix(der, []byte(magic[:15])):
			return keyEncrypted, to
		}
	case bytes.HasPrefix(label, []byte("PGP")):
		// A secret key packet: tag 5 in the old or the new form.
		if t := der[0]; t>>2 == 0x25 || t == 0xc5 {
			return keyPGP, to
		}
	case bytes.HasPrefix(label, []byte("ENCRYPTED")):
		if sequence(der) {
			return keyEncrypted, to
		}
	case parses(der):
		return keyPlain, to
	}
	return keyNone, 0
}

// unarmor decodes the Base64 of a key's body, passing over line ends however they are
// written, quotes and what continues a string in source text. Headers tell whether it
// is encrypted.
func unarmor(body []byte) (der []byte, encrypted bool) {
	// An armour header is a name, a colon and a blank; the body follows an empty line.
	if bytes.Contains(body[:min(len(body), 600)], []byte("ENCRYPTED")) && bytes.Contains(body[:min(len(body), 600)], []byte("Proc-Type")) {
		encrypted = true
	}
	if bytes.Contains(body[:min(len(body), 600)], []byte(": ")) {
		for _, blank := range []string{"\n\n", "\r\n\r\n", `\n\n`, `\r\n\r\n`} {
			if i := bytes.Index(body, []byte(blank)); i >= 0 {
				body = body[i+len(blank):]
				break
			}
		}
	}
	clean := make([]byte, 0, len(body))
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '\\' && i+1 < len(body):
			i++ // \n, \r, or a backslash before the line's end
		case classes[c]&base64s != 0:
			if c == '+' && i+1 < len(body) && i > 0 && (body[i-1] == ' ' || body[i+1] == ' ') {
				continue // joins strings
			}
			clean = append(clean, c)
		case c == '=':
			if len(clean) > 40 {
				i = len(body) // a PGP checksum may follow
			}
		case c == ' ', c == '\t', c == '\r', c == '\n', c == '"', c == '\'', c == ',', c == '|', c == '>', c == '#', c == '*':
		default:
			return nil, false
		}
	}
	n := base64.RawStdEncoding.DecodedLen(len(clean))
	der = make([]byte, n)
	n, err := base64.RawStdEncoding.Decode(der, clean)
	if err != nil {
		if n, err = base64.RawStdEncoding.Decode(der, clean[:len(clean)/4*4]); err != nil {
			return nil, false
		}
	}
	return der[:n], encrypted
}

// parses reports whether der is a private key: one the standard library reads, or a
// sequence of exactly its length that begins with a version, as keys of every kind do.
func parses(der []byte) bool {
	if _, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return true
	}
	if _, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return true
	}
	if _, err := x509.ParseECPrivateKey(der); err == nil {
		return true
	}
	var seq struct {
		Version int
		Rest    asn1.RawValue
	}
	if !sequence(der) {
		return false
	}
	_, err := asn1.Unmarshal(der, &seq)
	return (err == nil || seq.Rest.FullBytes != nil) && seq.Version >= 0 && seq.Version <= 2 && entropy(der) > 4
}

// sequence reports whether der is one ASN.1 sequence and nothing else.
func sequence(der []byte) bool {
	var raw asn1.RawValue
	rest, err := asn1.Unmarshal(der, &raw)
	return err == nil && len(rest) == 0 && raw.Tag == asn1.TagSequence && raw.IsCompound
}

// matchPEM64 finds a PEM that was encoded in Base64 once more, as in kubeconfig files
// and Kubernetes secrets.
func matchPEM64(f *finder, k *kind, at int) {
	const begin = "LS0tLS1CRUdJTi"
	from := at - 4
	if from < 0 || !bytes.HasPrefix(f.content[from:], []byte(begin)) {
		return
	}
	to := run(f.content, from, maxKey, base64s)
	n := (to - from) / 4 * 4
	plain := make([]byte, base64.RawStdEncoding.DecodedLen(n))
	if _, err := base64.RawStdEncoding.Decode(plain, f.content[from:from+n]); err != nil {
		return
	}
	for i := 0; ; { // certificates may stand before the key
		j := bytes.Index(plain[i:], pemBegin)
		if j < 0 {
			return
		}
		i += j
		if key, _ := readPEM(plain[i:]); key != keyNone {
			severity := k.severity
			if key == keyEncrypted {
				severity = finding.Low
			}
			f.foundAs(k, severity, f.content[from:to], from, to)
			return
		}
		i += len(pemBegin)
	}
}

// matchPuTTY finds a PuTTY key file.
func matchPuTTY(f *finder, k *kind, at int) {
	from := at - 2
	if from < 0 || !bytes.HasPrefix(f.content[from:], []byte("PuTTY-User-Key-File-")) {
		return
	}
	b := f.content[from:min(len(f.content), from+maxKey)]
	lines := bytes.Index(b, []byte("Private-Lines: "))
	mac := bytes.Index(b, []byte("Private-MAC: "))
	if lines < 0 || mac < lines {
		return
	}
	severity := k.severity
	r := *k
	if !bytes.Contains(b[:lines], []byte("Encryption: none")) {
		r.title, severity = "PuTTY private key, encrypted", finding.Low
	}
	to := from + min(len(b), mac+len("Private-MAC: ")+64)
	f.foundAs(&r, severity, f.content[from:to], from, to)
}

// binary searches a file that is no text for private keys alone: programs carry them,
// and nothing else in them can be told from chance.
func (f *finder) binary() {
	k := kind{"private-key", "Private key in a binary", finding.High, 90, 0}
	for i := 0; len(f.out) < f.most; {
		j := bytes.Index(f.content[i:], pemBegin)
		if j < 0 {
			return
		}
		matchPEM(f, &k, i+j+3)
		i += j + len(pemBegin)
	}
}
