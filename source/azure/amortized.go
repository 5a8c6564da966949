package azure

import (
	"strings"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// twoGroups is why rows of cost tell less than was asked for.
const twoGroups = "Cost Management allowed two groups only"

// amortizedOf says of which subscriptions both costs were read whole. Where only one was,
// what is billed is taken for effective cost, and the read of amortized cost says so.
func (b *Builder) amortizedOf() map[string]bool {
	whole := func(what, scope string) bool {
		k := readKey{what, scope}
		r := b.reads[k]
		return r != nil && r.Outcome == cloud.ReadOK && (b.bad[k] == nil || b.bad[k].lost == 0)
	}
	told := map[string]bool{}
	for k, r := range b.reads {
		switch {
		case k.what != cloud.ReadAmortized:
		case !whole(cloud.ReadAmortized, k.scope):
			if r.Outcome != cloud.ReadSkipped {
				r.Reason = join(r.Reason, "what was billed is taken for effective cost, so what reservations pay for looks free")
			}
		case !whole(cloud.ReadCosts, k.scope):
			r.Reason = join(r.Reason, "left out: what was billed was not read whole")
		case strings.Contains(r.Reason, twoGroups) != strings.Contains(b.reads[readKey{cloud.ReadCosts, k.scope}].Reason, twoGroups):
			r.Reason = join(r.Reason, "left out: what was billed is told by other groups")
		default:
			told[k.scope] = true
		}
	}
	return told
}
