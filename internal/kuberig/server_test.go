package kuberig_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"github.com/millwright-ml/millwright/internal/kuberig"
)

// The traps that a fake client does not know: the server's own validation, asked
// for without creating anything.
func TestDryRunFindsWhatTheServerRejects(t *testing.T) {
	t.Parallel()
	c := kuberig.Shared(t, kuberig.Plain)
	ns := c.Namespace(t)
	job := gpuJob("Wrong Name", ns, 1, kuberig.Behaviour{})
	_, err := c.Client().BatchV1().Jobs(ns).Create(t.Context(), job, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	require.True(t, apierrors.IsInvalid(err), "%v", err)
	_, err = c.Client().BatchV1().Jobs(ns).Create(t.Context(), gpuJob("right", ns, 1, kuberig.Behaviour{}), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	require.NoError(t, err)
	list, err := c.Client().BatchV1().Jobs(ns).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Empty(t, list.Items)
}

func TestAccess(t *testing.T) {
	t.Parallel()
	c := kuberig.Shared(t, kuberig.Plain)
	ns := c.Namespace(t)
	ctx := t.Context()
	_, err := c.Client().RbacV1().Roles(ns).Create(ctx, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "jobs"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"batch"}, Resources: []string{"jobs"}, Verbs: []string{"list"}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = c.Client().RbacV1().RoleBindings(ns).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "jobs"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "jobs"},
		Subjects: []rbacv1.Subject{
			{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: "trainers"},
			{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: "default"},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	user, err := c.User("ann", "trainers")
	require.NoError(t, err)
	account, err := c.ServiceAccount(ctx, ns, "default")
	require.NoError(t, err)
	stranger, err := c.User("eve")
	require.NoError(t, err)

	list := func(client *kubernetes.Clientset) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := client.BatchV1().Jobs(ns).List(ctx, metav1.ListOptions{})
			return err
		}
	}
	asUser, asAccount := kubernetes.NewForConfigOrDie(user), kubernetes.NewForConfigOrDie(account)
	// The authorizer learns of a role a moment after it is written.
	c.Eventually(t, "the user may list", list(asUser))
	c.Eventually(t, "the account may list", list(asAccount))
	_, err = asUser.CoreV1().Secrets(ns).List(ctx, metav1.ListOptions{})
	require.True(t, apierrors.IsForbidden(err), "%v", err)
	require.True(t, apierrors.IsForbidden(list(kubernetes.NewForConfigOrDie(stranger))(ctx)))

	account.BearerToken += "x"
	require.True(t, apierrors.IsUnauthorized(list(kubernetes.NewForConfigOrDie(account))(ctx)))
}

func TestRestartedServerForgetsOldVersions(t *testing.T) {
	t.Parallel()
	c := kuberig.Start(t, nil)
	ns := c.Namespace(t)
	ctx := t.Context()
	pool(t, c, ns, 1)
	maps := c.Client().CoreV1().ConfigMaps(ns)
	first, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	w, err := maps.Watch(ctx, metav1.ListOptions{ResourceVersion: first.ResourceVersion})
	require.NoError(t, err)
	_, err = maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "b"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, watch.Added, (<-w.ResultChan()).Type)

	c.StopAPIServer()
	for event := range w.ResultChan() {
		t.Log("the watch ends with", event.Type)
	}
	_, err = maps.Get(ctx, "a", metav1.GetOptions{})
	require.Error(t, err, "nobody answers")
	require.NoError(t, c.StartAPIServer(ctx))
	_, err = maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.NoError(t, c.Compact(ctx))
	require.True(t, expired(ctx, t, c, ns, first.ResourceVersion), "410 Gone")

	// All others find the server again.
	submit(t, c, ns, gpuJob("after", ns, 1, kuberig.Behaviour{}))
	condition(t, c, ns, "after", "Complete")
	require.NoError(t, c.Kill(kuberig.Scheduler))
	submit(t, c, ns, gpuJob("unplaced", ns, 1, kuberig.Behaviour{}))
	pods(t, c, ns, "unplaced", corev1.PodPending, 1)
	require.NoError(t, c.Revive(ctx, kuberig.Scheduler))
	condition(t, c, ns, "unplaced", "Complete")
}

