package rowsort_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/internal/rowsort"
)

func nullable(name string, t arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: t, Nullable: true}
}

// everyType has a column of each type that a table can hold.
var everyType = arrow.NewSchema([]arrow.Field{
	nullable("bool", arrow.FixedWidthTypes.Boolean),
	nullable("i8", arrow.PrimitiveTypes.Int8),
	nullable("i16", arrow.PrimitiveTypes.Int16),
	nullable("i32", arrow.PrimitiveTypes.Int32),
	nullable("i64", arrow.PrimitiveTypes.Int64),
	nullable("day", arrow.FixedWidthTypes.Date32),
	nullable("at", arrow.FixedWidthTypes.Timestamp_us),
	nullable("money", &arrow.Decimal128Type{Precision: 12, Scale: 2}),
	nullable("text", arrow.BinaryTypes.String),
	nullable("bytes", arrow.BinaryTypes.Binary),
	nullable("f32", arrow.PrimitiveTypes.Float32),
	nullable("f64", arrow.PrimitiveTypes.Float64),
	nullable("list", arrow.ListOf(arrow.BinaryTypes.String)),
	nullable("pair", arrow.StructOf(nullable("x", arrow.PrimitiveTypes.Int32), nullable("y", arrow.ListOf(arrow.PrimitiveTypes.Int64)))),
	nullable("props", arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64)),
}, nil)

// keyTypes is how many of the first columns can be keys.
const keyTypes = 10

// everyRows are JSON rows of everyType with values at the ends of their ranges.
const everyRows = `[
 {"bool":true,"i8":127,"i16":32767,"i32":2147483647,"i64":9007199254740991,"day":"2262-04-11","at":"2200-01-01 00:00:00.000001","money":"9999999999.99","text":"zz","bytes":"/w==","f32":1.5,"f64":-0.0,"list":["a",null,""],"pair":{"x":1,"y":[1,null]},"props":[{"key":"a","value":1},{"key":"b","value":null}]},
 {"bool":false,"i8":-128,"i16":-32768,"i32":-2147483648,"i64":-9223372036854775808,"day":"1900-01-01","at":"1900-01-01 00:00:00","money":"-9999999999.99","text":"","bytes":"","f32":-1e30,"f64":1e300,"list":[],"pair":{"x":null,"y":null},"props":[]},
 {"bool":null,"i8":null,"i16":null,"i32":null,"i64":null,"day":null,"at":null,"money":null,"text":null,"bytes":null,"f32":null,"f64":null,"list":null,"pair":null,"props":null},
 {"bool":true,"i8":0,"i16":0,"i32":0,"i64":0,"day":"1970-01-01","at":"1970-01-01 00:00:00","money":"0.00","text":"a\u0000b","bytes":"AAA=","f32":0,"f64":0,"list":[null],"pair":{"x":0,"y":[]},"props":[{"key":"","value":0}]},
 {"bool":true,"i8":-1,"i16":-1,"i32":-1,"i64":-1,"day":"1969-12-31","at":"1969-12-31 23:59:59","money":"-0.01","text":"a","bytes":"AA==","f32":-1,"f64":-1,"list":["ä"],"pair":{"x":-1,"y":[-1]},"props":[{"key":"ü","value":-1}]}
]`

func fromJSON(t testing.TB, schema *arrow.Schema, rows string) arrow.Record {
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(rows))
	require.NoError(t, err)
	return rec
}

func codec(t testing.TB, schema *arrow.Schema, key ...string) *rowsort.Codec {
	c, faults := rowsort.NewCodec(schema, key)
	require.Empty(t, faults)
	return c
}

// sorted puts the records through a sorter of the least memory.
func sorted(t testing.TB, c *rowsort.Codec, recs ...arrow.Record) *rowsort.Sorted {
	s := rowsort.NewSorter(c, 0, t.TempDir())
	for _, rec := range recs {
		require.NoError(t, s.Add(context.Background(), rec))
	}
	return s.Sort()
}

func rowsOf(t testing.TB, s *rowsort.Sorted) (keys, rows [][]byte) {
	c, err := s.Cursor()
	require.NoError(t, err)
	for {
		more, err := c.Next()
		require.NoError(t, err)
		if !more {
			break
		}
		keys = append(keys, slices.Clone(c.Key()))
		rows = append(rows, slices.Clone(c.Row()))
	}
	require.NoError(t, c.Close())
	return keys, rows
}

