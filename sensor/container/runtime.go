package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/event"
)

// Dirs are where runtimes keep their state; a nil slice means the usual places.
// Entries of Runc and Tasks may hold shell patterns for the namespace directory. They are
// looked for in every root of Options.Roots.
type Dirs struct {
	Runc    []string // ID/state.json
	Tasks   []string // containerd: ID/config.json
	Docker  []string // ID/config.v2.json
	Storage []string // CRI-O and Podman: ID/userdata/config.json

	root string // of the file system they are in; "" = this process's own
}

// under are the same places in another file system.
func (d Dirs) under(root string) Dirs {
	d.root = root
	return d
}

// in is a path of the runtime's as seen from here.
func (d Dirs) in(path string) string {
	if d.root == "" || path == "" {
		return path
	}
	return filepath.Join(d.root, path)
}

func (d Dirs) orUsual() Dirs {
	if d.Runc == nil {
		d.Runc = []string{"/run/runc", "/run/containerd/runc/*", "/run/docker/runtime-runc/*", "/run/k3s/containerd/runc/*", "/run/dockreeve/sandbox"}
	}
	if d.Tasks == nil {
		d.Tasks = []string{"/run/containerd/io.containerd.runtime.v2.task/*", "/run/k3s/containerd/io.containerd.runtime.v2.task/*"}
	}
	if d.Docker == nil {
		d.Docker = []string{"/var/lib/docker/containers"}
	}
	if d.Storage == nil {
		d.Storage = []string{"/run/containers/storage/overlay-containers", "/var/run/containers/storage/overlay-containers"}
	}
	return d
}

// Bounds on what a runtime may tell about one container.
const (
	maxStateFile = 8 << 20
	maxLabels    = 64
	maxMounts    = 64
	maxText      = 4096
)

// errNoState says that no runtime's state names the container.
var errNoState = errors.New("no runtime keeps state for it")

// find returns dir/ID/file for the first directory that has it.
func (d Dirs) find(dirs []string, id, file string) (string, bool) {
	for _, dir := range dirs {
		dir = d.in(dir)
		matches := []string{dir}
		if strings.ContainsRune(dir, '*') {
			matches, _ = filepath.Glob(dir) // the only error is a bad pattern, ours are constant
		}
		for _, m := range matches {
			p := filepath.Join(m, id, file)
			if _, err := os.Stat(p); err == nil {
				return p, true
			}
		}
	}
	return "", false
}

