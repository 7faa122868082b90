package oip

import (
	"fmt"
	"math"
	"strings"
	"sync"
)

// DecodeRequest reads the JSON body of an infer request. It reads the text
// once, flattens nested data, takes members in any order, ignores members it
// does not know, takes the last of a repeated one and null for an absent
// "id", "parameters" or "outputs". Numbers are exact: integers never pass
// through a float, FP32 and FP64 are the nearest to the decimal text.
//
// It checks the syntax, the types and the limits, and stops at the first fault
// with an ErrInvalid that names the tensor, the byte offset and what was
// expected there. Whether data and shape agree is for Tensor.Check, so that a
// server can report it with everything else that is wrong.
//
// The request shares no memory with body.
func DecodeRequest(body []byte, limits *Limits) (*InferRequest, error) {
	// One allocation for what a small request needs.
	p := new(struct {
		request InferRequest
		inputs  [2]Tensor
		dims    [8]int64
	})
	d := newDecoder(body, limits, p.dims[:0])
	defer d.release()
	if d.open("an object") {
		for more := true; more; more = d.more('}') {
			switch key := d.key(); string(key) {
			case "id":
				p.request.ID = d.optionalText("id")
			case "parameters":
				p.request.Parameters = d.parameters("parameters")
			case "inputs":
				p.request.Inputs = d.tensors("inputs", p.inputs[:0])
			case "outputs":
				p.request.Outputs = d.requested()
			default:
				d.skip(1)
			}
		}
	}
	if err := d.finish("oip: decode request", "inputs", p.request.Inputs != nil); err != nil {
		return nil, err
	}
	return &p.request, nil
}

// DecodeResponse reads the JSON body of an infer response, as DecodeRequest
// does a request's.
func DecodeResponse(body []byte, limits *Limits) (*InferResponse, error) {
	return decodeResponse(body, limits, "oip: decode response")
}

// decodeResponse takes the operation for the messages.
func decodeResponse(body []byte, limits *Limits, op string) (*InferResponse, error) {
	p := new(struct {
		response InferResponse
		outputs  [2]Tensor
		dims     [8]int64
	})
	d := newDecoder(body, limits, p.dims[:0])
	defer d.release()
	if d.open("an object") {
		for more := true; more; more = d.more('}') {
			switch key := d.key(); string(key) {
			case "model_name":
				p.response.ModelName = d.optionalText("model_name")
			case "model_version":
				p.response.ModelVersion = d.optionalText("model_version")
			case "id":
				p.response.ID = d.optionalText("id")
			case "parameters":
				p.response.Parameters = d.parameters("parameters")
			case "outputs":
				p.response.Outputs = d.tensors("outputs", p.outputs[:0])
			default:
				d.skip(1)
			}
		}
	}
	if err := d.finish(op, "outputs", p.response.Outputs != nil); err != nil {
		return nil, err
	}
	return &p.response, nil
}

