package profile_test

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
)

var rewrite = flag.Bool("rewrite", false, "write the files in testdata anew")

// summary is what all the types of the package have in common.
type summary interface {
	json.Marshaler
	json.Unmarshaler
}

// roundTrip checks that v survives JSON byte by byte, and that the copy goes on
// like the original.
func roundTrip[T any, P interface {
	*T
	summary
}](t *testing.T, v P) P {
	t.Helper()
	first := jsonOf(t, v)
	require.True(t, json.Valid([]byte(first)))
	back := P(new(T))
	require.NoError(t, json.Unmarshal([]byte(first), back))
	require.Equal(t, first, jsonOf(t, back))
	return back
}

func TestColumnRoundTrip(t *testing.T) {
	t.Parallel()
	more := draw(5000, cauchy)
	for name, c := range columns() {
		back := roundTrip(t, c)
		require.Equal(t, math.Float64bits(c.Quantile(0.3)), math.Float64bits(back.Quantile(0.3)), name)
		require.Equal(t, c.Distinct(), back.Distinct(), name)
		for _, v := range more {
			c.AddFloat(v)
			back.AddFloat(v)
		}
		require.Equal(t, jsonOf(t, c), jsonOf(t, back), "%s: the copy goes on like the original", name)
	}
	for name, c := range textColumns() {
		back := roundTrip(t, c)
		require.Equal(t, c.Top(99), back.Top(99), name)
		for range 2000 {
			c.AddString("new")
			back.AddString("new")
		}
		require.Equal(t, jsonOf(t, c), jsonOf(t, back), name)
	}
}

func TestTableRoundTrip(t *testing.T) {
	t.Parallel()
	tab := sampleTable()
	back := roundTrip(t, tab)
	require.Equal(t, tab.Rows, back.Rows)
	require.Equal(t, tab.Column("city").Top(9), back.Column("city").Top(9))
	var missing profile.Table
	missing.Columns = []profile.NamedColumn{{Name: "x"}}
	roundTrip(t, &missing)
	roundTrip(t, &profile.Table{})
}

func TestBinsRoundTrip(t *testing.T) {
	t.Parallel()
	for name, c := range columns() {
		b := c.Bins(0)
		roundTrip(t, b)
		b.AddFloats(append(draw(1000, cauchy), math.NaN(), math.Inf(1)))
		back := roundTrip(t, b)
		require.True(t, b.SameLayout(back), name)
		require.Equal(t, b.Positions(), back.Positions(), name)
		b.AddFloats([]float64{1, -1e9, 1e9})
		back.AddFloats([]float64{1, -1e9, 1e9})
		require.Equal(t, jsonOf(t, b), jsonOf(t, back), name)
	}
	for _, c := range textColumns() {
		b := c.Bins(0)
		b.AddCodes([]float64{0, 0, 1, 99, math.NaN()})
		roundTrip(t, b)
	}
	extreme := &profile.Bins{Kind: profile.Numeric, Edges: []float64{0}, Shift: -math.MaxFloat64}
	extreme.AddFloats([]float64{math.MaxFloat64, 1}) // Its sums overflow, its counts do not.
	require.Equal(t, []uint64{0, 2}, extreme.Counts)
	roundTrip(t, extreme)
	roundTrip(t, &profile.Bins{})
}

func TestReferenceRoundTrip(t *testing.T) {
	t.Parallel()
	ref := sampleReference(t)
	back := roundTrip(t, ref)
	require.NoError(t, ref.Observe([]float64{1, 2}, 0.5))
	require.NoError(t, back.Observe([]float64{1, 2}, 0.5))
	require.Equal(t, jsonOf(t, ref), jsonOf(t, back))
	roundTrip(t, &profile.Reference{})
}

func TestReferenceIsSmall(t *testing.T) {
	t.Parallel()
	const features = 32
	size := len(jsonOf(t, referenceOf(t, features)))
	t.Logf("%d bytes a feature", size/features)
	require.Less(t, size/features, 2500)
}