// readJSON decodes a bounded file.
func readJSON(path string, into any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxStateFile+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if len(b) > maxStateFile {
		return fmt.Errorf("read %s: larger than %d bytes", path, maxStateFile)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// The parts of runc's state.json we read.
type runcState struct {
	ID          string            `json:"id"`
	Created     time.Time         `json:"created"`
	CgroupPaths map[string]string `json:"cgroup_paths"`
	Config      struct {
		Rootfs string   `json:"rootfs"`
		Labels []string `json:"labels"`
	} `json:"config"`
}

// The parts of an OCI bundle's config.json we read.
type bundle struct {
	Process struct {
		Capabilities struct {
			Bounding  []string `json:"bounding"`
			Effective []string `json:"effective"`
		} `json:"capabilities"`
	} `json:"process"`
	Root struct {
		Path string `json:"path"`
	} `json:"root"`
	Mounts []struct {
		Destination string   `json:"destination"`
		Type        string   `json:"type"`
		Source      string   `json:"source"`
		Options     []string `json:"options"`
	} `json:"mounts"`
	Annotations map[string]string `json:"annotations"`
	Linux       *struct {
		MaskedPaths []string `json:"maskedPaths"`
	} `json:"linux"`
}

// The parts of Docker's config.v2.json and hostconfig.json we read.
type (
	dockerConfig struct {
		ID      string
		Name    string
		Created time.Time
		Image   string
		State   struct{ StartedAt time.Time }
		Config  struct {
			Image  string
			Labels map[string]string
		}
		MountPoints map[string]struct {
			Source, Destination, Mode, Propagation string
			RW                                     bool
		}
	}
	dockerHost struct{ Privileged bool }
)

// describe reads everything the runtimes' files tell about n into a container.
// With none of them it returns errNoState, wrapped with where it looked.
func (d Dirs) describe(n Name, cgroup string) (*event.Container, error) {
	c := &event.Container{ID: n.ID, Runtime: n.Runtime, PodUID: n.PodUID, CgroupPath: clip(cgroup)}
	var problems []error
	found := false
	note := func(err error) bool {
		if err == nil {
			found = true
			return true
		}
		if !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, err)
		}
		return false
	}
	bundleDir, stated := "", bundle{Annotations: map[string]string{}}
	if p, ok := d.find(d.Runc, n.ID, "state.json"); ok {
		var st runcState
		if note(readJSON(p, &st)) {
			c.CreatedTime = unixNano(st.Created)
			c.Rootfs = clip(d.in(st.Config.Rootfs))
			if c.Runtime == "" {
				c.Runtime = "runc"
			}
			for _, l := range st.Config.Labels {
				k, v, _ := strings.Cut(l, "=")
				if k == "bundle" {
					bundleDir = v
				} else if len(stated.Annotations) < maxLabels {
					stated.Annotations[k] = v // runc keeps the annotations here too
				}
			}
		}
	}
	config := ""
	if p, ok := d.find(d.Tasks, n.ID, "config.json"); ok {
		config = p
		if c.Runtime == "" || c.Runtime == "runc" {
			c.Runtime = "containerd"
		}
	} else if p, ok := d.find(d.Storage, n.ID, "userdata/config.json"); ok {
		config = p
	} else if bundleDir != "" {
		config = filepath.Join(d.in(bundleDir), "config.json")
	}
	if config != "" {
		var b bundle
		if note(readJSON(config, &b)) {
			fromBundle(c, &b, filepath.Dir(config), d)
			stated.Annotations = nil
		}
	}
	if len(stated.Annotations) > 0 {
		fromBundle(c, &stated, "", d)
	}
	if p, ok := d.find(d.Docker, n.ID, "config.v2.json"); ok {
		var dc dockerConfig
		var dh dockerHost
		if note(readJSON(p, &dc)) {
			fromDocker(c, &dc)
		}
		if note(readJSON(filepath.Join(filepath.Dir(p), "hostconfig.json"), &dh)) {
			c.Privileged = tristate(dh.Privileged)
		}
	}
	if !found {
		return nil, errors.Join(append([]error{errNoState}, problems...)...)
	}
	return c, errors.Join(problems...)
}

// SandboxName is the name of the container that holds a pod's namespaces and runs nothing
// but pause.
const SandboxName = "POD"

// Annotation keys: where the container engines say what a container is.
const (
	criPrefix  = "io.kubernetes.cri."
	crioPrefix = "io.kubernetes.cri-o."
	k8sPrefix  = "io.kubernetes."
)

func fromBundle(c *event.Container, b *bundle, dir string, d Dirs) {
	a := b.Annotations
	first := func(keys ...string) string {
		for _, k := range keys {
			if v := a[k]; v != "" {
				return clip(v)
			}
		}
		return ""
	}
	set := func(slot *string, v string) {
		if v != "" {
			*slot = v
		}
	}
	set(&c.Name, first(criPrefix+"container-name", k8sPrefix+"container.name", crioPrefix+"ContainerName", "nerdctl/name"))
	set(&c.PodName, first(criPrefix+"sandbox-name", k8sPrefix+"pod.name", crioPrefix+"KubeName"))
	set(&c.PodNamespace, first(criPrefix+"sandbox-namespace", k8sPrefix+"pod.namespace", crioPrefix+"Namespace"))
	set(&c.PodUID, first(criPrefix+"sandbox-uid", k8sPrefix+"pod.uid"))
	// What holds a pod's namespaces is no container of the pod's own: it bears the name
	// that kubelets have always given it.
	if a[criPrefix+"container-type"] == "sandbox" || a[crioPrefix+"ContainerType"] == "sandbox" {
		c.Name = SandboxName
	}
	setImage(c, first(criPrefix+"image-name", criPrefix+"podsandbox.image-name", crioPrefix+"ImageName", "io.podman.annotations.image", "org.opencontainers.image.ref.name"))
	set(&c.ImageID, first(crioPrefix+"ImageRef"))
	if a[crioPrefix+"ContainerID"] != "" {
		c.Runtime = "cri-o"
	}
	c.Labels = labels(c.Labels, a)
	for _, m := range b.Mounts {
		if len(c.Mounts) == maxMounts {
			break
		}
		em := event.Mount{Source: clip(m.Source), Dest: clip(m.Destination)}
		for _, o := range m.Options {
			switch o {
			case "ro":
				em.ReadOnly = true
			case "private", "rprivate", "shared", "rshared", "slave", "rslave":
				em.Propagation = o
			}
		}
		em.Mode = clip(strings.Join(m.Options, ","))
		c.Mounts = append(c.Mounts, em)
	}
	c.Privileged = privileged(b)
	if c.Rootfs == "" && b.Root.Path != "" {
		if c.Rootfs = clip(b.Root.Path); filepath.IsAbs(c.Rootfs) {
			c.Rootfs = d.in(c.Rootfs)
		} else {
			c.Rootfs = filepath.Join(dir, c.Rootfs)
		}
	}
}

