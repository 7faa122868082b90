package filter_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/filter"
)

var schema = arrow.NewSchema([]arrow.Field{
	{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: "small", Type: arrow.PrimitiveTypes.Int8, Nullable: true},
	{Name: "x", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "y", Type: arrow.PrimitiveTypes.Float32, Nullable: true},
	{Name: "city", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "raw", Type: arrow.BinaryTypes.Binary, Nullable: true},
	{Name: "ok", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	{Name: "day", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
	{Name: "at", Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true},
	{Name: "money", Type: &arrow.Decimal128Type{Precision: 10, Scale: 2}, Nullable: true},
	{Name: "list", Type: arrow.ListOf(arrow.PrimitiveTypes.Int8), Nullable: true},
	{Name: "odd name", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
}, nil)

// record has one row for each JSON object; the bytes of raw are in base64.
func record(t testing.TB, rows ...string) arrow.Record {
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader("["+strings.Join(rows, ",")+"]"))
	require.NoError(t, err)
	return rec
}

func marked(t testing.TB, text string, rec arrow.Record) string {
	e, err := filter.Parse(text)
	require.NoError(t, err, text)
	return evaluated(t, e, rec)
}

func evaluated(t testing.TB, e filter.Expr, rec arrow.Record) string {
	b, err := e.Bind(schema)
	require.NoError(t, err, e)
	m, err := b.Eval(rec)
	require.NoError(t, err)
	var out strings.Builder
	for i := range m.Len() {
		if m.At(i) {
			out.WriteByte('1')
		} else {
			out.WriteByte('0')
		}
	}
	require.Equal(t, strings.Count(out.String(), "1"), m.Count())
	require.Equal(t, m.Len()-m.Count(), m.Invert().Count())
	return out.String()
}

func TestEval(t *testing.T) {
	t.Parallel()
	rec := record(t,
		`{"n": 1, "small": -3, "x": 1.5, "y": 0.1, "city": "SFO", "raw": "AAE=", "ok": true, "day": "2024-02-28", "at": "2024-02-28T12:00:00.5Z", "money": "1.50", "odd name": 7, "list": [1]}`,
		`{"n": 15, "small": 127, "x": -1, "y": 2, "city": "größe", "raw": "", "ok": false, "day": "2024-02-29", "at": "2024-02-29T00:00:00Z", "money": "-0.01", "odd name": -7}`,
		`{}`,
		`{"n": "-9007199254740993", "small": 0, "x": 0, "y": -2, "city": "", "raw": "/w==", "ok": true, "day": "1969-12-31", "at": "1969-12-31T23:59:59.999999Z", "money": "99999999.99", "odd name": 0, "list": []}`,
	)
	for text, want := range map[string]string{
		"TRUE": "1111", "FALSE": "0000", "NOT TRUE": "0000",
		"n > 1": "0100", "n >= 1": "1100", "n < 1": "0001", "n <= 1": "1001", "n = 15": "0100", "n <> 15": "1001", "n != 15": "1001",
		"n = -9007199254740993": "0001", "n = -9007199254740992": "0000",
		"n > 0.5": "1100", "n >= 15.0": "0100", "n < 14.5": "1001", "n <= 15.5": "1101", "n = 1.5": "0000", "n <> 1.5": "1101",
		"n > 1e30": "0000", "n < 1e30": "1101", "n <> 1e30": "1101", "n > -1e30": "1101", "n >= 9223372036854775808": "0000", "n < 9223372036854775807.5": "1101",
		"small = 127": "0100", "small < 128": "1101", "small > -129": "1101", "small = 300": "0000", "small <= -3": "1000",
		"x > 0": "1000", "x = 0": "0001", "x = -0.0": "0001", "x >= -1": "1101", "x < 1e400": "1101",
		"y = 0.1": "1000", "y > 0.1": "0100", "y < 1e300": "1101", "y >= -1e300": "1101", "y = 1e300": "0000",
		"city = 'SFO'": "1000", "city >= 'SFO'": "1100", "city < 'SFO'": "0001", "city = ''": "0001", "city = 'größe'": "0100", "city <> 'x'": "1101",
		"city IN ('SFO', 'x')": "1000", "city NOT IN ('SFO', 'x')": "0101", "city IN ('a','b','c','d','e','f','g','größe')": "0100",
		"raw = X'0001'": "1000", "raw > X'00'": "1001", "raw = X''": "0100",
		"ok": "1001", "ok = FALSE": "0100", "NOT ok": "0100", "ok <> TRUE": "0100", "ok > FALSE": "1001",
		"day = '2024-02-29'": "0100", "day > DATE '2024-02-28'": "0100", "day >= TIMESTAMP '2024-02-28T12:00:00Z'": "0100", "day <= '2024-02-28T12:00:00Z'": "1001",
		"at > '2024-02-28T12:00:00Z'": "1100", "at < '1970-01-01'": "0001", "at = '2024-02-29 00:00:00+00:00'": "0100", "at >= '2024-02-28 12:00:00.5'": "1100", "at > '1969-12-31T23:59:59.9999989Z'": "1101",
		"money = 1.5": "1000", "money < 0": "0100", "money > -0.015": "1101", "money >= 99999999.99": "0001", "money < 1e300": "1101",
		`"odd name" > -1`: "1001", "list IS NULL": "0110", "list IS NOT NULL": "1001",
		"n IS NULL": "0010", "n IS NOT NULL": "1101", "NOT (n IS NULL)": "1101",
		"n > 1 OR city = 'SFO'": "1100", "n > 1 AND ok": "0000", "n > 1 OR ok AND x > 1": "1100", "(n > 1 OR ok) AND x > 1": "1000",
		"NOT (n > 1)": "1001", "NOT (n > 1 OR ok)": "0000", "NOT (n > 1 AND ok)": "1101", "n > 1 OR TRUE": "1111",
		"n BETWEEN 1 AND 15": "1100", "n NOT BETWEEN 1 AND 14": "0101", "n IN (1, 2.5, 1e30)": "1000",
		"n IN (1, 2, 3, 4, 5, 6, 7, 2.5)": "1000", "x IN (1.5, 2, 3, 4, 5, 6, 7, 'NaN')": "1000",
	} {
		require.Equal(t, want, marked(t, text, rec), text)
	}
}

func TestFloatsAreOrderedAsInSQL(t *testing.T) {
	t.Parallel()
	nan, inf := math.NaN(), math.Inf(1)
	values := []float64{-inf, -1, math.Copysign(0, -1), 0, 1, inf, nan}
	b := array.NewFloat64Builder(memory.DefaultAllocator)
	f := array.NewFloat32Builder(memory.DefaultAllocator)
	b.AppendValues(values, nil)
	for _, v := range values {
		f.Append(float32(v))
	}
	two := arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Float64}, {Name: "y", Type: arrow.PrimitiveTypes.Float32}}, nil)
	rec := array.NewRecord(two, []arrow.Array{b.NewArray(), f.NewArray()}, int64(len(values)))
	for _, column := range []string{"x", "y"} {
		for _, c := range []struct {
			e    filter.Expr
			want string
		}{
			{filter.Gt(column, 0), "0000111"},
			{filter.Ge(column, 0), "0011111"},
			{filter.Lt(column, 0), "1100000"},
			{filter.Le(column, 0.0), "1111000"},
			{filter.Eq(column, 0), "0011000"},
			{filter.Ne(column, 0), "1100111"},
			{filter.Eq(column, nan), "0000001"},
			{filter.Ne(column, nan), "1111110"},
			{filter.Lt(column, nan), "1111110"},
			{filter.Le(column, nan), "1111111"},
			{filter.Gt(column, nan), "0000000"},
			{filter.Ge(column, float32(nan)), "0000001"},
			{filter.Gt(column, inf), "0000001"},
			{filter.Eq(column, -inf), "1000000"},
			{filter.In(column, nan, 1), "0000101"},
			{filter.In(column, nan, 1, 2, 3, 4, 5, 6, 7), "0000101"},
			{filter.In(column, 0, 1, 2, 3, 4, 5, 6, 7), "0011100"},
		} {
			bound, err := c.e.Bind(two)
			require.NoError(t, err)
			m, err := bound.Eval(rec)
			require.NoError(t, err)
			for i := range values {
				require.Equal(t, c.want[i] == byte('1'), m.At(i), "%s row %d", c.e, i)
			}
		}
	}
}

