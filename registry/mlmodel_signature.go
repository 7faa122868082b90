package registry

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MLflowSpec is a line of an MLflow signature: a tensor, or a column of a
// table.
type MLflowSpec struct {
	// Name is empty where the model has one input, or output, without a name.
	Name string
	// Tensor tells a tensor from a column; its Type is NumPy's name, "float64",
	// its Shape has -1 for any length.
	Tensor bool
	// Type of a column is MLflow's, "double", or for a nested one its form:
	// "array(string)", "object(n?: long, role: string)", "map(any)".
	Type  string
	Shape []int64
	// Optional columns may be left out.
	Optional bool
}

// MLflowParam is a parameter of an MLflow signature, as of inference.
type MLflowParam struct {
	Name, Type string
	Default    json.RawMessage
	Shape      []int64 // nil for a scalar
}

// mlflowType is a type in a signature's JSON.
type mlflowType struct {
	Type       string                `json:"type"`
	Items      *mlflowType           `json:"items"`
	Values     *mlflowType           `json:"values"`
	Properties map[string]mlflowType `json:"properties"`
	Required   *bool                 `json:"required"`
	Optional   *bool                 `json:"optional"` // of MLflow before 2.8
}

func (t *mlflowType) optional() bool {
	return t.Required != nil && !*t.Required || t.Optional != nil && *t.Optional
}

// form is the type as one text, the same for the same type.
func (t *mlflowType) form() string {
	if t == nil {
		return "any"
	}
	switch t.Type {
	case "array":
		return "array(" + t.Items.form() + ")"
	case "map":
		return "map(" + t.Values.form() + ")"
	case "object":
		parts := make([]string, 0, len(t.Properties))
		for name, property := range t.Properties {
			if strings.ContainsAny(name, "():,?\"") {
				name = strconv.Quote(name)
			}
			if property.optional() {
				name += "?"
			}
			parts = append(parts, name+": "+property.form())
		}
		slices.Sort(parts)
		return "object(" + strings.Join(parts, ", ") + ")"
	}
	return t.Type
}

// mlflowSpec is one entry of inputs or outputs.
type mlflowSpec struct {
	mlflowType
	Name   json.RawMessage `json:"name"`
	Tensor *struct {
		Dtype string  `json:"dtype"`
		Shape []int64 `json:"shape"`
	} `json:"tensor-spec"`
}

// mlflowParam is one entry of params. Its type was once named dtype.
type mlflowParam struct {
	Name    string          `json:"name"`
	Type    string          `json:"type"`
	Dtype   string          `json:"dtype"`
	Default json.RawMessage `json:"default"`
	Shape   []int64         `json:"shape"`
}

// list decodes the JSON that a member of the signature holds as a text; a
// list in YAML, as people write it, does as well.
func (r mlmodelReader) list(sig map[string]any, key string, into any) bool {
	var text []byte
	switch v := sig[key].(type) {
	case nil:
		return false
	case string:
		text = nullNaN([]byte(v))
	case []any:
		text = r.json(key, v)
	default:
		r.Addf("%s of the signature is no text", key)
		return false
	}
	if err := json.Unmarshal(text, into); err != nil {
		r.Addf("%s of the signature: %v", key, err)
		return false
	}
	return true
}

func (r mlmodelReader) specs(sig map[string]any, key string) []MLflowSpec {
	var list []mlflowSpec
	if !r.list(sig, key, &list) {
		return nil
	}
	out := make([]MLflowSpec, 0, len(list))
	seen := make(map[string]bool, len(list))
	for i, s := range list {
		spec := MLflowSpec{Name: r.specName(key, i, s.Name), Type: s.form(), Optional: s.optional()}
		if s.Type == "tensor" {
			if s.Tensor == nil || s.Tensor.Dtype == "" {
				r.Addf("%s %d of the signature is a tensor without tensor-spec", key, i+1)
				continue
			}
			spec.Tensor, spec.Type, spec.Shape = true, s.Tensor.Dtype, s.Tensor.Shape
		}
		r.Check(spec.Type != "", "%s %d of the signature has no type", key, i+1)
		r.Check(spec.Name == "" || !seen[spec.Name], "%s %d of the signature has the name %q of another", key, i+1, cut(spec.Name))
		seen[spec.Name] = true
		out = append(out, spec)
	}
	return out
}

