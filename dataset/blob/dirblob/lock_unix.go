//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package dirblob

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// lockFile takes the advisory lock of an open file for this process, which the
// system drops with the file, also when the process is killed.
func lockFile(ctx context.Context, f *os.File) error {
	const longest = 10 * time.Millisecond
	for wait := 50 * time.Microsecond; ; wait = min(2*wait, longest) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) //nolint:gosec // a descriptor fits an int
		if err == nil {
			return nil
		}
		if errors.Is(err, syscall.ENOLCK) {
			return errors.ErrUnsupported // a network file system without its lock service
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}
