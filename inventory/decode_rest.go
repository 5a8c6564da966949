package inventory

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

func (d *decoder) node() {
	var spec struct {
		ProviderID    string   `json:"providerID"`
		PodCIDR       string   `json:"podCIDR"`
		PodCIDRs      []string `json:"podCIDRs"`
		Unschedulable bool     `json:"unschedulable"`
		Taints        []struct {
			Key    string `json:"key"`
			Value  string `json:"value"`
			Effect string `json:"effect"`
		} `json:"taints"`
	}
	var status struct {
		Addresses []struct {
			Type    string `json:"type"`
			Address string `json:"address"`
		} `json:"addresses"`
		Allocatable map[string]text `json:"allocatable"`
		Conditions  []rawCondition  `json:"conditions"`
		Info        struct {
			OSImage string `json:"osImage"`
			Kernel  string `json:"kernelVersion"`
			Kubelet string `json:"kubeletVersion"`
			Runtime string `json:"containerRuntimeVersion"`
			OS      string `json:"operatingSystem"`
			Arch    string `json:"architecture"`
		} `json:"nodeInfo"`
	}
	d.read("spec", d.r.Spec, &spec)
	d.read("status", d.r.Status, &status)
	i := &status.Info
	n := &Node{
		ProviderID: cut(spec.ProviderID, maxText), OSImage: cut(i.OSImage, maxName), Kernel: cut(i.Kernel, maxName),
		Kubelet: cut(i.Kubelet, maxName), Runtime: cut(i.Runtime, maxName), OS: cut(i.OS, 64), Arch: cut(i.Arch, 64),
		PodCIDRs: texts(spec.PodCIDRs, 8, 64), Unschedulable: spec.Unschedulable,
		CPU: quantity(string(status.Allocatable["cpu"]), 1000), Memory: quantity(string(status.Allocatable["memory"]), 1),
	}
	if len(n.PodCIDRs) == 0 && spec.PodCIDR != "" {
		n.PodCIDRs = []string{cut(spec.PodCIDR, 64)}
	}
	var names []string
	for _, a := range status.Addresses[:min(len(status.Addresses), maxAddresses)] {
		switch a.Type {
		case "InternalIP":
			n.Addresses = addWord(n.Addresses, cut(a.Address, 64))
		case "ExternalIP":
			n.External = addWord(n.External, cut(a.Address, 64))
		case "Hostname", "InternalDNS":
			names = addWord(names, cut(a.Address, maxName))
		}
	}
	for _, s := range names {
		n.Addresses = addWord(n.Addresses, s)
	}
	for _, c := range status.Conditions {
		if c.Type == "Ready" {
			n.Ready = c.Status == "True"
		}
	}
	l := d.o.Labels
	n.InstanceType = l["node.kubernetes.io/instance-type"]
	if n.InstanceType == "" {
		n.InstanceType = l["beta.kubernetes.io/instance-type"]
	}
	n.Virtual = l["type"] == "virtual-kubelet" || l["kubernetes.io/role"] == "virtual-kubelet"
	for _, t := range spec.Taints[:min(len(spec.Taints), maxLabels)] {
		s := t.Key
		if t.Value != "" {
			s += "=" + t.Value
		}
		n.Taints = append(n.Taints, cut(s+":"+t.Effect, maxName))
		n.Virtual = n.Virtual || t.Key == "virtual-kubelet.io/provider"
	}
	d.o.Node = n
}

func (d *decoder) account() {
	var secrets []rawRef
	d.read("secrets", d.r.Secrets, &secrets)
	a := &Account{Automount: d.r.Automount}
	for _, s := range secrets {
		a.Secrets = addWord(a.Secrets, cut(s.Name, maxName))
	}
	for _, k := range []string{"azure.workload.identity/client-id", "eks.amazonaws.com/role-arn", "iam.gke.io/gcp-service-account"} {
		if v := d.o.Annotations[k]; v != "" {
			a.CloudID = v
			break
		}
	}
	d.o.Account = a
}

