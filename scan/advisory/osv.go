package advisory

import (
	"archive/zip"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/google/osv-scalibr/semantic"
	gocvss20 "github.com/pandatix/go-cvss/20"
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"

	"github.com/dockreeve/dockreeve/finding"
)

// maxRecord bounds one advisory as its feed writes it; the largest of 2026 have 3 MB.
const maxRecord = 32 << 20

// osvRecord is what is read of a record in OSV's schema.
type osvRecord struct {
	ID         string        `json:"id"`
	Modified   string        `json:"modified"`
	Published  string        `json:"published"`
	Withdrawn  string        `json:"withdrawn"`
	Aliases    []string      `json:"aliases"`
	Upstream   []string      `json:"upstream"`
	Related    []string      `json:"related"`
	Summary    string        `json:"summary"`
	Details    string        `json:"details"`
	Severity   []osvSeverity `json:"severity"`
	References []struct {
		URL string `json:"url"`
	} `json:"references"`
	Affected []osvAffected `json:"affected"`
	Database osvSpecific   `json:"database_specific"`
}

type osvSeverity struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

type osvAffected struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
		PURL      string `json:"purl"`
	} `json:"package"`
	Severity []osvSeverity `json:"severity"`
	Ranges   []struct {
		Type   string     `json:"type"`
		Events []osvEvent `json:"events"`
	} `json:"ranges"`
	Versions  []string    `json:"versions"`
	Ecosystem osvSpecific `json:"ecosystem_specific"`
	Database  osvSpecific `json:"database_specific"`
}

type osvEvent struct {
	Introduced   string `json:"introduced"`
	Fixed        string `json:"fixed"`
	LastAffected string `json:"last_affected"`
}

// osvSpecific holds what databases add of their own; where it has another shape than
// expected it says nothing.
type osvSpecific struct {
	Severity string
	Urgency  string
	Priority string
}

func (s *osvSpecific) UnmarshalJSON(b []byte) error {
	var m map[string]json.RawMessage
	if json.Unmarshal(b, &m) != nil {
		return nil
	}
	for key, to := range map[string]*string{"severity": &s.Severity, "urgency": &s.Urgency, "ubuntu_priority": &s.Priority} {
		var v string
		if raw, ok := m[key]; ok && json.Unmarshal(raw, &v) == nil {
			*to = v
		}
	}
	return nil
}

// severityOf reads the words that databases use for severity.
func severityOf(word string) finding.Severity {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "critical":
		return finding.Critical
	case "high", "important":
		return finding.High
	case "medium", "moderate":
		return finding.Medium
	case "low", "minor":
		return finding.Low
	case "negligible", "unimportant", "informational", "none":
		return finding.Informational
	}
	return finding.SeverityNone
}

// cvss returns the base score of a vector. ok is false for what is no vector.
func cvss(vector string) (score float64, ok bool) {
	switch {
	case strings.HasPrefix(vector, "CVSS:4.0/"):
		v, err := gocvss40.ParseVector(vector)
		if err != nil {
			return 0, false
		}
		return v.Score(), true
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		v, err := gocvss31.ParseVector(vector)
		if err != nil {
			return 0, false
		}
		return v.BaseScore(), true
	case strings.HasPrefix(vector, "CVSS:3.0/"):
		v, err := gocvss30.ParseVector(vector)
		if err != nil {
			return 0, false
		}
		return v.BaseScore(), true
	}
	v, err := gocvss20.ParseVector(strings.Trim(vector, "()"))
	if err != nil {
		return 0, false
	}
	return v.BaseScore(), true
}

// newestVector picks the vector of the newest CVSS version that parses.
func newestVector(list []osvSeverity) (vector string, score float64) {
	best := ""
	for _, s := range list {
		if !strings.HasPrefix(s.Type, "CVSS_V") || s.Type <= best || len(s.Score) > 300 {
			continue
		}
		if v, ok := cvss(s.Score); ok {
			best, vector, score = s.Type, s.Score, v
		}
	}
	return vector, score
}

