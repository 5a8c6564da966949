package catalog

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/config"
	"github.com/dockreeve/dockreeve/scan/malware"
	"github.com/dockreeve/dockreeve/scan/secret"
)

const (
	inMemory = 4 << 20 // what a parser with random access gets from memory; more is spilled
	maxGaps  = 1000    // gaps of single files per layer
	maxPurge = 1 << 25 // steps that directories replaced by something else may cost
	maxLate  = 100_000 // files per layer that are only known by another name
)

// walker turns the entries of one layer, or of a tree, into a record. It is used by
// one goroutine.
type walker struct {
	opt     Options
	secrets *secret.Detector // nil = not asked for
	r       record

	at      map[uint64]int // wanted files by hash of their path, into r.Files
	above   map[uint64]bool
	empty   []int          // places in r.Files that were forgotten
	purged  int            // steps spent on directories that became something else
	links   map[uint64]int // into r.Links
	count   int            // packages so far
	total   *atomic.Int64  // packages of all layers so far; nil = there is only this one
	again   map[string]kind
	late    map[string]string // wanted files by the name of the file that holds their bytes, see hardlink
	buf     []byte            // reused
	piece   []byte            // see chunk
	passing bool              // some gap is the fault of this moment, not of the layer: not to be cached
	byName  bool              // the current file is not looked at for being a program
	hash    *malware.Hasher
	skipped map[string]int // what bounds cut off, by reason
}

func newWalker(opt Options, secrets *secret.Detector) *walker {
	w := &walker{opt: opt, secrets: secrets, at: map[uint64]int{}, above: map[uint64]bool{}, links: map[uint64]int{}, skipped: map[string]int{}}
	if opt.Malware != nil {
		w.hash = opt.Malware.Hasher()
	}
	return w
}

func (w *walker) gap(what, reason, remedy string) {
	if len(w.r.Gaps) >= maxGaps {
		w.skipped["more files could not be read"]++
		return
	}
	w.r.Gaps = append(w.r.Gaps, scan.Gap{What: what, Reason: reason, Remedy: remedy, Unread: true})
}

// layer walks a layer to its end and returns the digest of its uncompressed bytes. What
// was read before an error stays in the record.
func (w *walker) layer(ctx context.Context, open func() (io.ReadCloser, error)) (diffID string, err error) {
	src, err := open()
	if err != nil {
		return "", err
	}
	defer src.Close()
	s := newStream(ctx, src, w.opt.Limits)
	defer s.close()
	tr := tar.NewReader(s)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", w.broken(s, err)
		}
		if err := w.entry(h, s, tr); errors.Is(err, io.ErrUnexpectedEOF) {
			return "", w.broken(s, err)
		} else if err != nil {
			return "", err
		}
	}
	if err := s.drain(); err != nil {
		return "", err
	}
	w.r.Size = s.n
	if len(w.again)+len(w.late) > 0 {
		if err := w.secondPass(ctx, open); err != nil {
			return "", err
		}
	}
	return "sha256:" + hex.EncodeToString(s.sum[:]), nil
}

// broken words an error of the tar reader: where the stream itself failed, that is the cause.
func (w *walker) broken(s *stream, err error) error {
	if s.err != nil && s.err != io.EOF {
		return s.err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the tar ends in the middle of an entry, after %d entries", w.r.Entries)
	}
	return fmt.Errorf("not a tar after %d entries and %d bytes: %w", w.r.Entries, s.pos, err)
}

