package govern

import (
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// with returns the configuration with its defaults in place.
func (c Config) with() Config {
	if c.Provider == "" {
		c.Provider = providerEither
	}
	if c.Goal == 0 {
		c.Goal = 1
	}
	if len(c.Environments.Tags) == 0 {
		c.Environments.Tags = []string{"environment", "env", "stage"}
	}
	if c.Environments.Aliases == nil {
		c.Environments.Aliases = map[string]string{"prd": production, "prod": production, "live": production,
			"stg": "staging", "stage": "staging", "preprod": "staging", "pre-prod": "staging", "uat": "staging",
			"tst": "test", "qa": "test", "dev": "development", "sbx": "sandbox"}
	}
	if len(c.Environments.Production) == 0 {
		c.Environments.Production = []string{production}
	}
	if len(c.Tags) == 0 {
		c.Tags = []MandatoryTag{
			{Name: tagOwner, Tags: []string{"owner", "team", "owned-by", "contact"}},
			{Name: tagUnit, Tags: []string{"business-unit", "businessunit", "bu", "department"}},
			{Name: tagEnvironment, Tags: c.Environments.Tags},
			{Name: tagCentre, Tags: []string{"cost-center", "costcenter", "cost-centre", "costcentre", "cc"}},
		}
	}
	if c.Benchmark == "" {
		c.Benchmark = "cis-aks-1.8"
	}
	const day = 24 * time.Hour
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&c.ReviewEvery, 30*day)
	def(&c.StaleScan, 7*day)
	def(&c.StaleAgent, 15*time.Minute)
	def(&c.StaleCanary, 26*time.Hour)
	def(&c.StaleTenant, 26*time.Hour)
	def(&c.MaxExemption, 365*day)
	c.Acknowledge = filled(c.Acknowledge, map[string]time.Duration{"critical": time.Hour, "high": 4 * time.Hour})
	c.Fix = filled(c.Fix, map[string]time.Duration{"critical": 7 * day, "high": 30 * day, "medium": 90 * day, "low": 180 * day})
	c.Thresholds = c.Thresholds.with()
	return c
}

func filled(have, defaults map[string]time.Duration) map[string]time.Duration {
	out := make(map[string]time.Duration, len(defaults))
	for k, v := range defaults {
		out[k] = v
	}
	for k, v := range have {
		out[strings.ToLower(k)] = v
	}
	return out
}

const (
	providerDefender  = "defender"
	providerDockreeve = "dockreeve"
	providerEither    = "either"

	production         = "production"
	unknownEnvironment = "unknown"

	tagOwner       = "owner"
	tagUnit        = "businessUnit"
	tagEnvironment = "environment"
	tagCentre      = "costCentre"
)

// tagged finds the first of names among tags. Azure's tag names know no case; the same
// name in the spellings cost-center, costCenter and cost_center is one.
func tagged(tags map[string]string, names []string) (name, value string, ok bool) {
	for _, want := range names {
		w := plain(want)
		for _, k := range sortedKeys(tags) {
			if plain(k) == w && !placeholder(tags[k]) {
				return k, strings.TrimSpace(tags[k]), true
			}
		}
	}
	return "", "", false
}

// placeholder reports whether a value of a tag says nothing.
func placeholder(v string) bool {
	switch strings.ToLower(strings.TrimSpace(v)) {
	case "", "?", "-", "--", "x", "tbd", "tba", "todo", "none", "null", "n/a", "na", "unknown", "undefined", "changeme", "to be defined":
		return true
	}
	return false
}

// joints are what words of a tag are joined by. Making the replacer costs more than using it.
var joints = strings.NewReplacer("-", "", "_", "", " ", "", ".", "")

func plain(s string) string { return joints.Replace(strings.ToLower(s)) }

// place is one of the places a tag of a cluster may stand at, nearest first.
type place struct {
	what string
	tags map[string]string
}

func (x *index) places(c *cloud.Cluster) []place {
	out := []place{{"the cluster", c.Tags}}
	if g := x.groups["/subscriptions/"+guid(c.Subscription)+"/resourcegroups/"+strings.ToLower(c.ResourceGroup)]; g != nil {
		out = append(out, place{"resource group " + g.Name, g.Tags})
	}
	if s := x.subscription(c.Subscription); s != nil {
		out = append(out, place{"subscription " + s.Name, s.Tags})
	}
	return out
}

// environment says which environment a cluster is of and how that is known. What nobody
// said counts as production: a gap must not hide behind a missing tag.
func (x *index) environment(c *cloud.Cluster) (env, from string, prod bool) {
	for _, p := range x.places(c) {
		if name, value, ok := tagged(p.tags, x.config.Environments.Tags); ok {
			env = x.alias(value)
			from = "tag " + name + " of " + p.what
			if !x.knownEnvironment(env) {
				return env, from + "; nobody says what " + env + " is: counted as production", true
			}
			return env, from, x.production(env)
		}
	}
	if s := x.subscription(c.Subscription); s != nil {
		for _, g := range x.above(s) {
			for _, name := range []string{g.Name, g.Title} {
				for want, e := range x.config.Environments.Groups {
					if name != "" && strings.EqualFold(want, name) {
						env = x.alias(e)
						return env, "management group " + g.Name, x.production(env)
					}
				}
			}
		}
	}
	return unknownEnvironment, "no tag and no management group says; counted as production", true
}

func (x *index) alias(v string) string {
	v = strings.ToLower(strings.TrimSpace(v))
	for k, a := range x.config.Environments.Aliases {
		if strings.EqualFold(k, v) {
			return strings.ToLower(a)
		}
	}
	return v
}

// knownEnvironment reports whether the configuration names an environment: as production,
// as what an alias or a management group stands for, or as an allowed value of its tag.
// What is a slip of the pen, or a word of somebody's own, is no word for "not production".
func (x *index) knownEnvironment(env string) bool {
	if x.production(env) {
		return true
	}
	for _, a := range x.config.Environments.Aliases {
		if strings.EqualFold(a, env) {
			return true
		}
	}
	for _, e := range x.config.Environments.Groups {
		if x.alias(e) == env {
			return true
		}
	}
	for _, m := range x.config.Tags {
		for _, a := range m.Allowed {
			if m.Name == tagEnvironment && x.alias(a) == env {
				return true
			}
		}
	}
	return slices.Contains(elsewhere, env)
}

// elsewhere are the plain words for what is not production.
var elsewhere = []string{"staging", "test", "testing", "development", "sandbox", "playground", "demo", "lab", "nonprod", "nonproduction", "non-prod", "non-production", "integration", "poc", "training"}

func (x *index) production(env string) bool {
	for _, p := range x.config.Environments.Production {
		if strings.EqualFold(x.alias(p), env) {
			return true
		}
	}
	return env == unknownEnvironment
}
