package posture

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/dockreeve/dockreeve/inventory"
)

// podVerdict is a workload with what Pod Security says of its pods.
type podVerdict struct {
	doc  *inventory.WorkloadDoc
	bad  []violation
	told bool // its template is known
}

// podsOf judges the workloads by Pod Security once for all controls.
func (s *subject) podsOf(t *tally) []podVerdict {
	docs := s.workloads(t)
	if len(docs) > 0 && s.in.Old != "" { // what is absent may only not have been told
		t.unknown(s.in.Old)
		return nil
	}
	if !s.judged {
		for _, d := range docs {
			v := podVerdict{doc: d, told: d.Template != nil}
			if v.told {
				v.bad = violations(d.Template)
			}
			s.pods = append(s.pods, v)
		}
		s.judged = true
	}
	if len(docs) == 0 {
		return nil
	}
	return s.pods
}

// pods calls yield for each workload whose pods are known, and says which are not.
func (s *subject) each(t *tally, yield func(*podVerdict)) {
	unread := 0
	list := s.podsOf(t)
	for i := range list {
		if !list[i].told {
			unread++
			continue
		}
		yield(&list[i])
		if name := list[i].doc.Template.Full(); name != "" { // what hides beyond it may fail
			t.unknown(clip(list[i].doc.Key, 200) + " has too many " + name)
		}
	}
	if unread > 0 {
		t.unknown(plural(unread, "workload is", "workloads are") + " known by name only: what their pods ask for was not told")
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// windowsPod reports whether Linux's means of defence do not exist for a pod.
func windowsPod(p *inventory.PodSpec) bool {
	return strings.EqualFold(p.OS, "windows") || p.NodeSelector["kubernetes.io/os"] == "windows"
}

// podSecurity fails workloads that Kubernetes' checks of these names refuse.
func podSecurity(words string, ids ...string) check {
	return func(s *subject, t *tally) {
		t.say("none of {of} workloads "+words, "{n} of {of} workloads "+words)
		s.each(t, func(v *podVerdict) {
			for _, b := range v.bad {
				if slices.Contains(ids, b.id) {
					t.fail(v.doc.Key, b.id, b.why, FromKubernetes)
					return
				}
			}
			t.saw(v.doc.Key, ids[0], "allowed", FromKubernetes)
		})
	}
}

// podRestricted wants every workload to pass the restricted level of Pod Security.
func podRestricted(s *subject, t *tally) {
	t.say("all {of} workloads set what the restricted level of Pod Security asks for", "{n} of {of} workloads do not set what the restricted level of Pod Security asks for")
	s.each(t, func(v *podVerdict) {
		if len(v.bad) == 0 {
			t.saw(v.doc.Key, "pod security", "restricted", FromKubernetes)
			return
		}
		var why []string
		for _, b := range v.bad {
			why = append(why, b.id)
		}
		t.fail(v.doc.Key, "pod security", strings.Join(why, ", "), FromKubernetes)
	})
}

// podRoot fails what Kubernetes would let run as user 0.
func podRoot(s *subject, t *tally) {
	t.say("none of {of} workloads may run as root", "{n} of {of} workloads may run as root")
	s.each(t, func(v *podVerdict) {
		p := v.doc.Template
		if p.HostUsers != nil && !*p.HostUsers {
			t.saw(v.doc.Key, "hostUsers", "false: root in the pod is nobody on the node", FromKubernetes)
			return
		}
		if windowsPod(p) {
			t.saw(v.doc.Key, "os", "windows: it has no user 0", FromKubernetes)
			return
		}
		for i := range p.Containers {
			c := &p.Containers[i]
			user, nonRoot := p.RunAsUser, p.RunAsNonRoot
			if c.RunAsUser != nil {
				user = c.RunAsUser
			}
			if c.RunAsNonRoot != nil {
				nonRoot = c.RunAsNonRoot
			}
			if user != nil && *user != 0 || user == nil && nonRoot != nil && *nonRoot {
				continue
			}
			what := "neither runAsNonRoot nor runAsUser is set"
			if user != nil {
				what = "runAsUser 0"
			}
			t.fail(v.doc.Key, "containers/"+c.Name, what, FromKubernetes)
			return
		}
		t.saw(v.doc.Key, "runAsNonRoot, runAsUser", "not root", FromKubernetes)
	})
}

func hostNamespace(field string) check {
	return func(s *subject, t *tally) {
		t.say("none of {of} workloads uses "+field, "{n} of {of} workloads use "+field)
		s.each(t, func(v *podVerdict) {
			p := v.doc.Template
			on := map[string]bool{"hostPID": p.HostPID, "hostIPC": p.HostIPC, "hostNetwork": p.HostNetwork}[field]
			t.judge(!on, v.doc.Key, field, strconv.FormatBool(on), FromKubernetes)
		})
	}
}

// containers judges each container of each workload; the first that fails speaks for it.
// Containers that debug a pod for a while (ephemeral) cannot set everything.
func (s *subject) containers(t *tally, field string, ephemeral bool, bad func(*inventory.PodSpec, *inventory.Container) string) {
	s.each(t, func(v *podVerdict) {
		for i := range v.doc.Template.Containers {
			c := &v.doc.Template.Containers[i]
			if c.Role == "ephemeral" && !ephemeral {
				continue
			}
			if why := bad(v.doc.Template, c); why != "" {
				t.fail(v.doc.Key, "containers/"+c.Name, why, FromKubernetes)
				return
			}
		}
		t.saw(v.doc.Key, field, "as demanded", FromKubernetes)
	})
}

func sysAdmin(s *subject, t *tally) {
	t.say("none of {of} workloads adds SYS_ADMIN", "{n} of {of} workloads add SYS_ADMIN, which is nearly root of the node")
	s.containers(t, "capabilities.add", true, func(_ *inventory.PodSpec, c *inventory.Container) string {
		for _, x := range c.AddCaps {
			if x == "SYS_ADMIN" || x == "ALL" {
				return "adds " + x
			}
		}
		return ""
	})
}

func limits(s *subject, t *tally) {
	t.say("all {of} workloads have limits of CPU and memory", "{n} of {of} workloads have no limit of CPU or memory")
	s.containers(t, "resources.limits", false, func(_ *inventory.PodSpec, c *inventory.Container) string {
		switch {
		case c.CPULimit == 0 && c.MemLimit == 0:
			return "no limits"
		case c.CPULimit == 0:
			return "no limit of CPU"
		case c.MemLimit == 0:
			return "no limit of memory"
		}
		return ""
	})
}

func readOnlyRoot(s *subject, t *tally) {
	t.say("the root file system of all {of} workloads is read-only", "{n} of {of} workloads can write to their root file system")
	s.containers(t, "readOnlyRootFilesystem", true, func(p *inventory.PodSpec, c *inventory.Container) string {
		if c.ReadOnly || windowsPod(p) {
			return "" // Windows has no such setting
		}
		return "readOnlyRootFilesystem is not set"
	})
}

// tokenMounts wants tokens for the API server only where the account has rights that a
// workload could need: an account without rights has no use for one.
func tokenMounts(s *subject, t *tally) {
	t.say("no workload of {of} mounts a token that it has no use for", "{n} of {of} workloads mount a token of an account that nobody gave rights")
	c := s.inside(t, partWorkloads, partIdentities)
	if c == nil {
		return
	}
	useful := map[string]bool{}
	for i := range c.Identities {
		d := &c.Identities[i]
		useful[d.Key] = d.More > 0 || slices.ContainsFunc(d.Rights, func(r inventory.Right) bool { return r.Through == "" })
	}
	for _, d := range s.workloads(t) {
		switch {
		case !d.TokenMounted:
			t.saw(d.Key, "token", "not mounted", FromKubernetes)
		case useful[d.Identity]:
			t.saw(d.Key, "token", "mounted for "+d.Identity+", which has rights", FromKubernetes)
		default:
			t.fail(d.Key, "token", "mounted for "+d.Identity+", which has no rights of its own", FromKubernetes)
		}
	}
}

func hostPaths(s *subject, t *tally) {
	t.say("none of {of} workloads mounts a path of its node that is not allowed", "{n} of {of} workloads mount paths of their node")
	allowed := s.w.in.Settings.HostPaths
	s.each(t, func(v *podVerdict) {
		for _, x := range v.doc.Template.Volumes {
			if x.Type == "hostPath" && !slices.ContainsFunc(allowed, func(a string) bool { return below(a, x.Source) }) {
				t.fail(v.doc.Key, "volumes/"+x.Name, "hostPath "+x.Source, FromKubernetes)
				return
			}
		}
		t.saw(v.doc.Key, "volumes", "none of hostPath beyond those allowed", FromKubernetes)
	})
}

// below reports whether a path is a directory or lies in it.
func below(dir, p string) bool {
	dir, p = path.Clean("/"+dir), path.Clean("/"+p)
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}

// trustedRegistries wants images from registries that somebody decided for: those of the
// settings, the tenant's own, and Microsoft's.
func trustedRegistries(s *subject, t *tally) {
	t.say("images of all {of} workloads come from approved registries", "{n} of {of} workloads run images of registries that nobody approved")
	if s.w.trusted.empty() {
		t.unknown("no registry is approved: name those that images may come from in the settings, or read the tenant's registries")
		return
	}
	s.containers(t, "image", true, func(_ *inventory.PodSpec, c *inventory.Container) string {
		if s.w.trusted.holds(c.Image) || strings.HasPrefix(c.Image, "mcr.microsoft.com/") {
			return ""
		}
		return "image " + c.Image
	})
}

func secretsAsFiles(s *subject, t *tally) {
	t.say("none of {of} workloads reads secrets from its environment", "{n} of {of} workloads read secrets from their environment")
	s.containers(t, "env", true, func(_ *inventory.PodSpec, c *inventory.Container) string {
		if len(c.SecretEnv) > 0 {
			return "environment reads secret " + strings.Join(c.SecretEnv[:min(len(c.SecretEnv), 5)], ", ")
		}
		return ""
	})
}

// externalSecrets wants workloads that use secrets to get them from a vault.
func externalSecrets(s *subject, t *tally) {
	t.say("secrets come from a vault", "{n} of {of} workloads use secrets that are kept in the cluster only")
	addon := s.arm != nil && s.arm.SecretsProvider != nil && *s.arm.SecretsProvider
	s.each(t, func(v *podVerdict) {
		vault := slices.ContainsFunc(v.doc.Template.Volumes, func(x inventory.PodVolume) bool {
			return x.Type == "csi" && (strings.HasPrefix(x.Source, "secrets-store.csi") || strings.HasPrefix(x.Source, "secrets.csi"))
		})
		switch {
		case vault:
			t.saw(v.doc.Key, "volumes", "a vault's, by the secrets store driver", FromKubernetes)
		case len(v.doc.Secrets) > 0:
			t.fail(v.doc.Key, "secrets", strings.Join(v.doc.Secrets[:min(len(v.doc.Secrets), 5)], ", "), FromKubernetes)
		}
	})
	if t.checked == 0 && t.unfit == "" && len(t.unknowns) == 0 {
		if addon {
			t.saw(s.id, "addonProfiles.azureKeyvaultSecretsProvider.enabled", "true", FromARM)
		} else {
			t.notRelevant("no workload uses secrets")
		}
	}
}

func defaultNamespace(s *subject, t *tally) {
	t.say("none of {of} workloads runs in the namespace default", "{n} of {of} workloads run in the namespace default")
	for _, d := range s.workloads(t) {
		t.judge(d.Namespace != "default", d.Key, "namespace", d.Namespace, FromKubernetes)
	}
}

// boundaries wants no namespace to hold workloads of two owners that said who they are.
func boundaries(s *subject, t *tally) {
	t.say("no namespace of {of} is shared by owners", "{n} of {of} namespaces hold workloads of several owners, or all is in the namespace default")
	owners := map[string]map[string]bool{}
	for _, d := range s.workloads(t) {
		if owners[d.Namespace] == nil {
			owners[d.Namespace] = map[string]bool{}
		}
		if d.Owner != inventory.Unowned && d.Owner != "" {
			owners[d.Namespace][d.Owner] = true
		}
	}
	names := make([]string, 0, len(owners))
	for ns := range owners {
		names = append(names, ns)
	}
	slices.Sort(names)
	for _, ns := range names {
		var list []string
		for o := range owners[ns] {
			list = append(list, o)
		}
		slices.Sort(list)
		ok := len(list) < 2 && (ns != "default" || len(names) > 1)
		t.judge(ok, ns, "owners", fmt.Sprintf("%d %s", len(list), strings.Join(list[:min(len(list), 5)], ", ")), FromKubernetes)
	}
}

func networkPolicies(s *subject, t *tally) {
	t.say("each of {of} namespaces has network policies", "{n} of {of} namespaces have no network policy")
	c := s.inside(t, partNamespaces)
	if c == nil {
		return
	}
	if c.Old != "" {
		t.unknown(c.Old)
		return
	}
	runs := map[string]bool{}
	for i := range c.Workloads {
		runs[c.Workloads[i].Namespace] = true
	}
	left := 0
	for i := range c.Namespaces {
		n := &c.Namespaces[i]
		switch {
		case s.w.system(n.Name):
			left++
		case n.Policies > 0:
			t.saw(n.Name, "network policies", strconv.Itoa(n.Policies), FromKubernetes)
		case n.Isolated.Value && n.Isolated.NotAssessed == "":
			t.saw(n.Name, "isolated", "a policy limits what reaches its pods", FromKubernetes)
		case n.Pods == 0 && !runs[n.Name]:
			left++ // nothing to protect, and default is always there
		default:
			t.fail(n.Name, "network policies", "none", FromKubernetes)
		}
	}
	if left > 0 {
		t.left = plural(left, "namespace is", "namespaces are") + " of the system or empty, and left out"
	}
	if t.checked == 0 && len(t.unknowns) == 0 {
		t.notRelevant("no namespace outside of the system's holds workloads")
	}
}

// ways lists what lets workloads outside of system namespaces be reached from outside.
func (s *subject) ways(t *tally) []*inventory.ExposureDoc {
	c := s.inside(t, partExposures)
	if c == nil {
		return nil
	}
	var out []*inventory.ExposureDoc
	for i := range c.Exposures {
		if !s.w.system(c.Exposures[i].Namespace) {
			out = append(out, &c.Exposures[i])
		}
	}
	return out
}

// ingressTLS wants every ingress, gateway and route to speak TLS.
func ingressTLS(s *subject, t *tally) {
	t.say("all {of} ingresses and gateways speak TLS", "{n} of {of} ingresses and gateways serve without TLS")
	for _, e := range s.ways(t) {
		switch e.Kind {
		case "Service", "Workload", "Pod", "Deployment", "DaemonSet", "StatefulSet":
			continue // what a service's port speaks is not told by the cluster
		}
		t.judge(e.TLS, e.Key, "tls", strconv.FormatBool(e.TLS), FromKubernetes)
	}
	if t.checked == 0 && len(t.unknowns) == 0 {
		t.notRelevant("no ingress, gateway or route lets anything in")
	}
}

func servicePorts(s *subject, t *tally) {
	t.say("services listen on allowed ports only", "{n} of {of} ways in use ports that are not allowed")
	allowed := s.w.in.Settings.ServicePorts
	ways := s.ways(t)
	if len(ways) == 0 && len(t.unknowns) == 0 {
		t.notRelevant("nothing can be reached from outside")
		return
	}
	if allowed == nil {
		t.unknown("it was not decided which ports may be reached from outside: name them in the settings")
		return
	}
	for _, e := range ways {
		bad := ""
		for _, p := range e.Ports {
			number, _, _ := strings.Cut(p, "/")
			if n, err := strconv.Atoi(number); err != nil || !slices.Contains(allowed, n) {
				bad = p
				break
			}
		}
		if bad != "" {
			t.fail(e.Key, "ports", bad, FromKubernetes)
		} else {
			t.saw(e.Key, "ports", strings.Join(e.Ports[:min(len(e.Ports), 10)], ", "), FromKubernetes)
		}
	}
}

// runningVulnerabilities takes Dockreeve's own scans, else Defender's word.
func runningVulnerabilities(s *subject, t *tally) {
	t.say("no image that runs has an open, fixable vulnerability of high severity", "{n} of {of} images that run have an open, fixable vulnerability of high severity")
	if s.in == nil || s.in.Scan == nil {
		t.say("Defender found no open vulnerability in the images that run", "Defender found vulnerable images that run")
		if !s.assessments(t) {
			t.unknown("nothing scanned the images that run here: onboard the cluster, or switch on Defender's scans")
		}
		t.at = s.w.at
		return
	}
	x := s.in.Scan
	t.at = x.At
	for _, name := range x.Failing {
		t.fail(name, "vulnerabilities", "open and fixable, high or critical", FromKubernetes)
	}
	if n := x.Count - t.failing; n > 0 {
		t.failing, t.checked = t.failing+n, t.checked+n
	}
	if n := x.Scanned - t.checked; n > 0 {
		t.saw(s.id, "images scanned", strconv.Itoa(x.Scanned), FromKubernetes)
		t.checked += n - 1
	}
	if x.Scanned < x.Running {
		t.unknown(fmt.Sprintf("%d of %d images that run were not scanned", x.Running-x.Scanned, x.Running))
	}
	if x.Running == 0 {
		t.notRelevant("no image runs")
	}
}
