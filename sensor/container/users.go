package container

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// users are the names of one /etc/passwd and /etc/group.
type users struct {
	user, group map[uint32]string
	err         error
}

// Bounds on a user database, which the container itself writes.
const (
	maxPasswd = 1 << 20
	maxUsers  = 4096
	maxName   = 256
)

// UserName gives the name of a uid in a container, by its own /etc/passwd; with
// cgroup 0 or of the host, by the host's. "" means it has none, or that it is not
// known yet.
func (r *Resolver) UserName(cgroup uint64, uid uint32) string {
	u, _ := r.names(cgroup)
	return u[uid]
}

// GroupName is UserName for groups.
func (r *Resolver) GroupName(cgroup uint64, gid uint32) string {
	_, g := r.names(cgroup)
	return g[gid]
}

// names returns tables that are never written again.
func (r *Resolver) names(cgroup uint64) (user, group map[uint32]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.entries[cgroup]; ok && e.answer.Status != Host {
		if e.users == nil {
			return nil, nil
		}
		return e.users.user, e.users.group
	}
	return r.host.user, r.host.group
}

func (r *Resolver) readHostUsers() {
	// pid 1's root is the host's also when the sensor runs in a container.
	u := readUsers(procRoot(r.o.Proc, 1))
	if u == nil || u.err != nil {
		u = readUsers("/")
	}
	if u == nil {
		return
	}
	r.mu.Lock()
	r.host = u
	r.mu.Unlock()
}

// procRoot is the root of a process, unless that is this process's own mount
// namespace, which a container still being set up shows.
func procRoot(proc string, pid int32) string {
	if pid <= 0 {
		return ""
	}
	dir := filepath.Join(proc, strconv.Itoa(int(pid)))
	var own, its unix.Stat_t
	if unix.Stat(filepath.Join(proc, "self/ns/mnt"), &own) != nil || unix.Stat(filepath.Join(dir, "ns/mnt"), &its) != nil {
		return ""
	}
	if own.Ino == its.Ino && pid != 1 {
		return ""
	}
	return filepath.Join(dir, "root")
}

// readUsers reads the user database below root; nil when there is no root.
func readUsers(root string) *users {
	if root == "" {
		return nil
	}
	u := &users{}
	u.user, u.err = readNames(root, "etc/passwd")
	g, err := readNames(root, "etc/group")
	u.group = g
	if u.err == nil {
		u.err = err
	}
	return u
}

// waiting are the file systems that can make a read wait for someone else, for ever.
var waiting = map[int64]bool{unix.FUSE_SUPER_MAGIC: true, unix.NFS_SUPER_MAGIC: true, unix.SMB_SUPER_MAGIC: true, unix.CIFS_SUPER_MAGIC: true, unix.SMB2_SUPER_MAGIC: true}

// readNames reads a colon-separated database below root. Links are followed inside
// root only, and only a plain file of a bounded size is read.
func readNames(root, name string) (map[uint32]string, error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", root, err)
	}
	defer unix.Close(dir)
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	at, err := unix.Openat2(dir, name, &how)
	if err != nil {
		return nil, fmt.Errorf("open %s in %s: %w", name, root, err)
	}
	defer unix.Close(at)
	var st unix.Stat_t
	var sf unix.Statfs_t
	if err := unix.Fstat(at, &st); err != nil {
		return nil, fmt.Errorf("look at %s in %s: %w", name, root, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size > maxPasswd {
		return nil, fmt.Errorf("%s in %s is no plain file of at most %d bytes", name, root, maxPasswd)
	}
	if err := unix.Fstatfs(at, &sf); err != nil || waiting[sf.Type] {
		return nil, fmt.Errorf("%s in %s is on a file system that may not answer", name, root)
	}
	f, err := os.Open("/proc/self/fd/" + strconv.Itoa(at))
	if err != nil {
		return nil, fmt.Errorf("open %s in %s: %w", name, root, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPasswd))
	if err != nil {
		return nil, fmt.Errorf("read %s in %s: %w", name, root, err)
	}
	return parseNames(b), nil
}

// parseNames reads name:x:number:… lines; the first name of a number wins, as in
// getpwuid(3). What is not such a line is passed over.
func parseNames(b []byte) map[uint32]string {
	m := map[uint32]string{}
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, maxPasswd)
	for sc.Scan() && len(m) < maxUsers {
		f := strings.SplitN(sc.Text(), ":", 4)
		if len(f) < 3 || f[0] == "" || len(f[0]) > maxName {
			continue
		}
		id, err := strconv.ParseUint(f[2], 10, 32)
		if err != nil {
			continue
		}
		if _, have := m[uint32(id)]; !have {
			m[uint32(id)] = strings.ToValidUTF8(f[0], "�")
		}
	}
	return m
}
