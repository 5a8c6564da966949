package posture

import (
	_ "embed"
	"fmt"
	"slices"
	"sync"

	"sigs.k8s.io/yaml"
)

//go:embed data/controls.yaml
var controlsFile []byte

// The frameworks that controls map to.
const (
	FrameworkCIS      = "cis-aks-1.8"         // CIS Azure Kubernetes Service Benchmark 1.8
	FrameworkDefender = "defender-containers" // Microsoft's container recommendations for Azure, by policy
	FrameworkMCSB     = "mcsb"                // Microsoft cloud security benchmark
	FrameworkNIST     = "nist-800-53-r5"      // NIST SP 800-53 revision 5
	FrameworkPCI      = "pci-dss-4"           // PCI DSS 4.0.1
	FrameworkISO      = "iso-27001-2022"      // ISO/IEC 27001:2022, A.… of its Annex A
	FrameworkSOC2     = "soc-2"               // SOC 2, trust services criteria
)

// Frameworks lists the frameworks that controls map to, the benchmarks of containers first.
func Frameworks() []string {
	return []string{FrameworkCIS, FrameworkDefender, FrameworkMCSB, FrameworkNIST, FrameworkPCI, FrameworkISO, FrameworkSOC2}
}

// FrameworkName is what people call a framework; the id itself where it is not known.
func FrameworkName(id string) string {
	switch id {
	case FrameworkCIS:
		return "CIS AKS 1.8"
	case FrameworkDefender:
		return "Microsoft container recommendations"
	case FrameworkMCSB:
		return "Microsoft cloud security benchmark"
	case FrameworkNIST:
		return "NIST SP 800-53 r5"
	case FrameworkPCI:
		return "PCI DSS 4"
	case FrameworkISO:
		return "ISO/IEC 27001:2022"
	case FrameworkSOC2:
		return "SOC 2"
	}
	return id
}

// controls is the shipped table. It cannot fail: a test loads it.
var controls = sync.OnceValue(func() []Control {
	list, err := load(controlsFile)
	if err != nil {
		panic("posture: data/controls.yaml: " + err.Error())
	}
	return list
})

// Controls are the controls that this build knows, in a stable order. The caller may
// change the list, but not what its members point to.
func Controls() []Control { return slices.Clone(controls()) }

// load reads a table of controls. A member that is not known is an error.
func load(doc []byte) ([]Control, error) {
	var file struct {
		Controls []Control `json:"controls"`
	}
	if err := yaml.UnmarshalStrict(doc, &file); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for i := range file.Controls {
		c := &file.Controls[i]
		if err := c.valid(); err != nil {
			return nil, fmt.Errorf("control %d %q: %w", i+1, c.ID, err)
		}
		if seen[c.ID] {
			return nil, fmt.Errorf("control %d %q: the id is taken", i+1, c.ID)
		}
		seen[c.ID] = true
	}
	return file.Controls, nil
}

func (c *Control) valid() error {
	switch {
	case c.ID == "" || c.Title == "" || c.Why == "" || len(c.Remediation) == 0:
		return fmt.Errorf("id, title, why and remediation are all needed")
	case !slices.Contains([]string{"critical", "high", "medium", "low"}, c.Severity):
		return fmt.Errorf("severity %q: want critical, high, medium or low", c.Severity)
	case c.Effort < 1 || c.Effort > 3:
		return fmt.Errorf("effort %d: want 1, 2 or 3", c.Effort)
	case !slices.Contains([]string{OnCluster, OnRegistry, OnSubscription}, c.Scope):
		return fmt.Errorf("scope %q: want cluster, registry or subscription", c.Scope)
	case c.Manual != (c.ManualWhy != ""):
		return fmt.Errorf("manual and manualWhy go together")
	case len(c.Needs) == 0 || slices.ContainsFunc(c.Needs, func(n string) bool { return !slices.Contains([]string{FromARM, FromKubernetes, FromNode}, n) }):
		return fmt.Errorf("needs %q: want some of arm, kubernetes and node", c.Needs)
	}
	for f, ids := range c.Maps {
		switch {
		case !slices.Contains(Frameworks(), f):
			return fmt.Errorf("maps: framework %q is not known", f)
		case len(ids) == 0:
			return fmt.Errorf("maps: %s has no ids", f)
		case !slices.Contains([]string{"benchmark", "azure", "own"}, c.MapSource[f]):
			return fmt.Errorf("mapSource of %s is %q: want benchmark, azure or own", f, c.MapSource[f])
		}
	}
	return nil
}
