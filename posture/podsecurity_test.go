package posture

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/dockreeve/dockreeve/inventory"
)

// reduced is a pod as the inventory keeps it, of itself or as the template of a workload.
func reduced(t interface{ Fatal(...any) }, pod *corev1.Pod, template bool) *inventory.PodSpec {
	doc, err := json.Marshal(pod)
	if template {
		doc, err = json.Marshal(map[string]any{
			"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "d", "namespace": "n"},
			"spec": map[string]any{"template": map[string]any{"metadata": pod.ObjectMeta, "spec": pod.Spec}},
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	o, err := inventory.Decode(doc)
	if err != nil {
		t.Fatal(err)
	}
	if template {
		return &o.Workload.Template
	}
	return &o.Pod.PodSpec
}

// defaulted does to volumes without a source what the API server does.
func defaulted(spec *corev1.PodSpec) *corev1.PodSpec {
	spec = spec.DeepCopy()
	for i := range spec.Volumes {
		if v := &spec.Volumes[i]; v.VolumeSource == (corev1.VolumeSource{}) {
			v.EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
	}
	return spec
}

// refused names the checks that refuse a pod, in their newest versions.
func refused(meta *metav1.ObjectMeta, spec *corev1.PodSpec) []string {
	var out []string
	for _, c := range podChecks() {
		if !c.run(meta, spec).Allowed {
			out = append(out, c.id)
		}
	}
	return out
}

func oneOf[T any](t *rapid.T, name string, from ...T) T { return rapid.SampledFrom(from).Draw(t, name) }

// maybe is nil, or a pointer to one of the values.
func maybe[T any](t *rapid.T, name string, from ...T) *T {
	if rapid.Bool().Draw(t, name+" unset") {
		return nil
	}
	return new(oneOf(t, name, from...))
}

func seccompOf(t *rapid.T) *corev1.SeccompProfile {
	p := maybe(t, "seccomp", corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined, corev1.SeccompProfileTypeLocalhost, "Other")
	if p == nil {
		return nil
	}
	s := &corev1.SeccompProfile{Type: *p}
	if *p == corev1.SeccompProfileTypeLocalhost {
		s.LocalhostProfile = new("a/b:c.json")
	}
	return s
}

func appArmorOf(t *rapid.T) *corev1.AppArmorProfile {
	p := maybe(t, "appArmor", corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined, corev1.AppArmorProfileTypeLocalhost)
	if p == nil {
		return nil
	}
	s := &corev1.AppArmorProfile{Type: *p}
	if *p == corev1.AppArmorProfileTypeLocalhost {
		s.LocalhostProfile = new("k8s-x")
	}
	return s
}

func seLinuxOf(t *rapid.T) *corev1.SELinuxOptions {
	if rapid.Bool().Draw(t, "no SELinux") {
		return nil
	}
	return &corev1.SELinuxOptions{
		User: oneOf(t, "user", "", "system_u"), Role: oneOf(t, "role", "", "sysadm_r"),
		Type: oneOf(t, "type", "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t", "spc_t"), Level: oneOf(t, "level", "", "s0:c1"),
	}
}

func windowsOf(t *rapid.T) *corev1.WindowsSecurityContextOptions {
	if rapid.Bool().Draw(t, "no Windows") {
		return nil
	}
	return &corev1.WindowsSecurityContextOptions{HostProcess: maybe(t, "hostProcess", true, false)}
}

func handlerOf(t *rapid.T) *corev1.ProbeHandler {
	host := oneOf(t, "host", "", "", "127.0.0.1", "metadata.internal")
	switch oneOf(t, "handler", "none", "http", "tcp", "exec") {
	case "http":
		return &corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Host: host}}
	case "tcp":
		return &corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Host: host}}
	case "exec":
		return &corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}}
	}
	return nil
}

func probeOf(t *rapid.T) *corev1.Probe {
	if h := handlerOf(t); h != nil {
		return &corev1.Probe{ProbeHandler: *h}
	}
	return nil
}

