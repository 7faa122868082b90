package phase_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millwright-ml/millwright/k8s/internal/phase"
	"github.com/millwright-ml/millwright/train"
)

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func root(change func(*phase.Root)) *phase.Root {
	r := &phase.Root{Backend: "job", ID: "job-1", Created: start, Nodes: 2}
	if change != nil {
		change(r)
	}
	return r
}

func running(rank int) phase.Pod {
	return phase.Pod{Name: "p", Rank: rank, Node: "n", Phase: corev1.PodRunning, Ready: true, Created: start, Started: start.Add(time.Second)}
}

func failed(rank, code int, at time.Duration) phase.Pod {
	p := running(rank)
	p.Phase, p.Ready, p.ExitCode, p.Finished = corev1.PodFailed, false, code, start.Add(at)
	return p
}

func pending(change func(*phase.Pod)) phase.Pod {
	p := phase.Pod{Name: "p", Phase: corev1.PodPending, Created: start}
	if change != nil {
		change(&p)
	}
	return p
}

func TestAssess(t *testing.T) {
	t.Parallel()
	ended := func(r *phase.Root) { r.Ended, r.Finished = true, start.Add(time.Hour) }
	for name, c := range map[string]struct {
		root  *phase.Root
		pods  []phase.Pod
		phase train.Phase
		cause train.Cause
	}{
		"no pods yet":     {root(nil), nil, train.Queued, ""},
		"in a queue":      {root(func(r *phase.Root) { r.Suspended, r.Queue = true, "q" }), nil, train.Queued, train.CauseQueued},
		"admitted":        {root(func(r *phase.Root) { r.Queue = "q" }), nil, train.Admitted, ""},
		"preempted":       {root(func(r *phase.Root) { r.Suspended = true; r.History = []phase.Past{{Started: start}} }), nil, train.Requeued, train.CauseQueued},
		"no room":         {root(nil), []phase.Pod{running(0), pending(func(p *phase.Pod) { p.Unplaced = "0/4 nodes are available" })}, train.Scheduling, train.CauseUnschedulable},
		"no gang":         {root(nil), []phase.Pod{pending(func(p *phase.Pod) { p.Unplaced = "minCount (2) cannot be satisfied" })}, train.Scheduling, train.CauseGang},
		"image":           {root(nil), []phase.Pod{pending(func(p *phase.Pod) { p.Node, p.Waiting = "n", "ImagePullBackOff" })}, train.Starting, train.CauseImagePull},
		"one is starting": {root(nil), []phase.Pod{running(0), pending(func(p *phase.Pod) { p.Node = "n" })}, train.Starting, ""},
		"running":         {root(nil), []phase.Pod{running(0), running(1)}, train.Running, ""},
		"between":         {root(nil), []phase.Pod{failed(0, 143, time.Minute)}, train.Requeued, ""},
		"suspending":      {root(func(r *phase.Root) { r.Paused = start }), []phase.Pod{running(0), running(1)}, train.Running, train.CauseSuspended},
		"suspended":       {root(func(r *phase.Root) { r.Paused, r.Suspended = start, true }), nil, train.Suspended, train.CauseSuspended},
		"cancelling":      {root(func(r *phase.Root) { r.Cancelled, r.Suspended = start, true }), []phase.Pod{running(0), running(1)}, train.Running, train.CauseCancelled},
		"cancelled":       {root(func(r *phase.Root) { r.Cancelled, r.Suspended = start, true }), nil, train.Cancelled, train.CauseCancelled},
		"done":            {root(func(r *phase.Root) { ended(r); r.OK = true; r.Cancelled = start }), nil, train.Succeeded, ""},
		"deadline":        {root(func(r *phase.Root) { ended(r); r.Reason = "DeadlineExceeded" }), nil, train.Failed, train.CauseDeadline},
		"only a message": {root(func(r *phase.Root) {
			ended(r)
			r.Message = "Container main for pod a/b failed with exit code 7 matching FailJob rule at index 1"
		}), nil, train.Failed, train.CauseUser},
		"disrupted": {
			root(func(r *phase.Root) {
				ended(r)
				r.Message = "Pod a/b has condition DisruptionTarget matching FailJob rule at index 0"
			}), nil, train.Failed, train.CauseEvicted,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, end := phase.Assess(c.root, c.pods)
			require.Equal(t, c.phase, s.Phase)
			require.Equal(t, c.cause, s.Cause)
			require.Equal(t, c.phase.Ended(), end != nil)
			if end != nil {
				require.Equal(t, c.phase, end.Phase())
			}
		})
	}
}

