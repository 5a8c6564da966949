package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"unicode"
)

// slot is one field of a struct that the codec carries.
type slotRow struct {
	Name, Key, Type string
}

// structRow is one struct that the codec carries.
type structRow struct {
	Name  string
	Slots []slotRow
}

// codecStructs are the structs with a JSON form, in the order they are written.
var codecStructs = []string{
	"Event", "Process", "Stream", "Container", "Label", "Mount", "Loss",
	"Facts", "Kept", "WrittenFile", "PipeEnds", "PipeEnd",
}

// readStructs takes the shapes of codecStructs from the package's source.
func readStructs(root string) ([]structRow, error) {
	found := map[string]structRow{}
	for _, name := range []string{"event.go", "facts.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "event", name), nil, 0)
		if err != nil {
			return nil, err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			st, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			row := structRow{Name: spec.Name.Name}
			for _, field := range st.Fields.List {
				for _, id := range field.Names {
					if id.IsExported() {
						row.Slots = append(row.Slots, slotRow{id.Name, snake(id.Name), typeText(field.Type)})
					}
				}
			}
			found[row.Name] = row
			return true
		})
	}
	var out []structRow
	for _, name := range codecStructs {
		out = append(out, found[name])
	}
	return out, nil
}

func typeText(e ast.Expr) string {
	switch t := e.(type) {
	case *ast.Ident:
		return t.Name
	case *ast.StarExpr:
		return "*" + typeText(t.X)
	case *ast.SelectorExpr:
		return typeText(t.X) + "." + t.Sel.Name
	case *ast.ArrayType:
		if lit, ok := t.Len.(*ast.BasicLit); ok {
			return "[" + lit.Value + "]" + typeText(t.Elt)
		}
		return "[]" + typeText(t.Elt)
	}
	return "?"
}

// snake turns a Go name into a JSON key: ExePath → exe_path, VPPID → vppid,
// FDKind → fd_kind.
func snake(name string) string {
	r := []rune(name)
	var b strings.Builder
	for i, c := range r {
		upper := unicode.IsUpper(c)
		if upper && i > 0 && (!unicode.IsUpper(r[i-1]) || i+1 < len(r) && unicode.IsLower(r[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}
