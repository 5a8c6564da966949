package govern

import (
	"maps"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// index finds things of a tenant by their ids.
type index struct {
	config        Config
	now           int64
	tenant        *cloud.Tenant // never nil
	groups        map[string]*cloud.ResourceGroup
	subscriptions map[string]*cloud.Subscription // by guid
	management    map[string]*cloud.Group
	reads         map[string]map[string]*cloud.Read // what → scope → read, worst kept
	holders       map[string][]cloud.RoleHolder     // scope → owners
	verdicts      map[string][2]int                 // of Azure Policy by resource: compliant, not
	spelled       map[string]string                 // owner in lower case → as it is written most often
	denies        map[string]int                    // of them, those of policies that deny what a cluster runs
	anywhere      bool                              // Dockreeve's agents are seen anywhere at all
	stale         string                            // why what Azure said to be on is no longer known to be; "" = it was read lately
}

func newIndex(in *Input) *index {
	t := in.Tenant
	if t == nil {
		t = &cloud.Tenant{}
	}
	x := &index{config: in.Config.with(), now: in.Now, tenant: t, groups: map[string]*cloud.ResourceGroup{}, subscriptions: map[string]*cloud.Subscription{},
		management: map[string]*cloud.Group{}, reads: map[string]map[string]*cloud.Read{}, holders: map[string][]cloud.RoleHolder{}, verdicts: map[string][2]int{}, denies: map[string]int{}, anywhere: len(in.Observed) > 0}
	for i := range t.ResourceGroups {
		x.groups[strings.ToLower(t.ResourceGroups[i].ID)] = &t.ResourceGroups[i]
	}
	for i := range t.Subscriptions {
		x.subscriptions[guid(t.Subscriptions[i].ID)] = &t.Subscriptions[i]
	}
	for i := range t.Groups {
		x.management[strings.ToLower(t.Groups[i].ID)] = &t.Groups[i]
	}
	for i := range t.Reads {
		r := &t.Reads[i]
		of := x.reads[r.What]
		if of == nil {
			of = map[string]*cloud.Read{}
			x.reads[r.What] = of
		}
		scope := strings.ToLower(r.Scope)
		if old := of[scope]; old == nil || good(old.Outcome) {
			of[scope] = r
		}
	}
	if age := in.Now - t.Collected; in.Tenant != nil && age > int64(x.config.StaleTenant) {
		x.stale = "Azure was read " + ago(age) + " ago"
	}
	inside := map[string]bool{}
	for i := range t.Definitions {
		inside[strings.ToLower(t.Definitions[i].ID)] = t.Definitions[i].Inside
	}
	for i := range t.States {
		s, n := &t.States[i], x.verdicts[strings.ToLower(t.States[i].Resource)]
		switch {
		case strings.EqualFold(s.State, "Compliant"):
			n[0]++
		case strings.EqualFold(s.State, "NonCompliant"):
			n[1]++
		default:
			continue
		}
		x.verdicts[strings.ToLower(s.Resource)] = n
		if strings.EqualFold(s.Action, "deny") && inside[strings.ToLower(s.Definition)] {
			x.denies[strings.ToLower(s.Resource)]++
		}
	}
	x.spelled = spellings(in, x.config.Tags)
	for _, r := range t.Roles {
		if strings.EqualFold(r.Role, "Owner") {
			scope := strings.ToLower(r.Scope)
			x.holders[scope] = append(x.holders[scope], r)
		}
	}
	return x
}

func good(outcome string) bool { return outcome == cloud.ReadOK || outcome == cloud.ReadAbsent }

// guid is the subscription's guid of any ARM id below it, or of a bare guid.
func guid(id string) string {
	id = strings.ToLower(strings.TrimPrefix(id, "/"))
	if rest, ok := strings.CutPrefix(id, "subscriptions/"); ok {
		id = rest
	}
	g, _, _ := strings.Cut(id, "/")
	return g
}

func (x *index) subscription(id string) *cloud.Subscription { return x.subscriptions[guid(id)] }

// above lists the management groups above a subscription, nearest first.
func (x *index) above(s *cloud.Subscription) []*cloud.Group {
	var out []*cloud.Group
	for id, n := strings.ToLower(s.Group), 0; id != "" && n < 16; n++ { // Azure allows six levels; a loop must end
		g := x.management[id]
		if g == nil {
			break
		}
		out = append(out, g)
		id = strings.ToLower(g.Parent)
	}
	return out
}

// unread says why something of a scope is not known: the read of the scope itself, of a
// scope above it, or of the whole tenant. "" = it was read.
func (x *index) unread(what, scope string) string {
	of := x.reads[what]
	for s := strings.ToLower(scope); ; {
		if r := of[s]; r != nil {
			if good(r.Outcome) {
				return ""
			}
			return reasonOf(r)
		}
		if s == "" {
			break
		}
		i := strings.LastIndexByte(s, '/')
		s = s[:max(i, 0)]
	}
	return "was not asked for"
}

// still is what Azure said to be on, or off, as far as that is worth anything by now: what
// was off is off until it is seen on; what was on is known only from a recent look.
func (x *index) still(a inventory.Assessed) inventory.Assessed {
	if x.stale != "" && a.Value {
		return inventory.Assessed{NotAssessed: x.stale}
	}
	return a
}

// lately says whether something that an agent told is recent enough to stand for now.
func (x *index) lately(at int64) bool { return x.now-at <= int64(x.config.StaleTenant) }

func reasonOf(r *cloud.Read) string {
	words := map[string]string{cloud.ReadDenied: "rights are missing or expired", cloud.ReadThrottled: "Azure kept telling us to wait",
		cloud.ReadFailed: "the read failed", cloud.ReadPartial: "only a part came", cloud.ReadSkipped: "was not asked for"}
	out := words[r.Outcome]
	if out == "" {
		out = r.Outcome
	}
	if r.Reason != "" {
		out += ": " + r.Reason
	}
	return out
}

// gapsOf lists what could not be read at a scope itself.
func (x *index) gapsOf(scope string) []inventory.Gap {
	var out []inventory.Gap
	scope = strings.ToLower(scope)
	for _, what := range sortedKeys(x.reads) {
		if r := x.reads[what][scope]; r != nil && !good(r.Outcome) && r.Outcome != cloud.ReadSkipped {
			out = append(out, inventory.Gap{What: what, Reason: reasonOf(r), Remedy: r.Remedy})
		}
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
