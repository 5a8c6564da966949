package audit

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inventory"
)

// doc is what is read of an audit event.
type doc struct {
	AuditID        string
	Stage          string
	Received       string `json:"requestReceivedTimestamp"`
	RequestURI     string
	Verb           string
	User           user
	Impersonated   *user `json:"impersonatedUser"`
	SourceIPs      []string
	UserAgent      string
	ObjectRef      *objectRef
	ResponseStatus *struct{ Code int }
	RequestObject  json.RawMessage
	ResponseObject json.RawMessage
	Annotations    map[string]string

	time     int64
	identity string // of the actor: serviceaccount:namespace/name, user:name, node:name, anonymous
	actor    string // one of event's Actor… words
	peer     netip.Addr
}

type user struct {
	Username string
	Groups   []string
	Extra    map[string][]string
}

type objectRef struct {
	Resource, Namespace, Name, UID, APIGroup, APIVersion, Subresource string
}

func parse(b []byte) (*doc, error) {
	d := &doc{}
	if err := json.Unmarshal(b, d); err != nil {
		return nil, err
	}
	if d.ObjectRef != nil && d.ObjectRef.Resource == "" {
		d.ObjectRef = nil
	}
	return d, nil
}

// who is the user that the request counts as.
func (d *doc) who() *user {
	if d.Impersonated != nil && d.Impersonated.Username != "" {
		return d.Impersonated
	}
	return &d.User
}

// code is the status of the response, 0 while there is none.
func (d *doc) code() int {
	if d.ResponseStatus == nil {
		return 0
	}
	return d.ResponseStatus.Code
}

func (d *doc) denied() bool {
	return d.code() == 401 || d.code() == 403 || d.Annotations["authorization.k8s.io/decision"] == "forbid"
}

// done reports whether the request was carried out as far as is told.
func (d *doc) done() bool { c := d.code(); return !d.denied() && (c == 0 || c < 400 || c == 101) }

// resource is resource.group/subresource, or the first two steps of the path.
func (d *doc) resource() string {
	r := d.ObjectRef
	if r == nil {
		path, _, _ := strings.Cut(d.RequestURI, "?")
		parts := strings.SplitN(strings.TrimPrefix(path, "/"), "/", 3)
		return "/" + strings.Join(parts[:min(2, len(parts))], "/")
	}
	s := r.Resource
	if r.APIGroup != "" {
		s += "." + r.APIGroup
	}
	if r.Subresource != "" {
		s += "/" + r.Subresource
	}
	return s
}

const accountPrefix = "system:serviceaccount:"

// platformUsers are names that a managed control plane uses where others use system:…
var platformUsers = []string{"aksService", "masterclient", "hcpService", "acsService", "nodeclient", "eks:", "aks-support", "kubernetes-admin-node"}

// Identity returns the key of a user name, in the words of inventory, and its kind.
func Identity(name string) (key, kind string) {
	switch {
	case name == "" || name == "system:anonymous":
		return "anonymous", event.ActorAnonymous
	case strings.HasPrefix(name, accountPrefix):
		ns, account, ok := strings.Cut(name[len(accountPrefix):], ":")
		if !ok {
			return "user:" + name, event.ActorUser
		}
		return "serviceaccount:" + ns + "/" + account, event.ActorServiceAccount
	case strings.HasPrefix(name, "system:node:"):
		return "node:" + name[len("system:node:"):], event.ActorNode
	case strings.HasPrefix(name, "system:"):
		return "user:" + name, event.ActorControlPlane
	}
	for _, p := range platformUsers {
		if name == p || strings.HasSuffix(p, ":") && strings.HasPrefix(name, p) {
			return "user:" + name, event.ActorControlPlane
		}
	}
	return "user:" + name, event.ActorUser
}