// entry takes one tar entry.
func (w *walker) entry(h *tar.Header, s *stream, tr *tar.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	if w.r.Entries++; w.r.Entries > w.opt.Limits.Entries {
		return bound("more than %d entries", w.opt.Limits.Entries)
	}
	if w.purged > maxPurge {
		return bound("directories become files again and again")
	}
	p, ok := cleanPath(h.Name)
	if !ok {
		w.skipped["names that climb out of the image or are too long"]++
		return nil
	}
	if p == "" {
		return nil
	}
	if base := p[strings.LastIndexByte(p, '/')+1:]; strings.HasPrefix(base, ".wh.") {
		w.whiteout(p, base)
		return nil
	}
	e := config.Entry{Path: p, Mode: h.FileInfo().Mode(), UID: h.Uid, GID: h.Gid, Size: h.Size}
	sparse := h.Typeflag == tar.TypeGNUSparse || h.PAXRecords != nil && slices.ContainsFunc(sparseRecords[:], func(k string) bool { _, ok := h.PAXRecords[k]; return ok })
	switch h.Typeflag {
	case tar.TypeDir:
		w.dir(p, e)
	case tar.TypeSymlink:
		w.symlink(p, h.Linkname, e)
	case tar.TypeLink:
		w.hardlink(p, h.Linkname)
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		var c content = &tarContent{s: s, left: h.Size}
		if sparse {
			if h.Size > w.opt.Limits.FileBytes { // mostly holes: nothing that installs itself is stored so
				w.replace(p)
				if want(p, h.Size) != unwanted {
					w.gap(p, fmt.Sprintf("a sparse file of %d bytes, more than the bound of %d", h.Size, w.opt.Limits.FileBytes), "")
				}
				return nil
			}
			c = &sparseContent{r: tr, left: h.Size}
		}
		return w.regular(p, h.Mode, e, c)
	default:
		w.replace(p) // devices, fifos
	}
	return nil
}

var sparseRecords = [...]string{"GNU.sparse.major", "GNU.sparse.map", "GNU.sparse.size", "GNU.sparse.realsize"}

func (w *walker) whiteout(p, base string) {
	dir := strings.TrimSuffix(strings.TrimSuffix(p, base), "/")
	switch {
	case base == ".wh..wh..opq":
		if len(w.r.Opaque) >= w.opt.Limits.Links {
			w.skipped["opaque directories"]++
			return
		}
		w.r.Opaque = append(w.r.Opaque, dir)
	case strings.HasPrefix(base, ".wh..wh."), base == ".wh.": // bookkeeping of a file system
	default:
		if len(w.r.Gone) >= w.opt.Limits.Entries/4 {
			w.skipped["whiteouts"]++
			return
		}
		w.r.Gone = append(w.r.Gone, path.Join(dir, base[len(".wh."):]))
	}
}

func (w *walker) dir(p string, e config.Entry) {
	x := hashPath(p)
	w.r.Dirs = append(w.r.Dirs, x)
	delete(w.links, x)
	w.forget(x)
	if w.opt.Config {
		w.r.Facts.Observe(e)
	}
}

func (w *walker) symlink(p, target string, e config.Entry) {
	x := w.replace(p)
	if len(target) > 4096 || strings.IndexByte(target, 0) >= 0 {
		w.skipped["links with targets that are too long"]++
		return
	}
	if len(w.r.Links) < w.opt.Limits.Links {
		w.links[x] = len(w.r.Links)
		w.r.Links = append(w.r.Links, link{strings.Clone(p), strings.Clone(target)})
	} else {
		w.skipped["symbolic links"]++
	}
	if w.opt.Config {
		w.r.Facts.Observe(e)
	}
}

func (w *walker) hardlink(p, target string) {
	w.replace(p)
	t, ok := cleanPath(target)
	if !ok || t == "" || t == p {
		w.skipped["hard links that point out of the image"]++
		return
	}
	if want(p, 1) == unwanted && !loadable(p, 0o111) {
		return
	}
	if len(w.r.Hard) >= w.opt.Limits.Links {
		w.skipped["hard links"]++
		return
	}
	w.r.Hard = append(w.r.Hard, link{strings.Clone(p), strings.Clone(t)})
	// Stores of package managers keep files under names that say nothing, and link them
	// to where they are installed: which parser they are for, only the link tells.
	k := want(p, 1)
	if k == unwanted || k == lockFile && !w.opt.LockFiles || k == want(t, 1) {
		return
	}
	if len(w.late) >= maxLate {
		w.skipped["hard links"]++
		return
	}
	if w.late == nil {
		w.late = map[string]string{}
	}
	w.late[strings.Clone(p)] = strings.Clone(t)
}

