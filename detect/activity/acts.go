package activity

import (
	"cmp"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// act is one operation. Azure tells of it in several records: begun, accepted, ended.
type act struct {
	at       int64
	op       string // as Azure writes it
	lower    string
	resource string
	sub      string
	caller   string // lower case
	address  string
	outcome  outcome
	rec      *cloud.Activity // the record that says most
	ids      []string        // of its records

	who *ident // nil = no identity of a cluster
	how string
}

// outcome of an operation; the larger the more is known.
type outcome uint8

const (
	begunOut   outcome = iota // nothing says how it ended: taken as done
	doneOut                   // it succeeded
	failedOut                 // it failed
	refusedOut                // no rights
)

// outcomeOf reads what a record says of how it ended. Accepted is not an end: it may fail.
func outcomeOf(a *cloud.Activity) outcome {
	switch strings.ToLower(a.Status) {
	case "succeeded", "success", "resolved", "active":
		return doneOut
	case "failed", "failure", "error":
		for _, s := range []string{a.SubStatus, a.Properties["statusCode"], a.Properties["statusMessage"]} {
			s = strings.ToLower(s)
			if strings.HasPrefix(s, "forbidden") || strings.HasPrefix(s, "unauthorized") || strings.Contains(s, "authorizationfailed") || strings.Contains(s, "linkedauthorizationfailed") {
				return refusedOut
			}
		}
		return failedOut
	}
	return begunOut
}

// actsOf joins records into acts, in order of time, whatever order they come in.
func actsOf(list []cloud.Activity) []*act {
	recs := make([]*cloud.Activity, len(list))
	for i := range list {
		recs[i] = &list[i]
	}
	slices.SortFunc(recs, func(a, b *cloud.Activity) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.ID, b.ID)) })
	by := map[string]*act{}
	var out []*act
	for _, r := range recs {
		lower, caller := strings.ToLower(r.Operation), strings.ToLower(cmp.Or(r.Caller, r.ObjectID, r.AppID))
		if lower == "" || r.At <= 0 {
			continue
		}
		key := strings.Join([]string{cmp.Or(r.Correlation, r.ID), lower, strings.ToLower(r.Resource), caller}, "|")
		a := by[key]
		if a == nil {
			a = &act{at: r.At, op: r.Operation, lower: lower, resource: strings.ToLower(r.Resource), sub: strings.ToLower(r.Subscription), caller: caller, rec: r}
			by[key] = a
			out = append(out, a)
		}
		if o := outcomeOf(r); o > a.outcome || o == a.outcome && len(r.Properties) > len(a.rec.Properties) {
			a.outcome, a.rec = o, richer(a.rec, r)
		}
		a.address = cmp.Or(a.address, r.Address)
		a.ids = append(a.ids, r.ID)
	}
	for _, a := range out {
		if a.outcome == begunOut {
			a.outcome = doneOut // nothing says that it failed
		}
	}
	return out
}

// richer is b with what of the request only a tells.
func richer(a, b *cloud.Activity) *cloud.Activity {
	if a == b {
		return b
	}
	out := *b
	out.Properties = make(map[string]string, len(a.Properties)+len(b.Properties))
	for _, from := range []*cloud.Activity{a, b} {
		for k, v := range from.Properties {
			out.Properties[k] = v
		}
	}
	out.IdentityID, out.ObjectID, out.AppID = cmp.Or(b.IdentityID, a.IdentityID), cmp.Or(b.ObjectID, a.ObjectID), cmp.Or(b.AppID, a.AppID)
	return &out
}

// ident is a managed identity of one or more clusters, or the service principal in its place.
type ident struct {
	key  string // ARM id, else object id, else client id
	name string
	of   []*holder // in order of cluster and use
}

// holder is one use of an identity.
type holder struct {
	cluster *cloud.Cluster
	use     *Use
	named   string // the use as Azure names it
}

// identities finds whose an act is.
type identities struct {
	all      []*ident
	by       map[string]*ident         // by ARM id, object id, client id
	clusters map[string]*cloud.Cluster // by id
	groups   map[string]*cloud.Cluster // by id of the node resource group
	rules    *Rules
}

