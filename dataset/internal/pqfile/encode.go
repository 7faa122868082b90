package pqfile

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// The encoder here turns Arrow arrays straight into pages: values are looked at
// where they lie, packed once, and compressed where that pays. It writes flat
// columns and lists of flat elements; everything else takes the way through the
// library, whose chunks are then moved into the file.

// column writes the chunks of one top-level column, whose leaves are given.
func (s *Space) column(f arrow.Field, a arrow.Array, leaves []*schema.Column, bloom bool) ([]*chunkMeta, error) {
	if len(leaves) == 1 {
		c := s.begin(leaves[0])
		ok, err := c.column(a, f.Nullable, bloom)
		if err != nil {
			return nil, err
		}
		if ok {
			return []*chunkMeta{c.end()}, nil
		}
		s.file = c.out[:c.start]
	}
	return s.foreign(f, a, leaves)
}

// column writes a column that is one leaf, false when it cannot.
func (c *chunkEncoder) column(a arrow.Array, optional, bloom bool) (bool, error) {
	rows := shape{rows: a.Len(), optional: optional}
	if rows.rows == 0 {
		return true, nil
	}
	if a.NullN() > 0 {
		if !rows.optional {
			return false, fmt.Errorf("%d nulls where the schema has none", a.NullN())
		}
		rows.valid, rows.validOff = a.NullBitmapBytes(), a.Data().Offset()
	}
	if list, ok := a.(*array.List); ok {
		return c.list(list, rows)
	}
	if c.leaf.MaxRepetitionLevel() > 0 || c.leaf.MaxDefinitionLevel() > 1 || optional != (c.leaf.MaxDefinitionLevel() == 1) {
		return false, nil
	}
	return c.leafValues(a, rows, rows.valid, rows.validOff, bloom)
}

// list writes a list of flat elements.
func (c *chunkEncoder) list(a *array.List, rows shape) (bool, error) {
	elem := a.DataType().(*arrow.ListType).ElemField()
	full := int16(1)
	for _, nullable := range []bool{rows.optional, elem.Nullable} {
		if nullable {
			full++
		}
	}
	if c.leaf.MaxRepetitionLevel() != 1 || c.leaf.MaxDefinitionLevel() != full {
		return false, nil
	}
	rows.list, rows.offsets = true, a.Offsets()[a.Data().Offset():a.Data().Offset()+a.Len()+1]
	if rows.valid != nil {
		for i := range a.Len() {
			if a.IsNull(i) && rows.offsets[i+1] != rows.offsets[i] {
				return false, nil // There is something below a null.
			}
		}
	}
	from, to := int64(rows.offsets[0]), int64(rows.offsets[a.Len()])
	part := array.NewSlice(a.ListValues(), from, to)
	defer part.Release()
	rows.elems.optional = elem.Nullable
	if part.NullN() > 0 {
		if !elem.Nullable {
			return false, fmt.Errorf("%d nulls in lists where the schema has none", part.NullN())
		}
		rows.elems.valid, rows.elems.off = part.NullBitmapBytes(), part.Data().Offset()
	}
	c.element, c.indexed = true, false
	return c.leafValues(part, rows, rows.elems.valid, rows.elems.off, false)
}

// values writes what is not null of an array.
func (c *chunkEncoder) leafValues(a arrow.Array, rows shape, valid []byte, off int, bloom bool) (bool, error) {
	physical := c.leaf.PhysicalType()
	switch a := a.(type) {
	case *array.Boolean:
		if physical == parquet.Types.Boolean {
			return true, c.bools(a, rows, valid, off)
		}
	case *array.Int8:
		if physical == parquet.Types.Int32 {
			return true, writeNumbers(c, rows, dense(&c.i32, widen(&c.i32, a.Int8Values()), valid, off), bloom)
		}
	case *array.Int16:
		if physical == parquet.Types.Int32 {
			return true, writeNumbers(c, rows, dense(&c.i32, widen(&c.i32, a.Int16Values()), valid, off), bloom)
		}
	case *array.Int32:
		if physical == parquet.Types.Int32 {
			return true, writeNumbers(c, rows, dense(&c.i32, a.Int32Values(), valid, off), bloom)
		}
	case *array.Date32:
		if physical == parquet.Types.Int32 {
			return true, writeNumbers(c, rows, dense(&c.i32, arrow.Int32Traits.CastFromBytes(asBytes(a.Date32Values())), valid, off), bloom)
		}
	case *array.Int64:
		if physical == parquet.Types.Int64 {
			return true, writeNumbers(c, rows, dense(&c.i64, a.Int64Values(), valid, off), bloom)
		}
	case *array.Timestamp:
		if physical == parquet.Types.Int64 && a.DataType().(*arrow.TimestampType).Unit != arrow.Second {
			return true, writeNumbers(c, rows, dense(&c.i64, arrow.Int64Traits.CastFromBytes(asBytes(a.TimestampValues())), valid, off), bloom)
		}
	case *array.Float32:
		if physical == parquet.Types.Float {
			return true, writeNumbers(c, rows, dense(&c.f32, a.Float32Values(), valid, off), false)
		}
	case *array.Float64:
		if physical == parquet.Types.Double {
			return true, writeNumbers(c, rows, dense(&c.f64, a.Float64Values(), valid, off), false)
		}
	case *array.Decimal128:
		if physical == parquet.Types.FixedLenByteArray {
			return true, c.decimals(a.Values(), rows, valid, off)
		}
	case *array.String:
		if physical == parquet.Types.ByteArray {
			return true, c.textValues(a.ValueOffsets(), a.Data().Buffers()[2], true, rows, valid, off, bloom)
		}
	case *array.Binary:
		if physical == parquet.Types.ByteArray {
			return true, c.textValues(a.ValueOffsets(), a.Data().Buffers()[2], false, rows, valid, off, bloom)
		}
	}
	return false, nil
}

// dense are the values that are not null, in buf unless none is.
func dense[T any](buf *[]T, values []T, valid []byte, off int) []T {
	if valid == nil {
		return values
	}
	if cap(*buf) < len(values) {
		*buf = make([]T, len(values))
	}
	return compact((*buf)[:len(values)], values, valid, off)
}

// widen makes numbers of 32 bits, as Parquet has no shorter ones.
func widen[T int8 | int16](buf *[]int32, values []T) []int32 {
	if cap(*buf) < len(values) {
		*buf = make([]int32, len(values))
	}
	out := (*buf)[:len(values)]
	for i, v := range values {
		out[i] = int32(v)
	}
	return out
}
