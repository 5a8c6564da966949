// Package audit prepares audit events for rules: it computes event.AuditFacts from the
// inventory, from what an actor did in the last minutes, and from learned habits. Rules
// then decide, so that a new detection is a rule and not code. It does no I/O and reads
// no clock; its state can be snapshotted and restored.
package audit

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inventory"
)

// Options tune an Auditor. State is needed.
type Options struct {
	State   *inventory.State
	Cluster string
	// LearnFor is how long a model learns before it judges, in nanoseconds of event time;
	// 0 means three days.
	LearnFor int64
	// Settle is how long an identity that was not there before may do new harmless things
	// without being unusual; 0 means one day.
	Settle int64
	// Proxies are the addresses of proxies in front of the API server: the peer is looked
	// for before them in the list of source addresses.
	Proxies []netip.Prefix
	// Anonymisers are the addresses of anonymising networks (Tor exits, open proxies); nil =
	// there is no list, and nothing is found to come from one.
	Anonymisers Addresses
}

// Addresses is a set of addresses; it must be safe for concurrent use.
type Addresses interface{ Contains(netip.Addr) bool }

// day is one day in nanoseconds.
const day = int64(86400e9)

// Auditor computes facts. It is used by one goroutine, but for what its methods say.
type Auditor struct {
	opt     Options
	window  window
	habits  habits
	models  models
	started seenIDs // long-running requests counted when they began
	keep    bool    // of the last event
	egress  map[netip.Addr]exit
	roles   map[inventory.Key][]inventory.Rule // of roles that were written lately
	repos   map[string]map[string]bool         // by namespace: repositories seen
	blind   uint64
	why     string
}

// Blind returns how many requests that were carried out could not be looked into, so that
// the rules about what they allow were silent, and why the last one could not. It does not
// count the platform's own.
func (a *Auditor) Blind() (n uint64, why string) { return a.blind, a.why }

// New returns an auditor that knows nothing yet: see Restore and Seed.
func New(opt Options) *Auditor {
	if opt.LearnFor == 0 {
		opt.LearnFor = 3 * day
	}
	if opt.Settle == 0 {
		opt.Settle = day
	}
	return &Auditor{opt: opt, window: newWindow(), habits: newHabits(), models: newModels(), egress: map[netip.Addr]exit{}, roles: map[inventory.Key][]inventory.Rule{}, repos: map[string]map[string]bool{}}
}

// Seed takes the images that run now as seen, namespace by namespace. Call it once the
// inventory is complete; a namespace that Restore brought back keeps what it had too.
func (a *Auditor) Seed(namespaces []string) {
	for _, ns := range namespaces {
		for repo := range a.opt.State.ImagesIn(ns) {
			a.sawImage(ns, repo)
		}
	}
}

// maxRepos bounds the repositories kept of one namespace, maxNamespaces the namespaces.
const (
	maxRepos      = 2000
	maxNamespaces = 20_000
)

// sawImage notes a repository and reports whether it is new in its namespace.
func (a *Auditor) sawImage(namespace, repo string) bool {
	in := a.repos[namespace]
	if in == nil {
		if len(a.repos) >= maxNamespaces {
			return false
		}
		in = map[string]bool{}
		a.repos[namespace] = in
	}
	if in[repo] {
		return false
	}
	if len(in) < maxRepos {
		in[repo] = true
	}
	return true
}

// Facts computes what is to be known of an event, and learns from it. Events are
// expected in about the order of their time. An event that is not understood has facts
// that say so.
func (a *Auditor) Facts(ev *event.Event) event.AuditFacts {
	f := event.AuditFacts{Cluster: a.opt.Cluster}
	a.keep = true
	d, err := parse(ev.JSON)
	if err != nil {
		f.NotAssessed = append(f.NotAssessed, "everything: the event is not understood: "+err.Error())
		return f
	}
	d.time = ev.Time
	f.First = a.first(d)
	a.actor(d, &f)
	a.from(d, &f)
	a.target(d, &f)
	before := len(f.NotAssessed)
	a.object(d, &f)
	if len(f.NotAssessed) > before && f.First && !f.Platform && d.done() {
		a.blind++
		a.why = clip(d.Verb+" "+d.resource()+": "+f.NotAssessed[before], 200)
	}
	a.tools(d, &f)
	switch {
	case f.First && d.dry():
		a.count(d, &f) // it changed nothing, and is no habit; but who is refused feels his way
	case f.First:
		a.count(d, &f)
		a.keep = a.keeps(d, &f, a.learn(d, &f))
	default:
		a.keep = false
		a.window.read(d.identity, d.time, &f)
	}
	return f
}

// dry reports whether a change was only tried (dryRun=All). Ways into pods, tokens and
// the like pass over that word and do what they are asked.
func (d *doc) dry() bool {
	if !strings.Contains(d.RequestURI, "dryRun=") || d.ObjectRef == nil || d.ObjectRef.Subresource != "" || !changes(d.Verb) && d.Verb != "delete" && d.Verb != "deletecollection" {
		return false
	}
	_, query, _ := strings.Cut(d.RequestURI, "?")
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "dryRun=All" {
			return true
		}
	}
	return false
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// first reports whether this is the first stage told of a request that says what came
// of it: requests that go on for long are told when they begin and when they end.
func (a *Auditor) first(d *doc) bool {
	switch d.Stage {
	case "ResponseStarted":
		a.started.add(d.request())
		return true
	case "ResponseComplete", "Panic":
		return !a.started.has(d.request())
	}
	return false // RequestReceived: nobody knows yet whether it is allowed
}

