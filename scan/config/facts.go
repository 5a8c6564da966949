// Package config judges how an image is built and configured: who it runs as, what its
// files allow, what its history shows. It owns the checks, their severities and
// remedies, and Facts, which the walk over the layers fills. It promises that a check
// whose evidence was not looked at is named as not assessed and never passes. It does
// no I/O and reads no clock, and it prints no value of an environment variable.
package config

import (
	"bytes"
	"io/fs"
	"path"
	"strings"
)

// Bounds of Facts. What is beyond them is counted in Facts.Dropped.
const (
	maxNoted   = 500 // of each kind of file
	maxContent = 64 << 10
)

// Entry is one file or directory of one layer.
type Entry struct {
	Path     string // without a leading slash
	Layer    int    // -1 without layers
	Mode     fs.FileMode
	UID, GID int
	Size     int64
	// Hidden entries are deleted or replaced by a later layer: they cost bytes, but no
	// container sees them.
	Hidden bool
}

// Noted is a file or directory worth judging.
type Noted struct {
	Path     string
	Layer    int
	Mode     fs.FileMode
	UID, GID int
	Size     int64
	Hidden   bool
}

// Cache is what one cache costs in one layer.
type Cache struct {
	Kind  string // apt, apk, dnf, pip, npm…
	Dir   string
	Layer int
	Bytes int64
	Files int
}

// Facts are what the files of an image tell, gathered while its layers are walked. The
// zero value is ready: call Observe for every entry and Content for those that
// WantContent asks for, then Done. Not safe for concurrent use.
type Facts struct {
	Looked   bool // the files were walked; set by Done
	Entries  int64
	Setuid   []Noted // regular files with the setuid or setgid bit
	Writable []Noted // files, and directories without the sticky bit, that everyone may write
	Interest []Interesting
	Caches   []Cache
	Tools    []Interesting // package managers, shells, compilers, sudo, ssh servers
	Sudoers  []Line        // lines that let someone become root without a password
	NoPass   []Line        // accounts that can be entered without a password
	SSHD     []Line        // risky settings of an ssh server
	Dropped  map[string]int
}

// Interesting is a file that tells something by being there.
type Interesting struct {
	Kind   string
	Path   string
	Layer  int
	Size   int64
	Hidden bool
}

// Line is a line of a configuration file. Text never holds a password.
type Line struct {
	Path  string
	Line  int
	Layer int
	Text  string
}

// Done says that the walk is over and that what was not noted is not there.
func (f *Facts) Done() { f.Looked = true }

// Observe takes one entry. It allocates only for what it keeps.
func (f *Facts) Observe(e Entry) {
	f.Entries++
	e.Path = strings.TrimPrefix(e.Path, "/")
	if e.Mode&fs.ModeSymlink != 0 {
		f.tool(e)
		return
	}
	if c, dir := cacheOf(e.Path); c != "" && e.Mode.IsRegular() {
		f.cache(c, dir, e)
	}
	if !e.Hidden {
		if e.Mode.IsRegular() && e.Mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 && e.Mode&0o111 != 0 {
			f.note("setuid files", &f.Setuid, e)
		}
		if e.Mode&0o002 != 0 && (e.Mode.IsRegular() || e.Mode.IsDir() && e.Mode&fs.ModeSticky == 0) {
			f.note("writable files", &f.Writable, e)
		} else if e.Mode&0o022 != 0 && e.Mode.IsRegular() && accountFile(e.Path) && (e.Mode&0o002 != 0 || e.GID != 0) {
			f.note("writable files", &f.Writable, e)
		} else if accountFile(e.Path) && e.Mode.IsRegular() && e.UID != 0 && e.Mode&0o200 != 0 {
			f.note("writable files", &f.Writable, e)
		}
	}
	if e.Mode.IsRegular() || e.Mode.IsDir() {
		if kind := interestOf(e); kind != "" {
			f.interest("files of interest", &f.Interest, kind, e)
		}
	}
	if e.Mode.IsRegular() {
		f.tool(e)
	}
}

