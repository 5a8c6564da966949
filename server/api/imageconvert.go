package api

import (
	"strings"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/store"
)

// text is what protobuf takes: a catalogue is kept raw, and its texts come from images.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func textsOf(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = text(s)
	}
	return out
}

func countsOf(c *scan.Counts) *v1.SeverityCounts {
	return &v1.SeverityCounts{Critical: int64(c.Critical), High: int64(c.High), Medium: int64(c.Medium), Low: int64(c.Low), Unrated: int64(c.Unrated), Total: int64(c.Total),
		Kev: int64(c.KEV), Fixable: int64(c.Fixable), InUse: int64(c.InUse)}
}

// add counts one vulnerability of one package.
func add(c *scan.Counts, v *scan.Vulnerability) {
	c.Total++
	switch v.Severity {
	case finding.Critical:
		c.Critical++
	case finding.High:
		c.High++
	case finding.Medium:
		c.Medium++
	case finding.Low, finding.Informational:
		c.Low++
	default:
		c.Unrated++
	}
	if v.KEV != nil {
		c.KEV++
	}
	if v.Fixable() {
		c.Fixable++
	}
	if v.Use.State == scan.Loaded {
		c.InUse++
	}
}

func imageOf(i *store.Image) *v1.Image {
	out := &v1.Image{
		Key: i.Key, Name: i.Name, Names: i.Names, Platform: i.Platform, Distro: i.Distro, Created: i.Created, Size: i.Size, FirstSeen: i.FirstSeen, ScannedAt: i.ScannedAt,
		NotAssessed: i.NotAssessed, Gaps: int32(i.Gaps), Counts: countsOf(&i.Counts), Packages: i.Packages, Secrets: i.Secrets, Missteps: i.Missteps, Malware: i.Malware,
		Running: i.Running, Workloads: i.Workloads, Base: i.Base, MatchedAt: i.MatchedAt, Source: i.Source, Gate: i.Gate, ChangeSeq: i.ChangeSeq, Use: &v1.Use{Since: i.Watched},
	}
	switch {
	case i.Counts.InUse > 0:
		out.Use.State = string(scan.Loaded)
	case i.Watched == 0:
		out.Use.Reason = "no container of this image has been watched from its start"
	default:
		out.Use.State = string(scan.NotSeen)
	}
	return out
}

func useOf(u *scan.Use) *v1.Use {
	return &v1.Use{State: string(u.State), Since: u.Since, First: u.First, Last: u.Last, Path: text(u.Path), Reason: text(u.Reason)}
}

func runningOf(list []store.Running) []*v1.Running {
	out := make([]*v1.Running, len(list))
	for i, r := range list {
		out[i] = &v1.Running{Workload: r.Workload, Node: r.Node, Container: r.Container, Name: r.Name, Since: r.Since, Until: r.Until}
	}
	return out
}

func gapOf(g *scan.Gap) *v1.Gap {
	return &v1.Gap{What: text(g.What), Reason: text(g.Reason), Remedy: text(g.Remedy)}
}

func kevOf(k *scan.KEV) *v1.KnownExploited {
	if k == nil {
		return nil
	}
	return &v1.KnownExploited{Added: text(k.Added), Due: text(k.Due), Ransomware: k.Ransomware, Action: text(k.Action)}
}

func findingOf(f *store.ImageFinding) *v1.ImageVulnerability {
	p := &f.Package
	out := &v1.ImageVulnerability{
		Id: text(f.ID), Aliases: textsOf(f.Aliases), Package: text(p.Name), Version: text(p.Version), Type: text(string(p.Type)), FixedIn: text(f.FixedIn), Status: string(f.Status),
		Severity: v1.Severity(f.Severity), SeverityFrom: text(f.SeverityFrom), Cvss: f.CVSS, Vector: text(f.Vector), Kev: kevOf(f.KEV), Title: text(f.Title), References: textsOf(f.References),
		Source: text(f.Source), Location: text(p.Location), Layer: int32(p.Layer), Use: useOf(&f.Use), Rank: f.Rank, FirstDetected: f.FirstDetected, Published: f.Published, Purl: text(p.PURL),
	}
	if f.EPSS != nil {
		out.Epss, out.EpssPercentile = &f.EPSS.Score, f.EPSS.Percentile
	}
	return out
}

func vulnerabilityOf(v *store.Vulnerability) *v1.VulnerabilityRow {
	out := &v1.VulnerabilityRow{
		Id: v.ID, Severity: v1.Severity(v.Severity), Cvss: v.CVSS, Kev: kevOf(v.KEV), Title: v.Title, Fixable: v.Fixable, Packages: v.Packages, Images: v.Images, RunningImages: v.RunningImages,
		Workloads: v.Workloads, ImagesInUse: v.UsedImages, FirstDetected: v.FirstDetected, Published: v.Published, Status: string(v.Status), Rank: v.Rank,
	}
	if v.EPSS != nil {
		out.Epss, out.EpssPercentile = &v.EPSS.Score, v.EPSS.Percentile
	}
	return out
}
