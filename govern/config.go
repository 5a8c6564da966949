package govern

import (
	"time"

	"github.com/dockreeve/dockreeve/posture"
)

// Config is what an organisation decides. The zero value of every member is a default.
type Config struct {
	Provider     string                   `json:"provider,omitempty"` // defender, dockreeve, either (default)
	Goal         float64                  `json:"goal,omitempty"`     // share of production that must be protected: 1
	Environments Environments             `json:"environments,omitempty"`
	Tags         []MandatoryTag           `json:"tags,omitempty"`         // default: owner, business unit, environment, cost centre
	Benchmark    string                   `json:"benchmark,omitempty"`    // whose score is shown: cis-aks-1.8
	Acknowledge  map[string]time.Duration `json:"acknowledge,omitempty"`  // severity → SLA; critical 1 h, high 4 h
	Fix          map[string]time.Duration `json:"fix,omitempty"`          // severity → time to fix a recommendation: 7, 30, 90, 180 days
	ReviewEvery  time.Duration            `json:"reviewEvery,omitempty"`  // 30 days
	StaleScan    time.Duration            `json:"staleScan,omitempty"`    // 7 days
	StaleAgent   time.Duration            `json:"staleAgent,omitempty"`   // 15 minutes
	StaleCanary  time.Duration            `json:"staleCanary,omitempty"`  // 26 hours
	StaleTenant  time.Duration            `json:"staleTenant,omitempty"`  // 26 hours
	MaxExemption time.Duration            `json:"maxExemption,omitempty"` // 365 days
	Thresholds   Thresholds               `json:"thresholds,omitzero"`
	Exemptions   []Exemption              `json:"exemptions,omitempty"`
	Posture      posture.Settings         `json:"posture,omitzero"`   // what controls ask an organisation to decide
	Currency     string                   `json:"currency,omitempty"` // to show; others stay apart
}

// Environments say where an environment is read.
type Environments struct {
	Tags       []string          `json:"tags,omitempty"`       // names, in order; default env, environment
	Groups     map[string]string `json:"groups,omitempty"`     // management group name → environment
	Aliases    map[string]string `json:"aliases,omitempty"`    // prd → production
	Production []string          `json:"production,omitempty"` // what counts as production; default production
}

// MandatoryTag is a tag that everything must carry.
type MandatoryTag struct {
	Name    string   `json:"name"`              // owner, businessUnit, environment, costCentre
	Tags    []string `json:"tags"`              // as written on resources, in order, any case
	Allowed []string `json:"allowed,omitempty"` // values; empty = any. A * at an end stands for anything
	Inherit *bool    `json:"inherit,omitempty"` // from group and subscription; default true
}

// Exemption lets a control fail at a scope until a date, by name.
type Exemption struct {
	Control string `json:"control"` // id, or * for all
	Scope   string `json:"scope"`   // ARM id or cluster; a prefix of path segments
	By      string `json:"by"`
	Why     string `json:"why"`
	Expires string `json:"expires"` // YYYY-MM-DD
}
