package kuberig_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/millwright-ml/millwright/internal/kuberig"
	"github.com/millwright-ml/millwright/k8s"
	"github.com/millwright-ml/millwright/train"
)

// A wait and a reader of logs go on through a restart of the API server and
// through versions that are too old, without a line lost or repeated.
func TestLauncherSurvivesTheServer(t *testing.T) {
	t.Parallel()
	c := kuberig.Start(t, &kuberig.Options{Nodes: []kuberig.NodeSpec{{Count: 1}}})
	w := &workshop{c: c, ns: c.Namespace(t)}
	expired := &gone{}
	l := w.launcher(t, kuberig.Behaviour{Run: kuberig.Forever}, func(cfg *rest.Config, o *k8s.Options) {
		o.NodeSelector = nil
		cfg.Wrap(expired.wrap)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	j := submitJob(t, l, gpuSpec(1), "a")
	lines := make(chan train.Line, 100)
	read := make(chan error, 1)
	go func() {
		defer close(lines)
		for line, err := range j.Logs(ctx, &train.LogOptions{Follow: true}) {
			if err != nil {
				read <- err
				return
			}
			lines <- line
		}
		read <- nil
	}()
	done := make(chan error, 1)
	go func() {
		_, err := j.Wait(ctx)
		done <- err
	}()
	w.phaseOf(t, j, train.Running)
	pod := w.podOf(t, j)
	var got []string
	say := func(text string) {
		t.Helper()
		require.NoError(t, c.WriteLog(ctx, w.ns, pod, "", text))
	}
	hear := func(n int) {
		t.Helper()
		for len(got) < n {
			select {
			case line := <-lines:
				got = append(got, line.Text)
			case <-ctx.Done():
				t.Fatal(ctx.Err(), got)
			}
		}
	}
	say("one")
	hear(1)
	require.NoError(t, c.RestartAPIServer(ctx))
	say("two")
	hear(2)
	require.NoError(t, c.Compact(ctx))
	require.NoError(t, c.RestartAPIServer(ctx))
	say("three")
	hear(3)
	require.NoError(t, c.Finish(ctx, w.ns, pod, kuberig.End{}))
	require.NoError(t, <-done)
	require.NoError(t, <-read)
	for line := range lines {
		got = append(got, line.Text)
	}
	require.Equal(t, []string{"one", "two", "three"}, got)
	require.Positive(t, expired.n.Load(), "the server said 410 Gone to a watch")
}

func TestLauncherNodeLost(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Plain, 1)
	l := w.launcher(t, kuberig.Behaviour{Run: kuberig.Forever}, nil)
	ctx := patient(t)
	spec := gpuSpec(1)
	spec.Retry.Infra = -1
	j := submitJob(t, l, spec, "a")
	done := make(chan error, 1)
	go func() {
		_, err := j.Wait(ctx)
		done <- err
	}()
	s := w.phaseOf(t, j, train.Running)
	require.NoError(t, w.c.RemoveNode(ctx, s.Where[0].Node))
	require.ErrorIs(t, <-done, train.ErrNodeLost)
}

func TestLauncherRace(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Plain, 1)
	ctx := patient(t)
	const racers = 6
	ids, conflicts := make([]string, racers), make([]error, racers)
	var wg sync.WaitGroup
	for i := range racers {
		l := w.launcher(t, kuberig.Behaviour{}, nil)
		wg.Go(func() {
			j, err := l.Submit(ctx, gpuSpec(1), &train.SubmitOptions{Key: "same"})
			if err == nil {
				ids[i] = j.ID()
			}
			conflicts[i] = err
		})
	}
	wg.Wait()
	for i := range racers {
		require.NoError(t, conflicts[i])
		require.Equal(t, ids[0], ids[i])
	}
	jobs, err := w.c.Client().BatchV1().Jobs(w.ns).List(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, jobs.Items, 1)
}

// A broken-off submission lacks the Service; the next one with the key makes it.
func TestLauncherRepairs(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Plain, 2)
	l := w.launcher(t, kuberig.Behaviour{Run: kuberig.Forever}, nil)
	ctx := patient(t)
	j := submitJob(t, l, gpuSpec(2), "a")
	services := w.c.Client().CoreV1().Services(w.ns)
	require.NoError(t, services.Delete(ctx, j.ID(), metav1.DeleteOptions{}))
	submitJob(t, l, gpuSpec(2), "a")
	service, err := services.Get(ctx, j.ID(), metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, j.ID(), service.OwnerReferences[0].Name)
	require.NoError(t, j.Cancel(ctx))
	require.NoError(t, j.Delete(ctx))
	w.c.Eventually(t, "everything goes with the job", func(ctx context.Context) error {
		if _, err := services.Get(ctx, j.ID(), metav1.GetOptions{}); err == nil {
			return errors.New("the Service is still there")
		}
		return nil
	})
}

