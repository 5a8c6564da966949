package advisory

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

//go:embed data/releases.txt
var releaseTable string

// codename returns the release of a distribution ("debian", "ubuntu") by its codename.
func codename(distribution, name string) (release string, ok bool) {
	for line := range strings.Lines(releaseTable) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == distribution && f[1] == name {
			return f[2], true
		}
	}
	return "", false
}

// trackerIssue is one issue of one source package in Debian's security tracker.
type trackerIssue struct {
	Description string                    `json:"description"`
	Releases    map[string]trackerRelease `json:"releases"`
}

type trackerRelease struct {
	Status  string  `json:"status"`
	Fixed   string  `json:"fixed_version"`
	Urgency string  `json:"urgency"`
	NoDSA   *string `json:"nodsa"`
	Reason  string  `json:"nodsa_reason"`
}

// readTracker reads Debian's security tracker: source package → issue → release.
func (b *builder) readTracker(in io.Reader) error {
	c := b.feed(feedDebian)
	c.mode = replacing
	d := newJSON(in, maxRecord)
	packages := 0
	var cache = map[string]string{} // codename → ecosystem
	err := d.object(func(source string) error {
		packages++
		tok, err := d.open('{')
		if err != nil {
			return err
		}
		if !tok {
			c.skip(source, errors.New("its issues are no object"))
			return nil
		}
		return d.rest('}', func() error {
			id, err := d.key()
			if err != nil {
				return err
			}
			var issue trackerIssue
			if err := d.value(&issue); err != nil {
				return d.bad(err, func(err error) { c.skip(source+" "+id, err) })
			}
			r, err := issue.record(source, id, cache)
			if err != nil {
				c.skip(source+" "+id, err)
				return nil
			}
			if r == nil {
				return nil
			}
			return b.add(feedDebian, r)
		})
	})
	if err != nil {
		return err
	}
	if packages == 0 || c.records == 0 {
		return errors.New("it holds no issue")
	}
	return nil
}

func (t *trackerIssue) record(source, id string, cache map[string]string) (*Record, error) {
	r := &Record{ID: id, Title: t.Description, References: []string{"https://security-tracker.debian.org/tracker/" + id}}
	for name, rel := range t.Releases {
		eco, ok := cache[name]
		if !ok {
			if len(cache) > 100 {
				return nil, errors.New("more than 100 releases")
			}
			number, known := codename("debian", name)
			if !known {
				number = name // a release younger than this program
			}
			eco = "Debian:" + number
			cache[name] = eco
		}
		a := Affected{Ecosystem: eco, Name: source, Severity: severityOf(rel.urgency())}
		switch rel.Status {
		case "resolved":
			if rel.Fixed == "" {
				return nil, fmt.Errorf("release %s: resolved without fixed_version", name)
			}
			if rel.Fixed == "0" {
				a.NotAffected = true
			} else {
				a.Ranges = []Range{{Fixed: rel.Fixed}}
			}
		case "open":
			a.Ranges = []Range{{}}
			a.Status = rel.open()
		case "undetermined":
			a.Ranges = []Range{{}}
			a.Status = scan.UnderReview
		default:
			return nil, fmt.Errorf("release %s: unknown status %q", name, clip(rel.Status, 40))
		}
		r.Affected = append(r.Affected, a)
	}
	if len(r.Affected) == 0 {
		return nil, nil // no release that is still looked after has it
	}
	slices.SortFunc(r.Affected, func(a, b Affected) int { return strings.Compare(a.Ecosystem, b.Ecosystem) })
	return r, nil
}

// urgency drops the stars with which the tracker marks urgencies it derived itself.
func (t *trackerRelease) urgency() string { return strings.TrimRight(t.Urgency, "*") }

// open says what an open issue waits for.
func (t *trackerRelease) open() scan.Status {
	switch {
	case t.urgency() == "end-of-life":
		return scan.EndOfLife
	case t.Reason == "ignored":
		return scan.WontFix
	case t.Reason == "postponed", t.NoDSA != nil:
		return scan.Deferred
	}
	return scan.Unfixed
}
