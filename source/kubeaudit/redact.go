package kubeaudit

import (
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/dockreeve/dockreeve/event"
)

// redactor takes secret values out of an audit event: values, never keys. It decides by
// the text alone, so the same event always gives the same result, and a redacted one does
// not change again. The zero value is ready.
type redactor struct {
	hits int
}

// maxNested bounds documents within texts within documents.
const maxNested = 3

// where says in what a value stands.
type where struct {
	secret bool // the object is a Secret, by its kind or by the request's target
	token  bool // the object is a TokenRequest or TokenReview
	masked bool // everything below is secret
	depth  int  // documents around it
}

// event redacts a whole event and reports whether there was anything.
func (r *redactor) event(root *node) bool {
	r.hits = 0
	ref := root.get("objectRef")
	resource, sub := ref.str("resource"), ref.str("subresource")
	if resource == "" { // exported rows of lists lack objectRef
		resource, sub = resourceOf(root.str("requestURI"))
	}
	w := where{
		secret: strings.EqualFold(resource, "secrets"),
		token:  strings.EqualFold(resource, "tokenreviews") || strings.EqualFold(resource, "serviceaccounts") && sub == "token",
	}
	for i := range root.kids {
		k := &root.kids[i]
		switch k.key {
		case "requestObject", "responseObject", "responseStatus":
			r.value(k, w)
		case "requestURI":
			r.set(k, redactURI(k.text))
		case "auditID", "kind", "apiVersion", "level", "stage", "verb", "requestReceivedTimestamp", "stageTimestamp":
		default:
			r.value(k, where{secret: w.secret && k.key == "annotations"})
		}
	}
	return r.hits > 0
}

// resourceOf reads the resource out of a path of the API.
func resourceOf(uri string) (resource, sub string) {
	uri, _, _ = strings.Cut(uri, "?")
	parts := strings.Split(strings.Trim(uri, "/"), "/")
	switch {
	case len(parts) >= 3 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) >= 4 && parts[0] == "apis":
		parts = parts[3:]
	default:
		return "", ""
	}
	if parts[0] == "watch" && len(parts) > 1 {
		parts = parts[1:]
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		parts = parts[2:]
	}
	if len(parts) > 2 {
		sub = parts[2]
	}
	return parts[0], sub
}

func (r *redactor) set(n *node, s string) {
	if n.kind == kString && s != n.text {
		n.text = s
		r.hits++
	}
}

// mask replaces every value at and below n.
func (r *redactor) mask(n *node) {
	switch n.kind {
	case kObject, kArray:
		for i := range n.kids {
			r.mask(&n.kids[i])
		}
	case kString:
		if n.text != "" {
			r.set(n, event.Redacted)
		}
	case kBare:
		if n.text != "null" { // a patch that takes a key away
			n.kind, n.text = kString, event.Redacted
			r.hits++
		}
	}
}

func (r *redactor) value(n *node, w where) {
	switch n.kind {
	case kString:
		r.leaf(n, w)
	case kArray:
		for i := range n.kids {
			r.value(&n.kids[i], w)
		}
	case kObject:
		r.object(n, w)
	}
}

func (r *redactor) object(n *node, w where) {
	switch k := n.str("kind"); {
	case strings.EqualFold(k, "Secret"), strings.EqualFold(k, "SecretList"):
		w.secret = true
	case strings.EqualFold(k, "TokenRequest"), strings.EqualFold(k, "TokenReview"), strings.EqualFold(k, "ExecCredential"):
		w.token = true
	}
	r.arguments(n)
	name := n.get("name")
	patch := ""
	if n.get("op") != nil {
		patch = n.str("path")
	}
	for i := range n.kids {
		k := &n.kids[i]
		switch {
		case w.secret && (strings.EqualFold(k.key, "data") || strings.EqualFold(k.key, "stringData")):
			r.mask(k)
		case w.token && strings.EqualFold(k.key, "token"):
			r.mask(k)
		case k.key == "value" && patch != "" && secretPath(patch, w):
			r.mask(k)
		case k.key == "value" && patch != "" && k.kind == kString:
			r.named(k, patch[strings.LastIndexByte(patch, '/')+1:], w)
		case k.key == "value" && k.kind == kString && name != nil && name.kind == kString:
			r.named(k, name.text, w)
		case k.kind == kString && k.key == "message":
			r.message(k, w)
		case k.kind == kString:
			r.named(k, k.key, w)
		default:
			r.value(k, w)
		}
	}
}

