package advisory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/dockreeve/dockreeve/scan"
)

// Names of the feeds that are not one per ecosystem.
const (
	feedKEV    = "kev"
	feedEPSS   = "epss"
	feedDebian = "debian-tracker"
	feedRedHat = "redhat-vex"
	prefixOSV  = "osv/"
)

// Bounds of one record. What is beyond is a bad record: skipped, counted, told.
const (
	maxID         = 200
	maxName       = 512
	maxTitle      = 300
	maxReferences = 10
	maxAliases    = 4096
	maxAffected   = 20000
	maxVersions   = 4096
	maxRanges     = 1024
	maxWhy        = 5 // bad records told by name, per feed
)

// mode says what becomes of a feed's earlier records.
type mode uint8

const (
	merging   mode = iota // they stay, except those that came anew or were withdrawn
	replacing             // they go
	refused               // they stay, and what came is dropped
)

// change is what one update brings to one feed.
type change struct {
	state     feedState
	mode      mode
	records   int
	date      int64    // as the feed dates itself; 0 = it does not
	newest    int64    // latest change or publication of its records, but for the future
	file      int64    // when the newest file it was read from was written; 0 = not from a file
	touched   []uint64 // hashes of the ids that came or were withdrawn; merging only
	failed    bool     // could not be read: nothing of the feed's state is renewed
	unchanged bool     // the feed has nothing new
}

// builder gathers changes to the feeds and writes a new database from them and the old
// one. Memory is bounded: what does not fit is sorted on disk, in the directory of the
// database.
type builder struct {
	tmp     string
	old     *DB // nil = none
	records *sorter
	changes map[string]*change
	scores  *scores           // nil = unchanged
	kev     map[string][]byte // nil = unchanged
	only    string            // the feed that a document must be; "" = any
	now     int64             // Unix nanoseconds
	file    int64             // when the file being imported was written
	key     []byte
	value   []byte
}

const sortMemory = 12 << 20 // bytes per sorter; four of them are at work at most

func newBuilder(tmp string, old *DB) *builder {
	return &builder{tmp: tmp, old: old, records: newSorter(tmp, sortMemory), changes: map[string]*change{}}
}

func (b *builder) close() { b.records.close() }

// may reports whether a document that turns out to be of this feed may be read.
func (b *builder) may(feed string) error {
	if b.only != "" && b.only != feed {
		return fmt.Errorf("it is %s, not %s", feed, b.only)
	}
	return nil
}

// feed returns the change of a feed, made on first use from what the old database
// knows of it.
func (b *builder) feed(name string) *change {
	c := b.changes[name]
	if c == nil {
		c = &change{state: feedState{FeedInfo: scan.FeedInfo{Name: name}}}
		if b.old != nil {
			for _, s := range b.old.dir.Feeds {
				if s.Name == name {
					c.state = s
				}
			}
		}
		c.state.Skipped, c.state.Why, c.state.Withdrawn = 0, nil, 0
		b.changes[name] = c
	}
	c.file = max(c.file, b.file)
	return c
}

// skip counts a bad record.
func (c *change) skip(record string, err error) {
	c.state.Skipped++
	if len(c.state.Why) < maxWhy {
		c.state.Why = append(c.state.Why, clip(record, 120)+": "+clip(err.Error(), 200))
	}
}

// fail notes that a feed could not be read. What came of it is dropped, what was there
// stays.
func (c *change) fail(err error) {
	c.failed, c.mode = true, refused
	c.state.Error = clip(err.Error(), 500)
}

// touch drops what an earlier update brought under this id.
func (c *change) touch(id string) { c.touched = append(c.touched, xxhash.Sum64String(id)) }

// withdraw drops what an earlier update brought under this id.
func (c *change) withdraw(id string) {
	c.state.Withdrawn++
	c.touch(id)
}

// add takes a record of a feed. A record that breaks the bounds is skipped and
// counted; only trouble with the disk is an error. The record may be changed.
func (b *builder) add(feed string, r *Record) error {
	c := b.feed(feed)
	r.Feed = feed
	if err := tidy(r); err != nil {
		c.skip(r.ID, err)
		return nil
	}
	if c.mode == merging {
		c.touch(r.ID)
	}
	c.records++
	c.newest = max(c.newest, believable(r.Modified, b.now), believable(r.Published, b.now))
	b.key = append(b.key[:0], feed...)
	for _, s := range []string{r.Affected[0].Ecosystem, r.Affected[0].Name, r.ID} {
		b.key = append(append(b.key, 0), s...)
	}
	b.value = appendRecord(b.value[:0], r)
	return b.records.add(b.key, b.value)
}

