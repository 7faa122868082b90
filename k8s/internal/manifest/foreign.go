package manifest

import (
	"slices"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millwright-ml/millwright/k8s/internal/foreign"
	"github.com/millwright-ml/millwright/k8s/internal/kube"
	"github.com/millwright-ml/millwright/train"
)

// role is the name of the one Job of a JobSet, and of Kubeflow's.
const role = "node"

const labelRestart = "jobset.sigs.k8s.io/restart-attempt"

func typeMeta(k kube.Kind) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: k.APIVersion(), Kind: k.Kind}
}

func suspended(p *Params) *bool {
	if p.Queue == "" {
		return nil
	}
	yes := true
	return &yes
}

// setRanks are those of a pod of a JobSet with the job's name.
func setRanks(s train.Spec, p *Params) ranks {
	r := ranks{attempt: labelField(labelRestart), resumes: annotationField(NoteAttempt)}
	if s.NodeCount() > 1 {
		r.node, r.field, r.master = "$("+nodeVariable+")", annotationField(noteIndex), p.ID+"-"+role+"-0-0."+p.ID
	}
	return r
}

// JobSet restarts all nodes together when the infrastructure fails one, and none
// when the program fails.
func JobSet(s train.Spec, p *Params) *foreign.JobSet {
	job := jobSpec(s, p)
	job.Template = template(s, p, setRanks(s, p))
	none := int32(0)
	job.BackoffLimit, job.BackoffLimitPerIndex = &none, nil
	job.PodFailurePolicy = failurePolicy(s.Retry, false)
	yes := true
	set := &foreign.JobSet{
		TypeMeta: typeMeta(foreign.JobSets), ObjectMeta: rootMeta(s, p),
		Spec: foreign.JobSetSpec{
			ReplicatedJobs: []foreign.ReplicatedJob{{Name: role, Replicas: 1, Template: batchv1.JobTemplateSpec{Spec: job}}},
			Network:        &foreign.Network{EnableDNSHostnames: &yes, PublishNotReadyAddresses: &yes},
			FailurePolicy: &foreign.FailurePolicy{MaxRestarts: backoff(s.Retry), Rules: []foreign.FailureRule{
				{Name: "program", Action: "FailJobSet", OnJobFailureReasons: []string{batchv1.JobReasonPodFailurePolicy, batchv1.JobReasonDeadlineExceeded}},
			}},
			Suspend: suspended(p),
		},
	}
	if s.TTL > 0 {
		ttl := seconds(s.TTL.Seconds())
		set.Spec.TTLSecondsAfterFinished = &ttl
	}
	return set
}

// without leaves out what a controller sets itself.
func without(env []corev1.EnvVar, drop func(string) bool) []corev1.EnvVar {
	return slices.DeleteFunc(slices.Clone(env), func(e corev1.EnvVar) bool { return drop(e.Name) })
}

// TrainJob fills the trainer of a runtime, and patches the rest of the pod in.
func TrainJob(s train.Spec, p *Params) *foreign.TrainJob {
	pod := template(s, p, setRanks(s, p))
	main := &pod.Spec.Containers[0]
	nodes := int32(s.NodeCount()) //nolint:gosec // Validate bounds it.
	trainer := &foreign.Trainer{
		Image: s.Image, Command: main.Command, NumNodes: &nodes, ResourcesPerNode: &main.Resources,
		Env: without(main.Env, func(name string) bool { return strings.HasPrefix(name, "PET_") }),
	}
	if s.Launch == train.Torchrun || s.Launch == train.MPI {
		procs := int32(s.ProcCount()) //nolint:gosec // Validate bounds it.
		trainer.NumProcPerNode = &procs
	}
	kind := foreign.AllRuntimes.Kind
	runtime, local := strings.CutPrefix(p.Runtime, "namespace/")
	if local {
		kind = foreign.Runtimes.Kind
	}
	job := &foreign.TrainJob{
		TypeMeta: typeMeta(foreign.TrainJobs), ObjectMeta: rootMeta(s, p),
		Spec: foreign.TrainJobSpec{
			RuntimeRef: foreign.RuntimeRef{Name: runtime, APIGroup: foreign.TrainJobs.Group, Kind: kind},
			Trainer:    trainer,
			Suspend:    suspended(p),
			RuntimePatches: []foreign.RuntimePatch{{
				Manager: Domain + "launcher",
				TrainingRuntimeSpec: &foreign.PatchLevel{Template: &foreign.JobSetPatch{Spec: &foreign.JobSetPatchSpec{ReplicatedJobs: []foreign.JobPatch{{
					Name: role, Template: &foreign.JobPatchBody{Spec: &foreign.JobPatchSpec{Template: &foreign.PodPatch{
						Metadata: &foreign.PodPatchMeta{Labels: pod.Labels, Annotations: pod.Annotations},
						Spec: &foreign.PodPatchSpec{
							ServiceAccountName: pod.Spec.ServiceAccountName, Volumes: pod.Spec.Volumes,
							Containers:       []foreign.ContainerPatch{{Name: role, VolumeMounts: main.VolumeMounts, SecurityContext: main.SecurityContext}},
							ImagePullSecrets: pod.Spec.ImagePullSecrets, SecurityContext: pod.Spec.SecurityContext,
							NodeSelector: pod.Spec.NodeSelector, Affinity: pod.Spec.Affinity, Tolerations: pod.Spec.Tolerations,
							TerminationGracePeriodSeconds: pod.Spec.TerminationGracePeriodSeconds,
						},
					}}},
				}}}}},
			}},
		},
	}
	if p.Deadline > 0 {
		job.Spec.ActiveDeadlineSeconds = int64(seconds(p.Deadline.Seconds()))
	}
	return job
}

