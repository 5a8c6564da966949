package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/base"
)

// maxBases bounds the images that are looked at to name a base.
const maxBases = 2000

// chains names each run of an image's lowest layers: chain i is of layers 0 to i. It
// ends where a layer has no diffID.
func chains(layers []scan.Layer) []string {
	h := sha256.New()
	var out []string
	for _, l := range layers {
		if l.DiffID == "" {
			break
		}
		h.Write([]byte(l.DiffID + "\n"))
		out = append(out, hex.EncodeToString(h.Sum(nil)[:16]))
	}
	return out
}

// putChain remembers an image's layers, so that images built on it find their base.
func (t *tx) putChain(n int64, c *scan.Catalog) error {
	all := chains(c.Image.Layers)
	if len(all) == 0 || len(all) < len(c.Image.Layers) {
		return nil
	}
	ids := make([]string, len(all))
	for i, l := range c.Image.Layers {
		ids[i] = l.DiffID
	}
	b, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	name := c.Image.Name
	if len(c.Image.Tags) > 0 {
		name = c.Image.Tags[0]
	}
	name = clean(name)
	_, err = t.exec(`INSERT INTO image_chains (image, chain, name, repository, diff_ids) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (image) DO UPDATE SET chain = excluded.chain, name = excluded.name, repository = excluded.repository, diff_ids = excluded.diff_ids`,
		n, all[len(all)-1], name, base.Repository(name), string(b))
	return err
}

// Bases are the images seen whose layers are the lowest ones of img, and the others of
// their repositories: what base.Find needs to name the base and a newer one.
func (db *DB) Bases(ctx context.Context, img *scan.Image) ([]base.Known, error) {
	var out []base.Known
	repositories := map[string]bool{}
	for _, chain := range chains(img.Layers) {
		known, err := db.bases(ctx, "c.chain = ?", chain)
		if err != nil {
			return nil, err
		}
		for _, k := range known {
			repositories[base.Repository(k.Name)] = true
		}
		out = append(out, known...)
	}
	for r := range repositories {
		known, err := db.bases(ctx, "c.repository = ?", r)
		if err != nil {
			return nil, err
		}
		out = append(out, known...)
		if len(out) > maxBases {
			break
		}
	}
	return out, nil
}

func (db *DB) bases(ctx context.Context, where string, arg any) ([]base.Known, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT i.key, i.created, c.name, c.diff_ids FROM image_chains c JOIN images i ON i.n = c.image WHERE `+where+` ORDER BY i.created DESC, i.n LIMIT 500`, arg)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	var out []base.Known
	for rows.Next() {
		var k base.Known
		var ids string
		if err := rows.Scan(&k.Digest, &k.Created, &k.Name, &ids); err != nil {
			return nil, db.explain(err)
		}
		if err := json.NewDecoder(strings.NewReader(ids)).Decode(&k.DiffIDs); err != nil {
			return nil, db.explain(err)
		}
		out = append(out, k)
	}
	return out, db.explain(rows.Err())
}
