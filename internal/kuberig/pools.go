package kuberig

import (
	"context"
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PoolLabel is the label by which a pod's node selector names the nodes of its
// test: pool = the test's namespace.
const PoolLabel = "pool"

// ownPools makes the pods of each namespace keep to the nodes of that namespace's
// pool, unless they name another pool. Tests share a cluster, and a pod that
// names no nodes would land on those of another test: it takes GPUs that the other
// counts on, and ends when the other test removes its nodes.
func (c *Cluster) ownPools(ctx context.Context) error {
	const name = "own-pool.kuberig.millwright.dev"
	api := c.client.AdmissionregistrationV1()
	fail := admissionv1.Fail
	_, err := api.MutatingAdmissionPolicies().Create(ctx, &admissionv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			FailurePolicy: &fail, ReinvocationPolicy: admissionv1.NeverReinvocationPolicy,
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
				},
			}}},
			MatchConditions: []admissionv1.MatchCondition{{
				Name: "names-no-pool", Expression: `!has(object.spec.nodeSelector) || !("` + PoolLabel + `" in object.spec.nodeSelector)`,
			}},
			Mutations: []admissionv1.Mutation{{
				PatchType: admissionv1.PatchTypeJSONPatch,
				JSONPatch: &admissionv1.JSONPatch{Expression: `has(object.spec.nodeSelector)
  ? [JSONPatch{op: "add", path: "/spec/nodeSelector/` + PoolLabel + `", value: request.namespace}]
  : [JSONPatch{op: "add", path: "/spec/nodeSelector", value: {"` + PoolLabel + `": request.namespace}}]`},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("kuberig: the policy of pools: %w", err)
	}
	_, err = api.MutatingAdmissionPolicyBindings().Create(ctx, &admissionv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: name},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("kuberig: the policy of pools: %w", err)
	}
	return c.poolsAreKept(ctx)
}

// poolsAreKept waits until the API server goes by the policy, of which it hears by
// a watch of its own.
func (c *Cluster) poolsAreKept(ctx context.Context) error {
	ticker := time.NewTicker(25 * time.Millisecond)
	defer ticker.Stop()
	probe := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "probe"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/probe:1"}}},
	}
	for {
		// Nothing is written. Until the controllers have made the namespace and its
		// account the pod is refused.
		pod, err := c.client.CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && pod.Spec.NodeSelector[PoolLabel] == metav1.NamespaceDefault {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kuberig: pods do not keep to their pools: %w, %w", err, ctx.Err())
		case <-ticker.C:
		}
	}
}
