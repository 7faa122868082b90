package profile_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// table is a small table that checks look at: NaN is a null in x, "" in t.
type table struct {
	x []float64
	t []string
}

var fields = []profile.Field{
	{Name: "x", Type: "float64", Class: profile.Number},
	{Name: "t", Type: "utf8", Class: profile.Text},
	{Name: "at", Type: "timestamp[us, tz=UTC]", Class: profile.Time},
	{Name: "raw", Type: "binary", Class: profile.Other},
}

func (b table) values(column int) profile.Values {
	null := func(i int) bool { return b.x[i] != b.x[i] }
	if column == 1 {
		null = func(i int) bool { return b.t[i] == "" }
	}
	v := profile.Values{Len: len(b.x), Null: null}
	for i := range b.x {
		if null(i) {
			v.Nulls++
		}
	}
	if column == 1 {
		v.Text = func(i int) string { return b.t[i] }
		v.Key = func(i int, to []byte) []byte { return append(to, b.t[i]...) }
		v.Show = v.Text
		return v
	}
	v.Float = func(i int) float64 { return b.x[i] }
	v.Key = func(i int, to []byte) []byte {
		return binary.LittleEndian.AppendUint64(to, math.Float64bits(b.x[i]))
	}
	v.Show = func(i int) string { return fmt.Sprint(b.x[i]) }
	return v
}

func (b table) profile() *profile.Table {
	var x, t profile.Column
	for i := range b.x {
		if b.x[i] != b.x[i] {
			x.AddNull()
		} else {
			x.AddFloat(b.x[i])
		}
		if b.t[i] == "" {
			t.AddNull()
		} else {
			t.AddString(b.t[i])
		}
	}
	at := x
	return &profile.Table{Rows: uint64(len(b.x)), Columns: []profile.NamedColumn{{Name: "x", Column: &x}, {Name: "t", Column: &t}, {Name: "at", Column: &at}}}
}

// check runs one expectation over batches.
func check(t testing.TB, o *profile.CheckOptions, e profile.Expectation, batches ...table) profile.Result {
	c, err := profile.NewChecker(fields, []profile.Expectation{e}, o)
	require.NoError(t, err)
	all := &profile.Table{}
	for _, b := range batches {
		c.Add(len(b.x), b.values)
		require.NoError(t, all.Merge(b.profile()))
	}
	r, err := c.Finish(all)
	require.NoError(t, err)
	require.Len(t, r.Results, 1)
	require.Equal(t, r.Results[0].Passed || e.Warn, r.Passed)

	// What is kept comes back the same.
	stored, err := json.Marshal(r)
	require.NoError(t, err)
	again, err := profile.ParseReport(stored)
	require.NoError(t, err)
	require.Equal(t, r, again)
	return r.Results[0]
}

func TestChecks(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	one := table{[]float64{1, 2, nan, 4}, []string{"a", "bb", "", "a"}}
	two := table{[]float64{5, 2, 7}, []string{"zz", "bb", "c"}}
	share := func(e profile.Expectation, share float64) profile.Expectation { e.Share = share; return e }
	now := time.Unix(100, 0)
	for _, c := range []struct {
		e      profile.Expectation
		passes bool
		want   string
	}{
		{profile.Range("x", 1, 7), true, ""},
		{profile.Range("x", 2, 6), false, `range of "x" from 2 up to 6: 2 of 6 rows fail, such as "1" in row 0, "7" in row 6`},
		{profile.Range("x", 2, math.Inf(1)), false, `1 of 6 rows fail`},
		{share(profile.Range("x", 2, 6), 0.34), true, ""},
		{profile.OneOf("t", "a", "bb", "zz", "c"), true, ""},
		{profile.OneOf("t", "a", "bb"), false, `"zz" in row 4, "c" in row 6`},
		{profile.OneOf("x", "1", "2", "4.0", "5", "7"), true, ""},
		{profile.OneOf("x", "true"), false, `5 of 6 rows fail`},
		{profile.Match("t", "^[a-z]+$"), true, ""},
		{profile.Match("t", "^.$"), false, `"bb" in row 1, "zz" in row 4, "bb" in row 5`},
		{profile.Unique("x"), false, `1 of 6 rows fail, such as "2" in row 5`},
		{profile.Unique("t"), false, `such as "a" in row 3, "bb" in row 5`},
		{profile.Unique("x", "t"), false, `such as "2, bb" in row 5`},
		{share(profile.Unique("x"), 0.2), true, ""},
		{profile.OfType("x", "float64"), true, ""},
		{profile.OfType("x", "int64"), false, `type of "x" is int64: the column is float64`},
		{profile.OfType("nope", "int64"), false, `there is no such column`},
		{profile.Rows(7, 7), true, ""},
		{profile.Rows(8, math.Inf(1)), false, `rows from 8: there are 7 rows`},
		{profile.Nulls("x", 0.2), true, ""},
		{profile.Nulls("x", 0), false, `nulls of "x" at most 0: 1 of 7 rows are null, such as "null" in row 2`},
		{profile.Nulls("raw", 0.5), true, ""},
		{profile.Mean("x", 3, 4), true, ""},
		{profile.Mean("x", 4, 5), false, `the mean is 3.5`},
		{profile.Distinct("t", 4, 4), true, ""},
		{profile.Distinct("t", 5, 9), false, `there are 4 different values`},
		{profile.Fresh("at", 93*time.Second), true, ""},
		{profile.Fresh("at", 92*time.Second), false, `fresh of "at" within 1m32s: the newest is of 1970-01-01T00:00:07Z`},
		{profile.Drift("x", 0.1), true, ""},
	} {
		r := check(t, &profile.CheckOptions{Now: now}, c.e, one, two)
		require.Equal(t, c.passes, r.Passed, "%s: %s", c.e, r)
		if !c.passes {
			require.Contains(t, r.String(), c.want)
		}
	}
}

