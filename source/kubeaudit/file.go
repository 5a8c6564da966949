package kubeaudit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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
)

// FileOptions say which log to follow.
type FileOptions struct {
	// Path is the log of one API server, as its flag --audit-log-path names it. It need not
	// be there yet. Rotated files are looked for beside it, by its name without extension:
	// audit.log → audit-2026….log, audit.log.1, audit.log.2.gz.
	Path    string
	Cluster string // "" = Options.Cluster
	// Checkpoints keeps where the reading stands; nil: nowhere, each start is a first start.
	Checkpoints Checkpoints
	// AtEnd makes a first start (no checkpoint) begin at the end of the log and not at its
	// beginning; rotated files are then not read.
	AtEnd bool
	Poll  time.Duration // how often to look for more; 0 = 250 ms
}

// File follows one audit log through rotation, by renaming or by copying and truncating.
type File struct {
	in   *Intake
	opt  FileOptions
	src  Source
	f    *os.File
	mark mark // of f
	b    *batch
	s    *splitter
	read int64 // bytes of f read so far

	saved mark
}

// File returns a way in that follows a log. Its hop is named file.
func (in *Intake) File(opt FileOptions) *File {
	if opt.Poll <= 0 {
		opt.Poll = 250 * time.Millisecond
	}
	src := Source{Way: "file", Cluster: opt.Cluster}
	if src.Cluster == "" {
		src.Cluster = in.opt.Cluster
	}
	return &File{in: in, opt: opt, src: src}
}

// mark is where the reading of one file stands.
type mark struct {
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
	Offset int64  `json:"offset"` // of plain text: before it, everything was handed on
	Head   string `json:"head"`   // SHA-256 of its first HeadLen bytes
	Len    int    `json:"headLen"`
}

// headMax is how many bytes tell a file from another one with the same inode.
const headMax = 1024

