package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/rest"
)

// Bounds of what a server may send.
const (
	maxObjectBytes = 16 << 20  // one object, or one watch event; etcd takes 1.5 MiB by default
	maxAnswerBytes = 8 << 20   // an answer that is no list: discovery, version
	maxStatusBytes = 64 << 10  // of an error's body
	maxPerKind     = 1_000_000 // objects of one resource
	pageSize       = 500
	// maxRetryAfter bounds what a server may ask us to wait.
	maxRetryAfter = 5 * time.Minute
)

// initialEventsEnd marks the bookmark that ends the initial events of a streamed list.
const initialEventsEnd = "k8s.io/initial-events-end"

// errExpired says that the server no longer knows the version we would go on from.
var errExpired = errors.New("the server no longer keeps the changes since the last one seen")

// StatusError is an answer of the API server other than success.
type StatusError struct {
	Code       int           // HTTP status, or the code of a Status object
	Reason     string        // Forbidden, Expired, TooManyRequests…
	Message    string        // the server's own words, at most 512 bytes
	RetryAfter time.Duration // the server asks to wait so long; 0 = it does not say
}

func (e *StatusError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("the API server answers %d %s", e.Code, http.StatusText(e.Code))
	}
	return fmt.Sprintf("the API server answers %d: %s", e.Code, e.Message)
}

// conn is one API server as a client with credentials sees it.
type conn struct {
	http *http.Client
	base *url.URL
}

func dial(cfg *rest.Config) (*conn, error) {
	if cfg == nil {
		return nil, errors.New("no configuration of an API server: name a kubeconfig")
	}
	cfg = rest.CopyConfig(cfg)
	cfg.Timeout = 0 // it would end watches
	if cfg.UserAgent == "" {
		cfg.UserAgent = "dockreeve"
	}
	base, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("address of the API server %q: %w", cfg.Host, err)
	}
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %w", base.Host, err)
	}
	// client-go adds the credentials to every request, also to one that a redirect leads
	// elsewhere: redirects are not followed.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &conn{http: client, base: base}, nil
}

// get asks for a path and returns the body of a successful answer.
func (c *conn) get(ctx context.Context, path, accept string, query url.Values) (io.ReadCloser, error) {
	u := *c.base
	u.Path = strings.TrimSuffix(u.Path, "/") + path
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusOK {
		return res.Body, nil
	}
	defer res.Body.Close()
	return nil, refused(res)
}

func refused(res *http.Response) error {
	e := &StatusError{Code: res.StatusCode}
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxStatusBytes))
	var st status
	if json.Unmarshal(body, &st) == nil && st.Kind == "Status" {
		e.Reason, e.Message, e.RetryAfter = st.Reason, cut(st.Message, 512), seconds(st.Details.RetryAfterSeconds)
	} else {
		e.Message = cut(strings.TrimSpace(string(body)), 512)
	}
	if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = max(e.RetryAfter, seconds(n))
	}
	return e
}

func seconds(n int) time.Duration {
	return time.Duration(min(max(n, 0), int(maxRetryAfter/time.Second))) * time.Second
}

