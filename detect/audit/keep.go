package audit

import (
	"strings"

	"github.com/dockreeve/dockreeve/event"
)

// keepEvery is how often one and the same read of a program is kept, nanoseconds.
const keepEvery = int64(600e9)

// Keep reports whether the event last given to Facts belongs into the history of who did
// what. Everything that people do, that changes something, that is refused or unusual
// does; of what the platform does only what changes more than its own bookkeeping; of
// what programs read again and again one in ten minutes. What is not kept is still
// counted in habits.
func (a *Auditor) Keep() bool { return a.keep }

func (a *Auditor) keeps(d *doc, f *event.AuditFacts, one *habit) bool {
	switch {
	case !f.First:
		return false
	case f.Elsewhere || f.CrossTenant || len(f.Unusual) > 0 || len(f.Tools) > 0 || f.By != "" || f.Actor == event.ActorAnonymous && d.done():
		return true
	}
	ref := d.ObjectRef
	read := reads(d.Verb) || ref == nil
	switch {
	case f.Platform && (read && !d.denied() || bookkeeping(ref)):
		return false
	case f.Actor == event.ActorUser, !read && !bookkeeping(ref):
		return true
	}
	if one == nil {
		return true
	}
	if d.time-one.keptAt < keepEvery && d.time >= one.keptAt {
		return false
	}
	one.keptAt = d.time
	return true
}

// bookkeeping reports whether a resource is what controllers write all the time to do
// their work and what says nothing of who may do what.
func bookkeeping(ref *objectRef) bool {
	if ref == nil {
		return false
	}
	switch ref.Resource {
	case "leases", "endpoints", "endpointslices", "tokenreviews", "subjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "localsubjectaccessreviews":
		return true
	case "events":
		return true
	}
	return ref.Subresource == "status" || strings.HasSuffix(ref.Subresource, "/status") || ref.Resource == "serviceaccounts" && ref.Subresource == "token" || ref.Resource == "pods" && ref.Subresource == "binding"
}
