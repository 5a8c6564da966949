package kubeaudit

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxDocument bounds one document of a stream, in bytes: an event, an EventList, an
// envelope. A list at the top of a stream is no document: its elements are.
const maxDocument = 16 << 20

// maxInflated bounds what one compressed stream may grow to.
const maxInflated = 16 << 30

// splitter finds the documents of a stream: one a line, over several lines, one behind
// the other or in a list, with text between them that is none. However the bytes are cut
// into pieces, it finds the same. Not safe for concurrent use.
type splitter struct {
	b    *batch
	src  Source
	buf  []byte
	pos  int64 // place in the stream of buf[0]: everything before it is dealt with
	max  int   // maxDocument when 0
	scan scan
	fed  int // bytes of buf that scan has read

	skipping bool  // to the end of the line
	lines    int64 // up to here a document broke: lines stand alone
	eof      bool
}

// write takes more of the stream and hands on the documents that are whole. After an
// error, which is the handler's, write with nothing more tries again where it stopped.
func (s *splitter) write(ctx context.Context, p []byte) error {
	s.buf = append(s.buf, p...)
	return s.run(ctx)
}

// finish ends the stream: what is still open was cut off.
func (s *splitter) finish(ctx context.Context) error {
	s.eof = true
	if err := s.run(ctx); err != nil {
		return err
	}
	s.eof, s.skipping = false, false
	return nil
}

func (s *splitter) drop(n int) {
	s.buf = s.buf[n:]
	s.pos += int64(n)
	s.fed = 0
	s.scan.reset()
	if len(s.buf) == 0 {
		s.buf = s.buf[:0:0]
	}
}

func (s *splitter) run(ctx context.Context) error {
	limit := s.max
	if limit == 0 {
		limit = maxDocument
	}
	for len(s.buf) > 0 {
		if s.skipping {
			n := bytes.IndexByte(s.buf, '\n')
			if n < 0 {
				s.drop(len(s.buf))
				return nil
			}
			s.drop(n + 1)
			s.skipping = false
			continue
		}
		if s.fed == 0 {
			if n := s.between(); n > 0 {
				s.drop(n)
				continue
			}
			if s.buf[0] == 0xef && len(s.buf) < 3 && !s.eof {
				return nil // half a byte order mark
			}
			if s.buf[0] != '{' {
				if !s.line(limit) {
					return nil
				}
				continue
			}
		}
		if s.pos < s.lines {
			if err := s.alone(ctx); err != nil {
				return err
			}
			continue
		}
		n, done, err := s.scan.feed(s.buf[s.fed:min(len(s.buf), limit)])
		switch {
		case done:
			n += s.fed
			s.fed = 0
			s.scan.reset()
			if err := s.b.whole(ctx, s.buf[:n], s.src); err != nil {
				return err
			}
			s.drop(n)
		case err != nil:
			s.broken(s.fed + n)
		case len(s.buf) >= limit:
			s.b.lose("too_long")
			s.drop(limit)
			s.skipping = true
		case s.eof:
			s.b.lose("cut")
			s.lines = s.pos + int64(len(s.buf))
			s.firstLine()
		default:
			s.fed = len(s.buf)
			return nil
		}
	}
	return nil
}

// between returns how many bytes at the front stand between documents.
func (s *splitter) between() int {
	n := 0
	for n < len(s.buf) {
		switch s.buf[n] {
		case ' ', '\t', '\r', '\n', '[', ']', ',', 0: // zeros: a file cut short under its writer
			n++
			continue
		}
		break
	}
	if bytes.HasPrefix(s.buf[n:], []byte("\ufeff")) {
		n += 3
	}
	return n
}

// line drops a line that begins no document. It reports false when its end is not there.
func (s *splitter) line(limit int) bool {
	n := bytes.IndexByte(s.buf[:min(len(s.buf), limit)], '\n')
	switch {
	case n >= 0:
		n++
	case len(s.buf) >= limit:
		n = limit
		s.skipping = true
	case s.eof:
		n = len(s.buf)
	default:
		return false
	}
	switch {
	case s.pos < s.lines: // the rest of what broke, and counted there
	case klog(s.buf[:n]):
		s.b.lose("klog_text")
	default:
		s.b.lose("not_json")
	}
	s.drop(n)
	return true
}

// broken deals with a document that cannot go on at byte at. Its first line is lost;
// whole documents on the lines up to there are not.
func (s *splitter) broken(at int) {
	if first := bytes.IndexByte(s.buf[:at], '\n'); first < 0 && s.buf[at] != '\n' {
		s.b.lose("not_json")
		s.drop(at)
		s.skipping = true
		return
	}
	s.b.lose("cut")
	s.lines = s.pos + int64(bytes.LastIndexByte(s.buf[:at], '\n')+1)
	s.firstLine()
}

func (s *splitter) firstLine() {
	if n := bytes.IndexByte(s.buf, '\n'); n >= 0 {
		s.drop(n + 1)
	} else {
		s.drop(len(s.buf))
	}
}

// alone takes one line by itself.
func (s *splitter) alone(ctx context.Context) error {
	n := bytes.IndexByte(s.buf, '\n') + 1
	if n == 0 {
		n = len(s.buf)
	}
	if v, rest, err := s.b.p.value(s.buf[:n]); err == nil && len(bytes.Trim(rest, ", \t\r\n")) == 0 {
		if err := s.b.whole(ctx, v, s.src); err != nil {
			return err
		}
	}
	s.drop(n)
	return nil
}

