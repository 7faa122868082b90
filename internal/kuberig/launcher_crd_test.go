package kuberig_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/millwright-ml/millwright/internal/kuberig"
	"github.com/millwright-ml/millwright/k8s"
	"github.com/millwright-ml/millwright/train"
)

// jobSetCRD is JobSet's with a schema that takes everything.
const jobSetCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: jobsets.jobset.x-k8s.io, annotations: {api-approved.kubernetes.io: unapproved}}
spec:
  group: jobset.x-k8s.io
  scope: Namespaced
  names: {plural: jobsets, singular: jobset, kind: JobSet, listKind: JobSetList}
  versions:
  - name: v1alpha2
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// Somebody removes JobSet from the cluster while a job of it is waited for. The
// wait ends with an error, the other calls say what there is, and new jobs go to
// what the cluster still has.
func TestLauncherLosesAResource(t *testing.T) {
	t.Parallel()
	c := kuberig.Start(t, &kuberig.Options{Nodes: []kuberig.NodeSpec{{Count: 2}}})
	w := &workshop{c: c, ns: c.Namespace(t)}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	var object map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(jobSetCRD), &object))
	crds := c.Dynamic().Resource(kind("apiextensions.k8s.io", "v1", "customresourcedefinitions"))
	_, err := crds.Create(ctx, &unstructured.Unstructured{Object: object}, metav1.CreateOptions{})
	require.NoError(t, err)
	anywhere := func(_ *rest.Config, o *k8s.Options) { o.NodeSelector = nil }
	var j train.Job
	c.Eventually(t, "a JobSet is submitted", func(ctx context.Context) error {
		l := w.launcher(t, kuberig.Behaviour{}, anywhere) // one that looks anew at what there is
		plan, err := l.Plan(ctx, gpuSpec(2), nil)
		if err == nil && plan.Backend != "jobset" {
			err = fmt.Errorf("the plan is for %s", plan.Backend)
		}
		if err == nil {
			j, err = l.Submit(ctx, gpuSpec(2), &train.SubmitOptions{Key: "set"})
		}
		return err
	})
	done := make(chan error, 1)
	go func() {
		_, err := j.Wait(ctx)
		done <- err
	}()
	s, err := j.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, train.Queued, s.Phase, "no controller starts it")
	require.NoError(t, crds.Delete(ctx, "jobsets.jobset.x-k8s.io", metav1.DeleteOptions{}))
	err = <-done
	require.True(t, errors.Is(err, train.ErrNotFound) || errors.Is(err, train.ErrUnsupported), "%v", err)
	c.Eventually(t, "the resource is gone", func(ctx context.Context) error {
		if _, err := j.Status(ctx); !errors.Is(err, train.ErrUnsupported) && !errors.Is(err, train.ErrNotFound) {
			return fmt.Errorf("the answer is %w", err)
		}
		return nil
	})

	// A launcher that starts now has a cluster without JobSets.
	c.Eventually(t, "a job of two nodes is a Job", func(ctx context.Context) error {
		late := w.launcher(t, kuberig.Behaviour{Run: 300 * time.Millisecond}, anywhere)
		if _, err := late.Attach(ctx, j.ID()); !errors.Is(err, train.ErrNotFound) {
			return fmt.Errorf("attach: %w", err)
		}
		for _, err := range late.List(ctx, nil) {
			if err != nil {
				return err
			}
		}
		again, err := late.Submit(ctx, gpuSpec(2), &train.SubmitOptions{Key: "job"})
		if err == nil {
			_, err = again.Wait(ctx)
		}
		return err
	})
}
