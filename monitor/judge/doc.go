// Package judge evaluates what models answer: by rules, by similarity to a right
// answer, and by another model that goes by a rubric. It says how far such a judge
// agrees with itself, and never spends more than it may.
//
//	budget, err := judge.NewBudget(judge.Limits{Calls: 2000, Money: 5, InputPrice: 0.15, OutputPrice: 0.60})
//	faithful, err := judge.New(client, "qwen3-32b", judge.Rubric{
//		Name:      "faithful",
//		Criterion: "Does the answer say nothing that the context does not support?",
//		Levels:    []string{"it contradicts the context", "it adds to the context", "all of it is supported"},
//	}, &judge.Options{Repeats: 2, Budget: budget})
//	report, err := judge.Evaluate(ctx, samples, []judge.Scorer{judge.RougeL(), faithful}, nil)
//	err = report.Log(ctx, run, run.Files()) // metrics, and a table in MLflow's UI
//
// # Scorers
//
// A [Scorer] turns a [Sample] into a [Score]. By rules: [Exact], [Contains],
// [Regexp], [Schema], [Length], [LengthWithin], [Refusal]. By similarity to
// Sample.Expected: [Similarity] (edit distance), [RougeL], [BLEU], [TokenF1],
// [Cosine] of embeddings. By a model: [Judge] rates by a rubric, [Pairwise] chooses
// between two answers, in both orders. Anything else is a [Func].
//
// # Judges
//
// The client is one of github.com/sashabaranov/go-openai, so that any server with
// OpenAI's API will do. The verdict is asked for as structured output (a JSON
// schema), read within bounds, and checked against the rubric; garbage, refusals,
// 429 and 5xx are tried again. [Options.Repeats] asks several times: a
// [Summary] then has the [Agreement] of the judge with itself, and [Agree] takes a
// human's ratings just as well. Nobody should trust a judge whose kappa is low.
//
// A [Budget] bounds calls, tokens and money over all judges that share it: the most
// that a call can take is set aside before it is made.
//
// # Offline and online
//
// [Evaluate] runs over a sequence of samples, like the rows of a dataset version,
// or those of an inference log, and [Report.Log] writes what it found to a run.
// [Online] scores samples behind the path of requests: Offer never waits, Run does
// the work, and a monitor ([OnlineOptions.Observer]) watches the scores for drift.
// Sampling goes by the hash of the id ([Sampled]), so that all replicas agree.
//
// # Events
//
// [Events] and [LogEvents] speak OpenTelemetry's gen_ai.evaluation.result.
//
// # What happens when
//
//	a scorer fails or panics     that score is missing and counted, the others stand
//	the budget is spent          ErrBudget: the sample is counted as skipped
//	a call's outcome is unknown  what was set aside for it counts as spent
//	an answer talks to the judge it is data in a JSON object; not proof against all
//	a text is too long           ErrInvalid: half an answer is not judged
//	Online's queue is full       the sample is dropped and counted
package judge
