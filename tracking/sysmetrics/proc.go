package sysmetrics

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// cpuTimes are clock ticks of all cores together since the start of the
// system.
type cpuTimes struct{ busy, total uint64 }

// since is the busy share, in percent, of the time after before; false when no
// time passed.
func (c cpuTimes) since(before cpuTimes) (float64, bool) {
	if c.total <= before.total || c.busy < before.busy {
		return 0, false
	}
	return min(100, percent(c.busy-before.busy, c.total-before.total)), true
}

// parseCPU reads the first line of /proc/stat:
//
//	cpu  user nice system idle iowait irq softirq steal guest guest_nice
//
// The times of guests are part of user and nice.
func parseCPU(data []byte) (cpuTimes, error) {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	fields := strings.Fields(string(line))
	if len(fields) < 5 || fields[0] != "cpu" {
		return cpuTimes{}, fmt.Errorf("/proc/stat begins with %.40q, want the line cpu: %w", line, ErrInvalid)
	}
	var c cpuTimes
	for i, field := range fields[1:min(len(fields), 9)] {
		n, err := strconv.ParseUint(field, 10, 56) // eight of them fit in 64 bits
		if err != nil {
			return cpuTimes{}, fmt.Errorf("/proc/stat, field %d of the line cpu: %w: %w", i+1, err, ErrInvalid)
		}
		c.total += n
		if i != 3 && i != 4 { // idle and iowait
			c.busy += n
		}
	}
	return c, nil
}

// memory is in bytes.
type memory struct{ total, available uint64 }

// parseMemory reads /proc/meminfo, lines like "MemTotal:   16384 kB".
func parseMemory(data []byte) (memory, error) {
	var m memory
	found := 0
	for line := range strings.Lines(string(data)) {
		var into *uint64
		name, rest, _ := strings.Cut(line, ":")
		switch name {
		case "MemTotal":
			into = &m.total
		case "MemAvailable":
			into = &m.available
		default:
			continue
		}
		number, unit, _ := strings.Cut(strings.TrimSpace(rest), " ")
		n, err := strconv.ParseUint(number, 10, 53)
		if err != nil || strings.TrimSpace(unit) != "kB" {
			return memory{}, fmt.Errorf("/proc/meminfo has the line %.60q: %w", line, ErrInvalid)
		}
		*into = n * 1024
		found++
	}
	if found != 2 || m.available > m.total {
		return memory{}, fmt.Errorf("/proc/meminfo has no MemTotal and MemAvailable that agree: %w", ErrInvalid)
	}
	return m, nil
}

// traffic is in bytes, of all interfaces together.
type traffic struct{ received, sent uint64 }

// parseTraffic reads /proc/net/dev: two lines of titles, then lines like
// "eth0: bytes packets errs drop fifo frame compressed multicast bytes …", of
// which field 0 is received and field 8 sent.
func parseTraffic(data []byte) (traffic, error) {
	var t traffic
	for line := range strings.Lines(string(data)) {
		i := strings.LastIndexByte(line, ':') // an alias has one in its name
		if i < 0 {
			continue // a title
		}
		fields := strings.Fields(line[i+1:])
		if len(fields) < 9 {
			return traffic{}, fmt.Errorf("/proc/net/dev has the line %.60q: %w", line, ErrInvalid)
		}
		received, err1 := strconv.ParseUint(fields[0], 10, 64)
		sent, err2 := strconv.ParseUint(fields[8], 10, 64)
		if err1 != nil || err2 != nil {
			return traffic{}, fmt.Errorf("/proc/net/dev has the line %.60q: %w", line, ErrInvalid)
		}
		t.received += received // wraps round only where the kernel's would
		t.sent += sent
	}
	return t, nil
}

// disk is in bytes.
type disk struct{ used, available uint64 }
