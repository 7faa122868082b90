package oip

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
)

// AppendRequest appends the JSON of the request to dst, data flat and after
// its datatype and shape. Each float is the shortest text that reads back as
// the same float. A tensor that Check refuses, a NaN or an infinity, FP16 and
// BF16, a text that is not UTF-8 and a parameter that is not a string, number
// or boolean are errors, of kind ErrInvalid; dst is then returned as it was.
func AppendRequest(dst []byte, r *InferRequest) ([]byte, error) {
	dst, _, err := appendRequest(dst, r, allJSON, "oip: encode request")
	return dst, err
}

// AppendBinaryRequest is AppendRequest with the data of the inputs that are
// Binary as raw bytes behind the JSON, where NaN, infinities and any text can
// travel. It returns the length of the JSON, for the header HeaderLengthKey;
// JSONOnly when there is no such input.
func AppendBinaryRequest(dst []byte, r *InferRequest) (body []byte, jsonLength int, err error) {
	return appendRequest(dst, r, asMarked, "oip: encode request")
}

// form is how tensors travel.
type form int

const (
	allJSON form = iota
	asMarked
	allBinary
)

// appendRequest takes the operation for the messages.
func appendRequest(dst []byte, r *InferRequest, f form, op string) ([]byte, int, error) {
	e := encoder{b: append(dst, '{'), form: f}
	all := r.BinaryOutput || f == allBinary
	if r.ID != "" {
		e.text("id", r.ID)
	}
	e.parameters(r.Parameters, "binary_data_output", claim{set: all, on: all})
	e.tensors("inputs", r.Inputs)
	if len(r.Outputs) > 0 {
		e.raw(`"outputs":[`)
		for i := range r.Outputs {
			o := &r.Outputs[i]
			e.raw("{")
			e.text("name", o.Name)
			on := o.Binary || f == allBinary
			e.parameters(o.Parameters, "binary_data", claim{set: on != all, on: on})
			e.close('}')
			e.b = append(e.b, ',')
		}
		e.close(']')
	}
	e.close('}')
	return e.finish(dst, r.Inputs, op)
}

// AppendResponse appends the JSON of the response to dst, as AppendRequest
// does a request's.
func AppendResponse(dst []byte, r *InferResponse) ([]byte, error) {
	dst, _, err := appendResponse(dst, r, allJSON)
	return dst, err
}

// AppendBinaryResponse is AppendResponse with the outputs that are Binary
// behind the JSON, as AppendBinaryRequest has inputs.
func AppendBinaryResponse(dst []byte, r *InferResponse) (body []byte, jsonLength int, err error) {
	return appendResponse(dst, r, asMarked)
}

func appendResponse(dst []byte, r *InferResponse, f form) ([]byte, int, error) {
	e := encoder{b: append(dst, '{'), form: f}
	e.text("model_name", r.ModelName)
	if r.ModelVersion != "" {
		e.text("model_version", r.ModelVersion)
	}
	if r.ID != "" {
		e.text("id", r.ID)
	}
	e.parameters(r.Parameters, "", claim{})
	e.tensors("outputs", r.Outputs)
	e.close('}')
	return e.finish(dst, r.Outputs, "oip: encode response")
}

// encoder appends JSON. Each member and element is written with a comma behind
// it, which close turns into the bracket.
type encoder struct {
	b      []byte
	form   form
	binary bool // Whether a tensor has its data behind the JSON.
	faults errs.Faults
	bad    bool
}

// refuse records a fault and lets the writing go on to find the next one.
func (e *encoder) refuse(format string, args ...any) {
	e.bad = true
	e.faults.Addf(format, args...)
}

// finish returns the text and its length, with the data that goes behind it, or
// dst as it was and every fault.
func (e *encoder) finish(dst []byte, list []Tensor, op string) ([]byte, int, error) {
	if e.bad {
		return dst, JSONOnly, e.faults.Err(op)
	}
	if !e.binary {
		return e.b, JSONOnly, nil
	}
	length := len(e.b) - len(dst)
	for i := range list {
		if e.asBinary(&list[i]) {
			e.b = AppendRaw(e.b, &list[i])
		}
	}
	return e.b, length, nil
}

// asBinary reports whether the tensor's data goes behind the JSON.
func (e *encoder) asBinary(t *Tensor) bool {
	return e.form == allBinary || e.form == asMarked && t.Binary
}

func (e *encoder) raw(s string) { e.b = append(e.b, s...) }