func (f *Facts) tool(e Entry) {
	if e.Hidden || !binDir(e.Path) {
		return
	}
	if kind := toolOf(path.Base(e.Path)); kind != "" && (e.Mode&fs.ModeSymlink != 0 || e.Mode&0o111 != 0) {
		f.interest("tools", &f.Tools, kind, e)
	}
}

// WantContent reports whether Content is to be called with the bytes of a file.
func (f *Facts) WantContent(p string, size int64) bool {
	p = strings.TrimPrefix(p, "/")
	if size <= 0 || size > maxContent || !strings.HasPrefix(p, "etc/") {
		return false
	}
	switch p {
	case "etc/sudoers", "etc/shadow", "etc/ssh/sshd_config":
		return true
	}
	return strings.HasPrefix(p, "etc/sudoers.d/") || strings.HasPrefix(p, "etc/ssh/sshd_config.d/")
}

// Content takes the bytes of a file that WantContent asked for and that no later layer hides.
func (f *Facts) Content(p string, layer int, content []byte) {
	p = strings.TrimPrefix(p, "/")
	content = content[:min(len(content), maxContent)]
	n := 0
	for line := range bytes.Lines(content) {
		n++
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' {
			continue
		}
		switch {
		case p == "etc/shadow":
			if fields := strings.SplitN(text, ":", 3); len(fields) == 3 && fields[1] == "" {
				f.line("accounts", &f.NoPass, Line{p, n, layer, word(fields[0])})
			}
		case strings.HasPrefix(p, "etc/sudoers"):
			if strings.Contains(text, "NOPASSWD") {
				f.line("sudoers", &f.Sudoers, Line{p, n, layer, clip(text)})
			}
		case strings.HasPrefix(p, "etc/ssh/sshd_config"):
			fields := strings.Fields(strings.ToLower(text))
			if len(fields) >= 2 && fields[1] == "yes" && (fields[0] == "permitrootlogin" || fields[0] == "permitemptypasswords") {
				f.line("sshd settings", &f.SSHD, Line{p, n, layer, fields[0] + " yes"})
			}
		}
	}
}

func (f *Facts) note(kind string, to *[]Noted, e Entry) {
	if len(*to) >= maxNoted {
		f.drop(kind)
		return
	}
	*to = append(*to, Noted{strings.Clone(e.Path), e.Layer, e.Mode, e.UID, e.GID, e.Size, e.Hidden})
}

func (f *Facts) interest(what string, to *[]Interesting, kind string, e Entry) {
	if len(*to) >= maxNoted {
		f.drop(what)
		return
	}
	*to = append(*to, Interesting{kind, strings.Clone(e.Path), e.Layer, e.Size, e.Hidden})
}

func (f *Facts) line(what string, to *[]Line, l Line) {
	if len(*to) >= maxNoted {
		f.drop(what)
		return
	}
	*to = append(*to, l)
}

func (f *Facts) cache(kind, dir string, e Entry) {
	for i := range f.Caches {
		if c := &f.Caches[i]; c.Layer == e.Layer && c.Dir == dir {
			c.Bytes += e.Size
			c.Files++
			return
		}
	}
	if len(f.Caches) >= maxNoted {
		f.drop("caches")
		return
	}
	f.Caches = append(f.Caches, Cache{kind, strings.Clone(dir), e.Layer, e.Size, 1})
}

func (f *Facts) drop(what string) {
	if f.Dropped == nil {
		f.Dropped = map[string]int{}
	}
	f.Dropped[what]++
}

func accountFile(p string) bool {
	switch p {
	case "etc/passwd", "etc/shadow", "etc/group", "etc/gshadow", "etc/sudoers":
		return true
	}
	return false
}

func binDir(p string) bool {
	switch path.Dir(p) {
	case "bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin", "usr/libexec", "usr/lib/ssh":
		return true
	}
	return false
}

// toolOf names the kind of a program by its file name.
func toolOf(base string) string {
	switch base {
	case "apt-get", "apt", "dpkg", "apk", "dnf", "microdnf", "tdnf", "yum", "rpm", "zypper", "pacman":
		return "package manager"
	case "sh", "bash", "dash", "ash", "zsh", "ksh", "fish":
		return "shell"
	case "gcc", "cc", "g++", "clang", "rustc", "javac", "tcc":
		return "compiler"
	case "sudo", "doas":
		return "sudo"
	case "sshd", "dropbear":
		return "ssh server"
	case "nmap", "netcat", "nc.traditional", "ncat", "socat", "tcpdump", "gdb", "strace":
		return "attack tool"
	}
	return ""
}

