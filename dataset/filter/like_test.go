package filter_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/filter"
)

// texts is a record of one column of texts.
func texts(values []string) arrow.Record {
	s := arrow.NewSchema([]arrow.Field{{Name: "city", Type: arrow.BinaryTypes.String}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	defer b.Release()
	b.Field(0).(*array.StringBuilder).AppendValues(values, nil)
	return b.NewRecord()
}

// TestLikeIsARegularExpression, written another way; and the bounds of the values
// never rule a match out, nor promise one that is not there.
func TestLikeIsARegularExpression(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 8))
	draw := func(letters []string, most int) string {
		var b strings.Builder
		for range r.IntN(most + 1) {
			b.WriteString(letters[r.IntN(len(letters))])
		}
		return b.String()
	}
	none, all := 0, 0
	for range 3000 {
		pattern := draw([]string{"a", "b", "é", "%", "%", "_", `\%`, `\_`, `\\`, "東"}, 6)
		var want strings.Builder
		for s := []rune(pattern); len(s) > 0; s = s[1:] {
			switch s[0] {
			case '%':
				want.WriteString("(?s:.*)")
			case '_':
				want.WriteString("(?s:.)")
			case '\\':
				s = s[1:]
				want.WriteString(regexp.QuoteMeta(string(s[0])))
			default:
				want.WriteString(regexp.QuoteMeta(string(s[0])))
			}
		}
		oracle := regexp.MustCompile("^" + want.String() + "$")
		values := make([]string, 1+r.IntN(12))
		lo, hi := "", ""
		for i := range values {
			values[i] = draw([]string{"a", "b", "é", "%", "_", `\`, "東", "\n"}, 7)
			if i == 0 || values[i] < lo {
				lo = values[i]
			}
			if i == 0 || values[i] > hi {
				hi = values[i]
			}
		}
		rec := texts(values)
		b, err := filter.Like("city", pattern).Bind(rec.Schema())
		require.NoError(t, err)
		m, err := b.Eval(rec)
		require.NoError(t, err)
		for i, v := range values {
			require.Equal(t, oracle.MatchString(v), m.At(i), "%q LIKE %q", v, pattern)
		}
		// A bound may be wider than the values.
		stats := filter.Stats{Min: lo[:len(lo)-len(lo)*r.IntN(2)/2], Max: hi + strings.Repeat("\U0010FFFF", r.IntN(2))}
		switch b.Prune(rec.NumRows(), func(string) filter.Stats { return stats }) {
		case filter.None:
			none++
			require.Zero(t, m.Count(), "%q among %q", pattern, values)
		case filter.All:
			all++
			require.Equal(t, len(values), m.Count(), "%q among %q", pattern, values)
		}
	}
	require.Greater(t, none, 100)
	require.Greater(t, all, 100)
}

func TestPrefixesRuleOut(t *testing.T) {
	t.Parallel()
	rec := texts([]string{"San José", "San Juan", "São Paulo", "50%_off", `50\`})
	for _, c := range []struct {
		expr filter.Expr
		want string
	}{
		{filter.HasPrefix("city", "San "), "11000"},
		{filter.HasPrefix("city", "50%_"), "00010"},
		{filter.HasPrefix("city", `50\`), "00001"},
		{filter.HasPrefix("city", ""), "11111"},
		{filter.Not(filter.Like("city", "%o")), "11011"},
		{filter.Like("city", "San J___"), "11000"},
	} {
		require.Equal(t, c.want, evaluatedIn(t, c.expr, rec), c.expr.String())
		again, err := filter.Parse(c.expr.String())
		require.NoError(t, err)
		require.Equal(t, c.want, evaluatedIn(t, again, rec), c.expr.String())
	}
	b, err := filter.HasPrefix("city", "San ").Bind(rec.Schema())
	require.NoError(t, err)
	for bounds, want := range map[[2]string]filter.Verdict{
		{"Berlin", "Rome"}:       filter.None,
		{"Santiago", "Tokyo"}:    filter.None,
		{"San Diego", "San Jos"}: filter.All,
		{"Rome", "San"}:          filter.None,
		{"San", "Tokyo"}:         filter.Some,
	} {
		got := b.Prune(9, func(string) filter.Stats { return filter.Stats{Min: bounds[0], Max: bounds[1]} })
		require.Equal(t, want, got, fmt.Sprint(bounds))
	}
}

func evaluatedIn(t *testing.T, e filter.Expr, rec arrow.Record) string {
	t.Helper()
	b, err := e.Bind(rec.Schema())
	require.NoError(t, err)
	m, err := b.Eval(rec)
	require.NoError(t, err)
	var out strings.Builder
	for i := range m.Len() {
		out.WriteString(map[bool]string{true: "1", false: "0"}[m.At(i)])
	}
	return out.String()
}

func TestLikeSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := filter.Like("n", "a%").Bind(schema)
	require.ErrorContains(t, err, "LIKE wants a column of text")
	_, err = filter.Like("city", `a\`).Bind(schema)
	require.ErrorContains(t, err, "ends with a backslash")
	require.ErrorIs(t, err, filter.ErrInvalid)
}
