package tenant

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/posture"
)

// component is a workload that the company's applications consist of.
type component struct {
	Name, Kind, Image string
	Port              int32
	Public            bool
}

var components = []component{
	{"web", "Deployment", "web:4.12.1", 8080, true}, {"api", "Deployment", "api:2.33.0", 8080, false}, {"worker", "Deployment", "worker:2.33.0", 0, false},
	{"cache", "StatefulSet", "mirror/redis:7.4.1", 6379, false}, {"db", "StatefulSet", "mirror/postgres:16.4", 5432, false}, {"search", "StatefulSet", "mirror/opensearch:2.17.0", 9200, false},
	{"notify", "Deployment", "notify:1.8.4", 8080, false}, {"export", "CronJob", "export:1.2.0", 0, false}, {"admin", "Deployment", "admin:0.9.2", 8443, true}, {"migrate", "Job", "migrate:2.33.0", 0, false},
	{"images", "Deployment", "thumbs:3.0.1", 8080, false}, {"events", "Deployment", "events:5.1.0", 9090, false}, {"legacy", "Deployment", "legacy:2019.11", 8081, true},
}

var platformWork = []struct{ Namespace, Kind, Name, Image string }{
	{"kube-system", "DaemonSet", "cloud-node-manager", "mcr.microsoft.com/oss/kubernetes/azure-cloud-node-manager:v1.33.1"},
	{"kube-system", "DaemonSet", "kube-proxy", "mcr.microsoft.com/oss/kubernetes/kube-proxy:v1.33.5"},
	{"kube-system", "Deployment", "coredns", "mcr.microsoft.com/oss/v2/kubernetes/coredns:v1.12.1-7"},
	{"kube-system", "Deployment", "metrics-server", "mcr.microsoft.com/oss/kubernetes/metrics-server:v0.7.2"},
}

// namespaces of a cluster's own work: its application's, and a few beside it.
func (c *cluster) namespaces() []string {
	return []string{c.App, c.App + "-jobs", "batch", "monitoring", "ingress"}
}

// workOf are the keys (namespace/Kind/name) of a cluster's own workloads, in a stable order.
func (w *World) workOf(c *cluster) (out []string) {
	most := 3 + int(c.Flags%7)
	if c.Rich {
		most = 30 + int(c.Flags%25)
	}
	ns := c.namespaces()
	for i := range most {
		x := components[i%len(components)]
		name := x.Name
		if n := i / len(components); n > 0 {
			name = fmt.Sprintf("%s-%d", x.Name, n+1)
		}
		space := ns[0]
		switch {
		case x.Kind == "CronJob" || x.Kind == "Job":
			space = ns[1]
		case i%9 == 8:
			space = ns[2]
		}
		out = append(out, space+"/"+x.Kind+"/"+name)
	}
	if c.Story == "miner" {
		out = append(out, minerWork)
	}
	return append(out, "monitoring/StatefulSet/prometheus", "ingress/Deployment/nginx")
}

func splitWork(key string) (namespace, kind, name string) {
	p := strings.SplitN(key, "/", 3)
	return p[0], p[1], p[2]
}

// componentOf is what a workload is made of.
func componentOf(key string) component {
	_, kind, name := splitWork(key)
	base, _, _ := strings.Cut(name, "-")
	for _, x := range components {
		if x.Name == base {
			return x
		}
	}
	switch name {
	case "prometheus":
		return component{name, kind, "mirror/prometheus:v2.54.1", 9090, false}
	case "nginx":
		return component{name, kind, "mirror/ingress-nginx:v1.11.2", 443, true}
	}
	return component{name, kind, "worker:2.33.0", 0, false}
}

// imageOf is the image that a workload runs, as written.
func (w *World) imageOf(c *cluster, key string) string {
	x := componentOf(key)
	host := "cr" + short + strings.ReplaceAll(teams[c.Team].Name, "-", "") + ".azurecr.io/"
	if len(c.sub.regs) > 0 {
		host = c.sub.regs[0].Name + ".azurecr.io/"
	}
	if c.Flags>>33&15 == 0 && x.Name == "legacy" {
		return "docker.io/tarnwick/" + x.Image
	}
	return host + c.App + "/" + x.Image
}

