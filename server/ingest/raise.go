package ingest

import (
	"context"
	"fmt"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/store"
)

// Raise stores findings that the hub itself has made, under the same checks as those
// of nodes. It returns once they are on disk; until there is room it waits. A finding
// stored before is not counted again.
func (in *Ingest) Raise(ctx context.Context, list []*finding.Finding) error {
	items := make([]store.Item, 0, len(list))
	for _, f := range list {
		if err := checkFinding(f); err != nil {
			return fmt.Errorf("raise a finding: %w", err)
		}
		shorten(f)
		items = append(items, store.Item{Finding: f})
	}
	_, err := in.store(ctx, items)
	return err
}
