package catalog

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// view is the file system that an image's layers add up to, as far as it matters: the
// parsed files and the symbolic links.
type view struct {
	live   map[string]*entry
	links  map[string]string // directory resolved, last part as it is
	roots  []rootLink
	dirs   map[string]string // resolved directories, for the current links
	layers []*layerView
	linked int        // packages that hard links have repeated
	most   int        // the bound of these
	lost   []scan.Gap // wanted files that links lead away from what is read
}

// entry is a parsed file that the upper layers let show.
type entry struct {
	path     string // resolved
	layer    int    // that holds the file
	file     *file
	packages []scan.Package // with Layer set to where each version appeared
	names    []string       // hard links to it, of programs and archives
	over     bool           // it has more than maxNames
}

// maxNames bounds the names of one program whose use is followed.
const maxNames = 512

// rootLink is a link in the root directory: lib → usr/lib. A layer may name the files
// below either way.
type rootLink struct{ name, target string }

// layerView answers what one layer does to those below.
type layerView struct {
	r      *record
	gone   map[string]bool
	opaque map[string]bool
	dead   map[string]bool // memo of directories
	alias  map[string]bool // the same, of those spelled through a link of the root
	roots  []rootLink
}

func newLayerView(r *record, roots []rootLink) *layerView {
	l := &layerView{r: r, gone: make(map[string]bool, len(r.Gone)), opaque: make(map[string]bool, len(r.Opaque)), dead: map[string]bool{}, alias: map[string]bool{}, roots: roots}
	for _, p := range r.Gone {
		l.gone[p] = true
	}
	for _, p := range r.Opaque {
		l.opaque[p] = true
	}
	return l
}

// hides reports whether the layer deletes or replaces what lies at p in the layers below.
func (l *layerView) hides(p string) bool {
	if l.hidesSpelled(p, "", l.dead) {
		return true
	}
	for _, root := range l.roots {
		if rest, ok := strings.CutPrefix(p, root.target+"/"); ok && l.hidesSpelled(root.name+"/"+rest, root.name, l.alias) {
			return true
		}
	}
	return false
}

// hidesSpelled is hides for one spelling of the path. What happens to the link that
// the spelling goes through, through, does not touch what lies behind it.
func (l *layerView) hidesSpelled(p, through string, memo map[string]bool) bool {
	if l.gone[p] || l.hidesDir(parent(p), through, memo) {
		return true
	}
	x := hashPath(p)
	return l.r.Plain.has(x) || l.r.Dirs.has(x)
}

// hidesDir reports whether nothing of the directory below shows through.
func (l *layerView) hidesDir(dir, through string, memo map[string]bool) bool {
	if dir == through {
		return l.opaque[dir]
	}
	if dead, ok := memo[dir]; ok {
		return dead
	}
	dead := l.opaque[dir] || l.gone[dir] || l.hidesDir(parent(dir), through, memo) || l.r.Plain.has(hashPath(dir))
	memo[dir] = dead
	return dead
}

func parent(p string) string {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i]
	}
	return ""
}