func TestRowsOfEveryTypeComeBack(t *testing.T) {
	t.Parallel()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	whole := fromJSON(t, everyType, everyRows)
	for _, part := range []arrow.Record{whole, whole.NewSlice(1, 4), whole.NewSlice(2, 2)} {
		c := codec(t, everyType)
		s := sorted(t, c, part)
		require.Equal(t, part.NumRows(), s.Rows())
		keys, rows := rowsOf(t, s)
		require.Equal(t, keys, rows, "without key columns the row is the key")
		b := c.NewBuilder(mem)
		for _, row := range rows {
			require.NoError(t, b.Append(row))
		}
		require.Equal(t, len(rows), b.Rows())
		back := b.Record()
		b.Release()
		require.NoError(t, s.Close())

		var want, have []string
		for i := range int(part.NumRows()) {
			for r, into := range map[arrow.Record]*[]string{part: &want, back: &have} {
				one := r.NewSlice(int64(i), int64(i)+1)
				text, err := one.MarshalJSON()
				require.NoError(t, err)
				*into = append(*into, string(text))
				one.Release()
			}
		}
		slices.Sort(want)
		slices.Sort(have)
		require.Equal(t, want, have)
		back.Release()
	}
}

func TestFloatsComeBackBitByBit(t *testing.T) {
	t.Parallel()
	schema := arrow.NewSchema([]arrow.Field{{Name: "f", Type: arrow.PrimitiveTypes.Float64}}, nil)
	values := []float64{math.Float64frombits(0x7ff8000000000001), math.Float64frombits(0xfff8dead00000000), math.Copysign(0, -1), 0, math.Inf(-1)}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	b.Field(0).(*array.Float64Builder).AppendValues(values, nil)
	c := codec(t, schema)
	_, rows := rowsOf(t, sorted(t, c, b.NewRecord()))
	require.Len(t, rows, len(values), "the two zeros and the NaNs are different rows")
	back := c.NewBuilder(memory.DefaultAllocator)
	for _, row := range rows {
		require.NoError(t, back.Append(row))
	}
	have := map[uint64]bool{}
	for _, v := range back.Record().Column(0).(*array.Float64).Float64Values() {
		have[math.Float64bits(v)] = true
	}
	for _, v := range values {
		require.True(t, have[math.Float64bits(v)])
	}
}

// Every key type sorts as its values do: the rows of everyRows, from the null
// to the largest, are these.
func TestKeysSortAsTheirValues(t *testing.T) {
	t.Parallel()
	rec := fromJSON(t, everyType, everyRows)
	want := map[string][]int{"bool": {2, 1, 0}, "text": {2, 1, 4, 3, 0}, "bytes": {2, 1, 4, 3, 0}}
	for i := range keyTypes {
		name := everyType.Field(i).Name
		order := want[name]
		if order == nil {
			order = []int{2, 1, 4, 3, 0}
		}
		c := codec(t, arrow.NewSchema([]arrow.Field{everyType.Field(i)}, nil), name)
		_, rows := rowsOf(t, sorted(t, c, rec))
		b := c.NewBuilder(memory.DefaultAllocator)
		var have []string
		for _, row := range rows {
			require.NoError(t, b.Append(row))
			one := b.Record()
			have = append(have, one.Column(0).ValueStr(0))
		}
		have = slices.Compact(have)
		var names []string
		for _, k := range order {
			names = append(names, rec.Column(i).ValueStr(k))
		}
		require.Equal(t, names, have, name)
	}
}

func TestRandomKeysSortByEveryColumn(t *testing.T) {
	t.Parallel()
	schema := arrow.NewSchema([]arrow.Field{nullable("a", arrow.BinaryTypes.String), nullable("b", arrow.PrimitiveTypes.Int16)}, nil)
	r := rand.New(rand.NewPCG(1, 2))
	type pair struct {
		a string
		b int16
	}
	var pairs []pair
	build := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for range 2000 {
		p := pair{strings.Repeat("\x00a\xff"[r.IntN(3):][:1], r.IntN(3)) + []string{"", "\x00", "\x00\xff", "b"}[r.IntN(4)], int16(r.IntN(5) - 2)}
		pairs = append(pairs, p)
		build.Field(0).(*array.StringBuilder).Append(p.a)
		build.Field(1).(*array.Int16Builder).Append(p.b)
	}
	slices.SortFunc(pairs, func(x, y pair) int {
		if c := strings.Compare(x.a, y.a); c != 0 {
			return c
		}
		return int(x.b) - int(y.b)
	})
	c := codec(t, schema, "a", "b")
	_, rows := rowsOf(t, sorted(t, c, build.NewRecord()))
	b := c.NewBuilder(memory.DefaultAllocator)
	for _, row := range rows {
		require.NoError(t, b.Append(row))
	}
	have := b.Record()
	for i, p := range pairs {
		require.Equal(t, p, pair{have.Column(0).(*array.String).Value(i), have.Column(1).(*array.Int16).Value(i)})
	}
}

