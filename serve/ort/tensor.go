package ort

import (
	"fmt"
	"math/bits"
	"unsafe"

	"github.com/millwright-ml/millwright/serve/oip"
)

// ONNX's numbers of the element types that are named here.
const (
	elemFloat  = 1
	elemString = 8
)

// datatypes are the protocol's names of ONNX's element types.
var datatypes = map[int32]oip.Datatype{
	elemFloat: oip.FP32, 2: oip.UINT8, 3: oip.INT8, 4: oip.UINT16, 5: oip.INT16, 6: oip.INT32, 7: oip.INT64, elemString: oip.BYTES,
	9: oip.BOOL, 10: oip.FP16, 11: oip.FP64, 12: oip.UINT32, 13: oip.UINT64, 16: oip.BF16,
}

// kind is what a value of the graph is beside what its signature says.
type kind struct {
	elem int32
	// table is a list of maps.
	table bool
}

// memory is where the elements of a tensor of numbers lie, and their bytes.
func memory(t *oip.Tensor) (p unsafe.Pointer, n int) {
	switch t.Datatype {
	case oip.BOOL:
		return view(t.BOOL())
	case oip.UINT8:
		return view(t.UINT8())
	case oip.UINT16:
		return view(t.UINT16())
	case oip.UINT32:
		return view(t.UINT32())
	case oip.UINT64:
		return view(t.UINT64())
	case oip.INT8:
		return view(t.INT8())
	case oip.INT16:
		return view(t.INT16())
	case oip.INT32:
		return view(t.INT32())
	case oip.INT64:
		return view(t.INT64())
	case oip.FP16:
		return view(t.FP16())
	case oip.BF16:
		return view(t.BF16())
	case oip.FP32:
		return view(t.FP32())
	case oip.FP64:
		return view(t.FP64())
	}
	return nil, 0
}

func view[T any](s []T) (unsafe.Pointer, int) {
	var zero T
	return unsafe.Pointer(unsafe.SliceData(s)), len(s) * int(unsafe.Sizeof(zero))
}

// newTensor makes a tensor of the datatype with room for n elements.
func newTensor(name string, d oip.Datatype, shape []int64, n int) oip.Tensor {
	switch d {
	case oip.BOOL:
		return oip.NewBOOL(name, shape, make([]bool, n))
	case oip.UINT8:
		return oip.NewUINT8(name, shape, make([]uint8, n))
	case oip.UINT16:
		return oip.NewUINT16(name, shape, make([]uint16, n))
	case oip.UINT32:
		return oip.NewUINT32(name, shape, make([]uint32, n))
	case oip.UINT64:
		return oip.NewUINT64(name, shape, make([]uint64, n))
	case oip.INT8:
		return oip.NewINT8(name, shape, make([]int8, n))
	case oip.INT16:
		return oip.NewINT16(name, shape, make([]int16, n))
	case oip.INT32:
		return oip.NewINT32(name, shape, make([]int32, n))
	case oip.INT64:
		return oip.NewINT64(name, shape, make([]int64, n))
	case oip.FP16:
		return oip.NewFP16(name, shape, make([]uint16, n))
	case oip.BF16:
		return oip.NewBF16(name, shape, make([]uint16, n))
	case oip.FP32:
		return oip.NewFP32(name, shape, make([]float32, n))
	}
	return oip.NewFP64(name, shape, make([]float64, n))
}

// product is the number of elements, false where it does not fit.
func product(shape []int64) (int, bool) {
	n := uint64(1)
	for _, d := range shape {
		hi, lo := bits.Mul64(n, uint64(d))
		if d < 0 || hi != 0 || lo > 1<<48 {
			return 0, false
		}
		n = lo
	}
	return int(n), true
}

