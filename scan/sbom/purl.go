package sbom

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/dockreeve/dockreeve/scan"
)

// purl is a package URL in its parts, decoded. Unlike packageurl-go it keeps the case of
// names: Go module paths are spelled with capitals in go.mod and in their advisories.
type purl struct {
	Type, Namespace, Name, Version string
	Qualifiers                     map[string]string
}

var errPURL = errors.New("not a package URL: want pkg:type/namespace/name@version?qualifiers")

func parsePURL(s string) (purl, error) {
	if len(s) < 4 || !strings.EqualFold(s[:4], "pkg:") {
		return purl{}, errPURL
	}
	rest, _, _ := strings.Cut(strings.TrimLeft(s[4:], "/"), "#")
	rest, query, _ := strings.Cut(rest, "?")
	typ, rest, ok := strings.Cut(rest, "/")
	if !ok {
		return purl{}, errPURL
	}
	u := purl{Type: strings.ToLower(typ)}
	var err error
	if at := strings.LastIndexByte(rest, '@'); at > 0 {
		if u.Version, err = url.PathUnescape(rest[at+1:]); err != nil {
			return purl{}, errPURL
		}
		rest = rest[:at]
	}
	rest = strings.Trim(rest, "/")
	slash := strings.LastIndexByte(rest, '/')
	if u.Name, err = url.PathUnescape(rest[slash+1:]); err != nil || u.Name == "" {
		return purl{}, errPURL
	}
	if slash > 0 {
		if u.Namespace, err = url.PathUnescape(rest[:slash]); err != nil {
			return purl{}, errPURL
		}
	}
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if key == "" {
			continue
		}
		if value, err = url.PathUnescape(value); err != nil || len(u.Qualifiers) >= 64 {
			return purl{}, errPURL
		}
		if u.Qualifiers == nil {
			u.Qualifiers = map[string]string{}
		}
		u.Qualifiers[strings.ToLower(key)] = value
	}
	for _, s := range []*string{&u.Type, &u.Namespace, &u.Name, &u.Version} {
		*s = valid(*s)
	}
	for k, v := range u.Qualifiers {
		u.Qualifiers[k] = valid(v)
	}
	return u, nil
}

// valid replaces bytes that are no UTF-8 one by one, as encoding/json does: what is read
// can then be written and read again without another change.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// types are the package types whose names are known how to be put together.
var types = []scan.Type{scan.Deb, scan.Apk, scan.RPM, scan.Golang, scan.NPM, scan.PyPI, scan.Maven,
	scan.Gem, scan.Composer, scan.NuGet, scan.Cargo}

// pkg says which package u names, in its ecosystem's spelling.
func (u purl) pkg() (scan.Package, bool) {
	p := scan.Package{Type: scan.Type(u.Type), Name: u.Name, Version: u.Version, Layer: -1}
	if !slices.Contains(types, p.Type) {
		return p, false
	}
	switch p.Type {
	case scan.Maven:
		if u.Namespace != "" {
			p.Name = u.Namespace + ":" + u.Name
		}
	case scan.Golang, scan.NPM, scan.Composer:
		if u.Namespace != "" {
			p.Name = u.Namespace + "/" + u.Name
		}
	}
	if !p.Type.Distribution() {
		return p, true
	}
	q := u.Qualifiers
	p.Arch = q["arch"]
	if e := q["epoch"]; e != "" && e != "0" && p.Version != "" && !strings.Contains(p.Version, ":") {
		p.Version = e + ":" + p.Version
	}
	p.Module = module(q["rpmmod"])
	if p.Module == "" {
		p.Module = module(q["modularitylabel"])
	}
	if up := q["upstream"]; up != "" {
		if p.Type == scan.RPM {
			p.Source = sourceRPM(up)
		} else {
			p.Source, p.SourceVersion, _ = strings.Cut(up, "@")
		}
	}
	if p.Source == p.Name && p.SourceVersion == "" {
		p.Source = ""
	}
	return p, true
}