// digestOf is the digest of an image: the same image has the same everywhere.
func digestOf(image string) string {
	var words []string
	for i := range 4 {
		words = append(words, strings.ReplaceAll(meterID(image, fmt.Sprint(i)), "-", "")[:16])
	}
	return "sha256:" + strings.Join(words, "")
}

func podName(w *World, c *cluster, key string, i int) string {
	_, kind, name := splitWork(key)
	switch kind {
	case "StatefulSet":
		return fmt.Sprintf("%s-%d", name, i)
	case "DaemonSet":
		return name + "-" + w.guidOf("pod", c.Name, key, fmt.Sprint(i))[:5]
	}
	return name + "-" + w.guidOf("rs", c.Name, key)[:9] + "-" + w.guidOf("pod", c.Name, key, fmt.Sprint(i))[:5]
}

// ownerIn is what a namespace's labels say of its owner.
func (w *World) ownerIn(c *cluster, namespace string) (owner, from string) {
	switch namespace {
	case "monitoring", "ingress":
		return teams[12].mail(), "label owner on the namespace"
	case "batch":
		return inventory.Unowned, ""
	}
	if c.Flags>>44&3 == 0 {
		return inventory.Unowned, ""
	}
	return teams[c.Team].mail(), "label team on the namespace"
}

// Clusters are the clusters that Dockreeve's agents look into, with their inventory: a
// handful with 30 to 60 workloads, fewer elsewhere.
func (w *World) Clusters() []posture.Cluster {
	var out []posture.Cluster
	for _, c := range w.clusters {
		if c.Here {
			out = append(out, w.insideOf(c))
		}
	}
	return out
}

func (w *World) insideOf(c *cluster) posture.Cluster {
	r := w.rng("inside|"+c.Name, 0)
	at := w.lastWord(c)
	p := posture.Cluster{Name: c.Name, ID: c.id(), At: at, Missing: map[string]string{}}
	nodes := w.nodeNames(c, 12)
	for i, name := range nodes {
		pool := poolOfNode(c, name)
		cores := w.cores(pool.Size)
		n := inventory.NodeDoc{Name: name, Owner: teams[12].mail(), Pods: 8 + r.IntN(20), Since: c.Created.UnixNano(),
			Labels: map[string]string{"agentpool": pool.Name, "kubernetes.azure.com/cluster": c.nodeGroup(), "node.kubernetes.io/instance-type": pool.Size},
			Node: inventory.Node{ProviderID: "azure://" + strings.ToLower(c.nodeResource("Microsoft.Compute/virtualMachineScaleSets", vmss(c, pool))) + fmt.Sprintf("/virtualMachines/%d", i), OSImage: "Ubuntu 22.04.5 LTS", Kernel: "5.15.0-1091-azure",
				Kubelet: "v" + c.Version, Runtime: "containerd://1.7.27-1", OS: strings.ToLower(pool.OS), Arch: "amd64", Addresses: []string{fmt.Sprintf("10.224.%d.%d", c.i%250, i+4)}, Ready: true,
				CPU: int64(cores)*1000 - 140, Memory: int64(cores) * 3_400_000_000, InstanceType: pool.Size}}
		if pool.Spot {
			n.Node.Taints = []string{"kubernetes.azure.com/scalesetpriority=spot:NoSchedule"}
		}
		p.Nodes = append(p.Nodes, n)
		p.Kubelets = append(p.Kubelets, w.kubeletOf(c, name, at))
	}
	for _, space := range append(c.namespaces(), "default", "kube-system") {
		owner, from := w.ownerIn(c, space)
		n := inventory.NamespaceDoc{Name: space, Owner: owner, OwnerFrom: from, Since: c.Created.UnixNano(), Labels: map[string]string{"kubernetes.io/metadata.name": space}}
		if owner != inventory.Unowned {
			n.Labels["team"], _, _ = strings.Cut(owner, "@")
		}
		if c.flag(45) && space == c.App {
			n.PodSecurity = "baseline"
			n.Labels["pod-security.kubernetes.io/enforce"] = "baseline"
		}
		n.Isolated.Value = c.flag(46) && space != "default"
		if space == "kube-system" {
			n.Owner, n.OwnerFrom = teams[12].mail(), "rule of the company"
		}
		p.Namespaces = append(p.Namespaces, n)
	}
	for _, key := range w.workOf(c) {
		p.Workloads = append(p.Workloads, w.workload(r, c, key, nodes))
	}
	for _, x := range platformWork {
		p.Workloads = append(p.Workloads, w.platform(c, x.Namespace, x.Kind, x.Name, x.Image, nodes))
	}
	if c.Profile || c.Helm {
		p.Workloads = append(p.Workloads, w.platform(c, sensorSpace(c), "DaemonSet", "microsoft-defender-collector-ds", "mcr.microsoft.com/azuredefender/stable/security-publisher:1.0.250", nodes))
	}
	p.Identities = w.identities(c)
	p.Exposures = w.exposures(c)
	w.lose(c, &p)
	return p
}

