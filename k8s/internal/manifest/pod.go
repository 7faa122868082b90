package manifest

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millwright-ml/millwright/train"
)

// Params is what the manifests need beside the Spec.
type Params struct {
	ID        string
	Namespace string
	Key       string
	SpecJSON  string
	Hash      string

	Queue          string
	ServiceAccount string
	PullSecrets    []string
	Tolerations    []corev1.Toleration
	PodAnnotations map[string]string
	NodeSelector   map[string]string
	RunAsUser      *int64
	Restricted     bool // pod security
	Scheduler      string
	Team           string
	GPU            GPU
	Gang           Gang
	Runtime        string        // of a TrainJob
	Deadline       time.Duration // with MaxCost applied
}

// GPU is what a pod asks for to get its accelerators.
type GPU struct {
	Resource  corev1.ResourceName
	Count     int
	Terms     []corev1.NodeSelectorTerm
	Preferred []corev1.PreferredSchedulingTerm
	Device    *Device
}

// Device is a request to a DRA driver.
type Device struct {
	Class     string
	Selectors []string
}

// Gang is what starts all pods together.
type Gang string

// The ways to start together.
const (
	GangNone    Gang = ""
	GangQueue   Gang = "queue"   // Kueue admits all or none
	GangNative  Gang = "native"  // the scheduler of Kubernetes 1.37
	GangVolcano Gang = "volcano" // Volcano's scheduler
)

// ranks says how a backend tells a pod who it is.
type ranks struct {
	node    string // text of NodeText; "" where there is one pod
	field   string // of the downward API that NodeText's variable is read from
	master  string
	attempt string // field that holds the attempt
	resumes string // field that holds what is to be added to it; "" for none
}

const (
	nodeVariable = "MILLWRIGHT_NODE"
	shm          = "/dev/shm"
)

// Labels are those of the root object and, with what a user set, of its pods.
func Labels(s train.Spec, p *Params) map[string]string {
	labels := maps.Clone(s.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[LabelManaged], labels[LabelJob] = Managed, p.ID
	if p.Team != "" {
		labels[LabelTeam] = p.Team
	}
	return labels
}

func rootMeta(s train.Spec, p *Params) metav1.ObjectMeta {
	m := metav1.ObjectMeta{
		Name: p.ID, Namespace: p.Namespace, Labels: Labels(s, p),
		Annotations: map[string]string{
			NoteSpec: p.SpecJSON, NoteHash: p.Hash, NoteNodes: strconv.Itoa(s.NodeCount()), NoteAttempt: "0",
		},
	}
	if p.Key != "" {
		m.Annotations[NoteKey] = p.Key
	}
	if p.Deadline > 0 {
		m.Annotations[NoteDeadline] = p.Deadline.String()
	}
	if p.Queue != "" {
		m.Labels[LabelQueue] = p.Queue
	}
	return m
}

// template is the pod of every backend.
func template(s train.Spec, p *Params, r ranks) corev1.PodTemplateSpec {
	annotations := maps.Clone(p.PodAnnotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[NoteSpec], annotations[NoteAttempt] = p.SpecJSON, "0"
	if p.Gang == GangVolcano {
		annotations["scheduling.k8s.io/group-name"] = p.ID
	}
	no, yes := false, true
	grace := int64(math.Ceil(s.GracePeriod().Seconds()))
	pod := corev1.PodSpec{
		RestartPolicy:                 corev1.RestartPolicyNever,
		TerminationGracePeriodSeconds: &grace,
		EnableServiceLinks:            &no,
		PriorityClassName:             s.Priority,
		ServiceAccountName:            p.ServiceAccount,
		SchedulerName:                 p.Scheduler,
		Tolerations:                   slices.Clone(p.Tolerations),
		NodeSelector:                  p.NodeSelector,
		SecurityContext: &corev1.PodSecurityContext{
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
	}
	if p.ServiceAccount == "" {
		pod.AutomountServiceAccountToken = &no // the training program has no business with the API
	}
	if p.Restricted {
		pod.SecurityContext.RunAsNonRoot = &yes
	}
	if p.RunAsUser != nil {
		pod.SecurityContext.RunAsUser, pod.SecurityContext.FSGroup, pod.SecurityContext.RunAsNonRoot = p.RunAsUser, p.RunAsUser, &yes
		if *p.RunAsUser == 0 && !p.Restricted {
			pod.SecurityContext.RunAsNonRoot = nil
		}
	}
	for _, name := range p.PullSecrets {
		pod.ImagePullSecrets = append(pod.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
	}
	main := corev1.Container{
		Name: Container, Image: s.Image, Command: slices.Clone(s.Command), WorkingDir: s.Dir,
		Env:       environment(s, p, r),
		Resources: resources(s, p),
		// The end of the output stands in for a termination message, so that the
		// cause of a failure is in the pod's status even without the logs.
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no,
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
	addVolumes(s, &pod, &main)
	place(s, p, &pod)
	if d := p.GPU.Device; d != nil {
		name := ClaimTemplate(p.ID)
		pod.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu", ResourceClaimTemplateName: &name}}
		main.Resources.Claims = []corev1.ResourceClaim{{Name: "gpu"}}
	}
	pod.Containers = []corev1.Container{main}
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: Labels(s, p), Annotations: annotations}, Spec: pod}
}

// ClaimTemplate is the name of the job's ResourceClaimTemplate.
func ClaimTemplate(id string) string { return id + "-gpu" }

func environment(s train.Spec, p *Params, r ranks) []corev1.EnvVar {
	var env []corev1.EnvVar
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		env = append(env, corev1.EnvVar{Name: name, Value: escape(s.Env[name])})
	}
	for _, secret := range s.Secrets {
		env = append(env, corev1.EnvVar{Name: secret.Env, ValueFrom: &corev1.EnvVarSource{
			SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: secret.Name}, Key: secret.Key},
		}})
	}
	process := train.Process{Job: p.ID, SpecFile: SpecFile, MasterAddr: r.master}
	if r.node != "" {
		env = append(env, fieldEnv(nodeVariable, r.field))
		process.NodeText = r.node
	}
	set := train.Env(s, process)
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if name == train.EnvAttempt {
			env = append(env, fieldEnv(name, r.attempt))
			if r.resumes != "" {
				env = append(env, fieldEnv(train.EnvResumes, r.resumes))
			}
			// What a queue evicts is started anew and counts from the same number.
			env = append(env, fieldEnv(train.EnvStart, "metadata.uid"))
			continue
		}
		value := set[name]
		if value != r.node || r.node == "" {
			value = escape(value)
		}
		env = append(env, corev1.EnvVar{Name: name, Value: value})
	}
	return env
}

