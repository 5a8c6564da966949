package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/store"
)

// Bounds of what the agent of a cluster may say. Names of objects, their labels and
// everything in an audit event come from whoever may use the API of that cluster.
const (
	maxPuts        = 10_000 // documents of one delta
	maxHabits      = 10_000
	maxDocBytes    = 512 << 10 // one document as JSON
	maxDocTextSize = 16 << 10  // one text of one
	maxDocItems    = 2000      // one list of one
	maxAuditItems  = 64        // one list of an audit event that is kept apart
	maxKey         = 1024
)

// Origins, as certificates name those who connect: cluster/NAME is a cluster's agent,
// node/CLUSTER/NAME one of its nodes, whose envelopes its agent hands on.
const (
	agentPrefix = "cluster/"
	nodePrefix  = "node/"
)

// clusterOf is the cluster a sender belongs to; "" where its origin names none.
func clusterOf(origin string) string {
	if own, ok := strings.CutPrefix(origin, agentPrefix); ok {
		return own
	}
	if own, ok := strings.CutPrefix(origin, nodePrefix); ok {
		own, _, _ = strings.Cut(own, "/")
		return own
	}
	return ""
}

// own puts the name that a sender's certificate gives it in the place of the one that it
// says, and reports whether they differ: no node may pass for another that fell silent.
func own(origin string, name *string) bool {
	is := ""
	if strings.HasPrefix(origin, agentPrefix) {
		is = origin
	} else if rest, ok := strings.CutPrefix(origin, nodePrefix); ok {
		_, is, _ = strings.Cut(rest, "/")
	}
	if is == "" || is == *name {
		return false
	}
	*name = is
	return true
}

// sender is own for what is kept by the name of its sender: there a node goes by its
// cluster too, for two clusters may each have a node of one name, and one that is watched
// must not hide that the other is not.
func sender(origin string, name *string) {
	if rest, ok := strings.CutPrefix(origin, nodePrefix); ok {
		*name = rest
		return
	}
	own(origin, name)
}

// localOrigin, or what begins with it and a slash, is what comes from within this
// process. Nobody joins under such a name: identities begin with their role.
const localOrigin = "local"

func local(origin string) bool {
	return origin == "" || origin == localOrigin || strings.HasPrefix(origin, localOrigin+"/")
}

// mayName holds a sender to its cluster. An agent speaks for its own; a node for none,
// as what it relays comes under its agent's name.
func mayName(origin, cluster string) error {
	if err := checkName("cluster", cluster); err != nil {
		return err
	}
	if strings.ContainsFunc(cluster, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("%w: cluster name %.80q holds control characters", errInvalid, cluster)
	}
	if local(origin) {
		return nil
	}
	if own, ok := strings.CutPrefix(origin, agentPrefix); !ok || own != cluster {
		return fmt.Errorf("%w: %.80q may not speak for cluster %.80q", errInvalid, origin, cluster)
	}
	return nil
}

// decodeInventory reads a delta. Documents that cannot be kept are left out and counted:
// one that somebody made too big must not keep the others from being known.
func decodeInventory(e link.Envelope) (*inventory.Delta, int, error) {
	var d inventory.Delta
	if err := json.Unmarshal(e.Bytes, &d); err != nil {
		return nil, 0, fmt.Errorf("inventory: %w", err)
	}
	if err := mayName(e.Origin, d.Cluster); err != nil {
		return nil, 0, err
	}
	switch {
	case d.Time <= 0 || d.Generation < 0:
		return nil, 0, fmt.Errorf("%w: inventory of %s has time %d and generation %d", errInvalid, d.Cluster, d.Time, d.Generation)
	case len(d.Put) > maxPuts || len(d.Gone) > maxPuts:
		return nil, 0, fmt.Errorf("%w: inventory of %s has %d documents and %d gone, at most %d", errInvalid, d.Cluster, len(d.Put), len(d.Gone), maxPuts)
	}
	dropped := 0
	keep := d.Put[:0]
	for i := range d.Put {
		if checkDocument(&d.Put[i], d.Cluster) != nil {
			dropped++
			continue
		}
		keep = append(keep, d.Put[i])
	}
	d.Put = keep
	gone := d.Gone[:0]
	for _, g := range d.Gone {
		if !docKind(g.Kind) || checkDocKey(g.Key) != nil {
			dropped++
			continue
		}
		gone = append(gone, g)
	}
	d.Gone = gone
	return &d, dropped, nil
}

