package inventory

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/event"
)

// naive answers as the API server's RBAC authorizer does, straight from the objects.
type naive struct{ roles, bindings []*Object }

func (n naive) can(user string, groups []string, verb, group, resource, sub, name, namespace string) bool {
	for _, b := range n.bindings {
		if b.Kind == KindRoleBinding && (namespace == "" || b.Namespace != namespace) {
			continue
		}
		held := false
		for _, s := range b.Binding.Subjects {
			switch s.Kind {
			case "User":
				held = held || s.Name == user
			case "Group":
				held = held || slices.Contains(groups, s.Name)
			case "ServiceAccount":
				held = held || user == "system:serviceaccount:"+s.Namespace+":"+s.Name
			}
		}
		if !held {
			continue
		}
		for _, r := range n.roles {
			if string(r.Kind) != b.Binding.RoleKind || r.Name != b.Binding.RoleName || r.Kind == KindRole && r.Namespace != b.Namespace {
				continue
			}
			rules := slices.Clone(r.Role.Rules)
			for _, sel := range r.Role.Aggregate {
				for _, x := range n.roles {
					if x.Kind == KindClusterRole && x.Labels["to"] == sel["to"] {
						rules = append(rules, x.Role.Rules...)
					}
				}
			}
			for _, rule := range rules {
				full := strings.TrimSuffix(resource+"/"+sub, "/")
				v := slices.Contains(rule.Verbs, verb) || slices.Contains(rule.Verbs, "*")
				g := slices.Contains(rule.Groups, group) || slices.Contains(rule.Groups, "*")
				res := slices.Contains(rule.Resources, full) || slices.Contains(rule.Resources, "*") || sub != "" && slices.Contains(rule.Resources, "*/"+sub)
				if v && g && res && (len(rule.Names) == 0 || name != "" && slices.Contains(rule.Names, name)) {
					return true
				}
			}
		}
	}
	return false
}

func TestRightsAnswerAsTheAuthorizerDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := func(label string, from ...string) []string {
			return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 1, 2, rapid.ID).Draw(t, label)
		}
		one := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
		s, n := NewState(Options{}), naive{}
		held := map[Key]bool{}
		for range rapid.IntRange(1, 8).Draw(t, "objects") {
			o := &Object{Key: Key{Kind: rapid.SampledFrom([]Kind{KindRole, KindClusterRole, KindRoleBinding, KindClusterBinding}).Draw(t, "kind"), Name: one("name", "x", "y")}}
			if o.Kind == KindRole || o.Kind == KindRoleBinding {
				o.Namespace = one("namespace", "a", "b")
			}
			if held[o.Key] {
				continue
			}
			held[o.Key] = true
			if o.Kind == KindRole || o.Kind == KindClusterRole {
				o.Role = &Role{}
				o.Labels = map[string]string{"to": one("to", "none", "x")}
				if o.Kind == KindClusterRole && o.Name == "x" && rapid.Bool().Draw(t, "aggregated") {
					o.Labels["to"] = "none"
					o.Role.Aggregate = []map[string]string{{"to": "x"}}
				}
				for range rapid.IntRange(0, 2).Draw(t, "rules") {
					r := Rule{Verbs: some("verbs", "get", "create", "*"), Groups: some("groups", "", "apps", "*"), Resources: some("resources", "pods", "pods/exec", "*/exec", "secrets", "*")}
					if rapid.Bool().Draw(t, "named") {
						r.Names = some("names", "n", "m")
					}
					o.Role.Rules = append(o.Role.Rules, r)
				}
				n.roles = append(n.roles, o)
			} else {
				o.Binding = &Binding{RoleKind: "ClusterRole", RoleName: one("role", "x", "y")}
				if o.Kind == KindRoleBinding && rapid.Bool().Draw(t, "ofRole") {
					o.Binding.RoleKind = "Role"
				}
				o.Binding.Subjects = rapid.SliceOfN(rapid.SampledFrom([]Subject{
					{Kind: "User", Name: "eve"}, {Kind: "User", Name: "system:serviceaccount:a:app"}, {Kind: "ServiceAccount", Namespace: "a", Name: "app"},
					{Kind: "ServiceAccount", Namespace: "b", Name: "app"}, {Kind: "Group", Name: "dev"}, {Kind: "Group", Name: "system:serviceaccounts:a"},
					{Kind: "Group", Name: "system:serviceaccounts"}, {Kind: "Group", Name: "system:authenticated"}, {Kind: "Group", Name: "system:unauthenticated"},
				}), 0, 3).Draw(t, "subjects")
				n.bindings = append(n.bindings, o)
			}
			s.Put(o)
		}
		for _, who := range []struct {
			sub    Subject
			user   string
			groups []string // given
			all    []string
		}{
			{Subject{Kind: "User", Name: "eve"}, "eve", []string{"dev"}, []string{"dev", "system:authenticated"}},
			{Subject{Kind: "User", Name: "system:anonymous"}, "system:anonymous", nil, []string{"system:unauthenticated"}},
			{Subject{Kind: "ServiceAccount", Namespace: "a", Name: "app"}, "system:serviceaccount:a:app", nil, []string{"system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"}},
			{Subject{Kind: "User", Name: "system:serviceaccount:b:app"}, "system:serviceaccount:b:app", nil, []string{"system:serviceaccounts", "system:serviceaccounts:b", "system:authenticated"}},
		} {
			rights := s.Rights(who.sub, who.groups)
			for range 12 {
				verb, group, resource, sub := one("verb", "get", "create", "delete"), one("group", "", "apps"), one("resource", "pods", "secrets"), one("sub", "", "exec", "log")
				name, ns := one("object", "", "n"), one("in", "", "a", "b")
				got := slices.ContainsFunc(rights, func(r Right) bool {
					return (r.Namespace == "" || r.Namespace == ns) && r.Allows(verb, group, resource, sub, name)
				})
				if want := n.can(who.user, who.all, verb, group, resource, sub, name, ns); got != want {
					t.Fatalf("%s %s %s.%s/%s %q in %q: %v, the authorizer says %v\n%+v", who.user, verb, resource, group, sub, name, ns, got, want, rights)
				}
				if s.Permitted(who.sub, who.groups, 1, verb, group, resource, sub, ns, name) != got {
					t.Fatalf("%s %s %s.%s/%s %q in %q: permitted: %v, by its rights %v\n%+v", who.user, verb, resource, group, sub, name, ns, !got, got, rights)
				}
			}
		}
	})
}

