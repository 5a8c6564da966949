package license

import "strings"

// node is an expression: a licence, or alternatives or a sum of nodes.
type node struct {
	id        string // of a licence; "" for and, or
	exception string // behind WITH
	or        bool
	parts     []*node
}

// maxDepth bounds parentheses.
const maxDepth = 16

// parse reads an expression in SPDX's grammar or in the looser ones of package
// metadata: "and", commas and blanks between ids; "or", "|" and "/" for alternatives. nil
// when s is no expression of single words or known names.
func parse(s string) *node {
	if len(s) > maxText {
		return nil
	}
	if id := lookup(s); id != "" {
		return &node{id: id}
	}
	s = strings.NewReplacer("(", " ( ", ")", " ) ", ",", " and ", ";", " and ", "|", " or ", "&", " and ", " and/or ", " or ").Replace(s)
	p := &parser{words: strings.Fields(s)}
	n := p.or(0)
	if n == nil || p.i != len(p.words) || p.terms > maxTerms {
		return nil
	}
	return n
}

type parser struct {
	words []string
	i     int
	terms int
}

func (p *parser) word() string {
	if p.i < len(p.words) {
		return strings.ToLower(p.words[p.i])
	}
	return ""
}

func (p *parser) or(depth int) *node {
	return p.list(depth, "or", p.and)
}

func (p *parser) and(depth int) *node {
	return p.list(depth, "and", p.term)
}

func (p *parser) list(depth int, word string, part func(int) *node) *node {
	if depth > maxDepth {
		return nil
	}
	first := part(depth)
	if first == nil {
		return nil
	}
	all := []*node{first}
	for p.word() == word {
		for p.word() == word { // "a, and b"
			p.i++
		}
		if p.i == len(p.words) && word == "and" {
			break // a comma at the end
		}
		n := part(depth)
		if n == nil {
			return nil
		}
		all = append(all, n)
	}
	if len(all) == 1 {
		return first
	}
	return flat(&node{or: word == "or", parts: all})
}

// flat joins lists of the same kind and drops doubles.
func flat(n *node) *node {
	var parts []*node
	seen := map[string]bool{}
	for _, c := range n.parts {
		sub := []*node{c}
		if c.parts != nil && c.or == n.or {
			sub = c.parts
		}
		for _, s := range sub {
			if k := s.String(); !seen[k] {
				seen[k] = true
				parts = append(parts, s)
			}
		}
	}
	if len(parts) == 1 {
		return parts[0]
	}
	n.parts = parts
	return n
}

func (p *parser) term(depth int) *node {
	if p.word() == "(" {
		p.i++
		n := p.or(depth + 1)
		if n == nil || p.word() != ")" {
			return nil
		}
		p.i++
		return n
	}
	from := p.i
	for p.i < len(p.words) {
		w := p.word()
		if w == "and" || w == "or" || w == "(" || w == ")" {
			// "v2 or later" is one name.
			if w == "or" && p.i+1 < len(p.words) && (strings.EqualFold(p.words[p.i+1], "later") || strings.EqualFold(p.words[p.i+1], "newer") || strings.EqualFold(p.words[p.i+1], "any")) {
				p.i++
				continue
			}
			break
		}
		p.i++
	}
	words := p.words[from:p.i]
	p.terms += len(words)
	if len(words) == 0 || p.terms > maxTerms {
		return nil
	}
	exception := ""
	for i, w := range words {
		if strings.EqualFold(w, "with") && i > 0 && i < len(words)-1 {
			exception = strings.Join(words[i+1:], "-")
			words = words[:i]
			break
		}
	}
	n := named(words)
	if n != nil && exception != "" {
		if n.parts != nil {
			return nil
		}
		n.exception = exception
	}
	return n
}

// named reads words without an operator between them.
func named(words []string) *node {
	s := strings.Join(words, " ")
	if id := lookup(s); id != "" {
		return &node{id: id}
	}
	if len(words) == 1 {
		if parts := strings.Split(s, "/"); len(parts) > 1 && len(parts) <= 4 { // Cargo's old way to write or
			n := &node{or: true}
			for _, p := range parts {
				id := lookup(p)
				if id == "" {
					return &node{id: s}
				}
				n.parts = append(n.parts, &node{id: id})
			}
			return flat(n)
		}
		return &node{id: s}
	}
	n := &node{}
	for _, w := range words { // Alpine's old way to write and
		id := lookup(w)
		if id == "" {
			return nil
		}
		n.parts = append(n.parts, &node{id: id})
	}
	return flat(n)
}

// String writes the expression in SPDX's grammar.
func (n *node) String() string {
	if n.parts == nil {
		if n.exception != "" {
			return n.id + " WITH " + n.exception
		}
		return n.id
	}
	word := " AND "
	if n.or {
		word = " OR "
	}
	var out []string
	for _, p := range n.parts {
		s := p.String()
		if p.parts != nil {
			s = "(" + s + ")"
		}
		out = append(out, s)
	}
	return strings.Join(out, word)
}

func (n *node) category() Category {
	if n.parts == nil {
		c := categoryOf(n.id)
		if n.exception != "" && c == StrongCopyleft && linking(n.exception) {
			return WeakCopyleft
		}
		return c
	}
	best := n.parts[0].category()
	for _, p := range n.parts[1:] {
		c := p.category()
		if n.or == (order(c) < order(best)) {
			best = c
		}
	}
	return best
}

// linking reports whether an exception lets other software be linked.
func linking(e string) bool {
	e = strings.ToLower(e)
	for _, w := range [...]string{"classpath", "gcc", "libtool", "linking", "bison", "font", "autoconf", "syscall", "openssl", "universal-foss", "llvm"} {
		if strings.Contains(e, w) {
			return true
		}
	}
	return false
}

// order is how much a category asks; what is unknown may ask anything.
func order(c Category) int {
	switch c {
	case Permissive:
		return 0
	case WeakCopyleft:
		return 1
	case StrongCopyleft:
		return 2
	case NetworkCopyleft:
		return 3
	case Proprietary:
		return 4
	}
	return 5
}

// denied reports whether the expression cannot be met without a licence that bad denies:
// alternatives are denied only when each of them is.
func (n *node) denied(bad func(id string) bool) bool {
	if n.parts == nil {
		return bad(n.id)
	}
	for _, p := range n.parts {
		if p.denied(bad) != n.or {
			return !n.or
		}
	}
	return n.or
}
