package kuberig_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/millwright-ml/millwright/internal/kuberig"
	"github.com/millwright-ml/millwright/k8s/gpus"
	"github.com/millwright-ml/millwright/train"
)

// The inventory follows what the scheduler does, and pods that ask by the rule
// of Match land on the nodes that it means.
func TestGPUInventory(t *testing.T) {
	t.Parallel()
	c := kuberig.Shared(t, kuberig.Plain)
	ns := c.Namespace(t)
	pool := map[string]string{"pool": ns}
	h100 := c.AddNodes(t, kuberig.NodeSpec{Count: 2, Labels: pool})
	c.AddNodes(t, kuberig.NodeSpec{Count: 1, Labels: pool, Product: "NVIDIA-A100-SXM4-40GB", GPUMemory: 40960})
	c.AddNodes(t, kuberig.NodeSpec{Count: 1, Labels: pool, MIG: map[string]int{"1g.10gb": 56}})
	read := func() *gpus.Inventory {
		inv, err := gpus.Read(t.Context(), c.Config(), &gpus.ReadOptions{Nodes: "pool=" + ns})
		require.NoError(t, err)
		return inv
	}
	free := func(inv *gpus.Inventory) map[string]int {
		out := map[string]int{}
		for _, c := range inv.Capacity {
			out[c.String()] = c.Free
		}
		return out
	}
	inv := read()
	require.Equal(t, map[string]int{"NVIDIA-H100-80GB-HBM3": 16, "NVIDIA-A100-SXM4-40GB": 8, "NVIDIA-H100-80GB-HBM3 MIG 1g.10gb": 56}, free(inv))

	for i, want := range []train.GPU{
		{Count: 4, Types: []string{"A100"}},
		{Count: 8, Types: []string{"H100"}, MinMemory: 80 << 30},
		{Count: 5, Types: []string{"H100"}},
		{Count: 7, MIG: "1g.10gb"},
	} {
		rule, err := gpus.Match(want, inv.Types())
		require.NoError(t, err)
		job := gpuJob(fmt.Sprint("job-", i), ns, 1, kuberig.Behaviour{Run: kuberig.Forever})
		spec := &job.Spec.Template.Spec
		spec.Containers[0].Resources.Limits = corev1.ResourceList{rule.Resource: *quantity(rule.Count)}
		if len(rule.Terms) > 0 {
			spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution:  &corev1.NodeSelector{NodeSelectorTerms: rule.Terms},
				PreferredDuringSchedulingIgnoredDuringExecution: rule.Preferred,
			}}
		}
		submit(t, c, ns, job)
	}
	c.Eventually(t, "the pods run", func(ctx context.Context) error {
		pods, err := c.Client().CoreV1().Pods(ns).List(ctx, metav1.ListOptions{FieldSelector: "status.phase=Running"})
		if err == nil && len(pods.Items) < 4 {
			err = fmt.Errorf("%d run", len(pods.Items))
		}
		return err
	})
	inv = read()
	require.Equal(t, map[string]int{"NVIDIA-H100-80GB-HBM3": 3, "NVIDIA-A100-SXM4-40GB": 4, "NVIDIA-H100-80GB-HBM3 MIG 1g.10gb": 49}, free(inv))
	fit, err := inv.Fit(train.GPU{Count: 4, Types: []string{"H100"}}, &gpus.FitOptions{Pods: 2})
	require.NoError(t, err)
	require.Equal(t, 0, fit.Now)
	require.Equal(t, 4, fit.Ever)
	require.Contains(t, fit.Text, "0 of 2 pods of 4 GPUs fit now: 3 NVIDIA-H100-80GB-HBM3 are free")

	for _, name := range h100 { // a drain begins so
		_, err := c.Client().CoreV1().Nodes().Patch(t.Context(), name, types.MergePatchType, []byte(`{"spec":{"unschedulable":true}}`), metav1.PatchOptions{})
		require.NoError(t, err)
	}
	c.Eventually(t, "the cordon shows", func(context.Context) error {
		if read().Capacity[1].Blocked != 3 {
			return errors.New("not yet")
		}
		return nil
	})
	types, err := gpus.ReadTypes(t.Context(), c.Config(), nil)
	require.NoError(t, err)
	require.NotEmpty(t, types)
}
