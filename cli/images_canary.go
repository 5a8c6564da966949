package cli

import (
	"fmt"
	"io"
	"time"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
)

// printImageCanary says what became of the hub's test image.
func printImageCanary(w io.Writer, c *v1.ImageCanary, now time.Time) {
	switch {
	case c == nil:
		fmt.Fprintln(w, "test image: not assessed: none was sent yet, so that vulnerable images are found is not proven")
	case c.NotAssessed != "":
		fmt.Fprintf(w, "test image: not assessed: %s\n", clean(c.NotAssessed))
	case c.Missed != "" && c.Seen == 0:
		fmt.Fprintf(w, "test image: DID NOT COME BACK, never yet: %s\n", clean(c.Missed))
	case c.Missed != "":
		fmt.Fprintf(w, "test image: DID NOT COME BACK, last found vulnerable %s: %s\n", ago(now, c.Seen), clean(c.Missed))
	case c.Seen == 0:
		fmt.Fprintf(w, "test image: sent %s, not back yet\n", ago(now, c.Sent))
	default:
		fmt.Fprintf(w, "test image: found vulnerable %s (%s, advisories of %s)\n", ago(now, c.Seen), clean(c.Found), ago(now, c.Built))
	}
}
