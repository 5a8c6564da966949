package render

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

// The parts of JUnit's XML that GitLab, Azure Pipelines and Jenkins all read.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Errors   int          `xml:"errors,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitFailure `xml:"failure,omitempty"`
		Skipped *junitSkipped `xml:"skipped,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
	junitSkipped struct {
		Message string `xml:"message,attr"`
	}
)

// JUnit writes one test case per package, which fails if it has vulnerabilities, one
// per secret, fault and malware, and one skipped case per thing that was not assessed.
// Without advisories every package is skipped, not passed. Times are zero: a scan does
// not measure packages one by one.
func JUnit(w io.Writer, r *scan.Report, o Options) error {
	byPackage := map[int][]*scan.Vulnerability{}
	for i := range r.Vulnerabilities {
		v := &r.Vulnerabilities[i]
		byPackage[v.Package] = append(byPackage[v.Package], v)
	}
	packages := junitSuite{Name: "packages of " + plain(subject(&r.Image))}
	for i := range r.Packages {
		p := &r.Packages[i]
		class := typeWord(p.Type)
		if p.Location != "" {
			class += " " + p.Location
		}
		c := junitCase{Class: plain(class), Name: plain(p.Name + " " + p.Version)}
		switch vs := byPackage[i]; {
		case len(vs) > 0:
			c.Failure = junitFailureOf(p, vs)
		case r.Database.Built == 0:
			c.Skipped = &junitSkipped{"not assessed: no advisory database"}
		}
		packages.Cases = append(packages.Cases, c)
	}
	suites := []junitSuite{packages}
	for _, kind := range []string{"malware", "secret", "config"} {
		s := junitSuite{Name: kind + " of " + plain(subject(&r.Image))}
		for _, is := range issues(r, false) {
			// Notes would turn a good build's report red.
			if is.kind == kind && is.severity > finding.Informational {
				where := is.path
				if where == "" {
					where = "image configuration"
				}
				s.Cases = append(s.Cases, junitCase{Class: plain(where), Name: plain(is.rule),
					Failure: &junitFailure{plain(is.text), severityWord(is.severity), plain(is.remedy)}})
			}
		}
		suites = append(suites, s)
	}
	gaps := junitSuite{Name: "not assessed in " + plain(subject(&r.Image))}
	for _, g := range r.NotAssessed {
		gaps.Cases = append(gaps.Cases, junitCase{Class: "not assessed", Name: plain(g.What), Skipped: &junitSkipped{plain(gapLine(g))}})
	}
	out := junitSuites{Name: "dockreeve scan " + plain(r.Image.Name), Time: "0"}
	for _, s := range append(suites, gaps) {
		if len(s.Cases) == 0 {
			continue
		}
		s.Tests, s.Time = len(s.Cases), "0"
		for i := range s.Cases {
			s.Cases[i].Time = "0"
			if s.Cases[i].Failure != nil {
				s.Failures++
			}
			if s.Cases[i].Skipped != nil {
				s.Skipped++
			}
		}
		out.Tests += s.Tests
		out.Failures += s.Failures
		out.Skipped += s.Skipped
		out.Suites = append(out.Suites, s)
	}
	b, err := xml.MarshalIndent(&out, "", "  ")
	if err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	if _, err := io.WriteString(w, xml.Header+string(b)+"\n"); err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	return nil
}

func junitFailureOf(p *scan.Package, vs []*scan.Vulnerability) *junitFailure {
	worst := finding.SeverityNone
	var ids, lines []string
	for _, v := range vs {
		worst = max(worst, v.Severity)
		if len(ids) < 5 {
			ids = append(ids, v.ID)
		}
		lines = append(lines, fmt.Sprintf("%s %s: %s %s", severityWord(v.Severity), plain(v.ID), plain(sentence(p, v)), plain(remedy(p, v))))
	}
	message := plural(len(vs), "vulnerability", "vulnerabilities") + ": " + strings.Join(ids, ", ")
	if len(vs) > len(ids) {
		message += fmt.Sprintf(" and %d more", len(vs)-len(ids))
	}
	return &junitFailure{plain(message), severityWord(worst), strings.Join(lines, "\n")}
}
