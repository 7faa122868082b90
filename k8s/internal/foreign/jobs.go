package foreign

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millwright-ml/millwright/k8s/internal/kube"
)

// The kinds that can stand for a job beside batch/v1 Jobs, and what goes with
// them.
var (
	JobSets     = kube.Kind{Group: "jobset.x-k8s.io", Version: "v1alpha2", Resource: "jobsets", Kind: "JobSet"}
	TrainJobs   = kube.Kind{Group: "trainer.kubeflow.org", Version: "v1alpha1", Resource: "trainjobs", Kind: "TrainJob"}
	PyTorchJobs = kube.Kind{Group: "kubeflow.org", Version: "v1", Resource: "pytorchjobs", Kind: "PyTorchJob"}
	MPIJobs     = kube.Kind{Group: "kubeflow.org", Version: "v2beta1", Resource: "mpijobs", Kind: "MPIJob"}
	PodGroups   = kube.Kind{Group: "scheduling.volcano.sh", Version: "v1beta1", Resource: "podgroups", Kind: "PodGroup"}
	Claims      = kube.Kind{Group: "resource.k8s.io", Version: "v1", Resource: "resourceclaimtemplates", Kind: "ResourceClaimTemplate"}
	Runtimes    = kube.Kind{Group: "trainer.kubeflow.org", Version: "v1alpha1", Resource: "trainingruntimes", Kind: "TrainingRuntime"}
	AllRuntimes = kube.Kind{Group: "trainer.kubeflow.org", Version: "v1alpha1", Resource: "clustertrainingruntimes", Kind: "ClusterTrainingRuntime", Cluster: true}
)

// List is a list of any of them.
type List[T any] struct {
	metav1.ListMeta `json:"metadata"`
	Items           []T `json:"items"`
}

// JobSet is a group of Jobs that restart together.
type JobSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              JobSetSpec   `json:"spec"`
	Status            JobSetStatus `json:"status,omitzero"`
}

// JobSetSpec is the part that is written.
type JobSetSpec struct {
	ReplicatedJobs          []ReplicatedJob `json:"replicatedJobs,omitempty"`
	Network                 *Network        `json:"network,omitempty"`
	FailurePolicy           *FailurePolicy  `json:"failurePolicy,omitempty"`
	Suspend                 *bool           `json:"suspend,omitempty"`
	TTLSecondsAfterFinished *int32          `json:"ttlSecondsAfterFinished,omitempty"`
}

// ReplicatedJob is one kind of Job in it.
type ReplicatedJob struct {
	Name     string                  `json:"name"`
	Replicas int32                   `json:"replicas,omitempty"`
	Template batchv1.JobTemplateSpec `json:"template"`
}

// Network gives the pods names.
type Network struct {
	EnableDNSHostnames       *bool `json:"enableDNSHostnames,omitempty"`
	PublishNotReadyAddresses *bool `json:"publishNotReadyAddresses,omitempty"`
}

// FailurePolicy says when all Jobs restart.
type FailurePolicy struct {
	MaxRestarts int32         `json:"maxRestarts,omitempty"`
	Rules       []FailureRule `json:"rules,omitempty"`
}

// FailureRule is one exception.
type FailureRule struct {
	Name                string   `json:"name"`
	Action              string   `json:"action"`
	OnJobFailureReasons []string `json:"onJobFailureReasons,omitempty"`
}

// JobSetStatus is the part that is read.
type JobSetStatus struct {
	Conditions []Condition `json:"conditions,omitempty"`
	Restarts   int32       `json:"restarts,omitempty"`
}

// TrainJob is Kubeflow Trainer's.
type TrainJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              TrainJobSpec   `json:"spec"`
	Status            TrainJobStatus `json:"status,omitzero"`
}

// TrainJobSpec is the part that is written.
type TrainJobSpec struct {
	RuntimeRef            RuntimeRef     `json:"runtimeRef"`
	Trainer               *Trainer       `json:"trainer,omitempty"`
	RuntimePatches        []RuntimePatch `json:"runtimePatches,omitempty"`
	Suspend               *bool          `json:"suspend,omitempty"`
	ActiveDeadlineSeconds int64          `json:"activeDeadlineSeconds,omitempty"`
}

// RuntimeRef names the blueprint.
type RuntimeRef struct {
	Name     string `json:"name,omitempty"`
	APIGroup string `json:"apiGroup,omitempty"`
	Kind     string `json:"kind,omitempty"`
}

// Trainer is what runs on each node.
type Trainer struct {
	Image            string                       `json:"image,omitempty"`
	Command          []string                     `json:"command,omitempty"`
	Env              []corev1.EnvVar              `json:"env,omitempty"`
	NumNodes         *int32                       `json:"numNodes,omitempty"`
	ResourcesPerNode *corev1.ResourceRequirements `json:"resourcesPerNode,omitempty"`
	NumProcPerNode   *int32                       `json:"numProcPerNode,omitempty"`
}

