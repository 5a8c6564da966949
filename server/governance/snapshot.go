package governance

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/source/azure"
	"github.com/dockreeve/dockreeve/store"
)

// Bounds of a snapshot: as it comes, and as it unpacks.
const (
	MaxSnapshot = 1 << 30
	maxUnpacked = 8 << 30
	maxRecords  = 10_000_000
)

// ErrSnapshot says that what was handed in takes no snapshot's place.
var ErrSnapshot = errors.New("the snapshot is not taken, and the one before stays")

// fileName is the snapshot's in Options.Dir.
const fileName = "azure-snapshot.ndjson.gz"

// Submitted says what a snapshot holds.
type Submitted struct {
	Records       int
	Clusters      int
	Subscriptions int
	Charges       int
	Gaps          []inventory.Gap // what could not be read
	Evaluated     int64           // 0 = evaluating failed: see State
}

// Submit takes a snapshot in the place of the one before, once all of it was read, and has
// everything evaluated. The error wraps ErrSnapshot where the one before stays because of
// what r gave.
func (g *Governance) Submit(ctx context.Context, r io.Reader) (Submitted, error) {
	f, err := g.temporary()
	if err != nil {
		return Submitted{}, fmt.Errorf("keep the snapshot: %w", err)
	}
	defer os.Remove(f.Name()) // it is gone already when it took its place
	n, err := io.Copy(f, io.LimitReader(r, MaxSnapshot+1))
	switch {
	case err != nil:
		f.Close()
		return Submitted{}, fmt.Errorf("%w: reading it broke off after %d bytes: %w", ErrSnapshot, n, err)
	case n > MaxSnapshot:
		f.Close()
		return Submitted{}, fmt.Errorf("%w: it has more than %d bytes", ErrSnapshot, MaxSnapshot)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return Submitted{}, fmt.Errorf("keep the snapshot: %w", err)
	}
	g.taking.Lock()
	out, err := g.take(ctx, f.Name())
	g.taking.Unlock()
	if err != nil {
		return out, err
	}
	e, err := g.Reevaluate(ctx)
	if err != nil {
		g.opt.Log.Warn("evaluating a new snapshot failed, trying again", "error", err)
		return out, nil // it is in place; Status says the rest
	}
	out.Evaluated = e.At
	return out, nil
}

