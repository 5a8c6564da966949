package strmatch

import "strings"

// Paths tests whether a path equals one of a set of paths or lies below it,
// component by component: /var/run covers /var/run/x but not /var/runner.
// Repeated slashes and one at either end do not count. A component of a listed
// path may be a glob.
type Paths struct{ root pathNode }

type pathNode struct {
	end   bool // a listed path ends here
	kids  map[string]*pathNode
	globs []pathGlob
}

type pathGlob struct {
	pattern string
	node    *pathNode
}

// NewPaths builds the set.
func NewPaths(paths []string) *Paths {
	p := &Paths{}
	for _, path := range paths {
		n := &p.root
		for rest := path; !n.end; {
			var comp string
			if comp, rest = component(rest); comp == "" {
				break
			}
			n = n.child(comp)
		}
		if !n.end {
			*n = pathNode{end: true} // everything below is covered
		}
	}
	return p
}

func (n *pathNode) child(comp string) *pathNode {
	if strings.ContainsAny(comp, "?*[") {
		for _, g := range n.globs {
			if g.pattern == comp {
				return g.node
			}
		}
		k := &pathNode{}
		n.globs = append(n.globs, pathGlob{comp, k})
		return k
	}
	k := n.kids[comp]
	if k == nil {
		k = &pathNode{}
		if n.kids == nil {
			n.kids = map[string]*pathNode{}
		}
		n.kids[comp] = k
	}
	return k
}

// component splits the first component off a path; it is "" at the end.
func component(path string) (comp, rest string) {
	i := 0
	for i < len(path) && path[i] == '/' {
		i++
	}
	path = path[i:]
	if end := strings.IndexByte(path, '/'); end >= 0 {
		return path[:end], path[end:]
	}
	return path, ""
}

// Match reports whether the set covers path. It visits each node of the set at
// most once.
func (p *Paths) Match(path string) bool { return p.root.match(path) }

func (n *pathNode) match(path string) bool {
	if n.end {
		return true
	}
	comp, rest := component(path)
	if comp == "" {
		return false
	}
	if k := n.kids[comp]; k != nil && k.match(rest) {
		return true
	}
	for _, g := range n.globs {
		if Glob(g.pattern, comp) && g.node.match(rest) {
			return true
		}
	}
	return false
}
