package kuberig_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millwright-ml/millwright/internal/kuberig"
)

// gpuJob is an Indexed Job of so many pods, each with 8 GPUs of the nodes of its
// namespace.
func gpuJob(name, pool string, pods int32, b kuberig.Behaviour) *batchv1.Job {
	mode := batchv1.IndexedCompletion
	var backoff int32 = 10
	gpus := corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("8")}
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: batchv1.JobSpec{
			CompletionMode: &mode, Parallelism: &pods, Completions: &pods, BackoffLimit: &backoff,
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Annotations: b.Annotations()},
				Spec: corev1.PodSpec{
					RestartPolicy: corev1.RestartPolicyNever,
					NodeSelector:  map[string]string{"pool": pool},
					Containers: []corev1.Container{{
						Name: "main", Image: "example.com/train:1", Resources: corev1.ResourceRequirements{Limits: gpus},
					}},
				},
			},
		},
	}
}

// submit creates a Job in its namespace.
func submit(t *testing.T, c *kuberig.Cluster, namespace string, job *batchv1.Job) {
	t.Helper()
	_, err := c.Client().BatchV1().Jobs(namespace).Create(t.Context(), job, metav1.CreateOptions{})
	require.NoError(t, err)
}

// condition waits until a Job has a condition, and returns the Job.
func condition(t *testing.T, c *kuberig.Cluster, namespace, name string, want batchv1.JobConditionType) (*batchv1.Job, batchv1.JobCondition) {
	t.Helper()
	var job *batchv1.Job
	var found batchv1.JobCondition
	c.Eventually(t, fmt.Sprintf("job %s %s", name, want), func(ctx context.Context) (err error) {
		if job, err = c.Client().BatchV1().Jobs(namespace).Get(ctx, name, metav1.GetOptions{}); err != nil {
			return err
		}
		for _, cond := range job.Status.Conditions {
			if cond.Type == want && cond.Status == corev1.ConditionTrue {
				found = cond
				return nil
			}
		}
		return fmt.Errorf("status %+v", job.Status)
	})
	return job, found
}

// pods waits until as many pods of a Job are in a phase, and returns them.
func pods(t *testing.T, c *kuberig.Cluster, namespace, job string, phase corev1.PodPhase, want int) []corev1.Pod {
	t.Helper()
	var found []corev1.Pod
	c.Eventually(t, fmt.Sprintf("%d pods of %s %s", want, job, phase), func(ctx context.Context) error {
		list, err := c.Client().CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "batch.kubernetes.io/job-name=" + job})
		if err != nil {
			return err
		}
		found = nil
		for _, pod := range list.Items {
			if pod.Status.Phase == phase && pod.DeletionTimestamp == nil {
				found = append(found, pod)
			}
		}
		if len(found) != want {
			return fmt.Errorf("there are %d of %d", len(found), len(list.Items))
		}
		return nil
	})
	return found
}

// pool adds nodes of 8 GPUs for the pods of a namespace.
func pool(t *testing.T, c *kuberig.Cluster, namespace string, nodes int) []string {
	t.Helper()
	return c.AddNodes(t, kuberig.NodeSpec{Count: nodes, Labels: map[string]string{"pool": namespace}})
}

func TestJobCompletesOnePodANode(t *testing.T) {
	t.Parallel()
	c := kuberig.Shared(t, kuberig.Plain)
	ns := c.Namespace(t)
	pool(t, c, ns, 4)
	submit(t, c, ns, gpuJob("four", ns, 4, kuberig.Behaviour{Run: 300 * time.Millisecond}))
	job, _ := condition(t, c, ns, "four", batchv1.JobComplete)
	require.EqualValues(t, 4, job.Status.Succeeded)
	nodes := map[string]bool{}
	for _, pod := range pods(t, c, ns, "four", corev1.PodSucceeded, 4) {
		nodes[pod.Spec.NodeName] = true
		state := pod.Status.ContainerStatuses[0].State.Terminated
		require.NotNil(t, state)
		require.Equal(t, "Completed", state.Reason)
		require.False(t, state.StartedAt.IsZero())
	}
	require.Len(t, nodes, 4, "each node has room for one pod of 8 GPUs")
}

