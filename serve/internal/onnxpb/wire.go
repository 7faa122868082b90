package onnxpb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// field is one field of a message: bits of a number, or the data of the rest.
type field struct {
	num  int
	wire int
	bits uint64
	data []byte
}

var errTruncated = errors.New("it ends early")

// fields calls do for each field of a message.
func fields(data []byte, do func(field) error) error {
	for len(data) > 0 {
		tag, n := binary.Uvarint(data)
		if n <= 0 || tag>>3 == 0 || tag>>3 > math.MaxInt32 {
			return errTruncated
		}
		data = data[n:]
		f := field{num: int(tag >> 3), wire: int(tag & 7)}
		switch f.wire {
		case 0:
			bits, n := binary.Uvarint(data)
			if n <= 0 {
				return errTruncated
			}
			f.bits, data = bits, data[n:]
		case 1:
			if len(data) < 8 {
				return errTruncated
			}
			f.bits, data = binary.LittleEndian.Uint64(data), data[8:]
		case 2:
			size, n := binary.Uvarint(data)
			if n <= 0 || size > uint64(len(data)-n) {
				return errTruncated
			}
			f.data, data = data[n:n+int(size)], data[n+int(size):]
		case 5:
			if len(data) < 4 {
				return errTruncated
			}
			f.bits, data = uint64(binary.LittleEndian.Uint32(data)), data[4:]
		default:
			return fmt.Errorf("a field of wire type %d", f.wire)
		}
		if err := do(f); err != nil {
			return err
		}
	}
	return nil
}

// varints appends the numbers of a repeated field, packed or single.
func varints(list []int64, f field) ([]int64, error) {
	if f.wire != 2 {
		return append(list, int64(f.bits)), nil
	}
	for data := f.data; len(data) > 0; {
		v, n := binary.Uvarint(data)
		if n <= 0 {
			return nil, errTruncated
		}
		list, data = append(list, int64(v)), data[n:]
	}
	return list, nil
}

// floats is varints for float32.
func floats(list []float32, f field) ([]float32, error) {
	if f.wire != 2 {
		return append(list, math.Float32frombits(uint32(f.bits))), nil
	}
	if len(f.data)%4 != 0 {
		return nil, errTruncated
	}
	for data := f.data; len(data) > 0; data = data[4:] {
		list = append(list, math.Float32frombits(binary.LittleEndian.Uint32(data)))
	}
	return list, nil
}

// doubles is varints for float64.
func doubles(list []float64, f field) ([]float64, error) {
	if f.wire != 2 {
		return append(list, math.Float64frombits(f.bits)), nil
	}
	if len(f.data)%8 != 0 {
		return nil, errTruncated
	}
	for data := f.data; len(data) > 0; data = data[8:] {
		list = append(list, math.Float64frombits(binary.LittleEndian.Uint64(data)))
	}
	return list, nil
}
