package event

import (
	"slices"
	"strings"
)

// Redacted stands where a secret stood. It is the same for every secret: a mark
// made from the secret (a hash, its length, its first letters) would let whoever
// reads an alert test guesses against it, or tell that two workloads share a
// password.
const Redacted = "***"

// Redact replaces the secret values in Args, Exe, Env and Cmdline by Redacted and
// reports whether there were any. Names of options and variables, paths and
// everything around a secret stay as they are, the number of arguments too.
// Cmdline is built anew when Args changed.
//
// It decides by the texts alone, so the same process always gives the same
// result and a redacted one does not change again. Slices and strings are
// replaced, never written to: others may share them. Without a secret it
// allocates nothing. What it knows and what it cannot know is in docs/sensor.md.
func (p *Process) Redact() bool { return p.RedactCut(-1) }

// RedactCut is Redact for arguments that lost their middle: Args[cut] is the
// first text behind the gap. When what stands before the gap ends inside a
// secret or asks for one, that text is its rest and is replaced whole. A cut
// outside 1 to len(Args)-1 means that the place is not known.
func (p *Process) RedactCut(cut int) bool {
	args, changed := redactArgs(p, cut)
	switch {
	case changed:
		p.Args = args
		p.Cmdline = p.Comm + " " + strings.Join(args, " ")
	case !p.ownCmdline():
		if s, ok := redactText(p.Cmdline); ok {
			p.Cmdline, changed = s, true
		}
	}
	if s, ok := redactText(p.Exe); ok {
		p.Exe, changed = s, true
	}
	shared := true
	for i, kv := range p.Env {
		if s, ok := redactEnv(kv); ok {
			if shared {
				p.Env, shared = slices.Clone(p.Env), false
			}
			p.Env[i], changed = s, true
		}
	}
	return changed
}

// RedactText returns a text with its secrets replaced: a command line, a script,
// a header, a document. It returns s itself when it holds none it knows.
func RedactText(s string) string {
	out, _ := redactText(s)
	return out
}

// ownCmdline reports whether Cmdline is Comm and Args, as a source that reads
// arguments builds it.
func (p *Process) ownCmdline() bool {
	s, ok := strings.CutPrefix(p.Cmdline, p.Comm)
	for i := 0; ok && i < len(p.Args); i++ {
		if s, ok = strings.CutPrefix(s, " "); ok {
			s, ok = strings.CutPrefix(s, p.Args[i])
		}
	}
	return ok && s == ""
}

// maxPasses bounds how often a text is read again after a change. Two are enough
// for all that is meant to be found: one to replace, one to see that nothing is
// left. What a hostile text keeps changing after that is replaced whole.
const maxPasses = 6

func redactArgs(p *Process, cut int) (args []string, changed bool) {
	args = p.Args
	first := program(p)
	for pass := 0; ; pass++ {
		var r redactor
		w := words{tool: first}
		for i, a := range args {
			if i == cut && i > 0 && (w.want == wantSecret || r.reaches(i-1, len(args[i-1]))) {
				r.arg, r.base = i, 0
				r.hit(a, 0, len(a))
				w.want = wantNothing
				continue
			}
			r.arg, r.base = i, 0
			r.word(&w, a, 0)
		}
		if r.aws {
			for i, a := range args {
				r.arg, r.base = i, 0
				r.companions(a)
			}
		}
		if len(r.hits) == 0 {
			return args, changed
		}
		if !changed {
			args = slices.Clone(args)
		}
		changed = true
		r.apply(args, pass >= maxPasses)
	}
}

// redactText redacts one text that stands alone and may hold commands.
func redactText(s string) (out string, changed bool) { return settle(s, false) }

// redactEnv redacts one K=V of an environment: a secret's whole value, and what
// else a value holds.
func redactEnv(kv string) (out string, changed bool) { return settle(kv, true) }

func settle(s string, env bool) (out string, changed bool) {
	for pass := 0; ; pass++ {
		var r redactor
		switch i := strings.IndexByte(s, '='); {
		case !env:
			if r.text(s, true) {
				r.commands(s, 0)
			}
		case i > 0 && secretKey(s[:i]) && !spare(s[:i], s[i+1:]):
			r.hit(s, i+1, len(s))
		default:
			r.text(s, false)
		}
		if r.aws {
			r.companions(s)
		}
		if len(r.hits) == 0 {
			return s, changed
		}
		one := [1]string{s}
		r.apply(one[:], pass >= maxPasses)
		s, changed = one[0], true
	}
}

// redactor collects where secrets stand. The zero value is ready.
type redactor struct {
	arg  int  // which argument is being read
	base int  // where in it the text at hand begins
	aws  bool // an AWS key id was seen: its secret may be near
	keep bool // --secret names one here, as it does for container tools
	hits []hit
}

// hit is one secret: bytes from up to to of argument arg.
type hit struct{ arg, from, to int }

// hit notes s[from:to], unless it is empty or masked already.
func (r *redactor) hit(s string, from, to int) {
	if from >= to || masked(s[from:to]) {
		return
	}
	r.hits = append(r.hits, hit{r.arg, r.base + from, r.base + to})
}

