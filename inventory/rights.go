package inventory

// Rights returns every rule that a subject holds, by its own name and by its groups. To
// the groups of a service account those that the API server adds are added.
func (s *State) Rights(sub Subject, groups []string) []Right { return nil }

// RulesOf returns what a Role, ClusterRole or the role of a binding allows, aggregation
// included; false when the role is not known. The object need not be in the state.
func (s *State) RulesOf(o *Object) ([]Rule, bool) { return nil, false }

// Powers returns what rules that hold in the whole cluster allow, as Power… words of
// package event, gravest first.
func Powers(rules []Rule) []string { return PowersIn(rules, "") }

// PowersIn is Powers for rules that hold in one namespace only.
func PowersIn(rules []Rule, namespace string) []string { return nil }

// IdentityKey is the key of a subject's IdentityDoc.
func IdentityKey(s Subject) string {
	switch s.Kind {
	case "ServiceAccount":
		return "serviceaccount:" + s.Namespace + "/" + s.Name
	case "Group":
		return "group:" + s.Name
	}
	return "user:" + s.Name
}
