package sandbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// addAddresses gives a container's loopback interface more addresses. It is done
// from outside, so that the container needs no right over its own network.
func addAddresses(pid int, addrs []netip.Addr) error {
	if len(addrs) == 0 {
		return nil
	}
	done := make(chan error)
	go func() {
		// The thread changes its network namespace and is thrown away with it: a
		// goroutine that ends while locked ends its thread.
		runtime.LockOSThread()
		done <- addFromInside(pid, addrs)
	}()
	return <-done
}

func addFromInside(pid int, addrs []netip.Addr) error {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return fmt.Errorf("reach the sandbox's network: %w", err)
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("reach the sandbox's network: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("add an address to the sandbox: %w", err)
	}
	defer unix.Close(fd)
	for i, a := range addrs {
		req, err := unix.NewIfreq(fmt.Sprintf("lo:%d", i+1))
		if err != nil {
			return fmt.Errorf("add address %v to the sandbox: %w", a, err)
		}
		for _, set := range []struct {
			call uint
			to   netip.Addr
		}{{unix.SIOCSIFADDR, a}, {unix.SIOCSIFNETMASK, netip.AddrFrom4([4]byte{255, 255, 255, 255})}} {
			b := set.to.As4()
			if err := req.SetInet4Addr(b[:]); err != nil {
				return fmt.Errorf("add address %v to the sandbox: %w", a, err)
			}
			if err := unix.IoctlIfreq(fd, set.call, req); err != nil {
				return fmt.Errorf("add address %v to the sandbox: %w", a, err)
			}
		}
	}
	return nil
}

// WaitListening returns once something inside listens on a TCP port, on IPv4 or
// IPv6, or when ctx ends.
func (s *Sandbox) WaitListening(ctx context.Context, port uint16) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, table := range []string{"tcp", "tcp6"} {
			ok, err := listening(fmt.Sprintf("/proc/%d/net/%s", s.Pid, table), port)
			if err != nil {
				return fmt.Errorf("wait for port %d in sandbox %.12s: %w", port, s.Name, err)
			}
			if ok {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nothing listens on port %d in sandbox %.12s: %w", port, s.Name, ctx.Err())
		case <-tick.C:
		}
	}
}

func listening(table string, port uint16) (bool, error) {
	f, err := os.Open(table)
	if errors.Is(err, os.ErrNotExist) && strings.HasSuffix(table, "6") {
		return false, nil // a host without IPv6
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	const listen = "0A"
	want := fmt.Sprintf(":%04X", port)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if c := strings.Fields(lines.Text()); len(c) > 3 && strings.HasSuffix(c[1], want) && c[3] == listen {
			return true, nil
		}
	}
	return false, lines.Err()
}
