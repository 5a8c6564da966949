package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// missing says which evidence there is none of.
func missing(s *subject) needs {
	var n needs
	switch s.image.Kind {
	case scan.KindRootfs, scan.KindHost, scan.KindSBOM:
		n |= needConfig | needHistory | needCreated
	}
	if len(s.image.Config.History) == 0 {
		n |= needHistory
	}
	if !s.facts.Looked {
		n |= needFiles
	}
	if s.opt.Now <= 0 || s.image.Created <= 0 {
		n |= needCreated
	}
	return n
}

func gaps(s *subject, skipped map[needs]int) []scan.Gap {
	var out []scan.Gap
	add := func(n needs, reason, remedy string) {
		if skipped[n] > 0 {
			out = append(out, scan.Gap{What: fmt.Sprintf("%d configuration checks", skipped[n]), Reason: reason, Remedy: remedy})
		}
	}
	switch s.image.Kind {
	case scan.KindRootfs, scan.KindHost, scan.KindSBOM:
		add(needConfig, "a "+string(s.image.Kind)+" has no image configuration", "scan the image itself")
		add(needHistory, "a "+string(s.image.Kind)+" has no build history", "scan the image itself")
		add(needCreated, "a "+string(s.image.Kind)+" does not say when it was built", "scan the image itself")
	default:
		add(needHistory, "the image keeps no build history", "build it without squashing or dropping the history")
		switch {
		case s.image.Created <= 0:
			add(needCreated, "the image does not say when it was built, or says a fixed date", "set the build time, or judge its age by its packages")
		default:
			add(needCreated, "the time now was not given", "")
		}
	}
	add(needFiles, "the files of the image were not looked at", "scan the image, not only its list of packages")
	kinds := make([]string, 0, len(s.facts.Dropped))
	for k, n := range s.facts.Dropped {
		kinds = append(kinds, fmt.Sprintf("%d %s", n, k))
	}
	slices.Sort(kinds)
	if len(kinds) > 0 {
		out = append(out, scan.Gap{What: "configuration checks of files", Reason: "beyond what is kept: " + strings.Join(kinds, ", "), Remedy: "mend those that are listed and scan again"})
	}
	return out
}
