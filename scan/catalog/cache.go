package catalog

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/s2"
)

// cache keeps records of layers in a directory, one file each, written beside and
// renamed into place: processes may share it, and whoever reads sees a whole record or
// none. What it cannot do it leaves undone: a cache is never a reason to fail.
//
// A file is a header, the SHA-256 of what follows, and the record, gob in s2.
type cache struct {
	dir    string
	most   int64
	suffix string // what besides the layer a record depends on
	now    func() int64
}

const (
	cacheMagic  = "dockreeve layer 1\n"
	cacheExt    = ".layer"
	maxRecord   = 512 << 20 // bytes of one record, unpacked
	cacheSpare  = 10        // percent that eviction frees beyond the bound
	cacheStale  = time.Hour // of a file that a crashed process left half-written
	tempPattern = "*.tmp"
)

func newCache(opt Options) *cache {
	if opt.Cache == "" || opt.Malware.Len() > 0 { // lists change without a name
		return nil
	}
	c := &cache{dir: opt.Cache, most: opt.CacheBytes, now: opt.Now}
	c.suffix = fmt.Sprintf("version %d\nlocks %v\nsecrets %v\nconfig %v\nmalware %v\nlimits %+v\n", Version, opt.LockFiles, opt.Secrets, opt.Config, opt.Malware != nil, opt.Limits)
	return c
}

func (c *cache) path(diffID string) string {
	sum := sha256.Sum256([]byte(diffID + "\n" + c.suffix))
	return filepath.Join(c.dir, hex.EncodeToString(sum[:])+cacheExt)
}

// get returns the record of a layer, or nil. A damaged file is removed.
func (c *cache) get(diffID string) *record {
	if c == nil || diffID == "" {
		return nil
	}
	name := c.path(diffID)
	b, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	r, err := decodeRecord(b)
	if err != nil {
		_ = os.Remove(name)
		return nil
	}
	now := time.Unix(0, c.now())
	_ = os.Chtimes(name, now, now) // its last use
	return r
}

// put keeps a record and makes room for it.
func (c *cache) put(diffID string, r *record) {
	if c == nil || diffID == "" {
		return
	}
	b, err := encodeRecord(r)
	if err != nil || int64(len(b)) > c.most/2 {
		return
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return
	}
	f, err := os.CreateTemp(c.dir, tempPattern)
	if err != nil {
		return
	}
	_, err = f.Write(b)
	err = cmp.Or(err, f.Close())
	now := time.Unix(0, c.now())
	if err == nil {
		err = errors.Join(os.Chtimes(f.Name(), now, now), os.Rename(f.Name(), c.path(diffID)))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return
	}
	c.evict()
}

// evict removes the least recently used records until the directory is well below its bound.
func (c *cache) evict() {
	list, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	var all []fs.FileInfo
	var total int64
	stale := time.Unix(0, c.now()).Add(-cacheStale)
	for _, e := range list {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue // another process was quicker
		}
		switch {
		case strings.HasSuffix(e.Name(), cacheExt):
			all = append(all, info)
			total += info.Size()
		case strings.HasSuffix(e.Name(), ".tmp") && info.ModTime().Before(stale):
			_ = os.Remove(filepath.Join(c.dir, e.Name()))
		}
	}
	if total <= c.most {
		return
	}
	slices.SortFunc(all, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, info := range all {
		if total <= c.most-c.most/100*cacheSpare {
			return
		}
		if os.Remove(filepath.Join(c.dir, info.Name())) == nil {
			total -= info.Size()
		}
	}
}

func encodeRecord(r *record) ([]byte, error) {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(r); err != nil {
		return nil, err
	}
	packed := s2.Encode(nil, b.Bytes())
	sum := sha256.Sum256(packed)
	out := make([]byte, 0, len(cacheMagic)+len(sum)+len(packed))
	return append(append(append(out, cacheMagic...), sum[:]...), packed...), nil
}

var errRecord = errors.New("damaged record")

func decodeRecord(b []byte) (*record, error) {
	b, ok := bytes.CutPrefix(b, []byte(cacheMagic))
	if !ok || len(b) < sha256.Size {
		return nil, errRecord
	}
	packed := b[sha256.Size:]
	if sha256.Sum256(packed) != [sha256.Size]byte(b) {
		return nil, errRecord
	}
	if n, err := s2.DecodedLen(packed); err != nil || n > maxRecord {
		return nil, errRecord
	}
	plain, err := s2.Decode(nil, packed)
	if err != nil {
		return nil, errRecord
	}
	var r record
	if err := gob.NewDecoder(bytes.NewReader(plain)).Decode(&r); err != nil {
		return nil, errRecord
	}
	return &r, nil
}
