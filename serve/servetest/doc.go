// Package servetest is a conformance suite for servers of the Open Inference
// Protocol, version 2, over HTTP. The protocol has no official one.
//
// [Check] asks a running server, ours or another's, and returns a [Report];
// [Run] does the same as the subtests of a Go test. The command beside it,
// cmd/oip-conformance, is for any base URL and writes the report as a table or
// as JSON.
//
// The suite needs one model that answers. It makes up a request of the model's
// metadata; Options.Sample is for models that want something special. What it
// asks of the optional parts (binary tensor data, the repository, statistics,
// configurations) depends on what the server lists as extensions. With
// Options.Echo it also follows the extremes of each datatype there and back.
//
// A result is a pass, a fail where the server does what the protocol rules out,
// a warning where it does what its clients do not expect (an error of the sender
// answered with 500, a missing error text), or a skip with its reason. The
// published texts contradict each other in places; there the suite asks for what
// they have in common.
package servetest
