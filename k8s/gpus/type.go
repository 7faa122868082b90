package gpus

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/train"
)

// The labels by which nodes name their GPUs: GPU Feature Discovery of NVIDIA,
// AMD's node labeller, Google's and Karpenter's node pools.
const (
	labelProduct         = "nvidia.com/gpu.product"
	labelMemory          = "nvidia.com/gpu.memory" // MiB
	labelSharing         = "nvidia.com/gpu.sharing-strategy"
	labelReplicas        = "nvidia.com/gpu.replicas"
	labelMIGStrategy     = "nvidia.com/mig.strategy"
	labelGKE             = "cloud.google.com/gke-accelerator"
	labelGKESharing      = "cloud.google.com/gke-gpu-sharing-strategy"
	labelGKEPartition    = "cloud.google.com/gke-gpu-partition-size" // a MIG profile
	labelAMD             = "amd.com/gpu.product-name"
	labelAMDMemory       = "amd.com/gpu.vram" // such as "192G"
	labelKarpenter       = "karpenter.k8s.aws/instance-gpu-name"
	labelKarpenterMemory = "karpenter.k8s.aws/instance-gpu-memory" // MiB
	labelKarpenterMaker  = "karpenter.k8s.aws/instance-gpu-manufacturer"
)

// The extended resources of the device plugins.
const (
	resourceNVIDIA = "nvidia.com/gpu"
	resourceShared = "nvidia.com/gpu.shared"
	resourceAMD    = "amd.com/gpu"
	prefixMIG      = "nvidia.com/mig-"
)

// Type is one kind of GPU as a cluster's nodes, or the devices of a DRA driver,
// name it.
type Type struct {
	// Name is the product as it is named there, such as "NVIDIA-H100-80GB-HBM3".
	// Empty when the nodes do not say.
	Name string
	// Label is the node label that has Name as its value; for a Driver the
	// device attribute. Empty when there is none.
	Label string
	// Resource is the extended resource that pods ask for, such as
	// "nvidia.com/gpu". Empty for the devices of a Driver.
	Resource string
	// Driver is the DRA driver that offers the devices. Empty for GPUs of a
	// device plugin.
	Driver string
	// Memory is that of one GPU or slice in bytes. 0 when it is not known.
	Memory int64
	// MIG is the profile of the slices. Empty for whole GPUs.
	MIG string
	// Shared says that one GPU is given to several pods, without isolation of
	// memory.
	Shared bool
}

// String is the name, with what sets the type apart from whole GPUs.
func (t Type) String() string {
	name := t.Name
	if name == "" {
		name = "unnamed " + t.Resource
	}
	if t.MIG != "" && !strings.Contains(strings.ToLower(name), strings.ToLower(t.MIG)) {
		name += " MIG " + t.MIG
	}
	if t.Shared && !strings.HasSuffix(name, "-SHARED") {
		name += " shared"
	}
	return name
}

var migSuffix = regexp.MustCompile(`(?i)-MIG-([0-9]+g\.[0-9]+gb(?:\.[a-z0-9.+]+)?)`)

// FromLabels reads the type that labels name: those of a node, or the nodeLabels
// of a Kueue flavor. resource is the extended resource in question, such as
// "nvidia.com/gpu" or "nvidia.com/mig-1g.10gb".
func FromLabels(labels map[string]string, resource string) Type {
	t := Type{Resource: resource}
	keys, memory := []string{labelProduct, labelGKE, labelKarpenter}, mebibytes(labels[labelMemory])
	if memory == 0 {
		memory = mebibytes(labels[labelKarpenterMemory])
	}
	if strings.HasPrefix(resource, "amd.com/") {
		keys, memory = []string{labelAMD, labelGKE, labelKarpenter}, vram(labels[labelAMDMemory])
	}
	for _, key := range keys {
		if labels[key] != "" {
			t.Name, t.Label = labels[key], key
			break
		}
	}
	t.Memory = memory
	if m := migSuffix.FindStringSubmatch(t.Name); m != nil { // strategy "single": the resource's name is that of whole GPUs
		t.MIG = strings.ToLower(m[1])
	}
	if profile := labels[labelGKEPartition]; profile != "" {
		t.MIG = strings.ToLower(profile)
	}
	if profile, ok := strings.CutPrefix(resource, prefixMIG); ok {
		t.MIG = strings.ToLower(profile)
	}
	if profile := migMemory(t.MIG); profile > 0 {
		t.Memory = profile
	}
	replicas, _ := strconv.Atoi(labels[labelReplicas])
	strategy := labels[labelSharing]
	t.Shared = strings.HasSuffix(t.Name, "-SHARED") || strings.HasSuffix(resource, ".shared") ||
		labels[labelGKESharing] != "" || (strategy != "" && strategy != "none" && replicas > 1)
	return t
}

// isGPU reports whether a resource of a node counts GPUs or slices of them.
func isGPU(resource string) bool {
	return resource == resourceNVIDIA || resource == resourceShared || resource == resourceAMD ||
		strings.HasPrefix(resource, prefixMIG) || resource == "gpu.intel.com/i915" || resource == "gpu.intel.com/xe"
}

func mebibytes(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > 1<<40 {
		return 0
	}
	return n << 20
}

// vram reads "192G", as AMD's labeller writes it.
func vram(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSuffix(text, "G"), 10, 64)
	if err != nil || n < 0 || n > 1<<20 {
		return 0
	}
	return n << 30
}

var migProfile = regexp.MustCompile(`(?i)^[0-9]+g\.([0-9]+)gb`)

// migMemory is the memory that a profile such as "1g.10gb" names.
func migMemory(profile string) int64 {
	m := migProfile.FindStringSubmatch(profile)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || n > 1<<20 {
		return 0
	}
	return n << 30
}

var gigabytes = regexp.MustCompile(`(?i)(?:^|[-_ /,])([0-9]{1,4})gb(?:$|[-_ /,])`)

// named reports whether a wish such as "H100" or "A100-80GB" means the type, as
// train.MatchGPU says. An amount of memory that the name leaves out is looked
// for in the type's memory.
func (t Type) named(wish string) bool {
	if t.Name == "" {
		return false
	}
	name := migSuffix.ReplaceAllString(t.Name, "")
	if train.MatchGPU(wish, name) {
		return !train.MatchGPU(wish, "-") // a vendor alone is no type
	}
	m := gigabytes.FindStringSubmatchIndex(wish)
	if m == nil || t.MIG != "" || gigabytes.MatchString(name) {
		return false
	}
	rest := wish[:m[0]] + " " + wish[m[1]:]
	n, err := strconv.ParseInt(wish[m[2]:m[3]], 10, 64)
	return err == nil && !train.MatchGPU(rest, "-") && train.MatchGPU(rest, name) &&
		t.holds(n<<30) && n<<30 >= t.Memory/100*nominal
}

// nominal is the part, in percent, of a GPU's advertised memory that it reports
// at least: error correction and drivers keep the rest. An H100 of "80 GB" says
// 81,559 MiB, a T4 of "16 GB" 15,360.
const nominal = 92

// holds reports whether the type's memory counts as least bytes, nominally.
func (t Type) holds(least int64) bool { return t.Memory >= least/100*nominal }
