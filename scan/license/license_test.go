package license

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/scan"
	"pgregory.net/rapid"
)

func TestNamesOfEveryEcosystem(t *testing.T) {
	for in, want := range map[string]string{
		"MIT": "MIT", "mit": "MIT", "The MIT License (MIT)": "MIT", "Expat": "MIT", "MIT License": "MIT", "License :: OSI Approved :: MIT License": "MIT", "MIT/X11": "MIT",
		"Apache-2.0": "Apache-2.0", "Apache License, Version 2.0": "Apache-2.0", "The Apache Software License, Version 2.0": "Apache-2.0", "ASL 2.0": "Apache-2.0", "Apache 2.0": "Apache-2.0", "Apache License 2.0": "Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0.txt": "Apache-2.0",
		"GPL-2+": "GPL-2.0-or-later", "GPLv2+": "GPL-2.0-or-later", "GPL-2": "GPL-2.0-only", "GPL-2.0": "GPL-2.0-only", "GPL-3.0-or-later": "GPL-3.0-or-later", "GNU General Public License v3 (GPLv3)": "GPL-3.0-only", "License :: OSI Approved :: GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
		"GNU General Public License, version 2": "GPL-2.0-only", "LGPL-2.1+": "LGPL-2.1-or-later", "LGPLv2+": "LGPL-2.0-or-later", "GNU Lesser General Public License v3": "LGPL-3.0-only", "License :: OSI Approved :: GNU Affero General Public License v3": "AGPL-3.0-only",
		"BSD-3-clause": "BSD-3-Clause", "BSD 3-Clause License": "BSD-3-Clause", "New BSD License": "BSD-3-Clause", "3-Clause BSD License": "BSD-3-Clause", "MPL 2.0": "MPL-2.0", "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0", "EPL 1.0": "EPL-1.0", "Eclipse Public License - v 2.0": "EPL-2.0",
		"(MIT OR Apache-2.0)": "MIT OR Apache-2.0", "MIT/Apache-2.0": "MIT OR Apache-2.0", "GPL-2+ and LGPL-2.1+": "GPL-2.0-or-later AND LGPL-2.1-or-later", "GPLv2+ and (MIT or BSD)": "GPL-2.0-or-later AND (MIT OR BSD)", "MIT BSD-3-Clause": "MIT AND BSD-3-Clause",
		"GPL-2.0-only WITH Classpath-exception-2.0": "GPL-2.0-only WITH Classpath-exception-2.0", "ISC License (ISCL)": "ISC", "PSF": "PSF-2.0", "Public Domain": "Public Domain", "public-domain": "public-domain", "BSD": "BSD", "UNKNOWN": "", "Programming Language :: Python": "", "License :: OSI Approved": "",
		"our own terms, see the contract": "our own terms, see the contract", "GPL-2.0-or-later OR LGPL-2.1-or-later": "GPL-2.0-or-later OR LGPL-2.1-or-later",
	} {
		if got := Expression(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if again := Expression(Expression(in)); again != Expression(in) {
			t.Errorf("%q changes twice: %q", in, again)
		}
	}
}

func TestCategories(t *testing.T) {
	for in, want := range map[string]Category{
		"MIT": Permissive, "BSD": Permissive, "Public Domain": Permissive, "public-domain": Permissive, "BSD-3-clause-pcre": Permissive, "LGPL-2.1-or-later": WeakCopyleft, "MPL-2.0": WeakCopyleft,
		"GPL-2.0-or-later": StrongCopyleft, "GPL-2.0": StrongCopyleft, "AGPL-3.0-only": NetworkCopyleft, "SSPL-1.0": Proprietary, "BUSL-1.1": Proprietary, "UNLICENSED": Proprietary, "frobnicate": Unknown, "our own terms, see the contract": Unknown,
		"MIT OR GPL-3.0-only": Permissive, "MIT AND GPL-3.0-only": StrongCopyleft, "MIT AND (GPL-3.0-only OR Apache-2.0)": Permissive, "MIT OR frobnicate": Permissive, "MIT AND frobnicate": Unknown,
		"GPL-2.0-only WITH Classpath-exception-2.0": WeakCopyleft, "AGPL-3.0-only OR GPL-2.0-only": StrongCopyleft,
	} {
		if got := CategoryOf(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
	for c, ids := range known {
		for _, id := range strings.Fields(ids) {
			if Expression(id) != id || Expression(strings.ToLower(id)) != id || CategoryOf(id) != c {
				t.Errorf("%s: written as %q, %s", id, Expression(id), CategoryOf(id))
			}
		}
	}
}

func TestFieldsOfOnePackage(t *testing.T) {
	got := Normalize([]string{"MIT", "License :: OSI Approved :: MIT License", "UNKNOWN", " ", "GPL-2+ and\n BSD-3-clause"})
	if want := "[MIT GPL-2.0-or-later AND BSD-3-Clause]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	if got := Normalize([]string{"Permission is hereby granted, free of charge, to anyone, provided that the above copyright notice and this permission notice stay." + strings.Repeat(" and so on", 900)}); fmt.Sprint(got) != "[MIT]" {
		t.Errorf("a whole text: %v", got)
	}
}

func TestDebCopyright(t *testing.T) {
	for in, want := range map[string]string{
		"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nSource: x\n\nFiles: *\nCopyright: me\nLicense: GPL-2+\n This is text\n License: not a field\n\nFiles: a\nLicense: Expat\n\nLicense: GPL-2+\n text\n": "[GPL-2.0-or-later MIT]",
		"It was made by me.\nOn Debian systems see /usr/share/common-licenses/LGPL-2.1.\nAlso `/usr/share/common-licenses/GPL-3'":                                                                                                         "[LGPL-2.1-only GPL-3.0-only]",
		"no word of it": "[]", "": "[]",
	} {
		if got := fmt.Sprint(DebCopyright([]byte(in))); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestPolicyCountsWhatItCouldNotJudge(t *testing.T) {
	p := func(l ...string) scan.Package { return scan.Package{Licenses: l} }
	pkgs := []scan.Package{p("MIT"), p(), p("GPL-3.0-or-later"), p("GPL-3.0-only OR MIT"), p("GPL-3.0-only AND MIT"), p("UNKNOWN"), p("AGPL-3.0-only"), p("frobnicate"), p("MIT", "GPL-2.0-only")}
	r := Policy{Deny: []string{"GPL-3.0", "network-copyleft"}}.Evaluate(pkgs)
	if got := fmt.Sprint(r.Denied); got != "[{2 GPL-3.0-or-later GPL-3.0} {4 GPL-3.0-only AND MIT GPL-3.0} {6 AGPL-3.0-only network-copyleft}]" {
		t.Errorf("%s", got)
	}
	if r.Stated != 7 || r.NotStated != 2 || r.Unknown != 1 || r.Categories[Permissive] != 2 || r.Categories[StrongCopyleft] != 3 {
		t.Errorf("%+v", r)
	}
	if g, ok := r.Gap(); !ok || g.Reason != "2 of 9 packages state none" {
		t.Errorf("%v", g)
	}
	if r := (Policy{DenyUnknown: true}).Evaluate(pkgs); len(r.Denied) != 1 || r.Denied[0].Package != 7 {
		t.Errorf("%v", r.Denied)
	}
	if r := (Policy{Deny: []string{"AGPL-*"}}).Evaluate(pkgs); len(r.Denied) != 1 || r.Denied[0].Package != 6 {
		t.Errorf("%v", r.Denied)
	}
	if err := (Policy{Deny: []string{"MIT", "permissive", "GPL-2.0", "LGPL-*"}}).Validate(); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"GLP-3.0", "copyleft", "Q9*", "*", ""} {
		if err := (Policy{Deny: []string{"MIT", bad}}).Validate(); err == nil || !strings.Contains(err.Error(), "deny[1]") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// The verdict on an expression is that of trying every choice its alternatives leave.
func TestVerdictAgreesWithTryingEveryChoice(t *testing.T) {
	ids := []string{"MIT", "GPL-3.0-only", "AGPL-3.0-only", "MPL-2.0"}
	var gen func(t *rapid.T, depth int) (string, [][]string)
	gen = func(t *rapid.T, depth int) (string, [][]string) {
		if depth == 0 || rapid.IntRange(0, 2).Draw(t, "leaf") == 0 {
			id := rapid.SampledFrom(ids).Draw(t, "id")
			return id, [][]string{{id}}
		}
		a, x := gen(t, depth-1)
		b, y := gen(t, depth-1)
		if rapid.Bool().Draw(t, "or") {
			return "(" + a + " OR " + b + ")", append(append([][]string{}, x...), y...)
		}
		var all [][]string
		for _, p := range x {
			for _, q := range y {
				all = append(all, append(append([]string{}, p...), q...))
			}
		}
		return "(" + a + " AND " + b + ")", all
	}
	rapid.Check(t, func(t *rapid.T) {
		e, choices := gen(t, 3)
		want := true
		for _, c := range choices {
			ok := true
			for _, id := range c {
				ok = ok && id != "GPL-3.0-only" && id != "AGPL-3.0-only"
			}
			want = want && !ok
		}
		for _, written := range []string{e, Expression(e)} {
			if got := (Policy{Deny: []string{"GPL-3.0", "AGPL-*"}}).denies(written) != ""; got != want {
				t.Fatalf("%s: denied %v, want %v", written, got, want)
			}
		}
	})
}

func FuzzExpression(f *testing.F) {
	for _, s := range []string{"MIT OR (GPL-2+ AND BSD)", "((((", "License :: OSI Approved ::", "GPL-2+ with OpenSSL exception", "a/b/c", "https://www.apache.org/licenses/LICENSE-2.0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, e := range Normalize([]string{s}) {
			if len(e) > 4*maxText {
				t.Fatal("longer than what was read")
			}
			CategoryOf(e)
			if again := Normalize([]string{e}); len(again) != 1 || again[0] != e {
				t.Fatalf("%q is written %q, then %q", s, e, again)
			}
		}
		DebCopyright([]byte(s))
		DebCopyright([]byte("Format: copyright-format\nLicense: " + s))
	})
}
