package kuberig

import (
	corev1 "k8s.io/api/core/v1"
)

// Options says what a cluster has beside the control plane and kwok. The zero
// value and nil are the smallest cluster.
type Options struct {
	// Kueue runs Kueue with its webhooks; it manages the jobs that name a queue.
	Kueue bool
	// JobSet runs the JobSet controller with its webhooks.
	JobSet bool
	// Trainer runs Kubeflow Trainer with its webhooks and its own runtimes, and
	// JobSet, which it needs.
	Trainer bool
	// Gang turns on the gang scheduling of Kubernetes itself (Workload, PodGroup
	// and spec.scheduling of Jobs), which is off by default.
	Gang bool
	// NoServiceAccounts turns the admission of service accounts off: pods then
	// start in a namespace that has none yet, and get no token.
	NoServiceAccounts bool
	// Nodes are there from the start. More come by AddNodes.
	Nodes []NodeSpec
	// FeatureGates are set in the API server, the controller manager and the
	// scheduler.
	FeatureGates map[string]bool
	// APIServerFlags are further flags of the API server.
	APIServerFlags []string
	// OwnPools makes the pods of each namespace that name no pool of nodes keep to
	// the pool of their namespace's name, as in a cluster that tests share.
	OwnPools bool

	realNode bool // by StartReal
}

// nodeAddress is the kind of address at which the API server asks nodes for logs. A
// real kubelet listens on the loopback address, which it may not say is its own.
func (o *Options) nodeAddress() string {
	if o.realNode {
		return string(corev1.NodeHostName)
	}
	return string(corev1.NodeInternalIP)
}

// NodeSpec is a group of like nodes.
type NodeSpec struct {
	// Name is the nodes' name, to which a number is added. By default it is
	// "gpu", or "cpu" without GPUs. Names that are taken are passed over.
	Name string
	// Count is how many there are, by default 1.
	Count int
	// GPUs of each node, by default 8; below 0 it has none.
	GPUs int
	// Product is the GPU's name as GPU Feature Discovery labels it, by default
	// NVIDIA-H100-80GB-HBM3.
	Product string
	// GPUMemory is the memory of one GPU in MiB, by default 81559.
	GPUMemory int
	// MIG are partitions that the node offers instead of GPUs, by profile: {"1g.10gb": 56}.
	MIG map[string]int
	// CPU and Memory are quantities, by default 192 and 2Ti.
	CPU, Memory string
	// Zone and Rack are the labels topology.kubernetes.io/zone and
	// kuberig.millwright.dev/rack, absent by default.
	Zone, Rack string
	// Labels are further labels of the nodes.
	Labels map[string]string
	// Taints of the nodes, by default none.
	Taints []corev1.Taint
}

// RackLabel is the label of a node's rack.
const RackLabel = prefix + "rack"

// Kind is a cluster that the tests of a binary share.
type Kind string

// The clusters to share.
const (
	// Plain is a cluster without any foreign resources.
	Plain Kind = "plain"
	// Batch has Kueue, JobSet, Trainer and the gang scheduling of Kubernetes.
	Batch Kind = "batch"
)

func (k Kind) options() *Options {
	if k == Batch {
		return &Options{Kueue: true, JobSet: true, Trainer: true, Gang: true, OwnPools: true}
	}
	return &Options{OwnPools: true}
}
