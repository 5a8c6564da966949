package catalog

import (
	"path"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/package-url/packageurl-go"
)

// picker takes the packages out of the finished view.
type picker struct {
	view  *view
	c     *scan.Catalog
	owner map[string]ownedBy // by path of a language package's file
}

type ownedBy struct {
	name  string
	layer int
}

// at returns the live file at a path as a program would open it.
func (p *picker) at(name string) *entry {
	real, ok := p.view.resolve(name)
	if !ok {
		return nil
	}
	return p.view.live[real]
}

// below returns the live files of a kind directly in a directory, in order.
func (p *picker) below(dir string, k kind) []*entry {
	real, ok := p.view.resolve(dir)
	if !ok {
		return nil
	}
	var out []*entry
	for at, e := range p.view.live {
		if e.file.Kind == k && parent(at) == real {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *entry) int { return strings.Compare(a.path, b.path) })
	return out
}

// distribution picks the distribution, its packages and what they installed.
func (p *picker) distribution() {
	for _, name := range [...]string{"etc/os-release", "usr/lib/os-release"} {
		if e := p.at(name); e != nil && e.file.Distro != nil {
			p.c.Distro = *e.file.Distro
			break
		}
	}
	p.owner = map[string]ownedBy{}
	marks := p.languageFiles()

	// dpkg: one file of all packages, or one file each.
	seen := map[string]int{}
	add := func(q scan.Package) int {
		p.c.Packages = append(p.c.Packages, q)
		return len(p.c.Packages) - 1
	}
	var status []*entry
	if e := p.at("var/lib/dpkg/status"); e != nil && e.file.Kind == dpkgStatus {
		status = append(status, e)
	}
	status = append(status, p.below("var/lib/dpkg/status.d", dpkgStatusD)...)
	for _, e := range status {
		for _, q := range e.packages {
			if _, ok := seen[q.Name+":"+q.Arch]; ok {
				continue
			}
			i := add(q)
			seen[q.Name+":"+q.Arch] = i
			if _, ok := seen[q.Name]; !ok {
				seen[q.Name] = i
			}
		}
	}
	if len(status) > 0 {
		lists := append(p.below("var/lib/dpkg/info", dpkgList), p.below("var/lib/dpkg/status.d", dpkgMD5)...)
		for _, e := range lists {
			for k := range e.file.Owns {
				if i, ok := seen[e.file.Owns[k].Package]; ok {
					p.own(i, &e.file.Owns[k], marks)
				}
			}
		}
		for _, e := range p.below2("usr/share/doc", debCopyright) {
			for _, q := range e.packages {
				if i, ok := seen[q.Name]; ok {
					p.c.Packages[i].Licenses = q.Licenses
				}
			}
		}
	}

	used := map[*entry]bool{}
	for _, e := range status {
		used[e] = true
	}
	defer func() { p.databases(used) }()

	var whole []*entry
	once := func(e *entry) {
		if e != nil && !slices.Contains(whole, e) {
			whole = append(whole, e)
		}
	}
	for _, name := range [...]string{"lib/apk/db/installed", "usr/lib/apk/db/installed"} {
		if e := p.at(name); e != nil && e.file.Kind == apkInstalled {
			once(e)
		}
	}
	for _, dir := range [...]string{"var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm"} {
		for _, name := range [...]string{"rpmdb.sqlite", "Packages.db", "Packages"} {
			if e := p.at(dir + "/" + name); e != nil && (e.file.Kind == rpmSQLite || e.file.Kind == rpmNDB || e.file.Kind == rpmBDB) {
				once(e) // an older database beside it is a leftover
				break
			}
		}
	}
	if len(whole) == 0 {
		for _, e := range p.below("var/lib/rpmmanifest", rpmManifest) {
			once(e)
		}
	}
	for _, e := range whole {
		used[e] = true
		byName := make(map[string]int, len(e.packages))
		for _, q := range e.packages {
			byName[q.Name+"\x00"+q.Version] = add(q)
		}
		for k := range e.file.Owns {
			o := &e.file.Owns[k]
			if i, ok := byName[o.Package+"\x00"+o.Version]; ok {
				p.own(i, o, marks)
			}
		}
	}
}

