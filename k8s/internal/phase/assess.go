package phase

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/millwright-ml/millwright/train"
)

// Number corrects the pods' attempts by those whose pods are gone. A queue that
// takes a job's quota back removes its pods, and the next ones do not know.
func Number(r *Root, pods []Pod) {
	for i := range pods {
		p := &pods[i]
		for k := range r.History {
			if h := &r.History[k]; h.before(p) {
				p.Attempt = max(p.Attempt, h.Attempt+1)
			}
		}
	}
}

// Assess says how a job stands, and how it ended if it did.
func Assess(r *Root, pods []Pod) (train.Status, *train.Ending) {
	s := train.Status{Submitted: r.Created, Started: started(r, pods), Nodes: r.Nodes, Attempt: r.Attempt + r.Restarts}
	for i := range r.History {
		s.Attempt = max(s.Attempt, r.History[i].Attempt)
	}
	for i := range pods {
		s.Attempt = max(s.Attempt, pods[i].Attempt)
	}
	live := 0
	for i := range pods {
		p := &pods[i]
		if p.Live() {
			live++
		}
		if p.Attempt == s.Attempt && p.Node != "" {
			s.Where = append(s.Where, train.Place{Node: p.Node, Rank: p.Rank})
		}
		if p.Phase == corev1.PodRunning && p.Ready && !p.Deleting {
			s.Ready++
		}
	}
	slices.SortFunc(s.Where, func(a, b train.Place) int { return a.Rank - b.Rank })
	switch {
	case r.Ended && r.OK:
		s.Phase, s.Finished = train.Succeeded, r.Finished
		return s, &train.Ending{}
	case !r.Cancelled.IsZero() && (r.Ended || r.Suspended) && live == 0:
		s.Phase, s.Cause, s.Reason, s.Finished = train.Cancelled, train.CauseCancelled, "cancelled", last(pods, r.Finished, r.Cancelled)
		return s, &train.Ending{Cause: train.CauseCancelled, ExitCode: -1, Attempt: s.Attempt}
	case r.Ended:
		e := ending(r, pods)
		s.Phase, s.Cause, s.Reason, s.Finished = train.Failed, e.Cause, reason(e), r.Finished
		return s, e
	case !r.Paused.IsZero() && r.Suspended && live == 0:
		s.Phase, s.Cause, s.Reason = train.Suspended, train.CauseSuspended, "suspended"
		return s, nil
	}
	s.Phase, s.Cause, s.Reason = going(r, pods, s.Attempt)
	switch {
	case !r.Cancelled.IsZero():
		s.Cause, s.Reason = train.CauseCancelled, "it is being cancelled"
	case !r.Paused.IsZero() && live > 0:
		s.Cause, s.Reason = train.CauseSuspended, "it is being suspended"
	}
	return s, nil
}

func started(r *Root, pods []Pod) time.Time {
	var first time.Time
	consider := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	for i := range r.History {
		consider(r.History[i].Started)
	}
	for i := range pods {
		consider(pods[i].Started)
	}
	if first.IsZero() && r.Ended {
		return r.Started
	}
	return first
}

// last is when the last process ended, or else the first time that is known.
func last(pods []Pod, known ...time.Time) time.Time {
	var end time.Time
	for i := range pods {
		if pods[i].Finished.After(end) {
			end = pods[i].Finished
		}
	}
	for _, t := range known {
		if end.IsZero() {
			end = t
		}
	}
	return end
}

// going is the phase of a job that has not ended.
func going(r *Root, pods []Pod, attempt int) (train.Phase, train.Cause, string) {
	var pending, unplaced, running, failed int
	var stuck *Pod
	for i := range pods {
		p := &pods[i]
		switch {
		case p.Deleting && p.Live(), p.Phase == corev1.PodFailed:
			failed++
		case p.Phase == corev1.PodRunning:
			running++
		case p.Phase == corev1.PodPending:
			pending++
			if p.Node == "" {
				unplaced++
			}
			if stuck == nil || worse(p, stuck) {
				stuck = p
			}
		}
	}
	again := failed > 0 || attempt > 0 || len(r.History) > 0
	switch {
	case r.Suspended && running+pending == 0 && again:
		return train.Requeued, train.CauseQueued, "it waits to be admitted again"
	case r.Suspended && running+pending == 0:
		return train.Queued, train.CauseQueued, "it waits to be admitted"
	case running+pending == 0 && failed > 0:
		return train.Requeued, "", "an attempt ended and the next one is to start"
	case running+pending == 0 && r.Queue != "":
		return train.Admitted, "", ""
	case running+pending == 0:
		return train.Queued, "", ""
	case unplaced > 0:
		f := finding(stuck)
		return train.Scheduling, f.Kind, f.Text
	case pending > 0 || running < r.Nodes && !anySucceeded(pods):
		if stuck != nil {
			if f := finding(stuck); f.Kind != train.CauseStarting {
				return train.Starting, f.Kind, f.Text
			}
		}
		return train.Starting, "", ""
	}
	return train.Running, "", ""
}

func anySucceeded(pods []Pod) bool {
	return slices.ContainsFunc(pods, func(p Pod) bool { return p.Phase == corev1.PodSucceeded })
}

// worse orders pods by how far they are from running.
func worse(a, b *Pod) bool {
	level := func(p *Pod) int {
		switch {
		case p.Waiting != "" && p.Waiting != "ContainerCreating" && p.Waiting != "PodInitializing":
			return 2
		case p.Node == "":
			return 1
		}
		return 0
	}
	return level(a) > level(b)
}

