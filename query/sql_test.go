package query

import (
	"database/sql"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	_ "modernc.org/sqlite"
	"pgregory.net/rapid"
)

// A filter selects the same rows in Go and in SQL.
func TestGoAndSQLAgree(t *testing.T) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE r (severity, status, count, last, loss, owner TEXT, image TEXT, tactic TEXT)"); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		r := &row{
			severity: rapid.Int64Range(1, 6).Draw(t, "severity"),
			status:   rapid.Int64Range(1, 4).Draw(t, "status"),
			count:    rapid.Int64Range(-3, 12).Draw(t, "count"),
			last:     now - rapid.Int64Range(0, 20).Draw(t, "half days")*day/2,
			loss:     rapid.Int64Range(0, 1).Draw(t, "loss"),
			owner:    words().Draw(t, "owner"),
			image:    words().Draw(t, "image"),
			tactic:   rapid.SliceOfN(words(), 0, 3).Draw(t, "tactic"),
		}
		tactic, err := json.Marshal(r.tactic)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("DELETE FROM r"); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("INSERT INTO r VALUES (?,?,?,?,?,?,?,?)", r.severity, r.status, r.count, r.last, r.loss, r.owner, r.image, string(tactic)); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			q := queryGen().Draw(t, "query")
			if rapid.Bool().Draw(t, "from the row") && len(q.Terms) > 0 {
				q.Terms[0] = fromRow(t, r) // otherwise few filters ever match
				q.Terms = q.Terms[:1]
			}
			cond, args := q.SQL(&schema, Dialect{}, now)
			var n int
			if err := db.QueryRow("SELECT COUNT(*) FROM r WHERE "+cond, args...).Scan(&n); err != nil {
				t.Fatalf("%s: %s: %v", q, cond, err)
			}
			if got := q.Match(&schema, r, now); got != (n == 1) {
				t.Fatalf("%s: Go says %v, SQL %v\n%s %q\nrow %+v", q, got, n == 1, cond, args, r)
			}
		}
	})
}

// fromRow makes a text term out of a piece of the row, stars at its cut ends.
func fromRow(t *rapid.T, r *row) Term {
	f := &schema.Fields[rapid.SampledFrom([]int{2, 3, 4}).Draw(t, "text field")]
	have := r.owner
	switch {
	case f.Name == "image":
		have = r.image
	case f.List && len(r.tactic) > 0:
		have = rapid.SampledFrom(r.tactic).Draw(t, "element")
	}
	if rapid.Bool().Draw(t, "other case") {
		have = strings.ToUpper(have)
	}
	v := Value{Text: have}
	i := rapid.IntRange(0, len(have)).Draw(t, "cut")
	for i < len(have) && !utf8.RuneStart(have[i]) {
		i++
	}
	if rapid.Bool().Draw(t, "head") {
		v = Value{Text: have[:i] + "*", Stars: []int{i}}
	} else {
		v = Value{Text: "*" + have[i:], Stars: []int{0}}
	}
	if !strings.Contains(have, "*") && rapid.Bool().Draw(t, "whole") {
		v = Value{Text: have}
	}
	return Term{Field: f, Values: []Value{v}, Negate: rapid.Bool().Draw(t, "negate")}
}

func TestNothingOfTheFilterReachesTheStatement(t *testing.T) {
	q, err := Parse(&schema, `owner:"x' OR 1=1 --" "'; DROP TABLE r" count:>3`)
	if err != nil {
		t.Fatal(err)
	}
	cond, args := q.SQL(&schema, Dialect{Like: "ILIKE"}, now)
	if strings.Contains(cond, "DROP") || strings.Contains(cond, "1=1") || len(args) != 4 {
		t.Fatalf("%s %q", cond, args)
	}
	if !strings.Contains(cond, "owner ILIKE ?") {
		t.Errorf("dialect is not used: %s", cond)
	}
}
