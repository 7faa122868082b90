package gpus

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Builder makes an Inventory from objects, in any order. It keeps a few numbers
// of each object and not the object, so that the pods of a large cluster can pass
// through page by page. The zero value is ready; it is for one goroutine.
type Builder struct {
	nodes map[string]*Node
	// used holds what pods ask for, by node and resource.
	used   map[string]map[corev1.ResourceName]int64
	slices []*resourcev1.ResourceSlice
	taken  map[deviceID]bool
}

// Node adds a node. Those without GPUs count too, because devices of a driver may
// be theirs.
func (b *Builder) Node(node *corev1.Node) {
	if b.nodes == nil {
		b.nodes = map[string]*Node{}
	}
	n := &Node{
		Name: node.Name, labels: node.Labels,
		CPU:    node.Status.Allocatable.Cpu().MilliValue(),
		Memory: node.Status.Allocatable.Memory().Value(),
		Pods:   node.Status.Allocatable.Pods().Value(),
	}
	for name, quantity := range node.Status.Allocatable {
		if total := count(quantity); isGPU(string(name)) && total > 0 {
			n.GPUs = append(n.GPUs, NodeGPU{Type: FromLabels(node.Labels, string(name)), Total: total})
		}
	}
	ready := slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
	switch {
	case node.Spec.Unschedulable:
		n.down = "cordoned"
	case !ready:
		n.down = "not ready"
	case !node.DeletionTimestamp.IsZero():
		n.down = "being removed"
	}
	for _, taint := range node.Spec.Taints {
		if taint.Key != corev1.TaintNodeUnschedulable && taint.Key != corev1.TaintNodeNotReady {
			n.taints = append(n.taints, taint)
		}
	}
	n.Blocked = n.refuses(nil)
	b.nodes[node.Name] = n
}

// Pod adds a pod. One that has no node yet, or has ended, takes nothing.
func (b *Builder) Pod(pod *corev1.Pod) {
	if pod.Spec.NodeName == "" || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return
	}
	if b.used == nil {
		b.used = map[string]map[corev1.ResourceName]int64{}
	}
	used := b.used[pod.Spec.NodeName]
	if used == nil {
		used = map[corev1.ResourceName]int64{}
		b.used[pod.Spec.NodeName] = used
	}
	for name, n := range requests(&pod.Spec) {
		used[name] += n
	}
	used[corev1.ResourcePods]++
}

// Inventory is what was added. The Builder must not be used afterwards.
func (b *Builder) Inventory() *Inventory {
	inv := &Inventory{Time: time.Now()}
	b.devices()
	for name, n := range b.nodes {
		if len(n.GPUs) == 0 {
			continue
		}
		used := b.used[name]
		n.FreeCPU = n.CPU - used[corev1.ResourceCPU]
		n.FreeMemory = n.Memory - used[corev1.ResourceMemory]
		n.FreePods = n.Pods - used[corev1.ResourcePods]
		for i := range n.GPUs {
			g := &n.GPUs[i]
			if g.Driver == "" {
				g.Free = max(0, g.Total-int(used[corev1.ResourceName(g.Resource)]))
			}
		}
		inv.Nodes = append(inv.Nodes, *n)
	}
	inv.sum()
	return inv
}

// requests is what the scheduler reserves for a pod: the sum of its containers
// and sidecars, or the largest moment of its initialisation, and the overhead.
// CPU is in millicores.
func requests(spec *corev1.PodSpec) map[corev1.ResourceName]int64 {
	sum, peak := map[corev1.ResourceName]int64{}, map[corev1.ResourceName]int64{}
	sidecars := map[corev1.ResourceName]int64{}
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		always := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		for name, n := range asked(c.Resources) {
			peak[name] = max(peak[name], sidecars[name]+n)
			if always {
				sidecars[name] += n
			}
		}
	}
	for i := range spec.Containers {
		for name, n := range asked(spec.Containers[i].Resources) {
			sum[name] += n
		}
	}
	for name, n := range sidecars {
		sum[name] += n
	}
	for name, n := range peak {
		sum[name] = max(sum[name], n)
	}
	if spec.Resources != nil { // given for the whole pod, they stand for the sum
		maps.Copy(sum, asked(*spec.Resources))
	}
	for name, q := range spec.Overhead {
		sum[name] += value(name, q)
	}
	return sum
}

// asked is what one container requests; a limit without a request counts as one.
func asked(r corev1.ResourceRequirements) map[corev1.ResourceName]int64 {
	out := map[corev1.ResourceName]int64{}
	for name, q := range r.Limits {
		out[name] = value(name, q)
	}
	for name, q := range r.Requests {
		out[name] = value(name, q)
	}
	return out
}

func value(name corev1.ResourceName, q resource.Quantity) int64 {
	if name == corev1.ResourceCPU {
		return q.MilliValue()
	}
	return q.Value()
}

func count(q resource.Quantity) int { return int(min(max(q.Value(), 0), math.MaxInt32)) }

// qualified is the name of a device's attribute without the driver's domain.
func qualified(driver string, name resourcev1.QualifiedName) string {
	return strings.TrimPrefix(string(name), driver+"/")
}
