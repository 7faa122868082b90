package kuberig_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/millwright-ml/millwright/internal/kuberig"
	"github.com/millwright-ml/millwright/k8s"
	"github.com/millwright-ml/millwright/train"
)

// workshop is a namespace with a launcher in it.
type workshop struct {
	c  *kuberig.Cluster
	ns string
}

// openWorkshop makes a namespace with so many nodes of 8 GPUs of its own.
func openWorkshop(t *testing.T, kind kuberig.Kind, nodes int) *workshop {
	t.Helper()
	c := kuberig.Shared(t, kind)
	w := &workshop{c: c, ns: c.Namespace(t)}
	if nodes > 0 {
		c.AddNodes(t, kuberig.NodeSpec{Count: nodes, Labels: map[string]string{"pool": w.ns}})
	}
	return w
}

// launcher returns one whose pods behave so.
func (w *workshop) launcher(t *testing.T, b kuberig.Behaviour, change func(*rest.Config, *k8s.Options)) *k8s.Launcher {
	t.Helper()
	cfg := rest.CopyConfig(w.c.Config())
	opts := &k8s.Options{Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Namespace: w.ns, NodeSelector: map[string]string{"pool": w.ns}, PodAnnotations: b.Annotations()}
	if change != nil {
		change(cfg, opts)
	}
	l, err := k8s.New(cfg, opts)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Minute)
		defer cancel()
		require.NoError(t, l.Shutdown(ctx))
	})
	w.c.ExplainFailure(t, w.ns)
	return l
}

func gpuSpec(nodes int) train.Spec {
	return train.Spec{Name: "fraud", Image: "registry.example/fraud:1", Command: []string{"python3", "train.py"}, Nodes: nodes, GPU: train.GPU{Count: 8}}
}

func submitJob(t *testing.T, l *k8s.Launcher, s train.Spec, key string) train.Job {
	t.Helper()
	j, err := l.Submit(t.Context(), s, &train.SubmitOptions{Key: key})
	require.NoError(t, err)
	return j
}

func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// phaseOf waits until the job is in the phase.
func (w *workshop) phaseOf(t *testing.T, j train.Job, want train.Phase) train.Status {
	t.Helper()
	var s train.Status
	w.c.Eventually(t, "phase "+string(want), func(ctx context.Context) (err error) {
		if s, err = j.Status(ctx); err == nil && s.Phase != want {
			err = &unexpected{s}
		}
		return err
	})
	return s
}

type unexpected struct{ s train.Status }

func (u *unexpected) Error() string { return "the job is " + string(u.s.Phase) + ": " + u.s.Reason }

func TestLauncherRunsAJob(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Plain, 4)
	l := w.launcher(t, kuberig.Behaviour{Run: 1100 * time.Millisecond, Logs: []string{"rank $RANK", `##millwright {"step":5,"total":10,"metrics":{"loss":0.5}}`}}, func(_ *rest.Config, o *k8s.Options) {
		o.Prices = train.Prices{Currency: "EUR", GPUHour: map[string]float64{"H100": 2}}
	})
	ctx := patient(t)
	spec := gpuSpec(4)
	spec.GPU.Types, spec.Deadline = []string{"H100"}, time.Hour

	plan, err := l.Plan(ctx, spec, &train.SubmitOptions{Key: "a"})
	require.NoError(t, err)
	require.Equal(t, "job", plan.Backend)
	require.Empty(t, plan.Faults)
	require.Len(t, plan.Manifests, 2)
	require.Equal(t, []string{"NVIDIA-H100-80GB-HBM3"}, plan.GPUTypes)
	require.InDelta(t, 64, plan.Cost.PerHour, 1e-9)
	require.InDelta(t, 64, plan.Cost.Max, 1e-9)
	require.Empty(t, plan.Existing)

	j := submitJob(t, l, spec, "a")
	result, err := j.Wait(ctx)
	require.NoError(t, err)
	require.Equal(t, 0, result.ExitCode)
	require.Equal(t, 1, result.Attempts)
	require.False(t, result.Started.IsZero())

	// Another process finds the job again, by its id and by its key.
	other := w.launcher(t, kuberig.Behaviour{}, nil)
	again, err := other.Attach(ctx, j.ID())
	require.NoError(t, err)
	require.Equal(t, spec, again.Spec())
	again = submitJob(t, l, spec, "a")
	require.Equal(t, j.ID(), again.ID())
	changed := spec
	changed.Command = []string{"other"}
	_, err = l.Submit(ctx, changed, &train.SubmitOptions{Key: "a"})
	var conflict *train.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, j.ID(), conflict.Job)

	s, err := again.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, train.Succeeded, s.Phase)
	require.Len(t, s.Where, 4)
	require.Equal(t, "NVIDIA-H100-80GB-HBM3", s.Where[3].GPU)

	ranks := map[int]string{}
	for line, err := range again.Logs(ctx, nil) {
		require.NoError(t, err)
		ranks[line.Rank] += line.Text
	}
	require.Equal(t, map[int]string{0: "rank 0", 1: "rank 1", 2: "rank 2", 3: "rank 3"}, ranks)
	progress, err := again.Progress(ctx)
	require.NoError(t, err)
	require.Equal(t, int64(5), progress.Step)
	usage, err := again.Usage(ctx)
	require.NoError(t, err)
	require.Equal(t, w.ns, usage.Team)
	require.Equal(t, "NVIDIA-H100-80GB-HBM3", usage.Items[0].GPU)
	require.Equal(t, train.Useful, usage.Items[0].Outcome)
	var reasons []string
	for e, err := range again.Events(ctx, nil) {
		require.NoError(t, err)
		reasons = append(reasons, e.Reason)
	}
	require.Contains(t, reasons, "SuccessfulCreate")
	require.Contains(t, reasons, "Completed")

	listed := 0
	for found, err := range other.List(ctx, nil) {
		require.NoError(t, err)
		require.Equal(t, j.ID(), found.ID())
		listed++
	}
	require.Equal(t, 1, listed)
	require.NoError(t, again.Delete(ctx))
	_, err = other.Attach(ctx, j.ID())
	require.ErrorIs(t, err, train.ErrNotFound)
}

