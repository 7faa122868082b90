package oip

import "unsafe"

// JSONOnly is the length of the JSON of a body that has no binary tensor data.
const JSONOnly = -1

// Decoder reads one message after the other into memory that it uses again, so
// that a server spends no more than an allocation on a small request. What it
// returns, and what that points to, is valid until the next message is read or
// Reset is called; Tensor.Clone keeps a tensor for longer. The zero Decoder is
// ready. It must not be copied, nor used by two goroutines at once.
type Decoder struct {
	request  InferRequest
	response InferResponse
	tensors  []Tensor
	slots    []*slot
	dims     []int64
	outputs  []RequestedOutput

	// names are those of the messages before, which are most likely those of
	// the next one; last is where the newest went.
	names [16]string
	last  int
}

// slot is the memory of one tensor.
type slot struct {
	// own is memory of the Decoder, seen are views of the body. They are
	// apart so that nothing is ever written through a view.
	own, seen boxes
}

// boxes has a slice of each type. A tensor points to the one it has.
type boxes struct {
	bools    []bool
	uint8s   []uint8
	uint16s  []uint16
	uint32s  []uint32
	uint64s  []uint64
	int8s    []int8
	int16s   []int16
	int32s   []int32
	int64s   []int64
	float32s []float32
	float64s []float64
	list     [][]byte
	joined   []byte // The bytes of the elements of list.
}

// box returns the slice of a type.
func box[T any](b *boxes) *[]T {
	var p any
	var of T
	switch any(of).(type) {
	case bool:
		p = &b.bools
	case uint8:
		p = &b.uint8s
	case uint16:
		p = &b.uint16s
	case uint32:
		p = &b.uint32s
	case uint64:
		p = &b.uint64s
	case int8:
		p = &b.int8s
	case int16:
		p = &b.int16s
	case int32:
		p = &b.int32s
	case int64:
		p = &b.int64s
	case float32:
		p = &b.float32s
	case float64:
		p = &b.float64s
	default:
		p = &b.list
	}
	return p.(*[]T)
}

// size is the memory that the slices hold.
func (b *boxes) size() int {
	return cap(b.bools) + cap(b.uint8s) + cap(b.int8s) + cap(b.joined) +
		2*(cap(b.uint16s)+cap(b.int16s)) +
		4*(cap(b.uint32s)+cap(b.int32s)+cap(b.float32s)) +
		8*(cap(b.uint64s)+cap(b.int64s)+cap(b.float64s)) +
		int(unsafe.Sizeof([]byte(nil)))*cap(b.list)
}

// DecodeRequest reads an infer request, as the function of this name does.
// jsonLength is the length of the JSON at the start of the body when binary
// tensor data follows it, as HeaderLength returns it, else JSONOnly. The data
// of fixed size is viewed in the body without a copy where it is aligned to
// its elements (see Lead), and so are the elements of BYTES: the body must
// stay as it is for as long as the request is used.
func (d *Decoder) DecodeRequest(body []byte, jsonLength int, limits *Limits) (*InferRequest, error) {
	const op = "oip: decode request"
	if err := checkLength(op, body, jsonLength); err != nil {
		return nil, err
	}
	p := newDecoder(body, jsonLength, limits)
	defer p.release()
	p.memory, p.dims = d, d.dims[:0]
	r := &d.request
	*r = InferRequest{}
	p.readRequest(r, d.room())
	d.keep(p.dims, r.Inputs)
	if err := p.finish(op, "inputs", r.Inputs != nil); err != nil {
		return nil, err
	}
	return r, nil
}

// DecodeResponse reads an infer response, as DecodeRequest does a request.
func (d *Decoder) DecodeResponse(body []byte, jsonLength int, limits *Limits) (*InferResponse, error) {
	const op = "oip: decode response"
	if err := checkLength(op, body, jsonLength); err != nil {
		return nil, err
	}
	p := newDecoder(body, jsonLength, limits)
	defer p.release()
	p.memory, p.dims = d, d.dims[:0]
	r := &d.response
	*r = InferResponse{}
	p.readResponse(r, d.room())
	d.keep(p.dims, r.Outputs)
	if err := p.finish(op, "outputs", r.Outputs != nil); err != nil {
		return nil, err
	}
	return r, nil
}

// Reset forgets the last message, and lets go of memory beyond 1 MiB, so that
// a Decoder that waits in a pool for the next message keeps neither a body nor
// the room of the largest message ever.
func (d *Decoder) Reset() {
	const most = 1 << 20
	d.request, d.response = InferRequest{}, InferResponse{}
	clear(d.tensors[:cap(d.tensors)])
	clear(d.outputs[:cap(d.outputs)])
	held := 0
	for _, s := range d.slots {
		s.seen = boxes{}
		// The elements may be views of a body.
		clear(s.own.list[:cap(s.own.list)])
		held += s.own.size()
	}
	if held > most || len(d.slots) > 64 {
		d.slots = nil
	}
	if cap(d.dims) > 1<<10 {
		d.dims = nil
	}
	if cap(d.tensors) > 64 {
		d.tensors = nil
	}
	if cap(d.outputs) > 64 {
		d.outputs = nil
	}
}

// room returns memory for the tensors of a message.
func (d *Decoder) room() []Tensor {
	if d.tensors == nil {
		d.tensors = make([]Tensor, 0, 2)
	}
	return d.tensors[:0]
}

// keep keeps what a message has made grow.
func (d *Decoder) keep(dims []int64, tensors []Tensor) {
	d.dims = dims
	if cap(tensors) > cap(d.tensors) {
		d.tensors = tensors
	}
}

// slot returns the memory of the tensor at the place.
func (d *Decoder) slot(i int) *slot {
	for len(d.slots) <= i {
		d.slots = append(d.slots, new(slot))
	}
	return d.slots[i]
}

// intern returns the string of b without an allocation when one of the last
// names was the same.
func (d *Decoder) intern(b []byte) string {
	for i := range d.names {
		if d.names[i] == string(b) {
			return d.names[i]
		}
	}
	name := string(b)
	if len(name) <= 64 {
		d.last = (d.last + 1) % len(d.names)
		d.names[d.last] = name
	}
	return name
}