func TestLauncherQuota(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Plain, 4)
	ctx := patient(t)
	_, err := w.c.Client().CoreV1().ResourceQuotas(w.ns).Create(ctx, &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "gpus"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"requests.nvidia.com/gpu": resource.MustParse("16")}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	l := w.launcher(t, kuberig.Behaviour{Run: kuberig.Forever}, nil)
	_, err = l.Submit(ctx, gpuSpec(4), nil)
	require.ErrorIs(t, err, train.ErrQuotaExceeded)
	require.ErrorContains(t, err, "allows 16 of requests.nvidia.com/gpu, the job needs 32")
	jobs, err := w.c.Client().BatchV1().Jobs(w.ns).List(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	require.Empty(t, jobs.Items, "nothing was made")

	first := submitJob(t, l, gpuSpec(2), "first")
	w.phaseOf(t, first, train.Running)
	w.c.Eventually(t, "a plan that says that it waits", func(ctx context.Context) error {
		plan, err := l.Plan(ctx, gpuSpec(1), nil)
		if err == nil && !strings.Contains(strings.Join(plan.Warnings, " "), "has 0 of requests.nvidia.com/gpu left") {
			err = fmt.Errorf("%+v", plan)
		}
		return err
	})
	second := submitJob(t, l, gpuSpec(1), "second")
	w.c.Eventually(t, "the quota's answer", func(ctx context.Context) error {
		why, err := second.Why(ctx)
		if err == nil && (len(why.Findings) == 0 || why.Findings[0].Kind != train.CauseQuota) {
			err = fmt.Errorf("%+v", why)
		}
		return err
	})
}

func TestLauncherBadInput(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Plain, 1)
	ctx := patient(t)
	l := w.launcher(t, kuberig.Behaviour{}, nil)
	for name, c := range map[string]struct {
		change func(*train.Spec)
		kind   error
		text   string
	}{
		"image":    {func(s *train.Spec) { s.Image = "Registry/UPPER:1" }, train.ErrInvalid, "no image reference"},
		"no image": {func(s *train.Spec) { s.Image = "" }, train.ErrInvalid, "image is empty"},
		"negative": {func(s *train.Spec) { s.Nodes = -1 }, train.ErrInvalid, "nodes is -1"},
		"type":     {func(s *train.Spec) { s.GPU.Types = []string{"B9000"} }, train.ErrInvalid, "B9000"},
		"queue":    {func(s *train.Spec) { s.Queue = "q" }, train.ErrInvalid, "no Kueue"},
		"mpi":      {func(s *train.Spec) { s.Launch, s.Nodes = train.MPI, 2 }, train.ErrUnsupported, "mpijob: the cluster does not have it"},
		"cost":     {func(s *train.Spec) { s.MaxCost = 1 }, train.ErrInvalid, "maxCost"},
		"gang":     {func(s *train.Spec) { s.Gang, s.Nodes = train.GangOn, 2 }, train.ErrUnsupported, "gang"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := gpuSpec(1)
			c.change(&s)
			_, err := l.Submit(ctx, s, nil)
			require.ErrorIs(t, err, c.kind)
			require.ErrorContains(t, err, c.text)
		})
	}
	t.Run("namespace", func(t *testing.T) {
		t.Parallel()
		absent := w.launcher(t, kuberig.Behaviour{}, func(_ *rest.Config, o *k8s.Options) { o.Namespace = "absent" })
		_, err := absent.Submit(ctx, gpuSpec(1), nil)
		require.ErrorContains(t, err, `namespaces "absent" not found`)
		plan, err := absent.Plan(ctx, gpuSpec(1), nil)
		require.NoError(t, err)
		require.Contains(t, strings.Join(plan.Faults, " "), `namespaces "absent" not found`)
	})
	t.Run("forbidden", func(t *testing.T) {
		t.Parallel()
		nobody, err := w.c.User("nobody")
		require.NoError(t, err)
		none := w.launcher(t, kuberig.Behaviour{}, func(cfg *rest.Config, _ *k8s.Options) { *cfg = *nobody })
		_, err = none.Submit(ctx, gpuSpec(1), nil)
		require.ErrorIs(t, err, k8s.ErrForbidden)
		require.ErrorContains(t, err, `cannot create resource "jobs"`)
	})
	t.Run("expired token", func(t *testing.T) {
		t.Parallel()
		old := w.launcher(t, kuberig.Behaviour{}, func(cfg *rest.Config, _ *k8s.Options) {
			*cfg = rest.Config{Host: cfg.Host, TLSClientConfig: rest.TLSClientConfig{CAData: cfg.CAData}, BearerToken: "expired"}
		})
		_, err := old.Submit(ctx, gpuSpec(1), nil)
		require.ErrorIs(t, err, k8s.ErrUnauthorized)
	})
	t.Run("unreachable", func(t *testing.T) {
		t.Parallel()
		away := w.launcher(t, kuberig.Behaviour{}, func(cfg *rest.Config, _ *k8s.Options) { cfg.Host = "https://127.0.0.1:1" })
		_, err := away.Submit(ctx, gpuSpec(1), nil)
		require.ErrorIs(t, err, train.ErrUnavailable)
	})
}

// A reader that goes on from the cursor of the last line it had misses nothing and
// repeats nothing.
func TestLauncherLogsResume(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Plain, 3)
	logs := make([]string, 20)
	for i := range logs {
		logs[i] = fmt.Sprintf("line %d of $RANK", i)
	}
	l := w.launcher(t, kuberig.Behaviour{Run: 3 * time.Second, Logs: logs, LogEvery: 50 * time.Millisecond}, nil)
	ctx := patient(t)
	j := submitJob(t, l, gpuSpec(3), "a")
	seen, cursor := map[string]int{}, ""
	for range 100 {
		n := 0
		for line, err := range j.Logs(ctx, &train.LogOptions{Follow: true, After: cursor}) {
			require.NoError(t, err)
			seen[line.Text]++
			cursor = line.Cursor
			if n++; n == 7 {
				break
			}
		}
		if n < 7 {
			break
		}
	}
	require.Len(t, seen, 60)
	for text, n := range seen {
		require.Equal(t, 1, n, text)
	}
	tail := 0
	for _, err := range j.Logs(ctx, &train.LogOptions{Tail: 5}) {
		require.NoError(t, err)
		tail++
	}
	require.Equal(t, 5, tail)
}
