package rule

import (
	"fmt"
	"regexp"
	"sort"
	"strings"
)

// ruleInfo is a rule while files are read.
type ruleInfo struct {
	name, source  string
	unknownSource bool
	cond          mapped
	desc          string
	output        string
	outputAt      Place
	priority      Priority
	tags          map[string]bool
	exceptions    []exception

	enabled, warnEvttypes, skipUnknown, capture bool
	captureDuration                             uint32
	meta                                        *Meta
	at                                          Place
}

var (
	ruleKeys = []string{"rule", "condition", "output", "desc", "priority", "source", "enabled", "capture", "capture_duration",
		"warn_evttypes", "skip-if-unknown-filter", "tags", "exceptions", "override", "append", "dockreeve"}
	ruleAppendable  = []string{"condition", "exceptions", "output", "desc", "tags"}
	ruleReplaceable = []string{"condition", "exceptions", "output", "desc", "tags", "priority", "capture", "capture_duration",
		"enabled", "warn_evttypes", "skip-if-unknown-filter"}
)

func (l *loader) rule(n yamlNode) *fault {
	name, _, err := l.text(n, "rule", "rule")
	if err != nil {
		return err
	}
	item := itemName("rule", name)
	add, err := l.appendFlag(n, "condition", item)
	if err != nil {
		return err
	}
	adds, replaces, err := l.overrides(n, ruleAppendable, ruleReplaceable, item)
	if err != nil {
		return err
	}
	overriding := len(adds)+len(replaces) > 0
	switch {
	case add && overriding:
		return faultAt(CodeYAMLValidate, n.place(), item, bothOverrides, "keep 'override'")
	case add:
		adds = map[string]bool{"condition": n.has("condition"), "exceptions": n.has("exceptions")}
		return l.ruleUpdate(n, name, item, adds, nil)
	case overriding:
		if err := overriddenKeys(n, adds, replaces, item); err != nil {
			return err
		}
		return l.ruleUpdate(n, name, item, adds, replaces)
	case !n.has("condition") && !n.has("output") && !n.has("desc") && !n.has("priority"):
		return l.ruleToggle(n, name, item)
	}
	return l.ruleDefine(n, name, item)
}

// overriddenKeys wants the keys under override and the keys present to be the same.
func overriddenKeys(n yamlNode, adds, replaces map[string]bool, item string) *fault {
	for _, key := range ruleReplaceable {
		at, present := n.get(key)
		switch {
		case adds[key] && replaces[key]:
			return faultAt(CodeYAMLValidate, n.place(), item, fmt.Sprintf("%q is both appended to and replaced", key), "keep one")
		case (adds[key] || replaces[key]) && !present:
			return faultAt(CodeYAMLValidate, n.place(), item, fmt.Sprintf("'override' names %q, but the item has no such key", key), "add it, or take it out of 'override'")
		case present && !adds[key] && !replaces[key]:
			return faultAt(CodeYAMLValidate, at.place(), item, fmt.Sprintf("unexpected key %q: 'override' does not name it", key), fmt.Sprintf("add '%s: replace' under 'override'", key))
		}
	}
	return nil
}

// ruleToggle switches an earlier rule on or off.
func (l *loader) ruleToggle(n yamlNode, name, item string) *fault {
	if !n.has("enabled") {
		return faultAt(CodeYAMLValidate, n.place(), item, "it has neither condition, output, desc and priority (to define a rule) nor 'enabled' (to switch one)", "")
	}
	on := true
	if err := l.flag(n, "enabled", item, &on); err != nil {
		return err
	}
	l.warn(CodeDeprecatedItem, n.place(), item, "a bare 'enabled' is deprecated", "add 'override: {enabled: replace}'")
	prev := l.rules[name]
	if prev == nil {
		return faultAt(CodeValidate, n.place(), item, "it switches a rule that does not exist", "define the rule first, in this file or an earlier one")
	}
	prev.enabled = on
	return nil
}

