// Package kuberig runs a real Kubernetes cluster for tests: etcd, the API server,
// the controller manager and the scheduler as they are released, and nodes whose
// pods are played by kwok. It needs no container, no root and no network, is up in
// seconds, and listens on the loopback address only. Kueue, JobSet and Kubeflow
// Trainer run beside it when they are asked for, with their webhooks.
//
//	c := kuberig.Shared(t, kuberig.Batch) // one cluster for all tests of the binary
//	ns := c.Namespace(t)
//	c.AddNodes(t, kuberig.NodeSpec{Count: 4, Labels: map[string]string{"pool": ns}})
//	launcher := k8s.New(c.Config(), …)
//
// What the container of a pod does is said by annotations of the pod, see
// [Behaviour]: how long it runs, how it ends, what it logs. By default a pod of a
// Job succeeds after 0.2 s and any other runs until it is deleted. A test that
// wants each step in its hand makes its pods run for ever and ends them with
// [Cluster.Finish].
//
// Not real are the containers, and thus GPUs, images and the network of pods; the
// names and labels of nodes come from [NodeSpec]. A container that fails is not
// started anew in its pod, whatever the restart policy, but by [Cluster.Restart].
// Everything that decides anything
// is real: validation, admission, quota, authorization, scheduling, the Job
// controller, preemption, eviction, taints.
//
// scripts/realtools.sh kube builds the programs. Without them the tests skip;
// with REQUIRE_REAL=1 that skip is a failure.
package kuberig