// decoder reads one message. Decoders are pooled for their buffers.
type decoder struct {
	array
	left    int64 // Elements that the limit still allows.
	tensorN int   // Most tensors in a list.
	dims    []int64

	// Where the decoder is, for messages.
	list  string
	index int
	name  string
	named bool
	field string
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// newDecoder returns a decoder at the start of the text. Shapes are cut from
// dims while it has room.
func newDecoder(body []byte, limits *Limits, dims []int64) *decoder {
	d := decoders.Get().(*decoder)
	d.scanner = scanner{b: body, scratch: d.scratch}
	d.dims = dims
	d.list, d.name, d.named, d.field = "", "", false, ""
	d.left, d.tensorN = limits.elements(), limits.tensors()
	return d
}

// release gives the decoder back, without the caller's memory and without
// buffers that one large message has blown up.
func (d *decoder) release() {
	const most = 64 << 10
	d.b, d.err, d.dims, d.name = nil, nil, nil, ""
	if cap(d.scratch) > most {
		d.scratch = nil
	}
	if cap(d.joined) > most {
		d.joined = nil
	}
	if cap(d.ends) > most/8 {
		d.ends = nil
	}
	decoders.Put(d)
}

func (l *Limits) elements() int64 {
	switch {
	case l == nil || l.Elements == 0:
		return 1 << 24
	case l.Elements < 0:
		return math.MaxInt64
	}
	return l.Elements
}

func (l *Limits) tensors() int {
	switch {
	case l == nil || l.Tensors == 0:
		return 1024
	case l.Tensors < 0:
		return math.MaxInt
	}
	return l.Tensors
}

// finish checks the end of the text and that the required member was there.
func (d *decoder) finish(op, required string, have bool) error {
	d.end()
	if d.err == nil && !have {
		d.refuse(len(d.b), "it has no %q", required)
	}
	if d.err == nil {
		return nil
	}
	var at strings.Builder
	if d.list != "" {
		fmt.Fprintf(&at, "%s[%d]", d.list, d.index)
		if d.named {
			fmt.Fprintf(&at, " %q", d.name)
		}
		at.WriteString(": ")
	}
	if d.field != "" {
		at.WriteString(d.field + ": ")
	}
	return fmt.Errorf("%s: %sbyte %d: %s: %w", op, at.String(), d.err.at, d.err.text, ErrInvalid)
}

// at notes the field that is read, for messages, until done.
func (d *decoder) at(field string) { d.field = field }

// done leaves the field, unless it has the fault.
func (d *decoder) done() {
	if d.err == nil {
		d.field = ""
	}
}

// optionalText reads a string or a null.
func (d *decoder) optionalText(field string) string {
	if d.null() {
		return ""
	}
	d.at(field)
	defer d.done()
	return d.text("a string")
}

// tensors reads a list of tensors into dst.
func (d *decoder) tensors(list string, dst []Tensor) []Tensor {
	d.at(list)
	if !d.take('[', "an array of tensors") {
		return nil
	}
	d.done()
	if d.space() == ']' {
		d.i++
		return dst
	}
	d.list, d.index = list, 0
	for more := true; more; more = d.more(']') {
		if len(dst) >= d.tensorN {
			d.refuse(d.i, "the message has more than %d tensors", d.tensorN)
			return nil
		}
		dst = append(dst, Tensor{})
		d.index = len(dst) - 1
		d.tensor(&dst[d.index])
		if d.err != nil {
			return nil
		}
	}
	if d.err != nil {
		return nil
	}
	d.list = ""
	return dst
}

// tensor reads one tensor.
func (d *decoder) tensor(t *Tensor) {
	var shaped bool
	dataAt, readAt := -1, -1
	d.name, d.named = "", false
	if d.open("an object (a tensor)") {
		for more := true; more; more = d.more('}') {
			switch key := d.key(); string(key) {
			case "name":
				d.at("name")
				d.name = d.text("a string")
				d.named = d.err == nil
				d.done()
			case "datatype":
				d.at("datatype")
				t.Datatype = d.datatype()
				d.done()
			case "shape":
				d.at("shape")
				t.Shape, shaped = d.shape(), true
				d.done()
			case "parameters":
				t.Parameters = d.parameters("parameters")
			case "data":
				d.space()
				dataAt = d.i
				// Without datatype and shape the data waits: what it is
				// decides how it is read.
				if t.Datatype == "" || !shaped || readAt >= 0 {
					d.at("data")
					d.skip(3)
					d.done()
					break
				}
				readAt = d.i
				d.data(t)
			default:
				d.skip(3)
			}
		}
	}
	if d.err != nil {
		return
	}
	d.required(t, shaped, dataAt >= 0)
	if readAt != dataAt || typeOf(t.data) != t.Datatype {
		after := d.i
		d.i = dataAt
		d.data(t)
		if d.err != nil {
			return
		}
		d.i = after
	}
	t.Name = d.name
	t.fault = d.form(t.Shape)
	d.left -= int64(t.Len())
}

// required refuses a tensor that lacks a member, naming all of them.
func (d *decoder) required(t *Tensor, shaped, data bool) {
	if d.named && t.Datatype != "" && shaped && data {
		return
	}
	var missing []string
	for _, m := range []struct {
		name string
		have bool
	}{{"name", d.named}, {"datatype", t.Datatype != ""}, {"shape", shaped}, {"data", data}} {
		if !m.have {
			missing = append(missing, `"`+m.name+`"`)
		}
	}
	d.refuse(d.i-1, "the tensor has no %s", strings.Join(missing, ", "))
}

// data reads the data at d.i for the tensor's datatype and shape, whose size
// is checked before memory is set aside.
func (d *decoder) data(t *Tensor) {
	if d.err != nil {
		return
	}
	d.at("data")
	n, ok := elements(t.Shape)
	if !ok || n > d.left {
		d.refuse(d.i, "shape %s is too large, the limit leaves %d elements for this tensor", shapeText(t.Shape), d.left)
		return
	}
	// An element takes two bytes of text at least.
	d.start(element(t.Datatype), d.left, min(n, int64(len(d.b)-d.i)/2+1))
	if t.data = d.read(t.Datatype); d.err == nil {
		d.done()
	}
}

// datatype reads the name of a datatype that JSON can carry.
func (d *decoder) datatype() Datatype {
	at := d.i
	b := d.bytes("a string")
	if d.err != nil {
		return ""
	}
	switch string(b) {
	case "FP32":
		return FP32
	case "FP64":
		return FP64
	case "INT64":
		return INT64
	case "INT32":
		return INT32
	case "BYTES":
		return BYTES
	case "BOOL":
		return BOOL
	case "INT8":
		return INT8
	case "INT16":
		return INT16
	case "UINT8":
		return UINT8
	case "UINT16":
		return UINT16
	case "UINT32":
		return UINT32
	case "UINT64":
		return UINT64
	case "FP16", "BF16":
		d.refuse(at, "%s has no form in JSON, send FP32", b)
	default:
		d.refuse(at, "%.40q is not a datatype, want BOOL, UINT8 to UINT64, INT8 to INT64, FP32, FP64 or BYTES", b)
	}
	return ""
}

// shape reads the dimensions.
func (d *decoder) shape() []int64 {
	from := len(d.dims)
	if !d.take('[', "an array of dimensions") {
		return nil
	}
	if d.space() == ']' {
		d.i++
		return []int64{}
	}
	for more := true; more; more = d.more(']') {
		const want = "a dimension, an integer of at least 0"
		d.want = want
		n := d.array.number()
		if n.end == 0 {
			return nil
		}
		d.dims = append(d.dims, int64(d.magnitude(n, 0, math.MaxInt64)))
		if len(d.dims)-from > maxDepth {
			d.refuse(d.i, "the shape has more than %d dimensions", maxDepth)
		}
		if d.err != nil {
			return nil
		}
		d.i = n.end
	}
	return d.dims[from:len(d.dims):len(d.dims)]
}