func TestTextRoundTrips(t *testing.T) {
	t.Parallel()
	day := time.Date(2024, 2, 29, 1, 2, 3, 4000, time.FixedZone("", 3600))
	type city string
	for _, e := range []filter.Expr{
		{}, filter.Or(), filter.And(), filter.Not(filter.Expr{}),
		filter.Eq("n", 1), filter.Ne("n", uint64(math.MaxUint64)), filter.Lt("x", 1e300), filter.Le("x", -1e-7), filter.Gt("y", float32(0.1)),
		filter.Eq("city", "it's"), filter.Eq("city", city("x")), filter.Eq("raw", []byte{0, 255}), filter.Eq("ok", true), filter.Ge("at", day), filter.Eq("x", math.NaN()),
		filter.Eq("odd name", 1), filter.Eq(`a"b`, 1), filter.Eq("and", 1), filter.Eq("größe", 1),
		filter.In("n", 1, 2, 3), filter.In("n"), filter.IsNull("n"), filter.NotNull("n"), filter.Between("n", 1, 2),
		filter.And(filter.Eq("a", 1), filter.Or(filter.Eq("b", 2), filter.Not(filter.And(filter.Eq("c", 3), filter.IsNull("d"))))),
		filter.Or(filter.And(filter.Eq("a", 1), filter.Or()), filter.Eq("b", 1)),
		filter.And(filter.Eq("a", 1), filter.Or()),
		filter.Not(filter.In("city", "a", "b")),
	} {
		again, err := filter.Parse(e.String())
		require.NoError(t, err, e)
		require.Equal(t, e.String(), again.String())
		require.Equal(t, e.Columns(), again.Columns())
		data, err := json.Marshal(map[string]filter.Expr{"where": e})
		require.NoError(t, err)
		var back map[string]filter.Expr
		require.NoError(t, json.Unmarshal(data, &back))
		require.Equal(t, e.String(), back["where"].String())
	}
	require.Equal(t, []string{"a", "b", "c"}, filter.And(filter.Eq("c", 1), filter.Eq("a", 1), filter.IsNull("b"), filter.Eq("a", 2)).Columns())
}

