package governance

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/store"
)

// defenderKey begins the key under which an alert of Defender is remembered.
const defenderKey = "defender:"

const (
	// twinWindow is how far apart two products may say that one thing happened.
	twinWindow = int64(30 * time.Minute)
	// twinLate is how long after it an alert of ours may still come and be found to be the
	// same: an agent may have been cut off.
	twinLate = 2 * day
	// staleAlert is how old an alert of Defender may be to be taken up at all.
	staleAlert = factDays * day
)

// Who moves alerts as Defender has them, and who joins two.
const (
	byDefender  = "Defender for Cloud"
	byDockreeve = "dockreeve"
)

// defender takes Defender's own alerts in. One that an alert of ours tells too becomes a
// note at ours; the others become alerts of their own, in the state they have there.
func (r *raising) defender(ctx context.Context, alerts []cloud.DefenderAlert, rules []cloud.Suppression) error {
	for i := range alerts {
		a := &alerts[i]
		at := cmp.Or(a.Start, a.End, a.Generated)
		if a.ID == "" || a.Type == "" || at <= 0 || r.now-max(a.End, at) > staleAlert {
			continue
		}
		key := defenderKey + strings.ToLower(a.ID)
		hash := hashOf(a.Status, a.Severity)
		old, ok := r.known[key]
		if ok && bytes.Equal(old.Hash, hash) && r.now-at > twinLate {
			continue
		}
		twin, err := r.twin(ctx, a, at, old.Alert)
		if err != nil {
			return err
		}
		switch {
		case twin != nil:
			err = r.merge(ctx, a, twin, key, hash, old)
		case !ok:
			f := r.findingOfDefender(a, at, rules)
			id := finding.AlertID(f.Fingerprint)
			err = r.add(ctx, f, store.Raised{Key: key, Hash: hash, Alert: id, At: r.now}, func(ctx context.Context) error { return r.follow(ctx, a, id) })
		case !bytes.Equal(old.Hash, hash):
			old.Hash, old.At = hash, r.now
			if err = r.follow(ctx, a, old.Alert); err == nil {
				err = r.g.opt.DB.SetRaised(ctx, []store.Raised{old})
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// merge notes at an alert of ours that Defender tells the same. An alert that was made of
// Defender's before ours came is resolved, and says where it went.
func (r *raising) merge(ctx context.Context, a *cloud.DefenderAlert, twin *store.Twin, key string, hash []byte, old store.Raised) error {
	line := fmt.Sprintf("Defender for Cloud tells this too: %s (%s, %s), %s there as of %s", oneLine(a.Title), a.Type, a.Severity, strings.ToLower(cmp.Or(a.Status, "of unknown status")), stamp(cmp.Or(a.Start, a.Generated)))
	added, err := r.g.opt.DB.AddNote(ctx, twin.ID, line)
	if err != nil {
		return err
	}
	if added {
		r.out.Merged++
	}
	if old.Alert != "" && old.Alert != twin.ID {
		_, err := r.g.opt.DB.SetStatus(ctx, []string{old.Alert}, finding.Resolved, byDockreeve, "merged: alert "+twin.ID+" tells the same")
		if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, finding.ErrTransition) {
			return err
		}
	}
	if old.Alert == twin.ID && bytes.Equal(old.Hash, hash) {
		return nil
	}
	return r.g.opt.DB.SetRaised(ctx, []store.Raised{{Key: key, Hash: hash, Alert: twin.ID, At: r.now}})
}

// follow moves an alert of Defender's own to where it stands there.
func (r *raising) follow(ctx context.Context, a *cloud.DefenderAlert, id string) error {
	var to finding.Status
	switch strings.ToLower(a.Status) {
	case "dismissed":
		to = finding.Dismissed
	case "resolved":
		to = finding.Resolved
	default:
		return nil // whoever works on it here goes on
	}
	_, err := r.g.opt.DB.SetStatus(ctx, []string{id}, to, byDefender, "it is "+strings.ToLower(a.Status)+" in Defender for Cloud")
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, finding.ErrTransition) {
		return nil
	}
	return err
}

// twin finds the alert of ours that tells the same as one of Defender's: of the same
// cluster and time, about the same place, and the same matter.
func (r *raising) twin(ctx context.Context, a *cloud.DefenderAlert, at int64, before string) (*store.Twin, error) {
	id := clusterID(a.Resource)
	here := r.here[id]
	if here == "" {
		here = r.names[id] // only the Activity Log is judged of it
	}
	if here == "" {
		return nil, nil
	}
	list, err := r.g.opt.DB.Twins(ctx, here, at-twinWindow, max(at, a.End)+twinWindow)
	if err != nil {
		return nil, err
	}
	// An open one goes first. One that somebody closed takes in what Defender still holds to
	// be open only where its rule is there for that very alert, or it was told of it before.
	var closed *store.Twin
	for i := range list {
		t := &list[i]
		if r.here[id] == "" && r.abuse[t.ID] != id {
			continue // another cluster of that name
		}
		switch {
		case !same(a, t):
		case t.Status == finding.Open || t.Status == finding.Acknowledged || t.ID == before:
			return t, nil
		case closed == nil && (!active(a) || answers(a, t)):
			closed = t
		}
	}
	return closed, nil
}

// clusterID is the cluster in an ARM id that may go further down.
func clusterID(resource string) string {
	parts := strings.Split(strings.ToLower(resource), "/")
	if len(parts) > 9 {
		parts = parts[:9]
	}
	return strings.Join(parts, "/")
}

// same holds where both name the same matter and nothing tells their places apart. Where
// neither names a place, a technique alone is too little.
func same(a *cloud.DefenderAlert, t *store.Twin) bool {
	answers := answers(a, t)
	technique := slices.ContainsFunc(a.Techniques, func(x string) bool {
		return slices.ContainsFunc(t.Techniques, func(y string) bool { return sameTechnique(x, y) })
	})
	if !answers && !technique {
		return false
	}
	switch {
	case a.Pod != "" && t.Pod != "":
		return a.Pod == t.Pod && sameOrUnknown(a.Namespace, t.Namespace)
	case a.Pod != "" && t.Workload != "":
		return ofWorkload(a.Namespace, a.Pod, t.Workload)
	case a.Image != "" && t.Image != "":
		return repository(a.Image) == repository(t.Image) && sameOrUnknown(a.Namespace, t.Namespace)
	case a.Namespace != "" && t.Namespace != "":
		return answers && a.Namespace == t.Namespace
	}
	return answers && a.Pod == "" && a.Image == "" && a.Namespace == ""
}

// answers says whether a rule of ours is there for the type of an alert of Defender's.
func answers(a *cloud.DefenderAlert, t *store.Twin) bool {
	return slices.ContainsFunc(t.Answers, func(s string) bool { return sameType(s, a.Type) })
}

// active says whether an alert is open in Defender.
func active(a *cloud.DefenderAlert) bool {
	return !strings.EqualFold(a.Status, "Dismissed") && !strings.EqualFold(a.Status, "Resolved")
}

// sameType compares types of alerts: those for the node and for the cluster differ by a
// part that tells where it was seen.
func sameType(a, b string) bool {
	plain := func(s string) string { return strings.ToUpper(strings.Replace(s, "K8S.NODE_", "K8S_", 1)) }
	return plain(a) == plain(b)
}

func sameTechnique(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+".") || strings.HasPrefix(b, a+".")
}

func sameOrUnknown(a, b string) bool { return a == "" || b == "" || a == b }

// ofWorkload says whether a pod's name can be one of a workload namespace/Kind/name.
func ofWorkload(namespace, pod, workload string) bool {
	parts := strings.Split(workload, "/")
	if len(parts) != 3 || namespace != "" && parts[0] != namespace {
		return false
	}
	rest, ok := strings.CutPrefix(pod, parts[2])
	return ok && (rest == "" || rest[0] == '-')
}

// repository is a reference without registry, tag and digest.
func repository(name string) string {
	name, _, _ = strings.Cut(name, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	if host, rest, ok := strings.Cut(name, "/"); ok && strings.ContainsAny(host, ".:") {
		name = rest
	}
	return strings.ToLower(strings.TrimPrefix(name, "library/"))
}

// findingOfDefender makes one of Defender's alerts a finding. All of one type about one
// place share an alert.
func (r *raising) findingOfDefender(a *cloud.DefenderAlert, at int64, rules []cloud.Suppression) *finding.Finding {
	rule := store.DefenderRule + a.Type
	cluster := clusterID(a.Resource)
	place := cmp.Or(r.names[cluster], a.Resource)
	workload := place
	if a.Pod != "" {
		workload = cmp.Or(a.Namespace, "default") + "/Pod/" + a.Pod
	} else if a.Namespace != "" {
		workload = a.Namespace + "/Namespace/" + a.Namespace
	}
	f := &finding.Finding{
		ID: finding.ID(rule, strings.ToLower(a.ID)), Fingerprint: finding.Fingerprint(rule, place+" "+workload, "", "defender"),
		Severity: severityOf(a.Severity), Summary: oneLine(a.Title), Output: cmp.Or(a.Text, a.Title), Time: max(at, 1), Received: r.now, Event: json.RawMessage(`{}`), EventIDs: []string{strings.ToLower(a.ID)},
		Rule: finding.Rule{ID: rule, Name: "Defender: " + oneLine(a.Title), Hash: "defender", Priority: a.Severity, Desc: a.Text, Tags: []string{"defender"}, Techniques: slices.Clone(a.Techniques), Answers: []string{a.Type},
			Response: []string{"this is told by Defender for Cloud, and by no rule of Dockreeve's: look at it there"}},
		Subject: finding.Subject{Node: "hub", Cluster: place, Workload: workload, Process: a.Process, Identity: a.Identity, Object: a.Resource, ObjectClass: "defender"},
	}
	if a.Intent != "" {
		f.Rule.Tactics = []string{a.Intent}
	}
	if a.Link != "" {
		f.Rule.Response = append(f.Rule.Response, a.Link)
	}
	for _, o := range r.owners {
		if o.id == cluster {
			f.Subject.Owner = o.owner
		}
	}
	if a.Pod != "" || a.Container != "" || a.Image != "" {
		f.Subject.Container = &finding.Container{Name: a.Container, Image: a.Image, Pod: a.Pod, Namespace: a.Namespace, Unknown: "told by Defender for Cloud, which names no container id"}
	}
	for i := range rules {
		s := &rules[i]
		if !strings.EqualFold(s.State, "Enabled") || s.Expires > 0 && s.Expires <= r.now {
			continue
		}
		covers, unknown := s.Covers(a)
		if !covers && unknown == "" {
			continue
		}
		expr := "suppression rule of Defender that covers it"
		if unknown != "" {
			expr = "suppression rule of Defender for this type; whether it covers it is not assessed: " + oneLine(unknown) + " is not kept of alerts"
		}
		f.Why = append(f.Why, finding.Condition{Expr: expr, Field: "suppression", Op: "=", Want: s.ID, Got: cmp.Or(s.Reason, "no reason given"), True: covers})
	}
	return f
}

// severityOf reads Defender's words; what it does not rate is informational.
func severityOf(s string) finding.Severity {
	switch strings.ToLower(s) {
	case "critical":
		return finding.Critical
	case "high":
		return finding.High
	case "medium":
		return finding.Medium
	case "low":
		return finding.Low
	}
	return finding.Informational
}

// oneLine is a text without line ends, at most 300 bytes: notes are lines.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}
