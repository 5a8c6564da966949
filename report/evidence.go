package report

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	find "github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/posture"
)

// EvidenceOptions say what an evidence bundle holds. Times are Unix nanoseconds. What is
// nil or empty is told as a gap in the bundle, never left out in silence.
type EvidenceOptions struct {
	From, To   int64 // the period; To is exclusive
	Name       string
	Version    string             // of Dockreeve
	Evaluation *govern.Evaluation // as of To: required
	Days       []govern.Day       // kept days; those outside the period are left out, but for the last one before it
	Tenant     *cloud.Tenant      // its reads, exemptions and suppressions
	Exemptions []govern.Exemption // Dockreeve's own
	Reviews    []govern.Review
	Alerts     *govern.AlertFacts
	Images     *govern.ImageFacts
	Gates      *govern.GateFacts
	Results    []posture.Result
	Controls   []posture.Control
	Costs      *cost.Report // its prices and gaps
	Key        ed25519.PrivateKey
}

// Manifest names everything in a bundle by its digest. It is what the signature is over.
type Manifest struct {
	Format     string         `json:"format"` // dockreeve-evidence
	Version    int            `json:"version"`
	MadeBy     string         `json:"madeBy,omitempty"` // version of Dockreeve
	Name       string         `json:"name,omitempty"`
	TenantID   string         `json:"tenantID,omitempty"`
	From       string         `json:"from"` // RFC 3339
	To         string         `json:"to"`
	Evaluated  string         `json:"evaluated"`            // the evaluation at the end of the period
	Start      string         `json:"start,omitempty"`      // the kept day that stands for its beginning
	TenantRead string         `json:"tenantRead,omitempty"` // when Azure was read
	Counts     map[string]int `json:"counts"`
	Files      []ManifestFile `json:"files"` // by name
}

// ManifestFile is one file of a bundle.
type ManifestFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // hex
	What   string `json:"what"`
}

const (
	manifestName  = "manifest.json"
	signatureName = "manifest.dsse.json"
)

// ErrEvidence is returned for options that make no bundle.
var ErrEvidence = errors.New("no evidence bundle can be made")

// Evidence writes a signed bundle for auditors: a gzipped tar whose manifest names each
// file by its SHA-256, and whose signature is a DSSE envelope over the manifest. The same
// options give the same bytes. It keeps the bundle's files in memory while it writes.
func Evidence(w io.Writer, o EvidenceOptions) error {
	switch {
	case o.Evaluation == nil:
		return fmt.Errorf("%w: nothing was evaluated yet; run an evaluation first", ErrEvidence)
	case o.From >= o.To:
		return fmt.Errorf("%w: the period from %s to %s is empty; --from must be before --to", ErrEvidence, moment(o.From), moment(o.To))
	case len(o.Key) != ed25519.PrivateKeySize:
		return fmt.Errorf("%w: an Ed25519 private key is needed to sign it", ErrEvidence)
	}
	b := &bundle{o: &o, manifest: Manifest{Format: "dockreeve-evidence", Version: 1, MadeBy: o.Version, Name: o.Name, TenantID: o.Evaluation.TenantID, From: stamp(o.From), To: stamp(o.To),
		Evaluated: stamp(o.Evaluation.At), Counts: map[string]int{}}}
	if o.Evaluation.TenantAt > 0 {
		b.manifest.TenantRead = stamp(o.Evaluation.TenantAt)
	}
	if err := b.fill(); err != nil {
		return err
	}
	return b.write(w)
}

func stamp(t int64) string { return time.Unix(0, t).UTC().Format(time.RFC3339) }

type bundle struct {
	o        *EvidenceOptions
	manifest Manifest
	files    map[string][]byte
	gaps     []inventory.Gap
}

func (b *bundle) add(name, what string, data []byte) {
	if b.files == nil {
		b.files = map[string][]byte{}
	}
	b.files[name] = data
	sum := sha256.Sum256(data)
	b.manifest.Files = append(b.manifest.Files, ManifestFile{name, int64(len(data)), hex.EncodeToString(sum[:]), what})
}

func (b *bundle) json(name, what string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	b.add(name, what, append(data, '\n'))
	return nil
}

// lines writes a list as one JSON document a line, and counts it.
func lines[T any](b *bundle, name, what string, list []T) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	for i := range list {
		if err := enc.Encode(&list[i]); err != nil {
			return fmt.Errorf("%s: line %d: %w", name, i+1, err)
		}
	}
	b.manifest.Counts[strings.TrimSuffix(name, ".ndjson")] = len(list)
	b.add(name, what, buf.Bytes())
	return nil
}

