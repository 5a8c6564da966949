package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/dockreeve/dockreeve/finding"
)

// contextMemo remembers what is looked up once for each text.
type contextMemo struct {
	twilio bool
}

// matchURL finds scheme://user:password@host; at is the last byte of the scheme.
func matchURL(f *finder, k *kind, at int) {
	b := f.content
	from := at + 4
	end := from
	host := -1
scan:
	for ; end < len(b) && end-from < 400; end++ {
		switch b[end] {
		case '@':
			host = end
		case '/', '?', '#', ' ', '\t', '\r', '\n', '"', '\'', '<', '>', '`', ')', '\\', ',', ';', '|':
			break scan
		}
	}
	if host < 0 || end == from {
		return
	}
	colon := bytes.IndexByte(b[from:host], ':')
	if colon < 0 {
		return
	}
	pass := from + colon + 1
	value, user, server := b[pass:host], b[from:from+colon], b[host+1:end]
	if len(value) < 4 || placeholder(value) || len(user) > 0 && templated(user) || len(server) < 2 || reserved(server) || bytes.EqualFold(user, value) {
		return
	}
	if f.place.doc || f.place.vendor { // what others' programs say of addresses are examples
		return
	}
	scheme := string(bytes.ToLower(b[runBack(b, at+1, 24, base62|plus|dot|dash) : at+1]))
	r := *k
	severity := r.severity
	switch scheme {
	case "postgres", "postgresql", "mysql", "mariadb", "mongodb", "mongodb+srv", "redis", "rediss", "amqp", "amqps", "mssql", "sqlserver", "clickhouse", "cockroachdb", "nats", "ldap", "ldaps", "smtp", "smtps", "jdbc":
		r.id, r.title = "connection-string", "Password in the address of a "+service(scheme)
	case "http", "https", "ftp", "sftp", "git", "ssh", "svn", "socks5", "proxy":
	default:
		severity = finding.Medium
	}
	if local(server) {
		severity = finding.Low
	}
	f.foundAs(&r, severity, value, pass, host)
}

func service(scheme string) string {
	switch scheme {
	case "redis", "rediss":
		return "Redis server"
	case "amqp", "amqps", "nats":
		return "message broker"
	case "ldap", "ldaps":
		return "directory"
	case "smtp", "smtps":
		return "mail server"
	}
	return "database"
}

// reserved reports whether a host is one that documents use: the names kept free for
// examples, and words that stand for a host.
func reserved(host []byte) bool {
	h := strings.ToLower(string(host))
	if i := strings.LastIndexByte(h, ':'); i >= 0 {
		h = h[:i]
	}
	if templated(host) {
		return true
	}
	for _, s := range [...]string{"example.com", "example.org", "example.net", ".example", ".test", ".invalid", "domain.com", "domain.tld"} {
		if strings.HasSuffix(h, s) {
			return true
		}
	}
	switch h {
	case "host", "hostname", "example", "server", "domain", "address", "myhost", "my-host", "somewhere", "foo", "bar", "a", "b", "h":
		return true
	}
	return false
}

func local(host []byte) bool {
	return bytes.HasPrefix(host, []byte("localhost")) || bytes.HasPrefix(host, []byte("127.0.0.1")) || bytes.HasPrefix(host, []byte("[::1]"))
}

// matchSlackHook finds hooks.slack.com/services/T…/B…/….
func matchSlackHook(f *finder, k *kind, at int) {
	const host = "hooks.slack.com/services/"
	b := f.content
	from := at - 4
	if from < 0 || !bytes.HasPrefix(b[from:], []byte(host)) {
		return
	}
	i := from + len(host)
	t := run(b, i, 16, upper|digit)
	if t-i < 8 || b[i] != 'T' || t >= len(b) || b[t] != '/' {
		return
	}
	c := run(b, t+1, 16, upper|digit)
	if c-t < 9 || b[t+1] != 'B' || c >= len(b) || b[c] != '/' {
		return
	}
	e := run(b, c+1, 32, base62)
	if n := e - c - 1; n < 20 || n > 28 || !random(b[c+1:e], 62) {
		return
	}
	f.found(k, c+1, e)
}

