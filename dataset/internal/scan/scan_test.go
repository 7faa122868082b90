package scan_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/millwright-ml/millwright/dataset/internal/scan"
	"github.com/millwright-ml/millwright/dataset/profile"
)

// column scans one column that is given as JSON and returns the statistics.
func column(t *testing.T, f arrow.Field, rows string) (lo, hi string, nulls int64) {
	col, _, err := array.FromJSON(memory.DefaultAllocator, f.Type, strings.NewReader(rows))
	require.NoError(t, err)
	return columnOf(t, f, col)
}

func columnOf(t *testing.T, f arrow.Field, col arrow.Array) (lo, hi string, nulls int64) {
	schema := arrow.NewSchema([]arrow.Field{f}, nil)
	s := scan.New(schema, 0)
	require.Empty(t, s.Add(array.NewRecordBatch(schema, []arrow.Array{col}, int64(col.Len())), &profile.TextCounter{}))
	text, err := s.EndFile()
	require.NoError(t, err)
	var stats struct {
		NumRecords           int64
		MinValues, MaxValues map[string]json.RawMessage
		NullCount            map[string]int64
	}
	require.NoError(t, json.Unmarshal([]byte(text), &stats))
	require.EqualValues(t, col.Len(), stats.NumRecords)
	return string(stats.MinValues["c"]), string(stats.MaxValues["c"]), stats.NullCount["c"]
}

func TestStatistics(t *testing.T) {
	t.Parallel()
	day := func(s string) string { return `"` + s + `"` }
	for _, c := range []struct {
		typ          arrow.DataType
		rows, lo, hi string
		nulls        int64
	}{
		{arrow.PrimitiveTypes.Int64, `[3, null, -9007199254740993, 9007199254740993]`, "-9007199254740993", "9007199254740993", 1},
		{arrow.PrimitiveTypes.Int8, `[3]`, "3", "3", 0},
		{arrow.PrimitiveTypes.Int16, `[null]`, "", "", 1},
		{arrow.PrimitiveTypes.Int32, `[]`, "", "", 0},
		{arrow.PrimitiveTypes.Float32, `[0.1, 0.2]`, "0.10000000149011612", "0.20000000298023224", 0},
		{arrow.PrimitiveTypes.Float64, `[0, 1e300]`, "-0.0", "1e+300", 0},
		{arrow.PrimitiveTypes.Float64, `[-1, 0]`, "-1", "0.0", 0},
		{arrow.FixedWidthTypes.Boolean, `[true, null, false]`, "false", "true", 1},
		{arrow.FixedWidthTypes.Boolean, `[true]`, "true", "true", 0},
		{&arrow.Decimal128Type{Precision: 20, Scale: 3}, `["-0.005", "12345678901234567.891"]`, "-0.005", "12345678901234567.891", 0},
		{arrow.FixedWidthTypes.Date32, `["1969-12-31", "2024-02-29"]`, day("1969-12-31"), day("2024-02-29"), 0},
		{arrow.FixedWidthTypes.Timestamp_us, `["1969-12-31T23:59:59.999999Z", "2024-02-29T01:02:03.000001Z"]`, day("1969-12-31T23:59:59.999Z"), day("2024-02-29T01:02:03.001Z"), 0},
		{arrow.FixedWidthTypes.Timestamp_us, `["2024-02-29T01:02:03.004Z"]`, day("2024-02-29T01:02:03.004Z"), day("2024-02-29T01:02:03.004Z"), 0},
		{arrow.BinaryTypes.String, `["b", "größe", null, ""]`, `""`, `"größe"`, 1},
		{arrow.BinaryTypes.Binary, `["AAEC"]`, "", "", 0},
	} {
		lo, hi, nulls := column(t, arrow.Field{Name: "c", Type: c.typ, Nullable: true}, c.rows)
		require.Equal(t, []any{c.lo, c.hi, c.nulls}, []any{lo, hi, nulls}, "%s %s", c.typ, c.rows)
	}
}

func TestFloatsThatJSONHasNoNumberFor(t *testing.T) {
	t.Parallel()
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		values []float64
		lo, hi string
	}{
		{[]float64{1, nan, 2}, "1", `"Infinity"`},
		{[]float64{nan}, `"-Infinity"`, `"Infinity"`},
		{[]float64{inf, 5}, "5", `"Infinity"`},
		{[]float64{-inf, 5}, `"-Infinity"`, "5"},
		{[]float64{math.Copysign(0, -1)}, "-0.0", "0.0"},
	} {
		b := array.NewFloat64Builder(memory.DefaultAllocator)
		b.AppendValues(c.values, nil)
		lo, hi, _ := columnOf(t, arrow.Field{Name: "c", Type: arrow.PrimitiveTypes.Float64}, b.NewArray())
		require.Equal(t, []string{c.lo, c.hi}, []string{lo, hi}, "%v", c.values)
	}
}

