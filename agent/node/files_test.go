package node

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/inventory"
)

func TestModesOfANodesFiles(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	write := func(base, path string, mode os.FileMode) {
		t.Helper()
		p := filepath.Join(base, path)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte("token: never read"), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
	}
	if files, why := readFiles(root); files != nil || !strings.Contains(why, "no kubelet's kubeconfig") {
		t.Errorf("of an empty root: %v %q", files, why)
	}
	if files, why := readFiles(filepath.Join(root, "gone")); files != nil || !strings.Contains(why, "cannot be seen") {
		t.Errorf("of no root: %v %q", files, why)
	}
	write(root, "/etc/kubernetes/azure.json", 0o640)
	if files, why := readFiles(root); files != nil || why == "" {
		t.Errorf("without a kubeconfig: %v %q", files, why)
	}
	// An absolute link of the node is one within its root: outside it there is another file.
	write(root, "/var/lib/kubelet/real", 0o600)
	write(outside, "/var/lib/kubelet/real", 0o777)
	if err := os.Symlink("/var/lib/kubelet/real", filepath.Join(root, "/var/lib/kubelet/kubeconfig")); err != nil {
		t.Fatal(err)
	}
	files, why := readFiles(root)
	uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
	want := []inventory.NodeFile{
		{Path: "/var/lib/kubelet/kubeconfig", Role: inventory.FileKubeconfig, Mode: 0o600, UID: uid, GID: gid},
		{Path: "/etc/default/kubeletconfig.json", Role: inventory.FileKubeletConfig, Absent: true},
		{Path: "/etc/kubernetes/azure.json", Role: inventory.FileAzureJSON, Mode: 0o640, UID: uid, GID: gid},
	}
	if why != "" || !reflect.DeepEqual(files, want) {
		t.Errorf("%+v %q", files, why)
	}
}
