package rule

import (
	"fmt"
	"strings"
)

// DefaultEngineVersion is the Falco rule-engine version whose language this package speaks.
const DefaultEngineVersion = "0.63.0"

// The bounds of Load. What goes over them is an error that says so.
const (
	MaxFileBytes     = 64 << 20 // one file
	maxYAMLTokens    = 6 << 20  // estimate of nodes in one file, before parsing it
	maxScalars       = 4 << 20  // scalars read in one Load, aliases counted each time
	maxConditionText = 16 << 20 // one condition after list expansion, bytes
	maxExpandedText  = 64 << 20 // all conditions after list expansion, bytes
	maxExpandWork    = 8 << 30  // bytes looked at while expanding lists
	maxChecks        = 100_000  // comparisons in one condition after macro expansion
	maxAllChecks     = 4 << 20  // comparisons in all rules
	maxMacroDepth    = 200      // macros in macros
	maxDiagnostics   = 10_000
)

// DefaultPlugins lists the Falco plugins whose fields and sources this engine
// provides itself, with the versions it claims to required_plugin_versions.
func DefaultPlugins() []PluginVersion {
	return []PluginVersion{
		{"container", "0.7.0"},
		{"k8smeta", "0.4.0"},
		{"k8saudit", "0.16.0"},
		{"k8saudit-aks", "0.16.0"},
		{"k8saudit-eks", "0.16.0"},
		{"k8saudit-gke", "0.16.0"},
		{"json", "0.7.3"},
	}
}

// DefaultSources lists the event sources of the rules that Load keeps by default.
func DefaultSources() []string { return []string{SourceSyscall, "k8s_audit"} }

// Load reads rule files in order and resolves every rule. By default one bad
// item never disables a good one: each is reported, and what does not depend on
// it still loads, even from a file whose YAML is broken elsewhere. It does no
// I/O, uses bounded memory and time, and is safe for concurrent use. The
// diagnostics are in the order of the files, then of the lines.
func Load(files []File, opt LoadOptions) (*Source, []Diagnostic) {
	l := &loader{opt: opt, sources: map[string]bool{}, lists: map[string]*listInfo{},
		macros: map[string]*macroInfo{}, rules: map[string]*ruleInfo{}, out: &Source{}}
	if l.opt.EngineVersion == "" {
		l.opt.EngineVersion = DefaultEngineVersion
	}
	if l.opt.Plugins == nil {
		l.opt.Plugins = DefaultPlugins()
	}
	if l.opt.Sources == nil {
		l.opt.Sources = DefaultSources()
	}
	for _, s := range l.opt.Sources {
		l.sources[s] = true
	}
	for _, f := range files {
		l.file(f)
	}
	if !opt.Strict || !HasErrors(l.diags) {
		l.resolve()
	}
	if opt.Strict && HasErrors(l.diags) {
		l.out = &Source{RequiredEngine: l.out.RequiredEngine, RequiredPlugins: l.out.RequiredPlugins}
	}
	SortDiagnostics(l.diags, files...)
	return l.out, l.diags
}

// loader holds what one Load has gathered.
type loader struct {
	opt     LoadOptions
	sources map[string]bool
	out     *Source
	diags   []Diagnostic
	scalars int // budget spent, see maxScalars
	next    int // index of the next item, shared by lists, macros and rules

	lists     map[string]*listInfo
	listOrder []*listInfo
	macros    map[string]*macroInfo
	macroList []*macroInfo
	rules     map[string]*ruleInfo
	ruleList  []*ruleInfo

	positions Positions
	expanded  int // bytes, see maxExpandedText
	work      int // bytes, see maxExpandWork
	checks    int // see maxAllChecks

	listAt   map[int]*listInfo // by index
	oddLists []*listInfo       // names that hold blanks, commas…
	longest  int               // longest list name
}

// fault is an error with its place: what stops one item.
type fault struct{ d Diagnostic }

func (f *fault) Error() string { return f.d.String() }

func faultAt(code string, at Place, item, message, remedy string) *fault {
	return &fault{Diagnostic{Severity: SeverityError, Code: code, File: at.File, Line: at.Line, Col: at.Col,
		Item: item, Message: message, Remedy: remedy}}
}

