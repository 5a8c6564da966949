package match

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// tally counts what could not be judged, so that it is said once and with a number.
type tally struct {
	owned, dev   int
	unknown      map[scan.Type]int // distribution packages without advisories to ask
	missing      map[string]int    // by ecosystem the database does not hold
	vendors      map[string]*sample
	unversioned  sample // packages with advisories but no version
	incomparable sample
	moduleless   sample // packages of modules whose stream is not recorded
}

func (t *tally) init() {
	t.unknown, t.missing, t.vendors = map[scan.Type]int{}, map[string]int{}, map[string]*sample{}
}

// sample counts distinct things and keeps a few as examples. Its zero value is ready.
type sample struct {
	seen map[string]bool
	some []string
}

func (s *sample) add(what string) {
	if s.seen[what] || len(s.seen) >= maxSample {
		return
	}
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	s.seen[what] = true
	if len(s.some) < few {
		s.some = append(s.some, clip(what, 200))
	}
}

func (s *sample) n() int { return len(s.seen) }

func (s *sample) String() string {
	text := strings.Join(s.some, ", ")
	if s.n() > len(s.some) {
		text += " and others"
	}
	return text
}

// maxSample bounds how many distinct things are counted.
const maxSample = 100_000

// few is how many examples a gap names.
const few = 3

// UnknownDistribution begins Gap.What of distribution packages that no advisories
// could be chosen for.
const UnknownDistribution = "distribution packages"

// gaps puts the tally into words, what matters most first.
func (m *matcher) gaps() []scan.Gap {
	var out []scan.Gap
	for _, eco := range sortedKeys(m.n.missing) {
		out = append(out, scan.Gap{
			What:   fmt.Sprintf("%s of %s", count(m.n.missing[eco], "package"), eco),
			Reason: "the advisory database holds nothing about " + eco + ", so none of these packages was judged",
			Remedy: "update the database with the feed for " + eco,
			Data:   true,
		})
	}
	for _, t := range sortedKeys(m.n.unknown) {
		reason := m.reason
		if m.release != nil {
			reason = "the image is " + m.release.label + ", whose advisories do not speak of " + string(t) + " packages"
		}
		if !t.Distribution() {
			reason = "no source of advisories is known for packages of this type"
		}
		out = append(out, scan.Gap{
			What:   fmt.Sprintf("%s: %s of type %s", UnknownDistribution, count(m.n.unknown[t], "package"), t),
			Reason: reason,
			Remedy: "judge them by another means, or build on a distribution that publishes its advisories",
		})
	}
	if g, ok := m.emptyDistribution(); ok {
		out = append(out, g)
	}
	if m.release != nil && m.hasType(m.release.typ) {
		if row, over := m.release.ended(m.opt.Now); over {
			out = append(out, scan.Gap{
				What:   m.release.label,
				Reason: fmt.Sprintf("it gets no security fixes since %s (end of %s): what is not listed was not assessed by anybody", row.day, row.what),
				Remedy: "move to a release that is still maintained",
			})
		}
		if m.release.note != "" {
			out = append(out, scan.Gap{What: label(m.c.Distro), Reason: m.release.note})
		}
	}
	for _, v := range sortedKeys(m.n.vendors) {
		which := m.n.vendors[v]
		out = append(out, scan.Gap{
			What:   fmt.Sprintf("%s from %s (%s)", count(which.n(), "package"), clip(v, 80), which),
			Reason: "they are not the distribution's own builds: its advisories may miss them or speak of other versions",
			Remedy: "follow the vendor's own advisories too",
		})
	}
	if n := m.n.moduleless.n(); n > 0 {
		out = append(out, scan.Gap{
			What:   fmt.Sprintf("module stream of %s (%s)", count(n, "package"), &m.n.moduleless),
			Reason: "the release says that they come from a module, but the package database does not say from which stream; advisories for module streams were not applied",
		})
	}
	if n := m.n.unversioned.n(); n > 0 {
		out = append(out, scan.Gap{
			What:   fmt.Sprintf("version of %s (%s)", count(n, "package"), &m.n.unversioned),
			Reason: "there are advisories for them, but a development build or a package without a version cannot be compared",
			Remedy: "build from a tagged version",
		})
	}
	if n := m.n.incomparable.n(); n > 0 {
		out = append(out, scan.Gap{
			What:   count(n, "comparison"),
			Reason: "versions could not be compared: " + m.n.incomparable.String(),
		})
	}
	if m.n.owned > 0 {
		out = append(out, scan.Gap{
			What:   count(m.n.owned, "language package") + " installed by distribution packages",
			Reason: "they answer to the distribution's advisories, which know of patches that the version does not show",
		})
	}
	if m.n.dev > 0 {
		out = append(out, scan.Gap{
			What:   count(m.n.dev, "package") + " named only by lock files",
			Reason: "they are not installed in the image, so they were not matched",
		})
	}
	return out
}

