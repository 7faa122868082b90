// Package oip speaks version 2 of the Open Inference Protocol, the protocol
// of Triton, KServe and MLServer
// (https://github.com/open-inference/open-inference-protocol, inference_rest), in
// JSON and in its binary extension: its tensors, its codec and a client.
//
// # Tensors
//
// A [Tensor] is a name, a [Datatype], a shape and one flat slice in row-major
// order. [NewFP32] and its siblings put a tensor around a slice, [Tensor.FP32]
// and its siblings give the slice back, both without a copy. Text travels as
// BYTES: [NewStrings], [Tensor.Strings]. [Tensor.Check] says how a tensor
// contradicts itself.
//
// # Codec
//
// [DecodeRequest] reads what a client sends as JSON, in one pass and with few
// allocations, and [AppendResponse] writes the answer; [AppendRequest] and
// [DecodeResponse] are the client's half. A server keeps a [Decoder] a request,
// from a pool of its own: it reads messages into memory that it uses again. The
// decoders take bytes from strangers: [Limits] and the depth of nesting are
// checked before memory is set aside, and each error names the tensor, the byte
// offset, what was found and what was expected. Floats survive the trip bit by
// bit, integers up to 64 bits. NaN and the infinities have no JSON; to send one
// is an error.
//
// # Binary tensor data
//
// In the protocol's binary extension the data of some tensors stands as raw
// bytes behind the JSON, whose length is in a header: [HeaderLength] reads it,
// [Decoder.DecodeRequest] views the data where it lies, [Tensor.Binary] and
// [RequestedOutput.Binary] say what travels so, [AppendBinaryResponse] and
// [AppendBinaryRequest] write it. FP16 and BF16 exist in this form only.
// [Inflate] and [Compress] are the content encodings gzip and deflate.
//
// # Extensions
//
// The messages of the repository, of statistics and of configurations are
// [ModelIndex], [Statistics] and [ModelConfig]. [DecodeGenerate] and
// [AppendGenerated] speak generate, [Events] and [EventReader] its streams.
//
// # Client
//
// [NewClient] makes a [Client] of any server of the protocol, for all of this
// but gRPC, which is in serve/grpcserve. An answer other
// than 200 is a [StatusError] that matches [ErrInvalid], [ErrNotFound],
// [ErrUnavailable] or [ErrUnsupported].
package oip