func identitiesOf(t *cloud.Tenant, rules *Rules) *identities {
	x := &identities{by: map[string]*ident{}, clusters: map[string]*cloud.Cluster{}, groups: map[string]*cloud.Cluster{}, rules: rules}
	list := make([]*cloud.Cluster, len(t.Clusters))
	for i := range t.Clusters {
		list[i] = &t.Clusters[i]
	}
	slices.SortFunc(list, func(a, b *cloud.Cluster) int { return cmp.Compare(strings.ToLower(a.ID), strings.ToLower(b.ID)) })
	for _, c := range list {
		id := strings.ToLower(c.ID)
		x.clusters[id] = c
		if g := nodeGroup(c); g != "" {
			x.groups[g] = c
		}
		own := slices.Clone(c.Identities)
		slices.SortFunc(own, func(a, b cloud.Identity) int {
			return cmp.Or(cmp.Compare(a.Use, b.Use), cmp.Compare(a.ID, b.ID), cmp.Compare(a.ObjectID, b.ObjectID))
		})
		for _, i := range own {
			arm := i.ID
			if arm == "" && i.Use == "cluster" {
				arm = id // a system-assigned identity has the id of what it is assigned to
			}
			x.add(c, i.Use, arm, i.ObjectID, i.ClientID)
		}
		if c.ServicePrincipal != "" && !strings.EqualFold(c.ServicePrincipal, "msi") {
			x.add(c, "cluster", c.ServicePrincipal)
		}
	}
	return x
}

func nodeGroup(c *cloud.Cluster) string {
	if c.NodeGroup == "" || c.Subscription == "" {
		return ""
	}
	return strings.ToLower(c.Subscription + "/resourcegroups/" + c.NodeGroup)
}

func (x *identities) add(c *cloud.Cluster, use string, ids ...string) {
	var found *ident
	for _, id := range ids {
		if id != "" && x.by[strings.ToLower(id)] != nil {
			found = x.by[strings.ToLower(id)]
			break
		}
	}
	for _, id := range ids {
		if id = strings.ToLower(id); id == "" {
			continue
		}
		if found == nil {
			found = &ident{key: id, name: id[strings.LastIndexByte(id, '/')+1:]}
			x.all = append(x.all, found)
		}
		x.by[id] = found
	}
	if found != nil {
		found.of = append(found.of, &holder{c, x.use(use), use})
	}
}

func (x *identities) use(name string) *Use {
	for i := range x.rules.Uses {
		if strings.EqualFold(x.rules.Uses[i].Use, name) {
			return &x.rules.Uses[i]
		}
	}
	return &x.rules.Uses[len(x.rules.Uses)-1]
}

// of says whose a record is, and by which field that is known; nil = of no cluster's.
func (x *identities) of(a *cloud.Activity) (*ident, string) {
	for _, f := range []struct{ name, value string }{{"xms_mirid", a.IdentityID}, {"object id", a.ObjectID}, {"caller", a.Caller}, {"appid", a.AppID}} {
		if f.value == "" {
			continue
		}
		if i := x.by[strings.ToLower(f.value)]; i != nil {
			return i, f.name
		}
	}
	// An identity beside the nodes is the cluster's, whether or not Azure names it there.
	id := strings.ToLower(a.IdentityID)
	group, rest, ok := strings.Cut(id, "/providers/")
	if c := x.groups[group]; ok && c != nil {
		name := rest[strings.LastIndexByte(rest, '/')+1:]
		x.add(c, x.byName(name), id)
		return x.by[id], "xms_mirid"
	}
	return nil, ""
}

// byName guesses a use from how Azure names the identities of add-ons.
func (x *identities) byName(name string) string {
	for _, u := range x.rules.Uses {
		for _, n := range u.Names {
			if strings.HasPrefix(name, n) {
				return u.Use
			}
		}
	}
	return ""
}

// allows says whether one of an identity's uses needs an act, there.
func (i *ident) allows(a *act) bool {
	for _, h := range i.of {
		for _, allow := range h.use.Allows {
			if _, ok := allow.Operations.match(a.lower); ok && within(allow.Where, a.resource, h.cluster) {
				return true
			}
		}
	}
	return false
}

// holderFor is the use of an identity that an act is closest to.
func (i *ident) holderFor(a *act) *holder {
	for _, where := range []string{"cluster", "nodes", "group"} {
		for _, h := range i.of {
			if within(where, a.resource, h.cluster) {
				return h
			}
		}
	}
	return i.of[0]
}

func within(where, resource string, c *cloud.Cluster) bool {
	scope := ""
	switch where {
	case "any":
		return true
	case "nodes":
		scope = nodeGroup(c)
	case "cluster":
		scope = strings.ToLower(c.ID)
	case "group":
		scope = strings.ToLower(c.Subscription + "/resourcegroups/" + c.ResourceGroup)
	}
	return scope != "" && (resource == scope || strings.HasPrefix(resource, scope+"/"))
}

// clusterID is the cluster in an ARM id that may go further down.
func clusterID(resource string) string {
	parts := strings.Split(resource, "/")
	if len(parts) > 9 {
		parts = parts[:9]
	}
	return strings.Join(parts, "/")
}
