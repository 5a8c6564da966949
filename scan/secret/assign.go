package secret

import (
	"bytes"

	"github.com/dockreeve/dockreeve/finding"
)

// telling are the names whose value is a secret, in lower case without - _ and dots.
// weak ones are words of programming too and ask more of the value.
var telling = [...]struct {
	end  string
	weak bool
}{
	{"password", false}, {"passwd", false}, {"passphrase", false}, {"pass", true}, {"pwd", false},
	{"clientsecret", false}, {"secretkey", false}, {"secretaccesskey", false}, {"secret", true}, {"secretid", true},
	{"apikey", false}, {"apitoken", false}, {"accesstoken", false}, {"authtoken", false}, {"token", true}, {"apisecret", false},
}

// matchAssign finds NAME = value where the name tells that the value is a secret and the
// value looks like one. at lies within the name.
func matchAssign(f *finder, k *kind, at int) {
	b := f.content
	end := run(b, at, 40, base62|dash|dot)
	// Cheap: what follows a name that is assigned to.
	i := end
	for i < len(b) && i-end < 8 && (b[i] == ' ' || b[i] == '\t' || b[i] == '"' || b[i] == '\'' || b[i] == ']' || b[i] == '\\') {
		i++
	}
	if i >= len(b) || b[i] != '=' && b[i] != ':' {
		if i >= len(b) || b[i] != '>' || !bytes.HasPrefix(b[i:], []byte(">")) || !f.place.config {
			return
		}
	}
	if f.place.vendor || f.place.doc || f.place.other {
		return
	}
	element := b[i] == '>' // <password>value</password>
	op := b[i]
	i++
	if op == ':' && i < len(b) && (b[i] == '=' || b[i] == ':') || op == '=' && i < len(b) && b[i] == '>' {
		i++
	} else if i < len(b) && b[i] == '=' {
		return // a comparison
	}
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	if i >= len(b) {
		return
	}
	from := runBack(b, at, 64, base62|dash|dot)
	if from > 0 && (b[from-1] == '$' || b[from-1] == '{') {
		return
	}
	name := b[from:end]
	weak, ok := tellingName(name)
	if !ok {
		return
	}
	var value []byte
	switch q := b[i]; {
	case element:
		n := bytes.IndexByte(b[i:min(len(b), i+512)], '<')
		if n < 0 {
			return
		}
		value = b[i : i+n]
	case q == '"' || q == '\'' || q == '`':
		i++
		n := bytes.IndexByte(b[i:min(len(b), i+512)], q)
		if n < 0 {
			return
		}
		value = b[i : i+n]
	case f.place.config:
		n := 0
		stop := []byte(" \t\r\n,;#\"'<>)}]&")
		for i+n < len(b) && n < 512 && bytes.IndexByte(stop, b[i+n]) < 0 {
			n++
		}
		value = b[i : i+n]
	default:
		return // in a program an unquoted value is an expression
	}
	if low := bytes.ToLower(name); awsLike(value) && (bytes.Contains(low, []byte("aws")) || bytes.Contains(low, []byte("secret_access")) || bytes.Contains(low, []byte("secretaccess"))) {
		f.found(&awsSecret, i, i+len(value))
		return
	}
	if !f.plausible(name, value, weak) {
		return
	}
	r := *k
	severity := r.severity
	if !f.place.config {
		severity = finding.Low
	}
	if bytes.Contains(bytes.ToLower(b[max(0, from-200):min(len(b), from+200)]), []byte("server=")) && from > 0 && (b[from-1] == ';' || b[from-1] == ' ') {
		r.id, r.title, severity = "connection-string", "Password in a connection string", finding.High
	}
	f.foundAs(&r, severity, value, i, i+len(value))
}

// tellingName reports whether a name ends in a word that tells.
func tellingName(name []byte) (weak, ok bool) {
	var buf [64]byte
	n := 0
	for _, c := range name {
		if classes[c]&(dash|dot) != 0 || n == len(buf) {
			continue
		}
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		buf[n] = c
		n++
	}
	for _, t := range telling {
		if bytes.HasSuffix(buf[:n], []byte(t.end)) {
			return t.weak, true
		}
	}
	return false, false
}

