package strmatch

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var word = rapid.StringOfN(rapid.SampledFrom([]rune("abc/")), 0, 6, -1)

func TestRowsAgreeWithPackageStrings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 130).Draw(t, "bits")
		b := NewBuilder(n)
		patterns := make([][]string, n)
		for i := range patterns {
			patterns[i] = rapid.SliceOfN(word, 0, 3).Draw(t, "patterns")
			for _, p := range patterns[i] {
				b.Add(p, i)
			}
		}
		s := rapid.StringOfN(rapid.SampledFrom([]rune("abcd/")), 0, 12, -1).Draw(t, "value")
		hits := make(Row, (n+63)/64)
		b.Substrings().Match(s, hits)
		for name, c := range map[string]struct {
			row  Row
			test func(string, string) bool
		}{
			"exact":     {b.Exact().Lookup(s), func(s, p string) bool { return s == p }},
			"prefix":    {b.Prefixes().Match(s), strings.HasPrefix},
			"suffix":    {b.Suffixes().Match(s), strings.HasSuffix},
			"substring": {hits, strings.Contains},
		} {
			for i, ps := range patterns {
				want := false
				for _, p := range ps {
					want = want || c.test(s, p)
				}
				if c.row.Has(i) != want {
					t.Fatalf("%s: bit %d of %q is %v, patterns %q", name, i, s, c.row.Has(i), ps)
				}
			}
		}
	})
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "a/b", true}, {"/etc/*", "/etc/a/b", true},
		{"a?c", "a/c", true}, {"?", "", false}, {"a*b*c", "aXbYbZc", true}, {"a*b*c", "aXbYbZ", false},
		{"[abc]", "b", true}, {"[!abc]", "b", false}, {"[^abc]", "d", true}, {"[a-c]x", "bx", true}, {"[]a]", "]", true},
		{"[!]a]", "b", true}, {"[a-]", "-", true}, {"[[:digit:]]*", "7x", true}, {"[[:alpha:]_]", "_", true},
		{"[ab", "[ab", true}, {"[ab", "a", false}, {`\*`, "*", true}, {`\*`, "x", false}, {`a\`, `a\`, false}, {`[\]]`, "]", true},
		{".*", ".hidden", true}, {"*", ".hidden", true}, {"A*", "abc", false}, {"[z-a]", "b", false},
	} {
		if got := Glob(c.pattern, c.s); got != c.want {
			t.Errorf("Glob(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
	if !GlobFold("A[B-C]*", "abX") || GlobFold("a", "b") {
		t.Error("GlobFold")
	}
}

func TestGlobAgreesWithRegexp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.StringOfN(rapid.SampledFrom([]rune("ab*?/.")), 0, 8, -1).Draw(t, "pattern")
		s := rapid.StringOfN(rapid.SampledFrom([]rune("ab/.")), 0, 10, -1).Draw(t, "value")
		re := regexp.QuoteMeta(p)
		re = strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(re)
		if got, want := Glob(p, s), regexp.MustCompile("^(?:"+re+")$").MatchString(s); got != want {
			t.Fatalf("Glob(%q, %q) = %v", p, s, got)
		}
	})
}

func TestPathsAgreeWithANaiveWalk(t *testing.T) {
	comp := rapid.SampledFrom([]string{"a", "b", "ab", "*", "a*", "?"})
	rapid.Check(t, func(t *rapid.T) {
		var set []string
		for range rapid.IntRange(0, 4).Draw(t, "n") {
			set = append(set, "/"+strings.Join(rapid.SliceOfN(comp, 1, 3).Draw(t, "path"), "/"))
		}
		s := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab", "abc", ""}), 0, 5).Draw(t, "value"), "/")
		parts := strings.FieldsFunc(s, func(r rune) bool { return r == '/' })
		want := false
		for _, p := range set {
			pp := strings.Split(p[1:], "/")
			if len(pp) > len(parts) {
				continue
			}
			ok, err := path.Match(strings.Join(pp, "/"), strings.Join(parts[:len(pp)], "/"))
			if err != nil {
				t.Fatal(err)
			}
			want = want || ok
		}
		if got := NewPaths(set).Match(s); got != want {
			t.Fatalf("%q in %q: %v", s, set, got)
		}
	})
	if !NewPaths([]string{"/"}).Match("/x") || NewPaths([]string{"/var/run"}).Match("/var/runner") || NewPaths(nil).Match("/x") {
		t.Error("paths")
	}
}

func TestContainsFold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		abc := rapid.StringOfN(rapid.SampledFrom([]rune("aAbB\u00e9")), 0, 6, -1)
		s, sub := abc.Draw(t, "s"), abc.Draw(t, "sub")
		if got, want := ContainsFold(s, LowerASCII(sub)), strings.Contains(LowerASCII(s), LowerASCII(sub)); got != want {
			t.Fatalf("%q %q: %v", s, sub, got)
		}
	})
}

func TestNoAllocation(t *testing.T) {
	b := NewBuilder(3)
	b.Add("/etc/", 0)
	b.Add("shadow", 1)
	exact, pre, suf, sub, row := b.Exact(), b.Prefixes(), b.Suffixes(), b.Substrings(), make(Row, 1)
	paths := NewPaths([]string{"/etc/*/x", "/usr"})
	n := testing.AllocsPerRun(100, func() {
		exact.Lookup("/etc/shadow")
		pre.Match("/etc/shadow")
		suf.Match("/etc/shadow")
		sub.Match("/etc/shadow", row)
		paths.Match("/etc/a/x/b")
		Glob("/etc/*d[o]w", "/etc/shadow")
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("[a-c]*?", "abc")
	f.Add("[[:alpha:]", "x")
	f.Fuzz(func(t *testing.T, p, s string) {
		if len(p) > 200 || len(s) > 200 {
			return
		}
		Glob(p, s)
		if Glob(p, s) && !GlobFold(p, s) && !strings.ContainsAny(p, "!^") {
			t.Fatalf("folding loses a match: %q %q", p, s)
		}
		if !Glob("*"+strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(s)+"*", "x"+s+"y") {
			t.Fatalf("an escaped literal does not match itself: %q", s)
		}
	})
}
