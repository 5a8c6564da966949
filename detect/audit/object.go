package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inventory"
)

// kinds are the resources whose objects are looked into, with what an object in a
// request may leave out.
var kinds = map[string]struct{ version, kind string }{
	"pods": {"v1", "Pod"}, "replicationcontrollers": {"v1", "ReplicationController"}, "services": {"v1", "Service"},
	"deployments.apps": {"apps/v1", "Deployment"}, "replicasets.apps": {"apps/v1", "ReplicaSet"}, "statefulsets.apps": {"apps/v1", "StatefulSet"},
	"daemonsets.apps": {"apps/v1", "DaemonSet"}, "jobs.batch": {"batch/v1", "Job"}, "cronjobs.batch": {"batch/v1", "CronJob"},
	"ingresses.networking.k8s.io":                   {"networking.k8s.io/v1", "Ingress"},
	"gateways.gateway.networking.k8s.io":            {"gateway.networking.k8s.io/v1", "Gateway"},
	"httproutes.gateway.networking.k8s.io":          {"gateway.networking.k8s.io/v1", "HTTPRoute"},
	"roles.rbac.authorization.k8s.io":               {"rbac.authorization.k8s.io/v1", "Role"},
	"clusterroles.rbac.authorization.k8s.io":        {"rbac.authorization.k8s.io/v1", "ClusterRole"},
	"rolebindings.rbac.authorization.k8s.io":        {"rbac.authorization.k8s.io/v1", "RoleBinding"},
	"clusterrolebindings.rbac.authorization.k8s.io": {"rbac.authorization.k8s.io/v1", "ClusterRoleBinding"},
}

// changes reports whether a verb writes an object.
func changes(verb string) bool { return verb == "create" || verb == "update" || verb == "patch" }

// object fills what the object of a request would allow.
func (a *Auditor) object(d *doc, f *event.AuditFacts) {
	ref := d.ObjectRef
	if ref == nil || !changes(d.Verb) || ref.Subresource != "" && ref.Subresource != "ephemeralcontainers" {
		return
	}
	r := ref.Resource
	if ref.APIGroup != "" {
		r += "." + ref.APIGroup
	}
	if ref.APIGroup == "admissionregistration.k8s.io" {
		f.HookURLs = d.hookURLs()
		return
	}
	as, ok := kinds[r]
	if !ok {
		return
	}
	o, answered, whole, err := d.decode(as.version, as.kind)
	if err == nil && o.Unread != "" {
		f.NotAssessed = append(f.NotAssessed, ObjectNotAssessed+errTooBig.Error())
	}
	if err == nil && !whole {
		f.NotAssessed = append(f.NotAssessed, ObjectNotAssessed+errPatch.Error())
	}
	if err != nil {
		f.NotAssessed = append(f.NotAssessed, ObjectNotAssessed+err.Error())
		return
	}
	if o.Namespace == "" {
		o.Namespace = ref.Namespace
	}
	if o.Name == "" {
		o.Name = ref.Name
	}
	if have, ok := a.opt.State.Get(o.Key); ok && d.Verb == "patch" && !answered {
		complement(o, have)
	}
	switch {
	case o.Role != nil:
		if rules, ok := a.opt.State.RulesOf(o); ok {
			f.Grants, f.GrantsScope = inventory.PowersIn(rules, o.Namespace), scope(o.Namespace)
			if d.done() {
				a.wroteRole(o.Key, rules)
			}
		}
	case o.Binding != nil:
		a.binding(o, f)
	default:
		as := a.opt.State.Assess(o)
		f.Powers, f.Mounts, f.Images = bounded(as.Powers), bounded(as.Mounts), bounded(as.Images)
		f.Exposure, f.Ports, f.Apps, f.Risks = as.Reach, bounded(as.Ports), bounded(as.Apps), bounded(as.Risks)
		if f.Target == "" {
			f.Target = as.Workload
		}
		for _, n := range as.NotAssessed {
			f.NotAssessed = append(f.NotAssessed, n)
		}
		if d.done() && !d.dry() {
			for _, image := range f.Images {
				if repo := inventory.Repository(image); a.sawImage(ref.Namespace, repo) {
					f.NewImages = append(f.NewImages, repo)
				}
			}
		}
	}
}

