package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inventory"
)

// inspectPrinter prints an inspection for people. The first error of writing ends it.
type inspectPrinter struct {
	w       io.Writer
	now     time.Time
	err     error
	missing []inventory.Gap
}

func (p *inspectPrinter) f(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// table prints rows under a title, or in their place why there are none.
func (p *inspectPrinter) table(title, none string, rows [][]string) {
	p.f("\n%s\n", title)
	if len(rows) < 2 {
		p.f("  %s\n", none)
		return
	}
	if p.err != nil {
		return
	}
	tw := columns(p.w)
	for _, r := range rows {
		fmt.Fprintf(tw, "  %s\n", strings.Join(cleanAll(r), "\t")) // Flush tells its errors
	}
	p.err = tw.Flush()
}

func (p *inspectPrinter) all(i *inspection) {
	var cluster inventory.ClusterDoc
	var nodes []*inventory.NodeDoc
	var spaces []*inventory.NamespaceDoc
	var works []*inventory.WorkloadDoc
	var ids []*inventory.IdentityDoc
	var ways []*inventory.ExposureDoc
	for _, d := range i.Documents {
		switch {
		case d.Cluster != nil:
			cluster = *d.Cluster
		case d.Node != nil:
			nodes = append(nodes, d.Node)
		case d.Namespace != nil:
			spaces = append(spaces, d.Namespace)
		case d.Workload != nil:
			works = append(works, d.Workload)
		case d.Identity != nil:
			ids = append(ids, d.Identity)
		case d.Exposure != nil:
			ways = append(ways, d.Exposure)
		}
	}
	p.missing = cluster.Gaps
	p.cluster(cluster, i.Files)
	p.nodes(nodes)
	p.namespaces(spaces)
	p.workloads(works)
	p.exposures(ways)
	p.identities(ids)
	p.unowned(spaces, works)
	p.gaps(cluster.Gaps, i.Files)
}

func (p *inspectPrinter) cluster(c inventory.ClusterDoc, files *inspectedFiles) {
	p.f("Cluster %s", clean(c.Name))
	if about := join(" ", c.Platform, c.Version); about != "" {
		p.f(" (%s)", clean(about))
	}
	if c.Server != "" {
		p.f(" at %s", clean(c.Server))
	}
	if files != nil {
		p.f(", as %s of %s say", count(files.Objects, "object"), count(files.Files, "file"))
	}
	p.f("\n  %s", p.known("nodes", c.Nodes, "node"))
	if c.Nodes > 0 {
		p.f(", %d ready", c.NodesReady)
	}
	p.f("; %s, %s, %s", p.known("namespaces", c.Namespaces, "namespace"), p.known("pods", c.Workloads, "workload"), p.known("pods", c.Pods, "pod"))
	if c.Tenants > 0 {
		p.f(", %s", count(c.Tenants, "tenant"))
	}
	p.f("\n")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// known is count, unless there are none because they could not be read.
func (p *inspectPrinter) known(resource string, n int, what string) string {
	if n == 0 && p.none(resource) != "none" {
		return what + "s not assessed"
	}
	return count(n, what)
}

func join(sep string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), sep)
}

// none says why a list is empty: what could not be read is not assessed.
func (p *inspectPrinter) none(resource string) string {
	for _, g := range p.missing {
		for what := range strings.SplitSeq(g.What, ", ") {
			if what, _, _ = strings.Cut(what, "."); what == resource {
				return "not assessed: " + clean(g.Reason)
			}
		}
	}
	return "none"
}

func (p *inspectPrinter) nodes(list []*inventory.NodeDoc) {
	rows := [][]string{{"NAME", "STATE", "KUBELET", "RUNTIME", "IMAGE", "PODS", "TENANTS", "OWNER"}}
	for _, n := range list {
		state := "ready"
		switch {
		case n.Node.Virtual:
			state = "virtual: no sensor can run there"
		case !n.Node.Ready:
			state = "NOT READY"
		case n.Node.Unschedulable:
			state = "ready, cordoned"
		}
		rows = append(rows, []string{n.Name, state, orDash(n.Node.Kubelet), orDash(n.Node.Runtime), orDash(n.Node.OSImage), fmt.Sprint(n.Pods), orDash(strings.Join(n.Tenants, ", ")), n.Owner})
	}
	p.table("NODES", p.none("nodes"), rows)
}