func (d *decoder) role() {
	var rules []struct {
		Verbs     []string `json:"verbs"`
		Groups    []string `json:"apiGroups"`
		Resources []string `json:"resources"`
		Names     []string `json:"resourceNames"`
		URLs      []string `json:"nonResourceURLs"`
	}
	var agg struct {
		Selectors []struct {
			Labels map[string]string `json:"matchLabels"`
			Exprs  []any             `json:"matchExpressions"`
		} `json:"clusterRoleSelectors"`
	}
	d.read("rules", d.r.Rules, &rules)
	d.read("aggregationRule", d.r.Aggregate, &agg)
	r := &Role{}
	for _, x := range rules[:min(len(rules), maxRules)] {
		r.Rules = append(r.Rules, Rule{
			Verbs: texts(x.Verbs, maxWords, maxName), Groups: texts(x.Groups, maxWords, maxName),
			Resources: texts(x.Resources, maxWords, maxName), Names: texts(x.Names, maxWords, maxName),
			URLs: texts(x.URLs, maxWords, maxText),
		})
	}
	for _, s := range agg.Selectors[:min(len(agg.Selectors), maxLabels)] {
		// A selector with expressions is left to what the controller has already put into
		// Rules; so is an empty one, which would select every role.
		if len(s.Exprs) == 0 && len(s.Labels) > 0 {
			r.Aggregate = append(r.Aggregate, words(s.Labels, maxLabels, maxName))
		}
	}
	d.o.Role = r
}

func (d *decoder) binding() {
	var ref struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	}
	var subjects []Subject
	d.read("roleRef", d.r.RoleRef, &ref)
	d.read("subjects", d.r.Subjects, &subjects)
	b := &Binding{RoleKind: cut(ref.Kind, 64), RoleName: cut(ref.Name, maxName)}
	for _, s := range subjects[:min(len(subjects), maxSubjects)] {
		s = Subject{Kind: cut(s.Kind, 64), Namespace: cut(s.Namespace, maxName), Name: cut(s.Name, maxName)}
		if s.Kind == "ServiceAccount" && s.Namespace == "" {
			s.Namespace = d.o.Namespace
		}
		b.Subjects = append(b.Subjects, s)
	}
	d.o.Binding = b
}

type rawHookRule struct {
	Groups    []string `json:"apiGroups"`
	Resources []string `json:"resources"`
}

func hookResources(rules []rawHookRule) []string {
	var out []string
	for _, r := range rules {
		for _, x := range r.Resources {
			group := ""
			if len(r.Groups) > 0 && r.Groups[0] != "" {
				group = "." + r.Groups[0]
			}
			out = addWord(out, cut(x+group, maxName))
		}
	}
	return out
}

func (d *decoder) webhook() {
	var hooks []struct {
		Name    string        `json:"name"`
		Failure string        `json:"failurePolicy"`
		Rules   []rawHookRule `json:"rules"`
		Client  struct {
			URL     string `json:"url"`
			Service *struct {
				Namespace string `json:"namespace"`
				Name      string `json:"name"`
			} `json:"service"`
		} `json:"clientConfig"`
	}
	type match struct {
		Rules []rawHookRule `json:"resourceRules"`
	}
	var spec struct {
		Policy  string `json:"policyName"`
		Failure string `json:"failurePolicy"`
		Match   match  `json:"matchConstraints"`
		Bound   match  `json:"matchResources"`
	}
	d.read("webhooks", d.r.Webhooks, &hooks)
	d.read("spec", d.r.Spec, &spec)
	w := &Webhook{Mutating: strings.HasPrefix(d.r.Kind, "Mutating")}
	for _, h := range hooks[:min(len(hooks), maxLabels)] {
		ref := WebhookRef{
			Name: cut(h.Name, maxName), URL: cut(h.Client.URL, maxText),
			Resources: hookResources(h.Rules), Failure: cut(h.Failure, 64),
		}
		if s := h.Client.Service; s != nil {
			ref.Service = cut(s.Namespace+"/"+s.Name, 2*maxName)
		}
		if ref.Failure == "" {
			ref.Failure = "Fail"
		}
		w.Hooks = append(w.Hooks, ref)
	}
	switch {
	case strings.HasSuffix(d.r.Kind, "PolicyBinding"):
		w.Hooks = []WebhookRef{{Name: cut(spec.Policy, maxName), Resources: hookResources(spec.Bound.Rules)}}
	case strings.HasSuffix(d.r.Kind, "Policy"):
		ref := WebhookRef{Name: d.o.Name, Resources: hookResources(spec.Match.Rules), Failure: cut(spec.Failure, 64)}
		if ref.Failure == "" {
			ref.Failure = "Fail"
		}
		w.Hooks = []WebhookRef{ref}
	}
	d.o.Webhook = w
}

