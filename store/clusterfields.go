package store

import (
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/query"
)

// What a filter of each list of clusters may name.
func ClusterFields() *query.Schema  { return &clusterFields }
func WorkloadFields() *query.Schema { return &workloadFields }
func IdentityFields() *query.Schema { return &identityFields }
func ExposureFields() *query.Schema { return &exposureFields }

// Conditions that join one list with another. The statuses are finding.Open.
const (
	openAlertsOfCluster  = "(SELECT COUNT(*) FROM alerts a WHERE a.cluster = clusters.name AND a.status = 1)"
	openAlertsOfWorkload = "(SELECT COUNT(*) FROM alerts a WHERE a.workload = inventory.key AND a.cluster = inventory.cluster AND a.status = 1)"
	worstAlertOfWorkload = "COALESCE((SELECT MAX(a.severity) FROM alerts a WHERE a.workload = inventory.key AND a.cluster = inventory.cluster AND a.status = 1),0)"
	openAlertsOfIdentity = "(SELECT COUNT(*) FROM alerts a WHERE a.identity = inventory.identity AND a.cluster = inventory.cluster AND a.status = 1)"
	// Where nothing is told of who does what there is no value, and no filter finds it.
	audited  = "CASE WHEN inventory.type <> 'Group' AND EXISTS (SELECT 1 FROM clusters c WHERE c.name = inventory.cluster AND c.habits_since > 0) THEN "
	ofHabits = " FROM habits h WHERE h.cluster = inventory.cluster AND h.identity = inventory.identity),0) END"
	lastUse  = audited + "COALESCE((SELECT MAX(h.last)" + ofHabits
	requests = audited + "COALESCE((SELECT SUM(h.count)" + ofHabits
	denials  = audited + "COALESCE((SELECT SUM(h.denied)" + ofHabits

	imagesOfWorkload = "i.n IN (SELECT k.image FROM workload_images w JOIN image_keys k ON k.key = w.ref WHERE w.cluster = inventory.cluster AND w.workload = inventory.key)"
)

// assessedImages holds where each image of a workload has a verdict, under either digest.
const assessedImages = `CASE WHEN json_array_length(doc,'$.images') > 0 AND NOT EXISTS (SELECT 1 FROM json_each(doc,'$.images') e WHERE NOT EXISTS (
	SELECT 1 FROM image_keys k JOIN images i ON i.n = k.image WHERE i.not_assessed = '' AND k.key IN (
		substr(e.value->>'digest', instr(e.value->>'digest','@')+1), substr(e.value->>'imageID', instr(e.value->>'imageID','@')+1)))) THEN 1 ELSE 0 END`

func inImages(column string) string {
	return "COALESCE((SELECT SUM(i." + column + ") FROM images i WHERE " + imagesOfWorkload + "),0)"
}

var clusterFields = query.Schema{Fields: []query.Field{
	{Name: "cluster", Aliases: []string{"name"}, Type: query.Text, Free: true, SQL: "name", Doc: "its name"},
	{Name: "platform", Type: query.Text, Free: true, SQL: "platform", Doc: "AKS, EKS, kubeadm…"},
	{Name: "version", Type: query.Text, SQL: "version", Doc: "of its API server: version:v1.34*"},
	{Name: "uid", Type: query.Text, SQL: "uid", Doc: "of its kube-system namespace"},
	{Name: "audited", Type: query.Bool, SQL: "audited", Doc: "whether its API server is watched: audited:no"},
	{Name: "alerts", Type: query.Number, SQL: openAlertsOfCluster, Doc: "open alerts: alerts:>0"},
	{Name: "age", Type: query.Age, SQL: "received_at", Doc: "since its agent was last heard of: age:>1h"},
}}

var workloadFields = query.Schema{Fields: []query.Field{
	{Name: "cluster", Type: query.Text, SQL: "cluster", Doc: "the cluster"},
	{Name: "namespace", Aliases: []string{"ns"}, Type: query.Text, Free: true, SQL: "namespace", Doc: "Kubernetes namespace"},
	{Name: "kind", Type: query.Text, SQL: "type", Doc: "kind:Deployment,DaemonSet"},
	{Name: "name", Type: query.Text, Free: true, SQL: "name", Doc: "its name"},
	{Name: "workload", Type: query.Text, SQL: "key", Doc: "namespace/Kind/name"},
	{Name: "owner", Type: query.Text, Free: true, SQL: "owner", Doc: "who answers for it: owner:unowned"},
	{Name: "tenant", Type: query.Text, Free: true, SQL: "tenant", Doc: `whose it is; tenant:"" is nobody's`},
	{Name: "platform", Type: query.Bool, SQL: "platform", Doc: "of the distribution or its add-ons: platform:no"},
	{Name: "identity", Type: query.Text, Free: true, SQL: "identity", Doc: "what it runs as: identity:serviceaccount:shop/*"},
	{Name: "power", Type: query.Text, List: true, SQL: "json_each(powers)", Doc: "what its pods may do on their node: power:privileged"},
	{Name: "grant", Type: query.Text, List: true, SQL: "json_each(grants)", Doc: "dangerous right of its identity: grant:read-secrets"},
	{Name: "mount", Type: query.Text, List: true, SQL: "json_each(mounts)", Doc: "sensitive host path it mounts: mount:/etc*"},
	{Name: "reach", Type: query.Ranked, Words: reachWords, SQL: "reach_rank", Doc: "how far it can be reached: reach:>=restricted"},
	{Name: "app", Type: query.Text, List: true, SQL: "json_each(apps)", Doc: "what it is known to be: app:redis"},
	{Name: "image", Type: query.Text, Free: true, List: true, SQL: "json_each(images)", Doc: "an image as written: image:*nginx*"},
	{Name: "digest", Type: query.Text, List: true, Where: "EXISTS (SELECT 1 FROM workload_images w WHERE w.cluster = inventory.cluster AND w.workload = inventory.key AND w.ref {})", Doc: "an image it runs, by digest"},
	{Name: "node", Type: query.Text, List: true, SQL: "json_each(nodes)", Doc: "a node its pods run on"},
	{Name: "shares", Type: query.Text, List: true, SQL: "json_each(tenants)", Doc: "another tenant on the same nodes; shares:* finds all"},
	{Name: "pods", Type: query.Number, SQL: "pods", Doc: "how many pods it has: pods:0"},
	{Name: "alerts", Type: query.Number, SQL: openAlertsOfWorkload, Doc: "open alerts: alerts:>0"},
	{Name: "severity", Aliases: []string{"sev"}, Type: query.Ranked, Words: finding.SeverityWords(), First: int64(finding.Informational), SQL: worstAlertOfWorkload, Doc: "its worst open alert: severity:>=high"},
	{Name: "assessed", Type: query.Bool, SQL: assessedImages, Doc: "whether all of its images have a verdict: assessed:no"},
	{Name: "critical", Type: query.Number, SQL: inImages("critical"), Doc: "critical vulnerabilities of its images: critical:>0"},
	{Name: "kev", Type: query.Number, SQL: inImages("kev"), Doc: "vulnerabilities of its images that are known to be exploited: kev:>0"},
	{Name: "age", Type: query.Age, SQL: "created", Doc: "since it was made: age:<1d"},
}}

