package match

import (
	_ "embed"
	"strings"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/scan"
)

// endOfLife says until when distributions get security fixes that everybody can have:
// distro, version, last day, what ends then, where that is written, when it was read.
// Prices and dates are facts with a source: they stand in data, not in code.
//
//go:embed eol.csv
var endOfLife string

type eolKey struct{ distro, version string }

type eolRow struct {
	last int64 // end of the last day with fixes, Unix nanoseconds
	day  string
	what string
}

var eolTable = sync.OnceValue(func() map[eolKey]eolRow {
	table := map[eolKey]eolRow{}
	for line := range strings.Lines(endOfLife) {
		f := strings.Split(strings.TrimSpace(line), ",")
		if len(f) != 6 || strings.HasPrefix(line, "#") {
			continue
		}
		day, err := time.Parse(time.DateOnly, f[2])
		if err != nil {
			continue // the header; a test reads every other line
		}
		table[eolKey{f[0], f[1]}] = eolRow{day.AddDate(0, 0, 1).UnixNano(), f[2], f[3]}
	}
	return table
})

// ended reports whether the release no longer gets fixes at now, and since when.
func (r *release) ended(now int64) (row eolRow, over bool) {
	if r.eolID == "" || now == 0 {
		return row, false
	}
	row, known := eolTable()[eolKey{r.eolID, r.eolVersion}]
	return row, known && now >= row.last
}

// Ended reports whether a distribution gets no more security fixes that everybody can
// have: since which day (YYYY-MM-DD, the last with fixes) and what ended then. over is
// false too for a release whose dates are not known; known tells the two apart.
func Ended(d scan.Distro, now int64) (day, what string, over, known bool) {
	r, _ := releaseOf(d)
	if r == nil || now == 0 {
		return "", "", false, false
	}
	row, known := eolTable()[eolKey{r.eolID, r.eolVersion}]
	if !known {
		return "", "", false, false
	}
	return row.day, row.what, now >= row.last, true
}
