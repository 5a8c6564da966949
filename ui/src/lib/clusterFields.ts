// Fields that filters of clusters and of what they hold may name, for completion.
// The server says which exist; a Go test asks it about every example.
import type { FieldHint } from "./fields";

export const CLUSTER_FIELDS: readonly FieldHint[] = [
  ["cluster", "its name", "cluster:prod*"],
  ["platform", "AKS, EKS, k3s…", "platform:AKS"],
  ["version", "of its API server", "version:v1.34*"],
  ["audited", "its API server is watched", "audited:no"],
  ["alerts", "open alerts", "alerts:>0"],
  ["age", "since its agent was last heard of", "age:>1h"],
  ["uid", "of its kube-system namespace", "uid:3f2a*"],
];

export const WORKLOAD_FIELDS: readonly FieldHint[] = [
  ["workload", "namespace/Kind/name", "workload:shop/*"],
  ["cluster", "where it runs", "cluster:prod"],
  ["namespace", "its namespace", "namespace:payments"],
  ["kind", "Deployment, DaemonSet, CronJob…", "kind:CronJob"],
  ["name", "its name", "name:*gateway*"],
  ["owner", "who answers for it", "owner:unowned"],
  ["tenant", "whose it is", "tenant:team-a"],
  ["platform", "of the distribution, not of a team", "platform:no"],
  ["reach", "how far it can be reached", "reach:>=restricted"],
  ["identity", "the service account it runs as", "identity:serviceaccount:shop/*"],
  ["grant", "a dangerous right of its identity", "grant:read-secrets"],
  ["power", "what its pods may do on their node", "power:privileged"],
  ["mount", "folders of the node it mounts", "mount:/var/run*"],
  ["app", "what it is known to be", "app:redis"],
  ["image", "an image it runs, as written", "image:*nginx*"],
  ["digest", "an image it runs, by digest", "digest:sha256:4f2a*"],
  ["node", "a node its pods run on", "node:*vmss000002"],
  ["shares", "another tenant on the same nodes", "shares:*"],
  ["alerts", "open alerts", "alerts:>0"],
  ["severity", "its worst open alert", "severity:>=high"],
  ["critical", "critical vulnerabilities of its images", "critical:>0"],
  ["kev", "known exploited vulnerabilities of its images", "kev:>0"],
  ["pods", "how many pods", "pods:>=10"],
  ["age", "since it was made", "age:<1d"],
];

export const IDENTITY_FIELDS: readonly FieldHint[] = [
  ["identity", "kind:name", "identity:serviceaccount:shop/*"],
  ["cluster", "where it has rights", "cluster:prod"],
  ["kind", "ServiceAccount, User, Group", "kind:User"],
  ["namespace", "of a service account", "namespace:payments"],
  ["name", "its name", "name:*deploy*"],
  ["owner", "who answers for it", "owner:unowned"],
  ["tenant", "whose it is", "tenant:team-a"],
  ["platform", "of the distribution, not of a team", "platform:no"],
  ["grant", "a dangerous right", "grant:cluster-admin"],
  ["scope", "cluster, namespaces, none", "scope:cluster"],
  ["crosses", "another tenant it has rights in", "crosses:*"],
  ["workload", "a workload that runs as it", "workload:shop/*"],
  ["used", "since it last used the API, as audited", "used:>90d"],
  ["requests", "requests, as audited", "requests:0"],
  ["denied", "refused requests", "denied:>0"],
  ["unusual", "a model found it unusual", "unusual:secret-access"],
  ["alerts", "open alerts", "alerts:>0"],
  ["age", "since it was made", "age:<7d"],
];

export const EXPOSURE_FIELDS: readonly FieldHint[] = [
  ["reach", "how far it reaches", "reach:>=restricted"],
  ["cluster", "where", "cluster:prod"],
  ["kind", "Ingress, Service, Gateway…", "kind:Ingress"],
  ["namespace", "its namespace", "namespace:payments"],
  ["name", "its name", "name:*admin*"],
  ["address", "a host name, address or port", "address:*.example.com"],
  ["port", "the same", "port:443/TCP"],
  ["app", "what stands behind", "app:redis"],
  ["risk", "what makes it worse", "risk:no-password"],
  ["workload", "what is reached", "workload:shop/*"],
  ["owner", "who answers for it", "owner:unowned"],
  ["tenant", "whose it is", "tenant:team-a"],
  ["age", "since it was made", "age:<1d"],
];

export const AUDIT_FIELDS: readonly FieldHint[] = [
  ["identity", "who: kind:name", "identity:serviceaccount:shop/*"],
  ["user", "the user as the API names it", "user:*@example.com"],
  ["impersonator", "who acted in another's name", "impersonator:*"],
  ["verb", "get, list, create, delete…", "verb:create,patch"],
  ["resource", "resource.group/subresource", "resource:pods/exec"],
  ["namespace", "where", "namespace:payments"],
  ["name", "the object's name", "name:db-*"],
  ["workload", "that the object is or belongs to", "workload:shop/*"],
  ["code", "the answer's status", "code:>=400"],
  ["decision", "allow or forbid", "decision:forbid"],
  ["from", "pod, node, private, internet", "from:internet"],
  ["from.name", "the pod or node it came from", "from.name:shop/*"],
  ["source", "the address", "source:203.0.113.*"],
  ["agent", "the user agent", "agent:kubectl*"],
  ["unusual", "a model found it unusual", "unusual:secret-access"],
  ["alert", "an alert rests on it", "alert:*"],
  ["cluster", "which API server", "cluster:prod"],
  ["age", "since it happened", "age:<1h"],
  ["time", "when it happened", "time:>=2026-01-31"],
];

export const CLUSTER_VALUES: Readonly<Record<string, readonly string[]>> = {
  reach: [">=restricted", "internet", "restricted", "private", "node-port", "host-port", "cluster", "none", "unknown"],
  kind: ["Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "Pod", "Ingress", "Service", "Gateway", "ServiceAccount", "User", "Group"],
  scope: ["cluster", "namespaces", "none"], from: ["pod", "node", "private", "internet", "loopback", "unknown"], decision: ["allow", "forbid"],
  verb: ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"], unusual: ["pod-deployment", "secret-access", "service-account"],
  grant: ["cluster-admin", "escalate", "impersonate", "webhooks", "approve-csr", "create-tokens", "read-secrets", "exec", "nodes-proxy", "create-pods"],
  power: ["privileged", "hostPID", "hostNetwork", "hostIPC"], risk: ["no-password", "trust-auth", "any-source", "broad-source"],
  platform: ["no", "yes"], audited: ["yes", "no"], used: ["<1h", "<24h", ">30d", ">90d"], owner: ["unowned"],
};