func sampleTable() *profile.Table {
	var price, city, empty profile.Column
	for i, v := range draw(3000, zeroInflated) {
		price.AddFloat(v)
		city.AddString([]string{"Kraków", "łódź", "<b>", "Zürich", ""}[i*i%5])
		empty.AddNull()
	}
	return &profile.Table{Rows: 3000, Columns: []profile.NamedColumn{
		{Name: "price", Column: &price}, {Name: "city", Column: &city}, {Name: "empty", Column: &empty},
	}}
}

func sampleReference(t *testing.T) *profile.Reference {
	tab := sampleTable()
	ref := profile.NewReference([]profile.Feature{
		{Name: "price", Bins: tab.Column("price").Bins(0)},
		{Name: "city", Bins: tab.Column("city").Bins(3)},
	}, columnOf(draw(500, uniform)).Bins(10))
	ref.Dataset, ref.Split = "sha256:0123", "holdout 20 % by md5(key)"
	for i, v := range draw(700, zeroInflated) {
		row := []float64{v * 1.5, float64(i % 5)}
		if i%11 == 0 {
			row[0] = math.NaN()
		}
		require.NoError(t, ref.Observe(row, math.Mod(v, 1)))
	}
	return ref
}

// TestFormat1 reads what the first version of the format looked like. These
// files never change: a later format gets files of its own.
func TestFormat1(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]summary{"table": sampleTable(), "reference": sampleReference(t)} {
		path := filepath.Join("testdata", name+"-1.json")
		if *rewrite {
			require.NoError(t, os.WriteFile(path, []byte(jsonOf(t, v)), 0o644))
		}
		golden, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(golden), jsonOf(t, v), "%s: the same values give the same bytes on every machine", name)
	}
	var ref profile.Reference
	golden, err := os.ReadFile(filepath.Join("testdata", "reference-1.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(golden, &ref))
	require.EqualValues(t, 700, ref.Rows)
	require.EqualValues(t, 700, ref.Features[0].Bins.Rows())
	require.EqualValues(t, 64, ref.Features[0].Bins.Nulls)
}

func TestDamagedJSON(t *testing.T) {
	t.Parallel()
	level := func(vs ...float64) string {
		var raw []byte
		for _, v := range vs {
			for s := range 8 {
				raw = append(raw, byte(math.Float64bits(v)>>(8*s)))
			}
		}
		return base64.RawStdEncoding.EncodeToString(raw)
	}
	registers := strings.Repeat("A", 4096)
	sketch := func(rows, levels, flips, distinct string) string {
		return `{"format":1,"kind":"numeric","rows":` + rows + `,"range":[1,9],"sketch":{"levels":[` + levels + `],"flips":[` + flips + `]},"distinct":"` + distinct + `"}`
	}
	const bins = `{"format":1,"rows":0,"features":[{"name":"a","bins":`
	for _, c := range []struct {
		into summary
		json string
		want string
	}{
		{new(profile.Column), `{`, "unexpected end"},
		{new(profile.Column), `{}`, "no format version"},
		{new(profile.Column), `{"format":0}`, "format is 0"},
		{new(profile.Column), `{"format":1,"rows":-1}`, "rows"},
		{new(profile.Column), `{"format":1,"rows":9007199254740993}`, "2^53"},
		{new(profile.Column), `{"format":1,"rows":2,"nulls":3}`, "more nulls than rows"},
		{new(profile.Column), `{"format":1,"rows":2,"nulls":1}`, "values without a kind"},
		{new(profile.Column), `{"format":1,"rows":1,"nulls":18446744073709551615,"nan":2}`, "more nulls"},
		{new(profile.Column), `{"format":1,"kind":"text","rows":0}`, `kind is "text"`},
		{new(profile.Column), `{"format":1,"kind":"numeric","rows":1}`, "range is missing"},
		{new(profile.Column), `{"format":1,"kind":"numeric","rows":0,"range":[1,2]}`, "no rows"},
		{new(profile.Column), `{"format":1,"kind":"numeric","rows":1,"range":[2,1],"values":[1],"counts":[1]}`, "range"},
		{new(profile.Column), `{"format":1,"kind":"numeric","rows":1,"range":["NaN",1],"values":[1],"counts":[1]}`, "range"},
		{new(profile.Column), `{"format":1,"kind":"numeric","rows":1,"range":["x",1]}`, "not a number"},
		{new(profile.Column), `{"format":1,"kind":"numeric","rows":2,"range":[1,1],"values":[1],"counts":[1]}`, "add up"},
		{new(profile.Column), `{"format":1,"kind":"numeric","rows":1,"range":[1,2],"values":[1],"counts":[1]}`, "not that of the values"},
		{new(profile.Column), `{"format":1,"kind":"numeric","rows":2,"range":[1,2],"values":[2,1],"counts":[1,1]}`, "ascending"},
		{new(profile.Column), `{"format":1,"kind":"numeric","rows":1,"range":[1,2],"values":[1,2],"counts":[1,0]}`, "add up"},
		{new(profile.Column), `{"format":1,"kind":"numeric","rows":1,"range":[1,1],"categories":["a"],"values":[1],"counts":[1]}`, "categories of a numeric"},
		{new(profile.Column), sketch("1", `"`+level(5)+`"`, "0", registers[1:]), "registers"},
		{new(profile.Column), sketch("1", `"`+level(5)+`"`, "0", "!"+registers[1:]), "impossible register"},
		{new(profile.Column), sketch("1", `"`+level(5)+`"`, "0", "_"+registers[1:]), "impossible register"},
		{new(profile.Column), sketch("1", `"`+level(5)+`"`, "0", ""), "without a distinct counter"},
		{new(profile.Column), sketch("2", `"`+level(5)+`"`, "0", registers), "stands for 1 numbers, want 2"},
		{new(profile.Column), sketch("2", `"`+level(5, 4)+`"`, "0", registers), "ascending"},
		{new(profile.Column), sketch("2", `"`+level(5, math.NaN())+`"`, "0", registers), "ascending"},
		{new(profile.Column), sketch("1", `"`+level(10)+`"`, "0", registers), "outside the range"},
		{new(profile.Column), sketch("1", `"*"`, "0", registers), "base64"},
		{new(profile.Column), sketch("1", `"AAAA"`, "0", registers), "base64"},
		{new(profile.Column), sketch("1", `"`+level(5)+`"`, "", registers), "counters"},
		{new(profile.Column), sketch("1", strings.Repeat(`"",`, 55)+`""`, strings.Repeat(`0,`, 55)+`0`, registers), "at most 55"},
		{new(profile.Column), sketch("1", `"","`+level(5)+`"`, "0,0", registers), "more than the 1 numbers"},
		{new(profile.Column), `{"format":1,"kind":"categorical","rows":1,"categories":["a","a"],"counts":[1,1]}`, "repeated"},
		{new(profile.Column), `{"format":1,"kind":"categorical","rows":1,"categories":["` + strings.Repeat("x", 257) + `"],"counts":[1]}`, "too long"},
		{new(profile.Column), `{"format":1,"kind":"categorical","rows":3,"categories":["a"],"counts":[1]}`, "add up"},
		{new(profile.Column), `{"format":1,"kind":"categorical","rows":3,"categories":["a"],"counts":[1],"lost":1}`, "add up"},
		{new(profile.Column), `{"format":1,"kind":"categorical","rows":1,"categories":["a"],"counts":[1,1]}`, "2 counts of 1"},
		{new(profile.Column), `{"format":1,"kind":"categorical","rows":1,"nan":1}`, "infinities"},
		{new(profile.Table), `{"format":1,"rows":0,"columns":[{"name":"a","column":null}]}`, "no summary"},
		{new(profile.Table), `{"format":1,"rows":0,"columns":[{"name":"a","column":{"format":1,"rows":1,"nulls":1}}]}`, "other rows"},
		{new(profile.Table), `{"format":1,"rows":0,"columns":[{"name":"a","column":{"format":1,"rows":0}},{"name":"a","column":{"format":1,"rows":0}}]}`, "twice"},
		{new(profile.Table), `{"format":1,"rows":0,"columns":[{"name":"a","column":{"format":1,"rows":1}}]}`, "profile: read column"},
		{new(profile.Bins), `{"kind":"numeric","edges":[1,1],"counts":[0,0,0]}`, "edges are not"},
		{new(profile.Bins), `{"kind":"numeric","edges":[2,1],"counts":[0,0,0]}`, "edges are not"},
		{new(profile.Bins), `{"kind":"numeric","edges":["+Inf"],"counts":[0,0]}`, "edges are not"},
		{new(profile.Bins), `{"kind":"numeric","edges":[1],"counts":[0]}`, "1 counts for 1 edges"},
		{new(profile.Bins), `{"kind":"numeric","edges":[1],"values":[1],"counts":[0,0]}`, "1 values for 1 edges"},
		{new(profile.Bins), `{"kind":"numeric","counts":[9007199254740993]}`, "2^53"},
		{new(profile.Bins), `{"kind":"numeric","counts":[1],"below":1,"above":1}`, "outside the range"},
		{new(profile.Bins), `{"kind":"numeric","counts":[0],"seen":[0,1]}`, "no rows"},
		{new(profile.Bins), `{"kind":"numeric","counts":[0],"shift":"NaN"}`, "shift"},
		{new(profile.Bins), `{"kind":"numeric","counts":[0],"range":[1,0]}`, "range"},
		{new(profile.Bins), `{"kind":"numeric","categories":["a"],"counts":[0]}`, "categories of"},
		{new(profile.Bins), `{"kind":"categorical","categories":["a"],"counts":[0]}`, "1 counts for 1 categories"},
		{new(profile.Bins), `{"kind":"categorical","categories":["a","a"],"counts":[0,0,0]}`, "repeated"},
		{new(profile.Bins), `{"kind":"categorical","edges":[1],"counts":[0]}`, "numbers of"},
		{new(profile.Bins), `{"kind":"categorical","sum":1,"counts":[0]}`, "moments of"},
		{new(profile.Bins), `{"kind":"","counts":[0]}`, "kind"},
		{new(profile.Bins), `{"kind":"numeric","edges":[` + strings.Repeat("1,", 255) + `1],"counts":[0]}`, "256 edges"},
		{new(profile.Reference), bins + `null}]}`, "no bins"},
		{new(profile.Reference), bins + `{"kind":"numeric","counts":[0]}},{"name":"a","bins":{"kind":"numeric","counts":[0]}}]}`, "twice"},
		{new(profile.Reference), `{"format":1,"rows":0,"features":[{"name":"","bins":{"kind":"numeric","counts":[0]}}]}`, "no name"},
		{new(profile.Reference), bins + `{"kind":"numeric","counts":[]}}]}`, "0 counts"},
		{new(profile.Reference), `{"format":1,"rows":9007199254740993}`, "2^53"},
		{new(profile.Reference), `[]`, "array"},
	} {
		before := jsonOf(t, c.into)
		// Directly, as json.Unmarshal finds what is not JSON by itself.
		err := c.into.UnmarshalJSON([]byte(c.json))
		require.ErrorIs(t, err, profile.ErrInvalid, c.json)
		require.ErrorContains(t, err, c.want)
		require.Equal(t, 1, strings.Count(err.Error(), "profile: "), err.Error())
		require.Equal(t, before, jsonOf(t, c.into), "a failed read changes nothing")
	}
}

func TestNewerFormat(t *testing.T) {
	t.Parallel()
	for _, v := range []summary{new(profile.Column), new(profile.Table), new(profile.Reference)} {
		err := v.UnmarshalJSON([]byte(`{"format":2,"rows":"unlike today"}`))
		require.ErrorIs(t, err, profile.ErrUnsupported)
		require.NotErrorIs(t, err, profile.ErrInvalid)
	}
}
