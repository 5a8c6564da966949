package catalog

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/scan"
	"pgregory.net/rapid"
)

// unpack applies a layer to a real directory as a container runtime does: whiteouts
// delete what the layers below left, then each entry replaces what stands in its way.
func unpack(t *rapid.T, root string, items []item) {
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, it := range items {
		switch dir, base := path.Split(it.name); {
		case base == ".wh..wh..opq":
			list, _ := os.ReadDir(filepath.Join(root, dir))
			for _, e := range list {
				must(os.RemoveAll(filepath.Join(root, dir, e.Name())))
			}
		case strings.HasPrefix(base, ".wh."):
			_ = os.RemoveAll(filepath.Join(root, dir, base[4:])) // a whiteout of nothing is none
		}
	}
	for _, it := range items {
		name, target, link := strings.Cut(it.name, " -> ")
		at := filepath.Join(root, name)
		info, err := os.Lstat(at)
		switch {
		case strings.Contains(it.name, ".wh."):
		case strings.HasSuffix(it.name, "/"):
			if err == nil && !info.IsDir() {
				must(os.Remove(at))
			}
			must(os.MkdirAll(at, 0o755))
		default:
			must(os.RemoveAll(at))
			must(os.MkdirAll(filepath.Dir(at), 0o755))
			if link {
				must(os.Symlink(target, at))
			} else {
				must(os.WriteFile(at, []byte(it.body), 0o644))
			}
		}
	}
}

// TestLayersLikeUnpacked: any sequence of layers gives the packages of the tree they
// unpack to, and each version the layer since which it lies there.
func TestLayersLikeUnpacked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		root, err := os.MkdirTemp("", "catalog")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(root)
		pick := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
		var tars [][]byte
		since := map[string]string{} // location and version → layer
		for i := range rapid.IntRange(1, 6).Draw(t, "layers") {
			var whiteouts, links, entries, aliased []item
			for range rapid.IntRange(1, 6).Draw(t, "steps") {
				top := pick("top", "a", "b", "l")
				module := top + "/node_modules/" + pick("module", "x", "y")
				switch pick("what", "add", "add", "add", "delete", "deleteDir", "opaque", "link", "file", "linkDir") {
				case "add":
					if top == "l" {
						aliased = append(aliased, item{name: "a/"}, item{name: "b/"}, item{name: "l/node_modules/"}, item{name: module + "/"}, item{name: module + "/package.json", body: pkg("p"+module[len(module)-1:], pick("version", "1.0.0", "2.0.0"))})
						continue
					}
					entries = append(entries, item{name: top + "/"}, item{name: top + "/node_modules/"}, item{name: module + "/"},
						item{name: module + "/package.json", body: pkg("p"+module[len(module)-1:], pick("version", "1.0.0", "2.0.0"))})
				case "delete":
					whiteouts = append(whiteouts, item{name: module + "/.wh.package.json"})
				case "deleteDir":
					whiteouts = append(whiteouts, item{name: pick("dir", top+"/node_modules/.wh."+module[len(module)-1:], ".wh."+top, top+"/.wh.node_modules")})
				case "opaque":
					whiteouts = append(whiteouts, item{name: pick("dir", top+"/.wh..wh..opq", module+"/.wh..wh..opq")})
				case "link":
					links = append(links, item{name: "l -> " + pick("target", "a", "b", "./a", "/b")})
				case "file":
					if top != "l" {
						if name := pick("name", top+"/node_modules", module, top); name == module {
							entries = append(entries, item{name: top + "/"}, item{name: top + "/node_modules/"}, item{name: name})
						} else if name == top {
							entries = append(entries, item{name: name})
						} else {
							entries = append(entries, item{name: top + "/"}, item{name: name})
						}
					}
				case "linkDir":
					if top != "l" {
						entries = append(entries, item{name: top + "/"}, item{name: top + "/node_modules -> ../elsewhere"})
					}
				}
			}
			// The same layer may not change a link and what is reached through it, nor one
			// thing under both names: the order of a runtime is its own there.
			if len(links) > 0 || len(entries) > 0 {
				aliased = nil
			}
			if len(links) > 0 || slices.ContainsFunc(whiteouts, func(w item) bool { return w.name == ".wh.l" }) {
				whiteouts = slices.DeleteFunc(whiteouts, func(w item) bool { return strings.HasPrefix(w.name, "l/") })
			}
			if len(links) > 0 {
				links = append([]item{{name: ".wh.l"}}, links[len(links)-1])
				links[1].name = strings.Replace(links[1].name, "-> /", "-> ", 1)
			}
			items := slices.Concat(whiteouts, links, entries, aliased)
			unpack(t, root, items)
			tars = append(tars, layerOf(noFatal{}, items...))
			tree, err := ReadRoot(context.Background(), scan.Image{}, root, Options{})
			if err != nil {
				t.Fatal(err)
			}
			now := map[string]string{}
			for _, p := range tree.Packages {
				key := p.Location + " " + p.Name + " " + p.Version
				now[key] = fmt.Sprint(i)
				if first, ok := since[key]; ok {
					now[key] = first
				}
			}
			since = now
		}
		c := read(noFatal{}, imageOf(noFatal{}, tars...), Options{})
		var got, want []string
		for _, p := range c.Packages {
			got = append(got, fmt.Sprint(p.Location+" "+p.Name+" "+p.Version, "@", p.Layer))
		}
		for key, layer := range since {
			want = append(want, key+"@"+layer)
		}
		slices.Sort(got)
		slices.Sort(want)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("layers\n%s\ntree\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if len(c.NotAssessed) > 0 {
			t.Fatalf("gaps: %v", c.NotAssessed)
		}
	})
}

// noFatal is a testing.TB for helpers called with a *rapid.T at hand.
type noFatal struct{ testing.TB }

func (noFatal) Helper()           {}
func (noFatal) Fatal(args ...any) { panic(fmt.Sprint(args...)) }
