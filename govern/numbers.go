package govern

import (
	"fmt"
	"math"
	"reflect"
	"strings"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/inventory"
)

// writable takes numbers that are none (of figures so large that their sum is infinite)
// out of an evaluation and its costs, and says where: JSON has no word for them, and one
// would lose all the rest.
func writable(ev *Evaluation, costs *cost.Report) {
	n := numbers{}
	n.walk(reflect.ValueOf(ev), "")
	if costs != nil {
		n.walk(reflect.ValueOf(costs), "costs")
	}
	if n.count > 0 {
		ev.Gaps = append(ev.Gaps, inventory.Gap{What: "numbers", Reason: fmt.Sprintf("%d could not be computed, what they rest on is too large or no number; shown as 0 or left out: %s", n.count, strings.Join(n.where, ", ")),
			Remedy: "look at the usage, budgets and sizes that were read"})
	}
}

type numbers struct {
	count int
	where []string // the first few
}

func (n *numbers) bad(v reflect.Value, path string) bool {
	if v.Kind() != reflect.Float64 || !(math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0)) {
		return false
	}
	n.count++
	if len(n.where) < 5 {
		n.where = append(n.where, strings.TrimPrefix(path, "."))
	}
	return true
}

// walk clears what is no number: a pointer to it becomes nil, a key of a map goes, anything
// else becomes 0.
func (n *numbers) walk(v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Float64:
		if n.bad(v, path) {
			v.SetFloat(0)
		}
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		if v.CanSet() && n.bad(v.Elem(), path) {
			v.SetZero()
			return
		}
		n.walk(v.Elem(), path)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && holds(f.Type) {
				n.walk(v.Field(i), path+"."+f.Name)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			n.walk(v.Index(i), path)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			e := v.MapIndex(k)
			if e.Kind() == reflect.Float64 {
				if n.bad(e, path) {
					v.SetMapIndex(k, reflect.Value{})
				}
				continue
			}
			c := reflect.New(e.Type()).Elem() // what a map holds cannot be written in place
			c.Set(e)
			before := n.count
			if n.walk(c, path); n.count != before {
				v.SetMapIndex(k, c)
			}
		}
	}
}

// holds spares the walk where it cannot find a float.
func holds(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Float64, reflect.Struct, reflect.Pointer:
		return true
	case reflect.Slice, reflect.Map:
		return holds(t.Elem())
	}
	return false
}
