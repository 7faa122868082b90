// Package local launches training jobs as processes on this machine.
//
//	l, err := local.Open("jobs", nil)
//	job, err := l.Submit(ctx, train.Spec{Name: "fraud", Command: []string{"./train"}}, nil)
//	result, err := job.Wait(ctx)
//
// # A job is a folder
//
// All state of a job is in one folder below the one given to [Open]:
//
//	<id>/job.json     key, spec hash, time of submission, the resolved program
//	<id>/spec.json    the Spec, which the process may read too
//	<id>/claim        the supervisor's pid, start time and boot id
//	<id>/pid          the command's pid
//	<id>/stdout.log   what the process printed, written by the process itself
//	<id>/stderr.log
//	<id>/cancel       exists once Cancel was called; deadline likewise
//	<id>/exit         how the command ended
//
// # A launcher may die
//
// The command runs below a small /bin/sh supervisor, in a session and process
// group of its own. The supervisor, not the launcher, keeps the deadline and
// records the exit status, and the output goes to files with nobody in between.
// So a launcher that is killed takes nothing with it: another one, in the same
// process or a later one, finds the job by its id, its key or List, and gets its
// exit status and every line. (A service manager may still kill the whole
// service, jobs included: with systemd, set KillMode=process.)
//
// Several processes may open the same folder at once, as long as they run on one
// machine and see each other's processes. What counts as submitted is durable
// against kill -9; how a job ended is durable, also against a power cut, from
// the first Wait or Status that reported it.
//
// # What the process gets
//
// The environment of the process that submits, then Spec.Env, then
// train.EnvJobID and train.EnvSpec. Standard input is empty. The Spec, with the
// values in its Env, is kept in spec.json, readable by the user only.
//
// # How it ends
//
// A job ends when its command ends: processes that the command left behind in
// its process group are killed then. Processes that moved to a group of their
// own (daemons) are out of reach. Exit statuses above 128 are read the way shells
// write them, as death by the signal numbered status-128; a program that itself
// exits with such a status looks the same.
//
// # Log lines
//
// Line.Time is the log file's time of last change when the line was read: for a
// job that is followed, when the line was written to within the poll interval;
// for older lines, the latest time at which it can have been written. The order
// of lines within a stream is exact. Between the two streams it is the order of
// reading.
//
// Package local works on Unix systems; elsewhere Open returns ErrUnsupported.
package local