func TestLauncherUserError(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Plain, 2)
	l := w.launcher(t, kuberig.Behaviour{ExitCodes: map[int]int{1: 3}, Message: "Traceback\nValueError: bad"}, nil)
	j := submitJob(t, l, gpuSpec(2), "a")
	result, err := j.Wait(patient(t))
	var user *train.UserError
	require.ErrorAs(t, err, &user)
	require.Equal(t, 3, user.ExitCode)
	require.Equal(t, 1, user.Rank)
	require.Equal(t, []string{"Traceback", "ValueError: bad"}, user.LastLines)
	require.Equal(t, 3, result.ExitCode)
	why, err := j.Why(patient(t))
	require.NoError(t, err)
	require.Equal(t, `the command exited with status 3 on rank 1; its last line: "ValueError: bad".`, why.Text)
}

func TestLauncherOutOfMemory(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Plain, 1)
	l := w.launcher(t, kuberig.Behaviour{ExitCode: 137, Reason: "OOMKilled"}, nil)
	_, err := submitJob(t, l, gpuSpec(1), "a").Wait(patient(t))
	require.ErrorIs(t, err, train.ErrOOMKilled)
}

func TestLauncherEviction(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Plain, 1)
	l := w.launcher(t, kuberig.Behaviour{Run: kuberig.Forever}, nil)
	j := submitJob(t, l, gpuSpec(1), "a")
	ctx := patient(t)
	type ended struct {
		result *train.Result
		err    error
	}
	done := make(chan ended, 1)
	go func() {
		r, err := j.Wait(ctx)
		done <- ended{r, err}
	}()
	s := w.phaseOf(t, j, train.Running)
	require.Zero(t, s.Attempt)
	// The API keeps times in seconds, so the lost time must be one at least.
	w.c.Eventually(t, "some lost time", func(context.Context) error {
		if time.Since(s.Started) < 2500*time.Millisecond {
			return errors.New("too early")
		}
		return nil
	})
	require.NoError(t, w.c.Evict(ctx, w.ns, w.podOf(t, j)))
	w.c.Eventually(t, "the next attempt", func(ctx context.Context) error {
		s, err := j.Status(ctx)
		if err == nil && (s.Attempt != 1 || s.Phase != train.Running) {
			err = &unexpected{s}
		}
		return err
	})
	require.NoError(t, w.c.Finish(ctx, w.ns, w.podOf(t, j), kuberig.End{}))
	end := <-done
	require.NoError(t, end.err)
	require.Equal(t, 2, end.result.Attempts)
	usage, err := j.Usage(ctx)
	require.NoError(t, err)
	outcomes := map[train.Outcome]bool{}
	for _, item := range usage.Items {
		outcomes[item.Outcome] = true
	}
	require.True(t, outcomes[train.Lost], "%+v", usage)
}

