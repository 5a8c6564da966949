package inventory

import (
	"encoding/json"
	"slices"
	"strings"
)

// text is a JSON string or number, as ports and quantities may be written.
type text string

// UnmarshalJSON never fails: another shape is an empty text.
func (t *text) UnmarshalJSON(doc []byte) error {
	switch {
	case len(doc) > 0 && doc[0] == '"':
		*t = text(cut(str(doc), maxName))
	case len(doc) > 0 && (doc[0] == '-' || doc[0] >= '0' && doc[0] <= '9'):
		*t = text(cut(string(doc), maxName))
	}
	return nil
}

type rawPort struct {
	Name     string `json:"name"`
	Port     int32  `json:"port"`
	Target   text   `json:"targetPort"`
	NodePort int32  `json:"nodePort"`
	Protocol string `json:"protocol"`
}

type rawBalancer struct {
	LoadBalancer struct {
		Ingress []struct {
			IP       string `json:"ip"`
			Hostname string `json:"hostname"`
		} `json:"ingress"`
	} `json:"loadBalancer"`
}

func (b *rawBalancer) addresses() []string {
	var out []string
	for _, a := range b.LoadBalancer.Ingress[:min(len(b.LoadBalancer.Ingress), maxAddresses)] {
		out = addWord(out, cut(a.IP, 64))
		out = addWord(out, cut(a.Hostname, maxName))
	}
	return out
}

func (d *decoder) service() {
	var spec struct {
		Type         string            `json:"type"`
		Selector     map[string]string `json:"selector"`
		Ports        []rawPort         `json:"ports"`
		ClusterIP    string            `json:"clusterIP"`
		ClusterIPs   []string          `json:"clusterIPs"`
		ExternalIPs  []string          `json:"externalIPs"`
		SourceRanges []string          `json:"loadBalancerSourceRanges"`
		ExternalName string            `json:"externalName"`
	}
	var status rawBalancer
	d.read("spec", d.r.Spec, &spec)
	d.read("status", d.r.Status, &status)
	s := &Service{
		Type: cut(spec.Type, 64), Selector: words(spec.Selector, maxLabels, maxName),
		ClusterIPs:  texts(spec.ClusterIPs, 4, 64),
		ExternalIPs: texts(spec.ExternalIPs, maxAddresses, 64), Addresses: status.addresses(),
		SourceRanges: texts(spec.SourceRanges, maxBackends, 64), ExternalName: cut(spec.ExternalName, maxName),
	}
	if s.Type == "" {
		s.Type = "ClusterIP"
	}
	if len(s.ClusterIPs) == 0 && spec.ClusterIP != "" {
		s.ClusterIPs = []string{cut(spec.ClusterIP, 64)}
	}
	for _, p := range spec.Ports[:min(len(spec.Ports), maxPorts)] {
		s.Ports = append(s.Ports, Port{
			Name: cut(p.Name, maxName), Port: p.Port, Target: string(p.Target),
			NodePort: p.NodePort, Protocol: protocol(p.Protocol),
		})
	}
	a := d.o.Annotations
	s.Internal = internalBalancer(a)
	if len(s.SourceRanges) == 0 {
		// The annotation is what the field replaced; clouds still read it.
		for _, k := range []string{"service.beta.kubernetes.io/load-balancer-source-ranges", "service.beta.kubernetes.io/azure-allowed-ip-ranges"} {
			for _, r := range strings.Split(a[k], ",") {
				if r = strings.TrimSpace(r); r != "" {
					s.SourceRanges = append(s.SourceRanges, cut(r, 64))
				}
			}
		}
	}
	d.o.Service = s
}

// internalBalancer reports whether an annotation asks the cloud for a load balancer
// without a public address. The names are those of the clouds' controllers.
func internalBalancer(a map[string]string) bool {
	for _, k := range []string{
		"service.beta.kubernetes.io/azure-load-balancer-internal",
		"service.beta.kubernetes.io/openstack-internal-load-balancer",
		"service.beta.kubernetes.io/oci-load-balancer-internal",
	} {
		if a[k] == "true" {
			return true
		}
	}
	switch a["service.beta.kubernetes.io/aws-load-balancer-internal"] {
	case "true", "0.0.0.0/0":
		return true
	}
	if a["service.beta.kubernetes.io/aws-load-balancer-scheme"] == "internal" ||
		a["service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type"] == "intranet" ||
		a["service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type"] == "private" {
		return true
	}
	for _, k := range []string{"networking.gke.io/load-balancer-type", "cloud.google.com/load-balancer-type"} {
		if strings.EqualFold(a[k], "internal") {
			return true
		}
	}
	return false
}

type rawIngressBackend struct {
	Service struct {
		Name string `json:"name"`
		Port struct {
			Name   string `json:"name"`
			Number text   `json:"number"`
		} `json:"port"`
	} `json:"service"`
	OldName string `json:"serviceName"`
	OldPort text   `json:"servicePort"`
}

