package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/dockreeve/dockreeve/scan"
)

// TriedImage is what was stored of an image and read back before it was taken away.
type TriedImage struct {
	Key     string
	Counts  scan.Counts
	Catalog *scan.Catalog
	// Vulnerabilities are the ids of what the image has, by id, at most maxTried.
	Vulnerabilities []string
}

const maxTried = 1000

// TryImage stores a scan as PutImage does, reads back what an image's page is made of,
// and takes all of it back within the same transaction: nobody else ever sees the image,
// its packages or its vulnerabilities, in no list and no count, and of a crash in between
// nothing is left.
func (db *DB) TryImage(ctx context.Context, s ImageScan) (TriedImage, error) {
	var out TriedImage
	if err := checkScan(&s); err != nil {
		return out, err
	}
	blob, err := packCatalog(s.Catalog)
	if err != nil {
		return out, err
	}
	db.images.Lock()
	defer db.images.Unlock()
	now := db.opt.Now()
	err = db.update(ctx, func(t *tx) error {
		return t.takenBack(func() error {
			var err error
			out, err = t.tryImage(&s, blob, now)
			return err
		})
	})
	if err != nil {
		return TriedImage{}, fmt.Errorf("try to store image %s: %w", s.Catalog.Image.Name, err)
	}
	return out, nil
}

func (t *tx) tryImage(s *ImageScan, blob []byte, now int64) (TriedImage, error) {
	var out TriedImage
	list := gather(s)
	for _, x := range list {
		err := t.row("SELECT n FROM packages WHERE ident = ?", []any{x.ident}, &x.n)
		if errors.Is(err, sql.ErrNoRows) {
			err = t.insertPackage(x, s.Matched, now)
		}
		if err != nil {
			return out, err
		}
	}
	var err error
	if out.Key, out.Counts, err = t.putImage(s, list, blob, now); err != nil {
		return out, err
	}
	n, err := t.findImage(out.Key)
	if err != nil {
		return out, err
	}
	if err := t.row("SELECT catalog FROM image_catalogs WHERE image = ?", []any{n}, &blob); err != nil {
		return out, err
	}
	if out.Catalog, err = unpackCatalog(blob); err != nil {
		return out, err
	}
	all, err := t.ids(n)
	if err != nil {
		return out, err
	}
	out.Vulnerabilities = idsOf(all[:min(len(all), maxTried)])
	return out, nil
}

// takenBack runs fn and undoes what it wrote, and what it told of changes.
func (t *tx) takenBack(fn func() error) error {
	if _, err := t.db.conn.ExecContext(t.ctx, "SAVEPOINT tried"); err != nil {
		return err
	}
	seq, floor, told := t.seq, t.floor, maps.Clone(t.told)
	if err := fn(); err != nil {
		return err // the whole transaction goes
	}
	t.seq, t.floor, t.told = seq, floor, told
	if _, err := t.db.conn.ExecContext(t.ctx, "ROLLBACK TO tried"); err != nil {
		return err
	}
	_, err := t.db.conn.ExecContext(t.ctx, "RELEASE tried")
	return err
}

// ImageCanary is how the test image of a hub fared last: one that must be found
// vulnerable, and not once it is mended. Times are Unix nanoseconds.
type ImageCanary struct {
	Sent  int64 `json:"sent,omitempty"`  // last
	Seen  int64 `json:"seen,omitempty"`  // last that was found as it must
	Done  int64 `json:"done,omitempty"`  // when what became of the last one was known, or why it could not be sent
	Every int64 `json:"every,omitempty"` // how often it is sent; 0 = never
	// What was found at Seen, and Built the date of the advisories it was found by.
	What  string `json:"what,omitempty"`
	Built int64  `json:"built,omitempty"`
	// Version of the advisories that the last one was made of.
	Version string `json:"version,omitempty"`
	// Failed is how many tries in a row did not come back as they must, and Why what the
	// last of them said.
	Failed      int    `json:"failed,omitempty"`
	Why         string `json:"why,omitempty"`
	Missed      string `json:"missed,omitempty"`      // why the last one did not come back; "" = it did, or is on its way
	NotAssessed string `json:"notAssessed,omitempty"` // why none could be sent
}

// ImageCanary returns how the test image fared last; the zero value when none was sent.
func (db *DB) ImageCanary(ctx context.Context) (ImageCanary, error) {
	var c ImageCanary
	var text string
	if err := db.read.QueryRowContext(ctx, "SELECT COALESCE((SELECT value FROM meta WHERE name = 'image_canary'), '')").Scan(&text); err != nil {
		return c, db.explain(err)
	}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			return ImageCanary{}, fmt.Errorf("stored state of the test image: %w", err)
		}
	}
	return c, nil
}

// SetImageCanary keeps it.
func (db *DB) SetImageCanary(ctx context.Context, c ImageCanary) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return db.update(ctx, func(t *tx) error {
		if _, err := t.exec("INSERT INTO meta (name, value) VALUES ('image_canary', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", clean(string(b))); err != nil {
			return err
		}
		_, err := t.tell(ChangeAdvisories, c.Version)
		return err
	})
}