func sensorSpace(c *cluster) string {
	if c.Helm {
		return "mdc"
	}
	return "kube-system"
}

// lose takes away what some clusters do not let be read.
func (w *World) lose(c *cluster, p *posture.Cluster) {
	if c.few(47) {
		p.Kubelets = nil
		p.Missing["kubelets"] = "the cluster agent may not read nodes/proxy"
	}
	if c.few(50) {
		p.Identities = nil
		p.Missing["identities"] = "the cluster agent may not list roles"
	}
	for i := range p.Kubelets {
		if k := &p.Kubelets[i]; c.flag(53) {
			k.Files, k.Why = nil, map[string]string{"files": "no node agent has looked at files there"}
		}
	}
}

func (w *World) lastWord(c *cluster) int64 {
	if c.Quiet {
		return w.ago(time.Duration(2+c.Flags%70) * time.Hour).UnixNano()
	}
	return w.ago(time.Duration(10+c.Flags%50) * time.Second).UnixNano()
}

// nodeNames are the names of a cluster's nodes, at most so many.
func (w *World) nodeNames(c *cluster, most int) (out []string) {
	for i := range c.Pools {
		p := &c.Pools[i]
		if p.Stopped || c.Stopped {
			continue
		}
		for n := range p.Nodes {
			if len(out) == most {
				return out
			}
			out = append(out, fmt.Sprintf("%s%06d", vmss(c, p), n))
		}
	}
	return out
}

func poolOfNode(c *cluster, node string) *pool {
	for i := range c.Pools {
		if strings.HasPrefix(node, "aks-"+c.Pools[i].Name+"-") {
			return &c.Pools[i]
		}
	}
	return &c.Pools[0]
}

func (w *World) kubeletOf(c *cluster, node string, at int64) posture.Kubelet {
	word := func(yes bool) string { return fmt.Sprint(yes) }
	k := posture.Kubelet{Node: node, At: at, Config: map[string]string{
		"authentication.anonymous.enabled": word(c.Arc && c.few(38)), "authentication.webhook.enabled": "true", "authorization.mode": "Webhook", "authentication.x509.clientCAFile": "/etc/kubernetes/certs/ca.crt",
		"readOnlyPort": "0", "streamingConnectionIdleTimeout": "4h0m0s", "protectKernelDefaults": word(c.flag(39)), "makeIPTablesUtilChains": "true", "eventRecordQPS": "0",
		"rotateCertificates": word(!c.few(41)), "serverTLSBootstrap": "true", "featureGates.RotateKubeletServerCertificate": "true", "tlsCertFile": "/etc/kubernetes/certs/kubeletserver.crt"}}
	mode := uint32(0o600)
	if c.few(43) {
		mode = 0o644
	}
	k.Files = []posture.File{{Path: "/var/lib/kubelet/kubeconfig", Role: "kubeconfig", Mode: 0o600}, {Path: "/etc/default/kubeletconfig.json", Role: "kubelet-config", Mode: mode}, {Path: "/etc/kubernetes/azure.json", Role: "azure-json", Mode: mode}}
	if c.Arc {
		k.Files[2] = posture.File{Path: "/etc/kubernetes/azure.json", Role: "azure-json", Absent: true}
	}
	return k
}

