package rule

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dockreeve/dockreeve/rule/filter"
)

// listInfo is a list while files are read. An item is named by index when it
// is first defined; visibility is the index of the last change to it.
type listInfo struct {
	name              string
	items             []string
	index, visibility int
	at                Place
	used              bool
	expanded          []string // with the lists in it put in
	text              string   // expanded as it stands in a condition
}

type macroInfo struct {
	name              string
	cond              mapped
	condAt            Place
	index, visibility int
	at                Place
	used              bool
	state             macroState
}

const (
	appendRemedy  = "write 'override: {condition: append}' instead"
	deprecatedKey = "the key 'append' is deprecated"
	bothOverrides = "'append: true' and 'override' cannot stand together"
)

func (l *loader) list(n yamlNode) *fault {
	name, _, err := l.text(n, "list", "list")
	if err != nil {
		return err
	}
	item := itemName("list", name)
	if !filter.IsBare(name) {
		l.warn(CodeInvalidListName, n.place(), item, "the name of a list should hold no blanks, quotes, commas, '=' or parentheses", "rename it")
	}
	items, err := l.texts(n, "items", item)
	if err != nil {
		return err
	}
	add, _, err := l.simpleOverride(n, "items", item)
	if err != nil {
		return err
	}
	prev := l.lists[name]
	if add {
		if prev == nil {
			return faultAt(CodeValidate, n.place(), item, "it appends to a list that does not exist", "define the list first, in this file or an earlier one")
		}
		// A copy, because the items before may be shared with an alias.
		prev.items = append(prev.items[:len(prev.items):len(prev.items)], items...)
		prev.visibility = l.take()
		return nil
	}
	info := &listInfo{name: name, items: items, at: n.place()}
	info.visibility = l.take()
	info.index = info.visibility
	if prev != nil {
		info.index = prev.index
		*prev = *info
		return nil
	}
	l.lists[name] = info
	l.listOrder = append(l.listOrder, info)
	return nil
}

func (l *loader) take() int {
	l.next++
	return l.next - 1
}

func (l *loader) macro(n yamlNode) *fault {
	name, _, err := l.text(n, "macro", "macro")
	if err != nil {
		return err
	}
	item := itemName("macro", name)
	if !filter.IsIdentifier(name) {
		l.warn(CodeInvalidMacroName, n.place(), item, "the name of a macro should be a letter followed by letters, digits and '_'; no condition can refer to this one", "rename it")
	}
	_, cond, err := l.text(n, "condition", item)
	if err != nil {
		return err
	}
	add, _, err := l.simpleOverride(n, "condition", item)
	if err != nil {
		return err
	}
	prev := l.macros[name]
	if add {
		if prev == nil {
			return faultAt(CodeValidate, n.place(), item, "it appends to a macro that does not exist", "define the macro first, in this file or an earlier one")
		}
		prev.cond = joinText(prev.cond, mappedScalar(cond))
		prev.visibility = l.take()
		return nil
	}
	info := &macroInfo{name: name, cond: mappedScalar(cond), condAt: cond.place(), at: n.place()}
	info.visibility = l.take()
	info.index = info.visibility
	if prev != nil {
		info.index = prev.index
		*prev = *info
		return nil
	}
	l.macros[name] = info
	l.macroList = append(l.macroList, info)
	return nil
}

// simpleOverride reads append and override of an item that has one key to override.
func (l *loader) simpleOverride(n yamlNode, key, item string) (add, replace bool, err *fault) {
	if add, err = l.appendFlag(n, key, item); err != nil {
		return false, false, err
	}
	adds, replaces, err := l.overrides(n, []string{key}, []string{key}, item)
	if err != nil {
		return false, false, err
	}
	if add && len(adds)+len(replaces) > 0 {
		return false, false, faultAt(CodeYAMLValidate, n.place(), item, bothOverrides, "keep 'override'")
	}
	return add || adds[key], replaces[key], nil
}

func (l *loader) appendFlag(n yamlNode, key, item string) (bool, *fault) {
	add := false
	if err := l.flag(n, "append", item, &add); err != nil {
		return false, err
	}
	if add {
		at, _ := n.get("append")
		l.warn(CodeDeprecatedItem, at.place(), item, deprecatedKey, strings.Replace(appendRemedy, "condition", key, 1))
	}
	return add, nil
}

// overrides reads the key override: which keys are appended to, which replaced.
func (l *loader) overrides(n yamlNode, canAppend, canReplace []string, item string) (adds, replaces map[string]bool, fail *fault) {
	v, ok := n.get("override")
	if !ok || v.null() {
		return nil, nil, nil
	}
	if !v.isMap() {
		return nil, nil, faultAt(CodeYAMLValidate, v.place(), item, "the value of \"override\" maps keys to 'append' or 'replace', found "+v.kind(), "")
	}
	adds, replaces = map[string]bool{}, map[string]bool{}
	v.each(func(key string, at, value yamlNode) {
		if fail != nil {
			return
		}
		op, _ := value.scalar()
		switch {
		case op == "append" && hasWord(canAppend, key):
			adds[key] = true
		case op == "replace" && hasWord(canReplace, key):
			replaces[key] = true
		case op == "append" && hasWord(canReplace, key):
			fail = faultAt(CodeYAMLValidate, at.place(), item, fmt.Sprintf("the key %q cannot be appended to", key), "use 'replace'")
		case op == "append" || op == "replace":
			remedy := ""
			if s := nearest(key, canReplace); s != "" {
				remedy = fmt.Sprintf("did you mean %q?", s)
			}
			fail = faultAt(CodeYAMLValidate, at.place(), item, fmt.Sprintf("the key %q cannot be overridden", key), remedy)
		default:
			allowed := "replace"
			if hasWord(canAppend, key) {
				allowed = "append or replace"
			}
			fail = faultAt(CodeYAMLValidate, value.place(), item, fmt.Sprintf("unknown operation %q for %q", op, key), "use "+allowed)
		}
	})
	return adds, replaces, fail
}

