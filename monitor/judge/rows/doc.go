// Package rows gives a judge the rows of datasets: those of a version that was made
// for an evaluation, and those of the inference log of a gateway to language models.
//
//	samples := rows.Samples(ctx, version, rows.Columns{ID: "id", Input: "question", Output: "answer", Expected: "truth"})
//	report, err := judge.Track(ctx, run, run.Files(), samples, scorers, &judge.TrackOptions{Input: rows.Input(version)})
//
// # The inference log
//
// What monitor/llmhook writes is read by [Log], a version of it, and by a [Follower],
// which goes on with what was written since, and so ties a judge to the traffic
// without being on its path:
//
//	f, err := rows.Follow(ctx, log, &rows.LogOptions{Share: 0.01})
//	go worker.Run(ctx)                                     // a *judge.Online, with its budget
//	err = f.Run(ctx, time.Minute, worker.Put)
//
// The question of a sample is the text of the request, its output that of the
// answer ([Question], [Answer]); requests that failed, and embeddings, are none.
//
// The text in a log is redacted, and so are the samples.
package rows
