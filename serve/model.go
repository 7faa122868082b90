package serve

import (
	"context"
	"io/fs"
	"time"

	"github.com/millwright-ml/millwright/serve/oip"
)

// Signature is what a model takes and gives. In each shape -1 is a dimension
// that varies; a first dimension of -1 is the number of rows, which all inputs
// and outputs that have it share.
//
// Its JSON is the form that a model registry keeps:
//
//	{"inputs":[{"name":"x","datatype":"FP64","shape":[-1,4]}],"outputs":[…]}
type Signature struct {
	Inputs  []oip.TensorMetadata `json:"inputs"`
	Outputs []oip.TensorMetadata `json:"outputs"`
}

// Model answers requests. A Server calls Infer from many goroutines at once,
// never before Deploy and never after Close.
type Model interface {
	// Signature says what the model takes and gives. It is read once, when
	// the model is deployed.
	Signature() Signature
	// Infer appends its tensors to resp.Outputs. The server has checked req
	// against the signature: every input is there once, with its datatype,
	// its dimensions and a number of elements that agrees with its shape,
	// and all have the same number of rows, at least one. req.Outputs, when
	// it is not empty, names the outputs wanted; a model is free to give all
	// of them, the server leaves out what was not asked for.
	//
	// The server reads the outputs after Infer has returned, while other
	// calls run: their memory must not be used again. Infer must not change
	// req. ctx ends when the client goes away or the time is up. An error of
	// one of this package's kinds chooses the status (ErrInvalid: 400); any
	// other is a 500. A panic is contained and answered with 500. An answer
	// that does not have the signature is a 500 that names the model.
	Infer(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error
	// Close frees what the model holds. A Server calls it exactly once.
	Close() error
}

// Runtime makes a Model of a model's files, for example of a version opened
// from a registry.
type Runtime interface {
	// Load reads the files and returns a model that is ready to answer. The
	// files may be closed when it returns.
	Load(ctx context.Context, files fs.FS) (Model, error)
}

// Deployment is one version of a model, for Server.Deploy.
type Deployment struct {
	// Name is the model's name in the URL: 1 to 255 bytes of text without
	// control characters.
	Name string
	// Version names this version of it, under the same rule.
	Version string
	// Model answers the requests. The server owns it once Deploy returned
	// nil, and closes it.
	Model Model
	// Platform is shown in the metadata, for example "xgboost". Default
	// "millwright".
	Platform string
	// Labels are the lineage (run, dataset digest, …), handed to observers
	// with each exchange. The server keeps a copy.
	Labels map[string]string
}

// Observer is told of each infer request, to count, log or monitor it. The
// calls come from the goroutines of the requests, several at once.
type Observer interface {
	// Observe is called once the response was computed and before its first
	// byte leaves, so that a client that has its answer knows that it was
	// observed. It must not block. The exchange and what it points to are
	// valid only during the call and must not be changed; a panic in it is
	// contained and logged.
	Observe(*Exchange)
}

// Exchange is one infer request for a deployed model and what became of it.
type Exchange struct {
	// Model and Version are the deployment that answered.
	Model, Version string
	// RequestID is the client's, or the one the server made up.
	RequestID string
	// Request is what the client sent, nil when it could not be decoded. It
	// was checked against the signature when Err is nil.
	Request *oip.InferRequest
	// Response is the model's answer with all its outputs, also those that
	// the client did not ask for. It is nil when Err is not.
	Response *oip.InferResponse
	// Start is when the request's headers had been read, Duration the time
	// from then until the response was encoded.
	Start    time.Time
	Duration time.Duration
	// Err is why there is no response, nil on success.
	Err error
	// Labels are the deployment's.
	Labels map[string]string
}
