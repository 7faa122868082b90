package kuberig_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/millwright-ml/millwright/internal/kuberig"
)

// The kinds of Kueue, JobSet and Trainer.
func kind(group, version, resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: version, Resource: resource}
}

var (
	flavors       = kind("kueue.x-k8s.io", "v1beta2", "resourceflavors")
	topologies    = kind("kueue.x-k8s.io", "v1beta2", "topologies")
	clusterQueues = kind("kueue.x-k8s.io", "v1beta2", "clusterqueues")
	localQueues   = kind("kueue.x-k8s.io", "v1beta2", "localqueues")
	workloads     = kind("kueue.x-k8s.io", "v1beta2", "workloads")
	jobSets       = kind("jobset.x-k8s.io", "v1alpha2", "jobsets")
	trainJobs     = kind("trainer.kubeflow.org", "v1alpha1", "trainjobs")
)

// apply makes an object out of YAML. Objects of the cluster go at the test's end.
func apply(t *testing.T, c *kuberig.Cluster, kind schema.GroupVersionResource, namespace, text string) {
	t.Helper()
	o := &unstructured.Unstructured{}
	require.NoError(t, yaml.Unmarshal([]byte(text), &o.Object))
	_, err := c.Dynamic().Resource(kind).Namespace(namespace).Create(t.Context(), o, metav1.CreateOptions{})
	require.NoError(t, err)
	if namespace == "" {
		t.Cleanup(func() {
			_ = c.Dynamic().Resource(kind).Delete(context.WithoutCancel(t.Context()), o.GetName(), metav1.DeleteOptions{}) // the cluster ends soon
		})
	}
}

// queue gives a namespace a LocalQueue "queue" of a ClusterQueue of its own with a
// quota of GPUs, in a cohort.
func queue(t *testing.T, c *kuberig.Cluster, namespace, flavor, cohort string, gpus int) {
	t.Helper()
	apply(t, c, clusterQueues, "", fmt.Sprintf(`
apiVersion: kueue.x-k8s.io/v1beta2
kind: ClusterQueue
metadata: {name: %[1]s}
spec:
  cohortName: %[3]s
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
  preemption: {reclaimWithinCohort: Any}
  resourceGroups:
  - coveredResources: [nvidia.com/gpu]
    flavors:
    - name: %[2]s
      resources: [{name: nvidia.com/gpu, nominalQuota: %[4]d}]`, namespace, flavor, cohort, gpus))
	apply(t, c, localQueues, namespace, fmt.Sprintf(`
apiVersion: kueue.x-k8s.io/v1beta2
kind: LocalQueue
metadata: {name: queue}
spec: {clusterQueue: %s}`, namespace))
}

// flavor makes a flavor of the nodes of a pool.
func flavor(t *testing.T, c *kuberig.Cluster, name, more string) {
	t.Helper()
	apply(t, c, flavors, "", fmt.Sprintf(`
apiVersion: kueue.x-k8s.io/v1beta2
kind: ResourceFlavor
metadata: {name: %s}
spec: {nodeLabels: {pool: %s}%s}`, name, name, more))
}

// queued makes a Job one of the queue.
func queued(job *batchv1.Job) *batchv1.Job {
	job.Labels = map[string]string{"kueue.x-k8s.io/queue-name": "queue"}
	return job
}

func TestBorrowingAndReclaim(t *testing.T) {
	t.Parallel()
	c := kuberig.Shared(t, kuberig.Batch)
	a, b := c.Namespace(t), c.Namespace(t)
	pool(t, c, a, 4)
	flavor(t, c, a, "")
	queue(t, c, a, a, a, 16)
	queue(t, c, b, a, a, 16)
	// The first team borrows what the second does not use.
	submit(t, c, a, queued(gpuJob("borrows", a, 4, kuberig.Behaviour{Run: kuberig.Forever})))
	first := pods(t, c, a, "borrows", corev1.PodRunning, 4)
	// The second team takes back what is its own.
	submit(t, c, b, queued(gpuJob("reclaims", a, 2, kuberig.Behaviour{Run: kuberig.Forever})))
	second := pods(t, c, b, "reclaims", corev1.PodRunning, 2)
	var text string
	c.Eventually(t, "the first job is preempted", func(ctx context.Context) error {
		list, err := c.Dynamic().Resource(workloads).Namespace(a).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		data, err := json.Marshal(list)
		text = string(data)
		if err == nil && !(strings.Contains(text, "InCohortReclamation") && strings.Contains(text, "insufficient unused quota for nvidia.com/gpu")) {
			err = fmt.Errorf("workloads %s", text)
		}
		return err
	})
	job, _ := condition(t, c, a, "borrows", batchv1.JobSuspended)
	require.True(t, *job.Spec.Suspend)
	// It goes on when there is room again.
	for _, pod := range second {
		require.NoError(t, c.Finish(t.Context(), b, pod.Name, kuberig.End{}))
	}
	again := pods(t, c, a, "borrows", corev1.PodRunning, 4)
	require.NotEqual(t, first[0].UID, again[0].UID)
}

