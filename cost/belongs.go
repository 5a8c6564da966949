package cost

import "strings"

// How a charge belongs to a cluster, in order of trust.
const (
	BelongsItself    = "resource"       // it is billed on the cluster, or on something below it
	BelongsNodeGroup = "node group"     // on something in the resource group that holds its nodes: VMs, disks, balancers, addresses
	BelongsGroup     = "resource group" // it names no resource, but that resource group
	BelongsTag       = "tag"            // on something elsewhere that AKS tagged with the cluster's name and group
)

// Tags that AKS puts on what it creates for a cluster, in lower case.
const (
	tagCluster      = "aks-managed-cluster-name"
	tagClusterGroup = "aks-managed-cluster-rg"
)

// belonging finds the cluster of a charge. It is immutable once built.
type belonging struct {
	clusters map[string]bool   // ids
	groups   map[string]string // /subscriptions/guid/resourcegroups/name → cluster
}

func belongingOf(in *Input) *belonging {
	b := &belonging{clusters: map[string]bool{}, groups: map[string]string{}}
	if in.Tenant == nil {
		return b
	}
	for i := range in.Tenant.Clusters {
		c := &in.Tenant.Clusters[i]
		id := strings.ToLower(c.ID)
		b.clusters[id] = true
		sub := subscriptionOf(id)
		if sub == "" {
			continue
		}
		node := c.NodeGroup
		if node == "" && c.Kind == "aks" {
			// What AKS calls it unless told otherwise.
			node = "mc_" + c.ResourceGroup + "_" + c.Name + "_" + c.Location
		}
		if node = strings.ToLower(node); node != "" {
			b.groups[sub+"/resourcegroups/"+node[strings.LastIndexByte(node, '/')+1:]] = id
		}
	}
	for i := range in.Tenant.ResourceGroups {
		g := &in.Tenant.ResourceGroups[i]
		by := strings.ToLower(g.ManagedBy)
		if b.clusters[by] {
			b.groups[strings.ToLower(g.ID)] = by
		}
	}
	return b
}

// clusterOf names the cluster that a charge belongs to, and how that is known; "" when it
// belongs to none. Every part of a report asks here, so that what one counts as a
// cluster's another cannot count as nobody's.
func clusterOf(in *Input, c *Charge) (cluster, how string) {
	b := in.belongs
	if b == nil {
		b = belongingOf(in)
	}
	return b.clusterOf(c)
}

func (b *belonging) clusterOf(c *Charge) (cluster, how string) {
	res := lower(c.Resource)
	if id := clusterID(res); id != "" && b.clusters[id] {
		return id, BelongsItself
	}
	if g := groupOf(res); g != "" {
		if id := b.groups[g]; id != "" {
			return id, BelongsNodeGroup
		}
	} else if name := c.More["x_ResourceGroupName"]; name != "" {
		sub := subscriptionOf(res)
		if sub == "" {
			sub = subscriptionOf(lower(c.SubAccount))
		}
		if id := b.groups[sub+"/resourcegroups/"+lower(name)]; id != "" && sub != "" {
			return id, BelongsGroup
		}
	}
	return b.tagged(c, res)
}

func (b *belonging) tagged(c *Charge, res string) (cluster, how string) {
	var name, group string
	for k, v := range c.Tags {
		switch lower(k) {
		case tagCluster:
			name = lower(v)
		case tagClusterGroup:
			group = lower(v)
		}
	}
	if name == "" || group == "" {
		return "", ""
	}
	sub := subscriptionOf(res)
	if sub == "" {
		sub = subscriptionOf(lower(c.SubAccount))
	}
	id := sub + "/resourcegroups/" + group + "/providers/microsoft.containerservice/managedclusters/" + name
	if b.clusters[id] {
		return id, BelongsTag
	}
	return "", ""
}

// lower spares the copy where there is nothing to lower, which is nearly always.
func lower(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; 'A' <= c && c <= 'Z' || c >= 0x80 {
			return strings.ToLower(s)
		}
	}
	return s
}

// head gives the first n segments of an ARM id ("/a/b/c", 2 → "/a/b"), "" if there are fewer.
func head(id string, n int) string {
	for i := 0; i < len(id); i++ {
		if id[i] != '/' {
			continue
		}
		if n == 0 {
			return id[:i]
		}
		n--
	}
	if n == 0 {
		return id
	}
	return ""
}

// subscriptionOf gives /subscriptions/guid of an ARM id in lower case.
func subscriptionOf(id string) string {
	if !strings.HasPrefix(id, "/subscriptions/") {
		return ""
	}
	return head(id, 2)
}

// groupOf gives the resource group of an ARM id in lower case.
func groupOf(id string) string {
	g := head(id, 4)
	if !strings.HasPrefix(g, "/subscriptions/") || !strings.Contains(g, "/resourcegroups/") {
		return ""
	}
	return g
}

// clusterID cuts an ARM id in lower case down to the cluster it is of or below.
func clusterID(id string) string {
	c := head(id, 8)
	if strings.Contains(c, "/providers/microsoft.containerservice/managedclusters/") ||
		strings.Contains(c, "/providers/microsoft.kubernetes/connectedclusters/") {
		return c
	}
	return ""
}
