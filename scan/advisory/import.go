package advisory

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dockreeve/dockreeve/scan"
)

// Bounds of what is read of one file, compressed and not.
const (
	maxFeed  = 8 << 30
	maxFiles = 200_000
)

// Options of Import and Update. The zero value is of use.
type Options struct {
	Now          func() int64 // Unix nanoseconds; nil = the machine's clock
	AcceptShrink bool         // take feeds that lost more than half of their records
	Rebuild      bool         // start from nothing instead of from the database there is
	// Progress is called with a line about what is done now; nil = silence. Calls come
	// one at a time.
	Progress func(string)
}

func (o *Options) now() int64 {
	if o.Now != nil {
		return o.Now()
	}
	return time.Now().UnixNano()
}

func (o *Options) say(format string, args ...any) {
	if o.Progress != nil {
		o.Progress(fmt.Sprintf(format, args...))
	}
}

// Result is what Import or Update did.
type Result struct {
	Database scan.DatabaseInfo `json:"database"`
	Feeds    []FeedResult      `json:"feeds"` // those that were read, by name
}

// FeedResult is what became of one feed.
type FeedResult struct {
	Name      string   `json:"name"`
	Records   int      `json:"records"`
	Before    int      `json:"before"`              // records in the database that was there
	Read      int      `json:"read"`                // records taken from the feed this time
	Withdrawn int      `json:"withdrawn,omitempty"` // records that the feed took back
	Skipped   int      `json:"skipped,omitempty"`   // records that could not be used
	Why       []string `json:"why,omitempty"`       // the first few of those, with reasons
	Unchanged bool     `json:"unchanged,omitempty"` // the feed says it has nothing new
	Error     string   `json:"error,omitempty"`     // the feed could not be read; its earlier data stays
}

// Failed returns the feeds that could not be read.
func (r *Result) Failed() []FeedResult {
	return slices.DeleteFunc(slices.Clone(r.Feeds), func(f FeedResult) bool { return f.Error == "" })
}

// job is one update of the database: lock, old database, builder.
type job struct {
	path string
	opt  Options
	now  int64
	// built is the age that the new database gets; now, unless nothing could be read.
	built int64
	b     *builder
	lock  *os.File
	// config names the licences of feeds.
	config *Config
}

// begin opens what there is and takes the lock, so that one update runs at a time.
func begin(path string, opt Options) (*job, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("advisory database: %w", err)
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("advisory database: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("%s: another update of the database is running; wait for it to end", path)
	}
	j := &job{path: path, opt: opt, now: opt.now(), lock: lock}
	j.built = j.now
	var old *DB
	if !opt.Rebuild {
		old, _, err = OpenLast(path)
		if err == nil {
			err = old.Verify()
			if err != nil {
				_ = old.Close()
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, ErrMissing):
			old = nil
		default:
			_ = lock.Close()
			return nil, fmt.Errorf("%w; or start from nothing with --rebuild", err)
		}
	}
	j.b = newBuilder(dir, old)
	j.b.now = j.now
	return j, nil
}

func (j *job) end() {
	j.b.close()
	if j.b.old != nil {
		_ = j.b.old.Close()
	}
	_ = j.lock.Close()
}

