package store

import (
	"reflect"
	"testing"

	"github.com/dockreeve/dockreeve/inventory"
)

// TestADenialIsKept: who denied is of the last one sent, and an attempt that could not be
// assessed takes no proof away.
func TestADenialIsKept(t *testing.T) {
	f := open(t, Options{})
	tell := func(at int64, c inventory.Canary) inventory.Canary {
		t.Helper()
		c.Kind = "denial"
		f.tell(t, Item{Canaries: &inventory.CanaryReport{Cluster: "prod", Time: at, List: []inventory.Canary{c}}})
		got, err := f.Canaries(t.Context())
		if err != nil || len(got["prod"]) != 1 {
			t.Fatal(got, err)
		}
		return got["prod"][0]
	}
	denied := inventory.Canary{Kind: "denial", Sent: 90, Every: 7, Denied: 90, By: "a webhook", Answer: "no", Untold: "nobody watches"}
	for _, c := range []struct{ got, want inventory.Canary }{
		{tell(91, denied), denied},
		{tell(92, inventory.Canary{Every: 7, NotAssessed: "a webhook is dead"}), inventory.Canary{Kind: "denial", Sent: 90, Every: 7, Denied: 90, By: "a webhook", Answer: "no", NotAssessed: "a webhook is dead"}},
		{tell(93, inventory.Canary{Every: 7, Sent: 93, Answer: "let in"}), inventory.Canary{Kind: "denial", Sent: 93, Every: 7, Denied: 90, Answer: "let in"}},
		{tell(80, denied), inventory.Canary{Kind: "denial", Sent: 93, Every: 7, Denied: 90, Answer: "let in"}}, // late
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%+v, want %+v", c.got, c.want)
		}
	}
}