func TestLongTextIsCutOutwards(t *testing.T) {
	t.Parallel()
	f := arrow.Field{Name: "c", Type: arrow.BinaryTypes.String}
	long := strings.Repeat("ü", 32)
	quote := func(s string) string { q, _ := json.Marshal(s); return string(q) }
	for _, c := range []struct{ value, hi string }{
		{long, long},
		{long + "a", long + "\U0010FFFF"},
		{long + strings.Repeat("z", 500), long + "\U0010FFFF"},
		{long + "\U0010FFFFz", ""}, // Nothing sorts after it that is not longer.
		{strings.Repeat("\U0001F600", 40), strings.Repeat("\U0001F600", 32) + "\U0010FFFF"},
	} {
		lo, hi, _ := column(t, f, "["+quote(c.value)+"]")
		want := ""
		if c.hi != "" {
			want = quote(c.hi)
		}
		require.Equal(t, want, hi, c.value)
		var low, high string
		require.NoError(t, json.Unmarshal([]byte(lo), &low))
		require.LessOrEqual(t, low, c.value)
		if hi != "" {
			require.NoError(t, json.Unmarshal([]byte(hi), &high))
			require.GreaterOrEqual(t, high, c.value)
		}
	}
}

func TestStatisticsAreOfTheFileAndTheProfileOfAll(t *testing.T) {
	t.Parallel()
	schema := arrow.NewSchema([]arrow.Field{{Name: "c", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	p := &profile.Table{}
	for i, want := range []string{
		`{"numRecords":2,"minValues":{"c":0},"maxValues":{"c":0},"nullCount":{"c":1}}`,
		`{"numRecords":2,"minValues":{"c":1},"maxValues":{"c":1},"nullCount":{"c":1}}`,
	} {
		s := scan.New(schema, int64(2*i))
		b := array.NewInt64Builder(memory.DefaultAllocator)
		b.Append(int64(i))
		b.AppendNull()
		require.Empty(t, s.Add(array.NewRecordBatch(schema, []arrow.Array{b.NewArray()}, 2), &profile.TextCounter{}))
		got, err := s.EndFile()
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.NoError(t, p.Merge(s.Profile()))
	}
	require.EqualValues(t, 4, p.Rows)
	require.EqualValues(t, 2, p.Column("c").Nulls())
	require.EqualValues(t, 0.5, p.Column("c").Mean())
}

func TestWideTablesHaveStatisticsOfTheFirstColumns(t *testing.T) {
	t.Parallel()
	var fields []arrow.Field
	var cols []arrow.Array
	for i := range 50 {
		b := array.NewInt64Builder(memory.DefaultAllocator)
		b.Append(int64(i))
		fields = append(fields, arrow.Field{Name: fmt.Sprintf("c%02d", i), Type: arrow.PrimitiveTypes.Int64})
		cols = append(cols, b.NewArray())
	}
	schema := arrow.NewSchema(fields, nil)
	s := scan.New(schema, 0)
	require.Empty(t, s.Add(array.NewRecordBatch(schema, cols, 1), &profile.TextCounter{}))
	got, err := s.EndFile()
	require.NoError(t, err)
	require.Contains(t, got, `"c31":31`)
	require.NotContains(t, got, `"c32"`)
	require.Len(t, s.Profile().Columns, 50)
}

func TestNestedFaults(t *testing.T) {
	t.Parallel()
	required := func(name string, typ arrow.DataType) arrow.Field { return arrow.Field{Name: name, Type: typ} }
	for _, c := range []struct {
		typ        arrow.DataType
		rows, want string
	}{
		{arrow.ListOfNonNullable(arrow.PrimitiveTypes.Int64), `[[1], null, [2, null]]`, `column "c.element" takes no nulls`},
		{arrow.StructOf(required("x", arrow.PrimitiveTypes.Int64)), `[{"x": 1}, {"x": null}]`, `column "c.x" takes no nulls, row 1 is null`},
		{arrow.StructOf(required("x", arrow.PrimitiveTypes.Int64)), `[{"x": 1}, null]`, ``},
	} {
		col, _, err := array.FromJSON(memory.DefaultAllocator, c.typ, strings.NewReader(c.rows))
		require.NoError(t, err)
		schema := arrow.NewSchema([]arrow.Field{{Name: "c", Type: c.typ, Nullable: true}}, nil)
		faults := scan.New(schema, 0).Add(array.NewRecordBatch(schema, []arrow.Array{col}, int64(col.Len())), &profile.TextCounter{})
		if c.want == "" {
			require.Empty(t, faults)
			continue
		}
		require.Len(t, faults, 1)
		require.Contains(t, faults[0], c.want)
	}
}
