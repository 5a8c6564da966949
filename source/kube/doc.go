// Package kube watches a Kubernetes API server, or reads a folder of exported objects,
// and hands on inventory.Objects. It is the only package that talks to an API server to
// learn what there is; it changes nothing there.
//
// It promises that nothing is silently stale or silently left out: every kind it wants
// has a Coverage that says since when it is watched without a break, or why it is not
// and what to do. It promises to be lean: an object is read from the wire, reduced by
// inventory.Decode and forgotten; only the Sink holds what is left. Content of secrets
// is never asked for.
//
// It does not use client-go's informers: they would hold every object a second time, and
// would not say why a kind is missing. Credentials, TLS, proxies and kubeconfig are
// client-go's.
package kube
