package tenant

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// How a subscription has Defender for Containers.
const (
	planOn      = "on"
	planOff     = "off"
	planPartial = "partial" // on, with some of its extensions
	planTrial   = "trial"
	planLegacy  = "legacy" // by its older names
)

// What comes of reading a subscription.
const (
	faultDenied    = "denied"
	faultThrottled = "throttled" // its policy states
	faultPartial   = "partial"   // half a page of its assessments
	faultAbsent    = "absent"    // Microsoft.Security is not registered there
)

type subscription struct {
	i         int
	GUID      string
	Name      string
	Group     string // name of its management group
	Unit      int
	Env       string // production, nonproduction, sandbox, platform
	Quota     string
	State     string
	Plan      string
	Off       []string // extensions that are off
	Since     time.Time
	Fault     string
	Tags      map[string]string
	Owners    []person
	Workspace string // ARM id of its log workspace
	Region    region
	Currency  string
	clusters  []*cluster
	regs      []*registry
	groups    []*resourceGroup
}

func (s *subscription) path() string { return "/subscriptions/" + s.GUID }
func (s *subscription) id() string   { return s.path() }

type cluster struct {
	i        int
	sub      *subscription
	Name     string
	RG       string
	Region   region
	Arc      bool
	Team     int
	App      string
	Env      string // production, staging, test, dev, sandbox
	Tags     map[string]string
	Owner    person
	Created  time.Time
	Stopped  bool
	Version  string
	Tier     string
	Pools    []pool
	Profile  bool // Defender profile
	Helm     bool // Defender's sensor was installed with Helm
	Gating   bool
	Policy   bool
	Insights bool
	Private  bool
	Ranges   []string
	Local    bool   // local accounts can be used
	Override string // plan at the cluster itself: Standard, Free, ""
	Logs     logs
	Here     bool // Dockreeve's agents run there
	Quiet    bool // they stopped talking
	Rich     bool // its inventory has many workloads
	Uses     []string
	Story    string
	Flags    uint64 // settings of lesser weight, drawn once
	identity map[string][3]string
}

// logs are a cluster's diagnostic settings.
type logs struct {
	Kind      string   // kube-audit, kube-audit-admin, "" = none
	More      []string // further categories
	To        string   // workspace, event-hub, storage
	Dedicated bool
	Group     bool // as the category group allLogs
}

type pool struct {
	Name       string
	Size       string
	Nodes      int // now
	Min, Max   int // where autoscaled
	Autoscaled bool
	Spot       bool
	Stopped    bool
	Mode, OS   string
	Since      time.Time
}

type registry struct {
	sub     *subscription
	Name    string
	RG      string
	Region  region
	SKU     string
	Admin   bool
	Open    bool // anonymous pull
	Public  bool
	Links   int
	Key     bool
	Tags    map[string]string
	Created time.Time
}

type resourceGroup struct {
	sub       *subscription
	Name      string
	Region    region
	ManagedBy string
	Tags      map[string]string
}

// path is the cluster's id as ARM writes it, id the same in lower case.
func (c *cluster) path() string {
	kind := "Microsoft.ContainerService/managedClusters/"
	if c.Arc {
		kind = "Microsoft.Kubernetes/connectedClusters/"
	}
	return c.sub.path() + "/resourceGroups/" + c.RG + "/providers/" + kind + c.Name
}
func (c *cluster) id() string        { return strings.ToLower(c.path()) }
func (c *cluster) nodeGroup() string { return "MC_" + c.RG + "_" + c.Name + "_" + c.Region.Name }
func (c *cluster) running() bool     { return !c.Stopped }
func (c *cluster) flag(n uint) bool  { return c.Flags>>n&1 == 1 }
func (c *cluster) few(n uint) bool   { return c.Flags>>n&7 == 0 } // one in eight
func (c *cluster) production() bool  { return c.Env == "production" }
func (r *registry) path() string {
	return r.sub.path() + "/resourceGroups/" + r.RG + "/providers/Microsoft.ContainerRegistry/registries/" + r.Name
}
func (g *resourceGroup) path() string { return g.sub.path() + "/resourceGroups/" + g.Name }

