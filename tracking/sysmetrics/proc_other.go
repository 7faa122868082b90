//go:build !linux

package sysmetrics

import (
	"fmt"
	"runtime"
)

func unsupported() error {
	return fmt.Errorf("there is no /proc on %s: %w", runtime.GOOS, ErrUnsupported)
}

func readCPU() (cpuTimes, error) { return cpuTimes{}, unsupported() }

func readMemory() (memory, error) { return memory{}, unsupported() }

func readTraffic() (traffic, error) { return traffic{}, unsupported() }

func readDisk(string) (disk, error) { return disk{}, unsupported() }
