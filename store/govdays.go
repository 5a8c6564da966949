package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/dockreeve/dockreeve/govern"
)

// maxReviews bounds the reviews kept; the oldest go first.
const maxReviews = 10_000

// packedDay is a day as it is stored.
type packedDay struct {
	at           int64
	numbers, doc []byte // JSON
}

func packDay(d *govern.Day, at int64) (packedDay, error) {
	p := packedDay{at: at}
	day := *d
	if day.At == 0 {
		day.At = at
	}
	var err error
	if p.doc, err = json.Marshal(&day); err != nil {
		return p, fmt.Errorf("encode the day: %w", err)
	}
	day.Clusters, day.Findings, day.Recommendations = nil, nil, nil
	if p.numbers, err = json.Marshal(&day); err != nil {
		return p, fmt.Errorf("encode the day: %w", err)
	}
	return p, nil
}

// govDay keeps the day of an evaluation, unless a later one of that day is kept.
func (t *tx) govDay(p packedDay) error {
	if _, err := t.exec(`INSERT INTO gov_days (day, at, numbers, doc) VALUES (?,?,?,?)
		ON CONFLICT (day) DO UPDATE SET at = excluded.at, numbers = excluded.numbers, doc = excluded.doc WHERE excluded.at >= gov_days.at`,
		dayOf(p.at), p.at, t.db.zip.EncodeAll(p.numbers, nil), t.db.zip.EncodeAll(p.doc, nil)); err != nil {
		return err
	}
	_, err := t.exec("DELETE FROM gov_days WHERE day IN (SELECT day FROM gov_days ORDER BY day DESC LIMIT 9223372036854775807 OFFSET ?)", govern.MaxDays)
	return err
}

// GovDays returns what is kept of evaluations before the given time, oldest first. The
// newest whole ones come with what is by cluster, finding and recommendation; of older
// ones only the numbers are read.
func (db *DB) GovDays(ctx context.Context, before int64, whole int) ([]govern.Day, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT CASE WHEN r <= ? THEN doc ELSE numbers END FROM (SELECT day, numbers, doc, ROW_NUMBER() OVER (ORDER BY day DESC) AS r FROM gov_days WHERE at < ?) AS d ORDER BY day`, whole, before)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxUnzipped))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	var out []govern.Day
	var buf []byte
	for rows.Next() {
		var blob []byte
		if err := rows.Scan(&blob); err != nil {
			return nil, db.explain(err)
		}
		if buf, err = z.DecodeAll(blob, buf[:0]); err != nil {
			return nil, fmt.Errorf("stored day: decompress: %w", err)
		}
		var d govern.Day
		if err := json.Unmarshal(buf, &d); err != nil {
			return nil, fmt.Errorf("stored day: %w", err)
		}
		out = append(out, d)
	}
	return out, db.explain(rows.Err())
}

// maxClusterDays bounds the days read for one cluster's history.
const maxClusterDays = 90

// GovClusterDays returns what is kept of one cluster, oldest first: the last 90 days.
func (db *DB) GovClusterDays(ctx context.Context, id string) (at []int64, days []govern.DayRow, err error) {
	rows, err := db.read.QueryContext(ctx, "SELECT at, doc FROM (SELECT day, at, doc FROM gov_days ORDER BY day DESC LIMIT ?) AS d ORDER BY day", maxClusterDays)
	if err != nil {
		return nil, nil, db.explain(err)
	}
	defer rows.Close()
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxUnzipped))
	if err != nil {
		return nil, nil, err
	}
	defer z.Close()
	var buf []byte
	for rows.Next() {
		var when int64
		var blob []byte
		if err := rows.Scan(&when, &blob); err != nil {
			return nil, nil, db.explain(err)
		}
		if buf, err = z.DecodeAll(blob, buf[:0]); err != nil {
			return nil, nil, fmt.Errorf("stored day: decompress: %w", err)
		}
		row, ok, err := dayRowOf(buf, id)
		if err != nil {
			return nil, nil, fmt.Errorf("stored day: %w", err)
		}
		if ok {
			at, days = append(at, when), append(days, row)
		}
	}
	return at, days, db.explain(rows.Err())
}

// dayRowOf finds one cluster in a day as packDay wrote it, without decoding the others. A
// quote within a text is escaped, so what looks like a member is one.
func dayRowOf(doc []byte, id string) (govern.DayRow, bool, error) {
	var row govern.DayRow
	key, err := json.Marshal(id)
	if err != nil {
		return row, false, err
	}
	name := len(key)
	key = append(key, `:{"protected":"`...) // as a row begins, and no map of the day
	for from := 0; ; {
		i := bytes.Index(doc[from:], key)
		if i < 0 {
			return row, false, nil
		}
		i += from
		if c := doc[max(i-1, 0)]; c != '{' && c != ',' { // the end of a longer name
			from = i + 1
			continue
		}
		err = json.NewDecoder(bytes.NewReader(doc[i+name+1:])).Decode(&row)
		return row, err == nil, err
	}
}

// AddReview keeps a review. One of an id that is kept is left as it is.
func (db *DB) AddReview(ctx context.Context, r govern.Review) error {
	b, err := json.Marshal(&r)
	if err != nil {
		return fmt.Errorf("encode review %s: %w", r.ID, err)
	}
	return db.update(ctx, func(t *tx) error {
		if _, err := t.exec("INSERT INTO gov_reviews (id, at, doc) VALUES (?,?,?) ON CONFLICT (id) DO NOTHING", short(r.ID), r.At, string(b)); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM gov_reviews WHERE id IN (SELECT id FROM gov_reviews ORDER BY at DESC, id DESC LIMIT 9223372036854775807 OFFSET ?)", maxReviews); err != nil {
			return err
		}
		_, err := t.tell(ChangeGovernance, "")
		return err
	})
}

// Reviews returns what was reviewed, newest first.
func (db *DB) Reviews(ctx context.Context) ([]govern.Review, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT doc FROM gov_reviews ORDER BY at DESC, id DESC")
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	var out []govern.Review
	for rows.Next() {
		var doc string
		var r govern.Review
		if err := rows.Scan(&doc); err != nil {
			return nil, db.explain(err)
		}
		if err := json.Unmarshal([]byte(doc), &r); err != nil {
			return nil, fmt.Errorf("stored review: %w", err)
		}
		out = append(out, r)
	}
	return out, db.explain(rows.Err())
}
