package rule

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/dockreeve/dockreeve/rule/filter"
)

// macroState follows a macro through resolution.
type macroState struct {
	parsed   filter.Expr // lists expanded, macros not
	resolved filter.Expr // nil until done, and for good when broken
	broken   bool
	size     int // comparisons, each macro counted as often as it stands
	depth    int // macros in macros
}

// resolve expands lists, macros and exceptions and fills the Source.
func (l *loader) resolve() {
	l.resolveLists()
	for _, m := range l.macroList {
		l.parseMacro(m)
		if l.stop() {
			return
		}
	}
	for _, m := range l.macroList {
		l.resolveMacro(m)
		if l.stop() {
			return
		}
	}
	ids := map[string]*ruleInfo{}
	for _, r := range l.ruleList {
		if r.unknownSource {
			l.skip(r, fmt.Sprintf("nothing supplies events of source %q", r.source))
			continue
		}
		if err := l.duplicateID(ids, r); err != nil {
			l.report(err.d)
			l.skip(r, err.d.Message)
			continue
		}
		if err := l.resolveRule(r); err != nil {
			l.report(err.d)
			l.skip(r, err.d.Message)
		}
		if l.stop() {
			return
		}
	}
	l.finish()
}

func (l *loader) stop() bool { return l.opt.Strict && HasErrors(l.diags) }

func (l *loader) skip(r *ruleInfo, reason string) {
	l.out.Skipped = append(l.out.Skipped, SkippedRule{Name: r.name, Source: r.source, Reason: reason, Pos: r.at})
}

func (l *loader) duplicateID(ids map[string]*ruleInfo, r *ruleInfo) *fault {
	if r.meta == nil || r.meta.ID == "" {
		return nil
	}
	if other := ids[r.meta.ID]; other != nil {
		return faultAt(CodeValidate, r.meta.Pos, itemName("rule", r.name), fmt.Sprintf("the id %q belongs to rule %q (%s)", r.meta.ID, other.name, other.at), "give it its own")
	}
	ids[r.meta.ID] = r
	return nil
}

// resolveLists puts lists into lists: one level, and only lists defined before
// the last change to the list.
func (l *loader) resolveLists() {
	l.listAt = make(map[int]*listInfo, len(l.listOrder))
	total := 0
	for _, info := range l.listOrder {
		l.listAt[info.index] = info
		l.longest = max(l.longest, len(info.name))
		if strings.IndexFunc(info.name, func(r rune) bool { return r < 0x80 && isListEdge(byte(r)) }) >= 0 {
			l.oddLists = append(l.oddLists, info)
		}
		var b strings.Builder
		put := func(s string) {
			info.expanded = append(info.expanded, s)
			if b.Len() > 0 {
				b.WriteString(", ")
			}
			b.WriteString(quoteItem(s))
		}
		for _, it := range info.items {
			ref := l.lists[it]
			if ref == nil || ref.index >= info.visibility {
				put(it)
				continue
			}
			ref.used = true
			total += len(ref.items)
			if total > maxScalars {
				l.report(faultAt(CodeValidate, info.at, itemName("list", info.name), "lists in lists make too many items", "split them").d)
				break
			}
			for _, s := range ref.items {
				put(s)
			}
		}
		info.text = b.String()
	}
}

// parse turns condition text into a tree whose positions lead back to the file.
func (l *loader) parse(m mapped, item string) (filter.Expr, *fault) {
	m, err := l.expandLists(m, item)
	if err != nil {
		return nil, err
	}
	l.expanded += len(m.text)
	if l.expanded > maxExpandedText {
		return nil, faultAt(CodeCompileCondition, m.at(0), item, fmt.Sprintf("the conditions of all rules together pass %d MiB once lists are put in", maxExpandedText>>20), "load fewer rules at once")
	}
	id := len(l.positions.texts)
	l.positions.texts = append(l.positions.texts, textMap{segs: m.segs})
	e, perr := filter.Parse(m.text, filter.Options{Text: id})
	if perr == nil {
		return e, nil
	}
	var se *filter.SyntaxError
	if !errors.As(perr, &se) {
		return nil, faultAt(CodeCompileCondition, m.at(0), item, perr.Error(), "")
	}
	idx := se.Pos.Idx
	if idx >= len(m.text) { // the end: point at the last thing there is
		idx = max(len(strings.TrimRight(m.text, " \t\r\n"))-1, 0)
	}
	return nil, faultAt(CodeCompileCondition, m.at(idx), item, se.Message, "")
}

func (l *loader) parseMacro(m *macroInfo) {
	item := itemName("macro", m.name)
	e, err := l.parse(m.cond, item)
	if err != nil {
		m.state.broken = true
		l.report(err.d)
		return
	}
	m.state.parsed = e
}

// expansion replaces macros in one condition.
type expansion struct {
	l       *loader
	limit   int // macros of a lower index are visible
	self    *macroInfo
	item    string
	path    []string
	memo    map[*macroInfo]*macroState
	faults  []*fault
	size    int
	depth   int
	unknown map[string]bool
}