// actor fills who acted.
func (a *Auditor) actor(d *doc, f *event.AuditFacts) {
	u := d.who()
	f.ActorName = u.Username
	if u != &d.User {
		f.By = d.User.Username
	}
	d.identity, d.actor = Identity(u.Username)
	f.Actor = d.actor
	if d.actor == event.ActorUser && d.code() != 401 {
		a.opt.State.Seen(u.Username, u.Groups)
	}
	switch d.actor {
	case event.ActorServiceAccount:
		ns, name, _ := strings.Cut(strings.TrimPrefix(d.identity, "serviceaccount:"), "/")
		f.Platform = f.By == "" && a.opt.State.PlatformNamespace(ns)
		f.ActorTenant = a.opt.State.Tenant(ns)
		f.ActorOwner, _ = a.opt.State.OwnerOf(inventory.Key{Kind: inventory.KindServiceAccount, Namespace: ns, Name: name})
		if as := a.opt.State.WorkloadsAs(ns, name); len(as) > 0 {
			f.ActorWorkload = as[0]
		}
		if pod := first(u.Extra["authentication.kubernetes.io/pod-name"]); pod != "" {
			f.TokenPod = ns + "/" + pod
			if o, ok := a.opt.State.Get(inventory.Key{Kind: inventory.KindPod, Namespace: ns, Name: pod}); ok {
				f.ActorWorkload = a.opt.State.TopOwner(o.Key)
			}
		}
		f.TokenNode = first(u.Extra["authentication.kubernetes.io/node-name"])
	case event.ActorNode, event.ActorControlPlane:
		// Who impersonates is not what is impersonated.
		f.Platform = f.By == ""
	}
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// egressFor is how long an address that nodes used counts as theirs, nanoseconds.
const egressFor = 7 * day

// maxEgress bounds the addresses kept.
const maxEgress = 4096

// from fills where the request came from. The last source address is the peer that the
// API server itself saw; those before it are whatever a client wrote into a header.
func (a *Auditor) from(d *doc, f *event.AuditFacts) {
	f.From = event.FromUnknown
	for i := len(d.SourceIPs) - 1; i >= 0; i-- {
		ip, err := netip.ParseAddr(d.SourceIPs[i])
		if err != nil {
			break
		}
		ip = ip.Unmap()
		d.peer = ip
		if !slices.ContainsFunc(a.opt.Proxies, func(p netip.Prefix) bool { return p.Contains(ip) }) {
			break
		}
	}
	ip := d.peer
	if !ip.IsValid() {
		return
	}
	text := ip.String()
	f.Source = text
	switch {
	case ip.IsLoopback():
		f.From = event.FromLoopback
	default:
		if o, ok := a.opt.State.PodByIP(text); ok {
			f.From, f.FromPod = event.FromPod, o.Namespace+"/"+o.Name
			f.FromWorkload, f.FromTenant = a.opt.State.TopOwner(o.Key), a.opt.State.Tenant(o.Namespace)
			if o.Pod != nil {
				f.FromNode = o.Pod.NodeName
			}
		} else if o, ok := a.opt.State.NodeByIP(text); ok {
			f.From, f.FromNode = event.FromNode, o.Name
		} else if a.exits(ip, d.time) {
			f.From = event.FromNode
		} else if ip.IsPrivate() || ip.IsLinkLocalUnicast() || sharedSpace.Contains(ip) {
			f.From = event.FromPrivate
		} else if a.opt.Anonymisers != nil && a.opt.Anonymisers.Contains(ip) {
			f.From = event.FromAnonymiser
		} else {
			f.From = event.FromInternet
		}
	}
	if d.actor == event.ActorNode && f.By == "" && d.done() && f.From != event.FromPod {
		a.sawEgress(ip, d.identity, d.time)
	}
	f.Elsewhere = a.elsewhere(d, f)
	// The platform works from nodes and from its own pods. From elsewhere somebody holds
	// its credentials. Kubelets come first from whatever address they have.
	ns, _, _ := strings.Cut(f.FromPod, "/")
	outside := f.From == event.FromInternet && d.actor != event.ActorNode && f.TokenPod == ""
	if f.Elsewhere || outside || f.From == event.FromAnonymiser || f.From == event.FromPod && !a.opt.State.PlatformNamespace(ns) {
		f.Platform = false
	}
}

// sharedSpace is the address space of carriers' NAT (RFC 6598), which clouds use inside.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// exit is an address that kubelets come from: pods of their nodes come from it too where
// the way out translates addresses.
type exit struct {
	At    int64  `json:"at"`              // when last
	Node  string `json:"node"`            // the first to use it
	Other bool   `json:"other,omitempty"` // another one has too
}

// exits reports whether an address is a way out of the nodes. One kubelet is not
// believed alone, as whoever stole its credentials would teach an address of theirs,
// unless the cluster has no other.
func (a *Auditor) exits(ip netip.Addr, now int64) bool {
	e, ok := a.egress[ip]
	return ok && now-e.At < egressFor && (e.Other || a.opt.State.Len(inventory.KindNode) == 1)
}

func (a *Auditor) sawEgress(ip netip.Addr, node string, now int64) {
	e, ok := a.egress[ip]
	if !ok && len(a.egress) >= maxEgress {
		for old, one := range a.egress {
			if now-one.At > egressFor {
				delete(a.egress, old)
			}
		}
		if len(a.egress) >= maxEgress {
			return
		}
	}
	if !ok {
		e.Node = node
	}
	e.At, e.Other = max(e.At, now), e.Other || e.Node != node
	a.egress[ip] = e
}

// elsewhere reports whether a token that is bound to a pod was used from a place where
// that pod cannot be: another pod, another node, or outside the cluster.
func (a *Auditor) elsewhere(d *doc, f *event.AuditFacts) bool {
	if f.TokenPod == "" || f.From == event.FromLoopback || f.From == event.FromUnknown {
		return false
	}
	ns, name, _ := strings.Cut(f.TokenPod, "/")
	o, ok := a.opt.State.Get(inventory.Key{Kind: inventory.KindPod, Namespace: ns, Name: name})
	if ok && o.Pod != nil {
		if d.peer.String() == o.Pod.HostIP || slices.Contains(o.Pod.IPs, d.peer.String()) {
			return false
		}
		if f.From == event.FromNode && (f.FromNode == "" || f.FromNode == o.Pod.NodeName) {
			return false
		}
		if len(o.Pod.IPs) == 0 {
			f.NotAssessed = append(f.NotAssessed, "where the token belongs: the address of its pod is not known yet")
			return false
		}
		return true
	}
	// The pod is gone, or was never seen: its node still tells.
	switch f.From {
	case event.FromPod:
		if f.FromPod == f.TokenPod {
			return false
		}
		f.NotAssessed = append(f.NotAssessed, "where the token belongs: its pod is not in the inventory")
		return false
	case event.FromNode:
		return f.TokenNode != "" && f.FromNode != "" && f.FromNode != f.TokenNode
	}
	return f.From == event.FromInternet || f.From == event.FromAnonymiser
}

// maxFacts bounds the lists of facts.
const maxFacts = 64

func bounded(list []string) []string {
	if len(list) > maxFacts {
		return append(list[:maxFacts-1:maxFacts-1], fmt.Sprintf("%d more", len(list)-maxFacts+1))
	}
	return list
}
