package arrowcross_test

import (
	"strings"
	"testing"
	"unsafe"

	arrow15 "github.com/apache/arrow/go/v15/arrow"
	array15 "github.com/apache/arrow/go/v15/arrow/array"
	mem15 "github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	arrow18 "github.com/apache/arrow-go/v18/arrow"
	array18 "github.com/apache/arrow-go/v18/arrow/array"
	mem18 "github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/millwright-ml/millwright/dataset/internal/arrowcross"
)

// shared are types that both libraries lay out alike.
var shared = []arrow15.DataType{
	arrow15.Null,
	arrow15.FixedWidthTypes.Boolean,
	arrow15.PrimitiveTypes.Int8, arrow15.PrimitiveTypes.Int16, arrow15.PrimitiveTypes.Int32, arrow15.PrimitiveTypes.Int64,
	arrow15.PrimitiveTypes.Uint8, arrow15.PrimitiveTypes.Uint16, arrow15.PrimitiveTypes.Uint32, arrow15.PrimitiveTypes.Uint64,
	arrow15.FixedWidthTypes.Float16, arrow15.PrimitiveTypes.Float32, arrow15.PrimitiveTypes.Float64,
	arrow15.BinaryTypes.String, arrow15.BinaryTypes.Binary, arrow15.BinaryTypes.LargeString, arrow15.BinaryTypes.LargeBinary,
	&arrow15.FixedSizeBinaryType{ByteWidth: 3},
	arrow15.FixedWidthTypes.Date32, arrow15.FixedWidthTypes.Date64,
	arrow15.FixedWidthTypes.Time32ms, arrow15.FixedWidthTypes.Time64ns, arrow15.FixedWidthTypes.Duration_us,
	arrow15.FixedWidthTypes.Timestamp_us, &arrow15.TimestampType{Unit: arrow15.Nanosecond},
	&arrow15.Decimal128Type{Precision: 20, Scale: 3}, &arrow15.Decimal256Type{Precision: 50, Scale: 3},
	&arrow15.DictionaryType{IndexType: arrow15.PrimitiveTypes.Int16, ValueType: arrow15.BinaryTypes.String},
	arrow15.ListOf(arrow15.BinaryTypes.String), arrow15.LargeListOf(arrow15.PrimitiveTypes.Int8),
	arrow15.FixedSizeListOf(2, arrow15.PrimitiveTypes.Float32),
	arrow15.MapOf(arrow15.BinaryTypes.String, arrow15.ListOf(arrow15.PrimitiveTypes.Int64)),
	arrow15.StructOf(arrow15.Field{Name: "a", Type: arrow15.PrimitiveTypes.Int64}, arrow15.Field{Name: "b", Type: arrow15.BinaryTypes.String, Nullable: true}),
}

// rows are JSON values that a column of the type can hold.
func rows(t arrow15.DataType) string {
	switch t := t.(type) {
	case *arrow15.NullType:
		return `[null, null, null, null]`
	case *arrow15.BooleanType:
		return `[true, null, false, true]`
	case *arrow15.BinaryType, *arrow15.LargeBinaryType, *arrow15.FixedSizeBinaryType:
		return `["AAEC", null, "////", "AAAA"]`
	case *arrow15.StringType, *arrow15.LargeStringType:
		return `["", null, "größe", "x"]`
	case *arrow15.DictionaryType:
		return rows(t.ValueType)
	case *arrow15.ListType:
		return `[["a", null], null, [], ["b"]]`
	case *arrow15.LargeListType:
		return `[[1, null], null, [], [2]]`
	case *arrow15.FixedSizeListType:
		return `[[1, 2], null, [3, 4], [5, 6]]`
	case *arrow15.MapType:
		return `[[{"key": "k", "value": [1, 2]}], null, [], [{"key": "l", "value": null}]]`
	case *arrow15.StructType:
		return `[{"a": 1, "b": "x"}, null, {"a": 2, "b": null}, {"a": 3, "b": "y"}]`
	}
	return `[1, null, 0, 3]`
}