// masked reports whether a text is nothing but a mask.
func masked(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '*' {
			return false
		}
	}
	return len(s) >= len(Redacted)
}

// reaches reports whether a secret of argument arg goes up to its end.
func (r *redactor) reaches(arg, end int) bool {
	return slices.ContainsFunc(r.hits, func(h hit) bool { return h.arg == arg && h.to == end })
}

// apply puts the mark in the place of every hit, one for those that overlap.
func (r *redactor) apply(args []string, whole bool) {
	slices.SortFunc(r.hits, func(a, b hit) int {
		if a.arg != b.arg {
			return a.arg - b.arg
		}
		return a.from - b.from
	})
	for i := 0; i < len(r.hits); {
		arg := r.hits[i].arg
		s, at := args[arg], 0
		var b strings.Builder
		for i < len(r.hits) && r.hits[i].arg == arg {
			h := r.hits[i]
			for i++; i < len(r.hits) && r.hits[i].arg == arg && r.hits[i].from <= h.to; i++ {
				h.to = max(h.to, r.hits[i].to)
			}
			b.WriteString(s[at:h.from])
			b.WriteString(Redacted)
			at = h.to
		}
		b.WriteString(s[at:])
		args[arg] = b.String()
		if whole {
			args[arg] = Redacted
		}
	}
}

// want is what the next word of a command line is.
type want uint8

const (
	wantNothing  want = iota
	wantSecret        // the value of a password option
	wantHeader        // a header's value, which may begin with a scheme
	wantUserPass      // user:password
	wantCookie        // name=value
	wantScript        // a program text
)

// words is where a reader of a command line stands.
type words struct {
	tool  *tool
	login bool // the subcommand that takes -p was named
	want  want
	name  string // the option that asks for it
	by    bool   // SQL: the word before was IDENTIFIED
	quote bool   // SQL: what follows in quotes is a secret
}

// maxDepth bounds scripts within scripts.
const maxDepth = 3

// word reads one word of a command line: an argument, or a word of a script.
func (r *redactor) word(w *words, s string, depth int) {
	want, name := w.want, w.name
	w.want, w.name = wantNothing, ""
	r.keep = w.tool.names
	switch want {
	case wantSecret:
		if !optionLike(s) {
			if rest, ok := strings.CutPrefix(s, "pass:"); ok { // openssl's way to say where it comes from
				r.hit(s, len(s)-len(rest), len(s))
				return
			}
			if !spare(name, s) && !hasPrefixAny(s, "env:", "file:", "fd:") {
				r.hit(s, 0, len(s))
				return
			}
		}
	case wantHeader:
		if scheme(s) {
			w.want = wantHeader
			return
		}
		if !spare("", s) {
			r.hit(s, 0, len(s))
			return
		}
	case wantUserPass:
		r.userPass(s, 0, w.tool.sep)
	case wantCookie:
		if i := strings.IndexByte(s, '='); i >= 0 {
			r.hit(s, i+1, len(s))
		}
	case wantScript:
		r.script(s, depth)
		return
	}
	if len(s) > 1 && s[0] == '-' {
		if r.option(w, s) {
			return
		}
	} else {
		r.plain(w, s, want)
	}
	if r.text(s, w.tool.remote && strings.IndexByte(s, ' ') >= 0) {
		r.commands(s, depth+1)
	}
}

// plain takes a word that is no option: a program, a subcommand, or just a word.
func (r *redactor) plain(w *words, s string, came want) {
	t := w.tool
	if came != wantNothing {
		return // an option's value
	}
	w.login = w.login || slices.Contains(t.subs, s)
	switch {
	case slices.Contains(t.bare, s):
		w.want = wantSecret
	case t.sep == '/': // user/password@where is a word of its own
		if i, at := strings.IndexByte(s, '/'), strings.LastIndexByte(s, '@'); i > 0 {
			if at < i {
				at = len(s)
			}
			r.hit(s, i+1, at)
		}
	case t.first:
		*w = words{tool: lookup(s)}
	case (t.open || !t.known) && !w.login:
		if next := lookup(s); next.known {
			*w = words{tool: next}
		}
	}
	if n := len(s) - 1; n > 0 && s[n] == ':' && secretKey(s[:n]) && !strings.ContainsAny(s, "/=") {
		w.want = wantHeader
	}
}

// option reads a word that begins with a dash. It reports whether all of it is
// dealt with.
func (r *redactor) option(w *words, s string) bool {
	name := s[1:]
	if name == "-" {
		w.tool, w.login = &tools[toolWrapper], false // a command follows
		return true
	}
	long := name[0] == '-'
	if long {
		name = name[1:]
	}
	eq := strings.IndexByte(name, '=')
	if eq >= 0 {
		name = name[:eq]
	}
	if !long && r.short(w, s) {
		return true
	}
	if !long && len(name) < 4 {
		return false
	}
	if pairOption(name) || long && w.tool.user && (name == "user" || name == "proxy-user" || name == "auth") {
		if eq >= 0 {
			r.userPass(s, len(s)-len(s[strings.IndexByte(s, '=')+1:]), ':')
		} else {
			w.want = wantUserPass
		}
		return false
	}
	if eq >= 0 {
		return false // the text's reading finds it
	}
	switch {
	case w.tool.cookie && name == "cookie":
		w.want = wantCookie
	case w.tool.eval != "" && (name == "eval" || name == "command" || name == "Command"):
		w.want = wantScript
	case w.tool.names && name == "secret" || negated(name):
	case secretKey(name), name == "oauth2-bearer", name == "passin", name == "passout":
		w.want, w.name = wantSecret, name
	}
	return false
}

