// Package container says which container a cgroup is, and what its runtime knows
// about it.
//
// It owns the choice of the cgroup hierarchy that tells containers apart, the names
// runtimes give to cgroups, and the reading of the runtimes' own state files (runc,
// containerd, Docker, CRI-O and Podman). It promises an answer for every cgroup id:
// the host, a container, or a container whose Unknown says why its metadata is
// missing and which heals when that appears. Everything it reads is bounded and
// taken as hostile. It starts no container and talks to no runtime socket.
package container

import "strings"

// Name is what a cgroup path alone tells.
type Name struct {
	ID      string // container id
	Runtime string // docker, containerd, cri-o, podman; "" when the layout does not tell
	PodUID  string // Kubernetes pod uid, "" when there is none
}

// prefixes are the systemd scope names of the runtimes: PREFIX-ID.scope.
var prefixes = map[string]string{
	"docker": "docker", "cri-containerd": "containerd", "containerd": "containerd", "nerdctl": "containerd",
	"crio": "cri-o", "libpod": "podman",
}

// ParseCgroup reads a cgroup path as Docker, containerd, CRI-O, Podman and the
// kubelet lay it out, with the systemd or the cgroupfs driver. The innermost
// container wins, so a container inside a container is found, and what a container
// puts below its own cgroup is still the container. ok is false for paths that name
// no container; a container with a name of its own (runc run NAME) is such a path,
// and only its runtime's state tells.
func ParseCgroup(path string) (n Name, ok bool) {
	for part := range strings.SplitSeq(path, "/") {
		if uid, is := podUID(part); is {
			n.PodUID = uid
			continue
		}
		if id, runtime, is := parsePart(part); is {
			n.ID, n.Runtime, ok = id, runtime, true
			if runtime == "" && strings.Contains(path, "/docker/"+part) {
				n.Runtime = "docker"
			}
		}
	}
	if !ok {
		return Name{}, false
	}
	return n, true
}

func parsePart(part string) (id, runtime string, ok bool) {
	if isID(part) {
		return part, "", true
	}
	scope, isScope := strings.CutSuffix(part, ".scope")
	if !isScope {
		// A systemd style name under the cgroupfs driver: SLICE:PREFIX:ID.
		if f := strings.Split(part, ":"); len(f) == 3 && isID(f[2]) {
			return f[2], prefixes[f[1]], true
		}
		// Podman's cgroupfs driver: libpod-ID.
		scope = part
	}
	i := strings.LastIndexByte(scope, '-')
	if i < 0 || !isID(scope[i+1:]) {
		return "", "", false
	}
	// conmon watches a container from a scope of its own; it is not in it.
	if strings.HasSuffix(scope[:i], "conmon") {
		return "", "", false
	}
	return scope[i+1:], prefixes[scope[:i]], true
}

// podUID reads podUID, podUID.slice and kubepods-CLASS-podUID.slice, where the
// systemd driver writes the dashes of the uid as underscores.
func podUID(part string) (string, bool) {
	s, slice := strings.CutSuffix(part, ".slice")
	if slice {
		if !strings.HasPrefix(s, "kubepods") && !strings.HasPrefix(s, "kubelet-kubepods") {
			return "", false
		}
		i := strings.LastIndex(s, "-pod")
		if i < 0 {
			return "", false
		}
		return strings.ReplaceAll(s[i+4:], "_", "-"), true
	}
	s, is := strings.CutPrefix(part, "pod")
	if !is || len(s) < 32 || strings.Trim(s, "0123456789abcdef-") != "" {
		return "", false
	}
	return s, true
}

// hostPath reports whether a path that names no container is surely the host's: the root,
// a unit of systemd's, or the cgroup of a whole pod, in which nothing runs.
func hostPath(path string) bool {
	if path == "/" || systemUnit(path) {
		return true
	}
	_, pod := podUID(path[strings.LastIndexByte(path, '/')+1:])
	return pod
}

// isID reports whether s has the shape of a container id: 64 hexadecimal digits.
func isID(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// systemUnit reports whether a cgroup is one of systemd's own kinds, which is the
// host's unless ParseCgroup says otherwise.
func systemUnit(path string) bool {
	leaf := path[strings.LastIndexByte(path, '/')+1:]
	for _, s := range []string{".service", ".slice", ".scope", ".mount", ".socket", ".swap"} {
		if strings.HasSuffix(leaf, s) {
			return true
		}
	}
	return false
}
