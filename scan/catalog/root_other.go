//go:build !unix

package catalog

import "io/fs"

const nonBlock = 0

func device(fs.FileInfo) (uint64, bool)  { return 0, false }
func ownerOf(fs.FileInfo) (uid, gid int) { return 0, 0 }