func TestTopology(t *testing.T) {
	t.Parallel()
	c := kuberig.Shared(t, kuberig.Batch)
	ns := c.Namespace(t)
	for _, rack := range []string{"r1", "r2"} {
		// A rack has one node of the pods' size more than the other job leaves.
		c.AddNodes(t, kuberig.NodeSpec{Count: 2, Rack: ns + rack, Labels: map[string]string{"pool": ns}})
	}
	apply(t, c, topologies, "", fmt.Sprintf(`
apiVersion: kueue.x-k8s.io/v1beta2
kind: Topology
metadata: {name: %s}
spec: {levels: [{nodeLabel: %s}, {nodeLabel: kubernetes.io/hostname}]}`, ns, kuberig.RackLabel))
	flavor(t, c, ns, ", topologyName: "+ns)
	queue(t, c, ns, ns, ns, 32)
	job := queued(gpuJob("near", ns, 2, kuberig.Behaviour{Run: kuberig.Forever}))
	job.Spec.Template.Annotations["kueue.x-k8s.io/podset-required-topology"] = kuberig.RackLabel
	submit(t, c, ns, job)
	racks := map[string]bool{}
	for _, pod := range pods(t, c, ns, "near", corev1.PodRunning, 2) {
		node, err := c.Client().CoreV1().Nodes().Get(t.Context(), pod.Spec.NodeName, metav1.GetOptions{})
		require.NoError(t, err)
		racks[node.Labels[kuberig.RackLabel]] = true
	}
	require.Len(t, racks, 1)
}

func TestGang(t *testing.T) {
	t.Parallel()
	c := kuberig.Shared(t, kuberig.Batch)
	ns := c.Namespace(t)
	pool(t, c, ns, 4)
	job := gpuJob("gang", ns, 5, kuberig.Behaviour{Run: kuberig.Forever})
	job.Spec.Scheduling = &batchv1.JobSchedulingConfiguration{SchedulingPolicy: &schedulingv1alpha3.WorkloadPodGroupSchedulingPolicy{
		Gang: &schedulingv1alpha3.WorkloadPodGroupGangSchedulingPolicy{MinCount: new(int32(5))},
	}}
	submit(t, c, ns, job)
	c.Eventually(t, "the scheduler says why", func(ctx context.Context) error {
		list, err := c.Client().CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, pod := range list.Items {
			for _, cond := range pod.Status.Conditions {
				if cond.Type == corev1.PodScheduled && strings.Contains(cond.Message, "minCount") {
					return nil
				}
			}
		}
		data, _ := json.Marshal(list.Items) // it is only shown
		return fmt.Errorf("pods %s", data)
	})
	pods(t, c, ns, "gang", corev1.PodPending, 5)
	// One more node, and all start.
	pool(t, c, ns, 1)
	pods(t, c, ns, "gang", corev1.PodRunning, 5)
}

// finished waits until an object has a condition of a type that is true.
func finished(t *testing.T, c *kuberig.Cluster, kind schema.GroupVersionResource, namespace, name, want string) *unstructured.Unstructured {
	t.Helper()
	var found *unstructured.Unstructured
	c.Eventually(t, name+" "+want, func(ctx context.Context) error {
		o, err := c.Dynamic().Resource(kind).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		found = o
		conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions") // absent is not yet
		for _, item := range conditions {
			if cond := item.(map[string]any); cond["type"] == want && cond["status"] == "True" {
				return nil
			}
		}
		data, _ := json.Marshal(o.Object["status"]) // it is only shown
		return fmt.Errorf("status %s", data)
	})
	return found
}