// request names the request that a stage is of. Its audit id alone would not do: a client
// may choose it (header Audit-ID), and could pass one request off as the end of another.
func (d *doc) request() requestID {
	h := sha256.New()
	for _, s := range []string{d.AuditID, d.Received, d.Verb, d.RequestURI, d.User.Username} {
		fmt.Fprintf(h, "%d %s", len(s), s)
	}
	return requestID(h.Sum(nil))
}

type requestID [sha256.Size]byte

// seenIDs remembers the last few thousand requests that began.
type seenIDs struct {
	set  map[requestID]struct{}
	ring []requestID
	next int
}

const maxStarted = 1 << 14

func (s *seenIDs) add(id requestID) {
	if s.set == nil {
		s.set = map[requestID]struct{}{}
	}
	if _, ok := s.set[id]; ok {
		return
	}
	if len(s.ring) < maxStarted {
		s.ring = append(s.ring, id)
	} else {
		delete(s.set, s.ring[s.next])
		s.ring[s.next] = id
		s.next = (s.next + 1) % maxStarted
	}
	s.set[id] = struct{}{}
}

func (s *seenIDs) has(id requestID) bool {
	_, ok := s.set[id]
	return ok
}

// target fills whose the object is.
func (a *Auditor) target(d *doc, f *event.AuditFacts) {
	ref := d.ObjectRef
	if ref == nil {
		return
	}
	f.TargetTenant = a.opt.State.Tenant(ref.Namespace)
	if kind, ok := workloadKinds[ref.Resource]; ok && ref.Name != "" {
		key := inventory.Key{Kind: kind, Namespace: ref.Namespace, Name: ref.Name}
		f.Target = a.opt.State.TopOwner(key)
		f.TargetOwner, _ = a.opt.State.OwnerOf(key)
	} else if ref.Namespace != "" {
		f.TargetOwner, _ = a.opt.State.OwnerOf(inventory.Key{Kind: inventory.KindNamespace, Name: ref.Namespace})
	}
	theirs := f.TargetTenant
	for _, mine := range []string{f.ActorTenant, f.FromTenant} {
		if mine != "" && theirs != "" && mine != theirs {
			f.CrossTenant = true
		}
	}
}

var workloadKinds = map[string]inventory.Kind{
	"pods": inventory.KindPod, "deployments": inventory.KindDeployment, "replicasets": inventory.KindReplicaSet, "statefulsets": inventory.KindStatefulSet,
	"daemonsets": inventory.KindDaemonSet, "jobs": inventory.KindJob, "cronjobs": inventory.KindCronJob, "replicationcontrollers": inventory.KindRC,
}

// tools names attack tools by what they call themselves and by their images.
func (a *Auditor) tools(d *doc, f *event.AuditFacts) {
	agent := strings.ToLower(d.UserAgent)
	for _, t := range toolAgents {
		if strings.Contains(agent, t) {
			f.Tools = append(f.Tools, t)
		}
	}
	for _, image := range f.Images {
		repo := strings.ToLower(inventory.Repository(image))
		base := repo[strings.LastIndexByte(repo, '/')+1:]
		for _, t := range toolImages {
			if strings.Contains(base, t) {
				f.Tools = append(f.Tools, t)
			}
		}
		for _, t := range minerImages {
			if strings.Contains(repo, t) {
				f.Tools = append(f.Tools, "miner", "miner:"+t)
			}
		}
	}
	slices.Sort(f.Tools)
	f.Tools = slices.Compact(f.Tools)
}

// What attack tools call themselves, and what their images are called. These are names
// that the tools' own sources and pages give; a tool that hides its name is found by
// what it does.
var (
	toolAgents  = []string{"kube-hunter", "peirates", "kubeletctl", "kdigger", "rbac-police", "kubesploit", "kubescan", "botb/", "cdk/", "kubestriker", "kube-scout", "redkube", "mkat/", "rakkess", "access-matrix", "nuclei", "nmap", "masscan"}
	toolImages  = []string{"kube-hunter", "peirates", "kubeletctl", "kdigger", "rbac-police", "kubesploit", "kubestriker", "kubeletmein", "amicontained", "break-out-the-box", "botb", "redkube", "metasploit", "kali-rolling", "kalilinux", "sliver", "mythic"}
	minerImages = []string{"xmrig", "minerd", "cpuminer", "ccminer", "ethminer", "nbminer", "t-rex", "phoenixminer", "lolminer", "nanominer", "monero", "cryptonight", "xmr-stak", "srbminer", "claymore", "cgminer", "bfgminer", "nicehash", "kryptex", "moneroocean", "teamredminer", "wildrig", "gminer", "verusminer", "hellminer"}
)
