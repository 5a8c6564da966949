package kube

import "github.com/dockreeve/dockreeve/inventory"

// want is one resource to be watched.
type want struct {
	kind     inventory.Kind
	apiKind  string   // as the API server names it
	groups   []string // API groups that may serve it, the better first
	resource string
	cluster  bool // it is in no namespace
	optional bool // of a custom resource definition, or of newer servers: not served is nothing to report
	metadata bool // only its metadata is asked for
}

// groups of the API.
var (
	core       = []string{""}
	apps       = []string{"apps"}
	batch      = []string{"batch"}
	networking = []string{"networking.k8s.io", "extensions"}
	gateway    = []string{"gateway.networking.k8s.io"}
	openshift  = []string{"route.openshift.io"}
	rbac       = []string{"rbac.authorization.k8s.io"}
	admission  = []string{"admissionregistration.k8s.io"}
	storage    = []string{"storage.k8s.io"}
)

// wanted lists what is read, in the order in which it is asked for: what names a pod and
// its tenant first, as nodes wait for that.
func wanted(secrets bool) []want {
	list := []want{
		{kind: inventory.KindNamespace, apiKind: "Namespace", groups: core, resource: "namespaces", cluster: true},
		{kind: inventory.KindNode, apiKind: "Node", groups: core, resource: "nodes", cluster: true},
		{kind: inventory.KindReplicaSet, apiKind: "ReplicaSet", groups: apps, resource: "replicasets"},
		{kind: inventory.KindPod, apiKind: "Pod", groups: core, resource: "pods"},
		{kind: inventory.KindDeployment, apiKind: "Deployment", groups: apps, resource: "deployments"},
		{kind: inventory.KindStatefulSet, apiKind: "StatefulSet", groups: apps, resource: "statefulsets"},
		{kind: inventory.KindDaemonSet, apiKind: "DaemonSet", groups: apps, resource: "daemonsets"},
		{kind: inventory.KindJob, apiKind: "Job", groups: batch, resource: "jobs"},
		{kind: inventory.KindCronJob, apiKind: "CronJob", groups: batch, resource: "cronjobs"},
		{kind: inventory.KindRC, apiKind: "ReplicationController", groups: core, resource: "replicationcontrollers"},
		{kind: inventory.KindServiceAccount, apiKind: "ServiceAccount", groups: core, resource: "serviceaccounts"},
		{kind: inventory.KindClusterRole, apiKind: "ClusterRole", groups: rbac, resource: "clusterroles", cluster: true},
		{kind: inventory.KindClusterBinding, apiKind: "ClusterRoleBinding", groups: rbac, resource: "clusterrolebindings", cluster: true},
		{kind: inventory.KindRole, apiKind: "Role", groups: rbac, resource: "roles"},
		{kind: inventory.KindRoleBinding, apiKind: "RoleBinding", groups: rbac, resource: "rolebindings"},
		{kind: inventory.KindService, apiKind: "Service", groups: core, resource: "services"},
		{kind: inventory.KindIngress, apiKind: "Ingress", groups: networking, resource: "ingresses"},
		{kind: inventory.KindNetworkPolicy, apiKind: "NetworkPolicy", groups: networking, resource: "networkpolicies"},
		{kind: inventory.KindGateway, apiKind: "Gateway", groups: gateway, resource: "gateways", optional: true},
		{kind: inventory.KindRoute, apiKind: "HTTPRoute", groups: gateway, resource: "httproutes", optional: true},
		{kind: inventory.KindRoute, apiKind: "GRPCRoute", groups: gateway, resource: "grpcroutes", optional: true},
		{kind: inventory.KindRoute, apiKind: "TLSRoute", groups: gateway, resource: "tlsroutes", optional: true},
		{kind: inventory.KindRoute, apiKind: "TCPRoute", groups: gateway, resource: "tcproutes", optional: true},
		{kind: inventory.KindRoute, apiKind: "UDPRoute", groups: gateway, resource: "udproutes", optional: true},
		{kind: inventory.KindRoute, apiKind: "Route", groups: openshift, resource: "routes", optional: true},
		{kind: inventory.KindWebhook, apiKind: "ValidatingWebhookConfiguration", groups: admission, resource: "validatingwebhookconfigurations", cluster: true},
		{kind: inventory.KindWebhook, apiKind: "MutatingWebhookConfiguration", groups: admission, resource: "mutatingwebhookconfigurations", cluster: true},
		{kind: inventory.KindWebhook, apiKind: "ValidatingAdmissionPolicy", groups: admission, resource: "validatingadmissionpolicies", cluster: true, optional: true},
		{kind: inventory.KindWebhook, apiKind: "MutatingAdmissionPolicy", groups: admission, resource: "mutatingadmissionpolicies", cluster: true, optional: true},
		{kind: inventory.KindConfigMap, apiKind: "ConfigMap", groups: core, resource: "configmaps"},
		{kind: inventory.KindVolume, apiKind: "PersistentVolume", groups: core, resource: "persistentvolumes", cluster: true},
		{kind: inventory.KindClaim, apiKind: "PersistentVolumeClaim", groups: core, resource: "persistentvolumeclaims"},
		{kind: inventory.KindStorageClass, apiKind: "StorageClass", groups: storage, resource: "storageclasses", cluster: true},
	}
	if secrets {
		list = append(list, want{kind: inventory.KindSecret, apiKind: "Secret", groups: core, resource: "secrets", metadata: true})
	}
	return list
}

// folded reports whether a kind of the inventory stands for several of the API's, so
// that a relist of one must leave the others alone.
func (w want) folded() string {
	if w.kind == inventory.KindRoute || w.kind == inventory.KindWebhook {
		return w.apiKind
	}
	return ""
}

// name is what people call the resource: pods, httproutes.gateway.networking.k8s.io.
func (w want) name() string {
	if w.groups[0] == "" {
		return w.resource
	}
	return w.resource + "." + w.groups[0]
}
