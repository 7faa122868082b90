package train

import (
	"strconv"
	"strings"
)

// The environment variables that a job's process finds beside those of its
// launch mode. They are set after Spec.Env and can not be set by it.
const (
	EnvJobID            = "MILLWRIGHT_JOB_ID"            // the job's id
	EnvSpec             = "MILLWRIGHT_JOB_SPEC"          // path of a file that ReadSpec reads
	EnvAttempt          = "MILLWRIGHT_ATTEMPT"           // how many times the job was started before
	EnvResumes          = "MILLWRIGHT_RESUMES"           // to be added to EnvAttempt, where the engine counts failures alone
	EnvStart            = "MILLWRIGHT_START"             // differs from start to start of a machine's part, where EnvAttempt may not
	EnvGrace            = "MILLWRIGHT_GRACE_SECONDS"     // seconds between SIGTERM and SIGKILL
	EnvCheckpointURI    = "MILLWRIGHT_CHECKPOINT_URI"    // Checkpoint.URI
	EnvCheckpointResume = "MILLWRIGHT_CHECKPOINT_RESUME" // Checkpoint.Resume, "latest" by default
	EnvRun              = "MLFLOW_RUN_ID"                // Spec.Run
)

// Process says which of a job's processes an environment is for.
type Process struct {
	Job     string // id
	Attempt int
	// AttemptText stands in for Attempt where only the engine can fill it in.
	AttemptText string
	// Node is the number of the machine and Proc that of the process on it.
	Node, Proc int
	// NodeText stands in for Node where only the engine can fill it in, as
	// "$(JOB_COMPLETION_INDEX)" on Kubernetes. RANK is then left out when a node
	// has several processes, because it can not be computed.
	NodeText string
	// MasterAddr and MasterPort are where rank 0 listens. Default: 127.0.0.1 and
	// DefaultMasterPort.
	MasterAddr string
	MasterPort int
	// SpecFile is the path of the Spec's JSON as the process sees it. Default "":
	// EnvSpec is not set.
	SpecFile string
	// HostFile is the path of MPI's host file as the process sees it. Default "":
	// not set.
	HostFile string
}

// DefaultMasterPort is torchrun's.
const DefaultMasterPort = 29500

// NodeCount is Nodes with its default applied.
func (s Spec) NodeCount() int { return max(1, s.Nodes) }

// ProcCount is the number of processes on a node: Procs with its default applied.
func (s Spec) ProcCount() int {
	switch {
	case s.Procs > 0:
		return s.Procs
	case s.Launch == Torchrun:
		return max(1, s.GPU.Count)
	default:
		return 1
	}
}

// CommandsPerNode is how often a launcher starts Command on each node: torchrun
// and mpirun start a node's processes themselves.
func (s Spec) CommandsPerNode() int {
	if s.Launch == Torchrun || s.Launch == MPI {
		return 1
	}
	return s.ProcCount()
}

// Env is what a launcher adds to a process's environment, after Spec.Env: the
// job, the checkpoint contract, and how the processes find each other.
func Env(s Spec, p Process) map[string]string {
	env := map[string]string{
		EnvJobID:   p.Job,
		EnvAttempt: orNumber(p.AttemptText, p.Attempt),
		EnvGrace:   strconv.FormatFloat(s.GracePeriod().Seconds(), 'f', -1, 64),
	}
	if p.SpecFile != "" {
		env[EnvSpec] = p.SpecFile
	}
	if s.Run != "" {
		env[EnvRun] = s.Run
	}
	if s.Checkpoint.URI != "" {
		env[EnvCheckpointURI] = s.Checkpoint.URI
		env[EnvCheckpointResume] = s.Checkpoint.Resume
		if s.Checkpoint.Resume == "" {
			env[EnvCheckpointResume] = ResumeLatest
		}
	}
	nodes, procs := s.NodeCount(), s.ProcCount()
	addr, port, node := p.MasterAddr, strconv.Itoa(DefaultMasterPort), orNumber(p.NodeText, p.Node)
	if addr == "" {
		addr = "127.0.0.1"
	}
	if p.MasterPort > 0 {
		port = strconv.Itoa(p.MasterPort)
	}
	env["MASTER_ADDR"], env["MASTER_PORT"] = addr, port
	switch s.Launch {
	case Torchrun: // which sets RANK and its kin for the processes it starts
		env["PET_NNODES"], env["PET_NPROC_PER_NODE"], env["PET_NODE_RANK"] = strconv.Itoa(nodes), strconv.Itoa(procs), node
		env["PET_MASTER_ADDR"], env["PET_MASTER_PORT"] = addr, port
		return env
	case MPI: // as does mpirun
		if p.HostFile != "" {
			env["OMPI_MCA_orte_default_hostfile"] = p.HostFile
		}
		return env
	}
	env["WORLD_SIZE"], env["LOCAL_WORLD_SIZE"] = strconv.Itoa(nodes*procs), strconv.Itoa(procs)
	env["GROUP_RANK"], env["LOCAL_RANK"] = node, strconv.Itoa(p.Proc)
	rank := ""
	switch {
	case p.NodeText == "":
		rank = strconv.Itoa(p.Node*procs + p.Proc)
	case procs == 1:
		rank = node
	}
	if rank != "" {
		env["RANK"] = rank
	}
	if s.Launch == JAX {
		env["JAX_COORDINATOR_ADDRESS"] = joinPort(addr, port)
		env["JAX_NUM_PROCESSES"] = strconv.Itoa(nodes * procs)
		if rank != "" {
			env["JAX_PROCESS_ID"] = rank
		}
	}
	return env
}

func orNumber(text string, n int) string {
	if text != "" {
		return text
	}
	return strconv.Itoa(n)
}

func joinPort(addr, port string) string {
	if strings.Contains(addr, ":") && !strings.HasPrefix(addr, "[") {
		addr = "[" + addr + "]"
	}
	return addr + ":" + port
}

// ReservedEnv reports whether a variable is one that Env may set. Launchers that
// hand on their own environment leave it out.
func ReservedEnv(name string) bool { return ownEnv[name] }

// ownEnv are the names that Env may set, which a Spec can therefore not.
var ownEnv = map[string]bool{
	EnvJobID: true, EnvSpec: true, EnvAttempt: true, EnvResumes: true, EnvStart: true, EnvGrace: true, EnvCheckpointURI: true, EnvCheckpointResume: true,
	"RANK": true, "WORLD_SIZE": true, "LOCAL_RANK": true, "LOCAL_WORLD_SIZE": true, "GROUP_RANK": true,
	"MASTER_ADDR": true, "MASTER_PORT": true,
	"PET_NNODES": true, "PET_NPROC_PER_NODE": true, "PET_NODE_RANK": true, "PET_MASTER_ADDR": true, "PET_MASTER_PORT": true,
	"OMPI_MCA_orte_default_hostfile": true,
	"JAX_COORDINATOR_ADDRESS":        true, "JAX_NUM_PROCESSES": true, "JAX_PROCESS_ID": true,
}
