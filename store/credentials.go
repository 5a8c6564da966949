package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Credential is a secret's hash and what it is for. The secret itself is never stored.
type Credential struct {
	Hash    []byte // SHA-256
	Kind    string // code, session, token, ci
	Label   string // whom it stands for
	Scopes  string // of a pipeline's: what it may do, words with a comma between
	Created int64
	Expires int64 // Unix nanoseconds; 0 = never
}

// maxCredentials bounds the credentials of one kind; the oldest go first.
const maxCredentials = 1000

// AddCredential stores c, replacing one with the same hash, and forgets what has expired.
func (db *DB) AddCredential(ctx context.Context, c Credential) error {
	err := db.update(ctx, func(t *tx) error {
		if _, err := t.exec("DELETE FROM credentials WHERE expires <> 0 AND expires <= ?", db.opt.Now()); err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM credentials WHERE kind = ? AND hash IN
			(SELECT hash FROM credentials WHERE kind = ? ORDER BY created DESC LIMIT 9223372036854775807 OFFSET ?)`, c.Kind, c.Kind, maxCredentials-1); err != nil {
			return err
		}
		_, err := t.exec(`INSERT INTO credentials (hash, kind, label, scopes, created, expires) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (hash) DO UPDATE SET kind = excluded.kind, label = excluded.label, scopes = excluded.scopes, created = excluded.created, expires = excluded.expires`,
			c.Hash, c.Kind, c.Label, c.Scopes, c.Created, c.Expires)
		return err
	})
	if err != nil {
		return fmt.Errorf("store %s: %w", c.Kind, err)
	}
	return nil
}

// Credential finds a live credential. The error wraps ErrNotFound when there is
// none of the kind or it has expired.
func (db *DB) Credential(ctx context.Context, kind string, hash []byte) (Credential, error) {
	c := Credential{Kind: kind}
	err := db.read.QueryRowContext(ctx, "SELECT hash, label, scopes, created, expires FROM credentials WHERE hash = ? AND kind = ?", hash, kind).
		Scan(&c.Hash, &c.Label, &c.Scopes, &c.Created, &c.Expires)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Credential{}, fmt.Errorf("%s: %w", kind, ErrNotFound)
	case err != nil:
		return Credential{}, db.explain(err)
	case c.Expires != 0 && c.Expires <= db.opt.Now():
		return Credential{}, fmt.Errorf("%s has expired: %w", kind, ErrNotFound)
	}
	return c, nil
}

// TakeCredential finds a live credential and removes it in the same step: of two
// callers only one gets it.
func (db *DB) TakeCredential(ctx context.Context, kind string, hash []byte) (Credential, error) {
	var c Credential
	err := db.update(ctx, func(t *tx) error {
		c = Credential{Kind: kind}
		err := t.row("SELECT hash, label, scopes, created, expires FROM credentials WHERE hash = ? AND kind = ?", []any{hash, kind}, &c.Hash, &c.Label, &c.Scopes, &c.Created, &c.Expires)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%s: %w", kind, ErrNotFound)
		}
		if err != nil {
			return err
		}
		_, err = t.exec("DELETE FROM credentials WHERE hash = ?", hash)
		return err
	})
	if err != nil {
		return Credential{}, err
	}
	if c.Expires != 0 && c.Expires <= db.opt.Now() {
		return Credential{}, fmt.Errorf("%s has expired: %w", kind, ErrNotFound)
	}
	return c, nil
}

// DropCredential removes a credential if it exists.
func (db *DB) DropCredential(ctx context.Context, hash []byte) error {
	return db.update(ctx, func(t *tx) error {
		_, err := t.exec("DELETE FROM credentials WHERE hash = ?", hash)
		return err
	})
}

// Credentials lists the live credentials of a kind, newest first: at most as many as
// are kept of one.
func (db *DB) Credentials(ctx context.Context, kind string) ([]Credential, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT hash, label, scopes, created, expires FROM credentials WHERE kind = ? AND (expires = 0 OR expires > ?) ORDER BY created DESC, hash LIMIT ?", kind, db.opt.Now(), maxCredentials)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	var out []Credential
	for rows.Next() {
		c := Credential{Kind: kind}
		if err := rows.Scan(&c.Hash, &c.Label, &c.Scopes, &c.Created, &c.Expires); err != nil {
			return nil, db.explain(err)
		}
		out = append(out, c)
	}
	return out, db.explain(rows.Err())
}