func scope(namespace string) string {
	if namespace == "" {
		return "cluster"
	}
	return namespace
}

var (
	errNoObject = errors.New("the audit policy does not record the request's object")
	errTooBig   = errors.New("it is larger than is looked into") // a rule of detect/rules knows these words
)

// ObjectNotAssessed begins what NotAssessed says of an object that could not be read, so
// that no rule could judge it.
const ObjectNotAssessed = "what the object allows: "

// decode reads the object as it stands after the request, where that is recorded, else
// as it was sent; a partial one takes its kind from the resource. answered says
// which it was; whole is false where not all of what was sent could be read.
func (d *doc) decode(version, kind string) (o *inventory.Object, answered, whole bool, err error) {
	var last error
	for i, b := range []json.RawMessage{d.ResponseObject, d.RequestObject} {
		b = bytes.TrimSpace(b)
		whole = true
		switch {
		case len(b) == 0 || bytes.Equal(b, []byte("null")):
			continue
		case b[0] == '[':
			if b, whole, err = written(b); err != nil || b[0] != '{' {
				last = errPatch
				continue
			}
		case b[0] != '{': // words in its place: it was left out by us or by who exported it
			last = errTooBig
			continue
		}
		if i == 1 && d.Verb == "patch" {
			if b, err = exact(b); err != nil {
				last = err
				continue
			}
		}
		var head struct {
			Kind     string
			Metadata struct{ Name string }
		}
		if err := json.Unmarshal(b, &head); err != nil {
			last = err
			continue
		}
		if head.Kind == "Status" || head.Kind != "" && head.Kind != kind {
			continue
		}
		if head.Kind == "" || head.Metadata.Name == "" {
			if b, err = d.complete(b, version, kind); err != nil {
				last = err
				continue
			}
		}
		o, err := inventory.Decode(b)
		if err != nil {
			last = err
			continue
		}
		return o, i == 0, whole, nil
	}
	if last == nil {
		if last = errNoObject; d.Annotations["audit.k8s.io/truncated"] == "true" {
			last = errTooBig
		}
	}
	return nil, false, false, last
}

// hookURLs are the addresses, not services of the cluster, that a webhook configuration in
// the request calls: of the object as it stands then, where that is recorded, and as sent.
func (d *doc) hookURLs() (urls []string) {
	for _, b := range []json.RawMessage{d.ResponseObject, d.RequestObject} {
		var conf struct {
			Webhooks []struct{ ClientConfig struct{ URL string } }
		}
		if b = bytes.TrimSpace(b); len(b) > 0 && b[0] == '[' {
			b, _, _ = written(b) // what cannot be read is empty, and no configuration
		}
		if tidied, err := exact(b); err != nil || json.Unmarshal(tidied, &conf) != nil {
			continue
		}
		for _, w := range conf.Webhooks {
			if u := w.ClientConfig.URL; u != "" {
				urls = append(urls, strings.ToValidUTF8(u[:min(len(u), 512)], ""))
			}
		}
	}
	slices.Sort(urls)
	return bounded(slices.Compact(urls))
}

// complete gives an object what a patch, or one whose name is to be generated, leaves out.
func (d *doc) complete(b []byte, version, kind string) ([]byte, error) {
	var o map[string]json.RawMessage
	if err := json.Unmarshal(b, &o); err != nil {
		return nil, err
	}
	var meta map[string]json.RawMessage
	if m, ok := o["metadata"]; ok {
		if err := json.Unmarshal(m, &meta); err != nil {
			return nil, err
		}
	}
	if meta == nil {
		meta = map[string]json.RawMessage{}
	}
	if string(meta["name"]) == "" {
		name := d.ObjectRef.Name
		if name == "" {
			var prefix string
			if err := json.Unmarshal(meta["generateName"], &prefix); err != nil {
				prefix = "new-"
			}
			name = prefix + "generated"
		}
		meta["name"] = quoted(name)
	}
	if meta["namespace"] == nil && d.ObjectRef.Namespace != "" {
		meta["namespace"] = quoted(d.ObjectRef.Namespace)
	}
	m, err := json.Marshal(meta)
	if err != nil {
		return nil, err
	}
	o["metadata"] = m
	if o["kind"] == nil {
		o["kind"] = quoted(kind)
	}
	if o["apiVersion"] == nil {
		o["apiVersion"] = quoted(version)
	}
	return json.Marshal(o)
}