// annotations are a behaviour in YAML flow style.
func annotations(t *testing.T, b kuberig.Behaviour) string {
	t.Helper()
	data, err := json.Marshal(b.Annotations())
	require.NoError(t, err)
	return string(data)
}

func TestJobSetRestartsAll(t *testing.T) {
	t.Parallel()
	c := kuberig.Shared(t, kuberig.Batch)
	ns := c.Namespace(t)
	pool(t, c, ns, 2)
	jobSet := func(name string, b kuberig.Behaviour) string {
		return fmt.Sprintf(`
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata: {name: %s}
spec:
  failurePolicy:
    maxRestarts: 3
    rules: [{name: wrong, action: FailJobSet, onJobFailureReasons: [PodFailurePolicy]}]
  replicatedJobs:
  - name: workers
    template:
      spec:
        parallelism: 2
        completions: 2
        completionMode: Indexed
        backoffLimit: 0
        podFailurePolicy: {rules: [{action: FailJob, onExitCodes: {operator: NotIn, values: [137, 143]}}]}
        template:
          metadata: {annotations: %s}
          spec:
            restartPolicy: Never
            nodeSelector: {pool: %s}
            containers: [{name: main, image: "example.com/train:1", resources: {limits: {nvidia.com/gpu: 8}}}]`, name, annotations(t, b), ns)
	}
	apply(t, c, jobSets, ns, jobSet("again", kuberig.Behaviour{Run: 100 * time.Millisecond, ExitCodes: map[int]int{1: 143}, FailAttempts: 1}))
	o := finished(t, c, jobSets, ns, "again", "Completed")
	restarts, _, err := unstructured.NestedInt64(o.Object, "status", "restarts")
	require.NoError(t, err)
	require.EqualValues(t, 1, restarts)
	apply(t, c, jobSets, ns, jobSet("wrong", kuberig.Behaviour{Run: 100 * time.Millisecond, ExitCode: 1}))
	o = finished(t, c, jobSets, ns, "wrong", "Failed")
	restarts, _, err = unstructured.NestedInt64(o.Object, "status", "restarts")
	require.NoError(t, err)
	require.Zero(t, restarts, "an error of the user is not tried again")
}

func trainJob(t *testing.T, name, namespace, labels string, b kuberig.Behaviour) string {
	t.Helper()
	return fmt.Sprintf(`
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata: {name: %s, labels: {%s}}
spec:
  runtimeRef: {name: torch-distributed}
  trainer:
    numNodes: 2
    image: example.com/train:1
    resourcesPerNode: {limits: {nvidia.com/gpu: 8}, requests: {nvidia.com/gpu: 8}}
  runtimePatches:
  - manager: tests.millwright.dev/rig
    trainingRuntimeSpec:
      template:
        spec:
          replicatedJobs:
          - name: node
            template:
              spec:
                template:
                  metadata: {annotations: %s}
                  spec: {nodeSelector: {pool: %s}}`, name, labels, annotations(t, b), namespace)
}

func TestTrainJob(t *testing.T) {
	t.Parallel()
	c := kuberig.Shared(t, kuberig.Batch)
	ns := c.Namespace(t)
	pool(t, c, ns, 2)
	apply(t, c, trainJobs, ns, trainJob(t, "plain", ns, "", kuberig.Behaviour{Run: 300 * time.Millisecond}))
	finished(t, c, trainJobs, ns, "plain", "Complete")
	list, err := c.Client().CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, list.Items, 2)
	env := map[string]string{}
	for _, e := range list.Items[0].Spec.Containers[0].Env {
		env[e.Name] = e.Value
	}
	require.Equal(t, "2", env["PET_NNODES"])
	require.Contains(t, env["PET_MASTER_ADDR"], "plain-node-0-0.plain")

	flavor(t, c, ns, "")
	queue(t, c, ns, ns, ns, 16)
	apply(t, c, trainJobs, ns, trainJob(t, "queued", ns, "kueue.x-k8s.io/queue-name: queue", kuberig.Behaviour{Run: 300 * time.Millisecond}))
	finished(t, c, trainJobs, ns, "queued", "Complete")
}
