package image

import (
	"slices"
	"strings"
	"unicode"

	"github.com/dockreeve/dockreeve/event"
)

// redactor takes secrets out of the texts of a configuration.
type redactor struct{ given func(string) string }

// entry redacts a whole NAME=value, whose value may hold anything. Names that look
// secret are seen to whatever the given function knows.
func (r redactor) entry(s string) string {
	if name, value, ok := strings.Cut(s, "="); ok && value != "" && looksSecret(name) {
		return name + "=***"
	}
	return r.text(s)
}

// text redacts a sentence that may have assignments in it: a history step, an argument.
func (r redactor) text(s string) string {
	if r.given != nil {
		s = r.given(s)
	}
	return redactText(commands(event.RedactText(s), "\n", " -c ", "&& ", "; ", "| "))
}

// commands redacts the commands of a shell's line each by itself: what -u or -p of one
// means depends on which it is.
func commands(s string, between ...string) string {
	if len(between) > 0 {
		parts := strings.Split(s, between[0])
		for i := range parts {
			parts[i] = commands(parts[i], between[1:]...)
		}
		return strings.Join(parts, between[0])
	}
	word := strings.TrimPrefix(strings.TrimLeft(s, " \t"), "RUN ")
	return s[:len(s)-len(word)] + event.RedactText(word)
}

// args redacts a command line word by word: what a word says may be the password that
// the word before it announces.
func (r redactor) args(in []string) []string {
	if len(in) == 0 {
		return in
	}
	p := event.Process{Comm: in[0], Args: slices.Clone(in[1:])}
	p.Redact()
	return r.texts(append([]string{in[0]}, p.Args...))
}

func (r redactor) texts(in []string) []string {
	if in == nil {
		return nil
	}
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = r.text(s)
	}
	return out
}

// redactText hides, in every NAME=value of a text, the value of a NAME that looks
// secret. scan/secret knows values too; this needs only the name.
func redactText(s string) string {
	if !strings.ContainsRune(s, '=') {
		return s
	}
	var out strings.Builder
	for {
		eq := strings.IndexByte(s, '=')
		if eq < 0 {
			out.WriteString(s)
			return out.String()
		}
		start := strings.LastIndexFunc(s[:eq], func(r rune) bool {
			return !(unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' || r == '-' || r == '.')
		})
		name := s[start+1 : eq]
		out.WriteString(s[:eq+1])
		if s = s[eq+1:]; looksSecret(name) {
			if n := valueEnd(s); n > 0 {
				out.WriteString("***")
				s = s[n:]
			}
		}
	}
}

// valueEnd is where a value within a text stops: behind its closing quote, or at a
// blank or an operator of the shell.
func valueEnd(s string) int {
	if s == "" {
		return 0
	}
	if q := s[0]; q == '"' || q == '\'' {
		if i := strings.IndexByte(s[1:], q); i >= 0 {
			return i + 2
		}
		return len(s)
	}
	if i := strings.IndexAny(s, " \t\n;&|"); i >= 0 {
		return i
	}
	return len(s)
}

func looksSecret(name string) bool {
	n := strings.ToLower(name)
	for _, w := range []string{"password", "passwd", "passphrase", "secret", "token", "apikey", "api_key", "api-key", "credential",
		"private_key", "privatekey", "access_key", "accesskey", "accountkey", "account_key", "connectionstring", "connection_string", "signature", "database_url"} {
		if strings.Contains(n, w) {
			return true
		}
	}
	for _, part := range strings.FieldsFunc(n, func(r rune) bool { return r == '_' || r == '-' || r == '.' }) {
		switch part {
		case "pass", "pwd", "pw", "auth", "dsn", "sas", "pat", "key":
			return true
		}
	}
	return false
}
