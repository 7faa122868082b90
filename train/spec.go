package train

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

const (
	// DefaultGrace is the time between SIGTERM and SIGKILL when Spec.Grace is 0.
	DefaultGrace = 10 * time.Second

	maxSpecBytes = 1 << 20
	maxNameBytes = 250
)

// Spec says what to run. It is pure data: it marshals to JSON and back without
// loss, and two equal Specs have equal hashes. What an engine cannot honour it
// refuses at Submit with ErrUnsupported, or says in Plan.Warnings where the
// field is a wish.
type Spec struct {
	// Name says what the job is for, in lists and messages. Required, at most
	// 250 bytes, not unique.
	Name string `json:"name"`
	// Image is the container image, as "registry/name:tag" or "name@sha256:…".
	// Required on a cluster; a launcher of local processes ignores it.
	Image string `json:"image,omitempty"`
	// Command is the program and its arguments. Required unless Image is given,
	// which brings its own. A local program without a slash is looked for in
	// PATH, one with a slash below Dir.
	Command []string `json:"command,omitempty"`
	// Dir is the process's working directory. Default: the one of the process
	// that submits, or of the image.
	Dir string `json:"dir,omitempty"`
	// Env is added to the environment that the launcher provides, and wins over
	// it. Names are non-empty and hold no "=".
	Env map[string]string `json:"env,omitempty"`
	// Secrets become environment variables, whose values the Spec never holds.
	Secrets []Secret `json:"secrets,omitempty"`
	// Volumes are mounted into each process's file system.
	Volumes []Volume `json:"volumes,omitempty"`

	// Nodes is the number of machines (on a cluster: pods). Default 0: one.
	Nodes int `json:"nodes,omitempty"`
	// Procs is the number of processes on each node. Default 0: one, or with
	// Launch Torchrun one a GPU.
	Procs int `json:"procs,omitempty"`
	// Launch says how the processes find each other. Default "": Plain.
	Launch Launch `json:"launch,omitempty"`
	// Resources and GPU are what each node needs.
	Resources Resources `json:"resources,omitzero"`
	GPU       GPU       `json:"gpu,omitzero"`

	// Inputs names the data that the job reads. Launchers do not fetch it: they
	// hand it to the process (see ReadSpec) and keep it with the job, as lineage.
	Inputs []Input `json:"inputs,omitempty"`
	// Output is where the process leaves what it makes, a path or a URI, as its
	// program understands it. Handed on like Inputs.
	Output string `json:"output,omitempty"`
	// Model is the registered model that the output is to become a version of.
	// Handed on like Inputs. Default "": none.
	Model string `json:"model,omitempty"`
	// Run is the id of the tracking run that the job belongs to; all attempts
	// share it. The process finds it as MLFLOW_RUN_ID. Default "": none.
	Run string `json:"run,omitempty"`

	// Checkpoint is where the process keeps its checkpoints and how it resumes.
	Checkpoint Checkpoint `json:"checkpoint,omitzero"`
	// Retry says which failures are tried again, and how often.
	Retry Retry `json:"retry,omitzero"`

	// Deadline is the longest time that the job may run, counted from its first
	// start and over all attempts; afterwards it is ended as by Cancel. Default
	// 0: no deadline.
	Deadline time.Duration `json:"deadline,omitempty"`
	// Grace is the time that the process has between SIGTERM and SIGKILL, to
	// write a checkpoint. Default 0: DefaultGrace; -1: none, SIGKILL at once.
	Grace time.Duration `json:"grace,omitempty"`
	// TTL is how long an ended job is kept before the engine removes it. Default
	// 0: until Delete.
	TTL time.Duration `json:"ttl,omitempty"`
	// MaxCost caps what the job may cost, in the currency of the launcher's
	// Prices: it shortens the deadline. Without a price it is refused. Default
	// 0: no cap.
	MaxCost float64 `json:"maxCost,omitempty"`

	// Queue is the queue that admits the job (Kueue's LocalQueue). Default "":
	// the launcher's.
	Queue string `json:"queue,omitempty"`
	// Priority is the name of the cluster's priority class. Default "": the
	// engine's default.
	Priority string `json:"priority,omitempty"`
	// Gang says whether all nodes start together or none. Default "": Auto.
	Gang Gang `json:"gang,omitempty"`
	// Spot says whether nodes that may be taken away are welcome. Default "":
	// SpotNever.
	Spot Spot `json:"spot,omitempty"`
	// Team is who pays, in Usage and its reports. Default "": the namespace of a
	// cluster, else nobody.
	Team string `json:"team,omitempty"`
	// Labels are kept with the job for List. Keys and values follow Kubernetes'
	// rules for labels.
	Labels map[string]string `json:"labels,omitempty"`
}

// Secret names one value in the engine's own keeping.
type Secret struct {
	Env  string `json:"env"`  // the environment variable that gets the value
	Name string `json:"name"` // on a cluster the Secret object; locally the file's folder
	Key  string `json:"key"`  // within it
}

// Volume is one thing that is mounted. Exactly one of Claim, Secret, ConfigMap,
// HostPath and Scratch is given.
type Volume struct {
	Path      string `json:"path"` // where it is mounted, absolute
	Claim     string `json:"claim,omitempty"`
	Secret    string `json:"secret,omitempty"`
	ConfigMap string `json:"configMap,omitempty"`
	HostPath  string `json:"hostPath,omitempty"`
	// Scratch is an empty folder that lives as long as the attempt, of at most so
	// many bytes. -1: as large as the node allows.
	Scratch int64 `json:"scratch,omitempty"`
	// Memory keeps Scratch in memory, as data loaders want /dev/shm.
	Memory   bool `json:"memory,omitempty"`
	ReadOnly bool `json:"readOnly,omitempty"`
}

