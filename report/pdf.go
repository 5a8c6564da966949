package report

import (
	"fmt"
	"io"
	"strings"

	"codeberg.org/go-pdf/fpdf"
	"github.com/dockreeve/dockreeve/govern"
)

// pdf sets a document on A4 pages.
type pdf struct {
	*fpdf.Fpdf
	otherwise int // characters that the fonts do not have
}

type colour [3]int

var (
	ink    = colour{28, 36, 48}
	soft   = colour{91, 102, 117}
	line   = colour{221, 226, 233}
	accent = colour{36, 80, 126}
	green  = colour{31, 122, 77}
	red    = colour{179, 57, 31}
	ochre  = colour{107, 90, 30}
)

const (
	pageWidth = 182.0 // of the text, in millimetres
	margin    = 14.0
)

func stateColour(state string) colour {
	switch state {
	case govern.CheckDone:
		return green
	case govern.CheckOpen:
		return red
	}
	return ochre
}

func writePDF(w io.Writer, d *document) error {
	f := fpdf.New("P", "mm", "A4", "")
	f.SetCreationDate(d.made)
	f.SetModificationDate(d.made)
	f.SetCatalogSort(true)
	f.SetMargins(margin, 16, margin)
	f.SetAutoPageBreak(true, 18)
	f.AliasNbPages("{pages}")
	p := &pdf{Fpdf: f}
	f.SetTitle(d.Title, true)
	f.SetAuthor(strings.TrimSpace("Dockreeve "+d.Version), true)
	f.SetLang("en")
	f.SetFooterFunc(func() {
		f.SetY(-12)
		p.font("", 8, soft)
		f.CellFormat(pageWidth/2, 5, p.latin(d.Title+", "+d.At), "", 0, "L", false, 0, "")
		f.CellFormat(pageWidth/2, 5, fmt.Sprintf("%d of {pages}", f.PageNo()), "", 0, "R", false, 0, "")
	})
	f.AddPage()
	p.head(d)
	p.title("Numbers")
	p.numbers(d.KPIs)
	p.title("Checklist")
	p.text("", 9, soft, "None of these can be ticked by hand: each is computed by its rule. What was not assessed is never done.")
	for _, c := range d.Checks {
		p.check(c)
	}
	p.title("Pitfalls")
	for _, c := range d.Pitfalls {
		p.check(c)
	}
	p.title("What to do first")
	p.recommendations(d)
	if len(d.Findings) > 0 {
		p.title("Findings")
		for _, f := range d.Findings {
			p.text("", 9, ink, f.Severity+", "+f.Owner+": "+f.Summary)
			p.Ln(1)
		}
		if d.MoreFindings > 0 {
			p.text("", 8.5, soft, fmt.Sprintf("%d more are not listed.", d.MoreFindings))
		}
	}
	p.title("What this does not say")
	for _, g := range d.Gaps {
		p.text("", 9, ink, g.What+": "+join(g.Reason, g.Remedy))
	}
	if len(d.Gaps) == 0 {
		p.text("", 9, ink, "No gap was told of.")
	}
	if p.otherwise > 0 {
		p.Ln(3)
		p.text("I", 8.5, ochre, fmt.Sprintf("%d characters are not in the fonts of this document and are written without their marks or as “?”. The HTML, CSV and JSON of the same playbook have them as they are.", p.otherwise))
	}
	return f.Output(w)
}

func (p *pdf) font(style string, size float64, c colour) {
	p.SetFont("Helvetica", style, size)
	p.SetTextColor(c[0], c[1], c[2])
}

// text writes a paragraph over the whole width.
func (p *pdf) text(style string, size float64, c colour, s string) {
	if s == "" {
		return
	}
	p.font(style, size, c)
	p.SetX(margin)
	p.MultiCell(pageWidth, size*0.48, p.latin(s), "", "L", false)
}

func (p *pdf) need(height float64) {
	_, page := p.GetPageSize()
	if p.GetY()+height > page-18 {
		p.AddPage()
	}
}

