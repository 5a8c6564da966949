package advisory

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// UpdateOptions of Update. The zero value reads the built-in feeds from their
// publishers.
type UpdateOptions struct {
	Options
	Config *Config      // nil = the built-in one
	Mirror string       // base address that stands for every publisher; "" = none
	Feeds  []string     // only these, and those below them (osv = every osv/…); empty = all that are not off
	Client *http.Client // nil = the system's proxy settings and no more
	// Wait sleeps between tries; nil = real time.
	Wait func(ctx context.Context, d time.Duration) error
}

const (
	maxDelta   = 3000  // changed OSV records fetched one by one; beyond it the whole zip is smaller
	maxVEXDiff = 20000 // changed documents fetched one by one before the archive is
	parallel   = 6     // requests at a time for single records
)

// Update asks every feed for what is new and writes a new database. A feed that cannot
// be read keeps its last good data and says so in the Result and in the database. The
// error is of trouble with the database itself, or of not a single feed being readable.
func Update(ctx context.Context, path string, opt UpdateOptions) (*Result, error) {
	if opt.Config == nil {
		c, err := DefaultConfig()
		if err != nil {
			return nil, err
		}
		opt.Config = c
	}
	feeds, err := opt.choose()
	if err != nil {
		return nil, err
	}
	if _, err := mirrored(opt.Mirror, feeds[0].URL); err != nil {
		return nil, err
	}
	j, err := begin(path, opt.Options)
	if err != nil {
		return nil, err
	}
	defer j.end()
	j.config = opt.Config
	spool := path + ".download"
	if err := os.MkdirAll(spool, 0o755); err != nil {
		return nil, fmt.Errorf("advisory database: %w", err)
	}
	defer func() { _ = os.Remove(spool) }() // when it is empty
	u := &updater{j: j, get: &fetcher{client: opt.Client, dir: spool, now: opt.now, wait: opt.Wait, say: j.opt.say}}
	if u.get.client == nil {
		u.get.client = newClient()
	}
	if u.get.wait == nil {
		u.get.wait = sleep
	}
	failed, changed := 0, 0
	for _, feed := range feeds {
		err := u.feed(ctx, feed, opt.Mirror)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		c := j.b.feed(feed.Name)
		c.state.URL = feed.URL
		switch {
		case errors.Is(err, errUnchanged):
			c.unchanged = true
		case err != nil:
			failed++
			c.fail(err)
		default:
			changed++
		}
	}
	if failed == len(feeds) && j.b.old == nil {
		return nil, fmt.Errorf("no feed could be read; the first: %s: %s", feeds[0].Name, j.b.feed(feeds[0].Name).state.Error)
	}
	if failed == len(feeds) {
		j.built = j.b.old.dir.Built // an update that brought nothing makes nothing younger
	}
	res, err := j.finish(nil, changed > 0)
	if err == nil && failed == len(feeds) {
		err = fmt.Errorf("no feed could be read; the last good data stays; the first: %s: %s", feeds[0].Name, j.b.feed(feeds[0].Name).state.Error)
	}
	return res, err
}

// choose picks the feeds to read.
func (o *UpdateOptions) choose() ([]Feed, error) {
	var list []Feed
	found := map[string]bool{}
	for _, f := range o.Config.Feeds {
		take := len(o.Feeds) == 0 && !f.Off
		for _, name := range o.Feeds {
			if f.Name == name || strings.HasPrefix(f.Name, name+"/") && !f.Off {
				take, found[name] = true, true
			}
		}
		if take {
			list = append(list, f)
		}
	}
	for _, name := range o.Feeds {
		if !found[name] {
			var names []string
			for _, f := range o.Config.Feeds {
				names = append(names, f.Name)
			}
			return nil, fmt.Errorf("there is no feed %q; the feeds are %s", clip(name, 80), strings.Join(names, ", "))
		}
	}
	if len(list) == 0 {
		return nil, errors.New("no feed is switched on")
	}
	return list, nil
}

type updater struct {
	j   *job
	get *fetcher
}