// Run follows the log until ctx is done, whose error it returns, or the log cannot be
// read. What the handler cannot take is offered again until it can; nothing is read
// meanwhile. A checkpoint that cannot be loaded is an error; one that cannot be saved is
// counted, and the reading goes on.
func (f *File) Run(ctx context.Context) error {
	defer f.close()
	m, known, err := f.load(ctx)
	if err != nil {
		return err
	}
	if known {
		err = f.catchUp(ctx, m, time.Time{})
	} else {
		err = f.begin(ctx)
	}
	for err == nil {
		if err = f.step(ctx); err == nil {
			err = f.in.wait(ctx, f.opt.Poll)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (f *File) key() string { return "file:" + f.opt.Path }

func (f *File) load(ctx context.Context) (m mark, known bool, err error) {
	if f.opt.Checkpoints == nil {
		return m, false, nil
	}
	b, err := f.opt.Checkpoints.Load(ctx, f.key())
	if err != nil || b == nil {
		return m, false, err
	}
	if err := json.Unmarshal(b, &m); err != nil || m.Offset < 0 || m.Len < 0 || m.Len > headMax {
		f.in.trouble("file", "checkpoint", fmt.Errorf("the checkpoint of %s cannot be understood: beginning at the log's beginning", f.opt.Path))
		return mark{}, true, nil
	}
	return m, true, nil
}

// save keeps where the reading stands, when that has moved.
func (f *File) save(ctx context.Context) {
	if f.f == nil || f.opt.Checkpoints == nil {
		return
	}
	m := f.mark
	m.Offset = f.s.pos
	if m == f.saved {
		return
	}
	b, err := json.Marshal(m)
	if err == nil {
		err = f.opt.Checkpoints.Save(ctx, f.key(), b)
	}
	if err != nil {
		f.in.trouble("file", "checkpoint", err)
		return
	}
	f.saved = m
}

func (f *File) close() {
	if f.f != nil {
		_ = f.f.Close()
		f.f = nil
	}
}

// begin is a first start.
func (f *File) begin(ctx context.Context) error {
	ok, err := f.open(0)
	if err != nil || !ok || !f.opt.AtEnd {
		return err
	}
	end, err := f.f.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("reading %s: %w", f.opt.Path, err)
	}
	// Behind the last whole line, so that half of one is not taken for a broken one.
	end, err = lineStart(f.f, end)
	if err != nil {
		return fmt.Errorf("reading %s: %w", f.opt.Path, err)
	}
	f.read, f.s.pos = end, end
	f.save(ctx)
	return nil
}

// lineStart returns where the line that holds byte end begins, looking back at most 1 MiB.
func lineStart(r io.ReaderAt, end int64) (int64, error) {
	from := max(0, end-MaxEvent)
	buf := make([]byte, end-from)
	if _, err := r.ReadAt(buf, from); err != nil && err != io.EOF {
		return 0, err
	}
	if n := bytes.LastIndexByte(buf, '\n'); n >= 0 {
		return from + int64(n) + 1, nil
	}
	return end - int64(len(buf)), nil
}

// open opens the log at an offset. It reports false when it is not there.
func (f *File) open(offset int64) (bool, error) {
	f.close()
	file, err := os.Open(f.opt.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("opening the audit log: %w", err)
	}
	m, err := markOf(file)
	if err != nil {
		_ = file.Close()
		return false, fmt.Errorf("reading %s: %w", f.opt.Path, err)
	}
	f.f, f.mark, f.read = file, m, offset
	f.b = f.in.batch("file")
	f.s = &splitter{b: f.b, src: f.src, pos: offset}
	return true, nil
}

// markOf says which file this is.
func markOf(f *os.File) (mark, error) {
	info, err := f.Stat()
	if err != nil {
		return mark{}, err
	}
	if !info.Mode().IsRegular() {
		return mark{}, errors.New("not a regular file: read it with -")
	}
	m := mark{}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		m.Device, m.Inode = uint64(st.Dev), st.Ino
	}
	m.Head, m.Len, err = headOf(f, headMax)
	return m, err
}

// headOf hashes the first n bytes, or what there is.
func headOf(r io.ReaderAt, n int) (string, int, error) {
	buf := make([]byte, n)
	got, err := r.ReadAt(buf, 0)
	if err != nil && err != io.EOF {
		return "", 0, err
	}
	sum := sha256.Sum256(buf[:got])
	return hex.EncodeToString(sum[:16]), got, nil
}

// step takes in what the log has more, and follows a rotation.
func (f *File) step(ctx context.Context) error {
	if f.f == nil {
		if ok, err := f.open(0); err != nil || !ok {
			return err
		}
	}
	info, err := f.f.Stat()
	if err != nil {
		return fmt.Errorf("reading %s: %w", f.opt.Path, err)
	}
	same, err := f.sameHead(info.Size())
	if err != nil {
		return fmt.Errorf("reading %s: %w", f.opt.Path, err)
	}
	if !same || info.Size() < f.read { // truncated in place: the rest is in a copy
		m := f.mark
		m.Offset = f.s.pos
		return f.catchUp(ctx, m, time.Time{})
	}
	if err := f.pull(ctx); err != nil {
		return err
	}
	now, err := os.Stat(f.opt.Path)
	if err == nil && os.SameFile(now, info) {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking at the audit log: %w", err)
	}
	if err != nil {
		return nil // renamed; the new one is not there yet, and the old one may grow
	}
	if err := f.pull(ctx); err != nil { // what was written between
		return err
	}
	if info, err = f.f.Stat(); err != nil {
		return fmt.Errorf("reading %s: %w", f.opt.Path, err)
	}
	m := f.mark
	m.Offset = f.s.pos
	return f.catchUp(ctx, m, info.ModTime())
}

// sameHead reports whether the open file still begins as it did, and learns more of its
// beginning while it is short.
func (f *File) sameHead(size int64) (bool, error) {
	if size < int64(f.mark.Len) {
		return false, nil
	}
	head, _, err := headOf(f.f, f.mark.Len)
	if err != nil || head != f.mark.Head {
		return false, err
	}
	if f.mark.Len < headMax && size > int64(f.mark.Len) {
		f.mark.Head, f.mark.Len, err = headOf(f.f, headMax)
	}
	return true, err
}

// pull reads the open file to its present end.
func (f *File) pull(ctx context.Context) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := f.f.ReadAt(buf, f.read)
		if n > 0 {
			f.read += int64(n)
			part := buf[:n]
			if err := f.in.again(ctx, "file", func() error {
				p := part
				part = nil
				return f.s.write(ctx, p)
			}); err != nil {
				return err
			}
			if err := f.b.done(ctx); err != nil {
				return err
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", f.opt.Path, err)
		}
	}
	f.save(ctx)
	return nil
}

