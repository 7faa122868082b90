package gpus_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millwright-ml/millwright/k8s/gpus"
	"github.com/millwright-ml/millwright/train"
)

func node(name, product string, gpuCount int) *corev1.Node {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			"nvidia.com/gpu.product": product, "nvidia.com/gpu.memory": "81559", "rack": "r1",
		}},
		Status: corev1.NodeStatus{
			Allocatable: corev1.ResourceList{"cpu": resource.MustParse("96"), "memory": resource.MustParse("1Ti"), "pods": resource.MustParse("110")},
			Conditions:  []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
		Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "nvidia.com/gpu", Effect: corev1.TaintEffectNoSchedule}}},
	}
	if gpuCount > 0 {
		n.Status.Allocatable["nvidia.com/gpu"] = *resource.NewQuantity(int64(gpuCount), resource.DecimalSI)
	}
	return n
}

func pod(node string, gpuCount int, phase corev1.PodPhase) *corev1.Pod {
	return &corev1.Pod{
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{
			Limits:   corev1.ResourceList{"nvidia.com/gpu": *resource.NewQuantity(int64(gpuCount), resource.DecimalSI)},
			Requests: corev1.ResourceList{"cpu": resource.MustParse("8"), "memory": resource.MustParse("64Gi")},
		}}}},
		Status: corev1.PodStatus{Phase: phase},
	}
}

