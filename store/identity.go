package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Nameless is a container whose runtime does not tell the digest of its image.
type Nameless struct {
	Node, Container, Name, Workload, ImageName, Rootfs, Runtime string
	PID                                                         int64
}

// Identity is what a container was found to be made of.
type Identity struct {
	// Key is the digest of the image's manifest, or another name for what the container
	// started with, the same for every container that starts with the same.
	Key     string
	ImageID string // digest of the image's configuration; "" unknown
	Name    string // the image's, where the runtime tells none
}

// Fallback is the name of containers of which nothing can be found out any more: one
// for each workload and image name, so that many short ones are one image.
func (c *Nameless) Fallback() string {
	workload := c.Workload
	if workload == "container/"+c.Container[:min(len(c.Container), 12)] {
		workload = "" // a name of its own: it would set apart what is the same
	}
	h := sha256.Sum256([]byte(c.Node + "\x00" + c.ImageName + "\x00" + workload))
	return "unseen:" + hex.EncodeToString(h[:])
}

// identifyNameless asks what the containers are made of that have no digest, outside
// the writer, and gives what came in of them to the image found.
func (db *DB) identifyNameless(ctx context.Context, identify func(context.Context, Nameless) Identity) (more bool, err error) {
	list, err := db.nameless(ctx)
	if err != nil || len(list) == 0 {
		return false, err
	}
	found := make([]Identity, len(list))
	for i := range list {
		if found[i] = identify(ctx, list[i]); found[i].Key == "" {
			found[i].Key = list[i].Fallback()
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
	return len(list) == settleStep, db.update(ctx, func(t *tx) error {
		for i := range list {
			c, id := &list[i], &found[i]
			ref := containerID + c.Container
			key := clip(clean(id.Key))
			n, err := t.exec(`UPDATE running SET ref = ?, image_id = CASE WHEN image_id = '' THEN ? ELSE image_id END, image_name = CASE WHEN image_name = '' THEN ? ELSE image_name END
				WHERE node = ? AND container = ? AND ref = ? AND dirty = 1`, key, clip(clean(id.ImageID)), clip(clean(id.Name)), c.Node, c.Container, ref)
			if err != nil {
				return err
			}
			if n == 0 {
				continue // it is named now, or forgotten
			}
			if err := t.moveLoads(ref, key); err != nil {
				return err
			}
			if _, err := t.exec("DELETE FROM image_keys WHERE key = ?", ref); err != nil {
				return err
			}
		}
		return nil
	})
}

func (db *DB) nameless(ctx context.Context) ([]Nameless, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT node, container, name, workload, image_name, rootfs, runtime, pid FROM running WHERE dirty = 1 AND ref LIKE 'container:%' ORDER BY node, container LIMIT ?", settleStep)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	var list []Nameless
	for rows.Next() {
		var c Nameless
		if err := rows.Scan(&c.Node, &c.Container, &c.Name, &c.Workload, &c.ImageName, &c.Rootfs, &c.Runtime, &c.PID); err != nil {
			return nil, db.explain(err)
		}
		list = append(list, c)
	}
	return list, db.explain(rows.Err())
}

// moveLoads gives what was loaded, and when that was watched, to another name.
func (t *tx) moveLoads(from, to string) error {
	if from == to {
		return nil
	}
	if _, err := t.exec(`INSERT INTO loads (ref, path, first, last, dirty) SELECT ?, path, first, last, 1 FROM loads WHERE ref = ?
		ON CONFLICT (ref, path) DO UPDATE SET first = CASE WHEN excluded.first < loads.first THEN excluded.first ELSE loads.first END,
		last = CASE WHEN excluded.last > loads.last THEN excluded.last ELSE loads.last END, dirty = 1`, to, from); err != nil {
		return err
	}
	if _, err := t.exec(`INSERT INTO load_watches (ref, node, container, since, until, started) SELECT ?, node, container, since, until, started FROM load_watches WHERE ref = ?
		ON CONFLICT (ref, node, container, since) DO UPDATE SET until = CASE WHEN excluded.until > load_watches.until THEN excluded.until ELSE load_watches.until END`, to, from); err != nil {
		return err
	}
	return t.forgetLoads(from)
}

func (t *tx) forgetLoads(ref string) error {
	for _, q := range []string{"DELETE FROM loads WHERE ref = ?", "DELETE FROM load_watches WHERE ref = ?"} {
		if _, err := t.exec(q, ref); err != nil {
			return err
		}
	}
	return nil
}

// maxSameContent bounds the names kept of one image that is known by its content.
const maxSameContent = 100

// SameContent tells what an image that has no digest holds, by a name for that content.
// Where an image of that content is known, what runs of image n becomes its, and n goes:
// merged says so. The error wraps ErrNotFound when there is no image n any more.
func (db *DB) SameContent(ctx context.Context, n int64, content string) (merged bool, err error) {
	db.images.Lock()
	defer db.images.Unlock()
	err = db.update(ctx, func(t *tx) error {
		merged = false
		var old, key string
		err := t.row("SELECT key FROM images WHERE n = ?", []any{n}, &old)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("image %d: %w", n, ErrNotFound)
		}
		if err != nil {
			return err
		}
		m, err := t.findImage(content)
		if err != nil || m == n {
			return err
		}
		if m == 0 {
			_, err := t.exec("INSERT INTO image_keys (key, image) VALUES (?, ?) ON CONFLICT DO NOTHING", content, n)
			return err
		}
		if err := t.row("SELECT key FROM images WHERE n = ?", []any{m}, &key); err != nil {
			return err
		}
		if err := t.moveLoads(old, key); err != nil {
			return err
		}
		if _, err := t.exec("UPDATE running SET ref = ?, dirty = 1 WHERE image = ?", key, n); err != nil {
			return err
		}
		if err := t.dropImage(n); err != nil {
			return err
		}
		var aliases int
		if err := t.row("SELECT COUNT(*) FROM image_keys WHERE image = ?", []any{m}, &aliases); err != nil {
			return err
		}
		if aliases < maxSameContent {
			if _, err := t.exec("INSERT INTO image_keys (key, image) VALUES (?, ?) ON CONFLICT DO NOTHING", old, m); err != nil {
				return err
			}
		}
		merged = true
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("join images of one content: %w", err)
	}
	return merged, nil
}

// isDigest tells digests from the other names of what runs.
func isDigest(ref string) bool { return strings.HasPrefix(ref, "sha256:") }
