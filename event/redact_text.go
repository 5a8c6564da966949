package event

import (
	"encoding/base64"
	"strings"
)

// interest names the bytes at which a secret of a known shape may begin or be
// assigned: 1 an assignment, 2 a colon, 3 a dash, 4 the first letter of a token,
// 5 the '~' of an Azure secret, 6 a blank.
var interest = [256]uint8{
	'=': 1, ':': 2, '-': 3,
	'A': 4, 'B': 4, 'b': 4, 'd': 4, 'e': 4, 'G': 4, 'g': 4, 'h': 4, 'n': 4, 'p': 4, 'r': 4, 'S': 4, 's': 4, 'x': 4, 'y': 4,
	'~': 5, ' ': 6, '\t': 6, '\n': 6,
}

// text finds the secrets that a text shows by itself: assignments to telling
// names, headers, addresses with a password, tokens and private keys. In a script
// an unquoted value ends where a shell's word does. It reports whether there are blanks outside what it found.
func (r *redactor) text(s string, script bool) (blank bool) {
	for i := 0; i < len(s); i++ {
		switch interest[s[i]] {
		case 0:
		case 1:
			i = r.assign(s, i, script)
		case 2:
			if strings.HasPrefix(s[i:], "://") {
				i = r.address(s, i, script)
			} else {
				i = r.colon(s, i, script)
			}
		case 3:
			if strings.HasPrefix(s[i:], pemBegin) {
				i = r.pem(s, i)
			}
		case 4:
			if len(s)-i >= minToken && (i == 0 || !alnum(s[i-1]) && s[i-1] != '_') {
				i = r.token(s, i)
			}
		case 5:
			i = r.azureSecret(s, i)
		case 6:
			blank = true
		}
	}
	return blank
}

// minToken is the length of the shortest text that token looks for.
const minToken = len("Basic ") + 6

// maxLook bounds how far a pattern looks around the byte that raised it, so that
// a hostile text costs no more than a constant for each byte.
const maxLook = 4096

// keyBefore returns where the name that ends at end begins.
func keyBefore(s string, end int) int {
	from := end
	for from > 0 && end-from < 96 && (alnum(s[from-1]) || s[from-1] == '_' || s[from-1] == '-' || s[from-1] == '.') {
		from--
	}
	return from
}

// assign reads KEY=VALUE around the '=' at i and returns the last byte dealt with.
func (r *redactor) assign(s string, i int, script bool) int {
	end := i
	if end > 0 && (s[end-1] == ':' || s[end-1] == '+' || s[end-1] == '?') {
		end--
	}
	spaced := false
	for end > 0 && i-end < 8 && (s[end-1] == ' ' || s[end-1] == '\t') {
		end--
		spaced = true
	}
	for end > 0 && i-end < 12 && (s[end-1] == '"' || s[end-1] == '\'' || s[end-1] == ']' || s[end-1] == '\\') {
		end--
	}
	if end == 0 || !endsKey[s[end-1]] {
		return i
	}
	from := keyBefore(s, end)
	key := s[from:end]
	if !secretKey(key) || r.keep && from == 0 && key == "--secret" {
		return i
	}
	at := i + 1
	if at < len(s) && (s[at] == '>' || spaced && s[at] == '=') {
		at, spaced = at+1, true
	}
	for spaced && at < len(s) && (s[at] == ' ' || s[at] == '\t') {
		at++
	}
	if at >= len(s) || spaced && script && s[at] == '=' {
		return i
	}
	to := r.valueEnd(s, from, at, end-from, script)
	if q := s[at]; to < 0 {
		at, to = at+1, closing(s, at+1, q)
	}
	switch v := s[at:to]; {
	case strings.HasPrefix(strings.TrimLeft(v, `"'`), "-----BEGIN"): // its body is found on the way
		return i
	case spare(key, v) || script && reference(v):
		return i
	}
	r.hit(s, at, to)
	return max(i, to-1)
}

