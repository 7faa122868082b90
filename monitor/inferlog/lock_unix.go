//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package inferlog

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes the advisory lock of an open file, which the system drops with
// the file, also when the process is killed. It is false when another has it.
func lockFile(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) //nolint:gosec // a descriptor fits an int
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
