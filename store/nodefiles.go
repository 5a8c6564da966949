package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/dockreeve/dockreeve/inventory"
)

// maxNodeFiles bounds the nodes whose word on their files is kept; the oldest go first.
const maxNodeFiles = 100_000

// NodeFiles is what a node says of its files.
type NodeFiles struct {
	Cluster string
	Kubelet inventory.Kubelet // Node, At, Files and Why of files
}

// nodeFiles keeps the newest word of a node.
func (t *tx) nodeFiles(f *NodeFiles, now int64) error {
	k := f.Kubelet
	k.At = min(k.At, now) // a clock ahead of ours must not shut out what comes once it is right
	doc, err := json.Marshal(&k)
	if err != nil {
		return fmt.Errorf("encode the files of node %s: %w", k.Node, err)
	}
	_, err = t.exec(`INSERT INTO node_files (cluster, node, at, doc) VALUES (?,?,?,?)
		ON CONFLICT (cluster, node) DO UPDATE SET at = excluded.at, doc = excluded.doc WHERE excluded.at >= node_files.at`, short(f.Cluster), short(k.Node), k.At, doc)
	return err
}

// NodeFiles returns what the nodes of a cluster said of their files themselves, by name.
func (db *DB) NodeFiles(ctx context.Context, cluster string) (map[string]inventory.Kubelet, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT node, doc FROM node_files WHERE cluster = ?", short(cluster))
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	out := map[string]inventory.Kubelet{}
	for rows.Next() {
		var node string
		var doc []byte
		if err := rows.Scan(&node, &doc); err != nil {
			return nil, db.explain(err)
		}
		var k inventory.Kubelet
		if err := json.Unmarshal(doc, &k); err != nil {
			return nil, fmt.Errorf("stored files of node %s: %w", node, err)
		}
		out[node] = k
	}
	return out, db.explain(rows.Err())
}

// pruneNodeFiles drops what nodes said that fell silent, and what is over the bound.
func (t *tx) pruneNodeFiles(now int64, keep time.Duration) error {
	if _, err := t.exec("DELETE FROM node_files WHERE at < ?", now-int64(keep)); err != nil {
		return err
	}
	_, err := t.exec("DELETE FROM node_files WHERE at <= (SELECT at FROM node_files ORDER BY at DESC LIMIT 1 OFFSET ?)", maxNodeFiles)
	return err
}
