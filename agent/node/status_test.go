package node

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/link"
)

// Whoever can make a finding long must not be able to make it vanish, or stop the node.
func TestFindingsAreCutToFitAnEnvelope(t *testing.T) {
	long := strings.Repeat("\x01", 300<<10)
	f := finding.Finding{ID: "a", Summary: long, Output: long, Event: json.RawMessage("{}"), Lineage: make([]finding.Process, 24)}
	f.Rule = finding.Rule{ID: "r", Desc: long, Response: []string{long}}
	b, err := encode(&f)
	if err != nil || len(b) > link.MaxBytes {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	var back finding.Finding
	if err := json.Unmarshal(b, &back); err != nil || back.ID != "a" || !strings.HasSuffix(back.Summary, "too large to send)") {
		t.Fatalf("%v: %.100q", err, back.Summary)
	}
	f.Subject.Object = strings.Repeat("x", link.MaxBytes)
	if _, err := encode(&f); !errors.Is(err, link.ErrTooBig) {
		t.Fatalf("%v, want ErrTooBig", err)
	}
}
