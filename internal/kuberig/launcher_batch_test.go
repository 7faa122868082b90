package kuberig_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/millwright-ml/millwright/internal/kuberig"
	"github.com/millwright-ml/millwright/k8s"
	"github.com/millwright-ml/millwright/train"
)

func TestLauncherJobSetRestartsAllNodes(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Batch, 2)
	l := w.launcher(t, kuberig.Behaviour{ExitCode: 143, FailAttempts: 1, Logs: []string{"attempt $ATTEMPT of rank $RANK"}}, nil)
	ctx := patient(t)
	plan, err := l.Plan(ctx, gpuSpec(2), nil)
	require.NoError(t, err)
	require.Equal(t, "jobset", plan.Backend)
	require.Empty(t, plan.Faults)
	j := submitJob(t, l, gpuSpec(2), "a")
	result, err := j.Wait(ctx)
	require.NoError(t, err)
	require.Equal(t, 2, result.Attempts)
	last := map[int]string{}
	for line, err := range j.Logs(ctx, nil) {
		require.NoError(t, err)
		if line.Attempt == 1 {
			last[line.Rank] = line.Text
		}
	}
	require.Equal(t, map[int]string{0: "attempt 1 of rank 0", 1: "attempt 1 of rank 1"}, last)
}

func TestLauncherJobSetFailsAtOnceOnAUserError(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Batch, 2)
	l := w.launcher(t, kuberig.Behaviour{ExitCodes: map[int]int{1: 2}, Message: "bad flag"}, nil)
	ctx := patient(t)
	j := submitJob(t, l, gpuSpec(2), "a")
	result, err := j.Wait(ctx)
	var user *train.UserError
	require.ErrorAs(t, err, &user)
	require.Equal(t, 2, user.ExitCode)
	require.Equal(t, 1, user.Rank)
	require.Equal(t, 1, result.Attempts)
}

func TestLauncherTrainJob(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Batch, 2)
	l := w.launcher(t, kuberig.Behaviour{Logs: []string{"rank $RANK"}}, nil)
	ctx := patient(t)
	spec := gpuSpec(2)
	spec.Launch = train.Torchrun
	only := w.launcher(t, kuberig.Behaviour{Logs: []string{"rank $RANK"}}, onlyTrainJob)
	plan, err := only.Plan(ctx, spec, nil)
	require.NoError(t, err)
	require.Equal(t, "trainjob", plan.Backend)
	require.Empty(t, plan.Faults)
	j := submitJob(t, only, spec, "a")
	_, err = j.Wait(ctx)
	require.NoError(t, err)
	lines := 0
	for _, err := range j.Logs(ctx, nil) {
		require.NoError(t, err)
		lines++
	}
	require.Equal(t, 2, lines)
	// Who finds a job does not depend on what would be chosen for it now.
	same := submitJob(t, l, spec, "a")
	require.Equal(t, j.ID(), same.ID())
	count := 0
	for _, err := range l.List(ctx, nil) {
		require.NoError(t, err)
		count++
	}
	require.Equal(t, 1, count, "the JobSet of a TrainJob is not a job of its own")
	require.NoError(t, j.Delete(ctx))
}

func TestLauncherGang(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Batch, 2)
	l := w.launcher(t, kuberig.Behaviour{Run: kuberig.Forever}, onlyJob)
	ctx := patient(t)
	spec := gpuSpec(3)
	spec.Gang = train.GangOn
	j := submitJob(t, l, spec, "a")
	w.c.Eventually(t, "the gang's answer", func(ctx context.Context) error {
		why, err := j.Why(ctx)
		if err == nil && (len(why.Findings) == 0 || why.Findings[0].Kind != train.CauseGang) {
			err = fmt.Errorf("%+v", why)
		}
		return err
	})
	s, err := j.Status(ctx)
	require.NoError(t, err)
	require.Zero(t, s.Ready, "none starts when not all can")
	require.NoError(t, j.Cancel(ctx))
}

