package oip

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"strconv"
	"unsafe"
)

// HeaderLengthKey is the header of a body that has binary tensor data: the
// length of the JSON in front of it.
const HeaderLengthKey = "Inference-Header-Content-Length"

// BinaryType is the content type of such a body.
const BinaryType = "application/octet-stream"

// HeaderLength returns the length of the JSON at the start of a body, and
// JSONOnly when the header does not say that binary tensor data follows. The
// header must be there once and be plain digits: what two readers could take
// for two numbers is an ErrInvalid.
func HeaderLength(h http.Header) (int, error) {
	list := h[HeaderLengthKey]
	if len(list) == 0 {
		return JSONOnly, nil
	}
	n, err := strconv.ParseUint(list[0], 10, 31)
	if len(list) > 1 || err != nil || len(list[0]) > 1 && list[0][0] == '0' {
		return 0, fmt.Errorf("oip: header %s %.80q: want one whole number without a sign: %w", HeaderLengthKey, list, ErrInvalid)
	}
	return int(n), nil
}

// checkLength refuses a JSON longer than the body it is in.
func checkLength(op string, body []byte, jsonLength int) error {
	if jsonLength > len(body) || jsonLength < JSONOnly {
		return fmt.Errorf("%s: %s is %d but the body has %d bytes: %w", op, HeaderLengthKey, jsonLength, len(body), ErrInvalid)
	}
	return nil
}

// Lead returns how many bytes a reader leaves free at the start of its buffer
// so that the binary tensor data behind the JSON begins at a multiple of 64
// and can be viewed without a copy, also by libraries that align their vectors.
func Lead(jsonLength int) int {
	if jsonLength < 0 {
		return 0
	}
	return -jsonLength & 63
}

// fixed are the Go types of elements of a fixed size.
type fixed interface {
	bool | uint8 | uint16 | uint32 | uint64 | int8 | int16 | int32 | int64 | float32 | float64
}

// littleEndian reports whether this machine keeps numbers as the wire does.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// binary takes the tensor's data from behind the JSON. The sizes are compared
// before memory is set aside.
func (d *decoder) binary(t *Tensor) {
	d.at("parameters: binary_data_size")
	t.Binary = true
	if !d.sized {
		d.refuse(d.i, "the message has no header %s that says where the binary data begins", HeaderLengthKey)
		return
	}
	n, ok := d.room(t)
	if !ok {
		return
	}
	size := d.claimed.size
	if size > int64(len(d.tail)) {
		d.refuse(d.i, "it is %d but %d bytes of binary data are left", size, len(d.tail))
		return
	}
	each := int64(t.Datatype.Size())
	if each > 0 && (size%each != 0 || size/each != n) {
		d.refuse(d.i, "it is %d but shape %s needs %d elements of %d bytes", size, shapeText(t.Shape), n, each)
		return
	}
	raw := d.tail[:size:size]
	d.tail = d.tail[size:]
	switch t.Datatype {
	case BOOL:
		if at := notBool(raw); at >= 0 {
			d.refuse(d.i, "element %d is the byte %d, want 0 or 1 (BOOL)", at, raw[at])
			return
		}
		t.data = fromRaw[bool](d, raw)
	case UINT8:
		t.data = fromRaw[uint8](d, raw)
	case UINT16, FP16, BF16:
		t.data = fromRaw[uint16](d, raw)
	case UINT32:
		t.data = fromRaw[uint32](d, raw)
	case UINT64:
		t.data = fromRaw[uint64](d, raw)
	case INT8:
		t.data = fromRaw[int8](d, raw)
	case INT16:
		t.data = fromRaw[int16](d, raw)
	case INT32:
		t.data = fromRaw[int32](d, raw)
	case INT64:
		t.data = fromRaw[int64](d, raw)
	case FP32:
		t.data = fromRaw[float32](d, raw)
	case FP64:
		t.data = fromRaw[float64](d, raw)
	case BYTES:
		d.binaryBytes(t, raw, n)
	}
	d.done()
}

