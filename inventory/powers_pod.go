package inventory

import (
	"path"
	"slices"
	"strings"
)

// grave are the capabilities with which a container can take its node, or see and change
// what is not its own. Those that a runtime gives anyhow are not among them.
var grave = []string{
	"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "DAC_READ_SEARCH", "BPF", "PERFMON",
	"SYS_BOOT", "SYSLOG", "NET_ADMIN", "MAC_ADMIN", "MAC_OVERRIDE", "CHECKPOINT_RESTORE",
}

// podPowers lists what a pod of this specification may do beyond others, in a fixed order.
func podPowers(p *PodSpec) []string {
	var out []string
	any := func(f func(*Container) bool) bool {
		for i := range p.Containers {
			if f(&p.Containers[i]) {
				return true
			}
		}
		return false
	}
	if any(func(c *Container) bool { return c.Privileged }) {
		out = append(out, "privileged")
	}
	for _, h := range []struct {
		on   bool
		word string
	}{{p.HostPID, "hostPID"}, {p.HostIPC, "hostIPC"}, {p.HostNetwork, "hostNetwork"}} {
		if h.on {
			out = append(out, h.word)
		}
	}
	for _, cap := range grave {
		if any(func(c *Container) bool { return slices.Contains(c.AddCaps, cap) }) {
			out = append(out, cap)
		}
	}
	if any(func(c *Container) bool { return c.ProcMount == "Unmasked" }) {
		out = append(out, "unmasked-proc")
	}
	return out
}

// Paths of a node whose content gives power over it, or over what runs there.
var (
	// these and all below
	sensitiveBelow = []string{
		"/etc", "/proc", "/root", "/home", "/boot", "/dev", "/sys", "/usr", "/bin", "/sbin", "/lib", "/lib64",
		"/run/containerd", "/run/crio", "/run/docker", "/run/docker.sock", "/run/cri-dockerd.sock", "/run/secrets", "/run/systemd", "/run/k3s",
		"/var/lib/kubelet", "/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/etcd", "/var/lib/rancher",
		"/var/lib/waagent", "/var/lib/cloud", "/var/lib/kubernetes", "/var/lib/k0s", "/var/spool/cron", "/var/log", "/opt/cni", "/opt/azure",
		"/var/snap/microk8s", "/srv/kubernetes",
	}
	// these alone: what is below may be anybody's
	sensitiveAlone = []string{"/", "/var", "/run", "/var/lib", "/opt", "/var/spool", "/mnt", "/srv"}
	// what everybody may read
	harmless = []string{
		"/etc/localtime", "/etc/timezone", "/etc/ssl/certs", "/etc/pki", "/etc/ca-certificates", "/etc/machine-id", "/etc/os-release",
		"/usr/share/zoneinfo", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/usr/lib/os-release", "/lib/modules", "/usr/lib/modules", "/dev/shm", "/dev/null",
	}
)

// sensitive reports whether a cleaned path of a node gives power over it.
func sensitive(p string) bool {
	under := func(dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }
	if slices.ContainsFunc(harmless, under) {
		return false
	}
	return slices.Contains(sensitiveAlone, p) || slices.ContainsFunc(sensitiveBelow, under)
}

// nodePath cleans a path of a node: absolute, without dots, /var/run as /run.
func nodePath(p string) string {
	p = path.Clean("/" + p)
	if p == "/var/run" || strings.HasPrefix(p, "/var/run/") {
		p = strings.TrimPrefix(p, "/var")
	}
	return p
}

// hostMounts lists the sensitive paths of the node that containers mount, by host path,
// claim or both with a sub path; sorted.
func (s *State) hostMounts(namespace string, p *PodSpec) []string {
	set := map[string]bool{}
	for _, v := range p.Volumes {
		from := ""
		switch v.Type {
		case "hostPath":
			from = v.Source
		case "persistentVolumeClaim":
			if c := s.get(Key{Kind: KindClaim, Namespace: namespace, Name: v.Source}); c != nil && c.Volume != nil {
				if pv := s.get(Key{Kind: KindVolume, Name: c.Volume.Volume}); pv != nil && pv.Volume != nil {
					from = pv.Volume.HostPath
				}
			}
		}
		if from == "" {
			continue
		}
		for i := range p.Containers {
			for _, m := range p.Containers[i].Mounts {
				if m.Volume != v.Name {
					continue
				}
				if at := nodePath(from + "/" + m.SubPath); sensitive(at) {
					set[at] = true
				}
			}
		}
	}
	return none(sorted(set))
}
