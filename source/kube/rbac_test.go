package kube

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"k8s.io/client-go/rest"
)

// TestTheClusterRoleIsWhatIsRead holds the role that people are given to what is asked
// for: every resource, get, list and watch, and nothing else.
func TestTheClusterRoleIsWhatIsRead(t *testing.T) {
	var granted []string
	for _, r := range rulesOf(t, "rbac.yaml") {
		if !slices.Equal(r.Verbs, []string{"get", "list", "watch"}) || len(r.APIGroups) != 1 {
			t.Errorf("a rule on %v grants %v in %v", r.Resources, r.Verbs, r.APIGroups)
		}
		for _, res := range r.Resources {
			granted = append(granted, r.APIGroups[0]+"/"+res)
		}
	}
	var needed []string
	for _, w := range wanted(false) {
		needed = append(needed, w.groups[0]+"/"+w.resource)
	}
	slices.Sort(granted)
	slices.Sort(needed)
	if !slices.Equal(granted, needed) {
		t.Errorf("deploy/kubernetes/rbac.yaml grants\n%v\nwhat is read is\n%v", granted, needed)
	}
}

// TestOptionalRolesAreWhatIsAsked holds each optional role to the one request it is for,
// and the requests to their paths.
func TestOptionalRolesAreWhatIsAsked(t *testing.T) {
	for file, want := range map[string]grant{
		"kubelet.yaml": {APIGroups: []string{""}, Resources: []string{"nodes/proxy"}, Verbs: []string{"get"}},
		"metrics.yaml": {APIGroups: []string{"metrics.k8s.io"}, Resources: []string{"pods"}, Verbs: []string{"list"}},
		"canary.yaml":  {APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"create"}}, // in a namespace that admits none
	} {
		if got := rulesOf(t, file); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("%s grants %+v", file, got)
		}
	}
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		http.Error(rw, "", http.StatusForbidden)
	}))
	defer srv.Close()
	w, err := Open(Options{Config: &rest.Config{Host: srv.URL}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.PodCPU(t.Context()); err == nil || !strings.Contains(err.Error(), "deploy/kubernetes/metrics.yaml") {
		t.Errorf("without the right: %v", err)
	}
	if !slices.Equal(asked, []string{"GET /apis/metrics.k8s.io/v1beta1/pods"}) {
		t.Errorf("asked for %v", asked)
	}
}

// grant is one rule of a role.
type grant struct {
	APIGroups []string `yaml:"apiGroups"`
	Resources []string
	Verbs     []string
}

// rulesOf are the rules of the roles in a manifest of deploy/kubernetes.
func rulesOf(t *testing.T, file string) (out []grant) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/kubernetes/" + file)
	if err != nil {
		t.Fatal(err)
	}
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc struct{ Rules []grant }
		if err := dec.Decode(&doc); err == io.EOF {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		out = append(out, doc.Rules...)
	}
}
