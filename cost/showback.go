package cost

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Formats of WriteShowback.
const (
	ShowbackCSV  = "csv"
	ShowbackText = "text"
)

var showbackColumns = []string{"kind", "owner", "cluster", "namespace", "from", "to", "core_hours", "requested_core_hours",
	"used_core_hours", "cost", "idle_share", "protection", "currency", "as_of", "note"}

// WriteShowback writes who is charged with what: one line for each namespace, then idle,
// shared and unassigned, then the total, to which the column cost of the lines before it
// adds up exactly. Idle shares and protection stand beside the cost, not in it. Totals in
// other currencies follow as lines of their own. In CSV (RFC 4180, dots in numbers,
// amounts to the micro) a text that a spreadsheet would take for a formula is led by an
// apostrophe. What is not known is an empty cell with a note, never a zero.
func WriteShowback(w io.Writer, r *Report, format string) error {
	lines := showback(r)
	switch format {
	case ShowbackCSV, "":
		out := csv.NewWriter(w)
		if err := out.Write(showbackColumns); err != nil {
			return fmt.Errorf("write showback: %w", err)
		}
		for _, l := range lines {
			if err := out.Write(l); err != nil {
				return fmt.Errorf("write showback: %w", err)
			}
		}
		out.Flush()
		if err := out.Error(); err != nil {
			return fmt.Errorf("write showback: %w", err)
		}
		return nil
	case ShowbackText:
		out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(out, "OWNER\tCLUSTER\tNAMESPACE\tCORE-HOURS\tCOST\tIDLE SHARE\tPROTECTION\tNOTE")
		for _, l := range lines {
			owner := l[1]
			if l[0] != "namespace" && l[0] != "cluster" {
				owner = "(" + l[0] + ")"
			}
			fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s %s\t%s\t%s\t%s\n", owner, lastOf(l[2]), l[3], l[6], cents(l[9]), l[12], cents(l[10]), cents(l[11]), l[14])
		}
		if err := out.Flush(); err != nil {
			return fmt.Errorf("write showback: %w", err)
		}
		return nil
	}
	return fmt.Errorf("showback format %q is not known: use %s or %s", format, ShowbackCSV, ShowbackText)
}

func showback(r *Report) [][]string {
	from, to := rfcTime(r.From), rfcTime(r.To)
	var out [][]string
	for _, a := range r.Namespaces {
		kind := "namespace"
		if a.Namespace == "" {
			kind = "cluster"
		}
		owner := a.Owner
		if owner == "" {
			owner = Unowned
		}
		used := threePlaces(a.Used)
		var notes []string
		if a.UsedWhy != "" {
			used = ""
			notes = append(notes, "used: "+a.UsedWhy)
		}
		for _, m := range []struct {
			what string
			of   Money
		}{{"cost", a.Cost}, {"idle share", a.IdleShare}, {"protection", a.Protection}} {
			if m.of.NotAssessed != "" {
				notes = append(notes, m.what+": "+m.of.NotAssessed)
			}
		}
		cores, requested := threePlaces(a.CoreHours), threePlaces(a.Requested)
		if a.Namespace == "" {
			cores, requested, used = "", "", ""
		}
		out = append(out, []string{kind, safeText(owner), safeText(a.Cluster), safeText(a.Namespace), from, to, cores, requested, used,
			exactly(a.Cost), exactly(a.IdleShare), exactly(a.Protection), safeText(a.Cost.Currency), safeText(a.Cost.AsOf), safeText(strings.Join(notes, "; "))})
	}
	sum := func(kind string, m Money) {
		out = append(out, []string{kind, "", "", "", from, to, "", "", "", exactly(m), "", "", safeText(m.Currency), safeText(m.AsOf), safeText(m.NotAssessed)})
	}
	sum("idle", r.Idle)
	sum("shared", r.Shared)
	sum("unassigned", r.Unassigned)
	sum("total", r.Billed)
	for _, m := range r.Others {
		sum("other currency", m)
	}
	return out
}

func rfcTime(t int64) string { return time.Unix(0, t).UTC().Format(time.RFC3339) }

func threePlaces(f float64) string { return strconv.FormatFloat(f, 'f', 3, 64) }

// exactly writes an amount to the micro; nothing where it means nothing.
func exactly(m Money) string {
	if m.NotAssessed != "" {
		return ""
	}
	return m.Amount.String()
}

// String is the amount in units with six decimals: -12.345000.
func (a Amount) String() string {
	sign, u := "", uint64(a)
	if a < 0 {
		sign, u = "-", -u
	}
	return fmt.Sprintf("%s%d.%06d", sign, u/uint64(Unit), u%uint64(Unit))
}

// cents cuts a decimal with six places to two, for reading.
func cents(s string) string {
	if len(s) < 4 {
		return "–"
	}
	return s[:len(s)-4]
}

// lastOf is the name at the end of an ARM id.
func lastOf(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

// safeText is safe to open in a spreadsheet: what would be a formula is led by an apostrophe.
func safeText(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, s)
	if t := strings.TrimLeft(s, " "); t != "" && strings.ContainsRune("=+-@|%", rune(t[0])) {
		return "'" + s
	}
	return s
}
