// Package client calls a running server for the command line: it reads the token
// file that the server keeps in its state directory and makes the API's clients.
// It keeps nothing and decides nothing.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/dockreeve/dockreeve/api/dockreeve/v1/dockreevev1connect"
	"github.com/dockreeve/dockreeve/server/auth"
)

// Options say which server to call. StateDir or Token is needed.
type Options struct {
	URL      string // as the server printed it: http://127.0.0.1:7370
	StateDir string // where the server keeps its token file
	Token    string // instead of the file
	HTTP     *http.Client
}

// Client holds the services. Safe for concurrent use.
type Client struct {
	Alerts     dockreevev1connect.AlertServiceClient
	Changes    dockreevev1connect.ChangeServiceClient
	Status     dockreevev1connect.StatusServiceClient
	Images     dockreevev1connect.ImageServiceClient
	Clusters   dockreevev1connect.ClusterServiceClient
	Governance dockreevev1connect.GovernanceServiceClient

	base  string
	http  *http.Client
	token string
}

// New makes a client; it does not call the server yet.
func New(opt Options) (*Client, error) {
	u, err := url.Parse(opt.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("server address %q: want http://host:port", opt.URL)
	}
	if opt.Token == "" {
		path := filepath.Join(opt.StateDir, "token")
		if opt.Token, err = auth.ReadToken(path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("no token at %s: is a server running with that state directory? start one with dockreeve up, or name its directory: %w", path, err)
		} else if err != nil {
			return nil, err
		}
	}
	if opt.HTTP == nil {
		// No overall limit: the change stream stays open. No redirects: they
		// would carry the token elsewhere.
		opt.HTTP = &http.Client{
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: 30 * time.Second},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	c := &Client{base: strings.TrimRight(opt.URL, "/"), http: opt.HTTP, token: opt.Token}
	with := connect.WithInterceptors(bearer(opt.Token))
	c.Alerts = dockreevev1connect.NewAlertServiceClient(c.http, c.base, with)
	c.Changes = dockreevev1connect.NewChangeServiceClient(c.http, c.base, with)
	c.Status = dockreevev1connect.NewStatusServiceClient(c.http, c.base, with)
	c.Images = dockreevev1connect.NewImageServiceClient(c.http, c.base, with)
	c.Clusters = dockreevev1connect.NewClusterServiceClient(c.http, c.base, with)
	c.Governance = dockreevev1connect.NewGovernanceServiceClient(c.http, c.base, with)
	return c, nil
}

// SignInURL asks for a link that signs one browser in, once, within ten minutes.
func (c *Client) SignInURL(ctx context.Context) (string, error) {
	path, err := c.post(ctx, "/auth/link", "a sign-in link", nil)
	if err != nil {
		return "", err
	}
	return c.base + path, nil
}

// PipelineToken asks for a token of a pipeline that may do what the scopes say, as in
// docs/api.md; without any, what scans and gates need.
func (c *Client) PipelineToken(ctx context.Context, label string, scopes []string) (string, error) {
	return c.post(ctx, "/auth/ci", "a pipeline's token", url.Values{"label": {label}, "scope": {strings.Join(scopes, ",")}})
}

// PipelineTokens lists the tokens of pipelines, newest first.
func (c *Client) PipelineTokens(ctx context.Context) ([]auth.Pipeline, error) {
	b, err := c.call(ctx, http.MethodGet, "/auth/ci", "the list of tokens", nil, maxTokens)
	if err != nil {
		return nil, err
	}
	var out []auth.Pipeline
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, fmt.Errorf("the list of tokens: %w", err)
	}
	return out, nil
}

// maxTokens bounds a list of tokens, in bytes.
const maxTokens = 1 << 20

// EndPipelineToken ends the token that PipelineTokens lists under the id.
func (c *Client) EndPipelineToken(ctx context.Context, id string) error {
	_, err := c.call(ctx, http.MethodDelete, "/auth/ci?"+url.Values{"id": {id}}.Encode(), "the token's end", nil, 4096)
	return err
}

// post asks for a line of text.
func (c *Client) post(ctx context.Context, path, what string, form url.Values) (string, error) {
	b, err := c.call(ctx, http.MethodPost, path, what, form, 4096)
	return strings.TrimSpace(string(b)), err
}

// call asks for at most so many bytes.
func (c *Client) call(ctx context.Context, method, path, what string, form url.Values, most int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", what, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for %s: is the server running? %w", what, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, most))
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", what, err)
	}
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusNoContent {
		return nil, fmt.Errorf("ask for %s: the server answered %s: %s", what, res.Status, strings.TrimSpace(string(b)))
	}
	return b, nil
}

// bearer adds the token to every call.
type bearer string

func (t bearer) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		req.Header().Set("Authorization", "Bearer "+string(t))
		return next(ctx, req)
	}
}

func (t bearer) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		conn.RequestHeader().Set("Authorization", "Bearer "+string(t))
		return conn
	}
}

func (t bearer) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}
