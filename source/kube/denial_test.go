package kube

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"k8s.io/client-go/rest"
)

func statusOf(t testing.TB, message string) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]string{"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAnswersToTheDenialCanary(t *testing.T) {
	const pod = `pods "dockreeve-canary" is forbidden: `
	for _, c := range []struct {
		name, message string
		code          int
		by            string // "" = let in, or not assessed
		want          string // in the answer, or in the reason
		not           bool   // assessed
	}{
		{"pod security", pod + `violates PodSecurity "restricted:v1.30": privileged (container "canary" must not set securityContext.privileged=true)`, 403, "Pod Security Admission (restricted)", "must not set", false},
		{"a policy", pod + `ValidatingAdmissionPolicy 'powers' with binding 'powers' denied request: failed expression: !object.spec.hostPID`, 422, "ValidatingAdmissionPolicy powers", "failed expression", false},
		{"a policy with another binding", pod + `ValidatingAdmissionPolicy 'powers' with binding 'prod' denied request: no`, 422, "ValidatingAdmissionPolicy powers (binding prod)", "no", false},
		{"Gatekeeper", `admission webhook "validation.gatekeeper.sh" denied the request: [azurepolicy-noprivilege-1] Privileged container is not allowed: canary`, 403, "admission webhook validation.gatekeeper.sh, azurepolicy-noprivilege-1", "not allowed", false},
		{"Kyverno", "admission webhook \"validate.kyverno.svc-fail\" denied the request: \n\nresource Pod/dockreeve-canary/dockreeve-canary was blocked due to the following policies \n\ndisallow-host:\n  host-pid: 'no: never'\n", 400, "admission webhook validate.kyverno.svc-fail, disallow-host", "blocked due to", false},
		{"a webhook without a word", `admission webhook "x.example" denied the request without explanation`, 400, "admission webhook x.example", "without explanation", false},
		{"OpenShift", pod + `unable to validate against any security context constraint: [provider "anyuid": Forbidden: not usable]`, 403, "OpenShift's security context constraints", "anyuid", false},
		{"the API server", `Pod "dockreeve-canary" is invalid: spec.containers[0].securityContext.privileged: Forbidden: disallowed by cluster policy`, 422, "the API server (--allow-privileged=false)", "disallowed", false},

		{"the quota", pod + `exceeded quota: no-pods, requested: pods=1, used: pods=0, limited: pods=0`, 403, "", "everyone but the quota", false},
		{"a quota that is not counted yet", pod + `status unknown for quota: no-pods, resources: pods`, 403, "", "everyone but the quota", false},
		{"another quota", pod + `failed quota: other: must specify memory for: canary`, 403, "", "everyone but the quota", false},
		{"no quota", ``, 201, "", "deploy/kubernetes/canary.yaml", false},

		{"a webhook that speaks of the quota", `admission webhook "x" denied the request: exceeded quota: no-pods`, 403, "admission webhook x", "exceeded quota", false},
		{"a policy that speaks of the quota", pod + `ValidatingAdmissionPolicy 'p' with binding 'p' denied request: exceeded quota: no-pods`, 403, "ValidatingAdmissionPolicy p", "exceeded", false},
		{"a pod of another name", `pods "other" is forbidden: violates PodSecurity "baseline:latest": x`, 403, "", "403", true},
		{"what only speaks of a denial", `the server said: admission webhook "x" denied the request`, 403, "", "403", true},
		{"no right", `pods is forbidden: User "system:serviceaccount:dockreeve:dockreeve-cluster" cannot create resource "pods" in API group "" in the namespace "dockreeve-canary"`, 403, "", "kubectl apply -f deploy/kubernetes/canary.yaml", true},
		{"no namespace", `namespaces "dockreeve-canary" not found`, 404, "", "kubectl apply -f deploy/kubernetes/canary.yaml", true},
		{"a namespace that ends", pod + `unable to create new content in namespace dockreeve-canary because it is being terminated`, 403, "", "being terminated", true},
		{"a namespace that begins", pod + `error looking up service account dockreeve-canary/default: serviceaccount "default" not found`, 403, "", "no default service account", true},
		{"side effects", `admission webhook "old.example" does not support dry run`, 400, "", "old.example", true},
		{"a dead webhook", `Internal error occurred: failed calling webhook "dead.example": Post "https://10.0.0.1/": connection refused`, 500, "", "dead.example does not answer", true},
		{"overload", `the server has received too many requests`, 429, "", "429", true},
		{"credentials", `Unauthorized`, 401, "", "401", true},
		{"a plugin nobody knows", pod + `no PriorityClass with name x was found`, 403, "", "none of a policy's", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := judgeDenial(c.code, statusOf(t, c.message))
			if c.not {
				if err == nil || !strings.Contains(err.Error(), c.want) || d != (Denial{}) {
					t.Fatalf("%+v, %v", d, err)
				}
				return
			}
			if err != nil || d.By != c.by || d.Denied != (c.by != "") || !strings.Contains(d.Answer, c.want) {
				t.Fatalf("%+v, %v", d, err)
			}
		})
	}
	for _, body := range []string{"", "no", `{"kind":"Pod","message":"admission webhook \"x\" denied the request"}`, `[]`} {
		if d, err := judgeDenial(403, []byte(body)); err == nil || d.Denied {
			t.Errorf("%q: %+v", body, d)
		}
	}
}