// operatorEnv are the variables that the training and the MPI operator set.
func operatorEnv(name string) bool {
	switch name {
	case "MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", nodeVariable, "GROUP_RANK", "LOCAL_RANK":
		return true
	}
	return strings.HasPrefix(name, "PET_") || strings.HasPrefix(name, "OMPI_")
}

func runPolicy(s train.Spec, p *Params) foreign.RunPolicy {
	limit := backoff(s.Retry)
	policy := foreign.RunPolicy{CleanPodPolicy: "None", BackoffLimit: &limit, Suspend: suspended(p)}
	if s.TTL > 0 {
		ttl := seconds(s.TTL.Seconds())
		policy.TTLSecondsAfterFinished = &ttl
	}
	if p.Deadline > 0 {
		deadline := int64(seconds(p.Deadline.Seconds()))
		policy.ActiveDeadlineSeconds = &deadline
	}
	return policy
}

func replica(s train.Spec, p *Params, container, restart string, count int) *foreign.Replica {
	pod := template(s, p, ranks{attempt: annotationField(NoteAttempt)})
	main := &pod.Spec.Containers[0]
	main.Name, main.Env = container, without(main.Env, operatorEnv)
	pod.Spec.RestartPolicy = "" // the operator's
	n := int32(count)           //nolint:gosec // Validate bounds it.
	return &foreign.Replica{Replicas: &n, Template: pod, RestartPolicy: restart}
}

// PyTorchJob is that of the older training operator: a master and workers. With
// ExitCode it restarts what ended by a signal.
func PyTorchJob(s train.Spec, p *Params) *foreign.KubeflowJob {
	restart := "ExitCode"
	switch {
	case s.Retry.User > 0:
		restart = "OnFailure"
	case s.Retry.InfraBudget() == 0:
		restart = "Never"
	}
	job := &foreign.KubeflowJob{
		TypeMeta: typeMeta(foreign.PyTorchJobs), ObjectMeta: rootMeta(s, p),
		Spec: foreign.KubeflowSpec{RunPolicy: runPolicy(s, p), PyTorchReplicaSpecs: map[string]*foreign.Replica{
			"Master": replica(s, p, "pytorch", restart, 1),
		}},
	}
	if n := s.NodeCount() - 1; n > 0 {
		job.Spec.PyTorchReplicaSpecs["Worker"] = replica(s, p, "pytorch", restart, n)
	}
	if s.Launch == train.Torchrun {
		job.Spec.NprocPerNode = strconv.Itoa(s.ProcCount())
	}
	return job
}

// MPIJob runs the command on the launcher, which is a worker too, and the image's
// ssh server on the others.
func MPIJob(s train.Spec, p *Params) *foreign.KubeflowJob {
	slots, yes := int32(s.ProcCount()), true //nolint:gosec // Validate bounds it.
	worker := replica(s, p, "mpi", "Never", s.NodeCount()-1)
	worker.Template.Spec.Containers[0].Command = nil
	return &foreign.KubeflowJob{
		TypeMeta: typeMeta(foreign.MPIJobs), ObjectMeta: rootMeta(s, p),
		Spec: foreign.KubeflowSpec{
			RunPolicy: runPolicy(s, p), SlotsPerWorker: &slots, RunLauncherAsWorker: &yes,
			MPIReplicaSpecs: map[string]*foreign.Replica{"Launcher": replica(s, p, "mpi", "Never", 1), "Worker": worker},
		},
	}
}

// Group is Volcano's PodGroup of the job.
func Group(s train.Spec, p *Params, owner *metav1.OwnerReference) *foreign.PodGroup {
	g := &foreign.PodGroup{
		TypeMeta:   typeMeta(foreign.PodGroups),
		ObjectMeta: metav1.ObjectMeta{Name: p.ID, Namespace: p.Namespace, Labels: Labels(s, p)},
		Spec:       foreign.PodGroupSpec{MinMember: int32(s.NodeCount()), PriorityClassName: s.Priority}, //nolint:gosec // Validate bounds it.
	}
	if owner != nil {
		g.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	return g
}

// Claim is the template of the claims for GPUs of a DRA driver.
func Claim(s train.Spec, p *Params, owner *metav1.OwnerReference) *resourcev1.ResourceClaimTemplate {
	d := p.GPU.Device
	request := &resourcev1.ExactDeviceRequest{DeviceClassName: d.Class, AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: int64(p.GPU.Count)}
	for _, text := range d.Selectors {
		request.Selectors = append(request.Selectors, resourcev1.DeviceSelector{CEL: &resourcev1.CELDeviceSelector{Expression: text}})
	}
	c := &resourcev1.ResourceClaimTemplate{
		TypeMeta:   typeMeta(foreign.Claims),
		ObjectMeta: metav1.ObjectMeta{Name: ClaimTemplate(p.ID), Namespace: p.Namespace, Labels: Labels(s, p)},
		Spec: resourcev1.ResourceClaimTemplateSpec{Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{
			Requests: []resourcev1.DeviceRequest{{Name: "gpu", Exactly: request}},
		}}},
	}
	if owner != nil {
		c.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	return c
}