var identityFields = query.Schema{Fields: []query.Field{
	{Name: "cluster", Type: query.Text, SQL: "cluster", Doc: "the cluster"},
	{Name: "kind", Type: query.Text, SQL: "type", Doc: "kind:ServiceAccount, User, Group"},
	{Name: "namespace", Aliases: []string{"ns"}, Type: query.Text, Free: true, SQL: "namespace", Doc: "Kubernetes namespace of a service account"},
	{Name: "name", Type: query.Text, Free: true, SQL: "name", Doc: "its name"},
	{Name: "identity", Type: query.Text, SQL: "key", Doc: "serviceaccount:namespace/name, user:name, group:name"},
	{Name: "owner", Type: query.Text, Free: true, SQL: "owner", Doc: "who answers for it: owner:unowned"},
	{Name: "tenant", Type: query.Text, Free: true, SQL: "tenant", Doc: `whose it is; tenant:"" is nobody's`},
	{Name: "platform", Type: query.Bool, SQL: "platform", Doc: "of the distribution or its add-ons: platform:no"},
	{Name: "grant", Type: query.Text, List: true, SQL: "json_each(grants)", Doc: "dangerous right: grant:cluster-admin"},
	{Name: "scope", Type: query.Text, SQL: "scope", Doc: "cluster, namespaces, none"},
	{Name: "workload", Type: query.Text, Free: true, List: true, SQL: "json_each(workloads)", Doc: "a workload that runs as it"},
	{Name: "crosses", Type: query.Text, List: true, SQL: "json_each(tenants)", Doc: "another tenant it has rights in; crosses:* finds all"},
	{Name: "requests", Type: query.Number, SQL: requests, Doc: "how often it used the API, as audited: requests:0"},
	{Name: "denied", Type: query.Number, SQL: denials, Doc: "how often it was refused: denied:>0"},
	{Name: "used", Type: query.Age, SQL: lastUse, Doc: "since it last used the API, as audited: used:>90d"},
	{Name: "unusual", Type: query.Text, List: true, SQL: "habits h JOIN json_each(h.unusual) ON h.cluster = inventory.cluster AND h.identity = inventory.identity", Doc: "what was ever unusual of it: unusual:secret-access"},
	{Name: "alerts", Type: query.Number, SQL: openAlertsOfIdentity, Doc: "open alerts: alerts:>0"},
	{Name: "age", Type: query.Age, SQL: "created", Doc: "since it was made"},
}}

var exposureFields = query.Schema{Fields: []query.Field{
	{Name: "cluster", Type: query.Text, SQL: "cluster", Doc: "the cluster"},
	{Name: "kind", Type: query.Text, SQL: "type", Doc: "kind:Ingress, Service…"},
	{Name: "namespace", Aliases: []string{"ns"}, Type: query.Text, Free: true, SQL: "namespace", Doc: "Kubernetes namespace"},
	{Name: "name", Type: query.Text, Free: true, SQL: "name", Doc: "its name"},
	{Name: "reach", Type: query.Ranked, Words: reachWords, SQL: "reach_rank", Doc: "how far it reaches: reach:internet"},
	{Name: "address", Aliases: []string{"host", "port"}, Type: query.Text, Free: true, List: true, SQL: "json_each(addresses)", Doc: "host name, address or port: address:443/TCP"},
	{Name: "workload", Type: query.Text, Free: true, List: true, SQL: "json_each(workloads)", Doc: "a workload behind it"},
	{Name: "app", Type: query.Text, Free: true, List: true, SQL: "json_each(apps)", Doc: "what is behind it: app:redis"},
	{Name: "risk", Type: query.Text, List: true, SQL: "json_each(risks)", Doc: "what makes it worse: risk:no-password; risk:* finds all"},
	{Name: "owner", Type: query.Text, Free: true, SQL: "owner", Doc: "who answers for it: owner:unowned"},
	{Name: "tenant", Type: query.Text, Free: true, SQL: "tenant", Doc: `whose it is; tenant:"" is nobody's`},
	{Name: "age", Type: query.Age, SQL: "created", Doc: "since it was made: age:<1d"},
}}
