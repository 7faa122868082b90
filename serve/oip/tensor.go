package oip

import (
	"fmt"
	"math"
	"strings"
)

// Datatype is an element type of the protocol, spelled as on the wire.
type Datatype string

// The datatypes. FP16 and BF16 exist in metadata only: the protocol gives them
// no JSON form.
const (
	BOOL   Datatype = "BOOL"
	UINT8  Datatype = "UINT8"
	UINT16 Datatype = "UINT16"
	UINT32 Datatype = "UINT32"
	UINT64 Datatype = "UINT64"
	INT8   Datatype = "INT8"
	INT16  Datatype = "INT16"
	INT32  Datatype = "INT32"
	INT64  Datatype = "INT64"
	FP16   Datatype = "FP16"
	BF16   Datatype = "BF16"
	FP32   Datatype = "FP32"
	FP64   Datatype = "FP64"
	BYTES  Datatype = "BYTES"
)

// HasJSON reports whether tensors of this datatype can travel as JSON. It is
// false for FP16, BF16 and for names that are not a datatype.
func (d Datatype) HasJSON() bool {
	switch d {
	case BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP32, FP64, BYTES:
		return true
	}
	return false
}

// Tensor is one named array of a request or a response. Data is row-major in
// one flat slice of the Go type that belongs to the datatype; the constructors
// keep the slice they are given, the views hand the same memory back.
//
// A Tensor is a plain value. Copies share Shape, Parameters and data.
type Tensor struct {
	// Name is the tensor's name in the model's signature.
	Name string
	// Datatype is the element type; it is set by the constructors and says
	// which view is not nil.
	Datatype Datatype
	// Shape is the length of each dimension. A tensor without dimensions
	// holds one element.
	Shape []int64
	// Parameters are the sender's extras: string, bool, int64, float64.
	Parameters map[string]any

	// data is the typed slice. An interface keeps the views free of unsafe
	// and makes Data free of allocations.
	data any
	// fault is what the decoder found wrong with the form of the data (its
	// nesting against the shape). Check reports it with the rest.
	fault string
}

// NewBOOL returns a BOOL tensor over data.
func NewBOOL(name string, shape []int64, data []bool) Tensor {
	return Tensor{Name: name, Datatype: BOOL, Shape: shape, data: data}
}

// NewUINT8 returns a UINT8 tensor over data.
func NewUINT8(name string, shape []int64, data []uint8) Tensor {
	return Tensor{Name: name, Datatype: UINT8, Shape: shape, data: data}
}

// NewUINT16 returns a UINT16 tensor over data.
func NewUINT16(name string, shape []int64, data []uint16) Tensor {
	return Tensor{Name: name, Datatype: UINT16, Shape: shape, data: data}
}

// NewUINT32 returns a UINT32 tensor over data.
func NewUINT32(name string, shape []int64, data []uint32) Tensor {
	return Tensor{Name: name, Datatype: UINT32, Shape: shape, data: data}
}

// NewUINT64 returns a UINT64 tensor over data.
func NewUINT64(name string, shape []int64, data []uint64) Tensor {
	return Tensor{Name: name, Datatype: UINT64, Shape: shape, data: data}
}

// NewINT8 returns an INT8 tensor over data.
func NewINT8(name string, shape []int64, data []int8) Tensor {
	return Tensor{Name: name, Datatype: INT8, Shape: shape, data: data}
}

// NewINT16 returns an INT16 tensor over data.
func NewINT16(name string, shape []int64, data []int16) Tensor {
	return Tensor{Name: name, Datatype: INT16, Shape: shape, data: data}
}

// NewINT32 returns an INT32 tensor over data.
func NewINT32(name string, shape []int64, data []int32) Tensor {
	return Tensor{Name: name, Datatype: INT32, Shape: shape, data: data}
}

// NewINT64 returns an INT64 tensor over data.
func NewINT64(name string, shape []int64, data []int64) Tensor {
	return Tensor{Name: name, Datatype: INT64, Shape: shape, data: data}
}

// NewFP32 returns an FP32 tensor over data.
func NewFP32(name string, shape []int64, data []float32) Tensor {
	return Tensor{Name: name, Datatype: FP32, Shape: shape, data: data}
}

// NewFP64 returns an FP64 tensor over data.
func NewFP64(name string, shape []int64, data []float64) Tensor {
	return Tensor{Name: name, Datatype: FP64, Shape: shape, data: data}
}

// NewBYTES returns a BYTES tensor over data. JSON carries text only: each
// element must be valid UTF-8 to be sent.
func NewBYTES(name string, shape []int64, data [][]byte) Tensor {
	return Tensor{Name: name, Datatype: BYTES, Shape: shape, data: data}
}

// NewStrings returns a BYTES tensor with a copy of the strings.
func NewStrings(name string, shape []int64, data []string) Tensor {
	return NewBYTES(name, shape, toBytes(data))
}

// toBytes copies all strings into one array, so that a column of words costs
// two allocations.
func toBytes(data []string) [][]byte {
	n := 0
	for _, s := range data {
		n += len(s)
	}
	all := make([]byte, 0, n)
	out := make([][]byte, len(data))
	for i, s := range data {
		from := len(all)
		all = append(all, s...)
		out[i] = all[from:len(all):len(all)]
	}
	return out
}

// Data returns the typed slice behind the tensor: []bool, []uint8, []uint16,
// []uint32, []uint64, []int8, []int16, []int32, []int64, []float32, []float64
// or [][]byte. It is a view, and nil for the zero Tensor.
func (t *Tensor) Data() any { return t.data }

// view is the shared body of the typed views.
func view[T any](t *Tensor) []T {
	s, _ := t.data.([]T)
	return s
}