// catchUp goes on from a mark whose file may have been rotated away: the rest of it, then
// whole files that came after it, then the log from its beginning. drained says that the
// file was read to its end, which was written at that time; zero: it was not.
func (f *File) catchUp(ctx context.Context, m mark, drained time.Time) error {
	files, err := f.family()
	if err != nil {
		return err
	}
	at := slices.IndexFunc(files, func(s sibling) bool { return s.is(m, true) })
	if at < 0 {
		at = slices.IndexFunc(files, func(s sibling) bool { return s.is(m, false) })
	}
	if at >= 0 && files[at].path == f.opt.Path {
		_, err := f.open(m.Offset)
		return err
	}
	last := f.s
	f.b = f.in.batch("file")
	if at < 0 && !drained.IsZero() { // removed already, but nothing of it is missing
		last.b = f.b
		err := f.in.again(ctx, "file", func() error {
			if err := last.finish(ctx); err != nil {
				return err
			}
			return f.b.done(ctx)
		})
		if err != nil {
			return err
		}
		at = slices.IndexFunc(files, func(s sibling) bool { return s.path == f.opt.Path || s.modified.After(drained) })
		m = mark{}
	}
	if at < 0 {
		// The file is gone: how much of it was not read cannot be known.
		if m != (mark{}) {
			f.b.lose("rotated_away")
			if err := f.b.done(ctx); err != nil {
				return err
			}
		}
	} else {
		for i, s := range files[at:] {
			if s.path == f.opt.Path {
				continue
			}
			skip := int64(0)
			if i == 0 {
				skip = m.Offset
			}
			if err := f.whole(ctx, s.path, skip); err != nil {
				return err
			}
		}
	}
	_, err = f.open(0)
	if err == nil {
		f.save(ctx)
	}
	return err
}

// whole reads a rotated file to its end.
func (f *File) whole(ctx context.Context, path string, skip int64) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		f.b.lose("rotated_away")
		return f.b.done(ctx)
	}
	if err != nil {
		return fmt.Errorf("opening a rotated audit log: %w", err)
	}
	defer file.Close()
	s := &splitter{b: f.b, src: f.src}
	if err := f.in.pour(ctx, s, file, maxInflated, skip); err != nil {
		return err
	}
	return f.in.again(ctx, "file", func() error {
		if err := s.finish(ctx); err != nil {
			return err
		}
		return f.b.done(ctx)
	})
}

// sibling is the log or one of its rotated files.
type sibling struct {
	path     string
	modified time.Time
	mark     mark
	packed   bool
}

// maxSiblings bounds how many rotated files are looked at, the newest.
const maxSiblings = 1000

// family returns the rotated files, oldest first, and the log last.
func (f *File) family() ([]sibling, error) {
	dir, base := filepath.Split(f.opt.Path)
	if dir == "" {
		dir = "."
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for rotated audit logs: %w", err)
	}
	stem := strings.TrimSuffix(base, filepath.Ext(base))
	var out []sibling
	for _, e := range entries {
		name := e.Name()
		rest, ok := strings.CutPrefix(name, stem)
		if !ok || !e.Type().IsRegular() || name != base && !strings.HasPrefix(name, base) && !strings.HasPrefix(rest, "-") {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // gone meanwhile
		}
		out = append(out, sibling{path: filepath.Join(dir, name), modified: info.ModTime()})
	}
	slices.SortFunc(out, func(a, b sibling) int {
		if an, bn := filepath.Base(a.path) == base, filepath.Base(b.path) == base; an != bn {
			if an {
				return 1
			}
			return -1
		}
		if c := a.modified.Compare(b.modified); c != 0 {
			return c
		}
		return strings.Compare(a.path, b.path)
	})
	if n := len(out) - maxSiblings; n > 0 {
		out = out[n:]
	}
	for i := range out {
		s := &out[i]
		if filepath.Base(s.path) == base {
			s.path = f.opt.Path
		}
		file, err := os.Open(s.path)
		if err != nil {
			continue
		}
		s.mark, _ = markOf(file)
		head := make([]byte, 3)
		n, _ := file.ReadAt(head, 0)
		s.packed = compressed(head[:n])
		_ = file.Close()
	}
	return out, nil
}

// is reports whether this is the file of a mark: by its inode and head, or (of a copy, or
// a compressed one) by its head alone.
func (s sibling) is(m mark, inode bool) bool {
	if inode && (s.mark.Device != m.Device || s.mark.Inode != m.Inode || m.Inode == 0) || !inode && m.Len == 0 {
		return false
	}
	file, err := os.Open(s.path)
	if err != nil {
		return false
	}
	defer file.Close()
	if !s.packed {
		head, n, err := headOf(file, m.Len)
		info, e := file.Stat()
		return err == nil && e == nil && n == m.Len && head == m.Head && info.Size() >= m.Offset
	}
	head, err := packedHead(file, m.Len)
	return err == nil && head == m.Head
}