func TestInventory(t *testing.T) {
	t.Parallel()
	var b gpus.Builder
	for i := range 4 {
		b.Node(node(fmt.Sprint("h", i), "NVIDIA-H100-80GB-HBM3", 8))
	}
	b.Node(node("a0", "NVIDIA-A100-SXM4-80GB", 8))
	b.Node(node("cpu", "", 0))
	cordoned := node("h4", "NVIDIA-H100-80GB-HBM3", 8)
	cordoned.Spec.Unschedulable = true
	cordoned.Spec.Taints = append(cordoned.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
	b.Node(cordoned)
	reserved := node("h5", "NVIDIA-H100-80GB-HBM3", 8)
	reserved.Spec.Taints = append(reserved.Spec.Taints, corev1.Taint{Key: "team", Value: "a", Effect: corev1.TaintEffectNoSchedule})
	b.Node(reserved)
	b.Pod(pod("h0", 4, corev1.PodRunning))
	b.Pod(pod("h1", 4, corev1.PodPending))
	b.Pod(pod("h1", 4, corev1.PodSucceeded)) // gives its GPUs back
	b.Pod(pod("", 8, corev1.PodPending))     // has none yet
	b.Pod(pod("h4", 2, corev1.PodRunning))
	inv := b.Inventory()

	require.Len(t, inv.Nodes, 7, "nodes without GPUs are none of ours")
	require.Equal(t, []string{"NVIDIA-A100-SXM4-80GB", "NVIDIA-H100-80GB-HBM3"}, names(inv.Types()))
	h100 := inv.Capacity[1]
	require.Equal(t, gpus.Capacity{Type: h100.Type, Total: 48, Used: 10, Free: 24, Blocked: 14, Nodes: 6, Largest: 8}, h100)
	require.Equal(t, "cordoned", inv.Nodes[5].Blocked)
	require.Equal(t, "tainted team", inv.Nodes[6].Blocked)
	require.EqualValues(t, 88000, inv.Nodes[1].FreeCPU)

	want := train.GPU{Count: 8, Types: []string{"H100"}}
	fit, err := inv.Fit(want, &gpus.FitOptions{Pods: 3})
	require.NoError(t, err)
	require.Equal(t, 2, fit.Now, "24 are free, and eight of them in halves")
	require.Equal(t, 6, fit.Ever)
	require.Equal(t, "2 of 3 pods of 8 GPUs fit now: 24 NVIDIA-H100-80GB-HBM3 are free, but spread over nodes, or without the CPU and memory beside them; "+
		"6 more are on nodes that are cordoned; 8 more are on nodes that are tainted team", fit.Text)

	fit, err = inv.Fit(want, &gpus.FitOptions{Pods: 3, Tolerations: []corev1.Toleration{{Key: "team", Value: "a"}}})
	require.NoError(t, err)
	require.Equal(t, 3, fit.Now)
	require.Equal(t, "3 pods of 8 GPUs fit now: 32 NVIDIA-H100-80GB-HBM3 are free", fit.Text)

	fit, err = inv.Fit(train.GPU{Count: 1, Types: []string{"H100"}}, &gpus.FitOptions{Resources: train.Resources{CPU: 48}})
	require.NoError(t, err)
	require.Equal(t, 2*2+2*1, fit.Now, "CPU is what bounds it")

	fit, err = inv.Fit(train.GPU{Count: 16, Types: []string{"H100"}}, nil)
	require.NoError(t, err)
	require.Zero(t, fit.Ever)
	require.Equal(t, "no node has 16 NVIDIA-H100-80GB-HBM3: the largest has 8", fit.Text)

	fit, err = inv.Fit(want, &gpus.FitOptions{Pods: 7})
	require.NoError(t, err)
	require.Equal(t, "7 pods of 8 GPUs do not fit even when the cluster is empty: 6 do (NVIDIA-H100-80GB-HBM3)", fit.Text)

	_, err = inv.Fit(train.GPU{Count: 1, Types: []string{"H200"}}, nil)
	require.ErrorIs(t, err, gpus.ErrNoMatch)
}

// What a pod takes is what the scheduler reserves, with its sidecars and the
// largest moment of its initialisation.
func TestRequests(t *testing.T) {
	t.Parallel()
	always := corev1.ContainerRestartPolicyAlways
	container := func(cpu string) corev1.Container {
		return corev1.Container{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse(cpu)}}}
	}
	sidecar := container("2")
	sidecar.RestartPolicy = &always
	for name, c := range map[string]struct {
		spec corev1.PodSpec
		want int64
	}{
		"a sum":           {corev1.PodSpec{Containers: []corev1.Container{container("1"), container("500m")}}, 1500},
		"a sidecar":       {corev1.PodSpec{InitContainers: []corev1.Container{sidecar}, Containers: []corev1.Container{container("1")}}, 3000},
		"initialisation":  {corev1.PodSpec{InitContainers: []corev1.Container{sidecar, container("7")}, Containers: []corev1.Container{container("1")}}, 9000},
		"overhead":        {corev1.PodSpec{Overhead: corev1.ResourceList{"cpu": resource.MustParse("250m")}}, 250},
		"of the pod":      {corev1.PodSpec{Resources: &corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("6")}}, Containers: []corev1.Container{container("1")}}, 6000},
		"nothing at all":  {corev1.PodSpec{}, 0},
		"a limit for one": {corev1.PodSpec{Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": resource.MustParse("3")}}}}}, 3000},
	} {
		var b gpus.Builder
		b.Node(node("n", "NVIDIA-L4", 1))
		c.spec.NodeName = "n"
		b.Pod(&corev1.Pod{Spec: c.spec})
		inv := b.Inventory()
		require.Equal(t, c.want, inv.Nodes[0].CPU-inv.Nodes[0].FreeCPU, name)
		require.EqualValues(t, 109, inv.Nodes[0].FreePods, name)
	}
}

func device(name string, memory string, use map[string]string) resourcev1.Device {
	product, kind := "NVIDIA H100 80GB HBM3", "gpu"
	d := resourcev1.Device{
		Name:     name,
		Capacity: map[resourcev1.QualifiedName]resourcev1.DeviceCapacity{"memory": {Value: resource.MustParse(memory)}},
		Attributes: map[resourcev1.QualifiedName]resourcev1.DeviceAttribute{
			"gpu.nvidia.com/productName": {StringValue: &product}, "type": {StringValue: &kind},
		},
	}
	for counter, amount := range use {
		d.ConsumesCounters = append(d.ConsumesCounters, resourcev1.DeviceCounterConsumption{
			CounterSet: "card", Counters: map[string]resourcev1.Counter{counter: {Value: resource.MustParse(amount)}},
		})
	}
	return d
}

