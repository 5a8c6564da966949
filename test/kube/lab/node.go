package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// nodeDirs are the directories of a machine that a node has for itself: bind mounts in its
// mount namespace, so that what asks for the usual paths on it gets its own.
var nodeDirs = []string{"/var/lib/kubelet", "/var/lib/containerd", "/var/lib/cni", "/run/containerd", "/run/netns",
	"/etc/cni/net.d", "/etc/kubernetes/manifests", "/opt/cni/bin", "/var/log/pods", "/var/log/containers"}

// Possible says what this machine lacks for a lab with so many nodes; nil = nothing.
func Possible(nodes int) error {
	needs := []string{"go", "nice"}
	if nodes > 0 {
		if os.Getuid() != 0 {
			return errors.New("a lab with nodes needs root")
		}
		needs = append(needs, "runc", "busybox", "iptables", "nft", "ip", "nsenter", "unshare", "mount", "sysctl")
	}
	var missing []string
	for _, n := range needs {
		if _, err := exec.LookPath(n); err != nil {
			missing = append(missing, n)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the lab needs %s, which this machine does not have; `make setup` installs what it can", strings.Join(missing, ", "))
	}
	return nil
}

func (l *Lab) newNode(i int) Node {
	name := fmt.Sprintf("node%d", i+1)
	return Node{
		Name: name, Wire: fmt.Sprintf("drlab%d-%d", l.Slot, i+1), Cgroup: fmt.Sprintf("drlab%d/%s", l.Slot, name), Host: l.File("host-" + name),
		HostIP: fmt.Sprintf("10.200.%d.%d", l.Slot, 4*i+1), IP: fmt.Sprintf("10.200.%d.%d", l.Slot, 4*i+2),
	}
}

// makeNode makes the namespaces of a node and the wire to it.
func (l *Lab) makeNode(ctx context.Context, n *Node) error {
	holder, err := l.start("node-"+n.Name, nil, "unshare", "--mount", "--net", "--propagation", "private", "sleep", "infinity")
	if err != nil {
		return err
	}
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return err
	}
	if err := l.wait(ctx, "namespaces of "+n.Name, "node-"+n.Name+".log", 10*time.Second, func(context.Context) bool {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", holder.PID))
		ns, err2 := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", holder.PID))
		return err == nil && err2 == nil && ns != own && strings.TrimSpace(string(comm)) == "sleep"
	}); err != nil {
		return err
	}
	far := n.Wire + "n"
	for _, args := range [][]string{
		{"ip", "link", "add", n.Wire, "type", "veth", "peer", "name", far, "netns", fmt.Sprint(holder.PID)},
		{"ip", "addr", "add", n.HostIP + "/30", "dev", n.Wire},
		{"ip", "link", "set", n.Wire, "up"},
		// Pods of two nodes reach each other through this machine; the setting goes with the wire.
		{"sysctl", "-qw", "net.ipv4.conf." + n.Wire + ".forwarding=1"},
	} {
		if err := run(ctx, args[0], args[1:]...); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"ip", "link", "set", "lo", "up"}, {"ip", "addr", "add", n.IP + "/30", "dev", far}, {"ip", "link", "set", far, "up"},
		{"ip", "route", "add", "default", "via", n.HostIP}, {"sysctl", "-qw", "net.ipv4.ip_forward=1"},
	} {
		if err := l.onNode(ctx, n.Name, args...); err != nil {
			return err
		}
	}
	if err := makeDirs(nodeDirs); err != nil {
		return err
	}
	for _, d := range nodeDirs {
		if err := os.MkdirAll(n.Host+d, 0o755); err != nil {
			return err
		}
		if err := l.onNode(ctx, n.Name, "mount", "--bind", n.Host+d, d); err != nil {
			return err
		}
	}
	if err := l.onNode(ctx, n.Name, "mount", "--make-rshared", "/"); err != nil {
		return err
	}
	if err := makeCgroups(n.Cgroup); err != nil {
		return err
	}
	plugins, err := filepath.Glob(filepath.Join(l.Parts["cni"], "*"))
	if err != nil {
		return err
	}
	for _, p := range plugins {
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(n.Host, "opt/cni/bin", filepath.Base(p)), b, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// makeDirs makes the directories that nodes mount over, where the machine has them not,
// and notes them in the register: the last lab that ends removes them. To remove one
// sooner would take the mounts of the others away with it.
func makeDirs(dirs []string) error {
	return withRegister(func(reg string) error {
		f, err := os.OpenFile(filepath.Join(reg, "made"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		for _, d := range dirs {
			var missing []string
			for p := d; ; p = filepath.Dir(p) {
				if _, err := os.Stat(p); err == nil {
					break
				} else if !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				missing = append(missing, p)
			}
			for i := len(missing) - 1; i >= 0; i-- {
				if _, err := fmt.Fprintln(f, missing[i]); err != nil {
					return err
				}
				if err := os.Mkdir(missing[i], 0o755); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// makeCgroups makes the cgroup that holds a node's pods: in every hierarchy of v1, or in
// v2 with the controllers that the kubelet asks for handed down to it.
func makeCgroups(name string) error {
	const root = "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		at := root
		for part := range strings.SplitSeq(name, "/") {
			for _, c := range []string{"cpu", "cpuset", "memory", "pids", "io"} {
				// One by one: a controller that is missing does not take the others with it,
				// and the kubelet says which it cannot do without.
				_ = os.WriteFile(filepath.Join(at, "cgroup.subtree_control"), []byte("+"+c), 0o644)
			}
			if at = filepath.Join(at, part); mkdir(at) != nil {
				return fmt.Errorf("make cgroup %s: %w", at, mkdir(at))
			}
		}
		return nil
	}
	for _, c := range []string{"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd"} {
		at := filepath.Join(root, c)
		if _, err := os.Stat(at); err != nil {
			continue
		}
		for part := range strings.SplitSeq(name, "/") {
			above := at
			at = filepath.Join(at, part)
			if err := mkdir(at); err != nil {
				return fmt.Errorf("make cgroup %s: %w", at, err)
			}
			if c != "cpuset" {
				continue
			}
			for _, f := range []string{"cpuset.cpus", "cpuset.mems"} { // empty at first, and then nothing may run in it
				b, err := os.ReadFile(filepath.Join(above, f))
				if err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(at, f), b, 0o644); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func mkdir(path string) error {
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// nodePath is the PATH of what finds its programs by name: shims, mounts, iptables.
func (l *Lab) nodePath() []string {
	return []string{"PATH=" + l.Parts["containerd"] + ":" + l.Parts["kube"] + ":" + os.Getenv("PATH")}
}

// startRuntime starts containerd and loads the images.
func (l *Lab) startRuntime(ctx context.Context, n *Node) error {
	runc, err := exec.LookPath("runc")
	if err != nil {
		return err
	}
	if err := l.render("containerd.toml", l.File("containerd-"+n.Name+".toml"), map[string]any{"Pause": PauseImage, "Runc": runc}); err != nil {
		return err
	}
	if _, err := l.start("containerd-"+n.Name, l.nodePath(), append([]string{"nsenter"}, l.inside(n.Name, l.Bin("containerd"), "--config", l.File("containerd-"+n.Name+".toml"))...)...); err != nil {
		return err
	}
	if err := l.wait(ctx, "containerd of "+n.Name, "containerd-"+n.Name+".log", time.Minute, func(ctx context.Context) bool {
		_, err := l.Ctr(ctx, n.Name, "version")
		return err == nil
	}); err != nil {
		return err
	}
	for _, image := range []string{"pause", "busybox", "tools"} {
		if _, err := l.Ctr(ctx, n.Name, "images", "import", filepath.Join(l.Parts["images"], image+".tar")); err != nil {
			return err
		}
	}
	l.say("images of %s", n.Name)
	return nil
}

func (l *Lab) startKubelet(n *Node) error {
	if err := l.render("kubelet.yaml", l.File("kubelet-"+n.Name+".yaml"), map[string]any{"Cgroup": n.Cgroup, "NodeIP": n.IP, "Node": n.Name}); err != nil {
		return err
	}
	args := append([]string{l.Bin("kubelet"), "--config", l.File("kubelet-" + n.Name + ".yaml"), "--kubeconfig", l.File("kubelet-" + n.Name + ".kubeconfig"),
		"--hostname-override", n.Name, "--node-ip", n.IP, "--v", "2"}, l.flags["kubelet"]...)
	_, err := l.start("kubelet-"+n.Name, l.nodePath(), append([]string{"nsenter"}, l.inside(n.Name, args...)...)...)
	return err
}

// joinNode waits until a node has its pod network, gives it what needs that, and waits
// until it is ready.
func (l *Lab) joinNode(ctx context.Context, n *Node) error {
	type node struct {
		Spec   struct{ PodCIDR string }
		Status struct {
			Conditions []struct{ Type, Status string }
		}
	}
	get := func(ctx context.Context) (v node) {
		b, err := l.API(ctx, "GET", "/api/v1/nodes/"+n.Name, nil)
		if err != nil || json.Unmarshal(b, &v) != nil {
			return node{}
		}
		return v
	}
	if err := l.wait(ctx, n.Name+" has a pod network", "kubelet-"+n.Name+".log", 2*time.Minute, func(ctx context.Context) bool {
		n.PodCIDR = get(ctx).Spec.PodCIDR
		return n.PodCIDR != ""
	}); err != nil {
		return err
	}
	if err := l.render("cni.conflist", n.Host+"/etc/cni/net.d/10-dockreeve-lab.conflist", map[string]any{"PodCIDR": n.PodCIDR}); err != nil {
		return err
	}
	if err := run(ctx, "ip", "route", "replace", n.PodCIDR, "via", n.IP, "dev", n.Wire); err != nil {
		return err
	}
	if err := l.render("kube-proxy.yaml", l.File("kube-proxy.yaml"), nil); err != nil {
		return err
	}
	if _, err := l.start("kube-proxy-"+n.Name, nil, append([]string{"nsenter"}, l.inside(n.Name, l.Bin("kube-proxy"), "--config", l.File("kube-proxy.yaml"), "--hostname-override", n.Name)...)...); err != nil {
		return err
	}
	return l.wait(ctx, n.Name+" is ready", "kubelet-"+n.Name+".log", 2*time.Minute, func(ctx context.Context) bool {
		for _, c := range get(ctx).Status.Conditions {
			if c.Type == "Ready" && c.Status == "True" {
				return true
			}
		}
		return false
	})
}
