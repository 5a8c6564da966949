package governance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dockreeve/dockreeve/detect/activity"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/store"
)

// activityKey begins the key under which a judgement of the Activity Log is remembered.
const activityKey = "activity:"

// activity hands on what the Activity Log shows. A day that was told is not told again
// unless it became graver, and what leaves the log with time is not gone: it happened.
func (r *raising) activity(ctx context.Context, t *cloud.Tenant) error {
	in := &activity.Input{Tenant: t, Owners: make(map[string]string, len(r.owners)), Names: r.names}
	for _, o := range r.owners {
		in.Owners[o.id] = o.owner
	}
	out := activity.Judge(in)
	var gaps []inventory.Gap
	for _, x := range out.Gaps {
		if !strings.HasPrefix(x.What, "Activity Log of ") { // of the read, which the evaluation tells
			gaps = append(gaps, x)
		}
	}
	r.g.set(func(s *State) { s.Activity = gaps })
	for i := range out.Findings {
		f := &out.Findings[i]
		alert := finding.AlertID(f.Fingerprint)
		r.abuse[alert] = out.Places[f.ID]
		// The id holds the day and how grave it is; the hash, how much of it there was.
		key, hash := activityKey+f.ID, hashOf(f.Rule.ID, f.Severity.String(), fmt.Sprint(f.Repeats))
		old, ok := r.known[key]
		if ok && bytes.Equal(old.Hash, hash) {
			continue
		}
		mark := store.Raised{Key: key, Hash: hash, Alert: alert, At: r.now}
		if ok { // it went on that day: the finding is stored, and says so
			if _, err := r.g.opt.DB.AddNote(ctx, alert, "of "+stamp(f.Time)[:10]+" by now: "+oneLine(f.Summary)); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			if err := r.g.opt.DB.SetRaised(ctx, []store.Raised{mark}); err != nil {
				return err
			}
			continue
		}
		f.Received = r.now
		if err := r.add(ctx, f, mark, nil); err != nil {
			return err
		}
	}
	return nil
}