func TestDevices(t *testing.T) {
	t.Parallel()
	host := "n"
	slice := func(generation int64, devices ...resourcev1.Device) *resourcev1.ResourceSlice {
		return &resourcev1.ResourceSlice{Spec: resourcev1.ResourceSliceSpec{
			Driver: "gpu.nvidia.com", NodeName: &host, Devices: devices, Pool: resourcev1.ResourcePool{Name: "n", Generation: generation},
		}}
	}
	claim := func(device string) *resourcev1.ResourceClaim {
		c := &resourcev1.ResourceClaim{Status: resourcev1.ResourceClaimStatus{Allocation: &resourcev1.AllocationResult{}}}
		c.Status.Allocation.Devices.Results = []resourcev1.DeviceRequestAllocationResult{{Driver: "gpu.nvidia.com", Pool: "n", Device: device}}
		return c
	}
	broken := device("3", "80Gi", nil)
	broken.Taints = []resourcev1.DeviceTaint{{Key: "xid", Effect: resourcev1.DeviceTaintEffectNoSchedule}}
	var b gpus.Builder
	b.Node(node("n", "", 0))
	b.Slice(slice(1, device("gone", "80Gi", nil)))
	b.Slice(slice(2, device("0", "80Gi", nil), device("1", "80Gi", nil), device("2", "80Gi", nil)))
	b.Slice(slice(2, broken))
	b.Claim(claim("1"))
	b.Claim(claim("gone"))
	b.Claim(&resourcev1.ResourceClaim{})
	inv := b.Inventory()
	require.Len(t, inv.Capacity, 1)
	require.Equal(t, 4, inv.Capacity[0].Total)
	require.Equal(t, 2, inv.Capacity[0].Free, "one is taken and one is broken")
	fit, err := inv.Fit(train.GPU{Count: 2, Types: []string{"H100"}, MinMemory: 80 << 30}, nil)
	require.NoError(t, err)
	require.Equal(t, 1, fit.Now)
	require.Equal(t, "gpu.nvidia.com", fit.Rule.Device.Driver)
}

// A GPU and the slices it can be cut into are all listed: what is taken of one
// is gone for the others.
func TestPartitions(t *testing.T) {
	t.Parallel()
	host, profile := "n", "3g.40gb"
	spec := resourcev1.ResourceSliceSpec{
		Driver: "gpu.nvidia.com", NodeName: &host, Pool: resourcev1.ResourcePool{Name: "n"},
		SharedCounters: []resourcev1.CounterSet{{Name: "card", Counters: map[string]resourcev1.Counter{"memory": {Value: resource.MustParse("80Gi")}}}},
	}
	whole := device("whole", "80Gi", map[string]string{"memory": "80Gi"})
	for i := range 2 {
		part := device(fmt.Sprint("part", i), "40Gi", map[string]string{"memory": "40Gi"})
		part.Attributes["profile"] = resourcev1.DeviceAttribute{StringValue: &profile}
		spec.Devices = append(spec.Devices, part)
	}
	spec.Devices = append(spec.Devices, whole, device("unknown", "1Gi", map[string]string{"cores": "1"}))
	free := func(taken string) map[string]int {
		var b gpus.Builder
		b.Node(node("n", "", 0))
		b.Slice(&resourcev1.ResourceSlice{Spec: spec})
		if taken != "" {
			c := &resourcev1.ResourceClaim{Status: resourcev1.ResourceClaimStatus{Allocation: &resourcev1.AllocationResult{}}}
			c.Status.Allocation.Devices.Results = []resourcev1.DeviceRequestAllocationResult{{Driver: "gpu.nvidia.com", Pool: "n", Device: taken}}
			b.Claim(c)
		}
		out := map[string]int{}
		for _, c := range b.Inventory().Capacity {
			out[fmt.Sprint(c.MIG, c.Memory>>30)] = c.Free
		}
		return out
	}
	require.Equal(t, map[string]int{"80": 1, "3g.40gb40": 2, "1": 0}, free(""))
	require.Equal(t, map[string]int{"80": 0, "3g.40gb40": 1, "1": 0}, free("part0"))
	require.Equal(t, map[string]int{"80": 0, "3g.40gb40": 0, "1": 0}, free("whole"))
}
