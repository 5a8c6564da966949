package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// openFast opens and closes a file without telling Go's scheduler, which costs more
// than the calls.
func openFast(path *byte) error {
	dir := unix.AT_FDCWD
	fd, _, errno := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(path)), unix.O_RDONLY, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOSE, fd, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
