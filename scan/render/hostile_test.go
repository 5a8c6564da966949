package render

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/test/need"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// attacks are texts that an image or an advisory may carry to reach beyond a format.
var attacks = []string{
	"\x1b[2J\x1b]0;title\x07", "\u009b31m", "\u202egnp.exe", "\u2066a\u2069", "a\u200bb", "\U000e0041tag",
	"##vso[task.setvariable variable=PATH]/evil", "x ##vso[task.complete result=Succeeded]", "##[set-env name=A]b", "a\n##vso[task.prependpath]/evil",
	"::set-output name=a::b", "\n::error::injected", "a\r\n::add-mask::x", "word ::stop-commands::t", "%0A::warning::x", "a,file=b:c;d]e",
	"</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"><svg onload=alert(1)>", "javascript:alert(1)", "javascript://evil.example/%0Aalert(1)", "{{.}}", "]]><x/>", "<!--",
	"=cmd|'/C calc'!A0", "@everyone", "[click](https://evil.example)", "| a | b |", "`code`", "![x](https://evil.example/x.png)",
	"\x00", "\xff\xfe", "\ufffe", "\u2028", "https://evil.example/\x1b[2J", "../../etc/passwd", strings.Repeat("A", 5000), "",
}

// hostileReport has every attack in every text of the report.
func hostileReport() *scan.Report {
	r := &scan.Report{}
	for i, a := range attacks {
		r.Packages = append(r.Packages, scan.Package{Type: []scan.Type{scan.Deb, scan.NPM, scan.Golang, scan.Maven, scan.Type(a)}[i%5], Name: a, Version: a, Arch: a, Source: a, SourceVersion: a,
			Module: a, Vendor: a, PURL: a, Licenses: []string{a}, Location: a, Layer: i % 3, OwnedBy: a})
		v := scan.Vulnerability{ID: a, Aliases: []string{a}, Package: i, Status: scan.Status(a), FixedIn: a, Severity: finding.Severity(i % 6), SeverityFrom: a, CVSS: 5, Vector: a,
			EPSS: &scan.EPSS{Score: 0.5, Date: a}, KEV: &scan.KEV{Added: a, Due: a, Action: a}, Title: a, References: []string{a, "https://evil.example/" + a}, Source: a,
			Use: scan.Use{State: scan.UseState(a), Reason: a, Path: a}, Rank: float64(i)}
		r.Vulnerabilities = append(r.Vulnerabilities, v)
		r.Suppressed = append(r.Suppressed, scan.Suppressed{Vulnerability: v, By: a, Reason: a, Until: a})
		r.Secrets = append(r.Secrets, scan.Secret{Rule: a, Title: a, Severity: finding.High, Path: a, Where: a, Line: i, Layer: 0, Redacted: a, Hash: a})
		r.Config = append(r.Config, scan.Misstep{Check: a, Title: a, Severity: finding.Low, Detail: a, Remedy: a, Path: a, Layer: 1})
		r.Malware = append(r.Malware, scan.Malware{Path: a, Name: a, SHA256: a, List: a, Layer: 1})
		r.NotAssessed = append(r.NotAssessed, scan.Gap{What: a, Reason: a, Remedy: a})
		r.Database.Feeds = append(r.Database.Feeds, scan.FeedInfo{Name: a, Licence: a, Error: a})
		r.Image.Tags = append(r.Image.Tags, a)
	}
	all := strings.Join(attacks, "")
	r.Image.Name, r.Image.Repository, r.Image.Digest, r.Image.Platform = all, all, all, all
	r.Image.Layers = []scan.Layer{{DiffID: all, Digest: all, NotAssessed: all}, {DiffID: "\x1b[1m"}}
	r.Distro = scan.Distro{ID: all, Version: all, Name: all}
	r.Base = &scan.BaseImage{Name: all, Newer: all}
	r.Database.Built, r.Database.Version = 1, all
	return r
}

// What is escaped in JSON is the same JSON.
func TestQuietJSONSaysTheSame(t *testing.T) {
	var log bytes.Buffer
	raw, _ := json.Marshal(attacks)
	if err := writeQuiet(&log, raw); err != nil {
		t.Fatal(err)
	}
	var have, want []string
	if err := json.Unmarshal(log.Bytes(), &have); err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(raw, &want)
	if !slices.Equal(have, want) {
		t.Errorf("have %q, want %q", have, want)
	}
}

