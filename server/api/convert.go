package api

import (
	"strings"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/store"
)

// The numbers of the enums are those of package finding, held by a test.

func alertOf(a *store.Alert) *v1.Alert {
	f := &a.Latest
	return &v1.Alert{
		Id:             a.ID,
		Fingerprint:    a.Fingerprint,
		Status:         v1.AlertStatus(a.Status),
		Severity:       v1.Severity(a.Severity),
		Title:          f.Rule.Name,
		Summary:        f.Summary,
		FirstSeen:      a.FirstSeen,
		LastSeen:       a.LastSeen,
		Count:          a.Count,
		RuleId:         f.Rule.ID,
		Tactics:        f.Rule.Tactics,
		Techniques:     f.Rule.Techniques,
		Subject:        subjectOf(&f.Subject),
		Assignee:       a.Assignee,
		Note:           a.Note,
		StoredAt:       a.StoredAt,
		KernelTime:     f.Time,
		AffectedByLoss: a.AffectedByLoss,
		ChangeSeq:      a.ChangeSeq,
		OwnerFrom:      a.OwnerFrom,
	}
}

func subjectOf(s *finding.Subject) *v1.Subject {
	out := &v1.Subject{
		Node:        s.Node,
		Workload:    s.Workload,
		Process:     s.Process,
		Executable:  s.Executable,
		User:        s.User,
		Object:      s.Object,
		ObjectClass: s.ObjectClass,
		Cluster:     s.Cluster,
		Identity:    s.Identity,
		Source:      s.Source,
		Agent:       s.Agent,
		Owner:       s.Owner,
		Tenant:      s.Tenant,
		Reaches:     s.Reaches,
	}
	if c := s.Container; c != nil {
		out.Container = &v1.Container{Id: c.ID, Name: c.Name, Image: c.Image, Digest: c.Digest, Pod: c.Pod, Namespace: c.Namespace, Runtime: c.Runtime, Unknown: c.Unknown}
	}
	return out
}

func detailOf(d *store.AlertDetail) *v1.AlertDetail {
	f := &d.Latest
	out := &v1.AlertDetail{
		Alert: alertOf(&d.Alert),
		Rule: &v1.Rule{
			Id: f.Rule.ID, Name: f.Rule.Name, Hash: f.Rule.Hash, Desc: f.Rule.Desc, Tags: f.Rule.Tags, Tactics: f.Rule.Tactics,
			Techniques: f.Rule.Techniques, Answers: f.Rule.Answers, Response: f.Rule.Response, File: f.Rule.File, Line: int32(f.Rule.Line),
			Severity: f.Severity.String(), Enabled: true,
		},
		Output:    f.Output,
		EventJson: strings.ToValidUTF8(string(f.Event), "\uFFFD"), // kept raw, and protobuf refuses other text
		EventIds:  f.EventIDs,
		FindingId: f.ID,
	}
	for i := range f.Why {
		c := &f.Why[i]
		out.Why = append(out.Why, &v1.Condition{Expr: c.Expr, Field: c.Field, Op: c.Op, Want: c.Want, Got: c.Got, Null: c.Null, True: c.True, Negate: c.Negate})
	}
	for i := range f.Lineage {
		p := &f.Lineage[i]
		out.Lineage = append(out.Lineage, &v1.Process{Pid: p.PID, Vpid: p.VPID, Name: p.Name, Path: p.Path, Cmdline: p.Cmdline, Cwd: p.Cwd,
			User: p.User, Uid: p.UID, Start: p.Start, InContainer: p.InCtr, Seeded: p.Seeded})
	}
	for i := range f.Losses {
		l := &f.Losses[i]
		out.Losses = append(out.Losses, &v1.Loss{Hop: l.Hop, Reason: l.Reason, Lane: laneWord(l.Lane), Count: l.Count, From: l.From, To: l.To})
	}
	for _, c := range d.History {
		out.History = append(out.History, &v1.StatusChange{Time: c.Time, From: v1.AlertStatus(c.From), To: v1.AlertStatus(c.To), Who: c.Who, Why: c.Why})
	}
	return out
}

func laneWord(l event.Lane) string {
	switch l {
	case event.LaneProcess:
		return "process"
	case event.LaneActivity:
		return "activity"
	case event.LaneAudit:
		return "audit"
	case event.LaneLoad:
		return "load"
	}
	return ""
}

func ruleOf(r *link.Rule) *v1.Rule {
	return &v1.Rule{Id: r.ID, Name: r.Name, Hash: r.Hash, Desc: r.Desc, Tags: r.Tags, Tactics: r.Tactics, Techniques: r.Techniques, Answers: r.Answers,
		Response: r.Response, File: r.File, Line: int32(r.Line), Condition: r.Condition, Enabled: r.Enabled, Severity: r.Severity, NotAssessed: r.NotAssessed}
}
