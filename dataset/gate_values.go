package dataset

import (
	"encoding/binary"
	"math"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// checkFields says which checks the columns of a schema can take.
func checkFields(schema *arrow.Schema) []profile.Field {
	fields := make([]profile.Field, len(schema.Fields()))
	for i, f := range schema.Fields() {
		fields[i] = profile.Field{Name: f.Name, Type: plainType(f.Type).String(), Class: profile.Other}
		switch f.Type.ID() {
		case arrow.BOOL, arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64, arrow.FLOAT32, arrow.FLOAT64, arrow.DECIMAL128:
			fields[i].Class = profile.Number
		case arrow.STRING:
			fields[i].Class = profile.Text
		case arrow.DATE32, arrow.TIMESTAMP:
			fields[i].Class = profile.Time
		case arrow.LIST, arrow.MAP, arrow.STRUCT:
			fields[i].Class = profile.Nested
		}
	}
	return fields
}

// plainType gives list elements the name that Arrow gives them: a table read from
// its log has Delta's, and both are the same type to who expects it.
func plainType(t arrow.DataType) arrow.DataType {
	switch t := t.(type) {
	case *arrow.MapType:
		m := arrow.MapOf(plainType(t.KeyType()), plainType(t.ItemType()))
		m.SetItemNullable(t.ItemField().Nullable)
		return m
	case *arrow.ListType:
		elem := t.ElemField()
		return arrow.ListOfField(arrow.Field{Name: "item", Type: plainType(elem.Type), Nullable: elem.Nullable})
	case *arrow.StructType:
		fields := make([]arrow.Field, len(t.Fields()))
		for i, f := range t.Fields() {
			fields[i] = arrow.Field{Name: f.Name, Type: plainType(f.Type), Nullable: f.Nullable}
		}
		return arrow.StructOf(fields...)
	}
	return t
}

// valuesOf shows an array to a checker, without a copy.
func valuesOf(a arrow.Array) profile.Values {
	v := profile.Values{Len: a.Len(), Nulls: a.NullN(), Null: a.IsNull, Show: a.ValueStr}
	switch a := a.(type) {
	case *array.Boolean:
		number(&v, func(i int) int64 {
			if a.Value(i) {
				return 1
			}
			return 0
		})
	case *array.Int8:
		number(&v, func(i int) int64 { return int64(a.Value(i)) })
	case *array.Int16:
		number(&v, func(i int) int64 { return int64(a.Value(i)) })
	case *array.Int32:
		number(&v, func(i int) int64 { return int64(a.Value(i)) })
	case *array.Int64:
		number(&v, a.Value)
	case *array.Date32:
		number(&v, func(i int) int64 { return int64(a.Value(i)) })
		v.Float = func(i int) float64 { return float64(a.Value(i)) * 86400 }
	case *array.Timestamp:
		number(&v, func(i int) int64 { return int64(a.Value(i)) })
		v.Float = func(i int) float64 { return float64(a.Value(i)) / 1e6 }
	case *array.Float32:
		v.Float = func(i int) float64 { return float64(a.Value(i)) }
		v.Key = floatKey(v.Float)
	case *array.Float64:
		v.Float = a.Value
		v.Key = floatKey(v.Float)
	case *array.Decimal128:
		scale := a.DataType().(*arrow.Decimal128Type).Scale
		v.Float = func(i int) float64 { return a.Value(i).ToFloat64(scale) }
		v.Key = func(i int, to []byte) []byte {
			n := a.Value(i)
			return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(to, n.LowBits()), uint64(n.HighBits()))
		}
		v.Show = func(i int) string { return a.Value(i).ToString(scale) } // ValueStr goes through a float64.
	case *array.String:
		v.Text = a.Value
		v.Key = func(i int, to []byte) []byte { return append(to, a.Value(i)...) }
	case *array.Binary:
		v.Key = func(i int, to []byte) []byte { return append(to, a.Value(i)...) }
	}
	return v
}

func number(v *profile.Values, value func(int) int64) {
	v.Float = func(i int) float64 { return float64(value(i)) }
	v.Key = func(i int, to []byte) []byte { return binary.LittleEndian.AppendUint64(to, uint64(value(i))) }
}

// floatKey makes one of the two zeros, and one of all NaNs.
func floatKey(value func(int) float64) func(int, []byte) []byte {
	return func(i int, to []byte) []byte {
		f := value(i)
		switch {
		case f == 0:
			f = 0
		case f != f:
			f = math.NaN()
		}
		return binary.LittleEndian.AppendUint64(to, math.Float64bits(f))
	}
}