// close ends an object or array: over the last comma, or after the opening
// bracket when there were no members. The comma behind it, where it is a member
// itself, is the caller's.
func (e *encoder) close(end byte) {
	if last := len(e.b) - 1; e.b[last] == ',' {
		e.b[last] = end
	} else {
		e.b = append(e.b, end)
	}
}

// text writes a member whose value is a string. The name needs no escapes.
func (e *encoder) text(name, value string) {
	e.b = append(e.b, '"')
	e.raw(name)
	e.raw(`":`)
	if !utf8.ValidString(value) {
		e.refuse("%s %q is not valid UTF-8, which JSON requires", name, value)
	}
	e.b = appendString(e.b, value)
	e.b = append(e.b, ',')
}

// parameters writes the member, in the order of the keys, when there are any.
// The parameter of the binary extension with the name comes first when its
// claim is set.
func (e *encoder) parameters(m map[string]any, name string, c claim) {
	if len(m) == 0 && !c.set {
		return
	}
	e.raw(`"parameters":{`)
	if c.set {
		e.b = append(e.b, '"')
		e.raw(name)
		e.raw(`":`)
		if name == binarySizeName {
			e.b = strconv.AppendInt(e.b, c.size, 10)
		} else {
			e.b = strconv.AppendBool(e.b, c.on)
		}
		e.b = append(e.b, ',')
	}
	if len(m) > 0 {
		e.sorted(m, name)
	}
	e.close('}')
	e.b = append(e.b, ',')
}

// sorted writes the members but the one with the name, which has a field of its
// own.
func (e *encoder) sorted(m map[string]any, name string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if name != "" && k == name {
			e.refuse("parameter %q belongs to the binary extension and is set by a field", k)
			continue
		}
		if !utf8.ValidString(k) {
			e.refuse("parameter %q is not valid UTF-8, which JSON requires", k)
		}
		e.b = append(appendString(e.b, k), ':')
		e.parameter(k, m[k])
		e.b = append(e.b, ',')
	}
}

func (e *encoder) parameter(name string, v any) {
	switch v := v.(type) {
	case string:
		if !utf8.ValidString(v) {
			e.refuse("parameter %q is not valid UTF-8, which JSON requires", name)
		}
		e.b = appendString(e.b, v)
	case bool:
		e.b = strconv.AppendBool(e.b, v)
	case int:
		e.b = strconv.AppendInt(e.b, int64(v), 10)
	case int64:
		e.b = strconv.AppendInt(e.b, v, 10)
	case uint64:
		e.b = strconv.AppendUint(e.b, v, 10)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			e.refuse("parameter %q is %v, which JSON does not have", name, v)
			return
		}
		from := len(e.b)
		e.b = appendFloat(e.b, v, 64)
		// Keep a float a float for the reader.
		if !slices.ContainsFunc(e.b[from:], func(c byte) bool { return c == '.' || c == 'e' }) {
			e.raw(".0")
		}
	default:
		e.refuse("parameter %q is a %T, want a string, bool, int, int64, uint64 or float64", name, v)
	}
}

// tensors writes the member with a list of tensors.
func (e *encoder) tensors(list string, tensors []Tensor) {
	e.b = append(e.b, '"')
	e.raw(list)
	e.raw(`":[`)
	for i := range tensors {
		t := &tensors[i]
		if err := t.Check(); err != nil {
			e.refuse("%s[%d] %q: %v", list, i, t.Name, err)
			continue
		}
		e.raw("{")
		e.text("name", t.Name)
		e.text("datatype", string(t.Datatype))
		e.raw(`"shape":[`)
		for _, d := range t.Shape {
			e.b = append(strconv.AppendInt(e.b, d, 10), ',')
		}
		e.close(']')
		e.b = append(e.b, ',')
		if e.asBinary(t) {
			e.binary = true
			e.parameters(t.Parameters, binarySizeName, claim{set: true, size: e.rawSize(t)})
			e.close('}')
			e.b = append(e.b, ',')
			continue
		}
		if !t.Datatype.HasJSON() {
			e.refuse("%s[%d] %q: %s has no form in JSON, send it as binary tensor data", list, i, t.Name, t.Datatype)
			continue
		}
		e.parameters(t.Parameters, binarySizeName, claim{})
		e.raw(`"data":[`)
		e.data(t)
		e.close(']')
		e.b = append(e.b, '}', ',')
	}
	e.close(']')
	e.b = append(e.b, ',')
}
