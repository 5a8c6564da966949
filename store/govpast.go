package store

import (
	"context"
	"fmt"

	"github.com/dockreeve/dockreeve/govern"
)

// SetGovDays keeps days of evaluations that were made elsewhere. A later evaluation of the
// same day stays.
func (db *DB) SetGovDays(ctx context.Context, days []govern.Day) error {
	for i := range days {
		p, err := packDay(&days[i], days[i].At)
		if err != nil {
			return err
		}
		if err := db.update(ctx, func(t *tx) error { return t.govDay(p) }); err != nil {
			return fmt.Errorf("store a day: %w", err)
		}
	}
	return nil
}
