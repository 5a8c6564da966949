package kubeaudit

import (
	"encoding/base64"
	"strings"
	"testing"
)

// secret is a word that may not come out of anything.
const secret = "hunter2horse"

func redacted(t testing.TB, ev string) (out string, changed bool) {
	t.Helper()
	var p parser
	n, err := p.tree([]byte(ev))
	if err != nil {
		t.Fatal(err)
	}
	var r redactor
	changed = r.event(&n)
	return string(n.append(nil)), changed
}

const (
	onSecrets = `{"resource":"secrets","namespace":"shop","name":"db"}`
	onPods    = `{"resource":"pods","namespace":"shop","name":"web"}`
)

func TestSecretsDoNotComeOut(t *testing.T) {
	key := "-----BEGIN RSA PRIVATE KEY-----\n" + strings.Repeat("MIIEabcd"+secret, 8) + "\n-----END RSA PRIVATE KEY-----\n"
	applied := `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"db"},"stringData":{"pw":"` + secret + `"}}` + "\n"
	for _, c := range []struct{ name, key, value, keeps string }{
		{"data of a Secret", "requestObject", `{"kind":"Secret","data":{"pw":"` + secret + `"},"type":"Opaque"}`, `"pw":"***"`},
		{"stringData", "requestObject", `{"kind":"Secret","stringData":{"pw":"` + secret + `"}}`, `"pw":"***"`},
		{"short ones", "requestObject", `{"kind":"Secret","stringData":{"pw":"` + secret[:1] + `\u0001` + secret + `"}}`, `"pw":"***"`},
		{"by the target, without a kind", "requestObject", `{"data":{"pw":"` + secret + `"}}`, `"pw":"***"`},
		{"the kind behind", "responseObject", `{"data":{"pw":"` + secret + `"},"kind":"Secret"}`, `"pw":"***"`},
		{"a list", "responseObject", `{"kind":"SecretList","items":[{"metadata":{"name":"x"},"data":{"pw":"` + secret + `"}}]}`, `"name":"x"`},
		{"a table", "responseObject", `{"kind":"Table","rows":[{"cells":["db"],"object":{"kind":"Secret","data":{"pw":"` + secret + `"}}}]}`, `"db"`},
		{"a merge patch", "requestObject", `{"data":{"pw":"` + secret + `","old":null}}`, `"old":null`},
		{"a JSON patch", "requestObject", `[{"op":"replace","path":"/data/pw","value":"` + secret + `"}]`, `"path":"/data/pw"`},
		{"a JSON patch of all data", "requestObject", `[{"op":"add","path":"/stringData","value":{"pw":"` + secret + `"}}]`, `"pw":"***"`},
		{"a JSON patch of the object", "requestObject", `[{"op":"add","path":"","value":{"data":{"pw":"` + secret + `"}}}]`, `"pw":"***"`},
		{"twice the same key", "requestObject", `{"data":{"pw":"` + secret + `"},"data":{"pw":"` + secret + `2"}}`, `"pw":"***"`},
		{"numbers", "requestObject", `{"kind":"Secret","data":{"pin":4711471147114711}}`, `"pin":"***"`},
		{"last applied", "requestObject", `{"kind":"Secret","metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":` + quote(applied) + `}}}`, `\"name\":\"db\"`},
		{"last applied, cut", "requestObject", `{"kind":"Secret","metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":` + quote(applied[:len(applied)-6]) + `}}}`, `last-applied-configuration":"***"`},
		{"last applied in last applied", "requestObject", `{"kind":"Secret","metadata":{"annotations":{"a":` + quote(`{"b":`+quote(`{"c":`+quote(`{"d":`+quote(applied)+`}`)+`}`)+`}`) + `}}}`, `"a":`},
		{"a patch by a webhook", "annotations", `{"patch.webhook.admission.k8s.io/round_0_index_0":` + quote(`{"patch":[{"op":"add","path":"/data/pw","value":"`+secret+`"}]}`) + `}`, `/data/pw`},
		{"a Secret inside another object", "requestObject", `{"kind":"Template","objects":[{"kind":"Secret","stringData":{"pw":"` + secret + `"}}]}`, `"pw":"***"`},
		{"a token review", "requestObject", `{"kind":"TokenReview","spec":{"token":"` + secret + `"}}`, `"token":"***"`},
		{"a token request", "responseObject", `{"kind":"TokenRequest","spec":{"audiences":["api"]},"status":{"token":"` + secret + `","expirationTimestamp":"2026-11-20T09:00:00Z"}}`, `"expirationTimestamp":"2026`},
		{"a private key in a signing request", "requestObject", `{"kind":"CertificateSigningRequest","spec":{"request":` + quote(base64.StdEncoding.EncodeToString([]byte(key))) + `}}`, `"request":"***"`},
		{"a private key", "requestObject", `{"kind":"ConfigMap","data":{"tls":` + quote(key) + `}}`, `BEGIN RSA PRIVATE KEY`},
		{"a variable", "requestObject", `{"kind":"Pod","spec":{"containers":[{"name":"a","env":[{"name":"DB_PASSWORD","value":"` + secret + `"},{"name":"MODE","value":"fast"}]}]}}`, `"MODE","value":"fast"`},
		{"a variable of a template", "requestObject", `{"kind":"Deployment","spec":{"template":{"spec":{"initContainers":[{"env":[{"name":"API_TOKEN","value":"` + secret + `"}]}]}}}}`, `"API_TOKEN"`},
		{"a variable in a JSON patch", "requestObject", `[{"op":"add","path":"/spec/template/spec/containers/0/env/-","value":{"name":"API_TOKEN","value":"` + secret + `"}}]`, `"API_TOKEN"`},
		{"a variable by its place", "requestObject", `[{"op":"replace","path":"/spec/template/spec/containers/0/env/0/value","value":"` + secret + `"}]`, `/env/0/value`},
		{"a password option", "requestObject", `{"kind":"Pod","spec":{"containers":[{"command":["mysql","-h","db","-p` + secret + `"]}]}}`, `"-h"`},
		{"an argument", "requestObject", `{"kind":"Pod","spec":{"containers":[{"args":["--password","` + secret + `","--port=80"]}]}}`, `"--port=80"`},
		{"an exec", "requestURI", quote("/api/v1/namespaces/shop/pods/web/exec?command=mysql&command=-p" + secret + "&container=web"), "container=web"},
		{"an exec of a script", "requestURI", quote("/api/v1/namespaces/shop/pods/web/exec?command=sh&command=-c&command=PASSWORD%3D" + secret + "+run&container=web"), "command=sh"},
		{"a token in an address", "requestURI", quote("/api/v1/nodes?access_token=" + secret + "&watch=true"), "watch=true"},
		{"a name with a sign in it", "requestURI", quote("/x?pass%3Dword%3Dpassword=" + secret + "&watch=true"), "watch=true"},
		{"a bearer token in an annotation", "annotations", `{"note":"Authorization: Bearer ` + secret + `abcdefghij0123456789"}`, `"note":"Authorization: Bearer ***"`},
		{"a password in an address", "requestObject", `{"kind":"ConfigMap","data":{"url":"postgres://app:` + secret + `@db:5432/shop"}}`, "postgres://app:***@db:5432/shop"},
		{"a password in a map of settings", "requestObject", `{"kind":"ConfigMap","data":{"password":"` + secret + `"}}`, `"password":"***"`},
		{"credentials of a plugin", "responseObject", `{"kind":"ExecCredential","status":{"token":"` + secret + `"}}`, `"token":"***"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			ref := onSecrets
			for _, other := range []string{"Token", "Certif", "ConfigMap", "Pod", "Deployment", "containers", "Template", "ExecC"} {
				if strings.Contains(c.value, other) {
					ref = onPods
				}
			}
			ev := audit("a", "objectRef", ref, c.key, c.value)
			out, changed := redacted(t, ev)
			if strings.Contains(out, secret) || strings.Contains(out, "4711") {
				t.Errorf("the secret came out:\n%s", out)
			}
			if !changed {
				t.Error("no change was told")
			}
			if !strings.Contains(out, c.keeps) {
				t.Errorf("%s is gone from\n%s", c.keeps, out)
			}
			if again, changed := redacted(t, out); again != out || changed {
				t.Errorf("a second time changes it:\n%s\n%s", out, again)
			}
		})
	}
}

// TestExportedListsWithoutATarget: rows of Log Analytics lack objectRef for lists.
func TestExportedListsWithoutATarget(t *testing.T) {
	for _, uri := range []string{"/api/v1/secrets?limit=500", "/api/v1/namespaces/shop/secrets", "/api/v1/watch/namespaces/shop/secrets/db"} {
		out, _ := redacted(t, audit("a", "objectRef", "", "requestURI", quote(uri), "responseObject", `{"items":[{"data":{"pw":"`+secret+`"}}]}`))
		if strings.Contains(out, secret) {
			t.Errorf("%s: %s", uri, out)
		}
	}
}

// TestWhatRulesReadStays holds that what is no secret comes out as it went in.
func TestWhatRulesReadStays(t *testing.T) {
	for _, c := range []struct{ key, value string }{
		{"requestURI", `"/api/v1/namespaces/shop/pods/web/exec?command=sh\u0026command=-c\u0026command=id\u0026stdin=true"`},
		{"requestURI", `"/api/v1/secrets?fieldSelector=metadata.name%3Ddb\u0026limit=500"`},
		{"user", `{"username":"system:serviceaccount:shop:web","uid":"1","groups":["system:serviceaccounts"],"extra":{"authentication.kubernetes.io/credential-id":["JTI=6f9a0f3e-7a17-4b9c-9a52-cf5cbbf5f001"],"authentication.kubernetes.io/pod-name":["web-1"],"authentication.kubernetes.io/pod-uid":["6f9a0f3e-7a17-4b9c-9a52-cf5cbbf5f001"]}}`},
		{"requestObject", `{"kind":"Pod","metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"web","image":"shop.azurecr.io/web@sha256:0123456789012345678901234567890123456789012345678901234567890123","command":["sleep","3600"],"env":[{"name":"DB_PASSWORD","valueFrom":{"secretKeyRef":{"name":"db","key":"password"}}}],"securityContext":{"privileged":true}}],"volumes":[{"name":"s","secret":{"secretName":"db-password"}},{"name":"h","hostPath":{"path":"/var/run"}}],"serviceAccountName":"web","imagePullSecrets":[{"name":"pull-secret"}]}}`},
		{"requestObject", `{"kind":"ClusterRoleBinding","roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"kind":"ServiceAccount","name":"token-reader","namespace":"shop"}]}`},
		{"requestObject", `{"kind":"ClusterRole","rules":[{"apiGroups":["*"],"resources":["secrets","serviceaccounts/token"],"verbs":["get","list","*"]}]}`},
		{"requestObject", `{"kind":"Secret","metadata":{"name":"db","managedFields":[{"manager":"kubectl","fieldsV1":{"f:data":{".":{},"f:pw":{}}}}]},"type":"Opaque"}`},
		{"annotations", `{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"token-admin\" of ClusterRole \"secret-reader\" to User \"anna\""}`},
		{"annotations", `{"pod-security.kubernetes.io/enforce-policy":"restricted:latest","authentication.k8s.io/legacy-token":"system:serviceaccount:shop:web"}`},
	} {
		ev := audit("a", c.key, c.value)
		out, changed := redacted(t, ev)
		var p parser
		n, _ := p.tree([]byte(ev))
		if want := string(n.append(nil)); out != want || changed {
			t.Errorf("%s changed:\n%s\nwant\n%s", c.key, out, want)
		}
	}
}