// planned reports whether a cluster pays for Defender.
func (c *cluster) planned() bool {
	if c.Override != "" {
		return c.Override == "Standard"
	}
	return c.sub.Plan != planOff && c.sub.Fault != faultAbsent
}

func (w *World) makeSubscriptions() {
	n := w.opts.Subscriptions
	at := func(fortieth int) int { return n * fortieth / 40 }
	for i := range n {
		r := w.rng("subscription", i)
		s := &subscription{i: i, GUID: guid(r), State: "Enabled", Quota: "EnterpriseAgreement_2014-09-01", Plan: planOn, Currency: "EUR", Region: one(r, regions[:4])}
		s.Unit = i % len(units)
		unit := strings.ToLower(strings.NewReplacer(" & ", "-", " ", "-").Replace(units[s.Unit].Name))
		switch {
		case i%13 == 5:
			s.Env, s.Group, s.Quota = "sandbox", short+"-sandbox", one(r, []string{"MSDNDevTest_2014-09-01", "PayAsYouGo_2014-09-01"})
		case i%13 == 12:
			s.Env, s.Group, s.Unit = "platform", one(r, []string{short + "-platform-management", short + "-platform-connectivity"}), 5
			unit = "platform"
		case i%2 == 0:
			s.Env, s.Group = "production", one(r, []string{short + "-corp", short + "-online", short + "-online"})
		default:
			s.Env, s.Group = "nonproduction", short+"-corp"
		}
		word := map[string]string{"production": "prod", "nonproduction": "nonprod", "sandbox": "sandbox", "platform": "core"}[s.Env]
		s.Name = fmt.Sprintf("sub-%s-%s-%03d", unit, word, i+1)
		switch d := r.IntN(100); {
		case s.Env == "sandbox" && d < 70:
			s.Plan = planOff
		case d < 12:
			s.Plan = planPartial
		case d < 18:
			s.Plan = planOff
		case d < 22:
			s.Plan = planLegacy
		}
		for frac, plan := range map[int]string{3: planPartial, 6: planTrial, 9: planLegacy, 14: planOff, 21: planTrial} {
			if n >= 40 && i == at(frac) {
				s.Plan = plan
			}
		}
		if n >= 12 {
			switch i {
			case at(11), at(24), at(33):
				s.Fault = faultDenied
			case at(17):
				s.Fault = faultThrottled
			case at(28):
				s.Fault = faultPartial
			case at(31):
				s.Fault, s.Plan = faultAbsent, planOff
			case at(38):
				s.State = "Warned"
			}
		}
		if s.Env == "sandbox" && i == 5 {
			s.Currency = "USD" // came with a company that was bought
		}
		if s.Plan == planPartial {
			s.Off = [][]string{{"ContainerSensor"}, {"ContainerRegistriesVulnerabilityAssessments", "AgentlessVmScanning"}, {"AgentlessDiscoveryForKubernetes"}}[r.IntN(3)]
		}
		s.Since = w.ago(time.Duration(90+r.IntN(600)) * 24 * time.Hour)
		if s.Plan == planTrial {
			s.Since = w.ago(time.Duration(5+r.IntN(20)) * 24 * time.Hour)
		}
		s.Tags = map[string]string{}
		if chance(r, 70) {
			s.Tags[one(r, []string{"businessUnit", "BusinessUnit", "bu"})] = units[s.Unit].Name
		}
		if chance(r, 45) {
			s.Tags["costCentre"] = costCentre(r, s.Unit)
		}
		if chance(r, 30) {
			s.Tags["owner"] = w.someone(r).Mail
		}
		for range 1 + r.IntN(2) {
			s.Owners = append(s.Owners, w.someone(r))
		}
		s.Workspace = s.path() + "/resourceGroups/rg-observability/providers/Microsoft.OperationalInsights/workspaces/log-" + strings.TrimPrefix(s.Name, "sub-")
		w.subs = append(w.subs, s)
		w.bySub[s.id()] = s
		s.groups = append(s.groups, &resourceGroup{sub: s, Name: "rg-observability", Region: s.Region, Tags: map[string]string{"owner": teams[12].mail(), "env": "production"}},
			&resourceGroup{sub: s, Name: "NetworkWatcherRG", Region: s.Region})
	}
}

