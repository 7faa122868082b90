package arrowcross

import (
	arrow15 "github.com/apache/arrow/go/v15/arrow"
	array15 "github.com/apache/arrow/go/v15/arrow/array"
	mem15 "github.com/apache/arrow/go/v15/arrow/memory"

	arrow18 "github.com/apache/arrow-go/v18/arrow"
	array18 "github.com/apache/arrow-go/v18/arrow/array"
	mem18 "github.com/apache/arrow-go/v18/arrow/memory"
)

// Record18 shows the columns of rec as a v18 record of the given schema.
// columns[i] is the position in rec of the schema's field i. The types must be
// Same as those of rec; names and nullability are the schema's. The caller
// releases the result.
func Record18(rec arrow15.Record, schema *arrow18.Schema, columns []int) arrow18.RecordBatch {
	arrs := make([]arrow18.Array, schema.NumFields())
	for i := range arrs {
		data := data18(rec.Column(columns[i]).Data(), schema.Field(i).Type)
		arrs[i] = array18.MakeFromData(data)
		data.Release()
	}
	out := array18.NewRecordBatch(schema, arrs, rec.NumRows())
	for _, a := range arrs {
		a.Release()
	}
	return out
}

// Record15 is the way back: columns[i] is the position in rec of the schema's
// field i. The caller releases the result.
func Record15(rec arrow18.RecordBatch, schema *arrow15.Schema, columns []int) arrow15.Record {
	arrs := make([]arrow15.Array, len(schema.Fields()))
	for i := range arrs {
		data := data15(rec.Column(columns[i]).Data(), schema.Field(i).Type)
		arrs[i] = array15.MakeFromData(data)
		data.Release()
	}
	out := array15.NewRecord(schema, arrs, rec.NumRows())
	for _, a := range arrs {
		a.Release()
	}
	return out
}

func data18(d arrow15.ArrayData, t arrow18.DataType) *array18.Data {
	buffers := make([]*mem18.Buffer, len(d.Buffers()))
	for i, b := range d.Buffers() {
		buffers[i] = buffer18(b)
	}
	types := children18(t)
	children := make([]arrow18.ArrayData, len(d.Children()))
	for i, c := range d.Children() {
		children[i] = data18(c, types[i])
	}
	var out *array18.Data
	if dict, ok := t.(*arrow18.DictionaryType); ok {
		values := data18(d.Dictionary(), dict.ValueType)
		out = array18.NewDataWithDictionary(t, d.Len(), buffers, d.NullN(), d.Offset(), values)
		values.Release()
	} else {
		out = array18.NewData(t, d.Len(), buffers, children, d.NullN(), d.Offset())
	}
	for _, b := range buffers {
		if b != nil {
			b.Release()
		}
	}
	for _, c := range children {
		c.Release()
	}
	return out
}

func data15(d arrow18.ArrayData, t arrow15.DataType) *array15.Data {
	buffers := make([]*mem15.Buffer, len(d.Buffers()))
	for i, b := range d.Buffers() {
		buffers[i] = buffer15(b)
	}
	types := children15(t)
	children := make([]arrow15.ArrayData, len(d.Children()))
	for i, c := range d.Children() {
		children[i] = data15(c, types[i])
	}
	var out *array15.Data
	if dict, ok := t.(*arrow15.DictionaryType); ok {
		values := data15(d.Dictionary(), dict.ValueType)
		out = array15.NewDataWithDictionary(t, d.Len(), buffers, d.NullN(), d.Offset(), values)
		values.Release()
	} else {
		out = array15.NewData(t, d.Len(), buffers, children, d.NullN(), d.Offset())
	}
	for _, b := range buffers {
		if b != nil {
			b.Release()
		}
	}
	for _, c := range children {
		c.Release()
	}
	return out
}

// children18 lists the types of the child arrays of one array of type t.
func children18(t arrow18.DataType) []arrow18.DataType {
	switch t := t.(type) {
	case *arrow18.MapType:
		return []arrow18.DataType{t.Elem()}
	case arrow18.ListLikeType:
		return []arrow18.DataType{t.Elem()}
	case *arrow18.StructType:
		out := make([]arrow18.DataType, t.NumFields())
		for i := range out {
			out[i] = t.Field(i).Type
		}
		return out
	}
	return nil
}

func children15(t arrow15.DataType) []arrow15.DataType {
	switch t := t.(type) {
	case *arrow15.MapType:
		return []arrow15.DataType{t.Elem()}
	case arrow15.ListLikeType:
		return []arrow15.DataType{t.Elem()}
	case *arrow15.StructType:
		out := make([]arrow15.DataType, t.NumFields())
		for i := range out {
			out[i] = t.Field(i).Type
		}
		return out
	}
	return nil
}
