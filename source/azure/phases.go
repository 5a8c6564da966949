package azure

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// subscriptions are those to ask, sorted.
func (k *collector) subscriptions() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.o.Subscriptions) == 0 {
		return sorted(k.subs)
	}
	only := map[string]bool{}
	for _, s := range k.o.Subscriptions {
		only["/subscriptions/"+s] = true
	}
	return sorted(only)
}

// byGraph asks Resource Graph for what it knows of many subscriptions at once. It leaves
// out without a word what the identity has no right to see; so a subscription of which it
// gives nothing is asked itself afterwards, and tells.
func (k *collector) byGraph(ctx context.Context) error {
	var wg sync.WaitGroup
	room := make(chan struct{}, 2) // Resource Graph allows few queries at once
	for batch := range slices.Chunk(k.subscriptions(), graphBatch) {
		for _, g := range graphs() {
			if k.skip[g.what] {
				continue
			}
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
			}
			if ctx.Err() != nil {
				break
			}
			wg.Go(func() {
				defer func() { <-room }()
				k.graph(ctx, g, batch)
			})
		}
	}
	wg.Wait()
	return nil
}

// graph runs one query over some subscriptions and ends the read of each of which
// something came. A query that fails ends none: they are asked one by one.
func (k *collector) graph(ctx context.Context, g graph, subs []string) {
	var guids []string
	k.mu.Lock()
	for _, s := range subs {
		if !k.done[readKey{g.what, s}] {
			guids = append(guids, s[len("/subscriptions/"):])
		}
	}
	k.mu.Unlock()
	if len(guids) == 0 {
		return
	}
	rows := map[string][]json.RawMessage{}
	token := ""
	for page := 0; ; page++ {
		options := map[string]any{"resultFormat": "objectArray", "$top": graphRows, "authorizationScopeFilter": "AtScopeAboveAndBelow"}
		if token != "" {
			options["$skipToken"] = token
		}
		body, _ := json.Marshal(map[string]any{"subscriptions": guids, "query": g.query, "options": options}) // plain values
		raw, f := k.c.do(ctx, ask{lane: "graph", url: k.base + graphPath, body: body})
		if f != nil {
			return
		}
		p, err := readPage(raw)
		if err != nil || p.cut || page >= maxPages {
			return
		}
		for _, d := range p.items {
			n, err := open(d)
			if err != nil {
				return
			}
			sub := subscriptionOf(n.at("id").id())
			if s := strings.ToLower(n.at("subscriptionId").text()); sub == "" && isGUID(s) {
				sub = "/subscriptions/" + s
			}
			rows[sub] = append(rows[sub], d)
		}
		if p.skip == "" {
			break
		}
		token = p.skip
	}
	k.graphRows(ctx, g.what, subs, rows)
}

// graphRows gives on what a whole query brought. Rows of no subscription (assignments at
// management groups) belong to the tenant's read of them.
func (k *collector) graphRows(ctx context.Context, what string, subs []string, rows map[string][]json.RawMessage) {
	above := rows[""]
	for _, s := range subs {
		key := readKey{what, s}
		k.mu.Lock()
		done := k.done[key]
		k.mu.Unlock()
		if done || len(rows[s]) == 0 {
			continue
		}
		docs := rows[s]
		docs, above = append(docs, above...), nil // told once, with the first subscription below them
		for _, d := range docs {
			k.emit(what, s, d)
		}
		k.mu.Lock()
		k.done[key] = true
		k.all++
		k.mu.Unlock()
		k.end(ctx, what, s, len(rows[s]), nil) // its own: with whom the others come depends on what was read before
	}
}

// bySubscription asks each subscription for what is not known of it yet, and what is asked
// of all.
func (k *collector) bySubscription(ctx context.Context) error {
	var jobs []job
	for _, s := range k.subscriptions() {
		for _, l := range perSub() {
			if !l.relevant {
				jobs = append(jobs, k.listJob(l, s, s))
			}
		}
	}
	k.do(ctx, k.o.Concurrency, jobs)
	return nil
}

func (k *collector) listJob(l listed, scope, sub string) job {
	var take func(json.RawMessage) json.RawMessage
	if l.what == cloud.ReadOthers {
		take = trimOther
	}
	return job{l.what, scope, func(ctx context.Context) (int, *fault) {
		return k.list(ctx, l.what, scope, ask{lane: laneOf(sub, l.path), url: l.url(k.base, scope), body: l.query}, take)
	}}
}

