package kube

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/dockreeve/dockreeve/source/kube"
	"github.com/dockreeve/dockreeve/test/kube/lab"
)

const canaryKind = `"apiVersion":"v1","kind":"Pod"`

// TestDenialCanaryAgainstARealAPIServer tries the denial canary, with the agent's own
// account and the manifests as they are given to people, against everything that may
// enforce in a cluster; and the right that it needs against what it must not be good for.
func TestDenialCanaryAgainstARealAPIServer(t *testing.T) {
	t.Parallel()
	l := Start(t, lab.Options{})
	l.K(t, "apply", "-f", "../../deploy/kubernetes/rbac.yaml")
	kubeconfig := l.Account(t, "dockreeve", "dockreeve-cluster")
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	w, err := kube.Open(kube.Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	const ns = kube.CanaryNamespace
	// become waits for an answer: policies are in force some time after they are made.
	become := func(t *testing.T, what string, is func(d kube.Denial, why string) bool) {
		t.Helper()
		var d kube.Denial
		var why string
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("%s: the last answer was %+v %s", what, d, why)
			}
		})
		l.Until(t, what, func() bool {
			var err error
			why = ""
			if d, err = w.Deny(t.Context()); err != nil {
				why = err.Error()
			}
			return is(d, why)
		})
	}
	open := func(d kube.Denial, why string) bool {
		return why == "" && !d.Denied && d.By == "" && strings.Contains(d.Answer, "everyone but the quota")
	}
	by := func(want string) func(d kube.Denial, why string) bool {
		return func(d kube.Denial, why string) bool { return why == "" && d.Denied && d.By == want && d.Answer != "" }
	}
	apply := func(t *testing.T, doc string) {
		t.Helper()
		l.Apply(t, "default", doc)
		t.Cleanup(func() {
			if _, err := l.KubectlAs(context.Background(), l.Kubeconfig(), doc, "delete", "-f", "-"); err != nil {
				t.Error(err)
			}
		})
	}

	if _, err := w.Deny(t.Context()); err == nil || !strings.Contains(err.Error(), "kubectl apply -f deploy/kubernetes/canary.yaml") {
		t.Errorf("without the namespace: %v", err)
	}
	l.K(t, "apply", "-f", "../../deploy/kubernetes/canary.yaml")
	become(t, "answer that nobody but the quota denied", open)

	t.Run("TheRightIsWorthNothing", func(t *testing.T) {
		c := l.caller(t, "", cfg.BearerToken)
		tame := `{` + canaryKind + `,"metadata":{"name":"mine"},"spec":{"containers":[{"name":"c","image":"i"}]}}`
		path := "/api/v1/namespaces/" + ns
		for _, query := range []string{"", "?dryRun=All"} {
			if code, answer := c.do(t.Context(), "POST", path+"/pods"+query, tame); code != 403 || !strings.Contains(answer, "exceeded quota: no-pods") {
				t.Errorf("a pod%s: %d %s", query, code, answer)
			}
		}
		for _, try := range [][3]string{
			{"PATCH", path + "/resourcequotas/no-pods", `{"spec":{"hard":{"pods":"9"}}}`}, {"DELETE", path + "/resourcequotas/no-pods", ""}, {"DELETE", path, ""},
			{"POST", path + "/replicationcontrollers", `{}`}, {"POST", "/apis/batch/v1/namespaces/" + ns + "/jobs", `{}`}, {"POST", "/api/v1/namespaces/default/pods", tame},
			{"POST", path + "/pods/mine/exec?command=id", ""}, {"POST", path + "/pods/mine/binding", `{}`}, {"PATCH", path, `{"metadata":{"labels":{"a":"b"}}}`},
		} {
			if code, answer := c.do(t.Context(), try[0], try[1], try[2], "Content-Type=application/merge-patch+json"); code != 403 || !strings.Contains(answer, "forbidden: User") && !strings.Contains(answer, "is forbidden: User") {
				t.Errorf("%s %s: %d %s", try[0], try[1], code, answer)
			}
		}
		if got := l.K(t, "-n", ns, "get", "pods", "-o", "name"); got != "" {
			t.Errorf("there are pods: %s", got)
		}
	})

	t.Run("PodSecurity", func(t *testing.T) {
		l.K(t, "label", "namespace", ns, "pod-security.kubernetes.io/enforce=baseline")
		become(t, "denial by Pod Security", by("Pod Security Admission (baseline)"))
		l.K(t, "label", "namespace", ns, "pod-security.kubernetes.io/enforce-")
		become(t, "open again", open)
	})

	t.Run("ValidatingAdmissionPolicy", func(t *testing.T) {
		apply(t, `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-host-pid}
spec:
  failurePolicy: Fail
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  validations: [{expression: "!has(object.spec.hostPID) || !object.spec.hostPID", message: "no pod sees the processes of its node"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: everywhere}
spec: {policyName: no-host-pid, validationActions: [Deny]}
`)
		become(t, "denial by the policy", by("ValidatingAdmissionPolicy no-host-pid (binding everywhere)"))
		// One that only warns does not deny.
		l.K(t, "patch", "validatingadmissionpolicybinding", "everywhere", "--type=merge", "-p", `{"spec":{"validationActions":["Warn"]}}`)
		become(t, "open under a policy that warns", open)
	})

	t.Run("Webhook", func(t *testing.T) {
		var say atomic.Value
		say.Store(`{"allowed":false,"status":{"code":403,"message":"[no-privileged] a privileged container, exceeded quota: no-pods"}}`)
		url := webhookServer(t, l, &say)
		hook := func(name, url, failure string) string {
			ca, err := os.ReadFile(l.File("pki/ca.crt"))
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf(`apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: %s}
webhooks:
- name: %s.example.com
  clientConfig: {url: %q, caBundle: %s}
  failurePolicy: %s
  sideEffects: None
  timeoutSeconds: 2
  admissionReviewVersions: [v1]
  rules: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]
`, name, name, url, base64.StdEncoding.EncodeToString(ca), failure)
		}
		t.Run("Denies", func(t *testing.T) {
			apply(t, hook("gate", url, "Fail"))
			become(t, "denial by the webhook", by("admission webhook gate.example.com, no-privileged"))
			// Without a code the API server makes one up; without a word too.
			say.Store(`{"allowed":false}`)
			become(t, "denial without a reason", by("admission webhook gate.example.com"))
			say.Store(`{"allowed":true}`)
			become(t, "open under a webhook that allows", open)
		})
		t.Run("Silent", func(t *testing.T) {
			dead := "https://" + net.JoinHostPort(l.APIIP, fmt.Sprint(l.ReceiverPort()+12)) + "/"
			apply(t, hook("ignored", dead, "Ignore"))
			become(t, "open under a dead webhook that is ignored", open)
			apply(t, hook("dead", dead, "Fail"))
			become(t, "dead webhook", func(d kube.Denial, why string) bool {
				return strings.Contains(why, "admission webhook dead.example.com does not answer")
			})
		})
		become(t, "open in the end", open)
	})

	t.Run("WithoutQuota", func(t *testing.T) {
		l.K(t, "-n", ns, "delete", "resourcequota", "no-pods")
		become(t, "let in for want of the quota", func(d kube.Denial, why string) bool {
			return why == "" && !d.Denied && strings.Contains(d.Answer, "no quota") && strings.Contains(d.Answer, "canary.yaml")
		})
		if got := l.K(t, "-n", ns, "get", "pods", "-o", "name"); got != "" {
			t.Errorf("a dry run left %s", got)
		}
	})
}

// webhookServer answers admission reviews with the response that say holds.
func webhookServer(t *testing.T, l *Lab, say *atomic.Value) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(l.File("pki/receiver.crt"), l.File("pki/receiver.key"))
	if err != nil {
		t.Fatal(err)
	}
	listen, err := net.Listen("tcp", net.JoinHostPort(l.APIIP, fmt.Sprint(l.ReceiverPort()+11)))
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: listen, TLS: &tls.Config{Certificates: []tls.Certificate{pair}}, Config: &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var review struct {
			Request struct{ UID string }
		}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		answer, _ := strings.CutPrefix(say.Load().(string), "{")
		rw.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(rw, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":%q,%s}`, review.Request.UID, answer)
	})}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return "https://" + listen.Addr().String() + "/validate"
}
