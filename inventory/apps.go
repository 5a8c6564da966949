package inventory

import (
	"slices"
	"strings"
)

// app is something that attackers look for when it can be reached, and how it is
// recognised.
type app struct {
	name   string
	images []string          // last part of the repository, or its last two
	port   int32             // that nothing else uses; 0 = told by image only
	open   func(*facts) bool // it can be entered without a password; nil = cannot be told
}

// facts are what decides whether an app can be entered without a password.
type facts struct {
	env  map[string]string
	args string // lower case, separated by blanks
	says map[string]bool
}

func (f *facts) arg(s string) bool { return strings.Contains(f.args, s) }

func (f *facts) is(name string, values ...string) bool { return slices.Contains(values, f.env[name]) }

func (f *facts) has(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return f.env[n] == "set" })
}

// truths are how a setting says yes.
var truths = []string{"true", "yes", "1", "on"}

// apps is the table. The open functions say yes only where the settings say so, or where
// the image's default is known to let everybody in.
var apps = []app{
	{"redis", []string{"redis", "redis-server", "redis-stack", "redis-stack-server", "valkey", "keydb"}, 6379, func(f *facts) bool {
		return f.says["redis-no-password"] || f.is("ALLOW_EMPTY_PASSWORD", truths...) || f.arg("--protected-mode no") && !f.arg("--requirepass") ||
			!f.says["redis-password"] && !f.has("REDIS_PASSWORD", "REDIS_PASSWORD_FILE", "VALKEY_PASSWORD", "REDIS_ARGS") && !f.arg("requirepass") && !f.arg("aclfile") && !f.arg(".conf")
	}},
	{"memcached", []string{"memcached"}, 11211, func(f *facts) bool { return !f.arg("-s ") && !f.arg("--enable-sasl") }},
	{"postgres", []string{"postgres", "postgresql", "postgis", "timescaledb", "pgvector"}, 5432, func(f *facts) bool {
		return f.is("POSTGRES_HOST_AUTH_METHOD", "trust") || f.says["postgres-trust"] || f.is("ALLOW_EMPTY_PASSWORD", truths...)
	}},
	{"mysql", []string{"mysql", "mysql-server", "mariadb", "percona"}, 3306, func(f *facts) bool {
		return f.is("MYSQL_ALLOW_EMPTY_PASSWORD", truths...) || f.is("MARIADB_ALLOW_EMPTY_ROOT_PASSWORD", truths...) ||
			f.is("ALLOW_EMPTY_PASSWORD", truths...) || f.arg("--skip-grant-tables") || f.says["mysql-no-password"]
	}},
	{"mongodb", []string{"mongo", "mongodb", "mongodb-community-server"}, 27017, func(f *facts) bool {
		return f.says["mongodb-no-password"] || f.is("ALLOW_EMPTY_PASSWORD", truths...) || f.arg("--noauth") ||
			!f.has("MONGO_INITDB_ROOT_USERNAME", "MONGO_INITDB_ROOT_PASSWORD", "MONGO_INITDB_ROOT_PASSWORD_FILE", "MONGODB_ROOT_PASSWORD") && !f.arg("--auth") && !f.arg("--keyfile") && !f.arg("--config") && !f.arg("-f ")
	}},
	{"elasticsearch", []string{"elasticsearch", "opensearch"}, 9200, func(f *facts) bool {
		return f.is("xpack.security.enabled", "false") || f.is("plugins.security.disabled", truths...) || f.is("DISABLE_SECURITY_PLUGIN", truths...) || f.says["elasticsearch-no-password"]
	}},
	{"kibana", []string{"kibana", "opensearch-dashboards"}, 5601, nil},
	{"etcd", []string{"etcd"}, 2379, func(f *facts) bool {
		return !f.arg("--client-cert-auth") && !f.is("ETCD_CLIENT_CERT_AUTH", "true") && !f.has("ETCD_ROOT_PASSWORD")
	}},
	{"kubernetes-dashboard", []string{"kubernetesui/dashboard", "kubernetes-dashboard", "dashboard-web", "dashboard-api"}, 0, func(f *facts) bool {
		return f.arg("--enable-skip-login") && !f.arg("--enable-skip-login=false") || f.arg("--enable-insecure-login")
	}},
	{"argo-workflows", []string{"argocli", "argo-workflows-server", "argoexec"}, 2746, func(f *facts) bool {
		return f.arg("--auth-mode=server") || f.arg("--auth-mode server")
	}},
	{"argo-cd", []string{"argocd", "argo-cd"}, 0, func(f *facts) bool { return f.arg("--disable-auth") || f.says["argocd-anonymous"] }},
	{"jenkins", []string{"jenkins", "jenkins/jenkins"}, 0, func(f *facts) bool { return f.says["jenkins-no-password"] }},
	{"jupyter", []string{
		"notebook", "base-notebook", "minimal-notebook", "scipy-notebook", "datascience-notebook", "tensorflow-notebook",
		"pytorch-notebook", "pyspark-notebook", "all-spark-notebook", "r-notebook", "jupyterhub", "jupyterlab", "jupyter", "k8s-hub",
	}, 8888, func(f *facts) bool {
		return f.arg(".token=''") || f.arg(`.token=""`) || strings.HasSuffix(f.args, ".token=") || f.arg(".token= ") || f.says["jupyter-no-password"]
	}},
	{"kubeflow", []string{"centraldashboard", "ml-pipeline-ui", "ml-pipeline/frontend", "ml-pipeline/api-server", "notebook-controller", "kubeflow"}, 0, nil},
	{"weave-scope", []string{"weaveworks/scope", "scope"}, 4040, func(*facts) bool { return true }},
	{"nifi", []string{"nifi"}, 0, func(f *facts) bool { return f.env["NIFI_WEB_HTTP_PORT"] != "" }},
	{"airflow", []string{"airflow"}, 0, func(f *facts) bool { return f.is("AIRFLOW__WEBSERVER__RBAC", "false") }},
	{"ray", []string{"ray", "ray-ml"}, 8265, func(*facts) bool { return true }},
	{"spark", []string{"spark", "spark-master", "spark-worker", "spark-history-server"}, 0, nil},
	{"hadoop", []string{"hadoop", "hadoop-namenode", "hadoop-resourcemanager", "hadoop-nodemanager"}, 8088, nil},
	{"flink", []string{"flink"}, 0, func(*facts) bool { return true }},
	{"zeppelin", []string{"zeppelin"}, 0, func(f *facts) bool { return f.is("ZEPPELIN_ANONYMOUS_ALLOWED", "true") }},
	{"mlflow", []string{"mlflow", "mlflow/mlflow"}, 0, func(f *facts) bool { return !f.arg("--app-name") }},
	{"rancher", []string{"rancher/rancher", "rancher"}, 0, nil},
	{"portainer", []string{"portainer", "portainer-ce", "portainer-ee"}, 9443, nil},
	{"grafana", []string{"grafana", "grafana-oss", "grafana-enterprise"}, 0, func(f *facts) bool {
		return f.is("GF_AUTH_ANONYMOUS_ENABLED", truths...) || f.says["grafana-anonymous"]
	}},
	{"prometheus", []string{"prom/prometheus", "prometheus/prometheus", "prometheus"}, 9090, func(f *facts) bool { return !f.arg("--web.config.file") }},
	{"alertmanager", []string{"alertmanager"}, 9093, func(f *facts) bool { return !f.arg("--web.config.file") }},
	{"docker-registry", []string{"library/registry", "registry", "distribution/registry"}, 0, func(f *facts) bool { return f.env["REGISTRY_AUTH"] == "" && !f.arg(".yml") && !f.arg(".yaml") }},
	{"minio", []string{"minio"}, 0, nil},
	{"rabbitmq", []string{"rabbitmq"}, 15672, func(f *facts) bool { return f.says["rabbitmq-guest"] }},
	{"kafka", []string{"kafka", "cp-kafka", "redpanda"}, 9092, nil},
	{"zookeeper", []string{"zookeeper", "cp-zookeeper"}, 2181, nil},
	{"cassandra", []string{"cassandra", "scylla"}, 9042, nil},
	{"couchdb", []string{"couchdb"}, 5984, nil},
	{"clickhouse", []string{"clickhouse", "clickhouse-server"}, 8123, func(f *facts) bool { return !f.has("CLICKHOUSE_PASSWORD") && !f.arg("--config") }},
	{"influxdb", []string{"influxdb"}, 8086, nil},
	{"neo4j", []string{"neo4j"}, 7687, nil},
	{"consul", []string{"consul"}, 8500, nil},
	{"vault", []string{"vault", "openbao"}, 8200, func(f *facts) bool { return f.arg("server -dev") }},
	{"gitlab", []string{"gitlab-ce", "gitlab-ee", "gitlab-webservice-ce"}, 0, nil},
	{"gitea", []string{"gitea", "forgejo"}, 0, nil},
	{"sonarqube", []string{"sonarqube"}, 0, nil},
	{"nexus", []string{"nexus3"}, 0, nil},
	{"phpmyadmin", []string{"phpmyadmin"}, 0, nil},
	{"adminer", []string{"adminer"}, 0, nil},
	{"pgadmin", []string{"pgadmin4"}, 0, nil},
	{"ollama", []string{"ollama"}, 11434, func(*facts) bool { return true }},
	{"docker-daemon", []string{"docker"}, 2375, func(f *facts) bool { return f.arg("--tls=false") || f.arg(":2375") }},
	{"ingress-controller", []string{
		"ingress-nginx/controller", "nginx-ingress-controller", "nginx-ingress", "traefik", "kubernetes-ingress", "haproxy-ingress",
		"contour", "envoy-gateway", "istio/proxyv2", "kong", "apisix-ingress-controller",
	}, 0, nil},
}