// valueEnd returns where a value that begins at at ends; -1 means at the quote
// that closes the one it begins with. Its key begins at from and is n long.
func (r *redactor) valueEnd(s string, from, at, n int, script bool) int {
	start := !script && (from == 0 || s[0] == '-' && s[from-1] == '=' && strings.IndexByte(s[:from-1], '=') < 0)
	if start && (s[0] == '-' || capitals(s[from:from+n])) {
		return len(s) // an option or a variable: all of it is the value
	}
	if q := s[at]; q == '"' || q == '\'' {
		if c := closing(s, at+1, q); c < len(s) && (!start || c == len(s)-1 || !alnum(s[c+1])) {
			return -1
		}
	}
	in := quoteAround(s, from)
	switch {
	case script:
		return endAt(s, at, " \t\r\n;|&<>()`'\",", in)
	case start:
		for i := at; i < len(s); i++ {
			switch s[i] {
			case ' ', '\t', '\n', ',', ';', '&':
				if startsAssign(s[i+1:]) {
					return i
				}
			}
		}
		return len(s)
	}
	switch s[from-1] {
	case ';':
		return endAt(s, at, ";\n", in)
	case '&', '?':
		return endAt(s, at, "&# \t\n", in)
	case ',':
		return endAt(s, at, ", \t\n", in)
	case ' ', '\t', '\n':
		return endAt(s, at, " \t\r\n", in)
	case '"', '\'':
		return endAt(s, at, "\n", in)
	}
	return endAt(s, at, " \t\n,;)}", in)
}

// endAt returns the place of the first byte of set or quote from at on.
func endAt(s string, at int, set string, quote byte) int {
	var stop [256]bool
	for i := 0; i < len(set); i++ {
		stop[set[i]] = true
	}
	stop[quote] = stop[quote] || quote != 0
	for at < len(s) && !stop[s[at]] {
		at++
	}
	return at
}

// quoteAround returns the quote that is open at byte at, 0 for none.
func quoteAround(s string, at int) (open byte) {
	for i := max(0, at-maxLook); i < at; i++ {
		switch c := s[i]; {
		case c == '\\' && open != '\'':
			i++
		case open == 0 && (c == '"' || c == '\''):
			open = c
		case c == open:
			open = 0
		}
	}
	return open
}

// startsAssign reports whether a text goes on with another KEY=.
func startsAssign(s string) bool {
	i := 0
	for i < len(s) && i < 8 && s[i] == ' ' {
		i++
	}
	from := i
	for i < len(s) && i-from < 64 && (alnum(s[i]) || s[i] == '_' || s[i] == '-' || s[i] == '.') {
		i++
	}
	return i > from && i < len(s) && s[i] == '='
}

// colon reads a header, or a member of JSON or YAML, around the ':' at i and
// returns the last byte dealt with.
func (r *redactor) colon(s string, i int, script bool) int {
	end := i
	quoted := end > 0 && (s[end-1] == '"' || s[end-1] == '\'')
	if quoted {
		if end--; end > 0 && s[end-1] == '\\' {
			end--
		}
	}
	if end == 0 || !endsKey[s[end-1]] {
		return i
	}
	from := keyBefore(s, end)
	key := s[from:end]
	cookie := headerKey(key)
	if !secretKey(key) && !cookie || from > 0 && s[from-1] == '/' {
		return i
	}
	at := i + 1
	for at < len(s) && (s[at] == ' ' || s[at] == '\t') {
		at++
	}
	if at >= len(s) {
		return i
	}
	blank := at > i+1
	esc := s[at] == '\\' && at+1 < len(s) && s[at+1] == '"'
	if esc {
		at++
	}
	if q := s[at]; q == '"' || q == '\'' {
		at++
		to := closing(s, at, q)
		if esc {
			if to = strings.Index(s[at:], `\"`); to < 0 {
				to = len(s) - at
			}
			to += at
		}
		return r.credentials(s, key, i, at, to, script)
	}
	start := from == 0 || s[from-1] == '"' || s[from-1] == '\'' || s[from-1] == '\n' || s[from-1] == '='
	switch in := quoteAround(s, from); {
	case quoted:
		return r.credentials(s, key, i, at, endAt(s, at, " \t\r\n,}]", in), script)
	case !blank && !(start && (cookie || strings.IndexByte(key, '-') > 0 || strings.EqualFold(key, "apikey") || strings.EqualFold(key, "password") || strings.EqualFold(key, "token"))):
		return i
	case start && (!script || in != 0):
		return r.credentials(s, key, i, at, endAt(s, at, "\r\n", in), script)
	case cookie: // a scheme and a word
		to := endAt(s, at, " \t\r\n;|&<>()`", in)
		if scheme(s[at:to]) {
			for to < len(s) && s[to] == ' ' {
				to++
			}
			to = endAt(s, to, " \t\r\n;|&<>()`", in)
		}
		return r.credentials(s, key, i, at, to, script)
	default:
		return r.credentials(s, key, i, at, endAt(s, at, " \t\r\n;|&<>()`,}", in), script)
	}
}

