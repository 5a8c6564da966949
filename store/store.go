// Package store owns all server-state SQL: one concrete DB over SQLite, shaped so
// that PostgreSQL follows with a second DDL file and the same queries.
//
// It promises: one writer, whose transactions are on disk (WAL, synchronous=FULL)
// before a call returns; a finding is counted once however often it arrives;
// every table is bounded; a full disk, a damaged file, a file of a newer version
// and a second process give a clear error and lose nothing. Readers never wait
// for the writer. It decides nothing about findings (triage does) and serves no
// network.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options say how to open a DB. The zero value of everything but Path works.
type Options struct {
	Path string // of the database file; its directory is made if need be, mode 0700

	Now func() int64 // wall clock, Unix nanoseconds; nil means the machine's

	// Bounds; 0 means the default. What they push out is counted as a loss
	// under hop store.alerts or is history that the alert's count still holds.
	MaxAlerts      int           // 100,000 alerts; closed ones go first
	MaxOccurrences int           // 1,000 occurrences kept per alert
	MaxFindings    int           // 50 whole findings kept per alert, the newest
	MaxChanges     int           // 10,000 changes told to watchers before they must refetch
	MaxImages      int           // 20,000 images; those that run nowhere go first, seen longest ago, counted under hop store.images
	MaxClocks      int           // 500,000 remediation clocks; stopped ones go first
	MaxContainers  int           // 50,000 containers, running or gone
	MaxDocuments   int           // 500,000 documents of inventory; further ones are counted under hop store.inventory
	MaxHabits      int           // 500,000 things that identities did; those longest ago go first, counted likewise
	MaxAudit       int           // 1,000,000 audit events; the oldest go first, counted under hop store.audit
	MaxAuditBytes  int64         // 2 GiB of them as stored; likewise
	Keep           time.Duration // 30 days of occurrences, watched stretches, status history and audit events

	noSync   bool // tests: many small databases, of which none must survive a power cut
	maxPages int  // tests: the size at which SQLite says the disk is full

	tellEvery time.Duration // tests: what tellSoon calls a second
}

// DB is the server's state. Safe for concurrent use.
type DB struct {
	opt   Options
	path  string
	lock  *os.File
	file  os.FileInfo // the database as it was opened
	write *sql.DB     // holds conn and nothing else
	conn  *sql.Conn   // used by the writer goroutine only
	read  *sql.DB

	ops     chan *op
	closing chan struct{}
	stopped chan struct{}
	close   sync.Once
	stmts   map[string]*sql.Stmt // writer only; one per statement in this package

	// images is held by whoever changes what advisories say of packages and images: such
	// a change is several short transactions, so that findings never wait for it.
	images    sync.Mutex
	run       int64     // the last change of advisories; under images
	rematched Rematched // in all since the start; under images

	// Both take several transactions.
	gov        sync.Mutex // held by whoever replaces the evaluation
	delivering sync.Mutex // held by whoever takes charges in

	soon soon          // changes held back for a second
	zip  *zstd.Encoder // of audit events; safe for concurrent use

	seq     atomic.Uint64 // last committed change
	floor   atomic.Uint64 // changes up to here are no longer kept
	changed struct {
		sync.Mutex
		c chan struct{}
	}
}

// Open opens or makes the database, brings its schema up to date and starts the
// writer. Errors wrap ErrLocked, ErrNewer, ErrCorrupt or ErrFull where they apply.
func Open(ctx context.Context, opt Options) (*DB, error) {
	if opt.Path == "" {
		return nil, errors.New("store: no path given")
	}
	setDefault(&opt.MaxAlerts, 100_000)
	setDefault(&opt.MaxOccurrences, 1000)
	setDefault(&opt.MaxFindings, 50)
	setDefault(&opt.MaxChanges, 10_000)
	setDefault(&opt.MaxImages, 20_000)
	setDefault(&opt.MaxClocks, 500_000)
	setDefault(&opt.MaxContainers, 50_000)
	setDefault(&opt.MaxDocuments, maxDocuments)
	setDefault(&opt.MaxHabits, 500_000)
	setDefault(&opt.MaxAudit, 1_000_000)
	setDefault(&opt.MaxAuditBytes, 2<<30)
	setDefault(&opt.Keep, 30*24*time.Hour)
	setDefault(&opt.tellEvery, time.Second)
	if opt.Now == nil {
		opt.Now = func() int64 { return time.Now().UnixNano() }
	}
	db := &DB{opt: opt, path: opt.Path, ops: make(chan *op, maxBatch), closing: make(chan struct{}), stopped: make(chan struct{}), stmts: map[string]*sql.Stmt{}}
	db.changed.c = make(chan struct{})
	db.soon.last, db.soon.waiting = map[change]int64{}, map[change]bool{}
	var err error
	if db.zip, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1)); err != nil {
		return nil, fmt.Errorf("store: open %s: %w", opt.Path, err)
	}
	if err := db.open(ctx); err != nil {
		db.closeFiles()
		return nil, fmt.Errorf("store: open %s: %w", opt.Path, db.explain(err))
	}
	go db.writer()
	return db, nil
}

func setDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

func (db *DB) open(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(db.path), 0o700); err != nil {
		return fmt.Errorf("make its directory: %w", err)
	}
	if err := db.takeLock(); err != nil {
		return err
	}
	// The file holds what containers did: for its owner's eyes only.
	f, err := os.OpenFile(db.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	f.Close()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("it is not a regular file: choose another path")
	}
	db.file = info
	if db.write, err = sql.Open("sqlite", db.dsn(false)); err != nil {
		return err
	}
	db.write.SetMaxOpenConns(1)
	if db.read, err = sql.Open("sqlite", db.dsn(true)); err != nil {
		return err
	}
	db.read.SetMaxOpenConns(max(4, runtime.NumCPU()))
	if info.Size() > 0 && info.Size() < 64<<20 { // a bigger one would delay the start; damage then shows when it is read
		var verdict string
		if err := db.write.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
			return err
		}
		if verdict != "ok" {
			return fmt.Errorf("%w: %s: move the file away to start afresh, or put a backup in its place", ErrCorrupt, verdict)
		}
	}
	if err := db.migrate(ctx); err != nil {
		return err
	}
	if db.conn, err = db.write.Conn(ctx); err != nil {
		return err
	}
	var seq, floor int64
	if err := db.conn.QueryRowContext(ctx, "SELECT COALESCE(MAX(seq),0), COALESCE(MIN(seq),1)-1 FROM changes").Scan(&seq, &floor); err != nil {
		return err
	}
	if err := db.conn.QueryRowContext(ctx, "SELECT MAX(COALESCE((SELECT MAX(run) FROM advisory_changes),0), COALESCE((SELECT MAX(folded) FROM images),0))").Scan(&db.run); err != nil {
		return err
	}
	db.seq.Store(uint64(seq))
	db.floor.Store(uint64(floor))
	return nil
}

// dsn builds the address the driver wants. synchronous=FULL with WAL means a
// commit is on disk when it returns; IMMEDIATE makes the writer take its lock at once.
func (db *DB) dsn(readOnly bool) string {
	q := url.Values{}
	q.Set("mode", "rw") // never make a file: one that is gone must not come back empty
	pragma := func(s string) { q.Add("_pragma", s) }
	pragma("busy_timeout(5000)")
	if readOnly {
		pragma("query_only(1)")
	} else {
		pragma("journal_mode(WAL)")
		if db.opt.noSync {
			pragma("synchronous(OFF)")
		} else {
			pragma("synchronous(FULL)")
		}
		pragma("journal_size_limit(67108864)")
		q.Set("_txlock", "immediate")
		if db.opt.maxPages > 0 {
			pragma(fmt.Sprintf("max_page_count(%d)", db.opt.maxPages))
		}
	}
	path, err := filepath.Abs(db.path)
	if err != nil {
		path = db.path
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// takeLock keeps a second process out: two writers would each believe the
// change sequence is theirs.
func (db *DB) takeLock() error {
	f, err := os.OpenFile(db.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := make([]byte, 32)
		n, _ := f.ReadAt(holder, 0) // only to name the holder
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("%w by process %s: stop that one first, or choose another state directory", ErrLocked, strings.TrimSpace(string(holder[:n])))
		}
		return fmt.Errorf("lock it: %w", err)
	}
	db.lock = f
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

// gone says that the path no longer names the file that is open. SQLite would go on
// writing to what nobody will find again.
func (db *DB) gone() error {
	if info, err := os.Stat(db.path); err == nil && os.SameFile(info, db.file) {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w: %s was removed or replaced while it was in use: restart, and put it back first if there is a copy", ErrGone, db.path)
}

func (db *DB) migrate(ctx context.Context) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db.write, dir, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read its schema version: %w", err)
	}
	if have > want {
		return fmt.Errorf("%w: its schema is version %d, this program knows up to %d: run the newer program, or choose another state directory", ErrNewer, have, want)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("bring its schema from version %d to %d: %w", have, want, err)
	}
	return nil
}

// Close lets the writer finish what it has begun, refuses the rest with
// ErrClosed and closes the files.
func (db *DB) Close() error {
	db.close.Do(func() { close(db.closing) })
	<-db.stopped
	return db.closeFiles()
}

func (db *DB) closeFiles() error {
	var errs []error
	for _, s := range db.stmts {
		errs = append(errs, s.Close())
	}
	clear(db.stmts)
	if db.read != nil {
		errs = append(errs, db.read.Close())
	}
	if db.conn != nil {
		errs = append(errs, db.conn.Close())
		db.conn = nil
	}
	if db.write != nil {
		errs = append(errs, db.write.Close())
	}
	if db.lock != nil {
		errs = append(errs, db.lock.Close())
		db.lock = nil
	}
	return errors.Join(errs...)
}
