package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// dirPrefix begins the name of every sandbox's directory below os.TempDir.
const dirPrefix = "dockreeve-sandbox-"

// ownerFile says whose a sandbox is; it is written before anything else is made.
const ownerFile = "owner.json"

type owner struct {
	Name    string `json:"name"`
	Runtime string `json:"runtime"`
	Pid     int    `json:"pid"`
	Start   uint64 `json:"start"` // clock ticks since boot: a pid alone comes back
	Boot    string `json:"boot"`
}

func (s *Sandbox) writeOwner() error {
	o := owner{Name: s.Name, Runtime: s.Runtime, Pid: os.Getpid()}
	var err error
	if o.Start, err = startOf(o.Pid); err != nil {
		return fmt.Errorf("note whose the sandbox is: %w", err)
	}
	if o.Boot, err = bootID(); err != nil {
		return fmt.Errorf("note whose the sandbox is: %w", err)
	}
	b, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("note whose the sandbox is: %w", err)
	}
	// Renamed into place, so that no sweep reads half of it.
	tmp := filepath.Join(s.dir, ownerFile+".new")
	if err := errors.Join(os.WriteFile(tmp, b, 0o600), os.Rename(tmp, filepath.Join(s.dir, ownerFile))); err != nil {
		return fmt.Errorf("note whose the sandbox is: %w", err)
	}
	return nil
}

// Sweep removes the sandboxes below the temporary directory whose process is no
// longer alive: those a crash or a kill left. It returns the ids of those it removed, and
// goes on after an error. Sandboxes of living processes are left alone. A directory
// whose owner is not noted yet is left alone too; there is nothing else to remove then.
func Sweep() (removed []string, err error) {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	if err != nil {
		return nil, fmt.Errorf("look for left-over sandboxes: %w", err)
	}
	boot, err := bootID()
	if err != nil {
		return nil, fmt.Errorf("look for left-over sandboxes: %w", err)
	}
	var errs []error
	for _, dir := range dirs {
		o, ok := readOwner(dir)
		if !ok {
			continue
		}
		if start, err := startOf(o.Pid); err == nil && start == o.Start && boot == o.Boot {
			continue
		}
		if o.Runtime == "runc" {
			path, err := exec.LookPath("runc")
			if err == nil {
				err = deleteRunc(path, o.Name)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("remove left-over sandbox %.12s: %w", o.Name, err))
				continue
			}
		}
		if err := remove(o.Name, dir); err != nil {
			errs = append(errs, fmt.Errorf("remove left-over sandbox %.12s: %w", o.Name, err))
			continue
		}
		removed = append(removed, o.Name)
	}
	return removed, errors.Join(errs...)
}

// readOwner trusts only what root wrote: the temporary directory is everybody's.
func readOwner(dir string) (owner, bool) {
	var o owner
	st, err := os.Lstat(dir)
	if err != nil || !st.IsDir() || !ownedByRoot(st) {
		return o, false
	}
	at := filepath.Join(dir, ownerFile)
	if st, err = os.Lstat(at); err != nil || !st.Mode().IsRegular() || !ownedByRoot(st) || st.Size() > 4096 {
		return o, false
	}
	b, err := os.ReadFile(at)
	if err != nil || json.Unmarshal(b, &o) != nil || !validName(o.Name) {
		return o, false
	}
	return o, true
}

func ownedByRoot(st fs.FileInfo) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && sys.Uid == 0
}

func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(bytes.TrimSpace(b)), err
}

// startOf returns when a process started, in clock ticks since boot.
func startOf(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name is in parentheses and may hold anything; the start is the 22nd field.
	_, rest, _ := strings.Cut(string(b[max(0, bytes.LastIndexByte(b, ')')):]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat is cut short", pid)
	}
	if fields[0] == "Z" {
		return 0, fs.ErrNotExist // dead, only not yet collected
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// unmountBelow takes away every mount at or below dir, the deepest first. It reads
// the mount table rather than remember: a sweep has nothing to remember.
func unmountBelow(dir string) error {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("find the sandbox's mounts: %w", err)
	}
	var found []string
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		at := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(f[4])
		if at == dir || strings.HasPrefix(at, dir+"/") {
			found = append(found, at)
		}
	}
	for _, at := range slices.Backward(found) {
		if err := unix.Unmount(at, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("unmount %s: %w", at, err)
		}
	}
	return nil
}
