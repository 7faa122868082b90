// Package fleet watches a model that several replicas serve: what they have
// counted is added up, exactly, and one of them decides.
//
// Each replica publishes what its monitor has counted, as a snapshot, to a store
// that all can reach, or shows it to its peers:
//
//	p, err := fleet.NewPublisher(m, &fleet.PublisherOptions{Store: store})
//	go p.Run(ctx)                                          // to the store, and …
//	mux.Handle("GET /monitor/snapshot", p.Handler(authorize)) // … or for peers
//
// One evaluator merges them and decides as a Monitor does, on whichever replica
// is elected:
//
//	e, err := fleet.New(reference, fleet.FromStore(store, ""), &fleet.Options{
//		Store: store, Monitor: monitor.Options{Model: "churn", Version: "3"}, OnReport: act,
//	})
//	lease, err := fleet.NewLease(store, "churn.lease", nil) // or a k8s/leader.Elector
//	err = e.Run(ctx, lease)
//
// # What is promised
//
// Counts are integers: merged in any order, they are what one process would have
// counted, bit for bit. (Sums of values are sums of floats; they agree up to
// rounding.) A snapshot counts from the start of its process, and the evaluator
// takes the difference from the one before: a snapshot that comes late, twice or
// not at all changes when rows are counted, never how often. A replica that is
// killed loses what it had counted since its last snapshot. No clock of a machine
// is compared with that of another.
//
// The evaluator keeps its state, and how far it has counted whom, in one object
// of the store, which it replaces by compare-and-swap: of two evaluators that
// believe to be alone one gets ErrConflict, and its window was never decided.
// Reports are handed out after that; an evaluator that is killed in between has
// decided without telling. The trigger that it opened is in the next report.
//
// The third way needs no evaluator: package monitor/promexport exports bins as
// counters, which Prometheus adds up.
package fleet
