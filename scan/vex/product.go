package vex

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// Product is one thing a statement is about: an image, a package, or parts of either.
type Product struct {
	// IDs all name the same thing: package URLs, digests (sha256:…), references
	// (repository@sha256:…, repository:tag), CPEs, or names that only people read.
	IDs []string
	// Parts, when there are any, are what of the product the statement is about.
	Parts []Part
	// Platform marks a product that is a distribution release rather than something
	// in an image: CSAF relates packages to one.
	Platform bool
	// Versions restricts the product to some of its versions, where the format lists
	// them apart from the package URL.
	Versions []string
}

// Part is a component of a Product: all of IDs name the same thing.
type Part struct{ IDs []string }

// Name is the product as people read it.
func (p *Product) Name() string {
	if len(p.IDs) == 0 {
		return "a product without a name"
	}
	return short(p.IDs[0])
}

// outcome of comparing: near orders failures, so that the closest one is told.
type outcome struct {
	ok   bool
	near int
	why  string
}

func (o *outcome) closer(other outcome) {
	if other.ok || !o.ok && (o.why == "" || other.near > o.near) {
		*o = other
	}
}

// target is a finding's package in its image.
type target struct {
	r    *scan.Report
	pkg  *scan.Package
	memo *memo
}

// covers reports whether the product, or the part of it that is meant, is the finding's
// package or holds it.
func (p *Product) covers(t target) outcome {
	if len(p.IDs) == 0 {
		return outcome{why: "it names no product"}
	}
	var best outcome
	for _, id := range p.IDs {
		best.closer(p.idCovers(id, t))
		if best.ok {
			return best
		}
	}
	return best
}

func (p *Product) idCovers(id string, t target) outcome {
	if p.Platform {
		if o := platformMatches(id, t.r.Distro); !o.ok {
			return o
		}
		return p.partsCover(t)
	}
	if image := imageMatches(id, &t.r.Image); image.ok {
		return p.partsCover(t)
	} else if !isPURL(id) || isImagePURL(id) {
		return image
	}
	u, err := t.memo.parse(id)
	if err != nil {
		return outcome{why: err.Error()}
	}
	if len(p.Parts) == 0 {
		ok, near, why := t.memo.matches(u, t.pkg)
		if ok && len(p.Versions) > 0 && !slices.Contains(p.Versions, t.pkg.Version) {
			return outcome{near: 3, why: fmt.Sprintf("version differs: it speaks of %s, installed is %s", short(strings.Join(p.Versions, ", ")), short(t.pkg.Version))}
		}
		return outcome{ok, near, why}
	}
	// The product is a package and the statement is about what is inside it: both have
	// to be in the same file, or the one below the other.
	parts := p.partsCover(t)
	if !parts.ok {
		return parts
	}
	o := outcome{near: 1, why: fmt.Sprintf("its product %s is not in the image", short(id))}
	for i := range t.r.Packages {
		if t.memo.left < 0 {
			break
		}
		holder := &t.r.Packages[i]
		ok, near, why := t.memo.matches(u, holder)
		switch {
		case !ok:
			if near > 1 {
				o.closer(outcome{near: near, why: "its product is in the image, but " + why})
			}
		case holds(holder, t.pkg):
			return outcome{ok: true}
		default:
			o.closer(outcome{near: 3, why: fmt.Sprintf("its product %s is in the image, but does not hold this package (%s)", short(id), short(t.pkg.Location))})
		}
	}
	return o
}

// partsCover reports whether one of the parts is the finding's package; a product
// without parts is meant whole.
func (p *Product) partsCover(t target) outcome {
	if len(p.Parts) == 0 {
		return outcome{ok: true}
	}
	var best outcome
	for _, part := range p.Parts {
		for _, id := range part.IDs {
			if !isPURL(id) {
				if strings.HasPrefix(id, "cpe:") {
					best.closer(outcome{why: fmt.Sprintf("its subcomponent %s is a CPE, and a package is not guessed from one", short(id))})
				} else {
					best.closer(outcome{why: fmt.Sprintf("its subcomponent %s is no package URL", short(id))})
				}
				continue
			}
			u, err := t.memo.parse(id)
			if err != nil {
				best.closer(outcome{why: err.Error()})
				continue
			}
			ok, near, why := t.memo.matches(u, t.pkg)
			if ok {
				return outcome{ok: true}
			}
			if near == 0 {
				why = fmt.Sprintf("subcomponent %s is not the package %s", short(id), short(t.pkg.Name))
			} else {
				why = "subcomponent's " + why
			}
			best.closer(outcome{near: near, why: why})
		}
	}
	if best.why == "" {
		best.why = "its subcomponents have no identifier"
	}
	return best
}