// databases says which package databases are there and were not read: those that links
// lead to under a name that no parser knows, and those of other roots.
func (p *picker) databases(used map[*entry]bool) {
	for _, name := range [...]string{"var/lib/dpkg/status", "lib/apk/db/installed", "usr/lib/apk/db/installed", "var/lib/rpm/rpmdb.sqlite", "var/lib/rpm/Packages.db", "var/lib/rpm/Packages",
		"usr/lib/sysimage/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/Packages.db", "usr/lib/sysimage/rpm/Packages", "etc/os-release", "usr/lib/os-release"} {
		if real, ok := p.view.resolve(name); ok && real != name && want(real, 1) != want(name, 1) && p.view.holds(real) {
			p.c.NotAssessed = append(p.c.NotAssessed, scan.Gap{What: name, Unread: true,
				Reason: "a symbolic link to " + field([]byte(real)) + ", a name under which it is not read", Remedy: "put the file where it belongs"})
		}
	}
	var dirs []string
	for e := range used {
		dirs = append(dirs, parent(e.path))
	}
	var others []string
	for at, e := range p.view.live {
		switch e.file.Kind {
		case dpkgStatus, dpkgStatusD, apkInstalled, rpmSQLite, rpmNDB, rpmBDB, rpmManifest:
			// Beside one that was read lies what it has replaced.
			if len(e.packages) > 0 && !used[e] && !slices.Contains(dirs, parent(at)) && len(others) < maxGaps {
				others = append(others, at)
			}
		}
	}
	slices.Sort(others)
	for _, at := range others {
		p.c.NotAssessed = append(p.c.NotAssessed, scan.Gap{What: "packages listed in " + at,
			Reason: "it is not the package database of this image, but of a root file system within it", Remedy: "scan that directory as rootfs:"})
	}
}

// below2 is below for the directories in dir.
func (p *picker) below2(dir string, k kind) []*entry {
	real, ok := p.view.resolve(dir)
	if !ok {
		return nil
	}
	var out []*entry
	for at, e := range p.view.live {
		if e.file.Kind == k && parent(parent(at)) == real {
			out = append(out, e)
		}
	}
	return out
}

// languageFiles is the live files of language packages by the hash of each path they
// can be spelled with.
func (p *picker) languageFiles() map[uint64]*entry {
	out := map[uint64]*entry{}
	for at, e := range p.view.live {
		if len(e.packages) == 0 || e.file.Kind < nodePackage {
			continue
		}
		out[hashPath(at)] = e
		for _, r := range p.view.roots {
			if rest, ok := strings.CutPrefix(at, r.target+"/"); ok {
				out[hashPath(r.name+"/"+rest)] = e
			}
		}
	}
	return out
}

// own gives package i the files it installed.
func (p *picker) own(i int, o *owns, marks map[uint64]*entry) {
	q := &p.c.Packages[i]
	claim := func(x uint64) {
		e := marks[x]
		if e == nil {
			return
		}
		// A file that a later layer wrote anew is somebody else's: npm install -g npm.
		first := e.layer
		for j := range e.packages {
			first = min(first, e.packages[j].Layer)
		}
		if first <= q.Layer {
			p.owner[e.path] = ownedBy{q.Name, q.Layer}
		}
	}
	for _, x := range o.Marks {
		claim(x)
	}
	over := false
	keep := func(to *[]string, at string) {
		if len(q.Files)+len(q.Dirs) >= scan.MaxFiles {
			over = true
			return
		}
		if !slices.Contains((*to)[max(0, len(*to)-8):], at) {
			*to = append(*to, at)
		}
	}
	for _, f := range o.Files {
		at := p.view.place(f)
		if !p.view.loads(at) {
			continue
		}
		claim(hashPath(at))
		keep(&q.Files, at)
	}
	for _, f := range o.Scripts {
		keep(&q.Files, p.view.place(f))
		if compiled := bytecode(f); compiled != "" {
			keep(&q.Files, p.view.place(compiled))
		}
	}
	for _, d := range o.Dirs {
		keep(&q.Dirs, p.view.place(d + "/x")[:len(p.view.place(d+"/x"))-2])
	}
	if over {
		q.Files, q.Dirs = nil, nil // part of the files would make the rest look unused
		p.c.NotAssessed = append(p.c.NotAssessed, scan.Gap{What: "use of " + q.Name, Reason: "the package has more files than are kept", Remedy: "its use at run time cannot be told"})
	}
}

