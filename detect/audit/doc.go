// Package audit prepares audit events for rules: it computes event.AuditFacts from the
// inventory, from what an actor did in the last minutes, and from learned habits. Rules
// then decide, so that a new detection is a rule and not code. It does no I/O and reads
// no clock; its state can be snapshotted and restored.
package audit