// ingressController is the app that other ways in lead through.
const ingressController = "ingress-controller"

// appsOf recognises what runs in a pod of this specification, by image, else by the
// label app.kubernetes.io/name, else by a port, and tells which can be entered without a
// password; sorted.
func (s *State) appsOf(namespace string, p *PodSpec, labels map[string]string) (names, risks []string) {
	found, risk := map[string]bool{}, map[string]bool{}
	for i := range p.Containers {
		c := &p.Containers[i]
		if c.Role != "" {
			continue
		}
		a := appOf(c, labels)
		if a == nil {
			continue
		}
		found[a.name] = true
		f := facts{env: c.Env, args: strings.ToLower(strings.Join(c.Args, " ")), says: s.saysOf(namespace, p, c)}
		if a.open != nil && a.open(&f) {
			risk["no-password"] = true
		}
		if a.name == "postgres" && (f.is("POSTGRES_HOST_AUTH_METHOD", "trust") || f.says["postgres-trust"]) {
			risk["trust-auth"] = true
		}
	}
	return none(sorted(found)), none(sorted(risk))
}

// saysOf collects what the ConfigMaps say that a container mounts.
func (s *State) saysOf(namespace string, p *PodSpec, c *Container) map[string]bool {
	out := map[string]bool{}
	note := func(name string) {
		if o := s.get(Key{Kind: KindConfigMap, Namespace: namespace, Name: name}); o != nil && o.ConfigMap != nil {
			for _, w := range o.ConfigMap.Says {
				out[w] = true
			}
		}
	}
	for _, m := range c.Mounts {
		for _, v := range p.Volumes {
			switch {
			case v.Name != m.Volume:
			case v.Type == "configMap":
				note(v.Source)
			case v.Type == "projected":
				for part := range strings.SplitSeq(v.Source, ",") {
					if name, ok := strings.CutPrefix(part, "configMap/"); ok {
						note(name)
					}
				}
			}
		}
	}
	return out
}