// give makes ONNX Runtime's value of an input.
func (f *frame) give(l *Library, t *oip.Tensor, elem int32, place int) error {
	out := &f.inputs[place]
	shape := unsafe.SliceData(t.Shape)
	if len(t.Shape) == 0 {
		shape = &f.number
	}
	if elem == elemString {
		return f.giveStrings(l, t, shape, out)
	}
	data, size := memory(t)
	switch {
	case data == nil:
		data = unsafe.Pointer(&f.number) // No elements: it is not read.
	case uintptr(data)%alignment != 0:
		data = f.align(place, data, size)
	}
	return l.try(fnCreateTensorWithDataAsOrtValue, at(l.memory), uintptr(data), uintptr(size), uintptr(unsafe.Pointer(shape)), uintptr(len(t.Shape)), uintptr(elem), uintptr(unsafe.Pointer(out)))
}

// alignment is where ONNX Runtime lets its own tensors begin. The last bits of a sum
// depend on it: its loops begin with the elements before the first multiple.
const alignment = 64

// align copies an input to where the same request gives the same answer.
func (f *frame) align(place int, data unsafe.Pointer, size int) unsafe.Pointer {
	room := f.aligned[place]
	if cap(room) < size+alignment {
		room = make([]byte, size+alignment)
		f.aligned[place] = room
	}
	room = room[:cap(room)]
	at := int(-uintptr(unsafe.Pointer(unsafe.SliceData(room))) % alignment)
	copy(room[at:at+size], unsafe.Slice((*byte)(data), size))
	return unsafe.Pointer(&room[at])
}

func (f *frame) giveStrings(l *Library, t *oip.Tensor, shape *int64, out *unsafe.Pointer) error {
	if err := l.try(fnCreateTensorAsOrtValue, at(l.allocator), uintptr(unsafe.Pointer(shape)), uintptr(len(t.Shape)), elemString, uintptr(unsafe.Pointer(out))); err != nil {
		return err
	}
	for i, s := range t.BYTES() {
		if err := l.try(fnGetResizedStringElementBuffer, at(*out), uintptr(i), uintptr(len(s)), uintptr(unsafe.Pointer(&f.pointer))); err != nil {
			return err
		}
		copy(unsafe.Slice((*byte)(f.pointer), len(s)), s)
	}
	return nil
}

// shape reads the type of a tensor.
func (l *Library) shape(info unsafe.Pointer) ([]int64, int32, error) {
	p := new(struct {
		count uintptr
		elem  int32
	})
	if err := l.try(fnGetTensorElementType, at(info), uintptr(unsafe.Pointer(&p.elem))); err != nil {
		return nil, 0, err
	}
	if err := l.try(fnGetDimensionsCount, at(info), uintptr(unsafe.Pointer(&p.count))); err != nil {
		return nil, 0, err
	}
	shape := make([]int64, p.count)
	if p.count == 0 {
		return shape, p.elem, nil
	}
	err := l.try(fnGetDimensions, at(info), uintptr(unsafe.Pointer(&shape[0])), p.count)
	return shape, p.elem, err
}

// take copies an output.
func (f *frame) take(l *Library, meta *oip.TensorMetadata, k kind, value unsafe.Pointer) (oip.Tensor, error) {
	if value == nil {
		return oip.Tensor{}, fmt.Errorf("the output %q was not computed", meta.Name)
	}
	if k.table {
		return f.takeTable(l, meta, value)
	}
	shape, elem, n, err := f.measure(l, value)
	if err != nil {
		return oip.Tensor{}, fmt.Errorf("the output %q: %w", meta.Name, err)
	}
	if elem != k.elem {
		return oip.Tensor{}, fmt.Errorf("the output %q has elements of ONNX's type %d, the graph says %d", meta.Name, elem, k.elem)
	}
	if elem == elemString {
		list, err := f.strings(l, value, n)
		return oip.NewBYTES(meta.Name, shape, list), err
	}
	t := newTensor(meta.Name, meta.Datatype, shape, n)
	if n == 0 {
		return t, nil
	}
	if err := l.try(fnGetTensorMutableData, at(value), uintptr(unsafe.Pointer(&f.pointer))); err != nil {
		return oip.Tensor{}, err
	}
	to, size := memory(&t)
	if meta.Datatype == oip.BOOL { // In Go a bool is 0 or 1.
		for i, b := range unsafe.Slice((*byte)(f.pointer), n) {
			t.BOOL()[i] = b != 0
		}
		return t, nil
	}
	copy(unsafe.Slice((*byte)(to), size), unsafe.Slice((*byte)(f.pointer), size))
	return t, nil
}

