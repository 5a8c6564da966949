// Package agent holds what the agents share: how the rules that one runs are told.
package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"io"

	"github.com/dockreeve/dockreeve/detect"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/rule"
)

// AtCluster is why rules on the API server are not assessed where no audit events come in.
// The hub shows it only as long as nobody who reports to it assesses them.
const AtCluster = "judged by a cluster agent that gets audit events of an API server, and none does: docs/audit.md says how"

// RuleSet describes rules for the hub. Those of a source that this agent does not see,
// by elsewhere, are told with that reason for not being assessed here; "" = it sees them.
func RuleSet(name string, rules *rule.Rules, elsewhere func(source string) string) link.RuleSet {
	set := link.RuleSet{Node: name, Hash: Hash(rules)}
	for _, r := range rules.All() {
		i := r.Info()
		not := i.Assessment.Reason
		if i.Assessment.State == rule.AssessedPartly {
			not = "partly: " + not
		}
		if why := elsewhere(i.Source); why != "" {
			not = why
		}
		set.Rules = append(set.Rules, link.Rule{
			ID: i.ID, Name: i.Name, Hash: i.Hash, Desc: i.Desc, Tags: i.Tags, Tactics: i.Tactics, Techniques: i.Techniques, Answers: i.Answers,
			Response: i.Response, File: i.File, Line: i.Line, Condition: r.Resolved().ConditionText, Severity: detect.Severity(i.Priority).String(),
			Enabled: i.Enabled, NotAssessed: not,
		})
	}
	return set
}

// Hash names a rule set by what its enabled rules do and say.
func Hash(rules *rule.Rules) string {
	h := sha256.New()
	for _, r := range rules.All() {
		if i := r.Info(); i.Enabled {
			io.WriteString(h, i.Hash)
			h.Write([]byte{0})
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}
