//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package inferlog

import (
	"errors"
	"fmt"
	"os"
)

// lockFile is not to be had from the standard library here.
func lockFile(*os.File) (bool, error) {
	return false, fmt.Errorf("spilling needs file locks: %w", errors.ErrUnsupported)
}