// Nothing that a terminal, a build agent or an editor obeys leaves any format.
func TestHostileTextsStayText(t *testing.T) {
	for _, f := range Formats() {
		t.Run(f.Name, func(t *testing.T) {
			for _, all := range []bool{false, true} {
				o := options()
				o.All, o.ShowSuppressed, o.Vulnerabilities, o.Failed = all, true, true, attacks
				var summary bytes.Buffer
				o.StepSummary = &summary
				doc := write(t, func(w *bytes.Buffer) error { return f.Write(w, hostileReport(), o) })
				isQuiet(t, f.Name, doc)
				if f.Name == "github" {
					isQuiet(t, "summary", summary.String())
					isMarkdownText(t, summary.String())
				}
			}
		})
	}
}

// commands are the lines by which a format speaks to an agent itself.
var commands = map[string]*regexp.Regexp{
	"github": regexp.MustCompile(`^::(error|warning|notice) title=[^,:]*(,file=[^,:]*)?(,line=[0-9]+)?::[^:]?`),
	"azure":  regexp.MustCompile(`^##vso\[task\.logissue type=(error|warning)(;sourcepath=[^;\]]*)?(;linenumber=[0-9]+)?(;code=[^;\]]*)?;\]`),
}

func isQuiet(t *testing.T, format, doc string) {
	t.Helper()
	if !utf8.ValidString(doc) {
		t.Error("not UTF-8")
	}
	for n, line := range strings.Split(doc, "\n") {
		for _, r := range line {
			if r == '\t' {
				continue
			}
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == 0x2028 || r == 0xfffe {
				t.Fatalf("line %d has %U: %q", n+1, r, line)
			}
		}
		rest := line
		if re := commands[format]; re != nil {
			rest = line[len(re.FindString(line)):]
			if rest != line && strings.HasPrefix(line, "::") {
				rest = "x" + rest // only the beginning of a line is a command
			}
		}
		if strings.Contains(rest, "##vso[") || strings.Contains(rest, "##[") {
			t.Fatalf("line %d gives Azure's agent a command: %q", n+1, line)
		}
		if strings.HasPrefix(strings.TrimSpace(rest), "::") {
			t.Fatalf("line %d gives GitHub's runner a command: %q", n+1, line)
		}
	}
}

func isMarkdownText(t *testing.T, doc string) {
	t.Helper()
	for _, bad := range []string{"<img", "<script", "<svg", "](https://", "@everyone", "`code`", "<!--"} {
		if strings.Contains(doc, bad) {
			t.Errorf("the summary has %q", bad)
		}
	}
}

