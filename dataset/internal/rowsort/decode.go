package rowsort

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
)

var errShort = errors.New("the row is cut short")

// decoder takes one value from the front of a row into its builder.
type decoder func(src []byte) (rest []byte, err error)

// newDecoder reads what valueEncoder writes. The bytes may have been to a disk
// and back, so they are checked.
func newDecoder(b array.Builder) decoder {
	switch b := b.(type) {
	case *array.BooleanBuilder:
		return fixed(b, 1, func(v []byte) { b.Append(v[0] != 0) })
	case *array.Int8Builder:
		return fixed(b, 1, func(v []byte) { b.Append(int8(v[0])) })
	case *array.Int16Builder:
		return fixed(b, 2, func(v []byte) { b.Append(int16(binary.LittleEndian.Uint16(v))) })
	case *array.Int32Builder:
		return fixed(b, 4, func(v []byte) { b.Append(int32(binary.LittleEndian.Uint32(v))) })
	case *array.Int64Builder:
		return fixed(b, 8, func(v []byte) { b.Append(int64(binary.LittleEndian.Uint64(v))) })
	case *array.Date32Builder:
		return fixed(b, 4, func(v []byte) { b.Append(arrow.Date32(binary.LittleEndian.Uint32(v))) })
	case *array.TimestampBuilder:
		return fixed(b, 8, func(v []byte) { b.Append(arrow.Timestamp(binary.LittleEndian.Uint64(v))) })
	case *array.Float32Builder:
		return fixed(b, 4, func(v []byte) { b.Append(math.Float32frombits(binary.LittleEndian.Uint32(v))) })
	case *array.Float64Builder:
		return fixed(b, 8, func(v []byte) { b.Append(math.Float64frombits(binary.LittleEndian.Uint64(v))) })
	case *array.Decimal128Builder:
		return fixed(b, 16, func(v []byte) {
			b.Append(decimal128.New(int64(binary.LittleEndian.Uint64(v[8:])), binary.LittleEndian.Uint64(v)))
		})
	case *array.StringBuilder:
		return counted(b, 1, func(n int, src []byte) ([]byte, error) {
			b.BinaryBuilder.Append(src[:n])
			return src[n:], nil
		})
	case *array.BinaryBuilder:
		return counted(b, 1, func(n int, src []byte) ([]byte, error) {
			b.Append(src[:n])
			return src[n:], nil
		})
	case *array.MapBuilder:
		key, item := newDecoder(b.KeyBuilder()), newDecoder(b.ItemBuilder())
		return counted(b, 2, func(n int, src []byte) (_ []byte, err error) {
			b.Append(true)
			for range n {
				if src, err = key(src); err != nil {
					return nil, err
				}
				if src, err = item(src); err != nil {
					return nil, err
				}
			}
			return src, nil
		})
	case *array.ListBuilder:
		element := newDecoder(b.ValueBuilder())
		return counted(b, 1, func(n int, src []byte) (_ []byte, err error) {
			b.Append(true)
			for range n {
				if src, err = element(src); err != nil {
					return nil, err
				}
			}
			return src, nil
		})
	case *array.StructBuilder:
		fields := make([]decoder, b.NumField())
		for k := range fields {
			fields[k] = newDecoder(b.FieldBuilder(k))
		}
		return orNull(b, func(src []byte) (_ []byte, err error) {
			b.Append(true)
			for _, f := range fields {
				if src, err = f(src); err != nil {
					return nil, err
				}
			}
			return src, nil
		})
	}
	return func([]byte) ([]byte, error) { return nil, fmt.Errorf("values of type %s are not compared", b.Type()) }
}

// orNull reads the byte in front of a value.
func orNull(b array.Builder, take decoder) decoder {
	return func(src []byte) ([]byte, error) {
		switch {
		case len(src) == 0:
			return nil, errShort
		case src[0] == isNull:
			b.AppendNull()
			return src[1:], nil
		case src[0] != isValue:
			return nil, fmt.Errorf("a value starts with byte %d", src[0])
		}
		return take(src[1:])
	}
}

func fixed(b array.Builder, n int, put func([]byte)) decoder {
	return orNull(b, func(src []byte) ([]byte, error) {
		if len(src) < n {
			return nil, errShort
		}
		put(src[:n])
		return src[n:], nil
	})
}

// counted reads a value with a length in front.
func counted(b array.Builder, size int, take func(n int, src []byte) ([]byte, error)) decoder {
	return orNull(b, func(src []byte) ([]byte, error) {
		n, src, err := takeCount(src, size)
		if err != nil {
			return nil, err
		}
		return take(n, src)
	})
}
