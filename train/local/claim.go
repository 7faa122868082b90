package local

import (
	"strconv"
	"strings"
)

// claim is the file by which exactly one supervisor takes an attempt. Its lines
// are "pid boot-id", the supervisor's /proc/<pid>/stat (empty where there is
// none), and "." as the mark that it is complete.
type claim struct {
	pid   int // 0: nothing ever ran, because Cancel or Suspend came first
	boot  string
	start string // start time in clock ticks since boot: tells a reused pid apart
}

// deadClaim is the claim of nobody.
const deadClaim = "0 \n\n.\n"

func parseClaim(data []byte) (claim, bool) {
	lines := strings.SplitN(string(data), "\n", 4)
	if len(lines) != 4 || lines[2] != "." || lines[3] != "" {
		return claim{}, false
	}
	pid, boot, _ := strings.Cut(lines[0], " ")
	n, err := strconv.Atoi(pid)
	if err != nil || n < 0 || n == 1 {
		return claim{}, false
	}
	_, start, _ := parseStat(lines[1])
	return claim{pid: n, boot: boot, start: start}, true
}

// parseStat takes the state, start time and process group from a line of
// /proc/<pid>/stat. The command name before them may hold anything.
func parseStat(line string) (state, start, group string) {
	i := strings.LastIndexByte(line, ')')
	if i < 0 {
		return "", "", ""
	}
	fields := strings.Fields(line[i+1:])
	if len(fields) < 20 {
		return "", "", ""
	}
	return fields[0], fields[19], fields[2]
}

// next is what the end of an attempt leads to.
type next string

const (
	nextEnd     next = "end"
	nextSuspend next = "suspend"
	nextInfra   next = "infra" // another attempt, counted against Retry.Infra
	nextUser    next = "user"  // likewise Retry.User
)

// outcome is an attempt's exit file: "exit CODE RANK NEXT" by the supervisor,
// with "oom" behind it when the kernel killed for memory, or, when the
// supervisor was killed, "signal N RANK NEXT", "lost 0 RANK NEXT" or "reboot 0
// RANK NEXT" by the launcher that noticed.
type outcome struct {
	kind   string // "exit", "signal", "lost" or "reboot"
	code   int    // -1 when the command could not say
	signal int    // 0 when none or unknown
	rank   int
	next   next
	oom    bool
}

func parseExit(data []byte) (outcome, bool) {
	line, complete := strings.CutSuffix(string(data), "\n")
	fields := strings.Split(line, " ")
	if !complete || len(fields) < 4 || len(fields) > 5 || (len(fields) == 5 && fields[4] != "oom") {
		return outcome{}, false
	}
	n, err := strconv.Atoi(fields[1])
	rank, err2 := strconv.Atoi(fields[2])
	if err != nil || err2 != nil || n < 0 || n > 255 || rank < 0 {
		return outcome{}, false
	}
	out := outcome{kind: fields[0], rank: rank, next: next(fields[3]), oom: len(fields) == 5}
	switch out.next {
	case nextEnd, nextSuspend, nextInfra, nextUser:
	default:
		return outcome{}, false
	}
	switch {
	case out.kind == "signal" && n > 0:
		out.code, out.signal = -1, n
	case out.kind == "exit":
		out.code = n
		if n > 128 && signalName(n-128) != "" {
			out.signal = n - 128
		}
	case (out.kind == "lost" || out.kind == "reboot") && n == 0:
		out.code = -1
	default:
		return outcome{}, false
	}
	return out, true
}

// String is what parseExit reads.
func (o outcome) String() string {
	n := o.code
	switch {
	case o.kind == "signal":
		n = o.signal
	case n < 0:
		n = 0
	}
	return o.kind + " " + strconv.Itoa(n) + " " + strconv.Itoa(o.rank) + " " + string(o.next) + map[bool]string{true: " oom"}[o.oom] + "\n"
}

// infra reports whether the infrastructure ended the attempt. The supervisor
// judges in the same way.
func (o outcome) infra() bool {
	switch {
	case o.kind != "exit":
		return true
	case o.oom:
		return false
	}
	switch o.code {
	case 129, 130, 137, 143: // hangup, interrupt, kill and terminate come from outside
		return true
	}
	return false
}