// ruleDefine reads a whole rule; one of the same name is replaced in its place.
func (l *loader) ruleDefine(n yamlNode, name, item string) *fault {
	r := &ruleInfo{name: name, source: SourceSyscall, enabled: true, warnEvttypes: true, at: n.place()}
	_, cond, err := l.text(n, "condition", item)
	if err != nil {
		return err
	}
	r.cond = mappedScalar(cond)
	out, outAt, err := l.text(n, "output", item)
	if err != nil {
		return err
	}
	r.output, r.outputAt = strings.TrimSpace(out), outAt.place()
	if r.desc, _, err = l.text(n, "desc", item); err != nil {
		return err
	}
	if err := l.priority(n, item, &r.priority); err != nil {
		return err
	}
	if n.has("source") {
		if v, _ := n.get("source"); !v.null() && v.target().y.Value != "" {
			if r.source, _, err = l.text(n, "source", item); err != nil {
				return err
			}
		}
	}
	if err := l.ruleOptions(n, item, r); err != nil {
		return err
	}
	if r.exceptions, err = l.exceptions(n, item, false); err != nil {
		return err
	}
	if r.meta, err = l.meta(n, item); err != nil {
		return err
	}
	prev := l.rules[name]
	if prev != nil && prev.source != r.source {
		return faultAt(CodeValidate, n.place(), item, fmt.Sprintf("it redefines a rule of source %q with source %q", prev.source, r.source), "give it another name")
	}
	r.unknownSource = !l.sources[r.source]
	if r.unknownSource {
		at, _ := n.get("source")
		l.warn(CodeUnknownSource, at.place(), item, fmt.Sprintf("nothing supplies events of source %q; the rule is skipped", r.source),
			"the sources are "+strings.Join(l.opt.Sources, ", "))
	}
	for i := range r.exceptions {
		if err := l.checkException(r, &r.exceptions[i], item); err != nil {
			return err
		}
	}
	l.take()
	if prev != nil {
		*prev = *r
		return nil
	}
	l.rules[name] = r
	l.ruleList = append(l.ruleList, r)
	return nil
}

func (l *loader) ruleOptions(n yamlNode, item string, r *ruleInfo) *fault {
	for _, f := range []struct {
		key  string
		into *bool
	}{{"enabled", &r.enabled}, {"capture", &r.capture}, {"warn_evttypes", &r.warnEvttypes}, {"skip-if-unknown-filter", &r.skipUnknown}} {
		if err := l.flag(n, f.key, item, f.into); err != nil {
			return err
		}
	}
	if err := l.number(n, "capture_duration", item, &r.captureDuration); err != nil {
		return err
	}
	return l.tags(n, item, &r.tags)
}

func (l *loader) tags(n yamlNode, item string, into *map[string]bool) *fault {
	if !n.has("tags") {
		return nil
	}
	tags, err := l.texts(n, "tags", item)
	if err != nil {
		return err
	}
	if *into == nil {
		*into = map[string]bool{}
	}
	for _, t := range tags {
		(*into)[t] = true
	}
	return nil
}

func (l *loader) priority(n yamlNode, item string, into *Priority) *fault {
	s, at, err := l.text(n, "priority", item)
	if err != nil {
		return err
	}
	p, ok := ParsePriority(s)
	if !ok {
		return faultAt(CodeYAMLValidate, at.place(), item, fmt.Sprintf("%q is no priority", s), "the priorities are EMERGENCY, ALERT, CRITICAL, ERROR, WARNING, NOTICE, INFORMATIONAL (or INFO), DEBUG")
	}
	*into = p
	return nil
}

// ruleUpdate appends to an earlier rule and replaces parts of it. All of the
// item is read before anything changes.
func (l *loader) ruleUpdate(n yamlNode, name, item string, adds, replaces map[string]bool) *fault {
	if at, ok := n.get("dockreeve"); ok {
		return faultAt(CodeYAMLValidate, at.place(), item, "'dockreeve' belongs to a whole rule, not to a change of one", "move it to the rule's definition")
	}
	prev := l.rules[name]
	if prev == nil {
		return faultAt(CodeValidate, n.place(), item, "it changes a rule that does not exist", "define the rule first, in this file or an earlier one")
	}
	if v, ok := n.get("source"); ok && (adds["condition"] || replaces["condition"] || replaces == nil) {
		if s, _ := v.scalar(); s != "" && s != prev.source {
			return faultAt(CodeValidate, v.place(), item, fmt.Sprintf("it changes a rule of source %q as if its source were %q", prev.source, s), "")
		}
	}
	if replaces == nil && !adds["condition"] && !adds["exceptions"] {
		return faultAt(CodeValidate, n.place(), item, "it appends nothing", "give it a condition or exceptions")
	}
	next := *prev
	next.exceptions = append([]exception(nil), prev.exceptions...)
	if err := l.ruleAppend(n, item, &next, adds); err != nil {
		return err
	}
	if err := l.ruleReplace(n, item, &next, replaces); err != nil {
		return err
	}
	l.take()
	*prev = next
	return nil
}

func (l *loader) ruleAppend(n yamlNode, item string, r *ruleInfo, adds map[string]bool) *fault {
	if adds["condition"] {
		_, cond, err := l.text(n, "condition", item)
		if err != nil {
			return err
		}
		r.cond = joinText(r.cond, mappedScalar(cond))
	}
	if adds["exceptions"] {
		exs, err := l.exceptions(n, item, true)
		if err != nil {
			return err
		}
		if err := l.addExceptions(r, exs, item); err != nil {
			return err
		}
	}
	if adds["output"] {
		s, _, err := l.text(n, "output", item)
		if err != nil {
			return err
		}
		r.output += " " + s
	}
	if adds["desc"] {
		s, _, err := l.text(n, "desc", item)
		if err != nil {
			return err
		}
		r.desc += " " + s
	}
	if adds["tags"] {
		old := r.tags
		r.tags = make(map[string]bool, len(old))
		for t := range old {
			r.tags[t] = true
		}
		return l.tags(n, item, &r.tags)
	}
	return nil
}

