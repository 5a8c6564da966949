package query

import "strings"

// Dialect is what databases write differently.
type Dialect struct {
	Like string // operator that ignores ASCII case: "" means SQLite's LIKE; PostgreSQL's is ILIKE
}

// SQL compiles the query to a condition and its arguments, in the order of its
// ? placeholders. Nothing of the filter's text is ever part of the condition:
// only the schema's own column expressions are. now is Unix nanoseconds. The
// empty query gives "1=1".
func (q Query) SQL(s *Schema, d Dialect, now int64) (string, []any) {
	c := compiler{schema: s, like: d.Like, now: now}
	if c.like == "" {
		c.like = "LIKE"
	}
	if len(q.Terms) == 0 {
		return "1=1", nil
	}
	for i, t := range q.Terms {
		if i > 0 {
			c.sql.WriteString(" AND ")
		}
		if t.Negate {
			c.sql.WriteString("NOT ")
		}
		c.sql.WriteByte('(')
		c.term(t)
		c.sql.WriteByte(')')
	}
	return c.sql.String(), c.args
}

type compiler struct {
	schema *Schema
	like   string
	now    int64
	sql    strings.Builder
	args   []any
}

func (c *compiler) term(t Term) {
	if t.Field == nil {
		some := false
		for i := range c.schema.Fields {
			if f := &c.schema.Fields[i]; f.Free {
				c.or(some)
				c.text(f, "%"+escape(t.Values[0].Text)+"%")
				some = true
			}
		}
		if !some {
			c.sql.WriteString("1=0")
		}
		return
	}
	for i, v := range t.Values {
		c.or(i > 0)
		c.value(t.Field, v)
	}
}

func (c *compiler) or(more bool) {
	if more {
		c.sql.WriteString(" OR ")
	}
}

func (c *compiler) text(f *Field, pattern string) {
	if f.Where != "" {
		c.sql.WriteString(strings.Replace(f.Where, "{}", c.like+` ? ESCAPE '\'`, 1))
		c.args = append(c.args, pattern)
		return
	}
	col := f.SQL
	if f.List {
		c.sql.WriteString("EXISTS (SELECT 1 FROM " + f.SQL + " WHERE ")
		col = "value"
	}
	c.sql.WriteString(col + " " + c.like + ` ? ESCAPE '\'`)
	c.args = append(c.args, pattern)
	if f.List {
		c.sql.WriteByte(')')
	}
}

func (c *compiler) value(f *Field, v Value) {
	if f.Type == Text {
		if f.List && v.Text == "" {
			if f.Where != "" {
				c.sql.WriteString("NOT ")
				c.text(f, "%")
				return
			}
			c.sql.WriteString("NOT EXISTS (SELECT 1 FROM " + f.SQL + ")")
			return
		}
		parts := v.parts()
		for i := range parts {
			parts[i] = escape(parts[i])
		}
		c.text(f, strings.Join(parts, "%"))
		return
	}
	op, num, to := v.bounds(f, c.now)
	c.sql.WriteString(f.SQL)
	if op == Range {
		c.sql.WriteString(" BETWEEN ? AND ?")
		c.args = append(c.args, num, to)
		return
	}
	c.sql.WriteString([...]string{" = ?", " < ?", " <= ?", " > ?", " >= ?"}[op])
	c.args = append(c.args, num)
}

var escaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func escape(s string) string { return escaper.Replace(s) }
