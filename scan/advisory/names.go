package advisory

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// base is an ecosystem without its release: "Debian" of "Debian:12".
func base(ecosystem string) string {
	b, _, _ := strings.Cut(ecosystem, ":")
	return b
}

// Ecosystem brings the spellings of one ecosystem together: Red Hat's repositories
// become one ecosystem per product and major release, and Mariner is the name that
// Azure Linux had before.
func Ecosystem(e string) string {
	b, rest, ok := strings.Cut(e, ":")
	if !ok {
		return e
	}
	switch b {
	case "Red Hat":
		product, release, _ := strings.Cut(rest, ":")
		release, _, _ = strings.Cut(release, ":")
		if product == "enterprise_linux" {
			release, _, _ = strings.Cut(release, ".")
		}
		if release == "" {
			return "Red Hat:" + product
		}
		return "Red Hat:" + product + ":" + release
	case "Mariner", "CBL-Mariner", "Azure Linux":
		return "Azure Linux:" + strings.TrimSuffix(rest, ".0")
	case "AlmaLinux", "Rocky Linux":
		major, _, _ := strings.Cut(rest, ".")
		return b + ":" + major
	}
	return e
}

// PackageName brings the spellings of one package name together: PEP 503 for Python,
// lower case where the registry ignores case.
func PackageName(ecosystem, name string) string {
	switch base(ecosystem) {
	case "PyPI":
		var b strings.Builder
		b.Grow(len(name))
		sep := false
		for i := 0; i < len(name); i++ {
			c := name[i]
			if c == '-' || c == '_' || c == '.' {
				sep = b.Len() > 0
				continue
			}
			if sep {
				b.WriteByte('-')
				sep = false
			}
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			b.WriteByte(c)
		}
		return b.String()
	case "NuGet", "Packagist":
		return strings.ToLower(name)
	}
	return name
}

// cveKey turns CVE-2024-1234 into six bytes that sort by year and number.
func cveKey(cve string) ([]byte, bool) {
	year, number, ok := splitCVE(cve)
	if !ok {
		return nil, false
	}
	return []byte{byte(year >> 8), byte(year), byte(number >> 24), byte(number >> 16), byte(number >> 8), byte(number)}, true
}

func splitCVE(s string) (year, number uint64, ok bool) {
	if len(s) < 13 || len(s) > 20 || !strings.EqualFold(s[:4], "CVE-") || s[8] != '-' {
		return 0, 0, false
	}
	year, err := strconv.ParseUint(s[4:8], 10, 16)
	if err != nil {
		return 0, 0, false
	}
	number, err = strconv.ParseUint(s[9:], 10, 32)
	return year, number, err == nil
}

// IsCVE reports whether an id has the form of a CVE.
func IsCVE(id string) bool {
	_, _, ok := splitCVE(id)
	return ok
}

// cveWithin returns the CVE that a distribution's own id names: DEBIAN-CVE-2024-1 is
// Debian's view of CVE-2024-1.
func cveWithin(id string) string {
	for _, p := range []string{"DEBIAN-", "ALPINE-", "UBUNTU-", "ALPAQUITA-", "BELLSOFT-", "ECHO-", "MINIMOS-"} {
		if cve, ok := strings.CutPrefix(id, p); ok && IsCVE(cve) {
			return cve
		}
	}
	return ""
}

// CVEOf cuts the CVE out of an id that is one or ends in one behind a feed's prefix
// (DEBIAN-CVE-2024-1); "" where it is neither.
func CVEOf(id string) string {
	i := strings.Index(id, "CVE-")
	if i < 0 || i > 0 && id[i-1] != '-' {
		return ""
	}
	c := id[i:]
	if len(c) < 10 || len(c) > 24 || c[8] != '-' {
		return ""
	}
	for j := 4; j < len(c); j++ {
		if j != 8 && (c[j] < '0' || c[j] > '9') {
			return ""
		}
	}
	return c
}

// CVEs are the CVEs an advisory is about, each once. A feed's own record of one CVE,
// DEBIAN-CVE-2024-1, is about that one alone.
func (r *Record) CVEs() []string {
	if c := CVEOf(r.ID); c != "" {
		return []string{c}
	}
	var out []string
	for _, list := range [][]string{r.Aliases, r.Upstream} {
		for _, a := range list {
			if c := CVEOf(a); c != "" && !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return out
}

// day writes Unix nanoseconds as YYYY-MM-DD; "" for 0.
func day(ns int64) string {
	if ns == 0 {
		return ""
	}
	return time.Unix(0, ns).UTC().Format(time.DateOnly)
}

// clip shortens a text to n bytes at a rune's edge and makes it one valid line.
func clip(s string, n int) string {
	s = s[:min(len(s), 4*n)]
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-3], "") + "…"
}
