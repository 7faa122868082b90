// Package rollout replaces a model by another one on evidence: it splits live
// traffic between a champion and its challengers, compares them while both
// answer, and promotes or rolls back by itself.
//
//	r, err := rollout.New(rollout.Experiment{
//		Name: "churn-2026-11", Model: "churn", Champion: "7",
//		Challengers: []rollout.Challenger{{Version: "8", Share: 0.5}},
//		Key:         rollout.Header("X-User"),
//		Ramp:        []rollout.Step{{Share: 0.02}, {Share: 0.2, For: time.Hour}, {Share: 1}},
//		Guards: []rollout.Guard{
//			{Metric: rollout.Errors, Margin: 0.005},
//			{Metric: rollout.Latency, Quantile: 0.99, Margin: 0.2},
//		},
//	}, nil)
//	err = r.Run(ctx, server) // both versions are deployed
//
// # Split
//
// A key (a user, a session) falls into one of 10,000 buckets by a hash of its own
// and the experiment's salt ([Splitter]), without any coordination. Each
// challenger has a range of buckets; the ramp adds buckets to it and takes none
// away, so that a key that has moved stays.
//
// # Guards
//
// A [Guard] compares a challenger with the champion's requests of the same time,
// by errors, a latency quantile, a score, or labels that come later. The tests
// are those of package serve/rollout/anytime: they may be looked at after every
// request, and over the whole life of an experiment a challenger that is within
// the margins is rolled back with a probability of at most Alpha, and one that is
// not is promoted with at most as much. A test that is read again and again at
// p < 0.05 is wrong about one time in three.
//
// The verdicts are [Promote], when every guard has proof that the challenger is
// not worse than its margin; [Rollback], when one has proof that it is; [Keep],
// when time is up. Each is an [Event] with its [Evidence]: numbers of requests,
// e-values, intervals.
//
// Requests count as independent. Where a few keys send most of the traffic they
// are not: choose a Key that splits them, or a Value that is taken once a key.
//
// # Replicas
//
// Replicas of a service share a [Store], any table with compare-and-swap. Each
// merges what it counted since its last turn; the tests run on the sums, and the
// verdict is part of what is swapped: so it is made once, and every replica acts
// on the same one. An experiment survives restarts in it. While the Store is out
// of reach replicas go on for [Options.Outage], then send all to the champion.
//
// # Registry
//
// This package does not know a registry: [Options.Record] ties one on. The
// example of Options.Record promotes through registry.Registry.Promote with the
// guards as its gates, so that the audit log has the evidence of promotions and
// of refusals.
//
// # Shadow
//
// [Shadow] sends copies of requests to the challengers after the champion has
// answered, and compares the outputs (serve.Compare): within tolerances, and by the
// class that comes out first. It never holds up a request.
package rollout
