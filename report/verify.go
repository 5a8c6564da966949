package report

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// payloadType is what the envelope of a bundle says it holds.
const payloadType = "application/vnd.dockreeve.evidence.manifest+json"

// Bounds of a bundle that is verified.
const (
	maxManifest = 4 << 20
	maxFiles    = 256
	maxBundle   = 4 << 30 // unpacked
)

// envelope is a DSSE envelope.
type envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     string      `json:"payload"` // base64
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID string `json:"keyid"`
	Sig   string `json:"sig"` // base64
}

// pae is DSSE's pre-authentication encoding: what is signed.
func pae(kind string, payload []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "DSSEv1 %d %s %d ", len(kind), kind, len(payload))
	b.Write(payload)
	return b.Bytes()
}

// KeyID names a public key: the SHA-256 of its 32 bytes, in hex.
func KeyID(pub ed25519.PublicKey) string {
	sum := sha256.Sum256(pub)
	return hex.EncodeToString(sum[:])
}

func sign(payload []byte, key ed25519.PrivateKey) ([]byte, error) {
	e := envelope{PayloadType: payloadType, Payload: base64.StdEncoding.EncodeToString(payload), Signatures: []signature{{
		KeyID: KeyID(key.Public().(ed25519.PublicKey)),
		Sig:   base64.StdEncoding.EncodeToString(ed25519.Sign(key, pae(payloadType, payload))),
	}}}
	data, err := json.MarshalIndent(e, "", "  ")
	return append(data, '\n'), err
}

// ErrTampered is wrapped by what VerifyEvidence returns where a bundle is not as it was signed.
var ErrTampered = errors.New("the evidence bundle is not as it was signed")

// Verification is what was found when a bundle was checked.
type Verification struct {
	Manifest Manifest `json:"manifest"`           // as signed; empty where the signature does not hold
	KeyID    string   `json:"keyID"`              // of the key that signed
	Problems []string `json:"problems,omitempty"` // what differs, by name; empty = nothing does
}

// VerifyEvidence reads a bundle and checks its signature with a public key, and every file
// with the digest that the signed manifest gives. It writes nothing, keeps only manifest
// and signature in memory, and reads at most 4 GiB of unpacked data. The error wraps
// ErrTampered and names every difference, or says why the bundle could not be read.
func VerifyEvidence(r io.Reader, pub ed25519.PublicKey) (*Verification, error) {
	v := &Verification{}
	if len(pub) != ed25519.PublicKeySize {
		return v, fmt.Errorf("an Ed25519 public key has %d bytes, this one has %d", ed25519.PublicKeySize, len(pub))
	}
	problem := func(format string, args ...any) { v.Problems = append(v.Problems, fmt.Sprintf(format, args...)) }
	manifest, signed, files, err := readBundle(r, problem)
	if err != nil {
		return v, err
	}
	switch {
	case manifest == nil:
		problem("%s is missing", manifestName)
	case signed == nil:
		problem("%s is missing: nobody signed this", signatureName)
	}
	if manifest != nil && signed != nil && v.signature(manifest, signed, pub, problem) {
		v.files(files, problem)
	}
	if len(v.Problems) > 0 {
		shown := v.Problems[:min(len(v.Problems), 20)]
		return v, fmt.Errorf("%w: %s", ErrTampered, strings.Join(shown, "; "))
	}
	return v, nil
}

type got struct {
	size int64
	sum  string
}

// readBundle takes the archive apart, keeping digests.
func readBundle(r io.Reader, problem func(string, ...any)) (manifest, signed []byte, files map[string]got, err error) {
	buffered := &counter{r: r}
	zip, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("this is no evidence bundle (a gzipped tar): %w", err)
	}
	zip.Multistream(false)
	unpacked := &counter{r: io.LimitReader(zip, maxBundle)}
	in := tar.NewReader(unpacked)
	files = map[string]got{}
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, nil, nil, fmt.Errorf("after %d files: the archive is cut short or damaged: %w", len(files), err)
		}
		if len(files) == maxFiles {
			return nil, nil, nil, fmt.Errorf("more than %d files: this is no evidence bundle", maxFiles)
		}
		name := strconv.QuoteToASCII(h.Name)
		if h.Typeflag != tar.TypeReg {
			problem("%s is no plain file", name)
			continue
		}
		if _, twice := files[h.Name]; twice {
			problem("%s is there twice", name)
		}
		sum := sha256.New()
		var keep bytes.Buffer
		to := io.Writer(sum)
		if h.Name == manifestName || h.Name == signatureName {
			if h.Size > maxManifest {
				return nil, nil, nil, fmt.Errorf("%s has %d bytes, more than the %d that one may have", name, h.Size, maxManifest)
			}
			to = io.MultiWriter(sum, &keep)
		}
		n, err := io.Copy(to, in)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("%s: the archive is cut short or damaged: %w", name, err)
		}
		files[h.Name] = got{n, hex.EncodeToString(sum.Sum(nil))}
		switch h.Name {
		case manifestName:
			manifest = keep.Bytes()
		case signatureName:
			signed = keep.Bytes()
		}
	}
	// What follows the end of the archive belongs to nothing.
	if n, err := io.Copy(io.Discard, &nonZero{r: unpacked}); err != nil {
		return nil, nil, nil, fmt.Errorf("after the last file: %w", err)
	} else if n > 0 {
		problem("there is data after the end of the archive")
	}
	if unpacked.n >= maxBundle {
		return nil, nil, nil, fmt.Errorf("more than %d bytes unpacked: this is no evidence bundle", int64(maxBundle))
	}
	if n, _ := io.Copy(io.Discard, io.LimitReader(buffered, 1)); n > 0 {
		problem("there is data after the end of the file")
	}
	return manifest, signed, files, nil
}