// BOOL returns the elements of a BOOL tensor, nil for another datatype.
func (t *Tensor) BOOL() []bool { return view[bool](t) }

// UINT8 returns the elements of a UINT8 tensor, nil for another datatype.
func (t *Tensor) UINT8() []uint8 { return view[uint8](t) }

// UINT16 returns the elements of a UINT16 tensor, nil for another datatype.
func (t *Tensor) UINT16() []uint16 { return view[uint16](t) }

// UINT32 returns the elements of a UINT32 tensor, nil for another datatype.
func (t *Tensor) UINT32() []uint32 { return view[uint32](t) }

// UINT64 returns the elements of a UINT64 tensor, nil for another datatype.
func (t *Tensor) UINT64() []uint64 { return view[uint64](t) }

// INT8 returns the elements of an INT8 tensor, nil for another datatype.
func (t *Tensor) INT8() []int8 { return view[int8](t) }

// INT16 returns the elements of an INT16 tensor, nil for another datatype.
func (t *Tensor) INT16() []int16 { return view[int16](t) }

// INT32 returns the elements of an INT32 tensor, nil for another datatype.
func (t *Tensor) INT32() []int32 { return view[int32](t) }

// INT64 returns the elements of an INT64 tensor, nil for another datatype.
func (t *Tensor) INT64() []int64 { return view[int64](t) }

// FP32 returns the elements of an FP32 tensor, nil for another datatype.
func (t *Tensor) FP32() []float32 { return view[float32](t) }

// FP64 returns the elements of an FP64 tensor, nil for another datatype.
func (t *Tensor) FP64() []float64 { return view[float64](t) }

// BYTES returns the elements of a BYTES tensor, nil for another datatype.
func (t *Tensor) BYTES() [][]byte { return view[[]byte](t) }

// Strings returns a copy of the elements of a BYTES tensor as strings, nil
// for another datatype.
func (t *Tensor) Strings() []string {
	b := t.BYTES()
	if b == nil {
		return nil
	}
	out := make([]string, len(b))
	for i, v := range b {
		out[i] = string(v)
	}
	return out
}

// Len returns the number of elements that the tensor holds, which a sound
// tensor's shape agrees with.
func (t *Tensor) Len() int {
	switch s := t.data.(type) {
	case []bool:
		return len(s)
	case []uint8:
		return len(s)
	case []uint16:
		return len(s)
	case []uint32:
		return len(s)
	case []uint64:
		return len(s)
	case []int8:
		return len(s)
	case []int16:
		return len(s)
	case []int32:
		return len(s)
	case []int64:
		return len(s)
	case []float32:
		return len(s)
	case []float64:
		return len(s)
	case [][]byte:
		return len(s)
	}
	return 0
}

// Check reports how the tensor contradicts itself: no name, no data of its
// datatype, a negative dimension, a number of elements other than the product
// of its shape, nested JSON data of another form than its shape. The error is
// an ErrInvalid whose text is made to follow the tensor's name.
func (t *Tensor) Check() error {
	if t.Name != "" && t.fault == "" && t.sound() {
		return nil
	}
	var list []string
	if t.Name == "" {
		list = append(list, "it has no name")
	}
	switch n, ok := elements(t.Shape); {
	case typeOf(t.data) == "":
		list = append(list, "it has no data")
	case typeOf(t.data) != t.Datatype:
		list = append(list, fmt.Sprintf("datatype is %q but the data is %s", t.Datatype, typeOf(t.data)))
	case !ok:
		list = append(list, fmt.Sprintf("shape %s has a negative dimension or is too large", shapeText(t.Shape)))
	case t.fault != "":
		list = append(list, t.fault)
	case n != int64(t.Len()):
		list = append(list, fmt.Sprintf("shape %s needs %d elements, data has %d", shapeText(t.Shape), n, t.Len()))
	}
	return malformed(strings.Join(list, "; "))
}

// malformed is an ErrInvalid without its word at the end, for texts that are
// put together from several.
type malformed string

func (m malformed) Error() string        { return string(m) }
func (m malformed) Is(target error) bool { return target == ErrInvalid }

// sound is the cheap part of Check, for the hot path.
func (t *Tensor) sound() bool {
	n, ok := elements(t.Shape)
	return ok && n == int64(t.Len()) && t.Datatype == typeOf(t.data)
}

// typeOf returns the datatype that the Go slice stands for, "" for none.
func typeOf(data any) Datatype {
	switch data.(type) {
	case []bool:
		return BOOL
	case []uint8:
		return UINT8
	case []uint16:
		return UINT16
	case []uint32:
		return UINT32
	case []uint64:
		return UINT64
	case []int8:
		return INT8
	case []int16:
		return INT16
	case []int32:
		return INT32
	case []int64:
		return INT64
	case []float32:
		return FP32
	case []float64:
		return FP64
	case [][]byte:
		return BYTES
	}
	return ""
}

// elements returns the product of the dimensions, false when one is negative
// or the product does not fit an int64. A zero dimension gives zero, whatever
// the others are.
func elements(shape []int64) (int64, bool) {
	n := int64(1)
	overflow := false
	for _, d := range shape {
		if d < 0 {
			return 0, false
		}
		if d == 0 {
			n, overflow = 0, false
		}
		if n != 0 && !overflow {
			if d > math.MaxInt64/n {
				overflow = true
				continue
			}
			n *= d
		}
	}
	return n, !overflow
}

// shapeText writes a shape as it looks in JSON.
func shapeText(shape []int64) string {
	return strings.ReplaceAll(fmt.Sprint(shape), " ", ",")
}
