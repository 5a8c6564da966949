package inventory

import (
	"cmp"
	"slices"
	"strings"
)

// Groups that the API server gives to whoever it knows.
const (
	groupAuthenticated   = "system:authenticated"
	groupUnauthenticated = "system:unauthenticated"
	groupAccounts        = "system:serviceaccounts"
	groupMasters         = "system:masters"
	userAnonymous        = "system:anonymous"
	userAccount          = "system:serviceaccount:"
)

// IdentityKey is the key of a subject's IdentityDoc.
func IdentityKey(s Subject) string {
	switch s = subjectKey(s); s.Kind {
	case "ServiceAccount":
		return "serviceaccount:" + s.Namespace + "/" + s.Name
	case "Group":
		return "group:" + s.Name
	}
	return "user:" + s.Name
}

// subjectKey gives a service account one name, whether it is written as one or as the
// user that the API server knows it by.
func subjectKey(s Subject) Subject {
	if s.Kind != "ServiceAccount" {
		s.Namespace = ""
	}
	if s.Kind == "User" {
		if rest, ok := strings.CutPrefix(s.Name, userAccount); ok {
			if ns, name, ok := strings.Cut(rest, ":"); ok && ns != "" && name != "" {
				return Subject{Kind: "ServiceAccount", Namespace: ns, Name: name}
			}
		}
	}
	return s
}

// roleKey is the key of the role that a binding gives.
func roleKey(o *Object) Key {
	if o.Binding.RoleKind == string(KindRole) {
		return Key{Kind: KindRole, Namespace: o.Namespace, Name: o.Binding.RoleName}
	}
	return Key{Kind: KindClusterRole, Name: o.Binding.RoleName}
}

// groupsOf adds to a subject's groups those that the API server adds, sorted.
func groupsOf(sub Subject, groups []string) []string {
	set := map[string]bool{}
	for _, g := range groups {
		set[g] = true
	}
	switch {
	case sub.Kind == "ServiceAccount":
		set[groupAccounts], set[groupAccounts+":"+sub.Namespace], set[groupAuthenticated] = true, true, true
	case sub.Kind == "User" && sub.Name == userAnonymous:
		set[groupUnauthenticated] = true
	case sub.Kind == "User":
		set[groupAuthenticated] = true
	}
	return sorted(set)
}

// Rights returns every rule that a subject holds by RBAC, by its own name and by its
// groups, in a fixed order. To the groups those are added that the API server adds: of a
// service account its three, of users system:authenticated. What other authorizers let
// (of nodes, webhooks, clouds) is not known here.
func (s *State) Rights(sub Subject, groups []string) []Right {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.rights(sub, groups)
}

// Permitted reports whether roles and bindings that were made before a time (Unix
// nanoseconds) let a subject do what it asks: verb, API group, resource, subresource,
// namespace ("" = none) and name ("" = none). Groups are added as Rights adds them. What a
// role was changed to since then counts as if it had always been so. Safe for concurrent use.
func (s *State) Permitted(sub Subject, groups []string, before int64, verb, group, resource, subresource, namespace, name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	sub = subjectKey(sub)
	subjects := []Subject{sub}
	for _, g := range groupsOf(sub, groups) {
		subjects = append(subjects, Subject{Kind: "Group", Name: g})
	}
	for _, sub := range subjects {
		for k := range s.bindings[sub] {
			o := s.get(k)
			role := s.get(roleKey(o))
			if role == nil || role.Created >= before || o.Created >= before || o.Kind != KindClusterBinding && o.Namespace != namespace {
				continue
			}
			for _, r := range s.ruled(o) {
				if r.Allows(verb, group, resource, subresource, name) {
					return true
				}
			}
		}
	}
	return false
}

// Bounds of what Seen keeps.
const (
	maxSeen   = 5_000
	maxGroups = 64
)