func hasWord(set []string, s string) bool {
	for _, x := range set {
		if x == s {
			return true
		}
	}
	return false
}

// version is a semantic version of three numbers.
type version [3]uint64

func parseVersion(s string) (version, bool) {
	var v version
	parts := strings.SplitN(s, ".", 3)
	if len(parts) != 3 {
		return v, false
	}
	// A suffix after the patch number (-rc1, +build) does not count.
	if i := strings.IndexAny(parts[2], "-+"); i >= 0 {
		parts[2] = parts[2][:i]
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 32)
		if err != nil {
			return v, false
		}
		v[i] = n
	}
	return v, true
}

func (v version) less(w version) bool {
	for i := range v {
		if v[i] != w[i] {
			return v[i] < w[i]
		}
	}
	return false
}

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

// provides says whether something at version v serves a requirement of w.
func (v version) provides(w version) bool { return v[0] == w[0] && !v.less(w) }

func (l *loader) engineVersion(n yamlNode) *fault {
	const item = "required_engine_version"
	s, at, err := l.text(n, item, item)
	if err != nil {
		return err
	}
	have, ok := parseVersion(l.opt.EngineVersion)
	if !ok {
		return faultAt(CodeValidate, at.place(), item, fmt.Sprintf("this engine's version %q is not of the form x.y.z", l.opt.EngineVersion), "")
	}
	want, ok := parseVersion(s)
	if n, perr := strconv.ParseUint(s, 10, 32); perr == nil {
		want, ok = version{0, n, have[2]}, true
	}
	if !ok {
		return faultAt(CodeYAMLValidate, at.place(), item, fmt.Sprintf("%q is no version", s), "write a whole number, or x.y.z")
	}
	if !have.provides(want) {
		return faultAt(CodeValidate, at.place(), item, fmt.Sprintf("the rules ask for engine version %s, this is %s", want, have), "use rules made for this engine, or a newer Dockreeve")
	}
	if old, ok := parseVersion(l.out.RequiredEngine); !ok || old.less(want) {
		l.out.RequiredEngine = want.String()
	}
	return nil
}

func (l *loader) pluginVersions(n yamlNode) *fault {
	const item = "required_plugin_versions"
	v, _ := n.get(item)
	if !v.isSeq() {
		return faultAt(CodeYAMLValidate, v.place(), item, "its value is a sequence, found "+v.kind(), "")
	}
	for _, it := range v.items() {
		err := l.pluginRequirement(it, item)
		if err != nil && l.opt.Strict {
			return err
		}
		if err != nil {
			l.report(err.d)
		}
	}
	return nil
}

func (l *loader) pluginRequirement(n yamlNode, item string) *fault {
	if !n.isMap() {
		return faultAt(CodeYAMLValidate, n.place(), item, "each requirement is a mapping with name and version, found "+n.kind(), "")
	}
	entries := []yamlNode{n}
	if alt, ok := n.get("alternatives"); ok {
		if !alt.isSeq() {
			return faultAt(CodeYAMLValidate, alt.place(), item, "the value of \"alternatives\" is a sequence, found "+alt.kind(), "")
		}
		entries = append(entries, alt.items()...)
	}
	var req []PluginVersion
	seen := map[string]bool{}
	met := false
	var names []string
	for _, e := range entries {
		if !e.isMap() {
			return faultAt(CodeYAMLValidate, e.place(), item, "each alternative is a mapping with name and version, found "+e.kind(), "")
		}
		name, _, err := l.text(e, "name", item)
		if err != nil {
			return err
		}
		text, at, err := l.text(e, "version", item)
		if err != nil {
			return err
		}
		want, ok := parseVersion(text)
		if !ok {
			return faultAt(CodeValidate, at.place(), item, fmt.Sprintf("%q is no version of plugin %q", text, name), "write x.y.z")
		}
		if seen[name] {
			return faultAt(CodeValidate, e.place(), item, fmt.Sprintf("plugin %q stands twice among the alternatives", name), "keep one")
		}
		seen[name] = true
		req = append(req, PluginVersion{name, text})
		names = append(names, name+" "+text)
		for _, p := range l.opt.Plugins {
			have, ok := parseVersion(p.Version)
			met = met || ok && p.Name == name && have.provides(want)
		}
	}
	l.out.RequiredPlugins = append(l.out.RequiredPlugins, req)
	if !met {
		return faultAt(CodeValidate, n.place(), item, "no plugin here provides "+strings.Join(names, " or "),
			"Dockreeve has no Falco plugins; rules on the fields of this one cannot run")
	}
	return nil
}
