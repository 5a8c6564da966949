package gate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/gate"
)

func ignores(t *testing.T, name, text string) *gate.Ignores {
	t.Helper()
	ig, err := gate.ReadIgnores(name, strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return ig
}

// left says which findings remain: last digits of the ids, with the package's index.
func left(r *scan.Report) string {
	var out []string
	for _, v := range r.Vulnerabilities {
		out = append(out, fmt.Sprintf("%s@%d", v.ID[len(v.ID)-1:], v.Package))
	}
	return strings.Join(out, " ")
}

const all = "1@0 2@1 2@2 3@0 4@1"

func TestIgnoreRulesLeaveOutWhatTheyNameAndNoMore(t *testing.T) {
	for rule, want := range map[string]string{
		"id: CVE-2024-0002":                              "1@0 3@0 4@1",
		"id: ghsa-AAAA-bbbb-cccc":                        "1@0 3@0 4@1", // an alias, in any case
		"{id: CVE-2024-0002, package: libssl3}":          all,
		"package: lodash":                                "1@0 3@0",
		"package: openssl":                               "2@1 2@2 4@1", // the source package
		"package: lib*":                                  "2@1 2@2 4@1",
		"purl: pkg:npm/lodash":                           "1@0 3@0",
		"purl: pkg:npm/lodash@4.17.4":                    "1@0 3@0",
		"purl: pkg:npm/lodash@4.17.5":                    all,
		"purl: pkg:deb/debian/libssl3?arch=arm64":        all,
		"purl: pkg:deb/debian/openssl?arch=source":       "2@1 2@2 4@1",
		"path: app/node_modules/x/**":                    "1@0 2@1 3@0 4@1",
		"path: /app/node_modules/x":                      "1@0 2@1 3@0 4@1",
		"path: app/*/lodash/package.json":                "1@0 2@2 3@0",
		"path: '**/package.json'":                        "1@0 3@0",
		"path: app/node":                                 all,
		"{id: CVE-2024-0001, image: registry.example/*}": "2@1 2@2 3@0 4@1",
		"{id: CVE-2024-0001, image: other/*}":            all,
		"{id: CVE-2024-0001, until: 2026-11-01}":         "2@1 2@2 3@0 4@1", // the last day counts
		"{id: CVE-2024-0001, until: 2026-10-31}":         all,
	} {
		// The reason goes into the rule, whichever way it is written.
		text := "ignore:\n  - " + strings.TrimSuffix(rule, "}")
		if strings.HasSuffix(rule, "}") {
			text += ", reason: not reachable}\n"
		} else {
			text += "\n    reason: not reachable\n"
		}
		r := report()
		out := ignores(t, "rules.yaml", text).Apply(r, now)
		if got := left(r); got != want {
			t.Errorf("%s: left %q, want %q", rule, got, want)
		}
		if len(r.Vulnerabilities)+len(r.Suppressed) != 5 || out.Suppressed != len(r.Suppressed) {
			t.Errorf("%s: a finding is lost", rule)
		}
		for _, s := range r.Suppressed {
			if s.By != "rules.yaml:2" || s.Reason != "not reachable" {
				t.Errorf("%s: by %q because %q", rule, s.By, s.Reason)
			}
		}
		switch {
		case strings.Contains(rule, "2026-10-31"):
			if len(out.Expired) != 1 || !strings.Contains(out.Expired[0], "rules.yaml:2: CVE-2024-0001 expired on 2026-10-31") {
				t.Errorf("%s: %+v", rule, out)
			}
		case want == all:
			if len(out.Unused) != 1 || len(out.Expired) != 0 {
				t.Errorf("%s: %+v", rule, out)
			}
		}
	}
}

func TestIgnoreFilesOfOtherTools(t *testing.T) {
	for name, tt := range map[string]struct {
		file, text, left, by, reason, warning string
	}{
		"ids":             {".trivyignore", "# accepted by Ann\nCVE-2024-0002\n\nCVE-2024-0003 # minor\n", "1@0 4@1", ".trivyignore:2", "accepted by Ann", ""},
		"id with day":     {".trivyignore", "CVE-2024-0002 exp:2026-11-02\n", "1@0 3@0 4@1", ".trivyignore:1", "listed in .trivyignore", ""},
		"expired":         {".trivyignore", "CVE-2024-0002 exp:2026-11-01\n", all, "", "", ""},
		"unknown word":    {".trivyignore", "CVE-2024-0002 expires:never\nCVE-2024-0003", "1@0 2@1 2@2 4@1", ".trivyignore:2", "listed in .trivyignore", `.trivyignore:1: "expires:never" is not understood`},
		"yaml":            {".trivyignore.yaml", "vulnerabilities:\n  - id: CVE-2024-0002\n    paths: [app/node_modules/x/**]\n    statement: not called\n    expired_at: 2027-01-01\n", "1@0 2@1 3@0 4@1", ".trivyignore.yaml:2", "not called", ""},
		"yaml with purls": {".trivyignore.yaml", "vulnerabilities:\n  - id: CVE-2024-0001\n    purls: ['pkg:deb/debian/libssl3']\n", "2@1 2@2 3@0 4@1", ".trivyignore.yaml:2", "listed in .trivyignore.yaml", ""},
		"yaml of more":    {".trivyignore.yaml", "secrets:\n  - id: x\nvulnerabilities:\n  - id: CVE-2024-0003\n", "1@0 2@1 2@2 4@1", ".trivyignore.yaml:4", "listed in .trivyignore.yaml", `"secrets": only vulnerabilities`},
		"grype":           {".grype.yaml", "output: json\nignore:\n  - vulnerability: CVE-2024-0002\n    package:\n      name: lodash\n      version: 4.17.4\n      type: npm\n      location: '**/x/node_modules/**'\n    reason: fine\n", "1@0 2@1 3@0 4@1", ".grype.yaml:3", "fine", ""},
		"grype by state":  {"ignore.yaml", "ignore:\n  - fix-state: wont-fix\n", "1@0 2@1 2@2 4@1", "ignore.yaml:2", "listed in ignore.yaml", ""},
		"grype by name":   {"ignore.yaml", "ignore:\n  - package: {name: 'libss.*'}\n", "2@1 2@2 4@1", "ignore.yaml:2", "listed in ignore.yaml", ""},
		"grype, unknown":  {".grype.yaml", "ignore:\n  - vulnerability: CVE-2024-0001\n    namespace: debian\n    package: {language: c}\n", all, "", "", ".grype.yaml:2: not supported: namespace, package.language; the rule is not applied"},
		"grype, VEX":      {".grype.yaml", "ignore:\n  - vulnerability: CVE-2024-0001\n    vex-status: fixed\n", all, "", "", "vex-status"},
		"both kinds":      {"rules.yaml", "ignore:\n  - fix-state: wont-fix\n  - {id: CVE-2024-0001, reason: ours}\n", "2@1 2@2 4@1", "rules.yaml:3", "ours", ""},
		"empty":           {"rules.yaml", "", all, "", "", ""},
		"null":            {"rules.yaml", "ignore:\n", all, "", "", ""},
	} {
		r := report()
		out := ignores(t, tt.file, tt.text).Apply(r, now)
		if got := left(r); got != tt.left {
			t.Errorf("%s: left %q, want %q", name, got, tt.left)
		}
		if tt.by != "" && (len(r.Suppressed) == 0 || r.Suppressed[0].By != tt.by || r.Suppressed[0].Reason != tt.reason) {
			t.Errorf("%s: %+v", name, r.Suppressed)
		}
		if w := strings.Join(out.Warnings, "; "); !strings.Contains(w, tt.warning) || tt.warning == "" && w != "" {
			t.Errorf("%s: warnings %q, want %q", name, w, tt.warning)
		}
	}
}

func TestABadIgnoreFileSaysWhere(t *testing.T) {
	for text, want := range map[string]string{
		"ignore:\n  - id: CVE-1\n":                             "f.yaml:2: the rule has no reason",
		"ignore:\n  - reason: x\n":                             "f.yaml:2: the rule would leave out everything",
		"ignore:\n  - {image: a, reason: x}\n":                 "f.yaml:2: the rule would leave out everything",
		"ignore:\n  - id: a\n    reson: x\n":                   `f.yaml:3: unknown key "reson": did you mean reason?`,
		"ignore:\n  - id: a\n    reason: x\n    until: soon\n": `f.yaml:4: until "soon": want a day such as 2026-12-31`,
		"ignore:\n  - purl: openssl\n    reason: x\n":          "f.yaml:2: purl: ",
		"ignroe:\n  - id: a\n":                                 `f.yaml:1: unknown key "ignroe": did you mean ignore?`,
		"- a\n":                                                "f.yaml:1: want \"ignore:\" with a list",
		"ignore: 7\n":                                          "f.yaml:1: ignore: want a list",
		"ignore:\n  - [a]\n":                                   "f.yaml:2: want a rule with keys",
		"ignore:\n  - id: [a]\n    reason: x\n":                "f.yaml:2: id: want one value",
		"ignore:\n  - fix-state: maybe\n":                      `f.yaml:2: fix-state "maybe"`,
		"a: [\n":                                               "f.yaml: yaml:",
		"ignore:\n" + strings.Repeat("  - {id: a, reason: x}\n", gate.MaxIgnoreRules+1): "more than 10000 rules",
		strings.Repeat("#", gate.MaxIgnoreSize+1):                                       "larger than 1024 KiB",
	} {
		_, err := gate.ReadIgnores("f.yaml", strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
	}
	if _, err := gate.ReadIgnores(".trivyignore", strings.NewReader("CVE-1 exp:tomorrow")); err == nil || !strings.Contains(err.Error(), ".trivyignore:1: exp:tomorrow") {
		t.Errorf("%v", err)
	}
}

func FuzzReadIgnores(f *testing.F) {
	for _, s := range []string{"ignore:\n  - {id: CVE-2024-0001, until: 2026-12-31, reason: x, path: '**/a/*'}\n", "CVE-2024-0002 exp:2026-01-01 # a\n",
		"vulnerabilities:\n  - {id: CVE-2024-0001, paths: ['a/**'], purls: ['pkg:npm/a'], expired_at: 2026-01-01}\n", "ignore:\n  - {vulnerability: CVE-2024-0002, fix-state: fixed, package: {name: 'a(', type: npm}}\n", "a: &a [*a]\n"} {
		for _, kind := range []uint8{0, 1, 2, 3} {
			f.Add(kind, s)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, s string) {
		ig, err := gate.ReadIgnores([]string{"rules.yaml", ".trivyignore", ".trivyignore.yaml", ".grype.yaml"}[kind%4], strings.NewReader(s))
		if err != nil {
			return
		}
		r := report()
		ig.Apply(r, now)
		if len(r.Vulnerabilities)+len(r.Suppressed) != 5 {
			t.Fatal("a finding is lost")
		}
	})
}