func TestMoreThanMemoryIsTheSameOnDisk(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, nullable("text", arrow.BinaryTypes.String)}, nil)
	c := codec(t, schema, "id")
	dir := t.TempDir()
	little, much := rowsort.NewSorter(c, 0, dir), rowsort.NewSorter(c, 1<<30, dir)
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for range 5000 {
			b.Field(0).(*array.Int64Builder).Append(r.Int64N(1 << 40))
			b.Field(1).(*array.StringBuilder).Append(strings.Repeat("x", r.IntN(100)))
		}
		rec := b.NewRecord()
		require.NoError(t, little.Add(ctx, rec))
		require.NoError(t, much.Add(ctx, rec))
	}
	require.NotEmpty(t, files(t, dir))
	a, b := little.Sort(), much.Sort()
	require.True(t, a.Spilled())
	require.False(t, b.Spilled())
	_, want := rowsOf(t, b)
	for range 2 { // A cursor can be had again.
		keys, have := rowsOf(t, a)
		require.Equal(t, len(want), len(have))
		for i := range want {
			require.True(t, bytes.Equal(want[i], have[i]))
		}
		require.True(t, slices.IsSortedFunc(keys, bytes.Compare))
	}
	require.NoError(t, a.Close())
	require.NoError(t, b.Close())
	require.Empty(t, files(t, dir), "the temporary files are gone")
}

func files(t testing.TB, dir string) []os.DirEntry {
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	return list
}