// cut shortens a text of the server to n bytes, at the border of a rune.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// fetch asks for a path and decodes the JSON answer.
func (c *conn) fetch(ctx context.Context, path string, into any) error {
	body, err := c.get(ctx, path, "application/json", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(&allowance{r: body, left: maxAnswerBytes}).Decode(into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// status is the API's Status object, as far as it is looked at.
type status struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	Reason  string `json:"reason"`
	Code    int    `json:"code"`
	Details struct {
		RetryAfterSeconds int `json:"retryAfterSeconds"`
	} `json:"details"`
}

// header is the metadata of a list or, of an object, what finds it again.
type header struct {
	ResourceVersion string            `json:"resourceVersion"`
	Continue        string            `json:"continue"`
	Namespace       string            `json:"namespace"`
	Name            string            `json:"name"`
	UID             string            `json:"uid"`
	Annotations     map[string]string `json:"annotations"`
}

// allowance is a reader that fails when more is read than was allowed since it was last
// granted: it bounds what the JSON decoder buffers for one value.
type allowance struct {
	r    io.Reader
	left int64
	err  error // what to fail with; nil = errTooLarge
}

var errTooLarge = errors.New("an object is larger than 16 MiB")

func (a *allowance) Read(p []byte) (int, error) {
	if a.left <= 0 {
		if a.err != nil {
			return 0, a.err
		}
		return 0, errTooLarge
	}
	if int64(len(p)) > a.left {
		p = p[:a.left]
	}
	n, err := a.r.Read(p)
	a.left -= int64(n)
	return n, err
}

// readList reads a list from the wire, item by item, so that never more than one item
// is held. The bytes of an item are valid until each returns.
func readList(r io.Reader, each func(item []byte) error) (head header, err error) {
	src := &allowance{r: r}
	dec := json.NewDecoder(src)
	grant := func() { src.left = maxObjectBytes }
	grant()
	if err := delim(dec, '{'); err != nil {
		return head, err
	}
	var item json.RawMessage
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return head, err
		}
		grant()
		switch key {
		case "metadata":
			if err := dec.Decode(&head); err != nil {
				return head, fmt.Errorf("metadata of the list: %w", err)
			}
		case "items":
			open, err := dec.Token()
			if err != nil {
				return head, err
			}
			if open == nil { // null: an empty list
				continue
			}
			if open != json.Delim('[') {
				return head, fmt.Errorf("items of the list: %v, want an array", open)
			}
			for n := 0; dec.More(); n++ {
				if n == maxPerKind {
					return head, fmt.Errorf("more than %d objects", maxPerKind)
				}
				grant()
				if err := dec.Decode(&item); err != nil {
					return head, fmt.Errorf("item %d of the list: %w", n, err)
				}
				if err := each(item); err != nil {
					return head, err
				}
			}
			if err := delim(dec, ']'); err != nil {
				return head, err
			}
		default:
			if err := dec.Decode(&item); err != nil {
				return head, err
			}
		}
	}
	return head, delim(dec, '}')
}

func delim(dec *json.Decoder, want json.Delim) error {
	tok, err := dec.Token()
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if tok != want {
		return fmt.Errorf("%v where %v was expected", tok, want)
	}
	return nil
}

// typed gives an item of a list the kind and version that the list has once for all.
// Where the item names its own, both are there and say the same.
func typed(item []byte, apiVersion, kind string) []byte {
	item = bytes.TrimLeft(item, " \t\r\n")
	if len(item) < 2 || item[0] != '{' {
		return item // Decode will say what it is
	}
	if bytes.HasPrefix(item, []byte(`{"apiVersion"`)) || bytes.HasPrefix(item, []byte(`{"kind"`)) {
		return item
	}
	out := make([]byte, 0, len(item)+len(apiVersion)+len(kind)+32)
	out = fmt.Appendf(out, `{"kind":%q,"apiVersion":%q`, kind, apiVersion)
	if rest := bytes.TrimLeft(item[1:], " \t\r\n"); len(rest) > 0 && rest[0] != '}' {
		out = append(out, ',')
	}
	return append(out, item[1:]...)
}

// onlyMetadata makes of whatever the server sent an object of a kind with its metadata
// and nothing else: what should not have come is not looked at.
func onlyMetadata(item []byte, apiVersion, kind string) ([]byte, error) {
	var o struct {
		Metadata json.RawMessage `json:"metadata"`
		Type     string          `json:"type"`
	}
	if err := json.Unmarshal(item, &o); err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"kind": kind, "apiVersion": apiVersion, "metadata": o.Metadata, "type": o.Type})
}

// event is one event of a watch.
type event struct {
	Type   string          `json:"type"`
	Object json.RawMessage `json:"object"`
}

// readWatch reads events until the stream ends: with nil when it ended between two. An
// event is valid until each returns.
func readWatch(r io.Reader, each func(event) error) error {
	src := &allowance{r: r}
	dec := json.NewDecoder(src)
	var ev event
	for {
		src.left = maxObjectBytes
		ev = event{Object: ev.Object[:0]}
		if err := dec.Decode(&ev); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := each(ev); err != nil {
			return err
		}
	}
}
