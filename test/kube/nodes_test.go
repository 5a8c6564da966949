package kube

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/test/kube/lab"
)

// TestTwoNodes keeps two tenants apart on nodes of their own, and holds that their pods
// reach each other all the same: there is no network policy.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	l := Start(t, lab.Options{Nodes: 2})
	address := map[string]string{}
	for i, tenant := range []string{"a", "b"} {
		ns := l.Namespace(t, "tenant="+tenant)
		node := l.Nodes[i]
		l.Pod(t, ns, "web", "nodeName: "+node.Name)
		got := strings.Fields(l.K(t, "-n", ns, "get", "pod", "web", "-o", "jsonpath={.status.podIP} {.status.hostIP}"))
		if len(got) != 2 || got[1] != node.IP {
			t.Fatalf("the pod of tenant %s is at %v, want on %s (%s)", tenant, got, node.Name, node.IP)
		}
		if prefix := node.PodCIDR[:strings.LastIndexByte(node.PodCIDR, '.')+1]; !strings.HasPrefix(got[0], prefix) {
			t.Errorf("its address %s is not of %s", got[0], node.PodCIDR)
		}
		address[ns] = got[0]
	}
	for from := range address {
		for to, ip := range address {
			if from == to {
				continue
			}
			l.K(t, "-n", to, "exec", "web", "--", "sh", "-c", "apicall serve 8080 >/dev/null 2>&1 &")
			l.Until(t, fmt.Sprintf("way from %s to %s", from, to), func() bool {
				return strings.Contains(l.Exec(t, from, "web", "apicall", "scan", ip, "8080"), "8080 open")
			})
		}
	}
}
