package local

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/millwright-ml/millwright/train"
)

// isAlive reports whether the supervisor of the claim still runs: the same pid
// with the same start time, since the same boot.
func isAlive(c claim) bool {
	if c.pid <= 1 {
		return false
	}
	if c.start == "" {
		return exists(c.pid) // /proc was not mounted
	}
	if rebooted(c) {
		return false
	}
	line, err := os.ReadFile("/proc/" + strconv.Itoa(c.pid) + "/stat")
	if err != nil {
		return false
	}
	state, start, _ := parseStat(string(line))
	return start == c.start && state != "Z" && state != "X"
}

// killOrphans ends the processes of a job whose supervisor was killed. Nobody
// holds the group's number any more, so it is trusted only if one of the group's
// processes carries the job's id in its environment.
func killOrphans(c claim, id string) {
	if c.pid <= 1 {
		return
	}
	group, mark := strconv.Itoa(c.pid), []byte(train.EnvJobID+"="+id+"\x00")
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		line, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if _, _, g := parseStat(string(line)); g != group {
			continue
		}
		env, err := os.ReadFile(filepath.Join(filepath.Dir(path), "environ"))
		if err == nil && bytes.Contains(append(env, 0), mark) {
			_ = syscall.Kill(-c.pid, syscall.SIGKILL) // gone meanwhile is what is wanted
			return
		}
	}
}

// rebooted reports whether the machine was started since the claim.
func rebooted(c claim) bool {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return err == nil && c.boot != "" && strings.TrimSpace(string(boot)) != c.boot
}
