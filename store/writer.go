package store

import (
	"context"
	"database/sql"
	"fmt"
)

// maxBatch bounds the calls that share one transaction.
const maxBatch = 100

// op is one caller's write. fn may run twice: alone, after its batch failed.
type op struct {
	fn   func(*tx) error
	done chan error // buffered
}

// tx is a write transaction and the changes it makes.
type tx struct {
	db    *DB
	ctx   context.Context
	seq   uint64
	floor uint64
	told  map[change]uint64
}

type change struct{ kind, id string }

// update runs fn in the writer and returns once it is committed.
func (db *DB) update(ctx context.Context, fn func(*tx) error) error {
	o := &op{fn: fn, done: make(chan error, 1)}
	select {
	case db.ops <- o:
	case <-db.closing:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	// Not ctx: once queued it may be committed, and the caller must know.
	select {
	case err := <-o.done:
		return err
	case <-db.stopped:
		select {
		case err := <-o.done:
			return err
		default:
			return ErrClosed
		}
	}
}

// writer is the only goroutine that writes. It takes what waits, up to maxBatch,
// into one transaction: while one commit is on its way to the disk the next
// batch gathers, so no timer is needed and a lone write does not wait.
func (db *DB) writer() {
	defer close(db.stopped)
	for {
		var batch []*op
		select {
		case o := <-db.ops:
			batch = append(batch, o)
		case <-db.closing:
			// Watchers of the next life would else never hear of it. A failure is told by
			// everything else that fails with it.
			if held := db.takeWaiting(); len(held) > 0 {
				db.commit([]*op{{fn: func(t *tx) error { return t.tellAll(held) }}})
			}
			return
		}
	gather:
		for len(batch) < maxBatch {
			select {
			case o := <-db.ops:
				batch = append(batch, o)
			default:
				break gather
			}
		}
		err := db.commit(batch)
		if err != nil && len(batch) > 1 {
			// One of them failed all: each gets its own chance.
			for _, o := range batch {
				o.done <- db.commit([]*op{o})
			}
			continue
		}
		for _, o := range batch {
			o.done <- err
		}
	}
}

// commit runs a batch in one transaction. The transaction is begun and ended by
// hand because prepared statements must outlive it.
func (db *DB) commit(batch []*op) error {
	ctx := context.Background() // a caller that gives up must not undo the others
	if err := db.gone(); err != nil {
		return err
	}
	if _, err := db.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return db.explain(err)
	}
	t := &tx{db: db, ctx: ctx, seq: db.seq.Load(), floor: db.floor.Load(), told: map[change]uint64{}}
	if err := t.run(batch); err != nil {
		// The database may have rolled back by itself, so an error here says nothing.
		db.conn.ExecContext(ctx, "ROLLBACK")
		return db.explain(err)
	}
	if t.seq > db.seq.Load() {
		db.floor.Store(t.floor)
		db.seq.Store(t.seq)
		db.wake()
	}
	return nil
}

func (t *tx) run(batch []*op) error {
	for _, o := range batch {
		if err := o.fn(t); err != nil {
			return err
		}
	}
	if err := t.pruneChanges(); err != nil {
		return err
	}
	_, err := t.db.conn.ExecContext(t.ctx, "COMMIT")
	return err
}

// stmt prepares each statement of this package once. Only constant text comes
// here, so the map is bounded by the source.
func (t *tx) stmt(query string) (*sql.Stmt, error) {
	s, ok := t.db.stmts[query]
	if !ok {
		var err error
		if s, err = t.db.conn.PrepareContext(t.ctx, query); err != nil {
			return nil, fmt.Errorf("prepare %q: %w", query, err)
		}
		t.db.stmts[query] = s
	}
	return s, nil
}

// exec runs a statement and says how many rows it touched.
func (t *tx) exec(query string, args ...any) (int64, error) {
	s, err := t.stmt(query)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// rows reads rows; the caller closes them before the next statement.
func (t *tx) rows(query string, args ...any) (*sql.Rows, error) {
	s, err := t.stmt(query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(t.ctx, args...)
}

// row reads one row; sql.ErrNoRows when there is none.
func (t *tx) row(query string, args []any, dest ...any) error {
	s, err := t.stmt(query)
	if err != nil {
		return err
	}
	return s.QueryRowContext(t.ctx, args...).Scan(dest...)
}
