package kube

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// TestCustomResourcesThatSaySomethingAreNamed finds Defender's by what is served, without
// a right to read definitions, and holds a server that tells too much to the bounds.
func TestCustomResourcesThatSaySomethingAreNamed(t *testing.T) {
	const group = `,{"name":"defender.microsoft.com","versions":[{"version":"v1"},{"version":"v1beta1"}],"preferredVersion":{"version":"v1"}},{"name":"other.example","versions":[{"version":"v1"}]}`
	many := ""
	for i := range 100 {
		many += fmt.Sprintf(`{"name":"p%d"},`, i)
	}
	for name, c := range map[string]struct {
		groups string
		others map[string]string
		want   []string
	}{
		"none": {"", nil, nil},
		"both versions": {group, map[string]string{"/apis/defender.microsoft.com/v1": `{"resources":[{"name":"runtimepolicies"},{"name":"runtimepolicies/status"}]}`,
			"/apis/defender.microsoft.com/v1beta1": `{"resources":[{"name":"policies"},{"name":"runtimepolicies"}]}`}, []string{"policies.defender.microsoft.com", "runtimepolicies.defender.microsoft.com"}},
		"not told":   {group, map[string]string{"/apis/defender.microsoft.com/v1": "no", "/apis/defender.microsoft.com/v1beta1": "no"}, []string{"*.defender.microsoft.com"}},
		"gone again": {group, nil, nil},
		"too many":   {group, map[string]string{"/apis/defender.microsoft.com/v1": `{"resources":[` + many + `{"name":"` + strings.Repeat("x", 300) + `"}]}`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeAPI(t, "pods")
			f.groups, f.others = c.groups, c.others
			w, _ := f.open(t, Options{})
			if err := w.ReadOnce(t.Context(), newRecord()); err != nil {
				t.Fatal(err)
			}
			got := w.Server().Custom
			if name == "too many" {
				if len(got) != maxCustom {
					t.Errorf("%d names", len(got))
				}
				return
			}
			if len(got)+len(c.want) > 0 && !reflect.DeepEqual(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
