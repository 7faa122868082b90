package filter_test

import (
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/filter"
)

// TestStatisticsNeverLie compares what statistics promise with the rows.
func TestStatisticsNeverLie(t *testing.T) {
	t.Parallel()
	texts := []string{
		"n > 3", "n < -1", "n = 5", "n <> 5", "n IN (1, 5)", "n NOT IN (1, 5)", "n BETWEEN 2 AND 4", "NOT (n >= 0)", "n IS NULL", "n IS NOT NULL",
		"x > 2", "x <= -1", "x = 0.25", "y > 3", "city = 'c'", "city < 'b'", "city <> 'c'", "city LIKE 'c%'", "city NOT LIKE 'b%'", "city LIKE '%d'", "city LIKE '_'", "ok", "NOT ok", "ok <> TRUE", "raw = X'05'",
		"day > '2024-02-20'", "at >= '2024-02-01T00:00:50Z'", "money > 3", "money = 1.25", "n > 3 AND city = 'a'", "n > 3 OR city = 'a'", "NOT (n > 3 OR x < 0)",
	}
	verdicts := map[filter.Verdict]int{}
	for seed := range uint64(300) {
		rec := randomRecord(t, 1+int(seed%4), seed+10)
		known := map[string]filter.Stats{}
		for i, f := range schema.Fields() {
			known[f.Name] = statsOf(rec.Column(i))
		}
		for _, text := range texts {
			e, err := filter.Parse(text)
			require.NoError(t, err)
			b, err := e.Bind(schema)
			require.NoError(t, err)
			m, err := b.Eval(rec)
			require.NoError(t, err)
			v := b.Prune(rec.NumRows(), func(name string) filter.Stats { return known[name] })
			verdicts[v]++
			switch v {
			case filter.None:
				require.Zero(t, m.Count(), "%s over\n%v", text, rec)
			case filter.All:
				require.Equal(t, m.Len(), m.Count(), "%s over\n%v", text, rec)
			}
		}
	}
	require.Greater(t, verdicts[filter.None], 500)
	require.Greater(t, verdicts[filter.All], 500)
}

func statsOf(a arrow.Array) filter.Stats {
	s := filter.Stats{Nulls: int64(a.NullN()), NaN: true}
	set := func(v any, less func(x any) bool) {
		if s.Min == nil || less(s.Min) {
			s.Min = v
		}
		if s.Max == nil || !less(s.Max) {
			s.Max = v
		}
	}
	for i := range a.Len() {
		if a.IsNull(i) {
			continue
		}
		switch a := a.(type) {
		case *array.Int64:
			set(a.Value(i), func(x any) bool { return a.Value(i) < x.(int64) })
		case *array.Date32:
			set(int64(a.Value(i)), func(x any) bool { return int64(a.Value(i)) < x.(int64) })
		case *array.Timestamp:
			set(int64(a.Value(i)), func(x any) bool { return int64(a.Value(i)) < x.(int64) })
		case *array.Float64:
			set(a.Value(i), func(x any) bool { return a.Value(i) < x.(float64) })
			s.NaN = false
		case *array.String:
			set(a.Value(i), func(x any) bool { return a.Value(i) < x.(string) })
		case *array.Boolean:
			set(a.Value(i), func(x any) bool { return !a.Value(i) && x.(bool) })
		case *array.Decimal128:
			set(a.Value(i), func(x any) bool { return a.Value(i).Less(x.(decimal128.Num)) })
		}
	}
	return s
}

func TestDeltaStatistics(t *testing.T) {
	t.Parallel()
	stats := `{"numRecords":3,"minValues":{"n":5,"x":1.5,"city":"b","at":"2024-02-01T00:00:00.001Z","day":"1969-12-31","money":1.25,"ok":true,"y":1},
		"maxValues":{"n":9,"x":2.5,"city":"b\udbff\udfff","at":"2024-02-01T00:00:00.001Z","day":"2024-02-29","money":2.00,"ok":true,"y":"Infinity"},"nullCount":{"n":0,"x":1,"city":3,"ok":0}}`
	for text, want := range map[string]filter.Verdict{
		"n > 9": filter.None, "n >= 5": filter.All, "n > 5": filter.Some, "n = 4": filter.None, "n IS NULL": filter.None, "n IS NOT NULL": filter.All,
		"x < 1.5": filter.None, "x > 1": filter.Some, "x > 2.5": filter.None, "x IS NULL": filter.Some,
		"y > 100": filter.Some, "y < 1": filter.None,
		"city = 'a'": filter.None, "city IS NULL": filter.All,
		"at > '2024-02-01T00:00:00.001999Z'": filter.Some, "at > '2024-02-01T00:00:00.002Z'": filter.None, "at < '2024-02-01T00:00:00.001Z'": filter.None,
		"day < '1969-12-31'": filter.None, "day > '2024-02-29'": filter.None, "day = '1969-12-31'": filter.Some,
		"money > 2": filter.None, "money < 1.25": filter.None, "ok": filter.All, "NOT ok": filter.None, "raw = X'00'": filter.Some,
	} {
		e, err := filter.Parse(text)
		require.NoError(t, err)
		b, err := e.Bind(schema)
		require.NoError(t, err)
		require.Equal(t, want, b.PruneJSON(stats, true), text)
	}
	b, err := filter.Gt("x", 100).Bind(schema)
	require.NoError(t, err)
	require.Equal(t, filter.Some, b.PruneJSON(stats, false), "another writer's bounds do not speak of NaN")
	for _, bad := range []string{"", "null", "[]", `{"numRecords":-1}`, `{"minValues":{"x":1}}`, `{"numRecords":3,"minValues":{"x":"a"},"maxValues":{"x":[]},"nullCount":{"x":"1"}}`} {
		require.Equal(t, filter.Some, b.PruneJSON(bad, true), bad)
	}
	require.Equal(t, filter.None, b.PruneJSON(`{"numRecords":0}`, true))
}

func TestBloomFilters(t *testing.T) {
	t.Parallel()
	holds := func(values ...any) func(string) filter.Stats {
		return func(string) filter.Stats {
			return filter.Stats{Nulls: 0, MayHold: func(v any) bool {
				return slices.Contains(values, v)
			}}
		}
	}
	for _, c := range []struct {
		text string
		has  []any
		want filter.Verdict
	}{
		{"n = 5", []any{int64(5)}, filter.Some}, {"n = 5", nil, filter.None}, {"n <> 5", nil, filter.Some}, {"n > 5", nil, filter.Some},
		{"city = 'a'", []any{"a"}, filter.Some}, {"city = 'a'", []any{"b"}, filter.None}, {"city IN ('a', 'b')", []any{"b"}, filter.Some}, {"city IN ('a', 'b')", []any{"c"}, filter.None},
		{"NOT (city = 'a')", nil, filter.All}, {"city = 'a' OR n = 5", nil, filter.None}, {"x = 0", nil, filter.Some},
	} {
		e, err := filter.Parse(c.text)
		require.NoError(t, err)
		b, err := e.Bind(schema)
		require.NoError(t, err)
		require.Equal(t, c.want, b.Prune(10, holds(c.has...)), c.text)
	}
}
