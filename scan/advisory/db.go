package advisory

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/dockreeve/dockreeve/scan"
)

// The file: magic, format number, blocks and indexes of the tables, a directory in
// JSON, and a footer that says where the directory is. The footer comes last, so a
// file that was cut short has none.
const (
	magic         = "dockadv\n"
	formatVersion = 1
	headerSize    = 16
	footerSize    = 32
	maxDirectory  = 16 << 20
)

// Errors that callers tell apart; what Open returns wraps one of them.
var (
	ErrMissing = errors.New("there is no advisory database")
	ErrDamaged = errors.New("the advisory database is damaged")
	ErrNewer   = errors.New("the advisory database was written by a newer version of dockreeve")
)

const (
	remedyUpdate = "run `dockreeve db update`, or `dockreeve db import` with files from another machine"
	remedyNewer  = "update dockreeve, or build the database anew with `dockreeve db update --rebuild`"
)

// directory is the last part of a file. Unknown fields of later writers of the same
// format are ignored.
type directory struct {
	Built      int64              `json:"built"`
	Lineage    string             `json:"lineage"`    // told at the first build, kept by every update
	Generation uint64             `json:"generation"` // grows with every content change
	Horizon    uint64             `json:"horizon"`    // keys changed up to this generation may be forgotten
	Tombstones int                `json:"tombstones"`
	ScoreSum   uint32             `json:"scoreSum"` // of EPSS and KEV
	Feeds      []feedState        `json:"feeds"`
	Ecosystems map[string]int     `json:"ecosystems"` // packages with advisories
	Tables     map[string]section `json:"tables"`
}

// feedState is what the database keeps of a feed beside its records.
type feedState struct {
	scan.FeedInfo
	URL          string   `json:"url,omitempty"`
	ETag         string   `json:"etag,omitempty"`
	LastModified string   `json:"lastModified,omitempty"`
	Cursor       string   `json:"cursor,omitempty"`    // newest change seen, as the feed writes it
	Withdrawn    int      `json:"withdrawn,omitempty"` // dropped because the feed withdrew them
	Skipped      int      `json:"skipped,omitempty"`   // bad records of the last read
	Why          []string `json:"why,omitempty"`       // the first few of them, with reasons
}

// DB is an open advisory database. It is read-only and safe for use by many
// goroutines. An update puts a new file in the place of the old one; an open DB keeps
// reading the file it opened.
type DB struct {
	path     string
	file     *os.File
	dir      directory
	tables   int64  // bytes before the directory
	records  *table // feed, ecosystem, name, id → Record
	packages *table // ecosystem, name → hash, generation, [ordinal of the record, Affected]
	ids      *table // id or alias, upper case → ordinals
	scores   *table // CVE → EPSS
	kev      *table // CVE → KEV
	ratings  *table // CVE → Rating; nil in files written before there were any
	epssDate string
	dec      *zstd.Decoder
}

// Open opens the database at path. A file that is missing, damaged, cut short or of a
// newer format gives an error that wraps ErrMissing, ErrDamaged or ErrNewer and says
// what to do. Only the directory and the indexes are checked here; every block is
// checked when it is first read. See also OpenLast.
func Open(path string) (*DB, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w: %s", path, ErrMissing, remedyUpdate)
	} else if err != nil {
		return nil, fmt.Errorf("advisory database: %w", err)
	}
	db, err := open(f, path)
	if err != nil {
		_ = f.Close()
		if errors.Is(err, ErrNewer) {
			return nil, fmt.Errorf("%s: %w: %s", path, err, remedyNewer)
		}
		return nil, fmt.Errorf("%s: %w: %w: %s", path, ErrDamaged, err, remedyUpdate)
	}
	return db, nil
}

// Previous is the path where the last good database is kept.
func Previous(path string) string { return path + ".previous" }

// OpenLast opens the database at path, or, where that cannot be used, the last good
// one beside it. Then a Gap says so.
func OpenLast(path string) (*DB, []scan.Gap, error) {
	db, err := Open(path)
	if err == nil {
		return db, nil, nil
	}
	if errors.Is(err, ErrMissing) {
		if _, e := os.Stat(Previous(path)); e != nil {
			return nil, nil, err
		}
	}
	old, e := Open(Previous(path))
	if e != nil {
		return nil, nil, err
	}
	return old, []scan.Gap{{
		What:   "advisory database",
		Reason: "the previous database is used instead: " + err.Error(),
		Remedy: remedyUpdate,
		Data:   true,
	}}, nil
}

