// Package query owns the one filter grammar of addresses, command line and API:
//
//	severity:>=high owner:payments -status:dismissed age:<7d "quoted words"
//
// A Schema says which fields a list has. Parse turns text into a Query, which
// prints itself canonically, matches values in Go and compiles to an SQL
// condition with placeholders; both ways of matching agree, held by a property
// test. The package does no I/O and reads no clock. docs/query.md is its manual.
package query

import (
	"slices"
	"strings"
)

// Type is what a field's values are; it decides which operators apply.
type Type uint8

// The types of fields.
const (
	Text    Type = iota // whole value, ASCII case aside; * stands for any run of characters
	Enum                // one of Words, exactly
	Ranked              // one of Words, which are ordered, least first: >= and its kin apply
	Number              // int64
	Bool                // yes, no
	Time                // a date (2026-01-31) or RFC 3339 time; stored as Unix nanoseconds
	Age                 // a duration (90s, 15m, 24h, 7d, 2w) since a time stored as Unix nanoseconds
	Decimal             // a number with at most six decimals; stored as a whole number of millionths
)

// Field is one name a filter may use.
type Field struct {
	Name    string
	Aliases []string
	Type    Type
	Words   []string // of Enum and Ranked; the stored number is First plus the index
	First   int64
	Free    bool   // Text: words without a field are looked for in it
	List    bool   // Text: several values; any of them may match
	Doc     string // one sentence for help
	SQL     string // column, or for List the table expression that yields a column named value
	// Where, of a List field, is a whole condition instead of SQL, for lists that are
	// quicker found from the value than from the row. {} stands after the column that
	// holds the values: id IN (SELECT row FROM values WHERE value {}).
	Where string
}

// Schema is the fields of one list. Names and aliases are lower case and unique.
type Schema struct {
	Fields []Field
}

func (s *Schema) find(name string) *Field {
	name = lower(name)
	for i := range s.Fields {
		f := &s.Fields[i]
		if f.Name == name || slices.Contains(f.Aliases, name) {
			return f
		}
	}
	return nil
}

// names is every name a field can be called, for suggestions.
func (s *Schema) names() []string {
	var out []string
	for _, f := range s.Fields {
		out = append(append(out, f.Name), f.Aliases...)
	}
	return out
}

// nearest is the candidate that differs least from word, if it is close enough
// to be a slip of the finger.
func nearest(word string, candidates []string) string {
	best, at := "", len(word)/3+2
	for _, c := range candidates {
		if d := distance(lower(word), c); d < at {
			best, at = c, d
		}
	}
	if best == "" {
		for _, c := range candidates {
			if len(word) >= 2 && strings.HasPrefix(c, lower(word)) {
				return c
			}
		}
	}
	return best
}

// distance is the number of single-character edits between a and b, with b and
// a bounded by the caller's limits on names.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			prev, row[j+1] = row[j+1], min(prev+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// lower folds ASCII only, as SQLite's LIKE does: the two must agree.
func lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
