package kuberig_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/internal/kuberig"
	"github.com/millwright-ml/millwright/k8s"
	"github.com/millwright-ml/millwright/k8s/tenants"
	"github.com/millwright-ml/millwright/train"
)

// A job of a higher priority takes the place of one that runs, and that one says
// so and starts again when there is room.
func TestLauncherPriority(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Plain, 1)
	ctx := patient(t)
	class := w.ns + "-high"
	_, err := w.c.Client().SchedulingV1().PriorityClasses().Create(ctx, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: class}, Value: 1000}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, w.c.Client().SchedulingV1().PriorityClasses().Delete(context.WithoutCancel(t.Context()), class, metav1.DeleteOptions{}))
	})
	l := w.launcher(t, kuberig.Behaviour{Run: kuberig.Forever}, nil)
	fragile := gpuSpec(1)
	fragile.Retry.Infra = -1
	low := submitJob(t, l, fragile, "low")
	w.phaseOf(t, low, train.Running)
	urgent := gpuSpec(1)
	urgent.Priority = class
	high := submitJob(t, l, urgent, "high")
	_, err = low.Wait(ctx)
	require.ErrorIs(t, err, train.ErrPreempted)
	w.phaseOf(t, high, train.Running)
	require.NoError(t, high.Cancel(ctx))

	// With a budget for the infrastructure it is tried again.
	patientOne := submitJob(t, l, gpuSpec(1), "patient")
	w.phaseOf(t, patientOne, train.Running)
	high = submitJob(t, l, urgent, "high-2")
	w.phaseOf(t, high, train.Running)
	w.c.Eventually(t, "the preempted job waits for the machine", func(ctx context.Context) error {
		s, err := patientOne.Status(ctx)
		if err == nil && s.Phase == train.Running {
			err = &unexpected{s}
		}
		return err
	})
	require.NoError(t, high.Cancel(ctx))
	s := w.phaseOf(t, patientOne, train.Running)
	require.Equal(t, 1, s.Attempt)
	require.NoError(t, patientOne.Cancel(ctx))
}

// Slices of GPUs are asked for by their profile.
func TestLauncherMIG(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Plain, 0)
	w.c.AddNodes(t, kuberig.NodeSpec{Name: "mig", MIG: map[string]int{"1g.10gb": 7, "3g.40gb": 2}, Labels: map[string]string{"pool": w.ns}})
	l := w.launcher(t, kuberig.Behaviour{Run: 300 * time.Millisecond}, nil)
	ctx := patient(t)
	spec := gpuSpec(1)
	spec.GPU = train.GPU{Count: 2, MIG: "3g.40gb"}
	j := submitJob(t, l, spec, "a")
	_, err := j.Wait(ctx)
	require.NoError(t, err)
	pods, err := w.c.Client().CoreV1().Pods(w.ns).List(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	require.Equal(t, "2", quantityOf(pods.Items[0].Spec.Containers[0].Resources.Limits, "nvidia.com/mig-3g.40gb"))

	// More slices than any machine has: it waits, and says for what.
	spec.GPU.Count = 3
	waiting := submitJob(t, l, spec, "b")
	w.c.Eventually(t, "what it waits for", func(ctx context.Context) error {
		why, err := waiting.Why(ctx)
		if err == nil && (len(why.Findings) == 0 || !strings.Contains(why.Text, "mig-3g.40gb")) {
			err = fmt.Errorf("%+v", why)
		}
		return err
	})
	require.NoError(t, waiting.Cancel(ctx))
}

func quantityOf(list corev1.ResourceList, name corev1.ResourceName) string {
	q := list[name]
	return q.String()
}

// A job that may only run where its machines can be taken away waits for such a
// one, and is billed at its price; one that must not never gets there.
func TestLauncherSpot(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Plain, 1)
	w.c.AddNodes(t, kuberig.NodeSpec{Name: "spot", Labels: map[string]string{"pool": w.ns, "karpenter.sh/capacity-type": "spot"}})
	prices := train.Prices{Currency: "EUR", GPUHour: map[string]float64{"H100": 2}, SpotGPUHour: map[string]float64{"H100": 0.5}}
	l := w.launcher(t, kuberig.Behaviour{Run: 1100 * time.Millisecond}, func(_ *rest.Config, o *k8s.Options) { o.Prices = prices })
	ctx := patient(t)
	for kind, onSpot := range map[train.Spot]bool{train.SpotRequire: true, train.SpotPrefer: true, train.SpotNever: false} {
		spec := gpuSpec(1)
		spec.Spot, spec.GPU.Types = kind, []string{"H100"}
		j := submitJob(t, l, spec, string(kind))
		_, err := j.Wait(ctx)
		require.NoError(t, err)
		usage, err := j.Usage(ctx)
		require.NoError(t, err)
		require.Equal(t, onSpot, usage.Items[0].Spot, kind)
		price := 2.0
		if onSpot {
			price = 0.5
		}
		require.InEpsilon(t, usage.Items[0].GPUs*price/3600, usage.Items[0].Cost, 1e-9, kind)
	}
}

