// Package scan owns what Dockreeve knows of a container image: the value types that
// travel from an image's bytes to a verdict.
//
//	image ─▶ catalog ─▶ match ─▶ report ─▶ gate, render, store
//
// Its rooms do the work: scan/image opens images wherever they are, scan/catalog reads
// their layers once, scan/advisory holds the advisory database, scan/match joins the
// two, scan/gate judges, scan/render writes. This package itself does no I/O and reads
// no clock. All times are Unix nanoseconds, all digests are "sha256:" and 64 hex
// digits, all paths are slash-separated without a leading slash, as in a layer.
package scan

import "github.com/dockreeve/dockreeve/finding"

// Image is what was scanned. For a file system or a host the digests and layers are
// empty and Kind says so.
type Image struct {
	Kind         Kind     `json:"kind"`
	Name         string   `json:"name"`                   // as it was asked for
	Repository   string   `json:"repository,omitempty"`   // registry.example/team/app
	Tags         []string `json:"tags,omitempty"`         // known to name this digest
	Digest       string   `json:"digest,omitempty"`       // of the platform's manifest: what a pod runs; "" where the source keeps none
	IndexDigest  string   `json:"indexDigest,omitempty"`  // of the manifest list it was chosen from
	ConfigDigest string   `json:"configDigest,omitempty"` // the image id: the same content in every registry
	Platform     string   `json:"platform,omitempty"`     // linux/amd64, linux/arm/v7
	Created      int64    `json:"created,omitempty"`      // as the image claims; 0 unknown
	Size         int64    `json:"size,omitempty"`         // compressed bytes of all layers; 0 unknown
	Layers       []Layer  `json:"layers,omitempty"`       // lowest first
	Config       Config   `json:"config"`
}

// Key identifies what was scanned, for storing and joining: the manifest digest, else
// the config digest, else "".
func (i *Image) Key() string {
	if i.Digest != "" {
		return i.Digest
	}
	return i.ConfigDigest
}

// Kind says what an Image was read from.
type Kind string

// The kinds of sources.
const (
	KindRegistry   Kind = "registry"
	KindDocker     Kind = "docker"     // a Docker daemon's store
	KindContainerd Kind = "containerd" // containerd's content store on disk
	KindArchive    Kind = "archive"    // docker save
	KindOCI        Kind = "oci"        // layout directory or archive
	KindRootfs     Kind = "rootfs"     // an unpacked root file system
	KindHost       Kind = "host"       // the running machine
	KindSBOM       Kind = "sbom"       // only a list of packages: nothing else could be looked at
)

// Layer is one layer of an image.
type Layer struct {
	Digest    string `json:"digest,omitempty"` // compressed, as the manifest names it
	DiffID    string `json:"diffID"`           // uncompressed, as the config names it
	Size      int64  `json:"size,omitempty"`   // compressed bytes
	CreatedBy string `json:"createdBy,omitempty"`
	Base      bool   `json:"base,omitempty"` // belongs to the named base image
	// NotAssessed is why the layer, or the rest of it, could not be read; "" = whole.
	NotAssessed string `json:"notAssessed,omitempty"`
}

