// Package tracking records what training runs did: their params, metrics,
// tags, the dataset versions they read and the files they wrote.
//
// # A run
//
// A Client works on a Store. An experiment groups runs; a run collects what
// one training did:
//
//	store, err := sqlstore.Open(ctx, "sqlite:///var/lib/app/millwright.db", nil)
//	client := tracking.New(store, &tracking.Options{Artifacts: blobs})
//	defer client.Shutdown(ctx)
//
//	exp, err := client.Experiment(ctx, "delay model")
//	run, err := client.StartRun(ctx, exp.ID, nil)
//	err = run.Params(ctx, map[string]string{"learning rate": "0.1"})
//	err = run.LogInput(ctx, tracking.DatasetInput{Name: "flights", Version: "7", Digest: digest, Context: "training"})
//	for epoch := range epochs {
//		…
//		run.Metric("loss", loss, int64(epoch))
//	}
//	err = run.PutArtifact(ctx, "model/weights.json", body, -1)
//	err = run.Finish(ctx, tracking.Finished)
//
// Another process goes on with a run by its id: Client.Run.
//
// # Two ways to log metrics
//
// Run.Metric is for training loops: it never blocks on I/O and never fails.
// Points wait in a bounded buffer that a worker stores in batches; Run.Flush,
// Run.Finish and Client.Shutdown deliver what is left and return what went
// wrong, and Run.Dropped counts what was lost. Run.LogBatch is for programs
// that must know: when it returns nil the batch is durable.
//
// # Rules
//
// Names, limits and meanings are those of MLflow's REST API: params are
// written once, tags replace each other, a metric point that is sent again is
// stored once, the latest point of a metric is the greatest by (Step, Time,
// Value), NaN and the infinities are kept. Values beyond a limit are an error
// and never cut.
//
// # Stores and artifacts
//
// Store is the small interface behind Client; tracking/sqlstore keeps it in an
// SQLite file, tracking/trackingtest has one in memory and the tests for
// further ones. Artifacts is what a place for files must do; every store of
// package dataset/blob does. This package links the standard library only.
package tracking