// Resources is what one node needs beside GPUs. Zero fields ask for nothing and
// set no limit.
type Resources struct {
	CPU    float64 `json:"cpu,omitempty"`    // cores
	Memory int64   `json:"memory,omitempty"` // bytes, also the limit
	Disk   int64   `json:"disk,omitempty"`   // bytes of ephemeral storage
}

// GPU is what one node needs of accelerators.
type GPU struct {
	// Count is the number of GPUs (with MIG: of slices) on each node. Default 0:
	// none.
	Count int `json:"count,omitempty"`
	// Types is any-of, best first, as the nodes' labels name them, without
	// regard to case and vendor prefix: "H100" matches
	// "NVIDIA-H100-80GB-HBM3". Default: any type.
	Types []string `json:"types,omitempty"`
	// MinMemory is the least memory of one GPU in bytes. Default 0: any.
	MinMemory int64 `json:"minMemory,omitempty"`
	// MIG is the profile of the slices, such as "1g.10gb". Default "": whole GPUs.
	MIG string `json:"mig,omitempty"`
	// Shared accepts GPUs that are time-sliced with others, without isolation of
	// memory. Default false.
	Shared bool `json:"shared,omitempty"`
}

// Launch says how a job's processes find each other. In each form a process
// finds RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, GROUP_RANK, MASTER_ADDR
// and MASTER_PORT in its environment, as torchrun sets them.
type Launch string

// The launch modes.
const (
	// Plain starts Command once a process.
	Plain Launch = "plain"
	// Torchrun sets PET_NNODES, PET_NPROC_PER_NODE, PET_NODE_RANK,
	// PET_MASTER_ADDR and PET_MASTER_PORT too and starts Command once a node:
	// torchrun is part of the command and starts the node's processes.
	Torchrun Launch = "torchrun"
	// MPI starts Command on the first node with a host file in
	// OMPI_MCA_orte_default_hostfile.
	MPI Launch = "mpi"
	// JAX sets JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID.
	JAX Launch = "jax"
)

// Checkpoint is the contract between the launcher and the training process (see
// package train/checkpoint). The process finds the fields as
// MILLWRIGHT_CHECKPOINT_URI and MILLWRIGHT_CHECKPOINT_RESUME.
type Checkpoint struct {
	// URI is where checkpoints and their manifests lie, the same in all attempts.
	// Default "": the process keeps none.
	URI string `json:"uri,omitempty"`
	// Resume is what an attempt starts from: "" or "latest" is the newest intact
	// checkpoint, "none" is the beginning, anything else is the digest of a
	// manifest.
	Resume string `json:"resume,omitempty"`
}

// Retry separates what the machines did from what the program did.
type Retry struct {
	// Infra is how often an attempt that the infrastructure ended (preemption,
	// eviction, a lost node) is started again. Default 0: 3 times; -1: never.
	Infra int `json:"infra,omitempty"`
	// User is how often an attempt that failed by itself is started again.
	// Default 0: never.
	User int `json:"user,omitempty"`
	// ExitCodes overrides the two for single exit codes, 1 to 255.
	ExitCodes map[int]Action `json:"exitCodes,omitempty"`
}

// Action is what an exit code leads to.
type Action string

// The actions.
const (
	RetryInfra Action = "retry" // counted like an infrastructure failure
	Fail       Action = "fail"  // the job fails at once
)

// Gang says whether a job's nodes start together.
type Gang string

// The gang modes.
const (
	GangAuto Gang = "auto" // together where the engine can, when there is more than one node
	GangOn   Gang = "on"   // together, or ErrUnsupported
	GangOff  Gang = "off"  // each as it finds room
)

// Spot says whether a job may run where its nodes can be taken away.
type Spot string

// The spot modes.
const (
	SpotNever   Spot = "never"
	SpotAllow   Spot = "allow"
	SpotPrefer  Spot = "prefer"
	SpotRequire Spot = "require"
)

// The values of Checkpoint.Resume that are no digests.
const (
	ResumeLatest = "latest"
	ResumeNone   = "none"
)

// Input names one version of a dataset.
type Input struct {
	Name    string `json:"name"`              // required
	Version string `json:"version,omitempty"` // as the dataset counts them
	Digest  string `json:"digest,omitempty"`  // of the version's content
	URI     string `json:"uri,omitempty"`     // where the process finds it
}

// GracePeriod is Grace with its default applied and -1 as 0.
func (s Spec) GracePeriod() time.Duration {
	switch {
	case s.Grace < 0:
		return 0
	case s.Grace == 0:
		return DefaultGrace
	default:
		return s.Grace
	}
}

// Hash is the SHA-256, in hex, of the Spec's JSON. Launchers use it to tell a
// repeated Submit from a different job under the same key.
func (s Spec) Hash() string {
	data, err := json.Marshal(s) // a struct of strings and numbers; map keys come sorted
	if err != nil {
		data = fmt.Appendf(nil, "%#v", s)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// ReadSpec reads a Spec as JSON, at most 1 MiB of it, and validates it. A job's
// process reads the file named by EnvSpec with it.
func ReadSpec(r io.Reader) (Spec, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSpecBytes+1))
	if err != nil {
		return Spec{}, fmt.Errorf("train: read spec: %w", err)
	}
	if len(data) > maxSpecBytes {
		return Spec{}, fmt.Errorf("train: read spec: longer than %d bytes: %w", maxSpecBytes, ErrInvalid)
	}
	var s Spec
	if err := json.Unmarshal(data, &s); err != nil {
		return Spec{}, fmt.Errorf("train: read spec: %w: %w", err, ErrInvalid)
	}
	if err := s.Validate(); err != nil {
		return Spec{}, err
	}
	return s, nil
}
