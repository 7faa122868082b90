//go:build (darwin || linux || windows) && (amd64 || arm64)

package ort

import "github.com/ebitengine/purego"

// call calls a function of C. What its arguments point to is put on the heap, where
// it does not move, and lives until the call has ended: the conversion from a
// pointer has to stand in the call.
//
//go:uintptrescapes
func call(fn uintptr, args ...uintptr) uintptr {
	r, _, _ := purego.SyscallN(fn, args...)
	return r
}
