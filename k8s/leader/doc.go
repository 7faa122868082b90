// Package leader elects one of a service's replicas to drive a loop: retraining,
// clean-up, a sweep. The vote is a Lease in the cluster, as the controllers of
// Kubernetes hold it.
//
//	e, err := leader.New(cfg, "trainer", "retrain-loop", nil)
//	err = e.Run(ctx, func(ctx context.Context) error {
//		return loop(ctx) // here on one replica only; ctx ends when the Lease is lost
//	})
//
// [Elector.Run] blocks, so it fits an errgroup. It waits for lead to return
// before it stands for election again or gives the Lease back, so this process
// never leads twice at once.
//
// # What is promised, and what is not
//
// A leader that cannot renew stops after Options.Renew (10 s); the others wait for
// Options.Duration (15 s) from the last change that they saw. No clock is
// compared with another: each process measures spans of its own clock, so skewed
// clocks do no harm, only clocks of different speed would: by default half as
// fast again. A process that is frozen for longer (a suspended machine, a long
// stop of the world) may still finish a write that it began as leader. Where that
// must not happen, give [Term] along as a fencing token: it grows when the leader
// changes, and the receiver refuses a smaller one than it has seen.
//
// Nobody should delete the Lease by hand: the leader that had it notices at its
// next look only.
//
// After a crash the next leader comes after Duration; after an orderly end at the
// next look of another replica (Options.Retry, 2 s), because the Lease is given
// back.
//
// It needs the rights of rbac.Leader. The election is client-go's; this package
// adds that lead is waited for, the term, and errors that are told. It links
// client-go's generated clients, which the other packages below k8s do not.
package leader