func (u *updater) feed(ctx context.Context, f Feed, mirror string) error {
	address, err := mirrored(mirror, f.URL)
	if err != nil {
		return err
	}
	u.j.opt.say("%s", f.Name)
	c := u.j.b.feed(f.Name)
	if c.state.URL != "" && c.state.URL != f.URL {
		// Another address: what is known of the old one does not hold.
		c.state.ETag, c.state.LastModified, c.state.Cursor = "", "", ""
	}
	switch f.Kind {
	case "osv":
		return u.osv(ctx, c, f, address)
	case "redhat-vex":
		return u.vex(ctx, c, address)
	}
	return u.document(ctx, c, f, address)
}

// document reads a feed that is one file.
func (u *updater) document(ctx context.Context, c *change, f Feed, address string) error {
	var have validators
	if c.state.Records > 0 {
		have = validators{c.state.ETag, c.state.LastModified}
	}
	d, err := u.get.get(ctx, address, have)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	u.j.b.only = f.Name
	defer func() { u.j.b.only = "" }()
	_, err = u.j.b.readDocument(f.Name, func() (io.ReadCloser, error) {
		if _, err := d.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		return decompress(io.NopCloser(d.File))
	})
	if err != nil {
		return err
	}
	c.state.ETag, c.state.LastModified = d.ETag, d.LastModified
	return nil
}

// osv reads one ecosystem: the records changed since the last time where that is known,
// else the whole zip.
func (u *updater) osv(ctx context.Context, c *change, f Feed, address string) error {
	ecosystem := strings.TrimPrefix(f.Name, prefixOSV)
	old := c.state
	incremental := old.Records > 0 && old.Cursor != ""
	var have validators
	if incremental {
		have = validators{old.ETag, old.LastModified}
	}
	index, err := u.get.get(ctx, address+"/modified_id.csv", have)
	switch {
	case errors.Is(err, errNotThere):
		// A mirror that keeps only the zip.
		if old.Cursor == "" && old.Records > 0 {
			have = validators{old.ETag, old.LastModified}
		}
		return u.osvZip(ctx, c, ecosystem, address, have)
	case err != nil:
		return err
	}
	defer func() { _ = index.Close() }()
	ids, newest, err := readModified(index.File, old.Cursor)
	if err != nil {
		return fmt.Errorf("modified_id.csv: %w", err)
	}
	if incremental && len(ids) <= maxDelta {
		if err := u.osvRecords(ctx, c, ecosystem, address, ids); err != nil {
			return err
		}
	} else if err := u.osvZip(ctx, c, ecosystem, address, validators{}); err != nil {
		return err
	}
	// The cursor is of the list, which was read before the records: what changed in
	// between comes again the next time.
	c.state.Cursor, c.state.ETag, c.state.LastModified = newest, index.ETag, index.LastModified
	if incremental && len(ids) == 0 {
		return errUnchanged
	}
	return nil
}