// tidy normalises a record and holds it to the bounds.
func tidy(r *Record) error {
	if r.ID == "" {
		return errors.New("it has no id")
	}
	if err := plain("id", r.ID, maxID); err != nil {
		return err
	}
	if cve := cveWithin(r.ID); cve != "" {
		r.Aliases = append(r.Aliases, cve)
	}
	r.Aliases = ids(r.Aliases, r.ID)
	r.Upstream = ids(r.Upstream, append([]string{r.ID}, r.Aliases...)...)
	if len(r.Aliases) > maxAliases || len(r.Upstream) > maxAliases {
		return fmt.Errorf("more than %d other ids", maxAliases)
	}
	r.Title = clip(r.Title, maxTitle)
	r.References = links(r.References)
	if len(r.Affected) == 0 {
		return errors.New("it names no package")
	}
	if len(r.Affected) > maxAffected {
		return fmt.Errorf("%d packages, more than %d", len(r.Affected), maxAffected)
	}
	for i := range r.Affected {
		a := &r.Affected[i]
		a.Ecosystem = Ecosystem(a.Ecosystem)
		a.Name = PackageName(a.Ecosystem, a.Name)
		if a.Name == "" || a.Ecosystem == "" {
			return errors.New("a package without name or ecosystem")
		}
		if err := errors.Join(plain("package name", a.Name, maxName), plain("ecosystem", a.Ecosystem, maxID)); err != nil {
			return err
		}
		if len(a.Ranges) > maxRanges {
			return fmt.Errorf("%s: %d ranges, more than %d", a.Name, len(a.Ranges), maxRanges)
		}
		if len(a.Versions) > maxVersions {
			if len(a.Ranges) == 0 {
				return fmt.Errorf("%s: %d versions without a range, more than %d", a.Name, len(a.Versions), maxVersions)
			}
			a.Versions = nil // the ranges say the same
		}
		for _, v := range a.Versions {
			if len(v) > maxName {
				return fmt.Errorf("%s: a version of %d bytes", a.Name, len(v))
			}
		}
		for _, g := range a.Ranges {
			if max(len(g.Introduced), len(g.Fixed), len(g.LastAffected)) > maxName {
				return fmt.Errorf("%s: a version of more than %d bytes", a.Name, maxName)
			}
		}
		if len(a.Arches) > 64 || len(a.Module) > maxName {
			return fmt.Errorf("%s: architectures or module too long", a.Name)
		}
	}
	// The first package decides where the record lies in the file.
	slices.SortStableFunc(r.Affected, func(a, b Affected) int {
		if c := strings.Compare(a.Ecosystem, b.Ecosystem); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return nil
}

func plain(what, s string, limit int) error {
	if len(s) > limit {
		return fmt.Errorf("%s of %d bytes, more than %d", what, len(s), limit)
	}
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f {
			return fmt.Errorf("%s with a control character", what)
		}
	}
	return nil
}

// ids sorts ids and drops the empty, the over-long, doubles and those in but.
func ids(list []string, but ...string) []string {
	keep := list[:0]
	for _, s := range list {
		if s != "" && plain("id", s, maxID) == nil && !slices.Contains(but, s) {
			keep = append(keep, s)
		}
	}
	slices.Sort(keep)
	if keep = slices.Compact(keep); len(keep) == 0 {
		return nil
	}
	return keep
}

// links keeps the first few references, https before the rest.
func links(list []string) []string {
	var out []string
	for _, prefix := range []string{"https://", "http://"} {
		for _, s := range list {
			if len(out) < maxReferences && strings.HasPrefix(s, prefix) && len(s) <= 1000 && plain("", s, 1000) == nil && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// guard refuses feeds that lost more than half of their records: an emptied mirror
// must not empty the database.
func (b *builder) guard(accept bool) {
	for _, c := range b.changes {
		if c.mode == replacing && !accept && c.records*2 < c.state.Records {
			c.fail(fmt.Errorf("refused: it shrank from %d to %d records; if that is right, update again with --accept-shrink", c.state.Records, c.records))
		}
	}
}

// ranks orders feeds that speak of the same packages: where a higher one speaks of a
// CVE in a package, the lower ones' entries about it are left out. Feeds not listed
// stand beside each other, and their entries are merged by id when matching.
func ranks(feed string) int {
	switch {
	case feed == feedDebian, feed == feedRedHat, strings.HasPrefix(feed, "alpine/"), strings.HasPrefix(feed, "azurelinux/"):
		return 4
	case strings.HasPrefix(feed, "ubuntu-cve/"):
		return 4
	case strings.HasPrefix(feed, "ubuntu-usn/"):
		return 1
	case strings.HasPrefix(feed, prefixOSV):
		return 2
	}
	return 0
}

// entry is what one record says of one package, while packages are written.
type entry struct {
	ordinal uint64
	rank    int
	cves    []string
	body    []byte
	hash    uint64
}

func appendEntry(b []byte, e *entry) []byte {
	b = binary.AppendUvarint(b, e.ordinal)
	b = append(b, byte(e.rank))
	b = appendStrings(b, e.cves)
	b = binary.LittleEndian.AppendUint64(b, e.hash)
	return append(b, e.body...)
}

func decodeEntry(b []byte) (e entry, err error) {
	r := reader{b: b}
	e.ordinal = r.uvarint()
	e.rank = int(r.byte())
	e.cves = r.strings()
	if len(r.b) < 8 {
		return e, errShort
	}
	e.hash = binary.LittleEndian.Uint64(r.b)
	e.body = bytes.Clone(r.b[8:])
	return e, r.err
}

// cvesOf are the CVEs that a record is about.
func cvesOf(r *Record) []string {
	var list []string
	for _, l := range [][]string{{r.ID}, r.Aliases, r.Upstream} {
		for _, id := range l {
			if IsCVE(id) {
				list = append(list, id)
			}
		}
	}
	return list
}

// outrank drops the entries of lower feeds about CVEs that a higher feed speaks of.
func outrank(list []entry) []entry {
	low, high := 255, 0
	for i := range list {
		low, high = min(low, list[i].rank), max(high, list[i].rank)
	}
	if low == high || len(list) < 2 {
		return list
	}
	best := map[string]int{}
	for i := range list {
		for _, c := range list[i].cves {
			best[c] = max(best[c], list[i].rank)
		}
	}
	return slices.DeleteFunc(list, func(e entry) bool {
		if len(e.cves) == 0 || e.rank == 0 {
			return false
		}
		for _, c := range e.cves {
			if best[c] <= e.rank {
				return false
			}
		}
		return true
	})
}
