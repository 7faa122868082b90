package ort

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"unsafe"
)

// Library is ONNX Runtime in this process. It is safe for concurrent use. Several
// of the same path share what is loaded.
type Library struct {
	api
	version string
	// env, memory and allocator are the library's.
	env, memory, allocator unsafe.Pointer

	mu     sync.Mutex
	models int
	closed bool
}

// Open loads the shared library: a path, or a name that the system looks for where
// it looks for libraries. The file is code that runs in this process. It stays
// loaded until the process ends: ONNX Runtime has threads that cannot be waited
// for.
func Open(path string) (*Library, error) {
	l, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("ort: open %q: %w", path, err)
	}
	return l, nil
}

func open(path string) (*Library, error) {
	if path == "" || strings.ContainsRune(path, 0) {
		return nil, fmt.Errorf("give the path of libonnxruntime.so: %w", ErrInvalid)
	}
	if filepath.Base(path) != path {
		if _, err := os.Stat(path); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("there is no such file, it should be the shared library of ONNX Runtime %s or later: %w", oldest, ErrNotFound)
			}
			return nil, err
		}
	}
	base, err := dlopen(path, "OrtGetApiBase")
	if err != nil {
		if errors.Is(err, ErrUnsupported) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	// OrtApiBase is two functions: GetApi and GetVersionString.
	functions := (*[2]uintptr)(pointer(call(base)))
	l := &Library{version: cText(pointer(call(functions[1])), 64)}
	// Asked for a table that it does not have, a library writes to the standard
	// error.
	if !recent(l.version) {
		return nil, fmt.Errorf("it is ONNX Runtime %s, want %s or later: %w", l.version, oldest, ErrUnsupported)
	}
	l.table = (*[functionCount]uintptr)(pointer(call(functions[0], apiVersion)))
	if l.table == nil {
		return nil, fmt.Errorf("ONNX Runtime %s does not have version %d of its functions: %w", l.version, apiVersion, ErrUnsupported)
	}
	if err := l.start(); err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

// recent reports whether a version has our table of functions.
func recent(version string) bool {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, err := strconv.Atoi(major)
	if err != nil {
		return false
	}
	b, err := strconv.Atoi(minor)
	return err == nil && (a > 1 || a == 1 && b >= apiVersion)
}

func (l *Library) start() error {
	// Errors come back as errors: a library writes nothing to the standard error.
	const fatal = 4
	name := cString("millwright")
	if err := l.try(fnCreateEnv, fatal, uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&l.env))); err != nil {
		return err
	}
	const arena, standard = 1, 0
	if err := l.try(fnCreateCPUMemoryInfo, arena, standard, uintptr(unsafe.Pointer(&l.memory))); err != nil {
		return err
	}
	return l.try(fnGetAllocatorWithDefaultOptions, uintptr(unsafe.Pointer(&l.allocator)))
}

// release frees what the library gave. The default allocator is not ours.
func (l *Library) release() {
	if l.memory != nil {
		call(l.fn(fnReleaseMemoryInfo), at(l.memory))
	}
	if l.env != nil {
		call(l.fn(fnReleaseEnv), at(l.env))
	}
	l.memory, l.env = nil, nil
}

// Version is ONNX Runtime's, such as "1.24.3".
func (l *Library) Version() string { return l.version }

// Providers lists what the library can compute with, in ONNX Runtime's words, such
// as "CUDAExecutionProvider". Whether there is a device is another matter.
func (l *Library) Providers() ([]string, error) {
	if err := l.hold(); err != nil {
		return nil, fmt.Errorf("ort: providers: %w", err)
	}
	defer l.let()
	names, err := l.providers()
	if err != nil {
		return nil, fmt.Errorf("ort: providers: %w", err)
	}
	return names, nil
}

func (l *Library) providers() ([]string, error) {
	out := new(struct {
		list  unsafe.Pointer
		count int32
	})
	if err := l.try(fnGetAvailableProviders, uintptr(unsafe.Pointer(&out.list)), uintptr(unsafe.Pointer(&out.count))); err != nil {
		return nil, err
	}
	names := make([]string, out.count)
	for i, p := range unsafe.Slice((*unsafe.Pointer)(out.list), out.count) {
		names[i] = cText(p, 256)
	}
	return names, l.try(fnReleaseAvailableProviders, at(out.list), uintptr(out.count))
}

// hold counts a user of the library.
func (l *Library) hold() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("the library: %w", ErrClosed)
	}
	l.models++
	return nil
}

// let ends what hold began.
func (l *Library) let() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.models--; l.models == 0 && l.closed {
		l.release()
	}
}

// Close ends the loading of models. Those that are loaded go on until they are
// closed; what the library holds is freed with the last of them. A second Close
// does nothing.
func (l *Library) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed && l.models == 0 {
		l.release()
	}
	l.closed = true
	return nil
}
