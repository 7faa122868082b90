//go:build !((darwin || linux || windows) && (amd64 || arm64))

package ort

import (
	"fmt"
	"runtime"
)

// dlopen refuses: ONNX Runtime is not made for this machine.
func dlopen(string, string) (uintptr, error) {
	return 0, fmt.Errorf("on %s/%s there is no ONNX Runtime: %w", runtime.GOOS, runtime.GOARCH, ErrUnsupported)
}

// call is never reached, as no library was opened.
func call(uintptr, ...uintptr) uintptr { return 0 }