// Seen tells of a user that used the API and of the groups that came with it. No object
// names those whose credentials bring their groups along, and they have rights by these all
// the same. Users of the system are left to their bindings, and beyond the first 5,000 no
// new one is taken in. Safe for concurrent use.
func (s *State) Seen(user string, groups []string) {
	sub := subjectKey(Subject{Kind: "User", Name: user})
	if sub.Kind != "User" || user == "" || len(user) > 256 || strings.HasPrefix(user, "system:") {
		return
	}
	have := make([]string, 0, min(len(groups), maxGroups))
	for _, g := range groups {
		if len(have) < maxGroups && len(g) <= 256 && g != groupAuthenticated {
			have = append(have, g)
		}
	}
	slices.Sort(have)
	have = slices.Compact(have)
	s.mu.RLock()
	old, ok := s.seen[sub]
	full := len(s.seen) >= maxSeen
	s.mu.RUnlock()
	if ok && slices.Equal(old, have) || !ok && full {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.seen[sub]; !ok && len(s.seen) >= maxSeen {
		return
	}
	s.seen[sub] = have
	s.marks.ids[sub] = true
}

func (s *State) rights(sub Subject, groups []string) []Right {
	sub = subjectKey(sub)
	out := s.bound(nil, sub, "")
	for _, g := range groupsOf(sub, groups) {
		out = s.bound(out, Subject{Kind: "Group", Name: g}, g)
	}
	if sub.Kind == "Group" && sub.Name == groupMasters {
		out = append(out, masters(""))
	} else if slices.Contains(groups, groupMasters) {
		out = append(out, masters(groupMasters))
	}
	return out
}

// masters is what the API server lets that group do whatever roles say.
func masters(through string) Right {
	return Right{
		Rule: Rule{Verbs: []string{"*"}, Groups: []string{"*"}, Resources: []string{"*"}, URLs: []string{"*"}},
		Role: "built in", Binding: "built in", Through: through,
	}
}

// bound appends what the bindings of exactly one subject give.
func (s *State) bound(out []Right, sub Subject, through string) []Right {
	keys := make([]Key, 0, len(s.bindings[sub]))
	for k := range s.bindings[sub] {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compareKeys)
	for _, k := range keys {
		o := s.get(k)
		role := roleKey(o)
		binding, name := string(o.Kind)+"/", string(role.Kind)+"/"
		if o.Namespace != "" {
			binding += o.Namespace + "/"
		}
		if role.Namespace != "" {
			name += role.Namespace + "/"
		}
		for _, r := range s.ruled(o) {
			out = append(out, Right{Rule: r, Namespace: o.Namespace, Role: name + role.Name, Binding: binding + o.Name, Through: through})
		}
	}
	return out
}

func compareKeys(a, b Key) int {
	return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}

// ruled is what a binding gives: its role's rules, in a namespace without those for what
// is no resource, which only bindings of the cluster give.
func (s *State) ruled(o *Object) []Rule {
	role := s.get(roleKey(o))
	if role == nil || role.Role == nil {
		return nil
	}
	rules := s.expand(role)
	if o.Kind == KindClusterBinding {
		return rules
	}
	var out []Rule
	for _, r := range rules {
		if len(r.Resources) > 0 {
			r.URLs = nil
			out = append(out, r)
		}
	}
	return out
}

// expand is a role's own rules and those of the roles that it aggregates. The
// controller writes these into it; exported or new ones may be without.
func (s *State) expand(role *Object) []Rule {
	if len(role.Role.Aggregate) == 0 {
		return role.Role.Rules
	}
	seen := map[string]bool{role.Name: true}
	have := map[string]bool{}
	var out []Rule
	var walk func(o *Object)
	walk = func(o *Object) {
		for _, r := range o.Role.Rules {
			if k := ruleText(r); !have[k] {
				have[k] = true
				out = append(out, r)
			}
		}
		if len(o.Role.Aggregate) == 0 {
			return
		}
		roles := s.kinds[KindClusterRole][""]
		for _, name := range sorted(roles) {
			if r := roles[name]; !seen[name] && r.Role != nil && selectedByAny(o.Role.Aggregate, r.Labels) {
				seen[name] = true
				walk(r)
			}
		}
	}
	walk(role)
	return out
}

func selectedByAny(selectors []map[string]string, labels map[string]string) bool {
	return slices.ContainsFunc(selectors, func(sel map[string]string) bool { return selects(sel, labels) })
}

// selects reports whether labels have all that a selector asks for.
func selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if have, ok := labels[k]; !ok || have != v {
			return false
		}
	}
	return true
}

func ruleText(r Rule) string {
	var b strings.Builder
	for _, list := range [][]string{r.Verbs, r.Groups, r.Resources, r.Names, r.URLs} {
		for _, s := range list {
			b.WriteString(s)
			b.WriteByte(0)
		}
		b.WriteByte(1)
	}
	return b.String()
}

// RulesOf returns what a Role, ClusterRole or the role of a binding allows, aggregation
// included; false when the role is not known. The object need not be in the state.
func (s *State) RulesOf(o *Object) ([]Rule, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case o == nil:
	case o.Role != nil:
		return s.expand(o), true
	case o.Binding != nil:
		role := s.get(roleKey(o))
		return s.ruled(o), role != nil && role.Role != nil
	}
	return nil, false
}
