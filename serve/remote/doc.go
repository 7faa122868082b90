// Package remote has models that another process computes, behind the same
// checks, batching, versions and rollouts as those in Go.
//
// # Servers
//
// [Dial] makes a serve.Model of a model on a server of the Open Inference
// Protocol: Triton, KServe, MLServer, another serve.Server.
//
//	m, err := remote.Dial(ctx, "http://triton:8000", &remote.Options{Model: "churn"})
//	err = server.Deploy(ctx, serve.Deployment{Name: "churn", Version: "3", Model: m})
//
// Tensors travel as binary data where the server has that extension. A request
// is sent again only if nothing was answered; a server that has not answered
// several is left alone for a moment; one that falls silent, before its answer
// or in the middle of it, is not waited for longer than [Options.Stall]. What
// goes wrong there is an ErrUnavailable here, or an ErrInvalid where the server
// refused the request, with its words. [Runtime] does the same for the files of a
// registry's version.
//
// # Python
//
// [StartWorker] runs a Python process that loads the folder of an MLflow model,
// of any flavour, and answers over a Unix socket that only this user can open.
// The worker is started again when it ends, killed when it hangs, and gone when
// the program is, also after kill -9. Errors have the end of what it said.
// [WorkerRuntime] does it for the files of a registry's version.
//
// This package links the standard library only; nothing is run or connected to
// but what it is told.
package remote
