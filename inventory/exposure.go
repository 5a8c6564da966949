package inventory

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Risks of a way in.
const (
	riskAny   = "any-source"   // nothing on the way limits who may connect
	riskBroad = "broad-source" // it is limited to so many addresses that it says little
	riskPlain = "plain-text"
)

// What of a way in is never known here.
const outsideUnknown = "firewalls outside the cluster and policies of a service mesh are not read"

// rank orders how far things can be reached.
func rank(reach string) int {
	return slices.Index([]string{
		"", ReachNone, ReachUnknown, ReachCluster, ReachPrivate, ReachHostPort, ReachNodePort, ReachRestricted, ReachInternet,
	}, reach)
}

func wider(a, b string) string {
	if rank(b) > rank(a) {
		return b
	}
	return a
}

// exposuresOf works out all ways into a namespace. Callers hold the lock.
func (s *State) exposuresOf(namespace string) map[string]*ExposureDoc {
	out := map[string]*ExposureDoc{}
	for _, k := range []Kind{KindService, KindIngress, KindGateway, KindRoute} {
		for _, o := range s.kinds[k][namespace] {
			if e := s.exposure(o); e != nil {
				out[e.Key] = e
			}
		}
	}
	for _, key := range s.workKeys(namespace) {
		if v := s.view(namespace, key); v != nil {
			if e := s.hostExposure(v); e != nil {
				out[e.Key] = e
			}
		}
	}
	return out
}

// exposure is the way in that an object is; nil when it is none.
func (s *State) exposure(o *Object) *ExposureDoc {
	kind := string(o.Kind)
	if o.APIKind != "" {
		kind = o.APIKind
	}
	e := &ExposureDoc{
		Key: kind + "/" + o.Namespace + "/" + o.Name, Kind: kind, Namespace: o.Namespace, Name: o.Name,
		Created: o.Created, Tenant: s.tenant(o.Namespace), Path: []string{kind + "/" + o.Namespace + "/" + o.Name},
	}
	e.Owner, _ = s.ownerOf(o)
	w := way{s: s, e: e, seen: map[string]bool{}}
	switch {
	case o.Service != nil:
		if !w.service(o) {
			return nil
		}
	case o.Ingress == nil:
		return nil
	case o.Kind == KindIngress:
		w.ingress(o)
	case o.Kind == KindGateway:
		w.gateway(o)
	default:
		w.route(o)
	}
	w.finish()
	return e
}

// way works out one exposure.
type way struct {
	s       *State
	e       *ExposureDoc
	views   []*view
	seen    map[string]bool
	targets []string // ports of the pods, 8080/TCP
	through bool     // by pods of the cluster: an ingress controller's
	unknown []string
}

func (w *way) say(unknown string) {
	if !slices.Contains(w.unknown, unknown) {
		w.unknown = append(w.unknown, unknown)
	}
}

func proto(p string) string {
	if p == "" {
		return "TCP"
	}
	return p
}

func number(n int32, protocol string) string { return strconv.Itoa(int(n)) + "/" + proto(protocol) }

// serviceReach says how far a service by itself lets something be reached, by whom, and
// with which risk.
func (s *State) serviceReach(o *Object) (reach string, sources []string, risk string) {
	v := o.Service
	reach = ReachCluster
	for _, ip := range v.ExternalIPs {
		if a, err := netip.ParseAddr(ip); err == nil && !private(a) {
			reach, risk = ReachInternet, riskAny
		} else if reach == ReachCluster {
			reach = ReachPrivate
		}
	}
	switch v.Type {
	case "NodePort":
		reach = wider(reach, ReachNodePort)
	case "LoadBalancer":
		if v.Internal || len(v.Addresses) > 0 && !slices.ContainsFunc(v.Addresses, public) {
			return wider(reach, ReachPrivate), v.SourceRanges, risk
		}
		var by string
		if by, risk = rangesReach(v.SourceRanges); rank(by) >= rank(reach) {
			return by, v.SourceRanges, risk
		}
	}
	return reach, nil, risk
}

