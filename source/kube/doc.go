// Package kube watches a Kubernetes API server, or reads a folder of exported objects,
// and hands on inventory.Objects. It is the only package that talks to an API server to
// learn what there is; it changes nothing there.
package kube