// matchTwilio looks through a text that names Twilio for key ids, once.
func matchTwilio(f *finder, k *kind, at int) {
	b := f.content
	if f.context.twilio || at+6 > len(b) || !bytes.EqualFold(b[at:at+6], []byte("twilio")) {
		return
	}
	f.context.twilio = true
	for i := 0; ; i++ {
		j := bytes.Index(b[i:], []byte("SK"))
		if j < 0 {
			return
		}
		i += j
		to := run(b, i+2, 33, hexa)
		if to-i == 34 && startsWord(b, i) && (to == len(b) || classes[b[to]]&base62 == 0) && random(b[i+2:to], 16) {
			f.found(k, i, to)
		}
	}
}

// matchOpenAI finds keys by the mark in their middle.
func matchOpenAI(f *finder, k *kind, at int) {
	const mark = "T3BlbkFJ"
	b := f.content
	if !bytes.HasPrefix(b[at:], []byte(mark)) {
		return
	}
	from := runBack(b, at, 120, base64u)
	to := run(b, at+len(mark), 120, base64u)
	if !bytes.HasPrefix(b[from:], []byte("sk-")) || to-at-len(mark) < 20 || at-from < 20 || !random(b[at+len(mark):to], 62) {
		return
	}
	f.found(k, from, to)
}

// matchAuths finds the credentials of a registry configuration: config.json of Docker,
// auth.json of Podman, and Kubernetes secrets of that kind.
func matchAuths(f *finder, k *kind, at int) {
	b := f.content
	if at < 3 || !bytes.HasPrefix(b[at-3:], []byte(`"auths"`)) {
		return
	}
	end := min(len(b), at+maxKey)
	for _, field := range [...]string{`"auth"`, `"identitytoken"`, `"registrytoken"`, `"password"`} {
		for i := at; i < end; {
			j := bytes.Index(b[i:end], []byte(field))
			if j < 0 {
				break
			}
			i += j + len(field)
			from := i
			for from < end && (b[from] == ' ' || b[from] == ':' || b[from] == '\t' || b[from] == '\n' || b[from] == '\r') {
				from++
			}
			if from >= end || b[from] != '"' {
				continue
			}
			from++
			n := bytes.IndexByte(b[from:end], '"')
			if n < 4 {
				continue
			}
			v := b[from : from+n]
			if field == `"auth"` {
				plain, err := base64.StdEncoding.DecodeString(string(v))
				_, pass, ok := bytes.Cut(plain, []byte(":"))
				if err != nil || !ok || len(pass) < 3 || placeholder(pass) {
					continue
				}
			} else if n < 8 || placeholder(v) {
				continue
			}
			f.found(k, from, from+n)
		}
	}
}

// matchJWT finds signed tokens in a context that says they are used as a credential.
func matchJWT(f *finder, k *kind, at int) {
	b := f.content
	if !bytes.HasPrefix(b[at:], []byte("eyJ")) || !startsWord(b, at) {
		return
	}
	h := run(b, at, 2048, base64u)
	if h-at < 16 || h >= len(b) || b[h] != '.' {
		return
	}
	p := run(b, h+1, 8192, base64u)
	if p-h < 8 || p >= len(b) || b[p] != '.' {
		return
	}
	e := run(b, p+1, 1024, base64u)
	if e-p < 40 || !random(b[p+1:e], 64) {
		return
	}
	line := b[max(0, at-120):at]
	if i := bytes.LastIndexByte(line, '\n'); i >= 0 {
		line = line[i+1:]
	}
	low := bytes.ToLower(line)
	known := len(line) == 0 && at == 0 // the whole file is one
	for _, w := range [...]string{"token", "bearer", "auth", "jwt", "secret", "key", "password", "credential"} {
		known = known || bytes.Contains(low, []byte(w))
	}
	if !known || f.place.doc || f.place.vendor {
		return
	}
	var header struct {
		Alg string `json:"alg"`
	}
	raw, err := base64.RawURLEncoding.DecodeString(string(b[at:h]))
	if err != nil || json.Unmarshal(raw, &header) != nil || header.Alg == "" || strings.EqualFold(header.Alg, "none") {
		return
	}
	claims, err := base64.RawURLEncoding.DecodeString(string(b[h+1 : p]))
	if err != nil || !json.Valid(claims) || bytes.Contains(claims, []byte("1234567890")) || bytes.Contains(claims, []byte("John Doe")) {
		return
	}
	r := *k
	severity := r.severity
	if bytes.Contains(claims, []byte("kubernetes/serviceaccount")) || bytes.Contains(claims, []byte(`"system:serviceaccount:`)) {
		r.title, severity = "Kubernetes service account token", finding.High
	}
	f.foundAs(&r, severity, b[at:e], at, e)
}
