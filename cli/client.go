package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/api/dockreeve/v1/dockreevev1connect"
	"github.com/dockreeve/dockreeve/server"
	"github.com/dockreeve/dockreeve/server/client"
)

// addressFile is where `up` leaves the address it listens on, for the commands of
// the same machine.
const addressFile = "address"

// target says which server a command talks to.
type target struct {
	server string
	state  string
}

func (t *target) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.server, "server", "", "address of the server (default: the one that runs on this machine)")
	cmd.Flags().StringVar(&t.state, "state", defaultState(), "state directory of the server, which holds its token")
}

// clients are the services of one server.
type clients struct {
	alerts     dockreevev1connect.AlertServiceClient
	changes    dockreevev1connect.ChangeServiceClient
	status     dockreevev1connect.StatusServiceClient
	images     dockreevev1connect.ImageServiceClient
	clusters   dockreevev1connect.ClusterServiceClient
	governance dockreevev1connect.GovernanceServiceClient
	raw        *client.Client
	url        string
}

func (t *target) url() (string, error) {
	if t.server != "" {
		if !strings.Contains(t.server, "://") {
			return "http://" + t.server, nil
		}
		return t.server, nil
	}
	b, err := os.ReadFile(filepath.Join(t.state, addressFile))
	switch {
	case err == nil:
		return strings.TrimSpace(string(b)), nil
	case errors.Is(err, fs.ErrNotExist):
		return "http://" + server.DefaultListen, nil
	}
	return "", err
}

func (t *target) dial() (*clients, error) {
	url, err := t.url()
	if err != nil {
		return nil, withCode(exitFailed, "%w", err)
	}
	c, err := client.New(client.Options{URL: url, StateDir: t.state, Token: os.Getenv("DOCKREEVE_TOKEN")})
	if err != nil {
		return nil, withCode(exitFailed, "%w", err)
	}
	return &clients{alerts: c.Alerts, changes: c.Changes, status: c.Status, images: c.Images, clusters: c.Clusters, governance: c.Governance, raw: c, url: url}, nil
}

// explain adds the remedy to an error of a call.
func (t *target) explain(err error) error {
	switch connect.CodeOf(err) {
	case connect.CodeUnavailable:
		if connect.IsWireError(err) { // it does answer, and says what it lacks
			break
		}
		return withCode(exitFailed, "no server answers: %w\nStart one with \"dockreeve up\", or name it with --server.", err)
	case connect.CodeUnauthenticated:
		return withCode(exitFailed, "the server does not know this token: %w\nIs --state the state directory of that very server?", err)
	case connect.CodePermissionDenied:
		return withCode(exitFailed, "%w\nThe token is the one in DOCKREEVE_TOKEN.", err)
	case connect.CodeInvalidArgument:
		return withCode(exitUsage, "%w", err)
	case connect.CodeNotFound:
		return withCode(exitFailed, "%w\n\"dockreeve alerts list\" names what there is.", err)
	}
	return withCode(exitFailed, "%w", err)
}

// dialServer finds the server that watches this machine. Its error wraps
// errNoServer when nobody is there and nobody was named.
func dialServer(ctx context.Context, t *target) (alertSource, error) {
	c, err := t.dial()
	if err != nil {
		if t.server == "" && errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %w", errNoServer, err)
		}
		return nil, err
	}
	_, err = c.status.GetStatus(ctx, connect.NewRequest(&v1.GetStatusRequest{}))
	var refused *net.OpError
	if t.server == "" && errors.As(err, &refused) {
		return nil, fmt.Errorf("%w: %w", errNoServer, err)
	}
	if err != nil {
		return nil, t.explain(err)
	}
	return remote{c}, nil
}

// remote is a server that somebody else started.
type remote struct{ c *clients }

func (r remote) Address() string { return r.c.url }
func (r remote) Close() error    { return nil }

// Watch returns after the stream's first message, which says that nothing from
// then on is missed.
func (r remote) Watch(ctx context.Context) (alertWatcher, error) {
	stream, err := r.c.changes.Watch(ctx, connect.NewRequest(&v1.WatchRequest{}))
	if err != nil {
		return nil, err
	}
	if !stream.Receive() {
		return nil, fmt.Errorf("the change stream ended before it began: %w", stream.Err())
	}
	return &watcher{c: r.c, stream: stream}, nil
}

type watcher struct {
	c      *clients
	stream *connect.ServerStreamForClient[v1.WatchResponse]
	queue  []string
}

// Next refetches each alert that changed, as the console does.
func (w *watcher) Next(ctx context.Context) (sighting, error) {
	for len(w.queue) == 0 {
		if !w.stream.Receive() {
			if err := w.stream.Err(); err != nil {
				return sighting{}, err
			}
			return sighting{}, errors.New("the server closed the change stream")
		}
		for _, ch := range w.stream.Msg().Changes {
			if ch.Kind == "alert" {
				w.queue = append(w.queue, ch.Id)
			}
		}
	}
	id := w.queue[0]
	w.queue = w.queue[1:]
	res, err := w.c.alerts.GetAlert(ctx, connect.NewRequest(&v1.GetAlertRequest{Id: id}))
	if err != nil {
		return sighting{}, err
	}
	a := res.Msg.Alert.Alert
	pod := ""
	if c := a.Subject.GetContainer(); c.GetPod() != "" {
		pod = c.Namespace + "/" + c.Pod
	}
	return sighting{
		Pod: pod, Workload: a.Subject.GetWorkload(), Owner: a.Subject.GetOwner(), Identity: a.Subject.GetIdentity(),
		Alert: a.Id, Rule: a.RuleId, Title: a.Title, Severity: severityWord(a.Severity), Container: a.Subject.GetContainer().GetId(),
		Kernel: a.KernelTime, Stored: a.StoredAt, Seen: time.Now().UnixNano(),
	}, nil
}
