// Package cluster is the composition root of the cluster role: source/kube keeps the
// inventory, source/kubeaudit brings what happens at the API server, detect judges it,
// link carries pods and rules down to the nodes and everything else up to the hub.
package cluster