// report records a diagnostic; past the bound only their number is kept.
func (l *loader) report(d Diagnostic) {
	switch {
	case len(l.diags) < maxDiagnostics:
		l.diags = append(l.diags, d)
	case len(l.diags) == maxDiagnostics:
		l.diags = append(l.diags, Diagnostic{Severity: SeverityError, Code: CodeValidate, File: d.File, Line: d.Line, Col: d.Col,
			Message: fmt.Sprintf("more than %d problems; the rest is not shown", maxDiagnostics)})
	}
}

func (l *loader) warn(code string, at Place, item, message, remedy string) {
	l.report(Diagnostic{Severity: SeverityWarning, Code: code, File: at.File, Line: at.Line, Col: at.Col,
		Item: item, Message: message, Remedy: remedy})
}

// file reads the items of one file. It says false when a strict load must stop.
func (l *loader) file(f File) {
	docs, problems := readYAML(f)
	for _, d := range problems {
		l.report(d)
	}
	if l.opt.Strict && len(problems) > 0 {
		return
	}
	for _, doc := range docs {
		for _, item := range doc {
			if item.null() {
				continue
			}
			if err := l.item(item); err != nil {
				l.report(err.d)
				if l.opt.Strict {
					return
				}
			}
		}
	}
}

// item reads one element of a rule file.
func (l *loader) item(n yamlNode) *fault {
	if !n.isMap() {
		return faultAt(CodeYAMLValidate, n.place(), "", "each element of a rule file is a mapping, found "+n.kind(),
			"start it with 'rule:', 'macro:' or 'list:'")
	}
	for _, kind := range []struct {
		key  string
		read func(yamlNode) *fault
		keys []string
	}{
		{"required_engine_version", l.engineVersion, []string{"required_engine_version"}},
		{"required_plugin_versions", l.pluginVersions, []string{"required_plugin_versions"}},
		{"list", l.list, []string{"list", "items", "append", "override"}},
		{"macro", l.macro, []string{"macro", "condition", "append", "override"}},
		{"rule", l.rule, ruleKeys},
	} {
		v, ok := n.get(kind.key)
		if !ok {
			continue
		}
		name := kind.key
		if s, ok := v.scalar(); ok && (name == "list" || name == "macro" || name == "rule") {
			name = itemName(kind.key, s)
		}
		if err := kind.read(n); err != nil {
			return err
		}
		l.unknownKeys(n, kind.keys, name)
		return nil
	}
	var keys []string
	n.each(func(k string, _, _ yamlNode) { keys = append(keys, k) })
	l.warn(CodeUnknownItem, n.place(), "", fmt.Sprintf("unknown item with the keys %s; it is ignored", strings.Join(keys, ", ")),
		"an item is one of rule, macro, list, required_engine_version, required_plugin_versions")
	return nil
}

func itemName(kind, name string) string { return fmt.Sprintf("%s %q", kind, name) }

// unknownKeys warns of keys that nothing reads.
func (l *loader) unknownKeys(n yamlNode, known []string, item string) {
	seen := make(map[string]bool, 8)
	n.each(func(k string, at, _ yamlNode) {
		if seen[k] {
			l.warn(CodeUnknownKey, at.place(), item, fmt.Sprintf("key %q stands here twice; the first one counts", k), "remove one of them")
		}
		seen[k] = true
		for _, known := range known {
			if k == known {
				return
			}
		}
		remedy := "remove it"
		if s := nearest(k, known); s != "" {
			remedy = fmt.Sprintf("did you mean %q?", s)
		}
		l.warn(CodeUnknownKey, at.place(), item, fmt.Sprintf("unknown key %q is ignored", k), remedy)
	})
}

// nearest gives the word closest to s, if it is close enough to be a slip of the pen.
func nearest(s string, words []string) string {
	best, bestAt := "", 3
	if len(s) > 64 {
		return ""
	}
	for _, w := range words {
		if d := editDistance(s, w); d < bestAt && d < len(w) {
			best, bestAt = w, d
		}
	}
	return best
}

// editDistance counts insertions, deletions and replacements between short words.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		prev := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := prev
			if a[i-1] != b[j-1] {
				cost++
			}
			prev = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