func TestSyntaxErrorsNameThePlace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                "at the end (byte 0): want a predicate",
		"n":                               "", // A boolean column, for all that the parser knows.
		"n >":                             "at the end (byte 3): want a number",
		"n > 'a":                          `at byte 4, near "'a": the quote is not closed`,
		"n > 1 AND":                       "at the end (byte 9): want a column name",
		"n > 1 n":                         `at byte 6, near "n": want AND, OR or the end`,
		"n = NULL":                        "use IS NULL",
		"n > 1 AND (x < 2":                `at the end (byte 16): want ")"`,
		"n IN ()":                         "at byte 6",
		"n IN (1 2)":                      `at byte 8, near "2)"`,
		"15 < n":                          `at byte 0, near "15 < n": want a column name`,
		"n ~ 1":                           "this character has no meaning here",
		"n > 1e":                          "the exponent of the number has no digits",
		"n > 1e999":                       "the exponent of 1e999 is beyond",
		"n > 12abc":                       "the number runs into a name",
		"raw = X'0'":                      "pairs of hex digits",
		"at > DATE '2024-13-01'":          "is not a date or a time",
		"at > DATE 5":                     "want the date in quotes",
		"n IS 5":                          "want NULL",
		"n NOT 5":                         "want IN, BETWEEN or LIKE",
		"city LIKE 5":                     "want the pattern in quotes",
		"n BETWEEN 1 OR 2":                "want AND and the upper end",
		"n = \xff":                        "not UTF-8",
		strings.Repeat("(", 200) + "n":    "more than 100 levels",
		strings.Repeat("NOT ", 200) + "n": "more than 100 levels",
		"n = " + strings.Repeat("1", 500): "digits",
	} {
		_, err := filter.Parse(text)
		if want == "" {
			require.NoError(t, err, text)
			continue
		}
		require.ErrorIs(t, err, filter.ErrInvalid, text)
		require.ErrorContains(t, err, want, text)
	}
	_, err := filter.Parse("a=1" + strings.Repeat(" or a=1", 20_000))
	require.ErrorContains(t, err, "more than 10000 terms")
	_, err = filter.Parse("a in (1" + strings.Repeat(",1", 1<<17) + ")")
	require.ErrorContains(t, err, "more than 65536 values")
	_, err = filter.Parse(strings.Repeat(" ", 1<<21))
	require.ErrorContains(t, err, "want at most")
}