// apply puts a layer on top.
func (v *view) apply(i int, r *record) {
	// Links first: the layer's own names are to be read with them in place.
	if below := newLayerView(r, v.roots); i > 0 {
		for p := range v.links {
			if below.hides(p) {
				delete(v.links, p)
			}
		}
	}
	clear(v.dirs)
	for _, link := range r.Links {
		if p := v.place(link.Path); p != "" {
			v.links[p] = link.Target
			clear(v.dirs)
		}
	}
	v.findRoots()
	l := newLayerView(r, v.roots)
	v.layers = append(v.layers, l)
	hidden := map[string]*entry{}
	if i > 0 {
		for p, e := range v.live {
			if l.hides(p) {
				hidden[p] = e
				delete(v.live, p)
			}
		}
	}
	for j := range r.Files {
		v.put(r.Files[j].Path, i, &r.Files[j], hidden)
	}
	for _, h := range r.Hard {
		target := v.live[v.place(h.Target)]
		if target == nil {
			if target = hidden[v.place(h.Target)]; target == nil {
				if want(h.Path, 1) != unwanted && !r.Plain.has(hashPath(h.Target)) && len(v.lost) < maxGaps {
					v.lost = append(v.lost, scan.Gap{What: fmt.Sprintf("layer %d: %s", i, h.Path), Unread: true,
						Reason: "a hard link to " + field([]byte(h.Target)) + ", which is not in its layer"})
				}
				continue
			}
		}
		k := want(h.Path, 1)
		if k == unwanted {
			k = program
		}
		if target.file.Kind != k {
			continue
		}
		if k == program || k == javaArchive { // the same thing by another name
			if len(target.names) >= maxNames {
				target.over = true
			} else {
				target.names = append(target.names, v.place(h.Path))
			}
			continue
		}
		if v.linked += len(target.file.Packages); v.linked > v.most {
			if len(v.lost) < maxGaps {
				v.lost = append(v.lost, scan.Gap{What: fmt.Sprintf("layer %d: %s", i, h.Path), Reason: "hard links multiply packages beyond the bound of the reader", Unread: true})
			}
			continue
		}
		f := *target.file
		f.Path = h.Path
		f.Packages = slices.Clone(f.Packages)
		for n := range f.Packages {
			f.Packages[n].Location = h.Path
			if k == nodePackage {
				f.Packages[n].Dirs = []string{path.Dir(h.Path)}
			}
		}
		v.put(h.Path, i, &f, hidden)
	}
}

func (v *view) put(p string, layer int, f *file, hidden map[string]*entry) {
	at := v.place(p)
	if at == "" {
		return
	}
	e := &entry{path: at, layer: layer, file: f, packages: slices.Clone(f.Packages)}
	old := v.live[at]
	if old == nil {
		old = hidden[at]
	}
	var since map[string]int
	if old != nil && len(old.packages) > 0 {
		since = make(map[string]int, len(old.packages))
		for i := range old.packages {
			since[identity(&old.packages[i])] = old.packages[i].Layer
		}
	}
	for i := range e.packages {
		q := &e.packages[i]
		if first, ok := since[identity(q)]; ok {
			q.Layer = first
		} else {
			q.Layer = layer
		}
		if at != p {
			q.Location = at + strings.TrimPrefix(q.Location, p)
			q.Dirs, q.Files = v.moved(q.Dirs), v.moved(q.Files)
		}
	}
	v.live[at] = e
}

func (v *view) moved(paths []string) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = v.place(p)
	}
	return out
}

func identity(p *scan.Package) string { return p.Name + "\x00" + p.Version + "\x00" + p.Arch }

// findRoots collects the links of the root directory.
func (v *view) findRoots() {
	v.roots = nil
	for p := range v.links {
		if !strings.Contains(p, "/") && len(v.roots) < 16 {
			if t, ok := v.resolve(p); ok && t != p && t != "" {
				v.roots = append(v.roots, rootLink{p, t})
			}
		}
	}
	slices.SortFunc(v.roots, func(a, b rootLink) int { return cmp.Compare(a.name, b.name) })
}

// place resolves the directory of p through the links, and leaves its last part.
func (v *view) place(p string) string {
	dir := parent(p)
	if dir == "" {
		return p
	}
	real, ok := v.dirs[dir]
	if !ok {
		if real, ok = v.resolve(dir); !ok {
			real = dir // loops: as it is written
		}
		v.dirs[strings.Clone(dir)] = real
	}
	if real == "" {
		return p[len(dir)+1:]
	}
	if real == dir {
		return p
	}
	return real + p[len(dir):]
}