func docKind(kind string) bool {
	switch kind {
	case inventory.DocCluster, inventory.DocNode, inventory.DocNamespace, inventory.DocWorkload, inventory.DocIdentity, inventory.DocExposure:
		return true
	}
	return false
}

func checkDocKey(key string) error {
	if key == "" || len(key) > maxKey || !utf8.ValidString(key) || strings.IndexByte(key, 0) >= 0 {
		return fmt.Errorf("%w: document's key has %d bytes, want 1 to %d of UTF-8", errInvalid, len(key), maxKey)
	}
	return nil
}

// checkDocument refuses a document without a key or of no known kind, one of several
// kinds, and one that is bigger than any real one.
func checkDocument(d *inventory.Document, cluster string) error {
	kinds := 0
	for _, set := range []bool{d.Cluster != nil, d.Node != nil, d.Namespace != nil, d.Workload != nil, d.Identity != nil, d.Exposure != nil} {
		if set {
			kinds++
		}
	}
	kind, key := d.Key()
	if kinds != 1 {
		return fmt.Errorf("%w: document of %d kinds", errInvalid, kinds)
	}
	if err := checkDocKey(key); err != nil {
		return err
	}
	if kind == inventory.DocCluster && key != cluster {
		return fmt.Errorf("%w: document of cluster %.80q in a message of cluster %.80q", errInvalid, key, cluster)
	}
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	if len(b) > maxDocBytes {
		return fmt.Errorf("%w: %s %.80q has %d bytes, at most %d", errInvalid, kind, key, len(b), maxDocBytes)
	}
	return checkJSON(b, kind, key)
}

// checkJSON bounds every text and every list of a document, whatever it is called.
func checkJSON(doc []byte, kind, key string) error {
	dec := json.NewDecoder(bytes.NewReader(doc))
	var items []int // of each list or object that is open
	for {
		tok, err := dec.Token()
		if err != nil {
			return nil // the end: it was made by our own encoder
		}
		if n := len(items); n > 0 {
			if items[n-1]++; items[n-1] > 2*maxDocItems {
				return fmt.Errorf("%w: %s %.80q has a list of more than %d", errInvalid, kind, key, maxDocItems)
			}
		}
		switch v := tok.(type) {
		case json.Delim:
			if v == '{' || v == '[' {
				items = append(items, 0)
			} else {
				items = items[:len(items)-1]
			}
		case string:
			if len(v) > maxDocTextSize {
				return fmt.Errorf("%w: %s %.80q has a text of %d bytes, at most %d", errInvalid, kind, key, len(v), maxDocTextSize)
			}
		}
	}
}

func decodeHabits(e link.Envelope) (*inventory.Habits, int, error) {
	var h inventory.Habits
	if err := json.Unmarshal(e.Bytes, &h); err != nil {
		return nil, 0, fmt.Errorf("habits: %w", err)
	}
	if err := mayName(e.Origin, h.Cluster); err != nil {
		return nil, 0, err
	}
	switch {
	case h.Time <= 0 || h.Since < 0 || h.Dropped < 0:
		return nil, 0, fmt.Errorf("%w: habits of %s have time %d, since %d, %d dropped", errInvalid, h.Cluster, h.Time, h.Since, h.Dropped)
	case len(h.List) > maxHabits:
		return nil, 0, fmt.Errorf("%w: %d habits of %s, at most %d", errInvalid, len(h.List), h.Cluster, maxHabits)
	}
	dropped := 0
	keep := h.List[:0]
	for i := range h.List {
		b := &h.List[i]
		if b.Identity == "" || b.Verb == "" || len(b.Identity) > maxKey || len(b.Verb) > maxID || len(b.Resource) > maxKey || len(b.Namespace) > maxNodeName ||
			b.Count <= 0 || b.Denied < 0 || b.Denied > b.Count || b.First < 0 || b.Last < b.First {
			dropped++
			continue
		}
		cutList(&b.Sources, 8)
		cutList(&b.Agents, 8)
		cutList(&b.Unusual, 8)
		keep = append(keep, *b)
	}
	h.List = keep
	return &h, dropped, nil
}

