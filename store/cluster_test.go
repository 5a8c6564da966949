package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inuse"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/scan"
)

func workload(key string) inventory.WorkloadDoc {
	parts := strings.SplitN(key, "/", 3)
	return inventory.WorkloadDoc{Key: key, Namespace: parts[0], Kind: parts[1], Name: parts[2], Owner: "payments", Reach: inventory.ReachCluster, PodsTotal: 1}
}

func (f *fixture) tell(t *testing.T, items ...Item) {
	t.Helper()
	if _, err := f.Ingest(t.Context(), items); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) delta(t *testing.T, d inventory.Delta) {
	t.Helper()
	if d.Cluster == "" {
		d.Cluster = "prod"
	}
	f.tell(t, Item{Inventory: &d})
}

func put(docs ...any) []inventory.Document {
	var out []inventory.Document
	for _, d := range docs {
		switch d := d.(type) {
		case inventory.ClusterDoc:
			out = append(out, inventory.Document{Cluster: &d})
		case inventory.NodeDoc:
			out = append(out, inventory.Document{Node: &d})
		case inventory.NamespaceDoc:
			out = append(out, inventory.Document{Namespace: &d})
		case inventory.WorkloadDoc:
			out = append(out, inventory.Document{Workload: &d})
		case inventory.IdentityDoc:
			out = append(out, inventory.Document{Identity: &d})
		case inventory.ExposureDoc:
			out = append(out, inventory.Document{Exposure: &d})
		default:
			panic(fmt.Sprintf("%T", d))
		}
	}
	return out
}

func (f *fixture) workloads(t *testing.T, filter, order string) []string {
	t.Helper()
	page, err := f.Workloads(t.Context(), ImageQuery{Filter: parse(t, WorkloadFields(), filter), Order: order})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := range page.Workloads {
		out = append(out, page.Workloads[i].Doc.Name)
	}
	if int64(len(out)) != page.Total {
		t.Fatalf("%s: %d rows, total %d", filter, len(out), page.Total)
	}
	return out
}

// TestInventoryEqualsAModel tells a cluster's inventory in random order, with restarts,
// statements that never end and messages that come twice or late, and compares what is
// kept with the plainest picture of it.
func TestInventoryEqualsAModel(t *testing.T) {
	f := open(t, Options{noSync: true})
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		cluster := fmt.Sprintf("c%d", round)
		type entry struct {
			owner string
			named bool // by the statement that is open, or since it began
		}
		model := map[string]entry{}
		var generation, now int64 = 0, 1000
		open := false
		var sent []inventory.Delta
		f.delta(t, inventory.Delta{Cluster: cluster, Time: now})
		apply := func(d inventory.Delta) {
			if d.Time < now {
				return
			}
			now = d.Time
			if d.Generation != 0 && d.Generation != generation {
				generation, open = d.Generation, true
				for k, e := range model {
					model[k] = entry{e.owner, false}
				}
			}
			for _, p := range d.Put {
				model[p.Workload.Key] = entry{p.Workload.Owner, true}
			}
			for _, g := range d.Gone {
				delete(model, g.Key)
			}
			if d.Done && d.Generation == generation && open {
				open = false
				maps.DeleteFunc(model, func(_ string, e entry) bool { return !e.named })
			}
		}
		for range rapid.IntRange(1, 25).Draw(rt, "messages") {
			d := inventory.Delta{Cluster: cluster, Time: now + rapid.Int64Range(0, 3).Draw(rt, "later")}
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0, 1: // a restart, or the half hour: a new statement
				d.Generation = d.Time + rapid.Int64Range(1, 5).Draw(rt, "begin")
			case 2, 3, 4:
				d.Generation = generation
			case 5:
				d.Time = now - rapid.Int64Range(1, 50).Draw(rt, "earlier")
			case 6:
				if len(sent) > 0 {
					d = rapid.SampledFrom(sent).Draw(rt, "again")
				}
			}
			if len(d.Put) == 0 {
				for range rapid.IntRange(0, 4).Draw(rt, "puts") {
					w := workload(fmt.Sprintf("ns/Deployment/w%d", rapid.IntRange(0, 5).Draw(rt, "put")))
					w.Owner = rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "owner")
					d.Put = append(d.Put, inventory.Document{Workload: &w})
				}
				for range rapid.IntRange(0, 2).Draw(rt, "gones") {
					d.Gone = append(d.Gone, inventory.Gone{Kind: inventory.DocWorkload, Key: fmt.Sprintf("ns/Deployment/w%d", rapid.IntRange(0, 5).Draw(rt, "gone"))})
				}
				d.Done = d.Generation != 0 && rapid.Bool().Draw(rt, "done")
			}
			sent = append(sent, d)
			apply(d)
			if _, err := f.Ingest(t.Context(), []Item{{Inventory: &d}}); err != nil {
				rt.Fatal(err)
			}
			want := map[string]string{}
			for k, e := range model {
				want[k] = e.owner
			}
			page, err := f.Workloads(t.Context(), ImageQuery{Filter: parse(t, WorkloadFields(), "cluster:"+cluster)})
			if err != nil {
				rt.Fatal(err)
			}
			have := map[string]string{}
			for i := range page.Workloads {
				have[page.Workloads[i].Doc.Key] = page.Workloads[i].Doc.Owner
			}
			if !maps.Equal(have, want) {
				rt.Fatalf("after %+v: have %v, want %v", d, have, want)
			}
		}
	})
}

