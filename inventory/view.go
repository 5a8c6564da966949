package inventory

import (
	"slices"
	"strings"
)

// view is one workload as it stands: its object, where that is known, and its pods.
type view struct {
	key, namespace, kind, name string

	obj  *Object   // of a pod without owner the pod
	pods []*Object // ordered by name
}

// view returns a workload by key; nil when there is neither object nor pod of it.
// Callers hold the lock.
func (s *State) view(namespace, key string) *view {
	rest, ok := strings.CutPrefix(key, namespace+"/")
	if !ok {
		return nil
	}
	kind, name, _ := strings.Cut(rest, "/")
	v := &view{key: key, namespace: namespace, kind: kind, name: name}
	if w := s.works[namespace][key]; w != nil {
		for _, n := range sorted(w.pods) {
			v.pods = append(v.pods, w.pods[n])
		}
	}
	if k := Kind(kind); makesPods(k) || k == KindPod {
		if o := s.get(Key{Kind: k, Namespace: namespace, Name: name}); o != nil && workKey(namespace, s.topOf(o)) == key {
			v.obj = o
		}
	}
	if v.obj == nil && len(v.pods) == 0 {
		return nil
	}
	return v
}

// workKeys lists the workloads of a namespace: those with pods, and objects at the top of
// their chain.
func (s *State) workKeys(namespace string) []string {
	set := map[string]bool{}
	for k := range s.works[namespace] {
		set[k] = true
	}
	for _, kind := range []Kind{KindDeployment, KindReplicaSet, KindStatefulSet, KindDaemonSet, KindJob, KindCronJob, KindRC} {
		for _, o := range s.kinds[kind][namespace] {
			if key := workKeyOf(o.Key); !set[key] && workKey(namespace, s.topOf(o)) == key {
				set[key] = true
			}
		}
	}
	return sorted(set)
}

// spaces lists the namespaces that hold something.
func (s *State) spaces() []string {
	set := map[string]bool{}
	for _, byNS := range s.kinds {
		for ns := range byNS {
			if ns != "" {
				set[ns] = true
			}
		}
	}
	return sorted(set)
}

// spec is what decides the workload's powers: the template, else that of its first pod.
func (v *view) spec() *PodSpec {
	if v.obj != nil {
		return specOf(v.obj)
	}
	return specOf(v.pods[0])
}

// owned is the object that names the workload's owner.
func (v *view) owned() *Object {
	if v.obj != nil {
		return v.obj
	}
	return v.pods[0]
}

// selected reports whether a selector finds the workload's pods or, as long as it has
// none, its template. An empty selector finds all.
func (v *view) selected(selector map[string]string) bool {
	running := false
	for _, p := range v.pods {
		if ended(p.Pod) {
			continue
		}
		running = true
		if selects(selector, p.Labels) {
			return true
		}
	}
	return !running && v.obj != nil && (v.obj.Pod == nil || !ended(v.obj.Pod)) && selects(selector, podLabels(v.obj))
}

// tokenMounted reports whether the workload's containers can read a token for the API
// server: of pods by what is mounted, of a template by what admission will do.
func (s *State) tokenMounted(v *view) bool {
	for _, p := range v.pods {
		if hasToken(&p.Pod.PodSpec) {
			return true
		}
	}
	return len(v.pods) == 0 && s.tokenComes(v.namespace, v.spec())
}

// tokenComes says what admission will do with a pod of this specification.
func (s *State) tokenComes(namespace string, p *PodSpec) bool {
	if hasToken(p) {
		return true
	}
	if p.Automount != nil {
		return *p.Automount
	}
	a := s.get(Key{Kind: KindServiceAccount, Namespace: namespace, Name: p.ServiceAccount})
	return a == nil || a.Account == nil || a.Account.Automount == nil || *a.Account.Automount
}

func hasToken(p *PodSpec) bool {
	for _, v := range p.Volumes {
		if v.Type == "projected" && slices.Contains(strings.Split(v.Source, ","), "token") {
			return true
		}
	}
	for _, c := range p.Containers {
		for _, m := range c.Mounts {
			if m.Path == "/var/run/secrets/kubernetes.io/serviceaccount" {
				return true
			}
		}
	}
	return false
}

// secretsOf names the secrets that a specification mounts or reads, sorted.
func secretsOf(p *PodSpec) []string {
	set := map[string]bool{}
	for _, v := range p.Volumes {
		switch v.Type {
		case "secret":
			set[v.Source] = true
		case "projected":
			for part := range strings.SplitSeq(v.Source, ",") {
				if name, ok := strings.CutPrefix(part, "secret/"); ok {
					set[name] = true
				}
			}
		}
	}
	for _, c := range p.Containers {
		for _, n := range c.SecretEnv {
			set[n] = true
		}
	}
	delete(set, "")
	return none(sorted(set))
}

// none makes an empty list nil, as JSON leaves it out.
func none[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}