// powerful are capabilities that only a privileged container has all of.
var powerful = []string{"CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_PTRACE", "CAP_MAC_ADMIN", "CAP_NET_ADMIN", "CAP_SYSLOG"}

// privileged judges an OCI configuration, which has no such word in it: all the
// powerful capabilities, and none of /proc's dangerous files hidden.
func privileged(b *bundle) event.Tristate {
	if b.Linux == nil {
		return event.Unknown
	}
	for _, p := range powerful {
		if !slices.Contains(b.Process.Capabilities.Bounding, p) {
			return event.No
		}
	}
	return tristate(len(b.Linux.MaskedPaths) == 0)
}

func fromDocker(c *event.Container, d *dockerConfig) {
	c.Runtime = "docker"
	c.Name = clip(strings.TrimPrefix(d.Name, "/"))
	c.CreatedTime, c.StartTime = unixNano(d.Created), unixNano(d.State.StartedAt)
	setImage(c, clip(d.Config.Image))
	c.ImageID = clip(d.Image)
	l := d.Config.Labels
	for slot, key := range map[*string]string{&c.PodName: "pod.name", &c.PodNamespace: "pod.namespace", &c.PodUID: "pod.uid"} {
		if v := l[k8sPrefix+key]; v != "" {
			*slot = clip(v)
		}
	}
	c.Labels = labels(c.Labels, l)
	if len(d.MountPoints) > 0 {
		c.Mounts = c.Mounts[:0]
		for _, m := range d.MountPoints {
			c.Mounts = append(c.Mounts, event.Mount{Source: clip(m.Source), Dest: clip(m.Destination), Mode: clip(m.Mode), Propagation: clip(m.Propagation), ReadOnly: !m.RW})
		}
		slices.SortFunc(c.Mounts, func(a, b event.Mount) int { return strings.Compare(a.Dest, b.Dest) })
		c.Mounts = c.Mounts[:min(len(c.Mounts), maxMounts)]
	}
}

func labels(have []event.Label, m map[string]string) []event.Label {
	for k, v := range m {
		have = append(have, event.Label{Key: clip(k), Value: clip(v)})
	}
	slices.SortFunc(have, func(a, b event.Label) int { return strings.Compare(a.Key, b.Key) })
	return have[:min(len(have), maxLabels)]
}

// setImage splits a reference: repository[:tag][@digest]. A colon before the last
// slash is a registry's port.
func setImage(c *event.Container, ref string) {
	if ref == "" {
		return
	}
	c.Image = ref
	name, digest, _ := strings.Cut(ref, "@")
	c.ImageDigest = digest
	c.ImageRepo, c.ImageTag = name, ""
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		c.ImageRepo, c.ImageTag = name[:i], name[i+1:]
	}
}

func tristate(b bool) event.Tristate {
	if b {
		return event.Yes
	}
	return event.No
}

func unixNano(t time.Time) int64 {
	if t.Year() < 1971 || t.Year() > 2200 {
		return 0
	}
	return t.UnixNano()
}

func clip(s string) string {
	if len(s) > maxText {
		return strings.Clone(s[:maxText])
	}
	return s
}