// measure reads the shape, the element type and the number of elements of a value.
func (f *frame) measure(l *Library, value unsafe.Pointer) (shape []int64, elem int32, n int, err error) {
	if err := l.try(fnGetTensorTypeAndShape, at(value), uintptr(unsafe.Pointer(&f.pointer))); err != nil {
		return nil, 0, 0, err
	}
	info := f.pointer
	shape, elem, err = l.shape(info)
	call(l.fn(fnReleaseTensorTypeAndShapeInfo), at(info))
	if err != nil {
		return nil, 0, 0, err
	}
	n, fits := product(shape)
	if !fits {
		return nil, 0, 0, fmt.Errorf("its shape is %v", shape)
	}
	return shape, elem, n, nil
}

// strings copies the elements of a tensor of strings into one array.
func (f *frame) strings(l *Library, value unsafe.Pointer, n int) ([][]byte, error) {
	list := make([][]byte, n)
	if n == 0 {
		return list, nil
	}
	if err := l.try(fnGetStringTensorDataLength, at(value), uintptr(unsafe.Pointer(&f.count))); err != nil {
		return nil, err
	}
	all, from := make([]byte, f.count+1), make([]uintptr, n+1)
	if err := l.try(fnGetStringTensorContent, at(value), uintptr(unsafe.Pointer(&all[0])), f.count, uintptr(unsafe.Pointer(&from[0])), uintptr(n)); err != nil {
		return nil, err
	}
	from[n] = f.count
	for i := range list {
		list[i] = all[from[i]:from[i+1]:from[i+1]]
	}
	return list, nil
}

// takeTable copies a list of maps to a table: a row each, with a column a key. All
// have the same keys, in their order.
func (f *frame) takeTable(l *Library, meta *oip.TensorMetadata, value unsafe.Pointer) (oip.Tensor, error) {
	if err := l.try(fnGetValueCount, at(value), uintptr(unsafe.Pointer(&f.count))); err != nil {
		return oip.Tensor{}, err
	}
	rows := int(f.count)
	var scores []float32
	columns := -1
	for i := range rows {
		var err error
		if scores, err = f.takeRow(l, value, i, scores); err != nil {
			return oip.Tensor{}, fmt.Errorf("the output %q: row %d: %w", meta.Name, i, err)
		}
		if columns < 0 {
			columns = len(scores)
		}
		if len(scores) != columns*(i+1) {
			return oip.Tensor{}, fmt.Errorf("the output %q: the maps have different numbers of keys", meta.Name)
		}
	}
	return oip.NewFP32(meta.Name, []int64{int64(rows), int64(max(columns, 0))}, scores), nil
}

// takeRow appends the values of one map.
func (f *frame) takeRow(l *Library, list unsafe.Pointer, i int, scores []float32) ([]float32, error) {
	if err := l.try(fnGetValue, at(list), uintptr(i), at(l.allocator), uintptr(unsafe.Pointer(&f.pointer))); err != nil {
		return nil, err
	}
	row := f.pointer
	defer func() { call(l.fn(fnReleaseValue), at(row)) }()
	// The second of a map's two parts is its values.
	if err := l.try(fnGetValue, at(row), 1, at(l.allocator), uintptr(unsafe.Pointer(&f.pointer))); err != nil {
		return nil, err
	}
	values := f.pointer
	defer func() { call(l.fn(fnReleaseValue), at(values)) }()
	_, elem, n, err := f.measure(l, values)
	if err != nil || n == 0 {
		return scores, err
	}
	if elem != elemFloat {
		return nil, fmt.Errorf("its values are of ONNX's type %d", elem)
	}
	if err := l.try(fnGetTensorMutableData, at(values), uintptr(unsafe.Pointer(&f.pointer))); err != nil {
		return nil, err
	}
	return append(scores, unsafe.Slice((*float32)(f.pointer), n)...), nil
}
