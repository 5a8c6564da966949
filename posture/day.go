package posture

import "time"

// day writes a time for people.
func day(nanos int64) string {
	if nanos == 0 {
		return "never"
	}
	return time.Unix(0, nanos).UTC().Format("2006-01-02 15:04 UTC")
}
