package detect

import (
	"strings"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
)

// request is who asked the API server for what, as an audit event and its facts tell it.
// Its texts are the event's own.
type request struct {
	cluster                          string
	identity, user                   string
	source, agent                    string
	verb, path                       string
	resource, group, sub             string
	namespace, name                  string
	target                           string // workload, by the facts
	owner, tenant                    string
	crossed                          bool
	actorOwner, actorTenant, toldPod string
}

// maxWord bounds each text that a request brings into a finding, bytes.
const maxWord = 512

func requestOf(ev *event.Event) request {
	get := func(path ...string) string {
		s, _ := ev.JSONText(path...)
		return clip(s, maxWord)
	}
	fact := func(name string) string { return get(event.FactsKey, name) }
	q := request{
		cluster: fact("cluster"), user: get("user", "username"), source: fact("source"), agent: get("userAgent"),
		verb: get("verb"), resource: get("objectRef", "resource"), group: get("objectRef", "apiGroup"), sub: get("objectRef", "subresource"),
		namespace: get("objectRef", "namespace"), name: get("objectRef", "name"),
		target: fact("target"), owner: fact("targetOwner"), tenant: fact("targetTenant"), crossed: fact("crossTenant") == "true",
		actorOwner: fact("actorOwner"), actorTenant: fact("actorTenant"),
	}
	if q.source == "" {
		q.source = get("sourceIPs", "0")
	}
	if q.cluster == "" {
		q.cluster = get("annotations", "cluster_name")
	}
	actor := fact("actorName")
	if actor == "" {
		actor = get("impersonatedUser", "username")
	}
	if actor == "" {
		actor = q.user
	}
	q.identity = identity(actor)
	if q.resource == "" {
		q.path, _, _ = strings.Cut(get("requestURI"), "?")
	}
	if q.name == "" && q.verb == "create" { // the server may have made the name
		if q.name = get("responseObject", "metadata", "name"); q.name == "" {
			q.name = get("requestObject", "metadata", "name")
		}
	}
	return q
}

// identity is a user of the API by its kind.
func identity(user string) string {
	if rest, ok := strings.CutPrefix(user, "system:serviceaccount:"); ok {
		if ns, name, ok := strings.Cut(rest, ":"); ok {
			return "serviceaccount:" + ns + "/" + name
		}
	}
	if rest, ok := strings.CutPrefix(user, "system:node:"); ok {
		return "node:" + rest
	}
	if user == "" || user == "system:anonymous" {
		return "anonymous"
	}
	return "user:" + user
}

// subject says who, where and what. The workload is the one acted upon: what the facts
// say, else namespace/Kind, cluster/Kind, or cluster.
func (q *request) subject() finding.Subject {
	own := strings.Clone
	s := finding.Subject{
		Cluster: own(q.cluster), Identity: own(q.identity), Source: own(q.source), Agent: own(q.agent), User: own(q.user),
		Workload: own(q.workload()), Owner: own(q.owner), Tenant: own(q.tenant), Object: q.object(), ObjectClass: q.class(),
	}
	if s.Owner == "" {
		s.Owner = own(q.actorOwner)
	}
	if s.Tenant == "" {
		s.Tenant = own(q.actorTenant)
	}
	if q.resource == "pods" && q.name != "" {
		s.Container = &finding.Container{Pod: own(q.name), Namespace: own(q.namespace)}
	}
	if q.crossed {
		if q.tenant != "" {
			s.Reaches = append(s.Reaches, "tenant:"+q.tenant)
		}
		if q.target != "" {
			s.Reaches = append(s.Reaches, own(q.target))
		}
	}
	return s
}

func (q *request) workload() string {
	switch {
	case q.target != "":
		return q.target
	case q.resource == "":
		return "cluster"
	case q.namespace == "" || q.resource == "namespaces":
		return "cluster/" + kind(q.resource)
	}
	return q.namespace + "/" + kind(q.resource)
}

// matter is the workload as the fingerprint has it: with the cluster, and of a workload
// its namespace and name, of a pod the stem of its name, so that a pod whose owner is
// not known yet and the workload it belongs to are one matter.
func (q *request) matter() string {
	w := q.workload()
	if parts := strings.Split(q.target, "/"); len(parts) == 3 {
		if parts[1] == "Pod" {
			parts[2] = stem(parts[2])
		}
		w = parts[0] + "/" + parts[2]
	}
	if q.cluster != "" {
		w = q.cluster + ":" + w
	}
	return w
}

