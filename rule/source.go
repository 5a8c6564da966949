package rule

import (
	"fmt"
	"strings"

	"github.com/dockreeve/dockreeve/rule/filter"
)

// File is one rule file as read from disk.
type File struct {
	Name string // as the user wrote it; shown in diagnostics
	Data []byte
}

// Priority is how urgent a rule says its findings are: Emergency (0) is the most urgent.
type Priority uint8

// The priorities, most urgent first.
const (
	Emergency Priority = iota
	Alert
	Critical
	Error
	Warning
	Notice
	Informational
	Debug
)

var priorityNames = [...]string{"Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug"}

// String gives the printed form: Emergency, Alert, … Informational, Debug.
func (p Priority) String() string {
	if int(p) < len(priorityNames) {
		return priorityNames[p]
	}
	return fmt.Sprintf("Priority(%d)", uint8(p))
}

// ParsePriority reads a priority name in any case; INFO means Informational.
func ParsePriority(s string) (Priority, bool) {
	if strings.EqualFold(s, "info") {
		return Informational, true
	}
	for i, n := range priorityNames {
		if strings.EqualFold(s, n) {
			return Priority(i), true
		}
	}
	return 0, false
}

// SourceSyscall is the event source of a rule that names none.
const SourceSyscall = "syscall"

// Place is a position in a rule file. Line and Col count from 1, Col in bytes;
// 0 means unknown.
type Place struct {
	File      string
	Line, Col int
}

// String gives file:line:col, leaving out what is unknown.
func (p Place) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Resolved is one rule with nothing left to look up: macros and lists are
// expanded and exceptions are part of the condition. It is what the compiler
// receives. Rules share subtrees of Condition (one tree per macro): treat the
// tree as read-only; pointer identity of a subtree means the same text.
type Resolved struct {
	Name   string
	Source string // event source, "syscall" unless the rule says otherwise
	Index  int    // evaluation order, from 0, dense; a redefinition keeps its first place
	// Enabled is false for `enabled: false`; the rule is still resolved so that it can be checked.
	Enabled       bool
	Condition     filter.Expr
	ConditionText string // as written (all appended parts, exceptions not included), before expansion
	Desc          string
	Output        string // trimmed
	Priority      Priority
	Tags          []string // sorted, unique

	WarnEvttypes        bool // warn when the condition matches too many event types
	SkipIfUnknownFilter bool // an unknown field makes a warning, not an error
	Capture             bool
	CaptureDuration     uint32 // milliseconds

	Pos       Place // of the rule item
	OutputPos Place // of the output's value
	// Positions turns a filter.Pos of any node in Condition into a place in a file.
	Positions *Positions
	// ExceptionFields names every left-hand field used by the rule's exceptions, sorted, unique.
	ExceptionFields []string
	Meta            *Meta // nil unless the item has the key `dockreeve`
}

// Place gives the file position of a node of the condition, falling back to the rule item.
func (r *Resolved) Place(p filter.Pos) Place {
	if pl, ok := r.Positions.Place(p); ok {
		return pl
	}
	return r.Pos
}

// Meta is Dockreeve's extension of a rule item, the key `dockreeve:`. Stock
// Falco ignores it with a warning.
type Meta struct {
	ID         string   // stable slug of the rule
	Summary    string   // one sentence for people, in the output format
	Tactics    []string // MITRE ATT&CK
	Techniques []string // MITRE ATT&CK ids
	Answers    []string // rows of other products' alert lists that this rule answers
	Response   []string // what to do, step by step
	Pos        Place
	SummaryPos Place
}

// List is a list item after appends, before it is put into conditions.
type List struct {
	Name  string
	Items []string
	Used  bool // named by a rule, a macro or another list
	Pos   Place
}

// Macro is a macro after appends; Condition has its lists and macros expanded.
// Condition is nil when the macro is broken (a diagnostic says why).
type Macro struct {
	Name          string
	Condition     filter.Expr
	ConditionText string
	Used          bool
	Pos           Place
}

// PluginVersion names a plugin and a version of it.
type PluginVersion struct{ Name, Version string }

// Source is everything Load made of a set of files. It is immutable and safe to share.
type Source struct {
	Rules  []*Resolved // in evaluation order
	Lists  []*List     // in definition order
	Macros []*Macro    // in definition order
	// RequiredEngine is the highest engine version any file asks for, "" if none does.
	RequiredEngine string
	// RequiredPlugins holds one entry per requirement, the alternatives in it.
	RequiredPlugins [][]PluginVersion
	// Skipped names rules that were read but not resolved: broken ones and those of an unknown source.
	Skipped []SkippedRule
}

// SkippedRule is a rule that does not run, and why.
type SkippedRule struct {
	Name, Source string
	Reason       string
	Pos          Place
}

// LoadOptions tunes Load. The zero value loads as Dockreeve does by default.
type LoadOptions struct {
	// Strict copies Falco: the first error in a file ends that file, and any
	// error at all yields no rules. The default reports every error and keeps every rule that is fine.
	Strict bool
	// EngineVersion is the rule-engine version claimed to required_engine_version; "" means DefaultEngineVersion.
	EngineVersion string
	// Plugins are claimed to required_plugin_versions; nil means DefaultPlugins().
	Plugins []PluginVersion
	// Sources are the event sources whose rules are kept; nil means syscall and k8s_audit.
	Sources []string
	// ValidField, if set, says whether an exception's left-hand side exists in a source.
	// Without it such a mistake surfaces when the condition is compiled.
	ValidField func(source, lhs string) bool
}
