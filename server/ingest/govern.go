package ingest

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/store"
)

// Bounds of what an agent may say of use and canaries.
const (
	maxUsages   = 5000
	maxCanaries = 5000
	// maxHours is core-hours, GiB-hours or nodes beyond which a number is a mistake; maxEgress
	// the same of bytes.
	maxHours  = 1e7
	maxEgress = 1e18
	maxCannot = 1024 // bytes of a reason
)

// decodeUsage reads what namespaces used. What makes no sense is left out and counted: a
// sum of money must not rest on it.
func decodeUsage(e link.Envelope) (*inventory.UsageReport, int, error) {
	var r inventory.UsageReport
	if err := json.Unmarshal(e.Bytes, &r); err != nil {
		return nil, 0, fmt.Errorf("use of a cluster: %w", err)
	}
	if err := mayName(e.Origin, r.Cluster); err != nil {
		return nil, 0, err
	}
	switch {
	case r.Time <= 0:
		return nil, 0, fmt.Errorf("%w: use of %s has time %d", errInvalid, r.Cluster, r.Time)
	case len(r.List) > maxUsages:
		return nil, 0, fmt.Errorf("%w: %d hours of use of %s, at most %d", errInvalid, len(r.List), r.Cluster, maxUsages)
	}
	dropped := 0
	keep := r.List[:0]
	for i := range r.List {
		u := r.List[i]
		if !goodUsage(&u) || u.Hour > r.Time {
			dropped++
			continue
		}
		u.Cluster = r.Cluster
		keep = append(keep, u)
	}
	r.List = keep
	return &r, dropped, nil
}

func goodUsage(u *inventory.Usage) bool {
	for _, f := range []float64{u.Requested, u.Used, u.Charged, u.Memory, u.Nodes, u.Cores} {
		if math.IsNaN(f) || f < 0 || f > maxHours {
			return false
		}
	}
	return u.Hour > 0 && u.Hour%int64(time.Hour) == 0 && u.Samples >= 0 && u.Egress >= 0 && u.Egress <= maxEgress && len(u.Namespace) <= maxNodeName && len(u.Owner) <= maxKey && len(u.UsedWhy) <= maxCannot &&
		utf8.ValidString(u.Namespace) && utf8.ValidString(u.Owner)
}

// canaryKinds are those of govern.Canary that agents send; the test image is the hub's own.
var canaryKinds = map[string]bool{"exec": true, "audit": true, "denial": true}

func decodeCanaries(e link.Envelope) (*inventory.CanaryReport, int, error) {
	var r inventory.CanaryReport
	if err := json.Unmarshal(e.Bytes, &r); err != nil {
		return nil, 0, fmt.Errorf("canaries: %w", err)
	}
	node := strings.HasPrefix(e.Origin, nodePrefix)
	switch {
	case node || r.Cluster == "" && local(e.Origin): // a node tells of its own
		r.Cluster = clusterOf(e.Origin)
	default:
		if err := mayName(e.Origin, r.Cluster); err != nil {
			return nil, 0, err
		}
	}
	switch {
	case r.Time <= 0:
		return nil, 0, fmt.Errorf("%w: canaries of %s have time %d", errInvalid, r.Cluster, r.Time)
	case len(r.List) > maxCanaries:
		return nil, 0, fmt.Errorf("%w: %d canaries of %s, at most %d", errInvalid, len(r.List), r.Cluster, maxCanaries)
	}
	dropped := 0
	keep := r.List[:0]
	for i := range r.List {
		c := r.List[i]
		// One that came back after now, or before it was ever sent, proves nothing.
		if !canaryKinds[c.Kind] || node && c.Kind != "exec" || !goodDenial(&c) || len(c.Node) > maxNodeName || len(c.NotAssessed) > maxCannot || c.Sent < 0 || c.Seen < 0 || c.Every < 0 || c.Sent > r.Time || c.Seen > r.Time || c.Seen > 0 && c.Sent == 0 {
			dropped++
			continue
		}
		if node {
			own(e.Origin, &c.Node)
		}
		keep = append(keep, c)
	}
	r.List = keep
	return &r, dropped, nil
}

// goodDenial says whether what is told of a denial can be: only of its kind, not before it
// was asked for, and in words of bounded length.
func goodDenial(c *inventory.Canary) bool {
	for _, s := range []string{c.By, c.Answer, c.Untold} {
		if len(s) > maxCannot || !utf8.ValidString(s) {
			return false
		}
	}
	return c.Denied == 0 && c.By == "" || c.Kind == "denial" && c.Denied > 0 && c.Denied <= c.Sent && c.By != ""
}

// decodeFiles reads what a node says of its files. A cluster agent on the way has it in its
// documents of nodes already; a node that is linked straight to the hub has nobody else to
// tell it. Which node it is, its certificate says. What it says of its kubelet's
// configuration, the API server tells better. nil = of no cluster's node: nobody asks.
func decodeFiles(e link.Envelope) (*store.NodeFiles, error) {
	k, err := inventory.DecodeKubelet(e.Bytes)
	if err != nil {
		return nil, err
	}
	rest, ok := strings.CutPrefix(e.Origin, nodePrefix)
	cluster, node, named := strings.Cut(rest, "/")
	switch {
	case !ok || !named || cluster == "" || node == "":
		return nil, nil
	case k.At <= 0:
		return nil, fmt.Errorf("%w: files of node %.80q have time %d", errInvalid, node, k.At)
	}
	f := &store.NodeFiles{Cluster: cluster, Kubelet: inventory.Kubelet{Node: node, At: k.At, Files: k.Files}}
	if why := k.Why["files"]; why != "" {
		f.Kubelet.Why = map[string]string{"files": why}
	}
	return f, nil
}

// canaryRules are the rules by which canaries come back, with what each proves. A finding
// of theirs is no alert.
var canaryRules = map[string]string{"canary-exec": "exec", "canary-audit": "audit", "canary-denial": "denial"}

func cameBack(f *finding.Finding, kind string) *store.CameBack {
	b := &store.CameBack{Cluster: f.Subject.Cluster, Kind: kind, Time: f.Time}
	if kind == "exec" {
		b.Node = f.Subject.Node
	}
	return b
}
