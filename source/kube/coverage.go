package kube

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/dockreeve/dockreeve/inventory"
)

// What is known of one kind.
const (
	Watched     = "watched"      // complete, and followed without a break
	Read        = "read"         // complete when it was read once
	Starting    = "starting"     // being read for the first time
	Stale       = "stale"        // was complete; what changed since is not known
	NotAssessed = "not assessed" // never read: Reason says why
	NotServed   = "not served"   // this API server has no such resource: there are none
)

// staleAfter is how long a watch may be down before what it told counts as stale.
const staleAfter = time.Minute

// Coverage says how well one kind is known. Times are Unix nanoseconds, 0 = never.
type Coverage struct {
	Resource   string         `json:"resource"` // pods, httproutes.gateway.networking.k8s.io
	Kind       inventory.Kind `json:"kind"`
	APIVersion string         `json:"apiVersion,omitempty"`
	State      string         `json:"state"`
	Since      int64          `json:"since,omitempty"`     // in State Watched: no change was missed since
	Down       int64          `json:"down,omitempty"`      // the watch is interrupted since
	LastEvent  int64          `json:"lastEvent,omitempty"` // when the server last said something, bookmarks included
	Count      int            `json:"count"`               // objects when they were last counted by a list, and changes since
	Breaks     uint64         `json:"breaks,omitempty"`    // times that changes were missed and everything was read anew
	Failures   uint64         `json:"failures,omitempty"`  // requests that failed
	Undecoded  uint64         `json:"undecoded,omitempty"` // objects that could not be understood
	Example    string         `json:"example,omitempty"`   // of those: which one, and why
	Reason     string         `json:"reason,omitempty"`    // why not Watched
	Remedy     string         `json:"remedy,omitempty"`
}

// Gap says what is not assessed of the kind; false when there is nothing to say.
func (c Coverage) Gap() (inventory.Gap, bool) {
	switch c.State {
	case Stale:
		at := "what changed since " + time.Unix(0, c.Down).UTC().Format(time.RFC3339) + " is not known"
		return inventory.Gap{What: c.Resource, Reason: at + ": " + c.Reason, Remedy: c.Remedy}, true
	case NotAssessed:
		return inventory.Gap{What: c.Resource, Reason: c.Reason, Remedy: c.Remedy}, true
	case Starting:
		return inventory.Gap{What: c.Resource, Reason: "not read yet"}, true
	}
	if c.Undecoded > 0 {
		return inventory.Gap{
			What:   c.Resource,
			Reason: fmt.Sprintf("%d objects could not be understood, the last one was %s", c.Undecoded, c.Example),
			Remedy: "look at the object; if it is valid, its kind is newer than this version of Dockreeve",
		}, true
	}
	return inventory.Gap{}, false
}

// Gaps returns what the coverage of a cluster says is not assessed.
func Gaps(list []Coverage) []inventory.Gap {
	var gaps []inventory.Gap
	for _, c := range list {
		if g, ok := c.Gap(); ok {
			gaps = append(gaps, g)
		}
	}
	return gaps
}

// Explain says in words for people why ReadOnce failed, and what to do.
func Explain(err error) (reason, remedy string) {
	var st *StatusError
	if errors.As(err, &st) && st.Code == http.StatusForbidden {
		return err.Error(), "the account needs the ClusterRole system:discovery, which every authenticated user has unless it was taken away"
	}
	return explain(err, want{groups: core, resource: "what the API server serves"})
}

// explain says why a kind could not be read, and what to do.
func explain(err error, w want) (reason, remedy string) {
	var st *StatusError
	if errors.As(err, &st) {
		switch {
		case st.Code == http.StatusForbidden:
			return fmt.Sprintf("no right to read %s: %s", w.name(), st.Message),
				fmt.Sprintf("grant get, list and watch on %s: the ClusterRole in deploy/kubernetes/rbac.yaml has it", w.name())
		case st.Code == http.StatusUnauthorized:
			return "the API server does not accept the credentials: " + st.Error(), "renew the token or certificate of the kubeconfig or service account"
		case st.Code == http.StatusTooManyRequests:
			return "the API server throttles: " + st.Error(), "nothing, if it passes; else give the agent's account a priority level of its own (FlowSchema)"
		case st.Code == http.StatusNotFound:
			return fmt.Sprintf("%s are no longer served: %s", w.name(), st.Message), "nothing: it is looked for again"
		case st.Code >= 500:
			return st.Error(), "nothing, if it passes; else look at the API server's own logs"
		}
		return st.Error(), ""
	}
	return explainLost(err)
}

// explainLost is explain for when no answer came, or a broken one.
func explainLost(err error) (reason, remedy string) {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var op *net.OpError
	switch {
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid):
		return "the API server's certificate is not trusted: " + err.Error(), "set certificate-authority and tls-server-name of the kubeconfig to what the server has"
	case errors.As(err, &op):
		return "no connection to the API server: " + err.Error(), "check the address in the kubeconfig and the network between"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the connection was cut in the middle of an answer", "nothing, if it passes; else look at proxies and load balancers before the API server"
	case errors.Is(err, context.DeadlineExceeded):
		return "the API server did not answer in time", "nothing, if it passes; else look at its load"
	}
	return err.Error(), ""
}