// message redacts what a refusal quotes: of a Secret the object as it would be, keys that
// were there before included; of a pod the variables that differ.
func (r *redactor) message(n *node, w where) {
	const invalid = "Invalid value"
	if i := strings.Index(n.text, invalid); i >= 0 && w.secret {
		r.set(n, n.text[:i+len(invalid)]+": "+event.Redacted)
	}
	var b strings.Builder
	rest := n.text
	for {
		i := strings.Index(rest, "Value")
		if i < 0 {
			break
		}
		i += len("Value")
		from := i + len(rest[i:]) - len(strings.TrimLeft(rest[i:], `\": `))
		b.WriteString(rest[:from])
		rest = rest[from:]
		to := strings.IndexAny(rest, `"\`)
		if mark := b.String()[b.Len()-(from-i):]; to > 0 && strings.Contains(mark, ":") && strings.HasSuffix(mark, `"`) {
			b.WriteString(event.Redacted)
			rest = rest[to:]
		}
	}
	r.set(n, b.String()+rest)
	r.leaf(n, w)
}

// secretPath reports whether a JSON patch sets a secret at path.
func secretPath(path string, w where) bool {
	if w.secret {
		for _, part := range strings.Split(path, "/") {
			if strings.EqualFold(part, "data") || strings.EqualFold(part, "stringData") {
				return true
			}
		}
	}
	if w.token && strings.HasSuffix(path, "/token") {
		return true
	}
	// A variable of a container by its place: its name is not here to judge by.
	i := strings.LastIndex(path, "/env/")
	return i >= 0 && strings.HasSuffix(path[i:], "/value")
}

// named redacts the value of something with a name: a member, a variable, a header.
func (r *redactor) named(n *node, name string, w where) {
	if !telling(name) || strings.HasPrefix(n.text, "system:") { // the name of an account
		r.leaf(n, w)
		return
	}
	for pass := 0; ; pass++ {
		before := n.text
		r.set(n, redactNamed(name, n.text))
		r.leaf(n, w)
		if n.text == before {
			return
		}
		if pass == maxPasses {
			r.set(n, event.Redacted)
		}
	}
}

// maxPasses bounds how often a text is read again after a change; what a hostile text
// keeps changing after that is replaced whole.
const maxPasses = 4

// redactNamed redacts the value of a variable.
func redactNamed(name, value string) string {
	p := event.Process{Env: []string{name + "=" + value}}
	if !p.Redact() {
		return value
	}
	if out, ok := strings.CutPrefix(p.Env[0], name+"="); ok {
		return out
	}
	return event.Redacted // the name itself looks like a secret
}

// telling reports whether a name may be a secret's, so that it is worth asking.
func telling(name string) bool {
	if len(name) < 3 || len(name) > 256 {
		return false
	}
	switch name {
	case "secret", "imagePullSecret", "secretName": // names of objects, where Kubernetes has them
		return false
	}
	switch strings.ToLower(name[len(name)-2:]) {
	case "rd", "dd", "wd", "id", "et", "wt", "en", "on", "ey", "se", "re", "al", "ss", "ds", "ls", "ng", "ig", "er", "tr", "th":
		return true
	}
	return false
}

// leaf redacts what a text shows by itself, and documents inside it.
func (r *redactor) leaf(n *node, w where) {
	s := n.text
	if len(s) < 8 {
		return
	}
	if (s[0] == '{' || s[0] == '[') && r.document(n, w) {
		return
	}
	if strings.HasPrefix(s, "LS0tLS1CRUdJTi") && privateKey(s) {
		r.set(n, event.Redacted)
		return
	}
	r.set(n, event.RedactText(s))
}