// plausible judges the value of an assignment: its length, its classes of characters and
// its entropy, more strictly in programs and for names that mean other things too.
func (f *finder) plausible(name, value []byte, weak bool) bool {
	least, bits := 8, 2.7
	if weak || !f.place.config {
		least, bits = 16, 3.3
	}
	if len(value) < least || len(value) > 256 || placeholder(value) || entropy(value) < bits {
		return false
	}
	var all class
	letters, digits, signs := 0, 0, 0
	for _, c := range value {
		if c < 0x21 || c > 0x7e {
			return false
		}
		all |= classes[c]
		switch {
		case classes[c]&(lower|upper) != 0:
			letters++
		case classes[c]&digit != 0:
			digits++
		default:
			signs++
		}
	}
	if letters == 0 || digits == 0 || !weak && f.place.config && all&lower == 0 && all&upper == 0 {
		return false
	}
	// Paths, addresses, versions, expressions and names of things are no secrets.
	if bytes.HasPrefix(value, []byte("eyJ")) || bytes.Contains(value, []byte("://")) || value[0] == '/' || value[0] == '.' || bytes.HasPrefix(value, []byte("sha256:")) || bytes.HasPrefix(value, []byte("SHA256:")) ||
		bytes.ContainsAny(value, "()[]{}<>|\\ ") && signs*3 > len(value) || bytes.Count(value, []byte(".")) > 2 || bytes.Count(value, []byte("/")) > 2 {
		return false
	}
	if weak || !f.place.config {
		return digits >= 2 && random(value, 36) && !words(value)
	}
	return !words(value) || signs > 0
}

// words reports whether a value is made of words with - _ or . between them.
func words(v []byte) bool {
	parts := 0
	digitsIn := 0
	for _, p := range bytes.FieldsFunc(v, func(r rune) bool { return r == '-' || r == '_' || r == '.' || r == ':' || r == '/' }) {
		var all class
		for _, c := range p {
			all |= classes[c]
		}
		if all&(lower|upper) != 0 && all&digit != 0 {
			digitsIn++
		}
		parts++
	}
	return parts > 1 && digitsIn <= parts/3
}

// templated reports whether a value is filled in elsewhere.
func templated(v []byte) bool {
	if len(v) == 0 {
		return true
	}
	switch v[0] {
	case '$', '<', '{', '%', '[', '@', '#':
		return true
	}
	return bytes.Contains(v, []byte("${")) || bytes.Contains(v, []byte("{{")) || bytes.Contains(v, []byte("$(")) || bytes.Contains(v, []byte("%s")) || bytes.Contains(v, []byte("#{")) ||
		v[len(v)-1] == '>' || v[len(v)-1] == '}' || v[0] == '*' || v[0] == '='
}

// placeholder reports whether a password stands for one that is filled in elsewhere, is
// blotted out, or is a word that documents use.
func placeholder(v []byte) bool {
	if templated(v) {
		return true
	}
	same := true
	for _, c := range v {
		same = same && c == v[0]
	}
	if same {
		return true
	}
	low := bytes.ToLower(v)
	switch string(low) {
	case "pass", "passwd", "password", "pwd", "pw", "secret", "token", "null", "none", "nil", "true", "false", "undefined", "user", "test", "changeit", "mypassword", "mysecret", "mytoken", "required",
		"optional", "string", "yes", "no", "admin", "root", "guest", "abc123", "abcd", "abcd1234", "1234", "12345", "123456", "12345678", "foobar", "hunter2", "pass123", "password1", "password123", "secret123", "test123", "x-oauth-basic":
		return true
	}
	for _, w := range [...]string{"example", "xxxx", "dummy", "placeholder", "changeme", "change_me", "change-me", "replace", "redacted", "your_", "your-", "yourpass", "yoursecret", "<", "****", "...", "todo", "insert", "fixme"} {
		if bytes.Contains(low, []byte(w)) {
			return true
		}
	}
	return false
}
