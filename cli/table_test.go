package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// screen is a terminal of so many columns.
type screen struct {
	bytes.Buffer
	wide int
}

func (s *screen) Columns() int { return s.wide }

func someTable(w *screen) string {
	t := columns(w).dropping("PLAN", "RISK")
	fmt.Fprintln(t, "NAME\tOWNER\tPLAN\tRISK\tWHAT IS MISSING")
	fmt.Fprintln(t, "aks-payments-prd-weu-01\tpayments-platform@example.com\tyes\t41\tDefender's profile is off, as Azure says; a sensor that Helm installed is not seen from outside")
	fmt.Fprintln(t, "aks-é\tunowned\tno\t7\tstopped")
	fmt.Fprintln(t, "and 12 more, which are listed with --all\n\nHOP\tLOST\nlink\t0")
	if err := t.Flush(); err != nil {
		panic(err)
	}
	return w.String()
}

func TestTableFitsTheScreen(t *testing.T) {
	for wide, want := range map[int]string{
		0: `
NAME                     OWNER                          PLAN  RISK  WHAT IS MISSING
aks-payments-prd-weu-01  payments-platform@example.com  yes   41    Defender's profile is off, as Azure says; a sensor that Helm installed is not seen from outside
aks-é                    unowned                        no    7     stopped
and 12 more, which are listed with --all

HOP   LOST
link  0
`,
		110: `
NAME                     OWNER                          PLAN  RISK  WHAT IS MISSING
aks-payments-prd-weu-01  payments-platform@example.com  yes   41    Defender's profile is off, as Azure says;
                                                                    a sensor that Helm installed is not seen
                                                                    from outside
aks-é                    unowned                        no    7     stopped
and 12 more, which are listed with --all

HOP   LOST
link  0
`,
		80: `
NAME                    OWNER                   WHAT IS MISSING
aks-payments-prd-weu-…  payments-platform@exa…  Defender's profile is off, as
                                                Azure says; a sensor that Helm
                                                installed is not seen from
                                                outside
aks-é                   unowned                 stopped
and 12 more, which are listed with --all
(too narrow for PLAN, RISK: widen the terminal, or write to a file)

HOP   LOST
link  0
`,
	} {
		if got := someTable(&screen{wide: wide}); got != want[1:] {
			t.Errorf("at %d columns:\n%s\nwant:\n%s", wide, got, want[1:])
		}
	}
}

// Into a pipe nothing of a cell is lost; on a screen of 80 columns and more no line is longer
// than the screen, but for a word that is, and a remark.
func TestTableLosesNothingInAPipe(t *testing.T) {
	word := rapid.StringMatching(`[a-z@é-]{0,14}`)
	rapid.Check(t, func(t *rapid.T) {
		cols := rapid.IntRange(1, 6).Draw(t, "columns")
		rows := rapid.SliceOfN(rapid.SliceOfN(rapid.SliceOfN(word, 0, 9), cols, cols), 1, 8).Draw(t, "rows")
		wide := rapid.IntRange(80, 200).Draw(t, "wide")
		pipe, narrow := &screen{}, &screen{wide: wide}
		a, b := columns(pipe), columns(narrow)
		for _, row := range rows {
			var cells []string
			for _, words := range row {
				cells = append(cells, strings.Join(words, " "))
			}
			line := "|" + strings.Join(cells, "\t")
			fmt.Fprintln(a, line)
			fmt.Fprintln(b, line)
		}
		if a.Flush() != nil || b.Flush() != nil {
			t.Fatal("flush")
		}
		for i, line := range strings.Split(strings.TrimSuffix(pipe.String(), "\n"), "\n") {
			for _, words := range rows[i] {
				for _, w := range words {
					if !strings.Contains(line, w) {
						t.Fatalf("%q is not in %q", w, line)
					}
				}
			}
		}
		for line := range strings.SplitSeq(narrow.String(), "\n") {
			if n := utf8.RuneCountInString(line); n > wide && cols <= 3 {
				t.Fatalf("%d columns on a screen of %d: %q", n, wide, line)
			}
		}
	})
}
