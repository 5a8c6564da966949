package advisory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	maxDownload = 8 << 30          // compressed bytes of one file
	attempts    = 5                // tries of one download
	maxWait     = 2 * time.Minute  // longest wait that a server may ask for
	stall       = 90 * time.Second // without a byte, after which a download is tried again
)

// fetcher downloads files: conditionally, with patience where a server asks for it, and
// going on where an earlier try ended.
type fetcher struct {
	client *http.Client
	dir    string // for parts of downloads
	now    func() int64
	wait   func(ctx context.Context, d time.Duration) error
	say    func(format string, args ...any)

	// unreached is set once a host could not be dialled in all tries: where there is no
	// network, the other hosts are asked once, not five times.
	unreached bool
}

// validators are what makes a request conditional.
type validators struct {
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"lastModified,omitempty"`
}

// errNotThere is a definite "no such file".
var errNotThere = errors.New("not found (404)")

// errUnchanged says that the server has nothing newer.
var errUnchanged = errors.New("unchanged")

// statusError is an answer that is neither success nor handled otherwise.
type statusError struct {
	code  int
	after time.Duration // asked to wait; 0 = not said
}

func (e *statusError) Error() string {
	return fmt.Sprintf("the server answers %d %s", e.code, http.StatusText(e.code))
}

// get downloads a file and returns it open at its beginning, with the validators for
// the next time. have makes the request conditional; then errUnchanged may come back.
// The caller closes the file, which removes it.
func (f *fetcher) get(ctx context.Context, address string, have validators) (*download, error) {
	sum := sha256.Sum256([]byte(address))
	part := filepath.Join(f.dir, hex.EncodeToString(sum[:8])+".part")
	out, err := os.OpenFile(part, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	d := &download{File: out, part: part}
	for try := 1; ; try++ {
		err = f.try(ctx, address, have, d)
		if err == nil {
			if _, err = out.Seek(0, io.SeekStart); err == nil {
				return d, nil
			}
		}
		var status *statusError
		definite := errors.Is(err, errUnchanged) || errors.Is(err, errNotThere) || errors.Is(err, errTooLarge) || ctx.Err() != nil ||
			errors.As(err, &status) && status.code != http.StatusTooManyRequests && status.code < 500
		wait := time.Second << (try - 1)
		if status != nil && status.after > 0 {
			wait = status.after
			if wait > maxWait {
				definite = true
				err = fmt.Errorf("%w and asks to wait %s, which is too long; try again later", err, wait)
			}
		}
		var dial *net.OpError
		away := errors.As(err, &dial) && dial.Op == "dial"
		if away && (f.unreached || try >= attempts) {
			f.unreached, definite = true, true
		}
		if definite || try >= attempts {
			if definite && ctx.Err() == nil {
				_ = d.Close()
			} else {
				_ = out.Close() // what is there is gone on with the next time
			}
			if errors.Is(err, errUnchanged) || errors.Is(err, errNotThere) {
				return nil, err
			}
			return nil, fmt.Errorf("%s: %w", address, err)
		}
		f.say("%s: %v; next try in %s", address, err, wait)
		if err := f.wait(ctx, wait); err != nil {
			_ = out.Close()
			return nil, err
		}
	}
}

// download is a downloaded file.
type download struct {
	*os.File
	part string
	validators
}

func (d *download) Close() error {
	err := d.File.Close()
	_ = os.Remove(d.part)
	_ = os.Remove(d.part + ".json")
	return err
}

func (f *fetcher) try(ctx context.Context, address string, have validators, d *download) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "dockreeve")
	// The bytes are kept as they come: a part could not be gone on with otherwise, and
	// compression is told by content later.
	req.Header.Set("Accept-Encoding", "gzip")
	if strings.HasSuffix(address, ".zip") {
		req.Header.Set("Accept-Encoding", "identity")
	}
	st, err := d.Stat()
	if err != nil {
		return err
	}
	at := st.Size()
	if at > 0 {
		var v validators
		raw, e := os.ReadFile(d.part + ".json")
		if e == nil && json.Unmarshal(raw, &v) == nil && (strings.HasPrefix(v.ETag, `"`) || v.ETag == "" && v.LastModified != "") {
			req.Header.Set("Range", fmt.Sprintf("bytes=%d-", at))
			if v.ETag != "" {
				req.Header.Set("If-Range", v.ETag)
			} else {
				req.Header.Set("If-Range", v.LastModified)
			}
			d.validators = v
		} else {
			at = 0
		}
	}
	if at == 0 {
		if have.ETag != "" {
			req.Header.Set("If-None-Match", have.ETag)
		}
		if have.LastModified != "" {
			req.Header.Set("If-Modified-Since", have.LastModified)
		}
	}
	timer := time.AfterFunc(stall, cancel)
	defer timer.Stop()
	resp, err := f.client.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK:
		at = 0
		d.validators = validators{resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")}
	case http.StatusPartialContent:
		var from int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-", &from); err != nil || from != at {
			_ = d.Truncate(0)
			return fmt.Errorf("asked for the bytes from %d on, got %q", at, clip(resp.Header.Get("Content-Range"), 60))
		}
	case http.StatusNotModified:
		return errUnchanged
	case http.StatusNotFound, http.StatusGone:
		return errNotThere
	case http.StatusRequestedRangeNotSatisfiable:
		if err := d.Truncate(0); err != nil {
			return err
		}
		return errors.New("the file became shorter")
	default:
		return &statusError{resp.StatusCode, retryAfter(resp.Header.Get("Retry-After"), f.now())}
	}
	if at+resp.ContentLength > maxDownload {
		return fmt.Errorf("%d bytes, more than %d: %w", at+resp.ContentLength, int64(maxDownload), errTooLarge)
	}
	if err := d.Truncate(at); err != nil {
		return err
	}
	if _, err := d.Seek(at, io.SeekStart); err != nil {
		return err
	}
	if raw, err := json.Marshal(d.validators); err == nil {
		if err := os.WriteFile(d.part+".json", raw, 0o644); err != nil {
			return err
		}
	}
	n, err := io.Copy(d.File, io.LimitReader(&progress{resp.Body, timer}, maxDownload-at+1))
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", at+n, withoutURL(err))
	}
	if at+n > maxDownload {
		return fmt.Errorf("more than %d bytes: %w", int64(maxDownload), errTooLarge)
	}
	if resp.ContentLength >= 0 && n != resp.ContentLength {
		return fmt.Errorf("only %d of %d bytes came", n, resp.ContentLength)
	}
	return nil
}

// progress puts off the stall of a download with every byte.
type progress struct {
	io.Reader
	timer *time.Timer
}

func (p *progress) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if n > 0 {
		p.timer.Reset(stall)
	}
	return n, err
}

// withoutURL drops the address that the client puts before every error, which the
// caller names already.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// retryAfter reads seconds or a date.
func retryAfter(s string, now int64) time.Duration {
	if s == "" {
		return 0
	}
	if n, err := strconv.Atoi(s); err == nil && n >= 0 && n < 1<<30 {
		return max(time.Duration(n)*time.Second, time.Millisecond)
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(time.Duration(t.UnixNano()-now), time.Millisecond)
	}
	return 0
}

// sleep waits, or ends with the context.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// newClient has no time limit for a whole download, which may be large, but for each
// step of it.
func newClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true
	t.ResponseHeaderTimeout = time.Minute
	return &http.Client{Transport: t}
}
