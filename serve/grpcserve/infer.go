package grpcserve

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millwright-ml/millwright/serve/oip"
)

// inferCall is a ModelInferRequest.
type inferCall struct {
	model, version string
	request        oip.InferRequest
	// raw says that the tensors travelled as raw bytes, as the answer then
	// does, too.
	raw bool
}

// arrival is a message with tensors while it is read.
type arrival struct {
	tensors  []oip.Tensor
	contents []contents
	raw      [][]byte
	left     int64
	limits   oip.Limits
}

func newArrival(limits *oip.Limits) *arrival {
	a := &arrival{}
	if limits != nil {
		a.limits = *limits
	}
	switch {
	case a.limits.Elements == 0:
		a.left = 1 << 24
	case a.limits.Elements < 0:
		a.left = math.MaxInt64
	default:
		a.left = a.limits.Elements
	}
	if a.limits.Tensors == 0 {
		a.limits.Tensors = 1024
	}
	return a
}

// readInfer reads a ModelInferRequest. Nothing of it is kept.
func readInfer(b []byte, limits *oip.Limits) (*inferCall, error) {
	c := &inferCall{}
	a := newArrival(limits)
	r := &c.request
	err := fields(b, func(f *field) error {
		switch f.num {
		case 1:
			return f.text(&c.model)
		case 2:
			return f.text(&c.version)
		case 3:
			return f.text(&r.ID)
		case 4:
			return f.parameter(&r.Parameters)
		case 5:
			return a.tensor(f)
		case 6:
			if a.limits.Tensors >= 0 && len(r.Outputs) >= a.limits.Tensors {
				return fmt.Errorf("the message has more than %d requested outputs: %w", a.limits.Tensors, ErrInvalid)
			}
			var o oip.RequestedOutput
			err := f.nested(func(f *field) error {
				switch f.num {
				case 1:
					return f.text(&o.Name)
				case 2:
					return f.parameter(&o.Parameters)
				}
				return nil
			})
			r.Outputs = append(r.Outputs, o)
			return err
		case 7:
			return a.rawContents(f)
		}
		return nil
	})
	if err == nil {
		err = a.finish("inputs", "raw_input_contents")
	}
	r.Inputs, c.raw = a.tensors, len(a.raw) > 0
	return c, err
}

// readResponse reads a ModelInferResponse. Nothing of b is kept.
func readResponse(b []byte, limits *oip.Limits) (*oip.InferResponse, error) {
	r := &oip.InferResponse{}
	a := newArrival(limits)
	err := fields(b, func(f *field) error {
		switch f.num {
		case 1:
			return f.text(&r.ModelName)
		case 2:
			return f.text(&r.ModelVersion)
		case 3:
			return f.text(&r.ID)
		case 4:
			return f.parameter(&r.Parameters)
		case 5:
			return a.tensor(f)
		case 6:
			return a.rawContents(f)
		}
		return nil
	})
	if err == nil {
		err = a.finish("outputs", "raw_output_contents")
	}
	r.Outputs = a.tensors
	return r, err
}

// tensor reads an InferInputTensor or an InferOutputTensor.
func (a *arrival) tensor(f *field) error {
	if a.limits.Tensors >= 0 && len(a.tensors) >= a.limits.Tensors {
		return fmt.Errorf("the message has more than %d tensors: %w", a.limits.Tensors, ErrInvalid)
	}
	t := oip.Tensor{Shape: []int64{}}
	var c contents
	err := f.nested(func(f *field) error {
		switch f.num {
		case 1:
			return f.text(&t.Name)
		case 2:
			var s string
			err := f.text(&s)
			t.Datatype = datatype(s)
			return err
		case 3:
			return f.shape(&t.Shape)
		case 4:
			return f.parameter(&t.Parameters)
		case 5:
			c.set = true
			return f.nested(c.add)
		}
		return nil
	})
	a.tensors, a.contents = append(a.tensors, t), append(a.contents, c)
	return err
}

// datatype returns the constant for a name, to let go of the message.
func datatype(s string) oip.Datatype {
	for _, d := range []oip.Datatype{oip.FP32, oip.INT64, oip.BYTES, oip.FP64, oip.INT32} {
		if string(d) == s {
			return d
		}
	}
	return oip.Datatype(s)
}

// maxDims is the most dimensions, as in JSON.
const maxDims = 64

// shape reads dimensions, packed or not.
func (f *field) shape(to *[]int64) error {
	if f.kind == protowire.VarintType {
		*to = append(*to, int64(f.n))
	} else {
		if err := f.want(protowire.BytesType); err != nil {
			return err
		}
		for b := f.bytes; len(b) > 0; {
			v, n := protowire.ConsumeVarint(b)
			if n < 0 || len(*to) > maxDims {
				break
			}
			*to, b = append(*to, int64(v)), b[n:]
			if len(b) == 0 {
				return nil
			}
		}
		if len(f.bytes) > 0 && len(*to) <= maxDims {
			return errWire
		}
	}
	if len(*to) > maxDims {
		return fmt.Errorf("a shape has more than %d dimensions: %w", maxDims, ErrInvalid)
	}
	return nil
}

