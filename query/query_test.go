package query

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var schema = Schema{Fields: []Field{
	{Name: "severity", Aliases: []string{"sev"}, Type: Ranked, Words: []string{"low", "medium", "high", "critical"}, First: 2, SQL: "severity"},
	{Name: "status", Type: Enum, Words: []string{"open", "acknowledged", "resolved", "dismissed"}, First: 1, SQL: "status"},
	{Name: "owner", Type: Text, Free: true, SQL: "owner"},
	{Name: "image", Type: Text, Free: true, SQL: "image"},
	{Name: "tactic", Type: Text, List: true, SQL: "json_each(tactic)"},
	{Name: "count", Type: Number, SQL: "count"},
	{Name: "score", Type: Decimal, SQL: "count"},
	{Name: "mentioned", Type: Text, List: true, Where: "rowid IN (SELECT s.rowid FROM r AS s, json_each(s.tactic) AS j WHERE j.value {})"},
	{Name: "last", Type: Time, SQL: "last"},
	{Name: "age", Type: Age, SQL: "last"},
	{Name: "loss", Type: Bool, SQL: "loss"},
}}

type row struct {
	severity, status, count, last, loss int64
	owner, image                        string
	tactic                              []string
}

func (r *row) Text(f *Field) string {
	if f.Name == "owner" {
		return r.owner
	}
	return r.image
}

func (r *row) Texts(*Field) []string { return r.tactic }

func (r *row) Int(f *Field) int64 {
	switch f.Name {
	case "severity":
		return r.severity
	case "status":
		return r.status
	case "count", "score":
		return r.count
	case "loss":
		return r.loss
	}
	return r.last
}

const day = int64(24 * time.Hour)

// now is 2026-06-15T12:00:00Z.
var now = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC).UnixNano()