// escape keeps Kubernetes from expanding "$(NAME)" in a value.
func escape(value string) string {
	out := make([]byte, 0, len(value))
	for i := range len(value) {
		if value[i] == '$' && i+1 < len(value) && value[i+1] == '(' {
			out = append(out, '$')
		}
		out = append(out, value[i])
	}
	return string(out)
}

func fieldEnv(name, field string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: field}}}
}

func annotationField(name string) string { return "metadata.annotations['" + name + "']" }

func labelField(name string) string { return "metadata.labels['" + name + "']" }

func resources(s train.Spec, p *Params) corev1.ResourceRequirements {
	return Requirements(s.Resources, p.GPU)
}

// Requirements is what the container of one node asks for.
func Requirements(want train.Resources, gpu GPU) corev1.ResourceRequirements {
	requests, limits := corev1.ResourceList{}, corev1.ResourceList{}
	if want.CPU > 0 {
		requests[corev1.ResourceCPU] = *resource.NewMilliQuantity(int64(math.Ceil(want.CPU*1000)), resource.DecimalSI)
	}
	if want.Memory > 0 {
		q := *resource.NewQuantity(want.Memory, resource.BinarySI)
		requests[corev1.ResourceMemory], limits[corev1.ResourceMemory] = q, q
	}
	if want.Disk > 0 {
		requests[corev1.ResourceEphemeralStorage] = *resource.NewQuantity(want.Disk, resource.BinarySI)
	}
	if gpu.Count > 0 && gpu.Resource != "" && gpu.Device == nil {
		q := *resource.NewQuantity(int64(gpu.Count), resource.DecimalSI)
		requests[gpu.Resource], limits[gpu.Resource] = q, q
	}
	r := corev1.ResourceRequirements{}
	if len(requests) > 0 {
		r.Requests = requests
	}
	if len(limits) > 0 {
		r.Limits = limits
	}
	return r
}

func addVolumes(s train.Spec, pod *corev1.PodSpec, main *corev1.Container) {
	add := func(name, path string, source corev1.VolumeSource, readOnly bool) {
		pod.Volumes = append(pod.Volumes, corev1.Volume{Name: name, VolumeSource: source})
		main.VolumeMounts = append(main.VolumeMounts, corev1.VolumeMount{Name: name, MountPath: path, ReadOnly: readOnly})
	}
	add("spec", SpecDir, corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{
		{Path: "spec.json", FieldRef: &corev1.ObjectFieldSelector{FieldPath: annotationField(NoteSpec)}},
	}}}, true)
	hasShm := false
	for i, v := range s.Volumes {
		hasShm = hasShm || v.Path == shm
		var source corev1.VolumeSource
		switch {
		case v.Claim != "":
			source.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: v.Claim, ReadOnly: v.ReadOnly}
		case v.Secret != "":
			source.Secret = &corev1.SecretVolumeSource{SecretName: v.Secret}
		case v.ConfigMap != "":
			source.ConfigMap = &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: v.ConfigMap}}
		case v.HostPath != "":
			source.HostPath = &corev1.HostPathVolumeSource{Path: v.HostPath}
		default:
			source.EmptyDir = &corev1.EmptyDirVolumeSource{}
			if v.Memory {
				source.EmptyDir.Medium = corev1.StorageMediumMemory
			}
			if v.Scratch > 0 {
				source.EmptyDir.SizeLimit = resource.NewQuantity(v.Scratch, resource.BinarySI)
			}
		}
		add("volume-"+strconv.Itoa(i), v.Path, source, v.ReadOnly)
	}
	// The 64 MiB that container runtimes give are too little for data loaders and
	// for NCCL.
	if !hasShm && (s.GPU.Count > 0 || s.ProcCount() > 1) {
		add("shm", shm, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}}, false)
	}
}