func (p *pdf) title(s string) {
	p.need(24)
	p.Ln(5)
	p.text("B", 13, ink, s)
	p.SetDrawColor(line[0], line[1], line[2])
	p.Line(margin, p.GetY()+1, margin+pageWidth, p.GetY()+1)
	p.Ln(3)
	p.Bookmark(p.latin(s), 0, -1)
}

func (p *pdf) head(d *document) {
	p.text("B", 9.5, accent, strings.TrimSpace("Dockreeve "+d.Version))
	p.text("B", 20, ink, d.Title)
	about := "evaluated " + d.At + "; " + d.TenantAt
	if d.Name != "" {
		about = d.Name + "; " + about
	}
	p.text("", 9, soft, about)
	p.Ln(2)
	p.text("", 12, ink, d.Headline)
	p.Ln(2)
	p.SetDrawColor(line[0], line[1], line[2])
	for _, c := range d.Checks {
		p.font("", 9.5, ink)
		p.SetX(margin)
		p.CellFormat(95, 5.6, p.latin(c.Title), "B", 0, "L", false, 0, "")
		p.CellFormat(57, 5.6, p.latin(c.Count), "B", 0, "L", false, 0, "")
		p.font("B", 9.5, stateColour(c.State))
		p.CellFormat(30, 5.6, p.latin(c.Word), "B", 1, "R", false, 0, "")
	}
}

// numbers sets KPIs in two columns.
func (p *pdf) numbers(list []kpi) {
	const gap, width = 8.0, (pageWidth - 8.0) / 2
	for i := 0; i < len(list); i += 2 {
		p.need(46)
		top := p.GetY()
		bottom := top
		for j, k := range list[i:min(i+2, len(list))] {
			x := margin + float64(j)*(width+gap)
			p.SetY(top)
			put := func(style string, size float64, c colour, s string) {
				if s == "" {
					return
				}
				p.font(style, size, c)
				p.SetX(x)
				p.MultiCell(width, size*0.48, p.latin(s), "", "L", false)
			}
			put("B", 9.5, soft, k.Title)
			if k.raw == nil {
				put("B", 12, ochre, k.Value)
			} else {
				put("B", 15, ink, k.Value)
				put("", 8.5, soft, k.Unit)
			}
			p.spark(k, x, width)
			c := soft
			switch k.ChangeState {
			case "better":
				c = green
			case "worse":
				c = red
			}
			put("", 9, c, k.Change)
			put("", 9, ink, k.Count)
			if k.Why != "" {
				put("", 8.5, ochre, "Not assessed: "+k.Why)
			}
			put("", 8.5, soft, k.Note)
			put("I", 8, soft, "Rule: "+k.Rule)
			bottom = max(bottom, p.GetY())
		}
		p.SetY(bottom + 4)
	}
	for _, k := range list {
		if len(k.By) == 0 {
			continue
		}
		p.need(20)
		p.text("B", 9.5, ink, k.Title+", by part")
		p.SetDrawColor(line[0], line[1], line[2])
		cell := min(24, (pageWidth-50)/float64(len(k.Columns)))
		row := func(style string, c colour, name string, cells []string) {
			p.font(style, 8.5, c)
			p.SetX(margin)
			p.CellFormat(pageWidth-cell*float64(len(cells)), 4.6, p.fit(name, pageWidth-cell*float64(len(cells))), "B", 0, "L", false, 0, "")
			for _, s := range cells {
				p.CellFormat(cell, 4.6, p.fit(s, cell), "B", 0, "R", false, 0, "")
			}
			p.Ln(4.6)
		}
		row("B", soft, "", k.Columns)
		for _, s := range k.By {
			row("", ink, s.Name, s.Cells)
		}
		if k.More > 0 {
			p.text("", 8.5, soft, fmt.Sprintf("%d more are not listed.", k.More))
		}
		p.Ln(3)
	}
}

// fit shortens text to a width; what is cut is marked.
func (p *pdf) fit(s string, width float64) string {
	s = p.latin(s)
	if p.GetStringWidth(s) <= width-2 {
		return s
	}
	for len(s) > 1 && p.GetStringWidth(s+"\x85") > width-2 {
		s = s[:len(s)-1]
	}
	return s + "\x85"
}