// worded picks a severity that is given as a word: Ubuntu's priority.
func worded(list []osvSeverity) finding.Severity {
	for _, s := range list {
		if !strings.HasPrefix(s.Type, "CVSS") {
			if v := severityOf(s.Score); v != finding.SeverityNone {
				return v
			}
		}
	}
	return finding.SeverityNone
}

// distributions are the ecosystems whose advisories list the CVEs they deal with as
// related, where newer records say upstream.
var distributions = []string{"Debian", "Ubuntu", "Red Hat", "AlmaLinux", "Rocky Linux", "SUSE", "openSUSE", "Azure Linux", "Alpine", "Mageia", "openEuler"}

// normalise turns a record of OSV into records of ours, one per ecosystem: a GHSA about
// a package of npm and one of PyPI belongs to both feeds.
func (o *osvRecord) normalise() ([]*Record, error) {
	head := Record{
		ID: o.ID, Aliases: o.Aliases, Upstream: o.Upstream, Title: o.Summary,
		Published: parseTime(o.Published), Modified: parseTime(o.Modified),
	}
	if head.Title == "" {
		head.Title = o.Details[:min(len(o.Details), 4*maxTitle)]
	}
	head.Severity = worded(o.Severity)
	if head.Severity == finding.SeverityNone {
		head.Severity = severityOf(o.Database.Severity)
	}
	head.Vector, head.CVSS = newestVector(o.Severity)
	for _, r := range o.References {
		head.References = append(head.References, r.URL)
	}
	var list []*Record
	for i := range o.Affected {
		a := &o.Affected[i]
		eco := a.Package.Ecosystem
		if eco == "" || a.Package.Name == "" || eco == "GIT" {
			continue // a range of commits of a repository: nothing that is installed as a package
		}
		if head.Vector == "" {
			head.Vector, head.CVSS = newestVector(a.Severity)
		}
		to, err := a.normalise()
		if err != nil {
			return nil, err
		}
		var rec *Record
		for _, r := range list {
			if base(r.Affected[0].Ecosystem) == base(eco) {
				rec = r
			}
		}
		if rec == nil {
			rec = &Record{ID: head.ID}
			list = append(list, rec)
		}
		rec.Affected = append(rec.Affected, to)
	}
	for _, r := range list {
		affected := r.Affected
		*r = head
		r.Affected = affected
		r.Aliases, r.Upstream, r.References = slices.Clone(head.Aliases), slices.Clone(head.Upstream), slices.Clone(head.References)
		if slices.Contains(distributions, base(affected[0].Ecosystem)) {
			for _, id := range o.Related {
				if IsCVE(id) {
					r.Upstream = append(r.Upstream, id)
				}
			}
		}
	}
	return list, nil
}

func (a *osvAffected) normalise() (Affected, error) {
	to := Affected{Ecosystem: a.Package.Ecosystem, Name: a.Package.Name, Versions: a.Versions}
	to.Severity = worded(a.Severity)
	for _, word := range []string{a.Ecosystem.Severity, a.Ecosystem.Urgency, a.Ecosystem.Priority, a.Database.Severity} {
		if to.Severity == finding.SeverityNone {
			to.Severity = severityOf(word)
		}
	}
	commits := false
	for _, r := range a.Ranges {
		if r.Type == "GIT" {
			commits = true
			continue
		}
		ranges, err := pairEvents(a.Package.Ecosystem, r.Events)
		if err != nil {
			return to, fmt.Errorf("%s: %w", clip(a.Package.Name, 80), err)
		}
		to.Ranges = append(to.Ranges, ranges...)
	}
	if len(to.Ranges) == 0 && len(to.Versions) == 0 {
		if commits {
			return to, fmt.Errorf("%s: only commits are given, no versions", clip(a.Package.Name, 80))
		}
		to.Ranges = []Range{{}} // nothing said about versions: all of them
	}
	return to, nil
}