func hookOf(t *rapid.T) *corev1.LifecycleHandler {
	if h := handlerOf(t); h != nil {
		return &corev1.LifecycleHandler{HTTPGet: h.HTTPGet, TCPSocket: h.TCPSocket, Exec: h.Exec}
	}
	return nil
}

func capsOf(t *rapid.T, name string) []corev1.Capability {
	return rapid.SliceOfN(rapid.SampledFrom([]corev1.Capability{
		"ALL", "all", "NET_BIND_SERVICE", "CAP_NET_BIND_SERVICE", "net_bind_service", "SYS_ADMIN", "CHOWN", "NET_RAW", "SYS_PTRACE",
	}), 0, 3).Draw(t, name)
}

func containerOf(t *rapid.T, name string) corev1.Container {
	c := corev1.Container{Name: name, Image: "i", LivenessProbe: probeOf(t), ReadinessProbe: probeOf(t), StartupProbe: probeOf(t)}
	if rapid.Bool().Draw(t, "hooks") {
		c.Lifecycle = &corev1.Lifecycle{PostStart: hookOf(t), PreStop: hookOf(t)}
	}
	for _, p := range rapid.SliceOfN(rapid.Int32Range(0, 2), 0, 2).Draw(t, "ports") {
		c.Ports = append(c.Ports, corev1.ContainerPort{ContainerPort: 80, HostPort: p})
	}
	if rapid.Bool().Draw(t, "no context") {
		return c
	}
	s := &corev1.SecurityContext{
		AllowPrivilegeEscalation: maybe(t, "escalation", true, false), RunAsUser: maybe(t, "user", int64(0), 1000), RunAsNonRoot: maybe(t, "nonRoot", true, false),
		SeccompProfile: seccompOf(t), AppArmorProfile: appArmorOf(t), SELinuxOptions: seLinuxOf(t), WindowsOptions: windowsOf(t),
		ProcMount: maybe(t, "procMount", corev1.DefaultProcMount, corev1.UnmaskedProcMount),
	}
	if s.WindowsOptions == nil || s.WindowsOptions.HostProcess == nil || !*s.WindowsOptions.HostProcess {
		// A host process is no Linux container: the API server refuses both at once.
		s.Privileged = maybe(t, "privileged", true, false)
	}
	if rapid.Bool().Draw(t, "capabilities") {
		s.Capabilities = &corev1.Capabilities{Add: capsOf(t, "add"), Drop: capsOf(t, "drop")}
	}
	c.SecurityContext = s
	return c
}

func volumeOf(t *rapid.T, name string) corev1.Volume {
	v := corev1.Volume{Name: name}
	kind := oneOf(t, "volume", "hostPath", "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
		"image", "nfs", "azureDisk", "azureFile", "gitRepo", "iscsi", "none")
	if kind == "none" {
		return v
	}
	if err := json.Unmarshal([]byte(`{"`+kind+`":{}}`), &v.VolumeSource); err != nil {
		t.Fatal(err)
	}
	return v
}

