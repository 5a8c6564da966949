package inventory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrUnknownKind is wrapped by what Decode returns for an object of a kind that is not kept.
var ErrUnknownKind = errors.New("kind is not kept")

// Bounds of Decode. What is beyond a bound of a list is cut; a document beyond its own
// is refused.
const (
	maxDocument    = 8 << 20 // bytes; the API server takes 3 MiB, etcd keeps 1.5
	maxValues      = 200_000 // commas within a section: what it can make us allocate
	maxName        = 320     // bytes of a name, a label's key
	maxText        = 1 << 10 // bytes of other texts
	maxLabels      = 64
	maxAnnotations = 64
	maxContainers  = 64
	maxVolumes     = 64
	maxMounts      = 64
	maxPorts       = 64
	maxArgs        = 4 << 10 // bytes in all
	maxRules       = 512
	maxWords       = 128 // verbs, resources… of one rule
	maxSubjects    = 1024
	maxBackends    = 256
	maxHosts       = 128
	maxAddresses   = 32
)

// rawObject is the outermost layer of any object. Sections are read by kind.
type rawObject struct {
	APIVersion string  `json:"apiVersion"`
	Kind       string  `json:"kind"`
	Metadata   rawMeta `json:"metadata"`

	Spec       json.RawMessage `json:"spec"`
	Status     json.RawMessage `json:"status"`
	Data       json.RawMessage `json:"data"`
	BinaryData json.RawMessage `json:"binaryData"`
	Rules      json.RawMessage `json:"rules"`
	Aggregate  json.RawMessage `json:"aggregationRule"`
	RoleRef    json.RawMessage `json:"roleRef"`
	Subjects   json.RawMessage `json:"subjects"`
	Webhooks   json.RawMessage `json:"webhooks"`
	Secrets    json.RawMessage `json:"secrets"`
	Automount  *bool           `json:"automountServiceAccountToken"`
	Type       any             `json:"type"`
	Provision  any             `json:"provisioner"`
	Reclaim    any             `json:"reclaimPolicy"`
}