// pairEvents turns events into ranges: each introduced is closed by the fixed or last
// affected that follows it in the ecosystem's order. Databases nearly always list them
// in that order already.
func pairEvents(ecosystem string, events []osvEvent) ([]Range, error) {
	if !alternating(events) {
		events = sortedEvents(ecosystem, events)
	}
	var list []Range
	open := false
	for _, e := range events {
		switch {
		case e.Introduced != "":
			if open {
				continue // affected already
			}
			in := e.Introduced
			if in == "0" {
				in = ""
			}
			list = append(list, Range{Introduced: in})
			open = true
		case e.Fixed != "" || e.LastAffected != "":
			if open {
				list[len(list)-1].Fixed, list[len(list)-1].LastAffected = e.Fixed, e.LastAffected
				open = false
			} else if n := len(list); n > 0 && list[n-1].LastAffected != "" && e.Fixed != "" {
				// Both ends are given: the fixed version is the better one to know.
				list[n-1].Fixed, list[n-1].LastAffected = e.Fixed, ""
			}
		}
	}
	if len(list) == 0 && len(events) > 0 {
		return nil, errors.New("a range of versions without a beginning")
	}
	return list, nil
}

// alternating reports whether each introduced is followed by its end.
func alternating(events []osvEvent) bool {
	open := false
	for _, e := range events {
		switch {
		case e.Introduced != "":
			if open {
				return false
			}
			open = true
		case e.Fixed != "" || e.LastAffected != "":
			if !open {
				return false
			}
			open = false
		}
	}
	return true
}

// sortedEvents orders events by version; "0" is before every version. Versions that
// the ecosystem's order cannot read stay where they are.
func sortedEvents(ecosystem string, events []osvEvent) []osvEvent {
	events = slices.Clone(events[:min(len(events), maxRanges*2)])
	text := func(e osvEvent) string { return cmp.Or(e.Introduced, e.Fixed, e.LastAffected) }
	slices.SortStableFunc(events, func(a, b osvEvent) int {
		x, y := text(a), text(b)
		switch {
		case x == y:
			return 0
		case x == "0":
			return -1
		case y == "0":
			return 1
		}
		v, err := semantic.Parse(x, base(ecosystem))
		if err != nil {
			return 0
		}
		n, err := v.CompareStr(y)
		if err != nil {
			return 0
		}
		return n
	})
	return events
}

// addOSV takes one record as OSV writes it. With an ecosystem given, the packages of
// others are left to the feeds of those.
func (b *builder) addOSV(name string, raw []byte, only string) error {
	var o osvRecord
	if err := json.Unmarshal(raw, &o); err != nil {
		return &badRecord{name, err}
	}
	if o.ID == "" {
		return &badRecord{name, errors.New("it has no id")}
	}
	if o.Withdrawn != "" {
		for _, e := range o.bases() {
			if only == "" || e == only {
				c, err := b.osvFeed(e)
				if err != nil {
					return &badRecord{o.ID, err}
				}
				c.withdraw(o.ID)
			}
		}
		return nil
	}
	list, err := o.normalise()
	if err != nil {
		return &badRecord{o.ID, err}
	}
	added := false
	for _, r := range list {
		e := base(r.Affected[0].Ecosystem)
		if only != "" && e != only {
			continue
		}
		if _, err := b.osvFeed(e); err != nil {
			return &badRecord{o.ID, err}
		}
		if err := b.add(prefixOSV+e, r); err != nil {
			return err
		}
		added = true
	}
	if !added {
		return &badRecord{o.ID, fmt.Errorf("it names no package %s", strings.TrimSpace("of "+only))}
	}
	return nil
}

func (b *builder) osvFeed(ecosystem string) (*change, error) {
	if err := plain("ecosystem", ecosystem, maxID); err != nil {
		return nil, err
	}
	if b.changes[prefixOSV+ecosystem] == nil && len(b.changes) >= maxFeeds {
		return nil, fmt.Errorf("ecosystem %s: more than %d feeds", ecosystem, maxFeeds)
	}
	return b.feed(prefixOSV + ecosystem), nil
}