func TestLauncherKueue(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Batch, 2)
	w.queues(t, 8, 8)
	l := w.launcher(t, kuberig.Behaviour{Run: kuberig.Forever}, nil)
	ctx := patient(t)
	spec := gpuSpec(1)
	spec.Queue = "absent"
	_, err := l.Submit(ctx, spec, nil)
	require.ErrorIs(t, err, train.ErrInvalid)
	require.ErrorContains(t, err, "there is no such LocalQueue")

	// Team a runs on its own 8 GPUs and on the 8 that team b does not use.
	spec.Queue = "a"
	spec.Nodes = 2
	plan, err := l.Plan(ctx, spec, nil)
	require.NoError(t, err)
	require.Empty(t, plan.Faults)
	require.NotEmpty(t, plan.Headroom)
	borrower := submitJob(t, l, spec, "borrower")
	done := make(chan error, 1)
	go func() {
		_, err := borrower.Wait(ctx)
		done <- err
	}()
	w.phaseOf(t, borrower, train.Running)

	// Team b wants them back: a's job is preempted, and waits.
	spec.Queue, spec.Nodes = "b", 1
	owner := submitJob(t, l, spec, "owner")
	w.phaseOf(t, owner, train.Running)
	w.phaseOf(t, borrower, train.Requeued)
	w.c.Eventually(t, "a preempted answer", func(ctx context.Context) error {
		why, err := borrower.Why(ctx)
		if err == nil && (len(why.Findings) < 2 || why.Findings[0].Kind != train.CausePreempted) {
			err = fmt.Errorf("%+v", why)
		}
		return err
	})
	// A third job waits behind it and says so.
	spec.Queue = "a"
	spec.Nodes = 2
	third := submitJob(t, l, spec, "third")
	w.c.Eventually(t, "a place in the queue", func(ctx context.Context) error {
		why, err := third.Why(ctx)
		if err == nil && (len(why.Findings) == 0 || (why.Findings[0].Kind != train.CauseQuota && why.Findings[0].Kind != train.CauseQueued) || !strings.Contains(why.Text, "place ")) {
			err = fmt.Errorf("%+v", why)
		}
		return err
	})
	require.NoError(t, third.Cancel(ctx))

	// When b's job ends, a's resumes.
	require.NoError(t, owner.Cancel(ctx))
	s := w.phaseOf(t, borrower, train.Running)
	require.Equal(t, 1, s.Attempt)
	require.NoError(t, borrower.Suspend(ctx))
	require.NoError(t, borrower.Resume(ctx, nil))
	w.c.Eventually(t, "the second attempt", func(ctx context.Context) error {
		s, err := borrower.Status(ctx)
		if err == nil && (s.Phase != train.Running || s.Attempt != 2) {
			err = fmt.Errorf("%+v", s)
		}
		return err
	})
	require.NoError(t, borrower.Cancel(ctx))
	require.ErrorIs(t, <-done, train.ErrCancelled)
}

func TestLauncherDeadline(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Plain, 1)
	l := w.launcher(t, kuberig.Behaviour{Run: kuberig.Forever}, nil)
	spec := gpuSpec(1)
	spec.Deadline = 2 * time.Second
	_, err := submitJob(t, l, spec, "a").Wait(patient(t))
	var deadline *train.DeadlineError
	require.ErrorAs(t, err, &deadline)
	require.Equal(t, 2*time.Second, deadline.Deadline)
}

// What is resumed counts as a later attempt, in the environment of its processes
// too, on every backend and with a queue as without.
func TestLauncherResumesSets(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Batch, 2)
	w.queues(t, 16, 0)
	for _, backend := range []string{"jobset", "trainjob"} {
		for _, queue := range []string{"", "a"} {
			t.Run(backend+queue, func(t *testing.T) {
				t.Parallel()
				l := w.launcher(t, kuberig.Behaviour{Run: kuberig.Forever}, func(_ *rest.Config, o *k8s.Options) { o.Backends = []string{backend} })
				ctx := patient(t)
				spec := gpuSpec(1)
				spec.GPU.Count, spec.Queue, spec.Launch = 1, queue, train.Torchrun
				j := submitJob(t, l, spec, backend+queue)
				for attempt := range 3 {
					s := w.phaseOf(t, j, train.Running)
					require.Equal(t, attempt, s.Attempt)
					pod, err := w.c.Client().CoreV1().Pods(w.ns).Get(ctx, w.podOf(t, j), metav1.GetOptions{})
					require.NoError(t, err)
					env := kuberig.Environment(pod, pod.Spec.Containers[0].Name)
					restarts, err := strconv.Atoi(env[train.EnvAttempt])
					require.NoError(t, err)
					resumes, err := strconv.Atoi(env[train.EnvResumes])
					require.NoError(t, err)
					require.Equal(t, attempt, restarts+resumes)
					require.NoError(t, j.Suspend(ctx))
					require.NoError(t, j.Resume(ctx, nil))
				}
				require.NoError(t, j.Cancel(ctx))
			})
		}
	}
}