func TestUserErrorFailsTheJobAtOnce(t *testing.T) {
	t.Parallel()
	c := kuberig.Shared(t, kuberig.Plain)
	ns := c.Namespace(t)
	pool(t, c, ns, 2)
	job := gpuJob("wrong", ns, 2, kuberig.Behaviour{Run: 100 * time.Millisecond, ExitCodes: map[int]int{1: 3}, Message: "no such file"})
	job.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{
		{Action: batchv1.PodFailurePolicyActionIgnore, OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}}},
		{Action: batchv1.PodFailurePolicyActionFailJob, OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
			Operator: batchv1.PodFailurePolicyOnExitCodesOpNotIn, Values: []int32{137, 143},
		}},
	}}
	submit(t, c, ns, job)
	_, cond := condition(t, c, ns, "wrong", batchv1.JobFailed)
	require.Equal(t, batchv1.JobReasonPodFailurePolicy, cond.Reason)
	require.Contains(t, cond.Message, "exit code 3 matching FailJob rule at index 1")
	failed := pods(t, c, ns, "wrong", corev1.PodFailed, 1)
	require.Equal(t, "no such file", failed[0].Status.ContainerStatuses[0].State.Terminated.Message)
}

func TestEvictedPodIsReplacedAndNotCounted(t *testing.T) {
	t.Parallel()
	c := kuberig.Shared(t, kuberig.Plain)
	ns := c.Namespace(t)
	pool(t, c, ns, 2)
	job := gpuJob("evicted", ns, 2, kuberig.Behaviour{Run: kuberig.Forever})
	failed := batchv1.Failed
	job.Spec.PodReplacementPolicy = &failed
	job.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{
		{Action: batchv1.PodFailurePolicyActionIgnore, OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}}},
	}}
	submit(t, c, ns, job)
	old := pods(t, c, ns, "evicted", corev1.PodRunning, 2)
	require.NoError(t, c.Evict(t.Context(), ns, old[0].Name))
	c.Eventually(t, "the pod goes", func(ctx context.Context) error {
		_, err := c.Client().CoreV1().Pods(ns).Get(ctx, old[0].Name, metav1.GetOptions{})
		if err == nil {
			return errors.New("it is still there")
		}
		return nil
	})
	for _, pod := range pods(t, c, ns, "evicted", corev1.PodRunning, 2) {
		require.NoError(t, c.Finish(t.Context(), ns, pod.Name, kuberig.End{}))
	}
	done, _ := condition(t, c, ns, "evicted", batchv1.JobComplete)
	require.Zero(t, done.Status.Failed)
}

func TestLostNode(t *testing.T) {
	t.Parallel()
	c := kuberig.Shared(t, kuberig.Plain)
	ns := c.Namespace(t)
	pool(t, c, ns, 2)
	submit(t, c, ns, gpuJob("lost", ns, 1, kuberig.Behaviour{Run: kuberig.Forever}))
	pod := pods(t, c, ns, "lost", corev1.PodRunning, 1)[0]
	require.NoError(t, c.NodeLost(t.Context(), pod.Spec.NodeName))
	c.Eventually(t, "the pod is to go", func(ctx context.Context) error {
		now, err := c.Client().CoreV1().Pods(ns).Get(ctx, pod.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if now.DeletionTimestamp == nil {
			return fmt.Errorf("it stays: %+v", now.Status.Conditions)
		}
		require.Equal(t, corev1.PodRunning, now.Status.Phase, "nobody tells its end")
		return nil
	})
	require.NoError(t, c.RemoveNode(t.Context(), pod.Spec.NodeName))
	again := pods(t, c, ns, "lost", corev1.PodRunning, 1)[0]
	require.NotEqual(t, pod.Spec.NodeName, again.Spec.NodeName)
}

// Quota is no guard of a gang: a part of the pods starts and holds its GPUs.
func TestQuotaLetsAPartStart(t *testing.T) {
	t.Parallel()
	c := kuberig.Shared(t, kuberig.Plain)
	ns := c.Namespace(t)
	pool(t, c, ns, 4)
	_, err := c.Client().CoreV1().ResourceQuotas(ns).Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "gpus"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"requests.nvidia.com/gpu": resource.MustParse("16")}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	c.Eventually(t, "the quota is counted", func(ctx context.Context) error {
		q, err := c.Client().CoreV1().ResourceQuotas(ns).Get(ctx, "gpus", metav1.GetOptions{})
		if err == nil && len(q.Status.Hard) == 0 {
			err = errors.New("not yet")
		}
		return err
	})
	submit(t, c, ns, gpuJob("partly", ns, 4, kuberig.Behaviour{Run: kuberig.Forever}))
	pods(t, c, ns, "partly", corev1.PodRunning, 2)
	c.Eventually(t, "the reason is in an event", func(ctx context.Context) error {
		events, err := c.Client().CoreV1().Events(ns).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=partly,reason=FailedCreate"})
		if err == nil && len(events.Items) == 0 {
			err = errors.New("no event yet")
		}
		return err
	})
	pods(t, c, ns, "partly", corev1.PodRunning, 2)
}

