// Package oip speaks version 2 of the Open Inference Protocol in JSON, the
// protocol of Triton, KServe and MLServer
// (https://github.com/open-inference/open-inference-protocol, inference_rest):
// its tensors, its codec and a client.
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
// [DecodeRequest] reads what a client sends, in one pass and with few
// allocations, and [AppendResponse] writes the answer; [AppendRequest] and
// [DecodeResponse] are the client's half. The decoders take bytes from
// strangers: [Limits] and the depth of nesting are checked before memory is
// set aside, and each error names the tensor, the byte offset, what was found
// and what was expected. Floats survive the trip bit by bit, integers up to 64
// bits. NaN and the infinities have no JSON; to send one is an error.
//
// # Client
//
// [NewClient] makes a [Client] of any server of the protocol. An answer other
// than 200 is a [StatusError] that matches [ErrInvalid], [ErrNotFound],
// [ErrUnavailable] or [ErrUnsupported].
//
// FP16 and BF16 tensors, the binary tensor data extension, compression and
// gRPC are not part of this package.
package oip