func TestExamplesAreBoundedAndOptional(t *testing.T) {
	t.Parallel()
	long := table{make([]float64, 50), make([]string, 50)}
	for i := range long.t {
		long.t[i] = strings.Repeat("ü", 200)
	}
	r := check(t, nil, profile.OneOf("t", "a"), long)
	require.EqualValues(t, 50, r.Failed)
	require.Len(t, r.Examples, 5)
	require.LessOrEqual(t, len(r.Examples[0].Value), 110)
	r = check(t, &profile.CheckOptions{Examples: -1}, profile.OneOf("t", "a"), long)
	require.Empty(t, r.Examples)
}

func TestUniquenessOfManyRows(t *testing.T) {
	t.Parallel()
	const n = 100_000
	b := table{make([]float64, n), make([]string, n)}
	for i := range b.x {
		b.x[i] = float64(i)
		b.t[i] = fmt.Sprint(i)
	}
	require.True(t, check(t, nil, profile.Unique("x"), b).Passed)
	require.True(t, check(t, nil, profile.Unique("t"), b).Passed)
	b.x[n-1] = 17
	r := check(t, nil, profile.Unique("x"), b)
	require.Equal(t, []profile.Example{{Row: n - 1, Value: "17"}}, r.Examples)
}

// With little memory the keys go to disk, and the verdict is the same.
func TestUniquenessOfMoreRowsThanMemory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(7, 7))
	for _, n := range []int{10, 1000, 1001, 20_000} {
		for _, of := range []int{n * 1000, n} {
			parts := []table{{}, {}}
			for i := range n {
				b := &parts[i*2/n]
				x := r.IntN(of)
				b.x, b.t = append(b.x, float64(x)), append(b.t, fmt.Sprint(x))
			}
			for _, e := range []profile.Expectation{profile.Unique("x"), profile.Unique("t"), profile.Unique("x", "t")} {
				want := check(t, nil, e, parts...)
				got := check(t, &profile.CheckOptions{MaxKeys: 100, TempDir: dir}, e, parts...)
				require.Equal(t, want.Failed, got.Failed, "%d rows: %s", n, e)
				require.Equal(t, want.Passed, got.Passed)
				require.Equal(t, want.Checked, got.Checked)
				require.Len(t, got.Examples, len(want.Examples))
			}
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, left)
		}
	}

	// Rows that are there already count, in whatever part they were.
	e := profile.Unique("x")
	e.Whole = true
	c, err := profile.NewChecker(fields, []profile.Expectation{e}, &profile.CheckOptions{MaxKeys: 100, TempDir: dir})
	require.NoError(t, err)
	old, young := table{}, table{}
	for i := range 1000 {
		old.x, old.t = append(old.x, float64(i)), append(old.t, "")
		young.x, young.t = append(young.x, float64(990+i)), append(young.t, "")
	}
	c.Known(len(old.x), func(string) profile.Values { return old.values(0) })
	c.Add(len(young.x), young.values)
	report, err := c.Finish(young.profile())
	require.NoError(t, err)
	require.EqualValues(t, 10, report.Results[0].Failed)
	require.Equal(t, profile.Example{Row: 0, Value: "the key of an earlier row"}, report.Results[0].Examples[0])

	c, err = profile.NewChecker(fields, []profile.Expectation{e}, &profile.CheckOptions{MaxKeys: 100, TempDir: filepath.Join(dir, "none")})
	require.NoError(t, err)
	c.Add(len(young.x), young.values)
	_, err = c.Finish(young.profile())
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "temporary file")
}