func TestEveryTypeCrossesBothWaysWithoutACopy(t *testing.T) {
	t.Parallel()
	for _, typ := range shared {
		t.Run(typ.String(), func(t *testing.T) {
			t.Parallel()
			mem := mem15.NewCheckedAllocator(mem15.DefaultAllocator)
			col, _, err := array15.FromJSON(mem, typ, strings.NewReader(rows(typ)))
			require.NoError(t, err)
			schema15 := arrow15.NewSchema([]arrow15.Field{{Name: "c", Type: typ, Nullable: true}}, nil)
			whole := array15.NewRecord(schema15, []arrow15.Array{col}, int64(col.Len()))
			rec := whole.NewSlice(1, 4) // Offsets must survive too.
			text := rec.Column(0).String()
			col.Release()
			whole.Release()

			schema18, err := arrowcross.Schema18(schema15)
			require.NoError(t, err)
			there := arrowcross.Record18(rec, schema18, []int{0})
			requireSharedBuffers(t, rec.Column(0).Data().Buffers(), there.Column(0).Data().Buffers())
			rec.Release() // The crossed record keeps the bytes alive by itself.
			require.Equal(t, 3, there.Column(0).Len())

			home, err := arrowcross.Schema15(schema18)
			require.NoError(t, err)
			require.True(t, arrow15.TypeEqual(typ, home.Field(0).Type), "%s became %s", typ, home.Field(0).Type)
			back := arrowcross.Record15(there, home, []int{0})
			there.Release()
			require.Equal(t, text, back.Column(0).String())
			if typ.ID() != arrow15.NULL {
				require.NotZero(t, mem.CurrentAlloc())
			}
			back.Release()
			mem.AssertSize(t, 0)
		})
	}
}

func requireSharedBuffers(t *testing.T, a []*mem15.Buffer, b []*mem18.Buffer) {
	require.Len(t, b, len(a))
	for i := range a {
		if a[i] == nil || a[i].Len() == 0 {
			continue
		}
		require.Same(t, unsafe.SliceData(a[i].Bytes()), unsafe.SliceData(b[i].Bytes()))
	}
}

func TestSliceOfACrossedRecordOutlivesIt(t *testing.T) {
	t.Parallel()
	mem := mem18.NewCheckedAllocator(mem18.DefaultAllocator)
	b := array18.NewInt64Builder(mem)
	b.AppendValues([]int64{1, 2, 3}, nil)
	col := b.NewArray()
	b.Release()
	schema := arrow18.NewSchema([]arrow18.Field{{Name: "n", Type: arrow18.PrimitiveTypes.Int64}}, nil)
	rec := array18.NewRecordBatch(schema, []arrow18.Array{col}, 3)
	col.Release()
	home, err := arrowcross.Schema15(schema)
	require.NoError(t, err)
	crossed := arrowcross.Record15(rec, home, []int{0})
	rec.Release()
	part := crossed.NewSlice(1, 3)
	crossed.Release()
	require.Equal(t, []int64{2, 3}, part.Column(0).(*array15.Int64).Int64Values())
	part.Release()
	mem.AssertSize(t, 0)
}

func TestTypesOfOneVersionOnlyAreRefused(t *testing.T) {
	t.Parallel()
	for _, typ := range []arrow18.DataType{arrow18.BinaryTypes.StringView, arrow18.RunEndEncodedOf(arrow18.PrimitiveTypes.Int32, arrow18.BinaryTypes.String), arrow18.ListOf(arrow18.BinaryTypes.BinaryView), &arrow18.Decimal32Type{Precision: 5, Scale: 1}} {
		_, err := arrowcross.Type15(typ)
		require.Error(t, err, typ)
	}
	_, err := arrowcross.Schema18(arrow15.NewSchema([]arrow15.Field{{Name: "u", Type: arrow15.SparseUnionOf(nil, nil)}}, nil))
	require.ErrorContains(t, err, `column "u"`)
}

func TestSame(t *testing.T) {
	t.Parallel()
	for i, a := range shared {
		for j, b := range shared {
			require.Equal(t, i == j, arrowcross.Same(a, b), "%s and %s", a, b)
		}
	}
	require.True(t, arrowcross.Same(arrow15.ListOf(arrow15.PrimitiveTypes.Int8), arrow15.ListOfField(arrow15.Field{Name: "element", Type: arrow15.PrimitiveTypes.Int8})))
	one := arrow15.StructOf(arrow15.Field{Name: "a", Type: arrow15.PrimitiveTypes.Int8})
	require.False(t, arrowcross.Same(one, arrow15.StructOf(arrow15.Field{Name: "b", Type: arrow15.PrimitiveTypes.Int8})))
	require.False(t, arrowcross.Same(one, arrow15.StructOf()))
}
