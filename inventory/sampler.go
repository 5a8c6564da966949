package inventory

import (
	"cmp"
	"slices"
	"strings"
)

const hour = int64(3600e9)

// maxUsageRows bounds what a Sampler holds: namespaces times hours not yet taken.
const maxUsageRows = 50_000

// Sampler adds up, by namespace and hour, what pods request and use. Not safe for
// concurrent use; time comes in with each sample.
type Sampler struct {
	Cluster string
	Boot    int64 // when the agent started
	last    int64
	rows    map[usageKey]*Usage
	Refused int // rows beyond the bound: not counted anywhere else
}

type usageKey struct {
	hour      int64
	namespace string
}

// maxGap is the longest time that one sample stands for: beyond it nobody looked.
const maxGap = int64(5 * 60e9)

// Sample adds the time since the last sample, at most five minutes, as the state stands
// now. used are cores by namespace/name of pods; why says why it is nil.
func (s *Sampler) Sample(state *State, used map[string]float64, why string, now int64) {
	since := s.last
	s.last = now
	if since == 0 || now <= since {
		return
	}
	span := min(now-since, maxGap)
	from := now - span
	for from < now { // a sample may cross a full hour
		end := min(now, from-from%hour+hour)
		s.add(state, used, why, from-from%hour, float64(end-from)/float64(hour))
		from = end
	}
}

func (s *Sampler) row(hour int64, namespace string) *Usage {
	k := usageKey{hour, namespace}
	u := s.rows[k]
	if u == nil {
		if s.rows == nil {
			s.rows = map[usageKey]*Usage{}
		}
		if len(s.rows) >= maxUsageRows {
			s.Refused++
			return &Usage{}
		}
		u = &Usage{Cluster: s.Cluster, Boot: s.Boot, Hour: hour, Namespace: namespace}
		s.rows[k] = u
	}
	return u
}

func (s *Sampler) add(state *State, used map[string]float64, why string, at int64, hours float64) {
	state.mu.RLock()
	defer state.mu.RUnlock()
	whole := s.row(at, "")
	whole.Samples++
	for _, o := range state.kinds[KindNode][""] {
		whole.Nodes += hours
		if o.Node != nil {
			whole.Cores += hours * float64(o.Node.CPU) / 1000
		}
	}
	seen := map[string]bool{}
	for namespace, pods := range state.kinds[KindPod] {
		for _, o := range pods {
			if o.Pod == nil || ended(o.Pod) || o.Pod.NodeName == "" { // it holds nothing
				continue
			}
			u := s.row(at, namespace)
			if !seen[namespace] {
				seen[namespace] = true
				u.Samples++
			}
			cores, memory := requests(&o.Pod.PodSpec)
			u.Requested += hours * cores
			u.Memory += hours * memory
			got, known := used[namespace+"/"+o.Name]
			switch {
			case known:
				u.Used += hours * got
			case used == nil:
				u.UsedWhy = why
			default:
				u.UsedWhy = "the metrics API did not tell of every pod"
			}
			u.Charged += hours * max(cores, got)
		}
	}
	for _, u := range s.rows {
		if u.Hour == at && u.Namespace != "" && u.Owner == "" {
			u.Owner, _ = state.namespaceOwner(u.Namespace)
		}
	}
}

// requests is what the scheduler sets aside for a pod, in cores and GiB: the sum of its
// containers, or more where an init container asks for more.
func requests(p *PodSpec) (cores, gib float64) {
	var cpu, mem, initCPU, initMem int64
	for i := range p.Containers {
		c := &p.Containers[i]
		switch c.Role {
		case "":
			cpu, mem = cpu+c.CPU, mem+c.Memory
		case "init":
			initCPU, initMem = max(initCPU, c.CPU), max(initMem, c.Memory)
		}
	}
	return float64(max(cpu, initCPU)) / 1000, float64(max(mem, initMem)) / (1 << 30)
}

// Take returns the rows of all hours, in order, and forgets those of hours that are over.
// A row of the running hour is given again, larger, until its hour is over: receivers
// replace by cluster, boot, hour and namespace.
func (s *Sampler) Take(now int64) []Usage {
	running := now - now%hour
	out := make([]Usage, 0, len(s.rows))
	for k, u := range s.rows {
		out = append(out, *u)
		if u.Hour < running {
			delete(s.rows, k)
		}
	}
	slices.SortFunc(out, func(a, b Usage) int {
		return cmp.Or(cmp.Compare(a.Hour, b.Hour), strings.Compare(a.Namespace, b.Namespace))
	})
	return out
}
