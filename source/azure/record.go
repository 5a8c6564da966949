// Package azure reads Azure: with its REST API (Collect), or from what was read before
// (Open: a snapshot, or a folder of `az … -o json` exports). All three give the same
// Records, and one Builder reduces those to cloud.Tenant and cost.Charge, so a live tenant
// and a snapshot of it cannot give different answers. It only ever reads.
package azure

import (
	"encoding/json"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// Record is one document as Azure gave it, or the outcome of one read. A snapshot is a
// header line and then one Record per line (docs/azure.md).
type Record struct {
	What  string          `json:"what"`            // one of cloud's Read… words
	Scope string          `json:"scope,omitempty"` // what was asked
	Doc   json.RawMessage `json:"doc,omitempty"`   // one ARM resource, row or item
	Read  *cloud.Read     `json:"read,omitempty"`  // the end of a read; then there is no Doc
}

// Snapshot is a tenant and its money, reduced.
type Snapshot struct {
	Tenant *cloud.Tenant
	Bill   *cost.Bill // what the cost query told, sorted
	Prices []cost.Price
}