func TestBindReportsEveryFault(t *testing.T) {
	t.Parallel()
	e := filter.And(
		filter.Eq("nope", 1), filter.Eq("n", "a"), filter.Eq("city", 1), filter.Eq("list", 1), filter.Eq("ok", 1),
		filter.Eq("x", "big"), filter.Gt("at", "yesterday"), filter.Eq("money", "1"), filter.Eq("n", nil), filter.Eq("n", struct{}{}), filter.Eq("raw", 5), filter.Eq("day", true),
		filter.Eq("at", time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)), filter.Eq("at", arrow.Timestamp(5)),
	)
	_, err := e.Bind(schema)
	require.ErrorIs(t, err, filter.ErrInvalid)
	for _, want := range []string{
		`there is no column "nope"`, `column "n": int64 cannot be compared with the text 'a'`, `column "city": utf8 cannot be compared with the number 1`,
		"only IS NULL and IS NOT NULL", `column "ok": bool`, `the text 'big'`, `"yesterday" is not a date`, `column "money": decimal(10, 2) cannot be compared with the text '1'`,
		"use IsNull or NotNull", "a struct {} is no value", `column "raw"`, `column "day": date32 cannot be compared with TRUE`, "the year 12000", "does not say its unit",
	} {
		require.ErrorContains(t, err, want)
	}
	_, err = filter.Eq("n", 1).Bind(nil)
	require.ErrorContains(t, err, "there is no column")
	twice := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int8}, {Name: "n", Type: arrow.PrimitiveTypes.Int8}}, nil)
	_, err = filter.Eq("n", 1).Bind(twice)
	require.ErrorContains(t, err, "2 columns")

	b, err := filter.Eq("n", 1).Bind(schema)
	require.NoError(t, err)
	one := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int8}}, nil)
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, one, strings.NewReader(`[{"n": 1}]`))
	require.NoError(t, err)
	_, err = b.Eval(rec)
	require.ErrorContains(t, err, "is int8 in the record and int64 in the schema")
	_, err = b.Eval(record(t, `{}`).NewSlice(0, 0))
	require.NoError(t, err)
}

// TestSlicesGiveTheSameRows covers offsets and the words at the ends.
func TestSlicesGiveTheSameRows(t *testing.T) {
	t.Parallel()
	rec, whole := randomRecord(t, 500, 1), ""
	e, err := filter.Parse("NOT (n > 3) OR x < 0.5 AND city IN ('a', 'b') OR ok OR money > 2 OR raw >= X'05'")
	require.NoError(t, err)
	whole = evaluated(t, e, rec)
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		from := r.Int64N(500)
		to := from + r.Int64N(500-from+1)
		part := rec.NewSlice(from, to)
		require.Equal(t, whole[from:to], evaluated(t, e, part))
		part.Release()
	}
}

