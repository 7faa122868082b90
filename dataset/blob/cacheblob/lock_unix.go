//go:build unix

package cacheblob

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// lock takes the lock of a name among all processes of the machine. The system
// drops it when the process ends, however it ends. The file stays: one that is
// removed and made again would be another lock.
func lock(ctx context.Context, name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	// The wait is a poll, for a blocking one cannot be ended with ctx.
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, errors.Join(ctx.Err(), f.Close())
		}
	}
}