// specName reads a name. Columns of a table without a heading are named by
// numbers.
func (r mlmodelReader) specName(key string, i int, name json.RawMessage) string {
	if len(name) == 0 || string(name) == "null" {
		return ""
	}
	var text string
	if err := json.Unmarshal(name, &text); err == nil {
		return text
	}
	var number json.Number
	if err := json.Unmarshal(name, &number); err == nil {
		return number.String()
	}
	r.Addf("the name of %s %d of the signature is no text", key, i+1)
	return ""
}

func (r mlmodelReader) params(sig map[string]any) []MLflowParam {
	var list []mlflowParam
	if !r.list(sig, "params", &list) {
		return nil
	}
	out := make([]MLflowParam, 0, len(list))
	for i, p := range list {
		if p.Type == "" {
			p.Type = p.Dtype
		}
		r.Check(p.Name != "" && p.Type != "", "param %d of the signature has no name or type", i+1)
		out = append(out, MLflowParam{Name: p.Name, Type: p.Type, Default: p.Default, Shape: p.Shape})
	}
	return out
}

// datatypes of the Open Inference Protocol. What is not in here has no
// counterpart there and keeps its own name in small letters, so that two
// signatures that differ do not seem equal.
var (
	columnDatatypes = map[string]string{
		"boolean": "BOOL", "integer": "INT32", "long": "INT64", "float": "FP32", "double": "FP64", "string": "BYTES", "binary": "BYTES",
	}
	tensorDatatypes = map[string]string{
		"bool": "BOOL", "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64",
		"uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
		"float16": "FP16", "float32": "FP32", "float64": "FP64", "str": "BYTES", "bytes": "BYTES", "object": "BYTES",
	}
)

// signatureTensor is a line of what Signature returns.
type signatureTensor struct {
	tensor
	Optional bool `json:"optional,omitempty"`
}

type signatureParam struct {
	Name     string          `json:"name"`
	Datatype string          `json:"datatype"`
	Default  json.RawMessage `json:"default,omitempty"`
	Shape    []int64         `json:"shape,omitempty"`
}

// Signature is the model's signature in the form of the Open Inference
// Protocol's metadata, as Draft.Signature and the gate SignatureCompatible
// want it; nil when the file tells none. A column is a tensor of the shape
// [-1,1]; a tensor or column without a name is "input-0", "output-1", and so
// on; an optional column has "optional":true. Types that the protocol lacks
// are under MLflow's name, like "datetime". Params are under "parameters".
func (m *MLmodel) Signature() json.RawMessage {
	if m.Inputs == nil && m.Outputs == nil && m.Params == nil {
		return nil
	}
	var out struct {
		Inputs     []signatureTensor `json:"inputs"`
		Outputs    []signatureTensor `json:"outputs"`
		Parameters []signatureParam  `json:"parameters,omitempty"`
	}
	out.Inputs, out.Outputs = tensorsOf("input", m.Inputs), tensorsOf("output", m.Outputs)
	for _, p := range m.Params {
		datatype, ok := columnDatatypes[p.Type]
		if !ok {
			datatype = p.Type
		}
		out.Parameters = append(out.Parameters, signatureParam{Name: p.Name, Datatype: datatype, Default: p.Default, Shape: p.Shape})
	}
	b, err := json.Marshal(out)
	if err != nil { // a Default that is no JSON, of a value made by hand
		return nil
	}
	return b
}

func tensorsOf(kind string, specs []MLflowSpec) []signatureTensor {
	out := make([]signatureTensor, len(specs))
	for i, s := range specs {
		known, shape := columnDatatypes, []int64{-1, 1}
		if s.Tensor {
			known, shape = tensorDatatypes, s.Shape
		}
		if shape == nil {
			shape = []int64{}
		}
		t := tensor{Name: s.Name, Datatype: known[s.Type], Shape: shape}
		if t.Datatype == "" {
			t.Datatype = s.Type
		}
		if t.Name == "" {
			t.Name = fmt.Sprintf("%s-%d", kind, i)
		}
		out[i] = signatureTensor{tensor: t, Optional: s.Optional}
	}
	return out
}
