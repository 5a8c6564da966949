package posture

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/dockreeve/dockreeve/inventory"
)

// nodes calls yield for each node that has a kubelet of its own, with what is known of it.
func (s *subject) nodes(t *tally, windows bool, yield func(name string, k *Kubelet)) {
	c := s.inside(t, partNodes)
	if c == nil {
		return
	}
	if why := c.Missing[partKubelets]; why != "" {
		t.unknown(partKubelets + " are not all known: " + why)
	}
	told := map[string]*Kubelet{}
	for i := range c.Kubelets {
		told[c.Kubelets[i].Node] = &c.Kubelets[i]
	}
	virtual, other := 0, 0
	silent := 0
	for i := range c.Nodes {
		n := &c.Nodes[i]
		switch k := told[n.Name]; {
		case n.Node.Virtual:
			virtual++
		case !windows && strings.EqualFold(n.Node.OS, "windows"):
			other++
		case k == nil:
			silent++
		default:
			yield(n.Name, k)
		}
	}
	if silent > 0 {
		t.unknown(plural(silent, "node", "nodes") + " told nothing of the kubelet: give the cluster agent nodes/proxy (deploy/kubernetes/kubelet.yaml), or run the node agent there")
	}
	if virtual+other > 0 {
		t.left = fmt.Sprintf("%d virtual and %d Windows nodes are left out", virtual, other)
	}
	if t.checked == 0 && len(t.unknowns) == 0 {
		t.notRelevant("no node that this control speaks of")
	}
}

// files calls yield for each file of a role on each node. Windows has no such modes.
func (s *subject) files(t *tally, role string, yield func(where string, f *File)) {
	s.nodes(t, false, func(name string, k *Kubelet) {
		if why := k.Why["files"]; why != "" {
			t.unknown("files of nodes were not read: " + clip(why, 200))
			return
		}
		found := false
		for i := range k.Files {
			f := &k.Files[i]
			if f.Role != role {
				continue
			}
			found = true
			if f.Absent {
				t.saw(path.Join(name, f.Path), "file", "does not exist", FromNode)
				continue
			}
			yield(path.Join(name, f.Path), f)
		}
		if !found {
			t.unknown("nodes did not tell of " + role + " files: run the node agent there")
		}
	})
}

func fileMode(role string) check {
	return func(s *subject, t *tally) {
		t.say("only its owner writes to the file on {of} nodes", "others than the owner may write to the file, or run it, on {n} of {of} nodes")
		s.files(t, role, func(where string, f *File) {
			t.judge(f.Mode&^0o644 == 0, where, "mode", fmt.Sprintf("%04o", f.Mode), FromNode)
		})
	}
}

func fileOwner(role string) check {
	return func(s *subject, t *tally) {
		t.say("the file is root's on {of} nodes", "the file is not root's on {n} of {of} nodes")
		s.files(t, role, func(where string, f *File) {
			t.judge(f.UID == 0 && f.GID == 0, where, "owner", fmt.Sprintf("%d:%d", f.UID, f.GID), FromNode)
		})
	}
}

// setting calls yield with a setting of each node's kubelet.
func (s *subject) setting(t *tally, key string, windows bool, yield func(where, value string)) {
	s.nodes(t, windows, func(name string, k *Kubelet) {
		if why := k.Why["config"]; why != "" {
			t.unknown("configurations of kubelets were not read: " + clip(why, 300))
			return
		}
		v, ok := k.Config[key]
		if !ok {
			t.unknown("kubelets did not tell " + key)
			return
		}
		yield(name+"/kubelet", v)
	})
}

// kubeletIs wants a setting to have one value.
func kubeletIs(path, want string) check {
	return func(s *subject, t *tally) {
		t.say(path+" is "+want+" on {of} nodes", path+" is not "+want+" on {n} of {of} nodes")
		// Windows has no iptables.
		s.setting(t, path, path != "makeIPTablesUtilChains", func(where, v string) { t.judge(strings.EqualFold(v, want), where, path, v, FromNode) })
	}
}

// kubeletNot wants a setting to have none of some values.
func kubeletNot(path string, bad ...string) check {
	return func(s *subject, t *tally) {
		t.say(path+" is set as it should be on {of} nodes", path+" is not set as it should be on {n} of {of} nodes")
		s.setting(t, path, true, func(where, v string) { t.judge(!slices.Contains(bad, v), where, path, v, FromNode) })
	}
}

// kubeletEvents wants the kubelet to drop no events it could send: 0 is without a limit,
// and 50 a second is what Kubernetes sets by itself since 1.27; less loses some.
func kubeletEvents(s *subject, t *tally) {
	const path = "eventRecordQPS"
	t.say("kubelets of {of} nodes send events at the usual rate or without a limit", "kubelets of {n} of {of} nodes send fewer events than usual")
	s.setting(t, path, true, func(where, v string) {
		n, err := strconv.Atoi(v)
		t.judge(err == nil && (n == 0 || n >= 50), where, path, v, FromNode)
	})
}

// kubeletServing wants the kubelet to ask for a certificate to serve with, and to renew it.
func kubeletServing(s *subject, t *tally) {
	const path, gate = "serverTLSBootstrap", "featureGates.RotateKubeletServerCertificate"
	t.say("kubelets of {of} nodes renew the certificate that they serve with", "kubelets of {n} of {of} nodes do not renew the certificate that they serve with")
	s.nodes(t, true, func(name string, k *inventory.Kubelet) {
		switch v, ok := k.Config[path]; {
		case k.Why["config"] != "":
			t.unknown("configurations of kubelets were not read: " + clip(k.Why["config"], 300))
		case !ok:
			t.unknown("kubelets did not tell " + path)
		case k.Config[gate] == "false":
			t.fail(name+"/kubelet", gate, "false", FromNode)
		default:
			t.judge(v == "true", name+"/kubelet", path, v, FromNode)
		}
	})
}
