// Package registrytest is the conformance kit for implementations of
// [registry.Store]: [Run] checks the contract that is written on the interface,
// [Benchmark] measures the calls a service makes, [RunWebhooks] checks a store
// that is a webhook.Store as well. [Mem] is a Store in memory,
// the model that Run compares an implementation with, and enough for the tests
// of programs that use a registry.
//
//	func TestConformance(t *testing.T) {
//		registrytest.Run(t, registrytest.Harness{New: func(tb testing.TB) registry.Store { … }})
//	}
package registrytest