// errStop ends a Rewrite; the fault is in expansion.faults.
var errStop = errors.New("stop")

func (l *loader) resolveMacro(m *macroInfo) {
	if m.state.broken {
		return
	}
	x := &expansion{l: l, limit: m.visibility, self: m, item: itemName("macro", m.name), memo: map[*macroInfo]*macroState{}}
	e := x.run(m.state.parsed)
	if len(x.faults) > 0 {
		m.state.broken = true
		l.reportFaults(x.faults)
		return
	}
	m.state.resolved, m.state.size, m.state.depth = e, x.size, x.depth
}

func (l *loader) reportFaults(faults []*fault) {
	for i, f := range faults {
		if i > 0 && l.opt.Strict {
			return
		}
		l.report(f.d)
	}
}

// run expands e; after an error the result is meaningless.
func (x *expansion) run(e filter.Expr) filter.Expr {
	out, err := filter.Rewrite(e, x.leaf)
	if err != nil {
		return nil
	}
	if x.size > maxChecks {
		x.fail(e.Position(), fmt.Sprintf("the condition holds %d comparisons once macros are put in, more than the %d allowed", x.size, maxChecks), "split the rule")
	}
	return out
}

func (x *expansion) fail(p filter.Pos, message, remedy string) {
	at, _ := x.l.positions.Place(p)
	x.faults = append(x.faults, faultAt(CodeValidate, at, x.item, message, remedy))
}

func (x *expansion) leaf(e filter.Expr) (filter.Expr, error) {
	ref, ok := e.(*filter.Macro)
	if !ok {
		x.size++
		return e, nil
	}
	m := x.l.macros[ref.Name]
	if m == nil || m.index >= x.limit {
		if !x.unknown[ref.Name] {
			if x.unknown == nil {
				x.unknown = map[string]bool{}
			}
			x.unknown[ref.Name] = true
			x.unknownMacro(ref, m)
		}
		return e, nil
	}
	if hasWord(x.path, ref.Name) {
		x.fail(ref.Pos, fmt.Sprintf("macro %q leads back to itself", ref.Name), "")
		return nil, errStop
	}
	st := &m.state
	if st.resolved == nil || m == x.self {
		var err error
		if st, err = x.nested(ref, m); err != nil {
			return nil, err
		}
	}
	m.used = true
	x.size = min(x.size+st.size, 1<<30)
	x.depth = max(x.depth, st.depth+1)
	if x.depth > maxMacroDepth {
		x.fail(ref.Pos, fmt.Sprintf("macros are nested in macros more than %d deep", maxMacroDepth), "")
		return nil, errStop
	}
	return st.resolved, nil
}

// nested expands a macro that has not been resolved by itself yet: one whose
// last append came later, or a broken one.
func (x *expansion) nested(ref *filter.Macro, m *macroInfo) (*macroState, error) {
	if st := x.memo[m]; st != nil {
		return st, nil
	}
	if m.state.broken {
		x.fail(ref.Pos, fmt.Sprintf("it uses macro %q, which is broken (%s)", m.name, m.at), "mend the macro")
		return nil, errStop
	}
	if len(x.path) >= maxMacroDepth {
		x.fail(ref.Pos, fmt.Sprintf("macros are nested in macros more than %d deep", maxMacroDepth), "")
		return nil, errStop
	}
	size, depth := x.size, x.depth
	x.size, x.depth = 0, 0
	x.path = append(x.path, m.name)
	out, err := filter.Rewrite(m.state.parsed, x.leaf)
	if err != nil {
		return nil, err
	}
	x.path = x.path[:len(x.path)-1]
	st := &macroState{resolved: out, size: x.size, depth: x.depth}
	x.memo[m] = st
	x.size, x.depth = size, depth
	return st, nil
}

func (x *expansion) unknownMacro(ref *filter.Macro, m *macroInfo) {
	remedy := "define it, or write a comparison (field operator value)"
	switch {
	case m != nil && m == x.self:
		remedy = "a macro cannot use itself"
	case m != nil:
		m.used = true
		remedy = fmt.Sprintf("it is defined later (%s): a macro sees only what comes before it", m.at)
	case x.l.lists[ref.Name] != nil:
		remedy = "there is a list of that name, but a list is no condition"
	default:
		names := make([]string, 0, len(x.l.macroList))
		for _, o := range x.l.macroList[:min(len(x.l.macroList), 2000)] {
			names = append(names, o.name)
		}
		if s := nearest(ref.Name, names); s != "" {
			remedy = fmt.Sprintf("did you mean %q?", s)
		}
	}
	x.fail(ref.Pos, fmt.Sprintf("there is no macro %q", ref.Name), remedy)
}

