// Package kubeaudit takes in audit events of Kubernetes API servers, however they come
// (webhook, file, standard input, Event Hubs, exported records), and hands on
// event.Events of source k8s_audit, redacted, each once.
//
// An Intake is what all ways in share: it parses, takes secret values out, drops repeats,
// counts, and calls one Handler, from one goroutine at a time. Its methods make the ways:
//
//	Webhook   an http.Handler for the API server's webhook backend
//	File      a log that is followed through rotation, with checkpoints
//	Reader    standard input, or an exported file, to its end
//	Hubs      Azure Event Hubs by its Kafka endpoint, or any Kafka
//
// It promises that a sender is told to forget an event only after the handler has taken
// it; that an event has the same id by whatever way and however often it comes; that
// what could not be made an event is counted with a reason and never stops the rest; and
// that who did what survives whatever a client writes into the objects of its request.
// Repeats within minutes are dropped here; later ones, after a restart, carry the same
// id, by which the receiver knows them.
//
// An event's JSON is the audit event on one line of at most MaxEvent bytes, valid UTF-8,
// without a member event.FactsKey. Its time is the stage's timestamp, else that of the
// request's arrival at the API server; when neither is there, or it is more than five
// minutes ahead of our clock, the time of its arrival here, while the document keeps its
// own. It does not judge events and keeps none.
package kubeaudit