func TestTheWholeVersion(t *testing.T) {
	t.Parallel()
	old, young := table{[]float64{1, 2, 3}, []string{"a", "b", "c"}}, table{[]float64{3, 4}, []string{"d", "e"}}
	whole := func(e profile.Expectation) profile.Expectation { e.Whole = true; return e }
	c, err := profile.NewChecker(fields, []profile.Expectation{
		whole(profile.Unique("x")), whole(profile.Unique("t")), whole(profile.Rows(5, 5)), whole(profile.Mean("x", 2.6, 2.6)), profile.Rows(2, 2), whole(profile.Nulls("x", 0)),
	}, &profile.CheckOptions{Before: old.profile()})
	require.NoError(t, err)
	require.Equal(t, []string{"t", "x"}, c.Keys())
	c.Known(len(old.x), func(column string) profile.Values {
		if column == "t" {
			return old.values(1)
		}
		return old.values(0)
	})
	c.Add(len(young.x), young.values)
	r, err := c.Finish(young.profile())
	require.NoError(t, err)
	require.False(t, r.Passed)
	require.Len(t, r.Failures(), 1)
	require.Contains(t, r.String(), `unique of "x", of the whole version: 1 of 2 rows fail, such as "3" in row 0`)
}

func TestDriftFromAReference(t *testing.T) {
	t.Parallel()
	sample := func(n, seed int, shift float64) table {
		b := table{make([]float64, n), make([]string, n)}
		for i := range n {
			// A fixed scatter, roughly normal.
			u := 0.0
			for k := range 6 {
				u += math.Mod(float64((i+1)*(seed+13*k+7))*0.6180339887498949, 1)
			}
			b.x[i] = u + shift
			b.t[i] = string(rune('a' + int(u+2*shift)))
		}
		return b
	}
	was := sample(5000, 1, 0).profile()
	o := &profile.CheckOptions{Reference: func(against string) (*profile.Table, error) {
		switch against {
		case "":
			return was, nil
		case "broken":
			return nil, errors.New("no such version")
		}
		return nil, nil
	}}
	for _, column := range []string{"x", "t"} {
		same := check(t, o, profile.Drift(column, 0.1), sample(3000, 2, 0))
		require.True(t, same.Passed, "%v", *same.Observed)
		moved := check(t, o, profile.Drift(column, 0.25), sample(3000, 2, 0.8))
		require.False(t, moved.Passed, "%v", *moved.Observed)
		require.Contains(t, moved.Reason, "the distribution has moved by")
	}
	small := check(t, o, profile.Drift("x", 0.25), sample(60, 2, 0))
	require.True(t, small.Passed, "what a small sample differs by is no drift: %v", *small.Observed)
	first := profile.Drift("x", 0.1)
	first.Against = "none"
	require.Equal(t, "there is nothing to compare with", check(t, o, first, sample(10, 1, 0)).Reason)
	first.Against = "broken"
	c, err := profile.NewChecker(fields, []profile.Expectation{first}, o)
	require.NoError(t, err)
	_, err = c.Finish(was)
	require.ErrorContains(t, err, "no such version")
}

func TestHistogramAddsUp(t *testing.T) {
	t.Parallel()
	var few, many, texts profile.Column
	for i := range 10_000 {
		few.AddFloat(float64(i % 10))
		many.AddFloat(math.Sqrt(float64(i)))
		texts.AddString(fmt.Sprint(i % 3000))
	}
	many.AddNull()
	many.AddFloat(math.Inf(1))
	h, err := few.Histogram(nil)
	require.NoError(t, err)
	require.Equal(t, []uint64{1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000}, h.Counts)
	require.InDelta(t, 4.5, h.Shift+h.Sum/10_000, 1e-9)
	for _, c := range []*profile.Column{&many, &texts} {
		h, err := c.Histogram(c.Bins(10))
		require.NoError(t, err)
		sum := h.Nulls + h.NonFinite
		for _, n := range h.Counts {
			sum += n
		}
		require.Equal(t, c.Rows(), sum)
	}
	_, err = few.Histogram(texts.Bins(0))
	require.ErrorIs(t, err, profile.ErrInvalid)
}

