// Package tenant makes a believable Azure tenant that never was: a fictitious company
// with its subscriptions, clusters, registries, plans, policies, budgets, activity and
// incidents, and beside it what Azure does not know: the bill, what agents saw, alerts,
// scans, gates, reviews and two months of history. It is for exploring Dockreeve without
// an Azure account, and for tests.
//
// The same Options give the same World, byte for byte; it reads no clock.
//
//	w := tenant.New(tenant.Options{Seed: 1, Now: now})
//	err := w.Records(func(r azure.Record) error { return builder.Add(r) })
//
// Documents have ARM's own shapes and casing oddities and are made while they are read:
// a World holds only a small description of each thing, so 2,000 clusters need some
// 10 MB. Each answers a single read (test/arm serves those). Scopes are ids in lower
// case; ids inside documents are written as ARM writes them, in mixed case.
//
// Prices in data/ are round figures made for the demo, not those of any publisher.
package tenant

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"time"
)

// Options says what World to make. The zero value is useful but for Now, which must be set.
type Options struct {
	Seed          int64
	Now           time.Time // when the tenant is looked at; everything lies before it
	Subscriptions int       // 0 = 40
	Clusters      int       // AKS and Arc; 0 = 200
	Resources     int       // of all types that the resource graph lists; 0 = eight for each cluster
	Days          int       // of bill and history; 0 = 60
}

// World is a tenant. It is not changed after New: all methods may be called at once.
type World struct {
	opts     Options
	now      time.Time
	tenant   string // directory id
	subs     []*subscription
	clusters []*cluster
	regs     []*registry
	groups   []*resourceGroup
	sizes    []size
	bySize   map[string]*size
	bySub    map[string]*subscription // by id
	byID     map[string]*cluster      // by id
	stories  []Story
}

// Story is something that happened in the World and should be found.
type Story struct {
	Name    string // miner, stolen-identity, audit-cost, alert-rise, budget-breach, unknown-size…
	Cluster string // id in lower case; "" = none
	At      int64  // Unix nanoseconds
	Text    string
}

// New makes a World. Numbers below 1 take their defaults; at most 5,000 subscriptions,
// 20,000 clusters, 1,000,000 resources and 400 days are made.
func New(o Options) *World {
	pick := func(n, zero, most int) int {
		if n < 1 {
			n = zero
		}
		return min(n, most)
	}
	o.Subscriptions = pick(o.Subscriptions, 40, 5_000)
	o.Clusters = pick(o.Clusters, 200, 20_000)
	o.Resources = pick(o.Resources, 8*o.Clusters, 1_000_000)
	o.Days = pick(o.Days, 60, 400)
	w := &World{opts: o, now: o.Now.UTC().Truncate(time.Second),
		bySub: map[string]*subscription{}, byID: map[string]*cluster{}}
	w.tenant = guid(w.rng("tenant", 0))
	w.sizes, w.bySize = readSizes()
	w.makeSubscriptions()
	w.makeClusters()
	w.makeRegistries()
	w.tell()
	return w
}

// TenantID is the directory id.
func (w *World) TenantID() string { return w.tenant }

// Now is Options.Now, to the second.
func (w *World) Now() time.Time { return w.now }

// Stories says what happened and should be found, in a stable order.
func (w *World) Stories() []Story { return append([]Story(nil), w.stories...) }

// Subscriptions are the ids of all subscriptions, in lower case.
func (w *World) Subscriptions() []string {
	out := make([]string, len(w.subs))
	for i, s := range w.subs {
		out[i] = s.id()
	}
	return out
}

// rng gives every thing a source of its own, so that one thing's draws never shift
// another's.
func (w *World) rng(kind string, i int) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(kind))
	return rand.New(rand.NewPCG(uint64(w.opts.Seed), h.Sum64()+uint64(i)*0x9e3779b97f4a7c15))
}

// guid draws a random (version 4) UUID.
func guid(r *rand.Rand) string {
	a, b := r.Uint64(), r.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, 0x8000|b>>48&0x3fff, b&0xffffffffffff)
}

// guidOf is a guid that is the same for the same words.
func (w *World) guidOf(words ...string) string {
	return guid(w.rng(strings.Join(words, "|"), 0))
}

func one[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

// chance is true p of 100 times.
func chance(r *rand.Rand, p int) bool { return r.IntN(100) < p }

// ago is a moment before now, in whole seconds.
func (w *World) ago(d time.Duration) time.Time { return w.now.Add(-d) }

// midnight of the day that is n days before today.
func (w *World) day(n int) time.Time {
	return w.now.Truncate(24*time.Hour).AddDate(0, 0, -n)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// micro is a time as the Activity Log and Policy write it: seven digits.
func micro(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }
