package store

import (
	"database/sql"
	"errors"

	"github.com/dockreeve/dockreeve/link"
)

// maxEpochs bounds the lives of a sender that are told apart. Of one that is older
// findings are still known by their ids; losses would be counted once more.
const maxEpochs = 8

// place is a lane of one life of a sender.
type place struct {
	origin string
	lane   link.Lane
	epoch  uint64
}

// received is how far each place of a batch is stored.
type received map[place]*reach

type reach struct {
	seq      uint64
	known    bool // there is a row of it
	moved    bool
	replaced bool // a newer life of the sender has been heard of
}

// seen says whether the item lies at or below what is stored of its place, and moves
// the mark; and whether its sender has begun a newer life since: what it says of how
// things are is then no longer so, what it says of what happened still is.
func (t *tx) seen(marks received, it *Item) (seen, replaced bool, err error) {
	if it.Origin == "" {
		return false, false, nil
	}
	p := place{it.Origin, it.Lane, it.Epoch}
	m := marks[p]
	if m == nil {
		var seq, newest int64
		err := t.row("SELECT seq FROM received WHERE origin = ? AND lane = ? AND epoch = ?", []any{p.origin, int64(p.lane), int64(p.epoch)}, &seq)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return false, false, err
		}
		m = &reach{seq: uint64(seq), known: err == nil}
		if err := t.row("SELECT COALESCE(MAX(epoch), 0) FROM received WHERE origin = ? AND lane = ?", []any{p.origin, int64(p.lane)}, &newest); err != nil {
			return false, false, err
		}
		m.replaced = uint64(newest) > p.epoch
		for o, other := range marks { // of this batch
			if o.origin == p.origin && o.lane == p.lane {
				m.replaced = m.replaced || o.epoch > p.epoch
				other.replaced = other.replaced || p.epoch > o.epoch
			}
		}
		marks[p] = m
	}
	if it.Seq <= m.seq {
		return true, m.replaced, nil
	}
	m.seq, m.moved = it.Seq, true
	return false, m.replaced, nil
}

func (t *tx) saveReceived(marks received, now int64) error {
	for p, m := range marks {
		if !m.moved {
			continue
		}
		if _, err := t.exec(`INSERT INTO received (origin, lane, epoch, seq, at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (origin, lane, epoch) DO UPDATE SET seq = excluded.seq, at = excluded.at`,
			p.origin, int64(p.lane), int64(p.epoch), int64(m.seq), now); err != nil {
			return err
		}
		if m.known {
			continue
		}
		if _, err := t.exec(`DELETE FROM received WHERE origin = ? AND lane = ? AND epoch IN
			(SELECT epoch FROM received WHERE origin = ? AND lane = ? ORDER BY epoch DESC LIMIT 9223372036854775807 OFFSET ?)`,
			p.origin, int64(p.lane), p.origin, int64(p.lane), maxEpochs); err != nil {
			return err
		}
	}
	return nil
}
