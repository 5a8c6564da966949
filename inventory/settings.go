package inventory

import "strings"

// Settings of the environment that decide whether something can be entered without a
// password. Of those that hold a value that is no secret, the value is kept.
var plainSettings = map[string]bool{
	"POSTGRES_HOST_AUTH_METHOD": true, "ALLOW_EMPTY_PASSWORD": true,
	"MYSQL_ALLOW_EMPTY_PASSWORD": true, "MYSQL_RANDOM_ROOT_PASSWORD": true,
	"MARIADB_ALLOW_EMPTY_ROOT_PASSWORD": true, "MARIADB_RANDOM_ROOT_PASSWORD": true,
	"xpack.security.enabled": true, "discovery.type": true, "plugins.security.disabled": true,
	"DISABLE_SECURITY_PLUGIN": true, "GF_AUTH_ANONYMOUS_ENABLED": true, "GF_AUTH_ANONYMOUS_ORG_ROLE": true,
	"REGISTRY_AUTH": true, "AIRFLOW__WEBSERVER__RBAC": true, "AIRFLOW__API__AUTH_BACKENDS": true, "AIRFLOW__API__AUTH_BACKEND": true,
	"ETCD_CLIENT_CERT_AUTH": true, "SPARK_AUTHENTICATE": true, "NIFI_WEB_HTTP_PORT": true,
	"JAVA_OPTS_JENKINS_SECURITY": true, "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": true, "ZEPPELIN_ANONYMOUS_ALLOWED": true,
}

// Of these only the presence is kept, never the value.
var secretSettings = map[string]bool{
	"POSTGRES_PASSWORD": true, "POSTGRES_PASSWORD_FILE": true, "POSTGRESQL_PASSWORD": true, "PGPASSWORD": true,
	"MYSQL_ROOT_PASSWORD": true, "MYSQL_PASSWORD": true, "MARIADB_ROOT_PASSWORD": true, "MARIADB_PASSWORD": true,
	"MYSQL_ROOT_PASSWORD_FILE": true, "MARIADB_ROOT_PASSWORD_FILE": true, "MARIADB_ROOT_PASSWORD_HASH": true,
	"REDIS_PASSWORD": true, "REDIS_PASSWORD_FILE": true, "VALKEY_PASSWORD": true, "REDIS_ARGS": true,
	"MONGO_INITDB_ROOT_USERNAME": true, "MONGO_INITDB_ROOT_PASSWORD": true, "MONGO_INITDB_ROOT_PASSWORD_FILE": true, "MONGODB_ROOT_PASSWORD": true,
	"ELASTIC_PASSWORD": true, "OPENSEARCH_INITIAL_ADMIN_PASSWORD": true, "JUPYTER_TOKEN": true, "PASSWORD": true,
	"GF_SECURITY_ADMIN_PASSWORD": true, "RABBITMQ_DEFAULT_PASS": true, "RABBITMQ_PASSWORD": true,
	"MINIO_ROOT_PASSWORD": true, "MINIO_SECRET_KEY": true, "CLICKHOUSE_PASSWORD": true, "ETCD_ROOT_PASSWORD": true,
}

// setting reduces one variable of an environment to what is kept of it.
func setting(name, value string, from bool) (string, bool) {
	switch {
	case secretSettings[name]:
		if value == "" && !from {
			return "empty", true
		}
		return "set", true
	case plainSettings[name]:
		if from {
			return "set", true
		}
		return cut(strings.ToLower(strings.TrimSpace(value)), 64), true
	}
	return "", false
}

// says reads what one file of a ConfigMap decides about who may enter.
func says(key, content string) (out []string) {
	content = content[:min(len(content), 1<<20)]
	name := strings.ToLower(key)
	var password, open, redis bool
	section := ""
	for line := range strings.Lines(content) {
		line = strings.ToLower(strings.TrimSpace(line))
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			section = strings.Trim(line, "[] ")
			continue
		}
		f := strings.Fields(line)
		switch f[0] {
		case "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc":
			if hbaTrust(f) {
				out = append(out, "postgres-trust")
			}
			continue
		case "protected-mode":
			redis = true
			open = open || len(f) > 1 && f[1] == "no"
			continue
		case "requirepass", "aclfile", "user":
			password = password || len(f) > 1 && f[1] != `""`
			continue
		case "port":
			redis = redis || len(f) > 1 && f[1] == "6379"
			continue
		case "skip-grant-tables", "skip_grant_tables":
			out = append(out, "mysql-no-password")
			continue
		}
		k, v, ok := strings.Cut(line, "=")
		if !ok {
			k, v, ok = strings.Cut(line, ":")
		}
		if !ok {
			continue
		}
		k, v = strings.TrimSpace(k), strings.Trim(strings.TrimSpace(v), `"'`)
		switch {
		case k == "xpack.security.enabled" && v == "false", k == "plugins.security.disabled" && v == "true":
			out = append(out, "elasticsearch-no-password")
		case k == "authorization" && v == "disabled":
			out = append(out, "mongodb-no-password")
		case (strings.HasSuffix(k, "app.token") || strings.HasSuffix(k, "identityprovider.token")) && (v == "" || v == "u''"):
			out = append(out, "jupyter-no-password")
		case section == "auth.anonymous" && k == "enabled" && v == "true":
			out = append(out, "grafana-anonymous")
		case k == "loopback_users" && (v == "none" || v == "[]"), k == "loopback_users.guest" && v == "false":
			out = append(out, "rabbitmq-guest")
		case k == "usesecurity" && v == "false":
			out = append(out, "jenkins-no-password")
		case k == "anonymous.enabled" && v == "true", k == "users.anonymous.enabled" && v == "true":
			out = append(out, "argocd-anonymous")
		}
	}
	switch {
	case name == "users.anonymous.enabled" && strings.TrimSpace(content) == "true":
		out = append(out, "argocd-anonymous")
	case password && (redis || strings.Contains(name, "redis")):
		out = append(out, "redis-password")
	case open:
		out = append(out, "redis-no-password")
	}
	return out
}

// hbaTrust reports whether a line of pg_hba.conf lets somebody in without a password
// from another machine: type, database, user, address, perhaps a mask, method.
func hbaTrust(f []string) bool {
	if len(f) < 5 || f[4] != "trust" && (len(f) < 6 || f[5] != "trust") {
		return false
	}
	switch a := f[3]; {
	case a == "localhost", a == "samehost", strings.HasPrefix(a, "127."), strings.HasPrefix(a, "::1"):
		return false
	}
	return true
}
