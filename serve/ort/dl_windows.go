//go:build windows && (amd64 || arm64)

package ort

import "syscall"

// dlopen loads a shared library and returns the address of one of its functions.
func dlopen(path, symbol string) (uintptr, error) {
	handle, err := syscall.LoadLibrary(path)
	if err != nil {
		return 0, err
	}
	return syscall.GetProcAddress(handle, symbol)
}