// short reads a bundle of one-letter options of a known tool.
func (r *redactor) short(w *words, s string) bool {
	t := w.tool
	if !t.known {
		return false
	}
	if t.eval != "" && isLetters(s[1:]) && strings.IndexByte(t.eval, s[len(s)-1]) >= 0 {
		w.want = wantScript
		return true
	}
	for i := 1; i < len(s); i++ {
		c := s[i]
		switch {
		case strings.IndexByte(t.joined, c) >= 0:
			r.hit(s, i+1, len(s))
			return true
		case strings.IndexByte(t.pass, c) >= 0 && (t.subs == nil || w.login):
			if i+1 == len(s) {
				w.want = wantSecret
			} else if t.subs == nil || !isLetters(s[i+1:]) || len(s)-i > 4 {
				r.hit(s, i+1, len(s))
			}
			return true
		case strings.IndexByte(t.pair, c) >= 0:
			if i+1 == len(s) {
				w.want = wantUserPass
			} else {
				r.userPass(s, i+1, t.sep)
			}
			return true
		case t.cookie && c == 'b':
			if i+1 == len(s) {
				w.want = wantCookie
			}
			return true
		case strings.IndexByte(t.flags, c) < 0:
			return false
		}
	}
	return false
}

// userPass takes user:password from s[from:].
func (r *redactor) userPass(s string, from int, sep byte) {
	if sep == 0 {
		sep = ':'
	}
	i := strings.IndexByte(s[from:], sep)
	if i < 0 {
		return
	}
	i += from + 1
	switch {
	case i < len(s):
		r.hit(s, i, len(s))
	case i-1-from >= 16: // a key in the place of the user
		r.hit(s, from, i-1)
	}
}

// script reads a program text: commands in a shell's writing, or the code of
// another language, of which only the quotes and assignments are understood.
func (r *redactor) script(s string, depth int) {
	r.text(s, true)
	r.commands(s, depth)
}

// commands splits a text into words as a shell does and reads each.
func (r *redactor) commands(s string, depth int) {
	if depth > maxDepth {
		return
	}
	base := r.base
	w := words{tool: &tools[toolUnknown]}
	for i := 0; i < len(s); {
		switch c := s[i]; c {
		case ' ', '\t', '\r', '<', '>':
			i++
			continue
		case '\n', ';', '|', '&', '(', ')', '`':
			w = words{tool: &tools[toolUnknown]}
			i++
			continue
		}
		from := i
		i = wordEnd(s, i)
		in, to, quote := unquote(s, from, i)
		r.base = base + in
		part := s[in:to]
		if (w.want == wantSecret || w.want == wantHeader) && quote != '\'' && reference(part) {
			w.want = wantNothing
		}
		if quote != '\'' && (strings.HasPrefix(part, "-")) {
			if j := strings.IndexByte(part, '$'); j > 0 && j <= 2 && reference(part[j:]) {
				continue // -p$VARIABLE
			}
		}
		r.sql(&w, part, quote)
		r.word(&w, part, depth)
	}
	r.base = base
}

// sql follows PASSWORD 'x' and IDENTIFIED BY 'x'.
func (r *redactor) sql(w *words, s string, quote byte) {
	if w.quote && quote != 0 && !spare("", s) {
		r.hit(s, 0, len(s))
	}
	by := w.by
	w.by = len(s) == 10 && strings.EqualFold(s, "identified")
	w.quote = quote == 0 && (len(s) == 8 && strings.EqualFold(s, "password") || by && strings.EqualFold(s, "by"))
}

// wordEnd returns where the word that begins at i ends, quotes understood.
func wordEnd(s string, i int) int {
	for ; i < len(s); i++ {
		switch c := s[i]; c {
		case ' ', '\t', '\r', '\n', ';', '|', '&', '(', ')', '<', '>', '`':
			return i
		case '\\':
			i++
		case '\'', '"':
			if n := closing(s, i+1, c); n < len(s) {
				i = n
			}
		}
	}
	return min(i, len(s))
}

// closing returns where the quote c ends a text that begins at i, len(s) if it
// does not.
func closing(s string, i int, c byte) int {
	for ; i < len(s); i++ {
		if s[i] == '\\' && c != '\'' {
			i++
		} else if s[i] == c {
			return i
		}
	}
	return len(s)
}

// unquote takes the quotes off a word that is one quoted text.
func unquote(s string, from, to int) (in, out int, quote byte) {
	if q := s[from]; (q == '\'' || q == '"') && to-from >= 2 && closing(s, from+1, q) == to-1 {
		return from + 1, to - 1, q
	}
	return from, to, 0
}
