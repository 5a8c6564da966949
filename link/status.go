package link

import (
	"encoding/json"
	"fmt"
)

// KindRules is a RuleSet: what a node's rules say and whether each can fire. It
// travels on LaneStatus, once at start and whenever the set changes.
const KindRules Kind = 4

// Status is what a sender says about itself: what it watches, since when, what it
// cannot assess and what it lost. It is a snapshot: the newest replaces all older
// ones. All times are wall clock, Unix nanoseconds; 0 = never.
type Status struct {
	Node    string `json:"node"`
	Version string `json:"version,omitempty"` // of the sending program
	Kernel  string `json:"kernel,omitempty"`  // uname release
	Mode    string `json:"mode"`              // ModeLive or ModeReplay
	Time    int64  `json:"time"`              // when the snapshot was taken
	Every   int64  `json:"every,omitempty"`   // nanoseconds between reports; 0 = one second. Silence of several is a gap

	Since       int64  `json:"since"`                 // watched without a break since
	NotAssessed string `json:"notAssessed,omitempty"` // why nothing is watched; empty = it is
	Remedy      string `json:"remedy,omitempty"`      // what to do about it

	LastEvent  int64  `json:"lastEvent"`
	Events     uint64 `json:"events"`     // seen since Since
	Lost       uint64 `json:"lost"`       // lost since Since, by any hop of the sender
	Containers int64  `json:"containers"` // seen now; meaningful only when NotAssessed is empty
	Processes  int64  `json:"processes"`

	RulesWatching    int    `json:"rulesWatching"`
	RulesNotAssessed int    `json:"rulesNotAssessed"`
	RulesHash        string `json:"rulesHash,omitempty"`

	Gaps []Gap `json:"gaps,omitempty"` // everything not covered, at most MaxGaps
	Hops []Hop `json:"hops,omitempty"` // counters since the process started, at most MaxHops
}

// The modes of a node.
const (
	ModeLive   = "live"
	ModeReplay = "replay"
	// ModeCluster is of a cluster agent: its Node is "cluster/" and the cluster's name, and
	// what it watches is an API server.
	ModeCluster = "cluster"
)

// Bounds of the lists in a Status.
const (
	MaxGaps = 256
	MaxHops = 256
)

// Gap is one thing that is not covered.
type Gap struct {
	What   string `json:"what"`
	Reason string `json:"reason"`
	Remedy string `json:"remedy,omitempty"`
}

// Hop counts what passed one place, since its process started.
type Hop struct {
	Hop  string `json:"hop"`
	In   uint64 `json:"in"`
	Out  uint64 `json:"out"`
	Lost uint64 `json:"lost"`
}

// RuleSet is every rule a node has loaded.
type RuleSet struct {
	Node    string `json:"node"`
	Hash    string `json:"hash"`
	Rules   []Rule `json:"rules"`
	LeftOut int    `json:"leftOut,omitempty"` // rules that did not fit into one envelope
}

// Rule is one rule as it stands at a node.
type Rule struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Hash        string   `json:"hash"`
	Desc        string   `json:"desc,omitempty"`
	Tags        []string `json:"tags,omitempty"`
	Tactics     []string `json:"tactics,omitempty"`
	Techniques  []string `json:"techniques,omitempty"`
	Answers     []string `json:"answers,omitempty"`
	Response    []string `json:"response,omitempty"`
	File        string   `json:"file,omitempty"`
	Line        int      `json:"line,omitempty"`
	Condition   string   `json:"condition,omitempty"` // as written
	Severity    string   `json:"severity"`
	Enabled     bool     `json:"enabled"`
	NotAssessed string   `json:"notAssessed,omitempty"` // why it cannot fire; empty = it is watching
}

// Encode writes the set as one payload of at most MaxBytes. Rules that do not
// fit are left off the end and counted in LeftOut, never dropped in silence.
func (s RuleSet) Encode() ([]byte, error) {
	sizes := make([]int, len(s.Rules))
	for i := range s.Rules {
		b, err := json.Marshal(&s.Rules[i])
		if err != nil {
			return nil, fmt.Errorf("encode rule %s: %w", s.Rules[i].ID, err)
		}
		sizes[i] = len(b) + 1
	}
	room := MaxBytes - 4096 // node, hash and braces
	keep := 0
	for keep < len(sizes) && room >= sizes[keep] {
		room -= sizes[keep]
		keep++
	}
	s.LeftOut += len(s.Rules) - keep
	s.Rules = s.Rules[:keep]
	b, err := json.Marshal(s)
	if err == nil && len(b) > MaxBytes {
		return nil, fmt.Errorf("rule set of node %.80q: %w: its head alone is too big", s.Node, ErrTooBig)
	}
	return b, err
}

// RuleFiles is the message of KindRuleFiles: the rules a node is to run, beside or
// instead of those it was started with. A set that does not load leaves the one that
// runs in place, and the node's status says so.
type RuleFiles struct {
	Hash      string     `json:"hash"`                // of what follows, as its sender names it
	NoBuiltin bool       `json:"noBuiltin,omitempty"` // leave Dockreeve's own pack out
	Disable   []string   `json:"disable,omitempty"`   // parts of rule names to switch off
	Files     []RuleFile `json:"files,omitempty"`     // in order: later ones may change what earlier ones say
}

// RuleFile is one file of rules.
type RuleFile struct {
	Name string `json:"name"`
	Text string `json:"text"`
}