func costCentre(r *rand.Rand, unit int) string {
	return fmt.Sprintf("CC-%d%d", 4100+unit*10, r.IntN(9))
}

// ownTags are the tags that a resource carries, in the disorder of a real tenant; share
// is how many of 100 carry each.
func (w *World) ownTags(r *rand.Rand, owner string, env string, unit int, share int) map[string]string {
	t := map[string]string{}
	if chance(r, share) {
		value := owner
		switch d := r.IntN(100); {
		case d < 4:
			value = one(r, []string{"tbd", "n/a", "?", "none", "john"})
		case d < 7:
			value = "former." + one(r, []string{"employee", "contractor"}) + "@" + Domain
		case d < 9:
			value = strings.ToUpper(owner)
		}
		t[one(r, []string{"owner", "owner", "owner", "Owner", "OWNER", "team", "Team", "ownerEmail"})] = value
	}
	if chance(r, share) {
		words := map[string][]string{
			"production": {"production", "prod", "prd", "Prod", "PRD", "live"}, "staging": {"staging", "stg", "preprod"},
			"test": {"test", "tst", "uat", "qa"}, "dev": {"dev", "development", "Dev"}, "sandbox": {"sandbox", "sbx", "playground"},
		}[env]
		t[one(r, []string{"env", "env", "environment", "Environment", "Env"})] = one(r, words)
	}
	if chance(r, share*2/3) {
		value := units[unit].Name
		if chance(r, 8) {
			value = one(r, []string{"Digital", "misc", "EMEA", "shared"})
		}
		t[one(r, []string{"businessUnit", "business-unit", "BU", "BusinessUnit"})] = value
	}
	if chance(r, share*2/3) {
		value := costCentre(r, unit)
		if chance(r, 8) {
			value = one(r, []string{"0000", "TBD", "4711"})
		}
		t[one(r, []string{"costCentre", "costCenter", "cost-center", "CostCentre"})] = value
	}
	if chance(r, 20) {
		t["createdBy"] = one(r, []string{"terraform", "bicep", "pipeline", "portal"})
	}
	return t
}

func (w *World) makeRegistries() {
	per := max(len(w.clusters)/8, len(w.subs)/4)
	for i := range per {
		r := w.rng("registry", i)
		s := w.subs[i*len(w.subs)/per]
		t := teams[i%len(teams)]
		g := &registry{sub: s, Name: fmt.Sprintf("cr%s%s%03d", short, strings.ReplaceAll(t.Name, "-", ""), i+1), RG: fmt.Sprintf("rg-registry-%03d", i+1), Region: s.Region,
			SKU: one(r, []string{"Premium", "Premium", "Standard", "Basic"}), Admin: chance(r, 20), Open: chance(r, 4), Public: chance(r, 55), Key: chance(r, 12),
			Tags: w.ownTags(r, t.mail(), "production", t.Unit, 60), Created: w.ago(time.Duration(60+r.IntN(900)) * 24 * time.Hour)}
		if !g.Public {
			g.Links = 1 + r.IntN(2)
		}
		w.regs = append(w.regs, g)
		s.regs = append(s.regs, g)
		s.groups = append(s.groups, &resourceGroup{sub: s, Name: g.RG, Region: g.Region, Tags: w.ownTags(r, t.mail(), "production", t.Unit, 50)})
	}
}