func (b *bundle) gap(missing bool, what, reason, remedy string) {
	if missing {
		b.gaps = append(b.gaps, inventory.Gap{What: what, Reason: reason, Remedy: remedy})
	}
}

// fill makes the files.
func (b *bundle) fill() error {
	o, ev := b.o, b.o.Evaluation
	start, days := period(o.Days, o.From, o.To)
	if start != nil {
		b.manifest.Start = stamp(start.At)
	}
	b.gap(start == nil, "the beginning of the period", "no evaluation was kept from "+date(o.From)+" or before", "keep evaluations: the hub does so each day")
	seen := days
	if start != nil {
		seen = append(slices.Clone(days), *start)
	}
	seen = append(slices.Clone(seen), govern.Day{At: ev.At})
	if missing := missingDays(seen, o.From, min(o.To, ev.At)); missing > 0 {
		b.gap(true, "days", fmt.Sprintf("days of the period of which no evaluation was kept: %d", missing), "")
	}
	b.gap(ev.At < o.To-int64(36*time.Hour), "the end of the period", "the evaluation is from "+moment(ev.At)+", the period ends on "+moment(o.To), "evaluate again")
	b.gap(ev.At >= o.To+int64(36*time.Hour), "the end of the period", "the full evaluation is of "+moment(ev.At)+", after the period; of its end only the kept day exists", "")
	b.gap(o.Tenant == nil, "Azure", "no tenant was read: its exemptions and the outcome of its reads are not here", "dockreeve azure collect")
	b.gap(o.Alerts == nil, "alerts", "no alerts are kept", "")
	b.gap(o.Images == nil, "images", "no running images are watched", "")
	b.gap(o.Gates == nil, "gates", "no gate was told of", "")
	b.gap(o.Costs == nil, "costs", "no bill and no prices were read", "")
	b.gap(len(o.Results) == 0, "results", "no control was judged", "")

	steps := []func() error{
		func() error { return b.json("evaluation.json", "the evaluation at the end of the period", ev) },
		func() error {
			return b.json("start.json", "what was kept of the evaluation at its beginning; null = nothing was", start)
		},
		func() error {
			return lines(b, "days.ndjson", "what was kept of each evaluation of the period, oldest first", days)
		},
		func() error { return b.json("denominators.json", "every share with its denominator", denominators(ev)) },
		func() error { return lines(b, "results.ndjson", "each control judged at each resource", o.Results) },
		func() error {
			return lines(b, "controls.ndjson", "the controls: what each demands and what it maps to", o.Controls)
		},
		func() error { return lines(b, "reviews.ndjson", "reviews made in the period", within(o)) },
		func() error { return b.json("exemptions.json", "what was allowed to fail", b.exemptions()) },
		func() error {
			return b.json("alerts.json", "alerts of the period, added up", summarise(o.Alerts, o.From, o.To))
		},
		func() error {
			return b.json("images.json", "running images and gates", struct {
				Images *govern.ImageFacts `json:"images"`
				Gates  *govern.GateFacts  `json:"gates"`
			}{o.Images, o.Gates})
		},
		func() error {
			return b.json("prices.json", "the prices that were used, and what money does not say", b.prices())
		},
		func() error {
			return b.json("gaps.json", "what this bundle does not say", append(b.gaps, ev.Gaps...))
		},
	}
	if o.Tenant != nil {
		steps = append(steps, func() error {
			return lines(b, "reads.ndjson", "what Azure was asked for, and what came of it", o.Tenant.Reads)
		})
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	b.manifest.Counts["gaps"] = len(b.gaps) + len(ev.Gaps)
	b.manifest.Counts["clusters"], b.manifest.Counts["subscriptions"] = len(ev.Clusters), len(ev.Subscriptions)
	for _, format := range []string{"html", "pdf", "csv"} {
		var buf bytes.Buffer
		if err := Playbook(&buf, format, ev, Options{Name: o.Name, Version: o.Version}); err != nil {
			return err
		}
		b.add("playbook."+format, "the playbook for people", buf.Bytes())
	}
	b.add("README.txt", "what this is and how to check it", []byte(b.readme()))
	return nil
}

// period picks the kept days of a period, and the one that stands for its beginning: the
// last one at or before it, else the first one of its first day.
func period(all []govern.Day, from, to int64) (*govern.Day, []govern.Day) {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b govern.Day) int { return cmp.Compare(a.At, b.At) })
	var start *govern.Day
	days := []govern.Day{}
	for i := range all {
		d := &all[i]
		switch {
		case d.At <= from:
			start = d
		case d.At < to:
			if start == nil && d.At < from+int64(24*time.Hour) {
				start = d
			}
		}
		if d.At >= from && d.At < to {
			days = append(days, *d)
		}
	}
	if start != nil && start.At < from-int64(48*time.Hour) { // too old to stand for it
		start = nil
	}
	return start, days
}

