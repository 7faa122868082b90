package profile_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
)

func jsonOf(t *testing.T, v json.Marshaler) string {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

func TestColumnZeroValue(t *testing.T) {
	t.Parallel()
	var c profile.Column
	c.AddNull()
	require.Equal(t, profile.Kind(""), c.Kind())
	require.EqualValues(t, 1, c.Rows())
	require.EqualValues(t, 1, c.Nulls())
	for _, v := range []float64{c.Min(), c.Max(), c.Mean(), c.Variance(), c.Quantile(0.5)} {
		require.True(t, math.IsNaN(v))
	}
	require.Zero(t, c.Distinct())
	require.Empty(t, c.Top(3))
}

func TestColumnNumbers(t *testing.T) {
	t.Parallel()
	var c profile.Column
	for _, v := range []float64{4, 1, math.NaN(), 3, math.Inf(1), 2, math.Inf(-1), 2, math.Copysign(0, -1), 0} {
		c.AddFloat(v)
	}
	c.AddNull()
	c.AddString("seven")
	require.Equal(t, profile.Numeric, c.Kind())
	require.EqualValues(t, 12, c.Rows())
	require.EqualValues(t, 1, c.Nulls())
	require.EqualValues(t, 4, c.NonFinite())
	require.EqualValues(t, 5, c.Distinct(), "zero and negative zero are one value")
	require.Zero(t, c.Min())
	require.EqualValues(t, 4, c.Max())
	require.InDelta(t, 12.0/7, c.Mean(), 1e-15)
	require.InDelta(t, 34.0/7-144.0/49, c.Variance(), 1e-14)
	for q, want := range map[float64]float64{-1: 0, 0: 0, 2.0 / 7: 0, 0.3: 1, 0.5: 2, 5.0 / 7: 2, 0.9: 4, 1: 4, 2: 4} {
		require.Equal(t, want, c.Quantile(q), "quantile %g", q)
	}
	require.True(t, math.IsNaN(c.Quantile(math.NaN())))
}

func TestColumnCategories(t *testing.T) {
	t.Parallel()
	var c profile.Column
	for s := range strings.FieldsSeq("b a b c a b d") {
		c.AddString(s)
	}
	c.AddString("")
	c.AddFloat(1.5)
	c.AddNull()
	require.Equal(t, profile.Categorical, c.Kind())
	require.EqualValues(t, 10, c.Rows())
	require.Equal(t, []profile.Category{{Value: "b", Count: 3}, {Value: "a", Count: 2}, {Value: "", Count: 1}}, c.Top(3))
	require.Len(t, c.Top(100), 6)
	require.Empty(t, c.Top(-1))
	require.Equal(t, "1.5", c.Top(100)[3].Value)
	require.EqualValues(t, 6, c.Distinct())
	require.Zero(t, c.TopError())
	require.True(t, math.IsNaN(c.Min()))
}

func TestColumnKeepsNoCallersMemory(t *testing.T) {
	t.Parallel()
	buf := []byte("first")
	var c profile.Column
	c.AddString(string(buf))
	copy(buf, "other")
	require.Equal(t, "first", c.Top(1)[0].Value)
}

func TestColumnBoundsTexts(t *testing.T) {
	t.Parallel()
	var c profile.Column
	long := strings.Repeat("ä", 300)
	texts := []string{long, long + "1", strings.Repeat("x", 256), strings.Repeat("x", 257), "\xff\xfe", strings.Repeat("\xff", 500)}
	for _, s := range texts {
		c.AddString(s)
		c.AddString(s)
	}
	require.EqualValues(t, len(texts), c.Distinct())
	bins := c.Bins(0)
	for _, k := range c.Top(10) {
		require.LessOrEqual(t, len(k.Value), 256)
		require.True(t, utf8.ValidString(k.Value), "%q", k.Value)
		require.EqualValues(t, 2, k.Count)
	}
	for _, s := range texts {
		require.Less(t, bins.Code(s), len(bins.Categories), "%q", s)
	}
	require.Equal(t, bins.Code("no such"), len(bins.Categories))
}

func TestColumnMemoryIsBounded(t *testing.T) {
	t.Parallel()
	var numbers, texts profile.Column
	for i := range 60_000 {
		numbers.AddFloat(float64(i))
		texts.AddString("user-" + strconv.Itoa(i))
	}
	require.Less(t, len(jsonOf(t, &numbers)), 60_000)
	require.Less(t, len(jsonOf(t, &texts)), 60_000)
	require.InEpsilon(t, 60_000, numbers.Distinct(), 0.05)
	require.InEpsilon(t, 60_000, texts.Distinct(), 0.05)
}

func TestColumnIsDeterministic(t *testing.T) {
	t.Parallel()
	for _, d := range distributions {
		vs := draw(50_000, d.draw)
		require.Equal(t, jsonOf(t, columnOf(vs)), jsonOf(t, columnOf(vs)), d.name)
	}
}

// columns returns summaries of every internal shape: empty, null, exact,
// sketched, and of values that test the arithmetic.
func columns() map[string]*profile.Column {
	out := map[string]*profile.Column{
		"empty":    {},
		"huge":     columnOf([]float64{-math.MaxFloat64, math.MaxFloat64, 5e-324, 1e300}),
		"infinite": columnOf([]float64{math.NaN(), math.Inf(1), math.Inf(1), math.Inf(-1)}),
		"one":      columnOf([]float64{42}),
		"heavy":    columnOf(append(make([]float64, 100_000), draw(500, normal)...)),
	}
	for i, d := range distributions {
		out[d.name] = columnOf(draw(3000*(i+1), d.draw))
	}
	return out
}

func textColumns() map[string]*profile.Column {
	out := map[string]*profile.Column{"empty": {}}
	for i, n := range []int{1, 30, 1024, 1025, 10_000} {
		c := &profile.Column{}
		r := rand.New(rand.NewPCG(uint64(i), 9))
		for range 10_000 {
			c.AddString("v" + strconv.Itoa(int(float64(n)*r.Float64()*r.Float64())))
		}
		for i := range n {
			c.AddString("v" + strconv.Itoa(i))
		}
		c.AddNull()
		out[strconv.Itoa(n)+" texts"] = c
	}
	return out
}

// clone copies a column through its JSON.
func clone(t *testing.T, c *profile.Column) *profile.Column {
	t.Helper()
	out := &profile.Column{}
	require.NoError(t, json.Unmarshal([]byte(jsonOf(t, c)), out))
	return out
}

func sum(t *testing.T, parts ...*profile.Column) *profile.Column {
	t.Helper()
	out := &profile.Column{}
	for _, p := range parts {
		require.NoError(t, out.Merge(p))
	}
	return out
}

func TestColumnMergeIsCommutative(t *testing.T) {
	t.Parallel()
	for _, set := range []map[string]*profile.Column{columns(), textColumns()} {
		for an, a := range set {
			before := jsonOf(t, a)
			for bn, b := range set {
				if bn < an {
					continue
				}
				require.Equal(t, jsonOf(t, sum(t, a, b)), jsonOf(t, sum(t, b, a)), "%s and %s", an, bn)
			}
			require.Equal(t, before, jsonOf(t, a), "%s: a merged column is left as it is", an)
		}
	}
}

func TestColumnMergeIsAssociative(t *testing.T) {
	t.Parallel()
	for _, set := range []map[string]*profile.Column{columns(), textColumns()} {
		for an, a := range set {
			for bn, b := range set {
				c := sum(t, a, a)
				left, right := sum(t, sum(t, a, b), c), sum(t, a, sum(t, b, c))
				name := an + " and " + bn
				require.Equal(t, left.Kind(), right.Kind(), name)
				require.Equal(t, left.Rows(), right.Rows(), name)
				require.Equal(t, left.Nulls(), right.Nulls(), name)
				require.Equal(t, left.NonFinite(), right.NonFinite(), name)
				require.Equal(t, left.Distinct(), right.Distinct(), name)
				if left.TopError() == 0 && right.TopError() == 0 {
					require.Equal(t, left.Top(50), right.Top(50), name)
				}
				if left.Kind() != profile.Numeric || left.Rows() == left.NonFinite() {
					continue
				}
				require.Equal(t, left.Min(), right.Min(), name)
				require.Equal(t, left.Max(), right.Max(), name)
				if an == "huge" || bn == "huge" {
					continue // Its squares are beyond float64.
				}
				require.InEpsilon(t, 1, (left.Mean()+1e3)/(right.Mean()+1e3), 1e-9, name)
				require.InEpsilon(t, 1+left.Variance(), 1+right.Variance(), 1e-9, name)
			}
		}
	}
}

func TestColumnMergeMatchesOneStream(t *testing.T) {
	t.Parallel()
	vs := draw(90_000, normal)
	var parts []*profile.Column
	for i := 0; i < len(vs); i += 7000 {
		parts = append(parts, columnOf(vs[i:min(i+7000, len(vs))]))
	}
	whole, merged := columnOf(vs), sum(t, parts...)
	require.Equal(t, whole.Rows(), merged.Rows())
	require.Equal(t, whole.Distinct(), merged.Distinct())
	require.Equal(t, whole.Min(), merged.Min())
	require.Equal(t, whole.Max(), merged.Max())
	require.InDelta(t, whole.Mean(), merged.Mean(), 1e-12)
	require.InDelta(t, whole.Variance(), merged.Variance(), 1e-12)
}

func TestColumnMergeRefusesOtherKind(t *testing.T) {
	t.Parallel()
	a, b := columnOf([]float64{1}), &profile.Column{}
	b.AddString("x")
	before := jsonOf(t, a)
	err := a.Merge(b)
	require.ErrorIs(t, err, profile.ErrInvalid)
	require.EqualError(t, err, "profile: merge column: one is numeric, the other categorical: invalid")
	require.Equal(t, before, jsonOf(t, a))
	var nulls profile.Column
	nulls.AddNull()
	require.NoError(t, a.Merge(&nulls))
	require.NoError(t, b.Merge(&nulls))
	require.NoError(t, nulls.Merge(b))
	require.Equal(t, profile.Categorical, nulls.Kind())
}

func TestColumnVarianceOfLargeOffset(t *testing.T) {
	t.Parallel()
	vs := draw(100_000, func(r *rand.Rand) float64 { return 1e9 + r.NormFloat64() })
	require.InDelta(t, 1, columnOf(vs).Variance(), 0.02)
	bins := columnOf(vs).Bins(0)
	bins.AddFloats(vs)
	require.InDelta(t, 1, bins.Variance(), 0.02)
}

func TestTableMerge(t *testing.T) {
	t.Parallel()
	table := func(rows int, names ...string) *profile.Table {
		tab := &profile.Table{Rows: uint64(rows)}
		for _, n := range names {
			c := &profile.Column{}
			for i := range rows {
				if strings.HasPrefix(n, "s") {
					c.AddString(n)
				} else {
					c.AddFloat(float64(i))
				}
			}
			tab.Columns = append(tab.Columns, profile.NamedColumn{Name: n, Column: c})
		}
		return tab
	}
	a := table(10, "x", "s")
	require.NoError(t, a.Merge(table(5, "s", "y")))
	require.EqualValues(t, 15, a.Rows)
	require.Len(t, a.Columns, 3)
	require.Equal(t, "y", a.Columns[2].Name)
	for name, nulls := range map[string]uint64{"x": 5, "s": 0, "y": 10} {
		require.EqualValues(t, 15, a.Column(name).Rows(), name)
		require.Equal(t, nulls, a.Column(name).Nulls(), name)
	}
	require.Nil(t, a.Column("z"))

	bad := table(3, "x", "s")
	bad.Columns[1].Name = "y" // Text where a has numbers.
	before := jsonOf(t, a)
	err := a.Merge(bad)
	require.ErrorIs(t, err, profile.ErrInvalid)
	require.ErrorContains(t, err, `column "y"`)
	require.Equal(t, before, jsonOf(t, a), "a failed merge changes nothing")

	var zero profile.Table
	require.NoError(t, zero.Merge(a))
	require.Equal(t, before, jsonOf(t, &zero))
}

func TestColumnAllocations(t *testing.T) {
	var numbers, texts profile.Column
	vs := draw(20_000, normal)
	for _, v := range vs {
		numbers.AddFloat(v)
	}
	words := strings.Fields("red green blue yellow black white")
	for _, w := range words {
		texts.AddString(w)
	}
	i := 0
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		texts.AddString(words[i%len(words)])
		i++
	}))
	require.Less(t, testing.AllocsPerRun(1000, func() {
		numbers.AddFloat(vs[i%len(vs)])
		i++
	}), 0.05)
}
