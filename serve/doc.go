// Package serve answers inference requests over HTTP, as a handler inside a Go
// program: the JSON routes of the Open Inference Protocol, version 2, that
// Triton, KServe and MLServer speak.
//
//	server := serve.New(nil)
//	err := server.Deploy(ctx, serve.Deployment{Name: "fraud", Version: "3", Model: model})
//	http.Handle("/v2/", server) // POST /v2/models/fraud/infer
//
// # Models
//
// A [Model] says what it takes and gives in its [Signature] and computes in
// Infer. The server checks each request against the signature before the model
// sees it, and each answer before the client does, so that a model holds no
// checks of its own. A request that is wrong gets one sentence with all that is
// wrong in it. A [Runtime] makes a model of files.
//
// # Versions
//
// [Server.Deploy] puts a version in the place of the one before in one step,
// under load, without a failed request: the old version ends the requests that
// it has begun and is closed once. [Server.Undeploy] takes a model away and
// [Server.Shutdown] ends them all.
//
// # Observers
//
// An [Observer] is told of each [Exchange]: the request, the answer, the
// version, its lineage ([Deployment.Labels]), the time it took, the error. It is
// how monitoring, logging and metrics are tied on. A client that has its answer
// knows that the observers were told.
//
// # Protection
//
// Bodies, tensors and nesting are bounded before memory is set aside
// ([Options]), a model has a time limit, panics of models and observers are
// contained, a client that goes away ends the model's context. Authentication,
// TLS and the limits on slow senders belong to the program around: wrap the
// handler, set http.Server.ReadTimeout.
//
// Other packages add runtimes and transports; this one links the standard
// library only. Wire types and a client are in package serve/oip.
package serve