// The first pod that failed by itself is to blame, not those that were ended for
// it.
func TestTheFirstFailureIsTold(t *testing.T) {
	t.Parallel()
	followed := failed(0, 143, 10*time.Second)
	followed.Deleting = true
	r := root(func(r *phase.Root) { r.Ended, r.Finished = true, start.Add(time.Hour) })
	culprit := failed(1, 3, 12*time.Second)
	culprit.Message = "Traceback\n##millwright {\"step\":1}\nValueError: bad\n"
	_, end := phase.Assess(r, []phase.Pod{followed, failed(2, 4, 20*time.Second), culprit})
	require.Equal(t, &train.Ending{Cause: train.CauseUser, ExitCode: 3, Rank: 1, LastLines: []string{"Traceback", "ValueError: bad"}}, end)
	found := phase.Findings("a", r, []phase.Pod{culprit})
	require.Equal(t, `the command exited with status 3 on rank 1; its last line: "ValueError: bad"`, found[0].Text)
}

func TestPodEnding(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*phase.Pod)
		cause  train.Cause
	}{
		"preempted":   {func(p *phase.Pod) { p.Disrupted = "PreemptionByScheduler" }, train.CausePreempted},
		"taint":       {func(p *phase.Pod) { p.Disrupted = "DeletionByTaintManager" }, train.CauseNodeLost},
		"evicted":     {func(p *phase.Pod) { p.Disrupted = "EvictionByEvictionAPI" }, train.CauseEvicted},
		"pressure":    {func(p *phase.Pod) { p.Reason = "Evicted" }, train.CauseEvicted},
		"unknown":     {func(p *phase.Pod) { p.Disrupted = "Something" }, train.CauseEvicted},
		"memory":      {func(p *phase.Pod) { p.Reason, p.ExitCode = "OOMKilled", 137 }, train.CauseOOM},
		"killed":      {func(p *phase.Pod) { p.ExitCode = 137 }, train.CauseKilled},
		"terminated":  {func(p *phase.Pod) { p.ExitCode = 143 }, train.CauseKilled},
		"out of room": {func(p *phase.Pod) { p.Reason = "OutOfnvidia.com/gpu" }, train.CauseEvicted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := failed(0, 1, time.Second)
			c.change(&p)
			require.Equal(t, c.cause, phase.PodEnding(&p).Cause)
		})
	}
}

// A queue that takes a quota back removes the pods; the next ones count on.
func TestNumber(t *testing.T) {
	t.Parallel()
	r := root(func(r *phase.Root) {
		r.History = []phase.Past{{Attempt: 0, Started: start, Finished: start.Add(time.Minute)}}
	})
	old, fresh := running(0), running(0)
	fresh.Created, fresh.Started = start.Add(2*time.Minute), start.Add(3*time.Minute)
	pods := []phase.Pod{old, fresh}
	phase.Number(r, pods)
	require.Equal(t, 0, pods[0].Attempt)
	require.Equal(t, 1, pods[1].Attempt)
}

// Ranks that start in different seconds, and one that never starts, are of the
// attempt that they were made for, though all of it fits in two seconds.
func TestNumberWithinASecond(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) time.Time { return start.Add(d).Truncate(time.Second) }
	pod := func(uid string, made, started, finished time.Duration) phase.Pod {
		p := phase.Pod{Name: uid, UID: uid, Created: at(made), Phase: corev1.PodFailed, Finished: at(finished)}
		if started > 0 {
			p.Started = at(started)
		}
		return p
	}
	first := []phase.Pod{
		pod("aaaaaaaa-0", 0, 100*time.Millisecond, 900*time.Millisecond),
		pod("bbbbbbbb-1", 800*time.Millisecond, 1100*time.Millisecond, 1100*time.Millisecond),
		pod("cccccccc-2", 900*time.Millisecond, 0, 0),
	}
	past := phase.Past{Started: at(0), Finished: at(0)}
	for i := range first {
		past.Add(&first[i])
	}
	r := root(func(r *phase.Root) { r.History = []phase.Past{past.Close()} })
	require.Equal(t, []string{"aaaaaaaa", "bbbbbbbb", "cccccccc"}, r.History[0].Young)
	next := pod("dddddddd-0", 950*time.Millisecond, 2*time.Second, 2*time.Second)
	pods := append(first, next)
	phase.Number(r, pods)
	for i := range first {
		require.Zero(t, pods[i].Attempt, pods[i].Name)
	}
	require.Equal(t, 1, pods[3].Attempt)
}

func TestFromPodKeepsLittle(t *testing.T) {
	t.Parallel()
	long := make([]byte, 10<<10)
	for i := range long {
		long[i] = 'x'
	}
	p := phase.FromPod(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Labels: map[string]string{"millwright.dev/job": "job-1"}, Annotations: map[string]string{"batch.kubernetes.io/job-completion-index": "3", "batch.kubernetes.io/job-index-failure-count": "2"}},
		Status: corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: 9, Reason: "Error", Message: string(long)},
		}}}},
	})
	require.Equal(t, 3, p.Rank)
	require.Equal(t, 2, p.Attempt)
	require.Equal(t, 9, p.ExitCode)
	require.LessOrEqual(t, len(p.Message), 2<<10)
}