// RuntimePatch changes the blueprint for one job.
type RuntimePatch struct {
	Manager             string      `json:"manager,omitempty"`
	TrainingRuntimeSpec *PatchLevel `json:"trainingRuntimeSpec,omitempty"`
}

// PatchLevel is one level of the blueprint that is nested in the next.
type PatchLevel struct {
	Template *JobSetPatch `json:"template,omitempty"`
}

// JobSetPatch changes the blueprint's JobSet.
type JobSetPatch struct {
	Spec *JobSetPatchSpec `json:"spec,omitempty"`
}

// JobSetPatchSpec changes its Jobs.
type JobSetPatchSpec struct {
	ReplicatedJobs []JobPatch `json:"replicatedJobs,omitempty"`
}

// JobPatch changes one Job.
type JobPatch struct {
	Name     string        `json:"name,omitempty"`
	Template *JobPatchBody `json:"template,omitempty"`
}

// JobPatchBody is the Job's template.
type JobPatchBody struct {
	Spec *JobPatchSpec `json:"spec,omitempty"`
}

// JobPatchSpec is the Job's spec.
type JobPatchSpec struct {
	Template *PodPatch `json:"template,omitempty"`
}

// PodPatch changes the pods.
type PodPatch struct {
	Metadata *PodPatchMeta `json:"metadata,omitempty"`
	Spec     *PodPatchSpec `json:"spec,omitempty"`
}

// PodPatchMeta is the pods' metadata.
type PodPatchMeta struct {
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// PodPatchSpec is what of the pods may change.
type PodPatchSpec struct {
	ServiceAccountName            string                        `json:"serviceAccountName,omitempty"`
	Volumes                       []corev1.Volume               `json:"volumes,omitempty"`
	Containers                    []ContainerPatch              `json:"containers,omitempty"`
	ImagePullSecrets              []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`
	SecurityContext               *corev1.PodSecurityContext    `json:"securityContext,omitempty"`
	NodeSelector                  map[string]string             `json:"nodeSelector,omitempty"`
	Affinity                      *corev1.Affinity              `json:"affinity,omitempty"`
	Tolerations                   []corev1.Toleration           `json:"tolerations,omitempty"`
	TerminationGracePeriodSeconds *int64                        `json:"terminationGracePeriodSeconds,omitempty"`
}

// ContainerPatch changes one container.
type ContainerPatch struct {
	Name            string                  `json:"name,omitempty"`
	VolumeMounts    []corev1.VolumeMount    `json:"volumeMounts,omitempty"`
	SecurityContext *corev1.SecurityContext `json:"securityContext,omitempty"`
}

// TrainJobStatus is the part that is read.
type TrainJobStatus struct {
	Conditions []Condition `json:"conditions,omitempty"`
}

// KubeflowJob is a PyTorchJob or an MPIJob: the one field that they do not share
// is where the replicas are.
type KubeflowJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              KubeflowSpec   `json:"spec"`
	Status            KubeflowStatus `json:"status,omitzero"`
}

// KubeflowSpec is the part that is written.
type KubeflowSpec struct {
	RunPolicy           RunPolicy           `json:"runPolicy"`
	PyTorchReplicaSpecs map[string]*Replica `json:"pytorchReplicaSpecs,omitempty"`
	NprocPerNode        string              `json:"nprocPerNode,omitempty"`
	MPIReplicaSpecs     map[string]*Replica `json:"mpiReplicaSpecs,omitempty"`
	SlotsPerWorker      *int32              `json:"slotsPerWorker,omitempty"`
	RunLauncherAsWorker *bool               `json:"runLauncherAsWorker,omitempty"`
}

// RunPolicy is what both have.
type RunPolicy struct {
	CleanPodPolicy          string `json:"cleanPodPolicy,omitempty"`
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`
	ActiveDeadlineSeconds   *int64 `json:"activeDeadlineSeconds,omitempty"`
	BackoffLimit            *int32 `json:"backoffLimit,omitempty"`
	Suspend                 *bool  `json:"suspend,omitempty"`
}

// Replica is one role.
type Replica struct {
	Replicas      *int32                 `json:"replicas,omitempty"`
	Template      corev1.PodTemplateSpec `json:"template"`
	RestartPolicy string                 `json:"restartPolicy,omitempty"`
}

// KubeflowStatus is the part that is read.
type KubeflowStatus struct {
	Conditions     []Condition  `json:"conditions,omitempty"`
	StartTime      *metav1.Time `json:"startTime,omitempty"`
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
}

// PodGroup is Volcano's.
type PodGroup struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              PodGroupSpec `json:"spec"`
}

// PodGroupSpec is the part that is written.
type PodGroupSpec struct {
	MinMember         int32               `json:"minMember,omitempty"`
	MinResources      corev1.ResourceList `json:"minResources,omitempty"`
	PriorityClassName string              `json:"priorityClassName,omitempty"`
}