func (p *inspectPrinter) namespaces(list []*inventory.NamespaceDoc) {
	rows := [][]string{{"NAME", "OWNER", "FROM", "TENANT", "PODS", "POD SECURITY", "ISOLATED"}}
	for _, n := range list {
		isolated := "no"
		if n.Isolated.NotAssessed != "" {
			isolated = "not assessed: " + n.Isolated.NotAssessed
		} else if n.Isolated.Value {
			isolated = "yes"
		}
		rows = append(rows, []string{n.Name, n.Owner, orDash(n.OwnerFrom), orDash(n.Tenant), fmt.Sprint(n.Pods), orDash(n.PodSecurity), isolated})
	}
	p.table("NAMESPACES", p.none("namespaces"), rows)
}

func (p *inspectPrinter) workloads(list []*inventory.WorkloadDoc) {
	p.f("\nWORKLOADS\n")
	if len(list) == 0 {
		p.f("  %s\n", p.none("pods"))
	}
	for _, w := range list {
		p.workload(w)
	}
}

// field prints one line of a workload, or none.
func (p *inspectPrinter) field(name, text string) {
	if text != "" {
		p.f("      %-12s %s\n", name, clean(text))
	}
}

func (p *inspectPrinter) workload(w *inventory.WorkloadDoc) {
	p.f("  %s\n", clean(w.Key))
	p.field("owner", w.Owner+bracket(w.OwnerFrom)+prefixed(", tenant ", w.Tenant)+word(w.Platform, ", of the platform"))
	running := fmt.Sprintf("%d of %d ready, %s", w.Ready, w.Wanted, count(w.PodsTotal, "pod"))
	if w.Schedule != "" {
		running = "at " + w.Schedule + ", " + count(w.PodsTotal, "pod")
	}
	p.field("runs", running+word(w.Suspended, ", suspended")+prefixed(", made by ", w.Via))
	for _, c := range w.Images {
		text := join(" ", c.Role, c.Container) + ": " + c.Image
		if c.Digest != "" && !strings.Contains(c.Image, c.Digest) {
			text += " = " + c.Digest
		}
		if c.Since != 0 {
			text += ", since " + ago(p.now, c.Since)
		}
		p.field("image", text+"; vulnerabilities not assessed: not scanned here")
	}
	if w.Identity != "" {
		p.field("identity", w.Identity+word(w.TokenMounted, ", its token is mounted")+prefixed("; may ", grants(w.Grants)))
	}
	p.field("powers", strings.Join(w.Powers, ", "))
	p.field("mounts", strings.Join(w.Mounts, ", "))
	p.field("secrets", strings.Join(w.Secrets, ", "))
	p.field("reach", w.Reach+prefixed(" through ", strings.Join(w.Exposures, ", ")))
	p.field("is", strings.Join(w.Apps, ", "))
	p.field("shares", prefixed("its nodes with tenants ", strings.Join(w.SharedNodes, ", ")))
}