// laneOf names the lane of a provider in a subscription.
func laneOf(sub, path string) string {
	_, provider, _ := strings.Cut(path, "/providers/")
	provider, _, _ = strings.Cut(provider, "/")
	return strings.ToLower(provider) + " in " + sub
}

// trimOther keeps of a resource that is only counted what it takes to count it once.
func trimOther(d json.RawMessage) json.RawMessage {
	n, err := open(d)
	if err != nil || n.at("id").text() == "" {
		return d // the Builder counts it
	}
	if isJudged(n.at("type").text()) {
		return nil
	}
	b, _ := json.Marshal(map[string]string{"id": n.at("id").text(), "type": n.at("type").text()}) // two texts
	return b
}

// isJudged names the types that have a read of their own.
func isJudged(typ string) bool {
	switch strings.ToLower(typ) {
	case "microsoft.containerservice/managedclusters", "microsoft.kubernetes/connectedclusters", "microsoft.containerregistry/registries":
		return true
	}
	return false
}

// relevant says whether a subscription holds a cluster or a registry, or may: where one of
// the three lists could not be read.
func (k *collector) relevant(sub string) bool {
	if k.holds[sub] {
		return true
	}
	for _, what := range []string{cloud.ReadClusters, cloud.ReadArc, cloud.ReadRegistries} {
		if o := k.read[readKey{what, sub}]; o != cloud.ReadOK && o != cloud.ReadAbsent {
			return true
		}
	}
	return false
}

// details asks what matters only where clusters and registries are: of these
// subscriptions, and of each cluster. Costs go their own way: their limits are the tightest.
func (k *collector) details(ctx context.Context) error {
	var jobs, costs []job
	subs := k.subscriptions()
	wanted := map[string]bool{}
	for _, s := range subs {
		wanted[s] = true
		k.mu.Lock()
		relevant := k.relevant(s)
		k.mu.Unlock()
		var of, money []job
		for _, l := range perSub() {
			if l.relevant {
				of = append(of, k.listJob(l, s, s))
			}
		}
		of = append(of, job{cloud.ReadActivity, s, func(ctx context.Context) (int, *fault) { return k.activityOf(ctx, s) }})
		for what, kind := range costKinds() {
			money = append(money, job{what, s, func(ctx context.Context) (int, *fault) { return k.costsOf(ctx, s, what, kind) }})
		}
		if !relevant {
			for _, list := range [][]job{of, money} {
				for i := range list {
					list[i].run = func(context.Context) (int, *fault) {
						return 0, &fault{outcome: cloud.ReadSkipped, reason: "this subscription holds no cluster and no registry"}
					}
				}
			}
		}
		jobs, costs = append(jobs, of...), append(costs, money...)
	}
	k.mu.Lock()
	clusters := maps.Clone(k.clusters)
	k.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(clusters)) {
		sub := subscriptionOf(id)
		if !wanted[sub] {
			continue
		}
		for _, l := range perCluster(clusters[id]) {
			if l.what != cloud.ReadClusterPlan {
				jobs = append(jobs, k.listJob(l, id, sub))
				continue
			}
			jobs = append(jobs, job{l.what, id, func(ctx context.Context) (int, *fault) {
				return k.one(ctx, l.what, id, ask{lane: laneOf(sub, l.path), url: l.url(k.base, id)})
			}})
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { k.do(ctx, 2, costs) })
	k.do(ctx, k.o.Concurrency, jobs)
	wg.Wait()
	return nil
}

// activityOf reads the Activity Log of a subscription, as far as it is about containers,
// identities and rights.
func (k *collector) activityOf(ctx context.Context, sub string) (int, *fault) {
	to := k.o.Clock.Now().UTC()
	from := to.AddDate(0, 0, -k.o.ActivityDays)
	q := url.Values{"api-version": {"2015-04-01"}, "$filter": {fmt.Sprintf("eventTimestamp ge '%s' and eventTimestamp le '%s'", from.Format(time.RFC3339), to.Format(time.RFC3339))}}
	return k.list(ctx, cloud.ReadActivity, sub, ask{lane: laneOf(sub, activityPath), url: k.base + sub + activityPath + "?" + q.Encode()}, trimEvent)
}

// watched are the providers whose operations matter here; what an identity does that is no
// person matters whatever it is: a cluster's identity may have been stolen.
var watched = []string{
	"microsoft.containerservice", "microsoft.kubernetes", "microsoft.kubernetesconfiguration", "microsoft.containerregistry", "microsoft.managedidentity",
	"microsoft.authorization", "microsoft.security", "microsoft.policyinsights", "microsoft.compute", "microsoft.insights", "microsoft.keyvault",
}

