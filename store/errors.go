package store

import (
	"errors"
	"fmt"
	"io/fs"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrRejected says that the database refuses these values for good: writing
	// them again fails again.
	ErrRejected = errors.New("values refused by the database")
	// ErrNotFound says there is no such row.
	ErrNotFound = errors.New("not found")
	// ErrFull says the disk, or the database's size limit, has no room. Nothing
	// of the batch was stored; the same write succeeds once there is room.
	ErrFull = errors.New("no room to store")
	// ErrCorrupt says the file is not a sound database.
	ErrCorrupt = errors.New("database is damaged")
	// ErrNewer says a later version of the program has written the file.
	ErrNewer = errors.New("database is of a newer version")
	// ErrLocked says another process has the database open.
	ErrLocked = errors.New("database is in use")
	// ErrGone says the database's file was removed or replaced under the program:
	// what would be written now would be found by nobody.
	ErrGone = errors.New("database file is gone")
	// ErrClosed says Close was called.
	ErrClosed = errors.New("store is closed")
	// ErrCursor says a cursor was not made by this store for this list.
	ErrCursor = errors.New("cursor is not valid here")
)

// explain wraps what the database driver says into one of our errors, with what
// to do about it.
func (db *DB) explain(err error) error {
	var e *sqlite.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		if db.file != nil {
			if gone := db.gone(); gone != nil {
				return fmt.Errorf("%w: %w", gone, err)
			}
		}
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_FULL:
			return fmt.Errorf("%w: the disk that holds %s is full: make room, storing then goes on by itself: %w", ErrFull, db.path, err)
		case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_RANGE:
			return fmt.Errorf("%w: %w", ErrRejected, err)
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			return fmt.Errorf("%w: %s: move the file away to start afresh, or put a backup in its place: %w", ErrCorrupt, db.path, err)
		case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
			return fmt.Errorf("%s cannot be opened for writing: check who owns it and its directory: %w", db.path, err)
		case sqlite3.SQLITE_IOERR:
			return fmt.Errorf("reading or writing %s failed: check the disk and the free room on it: %w", db.path, err)
		}
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s cannot be opened: run as its owner, or choose another state directory: %w", db.path, err)
	}
	return err
}