func TestExpectationsReportEveryFault(t *testing.T) {
	t.Parallel()
	bad := math.NaN()
	_, err := profile.NewChecker(fields, []profile.Expectation{
		{Check: "rang", Column: "x"}, profile.Range("y", 1, 2), profile.Range("t", 1, 2), profile.Match("x", "a"), profile.Match("t", "("),
		{Check: profile.CheckRange, Column: "x"}, profile.Range("x", 3, 2), {Check: profile.CheckRange, Column: "x", Min: &bad},
		profile.Fresh("x", time.Hour), profile.Fresh("at", 0), {Check: profile.CheckRows, Column: "x"}, profile.OneOf("x", "a"), profile.OneOf("t"),
		{Check: profile.CheckNulls, Column: "x", Share: 2, Pattern: "a"}, {Check: profile.CheckType, Column: "x"}, profile.Drift("raw", 1),
		{Check: profile.CheckMatch, Column: "t", Pattern: "a", Whole: true},
	}, nil)
	require.ErrorIs(t, err, profile.ErrInvalid)
	for _, want := range []string{
		`check is "rang"`, `there is no column "y"`, `the column is utf8, which such a check cannot take`, "missing closing )", "neither min nor max",
		"min is above max", "a bound is not finite", "max age is 0s", `column is "x"`, `"a" is not a number`, "no values", "share is 2", "takes no pattern",
		"no type", "the column is binary", "the others were checked when they came",
	} {
		require.ErrorContains(t, err, want)
	}
}

func TestExpectationsAreData(t *testing.T) {
	t.Parallel()
	const text = `[{"check":"range","column":"x","min":0,"max":1,"share":0.01},{"check":"fresh","column":"at","maxAge":"36h0m0s"},{"check":"unique","column":"x","and":["t"],"whole":true,"warn":true}]`
	var list []profile.Expectation
	require.NoError(t, json.Unmarshal([]byte(text), &list))
	require.NoError(t, profile.ValidateExpectations(list))
	again, err := json.Marshal(list)
	require.NoError(t, err)
	require.Equal(t, text, string(again))
	require.ErrorIs(t, profile.ValidateExpectations([]profile.Expectation{{}}), profile.ErrInvalid)
	require.Error(t, json.Unmarshal([]byte(`[{"maxAge":"soon"}]`), &list))
}

func TestWarningsStopNothing(t *testing.T) {
	t.Parallel()
	e := profile.Rows(5, 5)
	e.Warn = true
	r := check(t, nil, e, table{[]float64{1}, []string{"a"}})
	require.False(t, r.Passed)
}

func FuzzExpectations(f *testing.F) {
	f.Add([]byte(`[{"check":"range","column":"x","min":0,"max":1}]`))
	f.Add([]byte(`[{"check":"match","column":"t","pattern":"a+"},{"check":"set","column":"x","values":["1"]}]`))
	f.Add([]byte(`[{"check":"unique","column":"x","and":["t"],"whole":true},{"check":"drift","column":"x","max":0.1}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var list []profile.Expectation
		if json.Unmarshal(data, &list) != nil {
			return
		}
		c, err := profile.NewChecker(fields, list, nil)
		if err != nil {
			require.ErrorIs(t, err, profile.ErrInvalid)
			return
		}
		b := table{[]float64{1, math.NaN(), 2}, []string{"a", "b", ""}}
		c.Add(3, b.values)
		r, err := c.Finish(b.profile())
		require.NoError(t, err)
		stored, err := json.Marshal(r)
		require.NoError(t, err)
		_, err = profile.ParseReport(stored)
		require.NoError(t, err)
	})
}

func FuzzParseReport(f *testing.F) {
	f.Add([]byte(`{"rows":1,"passed":false,"results":[{"expectation":{"check":"rows","min":5},"passed":false,"observed":1,"reason":"there are 1 rows"}]}`))
	f.Add([]byte(`{"results":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := profile.ParseReport(data)
		if err != nil {
			require.ErrorIs(t, err, profile.ErrInvalid)
			return
		}
		_ = r.String()
	})
}

// A commit's rows are held against what is expected of them.
func ExampleChecker() {
	rows := table{[]float64{31, 47, 212}, []string{"free", "pro", "trial"}}
	checker, err := profile.NewChecker([]profile.Field{
		{Name: "age", Type: "float64", Class: profile.Number}, {Name: "plan", Type: "utf8", Class: profile.Text},
	}, []profile.Expectation{
		profile.Range("age", 0, 120), profile.OneOf("plan", "free", "pro"), profile.Unique("age"), profile.Rows(1, 1000),
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	checker.Add(3, rows.values)
	report, err := checker.Finish(rows.profile())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, failed := range report.Failures() {
		fmt.Println(failed)
	}
	// Output:
	// range of "age" from 0 up to 120: 1 of 3 rows fail, such as "212" in row 2
	// set of "plan" in ["free" "pro"]: 1 of 3 rows fail, such as "trial" in row 2
}
