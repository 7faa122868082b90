// Package trackingtest checks that a tracking.Store keeps the contract written
// on that interface, and has a Store in memory for tests.
//
//	func TestStore(t *testing.T) {
//		trackingtest.Run(t, func(t testing.TB) tracking.Store {
//			store, err := mystore.Open(…)
//			…
//			t.Cleanup(func() { store.Close() })
//			return store
//		})
//	}
//
// # Writing a store
//
// Run has a subtest for each area of the contract: experiments, runs, batches,
// metrics, searches with their pages and tokens, and those of the optional
// interfaces tracking.Sampler, InputSearcher, Purger, ModelStore and
// TraceStore that the store implements; the others are skipped. Start with
//
//	go test -run 'TestStore/(Create|Update|Delete)'
//
// and go on with History, Batch, Search and Filter. Then random sequences of
// operations compare the store with Memory: their failures name the seed, the
// last operations and the first line that differs. Random runs one of any seed
// and length, for a search over night.
//
// What helps to pass:
//
//   - Filters and orders are parsed by package tracking/search, whose Clause
//     also says by MatchText and MatchNumber what is to match. Memory matches
//     every entry that way; a database does the same in its own language.
//   - Text is compared byte by byte, in searches and in orders. NaN comes after
//     all numbers in an order, then what has no value, also in a descending
//     one.
//   - A page begins behind a place, not behind a number of entries: the token
//     holds the last entry's keys of the order, and what the query was.
//   - Experiments, runs and models that are deleted together have one time of
//     deletion, and no others have it, be they deleted in the same millisecond.
//   - Everything in one call is one transaction, and a caller may change what
//     it gave or got without the store noticing.
//
// A store that is reached over MLflow's REST API cannot keep all of that.
// RunExcept takes the Differences that are allowed, each by its own field, and
// tests all the rest.
//
// Bench measures the operations that matter. The package links the standard
// library and package tracking only, no assertion library, so that any test
// may use Memory.
package trackingtest