// credentials takes the value of a header or member, without the scheme of an
// Authorization.
func (r *redactor) credentials(s, key string, i, at, to int, script bool) int {
	if n := strings.IndexByte(s[at:to], ' '); n > 0 && scheme(s[at:at+n]) {
		at += n
		for at < to && s[at] == ' ' {
			at++
		}
	}
	v := s[at:to]
	if strings.HasPrefix(v, "-----BEGIN") || spare(key, v) || script && reference(v) || scheme(v) {
		return i
	}
	r.hit(s, at, to)
	return max(i, to-1)
}

// scheme reports whether a word is a way to authorise and not yet the secret.
func scheme(s string) bool {
	switch len(s) {
	case 3:
		return strings.EqualFold(s, "bot") || strings.EqualFold(s, "jwt")
	case 5:
		return strings.EqualFold(s, "basic") || strings.EqualFold(s, "token")
	case 6:
		return strings.EqualFold(s, "bearer") || strings.EqualFold(s, "digest") || strings.EqualFold(s, "apikey")
	case 9:
		return strings.EqualFold(s, "negotiate") || strings.EqualFold(s, "sharedkey")
	}
	return strings.EqualFold(s, "AWS4-HMAC-SHA256") || strings.EqualFold(s, "SharedAccessSignature")
}

// address reads the user and password of scheme://user:password@host, whose colon
// is at i.
func (r *redactor) address(s string, i int, script bool) int {
	at := i + 3
	if i == 0 || !alnum(s[i-1]) || strings.IndexByte(s[at:min(len(s), at+maxLook)], '@') < 0 {
		return i
	}
	stop := " \t\r\n\"'<>`|)\\"
	if !script && strings.IndexAny(s[max(0, i-256):i], " \t\n\"'<>`") < 0 {
		stop = " \t\r\n" // the word is all the address's, or an option's value
	}
	window := s[:min(len(s), at+maxLook)]
	slash := endAt(window, at, stop+"/?#", 0) - at
	seg := window[at : at+slash]
	host := strings.LastIndexByte(seg, '@')
	col := strings.IndexByte(seg, ':')
	if host < 0 && col > 0 && seg[0] != '[' && !digits(seg[col+1:]) {
		// A password written with a slash in it, against the rules.
		seg = s[at:min(len(s), at+slash+256)]
		seg = seg[:endAt(seg, 0, stop, 0)]
		host = strings.IndexByte(seg, '@')
	}
	switch {
	case host < 0:
		return i
	case col >= 0 && col < host:
		if v := seg[col+1 : host]; !(script && reference(v)) {
			r.hit(s, at+col+1, at+host)
		}
		if col >= 20 && tokenLike(seg[:col]) {
			r.hit(s, at, at+col)
		}
	case host >= 20 && tokenLike(seg[:host]):
		r.hit(s, at, at+host)
	}
	return at + host
}

const pemBegin = "-----BEGIN "

