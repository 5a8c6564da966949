package inventory

import (
	"fmt"
	"path"
)

// Options says how a State reads owners and tenants, and its bounds. The zero value is
// useful: see DefaultConfig.
type Options struct {
	Config
	Cluster    string // name of the cluster, for its document
	MaxObjects int    // objects held, at most; what comes beyond is counted and said as a gap. 0 = 1,000,000
}

// Config is the part of Options that people write. An empty list takes the default.
type Config struct {
	// OwnerKeys are labels and annotations that name an owner, the first found wins.
	OwnerKeys []string `json:"ownerKeys,omitempty" yaml:"ownerKeys"`
	// Owners gives an owner to namespaces where nothing in them names one.
	Owners []OwnerRule `json:"owners,omitempty" yaml:"owners"`
	// TenantKeys are namespace labels whose value names the tenant.
	TenantKeys []string `json:"tenantKeys,omitempty" yaml:"tenantKeys"`
	// Tenants names tenants and their namespaces; it goes before TenantKeys.
	Tenants []TenantRule `json:"tenants,omitempty" yaml:"tenants"`
	// PlatformNamespaces belong to the distribution: they have no tenant, and what runs
	// there is marked. Names or globs.
	PlatformNamespaces []string `json:"platformNamespaces,omitempty" yaml:"platformNamespaces"`
}

// OwnerRule gives the namespaces that match a name or glob an owner.
type OwnerRule struct {
	Namespaces []string `json:"namespaces" yaml:"namespaces"`
	Owner      string   `json:"owner" yaml:"owner"`
}

// TenantRule is one tenant: the namespaces, names or globs, that it consists of.
type TenantRule struct {
	Name       string   `json:"name" yaml:"name"`
	Namespaces []string `json:"namespaces" yaml:"namespaces"`
}

// DefaultConfig returns what empty lists of a Config stand for. A key that begins with
// */ matches any prefix.
func DefaultConfig() Config {
	return Config{
		OwnerKeys: []string{
			"dockreeve.io/owner", "owner", "team", "app.kubernetes.io/owner", "app.kubernetes.io/team",
			"owner-team", "owned-by", "squad", "*/owner", "*/team", "*/owned-by", "contact", "maintainer",
		},
		TenantKeys: []string{"dockreeve.io/tenant", "capsule.clastix.io/tenant", "tenant", "*/tenant"},
		PlatformNamespaces: []string{
			"kube-system", "kube-public", "kube-node-lease", "kube-flannel", "cilium*", "calico-*", "tigera-operator",
			"gatekeeper-system", "azure-arc", "aks-*", "app-routing-system", "gke-*", "gmp-*", "amazon-*",
			"openshift", "openshift-*", "local-path-storage",
		},
	}
}

// Validate reports the first entry that cannot be meant.
func (c *Config) Validate() error {
	check := func(where string, globs []string) error {
		for i, g := range globs {
			if _, err := path.Match(g, ""); err != nil || g == "" {
				return fmt.Errorf("%s[%d] %q: not a name or glob", where, i, g)
			}
		}
		return nil
	}
	if err := check("platformNamespaces", c.PlatformNamespaces); err != nil {
		return err
	}
	for i, o := range c.Owners {
		if o.Owner == "" {
			return fmt.Errorf("owners[%d]: owner is empty", i)
		}
		if err := check(fmt.Sprintf("owners[%d].namespaces", i), o.Namespaces); err != nil {
			return err
		}
	}
	for i, t := range c.Tenants {
		if t.Name == "" {
			return fmt.Errorf("tenants[%d]: name is empty", i)
		}
		if err := check(fmt.Sprintf("tenants[%d].namespaces", i), t.Namespaces); err != nil {
			return err
		}
	}
	return nil
}

// withDefaults fills what is empty.
func (o Options) withDefaults() Options {
	d := DefaultConfig()
	if len(o.OwnerKeys) == 0 {
		o.OwnerKeys = d.OwnerKeys
	}
	if len(o.TenantKeys) == 0 {
		o.TenantKeys = d.TenantKeys
	}
	if len(o.PlatformNamespaces) == 0 {
		o.PlatformNamespaces = d.PlatformNamespaces
	}
	if o.MaxObjects <= 0 {
		o.MaxObjects = 1_000_000
	}
	return o
}

func matches(globs []string, name string) bool {
	for _, g := range globs {
		if ok, _ := path.Match(g, name); ok || g == name {
			return true
		}
	}
	return false
}
