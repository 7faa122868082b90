package rivals

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Family is the statistics of a process and of all that descend from it, by their
// ids, as Linux's /proc has them behind the names.
func Family(ancestor int) map[int][]string {
	all := map[int][]string{}
	list, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range list {
		raw, err := os.ReadFile(path)
		head, rest, found := strings.Cut(string(raw), ") ")
		pid, _ := strconv.Atoi(strings.Split(head, " ")[0])
		if f := strings.Fields(rest); err == nil && found && len(f) >= 22 {
			all[pid] = f
		}
	}
	family := map[int][]string{}
	for pid, f := range all {
		for at := pid; at > 1; {
			if at == ancestor {
				family[pid] = f
				break
			}
			parent, known := all[at]
			if !known {
				break
			}
			at, _ = strconv.Atoi(parent[1])
		}
	}
	return family
}

// Used is the processor time, and the memory in bytes, of a process and of all that
// descend from it.
func Used(ancestor int) (cpu time.Duration, memory float64) {
	for _, f := range Family(ancestor) {
		user, _ := strconv.ParseInt(f[11], 10, 64)
		system, _ := strconv.ParseInt(f[12], 10, 64)
		pages, _ := strconv.ParseInt(f[21], 10, 64)
		cpu += time.Duration(user+system) * 10 * time.Millisecond // Linux counts hundredths of a second.
		memory += float64(pages * int64(os.Getpagesize()))
	}
	return cpu, memory
}