// rawContents notes the raw bytes of one tensor.
func (a *arrival) rawContents(f *field) error {
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	if a.limits.Tensors >= 0 && len(a.raw) >= a.limits.Tensors {
		return fmt.Errorf("the message has more than %d tensors: %w", a.limits.Tensors, ErrInvalid)
	}
	a.raw = append(a.raw, f.bytes)
	return nil
}

// finish gives the tensors their elements.
func (a *arrival) finish(list, raw string) error {
	if len(a.raw) > 0 && len(a.raw) != len(a.tensors) {
		return fmt.Errorf("%s has %d entries for %d %s, want one each: %w", raw, len(a.raw), len(a.tensors), list, ErrInvalid)
	}
	size := 0
	for _, b := range a.raw {
		size += (len(b) + 7) &^ 7
	}
	// One copy of all, each tensor at a multiple of eight for its views.
	room := make([]byte, 0, size)
	for i := range a.tensors {
		t := &a.tensors[i]
		params := t.Parameters
		err := t.Datatype.Check()
		switch c := &a.contents[i]; {
		case err != nil:
		case len(a.raw) > 0 && c.set && len(c.fields) > 0:
			err = fmt.Errorf("it has contents and an entry in %s, want one of them: %w", raw, ErrInvalid)
		case len(a.raw) > 0:
			from := (len(room) + 7) &^ 7
			room = append(room[:from], a.raw[i]...)
			*t, err = oip.FromRaw(t.Name, t.Datatype, t.Shape, room[from:len(room):len(room)], &oip.Limits{Elements: max(a.left, 1)})
			t.Binary = false
		default:
			// Data that disagrees with its shape is for Check, but a shape
			// bounds what is set aside for it.
			err = c.tensor(t, a.left)
		}
		if err != nil {
			return fmt.Errorf("%s[%d] %.100q: %w", list, i, t.Name, err)
		}
		t.Parameters = params
		a.left -= int64(t.Len())
	}
	return nil
}

// appendRequest appends a ModelInferRequest.
func appendRequest(b []byte, model, version string, r *oip.InferRequest, raw bool) ([]byte, error) {
	b = appendText(b, 1, model)
	b = appendText(b, 2, version)
	b = appendText(b, 3, r.ID)
	b, err := appendParameters(b, 4, r.Parameters)
	if err != nil {
		return nil, err
	}
	if b, err = appendTensors(b, 5, r.Inputs, raw); err != nil {
		return nil, err
	}
	for i := range r.Outputs {
		o := &r.Outputs[i]
		b = appendNested(b, 6, func(b []byte) []byte {
			b = appendText(b, 1, o.Name)
			b, err = appendParameters(b, 2, o.Parameters)
			return b
		})
		if err != nil {
			return nil, err
		}
	}
	return appendRaw(b, 7, r.Inputs, raw), nil
}

// appendResponse appends a ModelInferResponse.
func appendResponse(b []byte, r *oip.InferResponse, raw bool) ([]byte, error) {
	for i := range r.Outputs {
		// FP16 and BF16 have no contents, and it is all or none.
		raw = raw || contentsField(r.Outputs[i].Datatype) == 0
	}
	if b == nil {
		size := 256
		for i := range r.Outputs {
			size += 64 + r.Outputs[i].Len()*r.Outputs[i].Datatype.Size()
		}
		b = make([]byte, 0, size)
	}
	b = appendText(b, 1, r.ModelName)
	b = appendText(b, 2, r.ModelVersion)
	b = appendText(b, 3, r.ID)
	b, err := appendParameters(b, 4, r.Parameters)
	if err != nil {
		return nil, err
	}
	if b, err = appendTensors(b, 5, r.Outputs, raw); err != nil {
		return nil, err
	}
	return appendRaw(b, 6, r.Outputs, raw), nil
}

// appendTensors appends the tensors, without their elements when these are raw.
func appendTensors(b []byte, num protowire.Number, list []oip.Tensor, raw bool) ([]byte, error) {
	var err error
	for i := range list {
		t := &list[i]
		if err := t.Check(); err != nil {
			return nil, fmt.Errorf("tensor %.100q: %w", t.Name, err)
		}
		b = appendNested(b, num, func(b []byte) []byte {
			b = appendText(b, 1, t.Name)
			b = appendText(b, 2, string(t.Datatype))
			b = appendPacked(b, 3, len(t.Shape), func(i int) uint64 { return uint64(t.Shape[i]) })
			b, err = appendParameters(b, 4, t.Parameters)
			if !raw {
				b = appendNested(b, 5, func(b []byte) []byte { return appendContents(b, t) })
			}
			return b
		})
		if err != nil {
			return nil, fmt.Errorf("tensor %.100q: %w", t.Name, err)
		}
	}
	return b, nil
}

// appendRaw appends the elements of the tensors as raw bytes.
func appendRaw(b []byte, num protowire.Number, list []oip.Tensor, raw bool) []byte {
	if !raw {
		return b
	}
	for i := range list {
		t := &list[i]
		b = protowire.AppendTag(b, num, protowire.BytesType)
		if size := t.Datatype.Size(); size > 0 {
			b = protowire.AppendVarint(b, uint64(t.Len()*size))
			b = oip.AppendRaw(b, t)
			continue
		}
		b = protowire.AppendBytes(b, oip.AppendRaw(nil, t))
	}
	return b
}
