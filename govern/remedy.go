package govern

import (
	"cmp"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// Every command names its subscription, or what it is of by its full id: whoever runs it is
// signed in to some subscription, and seldom to that one.

// planOn is the command that switches Defender's plan on in the subscription of an id.
func planOn(id string) string {
	return "az security pricing create --name Containers --tier Standard --subscription " + shellWord(guid(id))
}

// policyOn is the command that puts Azure Policy's add-on into a cluster.
func policyOn(r *ClusterRow) string {
	if r.Kind == cloud.KindArc {
		return "az k8s-extension create --extension-type Microsoft.PolicyInsights --name azurepolicy --cluster-type connectedClusters " + placeOf(r) + " --cluster-name " + shellWord(r.Name)
	}
	return "az aks enable-addons --addons azure-policy " + placeOf(r) + " --name " + shellWord(r.Name)
}

// placeOf says where a cluster is, as commands of az want it.
func placeOf(r *ClusterRow) string {
	return "--subscription " + shellWord(guid(r.Subscription)) + " --resource-group " + shellWord(r.ResourceGroup)
}

const (
	exportRole = "dockreeve azure export-role"
	collect    = "dockreeve azure collect -o snapshot.json"
	readAgain  = "collect again: " + collect + "; an export: write it again, whole"
)

// mend is the command that may make known what is not, by the reason why it is not: the
// first of our words in it.
func mend(why string) string {
	first, do := len(why), collect
	for word, command := range map[string]string{"rights are missing": exportRole, notListed: exportRole,
		"was not asked for": collect, "only a part came": collect, "did not end": collect, "kept telling us": collect, "the read failed": collect} {
		if i := strings.Index(why, word); i >= 0 && i < first {
			first, do = i, command
		}
	}
	return do
}

// remedy is mend as a sentence.
func remedy(why string) string {
	if mend(why) == exportRole {
		return exportRole + " prints the rights it needs"
	}
	return readAgain
}

// remedyOf is what to do about reads that did not come out: what they say themselves where
// they say the same, else what each cause asks for.
func remedyOf(list []*cloud.Read) string {
	same := list[0].Remedy
	var each []string
	for _, r := range list {
		if r.Remedy != same {
			same = ""
		}
		do := readAgain
		if !good(r.Outcome) {
			do = remedy(reasonOf(r))
		}
		if !slices.Contains(each, do) {
			each = append(each, do)
		}
	}
	return cmp.Or(same, strings.Join(each, "; "))
}

// tenantRead says whether anything of a tenant was read at all.
func tenantRead(t *cloud.Tenant) bool {
	return t != nil && (t.ID != "" || len(t.Reads)+len(t.Subscriptions)+len(t.Clusters) > 0)
}