// Config is the part of an image's configuration that is judged or shown. Values of
// environment variables are redacted before they get here.
type Config struct {
	User        string            `json:"user,omitempty"`
	Entrypoint  []string          `json:"entrypoint,omitempty"`
	Cmd         []string          `json:"cmd,omitempty"`
	Env         []string          `json:"env,omitempty"`
	Ports       []string          `json:"ports,omitempty"`
	Volumes     []string          `json:"volumes,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Healthcheck bool              `json:"healthcheck,omitempty"`
	History     []string          `json:"history,omitempty"` // created-by of every step, those without a layer too
}

// Distro is the distribution of an image, from os-release. The zero value: none found.
type Distro struct {
	ID       string   `json:"id,omitempty"`      // debian, ubuntu, alpine, rhel, azurelinux…
	Version  string   `json:"version,omitempty"` // VERSION_ID
	Codename string   `json:"codename,omitempty"`
	Name     string   `json:"name,omitempty"` // PRETTY_NAME
	Like     []string `json:"like,omitempty"`
}

// Type is a package type, spelled as in a package URL.
type Type string

// The package types.
const (
	Deb      Type = "deb"
	Apk      Type = "apk"
	RPM      Type = "rpm"
	Golang   Type = "golang"
	NPM      Type = "npm"
	PyPI     Type = "pypi"
	Maven    Type = "maven"
	Gem      Type = "gem"
	Composer Type = "composer"
	NuGet    Type = "nuget"
	Cargo    Type = "cargo"
)

// Distribution reports whether packages of this type answer to a distribution's advisories.
func (t Type) Distribution() bool { return t == Deb || t == Apk || t == RPM }

// Package is one installed package.
type Package struct {
	Type    Type   `json:"type"`
	Name    string `json:"name"` // as its ecosystem names it: group:artifact, @scope/name, module path, stdlib
	Version string `json:"version"`
	Arch    string `json:"arch,omitempty"`
	// Source and SourceVersion: deb source package, apk origin, rpm source name; what
	// the distribution's advisories speak of. Empty = Name and Version.
	Source        string   `json:"source,omitempty"`
	SourceVersion string   `json:"sourceVersion,omitempty"`
	Module        string   `json:"module,omitempty"` // rpm modularity, name:stream
	Vendor        string   `json:"vendor,omitempty"` // rpm vendor, deb maintainer: tells a third party's package from the distribution's
	PURL          string   `json:"purl"`
	Licenses      []string `json:"licenses,omitempty"` // SPDX ids where they can be told, else as written
	Location      string   `json:"location,omitempty"` // file it was read from; jar!/inner.jar for nested ones
	Layer         int      `json:"layer"`              // index into Image.Layers; -1 without layers
	Dev           bool     `json:"dev,omitempty"`      // only a lock file speaks of it: not installed

	// OwnedBy names the distribution package that installed Location; "" none. Such a
	// language package answers to the distribution's advisories only.
	OwnedBy string `json:"ownedBy,omitempty"`

	// Files and Dirs say which loads count as use of the package: exact paths
	// (programs, shared objects, jars), and directories below which any file read
	// counts (Python and Node packages). Bounded: see MaxFiles.
	Files []string `json:"files,omitempty"`
	Dirs  []string `json:"dirs,omitempty"`
}

// MaxFiles bounds Package.Files; beyond it use of the package cannot be told apart
// and InUse stays not assessed.
const MaxFiles = 4096

// Catalog is what an image holds: the part of a scan that depends on its bytes alone,
// kept per digest and matched again whenever the advisories change.
type Catalog struct {
	Image    Image      `json:"image"`
	Distro   Distro     `json:"distro"`
	Packages []Package  `json:"packages"`
	Secrets  []Secret   `json:"secrets,omitempty"`
	Config   []Misstep  `json:"config,omitempty"`
	Malware  []Malware  `json:"malware,omitempty"`
	Base     *BaseImage `json:"base,omitempty"`
	// NotAssessed is all that could not be read or was not looked at, with reasons. An
	// empty Catalog with an entry here is not a clean image.
	NotAssessed []Gap `json:"notAssessed,omitempty"`
	ScannedAt   int64 `json:"scannedAt,omitempty"`
}

// Gap is one thing that could not be assessed.
type Gap struct {
	What   string `json:"what"`             // "layer 3", "usr/lib/app.jar", "npm advisories"
	Reason string `json:"reason"`           // why, in words
	Remedy string `json:"remedy,omitempty"` // what to do
	// Data marks gaps of the advisory data (a missing ecosystem, a feed too old), which
	// exit with 4 instead of being only said.
	Data bool `json:"data,omitempty"`
	// Unread marks parts of the image itself that should have been read and could not
	// be: no gate passes over them unless it is told to.
	Unread bool `json:"unread,omitempty"`
}

// Gap.What of kinds of findings that nobody looked for: that a catalogue has none of
// them says nothing.
const (
	GapSecrets = "secrets"
	GapConfig  = "configuration"
	GapMalware = "malware"
)

// Secret is a credential found in an image. The value itself is never kept.
type Secret struct {
	Rule     string           `json:"rule"` // private-key, github-token…
	Title    string           `json:"title"`
	Severity finding.Severity `json:"severity"`
	Path     string           `json:"path"`            // file; "" for one in the image configuration
	Where    string           `json:"where,omitempty"` // "env DB_PASSWORD", "history step 4"
	Line     int              `json:"line,omitempty"`
	Layer    int              `json:"layer"`
	Deleted  bool             `json:"deleted,omitempty"` // a later layer deletes the file; who pulls the image still has it
	Redacted string           `json:"redacted"`          // first four characters at most, then ***
	Hash     string           `json:"hash"`              // first 16 hex digits of SHA-256 of the value with a domain: tells two apart
}

// Misstep is a fault of how an image is built or configured.
type Misstep struct {
	Check    string           `json:"check"` // root-user, setuid, no-healthcheck…
	Title    string           `json:"title"`
	Severity finding.Severity `json:"severity"`
	Detail   string           `json:"detail"`
	Remedy   string           `json:"remedy"`
	Path     string           `json:"path,omitempty"`
	Layer    int              `json:"layer"`
}

// Malware is a file whose hash is on a list, or the EICAR test file.
type Malware struct {
	Path   string `json:"path"`
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	List   string `json:"list"`
	Layer  int    `json:"layer"`
}

// BaseImage is the image whose layers another one is built on.
type BaseImage struct {
	Name   string `json:"name"` // repository:tag
	Digest string `json:"digest"`
	Layers int    `json:"layers"` // how many layers are its own
	// Newer is the newest known image of the same repository and tag or track; nil =
	// none is known. Removes and Adds count vulnerabilities against it.
	Newer   string `json:"newer,omitempty"`
	Removes int    `json:"removes,omitempty"`
	Adds    int    `json:"adds,omitempty"`
}
