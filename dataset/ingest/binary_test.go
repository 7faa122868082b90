package ingest_test

import (
	"bytes"
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	arrow18 "github.com/apache/arrow-go/v18/arrow"
	array18 "github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	memory18 "github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/millwright-ml/millwright/dataset/ingest"
)

// foreign has what other tools write and a dataset has no type for.
var foreign = arrow18.NewSchema([]arrow18.Field{
	{Name: "id", Type: arrow18.PrimitiveTypes.Int64},
	{Name: "u8", Type: arrow18.PrimitiveTypes.Uint8, Nullable: true},
	{Name: "u16", Type: arrow18.PrimitiveTypes.Uint16, Nullable: true},
	{Name: "u32", Type: arrow18.PrimitiveTypes.Uint32, Nullable: true},
	{Name: "u64", Type: arrow18.PrimitiveTypes.Uint64, Nullable: true},
	{Name: "f16", Type: arrow18.FixedWidthTypes.Float16, Nullable: true},
	{Name: "ns", Type: &arrow18.TimestampType{Unit: arrow18.Nanosecond, TimeZone: "Europe/Berlin"}, Nullable: true},
	{Name: "ms", Type: &arrow18.TimestampType{Unit: arrow18.Millisecond, TimeZone: "UTC"}, Nullable: true},
	{Name: "big", Type: arrow18.BinaryTypes.LargeString, Nullable: true},
	{Name: "fixed", Type: &arrow18.FixedSizeBinaryType{ByteWidth: 2}, Nullable: true},
	{Name: "vec", Type: arrow18.FixedSizeListOf(2, arrow18.PrimitiveTypes.Float32), Nullable: true},
	{Name: "deep", Type: arrow18.ListOf(arrow18.StructOf(arrow18.Field{Name: "u", Type: arrow18.PrimitiveTypes.Uint16, Nullable: true})), Nullable: true},
	{Name: "kind", Type: &arrow18.DictionaryType{IndexType: arrow18.PrimitiveTypes.Int32, ValueType: arrow18.BinaryTypes.String}, Nullable: true},
	{Name: "d64", Type: arrow18.FixedWidthTypes.Date64, Nullable: true},
}, nil)

const foreignJSON = `[
{"id":1,"u8":200,"u16":65535,"u32":4294967295,"u64":9223372036854775807,"f16":1.5,"ns":"2026-11-21T12:00:00.000001Z","ms":"2026-11-21T12:00:00.001Z","big":"x","fixed":"YWI=","vec":[1,2],"deep":[{"u":65535},null],"kind":"a","d64":"2026-11-21"},
{"id":2,"vec":[0,0]},
{"id":3,"u8":0,"u16":0,"u32":0,"u64":0,"f16":-2,"ns":"1969-12-31T23:59:59.999999Z","ms":"1969-12-31T23:59:59.999Z","big":"","fixed":"AAA=","vec":[3,null],"deep":[],"kind":"b","d64":"1969-12-31"}]`

func foreignRecord(t testing.TB) arrow18.RecordBatch {
	rec, _, err := array18.RecordFromJSON(memory18.DefaultAllocator, foreign, strings.NewReader(foreignJSON))
	require.NoError(t, err)
	return rec
}

