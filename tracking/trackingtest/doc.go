// Package trackingtest checks that a tracking.Store keeps the contract written
// on that interface, and has a Store in memory for tests.
//
//	func TestStore(t *testing.T) {
//		trackingtest.Run(t, func(t testing.TB) tracking.Store {
//			store, err := mystore.Open(…)
//			…
//			return store
//		})
//	}
//
// Run covers each sentence of the contract by a subtest and then compares the
// store with Memory over random sequences of operations. Benchmark measures
// the operations that matter.
package trackingtest