// object is the request in words: create pods/exec shop/web-1, get /version.
func (q *request) object() string {
	var b strings.Builder
	b.WriteString(q.verb)
	b.WriteByte(' ')
	if q.resource == "" {
		b.WriteString(q.path)
		return b.String()
	}
	b.WriteString(q.what())
	switch {
	case q.namespace != "" && q.name != "" && q.resource != "namespaces":
		b.WriteString(" " + q.namespace + "/" + q.name)
	case q.name != "":
		b.WriteString(" " + q.name)
	case q.namespace != "":
		b.WriteString(" " + q.namespace)
	}
	return b.String()
}

// what is resource.group/subresource.
func (q *request) what() string {
	s := q.resource
	if q.group != "" {
		s += "." + q.group
	}
	if q.sub != "" {
		s += "/" + q.sub
	}
	return s
}

// class is the part of the request that takes part in the fingerprint, folded so that one
// attack is one alert: reading is one thing whatever the verb and so are writing and
// deleting; what is read or deleted, object by object, is not told apart; and of other
// names what was counted or made up is left out.
func (q *request) class() string {
	verb, named := q.verb, true
	switch verb {
	case "get", "list", "watch":
		verb, named = "read", false
	case "update", "patch":
		verb = "write"
	case "create":
		if q.sub == "" {
			verb = "write"
		}
	case "delete", "deletecollection":
		verb, named = "delete", false
	}
	if q.resource == "" {
		return "api:" + verb + " " + fold(q.path)
	}
	s := "api:" + verb + " " + q.what()
	if named && q.name != "" {
		s += " " + fold(stem(q.name))
	}
	return s
}

// place names where it happened, for people.
func (q *request) place() string {
	of := ""
	if q.cluster != "" {
		of = " of cluster " + q.cluster
	}
	switch {
	case q.resource == "pods" && q.namespace != "" && q.name != "":
		return "in pod " + q.namespace + "/" + q.name + of
	case q.namespace != "":
		return "in namespace " + q.namespace + of
	case q.cluster != "":
		return "on cluster " + q.cluster
	}
	return "on the cluster"
}

// kind gives the kind of a resource where it is a common one, else the resource.
func kind(resource string) string {
	for i := 0; i+1 < len(kinds); i += 2 {
		if kinds[i] == resource {
			return kinds[i+1]
		}
	}
	return resource
}

var kinds = [...]string{
	"pods", "Pod", "secrets", "Secret", "configmaps", "ConfigMap", "services", "Service", "serviceaccounts", "ServiceAccount", "namespaces", "Namespace",
	"nodes", "Node", "events", "Event", "endpoints", "Endpoints", "persistentvolumes", "PersistentVolume", "persistentvolumeclaims", "PersistentVolumeClaim",
	"replicationcontrollers", "ReplicationController", "deployments", "Deployment", "replicasets", "ReplicaSet", "statefulsets", "StatefulSet",
	"daemonsets", "DaemonSet", "jobs", "Job", "cronjobs", "CronJob", "roles", "Role", "rolebindings", "RoleBinding", "clusterroles", "ClusterRole",
	"clusterrolebindings", "ClusterRoleBinding", "ingresses", "Ingress", "networkpolicies", "NetworkPolicy",
	"validatingwebhookconfigurations", "ValidatingWebhookConfiguration", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration",
	"validatingadmissionpolicies", "ValidatingAdmissionPolicy", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding",
	"certificatesigningrequests", "CertificateSigningRequest", "customresourcedefinitions", "CustomResourceDefinition", "leases", "Lease",
	"gateways", "Gateway", "httproutes", "HTTPRoute",
}

// maxEssence bounds each part and all of what is kept of a document that is too large,
// bytes. Written into a finding it at most doubles.
const maxEssence = 28 << 10

// essence is an audit event with what matters of its document: who, what, from where,
// how it ended and the facts, without the objects sent and returned.
func essence(ev *event.Event) *event.Event {
	b := []byte(`{`)
	left := "requestObject, responseObject"
	for _, key := range [...]string{
		"auditID", "stage", "level", "verb", "requestURI", "objectRef", "sourceIPs", "userAgent", "responseStatus", "user", "impersonatedUser",
		event.FactsKey, "requestReceivedTimestamp", "stageTimestamp", "annotations",
	} {
		raw := ev.JSONRaw(key)
		if raw == nil {
			continue
		}
		if len(b)+len(raw) > maxEssence {
			left += ", " + key
			continue
		}
		b = append(append(append(append(append(b, '"'), key...), '"', ':'), raw...), ',')
	}
	b = append(b, `"omitted":"`+left+`: the event is larger than 64 KiB; its id is in eventIds"}`...)
	return &event.Event{
		ID: ev.ID, Type: ev.Type, Source: ev.Source, Flags: ev.Flags, Time: ev.Time, Boot: ev.Boot, Received: ev.Received, CPU: ev.CPU, FD: ev.FD, JSON: b,
	}
}
