// Package train runs training programs as jobs.
//
// A [Spec] says what to run and is pure data. A [Launcher] turns it into a
// [Job]: a handle to wait on, read logs from, cancel, and find again from
// another process. One launcher is in package train/local, which runs the
// command as a process on this machine.
//
//	l, err := local.Open("jobs", nil)
//	job, err := l.Submit(ctx, train.Spec{
//		Name:     "fraud",
//		Command:  []string{"python3", "train.py"},
//		Env:      map[string]string{"RUN_ID": string(run.ID())},
//		Inputs:   []train.Input{{Name: "transactions", Version: "4", Digest: digest}},
//		Deadline: time.Hour,
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
// submits with the same key or calls Attach or List, and goes on where it was.
//
// # What the job's process is told
//
// The process finds its job's id in the environment variable [EnvJobID] and the
// path of a file with the Spec in [EnvSpec]; [ReadSpec] reads it. Whatever else
// it needs goes into Spec.Env or the command line.
//
// # How a job ends
//
// Wait returns a [Result] for every job that has ended. Beside it comes nil for
// exit status 0, or one of *[UserError] (the program said no), *[KilledError]
// (something else ended it), *[DeadlineError], or [ErrCancelled].
package train