// expired tells that a watch from an old version is answered with 410 Gone.
func expired(ctx context.Context, t *testing.T, c *kuberig.Cluster, ns, version string) bool {
	t.Helper()
	w, err := c.Client().CoreV1().ConfigMaps(ns).Watch(ctx, metav1.ListOptions{ResourceVersion: version})
	if err != nil {
		return apierrors.IsResourceExpired(err) || apierrors.IsGone(err)
	}
	defer w.Stop()
	event := <-w.ResultChan()
	err = apierrors.FromObject(event.Object)
	return event.Type == watch.Error && (apierrors.IsResourceExpired(err) || apierrors.IsGone(err))
}

// GPUs by their attributes: a driver's slice, a claim, a pod.
func TestDynamicResourceAllocation(t *testing.T) {
	t.Parallel()
	c := kuberig.Shared(t, kuberig.Plain)
	ns := c.Namespace(t)
	ctx := t.Context()
	node := c.AddNodes(t, kuberig.NodeSpec{GPUs: -1, Labels: map[string]string{"pool": ns}})[0]
	class := "gpu-" + ns
	_, err := c.Client().ResourceV1().DeviceClasses().Create(ctx, &resourcev1.DeviceClass{
		ObjectMeta: metav1.ObjectMeta{Name: class},
		Spec: resourcev1.DeviceClassSpec{Selectors: []resourcev1.DeviceSelector{{CEL: &resourcev1.CELDeviceSelector{
			Expression: fmt.Sprintf(`device.driver == %q`, ns+".example.com"),
		}}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = c.Client().ResourceV1().DeviceClasses().Delete(context.WithoutCancel(ctx), class, metav1.DeleteOptions{}) // the cluster ends soon
	})
	device := func(name, model, memory string) resourcev1.Device {
		return resourcev1.Device{
			Name:       name,
			Attributes: map[resourcev1.QualifiedName]resourcev1.DeviceAttribute{"model": {StringValue: &model}},
			Capacity:   map[resourcev1.QualifiedName]resourcev1.DeviceCapacity{"memory": {Value: resource.MustParse(memory)}},
		}
	}
	_, err = c.Client().ResourceV1().ResourceSlices().Create(ctx, &resourcev1.ResourceSlice{
		ObjectMeta: metav1.ObjectMeta{Name: node},
		Spec: resourcev1.ResourceSliceSpec{
			Driver: ns + ".example.com", NodeName: &node,
			Pool:    resourcev1.ResourcePool{Name: node, ResourceSliceCount: 1},
			Devices: []resourcev1.Device{device("gpu-0", "A100", "40Gi"), device("gpu-1", "H100", "80Gi")},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = c.Client().ResourceV1().ResourceClaimTemplates(ns).Create(ctx, &resourcev1.ResourceClaimTemplate{
		ObjectMeta: metav1.ObjectMeta{Name: "big"},
		Spec: resourcev1.ResourceClaimTemplateSpec{Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{
			Requests: []resourcev1.DeviceRequest{{Name: "gpu", Exactly: &resourcev1.ExactDeviceRequest{
				DeviceClassName: class,
				Selectors: []resourcev1.DeviceSelector{{CEL: &resourcev1.CELDeviceSelector{
					Expression: fmt.Sprintf(`device.capacity[%q].memory.compareTo(quantity("64Gi")) >= 0`, ns+".example.com"),
				}}},
			}}},
		}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	job := gpuJob("claims", ns, 1, kuberig.Behaviour{Run: kuberig.Forever})
	spec := &job.Spec.Template.Spec
	spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu", ResourceClaimTemplateName: new("big")}}
	spec.Containers[0].Resources = corev1.ResourceRequirements{Claims: []corev1.ResourceClaim{{Name: "gpu"}}}
	submit(t, c, ns, job)
	pods(t, c, ns, "claims", corev1.PodRunning, 1)
	claims, err := c.Client().ResourceV1().ResourceClaims(ns).List(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, claims.Items, 1)
	require.Equal(t, "gpu-1", claims.Items[0].Status.Allocation.Devices.Results[0].Device)
}