func podWith(t *rapid.T) *corev1.Pod {
	pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n"}}
	pod.Spec = corev1.PodSpec{
		HostPID: rapid.Bool().Draw(t, "hostPID"), HostIPC: rapid.Bool().Draw(t, "hostIPC"), HostNetwork: rapid.Bool().Draw(t, "hostNetwork"),
		HostUsers: maybe(t, "hostUsers", true, false),
	}
	if os := maybe(t, "os", corev1.Linux, corev1.Windows); os != nil {
		pod.Spec.OS = &corev1.PodOS{Name: *os}
	}
	if rapid.Bool().Draw(t, "pod context") {
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{
			RunAsUser: maybe(t, "pod user", int64(0), 1000), RunAsNonRoot: maybe(t, "pod nonRoot", true, false), SeccompProfile: seccompOf(t),
			AppArmorProfile: appArmorOf(t), SELinuxOptions: seLinuxOf(t), WindowsOptions: windowsOf(t),
		}
		for _, n := range rapid.SliceOfN(rapid.SampledFrom([]string{"net.ipv4.tcp_syncookies", "kernel.shm_rmid_forced", "kernel.msgmax"}), 0, 2).Draw(t, "sysctls") {
			pod.Spec.SecurityContext.Sysctls = append(pod.Spec.SecurityContext.Sysctls, corev1.Sysctl{Name: n, Value: "1"})
		}
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "volumes") {
		pod.Spec.Volumes = append(pod.Spec.Volumes, volumeOf(t, string(rune('a'+i))))
	}
	for i := range rapid.IntRange(0, 1).Draw(t, "init") {
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, containerOf(t, "i"+string(rune('a'+i))))
	}
	for i := range rapid.IntRange(1, 2).Draw(t, "containers") {
		pod.Spec.Containers = append(pod.Spec.Containers, containerOf(t, "c"+string(rune('a'+i))))
	}
	if rapid.Bool().Draw(t, "debug") {
		c := containerOf(t, "debug")
		pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon(c)}}
	}
	if v := maybe(t, "annotation", "unconfined", "runtime/default", "localhost/x", ""); v != nil {
		pod.Annotations = map[string]string{corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + "ca": *v}
	}
	return pod
}

// TestTheInventoryLosesNothingThatPodSecurityReads holds the two ways to a verdict
// together: Kubernetes' checks over a pod as it is, and over what the inventory keeps.
func TestTheInventoryLosesNothingThatPodSecurityReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pod := podWith(t)
		want := refused(&pod.ObjectMeta, defaulted(&pod.Spec))
		kept := reduced(t, pod, rapid.Bool().Draw(t, "template"))
		meta, spec := podOf(kept)
		if got := refused(meta, spec); !slices.Equal(got, want) {
			t.Fatalf("refused by %v, as the inventory keeps it by %v", want, got)
		}
	})
}

// TestPodSecurityOfUpstream takes Kubernetes' own examples from the folder test/testdata of
// k8s.io/pod-security-admission that DOCKREEVE_PODSECURITY names.
func TestPodSecurityOfUpstream(t *testing.T) {
	root := os.Getenv("DOCKREEVE_PODSECURITY")
	if root == "" {
		t.Skip("DOCKREEVE_PODSECURITY does not name a folder of Kubernetes' Pod Security examples (test/testdata of k8s.io/pod-security-admission)")
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	versions, _ := filepath.Glob(filepath.Join(root, "restricted", "v1.*"))
	newest := api.MajorMinorVersion(1, 0)
	for _, v := range versions {
		if p, err := api.ParseVersion(filepath.Base(v)); err == nil && newest.Older(p) {
			newest = p
		}
	}
	files, _ := filepath.Glob(filepath.Join(root, "*", "v1.*", "*", "*.yaml"))
	if len(files) < 100 {
		t.Fatalf("%d examples in %s: not the folder it should be", len(files), root)
	}
	for _, f := range files {
		doc, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var pod corev1.Pod
		if err := yaml.UnmarshalStrict(doc, &pod); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		parts := strings.Split(filepath.ToSlash(f), "/")
		level, version, verdict := parts[len(parts)-4], parts[len(parts)-3], parts[len(parts)-2]
		meta, spec := podOf(reduced(t, &pod, false))
		if got, want := refused(meta, spec), refused(&pod.ObjectMeta, defaulted(&pod.Spec)); !slices.Equal(got, want) {
			t.Errorf("%s: refused by %v, as the inventory keeps it by %v", f, want, got)
		}
		if version != newest.String() {
			continue
		}
		result := policy.AggregateCheckResults(evaluator.EvaluatePod(api.LevelVersion{Level: api.Level(level), Version: newest}, meta, spec))
		if result.Allowed != (verdict == "pass") {
			t.Errorf("%s: allowed is %v: %s", f, result.Allowed, result.ForbiddenDetail())
		}
	}
	t.Logf("%d examples, newest version %s", len(files), newest.String())
}
