package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"

	"github.com/dockreeve/dockreeve/govern"
)

//go:embed playbook.css
var playbookCSS string

//go:embed playbook.html
var playbookHTML string

// policy lets the page do nothing: no script, no request, only the one style sheet that
// it carries, named by its digest.
func policy(css string) string {
	sum := sha256.Sum256([]byte(css))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
}

// bar is a share as parts of a width of 100.
type bar struct{ Yes, Unknown, Goal float64 }

func (c check) Bar() *bar {
	if c.Of == 0 {
		return nil
	}
	b := &bar{Yes: 100 * float64(c.N) / float64(c.Of), Unknown: 100 * float64(c.Unknown) / float64(c.Of), Goal: 100}
	if c.Goal > 0 {
		b.Goal = 100 * c.Goal
	}
	return b
}

// UnknownAt is where the unknown part begins.
func (b *bar) UnknownAt() float64 { return b.Yes }

// Shape is a sign for the state that needs no colour.
func (c check) Shape() string {
	switch c.State {
	case govern.CheckDone:
		return "✓"
	case govern.CheckOpen:
		return "!"
	}
	return "?"
}

// spark is the path of a trend in a box of 120 by 28.
type spark struct {
	Line         string
	X, Y         float64
	Least, Most  string
	First, Final string
}

func (k kpi) Spark() *spark {
	if len(k.Trend) < 2 {
		return nil
	}
	least, most := math.Inf(1), math.Inf(-1)
	for _, p := range k.Trend {
		least, most = math.Min(least, p.Value), math.Max(most, p.Value)
	}
	height := most - least
	if height == 0 {
		height = 1
	}
	s := &spark{Least: decimal(least), Most: decimal(most), First: date(k.Trend[0].At), Final: date(k.Trend[len(k.Trend)-1].At)}
	from, to := k.Trend[0].At, k.Trend[len(k.Trend)-1].At
	if to == from {
		to++
	}
	var parts []string
	for _, p := range k.Trend {
		s.X, s.Y = 3+114*float64(p.At-from)/float64(to-from), 25-22*(p.Value-least)/height
		parts = append(parts, fmt.Sprintf("%.1f,%.1f", s.X, s.Y))
	}
	s.Line = strings.Join(parts, " ")
	return s
}

func writeHTML(w io.Writer, d *document) error {
	t, err := template.New("playbook").Funcs(template.FuncMap{
		"number": func(i int) int { return i + 1 },
		"join":   func(list []string) string { return strings.Join(list, ", ") },
	}).Parse(playbookHTML)
	if err != nil {
		return err
	}
	return t.Execute(w, struct {
		*document
		CSS    template.CSS
		Policy string
	}{d, template.CSS(playbookCSS), policy(playbookCSS)})
}

// Tail is tail, for the template.
func (d *document) Tail() string { return d.tail() }

// Total is how many lines of evidence there are, shown or not.
func (c check) Total() int { return len(c.Evidence) + c.More }