func (b *rawIngressBackend) reduce(path string) (Backend, bool) {
	out := Backend{Service: cut(b.Service.Name, maxName), Port: cut(b.Service.Port.Name, maxName), Path: cut(path, maxText)}
	if out.Port == "" {
		out.Port = string(b.Service.Port.Number)
	}
	if out.Service == "" {
		out.Service, out.Port = cut(b.OldName, maxName), string(b.OldPort)
	}
	return out, out.Service != ""
}

func (d *decoder) ingress() {
	var spec struct {
		Class   string             `json:"ingressClassName"`
		Default *rawIngressBackend `json:"defaultBackend"`
		Old     *rawIngressBackend `json:"backend"`
		TLS     []struct {
			Hosts []string `json:"hosts"`
		} `json:"tls"`
		Rules []struct {
			Host string `json:"host"`
			HTTP struct {
				Paths []struct {
					Path    string            `json:"path"`
					Backend rawIngressBackend `json:"backend"`
				} `json:"paths"`
			} `json:"http"`
		} `json:"rules"`
	}
	var status rawBalancer
	d.read("spec", d.r.Spec, &spec)
	d.read("status", d.r.Status, &status)
	in := &Ingress{Class: cut(spec.Class, maxName), Addresses: status.addresses(), TLS: len(spec.TLS) > 0}
	if in.Class == "" {
		in.Class = d.o.Annotations["kubernetes.io/ingress.class"]
	}
	add := func(b *rawIngressBackend, path string) {
		if b != nil && len(in.Backends) < maxBackends {
			if x, ok := b.reduce(path); ok {
				in.Backends = append(in.Backends, x)
			}
		}
	}
	add(spec.Default, "")
	add(spec.Old, "")
	for _, r := range spec.Rules {
		in.Hosts = addHost(in.Hosts, r.Host)
		for i := range r.HTTP.Paths {
			add(&r.HTTP.Paths[i].Backend, r.HTTP.Paths[i].Path)
		}
	}
	in.Internal = internalIngress(d.o.Annotations, in.Class)
	d.o.Ingress = in
}

func addHost(list []string, s string) []string {
	if len(list) >= maxHosts {
		return list
	}
	return addWord(list, cut(s, maxName))
}

// internalIngress reports whether an annotation or the name of the class says that the
// ingress has no public address.
func internalIngress(a map[string]string, class string) bool {
	if a["appgw.ingress.kubernetes.io/use-private-ip"] == "true" ||
		a["alb.ingress.kubernetes.io/scheme"] == "internal" || a["cloud.google.com/load-balancer-type"] == "Internal" {
		return true
	}
	for _, part := range strings.FieldsFunc(strings.ToLower(class), func(r rune) bool { return r == '-' || r == '.' || r == '_' || r == '/' }) {
		if part == "internal" || part == "private" || part == "intranet" {
			return true
		}
	}
	return false
}

