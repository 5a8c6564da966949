package kube

import (
	"bytes"
	"io"
	"os"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestTheClusterRoleIsWhatIsRead holds the role that people are given to what is asked
// for: every resource, get, list and watch, and nothing else.
func TestTheClusterRoleIsWhatIsRead(t *testing.T) {
	text, err := os.ReadFile("../../deploy/kubernetes/rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var granted []string
	dec := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc struct {
			Kind  string
			Rules []struct {
				APIGroups []string `yaml:"apiGroups"`
				Resources []string
				Verbs     []string
			}
		}
		if err := dec.Decode(&doc); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, r := range doc.Rules {
			if !slices.Equal(r.Verbs, []string{"get", "list", "watch"}) || len(r.APIGroups) != 1 {
				t.Errorf("a rule on %v grants %v in %v", r.Resources, r.Verbs, r.APIGroups)
			}
			for _, res := range r.Resources {
				granted = append(granted, r.APIGroups[0]+"/"+res)
			}
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
