package sysmetrics

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

func readCPU() (cpuTimes, error) { return read("/proc/stat", parseCPU) }

func readMemory() (memory, error) { return read("/proc/meminfo", parseMemory) }

func readTraffic() (traffic, error) { return read("/proc/net/dev", parseTraffic) }

func read[T any](path string, parse func([]byte) (T, error)) (T, error) {
	var zero T
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return zero, fmt.Errorf("there is no %s: %w", path, ErrUnsupported)
	}
	if err != nil {
		return zero, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return zero, err
	}
	return parse(data)
}

func readDisk(folder string) (disk, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return disk{}, fmt.Errorf("%s: %w", folder, err)
	}
	size := uint64(s.Bsize)
	return disk{used: (s.Blocks - s.Bfree) * size, available: s.Bavail * size}, nil
}
