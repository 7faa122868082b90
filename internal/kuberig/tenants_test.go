package kuberig_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/millwright-ml/millwright/internal/kuberig"
	"github.com/millwright-ml/millwright/k8s/rbac"
	"github.com/millwright-ml/millwright/k8s/tenants"
	"github.com/millwright-ml/millwright/train"
)

func quantity(n int) *resource.Quantity { return resource.NewQuantity(int64(n), resource.DecimalSI) }

// tenantPod passes the pod security standard "restricted".
func tenantPod(name string, gpuCount int) *corev1.Pod {
	yes, no := true, false
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			// It stays pending. Placed on another test's node, it would end with that node.
			NodeSelector:       map[string]string{kuberig.PoolLabel: "of-nobody"},
			ServiceAccountName: tenants.JobAccount,
			SecurityContext:    &corev1.PodSecurityContext{RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{
				Name: "main", Image: "example.com/train:1",
				Resources:       corev1.ResourceRequirements{Limits: corev1.ResourceList{"nvidia.com/gpu": *quantity(gpuCount)}},
				SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
			}},
		},
	}
}

// A tenant from its plan to its removal, by an account that has the rights of
// rbac.Tenants and those that it grants, and no other.
func TestTenant(t *testing.T) {
	t.Parallel()
	c := kuberig.Shared(t, kuberig.Plain)
	home := c.Namespace(t)
	grant := []rbac.Feature{rbac.Run, rbac.Logs, rbac.Events, rbac.Quota}
	objects, err := rbac.Manifests(home, append(grant, rbac.Tenants), &rbac.Options{Name: home, AllNamespaces: true})
	require.NoError(t, err)
	text, err := rbac.YAML(objects...)
	require.NoError(t, err)
	applyYAML(t, c, text, false)
	cfg, err := c.ServiceAccount(t.Context(), home, home)
	require.NoError(t, err)
	c.Eventually(t, "the rights are there", func(ctx context.Context) error {
		return rbac.Require(ctx, cfg, home, append(grant, rbac.Tenants)...)
	})

	m, err := tenants.New(cfg, nil)
	require.NoError(t, err)
	tenant := tenants.Tenant{
		Name: home + "-team", Team: "vision", GPUs: map[string]int{"nvidia.com/gpu": 8}, Total: train.Resources{CPU: 64, Memory: 1 << 40},
		Largest: train.Resources{CPU: 32}, Jobs: 10, Launchers: []tenants.Account{{Namespace: home, Name: "default"}},
	}
	plan, err := m.Plan(t.Context(), tenant)
	require.NoError(t, err)
	require.False(t, plan.Empty())
	_, err = c.Client().CoreV1().Namespaces().Get(t.Context(), tenant.Name, metav1.GetOptions{})
	require.True(t, apierrors.IsNotFound(err), "a plan writes nothing")
	_, err = m.Apply(t.Context(), tenant)
	require.NoError(t, err)
	again, err := m.Plan(t.Context(), tenant)
	require.NoError(t, err)
	require.True(t, again.Empty(), "%s", again)
	manifests, err := tenants.YAML(tenant)
	require.NoError(t, err)
	applyYAML(t, c, manifests, true)

	// What the tenant's rules say holds.
	ns, pods := tenant.Name, c.Client().CoreV1().Pods(tenant.Name)
	create := func(pod *corev1.Pod) error {
		_, err := pods.Create(t.Context(), pod, metav1.CreateOptions{})
		return err
	}
	privileged := tenantPod("privileged", 1)
	privileged.Spec.Containers[0].SecurityContext = nil
	require.ErrorContains(t, create(privileged), `violates PodSecurity "restricted`)
	huge := tenantPod("huge", 1)
	huge.Spec.Containers[0].Resources.Limits["cpu"] = *quantity(33)
	require.ErrorContains(t, create(huge), "maximum cpu usage per Container is 32")
	c.Eventually(t, "a pod that keeps the rules is admitted", func(context.Context) error { return create(tenantPod("good", 8)) })
	good, err := pods.Get(t.Context(), "good", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "1", good.Spec.Containers[0].Resources.Requests.Cpu().String(), "it named no size")
	require.Empty(t, good.Spec.Volumes, "it gets no token")
	require.ErrorContains(t, create(tenantPod("more", 1)), "exceeded quota: millwright")
	policy, err := c.Client().NetworkingV1().NetworkPolicies(ns).Get(t.Context(), "millwright", metav1.GetOptions{})
	require.NoError(t, err)
	require.Len(t, policy.Spec.Egress, 2)

	// Somebody raises the quota by hand: the plan shows it, Apply takes it back.
	_, err = c.Client().CoreV1().ResourceQuotas(ns).Patch(t.Context(), "millwright", types.MergePatchType,
		[]byte(`{"spec":{"hard":{"requests.nvidia.com/gpu":"64"}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	drift, err := m.Plan(t.Context(), tenant)
	require.NoError(t, err)
	require.Contains(t, drift.String(), `spec.hard.requests.nvidia.com/gpu: "64" -> "8"`)
	tenant.Largest, tenant.Total = train.Resources{}, train.Resources{}
	done, err := m.Apply(t.Context(), tenant)
	require.NoError(t, err)
	require.Contains(t, done.String(), "remove LimitRange millwright")
	again, err = m.Plan(t.Context(), tenant)
	require.NoError(t, err)
	require.True(t, again.Empty(), "%s", again)

	require.ErrorIs(t, m.Delete(t.Context(), home, &tenants.DeleteOptions{Force: true}), tenants.ErrConflict, "that is none of ours")
	err = m.Delete(t.Context(), ns, nil)
	require.ErrorIs(t, err, tenants.ErrConflict)
	require.ErrorContains(t, err, "pods have not ended: good")
	require.NoError(t, m.Delete(t.Context(), ns, &tenants.DeleteOptions{Force: true}))
	c.Eventually(t, "the namespace goes", func(ctx context.Context) error {
		_, err := c.Client().CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.New("it is there")
	})

	tenant.ClusterQueue = "research"
	_, err = m.Apply(t.Context(), tenant)
	require.ErrorIs(t, err, tenants.ErrUnsupported, "this cluster has no Kueue")
	tenant.ClusterQueue, tenant.Features = "", []rbac.Feature{rbac.MPIJob}
	_, err = m.Apply(t.Context(), tenant)
	require.ErrorContains(t, err, "attempting to grant RBAC permissions not currently held", "nobody grants what he does not have")
	require.NoError(t, m.Delete(t.Context(), ns, nil))
}

// With Kueue a tenant has a queue.
func TestTenantQueue(t *testing.T) {
	t.Parallel()
	c := kuberig.Shared(t, kuberig.Batch)
	tenant := tenants.Tenant{Name: c.Namespace(t) + "-team", ClusterQueue: "research", Queue: "gpu"}
	m, err := tenants.New(c.Config(), nil)
	require.NoError(t, err)
	_, err = m.Apply(t.Context(), tenant)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, m.Delete(context.WithoutCancel(t.Context()), tenant.Name, &tenants.DeleteOptions{Force: true}))
	})
	queues := c.Dynamic().Resource(schema.GroupVersionResource{Group: "kueue.x-k8s.io", Version: "v1beta2", Resource: "localqueues"}).Namespace(tenant.Name)
	q, err := queues.Get(t.Context(), "gpu", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "research", q.Object["spec"].(map[string]any)["clusterQueue"])
	manifests, err := tenants.YAML(tenant)
	require.NoError(t, err)
	applyYAML(t, c, manifests, true)
	tenant.Queue = "other"
	done, err := m.Apply(t.Context(), tenant)
	require.NoError(t, err)
	require.Contains(t, done.String(), "create LocalQueue other\nremove LocalQueue gpu\n")
	again, err := m.Plan(t.Context(), tenant)
	require.NoError(t, err)
	require.True(t, again.Empty(), "%s", again)
}

// applyYAML applies the documents of a file as kubectl apply --server-side does.
func applyYAML(t *testing.T, c *kuberig.Cluster, text []byte, dry bool) {
	t.Helper()
	groups, err := c.Client().Discovery().ServerPreferredResources()
	require.NoError(t, err)
	for doc := range strings.SplitSeq(string(text), "\n---\n") {
		var head struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
			Metadata   struct{ Name, Namespace string }
		}
		data, err := yaml.YAMLToJSON([]byte(doc))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(data, &head))
		version, err := schema.ParseGroupVersion(head.APIVersion)
		require.NoError(t, err)
		found := false
		for _, g := range groups {
			for _, r := range g.APIResources {
				if g.GroupVersion != head.APIVersion || r.Kind != head.Kind {
					continue
				}
				found = true
				o := metav1.PatchOptions{FieldManager: "git", Force: &found}
				if dry {
					o.DryRun = []string{metav1.DryRunAll}
				}
				client := c.Dynamic().Resource(version.WithResource(r.Name))
				if r.Namespaced {
					_, err = client.Namespace(head.Metadata.Namespace).Patch(t.Context(), head.Metadata.Name, types.ApplyPatchType, data, o)
				} else {
					_, err = client.Patch(t.Context(), head.Metadata.Name, types.ApplyPatchType, data, o)
				}
				require.NoError(t, err, doc)
			}
		}
		require.True(t, found, "the cluster has no %s %s", head.APIVersion, head.Kind)
	}
}
