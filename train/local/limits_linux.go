package local

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/millwright-ml/millwright/train"
)

// limits are how a job's processes are held to their resources.
type limits struct {
	memory, cpu string // control groups for the supervisor to join; empty: none
	data        int64  // KiB of private memory of each process (RLIMIT_DATA); 0: no limit
	warnings    []string
}

const groupPrefix = "millwright-"

// limit makes the control groups of a job, or without an id says what would not
// be enforced. It takes what there is: cgroup v2, else v1, else rlimits.
func limit(delegated, id string, r train.Resources, nodes int, gpus bool) limits {
	var lim limits
	memory, cores := r.Memory*int64(nodes), r.CPU*float64(nodes)
	if memory > 0 {
		lim.memory = memoryGroup(delegated, id, memory)
	}
	if cores > 0 {
		lim.cpu = cpuGroup(delegated, id, cores)
	}
	if cores > 0 && lim.cpu == "" {
		lim.warnings = append(lim.warnings, "the CPU is not limited: this process may not make control groups (see Options.Cgroup)")
	}
	switch {
	case memory == 0 || lim.memory != "":
	case gpus: // CUDA reserves far more than it uses
		lim.warnings = append(lim.warnings, "the memory is not limited: this process may not make control groups (see Options.Cgroup)")
	default:
		lim.data = max(1, r.Memory>>10)
		lim.warnings = append(lim.warnings, "the memory is limited for each process by itself, as its private data (RLIMIT_DATA), and running out of it looks like any failed allocation")
	}
	return lim
}

func memoryGroup(delegated, id string, bytes int64) string {
	if base := unified(delegated, "memory"); base != "" {
		if group := makeGroup(base, id, "memory.max", strconv.FormatInt(bytes, 10)); group != "" {
			_ = writeControl(group, "memory.swap.max", "0") // absent without swap
			return group
		}
	}
	group := makeGroup(legacy("memory"), id, "memory.limit_in_bytes", strconv.FormatInt(bytes, 10))
	if group != "" && id != "" {
		_ = writeControl(group, "memory.memsw.limit_in_bytes", strconv.FormatInt(bytes, 10)) // absent without swap accounting
	}
	return group
}

func cpuGroup(delegated, id string, cores float64) string {
	const period = 100_000 // microseconds
	quota := strconv.FormatInt(int64(math.Ceil(cores*period)), 10)
	if base := unified(delegated, "cpu"); base != "" {
		if group := makeGroup(base, id, "cpu.max", quota+" "+strconv.Itoa(period)); group != "" {
			return group
		}
	}
	return makeGroup(legacy("cpu"), id, "cpu.cfs_quota_us", quota)
}

// makeGroup makes the job's group below base with one setting; without an id it
// only says whether that is likely to work.
func makeGroup(base, id, setting, value string) string {
	if base == "" {
		return ""
	}
	if id == "" {
		info, err := os.Stat(base)
		if err != nil || info.Mode().Perm()&0o200 == 0 || syscall.Access(base, 2) != nil {
			return ""
		}
		return base
	}
	group := filepath.Join(base, groupPrefix+id)
	if err := os.Mkdir(group, 0o755); err != nil && !os.IsExist(err) {
		return ""
	}
	if err := writeControl(group, setting, value); err != nil {
		_ = os.Remove(group) // it has no processes
		return ""
	}
	return group
}

func writeControl(group, name, value string) error {
	return os.WriteFile(filepath.Join(group, name), []byte(value), 0o600)
}

// unified is the cgroup2 folder in which groups with the controller can be made.
func unified(delegated, controller string) string {
	base := delegated
	if base == "" {
		own := ownGroup("")
		if own == "" {
			return ""
		}
		base = own
	}
	has := func(name string) bool {
		data, err := os.ReadFile(filepath.Join(base, name))
		return err == nil && strings.Contains(" "+strings.TrimSpace(string(data))+" ", " "+controller+" ")
	}
	if !has("cgroup.controllers") {
		return ""
	}
	if !has("cgroup.subtree_control") {
		if delegated == "" {
			return "" // only a group without processes may hand it down
		}
		if err := writeControl(base, "cgroup.subtree_control", "+"+controller); err != nil {
			return ""
		}
	}
	return base
}

// legacy is this process's own folder in the v1 hierarchy of a controller.
func legacy(controller string) string { return ownGroup(controller) }

// ownGroup finds this process's group: where the hierarchy is mounted, and where
// below it. The controller "" is cgroup2.
func ownGroup(controller string) string {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	root, point := findMount(string(mounts), controller)
	path, ok := findGroup(string(groups), controller)
	if point == "" || !ok {
		return ""
	}
	rel, err := filepath.Rel(root, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		rel = "." // a container sees only its own part
	}
	return filepath.Join(point, rel)
}

// findMount takes the root and the mount point of a hierarchy from mountinfo.
func findMount(text, controller string) (root, point string) {
	for line := range strings.Lines(text) {
		left, right, ok := strings.Cut(line, " - ")
		fields, kind := strings.Fields(left), strings.Fields(right)
		if !ok || len(fields) < 5 || len(kind) < 3 {
			continue
		}
		v2 := controller == "" && kind[0] == "cgroup2"
		v1 := controller != "" && kind[0] == "cgroup" && strings.Contains(","+kind[2]+",", ","+controller+",")
		if v1 || v2 {
			return fields[3], fields[4]
		}
	}
	return "", ""
}

// findGroup takes the path of a hierarchy's group from /proc/<pid>/cgroup.
func findGroup(text, controller string) (string, bool) {
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) == 3 && ((controller == "" && parts[0] == "0") ||
			(controller != "" && strings.Contains(","+parts[1]+",", ","+controller+","))) {
			return parts[2], strings.HasPrefix(parts[2], "/")
		}
	}
	return "", false
}

// removeGroups removes the control groups that a job may have left: they are
// empty once it has ended.
func removeGroups(delegated, id string) {
	for _, base := range []string{delegated, ownGroup(""), ownGroup("memory"), ownGroup("cpu")} {
		if base != "" {
			_ = os.Remove(filepath.Join(base, groupPrefix+id)) // not there, or somebody else's turn
		}
	}
}
