// Package kubeaudit takes in audit events of Kubernetes API servers, however they come
// (webhook, file, standard input, Event Hubs, exported records), and hands on
// event.Events of source k8s_audit, redacted, each once.
package kubeaudit
