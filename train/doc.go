// Package train runs training programs as jobs.
//
// A [Spec] says what to run and is pure data. A [Launcher] turns it into a
// [Job]: a handle to wait on, read logs from, suspend, cancel, and find again
// from another process. Package train/local runs the command as processes on
// this machine, package k8s on a cluster; a program is written for both.
//
//	l, err := local.Open("jobs", nil)
//	job, err := l.Submit(ctx, train.Spec{
//		Name:       "fraud",
//		Command:    []string{"torchrun", "train.py"},
//		Launch:     train.Torchrun,
//		GPU:        train.GPU{Count: 2, Types: []string{"H100", "A100-80GB"}},
//		Inputs:     []train.Input{{Name: "transactions", Version: "4", Digest: digest}},
//		Checkpoint: train.Checkpoint{URI: "/data/checkpoints/fraud"},
//		Deadline:   12 * time.Hour,
//		Team:       "risk",
//	}, &train.SubmitOptions{Key: "fraud-2026-01-31"})
//	for line, err := range job.Logs(ctx, &train.LogOptions{Follow: true}) {
//		…
//	}
//	result, err := job.Wait(ctx)
//
// # State and restarts
//
// A launcher keeps all state with the engine that runs the job: a folder, or
// the objects of a cluster. A service that was killed opens its launcher again,
// submits with the same key or calls Attach or List, and goes on where it was;
// a reader of logs goes on after the Cursor of its last line. What is to outlive
// the engine's own cleanup goes into an [Archive].
//
// # Before it runs
//
// [Spec.Validate] reports every fault at once. [Launcher.Plan] says what Submit
// would do, what would keep the job from starting, what of its wishes would not
// be honoured, and what it could cost, and writes nothing.
//
// # Attempts
//
// A job is started again after what the machines did (a preemption, a lost node,
// a kill from outside), by default three times, and not after what the program
// did, unless [Retry] says so. Running out of memory is the program's doing. All
// attempts are one job with one log, one deadline and one tracking run, and each
// resumes from the newest checkpoint: package train/checkpoint is the process's
// side of that.
//
// # What the job's process is told
//
// The process finds its job's id in the environment variable [EnvJobID] and the
// path of a file with the Spec in [EnvSpec]; [ReadSpec] reads it. [Env] lists
// what else it finds: torchrun's variables, the attempt, the grace time and the
// checkpoint contract. A line "##millwright {json}" that rank 0 prints is a
// [Report] for Job.Progress and no part of the logs.
//
// # How a job ends
//
// Wait returns a [Result] for every job that has ended. Beside it comes nil for
// exit status 0, or one of *[UserError] (the program said no), *[KilledError]
// (something else ended it; errors.Is tells [ErrOOMKilled], [ErrPreempted] and
// the others), *[DeadlineError], or [ErrCancelled]. Job.Why says it in one
// sentence, also while the job waits.
//
// # What it costs
//
// Job.Usage splits the time of GPUs into useful, lost (since the last checkpoint
// of an attempt that was broken off) and queued, priced by [Prices]; [Bill] adds
// it up by team.
package train
