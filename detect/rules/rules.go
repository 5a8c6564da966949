// Package rules carries Dockreeve's own rule pack: YAML in the rule language, one
// file a detection, all words our own. It holds data only; package rule gives the
// files their meaning and package detect runs them.
package rules

import (
	"embed"
	"io/fs"

	"github.com/dockreeve/dockreeve/rule"
)

//go:embed *.yaml
var files embed.FS

// Files returns the pack in load order (by name; the shared words come first).
func Files() ([]rule.File, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, err
	}
	out := make([]rule.File, 0, len(names))
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		out = append(out, rule.File{Name: "builtin/" + name, Data: data})
	}
	return out, nil
}
