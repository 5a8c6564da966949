package sensor

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// childEnv names what this test binary does instead of testing when it runs as a
// watched process.
const childEnv = "DOCKREEVE_SENSOR_CHILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		if err := child(what, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child makes exactly the system calls that a test looks for.
func child(what string, args []string) error {
	switch what {
	case "open":
		return childOpen(args[0])
	case "connect":
		return childConnect(args)
	case "dup":
		c, err := net.Dial("tcp", args[0])
		if err != nil {
			return err
		}
		f, err := c.(*net.TCPConn).File()
		if err != nil {
			return err
		}
		for fd := range 3 {
			if err := unix.Dup2(int(f.Fd()), fd); err != nil {
				return err
			}
		}
		return syscall.Exec("/bin/true", []string{"true", "marker-dup"}, nil)
	case "uring":
		var params [120]byte
		_, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 4, uintptr(unsafe.Pointer(&params)), 0)
		if errno != 0 {
			fmt.Fprintln(os.Stderr, "io_uring_setup:", errno)
		}
	case "flood":
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		for range n {
			fd, err := unix.Open(args[0], unix.O_RDONLY, 0)
			if err != nil {
				return err
			}
			if err := unix.Close(fd); err != nil {
				return err
			}
		}
	case "map":
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		fd, err := unix.Open(args[0], unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		for range n {
			m, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
			if err != nil {
				return err
			}
			if err := unix.Munmap(m); err != nil {
				return err
			}
		}
	case "getppid":
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		for range n {
			unix.Getppid()
		}
	case "spawn":
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		for range n {
			if err := spawnTrue(); err != nil {
				return err
			}
		}
	case "pace":
		return childPace(args)
	default:
		return fmt.Errorf("unknown child %q", what)
	}
	return nil
}

func childOpen(dir string) error {
	use := func(fd int, err error) error {
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}
	at := func(n string) string { return filepath.Join(dir, n) }
	if err := os.WriteFile(at("there"), nil, 0o600); err != nil {
		return err
	}
	if err := use(unix.Open(at("created"), unix.O_WRONLY|unix.O_CREAT, 0o640)); err != nil {
		return err
	}
	if err := use(unix.Open(at("there"), unix.O_RDONLY|unix.O_NOFOLLOW, 0)); err != nil {
		return err
	}
	if err := use(unix.Open(at("there"), unix.O_WRONLY|unix.O_APPEND, 0)); err != nil {
		return err
	}
	if err := use(unix.Open(at("there"), unix.O_RDWR|unix.O_SYNC, 0)); err != nil {
		return err
	}
	if err := os.Symlink("there", at("link")); err != nil {
		return err
	}
	if err := use(unix.Open(at("link"), unix.O_RDONLY|unix.O_DIRECT, 0)); err != nil {
		// Some file systems have no direct I/O; the plain call shows the same.
		if err := use(unix.Open(at("link"), unix.O_RDONLY, 0)); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(at("sub/deep"), 0o700); err != nil {
		return err
	}
	if err := os.Chdir(at("sub")); err != nil {
		return err
	}
	if err := use(unix.Open("./../sub//deep/../rel", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)); err != nil {
		return err
	}
	d, err := unix.Open("deep", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	how := unix.OpenHow{Flags: unix.O_RDWR | unix.O_CREAT, Mode: 0o600, Resolve: unix.RESOLVE_BENEATH}
	if err := use(unix.Openat2(d, "two", &how)); err != nil {
		return err
	}
	p, err := unix.BytePtrFromString(at("old"))
	if err != nil {
		return err
	}
	if nr, ok := sysCreat(); ok {
		fd, _, errno := unix.Syscall(nr, uintptr(unsafe.Pointer(p)), 0o600, 0)
		if errno != 0 {
			return errno
		}
		if err := unix.Close(int(fd)); err != nil {
			return err
		}
	}
	// Failures: absolute, relative to the directory, relative to a descriptor.
	_, _ = unix.Open(at("absent-abs"), unix.O_RDONLY, 0)
	_, _ = unix.Open("../absent-rel", unix.O_RDONLY, 0)
	_, _ = unix.Openat(d, "absent-at", unix.O_RDONLY, 0)
	return nil
}

func childConnect(parts []string) error {
	for _, network := range []string{"tcp4", "tcp6", "unix", "udp4"} {
		c, err := net.Dial(network, map[string]string{"tcp4": parts[0], "tcp6": parts[1], "unix": parts[2], "udp4": "127.0.0.9:5353"}[network])
		if err != nil {
			return err
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
	// Refused: nothing listens on port 1 of this address.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_ = unix.Connect(fd, &unix.SockaddrInet4{Port: 1, Addr: [4]byte{127, 0, 0, 11}})
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_ = unix.Connect(fd, &unix.SockaddrUnix{Name: "@absent"})
	return nil
}

func spawnTrue() error {
	pid, err := syscall.ForkExec("/bin/true", []string{"true"}, &syscall.ProcAttr{})
	if err != nil {
		return err
	}
	_, err = syscall.Wait4(pid, nil, 0, nil)
	return err
}

// childPace opens a file at a rate per second for some seconds, every hundredth
// time running a program instead.
func childPace(args []string) error {
	rate, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	seconds, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	begin := time.Now()
	for i := range rate * seconds {
		if due := begin.Add(time.Duration(i) * time.Second / time.Duration(rate)); i%20 == 0 {
			time.Sleep(time.Until(due))
		}
		if i%100 == 0 {
			if err := spawnTrue(); err != nil {
				return err
			}
			continue
		}
		fd, err := unix.Open(args[0], unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		if err := unix.Close(fd); err != nil {
			return err
		}
	}
	return nil
}