func TestHTMLIsSelfContained(t *testing.T) {
	doc := write(t, func(w *bytes.Buffer) error { return HTML(w, hostileReport(), options()) })
	for _, bad := range []string{"<script", "<img", "<svg", "<iframe", "<link", "@import", "url(", "href=\"javascript"} {
		if strings.Contains(strings.ToLower(doc), bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	tags := regexp.MustCompile(`<([a-z0-9]+)[^>]*?\s(on[a-z]+|src)=`)
	if m := tags.FindString(doc); m != "" {
		t.Errorf("the page has an attribute that acts: %q", m)
	}
	links := regexp.MustCompile(`href="([^"]*)"`)
	for _, m := range links.FindAllStringSubmatch(doc, -1) {
		if !strings.HasPrefix(m[1], "https://evil.example/") {
			t.Errorf("link to %q", m[1])
		}
	}
}

func TestJUnitIsXML(t *testing.T) {
	for name, r := range map[string]*scan.Report{"sample": sample(), "hostile": hostileReport(), "empty": {}} {
		doc := write(t, func(w *bytes.Buffer) error { return JUnit(w, r, options()) })
		var suites junitSuites
		if err := xml.Unmarshal([]byte(doc), &suites); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		tests, failures := 0, 0
		for _, s := range suites.Suites {
			tests += len(s.Cases)
			for _, c := range s.Cases {
				if c.Failure != nil {
					failures++
				}
			}
		}
		if tests != suites.Tests || failures != suites.Failures {
			t.Errorf("%s: says %d tests and %d failures, has %d and %d", name, suites.Tests, suites.Failures, tests, failures)
		}
	}
	r := sample()
	r.Database.Built, r.Vulnerabilities = 0, nil
	doc := write(t, func(w *bytes.Buffer) error { return JUnit(w, r, options()) })
	if strings.Count(doc, "no advisory database") != len(r.Packages) {
		t.Error("without advisories packages pass")
	}
}

func sarifOf(t *testing.T, r *scan.Report) (log sarifLog, doc string) {
	t.Helper()
	doc = write(t, func(w *bytes.Buffer) error { return SARIF(w, r, options()) })
	if err := json.Unmarshal([]byte(doc), &log); err != nil {
		t.Fatal(err)
	}
	return log, doc
}

func TestSARIFIsSound(t *testing.T) {
	for name, r := range map[string]*scan.Report{"sample": sample(), "hostile": hostileReport(), "empty": {}} {
		log, _ := sarifOf(t, r)
		run := log.Runs[0]
		ids := map[string]bool{}
		for _, rule := range run.Tool.Driver.Rules {
			if ids[rule.ID] && name != "hostile" || rule.Short.Text == "" || rule.Help.Text == "" {
				t.Errorf("%s: rule %q is there twice or says nothing", name, rule.ID)
			}
			ids[rule.ID] = true
			if s := rule.Properties.Severity; s != "" && !regexp.MustCompile(`^(10|[0-9])\.[0-9]$`).MatchString(s) {
				t.Errorf("%s: security-severity %q", name, s)
			}
		}
		prints := map[string]bool{}
		for _, res := range run.Results {
			if res.RuleIndex >= len(run.Tool.Driver.Rules) || run.Tool.Driver.Rules[res.RuleIndex].ID != res.RuleID {
				t.Errorf("%s: result of %q names another rule", name, res.RuleID)
			}
			uri := res.Locations[0].Physical.Artifact["uri"]
			if strings.HasPrefix(uri, "/") || strings.Contains("/"+uri+"/", "/../") || strings.Contains(uri, ":") {
				t.Errorf("%s: location %q is not below the image", name, uri)
			}
			p := res.Fingerprints["dockreeveFinding/v1"]
			if prints[p] && name == "sample" {
				t.Errorf("fingerprint %s twice", p)
			}
			prints[p] = true
		}
	}
}

// A rebuild with a newer version that still has the vulnerability is the same finding.
func TestSARIFFingerprintsOutliveABuild(t *testing.T) {
	a, _ := sarifOf(t, sample())
	r := sample()
	r.Packages[0].Version, r.Packages[0].Layer, r.Image.Digest, r.Image.Name = "3.0.10-1", 1, digest("f"), "registry.example/team/app:1.5"
	b, _ := sarifOf(t, r)
	for i := range a.Runs[0].Results {
		x, y := a.Runs[0].Results[i], b.Runs[0].Results[i]
		if x.Fingerprints["dockreeveFinding/v1"] != y.Fingerprints["dockreeveFinding/v1"] {
			t.Errorf("%s has another fingerprint", x.RuleID)
		}
	}
	r.Packages[0].Name = "libcrypto3"
	c, _ := sarifOf(t, r)
	same := 0
	for i := range a.Runs[0].Results {
		if a.Runs[0].Results[i].Fingerprints["dockreeveFinding/v1"] == c.Runs[0].Results[i].Fingerprints["dockreeveFinding/v1"] {
			same++
		}
	}
	if same != len(a.Runs[0].Results)-1 {
		t.Errorf("another package keeps the fingerprint: %d of %d the same", same, len(a.Runs[0].Results))
	}
}

func TestBounds(t *testing.T) {
	r := &scan.Report{Database: scan.DatabaseInfo{Built: 1}}
	for i := range 26_000 {
		r.Packages = append(r.Packages, scan.Package{Type: scan.NPM, Name: fmt.Sprint("p", i), Version: "1", Layer: -1})
		r.Vulnerabilities = append(r.Vulnerabilities, scan.Vulnerability{ID: "CVE-1", Package: i, Severity: finding.High, Rank: float64(-i)})
	}
	log, _ := sarifOf(t, r)
	if n := len(log.Runs[0].Results); n != 25_000 {
		t.Errorf("%d results", n)
	}
	if n := log.Runs[0].Invocations[0].Notices; len(n) != 1 || !strings.Contains(n[0].Message.Text, "1000 results") {
		t.Errorf("notices %v do not say how many were left out", n)
	}
	table := write(t, func(w *bytes.Buffer) error { return Table(w, r, options()) })
	if n := strings.Count(table, "\n"); n > 100 || !strings.Contains(table, "and 25960 vulnerabilities more (-o json, --all)") {
		t.Errorf("table of %d lines", n)
	}
	gh := write(t, func(w *bytes.Buffer) error { return GitHub(w, r, options()) })
	if n := strings.Count(gh, "::error "); n != 10 || !strings.Contains(gh, "25990 more") {
		t.Errorf("%d errors", n)
	}
}

func TestOfficialSARIFSchema(t *testing.T) {
	dir := os.Getenv("DOCKREEVE_SCHEMAS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "schemas")
	}
	f, err := os.Open(filepath.Join(dir, "sarif-2.1.0.schema.json"))
	if err != nil {
		need.Skip(t, need.Shared, "the official JSON schemas are not at DOCKREEVE_SCHEMAS: "+err.Error())
	}
	defer f.Close()
	schema, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("https://schema.invalid/sarif.json", schema); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("https://schema.invalid/sarif.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*scan.Report{"sample": sample(), "hostile": hostileReport(), "empty": {}} {
		_, doc := sarifOf(t, r)
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(doc))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestErrorsOfTheWriterAreTold(t *testing.T) {
	for _, f := range Formats() {
		if err := f.Write(failing{}, sample(), options()); !errors.Is(err, errFull) {
			t.Errorf("%s: have %v", f.Name, err)
		}
	}
}

var errFull = errors.New("disk full")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFull }

func TestColour(t *testing.T) {
	env := func(m map[string]string) func(string) string { return func(k string) string { return m[k] } }
	for _, c := range []struct {
		terminal bool
		env      map[string]string
		want     bool
	}{{true, nil, true}, {false, nil, false}, {true, map[string]string{"NO_COLOR": "1"}, false}, {true, map[string]string{"TERM": "dumb"}, false},
		{false, map[string]string{"CLICOLOR_FORCE": "1"}, true}, {true, map[string]string{"NO_COLOR": ""}, true}} {
		if have := UseColor(c.terminal, env(c.env)); have != c.want {
			t.Errorf("%v: have %v", c, have)
		}
	}
}

func FuzzEscapes(f *testing.F) {
	for _, a := range attacks {
		f.Add(a)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := plain(s)
		if plain(p) != p {
			t.Fatalf("twice: %q, then %q", p, plain(p))
		}
		isQuiet(t, "", p)
		isQuiet(t, "azure", azureData(s))
		if v := azureProperty(s); strings.ContainsAny(v, ";]\r\n") {
			t.Fatalf("azure property %q", v)
		}
		if v := githubProperty(s); strings.ContainsAny(v, ":,\r\n") {
			t.Fatalf("github property %q", v)
		}
		if v := githubData(s); strings.ContainsAny(v, "\r\n") {
			t.Fatalf("github data %q", v)
		}
		if v := markdown(s); strings.ContainsAny(v, "<>`*_[]|@!\n") {
			t.Fatalf("markdown %q", v)
		}
		uri := uriOf(s)
		if strings.HasPrefix(uri, "/") || strings.Contains(uri, ":") || uri == "" {
			t.Fatalf("uri %q", uri)
		}
	})
}

// A whole report with any text in it still is what its format says.
func FuzzFormats(f *testing.F) {
	for _, a := range attacks {
		f.Add(a)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := sample()
		r.Packages[0].Name, r.Vulnerabilities[0].Title, r.NotAssessed[0].Reason, r.Image.Name = s, s, s, s
		for _, format := range Formats() {
			doc := write(t, func(w *bytes.Buffer) error { return format.Write(w, r, options()) })
			isQuiet(t, format.Name, doc)
			switch {
			case format.Name == "junit":
				d := xml.NewDecoder(strings.NewReader(doc))
				for {
					if _, err := d.Token(); err == io.EOF {
						break
					} else if err != nil {
						t.Fatal(err)
					}
				}
			case strings.HasPrefix(doc, "{") && strings.Contains(format.File, "json") && !json.Valid([]byte(doc)):
				t.Fatalf("%s is no JSON", format.Name)
			}
		}
	})
}
