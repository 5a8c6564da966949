package cli

import (
	"context"
	"fmt"
	"strings"

	"connectrpc.com/connect"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
)

// kubeCoverage says what a server can see of a cluster, so that an alert that cannot come
// is neither missing nor passed over.
type kubeCoverage struct {
	cluster string            // as the server calls it; "" = it does not know it
	audit   string            // why the API server is not watched; "" = it is
	nodes   map[string]string // by name, why the node is not watched; "" = it is
	rules   map[string]string // by id, why the rule cannot fire; "" = it can
	spaces  []string          // namespaces it knows
}

// coverageOf asks a server about the cluster of that name, or at that address.
func coverageOf(ctx context.Context, c *clients, name, address string) (*kubeCoverage, error) {
	cov := &kubeCoverage{nodes: map[string]string{}, rules: map[string]string{}}
	rules, err := c.status.ListRules(ctx, connect.NewRequest(&v1.ListRulesRequest{}))
	if err != nil {
		return nil, err
	}
	for _, r := range rules.Msg.Rules {
		why := r.NotAssessed
		if !r.Enabled {
			why = "it is switched off"
		}
		if strings.HasPrefix(why, "partly: ") {
			why = ""
		}
		if was, have := cov.rules[r.Id]; !have || was != "" {
			cov.rules[r.Id] = why
		}
	}
	list, err := c.clusters.ListClusters(ctx, connect.NewRequest(&v1.ListClustersRequest{PageSize: 500}))
	if err != nil {
		return nil, err
	}
	var row *v1.ClusterRow
	var known []string
	for _, r := range list.Msg.Clusters {
		known = append(known, clean(r.Name))
		if r.Name == name || row == nil && r.Server != "" && strings.TrimSuffix(r.Server, "/") == strings.TrimSuffix(address, "/") {
			row = r
		}
	}
	if row == nil {
		cov.audit = fmt.Sprintf("the server knows no cluster called %s, nor one at %s (it knows: %s); --cluster names it", name, address, strings.Join(known, ", "))
		return cov, nil
	}
	cov.cluster = row.Name
	if row.AuditMode == "" {
		cov.audit = "no audit events of cluster " + clean(row.Name) + " are connected: docs/audit.md says how"
	}
	got, err := c.clusters.GetCluster(ctx, connect.NewRequest(&v1.GetClusterRequest{Name: row.Name}))
	if err != nil {
		return nil, err
	}
	for _, n := range got.Msg.Namespaces {
		cov.spaces = append(cov.spaces, n.Name)
	}
	for _, n := range got.Msg.Nodes {
		switch {
		case n.Watched:
			cov.nodes[n.Name] = ""
		case n.NotAssessed != "":
			cov.nodes[n.Name] = n.NotAssessed
		default:
			cov.nodes[n.Name] = "no sensor reports from it"
		}
	}
	return cov, nil
}

// node is why nothing of a node's kernel can be expected; "" = it can.
func (c *kubeCoverage) node(name string) string {
	switch why, known := c.nodes[name]; {
	case known && why == "":
		return ""
	case known:
		return fmt.Sprintf("node %s is not watched: %s", name, clean(why))
	case c.cluster == "":
		return c.audit
	}
	return fmt.Sprintf("node %s is not known to the server", name)
}

// rule is why a rule cannot fire; "" = it can.
func (c *kubeCoverage) rule(id string) string {
	switch why, known := c.rules[id]; {
	case !known:
		return "no agent has the rule " + id
	case why != "":
		return "rule " + id + ": " + clean(why)
	}
	return ""
}
