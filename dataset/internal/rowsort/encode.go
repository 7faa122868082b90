package rowsort

import (
	"encoding/binary"
	"math"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// The first byte of every value.
const (
	isNull  = 0
	isValue = 1
)

func allNull(dst []byte, _ int) []byte { return append(dst, isNull) }

// valueEncoder writes the values of an array so that decoders can read them
// back: a byte for null, then little-endian numbers, and a length in front of
// whatever has one. A nil array is all null.
func valueEncoder(a arrow.Array) encoder {
	var put encoder
	switch a := a.(type) {
	case nil:
		return allNull
	case *array.Boolean:
		put = func(dst []byte, i int) []byte {
			if a.Value(i) {
				return append(dst, 1)
			}
			return append(dst, 0)
		}
	case *array.Int8:
		put = func(dst []byte, i int) []byte { return append(dst, byte(a.Value(i))) }
	case *array.Int16:
		put = func(dst []byte, i int) []byte { return binary.LittleEndian.AppendUint16(dst, uint16(a.Value(i))) }
	case *array.Int32:
		put = func(dst []byte, i int) []byte { return binary.LittleEndian.AppendUint32(dst, uint32(a.Value(i))) }
	case *array.Int64:
		put = func(dst []byte, i int) []byte { return binary.LittleEndian.AppendUint64(dst, uint64(a.Value(i))) }
	case *array.Date32:
		put = func(dst []byte, i int) []byte { return binary.LittleEndian.AppendUint32(dst, uint32(a.Value(i))) }
	case *array.Timestamp:
		put = func(dst []byte, i int) []byte { return binary.LittleEndian.AppendUint64(dst, uint64(a.Value(i))) }
	case *array.Float32:
		put = func(dst []byte, i int) []byte {
			return binary.LittleEndian.AppendUint32(dst, math.Float32bits(a.Value(i)))
		}
	case *array.Float64:
		put = func(dst []byte, i int) []byte {
			return binary.LittleEndian.AppendUint64(dst, math.Float64bits(a.Value(i)))
		}
	case *array.Decimal128:
		put = func(dst []byte, i int) []byte {
			v := a.Value(i)
			return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dst, v.LowBits()), uint64(v.HighBits()))
		}
	case *array.String:
		put = func(dst []byte, i int) []byte {
			v := a.Value(i)
			return append(binary.AppendUvarint(dst, uint64(len(v))), v...)
		}
	case *array.Binary:
		put = func(dst []byte, i int) []byte {
			v := a.Value(i)
			return append(binary.AppendUvarint(dst, uint64(len(v))), v...)
		}
	case *array.Map:
		key, item := valueEncoder(a.Keys()), valueEncoder(a.Items())
		put = func(dst []byte, i int) []byte {
			from, to := a.ValueOffsets(i)
			dst = binary.AppendUvarint(dst, uint64(to-from))
			for k := from; k < to; k++ {
				dst = item(key(dst, int(k)), int(k))
			}
			return dst
		}
	case *array.List:
		element := valueEncoder(a.ListValues())
		put = func(dst []byte, i int) []byte {
			from, to := a.ValueOffsets(i)
			dst = binary.AppendUvarint(dst, uint64(to-from))
			for k := from; k < to; k++ {
				dst = element(dst, int(k))
			}
			return dst
		}
	case *array.Struct:
		fields := make([]encoder, a.NumField())
		for k := range fields {
			fields[k] = valueEncoder(a.Field(k))
		}
		put = func(dst []byte, i int) []byte {
			for _, f := range fields {
				dst = f(dst, i)
			}
			return dst
		}
	default:
		return allNull // Not reached: NewCodec refuses the type.
	}
	return nullable(a, put)
}

func nullable(a arrow.Array, put encoder) encoder {
	if a.NullN() == 0 {
		return func(dst []byte, i int) []byte { return put(append(dst, isValue), i) }
	}
	return func(dst []byte, i int) []byte {
		if a.IsNull(i) {
			return append(dst, isNull)
		}
		return put(append(dst, isValue), i)
	}
}

// keyEncoder writes the values of an array so that their bytes sort as the
// values do, and no value is the start of another.
func keyEncoder(a arrow.Array) encoder {
	var put encoder
	switch a := a.(type) {
	case nil:
		return allNull
	case *array.Boolean:
		return valueEncoder(a)
	case *array.Int8:
		put = func(dst []byte, i int) []byte { return append(dst, byte(a.Value(i))^1<<7) }
	case *array.Int16:
		put = func(dst []byte, i int) []byte { return binary.BigEndian.AppendUint16(dst, uint16(a.Value(i))^1<<15) }
	case *array.Int32:
		put = func(dst []byte, i int) []byte { return binary.BigEndian.AppendUint32(dst, uint32(a.Value(i))^1<<31) }
	case *array.Int64:
		put = func(dst []byte, i int) []byte { return binary.BigEndian.AppendUint64(dst, uint64(a.Value(i))^1<<63) }
	case *array.Date32:
		put = func(dst []byte, i int) []byte { return binary.BigEndian.AppendUint32(dst, uint32(a.Value(i))^1<<31) }
	case *array.Timestamp:
		put = func(dst []byte, i int) []byte { return binary.BigEndian.AppendUint64(dst, uint64(a.Value(i))^1<<63) }
	case *array.Decimal128:
		put = func(dst []byte, i int) []byte {
			v := a.Value(i)
			return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, uint64(v.HighBits())^1<<63), v.LowBits())
		}
	case *array.String:
		put = func(dst []byte, i int) []byte { return appendSorted(dst, a.Value(i)) }
	case *array.Binary:
		put = func(dst []byte, i int) []byte { return appendSorted(dst, a.Value(i)) }
	default:
		return allNull // Not reached: NewCodec refuses the type.
	}
	return nullable(a, put)
}

// appendSorted ends a text with two bytes that sort before every other
// continuation; a zero byte inside it is marked as one.
func appendSorted[T string | []byte](dst []byte, v T) []byte {
	for i := range len(v) {
		dst = append(dst, v[i])
		if v[i] == 0 {
			dst = append(dst, 0xff)
		}
	}
	return append(dst, 0, 1)
}
