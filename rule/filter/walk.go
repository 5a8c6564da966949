package filter

// Walk calls visit for e and everything below it, parents first; when visit
// returns false the kids of that node are left out. Nodes are Expr, and Value
// for what checks compare.
func Walk(e Expr, visit func(node any) bool) {
	if e == nil || !visit(e) {
		return
	}
	switch e := e.(type) {
	case *And:
		for _, k := range e.Kids {
			Walk(k, visit)
		}
	case *Or:
		for _, k := range e.Kids {
			Walk(k, visit)
		}
	case *Not:
		Walk(e.Kid, visit)
	case *Check:
		WalkValue(e.Left, visit)
		if e.Right != nil {
			WalkValue(e.Right, visit)
		}
	}
}

// WalkValue does for a value what Walk does for a condition.
func WalkValue(v Value, visit func(node any) bool) {
	if v == nil || !visit(v) {
		return
	}
	switch v := v.(type) {
	case *Transform:
		for _, a := range v.Args {
			WalkValue(a, visit)
		}
	case *Tuple:
		for _, a := range v.Items {
			WalkValue(a, visit)
		}
	case *List:
		for _, a := range v.Items {
			visit(a)
		}
	}
}

// Rewrite replaces leaves: replace is called for every *Macro and *Check and
// returns what stands there instead (the node itself to keep it). Nodes above a
// change are copied, the rest is shared; e itself is never altered.
func Rewrite(e Expr, replace func(leaf Expr) (Expr, error)) (Expr, error) {
	switch e := e.(type) {
	case *And:
		kids, err := rewriteAll(e.Kids, replace)
		if err != nil || kids == nil {
			return e, err
		}
		return &And{Pos: e.Pos, Kids: kids}, nil
	case *Or:
		kids, err := rewriteAll(e.Kids, replace)
		if err != nil || kids == nil {
			return e, err
		}
		return &Or{Pos: e.Pos, Kids: kids}, nil
	case *Not:
		kid, err := Rewrite(e.Kid, replace)
		if err != nil || kid == e.Kid {
			return e, err
		}
		return &Not{Pos: e.Pos, Kid: kid}, nil
	}
	return replace(e)
}

// rewriteAll returns nil when nothing changed.
func rewriteAll(kids []Expr, replace func(Expr) (Expr, error)) ([]Expr, error) {
	var out []Expr
	for i, k := range kids {
		n, err := Rewrite(k, replace)
		if err != nil {
			return nil, err
		}
		if n != k && out == nil {
			out = append(make([]Expr, 0, len(kids)), kids[:i]...)
		}
		if out != nil {
			out = append(out, n)
		}
	}
	return out, nil
}

// Equal compares two trees and ignores positions.
func Equal(a, b Expr) bool {
	switch a := a.(type) {
	case *And:
		b, ok := b.(*And)
		return ok && equalKids(a.Kids, b.Kids)
	case *Or:
		b, ok := b.(*Or)
		return ok && equalKids(a.Kids, b.Kids)
	case *Not:
		b, ok := b.(*Not)
		return ok && Equal(a.Kid, b.Kid)
	case *Macro:
		b, ok := b.(*Macro)
		return ok && a.Name == b.Name
	case *Check:
		b, ok := b.(*Check)
		return ok && a.Op == b.Op && a.Modifier == b.Modifier &&
			EqualValue(a.Left, b.Left) && EqualValue(a.Right, b.Right)
	}
	return a == nil && b == nil
}

func equalKids(a, b []Expr) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

// EqualValue compares two values by meaning: positions do not count, nor does
// whether a string was quoted.
func EqualValue(a, b Value) bool {
	switch a := a.(type) {
	case *Field:
		b, ok := b.(*Field)
		return ok && a.Name == b.Name && a.HasArg == b.HasArg && a.Arg == b.Arg
	case *Transform:
		b, ok := b.(*Transform)
		return ok && a.Name == b.Name && a.HasSelector == b.HasSelector && a.Selector == b.Selector && equalValues(a.Args, b.Args)
	case *Tuple:
		b, ok := b.(*Tuple)
		return ok && equalValues(a.Items, b.Items)
	case *Literal:
		b, ok := b.(*Literal)
		return ok && a.Text == b.Text
	case *List:
		b, ok := b.(*List)
		if !ok || len(a.Items) != len(b.Items) {
			return false
		}
		for i := range a.Items {
			if a.Items[i].Text != b.Items[i].Text {
				return false
			}
		}
		return true
	case *Ident:
		b, ok := b.(*Ident)
		return ok && a.Name == b.Name
	}
	return a == nil && b == nil
}

func equalValues(a, b []Value) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !EqualValue(a[i], b[i]) {
			return false
		}
	}
	return true
}
