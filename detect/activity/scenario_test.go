package activity

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

const (
	subID   = "/subscriptions/11111111-1111-1111-1111-111111111111"
	bareID  = "/subscriptions/22222222-2222-2222-2222-222222222222"
	aksID   = subID + "/resourcegroups/rg/providers/microsoft.containerservice/managedclusters/aks"
	nodesID = subID + "/resourcegroups/mc_rg_aks_west"
)

var day0 = time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC)

// world is a tenant with one cluster, whose log begins on day 0.
func world() *cloud.Tenant {
	on := true
	c := cloud.Cluster{ID: aksID, Name: "aks", Kind: cloud.KindAKS, Subscription: subID, ResourceGroup: "rg", NodeGroup: "MC_rg_aks_west", DefenderProfile: &on}
	for _, use := range []string{"cluster", "kubelet", "omsagent", "azurepolicy", "azureKeyvaultSecretsProvider", "ingressApplicationGateway"} {
		i := cloud.Identity{Use: use, ObjectID: "object-" + use}
		if use != "cluster" { // which is assigned by the system: no id of its own
			i.ID, i.ClientID = nodesID+"/providers/microsoft.managedidentity/userassignedidentities/"+strings.ToLower(use)+"-aks", "client-"+use
		}
		c.Identities = append(c.Identities, i)
	}
	t := &cloud.Tenant{ID: "t", Clusters: []cloud.Cluster{c}, Subscriptions: []cloud.Subscription{{ID: subID, Name: "shop", Plan: &cloud.Plan{Standard: true}}, {ID: bareID, Name: "bare", Plan: &cloud.Plan{}}}}
	for _, who := range []string{"pipeline", "ann"} {
		t.Activity = append(t.Activity, cloud.Activity{ID: "0-" + who, At: day0.UnixNano(), Subscription: subID, Resource: aksID, Operation: "Microsoft.ContainerService/managedClusters/write", Status: "Succeeded", Caller: who, ObjectID: "object-" + who, Address: "203.0.113.1"})
	}
	return t
}

// scenario plays the lines of one scenario and gives what was found, in order of time.
func play(lines []string) ([]finding.Finding, []string, error) {
	t, owner := world(), "nobody"
	var want []string
	off := false
	for n, line := range lines {
		words := strings.Fields(line)
		switch {
		case words[0] == "expect":
			if words[1] != "nothing" {
				want = append(want, strings.Join(words[1:], " "))
			}
			continue
		case words[0] == "tenant":
			for _, w := range words[1:] {
				switch k, v, _ := strings.Cut(w, "="); {
				case w == "plan=off":
					t.Subscriptions[0].Plan = &cloud.Plan{}
				case w == "profile=off":
					t.Clusters[0].DefenderProfile = &off
				case k == "owner":
					owner = v
				default:
					return nil, nil, fmt.Errorf("%q: unknown", w)
				}
			}
			continue
		case len(words) < 5 || words[1] != "did" || words[3] != "at":
			return nil, nil, fmt.Errorf("%q: want WHO did OPERATION at PLACE", line)
		}
		kind, rest, _ := strings.Cut(words[4], "/")
		base, ok := map[string]string{"cluster": aksID, "nodes": nodesID, "group": subID + "/resourcegroups/rg", "sub": subID, "other": subID + "/resourcegroups/other", "bare": bareID}[kind]
		if !ok {
			return nil, nil, fmt.Errorf("%q: no such place", words[4])
		}
		a := cloud.Activity{ID: fmt.Sprint("e", n), Subscription: base[:len(subID)], Resource: strings.TrimSuffix(strings.ToLower(base+"/"+rest), "/"), Operation: words[2], Status: "Succeeded", Address: "203.0.113.1", Properties: map[string]string{}}
		day := 5
		for _, w := range words[5:] {
			switch k, v, _ := strings.Cut(w, "="); k {
			case "status":
				a.Status = v
			case "sub":
				a.SubStatus = v
			case "from":
				a.Address = v
			case "correlation":
				a.Correlation = v
			case "day":
				if _, err := fmt.Sscan(v, &day); err != nil {
					return nil, nil, err
				}
			default:
				a.Properties[k] = v
			}
		}
		a.At = day0.AddDate(0, 0, day).Add(10*time.Hour + time.Duration(n)*time.Minute).UnixNano()
		stray, isStray := strings.CutPrefix(words[0], "stray:")
		i := slices.IndexFunc(t.Clusters[0].Identities, func(i cloud.Identity) bool { return i.Use == words[0] })
		switch {
		case isStray:
			a.Caller, a.IdentityID = "object-stray", nodesID+"/providers/microsoft.managedidentity/userassignedidentities/"+stray
		case i >= 0:
			id := t.Clusters[0].Identities[i]
			a.Caller, a.ObjectID, a.AppID, a.IdentityID = id.ObjectID, id.ObjectID, id.ClientID, id.ID
		default:
			a.Caller, a.ObjectID = words[0], "object-"+words[0]
		}
		t.Activity = append(t.Activity, a)
	}
	out := Judge(&Input{Tenant: t, Owners: map[string]string{aksID: owner}}).Findings
	slices.SortFunc(out, func(a, b finding.Finding) int { return int(a.Time - b.Time) })
	return out, want, nil
}

// TestRules plays rules.scenario: every finding must be expected, and every rule has a
// scenario in which it fires and one in which nothing does.
func TestRules(t *testing.T) {
	file, err := os.ReadFile("rules.scenario")
	if err != nil {
		t.Fatal(err)
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	rule, name := "", ""
	var lines []string
	end := func() {
		if name == "" {
			return
		}
		got, want, err := play(lines)
		if err != nil {
			t.Errorf("%s: %s: %v", rule, name, err)
		}
		ok := len(got) == len(want)
		var said []string
		for i := range got {
			f := &got[i]
			said = append(said, fmt.Sprintf("%s severity=%s times=%d (%s)", f.Rule.ID, f.Severity, f.Repeats+1, f.Summary))
			if !ok {
				continue
			}
			for _, w := range strings.Fields(want[i]) {
				ok = ok && (w == f.Rule.ID || w == "severity="+f.Severity.String() || w == fmt.Sprintf("times=%d", f.Repeats+1))
			}
			fires[f.Rule.ID] = true
		}
		if !ok {
			t.Errorf("%s: %s: want %q, got %q", rule, name, want, said)
		}
		silent[rule] = silent[rule] || len(want) == 0
		name, lines = "", nil
	}
	for line := range strings.Lines(string(file)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case strings.HasPrefix(line, "rule: "):
			end()
			rule = strings.TrimPrefix(line, "rule: ")
		case strings.HasPrefix(line, "scenario: "):
			end()
			name = strings.TrimPrefix(line, "scenario: ")
		default:
			lines = append(lines, line)
		}
	}
	end()
	for _, r := range Shipped().Rules {
		if !fires[r.ID] || !silent[r.ID] {
			t.Errorf("%s: fires in a scenario: %v; is silent in one of its own: %v", r.ID, fires[r.ID], silent[r.ID])
		}
	}
}