func missingDays(days []govern.Day, from, to int64) int {
	have := map[string]bool{}
	for _, d := range days {
		have[date(d.At)] = true
	}
	n := 0
	for t := time.Unix(0, from).UTC().Truncate(24 * time.Hour); t.UnixNano() < to && n < 4000; t = t.AddDate(0, 0, 1) {
		if !have[t.Format(time.DateOnly)] {
			n++
		}
	}
	return n
}

type denominator struct {
	ID      string  `json:"id"`
	N       float64 `json:"n"`
	Of      float64 `json:"of"`
	Unknown int     `json:"unknown"`
	Why     string  `json:"notAssessed,omitempty"`
}

func denominators(ev *govern.Evaluation) []denominator {
	var out []denominator
	ratio := func(id string, r govern.Ratio) {
		out = append(out, denominator{id, float64(r.N), float64(r.Of), r.Unknown, r.NotAssessed})
	}
	c := &ev.Coverage
	for _, r := range []struct {
		id string
		r  govern.Ratio
	}{{"subscriptions", c.Subscriptions}, {"clusters", c.Clusters}, {"production", c.Production}, {"profile", c.Profile}, {"any", c.Any}, {"owned", c.Owned}} {
		ratio("coverage."+r.id, r.r)
	}
	for _, k := range sorted(c.Rows) {
		ratio("coverage.rows."+k, c.Rows[k])
	}
	for _, k := range sorted(c.ByEnvironment) {
		ratio("coverage.environment."+k, c.ByEnvironment[k])
	}
	for _, p := range ev.Playbook {
		ratio("playbook."+p.ID, p.Ratio)
	}
	for _, p := range ev.Pitfalls {
		ratio("pitfall."+p.ID, p.Ratio)
	}
	for _, k := range ev.KPIs {
		out = append(out, denominator{ID: "kpi." + k.ID, N: k.N, Of: k.Of, Why: k.NotAssessed})
	}
	return out
}

func within(o *EvidenceOptions) []govern.Review {
	out := []govern.Review{}
	for _, r := range o.Reviews {
		if r.At >= o.From && r.At < o.To {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b govern.Review) int { return cmp.Or(cmp.Compare(a.At, b.At), strings.Compare(a.ID, b.ID)) })
	return out
}

type exemptionList struct {
	Dockreeve    []govern.Exemption  `json:"dockreeve"`
	Azure        []cloud.Exemption   `json:"azure"`
	NotAssessed  string              `json:"azureNotAssessed,omitempty"`
	Suppressions []cloud.Suppression `json:"defenderSuppressions"`
	Quiet        []govern.Suppressed `json:"suppressed"`
	Exempted     []posture.Result    `json:"exempted"` // verdicts that would fail
	Counts       map[string]int      `json:"counts"`
}

func (b *bundle) exemptions() exemptionList {
	o := b.o
	l := exemptionList{Dockreeve: o.Exemptions, Counts: map[string]int{}}
	if o.Tenant != nil {
		l.Azure, l.Suppressions = o.Tenant.Exemptions, o.Tenant.Suppressions
	} else {
		l.NotAssessed = "no tenant was read"
	}
	if o.Alerts != nil {
		l.Quiet = o.Alerts.Suppressed
	}
	for _, r := range o.Results {
		if r.Verdict == posture.Exempt {
			l.Exempted = append(l.Exempted, r)
		}
	}
	l.Counts["dockreeve"], l.Counts["azure"], l.Counts["exempted"] = len(l.Dockreeve), len(l.Azure), len(l.Exempted)
	b.manifest.Counts["exemptions"] = len(l.Dockreeve) + len(l.Azure)
	return l
}

type alertSummary struct {
	NotAssessed string                    `json:"notAssessed,omitempty"`
	Since       string                    `json:"keptSince,omitempty"`
	Total       int                       `json:"total"`
	BySeverity  map[string]map[string]int `json:"bySeverity"` // severity → status → alerts
	ByRule      map[string]int            `json:"byRule"`
	ByOwner     map[string]int            `json:"byOwner"`
	BySource    map[string]int            `json:"bySource"`
	Acked       int                       `json:"acknowledged"` // with a time
	NodeDays    map[string]float64        `json:"nodeDays"`     // by week: of all that is kept
	Dropped     uint64                    `json:"dropped"`
}

