package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// Bounds of a notification.
const (
	maxNotification = 1 << 20 // bytes
	maxEvents       = 1000
)

// Actions of a Push.
const (
	Pushed  = "push"
	Deleted = "delete"
)

// Push is one thing that a registry says has happened to an image. Whoever can reach
// the receiver can say anything: Registry must be compared with the registries that
// are known before anything is asked of it.
type Push struct {
	Registry   string // host, with a port that is not the usual one
	Repository string
	Tag        string // "" for a push by digest
	Digest     string // "" only for the deletion of a tag
	Action     string // Pushed or Deleted
	Time       int64  // Unix nanoseconds; 0 where the registry does not say
}

// event is what both kinds of notification are made of.
type event struct {
	Timestamp string `json:"timestamp"`
	Action    string `json:"action"`
	Target    struct {
		MediaType  string `json:"mediaType"`
		Digest     string `json:"digest"`
		Repository string `json:"repository"`
		Tag        string `json:"tag"`
	} `json:"target"`
	Request struct {
		Host string `json:"host"`
	} `json:"request"`
}

// ParseAzure reads a webhook of Azure Container Registry: one event. Those that are no
// push or deletion of an image (ping, charts, quarantine) give none.
func ParseAzure(r io.Reader) ([]Push, error) {
	b, err := readNotification(r)
	if err != nil {
		return nil, err
	}
	var e event
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, fmt.Errorf("webhook of Azure Container Registry: %w", err)
	}
	if e.Action == "" {
		return nil, errors.New("webhook of Azure Container Registry: no action in it")
	}
	p, ok, err := e.push()
	if err != nil {
		return nil, fmt.Errorf("webhook of Azure Container Registry: %w", err)
	}
	if !ok {
		return nil, nil
	}
	return []Push{p}, nil
}

// ParseDistribution reads a notification of the distribution registry: a list of
// events. Pulls, mounts and blobs give none.
func ParseDistribution(r io.Reader) ([]Push, error) {
	b, err := readNotification(r)
	if err != nil {
		return nil, err
	}
	var envelope struct {
		Events []event `json:"events"`
	}
	if err := json.Unmarshal(b, &envelope); err != nil {
		return nil, fmt.Errorf("registry notification: %w", err)
	}
	if envelope.Events == nil {
		return nil, errors.New("registry notification: no events in it")
	}
	if len(envelope.Events) > maxEvents {
		return nil, fmt.Errorf("registry notification: %d events; at most %d are read", len(envelope.Events), maxEvents)
	}
	var out []Push
	for i := range envelope.Events {
		p, ok, err := envelope.Events[i].push()
		if err != nil {
			return nil, fmt.Errorf("registry notification: event %d: %w", i, err)
		}
		if ok {
			out = append(out, p)
		}
	}
	return out, nil
}

func readNotification(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxNotification+1))
	if err != nil {
		return nil, fmt.Errorf("registry notification: %w", err)
	}
	if len(b) > maxNotification {
		return nil, fmt.Errorf("registry notification: larger than %d MiB", maxNotification>>20)
	}
	return b, nil
}

var hostName = regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$`)

// push checks an event; ok is false for one that is of no concern.
func (e *event) push() (p Push, ok bool, err error) {
	t := &e.Target
	switch {
	case e.Action != Pushed && e.Action != Deleted:
		return p, false, nil
	case e.Action == Pushed && t.MediaType != "" && !imageType(t.MediaType):
		return p, false, nil // a blob
	case !validRepository(t.Repository):
		return p, false, fmt.Errorf("target.repository %q is no name of a repository", clip(t.Repository))
	case t.Tag != "" && !tagName.MatchString(t.Tag):
		return p, false, fmt.Errorf("target.tag %q is no tag", clip(t.Tag))
	case t.Digest != "" && !digestName.MatchString(t.Digest):
		return p, false, fmt.Errorf("target.digest %q is no SHA-256 digest", clip(t.Digest))
	case t.Digest == "" && (e.Action == Pushed || t.Tag == ""):
		return p, false, errors.New("target.digest is missing")
	case len(e.Request.Host) > 255 || !hostName.MatchString(e.Request.Host):
		return p, false, fmt.Errorf("request.host %q is no host", clip(e.Request.Host))
	}
	p = Push{Registry: e.Request.Host, Repository: t.Repository, Tag: t.Tag, Digest: t.Digest, Action: e.Action}
	if at, err := time.Parse(time.RFC3339Nano, e.Timestamp); err == nil && at.Year() > 1971 && at.Year() < 2261 {
		p.Time = at.UnixNano()
	}
	return p, true, nil
}

// imageType: the media types of manifests and lists of them.
func imageType(s string) bool {
	return strings.HasPrefix(s, "application/vnd.docker.distribution.manifest.") ||
		strings.HasPrefix(s, "application/vnd.oci.image.manifest.") || strings.HasPrefix(s, "application/vnd.oci.image.index.")
}

func clip(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return s
}
