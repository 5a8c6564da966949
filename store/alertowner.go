package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
)

// RoutedByCluster is an alert's OwnerFrom where nobody is named for its workload: it goes
// to whoever governance holds to answer for the cluster.
const RoutedByCluster = "cluster"

// rerouteStep bounds how many alerts one transaction gives another owner.
const rerouteStep = 500

// route says who an alert goes to, and from where that is known.
func (t *tx) route(s *finding.Subject) (owner, from string, err error) {
	if s.Cluster == "" || s.Owner != "" && s.Owner != inventory.Unowned {
		return s.Owner, "", nil
	}
	err = t.row("SELECT owner FROM gov_clusters WHERE here = ? ORDER BY n LIMIT 1", []any{clean(s.Cluster)}, &owner)
	switch {
	case errors.Is(err, sql.ErrNoRows), err == nil && (owner == "" || owner == inventory.Unowned):
		return s.Owner, "", nil
	case err != nil:
		return "", "", err
	}
	return owner, RoutedByCluster, nil
}

// reroute gives alerts that go to the owner of their cluster the one it has now.
func (db *DB) reroute(ctx context.Context) error {
	for {
		n := 0
		err := db.update(ctx, func(t *tx) error {
			type move struct{ id, owner string }
			var moves []move
			rows, err := t.rows(`SELECT a.id, g.owner FROM alerts a JOIN gov_clusters g ON g.n = (SELECT MIN(h.n) FROM gov_clusters h WHERE h.here = a.cluster)
				WHERE a.cluster <> '' AND (a.owner_from = ? OR a.owner IN ('', ?) AND g.owner NOT IN ('', ?)) AND a.owner <> g.owner ORDER BY a.id LIMIT ?`,
				RoutedByCluster, inventory.Unowned, inventory.Unowned, rerouteStep)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var m move
				if err := rows.Scan(&m.id, &m.owner); err != nil {
					return err
				}
				moves = append(moves, m)
			}
			if err := rows.Err(); err != nil {
				return err
			}
			for _, m := range moves {
				seq, err := t.tell(ChangeAlert, m.id)
				if err != nil {
					return err
				}
				if _, err := t.exec("UPDATE alerts SET owner = ?, owner_from = ?, change_seq = ? WHERE id = ?", m.owner, RoutedByCluster, int64(seq), m.id); err != nil {
					return err
				}
			}
			n = len(moves)
			return nil
		})
		if err != nil || n < rerouteStep {
			return err
		}
	}
}
