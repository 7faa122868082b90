package oip

// InferRequest is the body of POST …/infer.
type InferRequest struct {
	// ID names the request; the server answers with the same one, and makes
	// one up when it is empty.
	ID string
	// Parameters are the sender's extras: string, bool, int64, float64.
	Parameters map[string]any
	// Inputs are the tensors of the request.
	Inputs []Tensor
	// Outputs are the outputs wanted, in this order; none means all.
	Outputs []RequestedOutput
	// BinaryOutput asks for all outputs as binary tensor data, the request's
	// parameter "binary_data_output". It holds where Outputs names none.
	BinaryOutput bool
}

// RequestedOutput asks for one output by name.
type RequestedOutput struct {
	// Name is the output's name in the model's signature.
	Name string
	// Parameters are the sender's extras: string, bool, int64, float64.
	Parameters map[string]any
	// Binary asks for it as binary tensor data, the output's parameter
	// "binary_data". A decoder sets it to the request's BinaryOutput where
	// the output does not say.
	Binary bool
}

// Input returns the input with the name, nil when there is none.
func (r *InferRequest) Input(name string) *Tensor { return find(r.Inputs, name) }

// InferResponse is the answer to an InferRequest.
type InferResponse struct {
	// ModelName and ModelVersion say who answered.
	ModelName    string
	ModelVersion string
	// ID is the request's.
	ID string
	// Parameters are the server's extras: string, bool, int64, float64.
	Parameters map[string]any
	// Outputs are the tensors of the answer.
	Outputs []Tensor
}

// Output returns the output with the name, nil when there is none.
func (r *InferResponse) Output(name string) *Tensor { return find(r.Outputs, name) }

func find(list []Tensor, name string) *Tensor {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

// ServerMetadata is the answer to GET /v2.
type ServerMetadata struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Extensions are the optional parts of the protocol that the server has.
	Extensions []string `json:"extensions"`
}

// ModelMetadata is the answer to GET /v2/models/{model}.
type ModelMetadata struct {
	Name string `json:"name"`
	// Versions are those that answer now.
	Versions []string `json:"versions,omitempty"`
	// Platform is the framework, in the server's words.
	Platform string           `json:"platform"`
	Inputs   []TensorMetadata `json:"inputs"`
	Outputs  []TensorMetadata `json:"outputs"`
}

// TensorMetadata describes a tensor that a model takes or gives.
type TensorMetadata struct {
	Name     string   `json:"name"`
	Datatype Datatype `json:"datatype"`
	// Shape is the length of each dimension, -1 where it varies.
	Shape []int64 `json:"shape"`
}

// Limits bounds what a decoder accepts, beside the size of the body that the
// caller has read. Nil means the defaults.
type Limits struct {
	// Elements is the most tensor elements in one message, counted over all
	// its tensors and checked before memory is set aside for them. Default
	// 16,777,216 (1<<24); -1 is off.
	Elements int64
	// Tensors is the most tensors, and the most requested outputs, in one
	// message. Default 1,024; -1 is off.
	Tensors int
}