func (d *decoder) volume(kind Kind) {
	var spec struct {
		Class    string          `json:"storageClassName"`
		Volume   string          `json:"volumeName"`
		Modes    []string        `json:"accessModes"`
		Capacity map[string]text `json:"capacity"`
		Claim    *struct {
			Namespace string `json:"namespace"`
			Name      string `json:"name"`
		} `json:"claimRef"`
		HostPath *struct {
			Path string `json:"path"`
		} `json:"hostPath"`
		Local *struct {
			Path string `json:"path"`
		} `json:"local"`
		CSI *struct {
			Driver string `json:"driver"`
		} `json:"csi"`
		Resources struct {
			Requests map[string]text `json:"requests"`
		} `json:"resources"`
	}
	d.read("spec", d.r.Spec, &spec)
	v := &Volume{Class: cut(spec.Class, maxName), Volume: cut(spec.Volume, maxName), Modes: strings.Join(texts(spec.Modes, 8, 64), ",")}
	size := spec.Capacity["storage"]
	if size == "" {
		size = spec.Resources.Requests["storage"]
	}
	v.Size = quantity(string(size), 1)
	if c := spec.Claim; c != nil {
		v.Claim = cut(c.Namespace+"/"+c.Name, 2*maxName)
	}
	switch {
	case spec.HostPath != nil:
		v.HostPath = cut(spec.HostPath.Path, maxText)
	case spec.Local != nil:
		v.HostPath = cut(spec.Local.Path, maxText)
	case spec.CSI != nil:
		v.Driver = cut(spec.CSI.Driver, maxName)
	}
	if kind == KindStorageClass {
		s, _ := d.r.Provision.(string)
		v.Driver = cut(s, maxName)
		v.Class = d.o.Name
	}
	d.o.Volume = v
}

func (d *decoder) configMap() {
	var data, binary map[string]string
	if d.err != nil {
		return
	}
	// Not through read: the content may hold any number of commas, and is not kept.
	for _, part := range []struct {
		path string
		doc  json.RawMessage
		into *map[string]string
	}{{"data", d.r.Data, &data}, {"binaryData", d.r.BinaryData, &binary}} {
		if len(part.doc) == 0 {
			continue
		}
		unread, err := read(part.path, part.doc, part.into)
		if err != nil {
			unread = part.path
		}
		if d.unread == "" {
			d.unread = unread
		}
	}
	c := &ConfigMap{}
	h := sha256.New()
	for _, m := range []map[string]string{data, binary} {
		for _, k := range sorted(m) {
			h.Write([]byte(strconv.Itoa(len(k)) + ":" + k + strconv.Itoa(len(m[k])) + ":" + m[k]))
			if len(c.Keys) < 64 {
				c.Keys = append(c.Keys, cut(k, maxName))
			}
		}
	}
	for _, k := range sorted(data) {
		for _, w := range says(k, data[k]) {
			c.Says = addWord(c.Says, w)
		}
	}
	slices.Sort(c.Says)
	c.Digest = hex.EncodeToString(h.Sum(nil)[:16])
	d.o.ConfigMap = c
}

// quantity reads a Kubernetes quantity (500m, 1.5Gi, 2e3) in units of 1/per, rounded;
// 0 for what is none, or less than nothing. It is bounded by 2^62.
func quantity(s string, per float64) int64 {
	s = strings.TrimSpace(s)
	unit := 1.0
	for _, u := range []struct {
		suffix string
		factor float64
	}{
		{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"Ti", 1 << 40}, {"Pi", 1 << 50}, {"Ei", 1 << 60},
		{"n", 1e-9}, {"u", 1e-6}, {"m", 1e-3}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}, {"P", 1e15}, {"E", 1e18},
	} {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			s, unit = rest, u.factor
			break
		}
	}
	for _, c := range s {
		if !strings.ContainsRune("0123456789.eE+-", c) {
			return 0 // not Inf, NaN, hexadecimal or 1_000
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f <= 0 {
		return 0
	}
	return int64(math.Round(min(f*unit*per, 1<<62)))
}
