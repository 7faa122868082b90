// Package gpus knows the GPUs of a Kubernetes cluster: which types its nodes
// have, how many are free now, and how a pod asks for what a job wants.
//
// [Match] turns a wish such as "eight H100 or A100-80GB each" into the extended
// resource, node affinity or device request that pods need. [Read] takes the
// inventory of a live cluster; [Builder] makes one from objects that the caller
// has. [Inventory.Fit] says how many pods of a job would start now.
//
//	inv, err := gpus.Read(ctx, cfg, nil)
//	fit, err := inv.Fit(train.GPU{Count: 8, Types: []string{"H100"}}, nil)
//	fmt.Println(fit.Now, "of", fit.Ever, "pods of 8 H100 would start now:", fit.Text)
//
// # Where types come from
//
// Device plugins count GPUs as extended resources such as "nvidia.com/gpu", and
// node labels name the product: those of NVIDIA's GPU Feature Discovery, of AMD's
// node labeller, of Google's node pools and of Karpenter. MIG slices are counted
// apart ("nvidia.com/mig-1g.10gb", strategy mixed) or as whole GPUs on nodes
// whose product says so (strategy single); both are understood. GPUs that a node
// shares between pods are left out unless the job accepts them: they have no
// isolation of memory. Drivers of dynamic resource allocation list devices in
// ResourceSlices.
//
// # What free means
//
// Free is what the nodes allocate less what the running pods request, on nodes
// that are ready, not cordoned, and whose taints the pods tolerate. A free GPU
// does not help a job that needs eight on one node: Fit counts placements, with
// CPU and memory, not GPUs.
package gpus