// cacheOf names the cache a file belongs to and its directory.
func cacheOf(p string) (kind, dir string) {
	switch {
	case strings.HasPrefix(p, "var/"):
		switch {
		case strings.HasPrefix(p, "var/lib/apt/lists/"):
			return "apt", "var/lib/apt/lists"
		case strings.HasPrefix(p, "var/cache/apt/") && (strings.HasSuffix(p, ".deb") || strings.HasSuffix(p, ".bin")):
			return "apt", "var/cache/apt"
		case strings.HasPrefix(p, "var/cache/apk/"):
			return "apk", "var/cache/apk"
		case strings.HasPrefix(p, "var/cache/dnf/"):
			return "dnf", "var/cache/dnf"
		case strings.HasPrefix(p, "var/cache/yum/"):
			return "yum", "var/cache/yum"
		case strings.HasPrefix(p, "var/cache/tdnf/"):
			return "tdnf", "var/cache/tdnf"
		case strings.HasPrefix(p, "var/cache/zypp/"):
			return "zypper", "var/cache/zypp"
		}
	case strings.HasPrefix(p, "root/") || strings.HasPrefix(p, "home/"):
		home := "root"
		if p[0] == 'h' {
			rest := p[len("home/"):]
			i := strings.IndexByte(rest, '/')
			if i < 0 {
				return "", ""
			}
			home = p[:len("home/")+i]
		}
		rest := p[len(home)+1:]
		for _, c := range [...]struct{ dir, kind string }{
			{".cache/pip", "pip"}, {".cache/uv", "uv"}, {".cache/go-build", "go build"}, {".cache/yarn", "yarn"}, {".cache/pypoetry", "poetry"},
			{".npm/_cacache", "npm"}, {".m2/repository", "maven"}, {".gradle/caches", "gradle"}, {".cargo/registry", "cargo"},
			{".nuget/packages", "nuget"}, {".composer/cache", "composer"}, {".bundle/cache", "bundler"},
		} {
			if strings.HasPrefix(rest, c.dir) && len(rest) > len(c.dir) && rest[len(c.dir)] == '/' {
				return c.kind, p[:len(home)+1+len(c.dir)]
			}
		}
	case strings.HasPrefix(p, "go/pkg/mod/cache/"):
		return "go modules", "go/pkg/mod/cache"
	case strings.HasPrefix(p, "usr/local/share/.cache/yarn/"):
		return "yarn", "usr/local/share/.cache/yarn"
	}
	return "", ""
}

// interestOf names the kind of a file or directory that has no business in an image.
func interestOf(e Entry) string {
	base := path.Base(e.Path)
	if e.Mode.IsDir() {
		switch base {
		case ".git", ".svn", ".hg":
			return "repository"
		}
		return ""
	}
	switch base {
	case ".bash_history", ".zsh_history", ".ash_history", ".sh_history", ".mysql_history", ".psql_history", ".python_history":
		if e.Size > 0 {
			return "history"
		}
	case "Dockerfile", "docker-compose.yml", "docker-compose.yaml", "compose.yaml":
		if strings.Count(e.Path, "/") <= 1 {
			return "build file"
		}
	case "docker.sock":
		return "socket"
	case "core":
		if e.Size > 64<<10 && !strings.Contains(e.Path, "/share/") {
			return "core dump"
		}
	}
	switch {
	case strings.HasPrefix(base, "core.") && len(base) > 5 && digits(base[5:]) && e.Size > 64<<10:
		return "core dump"
	case strings.HasPrefix(e.Path, "etc/ssh/ssh_host_") && strings.HasSuffix(base, "_key"):
		return "ssh host key"
	}
	return ""
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// word is the first word of s, cut to what may be shown.
func word(s string) string {
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		s = s[:i]
	}
	return clip(s)
}

func clip(s string) string {
	const most = 160
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			return '?'
		}
		return r
	}, s)
}
