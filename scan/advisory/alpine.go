package advisory

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/osv-scalibr/semantic"
)

// readSecDB reads Alpine's security database of one repository of one release. Each is
// a feed of its own, alpine/v3.20/main, because each is published as its own file.
func (b *builder) readSecDB(in io.Reader) (feed string, err error) {
	type pkg struct {
		Pkg struct {
			Name     string              `json:"name"`
			SecFixes map[string][]string `json:"secfixes"`
		} `json:"pkg"`
	}
	var release, repo string
	var c *change
	d := newJSON(in, 4<<20)
	err = d.object(func(key string) error {
		switch key {
		case "distroversion":
			return d.value(&release)
		case "reponame":
			return d.value(&repo)
		case "packages":
			if release == "" || repo == "" {
				return errors.New("packages before distroversion and reponame")
			}
			if err := errors.Join(plain("distroversion", release, 40), plain("reponame", repo, 40)); err != nil {
				return err
			}
			if err := b.may("alpine/" + release + "/" + repo); err != nil {
				return err
			}
			feed = "alpine/" + release + "/" + repo
			c = b.feed(feed)
			c.mode = replacing
			return d.array(func(i int) error {
				var p pkg
				if err := d.value(&p); err != nil {
					return d.bad(err, func(err error) { c.skip(fmt.Sprintf("package %d", i+1), err) })
				}
				return b.addSecFixes(feed, "Alpine:"+release, p.Pkg.Name, p.Pkg.SecFixes)
			})
		}
		return d.skip()
	})
	if err == nil && (c == nil || c.records == 0) {
		err = errors.New("it holds no fix")
	}
	return feed, err
}

// addSecFixes turns "this version fixed these ids" into a record per id. The version
// "0" means that the package never was affected.
func (b *builder) addSecFixes(feed, ecosystem, name string, fixes map[string][]string) error {
	c := b.feed(feed)
	fixed := map[string]string{}    // id → version
	others := map[string][]string{} // id → other ids of the same line
	for version, lines := range fixes {
		for _, line := range lines {
			var all, cves []string
			for _, f := range strings.Fields(line) {
				f = strings.Trim(f, "(),;")
				if !isID(f) {
					continue
				}
				all = append(all, f)
				if IsCVE(f) {
					cves = append(cves, f)
				}
			}
			if len(all) == 0 {
				c.skip(name+" "+version, fmt.Errorf("%q names no id", clip(line, 60)))
				continue
			}
			heads := cves
			if len(heads) == 0 {
				heads = all[:1]
			}
			for _, id := range heads {
				if old, ok := fixed[id]; !ok || later(version, old) {
					fixed[id] = version
				}
				if len(heads) == 1 {
					others[id] = append(others[id], all...)
				}
			}
		}
	}
	names := make([]string, 0, len(fixed))
	for id := range fixed {
		names = append(names, id)
	}
	slices.Sort(names)
	for _, id := range names {
		a := Affected{Ecosystem: ecosystem, Name: name}
		if fixed[id] == "0" {
			a.NotAffected = true
		} else {
			a.Ranges = []Range{{Fixed: fixed[id]}}
		}
		r := &Record{ID: id, Aliases: others[id], Affected: []Affected{a}, References: []string{"https://security.alpinelinux.org/vuln/" + id}}
		if err := b.add(feed, r); err != nil {
			return err
		}
	}
	return nil
}

// isID reports whether a word has the form of an advisory's id: letters, a dash, more.
func isID(s string) bool {
	prefix, rest, ok := strings.Cut(s, "-")
	if !ok || rest == "" || len(prefix) < 2 || len(s) > maxID || !strings.ContainsAny(rest, "0123456789abcdef") {
		return false
	}
	for _, r := range prefix {
		if (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
			return false
		}
	}
	return plain("", s, maxID) == nil
}

// later reports whether an Alpine version comes after another. When an issue is listed
// under two versions, its first fix was not whole.
func later(a, b string) bool {
	if b == "0" || a == "0" {
		return b == "0" && a != "0"
	}
	v, err := semantic.Parse(a, "Alpine")
	if err != nil {
		return false
	}
	n, err := v.CompareStr(b)
	return err == nil && n > 0
}
