// Package pgstore keeps the limits and budgets of tenants in PostgreSQL, so that
// all replicas of a gateway share them, and what requests cost, for reports.
//
//	store, err := pgstore.Open(ctx, "postgres://gateway@db/gateway", nil)
//	g, err := llm.New(upstreams, models, &llm.Options{Auth: keys, Store: store})
//	…
//	err = errors.Join(g.Shutdown(ctx), store.Shutdown(ctx))
//
// # Few round trips
//
// A replica holds an amount of each account that it uses, and takes what requests
// need from that. When it is not enough it asks the database, in one statement for
// all requests that wait at the moment, and gets what they need and about as much
// ahead as the tenant used in the last second ([Options.Ahead]), but not more than
// a sixteenth of what is left, and of a limit a minute. What requests did cost is
// told with the next statement, at most [Options.Refresh] later, and what is held
// for nobody is given back with it. So a request needs one round trip at most, and
// one of a tenant that sends many needs none: with a row lock and a commit for
// each request instead, a tenant would be bound to what one row can be changed in
// a second, whatever the number of replicas.
//
// # The bound
//
// All that a replica holds is counted as used when it gets it. So what was spent
// and what is reserved for requests that run never exceed a budget together, over
// any number of replicas and whatever they ask for at once. What can be overspent is
//
//   - what requests cost beyond what was reserved for them, as in one process
//     (package llm says when that is nothing), and
//   - what replicas held that died without a word, since it is given back when
//     they are silent for [Options.Lease]: their requests that ran, at most, and
//     what they had taken ahead. With [Options.KeepLost] it counts as spent
//     instead, and this part is nothing.
//   - With [Options.FailOpen], what was let through while the database was away.
//
// A replica that was taken for dead and comes back tells its sums anew, so that
// nothing is lost for good. It does not use what it holds for longer than nine
// tenths of the lease since its last word by its own clock.
//
// A limit a minute lets through, in any time, the limit for that time, and at most
// the limit once more and what replicas hold ahead, which is a sixteenth of it each.
//
// In the other direction, a tenant at the end of its budget can be refused what
// another replica holds, until that is given back: within Refresh.
//
// # When the database is away
//
// Requests go on from what is held. Beyond that they are refused with
// [ErrUnavailable], which the gateway answers with 503, or are let through with
// FailOpen. After the first that failed none waits for the database; the
// background looks each Refresh whether it is there again. What was used meanwhile
// is told then. A commit of which the answer was lost does no harm: replicas tell
// sums since they began and never differences.
//
// # Clocks
//
// Limits fill up, and leases end, by the database's clock. The period that a
// request's budget belongs to is by the replica's; accounts are kept for a day
// beyond their period, and a replica whose clock is further behind than that finds
// the budget used up.
//
// # The schema
//
// Open migrates it; Migrate does the same for a program with connections of its
// own. The tables are mw_llm_account (what is used, a row for each account),
// mw_llm_lease (what each replica told of it), and mw_llm_cost (sums for each day,
// tenant and model), beside mw_migrations. None has another index than its key, so
// that updates stay within a page; rows that are not needed any more are deleted
// every ten minutes ([Store.Sweep]).
package pgstore