// TestTheDenialCanaryIsADryRun holds what is asked to the one place where it may be asked.
func TestTheDenialCanaryIsADryRun(t *testing.T) {
	var asked []string
	var pod struct {
		Metadata struct{ Name, Namespace string }
		Spec     struct {
			NodeSelector    map[string]string
			SchedulingGates []struct{ Name string }
		}
	}
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.String()+" "+r.UserAgent())
		if err := json.NewDecoder(r.Body).Decode(&pod); err != nil {
			t.Error(err)
		}
		rw.WriteHeader(http.StatusForbidden)
		_, _ = rw.Write(statusOf(t, `pods "dockreeve-canary" is forbidden: violates PodSecurity "baseline:latest": all of it`))
	}))
	defer srv.Close()
	w, err := Open(Options{Config: &rest.Config{Host: srv.URL}})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := w.Deny(t.Context()); err != nil || d.By != "Pod Security Admission (baseline)" {
		t.Errorf("%+v, %v", d, err)
	}
	if len(asked) != 1 || asked[0] != "POST /api/v1/namespaces/dockreeve-canary/pods?dryRun=All dockreeve-canary/1" {
		t.Errorf("asked %q", asked)
	}
	if pod.Metadata.Name != "dockreeve-canary" || pod.Metadata.Namespace != CanaryNamespace || len(pod.Spec.NodeSelector) != 1 || len(pod.Spec.SchedulingGates) != 1 {
		t.Errorf("the pod: %+v", pod)
	}
}

// FuzzDenial holds answers to their bounds: whoever enforces in a cluster writes them.
func FuzzDenial(f *testing.F) {
	f.Add(403, `pods "dockreeve-canary" is forbidden: violates PodSecurity "baseline:latest": x`)
	f.Add(422, `pods "dockreeve-canary" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: x`)
	f.Add(403, `admission webhook "v" denied the request: [p] x`)
	f.Add(400, "admission webhook \"v\" denied the request: \n\nwas blocked due to the following policies\n\np:\n  r: x")
	f.Fuzz(func(t *testing.T, code int, message string) {
		d, err := judgeDenial(code, statusOf(t, message))
		if err != nil && d != (Denial{}) || d.Denied != (d.By != "") || err == nil && d.Answer == "" && message != "" {
			t.Fatalf("%+v, %v", d, err)
		}
		for _, s := range []string{d.By, d.Answer} {
			if len(s) > maxDenial || len(d.By) > maxDeniedBy || !utf8.ValidString(s) || strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
				t.Fatalf("%q", s)
			}
		}
		if err != nil && len(err.Error()) > 1024 {
			t.Fatalf("a reason of %d bytes", len(err.Error()))
		}
	})
}
