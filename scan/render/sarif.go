package render

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

// What code scanning takes of one run; more is refused as a whole.
const (
	sarifResults = 25_000
	sarifText    = 1000 // characters of a description
	sarifNotices = 1000
)

// The parts of SARIF 2.1.0 that are written.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Automation  map[string]string `json:"automationDetails,omitempty"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
		Columns     string            `json:"columnKind"`
		Properties  map[string]string `json:"properties,omitempty"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		URI     string      `json:"informationUri"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID         string              `json:"id"`
		Name       string              `json:"name"`
		Short      sarifMessage        `json:"shortDescription"`
		Full       sarifMessage        `json:"fullDescription"`
		HelpURI    string              `json:"helpUri,omitempty"`
		Help       sarifMessage        `json:"help"`
		Default    map[string]string   `json:"defaultConfiguration"`
		Properties sarifRuleProperties `json:"properties"`
	}
	sarifRuleProperties struct {
		Severity  string   `json:"security-severity,omitempty"`
		Precision string   `json:"precision"`
		Tags      []string `json:"tags"`
	}
	sarifMessage struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown,omitempty"`
	}
	sarifInvocation struct {
		Successful bool          `json:"executionSuccessful"`
		Notices    []sarifNotice `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotice struct {
		Level   string       `json:"level"`
		Message sarifMessage `json:"message"`
	}
	sarifResult struct {
		RuleID       string             `json:"ruleId"`
		RuleIndex    int                `json:"ruleIndex"`
		Level        string             `json:"level"`
		Message      sarifMessage       `json:"message"`
		Locations    []sarifLocation    `json:"locations"`
		Fingerprints map[string]string  `json:"partialFingerprints"`
		Suppressions []sarifSuppression `json:"suppressions,omitempty"`
		Rank         *float64           `json:"rank,omitempty"`
		Properties   map[string]any     `json:"properties,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
		Message  *sarifMessage  `json:"message,omitempty"`
	}
	sarifPhysical struct {
		Artifact map[string]string `json:"artifactLocation"`
		Region   map[string]int    `json:"region"`
	}
	sarifLogical struct {
		Name string `json:"fullyQualifiedName"`
		Kind string `json:"kind"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Status        string `json:"status"`
		Justification string `json:"justification"`
	}
)

// SARIF writes the report as one run of SARIF 2.1.0. Results carry fingerprints that
// stay the same from build to build: made of what is wrong and where, not of versions,
// digests or layers. Beyond 25,000 results, the bound of code scanning, those of the
// lowest rank are left out and a notification says how many.
func SARIF(w io.Writer, r *scan.Report, o Options) error {
	all := issues(r, true)
	run := sarifRun{Columns: "unicodeCodePoints", Results: []sarifResult{},
		Tool: sarifTool{sarifDriver{Name: "Dockreeve", Version: o.Version, URI: "https://github.com/dockreeve/dockreeve", Rules: []sarifRule{}}}}
	where := imageOf(&r.Image)
	run.Automation = map[string]string{"id": "dockreeve/" + uriOf(where) + "/"}
	run.Properties = map[string]string{"image": plain(r.Image.Name), "digest": plain(r.Image.Key()), "platform": plain(r.Image.Platform),
		"distribution": plain(distroName(r.Distro)), "packages": fmt.Sprint(len(r.Packages)), "advisories": plain(advisories(r.Database, 0))}
	notices := gapNotices(r)
	if cut := len(all) - sarifResults; cut > 0 {
		all = all[:sarifResults]
		notices = append(notices, notice("error", fmt.Sprintf("%d results of the lowest rank were left out: code scanning takes no more than %d", cut, sarifResults)))
	}
	run.Invocations = []sarifInvocation{{Successful: true, Notices: notices}}
	index := map[string]int{}
	worst := map[string]float64{}
	for i := range all {
		is := &all[i]
		at, ok := index[is.rule]
		if !ok {
			at = len(run.Tool.Driver.Rules)
			index[is.rule] = at
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRuleOf(is))
		}
		if s := score(is); s > worst[is.rule] {
			worst[is.rule] = s
			run.Tool.Driver.Rules[at].Properties.Severity = fmt.Sprintf("%.1f", s)
			run.Tool.Driver.Rules[at].Default["level"] = level(is.severity)
		}
		run.Results = append(run.Results, sarifResultOf(r, is, at, where))
	}
	return writeJSON(w, sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}

func notice(level, text string) sarifNotice {
	return sarifNotice{level, sarifMessage{Text: sarifPlain(text)}}
}

// gapNotices are the gaps of the report: a reader of results alone would take them
// for clean.
func gapNotices(r *scan.Report) []sarifNotice {
	var out []sarifNotice
	if r.Database.Built == 0 {
		out = append(out, notice("error", "vulnerabilities were not assessed: there is no advisory database"))
	}
	for i, g := range r.NotAssessed {
		if i == sarifNotices {
			return append(out, notice("warning", fmt.Sprintf("and %d more that were not assessed", len(r.NotAssessed)-i)))
		}
		out = append(out, notice("warning", "not assessed: "+gapLine(g)))
	}
	return out
}

func sarifRuleOf(is *issue) sarifRule {
	title := is.title
	if title == "" {
		title = is.rule
	}
	rule := sarifRule{ID: plain(is.rule), Name: sarifName(is.kind), Short: sarifMessage{Text: sarifPlain(cutText(is.rule + ": " + title))}, Full: sarifMessage{Text: sarifPlain(cutText(title))},
		Default:    map[string]string{"level": level(is.severity)},
		Properties: sarifRuleProperties{Precision: "very-high", Tags: []string{"security", is.kind}}}
	text, md := plain(title), markdown(title)
	if is.v != nil {
		if len(is.v.Aliases) > 0 {
			text += "\nAlso known as " + plain(strings.Join(is.v.Aliases, ", "))
			md += "\n\nAlso known as " + markdown(strings.Join(is.v.Aliases, ", "))
		}
		for _, ref := range is.v.References {
			if u, err := url.Parse(ref); err == nil && u.Scheme == "https" && u.Host != "" {
				if rule.HelpURI == "" {
					rule.HelpURI = u.String()
				}
				text += "\n" + plain(u.String())
				md += "\n- <" + strings.NewReplacer("<", "%3C", ">", "%3E", " ", "%20").Replace(plain(u.String())) + ">"
			}
		}
	}
	if is.v == nil && is.remedy != "" {
		text += "\n" + plain(is.remedy)
		md += "\n\n" + markdown(is.remedy)
	}
	rule.Help = sarifMessage{Text: text, Markdown: md}
	return rule
}

func sarifName(kind string) string {
	switch kind {
	case "vulnerability":
		return "VulnerablePackage"
	case "secret":
		return "SecretInImage"
	case "malware":
		return "MalwareInImage"
	}
	return "ImageConfiguration"
}

func sarifResultOf(r *scan.Report, is *issue, rule int, where string) sarifResult {
	path := is.path
	if path == "" {
		path = where
	}
	outer, inner, nested := strings.Cut(path, "!")
	text := is.text
	if nested {
		text += " It is inside, at " + strings.TrimPrefix(inner, "/") + "."
	}
	if is.remedy != "" && is.v == nil {
		text += " " + is.remedy
	}
	res := sarifResult{RuleID: plain(is.rule), RuleIndex: rule, Level: level(is.severity), Message: sarifMessage{Text: sarifPlain(text)},
		Locations: []sarifLocation{{
			Physical: sarifPhysical{map[string]string{"uri": uriOf(outer)}, map[string]int{"startLine": max(is.line, 1)}},
			Logical:  []sarifLogical{{plain(subject(&r.Image)), "module"}},
		}}}
	if l := layerName(r, is.layer); l != "" {
		res.Locations[0].Message = &sarifMessage{Text: sarifPlain(l)}
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{"dockreeve finding 1", repository(&r.Image), is.rule, is.subject}, "\x00")))
	res.Fingerprints = map[string]string{"dockreeveFinding/v1": fmt.Sprintf("%x", sum[:16])}
	if v := is.v; v != nil {
		p := pkg(r, v)
		res.Properties = map[string]any{"purl": plain(p.PURL), "status": string(v.Status), "use": useWord(v.Use)}
		if v.Fixable() {
			res.Properties["fixedIn"] = plain(v.FixedIn)
		}
		if v.KEV != nil {
			res.Properties["kev"] = plain(v.KEV.Added)
		}
		if v.EPSS != nil {
			res.Properties["epss"] = v.EPSS.Score
		}
		if v.Rank >= 0 && v.Rank <= 100 {
			res.Rank = &v.Rank
		}
	}
	if s := is.suppressed; s != nil {
		why := s.By + ": " + s.Reason
		if s.Until != "" {
			why += " (until " + s.Until + ")"
		}
		res.Suppressions = []sarifSuppression{{"external", "accepted", plain(why)}}
	}
	return res
}

// score is the CVSS base score, or the middle of the severity's band where nobody has
// scored it; 0 where nobody has rated it either.
func score(is *issue) float64 {
	if is.v != nil && is.v.CVSS > 0 && is.v.CVSS <= 10 && is.v.Severity == finding.SeverityNone {
		return is.v.CVSS
	}
	band := func(low, high float64) float64 {
		if is.v != nil && is.v.CVSS >= low && is.v.CVSS <= high {
			return is.v.CVSS
		}
		return (low + high) / 2
	}
	switch is.severity {
	case finding.Critical:
		return band(9, 10)
	case finding.High:
		return band(7, 8.9)
	case finding.Medium:
		return band(4, 6.9)
	case finding.Low, finding.Informational:
		return band(0.1, 3.9)
	}
	return 0
}

func level(s finding.Severity) string {
	switch s {
	case finding.Critical, finding.High:
		return "error"
	case finding.Medium, finding.SeverityNone:
		return "warning" // unrated is not harmless
	}
	return "note"
}

// repository names the image without what changes from build to build.
func repository(i *scan.Image) string {
	if i.Repository != "" {
		return i.Repository
	}
	name, _, _ := strings.Cut(i.Name, "@")
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name = name[:colon]
	}
	return name
}

func imageOf(i *scan.Image) string {
	if name := repository(i); name != "" {
		return name
	}
	return "image"
}

// uriOf makes a path a relative URI: no scheme, no host, no climbing out.
func uriOf(path string) string {
	var parts []string
	for p := range strings.SplitSeq(plain(path), "/") {
		if p == "" || p == "." || p == ".." {
			continue
		}
		parts = append(parts, strings.ReplaceAll(url.PathEscape(p), ":", "%3A"))
	}
	if len(parts) == 0 {
		return "image"
	}
	return strings.Join(parts, "/")
}

// sarifPlain escapes what SARIF gives a meaning in messages: brackets begin a link.
func sarifPlain(s string) string {
	return strings.NewReplacer(`[`, `\[`, `]`, `\]`).Replace(plain(s))
}

func cutText(s string) string {
	if r := []rune(s); len(r) > sarifText {
		return string(r[:sarifText]) + "…"
	}
	return s
}
