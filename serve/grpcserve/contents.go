package grpcserve

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millwright-ml/millwright/serve/oip"
)

// contents are the elements of a tensor as an InferTensorContents has them, as
// they are on the wire: what the datatype needs is read once the shape is known.
type contents struct {
	set    bool
	fields []field
}

// add notes a field of the message.
func (c *contents) add(f *field) error {
	c.fields = append(c.fields, *f)
	return nil
}

// contentsField is the number of the field for a datatype, 0 where it has none.
func contentsField(d oip.Datatype) protowire.Number {
	switch d {
	case oip.BOOL:
		return 1
	case oip.INT8, oip.INT16, oip.INT32:
		return 2
	case oip.INT64:
		return 3
	case oip.UINT8, oip.UINT16, oip.UINT32:
		return 4
	case oip.UINT64:
		return 5
	case oip.FP32:
		return 6
	case oip.FP64:
		return 7
	case oip.BYTES:
		return 8
	}
	return 0
}

// tensor gives t the elements. most is how many it may have.
func (c *contents) tensor(t *oip.Tensor, most int64) error {
	num := contentsField(t.Datatype)
	if num == 0 {
		return fmt.Errorf("datatype %.40q has no form in contents: %w", t.Datatype, ErrInvalid)
	}
	for i := range c.fields {
		if c.fields[i].num != num {
			return fmt.Errorf("datatype %s is in field %d of the contents, found field %d: %w", t.Datatype, num, c.fields[i].num, ErrInvalid)
		}
	}
	var data any
	var err error
	switch t.Datatype {
	case oip.BOOL:
		data, err = varints(c, most, func(v uint64) (bool, bool) { return v != 0, true })
	case oip.INT8:
		data, err = varints(c, most, signed[int8])
	case oip.INT16:
		data, err = varints(c, most, signed[int16])
	case oip.INT32:
		data, err = varints(c, most, signed[int32])
	case oip.INT64:
		data, err = varints(c, most, func(v uint64) (int64, bool) { return int64(v), true })
	case oip.UINT8:
		data, err = varints(c, most, unsigned[uint8])
	case oip.UINT16:
		data, err = varints(c, most, unsigned[uint16])
	case oip.UINT32:
		data, err = varints(c, most, unsigned[uint32])
	case oip.UINT64:
		data, err = varints(c, most, func(v uint64) (uint64, bool) { return v, true })
	case oip.FP32:
		data, err = scalars(c, most, protowire.Fixed32Type, func(b []byte) (float32, int) {
			v, n := protowire.ConsumeFixed32(b)
			return math.Float32frombits(v), n
		}, func(v uint64) (float32, bool) { return math.Float32frombits(uint32(v)), true })
	case oip.FP64:
		data, err = scalars(c, most, protowire.Fixed64Type, func(b []byte) (float64, int) {
			v, n := protowire.ConsumeFixed64(b)
			return math.Float64frombits(v), n
		}, func(v uint64) (float64, bool) { return math.Float64frombits(v), true })
	default:
		data, err = c.texts(most)
	}
	if err != nil {
		return err
	}
	*t = oip.New(t.Name, t.Datatype, t.Shape, data)
	return nil
}

// signed narrows what int_contents carries, which is an int32.
func signed[T int8 | int16 | int32](v uint64) (T, bool) {
	n := T(int32(v))
	return n, int32(n) == int32(v)
}

// unsigned narrows what uint_contents carries, which is a uint32.
func unsigned[T uint8 | uint16 | uint32](v uint64) (T, bool) {
	n := T(uint32(v))
	return n, uint32(n) == uint32(v)
}

func varints[T any](c *contents, most int64, narrow func(uint64) (T, bool)) ([]T, error) {
	var wide []T
	err := walk(c, most, protowire.VarintType, protowire.ConsumeVarint, func(v uint64) bool {
		n, ok := narrow(v)
		wide = append(wide, n)
		return ok
	})
	return wide, err
}