func quoted(s string) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		return json.RawMessage(`""`) // a string always encodes
	}
	return b
}

// maxAsked bounds the subjects of a binding whose rights are looked up.
const maxAsked = 256

// maxRoles bounds the roles remembered from their audit events.
const maxRoles = 512

// wroteRole remembers what a role allows: its binding may be audited before the inventory
// has heard of it.
func (a *Auditor) wroteRole(k inventory.Key, rules []inventory.Rule) {
	if len(a.roles) >= maxRoles {
		clear(a.roles)
	}
	a.roles[k] = rules
}

func roleOf(binding *inventory.Object) inventory.Key {
	k := inventory.Key{Kind: inventory.Kind(binding.Binding.RoleKind), Name: binding.Binding.RoleName}
	if k.Kind == inventory.KindRole {
		k.Namespace = binding.Namespace
	}
	return k
}

// binding fills what a role binding gives, to whom, and whether that is new to them.
func (a *Auditor) binding(o *inventory.Object, f *event.AuditFacts) {
	rules, ok := a.opt.State.RulesOf(o)
	if !ok {
		rules, ok = a.roles[roleOf(o)]
	}
	if !ok {
		f.NotAssessed = append(f.NotAssessed, "what the binding gives: "+o.Binding.RoleKind+" "+o.Binding.RoleName+" is not in the inventory")
		if o.Binding.RoleName != "cluster-admin" {
			rules = nil
		} else {
			rules = []inventory.Rule{{Verbs: []string{"*"}, Groups: []string{"*"}, Resources: []string{"*"}}}
		}
	}
	namespace := o.Namespace
	if o.Kind == inventory.KindClusterBinding {
		namespace = ""
	}
	f.Grants, f.GrantsScope = inventory.PowersIn(rules, namespace), scope(namespace)
	asked := map[inventory.Subject]bool{}
	for _, s := range o.Binding.Subjects {
		if asked[s] {
			continue
		}
		if asked[s] = true; len(asked) > maxAsked {
			f.NotAssessed = append(f.NotAssessed, ObjectNotAssessed+errTooBig.Error())
			break
		}
		name := s.Kind + "/" + s.Name
		if s.Kind == "ServiceAccount" {
			name = s.Kind + "/" + s.Namespace + "/" + s.Name
			if t := a.opt.State.Tenant(s.Namespace); t != "" && f.TargetTenant != "" && t != f.TargetTenant {
				f.CrossTenant = true
			}
		}
		f.GrantsTo = append(f.GrantsTo, name)
		f.GrantsNew = f.GrantsNew || a.gives(s, o, f.Grants, namespace)
	}
	f.GrantsTo = bounded(f.GrantsTo)
}

// gives reports whether a subject gets a power from the binding that it holds by no
// other. The binding itself may be in the inventory already, before its audit event.
func (a *Auditor) gives(s inventory.Subject, o *inventory.Object, grants []string, namespace string) bool {
	if len(grants) == 0 {
		return false
	}
	self := string(o.Kind) + "/" + o.Name
	if o.Namespace != "" {
		self = string(o.Kind) + "/" + o.Namespace + "/" + o.Name
	}
	var cluster, local []inventory.Rule
	for _, r := range a.opt.State.Rights(s, nil) {
		switch {
		case r.Binding == self:
		case r.Namespace == "":
			cluster = append(cluster, r.Rule)
		case r.Namespace == namespace:
			local = append(local, r.Rule)
		}
	}
	have := append(inventory.Powers(cluster), inventory.PowersIn(local, namespace)...)
	if slices.Contains(have, event.PowerClusterAdmin) {
		return false
	}
	return slices.ContainsFunc(grants, func(g string) bool { return !slices.Contains(have, g) })
}