// fromRaw gives a tensor its elements: a view of raw where that is aligned,
// else a copy.
func fromRaw[T fixed](d *decoder, raw []byte) any {
	var of T
	n := len(raw) / int(unsafe.Sizeof(of))
	if n > 0 && littleEndian && uintptr(unsafe.Pointer(unsafe.SliceData(raw)))%unsafe.Alignof(of) == 0 {
		seen := unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(raw))), n)
		if d.memory == nil {
			return seen
		}
		p := box[T](&d.memory.slot(d.index).seen)
		*p = seen
		return p
	}
	if d.memory == nil {
		own := make([]T, n)
		copyRaw(own, raw)
		return own
	}
	p := box[T](&d.memory.slot(d.index).own)
	if *p == nil || cap(*p) < n {
		*p = make([]T, n)
	}
	*p = (*p)[:n]
	copyRaw(*p, raw)
	return p
}

// copyRaw copies the bytes of the wire into dst, which has their length.
func copyRaw[T fixed](dst []T, raw []byte) {
	if littleEndian {
		copy(rawOf(dst), raw)
		return
	}
	// The lengths agree, and bytes that are no bools were refused.
	_, _ = binary.Decode(raw, binary.LittleEndian, dst)
}

// rawOf is the memory of s.
func rawOf[T fixed](s []T) []byte {
	var of T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(of)))
}

// appendRaw appends s as it is on the wire.
func appendRaw[T fixed](dst []byte, s []T) []byte {
	if len(s) == 0 {
		return dst
	}
	if littleEndian {
		return append(dst, rawOf(s)...)
	}
	// A slice of a fixed size is always written.
	dst, _ = binary.Append(dst, binary.LittleEndian, s)
	return dst
}

// notBool returns the first byte that is neither 0 nor 1, -1 for none: a Go
// bool of another value would be neither true nor false.
func notBool(raw []byte) int {
	i := 0
	for ; i+8 <= len(raw); i += 8 {
		if binary.NativeEndian.Uint64(raw[i:])&0xfefefefefefefefe != 0 {
			break
		}
	}
	for ; i < len(raw); i++ {
		if raw[i] > 1 {
			return i
		}
	}
	return -1
}

// binaryBytes cuts n elements out of raw, each a length of four bytes and as
// many bytes. They are views of raw.
func (d *decoder) binaryBytes(t *Tensor, raw []byte, n int64) {
	if n > int64(len(raw)/4) {
		d.refuse(d.i, "it is %d but shape %s needs %d elements of at least 4 bytes", len(raw), shapeText(t.Shape), n)
		return
	}
	var list [][]byte
	var to *boxes
	if d.memory != nil {
		to = &d.memory.slot(d.index).own
		list = to.list[:0]
	}
	if list == nil || int64(cap(list)) < n {
		list = make([][]byte, 0, n)
	}
	for i := range n {
		if len(raw) < 4 {
			d.refuse(d.i, "the binary data ends before element %d", i)
			return
		}
		size := binary.LittleEndian.Uint32(raw)
		if raw = raw[4:]; int64(size) > int64(len(raw)) {
			d.refuse(d.i, "element %d has %d bytes but %d are left", i, size, len(raw))
			return
		}
		list = append(list, raw[:size:size])
		raw = raw[size:]
	}
	if len(raw) > 0 {
		d.refuse(d.i, "%d bytes are left behind the %d elements of shape %s", len(raw), n, shapeText(t.Shape))
		return
	}
	if to == nil {
		t.data = list
		return
	}
	to.list = list
	t.data = &to.list
}

// FromRaw returns a tensor of the elements in raw, the bytes of binary tensor
// data, which the tensor views where it can and the caller must not change. The
// shape has to agree with raw, the limits are those of one message. The error is
// an ErrInvalid.
func FromRaw(name string, datatype Datatype, shape []int64, raw []byte, limits *Limits) (Tensor, error) {
	t := Tensor{Name: name, Datatype: datatype, Shape: shape}
	if !datatype.known() {
		return Tensor{}, fmt.Errorf("oip: tensor %.100q: %.40q is not a datatype: %w", name, datatype, ErrInvalid)
	}
	d := newDecoder(nil, JSONOnly, limits)
	defer d.release()
	d.tail, d.sized, d.claimed = raw, true, claim{set: true, size: int64(len(raw))}
	if d.binary(&t); d.err != nil {
		return Tensor{}, fmt.Errorf("oip: tensor %.100q: the raw data: %s: %w", name, d.err.text, ErrInvalid)
	}
	return t, nil
}