// bytecode is the file Python reads in place of a module of the standard library.
func bytecode(p string) string {
	name, ok := strings.CutSuffix(p, ".py")
	i := strings.LastIndex(p, "/python3.")
	if !ok || i < 0 {
		return ""
	}
	minor, _, ok := strings.Cut(p[i+len("/python3."):], "/")
	if !ok {
		return ""
	}
	return path.Join(path.Dir(p), "__pycache__", path.Base(name)+".cpython-3"+minor+".pyc")
}

// languages picks what is not the distribution's.
func (p *picker) languages() {
	records := map[string]*owns{}
	for at, e := range p.view.live {
		if e.file.Kind == pythonRecord && len(e.file.Owns) > 0 {
			info, _ := pythonInfo(at)
			if records[info] == nil || path.Base(at) == "RECORD" {
				records[info] = &e.file.Owns[0]
			}
		}
	}
	for _, e := range p.view.live {
		if e.file.Kind < nodePackage {
			continue
		}
		// A program is used under any of its names; one list for all that is in it.
		files := append([]string{e.path}, e.names...)
		if e.over {
			files = nil // part of them would make the rest look unused
		}
		for _, q := range e.packages {
			if e.file.Kind == pythonMetadata {
				p.python(&q, e, records)
			}
			q.OwnedBy = p.owner[e.path].name
			if len(q.Files) > 0 && (e.file.Kind == program || e.file.Kind == javaArchive) {
				q.Files = files
			}
			p.c.Packages = append(p.c.Packages, q)
		}
	}
}

// python tells what a Python package installed: by its own record, else by its name.
func (p *picker) python(q *scan.Package, e *entry, records map[string]*owns) {
	info, root := pythonInfo(e.path)
	if o := records[info]; o != nil {
		q.Dirs = p.view.moved(o.Dirs)
		q.Files = p.view.moved(o.Scripts)
		return
	}
	name := strings.NewReplacer("-", "_", ".", "_").Replace(q.Name)
	for _, n := range slices.Compact([]string{name, strings.ToLower(name)}) {
		q.Dirs = append(q.Dirs, path.Join(root, n))
		q.Files = append(q.Files, path.Join(root, n+".py"))
	}
}

// purl names a package as package URLs do.
func purl(p *scan.Package, d *scan.Distro) string {
	var namespace, sub string
	name, version := p.Name, p.Version
	var q packageurl.Qualifiers
	add := func(key, value string) {
		if value != "" {
			q = append(q, packageurl.Qualifier{Key: key, Value: value})
		}
	}
	switch p.Type {
	case scan.Deb, scan.Apk, scan.RPM:
		namespace = d.ID
		add("arch", p.Arch)
		if d.ID != "" && d.Version != "" {
			add("distro", d.ID+"-"+d.Version)
		} else {
			add("distro", d.ID)
		}
		if p.Type == scan.RPM {
			if epoch, rest, ok := strings.Cut(version, ":"); ok {
				add("epoch", epoch)
				version = rest
			}
		}
		if p.Source != "" && p.Type != scan.RPM {
			add("upstream", upstream(p))
		}
	case scan.NPM, scan.Composer, scan.Golang:
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			namespace, name = name[:i], name[i+1:]
		}
	case scan.Maven:
		namespace, name, _ = strings.Cut(name, ":")
	case scan.PyPI:
		name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	}
	slices.SortFunc(q, func(a, b packageurl.Qualifier) int { return strings.Compare(a.Key, b.Key) })
	return packageurl.NewPackageURL(string(p.Type), namespace, name, version, q, sub).ToString()
}

func upstream(p *scan.Package) string {
	if p.SourceVersion == "" || p.SourceVersion == p.Version {
		return p.Source
	}
	return p.Source + "@" + p.SourceVersion
}