// trimEvent keeps of an event what is judged, so that neither bodies of requests nor the
// rest of somebody's claims are stored. nil = an event of other things.
func trimEvent(d json.RawMessage) json.RawMessage {
	n, err := open(d)
	if err != nil {
		return d // the Builder counts it
	}
	provider, _, _ := strings.Cut(strings.ToLower(n.at("operationName").text()), "/")
	if person := strings.Contains(n.at("caller").text(), "@"); person && !slices.Contains(watched, provider) {
		return nil
	}
	out := map[string]any{}
	for _, key := range []string{"eventDataId", "eventTimestamp", "resourceId", "operationName", "status", "subStatus", "category", "caller", "correlationId", "subscriptionId"} {
		if v := n.at(key); v.there() {
			out[key] = v.v
		}
	}
	claims := map[string]any{}
	for _, key := range []string{objectClaim, "oid", "appid", "xms_mirid", "ipaddr"} {
		if v := n.at("claims", key); v.there() {
			claims[key] = v.v
		}
	}
	if len(claims) > 0 {
		out["claims"] = claims
	}
	if v := n.at("httpRequest", "clientIpAddress"); v.there() {
		out["httpRequest"] = map[string]any{"clientIpAddress": v.v}
	}
	properties := map[string]any{}
	for key, v := range n.at("properties").texts() {
		if !isBody(key) {
			properties[key] = v
		}
	}
	for key, v := range asked(n.at("properties")) {
		properties[key] = v
	}
	if len(properties) > 0 {
		out["properties"] = properties
	}
	b, _ := json.Marshal(out) // it was JSON
	return b
}

// costKinds are the two readings of the same money, in the order they are asked: what is
// billed, and what its use costs, with reservations and savings plans spread over theirs.
func costKinds() iter.Seq2[string, string] {
	return func(yield func(what, kind string) bool) {
		_ = yield(cloud.ReadCosts, "ActualCost") && yield(cloud.ReadAmortized, "AmortizedCost")
	}
}

// costsOf asks what a subscription cost by day, resource and meter. Where Cost Management
// refuses so many groups it is asked with the two it always allows.
func (k *collector) costsOf(ctx context.Context, sub, what, kind string) (int, *fault) {
	rows, f := k.costQuery(ctx, sub, what, kind, "ResourceId", "MeterCategory", "MeterSubcategory", "Meter", "ChargeType")
	if f == nil || f.status != 400 || rows > 0 {
		return rows, f
	}
	if rows, f = k.costQuery(ctx, sub, what, kind, "ResourceId", "Meter"); f == nil {
		f = &fault{outcome: cloud.ReadOK, reason: twoGroups + ": no meter categories, no charge types"}
	}
	return rows, f
}

func (k *collector) costQuery(ctx context.Context, sub, what, kind string, groups ...string) (int, *fault) {
	to := k.o.Clock.Now().UTC().Truncate(24 * time.Hour)
	var grouping []map[string]string
	for _, g := range groups {
		grouping = append(grouping, map[string]string{"type": "Dimension", "name": g})
	}
	sum := func(name string) map[string]string { return map[string]string{"name": name, "function": "Sum"} }
	body, _ := json.Marshal(map[string]any{ // plain values
		"type": kind, "timeframe": "Custom",
		"timePeriod": map[string]string{"from": to.AddDate(0, 0, -k.o.CostDays).Format(time.RFC3339), "to": to.Add(24*time.Hour - time.Second).Format(time.RFC3339)},
		"dataset":    map[string]any{"granularity": "Daily", "aggregation": map[string]any{"totalCost": sum("Cost"), "usage": sum("UsageQuantity")}, "grouping": grouping},
	})
	a := ask{lane: laneOf(sub, costPath), wide: "cost", url: k.base + sub + costPath, body: body}
	rows := 0
	for range maxPages {
		raw, f := k.c.do(ctx, a)
		if f != nil {
			f.cut = nil
			return rows, f
		}
		var p struct {
			Properties struct {
				NextLink string            `json:"nextLink"`
				Columns  json.RawMessage   `json:"columns"`
				Rows     []json.RawMessage `json:"rows"`
			} `json:"properties"`
		}
		if err := json.Unmarshal(raw, &p); err != nil {
			return rows, &fault{outcome: cloud.ReadFailed, reason: "the answer is no cost query result"}
		}
		for chunk := range slices.Chunk(p.Properties.Rows, 5000) {
			doc, err := json.Marshal(map[string]any{"columns": p.Properties.Columns, "rows": chunk})
			if err != nil {
				return rows, &fault{outcome: cloud.ReadFailed, reason: "the answer is no cost query result"}
			}
			k.emit(what, sub, doc)
			rows += len(chunk)
		}
		if p.Properties.NextLink == "" {
			return rows, nil
		}
		next, err := follow(a.url, p.Properties.NextLink)
		if err != nil || next == a.url {
			return rows, &fault{outcome: cloud.ReadPartial, reason: cmpErr(err, "the next page is this page")}
		}
		a.url = next
	}
	return rows, &fault{outcome: cloud.ReadPartial, reason: fmt.Sprintf("more than %d pages", maxPages)}
}