// holds reports whether a package's file is the other's file, or around it: a jar in a
// jar is named outer.jar!/inner.jar.
func holds(outer, inner *scan.Package) bool {
	if outer.Location == "" || inner.Location == "" {
		return false
	}
	if outer.Location == inner.Location || strings.HasPrefix(inner.Location, outer.Location+"!/") {
		return true
	}
	// app/package.json holds app/node_modules/….
	dir, ok := strings.CutSuffix(outer.Location, "package.json")
	return ok && outer.Type == scan.NPM && inner.Type == scan.NPM && strings.HasPrefix(inner.Location, dir+"node_modules/")
}

func isImagePURL(s string) bool {
	l := strings.ToLower(s)
	return strings.HasPrefix(l, "pkg:oci/") || strings.HasPrefix(l, "pkg:docker/")
}

// imageMatches compares an identifier with the image.
func imageMatches(id string, img *scan.Image) outcome {
	switch {
	case isImagePURL(id):
		return imagePURL(id, img)
	case isPURL(id):
		return outcome{why: "it is a package, not the image"}
	case isDigest(id):
		if hasDigest(img, id) {
			return outcome{ok: true}
		}
		return outcome{near: 1, why: digestDiffers(id, img)}
	case strings.HasPrefix(id, "cpe:"):
		return outcome{why: fmt.Sprintf("its product %s is a CPE, and an image or package is not guessed from one", short(id))}
	}
	if repo, digest, ok := strings.Cut(id, "@"); ok && isDigest(digest) {
		if hasDigest(img, digest) {
			return outcome{ok: true}
		}
		near := 1
		if sameRepository(repo, img) {
			near = 3
		}
		return outcome{near: near, why: digestDiffers(digest, img)}
	}
	if strings.Contains(id, "://") || strings.ContainsAny(id, " \t") || id == "" {
		return outcome{why: fmt.Sprintf("its product %q is neither a package URL, a digest nor an image reference", short(id))}
	}
	repo, tag := cutTag(id)
	if !sameRepository(repo, img) {
		return outcome{why: fmt.Sprintf("its product %s is not this image", short(id))}
	}
	if tag == "" || slices.Contains(imageTags(img), tag) {
		return outcome{ok: true}
	}
	return outcome{near: 3, why: fmt.Sprintf("tag differs: it speaks of %s, the image is %s", short(tag), imageName(img))}
}

func imagePURL(id string, img *scan.Image) outcome {
	u, err := parsePURL(id)
	if err != nil {
		return outcome{why: err.Error()}
	}
	repo := u.qualifiers["repository_url"]
	if repo == "" {
		repo = u.full()
	} else if u.typ == "oci" && !strings.EqualFold(lastOf(repo), u.name) {
		repo += "/" + u.name // either spelling of the qualifier is in use
	}
	same := sameRepository(repo, img) || u.qualifiers["repository_url"] == "" && u.namespace == "" && strings.EqualFold(u.name, lastOf(repositoryOf(img)))
	digest, tag := "", u.qualifiers["tag"]
	if isDigest(u.version) {
		digest = u.version
	} else if u.version != "" {
		tag = u.version
	}
	if arch := u.qualifiers["arch"]; arch != "" && img.Platform != "" && !slices.Contains(strings.Split(strings.ToLower(img.Platform), "/"), strings.ToLower(arch)) {
		return outcome{near: 2, why: fmt.Sprintf("architecture differs: it speaks of %s, the image is %s", short(arch), img.Platform)}
	}
	if digest != "" {
		// The digest says what it is, wherever it was pulled from.
		if hasDigest(img, digest) {
			return outcome{ok: true}
		}
		near := 1
		if same {
			near = 3
		}
		return outcome{near: near, why: digestDiffers(digest, img)}
	}
	if !same {
		return outcome{why: fmt.Sprintf("its product %s is not this image (%s)", short(repo), imageName(img))}
	}
	if tag != "" && !slices.Contains(imageTags(img), tag) {
		return outcome{near: 3, why: fmt.Sprintf("tag differs: it speaks of %s, the image is %s", short(tag), imageName(img))}
	}
	return outcome{ok: true}
}

