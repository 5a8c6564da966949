package license

import (
	"bytes"
	"path"
	"strings"
)

// maxCopyright bounds what is read of a copyright file, in bytes.
const maxCopyright = 1 << 20

// DebCopyright reads /usr/share/doc/<package>/copyright. In a machine-readable one (its
// first paragraph names the format) each License field counts; else the files below
// /usr/share/common-licenses that the text points to, else the wording of
// the grant in its first 8 KiB. Nothing found is nothing stated.
func DebCopyright(b []byte) []string {
	b = b[:min(len(b), maxCopyright)]
	if machine(b) {
		return Normalize(fields(b))
	}
	const dir = "/usr/share/common-licenses/"
	var out []string
	for i := 0; len(out) < maxTerms; {
		j := bytes.Index(b[i:], []byte(dir))
		if j < 0 {
			break
		}
		i += j + len(dir)
		end := i
		for end < len(b) && end-i < 32 && (b[end] == '-' || b[end] == '.' || b[end] >= '0' && b[end] <= '9' || b[end]|0x20 >= 'a' && b[end]|0x20 <= 'z') {
			end++
		}
		name := strings.TrimRight(path.Base(string(b[i:end])), ".-")
		if lookup(name) != "" || name == "GPL" || name == "LGPL" || name == "BSD" || name == "Artistic" {
			out = append(out, name)
		}
	}
	if len(out) == 0 {
		if id := title(string(b)); id != "" {
			out = append(out, id)
		}
	}
	return Normalize(out)
}

func machine(b []byte) bool {
	head := bytes.ToLower(b[:min(len(b), 400)])
	return bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n\ufeff"), []byte("format")) && bytes.Contains(head, []byte("copyright"))
}

func fields(b []byte) []string {
	var out []string
	seen := map[string]bool{}
	for line := range bytes.Lines(b) {
		name, v, ok := bytes.Cut(line, []byte(":"))
		if !ok || !bytes.EqualFold(name, []byte("license")) {
			continue
		}
		s := strings.TrimSpace(string(v))
		if s == "" || seen[s] || len(seen) >= 4*maxTerms {
			continue
		}
		seen[s] = true
		out = append(out, s)
	}
	return out
}
