package rule

import (
	"fmt"
	"slices"

	"github.com/dockreeve/dockreeve/event"
)

// The operators by the types they apply to; the error texts are upstream's.
var (
	numberOperators = []string{"=", "!=", "<", "<=", ">", ">=", "in", "intersects", "exists"}
	boolOperators   = []string{"=", "!=", "in", "intersects", "exists"}
	textOperators   = []string{"=", "!=", "<", "<=", ">", ">=", "contains", "in", "exists", "icontains", "startswith",
		"glob", "pmatch", "endswith", "intersects", "iglob", "regex"}
	bytesOperators = []string{"=", "!=", "contains", "in", "exists", "startswith", "endswith", "intersects", "bcontains", "bstartswith"}
	addrOperators  = []string{"=", "!=", "in", "exists", "intersects"}
	listOperators  = []string{"in", "exists", "intersects"}
)

// checkOperator says what is wrong with an operator on a type, "" when nothing is.
func checkOperator(op, modifier string, typ event.FieldType, list bool) string {
	if op == "exists" {
		return ""
	}
	var ok []string
	what := ""
	switch {
	case list:
		if typ == event.TypeBytes || typ == event.TypeInt || typ == event.TypePort {
			return fmt.Sprintf("list filters are not supported for type '%s'", typeName(typ))
		}
		if !slices.Contains(listOperators, op) || modifier != "" {
			return fmt.Sprintf("'%s' operator not supported list filters", op)
		}
		return ""
	case typ == event.TypeString || typ == event.TypePath:
		ok, what = textOperators, "string"
	case typ == event.TypeBytes:
		ok, what = bytesOperators, "buffer"
	case typ == event.TypeBool:
		ok, what = boolOperators, "numeric" // upstream says numeric
	case typ == event.TypeIP || typ == event.TypeNet:
		if modifier != "" && !slices.Contains(addrOperators, op) {
			return fmt.Sprintf("'%s' with modifier not supported for ip address and network filters", op)
		}
		ok, what = addrOperators, "ip address and network"
	default:
		ok, what = numberOperators, "numeric"
	}
	if !slices.Contains(ok, op) {
		return fmt.Sprintf("'%s' operator not supported for %s filters", op, what)
	}
	return ""
}
