package store

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/test/need"
)

// big is a finding of about 64 KiB.
func big(n int) *finding.Finding {
	f := sample("r", "a", n, int64(n), finding.Low)
	f.Output = strings.Repeat("x", 64<<10)
	return f
}

// fill stores until the store says it is full, and returns how many it took.
func fill(t *testing.T, f *fixture) int {
	t.Helper()
	for n := range 1000 {
		_, err := f.Ingest(t.Context(), []Item{{Finding: big(n)}})
		if errors.Is(err, ErrFull) {
			if !strings.Contains(err.Error(), "make room") {
				t.Fatalf("the error names no remedy: %v", err)
			}
			return n
		}
		if err != nil {
			t.Fatalf("after %d: %v, want ErrFull", n, err)
		}
	}
	t.Fatal("it never got full")
	return 0
}

func check(t *testing.T, f *fixture, want int) {
	t.Helper()
	page, err := f.Alerts(t.Context(), AlertQuery{})
	if err != nil || len(page.Alerts) != 1 || page.Alerts[0].Count != int64(want) {
		t.Fatalf("%+v, %v: want a count of %d", page, err, want)
	}
}

func TestFullDatabaseStoresNothingOfTheBatchAndRecovers(t *testing.T) {
	f := open(t, Options{maxPages: 400, MaxFindings: 1000})
	n := fill(t, f)
	check(t, f, n)
	if _, err := f.conn.ExecContext(t.Context(), "PRAGMA max_page_count = 4000"); err != nil {
		t.Fatal(err)
	}
	f.put(t, big(n))
	check(t, f, n+1)
}

func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		need.Skip(t, need.Kernel, "mounting a small disk needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=3m"); err != nil {
		need.Skip(t, need.Kernel, "mounting a small disk: "+err.Error())
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f := open(t, Options{Path: filepath.Join(dir, "x.db"), MaxFindings: 1000})
	n := fill(t, f)
	check(t, f, n)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	f.put(t, big(n))
	check(t, f, n+1)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	g := open(t, Options{Path: filepath.Join(dir, "x.db"), MaxFindings: 1000})
	check(t, g, n+1)
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOneBadWriteDoesNotTakeTheOthersAlong(t *testing.T) {
	f := open(t, Options{})
	// Hold the writer so that both land in one batch.
	gate := make(chan struct{})
	started := make(chan struct{})
	go f.update(t.Context(), func(*tx) error {
		select {
		case <-started:
		default:
			close(started)
		}
		<-gate
		return nil
	})
	<-started
	results := make(chan error, 2)
	bad := errors.New("bad")
	go func() { results <- f.update(t.Context(), func(*tx) error { return bad }) }()
	go func() {
		_, err := f.Ingest(t.Context(), []Item{{Finding: sample("r", "a", 1, 1, finding.Low)}})
		results <- err
	}()
	for len(f.ops) < 2 { // the gate is shut, so both get queued
		runtime.Gosched()
	}
	close(gate)
	a, b := <-results, <-results
	if !(errors.Is(a, bad) && b == nil || errors.Is(b, bad) && a == nil) {
		t.Fatalf("%v, %v", a, b)
	}
	check(t, f, 1)
}

func TestDamagedFileIsRefusedWithARemedy(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, bytes.Repeat([]byte("this is no database\n"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	torn := filepath.Join(dir, "torn.db")
	f := open(t, Options{Path: torn, MaxFindings: 1000})
	for i := range 20 {
		f.put(t, big(i))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(torn)
	if err != nil {
		t.Fatal(err)
	}
	for i := 8192; i < len(b); i++ {
		b[i] = 0x5a
	}
	if err := os.WriteFile(torn, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{text, torn} {
		_, err := Open(t.Context(), Options{Path: path})
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "move the file away") {
			t.Errorf("%s: %v", filepath.Base(path), err)
		}
	}
	if _, err := Open(t.Context(), Options{Path: dir}); err == nil {
		t.Error("a directory was opened as a database")
	}
}

func TestNewerSchemaIsRefusedWithARemedy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	if err := open(t, Options{Path: path}).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Path: path}); !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "run the newer program") {
		t.Fatalf("%v", err)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	f := open(t, Options{Path: path})
	// Locks of two open files exclude each other as those of two processes do.
	if _, err := Open(t.Context(), Options{Path: path}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "stop that one first") {
		t.Fatalf("%v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, Options{Path: path}).Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFileIsForItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "x#?%.db")
	open(t, Options{Path: path}).put(t, sample("r", "a", 1, 1, finding.Low))
	for _, p := range []string{path, path + "-wal", filepath.Dir(path)} {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %o", p, info.Mode().Perm())
		}
	}
}

// SQLite goes on writing to a file that was unlinked. What is told to be stored must
// be where the next start will look for it.
func TestFileRemovedUnderneathIsNoPlaceToStore(t *testing.T) {
	for name, harm := range map[string]func(string) error{
		"removed": os.Remove,
		"replaced": func(path string) error {
			if err := os.Rename(path, path+".away"); err != nil {
				return err
			}
			return os.WriteFile(path, nil, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			db, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "x.db")})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			if _, err := db.Ingest(t.Context(), []Item{{Finding: big(1)}}); err != nil {
				t.Fatal(err)
			}
			if err := harm(db.path); err != nil {
				t.Fatal(err)
			}
			// As many readers at once as need a connection that does not exist yet.
			for range 2 * runtime.NumCPU() {
				conn, err := db.read.Conn(t.Context())
				if err != nil {
					break
				}
				defer conn.Close()
			}
			if _, err := os.Stat(db.path); name == "removed" && !errors.Is(err, os.ErrNotExist) {
				t.Fatalf("a reader made an empty file in its place: %v", err)
			}
			_, err = db.Ingest(t.Context(), []Item{{Finding: big(2)}})
			if !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), db.path) {
				t.Fatalf("%v, want ErrGone with the path", err)
			}
		})
	}
}
