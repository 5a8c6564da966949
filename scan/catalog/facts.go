package catalog

import (
	"slices"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/config"
)

// judge joins what the layers told of modes, caches and settings, and has scan/config
// say what is wrong with it.
func judge(c *scan.Catalog, v *view, rooted bool) {
	var all config.Facts
	for i, l := range v.layers {
		f := &l.r.Facts
		layer := i
		if rooted {
			layer = -1
		}
		all.Entries += f.Entries
		noted := func(to *[]config.Noted, from []config.Noted) {
			for _, n := range from {
				if n.Layer = layer; !v.hidden(n.Path, i) {
					*to = append(*to, n)
				}
			}
		}
		noted(&all.Setuid, f.Setuid)
		noted(&all.Writable, f.Writable)
		for _, n := range f.Interest {
			n.Layer, n.Hidden = layer, v.hidden(n.Path, i)
			all.Interest = append(all.Interest, n)
		}
		for _, n := range f.Tools {
			if n.Layer = layer; !v.hidden(n.Path, i) {
				all.Tools = append(all.Tools, n)
			}
		}
		for _, n := range f.Caches {
			n.Layer = layer
			all.Caches = append(all.Caches, n)
		}
		lines := func(to *[]config.Line, from []config.Line) {
			for _, n := range from {
				if n.Layer = layer; !v.hidden(n.Path, i) {
					*to = append(*to, n)
				}
			}
		}
		lines(&all.Sudoers, f.Sudoers)
		lines(&all.NoPass, f.NoPass)
		lines(&all.SSHD, f.SSHD)
		for what, n := range f.Dropped {
			if all.Dropped == nil {
				all.Dropped = map[string]int{}
			}
			all.Dropped[what] += n
		}
	}
	whole := !slices.ContainsFunc(c.Image.Layers, func(l scan.Layer) bool { return l.NotAssessed != "" })
	if whole {
		all.Done()
	}
	missteps, gaps := config.Judge(&c.Image, &all, config.Options{Now: c.ScannedAt})
	c.Config = missteps
	c.NotAssessed = append(c.NotAssessed, gaps...)
}
