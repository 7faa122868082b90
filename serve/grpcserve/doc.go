// Package grpcserve answers the Open Inference Protocol over gRPC for a
// serve.Server, on the gRPC server of the program, and calls any server of the
// protocol.
//
// # Server
//
// [Register] registers inference.GRPCInferenceService with a *grpc.Server:
// liveness, readiness, metadata, infer, streams of answers (ModelStreamInfer),
// and of Triton's extensions the repository, statistics and configurations.
// Requests go the way that those over HTTP go: the same checks, limits, routing,
// batches, middleware and observers. A tensor arrives as raw bytes or as typed
// contents, and the answer has the form of the request. Errors are statuses:
// InvalidArgument, NotFound, Unavailable and so on by their kind. serve.Options
// has the repository and who may change it.
//
// What the service does not have answers Unimplemented: shared memory, traces
// and log settings.
//
// Requests compressed with gzip are taken by a program that imports
// google.golang.org/grpc/encoding/gzip.
//
// # Client
//
// [NewClient] makes a [Client] with the methods of oip.Client.
//
// # Wire
//
// proto/inference.proto is the protocol for other languages: the published one
// with Triton's additions, field by field compatible with both. This package has
// no generated code. It reads and writes the messages by itself, straight from
// and to the tensors, and leaves protobuf's table of names alone: a program that
// links stubs of the same package inference from elsewhere would not start if
// both were registered there. For the same reason gRPC's reflection names the
// service and does not describe it.
package grpcserve