// finish writes the new database and tells what became of each feed. Without a change
// of content only the dates of the feeds are written anew.
func (j *job) finish(results []FeedResult, changed bool) (*Result, error) {
	if j.config == nil {
		c, err := DefaultConfig()
		if err != nil {
			return nil, err
		}
		j.config = c
	}
	j.b.guard(j.opt.AcceptShrink)
	if c := j.b.changes[feedKEV]; c != nil && c.failed {
		j.b.kev = nil
	}
	if c := j.b.changes[feedEPSS]; c != nil && c.failed {
		j.b.scores = nil
	}
	before := map[string]int{}
	if j.b.old != nil {
		for _, s := range j.b.old.dir.Feeds {
			before[s.Name] = s.Records
		}
	}
	for name, c := range j.b.changes {
		c.state.Licence = j.config.licence(name)
		if c.failed {
			// Of the feed's state only the error is new.
			state := c.state
			c.state = feedState{FeedInfo: scan.FeedInfo{Name: name, Licence: state.Licence}}
			if j.b.old != nil {
				for _, s := range j.b.old.dir.Feeds {
					if s.Name == name {
						c.state = s
					}
				}
			}
			c.state.Error, c.state.URL = state.Error, state.URL
			continue
		}
		c.state.Error = ""
		if c.file == 0 {
			c.state.Fetched, c.state.Imported = j.now, false
		} else if c.mode != merging || c.state.Records == 0 || c.state.Imported {
			c.state.Fetched, c.state.Imported = j.now, true
			// What the publisher said of the data before does not hold of this one.
			c.state.URL, c.state.ETag, c.state.LastModified, c.state.Cursor = "", "", "", ""
		} // else records from files beside those that were fetched: those are as old as before
		if c.unchanged {
			continue
		}
		date := believable(c.date, j.now)
		if date == 0 {
			date = c.newest
			if c.mode == merging {
				date = max(date, c.state.Date)
			}
		}
		c.state.Undated = date == 0 && c.file != 0
		if c.state.Undated { // it is no younger than its file
			date = min(c.file, j.now)
		} else if date == 0 {
			date = j.now
		}
		c.state.Date = date
	}
	j.opt.say("writing %s", j.path)
	if err := j.b.write(j.path, j.built, changed); err != nil {
		return nil, err
	}
	db, err := Open(j.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	res := &Result{Database: db.Info(), Feeds: results}
	for _, s := range db.dir.Feeds {
		c := j.b.changes[s.Name]
		if c == nil {
			continue
		}
		r := FeedResult{Name: s.Name, Records: s.Records, Before: before[s.Name], Unchanged: c.unchanged, Error: s.Error}
		if !c.failed && !c.unchanged {
			r.Read, r.Withdrawn, r.Skipped, r.Why = c.records, s.Withdrawn, s.Skipped, s.Why
		}
		res.Feeds = append(res.Feeds, r)
	}
	slices.SortFunc(res.Feeds, func(a, b FeedResult) int { return strings.Compare(a.Name, b.Name) })
	return res, nil
}

// Import reads advisory files, whole directories of them, or a database file of another
// machine into the database at path. The format of each file is told by its content;
// it may be compressed with gzip, bzip2, xz, zstd or zip. Files that are no advisories
// give an error in the Result under their path, as do broken ones; the others are taken.
func Import(ctx context.Context, path string, files []string, opt Options) (*Result, error) {
	if len(files) == 0 {
		return nil, errors.New("nothing to import: name files or directories")
	}
	if len(files) == 1 && isDatabase(files[0]) {
		return importDatabase(path, files[0], opt)
	}
	j, err := begin(path, opt)
	if err != nil {
		return nil, err
	}
	defer j.end()
	var list []string
	for _, f := range files {
		err := filepath.WalkDir(f, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if len(list) >= maxFiles {
				return fmt.Errorf("more than %d files", maxFiles)
			}
			if d.Type().IsRegular() || p == f && !d.IsDir() {
				list = append(list, p)
			}
			return ctx.Err()
		})
		if err != nil {
			return nil, fmt.Errorf("import: %w", err)
		}
	}
	var results []FeedResult
	failed := 0
	for _, f := range list {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		j.opt.say("reading %s", f)
		bad, err := j.importFile(f)
		var wrong *badRecord
		if errors.As(err, &wrong) {
			results = append(results, FeedResult{Name: f, Skipped: 1, Why: []string{wrong.Error()}})
			failed++
		} else if err != nil {
			failed++
			results = append(results, FeedResult{Name: f, Error: err.Error()})
		} else if bad.Skipped > 0 {
			results = append(results, FeedResult{Name: f, Skipped: bad.Skipped, Why: bad.Why})
		}
	}
	if failed == len(list) && failed > 0 {
		why := results[0].Error
		if why == "" {
			why = strings.Join(results[0].Why, "; ")
		}
		return nil, fmt.Errorf("nothing could be imported: %s: %s", results[0].Name, why)
	}
	return j.finish(results, true)
}

func isDatabase(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	var head [len(magic)]byte
	_, err = io.ReadFull(f, head[:])
	return err == nil && string(head[:]) == magic
}

