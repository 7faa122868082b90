package serve

import (
	"context"
	"io/fs"
	"iter"

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
//
// What else a model can do it says by further methods: [Streamer], [Warmer],
// [Sizer].
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
	// The outputs are read after Infer has returned, while other calls run,
	// and by in-process callers also after Close: their memory must not be
	// used again. Infer must not change req, nor keep it. ctx ends when the
	// client goes away or the time is up. An error of one of this package's
	// kinds chooses the status (ErrInvalid: 400); any other is a 500. A
	// panic is contained and answered with 500. An answer that does not
	// have the signature is a 500 that names the model.
	Infer(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error
	// Close frees what the model holds. A Server calls it exactly once.
	Close() error
}

// Streamer is a Model that gives its answer in parts, such as a language
// model's tokens. Its Infer gives the whole answer in one.
type Streamer interface {
	Model
	// Stream yields the parts of the answer to a request that was checked
	// as for Infer. Each part has outputs of the signature's names and
	// datatypes; their number of rows is the model's business. An error
	// ends it. When ctx ends, or the loop breaks, it returns soon.
	Stream(ctx context.Context, req *oip.InferRequest) iter.Seq2[*oip.InferResponse, error]
}

// Warmer is a Model that is slow at first: it sets memory aside, compiles, or
// fills caches.
type Warmer interface {
	Model
	// Warm is called once, before the first request; an error keeps the
	// version from being deployed.
	Warm(ctx context.Context) error
}

// Sizer is a Model that knows how much memory it holds.
type Sizer interface {
	Model
	// Size is in bytes. It is read once, when the model is deployed.
	Size() int64
}

// Runtime makes a Model of a model's files, for example of a version opened
// from a registry.
type Runtime interface {
	// Load reads the files and returns a model that is ready to answer. The
	// files may be closed when it returns.
	Load(ctx context.Context, files fs.FS) (Model, error)
}
