package catalog

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestReplacedAgainAndAgain: a layer may name one path as often as it likes; what that
// costs is bounded by its length, not by the square of it.
func TestReplacedAgainAndAgain(t *testing.T) {
	var items []item
	for i := range 2000 {
		items = append(items, item{name: fmt.Sprintf("a/node_modules/p%d/package.json", i), body: pkg(fmt.Sprint("p", i), "1.0.0")})
	}
	items = append(items, item{name: "keep/node_modules/q/package.json", body: pkg("q", "1.0.0")})
	for range 20_000 {
		items = append(items, item{name: "a", body: "x"})
	}
	c := read(t, imageOf(t, layerOf(t, items...)), Options{})
	if g, ok := gapOf(c, "layer 0"); !ok || !strings.Contains(g.Reason, "again and again") {
		t.Errorf("want a bound, have %+v", c.NotAssessed)
	}

	// A directory with a package turned into a file and back, beside many others.
	items = nil
	for i := range 2000 {
		items = append(items, item{name: fmt.Sprintf("b/node_modules/p%d/package.json", i), body: pkg(fmt.Sprint("p", i), "1.0.0")})
	}
	for i := range 20_000 {
		items = append(items, item{name: "a/node_modules/q/package.json", body: pkg("q", fmt.Sprintf("1.0.%d", i))}, item{name: "a", body: "x"})
	}
	s := imageOf(t, layerOf(t, items...))
	w := newWalker(Options{}.orDefault(), nil)
	open := func() (io.ReadCloser, error) { return s.Layer(t.Context(), 0) }
	if _, err := w.layer(t.Context(), open); err == nil || !strings.Contains(err.Error(), "again and again") {
		t.Errorf("want a bound, have %v", err)
	}
	if n := len(w.r.Files); n > 2100 {
		t.Errorf("%d places are held for 2,001 files", n)
	}
}

// TestHardLinksDoNotMultiply: a link costs a link, not another copy of what it names.
func TestHardLinksDoNotMultiply(t *testing.T) {
	type p struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	var list []p
	for i := range 2000 {
		list = append(list, p{fmt.Sprintf("v/p%d", i), "1.0.0"})
	}
	body, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	items := []item{{name: "0/vendor/composer/installed.json", body: string(body)}}
	for i := range 2000 {
		items = append(items, item{name: fmt.Sprintf("%d/vendor/composer/installed.json => 0/vendor/composer/installed.json", i+1)})
	}
	c := read(t, imageOf(t, layerOf(t, items...)), Options{Limits: Limits{Packages: 10_000}})
	if n := len(c.Packages); n != 2000+10_000 {
		t.Errorf("%d packages, want those of the file and as many more as are granted", n)
	}
	if len(c.NotAssessed) == 0 {
		t.Error("packages were left out without a word")
	}
}

// TestPackagesOfAllLayers: many layers may not hold what one may not.
func TestPackagesOfAllLayers(t *testing.T) {
	var tars [][]byte
	for i := range 6 {
		tars = append(tars, layerOf(t, item{name: fmt.Sprintf("%d/node_modules/p/package.json", i), body: pkg("p", "1.0.0")}))
	}
	opt := Options{Cache: t.TempDir(), Parallel: 1, Limits: Limits{ImagePackages: 4}}
	for range 2 { // what other layers cut off is not cached
		c := read(t, imageOf(t, tars...), opt)
		if len(c.Packages) != 4 || len(c.NotAssessed) != 2 {
			t.Errorf("%d packages and %+v, want 4 and 2 gaps", len(c.Packages), c.NotAssessed)
		}
	}
}

// TestManyNamesOfAProgram: its use is followed under all of its names, or not at all.
func TestManyNamesOfAProgram(t *testing.T) {
	jar := zipOf(t, "META-INF/MANIFEST.MF", "Implementation-Version: 1.2\n")
	for n, want := range map[int]int{3: 4, maxNames: maxNames + 1, maxNames + 1: 0} {
		items := []item{{name: "opt/x.jar", body: jar}}
		for i := range n {
			items = append(items, item{name: fmt.Sprintf("opt/%d.jar => opt/x.jar", i)})
		}
		if got := len(find(t, read(t, imageOf(t, layerOf(t, items...)), Options{}), "x:x").Files); got != want {
			t.Errorf("%d links: %d names, want %d", n, got, want)
		}
	}
}