// replace notes that p is no directory, and forgets what this layer said of it before.
func (w *walker) replace(p string) uint64 {
	x := hashPath(p)
	w.r.Plain = append(w.r.Plain, x)
	delete(w.links, x)
	delete(w.again, p)
	delete(w.late, p)
	w.forget(x)
	if w.above[x] { // a directory with wanted files becomes something else
		w.purged += len(w.r.Files)
		for i := range w.r.Files {
			at := w.r.Files[i].Path
			if !strings.HasPrefix(at, p) || len(at) <= len(p) || at[len(p)] != '/' {
				continue
			}
			w.forget(hashPath(at))
		}
	}
	return x
}

func (w *walker) forget(x uint64) {
	if i, ok := w.at[x]; ok {
		w.count -= len(w.r.Files[i].Packages)
		w.r.Files[i] = file{}
		w.empty = append(w.empty, i)
		delete(w.at, x)
	}
}

// keep adds a parsed file.
func (w *walker) keep(f file) {
	x := hashPath(f.Path)
	if len(w.at) >= w.opt.Limits.Files {
		w.skipped["parsed files"]++
		return
	}
	if w.count+len(f.Packages) > w.opt.Limits.Packages {
		w.skipped["packages"] += len(f.Packages)
		return
	}
	if w.total != nil && w.total.Add(int64(len(f.Packages))) > int64(w.opt.Limits.ImagePackages) {
		w.passing = true // other layers have used it up
		w.skipped["packages"] += len(f.Packages)
		return
	}
	w.count += len(f.Packages)
	f.Path = strings.Clone(f.Path)
	if n := len(w.empty); n > 0 {
		w.at[x] = w.empty[n-1]
		w.empty = w.empty[:n-1]
		w.r.Files[w.at[x]] = f
	} else {
		w.at[x] = len(w.r.Files)
		w.r.Files = append(w.r.Files, f)
	}
	for d := path.Dir(f.Path); d != "."; d = path.Dir(d) {
		y := hashPath(d)
		if w.above[y] {
			break
		}
		w.above[y] = true
	}
}

// regular takes a regular file: whoever wants its bytes gets them while they pass.
func (w *walker) regular(p string, mode int64, e config.Entry, c content) error {
	x := w.replace(p)
	if w.opt.Config {
		w.r.Facts.Observe(e)
	}
	size := c.size()
	if size > 0 && loadable(p, mode) {
		w.r.Loads = append(w.r.Loads, x)
	}
	k := want(p, size)
	if k == lockFile && !w.opt.LockFiles {
		k = unwanted
	}
	secret := w.secrets != nil && w.secrets.Want(p, size)
	facts := w.opt.Config && w.r.Facts.WantContent(p, size)
	hash := w.opt.Malware != nil && w.opt.Malware.WantHash(size)
	if hash {
		w.hash.Reset()
		c = &hashedContent{c, w.hash}
	}
	var err error
	switch {
	case k >= rpmSQLite && k <= rpmBDB, k == javaArchive:
		err = w.random(p, k, c)
	case k != unwanted || secret || facts:
		err = w.text(p, k, secret, facts, c)
	case size >= 64 && !w.byName:
		err = w.maybeProgram(p, c)
	}
	if err != nil || !hash {
		return err
	}
	for c.rest() > 0 { // what no parser asked for
		if _, err := c.next(chunkBytes); err != nil {
			return err
		}
	}
	if m, ok := w.hash.Found(p); ok {
		if len(w.r.Malware) < factMax {
			w.r.Malware = append(w.r.Malware, m)
		} else {
			w.skipped["files on malware lists"]++
		}
	}
	return nil
}

// text parses a file that fits into memory.
func (w *walker) text(p string, k kind, secret, facts bool, c content) error {
	if c.size() > w.opt.Limits.FileBytes {
		w.gap(p, fmt.Sprintf("%d bytes, more than the bound of %d", c.size(), w.opt.Limits.FileBytes), "")
		return nil
	}
	b, err := w.read(c)
	if err != nil {
		return err
	}
	if secret {
		w.findSecrets(p, b)
	}
	if facts {
		w.r.Facts.Content(p, 0, b)
	}
	if k == unwanted {
		if programMagic(b) {
			w.heldProgram(p, b)
		}
		return nil
	}
	w.parse(p, k, b)
	return nil
}

