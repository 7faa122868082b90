package manifest

import (
	"maps"
	"math"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millwright-ml/millwright/train"
)

// The annotations that the Job controller gives its pods.
const (
	noteIndex    = "batch.kubernetes.io/job-completion-index"
	noteFailures = "batch.kubernetes.io/job-index-failure-count"
)

// Job is a batch/v1 Job: of one pod, or Indexed with a pod a node.
func Job(s train.Spec, p *Params) *batchv1.Job {
	job := &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: rootMeta(s, p),
		Spec:       jobSpec(s, p),
	}
	// A queue takes a job that is suspended and starts it when it is its turn.
	if p.Queue != "" {
		yes := true
		job.Spec.Suspend = &yes
	}
	if s.TTL > 0 {
		ttl := seconds(s.TTL.Seconds())
		job.Spec.TTLSecondsAfterFinished = &ttl
	}
	if p.Gang == GangNative {
		nodes := int32(s.NodeCount()) //nolint:gosec // Validate bounds it.
		job.Spec.Scheduling = &batchv1.JobSchedulingConfiguration{
			SchedulingPolicy: &schedulingv1alpha3.WorkloadPodGroupSchedulingPolicy{Gang: &schedulingv1alpha3.WorkloadPodGroupGangSchedulingPolicy{MinCount: &nodes}},
		}
	}
	return job
}

func jobSpec(s train.Spec, p *Params) batchv1.JobSpec {
	nodes := int32(s.NodeCount()) //nolint:gosec // Validate bounds it.
	mode, replace := batchv1.IndexedCompletion, batchv1.Failed
	r := ranks{attempt: annotationField(noteFailures), resumes: annotationField(NoteAttempt)}
	if nodes > 1 {
		r = ranks{
			node: "$(" + nodeVariable + ")", field: annotationField(noteIndex), master: p.ID + "-0." + p.ID,
			attempt: annotationField(NoteAttempt),
		}
	}
	spec := batchv1.JobSpec{
		Parallelism: &nodes, Completions: &nodes, CompletionMode: &mode,
		// Never two pods of one rank.
		PodReplacementPolicy: &replace,
		PodFailurePolicy:     failurePolicy(s.Retry, nodes == 1),
		Template:             template(s, p, r),
	}
	if nodes > 1 {
		spec.Template.Spec.Subdomain = p.ID
		none := int32(0)
		spec.BackoffLimit = &none
	} else {
		// The limit for each index, because then the pods say how often they were
		// tried, whichever pods are left.
		limit := backoff(s.Retry)
		spec.BackoffLimitPerIndex = &limit
	}
	if p.Deadline > 0 {
		deadline := int64(seconds(p.Deadline.Seconds()))
		spec.ActiveDeadlineSeconds = &deadline
	}
	return spec
}

func seconds(s float64) int32 { return int32(min(math.Ceil(s), math.MaxInt32)) }

// backoff is how often a single pod is replaced.
func backoff(r train.Retry) int32 {
	return int32(min(int64(r.InfraBudget())+int64(max(0, r.User)), math.MaxInt32)) //nolint:gosec // Bounded here.
}

// failurePolicy says which ends of a pod count as a try and which fail the job.
// The server wants exit codes sorted. A disruption comes
// first, because a program may answer its SIGTERM with any exit code. Where pods
// are not replaced one by one, what counts ends the Job too, but for another reason
// than the policy, by which the JobSet above tells what to restart.
func failurePolicy(r train.Retry, replace bool) *batchv1.PodFailurePolicy {
	var fail, again []int32
	for _, code := range slices.Sorted(maps.Keys(r.ExitCodes)) {
		if r.ExitCodes[code] == train.Fail {
			fail = append(fail, int32(code)) //nolint:gosec // Validate bounds it.
		} else {
			again = append(again, int32(code)) //nolint:gosec // Validate bounds it.
		}
	}
	var rules []batchv1.PodFailurePolicyRule
	codes := func(action batchv1.PodFailurePolicyAction, op batchv1.PodFailurePolicyOnExitCodesOperator, values ...int32) {
		if len(values) > 0 {
			name := Container
			rules = append(rules, batchv1.PodFailurePolicyRule{Action: action, OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
				ContainerName: &name, Operator: op, Values: values,
			}})
		}
	}
	disrupted := []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}}
	action := batchv1.PodFailurePolicyActionCount
	if replace && r.InfraBudget() == 0 {
		action = batchv1.PodFailurePolicyActionFailJob
	}
	rules = append(rules, batchv1.PodFailurePolicyRule{Action: action, OnPodConditions: disrupted})
	if r.User > 0 {
		codes(batchv1.PodFailurePolicyActionFailJob, batchv1.PodFailurePolicyOnExitCodesOpIn, fail...)
	} else {
		again = append(again, sigterm)
		slices.Sort(again)
		codes(batchv1.PodFailurePolicyActionFailJob, batchv1.PodFailurePolicyOnExitCodesOpNotIn, slices.Compact(again)...)
	}
	return &batchv1.PodFailurePolicy{Rules: rules}
}

// sigterm is the exit code of a program that was asked to end and did. Nobody but
// the infrastructure asks. SIGKILL, 137, is nearly always the memory limit, and so
// the program's failure.
const sigterm = 143

// Service gives the pods of a job of several nodes their names.
func Service(s train.Spec, p *Params, owner *metav1.OwnerReference) *corev1.Service {
	service := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Name: p.ID, Namespace: p.Namespace, Labels: Labels(s, p)},
		Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone,
			Selector:  map[string]string{LabelJob: p.ID},
			// Ranks look for each other before they are ready.
			PublishNotReadyAddresses: true,
		},
	}
	if owner != nil {
		service.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	return service
}
