package inuse

import (
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/event"
)

// Due returns the reports to send at a time, by container: of containers that are new,
// have loaded something new or are otherwise changed, at most every DeltaEvery; of every
// container each FullEvery; and the last one of those that have ended. Times go forward
// only.
func (t *Tracker) Due(now int64) []Report { return t.due(now, false) }

// Rest returns what Due has not told yet, whenever it was last asked: call it when
// there will be no more events.
func (t *Tracker) Rest() []Report { return t.due(t.now, true) }

func (t *Tracker) due(now int64, all bool) []Report {
	t.now = max(t.now, now)
	var ids []string
	for id, b := range t.boxes {
		if b.due(t.now, all) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	out := t.done // before what follows under the same names
	t.done = nil
	for _, id := range ids {
		b := t.boxes[id]
		ended := b.ended(t.now)
		out = t.report(out, b, ended)
		if ended {
			delete(t.boxes, id)
			t.paths -= len(b.loads)
			t.last = nil
		}
	}
	return out
}

func (b *box) ended(now int64) bool { return b.empty != 0 && now-b.empty >= EndAfter }

func (b *box) due(now int64, all bool) bool {
	news := b.full == 0 || b.changed || len(b.fresh) > 0
	return news && (all || now-b.told >= DeltaEvery) || b.full != 0 && now-b.full >= FullEvery || b.ended(now)
}

// report appends a container's report, in parts where it is too long for one.
func (t *Tracker) report(out []Report, b *box, ended bool) []Report {
	r := t.head(b)
	paths := b.fresh
	if b.full == 0 || t.now-b.full >= FullEvery || ended {
		paths = make([]string, 0, len(b.loads))
		for p := range b.loads {
			paths = append(paths, p)
		}
		r.Full, b.full = true, t.now
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	b.fresh, b.changed, b.told = nil, false, t.now
	size, parts := 0, 1
	for _, p := range paths {
		if len(r.Loads) > 0 && (len(r.Loads) >= maxReportLoads || size+len(p) > maxReportBytes) {
			r.Full = false
			out = append(out, r)
			r.Loads, size = nil, 0
			parts++
		}
		l := b.loads[p]
		r.Loads = append(r.Loads, Load{Path: p, First: l.first, Last: l.last, Changed: l.changed})
		size += len(p)
	}
	if parts > 1 {
		r.Full = false
	}
	r.Ended = ended
	return append(out, r)
}

// head is a report without loads.
func (t *Tracker) head(b *box) Report {
	c := b.c
	from, since := started(c), b.since
	if b.born != 0 {
		// What its runtime says is of an earlier start, or not known yet.
		if from < t.begun || from < b.after || from == 0 {
			from = b.born
		}
		if since == b.born {
			since = min(since, from) // nothing of its own ran before its set-up
		}
	}
	r := Report{
		Node: t.opt.Node, Container: c.ID, Name: c.Name, Workload: workload(c), Image: c.Image, Digest: c.ImageDigest, ImageID: c.ImageID,
		Runtime: c.Runtime, Rootfs: c.Rootfs, Unknown: c.Unknown, Started: from, Since: since, Until: max(t.now, b.since), NotWatched: b.broken,
	}
	if b.empty != 0 {
		r.Until = max(b.empty, b.seen, b.since)
	}
	if b.blind != "" {
		r.Since, r.NotWatched = 0, b.blind
	}
	if t.begun == 0 && r.NotWatched == "" {
		r.Since, r.NotWatched = 0, "nobody said when the watch began"
	}
	for p := range b.pids {
		if r.PID == 0 || p.pid < r.PID {
			r.PID = p.pid
		}
	}
	if c.Image == "" && r.Unknown == "" {
		r.Unknown = "its runtime does not tell its image's name"
	}
	r.clip()
	return r
}

// workload names what runs as findings do.
func workload(c *event.Container) string {
	switch {
	case c.PodName != "":
		return c.PodNamespace + "/pod/" + c.PodName
	case c.Name != "":
		return "container/" + c.Name
	}
	return "container/" + c.ID[:min(len(c.ID), 12)]
}

// started is when the container started, or was made where only that is told.
func started(c *event.Container) int64 {
	if c.StartTime != 0 {
		return c.StartTime
	}
	return c.CreatedTime
}

// clip cuts names that somebody else chose to what a hub takes.
func (r *Report) clip() {
	for _, s := range []*string{&r.Name, &r.Workload, &r.Image, &r.Digest, &r.ImageID, &r.Runtime} {
		*s = strings.ToValidUTF8((*s)[:min(len(*s), maxName)], "�")
	}
	for _, s := range []*string{&r.Rootfs, &r.Unknown} {
		*s = strings.ToValidUTF8((*s)[:min(len(*s), maxPath-3)], "�")
	}
}
