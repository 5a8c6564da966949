package scan_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The advisories here are invented around what is installed, so that what follows from
// them can be told without a matcher: by dpkg for Debian, by hand for the rest.

// today dates the advisories: they are as old as what they know.
var today = time.Now().UTC().Add(-time.Hour)

// trackerCase is one issue of each source package in Debian's security tracker: what
// bookworm's entry says, made from the installed version, and what should be found.
type trackerCase struct {
	what     string
	release  string
	entry    func(version string) map[string]string
	fixed    func(version string) string // "" = the entry names no version
	status   string                      // "" = nothing is to be found
	severity string
}

func resolved(urgency string, at func(string) string) func(string) map[string]string {
	return func(v string) map[string]string {
		return map[string]string{"status": "resolved", "fixed_version": at(v), "urgency": urgency}
	}
}

func open(more ...string) func(string) map[string]string {
	return func(string) map[string]string {
		m := map[string]string{"status": "open"}
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
}

func above(v string) string { return v + ".1" }
func equal(v string) string { return v }
func below(v string) string { return v + "~" }
func zero(string) string    { return "0" }

var trackerCases = []trackerCase{
	{"fixed just above", "bookworm", resolved("high", above), above, "fixed", "high"},
	{"fixed in what is installed", "bookworm", resolved("high", equal), equal, "", ""},
	{"fixed just below", "bookworm", resolved("high", below), below, "", ""},
	{"open", "bookworm", open("urgency", "medium"), nil, "unfixed", "medium"},
	{"open, no DSA", "bookworm", open("urgency", "low", "nodsa", "Minor issue", "nodsa_reason", ""), nil, "deferred", "low"},
	{"open, ignored", "bookworm", open("urgency", "not yet assigned", "nodsa", "Too intrusive", "nodsa_reason", "ignored"), nil, "wont-fix", "not_assessed"},
	{"never affected", "bookworm", resolved("unimportant", zero), nil, "", ""},
	{"end of life", "bookworm", open("urgency", "end-of-life"), nil, "end-of-life", "not_assessed"},
	{"open in another release", "trixie", open("urgency", "high"), nil, "", ""},
	{"postponed", "bookworm", open("urgency", "medium", "nodsa", "Can wait", "nodsa_reason", "postponed"), nil, "deferred", "medium"},
}

// inventTracker writes a security tracker about all that is installed, and the findings
// that dpkg says should follow.
func inventTracker(t testing.TB, list []deb) (doc []byte, want []string) {
	t.Helper()
	order := debOrder{}
	type source struct{ name, version string }
	var sources []source
	for _, d := range list {
		if s := (source{d.source, d.sourceVersion}); !slices.Contains(sources, s) {
			sources = append(sources, s)
		}
	}
	tracker := map[string]map[string]any{}
	for i, s := range sources {
		if tracker[s.name] == nil {
			tracker[s.name] = map[string]any{}
		}
		for k, c := range trackerCases {
			id := fmt.Sprintf("CVE-2031-%d", 10000+10*i+k)
			entry := c.entry(s.version)
			tracker[s.name][id] = map[string]any{"description": c.what, "scope": "remote", "releases": map[string]any{
				c.release: with(entry, "repositories", map[string]string{c.release: s.version}),
			}}
			fixed := ""
			if c.fixed != nil {
				fixed = c.fixed(s.version)
			}
			if c.status == "" {
				if fixed != "" && order.older(t, s.version, fixed) {
					t.Fatalf("dpkg holds %s older than %s, which was made not to be", s.version, fixed)
				}
				continue
			}
			if fixed != "" && !order.older(t, s.version, fixed) {
				t.Fatalf("dpkg does not hold %s older than %s", s.version, fixed)
			}
			for _, d := range list {
				// Two versions of one source share its issues.
				if d.source == s.name && (fixed == "" || order.older(t, d.sourceVersion, fixed)) {
					want = append(want, strings.Join([]string{"deb", d.name, d.version, id, c.status, fixed, c.severity}, " "))
				}
			}
		}
	}
	// An issue of a binary package's name is not one of its source's.
	for _, d := range list {
		if d.source != d.name && !slices.ContainsFunc(list, func(o deb) bool { return o.source == d.name }) {
			tracker[d.name] = map[string]any{"CVE-2031-9999": map[string]any{"description": "of another package", "releases": map[string]any{
				"bookworm": map[string]string{"status": "open", "urgency": "high"}}}}
		}
	}
	slices.Sort(want)
	return must(json.Marshal(tracker))(t), slices.Compact(want)
}

func with(m map[string]string, key string, v any) map[string]any {
	out := map[string]any{key: v}
	for k, s := range m {
		out[k] = s
	}
	return out
}

// osv is an invented OSV record. The events of its one range alternate as they do in
// the format: "introduced 0 fixed 1.2".
type osv struct {
	id, cve, ecosystem, name string
	events                   string
	versions                 []string
	severity                 string
	withdrawn                bool
}

func (o *osv) json(t testing.TB) []byte {
	t.Helper()
	kind := "ECOSYSTEM"
	if o.ecosystem == "npm" || o.ecosystem == "Go" {
		kind = "SEMVER"
	}
	affected := map[string]any{"package": map[string]string{"ecosystem": o.ecosystem, "name": o.name}}
	if o.events != "" {
		var events []map[string]string
		f := strings.Fields(o.events)
		for i := 0; i+1 < len(f); i += 2 {
			events = append(events, map[string]string{f[i]: f[i+1]})
		}
		affected["ranges"] = []any{map[string]any{"type": kind, "events": events}}
	}
	if o.versions != nil {
		affected["versions"] = o.versions
	}
	r := map[string]any{"schema_version": "1.6.0", "id": o.id, "modified": today.Format(time.RFC3339), "published": "2026-01-01T00:00:00Z",
		"summary": "invented for a test", "affected": []any{affected}}
	if o.cve != "" {
		r["aliases"] = []string{o.cve}
	}
	if o.severity != "" {
		r["database_specific"] = map[string]string{"severity": strings.ToUpper(o.severity)}
	}
	if o.withdrawn {
		r["withdrawn"] = "2026-01-03T00:00:00Z"
	}
	return must(json.Marshal(r))(t)
}

// languageCase is a record, and by hand what it makes of the image: "" = nothing,
// else "type name version status fixedIn".
type languageCase struct {
	osv
	want string
}

var languageCases = []languageCase{
	{osv{id: "GHSA-test-npm1-aaaa", cve: "CVE-2032-1001", ecosystem: "npm", name: "lodash", events: "introduced 0 fixed 4.17.5", severity: "high"}, "npm lodash 4.17.4 fixed 4.17.5"},
	{osv{id: "GHSA-test-npm2-aaaa", cve: "CVE-2032-1002", ecosystem: "npm", name: "lodash", events: "introduced 0 fixed 4.17.4", severity: "high"}, ""},
	{osv{id: "GHSA-test-npm3-aaaa", cve: "CVE-2032-1003", ecosystem: "npm", name: "lodash", events: "introduced 4.17.5", severity: "high"}, ""},
	{osv{id: "GHSA-test-npm4-aaaa", cve: "CVE-2032-1004", ecosystem: "npm", name: "lodash", events: "introduced 4.0.0 last_affected 4.17.4", severity: "moderate"}, "npm lodash 4.17.4 unfixed "},
	{osv{id: "GHSA-test-npm5-aaaa", cve: "CVE-2032-1005", ecosystem: "npm", name: "minimist", versions: []string{"1.1.9", "1.2.0"}, severity: "critical"}, "npm minimist 1.2.0 unfixed "},
	{osv{id: "GHSA-test-npm6-aaaa", cve: "CVE-2032-1006", ecosystem: "npm", name: "left-pad", events: "introduced 0", severity: "critical"}, ""}, // a later layer deletes it
	{osv{id: "GHSA-test-npm7-aaaa", ecosystem: "npm", name: "express", events: "introduced 3.0.0 fixed 3.9.9 introduced 4.16.0 fixed 4.16.1", severity: "low"}, "npm express 4.16.0 fixed 4.16.1"},
	{osv{id: "GHSA-test-npm8-aaaa", ecosystem: "npm", name: "express", events: "introduced 3.0.0 fixed 3.9.9 introduced 4.16.1 fixed 4.17.0", severity: "low"}, ""},
	{osv{id: "GHSA-test-npm9-aaaa", ecosystem: "npm", name: "lodash", events: "introduced 0", severity: "critical", withdrawn: true}, ""},
	{osv{id: "GHSA-test-npma-aaaa", ecosystem: "npm", name: "@babel/parser", events: "introduced 7.0.0-rc.1 fixed 7.0.1", severity: "high"}, "npm @babel/parser 7.0.0 fixed 7.0.1"},
	{osv{id: "GHSA-test-npmb-aaaa", ecosystem: "npm", name: "@babel/parser", events: "introduced 0 fixed 7.0.0-rc.9", severity: "high"}, ""}, // a candidate is before its release
	{osv{id: "GHSA-test-npmc-aaaa", ecosystem: "PyPI", name: "lodash", events: "introduced 0", severity: "high"}, ""},

	{osv{id: "GO-2032-0001", cve: "CVE-2032-2001", ecosystem: "Go", name: "golang.org/x/text", events: "introduced 0 fixed 0.3.7"}, "golang golang.org/x/text v0.3.5 fixed 0.3.7"},
	{osv{id: "GO-2032-0002", ecosystem: "Go", name: "golang.org/x/text", events: "introduced 0 fixed 0.3.5"}, ""},
	{osv{id: "GO-2032-0003", ecosystem: "Go", name: "gopkg.in/yaml.v2", events: "introduced 0 fixed 2.2.3"}, "golang gopkg.in/yaml.v2 v2.2.2 fixed 2.2.3"},
	{osv{id: "GO-2032-0004", ecosystem: "Go", name: "gopkg.in/yaml.v2", events: "introduced 2.2.3"}, ""},
	{osv{id: "GO-2032-0005", ecosystem: "Go", name: "stdlib", events: "introduced 0 fixed 99.0.0"}, "golang stdlib GOVERSION fixed 99.0.0"},
	{osv{id: "GO-2032-0006", ecosystem: "Go", name: "stdlib", events: "introduced 0 fixed 1.20.0"}, ""},
	{osv{id: "GO-2032-0007", ecosystem: "Go", name: "golang.org/x/text/v2", events: "introduced 0"}, ""},

	// pip's urllib3 answers to PyPI; Debian's urllib3 and requests answer to Debian.
	{osv{id: "PYSEC-2032-1", cve: "CVE-2032-3001", ecosystem: "PyPI", name: "urllib3", events: "introduced 0 fixed 2.0.0"}, "pypi urllib3 1.26.4 fixed 2.0.0"},
	{osv{id: "PYSEC-2032-2", ecosystem: "PyPI", name: "urllib3", events: "introduced 0 fixed 1.26.4"}, ""},
	{osv{id: "PYSEC-2032-3", ecosystem: "PyPI", name: "urllib3", events: "introduced 0 fixed 1.26.4.post1"}, "pypi urllib3 1.26.4 fixed 1.26.4.post1"},
	{osv{id: "PYSEC-2032-4", ecosystem: "PyPI", name: "requests", events: "introduced 0"}, ""},

	// The jar in a jar answers to Maven; the same jar where Debian put it, to Debian.
	{osv{id: "GHSA-test-mvn1-aaaa", cve: "CVE-2032-4001", ecosystem: "Maven", name: "org.apache.commons:commons-lang3", events: "introduced 0 fixed 3.12.1", severity: "high"}, "maven org.apache.commons:commons-lang3 3.12.0 fixed 3.12.1"},
	{osv{id: "GHSA-test-mvn2-aaaa", ecosystem: "Maven", name: "org.apache.commons:commons-lang3", events: "introduced 0 fixed 3.12.0", severity: "high"}, ""},
	{osv{id: "GHSA-test-mvn3-aaaa", ecosystem: "Maven", name: "com.fasterxml.jackson.core:jackson-databind", events: "introduced 0", severity: "high"}, ""},
}

// inventLanguages gives the records of each ecosystem as OSV's zips, and the findings.
func inventLanguages(t testing.TB, goVersion string) (zips map[string][]byte, want []string) {
	t.Helper()
	byEco := map[string][]*osv{}
	for i := range languageCases {
		c := &languageCases[i]
		byEco[c.ecosystem] = append(byEco[c.ecosystem], &c.osv)
		if c.want == "" {
			continue
		}
		id := c.id
		if c.cve != "" {
			id = c.cve
		}
		f := strings.SplitN(strings.Replace(c.want, "GOVERSION", goVersion, 1), " ", 5)
		severity := map[string]string{"": "not_assessed", "moderate": "medium"}[c.severity]
		if severity == "" {
			severity = c.severity
		}
		want = append(want, strings.Join([]string{f[0], f[1], f[2], id, f[3], f[4], severity}, " "))
	}
	zips = map[string][]byte{}
	for eco, list := range byEco {
		zips[eco] = osvZip(t, list...)
	}
	slices.Sort(want)
	return zips, want
}

// osvZip packs records as OSV publishes them.
func osvZip(t testing.TB, list ...*osv) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, o := range list {
		w := must(z.Create(o.id + ".json"))(t)
		if _, err := w.Write(o.json(t)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// kev is a catalogue of known exploited vulnerabilities.
func kev(cves ...string) []byte {
	var list []string
	for _, c := range cves {
		list = append(list, fmt.Sprintf(`{"cveID": %q, "vendorProject": "x", "product": "x", "vulnerabilityName": "x", "dateAdded": "2026-02-03", "shortDescription": "x", "requiredAction": "Apply updates.", "dueDate": "2026-02-24", "knownRansomwareCampaignUse": "Unknown"}`, c))
	}
	return fmt.Appendf(nil, `{"title": "Known exploited", "catalogVersion": "2026.02.03", "dateReleased": %q, "count": %d, "vulnerabilities": [%s]}`, today.Format(time.RFC3339), len(cves), strings.Join(list, ","))
}

// invented is a database of invented advisories about the real image, and what should
// be found in it.
type invented struct {
	files []string // of the advisories
	want  []string
}

// invent writes the advisories into a user's home and imports them.
func (h *home) invent(r *real) *invented {
	h.t.Helper()
	goVersion := ""
	for _, p := range goList(h.t, filepath.Join(r.root, "usr/local/bin/old")) {
		if v, ok := strings.CutPrefix(p, "stdlib "); ok {
			goVersion = v
		}
	}
	v := &invented{}
	tracker, want := inventTracker(h.t, installed(h.t, r.root))
	zips, more := inventLanguages(h.t, goVersion)
	v.want = append(want, more...)
	slices.Sort(v.want)
	v.files = append(v.files, h.write("feeds/tracker.json", tracker), h.write("feeds/kev.json", kev("CVE-2032-1001")),
		h.write("feeds/epss.csv", fmt.Appendf(nil, "#model_version:v2026.01.01,score_date:%s\ncve,epss,percentile\nCVE-2032-2001,0.61000,0.98000\n", today.Format("2006-01-02T15:04:05-0700"))))
	for eco, z := range zips {
		v.files = append(v.files, h.write("feeds/osv/"+eco+"/all.zip", z))
	}
	h.importing(h.path("feeds"))
	return v
}

// pack is the directory of real advisories, or "".
func pack() string {
	dir := os.Getenv("DOCKREEVE_ADVISORIES")
	if dir == "" {
		dir = filepath.Join(module, "../shared/advisories")
	}
	if _, err := os.Stat(filepath.Join(dir, "osv")); err != nil {
		return ""
	}
	return dir
}
