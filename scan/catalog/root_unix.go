//go:build unix

package catalog

import (
	"io/fs"
	"syscall"
)

const nonBlock = syscall.O_NONBLOCK

// device says which file system a file is on.
func device(info fs.FileInfo) (uint64, bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return uint64(s.Dev), true
}

func ownerOf(info fs.FileInfo) (uid, gid int) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid), int(s.Gid)
	}
	return 0, 0
}