// pem takes the body of a private key that begins at i.
func (r *redactor) pem(s string, i int) int {
	head := strings.Index(s[i+len(pemBegin):min(len(s), i+80)], "-----")
	if head < 0 {
		return i
	}
	body := i + len(pemBegin) + head + len("-----")
	if !strings.Contains(s[i:body], "PRIVATE KEY") {
		return body - 1
	}
	to := body
	if n := strings.Index(s[body:], "-----END"); n >= 0 {
		to += n
	} else {
		for to < len(s) && (base64Byte(s[to]) || strings.IndexByte("\r\n\\-:,", s[to]) >= 0) {
			to++
		}
	}
	run := 0
	for _, c := range []byte(s[body:to]) {
		if run++; !base64Byte(c) {
			run = 0
		}
		if run == 16 { // a search for the header has no such run
			r.hit(s, body, to)
			return to - 1
		}
	}
	return body - 1
}

// tokenForm is how a kind of token looks: a prefix and at least min more bytes.
type tokenForm struct {
	prefix string
	min    int
	more   string // what it may hold besides letters and digits
}

// tokenForms are the credentials that name themselves, by first letter.
var tokenForms = [...]tokenForm{
	{"AIza", 35, "_-"}, {"GOCSPX-", 20, "_-"}, {"SG.", 30, "_-."},
	{"dapi", 32, "-"}, {"dckr_pat_", 20, "_-"}, {"dop_v1_", 40, ""},
	{"ghp_", 36, ""}, {"gho_", 36, ""}, {"ghu_", 36, ""}, {"ghs_", 36, "_-."}, {"ghr_", 36, ""}, {"github_pat_", 40, "_"},
	{"glpat-", 20, "_-."}, {"gldt-", 20, "_-"}, {"glrt-", 20, "_-"}, {"glcbt-", 20, "_-"}, {"glptt-", 20, "_-"},
	{"hf_", 30, ""}, {"hvs.", 24, "_-"}, {"hvb.", 24, "_-"},
	{"npm_", 36, ""}, {"pypi-", 50, "_-"}, {"rk_live_", 16, ""},
	{"sk_live_", 16, ""}, {"sk_test_", 16, ""}, {"sk-", 32, "_-"}, {"shpat_", 32, ""},
	{"xoxa-", 20, "-"}, {"xoxb-", 20, "-"}, {"xoxp-", 20, "-"}, {"xoxr-", 20, "-"}, {"xoxs-", 20, "-"}, {"xoxe-", 20, "-"}, {"xoxe.", 20, "-."}, {"xapp-", 20, "-"},
	{"ya29.", 30, "_-."},
}

// mayBegin reports whether a form of tokenForms begins with these two bytes. It
// spares nearly every word the walk over all of them.
func mayBegin(a, b byte) bool {
	switch a {
	case 'A':
		return b == 'I'
	case 'G':
		return b == 'O'
	case 'S':
		return b == 'G'
	case 'd':
		return b == 'a' || b == 'c' || b == 'o'
	case 'g':
		return b == 'h' || b == 'i' || b == 'l'
	case 'h':
		return b == 'f' || b == 'v'
	case 'n':
		return b == 'p'
	case 'p':
		return b == 'y'
	case 'r':
		return b == 'k'
	case 's':
		return b == 'k' || b == 'h'
	case 'x':
		return b == 'o' || b == 'a'
	case 'y':
		return b == 'a'
	}
	return false
}

// token reads a credential of a known form, a JWT, or what follows the word
// Bearer or Basic, at i.
func (r *redactor) token(s string, i int) int {
	t := s[i:]
	switch t[0] {
	case 'e':
		if n := jwt(t); n > 0 {
			r.hit(s, i, i+n)
			return i + n - 1
		}
		return i
	case 'A':
		if awsID(t) {
			r.aws = true
			return i + 19
		}
	case 'B', 'b':
		if t[1]|0x20 == 'a' || t[1]|0x20 == 'e' {
			return r.spoken(s, i)
		}
		return i
	}
	if len(t) < 20 || !mayBegin(t[0], t[1]) {
		return i
	}
	for k := range tokenForms {
		f := &tokenForms[k]
		if !strings.HasPrefix(t, f.prefix) {
			continue
		}
		if n := run(t, len(f.prefix), f.more); n-len(f.prefix) >= f.min {
			r.hit(s, i, i+n)
			return i + n - 1
		}
	}
	return i
}