// rangesReach says how far source ranges let in; none lets in everybody.
func rangesReach(ranges []string) (reach, risk string) {
	if len(ranges) == 0 {
		return ReachInternet, riskAny
	}
	reach = ReachPrivate
	for _, r := range ranges {
		p, err := netip.ParsePrefix(r)
		if err != nil {
			a, err := netip.ParseAddr(r)
			if err != nil {
				continue
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		switch {
		case p.Bits() == 0:
			return ReachInternet, riskAny
		case private(p.Addr()):
			continue
		case p.Addr().Is4() && p.Bits() < 16, p.Addr().Is6() && p.Bits() < 32:
			risk = riskBroad
		}
		reach = ReachRestricted
	}
	return reach, risk
}

// shared is the space of carriers' and clouds' internal addresses.
var shared = netip.MustParsePrefix("100.64.0.0/10")

func private(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || shared.Contains(a)
}

// public reports whether an address is one outside; a name may be.
func public(address string) bool {
	a, err := netip.ParseAddr(address)
	return err != nil && !strings.HasPrefix(address, "internal-") || err == nil && !private(a)
}

func (w *way) service(o *Object) bool {
	e, v := w.e, o.Service
	var risk string
	e.Reach, e.Sources, risk = w.s.serviceReach(o)
	if e.Reach == ReachCluster {
		return false
	}
	if risk != "" {
		e.Risks = append(e.Risks, risk)
	}
	e.Addresses = append(slices.Clone(v.Addresses), v.ExternalIPs...)
	if v.Type == "LoadBalancer" && len(v.Addresses) == 0 {
		w.say("the load balancer has no address yet")
	}
	if v.Type == "NodePort" {
		e.Addresses = append(e.Addresses, w.s.nodeAddresses()...)
		w.say("whether the nodes' addresses can be reached from outside the network is not known")
	}
	for _, p := range v.Ports {
		n := p.Port
		if v.Type == "NodePort" && p.NodePort != 0 {
			n = p.NodePort
		}
		e.Ports = append(e.Ports, number(n, p.Protocol))
		if plain(p.Port) || plain(targetNumber(p)) {
			e.Risks = addWord(e.Risks, riskPlain)
		} else if p.Port == 443 || p.Port == 8443 {
			e.TLS = true
		}
	}
	w.backend(o)
	return true
}

func targetNumber(p Port) int32 {
	n, err := strconv.ParseInt(p.Target, 10, 32)
	if err != nil {
		return p.Port
	}
	return int32(n)
}

// plain reports whether what is spoken on a port is by custom not encrypted.
func plain(port int32) bool {
	return slices.Contains([]int32{21, 23, 25, 69, 80, 110, 143, 389, 873, 1883, 2049, 2181, 2375, 3000, 5601, 5984, 6379, 8000, 8080, 8088, 8888, 9090, 9092, 9200, 11211}, port)
}

// nodeAddresses lists the first addresses of the nodes, external ones before internal.
func (s *State) nodeAddresses() []string {
	var inside, outside []string
	nodes := s.kinds[KindNode][""]
	for _, name := range sorted(nodes) {
		if n := nodes[name].Node; n != nil {
			outside = append(outside, n.External...)
			if len(n.Addresses) > 0 {
				inside = append(inside, n.Addresses[0])
			}
		}
	}
	all := append(outside, inside...)
	return all[:min(len(all), maxAddresses)]
}

// backend adds the workloads that a service sends to.
func (w *way) backend(svc *Object) {
	if path := "Service/" + svc.Namespace + "/" + svc.Name; w.e.Path[0] != path {
		w.e.Path = addWord(w.e.Path, path)
	}
	for _, p := range svc.Service.Ports {
		if p.Target == "" || targetNumber(p) != 0 {
			w.targets = addWord(w.targets, number(targetNumber(p), p.Protocol))
		}
	}
	if len(svc.Service.Selector) == 0 {
		w.say("service " + svc.Name + " selects no pods: where it leads is set elsewhere")
		return
	}
	for _, key := range w.s.workKeys(svc.Namespace) {
		if v := w.s.view(svc.Namespace, key); v != nil && !w.seen[key] && v.selected(svc.Service.Selector) {
			w.seen[key] = true
			w.views = append(w.views, v)
		}
	}
}

func (w *way) backends(o *Object) {
	for _, b := range o.Ingress.Backends {
		ns := o.Namespace
		if o.Kind == KindRoute && b.Namespace != "" {
			ns = b.Namespace // an Ingress cannot leave its own
		}
		if svc := w.s.get(Key{Kind: KindService, Namespace: ns, Name: b.Service}); svc != nil {
			w.backend(svc)
		} else {
			w.e.Path = addWord(w.e.Path, "Service/"+ns+"/"+b.Service)
			w.say("service " + ns + "/" + b.Service + " does not exist")
		}
	}
}

func (w *way) ingress(o *Object) {
	e, in := w.e, o.Ingress
	e.Hosts, e.Addresses, e.TLS = in.Hosts, in.Addresses, in.TLS
	e.Ports = []string{"80/TCP"}
	if in.TLS {
		e.Ports = append(e.Ports, "443/TCP")
	} else {
		e.Risks = addWord(e.Risks, riskPlain)
	}
	w.through = true
	w.entry(in)
	w.backends(o)
}

// entry sets how far an ingress or gateway can be reached, by its addresses or, before it
// has any, by the controllers that the cluster runs.
func (w *way) entry(in *Ingress) {
	e := w.e
	if in.Internal {
		e.Reach = wider(e.Reach, ReachPrivate)
		return
	}
	for _, a := range in.Addresses {
		reach, sources, risk := w.s.addressReach(a)
		if rank(reach) >= rank(e.Reach) {
			e.Reach, e.Sources = reach, sources
		}
		e.Risks = addWord(e.Risks, risk)
	}
	if len(in.Addresses) > 0 {
		return
	}
	for _, names := range w.s.kinds[KindService] {
		for _, svc := range names {
			if svc.Service.Type != "LoadBalancer" || !w.s.isController(svc) {
				continue
			}
			reach, _, risk := w.s.serviceReach(svc)
			e.Reach = wider(e.Reach, reach)
			e.Risks = addWord(e.Risks, risk)
		}
	}
	if e.Reach == "" {
		e.Reach = ReachUnknown
		w.say("it has no address yet, and no controller that would give it one is known")
	} else {
		w.say("it has no address yet: judged by the ingress controllers of the cluster")
	}
}

// isController reports whether a service leads to an ingress controller.
func (s *State) isController(svc *Object) bool {
	if len(svc.Service.Selector) == 0 {
		return false
	}
	for _, key := range s.workKeys(svc.Namespace) {
		v := s.view(svc.Namespace, key)
		if v == nil || !v.selected(svc.Service.Selector) {
			continue
		}
		for i := range v.spec().Containers {
			if a := appOf(&v.spec().Containers[i], podLabels(v.owned())); a != nil && a.name == ingressController {
				return true
			}
		}
	}
	return false
}

// addressReach says how far an address can be reached: as the service that has it says,
// or a node, or the address itself.
func (s *State) addressReach(address string) (reach string, sources []string, risk string) {
	for _, ns := range sorted(s.kinds[KindService]) {
		names := s.kinds[KindService][ns]
		for _, name := range sorted(names) {
			svc := names[name]
			if !slices.Contains(svc.Service.Addresses, address) && !slices.Contains(svc.Service.ExternalIPs, address) {
				continue
			}
			if r, src, k := s.serviceReach(svc); rank(r) > rank(reach) || rank(r) == rank(reach) && len(src) < len(sources) {
				reach, sources, risk = r, src, k
			}
		}
	}
	switch {
	case reach != "":
		return reach, sources, risk
	case s.nodeIP[address] != nil:
		return ReachNodePort, nil, ""
	case public(address):
		return ReachInternet, nil, riskAny
	}
	return ReachPrivate, nil, ""
}

func (w *way) gateway(o *Object) {
	e, in := w.e, o.Ingress
	e.Hosts, e.Addresses, e.TLS = in.Hosts, in.Addresses, in.TLS
	for _, p := range in.Ports {
		e.Ports = append(e.Ports, number(p.Port, p.Protocol))
	}
	if !in.TLS {
		e.Risks = addWord(e.Risks, riskPlain)
	}
	w.through = true
	w.entry(in)
	for _, ns := range sorted(w.s.kinds[KindRoute]) {
		routes := w.s.kinds[KindRoute][ns]
		for _, name := range sorted(routes) {
			r := routes[name]
			for _, p := range r.Ingress.Parents {
				if parentKey(r, p) == o.Key {
					e.Path = addWord(e.Path, r.APIKind+"/"+ns+"/"+name)
					w.backends(r)
					break
				}
			}
		}
	}
}

// parentKey is the key of a route's parent.
func parentKey(route *Object, p OwnerRef) Key {
	ns, name, ok := strings.Cut(p.Name, "/")
	if !ok {
		ns, name = route.Namespace, p.Name
	}
	return Key{Kind: Kind(p.Kind), Namespace: ns, Name: name}
}

func (w *way) route(o *Object) {
	e, in := w.e, o.Ingress
	e.Hosts, e.TLS = in.Hosts, in.TLS
	w.through = true
	for _, p := range in.Parents {
		k := parentKey(o, p)
		if k.Kind != KindGateway {
			w.say("its parent " + p.Kind + "/" + p.Name + " is of a service mesh")
			continue
		}
		e.Path = addWord(e.Path, "Gateway/"+k.Namespace+"/"+k.Name)
		g := w.s.get(k)
		if g == nil || g.Ingress == nil {
			w.say("gateway " + k.Namespace + "/" + k.Name + " does not exist")
			continue
		}
		e.TLS = e.TLS || g.Ingress.TLS
		for _, a := range g.Ingress.Addresses {
			e.Addresses = addWord(e.Addresses, a)
		}
		for _, l := range g.Ingress.Ports {
			e.Ports = addWord(e.Ports, number(l.Port, l.Protocol))
		}
		w.entry(g.Ingress)
	}
	if o.APIKind == "Route" {
		// OpenShift's: through its routers, which have an address of their own.
		e.Reach = ReachInternet
		w.say("whether the router can be reached from outside is not known")
	}
	if e.Reach == "" {
		e.Reach = ReachUnknown
		w.say("no gateway that takes it is known")
	}
	if !e.TLS {
		e.Risks = addWord(e.Risks, riskPlain)
	}
	w.backends(o)
}

// hostExposure is the way in through ports on the nodes that a workload's pods run on.
func (s *State) hostExposure(v *view) *ExposureDoc {
	p := v.spec()
	var ports []string
	for _, c := range p.Containers {
		for _, x := range c.Ports {
			if x.HostPort != 0 {
				ports = addWord(ports, number(x.HostPort, x.Protocol))
			} else if p.HostNetwork {
				ports = addWord(ports, number(x.Port, x.Protocol))
			}
		}
	}
	if len(ports) == 0 {
		return nil
	}
	e := &ExposureDoc{
		Key: v.kind + "/" + v.namespace + "/" + v.name, Kind: v.kind, Namespace: v.namespace, Name: v.name,
		Reach: ReachHostPort, Ports: ports, Created: v.owned().Created, Tenant: s.tenant(v.namespace),
		Path: []string{v.kind + "/" + v.namespace + "/" + v.name},
	}
	e.Owner, _ = s.ownerOf(v.owned())
	nodes := map[string]bool{}
	for _, pod := range v.pods {
		if pod.Pod.HostIP != "" && len(nodes) < maxAddresses {
			nodes[pod.Pod.HostIP] = true
		}
	}
	e.Addresses = none(sorted(nodes))
	w := way{s: s, e: e, views: []*view{v}}
	w.say("whether the nodes' addresses can be reached from outside the network is not known")
	w.finish()
	return e
}

// finish adds what follows from the workloads behind the way: apps, risks, policies.
func (w *way) finish() {
	e := w.e
	apps, risks := map[string]bool{}, map[string]bool{}
	for _, v := range w.views {
		if len(e.Workloads) < maxWorks {
			e.Workloads = append(e.Workloads, v.key)
		}
		a, r := w.s.appsOf(v.namespace, v.spec(), podLabels(v.owned()))
		for _, x := range a {
			apps[x] = true
		}
		for _, x := range r {
			risks[x] = true
		}
	}
	slices.Sort(e.Workloads)
	w.owner()
	w.policies()
	for _, r := range e.Risks {
		risks[r] = true
	}
	if e.Reach != ReachInternet && e.Reach != ReachRestricted {
		delete(risks, riskAny)
		delete(risks, riskBroad)
	} else {
		w.say(outsideUnknown)
	}
	e.Apps, e.Risks = none(sorted(apps)), none(sorted(risks))
	e.Ports, e.Addresses, e.Sources, e.Hosts = none(e.Ports), none(e.Addresses), none(e.Sources), none(e.Hosts)
	e.NotAssessed = strings.Join(w.unknown, "; ")
}

// owner gives a way that nobody claims to whoever owns all that it leads to.
func (w *way) owner() {
	if w.e.Owner != Unowned {
		return
	}
	for i, v := range w.views {
		owner, _ := w.s.ownerOf(v.owned())
		if i > 0 && owner != w.e.Owner {
			w.e.Owner = Unowned
			return
		}
		w.e.Owner = owner
	}
}

// gate is what the network policies of a namespace let in to a workload.
type gate struct {
	limited, anywhere, inside, namespaces bool
	ports, cidrs, names                   []string
	unread                                string // a policy that could not be judged
}

// gateOf collects the policies that select a workload. Pods in the host's network are
// beyond any.
func (s *State) gateOf(v *view) gate {
	var g gate
	if v.spec().HostNetwork {
		return g
	}
	policies := s.kinds[KindNetworkPolicy][v.namespace]
	allPorts := false
	for _, name := range sorted(policies) {
		p := policies[name].Policy
		switch {
		case p == nil || !p.Ingress:
			continue
		case p.Complex:
			g.unread = name
			continue
		case !v.selected(p.Selector):
			continue
		}
		g.limited = true
		g.names = addWord(g.names, name)
		g.namespaces, g.inside = g.namespaces || p.FromNamespaces, g.inside || p.FromPods
		if p.AllowsAnywhere {
			g.anywhere = true
			allPorts = allPorts || len(p.AllowsPorts) == 0
			g.ports = append(g.ports, p.AllowsPorts...)
		}
		for _, c := range p.FromCIDRs {
			g.cidrs = addWord(g.cidrs, c)
		}
	}
	if allPorts {
		g.ports = nil
	}
	return g
}

// lets reports whether the gate lets everybody in to one of the ports; a named port, or
// none at all, counts as all.
func (g *gate) lets(targets []string) bool {
	if !g.limited || g.anywhere && (len(g.ports) == 0 || len(targets) == 0) {
		return true
	}
	return g.anywhere && slices.ContainsFunc(g.ports, func(p string) bool {
		return slices.Contains(targets, p) || p[0] < '0' || p[0] > '9'
	})
}

// policies narrows the reach by what network policies let in to every workload behind.
func (w *way) policies() {
	e := w.e
	var cidrs, names []string
	namespaces, inside := false, false
	open := len(w.views) == 0
	for _, v := range w.views {
		g := w.s.gateOf(v)
		if g.unread != "" {
			w.say("network policy " + v.namespace + "/" + g.unread + " selects pods by expressions")
			open = true
		}
		open = open || g.lets(w.targets)
		namespaces, inside = namespaces || g.namespaces, inside || g.inside
		for _, c := range g.cidrs {
			cidrs = addWord(cidrs, c)
		}
		for _, n := range g.names {
			names = addWord(names, v.namespace+"/"+n)
		}
	}
	if len(names) == 0 || e.Reach == ReachUnknown {
		return
	}
	list := strings.Join(names[:min(len(names), 4)], ", ")
	switch {
	case open:
		e.Policy = list + ": lets in from anywhere"
		return
	case w.through && (namespaces || len(cidrs) > 0):
		// The controller's pods are let in, and with them all that it lets in.
		e.Policy = list + ": lets in the pods of other namespaces or addresses that lead here"
	case len(cidrs) > 0:
		reach, risk := rangesReach(cidrs)
		if rank(reach) < rank(e.Reach) {
			e.Reach = reach
		}
		e.Sources = cidrs
		e.Risks = slices.DeleteFunc(e.Risks, func(r string) bool { return r == riskAny || r == riskBroad })
		e.Risks = addWord(e.Risks, risk)
		e.Policy = list + ": lets in some addresses only"
	case namespaces || inside:
		e.Reach = ReachCluster
		e.Policy = list + ": lets in pods only"
	default:
		e.Reach = ReachNone
		e.Policy = list + ": lets nobody in"
	}
	w.say("whether the cluster's network enforces policies is not known")
}
