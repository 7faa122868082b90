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
// [Monitor.Observe] copies the row into a block of one of several shards, and
// [Monitor.ObserveBatch] the rows of a request; full blocks are counted by one
// goroutine behind the path or, when that is busy, by the caller
// (Options.Overflow). It allocates nothing, waits for no I/O and loses no row:
// the rows of all reports are the rows observed. A window is a few kilobytes of
// counts a feature, however many rows it has. [StructEncoder] and [MapEncoder]
// make rows of structs and maps.
//
// # Texts and vectors
//
// [Monitor.ObserveInputs] takes what a row was made of where that is no number
// and no category. A sample of the rows, one in 16 by a hash of the id, is
// described by numbers behind the path: the length of a text, its words, the
// share of characters that are not ASCII and of words that the reference does not
// know; the norm of an embedding, its distance from the reference's centroid, the
// nearest of 8 centres and four projections. profile.NewSummaryBuilder makes the
// reference's part of it, which travels with the model version, and the features
// are decided on and reported together with all others.
//
// # Windows
//
// A window ends with Cut, after Options.WindowRows or after Options.WindowTime.
// Options.Spans are longer ones, sums of the last windows that are kept by
// adding the newest and taking the oldest away. Options.Seasonal compares with
// the same hours of the week. Options.Store keeps all of it across restarts.
//
// # Deciding
//
// [Compare] is a pure function, used by a live monitor and by tests and gates
// alike. A feature drifts when its difference from the reference is
// significant, at a level that Policy.FalseAlarms spreads over the windows and
// corrected for the number of features, and when what chance does not explain
// of it reaches the policy's floor. Rows that resemble their neighbours count
// for less than rows drawn at random; how much less is estimated. Shares of
// missing, infinite, out-of-range and unseen values, volume, age and schema
// have limits of their own. K of N windows make a [State] and open a [Trigger],
// one at a time. A [Report] ranks the features and says in words what moved,
// and its Key names it for whoever acts on it. What to do is the application's
// decision: OnReport is a function of its own. It may be called again after a
// restart, or not at all for a window that a kill cut short: act on each
// trigger that is open and whose key was not acted on.
//
// # Labels
//
// [Monitor.Label] joins a label to its prediction by [ID], which two parties
// can compute from the request's id and the row. The metrics belong to the
// window of the observation, however late the label is: ask
// [Monitor.Performance] again when more labels have come, and trust it once it
// is Mature. Before any has come, Report.Estimated says what the scores lead
// one to expect. [Monitor.Fairness] compares the groups of Options.SliceBy.
//
// # What happens when
//
//	a window without a row      Cut: ErrInvalid; by time: a report of 0 rows, Insufficient
//	NaN                         a missing value
//	an infinity                 counted in NonFinite, in no bin
//	a huge number               in the outer bin, and in OutOfRange
//	a new category              in the bin of all others; the report names the frequent ones
//	a row of another length     Snapshot.Rejected, RuleSchema
//	a type that does not fit    NewStructEncoder: ErrInvalid; after Reset: SchemaCounts.Mismatched
//	a clock that is set         windows and the ages of labels follow the monotonic clock
//	a state of another model    Restore: ErrConflict, and nothing is taken over
//	a window of another model   Compare: ErrInvalid
//
// docs/monitor-odd-input.md has the whole list, which a test makes out of what
// happens.
//
// # Around it
//
// monitor/servehook feeds a Monitor from a server, monitor/promexport shows it
// to Prometheus, monitor/inferlog keeps the rows themselves. This package links
// the standard library only.
//
// Several monitors of replicas of one service each decide on their own share
// of the traffic, and give the same trigger the same key. Their counts add up
// exactly (profile.Reference.Merge).
package monitor