// document redacts a JSON document inside a text, as in the annotation that kubectl
// leaves with the whole object it applied, and reports whether it was one.
func (r *redactor) document(n *node, w where) bool {
	if w.depth >= maxNested {
		r.set(n, event.Redacted)
		return true
	}
	text := strings.TrimRight(n.text, " \r\n\t")
	sub, err := new(parser).tree([]byte(text))
	if err != nil {
		if w.secret && strings.ContainsAny(text, `":`) && !template(text) {
			r.set(n, event.Redacted) // perhaps a Secret cut short
			return true
		}
		return false
	}
	before := r.hits
	w.depth++
	r.value(&sub, w)
	if r.hits > before {
		n.text = string(sub.append(nil)) + n.text[len(text):]
	}
	return true
}

// template reports whether a text in braces is a mere template or set.
func template(s string) bool { return strings.HasPrefix(s, "{{") }

// privateKey reports whether base64 text holds a private key.
func privateKey(s string) bool {
	s = strings.Map(func(c rune) rune {
		if c == '\n' || c == '\r' || c == ' ' {
			return -1
		}
		return c
	}, s)
	b, _ := base64.StdEncoding.DecodeString(s) // of a text cut short, what could be decoded
	return strings.Contains(string(b), "PRIVATE KEY")
}

// arguments redacts the command line of a container, or of an exec into one.
func (r *redactor) arguments(n *node) {
	command, args := n.get("command"), n.get("args")
	if command == nil && args == nil {
		return
	}
	var at []*node
	for _, list := range []*node{command, args} {
		if list == nil || list.kind != kArray {
			continue
		}
		for i := range list.kids {
			if list.kids[i].kind != kString {
				return
			}
			at = append(at, &list.kids[i])
		}
	}
	if len(at) == 0 || len(at) > event.MaxStrings {
		return
	}
	words := make([]string, len(at))
	for i, a := range at {
		words[i] = a.text
	}
	if command == nil || command.kind != kArray || len(command.kids) == 0 {
		words = append([]string{""}, words...) // the image's own program, which is not known
	}
	redactArgv(words)
	words = words[len(words)-len(at):]
	for i, a := range at {
		r.set(a, words[i])
	}
}

// redactArgv redacts a command line in place.
func redactArgv(words []string) {
	p := event.Process{Comm: words[0][strings.LastIndexByte(words[0], '/')+1:], Exe: words[0], Args: append([]string(nil), words[1:]...)}
	p.Redact()
	copy(words[1:], p.Args)
	words[0] = event.RedactText(words[0]) // a program's name holds no secret, but whoever calls names it
}

// redactURI redacts the query of a request: the command of an exec, tokens, and what a
// proxied request carries.
func redactURI(uri string) string {
	path, query, ok := strings.Cut(uri, "?")
	path = event.RedactText(path)
	if !ok {
		return path
	}
	parts := strings.Split(query, "&")
	var argv []string
	var from []int
	for i, part := range parts {
		key, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(key)
		if err != nil {
			name = key
		}
		text, err := url.QueryUnescape(value)
		if err != nil {
			text = value
		}
		if name == "command" {
			argv, from = append(argv, text), append(from, i)
			continue
		}
		if got := redactNamed(name, text); got != text {
			parts[i] = key + "=" + escape(got)
		}
	}
	if len(argv) > 0 && len(argv) <= event.MaxStrings {
		was := append([]string(nil), argv...)
		redactArgv(argv)
		for i, n := range from {
			if argv[i] != was[i] {
				parts[n] = "command=" + escape(argv[i])
			}
		}
	}
	return path + "?" + strings.Join(parts, "&")
}

// escape writes a value of a query and leaves the mask readable.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "%2A", "*") }