// podOf is the name of the job's only live pod.
func (w *workshop) podOf(t *testing.T, j train.Job) string {
	t.Helper()
	name := ""
	w.c.Eventually(t, "a running pod", func(ctx context.Context) error {
		pods, err := w.c.Client().CoreV1().Pods(w.ns).List(ctx, metav1.ListOptions{LabelSelector: "millwright.dev/job=" + j.ID()})
		if err != nil {
			return err
		}
		for _, p := range pods.Items {
			if p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil {
				name = p.Name
				return nil
			}
		}
		return errors.New("none runs")
	})
	return name
}

func TestLauncherSuspendResumeCancel(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Plain, 1)
	l := w.launcher(t, kuberig.Behaviour{Run: kuberig.Forever, Logs: []string{`##millwright {"step":5,"checkpoint":{"step":5,"uri":"s3://b/5","digest":"sha256:1","time":"2026-11-21T12:00:00Z"}}`}}, nil)
	ctx := patient(t)
	spec := gpuSpec(1)
	spec.Resources = train.Resources{CPU: 2, Memory: 1 << 30}
	j := submitJob(t, l, spec, "a")
	w.phaseOf(t, j, train.Running)
	require.NoError(t, j.Suspend(ctx))
	s, err := j.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, train.Suspended, s.Phase)
	require.NoError(t, j.Suspend(ctx))
	why, err := j.Why(ctx)
	require.NoError(t, err)
	require.Equal(t, train.CauseSuspended, why.Findings[0].Kind)
	progress, err := j.Progress(ctx)
	require.NoError(t, err)
	require.Equal(t, int64(5), progress.Checkpoint.Step)

	require.NoError(t, j.Resume(ctx, &train.ResumeOptions{GPU: &train.GPU{Count: 4}, Resources: &train.Resources{CPU: 1}}))
	s = w.phaseOf(t, j, train.Running)
	require.Equal(t, 1, s.Attempt)
	pod, err := w.c.Client().CoreV1().Pods(w.ns).Get(ctx, w.podOf(t, j), metav1.GetOptions{})
	require.NoError(t, err)
	gpus := pod.Spec.Containers[0].Resources.Limits["nvidia.com/gpu"]
	require.Equal(t, int64(4), gpus.Value())

	require.ErrorIs(t, j.Delete(ctx), train.ErrConflict)
	require.NoError(t, j.Cancel(ctx))
	require.NoError(t, j.Cancel(ctx))
	_, err = j.Wait(ctx)
	require.ErrorIs(t, err, train.ErrCancelled)
	require.ErrorIs(t, j.Suspend(ctx), train.ErrConflict)
	require.NoError(t, j.Delete(ctx))
}

func TestLauncherWhyPending(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Plain, 1)
	for name, c := range map[string]struct {
		behaviour kuberig.Behaviour
		change    func(*train.Spec)
		cause     train.Cause
		text      string
	}{
		"image":    {kuberig.Behaviour{Waiting: "ImagePullBackOff", Message: "Back-off pulling image"}, nil, train.CauseImagePull, "the image cannot be fetched"},
		"secret":   {kuberig.Behaviour{Waiting: "CreateContainerConfigError", Message: `secret "hub" not found`}, nil, train.CauseConfig, `secret "hub" not found`},
		"room":     {kuberig.Behaviour{}, func(s *train.Spec) { s.GPU = train.GPU{}; s.Resources.CPU = 5000 }, train.CauseUnschedulable, "no node fits"},
		"priority": {kuberig.Behaviour{}, func(s *train.Spec) { s.Priority = "absent" }, train.CauseRefused, "priority class"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := w.launcher(t, c.behaviour, nil)
			spec := gpuSpec(1)
			spec.GPU = train.GPU{}
			if c.change != nil {
				c.change(&spec)
			}
			j := submitJob(t, l, spec, name)
			w.c.Eventually(t, "an answer", func(ctx context.Context) error {
				why, err := j.Why(ctx)
				if err == nil && (len(why.Findings) == 0 || why.Findings[0].Kind != c.cause || !strings.Contains(why.Text, c.text)) {
					err = fmt.Errorf("%+v", why)
				}
				return err
			})
		})
	}
}
