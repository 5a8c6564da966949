package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/dockreeve/dockreeve/inventory"
)

// A patch is the client's own text: the API server writes it down as it came, before it
// has read it. What would read it otherwise than the API server does is put right here.

var errPatch = errors.New("a list of patches that copies or moves parts of the object, and the answer does not hold the object")

// maxSteps bounds the steps of one path of a JSON patch.
const maxSteps = 64

// freeKeys are members whose own members clients name: a number below them is a name.
var freeKeys = []string{"labels", "annotations", "matchLabels", "nodeSelector", "selector", "limits", "requests", "overhead", "options", "volumeAttributes", "parameters", "data"}

// part is what a JSON patch writes below one path.
type part struct {
	value any // where it is written whole
	keys  []string
	kids  map[string]*part
	list  bool
}

// written makes of a JSON patch (RFC 6902) the object that holds what it writes, as a
// merge patch would: an element of a list stands for itself, wherever it goes. whole is
// false where something of it cannot be told.
func written(patch []byte) (doc []byte, whole bool, err error) {
	var ops []map[string]json.RawMessage
	if err := json.Unmarshal(patch, &ops); err != nil {
		return nil, false, err
	}
	root := &part{}
	whole = true
	for n, op := range ops {
		var verb, path string
		var value any
		if json.Unmarshal(op["op"], &verb) != nil || json.Unmarshal(op["path"], &path) != nil {
			whole = false
			continue
		}
		switch verb {
		case "test", "remove":
			continue
		case "add", "replace":
			if json.Unmarshal(op["value"], &value) != nil {
				whole = false
				continue
			}
		default:
			whole = false
			continue
		}
		whole = root.put(path, value, n) && whole
	}
	doc, err = json.Marshal(root.build())
	return doc, whole, err
}

func (p *part) put(path string, value any, n int) bool {
	if path == "" {
		p.value = value
		return true
	}
	steps := strings.Split(path, "/")
	if steps[0] != "" || len(steps) > maxSteps {
		return false
	}
	for i, s := range steps[1:] {
		s = strings.NewReplacer("~1", "/", "~0", "~").Replace(s)
		_, err := strconv.ParseUint(s, 10, 31)
		if (err == nil || s == "-") && !slices.Contains(freeKeys, steps[i]) {
			if p.list = true; s == "-" {
				s += strconv.Itoa(n) // each a new element
			}
		}
		next := p.kids[s]
		if next == nil {
			if next = (&part{}); p.kids == nil {
				p.kids = map[string]*part{}
			}
			p.kids[s] = next
			p.keys = append(p.keys, s)
		}
		p = next
	}
	p.value = value
	return true
}

// build joins what was written whole with what was written below it.
func (p *part) build() any {
	if len(p.kids) == 0 {
		return p.value
	}
	if p.list {
		list, _ := p.value.([]any)
		for _, k := range p.keys {
			list = append(list, p.kids[k].build())
		}
		return list
	}
	m, _ := p.value.(map[string]any)
	if m == nil {
		m = map[string]any{}
	}
	for _, k := range p.keys {
		m[k] = p.kids[k].build()
	}
	return m
}

// names are what objects call the members that matter here.
var names = []string{"apiVersion", "kind", "metadata", "name", "namespace", "generateName", "spec", "template", "jobTemplate", "containers", "initContainers",
	"ephemeralContainers", "image", "command", "args", "env", "ports", "containerPort", "hostPort", "securityContext", "privileged", "capabilities", "add",
	"hostPID", "hostIPC", "hostNetwork", "volumes", "volumeMounts", "mountPath", "hostPath", "path", "serviceAccountName", "rules", "verbs", "apiGroups",
	"resources", "resourceNames", "nonResourceURLs", "roleRef", "subjects", "type", "port", "targetPort", "nodePort", "protocol", "externalIPs",
	"loadBalancerSourceRanges", "http", "paths", "backend", "defaultBackend", "service", "host", "selector", "webhooks", "clientConfig", "url"}

// exact takes out members whose names are those of others but for their case: the API
// server minds it and passes them over, readers of JSON in Go do not and take the last.
func exact(b []byte) ([]byte, error) {
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	right := make(map[string]string, len(names))
	for _, n := range names {
		right[strings.ToLower(n)] = n
	}
	if !tidy(v, right) {
		return b, nil
	}
	return json.Marshal(v)
}

func tidy(v any, right map[string]string) (changed bool) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			changed = tidy(e, right) || changed
		}
	case map[string]any:
		for k, e := range v {
			if r := right[strings.ToLower(k)]; r != "" && r != k {
				delete(v, k)
				changed = true
				continue
			}
			changed = tidy(e, right) || changed
		}
	}
	return changed
}

// complement gives what a patch made of an object, where only the patch is recorded, what
// the rest of the object decides: a mount and its volume, a binding's role and a service's
// selector may come in two patches, each harmless by itself. What the patch itself does
// not touch is not judged again.
func complement(o, have *inventory.Object) {
	switch {
	case o.Binding != nil && have.Binding != nil && o.Binding.RoleName == "":
		o.Binding.RoleKind, o.Binding.RoleName = have.Binding.RoleKind, have.Binding.RoleName
	case o.Service != nil && have.Service != nil:
		s, h := o.Service, have.Service
		if s.Selector == nil {
			s.Selector = h.Selector
		}
		if len(s.Ports) == 0 {
			s.Ports = h.Ports
		}
		s.Internal = s.Internal || h.Internal && o.Annotations == nil
		if s.SourceRanges == nil {
			s.SourceRanges = h.SourceRanges
		}
	case o.Pod != nil && have.Pod != nil:
		complementPod(&o.Pod.PodSpec, &have.Pod.PodSpec)
	case o.Workload != nil && have.Workload != nil:
		if o.Workload.Labels == nil {
			o.Workload.Labels = have.Workload.Labels
		}
		complementPod(&o.Workload.Template, &have.Workload.Template)
	}
}

// complementPod brings the mounts of volumes that the patch writes, and the volumes of
// mounts that it writes.
func complementPod(p, have *inventory.PodSpec) {
	wrote, mounts := p.Volumes, 0
	for i := range p.Containers {
		mounts += len(p.Containers[i].Mounts)
	}
	if mounts > 0 {
		for _, v := range have.Volumes {
			if !slices.ContainsFunc(wrote, func(w inventory.PodVolume) bool { return w.Name == v.Name }) {
				p.Volumes = append(p.Volumes, v)
			}
		}
	}
	if len(wrote) > 0 {
		for _, c := range have.Containers {
			p.Containers = append(p.Containers, inventory.Container{Mounts: c.Mounts})
		}
	}
}
