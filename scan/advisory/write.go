package advisory

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
)

// maxTombstones bounds how many packages that lost their last advisory are remembered
// for ChangedSince.
const maxTombstones = 100_000

// write builds the new database from the old one and the changes, and puts it in the
// place of path. now is Unix nanoseconds.
func (b *builder) write(path string, now int64, changed bool) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".advisories-*")
	if err != nil {
		return fmt.Errorf("new advisory database: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if changed || b.old == nil {
		err = b.writeTo(f, now)
	} else {
		err = b.restamp(f, now)
	}
	if err != nil {
		return fmt.Errorf("new advisory database: %w", err)
	}
	return replace(f, path)
}

// replace makes a finished file the database: synced, checked, the old one kept as the
// previous, then renamed, so that there is a whole database at every moment.
func replace(f *os.File, path string) error {
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	db, err := Open(f.Name())
	if err != nil {
		return fmt.Errorf("check of the new database: %w", err)
	}
	err = db.Verify()
	_ = db.Close()
	if err != nil {
		return fmt.Errorf("check of the new database: %w", err)
	}
	// Only a good database is worth keeping: a damaged one must not push out the last
	// good one.
	if old, err := Open(path); err == nil {
		_ = old.Close()
		spare := Previous(path) + ".new"
		_ = os.Remove(spare)
		if err := os.Link(path, spare); err == nil {
			err = os.Rename(spare, Previous(path))
			if err != nil {
				return fmt.Errorf("keep the last advisory database: %w", err)
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			// A file system without hard links: there is a moment without the file at its
			// path, in which readers use the previous one.
			if err := os.Rename(path, Previous(path)); err != nil {
				return fmt.Errorf("keep the last advisory database: %w", err)
			}
		}
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return dir.Sync()
}

// output is a database being written.
type output struct {
	b        *builder
	w        *countWriter
	enc      *zstd.Encoder
	dir      directory
	packages *sorter
	ids      *sorter
	ratings  *sorter
	known    map[string]bool // CVEs known to be exploited
	ordinal  uint64
	records  *tableWriter
	value    []byte
	counts   map[string]int
	sum      *xxhash.Digest
	changed  bool
}

func (b *builder) writeTo(f *os.File, now int64) error {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault),
		zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
	if err != nil {
		return err
	}
	defer func() { _ = enc.Close() }()
	o := &output{
		b: b, w: &countWriter{w: f}, enc: enc, sum: xxhash.New(),
		packages: newSorter(b.tmp, sortMemory), ids: newSorter(b.tmp, sortMemory), ratings: newSorter(b.tmp, sortMemory), counts: map[string]int{},
		dir: directory{Built: now, Ecosystems: map[string]int{}, Tables: map[string]section{}},
	}
	defer o.packages.close()
	defer o.ids.close()
	defer o.ratings.close()
	if b.old != nil {
		o.dir.Lineage, o.dir.Generation, o.dir.Horizon = b.old.dir.Lineage, b.old.dir.Generation, b.old.dir.Horizon
	}
	var head [headerSize]byte
	copy(head[:], magic)
	binary.LittleEndian.PutUint32(head[8:], formatVersion)
	if _, err := o.w.Write(head[:]); err != nil {
		return err
	}
	for _, step := range []func() error{o.writeKEV, o.writeScores, o.writeRecords, o.writeRatings, o.writePackages, o.writeIDs} {
		if err := step(); err != nil {
			return err
		}
	}
	if o.changed {
		o.dir.Generation++
	}
	if o.dir.Lineage == "" {
		_, _ = o.sum.WriteString(strconv.FormatInt(now, 10))
		o.dir.Lineage = fmt.Sprintf("%012x", o.sum.Sum64()>>16)
	}
	o.dir.Feeds = b.feeds(o.counts)
	return writeDirectory(o.w, &o.dir)
}

// writeDirectory ends a file.
func writeDirectory(w *countWriter, dir *directory) error {
	raw, err := json.Marshal(dir)
	if err != nil {
		return err
	}
	at := w.n
	if _, err := w.Write(raw); err != nil {
		return err
	}
	var foot [footerSize]byte
	binary.LittleEndian.PutUint64(foot[0:], uint64(at))
	binary.LittleEndian.PutUint32(foot[8:], uint32(len(raw)))
	binary.LittleEndian.PutUint32(foot[12:], crc32.Checksum(raw, castagnoli))
	binary.LittleEndian.PutUint64(foot[16:], uint64(w.n+footerSize))
	copy(foot[24:], magic)
	_, err = w.Write(foot[:])
	return err
}

// restamp copies the old database with new dates of its feeds.
func (b *builder) restamp(f *os.File, now int64) error {
	w := &countWriter{w: f}
	if _, err := io.Copy(w, io.NewSectionReader(b.old.file, 0, b.old.tables)); err != nil {
		return err
	}
	dir := b.old.dir
	dir.Built, dir.Feeds = now, b.feeds(nil)
	return writeDirectory(w, &dir)
}

func (o *output) table(compressed bool, size int) *tableWriter {
	t := &tableWriter{w: o.w, size: size}
	if compressed {
		t.enc = o.enc
	}
	return t
}

func (o *output) end(name string, t *tableWriter) error {
	s, err := t.finish()
	o.dir.Tables[name] = s
	return err
}

func (o *output) writeKEV() error {
	t := o.table(true, blockSize)
	o.known = map[string]bool{}
	list := o.b.kev
	if list == nil && o.b.old != nil {
		list = map[string][]byte{}
		c := o.b.old.kev.cursor()
		for {
			more, err := c.step()
			if err != nil {
				return err
			}
			if !more {
				break
			}
			list[string(c.key)] = bytes.Clone(c.value)
		}
	}
	cves := make([]string, 0, len(list))
	for cve := range list {
		cves = append(cves, cve)
	}
	slices.Sort(cves)
	for _, cve := range cves {
		o.known[cve] = true
		o.score(cve, list[cve])
		if err := t.add([]byte(cve), list[cve]); err != nil {
			return err
		}
	}
	return o.end("kev", t)
}

// score adds to the sum that tells whether EPSS or KEV changed.
func (o *output) score(key string, value []byte) {
	o.dir.ScoreSum = crc32.Update(o.dir.ScoreSum, castagnoli, []byte(key))
	o.dir.ScoreSum = crc32.Update(o.dir.ScoreSum, castagnoli, value)
}

func (o *output) writeScores() error {
	t := o.table(false, 8<<10)
	add := func(key, value []byte) error {
		o.score(string(key), value)
		return t.add(key, value)
	}
	if o.b.scores != nil {
		if err := o.b.scores.each(add); err != nil {
			return err
		}
	} else if o.b.old != nil {
		c := o.b.old.scores.cursor()
		for {
			more, err := c.step()
			if err != nil {
				return err
			}
			if !more {
				break
			}
			if err := add(c.key, c.value); err != nil {
				return err
			}
		}
	}
	if o.b.old == nil || o.dir.ScoreSum != o.b.old.dir.ScoreSum {
		o.changed = true
	}
	return o.end("scores", t)
}

// writeRecords merges the records of the old database with the new ones.
func (o *output) writeRecords() error {
	o.records = o.table(true, blockSize)
	for _, c := range o.b.changes {
		slices.Sort(c.touched)
	}
	var old *cursor
	var more bool
	advance := func() (err error) {
		if old == nil {
			return nil
		}
		for {
			if more, err = old.step(); err != nil || !more || o.keeps(old.key) {
				return err
			}
		}
	}
	if o.b.old != nil {
		old = o.b.old.records.cursor()
		if err := advance(); err != nil {
			return err
		}
	}
	upTo := func(key []byte) error {
		for more && (key == nil || bytes.Compare(old.key, key) < 0) {
			if err := o.record(old.key, old.value); err != nil {
				return err
			}
			if err := advance(); err != nil {
				return err
			}
		}
		return nil
	}
	// Of records that came twice under one key the last one counts.
	var key, value []byte
	put := func() error {
		if key == nil {
			return nil
		}
		if err := upTo(key); err != nil {
			return err
		}
		return o.record(key, value)
	}
	err := o.b.records.each(func(k, v []byte) error {
		feed, _, _ := bytes.Cut(k, []byte{0})
		if o.b.changes[string(feed)].mode == refused {
			return nil
		}
		if key != nil && bytes.Equal(k, key) {
			if joins(string(feed)) {
				var err error
				value, err = join(value, v)
				return err
			}
		} else if err := put(); err != nil {
			return err
		}
		key, value = append(key[:0], k...), append(value[:0], v...)
		return nil
	})
	if err != nil {
		return err
	}
	if err := put(); err != nil {
		return err
	}
	if err := upTo(nil); err != nil {
		return err
	}
	return o.end("records", o.records)
}

// joins reports whether a feed may speak of one id and package in several places, which
// are all true: OVAL has a definition for each.
func joins(feed string) bool {
	return strings.HasPrefix(feed, "azurelinux/") || strings.HasPrefix(feed, "ubuntu-")
}

// join adds what a second record says of packages to the first.
func join(a, b []byte) ([]byte, error) {
	one, err := decodeRecord(a)
	if err != nil {
		return nil, err
	}
	two, err := decodeRecord(b)
	if err != nil {
		return nil, err
	}
	body := func(a *Affected) string {
		return a.Ecosystem + "\x00" + a.Name + "\x00" + string(appendAffected(nil, a))
	}
	for i := range two.Affected {
		have := body(&two.Affected[i])
		if len(one.Affected) < maxAffected && !slices.ContainsFunc(one.Affected, func(a Affected) bool { return body(&a) == have }) {
			one.Affected = append(one.Affected, two.Affected[i])
		}
	}
	return appendRecord(nil, one), nil
}

// keeps reports whether a record of the old database goes into the new one.
func (o *output) keeps(key []byte) bool {
	feed, rest, _ := bytes.Cut(key, []byte{0})
	c := o.b.changes[string(feed)]
	if c == nil || c.mode == refused {
		return true
	}
	if c.mode == replacing {
		return false
	}
	_, found := slices.BinarySearch(c.touched, xxhash.Sum64(rest[bytes.LastIndexByte(rest, 0)+1:]))
	return !found
}

func (o *output) record(key, value []byte) error {
	if err := o.records.add(key, value); err != nil {
		return err
	}
	r, err := decodeRecord(value)
	if err != nil {
		return fmt.Errorf("record %q: %w", key, err)
	}
	o.counts[r.Feed]++
	e := entry{ordinal: o.ordinal, rank: ranks(r.Feed), cves: cvesOf(r)}
	head := xxhash.Sum64(appendHead(nil, r))
	for _, c := range e.cves {
		if o.known[c] {
			head ^= 0x9e3779b97f4a7c15 // a new listing changes the packages it concerns
			break
		}
	}
	for i := range r.Affected {
		a := &r.Affected[i]
		e.body = appendAffected(e.body[:0], a)
		e.hash = head*31 + xxhash.Sum64(e.body)
		o.value = appendEntry(o.value[:0], &e)
		if err := o.packages.add(packageKey(a.Ecosystem, a.Name), o.value); err != nil {
			return err
		}
	}
	o.value = binary.BigEndian.AppendUint32(o.value[:0], uint32(o.ordinal))
	for _, list := range [][]string{{r.ID}, r.Aliases, r.Upstream} {
		for _, id := range list {
			if err := o.ids.add([]byte(strings.ToUpper(id)), o.value); err != nil {
				return err
			}
		}
	}
	o.ordinal++
	if cve := rated(r); cve != "" {
		if k, ok := cveKey(cve); ok {
			o.value = appendRating(o.value[:0], cve, &Rating{r.Vector, r.CVSS, r.ID})
			return o.ratings.add(k, o.value)
		}
	}
	return nil
}

// writePackages groups what all records say by package, and notes which packages
// differ from the old database.
func (o *output) writePackages() error {
	t := o.table(true, blockSize)
	next := o.dir.Generation + 1
	var old *cursor
	more := false
	forget := false
	if o.b.old != nil {
		old = o.b.old.packages.cursor()
		var err error
		if more, err = old.step(); err != nil {
			return err
		}
		if forget = o.b.old.dir.Tombstones > maxTombstones; forget {
			o.dir.Horizon = o.b.old.dir.Generation
		}
	}
	var value []byte
	// gone handles the old packages before key that have no advisory any more.
	gone := func(key []byte) error {
		for more && (key == nil || bytes.Compare(old.key, key) < 0) {
			r := reader{b: old.value}
			n, _, generation := packageHead(&r)
			if n > 0 {
				generation, o.changed = next, true
			}
			if n > 0 || !forget {
				o.dir.Tombstones++
				value = binary.LittleEndian.AppendUint64(value[:0], 0)
				value = binary.AppendUvarint(value, generation)
				value = append(value, 0)
				if err := t.add(old.key, value); err != nil {
					return err
				}
			}
			var err error
			if more, err = old.step(); err != nil {
				return err
			}
		}
		return nil
	}
	var key []byte
	var group []entry
	put := func() error {
		if len(group) == 0 {
			return nil
		}
		if err := gone(key); err != nil {
			return err
		}
		group = outrank(group)
		hash := uint64(len(group))
		for i := range group {
			hash = hash*0x100000001b3 ^ group[i].hash
		}
		_, _ = o.sum.Write(key)
		generation := next
		if more && bytes.Equal(old.key, key) {
			r := reader{b: old.value}
			if n, h, g := packageHead(&r); n > 0 && h == hash {
				generation = g
			}
			var err error
			if more, err = old.step(); err != nil {
				return err
			}
		}
		if generation == next {
			o.changed = true
		}
		value = binary.LittleEndian.AppendUint64(value[:0], hash)
		value = binary.AppendUvarint(value, generation)
		value = binary.AppendUvarint(value, uint64(len(group)))
		last := uint64(0)
		for i := range group {
			value = binary.AppendUvarint(value, group[i].ordinal-last)
			last = group[i].ordinal
			value = binary.AppendUvarint(value, uint64(len(group[i].body)))
			value = append(value, group[i].body...)
		}
		o.dir.Ecosystems[splitKey(key).Ecosystem]++
		group = group[:0]
		return t.add(key, value)
	}
	err := o.packages.each(func(k, v []byte) error {
		if !bytes.Equal(k, key) {
			if err := put(); err != nil {
				return err
			}
			key = append(key[:0], k...)
		}
		e, err := decodeEntry(v)
		group = append(group, e)
		return err
	})
	if err != nil {
		return err
	}
	if err := put(); err != nil {
		return err
	}
	if err := gone(nil); err != nil {
		return err
	}
	return o.end("packages", t)
}

func (o *output) writeIDs() error {
	t := o.table(true, blockSize)
	var key, value []byte
	var n, last uint64
	put := func() error {
		if n == 0 {
			return nil
		}
		return t.add(key, append(binary.AppendUvarint(nil, n), value...))
	}
	err := o.ids.each(func(k, v []byte) error {
		if !bytes.Equal(k, key) {
			if err := put(); err != nil {
				return err
			}
			key, value, n, last = append(key[:0], k...), value[:0], 0, 0
		}
		ordinal := uint64(binary.BigEndian.Uint32(v))
		if n > 0 && ordinal == last {
			return nil
		}
		value = binary.AppendUvarint(value, ordinal-last)
		last = ordinal
		n++
		return nil
	})
	if err != nil {
		return err
	}
	if err := put(); err != nil {
		return err
	}
	return o.end("ids", t)
}

// feeds is the state of every feed, the untouched ones too. counts are the records
// written; nil = as before.
func (b *builder) feeds(counts map[string]int) []feedState {
	states := map[string]feedState{}
	if b.old != nil {
		for _, s := range b.old.dir.Feeds {
			states[s.Name] = s
		}
	}
	for name, c := range b.changes {
		s := c.state
		switch {
		case counts == nil, c.failed, c.unchanged && (name == feedKEV || name == feedEPSS):
		case name == feedKEV || name == feedEPSS:
			s.Records = c.records
		default:
			s.Records = counts[name]
		}
		states[name] = s
	}
	list := make([]feedState, 0, len(states))
	for _, s := range states {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b feedState) int { return strings.Compare(a.Name, b.Name) })
	return list
}
