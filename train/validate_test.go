package train_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/train"
)

func TestValidateAcceptsAFullSpec(t *testing.T) {
	t.Parallel()
	s := train.Spec{
		Name: "fraud", Image: "registry.example:5000/team/trainer:v1.2@sha256:" + strings.Repeat("a", 64),
		Env:     map[string]string{"LR": "0.1"},
		Secrets: []train.Secret{{Env: "TOKEN", Name: "s3.creds", Key: "token_1"}},
		Volumes: []train.Volume{{Path: "/data", Claim: "data"}, {Path: "/dev/shm", Scratch: -1, Memory: true}, {Path: "/c", ConfigMap: "c", ReadOnly: true}},
		Nodes:   4, Procs: 8, Launch: train.Torchrun,
		Resources: train.Resources{CPU: 0.5, Memory: 1 << 30, Disk: 1},
		GPU:       train.GPU{Count: 8, Types: []string{"H100", "A100-80GB"}, MinMemory: 80 << 30},
		Run:       "r1", Model: "fraud",
		Checkpoint: train.Checkpoint{URI: "s3://b/ck", Resume: "sha256:" + strings.Repeat("0", 64)},
		Retry:      train.Retry{Infra: -1, User: 2, ExitCodes: map[int]train.Action{1: train.Fail, 255: train.RetryInfra}},
		Deadline:   time.Hour, TTL: time.Minute, MaxCost: 10, Queue: "team-a", Priority: "high", Gang: train.GangOn, Spot: train.SpotPrefer,
		Team: "Red_1", Labels: map[string]string{"example.org/app": "x", "empty": ""},
	}
	require.NoError(t, s.Validate())
	s.GPU = train.GPU{Count: 1, MIG: "1g.10gb", MinMemory: 10 << 30}
	require.NoError(t, s.Validate())
}

func TestValidateNewFaultsAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	err := train.Spec{
		Name: "x", Image: "Bad Image", Env: map[string]string{"RANK": "1", "T": "x", "MLFLOW_RUN_ID": "x"}, Run: "r",
		Secrets: []train.Secret{{Env: "1A", Name: "Up", Key: "a/b"}, {Env: "T", Name: "a", Key: ".."}},
		Volumes: []train.Volume{
			{Path: "rel", Claim: "a", Secret: "b"}, {Path: "/x"}, {Path: "/x", Scratch: -2}, {Path: "/y", Memory: true, HostPath: "/a/../b"},
		},
		Nodes: -1, Procs: -2, Launch: "slurm",
		Resources:  train.Resources{CPU: math.NaN(), Memory: -1, Disk: -1},
		GPU:        train.GPU{Count: -1, Types: []string{"nvidia"}, MinMemory: 20 << 30, MIG: "1g.10gb", Shared: true},
		Checkpoint: train.Checkpoint{Resume: "yesterday"},
		Retry:      train.Retry{Infra: -2, User: -1, ExitCodes: map[int]train.Action{0: train.Fail, 300: "explode"}},
		TTL:        -1, MaxCost: math.Inf(1), Queue: "Q", Priority: "p_q", Gang: "maybe", Spot: "some", Team: "a b",
		Labels: map[string]string{"/x": "", "a": strings.Repeat("v", 64)},
	}.Validate()
	require.ErrorIs(t, err, train.ErrInvalid)
	for _, part := range []string{
		`image "Bad Image" is no image reference`, `env name "RANK" is set by the launcher`, `env name "MLFLOW_RUN_ID" is set by`,
		`secrets[0]: env "1A"`, `secrets[0]: name "Up"`, `secrets[0]: key "a/b"`, `secrets[1]: env "T" is set twice`, `secrets[1]: key ".."`,
		`volumes[0]: path "rel"`, "volumes[0] has 2 of", "volumes[1] has 0 of", `path "/x" is mounted twice`, "scratch is -2 bytes",
		"only scratch can be kept in memory", `host path "/a/../b"`,
		"nodes is -1", "procs is -2", `launch is "slurm"`, "cpu is NaN", "memory is -1", "disk is -1",
		"gpu: count is -1", `types[0] "nvidia" names no type`, "shared beside a MIG profile", "which slices of 1g.10gb do not have",
		`resume is "yesterday"`, "infra is -2", "user is -1", "exit code 0 is not", "exit code 300 is not", `leads to "explode"`,
		"ttl is -1ns", "maxCost is +Inf", `queue "Q"`, `priority "p_q"`, `gang is "maybe"`, `spot is "some"`, `team "a b"`,
		`label key "/x"`, "label a=",
	} {
		require.ErrorContains(t, err, part)
	}
	for want, s := range map[string]train.Spec{
		"launch is mpi with 1 node": {Name: "x", Image: "a", Launch: train.MPI},
		"are more than":             {Name: "x", Image: "a", Nodes: 1 << 19, Procs: 1 << 19},
		"count is 0 beside":         {Name: "x", Image: "a", GPU: train.GPU{Types: []string{"H100"}}},
		`mig "huge" is no profile`:  {Name: "x", Image: "a", GPU: train.GPU{Count: 1, MIG: "huge"}},
		"without a URI":             {Name: "x", Image: "a", Checkpoint: train.Checkpoint{Resume: "none"}},
	} {
		require.ErrorContains(t, s.Validate(), want)
	}
}

