package node

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
)

// hostFiles are the files whose modes and owners controls judge, by role, and where they
// may lie: the first that is there counts.
var hostFiles = []struct {
	role  string
	paths []string
}{
	{inventory.FileKubeconfig, []string{"/var/lib/kubelet/kubeconfig", "/etc/kubernetes/kubelet.conf"}},
	{inventory.FileKubeletConfig, []string{"/etc/default/kubeletconfig.json", "/var/lib/kubelet/config.yaml", "/etc/kubernetes/kubelet/kubelet-config.json"}},
	{inventory.FileAzureJSON, []string{"/etc/kubernetes/azure.json"}},
}

const (
	filesEvery = time.Hour
	filesFirst = 30 * time.Second // after the start: it is nothing urgent
	hostRoot   = "/proc/1/root"   // of the node, as its process 1 sees it: the agent shares its process ids
)

// readFiles reads modes and owners of a node's files below root; no content. A root
// without a kubelet's kubeconfig is that of no node, or not seen: then nothing is said of
// any file, least of all that it does not exist. Links are followed within root only.
func readFiles(root string) (files []inventory.NodeFile, why string) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, "the node's file system cannot be seen: " + err.Error()
	}
	defer unix.Close(dir)
	for _, f := range hostFiles {
		found := false
		for _, p := range f.paths {
			st, err := statIn(dir, p)
			if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
				continue
			}
			if err != nil {
				return nil, p + " cannot be seen: " + err.Error()
			}
			files = append(files, inventory.NodeFile{Path: p, Role: f.role, Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid})
			found = true
			break
		}
		if !found && f.role == inventory.FileKubeconfig {
			return nil, "no kubelet's kubeconfig lies where one is looked for (" + f.paths[0] + " and others)"
		}
		if !found {
			files = append(files, inventory.NodeFile{Path: f.paths[0], Role: f.role, Absent: true})
		}
	}
	return files, ""
}

func statIn(dir int, path string) (st unix.Stat_t, err error) {
	fd, err := unix.Openat2(dir, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return st, err
	}
	defer unix.Close(fd)
	return st, unix.Fstat(fd, &st)
}

// tellFiles tells of them now and then until ctx ends.
func (n *Node) tellFiles(ctx context.Context) {
	for wait := filesFirst; ; wait = filesEvery {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		n.sendFiles(ctx, hostRoot, time.Now())
	}
}

func (n *Node) sendFiles(ctx context.Context, root string, now time.Time) {
	k := inventory.Kubelet{Node: n.opt.Name, At: now.UnixNano()}
	var why string
	if k.Files, why = readFiles(root); why != "" {
		k.Why = map[string]string{"files": why}
	}
	if b, err := json.Marshal(&k); err == nil {
		// A full lane loses this word, and counts it; the next one follows.
		_ = n.opt.Sender.Send(ctx, link.LaneInventory, link.KindKubelet, b)
	}
}