// rest reads what follows from all that came before: the definitions that assignments
// name, sizes and prices of what is in use.
func (k *collector) rest(ctx context.Context) error {
	k.do(ctx, 3, []job{
		{cloud.ReadDefinitions, "", k.definitionsOf},
		{cloud.ReadSizes, "", k.sizesOf},
		{cloud.ReadPrices, "", k.pricesOf},
	})
	return nil
}

// gather runs reads that count as one, and keeps the worst that came of them.
func gather(n int, each func(i int) (int, *fault)) (int, *fault) {
	rows := 0
	var worst *fault
	for i := range n {
		r, f := each(i)
		rows += r
		if f != nil && (worst == nil || worst.outcome == cloud.ReadAbsent) {
			worst = f
		}
	}
	return rows, worst
}

func (k *collector) definitionsOf(ctx context.Context) (int, *fault) {
	k.mu.Lock()
	ids := sorted(k.definitions)
	k.mu.Unlock()
	return gather(len(ids), func(i int) (int, *fault) {
		n, f := k.one(ctx, cloud.ReadDefinitions, "", ask{lane: "tenant", url: k.base + ids[i] + "?api-version=" + policyAPI})
		if f != nil {
			f.reason = ids[i] + ": " + f.reason
		}
		return n, f
	})
}

func (k *collector) sizesOf(ctx context.Context) (int, *fault) {
	k.mu.Lock()
	regions := slices.Sorted(maps.Keys(k.regions))
	k.mu.Unlock()
	told := map[string]bool{}
	return gather(len(regions), func(i int) (int, *fault) {
		where, used := regions[i], map[string]bool{}
		for size := range k.regions[where] {
			used[strings.ToLower(size)] = true
		}
		q := url.Values{"api-version": {"2021-07-01"}, "$filter": {"location eq '" + where + "'"}}
		return k.list(ctx, cloud.ReadSizes, "", ask{lane: laneOf(k.at[where], sizesPath), url: k.base + k.at[where] + sizesPath + "?" + q.Encode()}, func(d json.RawMessage) json.RawMessage {
			n, err := open(d)
			if err != nil {
				return d // the Builder counts it
			}
			name := n.at("name").text()
			if told[name] || !used[strings.ToLower(name)] || !strings.EqualFold(n.at("resourceType").text(), "virtualMachines") {
				return nil
			}
			told[name] = true
			return d
		})
	})
}

// pricesOf reads list prices of the sizes in use, of Defender and of log ingestion.
func (k *collector) pricesOf(ctx context.Context) (int, *fault) {
	k.mu.Lock()
	regions := slices.Sorted(maps.Keys(k.regions))
	k.mu.Unlock()
	filters := []string{"serviceName eq 'Microsoft Defender for Cloud' and priceType eq 'Consumption'"}
	for _, where := range regions {
		filters = append(filters, "armRegionName eq '"+where+"' and priceType eq 'Consumption' and (serviceName eq 'Log Analytics' or serviceName eq 'Azure Monitor')")
		for sizes := range slices.Chunk(sorted(k.regions[where]), 10) {
			filters = append(filters, "armRegionName eq '"+where+"' and priceType eq 'Consumption' and serviceName eq 'Virtual Machines' and (armSkuName eq '"+strings.Join(sizes, "' or armSkuName eq '")+"')")
		}
	}
	return gather(len(filters), func(i int) (int, *fault) {
		q := url.Values{"currencyCode": {"'" + k.o.Currency + "'"}, "$filter": {filters[i]}}
		return k.list(ctx, cloud.ReadPrices, "", ask{lane: "prices", open: true, url: k.c.prices.String() + "/api/retail/prices?" + q.Encode()}, nil)
	})
}
