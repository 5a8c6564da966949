package match

import (
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// naming says by which name a distribution's advisories know a package.
type naming uint8

const (
	bySource naming = iota // deb source package, apk origin
	byBinary               // the installed package's own name
	byBoth                 // own name first; the source name for what the own name says nothing about
)

// release is a distribution release as advisories know it.
type release struct {
	typ        scan.Type
	ecosystems []string // in OSV's spelling; an image may answer to several (modules, repositories)
	order      string   // whose version order holds, as semantic spells it
	label      string   // "Debian 12"
	family     string   // "Debian": who rates
	naming     naming
	vendors    []string // words of rpm vendors that are the distribution's own; empty = cannot be told
	note       string   // why its advisories do not fit wholly; "" they do
	eolID      string   // key of the end-of-life table
	eolVersion string
}

// releaseOf finds the release whose advisories an image's distribution packages answer
// to. reason says in words why there is none.
func releaseOf(d scan.Distro) (r *release, reason string) {
	if d.ID == "" {
		return nil, "the image names no distribution: it has no os-release file, so nobody's advisories can be chosen"
	}
	id, v := strings.ToLower(d.ID), d.Version
	major, minor := cutVersion(v)
	switch id {
	case "debian", "raspbian":
		if major == "" {
			major = debianCodenames[strings.ToLower(d.Codename)]
		}
		if major == "" {
			return nil, "os-release names " + label(d) + " without a version: testing and unstable have no advisories of their own"
		}
		r = &release{typ: scan.Deb, ecosystems: []string{"Debian:" + major}, order: "Debian", family: "Debian", label: "Debian " + major, eolID: "debian", eolVersion: major}
		if id == "raspbian" {
			r.note = "Raspbian rebuilds Debian's packages: it is judged by Debian's advisories, and packages of its own are in none"
		}
		return r, ""
	case "ubuntu", "pop":
		if minor == "" {
			return nil, "os-release names " + label(d) + " without a release such as 24.04"
		}
		rel := major + "." + minor
		eco := "Ubuntu:" + rel
		if ubuntuLTS(major, minor) {
			eco += ":LTS"
		}
		r = &release{typ: scan.Deb, ecosystems: []string{eco}, order: "Ubuntu", family: "Ubuntu", label: "Ubuntu " + rel, eolID: "ubuntu", eolVersion: rel}
		if id == "pop" {
			r.note = "Pop!_OS takes Ubuntu's packages: it is judged by Ubuntu's advisories, and packages of its own are in none"
		}
		return r, ""
	case "alpine":
		if strings.Contains(v, "_alpha") || strings.Contains(v, "edge") {
			return &release{typ: scan.Apk, ecosystems: []string{"Alpine:edge"}, order: "Alpine", family: "Alpine", label: "Alpine edge"}, ""
		}
		if minor == "" {
			return nil, "os-release names " + label(d) + " without a release such as 3.20"
		}
		rel := major + "." + minor
		return &release{typ: scan.Apk, ecosystems: []string{"Alpine:v" + rel}, order: "Alpine", family: "Alpine", label: "Alpine " + rel, eolID: "alpine", eolVersion: rel}, ""
	case "wolfi":
		return &release{typ: scan.Apk, ecosystems: []string{"Wolfi"}, order: "Wolfi", family: "Wolfi", label: "Wolfi"}, ""
	case "chainguard":
		return &release{typ: scan.Apk, ecosystems: []string{"Chainguard"}, order: "Chainguard", family: "Chainguard", label: "Chainguard"}, ""
	case "minimos":
		return &release{typ: scan.Apk, ecosystems: []string{"MinimOS"}, order: "MinimOS", family: "MinimOS", label: "MinimOS"}, ""
	case "alpaquita":
		rel := v
		if major != "" {
			rel = major
		}
		return &release{typ: scan.Apk, ecosystems: []string{"Alpaquita:" + rel}, order: "Alpaquita", family: "Alpaquita", label: "Alpaquita " + rel}, ""
	case "opensuse-tumbleweed":
		return rpm("openSUSE", "openSUSE Tumbleweed", byBoth, []string{"suse"}, "", "", "openSUSE:Tumbleweed"), ""
	}
	if major == "" {
		if _, known := rpmFamilies[id]; known {
			return nil, "os-release names " + label(d) + " without a version"
		}
		return nil, "no source of advisories is known for the distribution " + label(d)
	}
	switch id {
	case "rhel", "redhat":
		return redHat("RHEL "+major, major, "rhel", []string{"red hat"}, ""), ""
	case "centos":
		return redHat("CentOS "+major, major, "centos", []string{"centos", "red hat"},
			"CentOS has no advisories of its own: it is judged by Red Hat's, and a CentOS Stream may be ahead of them or behind"), ""
	case "rocky":
		return rpm("Rocky Linux", "Rocky Linux "+major, byBoth, []string{"rocky"}, "rocky", major, "Rocky Linux:"+major), ""
	case "almalinux":
		return rpm("AlmaLinux", "AlmaLinux "+major, byBinary, []string{"almalinux"}, "almalinux", major, "AlmaLinux:"+major), ""
	case "ol":
		return rpm("Oracle Linux", "Oracle Linux "+major, byBinary, []string{"oracle"}, "oracle", major, "Oracle Linux:"+major), ""
	case "azurelinux":
		return rpm("Azure Linux", "Azure Linux "+major, byBoth, []string{"microsoft"}, "azurelinux", major, "Azure Linux:"+major), ""
	case "mariner":
		return rpm("CBL-Mariner", "CBL-Mariner "+major, byBoth, []string{"microsoft"}, "mariner", major, "Azure Linux:"+major), ""
	case "amzn":
		return rpm("Amazon Linux", "Amazon Linux "+major, byBinary, []string{"amazon"}, "amazon", major, "Amazon Linux:"+major), ""
	case "fedora":
		return rpm("Fedora", "Fedora "+major, byBinary, []string{"fedora"}, "fedora", major, "Fedora:"+major), ""
	case "photon":
		rel := major + "." + or(minor, "0")
		return rpm("Photon OS", "Photon OS "+rel, byBoth, []string{"vmware", "broadcom"}, "", "", "Photon OS:"+rel), ""
	case "mageia":
		return rpm("Mageia", "Mageia "+major, byBoth, []string{"mageia"}, "", "", "Mageia:"+major), ""
	case "openeuler":
		rel := strings.ReplaceAll(strings.TrimSpace(strings.NewReplacer("(", "", ")", "").Replace(v)), " ", "-")
		return rpm("openEuler", "openEuler "+rel, byBoth, []string{"openeuler"}, "", "", "openEuler:"+rel), ""
	case "opensuse-leap", "opensuse":
		rel := major + "." + or(minor, "0")
		return rpm("openSUSE", "openSUSE Leap "+rel, byBoth, []string{"suse"}, "opensuse", rel, "openSUSE:Leap "+rel), ""
	case "sles", "sled", "sle_hpc", "sles_sap", "suse":
		sp := major
		if minor != "" && minor != "0" {
			sp += " SP" + minor
		}
		var ecos []string
		for _, product := range suseProducts {
			ecos = append(ecos, "SUSE:"+product+" "+sp)
		}
		return rpm("SUSE", "SUSE Linux Enterprise "+sp, byBoth, []string{"suse"}, "sles", v, ecos...), ""
	}
	return nil, "no source of advisories is known for the distribution " + label(d)
}

// rpmFamilies are the distributions below that need a version.
var rpmFamilies = map[string]bool{"rhel": true, "redhat": true, "centos": true, "rocky": true, "almalinux": true, "ol": true, "azurelinux": true, "mariner": true, "amzn": true,
	"fedora": true, "photon": true, "mageia": true, "openeuler": true, "opensuse-leap": true, "opensuse": true, "sles": true, "sled": true, "sle_hpc": true, "sles_sap": true, "suse": true}

// debianCodenames give a version to images whose os-release has none.
var debianCodenames = map[string]string{"jessie": "8", "stretch": "9", "buster": "10", "bullseye": "11", "bookworm": "12", "trixie": "13", "forky": "14"}

// suseProducts are the products whose packages a SUSE image may hold.
var suseProducts = []string{"Linux Enterprise Server", "Linux Enterprise Module for Basesystem", "Linux Enterprise Module for Server Applications",
	"Linux Enterprise Module for Development Tools", "Linux Enterprise Module for Python 3", "Linux Enterprise Module for Web and Scripting",
	"Linux Enterprise Module for Containers", "Linux Enterprise Module for Legacy", "Linux Enterprise Module for Desktop Applications"}

func rpm(family, label string, n naming, vendors []string, eolID, eolVersion string, ecosystems ...string) *release {
	return &release{typ: scan.RPM, ecosystems: ecosystems, order: "Red Hat", family: family, label: label, naming: n, vendors: vendors, eolID: eolID, eolVersion: eolVersion}
}

// redHat is a release of Red Hat's, or one that its advisories serve too.
func redHat(label, major, eolID string, vendors []string, note string) *release {
	r := rpm("Red Hat", label, byBoth, vendors, eolID, major, "Red Hat:enterprise_linux:"+major)
	r.note = note
	return r
}

// cutVersion takes the first two numbers of a VERSION_ID.
func cutVersion(v string) (major, minor string) {
	i := digits(v)
	major = v[:i]
	if i < len(v) && v[i] == '.' && major != "" {
		rest := v[i+1:]
		minor = rest[:digits(rest)]
	}
	return major, minor
}

func digits(s string) int {
	i := 0
	for i < len(s) && i < 8 && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return i
}

// ubuntuLTS reports whether a release is a long-term one: April of an even year.
func ubuntuLTS(year, month string) bool {
	return month == "04" && year != "" && (year[len(year)-1]-'0')%2 == 0
}

func label(d scan.Distro) string {
	s := d.ID
	if d.Version != "" {
		s += " " + d.Version
	}
	return clip(s, 80)
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