func TestAClockAheadDoesNotShutOutWhatIsRight(t *testing.T) {
	f := open(t, Options{})
	now := f.now.Load()
	f.delta(t, inventory.Delta{Time: now + 24*hour, Generation: now + 24*hour, Done: true, Put: put(workload("a/Deployment/old"))})
	f.delta(t, inventory.Delta{Time: now + 1, Generation: now + 1, Done: true, Put: put(workload("a/Deployment/new"))})
	if got := f.workloads(t, "", ""); !slices.Equal(got, []string{"new"}) {
		t.Fatal(got)
	}
	f.delta(t, inventory.Delta{Time: now - 1, Put: put(workload("a/Deployment/late"))})
	c, err := f.ClusterByName(t.Context(), "prod")
	if err != nil || c.Stale != 1 || len(f.workloads(t, "", "")) != 1 {
		t.Fatalf("%+v %v", c, err)
	}
}

func TestWorkloadsAreFilteredAndOrdered(t *testing.T) {
	f := open(t, Options{})
	a, b, c := workload("shop/Deployment/web"), workload("shop/StatefulSet/db"), workload("kube-system/DaemonSet/proxy")
	a.Reach, a.Exposures, a.Images = inventory.ReachInternet, []string{"Ingress/shop/web"}, []inventory.ImageDoc{{Container: "web", Image: "nginx:1.25", Pods: 1}}
	a.Pods = []inventory.PodDoc{{Name: "web-1", Node: "n1"}}
	b.Owner, b.Grants, b.Mounts, b.Tenant = inventory.Unowned, []string{event.PowerClusterAdmin}, []string{"/etc"}, "red"
	b.SharedNodes = []string{"blue"}
	c.Platform, c.Powers, c.PodsTotal = true, []string{"privileged"}, 3
	f.delta(t, inventory.Delta{Time: 1, Put: put(a, b, c)})
	hot := sample("r", a.Key, 1, 10, finding.High)
	hot.Subject.Cluster = "prod"
	elsewhere := sample("r2", a.Key, 1, 10, finding.Critical)
	elsewhere.Subject.Cluster = "other"
	f.put(t, hot, elsewhere)
	for filter, want := range map[string][]string{
		"": {"web", "db", "proxy"}, "owner:unowned": {"db"}, "reach:>=restricted": {"web"}, "reach:internet": {"web"}, "grant:cluster-admin": {"db"}, "grant:*": {"db"}, "mount:/etc": {"db"},
		"power:privileged": {"proxy"}, "platform:no": {"web", "db"}, "image:*nginx*": {"web"}, "nginx": {"web"}, "node:n1": {"web"}, "alerts:>0": {"web"}, "severity:>=high": {"web"},
		"severity:critical": nil, "pods:>=3": {"proxy"}, "kind:DaemonSet": {"proxy"}, "ns:shop": {"web", "db"}, "tenant:red shares:blue": {"db"}, "cluster:other": nil, "-owner:unowned kind:StatefulSet": nil,
		"assessed:no": {"web", "db", "proxy"}, "assessed:yes": nil,
	} {
		if got := f.workloads(t, filter, ""); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", filter, got, want)
		}
	}
	for order := range workloadListing.orders {
		var all []string
		cursor := ""
		for {
			page, err := f.Workloads(t.Context(), ImageQuery{Order: order, Limit: 1, Cursor: cursor})
			if err != nil || page.Total != 3 || page.TotalAll != 3 {
				t.Fatalf("%s: %+v %v", order, page, err)
			}
			for i := range page.Workloads {
				all = append(all, page.Workloads[i].Doc.Name)
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		slices.Sort(all)
		if !slices.Equal(all, []string{"db", "proxy", "web"}) {
			t.Errorf("%s, page by page: %v", order, all)
		}
	}
	w, err := f.Workload(t.Context(), "prod", a.Key)
	if err != nil || w.AlertsOpen != 1 || w.AlertsWorst != finding.High || !reflect.DeepEqual(w.Doc, a) {
		t.Fatalf("%+v %v", w, err)
	}
	if _, err := f.Workload(t.Context(), "prod", "no/such/one"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	if got := f.list(t, "cluster:prod", ""); len(got) != 1 {
		t.Fatal(got)
	}
	// A cursor of one list is none of another, though both are of one table.
	page, err := f.Workloads(t.Context(), ImageQuery{Order: "name", Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Identities(t.Context(), ImageQuery{Order: "name", Cursor: page.Next}); !errors.Is(err, ErrCursor) {
		t.Fatal(err)
	}
}

func TestClustersAndWhatTheyCount(t *testing.T) {
	f := open(t, Options{})
	if _, err := f.ClusterByName(t.Context(), "prod"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	w := workload("a/Pod/x")
	w.Owner = inventory.Unowned
	doc := inventory.ClusterDoc{Name: "prod", UID: "u", Version: "v1.34.1", Platform: "AKS", Agent: "1", Nodes: 2, AuditMode: "webhook", Gaps: []inventory.Gap{{What: "w", Reason: "r"}}}
	f.delta(t, inventory.Delta{Time: 5, Generation: 5, Put: put(doc, w, inventory.NodeDoc{Name: "n2"}, inventory.NodeDoc{Name: "n1"}, inventory.NamespaceDoc{Name: "a"},
		inventory.ExposureDoc{Key: "Service/a/x", Kind: "Service", Name: "x", Reach: inventory.ReachInternet, Risks: []string{"no-password"}, Ports: []string{"6379/TCP"}, Hosts: []string{"x.example"}},
		inventory.ExposureDoc{Key: "Service/a/y", Kind: "Service", Name: "y", Reach: inventory.ReachNodePort})})
	hot := sample("r", "a/Pod/x", 1, 10, finding.Critical)
	hot.Subject.Cluster = "prod"
	f.put(t, hot)
	c, err := f.ClusterByName(t.Context(), "prod")
	if err != nil || !reflect.DeepEqual(c.Doc, doc) || c.AlertsOpen != 1 || c.AlertsCritical != 1 || c.AlertsHigh != 0 || c.Exposed != 1 || c.Unowned != 1 || !c.Stating || c.StatedAt != 0 {
		t.Fatalf("%+v %v", c, err)
	}
	f.delta(t, inventory.Delta{Cluster: "prod", Time: 6, Generation: 5, Done: true})
	f.delta(t, inventory.Delta{Cluster: "dev", Time: 6})
	page, err := f.Clusters(t.Context(), ImageQuery{})
	if err != nil || len(page.Clusters) != 2 || page.Clusters[0].Name != "dev" || page.Clusters[1].StatedAt != f.now.Load() || page.Clusters[1].Stating {
		t.Fatalf("%+v %v", page, err)
	}
	for filter, want := range map[string]int64{"audited:no": 1, "platform:aks": 1, "alerts:>0": 1, "version:v1.34*": 1, "prod": 1, "age:<1h": 2} {
		page, err := f.Clusters(t.Context(), ImageQuery{Filter: parse(t, ClusterFields(), filter)})
		if err != nil || page.Total != want {
			t.Errorf("%s: %d %v", filter, page.Total, err)
		}
	}
	names, err := f.ClusterNodeNames(t.Context(), "prod")
	nodes, err2 := f.ClusterNodes(t.Context(), "prod")
	spaces, err3 := f.Namespaces(t.Context(), "prod")
	if err := errors.Join(err, err2, err3); err != nil || !slices.Equal(names, []string{"n1", "n2"}) || len(nodes) != 2 || nodes[0].Name != "n1" || len(spaces) != 1 {
		t.Fatal(names, nodes, spaces, err)
	}
	for filter, want := range map[string]int64{"reach:internet": 1, "risk:*": 1, "address:6379/TCP": 1, "x.example": 1, "": 2, "reach:<internet": 1} {
		page, err := f.Exposures(t.Context(), ImageQuery{Filter: parse(t, ExposureFields(), filter)})
		if err != nil || page.Total != want {
			t.Errorf("%s: %d %v", filter, page.Total, err)
		}
	}
	if x, err := f.Exposure(t.Context(), "prod", "Service/a/x"); err != nil || x.Doc.Name != "x" {
		t.Fatal(x, err)
	}
}

func TestHabitsReplaceAndAreJoined(t *testing.T) {
	f := open(t, Options{MaxHabits: 3})
	now := f.now.Load()
	sa := inventory.IdentityDoc{Key: "serviceaccount:shop/web", Kind: "ServiceAccount", Namespace: "shop", Name: "web", Grants: []string{event.PowerSecretsRead}, Scope: "namespaces"}
	f.delta(t, inventory.Delta{Time: now, Put: put(sa, inventory.IdentityDoc{Key: "user:system:anonymous", Kind: "User", Name: "system:anonymous"},
		inventory.IdentityDoc{Key: "group:devs", Kind: "Group", Name: "devs"}, inventory.IdentityDoc{Key: "user:eve", Kind: "User", Name: "eve"})})
	ids := func(filter string) (out []string) {
		t.Helper()
		page, err := f.Identities(t.Context(), ImageQuery{Filter: parse(t, IdentityFields(), filter), Order: "name"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range page.Identities {
			out = append(out, page.Identities[i].Doc.Key)
		}
		return out
	}
	// Nothing is known of who does what: no filter of it finds anybody.
	if got := slices.Concat(ids("requests:0"), ids("-requests:0"), ids("used:>1d"), ids("-used:>1d")); len(got) != 0 {
		t.Fatal(got)
	}
	habit := func(who, verb string, count int64) inventory.Habit {
		return inventory.Habit{Identity: who, Verb: verb, Resource: "secrets", Namespace: "shop", Count: count, Denied: 1, First: now - 5*hour, Last: now - hour, Sources: []string{"10.0.0.1"}, Agents: []string{"curl"}, Unusual: []string{"secret-access"}}
	}
	tell := func(at int64, list ...inventory.Habit) {
		t.Helper()
		f.tell(t, Item{Habits: &inventory.Habits{Cluster: "prod", Since: 7, Time: at, Dropped: 2, List: list}})
	}
	tell(now, habit(sa.Key, "get", 5), habit("anonymous", "get", 1))
	tell(now, habit(sa.Key, "get", 9))
	tell(now-1, habit(sa.Key, "get", 2)) // late
	x, err := f.Identity(t.Context(), "prod", sa.Key, now)
	if err != nil || x.Usage.Requests != 9 || x.Usage.Denied != 1 || x.Usage.First != now-5*hour || x.Usage.Last != now-hour || !slices.Equal(x.Usage.Unusual, []string{"secret-access"}) {
		t.Fatalf("%+v %v", x, err)
	}
	if x, err := f.Identity(t.Context(), "prod", sa.Key, now+8*24*hour); err != nil || x.Usage.Unusual != nil {
		t.Fatalf("%+v %v", x, err)
	}
	if uses, err := f.Uses(t.Context(), "prod", "user:system:anonymous"); err != nil || len(uses) != 1 || !reflect.DeepEqual(uses[0], habit("anonymous", "get", 1)) {
		t.Fatal(uses, err)
	}
	for filter, want := range map[string][]string{
		"requests:0": {"user:eve"}, "requests:>0": {sa.Key, "user:system:anonymous"}, "used:>90d": {"user:eve"}, "unusual:secret-access": {sa.Key, "user:system:anonymous"}, "grant:read-secrets": {sa.Key},
		"kind:Group": {"group:devs"}, "denied:>0 kind:User": {"user:system:anonymous"}, "scope:namespaces": {sa.Key},
	} {
		if got := ids(filter); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", filter, got, want)
		}
	}
	for order := range identityListing.orders {
		if page, err := f.Identities(t.Context(), ImageQuery{Order: order, Limit: 2}); err != nil || len(page.Identities) != 2 || page.Next == "" {
			t.Errorf("%s: %v %v", order, page, err)
		} else if page, err := f.Identities(t.Context(), ImageQuery{Order: order, Limit: 2, Cursor: page.Next}); err != nil || len(page.Identities) != 2 || page.Next != "" {
			t.Errorf("%s: %v %v", order, page, err)
		}
	}
	// Over the bound the ones longest ago go, and the cluster says that there is a hole.
	old := habit("user:eve", "list", 1)
	old.First, old.Last = 1, 2
	tell(now, old, habit("user:eve", "create", 1))
	if _, err := f.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	uses, err := f.Uses(t.Context(), "prod", "user:eve")
	c, err2 := f.ClusterByName(t.Context(), "prod")
	losses, err3 := f.Losses(t.Context(), now)
	if err := errors.Join(err, err2, err3); err != nil || len(uses) != 1 || uses[0].Verb != "create" || c.HabitsDropped != 3 || c.HabitsSince != 7 || len(losses) != 1 || losses[0].Reason != "too_many_habits" {
		t.Fatal(uses, c, losses, err)
	}
}

func auditEvent(n int, at int64) *AuditEvent {
	return &AuditEvent{ID: fmt.Sprintf("1-2-3-%x", n), Cluster: "prod", Time: at, Verb: "create", Resource: "pods/exec", Namespace: "shop", Name: fmt.Sprint("web-", n), User: "eve", Identity: "user:eve",
		Sources: []string{"10.0.0.1"}, Agent: "kubectl", Code: 201, Decision: "allow", Unusual: []string{"pod-deployment"}, From: event.FromPod, FromName: "a/b", Stage: "ResponseComplete", Level: "Metadata",
		Doc: []byte(fmt.Sprintf(`{"auditID":"%d","pad":"%s"}`, n, strings.Repeat("x", 500)))}
}

func TestWhoeverUsedTheAPIIsFoundByEitherName(t *testing.T) {
	f := open(t, Options{})
	now := f.now.Load()
	f.delta(t, inventory.Delta{Time: now, Put: put(inventory.IdentityDoc{Key: "user:system:anonymous", Kind: "User", Name: "system:anonymous"})})
	var list []inventory.Habit
	for _, who := range []string{"user:mallory", "node:n1", "anonymous"} {
		list = append(list, inventory.Habit{Identity: who, Verb: "list", Resource: "secrets", Count: 3, First: now - hour, Last: now})
	}
	f.tell(t, Item{Habits: &inventory.Habits{Cluster: "prod", Since: 7, Time: now, List: list}})
	for key, want := range map[string]string{"user:mallory": "mallory", "node:n1": "system:node:n1", "user:system:node:n1": "system:node:n1"} {
		if x, err := f.Identity(t.Context(), "prod", key, now); err != nil || x.Doc.Name != want || x.Doc.Scope != "unknown" || x.Doc.Kind != "User" || x.Usage.Requests == 0 {
			t.Fatalf("%s, of which only the use is known: %+v %v", key, x, err)
		}
	}
	if x, err := f.Identity(t.Context(), "prod", "anonymous", now); err != nil || x.Doc.Key != "user:system:anonymous" || x.Doc.Scope == "unknown" {
		t.Fatalf("%+v %v", x, err)
	}
	if _, err := f.Identity(t.Context(), "prod", "user:nobody", now); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
}

func TestAuditIsKeptOncePagedAndJoinedWithAlerts(t *testing.T) {
	f := open(t, Options{})
	now := f.now.Load()
	for i := range 5 {
		f.tell(t, Item{Audit: auditEvent(i, now-int64(i/2))}, Item{Audit: auditEvent(i, now-int64(i/2))}) // two at one time, each told twice
	}
	hot := sample("exec", "shop/Deployment/web", 1, now, finding.High)
	hot.Subject.Cluster, hot.EventIDs = "prod", []string{auditEvent(3, now).ID}
	f.put(t, hot)
	var got []string
	cursor := ""
	for {
		page, err := f.Audit(t.Context(), ImageQuery{Limit: 2, Cursor: cursor})
		if err != nil || page.Total != 5 || page.KeptSince != now-2 {
			t.Fatalf("%+v %v", page, err)
		}
		for _, e := range page.Events {
			got = append(got, e.Name)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if !slices.Equal(got, []string{"web-1", "web-0", "web-3", "web-2", "web-4"}) {
		t.Fatal(got)
	}
	for filter, want := range map[string]int64{
		"verb:create": 5, "resource:pods/*": 5, "name:web-3": 1, "web-3": 1, "alert:*": 1, "alert:" + finding.AlertID(hot.Fingerprint): 1, "unusual:pod-deployment": 5, "source:10.*": 5, "code:>=400": 0,
		"from:pod": 5, "from.name:a/b": 5, "user:eve agent:kube*": 5, "decision:forbid": 0, "event:1-2-3-2": 1, `-impersonator:""`: 0, "cluster:dev": 0,
	} {
		page, err := f.Audit(t.Context(), ImageQuery{Filter: parse(t, AuditFields(), filter)})
		if err != nil || page.Total != want {
			t.Errorf("%s: %d, want %d %v", filter, page.Total, want, err)
		}
	}
	e, alerts, err := f.AuditByID(t.Context(), "1-2-3-3")
	want := auditEvent(3, now-1)
	e.packed = nil
	if err != nil || !reflect.DeepEqual(&e, want) || !slices.Equal(alerts, []string{finding.AlertID(hot.Fingerprint)}) {
		t.Fatalf("%+v %v %v", e, alerts, err)
	}
	if _, _, err := f.AuditByID(t.Context(), "nosuch"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
}

func TestAuditIsBoundedByAgeNumberAndBytes(t *testing.T) {
	for name, tc := range map[string]struct {
		opt        Options
		left       int64
		lost       uint64
		olderStays bool
	}{
		"age":    {Options{}, 9, 0, false}, // of ten one is too old
		"number": {Options{MaxAudit: 4}, 4, 5, false},
		"bytes":  {Options{MaxAuditBytes: 300}, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, tc.opt)
			now := f.now.Load()
			for i := range 10 {
				at := now - int64(i)
				if i == 9 {
					at = now - 31*24*hour
				}
				f.tell(t, Item{Audit: auditEvent(i, at)})
			}
			if _, err := f.Prune(t.Context()); err != nil {
				t.Fatal(err)
			}
			page, err := f.Audit(t.Context(), ImageQuery{})
			losses, err2 := f.Losses(t.Context(), now)
			if err := errors.Join(err, err2); err != nil {
				t.Fatal(err)
			}
			var lost uint64
			for _, l := range losses {
				if l.Hop == HopAudit {
					lost += l.Count
				}
			}
			if name == "bytes" { // how well they compress is not ours to say
				var size int64
				if err := f.read.QueryRow("SELECT SUM(bytes) FROM audit").Scan(&size); err != nil || size > 300 || size < 100 || lost != uint64(9-page.Total) {
					t.Fatalf("%d bytes, %d left, %d lost, %v", size, page.Total, lost, err)
				}
				return
			}
			if page.Total != tc.left || lost != tc.lost || page.Events[0].Name != "web-0" || page.KeptSince != page.Events[len(page.Events)-1].Time {
				t.Fatalf("%d left, %d lost, %+v", page.Total, lost, page.Events)
			}
		})
	}
}

func TestChangesOfClustersAreToldOnceASecondAndNeverForgotten(t *testing.T) {
	f := open(t, Options{tellEvery: time.Hour})
	count := func() int {
		t.Helper()
		list, _, err := f.Changes(t.Context(), 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, c := range list {
			if c.Kind == ChangeCluster && c.ID == "prod" {
				n++
			}
		}
		return n
	}
	for i := range 50 {
		f.delta(t, inventory.Delta{Time: int64(i + 1), Put: put(workload(fmt.Sprint("a/Pod/p", i)))})
	}
	if n := count(); n != 1 {
		t.Fatalf("%d changes told of 50", n)
	}
	f.tellWaiting() // as the timer does when the second is over
	f.tellWaiting()
	if n := count(); n != 2 {
		t.Fatalf("%d changes told once the second is over, want 2", n)
	}
	f.now.Add(hour)
	f.delta(t, inventory.Delta{Time: 100})
	if n := count(); n != 3 {
		t.Fatalf("%d changes told a second later, want 3", n)
	}
	// What is held back when the store closes is told then.
	g := open(t, Options{tellEvery: time.Hour})
	g.delta(t, inventory.Delta{Time: 1})
	g.delta(t, inventory.Delta{Time: 2})
	before := g.Seq()
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	h := open(t, Options{Path: g.path})
	if h.Seq() != before+1 {
		t.Fatalf("seq %d after reopening, was %d", h.Seq(), before)
	}
}

const (
	manifest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	config   = "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
)

func TestImagesFoundRunningAreScannedAndNotCountedTwice(t *testing.T) {
	f := open(t, Options{})
	now := f.now.Load()
	w := workload("shop/Deployment/web")
	w.Images = []inventory.ImageDoc{{Container: "web", Image: "registry.example/web:1", Digest: manifest, ImageID: "registry.example/web@" + manifest, Pods: 3, Since: now - hour}, {Container: "x", Image: "unknown:1", Pods: 1}}
	f.delta(t, inventory.Delta{Time: now, Put: put(w)})
	get := func() Workload {
		t.Helper()
		x, err := f.Workload(t.Context(), "prod", w.Key)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	if x := get(); !strings.Contains(x.Images[0].NotAssessed, "only just") || !strings.Contains(x.Images[1].NotAssessed, "no pod has told a digest") {
		t.Fatalf("%+v", x.Images)
	}
	f.settle(t)
	target, ok, err := f.NextScan(t.Context(), now)
	if err != nil || !ok || target.Cluster != "prod" || target.Digest != manifest || target.Name != "registry.example/web:1" || len(target.Containers) != 0 {
		t.Fatalf("%+v %v %v", target, ok, err)
	}
	if x := get(); x.Images[0].Key != manifest || x.Images[0].NotAssessed != "not scanned yet" {
		t.Fatalf("%+v", x.Images)
	}
	if err := f.ScanFailed(t.Context(), target.N, "not pulled: --pull-images is off", now+hour); err != nil {
		t.Fatal(err)
	}
	if x := get(); x.Images[0].NotAssessed != "not pulled: --pull-images is off" {
		t.Fatalf("%+v", x.Images)
	}
	running := func() int64 {
		t.Helper()
		f.settle(t)
		i, err := f.imageRow(t.Context(), manifest)
		if err != nil {
			t.Fatal(err)
		}
		return i.Running
	}
	if n := running(); n != 3 {
		t.Fatalf("%d running, want 3", n)
	}
	// Two of the three run on a node that tells of them too.
	use := func(id string, ended bool) {
		t.Helper()
		f.tell(t, Item{Use: &inuse.Report{Node: "n1", Container: id, Workload: w.Key, Image: "registry.example/web:1", Digest: manifest, Since: now - 10, Until: now, Started: now - 10, Ended: ended}})
	}
	use("c1", false)
	use("c2", false)
	if n := running(); n != 3 {
		t.Fatalf("%d running with two told twice, want 3", n)
	}
	use("c3", false)
	if n := running(); n != 3 {
		t.Fatalf("%d running with all told twice, want 3", n)
	}
	d, err := f.Image(t.Context(), manifest)
	if err != nil || len(d.Running) != 3 || d.Watched == 0 {
		t.Fatalf("%+v watched %d %v", d.Running, d.Watched, err)
	}
	target, _, err = f.NextScan(t.Context(), now+2*hour)
	if err != nil || target.Cluster != "" || len(target.Containers) != 3 {
		t.Fatalf("%+v %v", target, err)
	}
	// Silence of the cluster ends nothing, a node's silence does.
	if _, err := f.SweepRunning(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if n := running(); n != 3 {
		t.Fatalf("%d after the sweep", n)
	}
	// The workload goes: what its nodes still tell of stays.
	use("c1", true)
	f.delta(t, inventory.Delta{Time: now + 1, Gone: []inventory.Gone{{Kind: inventory.DocWorkload, Key: w.Key}}})
	if n := running(); n != 2 {
		t.Fatalf("%d after it is gone, want 2", n)
	}
}

// An image that a runtime names by its configuration alone is found by it, and a
// verdict reaches the workload.
func TestVerdictsReachWorkloadsByEitherDigest(t *testing.T) {
	f := open(t, Options{})
	img := imageOf(1, "registry.example/web:1", []scan.Package{lib("openssl", "1")}, cve("CVE-2030-1", 0, finding.Critical, ""))
	img.Catalog.Image.Digest, img.Catalog.Image.ConfigDigest = manifest, config
	f.putImage(t, img)
	a, b := workload("shop/Deployment/a"), workload("shop/Deployment/b")
	a.Images = []inventory.ImageDoc{{Container: "c", Image: "web:1", ImageID: config, Pods: 1}}
	b.Images = []inventory.ImageDoc{{Container: "c", Image: "web:1", Digest: manifest, Pods: 0}}
	f.delta(t, inventory.Delta{Time: 1, Put: put(a, b)})
	for _, key := range []string{a.Key, b.Key} {
		x, err := f.Workload(t.Context(), "prod", key)
		if err != nil || x.Images[0].Key != manifest || x.Images[0].NotAssessed != "" || x.Images[0].Counts.Critical != 1 {
			t.Fatalf("%s: %+v %v", key, x.Images, err)
		}
	}
	mixed := workload("shop/Deployment/mixed")
	mixed.Images = append(slices.Clone(a.Images), inventory.ImageDoc{Container: "d", Image: "other:1", Pods: 1})
	named := workload("shop/Deployment/named")
	named.Images = []inventory.ImageDoc{{Container: "c", Image: "web:1", ImageID: "registry.example/web@" + manifest}}
	f.delta(t, inventory.Delta{Time: 2, Put: put(mixed, named)})
	if yes, no := f.workloads(t, "assessed:yes", "name"), f.workloads(t, "-assessed:yes", "name"); !slices.Equal(yes, []string{"a", "b", "named"}) || !slices.Equal(no, []string{"mixed"}) {
		t.Fatal(yes, no)
	}
	f.delta(t, inventory.Delta{Time: 3, Gone: []inventory.Gone{{Kind: inventory.DocWorkload, Key: mixed.Key}, {Kind: inventory.DocWorkload, Key: named.Key}}})
	if got := f.workloads(t, "digest:"+config, ""); !slices.Equal(got, []string{"a"}) {
		t.Fatal(got)
	}
	if got := f.workloads(t, "critical:>0", "critical"); len(got) != 2 {
		t.Fatal(got)
	}
	f.settle(t)
	if i, err := f.imageRow(t.Context(), manifest); err != nil || i.Running != 1 {
		t.Fatalf("%+v %v", i, err)
	}
}

func TestDocumentsOverTheBoundAreCounted(t *testing.T) {
	f := open(t, Options{MaxDocuments: 2})
	f.delta(t, inventory.Delta{Time: 1, Put: put(workload("a/Pod/1"), workload("a/Pod/2"), workload("a/Pod/3"), workload("a/Pod/2"))})
	if got := f.workloads(t, "", "name"); !slices.Equal(got, []string{"1", "2"}) {
		t.Fatal(got)
	}
	l, err := f.Losses(t.Context(), f.now.Load())
	if err != nil || len(l) != 1 || l[0].Reason != "too_many_documents" || l[0].Count != 1 {
		t.Fatalf("%+v %v", l, err)
	}
}

func TestASubjectOfKubernetesIsKeptAndFound(t *testing.T) {
	f := open(t, Options{})
	x := sample("r", "shop/Deployment/web", 1, 10, finding.High)
	x.Subject.Cluster, x.Subject.Identity, x.Subject.Source, x.Subject.Agent, x.Subject.Owner, x.Subject.Tenant, x.Subject.Reaches = "prod", "user:eve", "10.0.0.1", "curl/8", "payments", "red", []string{"tenant blue"}
	f.put(t, x)
	for filter, want := range map[string]int{"cluster:prod": 1, "identity:user:eve": 1, "source:10.*": 1, "agent:curl*": 1, "owner:payments": 1, "tenant:red": 1, "reaches:*blue": 1, "tenant:blue": 0, "eve": 1} {
		page, err := f.Alerts(t.Context(), AlertQuery{Filter: parse(t, AlertFields(), filter)})
		if err != nil || len(page.Alerts) != want {
			t.Errorf("%s: %d %v", filter, len(page.Alerts), err)
			continue
		}
		if want == 1 && !reflect.DeepEqual(page.Alerts[0].Latest.Subject, x.Subject) {
			t.Errorf("%+v", page.Alerts[0].Latest.Subject)
		}
	}
}

// A delta that comes again over the link changes nothing, nor does one of an agent that
// was replaced.
func TestRedeliveredInventoryChangesNothing(t *testing.T) {
	f := open(t, Options{})
	item := func(epoch, seq uint64, at int64, owner string) Item {
		w := workload("a/Deployment/x")
		w.Owner = owner
		return Item{Origin: "cluster/prod", Epoch: epoch, Lane: link.LaneInventory, Seq: seq, Inventory: &inventory.Delta{Cluster: "prod", Time: at, Put: put(w)}}
	}
	f.tell(t, item(2, 1, 100, "new"))
	f.tell(t, item(2, 1, 100, "again"))
	f.tell(t, item(1, 9, 90, "replaced"))
	w, err := f.Workload(t.Context(), "prod", "a/Deployment/x")
	if err != nil || w.Doc.Owner != "new" {
		t.Fatalf("%+v %v", w.Doc, err)
	}
	b, err := json.Marshal(w.Doc)
	if err != nil || !strings.Contains(string(b), `"owner":"new"`) {
		t.Fatal(string(b), err)
	}
}
