// Package k8s runs training jobs on a Kubernetes cluster. Its [Launcher] is a
// train.Launcher: the same handle as on one machine, over a batch/v1 Job, a
// JobSet, a Kubeflow TrainJob, a PyTorchJob or an MPIJob.
//
//	cfg, err := k8s.InCluster() // or k8s.FromKubeconfig(path, "")
//	l, err := k8s.New(cfg, &k8s.Options{Namespace: "team-a", Queue: "research"})
//	defer l.Shutdown(ctx)
//	plan, err := l.Plan(ctx, spec, nil) // writes nothing
//	job, err := l.Submit(ctx, spec, &train.SubmitOptions{Key: requestID})
//	result, err := job.Wait(ctx)
//
// # What is made
//
// One object stands for a job: it carries the Spec, its hash and the key in
// annotations, and a name that comes from the key. What goes with it (a headless
// Service, a ResourceClaimTemplate, a PodGroup) is owned by it and goes when it
// goes. There is no database: another process attaches by the id, or submits with
// the same key again, and goes on.
//
// The Spec reaches the pods by the downward API, as the file that train.EnvSpec
// names. The end of a failed container's output is in the pod's status, so that
// Wait gives the last lines without the logs.
//
// # Which backend
//
// A job of one node is a Job. Several nodes are a JobSet where the cluster has it,
// because it restarts all nodes together when the infrastructure fails one; else a
// TrainJob, a PyTorchJob, or an Indexed Job, which is not restarted. MPI needs the
// MPI operator or Kubeflow Trainer. Plan says what was chosen and why, and
// Options.Backends decides otherwise.
//
// # Retries
//
// An attempt that the infrastructure ended (preemption, eviction, a lost node, a
// SIGTERM from somebody) counts against Retry.Infra, one that failed by itself
// against Retry.User, which is 0 by default: a program with a fault fails at once.
// A cluster keeps one count for both. An exit code of 137 is nearly always the
// memory limit and counts as the program's.
//
// # Waiting
//
// All handles of a launcher share one watch of each kind of object in the
// namespace, while somebody waits or follows. It survives a restart of the API
// server, its time-outs, and versions that are too old to go on from.
//
// # Rights
//
// Package k8s/rbac writes the Role that the launcher needs and checks it. Whoever
// may create Jobs in a namespace can mount any Secret of it: give each team a
// namespace (package k8s/tenants).
package k8s
