package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/dockreeve/dockreeve/scan"
)

// progress says on a terminal what is going on, in one line that is wiped at the end.
// It is nil, and says nothing, where nobody watches: in pipelines, in files, with -q.
// Safe for concurrent use.
type progress struct {
	w io.Writer

	mu    sync.Mutex
	what  string
	total int64 // stored bytes of all layers; 0 unknown
	read  int64
	shown int64 // MiB as of the last line
	last  int   // columns of the last line
}

// newProgress gives nil where nobody watches.
func newProgress(w io.Writer, quiet bool) *progress {
	if f, ok := w.(*os.File); quiet || !ok || !isTerminal(f) || os.Getenv("CI") != "" {
		return nil
	}
	return &progress{w: w}
}

// say starts a new matter.
func (p *progress) say(what string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what, p.total, p.read, p.shown = clean(what), 0, 0, 0
	p.draw()
}

// begin says which image's layers are read now.
func (p *progress) begin(img *scan.Image) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what, p.total, p.read, p.shown = clean(img.Name), img.Size, 0, 0
	p.draw()
}

// counter is what image.Options.Progress wants; nil where nobody watches.
func (p *progress) counter() func(int64) {
	if p == nil {
		return nil
	}
	return func(n int64) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.read += n; p.read>>20 != p.shown {
			p.shown = p.read >> 20
			p.draw()
		}
	}
}

const barWidth = 24

func (p *progress) draw() {
	what := []rune(p.what)
	if len(what) > 48 {
		what = append([]rune("…"), what[len(what)-47:]...)
	}
	line := string(what)
	switch {
	case p.total > 0:
		done := int(min(p.read, p.total) * barWidth / p.total)
		line += fmt.Sprintf("  %s%s  %d of %d MiB", strings.Repeat("█", done), strings.Repeat("░", barWidth-done), p.read>>20, (p.total+1<<20-1)>>20)
	case p.read > 0:
		line += fmt.Sprintf("  %d MiB", p.read>>20)
	}
	columns := len([]rune(line))
	fmt.Fprint(p.w, "\r"+line+strings.Repeat(" ", max(0, p.last-columns)))
	p.last = columns
}

// done wipes the line.
func (p *progress) done() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last > 0 {
		fmt.Fprint(p.w, "\r"+strings.Repeat(" ", p.last)+"\r")
		p.last = 0
	}
}