func (l *loader) resolveRule(r *ruleInfo) *fault {
	item := itemName("rule", r.name)
	text, fields, err := withExceptions(r)
	if err != nil {
		return err
	}
	parsed, err := l.parse(text, item)
	if err != nil {
		return err
	}
	x := &expansion{l: l, limit: l.next, item: item, memo: map[*macroInfo]*macroState{}}
	e := x.run(parsed)
	if len(x.faults) > 0 {
		if !l.opt.Strict {
			l.reportFaults(x.faults[1:])
		}
		return x.faults[0]
	}
	l.checks += x.size
	if l.checks > maxAllChecks {
		return faultAt(CodeValidate, r.at, item, fmt.Sprintf("the rules together hold more than %d comparisons", maxAllChecks), "load fewer rules at once")
	}
	l.warnings(r, e, item)
	l.out.Rules = append(l.out.Rules, &Resolved{
		Name: r.name, Source: r.source, Index: len(l.out.Rules), Enabled: r.enabled,
		Condition: e, ConditionText: r.cond.text, Desc: r.desc,
		Output: strings.ReplaceAll(r.output, "%container.info", ""), Priority: r.priority, Tags: sortedTags(r.tags),
		WarnEvttypes: r.warnEvttypes, SkipIfUnknownFilter: r.skipUnknown, Capture: r.capture, CaptureDuration: r.captureDuration,
		Pos: r.at, OutputPos: r.outputAt, Positions: &l.positions, ExceptionFields: fields, Meta: r.meta,
	})
	return nil
}

// finish lists what was read and warns of what nothing uses.
func (l *loader) finish() {
	for _, m := range l.macroList {
		if !m.used && !m.state.broken {
			l.warn(CodeUnusedMacro, m.at, itemName("macro", m.name), "no rule or macro uses it", "remove it, or the rule that should use it is missing")
		}
		l.out.Macros = append(l.out.Macros, &Macro{Name: m.name, Condition: m.state.resolved, ConditionText: m.cond.text, Used: m.used, Pos: m.at})
	}
	for _, info := range l.listOrder {
		if !info.used {
			l.warn(CodeUnusedList, info.at, itemName("list", info.name), "no rule, macro or list uses it", "remove it, or the rule that should use it is missing")
		}
		l.out.Lists = append(l.out.Lists, &List{Name: info.name, Items: info.expanded, Used: info.used, Pos: info.at})
	}
	sort.SliceStable(l.out.Skipped, func(i, j int) bool { return l.out.Skipped[i].Name < l.out.Skipped[j].Name })
}

// Fields that can no longer say anything, because system calls are seen only when they end.
var deprecatedFields = map[string]string{
	"evt.dir":           "it is always '<', because system calls are seen when they end; drop the comparison",
	"evt.latency":       "",
	"evt.latency.s":     "",
	"evt.latency.ns":    "",
	"evt.latency.human": "",
	"evt.wait_latency":  "",
}

const noLatency = "it has no value, because system calls are seen only when they end"

// warnings looks for comparisons that load but do not do what they seem to.
func (l *loader) warnings(r *ruleInfo, e filter.Expr, item string) {
	seen := map[string]bool{}
	unsafe := false
	filter.Walk(e, func(n any) bool {
		switch n := n.(type) {
		case *filter.Field:
			if remedy, ok := deprecatedFields[n.Name]; ok && !seen[n.Name] {
				seen[n.Name] = true
				at, _ := l.positions.Place(n.Pos)
				if remedy == "" {
					remedy = noLatency
				}
				l.warn(CodeDeprecatedItem, at, item, fmt.Sprintf("the field %q is deprecated", n.Name), remedy)
			}
		case *filter.Check:
			if !unsafe && unsafeNA(n) {
				unsafe = true
				at, _ := l.positions.Place(n.Pos)
				l.warn(CodeUnsafeNACheck, at, item, "no field ever has the value <NA>: one without a value fails every comparison", "use 'exists' or 'not … exists'")
			}
		}
		return true
	})
	for _, f := range sortedKeys(deprecatedFields) {
		if strings.Contains(r.output, f) && !(f == "evt.latency" && strings.Contains(r.output, "evt.latency.")) {
			l.warn(CodeDeprecatedItem, r.outputAt, item, fmt.Sprintf("the output uses the deprecated field %q", f), "remove it")
		}
	}
	if strings.Contains(r.output, "%container.info") {
		l.warn(CodeDeprecatedItem, r.outputAt, item, "%container.info is deprecated and prints nothing", "remove it; container fields are added to every finding")
	}
}

func sortedKeys(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// unsafeNA tells an equality of an audit field with the text <NA>.
func unsafeNA(c *filter.Check) bool {
	f, ok := c.Left.(*filter.Field)
	if !ok || !strings.HasPrefix(f.Name, "ka.") && !strings.HasPrefix(f.Name, "jevt.") {
		return false
	}
	switch c.Op {
	case "=", "==", "!=", "in", "intersects", "pmatch":
	default:
		return false
	}
	switch v := c.Right.(type) {
	case *filter.Literal:
		return v.Text == "<NA>"
	case *filter.List:
		for _, it := range v.Items {
			if it.Text == "<NA>" {
				return true
			}
		}
	}
	return false
}
