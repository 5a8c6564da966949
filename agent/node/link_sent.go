package node

import (
	"fmt"
	"path"
	"slices"

	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/rule"
)

// maxRuleFiles bounds the files of one message.
const maxRuleFiles = 1000

// With compiles the rules that a message sends, read after these. A message in which
// something is wrong is an error; errors that these have on their own were told at the
// start and keep nothing out.
func (s RuleSet) With(m link.RuleFiles) (*rule.Rules, error) {
	if len(m.Files) > maxRuleFiles {
		return nil, fmt.Errorf("%d files, at most %d", len(m.Files), maxRuleFiles)
	}
	s.NoBuiltin = s.NoBuiltin || m.NoBuiltin
	s.Disable = slices.Concat(s.Disable, m.Disable)
	s.More = slices.Clone(s.More)
	sent := map[string]bool{}
	for i, f := range m.Files {
		name := path.Join("sent", fmt.Sprint(i+1), path.Base("/"+f.Name))
		sent[name] = true
		s.More = append(s.More, rule.File{Name: name, Data: []byte(f.Text)})
	}
	set, diags, err := s.Load()
	if err != nil {
		return nil, err
	}
	for _, d := range diags {
		if d.Severity == rule.SeverityError && sent[d.File] {
			return nil, d
		}
	}
	return set, nil
}
