// Package local launches training jobs as processes on this machine.
//
//	l, err := local.Open("jobs", nil)
//	job, err := l.Submit(ctx, train.Spec{Name: "fraud", Command: []string{"./train"}}, nil)
//	result, err := job.Wait(ctx)
//
// # A job is a folder
//
// All state of a job is in one folder below the one given to [Open]. A is the
// number of an attempt and R that of a process:
//
//	<id>/job.json       key, spec and its hash, time of submission, the resolved program
//	<id>/spec.json      the Spec, for the process
//	<id>/supervisor.sh  what runs an attempt
//	<id>/A.claim        the supervisor's pid, start time and boot id
//	<id>/A.began        the GPUs that it got; its processes were started then
//	<id>/A.R.pid        a process
//	<id>/A.R.out, .err  what it printed, written by the process itself
//	<id>/A.exit         how the attempt ended, and what follows
//	<id>/A.settled      exists once the end is known to be on the disk
//	<id>/A.suspend      exists once Suspend was called; A.resume, cancel and deadline likewise
//
// # A launcher may die
//
// Each attempt runs below a small /bin/sh supervisor, in a session and process
// group of its own. The supervisor, not the launcher, keeps the deadline, records
// the exit status and begins the next attempt, and the output goes to files with
// nobody in between. So a launcher that is killed takes nothing with it: another
// one, in the same process or a later one, finds the job by its id, its key or
// List, and gets its exit status and every line. (A service manager may still
// kill the whole service, jobs included: with systemd, set KillMode=process.)
// When the supervisor was killed, too, or the machine restarted, the attempt has
// failed by the infrastructure's doing: the next look at the job ends what is
// left of it, and Wait, a following Logs or Events, or Submit with the same key
// begins the next one. There is no daemon; jobs whose TTL is over go when
// somebody attaches to them or lists.
//
// Several processes may open the same folder at once, as long as they run on one
// machine and see each other's processes. What counts as submitted is durable
// against kill -9; how a job ended is durable, also against a power cut, from
// the first Wait or Status that reported it.
//
// # Processes and nodes
//
// Spec.Procs processes a node are started with torchrun's environment; the first
// that fails ends the others, and is named in the error. Spec.Nodes are all this
// machine, which is good for trying out a program for several. With Torchrun the
// command runs once a node.
//
// # GPUs
//
// nvidia-smi lists the machine's GPUs and MIG slices. A job that asks for some
// waits in line, first come, first served, until as many of one type as it needs
// are free, and finds them in CUDA_VISIBLE_DEVICES. They are held by locks of
// files that the supervisor inherits, so the kernel gives them back whatever
// happens; a job keeps its GPUs from one attempt to the next. Programs that this
// package did not start are not seen.
//
// # Limits
//
// Spec.Resources are enforced by control groups (cgroup v2 where
// Options.Cgroup is delegated or the own group hands its controllers down, else
// v1) where this process may make them; otherwise memory by RLIMIT_DATA of each
// process and CPU not at all. Plan.Warnings says which. A kill at the memory
// limit is told apart as train.ErrOOMKilled.
//
// # What the process gets
//
// The environment of the process that submits, then Spec.Env and Spec.Secrets,
// then what train.Env says. Standard input is empty. The Spec, with the values in
// its Env, is kept in the folder, readable by the user only; values of secrets
// are not.
//
// # How it ends
//
// An attempt ends when its processes have ended: what they left behind in their
// process group is killed then. Processes that moved to a group of their own
// (daemons) are out of reach. Exit statuses above 128 are read the way shells
// write them, as death by the signal numbered status-128; a program that itself
// exits with such a status looks the same. Hangup, interrupt, kill and terminate
// count as infrastructure, other signals as the program's own crash. In jobs of
// several processes, and in attempts that follow another, SIGINT is ignored.
//
// # Log lines
//
// Line.Time is the log file's time of last change when the line was read: for a
// job that is followed, when the line was written to within the poll interval;
// for older lines, the latest time at which it can have been written. The order
// of lines within a stream is exact. Between streams it is the order of reading.
//
// Package local works on Unix systems; elsewhere Open returns ErrUnsupported.
package local