func TestImageThatIsNotThere(t *testing.T) {
	t.Parallel()
	c := kuberig.Shared(t, kuberig.Plain)
	ns := c.Namespace(t)
	pool(t, c, ns, 1)
	submit(t, c, ns, gpuJob("image", ns, 1, kuberig.Behaviour{Waiting: "ImagePullBackOff", Message: "Back-off pulling image"}))
	c.Eventually(t, "the pod waits for its image", func(ctx context.Context) error {
		list, err := c.Client().CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, pod := range list.Items {
			for _, s := range pod.Status.ContainerStatuses {
				if s.State.Waiting != nil && s.State.Waiting.Reason == "ImagePullBackOff" {
					return nil
				}
			}
		}
		return fmt.Errorf("pods %d", len(list.Items))
	})
}

// read returns the log of a pod.
func read(ctx context.Context, c *kuberig.Cluster, namespace, pod string, opts *corev1.PodLogOptions) (string, error) {
	stream, err := c.Client().CoreV1().Pods(namespace).GetLogs(pod, opts).Stream(ctx)
	if err != nil {
		return "", err
	}
	defer stream.Close()
	data, err := io.ReadAll(stream)
	return string(data), err
}

func TestLogs(t *testing.T) {
	t.Parallel()
	c := kuberig.Shared(t, kuberig.Plain)
	ns := c.Namespace(t)
	pool(t, c, ns, 2)
	submit(t, c, ns, gpuJob("talks", ns, 2, kuberig.Behaviour{Run: kuberig.Forever, Logs: []string{"rank $RANK begins", "step 1"}}))
	running := pods(t, c, ns, "talks", corev1.PodRunning, 2)
	for _, pod := range running {
		rank := pod.Annotations["batch.kubernetes.io/job-completion-index"]
		text, err := read(t.Context(), c, ns, pod.Name, &corev1.PodLogOptions{})
		require.NoError(t, err)
		require.Equal(t, "rank "+rank+" begins\nstep 1\n", text)
	}
	// Following goes on until the container ends.
	pod := running[0].Name
	followed := make(chan string, 1)
	stream, err := c.Client().CoreV1().Pods(ns).GetLogs(pod, &corev1.PodLogOptions{Follow: true, TailLines: new(int64(1))}).Stream(t.Context())
	require.NoError(t, err)
	defer stream.Close()
	first := make([]byte, len("step 1\n"))
	_, err = io.ReadFull(stream, first) // now it follows this container and not the next one
	require.NoError(t, err)
	require.Equal(t, "step 1\n", string(first))
	go func() {
		text, err := io.ReadAll(stream)
		if err != nil {
			text = []byte(err.Error())
		}
		followed <- string(text)
	}()
	require.NoError(t, c.WriteLog(t.Context(), ns, pod, "", "step 2"))
	require.NoError(t, c.Restart(t.Context(), ns, pod, 1))
	select {
	case text := <-followed:
		require.Contains(t, text, "step 2\n")
	case <-time.After(5 * time.Minute):
		require.Fail(t, "following does not end with the container")
	}
	// The run before is kept.
	text, err := read(t.Context(), c, ns, pod, &corev1.PodLogOptions{Previous: true, Timestamps: true})
	require.NoError(t, err)
	require.Regexp(t, `(?s)^\d{4}-\S+Z rank . begins\n.*\n\S+ step 2\n$`, text)
}

// A pod that names no nodes does not land on those of another test.
func TestPodsKeepToTheirPool(t *testing.T) {
	t.Parallel()
	c := kuberig.Shared(t, kuberig.Plain)
	ns := c.Namespace(t)
	create := func(name string, selector map[string]string) map[string]string {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       corev1.PodSpec{NodeSelector: selector, Containers: []corev1.Container{{Name: "main", Image: "example.com/train:1"}}},
		}
		made, err := c.Client().CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		require.NoError(t, err)
		return made.Spec.NodeSelector
	}
	require.Equal(t, map[string]string{kuberig.PoolLabel: ns}, create("anywhere", nil))
	require.Equal(t, map[string]string{kuberig.PoolLabel: ns, "zone": "a"}, create("zone", map[string]string{"zone": "a"}))
	require.Equal(t, map[string]string{kuberig.PoolLabel: "other"}, create("other", map[string]string{kuberig.PoolLabel: "other"}))
}
