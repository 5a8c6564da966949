package inventory

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/event"
)

type rawPodSpec struct {
	ServiceAccount string            `json:"serviceAccountName"`
	OldAccount     string            `json:"serviceAccount"`
	Automount      *bool             `json:"automountServiceAccountToken"`
	NodeName       string            `json:"nodeName"`
	HostPID        bool              `json:"hostPID"`
	HostIPC        bool              `json:"hostIPC"`
	HostNetwork    bool              `json:"hostNetwork"`
	HostUsers      *bool             `json:"hostUsers"`
	RuntimeClass   string            `json:"runtimeClassName"`
	NodeSelector   map[string]string `json:"nodeSelector"`
	Security       struct {
		RunAsUser    *int64     `json:"runAsUser"`
		RunAsNonRoot *bool      `json:"runAsNonRoot"`
		Seccomp      rawProfile `json:"seccompProfile"`
		AppArmor     rawProfile `json:"appArmorProfile"`
		SELinux      rawSELinux `json:"seLinuxOptions"`
		Windows      rawWindows `json:"windowsOptions"`
		Sysctls      []rawRef   `json:"sysctls"`
	} `json:"securityContext"`
	OS         rawRef         `json:"os"`
	Init       []rawContainer `json:"initContainers"`
	Ephemeral  []rawContainer `json:"ephemeralContainers"`
	Containers []rawContainer `json:"containers"`
	Volumes    []rawVolume    `json:"volumes"`
}

// rawProfile is a seccomp or AppArmor profile.
type rawProfile struct {
	Type      string `json:"type"`
	Localhost string `json:"localhostProfile"`
}

type rawSELinux struct {
	User string `json:"user"`
	Role string `json:"role"`
	Type string `json:"type"`
}

// String is user:role:type, none of which may hold a colon; "" when none is set.
func (s rawSELinux) String() string {
	if s.User == "" && s.Role == "" && s.Type == "" {
		return ""
	}
	return cut(s.User, maxName) + ":" + cut(s.Role, maxName) + ":" + cut(s.Type, maxName)
}

type rawWindows struct {
	HostProcess bool `json:"hostProcess"` // what privileged is elsewhere
}

// rawHandler is a probe or lifecycle hook, as far as it names a host.
type rawHandler struct {
	HTTP struct {
		Host string `json:"host"`
	} `json:"httpGet"`
	TCP struct {
		Host string `json:"host"`
	} `json:"tcpSocket"`
}

func (s rawProfile) String() string {
	if s.Localhost != "" {
		return cut(s.Type+":"+s.Localhost, maxText)
	}
	return cut(s.Type, maxName)
}

type rawRef struct {
	Name string `json:"name"`
}

type rawContainer struct {
	Name    string   `json:"name"`
	Image   string   `json:"image"`
	Command []string `json:"command"`
	Args    []string `json:"args"`
	Env     []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
		From  struct {
			Secret    *rawRef `json:"secretKeyRef"`
			ConfigMap *rawRef `json:"configMapKeyRef"`
		} `json:"valueFrom"`
	} `json:"env"`
	EnvFrom []struct {
		Secret *rawRef `json:"secretRef"`
	} `json:"envFrom"`
	Ports []struct {
		Name     string `json:"name"`
		Port     int32  `json:"containerPort"`
		HostPort int32  `json:"hostPort"`
		Protocol string `json:"protocol"`
	} `json:"ports"`
	Mounts []struct {
		Name        string `json:"name"`
		Path        string `json:"mountPath"`
		SubPath     string `json:"subPath"`
		ReadOnly    bool   `json:"readOnly"`
		Propagation string `json:"mountPropagation"`
	} `json:"volumeMounts"`
	Liveness  rawHandler `json:"livenessProbe"`
	Readiness rawHandler `json:"readinessProbe"`
	Startup   rawHandler `json:"startupProbe"`
	Lifecycle struct {
		PostStart rawHandler `json:"postStart"`
		PreStop   rawHandler `json:"preStop"`
	} `json:"lifecycle"`
	Resources struct {
		Requests map[string]text `json:"requests"`
		Limits   map[string]text `json:"limits"`
	} `json:"resources"`
	Security struct {
		Privileged   bool       `json:"privileged"`
		Escalation   *bool      `json:"allowPrivilegeEscalation"`
		RunAsUser    *int64     `json:"runAsUser"`
		ReadOnly     bool       `json:"readOnlyRootFilesystem"`
		ProcMount    string     `json:"procMount"`
		RunAsNonRoot *bool      `json:"runAsNonRoot"`
		Windows      rawWindows `json:"windowsOptions"`
		Seccomp      rawProfile `json:"seccompProfile"`
		AppArmor     rawProfile `json:"appArmorProfile"`
		SELinux      rawSELinux `json:"seLinuxOptions"`
		Capabilities struct {
			Add  []string `json:"add"`
			Drop []string `json:"drop"`
		} `json:"capabilities"`
	} `json:"securityContext"`
}