// take reads the snapshot in a file, keeps its charges and puts it in place.
func (g *Governance) take(ctx context.Context, path string) (Submitted, error) {
	snap, head, err := read(path)
	if err != nil {
		return Submitted{}, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	t := snap.Tenant
	before := g.Snapshot()
	switch {
	case head.Finished == 0 && before != nil:
		return Submitted{}, fmt.Errorf("%w: it is cut short after %d records, and one of %s is whole: hand the whole file in", ErrSnapshot, head.Records, time.Unix(0, before.Tenant.Collected).UTC().Format(time.RFC3339))
	case before != nil && before.Tenant.ID == t.ID && t.Collected != 0 && t.Collected < before.Tenant.Collected:
		return Submitted{}, fmt.Errorf("%w: it was collected at %s, before the one of %s", ErrSnapshot, time.Unix(0, t.Collected).UTC().Format(time.RFC3339), time.Unix(0, before.Tenant.Collected).UTC().Format(time.RFC3339))
	}
	if err := g.keepCharges(ctx, snap); err != nil {
		return Submitted{}, err
	}
	if g.opt.Dir != "" {
		if err := os.Rename(path, filepath.Join(g.opt.Dir, fileName)); err != nil {
			return Submitted{}, fmt.Errorf("keep the snapshot: %w", err)
		}
		if err := syncDir(g.opt.Dir); err != nil {
			return Submitted{}, fmt.Errorf("keep the snapshot: %w", err)
		}
	}
	out := describe(snap, head)
	doc, err := json.Marshal(struct {
		Tenant        string `json:"tenant"`
		Name          string `json:"name,omitempty"`
		Source        string `json:"source"`
		Collected     int64  `json:"collected"`
		Finished      int64  `json:"finished"`
		Records       int    `json:"records"`
		Clusters      int    `json:"clusters"`
		Subscriptions int    `json:"subscriptions"`
	}{t.ID, t.Name, t.Source, t.Collected, t.Finished, out.Records, out.Clusters, out.Subscriptions})
	if err != nil {
		return out, err
	}
	if err := g.opt.DB.SetGovDocument(ctx, store.GovSnapshot, t.Collected, doc); err != nil {
		return out, err
	}
	g.mu.Lock()
	snap.Bill = nil // they are in the store
	g.snapshot = snap
	g.state.Snapshot = ""
	g.state.Snapshots++
	g.mu.Unlock()
	return out, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// read reads a snapshot file within its bounds.
func read(path string) (*azure.Snapshot, azure.Head, error) {
	b := azure.NewBuilder()
	bytes, records := 0, 0
	head, err := azure.ReadFile(path, func(r azure.Record) error {
		records++
		if bytes += len(r.Doc); bytes > maxUnpacked || records > maxRecords {
			return fmt.Errorf("it holds more than %d records or %d bytes of documents", maxRecords, maxUnpacked)
		}
		return b.Add(r)
	})
	if err != nil {
		var pathless *fs.PathError
		if !errors.As(err, &pathless) {
			err = errors.Unwrap(err) // the name of our own file tells nobody anything
		}
		return nil, head, err
	}
	b.Describe(head)
	return b.Snapshot(), head, nil
}

func describe(snap *azure.Snapshot, head azure.Head) Submitted {
	t := snap.Tenant
	out := Submitted{Records: head.Records, Clusters: len(t.Clusters), Subscriptions: len(t.Subscriptions), Charges: snap.Bill.Len()}
	for i := range t.Reads {
		r := &t.Reads[i]
		if r.Outcome == cloud.ReadOK || r.Outcome == cloud.ReadAbsent || r.Outcome == cloud.ReadSkipped {
			continue
		}
		if len(out.Gaps) == maxGaps {
			out.Gaps[maxGaps-1] = inventory.Gap{What: "further reads", Reason: "more could not be read than is told here: see the Governance screen"}
			break
		}
		what := r.What
		if r.Scope != "" {
			what += " of " + r.Scope
		}
		out.Gaps = append(out.Gaps, inventory.Gap{What: what, Reason: r.Outcome + ": " + r.Reason, Remedy: r.Remedy})
	}
	return out
}

// maxGaps bounds the gaps told of one snapshot.
const maxGaps = 200

// load reads the snapshot of an earlier life.
func (g *Governance) load() error {
	if g.opt.Dir == "" {
		return nil
	}
	g.taking.Lock()
	defer g.taking.Unlock()
	snap, _, err := read(filepath.Join(g.opt.Dir, fileName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	snap.Bill = nil // they are in the store
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.snapshot == nil {
		g.snapshot = snap
	}
	return nil
}

// collect reads the tenant into a file, and takes it as if it had been handed in.
func (g *Governance) collect(ctx context.Context) (err error) {
	g.set(func(s *State) { s.Collecting = true })
	defer func() {
		g.set(func(s *State) {
			s.Collecting, s.Collect, s.CollectAt = false, "", g.opt.Clock.Now().UnixNano()
			if err != nil {
				s.Collect = err.Error()
			}
		})
	}()
	f, err := g.temporary()
	if err != nil {
		return fmt.Errorf("keep the snapshot: %w", err)
	}
	defer os.Remove(f.Name())
	if err := g.collectInto(ctx, f); err != nil {
		f.Close()
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("keep the snapshot: %w", err)
	}
	g.taking.Lock()
	_, err = g.take(ctx, f.Name())
	g.taking.Unlock()
	if err != nil {
		return err
	}
	g.Changed()
	return nil
}

func (g *Governance) collectInto(ctx context.Context, f io.Writer) error {
	z := gzip.NewWriter(f)
	w, err := azure.NewWriter(z, azure.Head{Source: "live", Started: g.opt.Clock.Now().UnixNano()})
	if err != nil {
		return err
	}
	if err := g.opt.Collect(ctx, w.Write); err != nil {
		return fmt.Errorf("collect from Azure: %w", err)
	}
	return errors.Join(w.Close(g.opt.Clock.Now()), z.Close())
}
