package render

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

var update = flag.Bool("update", false, "write the golden files anew")

func at(day string) int64 {
	t, err := time.Parse("2006-01-02", day)
	if err != nil {
		panic(err)
	}
	return t.UnixNano()
}

func digest(c string) string { return "sha256:" + strings.Repeat(c, 64) }

// sample is a report that has some of everything.
func sample() *scan.Report {
	r := &scan.Report{Catalog: scan.Catalog{
		Image: scan.Image{Kind: scan.KindRegistry, Name: "registry.example/team/app:1.4", Repository: "registry.example/team/app",
			Tags: []string{"1.4"}, Digest: digest("a"), ConfigDigest: digest("b"), Platform: "linux/amd64",
			Layers: []scan.Layer{{Digest: digest("1"), DiffID: digest("2"), Base: true}, {Digest: digest("3"), DiffID: digest("4")}}},
		Distro: scan.Distro{ID: "debian", Version: "12", Codename: "bookworm", Name: "Debian GNU/Linux 12 (bookworm)"},
		Packages: []scan.Package{
			{Type: scan.Deb, Name: "libssl3", Version: "3.0.9-1", Arch: "amd64", Source: "openssl", PURL: "pkg:deb/debian/libssl3@3.0.9-1?arch=amd64&distro=debian-12&upstream=openssl",
				Licenses: []string{"Apache-2.0"}, Location: "var/lib/dpkg/status", Layer: 0},
			{Type: scan.Deb, Name: "zlib1g", Version: "1:1.2.13.dfsg-1", Arch: "amd64", Source: "zlib", PURL: "pkg:deb/debian/zlib1g@1%3A1.2.13.dfsg-1?arch=amd64&distro=debian-12&upstream=zlib",
				Licenses: []string{"Zlib"}, Location: "var/lib/dpkg/status", Layer: 0},
			{Type: scan.Golang, Name: "golang.org/x/net", Version: "v0.7.0", PURL: "pkg:golang/golang.org/x/net@v0.7.0", Location: "app/server", Layer: 1},
			{Type: scan.NPM, Name: "@acme/left", Version: "1.0.0", PURL: "pkg:npm/%40acme/left@1.0.0", Licenses: []string{"MIT"}, Location: "app/node_modules/@acme/left/package.json", Layer: 1},
			{Type: scan.Maven, Name: "org.example:core", Version: "2.0", PURL: "pkg:maven/org.example/core@2.0", Licenses: []string{"Some Licence, with words"}, Location: "app/fat.jar!/lib/core-2.0.jar", Layer: 1},
		},
		Secrets: []scan.Secret{{Rule: "private-key", Title: "Private key", Severity: finding.High, Path: "root/.ssh/id_rsa", Line: 1, Layer: 1, Deleted: true, Redacted: "----***", Hash: "0123456789abcdef"},
			{Rule: "password-in-env", Title: "Password in an environment variable", Severity: finding.Medium, Where: "env DB_PASSWORD", Layer: -1, Redacted: "hunt***", Hash: "fedcba9876543210"}},
		Config:  []scan.Misstep{{Check: "root-user", Title: "Runs as root", Severity: finding.Medium, Detail: "no USER is set", Remedy: "Add USER with a number other than 0.", Layer: -1}},
		Malware: []scan.Malware{{Path: "tmp/eicar.com", Name: "EICAR test file", SHA256: strings.Repeat("e", 64), List: "built in", Layer: 1}},
		Base:    &scan.BaseImage{Name: "debian:12", Digest: digest("d"), Layers: 1, Newer: "debian:12.7", Removes: 2, Adds: 0},
		NotAssessed: []scan.Gap{{What: "npm advisories", Reason: "the database has none", Remedy: "dockreeve db update --feed osv/npm", Data: true},
			{What: "layer 2", Reason: "entry opt/big.bin is larger than 1 GiB"}},
		ScannedAt: at("2026-11-20"),
	}}
	r.Vulnerabilities = []scan.Vulnerability{
		{ID: "CVE-2026-1111", Aliases: []string{"DSA-9999-1"}, Package: 0, Status: scan.Fixed, FixedIn: "3.0.11-1", Severity: finding.Critical, SeverityFrom: "debian",
			CVSS: 9.8, Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", EPSS: &scan.EPSS{Score: 0.93, Percentile: 0.99, Date: "2026-11-18"},
			KEV: &scan.KEV{Added: "2026-10-01", Due: "2026-10-22", Ransomware: true, Action: "Apply the vendor's update."}, Title: "Out of bounds write when a certificate is verified",
			References: []string{"https://security.example/CVE-2026-1111"}, Source: "debian-tracker", Published: at("2026-09-01"), Modified: at("2026-09-20"),
			Use: scan.Use{State: scan.Loaded, Since: at("2026-11-01"), First: at("2026-11-02"), Last: at("2026-11-19"), Path: "usr/lib/x86_64-linux-gnu/libssl.so.3"}, Rank: 99},
		{ID: "CVE-2026-2222", Aliases: []string{"GO-2026-0001", "GHSA-aaaa-bbbb-cccc"}, Package: 2, Status: scan.Fixed, FixedIn: "v0.23.0", Severity: finding.High, SeverityFrom: "osv",
			CVSS: 7.5, Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", EPSS: &scan.EPSS{Score: 0.004, Percentile: 0.6}, Title: "Excessive memory from HTTP/2 frames",
			References: []string{"https://osv.example/GO-2026-0001"}, Source: "osv/Go", Published: at("2026-01-05"), Use: scan.Use{State: scan.NotSeen, Since: at("2026-11-01")}, Rank: 70},
		{ID: "CVE-2026-3333", Package: 1, Status: scan.WontFix, Severity: finding.Low, SeverityFrom: "debian", Title: "Integer overflow in a contributed tool", Source: "debian-tracker",
			Use: scan.Use{Reason: "the image does not run on a watched machine"}, Rank: 20},
		{ID: "GHSA-dddd-eeee-ffff", Package: 4, Status: scan.Unfixed, Title: "Nobody has rated this", Source: "osv/Maven", Rank: 10},
	}
	r.Suppressed = []scan.Suppressed{{Vulnerability: scan.Vulnerability{ID: "CVE-2026-4444", Package: 3, Status: scan.Fixed, FixedIn: "1.0.1", Severity: finding.High, Title: "Prototype pollution", Source: "osv/npm", Rank: 60},
		By: ".dockreeveignore:3", Reason: "the function is never called", Until: "2027-01-01"}}
	r.Database = scan.DatabaseInfo{Built: at("2026-11-18"), Version: "2026-11-18-abc", Feeds: []scan.FeedInfo{
		{Name: "debian-tracker", Records: 40000, Date: at("2026-11-18"), Fetched: at("2026-11-18"), Licence: "public"},
		{Name: "osv/Go", Records: 4000, Date: at("2026-11-17"), Fetched: at("2026-11-18"), Licence: "CC-BY-4.0"}}}
	return r
}