func bracket(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

func prefixed(before, s string) string {
	if s == "" {
		return ""
	}
	return before + s
}

func word(yes bool, s string) string {
	if yes {
		return s
	}
	return ""
}

func (p *inspectPrinter) exposures(list []*inventory.ExposureDoc) {
	p.f("\nEXPOSURES\n")
	if len(list) == 0 {
		p.f("  %s\n", p.none("services"))
	}
	for _, e := range list {
		p.f("  %s: %s\n", clean(e.Key), clean(e.Reach))
		p.field("owner", e.Owner+prefixed(", tenant ", e.Tenant))
		p.field("at", join(", ", strings.Join(e.Addresses, ", "), strings.Join(e.Hosts, ", "))+prefixed(" on ", strings.Join(e.Ports, ", "))+word(e.TLS, ", TLS"))
		p.field("path", strings.Join(slices.Concat(e.Path, e.Workloads), " → "))
		p.field("lets in", strings.Join(e.Sources, ", "))
		p.field("policy", e.Policy)
		p.field("is", strings.Join(e.Apps, ", "))
		p.field("risks", strings.Join(e.Risks, ", "))
		p.field("not assessed", e.NotAssessed)
	}
}

// grants lists what an identity may do; who may do everything may do the rest too.
func grants(list []string) string {
	if slices.Contains(list, event.PowerClusterAdmin) {
		return event.PowerClusterAdmin + ", which is everything"
	}
	return strings.Join(list, ", ")
}

// identities prints those that may do something of note; the others are counted.
func (p *inspectPrinter) identities(list []*inventory.IdentityDoc) {
	p.f("\nIDENTITIES WITH DANGEROUS RIGHTS\n")
	quiet := 0
	var platform []*inventory.IdentityDoc
	for _, id := range list {
		if len(id.Grants) == 0 && len(id.Crosses) == 0 {
			quiet++
			continue
		}
		if id.Platform && len(id.Crosses) == 0 {
			platform = append(platform, id)
			continue
		}
		p.f("  %s\n", clean(id.Key))
		p.field("owner", id.Owner+prefixed(", tenant ", id.Tenant)+word(id.Platform, ", of the platform"))
		where := "in the whole cluster"
		if id.Scope == "namespaces" {
			where = "in namespaces"
		}
		p.field("may", grants(id.Grants)+", "+where)
		p.field("crosses", prefixed("into tenants ", strings.Join(id.Crosses, ", ")))
		used := strings.Join(id.Workloads[:min(len(id.Workloads), 3)], ", ")
		if n := len(id.Workloads) - 3; n > 0 {
			used += fmt.Sprintf(" and %d more", n)
		}
		p.field("used by", used)
	}
	if len(platform) > 0 {
		p.f("  Of the platform:\n")
	}
	for _, id := range platform {
		p.f("      %s: %s\n", clean(id.Key), clean(grants(id.Grants)))
	}
	switch {
	case quiet > 0:
		p.f("  %d others hold nothing of note.\n", quiet)
	case len(list) == 0:
		p.f("  %s\n", p.none("clusterrolebindings"))
	}
}

func (p *inspectPrinter) unowned(spaces []*inventory.NamespaceDoc, works []*inventory.WorkloadDoc) {
	p.f("\nNAMESPACES AND WORKLOADS WITHOUT OWNER\n")
	n := 0
	for _, s := range spaces {
		if s.Owner == inventory.Unowned {
			p.f("  namespace %s\n", clean(s.Name))
			n++
		}
	}
	for _, w := range works {
		if w.Owner == inventory.Unowned {
			p.f("  %s\n", clean(w.Key))
			n++
		}
	}
	switch {
	case n > 0:
		p.f("  A label owner or team on the namespace, or --inventory-config, names an owner.\n")
	case len(spaces)+len(works) == 0:
		p.f("  not assessed: neither namespaces nor workloads were read\n")
	default:
		p.f("  none\n")
	}
}

func (p *inspectPrinter) gaps(gaps []inventory.Gap, files *inspectedFiles) {
	p.f("\nNOT ASSESSED\n")
	for _, g := range gaps {
		p.f("  %s: %s\n", clean(g.What), clean(g.Reason))
		if g.Remedy != "" {
			p.f("      %s\n", clean(g.Remedy))
		}
	}
	if files == nil {
		return
	}
	for _, problem := range files.Problems {
		p.f("  %s\n", clean(problem.String()))
	}
	if files.More > 0 {
		p.f("  and %d more problems\n", files.More)
	}
	kinds := make([]string, 0, len(files.Skipped))
	for k := range files.Skipped {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	for _, k := range kinds {
		p.f("  %s: %s of a kind that is not kept\n", clean(k), count(files.Skipped[k], "object"))
	}
}
