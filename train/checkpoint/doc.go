// Package checkpoint is the training process's side of a job: it writes
// checkpoints that can be trusted, resumes from the newest, reports progress,
// and ends in time after SIGTERM. Programs in Go use it directly. Programs in
// Python copy one file without dependencies, which [Python] returns, so that a
// service can hand it out beside its job template.
//
//	k, err := checkpoint.New(os.Getenv, nil)
//	ctx, stop := k.Notify(ctx)             // ends at SIGTERM
//	found, err := k.Latest(ctx)            // nil without one
//	for step := first(found); step <= total; step++ {
//		…
//		err = k.Report(step, total, map[string]float64{"loss": loss})
//		if step%500 == 0 || ctx.Err() != nil {
//			_, err = k.Save(step, func(dir string) error { return write(dir) })
//		}
//		if ctx.Err() != nil {
//			os.Exit(checkpoint.ExitStopped)
//		}
//	}
//
// # What a checkpoint is
//
// A folder, and beside it a manifest with the step, the attempt, and the size
// and SHA-256 of each file. The files are made durable before the folder gets
// its name, and the manifest is written last and in one step, ending in its own
// digest. So a process that is killed at any moment leaves nothing behind that
// is taken for a checkpoint, and what is damaged later is noticed: Latest passes
// it over, says why, and takes the one before.
//
// # Several processes
//
// Under torchrun each process calls the same functions. Only rank 0 writes and
// reports, and there is no barrier. All resume from the same checkpoint, because
// Latest leaves out those of the running attempt, which rank 0 may write while
// another process still starts. After SIGTERM only rank 0 is told to stop: the
// others train on until it has saved, or it could wait for them for ever in a
// collective.
//
// # Reports
//
// Progress is a line on standard output (see [train.ParseReport]), so it needs
// no port, no sidecar and no rights. The launcher takes it out of the logs.
//
// # What is not here
//
// Checkpoints lie in folders: a disk, a volume, a mounted bucket. Uploads to
// object stores need a client of theirs, which neither file links.
package checkpoint