func appOf(c *Container, labels map[string]string) *app {
	repo := Repository(c.Image)
	last := repo[strings.LastIndexByte(repo, '/')+1:]
	two := last
	if i := strings.LastIndexByte(repo[:len(repo)-len(last)], '/'); i > 0 {
		two = repo[strings.LastIndexByte(repo[:i], '/')+1:]
	}
	for _, name := range []string{two, last} {
		for i := range apps {
			if slices.Contains(apps[i].images, name) {
				return &apps[i]
			}
		}
	}
	label := labels["app.kubernetes.io/name"]
	for i := range apps {
		if label != "" && (apps[i].name == label || slices.Contains(apps[i].images, label)) {
			return &apps[i]
		}
	}
	for _, p := range c.Ports {
		for i := range apps {
			if apps[i].port != 0 && apps[i].port == p.Port && p.Protocol == "" {
				return &apps[i]
			}
		}
	}
	return nil
}

// Repository returns an image's registry and path, without tag and digest and with the
// registry and library/ that a short name stands for.
func Repository(image string) string {
	name, _, _ := strings.Cut(image, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	first, rest, ok := strings.Cut(name, "/")
	switch {
	case name == "":
		return ""
	case !ok:
		return "docker.io/library/" + name
	case first == "index.docker.io":
		first = "docker.io"
	case !strings.ContainsAny(first, ".:") && first != "localhost":
		return "docker.io/" + name
	}
	if first == "docker.io" && !strings.Contains(rest, "/") {
		rest = "library/" + rest
	}
	return first + "/" + rest
}
