package advisory

import (
	"math"
	"strings"
)

// Rating is the CVSS score that advisories give a CVE, whichever package they are about:
// the score belongs to the CVE. Distributions often give none.
type Rating struct {
	Vector string
	CVSS   float64 // base score
	From   string  // id of the advisory that gives it
}

// Rating returns the highest CVSS score that an advisory about this CVE alone gives it,
// nil when none does. A damaged block reads as none; Verify finds it.
func (db *DB) Rating(cve string) *Rating {
	if db.ratings == nil {
		return db.findRating(cve)
	}
	key, ok := cveKey(cve)
	if !ok {
		return nil
	}
	v, err := db.ratings.get(key)
	if err != nil || v == nil {
		return nil
	}
	r, err := decodeRating(cve, v)
	if err != nil {
		return nil
	}
	return r
}

// findRating is Rating for files that were written before there was a table of them.
func (db *DB) findRating(cve string) *Rating {
	records, err := db.Find(cve)
	if err != nil {
		return nil
	}
	var best *Rating
	for _, r := range records {
		if rated(r) == cve && (best == nil || r.CVSS > best.CVSS) {
			best = &Rating{r.Vector, r.CVSS, r.ID}
		}
	}
	return best
}

// rated is the CVE whose score a record gives; "" = none. An advisory for several CVEs
// scores the worst of them.
func rated(r *Record) string {
	if r.Vector == "" {
		return ""
	}
	if cves := r.CVEs(); len(cves) == 1 {
		return cves[0]
	}
	return ""
}

// Nearly all vectors are the base metrics of one version in their order, each with a
// value of one letter. Only the letters of those are written.
var vectorForms = [...]string{
	1: "CVSS:3.1/AV:_/AC:_/PR:_/UI:_/S:_/C:_/I:_/A:_",
	2: "CVSS:3.0/AV:_/AC:_/PR:_/UI:_/S:_/C:_/I:_/A:_",
	3: "CVSS:4.0/AV:_/AC:_/AT:_/PR:_/UI:_/VC:_/VI:_/VA:_/SC:_/SI:_/SA:_",
	4: "AV:_/AC:_/Au:_/C:_/I:_/A:_",
}

func appendRating(b []byte, cve string, r *Rating) []byte {
	b = append(b, byte(math.Round(r.CVSS*10)))
	b = appendVector(b, r.Vector)
	if prefix, ok := strings.CutSuffix(r.From, cve); ok {
		return appendString(append(b, 1), prefix)
	}
	return appendString(append(b, 0), r.From)
}

func appendVector(b []byte, v string) []byte {
	for form, f := range vectorForms {
		if len(f) != len(v) {
			continue
		}
		start := len(b)
		b = append(b, byte(form))
		for i := range len(f) {
			if f[i] == '_' {
				b = append(b, v[i])
			} else if f[i] != v[i] {
				b = b[:start]
				break
			}
		}
		if len(b) > start {
			return b
		}
	}
	return appendString(append(b, 0), v)
}

func decodeRating(cve string, b []byte) (*Rating, error) {
	r := reader{b: b}
	out := &Rating{CVSS: float64(r.byte()) / 10}
	switch form := int(r.byte()); {
	case form == 0:
		out.Vector = r.string()
	case form < len(vectorForms):
		v := []byte(vectorForms[form])
		for i, c := range v {
			if c == '_' {
				v[i] = r.byte()
			}
		}
		out.Vector = string(v)
	default:
		r.fail()
	}
	suffix := r.byte()
	if out.From = r.string(); suffix == 1 {
		out.From += cve
	}
	return out, r.err
}

// writeRatings keeps the best rating of every CVE.
func (o *output) writeRatings() error {
	t := o.table(false, 2<<10)
	var key, best []byte
	put := func() error {
		if key == nil {
			return nil
		}
		return t.add(key, best)
	}
	err := o.ratings.each(func(k, v []byte) error {
		if string(k) != string(key) {
			if err := put(); err != nil {
				return err
			}
			key, best = append(key[:0], k...), append(best[:0], v...)
		} else if v[0] > best[0] { // of equal ones the first
			best = append(best[:0], v...)
		}
		return nil
	})
	if err == nil {
		err = put()
	}
	if err != nil {
		return err
	}
	return o.end("ratings", t)
}