// importDatabase puts a copy of a database file in place.
func importDatabase(path, from string, opt Options) (*Result, error) {
	j, err := begin(path, Options{Now: opt.Now, Rebuild: true})
	if err != nil {
		return nil, err
	}
	defer j.end()
	in, err := Open(from)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	if err := in.Verify(); err != nil {
		return nil, err
	}
	opt.say("copying %s", from)
	f, err := os.CreateTemp(filepath.Dir(path), ".advisories-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if _, err := io.Copy(f, io.NewSectionReader(in.file, 0, 1<<62)); err != nil {
		_ = f.Close()
		return nil, err
	}
	if err := replace(f, path); err != nil {
		return nil, err
	}
	res := &Result{Database: in.Info()}
	for _, s := range in.dir.Feeds {
		res.Feeds = append(res.Feeds, FeedResult{Name: s.Name, Records: s.Records, Read: s.Records})
	}
	return res, nil
}

// Export writes a copy of the database at path to another file, for machines without
// a network.
func Export(path, to string) error {
	db, err := Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	f, err := os.CreateTemp(filepath.Dir(to), ".advisories-*")
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if _, err = io.Copy(f, io.NewSectionReader(db.file, 0, 1<<62)); err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(f.Name(), to)
	}
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// importFile reads one file of whatever format its content shows. What is returned
// beside the error are bad records that belong to no feed.
func (j *job) importFile(path string) (feedState, error) {
	f, err := os.Open(path)
	if err != nil {
		return feedState{}, err
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return feedState{}, err
	}
	if !st.Mode().IsRegular() {
		return feedState{}, errors.New("not a regular file")
	}
	j.b.file = max(st.ModTime().UnixNano(), 1)
	defer func() { j.b.file = 0 }()
	var head [8]byte
	n, _ := f.ReadAt(head[:], 0)
	if bytes.HasPrefix(head[:n], []byte("PK\x03\x04")) {
		z, err := zip.NewReader(f, st.Size())
		if err != nil {
			return feedState{}, fmt.Errorf("zip: %w", err)
		}
		return j.importZip(z)
	}
	return j.b.readDocument(filepath.Base(path), func() (io.ReadCloser, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		return decompress(f)
	})
}

// importZip reads a zip of OSV records, or of documents of other formats.
func (j *job) importZip(z *zip.Reader) (feedState, error) {
	if len(z.File) > maxRecords {
		return feedState{}, fmt.Errorf("zip of %d files, more than %d", len(z.File), maxRecords)
	}
	// The first document tells which.
	for _, f := range z.File {
		if f.FileInfo().IsDir() {
			continue
		}
		in, err := f.Open()
		if err != nil {
			return feedState{}, fmt.Errorf("zip: %s: %w", f.Name, err)
		}
		head := make([]byte, sniffed)
		n, _ := io.ReadFull(in, head)
		_ = in.Close()
		if kind := sniff(head[:n]); kind != formatOSV && kind != "" {
			break
		} else if kind == formatOSV {
			return j.b.readOSVZip(z, "")
		}
	}
	var bad change
	good := 0
	for _, f := range z.File {
		if f.FileInfo().IsDir() {
			continue
		}
		state, err := j.b.readDocument(f.Name, func() (io.ReadCloser, error) {
			in, err := f.Open()
			if err != nil {
				return nil, err
			}
			return decompress(in)
		})
		if err == nil {
			good++
		}
		bad.note(f.Name, state, err)
	}
	if good == 0 {
		return bad.state, fmt.Errorf("nothing in the zip could be read: %s", strings.Join(bad.state.Why, "; "))
	}
	return bad.state, nil
}

// note gathers what went wrong with one of many documents.
func (c *change) note(name string, state feedState, err error) {
	c.state.Skipped += state.Skipped
	c.state.Why = append(c.state.Why, state.Why...)
	c.state.Why = c.state.Why[:min(len(c.state.Why), maxWhy)]
	var wrong *badRecord
	if errors.As(err, &wrong) {
		c.skip(wrong.record, wrong.err)
	} else if err != nil {
		c.skip(name, err)
	}
}
