// Package monitor watches a model in production: it counts every prediction at
// some tens of nanoseconds, compares windows of traffic with the reference
// that the model version carries, decides whether the data has drifted, and
// joins labels that come later to what was predicted.
//
//	m, err := monitor.New(ref, &monitor.Options{Model: "fraud", Version: "3", OnReport: act})
//	m.Observe(row, score, monitor.NewID(requestID, i)) // on the path of each request
//	m.Label(monitor.NewID(requestID, i), 1)            // when the truth is known
//	report, err := m.Cut(ctx)                          // once an hour, or Options.WindowRows
//
// # Counting
//
// [Monitor.Observe] copies the row into a block of one of several shards; full
// blocks are counted by one goroutine behind the path, or, when that is busy,
// by the caller. It allocates nothing, waits for no I/O and loses no row: the
// rows of all reports are the rows observed. A window is a few kilobytes of
// counts a feature, however many rows it has.
//
// # Deciding
//
// [Compare] is a pure function, used by a live monitor and by tests and gates
// alike. A feature drifts when its difference from the reference is
// significant, corrected for the number of features, and also larger than the
// policy's floor and than chance makes it. Shares of missing, infinite,
// out-of-range and unseen values have limits of their own. A [Report] ranks
// the features, and its Key names it for whoever acts on it. What to do is the
// application's decision: OnReport is a function of its own.
//
// # Labels
//
// [Monitor.Label] joins a label to its prediction by [ID], which two parties
// can compute from the request's id and the row. The metrics belong to the
// window of the observation, however late the label is: ask
// [Monitor.Performance] again when more labels have come.
//
// # Around it
//
// monitor/servehook feeds a Monitor from a server, monitor/promexport shows it
// to Prometheus, monitor/inferlog keeps the rows themselves. This package links
// the standard library only.
//
// Several monitors of replicas of one service each decide on their own share
// of the traffic.
package monitor