// module keeps name:stream of a modularity label name:stream:version:context:arch.
func module(label string) string {
	parts := strings.SplitN(label, ":", 3)
	if len(parts) < 2 {
		return ""
	}
	return parts[0] + ":" + parts[1]
}

// sourceRPM is the name in name-version-release.src.rpm, or s where it is only a name.
func sourceRPM(s string) string {
	base, ok := strings.CutSuffix(s, ".src.rpm")
	if !ok {
		return s
	}
	for range 2 {
		if i := strings.LastIndexByte(base, '-'); i > 0 {
			base = base[:i]
		}
	}
	return base
}

// distro is the distribution a package of type t says it is of: id, NUL, version.
func (u purl) distro(t scan.Type) string {
	if !t.Distribution() {
		return ""
	}
	id := osID(strings.ToLower(u.Namespace))
	q := strings.TrimPrefix(u.Qualifiers["distro"], id+"-")
	if q == u.Qualifiers["distro"] && strings.Contains(q, "-") { // the id differs from the namespace
		i := strings.LastIndexByte(q, '-')
		if osID(q[:i]) != "" && q[i+1:] != "" {
			id, q = osID(q[:i]), q[i+1:]
		}
	}
	if id == "" {
		return ""
	}
	return id + "\x00" + q
}

// osID gives a distribution's ID as its os-release has it for the names others use.
func osID(name string) string {
	switch name = strings.ToLower(name); name {
	case "redhat":
		return "rhel"
	case "oracle", "oraclelinux":
		return "ol"
	case "alma":
		return "almalinux"
	case "amazon":
		return "amzn"
	case "cbl-mariner":
		return "mariner"
	case "opensuse.leap":
		return "opensuse-leap"
	case "opensuse.tumbleweed":
		return "opensuse-tumbleweed"
	case "suse linux enterprise server":
		return "sles"
	}
	return name
}

// PURL writes the package URL of p in an image of distribution d.
func PURL(p *scan.Package, d scan.Distro) string {
	u := purl{Type: string(p.Type), Name: p.Name, Version: p.Version}
	cut := func(sep string) {
		if i := strings.LastIndex(p.Name, sep); i > 0 && i+len(sep) < len(p.Name) {
			u.Namespace, u.Name = p.Name[:i], p.Name[i+len(sep):]
		}
	}
	switch p.Type {
	case scan.Maven:
		cut(":")
	case scan.Golang, scan.NPM, scan.Composer:
		cut("/")
	}
	var q [][2]string
	if p.Type.Distribution() {
		u.Namespace = strings.ToLower(d.ID)
		release := d.Version
		if release == "" {
			release = d.Codename
		}
		if d.ID != "" && release != "" {
			release = u.Namespace + "-" + release
		}
		upstream := p.Source
		if p.Type != scan.RPM && p.SourceVersion != "" && p.SourceVersion != p.Version {
			if upstream == "" {
				upstream = p.Name
			}
			upstream += "@" + p.SourceVersion
		}
		if p.Type == scan.RPM {
			if epoch, rest, ok := strings.Cut(p.Version, ":"); ok {
				u.Version = rest
				q = append(q, [2]string{"epoch", epoch})
			}
		}
		q = append(q, [2]string{"arch", p.Arch}, [2]string{"distro", release},
			[2]string{"rpmmod", p.Module}, [2]string{"upstream", upstream})
	}
	var b strings.Builder
	b.WriteString("pkg:" + u.Type)
	for segment := range strings.SplitSeq(u.Namespace, "/") {
		if segment != "" {
			b.WriteByte('/')
			escapePURL(&b, segment)
		}
	}
	b.WriteByte('/')
	escapePURL(&b, u.Name)
	if u.Version != "" {
		b.WriteByte('@')
		escapePURL(&b, u.Version)
	}
	slices.SortFunc(q, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	sep := byte('?')
	for _, pair := range q {
		if pair[1] == "" {
			continue
		}
		b.WriteByte(sep)
		b.WriteString(pair[0] + "=")
		escapePURL(&b, pair[1])
		sep = '&'
	}
	return b.String()
}

func escapePURL(b *strings.Builder, s string) {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~:", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
}
