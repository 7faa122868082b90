// Package mlflow serves MLflow's model registry: the unmodified Python client,
// and MLflow's web UI, find registered models, versions, aliases, stages, tags
// and prompts in a [registry.Registry].
//
//	handler, err := mlflow.NewHandler(reg, &mlflow.Options{Tracking: store, Artifacts: files})
//	tracking, err := trackingmlflow.NewHandler(store, &trackingmlflow.Options{Artifacts: files, Registry: handler})
//
// The tracking server passes on the routes of the registry; the handler also
// stands alone.
//
// # Versions that clients make
//
// A client registers a model by naming where its files are: an artifact of a
// run, a logged model, or another version. The handler reads those files, keeps
// them in the registry by their SHA-256, and takes what the run or the logged
// model tells of metrics, datasets and code. So the version has a manifest like
// one of [registry.Registry.Register]: [registry.Registry.Open] verifies it, gates compare
// it, and it stays what it was when the run's artifacts are changed or deleted.
// It is READY in the answer, or PENDING_REGISTRATION when the copy takes longer
// than [Options.Wait]; the client then asks again until it is done, and asking
// resumes a copy that a crash cut off.
//
// get-download-uri names that copy, as mlflow-artifacts:/model-registry/…, so
// that load_model("models:/fraud@champion") in Python reads verified bytes.
//
// Places that are neither in a run nor in a logged model (s3://bucket/model)
// are recorded, and read by the client, unless Options.OpenSource opens them. A
// source on this machine, or at an http address, is refused.
package mlflow