func open(f *os.File, path string) (*DB, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	size := st.Size()
	var head [headerSize]byte
	if size < headerSize+footerSize {
		return nil, fmt.Errorf("it has only %d bytes", size)
	}
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return nil, err
	}
	if string(head[:8]) != magic {
		return nil, errors.New("it does not begin like an advisory database")
	}
	if v := binary.LittleEndian.Uint32(head[8:]); v > formatVersion {
		return nil, fmt.Errorf("%w (format %d, this one reads %d)", ErrNewer, v, formatVersion)
	} else if v != formatVersion {
		return nil, fmt.Errorf("it has format %d, which nobody ever wrote", v)
	}
	var foot [footerSize]byte
	if _, err := f.ReadAt(foot[:], size-footerSize); err != nil {
		return nil, err
	}
	if string(foot[24:]) != magic {
		return nil, errors.New("its end is missing: it was cut short")
	}
	at := int64(binary.LittleEndian.Uint64(foot[0:]))
	length := int64(binary.LittleEndian.Uint32(foot[8:]))
	if total := int64(binary.LittleEndian.Uint64(foot[16:])); total != size {
		return nil, fmt.Errorf("it has %d bytes, but was written with %d", size, total)
	}
	if at < headerSize || length > maxDirectory || at+length > size-footerSize {
		return nil, errors.New("its directory lies outside the file")
	}
	raw := make([]byte, length)
	if _, err := f.ReadAt(raw, at); err != nil {
		return nil, err
	}
	if crc32.Checksum(raw, castagnoli) != binary.LittleEndian.Uint32(foot[12:]) {
		return nil, errors.New("its directory has a wrong checksum")
	}
	db := &DB{path: path, file: f, tables: at}
	if err := json.Unmarshal(raw, &db.dir); err != nil {
		return nil, fmt.Errorf("its directory: %w", err)
	}
	db.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxBlock))
	if err != nil {
		return nil, err
	}
	for name, t := range map[string]**table{"records": &db.records, "packages": &db.packages, "ids": &db.ids, "scores": &db.scores, "kev": &db.kev} {
		s, ok := db.dir.Tables[name]
		if !ok {
			return nil, fmt.Errorf("it has no table %s", name)
		}
		if *t, err = openTable(f, size, name, s, db.dec); err != nil {
			return nil, err
		}
	}
	if s, ok := db.dir.Tables["ratings"]; ok {
		if db.ratings, err = openTable(f, size, "ratings", s, db.dec); err != nil {
			return nil, err
		}
	}
	for _, s := range db.dir.Feeds {
		if s.Name == feedEPSS {
			db.epssDate = day(s.Date)
		}
	}
	return db, nil
}

// Close frees the file. Values got from the DB stay valid.
func (db *DB) Close() error {
	db.dec.Close()
	return db.file.Close()
}

// Path is the file that was opened.
func (db *DB) Path() string { return db.path }

// Info says what the database rests on.
func (db *DB) Info() scan.DatabaseInfo {
	info := scan.DatabaseInfo{Built: db.dir.Built, Version: db.version()}
	for _, f := range db.dir.Feeds {
		info.Feeds = append(info.Feeds, f.FeedInfo)
	}
	info.AsOf = asOf(info.Feeds)
	return info
}

func (db *DB) version() string {
	return db.dir.Lineage + "." + strconv.FormatUint(db.dir.Generation, 10)
}

// Ecosystems returns every ecosystem of the database with its number of packages.
func (db *DB) Ecosystems() map[string]int {
	m := make(map[string]int, len(db.dir.Ecosystems))
	for k, n := range db.dir.Ecosystems {
		m[k] = n
	}
	return m
}

// Has reports whether the database holds advisories of an ecosystem. Without a
// release ("Debian") any release will do. An image of an ecosystem that is not here
// has not been assessed.
func (db *DB) Has(ecosystem string) bool {
	ecosystem = Ecosystem(ecosystem)
	if db.dir.Ecosystems[ecosystem] > 0 {
		return true
	}
	if strings.Contains(ecosystem, ":") {
		return false
	}
	for k := range db.dir.Ecosystems {
		if base(k) == ecosystem {
			return true
		}
	}
	return false
}

func packageKey(ecosystem, name string) []byte {
	return []byte(ecosystem + "\x00" + name)
}