// bases are the ecosystems that a record names, without releases.
func (o *osvRecord) bases() []string {
	var list []string
	for i := range o.Affected {
		if e := base(o.Affected[i].Package.Ecosystem); e != "" && e != "GIT" && len(list) < 64 && !slices.Contains(list, e) {
			list = append(list, e)
		}
	}
	return list
}

// maxFeeds bounds how many feeds a database may have.
const maxFeeds = 2000

// badRecord is a record that cannot be used; the rest of its feed can.
type badRecord struct {
	record string
	err    error
}

func (e *badRecord) Error() string { return e.record + ": " + e.err.Error() }
func (e *badRecord) Unwrap() error { return e.err }

// readOSVZip reads an all.zip. With an ecosystem given it is that one's whole feed.
// Without, the ecosystem is the one that every record names; the records of a zip of
// several ecosystems are merged into what is there.
//
// Bad records are counted with that feed; those of a mixed zip are returned.
func (b *builder) readOSVZip(z *zip.Reader, ecosystem string) (feedState, error) {
	var files []*zip.File
	for _, f := range z.File {
		if !f.FileInfo().IsDir() && path.Ext(f.Name) == ".json" {
			files = append(files, f)
		}
	}
	if ecosystem == "" {
		ecosystem = commonEcosystem(files)
	}
	var bad change
	good := 0
	for _, f := range files {
		raw, err := readEntry(f, maxRecord)
		if err == nil {
			err = b.addOSV(strings.TrimSuffix(path.Base(f.Name), ".json"), raw, ecosystem)
		}
		var wrong *badRecord
		if errors.As(err, &wrong) {
			bad.skip(wrong.record, wrong.err)
		} else if err != nil {
			return bad.state, err
		} else {
			good++
		}
	}
	if good == 0 {
		if bad.state.Skipped > 0 {
			return bad.state, fmt.Errorf("none of its %d records can be used; the first: %s", bad.state.Skipped, bad.state.Why[0])
		}
		return bad.state, errors.New("it holds no record")
	}
	if ecosystem == "" {
		return bad.state, nil
	}
	c := b.feed(prefixOSV + ecosystem)
	c.mode = replacing
	c.state.Skipped += bad.state.Skipped
	c.state.Why = append(c.state.Why, bad.state.Why...)
	c.state.Why = c.state.Why[:min(len(c.state.Why), maxWhy)]
	return feedState{}, nil
}

// commonEcosystem looks at records spread over a zip and returns the one ecosystem that
// all of them name, "" when there is none or more than one.
func commonEcosystem(files []*zip.File) string {
	var common []string
	first := true
	step := max(1, len(files)/256)
	for i := 0; i < len(files); i += step {
		raw, err := readEntry(files[i], maxRecord)
		if err != nil {
			continue
		}
		var o osvRecord
		if json.Unmarshal(raw, &o) != nil {
			continue
		}
		bases := o.bases()
		if len(bases) == 0 {
			continue
		}
		if first {
			common, first = bases, false
		}
		common = slices.DeleteFunc(common, func(e string) bool { return !slices.Contains(bases, e) })
	}
	if len(common) == 1 {
		return common[0]
	}
	return ""
}

// readEntry reads one file of a zip, held to a size whatever its header claims.
func readEntry(f *zip.File, limit int64) ([]byte, error) {
	if f.UncompressedSize64 > uint64(limit) {
		return nil, &badRecord{f.Name, fmt.Errorf("%d bytes, more than %d", f.UncompressedSize64, limit)}
	}
	r, err := f.Open()
	if err != nil {
		return nil, &badRecord{f.Name, err}
	}
	defer func() { _ = r.Close() }()
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, &badRecord{f.Name, err}
	}
	if int64(len(raw)) > limit {
		return nil, &badRecord{f.Name, fmt.Errorf("more than %d bytes", limit)}
	}
	return raw, nil
}