func (d *decoder) gateway() {
	var spec struct {
		Class          string `json:"gatewayClassName"`
		Infrastructure struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"infrastructure"`
		Addresses []struct {
			Value string `json:"value"`
		} `json:"addresses"`
		Listeners []struct {
			Name     string          `json:"name"`
			Hostname string          `json:"hostname"`
			Port     int32           `json:"port"`
			Protocol string          `json:"protocol"`
			TLS      json.RawMessage `json:"tls"`
		} `json:"listeners"`
	}
	var status struct {
		Addresses []struct {
			Value string `json:"value"`
		} `json:"addresses"`
	}
	d.read("spec", d.r.Spec, &spec)
	d.read("status", d.r.Status, &status)
	in := &Ingress{Class: cut(spec.Class, maxName)}
	for _, a := range append(status.Addresses, spec.Addresses...) {
		if len(in.Addresses) < maxAddresses {
			in.Addresses = addWord(in.Addresses, cut(a.Value, maxName))
		}
	}
	for _, l := range spec.Listeners[:min(len(spec.Listeners), maxPorts)] {
		in.Hosts = addHost(in.Hosts, l.Hostname)
		p := Port{Name: cut(l.Name, maxName), Port: l.Port}
		if l.Protocol == "UDP" {
			p.Protocol = "UDP"
		}
		in.Ports = append(in.Ports, p)
		in.TLS = in.TLS || l.Protocol == "HTTPS" || l.Protocol == "TLS"
	}
	in.Internal = internalIngress(d.o.Annotations, in.Class) ||
		internalBalancer(d.o.Annotations) || internalBalancer(spec.Infrastructure.Annotations)
	d.o.Ingress = in
}

func (d *decoder) route() {
	var spec struct {
		Parents []struct {
			Group     string `json:"group"`
			Kind      string `json:"kind"`
			Namespace string `json:"namespace"`
			Name      string `json:"name"`
		} `json:"parentRefs"`
		Hosts []string `json:"hostnames"`
		Rules []struct {
			Matches []struct {
				Path struct {
					Value string `json:"value"`
				} `json:"path"`
			} `json:"matches"`
			Backends []struct {
				Kind      string `json:"kind"`
				Namespace string `json:"namespace"`
				Name      string `json:"name"`
				Port      text   `json:"port"`
			} `json:"backendRefs"`
		} `json:"rules"`

		// OpenShift's
		Host string          `json:"host"`
		Path string          `json:"path"`
		TLS  json.RawMessage `json:"tls"`
		To   struct {
			Kind string `json:"kind"`
			Name string `json:"name"`
		} `json:"to"`
		Port struct {
			Target text `json:"targetPort"`
		} `json:"port"`
	}
	d.read("spec", d.r.Spec, &spec)
	in := &Ingress{TLS: len(spec.TLS) > 0 && string(spec.TLS) != "null"}
	for _, p := range spec.Parents[:min(len(spec.Parents), maxAddresses)] {
		ref := OwnerRef{APIVersion: cut(p.Group, maxName), Kind: cut(p.Kind, maxName), Name: cut(p.Name, maxName)}
		if ref.Kind == "" {
			ref.Kind = "Gateway"
		}
		if p.Namespace != "" {
			ref.Name = cut(p.Namespace, maxName) + "/" + ref.Name
		}
		in.Parents = append(in.Parents, ref)
	}
	for _, h := range append(spec.Hosts, spec.Host) {
		in.Hosts = addHost(in.Hosts, h)
	}
	for _, r := range spec.Rules {
		path := ""
		if len(r.Matches) > 0 {
			path = cut(r.Matches[0].Path.Value, maxText)
		}
		for _, b := range r.Backends {
			if (b.Kind == "" || b.Kind == "Service") && b.Name != "" && len(in.Backends) < maxBackends {
				in.Backends = append(in.Backends, Backend{
					Namespace: cut(b.Namespace, maxName), Service: cut(b.Name, maxName), Port: string(b.Port), Path: path,
				})
			}
		}
	}
	if (spec.To.Kind == "" || spec.To.Kind == "Service") && spec.To.Name != "" {
		in.Backends = append(in.Backends, Backend{
			Service: cut(spec.To.Name, maxName), Port: string(spec.Port.Target), Path: cut(spec.Path, maxText),
		})
	}
	d.o.Ingress = in
}

func (d *decoder) policy() {
	var spec struct {
		Selector struct {
			Labels map[string]string `json:"matchLabels"`
			Exprs  []any             `json:"matchExpressions"`
		} `json:"podSelector"`
		Types   []string          `json:"policyTypes"`
		Egress  []json.RawMessage `json:"egress"`
		Ingress []struct {
			From []struct {
				Pods       json.RawMessage `json:"podSelector"`
				Namespaces json.RawMessage `json:"namespaceSelector"`
				Block      *struct {
					CIDR string `json:"cidr"`
				} `json:"ipBlock"`
			} `json:"from"`
			Ports []struct {
				Port     text   `json:"port"`
				Protocol string `json:"protocol"`
			} `json:"ports"`
		} `json:"ingress"`
	}
	d.read("spec", d.r.Spec, &spec)
	p := &NetPolicy{
		Selector: words(spec.Selector.Labels, maxLabels, maxName), Complex: len(spec.Selector.Exprs) > 0,
		Ingress: len(spec.Types) == 0 || slices.Contains(spec.Types, "Ingress"),
		Egress:  len(spec.Types) == 0 && spec.Egress != nil || slices.Contains(spec.Types, "Egress"),
	}
	allPorts := false
	for _, r := range spec.Ingress {
		anywhere := len(r.From) == 0
		for _, f := range r.From {
			if f.Block != nil {
				p.FromCIDRs = addWord(p.FromCIDRs, cut(f.Block.CIDR, 64))
				anywhere = anywhere || f.Block.CIDR == "0.0.0.0/0" || f.Block.CIDR == "::/0"
			}
			p.FromNamespaces = p.FromNamespaces || len(f.Namespaces) > 0
			p.FromPods = p.FromPods || len(f.Namespaces) == 0 && len(f.Pods) > 0
		}
		if !anywhere {
			continue
		}
		p.AllowsAnywhere = true
		allPorts = allPorts || len(r.Ports) == 0
		for _, x := range r.Ports {
			proto := x.Protocol
			if proto == "" {
				proto = "TCP"
			}
			p.AllowsPorts = addWord(p.AllowsPorts, string(x.Port)+"/"+cut(proto, 16))
		}
	}
	if allPorts {
		p.AllowsPorts = nil
	}
	d.o.Policy = p
}
