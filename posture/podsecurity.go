package posture

import (
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/dockreeve/dockreeve/inventory"
)

// violation is one check of the Pod Security Standards that a pod fails.
type violation struct {
	id         string // hostNamespaces, privileged…
	restricted bool   // of the restricted level; else of the baseline
	why        string
}

type podCheck struct {
	id         string
	restricted bool
	overrides  []policy.CheckID
	run        policy.CheckPodFn
}

// podChecks are Kubernetes' own checks, each in its newest version.
var podChecks = sync.OnceValue(func() []podCheck {
	var out []podCheck
	for _, c := range policy.DefaultChecks() {
		v := c.Versions[len(c.Versions)-1]
		out = append(out, podCheck{string(c.ID), c.Level == api.LevelRestricted, v.OverrideCheckIDs, v.CheckPod})
	}
	return out
})

// violations judges a reduced pod by the Pod Security Standards as Kubernetes' own
// admission does, by its own code.
func violations(p *inventory.PodSpec) []violation {
	meta, spec := podOf(p)
	var out []violation
	for _, c := range podChecks() {
		if r := c.run(meta, spec); !r.Allowed {
			why := r.ForbiddenReason
			if r.ForbiddenDetail != "" {
				why += " (" + r.ForbiddenDetail + ")"
			}
			out = append(out, violation{c.id, c.restricted, why})
		}
	}
	return out
}

// podOf writes a reduced pod out again as Kubernetes has it, as far as its security
// checks read it. posture's tests hold that no check tells the two apart.
func podOf(p *inventory.PodSpec) (*metav1.ObjectMeta, *corev1.PodSpec) {
	meta := &metav1.ObjectMeta{}
	spec := &corev1.PodSpec{
		HostPID: p.HostPID, HostIPC: p.HostIPC, HostNetwork: p.HostNetwork, HostUsers: p.HostUsers,
		SecurityContext: &corev1.PodSecurityContext{
			RunAsUser: p.RunAsUser, RunAsNonRoot: p.RunAsNonRoot, SeccompProfile: seccomp(p.Seccomp), AppArmorProfile: appArmor(p.AppArmor),
			SELinuxOptions: seLinux(p.SELinux), WindowsOptions: windows(p.HostProcess),
		},
	}
	if p.OS != "" {
		spec.OS = &corev1.PodOS{Name: corev1.OSName(p.OS)}
	}
	for _, s := range p.Sysctls {
		spec.SecurityContext.Sysctls = append(spec.SecurityContext.Sysctls, corev1.Sysctl{Name: s})
	}
	for _, v := range p.Volumes {
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: v.Name, VolumeSource: volume(v)})
	}
	for i := range p.Containers {
		c := &p.Containers[i]
		if c.AppArmorAs != "" {
			if meta.Annotations == nil {
				meta.Annotations = map[string]string{}
			}
			meta.Annotations[corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix+c.Name] = c.AppArmorAs
		}
		switch c.Role {
		case "init":
			spec.InitContainers = append(spec.InitContainers, container(c))
		case "ephemeral":
			spec.EphemeralContainers = append(spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon(container(c))})
		default:
			spec.Containers = append(spec.Containers, container(c))
		}
	}
	return meta, spec
}

func container(c *inventory.Container) corev1.Container {
	sc := &corev1.SecurityContext{
		AllowPrivilegeEscalation: c.Escalation, RunAsUser: c.RunAsUser, RunAsNonRoot: c.RunAsNonRoot,
		SeccompProfile: seccomp(c.Seccomp), AppArmorProfile: appArmor(c.AppArmor), SELinuxOptions: seLinux(c.SELinux), WindowsOptions: windows(c.HostProcess),
	}
	if c.Privileged && !c.HostProcess {
		sc.Privileged = new(true)
	}
	if c.ProcMount != "" {
		sc.ProcMount = new(corev1.ProcMountType(c.ProcMount))
	}
	add, drop := c.AddCaps, c.DropCaps
	if c.AddCapsAs != nil {
		add = c.AddCapsAs
	}
	if c.DropCapsAs != nil {
		drop = c.DropCapsAs
	}
	if len(add)+len(drop) > 0 {
		sc.Capabilities = &corev1.Capabilities{Add: capabilities(add), Drop: capabilities(drop)}
	}
	out := corev1.Container{Name: c.Name, SecurityContext: sc}
	for _, p := range c.Ports {
		out.Ports = append(out.Ports, corev1.ContainerPort{ContainerPort: p.Port, HostPort: p.HostPort})
	}
	if len(c.ProbeHosts) > 0 {
		out.LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Host: c.ProbeHosts[0]}}}
	}
	return out
}

func capabilities(in []string) []corev1.Capability {
	var out []corev1.Capability
	for _, s := range in {
		out = append(out, corev1.Capability(s))
	}
	return out
}

func seccomp(s string) *corev1.SeccompProfile {
	if s == "" {
		return nil
	}
	kind, _, _ := strings.Cut(s, ":")
	return &corev1.SeccompProfile{Type: corev1.SeccompProfileType(kind)}
}

func appArmor(s string) *corev1.AppArmorProfile {
	if s == "" {
		return nil
	}
	kind, _, _ := strings.Cut(s, ":")
	return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileType(kind)}
}

func seLinux(s string) *corev1.SELinuxOptions {
	if s == "" {
		return nil
	}
	user, rest, _ := strings.Cut(s, ":")
	role, kind, _ := strings.Cut(rest, ":")
	return &corev1.SELinuxOptions{User: user, Role: role, Type: kind}
}

func windows(hostProcess bool) *corev1.WindowsSecurityContextOptions {
	if !hostProcess {
		return nil
	}
	return &corev1.WindowsSecurityContextOptions{HostProcess: new(true)}
}

// volume is the source of a volume by its type, empty otherwise: checks read no more. A
// type that this version does not know stays without a source, which no check of the
// restricted level allows.
func volume(v inventory.PodVolume) corev1.VolumeSource {
	switch v.Type {
	case "hostPath":
		return corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: v.Source}}
	case "configMap":
		return corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}}
	case "csi":
		return corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{}}
	case "downwardAPI":
		return corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{}}
	case "emptyDir", "": // the API server makes an emptyDir of what names no source
		return corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
	case "ephemeral":
		return corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}
	case "persistentVolumeClaim":
		return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{}}
	case "projected":
		return corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}}
	case "secret":
		return corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{}}
	case "image":
		return corev1.VolumeSource{Image: &corev1.ImageVolumeSource{}}
	case "nfs":
		return corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{}}
	case "azureDisk":
		return corev1.VolumeSource{AzureDisk: &corev1.AzureDiskVolumeSource{}}
	case "azureFile":
		return corev1.VolumeSource{AzureFile: &corev1.AzureFileVolumeSource{}}
	}
	return corev1.VolumeSource{}
}