// workload makes the document of one of the company's own workloads.
func (w *World) workload(r *rand.Rand, c *cluster, key string, nodes []string) inventory.WorkloadDoc {
	namespace, kind, name := splitWork(key)
	x := componentOf(key)
	owner, from := w.ownerIn(c, namespace)
	image := w.imageOf(c, key)
	digest := digestOf(image)
	yes, no := true, false
	uid := int64(10001)
	account := name
	if chance(r, 35) {
		account = "default"
	}
	ctr := inventory.Container{Name: x.Name, Image: image, Digest: digest, Running: true, Seccomp: "RuntimeDefault", CPU: 100 + int64(r.IntN(8))*100, Memory: int64(256+r.IntN(8)*128) << 20, RunAsUser: &uid, Escalation: &no, ReadOnly: true, DropCaps: []string{"ALL"}}
	ctr.CPULimit, ctr.MemLimit = ctr.CPU*2, ctr.Memory*2
	spec := inventory.PodSpec{ServiceAccount: account, Automount: &no, RunAsNonRoot: &yes}
	if x.Port > 0 {
		ctr.Ports = []inventory.Port{{Name: "main", Port: x.Port, Protocol: "TCP"}}
	}
	var powers, mounts []string
	switch d := r.IntN(100); {
	case d < 25: // nobody thought of it
		ctr.Escalation, ctr.RunAsUser, ctr.ReadOnly, ctr.DropCaps, ctr.Seccomp, spec.RunAsNonRoot, spec.Automount = nil, nil, false, nil, "", nil, nil
	case d < 32:
		ctr.CPULimit, ctr.MemLimit, ctr.ReadOnly = 0, 0, false
	case d < 36:
		ctr.AddCaps, powers = []string{"NET_ADMIN", "SYS_ADMIN"}, []string{"SYS_ADMIN", "NET_ADMIN"}
	case d < 39:
		ctr.Privileged, powers = true, []string{"privileged"}
		ctr.Escalation = &yes
	case d < 42:
		spec.HostNetwork, powers = true, []string{"hostNetwork"}
		if len(ctr.Ports) > 0 {
			ctr.Ports[0].HostPort = ctr.Ports[0].Port
		}
	case d < 46:
		spec.Volumes = append(spec.Volumes, inventory.PodVolume{Name: "host", Type: "hostPath", Source: "/var/log"})
		ctr.Mounts, mounts = append(ctr.Mounts, inventory.Mount{Volume: "host", Path: "/host/log", ReadOnly: true}), []string{"/var/log"}
	}
	if x.Name == "db" {
		ctr.SecretEnv = []string{"db-password"}
	}
	spec.Containers = []inventory.Container{ctr}
	wanted := int32(1 + r.IntN(3))
	started := w.ago(time.Duration(1+r.IntN(60*24)) * time.Hour).UnixNano()
	d := inventory.WorkloadDoc{Key: key, Namespace: namespace, Kind: kind, Name: name, Labels: map[string]string{"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": c.App}, Owner: owner, OwnerFrom: from,
		Created: c.Created.Add(time.Duration(r.IntN(1000)) * time.Hour).UnixNano(), Wanted: wanted, Ready: wanted, PodsTotal: int(wanted), Identity: "serviceaccount:" + namespace + "/" + account,
		TokenMounted: spec.Automount == nil, Powers: powers, Mounts: mounts, Reach: inventory.ReachNone, Secrets: ctr.SecretEnv, Template: &spec,
		Images: []inventory.ImageDoc{{Container: ctr.Name, Image: image, Digest: digest, Since: started, Pods: int(wanted)}}}
	d.Created = min(d.Created, started)
	if x.Port > 0 {
		d.Reach = inventory.ReachCluster
		if x.Public && !c.Private {
			d.Reach, d.Exposures = inventory.ReachInternet, []string{"Ingress/" + namespace + "/" + name}
		}
	}
	if kind == "CronJob" {
		d.Schedule = "15 3 * * *"
	}
	for i := range int(wanted) {
		if len(nodes) == 0 {
			break
		}
		d.Pods = append(d.Pods, inventory.PodDoc{Name: podName(w, c, key, i), UID: w.guidOf("uid", c.Name, key, fmt.Sprint(i)), Node: nodes[(i+len(name))%len(nodes)], IP: fmt.Sprintf("10.244.%d.%d", c.i%250, r.IntN(250)), Phase: "Running", Started: started})
	}
	return d
}

