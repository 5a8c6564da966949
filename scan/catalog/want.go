package catalog

import (
	"path"
	"strings"
)

// kind says which parser a file goes to.
type kind uint8

const (
	unwanted kind = iota
	dpkgStatus
	dpkgStatusD  // distroless: one file per package
	dpkgList     // files of a package
	dpkgMD5      // distroless: the files, by checksum
	debCopyright // licences only
	apkInstalled
	rpmSQLite
	rpmNDB
	rpmBDB
	rpmWAL
	rpmManifest // what images without rpm keep in place of its database
	osRelease
	nodePackage
	pythonMetadata
	pythonRecord // what a Python package installed
	rubyGem
	composerInstalled
	dotnetDeps
	javaArchive
	program  // by content: Go and Rust
	lockFile // see Options.LockFiles
)

// want says by name which parser a regular file is for. It is asked for every entry.
func want(p string, size int64) kind {
	if size == 0 {
		return unwanted
	}
	dir, base := "", p
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		dir, base = p[:i], p[i+1:]
	}
	switch base {
	case "package.json":
		// Only what stands in a node_modules directory, or in the places distributions
		// install to, is installed; the rest is an application's own source or test data.
		return nodePackage
	case "METADATA":
		if strings.HasSuffix(dir, ".dist-info") {
			return pythonMetadata
		}
	case "PKG-INFO":
		if strings.HasSuffix(dir, ".egg-info") || strings.HasSuffix(dir, "EGG-INFO") {
			return pythonMetadata
		}
	case "RECORD":
		if strings.HasSuffix(dir, ".dist-info") {
			return pythonRecord
		}
	case "top_level.txt", "installed-files.txt":
		if strings.HasSuffix(dir, ".egg-info") || strings.HasSuffix(dir, "EGG-INFO") {
			return pythonRecord
		}
	case "copyright":
		if under(path.Dir(dir), "usr/share/doc") {
			return debCopyright
		}
	case "status":
		if under(dir, "dpkg") {
			return dpkgStatus
		}
	case "installed":
		if under(dir, "apk/db") {
			return apkInstalled
		}
	case "os-release":
		return osRelease
	case "installed.json":
		if under(dir, "vendor/composer") || under(dir, "composer") {
			return composerInstalled
		}
	case "rpmdb.sqlite":
		return rpmSQLite
	case "container-manifest-2":
		if under(dir, "rpmmanifest") {
			return rpmManifest
		}
	case "rpmdb.sqlite-wal":
		return rpmWAL
	case "Packages.db":
		if under(dir, "rpm") {
			return rpmNDB
		}
	case "Packages":
		if under(dir, "rpm") {
			return rpmBDB
		}
	case "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "poetry.lock", "Pipfile.lock", "uv.lock",
		"requirements.txt", "go.mod", "Cargo.lock", "Gemfile.lock", "composer.lock", "packages.lock.json":
		return lockFile
	}
	switch ext := path.Ext(base); ext {
	case ".list":
		if under(dir, "dpkg/info") {
			return dpkgList
		}
	case ".md5sums":
		if under(dir, "dpkg/status.d") {
			return dpkgMD5
		}
	case ".egg-info":
		return pythonMetadata
	case ".gemspec":
		if strings.HasSuffix(dir, "specifications") || strings.HasSuffix(dir, "specifications/default") {
			return rubyGem
		}
	case ".json":
		if strings.HasSuffix(base, ".deps.json") {
			return dotnetDeps
		}
	default:
		if archiveExt(ext) {
			return javaArchive
		}
	}
	if under(dir, "dpkg/status.d") {
		return dpkgStatusD
	}
	return unwanted
}

// under reports whether dir is tail, or ends in it after a slash.
func under(dir, tail string) bool {
	return strings.HasSuffix(dir, tail) && (len(dir) == len(tail) || dir[len(dir)-len(tail)-1] == '/')
}

// archiveExt reports whether files of that extension are zip archives of Java classes.
func archiveExt(ext string) bool {
	if len(ext) < 4 || len(ext) > 5 {
		return false
	}
	switch strings.ToLower(ext) {
	case ".jar", ".war", ".ear", ".par", ".sar", ".jpi", ".hpi", ".rar":
		return true
	}
	return false
}

// isMark reports whether a language package is known by a file of this name, so that
// its owner among the distribution's packages matters.
func isMark(p string) bool {
	switch k := want(p, 1); k {
	case nodePackage, pythonMetadata, rubyGem, composerInstalled, dotnetDeps, javaArchive:
		return true
	}
	return false
}

// loadable reports whether a file of this name and mode counts as code that is loaded
// when it is opened: programs, shared objects, archives of classes.
func loadable(p string, mode int64) bool {
	base := p[strings.LastIndexByte(p, '/')+1:]
	if sharedObject(base) || archiveExt(path.Ext(base)) {
		return true
	}
	return mode&0o111 != 0
}

func sharedObject(base string) bool {
	i := strings.Index(base, ".so")
	return i > 0 && (len(base) == i+3 || base[i+3] == '.')
}

// cleanPath turns the name of a tar entry into a path without a leading slash; "" is
// the root. Names that climb, hold NUL or are absurdly long are refused.
func cleanPath(name string) (string, bool) {
	if len(name) > 4096 || strings.IndexByte(name, 0) >= 0 {
		return "", false
	}
	clean, climbs := true, false
	for i := 0; i <= len(name); {
		j := strings.IndexByte(name[i:], '/')
		if j < 0 {
			j = len(name) - i
		}
		switch name[i : i+j] {
		case "", ".":
			clean = false
		case "..":
			climbs = true
		}
		i += j + 1
	}
	switch {
	case climbs:
		return "", false
	case clean:
		return name, true
	}
	return path.Clean("/" + name)[1:], true
}
