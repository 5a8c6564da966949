package image

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"
)

// validDigest accepts sha256:<64 lower hex>, the only form that is a name of a file
// in a store without further thought.
func validDigest(s string) error {
	h, ok := strings.CutPrefix(s, "sha256:")
	if !ok {
		if alg, _, ok := strings.Cut(s, ":"); ok && len(alg) < 32 {
			return fmt.Errorf("digest algorithm %q is not supported: sha256 is", alg)
		}
		return fmt.Errorf("%q is not a digest (sha256: and 64 hexadecimal digits)", clip(s, 80))
	}
	if len(h) != 64 || strings.Trim(h, "0123456789abcdef") != "" {
		return fmt.Errorf("%q is not a digest (sha256: and 64 hexadecimal digits)", clip(s, 80))
	}
	return nil
}

func digestOf(b []byte) string {
	s := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(s[:])
}

// verified reads r and fails at its end when digest or size are not as promised.
type verified struct {
	r      io.ReadCloser
	h      hash.Hash
	digest string
	what   string
	n      int64
	size   int64 // -1 unknown
	err    error
}

func verify(r io.ReadCloser, digest string, size int64, what string) io.ReadCloser {
	return &verified{r: r, h: sha256.New(), digest: digest, size: size, what: what}
}

func (v *verified) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.r.Read(p)
	v.h.Write(p[:n])
	v.n += int64(n)
	switch {
	case v.size >= 0 && v.n > v.size:
		err = fmt.Errorf("%s: has more than the %d bytes its manifest promises", v.what, v.size)
	case err == io.EOF && v.size >= 0 && v.n < v.size:
		err = fmt.Errorf("%s: ends after %d of %d bytes: %w", v.what, v.n, v.size, io.ErrUnexpectedEOF)
	case err == io.EOF:
		if got := "sha256:" + hex.EncodeToString(v.h.Sum(nil)); got != v.digest {
			err = fmt.Errorf("%s: content is %s, the manifest promises %s: damaged or tampered with", v.what, got, v.digest)
		}
	}
	v.err = err
	return n, err
}

func (v *verified) Close() error { return v.r.Close() }

// sized turns an end before the promised size into an error.
type sized struct {
	r    io.ReadCloser
	left int64
	what string
}

func (s *sized) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.left -= int64(n)
	if err == io.EOF && s.left > 0 {
		err = fmt.Errorf("%s: ends %d bytes early: %w", s.what, s.left, io.ErrUnexpectedEOF)
	}
	return n, err
}

func (s *sized) Close() error { return s.r.Close() }

// readDocument reads one JSON document of at most MaxDocument bytes.
func readDocument(r io.Reader, what string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if len(b) > MaxDocument {
		return nil, fmt.Errorf("%s: larger than %d MiB: no image needs that; it was not read", what, MaxDocument>>20)
	}
	return b, nil
}

// clip shortens a text from outside for an error message.
func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
