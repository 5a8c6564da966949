package azure

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// facts are what a collection needs to know of what it read, to know what to ask next.
type facts struct {
	subs        map[string]bool
	clusters    map[string]string          // id → kind
	holds       map[string]bool            // subscriptions that hold a cluster or a registry
	regions     map[string]map[string]bool // region → VM sizes in use
	at          map[string]string          // region → a subscription with a cluster there
	definitions map[string]bool            // that assignments name
}

func newFacts() facts {
	return facts{subs: map[string]bool{}, clusters: map[string]string{}, holds: map[string]bool{}, regions: map[string]map[string]bool{}, at: map[string]string{}, definitions: map[string]bool{}}
}

// learn notes what a document says of what there is to ask. Ids become parts of addresses:
// only sound ones are noted.
func (f *facts) learn(what, scope string, doc json.RawMessage) {
	switch what {
	case cloud.ReadGroups, cloud.ReadSubscriptions, cloud.ReadClusters, cloud.ReadArc, cloud.ReadRegistries, cloud.ReadAssignments:
	case cloud.ReadStates:
		if !bytes.Contains(doc, []byte("eny\"")) { // deny or Deny; most do not
			return
		}
	default:
		return
	}
	n, err := open(doc)
	if err != nil {
		return // the Builder counts it
	}
	id := n.at("id").id()
	sub := subscriptionOf(id)
	switch what {
	case cloud.ReadGroups, cloud.ReadSubscriptions:
		name := strings.ToLower(n.at("name").text())
		if sub == "" && isGUID(name) && strings.HasSuffix(strings.ToLower(n.at("type").text()), "/subscriptions") {
			sub = "/subscriptions/" + name
		}
		if sub != "" && isGUID(sub[len("/subscriptions/"):]) {
			f.subs[sub] = true
		}
	case cloud.ReadClusters, cloud.ReadArc:
		if !askable(id) || sub == "" {
			return
		}
		f.holds[sub] = true
		if what == cloud.ReadArc {
			f.clusters[id] = cloud.KindArc
			return
		}
		f.clusters[id] = cloud.KindAKS
		f.sizes(sub, n)
	case cloud.ReadRegistries:
		if sub != "" {
			f.holds[sub] = true
		}
	case cloud.ReadAssignments:
		if d := n.prop("policyDefinitionId").id(); askable(d) && len(f.definitions) < maxDefinitions {
			f.definitions[d] = true
		}
	case cloud.ReadStates: // what a policy that denies judges, its own definition says; a set does not
		if d := n.prop("policyDefinitionId").id(); denies(n) && askable(d) && len(f.definitions) < maxDefinitions {
			f.definitions[d] = true
		}
	}
}

const maxDefinitions = 5000

func (f *facts) sizes(sub string, n node) {
	where := region(n.at("location").text())
	if where == "" || strings.Trim(where, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return
	}
	for _, p := range n.prop("agentPoolProfiles").items() {
		size := p.at("vmSize").text()
		if size == "" || len(size) > 64 || strings.Trim(size, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
			continue
		}
		if f.regions[where] == nil {
			f.regions[where] = map[string]bool{}
		}
		f.regions[where][size] = true
		if f.at[where] == "" || sub < f.at[where] {
			f.at[where] = sub
		}
	}
}

// askable says whether an id can be part of an address as it is.
func askable(id string) bool {
	if !strings.HasPrefix(id, "/") || len(id) > 2048 || strings.Contains(id, "..") || strings.Contains(id, "//") {
		return false
	}
	return !strings.ContainsFunc(id, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`?#%\"<>{}|^`+"`", r)
	})
}

func sorted(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