func scalars[T any](c *contents, most int64, kind protowire.Type, packed func([]byte) (T, int), one func(uint64) (T, bool)) ([]T, error) {
	var list []T
	if len(c.fields) == 1 && c.fields[0].kind == protowire.BytesType {
		size := 4
		if kind == protowire.Fixed64Type {
			size = 8
		}
		list = make([]T, 0, min(int64(len(c.fields[0].bytes)/size), most))
	}
	for i := range c.fields {
		f := &c.fields[i]
		if f.kind != protowire.BytesType {
			if err := f.want(kind); err != nil {
				return nil, err
			}
			v, _ := one(f.n)
			if list = append(list, v); int64(len(list)) > most {
				return nil, tooMany(most)
			}
			continue
		}
		for b := f.bytes; len(b) > 0; {
			v, n := packed(b)
			if n < 0 {
				return nil, errWire
			}
			if list = append(list, v); int64(len(list)) > most {
				return nil, tooMany(most)
			}
			b = b[n:]
		}
	}
	return list, nil
}

// walk calls each with the varints of the fields, packed or not.
func walk(c *contents, most int64, kind protowire.Type, packed func([]byte) (uint64, int), each func(uint64) bool) error {
	n := int64(0)
	add := func(v uint64) error {
		if n++; n > most {
			return tooMany(most)
		}
		if !each(v) {
			return fmt.Errorf("element %d of the contents is out of the range of the datatype: %w", n-1, ErrInvalid)
		}
		return nil
	}
	for i := range c.fields {
		f := &c.fields[i]
		if f.kind != protowire.BytesType {
			if err := f.want(kind); err != nil {
				return err
			}
			if err := add(f.n); err != nil {
				return err
			}
			continue
		}
		for b := f.bytes; len(b) > 0; {
			v, size := packed(b)
			if size < 0 {
				return errWire
			}
			b = b[size:]
			if err := add(v); err != nil {
				return err
			}
		}
	}
	return nil
}

// texts copies the elements of BYTES into one array.
func (c *contents) texts(most int64) ([][]byte, error) {
	if int64(len(c.fields)) > most {
		return nil, tooMany(most)
	}
	size := 0
	for i := range c.fields {
		if err := c.fields[i].want(protowire.BytesType); err != nil {
			return nil, err
		}
		size += len(c.fields[i].bytes)
	}
	all := make([]byte, 0, size)
	list := make([][]byte, len(c.fields))
	for i := range c.fields {
		from := len(all)
		all = append(all, c.fields[i].bytes...)
		list[i] = all[from:len(all):len(all)]
	}
	return list, nil
}

func tooMany(most int64) error {
	return fmt.Errorf("the contents have more elements than the shape and the limit allow, %d: %w", most, ErrInvalid)
}

// appendContents appends the InferTensorContents of a tensor.
func appendContents(b []byte, t *oip.Tensor) []byte {
	num := contentsField(t.Datatype)
	switch t.Datatype {
	case oip.BOOL:
		v := t.BOOL()
		return appendPacked(b, num, len(v), func(i int) uint64 { return protowire.EncodeBool(v[i]) })
	case oip.INT8:
		v := t.INT8()
		return appendPacked(b, num, len(v), func(i int) uint64 { return uint64(v[i]) })
	case oip.INT16:
		v := t.INT16()
		return appendPacked(b, num, len(v), func(i int) uint64 { return uint64(v[i]) })
	case oip.INT32:
		v := t.INT32()
		return appendPacked(b, num, len(v), func(i int) uint64 { return uint64(v[i]) })
	case oip.INT64:
		v := t.INT64()
		return appendPacked(b, num, len(v), func(i int) uint64 { return uint64(v[i]) })
	case oip.UINT8:
		v := t.UINT8()
		return appendPacked(b, num, len(v), func(i int) uint64 { return uint64(v[i]) })
	case oip.UINT16:
		v := t.UINT16()
		return appendPacked(b, num, len(v), func(i int) uint64 { return uint64(v[i]) })
	case oip.UINT32:
		v := t.UINT32()
		return appendPacked(b, num, len(v), func(i int) uint64 { return uint64(v[i]) })
	case oip.UINT64:
		v := t.UINT64()
		return appendPacked(b, num, len(v), func(i int) uint64 { return v[i] })
	case oip.FP32, oip.FP64:
		if t.Len() == 0 {
			return b
		}
		// Packed floats are the raw bytes of the tensor.
		b = protowire.AppendTag(b, num, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(t.Len()*t.Datatype.Size()))
		return oip.AppendRaw(b, t)
	case oip.BYTES:
		for _, v := range t.BYTES() {
			b = protowire.AppendTag(b, num, protowire.BytesType)
			b = protowire.AppendBytes(b, v)
		}
	}
	return b
}