func splitKey(key []byte) Key {
	eco, name, _ := strings.Cut(string(key), "\x00")
	return Key{eco, name}
}

// Affected returns every advisory about a package. Names and ecosystems are accepted
// as the package manager spells them. Nothing found gives no entries and no error:
// ask Has whether the ecosystem is known at all.
func (db *DB) Affected(ecosystem, name string) ([]Entry, error) {
	return db.AffectedIf(ecosystem, name, nil)
}

// AffectedIf is Affected for the entries that keep accepts. It reads the rest of a
// record only when its Affected was kept, which is most of the work for a package
// with thousands of old advisories. keep must not hold on to its argument.
func (db *DB) AffectedIf(ecosystem, name string, keep func(*Affected) bool) ([]Entry, error) {
	ecosystem = Ecosystem(ecosystem)
	name = PackageName(ecosystem, name)
	value, err := db.packages.get(packageKey(ecosystem, name))
	if err != nil || value == nil {
		return nil, db.damaged(err)
	}
	r := newReader(value)
	n, _, _ := packageHead(r)
	var entries []Entry
	walk := walker{t: db.records}
	var ordinal uint64
	for range n {
		ordinal += r.uvarint()
		in := r.within()
		a := Affected{Ecosystem: ecosystem, Name: name}
		in.affected(&a)
		if in.err != nil {
			r.err = in.err
		}
		if r.err != nil {
			break
		}
		if keep != nil && !keep(&a) {
			continue
		}
		raw, err := walk.at(ordinal)
		if err != nil {
			return nil, db.damaged(err)
		}
		rec, err := decodeHead(raw)
		if err != nil {
			return nil, db.damaged(err)
		}
		entries = append(entries, Entry{rec, a})
	}
	if r.err != nil {
		return nil, db.damaged(fmt.Errorf("%s %s: %w", ecosystem, name, r.err))
	}
	return entries, nil
}

// packageHead reads what stands before the entries of a package.
func packageHead(r *reader) (n int, hash, generation uint64) {
	if len(r.b) < 8 {
		r.fail()
		return
	}
	hash = binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	generation = r.uvarint()
	n = r.count()
	return
}

func (db *DB) damaged(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w: %w: %s", db.path, ErrDamaged, err, remedyUpdate)
}

// walker reads values by ascending ordinal without starting each block again.
type walker struct {
	t    *table
	b    []byte // what is left of the block
	next uint64 // ordinal of the pair at b
	end  uint64 // first ordinal behind the block
}

func (w *walker) at(ordinal uint64) ([]byte, error) {
	if ordinal < w.next || ordinal >= w.end || w.b == nil {
		i := w.t.holding(ordinal)
		if i < 0 {
			return nil, fmt.Errorf("table %s has no pair %d", w.t.name, ordinal)
		}
		b, err := w.t.read(i, true)
		if err != nil {
			return nil, err
		}
		w.b, w.next, w.end = b, w.t.blocks[i].ordinal, w.t.count
		if i+1 < len(w.t.blocks) {
			w.end = w.t.blocks[i+1].ordinal
		}
	}
	for len(w.b) > 0 {
		_, value, rest, err := pair(w.b)
		if err != nil {
			return nil, fmt.Errorf("table %s, pair %d: %w", w.t.name, w.next, err)
		}
		w.b = rest
		w.next++
		if w.next == ordinal+1 {
			return value, nil
		}
	}
	return nil, fmt.Errorf("table %s has no pair %d", w.t.name, ordinal)
}

// Find returns every record with this id or alias, or that deals with it. The case of
// letters does not matter. At most 1,000 records are returned.
func (db *DB) Find(id string) ([]*Record, error) {
	value, err := db.ids.get([]byte(strings.ToUpper(strings.TrimSpace(id))))
	if err != nil || value == nil {
		return nil, db.damaged(err)
	}
	r := reader{b: value}
	n := r.count()
	walk := walker{t: db.records}
	var list []*Record
	var ordinal uint64
	for range min(n, 1000) {
		ordinal += r.uvarint()
		if r.err != nil {
			return nil, db.damaged(r.err)
		}
		raw, err := walk.at(ordinal)
		if err != nil {
			return nil, db.damaged(err)
		}
		rec, err := decodeRecord(raw)
		if err != nil {
			return nil, db.damaged(err)
		}
		list = append(list, rec)
	}
	return list, nil
}

