package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Every lab has a slot: a small number from which its ports, its networks and its cgroup
// follow, so that labs side by side never meet. The register, one file a slot, says which
// directory each belongs to and which process answers for it.

const maxSlots = 16

// Ports of a slot, as offsets.
const (
	portAPI = iota
	portEtcd
	portEtcdPeer
	portControllers
	portScheduler
	portHook
	portReceiver
	portKwok
	portsPerSlot = 20
)

func (l *Lab) port(which int) int { return basePort(os.Getuid()) + l.Slot*portsPerSlot + which }

// basePort keeps the labs of root apart from those of others.
func basePort(uid int) int {
	if uid == 0 {
		return 21000
	}
	return 22000
}

// claim is what the register says of a slot.
type claim struct {
	Dir   string `json:"dir"`
	Owner int    `json:"owner"` // process that answers for it; 0 = it stays until Down
	Start uint64 `json:"start"`

	Temporary bool `json:"temporary,omitempty"`
}

func registerDir() string {
	if os.Getuid() == 0 {
		return "/run/dockreeve-lab"
	}
	return filepath.Join(os.TempDir(), "dockreeve-lab-"+strconv.Itoa(os.Getuid()))
}

// withRegister holds the register's lock. The lock goes with the process, however it ends.
func withRegister(do func(dir string) error) error {
	dir := registerDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("the register of labs: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("the register of labs: %w", err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock the register of labs: %w", err)
	}
	return do(dir)
}

func slotFile(dir string, slot int) string { return filepath.Join(dir, strconv.Itoa(slot)+".json") }

// claims reads the register.
func claims(dir string) map[int]claim {
	m := map[int]claim{}
	for s := range maxSlots {
		b, err := os.ReadFile(slotFile(dir, s))
		if err != nil {
			continue
		}
		var c claim
		if json.Unmarshal(b, &c) == nil {
			m[s] = c
		}
	}
	return m
}

// take claims a free slot for a lab. Before that it removes the labs whose owner is dead.
func (l *Lab) take(ctx context.Context, stay bool) error {
	return withRegister(func(dir string) error {
		for s, c := range claims(dir) {
			if c.Owner == 0 || alive(c.Owner, c.Start) {
				continue
			}
			l.say("removing the lab in %s, whose owner is dead", c.Dir)
			old, err := Open(c.Dir)
			if err != nil {
				old = &Lab{Dir: c.Dir, Slot: s, Temporary: c.Temporary, log: l.log, began: l.began}
			}
			if err := old.remove(ctx, dir); err != nil {
				return fmt.Errorf("remove the lab that a dead process left in %s: %w", c.Dir, err)
			}
		}
		taken := claims(dir)
		for s := range maxSlots {
			if _, is := taken[s]; is {
				continue
			}
			l.Slot = s
			if !l.portsFree() {
				continue
			}
			c := claim{Dir: l.Dir, Temporary: l.Temporary}
			if !stay {
				c.Owner = os.Getpid()
				var err error
				if c.Start, err = startTime(c.Owner); err != nil {
					return err
				}
			}
			b, err := json.Marshal(c)
			if err != nil {
				return err
			}
			return os.WriteFile(slotFile(dir, s), b, 0o600)
		}
		return errors.New("all slots for labs are taken: end some with make lab-down")
	})
}

// portsFree reports whether nobody listens on the slot's ports.
func (l *Lab) portsFree() bool {
	for p := range portKwok + 1 {
		c, err := net.Listen("tcp", ":"+strconv.Itoa(l.port(p)))
		if err != nil {
			return false
		}
		c.Close()
	}
	return true
}