// rawVolume is a volume by the one key that is not its name.
type rawVolume struct {
	name, kind, source string
}

// UnmarshalJSON never fails: what it does not understand is a volume of no type.
func (v *rawVolume) UnmarshalJSON(doc []byte) error {
	var keys map[string]json.RawMessage
	if json.Unmarshal(doc, &keys) != nil {
		return nil
	}
	for _, k := range sorted(keys) {
		if k == "name" {
			v.name = str(keys[k])
		} else if v.kind == "" && len(keys[k]) > 0 && keys[k][0] == '{' {
			v.kind, v.source = cut(k, maxName), volumeSource(k, keys[k])
		}
	}
	return nil
}

func str(doc json.RawMessage) string {
	var s string
	if json.Unmarshal(doc, &s) != nil {
		return ""
	}
	return s
}

// volumeSource says what a volume is of: a path, a name, or for projected ones all of
// them with their type.
func volumeSource(kind string, doc json.RawMessage) string {
	if kind == "projected" {
		return projected(doc)
	}
	var src struct {
		Path   string `json:"path"`
		Secret string `json:"secretName"`
		Name   string `json:"name"`
		Claim  string `json:"claimName"`
		Driver string `json:"driver"`
		Server string `json:"server"`
		Share  string `json:"shareName"`
		Medium string `json:"medium"`
		Attrs  struct {
			Class string `json:"secretProviderClass"`
		} `json:"volumeAttributes"`
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(doc, &all) != nil {
		return ""
	}
	json.Unmarshal(doc, &src) // fields of another shape stay empty
	switch {
	case kind == "nfs":
		return cut(src.Server+":"+src.Path, maxText)
	case kind == "csi" && src.Attrs.Class != "":
		return cut(src.Driver+"/"+src.Attrs.Class, maxText)
	}
	for _, s := range []string{src.Path, src.Secret, src.Name, src.Claim, src.Driver, src.Share, src.Medium} {
		if s != "" {
			return cut(s, maxText)
		}
	}
	return ""
}

// projected lists secret/NAME, configMap/NAME, token (for the API server) and
// token/AUDIENCE, comma-separated.
func projected(doc json.RawMessage) string {
	var src struct {
		Sources []struct {
			Secret    *rawRef `json:"secret"`
			ConfigMap *rawRef `json:"configMap"`
			Token     *struct {
				Audience string `json:"audience"`
			} `json:"serviceAccountToken"`
		} `json:"sources"`
	}
	json.Unmarshal(doc, &src) // fields of another shape stay empty
	var parts []string
	for _, s := range src.Sources[:min(len(src.Sources), maxVolumes)] {
		switch {
		case s.Secret != nil:
			parts = append(parts, "secret/"+s.Secret.Name)
		case s.Token != nil && s.Token.Audience == "":
			parts = append(parts, "token")
		case s.Token != nil:
			parts = append(parts, "token/"+s.Token.Audience)
		case s.ConfigMap != nil:
			parts = append(parts, "configMap/"+s.ConfigMap.Name)
		}
	}
	return cut(strings.Join(parts, ","), maxText)
}

// appArmorAs is the annotation that named a container's AppArmor profile before there
// was a field for it.
const appArmorAs = "container.apparmor.security.beta.kubernetes.io/"

// appArmor picks a container's profiles out of annotations, before these are cut.
func appArmor(annotations map[string]string) map[string]string {
	var out map[string]string
	for k, v := range annotations {
		if name, ok := strings.CutPrefix(k, appArmorAs); ok {
			if out == nil {
				out = map[string]string{}
			}
			out[name] = v
		}
	}
	return out
}

// reduce keeps what decides a pod's powers; profiles are those of appArmor.
func (r *rawPodSpec) reduce(profiles map[string]string) PodSpec {
	p := PodSpec{
		ServiceAccount: cut(r.ServiceAccount, maxName), Automount: r.Automount,
		HostPID: r.HostPID, HostIPC: r.HostIPC, HostNetwork: r.HostNetwork, HostUsers: r.HostUsers,
		RunAsUser: r.Security.RunAsUser, RunAsNonRoot: r.Security.RunAsNonRoot,
		Seccomp: r.Security.Seccomp.String(), AppArmor: r.Security.AppArmor.String(), SELinux: r.Security.SELinux.String(),
		HostProcess: r.Security.Windows.HostProcess, OS: cut(r.OS.Name, 64),
		RuntimeClass: cut(r.RuntimeClass, maxName),
		NodeSelector: words(r.NodeSelector, maxLabels, maxName),
	}
	for _, x := range r.Security.Sysctls[:min(len(r.Security.Sysctls), maxLabels)] {
		p.Sysctls = append(p.Sysctls, cut(x.Name, maxName))
	}
	if p.ServiceAccount == "" {
		p.ServiceAccount = cut(r.OldAccount, maxName)
	}
	if p.ServiceAccount == "" {
		p.ServiceAccount = "default"
	}
	for _, part := range []struct {
		role string
		list []rawContainer
	}{{"init", r.Init}, {"ephemeral", r.Ephemeral}, {"", r.Containers}} {
		for i := range part.list {
			if len(p.Containers) == maxContainers {
				break
			}
			c := part.list[i].reduce()
			c.Role = part.role
			if c.Seccomp == "" {
				c.Seccomp = p.Seccomp
			}
			c.AppArmorAs = cut(profiles[part.list[i].Name], maxText)
			p.Containers = append(p.Containers, c)
		}
	}
	for _, v := range r.Volumes[:min(len(r.Volumes), maxVolumes)] {
		p.Volumes = append(p.Volumes, PodVolume{Name: volumeName(v.name), Type: v.kind, Source: v.source})
	}
	return p
}

// volumeName drops the random end that admission gives the token's volume, so that pods
// of one template stay alike.
func volumeName(s string) string {
	if len(s) == len("kube-api-access-")+5 && strings.HasPrefix(s, "kube-api-access-") {
		return "kube-api-access"
	}
	return cut(s, maxName)
}

func (r *rawContainer) reduce() Container {
	s := &r.Security
	c := Container{
		Name: cut(r.Name, maxName), Image: cut(r.Image, maxText),
		Privileged: s.Privileged || s.Windows.HostProcess, HostProcess: s.Windows.HostProcess, Escalation: s.Escalation,
		RunAsUser: s.RunAsUser, RunAsNonRoot: s.RunAsNonRoot, ReadOnly: s.ReadOnly,
		AddCaps: caps(s.Capabilities.Add), DropCaps: caps(s.Capabilities.Drop),
		AddCapsAs: capsAs(s.Capabilities.Add), DropCapsAs: capsAs(s.Capabilities.Drop),
		Seccomp: s.Seccomp.String(), AppArmor: s.AppArmor.String(), SELinux: s.SELinux.String(), ProcMount: cut(s.ProcMount, maxName),
		CPU: quantity(string(r.Resources.Requests["cpu"]), 1000), Memory: quantity(string(r.Resources.Requests["memory"]), 1),
		CPULimit: quantity(string(r.Resources.Limits["cpu"]), 1000), MemLimit: quantity(string(r.Resources.Limits["memory"]), 1),
		Args: arguments(r.Command, r.Args),
	}
	for _, p := range r.Ports[:min(len(r.Ports), maxPorts)] {
		c.Ports = append(c.Ports, Port{Name: cut(p.Name, maxName), Port: p.Port, HostPort: p.HostPort, Protocol: protocol(p.Protocol)})
	}
	for _, m := range r.Mounts[:min(len(r.Mounts), maxMounts)] {
		c.Mounts = append(c.Mounts, Mount{
			Volume: volumeName(m.Name), Path: cut(m.Path, maxText), SubPath: cut(m.SubPath, maxText),
			ReadOnly: m.ReadOnly, Propagation: cut(m.Propagation, maxName),
		})
	}
	for _, h := range []*rawHandler{&r.Liveness, &r.Readiness, &r.Startup, &r.Lifecycle.PostStart, &r.Lifecycle.PreStop} {
		c.ProbeHosts = addWord(addWord(c.ProbeHosts, cut(h.HTTP.Host, maxName)), cut(h.TCP.Host, maxName))
	}
	for _, e := range r.Env {
		if e.From.Secret != nil {
			c.SecretEnv = addWord(c.SecretEnv, cut(e.From.Secret.Name, maxName))
		}
		v, ok := setting(e.Name, e.Value, e.From.Secret != nil || e.From.ConfigMap != nil)
		if !ok {
			continue
		}
		if c.Env == nil {
			c.Env = map[string]string{}
		}
		c.Env[e.Name] = v
	}
	for _, e := range r.EnvFrom {
		if e.Secret != nil {
			c.SecretEnv = addWord(c.SecretEnv, cut(e.Secret.Name, maxName))
		}
	}
	return c
}

// addWord adds a word that is not there yet, up to maxWords.
func addWord(list []string, s string) []string {
	if s == "" || len(list) >= maxWords {
		return list
	}
	for _, x := range list {
		if x == s {
			return list
		}
	}
	return append(list, s)
}

// protocol leaves TCP, the default, empty.
func protocol(s string) string {
	if s == "TCP" {
		return ""
	}
	return cut(s, 16)
}

// caps names capabilities as Kubernetes does, without CAP_.
func caps(in []string) []string {
	out := texts(in, maxLabels, 64)
	for i, s := range out {
		out[i] = strings.TrimPrefix(strings.ToUpper(s), "CAP_")
	}
	return out
}

// capsAs is the list as it is written; nil where caps changes nothing in it.
func capsAs(in []string) []string {
	if slices.Equal(texts(in, maxLabels, 64), caps(in)) {
		return nil
	}
	return texts(in, maxLabels, 64)
}

// arguments joins command and args, redacted and cut to maxArgs bytes in all.
func arguments(command, args []string) []string {
	var out []string
	left := maxArgs
	for _, part := range [][]string{command, args} {
		for _, a := range part {
			if left <= 0 {
				break
			}
			// Redaction sees more than is kept, so that a cut does not hide what a value is.
			a = cut(a, maxArgs)
			out = append(out, a)
			left -= len(a) + 1
		}
	}
	if len(out) == 0 {
		return nil
	}
	p := event.Process{Args: out}
	p.Redact()
	left = maxArgs
	for i, a := range p.Args {
		if len(a) > left {
			a = cut(a, left)
			return append(append([]string(nil), p.Args[:i]...), a)
		}
		left -= len(a)
	}
	return p.Args
}

type rawState struct {
	Running *struct {
		Started string `json:"startedAt"`
	} `json:"running"`
	Waiting *struct {
		Reason string `json:"reason"`
	} `json:"waiting"`
	Terminated *struct {
		Reason  string `json:"reason"`
		Started string `json:"startedAt"`
	} `json:"terminated"`
}

type rawContainerStatus struct {
	Name     string   `json:"name"`
	ImageID  string   `json:"imageID"`
	ID       string   `json:"containerID"`
	Restarts int32    `json:"restartCount"`
	State    rawState `json:"state"`
	Last     rawState `json:"lastState"`
}

type rawCondition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func (d *decoder) pod() {
	var spec rawPodSpec
	var status struct {
		Phase      string                `json:"phase"`
		Reason     string                `json:"reason"`
		HostIP     string                `json:"hostIP"`
		PodIP      string                `json:"podIP"`
		PodIPs     []struct{ IP string } `json:"podIPs"`
		Started    string                `json:"startTime"`
		Conditions []rawCondition        `json:"conditions"`
		Init       []rawContainerStatus  `json:"initContainerStatuses"`
		Ephemeral  []rawContainerStatus  `json:"ephemeralContainerStatuses"`
		Containers []rawContainerStatus  `json:"containerStatuses"`
	}
	d.read("spec", d.r.Spec, &spec)
	d.read("status", d.r.Status, &status)
	if d.err != nil {
		return
	}
	p := &Pod{
		PodSpec: spec.reduce(d.profiles), NodeName: cut(spec.NodeName, maxName),
		HostIP: cut(status.HostIP, 64), Phase: cut(status.Phase, 64), Started: nanos(status.Started),
	}
	for _, ip := range status.PodIPs[:min(len(status.PodIPs), 8)] {
		p.IPs = addWord(p.IPs, cut(ip.IP, 64))
	}
	if len(p.IPs) == 0 {
		p.IPs = addWord(p.IPs, cut(status.PodIP, 64))
	}
	for _, c := range status.Conditions {
		switch {
		case c.Type == "Ready":
			p.Ready = c.Status == "True"
		case c.Type == "PodScheduled" && c.Status != "True" && p.NodeName == "":
			p.Unassigned = cut(strings.TrimSuffix(c.Reason+": "+c.Message, ": "), 256)
		}
	}
	if src := d.o.Annotations["kubernetes.io/config.source"]; src != "" && src != "api" &&
		d.o.Owner != nil && d.o.Owner.Kind == "Node" && d.o.Owner.Name == p.NodeName {
		p.StaticFrom, p.StaticUID = src, d.o.Annotations["kubernetes.io/config.hash"]
	}
	all := map[string]*rawContainerStatus{}
	for _, part := range [][]rawContainerStatus{status.Init, status.Ephemeral, status.Containers} {
		for i := range part {
			all[part[i].Name] = &part[i]
		}
	}
	for i := range p.Containers {
		c := &p.Containers[i]
		if s := all[c.Name]; s != nil {
			s.into(c)
			if c.Restarts > 0 {
				p.RestartedAt = max(p.RestartedAt, c.Started)
			}
		}
	}
	d.o.Pod = p
}

func (s *rawContainerStatus) into(c *Container) {
	c.ImageID = cut(s.ImageID, maxText)
	if _, digest, ok := strings.Cut(c.ImageID, "@"); ok && strings.HasPrefix(digest, "sha256:") {
		c.Digest = digest
	}
	c.ID = cut(s.ID, 256)
	if _, id, ok := strings.Cut(c.ID, "://"); ok {
		c.ID = id
	}
	c.Restarts = s.Restarts
	switch {
	case s.State.Running != nil:
		c.Running, c.Started = true, nanos(s.State.Running.Started)
	case s.State.Waiting != nil:
		c.Reason = cut(s.State.Waiting.Reason, 128)
	case s.State.Terminated != nil:
		c.Reason, c.Started = cut(s.State.Terminated.Reason, 128), nanos(s.State.Terminated.Started)
	}
	if c.Reason == "" && s.Last.Terminated != nil && s.Last.Terminated.Reason == "OOMKilled" {
		c.Reason = "OOMKilled"
	}
}

func (d *decoder) workload() {
	type template struct {
		Metadata struct {
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
		Spec rawPodSpec `json:"spec"`
	}
	var spec struct {
		Replicas    *int32          `json:"replicas"`
		Parallelism *int32          `json:"parallelism"`
		Selector    json.RawMessage `json:"selector"`
		Schedule    string          `json:"schedule"`
		Suspend     bool            `json:"suspend"`
		Template    template        `json:"template"`
		Job         struct {
			Spec struct {
				Template template `json:"template"`
			} `json:"spec"`
		} `json:"jobTemplate"`
	}
	var status struct {
		Ready     int32 `json:"readyReplicas"`
		Desired   int32 `json:"desiredNumberScheduled"`
		NodeReady int32 `json:"numberReady"`
		Active    any   `json:"active"` // a number of a Job, a list of a CronJob
		PodsReady int32 `json:"ready"`
	}
	d.read("spec", d.r.Spec, &spec)
	d.read("status", d.r.Status, &status)
	if d.err != nil {
		return
	}
	w := &Workload{Schedule: cut(spec.Schedule, maxName), Suspended: spec.Suspend, Ready: status.Ready}
	t := &spec.Template
	switch d.o.Kind {
	case KindDaemonSet:
		w.Replicas, w.Ready = status.Desired, status.NodeReady
	case KindJob:
		n, _ := status.Active.(float64)
		w.Replicas, w.Ready = int32(min(max(n, 0), 1<<30)), status.PodsReady
	case KindCronJob:
		t = &spec.Job.Spec.Template
	default:
		w.Replicas = 1
		if spec.Replicas != nil {
			w.Replicas = *spec.Replicas
		}
	}
	w.Selector = selector(spec.Selector)
	w.Labels = words(t.Metadata.Labels, maxLabels, maxName)
	profiles := appArmor(t.Metadata.Annotations)
	w.Annotations = annotations(t.Metadata.Annotations)
	w.Template = t.Spec.reduce(profiles)
	d.o.Workload = w
}

// selector reads a selector's labels, of both shapes: {matchLabels: {…}} and {…}.
func selector(doc json.RawMessage) map[string]string {
	if len(doc) == 0 {
		return nil
	}
	var s struct {
		Labels map[string]string `json:"matchLabels"`
		Exprs  json.RawMessage   `json:"matchExpressions"`
	}
	json.Unmarshal(doc, &s) // a selector of another shape has no labels
	if s.Labels == nil && s.Exprs == nil {
		json.Unmarshal(doc, &s.Labels)
	}
	return words(s.Labels, maxLabels, maxName)
}
