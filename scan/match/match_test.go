package match_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/advisory"
	"github.com/dockreeve/dockreeve/scan/match"
)

// fakeDB serves records written in a test the way the real database serves its file.
type fakeDB struct {
	records []*advisory.Record
	byKey   map[advisory.Key][]advisory.Entry
	ecos    map[string]bool
	epss    map[string]*scan.EPSS
	kev     map[string]*scan.KEV
	asked   int
}

func db(records ...advisory.Record) *fakeDB {
	f := &fakeDB{byKey: map[advisory.Key][]advisory.Entry{}, ecos: map[string]bool{}, epss: map[string]*scan.EPSS{}, kev: map[string]*scan.KEV{}}
	for i := range records {
		r := records[i]
		bare := r
		bare.Affected = nil
		f.records = append(f.records, &r)
		for _, a := range r.Affected {
			f.ecos[a.Ecosystem] = true // the real one spells names alike when it is built
			k := advisory.Key{Ecosystem: advisory.Ecosystem(a.Ecosystem), Name: advisory.PackageName(a.Ecosystem, a.Name)}
			f.byKey[k] = append(f.byKey[k], advisory.Entry{Record: &bare, Affected: a})
		}
	}
	return f
}

func (f *fakeDB) Affected(e, n string) ([]advisory.Entry, error) {
	f.asked++
	return f.byKey[advisory.Key{Ecosystem: e, Name: n}], nil
}
func (f *fakeDB) Has(e string) bool        { return f.ecos[e] }
func (f *fakeDB) EPSS(c string) *scan.EPSS { return f.epss[c] }
func (f *fakeDB) KEV(c string) *scan.KEV   { return f.kev[c] }
func (f *fakeDB) Rating(cve string) (best *advisory.Rating) {
	for _, r := range f.records {
		if (r.ID == cve || len(r.Aliases) == 1 && r.Aliases[0] == cve) && r.Vector != "" && (best == nil || r.CVSS > best.CVSS) {
			best = &advisory.Rating{Vector: r.Vector, CVSS: r.CVSS, From: r.ID}
		}
	}
	return best
}

func below(fixed string) []advisory.Range { return []advisory.Range{{Fixed: fixed}} }

// one is a record about one package.
func one(id, eco, name string, ranges []advisory.Range, aliases ...string) advisory.Record {
	return advisory.Record{ID: id, Feed: "test", Aliases: aliases, Affected: []advisory.Affected{{Ecosystem: eco, Name: name, Ranges: ranges}}}
}

var bookworm = scan.Distro{ID: "debian", Version: "12"}

func image(d scan.Distro, packages ...scan.Package) *scan.Catalog {
	return &scan.Catalog{Distro: d, Packages: packages}
}

func run(t *testing.T, c *scan.Catalog, d match.Advisories) ([]scan.Vulnerability, []scan.Gap) {
	t.Helper()
	v, g, err := match.Match(c, d, match.Options{Now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).UnixNano()})
	if err != nil {
		t.Fatal(err)
	}
	return v, g
}

