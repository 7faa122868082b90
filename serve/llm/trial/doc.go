// Package trial compares models and prompts behind a gateway by experiments of
// package serve/rollout: sticky splits, ramps, guards with the same statistics, and
// promotions and rollbacks by themselves.
//
// # Models
//
// The versions are the names that a model has upstream, each at one or more of the
// gateway's targets:
//
//	host := trial.Models(map[string]string{"chat": "qwen3"}) // what answers without an experiment
//	g, err := llm.New(upstreams, []llm.Model{{Name: "chat", Router: host.Router(nil), Targets: []llm.Target{
//		{Upstream: "a", Model: "qwen3"}, {Upstream: "b", Model: "qwen4"},
//	}}}, &llm.Options{Hooks: []llm.Hook{host}, Observers: []llm.Observer{host}})
//	r, err := rollout.New(rollout.Experiment{
//		Name: "qwen4", Model: "chat", Champion: "qwen3", Challengers: []rollout.Challenger{{Version: "qwen4", Share: 0.5}},
//		Key: trial.User(), Guards: []rollout.Guard{
//			{Metric: rollout.Errors, Margin: 0.01},
//			{Metric: rollout.Score, Name: "cost", Value: trial.Value(trial.Cost), Max: 0.01, Margin: 0.001, LowerIsBetter: true},
//			{Metric: rollout.Label, Name: "liked", Margin: 0.05},
//		},
//	}, nil)
//	err = r.Run(ctx, host)
//
// # Prompts
//
// The versions are those of a prompt of package serve/llm/prompts. What requests get
// that name the prompt by an alias is chosen; a version that a request names is its
// own:
//
//	host := trial.Prompts()
//	hook := prompts.New(source, &prompts.Options{Choose: host.Choose})
//	g, err := llm.New(upstreams, models, &llm.Options{Hooks: []llm.Hook{hook}, Observers: []llm.Observer{host}})
//
// After a promotion that version is rendered until the alias moves, which
// rollout.Options.Record may do at once.
//
// # What counts
//
// [User], [Session] and [Tenant] (an API key's) are the keys of splits. A request
// that another version than its own had to answer is a failure of its own, and so is
// one whose answer a hook refused, or whose prompt cannot be rendered: a version that
// wants a variable which nobody sends is rolled back. What was refused before it came
// to a version, what the cache answered, and what is the client's fault, counts for
// nothing. Latency is that of the whole answer; [Value] makes a guard of any figure:
// [Cost], [OutputTokens], [FirstByte], or a function of your own.
//
// Scores that come later, of users or of a judge, go to rollout.Rollout.Label by the
// id of the request, which is in the header X-Request-Id of its answer.
//
// Experiment.Shadow is not for gateways: a copy of a request would cost as much as
// the request.
package trial