// The cluster forgets an ended job; the archive has it, with its logs, for
// launchers that never saw it.
func TestLauncherArchiveAfterTTL(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Plain, 1)
	files, err := dirblob.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, files.Close()) })
	keep := func(_ *rest.Config, o *k8s.Options) { o.Keep = train.NewArchive(files, nil) }
	l := w.launcher(t, kuberig.Behaviour{Run: 200 * time.Millisecond, Logs: []string{"kept"}}, keep)
	ctx := patient(t)
	spec := gpuSpec(1)
	spec.TTL = time.Hour
	j := submitJob(t, l, spec, "a")
	_, err = j.Wait(ctx)
	require.NoError(t, err)
	_, err = w.c.Client().BatchV1().Jobs(w.ns).Patch(ctx, j.ID(), types.MergePatchType, []byte(`{"spec":{"ttlSecondsAfterFinished":0}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	w.c.Eventually(t, "the cluster removes the job", func(ctx context.Context) error {
		list, err := w.c.Client().BatchV1().Jobs(w.ns).List(ctx, metav1.ListOptions{})
		if err == nil && len(list.Items) > 0 {
			err = errors.New("it is there")
		}
		return err
	})
	late, err := w.launcher(t, kuberig.Behaviour{}, keep).Attach(ctx, j.ID())
	require.NoError(t, err)
	for _, handle := range []train.Job{j, late} {
		s, err := handle.Status(ctx)
		require.NoError(t, err)
		require.Equal(t, train.Succeeded, s.Phase)
		result, err := handle.Wait(ctx)
		require.NoError(t, err)
		require.Equal(t, 1, result.Attempts)
		var text []string
		for line, err := range handle.Logs(ctx, nil) {
			require.NoError(t, err)
			text = append(text, line.Text)
		}
		require.Equal(t, []string{"kept"}, text)
	}
}

// Events with Follow come while the job goes on, and end with it.
func TestLauncherEventsFollow(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Plain, 1)
	l := w.launcher(t, kuberig.Behaviour{Run: kuberig.Forever}, nil)
	ctx := patient(t)
	j := submitJob(t, l, gpuSpec(1), "a")
	type heard struct {
		event train.Event
		err   error
	}
	news := make(chan heard)
	go func() {
		defer close(news)
		for e, err := range j.Events(ctx, &train.EventOptions{Follow: true}) {
			select {
			case news <- heard{e, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	var reasons []string
	until := func(reason string) {
		t.Helper()
		for n := range news {
			require.NoError(t, n.err)
			reasons = append(reasons, n.event.Reason)
			if n.event.Reason == reason {
				return
			}
		}
		t.Fatalf("they ended with %v, without %s", reasons, reason)
	}
	until("SuccessfulCreate")
	w.phaseOf(t, j, train.Running)
	require.NoError(t, w.c.Finish(ctx, w.ns, w.podOf(t, j), kuberig.End{}))
	for n := range news {
		require.NoError(t, n.err)
	}
	require.NoError(t, ctx.Err(), "they end with the job")
}

// gone counts the server's answers of 410 Gone, which come as the status of a
// request or as the last event of a watch.
type gone struct{ n atomic.Int32 }

func (g *gone) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err == nil {
			resp.Body = &goneBody{ReadCloser: resp.Body, count: &g.n}
		}
		return resp, err
	})
}

type goneBody struct {
	io.ReadCloser
	count *atomic.Int32
	end   []byte // of what was read, in which the mark may begin
}

func (b *goneBody) Read(p []byte) (int, error) {
	const mark = "too old resource version" // in JSON and in protobuf
	n, err := b.ReadCloser.Read(p)
	text := append(b.end, p[:n]...)
	b.count.Add(int32(bytes.Count(text, []byte(mark))))
	b.end = append([]byte(nil), text[max(0, len(text)-len(mark)+1):]...)
	return n, err
}

// In a tenant whose pods are held to the restricted standard a launcher with the
// rights of the tenant runs jobs when it writes what that asks for, and says what
// is wrong before it makes anything when it does not.
func TestLauncherInARestrictedTenant(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Plain, 0)
	ctx := patient(t)
	m, err := tenants.New(w.c.Config(), nil)
	require.NoError(t, err)
	name := w.ns + "-team"
	w.c.AddNodes(t, kuberig.NodeSpec{Labels: map[string]string{"pool": name}})
	_, err = m.Apply(ctx, tenants.Tenant{
		Name: name, GPUs: map[string]int{"nvidia.com/gpu": 8}, PodSecurity: "restricted",
		Launchers: []tenants.Account{{Namespace: w.ns, Name: "default"}},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, m.Delete(context.WithoutCancel(t.Context()), name, &tenants.DeleteOptions{Force: true}))
	})
	account, err := w.c.ServiceAccount(ctx, w.ns, "default")
	require.NoError(t, err)
	team := &workshop{c: w.c, ns: name}
	open := func(restricted bool) *k8s.Launcher {
		return team.launcher(t, kuberig.Behaviour{Run: 300 * time.Millisecond}, func(cfg *rest.Config, o *k8s.Options) {
			*cfg = *account
			if restricted {
				user := int64(1000)
				o.PodSecurity, o.RunAsUser = "restricted", &user
			}
		})
	}
	l := open(true)
	var j train.Job
	w.c.Eventually(t, "the tenant's rights are there", func(ctx context.Context) (err error) {
		j, err = l.Submit(ctx, gpuSpec(1), &train.SubmitOptions{Key: "a"})
		return err
	})
	_, err = j.Wait(ctx)
	require.NoError(t, err)
	require.NoError(t, j.Delete(ctx))

	loose := submitJob(t, open(false), gpuSpec(1), "b")
	w.c.Eventually(t, "what the pods lack", func(ctx context.Context) error {
		why, err := loose.Why(ctx)
		if err == nil && !strings.Contains(why.Text, "PodSecurity") {
			err = fmt.Errorf("%+v", why)
		}
		return err
	})
	require.NoError(t, loose.Cancel(ctx))
}
