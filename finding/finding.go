// Package finding owns what Dockreeve concludes: a Finding is one judgement about
// one moment, an Alert is the same judgement repeated, as people work with it.
// Both are value types: this package does no I/O and reads no clock. A Finding is
// made exactly once, where it is judged (at the node for kernel events); after
// that it is only grouped, ranked, routed and recorded.
package finding

import (
	"encoding/json"

	"github.com/dockreeve/dockreeve/event"
)

// Finding is one judgement. It is self-contained: everything needed to explain
// it travels with it, because the process may be gone when a person reads it.
type Finding struct {
	ID          string   `json:"id"`          // hash(event ids, rule id): the same at edge, hub and on replay
	Fingerprint string   `json:"fingerprint"` // "1:" + hash(rule, workload, executable or identity, object class); see docs/rules-evaluation.md
	Rule        Rule     `json:"rule"`
	Severity    Severity `json:"severity"`
	Summary     string   `json:"summary"` // one plain sentence a manager understands
	Output      string   `json:"output"`  // the rule's own output text, rendered

	Time     int64 `json:"time"`     // when it happened: wall clock, Unix nanoseconds
	Boot     int64 `json:"boot"`     // kernel time of the last event, nanoseconds since boot
	Received int64 `json:"received"` // when user space read the event, Unix nanoseconds

	// Repeats counts further matches of the same burst that were not told one by
	// one: this finding stands for 1 + Repeats.
	Repeats uint64 `json:"repeats,omitempty"`

	Subject  Subject         `json:"subject"`
	Why      []Condition     `json:"why"`              // which conditions were true, with which values
	Lineage  []Process       `json:"lineage"`          // the offender first, then its ancestors
	Event    json.RawMessage `json:"event"`            // the event as the trace codec writes it
	EventIDs []string        `json:"eventIds"`         // the events it rests on
	Losses   []event.Loss    `json:"losses,omitempty"` // losses that may have affected this judgement
}

// Rule is what a finding says about the rule that made it.
type Rule struct {
	ID         string   `json:"id"`                 // our slug, or source + name for rules from disk
	Name       string   `json:"name"`               // as written in the rule file
	Hash       string   `json:"hash"`               // of the rule's resolved content
	Priority   string   `json:"priority,omitempty"` // as the rule language prints it: Critical, Warning…
	Desc       string   `json:"desc"`
	Tags       []string `json:"tags,omitempty"`
	Tactics    []string `json:"tactics,omitempty"`    // ATT&CK tactic names: "Credential Access"
	Techniques []string `json:"techniques,omitempty"` // ATT&CK ids: "T1552.001"
	Answers    []string `json:"answers,omitempty"`    // rows of the public Defender alert list it answers
	Response   []string `json:"response,omitempty"`   // what to do, one step per line
	File       string   `json:"file,omitempty"`
	Line       int      `json:"line,omitempty"`
}

// Subject says who, where and what.
type Subject struct {
	Node        string     `json:"node"`
	Container   *Container `json:"container,omitempty"` // nil = the host itself
	Workload    string     `json:"workload"`            // namespace/kind/name, else container name, else "host"
	Process     string     `json:"process"`             // command name
	Executable  string     `json:"executable"`          // path
	User        string     `json:"user"`
	Object      string     `json:"object,omitempty"`      // file path, address…
	ObjectClass string     `json:"objectClass,omitempty"` // file, address, image, none: part of the fingerprint

	// Of Kubernetes, where it is known.
	Cluster  string `json:"cluster,omitempty"`
	Identity string `json:"identity,omitempty"` // who used the API: serviceaccount:namespace/name, user:name, node:name, anonymous
	Source   string `json:"source,omitempty"`   // address the API was used from
	Agent    string `json:"agent,omitempty"`    // what it was used with: the user agent
	Owner    string `json:"owner,omitempty"`    // who answers for the workload
	Tenant   string `json:"tenant,omitempty"`
	// Targets are other workloads and tenants that this reaches into.
	Reaches []string `json:"reaches,omitempty"`
}

// Container is the part of event.Container that a finding keeps.
type Container struct {
	ID        string `json:"id"`
	Name      string `json:"name,omitempty"`
	Image     string `json:"image,omitempty"`
	Digest    string `json:"digest,omitempty"`
	Pod       string `json:"pod,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Runtime   string `json:"runtime,omitempty"`
	Unknown   string `json:"unknown,omitempty"` // why the rest is not assessed
}

// Condition is one comparison of a rule as it stood for this event.
type Condition struct {
	Expr   string `json:"expr"`             // as written: proc.name in (sh, bash)
	Field  string `json:"field"`            // proc.name
	Op     string `json:"op"`               // in
	Want   string `json:"want"`             // the literal side
	Got    string `json:"got"`              // the event's value; "" with Null set when it had none
	Null   bool   `json:"null,omitempty"`   // the event had no value
	True   bool   `json:"true"`             // the outcome, negation applied
	Negate bool   `json:"negate,omitempty"` // the rule asks for the opposite
}

// Process is one line of a lineage.
type Process struct {
	PID     int32  `json:"pid"`
	VPID    int32  `json:"vpid,omitempty"`
	Name    string `json:"name"`
	Path    string `json:"path"`
	Cmdline string `json:"cmdline"`
	Cwd     string `json:"cwd,omitempty"`
	User    string `json:"user,omitempty"`
	UID     uint32 `json:"uid"`
	Start   int64  `json:"start"` // wall clock, Unix nanoseconds
	InCtr   bool   `json:"inContainer"`
	Seeded  bool   `json:"seeded,omitempty"`
}

// Severity ranks findings and alerts.
type Severity uint8

// The severities, least first. Zero is "not assessed" and never shown as low.
const (
	SeverityNone Severity = iota
	Informational
	Low
	Medium
	High
	Critical
)

// Status is where an alert stands in its handling.
type Status uint8

// The statuses of an alert.
const (
	Open Status = iota + 1
	Acknowledged
	Resolved  // dealt with; a new occurrence reopens it
	Dismissed // judged benign; a new occurrence counts but does not reopen
)

// Alert is a fingerprint as people work with it: one row however often it
// happens. First/Last are event times; Count is of distinct finding ids and what
// they stand for (Finding.Repeats), so a redelivered finding never counts twice.
type Alert struct {
	ID          string   `json:"id"` // derived from the fingerprint, stable
	Fingerprint string   `json:"fingerprint"`
	Status      Status   `json:"status"`
	Severity    Severity `json:"severity"` // the highest of its findings
	FirstSeen   int64    `json:"firstSeen"`
	LastSeen    int64    `json:"lastSeen"`
	Count       int64    `json:"count"`
	StoredAt    int64    `json:"storedAt"` // when the latest occurrence was committed, Unix nanoseconds
	Assignee    string   `json:"assignee,omitempty"`
	Note        string   `json:"note,omitempty"`
	Latest      Finding  `json:"latest"` // the newest occurrence, whole
}