func reason(e *train.Ending) string {
	switch e.Cause {
	case train.CauseUser:
		return fmt.Sprintf("the command exited with status %d on rank %d", e.ExitCode, e.Rank)
	case train.CauseDeadline:
		return fmt.Sprintf("stopped at its deadline of %v", e.Deadline)
	}
	return e.Text
}

// policyMessage is what the Job controller says of a pod that its policy failed.
var policyMessage = regexp.MustCompile(`failed with exit code (\d+) matching`)

// ending says how a failed job ended: by the first of its pods that failed by
// itself, for the others only follow; else by what its controller says.
func ending(r *Root, pods []Pod) *train.Ending {
	if r.Reason == "DeadlineExceeded" {
		return &train.Ending{Cause: train.CauseDeadline, ExitCode: -1, Deadline: r.Deadline, Text: r.Message}
	}
	if r.Backend == "jobset" && r.overdue(started(r, pods)) {
		return &train.Ending{Cause: train.CauseDeadline, ExitCode: -1, Deadline: r.Deadline, Text: r.Message}
	}
	var first *Pod
	for i := range pods {
		p := &pods[i]
		if p.Phase != corev1.PodFailed {
			continue
		}
		if first == nil || before(p, first) {
			first = p
		}
	}
	if first != nil {
		e := PodEnding(first)
		return &e
	}
	e := &train.Ending{Cause: train.CauseKilled, ExitCode: -1, Text: r.Message, Attempt: r.Attempt + r.Restarts}
	if m := policyMessage.FindStringSubmatch(r.Message); m != nil {
		e.ExitCode, _ = strconv.Atoi(m[1]) // digits
		e.Cause = train.CauseUser
	}
	if strings.Contains(r.Message, "condition DisruptionTarget") {
		e.Cause, e.Text = train.CauseEvicted, "the infrastructure took its machine or its place away: "+r.Message
	}
	if e.Text == "" {
		e.Text = r.Reason
	}
	return e
}

// before orders failed pods: of the newest attempt first, then those that nobody
// ended, then the earliest.
func before(a, b *Pod) bool {
	if a.Attempt != b.Attempt {
		return a.Attempt > b.Attempt
	}
	asked := func(p *Pod) bool { return p.Disrupted == "" && (p.Deleting || p.ExitCode == 143) }
	if asked(a) != asked(b) {
		return asked(b)
	}
	if !a.Finished.Equal(b.Finished) {
		return a.Finished.Before(b.Finished)
	}
	return a.Rank < b.Rank
}

// PodEnding says how one failed pod ended.
func PodEnding(p *Pod) train.Ending {
	e := train.Ending{ExitCode: p.ExitCode, Rank: p.Rank, Attempt: p.Attempt}
	on := ""
	if p.Node != "" {
		on = " on node " + p.Node
	}
	disturbed := ""
	if p.Disturbed != "" {
		disturbed = ": " + p.Disturbed
	}
	switch {
	case p.Disrupted == "PreemptionByScheduler":
		e.Cause, e.Text = train.CausePreempted, "a job of higher priority took its place"+on+disturbed
	case p.Disrupted == "DeletionByTaintManager" || p.Reason == "NodeLost" || p.Disrupted == "DeletionByPodGC":
		e.Cause, e.Text = train.CauseNodeLost, "the machine went away"+on+disturbed
	case p.Disrupted == "EvictionByEvictionAPI":
		e.Cause, e.Text = train.CauseEvicted, "it was evicted"+on+", as a drain does"+disturbed
	case p.Disrupted == "TerminationByKubelet" || p.Reason == "Evicted" || p.Reason == "Terminated" || p.Reason == "NodeShutdown":
		e.Cause, e.Text = train.CauseEvicted, "the kubelet"+on+" ended it"+disturbed+after(": ", p.Message)
	case p.Disrupted != "":
		e.Cause, e.Text = train.CauseEvicted, "it was disrupted"+on+" ("+p.Disrupted+")"+disturbed
	case p.Reason == "OOMKilled":
		e.Cause, e.Signal, e.LastLines = train.CauseOOM, "SIGKILL", Lines(p.Message)
		e.Text = fmt.Sprintf("rank %d used more memory than its limit: raise Resources.Memory, or use less", p.Rank)
	case p.Reason == "DeadlineExceeded":
		e.Cause = train.CauseDeadline
	case p.Reason == "UnexpectedAdmissionError" || strings.HasPrefix(p.Reason, "OutOf"):
		e.Cause, e.Text = train.CauseEvicted, "the kubelet"+on+" refused it"+after(": ", p.Message)
	case p.ExitCode == 143:
		e.Cause, e.Signal, e.Text, e.LastLines = train.CauseKilled, "SIGTERM", "somebody deleted the pod or stopped its process"+on, Lines(p.Message)
	case p.ExitCode == 137:
		e.Cause, e.Signal, e.Text, e.LastLines = train.CauseKilled, "SIGKILL", "out of memory of the machine, or somebody killed its process"+on, Lines(p.Message)
	default:
		e.Cause, e.LastLines = train.CauseUser, Lines(p.Message)
	}
	return e
}

func after(sep, text string) string {
	if text == "" {
		return ""
	}
	return sep + text
}