func TestAbandonedSorterLeavesNothing(t *testing.T) {
	t.Parallel()
	schema := arrow.NewSchema([]arrow.Field{{Name: "text", Type: arrow.BinaryTypes.String}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range 300 {
		b.Field(0).(*array.StringBuilder).Append(fmt.Sprint(i, strings.Repeat("x", 20_000)))
	}
	rec := b.NewRecord()
	dir := t.TempDir()
	s := rowsort.NewSorter(codec(t, schema), 0, dir)
	require.NoError(t, s.Add(context.Background(), rec))
	require.NotEmpty(t, files(t, dir))
	require.NoError(t, s.Close())
	require.Empty(t, files(t, dir))

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s = rowsort.NewSorter(codec(t, schema), 0, dir)
	require.ErrorIs(t, s.Add(ctx, rec), context.Canceled)
	require.NoError(t, s.Close())
	require.Empty(t, files(t, dir))
}

func TestDamagedTemporaryFileIsAnError(t *testing.T) {
	t.Parallel()
	schema := arrow.NewSchema([]arrow.Field{{Name: "text", Type: arrow.BinaryTypes.String}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range 300 {
		b.Field(0).(*array.StringBuilder).Append(fmt.Sprint(i, strings.Repeat("x", 20_000)))
	}
	dir := t.TempDir()
	s := rowsort.NewSorter(codec(t, schema), 0, dir)
	require.NoError(t, s.Add(context.Background(), b.NewRecord()))
	out := s.Sort()
	for _, f := range files(t, dir) {
		require.NoError(t, os.WriteFile(dir+"/"+f.Name(), bytes.Repeat([]byte{0xff}, 5000), 0o600))
	}
	_, err := out.Cursor()
	require.ErrorContains(t, err, "is damaged")
	require.NoError(t, out.Close())
}

func TestMissingColumnsAreNullAndFaultsAreListed(t *testing.T) {
	t.Parallel()
	schema := arrow.NewSchema([]arrow.Field{nullable("a", arrow.PrimitiveTypes.Int64), nullable("b", arrow.BinaryTypes.String)}, nil)
	c := codec(t, schema, "a")
	rec := fromJSON(t, arrow.NewSchema([]arrow.Field{nullable("a", arrow.PrimitiveTypes.Int64)}, nil), `[{"a":1}]`)
	_, rows := rowsOf(t, sorted(t, c, rec))
	values, err := c.Values(rows[0])
	require.NoError(t, err)
	require.Equal(t, []any{int64(1), nil}, values)
	values, err = c.KeyValues(rows[0])
	require.NoError(t, err)
	require.Equal(t, []any{int64(1)}, values)

	s := rowsort.NewSorter(c, 0, "")
	wrong := fromJSON(t, arrow.NewSchema([]arrow.Field{nullable("a", arrow.BinaryTypes.String)}, nil), `[{"a":"x"}]`)
	require.EqualError(t, s.Add(context.Background(), wrong), `column "a" is utf8, want int64`)

	_, faults := rowsort.NewCodec(arrow.NewSchema([]arrow.Field{
		nullable("f", arrow.PrimitiveTypes.Float64), nullable("u", arrow.PrimitiveTypes.Uint8), nullable("i", arrow.PrimitiveTypes.Int8),
	}, nil), []string{"f", "i", "i", "none"})
	require.Len(t, faults, 4)
}

func TestCellsOfBothSidesAreJoined(t *testing.T) {
	t.Parallel()
	schema := arrow.NewSchema([]arrow.Field{nullable("id", arrow.PrimitiveTypes.Int64), nullable("a", arrow.BinaryTypes.String), nullable("b", arrow.ListOf(arrow.PrimitiveTypes.Int64))}, nil)
	c := codec(t, schema, "id")
	row := func(text string) []byte {
		_, rows := rowsOf(t, sorted(t, c, fromJSON(t, schema, "["+text+"]")))
		return rows[0]
	}
	base := row(`{"id":1,"a":"x","b":[1]}`)
	for _, k := range []struct {
		base, ours, theirs []byte
		prefer             bool
		want               []byte
		conflict           bool
	}{
		{base, row(`{"id":1,"a":"y","b":[1]}`), row(`{"id":1,"a":"x","b":[1,2]}`), false, row(`{"id":1,"a":"y","b":[1,2]}`), false},
		{base, row(`{"id":1,"a":null,"b":[1]}`), row(`{"id":1,"a":"x","b":null}`), false, row(`{"id":1,"a":null,"b":null}`), false},
		{base, row(`{"id":1,"a":"y","b":[1]}`), row(`{"id":1,"a":"z","b":[2]}`), false, row(`{"id":1,"a":"y","b":[2]}`), true},
		{base, row(`{"id":1,"a":"y","b":[1]}`), row(`{"id":1,"a":"z","b":[2]}`), true, row(`{"id":1,"a":"z","b":[2]}`), true},
		{nil, row(`{"id":1,"a":"y","b":[1]}`), row(`{"id":1,"a":"y","b":[1]}`), false, row(`{"id":1,"a":"y","b":[1]}`), false},
		{nil, row(`{"id":1,"a":"y","b":[1]}`), row(`{"id":1,"a":"z","b":[1]}`), false, row(`{"id":1,"a":"y","b":[1]}`), true},
	} {
		have, conflict, err := c.MergeCells(k.base, k.ours, k.theirs, k.prefer)
		require.NoError(t, err)
		require.Equal(t, k.want, have)
		require.Equal(t, k.conflict, conflict)
	}
}

// FuzzDecode feeds the decoders bytes that no encoder wrote.
func FuzzDecode(f *testing.F) {
	c := codec(f, everyType)
	_, rows := rowsOf(f, sorted(f, c, fromJSON(f, everyType, everyRows)))
	for _, row := range rows {
		f.Add(row)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, row []byte) {
		b := c.NewBuilder(memory.DefaultAllocator)
		defer b.Release()
		err := b.Append(row)
		merged, conflict, cutErr := c.MergeCells(row, row, row, false)
		if err != nil {
			return
		}
		require.NoError(t, cutErr)
		require.False(t, conflict)
		require.Equal(t, row, merged)
		rec := b.Record()
		defer rec.Release()
		require.EqualValues(t, 1, rec.NumRows())
	})
}

func TestSortingAllocatesByTheBlock(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "text", Type: arrow.BinaryTypes.String}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range 10_000 {
		b.Field(0).(*array.Int64Builder).Append(int64(i * 7919 % 10_000))
		b.Field(1).(*array.StringBuilder).Append("some text")
	}
	rec := b.NewRecord()
	c := codec(t, schema, "id")
	n := testing.AllocsPerRun(5, func() {
		s := rowsort.NewSorter(c, 1<<30, "")
		require.NoError(t, s.Add(context.Background(), rec))
		require.NoError(t, s.Sort().Close())
	})
	require.Less(t, n, 100.0, "10,000 rows")
}

func BenchmarkSort(b *testing.B) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "x", Type: arrow.PrimitiveTypes.Float64}, {Name: "text", Type: arrow.BinaryTypes.String}}, nil)
	build := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	const rows = 100_000
	for i := range rows {
		build.Field(0).(*array.Int64Builder).Append(int64(i * 7919 % rows))
		build.Field(1).(*array.Float64Builder).Append(float64(i))
		build.Field(2).(*array.StringBuilder).Append("some text")
	}
	rec := build.NewRecord()
	c := codec(b, schema, "id")
	for b.Loop() {
		s := rowsort.NewSorter(c, 1<<30, "")
		require.NoError(b, s.Add(context.Background(), rec))
		require.NoError(b, s.Sort().Close())
	}
	b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
}