func TestCanonicalText(t *testing.T) {
	for in, want := range map[string]string{
		``:                                     ``,
		`  severity:>=high   owner:payments `:  `severity:>=high owner:payments`,
		`SEV:HIGH`:                             `severity:high`,
		`status:open,Acknowledged`:             `status:open,acknowledged`,
		`-status:dismissed age:<7d`:            `-status:dismissed age:<1w`,
		`age:<168h`:                            `age:<1w`,
		`age:>=90m`:                            `age:>=90m`,
		`score:>=0.50 score:0..1.250000`:       `score:>=0.5 score:0..1.25`,
		`text "quoted words"`:                  `text "quoted words"`,
		`owner:""`:                             `owner:""`,
		`owner:"a b"*c`:                        `owner:"a b"*c`,
		`owner:"*"`:                            `owner:"*"`,
		`image:**nginx**`:                      `image:*nginx*`,
		`count:10..20`:                         `count:10..20`,
		`count:=3`:                             `count:3`,
		`last:2026-01-31`:                      `last:2026-01-31T00:00:00Z..2026-01-31T23:59:59.999999999Z`,
		`last:>2026-01-31`:                     `last:>=2026-02-01`,
		`last:<=2026-01-31`:                    `last:<2026-02-01`,
		`last:>2026-01-31T00:00:00Z`:           `last:>2026-01-31T00:00:00Z`,
		`last:>=2026-01-31T01:00:00+01:00`:     `last:>=2026-01-31`,
		`loss:true`:                            `loss:yes`,
		`"-not a term"`:                        `"-not a term"`,
		`-"a"`:                                 `-a`,
		`owner:"say \"hi\" \\ there"`:          `owner:"say \"hi\" \\ there"`,
		`tactic:"Credential Access",Execution`: `tactic:"Credential Access",Execution`,
		`/etc/shadow`:                          `/etc/shadow`,
	} {
		q, err := Parse(&schema, in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := q.String(); got != want {
			t.Errorf("%s: canonical %s, want %s", in, got, want)
		}
	}
}

func TestErrorsSayWhereAndWhatWasMeant(t *testing.T) {
	for in, want := range map[string]string{
		`sevrity:high`:                   `character 1: no field is called "sevrity" here; did you mean severity:?`,
		`owner:x status:opne`:            `character 16: "opne" is not a value of status: want one of open, acknowledged, resolved, dismissed; did you mean open?`,
		`owner:x -wonder:y`:              `character 10: no field is called "wonder" here; did you mean owner:?`,
		`http://x`:                       `to look for these words, quote them`,
		`status:>open`:                   `status has no order`,
		`age:7d`:                         `an age needs < or >: age:<7d is younger than that`,
		`age:<7y`:                        `"7y" is not a value of age`,
		`age:<99999999999999999w`:        `is not a value of age`,
		`count:many`:                     `want a whole number`,
		`count:20..10`:                   `runs backwards`,
		`owner:`:                         `needs a value`,
		`severity:`:                      `needs a value: one of low`,
		`severity:high,`:                 `needs a value`,
		`"open`:                          `character 1: the quote that opens here is not closed`,
		`owner:"open\`:                   `not closed`,
		`-`:                              `- stands alone`,
		`""`:                             `empty quotes`,
		`last:yesterday`:                 `want a date`,
		"a\x00b":                         `NUL`,
		"\xff":                           `not valid UTF-8`,
		strings.Repeat("x", MaxBytes+1):  `at most 4096`,
		strings.Repeat("x ", MaxTerms+1): `more than 64 conditions`,
		"owner:" + strings.Repeat("x,", MaxValues) + "x": `more than 64 alternatives`,
		"owner:" + strings.Repeat("x*", maxStars+1):      `more than 8 *`,
	} {
		_, err := Parse(&schema, in)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%.40s: %v, want an *Error", in, err)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %q does not say %q", in, err, want)
		}
		if e.Pos < 0 || e.End < e.Pos || e.End > len(in) {
			t.Errorf("%.40s: place %d..%d lies outside", in, e.Pos, e.End)
		}
	}
}

func TestMatch(t *testing.T) {
	r := &row{severity: 4, status: 1, count: 7, last: now - 2*day, owner: "Payments", image: "reg/nginx:1.2", tactic: []string{"Credential Access", "Execution"}}
	for in, want := range map[string]bool{
		``: true, `severity:>=high`: true, `severity:>high`: false, `severity:low..high`: true, `status:open,resolved`: true, `-status:open`: false,
		`owner:payments`: true, `owner:pay`: false, `owner:pay*`: true, `owner:*MENT*`: true, `image:*nginx*1.2`: true, `image:nginx*`: false, `owner:""`: false,
		`age:<7d`: true, `age:<1d`: false, `age:>1d`: true, `age:1d..3d`: true, `last:2026-06-13`: true, `last:<2026-06-13`: false,
		`nginx`: true, `-nginx`: false, `"gin"`: true, `gone`: false, `tactic:execution`: true, `tactic:"Credential Access"`: true, `tactic:cred*`: true,
		`tactic:Impact`: false, `tactic:""`: false, `count:>=7`: true, `count:<7`: false, `loss:no`: true, `loss:yes`: false,
	} {
		q, err := Parse(&schema, in)
		if err != nil {
			t.Fatal(err)
		}
		if got := q.Match(&schema, r, now); got != want {
			t.Errorf("%s: %v, want %v", in, got, want)
		}
	}
}

// words draws text made of what the grammar and LIKE give a meaning to.
func words() *rapid.Generator[string] {
	return rapid.StringOfN(rapid.RuneFrom([]rune(`aAbB%_\*"'-:, ;éÉ()<>=.`)), 0, 6, -1)
}

func textGen(t *rapid.T) (string, []int) {
	s := words().Draw(t, "text")
	var stars []int
	for i := range len(s) {
		if s[i] == '*' && (len(stars) == 0 || stars[len(stars)-1] != i-1) && rapid.Bool().Draw(t, "wild") {
			stars = append(stars, i)
		}
	}
	return s, stars
}

// queryGen draws any Query that Parse could have made.
func queryGen() *rapid.Generator[Query] {
	return rapid.Custom(func(t *rapid.T) Query {
		var q Query
		for range rapid.IntRange(0, 4).Draw(t, "terms") {
			term := Term{Negate: rapid.Bool().Draw(t, "negate")}
			if i := rapid.IntRange(-1, len(schema.Fields)-1).Draw(t, "field"); i >= 0 {
				term.Field = &schema.Fields[i]
			} else {
				s := words().Filter(func(s string) bool { return s != "" }).Draw(t, "words")
				term.Values = []Value{{Text: s}}
				q.Terms = append(q.Terms, term)
				continue
			}
			for range rapid.IntRange(1, 3).Draw(t, "values") {
				term.Values = append(term.Values, valueGen(t, term.Field))
			}
			q.Terms = append(q.Terms, term)
		}
		return q
	})
}

func valueGen(t *rapid.T, f *Field) Value {
	v := Value{}
	number := func() int64 { return rapid.Int64Range(0, 5).Draw(t, "n") }
	ops := []Op{Equal, Less, LessEqual, Greater, GreaterEqual, Range}
	switch f.Type {
	case Text:
		v.Text, v.Stars = textGen(t)
		return v
	case Enum, Ranked:
		number = func() int64 { return f.First + rapid.Int64Range(0, int64(len(f.Words))-1).Draw(t, "word") }
		if f.Type == Enum {
			ops = ops[:1]
		}
	case Bool:
		number = func() int64 { return rapid.Int64Range(0, 1).Draw(t, "bool") }
		ops = ops[:1]
	case Number:
		number = func() int64 {
			return rapid.OneOf(rapid.Int64Range(-3, 12), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64})).Draw(t, "n")
		}
	case Decimal:
		number = func() int64 {
			return rapid.OneOf(rapid.Int64Range(-3, 12), rapid.Int64Range(-2_000_000, 2_000_000)).Draw(t, "n")
		}
	case Time:
		number = func() int64 { return now - rapid.Int64Range(0, 20).Draw(t, "half days")*day/2 }
	case Age:
		number = func() int64 { return rapid.Int64Range(0, 20).Draw(t, "half days") * day / 2 }
		ops = ops[1:]
	}
	v.Op, v.Num = rapid.SampledFrom(ops).Draw(t, "op"), number()
	if v.Op == Range {
		v.To = max(v.Num, number())
	}
	return v
}

func TestCanonicalTextParsesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := queryGen().Draw(t, "query")
		text := q.String()
		back, err := Parse(&schema, text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if !same(q, back) {
			t.Fatalf("%s came back as %s", text, back)
		}
	})
}

func same(a, b Query) bool {
	if len(a.Terms) != len(b.Terms) {
		return false
	}
	for i, x := range a.Terms {
		y := b.Terms[i]
		if x.Negate != y.Negate || x.Field != y.Field || len(x.Values) != len(y.Values) {
			return false
		}
		for j, v := range x.Values {
			w := y.Values[j]
			if v.Op != w.Op || v.Num != w.Num || v.To != w.To || v.Text != w.Text || len(v.Stars) != len(w.Stars) {
				return false
			}
		}
	}
	return true
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{``, `severity:>=high owner:payments -status:dismissed age:<7d text "quoted words"`, `last:2026-01-31 count:1..2 image:"a"*`, `-"`, `owner:*,`, `age:<`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := Parse(&schema, s)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Pos < 0 || e.End < e.Pos || e.End > len(s) {
				t.Fatalf("%q: error %v without a place in it", s, err)
			}
			return
		}
		text := q.String()
		if len(text) > MaxBytes {
			return // escapes may make it longer than what is read
		}
		back, err := Parse(&schema, text)
		if err != nil || !same(q, back) || back.String() != text {
			t.Fatalf("%q → %q → %q, %v", s, text, back.String(), err)
		}
		r := &row{owner: "a", image: "b"}
		q.Match(&schema, r, now)
		cond, args := q.SQL(&schema, Dialect{}, now)
		if n := strings.Count(cond, "?"); n != len(args) {
			t.Fatalf("%q: %d placeholders for %d arguments in %s", s, n, len(args), cond)
		}
	})
}
