package oip

import (
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"
)

// binarySizeName is the parameter of a tensor whose data is behind the JSON.
const binarySizeName = "binary_data_size"

// rawSize returns the length of the tensor's data behind the JSON.
func (e *encoder) rawSize(t *Tensor) int64 {
	n := int64(t.Len()) * int64(t.Datatype.Size())
	for i, v := range t.BYTES() {
		if uint64(len(v)) > math.MaxUint32 {
			e.refuse("tensor %q: element %d has %d bytes, at most 4 GiB have a length on the wire", t.Name, i, len(v))
		}
		n += 4 + int64(len(v))
	}
	return n
}

// AppendRaw appends the elements of the tensor as the bytes of binary tensor
// data: little-endian, each element of BYTES behind its length in four bytes.
func AppendRaw(dst []byte, t *Tensor) []byte {
	switch t.data.(type) {
	case *[]float32, []float32:
		return appendRaw(dst, view[float32](t))
	case *[]float64, []float64:
		return appendRaw(dst, view[float64](t))
	case *[]int64, []int64:
		return appendRaw(dst, view[int64](t))
	case *[]int32, []int32:
		return appendRaw(dst, view[int32](t))
	case *[][]byte, [][]byte:
		for _, v := range view[[]byte](t) {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(len(v)))
			dst = append(dst, v...)
		}
	case *[]bool, []bool:
		return appendRaw(dst, view[bool](t))
	case *[]uint8, []uint8:
		return appendRaw(dst, view[uint8](t))
	case *[]uint16, []uint16:
		return appendRaw(dst, view[uint16](t))
	case *[]uint32, []uint32:
		return appendRaw(dst, view[uint32](t))
	case *[]uint64, []uint64:
		return appendRaw(dst, view[uint64](t))
	case *[]int8, []int8:
		return appendRaw(dst, view[int8](t))
	case *[]int16, []int16:
		return appendRaw(dst, view[int16](t))
	}
	return dst
}

// data writes the elements, each with a comma behind it.
func (e *encoder) data(t *Tensor) {
	switch t.data.(type) {
	case *[]bool, []bool:
		for _, v := range view[bool](t) {
			e.b = append(strconv.AppendBool(e.b, v), ',')
		}
	case *[]uint8, []uint8:
		e.b = appendUnsigned(e.b, view[uint8](t))
	case *[]uint16, []uint16:
		e.b = appendUnsigned(e.b, view[uint16](t))
	case *[]uint32, []uint32:
		e.b = appendUnsigned(e.b, view[uint32](t))
	case *[]uint64, []uint64:
		e.b = appendUnsigned(e.b, view[uint64](t))
	case *[]int8, []int8:
		e.b = appendSigned(e.b, view[int8](t))
	case *[]int16, []int16:
		e.b = appendSigned(e.b, view[int16](t))
	case *[]int32, []int32:
		e.b = appendSigned(e.b, view[int32](t))
	case *[]int64, []int64:
		e.b = appendSigned(e.b, view[int64](t))
	case *[]float32, []float32:
		for i, v := range view[float32](t) {
			if !e.finite(t, i, float64(v)) {
				return
			}
			e.b = append(appendFloat(e.b, float64(v), 32), ',')
		}
	case *[]float64, []float64:
		for i, v := range view[float64](t) {
			if !e.finite(t, i, v) {
				return
			}
			e.b = append(appendFloat(e.b, v, 64), ',')
		}
	case *[][]byte, [][]byte:
		for i, v := range view[[]byte](t) {
			if !utf8.Valid(v) {
				e.refuse("tensor %q: element %d is not valid UTF-8, which JSON requires", t.Name, i)
				return
			}
			e.b = append(appendString(e.b, v), ',')
		}
	}
}

// finite refuses the values that JSON does not have.
func (e *encoder) finite(t *Tensor, i int, v float64) bool {
	if v-v == 0 {
		return true
	}
	e.refuse("tensor %q: element %d is %v, which JSON does not have", t.Name, i, v)
	return false
}

func appendUnsigned[T uint8 | uint16 | uint32 | uint64](b []byte, s []T) []byte {
	for _, v := range s {
		b = append(strconv.AppendUint(b, uint64(v), 10), ',')
	}
	return b
}

func appendSigned[T int8 | int16 | int32 | int64](b []byte, s []T) []byte {
	for _, v := range s {
		b = append(strconv.AppendInt(b, int64(v), 10), ',')
	}
	return b
}

// appendFloat writes the shortest text that reads back as v: whole numbers as
// such, an exponent only far from one, as encoding/json does.
func appendFloat(b []byte, v float64, bits int) []byte {
	// Below 2^24 every whole number is exact in both sizes and its digits
	// are the shortest text. Zero may have a sign.
	if whole := int64(v); float64(whole) == v && v > -1<<24 && v < 1<<24 && v != 0 {
		return strconv.AppendInt(b, whole, 10)
	}
	format := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(b, v, format, -1, bits)
}

// appendString writes s, which is valid UTF-8, as a JSON string.
func appendString[T string | []byte](b []byte, s T) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(b, s[from:]...), '"')
}