// counter counts what is read. Having ReadByte, it keeps gzip from reading ahead.
type counter struct {
	r   io.Reader
	n   int64
	one [1]byte
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *counter) ReadByte() (byte, error) {
	_, err := io.ReadFull(c, c.one[:])
	return c.one[0], err
}

// nonZero passes on only what is not a zero byte: tar pads with zeros.
type nonZero struct{ r io.Reader }

func (z *nonZero) Read(p []byte) (int, error) {
	for {
		n, err := z.r.Read(p)
		m := 0
		for _, b := range p[:n] {
			if b != 0 {
				p[m] = b
				m++
			}
		}
		if m > 0 || err != nil {
			return m, err
		}
	}
}

// signature checks the envelope; only what it holds is believed.
func (v *Verification) signature(manifest, signed []byte, pub ed25519.PublicKey, problem func(string, ...any)) bool {
	var e envelope
	if err := json.Unmarshal(signed, &e); err != nil {
		problem("%s cannot be read: %v", signatureName, err)
		return false
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		problem("%s: its payload is not base64: %v", signatureName, err)
		return false
	}
	if e.PayloadType != payloadType {
		problem("%s signs something else: %q", signatureName, e.PayloadType)
		return false
	}
	valid := false
	for _, s := range e.Signatures[:min(len(e.Signatures), 16)] {
		sig, err := base64.StdEncoding.DecodeString(s.Sig)
		if err == nil && ed25519.Verify(pub, pae(e.PayloadType, payload), sig) {
			valid = true
		} else if s.KeyID != KeyID(pub) {
			problem("signed with the key %.16q, not with the one given (%.16s)", s.KeyID, KeyID(pub))
		}
	}
	if !valid {
		problem("the signature over the manifest does not hold")
		return false
	}
	v.Problems, v.KeyID = dropOtherKeys(v.Problems), KeyID(pub)
	if err := json.Unmarshal(payload, &v.Manifest); err != nil || v.Manifest.Format != "dockreeve-evidence" {
		problem("the signed manifest cannot be read: %v", err)
		return false
	}
	if v.Manifest.Version != 1 {
		problem("the bundle has version %d, this program knows version 1: use a newer Dockreeve", v.Manifest.Version)
		return false
	}
	if !bytes.Equal(payload, manifest) {
		problem("%s is not the manifest that was signed", manifestName)
	}
	return true
}

// dropOtherKeys forgets that others signed too, once the key that was asked for did.
func dropOtherKeys(list []string) []string {
	var out []string
	for _, p := range list {
		if !strings.HasPrefix(p, "signed with the key ") {
			out = append(out, p)
		}
	}
	return out
}

// files compares what is there with what was signed.
func (v *Verification) files(have map[string]got, problem func(string, ...any)) {
	named := map[string]bool{manifestName: true, signatureName: true}
	for _, f := range v.Manifest.Files {
		named[f.Name] = true
		switch g, ok := have[f.Name]; {
		case !ok:
			problem("%s is missing", f.Name)
		case g.size != f.Size:
			problem("%s has %d bytes, %d were signed", f.Name, g.size, f.Size)
		case g.sum != f.SHA256:
			problem("%s was changed: its SHA-256 is %s, %s was signed", f.Name, g.sum, f.SHA256)
		}
	}
	for _, name := range sorted(have) {
		if !named[name] {
			problem("%s was added", strconv.QuoteToASCII(name))
		}
	}
}