func (p *pdf) spark(k kpi, x, width float64) {
	if len(k.Trend) < 2 {
		return
	}
	least, most := k.Trend[0].Value, k.Trend[0].Value
	for _, t := range k.Trend {
		least, most = min(least, t.Value), max(most, t.Value)
	}
	height := most - least
	if height == 0 {
		height = 1
	}
	from, to := k.Trend[0].At, k.Trend[len(k.Trend)-1].At
	top := p.GetY() + 1
	p.SetDrawColor(accent[0], accent[1], accent[2])
	p.SetLineWidth(0.35)
	var px, py float64
	for i, t := range k.Trend {
		tx := x + 0.62*width*float64(t.At-from)/float64(max(1, to-from))
		ty := top + 7 - 7*(t.Value-least)/height
		if i > 0 {
			p.Line(px, py, tx, ty)
		}
		px, py = tx, ty
	}
	p.SetFillColor(accent[0], accent[1], accent[2])
	p.Circle(px, py, 0.7, "F")
	p.SetLineWidth(0.2)
	p.SetY(top + 8)
	p.font("", 7.5, soft)
	p.SetX(x)
	p.MultiCell(width, 3.6, p.latin(decimal(least)+" … "+decimal(most)+", "+k.Span), "", "L", false)
}

func (p *pdf) check(c check) {
	p.need(26)
	p.Ln(2)
	p.font("B", 10.5, ink)
	p.SetX(margin)
	p.CellFormat(pageWidth-32, 5.5, p.latin(c.Title), "", 0, "L", false, 0, "")
	p.font("B", 9.5, stateColour(c.State))
	p.CellFormat(32, 5.5, p.latin(c.Word), "", 1, "R", false, 0, "")
	p.Bookmark(p.latin(c.Title), 1, -1)
	if b := c.Bar(); b != nil {
		y := p.GetY() + 0.8
		fill := func(col colour, from, share float64) {
			p.SetFillColor(col[0], col[1], col[2])
			if share > 0 {
				p.Rect(margin+pageWidth*from/100, y, pageWidth*share/100, 1.4, "F")
			}
		}
		fill(line, 0, 100)
		fill(accent, 0, b.Yes)
		fill(ochre, b.Yes, b.Unknown)
		p.SetY(y + 2.4)
	}
	p.text("", 9.5, ink, c.Count)
	if c.Why != "" {
		p.text("", 9, ochre, "Not assessed: "+c.Why)
	}
	p.text("", 9, soft, c.Note)
	p.text("I", 8, soft, "Rule: "+c.Rule)
	for _, e := range c.Evidence {
		s := e.Kind + " " + e.Name + ": " + e.Why
		if e.Do != "" {
			s += " → " + e.Do
		}
		p.font("", 8.5, ink)
		p.SetX(margin + 4)
		p.MultiCell(pageWidth-4, 4.1, p.latin("• "+s), "", "L", false)
	}
	if c.More > 0 {
		p.text("", 8.5, soft, fmt.Sprintf("and %d more, which the CSV of the playbook and the console list", c.More))
	}
}

func (p *pdf) recommendations(d *document) {
	if len(d.Recommendations) == 0 {
		p.text("", 9, ink, "Nothing is recommended. That says only as much as was assessed: see the gaps.")
	}
	for i, r := range d.Recommendations {
		p.need(20)
		p.text("B", 9.5, ink, fmt.Sprintf("%d. %s", i+1, r.Title))
		c := soft
		if r.Overdue {
			c = red
		}
		p.text("", 8.5, c, join(r.Severity, r.Owner, "due "+r.Due, "said by "+r.Sources))
		p.text("", 9, ink, r.Recommendation.Why)
		p.text("", 8.5, soft, fmt.Sprintf("%s (%d places, %d workloads)", r.Where, r.Count, r.Workloads))
		if len(r.Do) > 0 {
			p.text("", 8.5, ink, strings.Join(r.Do, "\n"))
		}
		p.text("I", 8.5, ochre, r.Disagree)
		p.Ln(2)
	}
	p.text("", 8.5, soft, d.tail())
}
