package cli

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// A table takes lines whose cells are parted by tabs and writes them in columns. Into a
// file or a pipe everything is written as long as it is. On a terminal that is too narrow
// the optional columns go first, the last column is broken into lines of its own, and only
// then long cells of the others are cut; what is left out is said below the table.
//
// A line with fewer cells than the others, such as a remark, widens no column by its last;
// after an empty line columns begin anew.
type table struct {
	w        io.Writer
	buf      bytes.Buffer
	optional []string // headings of columns that may be left out, the first one first
}

// columns begins a table on w, whose lines are written when it is flushed.
func columns(w io.Writer) *table { return &table{w: w} }

// dropping names columns, by the headings of the first line, that a narrow terminal may go
// without, the least missed first.
func (t *table) dropping(headings ...string) *table {
	t.optional = headings
	return t
}

func (t *table) Write(p []byte) (int, error) { return t.buf.Write(p) }

// The last column keeps at least this much, and a cell that is cut this much.
const (
	tableLast = 32
	tableCell = 14
	tableGap  = 2
)

// Flush writes the table and begins a new one.
func (t *table) Flush() error {
	text := strings.TrimSuffix(t.buf.String(), "\n")
	t.buf.Reset()
	if text == "" {
		return nil
	}
	var b strings.Builder
	wide := terminalWidth(t.w)
	for i, part := range strings.Split(text, "\n\n") {
		var rows [][]string
		for line := range strings.SplitSeq(part, "\n") {
			rows = append(rows, strings.Split(line, "\t"))
		}
		out, gone := fit(rows, wide, t.optional)
		if i > 0 {
			b.WriteByte('\n')
		}
		for _, line := range out {
			b.WriteString(line)
			b.WriteByte('\n')
		}
		if len(gone) > 0 {
			fmt.Fprintf(&b, "(too narrow for %s: widen the terminal, or write to a file)\n", strings.Join(gone, ", "))
		}
	}
	_, err := io.WriteString(t.w, b.String())
	return err
}

// fit lays rows out in width columns of text (0 = as wide as it gets) and names the
// headings that were left out.
func fit(rows [][]string, width int, optional []string) (lines, gone []string) {
	wide := widths(rows)
	for width > 0 && len(optional) > 0 && room(wide) > width {
		at := slices.Index(rows[0], optional[0])
		if at >= 0 && at < len(wide)-1 {
			gone = append(gone, optional[0])
			rows = without(rows, at)
			wide = widths(rows)
		}
		optional = optional[1:]
	}
	last := len(wide) - 1
	if width > 0 {
		for room(wide) > width { // cut the longest cell, bit by bit
			at := 0
			for i, n := range wide[:last] {
				if n > wide[at] {
					at = i
				}
			}
			if last == 0 || wide[at] <= tableCell {
				break // a screen this narrow breaks the lines itself
			}
			wide[at]--
		}
		left := width
		for _, n := range wide[:last] {
			left -= n + tableGap
		}
		wide[last] = min(wide[last], max(left, tableLast))
	}
	for _, row := range rows {
		lines = append(lines, layOut(row, wide, width > 0)...)
	}
	return lines, gone
}

// room is what a table needs when its last column is broken into lines.
func room(wide []int) int {
	sum := min(wide[len(wide)-1], tableLast)
	for _, n := range wide[:len(wide)-1] {
		sum += n + tableGap
	}
	return sum
}

// widths measures columns. The last cell of a short line counts for none.
func widths(rows [][]string) []int {
	most := 0
	for _, row := range rows {
		most = max(most, len(row))
	}
	wide := make([]int, most)
	for _, row := range rows {
		for i, cell := range row {
			if i < len(row)-1 || i == most-1 {
				wide[i] = max(wide[i], utf8.RuneCountInString(cell))
			}
		}
	}
	return wide
}

// without leaves a column out.
func without(rows [][]string, at int) [][]string {
	out := make([][]string, len(rows))
	for i, row := range rows {
		if at < len(row)-1 {
			row = slices.Delete(slices.Clone(row), at, at+1)
		}
		out[i] = row
	}
	return out
}

// layOut writes one row in lines.
func layOut(row []string, wide []int, cut bool) []string {
	var b strings.Builder
	used := 0
	for i, cell := range row[:len(row)-1] {
		if cut {
			cell = short(cell, wide[i])
		}
		b.WriteString(cell)
		b.WriteString(strings.Repeat(" ", max(0, wide[i]-utf8.RuneCountInString(cell))+tableGap))
		used += wide[i] + tableGap
	}
	tail := []string{row[len(row)-1]}
	if cut && len(row) == len(wide) {
		tail = broken(tail[0], wide[len(wide)-1])
	}
	lines := []string{strings.TrimRight(b.String()+tail[0], " ")}
	for _, more := range tail[1:] {
		lines = append(lines, strings.Repeat(" ", used)+more)
	}
	return lines
}

// broken breaks a text at its spaces into lines of at most width, where words allow it.
func broken(text string, width int) []string {
	var lines []string
	line, n := "", 0
	for word := range strings.SplitSeq(text, " ") {
		m := utf8.RuneCountInString(word)
		switch {
		case n == 0:
			line, n = word, m
		case n+1+m > width:
			lines = append(lines, line)
			line, n = word, m
		default:
			line, n = line+" "+word, n+1+m
		}
	}
	return append(lines, line)
}

// terminalWidth is how many columns w shows, 0 where it is no terminal. COLUMNS overrules
// what a terminal says of itself.
func terminalWidth(w io.Writer) int {
	if s, ok := w.(interface{ Columns() int }); ok {
		return s.Columns()
	}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	own, _, _ := term.GetSize(int(f.Fd()))
	asked, _ := strconv.Atoi(os.Getenv("COLUMNS"))
	return max(0, cmp.Or(asked, own))
}

// short cuts a text for a table.
func short(s string, most int) string {
	r := []rune(clean(s))
	if len(r) <= most {
		return string(r)
	}
	return string(r[:most-1]) + "…"
}
