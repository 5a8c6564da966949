package posture

import (
	"regexp"
	"strings"
	"testing"
)

// TestEveryCommandNamesItsSubscription: somebody with many of them is signed in to one.
func TestEveryCommandNamesItsSubscription(t *testing.T) {
	command, n := regexp.MustCompile(`\baz (aks|acr|k8s-extension|security|network|monitor|role|vm|disk) [a-z]`), 0
	for _, c := range Controls() {
		for _, line := range c.Remediation {
			if !command.MatchString(line) {
				continue
			}
			n++
			if !strings.Contains(line, "--subscription SUBSCRIPTION") && !strings.Contains(line, "--resource CLUSTER_ID") && !strings.Contains(line, "--scope REGISTRY_ID") {
				t.Errorf("%s: %s", c.ID, line)
			}
		}
	}
	if n < 30 {
		t.Errorf("%d commands", n)
	}
}
