package kuberig_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/millwright-ml/millwright/internal/kuberig"
	"github.com/millwright-ml/millwright/k8s"
	"github.com/millwright-ml/millwright/train"
)

// invalids counts the changes that the API server found invalid.
type invalids struct {
	next  http.RoundTripper
	count atomic.Int64
}

func (r *invalids) wrap(next http.RoundTripper) http.RoundTripper {
	r.next = next
	return r
}

func (r *invalids) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	if err == nil && req.Method == http.MethodPatch && resp.StatusCode == http.StatusUnprocessableEntity {
		r.count.Add(1)
	}
	return resp, err
}

// A job is resumed before its controller has noted that the pods ended: the API
// server lets the pods' attempt change only behind that. Resume waits for it, and
// does not start pods that take themselves for the ones before.
func TestLauncherResumesBeforeTheController(t *testing.T) {
	t.Parallel()
	c := kuberig.Start(t, &kuberig.Options{Nodes: []kuberig.NodeSpec{{Count: 1}}})
	w := &workshop{c: c, ns: c.Namespace(t)}
	refused := &invalids{}
	l := w.launcher(t, kuberig.Behaviour{Run: kuberig.Forever}, func(cfg *rest.Config, o *k8s.Options) {
		o.NodeSelector = nil
		cfg.Wrap(refused.wrap)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	j := submitJob(t, l, gpuSpec(1), "a")
	w.phaseOf(t, j, train.Running)
	first := w.podOf(t, j)
	c.Eventually(t, "the controller has counted the pod", func(ctx context.Context) error {
		job, err := c.Client().BatchV1().Jobs(w.ns).Get(ctx, j.ID(), metav1.GetOptions{})
		if err == nil && job.Status.Active == 0 {
			err = errors.New("it has not")
		}
		return err
	})

	require.NoError(t, c.Kill(kuberig.Controllers))
	suspended := make(chan error, 1)
	go func() { suspended <- j.Suspend(ctx) }()
	c.Eventually(t, "the job is told to suspend", func(ctx context.Context) error {
		job, err := c.Client().BatchV1().Jobs(w.ns).Get(ctx, j.ID(), metav1.GetOptions{})
		if err == nil && (job.Spec.Suspend == nil || !*job.Spec.Suspend) {
			err = errors.New("it is not")
		}
		return err
	})
	// What the controller would do, but for its note of it.
	pods := c.Client().CoreV1().Pods(w.ns)
	_, err := pods.Patch(ctx, first, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	require.NoError(t, pods.Delete(ctx, first, metav1.DeleteOptions{}))
	require.NoError(t, <-suspended)

	resumed := make(chan error, 1)
	go func() { resumed <- j.Resume(ctx, nil) }()
	c.Eventually(t, "the resume is refused", func(context.Context) error {
		select {
		case err := <-resumed:
			t.Fatalf("Resume did not wait: %v", err)
		default:
		}
		if refused.count.Load() < 2 {
			return errors.New("not yet")
		}
		return nil
	})
	require.NoError(t, c.Revive(ctx, kuberig.Controllers))
	require.NoError(t, <-resumed)
	s := w.phaseOf(t, j, train.Running)
	require.Equal(t, 1, s.Attempt)
	pod, err := pods.Get(ctx, w.podOf(t, j), metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "1", kuberig.Environment(pod, pod.Spec.Containers[0].Name)[train.EnvResumes])
}
