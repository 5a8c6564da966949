package kubeaudit

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Coverage says which audit events have been seen of which clusters, and what cannot be
// judged for want of the others.
type Coverage struct {
	Since    int64 // when the intake began, Unix nanoseconds
	Clusters []ClusterCoverage
	// NotAssessed speaks of the intake as a whole: that nothing came at all, or of more
	// clusters than are told apart.
	NotAssessed []string
}

// ClusterCoverage is what has been seen of one cluster.
type ClusterCoverage struct {
	Cluster    string
	ResourceID string // "" when not of Azure
	Seen       []CategorySeen
	// NotAssessed names each matter that what was seen cannot show, and what to do. Empty:
	// reads, request objects and response objects were all seen.
	NotAssessed []string
}

// CategorySeen is one category of one way in.
type CategorySeen struct {
	Way      string
	Category string // "" where events come straight from an API server
	Events   uint64 // repeats included
	First    int64  // arrival, Unix nanoseconds
	Last     int64
}

// maxClusters bounds how many clusters coverage tells apart.
const maxClusters = 1000

type coverage struct {
	since    time.Time
	clusters map[string]*seen
	beyond   uint64 // events of clusters beyond the bound
}

type seen struct {
	cluster, resource       string
	categories              []CategorySeen // at most ways × categories
	read, request, response bool
}

func newCoverage(since time.Time) *coverage {
	return &coverage{since: since, clusters: map[string]*seen{}}
}

func (c *coverage) add(src Source, a about, now int64) {
	key := src.ResourceID + "\x00" + src.Cluster
	s := c.clusters[key]
	if s == nil {
		if len(c.clusters) == maxClusters {
			c.beyond++
			return
		}
		s = &seen{cluster: strings.Clone(src.Cluster), resource: strings.Clone(src.ResourceID)}
		c.clusters[strings.Clone(key)] = s
	}
	s.read, s.request, s.response = s.read || a.read, s.request || a.request, s.response || a.response
	i := slices.IndexFunc(s.categories, func(k CategorySeen) bool { return k.Way == src.Way && k.Category == src.Category })
	if i < 0 {
		i = len(s.categories)
		s.categories = append(s.categories, CategorySeen{Way: src.Way, Category: src.Category, First: now})
	}
	s.categories[i].Events++
	s.categories[i].Last = now
}

func (c *coverage) report() Coverage {
	out := Coverage{Since: c.since.UnixNano()}
	for _, s := range c.clusters {
		k := ClusterCoverage{Cluster: s.cluster, ResourceID: s.resource, Seen: slices.Clone(s.categories), NotAssessed: s.gaps()}
		slices.SortFunc(k.Seen, func(a, b CategorySeen) int {
			return strings.Compare(a.Category+"\x00"+a.Way, b.Category+"\x00"+b.Way)
		})
		out.Clusters = append(out.Clusters, k)
	}
	slices.SortFunc(out.Clusters, func(a, b ClusterCoverage) int {
		return strings.Compare(a.Cluster+"\x00"+a.ResourceID, b.Cluster+"\x00"+b.ResourceID)
	})
	if len(out.Clusters) == 0 {
		out.NotAssessed = []string{"No audit event has arrived since " + c.since.UTC().Format(time.RFC3339) +
			": nothing that is done through an API server can be judged. Connect a source as docs/audit.md describes."}
	}
	if c.beyond > 0 {
		out.NotAssessed = append(out.NotAssessed, fmt.Sprintf("Events of more than %d clusters arrive: %d events of the others were taken in, but their coverage is not told apart.", maxClusters, c.beyond))
	}
	return out
}

// gaps says what this cluster's events cannot show.
func (s *seen) gaps() []string {
	var all, admin bool
	for _, k := range s.categories {
		all = all || k.Category != CategoryAuditAdmin
		admin = admin || k.Category == CategoryAuditAdmin
	}
	var out []string
	switch {
	case !all && admin:
		out = append(out,
			"Only kube-audit-admin arrives, which leaves out get, list and watch. Not assessed: reading and mass reading of secrets, discovery and enumeration of the API, "+
				"anonymous reads, refused reads, and the use of stolen tokens for reading. To have these judged, enable the category kube-audit (it costs more) in the diagnostic setting.",
			"Exec, attach and port-forward opened by a GET over WebSocket are reads to the API server and may be missing from kube-audit-admin: what is seen of them is a lower bound.")
	case !s.read:
		out = append(out, "No get, list or watch has been seen: the audit policy may leave reads out. Not assessed until one is seen: secret reads, discovery, and the use of tokens for reading.")
	}
	if !s.request {
		out = append(out, "No event has held the object of its request: the audit policy may record metadata only. Not assessed until one does: what pods, roles, bindings, services and webhooks contain (privileged, host paths, rights given, exposure).")
	}
	if !s.response {
		out = append(out, "No event has held the object of its response. Not assessed until one does: names that the API server generates and defaults it fills in.")
	}
	return out
}
