package grpcserve

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// parameter reads one entry of a map<string, InferParameter> into m.
func (f *field) parameter(m *map[string]any) error {
	var name string
	var value any
	err := f.nested(func(f *field) error {
		switch f.num {
		case 1:
			return f.text(&name)
		case 2:
			return f.nested(func(f *field) error { return f.choice(&value) })
		}
		return nil
	})
	if err != nil || value == nil {
		return err
	}
	if *m == nil {
		*m = make(map[string]any)
	}
	(*m)[name] = value
	return nil
}

// choice reads the oneof of an InferParameter, and bytes as
// ModelRepositoryParameter has them in place of a double.
func (f *field) choice(to *any) error {
	switch f.num {
	case 1:
		var on bool
		err := f.flag(&on)
		*to = on
		return err
	case 2:
		*to = int64(f.n)
		return f.want(protowire.VarintType)
	case 3:
		var s string
		err := f.text(&s)
		*to = s
		return err
	case 4:
		if f.kind == protowire.BytesType {
			*to = slices.Clone(f.bytes)
			return nil
		}
		*to = math.Float64frombits(f.n)
		return f.want(protowire.Fixed64Type)
	case 5:
		*to = f.n
		return f.want(protowire.VarintType)
	}
	return nil
}

// appendParameters appends a map<string, InferParameter> in the order of its
// keys.
func appendParameters(b []byte, num protowire.Number, m map[string]any) ([]byte, error) {
	if len(m) == 0 {
		return b, nil
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		var err error
		b = appendNested(b, num, func(b []byte) []byte {
			b = appendText(b, 1, k)
			return appendNested(b, 2, func(b []byte) []byte {
				b, err = appendChoice(b, m[k])
				return b
			})
		})
		if err != nil {
			return b, fmt.Errorf("parameter %.100q %w", k, err)
		}
	}
	return b, nil
}

// appendChoice appends the oneof of an InferParameter. A zero has to be written,
// as it says which of the choices it is.
func appendChoice(b []byte, v any) ([]byte, error) {
	varint := func(num protowire.Number, n uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), n)
	}
	switch v := v.(type) {
	case bool:
		return varint(1, protowire.EncodeBool(v)), nil
	case int:
		return varint(2, uint64(v)), nil
	case int64:
		return varint(2, uint64(v)), nil
	case uint64:
		return varint(5, v), nil
	case string:
		b = protowire.AppendTag(b, 3, protowire.BytesType)
		return protowire.AppendString(b, v), nil
	case []byte:
		b = protowire.AppendTag(b, 4, protowire.BytesType)
		return protowire.AppendBytes(b, v), nil
	case float64:
		b = protowire.AppendTag(b, 4, protowire.Fixed64Type)
		return protowire.AppendFixed64(b, math.Float64bits(v)), nil
	}
	return b, fmt.Errorf("is a %T, want a string, bool, int, int64, uint64 or float64: %w", v, ErrInvalid)
}
