package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport/websocket"
)

// kubeAPI speaks to an API server in plain JSON: the demo needs a handful of calls, for
// which typed clients would be megabytes of program.
type kubeAPI struct {
	conf *rest.Config
	http *http.Client
	base *url.URL
}

// maxAnswer bounds what is read of an answer, bytes.
const maxAnswer = 8 << 20

func newKubeAPI(conf *rest.Config, agent string) (*kubeAPI, error) {
	conf = rest.CopyConfig(conf)
	conf.UserAgent = agent
	base, _, err := rest.DefaultServerUrlFor(conf)
	if err != nil {
		return nil, fmt.Errorf("address of the API server: %w", err)
	}
	client, err := rest.HTTPClientFor(conf)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", base, err)
	}
	return &kubeAPI{conf: conf, http: client, base: base}, nil
}

// kubeError is an answer that is no success.
type kubeError struct {
	Code    int
	Message string
}

func (e *kubeError) Error() string { return fmt.Sprintf("HTTP %d: %s", e.Code, clean(e.Message)) }

func isCode(err error, code int) bool {
	var k *kubeError
	return errors.As(err, &k) && k.Code == code
}

// do makes a request; body and out may be nil.
func (k *kubeAPI) do(ctx context.Context, method, path string, body, out any) error {
	at, err := k.base.Parse(path)
	if err != nil {
		return err
	}
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, at.String(), send)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", k.conf.UserAgent)
	resp, err := k.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode >= 300 {
		var st struct{ Message string }
		if json.Unmarshal(b, &st) != nil || st.Message == "" {
			st.Message = string(b[:min(len(b), 300)])
		}
		return fmt.Errorf("%s %s: %w", method, path, &kubeError{resp.StatusCode, st.Message})
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// The channels of an exec, and the frames it is carried in.
const (
	execStdin, execStdout, execError = 0, 1, 3
	binaryFrame                      = 2
)

// frames is a connection that carries an exec.
type frames interface {
	ReadMessage() (kind int, b []byte, err error)
	WriteMessage(kind int, b []byte) error
	SetReadLimit(int64)
	Close() error
}

// open starts a command in a container.
func (k *kubeAPI) open(ctx context.Context, namespace, pod, container string, stdin bool, argv ...string) (frames, error) {
	q := url.Values{"command": argv, "container": {container}, "stdout": {"true"}, "stderr": {"true"}}
	if stdin {
		q.Set("stdin", "true")
	}
	at, err := k.base.Parse("/api/v1/namespaces/" + namespace + "/pods/" + pod + "/exec?" + q.Encode())
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	rt, holder, err := websocket.RoundTripperFor(k.conf)
	if err != nil {
		return nil, err
	}
	conn, err := websocket.Negotiate(rt, holder, req, "v5.channel.k8s.io", "v4.channel.k8s.io")
	if err != nil {
		return nil, fmt.Errorf("exec in %s/%s: %w", namespace, pod, err)
	}
	return conn, nil
}

// exec runs a command in a container and returns all it printed, at most maxSeen bytes.
// A command that ran and failed is no error.
func (k *kubeAPI) exec(ctx context.Context, namespace, pod, container, input string, argv ...string) (string, error) {
	conn, err := k.open(ctx, namespace, pod, container, input != "", argv...)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if input != "" {
		if err := conn.WriteMessage(binaryFrame, append([]byte{execStdin}, input...)); err != nil {
			return "", fmt.Errorf("exec in %s/%s: %w", namespace, pod, err)
		}
	}
	conn.SetReadLimit(1 << 20)
	var out seen
	for {
		_, b, err := conn.ReadMessage()
		switch {
		case ctx.Err() != nil:
			return string(out.b), ctx.Err()
		case err != nil:
			return string(out.b), fmt.Errorf("exec in %s/%s ended without a result: %w", namespace, pod, err)
		case len(b) == 0:
		case b[0] == execError:
			return string(out.b), execResult(b[1:])
		default:
			_, _ = out.Write(b[1:])
		}
	}
}

// execResult is nil for a command that ran, whatever it returned.
func execResult(b []byte) error {
	var st struct {
		Status, Message, Reason string
	}
	if err := json.Unmarshal(b, &st); err != nil {
		return fmt.Errorf("the result of an exec is not understood: %w", err)
	}
	if st.Status == "Success" || st.Reason == "NonZeroExitCode" {
		return nil
	}
	return fmt.Errorf("exec: %s", clean(st.Message))
}

// until asks again until it is so, or ctx ends.
func until(ctx context.Context, what string, is func() (bool, error)) error {
	for {
		ok, err := is()
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// object is a Kubernetes object as JSON.
type object = map[string]any

// kubeVictim is the container of a pod that is attacked through the API server.
type kubeVictim struct {
	api                            *kubeAPI
	namespace, pod, container, cid string
	node, ip                       string
}

func (v *kubeVictim) ID() string { return v.cid }

func (v *kubeVictim) Run(ctx context.Context, input string, argv ...string) (string, error) {
	return v.api.exec(ctx, v.namespace, v.pod, v.container, input, argv...)
}

func (v *kubeVictim) Listen(ctx context.Context, port uint16, input string, argv ...string) (func() (string, error), error) {
	type result struct {
		out string
		err error
	}
	done := make(chan result, 1)
	go func() {
		out, err := v.Run(ctx, input, argv...)
		done <- result{out, err}
	}()
	wait := func() (string, error) { r := <-done; return r.out, r.err }
	hex := fmt.Sprintf(":%04X 0", port)
	err := until(ctx, fmt.Sprintf("wait for port %d in the pod", port), func() (bool, error) {
		out, err := v.Run(ctx, "", "cat", "/proc/net/tcp", "/proc/net/tcp6")
		return strings.Contains(out, hex), err
	})
	return wait, err
}