type rawMeta struct {
	Name        string            `json:"name"`
	Generate    string            `json:"generateName"`
	Namespace   string            `json:"namespace"`
	UID         string            `json:"uid"`
	Version     string            `json:"resourceVersion"`
	Created     string            `json:"creationTimestamp"`
	Deleted     string            `json:"deletionTimestamp"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Owners      []OwnerRef        `json:"ownerReferences"`
}

// kindOf folds a kind of an API group to one of ours.
func kindOf(group, kind string) (Kind, bool) {
	switch group {
	case "":
		switch k := Kind(kind); k {
		case KindNode, KindNamespace, KindPod, KindRC, KindService, KindServiceAccount,
			KindVolume, KindClaim, KindSecret, KindConfigMap:
			return k, true
		}
	case "apps", "extensions", "batch", "networking.k8s.io":
		switch k := Kind(kind); k {
		case KindDeployment, KindReplicaSet, KindStatefulSet, KindDaemonSet:
			return k, group == "apps" || group == "extensions"
		case KindJob, KindCronJob:
			return k, group == "batch"
		case KindIngress, KindNetworkPolicy:
			return k, group == "extensions" || group == "networking.k8s.io"
		}
	case "rbac.authorization.k8s.io":
		switch k := Kind(kind); k {
		case KindRole, KindClusterRole, KindRoleBinding, KindClusterBinding:
			return k, true
		}
	case "storage.k8s.io":
		return KindStorageClass, kind == string(KindStorageClass)
	case "gateway.networking.k8s.io":
		switch kind {
		case "Gateway":
			return KindGateway, true
		case "HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute":
			return KindRoute, true
		}
	case "route.openshift.io":
		return KindRoute, kind == "Route"
	case "admissionregistration.k8s.io":
		switch kind {
		case "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration",
			"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
			"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding":
			return KindWebhook, true
		}
	}
	return "", false
}

// Decode reduces the JSON of one Kubernetes object, of whatever version, to what is kept
// of it. Values of secrets are not read. Texts are valid UTF-8 and bounded, but
// otherwise as hostile as they came. A field whose shape is not the known one is passed
// over and named in Object.Unread. The error wraps ErrUnknownKind for kinds that are not
// kept; such an object still says its group, kind, name and namespace in the error.
func Decode(doc []byte) (*Object, error) { return decode(doc, "", "") }

func decode(doc []byte, apiVersion, kind string) (*Object, error) {
	if len(doc) > maxDocument {
		return nil, fmt.Errorf("object of %d bytes: more than %d", len(doc), maxDocument)
	}
	var r rawObject
	unread, err := read("", doc, &r)
	if err != nil {
		return nil, err
	}
	if r.Kind == "" && kind != "" {
		r.Kind, r.APIVersion = kind, apiVersion
	}
	group, _, ok := strings.Cut(r.APIVersion, "/")
	if !ok {
		group = ""
	}
	k, ok := kindOf(group, r.Kind)
	if !ok {
		return nil, fmt.Errorf("%.80q %.80q %.80q: %w", r.APIVersion, r.Kind, r.Metadata.Name, ErrUnknownKind)
	}
	name := r.Metadata.Name
	if name == "" {
		// A create request may leave the name to the server.
		name = r.Metadata.Generate
	}
	if name == "" {
		return nil, fmt.Errorf("%s without metadata.name", r.Kind)
	}
	var profiles map[string]string
	if k == KindPod {
		profiles = appArmor(r.Metadata.Annotations)
	}
	o := &Object{
		Key:        Key{Kind: k, Namespace: cut(r.Metadata.Namespace, maxName), Name: cut(name, maxName)},
		APIVersion: cut(r.APIVersion, maxName),
		UID:        cut(r.Metadata.UID, 128), Version: cut(r.Metadata.Version, 128),
		Labels:      words(r.Metadata.Labels, maxLabels, maxName),
		Annotations: annotations(r.Metadata.Annotations),
		Owner:       ownerOf(r.Metadata.Owners),
		Created:     nanos(r.Metadata.Created), Deleting: nanos(r.Metadata.Deleted),
	}
	if string(k) != r.Kind || k == KindRoute {
		o.APIKind = r.Kind
	}
	if k.Folds() {
		o.Key.As = o.APIKind
	}
	d := decoder{o: o, r: &r, unread: unread, profiles: profiles}
	d.section(k)
	if d.err != nil {
		return nil, d.err
	}
	if o.Unread = d.unread; o.Unread == "" {
		o.Unread = full(o)
	}
	return o, nil
}

// full names a list that is as long as is kept, and so may have had more.
func full(o *Object) string {
	if name := specOf(o).Full(); name != "" {
		return name
	}
	switch {
	case o.Binding != nil && len(o.Binding.Subjects) == maxSubjects:
		return "subjects (no more are read)"
	case o.Role != nil && (len(o.Role.Rules) == maxRules || slices.ContainsFunc(o.Role.Rules, func(r Rule) bool {
		return max(len(r.Verbs), len(r.Groups), len(r.Resources), len(r.URLs)) == maxWords
	})):
		return "rules (no more are read)"
	}
	return ""
}

// Full names a list of the pod that is as long as is kept, and so may have had more; ""
// when there is none. Nothing can be said of what such a pod does not ask for.
func (p *PodSpec) Full() string {
	switch {
	case len(p.Containers) == maxContainers:
		return "containers (no more are read)"
	case len(p.Volumes) == maxVolumes:
		return "volumes (no more are read)"
	case len(p.Sysctls) == maxLabels:
		return "sysctls (no more are read)"
	}
	for i := range p.Containers {
		switch c := &p.Containers[i]; {
		case len(c.Mounts) == maxMounts:
			return "volumeMounts (no more are read)"
		case len(c.Ports) == maxPorts:
			return "ports (no more are read)"
		case max(len(c.AddCaps), len(c.DropCaps)) == maxLabels:
			return "capabilities (no more are read)"
		}
	}
	return ""
}

// decoder reads the sections of one object. The first error ends it.
type decoder struct {
	o      *Object
	r      *rawObject
	unread string
	err    error

	profiles map[string]string // of a pod's AppArmor annotations, by container
}

func (d *decoder) section(k Kind) {
	switch k {
	case KindNode:
		d.node()
	case KindPod:
		d.pod()
	case KindDeployment, KindReplicaSet, KindStatefulSet, KindDaemonSet, KindJob, KindCronJob, KindRC:
		d.workload()
	case KindService:
		d.service()
	case KindIngress:
		d.ingress()
	case KindGateway:
		d.gateway()
	case KindRoute:
		d.route()
	case KindNetworkPolicy:
		d.policy()
	case KindServiceAccount:
		d.account()
	case KindRole, KindClusterRole:
		d.role()
	case KindRoleBinding, KindClusterBinding:
		d.binding()
	case KindWebhook:
		d.webhook()
	case KindVolume, KindClaim, KindStorageClass:
		d.volume(k)
	case KindSecret:
		s, _ := d.r.Type.(string)
		if s == "" {
			s = "Opaque"
		}
		d.o.Secret = cut(s, maxName)
	case KindConfigMap:
		d.configMap()
	}
}

// read reads a section into v and notes where it is of another shape.
func (d *decoder) read(path string, doc json.RawMessage, v any) {
	if d.err != nil || len(doc) == 0 {
		return
	}
	if n := bytes.Count(doc, []byte{','}); n > maxValues {
		d.err = fmt.Errorf("%s %s: %s holds %d values, more than %d", d.o.Kind, d.o.Name, path, n, maxValues)
		return
	}
	unread, err := read(path, doc, v)
	if d.unread == "" {
		d.unread = unread
	}
	if err != nil {
		d.err = fmt.Errorf("%s %s: %w", d.o.Kind, d.o.Name, err)
	}
}

func read(path string, doc []byte, v any) (unread string, err error) {
	err = json.Unmarshal(doc, v)
	var shape *json.UnmarshalTypeError
	if errors.As(err, &shape) {
		at := shape.Field
		if path != "" && at != "" {
			at = path + "." + at
		} else if path != "" {
			at = path
		}
		if at == "" {
			return "", fmt.Errorf("not an object but a JSON %s", shape.Value)
		}
		return cut(at, maxName), nil
	}
	if err != nil {
		return "", fmt.Errorf("read JSON: %w", err)
	}
	return "", nil
}

// DecodeList decodes the items of a list (PodList, List…) or, for a document that is no
// list, the document, one by one; yield returning false ends it. What is wrong with one
// item goes to yield and the next item follows; the returned error says that the
// document itself cannot be read. A list may be of any size, its items may not.
func DecodeList(doc []byte, yield func(*Object, error) bool) error {
	var head struct {
		APIVersion string          `json:"apiVersion"`
		Kind       string          `json:"kind"`
		Items      json.RawMessage `json:"items"`
	}
	if _, err := read("", doc, &head); err != nil {
		return err
	}
	if !strings.HasSuffix(head.Kind, "List") || len(head.Items) == 0 {
		yield(Decode(doc))
		return nil
	}
	kind := strings.TrimSuffix(head.Kind, "List")
	dec := json.NewDecoder(bytes.NewReader(head.Items))
	t, err := dec.Token()
	if err != nil {
		return fmt.Errorf("items of %.80s: %w", head.Kind, err)
	}
	if t == nil {
		return nil // items: null is an empty list
	}
	if t != json.Delim('[') {
		return fmt.Errorf("items of %.80s: not a list", head.Kind)
	}
	for i := 0; dec.More(); i++ {
		var item json.RawMessage
		if err := dec.Decode(&item); err != nil {
			return fmt.Errorf("item %d of %.80s: %w", i+1, head.Kind, err)
		}
		o, err := decode(item, head.APIVersion, kind)
		if err != nil {
			err = fmt.Errorf("item %d of %.80s: %w", i+1, head.Kind, err)
		}
		if !yield(o, err) {
			return nil
		}
	}
	if _, err := dec.Token(); err != nil && err != io.EOF {
		return fmt.Errorf("items of %.80s: %w", head.Kind, err)
	}
	return nil
}

// cut shortens a text to at most n bytes at a rune's border.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n])
}

// texts bounds a list and its texts.
func texts(in []string, n, size int) []string {
	if len(in) == 0 {
		return nil
	}
	in = slices.Clone(in[:min(n, len(in))])
	for i := range in {
		in[i] = cut(in[i], size)
	}
	return in
}

// words bounds a map: the first n keys in their order.
func words(in map[string]string, n, size int) map[string]string {
	if len(in) == 0 {
		return nil
	}
	if len(in) > n {
		keys := sorted(in)
		for _, k := range keys[n:] {
			delete(in, k)
		}
	}
	for k, v := range in {
		if len(k) > maxName {
			delete(in, k)
			in[cut(k, maxName)] = cut(v, size)
		} else if len(v) > size {
			in[k] = cut(v, size)
		}
	}
	return in
}

func annotations(in map[string]string) map[string]string {
	delete(in, "kubectl.kubernetes.io/last-applied-configuration")
	return words(in, maxAnnotations, maxText)
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func ownerOf(refs []OwnerRef) *OwnerRef {
	if len(refs) == 0 {
		return nil
	}
	ref := refs[0]
	for _, r := range refs {
		if r.Controller {
			ref = r
			break
		}
	}
	if ref.Kind == "" || ref.Name == "" {
		return nil
	}
	return &OwnerRef{
		APIVersion: cut(ref.APIVersion, maxName), Kind: cut(ref.Kind, maxName),
		Name: cut(ref.Name, maxName), UID: cut(ref.UID, 128), Controller: ref.Controller,
	}
}

// nanos reads a time; 0 for what is none or lies outside of what an int64 holds.
func nanos(s string) int64 {
	if s == "" {
		return 0
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() < 1971 || t.Year() > 2200 {
		return 0
	}
	return t.UnixNano()
}