// readModified reads lines of time and id, newest first, down to the cursor. A cursor
// that is empty reads only the newest time. Times are compared as times, because their
// fractions differ in length.
func readModified(in io.Reader, cursor string) (ids []string, newest string, err error) {
	r, err := decompress(io.NopCloser(in))
	if err != nil {
		return nil, "", err
	}
	s := bufio.NewScanner(r)
	s.Buffer(nil, 4096)
	since, _ := time.Parse(time.RFC3339Nano, cursor)
	seen := map[string]bool{}
	for n := 1; s.Scan(); n++ {
		when, id, ok := strings.Cut(strings.TrimSpace(s.Text()), ",")
		t, e := time.Parse(time.RFC3339Nano, when)
		if !ok || e != nil {
			return nil, "", fmt.Errorf("line %d: %q is no time and id", n, clip(s.Text(), 80))
		}
		if n == 1 {
			newest = when
		}
		if cursor == "" || !t.After(since) || len(ids) > maxDelta {
			break
		}
		id = path.Base(id) // the list of all ecosystems has Go/GO-2024-1
		if !isRecordName(id) {
			return nil, "", fmt.Errorf("line %d: %q is no id", n, clip(id, 80))
		}
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	if err := s.Err(); err != nil {
		return nil, "", err
	}
	if newest == "" {
		return nil, "", errors.New("it is empty")
	}
	return ids, newest, nil
}

var recordName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:._+-]*$`)

// isRecordName holds ids to what may stand in an address.
func isRecordName(id string) bool { return len(id) <= maxID && recordName.MatchString(id) }

// osvZip reads the whole of an ecosystem.
func (u *updater) osvZip(ctx context.Context, c *change, ecosystem, address string, have validators) error {
	d, err := u.get.get(ctx, address+"/all.zip", have)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	st, err := d.Stat()
	if err != nil {
		return err
	}
	z, err := zip.NewReader(d.File, st.Size())
	if err != nil {
		return fmt.Errorf("all.zip: %w", err)
	}
	if len(z.File) > maxRecords {
		return fmt.Errorf("all.zip: %d files, more than %d", len(z.File), maxRecords)
	}
	c.mode = replacing
	if _, err := u.j.b.readOSVZip(z, ecosystem); err != nil {
		return fmt.Errorf("all.zip: %w", err)
	}
	c.state.ETag, c.state.LastModified, c.state.Cursor = d.ETag, d.LastModified, ""
	return nil
}

// osvRecords reads single records. One that is not there any more was taken back.
func (u *updater) osvRecords(ctx context.Context, c *change, ecosystem, address string, ids []string) error {
	var mu sync.Mutex
	return u.each(ctx, ids, func(ctx context.Context, id string) error {
		raw, err := u.small(ctx, address+"/"+strings.ReplaceAll(id, ":", "%3A")+".json", maxRecord)
		mu.Lock()
		defer mu.Unlock()
		if errors.Is(err, errNotThere) {
			c.withdraw(id)
			return nil
		} else if err != nil {
			return err
		}
		err = u.j.b.addOSV(id, raw, ecosystem)
		var wrong *badRecord
		if errors.As(err, &wrong) {
			c.skip(wrong.record, wrong.err)
			return nil
		}
		return err
	})
}

func (u *updater) each(ctx context.Context, list []string, f func(ctx context.Context, s string) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, s := range list {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error { return f(ctx, s) })
	}
	return g.Wait()
}

// small downloads a file into memory.
func (u *updater) small(ctx context.Context, address string, limit int64) ([]byte, error) {
	d, err := u.get.get(ctx, address, validators{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	r, err := decompress(io.NopCloser(d.File))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("more than %d bytes: %w", limit, errTooLarge)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	return raw, nil
}

var (
	archiveName = regexp.MustCompile(`^csaf_vex_(\d{4}-\d\d-\d\d)\.tar\.(zst|gz|xz|bz2)$`)
	vexName     = regexp.MustCompile(`^\d{4}/(cve-\d{4}-\d{4,})\.json$`)
)

// vex reads Red Hat's VEX documents: an archive to begin with, then those that
// changes.csv and deletions.csv name.
func (u *updater) vex(ctx context.Context, c *change, address string) error {
	changes, err := u.vexList(ctx, address, "changes.csv")
	if err != nil {
		return err
	}
	deletions, err := u.vexList(ctx, address, "deletions.csv")
	if err != nil && !errors.Is(err, errNotThere) {
		return err
	}
	old := c.state.Cursor
	whole := c.state.Records == 0 || old == ""
	since, _ := time.Parse(time.RFC3339Nano, old)
	changed := changes.since(since)
	if len(changed) > maxVEXDiff {
		whole = true
	}
	gone := map[string]bool{} // file names
	if whole {
		name, day, err := u.vexArchive(ctx, address)
		if err != nil {
			return err
		}
		// What changed since the day before the archive comes one by one, and is left out
		// of the archive like what was deleted.
		since = day.AddDate(0, 0, -1)
		if changed = changes.since(since); len(changed) > maxVEXDiff {
			return fmt.Errorf("changes.csv: %d documents changed since the archive %s, more than %d", len(changed), name, maxVEXDiff)
		}
		for _, n := range append(slices.Clone(changed), deletions.since(since)...) {
			gone[path.Base(n)] = true
		}
		if err := u.vexWhole(ctx, c, address, name, gone); err != nil {
			return err
		}
	}
	var mu sync.Mutex
	err = u.each(ctx, changed, func(ctx context.Context, name string) error {
		d, err := u.get.get(ctx, address+"/"+name, validators{})
		if errors.Is(err, errNotThere) {
			mu.Lock()
			defer mu.Unlock()
			c.withdraw(vexCVE(name))
			return nil
		} else if err != nil {
			return err
		}
		defer func() { _ = d.Close() }()
		r, err := decompress(io.NopCloser(d.File))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		mu.Lock()
		defer mu.Unlock()
		err = u.j.b.readVEX(name, r)
		var wrong *badRecord
		if errors.As(err, &wrong) {
			c.skip(wrong.record, wrong.err)
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	// The two lists are not written at the same moment: a day of overlap loses nothing.
	deleted := 0
	for _, n := range deletions.since(since.AddDate(0, 0, -1)) {
		if !changes.listed(n, deletions.when[n]) {
			c.touch(vexCVE(n))
			if deletions.when[n].After(since) {
				deleted++
			}
		}
	}
	c.state.Cursor = changes.newest
	if !whole && len(changed) == 0 && deleted == 0 {
		return errUnchanged
	}
	return nil
}

func vexCVE(name string) string { return strings.ToUpper(vexName.FindStringSubmatch(name)[1]) }

// vexArchive says which archive is the newest, and of which day.
func (u *updater) vexArchive(ctx context.Context, address string) (name string, day time.Time, err error) {
	latest, err := u.small(ctx, address+"/archive_latest.txt", 4096)
	if err != nil {
		return "", day, err
	}
	m := archiveName.FindStringSubmatch(strings.TrimSpace(string(latest)))
	if m == nil {
		return "", day, fmt.Errorf("archive_latest.txt: %q is no name of an archive", clip(string(latest), 80))
	}
	day, err = time.Parse(time.DateOnly, m[1])
	return m[0], day, err
}

// vexWhole reads an archive but for the documents named.
func (u *updater) vexWhole(ctx context.Context, c *change, address, name string, but map[string]bool) error {
	d, err := u.get.get(ctx, address+"/"+name, validators{})
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	r, err := decompress(io.NopCloser(d.File))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer func() { _ = r.Close() }()
	c.mode = replacing
	bad, err := u.j.b.readTar(bufio.NewReaderSize(r, 64<<10), but)
	c.note(name, bad, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// vexTimes are the documents of a list with the time of each.
type vexTimes struct {
	when   map[string]time.Time
	newest string
}

// since returns the documents later than t, in order of their names.
func (v *vexTimes) since(t time.Time) []string {
	if v == nil {
		return nil
	}
	var list []string
	for name, when := range v.when {
		if when.After(t) {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// listed reports whether a document is there with a time after t.
func (v *vexTimes) listed(name string, t time.Time) bool { return v.when[name].After(t) }

// vexList reads a list of quoted names and times.
func (u *updater) vexList(ctx context.Context, address, file string) (*vexTimes, error) {
	raw, err := u.small(ctx, address+"/"+file, 64<<20)
	if err != nil {
		return nil, err
	}
	v := &vexTimes{when: map[string]time.Time{}}
	var last time.Time
	r := csv.NewReader(bytes.NewReader(raw))
	r.FieldsPerRecord, r.ReuseRecord = 2, true
	for n := 1; ; n++ {
		f, err := r.Read()
		if errors.Is(err, io.EOF) {
			return v, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		t, e := time.Parse(time.RFC3339Nano, f[1])
		if e != nil || !vexName.MatchString(f[0]) {
			return nil, fmt.Errorf("%s: line %d: %q, %q is no document and time", file, n, clip(f[0], 60), clip(f[1], 40))
		}
		if t.After(last) {
			last, v.newest = t, strings.Clone(f[1])
		}
		if name := strings.Clone(f[0]); t.After(v.when[name]) {
			v.when[name] = t
		}
	}
}
