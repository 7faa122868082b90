//go:build unix

package dirblob

import (
	"io/fs"
	"syscall"
)

// fileID is the number of the file in its file system.
func fileID(fi fs.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Ino) //nolint:unconvert // of other types on other systems
	}
	return 0
}
