package arm

import "testing"

// FuzzQueries holds the two parsers of what clients write to ending without a panic.
func FuzzQueries(f *testing.F) {
	for _, s := range []string{"", "name eq 'x'", "(a eq 'b' or c ne 'd''e') and atScope()", "a eq", "((((", "'", "resources | where type =~ 'x' | project id", "resources | where a in~ ('b', \"c\") and d has 'e' | order by id asc | limit 3", "resources | summarize count() by type", "resources | where in~ ("} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if hold, err := parseFilter(s); err == nil {
			hold(func(string) string { return "x" })
		}
		if q, err := parseQuery(s); err == nil {
			q.holds(map[string]any{"type": "x", "id": 1.5})
			if _, err := q.finish([]map[string]any{{"type": "x"}, {"type": "y"}}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