func TestImageReferences(t *testing.T) {
	t.Parallel()
	for image, ok := range map[string]bool{
		"busybox": true, "busybox:1.36": true, "localhost/pause:1": true, "registry.example:5000/a/b_c/d--e:T.1": true,
		"[2001:db8::1]:5000/a": true, "a@sha256:" + strings.Repeat("f", 64): true,
		"":      true, // then a command is needed
		"Upper": false, "a:": false, "a::b": false, "a/": false, "/a": false, "a b": false, "a@sha256:xyz": false, "a@sha256:ff": false,
		"http://a/b": false, "a:" + strings.Repeat("t", 129): false, strings.Repeat("a", 600): false, "a\n": false,
	} {
		err := train.Spec{Name: "x", Image: image, Command: []string{"x"}}.Validate()
		require.Equal(t, ok, err == nil, "%q: %v", image, err)
	}
}

func TestJobID(t *testing.T) {
	t.Parallel()
	require.Equal(t, "job-2c70e12b7a0646f92279", train.JobID("key"))
	require.NotEqual(t, train.NewJobID(), train.NewJobID())
	for id, ok := range map[string]bool{
		train.JobID("x"): true, train.NewJobID(): true, "": false, "job-": false, "job-2C70e12b7a0646f92279": false, "job-../../../../../etc/x": false,
	} {
		require.Equal(t, ok, train.ValidJobID(id), id)
	}
}

