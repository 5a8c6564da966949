package inventory

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
