package store

import (
	"context"
	"errors"
	"sync"
	"time"
)

// The kinds of change.
const (
	ChangeAlert  = "alert"  // id: the alert's
	ChangeStatus = "status" // id: the node's name

	ChangeCluster = "cluster" // id: the cluster's name; at most one a second each
	ChangeAudit   = "audit"   // id: the cluster's name; at most one a second each

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

// tellSoon records a change of what may change many times a second: at once when nothing
// was told of it within the last second, else when that second is over. The number is
// that of the change told, or of the last one before.
func (t *tx) tellSoon(kind, id string, now int64) (uint64, error) {
	c := change{kind, id}
	if seq, ok := t.told[c]; ok {
		return seq, nil
	}
	s := &t.db.soon
	s.Lock()
	defer s.Unlock()
	if last, ok := s.last[c]; !ok || now < last || now-last >= int64(t.db.opt.tellEvery) {
		if len(s.last) >= maxSoon {
			clear(s.last)
		}
		s.last[c] = now
		delete(s.waiting, c)
		return t.tell(kind, id)
	}
	s.waiting[c] = true
	if s.timer == nil {
		s.timer = time.AfterFunc(t.db.opt.tellEvery, t.db.tellWaiting)
	}
	return t.seq, nil
}

// maxSoon bounds the changes whose last telling is remembered.
const maxSoon = 4 * maxClusters

// soon is what tellSoon holds back.
type soon struct {
	sync.Mutex
	last    map[change]int64 // when it was told
	waiting map[change]bool
	timer   *time.Timer // nil = none runs
}

// tellWaiting tells what was held back.
func (db *DB) tellWaiting() {
	held := db.takeWaiting()
	if len(held) == 0 {
		return
	}
	err := db.update(context.Background(), func(t *tx) error { return t.tellAll(held) })
	if err == nil {
		return
	}
	db.soon.Lock()
	defer db.soon.Unlock()
	for _, c := range held {
		db.soon.waiting[c] = true
	}
	if db.soon.timer == nil && !errors.Is(err, ErrClosed) {
		db.soon.timer = time.AfterFunc(db.opt.tellEvery, db.tellWaiting)
	}
}

func (db *DB) takeWaiting() []change {
	db.soon.Lock()
	defer db.soon.Unlock()
	db.soon.timer = nil
	held := make([]change, 0, len(db.soon.waiting))
	for c := range db.soon.waiting {
		held = append(held, c)
		db.soon.last[c] = db.opt.Now()
	}
	clear(db.soon.waiting)
	return held
}

func (t *tx) tellAll(list []change) error {
	for _, c := range list {
		if _, err := t.tell(c.kind, c.id); err != nil {
			return err
		}
	}
	return nil
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