// say writes findings shortly: "CVE-1 name status fixedIn".
func say(c *scan.Catalog, vulns []scan.Vulnerability) []string {
	var out []string
	for _, v := range vulns {
		out = append(out, strings.TrimSpace(v.ID+" "+c.Packages[v.Package].Name+" "+string(v.Status)+" "+v.FixedIn))
	}
	slices.Sort(out)
	return out
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func gapWith(gaps []scan.Gap, words string) *scan.Gap {
	for i := range gaps {
		if strings.Contains(gaps[i].What+": "+gaps[i].Reason, words) {
			return &gaps[i]
		}
	}
	return nil
}

func TestDebianAnswersBySourcePackageAndItsVersion(t *testing.T) {
	c := image(bookworm,
		scan.Package{Type: scan.Deb, Name: "libssl3", Version: "3.0.11-1~deb12u2", Source: "openssl"},
		scan.Package{Type: scan.Deb, Name: "libgcc-s1", Version: "12.2.0-14", Source: "gcc-12", SourceVersion: "12.2.0-13"},
		scan.Package{Type: scan.Deb, Name: "linux-image-6.1.0-18-amd64", Version: "6.1.76-1", Source: "linux-signed-amd64", SourceVersion: "6.1.76+1"})
	d := db(
		one("DEBIAN-CVE-2024-0001", "Debian:12", "openssl", below("3.0.13-1~deb12u1"), "CVE-2024-0001"),
		one("DEBIAN-CVE-2024-0002", "Debian:12", "libssl3", below("9"), "CVE-2024-0002"),
		one("DEBIAN-CVE-2024-0003", "Debian:12", "gcc-12", below("12.2.0-14"), "CVE-2024-0003"),
		one("DEBIAN-CVE-2024-0004", "Debian:11", "openssl", below("9"), "CVE-2024-0004"),
		one("DEBIAN-CVE-2024-0005", "Debian:12", "linux", below("6.1.76-1"), "CVE-2024-0005"),
		one("DEBIAN-CVE-2024-0006", "Debian:12", "linux", below("6.1.82-1"), "CVE-2024-0006"),
		one("DEBIAN-CVE-2024-0007", "Debian:12", "openssl", below("0"), "CVE-2024-0007"),
		one("DEBIAN-CVE-2024-0008", "Debian:12", "openssl", []advisory.Range{{}}, "CVE-2024-0008"),
	)
	v, gaps := run(t, c, d)
	expect(t, say(c, v),
		"CVE-2024-0001 libssl3 fixed 3.0.13-1~deb12u1",
		"CVE-2024-0003 libgcc-s1 fixed 12.2.0-14",
		"CVE-2024-0006 linux-image-6.1.0-18-amd64 fixed 6.1.82-1",
		"CVE-2024-0008 libssl3 unfixed")
	if len(gaps) != 0 {
		t.Errorf("gaps %+v of an image that was judged whole", gaps)
	}
}

func TestAMissingEcosystemNeverLooksClean(t *testing.T) {
	c := image(bookworm,
		scan.Package{Type: scan.Deb, Name: "a", Version: "1"},
		scan.Package{Type: scan.NPM, Name: "b", Version: "1.0.0"},
		scan.Package{Type: scan.NPM, Name: "c", Version: "1.0.0"})
	v, gaps := run(t, c, db())
	if len(v) != 0 || len(gaps) != 2 {
		t.Fatalf("%d findings, gaps %+v", len(v), gaps)
	}
	for _, words := range []string{"1 package of Debian:12", "2 packages of npm"} {
		if g := gapWith(gaps, words); g == nil || !g.Data {
			t.Errorf("no data gap saying %q in %+v", words, gaps)
		}
	}
}

func TestADistributionNobodyKnowsIsSaid(t *testing.T) {
	for _, d := range []scan.Distro{{}, {ID: "arch"}, {ID: "linuxmint", Version: "21.3", Like: []string{"ubuntu", "debian"}}, {ID: "kali", Version: "2024.1", Like: []string{"debian"}}, {ID: "debian"}, {ID: "rhel"}} {
		c := image(d, scan.Package{Type: scan.Deb, Name: "a", Version: "1"})
		_, gaps := run(t, c, db(one("X", "Debian:12", "a", below("2"))))
		g := gapWith(gaps, match.UnknownDistribution)
		if g == nil || g.Data || g.Reason == "" {
			t.Errorf("%+v: gaps %+v", d, gaps)
		}
	}
	// Packages of a kind the distribution does not use are not judged by it.
	c := image(bookworm, scan.Package{Type: scan.RPM, Name: "a", Version: "1-1"})
	_, gaps := run(t, c, db(one("X", "Debian:12", "a", below("2"))))
	if gapWith(gaps, "Debian 12, whose advisories do not speak of rpm") == nil {
		t.Errorf("gaps %+v", gaps)
	}
}

func TestEcosystemOfADistribution(t *testing.T) {
	for _, tt := range []struct {
		d    scan.Distro
		t    scan.Type
		want string
	}{
		{scan.Distro{ID: "debian", Version: "12"}, scan.Deb, "Debian:12"},
		{scan.Distro{ID: "debian", Codename: "trixie"}, scan.Deb, "Debian:13"},
		{scan.Distro{ID: "raspbian", Version: "11"}, scan.Deb, "Debian:11"},
		{scan.Distro{ID: "ubuntu", Version: "24.04"}, scan.Deb, "Ubuntu:24.04:LTS"},
		{scan.Distro{ID: "ubuntu", Version: "24.10"}, scan.Deb, "Ubuntu:24.10"},
		{scan.Distro{ID: "ubuntu", Version: "23.04"}, scan.Deb, "Ubuntu:23.04"},
		{scan.Distro{ID: "alpine", Version: "3.20.3"}, scan.Apk, "Alpine:v3.20"},
		{scan.Distro{ID: "alpine", Version: "3.21_alpha20240923"}, scan.Apk, "Alpine:edge"},
		{scan.Distro{ID: "wolfi", Version: "20230201"}, scan.Apk, "Wolfi"},
		{scan.Distro{ID: "chainguard", Version: "20230214"}, scan.Apk, "Chainguard"},
		{scan.Distro{ID: "rhel", Version: "9.4"}, scan.RPM, "Red Hat:enterprise_linux:9"},
		{scan.Distro{ID: "centos", Version: "7"}, scan.RPM, "Red Hat:enterprise_linux:7"},
		{scan.Distro{ID: "rocky", Version: "9.4"}, scan.RPM, "Rocky Linux:9"},
		{scan.Distro{ID: "almalinux", Version: "8.10"}, scan.RPM, "AlmaLinux:8"},
		{scan.Distro{ID: "azurelinux", Version: "3.0"}, scan.RPM, "Azure Linux:3"},
		{scan.Distro{ID: "mariner", Version: "2.0"}, scan.RPM, "Azure Linux:2"},
		{scan.Distro{ID: "amzn", Version: "2023"}, scan.RPM, "Amazon Linux:2023"},
		{scan.Distro{ID: "sles", Version: "15.5"}, scan.RPM, "SUSE:Linux Enterprise Server 15 SP5"},
		{scan.Distro{ID: "opensuse-leap", Version: "15.5"}, scan.RPM, "openSUSE:Leap 15.5"},
		{scan.Distro{ID: "opensuse-tumbleweed", Version: "20240101"}, scan.RPM, "openSUSE:Tumbleweed"},
		{scan.Distro{ID: "openEuler", Version: "22.03 (LTS-SP3)"}, scan.RPM, "openEuler:22.03-LTS-SP3"},
	} {
		c := image(tt.d, scan.Package{Type: tt.t, Name: "p", Version: "1-1"})
		if keys := match.Keys(c); !slices.Contains(keys, advisory.Key{Ecosystem: tt.want, Name: "p"}) {
			t.Errorf("%s %s asks for %v, not for %s", tt.d.ID, tt.d.Version, keys, tt.want)
		}
	}
}

func TestAlpineAnswersByOrigin(t *testing.T) {
	c := image(scan.Distro{ID: "alpine", Version: "3.20.1"},
		scan.Package{Type: scan.Apk, Name: "libcrypto3", Version: "3.3.0-r2", Source: "openssl"},
		scan.Package{Type: scan.Apk, Name: "busybox", Version: "1.36.1-r29"})
	v, _ := run(t, c, db(
		one("ALPINE-CVE-2024-1001", "Alpine:v3.20", "openssl", below("3.3.0-r3"), "CVE-2024-1001"),
		one("ALPINE-CVE-2024-1002", "Alpine:v3.20", "openssl", below("3.3.0-r2"), "CVE-2024-1002"),
		one("ALPINE-CVE-2024-1003", "Alpine:v3.20", "busybox", below("1.36.1_p1-r0"), "CVE-2024-1003"),
		one("ALPINE-CVE-2024-1004", "Alpine:v3.20", "busybox", below("0"), "CVE-2024-1004")))
	expect(t, say(c, v), "CVE-2024-1001 libcrypto3 fixed 3.3.0-r3", "CVE-2024-1003 busybox fixed 1.36.1_p1-r0")
}

func TestRPMEpochModuleArchAndNames(t *testing.T) {
	rhel := scan.Distro{ID: "rhel", Version: "8.9"}
	const eco = "Red Hat:enterprise_linux:8"
	c := image(rhel,
		scan.Package{Type: scan.RPM, Name: "openssl-libs", Version: "1:1.1.1k-9.el8", Arch: "x86_64", Source: "openssl", Vendor: "Red Hat, Inc."},
		scan.Package{Type: scan.RPM, Name: "zlib", Version: "1.2.11-20.el8", Arch: "x86_64", Source: "zlib"},
		scan.Package{Type: scan.RPM, Name: "nodejs", Version: "1:18.9.1-1.module+el8.7.0+16806+4709e4a9", Arch: "x86_64", Module: "nodejs:18:8070020221009220316:bd1311ed"},
		scan.Package{Type: scan.RPM, Name: "ruby", Version: "3.1.2-141.module+el8.1+1", Arch: "x86_64"},
		scan.Package{Type: scan.RPM, Name: "vim-minimal", Version: "2:8.0.1763-19.el8", Arch: "x86_64", Source: "vim"})
	mod := func(id, name, module, fixed string) advisory.Record {
		r := one(id, eco, name, below(fixed))
		r.Affected[0].Module = module
		return r
	}
	arm := one("CVE-2024-2006", eco, "zlib", below("1.2.11-25.el8"))
	arm.Affected[0].Arches = []string{"aarch64", "s390x"}
	x86 := one("CVE-2024-2007", eco, "zlib", below("1.2.11-25.el8"))
	x86.Affected[0].Arches = []string{"x86_64"}
	not := one("CVE-2024-2010", eco, "vim-minimal", nil)
	not.Affected[0].NotAffected = true
	v, gaps := run(t, c, db(
		one("CVE-2024-2001", eco, "openssl-libs", below("1:1.1.1k-12.el8")),
		one("CVE-2024-2002", eco, "openssl-libs", below("3.0-1.el8")), // no epoch is epoch 0: below 1:
		one("CVE-2024-2003", eco, "zlib", below("0:1.2.11-21.el8")),
		mod("CVE-2024-2004", "nodejs", "nodejs:18", "1:18.19.0-1.module+el8.9.0+21"),
		mod("CVE-2024-2005", "nodejs", "nodejs:20", "1:20.9.0-1.module+el8.9.0+20"),
		mod("CVE-2024-2008", "ruby", "ruby:3.1", "3.1.4-1.module+el8"),
		arm, x86,
		// What is said of the binary package outweighs what is said of its source.
		one("CVE-2024-2009", eco, "vim", []advisory.Range{{}}),
		one("CVE-2024-2010", eco, "vim", []advisory.Range{{}}),
		not,
		one("CVE-2024-2011", eco, "vim-minimal", below("2:8.0.1763-19.el8")),
		one("CVE-2024-2011", eco, "vim", []advisory.Range{{}}),
	))
	expect(t, say(c, v),
		"CVE-2024-2001 openssl-libs fixed 1:1.1.1k-12.el8",
		"CVE-2024-2003 zlib fixed 0:1.2.11-21.el8",
		"CVE-2024-2004 nodejs fixed 1:18.19.0-1.module+el8.9.0+21",
		"CVE-2024-2007 zlib fixed 1.2.11-25.el8",
		"CVE-2024-2009 vim-minimal unfixed")
	if gapWith(gaps, "module stream of 1 package (ruby)") == nil {
		t.Errorf("nothing said about ruby's module stream: %+v", gaps)
	}
}

func TestStatusesAreToldApart(t *testing.T) {
	with := func(id string, s scan.Status, ranges []advisory.Range) advisory.Record {
		r := one(id, "Debian:12", "p", ranges)
		r.Affected[0].Status = s
		return r
	}
	not := one("ALSO-CVE-2024-3008", "Debian:12", "p", nil, "CVE-2024-3008")
	not.Affected[0].NotAffected = true
	c := image(bookworm, scan.Package{Type: scan.Deb, Name: "p", Version: "1.0-1"})
	d := db(
		with("CVE-2024-3001", "", below("1.0-2")),
		with("CVE-2024-3002", "", []advisory.Range{{}}),
		with("CVE-2024-3003", scan.WontFix, []advisory.Range{{}}),
		with("CVE-2024-3004", scan.Deferred, nil),
		with("CVE-2024-3005", scan.UnderReview, []advisory.Range{{}}),
		with("CVE-2024-3006", scan.EndOfLife, []advisory.Range{{}}),
		with("CVE-2024-3007", scan.Deferred, below("1.0-1")), // fixed already
		with("CVE-2024-3008", "", []advisory.Range{{}}), not,
		// One feed defers, another knows a fix: the fix can be had.
		with("CVE-2024-3009", scan.Deferred, nil), one("B-CVE-2024-3009", "Debian:12", "p", below("1.0-3"), "CVE-2024-3009"),
	)
	v, _ := run(t, c, d)
	expect(t, say(c, v), "CVE-2024-3001 p fixed 1.0-2", "CVE-2024-3002 p unfixed", "CVE-2024-3003 p wont-fix", "CVE-2024-3004 p deferred",
		"CVE-2024-3005 p under-review", "CVE-2024-3006 p end-of-life", "CVE-2024-3009 p fixed 1.0-3")
}

func TestAReleaseWithoutFixesSaysSo(t *testing.T) {
	c := image(scan.Distro{ID: "debian", Version: "10"}, scan.Package{Type: scan.Deb, Name: "p", Version: "1.0-1"})
	v, gaps := run(t, c, db(one("CVE-2024-1", "Debian:10", "p", []advisory.Range{{}}), one("CVE-2020-0001", "Debian:10", "p", []advisory.Range{{}}), one("CVE-2020-0002", "Debian:10", "p", below("2"))))
	expect(t, say(c, v), "CVE-2020-0001 p end-of-life", "CVE-2020-0002 p fixed 2", "CVE-2024-1 p end-of-life")
	if gapWith(gaps, "Debian 10: it gets no security fixes since 2024-06-30") == nil {
		t.Errorf("gaps %+v", gaps)
	}
	// Without a clock nothing is claimed.
	_, gaps, err := match.Match(c, db(one("CVE-2020-0001", "Debian:10", "p", nil)), match.Options{})
	if err != nil || gapWith(gaps, "security fixes") != nil {
		t.Errorf("%v, gaps %+v", err, gaps)
	}
}

func TestNewestFixOfTheBranchThatApplies(t *testing.T) {
	ranges := []advisory.Range{{Introduced: "1.0.0", Fixed: "1.5.2"}, {Introduced: "2.0.0", Fixed: "2.3.1"}, {Introduced: "3.0.0", LastAffected: "3.1.0"}}
	for version, want := range map[string][]string{
		"0.9.0": nil,
		"1.2.0": {"CVE-2024-4001 p fixed 1.5.2"},
		"1.5.2": nil,
		"2.1.0": {"CVE-2024-4001 p fixed 2.3.1"},
		"3.1.0": {"CVE-2024-4001 p unfixed"},
		"3.1.1": nil,
	} {
		c := image(scan.Distro{}, scan.Package{Type: scan.NPM, Name: "p", Version: version})
		v, _ := run(t, c, db(one("CVE-2024-4001", "npm", "p", ranges)))
		expect(t, say(c, v), want...)
	}
	// Two advisories disagree: only what satisfies both is called fixed.
	c := image(scan.Distro{}, scan.Package{Type: scan.NPM, Name: "p", Version: "1.0.0"})
	v, _ := run(t, c, db(one("GHSA-a", "npm", "p", below("1.1.0"), "CVE-2024-4002"), one("OTHER-b", "npm", "p", below("1.3.0"), "CVE-2024-4002")))
	expect(t, say(c, v), "CVE-2024-4002 p fixed 1.3.0")
}

func TestLanguageNamesAndVersions(t *testing.T) {
	c := image(scan.Distro{},
		scan.Package{Type: scan.PyPI, Name: "Ruamel_YAML..clib", Version: "0.2"},
		scan.Package{Type: scan.NuGet, Name: "Newtonsoft.Json", Version: "12.0.1"},
		scan.Package{Type: scan.Composer, Name: "Symfony/Http-Kernel", Version: "v5.0.0"},
		scan.Package{Type: scan.Golang, Name: "stdlib", Version: "go1.21rc2"},
		scan.Package{Type: scan.Golang, Name: "example.org/pseudo", Version: "v0.0.0-20210101000000-abcdefabcdef"},
		scan.Package{Type: scan.Golang, Name: "example.org/incompatible", Version: "v2.0.0+incompatible"},
		scan.Package{Type: scan.Golang, Name: "example.org/main", Version: "(devel)"},
		scan.Package{Type: scan.Golang, Name: "example.org/quiet", Version: "(devel)"},
		scan.Package{Type: scan.Gem, Name: "nokogiri", Version: "1.13.0-x86_64-linux"},
		scan.Package{Type: scan.Maven, Name: "org.example:lib", Version: "1.0-alpha-1"},
		scan.Package{Type: scan.Cargo, Name: "time", Version: "0.1.44"},
		scan.Package{Type: scan.PyPI, Name: "listed", Version: "1.0"},
		scan.Package{Type: scan.PyPI, Name: "requests", Version: "2.0.0", OwnedBy: "python3-requests"},
		scan.Package{Type: scan.NPM, Name: "dev", Version: "1.0.0", Dev: true},
	)
	listed := one("CVE-2024-5010", "PyPI", "listed", nil)
	listed.Affected[0].Versions = []string{"0.9", "1.0.0"}
	v, gaps := run(t, c, db(
		one("CVE-2024-5001", "PyPI", "ruamel-yaml-clib", below("0.3")),
		one("CVE-2024-5002", "NuGet", "Newtonsoft.Json", below("13.0.1")),
		one("CVE-2024-5003", "NuGet", "newtonsoft.json", below("13.0.2")),
		one("CVE-2024-5004", "Packagist", "symfony/http-kernel", below("5.0.1")),
		one("CVE-2024-5005", "Go", "stdlib", []advisory.Range{{Introduced: "1.21.0-0", Fixed: "1.21.0-rc.3"}}),
		one("CVE-2024-5006", "Go", "stdlib", below("1.20.5")),
		one("CVE-2024-5007", "Go", "example.org/pseudo", below("0.0.0-20210102000000-000000000000")),
		one("CVE-2024-5008", "Go", "example.org/pseudo", below("0.0.0-20201231000000-000000000000")),
		one("CVE-2024-5009", "Go", "example.org/incompatible", below("2.0.1+incompatible")),
		one("CVE-2024-5011", "Go", "example.org/main", below("1.0.0")),
		one("CVE-2024-5012", "RubyGems", "nokogiri", below("1.13.2")),
		one("CVE-2024-5013", "RubyGems", "nokogiri", below("1.13.0")),
		one("CVE-2024-5014", "Maven", "org.example:lib", below("1.0")),
		one("CVE-2024-5015", "crates.io", "time", below("0.2.23")),
		one("CVE-2024-5016", "PyPI", "requests", below("3")),
		one("CVE-2024-5017", "npm", "dev", below("3.0.0")),
		listed,
	))
	expect(t, say(c, v),
		"CVE-2024-5001 Ruamel_YAML..clib fixed 0.3",
		"CVE-2024-5002 Newtonsoft.Json fixed 13.0.1",
		"CVE-2024-5003 Newtonsoft.Json fixed 13.0.2",
		"CVE-2024-5004 Symfony/Http-Kernel fixed 5.0.1",
		"CVE-2024-5005 stdlib fixed 1.21.0-rc.3",
		"CVE-2024-5007 example.org/pseudo fixed 0.0.0-20210102000000-000000000000",
		"CVE-2024-5009 example.org/incompatible fixed 2.0.1+incompatible",
		"CVE-2024-5010 listed unfixed",
		"CVE-2024-5012 nokogiri fixed 1.13.2",
		"CVE-2024-5014 org.example:lib fixed 1.0",
		"CVE-2024-5015 time fixed 0.2.23")
	for _, words := range []string{"version of 1 package (example.org/main)", "1 language package installed by distribution packages", "1 package named only by lock files"} {
		if gapWith(gaps, words) == nil {
			t.Errorf("nothing says %q: %+v", words, gaps)
		}
	}
}

func TestAliasesMakeOneFinding(t *testing.T) {
	c := image(bookworm,
		scan.Package{Type: scan.Golang, Name: "example.org/m", Version: "v1.0.0"},
		scan.Package{Type: scan.Deb, Name: "p", Version: "1"})
	v, _ := run(t, c, db(
		one("GO-2024-0001", "Go", "example.org/m", below("1.2.0"), "GHSA-aaaa-aaaa-aaaa"),
		one("GHSA-aaaa-aaaa-aaaa", "Go", "example.org/m", below("1.2.0"), "CVE-2024-6001"),
		one("GO-2024-0002", "Go", "example.org/m", below("1.3.0"), "GHSA-bbbb-bbbb-bbbb"), // nobody knows its CVE
		one("GHSA-bbbb-bbbb-bbbb", "Go", "example.org/m", below("1.3.0")),
		// One notice for two CVEs: each stays its own.
		one("DSA-5000-1", "Debian:12", "p", below("3"), "CVE-2024-6002", "CVE-2024-6003"),
		one("DEBIAN-CVE-2024-6002", "Debian:12", "p", below("3"), "CVE-2024-6002", "DSA-5000-1"),
	))
	expect(t, say(c, v),
		"CVE-2024-6001 example.org/m fixed 1.2.0",
		"GHSA-bbbb-bbbb-bbbb example.org/m fixed 1.3.0",
		"CVE-2024-6002 p fixed 3",
		"CVE-2024-6003 p fixed 3")
	aliases := map[string]string{}
	for _, f := range v {
		aliases[f.ID] = strings.Join(f.Aliases, " ")
	}
	for id, want := range map[string]string{
		"CVE-2024-6001":       "GHSA-aaaa-aaaa-aaaa GO-2024-0001",
		"GHSA-bbbb-bbbb-bbbb": "GO-2024-0002",
		"CVE-2024-6002":       "DEBIAN-CVE-2024-6002 DSA-5000-1",
		"CVE-2024-6003":       "DSA-5000-1",
	} {
		if aliases[id] != want {
			t.Errorf("%s has aliases %q, want %q", id, aliases[id], want)
		}
	}
}

func TestSeverityIsTheDistributionsFirst(t *testing.T) {
	c := image(bookworm, scan.Package{Type: scan.Deb, Name: "p", Version: "1"})
	a := one("CVE-2024-7001", "Debian:12", "p", below("2"))
	a.Severity, a.Affected[0].Severity, a.CVSS, a.Vector = finding.High, finding.Low, 9.8, "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
	b := one("CVE-2024-7002", "Debian:12", "p", below("2"))
	b.Severity, b.CVSS, b.Vector = finding.Medium, 9.8, a.Vector
	s := one("CVE-2024-7003", "Debian:12", "p", below("2"))
	s.CVSS, s.Vector = 9.8, a.Vector
	n := one("CVE-2024-7004", "Debian:12", "p", below("2"))
	// Debian has not scored it; the same CVE has a score elsewhere.
	e := one("DEBIAN-CVE-2024-7005", "Debian:12", "p", below("2"), "CVE-2024-7005")
	g := one("GHSA-x", "npm", "other", below("2"), "CVE-2024-7005")
	g.CVSS, g.Vector = 5.3, "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N"
	d := db(a, b, s, n, e, g)
	d.kev["CVE-2024-7004"] = &scan.KEV{Added: "2024-05-01"}
	d.epss["CVE-2024-7003"] = &scan.EPSS{Score: 0.9, Percentile: 0.99}
	v, _ := run(t, c, d)
	got := map[string]scan.Vulnerability{}
	for _, f := range v {
		got[f.ID] = f
	}
	for id, want := range map[string]struct {
		s    finding.Severity
		from string
		cvss float64
	}{
		"CVE-2024-7001": {finding.Low, "Debian", 9.8},
		"CVE-2024-7002": {finding.Medium, "CVE-2024-7002", 9.8},
		"CVE-2024-7003": {finding.Critical, "CVSS", 9.8},
		"CVE-2024-7004": {finding.SeverityNone, "", 0},
		"CVE-2024-7005": {finding.Medium, "CVSS of GHSA-x", 5.3},
	} {
		if f := got[id]; f.Severity != want.s || f.SeverityFrom != want.from || f.CVSS != want.cvss {
			t.Errorf("%s: %v from %q, CVSS %v; want %+v", id, f.Severity, f.SeverityFrom, f.CVSS, want)
		}
	}
	if v[0].ID != "CVE-2024-7003" || v[1].ID != "CVE-2024-7004" { // critical and all but certain; then exploited though nobody rated it
		t.Errorf("order %v", say(c, v))
	}
	if got["CVE-2024-7004"].KEV == nil || got["CVE-2024-7003"].EPSS == nil {
		t.Error("KEV or EPSS was not joined")
	}
}

func TestAThirdPartysPackageIsNoted(t *testing.T) {
	c := image(scan.Distro{ID: "rhel", Version: "9.4"},
		scan.Package{Type: scan.RPM, Name: "nginx", Version: "1:1.27.0-1.el9.ngx", Vendor: "NGINX Packaging <nginx-packaging@f5.com>"},
		scan.Package{Type: scan.RPM, Name: "bash", Version: "5.1-1.el9", Vendor: "Red Hat, Inc."})
	_, gaps := run(t, c, db(one("X", "Red Hat:enterprise_linux:9", "bash", below("0"))))
	if gapWith(gaps, "1 package from NGINX Packaging") == nil || len(gaps) != 1 {
		t.Errorf("gaps %+v", gaps)
	}
	c = image(bookworm, scan.Package{Type: scan.Deb, Name: "nodejs", Version: "18.19.0-1nodesource1", Vendor: "Ivan Iguaran <ivan@nodesource.com>"},
		scan.Package{Type: scan.Deb, Name: "bash", Version: "5.2", Vendor: "Matthias Klose <doko@debian.org>"})
	_, gaps = run(t, c, db(one("X", "Debian:12", "bash", below("0"))))
	if gapWith(gaps, "1 package from NodeSource (nodejs)") == nil || len(gaps) != 1 {
		t.Errorf("gaps %+v", gaps)
	}
}
