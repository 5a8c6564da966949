// Package secret finds credentials in the files and the configuration of an image:
// private keys, tokens that name themselves, keys of clouds and registries, addresses
// and connection strings with a password, and assignments to telling names. What it
// finds is validated by structure (checksums, decoding, parsing of keys) and by
// entropy; values made up for examples are told apart by how they look, not by a list.
//
// It promises that no value leaves it whole: a finding carries at most the first four
// characters and a hash. It is made to run inside the one pass over the layers: a file
// without anything suspicious costs one look at every second byte and no allocation.
//
// It does not ask any service whether a credential still works, does not unpack
// archives, and does not read binaries except for private keys in PEM. The sizes and
// directories it leaves out are in Want.
package secret

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

// Bounds of what is reported and read.
const (
	MaxSize      = 5 << 20 // bytes of a file; larger ones are not read, see WantReason
	MaxPerFile   = 50      // findings in one file
	MaxPerConfig = 100     // findings in one image configuration
	sniff        = 8 << 10 // bytes in which a NUL makes a file binary
)

// Detector finds secrets. It holds no state of a file or an image and is safe for
// concurrent use.
type Detector struct {
	filter filter
	rules  []rule
	pool   sync.Pool // of *finder: one that calls rules through the table would be allocated for each file
}

// New returns a Detector with every rule.
func New() *Detector {
	d := &Detector{pool: sync.Pool{New: func() any { return new(finder) }}}
	d.rules = anchors()
	d.filter.build(d.rules)
	return d
}

// Find returns the secrets in the content of the file at path, in the order of their
// lines, at most MaxPerFile. Layer is -1 for the caller to fill. A file with a NUL in
// its first 8 KiB is searched for private keys only, unless it is UTF-16.
func (d *Detector) Find(path string, content []byte) []scan.Secret {
	if len(content) < minContent {
		return nil
	}
	if len(content) > MaxSize {
		content = content[:MaxSize]
	}
	f := d.pool.Get().(*finder)
	defer func() { f.content, f.out = nil, nil; d.pool.Put(f) }()
	*f = finder{content: content, path: path, place: placeOf(path), most: MaxPerFile, spans: f.spans[:0]}
	if bytes.IndexByte(content[:min(len(content), sniff)], 0) >= 0 {
		text, ok := utf16(content)
		if !ok {
			f.binary()
			return f.out
		}
		f.content = text
	}
	d.run(f)
	f.byPath()
	f.order()
	return f.out
}

// finder is one search of one text.
type finder struct {
	content []byte
	path    string
	where   string
	place   place
	most    int
	out     []scan.Secret
	spans   []span // of what was found, so that no rule finds it again
	context contextMemo
}

type span struct{ from, to, rank int }

// found keeps a finding for content[from:to], unless one at least as telling covers it.
func (f *finder) found(r *kind, from, to int) {
	f.foundAs(r, r.severity, f.content[from:to], from, to)
}

func (f *finder) foundAs(r *kind, severity finding.Severity, value []byte, from, to int) {
	for i, s := range f.spans {
		if from < s.to && s.from < to {
			if r.rank <= s.rank {
				return
			}
			f.spans[i] = span{from, to, r.rank}
			f.out[i] = f.secret(r, severity, value, from)
			return
		}
	}
	if len(f.out) >= f.most {
		return
	}
	f.spans = append(f.spans, span{from, to, r.rank})
	f.out = append(f.out, f.secret(r, severity, value, from))
}

func (f *finder) secret(r *kind, severity finding.Severity, value []byte, from int) scan.Secret {
	s := scan.Secret{
		Rule: r.id, Title: r.title, Severity: severity, Path: f.path, Where: f.where, Layer: -1,
		Redacted: mask(value, r.shown), Hash: Hash(value),
	}
	if f.where == "" {
		s.Line = 1 + bytes.Count(f.content[:from], []byte{'\n'})
	}
	return s
}

// order sorts by place: rules that look at the whole file come last.
func (f *finder) order() {
	for i := 1; i < len(f.out); i++ {
		for j := i; j > 0 && f.spans[j].from < f.spans[j-1].from; j-- {
			f.spans[j], f.spans[j-1] = f.spans[j-1], f.spans[j]
			f.out[j], f.out[j-1] = f.out[j-1], f.out[j]
		}
	}
}

// mask shows the first n bytes of a value: its public prefix, four at most. Of a value
// without a public prefix nothing is shown.
func mask(value []byte, n int) string {
	n = min(n, 4, len(value)/4)
	return string(value[:n]) + "***"
}

// Hash is the first 16 hex digits of SHA-256 over a domain and the value: it tells two
// secrets apart without saying what they are. Whoever knows the value can recognise it.
func Hash(value []byte) string {
	h := sha256.New()
	h.Write([]byte("dockreeve secret v1\x00"))
	h.Write(value)
	return hex.EncodeToString(h.Sum(nil)[:8])
}