// summarise adds up the alerts that began in a period.
func summarise(a *govern.AlertFacts, from, to int64) alertSummary {
	s := alertSummary{BySeverity: map[string]map[string]int{}, ByRule: map[string]int{}, ByOwner: map[string]int{}, BySource: map[string]int{}}
	if a == nil {
		s.NotAssessed = "no alerts are kept"
		return s
	}
	s.Since, s.NodeDays, s.Dropped = stamp(a.Since), a.NodeDays, a.Dropped
	if a.Since > from {
		s.NotAssessed = "alerts before " + moment(a.Since) + " are not kept: the sums are of what is"
	}
	for i := range a.Alerts {
		f := &a.Alerts[i]
		if f.First < from || f.First >= to {
			continue
		}
		s.Total++
		severity, status := f.Severity.String(), "unknown"
		if f.Status >= find.Open && f.Status <= find.Dismissed {
			status = f.Status.String()
		}
		if s.BySeverity[severity] == nil {
			s.BySeverity[severity] = map[string]int{}
		}
		s.BySeverity[severity][status]++
		s.ByRule[f.Rule]++
		s.ByOwner[cmp.Or(f.Owner, inventory.Unowned)]++
		s.BySource[f.Source]++
		if f.Acked > 0 {
			s.Acked++
		}
	}
	return s
}

type priceList struct {
	NotAssessed string       `json:"notAssessed,omitempty"`
	Currency    string       `json:"currency,omitempty"`
	Prices      []cost.Price `json:"prices"`
	Gaps        []cost.Gap   `json:"gaps"`
	Rows        int          `json:"rows"`
	Bad         int          `json:"bad"`
}

func (b *bundle) prices() priceList {
	c := b.o.Costs
	if c == nil {
		return priceList{NotAssessed: "no bill and no prices were read"}
	}
	b.manifest.Counts["prices"] = len(c.Prices)
	return priceList{Currency: c.Currency, Prices: c.Prices, Gaps: c.Gaps, Rows: c.Rows, Bad: c.Bad}
}

func (b *bundle) readme() string {
	var s strings.Builder
	fmt.Fprintf(&s, "Evidence of container protection, %s to %s\n\n", b.manifest.From, b.manifest.To)
	fmt.Fprintf(&s, "Made by Dockreeve %s from the evaluation of %s.\n", cmp.Or(b.manifest.MadeBy, "(version not told)"), b.manifest.Evaluated)
	s.WriteString("manifest.json names every other file with its SHA-256. manifest.dsse.json is a DSSE envelope over\nexactly those bytes, signed with Ed25519. Check both with:\n\n    dockreeve report verify FILE --key PUBLIC\n\n")
	s.WriteString("The key must have come to you by another way than this bundle. denominators.json holds what every\nshare is a share of; gaps.json what could not be said. A full evaluation is kept only of the end of the\nperiod; of its beginning and the days between, what days.ndjson holds.\n\n")
	for _, f := range b.manifest.Files {
		fmt.Fprintf(&s, "%-20s %s\n", f.Name, f.What)
	}
	return s.String()
}

// write makes the archive: the manifest and its signature first, then files by name.
func (b *bundle) write(w io.Writer) error {
	slices.SortFunc(b.manifest.Files, func(x, y ManifestFile) int { return strings.Compare(x.Name, y.Name) })
	manifest, err := json.MarshalIndent(&b.manifest, "", "  ")
	if err != nil {
		return err
	}
	manifest = append(manifest, '\n')
	envelope, err := sign(manifest, b.o.Key)
	if err != nil {
		return err
	}
	zip := gzip.NewWriter(w)
	out := tar.NewWriter(zip)
	put := func(name string, data []byte) error {
		h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), ModTime: time.Unix(b.o.Evaluation.At/int64(time.Second), 0).UTC(), Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		if err := out.WriteHeader(h); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		_, err := out.Write(data)
		return err
	}
	if err := put(manifestName, manifest); err != nil {
		return err
	}
	if err := put(signatureName, envelope); err != nil {
		return err
	}
	for _, f := range b.manifest.Files {
		if err := put(f.Name, b.files[f.Name]); err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	return zip.Close()
}

func sorted[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
