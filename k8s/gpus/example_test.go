package gpus_test

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/millwright-ml/millwright/k8s/gpus"
	"github.com/millwright-ml/millwright/train"
)

// What a pod asks for, on a cluster with two types of nodes.
func ExampleMatch() {
	have := []gpus.Type{
		gpus.FromLabels(map[string]string{"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "81559"}, "nvidia.com/gpu"),
		gpus.FromLabels(map[string]string{"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB", "nvidia.com/gpu.memory": "40960"}, "nvidia.com/gpu"),
	}
	rule, err := gpus.Match(train.GPU{Count: 8, Types: []string{"H100", "A100"}, MinMemory: 80 << 30}, have)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(rule.Count, rule.Resource)
	fmt.Println(rule.Terms[0].MatchExpressions[0].Key, rule.Terms[0].MatchExpressions[0].Values)
	fmt.Println("not", rule.Skipped[0].Type, "because it", rule.Skipped[0].Reason)

	_, err = gpus.Match(train.GPU{Count: 1, Types: []string{"H200"}}, have)
	fmt.Println(err)
	// Output:
	// 8 nvidia.com/gpu
	// nvidia.com/gpu.product [NVIDIA-H100-80GB-HBM3]
	// not NVIDIA-A100-SXM4-40GB because it has 40 GiB of memory
	// gpus: match "H200": NVIDIA-H100-80GB-HBM3 is not H200; NVIDIA-A100-SXM4-40GB is not H200: invalid
}

// Sixteen GPUs are free, but not eight on one node.
func ExampleInventory_Fit() {
	var b gpus.Builder
	for i := range 4 {
		name := fmt.Sprint("node-", i)
		b.Node(node(name, "NVIDIA-H100-80GB-HBM3", 8))
		b.Pod(pod(name, 4, corev1.PodRunning))
	}
	inv := b.Inventory()
	fmt.Println(inv.Capacity[0].Free, "of", inv.Capacity[0].Total, "are free")
	fit, err := inv.Fit(train.GPU{Count: 8, Types: []string{"H100"}}, &gpus.FitOptions{Pods: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(fit.Now, fit.Ever)
	fmt.Println(fit.Text)
	// Output:
	// 16 of 32 are free
	// 0 4
	// 0 of 2 pods of 8 GPUs fit now: 16 NVIDIA-H100-80GB-HBM3 are free, but spread over nodes, or without the CPU and memory beside them
}