// FindPackage returns the ecosystems that have advisories about a package of this
// name, spelled as in Affected.Name or as its package manager does.
func (db *DB) FindPackage(name string) ([]Key, error) {
	var keys []Key
	for eco := range db.dir.Ecosystems {
		k := Key{eco, PackageName(eco, name)}
		value, err := db.packages.get(packageKey(k.Ecosystem, k.Name))
		if err != nil {
			return nil, db.damaged(err)
		}
		r := reader{b: value}
		if value == nil {
			continue
		}
		if n, _, _ := packageHead(&r); n > 0 {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b Key) int { return strings.Compare(a.Ecosystem, b.Ecosystem) })
	return keys, nil
}

// EPSS returns the exploit prediction of a CVE, nil when it has none. A damaged block
// reads as none; Verify finds it.
func (db *DB) EPSS(cve string) *scan.EPSS {
	key, ok := cveKey(cve)
	if !ok {
		return nil
	}
	v, err := db.scores.get(key)
	if err != nil || len(v) != 8 {
		return nil
	}
	return &scan.EPSS{
		Score:      float64(binary.BigEndian.Uint32(v)) / epssScale,
		Percentile: float64(binary.BigEndian.Uint32(v[4:])) / epssScale,
		Date:       db.epssDate,
	}
}

// KEV returns the entry of a CVE in the catalogue of known exploited vulnerabilities,
// nil when it is not listed.
func (db *DB) KEV(cve string) *scan.KEV {
	v, err := db.kev.get([]byte(strings.ToUpper(cve)))
	if err != nil || v == nil {
		return nil
	}
	k, err := decodeKEV(v)
	if err != nil {
		return nil
	}
	return k
}

// ChangedSince returns the packages whose advisories differ from those of an earlier
// version of this database, which lets a server match again only what changed. A new
// listing as known exploited counts as a change of the packages concerned; a new EPSS
// score does not. all is true when the two versions cannot be compared: the database
// was built anew, or is older than the version asked for, or remembers less.
func (db *DB) ChangedSince(version string) (changed []Key, all bool, err error) {
	if version == db.version() {
		return nil, false, nil
	}
	lineage, gen, ok := strings.Cut(version, ".")
	since, e := strconv.ParseUint(gen, 10, 64)
	if !ok || e != nil || lineage != db.dir.Lineage || since > db.dir.Generation || since < db.dir.Horizon {
		return nil, true, nil
	}
	c := db.packages.cursor()
	for {
		more, err := c.step()
		if err != nil {
			return nil, false, db.damaged(err)
		}
		if !more {
			return changed, false, nil
		}
		r := reader{b: c.value}
		_, _, generation := packageHead(&r)
		if r.err != nil {
			return nil, false, db.damaged(r.err)
		}
		if generation > since {
			changed = append(changed, splitKey(c.key))
		}
	}
}

// Verify reads the whole file and checks every block and record.
func (db *DB) Verify() error {
	for _, t := range []*table{db.records, db.packages, db.ids, db.scores, db.kev, db.ratings} {
		if t == nil {
			continue
		}
		c := t.cursor()
		n := uint64(0)
		for {
			more, err := c.step()
			if err != nil {
				return db.damaged(err)
			}
			if !more {
				break
			}
			n++
			if t == db.records {
				if _, err := decodeRecord(c.value); err != nil {
					return db.damaged(fmt.Errorf("record %q: %w", c.key, err))
				}
			}
		}
		if n != t.count {
			return db.damaged(fmt.Errorf("table %s has %d pairs, not %d", t.name, n, t.count))
		}
	}
	return nil
}

// FeedDetail is a feed of the database with what only its keeper needs to know.
type FeedDetail struct {
	scan.FeedInfo
	URL       string   `json:"url,omitempty"`
	Withdrawn int      `json:"withdrawn,omitempty"`
	Skipped   int      `json:"skipped,omitempty"` // bad records of the last read
	Why       []string `json:"why,omitempty"`     // the first few of them, with reasons
}

// Feeds returns the feeds in detail, by name.
func (db *DB) Feeds() []FeedDetail {
	list := make([]FeedDetail, 0, len(db.dir.Feeds))
	for _, s := range db.dir.Feeds {
		list = append(list, FeedDetail{FeedInfo: s.FeedInfo, URL: s.URL, Withdrawn: s.Withdrawn, Skipped: s.Skipped, Why: s.Why})
	}
	return list
}