// emptyDistribution is the gap of an image that calls itself a distribution and lists no
// package of one: images that were slimmed keep the files and lose the database.
func (m *matcher) emptyDistribution() (scan.Gap, bool) {
	if m.c.Distro.ID == "" || slices.ContainsFunc(m.c.Packages, func(p scan.Package) bool { return p.Type.Distribution() }) {
		return scan.Gap{}, false
	}
	return scan.Gap{
		What:   UnknownDistribution + ": none found",
		Reason: "the image says that it is " + label(m.c.Distro) + ", and holds no package database that is read: what was installed from it was not judged",
		Remedy: "keep the package database in the image, or scan the image it was made from",
	}, true
}

func (m *matcher) hasType(t scan.Type) bool {
	return slices.ContainsFunc(m.c.Packages, func(p scan.Package) bool { return p.Type == t })
}

// noteVendor counts packages of distribution types that somebody else has built.
func (m *matcher) noteVendor(p *scan.Package) {
	if m.release == nil || !p.Type.Distribution() {
		return
	}
	v := thirdParty(p, m.release)
	if v == "" {
		return
	}
	if m.n.vendors[v] == nil {
		m.n.vendors[v] = &sample{}
	}
	m.n.vendors[v].add(p.Name)
}

// thirdParty names who built a package where that can be told and is not the
// distribution; "" otherwise. An rpm names its vendor. A deb names only its maintainer,
// who may be anybody in the distribution too: there, marks that third-party
// repositories leave in the version or the maintainer's address are looked for.
func thirdParty(p *scan.Package, r *release) string {
	switch p.Type {
	case scan.RPM:
		if p.Vendor == "" || len(r.vendors) == 0 {
			return ""
		}
		v := strings.ToLower(p.Vendor)
		for _, own := range r.vendors {
			if strings.Contains(v, own) {
				return ""
			}
		}
		return p.Vendor
	case scan.Deb:
		for _, mark := range []struct{ in, name string }{{"nodesource", "NodeSource"}, {".pgdg", "PostgreSQL's repository"}, {"+deb.sury.org", "sury.org"}} {
			if strings.Contains(p.Version, mark.in) {
				return mark.name
			}
		}
		v := strings.ToLower(p.Vendor)
		for _, domain := range []string{"docker.com", "nginx.com", "nginx.org", "nodesource.com", "microsoft.com", "google.com", "hashicorp.com", "elastic.co",
			"mongodb.com", "oracle.com", "nvidia.com", "gitlab.com", "datadoghq.com", "grafana.com", "redis.io", "redis.com", "rabbitmq.com", "mariadb.org", "cloudflare.com"} {
			if strings.HasSuffix(strings.TrimSuffix(v, ">"), domain) && !strings.Contains(v, "ubuntu") && !strings.Contains(v, "debian") {
				return p.Vendor
			}
		}
	}
	return ""
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func sortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i] < keys[j] })
	return keys
}
