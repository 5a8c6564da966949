package cli

import (
	"fmt"
	"io"
	"time"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/govern"
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

// printImagesProof says once what the hub's test image proves of the images of clusters,
// where any of them is scanned here.
func printImagesProof(w io.Writer, ev *govern.Evaluation) {
	for i := range ev.Clusters {
		for _, k := range ev.Clusters[i].Canaries {
			if k.Kind != govern.CanaryImage {
				continue
			}
			said := ""
			if k.Answer != "" {
				said = " (" + clean(k.Answer) + ")"
			}
			now := time.Unix(0, ev.At)
			switch {
			case k.NotAssessed != "":
				fmt.Fprintf(w, "Test image of the hub: not assessed: %s\n", clean(k.NotAssessed))
			case k.Seen == 0:
				fmt.Fprintf(w, "Test image of the hub: never came back%s\n", said)
			case k.Seen < k.Sent:
				fmt.Fprintf(w, "Test image of the hub: last found vulnerable %s, the one after it is not back%s\n", ago(now, k.Seen), said)
			default:
				fmt.Fprintf(w, "Test image of the hub: found vulnerable %s%s\n", ago(now, k.Seen), said)
			}
			return
		}
	}
}