func arrowStream(t testing.TB, recs ...arrow18.RecordBatch) []byte {
	var b bytes.Buffer
	w := ipc.NewWriter(&b, ipc.WithSchema(recs[0].Schema()), ipc.WithZstd(), ipc.WithDictionaryDeltas(true))
	for _, rec := range recs {
		require.NoError(t, w.Write(rec))
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func arrowFile(t testing.TB, recs ...arrow18.RecordBatch) []byte {
	var b bytes.Buffer
	w, err := ipc.NewFileWriter(&b, ipc.WithSchema(recs[0].Schema()), ipc.WithLZ4())
	require.NoError(t, err)
	for _, rec := range recs {
		require.NoError(t, w.Write(rec))
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func parquetFile(t testing.TB, recs ...arrow18.RecordBatch) []byte {
	var b bytes.Buffer
	w, err := pqarrow.NewFileWriter(recs[0].Schema(), &b, nil, pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	require.NoError(t, err)
	for _, rec := range recs {
		require.NoError(t, w.Write(rec))
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func readBytes(t testing.TB, name string, data []byte, o *ingest.Options) (*arrow.Schema, []string, error) {
	t.Helper()
	var opts ingest.Options
	if o != nil {
		opts = *o
	}
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	opts.Allocator = mem
	r, err := ingest.NewReader(context.Background(), name, bytes.NewReader(data), &opts)
	if err != nil {
		mem.AssertSize(t, 0)
		return nil, nil, err
	}
	schema := r.Schema()
	out, err := rows(r)
	mem.AssertSize(t, 0)
	return schema, out, err
}

func TestForeignTypesKeepTheirValues(t *testing.T) {
	t.Parallel()
	rec := foreignRecord(t)
	const want = "id int64, u8 int16, u16 int32, u32 int64, u64 int64, f16 float32, ns timestamp[us, tz=UTC], ms timestamp[us, tz=UTC], big utf8, fixed binary, vec list<item: float32, nullable>, deep list<item: struct<u: int32>, nullable>, kind utf8, d64 date32"
	for name, data := range map[string][]byte{
		"a.arrows": arrowStream(t, rec, rec), "a.feather": arrowFile(t, rec, rec), "a.parquet": parquetFile(t, rec, rec), "unnamed": arrowFile(t, rec, rec),
	} {
		schema, got, err := readBytes(t, name, data, nil)
		require.NoError(t, err, name)
		require.Equal(t, want, types(schema), name)
		one := []string{
			`1|200|65535|4294967295|9223372036854775807|1.5|2026-11-21 12:00:00.000001Z|2026-11-21 12:00:00.001Z|x|YWI=|[1,2]|[{"u":65535},null]|a|2026-11-21`,
			`2` + strings.Repeat("|(null)", 9) + "|[0,0]" + strings.Repeat("|(null)", 3),
			`3|0|0|0|0|-2|1969-12-31 23:59:59.999999Z|1969-12-31 23:59:59.999Z||AAA=|[3,null]|[]|b|1969-12-31`,
		}
		require.Equal(t, append(one, one...), got, name)

		schema, got, err = readBytes(t, name, data, &ingest.Options{Columns: []string{"kind", "id"}})
		require.NoError(t, err, name)
		require.Equal(t, "kind utf8, id int64", types(schema), name)
		require.Equal(t, []string{"a|1", "(null)|2", "b|3"}, got[:3], name)
	}
}

func batch(t testing.TB, typ arrow18.DataType, json string) arrow18.RecordBatch {
	rec, _, err := array18.RecordFromJSON(memory18.DefaultAllocator, arrow18.NewSchema([]arrow18.Field{
		{Name: "id", Type: arrow18.PrimitiveTypes.Int64}, {Name: "c", Type: typ, Nullable: true},
	}, nil), strings.NewReader(json))
	require.NoError(t, err)
	return rec
}

func TestNullEmbeddings(t *testing.T) {
	t.Parallel()
	data := arrowFile(t, batch(t, arrow18.FixedSizeListOf(2, arrow18.FixedWidthTypes.Float16), `[{"id":1},{"id":2,"c":[1,2]},{"id":3},{"id":4,"c":[3,4]},{"id":5,"c":[5,null]}]`))
	schema, got, err := readBytes(t, "a.arrow", data, nil)
	require.NoError(t, err)
	require.Equal(t, "id int64, c list<item: float32, nullable>", types(schema))
	require.Equal(t, []string{"1|(null)", "2|[1,2]", "3|(null)", "4|[3,4]", "5|[5,null]"}, got)
}

func TestValuesThatDoNotFitNameTheirRow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ        arrow18.DataType
		json, want string
		left       []string
		o          ingest.Options
	}{
		{
			typ: arrow18.PrimitiveTypes.Uint64, json: `[{"id":1,"c":1},{"id":2,"c":9223372036854775808},{"id":3,"c":18446744073709551615},{"id":4}]`,
			want: `ingest: read "a.arrow": row 2, column "c": "9223372036854775808" is out of the range of int64: invalid`, left: []string{"1|1", "4|(null)"},
		},
		{
			typ: &arrow18.TimestampType{Unit: arrow18.Nanosecond, TimeZone: "UTC"}, json: `[{"id":1,"c":"2026-11-21T12:00:00.000000001Z"},{"id":2,"c":"2026-11-21T12:00:00Z"}]`,
			want: `row 1, column "c"`, left: []string{"2|2026-11-21 12:00:00Z"},
		},
		{
			typ: arrow18.ListOf(arrow18.StructOf(arrow18.Field{Name: "u", Type: arrow18.PrimitiveTypes.Uint64, Nullable: true})), json: `[{"id":1,"c":[{"u":1}]},{"id":2},{"id":3,"c":[{"u":1},{"u":18446744073709551615}]},{"id":4,"c":[]}]`,
			want: `row 3, column "c"`, left: []string{`1|[{"u":1}]`, "2|(null)", "4|[]"},
		},
		{
			typ: arrow18.PrimitiveTypes.Float64, json: `[{"id":1,"c":1},{"id":2,"c":2.5}]`,
			want: `row 2, column "c": "2.5" does not fit into int32`, left: []string{"1|1"},
			o: ingest.Options{Types: map[string]arrow.DataType{"c": arrow.PrimitiveTypes.Int32}},
		},
		{
			typ: arrow18.PrimitiveTypes.Int64, json: `[{"id":1,"c":127},{"id":2,"c":128},{"id":3,"c":-129}]`,
			want: `row 2, column "c": "128" is out of the range of int8`, left: []string{"1|127"},
			o: ingest.Options{Types: map[string]arrow.DataType{"c": arrow.PrimitiveTypes.Int8}},
		},
	} {
		for _, data := range [][]byte{arrowFile(t, batch(t, c.typ, c.json)), arrowStream(t, batch(t, c.typ, c.json))} {
			_, _, err := readBytes(t, "a.arrow", data, &c.o)
			require.ErrorIs(t, err, ingest.ErrInvalid)
			require.ErrorContains(t, err, c.want)
			at := (*ingest.RowError)(nil)
			require.ErrorAs(t, err, &at)
			lenient := c.o
			lenient.BadRows = func(*ingest.RowError) error { return nil }
			_, got, err := readBytes(t, "a.arrow", data, &lenient)
			require.NoError(t, err)
			require.Equal(t, c.left, got)
		}
	}
}

func TestTypesThatADatasetDoesNotHave(t *testing.T) {
	t.Parallel()
	data := arrowFile(t, batch(t, &arrow18.DurationType{Unit: arrow18.Second}, `[{"id":1}]`))
	_, _, err := readBytes(t, "a.arrow", data, nil)
	require.ErrorIs(t, err, ingest.ErrInvalid)
	require.ErrorContains(t, err, `column "c" cannot be kept: a dataset has no type for duration[s]`)
	_, got, err := readBytes(t, "a.arrow", data, &ingest.Options{Columns: []string{"id"}})
	require.NoError(t, err)
	require.Equal(t, []string{"1"}, got)

	naive := arrowFile(t, batch(t, &arrow18.TimestampType{Unit: arrow18.Second}, `[{"id":1,"c":"2026-07-01 12:00:00"}]`))
	_, _, err = readBytes(t, "a.arrow", naive, nil)
	require.ErrorContains(t, err, "Options.Location")
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	_, got, err = readBytes(t, "a.arrow", naive, &ingest.Options{Location: berlin})
	require.NoError(t, err)
	require.Equal(t, []string{"1|2026-07-01 10:00:00Z"}, got)

	text := arrowFile(t, batch(t, arrow18.BinaryTypes.String, `[{"id":1,"c":"1"}]`))
	_, _, err = readBytes(t, "a.arrow", text, &ingest.Options{Types: map[string]arrow.DataType{"c": arrow.PrimitiveTypes.Int64}})
	require.ErrorIs(t, err, ingest.ErrInvalid)
	require.ErrorContains(t, err, `column "c" is utf8, which does not become int64`)
}

func TestParquetNeedsOffsets(t *testing.T) {
	t.Parallel()
	data := parquetFile(t, foreignRecord(t))
	_, err := ingest.NewReader(context.Background(), "a.parquet", bytes.NewBuffer(data), nil)
	require.ErrorIs(t, err, ingest.ErrUnsupported)
	require.ErrorContains(t, err, "io.ReaderAt")
}

// drain reads a file as whatever it is, and returns the error.
func drain(name string, data []byte, o *ingest.Options) error {
	r, err := ingest.NewReader(context.Background(), name, bytes.NewReader(data), o)
	if err != nil {
		return err
	}
	defer r.Release()
	for r.Next() {
		for _, c := range r.Record().Columns() {
			touch(c)
		}
	}
	return r.Err()
}

// touch looks at every value; v15 panics when it prints an infinity in a list.
func touch(a arrow.Array) {
	switch a := a.(type) {
	case *array.List:
		for i := range a.Len() {
			from, to := a.ValueOffsets(i)
			part := array.NewSlice(a.ListValues(), from, to)
			touch(part)
			part.Release()
		}
	case *array.Struct:
		for i := range a.NumField() {
			touch(a.Field(i))
		}
	default:
		for i := range a.Len() {
			_ = a.ValueStr(i)
		}
	}
}

func TestDamagedFilesAreErrors(t *testing.T) {
	t.Parallel()
	rec := foreignRecord(t)
	for name, good := range map[string][]byte{"a.parquet": parquetFile(t, rec), "a.arrow": arrowFile(t, rec), "a.arrows": arrowStream(t, rec)} {
		require.NoError(t, drain(name, good, nil), name)
		for _, bad := range [][]byte{nil, good[:7], good[:len(good)/3], bytes.Repeat([]byte("csv,"), 999)} {
			require.ErrorIs(t, drain(name, bad, nil), ingest.ErrInvalid, "%s %d", name, len(bad))
		}
	}
	require.ErrorIs(t, drain("a.feather", []byte("FEA1 and so on"), nil), ingest.ErrUnsupported)
	require.ErrorIs(t, drain("a.csv", []byte("\xff\xfea\x00,\x00"), nil), ingest.ErrUnsupported)
}

func TestABatchIsBounded(t *testing.T) {
	t.Parallel()
	b := array18.NewInt64Builder(memory18.DefaultAllocator)
	for range 100_000 {
		b.Append(math.MaxInt64)
	}
	rec := array18.NewRecordBatch(arrow18.NewSchema([]arrow18.Field{{Name: "n", Type: arrow18.PrimitiveTypes.Int64}}, nil), []arrow18.Array{b.NewArray()}, -1)
	bomb := arrowStream(t, rec)
	require.Less(t, len(bomb), 4096)
	err := drain("a.arrow", bomb, &ingest.Options{MaxBytes: 100_000})
	require.ErrorIs(t, err, ingest.ErrInvalid)
	require.ErrorContains(t, err, "Options.MaxBytes allows larger ones")
	require.NoError(t, drain("a.arrow", bomb, nil))
}