func (l *loader) ruleReplace(n yamlNode, item string, r *ruleInfo, replaces map[string]bool) *fault {
	if replaces["condition"] {
		_, cond, err := l.text(n, "condition", item)
		if err != nil {
			return err
		}
		r.cond = mappedScalar(cond)
	}
	if replaces["exceptions"] {
		exs, err := l.exceptions(n, item, false)
		if err != nil {
			return err
		}
		for i := range exs {
			if err := l.checkException(r, &exs[i], item); err != nil {
				return err
			}
		}
		r.exceptions = exs
	}
	if replaces["output"] {
		s, at, err := l.text(n, "output", item)
		if err != nil {
			return err
		}
		r.output, r.outputAt = strings.TrimSpace(s), at.place()
	}
	if replaces["desc"] {
		s, _, err := l.text(n, "desc", item)
		if err != nil {
			return err
		}
		r.desc = s
	}
	if replaces["tags"] {
		r.tags = nil
		if err := l.tags(n, item, &r.tags); err != nil {
			return err
		}
	}
	if replaces["priority"] {
		if err := l.priority(n, item, &r.priority); err != nil {
			return err
		}
	}
	// Every option present is named by override: overriddenKeys saw to it.
	keep := r.tags
	err := l.ruleOptions(n, item, r)
	r.tags = keep
	return err
}

func sortedTags(set map[string]bool) []string {
	if len(set) == 0 {
		return nil
	}
	out := make([]string, 0, len(set))
	for t := range set {
		out = append(out, t)
	}
	sort.Strings(out)
	return out
}

var (
	metaKeys    = []string{"id", "summary", "tactics", "techniques", "answers", "response"}
	metaID      = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	techniqueID = regexp.MustCompile(`^T[0-9]{4}(\.[0-9]{3})?$`)
)

// meta reads Dockreeve's own key; here an unknown key is an error, because
// nobody else can mean something by it.
func (l *loader) meta(n yamlNode, item string) (*Meta, *fault) {
	v, ok := n.get("dockreeve")
	if !ok {
		return nil, nil
	}
	if !v.isMap() {
		return nil, faultAt(CodeYAMLValidate, v.place(), item, "the value of \"dockreeve\" is a mapping, found "+v.kind(), "its keys are "+strings.Join(metaKeys, ", "))
	}
	var bad *fault
	seen := map[string]bool{}
	v.each(func(k string, at, _ yamlNode) {
		switch {
		case bad != nil:
		case !hasWord(metaKeys, k):
			remedy := "the keys are " + strings.Join(metaKeys, ", ")
			if s := nearest(k, metaKeys); s != "" {
				remedy = fmt.Sprintf("did you mean %q?", s)
			}
			bad = faultAt(CodeYAMLValidate, at.place(), item, fmt.Sprintf("unknown key %q under 'dockreeve'", k), remedy)
		case seen[k]:
			bad = faultAt(CodeYAMLValidate, at.place(), item, fmt.Sprintf("key %q stands twice under 'dockreeve'", k), "remove one of them")
		}
		seen[k] = true
	})
	if bad != nil {
		return nil, bad
	}
	m := &Meta{Pos: v.place()}
	for _, f := range []struct {
		key  string
		into *string
	}{{"id", &m.ID}, {"summary", &m.Summary}} {
		if !v.has(f.key) {
			continue
		}
		s, at, err := l.text(v, f.key, item)
		if err != nil {
			return nil, err
		}
		*f.into = strings.TrimSpace(s)
		if f.key == "summary" {
			m.SummaryPos = at.place()
		}
		if f.key == "id" && (!metaID.MatchString(m.ID) || len(m.ID) > 100) {
			return nil, faultAt(CodeYAMLValidate, at.place(), item, fmt.Sprintf("the id %q is no slug", s), "use up to 100 lower-case letters, digits and single dashes")
		}
	}
	for _, f := range []struct {
		key  string
		into *[]string
	}{{"tactics", &m.Tactics}, {"techniques", &m.Techniques}, {"answers", &m.Answers}, {"response", &m.Response}} {
		if !v.has(f.key) {
			continue
		}
		var err *fault
		if *f.into, err = l.texts(v, f.key, item); err != nil {
			return nil, err
		}
	}
	for _, t := range m.Techniques {
		if !techniqueID.MatchString(t) {
			at, _ := v.get("techniques")
			return nil, faultAt(CodeYAMLValidate, at.place(), item, fmt.Sprintf("%q is no ATT&CK technique", t), "write it like T1059 or T1059.004")
		}
	}
	return m, nil
}