// auditDoc is what is kept apart of an audit event.
type auditDoc struct {
	Level      string `json:"level"`
	Stage      string `json:"stage"`
	RequestURI string `json:"requestURI"`
	Verb       string `json:"verb"`
	User       struct {
		Username string `json:"username"`
	} `json:"user"`
	Impersonated *struct {
		Username string `json:"username"`
	} `json:"impersonatedUser"`
	SourceIPs []string `json:"sourceIPs"`
	UserAgent string   `json:"userAgent"`
	Object    *struct {
		Resource    string `json:"resource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
		APIGroup    string `json:"apiGroup"`
		Subresource string `json:"subresource"`
	} `json:"objectRef"`
	Status *struct {
		Code   int64  `json:"code"`
		Reason string `json:"reason"`
	} `json:"responseStatus"`
	Annotations map[string]string `json:"annotations"`
	Facts       event.AuditFacts  `json:"dockreeve"`
}

func decodeAudit(e link.Envelope) (*store.AuditEvent, error) {
	var ev event.Event
	if err := json.Unmarshal(e.Bytes, &ev); err != nil {
		return nil, fmt.Errorf("audit event: %w", err)
	}
	if ev.Source != event.SourceK8sAudit || ev.ID == (event.ID{}) || ev.Time <= 0 {
		return nil, fmt.Errorf("%w: event %s of source %s at %d is no audit event", errInvalid, ev.ID, ev.Source, ev.Time)
	}
	var d auditDoc
	if err := json.Unmarshal(ev.JSON, &d); err != nil {
		return nil, fmt.Errorf("audit event %s: %w", ev.ID, err)
	}
	if err := mayName(e.Origin, d.Facts.Cluster); err != nil {
		return nil, fmt.Errorf("audit event %s: %w", ev.ID, err)
	}
	a := &store.AuditEvent{
		ID: ev.ID.String(), Cluster: d.Facts.Cluster, Time: ev.Time, Verb: d.Verb, User: d.User.Username, Sources: cutTo(d.SourceIPs), Agent: d.UserAgent,
		Decision: d.Annotations["authorization.k8s.io/decision"], Reason: d.Annotations["authorization.k8s.io/reason"], Unusual: cutTo(d.Facts.Unusual),
		From: d.Facts.From, FromName: d.Facts.FromPod, Workload: d.Facts.Target, Stage: d.Stage, Level: d.Level, Doc: bytes.Clone(ev.JSON),
	}
	if a.FromName == "" {
		a.FromName = d.Facts.FromNode
	}
	if own := d.Facts.Source; own != "" { // first, for the others are what a client may have made up
		a.Sources = append([]string{own}, slices.DeleteFunc(a.Sources, func(s string) bool { return s == own })...)
	}
	if d.Impersonated != nil && d.Impersonated.Username != "" {
		a.Impersonator, a.User = a.User, d.Impersonated.Username
	}
	a.Identity = identityOf(a.User)
	if s := d.Status; s != nil {
		a.Code = s.Code
		if a.Reason == "" {
			a.Reason = s.Reason
		}
	}
	if o := d.Object; o != nil && o.Resource != "" {
		a.Namespace, a.Name, a.Resource = o.Namespace, o.Name, o.Resource
		if o.APIGroup != "" {
			a.Resource += "." + o.APIGroup
		}
		if o.Subresource != "" {
			a.Resource += "/" + o.Subresource
		}
	} else {
		a.Resource, _, _ = strings.Cut(d.RequestURI, "?")
	}
	return a, nil
}

func cutTo(list []string) []string { return list[:min(len(list), maxAuditItems)] }

// identityOf is the key of a user as audit logs name it.
func identityOf(user string) string {
	if user == "" {
		return ""
	}
	if user == "system:anonymous" {
		return event.ActorAnonymous
	}
	if node, ok := strings.CutPrefix(user, "system:node:"); ok {
		return "node:" + node
	}
	if account, ok := strings.CutPrefix(user, "system:serviceaccount:"); ok {
		if namespace, name, ok := strings.Cut(account, ":"); ok {
			return "serviceaccount:" + namespace + "/" + name
		}
	}
	return "user:" + user
}