// run returns where letters, digits and more, from byte at on, end.
func run(s string, at int, more string) int {
	for at < len(s) && (alnum(s[at]) || strings.IndexByte(more, s[at]) >= 0) {
		at++
	}
	return at
}

// jwt returns the length of the signed token that s begins with, 0 for none.
func jwt(s string) int {
	if !strings.HasPrefix(s, "eyJ") {
		return 0
	}
	n, parts := run(s[:min(len(s), 1024)], 3, "_-"), 1
	if n < 12 || n >= 1024 {
		return 0
	}
	for parts < 5 && n+1 < len(s) && s[n] == '.' {
		next := run(s, n+1, "_-")
		if next == n+1 && parts > 1 {
			break
		}
		if next-n < 8 && parts == 1 {
			return 0
		}
		n, parts = next, parts+1
	}
	if parts < 2 {
		return 0
	}
	return n
}

// awsID reports whether s begins with the id of an AWS access key.
func awsID(s string) bool {
	if len(s) < 20 || !hasPrefixAny(s, "AKIA", "ASIA") || len(s) > 20 && alnum(s[20]) {
		return false
	}
	for i := 4; i < 20; i++ {
		if c := s[i]; c < '0' || c > '9' && c < 'A' || c > 'Z' {
			return false
		}
	}
	return true
}

// companions takes what stands beside the id of an AWS access key: its secret,
// 40 bytes, and session tokens.
func (r *redactor) companions(s string) {
	for i := 0; i < len(s); i++ {
		if !base64Byte(s[i]) || s[i] == '=' {
			continue
		}
		from := i
		upper, lower := false, false
		for i < len(s) && base64Byte(s[i]) && s[i] != '=' {
			upper = upper || s[i] >= 'A' && s[i] <= 'Z'
			lower = lower || s[i] >= 'a' && s[i] <= 'z'
			i++
		}
		if n := i - from; upper && lower && (n == 40 || n >= 100) && !rooted(s[from:i]) {
			r.hit(s, from, i)
		}
	}
}

// spoken reads Bearer TOKEN and Basic BASE64 outside a header.
func (r *redactor) spoken(s string, i int) int {
	const bearer, basic = "bearer ", "basic "
	t := s[i:]
	switch {
	case len(t) > len(bearer) && strings.EqualFold(t[:len(bearer)], bearer):
		n := run(t, len(bearer), "-._~+/=")
		if v := t[len(bearer):n]; len(v) >= 16 && tokenLike(v) {
			r.hit(s, i+len(bearer), i+n)
			return i + n - 1
		}
	case len(t) > len(basic) && strings.EqualFold(t[:len(basic)], basic):
		n := run(t, len(basic), "+/=")
		v := strings.TrimRight(t[len(basic):n], "=")
		if len(v) < 6 || len(v) > maxLook {
			return i
		}
		if b, err := base64.RawStdEncoding.DecodeString(v); err == nil && strings.IndexByte(string(b), ':') >= 0 {
			r.hit(s, i+len(basic), i+n)
			return i + n - 1
		}
	}
	return i
}

// azureSecret takes the secret of an Entra application: 40 bytes of which the
// fourth to sixth are a digit, Q and the '~' at i.
func (r *redactor) azureSecret(s string, i int) int {
	if i < 5 || s[i-1] != 'Q' || s[i-2] < '0' || s[i-2] > '9' {
		return i
	}
	from, to := i-5, run(s[:min(len(s), i+64)], i+1, "_-.~")
	if n := to - i - 1; n < 31 || n > 40 || !alnum(s[from]) || !alnum(s[from+1]) || !alnum(s[from+2]) {
		return i
	}
	r.hit(s, from, to)
	return to - 1
}

func alnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func base64Byte(c byte) bool { return alnum(c) || c == '+' || c == '/' || c == '=' }
