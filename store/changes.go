package store

import (
	"context"
)

// The kinds of change.
const (
	ChangeAlert  = "alert"  // id: the alert's
	ChangeStatus = "status" // id: the node's name

	ChangeImage         = "image"         // id: the image's key; "" = many
	ChangeVulnerability = "vulnerability" // id: "" = many
	ChangeAdvisories    = "advisories"    // id: version of the database
)

// Change says that something is no longer as it was.
type Change struct {
	Seq  uint64
	Kind string
	ID   string
}

// tell records a change and returns its sequence number. Several of the same
// thing in one transaction are one.
func (t *tx) tell(kind, id string) (uint64, error) {
	c := change{kind, id}
	if seq, ok := t.told[c]; ok {
		return seq, nil
	}
	t.seq++
	t.told[c] = t.seq
	_, err := t.exec("INSERT INTO changes (seq, kind, id) VALUES (?, ?, ?)", int64(t.seq), kind, id)
	return t.seq, err
}

// pruneChanges keeps the newest MaxChanges.
func (t *tx) pruneChanges() error {
	bound := uint64(t.db.opt.MaxChanges)
	if t.seq <= bound || t.seq-bound <= t.floor {
		return nil
	}
	if _, err := t.exec("DELETE FROM changes WHERE seq <= ?", int64(t.seq-bound)); err != nil {
		return err
	}
	t.floor = t.seq - bound
	return nil
}

// Seq is the number of the last committed change.
func (db *DB) Seq() uint64 { return db.seq.Load() }

// Changed returns a channel that is closed at the next commit that changes
// anything. Take it before reading Changes, so that nothing falls between.
func (db *DB) Changed() <-chan struct{} {
	db.changed.Lock()
	defer db.changed.Unlock()
	return db.changed.c
}

func (db *DB) wake() {
	db.changed.Lock()
	defer db.changed.Unlock()
	close(db.changed.c)
	db.changed.c = make(chan struct{})
}

// Changes returns up to limit changes after since, oldest first. reset says that
// since is older than what is kept, or newer than this database knows (it was
// restored or replaced): refetch everything and go on from Seq.
func (db *DB) Changes(ctx context.Context, since uint64, limit int) (list []Change, reset bool, err error) {
	if since > db.seq.Load() || since < db.floor.Load() {
		return nil, true, nil
	}
	rows, err := db.read.QueryContext(ctx, "SELECT seq, kind, id FROM changes WHERE seq > ? ORDER BY seq LIMIT ?", int64(since), limit)
	if err != nil {
		return nil, false, db.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var c Change
		var seq int64
		if err := rows.Scan(&seq, &c.Kind, &c.ID); err != nil {
			return nil, false, db.explain(err)
		}
		c.Seq = uint64(seq)
		list = append(list, c)
	}
	if err := rows.Err(); err != nil {
		return nil, false, db.explain(err)
	}
	// Pruned while we read: what came may have a hole at its start.
	if since < db.floor.Load() {
		return nil, true, nil
	}
	return list, false, nil
}
