package advisory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/scan"
)

// The age of advisories is that of what they know, not of the file they lie in: a feed
// that was asked online is as old as that answer, one that was read from a file is as
// old as its own data says it is, however lately it was read.

// maxAhead is how far a date may lie in the future before it is not believed: clocks and
// time zones differ.
const maxAhead = int64(24 * time.Hour)

// believable returns a date that a feed gives, not after now; 0 for what cannot be.
func believable(date, now int64) int64 {
	if date > now+maxAhead {
		return 0
	}
	return min(date, now)
}

// FeedAsOf is the time (Unix nanoseconds) up to which a feed knows what was published.
func FeedAsOf(f *scan.FeedInfo) int64 {
	if f.Imported {
		return min(f.Date, f.Fetched)
	}
	return f.Fetched
}

// asOf is the age of the whole: that of its freshest feed. A file's time is that of its
// last copy, so feeds without a date count only where no other has one. Scores and the
// list of what is exploited say nothing of what is affected, and count last.
func asOf(feeds []scan.FeedInfo) int64 {
	var dated, undated, scores int64
	for i := range feeds {
		f := &feeds[i]
		switch {
		case f.Records == 0:
		case f.Name == feedEPSS, f.Name == feedKEV:
			scores = max(scores, FeedAsOf(f))
		case f.Undated:
			undated = max(undated, FeedAsOf(f))
		default:
			dated = max(dated, FeedAsOf(f))
		}
	}
	return cmp.Or(dated, undated, scores)
}

// AsOf is the time up to which the database knows what was published: Info's AsOf, or,
// where that is not told, when the database was built.
func AsOf(info *scan.DatabaseInfo) int64 {
	if info.AsOf != 0 {
		return info.AsOf
	}
	return info.Built
}

// TooOld reports whether a database is older than allowed; both times are in
// nanoseconds, a maxAge of 0 allows any age.
func TooOld(info *scan.DatabaseInfo, now, maxAge int64) bool {
	return maxAge > 0 && now-AsOf(info) > maxAge
}

// Stale judges the age of a database: the one place where that is done. A database
// whose freshest feed is older than maxAge gives a Gap that is about missing data. In a
// younger one, so does every feed that was asked online and has not answered for so
// long; feeds from files that are older are named in one Gap that only tells. Both
// times are in nanoseconds; a maxAge of 0 allows any age.
func Stale(info *scan.DatabaseInfo, now, maxAge int64) []scan.Gap {
	if maxAge <= 0 {
		return nil
	}
	if TooOld(info, now, maxAge) {
		return []scan.Gap{{
			What:   "vulnerabilities published since " + day(AsOf(info)),
			Reason: fmt.Sprintf("the freshest of the advisories are of %s, %s old; at most %s is allowed", day(AsOf(info)), days(now-AsOf(info)), days(maxAge)),
			Remedy: "dockreeve db update, or import newer files; or a larger --max-db-age",
			Data:   true,
		}}
	}
	var gaps []scan.Gap
	var old []string
	for i := range info.Feeds {
		f := &info.Feeds[i]
		if f.Records == 0 || now-FeedAsOf(f) <= maxAge {
			continue
		}
		if f.Imported {
			old = append(old, f.Name+" of "+day(f.Date))
			continue
		}
		g := scan.Gap{
			What:   "advisories of " + f.Name,
			Reason: "last read on " + day(f.Fetched),
			Remedy: "dockreeve db update --feed " + f.Name,
			Data:   true,
		}
		if f.Error != "" {
			g.Reason += ": " + f.Error
		}
		gaps = append(gaps, g)
	}
	if len(old) > 0 {
		slices.Sort(old)
		gaps = append(gaps, scan.Gap{
			What:   "what some feeds published lately",
			Reason: fmt.Sprintf("read from files with data more than %s old: %s", days(maxAge), strings.Join(old, ", ")),
			Remedy: "dockreeve db import newer files",
		})
	}
	return gaps
}

// Stale is the function of that name for this database.
func (db *DB) Stale(now, maxAge int64) []scan.Gap {
	info := db.Info()
	return Stale(&info, now, maxAge)
}

func days(ns int64) string {
	d := time.Duration(ns)
	if d < 48*time.Hour {
		return d.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