func TestEnv(t *testing.T) {
	t.Parallel()
	s := train.Spec{Nodes: 2, Procs: 2, Run: "r", Checkpoint: train.Checkpoint{URI: "u"}, Grace: 1500 * time.Millisecond}
	require.Equal(t, map[string]string{
		"MILLWRIGHT_JOB_ID": "j", "MILLWRIGHT_ATTEMPT": "3", "MILLWRIGHT_GRACE_SECONDS": "1.5", "MILLWRIGHT_JOB_SPEC": "/s",
		"MLFLOW_RUN_ID": "r", "MILLWRIGHT_CHECKPOINT_URI": "u", "MILLWRIGHT_CHECKPOINT_RESUME": "latest",
		"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "1",
		"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500",
	}, train.Env(s, train.Process{Job: "j", Attempt: 3, Node: 1, Proc: 1, SpecFile: "/s"}))

	s.Launch, s.GPU.Count, s.Procs = train.Torchrun, 8, 0
	env := train.Env(s, train.Process{NodeText: "$(INDEX)", AttemptText: "$(A)", MasterAddr: "h", MasterPort: 1})
	require.Equal(t, "$(INDEX)", env["PET_NODE_RANK"])
	require.Equal(t, "$(A)", env[train.EnvAttempt])
	require.Equal(t, "8", env["PET_NPROC_PER_NODE"])
	require.NotContains(t, env, "RANK")
	require.Equal(t, 1, s.CommandsPerNode())

	s.Launch, s.Procs = train.JAX, 1
	env = train.Env(s, train.Process{NodeText: "$(INDEX)", MasterAddr: "::1"})
	require.Equal(t, "[::1]:29500", env["JAX_COORDINATOR_ADDRESS"])
	require.Equal(t, "$(INDEX)", env["JAX_PROCESS_ID"])
	require.Equal(t, "$(INDEX)", env["RANK"])
	s.Procs = 2
	require.NotContains(t, train.Env(s, train.Process{NodeText: "$(INDEX)"}), "RANK", "it can not be computed")
	s.Launch = train.MPI
	require.Equal(t, "/hosts", train.Env(s, train.Process{HostFile: "/hosts"})["OMPI_MCA_orte_default_hostfile"])
	for name := range env {
		require.True(t, train.ReservedEnv(name) || name == train.EnvRun, name)
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	r := train.Retry{User: 1, ExitCodes: map[int]train.Action{42: train.RetryInfra, 3: train.Fail}}
	for name, c := range map[string]struct {
		exit  int
		infra bool
		spent train.Tries
		want  train.Tries
		again bool
	}{
		"user":                      {1, false, train.Tries{}, train.Tries{User: 1}, true},
		"user, spent":               {1, false, train.Tries{User: 1}, train.Tries{User: 1}, false},
		"infra":                     {143, true, train.Tries{User: 1}, train.Tries{User: 1, Infra: 1}, true},
		"infra, spent":              {143, true, train.Tries{Infra: 3}, train.Tries{Infra: 3}, false},
		"infra whatever the status": {3, true, train.Tries{}, train.Tries{Infra: 1}, true},
		"by its code":               {42, false, train.Tries{}, train.Tries{Infra: 1}, true},
		"fails by its code":         {3, false, train.Tries{}, train.Tries{}, false},
	} {
		got, again := r.Decide(c.exit, c.infra, c.spent)
		require.Equal(t, c.want, got, name)
		require.Equal(t, c.again, again, name)
	}
	require.Equal(t, 0, train.Retry{Infra: -1}.InfraBudget())
	require.Equal(t, 7, train.Retry{Infra: 7}.InfraBudget())
}

// What Wait returned survives as data.
func TestEndingRoundTrip(t *testing.T) {
	t.Parallel()
	for _, want := range []error{
		nil,
		&train.UserError{Job: "j", Rank: 2, Attempt: 1, ExitCode: 3, LastLines: []string{"a"}},
		&train.KilledError{Job: "j", Signal: "SIGKILL", Kind: train.ErrOOMKilled, Cause: "c"},
		&train.KilledError{Job: "j", Kind: train.ErrQuotaExceeded, Cause: "c", LastLines: []string{"a"}},
		&train.KilledError{Job: "j", Signal: "SIGTERM", Cause: "c"},
		&train.DeadlineError{Job: "j", Deadline: time.Hour},
		fmt.Errorf("train: job %q: %w", "j", train.ErrCancelled),
	} {
		e := train.EndingOf(want)
		got := e.Err("j")
		require.Equal(t, want, got)
		if k, ok := errors.AsType[*train.KilledError](got); ok && k.Kind != nil {
			require.ErrorIs(t, got, k.Kind)
		}
	}
	require.Equal(t, train.Succeeded, train.Ending{}.Phase())
	require.Equal(t, train.Cancelled, train.Ending{Cause: train.CauseCancelled}.Phase())
	require.Equal(t, train.Failed, train.Ending{Cause: train.CauseUser}.Phase())
	require.ErrorContains(t, train.EndingOf(errors.New("odd")).Err("j"), "odd")
	require.True(t, train.CausePreempted.Infra())
	require.False(t, train.CauseOOM.Infra())
}

func TestErrorsOfRanks(t *testing.T) {
	t.Parallel()
	require.EqualError(t, &train.UserError{Job: "j", ExitCode: 1, Rank: 3, Attempt: 2}, `train: job "j": the command exited with status 1 (rank 3, attempt 2)`)
	require.EqualError(t, &train.KilledError{Job: "j", Kind: train.ErrPreempted, Cause: "team-b took its quota back", Attempt: 1},
		`train: job "j": killed (rank 0, attempt 1): team-b took its quota back: preempted`)
}