func digestDiffers(digest string, img *scan.Image) string {
	have := img.Digest
	if have == "" {
		have = img.ConfigDigest
	}
	if have == "" {
		return fmt.Sprintf("product digest %s cannot be compared: this source of the image keeps none", shortDigest(digest))
	}
	return fmt.Sprintf("product digest differs: it speaks of %s, the image is %s", shortDigest(digest), shortDigest(have))
}

func shortDigest(d string) string {
	if isDigest(d) {
		return d[:19] + "…"
	}
	return short(d)
}

func isDigest(s string) bool {
	hex, ok := strings.CutPrefix(strings.ToLower(s), "sha256:")
	return ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}

func hasDigest(img *scan.Image, d string) bool {
	d = strings.ToLower(d)
	return d == img.Digest || d == img.IndexDigest || d == img.ConfigDigest
}

func imageName(img *scan.Image) string {
	if img.Name != "" {
		return short(img.Name)
	}
	return short(img.Key())
}

// repositoryOf is the image's repository without tag and digest.
func repositoryOf(img *scan.Image) string {
	if img.Repository != "" {
		return img.Repository
	}
	if img.Kind != "" && img.Kind != scan.KindRegistry && img.Kind != scan.KindDocker && img.Kind != scan.KindContainerd {
		return ""
	}
	name, _, _ := strings.Cut(img.Name, "@")
	repo, _ := cutTag(name)
	return repo
}

func imageTags(img *scan.Image) []string {
	tags := slices.Clone(img.Tags)
	name, _, _ := strings.Cut(img.Name, "@")
	if _, tag := cutTag(name); tag != "" {
		tags = append(tags, tag)
	}
	return tags
}

// cutTag splits repository:tag; the colon of a registry's port is none.
func cutTag(ref string) (repo, tag string) {
	i := strings.LastIndexByte(ref, ':')
	if i < 0 || strings.IndexByte(ref[i:], '/') >= 0 {
		return ref, ""
	}
	return ref[:i], ref[i+1:]
}

func sameRepository(repo string, img *scan.Image) bool {
	have := repositoryOf(img)
	return have != "" && canonicalRepository(repo) == canonicalRepository(have)
}

// canonicalRepository writes Docker Hub's short names out.
func canonicalRepository(r string) string {
	r = strings.ToLower(strings.Trim(r, "/"))
	if rest, ok := strings.CutPrefix(r, "index.docker.io/"); ok {
		r = "docker.io/" + rest
	}
	host, rest, deep := strings.Cut(r, "/")
	if !deep || !strings.ContainsAny(host, ".:") && host != "localhost" {
		host, rest = "docker.io", r
	}
	if host == "docker.io" && !strings.Contains(rest, "/") {
		rest = "library/" + rest
	}
	return host + "/" + rest
}

func lastOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// platformMatches compares the CPE of a distribution release with the image's: Red
// Hat relates each package to one.
func platformMatches(cpe string, d scan.Distro) outcome {
	f := strings.Split(strings.TrimPrefix(strings.TrimPrefix(cpe, "cpe:2.3:"), "cpe:/"), ":")
	if len(f) < 4 || !strings.HasPrefix(cpe, "cpe:") {
		return outcome{why: fmt.Sprintf("its platform %s has no CPE to tell the distribution by", short(cpe))}
	}
	vendor, product, version := f[1], f[2], f[3]
	want := map[string]string{"enterprise_linux": "rhel", "rhel_eus": "rhel", "enterprise_linux_eus": "rhel", "rhel_e4s": "rhel", "rhel_aus": "rhel", "rhel_tus": "rhel",
		"debian_linux": "debian", "ubuntu_linux": "ubuntu", "sles": "sles", "suse_linux_enterprise_server": "sles", "leap": "opensuse-leap", "azure_linux": "azurelinux"}[product]
	if want == "" {
		return outcome{why: fmt.Sprintf("its platform %s is no distribution that an image can be told to be", short(vendor+" "+product))}
	}
	if want != d.ID {
		return outcome{near: 1, why: fmt.Sprintf("its platform is %s %s, the image is %s", short(product), short(version), short(strings.TrimSpace(d.ID+" "+d.Version)))}
	}
	major, _, minor := strings.Cut(version, ".")
	haveMajor, _, _ := strings.Cut(d.Version, ".")
	if version == "" || version == "*" || version == d.Version || !minor && major == haveMajor {
		return outcome{ok: true}
	}
	return outcome{near: 2, why: fmt.Sprintf("its platform is %s %s, the image is %s", short(product), short(version), short(d.Version))}
}
