package node

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/dockreeve/dockreeve/link"
)

// NDJSON is a link.Sender that writes each payload as one line to a stream: the door
// of a node that stands alone. A line is written or the node ends with the error, so
// nothing is lost without a word. Safe for concurrent use.
type NDJSON struct {
	mu sync.Mutex
	w  io.Writer
}

// NewNDJSON writes to w.
func NewNDJSON(w io.Writer) *NDJSON { return &NDJSON{w: w} }

// Send writes {"kind":…,"data":…} and a newline.
func (n *NDJSON) Send(_ context.Context, _ link.Lane, kind link.Kind, payload []byte) error {
	word, ok := map[link.Kind]string{link.KindFinding: "finding", link.KindLoss: "loss", link.KindStatus: "status", link.KindRules: "rules", link.KindUse: "use",
		link.KindInventory: "inventory", link.KindAudit: "audit", link.KindHabits: "habits", link.KindUsage: "usage", link.KindCanary: "canary", link.KindKubelet: "kubelet"}[kind]
	if !ok {
		return fmt.Errorf("ndjson: unknown kind %d", kind)
	}
	line, err := json.Marshal(struct {
		Kind string          `json:"kind"`
		Data json.RawMessage `json:"data"`
	}{word, payload})
	if err != nil {
		return fmt.Errorf("ndjson: %s payload is not JSON: %w", word, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, err := n.w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("ndjson: %w", err)
	}
	return nil
}
