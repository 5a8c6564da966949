package govern

import (
	"fmt"

	"github.com/dockreeve/dockreeve/finding"
)

// failedTries is after how many tries in a row that came back wrong scanning counts as one
// that does not detect, however lately an earlier one came back right.
const failedTries = 3

// hubRef is this hub as the scanner of images.
func hubRef() Ref { return Ref{Kind: "hub", ID: "images", Name: "Scanning of images"} }

// scansUnproven tells once that the hub's test image did not come back: it is one for the
// images of all clusters, and one cause is one alert. It returns the clusters, by id, that
// would be protected but for that, or but for a test image that was not sent.
func scansUnproven(ev *Evaluation, x *index, tell teller) map[string]bool {
	blind := map[string]bool{}
	var names []string
	var missed *Canary
	for i := range ev.Clusters {
		r := &ev.Clusters[i]
		if r.Here == "" || r.Critical == nil || r.Stopped { // none of its images has a verdict
			continue
		}
		var image *Canary
		for j := range r.Canaries {
			if r.Canaries[j].Kind == CanaryImage {
				image = &r.Canaries[j]
			}
		}
		fresh := false
		if image != nil && image.NotAssessed == "" {
			fresh = image.Seen > 0 && x.now-image.Seen <= x.canaryStale(image) && image.Failed < failedTries
			if !fresh && image.Sent > 0 {
				missed, names = image, append(names, r.Name)
			}
		}
		if !fresh && r.Agents.Value && r.Images.State != RowClosed && r.Inside.State == RowClosed && r.Runtime.State == RowClosed {
			blind[r.ID] = true
		}
	}
	if missed != nil {
		what := "has not come back" + since(x.now, missed.Seen)
		if missed.Failed >= failedTries {
			what = fmt.Sprintf("came back wrong %d times in a row", missed.Failed)
		}
		f := tell(RuleCanary, finding.High, hubRef(), "", fmt.Sprintf("the test image %s, so images of %s are scanned in name only: %s%s",
			what, count(len(names), "cluster"), some(names, 5), inBrackets(missed.Answer)), "dockreeve status")
		f.Key += "|" + CanaryImage
	}
	return blind
}
