package azure

import (
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// named is what the name of an export says: WHAT.SUBSCRIPTION.json or WHAT.json, WHAT being
// a word of the table of reads (registries, costs), SUBSCRIPTION a subscription's id. Other
// names say nothing, but that a name with "amorti" in it is one of amortised cost.
type named struct {
	what, sub string
	amortized bool
}

// nameSays reads the name of a file.
func nameSays(file string) named {
	file = strings.ToLower(file)
	said := named{amortized: strings.Contains(file, "amorti")}
	parts := strings.Split(file, ".")
	if len(parts) < 2 || len(parts) > 3 || !slices.Contains(ofSubscriptions(), parts[0]) {
		return said
	}
	n := said
	n.what = parts[0]
	if len(parts) == 3 {
		if !isGUID(parts[1]) {
			return said
		}
		n.sub = "/subscriptions/" + parts[1]
	}
	return n
}

// ofSubscriptions are the reads that ask a subscription, in whole.
func ofSubscriptions() []string {
	out := []string{cloud.ReadActivity, cloud.ReadCosts, cloud.ReadAmortized}
	for _, l := range perSub() {
		if l.what != cloud.ReadOthers { // one of its kinds says nothing of the others
			out = append(out, l.what)
		}
	}
	return out
}

// tells says whether the name alone says what was asked, and where.
func (n named) tells() bool { return n.what != "" && n.sub != "" }

// kind is what a document is, which content alone seldom tells of rows of cost.
func (n named) kind(what string) string {
	if what == cloud.ReadCosts && n.amortized {
		return cloud.ReadAmortized
	}
	return what
}

// contradicted says how a document is not what the name of its file says; "" = it is.
func (n named) contradicted(what string, doc node) string {
	if !n.tells() {
		return ""
	}
	if what != n.what {
		return "the file's name says " + n.what + ", it holds " + what
	}
	if scope := scopeOf(what, doc); scope != "" && scope != n.sub {
		return "the file's name says " + n.sub + ", it holds something of " + clip(scope, maxShort)
	}
	return ""
}

// empty tells that a subscription truly holds none of what was asked for; more that the
// service had something on a next page.
func (x *exports) empty(more bool) error {
	k := readKey{x.name.what, x.name.sub}
	if x.reads[k] == nil {
		x.reads[k] = &cloud.Read{What: k.what, Scope: k.scope, At: x.at, Outcome: cloud.ReadOK}
	}
	if more {
		x.reads[k].Outcome, x.reads[k].Reason = cloud.ReadPartial, "the export holds only a part"
	}
	return nil
}
