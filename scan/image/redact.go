package image

import (
	"strings"
	"unicode"
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
	return redactText(s)
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