// message takes one whole message, compressed or not, of one or several documents. After
// an error, which is the handler's, nothing of it is noted.
func (b *batch) message(ctx context.Context, data []byte, src Source) error {
	if compressed(data) {
		plain, err := gunzip(data, maxDocument)
		if err != nil {
			b.lose(gzipReason(err))
			return nil
		}
		data = plain
	}
	if len(bytes.TrimSpace(data)) == 0 {
		b.lose("empty")
		return nil
	}
	s := splitter{b: b, src: src}
	err := s.write(ctx, data)
	if err == nil {
		err = s.finish(ctx)
	}
	if err != nil {
		b.noted.clear()
	}
	return err
}

func compressed(b []byte) bool { return len(b) > 2 && b[0] == 0x1f && b[1] == 0x8b }

var errInflated = errors.New("more compressed text than is taken")

// gunzip inflates a whole text of at most limit bytes.
func gunzip(b []byte, limit int64) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(z, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(out)) > limit {
		return nil, errInflated
	}
	return out, nil
}

func gzipReason(err error) string {
	if errors.Is(err, errInflated) {
		return "gzip_too_big"
	}
	return "gzip_broken"
}

// again calls what until it has no error, which must be the handler's, with growing
// waits between. It returns only nil, or ctx's error.
func (in *Intake) again(ctx context.Context, way string, what func() error) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := what()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		in.trouble(way, "handler", err)
		if err := in.wait(ctx, wait); err != nil {
			return err
		}
	}
}

func (in *Intake) wait(ctx context.Context, d time.Duration) error {
	ring, stop := in.opt.Clock.After(d)
	select {
	case <-ring:
		return nil
	case <-ctx.Done():
		stop()
		return ctx.Err()
	}
}

// Reader takes in one stream to its end: standard input, an exported file.
type Reader struct {
	in       *Intake
	r        io.Reader
	source   Source
	inflated int64
}

// Reader returns a way in for one stream of any of the known shapes, compressed by gzip or
// not. Its hop is named reader.
func (in *Intake) Reader(r io.Reader) *Reader {
	return &Reader{in: in, r: r, source: Source{Way: "reader", Cluster: in.opt.Cluster}, inflated: maxInflated}
}

// Run takes the stream in until it ends (nil), cannot be read, or ctx is done. What the
// handler cannot take is offered again until it can.
func (r *Reader) Run(ctx context.Context) error {
	b := r.in.batch(r.source.Way)
	s := &splitter{b: b, src: r.source}
	p := newPatient(ctx, r.r)
	defer p.stop()
	if err := r.in.pour(ctx, s, p, r.inflated, 0); err != nil {
		return err
	}
	return r.in.again(ctx, b.way, func() error {
		if err := s.finish(ctx); err != nil {
			return err
		}
		return b.done(ctx)
	})
}

// patient reads from what may have nothing for a long time, until ctx is done. A read
// that is under way then cannot be called back: it ends by itself, and what it brings is
// not looked at.
type patient struct {
	ctx  context.Context
	want chan int // how much to read next
	got  chan chunk
	err  error
}

type chunk struct {
	b   []byte
	err error
}

func newPatient(ctx context.Context, r io.Reader) *patient {
	p := &patient{ctx: ctx, want: make(chan int), got: make(chan chunk, 1)}
	go func() {
		buf := make([]byte, 64<<10)
		for n := range p.want {
			n, err := r.Read(buf[:min(n, len(buf))])
			p.got <- chunk{buf[:n], err}
		}
	}()
	return p
}

// stop ends the reading; nothing may be read after it.
func (p *patient) stop() { close(p.want) }

func (p *patient) Read(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	if len(b) == 0 {
		return 0, nil
	}
	select {
	case p.want <- len(b):
	case <-p.ctx.Done():
		p.err = p.ctx.Err()
		return 0, p.err
	}
	select {
	case c := <-p.got:
		return copy(b, c.b), c.err
	case <-p.ctx.Done():
		p.err = p.ctx.Err()
		return 0, p.err
	}
}

// pour writes a stream to its end into a splitter, inflating it when it is compressed,
// from byte skip of the plain text on.
func (in *Intake) pour(ctx context.Context, s *splitter, r io.Reader, limit, skip int64) error {
	head := make([]byte, 3)
	n, err := io.ReadFull(r, head)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return fmt.Errorf("reading the %s: %w", s.b.way, err)
	}
	r = io.MultiReader(bytes.NewReader(head[:n]), r)
	packed := compressed(head[:n])
	if packed {
		z, err := gzip.NewReader(r)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			s.b.lose("gzip_broken")
			return nil
		}
		r = z
	}
	if skip > 0 {
		if _, err := io.CopyN(io.Discard, r, skip); err == io.EOF {
			return nil
		} else if err != nil && packed {
			s.b.lose("gzip_broken")
			return nil
		} else if err != nil {
			return fmt.Errorf("reading the %s: %w", s.b.way, err)
		}
		s.pos = skip
	}
	buf := make([]byte, 64<<10)
	for left := limit; ; {
		n, err := r.Read(buf)
		if left -= int64(n); packed && left < 0 {
			s.b.lose("gzip_too_big")
			return nil
		}
		if n > 0 {
			part := buf[:n]
			if err := in.again(ctx, s.b.way, func() error {
				p := part
				part = nil
				return s.write(ctx, p)
			}); err != nil {
				return err
			}
			if err := s.b.done(ctx); err != nil {
				return err
			}
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == io.EOF:
			return nil
		case err != nil && packed:
			s.b.lose("gzip_broken")
			return nil
		case err != nil:
			return fmt.Errorf("reading the %s: %w", s.b.way, err)
		}
	}
}

// packedHead hashes the first n bytes of the plain text of a compressed one.
func packedHead(r io.Reader, n int) (string, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return "", err
	}
	plain := make([]byte, n)
	if _, err := io.ReadFull(z, plain); err != nil {
		return "", err
	}
	head, _, err := headOf(bytes.NewReader(plain), n)
	return head, err
}