// parse reads a file that is in memory whole.
func (w *walker) parse(p string, k kind, b []byte) {
	f := file{Path: p, Kind: k}
	if err := parse(&f, b); err != nil {
		w.gap(p, err.Error(), "")
	}
	if len(f.Packages) > 0 || f.Distro != nil || len(f.Owns) > 0 {
		w.keep(f)
	}
}

// findSecrets keeps what the detector finds; a layer's files are bounded as a whole.
func (w *walker) findSecrets(p string, b []byte) {
	for _, s := range w.secrets.Find(p, b) {
		if len(w.r.Secrets) >= factMax {
			w.skipped["secrets"]++
			continue
		}
		w.r.Secrets = append(w.r.Secrets, s)
	}
}

// read returns the whole of a file in a buffer that the next call reuses. A big one is
// not held on to.
func (w *walker) read(c content) ([]byte, error) {
	size := c.size()
	buf := w.buf[:0]
	if int64(cap(buf)) < size {
		buf = make([]byte, 0, max(64<<10, size+size/4))
		if size <= inMemory {
			w.buf = buf
		}
	}
	for c.rest() > 0 {
		b, err := c.next(c.rest())
		if err != nil {
			return nil, err
		}
		buf = append(buf, b...)
	}
	return buf, nil
}

