// Package license tells the licences that packages state apart: it writes them as SPDX
// expressions where it can, sorts them into categories and judges them by a policy. It
// knows only what packages say of themselves; it reads no source file, and a package
// that states nothing is not assessed, never free to use. The categories are a reading
// help and no legal advice.
package license

import (
	"slices"
	"strings"
)

// Category is what a licence asks of who passes the software on.
type Category string

// The categories, from the least asked to the most. Unknown is a licence that is
// stated but not known here.
const (
	Permissive      Category = "permissive"       // keep the notice
	WeakCopyleft    Category = "weak-copyleft"    // changes of the package itself stay open
	StrongCopyleft  Category = "strong-copyleft"  // what is built with it stays open
	NetworkCopyleft Category = "network-copyleft" // also when it is only offered over a network
	Proprietary     Category = "proprietary"      // use or sale is restricted
	Unknown         Category = "unknown"
)

// Bounds of what is read.
const (
	maxText  = 4096 // bytes of one licence field
	maxTerms = 64   // licences in one expression
	maxTitle = 8192 // bytes of a licence's text in which its title and grant are looked for
)

// Normalize writes the licence fields of one package as SPDX expressions, in their
// order and without doubles. What cannot be told stays as it was written, its blanks
// folded. The input may be an id, a name, an expression, a Python classifier, an address
// of a licence, or Debian's "and/or" lists. A field longer than 4 KiB is a licence's
// text: it is told by its title or left out.
func Normalize(stated []string) []string {
	var out []string
	for _, s := range stated {
		if len(s) > maxText {
			s = title(s)
		}
		s = strings.Join(strings.Fields(s), " ")
		if s == "" {
			continue
		}
		if e := Expression(s); e != "" && !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}

// Expression writes one field as an SPDX expression; "" when it states nothing.
func Expression(s string) string {
	s = strings.TrimSpace(s)
	if i := strings.LastIndex(s, "::"); i >= 0 { // Python's classifiers
		if !strings.HasPrefix(s, "License") {
			return ""
		}
		s = strings.TrimSpace(s[i+2:])
		if s == "OSI Approved" {
			return ""
		}
	}
	if nothing(s) {
		return ""
	}
	if id := lookup(s); id != "" {
		return id
	}
	if n := parse(s); n != nil {
		return n.String()
	}
	return s
}

// nothing reports whether a field says that nobody filled it in.
func nothing(s string) bool {
	switch strings.ToLower(s) {
	case "", "unknown", "none", "noassertion", "n/a", "see license", "see license file", "license", "unlicensed license", "other", "other/proprietary license?", "*", "-":
		return true
	}
	return false
}

// title tells a licence by the beginning of its text.
func title(text string) string {
	head := strings.ToLower(strings.Join(strings.Fields(text[:min(len(text), maxTitle)]), " "))
	for _, t := range [...]struct{ has, also, id string }{
		{"apache license", "version 2.0", "Apache-2.0"},
		{"gnu affero general public license", "version 3", "AGPL-3.0-only"},
		{"gnu lesser general public license", "version 3", "LGPL-3.0-only"},
		{"gnu lesser general public license", "version 2.1", "LGPL-2.1-only"},
		{"gnu general public license", "version 3", "GPL-3.0-only"},
		{"gnu general public license", "version 2", "GPL-2.0-only"},
		{"mozilla public license", "2.0", "MPL-2.0"},
		{"boost software license", "1.0", "BSL-1.0"},
		{"permission is hereby granted, free of charge", "the above copyright notice and this permission notice", "MIT"},
		{"permission to use, copy, modify, and/or distribute", "appear in all copies", "ISC"},
		{"redistribution and use in source and binary forms", "neither the name", "BSD-3-Clause"},
		{"redistribution and use in source and binary forms", "this list of conditions", "BSD-2-Clause"},
		{"this is free and unencumbered software", "public domain", "Unlicense"},
	} {
		if strings.Contains(head, t.has) && strings.Contains(head, t.also) {
			return t.id
		}
	}
	return ""
}

// lookup finds the SPDX id of a name, an id in any spelling, or an address.
func lookup(s string) string {
	low := strings.ToLower(strings.TrimSpace(s))
	if id, ok := byName[low]; ok {
		return id
	}
	if strings.HasPrefix(low, "http://") || strings.HasPrefix(low, "https://") {
		return byAddress(low)
	}
	k := key(low)
	if id, ok := byKey[k]; ok {
		return id
	}
	return ""
}

// key folds what spellings of one name differ in: case, "the", "license", "version",
// blanks and signs. A plus stays: it changes the meaning.
func key(s string) string {
	s = phrases.Replace(strings.ToLower(s))
	if i := strings.LastIndexByte(s, '('); i > 0 && strings.HasSuffix(s, ")") { // the abbreviation behind a name
		if short := s[i+1 : len(s)-1]; strings.ContainsAny(short, "0123456789") && len(short) < 24 {
			s = short
		}
	}
	var b strings.Builder
	for _, w := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" -_,/:;()\"'", r) }) {
		switch w {
		case "the", "license", "licensed", "v", "software", "under", "style", "like", "terms", "only", "gnu":
			continue
		}
		b.WriteString(w)
	}
	out := []byte(b.String())
	for i := 0; i+1 < len(out); i++ { // gplv2 is gpl2
		if out[i] == 'v' && out[i+1] >= '0' && out[i+1] <= '9' {
			out = append(out[:i], out[i+1:]...)
		}
	}
	k := strings.TrimSuffix(string(out), "+")
	plus := string(out)[len(k):]
	return strings.TrimSuffix(k, ".0") + plus
}

var phrases = strings.NewReplacer("licence", "license", " or any later version", "+", " or later", "+", "-or-later", "+", " or newer", "+", "version", "v",
	"gnu affero general public license", "agpl", "gnu lesser general public license", "lgpl", "gnu library or lesser general public license", "lgpl", "gnu general public license", "gpl", "gnu free documentation license", "gfdl",
	"affero general public license", "agpl", "lesser general public license", "lgpl", "general public license", "gpl", "mozilla public license", "mpl", "eclipse public license", "epl",
	"common development and distribution license", "cddl", "apache software license", "apache", "asl ", "apache ")

func byAddress(u string) string {
	u = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(u, "/"), ".html"), ".txt")
	u = strings.TrimSuffix(strings.TrimSuffix(u, ".php"), ".en")
	for _, a := range addresses {
		if strings.Contains(u, a.part) {
			return a.id
		}
	}
	if i := strings.Index(u, "spdx.org/licenses/"); i >= 0 {
		return lookup(u[i+len("spdx.org/licenses/"):])
	}
	if i := strings.Index(u, "opensource.org/licenses/"); i >= 0 {
		return lookup(u[i+len("opensource.org/licenses/"):])
	}
	return ""
}

// CategoryOf is the category of an expression: of several licences that all hold the one
// that asks most, of alternatives the one that asks least.
func CategoryOf(expression string) Category {
	if n := parse(expression); n != nil {
		return n.category()
	}
	return categoryOf(expression)
}
