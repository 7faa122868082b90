// Package tracking records what training runs did: their params, metrics,
// tags, the dataset versions they read, the files they wrote and the models
// they made.
//
// # A run
//
// A Client works on a Store, in the same process or, with package
// tracking/mlflow, on a server. An experiment groups runs; a run collects what
// one training did:
//
//	store, err := sqlstore.Open(ctx, "sqlite:///var/lib/app/millwright.db", nil)
//	client := tracking.New(store, &tracking.Options{Artifacts: blobs})
//	defer client.Shutdown(ctx)
//
//	exp, err := client.Experiment(ctx, "delay model")
//	run, err := client.StartRun(ctx, exp.ID, &tracking.RunOptions{Tags: tracking.SourceTags()})
//	defer func() { err = errors.Join(err, run.End(ctx, err)) }() // records how it ended
//	err = run.Params(ctx, map[string]string{"learning rate": "0.1"})
//	err = run.LogInput(ctx, tracking.DatasetInput{Name: "flights", Version: "7", Digest: digest, Context: "training"})
//	for epoch := range epochs {
//		…
//		run.Metric("loss", loss, int64(epoch))
//	}
//	model, err := run.LogModel(ctx, "classifier", os.DirFS("out/model"), nil)
//
// Another process goes on with a run by its id: Client.Run. A job that may be
// started anew continues its run with RunOptions.Resume. Run.StartChild makes
// runs below a run, like the trials of a search.
//
// # Two ways to log metrics
//
// Run.Metric is for training loops: it never blocks on I/O and never fails.
// Points wait in a bounded buffer that a worker stores in batches; Run.Flush,
// Run.End, Run.Finish and Client.Shutdown deliver what is left and return what
// went wrong, and Run.Dropped counts what was lost. Run.LogBatch is for
// programs that must know: when it returns nil the batch is durable.
//
// # Files
//
// Run.Files is the folder of a run, Client.Files that of any artifact URI:
// runs:/<id>/path, models:/m-<id>, mlflow-artifacts:/…, s3://…. Upload and
// Download move whole folders, several files at once, with progress and
// SHA-256 digests.
//
// # Reading
//
// Client.Experiments, Runs, Models and Traces yield what a query selects, page
// by page; package tracking/search describes filters and orders. Run.Points
// yields a metric's history of any length.
//
// # Deleting
//
// What is deleted stays out of sight until Client.Purge removes it for good,
// with its files; until then it can be restored.
//
// # Traces and spans
//
// With Options.Span each run remembers the OpenTelemetry span that it was
// started in, so that one leads to the other:
//
//	&tracking.Options{Span: func(ctx context.Context) (string, string) {
//		span := trace.SpanContextFromContext(ctx) // go.opentelemetry.io/otel/trace
//		if !span.IsValid() {
//			return "", ""
//		}
//		return span.TraceID().String(), span.SpanID().String()
//	}}
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
// Store is the small interface behind Client, with further ones for what not
// every store has; tracking/sqlstore keeps it in SQLite or PostgreSQL,
// tracking/trackingtest has one in memory and the tests for further ones.
// Artifacts is what a place for files must do; every store of package
// dataset/blob does. tracking/mlflow serves a Store to MLflow's clients and web
// UI, and reaches a server as a Store. tracking/sysmetrics records how busy the
// machine is, tracking/tensorboard exchanges metrics with TensorBoard. This
// package links the standard library only.
package tracking
