package api

import (
	"fmt"
	"strings"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/store"
)

func baselinesOf(list []inventory.Learned) []*v1.Baseline {
	var out []*v1.Baseline
	for _, l := range list {
		out = append(out, &v1.Baseline{Model: text(l.Model), Since: l.Since, Events: int64(l.Events), Known: int32(l.Known), Ready: l.Ready, ReadyAt: l.Until})
	}
	return out
}

func workloadOf(w *store.Workload) *v1.WorkloadRow {
	d := &w.Doc
	out := &v1.WorkloadRow{
		Cluster: w.Cluster, Key: text(d.Key), Namespace: text(d.Namespace), Kind: text(d.Kind), Name: text(d.Name), Owner: ownerOf(d.Owner), OwnerFrom: text(d.OwnerFrom), Tenant: text(d.Tenant),
		Platform: d.Platform, Wanted: d.Wanted, Ready: d.Ready, Pods: int32(d.PodsTotal), Identity: text(d.Identity), Powers: textsOf(d.Powers), Grants: textsOf(d.Grants), Mounts: textsOf(d.Mounts),
		Reach: text(d.Reach), Apps: textsOf(d.Apps), AlertsOpen: w.AlertsOpen, AlertsWorst: v1.Severity(w.AlertsWorst), Created: d.Created, Schedule: text(d.Schedule), ChangeSeq: w.ChangeSeq,
		SharedWith: textsOf(d.SharedNodes),
	}
	seen := map[string]bool{} // images that several containers run count once
	missing, assessed := []string{}, 0
	for i := range d.Images {
		img := &d.Images[i]
		m := &v1.WorkloadImage{Container: text(img.Container), Role: text(img.Role), Image: text(img.Image), Digest: text(img.Digest), Since: img.Since, Pods: int32(img.Pods)}
		out.Images = append(out.Images, m)
		if i >= len(w.Images) {
			continue
		}
		k := &w.Images[i]
		m.Key, m.NotAssessed, m.Scanned = k.Key, k.NotAssessed, k.ScannedAt
		if k.NotAssessed != "" {
			missing = append(missing, text(img.Image)+": "+k.NotAssessed)
			continue
		}
		assessed++
		m.Counts = countsOf(&k.Counts)
		if !seen[k.Key] {
			seen[k.Key] = true
			out.Critical += m.Counts.Critical
			out.High += m.Counts.High
			out.Kev += m.Counts.Kev
			out.Verdict = worse(out.Verdict, verdictOf(m.Counts))
		}
	}
	switch {
	case len(d.Images) == 0:
		out.VerdictNotAssessed = "its images are not known"
	case len(missing) == 1:
		out.VerdictNotAssessed = missing[0]
	case len(missing) > 1:
		out.VerdictNotAssessed = fmt.Sprintf("%d of %d images: %s", len(missing), len(d.Images), missing[0])
	}
	if assessed == 0 {
		out.Verdict = ""
	}
	return out
}

// verdicts of images, best first.
var verdicts = []string{"clean", "unrated", "low", "medium", "high", "critical", "exploited"}

// verdictOf is the worst an image holds, in one word: exploited stands for what is known
// to be.
func verdictOf(c *v1.SeverityCounts) string {
	switch {
	case c.Kev > 0:
		return "exploited"
	case c.Critical > 0:
		return "critical"
	case c.High > 0:
		return "high"
	case c.Medium > 0:
		return "medium"
	case c.Low > 0:
		return "low"
	case c.Unrated > 0:
		return "unrated"
	}
	return "clean"
}

func worse(a, b string) string {
	for i := len(verdicts) - 1; i >= 0; i-- {
		if verdicts[i] == a || verdicts[i] == b {
			return verdicts[i]
		}
	}
	return b
}

// ownerOf keeps the promise that nothing is without an owner or the word for it.
func ownerOf(s string) string {
	if strings.TrimSpace(s) == "" {
		return inventory.Unowned
	}
	return text(s)
}

func exposureOf(x *store.Exposure) *v1.ExposureRow {
	d := &x.Doc
	return &v1.ExposureRow{
		Cluster: x.Cluster, Key: text(d.Key), Kind: text(d.Kind), Namespace: text(d.Namespace), Name: text(d.Name), Reach: text(d.Reach), Addresses: textsOf(d.Addresses), Hosts: textsOf(d.Hosts),
		Ports: textsOf(d.Ports), Tls: d.TLS, Path: textsOf(d.Path), Sources: textsOf(d.Sources), Workloads: textsOf(d.Workloads), Apps: textsOf(d.Apps), Risks: textsOf(d.Risks), Owner: ownerOf(d.Owner),
		Tenant: text(d.Tenant), Policy: text(d.Policy), Created: d.Created, NotAssessed: text(d.NotAssessed), ChangeSeq: x.ChangeSeq,
	}
}

func auditOf(e *store.AuditEvent) *v1.AuditRow {
	return &v1.AuditRow{
		Id: e.ID, Cluster: e.Cluster, Time: e.Time, Verb: e.Verb, Resource: e.Resource, Namespace: e.Namespace, Name: e.Name, User: e.User, Identity: e.Identity, Impersonator: e.Impersonator,
		Sources: e.Sources, Agent: e.Agent, Code: int32(e.Code), Decision: e.Decision, Reason: e.Reason, Unusual: e.Unusual, From: e.From, FromName: e.FromName, Stage: e.Stage, Level: e.Level,
	}
}