func randomRecord(t testing.TB, rows int, seed uint64) arrow.Record {
	r := rand.New(rand.NewPCG(seed, 2))
	lines := make([]string, rows)
	for i := range lines {
		var parts []string
		add := func(name, value string) {
			if r.IntN(5) > 0 {
				parts = append(parts, fmt.Sprintf("%q: %s", name, value))
			}
		}
		add("n", strconv.Itoa(r.IntN(10)-2))
		add("small", strconv.Itoa(r.IntN(256)-128))
		add("x", fmt.Sprint(float64(r.IntN(20))/4-1))
		add("y", fmt.Sprint(float32(r.IntN(20))/4-1))
		add("city", fmt.Sprintf("%q", string(rune('a'+r.IntN(5)))))
		add("raw", `"`+[]string{"", "AAE=", "BQ==", "/w=="}[r.IntN(4)]+`"`)
		add("ok", strconv.FormatBool(r.IntN(2) == 0))
		add("day", fmt.Sprintf(`"2024-02-%02d"`, 1+r.IntN(28)))
		add("at", fmt.Sprintf(`"2024-02-01T00:00:%02d.%06dZ"`, r.IntN(60), r.IntN(1e6)))
		add("money", fmt.Sprintf(`"%d.%02d"`, r.IntN(5), r.IntN(100)))
		lines[i] = "{" + strings.Join(parts, ",") + "}"
	}
	return record(t, lines...)
}

func TestMask(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 9))
	for range 200 {
		n := 1 + r.IntN(300)
		want := make([]bool, n)
		var ranges [][2]int
		for at := 0; at < n; {
			from := at + r.IntN(90)
			to := min(from+1+r.IntN(150), n)
			if from >= to {
				break
			}
			ranges = append(ranges, [2]int{from, to})
			for i := from; i < to; i++ {
				want[i] = true
			}
			at = to + 1
		}
		m := filter.MaskOf(n, func(yield func(int, int) bool) {
			for _, p := range ranges {
				if !yield(p[0], p[1]) {
					return
				}
			}
		})
		var got [][2]int
		for from, to := range m.Runs() {
			got = append(got, [2]int{from, to})
		}
		require.Equal(t, ranges, got)
		for i := range want {
			require.Equal(t, want[i], m.At(i))
			require.Equal(t, want[i], m.Any(i, i+1))
		}
		require.Zero(t, m.And(m.Invert()).Count())
		require.Equal(t, m.Words(), m.And(m).Words())
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"delay > 15 AND origin IN ('SFO','LAX') AND NOT (x IS NULL)", `"a b" <> -1.5e-3 OR c`, "a BETWEEN DATE '2024-01-01' AND TIMESTAMP '2024-01-01T00:00:00Z'",
		"raw = X'00ff'", "NOT NOT a = 'it''s'", "TRUE OR FALSE AND (x)", "a not in (1,2)", "x IS NOT NULL", `city LIKE 'a\_%_'`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := filter.Parse(s)
		if err != nil {
			require.ErrorIs(t, err, filter.ErrInvalid)
			return
		}
		again, err := filter.Parse(e.String())
		require.NoError(t, err, e.String())
		require.Equal(t, e.String(), again.String())
		if b, err := e.Bind(schema); err == nil {
			_ = b.PruneJSON(`{"numRecords":3,"minValues":{"n":5},"maxValues":{"n":9},"nullCount":{"n":0}}`, true)
		}
	})
}

func FuzzStats(f *testing.F) {
	f.Add(`{"numRecords":3,"minValues":{"n":5,"money":1e5},"maxValues":{"n":9,"at":"2024"},"nullCount":{"n":0}}`)
	b, err := filter.And(filter.Gt("n", 1), filter.Gt("money", 2), filter.Gt("at", "2024-01-01"), filter.Gt("day", "2024-01-01"), filter.Eq("city", "a"), filter.Lt("x", 1)).Bind(schema)
	require.NoError(f, err)
	f.Fuzz(func(_ *testing.T, s string) { _ = b.PruneJSON(s, true) })
}

func BenchmarkEval(b *testing.B) {
	rec := randomRecord(b, 1<<14, 3)
	for _, text := range []string{"n > 3", "x < 0.5", "city = 'a'", "city IN ('a','b','c','d','e','f','g')", "n > 3 AND x < 0.5 OR ok"} {
		b.Run(text, func(b *testing.B) {
			e, err := filter.Parse(text)
			require.NoError(b, err)
			bound, err := e.Bind(schema)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = bound.Eval(rec)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(1<<14), "ns/row")
		})
	}
}
