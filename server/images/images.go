// Package images keeps what is known of container images up to date: it holds the
// advisory database and matches stored catalogues again when it changes, scans images
// when they are first seen running, walks registries and hears of pushes, and says
// through findings what is new and matters.
//
// It promises that nothing is pulled to match again, that one slow image never holds
// up another's verdict beyond its turn, that every queue is bounded and its losses
// counted, and that whatever could not be looked at has a reason. It does not phone
// home: updates, pulls and walks are off until configured.
package images

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/internal/clock"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/advisory"
	"github.com/dockreeve/dockreeve/scan/image"
	"github.com/dockreeve/dockreeve/scan/match"
	"github.com/dockreeve/dockreeve/store"
)

// Hop is the name under which images that were not looked at are counted.
const Hop = "server.images"

// Advisories is what is asked of the advisory database; *advisory.DB is one.
type Advisories interface {
	match.Advisories
	Info() scan.DatabaseInfo
	Ecosystems() map[string]int
	Find(id string) ([]*advisory.Record, error)
	ChangedSince(version string) ([]advisory.Key, bool, error)
	NamesAfter(ecosystem, after string, limit int) ([]string, error)
	Close() error
}

// Scanner reads what an image holds; scanner.Scanner is one.
type Scanner interface {
	Catalogs(ctx context.Context, ref string) ([]*scan.Catalog, error)
}

// Options say what to do. DB is needed; everything that reaches beyond this machine is
// off when zero.
type Options struct {
	DB *store.DB
	// Raise stores findings; nil = what is new only goes into the history.
	Raise func(ctx context.Context, list []*finding.Finding) error
	// Lost counts what a queue could not take; nil = only logged.
	Lost func(event.Loss)

	// Database is the file of the advisory database; "" = there is none.
	Database string
	// Open opens it; nil = advisory.Open.
	Open func(path string) (Advisories, error)
	// MaxAge is how old the database may be before every verdict says so; 0 = 7 days,
	// negative = any age.
	MaxAge time.Duration
	// Update brings the file up to date; nil = nobody does here. UpdateEvery is how often;
	// 0 = 6 hours.
	Update      func(ctx context.Context) error
	UpdateEvery time.Duration

	// Scanner scans what is first seen running; nil = nothing is, and it says so.
	Scanner Scanner
	// Local says that containers run on this machine, so that their images are looked for
	// in its stores and, failing that, in their root file systems.
	Local bool
	// Containerd says how containerd's store is read, which tells what containers of this
	// machine are made of when their runtime's state does not.
	Containerd image.Options
	// Pull lets images be pulled from the registry their name says, by digest.
	Pull bool

	// CanaryEvery is how often a test image has to prove that images are scanned: one that is
	// vulnerable by the advisories must be found so. 0 = a day, negative = never. Another one
	// follows each change of the advisories.
	CanaryEvery time.Duration

	// Registries are walked on a schedule, and those that push notify us.
	Registries []Registry

	Clock clock.Clock  // nil means the machine's
	Log   *slog.Logger // nil means nowhere
}

// Images is the keeper. Its methods are safe for concurrent use.
type Images struct {
	opt  Options
	work *queue

	mu    sync.RWMutex // held for reading while db is used
	db    Advisories   // nil = there is none
	noDB  error        // why there is none
	seen  stamp        // of the file that db was opened from
	state struct {
		sync.Mutex
		updateErr error // of the last update
		matching  error // of the last time all was matched
		walks     map[string]*walk
	}
	turn chan struct{} // one token: who changes many images at once
}

// New returns a keeper that Run starts.
func New(opt Options) *Images {
	if opt.Clock == nil {
		opt.Clock = clock.Real{}
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Open == nil {
		opt.Open = func(path string) (Advisories, error) {
			db, err := advisory.Open(path)
			if err != nil {
				return nil, err // a nil *DB must not become a database
			}
			return db, nil
		}
	}
	if opt.MaxAge == 0 {
		opt.MaxAge = 7 * 24 * time.Hour
	}
	if opt.UpdateEvery <= 0 {
		opt.UpdateEvery = 6 * time.Hour
	}
	s := &Images{opt: opt, turn: make(chan struct{}, 1)}
	s.state.walks = map[string]*walk{}
	s.work = newQueue(s)
	if opt.Database == "" {
		s.noDB = errNoDatabase
	}
	return s
}

var errNoDatabase = errors.New("no advisory database is configured: make one with dockreeve db update, or import one, and name it")

// Intervals of what is looked at again and again.
const (
	lookEvery   = 10 * time.Second // for a replaced database, and for what has come in to be settled
	sweepEvery  = time.Minute
	staleReport = 15 * time.Minute // three times what a node takes to say all it knows
)

// Run works until ctx ends, which is not an error. What fails is tried again and shown
// in Status.
func (s *Images) Run(ctx context.Context) error {
	defer s.closeDB()
	var group sync.WaitGroup
	for _, f := range []func(context.Context){s.keep, s.settle, s.work.run, s.update, s.walks, s.canaries} {
		group.Add(1)
		go func() {
			defer group.Done()
			f(ctx)
		}()
	}
	group.Wait()
	return nil
}

// wait sleeps and reports whether to go on.
func (s *Images) wait(ctx context.Context, d time.Duration) bool {
	ring, stop := s.opt.Clock.After(d)
	defer stop()
	select {
	case <-ring:
		return true
	case <-ctx.Done():
		return false
	}
}

// keep holds the database at hand and everything matched with it.
func (s *Images) keep(ctx context.Context) {
	for {
		if err := s.Refresh(ctx); err != nil && ctx.Err() == nil {
			s.opt.Log.Warn("matching images with the advisories failed, trying again", "error", err)
		}
		if err := s.Raise(ctx); err != nil && ctx.Err() == nil {
			s.opt.Log.Warn("raising findings of new vulnerabilities failed, trying again", "error", err)
		}
		if !s.wait(ctx, lookEvery) {
			return
		}
	}
}

// settle joins what nodes report with images, as it comes in, and has scanned what
// runs unknown.
func (s *Images) settle(ctx context.Context) {
	swept := s.opt.Clock.Now()
	for {
		changed := s.opt.DB.Changed()
		for more := true; more; {
			var err error
			if more, err = s.opt.DB.SettleWith(ctx, s.identify); err != nil {
				if errors.Is(err, store.ErrClosed) || ctx.Err() != nil {
					return
				}
				s.opt.Log.Warn("joining what runs with its images failed, trying again", "error", err)
				break
			}
		}
		if now := s.opt.Clock.Now(); now.Sub(swept) >= sweepEvery {
			swept = now
			if _, err := s.opt.DB.SweepRunning(ctx, int64(staleReport)); err != nil && ctx.Err() == nil {
				s.opt.Log.Warn("ending containers no longer spoken of failed", "error", err)
			}
		}
		s.work.look(ctx)
		// At most once a second: a change of anything wakes this.
		if !s.wait(ctx, time.Second) {
			return
		}
		ring, stop := s.opt.Clock.After(lookEvery)
		select {
		case <-changed:
		case <-ring:
		case <-ctx.Done():
			stop()
			return
		}
		stop()
	}
}

func (s *Images) lost(reason string, n uint64) {
	now := s.opt.Clock.Now().UnixNano()
	if s.opt.Lost != nil {
		s.opt.Lost(event.Loss{Hop: Hop, Reason: reason, Count: n, From: now, To: now})
		return
	}
	s.opt.Log.Warn("images were not looked at", "reason", reason, "count", n)
}
