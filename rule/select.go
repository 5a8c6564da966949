package rule

import (
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/rule/internal/strmatch"
)

// Selection switches rules on or off: those that fit everything that is set.
type Selection struct {
	Enable    bool
	Name      string // exact; with '*' any text may stand for it
	Substring string // part of the name
	Tag       string // one of the tags
}

// OnlyTags returns selections that leave on just the rules with one of the tags.
func OnlyTags(tags ...string) []Selection {
	out := []Selection{{}}
	for _, t := range tags {
		out = append(out, Selection{Enable: true, Tag: t})
	}
	return out
}

func (s Selection) fits(i *Info) bool {
	switch {
	case s.Name == "":
	case strings.Contains(s.Name, "*"):
		if !strmatch.Glob(strings.NewReplacer(`\`, `\\`, "?", `\?`, "[", `\[`).Replace(s.Name), i.Name) {
			return false
		}
	case s.Name != i.Name:
		return false
	}
	return strings.Contains(i.Name, s.Substring) && (s.Tag == "" || slices.Contains(i.Tags, s.Tag))
}

// selected says for each rule whether it is on.
func selected(rules []*Rule, opt CompileOptions) []bool {
	var all []Selection
	for _, d := range opt.Disable {
		if d != "" { // an empty text would switch off everything
			all = append(all, Selection{Substring: d})
		}
	}
	all = append(all, opt.Select...)
	out := make([]bool, len(rules))
	for i, r := range rules {
		out[i] = r.info.Enabled
		for _, s := range all {
			if s.fits(&r.info) {
				out[i] = s.Enable
			}
		}
	}
	return out
}
