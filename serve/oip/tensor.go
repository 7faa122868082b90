package oip

import "slices"

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

	// Binary says that the elements travel as raw bytes behind the JSON
	// instead of in it. The decoders set it; AppendBinaryRequest and
	// AppendBinaryResponse heed it.
	Binary bool

	// data is the typed slice, or a pointer to it in the memory of a Decoder:
	// to put a slice itself into an interface allocates.
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

// NewFP16 returns an FP16 tensor over data, the bits of IEEE 754 halves.
func NewFP16(name string, shape []int64, data []uint16) Tensor {
	return Tensor{Name: name, Datatype: FP16, Shape: shape, data: data}
}

// NewBF16 returns a BF16 tensor over data, the upper halves of the bits of
// float32s.
func NewBF16(name string, shape []int64, data []uint16) Tensor {
	return Tensor{Name: name, Datatype: BF16, Shape: shape, data: data}
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
	return NewBYTES(name, shape, joinBytes(data))
}

// joinBytes copies all elements into one array, so that a column of words costs
// two allocations.
func joinBytes[T string | []byte](data []T) [][]byte {
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

// Data returns the typed slice behind the tensor: []bool, []uint8, []uint16 (also
// for FP16 and BF16), []uint32, []uint64, []int8, []int16, []int32, []int64,
// []float32, []float64 or [][]byte. It is a view, and nil for the zero Tensor.
func (t *Tensor) Data() any {
	switch p := t.data.(type) {
	case *[]bool:
		return *p
	case *[]uint8:
		return *p
	case *[]uint16:
		return *p
	case *[]uint32:
		return *p
	case *[]uint64:
		return *p
	case *[]int8:
		return *p
	case *[]int16:
		return *p
	case *[]int32:
		return *p
	case *[]int64:
		return *p
	case *[]float32:
		return *p
	case *[]float64:
		return *p
	case *[][]byte:
		return *p
	}
	return t.data
}

// view is the shared body of the typed views.
func view[T any](t *Tensor) []T {
	switch s := t.data.(type) {
	case *[]T:
		return *s
	case []T:
		return s
	}
	return nil
}

// bits16 is the view of the three datatypes that are uint16 in Go.
func bits16(t *Tensor, d Datatype) []uint16 {
	if t.Datatype != d {
		return nil
	}
	return view[uint16](t)
}

// BOOL returns the elements of a BOOL tensor, nil for another datatype.
func (t *Tensor) BOOL() []bool { return view[bool](t) }

// UINT8 returns the elements of a UINT8 tensor, nil for another datatype.
func (t *Tensor) UINT8() []uint8 { return view[uint8](t) }

// UINT16 returns the elements of a UINT16 tensor, nil for another datatype.
func (t *Tensor) UINT16() []uint16 { return bits16(t, UINT16) }

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

// FP16 returns the bits of the elements of an FP16 tensor, nil for another
// datatype.
func (t *Tensor) FP16() []uint16 { return bits16(t, FP16) }

// BF16 returns the bits of the elements of a BF16 tensor, nil for another
// datatype.
func (t *Tensor) BF16() []uint16 { return bits16(t, BF16) }

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
	switch t.data.(type) {
	case *[]float32, []float32:
		return len(view[float32](t))
	case *[]float64, []float64:
		return len(view[float64](t))
	case *[]int64, []int64:
		return len(view[int64](t))
	case *[]int32, []int32:
		return len(view[int32](t))
	case *[][]byte, [][]byte:
		return len(view[[]byte](t))
	case *[]bool, []bool:
		return len(view[bool](t))
	case *[]uint8, []uint8:
		return len(view[uint8](t))
	case *[]uint16, []uint16:
		return len(view[uint16](t))
	case *[]uint32, []uint32:
		return len(view[uint32](t))
	case *[]uint64, []uint64:
		return len(view[uint64](t))
	case *[]int8, []int8:
		return len(view[int8](t))
	case *[]int16, []int16:
		return len(view[int16](t))
	}
	return 0
}

// Clone returns a tensor that shares no memory with this one but its
// Parameters: what a Decoder has read is gone with its next message.
func (t *Tensor) Clone() Tensor {
	c := *t
	c.Shape = slices.Clone(t.Shape)
	switch t.data.(type) {
	case *[]float32, []float32:
		c.data = slices.Clone(view[float32](t))
	case *[]float64, []float64:
		c.data = slices.Clone(view[float64](t))
	case *[]int64, []int64:
		c.data = slices.Clone(view[int64](t))
	case *[]int32, []int32:
		c.data = slices.Clone(view[int32](t))
	case *[][]byte, [][]byte:
		c.data = joinBytes(view[[]byte](t))
	case *[]bool, []bool:
		c.data = slices.Clone(view[bool](t))
	case *[]uint8, []uint8:
		c.data = slices.Clone(view[uint8](t))
	case *[]uint16, []uint16:
		c.data = slices.Clone(view[uint16](t))
	case *[]uint32, []uint32:
		c.data = slices.Clone(view[uint32](t))
	case *[]uint64, []uint64:
		c.data = slices.Clone(view[uint64](t))
	case *[]int8, []int8:
		c.data = slices.Clone(view[int8](t))
	case *[]int16, []int16:
		c.data = slices.Clone(view[int16](t))
	}
	return c
}

// New returns a tensor of the datatype over data, a slice of the type that Data
// lists. Whether they belong together is for Check.
func New(name string, datatype Datatype, shape []int64, data any) Tensor {
	t := Tensor{Name: name, Datatype: datatype, Shape: shape, data: data}
	t.data = t.Data()
	return t
}
