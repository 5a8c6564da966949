package rule

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"github.com/dockreeve/dockreeve/rule/filter"
)

// hasher makes content hashes of rules. Subtrees that rules share are hashed once.
type hasher struct {
	done map[filter.Expr][sha256.Size]byte
}

func newHasher() *hasher { return &hasher{done: map[filter.Expr][sha256.Size]byte{}} }

// rule hashes what decides what a rule does and says: its resolved condition,
// output, priority, tags and the rest, but not where it stands or whether it is on.
func (h *hasher) rule(r *Resolved) string {
	s := sha256.New()
	field(s, r.Name, r.Source, r.Output, r.Desc, r.Priority.String())
	cond := h.expr(r.Condition)
	s.Write(cond[:])
	field(s, r.Tags...)
	if m := r.Meta; m != nil {
		field(s, m.ID, m.Summary)
		field(s, m.Tactics...)
		field(s, m.Techniques...)
		field(s, m.Answers...)
		field(s, m.Response...)
	}
	return hex.EncodeToString(s.Sum(nil)[:16])
}

// field writes texts so that no two lists of texts write the same bytes.
func field(w io.Writer, texts ...string) {
	fmt.Fprintf(w, "%d;", len(texts)) // a hash never fails
	for _, t := range texts {
		fmt.Fprintf(w, "%d:%s", len(t), t)
	}
}

func (h *hasher) expr(e filter.Expr) [sha256.Size]byte {
	if sum, ok := h.done[e]; ok {
		return sum
	}
	s := sha256.New()
	switch e := e.(type) {
	case *filter.And:
		h.kids(s, "and", e.Kids)
	case *filter.Or:
		h.kids(s, "or", e.Kids)
	case *filter.Not:
		h.kids(s, "not", []filter.Expr{e.Kid})
	default:
		field(s, "check", filter.Format(e))
	}
	var sum [sha256.Size]byte
	s.Sum(sum[:0])
	h.done[e] = sum
	return sum
}

func (h *hasher) kids(s hash.Hash, word string, kids []filter.Expr) {
	field(s, word)
	for _, k := range kids {
		sum := h.expr(k)
		s.Write(sum[:])
	}
}
