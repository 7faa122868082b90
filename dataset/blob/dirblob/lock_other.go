//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package dirblob

import (
	"context"
	"errors"
	"os"
)

// lockFile is not to be had from the standard library here: a Swap is refused,
// and other writes need no lock then.
func lockFile(context.Context, *os.File) error { return errors.ErrUnsupported }
