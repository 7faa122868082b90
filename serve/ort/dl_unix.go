//go:build (darwin || linux) && (amd64 || arm64)

package ort

import "github.com/ebitengine/purego"

// dlopen loads a shared library and returns the address of one of its functions.
func dlopen(path, symbol string) (uintptr, error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return 0, err
	}
	return purego.Dlsym(handle, symbol)
}
