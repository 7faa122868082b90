// Package serve answers inference requests over HTTP, as a handler inside a Go
// program: the REST routes of the Open Inference Protocol, version 2, that
// Triton, KServe and MLServer speak, in JSON and with binary tensor data.
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
// wrong in it. [Func] makes a model of a Go function from a struct to a struct, a
// [Runtime] makes one of files. What more a model can do it says by methods:
// [Streamer], [Warmer], [Sizer].
//
// # Requests
//
// A request takes the same way whether it comes over HTTP or by [Server.Infer]:
// [Admission], decoding, the choice of the version by a [Router], [Middleware]
// on the typed request, the check against the signature, [Batching], the model,
// the check of the answer, the observers. [Server.Do] and [Server.Stream] are
// for other transports.
//
// # Versions
//
// Several versions of a model may be deployed at a time. [Server.Deploy] puts a
// version in the place of the default one, or beside it, in one step, under load,
// without a failed request: a version that is replaced ends the requests that it
// has begun and is closed once. Before a version answers it is compared with the
// signature on record, warmed, and gives its [Golden] answers. [Server.SetDefault]
// promotes and rolls back what is deployed, [Server.Remove] and [Server.Undeploy]
// take away, [Server.Shutdown] ends all. Package serve/deploy drives this from a
// registry's aliases.
//
// # Batching
//
// [Batching] answers requests that came while the model was busy with one call.
// There is no timer and no dispatcher: a request that finds the model idle is
// answered at once, and the goroutine of one of the waiting requests makes the
// call for all of them, the most urgent first.
//
// # Observers and lineage
//
// An [Observer] is told of each [Exchange]: the request, the answer, the
// version, its lineage ([Deployment.Labels]), the time it took, the error. It is
// how monitoring, logging and metrics are tied on. A client that has its answer
// knows that the observers were told. A [Binder] looks its counters up once a
// version, a [Tracer] sees requests begin; [AccessLog] writes a line a request.
// Packages serve/promexport and serve/otelexport count and trace. Each answer names model, version, digest of
// the model's files and request id in its header; [Server.Replay] sends a logged
// request to any version and compares. [Server.Statistics] counts, [Server.Status] says how
// full the models are.
//
// # Protection
//
// Bodies, tensors, nesting and compression are bounded before memory is set
// aside ([Options]). [Admission] keeps a server with too much load answering as
// many as it can, with fair shares for tenants, and refuses the rest with 429 or
// 503 and a Retry-After. Requests carry their deadlines; panics of models,
// middleware, routers and observers are contained; a client that goes away ends
// the model's context. A model that ignores its context is not cut off: it holds
// its requests, up to the bound of the admission, and no other model.
// Authentication, TLS and the limits on slow senders belong to the program
// around: wrap the handler, set http.Server.ReadTimeout.
//
// Other packages add runtimes, transports and rollouts; this one links the
// standard library only. Wire types and a client are in package serve/oip.
package serve