// random parses a file that has to be read out of order.
func (w *walker) random(p string, k kind, c content) error {
	size := c.size()
	if size > w.opt.Limits.SpillBytes {
		w.gap(p, fmt.Sprintf("%d bytes, more than the bound of %d", size, w.opt.Limits.SpillBytes), "")
		return nil
	}
	if size <= inMemory {
		b, err := w.read(c)
		if err != nil {
			return err
		}
		w.parseRandom(p, k, bytes.NewReader(b), size)
		return nil
	}
	f, err := os.CreateTemp(w.opt.Temp, "dockreeve-*")
	if err != nil {
		w.passing = true
		w.gap(p, "no room to read it: "+err.Error(), "make the temporary directory writable")
		return nil
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil { // no name: it goes with the process, whatever happens
		return fmt.Errorf("temporary file: %w", err)
	}
	for c.rest() > 0 {
		b, err := c.next(c.rest())
		if err != nil {
			return err
		}
		if _, err := f.Write(b); err != nil {
			w.passing = true
			w.gap(p, "no room to read it: "+err.Error(), "free space in the temporary directory")
			return nil
		}
	}
	w.parseRandom(p, k, f, size)
	return nil
}

func (w *walker) parseRandom(p string, k kind, r io.ReaderAt, size int64) {
	f := file{Path: p, Kind: k}
	err := parseAt(&f, r, size, w.opt.Limits)
	if err != nil {
		w.gap(p, err.Error(), "")
	}
	if len(f.Packages) > 0 || len(f.Owns) > 0 {
		w.keep(f)
	}
}

// secondPass reads the layer again for the few programs whose facts lie before the
// place that tells of them, and which are too big to have been held; and for files that
// a later hard link has told to be something else than their name says.
func (w *walker) secondPass(ctx context.Context, open func() (io.ReadCloser, error)) error {
	src, err := open()
	if err != nil {
		w.passing = true
		for p := range w.again {
			w.gap(p, "the layer could not be opened a second time: "+err.Error(), "")
		}
		for p := range w.late {
			w.gap(p, "the layer could not be opened a second time: "+err.Error(), "")
		}
		return nil
	}
	defer src.Close()
	s := newStream(ctx, src, w.opt.Limits)
	defer s.close()
	tr := tar.NewReader(s)
	names := map[string][]string{}
	for p, t := range w.late {
		names[t] = append(names[t], p)
	}
	for len(w.again)+len(names) > 0 {
		h, err := tr.Next()
		if err == io.EOF && len(w.again) == 0 {
			return nil // what is left links to layers below; merge says so
		}
		if err != nil {
			return w.broken(s, err)
		}
		p, _ := cleanPath(h.Name)
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if of, ok := names[p]; ok {
			delete(names, p)
			slices.Sort(of)
			if err := w.linked(of, &tarContent{s: s, left: h.Size}); err != nil {
				return err
			}
			continue
		}
		if _, ok := w.again[p]; !ok {
			continue
		}
		delete(w.again, p)
		if err := w.random(p, program, &tarContent{s: s, left: h.Size}); err != nil {
			return err
		}
	}
	return nil
}

// linked parses one file under the names that hard links give it.
func (w *walker) linked(names []string, c content) error {
	k := want(names[0], c.size())
	if c.size() > w.opt.Limits.FileBytes || k >= rpmSQLite && k <= rpmBDB || k == javaArchive {
		for _, p := range names[1:] {
			w.gap(p, "a file with several names, of which one is read", "")
		}
		if k >= rpmSQLite && k <= rpmBDB || k == javaArchive {
			return w.random(names[0], k, c)
		}
		return w.text(names[0], k, false, false, c)
	}
	b, err := w.read(c)
	if err != nil {
		return err
	}
	for _, p := range names {
		if k := want(p, c.size()); k != unwanted {
			w.parse(p, k, b)
		}
	}
	return nil
}

// finish returns the record. The walker must not be used afterwards.
func (w *walker) finish() *record {
	r := &w.r
	r.Files = slices.DeleteFunc(r.Files, func(f file) bool { return f.Path == "" })
	r.Links = slices.DeleteFunc(r.Links, func(l link) bool { _, ok := w.links[hashPath(l.Path)]; return !ok })
	r.Plain, r.Dirs, r.Loads = r.Plain.sorted(), r.Dirs.sorted(), r.Loads.sorted()
	for i := range r.Files {
		r.settle(&r.Files[i])
	}
	for _, reason := range sortedKeys(w.skipped) {
		r.Gaps = append(r.Gaps, scan.Gap{What: fmt.Sprintf("%d %s", w.skipped[reason], reason), Reason: "beyond the bounds of the reader", Unread: true})
	}
	return r
}

// settle drops the candidates for loads which this layer holds as something else.
func (r *record) settle(f *file) {
	if f.Kind == rpmSQLite || f.Kind == rpmNDB || f.Kind == rpmBDB {
		return // the database says which are programs
	}
	for i := range f.Owns {
		o := &f.Owns[i]
		o.Files = slices.DeleteFunc(o.Files, func(p string) bool {
			x := hashPath(p)
			return r.Plain.has(x) && !r.Loads.has(x)
		})
	}
}

// content is the bytes of one file, in order, once.
type content interface {
	size() int64
	rest() int64
	// next returns up to n of the next bytes, at least one, valid until the next call.
	next(n int64) ([]byte, error)
}

type tarContent struct {
	s          *stream
	left, used int64
}

func (c *tarContent) size() int64 { return c.left + c.used }
func (c *tarContent) rest() int64 { return c.left }
func (c *tarContent) next(n int64) ([]byte, error) {
	b, err := c.s.take(min(n, c.left))
	c.left -= int64(len(b))
	c.used += int64(len(b))
	return b, err
}

// sparseContent reads through the tar reader, which fills the holes.
type sparseContent struct {
	r          io.Reader
	left, used int64
	buf        [4096]byte
}

func (c *sparseContent) size() int64 { return c.left + c.used }
func (c *sparseContent) rest() int64 { return c.left }
func (c *sparseContent) next(n int64) ([]byte, error) {
	m, err := io.ReadFull(c.r, c.buf[:min(n, c.left, int64(len(c.buf)))])
	c.left -= int64(m)
	c.used += int64(m)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return c.buf[:m], err
}

type hashedContent struct {
	content
	h *malware.Hasher
}

func (c *hashedContent) next(n int64) ([]byte, error) {
	b, err := c.content.next(n)
	_, _ = c.h.Write(b)
	return b, err
}

func sortedKeys(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
