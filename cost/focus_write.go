package cost

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"math"
	"sort"
	"strconv"
	"time"
)

// WriteFOCUS writes charges as CSV: all columns of FOCUS 1.2 in its order, those of Azure's
// x_ columns that a Charge has a place for, and after them what its More holds, by name.
// What ReadFOCUS makes of it is the same charges again. Amounts are written to a millionth.
//
// It is data for programs: values are written as they are, so a text that begins with =
// stays that text. Do not open it with a spreadsheet; showback tables are for that.
//
// The charges are walked twice, once to learn which columns More has. An error is the
// writer's, or names a column that cannot be one.
func WriteFOCUS(w io.Writer, charges iter.Seq[Charge]) error {
	columns := focusColumns()
	known := map[string]bool{}
	for _, c := range columns {
		known[foldHeading(c.name)] = true
	}
	spelt := map[string]string{}
	for c := range charges {
		for k := range c.More {
			if f := foldHeading(k); !known[f] {
				if was := spelt[f]; was != "" && was != k {
					return fmt.Errorf("FOCUS: charges have both a column %.60q and a column %.60q", was, k)
				}
				spelt[f] = k
			}
		}
		if len(spelt)+len(columns) > mostColumns {
			return fmt.Errorf("FOCUS: more than %d columns", mostColumns)
		}
	}
	var others []string
	for f, k := range spelt {
		if f == "" {
			return fmt.Errorf("FOCUS: %.60q is no name of a column", k)
		}
		others = append(others, k)
	}
	sort.Strings(others)
	for _, k := range others {
		columns = append(columns, column{name: k})
	}

	out := csv.NewWriter(w)
	rec := make([]string, len(columns))
	for i, c := range columns {
		rec[i] = c.name
	}
	if err := out.Write(rec); err != nil {
		return fmt.Errorf("FOCUS: %w", err)
	}
	for c := range charges {
		for i := range columns {
			rec[i] = columns[i].write(&c)
		}
		if err := out.Write(rec); err != nil {
			return fmt.Errorf("FOCUS: %w", err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("FOCUS: %w", err)
	}
	return nil
}

// write gives the value of a column.
func (k *column) write(c *Charge) string {
	switch {
	case k.amount != nil:
		return decimal(*k.amount(c))
	case k.number != nil:
		v := *k.number(c)
		if v == 0 {
			return "" // FOCUS has no quantity where there is none
		}
		if size := math.Abs(v); size < 1e-9 || size > 1e15 {
			return strconv.FormatFloat(v, 'E', -1, 64)
		}
		return strconv.FormatFloat(v, 'f', -1, 64)
	case k.date != nil:
		t := *k.date(c)
		if t == 0 {
			return ""
		}
		return time.Unix(0, t).UTC().Format(time.RFC3339Nano)
	case k.tags:
		if len(c.Tags) == 0 {
			return c.More[k.name]
		}
		b, err := json.Marshal(c.Tags)
		if err != nil {
			return "" // a map of strings always has a form
		}
		return string(b)
	case k.text != nil:
		return *k.text(c)
	}
	return c.More[k.name]
}

// decimal writes an amount exactly, without needless zeros.
func decimal(a Amount) string {
	sign, u := "", uint64(a)
	if a < 0 {
		sign, u = "-", -u
	}
	s := sign + strconv.FormatUint(u/uint64(Unit), 10)
	part := u % uint64(Unit)
	if part == 0 {
		return s
	}
	p := strconv.FormatUint(part+uint64(Unit), 10)[1:]
	for p[len(p)-1] == '0' {
		p = p[:len(p)-1]
	}
	return s + "." + p
}
