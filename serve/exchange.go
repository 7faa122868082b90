package serve

import (
	"time"

	"github.com/millwright-ml/millwright/serve/oip"
)

// Exchange is one infer request for a deployed model and what became of it.
type Exchange struct {
	// Model and Version are the deployment that answered, Digest is that of
	// its files ([Deployment.Digest]). Version and Digest are empty when the
	// request came to no version: it could not be decoded, or was turned
	// away by the limits.
	Model, Version, Digest string
	// Variant is the name that a Router gave its choice, "" without one.
	Variant string
	// Tenant is whom Options.Tenant saw in the request.
	Tenant string
	// RequestID is the client's, or the one the server made up.
	RequestID string
	// Request is what the client sent, nil when it could not be decoded;
	// middleware may have put another in its place. It was checked against
	// the signature when Err is nil.
	Request *oip.InferRequest
	// Response is the model's answer with all its outputs, also those that
	// the client did not ask for; of a stream it is the last part. It is nil
	// when Err is not.
	Response *oip.InferResponse
	// Header is what came with the request beside its body, nil for none.
	Header Header
	// Start is when the request's headers had been read, Duration the time
	// from then until the response was encoded.
	Start    time.Time
	Duration time.Duration
	// Queue is the part of it that the request waited, to be admitted and for
	// the model; Input was spent on decoding and merging, Infer in the model,
	// Output on splitting and encoding.
	Queue, Input, Infer, Output time.Duration
	// Rows is the number of rows: 1 for a model that has none, 0 when the
	// request failed before they were counted.
	Rows int64
	// Status is the HTTP status of the answer, also of a request that came
	// another way; 499 when the client went away before it. A stream that
	// fails after its first part has the status of the error.
	Status int
	// BytesIn and BytesOut are the bytes of the body and of the answer's,
	// without compression. They are 0 for requests that came another way
	// than by HTTP, unless Call.Bytes says how many came in.
	BytesIn, BytesOut int64
	// Err is why there is no response, nil on success.
	Err error
	// Labels are the deployment's.
	Labels map[string]string
}