// resolve follows every link of p, as the kernel would with the image as its root.
func (v *view) resolve(p string) (string, bool) {
	if len(v.links) == 0 {
		return p, true
	}
	rest, done := p, ""
	for hops := 0; rest != ""; {
		name, more, _ := strings.Cut(rest, "/")
		rest = more
		switch name {
		case "", ".":
			continue
		case "..":
			done = parent(done)
			continue
		}
		at := name
		if done != "" {
			at = done + "/" + name
		}
		target, ok := v.links[at]
		if !ok {
			done = at
			continue
		}
		if hops++; hops > 40 {
			return "", false
		}
		if strings.HasPrefix(target, "/") {
			done = ""
		}
		if rest != "" {
			target += "/" + rest
		}
		if len(target) > 16<<10 {
			return "", false
		}
		rest = target
	}
	return done, true
}

// hidden reports whether a layer above i hides p.
func (v *view) hidden(p string, i int) bool {
	for _, l := range v.layers[min(i+1, len(v.layers)):] {
		if l.hides(p) {
			return true
		}
	}
	return false
}

// holds reports whether p is a file, parsed or not.
func (v *view) holds(p string) bool {
	x := hashPath(p)
	for i := len(v.layers) - 1; i >= 0; i-- {
		if v.layers[i].r.Plain.has(x) {
			return true
		}
		if v.layers[i].hides(p) {
			return false
		}
	}
	return false
}

// loads reports whether some layer holds p as code that can be loaded.
func (v *view) loads(p string) bool {
	x := hashPath(p)
	for _, l := range v.layers {
		if l.r.Loads.has(x) {
			return true
		}
	}
	return false
}

// merge turns the records of an image's layers into its catalogue.
func merge(img scan.Image, records []*record, opt Options) *scan.Catalog {
	c := &scan.Catalog{Image: img}
	v := &view{live: map[string]*entry{}, links: map[string]string{}, dirs: map[string]string{}, most: opt.Limits.Packages}
	for i, r := range records {
		if r == nil {
			r = &record{}
		}
		v.apply(i, r)
	}
	clear(v.dirs)
	rooted := len(img.Layers) == 0
	layer := func(i int) int {
		if rooted {
			return -1
		}
		return i
	}
	for i, l := range v.layers {
		for _, g := range l.r.Gaps {
			switch {
			case strings.HasPrefix(g.What, "layer "):
			case v.hidden(g.What, i):
				continue // a file that nobody sees
			case !rooted:
				g.What = fmt.Sprintf("layer %d: %s", i, g.What)
			}
			c.NotAssessed = append(c.NotAssessed, g)
		}
		for _, s := range l.r.Secrets {
			s.Layer, s.Deleted = layer(i), v.hidden(s.Path, i)
			c.Secrets = append(c.Secrets, s)
		}
		for _, m := range l.r.Malware {
			m.Layer = layer(i)
			c.Malware = append(c.Malware, m)
		}
	}
	p := picker{view: v, c: c}
	p.distribution()
	p.languages()
	for i := range c.Packages {
		if rooted {
			c.Packages[i].Layer = -1
		}
		c.Packages[i].PURL = purl(&c.Packages[i], &c.Distro)
	}
	slices.SortFunc(c.Packages, func(a, b scan.Package) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Location, b.Location), cmp.Compare(a.Arch, b.Arch))
	})
	c.NotAssessed = append(append(c.NotAssessed, v.lost...), unread(c)...)
	if opt.Now != nil {
		c.ScannedAt = opt.Now()
	}
	if opt.Config {
		judge(c, v, rooted)
	}
	return c
}

// unread says which package managers are known to be there and not read.
func unread(c *scan.Catalog) []scan.Gap {
	var manager string
	switch c.Distro.ID {
	case "arch", "manjaro", "endeavouros":
		manager = "pacman"
	case "gentoo":
		manager = "portage"
	case "nixos":
		manager = "nix"
	case "void":
		manager = "xbps"
	case "openwrt":
		manager = "opkg"
	case "slackware":
		manager = "pkgtools"
	default:
		return nil
	}
	return []scan.Gap{{What: "packages of " + manager, Reason: "the package database of " + c.Distro.ID + " is not read", Remedy: "only its language packages are judged"}}
}
