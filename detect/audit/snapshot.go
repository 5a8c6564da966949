package audit

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// snapshot is what an auditor has learned, as it is kept between runs.
type snapshot struct {
	Version int                 `json:"version"`
	Cluster string              `json:"cluster"`
	Since   int64               `json:"since"`
	Dropped int64               `json:"dropped,omitempty"`
	People  map[string]*person  `json:"people"`
	Models  models              `json:"models"`
	Egress  map[string]exit     `json:"egress,omitempty"`
	Repos   map[string][]string `json:"repositories,omitempty"`
}

const snapshotVersion = 2

// maxSnapshot bounds what Restore reads, bytes after decompression.
const maxSnapshot = 1 << 30

// ErrSnapshot reports a snapshot that cannot be used.
var ErrSnapshot = errors.New("not a usable snapshot of learned habits")

// Snapshot writes what was learned. Call it from the goroutine that calls Facts.
func (a *Auditor) Snapshot(w io.Writer) error {
	s := snapshot{
		Version: snapshotVersion, Cluster: a.opt.Cluster, Since: a.habits.Since, Dropped: a.habits.dropped,
		People: a.habits.Who, Models: a.models, Egress: map[string]exit{}, Repos: map[string][]string{},
	}
	for ip, one := range a.egress {
		s.Egress[ip.String()] = one
	}
	for ns, repos := range a.repos {
		s.Repos[ns] = slices.Sorted(maps.Keys(repos))
	}
	z := gzip.NewWriter(w)
	if err := json.NewEncoder(z).Encode(&s); err != nil {
		return fmt.Errorf("write what was learned: %w", err)
	}
	return z.Close()
}

// Restore takes up what Snapshot wrote, in the place of anything learned so far. On an
// error, which wraps ErrSnapshot, the auditor is as it was.
func (a *Auditor) Restore(r io.Reader) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	var s snapshot
	if err := json.NewDecoder(io.LimitReader(z, maxSnapshot)).Decode(&s); err != nil {
		return fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	if s.Version != snapshotVersion {
		return fmt.Errorf("%w: version %d, want %d", ErrSnapshot, s.Version, snapshotVersion)
	}
	if s.Cluster != a.opt.Cluster {
		return fmt.Errorf("%w: it is of cluster %q, not of %q", ErrSnapshot, s.Cluster, a.opt.Cluster)
	}
	h := newHabits()
	h.Since, h.dropped = s.Since, s.Dropped
	for id, p := range s.People {
		if p == nil || len(h.Who) >= maxIdentities {
			continue
		}
		if p.From == nil {
			p.From = map[string]int64{}
		}
		if p.Agents == nil {
			p.Agents = map[string]int64{}
		}
		kept := make(map[string]*habit, len(p.Habits))
		for _, one := range p.Habits {
			if one == nil || h.total >= maxHabits || len(kept) >= maxPerIdentity {
				continue
			}
			one.Identity = id
			kept[one.Verb+"\x00"+one.Resource+"\x00"+one.Namespace] = one
			h.total++
			h.peer(id, p, one, 1)
		}
		p.Habits = kept
		h.Who[id] = p
		if strings.HasPrefix(id, "serviceaccount:") {
			h.accounts++
		}
	}
	m := newModels()
	for k, p := range s.Models.Pairs {
		if p != nil && len(m.Pairs) < maxPairs {
			m.Pairs[k] = p
		}
	}
	for name := range m.By {
		if l := s.Models.By[name]; l != nil {
			m.By[name] = l
		}
	}
	egress := map[netip.Addr]exit{}
	for text, one := range s.Egress {
		if ip, err := netip.ParseAddr(text); err == nil && len(egress) < maxEgress {
			egress[ip] = one
		}
	}
	a.habits, a.models, a.egress, a.repos = h, m, egress, map[string]map[string]bool{}
	for ns, list := range s.Repos {
		for _, repo := range list {
			a.sawImage(ns, repo)
		}
	}
	return nil
}
