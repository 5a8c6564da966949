package cost

import (
	"testing"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

const (
	subA = "/subscriptions/00000000-0000-0000-0000-00000000000a"
	aks1 = subA + "/resourcegroups/shop/providers/microsoft.containerservice/managedclusters/one"
	aks2 = subA + "/resourcegroups/shop/providers/microsoft.containerservice/managedclusters/two"
	arc1 = subA + "/resourcegroups/edge/providers/microsoft.kubernetes/connectedclusters/depot"
)

func TestClusterOf(t *testing.T) {
	in := &Input{Tenant: &cloud.Tenant{
		Clusters: []cloud.Cluster{
			{ID: aks1, Name: "one", Kind: "aks", ResourceGroup: "shop", Location: "westeurope", NodeGroup: "Nodes-One"},
			{ID: aks2, Name: "two", Kind: "aks", ResourceGroup: "shop", Location: "westeurope"},
			{ID: arc1, Name: "depot", Kind: "arc", ResourceGroup: "edge"},
		},
		ResourceGroups: []cloud.ResourceGroup{{ID: subA + "/resourcegroups/moved", ManagedBy: aks2}},
	}}
	for _, tt := range []struct {
		name       string
		charge     Charge
		id, reason string
	}{
		{"itself", Charge{Resource: aks1}, aks1, BelongsItself},
		{"below it", Charge{Resource: aks1 + "/agentpools/x"}, aks1, BelongsItself},
		{"upper case", Charge{Resource: "/subscriptions/00000000-0000-0000-0000-00000000000A/resourceGroups/SHOP/providers/Microsoft.ContainerService/managedClusters/One"}, aks1, BelongsItself},
		{"a longer name is another", Charge{Resource: aks1 + "s"}, "", ""},
		{"nodes", Charge{Resource: subA + "/resourcegroups/nodes-one/providers/microsoft.compute/virtualmachinescalesets/p"}, aks1, BelongsNodeGroup},
		{"node group by its usual name", Charge{Resource: subA + "/resourcegroups/mc_shop_two_westeurope/providers/microsoft.compute/disks/d"}, aks2, BelongsNodeGroup},
		{"managed by", Charge{Resource: subA + "/resourcegroups/moved/providers/microsoft.network/loadbalancers/l"}, aks2, BelongsNodeGroup},
		{"the group of the same name elsewhere", Charge{Resource: "/subscriptions/b/resourcegroups/nodes-one/providers/microsoft.compute/disks/d"}, "", ""},
		{"only a group", Charge{SubAccount: subA, More: map[string]string{"x_ResourceGroupName": "NODES-one"}}, aks1, BelongsGroup},
		{"tagged disk elsewhere", Charge{Resource: subA + "/resourcegroups/disks/providers/microsoft.compute/disks/d",
			Tags: map[string]string{"aks-managed-cluster-name": "One", "aks-managed-cluster-rg": "shop"}}, aks1, BelongsTag},
		{"tag without its group", Charge{Resource: subA + "/resourcegroups/disks/providers/microsoft.compute/disks/d",
			Tags: map[string]string{"aks-managed-cluster-name": "one"}}, "", ""},
		{"arc", Charge{Resource: arc1}, arc1, BelongsItself},
		{"the group a cluster lies in is not its", Charge{Resource: subA + "/resourcegroups/shop/providers/microsoft.storage/storageaccounts/s"}, "", ""},
		{"nothing", Charge{}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, how := clusterOf(in, &tt.charge)
			if id != tt.id || how != tt.reason {
				t.Errorf("got %q by %q, want %q by %q", id, how, tt.id, tt.reason)
			}
		})
	}
}
