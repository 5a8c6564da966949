package match

import (
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// language says where the advisories of a package type are and in which order its
// versions stand.
func language(t scan.Type) (ecosystem string, ok bool) {
	switch t {
	case scan.Golang:
		return "Go", true
	case scan.NPM:
		return "npm", true
	case scan.PyPI:
		return "PyPI", true
	case scan.Maven:
		return "Maven", true
	case scan.Gem:
		return "RubyGems", true
	case scan.Composer:
		return "Packagist", true
	case scan.NuGet:
		return "NuGet", true
	case scan.Cargo:
		return "crates.io", true
	}
	return "", false
}

// languageVersion puts an installed version into the form advisories compare with. ""
// = it cannot be compared at all.
func languageVersion(t scan.Type, name, v string) string {
	switch t {
	case scan.Golang:
		if name == "stdlib" || name == "toolchain" {
			return goRelease(v)
		}
		if v == "(devel)" || v == "v0.0.0" || v == "" {
			return ""
		}
	case scan.Gem:
		// A gem built for one platform carries it behind the version.
		if base, suffix, ok := strings.Cut(v, "-"); ok && gemPlatform(suffix) {
			return base
		}
	}
	return v
}

func gemPlatform(s string) bool {
	for _, word := range []string{"linux", "darwin", "mingw", "mswin", "java", "musl", "freebsd", "universal"} {
		if strings.Contains(s, word) {
			return true
		}
	}
	return false
}

// goRelease turns a Go toolchain's own version (go1.21rc2, go1.21.5 X:boringcrypto,
// 1.22.1-custom) into the semantic version that the Go advisories compare with. ""
// where it is a development build.
func goRelease(v string) string {
	v, _, _ = strings.Cut(strings.TrimSpace(v), " ")
	v = strings.TrimPrefix(strings.TrimPrefix(v, "go"), "v")
	end := 0
	for end < len(v) && (v[end] == '.' || v[end] >= '0' && v[end] <= '9') {
		end++
	}
	numbers, rest := strings.Trim(v[:end], "."), v[end:]
	if numbers == "" || len(numbers) > 32 {
		return ""
	}
	for strings.Count(numbers, ".") < 2 {
		numbers += ".0"
	}
	for _, pre := range []string{"rc", "beta"} {
		if n, ok := strings.CutPrefix(rest, pre); ok && n != "" && digits(n) == len(n) {
			return numbers + "-" + pre + "." + n
		}
		if strings.HasPrefix(rest, "-"+pre+".") {
			return numbers + rest
		}
	}
	if strings.HasPrefix(rest, "-0") && rest == "-0" {
		return numbers + rest
	}
	// "1.22.1-vendor3" is a vendor's build of 1.22.1, not something before it.
	return numbers
}

// debSource gives the source package that Debian's and Ubuntu's advisories speak of:
// signed kernels are built from linux and carry its version.
func debSource(p *scan.Package) (name, version string) {
	name, version = or(p.Source, p.Name), or(p.SourceVersion, p.Version)
	if rest, ok := strings.CutPrefix(name, "linux-signed"); ok {
		version = p.Version
		switch {
		case rest == "" || strings.HasPrefix(rest, "-amd64") || strings.HasPrefix(rest, "-arm64") || strings.HasPrefix(rest, "-i386"):
			name = "linux"
		default:
			name = "linux" + rest // linux-signed-aws → linux-aws
		}
	}
	return name, version
}
