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
// The request shares no memory with body. A server that reads one request
// after the other, or binary tensor data, has a Decoder.
func DecodeRequest(body []byte, limits *Limits) (*InferRequest, error) {
	// One allocation for what a small request needs.
	p := new(struct {
		request InferRequest
		inputs  [2]Tensor
		dims    [8]int64
	})
	d := newDecoder(body, JSONOnly, limits)
	defer d.release()
	d.dims = p.dims[:0]
	d.readRequest(&p.request, p.inputs[:0])
	if err := d.finish("oip: decode request", "inputs", p.request.Inputs != nil); err != nil {
		return nil, err
	}
	return &p.request, nil
}

// DecodeResponse reads the JSON body of an infer response, as DecodeRequest
// does a request's.
func DecodeResponse(body []byte, limits *Limits) (*InferResponse, error) {
	return decodeResponse(body, JSONOnly, limits, "oip: decode response")
}

// decodeResponse takes the operation for the messages. Binary tensor data is
// viewed in the body, which the caller must not use again.
func decodeResponse(body []byte, jsonLength int, limits *Limits, op string) (*InferResponse, error) {
	p := new(struct {
		response InferResponse
		outputs  [2]Tensor
		dims     [8]int64
	})
	d := newDecoder(body, jsonLength, limits)
	defer d.release()
	d.dims = p.dims[:0]
	d.readResponse(&p.response, p.outputs[:0])
	if err := d.finish(op, "outputs", p.response.Outputs != nil); err != nil {
		return nil, err
	}
	return &p.response, nil
}

// readRequest reads the message into r, its tensors into inputs.
func (d *decoder) readRequest(r *InferRequest, inputs []Tensor) {
	if d.open("an object") {
		for more := true; more; more = d.more('}') {
			switch key := d.key(); string(key) {
			case "id":
				r.ID = d.optionalText("id")
			case "parameters":
				r.Parameters = d.parameters("parameters", binaryOutput)
			case "inputs":
				r.Inputs = d.tensors("inputs", inputs)
			case "outputs":
				r.Outputs = d.requested()
			default:
				d.skip(1)
			}
		}
	}
	// What an output does not say for itself the request says for all.
	r.BinaryOutput = d.all.set && d.all.on
	for i := range r.Outputs {
		if i >= len(d.own) || !d.own[i] {
			r.Outputs[i].Binary = r.BinaryOutput
		}
	}
}

// readResponse reads the message into r, its tensors into outputs.
func (d *decoder) readResponse(r *InferResponse, outputs []Tensor) {
	if d.open("an object") {
		for more := true; more; more = d.more('}') {
			switch key := d.key(); string(key) {
			case "model_name":
				r.ModelName = d.optionalName("model_name")
			case "model_version":
				r.ModelVersion = d.optionalName("model_version")
			case "id":
				r.ID = d.optionalText("id")
			case "parameters":
				r.Parameters = d.parameters("parameters", nothing)
			case "outputs":
				r.Outputs = d.tensors("outputs", outputs)
			default:
				d.skip(1)
			}
		}
	}
}

// decoder reads one message. Decoders are pooled for their buffers.
type decoder struct {
	array
	left    int64 // Elements that the limit still allows.
	tensorN int   // Most tensors in a list.
	dims    []int64
	memory  *Decoder // Whose memory is used again, nil for none.

	// tail is the binary tensor data behind the JSON, as far as no tensor has
	// taken it; sized says that there is such a part.
	tail  []byte
	sized bool
	// claimed is what the tensor that is read says of its binary data.
	claimed claim
	// all and own are what a request says of the form of its outputs: for all
	// of them, and which of them for themselves.
	all claim
	own []bool

	// Where the decoder is, for messages.
	list  string
	index int
	name  string
	named bool
	field string
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// newDecoder returns a decoder at the start of a text of jsonLength bytes, all
// of the body for JSONOnly. Shapes are cut from d.dims while it has room.
func newDecoder(body []byte, jsonLength int, limits *Limits) *decoder {
	d := decoders.Get().(*decoder)
	d.tail, d.sized = nil, false
	if jsonLength >= 0 && jsonLength <= len(body) {
		body, d.tail, d.sized = body[:jsonLength], body[jsonLength:], true
	}
	d.scanner = scanner{b: body, scratch: d.scratch}
	d.list, d.name, d.named, d.field = "", "", false, ""
	d.left, d.tensorN = limits.elements(), limits.tensors()
	d.all, d.own = claim{}, d.own[:0]
	return d
}

// release gives the decoder back, without the caller's memory and without
// buffers that one large message has blown up.
func (d *decoder) release() {
	const most = 64 << 10
	d.b, d.err, d.dims, d.name, d.tail, d.memory = nil, nil, nil, "", nil, nil
	if cap(d.scratch) > most {
		d.scratch = nil
	}
	if cap(d.joined) > most {
		d.joined = nil
	}
	if cap(d.own) > most {
		d.own = nil
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
	if d.err == nil && len(d.tail) > 0 {
		d.refuse(len(d.b), "%d bytes behind the JSON belong to no tensor, want a binary_data_size for all of them", len(d.tail))
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
	if text, i := plainText(d.b, d.i); i > 0 && d.err == nil {
		d.i = i
		return string(text)
	}
	if d.null() {
		return ""
	}
	d.at(field)
	text := d.text("a string")
	d.done()
	return text
}

// optionalName is optionalText for a text that the next message has as well.
func (d *decoder) optionalName(field string) string {
	if d.null() {
		return ""
	}
	d.at(field)
	name := d.nameText()
	d.done()
	return name
}

// nameText reads a name: a string that one message after the other has, for
// which a Decoder keeps the memory.
func (d *decoder) nameText() string {
	return d.keepName(d.bytes("a string"))
}

// keepName makes a string of a name.
func (d *decoder) keepName(b []byte) string {
	if d.memory == nil || d.err != nil {
		return string(b)
	}
	return d.memory.intern(b)
}