func TestWhatIsPermittedOnlySinceThen(t *testing.T) {
	s := NewState(Options{})
	role := &Object{Key: Key{Kind: KindRole, Namespace: "a", Name: "r"}, Role: &Role{Rules: []Rule{{Verbs: []string{"list"}, Groups: []string{""}, Resources: []string{"pods"}}}}, Created: 10}
	s.Put(role)
	s.Put(&Object{Key: Key{Kind: KindRoleBinding, Namespace: "a", Name: "b"}, Binding: &Binding{RoleKind: "Role", RoleName: "r", Subjects: []Subject{{Kind: "Group", Name: "dev"}}}, Created: 20})
	may := func(at int64) bool {
		return s.Permitted(Subject{Kind: "User", Name: "eve"}, []string{"dev"}, at, "list", "", "pods", "", "a", "")
	}
	if may(20) || !may(21) {
		t.Errorf("before its binding %v, after it %v", may(20), may(21))
	}
	again := *role
	again.Created = 30
	s.Put(&again)
	if may(30) || !may(31) {
		t.Errorf("before its role %v, after it %v", may(30), may(31))
	}
}

func TestPowers(t *testing.T) {
	rule := func(verbs, groups, resources string, names ...string) Rule {
		split := func(s string) []string { return strings.Split(s, ",") }
		return Rule{Verbs: split(verbs), Groups: split(groups), Resources: split(resources), Names: names}
	}
	all := []Rule{rule("*", "*", "*")}
	for _, c := range []struct {
		what      string
		rules     []Rule
		namespace string
		want      string
	}{
		{"all", all, "", strings.Join(order[:], " ")},
		{"all in a namespace is not the cluster", all, "shop", "escalate impersonate create-tokens read-secrets exec create-pods ephemeral wildcard delete-events"},
		{"all in kube-system writes what the cluster runs by", all, "kube-system", "escalate impersonate create-tokens read-secrets exec create-pods ephemeral wildcard delete-events write-kube-config"},
		{"all of one name is less", []Rule{rule("*", "*", "*", "mine")}, "", "escalate impersonate webhooks approve-csr create-tokens exec nodes-proxy create-pods write-nodes ephemeral wildcard delete-events"},
		{"reading pods", []Rule{rule("get,list,watch", "", "pods,services")}, "", ""},
		{"secrets of another group", []Rule{rule("get", "acme.io", "secrets")}, "", ""},
		{"secrets", []Rule{rule("list", "", "secrets")}, "shop", "read-secrets"},
		{"one secret", []Rule{rule("get", "", "secrets", "tls")}, "shop", ""},
		{"writing secrets is not reading them", []Rule{rule("create,update", "", "secrets")}, "", ""},
		{"exec is open to get", []Rule{rule("get", "", "pods/exec")}, "", "exec"},
		{"exec by any resource's", []Rule{rule("create", "", "*/exec")}, "", "exec"},
		{"pods alone are not exec", []Rule{rule("create", "", "pods")}, "", "create-pods"},
		{"logs", []Rule{rule("get", "", "pods/log")}, "", ""},
		{"patching a deployment", []Rule{rule("patch", "apps", "deployments", "web")}, "shop", "create-pods"},
		{"approval without a signer", []Rule{rule("update", "certificates.k8s.io", "certificatesigningrequests/approval")}, "", ""},
		{"approval with a signer", []Rule{rule("update", "certificates.k8s.io", "certificatesigningrequests/approval"), rule("approve", "certificates.k8s.io", "signers", "x")}, "", "approve-csr"},
		{"nodes in a namespace are none", []Rule{rule("get", "", "nodes/proxy"), rule("create", "", "persistentvolumes")}, "shop", ""},
		{"nodes", []Rule{rule("get", "", "nodes/proxy"), rule("create", "", "persistentvolumes")}, "", "nodes-proxy write-volumes"},
		{"a lock in kube-system", []Rule{rule("update", "", "configmaps", "my-lock")}, "kube-system", ""},
		{"dns in kube-system", []Rule{rule("update", "", "configmaps", "coredns")}, "kube-system", "write-kube-config"},
		{"paths are no resources", []Rule{{Verbs: []string{"*"}, URLs: []string{"*"}}}, "", ""},
	} {
		if got := strings.Join(PowersIn(c.rules, c.namespace), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
	if order[0] != event.PowerClusterAdmin {
		t.Error("cluster-admin is the gravest")
	}
}

func TestMastersNeedNoRole(t *testing.T) {
	s := NewState(Options{})
	if got := PowersOf(s.Rights(Subject{Kind: "User", Name: "root"}, []string{"system:masters"})); len(got) != len(order) {
		t.Errorf("system:masters holds %v", got)
	}
	if got := s.Rights(Subject{Kind: "User", Name: "system:masters"}, nil); len(got) != 0 {
		t.Errorf("a user of that name holds %v", got)
	}
}

func TestHowFarDangerousRightsGo(t *testing.T) {
	s := NewState(Options{Cluster: "c", Config: Config{Tenants: []TenantRule{{Name: "red", Namespaces: []string{"shop"}}, {Name: "blue", Namespaces: []string{"pay"}}}}})
	for _, doc := range []string{
		`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}`,
		`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"pay"}}`,
		`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"deployer","namespace":"shop"}}`,
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"edit"},"rules":[{"apiGroups":[""],"resources":["secrets"],"verbs":["get"]}]}`,
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"nodes"},"rules":[{"apiGroups":[""],"resources":["nodes"],"verbs":["get"]}]}`,
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":"b","namespace":"shop"},"roleRef":{"kind":"ClusterRole","name":"edit"},"subjects":[{"kind":"ServiceAccount","name":"deployer","namespace":"shop"}]}`,
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"n"},"roleRef":{"kind":"ClusterRole","name":"nodes"},"subjects":[{"kind":"ServiceAccount","name":"deployer","namespace":"shop"},{"kind":"Group","name":"ops"}]}`,
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"csr"},"rules":[{"apiGroups":["certificates.k8s.io"],"resources":["certificatesigningrequests/approval"],"verbs":["update"]},{"apiGroups":["certificates.k8s.io"],"resources":["signers"],"verbs":["approve"]}]}`,
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"csr"},"roleRef":{"kind":"ClusterRole","name":"csr"},"subjects":[{"kind":"User","name":"csr"}]}`,
	} {
		o, err := Decode([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		s.Put(o)
	}
	of := func(key string) *IdentityDoc {
		t.Helper()
		for _, d := range s.Full() {
			if d.Identity != nil && d.Identity.Key == key {
				return d.Identity
			}
		}
		return nil
	}
	if d := of("serviceaccount:shop/deployer"); d.Scope != "namespaces" || len(d.Crosses) > 0 || len(d.Rights) != 2 {
		t.Errorf("secrets of one namespace and nodes of the cluster: %+v", d)
	}

	if d := of("user:csr"); d.Scope != "cluster" || !slices.Equal(d.Grants, []string{event.PowerApproveCerts}) {
		t.Errorf("a right that takes two rules: %+v", d)
	}
	if of("user:eve") != nil {
		t.Error("a user that nothing names is known")
	}
	s.Dirty()
	s.Seen("eve", []string{"system:authenticated", "ops"})
	if docs, _ := s.Dirty(); len(docs) != 1 || docs[0].Identity == nil || docs[0].Identity.Key != "user:eve" {
		t.Errorf("a user that was seen: %+v", docs)
	}
	if d := of("user:eve"); d == nil || d.Scope != "cluster" || len(d.Rights) != 1 || d.Rights[0].Through != "ops" {
		t.Errorf("a user that was seen with a group: %+v", d)
	}
	s.Seen("eve", []string{"ops", "system:masters"})
	if d := of("user:eve"); !slices.Contains(d.Grants, event.PowerClusterAdmin) {
		t.Errorf("a user that came with system:masters: %+v", d)
	}
	s.Delete(Key{Kind: KindClusterBinding, Name: "n"}, "")
	if docs, _ := s.Dirty(); !slices.ContainsFunc(docs, func(d Document) bool { return d.Identity != nil && d.Identity.Key == "user:eve" }) {
		t.Error("a binding of its group that is gone changes nothing for a user that was seen")
	}
	for _, user := range []string{"", "system:kube-scheduler", "system:serviceaccount:shop:deployer"} {
		s.Seen(user, nil)
	}
	if len(s.seen) != 1 {
		t.Errorf("seen: %v", s.seen)
	}
}
