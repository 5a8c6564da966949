package image

import (
	"os"
	"syscall"
)

// freeSpace is what is left on the file system of f.
func freeSpace(f *os.File) (int64, bool) {
	var st syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &st); err != nil {
		return 0, false
	}
	return int64(st.Bavail) * st.Bsize, true
}