func options() Options {
	return Options{Now: at("2026-11-20"), Version: "1.0.0", Width: 120, Licences: true}
}

func write(t testing.TB, f func(w *bytes.Buffer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := f(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func golden(t *testing.T, name, have string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(have), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if have != string(want) {
		t.Errorf("%s differs; have:\n%s\n(go test ./scan/render -update writes it anew)", path, have)
	}
}

func TestGolden(t *testing.T) {
	for _, f := range Formats() {
		t.Run(f.Name, func(t *testing.T) {
			o := options()
			o.Vulnerabilities = true
			have := write(t, func(w *bytes.Buffer) error { return f.Write(w, sample(), o) })
			golden(t, "sample"+f.File, have)
			if again := write(t, func(w *bytes.Buffer) error { return f.Write(w, sample(), o) }); again != have {
				t.Error("writing twice gives two documents")
			}
		})
	}
	t.Run("table of a narrow terminal, in colour", func(t *testing.T) {
		o := options()
		o.Width, o.Color, o.ShowSuppressed, o.Failed = 80, true, true, []string{"1 critical with a fix"}
		golden(t, "narrow.txt", write(t, func(w *bytes.Buffer) error { return Table(w, sample(), o) }))
	})
	t.Run("table without a database", func(t *testing.T) {
		r := sample()
		r.Vulnerabilities, r.Suppressed, r.Database = nil, nil, scan.DatabaseInfo{}
		have := write(t, func(w *bytes.Buffer) error { return Table(w, r, options()) })
		if strings.Contains(have, "No known vulnerabilities") || !strings.Contains(have, "not assessed") {
			t.Errorf("a report without advisories reads like a clean one:\n%s", have)
		}
	})
}

func TestJSONIsReadBack(t *testing.T) {
	have := write(t, func(w *bytes.Buffer) error { return JSON(w, sample(), options()) })
	var r scan.Report
	if err := json.Unmarshal([]byte(have), &r); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(&r)
	b, _ := json.Marshal(sample())
	if !bytes.Equal(a, b) {
		t.Errorf("read back differs:\n%s\n%s", a, b)
	}
}

// docs/scan-format.md speaks of every field of the JSON.
func TestThePageKnowsEveryField(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "scan-format.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[reflect.Type]bool{}
	var visit func(reflect.Type)
	visit = func(v reflect.Type) {
		switch v.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			visit(v.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if seen[v] {
			return
		}
		seen[v] = true
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Field(i).Tag.Get("json"), ",")
			if name != "" && !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("docs/scan-format.md does not speak of %s.%s", v.Name(), name)
			}
			visit(v.Field(i).Type)
		}
	}
	visit(reflect.TypeFor[document]())
	if len(seen) < 15 {
		t.Errorf("only %d types seen", len(seen))
	}
	for _, f := range Formats() {
		if !strings.Contains(string(page), "`"+f.Name+"`") && f.Name != "json" {
			t.Errorf("docs/scan-format.md does not speak of -o %s", f.Name)
		}
	}
}

// However narrow the terminal, an id that people look up is whole.
func TestIDsAreNeverCut(t *testing.T) {
	for cols := 40; cols <= 200; cols += 5 {
		o := options()
		o.Width = cols
		have := write(t, func(w *bytes.Buffer) error { return Table(w, sample(), o) })
		for _, v := range sample().Vulnerabilities {
			if !strings.Contains(have, v.ID) {
				t.Errorf("%d columns: %s is cut:\n%s", cols, v.ID, have)
			}
		}
		for line := range strings.SplitSeq(have, "\n") {
			if cols >= 80 && strings.HasPrefix(line, "  ") && width(line) > cols {
				t.Errorf("%d columns: a line of %d: %s", cols, width(line), line)
			}
		}
	}
}
