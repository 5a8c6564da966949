package match

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/inuse"
	"github.com/dockreeve/dockreeve/scan"
)

// View is what is known of the loads of one image, wherever it runs. The zero value
// says that nobody has watched.
type View struct {
	// Since is the earliest time from which on a container of the image was watched
	// from its own start; 0 = none was. Only then can a package be called not seen: a
	// program loads its libraries when it starts.
	Since int64
	// Reason says why Since is 0, in words.
	Reason string
	// Loads by path, as the image sees it; sorted by ViewOf.
	Loads []inuse.Load
}

// ViewOf joins the reports of all containers of one image; for each container the
// newest full report and those after it must be among them. Paths of several reports
// merge: first and last load over all of them.
func ViewOf(reports []inuse.Report) View {
	var v View
	byPath := map[string]inuse.Load{}
	late := int64(0)
	blind := 0 // containers that run and were not watched from their start
	for i := range reports {
		r := &reports[i]
		if !r.Ended && (r.Since == 0 || r.Started == 0 || r.Since > r.Started) {
			blind++
		}
		switch {
		case r.Since == 0:
			if v.Reason == "" {
				v.Reason = r.NotWatched
			}
		case r.Started != 0 && r.Since <= r.Started:
			if v.Since == 0 || r.Since < v.Since {
				v.Since = r.Since
			}
		default:
			if late == 0 || r.Since < late {
				late = r.Since
			}
		}
		for _, l := range r.Loads {
			p := usrPath(l.Path)
			old, seen := byPath[p]
			if !seen {
				byPath[p] = inuse.Load{Path: p, First: l.First, Last: l.Last}
				continue
			}
			if l.First != 0 && (old.First == 0 || l.First < old.First) {
				old.First = l.First
			}
			old.Last = max(old.Last, l.Last)
			byPath[p] = old
		}
	}
	for _, l := range byPath {
		v.Loads = append(v.Loads, l)
	}
	sort.Slice(v.Loads, func(i, j int) bool { return v.Loads[i].Path < v.Loads[j].Path })
	switch {
	case v.Since != 0 && blind > 0:
		// What the others did not load, these may have.
		v.Since = 0
		v.Reason = fmt.Sprintf("%d of its containers that run were not watched from their start: what they loaded before is not known", blind)
	case v.Since != 0:
		v.Reason = ""
	case late != 0:
		v.Reason = fmt.Sprintf("watching began at %s, after its containers had started: what they loaded before is not known",
			time.Unix(0, late).UTC().Format(time.RFC3339))
	case v.Reason == "" && len(reports) > 0:
		v.Reason = "the loads of its containers are not watched"
	}
	return v
}

// Use says of every vulnerability whether its package was seen loaded, and ranks anew.
// Loaded needs one load of one of the package's files; not seen needs a container
// watched from its start, and a package whose files are known. r is changed.
func Use(r *scan.Report, v View) {
	if !slices.IsSortedFunc(v.Loads, func(a, b inuse.Load) int { return strings.Compare(a.Path, b.Path) }) {
		v = View{v.Since, v.Reason, slices.Clone(v.Loads)}
		slices.SortFunc(v.Loads, func(a, b inuse.Load) int { return strings.Compare(a.Path, b.Path) })
	}
	uses := map[int]scan.Use{}
	for i := range r.Vulnerabilities {
		f := &r.Vulnerabilities[i]
		if f.Package < 0 || f.Package >= len(r.Packages) {
			continue
		}
		u, known := uses[f.Package]
		if !known {
			u = v.Of(&r.Packages[f.Package])
			uses[f.Package] = u
		}
		f.Use = u
		f.Rank = Rank(f)
	}
	Sort(r.Vulnerabilities, r.Packages)
}

// Of tells the use of one package. v.Loads must be sorted by path, as ViewOf does.
func (v View) Of(p *scan.Package) scan.Use {
	u := scan.Use{Since: v.Since}
	see := func(l *inuse.Load) {
		u.State = scan.Loaded
		if l.First != 0 && (u.First == 0 || l.First < u.First) {
			u.First = l.First
		}
		if l.Last >= u.Last {
			u.Last, u.Path = l.Last, l.Path
		}
	}
	for _, f := range p.Files {
		f = usrPath(f)
		if i, ok := v.at(f); ok {
			see(&v.Loads[i])
		}
	}
	for _, d := range p.Dirs {
		d = usrPath(d)
		if d == "" {
			continue // every file of the image would be its own
		}
		d = strings.TrimSuffix(d, "/") + "/"
		i, _ := v.at(d)
		for ; i < len(v.Loads) && strings.HasPrefix(v.Loads[i].Path, d); i++ {
			see(&v.Loads[i])
		}
	}
	switch {
	case u.State == scan.Loaded:
	case v.Since == 0:
		u.Reason = or(v.Reason, "no container of this image has been watched")
	case p.Dev:
		u.Reason = "only a lock file speaks of it: it is not installed"
	case len(p.Files) == 0 && len(p.Dirs) == 0:
		u.Reason = "no file of it is known whose load could be seen"
	case len(p.Files) >= scan.MaxFiles:
		u.Reason = fmt.Sprintf("it has more than %d files, not all of which are known", scan.MaxFiles)
	default:
		u.State = scan.NotSeen
	}
	return u
}

func (v View) at(path string) (int, bool) {
	return slices.BinarySearchFunc(v.Loads, path, func(l inuse.Load, p string) int { return strings.Compare(l.Path, p) })
}

// usrPath writes a path as a merged /usr has it: package databases say lib/x where the
// kernel says usr/lib/x.
func usrPath(p string) string {
	p = strings.TrimPrefix(p, "/")
	top, _, deep := strings.Cut(p, "/")
	if !deep {
		return p
	}
	switch top {
	case "bin", "sbin", "lib", "lib64", "lib32", "libx32":
		return "usr/" + p
	}
	return p
}