// platform makes the document of what the distribution runs on every node, or once.
func (w *World) platform(c *cluster, namespace, kind, name, image string, nodes []string) inventory.WorkloadDoc {
	n := int32(2)
	if kind == "DaemonSet" {
		n = int32(len(nodes))
	}
	key := namespace + "/" + kind + "/" + name
	ctr := inventory.Container{Name: name, Image: image, Digest: digestOf(image), Running: true, CPU: 50, Memory: 64 << 20, MemLimit: 512 << 20}
	spec := inventory.PodSpec{ServiceAccount: name, Containers: []inventory.Container{ctr}}
	var powers []string
	if name == "kube-proxy" || strings.HasPrefix(name, "microsoft-defender") {
		spec.HostNetwork, spec.Containers[0].Privileged, powers = true, true, []string{"privileged", "hostNetwork"}
	}
	return inventory.WorkloadDoc{Key: key, Namespace: namespace, Kind: kind, Name: name, Owner: teams[12].mail(), OwnerFrom: "rule of the company", Platform: true, Created: c.Created.UnixNano(), Wanted: n, Ready: n, PodsTotal: int(n),
		Identity: "serviceaccount:" + namespace + "/" + name, TokenMounted: true, Powers: powers, Reach: inventory.ReachNone, Template: &spec,
		Images: []inventory.ImageDoc{{Container: name, Image: image, Digest: ctr.Digest, Since: c.Created.UnixNano(), Pods: int(n)}}}
}

// identities are those that hold rights.
func (w *World) identities(c *cluster) []inventory.IdentityDoc {
	owner := teams[c.Team].mail()
	out := []inventory.IdentityDoc{
		{Key: "serviceaccount:" + c.App + "/api", Kind: "ServiceAccount", Namespace: c.App, Name: "api", Owner: owner, Created: c.Created.UnixNano(), Workloads: []string{c.App + "/Deployment/api"}, Scope: "namespaces",
			Rights: []inventory.Right{{Rule: inventory.Rule{Verbs: []string{"get", "list"}, Groups: []string{""}, Resources: []string{"configmaps"}}, Namespace: c.App, Role: "Role/api", Binding: "RoleBinding/" + c.App + "/api"}}},
		{Key: "serviceaccount:" + c.App + "/default", Kind: "ServiceAccount", Namespace: c.App, Name: "default", Owner: owner, Created: c.Created.UnixNano(), Scope: "none"},
		{Key: "group:" + w.guidOf("group", teams[c.Team].Name), Kind: "Group", Name: w.guidOf("group", teams[c.Team].Name), Owner: owner, Scope: "cluster", Grants: []string{"cluster-admin"},
			Rights: []inventory.Right{{Rule: inventory.Rule{Verbs: []string{"*"}, Groups: []string{"*"}, Resources: []string{"*"}}, Role: "ClusterRole/cluster-admin", Binding: "ClusterRoleBinding/team-admins"}}},
	}
	if c.few(54) {
		out = append(out, inventory.IdentityDoc{Key: "serviceaccount:" + c.App + "-jobs/default", Kind: "ServiceAccount", Namespace: c.App + "-jobs", Name: "default", Owner: owner, Created: c.Created.UnixNano(), Scope: "cluster", Grants: []string{"cluster-admin"},
			Rights: []inventory.Right{{Rule: inventory.Rule{Verbs: []string{"*"}, Groups: []string{"*"}, Resources: []string{"*"}}, Role: "ClusterRole/cluster-admin", Binding: "ClusterRoleBinding/jobs"}}})
	}
	return out
}

// exposures are the ways into a cluster from outside.
func (w *World) exposures(c *cluster) (out []inventory.ExposureDoc) {
	for _, key := range w.workOf(c) {
		x := componentOf(key)
		namespace, _, name := splitWork(key)
		if !x.Public || c.Private {
			continue
		}
		owner, _ := w.ownerIn(c, namespace)
		e := inventory.ExposureDoc{Key: "Ingress/" + namespace + "/" + name, Kind: "Ingress", Namespace: namespace, Name: name, Reach: inventory.ReachInternet, Addresses: []string{fmt.Sprintf("203.0.113.%d", c.i%250)}, Hosts: []string{name + "." + c.App + "." + Domain},
			Ports: []string{"443/TCP"}, TLS: name != "legacy", Path: []string{"Ingress/" + namespace + "/" + name, "Service/" + namespace + "/" + name}, Workloads: []string{key}, Owner: owner, Created: c.Created.UnixNano()}
		if !e.TLS {
			e.Ports, e.Risks = []string{"80/TCP"}, []string{"plain-text"}
		}
		out = append(out, e)
	}
	return out
}
